#include <stdlib.h>
#include <time.h>

#include "agent/conf.h"
#include "agent/session.h"
#include "agent/sources.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "store/active.h"
#include "store/objects.h"
#include "store/store.h"

struct local {
	struct backend		 b;		/* first: what the callers see */
	const struct conf	*conf;
	const char		*key;
	enum store_location	 location;
	char			*where;
	struct store		*store;		/* NULL: there was none */
	uint32_t		 version;	/* of it, when it was loaded */
};

static struct local *local_of(struct backend *b)
{
	return (struct local *)b;
}

/* All that is read is of one state. */
static int read_in(struct local *l, struct store_edit *ret, struct err *err)
{
	struct ipsec_container *c = NULL;
	struct dir_entry *entries = NULL;
	struct arena *a = arena_new(0);
	const char *active = NULL;
	uint32_t version = 0;
	size_t n = 0;
	int rc = -1;

	if (!a)
		return err_nomem(err);
	if (l->store && (store_version(l->store, &version, err) < 0 || objects_read(&entries, &n, a, l->store, l->key, err) < 0 ||
	    objects_active(&active, a, l->store, l->key, err) < 0))
		goto out;
	if (container_read(&c, OBJECTS_DN, entries, n, err) < 0)
		goto out;
	if (active) {
		active = arena_strdup(c->arena, active);
		if (!active) {
			err_nomem(err);
			goto out;
		}
	}
	l->version = version;
	ret->location = l->location;
	ret->container = c;
	ret->active = active;
	c = NULL;
	rc = 0;
out:
	container_free(c);
	arena_free(a);
	return rc;
}

/* Opened anew each time: the file may have been replaced. */
static int local_load(struct backend *b, struct store_edit *ret, struct err *err)
{
	struct local *l = local_of(b);
	int rc = -1;

	store_close(l->store);
	l->store = registry_open(l->conf->state_dir, STORE_EDIT, err);
	if (!l->store)
		return err->code == ERR_ABSENT ? read_in(l, ret, err) : -1;
	if (store_begin_reading(l->store, err) == 0) {
		rc = read_in(l, ret, err);
		store_rollback(l->store);
	}
	if (rc < 0) {
		store_close(l->store);
		l->store = NULL;
	}
	return rc;
}

/* Within the transaction: is it still what was loaded?  What was not there must be empty. */
static int unchanged(struct local *l, bool was_there, struct arena *a, struct err *err)
{
	const char **keys;
	uint32_t version;
	size_t n = 0;

	if (was_there) {
		if (store_version(l->store, &version, err) < 0)
			return -1;
		if (version == l->version)
			return 0;
	} else {
		if (reg_subkeys(l->store, "", &keys, &n, a, err) < 0)
			return -1;
		if (n == 0)
			return store_version(l->store, &l->version, err);
	}
	return err_set(err, ERR_BUSY, "%s was changed by somebody else meanwhile", l->where);
}

static int write_out(struct local *l, const struct store_edit *e, const struct dir_change *changes, size_t n, bool was_there, struct arena *a, struct err *err)
{
	if (unchanged(l, was_there, a, err) < 0)
		return -1;
	if (objects_apply(l->store, l->key, changes, n, time(NULL), err) < 0) {
		/* Gone: somebody was faster, too. */
		if (err->code == ERR_ABSENT)
			err->code = ERR_BUSY;
		return -1;
	}
	if (e->active_changed && objects_set_active(l->store, l->key, e->active, err) < 0)
		return -1;
	return active_update(l->store, err) < 0 ? -1 : store_commit(l->store, err);
}

static int local_save(struct backend *b, struct store_edit *e, struct err *err)
{
	struct local *l = local_of(b);
	bool was_there = l->store != NULL;
	struct dir_change *changes = NULL;
	struct arena *a = arena_new(0);
	size_t n = 0;
	int rc = -1;

	if (!a)
		return err_nomem(err);
	if (container_changes(&changes, &n, a, e->container, err) < 0)
		goto out;
	if (n == 0 && !e->active_changed) {
		rc = 0;
		goto out;
	}
	if (!was_there && stored_edit_check(l->conf, err) == 0)
		l->store = registry_open(l->conf->state_dir, STORE_WRITE, err);
	if (l->store && store_begin(l->store, err) == 0) {
		rc = write_out(l, e, changes, n, was_there, a, err);
		if (rc < 0)
			store_rollback(l->store);
	}
	/* What was not there when it was loaded is still to be looked at. */
	if (rc < 0 && !was_there) {
		store_close(l->store);
		l->store = NULL;
	}
out:
	arena_free(a);
	return rc;
}

static int local_assigned(struct backend *b, const char *gpo, const char **ret_dn, struct arena *a, struct err *err)
{
	(void)ret_dn;
	(void)a;
	return err_set(err, ERR_UNSUPPORTED, "'%.100s': GPOs are in the domain, not in the %s", gpo, local_of(b)->where);
}

static int local_users(struct backend *b, const char *policy_dn, struct gpo_user **ret, size_t *ret_n, struct arena *a, struct err *err)
{
	(void)b;
	(void)policy_dn;
	(void)a;
	(void)err;
	*ret = NULL;
	*ret_n = 0;
	return 0;
}

static const char *local_where(struct backend *b)
{
	return local_of(b)->where;
}

static void local_close(struct backend *b)
{
	struct local *l = local_of(b);

	store_close(l->store);
	free(l->where);
	free(l);
}

struct backend *backend_local(const struct conf *c, enum store_location location, struct err *err)
{
	struct local *l = calloc(1, sizeof(*l));
	bool persistent = location == LOCATION_PERSISTENT;

	if (!l || asprintf(&l->where, "%s store (%s/registry.db)", persistent ? "persistent" : "local", c->state_dir) < 0) {
		free(l);
		err_nomem(err);
		return NULL;
	}
	l->b = (struct backend){ local_load, local_save, local_assigned, local_users, local_where, local_close };
	l->conf = c;
	l->key = persistent ? REG_PERSISTENT : REG_LOCAL;
	l->location = persistent ? LOCATION_PERSISTENT : LOCATION_LOCAL;
	return &l->b;
}
