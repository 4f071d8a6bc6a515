#include "schema/ipsecdata.h"

#include <string.h>
#include <strings.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ipsecdata_blob.h"
#include "schema/snapshot.h"

#define MM_OFFER_SIZE	64
#define QM_OFFER_SIZE	80
#define QM_ALGORITHMS	3	/* slots, of which the offer counts the used ones */
#define GROUP14		0x10000001u

int ipsecdata_policy_parse(uint32_t *ret_polling_seconds, const struct dir_value *blob, struct err *err)
{
	uint32_t len, polling;
	struct rd rd;

	if (blob_open(&rd, &len, blob, BLOB_POLICY, err))
		return -1;
	if (len != 4)
		return err_set(err, ERR_FORMAT, "Data-Length is %u, not 4", len);
	polling = rd_u32(&rd);
	if (rd.bad)
		return err_set(err, ERR_FORMAT, "polling interval is cut short");
	if (blob_close(&rd, err))
		return -1;
	*ret_polling_seconds = polling ? polling : POLICY_POLLING_DEFAULT;
	return 0;
}

/* ---- main mode, [MS-GPIPSEC] 2.2.1.2.1 ---- */

static int mm_algorithms(struct ipsec_mm_offer *o, uint32_t cipher, uint32_t hash, uint32_t group, struct err *err)
{
	switch (cipher) {
	case 0: o->encryption = IPSEC_CIPHER_NONE; break;
	case 1: o->encryption = IPSEC_CIPHER_DES; break;
	case 2: case 3: o->encryption = IPSEC_CIPHER_3DES; break;
	default: return err_set(err, ERR_FORMAT, "encryption %u is not known", cipher);
	}
	switch (hash) {
	case 0: o->hash = IPSEC_HASH_NONE; break;
	case 1: o->hash = IPSEC_HASH_MD5; break;
	case 2: o->hash = IPSEC_HASH_SHA1; break;
	default: return err_set(err, ERR_FORMAT, "hash %u is not known", hash);
	}
	switch (group) {
	case 0: case 1: case 2: o->group = group; break;
	case GROUP14: o->group = 14; break;
	default: return err_set(err, ERR_FORMAT, "group 0x%x is not known", group);
	}
	return 0;
}

static int mm_offer_parse(struct ipsec_mm_offer *o, struct rd rd, struct err *err)
{
	uint32_t cipher, hash, group;

	rd_u32(&rd);			/* version, and two bytes of stale memory */
	/* Ids are two words; the upper one holds a key length and is ignored. */
	cipher = rd_u32(&rd);
	rd_bytes(&rd, 8);
	hash = rd_u32(&rd);
	rd_bytes(&rd, 16);
	o->random_function = rd_u8(&rd);
	rd_bytes(&rd, 7);
	group = rd_u32(&rd);
	o->qm_limit = rd_u32(&rd);
	o->life_kbytes = rd_u32(&rd);
	o->life_seconds = rd_u32(&rd);
	/* PFS-Identity-Required follows: stale memory in real data. */
	if (o->random_function) {
		o->qm_limit = o->life_kbytes = o->life_seconds = 0;
		if (!ipsec_mm_function(o, o->random_function))
			return err_set(err, ERR_FORMAT, "Random-Function %u is not known", o->random_function);
		return 0;
	}
	return mm_algorithms(o, cipher, hash, group, err);
}

static int isakmp_head_parse(struct ipsec_isakmp *m, struct rd *rd, struct err *err)
{
	uint32_t pfs, options, function;
	const uint8_t *instance;
	bool ended = false;

	instance = rd_bytes(rd, sizeof(m->instance.b));
	rd_u32(rd);
	pfs = rd_u32(rd);
	options = rd_u32(rd);
	memset(m->new_dh, 0, sizeof(m->new_dh));
	for (int i = 0; i < 4; i++) {
		function = rd_u8(rd);
		ended = ended || function == 0;
		if (ended)
			continue;
		if (function > 4)
			return err_set(err, ERR_FORMAT, "New-DH %d is %u, not known", i + 1, function);
		m->new_dh[i] = (uint8_t)function;
	}
	m->qm_limit = rd_u32(rd);
	m->life_seconds = rd_u32(rd);
	rd_bytes(rd, 20);
	if (rd->bad)
		return err_set(err, ERR_FORMAT, "header is cut short");
	if (pfs > 1)
		return err_set(err, ERR_FORMAT, "Master-PFS-Required is %u, neither 0 nor 1", pfs);
	memcpy(m->instance.b, instance, sizeof(m->instance.b));
	m->master_pfs = pfs;
	m->map_account = options & 1;
	m->exclude_ca = options & 2;
	return 0;
}

