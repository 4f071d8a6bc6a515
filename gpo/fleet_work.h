/* gpo/fleet_work.h - what resolving a fleet keeps on its way.  Private to gpo/fleet*.c. */
#ifndef GPO_FLEET_WORK_H
#define GPO_FLEET_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "gpo/fleet.h"
#include "gpo/walk.h"

struct fleet_groups;
struct group_base;

/* An ACE of a GPO's rights: they speak of chain.sids[sid]. */
struct chain_ace {
	size_t	sid;
	bool	grants;
};

/* A GPO whose rights tell tokens apart; the first ACE for a SID of the token decides. */
struct chain_gpo {
	struct walk_gpo		*gpo;
	struct chain_ace	*aces;
	size_t			 n_aces;
};

/* What is shared by the computers below one container. */
struct chain {
	const char		*text;		/* its first SOM's name; NULL: no chain */
	struct arena		*a;
	struct gp_walk		 walk;		/* up to the GPOs, but for their rights */
	bool			 judged;	/* these matter */
	struct chain_gpo	*gpos;		/* to whom they do */
	size_t			 n_gpos;
	struct sid		*sids;		/* that they speak of, sorted */
	size_t			 n_sids;
	const struct group_base	*base;		/* where the groups of its computers are; NULL: not looked up yet */
	size_t			*found;		/* as fleet_groups_sid() has it of each of sids */
	struct dnset		 classes;	/* which of sids a token has: ":0110"... */
	const struct fleet_answer **answers;	/* ...and what it gets */
	const struct fleet_answer *failed;	/* no walk: for all of them; NULL: there is one */
};

/* Groups are searched below the naming context, or where none is known below each
 * computer's domain. */
struct group_base {
	const char		*dn;
	enum dir_outcome	 outcome;
	struct fleet_groups	*groups;
};

struct fleet_work {
	struct gp_options	 options;
	struct gp_subject	 who;		/* of the computer at hand */
	struct gp_walk		 walk;		/* what all of them begin with */
	bool			 rooted, listed;
	struct fleet_computer	**order;	/* by chain */
	size_t			 at;		/* the next of them */
	struct chain		 chain;
	struct arena		*scratch;	/* for one computer */
	struct dir_snapshot	*own;		/* its token, where it was asked for */
	struct group_base	*bases;
	size_t			 n_bases, n_subtrees;
};

/* Finds c's answer: 1 and f->work->walk.need, 0, or -1 when memory ran out. */
int fleet_resolve(struct fleet_computer *c, struct gp_fleet *f, struct err *err);
/* Where there is no evaluation.  kind: as in the answer; NULL: what *why says, with c's names taken out.
 * -1: *why is that memory ran out, or it does now. */
int fleet_answer_error(const struct fleet_answer **ret, struct gp_fleet *f, const struct fleet_computer *c, const struct err *why,
    const char *kind, struct err *err);

#endif
