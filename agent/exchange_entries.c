/* Objects as directory entries: names, attributes, and what a container is to be. */
#include <stdlib.h>
#include <string.h>

#include "agent/exchange_parts.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/change.h"
#include "schema/err.h"

/* ---- names --------------------------------------------------------------------------------- */

enum object_class exchange_class(const char *leaf)
{
	struct guid id;

	for (int class = 0; class < OBJ_N_CLASSES; class++) {
		const char *name = object_class_ldap((enum object_class)class), *p = leaf;

		for (; *name && ascii_lower((uint8_t)*name) == ascii_lower((uint8_t)*p); name++)
			p++;
		if (!*name && *p == '{' && guid_parse(&id, p, strlen(p)))
			return (enum object_class)class;
	}
	return OBJ_N_CLASSES;
}

const char *exchange_dn(struct arena *a, const char *leaf, const char *container)
{
	return exchange_class(leaf) == OBJ_N_CLASSES ? NULL : arena_printf(a, "CN=%s,%s", leaf, container);
}

const char *exchange_leaf(struct arena *a, const char *reference)
{
	const char *path = strrchr(reference, '\\');

	/* A DN may have backslashes as well, but a path has no '='. */
	return strchr(reference, '=') ? dn_rdn_value(a, reference, "CN") : path && path[1] ? path + 1 : NULL;
}

/* ---- building -------------------------------------------------------------------------------- */

int exchange_value_add(struct dir_entry *e, struct arena *a, const char *name, const void *p, size_t len, struct err *err)
{
	struct dir_attr *attr = e->n_attrs ? &e->attrs[e->n_attrs - 1] : NULL;
	char *copy = arena_zalloc(a, len + 1, 1);
	struct dir_value *values;

	if (!copy)
		return err_nomem(err);
	if (len)
		memcpy(copy, p, len);
	if (!attr || strcmp(attr->name, name)) {
		attr = arena_grow(a, e->attrs, e->n_attrs, sizeof(*attr));
		if (!attr)
			return err_nomem(err);
		e->attrs = attr;
		attr += e->n_attrs++;
		*attr = (struct dir_attr){ .name = name };
	}
	values = arena_grow(a, attr->values, attr->n_values, sizeof(*values));
	if (!values)
		return err_nomem(err);
	values[attr->n_values++] = (struct dir_value){ (const uint8_t *)copy, len };
	attr->values = values;
	return 0;
}

struct dir_entry *exchange_entry_add(struct exchange_content *c, struct arena *a, const char *dn, const char *leaf, const char *class, unsigned line)
{
	struct dir_entry *entries = arena_grow(a, c->entries, c->n, sizeof(*entries)), *e;
	unsigned *lines = arena_grow(a, c->lines, c->n, sizeof(*lines));
	struct err err;

	if (!entries || !lines)
		return NULL;
	c->entries = entries;
	c->lines = lines;
	lines[c->n] = line;
	e = &entries[c->n];
	*e = (struct dir_entry){ .dn = dn };
	if (exchange_value_add(e, a, "objectClass", "top", 3, &err) < 0 || exchange_value_add(e, a, "objectClass", "ipsecBase", 9, &err) < 0 ||
	    exchange_value_add(e, a, "objectClass", class, strlen(class), &err) < 0 || exchange_value_add(e, a, "cn", leaf, strlen(leaf), &err) < 0)
		return NULL;
	c->n++;
	return e;
}

/* ---- what a container is to be ------------------------------------------------------------------ */

/* The changes of one object, in their order. */
struct pending {
	const char		*key;	/* of its DN */
	const struct dir_change	*change;
};

static int by_key(const void *x, const void *y)
{
	const struct pending *a = x, *b = y;
	int d = strcmp(a->key, b->key);

	return d ? d : (a->change > b->change) - (a->change < b->change);
}

static int pending_list(struct pending **ret, size_t *ret_n, struct arena *a, struct ipsec_container *c, struct err *err)
{
	struct dir_change *changes = NULL;
	struct pending *list;
	size_t n = 0;

	if (container_changes(&changes, &n, a, c, err) < 0)
		return -1;
	list = arena_zalloc(a, n + 1, sizeof(*list));
	for (size_t i = 0; list && i < n; i++) {
		list[i] = (struct pending){ dn_key(a, changes[i].dn), &changes[i] };
		if (!list[i].key)
			return err_nomem(err);
	}
	if (!list)
		return err_nomem(err);
	qsort(list, n, sizeof(*list), by_key);
	*ret = list;
	*ret_n = n;
	return 0;
}