int ipsecdata_isakmp_parse(struct ipsec_isakmp *ret, struct arena *a, const struct dir_value *blob, struct err *err)
{
	struct ipsec_isakmp m = *ret;
	const uint8_t *body;
	uint32_t len, n;
	struct rd rd;

	if (blob_open(&rd, &len, blob, BLOB_ISAKMP, err))
		return -1;
	body = rd.p;
	if (isakmp_head_parse(&m, &rd, err))
		return -1;
	n = rd_u32(&rd);
	if (rd.bad || n > rd_left(&rd) / MM_OFFER_SIZE)
		return err_set(err, ERR_FORMAT, "%u security methods do not fit the bytes left", n);
	m.offers = arena_zalloc(a, n, sizeof(*m.offers));
	if (!m.offers)
		return err_nomem(err);
	for (m.n_offers = 0; m.n_offers < n; m.n_offers++)
		if (mm_offer_parse(&m.offers[m.n_offers], rd_sub(&rd, MM_OFFER_SIZE), err))
			return err_prefix(err, "security method %zu", m.n_offers + 1);
	if (blob_length_check(len, (size_t)(rd.p - body), err) || blob_close(&rd, err))
		return -1;
	*ret = m;
	return 0;
}

/* ---- filter actions, [MS-GPIPSEC] 2.2.1.4.1 ---- */

static int ah_parse(struct ipsec_offer *o, uint32_t algorithm, struct err *err)
{
	if (o->has_ah)
		return err_set(err, ERR_UNSUPPORTED, "two AH algorithms");
	if (algorithm != 1 && algorithm != 2)
		return err_set(err, ERR_FORMAT, "AH algorithm %u is not known", algorithm);
	o->has_ah = true;
	o->ah_integrity = algorithm == 1 ? IPSEC_HASH_MD5 : IPSEC_HASH_SHA1;
	return 0;
}

/* The specification's table says 1 is null and 2 is DES; the data Windows itself
 * writes means DES by 1 ("Require Security" offers it).  Neither is ever null. */
static int esp_parse(struct ipsec_offer *o, uint32_t algorithm, uint32_t integrity, struct err *err)
{
	static const enum ipsec_cipher ciphers[] = {
		IPSEC_CIPHER_NONE, IPSEC_CIPHER_DES, IPSEC_CIPHER_DES, IPSEC_CIPHER_3DES,
	};
	static const enum ipsec_hash hashes[] = { IPSEC_HASH_NONE, IPSEC_HASH_MD5, IPSEC_HASH_SHA1 };

	if (o->has_esp)
		return err_set(err, ERR_UNSUPPORTED, "two ESP algorithms");
	if (algorithm > 3)
		return err_set(err, ERR_FORMAT, "ESP algorithm %u is not known", algorithm);
	if (integrity > 2)
		return err_set(err, ERR_FORMAT, "ESP integrity %u is not known", integrity);
	if (algorithm == 0 && integrity == 0)
		return err_set(err, ERR_FORMAT, "ESP with neither encryption nor integrity");
	o->has_esp = true;
	o->esp_encryption = ciphers[algorithm];
	o->esp_integrity = hashes[integrity];
	return 0;
}

/* *soft is set, and *o left empty, by the "allow unsecured" marker: an offer of
 * no algorithms.  Slots beyond the count hold stale memory. */
