/* nft/unfold.h - filters as they were written -> specific filters: servers become
 * the addresses known now, a mirrored filter two, one for both families two, and
 * each stands at every hook where it can match.  In one for both families ICMP means
 * ICMPv6 where the family is IPv6 ("permit ICMP, block the rest" must leave path MTU
 * discovery and ping to both), and ICMPv6 says nothing where it is IPv4. */
#ifndef NFT_UNFOLD_H
#define NFT_UNFOLD_H

#include <stddef.h>

#include "nft/shape.h"

struct err;
struct host_facts;

/* Zero but for the first three; needs unfold_free also after an error. */
struct unfold {
	struct ruleset			*r;	/* gets warnings */
	const struct host_facts		*facts;
	const struct render_options	*o;
	struct specific			*all;
	size_t				 n, size;
	size_t				 n_seen;	/* with those dropped because another is the same */
	struct arena			*arena;	/* of what `all` points to */
};

/* Adds what the active rules of one policy say.  Errors name rule and filter. */
int source_unfold(struct unfold *x, const struct render_source *from, struct err *err);
/* After the last: in order, and of the same filters only the one that counts. */
void unfold_sort(struct unfold *x);
void unfold_free(struct unfold *x);
/* Copies origin and comment of a filter into the ruleset, the first time. */
void written_keep(struct ruleset *r, struct written *w);

#endif
