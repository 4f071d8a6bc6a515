/* gpo/watch.h - which searches tell of changes that may matter to a computer.
 *
 * An AD notifies of what lies right in a container and of single objects, five searches a
 * connection at most ([MS-ADTS] 3.1.1.3.4.1.9; Samba takes four): the policy objects, the GPOs (whose
 * version changes with each edit), the domain's links, and those of the nearest OU.  An OpenLDAP with the
 * syncprov overlay tells of everything below the domain that is of a class that
 * matters (RFC 4533).  Groups, sites and what lies further up are left to polling. */
#ifndef GPO_WATCH_H
#define GPO_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/snapshot.h"

struct arena;
struct err;
struct gp_subject;

#define GP_WATCH_MAX	4

struct gp_watch {
	bool			 ad;
	struct dir_query	 q[GP_WATCH_MAX];	/* the first one is what most depends on */
	size_t			 n;
};

/* 1: *ask is to be asked first; 0: *ret; -1.  In `a`, and who's hints. */
int gp_watch_plan(struct gp_watch *ret, struct dir_query *ask, const struct dir_snapshot *s, const struct gp_subject *who,
    struct arena *a, struct err *err);

#endif
