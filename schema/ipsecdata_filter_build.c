/* Filter lists, values to bytes.  Which version says a list:
 *
 *  1. every filter fits version 1: version 1 alone, which any Windows reads;
 *  2. every filter is clean version 2: version 2 alone with the flag "use these"
 *     in each, and an empty version 1 list.  A Windows that knows version 2
 *     ignores the version 1 list then; one that does not (2003) sees no filter
 *     rather than a wider or partial one;
 *  3. else (a version 1 "any" is of no family, which version 2 must not say;
 *     Is-Tunnel exists in version 1 only): the leading filters that fit version 1
 *     there, the others in version 2 without the flag: readers take both. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "schema/err.h"
#include "schema/ipsecdata.h"
#include "schema/ipsecdata_blob.h"

static bool kind_is_server(enum ipsec_addr_kind k)
{
	return k >= IPSEC_ADDR_DNS && k <= IPSEC_ADDR_GATEWAY;
}

static bool addr_fits1(const struct ipsec_addr *a)
{
	static const uint8_t zero[4];

	if (a->kind == IPSEC_ADDR_RANGE)
		return false;
	if (a->kind != IPSEC_ADDR_NET)
		return a->family == AF_UNSPEC;
	/* 0.0.0.0/0 and /32 would read as "any" (of both families) and "me". */
	return a->family == AF_INET && a->prefix > 0 &&
	    !(a->prefix == 32 && !memcmp(a->lo, zero, sizeof(zero)));
}

static bool filter_fits1(const struct ipsec_filter *f)
{
	return addr_fits1(&f->src) && addr_fits1(&f->dst) &&
	    !(kind_is_server(f->src.kind) && kind_is_server(f->dst.kind)) &&
	    f->src_port.lo == f->src_port.hi && f->dst_port.lo == f->dst_port.hi;
}

static bool filter_fits2(const struct ipsec_filter *f)
{
	return !f->tunnel && f->src.kind != IPSEC_ADDR_ANY && f->dst.kind != IPSEC_ADDR_ANY;
}

static int head_build(struct wr *wr, const struct ipsec_filter *f, struct err *err)
{
	if (blob_string_build(wr, f->src_dns, "source name", err) ||
	    blob_string_build(wr, f->dst_dns, "destination name", err) ||
	    blob_string_build(wr, f->description, "description", err))
		return -1;
	wr_bytes(wr, f->id.b, sizeof(f->id.b));
	wr_u32(wr, f->mirrored);
	return 0;
}

static void wr_mask(struct wr *wr, unsigned prefix)
{
	const uint32_t mask = htonl(prefix ? UINT32_MAX << (32 - prefix) : 0);

	wr_bytes(wr, &mask, sizeof(mask));
}

/* Beside a server kind stands what "me" looks like: the narrowest an older reader,
 * which does not know the special byte, can make of it. */
static void addr1_build(struct wr *wr, const struct ipsec_addr *a)
{
	unsigned prefix = a->kind == IPSEC_ADDR_NET ? a->prefix : a->kind == IPSEC_ADDR_ANY ? 0 : 32;

	wr_bytes(wr, a->lo, 4);
	wr_mask(wr, prefix);
}

static int filter1_build(struct wr *wr, const struct ipsec_filter *f, struct err *err)
{
	uint8_t special = 0;

	if (head_build(wr, f, err))
		return -1;
	addr1_build(wr, &f->src);
	addr1_build(wr, &f->dst);
	wr_bytes(wr, f->tunnel_addr, sizeof(f->tunnel_addr));
	wr_u32(wr, f->protocol);
	wr_u16(wr, f->src_port.lo);
	wr_u16(wr, f->dst_port.lo);
	wr_u8(wr, f->tunnel);
	if (kind_is_server(f->src.kind))
		special = (uint8_t)(f->src.kind - IPSEC_ADDR_DNS + 1);
	else if (kind_is_server(f->dst.kind))
		special = (uint8_t)(0x80 | (f->dst.kind - IPSEC_ADDR_DNS + 1));
	wr_u8(wr, special);
	wr_u16(wr, 0);
	return 0;
}

static uint32_t addr2_type(const struct ipsec_addr *a)
{
	switch (a->kind) {
	case IPSEC_ADDR_ANY: return 0;
	case IPSEC_ADDR_ME: return 0x08;
	case IPSEC_ADDR_DNS: return 0x10;
	case IPSEC_ADDR_WINS: return 0x20;
	case IPSEC_ADDR_DHCP: return 0x40;
	case IPSEC_ADDR_GATEWAY: return 0x80;
	case IPSEC_ADDR_RANGE: return 2;
	case IPSEC_ADDR_NET: break;
	}
	return a->prefix == 0 ? 0 : a->prefix == ipsec_addr_bits(a->family) ? 1 : 4;
}

