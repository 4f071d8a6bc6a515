/* What the daemon enforces: at start what is stored and cached, the same again, or with other sources;
 * block and startup mode. */
#include "agent/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "agent/bootimage.h"
#include "agent/conf.h"
#include "agent/diag.h"
#include "agent/dynamic.h"
#include "agent/log.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/facts.h"
#include "schema/policy.h"

void daemon_context(struct refresh_context *c, struct daemon *d)
{
	*c = (struct refresh_context){ .conf = d->conf, .sources = &d->sources, .stored = &d->stored, .store = d->store,
		.nl = d->nl, .found = d->found, .held = &d->held };
}

/* ---- block and startup mode ---- */

static int table_apply(struct daemon *d, struct ruleset *want, struct err *err)
{
	struct apply_report rep;
	int rc = nlsock_apply(d->nl, want, &rep, NULL, err);

	ruleset_free(want);
	return rc;
}

static int facts_all(struct host_facts **ret, struct daemon *d, struct err *err)
{
	return refresh_facts(ret, d->found, d->held.parts, d->held.n_parts, err);
}

/* When it is the persistent policy that failed, not even the lifeline stays: nothing else in force
 * could say what may pass. */
static int enforce_block(struct daemon *d, struct err *err)
{
	struct render_options o;
	struct host_facts *facts = NULL;
	struct ruleset *want = NULL;
	int rc = -1;

	sources_options(&o, &d->sources, d->conf);
	if (facts_all(&facts, d, err) == 0 &&
	    block_render(&want, d->block_why, d->persistent_failed ? NULL : facts, &o, err) == 0)
		rc = table_apply(d, want, err);
	facts_free(facts);
	return rc;
}

/* The startup mode, with a lifeline now: the directory has to be asked. */
static int enforce_startup(struct daemon *d, struct err *err)
{
	const struct settings *s = &d->sources.settings;
	struct render_options o;
	struct host_facts *facts = NULL;
	struct ruleset *want = NULL;
	int rc = -1;

	sources_options(&o, &d->sources, d->conf);
	if (facts_all(&facts, d, err) == 0 && boot_render(&want, s->boot_mode, s, facts, &o, err) == 0)
		rc = table_apply(d, want, err);
	facts_free(facts);
	return rc;
}

/* A policy should be enforced and cannot be, and nothing of it is in the kernel. */
static void enter_block(struct daemon *d, const char *why)
{
	struct err err = { 0 };

	snprintf(d->block_why, sizeof(d->block_why), "%.255s", why);
	d->mode = MODE_BLOCK;
	d->source = SOURCE_NONE;
	if (enforce_block(d, &err) < 0)
		log_event(LOG_ALERT, "block-failed", NULL, "block mode could not be entered, the host may be OPEN: %s", err.msg);
	else
		log_event(LOG_CRIT, "block-mode", NULL, "everything is blocked: %s", why);
}

static void persistent_failure(struct daemon *d, const struct err *why)
{
	daemon_view_forget(d);
	sources_free(&d->sources);
	d->persistent_failed = true;
	d->trouble = *why;
	err_prefix(&d->trouble, "the persistent policy cannot be put in force");
	enter_block(d, d->trouble.msg);
}

/* ---- what is enforced ---- */

void daemon_enforced(struct daemon *d, const struct refresh_report *r, enum daemon_source source)
{
	daemon_view_forget(d);
	d->blind = false;
	d->current = *r;
	d->mode = r->in_force == FORCE_NOTHING ? MODE_PERMIT : MODE_SECURE;
	d->source = r->in_force == FORCE_DOMAIN ? source : r->in_force == FORCE_LOCAL ? SOURCE_LOCAL : SOURCE_NONE;
	d->sched.polling = r->polling_seconds;
}

