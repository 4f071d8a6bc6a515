/* What the daemon enforces: at start what is stored and cached, the same again, or with other sources;
 * block and startup mode. */
#include "agent/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>

#include "agent/answers_dynamic.h"
#include "agent/bootimage.h"
#include "agent/conf.h"
#include "agent/diag.h"
#include "agent/dynamic.h"
#include "agent/log.h"
#include "agent/negotiate.h"
#include "nft/protect.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/facts.h"
#include "schema/policy.h"

void daemon_context(struct refresh_context *c, struct daemon *d)
{
	*c = (struct refresh_context){ .conf = d->conf, .sources = &d->sources, .stored = &d->stored, .store = d->store, .store_new = d->store_new,
		.nl = d->nl, .protection = &d->protection, .found = d->found, .held = &d->held };
	d->protection.hold = negotiate_hold;
	d->protection.negotiator = d->negotiator;
	d->protection.before = negotiate_wanted(d->negotiator);
}

/* ---- block and startup mode ---- */

/* Nothing is negotiated in the modes without a policy. */
int daemon_table_apply(struct daemon *d, struct ruleset *want, struct err *err)
{
	struct apply_report rep;
	int rc;

	protection_none(&d->protection);
	rc = protection_down(&d->protection, NULL, err);
	if (rc == 0)
		rc = nlsock_apply(d->nl, want, &rep, NULL, err);
	if (rc == 0)
		negotiate_want(d->negotiator, NULL);
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
		rc = daemon_table_apply(d, want, err);
	facts_free(facts);
	return rc;
}

/* The startup mode, with a lifeline now: the directory has to be asked. */
int daemon_enforce_startup(struct daemon *d, struct err *err)
{
	const struct settings *s = &d->sources.settings;
	struct render_options o;
	struct host_facts *facts = NULL;
	struct ruleset *want = NULL;
	int rc = -1;

	sources_options(&o, &d->sources, d->conf);
	if (facts_all(&facts, d, err) == 0 && boot_render(&want, d->startup_block ? BOOT_BLOCK : BOOT_STATEFUL, s, facts, &o, err) == 0)
		rc = daemon_table_apply(d, want, err);
	facts_free(facts);
	return rc;
}

/* A policy should be enforced and cannot be, and nothing of it is in the kernel. */
void daemon_enter_block(struct daemon *d, const char *why)
{
	struct err err = { 0 };

	snprintf(d->block_why, sizeof(d->block_why), "%.255s", why);
	d->mode = MODE_BLOCK;
	d->source = SOURCE_NONE;
	d->block_open = enforce_block(d, &err) < 0;
	if (d->block_open)
		log_event(LOG_ALERT, "block-failed", NULL, "block mode could not be entered, the host may be OPEN: %s", err.msg);
	else
		log_event(LOG_CRIT, "block-mode", NULL, "everything is blocked: %s", why);
}

/* ---- what is enforced ---- */

void daemon_enforced(struct daemon *d, const struct refresh_report *r, enum daemon_source source)
{
	daemon_view_forget(d);
	d->blind = d->start_failed = d->block_unreadable = d->block_open = false;
	d->current = *r;
	d->mode = r->in_force == FORCE_NOTHING ? MODE_PERMIT : MODE_SECURE;
	d->source = r->in_force == FORCE_DOMAIN ? source : r->in_force == FORCE_LOCAL ? SOURCE_LOCAL : SOURCE_NONE;
	d->sched.polling = r->polling_seconds;
	daemon_negotiate(d);
}

