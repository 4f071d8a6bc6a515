/* Objects as registry keys, and back. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/exchange_parts.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/rd.h"
#include "store/regfile.h"

/* ---- paths ------------------------------------------------------------------------------- */

static int path_cmp(const char *x, const char *y)
{
	while (*x && ascii_lower((uint8_t)*x) == ascii_lower((uint8_t)*y)) {
		x++;
		y++;
	}
	return ascii_lower((uint8_t)*x) - ascii_lower((uint8_t)*y);
}

const char *reg_path_below(const char *path, const char *top)
{
	if (!*top)
		return path;
	for (; *top; top++, path++)
		if (ascii_lower((uint8_t)*path) != ascii_lower((uint8_t)*top))
			return NULL;
	if (!*path)
		return path;
	return *path == '\\' ? path + 1 : NULL;
}

/* ---- keys -> objects ----------------------------------------------------------------------- */

enum { ROOT_LOCAL, ROOT_PERSISTENT, ROOT_CACHE, N_ROOTS };
static const char *const roots[N_ROOTS] = { REG_LOCAL, REG_PERSISTENT, REG_CACHE };

struct keys {
	struct arena		*a;
	const struct reg_key	**keys;		/* below the root, sorted by path, then as in the file */
	size_t			 n;
	const char		*root, *container;
	struct exchange_content	*to;
};

static int key_fail(struct err *err, const struct reg_key *k)
{
	const char *name = strrchr(k->path, '\\');

	return err_prefix(err, "line %u: key '%.120s'", k->line, name ? name + 1 : k->path);
}

static int key_refuse(struct err *err, const struct reg_key *k, const char *why)
{
	err_set(err, ERR_FORMAT, "%s", why);
	return key_fail(err, k);
}

/* Which of the roots a key belongs to; -1: none, but it may be there; -2: it may not. */
static int key_root(const struct reg_key *k)
{
	for (int i = 0; i < N_ROOTS; i++)
		if (reg_path_below(k->path, roots[i]))
			return i;
	/* What lies on the way, and which GPO the cache came from. */
	if (reg_path_below(REG_LOCAL, k->path) || reg_path_below(k->path, REG_ASSIGNMENT))
		return -1;
	return -2;
}

/* Of several stores in one file, the one of the same kind is meant. */
static int root_choose(const bool *has, enum store_location target, struct err *err)
{
	int n = 0, only = ROOT_LOCAL, like = target == LOCATION_PERSISTENT ? ROOT_PERSISTENT : ROOT_LOCAL;

	for (int i = 0; i < N_ROOTS; i++)
		if (has[i]) {
			n++;
			only = i;
		}
	if (n <= 1)
		return only;
	if (target != LOCATION_DOMAIN && has[like])
		return like;
	return err_set(err, ERR_FORMAT, "the file holds several stores (Policy\\Local, Policy\\Persistent, Policy\\Cache): export the one that is wanted");
}

static int keys_root(const struct reg_key *keys, size_t n, enum store_location target, struct err *err)
{
	bool has[N_ROOTS] = { false };

	for (size_t i = 0; i < n; i++) {
		int root = key_root(&keys[i]);

		if (keys[i].deleted || keys[i].n_gone)
			return key_refuse(err, &keys[i], "an import of policies deletes nothing");
		if (root == -2)
			return key_refuse(err, &keys[i], "is no part of a store of policies");
		if (root >= 0 && *reg_path_below(keys[i].path, roots[root]))
			has[root] = true;
	}
	return root_choose(has, target, err);
}

static int by_path(const void *x, const void *y)
{
	const struct reg_key *a = *(const struct reg_key *const *)x, *b = *(const struct reg_key *const *)y;
	int d = path_cmp(a->path, b->path);

	return d ? d : (a > b) - (a < b);
}

/* The last value of this name in keys[from..to). */
static const struct reg_value *value_find(const struct keys *k, size_t from, size_t to, const char *name, const struct reg_key **ret_key)
{
	while (to-- > from)
		for (size_t i = k->keys[to]->n_values; i-- > 0;)
			if (ascii_equal(k->keys[to]->values[i].name, name)) {
				*ret_key = k->keys[to];
				return &k->keys[to]->values[i];
			}
	return NULL;
}

static int reference_add(const struct keys *k, struct dir_entry *e, const char *name, const char *path, struct err *err)
{
	const char *leaf = exchange_leaf(k->a, path);
	const char *dn = leaf ? exchange_dn(k->a, leaf, k->container) : NULL;

	if (!dn)
		return err_set(err, ERR_FORMAT, "'%.200s' names no object", path);
	return exchange_value_add(e, k->a, name, dn, strlen(dn), err);
}

/* One path, or several. */
static int references_add(const struct keys *k, struct dir_entry *e, const char *name, const struct reg_value *v, struct err *err)
{
	const char *p = (const char *)v->p, *end = p + v->len;

	if (v->type != REG_SZ && v->type != REG_MULTI_SZ)
		return err_set(err, ERR_FORMAT, "is neither REG_SZ nor REG_MULTI_SZ");
	for (; p < end; p += strlen(p) + 1)
		if (reference_add(k, e, name, p, err) < 0)
			return -1;
	return 0;
}

