/* Which changes can misjudge a packet.
 *
 * Say that only elements differ.  A packet meets the maps of its hook one after the other, most
 * specific first, in a filter chain that it enters once and never leaves, and each map once.  The
 * switch to the new generation is one moment, so it sees the first maps as they were and, from the
 * j-th on, as they will be.  It is judged
 *
 *   as before, when an old element before the j-th matches;
 *   as from now on, when no new element before the j-th matches either;
 *   by neither, only if a new one before the j-th matches, which is not in the old map: an ADDED
 *   key; and what matches at the j-th or later in the new maps is not what matched in the old: an
 *   element CHANGED there.
 *
 * So a single element that is added, removed or given another verdict needs no guard, nor does any
 * number of removals.  A guard is needed for an added element that may drop where, further down for
 * the same packets, one is added that may let through or one is removed that may drop.
 *
 * An element whose verdict changes is taken out and put in again under the same key.  A lookup that is
 * under way just then can miss both, and the packet goes on to less specific maps.  When the old
 * and the new verdict drop, that needs a guard too.
 *
 * The guard holds those elements as they will be, and before them, so that it drops nothing which the new
 * rules let through, those that come first for some of the same packets and do not drop, as plain
 * acceptance.  It lets everything else through: a packet that it should stop has one of those elements
 * as its first among the new ones, for what is neither added nor put in again is there in the old rules as well.
 *
 * Two chains of one hook may look up the same maps in the same order, of which one leaves some out: what a packet
 * meets is said for each chain, and the guard holds what any of them needs.  More of the second kind does no harm:
 * what is before the first match of a packet in its chain does not match it. */
#include "nft/guard.h"

#include <stdlib.h>
#include <string.h>

#include "nft/overlap.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/err.h"

struct elements {
	const struct rs_element	**all;
	size_t			 n, size;
};

/* A map that filter chains look up. */
struct map {
	const struct rs_set	*set;
	struct elements		 added, opened, guarded;
	uint8_t			*marks;		/* of set's elements: enum mark */
	bool			 used;		/* any marks */
};

/* Where one of them does. */
struct place {
	const struct rs_chain	*chain;
	const struct rs_lookup	*lookup;
	struct map		*map;
};

enum mark { MARK_NONE, MARK_GUARD, MARK_PASS };

struct plan {
	const struct rs_changes	*c;
	struct place		*places;	/* chain by chain, in order */
	struct map		*maps;
	size_t			 n_places, n_maps, n_guarded;
	struct map		*last;		/* of the last change */
	const struct rs_set	*harmless;	/* where the last change was, not looked up by filters */
	bool			 all;		/* cannot be told apart: guard everything */
	struct err		*err;
};

static bool may_drop(const struct rs_element *e)
{
	return e->verdict != RS_ACCEPT;
}

static bool may_pass(const struct rs_element *e)
{
	return e->verdict != RS_DROP;
}

static int elements_add(struct plan *p, struct elements *l, const struct rs_element *e)
{
	const size_t size = l->size ? 2 * l->size : 8;
	const struct rs_element **all = l->all;

	if (l->n == l->size) {
		all = realloc(all, size * sizeof(*all));
		if (!all)
			return err_nomem(p->err);
		l->all = all;
		l->size = size;
	}
	all[l->n++] = e;
	return 0;
}

/* ---- filter chains ---- */

static bool is_filter_chain(const struct rs_chain *c)
{
	for (size_t i = 0; c && i < c->n_rules; i++)
		if (c->rules[i].verdict == RS_VMAP)
			return true;
	return false;
}

/* Entered from a base chain, never left. */
static bool filter_chain_plain(const struct ruleset *r, const struct rs_chain *c)
{
	for (size_t i = 0; i < c->n_rules; i++) {
		const struct rs_rule *rule = &c->rules[i];

		if (rule->log || rule->foreign || (rule->verdict != RS_VMAP && rule->verdict != RS_ACCEPT &&
		    rule->verdict != RS_DROP && rule->verdict != RS_GOTO))
			return false;
		if (rule->chain && is_filter_chain(ruleset_chain(r, rule->chain)))
			return false;
	}
	for (size_t i = 0; i < r->n_chains; i++)
		for (size_t k = 0; k < r->chains[i]->n_rules; k++) {
			const struct rs_rule *rule = &r->chains[i]->rules[k];

			if (rule->chain && !strcmp(rule->chain, c->name) &&
			    (rule->verdict != RS_GOTO || r->chains[i]->hook == RS_HOOK_NONE))
				return false;
		}
	return c->hook == RS_HOOK_NONE;
}

