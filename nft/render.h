/* nft/render.h - policies + host facts -> ruleset.  What cannot be rendered is an
 * error, never a wider rule.  What each filter action means: nft/action.h; the order
 * of filters: nft/shape.h. */
#ifndef NFT_RENDER_H
#define NFT_RENDER_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/ident.h"

struct err;
struct host_facts;
struct ipsec_policy;
struct ruleset;

/* Filters of all sources are ordered together by specificity; an exact tie goes
 * to the higher store, then block > negotiate > permit, then the smaller GUID. */
enum render_store { RENDER_LOCAL, RENDER_DOMAIN, RENDER_PERSISTENT, RENDER_DYNAMIC };

struct render_source {
	const struct ipsec_policy	*policy;
	enum render_store		 store;
	struct guid			 gpo;		/* zero: none (not from a GPO) */
	const char			*gpo_name;	/* "" likewise; hostile text */
};

struct render_options {
	unsigned	ipsecexempt;	/* 0..3, see netsh `ipsecexempt`; 3: only IKE (and inbound multicast, broadcast) */
	bool		lifeline;	/* DNS, Kerberos, LDAP to the DCs in use; DHCP */
	/* Filters of 2003's format cannot say IPv6.  By default one whose sides are
	 * all symbolic (me, any) covers both families: "block all IP traffic" must
	 * not leave IPv6 open. */
	bool		any_is_ipv4;
};

/* facts NULL: no server is known; o is needed.  The ruleset is sealed, belongs to the
 * caller and points into nothing of sources, facts and o.  No sources: exemptions
 * and lifeline alone.  Errors name the rule and the filter. */
int policy_render(struct ruleset **ret, const struct render_source *sources, size_t n_sources, const struct host_facts *facts, const struct render_options *o, struct err *err);
/* Block mode: everything but loopback is dropped, no exemptions.  With facts and
 * o->lifeline the lifeline stays (an unreadable policy must be able to become
 * readable again) and with it neighbour discovery; facts or o NULL: neither.  Nothing
 * else of *o counts.  why: a sentence, for the comment. */
int block_render(struct ruleset **ret, const char *why, const struct host_facts *facts, const struct render_options *o, struct err *err);

#endif