void daemon_log_policy(int priority, const char *event, const struct refresh_report *r, const char *text)
{
	char gen[24];
	const char *const fields[] = { "POLICY", r->policy, "GPO", r->gpo, "GENERATION", gen, NULL };

	snprintf(gen, sizeof(gen), "%llu", (unsigned long long)r->generation);
	if (r->in_force == FORCE_DOMAIN)
		log_event(priority, event, fields, "%s: policy %s by GPO %s, generation %s, %zu changes in the kernel", text,
		    r->policy, r->gpo, gen, r->kernel.n_changes);
	else
		log_event(priority, event, fields, "%s: %s%s, %zu changes in the kernel", text, r->in_force == FORCE_LOCAL ? "local policy " :
		    r->in_force == FORCE_OTHER ? "persistent policy and dynamic rules alone " : "no policy ", r->policy, r->kernel.n_changes);
}

#define DYNAMIC_COMMENT	"dynamic policy "	/* the dynamic store stands last: there is no other */

enum table { TABLE_NONE, TABLE_STARTUP, TABLE_DYNAMIC, TABLE_POLICY };

static enum table table_now(struct daemon *d)
{
	struct ruleset *have = NULL;
	struct err err;
	enum table t = TABLE_NONE;

	if (nlsock_fetch(d->nl, &have, &err) == 0 && have)
		t = !strncmp(have->comment, BOOT_COMMENT, strlen(BOOT_COMMENT)) ? TABLE_STARTUP :
		    !strncmp(have->comment, DYNAMIC_COMMENT, strlen(DYNAMIC_COMMENT)) ? TABLE_DYNAMIC : TABLE_POLICY;
	ruleset_free(have);
	return t;
}

/* The store, or a new one in the place of one that is damaged: the damaged file is kept
 * beside it, and the boot image takes its part.  *err says what was wrong. */
static int replace_store(struct daemon *d, struct err *err)
{
	struct err why = *err;

	log_event(LOG_CRIT, "store-damaged", NULL, "%s; it is set aside, the boot image takes its part", err->msg);
	store_close(d->store);
	d->store = NULL;
	if (store_set_aside(d->conf->state_dir, err) < 0)
		return -1;
	d->store = store_open(d->conf->state_dir, STORE_WRITE, err);
	if (!d->store)
		return -1;
	*err = why;
	return 0;
}

static int restore(struct daemon *d, struct refresh_report *r, struct err *err)
{
	struct refresh_context c;

	if (d->store) {
		daemon_context(&c, d);
		if (refresh_restore(r, &c, err) == 0)
			return 0;
		if (err->code != ERR_DAMAGED)
			return -1;
	}
	if (replace_store(d, err) < 0)
		return -1;
	daemon_context(&c, d);
	return refresh_restore_image(r, &c, err);
}

/* Is it the persistent policy that cannot be enforced?  By itself it tells. */
static bool persistent_alone_fails(struct daemon *d, struct err *err)
{
	struct sources alone = SOURCES_NONE;
	struct ruleset *want = NULL;

	if (!d->sources.persistent)
		return false;
	alone.settings = d->sources.settings;
	alone.persistent = d->sources.persistent;
	return sources_render(&want, &alone, d->conf, NULL, "", "", d->found, err) < 0 || table_apply(d, want, err) < 0;
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
	} else if (before == TABLE_POLICY && !d->sources.persistent) {
		log_event(LOG_CRIT, "cache-failed", NULL, "the cached policy cannot be applied, the rules in the kernel stay: %s", err->msg);
		keep_blindly(d);
		d->trouble = *err;
	} else {
		enter_block(d, err->msg);
		d->trouble = *err;
	}
}