static int number_add(const struct keys *k, struct dir_entry *e, const char *name, const struct reg_value *v, struct err *err)
{
	struct rd rd = { v->p, v->p + v->len, false };
	char text[16];

	if (v->type != REG_DWORD)
		return err_set(err, ERR_FORMAT, "is not REG_DWORD");
	snprintf(text, sizeof(text), "%u", rd_u32(&rd));
	return exchange_value_add(e, k->a, name, text, strlen(text), err);
}

static int attr_add(const struct keys *k, struct dir_entry *e, const struct object_attr *attr, const struct reg_value *v, struct err *err)
{
	switch (attr->kind) {
	case KIND_NUMBER:
		return number_add(k, e, attr->name, v, err);
	case KIND_REFERENCE:
	case KIND_REFERENCES:
		return references_add(k, e, attr->name, v, err);
	case KIND_BYTES:
		if (v->type != REG_BINARY)
			return err_set(err, ERR_FORMAT, "is not REG_BINARY");
		break;
	case KIND_TEXT:
		if (v->type != REG_SZ)
			return err_set(err, ERR_FORMAT, "is not REG_SZ");
		/* A directory has no empty texts. */
		if (v->len == 0)
			return 0;
		break;
	}
	return exchange_value_add(e, k->a, attr->name, v->p, v->len, err);
}

/* One object from the keys from..to, which have one path. */
static int object_from_keys(const struct keys *k, size_t from, size_t to, struct err *err)
{
	const struct reg_key *first = k->keys[from], *key = first;
	const char *leaf = reg_path_below(first->path, k->root), *dn;
	enum object_class class = exchange_class(leaf);
	const struct reg_value *v = value_find(k, from, to, "ClassName", &key);
	struct dir_entry *e;

	if (strchr(leaf, '\\') || class == OBJ_N_CLASSES || !(dn = exchange_dn(k->a, leaf, k->container)))
		return key_refuse(err, first, "is not the key of an object");
	if (v && (v->type != REG_SZ || !ascii_equal((const char *)v->p, object_class_ldap(class))))
		return key_refuse(err, key, "its ClassName is not the one in its name");
	e = exchange_entry_add(k->to, k->a, dn, leaf, object_class_ldap(class), first->line);
	if (!e)
		return err_nomem(err);
	for (size_t i = 0; i < OBJECT_ATTRS; i++) {
		v = value_find(k, from, to, object_attrs[i].name, &key);
		if (v && attr_add(k, e, &object_attrs[i], v, err) < 0) {
			err_prefix(err, "value '%s'", object_attrs[i].name);
			return key_fail(err, key);
		}
	}
	return 0;
}

static int active_from_keys(const struct keys *k, size_t from, size_t to, struct err *err)
{
	const struct reg_key *key = NULL;
	const struct reg_value *v = value_find(k, from, to, "ActivePolicy", &key);
	const char *leaf;

	if (!v || v->len == 0)
		return 0;
	leaf = v->type == REG_SZ ? exchange_leaf(k->a, (const char *)v->p) : NULL;
	if (leaf && exchange_class(leaf) == OBJ_POLICY)
		k->to->active = exchange_dn(k->a, leaf, k->container);
	return k->to->active ? 0 : key_refuse(err, key, "ActivePolicy names no policy");
}

int exchange_from_keys(struct exchange_content *ret, struct arena *a, const struct reg_key *keys, size_t n, const char *container, enum store_location target, struct err *err)
{
	int root = keys_root(keys, n, target, err);
	struct exchange_content to = { 0 };
	struct keys k = { .a = a, .container = container, .to = &to };
	int rc = 0;

	if (root < 0)
		return -1;
	k.root = roots[root];
	k.keys = arena_zalloc(a, n, sizeof(*k.keys));
	to.from = reg_path_below(k.root, REG_POLICIES);
	if (n && !k.keys)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		if (reg_path_below(keys[i].path, k.root))
			k.keys[k.n++] = &keys[i];
	qsort(k.keys, k.n, sizeof(*k.keys), by_path);
	for (size_t from = 0, i; rc == 0 && from < k.n; from = i) {
		for (i = from + 1; i < k.n && !path_cmp(k.keys[from]->path, k.keys[i]->path);)
			i++;
		rc = *reg_path_below(k.keys[from]->path, k.root) ? object_from_keys(&k, from, i, err) : active_from_keys(&k, from, i, err);
	}
	if (rc == 0)
		*ret = to;
	return rc;
}

/* ---- objects -> keys --------------------------------------------------------------------------- */

static int value_add(struct reg_key *k, struct arena *a, const char *name, enum reg_type type, const void *p, size_t len, struct err *err)
{
	struct reg_value *values = arena_grow(a, k->values, k->n_values, sizeof(*values));

	if (!values || (len && !p))
		return err_nomem(err);
	values[k->n_values++] = (struct reg_value){ name, type, p, len };
	k->values = values;
	return 0;
}

