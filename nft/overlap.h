/* nft/overlap.h - which elements of two maps are for some of the same packets: those whose keys agree in
 * what both maps look at.  (That it is so; other conditions of the rules may still keep them apart.) */
#ifndef NFT_OVERLAP_H
#define NFT_OVERLAP_H

#include "nft/ruleset.h"

/* The fields that both maps look at, as far as both do. */
struct overlap_fields {
	unsigned	n;
	size_t		len;
	struct {
		uint8_t	a, b;		/* where in the key */
		uint8_t	len, prefix;
	}		fields[RS_MAX_KEYS];
};

/* The keys of elements of map a, to be asked with those of map b. */
struct overlap {
	struct overlap_fields	 c;
	uint8_t			*keys;		/* sorted; nothing else of the elements is needed any more */
	size_t			 n;
};

int overlap_make(struct overlap *ret, const struct rs_lookup *a, const struct rs_element *const *all, size_t n,
    const struct rs_lookup *b, struct err *err);
bool overlap_has(const struct overlap *o, const uint8_t *key);
void overlap_free(struct overlap *o);

#endif
