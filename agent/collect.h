/* agent/collect.h - directory -> snapshot -> rsop -> policy: the questions of one
 * refresh.  Used by the worker and by the CLI's --directory.  SHELL around pure steps. */
#ifndef AGENT_COLLECT_H
#define AGENT_COLLECT_H

#include <stddef.h>

#include "agent/directory.h"
#include "gpo/query.h"
#include "gpo/rsop.h"
#include "store/store.h"

struct arena;
struct err;
struct ipsec_policy;

/* What it took, all servers and attempts together. */
struct collect_cost {
	struct dir_traffic	 traffic;
	size_t			 n_read, n_kept;	/* policy objects: read; taken from memory */
	const char		*odd;			/* why all were read nevertheless; NULL: no reason */
};

struct collected {
	struct dir_snapshot	*snapshot;
	struct gp_rsop		*rsop;
	struct ipsec_policy	*policy;	/* NULL unless GP_ASSIGNED and it could be assembled */
	struct err		 policy_err;	/* why not: code ERR_NONE when there is nothing to say */
	char			*hints;		/* gp_hints() of the snapshot, a DN a line; malloc'd by collect() */
	char			*dcs;		/* addresses of all domain controllers that discovery found, one a line; malloc'd, or NULL.
					 * For display only: the lifeline opens to the one that authenticated */
	struct collect_cost	 cost;
};

/* -1: no complete evaluation (offline, denied): nothing may be changed; *ret is as it
 * was, or empty.
 * 0 with rsop->assignment, and policy or policy_err.  A server that fails in
 * the middle is left and the next one asked from the beginning.
 * When the policy's objects contradict each other (an editor is at work) they are
 * read once more after a moment.  What who->memory holds is not read again while it is as
 * it was; without a usable policy at the end of it, all is. */
int collect(struct collected *ret, const struct directory_conf *d, const struct gp_subject *who, const struct gp_options *o, struct err *err);
/* On a directory that is open already. */
int collect_from(struct collected *ret, struct directory *d, const struct gp_subject *who, const struct gp_options *o, struct err *err);
void collected_free(struct collected *c);
/* Parts "cost" and, unless it is what `known` is (NULL: nothing), "memory" for the next time: it
 * holds pre-shared keys.  1 or 2 of them into ret[]. */
int collected_memory(struct gen_part ret[static 2], size_t *ret_n, const struct collected *c, const struct gp_subject *who,
    const struct gen_part *known, struct arena *a, struct err *err);

/* The parts that agent/worker.h lists, in the arena: what the worker writes to its
 * pipe and `ipsecpol apply` hands to refresh_apply().  (agent/collect_parts.c) */
int collected_parts(struct gen_part **ret, size_t *ret_n, const struct collected *c, struct arena *a, struct err *err);

/* Sets who->addresses from the kernel, in `a`: of interfaces that are up, without
 * loopback and link-local. */
int subject_addresses(struct gp_subject *who, struct arena *a, struct err *err);

#endif
