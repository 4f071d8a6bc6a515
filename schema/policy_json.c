/* A policy as `ipsecpol show policy --json` prints it.  What is in force is shown:
 * a lifetime that the policy leaves to the default appears as the default, and
 * the extra 2048-bit offers of main mode stand in front of the others. */
#include <arpa/inet.h>
#include <jansson.h>

#include "schema/policy.h"

#define OR(value, otherwise) ((value) ? (value) : (otherwise))

static json_t *guid_json(const struct guid *id)
{
	char text[GUID_TEXT];

	guid_text(id, text);
	return json_string(text);
}

/* Takes both; NULL when either is. */
static json_t *array_add(json_t *array, json_t *element)
{
	if (array && !json_array_append_new(array, element))
		return array;
	json_decref(array);
	return NULL;
}

static json_t *mm_offer_json(const struct ipsec_mm_offer *o, const struct ipsec_isakmp *m)
{
	uint32_t life = OR(o->life_seconds, OR(m->life_seconds, POLICY_MM_LIFE_DEFAULT));

	return json_pack("{s:s, s:s, s:I, s:I}",
	    "encryption", ipsec_cipher_name(o->encryption), "hash", ipsec_hash_name(o->hash),
	    "group", (json_int_t)o->group, "lifetime_seconds", (json_int_t)life);
}

static json_t *isakmp_json(const struct ipsec_isakmp *m)
{
	json_t *offers = json_array();
	struct ipsec_mm_offer extra = { 0 };

	for (int i = 0; i < 4 && ipsec_mm_function(&extra, m->new_dh[i]); i++)
		offers = array_add(offers, mm_offer_json(&extra, m));
	for (size_t i = 0; i < m->n_offers; i++)
		offers = array_add(offers, mm_offer_json(&m->offers[i], m));
	return json_pack("{s:I, s:I, s:b, s:o}",
	    "lifetime_seconds", (json_int_t)OR(m->life_seconds, POLICY_MM_LIFE_DEFAULT),
	    "quick_mode_limit", (json_int_t)m->qm_limit, "master_pfs", m->master_pfs,
	    "offers", offers);
}

static json_t *port_json(const struct ipsec_ports *p)
{
	return p->lo == p->hi ? json_integer(p->lo) : json_sprintf("%u-%u", p->lo, p->hi);
}

static json_t *filter_json(const struct ipsec_filter *f)
{
	char src[IPSEC_ADDR_TEXT], dst[IPSEC_ADDR_TEXT];

	ipsec_addr_text(&f->src, src);
	ipsec_addr_text(&f->dst, dst);
	return json_pack("{s:o, s:s, s:s, s:s, s:i, s:o, s:o, s:b}",
	    "id", guid_json(&f->id), "description", f->description, "src", src, "dst", dst,
	    "protocol", f->protocol, "src_port", port_json(&f->src_port),
	    "dst_port", port_json(&f->dst_port), "mirrored", f->mirrored);
}

static json_t *list_json(const struct ipsec_filter_list *l)
{
	json_t *filters = json_array();

	for (size_t i = 0; i < l->n_filters; i++)
		filters = array_add(filters, filter_json(&l->filters[i]));
	return json_pack("{s:o, s:s, s:o}", "id", guid_json(&l->id), "name", l->name, "filters", filters);
}

/* "esp" and "ah" are null when the offer does not have them. */
static json_t *offer_json(const struct ipsec_offer *o)
{
	json_t *esp = o->has_esp ? json_pack("{s:s, s:s}",
	    "encryption", ipsec_cipher_name(o->esp_encryption),
	    "integrity", ipsec_hash_name(o->esp_integrity)) : json_null();
	json_t *ah = o->has_ah ? json_pack("{s:s}", "integrity", ipsec_hash_name(o->ah_integrity)) :
	    json_null();

	return json_pack("{s:o, s:o, s:I, s:I}", "esp", esp, "ah", ah,
	    "lifetime_seconds", (json_int_t)OR(o->life_seconds, POLICY_QM_LIFE_DEFAULT),
	    "lifetime_kbytes", (json_int_t)OR(o->life_kbytes, POLICY_QM_KB_DEFAULT));
}

static json_t *negpol_json(const struct ipsec_negpol *n)
{
	json_t *offers = json_array();

	for (size_t i = 0; i < n->n_offers; i++)
		offers = array_add(offers, offer_json(&n->offers[i]));
	return json_pack("{s:o, s:s, s:s, s:b, s:b, s:b, s:o}", "id", guid_json(&n->id),
	    "name", n->name, "kind", ipsec_action_name(n->action), "inpass", n->inpass,
	    "soft", n->soft, "pfs", n->pfs, "offers", offers);
}

static json_t *auth_json(const struct ipsec_auth *m)
{
	if (m->method == IPSEC_AUTH_CERT)
		return json_pack("{s:s, s:s}", "method", ipsec_auth_name(m->method), "ca", m->text);
	return json_pack("{s:s}", "method", ipsec_auth_name(m->method));
}

static json_t *tunnel_json(const struct ipsec_rule *r)
{
	char text[INET6_ADDRSTRLEN];

	if (!r->tunnel)
		return json_null();
	return json_string(inet_ntop(r->tunnel_end.family, r->tunnel_end.lo, text, sizeof(text)));
}

/* `lists` and `negpols` run beside the policy's arrays: rules share the objects. */
static json_t *rule_json(const struct ipsec_rule *r, const struct ipsec_policy *p, const json_t *lists, const json_t *negpols)
{
	json_t *auth = json_array(), *list = json_null();

	for (size_t i = 0; i < r->n_auth; i++)
		auth = array_add(auth, auth_json(&r->auth[i]));
	if (r->filter_list)
		list = json_array_get(lists, (size_t)(r->filter_list - p->filter_lists));
	return json_pack("{s:o, s:s, s:b, s:b, s:s, s:o, s:o, s:O, s:O}", "id", guid_json(&r->id),
	    "name", r->name, "active", r->active, "default_response", r->default_response,
	    "conntype", ipsec_conntype_name(r->conntype), "tunnel", tunnel_json(r), "auth", auth,
	    "action", json_array_get(negpols, (size_t)(r->negpol - p->negpols)),
	    "filter_list", list);
}

struct json_t *policy_json(const struct ipsec_policy *p)
{
	json_t *lists = json_array(), *negpols = json_array(), *rules = json_array(), *ret = NULL;

	for (size_t i = 0; i < p->n_filter_lists; i++)
		lists = array_add(lists, list_json(&p->filter_lists[i]));
	for (size_t i = 0; i < p->n_negpols; i++)
		negpols = array_add(negpols, negpol_json(&p->negpols[i]));
	if (lists && negpols)
		for (size_t i = 0; i < p->n_rules; i++)
			rules = array_add(rules, rule_json(&p->rules[i], p, lists, negpols));
	else {
		json_decref(rules);
		rules = NULL;
	}
	if (rules)
		ret = json_pack("{s:o, s:s, s:I, s:o, s:O}", "id", guid_json(&p->id), "name", p->name,
		    "polling_seconds", (json_int_t)p->polling_seconds, "main_mode", isakmp_json(&p->isakmp),
		    "rules", rules);
	json_decref(lists);
	json_decref(negpols);
	json_decref(rules);
	return ret;
}
