/* Filter lists, bytes to values: [MS-GPIPSEC] 2.2.1.5.1. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ipsecdata.h"
#include "schema/ipsecdata_blob.h"
#include "schema/snapshot.h"

#define FILTER1_MIN	64	/* bytes, with three strings of no length */
#define FILTER2_MIN	136
#define FLAG_V2_ONLY	0x08u	/* the version 1 list repeats this one */

static int head_parse(struct ipsec_filter *f, struct arena *a, struct rd *rd, struct err *err)
{
	const uint8_t *id;
	uint32_t mirrored;

	if (blob_string(&f->src_dns, a, rd, "source name", err) ||
	    blob_string(&f->dst_dns, a, rd, "destination name", err) ||
	    blob_string(&f->description, a, rd, "description", err))
		return -1;
	id = rd_bytes(rd, sizeof(f->id.b));
	mirrored = rd_u32(rd);
	if (rd->bad)
		return err_set(err, ERR_FORMAT, "cut short");
	if (mirrored > 1)
		return err_set(err, ERR_FORMAT, "mirror option %u is neither 0 nor 1", mirrored);
	memcpy(f->id.b, id, sizeof(f->id.b));
	f->mirrored = mirrored;
	return 0;
}

static int protocol_set(struct ipsec_filter *f, uint32_t protocol, struct err *err)
{
	if (protocol > 255)
		return err_set(err, ERR_FORMAT, "protocol %u is above 255", protocol);
	f->protocol = (uint8_t)protocol;
	return 0;
}

/* ---- version 1 ---- */

static int mask_prefix(unsigned *ret, const uint8_t b[static 4], const char *side, struct err *err)
{
	uint32_t mask = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	uint32_t host = ~mask;

	if (host & (host + 1))
		return err_set(err, ERR_FORMAT, "%s mask %u.%u.%u.%u is not contiguous", side,
		    b[0], b[1], b[2], b[3]);
	for (*ret = 0; mask; mask <<= 1)
		++*ret;
	return 0;
}

/* 0.0.0.0 is "any" or "me", which only the mask tells: none of it or all of it.
 * Host bits under the mask do not count on the wire and are dropped. */
static int addr1_parse(struct ipsec_addr *ret, const uint8_t b[static 8], const char *side, struct err *err)
{
	static const uint8_t zero[4];
	unsigned prefix;

	if (mask_prefix(&prefix, b + 4, side, err))
		return -1;
	if (prefix == 0)
		*ret = (struct ipsec_addr){ .kind = IPSEC_ADDR_ANY };
	else if (prefix == 32 && !memcmp(b, zero, sizeof(zero)))
		*ret = (struct ipsec_addr){ .kind = IPSEC_ADDR_ME };
	else
		ipsec_addr_net(ret, AF_INET, b, prefix);
	return 0;
}

/* 1..4 replace the source, 0x81..0x84 the destination. */
static int special_apply(struct ipsec_filter *f, uint8_t special, struct err *err)
{
	static const enum ipsec_addr_kind kinds[] = {
		IPSEC_ADDR_DNS, IPSEC_ADDR_WINS, IPSEC_ADDR_DHCP, IPSEC_ADDR_GATEWAY,
	};
	uint8_t which = special & 0x7f;

	if (special == 0)
		return 0;
	if (which < 1 || which > 4)
		return err_set(err, ERR_FORMAT, "special filter 0x%02x is not known", special);
	*(special & 0x80 ? &f->dst : &f->src) = (struct ipsec_addr){ .kind = kinds[which - 1] };
	return 0;
}

static int filter1_parse(struct ipsec_filter *f, struct arena *a, struct rd *rd, struct err *err)
{
	const uint8_t *addrs, *tunnel_addr;
	uint8_t tunnel, special;
	uint32_t protocol;

	if (head_parse(f, a, rd, err))
		return -1;
	addrs = rd_bytes(rd, 16);
	tunnel_addr = rd_bytes(rd, 4);
	protocol = rd_u32(rd);
	f->src_port.lo = f->src_port.hi = rd_u16(rd);
	f->dst_port.lo = f->dst_port.hi = rd_u16(rd);
	tunnel = rd_u8(rd);
	special = rd_u8(rd);
	rd_u16(rd);
	if (rd->bad)
		return err_set(err, ERR_FORMAT, "cut short");
	if (tunnel > 1)
		return err_set(err, ERR_FORMAT, "Is-Tunnel %u is neither 0 nor 1", tunnel);
	f->tunnel = tunnel;
	if (tunnel)
		memcpy(f->tunnel_addr, tunnel_addr, sizeof(f->tunnel_addr));
	if (addr1_parse(&f->src, addrs, "source", err) ||
	    addr1_parse(&f->dst, addrs + 8, "destination", err) ||
	    special_apply(f, special, err) || protocol_set(f, protocol, err))
		return -1;
	return ipsec_filter_check(f, err);
}

