/* agent/refresh.h - the second half of a refresh: texts -> policy -> ruleset -> kernel
 * -> cache.  Used by the daemon and by `ipsecpol apply`.  SHELL.
 *
 * The order is what makes it safe: the kernel first (one transaction, read back),
 * then the cache.  A crash in between leaves the kernel at generation N and the
 * cache at N-1, and the next refresh finds nothing to change but the cache. */
#ifndef AGENT_REFRESH_H
#define AGENT_REFRESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nft/nlsock.h"
#include "schema/ident.h"
#include "schema/err.h"
#include "store/store.h"

struct conf;
struct host_facts;
struct ipsec_policy;
struct protection;
struct ruleset;
struct sources;
struct stored;

enum refresh_outcome {
	REFRESH_APPLIED,	/* a new policy, or a new rendering, is in the kernel */
	REFRESH_UNCHANGED,
	REFRESH_NONE,		/* the domain assigns nothing: no cache, and no table unless this host has stored policies */
	REFRESH_KEPT,		/* assigned, but not usable: what was enforced stays, or, with
				 * conf->block_on_unreadable, everything is blocked */
};

enum in_force {		/* beside which there may be persistent and dynamic filters */
	FORCE_NOTHING, FORCE_DOMAIN, FORCE_LOCAL,
	FORCE_OTHER,		/* these alone */
};

struct policy_size {
	char	name[128], id[GUID_TEXT];
	size_t	n_rules, n_filters;	/* filters of active rules */
	size_t	n_required;		/* those of them that demand protection: without IKE what they match is dropped */
};
void policy_measure(struct policy_size *ret, const struct ipsec_policy *p);

struct refresh_report {
	enum refresh_outcome	 outcome;
	enum in_force		 in_force;
	bool			 known;			/* with NONE, from refresh_restore: the directory itself said so earlier */
	struct apply_report	 kernel;
	uint64_t		 generation;		/* the current one; 0: none */
	int64_t			 taken;			/* of it, CLOCK_REALTIME seconds */
	uint32_t		 polling_seconds;	/* of the policy; 0: none */
	size_t			 n_damaged;		/* newer generations that failed their check */
	int64_t			 us_render, us_kernel, us_cache;	/* microseconds each step took */
	char			 policy[128], gpo[128];	/* "'name' {id}", for people */
	struct policy_size	 domain;		/* of the domain's policy in force; id "": there is none */
	struct err		 kept;			/* KEPT: why.  NONE otherwise */
	struct err		 uncached;		/* enforced, but the cache or the boot image could not be written; code NONE: both were */
};

/* What is enforced now, for the next time it has to be: changed facts, a lost table.
 * In memory, because the cache may not have been writable. */
struct refresh_held {
	struct arena	*arena;		/* NULL: nothing */
	struct gen_part	 parts[4];	/* policy, gpo, gpo-name, facts */
	size_t		 n_parts;
	struct ruleset	*ruleset;	/* in force; only while diagnostics are on */
};

struct refresh_context {
	const struct conf	*conf;
	const struct sources	*sources;	/* in force beside the domain's policy */
	const struct stored	*stored;	/* for the boot image */
	struct store		*store;		/* NULL: only for refresh_restore_image */
	bool			 store_new;	/* there was no store.db: that there is no generation means nothing */
	struct nlsock		*nl;
	struct protection	*protection;	/* changed with the ruleset; NULL: the kernel's IPsec is left alone */
	const struct host_facts	*found;		/* of this host, without the DCs */
	struct refresh_held	*held;		/* follows what is enforced; NULL: not wanted, but refresh_again needs it */
	FILE			*log;		/* differences of the ruleset, or NULL */
};

/* parts: see agent/worker.h.  -1: the texts are not what they should be, or the kernel
 * refused: kernel and cache are as before; or what was committed reads back differently:
 * then only the cache is. */
int refresh_apply(struct refresh_report *ret, const struct refresh_context *c, const struct gen_part *parts, size_t n_parts, struct err *err);

/* The cached generation into the kernel, at start.  Without one the outcome is NONE: what
 * this host has stored is enforced, and when nothing is, no table; but that is left alone when the
 * directory has never been asked (known is false). */
int refresh_restore(struct refresh_report *ret, const struct refresh_context *c, struct err *err);

/* What is held once more, with the sources as they are now; *ret is that of its refresh, and
 * is brought up to date. */
int refresh_again(struct refresh_report *ret, const struct refresh_context *c, struct err *err);
void refresh_forget(struct refresh_held *h);

/* As refresh_restore, but from the boot image after the store was damaged: what was in force goes into the kernel
 * and into the new, empty store.  ERR_ABSENT, ERR_DAMAGED: there is no image to believe. */
int refresh_restore_image(struct refresh_report *ret, const struct refresh_context *c, struct err *err);

/* What refresh_apply would make the kernel hold; *ret NULL: no table.  protection NULL: only that; else its next is
 * rendered, too. */
int refresh_render(struct ruleset **ret, struct protection *protection, const struct conf *conf, const struct sources *sources, const struct host_facts *found, const struct gen_part *parts, size_t n_parts, struct err *err);

/* found and the "facts" (DCs) of the parts together. */
int refresh_facts(struct host_facts **ret, const struct host_facts *found, const struct gen_part *parts, size_t n_parts, struct err *err);

const char *refresh_outcome_name(enum refresh_outcome o);	/* "applied" "unchanged" "none" "kept" */

#endif
