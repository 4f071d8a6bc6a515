/* What the daemon answers on its control socket.  The interface is described in
 * ctl_call.c (org.varlink.service.GetInterfaceDescription) and DESIGN. */
#include "agent/daemon.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/answers_dynamic.h"
#include "agent/conf.h"
#include "agent/diag.h"
#include "agent/negotiate.h"
#include "nft/protect.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/facts.h"
#include "schema/policy.h"

static json_t *when(int64_t t)
{
	char buf[32];
	time_t tt = (time_t)t;
	struct tm tm;

	if (!t || !gmtime_r(&tt, &tm))
		return json_null();
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(buf);
}

static json_t *text_or_null(const char *s)
{
	json_t *j = *s ? json_string(s) : NULL;

	return j ? j : json_null();
}

static json_t *next_refresh(const struct daemon *d)
{
	int64_t due = schedule_due(&d->sched), now = boottime_now();

	if (due == INT64_MAX)
		return json_null();
	return json_integer(due > now ? due - now : 0);
}

static const char *result_name(const struct daemon *d)
{
	switch (d->condition) {
	case COND_START:	return "none yet";
	case COND_OK:		return "ok";
	case COND_UNCACHED:	return "enforced, not cached";
	case COND_OFFLINE:	return "offline";
	case COND_REFUSED:	return "policy refused";
	case COND_KERNEL:	return "kernel refused";
	}
	return "unknown";
}

static void store_add(json_t *list, const char *store, const struct policy_size *p)
{
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:i, s:i, s:i}", "store", store, "policy", p->name, "id", p->id,
	    "rules", (int)p->n_rules, "filters", (int)p->n_filters, "required", (int)p->n_required));
}

static void policy_add(json_t *list, const char *store, const struct ipsec_policy *p)
{
	struct policy_size size;

	if (!p)
		return;
	policy_measure(&size, p);
	store_add(list, store, &size);
}

/* What is in force, strongest store first. */
static json_t *status_stores(const struct daemon *d)
{
	json_t *list = json_array();

	if (d->mode != MODE_SECURE)
		return list;
	for (size_t i = 0; i < d->sources.n_dynamic; i++)
		policy_add(list, "dynamic", d->sources.dynamic[i]);
	policy_add(list, "persistent", d->sources.persistent);
	if (*d->current.domain.id)
		store_add(list, "domain", &d->current.domain);
	else
		policy_add(list, "local", d->sources.local);
	return list;
}

/* filters: those that demand protection. */
static json_t *status_negotiate(const struct daemon *d)
{
	const struct protect *wanted = negotiate_wanted(d->negotiator);
	json_t *stores = status_stores(d), *problems = negotiate_problems_json(d->negotiator);
	struct negotiate_status s;
	json_int_t n = 0;

	for (size_t i = 0; i < json_array_size(stores); i++)
		n += json_integer_value(json_object_get(json_array_get(stores, i), "required"));
	json_decref(stores);
	negotiate_status(d->negotiator, &s);
	return json_pack("{s:I, s:s, s:b, s:o, s:{s:I, s:I, s:I}, s:I, s:I, s:o, s:o}", "filters", n,
	    "state", negotiate_state_name(s.state), "ike", s.state == NEGOTIATE_READY, "daemon", text_or_null(s.daemon),
	    "connections", "wanted", (json_int_t)s.n_wanted, "loaded", (json_int_t)s.n_loaded, "failed", (json_int_t)s.n_failed,
	    "pinned_peers", (json_int_t)s.n_pinned,
	    "policies", (json_int_t)(wanted && d->protection.x ? wanted->spd->n_policies : 0),
	    "problem", text_or_null(d->unprotected.code != ERR_NONE ? d->unprotected.msg : s.why.code != ERR_NONE ? s.why.msg : ""),
	    "problems", problems ? problems : json_array());
}