/* ---- version 2 ---- */

static int subnet2_parse(struct ipsec_addr *ret, uint8_t family, const uint8_t *addr, const uint8_t *second, const char *side, struct err *err)
{
	unsigned prefix = second[0];

	if (family == AF_INET && mask_prefix(&prefix, second, side, err))
		return -1;
	if (!ipsec_addr_net(ret, family, addr, prefix))
		return err_set(err, ERR_FORMAT, "%s prefix %u is above 128", side, prefix);
	return 0;
}

static int addr2_parse(struct ipsec_addr *ret, struct rd rd, const char *side, struct err *err)
{
	static const uint8_t zero[16];
	uint32_t type = rd_u32(&rd), version = rd_u32(&rd);
	const uint8_t *first = rd_bytes(&rd, 16), *second = rd_bytes(&rd, 16);
	uint8_t family = version == 1 ? AF_INET : version == 2 ? AF_INET6 : AF_UNSPEC;
	struct ipsec_addr symbolic = { .family = family };

	if (version < 1 || version > 3)
		return err_set(err, ERR_FORMAT, "%s address version %u is not known", side, version);
	if (version == 3 && (type == 1 || type == 2 || type == 4))
		return err_set(err, ERR_FORMAT, "%s address of type %u is said to be of both families", side, type);
	switch (type) {
	case 0:
		if (family != AF_UNSPEC)
			ipsec_addr_net(ret, family, zero, 0);
		else
			*ret = symbolic;	/* IPSEC_ADDR_ANY */
		return 0;
	case 1:
		ipsec_addr_net(ret, family, first, ipsec_addr_bits(family));
		return 0;
	case 2:
		if (!ipsec_addr_range(ret, family, first, second))
			return err_set(err, ERR_FORMAT, "%s range is reversed", side);
		return 0;
	case 4:
		return subnet2_parse(ret, family, first, second, side, err);
	case 0x08: symbolic.kind = IPSEC_ADDR_ME; break;
	case 0x10: symbolic.kind = IPSEC_ADDR_DNS; break;
	case 0x20: symbolic.kind = IPSEC_ADDR_WINS; break;
	case 0x40: symbolic.kind = IPSEC_ADDR_DHCP; break;
	case 0x80: symbolic.kind = IPSEC_ADDR_GATEWAY; break;
	default:
		return err_set(err, ERR_FORMAT, "%s address type 0x%x is not known", side, type);
	}
	*ret = symbolic;
	return 0;
}

static int ports2_parse(struct ipsec_ports *ret, struct rd rd, const char *side, struct err *err)
{
	uint32_t type = rd_u32(&rd);
	uint16_t lo = rd_u16(&rd), hi = rd_u16(&rd);

	if (type > 2)
		return err_set(err, ERR_FORMAT, "%s port type %u is not known", side, type);
	if (type == 0 || (type == 2 && lo == 0 && hi == UINT16_MAX)) {
		*ret = (struct ipsec_ports){ 0, 0 };
		return 0;
	}
	if (type == 1)
		hi = lo;
	if (hi < lo)
		return err_set(err, ERR_FORMAT, "%s port range %u-%u is reversed", side, lo, hi);
	/* Port 0 alone would read as "any". */
	if (hi == 0)
		return err_set(err, ERR_FORMAT, "%s port is 0", side);
	*ret = (struct ipsec_ports){ lo, hi };
	return 0;
}

static int filter2_parse(struct ipsec_filter *f, uint32_t *flags, struct arena *a, struct rd *rd, struct err *err)
{
	struct rd src, dst, src_port, dst_port;
	uint32_t protocol;

	if (head_parse(f, a, rd, err))
		return -1;
	src = rd_sub(rd, 40);
	dst = rd_sub(rd, 40);
	src_port = rd_sub(rd, 8);
	dst_port = rd_sub(rd, 8);
	protocol = rd_u32(rd);
	*flags = rd_u32(rd);
	if (rd->bad)
		return err_set(err, ERR_FORMAT, "cut short");
	if (addr2_parse(&f->src, src, "source", err) || addr2_parse(&f->dst, dst, "destination", err) ||
	    ports2_parse(&f->src_port, src_port, "source", err) ||
	    ports2_parse(&f->dst_port, dst_port, "destination", err) ||
	    protocol_set(f, protocol, err))
		return -1;
	return ipsec_filter_check(f, err);
}

/* ---- the list ---- */

struct list {
	struct ipsec_filter	*filters;
	size_t			 n;
};

static bool mark_ahead(const struct rd *rd)
{
	return rd_left(rd) && memmem(rd->p, rd_left(rd), blob_guids[BLOB_FILTER2].b, 16);
}

