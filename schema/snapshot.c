#include "schema/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ident.h"

#define INDEX_FIRST	64	/* buckets; a power of two */

/* One DN and what is known of it, or one search by its base, scope and filter. */
struct node {
	struct node		*next;
	uint64_t		 hash;
	const char		*dn;
	const struct dir_entry	*entry;
	enum dir_state		 state;
	size_t			 search;	/* number of the last such search */
};

struct table {
	struct node	**buckets;
	size_t		  n, size;
};

struct dir_index {
	uint64_t	seed;
	struct table	entries, searches;
};

/* ---- the index ---- */

static void table_insert(struct table *t, struct node *node)
{
	struct node **bucket = &t->buckets[node->hash & (t->size - 1)];

	node->next = *bucket;
	*bucket = node;
}

static int table_grow(struct table *t, struct arena *a)
{
	struct table old = *t;
	struct node *node, *next;

	t->size = old.size ? 2 * old.size : INDEX_FIRST;
	t->buckets = arena_zalloc(a, t->size, sizeof(struct node *));
	if (!t->buckets) {
		*t = old;
		return -1;
	}
	for (size_t i = 0; i < old.size; i++)
		for (node = old.buckets[i]; node; node = next) {
			next = node->next;
			table_insert(t, node);
		}
	return 0;
}

static struct node *table_add(struct table *t, struct arena *a, uint64_t hash, const char *dn)
{
	struct node *node;

	if (t->n == t->size && table_grow(t, a) < 0)
		return NULL;
	node = arena_zalloc(a, 1, sizeof(*node));
	if (!node)
		return NULL;
	node->hash = hash;
	node->dn = dn;
	table_insert(t, node);
	t->n++;
	return node;
}

static struct node *table_first(const struct table *t, uint64_t hash)
{
	return t->size ? t->buckets[hash & (t->size - 1)] : NULL;
}

static struct node *entry_find(const struct dir_index *x, const char *dn, uint64_t hash)
{
	struct node *node;

	for (node = table_first(&x->entries, hash); node; node = node->next)
		if (node->hash == hash && dn_equal(node->dn, dn))
			return node;
	return NULL;
}

static struct node *entry_node(struct dir_snapshot *s, const char *dn)
{
	uint64_t hash = dn_hash(dn, s->index->seed);
	struct node *node = entry_find(s->index, dn, hash);

	return node ? node : table_add(&s->index->entries, s->arena, hash, dn);
}

static uint64_t search_hash(const struct dir_index *x, const struct dir_query *q)
{
	uint64_t hash = dn_hash(q->base, x->seed + 1 + (uint64_t)q->scope);

	/* A filter is no DN; but its hash is as good, malformed or not. */
	return dn_hash(q->filter, hash);
}

static struct node *search_find(const struct dir_snapshot *s, const struct dir_query *q, uint64_t hash)
{
	const struct dir_query *have;
	struct node *node;

	for (node = table_first(&s->index->searches, hash); node; node = node->next) {
		have = &s->searches[node->search].q;
		if (node->hash == hash && have->scope == q->scope &&
		    strcmp(have->filter, q->filter) == 0 && dn_equal(have->base, q->base))
			return node;
	}
	return NULL;
}

/* ---- the value ---- */

struct dir_snapshot *snapshot_new(void)
{
	struct arena *a = arena_new(0);
	struct dir_snapshot *s;

	if (!a)
		return NULL;
	s = arena_zalloc(a, 1, sizeof(*s));
	if (s)
		s->index = arena_zalloc(a, 1, sizeof(*s->index));
	if (!s || !s->index) {
		arena_free(a);
		return NULL;
	}
	s->arena = a;
	s->server = "";
	/* Where memory happens to lie: enough that nobody can make up colliding
	 * names beforehand.  Nothing printed depends on it. */
	s->index->seed = (uint64_t)(uintptr_t)s->index;
	return s;
}

void snapshot_free(struct dir_snapshot *s)
{
	if (s)
		arena_free(s->arena);
}