void daemon_negotiate(struct daemon *d)
{
	if (d->protection.problem.code != ERR_NONE && strcmp(d->protection.problem.msg, d->unprotected.msg))
		log_event(LOG_ERR, "negotiate-problem", NULL, "%s", d->protection.problem.msg);
	d->unprotected = d->protection.problem;
	negotiate_logging(d->negotiator, d->sources.settings.ike_logging);
	negotiate_want(d->negotiator, d->protection.next);
	d->protection.next = NULL;
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

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static enum table table_kind(const char *comment)
{
	if (begins(comment, BOOT_COMMENT))
		return begins(comment + strlen(BOOT_COMMENT), "block") ? TABLE_STARTUP_BLOCK : TABLE_STARTUP;
	if (begins(comment, BLOCK_COMMENT))
		return TABLE_BLOCK;
	/* Of other stores it begins with the store's name. */
	return begins(comment, "policy ") || strstr(comment, "; policy ") ? TABLE_DOMAIN : TABLE_OWN;
}

enum table daemon_table(struct daemon *d)
{
	struct ruleset *have = NULL;
	struct err err;
	enum table t = TABLE_NONE;

	if (nlsock_fetch(d->nl, &have, &err) == 0 && have)
		t = table_kind(have->comment);
	ruleset_free(have);
	return t;
}

/* ---- again, and differently ---- */

static int enforce_now(struct daemon *d, struct refresh_report *r, struct err *err)
{
	struct refresh_context c;

	daemon_context(&c, d);
	return refresh_again(r, &c, err);
}

/* Modes without a policy; one whose table cannot be made and is not there must not stay open. */
static void renew_mode(struct daemon *d, const char *text)
{
	struct err err = { 0 };

	if (d->mode == MODE_BLOCK) {
		d->block_open = enforce_block(d, &err) < 0;
		if (d->block_open)
			log_event(LOG_ALERT, "block-failed", NULL, "block mode could not be renewed, the host may be OPEN: %s", err.msg);
	} else if (daemon_enforce_startup(d, &err) < 0) {
		log_event(LOG_CRIT, "kernel-refused", NULL, "%s, but the startup mode cannot be renewed: %s", text, err.msg);
		if (daemon_table(d) == TABLE_NONE)
			daemon_enter_block(d, err.msg);
	}
}

/* The same policy again: facts changed, or somebody removed our table. */
void daemon_enforce_again(struct daemon *d, const char *event, const char *text)
{
	struct refresh_report r = d->current;
	struct err err = { 0 };

	if (d->mode == MODE_PERMIT)
		return;
	if (d->mode != MODE_SECURE) {
		renew_mode(d, text);
		return;
	}
	if (d->blind || enforce_now(d, &r, &err) < 0) {
		if (d->blind)
			err_set(&err, ERR_ABSENT, "it is not known here");
		log_event(LOG_CRIT, "kernel-refused", NULL, "%s, but the policy cannot be applied: %s", text, err.msg);
		/* Nothing in the kernel, and nothing to put there: never open by accident. */
		if (daemon_table(d) == TABLE_NONE)
			daemon_enter_block(d, err.msg);
		return;
	}
	if (r.kernel.n_changes == 0) {
		daemon_negotiate(d);
		return;
	}
	daemon_enforced(d, &r, d->source);
	d->n_restored += !strcmp(event, "table-restored");
	daemon_log_policy(LOG_WARNING, event, &r, text);
}

void daemon_spoiled(void *cookie)
{
	struct daemon *d = cookie;
	const struct protect *p = negotiate_wanted(d->negotiator);
	struct spd_report rep = { 0 };
	struct err err = { 0 };

	if (!d->protection.x || !p)
		return;
	negotiate_hold(d->negotiator, p->spd);
	if (xfrmsock_install(d->protection.x, p->spd, &rep, NULL, &err) == 0)
		d->unprotected = (struct err){ 0 };
	if (err.code != ERR_NONE)
		log_event(LOG_CRIT, "kernel-refused", NULL, "somebody changed our IPsec policies, and they cannot be put back: %s", err.msg);
	else if (rep.n_added + rep.n_changed)
		log_event(LOG_WARNING, "policies-restored", NULL, "somebody changed our IPsec policies, %zu were put back", rep.n_added + rep.n_changed);
	d->n_restored += rep.n_added + rep.n_changed != 0;
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

	/* A dynamic rule is in the kernel, or refused. */
	if (d->mode == MODE_BLOCK)
		return d->persistent_failed || d->sources.n_dynamic || enforce_block(d, err) < 0 ?
		    err_set(err, ERR_BUSY, "everything is blocked, and stays so: %s", d->block_why) : 0;
	if (d->mode == MODE_STARTUP && !sources_any(&d->sources, false))
		return daemon_enforce_startup(d, err);
	if (d->blind && !sources_any(&d->sources, false))
		return err_set(err, ERR_BUSY, "the rules of an earlier run stay until the directory answers");
	if (enforce_now(d, &r, err) < 0)
		return -1;
	daemon_enforced(d, &r, d->source == SOURCE_DOMAIN ? SOURCE_DOMAIN : SOURCE_CACHE);
	return 0;
}

int daemon_sources_changed(struct daemon *d, struct err *err)
{
	struct sources old;

	daemon_view_forget(d);
	sources_init(&old);
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

int daemon_stored_changed(struct daemon *d, struct err *err)
{
	struct sources next, before = d->sources;
	struct stored stored;

	sources_init(&next);
	if (d->persistent_failed || d->start_failed)
		return daemon_start_again(d, err);
	if (stored_load(&stored, d->conf, err) < 0 || sources_load(&next, &stored, false, err) < 0)
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