static json_t *status_startup(const struct daemon *d)
{
	const struct settings *s = &d->stored.settings;
	bool assigned = d->stored.persistent || d->stored.local || part_find(d->held.parts, d->held.n_parts, "policy");
	enum boot_mode m = s->boot_mode != BOOT_AUTO ? s->boot_mode : assigned ? BOOT_STATEFUL : BOOT_PERMIT;
	char configured[SETTING_TEXT], exemptions[SETTING_TEXT];

	setting_text(s, SET_BOOTMODE, configured);
	setting_text(s, SET_BOOTEXEMPTIONS, exemptions);
	return json_pack("{s:o, s:s, s:s, s:s}", "current", d->mode != MODE_STARTUP ? json_null() : json_string(d->startup_block ? "block" : "stateful"),
	    "next", m == BOOT_PERMIT ? "permit" : m == BOOT_BLOCK ? "block" : "stateful",
	    "configured", configured, "exemptions", exemptions);
}

/* One sentence. */
static const char *mode_reason(const struct daemon *d)
{
	if (d->blind)
		return "the rules of an earlier run stay in the kernel until the directory answers";
	switch (d->mode) {
	case MODE_BLOCK:
		return d->block_open ? "block mode could not be put into the kernel: the host may be OPEN" : d->block_why;
	case MODE_STARTUP:
		return "nothing is known of a policy yet: the startup mode stays until the directory answers";
	case MODE_PERMIT:
		return d->last_good ? "no policy is assigned to this computer, and none is stored here" : "no policy is known yet";
	case MODE_SECURE:
		break;
	}
	switch (d->current.in_force) {
	case FORCE_DOMAIN:
		return d->source == SOURCE_DOMAIN ? "the domain assigns this policy" : "the domain assigned this policy; the directory has not answered since";
	case FORCE_LOCAL:
		return d->last_good ? "the domain assigns no policy: the local one is used" : "no policy of the domain is known: the local one is used";
	case FORCE_OTHER:
		return "persistent policy or dynamic rules alone: no policy of the domain and no local one";
	case FORCE_NOTHING:
		break;
	}
	return "";
}

static json_t *status_enforced(const struct daemon *d)
{
	const struct refresh_report *r = &d->current;
	bool on = d->mode == MODE_SECURE;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}",
	    "stores", status_stores(d),
	    "policy", text_or_null(on ? r->policy : ""),
	    "gpo", text_or_null(on ? r->gpo : ""),
	    "generation", on && r->generation ? json_integer((json_int_t)r->generation) : json_null(),
	    "taken", when(on ? r->taken : 0),
	    "age_seconds", on && r->taken ? json_integer(time(NULL) - r->taken) : json_null());
}

static json_t *status_exempt(const struct daemon *d)
{
	static const char *const words[] = {
		"multicast, broadcast, RSVP, Kerberos, IKE", "multicast, broadcast, IKE",
		"RSVP, Kerberos, IKE", "IKE; inbound multicast and broadcast",
	};
	struct render_options o;
	unsigned n;

	sources_options(&o, &d->sources, d->conf);
	n = o.ipsecexempt <= 3 ? o.ipsecexempt : 3;

	return json_pack("{s:i, s:s, s:b}", "ipsecexempt", (int)n, "exempt", words[n], "lifeline", d->conf->lifeline);
}

/* Of what the administrator stored, what cannot be used now or at the next start. */
static const char *registry_problem(const struct daemon *d)
{
	if (d->stored.lost.code != ERR_NONE)
		return d->stored.lost.msg;
	if (d->stored.local_err.code != ERR_NONE)
		return d->stored.local_err.msg;
	return d->stored.persistent_err.code != ERR_NONE ? d->stored.persistent_err.msg : "";
}

