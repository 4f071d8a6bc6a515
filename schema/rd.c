#include "schema/rd.h"

#include <stdlib.h>
#include <string.h>

size_t rd_left(const struct rd *rd)
{
	return (size_t)(rd->end - rd->p);
}

const uint8_t *rd_bytes(struct rd *rd, size_t n)
{
	const uint8_t *p = rd->p;

	if (rd->bad || rd_left(rd) < n) {
		rd->bad = true;
		return NULL;
	}
	rd->p += n;
	return p;
}

uint8_t rd_u8(struct rd *rd)
{
	const uint8_t *p = rd_bytes(rd, 1);

	return p ? p[0] : 0;
}

uint16_t rd_u16(struct rd *rd)
{
	const uint8_t *p = rd_bytes(rd, 2);

	return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

uint32_t rd_u32(struct rd *rd)
{
	const uint8_t *p = rd_bytes(rd, 4);

	return p ? p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24 : 0;
}

struct rd rd_sub(struct rd *rd, size_t n)
{
	const uint8_t *p = rd_bytes(rd, n);
	struct rd sub = { p, p ? p + n : NULL, p == NULL };

	return sub;
}

void wr_bytes(struct wr *wr, const void *p, size_t n)
{
	uint8_t *q;
	size_t size;

	if (wr->bad)
		return;
	if (wr->size - wr->len < n) {
		size = wr->size ? wr->size : 256;
		while (size - wr->len < n) {
			if (size > SIZE_MAX / 2) {
				wr->bad = true;
				return;
			}
			size *= 2;
		}
		q = realloc(wr->p, size);
		if (!q) {
			wr->bad = true;
			return;
		}
		wr->p = q;
		wr->size = size;
	}
	if (n)
		memcpy(wr->p + wr->len, p, n);
	wr->len += n;
}

void wr_u8(struct wr *wr, uint8_t v)
{
	wr_bytes(wr, &v, 1);
}

void wr_u16(struct wr *wr, uint16_t v)
{
	const uint8_t b[2] = { (uint8_t)v, (uint8_t)(v >> 8) };

	wr_bytes(wr, b, sizeof(b));
}

static void put_u32(uint8_t b[static 4], uint32_t v)
{
	for (int i = 0; i < 4; i++)
		b[i] = (uint8_t)(v >> 8 * i);
}

void wr_u32(struct wr *wr, uint32_t v)
{
	uint8_t b[4];

	put_u32(b, v);
	wr_bytes(wr, b, sizeof(b));
}

void wr_u32_at(struct wr *wr, size_t off, uint32_t v)
{
	if (!wr->bad && off <= wr->len && wr->len - off >= 4)
		put_u32(wr->p + off, v);
}
