/* The dynamic context and the settings. */
#include "agent/answers_dynamic.h"

#include <jansson.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "agent/answers_json.h"
#include "agent/ctl.h"
#include "agent/daemon.h"
#include "agent/diag.h"
#include "agent/dynamic.h"
#include "agent/log.h"
#include "agent/netsh.h"
#include "agent/random.h"
#include "schema/arena.h"
#include "schema/settings.h"

#define ARENA_MAX	(16u << 20)	/* what one call may take to parse */

/* ---- commands ---- */

static int command_run(struct dynamic *d, struct arena *a, const char *text, struct err *err)
{
	struct netsh_args args;
	char **words = NULL;
	struct guid id;
	size_t n = 0;

	if (guid_random(&id, err) < 0 || netsh_split(&words, &n, a, text, strlen(text), err) < 0)
		return -1;
	if (!n)
		return err_set(err, ERR_FORMAT, "the command is empty");
	return netsh_parse(&args, a, NETSH_DYNAMIC, words, n, err) < 0 ? -1 : dynamic_run(d, &args, &id, err);
}

/* Either "command" or "commands", texts. */
static int commands_run(struct dynamic *d, const json_t *parameters, struct err *err)
{
	const json_t *one = json_object_get(parameters, "command"), *list = json_object_get(parameters, "commands");
	const size_t n = one ? 1 : json_array_size(list);
	struct arena *a = arena_new(ARENA_MAX);
	int rc = a ? 0 : err_nomem(err);

	if (!rc && !n)
		rc = err_set(err, ERR_FORMAT, "parameter 'command' is missing");
	for (size_t i = 0; !rc && i < n; i++) {
		const char *text = json_string_value(one ? one : json_array_get(list, i));

		rc = text ? command_run(d, a, text, err) : err_set(err, ERR_FORMAT, "a command is not a text");
		if (rc < 0 && n > 1)
			err_prefix(err, "command %zu", i + 1);
	}
	arena_free(a);
	return rc;
}

/* In the kernel, or as it was. */
static int dynamic_enforce(struct daemon *d, struct dynamic *want, struct err *err)
{
	struct dynamic *old = d->dynamic;
	struct err again;

	d->dynamic = want;
	if (daemon_sources_changed(d, err) == 0) {
		dynamic_free(old);
		return 0;
	}
	d->dynamic = old;
	/* Something of it may be in the kernel all the same, see nlsock_apply. */
	if (strstr(err->msg, "committed, but") && daemon_sources_changed(d, &again) < 0)
		log_event(LOG_ERR, "kernel-refused", NULL, "a dynamic rule could not be taken back: %s", again.msg);
	return -1;
}

void answer_dynamic(struct daemon *d, struct ctl_call *call, json_t *parameters)
{
	struct dynamic *want = dynamic_copy(d->dynamic);
	struct err err = { 0 };

	if (!want)
		err_nomem(&err);
	else if (commands_run(want, parameters, &err) == 0 && dynamic_enforce(d, want, &err) == 0) {
		log_event(LOG_NOTICE, "dynamic-changed", NULL, "the dynamic context was changed: %zu rules, %zu main mode and %zu quick mode policies",
		    want->n_rules, want->n_mms, want->n_qms);
		ctl_reply(call, json_pack("{s:I}", "rules", (json_int_t)want->n_rules));
		return;
	}
	dynamic_free(want);
	ctl_error(call, "Failed", "%s", err.msg);
}

/* ---- what there is ---- */

static json_t *mm_json(const struct dynamic_mm *m)
{
	const struct ipsec_isakmp isakmp = { .offers = m->offers, .n_offers = m->n_offers };

	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:o}", "id", guid_json(&m->id), "name", m->name,
	    "quick_mode_limit", (json_int_t)m->qm_limit, "lifetime_seconds", (json_int_t)m->life_seconds,
	    "soft_sa_seconds", (json_int_t)(m->soft_sa_seconds ? m->soft_sa_seconds : m->life_seconds),
	    "offers", mm_offers_json(&isakmp));
}

static json_t *qm_json(const struct dynamic_qm *q)
{
	return json_pack("{s:o, s:s, s:b, s:s, s:o}", "id", guid_json(&q->id), "name", q->name, "soft", (int)q->soft,
	    "pfs_group", dynamic_pfs_name(q->pfs), "offers", qm_offers_json(q->offers, q->n_offers));
}

static json_t *rule_json(const struct dynamic_rule *r)
{
	const struct ipsec_rule tunnel = { .tunnel = r->tunnel, .tunnel_end = r->tunnel_end };
	char src[IPSEC_ADDR_TEXT], dst[IPSEC_ADDR_TEXT];

	ipsec_addr_text(&r->filter.src, src);
	ipsec_addr_text(&r->filter.dst, dst);
	return json_pack("{s:o, s:s, s:s, s:i, s:o, s:o, s:b, s:s, s:o, s:s, s:s, s:s?, s:s?, s:o}",
	    "id", guid_json(&r->id), "src", src, "dst", dst, "protocol", (int)r->filter.protocol,
	    "src_port", ports_json(&r->filter.src_port), "dst_port", ports_json(&r->filter.dst_port),
	    "mirrored", (int)r->filter.mirrored, "conntype", ipsec_conntype_name(r->conntype), "tunnel", tunnel_json(&tunnel),
	    "inbound", ipsec_action_name(r->inbound), "outbound", ipsec_action_name(r->outbound),
	    "mmpolicy", r->mm, "qmpolicy", r->qm, "auth", auth_json(r->auth, r->n_auth));
}

void answer_dynamic_show(struct daemon *d, struct ctl_call *call, json_t *parameters)
{
	const char *what = json_string_value(json_object_get(parameters, "what"));
	static const struct dynamic nothing;
	const struct dynamic *y = d->dynamic ? d->dynamic : &nothing;
	json_t *list = json_array();
	const char *key = NULL;

	if (what && !strcmp(what, "mmpolicy")) {
		key = "mmpolicies";
		for (size_t i = 0; i < y->n_mms; i++)
			json_array_append_new(list, mm_json(&y->mms[i]));
	} else if (what && !strcmp(what, "qmpolicy")) {
		key = "qmpolicies";
		for (size_t i = 0; i < y->n_qms; i++)
			json_array_append_new(list, qm_json(&y->qms[i]));
	} else if (what && !strcmp(what, "rule")) {
		key = "rules";
		for (size_t i = 0; i < y->n_rules; i++)
			json_array_append_new(list, rule_json(&y->rules[i]));
	}
	if (key) {
		ctl_reply(call, json_pack("{s:o}", key, list));
		return;
	}
	json_decref(list);
	ctl_error(call, "InvalidParameter", "parameter 'what' is not one of mmpolicy, qmpolicy, rule");
}

/* ---- settings ---- */

void answer_config(struct daemon *d, struct ctl_call *call)
{
	const struct settings *s = &d->sources.settings;
	char text[SETTING_TEXT];
	json_t *all = json_object();

	for (int k = 0; k < N_SETTINGS; k++) {
		setting_text(s, (enum setting)k, text);
		json_object_set_new(all, setting_name((enum setting)k), json_string(text));
	}
	ctl_reply(call, json_pack("{s:o, s:i}", "settings", all, "diagnostics_level", (int)settings_diagnostics(s, time(NULL))));
}
