/* Values to bytes.  Apart from the parsers: a program that only writes policies
 * links none of those. */
#include <arpa/inet.h>

#include "schema/err.h"
#include "schema/ipsecdata.h"
#include "schema/ipsecdata_blob.h"

int ipsecdata_policy_build(struct wr *ret, uint32_t polling_seconds, struct err *err)
{
	struct wr wr = { 0 };
	size_t body = blob_begin(&wr, BLOB_POLICY);

	wr_u32(&wr, polling_seconds);
	blob_end(&wr, body);
	return blob_finish(ret, &wr, 0, err);
}

static void wr_zero(struct wr *wr, size_t n)
{
	while (n--)
		wr_u8(wr, 0);
}

/* Both modes number the ciphers alike. */
static uint32_t cipher_id(enum ipsec_cipher c)
{
	return c == IPSEC_CIPHER_3DES ? 3 : c == IPSEC_CIPHER_DES ? 1 : 0;
}

static uint32_t hash_id(enum ipsec_hash h)
{
	return h == IPSEC_HASH_SHA1 ? 2 : h == IPSEC_HASH_MD5 ? 1 : 0;
}

static void mm_offer_build(struct wr *wr, const struct ipsec_mm_offer *o)
{
	wr_zero(wr, 4);
	wr_u32(wr, cipher_id(o->encryption));
	wr_u32(wr, 64);			/* key length and rounds as Windows writes them */
	wr_u32(wr, 8);
	wr_u32(wr, hash_id(o->hash));
	wr_u32(wr, 64);
	wr_zero(wr, 12);
	wr_u8(wr, o->random_function);
	wr_zero(wr, 7);
	wr_u32(wr, o->group == 14 ? 0x10000001u : o->group);
	wr_u32(wr, o->qm_limit);
	wr_u32(wr, o->life_kbytes);
	wr_u32(wr, o->life_seconds);
	wr_u32(wr, 0);
}

int ipsecdata_isakmp_build(struct wr *ret, const struct ipsec_isakmp *m, struct err *err)
{
	struct wr wr = { 0 };
	size_t body = blob_begin(&wr, BLOB_ISAKMP);

	wr_bytes(&wr, m->instance.b, sizeof(m->instance.b));
	wr_u32(&wr, 0);
	wr_u32(&wr, m->master_pfs);
	wr_u32(&wr, (m->map_account ? 1 : 0) | (m->exclude_ca ? 2 : 0));
	wr_bytes(&wr, m->new_dh, sizeof(m->new_dh));
	wr_u32(&wr, m->qm_limit);
	wr_u32(&wr, m->life_seconds);
	wr_zero(&wr, 20);
	wr_u32(&wr, (uint32_t)m->n_offers);
	for (size_t i = 0; i < m->n_offers; i++)
		mm_offer_build(&wr, &m->offers[i]);
	blob_end(&wr, body);
	return blob_finish(ret, &wr, 0, err);
}

static void algorithm_build(struct wr *wr, uint32_t algorithm, uint32_t integrity, uint32_t type)
{
	wr_u32(wr, algorithm);
	wr_u32(wr, integrity);
	wr_u32(wr, type);
	wr_u32(wr, 64);			/* key length and rounds as Windows writes them */
	wr_u32(wr, 8);
}

static void qm_offer_build(struct wr *wr, const struct ipsec_offer *o, bool pfs)
{
	int n = o->has_ah + o->has_esp;

	wr_u32(wr, o->life_seconds);
	wr_u32(wr, o->life_kbytes);
	wr_u32(wr, 0);
	wr_u32(wr, pfs);
	wr_u32(wr, (uint32_t)n);
	if (o->has_ah)
		algorithm_build(wr, hash_id(o->ah_integrity), 0, 1);
	if (o->has_esp)
		algorithm_build(wr, cipher_id(o->esp_encryption), hash_id(o->esp_integrity), 2);
	wr_zero(wr, (size_t)(3 - n) * 20);
}

/* "Allow unsecured" is an offer of no algorithms, last as Windows writes it. */
int ipsecdata_negpol_build(struct wr *ret, const struct ipsec_negpol *n, struct err *err)
{
	struct wr wr = { 0 };
	size_t body = blob_begin(&wr, BLOB_NEGPOL);
	int rc = 0;

	wr_u32(&wr, (uint32_t)n->n_offers + n->soft);
	for (size_t i = 0; !rc && i < n->n_offers; i++) {
		/* Without an algorithm it would read as "allow unsecured". */
		if (!n->offers[i].has_ah && !n->offers[i].has_esp)
			rc = err_set(err, ERR_FORMAT, "offer %zu: neither AH nor ESP", i + 1);
		qm_offer_build(&wr, &n->offers[i], n->pfs);
	}
	if (n->soft)
		wr_zero(&wr, 80);
	blob_end(&wr, body);
	return blob_finish(ret, &wr, rc, err);
}