static void addr2_build(struct wr *wr, const struct ipsec_addr *a)
{
	static const uint8_t zero[16];
	uint32_t type = addr2_type(a);

	wr_u32(wr, type);
	wr_u32(wr, a->family == AF_INET ? 1 : a->family == AF_INET6 ? 2 : 3);
	wr_bytes(wr, a->lo, 16);
	if (type == 4 && a->family == AF_INET) {
		wr_mask(wr, a->prefix);
		wr_bytes(wr, zero, 12);
	} else if (type == 4) {
		wr_u8(wr, a->prefix);
		wr_bytes(wr, zero, 15);
	} else {
		wr_bytes(wr, a->hi, 16);
	}
}

static void ports2_build(struct wr *wr, const struct ipsec_ports *p)
{
	uint32_t type = ipsec_ports_any(p) ? 0 : p->lo == p->hi ? 1 : 2;

	wr_u32(wr, type);
	wr_u16(wr, p->lo);
	wr_u16(wr, type == 2 ? p->hi : 0);
}

static int filter2_build(struct wr *wr, const struct ipsec_filter *f, uint32_t flags, struct err *err)
{
	if (f->tunnel)
		return err_set(err, ERR_UNSUPPORTED, "Is-Tunnel cannot be said in version 2");
	if (head_build(wr, f, err))
		return -1;
	addr2_build(wr, &f->src);
	addr2_build(wr, &f->dst);
	ports2_build(wr, &f->src_port);
	ports2_build(wr, &f->dst_port);
	wr_u32(wr, f->protocol);
	wr_u32(wr, flags);
	return 0;
}

struct place {
	struct guid	id;
	size_t		at;
};

static int place_cmp(const void *x, const void *y)
{
	const struct place *a = x, *b = y;
	int cmp = memcmp(a->id.b, b->id.b, sizeof(a->id.b));

	return cmp ? cmp : a->at < b->at ? -1 : a->at > b->at;
}

/* The largest split up to *split with no GUID on both sides of it: a reader would
 * take the second filter for the first.  The zero GUID identifies nothing. */
static int split_safe(size_t *split, const struct ipsec_filter_list *l, struct err *err)
{
	struct place *places = calloc(l->n_filters, sizeof(*places));
	size_t *last = calloc(l->n_filters, sizeof(*last));
	size_t reach = 0, best = 0;
	int rc = -1;

	if (!places || !last) {
		err_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < l->n_filters; i++)
		places[i] = (struct place){ l->filters[i].id, i };
	qsort(places, l->n_filters, sizeof(*places), place_cmp);
	for (size_t i = l->n_filters; i-- > 0; ) {
		const struct place *next = i + 1 < l->n_filters ? &places[i + 1] : NULL;
		bool same = next && !guid_is_zero(&next->id) && !guid_cmp(&next->id, &places[i].id);

		last[places[i].at] = same ? last[next->at] : places[i].at;
	}
	for (size_t i = 0; i < *split; i++) {
		reach = last[i] > reach ? last[i] : reach;
		if (reach == i)
			best = i + 1;
	}
	*split = best;
	rc = 0;
out:
	free(places);
	free(last);
	return rc;
}

/* filters[0..split) go into version 1, the others into version 2. */
static int split_find(size_t *ret, uint32_t *flags, const struct ipsec_filter_list *l, struct err *err)
{
	size_t split = 0, clean = 0;

	while (split < l->n_filters && filter_fits1(&l->filters[split]))
		split++;
	while (clean < l->n_filters && filter_fits2(&l->filters[clean]))
		clean++;
	*flags = 0;
	if (split < l->n_filters && clean == l->n_filters) {
		split = 0;
		*flags = 0x08;
	} else if (split < l->n_filters && split_safe(&split, l, err)) {
		return -1;
	}
	*ret = split;
	return 0;
}

int ipsecdata_filter_build(struct wr *ret, const struct ipsec_filter_list *l, struct err *err)
{
	struct wr wr = { 0 };
	uint32_t flags;
	size_t split, body;
	int rc = 0;

	if (split_find(&split, &flags, l, err))
		return -1;
	body = blob_begin(&wr, BLOB_FILTER);
	wr_u32(&wr, (uint32_t)split);
	for (size_t i = 0; !rc && i < l->n_filters; i++) {
		if (i == split) {
			blob_end(&wr, body);
			body = blob_begin(&wr, BLOB_FILTER2);
			wr_u32(&wr, (uint32_t)split);
			wr_u32(&wr, (uint32_t)(l->n_filters - split));
		}
		rc = i < split ? filter1_build(&wr, &l->filters[i], err) :
		    filter2_build(&wr, &l->filters[i], flags, err);
		if (rc)
			err_prefix(err, "filter %zu", i + 1);
	}
	blob_end(&wr, body);
	return blob_finish(ret, &wr, rc, err);
}
