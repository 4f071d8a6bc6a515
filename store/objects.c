#include "store/objects.h"

#include <string.h>
#include <time.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "store/object.h"
#include "store/store.h"
#include "store/store_db.h"

#define ROOT	"HKEY_LOCAL_MACHINE\\"
#define ACTIVE	"ActivePolicy"

const struct object_attr object_attrs[OBJECT_ATTRS] = {
	{ "description", KIND_TEXT }, { "ipsecName", KIND_TEXT }, { "ipsecID", KIND_TEXT }, { "ipsecDataType", KIND_NUMBER },
	{ "ipsecData", KIND_BYTES }, { "iPSECNegotiationPolicyAction", KIND_TEXT }, { "iPSECNegotiationPolicyType", KIND_TEXT },
	{ "ipsecISAKMPReference", KIND_REFERENCE }, { "ipsecNegotiationPolicyReference", KIND_REFERENCE },
	{ "ipsecFilterReference", KIND_REFERENCES }, { "ipsecNFAReference", KIND_REFERENCES }, { "ipsecOwnersReference", KIND_REFERENCES },
};

static const char *const classes[] = { "ipsecPolicy", "ipsecISAKMPPolicy", "ipsecNFA", "ipsecFilter", "ipsecNegotiationPolicy" };

#define N_CLASSES	(sizeof(classes) / sizeof(classes[0]))

int object_attr_find(const char *name)
{
	for (size_t i = 0; i < OBJECT_ATTRS; i++)
		if (ascii_equal(name, object_attrs[i].name))
			return (int)i;
	return -1;
}