/* Action and type: [MS-GPIPSEC] 2.2.1.4.1. */
const char *ipsecdata_action_guid(const struct ipsec_negpol *n)
{
	switch (n->action) {
	case IPSEC_PERMIT:
		return n->inpass ? NULL : "{8A171DD2-77E3-11D1-8659-A04F00000000}";
	case IPSEC_BLOCK:
		return n->inpass ? NULL : "{3F91A819-7647-11D1-864D-D46A00000000}";
	case IPSEC_NEGOTIATE:
		return n->inpass ? "{3F91A81A-7647-11D1-864D-D46A00000000}" :
		    "{8A171DD3-77E3-11D1-8659-A04F00000000}";
	}
	return NULL;
}

const char *ipsecdata_type_guid(const struct ipsec_negpol *n)
{
	return n->default_response ? "{62F49E13-6C37-11D1-864C-14A300000000}" :
	    "{62F49E10-6C37-11D1-864C-14A300000000}";
}

/* ---- rules ---- */

static uint32_t conntype_word(enum ipsec_conntype c)
{
	switch (c) {
	case IPSEC_CONN_LAN: return NFA_CONN_LAN;
	case IPSEC_CONN_DIALUP: return NFA_CONN_DIALUP;
	case IPSEC_CONN_ALL: break;
	}
	return NFA_CONN_ALL;
}

static void extensions_build(struct wr *wr, const struct ipsec_rule *r)
{
	bool alternate = false, flags = false;

	for (size_t i = 0; i < r->n_auth; i++) {
		alternate = alternate || r->auth[i].alt_type;
		flags = flags || r->auth[i].map_account || r->auth[i].exclude_ca;
	}
	if (alternate) {
		wr_bytes(wr, nfa_marks[NFA_ALTERNATE].b, 16);
		wr_u32(wr, (uint32_t)r->n_auth);
		for (size_t i = 0; i < r->n_auth; i++) {
			wr_u32(wr, r->auth[i].alt_type);
			wr_u32(wr, (uint32_t)r->auth[i].alt_len);
			wr_bytes(wr, r->auth[i].alt, r->auth[i].alt_len);
		}
	}
	if (flags) {
		wr_bytes(wr, nfa_marks[NFA_FLAGS].b, 16);
		wr_u32(wr, 0);
		for (size_t i = 0; i < r->n_auth; i++)
			wr_u32(wr, (r->auth[i].map_account ? 1 : 0) | (r->auth[i].exclude_ca ? 2 : 0));
	}
	if (r->tunnel && r->tunnel_end.family == AF_INET6) {
		wr_bytes(wr, nfa_marks[NFA_TUNNEL6].b, 16);
		wr_bytes(wr, r->tunnel_end.lo, 16);
	}
}

/* The extensions stand before the pad and are not counted in Data-Length, so
 * that a 2003 host, which reads no further, understands the rest. */
int ipsecdata_nfa_build(struct wr *ret, const struct ipsec_rule *r, struct err *err)
{
	static const uint8_t no_end[4];
	struct wr wr = { 0 };
	int rc = 0;
	size_t body;

	body = blob_begin(&wr, BLOB_NFA);
	wr_u32(&wr, (uint32_t)r->n_auth);
	for (size_t i = 0; !rc && i < r->n_auth; i++) {
		wr_u32(&wr, r->auth[i].method);
		rc = blob_string_build(&wr, r->auth[i].text, "authentication data", err);
		if (rc)
			err_prefix(err, "authentication method %zu", i + 1);
	}
	wr_u32(&wr, conntype_word(r->conntype));
	if (!rc)
		rc = blob_string_build(&wr, r->interface_name, "Interface-Name", err);
	wr_bytes(&wr, r->tunnel && r->tunnel_end.family == AF_INET ? r->tunnel_end.lo : no_end, 4);
	wr_u32(&wr, r->tunnel);
	wr_u32(&wr, r->active);
	if (!rc)
		rc = blob_string_build(&wr, r->tunnel_name, "Tunnel-End-Point-Name", err);
	blob_end(&wr, body);
	extensions_build(&wr, r);
	return blob_finish(ret, &wr, rc, err);
}
