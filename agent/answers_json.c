#include "agent/answers_json.h"

#include <arpa/inet.h>
#include <jansson.h>

#define OR(value, otherwise) ((value) ? (value) : (otherwise))

json_t *guid_json(const struct guid *id)
{
	char text[GUID_TEXT];

	if (guid_is_zero(id))
		return json_null();
	guid_text(id, text);
	return json_string(text);
}

json_t *ports_json(const struct ipsec_ports *p)
{
	return p->lo == p->hi ? json_integer(p->lo) : json_sprintf("%u-%u", p->lo, p->hi);
}

json_t *tunnel_json(const struct ipsec_rule *r)
{
	char text[INET6_ADDRSTRLEN];

	if (!r->tunnel || !inet_ntop(r->tunnel_end.family, r->tunnel_end.lo, text, sizeof(text)))
		return json_null();
	return json_string(text);
}

/* Takes the element. */
static json_t *array_add(json_t *array, json_t *element)
{
	if (array && !json_array_append_new(array, element))
		return array;
	json_decref(array);
	return NULL;
}

json_t *auth_json(const struct ipsec_auth *auth, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		list = array_add(list, auth[i].method != IPSEC_AUTH_CERT ?
		    json_pack("{s:s}", "method", ipsec_auth_name(auth[i].method)) :
		    json_pack("{s:s, s:s, s:b, s:b}", "method", ipsec_auth_name(auth[i].method), "ca", auth[i].text,
		    "certmap", (int)auth[i].map_account, "excludecaname", (int)auth[i].exclude_ca));
	return list;
}

static json_t *mm_offer_json(const struct ipsec_mm_offer *o)
{
	return json_pack("{s:s, s:s, s:I}", "encryption", ipsec_cipher_name(o->encryption), "hash", ipsec_hash_name(o->hash),
	    "group", (json_int_t)o->group);
}

json_t *mm_offers_json(const struct ipsec_isakmp *m)
{
	json_t *list = json_array();
	struct ipsec_mm_offer extra = { 0 };

	for (int i = 0; list && i < 4 && ipsec_mm_function(&extra, m->new_dh[i]); i++)
		list = array_add(list, mm_offer_json(&extra));
	for (size_t i = 0; list && i < m->n_offers; i++)
		list = array_add(list, mm_offer_json(&m->offers[i]));
	return list;
}

json_t *main_mode_json(const struct ipsec_isakmp *m)
{
	return json_pack("{s:I, s:I, s:b, s:o}", "lifetime_seconds", (json_int_t)OR(m->life_seconds, POLICY_MM_LIFE_DEFAULT),
	    "quick_mode_limit", (json_int_t)m->qm_limit, "master_pfs", (int)m->master_pfs, "offers", mm_offers_json(m));
}

static json_t *qm_offer_json(const struct ipsec_offer *o)
{
	json_t *esp = o->has_esp ? json_pack("{s:s, s:s}", "encryption", ipsec_cipher_name(o->esp_encryption),
	    "integrity", ipsec_hash_name(o->esp_integrity)) : json_null();
	json_t *ah = o->has_ah ? json_pack("{s:s}", "integrity", ipsec_hash_name(o->ah_integrity)) : json_null();

	return json_pack("{s:o, s:o, s:I, s:I}", "esp", esp, "ah", ah,
	    "lifetime_seconds", (json_int_t)OR(o->life_seconds, POLICY_QM_LIFE_DEFAULT),
	    "lifetime_kbytes", (json_int_t)OR(o->life_kbytes, POLICY_QM_KB_DEFAULT));
}

json_t *qm_offers_json(const struct ipsec_offer *offers, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		list = array_add(list, qm_offer_json(&offers[i]));
	return list;
}
