/* nft/units.h - the filters of one hook and family, in order -> what asks for them one after the
 * other: maps, plain rules, and ranges.
 *
 * Ranges (of one port, or of one side's addresses) of filters that look at the same otherwise are cut
 * into prefixes that do not overlap, each of the first filter in order that has it: maps, one for each
 * length of prefix, no matter how many filters there are.  A filter of another shape that stands between
 * two of them in the order, and could match the same packets, ends such a group.  So an order
 * of g groups costs at most 16 g lookups for ports, 32 g or 128 g for addresses; g is at most the
 * number of ranks that ranges have, 16 for ports that no other range meets.  A group
 * with few filters (less than two for each lookup) stays a list of plain rules.
 *
 * Filters with two ranges are plain rules. */
#ifndef NFT_UNITS_H
#define NFT_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "nft/pieces.h"
#include "nft/shape.h"

struct err;
struct unfold;

/* Of all maps of a ruleset together.  That many filters are let through by nft/unfold.c, so it is the
 * pieces of ranges that can exceed it. */
#define UNITS_MAX_ELEMENTS	640000

struct unit {
	enum { UNIT_RULE, UNIT_MAP, UNIT_PIECES } kind;
	unsigned	 part;		/* of a shape whose filters do not go into one map; from 1 on */
	/* Of the order of filters (rule, map), or of pieces. */
	size_t		 begin, n;
	enum axis	 axis;		/* of pieces */
	unsigned	 group;		/* of pieces: see struct specific */
	struct rs_set	*map;		/* what was made of it; of a rule NULL */
};

/* Zero is an empty one. */
struct units {
	struct unit	*all;
	size_t		 n, size;
	struct pieces	 pieces;	/* who: where in the order of filters */
};

/* Of the filters from begin to end in x's order.  max: how many pieces there may be, what is left of
 * UNITS_MAX_ELEMENTS; an error of too many names rule and filter.  Needs units_free also after an error. */
int units_make(struct units *ret, const struct unfold *x, size_t begin, size_t end, size_t max, struct err *err);
void units_free(struct units *u);

#endif
