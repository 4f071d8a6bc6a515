#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/rd.h"
#include "store/object.h"
#include "store/store.h"
#include "store/store_db.h"

/* What the store says of each object itself, under other names. */
static bool attr_is_kept(const char *name)
{
	static const char *const kept[] = { "objectClass", "cn", "name", "whenChanged" };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (ascii_equal(name, kept[i]))
			return true;
	return false;
}

static int attr_index(const struct object *o, const char *name, struct err *err)
{
	int i = object_attr_find(name);

	if (i < 0)
		return err_set(err, ERR_UNSUPPORTED, "object '%s': attribute '%.100s' has no place in the registry", o->name, name);
	return i;
}

/* ---- writing ------------------------------------------------------------------------------ */

static int value_write(const struct object *o, const char *name, enum reg_type type, const void *p, size_t len, struct err *err)
{
	const struct reg_value v = { name, type, p, len };

	return reg_set(o->s, o->path, &v, err);
}

static int number_write(const struct object *o, const char *name, uint32_t v, struct err *err)
{
	const uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };

	return value_write(o, name, REG_DWORD, b, sizeof(b), err);
}

static int decimal_write(const struct object *o, const char *name, const struct dir_value *v, struct err *err)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->len; i++) {
		n = n * 10 + (unsigned)(v->p[i] - '0');
		if (v->p[i] < '0' || v->p[i] > '9' || n > UINT32_MAX)
			return err_set(err, ERR_FORMAT, "object '%s': %s '%.40s' is not a number of 32 bits", o->name, name, (const char *)v->p);
	}
	return number_write(o, name, (uint32_t)n, err);
}

static int paths_write(const struct object *o, const char *name, enum reg_type type, const struct dir_attr *attr, struct err *err)
{
	struct wr w = { 0 };
	int rc = -1;

	for (size_t i = 0; i < attr->n_values; i++) {
		const char *dn = (const char *)attr->values[i].p, *target = object_dn_name(o->a, dn);

		if (!target) {
			err_set(err, ERR_FORMAT, "object '%s': %s '%.200s' is no object of this store", o->name, name, dn);
			goto out;
		}
		wr_bytes(&w, o->key, strlen(o->key));
		wr_u8(&w, '\\');
		wr_bytes(&w, target, strlen(target) + (type == REG_MULTI_SZ));
	}
	rc = w.bad ? err_nomem(err) : value_write(o, name, type, w.p, w.len, err);
out:
	free(w.p);
	return rc;
}

/* The attribute as it is to be; no values: gone. */
static int attr_write(const struct object *o, const struct object_attr *k, const struct dir_attr *attr, struct err *err)
{
	const struct dir_value *v = attr->values;

	if (attr->n_values == 0)
		return reg_delete_value(o->s, o->path, k->name, err);
	if (attr->n_values > 1 && k->kind != KIND_REFERENCES)
		return err_set(err, ERR_FORMAT, "object '%s': %s has %zu values", o->name, k->name, attr->n_values);
	switch (k->kind) {
	case KIND_TEXT:
		return value_write(o, k->name, REG_SZ, v->p, v->len, err);
	case KIND_NUMBER:
		return decimal_write(o, k->name, v, err);
	case KIND_BYTES:
		return value_write(o, k->name, REG_BINARY, v->p, v->len, err);
	case KIND_REFERENCE:
		return paths_write(o, k->name, REG_SZ, attr, err);
	case KIND_REFERENCES:
		return paths_write(o, k->name, REG_MULTI_SZ, attr, err);
	}
	return -1;
}

/* ---- sets of values ------------------------------------------------------------------------- */

/* A value beside what it is compared by: of a DN the object's name without case. */
struct member {
	const uint8_t		*p;
	size_t			 len;
	struct dir_value	 value;
};

static int member_cmp(const void *x, const void *y)
{
	const struct member *a = x, *b = y;
	int r = memcmp(a->p, b->p, a->len < b->len ? a->len : b->len);

	return r ? r : (a->len > b->len) - (a->len < b->len);
}

