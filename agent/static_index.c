/* Which filters a list has: without it each of 10,000 `add filter` would look at all the ones
 * before.  A table a list, found by the address of the list; it is filled again when
 * somebody else changed the list.  The hash is keyed with chance: whoever may write to
 * the directory cannot make filters that fall together. */
#include "agent/static.h"

#include <string.h>
#include <sys/random.h>

#include "schema/arena.h"
#include "schema/err.h"

struct list_table {
	const struct ipsec_object	*list;
	const struct ipsec_filter	*filters;	/* the list's array as it was left here, */
	size_t				 n;		/* grown by arena_grow */
	uint32_t			*slots;		/* filter + 1; 0: free */
	size_t				 n_slots;	/* a power of two */
};

struct filter_index {
	uint64_t		 seed;
	struct list_table	**tables;
	size_t			 n_tables, n_table_slots;
	size_t			 work;
};

static uint64_t mix(uint64_t h, const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

static uint64_t mix_text(uint64_t h, const char *s)
{
	return mix(h, s, strlen(s) + 1);
}

static uint64_t mix_addr(uint64_t h, const struct ipsec_addr *a)
{
	const uint8_t head[] = { (uint8_t)a->kind, a->family, a->prefix };

	h = mix(h, head, sizeof(head));
	h = mix(h, a->lo, sizeof(a->lo));
	return mix(h, a->hi, sizeof(a->hi));
}

static uint64_t filter_hash(const struct ipsec_filter *f, uint64_t seed)
{
	const uint16_t words[] = { f->protocol, f->src_port.lo, f->src_port.hi, f->dst_port.lo, f->dst_port.hi,
	    f->mirrored, f->tunnel };
	uint64_t h = mix_addr(mix_addr(seed, &f->src), &f->dst);

	h = mix(h, words, sizeof(words));
	h = mix(h, f->tunnel_addr, sizeof(f->tunnel_addr));
	return mix_text(mix_text(mix_text(h, f->description), f->src_dns), f->dst_dns);
}

static bool addr_same(const struct ipsec_addr *x, const struct ipsec_addr *y)
{
	return x->kind == y->kind && x->family == y->family && x->prefix == y->prefix &&
	    !memcmp(x->lo, y->lo, sizeof(x->lo)) && !memcmp(x->hi, y->hi, sizeof(x->hi));
}

static bool ports_same(const struct ipsec_ports *x, const struct ipsec_ports *y)
{
	return x->lo == y->lo && x->hi == y->hi;
}

bool filter_same(const struct ipsec_filter *x, const struct ipsec_filter *y)
{
	return addr_same(&x->src, &y->src) && addr_same(&x->dst, &y->dst) && x->protocol == y->protocol &&
	    ports_same(&x->src_port, &y->src_port) && ports_same(&x->dst_port, &y->dst_port) &&
	    x->mirrored == y->mirrored && x->tunnel == y->tunnel &&
	    !memcmp(x->tunnel_addr, y->tunnel_addr, sizeof(x->tunnel_addr)) &&
	    !strcmp(x->description, y->description) && !strcmp(x->src_dns, y->src_dns) && !strcmp(x->dst_dns, y->dst_dns);
}

/* ---- one list ---- */

/* The filter's slot, or the free one where it would be. */
static uint32_t *filter_slot(struct filter_index *x, const struct list_table *t, const struct ipsec_filter *f)
{
	size_t i = (size_t)filter_hash(f, x->seed) & (t->n_slots - 1);

	for (;; i = (i + 1) & (t->n_slots - 1)) {
		x->work++;
		if (!t->slots[i] || filter_same(&t->filters[t->slots[i] - 1], f))
			return &t->slots[i];
	}
}

static int table_fill(struct filter_index *x, struct list_table *t, struct arena *a)
{
	size_t n_slots = 16;

	while (n_slots / 2 <= t->n)
		n_slots *= 2;
	if (n_slots > t->n_slots) {
		t->slots = arena_zalloc(a, n_slots, sizeof(*t->slots));
		t->n_slots = t->slots ? n_slots : 0;
		if (!t->slots)
			return -1;
	} else {
		memset(t->slots, 0, t->n_slots * sizeof(*t->slots));
	}
	for (size_t i = 0; i < t->n; i++)
		*filter_slot(x, t, &t->filters[i]) = (uint32_t)i + 1;
	return 0;
}

/* A copy of the list's array as arena_grow would have made it. */
static int table_take(struct filter_index *x, struct list_table *t, struct ipsec_object *list, struct arena *a)
{
	struct ipsec_filter *filters = NULL;
	size_t room = 8, n = list->list.n_filters;

	while (room < n)
		room *= 2;
	filters = arena_zalloc(a, room, sizeof(*filters));
	if (!filters)
		return -1;
	if (n)
		memcpy(filters, list->list.filters, n * sizeof(*filters));
	x->work += n;
	t->filters = list->list.filters = filters;
	t->n = n;
	return table_fill(x, t, a);
}

/* ---- all of them ---- */

static struct list_table **table_slot(const struct filter_index *x, struct list_table **tables, size_t n_slots, const struct ipsec_object *list)
{
	size_t i = (size_t)mix(x->seed, &list, sizeof(list)) & (n_slots - 1);

	while (tables[i] && tables[i]->list != list)
		i = (i + 1) & (n_slots - 1);
	return &tables[i];
}

static int tables_grow(struct filter_index *x, struct arena *a)
{
	size_t n_slots = x->n_table_slots ? 2 * x->n_table_slots : 16;
	struct list_table **tables = arena_zalloc(a, n_slots, sizeof(*tables));

	if (!tables)
		return -1;
	for (size_t i = 0; i < x->n_table_slots; i++)
		if (x->tables[i])
			*table_slot(x, tables, n_slots, x->tables[i]->list) = x->tables[i];
	x->tables = tables;
	x->n_table_slots = n_slots;
	return 0;
}

static struct filter_index *index_get(struct store_edit *e)
{
	struct filter_index *x = e->filters;

	if (x)
		return x;
	x = arena_zalloc(e->container->arena, 1, sizeof(*x));
	if (!x || getrandom(&x->seed, sizeof(x->seed), 0) != sizeof(x->seed))
		return NULL;
	e->filters = x;
	return x;
}

static struct list_table *table_get(struct store_edit *e, struct ipsec_object *list)
{
	struct arena *a = e->container->arena;
	struct filter_index *x = index_get(e);
	struct list_table *t, **slot;

	if (!x || (2 * x->n_tables >= x->n_table_slots && tables_grow(x, a)))
		return NULL;
	slot = table_slot(x, x->tables, x->n_table_slots, list);
	t = *slot;
	if (!t) {
		t = arena_zalloc(a, 1, sizeof(*t));
		if (!t)
			return NULL;
		t->list = list;
		*slot = t;
		x->n_tables++;
	}
	if ((!t->slots || t->filters != list->list.filters || t->n != list->list.n_filters) &&
	    table_take(x, t, list, a)) {
		t->slots = NULL;	/* half filled */
		t->n_slots = 0;
		return NULL;
	}
	return t;
}

int filter_index_find(struct store_edit *e, struct ipsec_object *list, const struct ipsec_filter *f, struct err *err)
{
	struct list_table *t = table_get(e, list);

	return t ? *filter_slot(e->filters, t, f) != 0 : err_nomem(err);
}

int filter_index_add(struct store_edit *e, struct ipsec_object *list, const struct ipsec_filter *f, struct err *err)
{
	struct list_table *t = table_get(e, list);
	struct ipsec_filter *filters;

	if (!t)
		return err_nomem(err);
	if (t->n >= UINT32_MAX)
		return err_set(err, ERR_LIMIT, "filter list '%s' is full", list->name);
	if (t->n && t->n >= 8 && !(t->n & (t->n - 1)))
		e->filters->work += t->n;
	filters = arena_grow(e->container->arena, list->list.filters, t->n, sizeof(*filters));
	if (!filters)
		return err_nomem(err);
	filters[t->n] = *f;
	t->filters = list->list.filters = filters;
	list->list.n_filters = ++t->n;
	if (t->n_slots / 2 > t->n) {
		*filter_slot(e->filters, t, f) = (uint32_t)t->n;
		return 0;
	}
	if (table_fill(e->filters, t, e->container->arena)) {
		t->slots = NULL;
		t->n_slots = 0;
		return err_nomem(err);
	}
	return 0;
}

size_t filter_index_work(const struct store_edit *e)
{
	return e->filters ? e->filters->work : 0;
}
