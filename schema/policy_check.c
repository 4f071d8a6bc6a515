/* What every reader of a policy may rely on. */
#include <arpa/inet.h>
#include <string.h>

#include "schema/err.h"
#include "schema/policy.h"
#include "schema/utf.h"

static int addr_check(const struct ipsec_addr *a, const char *side, struct err *err)
{
	struct ipsec_addr same = { .kind = a->kind, .family = a->family };
	bool ok = true;

	switch (a->kind) {
	case IPSEC_ADDR_ANY:
		ok = a->family == AF_UNSPEC;
		break;
	case IPSEC_ADDR_ME: case IPSEC_ADDR_DNS: case IPSEC_ADDR_WINS:
	case IPSEC_ADDR_DHCP: case IPSEC_ADDR_GATEWAY:
		ok = a->family == AF_UNSPEC || ipsec_addr_bits(a->family);
		break;
	case IPSEC_ADDR_NET:
		ok = ipsec_addr_net(&same, a->family, a->lo, a->prefix);
		break;
	case IPSEC_ADDR_RANGE:
		ok = ipsec_addr_range(&same, a->family, a->lo, a->hi);
		break;
	default:
		ok = false;
	}
	if (!ok || same.kind != a->kind || same.prefix != a->prefix ||
	    memcmp(same.lo, a->lo, sizeof(same.lo)) || memcmp(same.hi, a->hi, sizeof(same.hi)))
		return err_set(err, ERR_FORMAT, "%s address is not canonical", side);
	return 0;
}

