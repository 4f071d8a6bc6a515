/* schema/rd.h - bounded little-endian reader, and its writing counterpart.
 *
 * After a short read every later read yields zero and rd->bad stays set, so a
 * decoder checks once at the end.  A writer that runs out of memory drops what
 * follows and wr->bad stays set. */
#ifndef SCHEMA_RD_H
#define SCHEMA_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd {
	const uint8_t	*p, *end;
	bool		 bad;
};

uint8_t rd_u8(struct rd *rd);
uint16_t rd_u16(struct rd *rd);
uint32_t rd_u32(struct rd *rd);
const uint8_t *rd_bytes(struct rd *rd, size_t n);	/* NULL when short */
struct rd rd_sub(struct rd *rd, size_t n);	/* the next n bytes as a reader */
size_t rd_left(const struct rd *rd);	/* not 0 after a short read: loops look at bad too */

struct wr {
	uint8_t	*p;		/* malloc'd; free(wr.p) when done */
	size_t	 len, size;
	bool	 bad;
};

void wr_u8(struct wr *wr, uint8_t v);
void wr_u16(struct wr *wr, uint16_t v);
void wr_u32(struct wr *wr, uint32_t v);
void wr_u32_at(struct wr *wr, size_t off, uint32_t v);	/* an earlier word; not within what was written: nothing */
void wr_bytes(struct wr *wr, const void *p, size_t n);

#endif
