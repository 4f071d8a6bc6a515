/* ipsecpol reg import: a registry file into the administrator's part of the tree. */
#include "agent/cli_reg.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/conf.h"
#include "agent/sources.h"
#include "agent/exchange_parts.h"
#include "gpo/container.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/settings.h"
#include "store/active.h"
#include "store/objects.h"
#include "store/regfile.h"
#include "store/settings.h"
#include "store/store.h"

#define REG_AGENT	"SYSTEM\\CurrentControlSet\\Services\\PolicyAgent"

static const char *const writable[] = { REG_LOCAL, REG_PERSISTENT, REG_SERVICE, REG_AGENT };
#define N_STORES	2	/* the first of them hold policies */

/* An empty key on the way to one that may be written says nothing. */
static bool key_is_allowed(const struct reg_key *k)
{
	for (size_t i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
		if (reg_path_below(k->path, writable[i]) ||
		    (reg_path_below(writable[i], k->path) && !k->deleted && !k->n_values && !k->n_gone))
			return true;
	return false;
}

static int keys_check(const struct reg_key *keys, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (!key_is_allowed(&keys[i]))
			return err_set(err, ERR_DENIED, "line %u: key '%.200s': only what is below Policy\\Local, Policy\\Persistent, "
			    "Services\\IPSec and Services\\PolicyAgent can be imported", keys[i].line, keys[i].path);
	return 0;
}

static int key_apply(struct store *s, const struct reg_key *k, struct err *err)
{
	int rc = k->deleted ? reg_delete_key(s, k->path, err) : 0;

	for (size_t i = 0; rc == 0 && i < k->n_gone; i++)
		rc = reg_delete_value(s, k->path, k->gone[i], err);
	for (size_t i = 0; rc == 0 && i < k->n_values; i++)
		rc = reg_set(s, k->path, &k->values[i], err);
	return rc < 0 ? err_prefix(err, "line %u", k->line) : 0;
}

static int container_load(struct ipsec_container **ret, struct arena *a, struct store *s, const char *key, struct err *err)
{
	struct dir_entry *entries = NULL;
	size_t n = 0;

	if (objects_read(&entries, &n, a, s, key, err) < 0)
		return -1;
	return container_read(ret, OBJECTS_DN, entries, n, err);
}

static bool was_damaged(const struct ipsec_container *before, const struct ipsec_object *o)
{
	for (size_t i = 0; before && i < before->n_objects; i++)
		if (before->objects[i]->damage && dn_equal(before->objects[i]->dn, o->dn))
			return true;
	return false;
}

/* What was damaged before the import is said, what the import damages refuses it. */
static int damage_check(const struct ipsec_container *now, const struct ipsec_container *before, struct err *err)
{
	for (size_t i = 0; i < now->n_objects; i++) {
		const struct ipsec_object *o = now->objects[i];
		char id[GUID_TEXT];

		if (!o->damage)
			continue;
		guid_text(&o->id, id);
		err_set(err, ERR_FORMAT, "%s '%.100s' %s: %s", object_class_name(o->class), o->name, id, o->damage);
		if (!was_damaged(before, o))
			return -1;
		fprintf(stderr, "ipsecpol: note: damaged before: %s\n", err->msg);
	}
	return 0;
}

static int active_check(const struct ipsec_container *now, struct arena *a, struct store *s, const char *key, struct err *err)
{
	const char *dn = NULL;
	struct ipsec_policy *p = NULL;
	int r = objects_active(&dn, a, s, key, err);

	if (r <= 0)
		return r;
	for (size_t i = 0; i < now->n_objects; i++)
		if (now->objects[i]->class == OBJ_POLICY && dn_equal(now->objects[i]->dn, dn)) {
			r = container_policy(&p, now, now->objects[i], err);
			policy_free(p);
			return r < 0 ? err_prefix(err, "the assigned policy") : 0;
		}
	return err_set(err, ERR_ABSENT, "the assigned policy '%.200s' does not exist", dn);
}

/* before: of the same store, NULL when it could not be read. */
static int store_check(struct arena *a, struct store *s, const char *key, const struct ipsec_container *before, struct err *err)
{
	struct ipsec_container *now = NULL;
	int rc = -1;

	if (container_load(&now, a, s, key, err) == 0 && damage_check(now, before, err) == 0)
		rc = active_check(now, a, s, key, err);
	container_free(now);
	return rc < 0 ? err_prefix(err, "after the import %s would not be sound", reg_path_below(key, REG_POLICIES)) : 0;
}

static int settings_check(struct store *s, struct err *err)
{
	struct settings ignored;

	return settings_load(&ignored, s, err);
}

/* Within a transaction. */
static int keys_import(struct store *s, const struct reg_key *keys, size_t n, struct arena *a, struct err *err)
{
	struct ipsec_container *before[N_STORES] = { NULL };
	struct err ignored;
	int rc = 0;

	for (int i = 0; i < N_STORES; i++)
		container_load(&before[i], a, s, writable[i], &ignored);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = key_apply(s, &keys[i], err);
	for (int i = 0; rc == 0 && i < N_STORES; i++)
		rc = store_check(a, s, writable[i], before[i], err);
	if (rc == 0)
		rc = settings_check(s, err);
	for (int i = 0; i < N_STORES; i++)
		container_free(before[i]);
	return rc;
}

static int registry_import(struct cli *c, const struct reg_key *keys, size_t n, struct err *err)
{
	struct store *s = stored_edit_check(c->conf, err) < 0 ? NULL : registry_open(c->conf->state_dir, STORE_WRITE, err);
	int rc;

	if (!s)
		return -1;
	rc = store_begin(s, err);
	if (rc == 0) {
		rc = keys_import(s, keys, n, c->arena, err);
		if (rc == 0)
			rc = active_update(s, err);
		if (rc == 0)
			rc = store_commit(s, err);
		if (rc < 0)
			store_rollback(s);
	}
	store_close(s);
	return rc;
}

static int daemon_tell(struct cli *c)
{
	struct err err = { 0 };
	bool running;

	if (stored_announce(c->conf, &running, &err) == 0)
		return EXIT_DONE;
	err_prefix(&err, "imported, but not in force");
	return cli_fail(&err);
}

int cli_reg_import(struct cli *c, const char *file)
{
	struct reg_key *keys = NULL;
	struct err err = { 0 };
	char *text = NULL;
	size_t len = 0, n = 0;
	int rc;

	if (geteuid() != 0) {
		err_set(&err, ERR_DENIED, "reg import is for root");
		return cli_fail(&err);
	}
	rc = exchange_file_read(file, &text, &len, &err);
	if (rc == 0)
		rc = regfile_parse(&keys, &n, c->arena, text, len, &err);
	if (rc == 0)
		rc = keys_check(keys, n, &err);
	free(text);
	if (rc == 0)
		rc = registry_import(c, keys, n, &err);
	if (rc < 0) {
		err_prefix(&err, "%.200s", file);
		return cli_fail(&err);
	}
	printf("%zu keys imported\n", n);
	return daemon_tell(c);
}