static int ports_check(const struct ipsec_ports *p, uint8_t protocol, const char *side, struct err *err)
{
	if (p->hi < p->lo || (p->lo == 0 && p->hi == UINT16_MAX))
		return err_set(err, ERR_FORMAT, "%s ports %u-%u are not canonical", side, p->lo, p->hi);
	if (!ipsec_ports_any(p) && protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return err_set(err, ERR_FORMAT, "%s port %u with protocol %u, which is neither TCP nor UDP",
		    side, p->lo, protocol);
	return 0;
}

int ipsec_filter_check(const struct ipsec_filter *f, struct err *err)
{
	static const uint8_t zero[4];

	if (addr_check(&f->src, "source", err) || addr_check(&f->dst, "destination", err) ||
	    ports_check(&f->src_port, f->protocol, "source", err) ||
	    ports_check(&f->dst_port, f->protocol, "destination", err))
		return -1;
	if (f->src.family && f->dst.family && f->src.family != f->dst.family)
		return err_set(err, ERR_FORMAT, "source is IPv%c, destination IPv%c",
		    f->src.family == AF_INET ? '4' : '6', f->dst.family == AF_INET ? '4' : '6');
	if (!f->tunnel && memcmp(f->tunnel_addr, zero, sizeof(zero)))
		return err_set(err, ERR_FORMAT, "tunnel address without a tunnel");
	return 0;
}

static int text_check(const char *s, const char *what, struct err *err)
{
	if (!s)
		return err_set(err, ERR_FORMAT, "%s is missing", what);
	if (!utf8_valid(s))
		return err_set(err, ERR_FORMAT, "%s is not UTF-8", what);
	return 0;
}

static int list_check(const struct ipsec_filter_list *l, struct err *err)
{
	if (text_check(l->name, "name", err) || text_check(l->description, "description", err))
		return -1;
	for (size_t i = 0; i < l->n_filters; i++) {
		const struct ipsec_filter *f = &l->filters[i];

		if (text_check(f->description, "description", err) ||
		    text_check(f->src_dns, "source name", err) ||
		    text_check(f->dst_dns, "destination name", err) ||
		    ipsec_filter_check(f, err))
			return err_prefix(err, "filter %zu", i + 1);
	}
	return 0;
}

static int offer_check(const struct ipsec_offer *o, struct err *err)
{
	if (!o->has_esp && !o->has_ah)
		return err_set(err, ERR_FORMAT, "neither AH nor ESP");
	if (o->esp_encryption > IPSEC_CIPHER_3DES || o->esp_integrity > IPSEC_HASH_SHA1 ||
	    o->ah_integrity > IPSEC_HASH_SHA1)
		return err_set(err, ERR_FORMAT, "unknown algorithm");
	if (o->has_ah != (o->ah_integrity != IPSEC_HASH_NONE))
		return err_set(err, ERR_FORMAT, "AH and its integrity disagree");
	if (o->has_esp != (o->esp_encryption != IPSEC_CIPHER_NONE || o->esp_integrity != IPSEC_HASH_NONE))
		return err_set(err, ERR_FORMAT, "ESP and its algorithms disagree");
	return 0;
}

static int negpol_check(const struct ipsec_negpol *n, struct err *err)
{
	if (text_check(n->name, "name", err) || text_check(n->description, "description", err))
		return -1;
	if (n->action > IPSEC_NEGOTIATE)
		return err_set(err, ERR_FORMAT, "unknown action");
	if (n->inpass && n->action != IPSEC_NEGOTIATE)
		return err_set(err, ERR_FORMAT, "inbound pass-through without negotiation");
	if (n->pfs && !n->n_offers)
		return err_set(err, ERR_FORMAT, "session key PFS without offers");
	for (size_t i = 0; i < n->n_offers; i++)
		if (offer_check(&n->offers[i], err))
			return err_prefix(err, "offer %zu", i + 1);
	return 0;
}

static int mm_offer_check(const struct ipsec_mm_offer *o, struct err *err)
{
	struct ipsec_mm_offer same = *o;

	if (o->encryption > IPSEC_CIPHER_3DES || o->hash > IPSEC_HASH_SHA1)
		return err_set(err, ERR_FORMAT, "unknown algorithm");
	if (o->group != 0 && o->group != 1 && o->group != 2 && o->group != 14)
		return err_set(err, ERR_FORMAT, "group %u is not known", o->group);
	if (!o->random_function)
		return 0;
	if (!ipsec_mm_function(&same, o->random_function) || same.encryption != o->encryption ||
	    same.hash != o->hash || same.group != o->group ||
	    o->life_seconds || o->life_kbytes || o->qm_limit)
		return err_set(err, ERR_FORMAT, "Random-Function %u means something else", o->random_function);
	return 0;
}

static int isakmp_check(const struct ipsec_isakmp *m, struct err *err)
{
	for (int i = 0; i < 4; i++)
		if (m->new_dh[i] > 4 || (i && m->new_dh[i] && !m->new_dh[i - 1]))
			return err_set(err, ERR_FORMAT, "extra offer %d is not known", i + 1);
	for (size_t i = 0; i < m->n_offers; i++)
		if (mm_offer_check(&m->offers[i], err))
			return err_prefix(err, "security method %zu", i + 1);
	return 0;
}

static int auth_check(const struct ipsec_auth *m, struct err *err)
{
	if (text_check(m->text, "authentication data", err))
		return -1;
	if (m->method != IPSEC_AUTH_PSK && m->method != IPSEC_AUTH_CERT && m->method != IPSEC_AUTH_KERBEROS)
		return err_set(err, ERR_FORMAT, "unknown method");
	if (m->method == IPSEC_AUTH_KERBEROS && *m->text)
		return err_set(err, ERR_FORMAT, "Kerberos with data");
	if (m->alt_len && (!m->alt_type || !m->alt))
		return err_set(err, ERR_FORMAT, "alternate form without a type");
	return 0;
}

static int tunnel_check(const struct ipsec_rule *r, struct err *err)
{
	static const struct ipsec_addr none;
	const struct ipsec_addr *e = &r->tunnel_end;

	if (addr_check(e, "tunnel", err))
		return -1;
	if (r->tunnel && (e->kind != IPSEC_ADDR_NET || e->prefix != ipsec_addr_bits(e->family)))
		return err_set(err, ERR_FORMAT, "tunnel endpoint is not one address");
	if (!r->tunnel && (e->kind != none.kind || e->family != none.family))
		return err_set(err, ERR_FORMAT, "tunnel endpoint without a tunnel");
	return 0;
}

static int rule_check(const struct ipsec_policy *p, const struct ipsec_rule *r, struct err *err)
{
	const struct ipsec_filter_list *l = r->filter_list;
	const struct ipsec_negpol *n = r->negpol;

	if (text_check(r->name, "name", err) || text_check(r->description, "description", err) ||
	    text_check(r->interface_name, "interface name", err) ||
	    text_check(r->tunnel_name, "tunnel name", err) || tunnel_check(r, err))
		return -1;
	if (r->conntype > IPSEC_CONN_DIALUP)
		return err_set(err, ERR_FORMAT, "unknown connection type");
	for (size_t i = 0; i < r->n_auth; i++)
		if (auth_check(&r->auth[i], err))
			return err_prefix(err, "authentication method %zu", i + 1);
	if (!n || n < p->negpols || n >= p->negpols + p->n_negpols)
		return err_set(err, ERR_FORMAT, "filter action is not one of this policy");
	if (l && (l < p->filter_lists || l >= p->filter_lists + p->n_filter_lists))
		return err_set(err, ERR_FORMAT, "filter list is not one of this policy");
	if (r->default_response != !l)
		return err_set(err, ERR_FORMAT, l ? "default response with a filter list" : "no filter list");
	if (r->default_response != n->default_response)
		return err_set(err, ERR_FORMAT, l ? "filter list with a default-response action" :
		    "no filter list, and the action is not for the default response");
	return 0;
}

static int order_check(const struct guid *before, const struct guid *id, struct err *err)
{
	int cmp = before ? guid_cmp(before, id) : -1;

	if (cmp == 0)
		return err_set(err, ERR_FORMAT, "appears twice");
	return cmp < 0 ? 0 : err_set(err, ERR_FORMAT, "not in the order of GUIDs");
}

static int object_prefix(struct err *err, const char *what, const struct guid *id)
{
	char text[GUID_TEXT];

	guid_text(id, text);
	return err_prefix(err, "%s %s", what, text);
}

int policy_check(const struct ipsec_policy *p, struct err *err)
{
	if (text_check(p->dn, "dn", err) || text_check(p->name, "name", err) ||
	    text_check(p->description, "description", err) ||
	    text_check(p->when_changed, "whenChanged", err))
		return -1;
	if (!p->polling_seconds)
		return err_set(err, ERR_FORMAT, "polling interval is 0");
	if (isakmp_check(&p->isakmp, err))
		return object_prefix(err, "main mode", &p->isakmp.id);
	for (size_t i = 0; i < p->n_filter_lists; i++) {
		const struct ipsec_filter_list *l = &p->filter_lists[i];

		if (order_check(i ? &l[-1].id : NULL, &l->id, err) || list_check(l, err))
			return object_prefix(err, "filter list", &l->id);
	}
	for (size_t i = 0; i < p->n_negpols; i++) {
		const struct ipsec_negpol *n = &p->negpols[i];

		if (order_check(i ? &n[-1].id : NULL, &n->id, err) || negpol_check(n, err))
			return object_prefix(err, "filter action", &n->id);
	}
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct ipsec_rule *r = &p->rules[i];

		if (order_check(i ? &r[-1].id : NULL, &r->id, err) || rule_check(p, r, err))
			return object_prefix(err, "rule", &r->id);
	}
	return 0;
}