/* Sorted.  Empty values are none: a directory has no empty texts. */
static int members_make(struct member **ret, size_t *ret_n, const struct object *o, enum object_kind kind, const struct dir_attr *attr, struct err *err)
{
	struct member *all = arena_zalloc(o->a, attr->n_values ? attr->n_values : 1, sizeof(*all));
	const char *name;
	size_t n = 0;
	char *lower;

	if (!all)
		return err_nomem(err);
	for (size_t i = 0; i < attr->n_values; i++) {
		const struct dir_value *v = &attr->values[i];

		if (v->len == 0)
			continue;
		all[n] = (struct member){ v->p, v->len, *v };
		if (kind == KIND_REFERENCE || kind == KIND_REFERENCES) {
			name = object_dn_name(o->a, (const char *)v->p);
			if (!name)
				return err_set(err, ERR_FORMAT, "object '%s': %s '%.200s' is no object of this store", o->name, attr->name, (const char *)v->p);
			lower = arena_strdup(o->a, name);
			if (!lower)
				return err_nomem(err);
			for (char *c = lower; *c; c++)
				*c = (char)ascii_lower((uint8_t)*c);
			all[n].p = (const uint8_t *)lower;
			all[n].len = strlen(lower);
		}
		n++;
	}
	qsort(all, n, sizeof(*all), member_cmp);
	*ret = all;
	*ret_n = n;
	return 0;
}

static bool members_equal(const struct member *a, size_t n_a, const struct member *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (member_cmp(&a[i], &b[i]))
			return false;
	return true;
}

/* How many of the few are among the many; *rest, with room for n, takes those of the many that are not. */
static size_t members_common(const struct member *few, size_t n_few, const struct member *many, size_t n, struct dir_value *rest)
{
	size_t k = 0, common = 0;

	for (size_t i = 0; i < n; i++) {
		while (k < n_few && member_cmp(&few[k], &many[i]) < 0)
			k++;
		if (k < n_few && !member_cmp(&few[k], &many[i])) {
			common++;
			k++;
		} else {
			*rest++ = many[i].value;
		}
	}
	return common;
}

/* ---- modifying ------------------------------------------------------------------------------- */

static int attr_busy(const struct object *o, const char *name, struct err *err)
{
	return err_set(err, ERR_BUSY, "object '%s': %.100s was changed meanwhile", o->name, name);
}

/* o's attribute as the modification makes it, in memory. */
static int mod_apply(struct object *o, int i, const struct dir_mod *mod, struct err *err)
{
	enum object_kind kind = object_attrs[i].kind;
	struct dir_attr *attr = &o->attrs[i];
	struct member *have, *given, *was;
	size_t n_have, n_given, n_was, common;
	struct dir_value *out;

	if (members_make(&have, &n_have, o, kind, attr, err) < 0 || members_make(&given, &n_given, o, kind, &mod->attr, err) < 0 ||
	    members_make(&was, &n_was, o, kind, &mod->was, err) < 0)
		return -1;
	out = arena_zalloc(o->a, n_have + n_given + 1, sizeof(*out));
	if (!out)
		return err_nomem(err);
	if (mod->kind == MOD_REPLACE) {
		if (!members_equal(have, n_have, was, n_was))
			return attr_busy(o, attr->name, err);
		attr->values = mod->attr.values;
		attr->n_values = n_given ? mod->attr.n_values : 0;
		return 0;
	}
	common = members_common(given, n_given, have, n_have, out);
	if (common != (mod->kind == MOD_ADD ? 0 : n_given))
		return attr_busy(o, attr->name, err);
	if (mod->kind == MOD_ADD)
		for (size_t k = 0; k < n_given; k++)
			out[n_have + k] = given[k].value;
	attr->values = out;
	attr->n_values = mod->kind == MOD_ADD ? n_have + n_given : n_have - n_given;
	return 0;
}

