#include "schema/ipsecdata_blob.h"

#include <stdlib.h>
#include <string.h>

#include "schema/err.h"
#include "schema/snapshot.h"
#include "schema/utf.h"

const struct guid blob_guids[N_BLOB_BLOCKS] = {
	/* {22202163-4f4c-11d1-863b-00a0248d3021} */
	[BLOB_POLICY] = { { 0x63, 0x21, 0x20, 0x22, 0x4c, 0x4f, 0xd1, 0x11,
	    0x86, 0x3b, 0x00, 0xa0, 0x24, 0x8d, 0x30, 0x21 } },
	/* {80dc20b8-2ec8-11d1-a89e-00a0248d3021} */
	[BLOB_ISAKMP] = { { 0xb8, 0x20, 0xdc, 0x80, 0xc8, 0x2e, 0xd1, 0x11,
	    0xa8, 0x9e, 0x00, 0xa0, 0x24, 0x8d, 0x30, 0x21 } },
	/* {11bbac00-498d-11d1-8639-00a0248d3021} */
	[BLOB_NFA] = { { 0x00, 0xac, 0xbb, 0x11, 0x8d, 0x49, 0xd1, 0x11,
	    0x86, 0x39, 0x00, 0xa0, 0x24, 0x8d, 0x30, 0x21 } },
	/* {80dc20b9-2ec8-11d1-a89e-00a0248d3021} */
	[BLOB_NEGPOL] = { { 0xb9, 0x20, 0xdc, 0x80, 0xc8, 0x2e, 0xd1, 0x11,
	    0xa8, 0x9e, 0x00, 0xa0, 0x24, 0x8d, 0x30, 0x21 } },
	/* {80dc20b5-2ec8-11d1-a89e-00a0248d3021} */
	[BLOB_FILTER] = { { 0xb5, 0x20, 0xdc, 0x80, 0xc8, 0x2e, 0xd1, 0x11,
	    0xa8, 0x9e, 0x00, 0xa0, 0x24, 0x8d, 0x30, 0x21 } },
	/* {35fecd3d-ae29-4373-8a6a-c5d8fab2fb08} */
	[BLOB_FILTER2] = { { 0x3d, 0xcd, 0xfe, 0x35, 0x29, 0xae, 0x73, 0x43,
	    0x8a, 0x6a, 0xc5, 0xd8, 0xfa, 0xb2, 0xfb, 0x08 } },
};

/* {01010101-0101-0101-0101-010101010101}, ...0102, ...0103 */
#define MARK(last) { { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, last } }
const struct guid nfa_marks[N_NFA_MARKS] = {
	[NFA_ALTERNATE] = MARK(1), [NFA_FLAGS] = MARK(2), [NFA_TUNNEL6] = MARK(3),
};

static const char *const class_names[N_BLOB_BLOCKS] = {
	[BLOB_POLICY] = "ipsecPolicy", [BLOB_ISAKMP] = "ipsecISAKMPPolicy",
	[BLOB_NFA] = "ipsecNFA", [BLOB_NEGPOL] = "ipsecNegotiationPolicy",
	[BLOB_FILTER] = "ipsecFilter", [BLOB_FILTER2] = "ipsecFilter version 2",
};

static int block_find(const uint8_t *guid)
{
	for (int i = 0; i < N_BLOB_BLOCKS; i++)
		if (!memcmp(blob_guids[i].b, guid, sizeof(blob_guids[i].b)))
			return i;
	return -1;
}