static bool begins(const char *text, size_t len, const char *prefix, size_t n)
{
	if (len < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (ascii_lower((uint8_t)text[i]) != ascii_lower((uint8_t)prefix[i]))
			return false;
	return true;
}

const char *object_class_find(const char *name, size_t len)
{
	for (size_t i = 0; i < N_CLASSES; i++)
		if (len == strlen(classes[i]) && begins(name, len, classes[i], len))
			return classes[i];
	return NULL;
}

/* ---- names: DN, path and key ----------------------------------------------------------- */

/* "SOFTWARE\...\Policy\Local\ipsecNFA{...}", from behind HKEY_LOCAL_MACHINE or with it: the name of
 * an object of key; NULL: it is something else. */
static const char *path_name(const char *path, size_t len, const char *key)
{
	size_t n = strlen(key);

	if (begins(path, len, ROOT, strlen(ROOT))) {
		path += strlen(ROOT);
		len -= strlen(ROOT);
	}
	if (!begins(path, len, key, n) || len < n + 2 || path[n] != '\\' || memchr(path + n + 1, '\\', len - n - 1))
		return NULL;
	return path + n + 1;
}

/* RFC 4514 2.4. */
static const char *name_dn(struct arena *a, const char *name, size_t len)
{
	char *out = arena_zalloc(a, 3 * len + sizeof("CN=," OBJECTS_DN), 1), *p = out;

	if (!out)
		return NULL;
	p = stpcpy(p, "CN=");
	for (size_t i = 0; i < len; i++) {
		if (strchr("\"+,;<>=", name[i]) || (name[i] == '#' && i == 0) || (name[i] == ' ' && (i == 0 || i == len - 1)))
			*p++ = '\\';
		*p++ = name[i];
	}
	strcpy(p, "," OBJECTS_DN);
	return out;
}

const char *object_dn_name(struct arena *a, const char *dn)
{
	const char *parent = dn_parent(dn), *name;

	if (!parent || (strcmp(parent, OBJECTS_DN) && !dn_equal(parent, OBJECTS_DN)))
		return NULL;
	name = dn_rdn_value(a, dn, "CN");
	return name && *name && !strchr(name, '\\') ? name : NULL;
}

/* ---- from the registry ------------------------------------------------------------------ */

static int mistyped(const char *path, const struct reg_value *v, const char *type, struct err *err)
{
	return err_set(err, ERR_FORMAT, "key '%s': value '%.100s' is not %s", path, v->name, type);
}

static int value_append(struct arena *a, struct dir_attr *attr, const void *p, size_t len, struct err *err)
{
	struct dir_value *v = arena_grow(a, attr->values, attr->n_values, sizeof(*v));
	uint8_t *copy = arena_zalloc(a, len + 1, 1);

	if (!v || !copy)
		return err_nomem(err);
	if (len)
		memcpy(copy, p, len);
	v[attr->n_values++] = (struct dir_value){ copy, len };
	attr->values = v;
	return 0;
}

static int text_append(struct arena *a, struct dir_attr *attr, const char *text, struct err *err)
{
	return text ? value_append(a, attr, text, strlen(text), err) : err_nomem(err);
}

static int path_append(const struct object *o, struct dir_attr *attr, const char *path, size_t len, struct err *err)
{
	const char *name = path_name(path, len, o->key);

	if (!name)
		return err_set(err, ERR_FORMAT, "key '%s': value '%s': '%.*s' is no object of this store", o->path, attr->name,
		    len > 120 ? 120 : (int)len, path);
	return text_append(o->a, attr, name_dn(o->a, name, len - (size_t)(name - path)), err);
}

/* REG_SZ: one (none when empty); REG_MULTI_SZ: each of its strings. */
static int paths_read(const struct object *o, struct dir_attr *attr, const struct reg_value *v, struct err *err)
{
	const char *p = (const char *)v->p, *end = p + v->len;

	if (v->type == REG_SZ)
		return v->len ? path_append(o, attr, p, v->len, err) : 0;
	if (v->type != REG_MULTI_SZ)
		return mistyped(o->path, v, "REG_MULTI_SZ", err);
	for (; p < end; p += strlen(p) + 1)
		if (path_append(o, attr, p, strlen(p), err) < 0)
			return -1;
	return 0;
}

/* REG_SZ, or REG_MULTI_SZ of one string. */
static int text_of(const char *path, const struct reg_value *v, const char **ret, size_t *ret_len, struct err *err)
{
	if (v->type == REG_MULTI_SZ && strlen((const char *)v->p) + 1 >= v->len) {
		*ret_len = strlen((const char *)v->p);
	} else if (v->type == REG_SZ) {
		*ret_len = v->len;
	} else {
		return mistyped(path, v, "REG_SZ", err);
	}
	*ret = (const char *)v->p;
	return 0;
}

static int number_of(const char *path, const struct reg_value *v, uint32_t *ret, struct err *err)
{
	if (v->type != REG_DWORD)
		return mistyped(path, v, "REG_DWORD", err);
	*ret = v->p[0] | (uint32_t)v->p[1] << 8 | (uint32_t)v->p[2] << 16 | (uint32_t)v->p[3] << 24;
	return 0;
}

static int attr_read(const struct object *o, struct dir_attr *attr, enum object_kind kind, const struct reg_value *v, struct err *err)
{
	const char *text = NULL;
	uint32_t number = 0;
	size_t len = 0;

	switch (kind) {
	case KIND_REFERENCES:
		return paths_read(o, attr, v, err);
	case KIND_NUMBER:
		if (number_of(o->path, v, &number, err) < 0)
			return -1;
		return text_append(o->a, attr, arena_printf(o->a, "%u", number), err);
	case KIND_BYTES:
		if (v->type != REG_BINARY)
			return mistyped(o->path, v, "REG_BINARY", err);
		return v->len ? value_append(o->a, attr, v->p, v->len, err) : 0;
	case KIND_TEXT:
	case KIND_REFERENCE:
		break;
	}
	if (text_of(o->path, v, &text, &len, err) < 0)
		return -1;
	/* A directory has no empty texts. */
	if (len == 0)
		return 0;
	return kind == KIND_REFERENCE ? path_append(o, attr, text, len, err) : value_append(o->a, attr, text, len, err);
}

static int class_read(struct object *o, const struct reg_value *v, struct err *err)
{
	const char *text;
	size_t len;

	if (text_of(o->path, v, &text, &len, err) < 0)
		return -1;
	o->class = object_class_find(text, len);
	return 0;
}

static int value_read(struct object *o, const struct reg_value *v, struct err *err)
{
	int i = object_attr_find(v->name);
	uint32_t number = 0;

	if (i >= 0)
		return attr_read(o, &o->attrs[i], object_attrs[i].kind, v, err);
	if (ascii_equal(v->name, "ClassName"))
		return class_read(o, v, err);
	if (ascii_equal(v->name, "whenChanged")) {
		if (number_of(o->path, v, &number, err) < 0)
			return -1;
		o->changed = number;
	}
	return 0;
}

/* What it is when there is no ClassName, its name says. */
int object_load(struct object *o, struct err *err)
{
	struct reg_value *values;
	size_t n = 0;
	int r;

	o->path = arena_printf(o->a, "%s\\%s", o->key, o->name);
	if (!o->path)
		return err_nomem(err);
	o->changed = -1;
	o->class = object_class_find(o->name, strcspn(o->name, "{"));
	for (size_t i = 0; i < OBJECT_ATTRS; i++)
		o->attrs[i] = (struct dir_attr){ .name = object_attrs[i].name };
	r = reg_values(o->s, o->path, &values, &n, o->a, err);
	if (r <= 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (value_read(o, &values[i], err) < 0)
			return -1;
	return 1;
}

static const char *time_text(struct arena *a, int64_t seconds)
{
	time_t t = (time_t)seconds;
	char text[32];
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y%m%d%H%M%S.0Z", &tm) == 0)
		return NULL;
	return arena_strdup(a, text);
}

static int entry_make(struct dir_entry *ret, const struct object *o, struct err *err)
{
	struct dir_attr class = { .name = "objectClass" }, cn = { .name = "cn" }, changed = { .name = "whenChanged" };
	struct dir_entry e = { .dn = name_dn(o->a, o->name, strlen(o->name)) };

	e.attrs = arena_zalloc(o->a, OBJECT_ATTRS + 3, sizeof(*e.attrs));
	if (!e.dn || !e.attrs)
		return err_nomem(err);
	if (text_append(o->a, &class, "top", err) < 0 || text_append(o->a, &class, "ipsecBase", err) < 0 ||
	    text_append(o->a, &class, o->class, err) < 0 || text_append(o->a, &cn, o->name, err) < 0)
		return -1;
	e.attrs[e.n_attrs++] = class;
	e.attrs[e.n_attrs++] = cn;
	for (size_t i = 0; i < OBJECT_ATTRS; i++)
		if (o->attrs[i].n_values)
			e.attrs[e.n_attrs++] = o->attrs[i];
	if (o->changed >= 0) {
		if (text_append(o->a, &changed, time_text(o->a, o->changed), err) < 0)
			return -1;
		e.attrs[e.n_attrs++] = changed;
	}
	*ret = e;
	return 0;
}

static int entries_read(struct dir_entry **ret, size_t *ret_n, struct arena *a, struct store *s, const char *key, struct err *err)
{
	struct dir_entry *all;
	const char **names = NULL;
	size_t n_names = 0, n = 0;

	if (reg_subkeys(s, key, &names, &n_names, a, err) < 0)
		return -1;
	all = arena_zalloc(a, n_names ? n_names : 1, sizeof(*all));
	if (!all)
		return err_nomem(err);
	for (size_t i = 0; i < n_names; i++) {
		struct object o = { .s = s, .a = a, .key = key, .name = names[i] };

		if (object_load(&o, err) < 0)
			return -1;
		if (!o.class)
			continue;
		if (entry_make(&all[n], &o, err) < 0)
			return -1;
		n++;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

int objects_read(struct dir_entry **ret, size_t *ret_n, struct arena *a, struct store *s, const char *key, struct err *err)
{
	bool own;
	int rc;

	if (store_read_begin(s, &own, err) < 0)
		return -1;
	rc = entries_read(ret, ret_n, a, s, key, err);
	store_read_end(s, own);
	return rc;
}

/* ---- the assigned one -------------------------------------------------------------------- */

static int active_dn_read(const char **ret, struct arena *a, struct store *s, const char *key, struct err *err)
{
	const char *text = NULL, *name;
	struct reg_value v;
	size_t len = 0;
	int r = reg_get(s, key, ACTIVE, &v, a, err);

	if (r <= 0)
		return r;
	if (text_of(key, &v, &text, &len, err) < 0)
		return -1;
	if (len == 0)
		return 0;
	name = path_name(text, len, key);
	if (!name)
		return err_set(err, ERR_FORMAT, "key '%s': value '" ACTIVE "': '%.*s' is no object of this store", key,
		    len > 120 ? 120 : (int)len, text);
	*ret = name_dn(a, name, len - (size_t)(name - text));
	return *ret ? 1 : err_nomem(err);
}

int objects_active(const char **ret, struct arena *a, struct store *s, const char *key, struct err *err)
{
	bool own;
	int r;

	if (store_read_begin(s, &own, err) < 0)
		return -1;
	r = active_dn_read(ret, a, s, key, err);
	store_read_end(s, own);
	return r;
}

int objects_set_active(struct store *s, const char *key, const char *dn, struct err *err)
{
	struct reg_value v = { .name = ACTIVE, .type = REG_SZ };
	const char *name, *path;
	struct arena *a;
	int rc = -1;

	if (!dn)
		return reg_delete_value(s, key, ACTIVE, err);
	a = arena_new(0);
	if (!a)
		return err_nomem(err);
	name = object_dn_name(a, dn);
	path = name ? arena_printf(a, "%s\\%s", key, name) : NULL;
	if (!name) {
		err_set(err, ERR_FORMAT, "'%.200s' is no object of this store", dn);
	} else if (!path) {
		err_nomem(err);
	} else {
		v.p = (const uint8_t *)path;
		v.len = strlen(path);
		rc = reg_set(s, key, &v, err);
	}
	arena_free(a);
	return rc;
}
