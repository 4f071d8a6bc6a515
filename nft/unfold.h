/* nft/unfold.h - filters as they were written -> specific filters: servers become
 * the addresses known now, a mirrored filter two, one for both families two, and
 * each stands at every hook where it can match. */
#ifndef NFT_UNFOLD_H
#define NFT_UNFOLD_H

#include <stddef.h>

#include "nft/shape.h"

struct err;
struct host_facts;

struct unfold {
	struct ruleset			*r;	/* gets comments, origins and warnings */
	const struct host_facts		*facts;
	const struct render_options	*o;
	struct specific			*all;	/* grows; free() it, also after an error */
	size_t				 n, size;
};

/* Adds what the active rules of one policy say.  Errors name rule and filter. */
int source_unfold(struct unfold *x, const struct render_source *from, struct err *err);

#endif
