#include "store/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "gpo/assemble.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/policy.h"
#include "schema/rd.h"
#include "store/store.h"

#define CONTAINER	"CN=IP Security"	/* only the objects' own names are used */

static int set(struct store *s, const char *key, const char *name, enum reg_type type, const void *p, size_t len, struct err *err)
{
	const struct reg_value v = { name, type, p, len };

	return reg_set(s, key, &v, err);
}

static int set_text(struct store *s, const char *key, const char *name, const char *text, struct err *err)
{
	return set(s, key, name, REG_SZ, text, strlen(text), err);
}

static int set_dword(struct store *s, const char *key, const char *name, uint32_t v, struct err *err)
{
	const uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };

	return set(s, key, name, REG_DWORD, b, sizeof(b), err);
}

/* ---- references ----------------------------------------------------------------------- */

/* "CN=ipsecNFA{..},CN=IP Security" -> path of that object's key. */
static char *sibling_path(struct arena *a, const struct dir_value *dn)
{
	char *name = dn_rdn_value(a, (const char *)dn->p, "CN");

	return name ? arena_printf(a, REG_CACHE "\\%s", name) : NULL;
}

/* The attributes whose values are several in the schema are MULTI_SZ, the others SZ. */
static bool reference_kind(const char *attr, enum reg_type *ret)
{
	static const struct {
		const char *name;
		enum reg_type type;
	} known[] = {
		{ "ipsecOwnersReference", REG_MULTI_SZ }, { "ipsecNFAReference", REG_MULTI_SZ },
		{ "ipsecFilterReference", REG_MULTI_SZ }, { "ipsecISAKMPReference", REG_SZ },
		{ "ipsecNegotiationPolicyReference", REG_SZ },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcasecmp(attr, known[i].name)) {
			*ret = known[i].type;
			return true;
		}
	return false;
}

static int references_write(struct store *s, const char *key, const struct dir_attr *attr, enum reg_type type, struct arena *a, struct err *err)
{
	struct wr w = { 0 };
	char *path;
	int rc = -1;

	if (type == REG_SZ && attr->n_values != 1)
		return err_set(err, ERR_FORMAT, "%s has %zu values", attr->name, attr->n_values);
	for (size_t i = 0; i < attr->n_values; i++) {
		path = sibling_path(a, &attr->values[i]);
		if (!path) {
			err_set(err, ERR_FORMAT, "%s '%.200s' names no object", attr->name, (const char *)attr->values[i].p);
			goto out;
		}
		wr_bytes(&w, path, strlen(path) + (type == REG_MULTI_SZ));
	}
	if (w.bad)
		err_nomem(err);
	else
		rc = set(s, key, attr->name, type, w.p, w.len, err);
out:
	free(w.p);
	return rc;
}

/* ---- objects ---------------------------------------------------------------------------- */

static int attr_write(struct store *s, const char *key, const struct dir_attr *attr, struct arena *a, struct err *err)
{
	const struct dir_value *v = attr->values;
	enum reg_type type;

	if (!strcasecmp(attr->name, "objectClass") || !strcasecmp(attr->name, "cn") || !strcasecmp(attr->name, "whenChanged") ||
	    attr->n_values == 0)
		return 0;
	if (reference_kind(attr->name, &type))
		return references_write(s, key, attr, type, a, err);
	if (!strcasecmp(attr->name, "ipsecDataType"))
		return set_dword(s, key, attr->name, (uint32_t)strtoul((const char *)v->p, NULL, 10), err);
	if (!strcasecmp(attr->name, "ipsecData"))
		return set(s, key, attr->name, REG_BINARY, v->p, v->len, err);
	return set(s, key, attr->name, REG_SZ, v->p, v->len, err);
}

/* "20261122101500.0Z" -> seconds; `otherwise` when it is none. */
static int64_t time_seconds(const char *text, int64_t otherwise)
{
	struct tm tm = { 0 };
	int64_t t;

	if (sscanf(text, "%4d%2d%2d%2d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return otherwise;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	t = timegm(&tm);
	return t >= 0 && t <= UINT32_MAX ? t : otherwise;
}

/* The structural class comes last. */
static const char *class_name(const struct dir_entry *e)
{
	const struct dir_attr *attr = entry_attr(e, "objectClass");

	return attr && attr->n_values ? (const char *)attr->values[attr->n_values - 1].p : NULL;
}

static int object_write(struct store *s, const struct dir_entry *e, uint32_t changed, struct arena *a, struct err *err)
{
	char *name = dn_rdn_value(a, e->dn, "CN"), *key;
	const char *class = class_name(e);

	if (!name || !class)
		return err_set(err, ERR_FORMAT, "object '%.200s' has no name or no class", e->dn);
	key = arena_printf(a, REG_CACHE "\\%s", name);
	if (!key)
		return err_nomem(err);
	if (set_text(s, key, "ClassName", class, err) < 0 || set_text(s, key, "name", name, err) < 0 ||
	    set_dword(s, key, "whenChanged", changed, err) < 0)
		return -1;
	for (size_t i = 0; i < e->n_attrs; i++)
		if (attr_write(s, key, &e->attrs[i], a, err) < 0)
			return err_prefix(err, "object %s", name);
	return 0;
}

static int assignment_write(struct store *s, const struct ipsec_policy *p, struct err *err)
{
	if (set_text(s, REG_ASSIGNMENT, "DSIPSECPolicyPath", p->dn, err) < 0 ||
	    set_text(s, REG_ASSIGNMENT, "DSIPSECPolicyName", p->name, err) < 0)
		return -1;
	return set_dword(s, REG_ASSIGNMENT, "DSIPSECPolicyFlags", 0, err);
}

int cache_clear(struct store *s, struct err *err)
{
	if (reg_delete_key(s, REG_CACHE, err) < 0 || reg_delete_key(s, REG_ASSIGNMENT, err) < 0)
		return -1;
	return 0;
}

int cache_write(struct store *s, const struct ipsec_policy *p, int64_t taken, struct err *err)
{
	struct dir_entry *entries = NULL;
	struct arena *a = arena_new(0);
	int64_t changed = time_seconds(p->when_changed, taken);
	size_t n = 0;
	int rc = -1;

	if (!a)
		return err_nomem(err);
	if (policy_objects(&entries, &n, a, p, CONTAINER, err) < 0 || cache_clear(s, err) < 0)
		goto out;
	for (size_t i = 0; i < n; i++)
		if (object_write(s, &entries[i], (uint32_t)changed, a, err) < 0) {
			err_prefix(err, "Policy\\Cache");
			goto out;
		}
	rc = assignment_write(s, p, err);
out:
	arena_free(a);
	return rc;
}
