/* What the daemon does at its start: what is stored, cached, and left in the kernel by an earlier run. */
#include "agent/daemon.h"

#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>

#include "agent/bootimage.h"
#include "agent/conf.h"
#include "agent/diag.h"
#include "agent/log.h"
#include "nft/ruleset.h"

static void persistent_failure(struct daemon *d, const struct err *why)
{
	daemon_view_forget(d);
	sources_free(&d->sources);
	d->persistent_failed = true;
	d->trouble = *why;
	err_prefix(&d->trouble, "the persistent policy cannot be put in force");
	daemon_enter_block(d, d->trouble.msg);
}

/* A new store in the place of one that is damaged (why): the damaged file is kept beside it, and the
 * boot image takes its part. */
static int replace_store(struct daemon *d, const struct err *why, struct err *err)
{
	log_event(LOG_CRIT, "store-damaged", NULL, "%s; it is set aside, the boot image takes its part", why->msg);
	store_close(d->store);
	d->store = NULL;
	if (store_set_aside(d->conf->state_dir, err) < 0)
		return -1;
	d->store = store_open(d->conf->state_dir, STORE_WRITE, err);
	return d->store ? 0 : -1;
}

static int restore(struct daemon *d, struct refresh_report *r, const struct err *store_err, struct err *err)
{
	struct refresh_context c;
	struct err why;

	if (d->store) {
		daemon_context(&c, d);
		if (refresh_restore(r, &c, err) == 0)
			return 0;
		/* A new store is not damaged: then it is the image. */
		if (err->code != ERR_DAMAGED || d->store_new)
			return -1;
	}
	why = d->store ? *err : *store_err;
	if (replace_store(d, &why, err) < 0)
		return -1;
	daemon_context(&c, d);
	if (refresh_restore_image(r, &c, err) == 0)
		return 0;
	/* Without an image it is the damage that has to be told. */
	if (err->code == ERR_ABSENT)
		*err = why;
	return -1;
}

/* Is it the persistent policy that cannot be enforced?  By itself it tells. */
static bool persistent_alone_fails(struct daemon *d, struct err *err)
{
	struct sources alone;
	struct ruleset *want = NULL;

	if (!d->sources.persistent)
		return false;
	sources_init(&alone);
	alone.settings = d->sources.settings;
	alone.persistent = d->sources.persistent;
	return sources_render(&want, &alone, d->conf, NULL, "", "", d->found, err) < 0 || daemon_table_apply(d, want, err) < 0;
}

/* The table of an earlier run stays until something is known. */
static void keep_blindly(struct daemon *d)
{
	d->mode = MODE_SECURE;
	d->source = SOURCE_CACHE;
	d->blind = true;
}

static void start_failed(struct daemon *d, enum table before, const struct err *err)
{
	struct err why = { 0 };

	if (persistent_alone_fails(d, &why)) {
		persistent_failure(d, &why);
	} else if (before == TABLE_DOMAIN && !d->sources.persistent) {
		log_event(LOG_CRIT, "cache-failed", NULL, "the cached policy cannot be applied, the rules in the kernel stay: %s", err->msg);
		keep_blindly(d);
		d->trouble = *err;
	} else {
		daemon_enter_block(d, err->msg);
		d->start_failed = true;
		d->trouble = *err;
	}
}

/* Nothing is known, and nothing is stored. */
static void started_empty(struct daemon *d, enum table before)
{
	struct err err = { 0 };

	if (before == TABLE_STARTUP || before == TABLE_STARTUP_BLOCK) {
		d->mode = MODE_STARTUP;
		d->startup_block = before == TABLE_STARTUP_BLOCK;
		if (daemon_enforce_startup(d, &err) < 0)
			log_event(LOG_CRIT, "kernel-refused", NULL, "the lifeline cannot be added to the startup mode: %s", err.msg);
		else
			log_event(LOG_NOTICE, "startup-mode", NULL, "nothing is known of a policy yet: the startup mode stays until the directory answers");
	} else if (before == TABLE_DOMAIN) {
		keep_blindly(d);
		log_event(LOG_WARNING, "cache-empty", NULL, "no policy is cached; the rules of an earlier run stay in the kernel until the directory answers");
	} else if (before == TABLE_BLOCK && d->conf->block_on_unreadable) {
		daemon_enter_block(d, "it was before the service started, and the directory has not answered since");
		d->block_unreadable = true;
	} else {
		/* Without a table there may still be the guard of a run that was killed. */
		if (daemon_table_apply(d, NULL, &err) < 0)
			log_event(LOG_ERR, "kernel-refused", NULL, "the rules of an earlier run cannot be removed: %s", err.msg);
		log_event(LOG_INFO, "cache-empty", NULL, "no policy is cached");
	}
}

