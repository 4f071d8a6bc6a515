/* gpo/fleet.h - VALUE: the resultant sets of policy of all computers of a directory, from a
 * handful of searches; what gp_resolve() would say of each of them.
 *
 *   while (gp_fleet_next_query(&q, f, &err) > 0)
 *           ask; gp_fleet_answer_add(f, &q, ...);
 *
 * Computers below one container share the walk along their containers and GPOs, and those of
 * them whose tokens the GPOs cannot tell apart share the whole answer.  None of them is
 * this host: no site is asked for by ping or by address (gp_fleet_put() is for the one that is).
 * Groups are taken to list those members that the server would find by them. */
#ifndef GPO_FLEET_H
#define GPO_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "gpo/query.h"
#include "gpo/rsop.h"
#include "schema/err.h"

struct dir_snapshot;

#define FLEET_VERDICTS	(GP_NO_IPSEC + 1)

/* Shared by all computers of which the same is true; lives as long as the fleet. */
struct fleet_answer {
	size_t			 number;	/* from 0 on */
	enum gp_assignment	 assignment;
	bool			 failed;	/* there is no evaluation (UNKNOWN; reason is the error) */
	enum err_code		 why;		/* UNKNOWN: as gp_rsop has it, or the error's code */
	const char		*reason;	/* UNKNOWN: one sentence; else "" */
	const char		*kind;		/* the same without the computer's names, for counting */
	const char		*policy_dn, *policy_name;	/* NULL unless ASSIGNED */
	struct guid		 policy_id;
	const char		*winner_dn, *winner_name;	/* NULL: no GPO decides */
	struct guid		 winner;
	/* ASSIGNED: "applies".  UNKNOWN: that of the winner, or "".  NONE: that of the strongest linked GPO
	 * with our extension, else of the strongest one that cannot be seen, else "no-ipsec-extension", or
	 * "no-gpo" where nothing is linked. */
	const char		*verdict;
	size_t			 verdicts[FLEET_VERDICTS];	/* links by verdict */
	const char		*domain, *site, *site_from;	/* "": none, or not evaluated */
};

struct fleet_computer {
	const char			*name, *dn;	/* sAMAccountName as the directory has it */
	const struct fleet_answer	*answer;
	/* private to fleet*.c: */
	const struct dir_entry		*entry;
	const char			*chain;		/* its nearest SOM, in dn; NULL: none can be told */
};

struct gp_fleet {
	struct arena		*arena;
	struct dir_snapshot	*snapshot;	/* what was asked, but for computers, groups and tokens */
	struct fleet_computer	*computers;	/* by name, then DN */
	size_t			 n_computers;
	size_t			 n_answers;
	struct fleet_work	*work;		/* private to fleet.c */
};

/* who: domain, site and default_site count.  It is not copied.  NULL: no memory. */
struct gp_fleet *gp_fleet_new(const struct gp_subject *who, const struct gp_options *o);
void gp_fleet_free(struct gp_fleet *f);
/* 1: *ret is the next search, good until gp_fleet_answer_add(); 0: every computer has its answer; -1: nothing
 * can be said of any. */
int gp_fleet_next_query(struct dir_query *ret, struct gp_fleet *f, struct err *err);
/* Entries of subtree searches have to live as long as f, those of others are copied. */
int gp_fleet_answer_add(struct gp_fleet *f, const struct dir_query *q, enum dir_outcome outcome, const struct dir_entry *entries, size_t n, struct err *err);
/* What an evaluation of its own said of who->computer, wherever it is among them: a complete snapshot,
 * or with NULL the error *why. */
int gp_fleet_put(struct gp_fleet *f, const struct dir_snapshot *s, const struct gp_subject *who, const struct err *why, struct err *err);

/* The summary: hosts for each policy and winning GPO, for each verdict where nothing is
 * assigned, for each reason where it is not known.  -1: write error or no memory. */
int gp_fleet_write(const struct gp_fleet *f, FILE *out);
/* {"computers": [one object a line], "summary": {...}} */
int gp_fleet_write_json(const struct gp_fleet *f, FILE *out);

#endif