int blob_open(struct rd *ret, uint32_t *ret_len, const struct dir_value *blob, enum blob_block want, struct err *err)
{
	struct rd rd = { blob->p, blob->p + blob->len, false };
	const uint8_t *guid;
	uint32_t len;
	int found;

	if (blob->len > BLOB_MAX)
		return err_set(err, ERR_LIMIT, "%zu bytes, more than %u", blob->len, BLOB_MAX);
	for (;;) {
		guid = rd_bytes(&rd, 16);
		len = rd_u32(&rd);
		if (rd.bad)
			return err_set(err, ERR_FORMAT, "%zu bytes without an %s block",
			    blob->len, class_names[want]);
		found = block_find(guid);
		if (found == (int)want)
			break;
		if (found >= 0)
			return err_set(err, ERR_FORMAT, "%s block where %s is expected",
			    class_names[found], class_names[want]);
		if (!rd_bytes(&rd, len))
			return err_set(err, ERR_FORMAT, "unknown block of %u bytes is cut short", len);
	}
	*ret = rd;
	*ret_len = len;
	return 0;
}

bool blob_mark(struct rd *rd, const struct guid *mark)
{
	for (size_t pad = 0; pad <= 1; pad++) {
		if (rd_left(rd) < pad + sizeof(mark->b))
			break;
		if (memcmp(rd->p + pad, mark->b, sizeof(mark->b)))
			continue;
		rd->p += pad + sizeof(mark->b);
		return true;
	}
	return false;
}

static bool block_skip(struct rd *rd, size_t pad)
{
	static const uint8_t zero[16];
	struct rd at = *rd;
	const uint8_t *guid;

	rd_bytes(&at, pad);
	guid = rd_bytes(&at, 16);
	rd_bytes(&at, rd_u32(&at));
	if (at.bad || !memcmp(guid, zero, sizeof(zero)))
		return false;
	*rd = at;
	return true;
}

int blob_close(struct rd *rd, struct err *err)
{
	while (rd_left(rd) > 1) {
		/* Else it might pass, one byte off, for an unknown one. */
		for (int i = 0; i < N_BLOB_BLOCKS; i++)
			if (blob_mark(rd, &blob_guids[i]))
				return err_set(err, ERR_FORMAT, "%s block at the end", class_names[i]);
		if (!block_skip(rd, 0) && !block_skip(rd, 1))
			return err_set(err, ERR_FORMAT, "%zu unexplained bytes at the end", rd_left(rd));
	}
	return 0;
}

int blob_length_check(uint32_t said, size_t used, struct err *err)
{
	if (said > used + 1 || (size_t)said + 1 < used)
		return err_set(err, ERR_FORMAT, "Data-Length says %u, content takes %zu", said, used);
	return 0;
}

int blob_string(const char **ret, struct arena *a, struct rd *rd, const char *what, struct err *err)
{
	uint32_t len = rd_u32(rd);
	const uint8_t *p = rd_bytes(rd, len);

	if (!p)
		return err_set(err, ERR_FORMAT, "%s of %u bytes is cut short", what, len);
	if (utf16_parse(ret, a, p, len, err))
		return err_prefix(err, "%s", what);
	return 0;
}

int blob_string_build(struct wr *wr, const char *s, const char *what, struct err *err)
{
	if (utf16_build(wr, s, err))
		return err_prefix(err, "%s", what);
	return 0;
}

size_t blob_begin(struct wr *wr, enum blob_block block)
{
	wr_bytes(wr, blob_guids[block].b, sizeof(blob_guids[block].b));
	wr_u32(wr, 0);
	return wr->len;
}

void blob_end(struct wr *wr, size_t body)
{
	if (!wr->bad)
		wr_u32_at(wr, body - 4, (uint32_t)(wr->len - body));
}

int blob_finish(struct wr *ret, struct wr *wr, int rc, struct err *err)
{
	wr_u8(wr, 0);
	if (!rc && wr->bad)
		rc = err_nomem(err);
	if (!rc && wr->len > BLOB_MAX)
		rc = err_set(err, ERR_LIMIT, "takes %zu bytes, more than %u", wr->len, BLOB_MAX);
	if (rc) {
		free(wr->p);
		*wr = (struct wr){ 0 };
		return -1;
	}
	*ret = *wr;
	return 0;
}
