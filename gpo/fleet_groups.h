/* gpo/fleet_groups.h - all groups of a directory and who is in them, read at once: the groups
 * of a computer as walk_groups() would find them by asking.  Private to gpo/fleet*.c. */
#ifndef GPO_FLEET_GROUPS_H
#define GPO_FLEET_GROUPS_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/snapshot.h"

struct arena;
struct err;
struct fleet_computer;
struct fleet_groups;
struct gp_walk;
struct sid;

/* NULL-terminated; with `member`, which walk_groups() only asks about. */
extern const char *const fleet_group_attrs[];
#define FLEET_GROUPS_FILTER	"(|(objectClass=group)(objectClass=groupOfNames))"

/* For computers of one domain (NULL: all).  Entries and computers are kept, not copied; NULL: no memory. */
struct fleet_groups *fleet_groups_new(struct arena *a, const struct dir_entry *entries, size_t n,
    const struct fleet_computer *computers, size_t n_computers, const char *domain);
/* Finds the groups of w->computer, which is one of them; -1: there are too many, or too deeply nested ones. */
int fleet_groups_walk(struct fleet_groups *g, const struct gp_walk *w, struct err *err);
/* Where groups with this SID are kept, for fleet_groups_found(): is one among those found last? */
size_t fleet_groups_sid(const struct fleet_groups *g, const struct sid *sid);
bool fleet_groups_found(const struct fleet_groups *g, size_t at);

int fleet_sid_cmp(const struct sid *x, const struct sid *y);	/* some order of them; 0: equal */

#endif