static size_t pending_first(const struct pending *list, size_t n, const char *key)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(list[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool value_same(const struct dir_value *x, const struct dir_value *y)
{
	return (x->len == y->len && !memcmp(x->p, y->p, x->len)) ||
	    (strchr((const char *)x->p, '=') && dn_equal((const char *)x->p, (const char *)y->p));
}

static bool value_in(const struct dir_value *v, const struct dir_attr *attr)
{
	for (size_t i = 0; i < attr->n_values; i++)
		if (value_same(v, &attr->values[i]))
			return true;
	return false;
}

static struct dir_attr *attr_of(struct dir_entry *e, struct arena *a, const char *name)
{
	struct dir_attr *attrs;

	for (size_t i = 0; i < e->n_attrs; i++)
		if (ascii_equal(e->attrs[i].name, name))
			return &e->attrs[i];
	attrs = arena_zalloc(a, e->n_attrs + 1, sizeof(*attrs));
	if (!attrs)
		return NULL;
	if (e->n_attrs)
		memcpy(attrs, e->attrs, e->n_attrs * sizeof(*attrs));
	e->attrs = attrs;
	attrs[e->n_attrs].name = name;
	return &attrs[e->n_attrs++];
}

/* Of was those that are not in less, then more. */
static int values_set(struct dir_attr *attr, struct arena *a, const struct dir_attr *was, const struct dir_attr *less, const struct dir_attr *more, struct err *err)
{
	struct dir_value *values = arena_zalloc(a, was->n_values + more->n_values + 1, sizeof(*values));
	size_t n = 0;

	if (!values)
		return err_nomem(err);
	for (size_t i = 0; i < was->n_values; i++)
		if (!value_in(&was->values[i], less))
			values[n++] = was->values[i];
	for (size_t i = 0; i < more->n_values; i++)
		values[n++] = more->values[i];
	attr->values = values;
	attr->n_values = n;
	return 0;
}

static int mod_apply(struct dir_entry *e, struct arena *a, const struct dir_mod *mod, struct err *err)
{
	static const struct dir_attr none;
	struct dir_attr *attr = attr_of(e, a, mod->attr.name), was;

	if (!attr)
		return err_nomem(err);
	was = *attr;
	switch (mod->kind) {
	case MOD_ADD:
		return values_set(attr, a, &was, &none, &mod->attr, err);
	case MOD_DELETE:
		return values_set(attr, a, &was, &mod->attr, &none, err);
	case MOD_REPLACE:
		break;
	}
	return values_set(attr, a, &none, &none, &mod->attr, err);
}

static int change_apply(struct dir_entry *e, struct arena *a, const struct dir_change *change, struct err *err)
{
	if (change->kind == CHANGE_ADD) {
		/* Not its arrays: a change that follows must not write into them. */
		e->attrs = arena_memdup(a, change->attrs, change->n_attrs * sizeof(*change->attrs));
		e->n_attrs = change->n_attrs;
		return e->attrs || !e->n_attrs ? 0 : err_nomem(err);
	}
	for (size_t i = 0; change->kind == CHANGE_MODIFY && i < change->n_mods; i++)
		if (mod_apply(e, a, &change->mods[i], err) < 0)
			return -1;
	return 0;
}

static int object_entry(struct dir_entry *ret, struct arena *a, const struct ipsec_object *o, const struct pending *list, size_t n, struct err *err)
{
	struct dir_entry e = { .dn = o->dn };
	const char *key = dn_key(a, o->dn);

	if (!key)
		return err_nomem(err);
	if (o->entry) {
		e.n_attrs = o->entry->n_attrs;
		e.attrs = arena_memdup(a, o->entry->attrs, e.n_attrs * sizeof(*e.attrs));
		if (!e.attrs && e.n_attrs)
			return err_nomem(err);
	}
	for (size_t i = pending_first(list, n, key); i < n && !strcmp(list[i].key, key); i++)
		if (change_apply(&e, a, list[i].change, err) < 0)
			return -1;
	*ret = e;
	return 0;
}

int exchange_entries(struct dir_entry **ret, size_t *ret_n, struct arena *a, struct ipsec_container *c, bool damaged, const struct ipsec_container *but, struct err *err)
{
	struct dir_entry *entries = arena_zalloc(a, c->n_objects + 1, sizeof(*entries));
	struct pending *list = NULL;
	size_t n_list = 0, n = 0;

	if (!entries)
		return err_nomem(err);
	if (pending_list(&list, &n_list, a, c, err) < 0)
		return -1;
	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = c->objects[i];

		if (o->deleted || (o->damage && !damaged) || (but && container_find_id(but, o->class, &o->id)))
			continue;
		if (object_entry(&entries[n], a, o, list, n_list, err) < 0)
			return -1;
		n++;
	}
	*ret = entries;
	*ret_n = n;
	return 0;
}