static void started(struct daemon *d, const struct refresh_report *r, enum table before)
{
	struct err err = { 0 };

	if (r->n_damaged)
		log_event(LOG_ERR, "store-damaged", NULL, "%zu newer generations of the cache are damaged, generation %llu is used",
		    r->n_damaged, (unsigned long long)r->generation);
	daemon_enforced(d, r, SOURCE_CACHE);
	if (r->in_force != FORCE_NOTHING) {
		daemon_log_policy(LOG_NOTICE, r->in_force == FORCE_DOMAIN ? "cache-enforced" : "policy-applied", r,
		    r->in_force == FORCE_DOMAIN ? "cached policy enforced" : "enforced at start");
	} else if (!r->known && before == TABLE_STARTUP) {
		d->mode = MODE_STARTUP;
		if (enforce_startup(d, &err) < 0)
			log_event(LOG_CRIT, "kernel-refused", NULL, "the lifeline cannot be added to the startup mode: %s", err.msg);
		else
			log_event(LOG_NOTICE, "startup-mode", NULL, "nothing is known of a policy yet: the startup mode stays until the directory answers");
	} else if (!r->known && before == TABLE_POLICY) {
		keep_blindly(d);
		log_event(LOG_WARNING, "cache-empty", NULL, "no policy is cached; the rules of an earlier run stay in the kernel until the directory answers");
	} else {
		if (before == TABLE_DYNAMIC && table_apply(d, NULL, &err) < 0)
			log_event(LOG_ERR, "kernel-refused", NULL, "dynamic rules of an earlier run cannot be removed: %s", err.msg);
		log_event(LOG_INFO, "cache-empty", NULL, "no policy is cached");
	}
}

static int take_stored(struct daemon *d, struct err *err)
{
	struct err ignored;

	if (stored_load(&d->stored, d->conf, err) < 0 || sources_take(&d->sources, &d->stored, true, err) < 0)
		return -1;
	if (d->stored.lost.code != ERR_NONE)
		log_event(LOG_CRIT, "registry-damaged", NULL, "%s", d->stored.lost.msg);
	if (stored_create(&d->stored, d->conf, &ignored) < 0)
		log_warn("an empty registry.db could not be made: %s", ignored.msg);
	return 0;
}

void daemon_start_from_cache(struct daemon *d, struct err *err)
{
	enum table before = table_now(d);
	struct refresh_report r;

	d->persistent_failed = false;
	if (take_stored(d, err) < 0) {
		persistent_failure(d, err);
		if (!d->store)
			replace_store(d, err);
	} else if (restore(d, &r, err) < 0) {
		start_failed(d, before, err);
	} else {
		started(d, &r, before);
	}
}

/* ---- again, and differently ---- */

static int enforce_now(struct daemon *d, struct refresh_report *r, struct err *err)
{
	struct refresh_context c;

	daemon_context(&c, d);
	return refresh_again(r, &c, err);
}

/* The same policy again: facts changed, or somebody removed our table. */
void daemon_enforce_again(struct daemon *d, const char *event, const char *text)
{
	struct refresh_report r = d->current;
	struct err err = { 0 };

	if (d->mode == MODE_PERMIT)
		return;
	if (d->mode == MODE_BLOCK) {
		if (enforce_block(d, &err) < 0)
			log_event(LOG_ALERT, "block-failed", NULL, "block mode could not be renewed: %s", err.msg);
		return;
	}
	if (d->mode == MODE_STARTUP) {
		if (enforce_startup(d, &err) < 0)
			log_event(LOG_CRIT, "kernel-refused", NULL, "%s, but the startup mode cannot be renewed: %s", text, err.msg);
		return;
	}
	if (d->blind || enforce_now(d, &r, &err) < 0) {
		if (d->blind)
			err_set(&err, ERR_ABSENT, "it is not known here");
		log_event(LOG_CRIT, "kernel-refused", NULL, "%s, but the policy cannot be applied: %s", text, err.msg);
		/* Nothing in the kernel, and nothing to put there: never open by accident. */
		if (table_now(d) == TABLE_NONE)
			enter_block(d, err.msg);
		return;
	}
	if (r.kernel.n_changes == 0)
		return;
	daemon_enforced(d, &r, d->source);
	d->n_restored += !strcmp(event, "table-restored");
	daemon_log_policy(LOG_WARNING, event, &r, text);
}

/* ---- what is in force, for questions about it ---- */

void daemon_view_forget(struct daemon *d)
{
	filters_forget(d);
	free(d->view.sources);
	policy_free(d->view.domain);
	facts_free(d->view.facts);
	d->view.sources = NULL;
	d->view.domain = NULL;
	d->view.facts = NULL;
	d->view.n_sources = 0;
}

