/* nft/unfold.h - filters as they were written -> specific filters: servers become
 * the addresses known now, a mirrored filter two, one for both families two, and
 * each stands at every hook where it can match.  In one for both families ICMP means
 * ICMPv6 where the family is IPv6 ("permit ICMP, block the rest" must leave path MTU
 * discovery and ping to both), and ICMPv6 says nothing where it is IPv4. */
#ifndef NFT_UNFOLD_H
#define NFT_UNFOLD_H

#include <stddef.h>

#include "nft/shape.h"

struct arena;
struct err;
struct host_facts;

/* Zero but for the first four; needs unfold_free also after an error. */
struct unfold {
	struct ruleset			*r;	/* gets warnings */
	const struct host_facts		*facts;
	const struct render_options	*o;
	bool				 keep_same;	/* equal filters may stay while there is room */
	struct specific			*all;
	uint32_t			*order;	/* made by unfold_sort: indices into all */
	size_t				 n_order;
	size_t				 n, size;
	size_t				 n_seen;	/* with those dropped because another is the same */
	struct arena			*arena;	/* of what `all` points to */
	/* Of the rule that is being unfolded: what its filters' comments end in, and where they stand, a sum of
	 * 1 << enum act_hook. */
	const char			*rule_comment;
	uint8_t				 rule_hooks;
	struct written			**written;	/* in order; made by unfold_forget */
};

/* Adds what the active rules of one policy say.  Errors name rule and filter. */
int source_unfold(struct unfold *x, const struct render_source *from, struct err *err);
/* After the last, once: the order, in which of the same filters only the one that counts is left. */
int unfold_sort(struct unfold *x, struct err *err);
static inline const struct specific *unfold_at(const struct unfold *x, size_t i)
{
	return &x->all[x->order[i]];
}
/* Of all filters only those as they were written are left: the rest is as large as a ruleset. */
int unfold_forget(struct unfold *x, struct err *err);
void unfold_free(struct unfold *x);
struct rs_origin written_origin(const struct written *w);
enum act_kind written_kind(const struct written *w);
/* A filter's origin and comment in the ruleset, copied there the first time.  false: no memory. */
bool written_keep(const char **ret_comment, const struct rs_origin **ret, struct ruleset *r, struct written *w);

/* ---- the specific filters in effect, for people ---- */

struct filter_line {
	enum act_hook		 hook;
	uint8_t			 family;		/* AF_INET, AF_INET6 */
	const char		*src, *dst;		/* "me", "any", "10.0.0.0/8", "10.0.0.1-10.0.0.9" */
	uint8_t			 protocol;		/* 0: any */
	struct ipsec_ports	 src_port, dst_port;	/* 0..0: any */
	enum ipsec_conntype	 conntype;
	const char		*tunnel;		/* the tunnel's end; "": not of a tunnel rule */
	enum act_kind		 kind;
	enum render_store	 store;
	struct rs_origin	 origin;
	/* Hostile texts of the policies and sources that were given. */
	const char		*rule_name, *list_name, *action_name, *policy_name, *gpo_name;
	/* Higher is more specific, equal shapes are equal.  To be compared within one hook and
	 * family, where no packet meets a filter after a lighter one. */
	uint64_t		 weight;
	bool			 shadowed;		/* a stronger one is for exactly the same packets */
};

/* The heaviest first, those of one weight in the order of the ruleset; *ret and what it
 * points to, but for names, are in a.  facts NULL: no server is known.  Errors as of policy_render.  (Where
 * there are more than a ruleset can hold, shadowed ones are left out.) */
int filters_list(struct filter_line **ret, size_t *ret_n, struct arena *a, const struct render_source *sources,
    size_t n_sources, const struct host_facts *facts, const struct render_options *o, struct err *err);

#endif