static int text_add(struct reg_key *k, struct arena *a, const char *name, const char *text, struct err *err)
{
	return text ? value_add(k, a, name, REG_SZ, text, strlen(text), err) : err_nomem(err);
}

static int dword_add(struct reg_key *k, struct arena *a, const char *name, uint32_t number, struct err *err)
{
	uint8_t *b = arena_zalloc(a, 4, 1);

	for (int i = 0; b && i < 4; i++)
		b[i] = (uint8_t)(number >> 8 * i);
	return value_add(k, a, name, REG_DWORD, b, 4, err);
}

static const char *path_of(struct arena *a, const struct dir_value *dn, const char *root)
{
	const char *leaf = exchange_leaf(a, (const char *)dn->p);

	return leaf ? arena_printf(a, "%s\\%s", root, leaf) : NULL;
}

static int references_to_value(struct reg_key *k, struct arena *a, const struct dir_attr *attr, bool several, const char *root, struct err *err)
{
	struct wr w = { 0 };
	const char *path;
	void *copy;

	if (!several && attr->n_values > 1)
		return err_set(err, ERR_FORMAT, "%s has %zu values", attr->name, attr->n_values);
	for (size_t i = 0; i < attr->n_values; i++) {
		path = path_of(a, &attr->values[i], root);
		if (!path) {
			free(w.p);
			return err_set(err, ERR_UNSUPPORTED, "%s '%.200s' names no object", attr->name, (const char *)attr->values[i].p);
		}
		wr_bytes(&w, path, strlen(path) + several);
	}
	copy = w.bad ? NULL : arena_memdup(a, w.p, w.len);
	free(w.p);
	return value_add(k, a, attr->name, several ? REG_MULTI_SZ : REG_SZ, copy, w.len, err);
}

/* Windows keeps seconds.  "20261122101500.0Z"; 0: none. */
static uint32_t changed_seconds(const struct dir_entry *e)
{
	const char *text = entry_text(e, "whenChanged");
	struct tm tm = { 0 };
	int64_t t;

	if (!text || sscanf(text, "%4d%2d%2d%2d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	t = timegm(&tm);
	return t > 0 && t <= UINT32_MAX ? (uint32_t)t : 0;
}

static int attr_to_value(struct reg_key *k, struct arena *a, const struct dir_entry *e, const struct object_attr *known, const char *root, struct err *err)
{
	const struct dir_attr *attr = entry_attr(e, known->name);
	const struct dir_value *v;
	int64_t number;

	if (!attr || attr->n_values == 0)
		return 0;
	v = &attr->values[0];
	switch (known->kind) {
	case KIND_NUMBER:
		if (entry_int(e, known->name, &number) != 1 || number < 0 || number > UINT32_MAX)
			return err_set(err, ERR_FORMAT, "%s '%.40s' is no number", known->name, (const char *)v->p);
		return dword_add(k, a, known->name, (uint32_t)number, err);
	case KIND_REFERENCE:
	case KIND_REFERENCES:
		return references_to_value(k, a, attr, known->kind == KIND_REFERENCES, root, err);
	case KIND_BYTES:
		return value_add(k, a, known->name, REG_BINARY, v->p, v->len, err);
	case KIND_TEXT:
		break;
	}
	return value_add(k, a, known->name, REG_SZ, v->p, v->len, err);
}

static int object_to_key(struct reg_key *k, struct arena *a, const struct dir_entry *e, const char *root, struct err *err)
{
	const char *leaf = exchange_leaf(a, e->dn);
	enum object_class class = leaf ? exchange_class(leaf) : OBJ_N_CLASSES;
	uint32_t changed = changed_seconds(e);
	int rc = 0;

	if (class == OBJ_N_CLASSES)
		return err_set(err, ERR_UNSUPPORTED, "object '%.200s' has a name that no key has", e->dn);
	k->path = arena_printf(a, "%s\\%s", root, leaf);
	if (!k->path)
		return err_nomem(err);
	if (text_add(k, a, "ClassName", object_class_ldap(class), err) < 0 || text_add(k, a, "name", leaf, err) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < OBJECT_ATTRS; i++) {
		/* As Windows does: the owners come last. */
		if (i == OBJECT_ATTRS - 1 && changed)
			rc = dword_add(k, a, "whenChanged", changed, err);
		if (rc == 0)
			rc = attr_to_value(k, a, e, &object_attrs[i], root, err);
	}
	return rc < 0 ? err_prefix(err, "object %s", leaf) : 0;
}

int exchange_to_keys(struct reg_key **ret, size_t *ret_n, struct arena *a, const struct dir_entry *entries, size_t n, const char *root, const char *active, struct err *err)
{
	struct reg_key *keys = arena_zalloc(a, n + 1, sizeof(*keys));
	const char *leaf = active ? exchange_leaf(a, active) : NULL;

	if (!keys)
		return err_nomem(err);
	keys[0].path = root;
	if (leaf && text_add(&keys[0], a, "ActivePolicy", arena_printf(a, "%s\\%s", root, leaf), err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (object_to_key(&keys[i + 1], a, &entries[i], root, err) < 0)
			return -1;
	*ret = keys;
	*ret_n = n + 1;
	return 0;
}
