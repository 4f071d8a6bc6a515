/* The groups of the computer where the directory does not compute them: proved from
 * hints at once, or searched level by level. */
#include "gpo/walk.h"

#include <string.h>

#include "gpo/ask.h"
#include "schema/arena.h"
#include "schema/err.h"

#define GROUP_SECURITY	0x80000000u	/* groupType; others are mailing lists */

struct groups {
	struct dnset	 seen;		/* the computer, then its groups */
	struct dnset	 asked;		/* values of memberOf */
	struct ask_text	 filter;
	size_t		 n_terms;
	unsigned	 level;		/* of those whose groups are asked for */
	const struct dir_entry **entries;	/* as in seen */
};

bool walk_is_security_group(const struct dir_entry *e)
{
	int64_t type;

	return entry_int(e, "groupType", &type) != 1 || ((uint64_t)type & GROUP_SECURITY);
}

const char *walk_group_name(const struct dir_value *v)
{
	const char *dn = (const char *)v->p;

	return strnlen(dn, GP_DN_MAX + 1) > GP_DN_MAX || !*dn || !dn_valid(dn) ? NULL : dn;
}

static int group_found(struct gp_walk *w, struct groups *g, const struct dir_entry *e, struct err *err)
{
	bool named = dnset_find(&g->asked, e->dn) != DNSET_NONE;
	size_t n = g->seen.n;
	struct sid sid;
	void *grown;

	if (!walk_is_security_group(e))
		return 0;
	if (dnset_find(&g->seen, e->dn) != DNSET_NONE)
		return 0;
	if (n > WALK_GROUPS_MAX)
		return err_set(err, ERR_LIMIT, "%s is in more than %d groups", w->who->computer, WALK_GROUPS_MAX);
	grown = arena_grow(w->a, g->entries, n, sizeof(*g->entries));
	if (!grown || dnset_add(&g->seen, e->dn) == DNSET_NONE ||
	    group_hints_add(&w->groups, e->dn, named ? GROUP_NAMED : GROUP_MEMBER, g->level + 1) == DNSET_NONE)
		return err_nomem(err);
	g->entries = grown;
	g->entries[n] = e;
	return walk_own_sid(&sid, e) ? walk_add_sid(w, &sid, err) : 0;
}

/* Sends the terms gathered so far. */
static int flush_terms(struct gp_walk *w, struct groups *g, struct err *err)
{
	struct dir_query q = { *w->base_dn ? w->base_dn : w->domain_dn, DIR_SUB, NULL, ask_group_attrs, 0 };
	const struct dir_search *answer;
	int r = 0;

	if (!g->n_terms)
		return 0;
	ask_put(&g->filter, "))");
	if (g->filter.bad)
		return err_nomem(err);
	q.filter = g->filter.p;
	g->filter = (struct ask_text){ .a = w->a };
	g->n_terms = 0;
	if (walk_ask(w, &q, &answer))
		return 1;
	if (answer->outcome == DIR_DENIED)
		return err_set(err, ERR_DENIED, "the groups of %s may not be searched", w->who->computer);
	if (walk_held(answer, err) < 0)
		return -1;
	for (size_t i = 0; !r && i < answer->n_entries; i++)
		r = group_found(w, g, &answer->entries[i], err);
	return r;
}

static int open_term(struct gp_walk *w, struct groups *g, struct err *err)
{
	int r = g->n_terms == ASK_CHUNK ? flush_terms(w, g, err) : 0;

	if (r)
		return r;
	if (!g->n_terms++)
		ask_put(&g->filter, ASK_GROUPS);
	return 0;
}

/* Groups that have e as a member, and those that e says it is a member of. */
static int ask_groups_of(struct gp_walk *w, struct groups *g, const char *dn, const struct dir_entry *e, struct err *err)
{
	const struct dir_attr *of = entry_attr(e, "memberOf");
	size_t n;
	int r = open_term(w, g, err);

	if (r)
		return r;
	ask_put_term(&g->filter, "member", dn);
	for (size_t i = 0; of && i < of->n_values; i++) {
		const char *value = walk_group_name(&of->values[i]);

		if (!value)
			continue;
		n = g->asked.n;
		if (n == WALK_SIDS_MAX)
			return err_set(err, ERR_LIMIT, "%s is in more than %d groups", w->who->computer, WALK_SIDS_MAX);
		if (dnset_add(&g->asked, value) == DNSET_NONE)
			return err_nomem(err);
		if (g->asked.n == n || dnset_find(&g->seen, value) != DNSET_NONE)
			continue;
		r = open_term(w, g, err);
		if (r)
			return r;
		ask_put_term(&g->filter, "entryDN", value);
	}
	return 0;
}

static int search_groups(struct gp_walk *w, struct groups *g, struct err *err)
{
	size_t start = 0, end = 1;
	int r = 0;

	for (; start < end; g->level++) {
		if (g->level == WALK_LEVELS_MAX)
			return err_set(err, ERR_LIMIT, "groups of %s are nested more than %d deep",
			    w->who->computer, WALK_LEVELS_MAX);
		if (g->level == 0 && w->groups.has_primary) {
			r = open_term(w, g, err);
			if (r)
				return r;
			ask_put_sid(&g->filter, "objectSid", &w->groups.primary);
		}
		for (size_t i = start; !r && i < end; i++)
			r = ask_groups_of(w, g, g->seen.dns[i], g->entries[i], err);
		if (!r)
			r = flush_terms(w, g, err);
		if (r)
			return r;
		start = end;
		end = g->seen.n;
	}
	for (size_t i = 0; i < g->asked.n; i++)
		if (group_hints_add(&w->groups, g->asked.dns[i], GROUP_NONE, 0) == DNSET_NONE)
			return err_nomem(err);
	return 0;
}

static int groups_by_level(struct gp_walk *w, struct err *err)
{
	struct groups g = { .seen = { .a = w->a }, .asked = { .a = w->a }, .filter = { .a = w->a } };

	w->groups = (struct group_hints){ .dns = { .a = w->a } };
	w->groups.has_primary = walk_primary_group(&w->groups.primary, w);
	g.entries = arena_grow(w->a, NULL, 0, sizeof(*g.entries));
	if (!g.entries || dnset_add(&g.seen, w->computer_dn) == DNSET_NONE ||
	    group_hints_add(&w->groups, w->computer_dn, GROUP_MEMBER, 0) == DNSET_NONE)
		return err_nomem(err);
	g.entries[0] = w->computer;
	return search_groups(w, &g, err);
}

int walk_groups(struct gp_walk *w, struct err *err)
{
	const struct dir_entry *const *proved;
	struct sid sid;

	w->token_from = "groups";
	if (group_hints_confirm(&proved, w, err) < 0)
		return -1;
	if (!proved)
		return groups_by_level(w, err);
	w->groups = w->hinted_groups;
	for (size_t i = 1; i < w->groups.n_groups; i++)
		if (walk_own_sid(&sid, proved[i]) && walk_add_sid(w, &sid, err) < 0)
			return -1;
	return 0;
}
