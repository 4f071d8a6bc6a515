#include "nft/units.h"

#include <stdlib.h>
#include <string.h>

#include "nft/unfold.h"
#include "schema/err.h"

/* The kernel lists a set in pieces of 32 KB, and goes through all of it again to find
 * where each begins: the time for reading a map back grows with its square.  A shape
 * with more filters gets further maps, which costs packets a lookup each. */
#define MAP_MAX		65536
#define NONE		UINT32_MAX
#define MAX_OPEN	2	/* see clique_of */
#define MAX_MAPPED	256	/* cliques that become maps; beyond that packets would have no less to do */
#define MIN_MAPPED	4	/* filters; fewer are not worth looking at */

/* Ranges that may be asked for together: see nft/units.h. */
struct clique {
	uint32_t	 first, last;	/* in order, linked by work.next */
	size_t		 n;
};

struct work {
	const struct unfold	*x;
	struct units		*u;
	size_t			 begin, max;
	uint32_t		*next;		/* of each filter from begin on: the next of its clique */
	struct clique		*cliques;
	size_t			 n, size;
	size_t			 open[MAX_OPEN];	/* that may grow */
	unsigned		 n_open;
	const struct specific	*mapped[MAX_MAPPED];	/* one of each clique that became maps */
	unsigned		 n_mapped;
	struct err		*err;
};

static int unit_add(struct work *w, struct unit unit)
{
	const size_t size = w->u->size ? 2 * w->u->size : 32;
	struct unit *all = w->u->all;

	if (w->u->n == w->u->size) {
		all = realloc(all, size * sizeof(*all));
		if (!all)
			return err_nomem(w->err);
		w->u->all = all;
		w->u->size = size;
	}
	all[w->u->n++] = unit;
	return 0;
}

/* ---- which ranges go together ---- */

/* No packet is of both. */
static bool are_apart(const struct specific *a, const struct specific *b)
{
	return a->conntype != b->conntype && a->conntype != IPSEC_CONN_ALL && b->conntype != IPSEC_CONN_ALL;
}

/* The open one that f belongs to; NULL: none.  What f could meet a packet of is closed.  So no two that stay
 * open can match the same packet, of which there are no more than two. */
static struct clique *clique_of(struct work *w, const struct specific *f)
{
	struct clique *found = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < w->n_open; i++) {
		const struct specific *g = unfold_at(w->x, w->cliques[w->open[i]].first);

		if (f->range && specific_same_axis(g, f))
			found = &w->cliques[w->open[i]];
		else if (!are_apart(g, f))
			continue;
		w->open[n++] = w->open[i];
	}
	w->n_open = n;
	return found;
}

static struct clique *clique_new(struct work *w, size_t at)
{
	const size_t size = w->size ? 2 * w->size : 16;
	struct clique *all = w->cliques;

	if (w->n == w->size) {
		all = realloc(all, size * sizeof(*all));
		if (!all) {
			err_nomem(w->err);
			return NULL;
		}
		w->cliques = all;
		w->size = size;
	}
	all[w->n] = (struct clique){ (uint32_t)at, (uint32_t)at, 0 };
	w->open[w->n_open++] = w->n;
	return &all[w->n++];
}

/* What becomes of a clique stands where its first filter does: what is between its filters cannot match
 * the same packets. */
static int range_add(struct work *w, size_t at)
{
	struct clique *c = clique_of(w, unfold_at(w->x, at));

	if (!c) {
		if (unit_add(w, (struct unit){ .kind = UNIT_PIECES, .begin = w->n }) < 0)
			return -1;
		c = clique_new(w, at);
		if (!c)
			return -1;
	} else {
		w->next[c->last - w->begin] = (uint32_t)at;
	}
	w->next[at - w->begin] = NONE;
	c->last = (uint32_t)at;
	c->n++;
	return 0;
}

/* ---- their pieces ---- */

struct keyed {
	uint8_t		key[RS_KEY_MAX];	/* without the range */
	uint32_t	at;
};

static int keyed_cmp(const void *a, const void *b)
{
	const struct keyed *p = a, *q = b;
	const int c = memcmp(p->key, q->key, sizeof(p->key));

	return c ? c : p->at < q->at ? -1 : p->at > q->at;
}

static struct keyed *keyed_make(const struct work *w, const struct clique *c, enum axis axis)
{
	const struct piece nothing = { .bits = (uint8_t)axis_bits(axis, unfold_at(w->x, c->first)->family) };
	struct keyed *all = malloc(c->n * sizeof(*all));
	struct specific f;
	size_t n = 0;

	for (uint32_t at = c->first; all && at != NONE; at = w->next[at - w->begin]) {
		specific_piece(&f, unfold_at(w->x, at), axis, &nothing, 1);
		specific_key(all[n].key, &f);
		all[n++].at = at;
	}
	if (all)
		qsort(all, n, sizeof(*all), keyed_cmp);
	return all;
}

static int too_many(const struct work *w, uint32_t at)
{
	const struct written *f = unfold_at(w->x, at)->written;
	char id[GUID_TEXT];

	err_set(w->err, ERR_LIMIT, "with its ranges the maps of the policy have more than %d elements", UNITS_MAX_ELEMENTS);
	guid_text(&f->filter->id, id);
	err_prefix(w->err, "filter %s", id);
	guid_text(&f->rule->id, id);
	return err_prefix(w->err, "rule %s '%s'", id, f->rule->name);
}

