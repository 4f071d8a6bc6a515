/* gpo/dnset.h - a set of DNs in the order in which they were added, each once
 * (equal as DNs).  Private to gpo/. */
#ifndef GPO_DNSET_H
#define GPO_DNSET_H

#include <stddef.h>
#include <stdint.h>

struct arena;

struct dnset {
	struct arena	 *a;
	const char	**dns;		/* as first added; not copied */
	uint64_t	 *hashes;	/* as in dns */
	size_t		  n;
	size_t		 *slots;	/* 1 + index; 0: free */
	size_t		  n_slots;
};

#define DNSET_NONE	((size_t)-1)

/* Index of dn, which is added when it is new (then the index is the old n).
 * DNSET_NONE: no memory. */
size_t dnset_add(struct dnset *set, const char *dn);
size_t dnset_find(const struct dnset *set, const char *dn);	/* DNSET_NONE: not in it */

#endif