static void started(struct daemon *d, const struct refresh_report *r, enum table before)
{
	struct err err = { 0 };

	if (r->n_damaged)
		log_event(LOG_ERR, "store-damaged", NULL, "%zu newer generations of the cache are damaged, generation %llu is used",
		    r->n_damaged, (unsigned long long)r->generation);
	daemon_enforced(d, r, SOURCE_CACHE);
	/* Also when it says nothing: the boot unit takes a missing one for lost. */
	if (bootimage_update(d->conf, &d->stored, NULL, 0, &err) < 0)
		log_event(LOG_ERR, "cache-failed", NULL, "the boot image cannot be written: %s", err.msg);
	if (r->in_force != FORCE_NOTHING)
		daemon_log_policy(LOG_NOTICE, r->in_force == FORCE_DOMAIN ? "cache-enforced" : "policy-applied", r,
		    r->in_force == FORCE_DOMAIN ? "cached policy enforced" : "enforced at start");
	else if (!r->known)
		started_empty(d, before);
	else
		log_event(LOG_INFO, "cache-empty", NULL, "no policy is cached");
}

static int take_stored(struct daemon *d, struct err *err)
{
	struct err ignored;

	if (stored_load(&d->stored, d->conf, err) < 0 || sources_load(&d->sources, &d->stored, true, err) < 0)
		return -1;
	if (d->stored.lost.code != ERR_NONE)
		log_event(LOG_CRIT, "registry-damaged", NULL, "%s", d->stored.lost.msg);
	if (stored_create(&d->stored, d->conf, &ignored) < 0)
		log_warn("an empty registry.db could not be made: %s", ignored.msg);
	return 0;
}

void daemon_start_from_cache(struct daemon *d, const struct err *store_err)
{
	enum table before = daemon_table(d);
	struct refresh_report r;
	struct err err = { 0 };

	d->persistent_failed = false;
	if (take_stored(d, &err) < 0) {
		persistent_failure(d, &err);
		if (!d->store && replace_store(d, store_err, &err) < 0)
			d->trouble = err;
	} else if (restore(d, &r, store_err, &err) < 0) {
		start_failed(d, before, &err);
	} else {
		started(d, &r, before);
	}
}

void daemon_start_without_store(struct daemon *d)
{
	enum table before = daemon_table(d);
	struct refresh_context c;
	struct refresh_report r;
	struct err err = { 0 };

	if (take_stored(d, &err) < 0) {
		persistent_failure(d, &err);
		return;
	}
	daemon_context(&c, d);
	if (refresh_restore_image(&r, &c, &err) == 0)
		started(d, &r, before);
	else if (before != TABLE_DOMAIN && before != TABLE_OWN)
		daemon_enter_block(d, err.msg);
}

int daemon_start_again(struct daemon *d, struct err *err)
{
	daemon_view_forget(d);
	stored_free(&d->stored);
	sources_free(&d->sources);
	daemon_start_from_cache(d, NULL);
	if (!d->store) {
		sd_event_exit(d->ev, 1);
		return err_set(err, ERR_SYSTEM, "%s", d->trouble.msg);
	}
	if (d->mode == MODE_BLOCK)
		return err_set(err, ERR_KERNEL, "everything is blocked: %s", d->block_why);
	diag_update(d);
	return bootimage_update(d->conf, &d->stored, NULL, 0, err);
}