static int view_make(struct daemon *d, struct err *err)
{
	const struct gen_part *text = part_find(d->held.parts, d->held.n_parts, "policy");
	const struct gen_part *gpo = part_find(d->held.parts, d->held.n_parts, "gpo");
	const struct gen_part *name = part_find(d->held.parts, d->held.n_parts, "gpo-name");

	if (text && policy_read(&d->view.domain, text->text, text->len, err) < 0)
		return -1;
	return facts_all(&d->view.facts, d, err) < 0 ? -1 : sources_gather(&d->view.sources, &d->view.n_sources, &d->sources, d->view.domain,
	    gpo ? gpo->text : "", name ? name->text : "", err);
}

void daemon_view(struct daemon *d, struct daemon_view *ret)
{
	struct err err = { 0 };

	if (!d->view.sources && d->mode == MODE_SECURE && view_make(d, &err) < 0) {
		log_warn("what is in force cannot be told: %s", err.msg);
		daemon_view_forget(d);
	}
	*ret = (struct daemon_view){ .sources = d->view.sources, .n_sources = d->view.n_sources, .facts = d->view.facts,
		.ruleset = d->held.ruleset };
	sources_options(&ret->o, &d->sources, d->conf);
}

static int sources_enforce(struct daemon *d, struct err *err)
{
	struct refresh_report r = d->current;

	if (d->mode == MODE_BLOCK)
		return d->persistent_failed || enforce_block(d, err) < 0 ?
		    err_set(err, ERR_BUSY, "everything is blocked, and stays so: %s", d->block_why) : 0;
	if (d->mode == MODE_STARTUP && !sources_any(&d->sources, false))
		return enforce_startup(d, err);
	if (d->blind)
		return err_set(err, ERR_BUSY, "the rules of an earlier run stay until the directory answers");
	if (enforce_now(d, &r, err) < 0)
		return -1;
	daemon_enforced(d, &r, d->source == SOURCE_DOMAIN ? SOURCE_DOMAIN : SOURCE_CACHE);
	return 0;
}

int daemon_sources_changed(struct daemon *d, struct err *err)
{
	struct sources old = SOURCES_NONE;

	daemon_view_forget(d);
	old.dynamic = d->sources.dynamic;
	old.dynamic_hooks = d->sources.dynamic_hooks;
	old.n_dynamic = d->sources.n_dynamic;
	if (dynamic_policies(&d->sources.dynamic, &d->sources.dynamic_hooks, &d->sources.n_dynamic, d->dynamic, err) < 0)
		return -1;
	if (sources_enforce(d, err) == 0) {
		sources_free(&old);
		return 0;
	}
	dynamic_policies_free(d->sources.dynamic, d->sources.dynamic_hooks, d->sources.n_dynamic);
	d->sources.dynamic = old.dynamic;
	d->sources.dynamic_hooks = old.dynamic_hooks;
	d->sources.n_dynamic = old.n_dynamic;
	return -1;
}

/* The administrator has mended what failed, perhaps. */
static int start_again(struct daemon *d, struct err *err)
{
	daemon_view_forget(d);
	stored_free(&d->stored);
	sources_free(&d->sources);
	daemon_start_from_cache(d, err);
	if (d->persistent_failed)
		return err_set(err, ERR_KERNEL, "everything is blocked: %s", d->block_why);
	return 0;
}

int daemon_stored_changed(struct daemon *d, struct err *err)
{
	struct sources next = SOURCES_NONE, before = d->sources;
	struct stored stored;

	if (d->persistent_failed)
		return start_again(d, err);
	if (stored_load(&stored, d->conf, err) < 0 || sources_take(&next, &stored, false, err) < 0)
		return -1;
	daemon_view_forget(d);
	d->sources.local = next.local;
	d->sources.local_err = next.local_err;
	d->sources.settings = next.settings;
	if (daemon_sources_changed(d, err) < 0) {
		next.local = d->sources.local;
		d->sources.local = before.local;
		d->sources.local_err = before.local_err;
		d->sources.settings = before.settings;
		sources_free(&next);
		stored_free(&stored);
		return -1;
	}
	next.local = before.local;
	sources_free(&next);
	stored_free(&d->stored);
	d->stored = stored;
	diag_update(d);
	return bootimage_update(d->conf, &d->stored, NULL, 0, err);
}
