/* The SIDs of the computer: its own, its groups', and those that every account has.
 * [MS-ADTS] 3.1.1.4.5.19 (tokenGroups); computed where the directory does not. */
#include "gpo/walk.h"

#include <string.h>

#include "gpo/ask.h"
#include "schema/arena.h"
#include "schema/err.h"

#define GROUP_SECURITY	0x80000000u	/* groupType; others are mailing lists */

static int add_sid(struct gp_walk *w, const struct sid *sid, struct err *err)
{
	struct sid *grown;

	for (size_t i = 0; i < w->n_token; i++)
		if (sid_equal(&w->token[i], sid))
			return 0;
	if (w->n_token == WALK_SIDS_MAX)
		return err_set(err, ERR_LIMIT, "%s is in more than %d groups", w->who->computer, WALK_SIDS_MAX);
	grown = arena_grow(w->a, w->token, w->n_token, sizeof(*grown));
	if (!grown)
		return err_nomem(err);
	w->token = grown;
	w->token[w->n_token++] = *sid;
	return 0;
}

static bool own_sid(struct sid *ret, const struct dir_entry *e)
{
	const struct dir_value *v = entry_value(e, "objectSid");

	return v && sid_parse(ret, v->p, v->len);
}

static bool primary_group(struct sid *ret, const struct gp_walk *w)
{
	struct sid self;
	int64_t rid;

	return own_sid(&self, w->computer) && entry_int(w->computer, "primaryGroupID", &rid) == 1 &&
	    rid >= 0 && rid <= UINT32_MAX && sid_with_rid(ret, &self, (uint32_t)rid);
}

/* S-1-5-18 is not among them: SYSTEM is not in the token that a DC makes. */
static int add_own(struct gp_walk *w, struct err *err)
{
	static const struct sid everyone = { { 0, 0, 0, 0, 0, 1 }, 1, { 0 } };
	static const struct sid authenticated = { { 0, 0, 0, 0, 0, 5 }, 1, { 11 } };
	struct sid sid;

	if (add_sid(w, &everyone, err) < 0 || add_sid(w, &authenticated, err) < 0)
		return -1;
	if (own_sid(&sid, w->computer) && add_sid(w, &sid, err) < 0)
		return -1;
	return primary_group(&sid, w) ? add_sid(w, &sid, err) : 0;
}

static int add_attr(struct gp_walk *w, const struct dir_attr *attr, struct err *err)
{
	struct sid sid;

	for (size_t i = 0; attr && i < attr->n_values; i++) {
		if (!sid_parse(&sid, attr->values[i].p, attr->values[i].len))
			return err_set(err, ERR_FORMAT, "%s: a value is not a SID", attr->name);
		if (add_sid(w, &sid, err) < 0)
			return -1;
	}
	return 0;
}

/* The root DSE tells the token of whoever is bound: it must be the computer
 * itself, or somebody else would lend it his groups. */
static bool root_is_self(const struct gp_walk *w, const struct dir_attr *groups)
{
	const struct dir_value *self = entry_value(w->computer, "objectSid");

	for (size_t i = 0; self && groups && i < groups->n_values; i++)
		if (groups->values[i].len == self->len && !memcmp(groups->values[i].p, self->p, self->len))
			return true;
	return false;
}

static int token_of_computer(struct gp_walk *w, struct err *err)
{
	const struct dir_query q = { w->computer_dn, DIR_BASE, ASK_ANY, ask_token_attrs, 0 };
	const struct dir_attr *groups = NULL;
	const struct dir_search *answer;

	if (walk_ask(w, &q, &answer))
		return 1;
	if (answer->n_entries) {
		groups = entry_attr(&answer->entries[0], "tokenGroups");
		if (!groups || !groups->n_values)
			groups = entry_attr(&answer->entries[0], "tokenGroupsNoGCAcceptable");
	}
	/* Every account has its primary group at least. */
	if (!groups || !groups->n_values)
		return err_set(err, ERR_DENIED, "'%s': the groups (tokenGroups) may not be read", w->computer_dn);
	w->token_from = "computer";
	return add_attr(w, groups, err);
}

/* ---- groups, level by level ---- */

struct groups {
	struct dnset	 seen;		/* the computer, then its groups */
	struct dnset	 asked;		/* values of memberOf */
	size_t		 level_start;	/* in seen */
	struct ask_text	 filter;
	size_t		 n_terms;
	const struct dir_entry **level;	/* entries of seen */
};

static bool is_security_group(const struct dir_entry *e)
{
	int64_t type;

	return entry_int(e, "groupType", &type) != 1 || ((uint64_t)type & GROUP_SECURITY);
}

static int group_found(struct gp_walk *w, struct groups *g, const struct dir_entry *e, struct err *err)
{
	size_t n = g->seen.n;
	struct sid sid;
	void *grown;

	if (!is_security_group(e))
		return 0;
	if (dnset_find(&g->seen, e->dn) != DNSET_NONE)
		return 0;
	if (n > WALK_GROUPS_MAX)
		return err_set(err, ERR_LIMIT, "%s is in more than %d groups", w->who->computer, WALK_GROUPS_MAX);
	grown = arena_grow(w->a, g->level, n, sizeof(*g->level));
	if (!grown || dnset_add(&g->seen, e->dn) == DNSET_NONE)
		return err_nomem(err);
	g->level = grown;
	g->level[n] = e;
	return own_sid(&sid, e) ? add_sid(w, &sid, err) : 0;
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
		ask_put(&g->filter, "(&(|(objectClass=group)(objectClass=groupOfNames))(|");
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
		const char *value = (const char *)of->values[i].p;

		if (strnlen(value, GP_DN_MAX + 1) > GP_DN_MAX || !dn_valid(value) || !*value)
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

static int token_of_groups(struct gp_walk *w, struct err *err)
{
	struct groups g = { .seen = { .a = w->a }, .asked = { .a = w->a }, .filter = { .a = w->a } };
	size_t start = 0, end = 1;
	struct sid primary;
	int r = 0;

	w->token_from = "groups";
	g.level = arena_grow(w->a, NULL, 0, sizeof(*g.level));
	if (!g.level || dnset_add(&g.seen, w->computer_dn) == DNSET_NONE)
		return err_nomem(err);
	g.level[0] = w->computer;
	for (unsigned level = 0; start < end; level++) {
		if (level == WALK_LEVELS_MAX)
			return err_set(err, ERR_LIMIT, "groups of %s are nested more than %d deep",
			    w->who->computer, WALK_LEVELS_MAX);
		if (level == 0 && primary_group(&primary, w)) {
			r = open_term(w, &g, err);
			if (r)
				return r;
			ask_put_sid(&g.filter, "objectSid", &primary);
		}
		for (size_t i = start; !r && i < end; i++)
			r = ask_groups_of(w, &g, g.seen.dns[i], g.level[i], err);
		if (!r)
			r = flush_terms(w, &g, err);
		if (r)
			return r;
		start = end;
		end = g.seen.n;
	}
	return 0;
}

int walk_token(struct gp_walk *w, struct err *err)
{
	const struct dir_attr *groups = w->root ? entry_attr(w->root, "tokenGroups") : NULL;

	if (add_own(w, err) < 0)
		return -1;
	if (root_is_self(w, groups)) {
		w->token_from = "rootDSE";
		return add_attr(w, groups, err);
	}
	return w->ad ? token_of_computer(w, err) : token_of_groups(w, err);
}
