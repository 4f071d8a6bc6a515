#include "gpo/fleet_groups.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gpo/ask.h"
#include "gpo/dnset.h"
#include "gpo/fleet.h"
#include "gpo/walk.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

const char *const fleet_group_attrs[] = { "objectClass", "objectSid", "memberOf", "groupType", "member", NULL };

struct group {
	const struct dir_entry	*entry;
	bool			 security;
	size_t			*named;		/* names in its memberOf */
	size_t			 n_named;
};

struct group_sid {
	struct sid	sid;
	size_t		group;
	bool		own;	/* its first objectSid; others are found, but not in a token */
};

struct fleet_groups {
	struct arena		*a;
	struct dnset		 names;		/* groups, then computers, then whatever memberOf names */
	struct group		*groups;	/* as in names */
	size_t			 n_groups;
	size_t			*edges, *starts;	/* groups that list group or computer i: edges[starts[i]..starts[i + 1]] */
	struct group_sid	*sids;			/* sorted */
	size_t			 n_sids;
	/* of the search that is going on, or the last one: */
	size_t			 turn, *seen, *asked;	/* names: the turn in which they were */
	size_t			*queue, n_queue;	/* names that were seen; room for WALK_GROUPS_MAX + 1 */
	size_t			 n_asked, n_terms;
	size_t			*hits, n_hits;		/* groups that the question so far would find... */
	size_t			*hit;			/* ...each once: the turn in which it was one */
};

/* ---- who is in what ---- */

int fleet_sid_cmp(const struct sid *x, const struct sid *y)
{
	int c = memcmp(x->authority, y->authority, sizeof(x->authority));

	if (!c)
		c = (x->n_sub > y->n_sub) - (x->n_sub < y->n_sub);
	/* The RID first: nearly all share the rest. */
	for (unsigned i = x->n_sub; !c && i-- > 0;)
		c = (x->sub[i] > y->sub[i]) - (x->sub[i] < y->sub[i]);
	return c;
}

static int group_sid_cmp(const void *x, const void *y)
{
	return fleet_sid_cmp(&((const struct group_sid *)x)->sid, &((const struct group_sid *)y)->sid);
}

static int add_sids(struct fleet_groups *g, size_t i)
{
	const struct dir_attr *attr = entry_attr(g->groups[i].entry, "objectSid");
	struct group_sid s = { .group = i };

	for (size_t v = 0; attr && v < attr->n_values; v++) {
		if (!sid_parse(&s.sid, attr->values[v].p, attr->values[v].len))
			continue;
		s.own = v == 0;
		g->sids = arena_grow(g->a, g->sids, g->n_sids, sizeof(s));
		if (!g->sids)
			return -1;
		g->sids[g->n_sids++] = s;
	}
	return 0;
}

static int add_groups(struct fleet_groups *g, const struct dir_entry *entries, size_t n)
{
	g->groups = arena_zalloc(g->a, n, sizeof(*g->groups));
	if (!g->groups)
		return -1;
	for (size_t i = 0; i < n; i++) {
		size_t at = dnset_add(&g->names, entries[i].dn);

		if (at == DNSET_NONE)
			return -1;
		if (at < g->n_groups)
			continue;
		g->groups[at].entry = &entries[i];
		g->groups[at].security = walk_is_security_group(&entries[i]);
		g->n_groups++;
		if (g->groups[at].security && add_sids(g, at) < 0)
			return -1;
	}
	if (g->n_sids)
		qsort(g->sids, g->n_sids, sizeof(*g->sids), group_sid_cmp);
	return 0;
}

/* Twice: first to count, then to fill. */
static void add_edges(struct fleet_groups *g, size_t *at, bool fill)
{
	for (size_t i = 0; i < g->n_groups; i++) {
		const struct dir_attr *member = entry_attr(g->groups[i].entry, "member");

		/* The others are never found. */
		if (!g->groups[i].security)
			continue;
		for (size_t v = 0; member && v < member->n_values; v++) {
			size_t who = dnset_find(&g->names, (const char *)member->values[v].p);

			if (who == DNSET_NONE)
				continue;
			if (fill)
				g->edges[at[who]] = i;
			at[who]++;
		}
	}
}