static struct map *map_find(const struct plan *p, const char *set)
{
	for (size_t i = 0; i < p->n_maps; i++)
		if (!strcmp(p->maps[i].set->name, set))
			return &p->maps[i];
	return NULL;
}

/* False: the chain cannot be followed.  Chains may share maps, as a packet enters one of them. */
static bool place_add(struct plan *p, const struct rs_chain *c, const struct rs_lookup *l)
{
	const struct rs_set *s = ruleset_set(p->c->want, l->set);
	struct map *m = map_find(p, l->set);

	for (size_t i = p->n_places; m && i-- > 0 && p->places[i].chain == c;)
		if (p->places[i].map == m)
			return false;
	if (!s)
		return false;
	if (!m) {
		m = &p->maps[p->n_maps++];
		m->set = s;
	}
	p->places[p->n_places++] = (struct place){ c, l, m };
	return true;
}

static int places_find(struct plan *p)
{
	const struct ruleset *r = p->c->want;
	size_t n = 0;

	for (size_t i = 0; i < r->n_chains; i++)
		n += r->chains[i]->n_rules;
	p->places = calloc(n + 1, sizeof(*p->places));
	p->maps = calloc(n + 1, sizeof(*p->maps));
	if (!p->places || !p->maps)
		return err_nomem(p->err);
	for (size_t i = 0; i < r->n_chains && !p->all; i++) {
		const struct rs_chain *c = r->chains[i];

		if (!is_filter_chain(c))
			continue;
		p->all |= !filter_chain_plain(r, c);
		for (size_t k = 0; k < c->n_rules && !p->all; k++)
			if (c->rules[k].verdict == RS_VMAP)
				p->all = !place_add(p, c, c->rules[k].vmap);
	}
	return 0;
}

/* ---- changes ---- */

static bool chain_is_target(const struct ruleset *r, const char *name)
{
	for (size_t i = 0; i < r->n_chains; i++)
		for (size_t k = 0; k < r->chains[i]->n_rules; k++)
			if (r->chains[i]->rules[k].verdict == RS_GOTO && !strcmp(r->chains[i]->rules[k].chain, name))
				return true;
	for (size_t i = 0; i < r->n_sets; i++)
		for (size_t k = 0; k < r->sets[i]->n_elements; k++)
			if (r->sets[i]->elements[k].chain && !strcmp(r->sets[i]->elements[k].chain, name))
				return true;
	return false;
}

/* What is in it passes, before any filter is asked: then old or new rules let the packet through, or
 * it goes on as if the set were as it will be. */
static bool set_only_accepts(const struct ruleset *r, const char *set)
{
	for (size_t i = 0; i < r->n_chains; i++)
		for (size_t k = 0; k < r->chains[i]->n_rules; k++) {
			const struct rs_rule *rule = &r->chains[i]->rules[k];
			bool asks = rule->vmap && !strcmp(rule->vmap->set, set), wrong = asks;

			for (size_t m = 0; m < rule->n_matches; m++)
				if (rule->matches[m].op == RS_LOOKUP && !strcmp(rule->matches[m].lookup->set, set)) {
					asks = true;
					wrong |= rule->matches[m].lookup->invert;
				}
			if (asks && (wrong || rule->verdict != RS_ACCEPT || is_filter_chain(r->chains[i]) ||
			    chain_is_target(r, r->chains[i]->name)))
				return false;
		}
	return true;
}

/* Of another process, perhaps. */
static bool leads_astray(const struct ruleset *r, const struct rs_element *e)
{
	return e && (e->foreign || e->verdict == RS_JUMP || e->verdict == RS_RETURN ||
	    (e->chain && (!ruleset_chain(r, e->chain) || is_filter_chain(ruleset_chain(r, e->chain)))));
}