static json_t *status_json(const struct daemon *d)
{
	json_t *last = json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:I, s:I}",
	    "result", d->worker ? "running" : result_name(d),
	    "error", text_or_null(d->trouble.code != ERR_NONE ? d->trouble.msg : ""),
	    "tried", when(d->last_try), "succeeded", when(d->last_good),
	    "server", text_or_null(d->server),
	    "why", sched_why_name(d->sched.why),
	    "objects_read", (json_int_t)d->memory.n_read, "objects_kept", (json_int_t)d->memory.n_kept);
	struct host_facts *all = NULL;
	struct err ignored;
	json_t *facts = NULL;

	if (refresh_facts(&all, d->found, d->held.parts, d->held.n_parts, &ignored) == 0)
		facts = facts_json(all);
	facts_free(all);
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:o, s:s, s:s, s:s}",
	    "mode", daemon_mode_name(d->mode),
	    "reason", mode_reason(d),
	    "source", daemon_source_name(d->source),
	    "enforced", status_enforced(d), "refresh", last,
	    "next_refresh_seconds", next_refresh(d),
	    "exemptions", status_exempt(d), "startup_mode", status_startup(d),
	    "negotiate", status_negotiate(d), "registry_problem", text_or_null(registry_problem(d)),
	    "failures", (int)d->sched.failures,
	    "table_restored", (int)d->n_restored,
	    "facts", facts ? facts : json_object(),
	    "computer", d->conf->computer, "directory", d->conf->uri,
	    "version", PACKAGE_VERSION);
}

void daemon_answer_waiting(struct daemon *d)
{
	for (size_t i = 0; i < d->n_waiting; i++)
		ctl_reply(d->waiting[i], status_json(d));
	d->n_waiting = 0;
}

/* ---- show ---- */

/* {"text": ...} and, where there is one, {"json": ...}. */
static json_t *answer_of(const char *text, json_t *json)
{
	json_t *r = json_pack("{s:s}", "text", text);

	if (r && json)
		json_object_set_new(r, "json", json);
	else
		json_decref(json);
	return r;
}

static json_t *written(int (*write)(const void *value, FILE *out), const void *value, json_t *json, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	json_t *r = NULL;
	bool ok = out && write(value, out) == 0;

	if (out && fclose(out) == 0 && ok)
		r = answer_of(text, json);
	else
		json_decref(json);
	free(text);
	if (!r)
		err_nomem(err);
	return r;
}

static int write_policy(const void *p, FILE *out)
{
	return policy_write(p, POLICY_SHOWN, out);
}

static int write_ruleset(const void *r, FILE *out)
{
	return ruleset_write(r, out);
}

static int write_spd(const void *s, FILE *out)
{
	return spd_write(s, out);
}

static int write_ike(const void *c, FILE *out)
{
	return ike_write(c, out);
}

static int write_facts(const void *f, FILE *out)
{
	return facts_write(f, out);
}

static json_t *show_policy(const struct daemon *d, const struct generation *g, struct err *err)
{
	const struct gen_part *part = generation_part(g, "policy");
	struct ipsec_policy *p = NULL;
	json_t *r;

	if (!part && d->sources.local && d->mode == MODE_SECURE)
		return written(write_policy, d->sources.local, policy_json(d->sources.local), err);
	if (!part || policy_read(&p, part->text, part->len, err) < 0)
		return NULL;
	r = written(write_policy, p, policy_json(p), err);
	policy_free(p);
	return r;
}

static json_t *show_ruleset(const struct daemon *d, const struct generation *g, struct err *err)
{
	struct ruleset *r = NULL;
	json_t *j = NULL;

	if (refresh_render(&r, NULL, d->conf, &d->sources, d->found, g->parts, g->n_parts, err) == 0 && r)
		j = written(write_ruleset, r, ruleset_json(r), err);
	ruleset_free(r);
	return j;
}

static json_t *show_facts(const struct daemon *d, const struct generation *g, struct err *err)
{
	struct host_facts *f = NULL;
	json_t *j;

	if (refresh_facts(&f, d->found, g->parts, g->n_parts, err) < 0)
		return NULL;
	j = written(write_facts, f, facts_json(f), err);
	facts_free(f);
	return j;
}