static int clique_cut(struct work *w, struct pieces *ret, const struct clique *c, enum axis axis)
{
	const unsigned bits = axis_bits(axis, unfold_at(w->x, c->first)->family);
	const size_t max = w->max - w->u->pieces.n;
	struct keyed *all = keyed_make(w, c, axis);
	struct span *spans = malloc(c->n * sizeof(*spans));
	int rc = all && spans ? 0 : err_nomem(w->err);

	for (size_t i = 0, n; rc == 0 && i < c->n; i += n) {
		for (n = 0; i + n < c->n && !memcmp(all[i + n].key, all[i].key, sizeof(all[i].key)); n++) {
			specific_span(&spans[n], unfold_at(w->x, all[i + n].at), axis);
			spans[n].who = all[i + n].at;
		}
		rc = pieces_cut(ret, spans, n, bits, max, w->err);
		if (rc == 0 && ret->n > max)
			rc = too_many(w, ret->all[ret->n - 1].who);
	}
	free(all);
	free(spans);
	return rc;
}

/* How many from the i-th on go into one map. */
static size_t pieces_count(const struct pieces *p, size_t i)
{
	size_t n = 1;

	while (n < MAP_MAX && i + n < p->n && p->all[i + n].bits == p->all[i].bits)
		n++;
	return n;
}

static size_t lookups_count(const struct pieces *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i += pieces_count(p, i))
		n++;
	return n;
}

static int rules_add(struct work *w, const struct clique *c)
{
	for (uint32_t at = c->first; at != NONE; at = w->next[at - w->begin])
		if (unit_add(w, (struct unit){ .kind = UNIT_RULE, .part = 1, .begin = at, .n = 1 }) < 0)
			return -1;
	return 0;
}

static int pieces_append(struct work *w, const struct pieces *p)
{
	struct pieces *to = &w->u->pieces;
	struct piece *all = realloc(to->all, (to->n + p->n) * sizeof(*all));

	if (!all)
		return err_nomem(w->err);
	memcpy(all + to->n, p->all, p->n * sizeof(*all));
	to->all = all;
	to->n = to->size = to->n + p->n;
	return 0;
}

static int maps_add(struct work *w, const struct clique *c, const struct pieces *p, enum axis axis)
{
	const size_t base = w->u->pieces.n;
	unsigned group = 1, part = 1;

	for (unsigned i = 0; i < w->n_mapped; i++)
		group += specific_same_axis(w->mapped[i], unfold_at(w->x, c->first));
	w->mapped[w->n_mapped++] = unfold_at(w->x, c->first);
	for (size_t i = 0, n; i < p->n; i += n) {
		n = pieces_count(p, i);
		part = i && p->all[i - 1].bits == p->all[i].bits ? part + 1 : 1;
		if (unit_add(w, (struct unit){ .kind = UNIT_PIECES, .part = part, .begin = base + i, .n = n, .axis = axis,
		    .group = group }) < 0)
			return -1;
	}
	return pieces_append(w, p);
}

static int clique_end(struct work *w, const struct clique *c)
{
	struct pieces p = { 0 };
	enum axis axis;
	int rc = 0;

	specific_axis(&axis, unfold_at(w->x, c->first));
	if (c->n >= MIN_MAPPED && w->n_mapped < MAX_MAPPED)
		rc = clique_cut(w, &p, c, axis);
	pieces_sort(&p);
	if (rc == 0)
		rc = p.n && c->n >= 2 * lookups_count(&p) ? maps_add(w, c, &p, axis) : rules_add(w, c);
	pieces_free(&p);
	return rc;
}

/* Each clique in its place becomes what it comes to. */
static int cliques_end(struct work *w)
{
	struct unit *old = w->u->all;
	const size_t n = w->u->n;
	int rc = 0;

	w->u->all = NULL;
	w->u->n = w->u->size = 0;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = old[i].kind == UNIT_PIECES ? clique_end(w, &w->cliques[old[i].begin]) : unit_add(w, old[i]);
	free(old);
	return rc;
}

/* ---- all filters ---- */

static size_t map_count(const struct unfold *x, size_t i, size_t end)
{
	size_t n = 1;

	while (n < MAP_MAX && i + n < end && specific_same_shape(unfold_at(x, i), unfold_at(x, i + n)))
		n++;
	return n;
}

static int filters_add(struct work *w, size_t end)
{
	unsigned part = 0;
	enum axis axis;

	for (size_t i = w->begin, n; i < end; i += n) {
		const struct specific *f = unfold_at(w->x, i);
		const bool plain = f->range || !f->n_keys;

		n = plain ? 1 : map_count(w->x, i, end);
		if (specific_axis(&axis, f)) {
			if (range_add(w, i) < 0)
				return -1;
			continue;
		}
		clique_of(w, f);
		part = !plain && i > w->begin && specific_same_shape(unfold_at(w->x, i - 1), f) ? part + 1 : 1;
		if (unit_add(w, (struct unit){ .kind = plain ? UNIT_RULE : UNIT_MAP, .part = part, .begin = i, .n = n }) < 0)
			return -1;
	}
	return 0;
}

int units_make(struct units *ret, const struct unfold *x, size_t begin, size_t end, size_t max, struct err *err)
{
	struct work w = { .x = x, .u = ret, .begin = begin, .max = max, .err = err };
	int rc = -1;

	w.next = malloc((end - begin + 1) * sizeof(*w.next));
	if (!w.next)
		err_nomem(err);
	else if (filters_add(&w, end) == 0)
		rc = cliques_end(&w);
	free(w.next);
	free(w.cliques);
	return rc;
}

void units_free(struct units *u)
{
	free(u->all);
	pieces_free(&u->pieces);
	*u = (struct units){ 0 };
}