static int change_see(const struct rs_difference *d, void *cookie)
{
	struct plan *p = cookie;
	const struct ruleset *r = p->c->want;
	struct map *at = p->last;

	if (d->what != RS_DIFF_ELEMENT || !d->want_set || !d->have_set)
		p->all = true;
	if (p->all)
		return 1;
	if (!at || at->set != d->want_set)
		p->last = at = map_find(p, d->want_set->name);
	if (!at && p->harmless != d->want_set) {
		p->all = !set_only_accepts(r, d->want_set->name);
		p->harmless = d->want_set;
	}
	if (!at)
		return 0;
	p->all = leads_astray(r, d->want) || leads_astray(r, d->have);
	if (d->want && !d->have && may_drop(d->want) && elements_add(p, &at->added, d->want) < 0)
		return -1;
	if (((d->want && may_pass(d->want)) || (!d->want && may_drop(d->have))) &&
	    elements_add(p, &at->opened, d->want ? d->want : d->have) < 0)
		return -1;
	if (d->want && d->have && may_drop(d->want) && may_drop(d->have) && elements_add(p, &at->guarded, d->want) < 0)
		return -1;
	return 0;
}

/* ---- what the guard holds ---- */

static int mark(struct plan *p, struct map *at, const struct rs_element *e, enum mark m)
{
	if (!at->marks)
		at->marks = calloc(at->set->n_elements, 1);
	if (!at->marks)
		return err_nomem(p->err);
	if (at->marks[e - at->set->elements] != MARK_GUARD)
		at->marks[e - at->set->elements] = (uint8_t)m;
	at->used = true;
	return 0;
}

static bool is_guarded(const struct map *at, const struct rs_element *e)
{
	return at->marks && at->marks[e - at->set->elements] == MARK_GUARD;
}

