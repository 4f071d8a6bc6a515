/* agent/dynamic.h - VALUE: the dynamic context: main mode policies, quick mode policies and rules
 * that the daemon holds in memory alone.
 *
 * A rule is known by its tags: addresses with masks, protocol, ports, mirrored, connection type and
 * tunnel endpoint.  Names are compared without (ASCII) case. */
#ifndef AGENT_DYNAMIC_H
#define AGENT_DYNAMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/policy.h"

struct arena;
struct err;
struct netsh_args;

#define DYNAMIC_MAX_RULES	4096
#define DYNAMIC_MAX_POLICIES	1024	/* main mode, and as many quick mode */
#define DYNAMIC_MAX_NAME	255	/* bytes */

enum dynamic_pfs { DYNAMIC_NOPFS, DYNAMIC_GRP1, DYNAMIC_GRP2, DYNAMIC_GRP3, DYNAMIC_GRPMM };

struct dynamic_mm {
	struct guid		 id;
	const char		*name;
	uint32_t		 qm_limit;		/* quick modes per main mode; 0: no limit */
	uint32_t		 life_seconds;
	uint32_t		 soft_sa_seconds;	/* life of an unprotected ("soft") association; 0: life_seconds */
	struct ipsec_mm_offer	*offers;
	size_t			 n_offers;
};

struct dynamic_qm {
	struct guid		 id;
	const char		*name;
	bool			 soft;
	enum dynamic_pfs	 pfs;
	struct ipsec_offer	*offers;
	size_t			 n_offers;
};

struct dynamic_rule {
	struct guid		 id;
	struct ipsec_filter	 filter;
	enum ipsec_conntype	 conntype;
	bool			 tunnel;
	struct ipsec_addr	 tunnel_end;
	/* What may change in a rule. */
	const char		*mm, *qm;		/* names, or NULL */
	enum ipsec_action	 inbound, outbound;
	struct ipsec_auth	*auth;			/* in order of preference */
	size_t			 n_auth;
};

struct dynamic {
	struct arena		*arena;
	struct dynamic_mm	*mms;			/* all three in the order they were added */
	size_t			 n_mms;
	struct dynamic_qm	*qms;
	size_t			 n_qms;
	struct dynamic_rule	*rules;
	size_t			 n_rules;
};

/* of NULL: a new, empty one.  NULL: no memory. */
struct dynamic *dynamic_copy(const struct dynamic *of);
void dynamic_free(struct dynamic *d);		/* NULL: nothing */
/* One add, set or delete command of the dynamic context.  id: of what it adds, if it does.
 * Everything is looked at first; -1 leaves the lists as they were: ERR_ABSENT, ERR_FORMAT, ERR_BUSY (in use, or
 * there already), ERR_LIMIT. */
int dynamic_run(struct dynamic *d, const struct netsh_args *a, const struct guid *id, struct err *err);
const struct dynamic_mm *dynamic_mm(const struct dynamic *d, const char *name);	/* NULL: none; d may be NULL */
const struct dynamic_qm *dynamic_qm(const struct dynamic *d, const char *name);
const char *dynamic_pfs_name(enum dynamic_pfs p);	/* "NOPFS" "GRP1"... */

/* ---- dynamic_policy.c ----
 * The rules as policies for render_source: one for each main mode policy in use and one for the rules
 * without, sorted, each with the hooks its rules stand at (NULL: everywhere).  A rule with
 * different actions inbound and outbound is two; forwarded packets get the stricter one.  d NULL: none.
 * 0: *ret and *ret_hooks are malloc'd, *ret_n each (dynamic_policies_free). */
int dynamic_policies(struct ipsec_policy ***ret, uint8_t ***ret_hooks, size_t *ret_n, const struct dynamic *d, struct err *err);
void dynamic_policies_free(struct ipsec_policy **policies, uint8_t **hooks, size_t n);
/* The main mode of one; of a policy that is in no use too. */
int dynamic_isakmp(struct ipsec_isakmp *ret, struct arena *a, const struct dynamic_mm *mm, struct err *err);

#endif
