/* `ipsecpol reg restore`: registry.db again, from what the boot image remembers of it. */
#include "agent/cli_reg.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/bootimage.h"
#include "agent/cli.h"
#include "agent/conf.h"
#include "agent/sources.h"
#include "gpo/container.h"
#include "schema/arena.h"
#include "schema/utf.h"
#include "store/active.h"
#include "store/objects.h"
#include "store/settings.h"

/* The policy's objects below key, assigned; *name of it. */
static int policy_restore(char *name, size_t size, struct store *s, const char *key, const char *text, struct arena *a, struct err *err)
{
	struct ipsec_container *c = NULL;
	struct ipsec_policy *p = NULL;
	struct dir_change *changes = NULL;
	struct ipsec_object *o;
	size_t n = 0;
	int rc = -1;

	if (policy_read(&p, text, strlen(text), err) < 0 || container_read(&c, OBJECTS_DN, NULL, 0, err) < 0 ||
	    container_put_policy(c, p, err) < 0 || container_changes(&changes, &n, a, c, err) < 0)
		goto out;
	o = container_find_id(c, OBJ_POLICY, &p->id);
	if (!o) {
		err_set(err, ERR_ABSENT, "the policy is not in what was made of it");
		goto out;
	}
	if (objects_apply(s, key, changes, n, time(NULL), err) < 0 || objects_set_active(s, key, o->dn, err) < 0)
		goto out;
	snprintf(name, size, "'%.100s'", p->name);
	utf8_clean(name, "");
	rc = 0;
out:
	container_free(c);
	policy_free(p);
	return rc;
}

static int all_restore(const struct stored *st, struct store *s, struct arena *a, struct err *err)
{
	char persistent[128] = "none", local[128] = "none";

	if (store_begin(s, err) < 0)
		return -1;
	if (settings_save(s, &st->settings, err) == 0 &&
	    (!st->persistent || policy_restore(persistent, sizeof(persistent), s, REG_PERSISTENT, st->persistent, a, err) == 0) &&
	    (!st->local || policy_restore(local, sizeof(local), s, REG_LOCAL, st->local, a, err) == 0) &&
	    active_update(s, err) == 0 && store_commit(s, err) == 0) {
		printf("restored: settings; persistent policy %s; local policy %s\n"
		    "Policies that were not assigned are not in the boot image.\n", persistent, local);
		return 0;
	}
	store_rollback(s);
	return -1;
}

int cli_reg_restore(struct cli *c)
{
	struct stored st;
	struct store *s = NULL;
	struct arena *a = arena_new(0);
	struct err err = { 0 };
	bool running;
	int rc = -1;

	if (geteuid() != 0) {
		err_set(&err, ERR_DENIED, "reg restore is for root");
	} else if (!a) {
		err_nomem(&err);
	} else if (stored_load(&st, c->conf, &err) == 0) {
		if (st.lost.code == ERR_NONE)
			err_set(&err, ERR_ABSENT, "registry.db is all right: there is nothing to restore");
		else if (st.lost.code != ERR_ABSENT && st.lost.code != ERR_DAMAGED)
			err = st.lost;
		else if ((st.lost.code == ERR_ABSENT || registry_set_aside(c->conf->state_dir, &err) == 0) &&
		    (s = registry_open(c->conf->state_dir, STORE_WRITE, &err)))
			rc = all_restore(&st, s, a, &err);
		stored_free(&st);
	}
	store_close(s);
	arena_free(a);
	if (rc == 0 && stored_announce(c->conf, &running, &err) < 0) {
		err_prefix(&err, "restored, but not in force");
		rc = -1;
	}
	return rc < 0 ? cli_fail(&err) : EXIT_DONE;
}
