#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpo/container.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"
#include "store/active.h"
#include "store/objects.h"
#include "store/store.h"

static char *sealed_text(const struct ipsec_policy *p, size_t *ret_len, struct err *err)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);
	bool ok = out && policy_write(p, POLICY_SEALED, out) == 0;

	if (out && fclose(out) == 0 && ok)
		return text;
	free(text);
	err_nomem(err);
	return NULL;
}

static int policy_of(struct ipsec_policy **ret, const char *dn, const struct dir_entry *entries, size_t n, struct arena *a, struct err *err)
{
	const char *name = dn_rdn_value(a, dn, "CN"), *brace = name ? strchr(name, '{') : NULL;
	struct ipsec_container *c = NULL;
	struct ipsec_object *o;
	struct guid id;
	int rc = -1;

	if (!brace || !guid_parse(&id, brace, strlen(brace)))
		return err_set(err, ERR_FORMAT, "ActivePolicy '%s' names no policy", dn);
	if (container_read(&c, OBJECTS_DN, entries, n, err) < 0)
		return -1;
	o = container_find_id(c, OBJ_POLICY, &id);
	if (!o)
		err_set(err, ERR_ABSENT, "the assigned policy %s does not exist", brace);
	else
		rc = container_policy(ret, c, o, err);
	container_free(c);
	return rc;
}

/* *ret NULL: none is assigned. */
static int assigned_policy(struct ipsec_policy **ret, struct arena *a, struct store *s, const char *key, struct err *err)
{
	struct dir_entry *entries = NULL;
	const char *dn = NULL;
	size_t n = 0;
	int found = objects_active(&dn, a, s, key, err);

	*ret = NULL;
	if (found <= 0)
		return found;
	return objects_read(&entries, &n, a, s, key, err) < 0 ? -1 : policy_of(ret, dn, entries, n, a, err);
}

static int set(struct store *s, const char *name, enum reg_type type, const void *p, size_t len, struct err *err)
{
	const struct reg_value v = { name, type, p, len };

	return p ? reg_set(s, REG_ACTIVE, &v, err) : reg_delete_value(s, REG_ACTIVE, name, err);
}

static int store_update(struct store *s, const char *key, struct arena *a, struct err *err)
{
	const char *name = strrchr(key, '\\') + 1;
	char *problem = arena_printf(a, "%s problem", name), *text = NULL, *why = NULL;
	struct ipsec_policy *p = NULL;
	struct err unusable = { 0 };
	size_t len = 0;
	int rc = -1;

	if (!problem)
		return err_nomem(err);
	if (assigned_policy(&p, a, s, key, &unusable) < 0) {
		/* What could not be read now may be all right. */
		if (unusable.code != ERR_FORMAT && unusable.code != ERR_ABSENT && unusable.code != ERR_UNSUPPORTED && unusable.code != ERR_LIMIT) {
			*err = unusable;
			return -1;
		}
		why = arena_printf(a, "%s %s policy: %s", err_code_name(unusable.code), name, unusable.msg);
		if (!why)
			return err_nomem(err);
	}
	if (p && !(text = sealed_text(p, &len, err)))
		goto out;
	if (set(s, name, REG_BINARY, text, len, err) == 0 && set(s, problem, REG_SZ, why, why ? strlen(why) : 0, err) == 0)
		rc = 0;
out:
	free(text);
	policy_free(p);
	return rc;
}

int active_update(struct store *s, struct err *err)
{
	static const char *const keys[] = { REG_PERSISTENT, REG_LOCAL };
	struct arena *a = arena_new(0);
	int rc = a ? 0 : err_nomem(err);

	for (size_t i = 0; rc == 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
		rc = store_update(s, keys[i], a, err);
	arena_free(a);
	return rc;
}
