#include "store/cache.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gpo/assemble.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"
#include "store/objects.h"
#include "store/store.h"

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
	struct dir_change *changes;
	struct arena *a = arena_new(0);
	size_t n = 0;
	int rc = -1;

	if (!a)
		return err_nomem(err);
	if (policy_objects(&entries, &n, a, p, OBJECTS_DN, err) < 0 || cache_clear(s, err) < 0)
		goto out;
	changes = arena_zalloc(a, n, sizeof(*changes));
	if (!changes) {
		err_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < n; i++)
		changes[i] = (struct dir_change){ .kind = CHANGE_ADD, .dn = entries[i].dn, .attrs = entries[i].attrs, .n_attrs = entries[i].n_attrs };
	if (objects_apply(s, REG_CACHE, changes, n, time_seconds(p->when_changed, taken), err) < 0) {
		err_prefix(err, "Policy\\Cache");
		goto out;
	}
	rc = assignment_write(s, p, err);
out:
	arena_free(a);
	return rc;
}
