/* Rules, bytes to values: [MS-GPIPSEC] 2.2.1.3.1, and the extensions that Vista put behind it. */
#include <arpa/inet.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ipsecdata.h"
#include "schema/ipsecdata_blob.h"
#include "schema/snapshot.h"

static int auth_parse(struct ipsec_auth *m, struct arena *a, struct rd *rd, struct err *err)
{
	uint32_t type = rd_u32(rd);

	if (blob_string(&m->text, a, rd, "authentication data", err))
		return -1;
	if (type != IPSEC_AUTH_PSK && type != IPSEC_AUTH_CERT && type != IPSEC_AUTH_KERBEROS)
		return err_set(err, ERR_FORMAT, "authentication type %u is not known", type);
	m->method = type;
	if (type == IPSEC_AUTH_KERBEROS)
		m->text = "";
	return 0;
}

static int auths_parse(struct ipsec_rule *r, struct arena *a, struct rd *rd, struct err *err)
{
	uint32_t n = rd_u32(rd);

	if (rd->bad || n > rd_left(rd) / 8)
		return err_set(err, ERR_FORMAT, "%u authentication methods do not fit the bytes left", n);
	r->auth = arena_zalloc(a, n, sizeof(*r->auth));
	if (!r->auth)
		return err_nomem(err);
	for (r->n_auth = 0; r->n_auth < n; r->n_auth++)
		if (auth_parse(&r->auth[r->n_auth], a, rd, err))
			return err_prefix(err, "authentication method %zu", r->n_auth + 1);
	return 0;
}

static int conntype_parse(enum ipsec_conntype *ret, uint32_t type, struct err *err)
{
	switch (type) {
	case NFA_CONN_ALL: *ret = IPSEC_CONN_ALL; return 0;
	case NFA_CONN_LAN: *ret = IPSEC_CONN_LAN; return 0;
	case NFA_CONN_DIALUP: *ret = IPSEC_CONN_DIALUP; return 0;
	}
	return err_set(err, ERR_FORMAT, "Interface-Type 0x%x is not known", type);
}

static int body_parse(struct ipsec_rule *r, struct arena *a, struct rd *rd, struct err *err)
{
	uint32_t conn, tunnel, active;
	const uint8_t *end;

	if (auths_parse(r, a, rd, err))
		return -1;
	conn = rd_u32(rd);
	if (blob_string(&r->interface_name, a, rd, "Interface-Name", err))
		return -1;
	end = rd_bytes(rd, 4);
	tunnel = rd_u32(rd);
	active = rd_u32(rd);
	if (blob_string(&r->tunnel_name, a, rd, "Tunnel-End-Point-Name", err))
		return -1;
	if (tunnel > 1)
		return err_set(err, ERR_FORMAT, "Is-Tunnel-Specifier is %u, neither 0 nor 1", tunnel);
	if (active > 1)
		return err_set(err, ERR_FORMAT, "Is-Active-Specifier is %u, neither 0 nor 1", active);
	r->tunnel = tunnel;
	r->active = active;
	memset(&r->tunnel_end, 0, sizeof(r->tunnel_end));
	if (tunnel)
		ipsec_addr_net(&r->tunnel_end, AF_INET, end, 32);
	return conntype_parse(&r->conntype, conn, err);
}

static int alternate_parse(struct ipsec_rule *r, struct arena *a, struct rd *rd, struct err *err)
{
	uint32_t n = rd_u32(rd), len;
	const uint8_t *p;

	if (rd->bad || n != r->n_auth)
		return err_set(err, ERR_FORMAT, "%u alternate authentication methods beside %zu", n, r->n_auth);
	for (size_t i = 0; i < r->n_auth; i++) {
		r->auth[i].alt_type = rd_u32(rd);
		len = rd_u32(rd);
		p = rd_bytes(rd, len);
		if (!p)
			return err_set(err, ERR_FORMAT, "alternate authentication method %zu is cut short", i + 1);
		if (!r->auth[i].alt_type && len)
			return err_set(err, ERR_FORMAT, "alternate authentication method %zu of type 0 holds data", i + 1);
		if (!r->auth[i].alt_type)
			continue;
		r->auth[i].alt_len = len;
		r->auth[i].alt = arena_memdup(a, p, len);
		if (!r->auth[i].alt)
			return err_nomem(err);
	}
	return 0;
}

static int flags_parse(struct ipsec_rule *r, struct rd *rd, struct err *err)
{
	uint32_t flags;

	rd_u32(rd);
	for (size_t i = 0; i < r->n_auth; i++) {
		flags = rd_u32(rd);
		r->auth[i].map_account = flags & 1;
		r->auth[i].exclude_ca = flags & 2;
	}
	if (rd->bad)
		return err_set(err, ERR_FORMAT, "authentication flags are cut short");
	return 0;
}

static int tunnel6_parse(struct ipsec_rule *r, struct rd *rd, struct err *err)
{
	const uint8_t *end = rd_bytes(rd, 16);

	if (!end)
		return err_set(err, ERR_FORMAT, "IPv6 tunnel endpoint is cut short");
	if (r->tunnel)
		ipsec_addr_net(&r->tunnel_end, AF_INET6, end, 128);
	return 0;
}

/* Found by their marks, since Data-Length counts them with some writers only. */
static int extensions_parse(struct ipsec_rule *r, struct arena *a, struct rd *rd, struct err *err)
{
	bool seen[N_NFA_MARKS] = { false };
	int mark, rc;

	for (;;) {
		for (mark = 0; mark < N_NFA_MARKS && !blob_mark(rd, &nfa_marks[mark]); mark++)
			;
		if (mark == N_NFA_MARKS)
			return 0;
		if (seen[mark])
			return err_set(err, ERR_FORMAT, "an extension appears twice");
		seen[mark] = true;
		rc = mark == NFA_ALTERNATE ? alternate_parse(r, a, rd, err) :
		    mark == NFA_FLAGS ? flags_parse(r, rd, err) : tunnel6_parse(r, rd, err);
		if (rc)
			return -1;
	}
}

int ipsecdata_nfa_parse(struct ipsec_rule *ret, struct arena *a, const struct dir_value *blob, struct err *err)
{
	struct ipsec_rule r = *ret;
	const uint8_t *body, *end;
	struct err ignored;
	uint32_t len;
	struct rd rd;

	if (blob_open(&rd, &len, blob, BLOB_NFA, err))
		return -1;
	body = rd.p;
	if (body_parse(&r, a, &rd, err))
		return -1;
	end = rd.p;
	if (extensions_parse(&r, a, &rd, err))
		return -1;
	if (blob_length_check(len, (size_t)(rd.p - body), &ignored) &&
	    blob_length_check(len, (size_t)(end - body), err))
		return -1;
	if (blob_close(&rd, err))
		return -1;
	*ret = r;
	return 0;
}
