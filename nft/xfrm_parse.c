/* What the kernel tells of policies and security associations.  Its structures are copied
 * out: they stand in messages at multiples of 4 bytes only. */
#include "nft/xfrm.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/socket.h>

#include "schema/err.h"

struct payload {
	const uint8_t		*p;
	size_t			 len;
	const struct nlattr	*attrs[XFRMA_MAX + 1];
};

/* The payload's fixed part of `len` bytes, and the attributes after it, each once. */
static bool payload_take(struct payload *ret, const struct nlmsghdr *nlh, size_t len)
{
	const size_t all = mnl_nlmsg_get_payload_len(nlh), at = MNL_ALIGN(len);
	const struct nlattr *a;
	size_t left;

	memset(ret, 0, sizeof(*ret));
	if (nlh->nlmsg_len < MNL_NLMSG_HDRLEN || all < len)
		return false;
	ret->p = mnl_nlmsg_get_payload(nlh);
	ret->len = len;
	for (left = all > at ? all - at : 0; left >= MNL_ATTR_HDRLEN; left -= MNL_ALIGN((size_t)a->nla_len)) {
		a = (const void *)(ret->p + (all - left));
		if (a->nla_len < MNL_ATTR_HDRLEN || a->nla_len > left)
			return false;
		if (mnl_attr_get_type(a) <= XFRMA_MAX)
			ret->attrs[mnl_attr_get_type(a)] = a;
		/* The last one may come without its padding. */
		if (left < MNL_ALIGN((size_t)a->nla_len))
			return true;
	}
	return left == 0;
}

static bool attr_take(void *ret, size_t len, const struct nlattr *a)
{
	if (!a || mnl_attr_get_payload_len(a) < len)
		return false;
	memcpy(ret, mnl_attr_get_payload(a), len);
	return true;
}

static void selector_take(struct spd_selector *ret, const struct xfrm_selector *s)
{
	const size_t len = s->family == AF_INET ? 4 : 16;

	memset(ret, 0, sizeof(*ret));
	ret->family = (uint8_t)(s->family == AF_INET || s->family == AF_INET6 ? s->family : 0);
	ret->src_prefix = s->prefixlen_s;
	ret->dst_prefix = s->prefixlen_d;
	ret->protocol = s->proto;
	memcpy(ret->src, &s->saddr, len);
	memcpy(ret->dst, &s->daddr, len);
	ret->sport = ntohs(s->sport);
	ret->sport_mask = ntohs(s->sport_mask);
	ret->dport = ntohs(s->dport);
	ret->dport_mask = ntohs(s->dport_mask);
}

static void address_take(struct ip_addr *ret, unsigned family, const xfrm_address_t *a)
{
	memset(ret, 0, sizeof(*ret));
	ret->family = (uint8_t)family;
	memcpy(ret->b, a, family == AF_INET ? 4 : 16);
}

/* ---- policies ---- */

/* false: not as template_put would have it. */
static bool template_take(struct spd_template *ret, const struct xfrm_user_tmpl *t, unsigned family)
{
	static const xfrm_address_t none;
	const bool tunnel = t->mode == XFRM_MODE_TUNNEL;

	memset(ret, 0, sizeof(*ret));
	ret->protocol = t->id.proto;
	ret->tunnel = tunnel;
	ret->required = !t->optional;
	ret->reqid = t->reqid;
	if (tunnel && (t->family == AF_INET || t->family == AF_INET6)) {
		address_take(&ret->src, t->family, &t->saddr);
		address_take(&ret->dst, t->family, &t->id.daddr);
	} else if (tunnel || t->mode != XFRM_MODE_TRANSPORT || t->family != family ||
	    memcmp(&t->saddr, &none, sizeof(none)) || memcmp(&t->id.daddr, &none, sizeof(none))) {
		return false;
	}
	return t->id.spi == 0 && t->share == XFRM_SHARE_ANY && t->optional <= 1 && t->aalgos == ~0u && t->ealgos == ~0u &&
	    t->calgos == ~0u;
}

static bool templates_take(struct spd_policy *ret, const struct nlattr *a)
{
	struct xfrm_user_tmpl t;
	const size_t len = a ? mnl_attr_get_payload_len(a) : 0;

	if (len % sizeof(t) || len > 2 * sizeof(t))
		return false;
	for (size_t at = 0; at < len; at += sizeof(t)) {
		memcpy(&t, (const uint8_t *)mnl_attr_get_payload(a) + at, sizeof(t));
		if (!template_take(&ret->templates[ret->n_templates++], &t, ret->sel.family))
			return false;
	}
	return true;
}

static bool lifetime_is_ours(const struct xfrm_lifetime_cfg *l, bool pin)
{
	return l->soft_byte_limit == XFRM_INF && l->hard_byte_limit == XFRM_INF && l->soft_packet_limit == XFRM_INF &&
	    l->hard_packet_limit == XFRM_INF && !l->soft_add_expires_seconds && !l->soft_use_expires_seconds &&
	    !l->hard_use_expires_seconds && l->hard_add_expires_seconds <= UINT32_MAX &&
	    pin == (l->hard_add_expires_seconds != 0);
}

