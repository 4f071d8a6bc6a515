#include "nft/xfrm.h"

#include <arpa/inet.h>
#include <assert.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/socket.h>

static struct nlmsghdr *message_begin(void *buf, uint32_t seq, int type, int flags)
{
	struct nlmsghdr *nlh;

	/* Not every libmnl clears the padding of attributes. */
	memset(buf, 0, XFRM_MESSAGE_MAX);
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = (uint16_t)type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = seq;
	return nlh;
}

static void payload_put(struct nlmsghdr *nlh, const void *p, size_t len)
{
	memcpy(mnl_nlmsg_put_extra_header(nlh, len), p, len);
}

/* The kernel compares selectors byte for byte: the padding is part of the key, too. */
static void selector_put(struct xfrm_selector *ret, const struct spd_policy *p)
{
	const struct spd_selector *s = &p->sel;

	ret->family = s->family;
	ret->prefixlen_s = s->src_prefix;
	ret->prefixlen_d = s->dst_prefix;
	ret->proto = s->protocol;
	memcpy(&ret->saddr, s->src, sizeof(s->src));
	memcpy(&ret->daddr, s->dst, sizeof(s->dst));
	ret->sport = htons(s->sport);
	ret->sport_mask = htons(s->sport_mask);
	ret->dport = htons(s->dport);
	ret->dport_mask = htons(s->dport_mask);
	ret->user = p->expires ? XFRM_USER_PIN : XFRM_USER_POLICY;
}

static void template_put(struct xfrm_user_tmpl *ret, const struct spd_template *t, unsigned family)
{
	ret->id.proto = t->protocol;
	ret->family = (uint16_t)(t->tunnel ? t->src.family : family);
	ret->reqid = t->reqid;
	ret->mode = t->tunnel ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT;
	ret->share = XFRM_SHARE_ANY;
	ret->optional = !t->required;
	ret->aalgos = ret->ealgos = ret->calgos = ~0u;
	if (t->tunnel) {
		memcpy(&ret->saddr, t->src.b, sizeof(t->src.b));
		memcpy(&ret->id.daddr, t->dst.b, sizeof(t->dst.b));
	}
}

static void type_put(struct nlmsghdr *nlh)
{
	struct xfrm_userpolicy_type type;

	memset(&type, 0, sizeof(type));
	type.type = XFRM_POLICY_TYPE_MAIN;
	mnl_attr_put(nlh, XFRMA_POLICY_TYPE, sizeof(type), &type);
}

static void policy_put(struct xfrm_userpolicy_info *ret, const struct spd_policy *p)
{
	memset(ret, 0, sizeof(*ret));
	selector_put(&ret->sel, p);
	ret->lft.soft_byte_limit = ret->lft.hard_byte_limit = XFRM_INF;
	ret->lft.soft_packet_limit = ret->lft.hard_packet_limit = XFRM_INF;
	ret->lft.hard_add_expires_seconds = p->expires;
	ret->priority = p->priority;
	ret->dir = (uint8_t)p->dir;
	ret->action = XFRM_POLICY_ALLOW;
	ret->share = XFRM_SHARE_ANY;
}

static void templates_put(struct nlmsghdr *nlh, const struct spd_policy *p)
{
	struct xfrm_user_tmpl templates[2];

	memset(templates, 0, sizeof(templates));
	for (unsigned i = 0; i < p->n_templates; i++)
		template_put(&templates[i], &p->templates[i], p->sel.family);
	if (p->n_templates)
		mnl_attr_put(nlh, XFRMA_TMPL, p->n_templates * sizeof(*templates), templates);
}

/* ip xfrm policy update dir out src 10.1.0.1/32 dst 10.2.0.0/16 priority 65538
 *	tmpl proto esp reqid 1761607696 mode transport level required		(and user) */
struct nlmsghdr *xfrm_policy_build(void *buf, uint32_t seq, const struct spd_policy *p)
{
	struct nlmsghdr *nlh = message_begin(buf, seq, XFRM_MSG_UPDPOLICY, 0);
	struct xfrm_userpolicy_info info;

	policy_put(&info, p);
	payload_put(nlh, &info, sizeof(info));
	type_put(nlh);
	templates_put(nlh, p);
	return nlh;
}