static json_t *show(const struct daemon *d, const char *what, struct err *err)
{
	struct generation g = { 0 };
	struct arena *a = arena_new(0);
	const struct gen_part *part, *json;
	size_t n_damaged = 0;
	const struct protect *p = negotiate_wanted(d->negotiator);
	json_t *r = NULL;
	int found;

	if (!a) {
		err_nomem(err);
		return NULL;
	}
	found = generation_load(d->store, &g, &n_damaged, a, err);
	if (found < 0)
		goto out;
	err_set(err, ERR_ABSENT, "no policy is enforced, so there is no %s to show (see 'ipsecpol status'); "
	    "'ipsecpol show %s --directory URI' asks the directory", what, what);
	if (!strcmp(what, "facts")) {
		r = show_facts(d, &g, err);
	} else if (!strcmp(what, "policy")) {
		r = show_policy(d, &g, err);
	} else if (!strcmp(what, "ruleset")) {
		r = show_ruleset(d, &g, err);
	} else if (!strcmp(what, "spd")) {
		r = p ? written(write_spd, p->spd, spd_json(p->spd), err) : NULL;
	} else if (!strcmp(what, "ike")) {
		r = p ? written(write_ike, p->ike, ike_json(p->ike), err) : NULL;
	} else if (!strcmp(what, "rsop") || !strcmp(what, "snapshot")) {
		part = generation_part(&g, what);
		json = !strcmp(what, "rsop") ? generation_part(&g, "rsop.json") : NULL;
		if (part)
			r = answer_of(part->text, json ? json_loads(json->text, 0, NULL) : NULL);
	} else {
		err_set(err, ERR_FORMAT, "'%s' is not one of snapshot, rsop, policy, ruleset, spd, ike, facts", what);
	}
out:
	arena_free(a);
	return r;
}

/* ---- calls ---- */

static void call_show(struct ctl_call *call, const struct daemon *d, json_t *parameters)
{
	const char *what = json_string_value(json_object_get(parameters, "what"));
	struct err err = { 0 };
	json_t *r;

	if (!what) {
		ctl_error(call, "InvalidParameter", "parameter 'what' is missing");
		return;
	}
	r = show(d, what, &err);
	if (r)
		ctl_reply(call, r);
	else
		ctl_error(call, "Failed", "%s", err.msg);
}

static void call_stored_changed(struct ctl_call *call, struct daemon *d)
{
	struct err err = { 0 };

	if (daemon_stored_changed(d, &err) < 0)
		ctl_error(call, "Failed", "%s", err.msg);
	else
		ctl_reply(call, status_json(d));
}

static void call_refresh(struct ctl_call *call, struct daemon *d)
{
	if (d->n_waiting == sizeof(d->waiting) / sizeof(d->waiting[0])) {
		ctl_error(call, "Failed", "too many callers wait for a refresh");
		return;
	}
	d->waiting[d->n_waiting++] = call;
	daemon_ask_refresh(d);
}

static void call_stop(struct ctl_call *call, struct daemon *d)
{
	struct err err = { 0 };

	if (daemon_permit(d, &err) < 0)
		ctl_error(call, "Failed", "%s", err.msg);
	else
		ctl_reply(call, json_object());
}

void daemon_answer(struct ctl_call *call, const char *method, json_t *parameters, uid_t peer, void *cookie)
{
	struct daemon *d = cookie;

	if (!strcmp(method, "org.ipsecpol.Status"))
		ctl_reply(call, status_json(d));
	else if (peer != 0 && peer != geteuid())
		ctl_error(call, "PermissionDenied", "%s is for root", method);
	else if (!strcmp(method, "org.ipsecpol.Show"))
		call_show(call, d, parameters);
	else if (!strcmp(method, "org.ipsecpol.Refresh"))
		call_refresh(call, d);
	else if (!strcmp(method, "org.ipsecpol.StoreChanged"))
		call_stored_changed(call, d);
	else if (!strcmp(method, "org.ipsecpol.Dynamic"))
		answer_dynamic(d, call, parameters);
	else if (!strcmp(method, "org.ipsecpol.DynamicShow"))
		answer_dynamic_show(d, call, parameters);
	else if (!strcmp(method, "org.ipsecpol.Config"))
		answer_config(d, call);
	else if (!strcmp(method, "org.ipsecpol.Filters"))
		answer_filters(d, call, parameters);
	else if (!strcmp(method, "org.ipsecpol.Drops"))
		diag_drops(d, call, parameters);
	else if (!strcmp(method, "org.ipsecpol.Stop"))
		call_stop(call, d);
	else
		ctl_method_unknown(call, method);
}
