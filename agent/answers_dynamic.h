/* agent/answers_dynamic.h - what the daemon answers about the dynamic context, the settings and the filters in
 * effect; each answer_* answers the call.  SHELL. */
#ifndef AGENT_ANSWERS_DYNAMIC_H
#define AGENT_ANSWERS_DYNAMIC_H

#include <stddef.h>

#include "nft/render.h"

struct ctl_call;
struct daemon;
struct host_facts;
struct json_t;
struct ruleset;

/* What is enforced; good until it changes next.  Filled by the daemon. */
struct daemon_view {
	const struct render_source	*sources;	/* all stores; none: nothing is in force, or memory ran out (logged) */
	size_t				 n_sources;
	const struct host_facts		*facts;
	struct render_options		 o;
	const struct ruleset		*ruleset;	/* NULL: no table */
};
void daemon_view(struct daemon *d, struct daemon_view *ret);

/* {"command": TEXT} or {"commands": [TEXT...]}: all of them or none (answers_dynamic.c) */
void answer_dynamic(struct daemon *d, struct ctl_call *call, struct json_t *parameters);
/* {"what": "mmpolicy" | "qmpolicy" | "rule"} -> {"mmpolicies": [...]}... */
void answer_dynamic_show(struct daemon *d, struct ctl_call *call, struct json_t *parameters);
void answer_config(struct daemon *d, struct ctl_call *call);

/* {"type": "generic" | "specific", "what": "mm" | "qm", "from": N, "stamp": S} -> a page of the filters in
 * effect: {"filters": [...], "from": N, "next": N or null, "total": N, "stamp": S}.  Without a
 * stamp it is that of now; with one of earlier filters the call fails with
 * "Changed".  (answers_filters.c) */
void answer_filters(struct daemon *d, struct ctl_call *call, struct json_t *parameters);
void filters_forget(struct daemon *d);		/* what is in force is about to change */

#endif