int snapshot_set_server(struct dir_snapshot *s, const char *uri, const char *address, struct err *err)
{
	char *u = arena_strdup(s->arena, uri);
	char *d = address ? arena_strdup(s->arena, address) : NULL;

	if (!u || (address && !d))
		return err_nomem(err);
	s->server = u;
	s->address = d;
	return 0;
}

static int attr_copy(struct dir_attr *ret, struct arena *a, const struct dir_attr *from)
{
	uint8_t *p;

	ret->name = arena_strdup(a, from->name);
	ret->values = arena_zalloc(a, from->n_values, sizeof(*ret->values));
	if (!ret->name || !ret->values)
		return -1;
	for (size_t i = 0; i < from->n_values; i++) {
		p = arena_zalloc(a, from->values[i].len + 1, 1);
		if (!p)
			return -1;
		if (from->values[i].len)
			memcpy(p, from->values[i].p, from->values[i].len);
		ret->values[i].p = p;
		ret->values[i].len = from->values[i].len;
	}
	ret->n_values = from->n_values;
	return 0;
}

static int entry_copy(struct dir_entry *ret, struct arena *a, const struct dir_entry *from)
{
	ret->dn = arena_strdup(a, from->dn);
	ret->attrs = arena_zalloc(a, from->n_attrs, sizeof(*ret->attrs));
	if (!ret->dn || !ret->attrs)
		return -1;
	for (size_t i = 0; i < from->n_attrs; i++)
		if (attr_copy(&ret->attrs[i], a, &from->attrs[i]) < 0)
			return -1;
	ret->n_attrs = from->n_attrs;
	return 0;
}

static int query_copy(struct dir_query *ret, struct arena *a, const struct dir_query *from)
{
	const char **attrs;
	size_t n = 0;

	while (from->attrs && from->attrs[n])
		n++;
	attrs = arena_zalloc(a, n + 1, sizeof(*attrs));
	ret->base = arena_strdup(a, from->base);
	ret->filter = arena_strdup(a, from->filter);
	if (!attrs || !ret->base || !ret->filter)
		return -1;
	for (size_t i = 0; i < n; i++) {
		attrs[i] = arena_strdup(a, from->attrs[i]);
		if (!attrs[i])
			return -1;
	}
	ret->attrs = attrs;
	ret->scope = from->scope;
	ret->sd_flags = from->sd_flags;
	return 0;
}

static int search_copy(struct dir_search *ret, struct arena *a, const struct dir_query *q,
    enum dir_outcome outcome, const struct dir_entry *entries, size_t n_entries)
{
	struct dir_search copy = { .outcome = outcome, .n_entries = n_entries };

	if (query_copy(&copy.q, a, q) < 0)
		return -1;
	copy.entries = arena_zalloc(a, n_entries, sizeof(*entries));
	if (!copy.entries)
		return -1;
	for (size_t i = 0; i < n_entries; i++)
		if (entry_copy(&copy.entries[i], a, &entries[i]) < 0)
			return -1;
	*ret = copy;
	return 0;
}

/* ---- what the answers say ---- */

/* The root DSE of a domain controller has no object class to show. */
static bool entry_is_shown(const struct dir_entry *e)
{
	if (dn_equal(e->dn, ""))
		return e->n_attrs > 0;
	return entry_value(e, "objectClass") != NULL;
}

static void node_set(struct node *node, enum dir_state state, const struct dir_entry *e)
{
	node->state = state;
	node->entry = e;
}

/* A base search without entries tells about its base, unless it succeeded: then
 * the base exists, and only when all that exists was asked for is it hidden. */
static bool tells_of_base(const struct dir_search *search)
{
	static const char anything[] = "(objectClass=*)";

	return search->q.scope == DIR_BASE && search->n_entries == 0 &&
	    (search->outcome != DIR_OK ||
	    ascii_equal(search->q.filter, anything));
}

static enum dir_state state_of_base(enum dir_outcome outcome)
{
	switch (outcome) {
	case DIR_ABSENT:
		return DIR_STATE_ABSENT;
	case DIR_ELSEWHERE:
		return DIR_STATE_ELSEWHERE;
	default:
		return DIR_STATE_DENIED;
	}
}