/* Number-Of-Filters1 does not count when the version 2 block, which follows,
 * says another number: so where there is one, records go on until its GUID.
 * (Neither the GUID nor a pad and the GUID can start a record: as a length
 * their first four bytes exceed BLOB_MAX.) */
static int list1_parse(struct list *l, uint32_t *said, bool *more, struct arena *a, uint32_t len, struct rd *rd, struct err *err)
{
	const uint8_t *body = rd->p;
	bool ahead;

	*said = rd_u32(rd);
	ahead = mark_ahead(rd);
	*more = false;
	if (rd->bad || (!ahead && *said > rd_left(rd) / FILTER1_MIN))
		return err_set(err, ERR_FORMAT, "%u filters do not fit the bytes left", *said);
	for (;;) {
		struct rd at = *rd;
		struct ipsec_filter *f;

		if (blob_mark(&at, &blob_guids[BLOB_FILTER2])) {
			*more = true;
			break;
		}
		if (ahead ? rd_left(rd) <= 1 : l->n == *said)
			break;
		f = arena_grow(a, l->filters, l->n, sizeof(*f));
		if (!f)
			return err_nomem(err);
		l->filters = f;
		f += l->n;
		memset(f, 0, sizeof(*f));
		if (filter1_parse(f, a, rd, err))
			return err_prefix(err, "filter %zu", l->n + 1);
		l->n++;
	}
	return blob_length_check(len, (size_t)(rd->p - body), err);
}

static int list2_parse(struct list *l, uint32_t *n1, bool *only, struct arena *a, struct rd *rd, struct err *err)
{
	uint32_t len, n, flags;
	const uint8_t *body;

	blob_mark(rd, &blob_guids[BLOB_FILTER2]);
	len = rd_u32(rd);
	body = rd->p;
	*n1 = rd_u32(rd);
	n = rd_u32(rd);
	if (rd->bad || n > rd_left(rd) / FILTER2_MIN)
		return err_set(err, ERR_FORMAT, "%u version 2 filters do not fit the bytes left", n);
	l->filters = arena_zalloc(a, n, sizeof(*l->filters));
	if (!l->filters)
		return err_nomem(err);
	for (*only = false; l->n < n; l->n++) {
		if (filter2_parse(&l->filters[l->n], &flags, a, rd, err))
			return err_prefix(err, "version 2 filter %zu", l->n + 1);
		*only = *only || flags & FLAG_V2_ONLY;
	}
	return blob_length_check(len, (size_t)(rd->p - body), err);
}

static int id_cmp(const void *x, const void *y)
{
	return memcmp(x, y, sizeof(struct guid));
}

/* Version 1 first, then those of version 2 whose GUID it does not have.  The zero
 * GUID identifies nothing. */
static int lists_join(struct list *v1, const struct list *v2, struct arena *a, struct err *err)
{
	struct guid *ids = arena_zalloc(a, v1->n, sizeof(*ids));
	struct ipsec_filter *all = arena_zalloc(a, v1->n + v2->n, sizeof(*all));
	size_t n_ids = v1->n;

	if (!ids || !all)
		return err_nomem(err);
	for (size_t i = 0; i < n_ids; i++) {
		ids[i] = v1->filters[i].id;
		all[i] = v1->filters[i];
	}
	qsort(ids, n_ids, sizeof(*ids), id_cmp);
	v1->filters = all;
	for (size_t i = 0; i < v2->n; i++) {
		const struct guid *id = &v2->filters[i].id;
		static const struct guid zero;

		if (id_cmp(id, &zero) && bsearch(id, ids, n_ids, sizeof(*ids), id_cmp))
			continue;
		v1->filters[v1->n++] = v2->filters[i];
	}
	return 0;
}

int ipsecdata_filter_parse(struct ipsec_filter_list *ret, struct arena *a, const struct dir_value *blob, struct err *err)
{
	struct list v1 = { 0 }, v2 = { 0 };
	uint32_t len, said, said2 = 0;
	bool more, only = false;
	struct rd rd;

	if (blob_open(&rd, &len, blob, BLOB_FILTER, err) ||
	    list1_parse(&v1, &said, &more, a, len, &rd, err))
		return -1;
	if (more && list2_parse(&v2, &said2, &only, a, &rd, err))
		return -1;
	if (said2)
		said = said2;
	if (v1.n != said)
		return err_set(err, ERR_FORMAT, "%u filters are said, %zu are there", said, v1.n);
	if (blob_close(&rd, err))
		return -1;
	if (only)
		v1 = v2;
	else if (v2.n && lists_join(&v1, &v2, a, err))
		return -1;
	ret->filters = v1.filters;
	ret->n_filters = v1.n;
	return 0;
}
