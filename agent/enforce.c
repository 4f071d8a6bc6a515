/* What the daemon enforces: the cached policy at start, the held one again, block mode. */
#include "agent/daemon.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "agent/conf.h"
#include "agent/log.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/facts.h"

void daemon_context(struct refresh_context *c, struct daemon *d)
{
	*c = (struct refresh_context){ .conf = d->conf, .store = d->store, .nl = d->nl, .found = d->found, .held = &d->held };
}

/* ---- block mode ---- */

static int enforce_block(struct daemon *d, struct err *err)
{
	struct render_options o = { .ipsecexempt = d->conf->ipsecexempt, .lifeline = d->conf->lifeline };
	struct apply_report rep;
	struct ruleset *want = NULL;
	int rc = -1;

	if (block_render(&want, d->block_why, d->found, &o, err) == 0)
		rc = nlsock_apply(d->nl, want, &rep, NULL, err);
	ruleset_free(want);
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

/* ---- what is enforced ---- */

void daemon_enforced(struct daemon *d, const struct refresh_report *r, enum daemon_source source)
{
	d->current = *r;
	if (r->outcome == REFRESH_NONE) {
		d->mode = MODE_PERMIT;
		d->source = SOURCE_NONE;
	} else {
		d->mode = MODE_SECURE;
		d->source = source;
	}
	d->sched.polling = r->polling_seconds;
}

void daemon_log_policy(int priority, const char *event, const struct refresh_report *r, const char *text)
{
	char gen[24];
	const char *const fields[] = { "POLICY", r->policy, "GPO", r->gpo, "GENERATION", gen, NULL };

	snprintf(gen, sizeof(gen), "%llu", (unsigned long long)r->generation);
	log_event(priority, event, fields, "%s: policy %s by GPO %s, generation %s, %zu changes in the kernel", text,
	    r->policy, r->gpo, gen, r->kernel.n_changes);
}

static bool table_exists(struct daemon *d)
{
	struct ruleset *have = NULL;
	struct err err;
	bool there = nlsock_fetch(d->nl, &have, &err) == 0 && have;

	ruleset_free(have);
	return there;
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

/* Once, at start: the cached generation, before anything is asked of the network.
 * *err: why the store could not be opened, if it could not. */
void daemon_start_from_cache(struct daemon *d, struct err *err)
{
	struct refresh_report r;

	if (restore(d, &r, err) < 0) {
		if (table_exists(d)) {
			log_event(LOG_CRIT, "cache-failed", NULL, "the cached policy cannot be applied, the rules in the kernel stay: %s", err->msg);
			d->mode = MODE_SECURE;
			d->source = SOURCE_CACHE;
		} else {
			enter_block(d, err->msg);
		}
		d->trouble = *err;
		return;
	}
	if (r.n_damaged)
		log_event(LOG_ERR, "store-damaged", NULL, "%zu newer generations of the cache are damaged, generation %llu is used",
		    r.n_damaged, (unsigned long long)r.generation);
	daemon_enforced(d, &r, SOURCE_CACHE);
	if (r.outcome != REFRESH_NONE)
		daemon_log_policy(LOG_NOTICE, "cache-enforced", &r, "cached policy enforced");
	else
		log_event(LOG_INFO, "cache-empty", NULL, "no policy is cached");
}

/* The same policy again: facts changed, or somebody removed our table. */
void daemon_enforce_again(struct daemon *d, const char *event, const char *text)
{
	struct refresh_report r = d->current;
	struct refresh_context c;
	struct err err = { 0 };

	if (d->mode == MODE_PERMIT)
		return;
	if (d->mode == MODE_BLOCK) {
		if (enforce_block(d, &err) < 0)
			log_event(LOG_ALERT, "block-failed", NULL, "block mode could not be renewed: %s", err.msg);
		return;
	}
	daemon_context(&c, d);
	if (refresh_again(&r, &c, &err) < 0) {
		log_event(LOG_CRIT, "kernel-refused", NULL, "%s, but the policy cannot be applied: %s", text, err.msg);
		/* Nothing in the kernel, and nothing to put there: never open by accident. */
		if (!table_exists(d))
			enter_block(d, err.msg);
		return;
	}
	if (r.kernel.n_changes == 0)
		return;
	daemon_enforced(d, &r, d->source);
	d->n_restored += !strcmp(event, "table-restored");
	daemon_log_policy(LOG_WARNING, event, &r, text);
}