static int object_modify(struct object *o, const struct dir_change *c, int64_t changed, struct err *err)
{
	bool touched[OBJECT_ATTRS] = { false };
	int r = object_load(o, err), i;

	if (r <= 0)
		return r < 0 ? -1 : err_set(err, ERR_BUSY, "object '%s' was deleted meanwhile", o->name);
	for (size_t m = 0; m < c->n_mods; m++) {
		if (attr_is_kept(c->mods[m].attr.name))
			continue;
		i = attr_index(o, c->mods[m].attr.name, err);
		if (i < 0 || mod_apply(o, i, &c->mods[m], err) < 0)
			return -1;
		touched[i] = true;
	}
	for (i = 0; i < OBJECT_ATTRS; i++)
		if (touched[i] && attr_write(o, &object_attrs[i], &o->attrs[i], err) < 0)
			return -1;
	return number_write(o, "whenChanged", (uint32_t)changed, err);
}

/* ---- adding and deleting ------------------------------------------------------------------------ */

static int key_exists(const struct object *o, struct err *err)
{
	struct reg_value *values;
	size_t n;

	return reg_values(o->s, o->path, &values, &n, o->a, err);
}

/* That of the classes which is one of ours. */
static const char *change_class(const struct dir_change *c)
{
	const char *class = NULL;

	for (size_t i = 0; i < c->n_attrs; i++)
		for (size_t k = 0; k < c->attrs[i].n_values && ascii_equal(c->attrs[i].name, "objectClass"); k++)
			if (!class)
				class = object_class_find((const char *)c->attrs[i].values[k].p, c->attrs[i].values[k].len);
	return class;
}

static int object_add(struct object *o, const struct dir_change *c, int64_t changed, struct err *err)
{
	const char *class = change_class(c);
	struct dir_attr attr;
	int r = key_exists(o, err), i;

	if (r != 0)
		return r < 0 ? -1 : err_set(err, ERR_BUSY, "object '%s' exists already", o->name);
	if (!class)
		return err_set(err, ERR_FORMAT, "object '%s' has no class of IPsec policies", o->name);
	if (value_write(o, "ClassName", REG_SZ, class, strlen(class), err) < 0 ||
	    value_write(o, "name", REG_SZ, o->name, strlen(o->name), err) < 0 ||
	    number_write(o, "whenChanged", (uint32_t)changed, err) < 0)
		return -1;
	for (size_t k = 0; k < c->n_attrs; k++) {
		attr = c->attrs[k];
		if (attr_is_kept(attr.name))
			continue;
		i = attr_index(o, attr.name, err);
		if (i < 0)
			return -1;
		if (attr.n_values == 1 && attr.values[0].len == 0)
			continue;
		if (attr.n_values && attr_write(o, &object_attrs[i], &attr, err) < 0)
			return -1;
	}
	return 0;
}

static int object_delete(struct object *o, struct err *err)
{
	int r = key_exists(o, err);

	if (r <= 0)
		return r < 0 ? -1 : err_set(err, ERR_ABSENT, "object '%s' was deleted meanwhile", o->name);
	return reg_delete_key(o->s, o->path, err);
}

static int change_apply(struct store *s, const char *key, const struct dir_change *c, int64_t changed, struct arena *a, struct err *err)
{
	struct object o = { .s = s, .a = a, .key = key, .name = object_dn_name(a, c->dn) };

	if (!o.name)
		return err_set(err, ERR_FORMAT, "'%.200s' is no object of this store", c->dn);
	o.path = arena_printf(a, "%s\\%s", key, o.name);
	if (!o.path)
		return err_nomem(err);
	switch (c->kind) {
	case CHANGE_ADD:
		return object_add(&o, c, changed, err);
	case CHANGE_MODIFY:
		return object_modify(&o, c, changed, err);
	case CHANGE_DELETE:
		return object_delete(&o, err);
	}
	return -1;
}

int objects_apply(struct store *s, const char *key, const struct dir_change *changes, size_t n, int64_t changed, struct err *err)
{
	struct arena *a;
	int rc = 0;

	if (store_write_check(s, err) < 0)
		return -1;
	changed = changed < 0 ? 0 : changed > UINT32_MAX ? UINT32_MAX : changed;
	for (size_t i = 0; i < n && rc == 0; i++) {
		/* One each: what a change reads may be large, and there may be many. */
		a = arena_new(0);
		rc = a ? change_apply(s, key, &changes[i], changed, a, err) : err_nomem(err);
		arena_free(a);
	}
	return rc;
}
