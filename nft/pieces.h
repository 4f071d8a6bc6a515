/* nft/pieces.h - ranges of numbers that may overlap, cut into prefixes that do not: each
 * number belongs to the first range that has it.
 *
 *   80-95 of A, then 90-100 of B:    80/12 A    96/14 B, 100/16 B
 *
 * (of 16 bits; 80/12 are the 16 numbers whose first 12 bits are those of 80). */
#ifndef NFT_PIECES_H
#define NFT_PIECES_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* Up to 128 bits: a port or an address. */
struct num {
	uint64_t	hi, lo;
};

struct span {
	struct num	 first, last;
	uint32_t	 who;
};

struct piece {
	struct num	 first;
	uint8_t		 bits;		/* of the prefix, never 0; the rest of first is zero */
	uint32_t	 who;
};

/* Zero is an empty one. */
struct pieces {
	struct piece	*all;
	size_t		 n, size;
};

/* bits must be 1 to 128, and no number longer. */
struct num num_read(const uint8_t *p, unsigned bits);		/* big-endian */
void num_write(uint8_t *p, struct num v, unsigned bits);
/* The last number of a piece. */
struct num piece_last(const struct piece *p, unsigned bits);

/* Adds the pieces of n spans, the strongest first.  n spans have 2n - 1 ends between them at most, and
 * what is between two ends 2 * (bits - 1) pieces at most.  Stops when there are more than max
 * in all: ret->n tells, and the last piece is of the span that was too many.  -1: no memory. */
int pieces_cut(struct pieces *ret, const struct span *spans, size_t n, unsigned bits, size_t max, struct err *err);
/* The longest prefixes first; what is of one length by its numbers. */
void pieces_sort(struct pieces *p);
void pieces_free(struct pieces *p);

#endif