/* Added here, with something opened further down. */
static int added_guard(struct plan *p, const struct place *at)
{
	struct map *m = at->map;
	struct overlap o;
	int rc = 0;

	for (const struct place *q = at + 1; m->added.n && q < p->places + p->n_places && q->chain == at->chain; q++) {
		if (!q->map->opened.n)
			continue;
		if (overlap_make(&o, q->lookup, q->map->opened.all, q->map->opened.n, at->lookup, p->err) < 0)
			return -1;
		for (size_t i = 0; rc == 0 && i < m->added.n; i++)
			if (!is_guarded(m, m->added.all[i]) && overlap_has(&o, m->added.all[i]->key))
				rc = elements_add(p, &m->guarded, m->added.all[i]) < 0 ? -1 : mark(p, m, m->added.all[i], MARK_GUARD);
		overlap_free(&o);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int changed_guard(struct plan *p, struct map *m)
{
	for (size_t i = 0; i < m->guarded.n; i++)
		if (mark(p, m, m->guarded.all[i], MARK_GUARD) < 0)
			return -1;
	return 0;
}

/* What comes before them for some of the same packets, and does not drop. */
static int earlier_pass(struct plan *p, const struct place *at)
{
	const struct elements *guarded = &at->map->guarded;
	struct overlap o;
	int rc = 0;

	for (const struct place *q = p->places; rc == 0 && guarded->n && q < at; q++) {
		const struct rs_set *s = q->map->set;

		if (q->chain != at->chain)
			continue;
		if (overlap_make(&o, at->lookup, guarded->all, guarded->n, q->lookup, p->err) < 0)
			return -1;
		for (size_t i = 0; rc == 0 && i < s->n_elements; i++)
			if (may_pass(&s->elements[i]) && overlap_has(&o, s->elements[i].key))
				rc = mark(p, q->map, &s->elements[i], MARK_PASS);
		overlap_free(&o);
	}
	return rc;
}

static void set_view(struct ruleset *g, const struct map *at)
{
	struct rs_set *s = arena_memdup(g->arena, at->set, sizeof(*s)), **all;

	all = arena_grow(g->arena, g->sets, g->n_sets, sizeof(*all));
	if (!s || !all) {
		g->failed = true;
		return;
	}
	g->sets = all;
	all[g->n_sets++] = s;
	s->elements = NULL;
	s->n_elements = s->n_reserved = 0;
	for (size_t i = 0; i < at->set->n_elements; i++) {
		const struct rs_element *from = &at->set->elements[i];
		struct rs_element *e = at->marks[i] ? rs_element_add(g, s, from->key) : NULL;

		if (!e)
			continue;
		*e = *from;
		if (at->marks[i] == MARK_PASS) {
			e->verdict = RS_ACCEPT;
			e->chain = NULL;
		}
	}
}

/* The rules up to the last of its maps that is guarded.  Plain rules that drop are the same before and after. */
static void filter_chain_view(const struct plan *p, struct ruleset *g, struct rs_chain *c)
{
	const struct rs_rule *rules = c->rules;
	size_t n = 0, n_rules = c->n_rules;

	for (size_t i = 0; i < n_rules; i++)
		if (rules[i].verdict == RS_VMAP && map_find(p, rules[i].vmap->set)->guarded.n)
			n = i + 1;
	c->rules = NULL;
	c->n_rules = 0;
	for (size_t i = 0; i < n; i++) {
		struct rs_rule *rule;

		if (rules[i].verdict == RS_VMAP ? !map_find(p, rules[i].vmap->set)->used : rules[i].verdict == RS_DROP)
			continue;
		rule = rs_rule_add(g, c);
		if (!rule)
			return;
		*rule = rules[i];
		if (rule->verdict != RS_VMAP) {
			rule->verdict = RS_ACCEPT;
			rule->chain = NULL;
		}
	}
}

static int view_make(struct ruleset **ret, const struct plan *p)
{
	const struct ruleset *r = p->c->want;
	struct ruleset *g = ruleset_new();

	if (!g)
		return err_nomem(p->err);
	for (size_t i = 0; i < r->n_chains; i++) {
		struct rs_chain *c = rs_chain_add(g, "", "");

		if (!c)
			break;
		*c = *r->chains[i];
		if (is_filter_chain(c))
			filter_chain_view(p, g, c);
	}
	for (size_t i = 0; i < r->n_sets; i++) {
		const struct map plain = { .set = r->sets[i] }, *at = map_find(p, r->sets[i]->name);
		struct rs_set **all = at ? NULL : arena_grow(g->arena, g->sets, g->n_sets, sizeof(*all));

		if (at && at->used)
			set_view(g, at);
		if (at)
			continue;
		if (!all) {
			g->failed = true;
			break;
		}
		g->sets = all;
		all[g->n_sets++] = (struct rs_set *)plain.set;
	}
	if (ruleset_seal(g, p->err) < 0) {
		ruleset_free(g);
		return -1;
	}
	*ret = g;
	return 0;
}

static int some_plan(struct ruleset **ret, struct plan *p)
{
	const struct place *end = p->places + p->n_places;

	for (size_t i = 0; i < p->n_maps; i++)
		if (changed_guard(p, &p->maps[i]) < 0)
			return -1;
	for (const struct place *at = p->places; at < end; at++)
		if (added_guard(p, at) < 0)
			return -1;
	for (size_t i = 0; i < p->n_maps; i++)
		p->n_guarded += p->maps[i].guarded.n;
	if (!p->n_guarded) {
		*ret = NULL;
		return 0;
	}
	for (const struct place *at = p->places; at < end; at++)
		if (earlier_pass(p, at) < 0)
			return -1;
	return view_make(ret, p);
}

int guard_plan(struct ruleset **ret, const struct rs_changes *c, struct err *err)
{
	struct plan p = { .c = c, .err = err };
	int rc = 0;

	*ret = NULL;
	if (!c->want || !c->have)
		return 0;
	rc = places_find(&p);
	if (rc == 0 && !p.all && changes_walk(c, change_see, &p) < 0)
		rc = -1;
	if (rc == 0 && p.all)
		*ret = ruleset_share(c->want);
	else if (rc == 0)
		rc = some_plan(ret, &p);
	for (size_t i = 0; i < p.n_maps; i++) {
		free(p.maps[i].added.all);
		free(p.maps[i].opened.all);
		free(p.maps[i].guarded.all);
		free(p.maps[i].marks);
	}
	free(p.maps);
	free(p.places);
	return rc;
}