static int qm_offer_parse(struct ipsec_offer *o, bool *soft, bool *pfs, struct rd rd, struct err *err)
{
	uint32_t wants_pfs, n, algorithm, integrity, type;

	o->life_seconds = rd_u32(&rd);
	o->life_kbytes = rd_u32(&rd);
	rd_u32(&rd);
	wants_pfs = rd_u32(&rd);
	n = rd_u32(&rd);
	if (n > QM_ALGORITHMS)
		return err_set(err, ERR_FORMAT, "%u algorithms, more than %d", n, QM_ALGORITHMS);
	*soft = n == 0;
	if (*soft)
		return 0;
	/* The specification's table has this field inverted. */
	if (wants_pfs)
		*pfs = true;
	while (n--) {
		algorithm = rd_u32(&rd);
		integrity = rd_u32(&rd);
		type = rd_u32(&rd);
		rd_bytes(&rd, 8);
		if (type != 1 && type != 2)
			return err_set(err, ERR_FORMAT, "algorithm type %u is neither AH nor ESP", type);
		if (type == 1 ? ah_parse(o, algorithm, err) : esp_parse(o, algorithm, integrity, err))
			return -1;
	}
	return 0;
}

int ipsecdata_negpol_parse(struct ipsec_negpol *ret, struct arena *a, const struct dir_value *blob, struct err *err)
{
	struct ipsec_negpol np = *ret;
	const uint8_t *body;
	uint32_t len, n;
	struct rd rd;
	bool soft = false;

	if (blob_open(&rd, &len, blob, BLOB_NEGPOL, err))
		return -1;
	body = rd.p;
	n = rd_u32(&rd);
	if (rd.bad || n > rd_left(&rd) / QM_OFFER_SIZE)
		return err_set(err, ERR_FORMAT, "%u offers do not fit the bytes left", n);
	np.soft = np.pfs = false;
	np.n_offers = 0;
	np.offers = arena_zalloc(a, n, sizeof(*np.offers));
	if (!np.offers)
		return err_nomem(err);
	for (uint32_t i = 0; i < n; i++) {
		struct ipsec_offer o = { 0 };

		if (qm_offer_parse(&o, &soft, &np.pfs, rd_sub(&rd, QM_OFFER_SIZE), err))
			return err_prefix(err, "offer %u", i + 1);
		if (soft)
			np.soft = true;
		else
			np.offers[np.n_offers++] = o;
	}
	if (blob_length_check(len, (size_t)(rd.p - body), err) || blob_close(&rd, err))
		return -1;
	*ret = np;
	return 0;
}

/* ---- action and type GUIDs of an action ---- */

int ipsecdata_action_parse(struct ipsec_negpol *ret, const char *action_guid, const char *type_guid, struct err *err)
{
	static const struct ipsec_negpol actions[] = {
		{ .action = IPSEC_BLOCK }, { .action = IPSEC_PERMIT }, { .action = IPSEC_NEGOTIATE },
		{ .action = IPSEC_NEGOTIATE, .inpass = true },
	};
	static const struct ipsec_negpol types[] = { { .default_response = false }, { .default_response = true } };
	size_t action = 0, type = 0;

	if (!action_guid)
		return err_set(err, ERR_FORMAT, "iPSECNegotiationPolicyAction is missing");
	if (!type_guid)
		return err_set(err, ERR_FORMAT, "iPSECNegotiationPolicyType is missing");
	while (action < 4 && strcasecmp(ipsecdata_action_guid(&actions[action]), action_guid))
		action++;
	if (action == 4)
		return err_set(err, ERR_FORMAT, "iPSECNegotiationPolicyAction '%s' is not known", action_guid);
	while (type < 2 && strcasecmp(ipsecdata_type_guid(&types[type]), type_guid))
		type++;
	if (type == 2)
		return err_set(err, ERR_FORMAT, "iPSECNegotiationPolicyType '%s' is not known", type_guid);
	ret->action = actions[action].action;
	ret->inpass = actions[action].inpass;
	ret->default_response = types[type].default_response;
	return 0;
}
