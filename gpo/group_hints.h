/* gpo/group_hints.h - the groups the computer was in the last time, as hints.
 *
 * An answer does not tell by which member a group was found.  So the groups are
 * asked for as a claim: one of level n comes only when it has a member of level
 * n - 1, and any other group when it has any of them as a member.  If all that was
 * claimed comes, and no other group, the claim holds level by level and misses
 * nothing; else nothing is taken from it, and the groups are searched as if there
 * were no hints.  Private to gpo/. */
#ifndef GPO_GROUP_HINTS_H
#define GPO_GROUP_HINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "gpo/dnset.h"
#include "schema/ident.h"

#define GROUP_HINTS_MAX		128
#define GROUP_HINTS_BYTES	32768	/* all names together */

struct arena;
struct ask_text;
struct dir_entry;
struct err;
struct gp_walk;

enum group_kind {
	GROUP_MEMBER,	/* the computer (level 0); a group with a member of the level before, or (1) the primary group */
	GROUP_NAMED,	/* a memberOf of an earlier one names it */
	GROUP_NONE,	/* likewise, and it is no group */
};

struct group_hint {
	enum group_kind	 kind;
	unsigned	 level;
};

struct group_hints {
	struct dnset		 dns;		/* the computer, its groups by ascending level, then GROUP_NONE */
	struct group_hint	*list;		/* as in dns */
	size_t			 n_groups;	/* with the computer; 0: no hints */
	bool			 has_primary;
	struct sid		 primary;
};

/* Its index; what is there already stays as it is.  DNSET_NONE: no memory. */
size_t group_hints_add(struct group_hints *h, const char *dn, enum group_kind kind, unsigned level);
/* Those among w->who's hints; none unless all of them fit together. */
int group_hints_read(struct group_hints *ret, const struct gp_walk *w, struct err *err);
/* Adds the claim as one more term of an OR. */
void group_hints_ask(struct ask_text *t, const struct group_hints *h);
/* Did w->combined prove w->hinted_groups?  Then *ret are the n_groups entries, the
 * computer first; else NULL. */
int group_hints_confirm(const struct dir_entry *const **ret, const struct gp_walk *w, struct err *err);
/* One hint as text, in `a`; i up to dns.n, where the primary group follows if there is
 * one.  NULL: no memory. */
char *group_hints_text(const struct group_hints *h, size_t i, struct arena *a);
/* How many texts; 0 also when there are too many for one question. */
size_t group_hints_count(const struct group_hints *h);

#endif
