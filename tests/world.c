#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/ident.h"

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

struct dir_entry *world_entry(const struct world *w, const char *dn)
{
	for (size_t i = 0; i < w->n; i++)
		if (dn_equal(w->e[i].dn, dn))
			return &w->e[i];
	return NULL;
}

void world_add(struct world *w, const struct dir_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		w->e = need(arena_grow(w->a, w->e, w->n, sizeof(*w->e)));
		w->e[w->n++] = entries[i];
	}
}

struct dir_attr *world_attr(struct world *w, struct dir_entry *e, const char *name)
{
	struct dir_attr *attrs;

	for (size_t i = 0; i < e->n_attrs; i++)
		if (ascii_equal(e->attrs[i].name, name))
			return &e->attrs[i];
	attrs = need(arena_zalloc(w->a, e->n_attrs + 1, sizeof(*attrs)));
	if (e->n_attrs)
		memcpy(attrs, e->attrs, e->n_attrs * sizeof(*attrs));
	attrs[e->n_attrs] = (struct dir_attr){ .name = need(arena_strdup(w->a, name)) };
	e->attrs = attrs;
	return &attrs[e->n_attrs++];
}

void world_value(struct world *w, struct dir_attr *attr, const void *p, size_t len)
{
	struct dir_value *values = need(arena_zalloc(w->a, attr->n_values + 1, sizeof(*values)));
	uint8_t *copy = need(arena_zalloc(w->a, len + 1, 1));

	if (attr->n_values)
		memcpy(values, attr->values, attr->n_values * sizeof(*values));
	if (len)
		memcpy(copy, p, len);
	values[attr->n_values++] = (struct dir_value){ copy, len };
	attr->values = values;
}

static bool is_reference(const char *name)
{
	size_t len = strlen(name);

	return len > 9 && !strcmp(name + len - 9, "Reference");
}

static bool is_multi(const char *name)
{
	static const char *const names[] = { "objectClass", "description", "ipsecNFAReference", "ipsecFilterReference", "ipsecOwnersReference" };

	for (size_t i = 0; i < 5; i++)
		if (ascii_equal(names[i], name))
			return true;
	return false;
}

static bool value_equal(const char *name, const struct dir_value *x, const struct dir_value *y)
{
	if (is_reference(name))
		return dn_equal((const char *)x->p, (const char *)y->p);
	return x->len == y->len && !memcmp(x->p, y->p, x->len);
}

size_t attr_at(const struct dir_attr *attr, const struct dir_value *v)
{
	size_t i = 0;

	while (i < attr->n_values && !value_equal(attr->name, &attr->values[i], v))
		i++;
	return i;
}

void attr_take(struct dir_attr *attr, size_t at)
{
	memmove(attr->values + at, attr->values + at + 1, (attr->n_values - at - 1) * sizeof(*attr->values));
	attr->n_values--;
}

/* Values that are to be written. */
static const char *values_wrong(const struct world *w, const struct dir_attr *attr)
{
	if (attr->n_values > 1 && !is_multi(attr->name))
		return "several values of an attribute that has one";
	for (size_t i = 0; i < attr->n_values; i++) {
		const struct dir_value *v = &attr->values[i];

		if (v->len == 0)
			return "an empty value";
		if (v->p[v->len])
			return "no NUL behind a value";
		if (is_reference(attr->name) && !world_entry(w, (const char *)v->p))
			return "a reference to what does not exist";
		if (attr_at(attr, v) != i)
			return "a value twice";
	}
	return NULL;
}

static const char *replace(struct dir_attr *attr, const struct dir_mod *mod)
{
	if (mod->was.n_values != attr->n_values)
		return "it is not what was there that is replaced";
	for (size_t i = 0; i < attr->n_values; i++)
		if (!value_equal(attr->name, &attr->values[i], &mod->was.values[i]))
			return "it is not what was there that is replaced";
	attr->values = mod->attr.values;
	attr->n_values = mod->attr.n_values;
	return NULL;
}

static const char *mod_apply(struct world *w, struct dir_entry *e, const struct dir_mod *mod)
{
	struct dir_attr *attr = world_attr(w, e, mod->attr.name);
	const char *wrong = mod->kind == MOD_DELETE ? NULL : values_wrong(w, &mod->attr);

	if (!wrong && strcmp(mod->attr.name, mod->was.name))
		wrong = "two names";
	if (!wrong && mod->kind == MOD_REPLACE)
		wrong = replace(attr, mod);
	else if (!wrong && (!is_multi(attr->name) || !mod->attr.n_values))
		wrong = "values are added or deleted where there is one, or none";
	for (size_t i = 0; !wrong && mod->kind != MOD_REPLACE && i < mod->attr.n_values; i++) {
		const struct dir_value *v = &mod->attr.values[i];
		size_t at = attr_at(attr, v);

		if ((mod->kind == MOD_ADD) != (at == attr->n_values))
			wrong = mod->kind == MOD_ADD ? "a value is there already" : "a value is not there";
		else if (mod->kind == MOD_ADD)
			world_value(w, attr, v->p, v->len);
		/* The name of an object that is gone finds no value, [MS-ADTS] 3.1.1.1.6. */
		else if (!strcmp(attr->name, "ipsecOwnersReference") && !world_entry(w, (const char *)v->p))
			wrong = "a reference is deleted that names nothing";
		else
			attr_take(attr, at);
	}
	if (!wrong && attr->n_values == 0)
		*attr = e->attrs[--e->n_attrs];
	return wrong;
}

/* So that who holds a copy of the list of entries does not see it change. */
static void entry_detach(struct world *w, struct dir_entry *e)
{
	if (e->n_attrs)
		e->attrs = need(arena_memdup(w->a, e->attrs, e->n_attrs * sizeof(*e->attrs)));
	for (size_t i = 0; i < e->n_attrs; i++)
		e->attrs[i].values = need(arena_memdup(w->a, e->attrs[i].values, e->attrs[i].n_values * sizeof(struct dir_value)));
}

const char *world_apply(struct world *w, const struct dir_change *c)
{
	struct dir_entry *e = world_entry(w, c->dn);
	const char *wrong = NULL;

	if ((c->kind == CHANGE_ADD) != !e)
		return e ? "it exists already" : "it does not exist";
	if ((c->kind == CHANGE_ADD) != (c->n_attrs > 0) || (c->kind == CHANGE_MODIFY) != (c->n_mods > 0))
		return "attributes or modifications where none are to be, or none";
	for (size_t i = 0; !wrong && i < c->n_attrs; i++)
		wrong = values_wrong(w, &c->attrs[i]);
	if (c->kind == CHANGE_ADD && !wrong)
		world_add(w, &(struct dir_entry){ c->dn, c->attrs, c->n_attrs }, 1);
	if (c->kind == CHANGE_MODIFY)
		entry_detach(w, e);
	for (size_t i = 0; !wrong && i < c->n_mods; i++)
		wrong = mod_apply(w, e, &c->mods[i]);
	if (c->kind == CHANGE_DELETE)
		*e = w->e[--w->n];
	return wrong;
}
