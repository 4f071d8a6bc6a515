/* gpo/walk.h - the questions of [MS-GPOL] 3.2.5.1 and [MS-GPIPSEC] 3.2.5 in their
 * order, as far as a snapshot answers them.  Private to gpo/: gp_next_query()
 * walks to the first open question, gp_resolve() to the end.
 *
 * Every step returns 1 when an answer is missing (w->need is the search), 0 when
 * its part of the walk is filled, -1 on error.  A step looks only at answers to
 * its own and earlier questions, so that repeating it with more answers never
 * changes what it asked before.  Results live in w->a. */
#ifndef GPO_WALK_H
#define GPO_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "gpo/dnset.h"
#include "gpo/group_hints.h"
#include "gpo/query.h"
#include "gpo/rsop.h"
#include "gpo/som.h"
#include "schema/snapshot.h"

#define WALK_HINTS_MAX	300
#define WALK_GROUPS_MAX	2048
#define WALK_LEVELS_MAX	64	/* of nested groups */
#define WALK_SIDS_MAX	4096
#define WALK_DOMAINS_MAX 8	/* beside our own, that are asked for GPOs */
#define WALK_MISSING_MAX 32	/* GPOs that are asked for one by one, because they did not come with the others */

/* One GPO, however often it is linked. */
struct walk_gpo {
	const char		*dn, *ipsec_dn;
	struct guid		 id;
	const char		*name;
	const struct dir_entry	*entry;		/* NULL: not found, or no link to it counts */
	bool			 counts;	/* a link to it is neither disabled nor blocked */
	bool			 elsewhere;	/* in a domain that this server does not hold */
	bool			 unasked;	/* refused by its name alone */
	bool			 damaged_ipsec;	/* whether it has our extension cannot be told */
	enum gp_verdict		 refused;	/* up to access; GP_APPLIES: not refused so far */
	const char		*note;
	const char		*wmi_filter;	/* "": none */
	bool			 has_ipsec;
};

struct gp_walk {
	const struct dir_snapshot	*s;
	const struct gp_subject		*who;
	struct arena			*a;
	struct dir_query		 need;
	bool				 fleet;		/* one of many computers (gpo/fleet.c): what lies below a base is asked
							 * for at once; the walk begins with root, base_dn and the computer */
	const struct dir_search		*own;		/* then: this computer's token, in no snapshot */

	bool				 ad;		/* an AD, as its root DSE says */
	const struct dir_entry		*root;		/* NULL: none, or empty */
	const char			*base_dn;	/* naming context of the computer; "" not known */
	const char			*config_dn;
	const struct dir_search		*combined;	/* the one search for all hints; NULL: none */
	struct dnset			 hinted;	/* then: these */
	struct group_hints		 hinted_groups;	/* and these; may be none */
	const char			*hinted_subnets;	/* and what lies in this container; NULL: not asked */
	const struct dir_entry		*computer;
	const char			*computer_dn, *domain_dn, *domain;
	const char			*ping_site;	/* NULL: the DC did not tell; "": none */
	const char			*site, *site_from, *site_note;
	const char			*site_subnet;	/* that told the site; NULL: none */
	struct gp_som			*soms;		/* nearest OU first, domain, site */
	size_t				 n_soms, n_link_bytes;
	struct gp_ranked		*ranked;	/* every link, ascending strength */
	size_t				 n_ranked;
	size_t				*ranked_gpo;	/* of each, which of gpos */
	struct dnset			 gpo_dns;
	struct walk_gpo			*gpos;		/* as in gpo_dns */
	size_t				 n_missing;	/* that did not come with the others */
	struct sid			*token;
	size_t				 n_token;
	const char			*token_from;	/* "": not needed */
	struct group_hints		 groups;	/* for the next time, where they had to be searched */
};

struct walk_assigned {
	enum gp_assignment	 assignment;
	bool			 decided;	/* by the GPO of the link of this rank */
	size_t			 rank;
	enum err_code		 why;
	const char		*reason, *policy_dn;
	const struct dir_entry	*policy;	/* when assigned */
};