/* Only the selector says which packets it takes. */
static bool is_plain(const struct payload *m, const struct xfrm_userpolicy_info *info)
{
	struct xfrm_userpolicy_type type = { .type = XFRM_POLICY_TYPE_MAIN };
	struct xfrm_mark mark = { 0 };
	uint32_t if_id = 0;

	attr_take(&type, sizeof(type), m->attrs[XFRMA_POLICY_TYPE]);
	attr_take(&mark, sizeof(mark), m->attrs[XFRMA_MARK]);
	attr_take(&if_id, sizeof(if_id), m->attrs[XFRMA_IF_ID]);
	return info->dir <= XFRM_POLICY_FWD && type.type == XFRM_POLICY_TYPE_MAIN && !info->sel.ifindex && !mark.v && !mark.m &&
	    !if_id && !m->attrs[XFRMA_SEC_CTX];
}

static enum xfrm_whose policy_take(struct spd_policy *ret, const struct payload *m, const struct xfrm_userpolicy_info *info)
{
	struct spd_policy p = { .dir = (enum spd_dir)info->dir, .priority = info->priority, .comment = "" };
	const bool pin = info->sel.user == XFRM_USER_PIN;
	struct err why;

	selector_take(&p.sel, &info->sel);
	if (!is_plain(m, info))
		p.sel.family = 0;
	*ret = p;
	if (!p.sel.family || (info->sel.user != XFRM_USER_POLICY && info->sel.user != XFRM_USER_PIN))
		return XFRM_FOREIGN;
	p.expires = pin ? 1 : 0;
	*ret = p;
	if (!lifetime_is_ours(&info->lft, pin) || info->action != XFRM_POLICY_ALLOW || info->flags ||
	    info->share != XFRM_SHARE_ANY || !templates_take(&p, m->attrs[XFRMA_TMPL]) || spd_policy_check(&p, &why) < 0)
		return XFRM_ALTERED;
	p.expires = (uint32_t)info->lft.hard_add_expires_seconds;
	*ret = p;
	return XFRM_OURS;
}

enum xfrm_whose xfrm_policy_parse(struct spd_policy *ret, const struct nlmsghdr *nlh)
{
	struct xfrm_userpolicy_info info;
	struct payload m;

	switch (nlh->nlmsg_type) {
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		if (!payload_take(&m, nlh, sizeof(info)))
			return XFRM_DAMAGED;
		memcpy(&info, m.p, sizeof(info));
		break;
	case XFRM_MSG_POLEXPIRE:
		/* The policy comes first. */
		if (!payload_take(&m, nlh, sizeof(struct xfrm_user_polexpire)))
			return XFRM_DAMAGED;
		memcpy(&info, m.p, sizeof(info));
		break;
	case XFRM_MSG_DELPOLICY:
		if (!payload_take(&m, nlh, sizeof(struct xfrm_userpolicy_id)) ||
		    !attr_take(&info, sizeof(info), m.attrs[XFRMA_POLICY]))
			return XFRM_DAMAGED;
		break;
	default:
		return XFRM_DAMAGED;
	}
	return policy_take(ret, &m, &info);
}

/* ---- security associations ---- */

/* All structures of algorithms begin with the name; what follows is a secret. */
static void name_take(char ret[static 64], const struct nlattr *a)
{
	if (attr_take(ret, 64, a))
		ret[63] = '\0';
	rs_printable(ret);
}

static bool sa_info_take(struct xfrm_usersa_info *ret, struct payload *m, const struct nlmsghdr *nlh)
{
	switch (nlh->nlmsg_type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
		if (!payload_take(m, nlh, sizeof(*ret)))
			return false;
		break;
	case XFRM_MSG_EXPIRE:
		if (!payload_take(m, nlh, sizeof(struct xfrm_user_expire)))
			return false;
		break;
	case XFRM_MSG_DELSA:
		return payload_take(m, nlh, sizeof(struct xfrm_usersa_id)) && attr_take(ret, sizeof(*ret), m->attrs[XFRMA_SA]);
	default:
		return false;
	}
	memcpy(ret, m->p, sizeof(*ret));
	return true;
}

int xfrm_sa_parse(struct xfrm_sa *ret, const struct nlmsghdr *nlh)
{
	struct xfrm_usersa_info info;
	struct payload m;
	struct xfrm_sa sa = { 0 };

	if (!sa_info_take(&info, &m, nlh))
		return -1;
	if (info.reqid < SPD_REQID_MIN || info.reqid > SPD_REQID_MAX)
		return 0;
	if (info.family != AF_INET && info.family != AF_INET6)
		return -1;
	sa.family = (uint8_t)info.family;
	sa.protocol = info.id.proto;
	address_take(&sa.src, info.family, &info.saddr);
	address_take(&sa.dst, info.family, &info.id.daddr);
	sa.spi = ntohl(info.id.spi);
	sa.reqid = info.reqid;
	sa.tunnel = info.mode == XFRM_MODE_TUNNEL;
	sa.bytes = info.curlft.bytes;
	sa.packets = info.curlft.packets;
	sa.add_time = info.curlft.add_time;
	sa.use_time = info.curlft.use_time;
	sa.integrity_failures = info.stats.integrity_failed;
	sa.replays = info.stats.replay;
	selector_take(&sa.sel, &info.sel);
	name_take(sa.encryption, m.attrs[XFRMA_ALG_AEAD] ? m.attrs[XFRMA_ALG_AEAD] : m.attrs[XFRMA_ALG_CRYPT]);
	name_take(sa.integrity, m.attrs[XFRMA_ALG_AUTH_TRUNC] ? m.attrs[XFRMA_ALG_AUTH_TRUNC] : m.attrs[XFRMA_ALG_AUTH]);
	/* An IKE daemon reserves an SPI before it negotiates. */
	sa.larval = !sa.spi || (!*sa.encryption && !*sa.integrity);
	*ret = sa;
	return 1;
}
