/* gpo/query.h - which search to send next, from the answers so far.
 *
 * The fetch loop is then a loop: ask, add, repeat.  The whole conversation of
 * [MS-GPOL] 3.2.5.1 and [MS-GPIPSEC] 3.2.5 can be replayed from an LDIF file.
 *
 * With hints (what mattered last time) everything expected is asked for in one
 * subtree search, so an unchanged refresh takes at most three searches beside the
 * site ping: root DSE, the domain's objects, and on an AD the site; an OpenLDAP
 * gives site, subnets and the computer's groups together with the objects.
 * Further ones are for what only they can tell: that a linked GPO is gone; the
 * groups level by level, where they are not those of last time.  With memory as well, only
 * policy objects that are new or changed are read (gpo/memory.h). */
#ifndef GPO_QUERY_H
#define GPO_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/facts.h"
#include "schema/snapshot.h"

struct arena;
struct err;
struct gp_memory;

/* For whom the question is asked. */
struct gp_subject {
	const char		*computer;	/* sAMAccountName with its '$' */
	const char		*domain;	/* DNS name, where the root DSE says no default naming context; NULL: its first one */
	const char		*site;		/* said by the administrator; NULL: find out */
	const char		*default_site;	/* where nothing else tells; or NULL */
	bool			 self;		/* this very host: ask the NetLogon ping, use addresses */
	const struct ip_addr	*addresses;	/* own, for the subnet match */
	size_t			 n_addresses;
	const char *const	*hints;		/* gp_hints(); may be stale or plain wrong: they change the cost, not the result */
	size_t			 n_hints;
	const struct gp_memory	*memory;	/* of policy objects (gpo/memory.h), for whoever asks; NULL: none */
};

/* 1: *ret is the next search, in `a`; 0: the snapshot is complete; -1: error (the
 * computer does not exist, exists twice, cannot be read...). */
int gp_next_query(struct dir_query *ret, const struct dir_snapshot *s, const struct gp_subject *who, struct arena *a, struct err *err);

/* What mattered in a complete snapshot, as hints for the next time: DNs, and where the
 * groups had to be searched also "WORD LEVEL DN" (gpo/group_hints.h). */
int gp_hints(const char *const **ret, size_t *ret_n, const struct dir_snapshot *s, const struct gp_subject *who, struct arena *a, struct err *err);

#endif