/* All steps up to the GPOs' verdicts. */
int walk_run(struct gp_walk *w, struct err *err);
/* Some of them one by one, in their order. */
int walk_root(struct gp_walk *w, struct err *err);
int walk_place(struct gp_walk *w, struct err *err);	/* where w->computer lies */
int walk_soms(struct gp_walk *w, struct err *err);
/* After walk_root: sets hinted, the DNs that the one search for all hints asks for. */
int walk_choose_hints(struct gp_walk *w, struct err *err);
enum gp_verdict walk_verdict(const struct gp_walk *w, size_t rank, bool wmi_allow, const char **ret_note);
const struct walk_gpo *walk_gpo_of(const struct gp_walk *w, size_t rank);
int walk_assignment(struct walk_assigned *ret, struct gp_walk *w, bool wmi_allow, struct err *err);
/* ipsecID of an assigned policy, or the GUID in its name "CN=ipsecPolicy{...}"; false: neither. */
bool walk_policy_id(struct guid *ret, struct arena *a, const char *dn, const struct dir_entry *e);

/* ---- steps of their own files, and what they share ---- */
int walk_site(struct gp_walk *w, struct err *err);	/* adds the site to the SOMs */
int walk_token(struct gp_walk *w, struct err *err);
int walk_gpos(struct gp_walk *w, struct err *err);
/* ... in parts: all but the rights; *ret_judged: a GPO that is left has some, so the token is needed;
 * and the rights. */
int walk_gpos_find(struct gp_walk *w, bool *ret_judged, struct err *err);
int walk_gpos_access(struct gp_walk *w, struct err *err);
bool walk_gpo_is_open(const struct walk_gpo *g);	/* its rights matter, if it has any */
bool walk_root_is_self(const struct gp_walk *w);	/* the root DSE tells this computer's token */
/* Could the domain be searched for computers at all? */
int walk_check_domain(struct gp_walk *w, const struct dir_search *answer, struct err *err);
/* Sets hinted_subnets where the combined search can bring the subnets along. */
int walk_hint_subnets(struct gp_walk *w, struct err *err);
/* The groups' SIDs, where the directory computes no token. */
int walk_groups(struct gp_walk *w, struct err *err);
int walk_own_sids(struct gp_walk *w, struct err *err);	/* its own, the primary group's, and everybody's */
int walk_add_sid(struct gp_walk *w, const struct sid *sid, struct err *err);
bool walk_own_sid(struct sid *ret, const struct dir_entry *e);
bool walk_primary_group(struct sid *ret, const struct gp_walk *w);
bool walk_is_security_group(const struct dir_entry *e);	/* also what does not say what it is */
const char *walk_group_name(const struct dir_value *v);	/* of memberOf; NULL: not to be followed */

/* 0 and *ret, or 1. */
int walk_ask(struct gp_walk *w, const struct dir_query *q, const struct dir_search **ret);
/* -1 when the server says that it does not hold what must be known. */
int walk_held(const struct dir_search *answer, struct err *err);
/* FOUND, DENIED, ABSENT or ELSEWHERE, with a base search if nothing else told. */
int walk_ask_entry(struct gp_walk *w, const char *dn, const char *const *attrs, const struct dir_entry **ret, enum dir_state *ret_state);
/* Was that base search sent? */
bool walk_asked_entry(const struct gp_walk *w, const char *dn);
/* Asks for many DNs below base; those that come are in the snapshot then.  all: a filter that finds what is
 * expected there, for a fleet.  *ret_elsewhere: this server does not hold base. */
int walk_ask_dns(struct gp_walk *w, const char *base, const char *const *dns, size_t n, const char *all, bool *ret_elsewhere, struct err *err);
bool walk_hinted(const struct gp_walk *w, const char *dn);
int walk_som_fill(struct gp_walk *w, struct gp_som *som, const struct dir_entry *e, struct err *err);
/* The one-level search that returns every policy object of a domain. */
int walk_ask_container(struct gp_walk *w, const char *policy_dn, struct err *err);
/* Some of them, where they are asked for by name: for who has the others in memory and among the hints. */
bool walk_by_name(struct gp_walk *w, const char *policy_dn);
int walk_ask_objects(struct gp_walk *w, const char *policy_dn, const char *const *dns, size_t n, struct err *err);

#endif