static int list_edges(struct fleet_groups *g)
{
	size_t n = g->names.n, sum = 0, *at = arena_zalloc(g->a, n + 1, sizeof(*at));

	g->starts = arena_zalloc(g->a, n + 1, sizeof(*g->starts));
	if (!at || !g->starts)
		return -1;
	add_edges(g, at, false);
	for (size_t i = 0; i < n; i++) {
		g->starts[i] = sum;
		sum += at[i];
		at[i] = g->starts[i];
	}
	g->starts[n] = sum;
	g->edges = arena_zalloc(g->a, sum, sizeof(*g->edges));
	if (!g->edges)
		return -1;
	add_edges(g, at, true);
	return 0;
}

/* What the groups say themselves. */
static int list_named(struct fleet_groups *g)
{
	for (size_t i = 0; i < g->n_groups; i++) {
		struct group *group = &g->groups[i];
		const struct dir_attr *of = entry_attr(group->entry, "memberOf");

		if (!of || !group->security)
			continue;
		group->named = arena_zalloc(g->a, of->n_values, sizeof(*group->named));
		if (!group->named)
			return -1;
		for (size_t v = 0; v < of->n_values; v++) {
			const char *dn = walk_group_name(&of->values[v]);
			size_t name = dn ? dnset_add(&g->names, dn) : 0;

			if (name == DNSET_NONE)
				return -1;
			if (dn)
				group->named[group->n_named++] = name;
		}
	}
	return 0;
}

struct fleet_groups *fleet_groups_new(struct arena *a, const struct dir_entry *entries, size_t n,
    const struct fleet_computer *computers, size_t n_computers, const char *domain)
{
	struct fleet_groups *g = arena_zalloc(a, 1, sizeof(*g));

	if (!g)
		return NULL;
	g->a = g->names.a = a;
	if (add_groups(g, entries, n) < 0)
		return NULL;
	for (size_t i = 0; i < n_computers; i++) {
		const char *own = dn_domain(computers[i].dn);

		if (domain && (!own || !dn_equal(own, domain)))
			continue;
		if (dnset_add(&g->names, computers[i].dn) == DNSET_NONE)
			return NULL;
	}
	if (list_edges(g) < 0 || list_named(g) < 0)
		return NULL;
	g->seen = arena_zalloc(a, g->names.n, sizeof(*g->seen));
	g->asked = arena_zalloc(a, g->names.n, sizeof(*g->asked));
	g->queue = arena_zalloc(a, WALK_GROUPS_MAX + 1, sizeof(*g->queue));
	g->hits = arena_zalloc(a, g->n_groups, sizeof(*g->hits));
	g->hit = arena_zalloc(a, g->n_groups, sizeof(*g->hit));
	return g->seen && g->asked && g->queue && g->hits && g->hit ? g : NULL;
}

/* ---- the groups of one computer, with the very limits of walk_groups() ---- */

static int too_many(const struct gp_walk *w, int max, struct err *err)
{
	return err_set(err, ERR_LIMIT, "%s is in more than %d groups", w->who->computer, max);
}

static int flush(struct fleet_groups *g, const struct gp_walk *w, struct err *err)
{
	for (size_t i = 0; i < g->n_hits; i++) {
		size_t group = g->hits[i];

		if (!g->groups[group].security || g->seen[group] == g->turn)
			continue;
		if (g->n_queue > WALK_GROUPS_MAX)
			return too_many(w, WALK_GROUPS_MAX, err);
		g->seen[group] = g->turn;
		g->queue[g->n_queue++] = group;
	}
	g->n_hits = g->n_terms = 0;
	return 0;
}

static int term(struct fleet_groups *g, const struct gp_walk *w, struct err *err)
{
	if (g->n_terms == ASK_CHUNK && flush(g, w, err) < 0)
		return -1;
	g->n_terms++;
	return 0;
}

static void hit(struct fleet_groups *g, size_t group)
{
	if (g->hit[group] == g->turn)
		return;
	g->hit[group] = g->turn;
	g->hits[g->n_hits++] = group;
}