struct nlmsghdr *xfrm_acquire_build(void *buf, uint32_t seq, const struct spd_policy *p, const struct xfrm_sa *sa)
{
	struct nlmsghdr *nlh = message_begin(buf, seq, XFRM_MSG_ACQUIRE, 0);
	struct xfrm_user_acquire acquire;

	static_assert(NLMSG_HDRLEN + sizeof(acquire) + 2 * sizeof(struct xfrm_user_tmpl) + sizeof(struct xfrm_userpolicy_type) + 32 < XFRM_MESSAGE_MAX,
	    "the longest message fits");
	memset(&acquire, 0, sizeof(acquire));
	policy_put(&acquire.policy, p);
	acquire.sel = acquire.policy.sel;
	memcpy(&acquire.id.daddr, sa->dst.b, sizeof(sa->dst.b));
	memcpy(&acquire.saddr, sa->src.b, sizeof(sa->src.b));
	acquire.id.proto = sa->protocol;
	acquire.aalgos = acquire.ealgos = acquire.calgos = ~0u;
	payload_put(nlh, &acquire, sizeof(acquire));
	type_put(nlh);
	templates_put(nlh, p);
	return nlh;
}

struct nlmsghdr *xfrm_policy_delete_build(void *buf, uint32_t seq, const struct spd_policy *p)
{
	struct nlmsghdr *nlh = message_begin(buf, seq, XFRM_MSG_DELPOLICY, 0);
	struct xfrm_userpolicy_id id;

	memset(&id, 0, sizeof(id));
	selector_put(&id.sel, p);
	id.dir = (uint8_t)p->dir;
	payload_put(nlh, &id, sizeof(id));
	type_put(nlh);
	return nlh;
}

struct nlmsghdr *xfrm_policy_dump_build(void *buf, uint32_t seq)
{
	const struct xfrm_userpolicy_id none = { .index = 0 };
	struct nlmsghdr *nlh = message_begin(buf, seq, XFRM_MSG_GETPOLICY, NLM_F_DUMP);

	payload_put(nlh, &none, sizeof(none));
	return nlh;
}

struct nlmsghdr *xfrm_sa_dump_build(void *buf, uint32_t seq)
{
	const struct xfrm_usersa_id none = { .spi = 0 };
	struct nlmsghdr *nlh = message_begin(buf, seq, XFRM_MSG_GETSA, NLM_F_DUMP);

	payload_put(nlh, &none, sizeof(none));
	return nlh;
}

struct nlmsghdr *xfrm_sa_reserve_build(void *buf, uint32_t seq, const struct xfrm_sa *larval)
{
	struct nlmsghdr *nlh = message_begin(buf, seq, XFRM_MSG_ALLOCSPI, 0);
	struct xfrm_userspi_info spi;

	memset(&spi, 0, sizeof(spi));
	memcpy(&spi.info.id.daddr, larval->dst.b, sizeof(larval->dst.b));
	memcpy(&spi.info.saddr, larval->src.b, sizeof(larval->src.b));
	spi.info.id.proto = larval->protocol;
	spi.info.family = larval->family;
	spi.info.mode = larval->tunnel ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT;
	spi.info.reqid = larval->reqid;
	spi.min = 0x100;	/* below are reserved, RFC 4303 2.1 */
	spi.max = 0xffffffff;
	payload_put(nlh, &spi, sizeof(spi));
	return nlh;
}

struct nlmsghdr *xfrm_sa_delete_build(void *buf, uint32_t seq, const struct xfrm_sa *sa)
{
	struct nlmsghdr *nlh = message_begin(buf, seq, XFRM_MSG_DELSA, 0);
	struct xfrm_usersa_id id;

	memset(&id, 0, sizeof(id));
	memcpy(&id.daddr, sa->dst.b, sizeof(sa->dst.b));
	id.spi = htonl(sa->spi);
	id.family = sa->family;
	id.proto = sa->protocol;
	payload_put(nlh, &id, sizeof(id));
	mnl_attr_put(nlh, XFRMA_SRCADDR, sizeof(sa->src.b), sa->src.b);
	return nlh;
}