static int index_search(struct dir_snapshot *s, const struct dir_search *search)
{
	bool base = search->q.scope == DIR_BASE;
	const struct dir_entry *e;
	struct node *node;

	for (size_t i = 0; i < search->n_entries; i++) {
		e = &search->entries[i];
		node = entry_node(s, e->dn);
		if (!node)
			return -1;
		if (entry_is_shown(e))
			node_set(node, DIR_STATE_FOUND, e);
		else if (base || node->state != DIR_STATE_FOUND)
			node_set(node, DIR_STATE_DENIED, NULL);
	}
	if (!tells_of_base(search))
		return 0;
	node = entry_node(s, search->q.base);
	if (!node)
		return -1;
	node_set(node, state_of_base(search->outcome), NULL);
	return 0;
}

int snapshot_add(struct dir_snapshot *s, const struct dir_query *q, enum dir_outcome outcome,
    const struct dir_entry *entries, size_t n_entries, struct err *err)
{
	uint64_t hash = search_hash(s->index, q);
	struct dir_search *searches, search;
	struct node *node;

	searches = arena_grow(s->arena, s->searches, s->n_searches, sizeof(*searches));
	if (!searches)
		return err_nomem(err);
	s->searches = searches;
	if (search_copy(&search, s->arena, q, outcome, entries, n_entries) < 0)
		return err_nomem(err);
	node = search_find(s, q, hash);
	if (!node)
		node = table_add(&s->index->searches, s->arena, hash, search.q.base);
	if (!node)
		return err_nomem(err);
	searches[s->n_searches] = search;
	node->search = s->n_searches++;
	if (index_search(s, &search) < 0)
		return err_nomem(err);
	return 0;
}

const struct dir_entry *snapshot_entry(const struct dir_snapshot *s, const char *dn, enum dir_state *state)
{
	const struct node *node = entry_find(s->index, dn, dn_hash(dn, s->index->seed));

	if (state)
		*state = node ? node->state : DIR_STATE_UNKNOWN;
	return node ? node->entry : NULL;
}

const struct dir_search *snapshot_search(const struct dir_snapshot *s, const struct dir_query *q)
{
	const struct node *node = search_find(s, q, search_hash(s->index, q));

	return node ? &s->searches[node->search] : NULL;
}

/* ---- one entry ---- */

const struct dir_attr *entry_attr(const struct dir_entry *e, const char *name)
{
	for (size_t i = 0; i < e->n_attrs; i++)
		if (ascii_equal(e->attrs[i].name, name))
			return &e->attrs[i];
	return NULL;
}

const struct dir_value *entry_value(const struct dir_entry *e, const char *name)
{
	const struct dir_attr *attr = entry_attr(e, name);

	return attr && attr->n_values > 0 ? &attr->values[0] : NULL;
}

const char *entry_text(const struct dir_entry *e, const char *name)
{
	const struct dir_value *v = entry_value(e, name);

	return v ? (const char *)v->p : NULL;
}

bool entry_has_class(const struct dir_entry *e, const char *object_class)
{
	const struct dir_attr *attr = entry_attr(e, "objectClass");
	size_t len = strlen(object_class);

	for (size_t i = 0; attr && i < attr->n_values; i++)
		if (attr->values[i].len == len &&
		    ascii_equal((const char *)attr->values[i].p, object_class))
			return true;
	return false;
}

int entry_int(const struct dir_entry *e, const char *name, int64_t *ret)
{
	const struct dir_value *v = entry_value(e, name);
	bool negative;
	int64_t n = 0;
	size_t i;

	if (!v)
		return 0;
	negative = v->len > 0 && v->p[0] == '-';
	i = negative;
	if (i == v->len)
		return -1;
	for (; i < v->len; i++) {
		if (v->p[i] < '0' || v->p[i] > '9' || __builtin_mul_overflow(n, 10, &n))
			return -1;
		/* Downwards, so that INT64_MIN can be read. */
		if (__builtin_sub_overflow(n, v->p[i] - '0', &n))
			return -1;
	}
	if (!negative && n == INT64_MIN)
		return -1;
	*ret = negative ? n : -n;
	return 1;
}