static int name_asked(struct fleet_groups *g, const struct gp_walk *w, size_t name, struct err *err)
{
	if (g->n_asked == WALK_SIDS_MAX)
		return too_many(w, WALK_SIDS_MAX, err);
	if (name != DNSET_NONE) {
		if (g->asked[name] == g->turn)
			return 0;
		g->asked[name] = g->turn;
	}
	g->n_asked++;
	if (name != DNSET_NONE && g->seen[name] == g->turn)
		return 0;
	if (term(g, w, err) < 0)
		return -1;
	if (name < g->n_groups)
		hit(g, name);
	return 0;
}

static int ask_members(struct fleet_groups *g, const struct gp_walk *w, size_t name, struct err *err)
{
	if (term(g, w, err) < 0)
		return -1;
	for (size_t i = g->starts[name]; i < g->starts[name + 1]; i++)
		hit(g, g->edges[i]);
	return 0;
}

static int ask_computer(struct fleet_groups *g, const struct gp_walk *w, size_t self, struct err *err)
{
	const struct dir_attr *of = entry_attr(w->computer, "memberOf");

	if (ask_members(g, w, self, err) < 0)
		return -1;
	for (size_t v = 0; of && v < of->n_values; v++) {
		const char *dn = walk_group_name(&of->values[v]);

		if (dn && name_asked(g, w, dnset_find(&g->names, dn), err) < 0)
			return -1;
	}
	return 0;
}

static int ask_group(struct fleet_groups *g, const struct gp_walk *w, size_t name, struct err *err)
{
	const struct group *group = &g->groups[name];

	if (ask_members(g, w, name, err) < 0)
		return -1;
	for (size_t i = 0; i < group->n_named; i++)
		if (name_asked(g, w, group->named[i], err) < 0)
			return -1;
	return 0;
}

/* The first of them; n_sids: there is none. */
size_t fleet_groups_sid(const struct fleet_groups *g, const struct sid *sid)
{
	size_t low = 0, high = g->n_sids;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (fleet_sid_cmp(&g->sids[mid].sid, sid) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < g->n_sids && !fleet_sid_cmp(&g->sids[low].sid, sid) ? low : g->n_sids;
}

static int ask_primary(struct fleet_groups *g, const struct gp_walk *w, struct err *err)
{
	struct sid primary;

	if (!walk_primary_group(&primary, w))
		return 0;
	if (term(g, w, err) < 0)
		return -1;
	for (size_t i = fleet_groups_sid(g, &primary); i < g->n_sids && !fleet_sid_cmp(&g->sids[i].sid, &primary); i++)
		hit(g, g->sids[i].group);
	return 0;
}

int fleet_groups_walk(struct fleet_groups *g, const struct gp_walk *w, struct err *err)
{
	size_t self = dnset_find(&g->names, w->computer->dn), start = 0, end = 1;

	g->turn++;
	g->n_asked = g->n_hits = g->n_terms = 0;
	g->queue[0] = self;
	g->n_queue = 1;
	g->seen[self] = g->turn;
	for (unsigned level = 0; start < end; level++) {
		if (level == WALK_LEVELS_MAX)
			return err_set(err, ERR_LIMIT, "groups of %s are nested more than %d deep",
			    w->who->computer, WALK_LEVELS_MAX);
		if (level == 0 && ask_primary(g, w, err) < 0)
			return -1;
		for (size_t i = start; i < end; i++)
			if ((level ? ask_group(g, w, g->queue[i], err) : ask_computer(g, w, self, err)) < 0)
				return -1;
		if (flush(g, w, err) < 0)
			return -1;
		start = end;
		end = g->n_queue;
	}
	return 0;
}

bool fleet_groups_found(const struct fleet_groups *g, size_t at)
{
	for (size_t i = at; i < g->n_sids && (i == at || !fleet_sid_cmp(&g->sids[i].sid, &g->sids[at].sid)); i++)
		if (g->sids[i].own && g->seen[g->sids[i].group] == g->turn)
			return true;
	return false;
}
