/* `dynamic set config`, `dynamic show config`: the service's settings, which stay. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/cli_text.h"
#include "agent/conf.h"
#include "agent/netsh.h"
#include "agent/sources.h"
#include "schema/settings.h"
#include "store/settings.h"
#include "store/store.h"

/* ---- set ---- */

/* An enum setting, or -1. */
static int setting_of(const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, "property");
	int k = v ? setting_find(v->text) : -1;

	if (!v)
		return err_set(err, ERR_FORMAT, "'property' is missing");
	return k >= 0 ? k : err_set(err, ERR_FORMAT, "'property': '%s' is not a property, or several begin so", v->text);
}

static int settings_edit(struct settings *s, enum setting k, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *value = netsh_arg(a, "value"), *until = netsh_arg(a, "until");

	if (!value)
		return err_set(err, ERR_FORMAT, "'value' is missing: %s", setting_values(k));
	if (until && k != SET_DIAGNOSTICS)
		return err_set(err, ERR_FORMAT, "'until' goes with property=ipsecdiagnostics, not with %s", setting_name(k));
	if (setting_parse(s, k, value->text, err) < 0)
		return k != SET_DIAGNOSTICS_UNTIL ? -1 : err_set(err, ERR_FORMAT, "'value': '%.40s' is not the seconds since 1970, none "
		    "or default; 'ipsecdiagnostics value=7 until=5min' is simpler", value->text);
	if (until && !s->diagnostics)
		return err_set(err, ERR_FORMAT, "'until' goes with diagnostics that are on, not with value=%s", value->text);
	/* A new level without an end does not end when an older one would have. */
	if (k == SET_DIAGNOSTICS)
		s->diagnostics_until = until ? (int64_t)time(NULL) + (int64_t)until->number : 0;
	return 0;
}

static int settings_store(struct cli *c, enum setting k, const struct netsh_args *a, struct settings *ret, struct err *err)
{
	struct store *reg = stored_edit_check(c->conf, err) < 0 ? NULL : registry_open(c->conf->state_dir, STORE_WRITE, err);
	int rc = -1;

	if (!reg)
		return -1;
	if (store_begin(reg, err) < 0)
		goto out;
	if (settings_load(ret, reg, err) == 0 && settings_edit(ret, k, a, err) == 0 && settings_save(reg, ret, err) == 0)
		rc = store_commit(reg, err);
	if (rc < 0)
		store_rollback(reg);
out:
	store_close(reg);
	return rc;
}

static const char *when_text(enum setting k, bool running)
{
	if (k == SET_BOOTMODE || k == SET_BOOTEXEMPTIONS)
		return "from the next start of the computer on";
	if (!running)
		return "when the service starts";
	return "now";
}

/* For people: seconds since 1970 as a date. */
static const char *setting_shown(enum setting k, const char *text, char out[static SETTING_TEXT])
{
	const time_t t = (time_t)strtoll(text, NULL, 10);
	struct tm tm;

	snprintf(out, SETTING_TEXT, "%s", text);
	if (k == SET_DIAGNOSTICS_UNTIL && t > 0 && gmtime_r(&t, &tm))
		strftime(out, SETTING_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

/* "bootmode = block (from the next start...)" */
static void setting_print(const struct settings *s, enum setting k, const char *when, FILE *out)
{
	char text[SETTING_TEXT], shown[SETTING_TEXT];

	setting_text(s, k, text);
	fprintf(out, "%s = %s (%s)\n", setting_name(k), setting_shown(k, text, shown), when);
}

int dynamic_set_config(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err)
{
	const int found = setting_of(a, err);
	const enum setting k = found < 0 ? SET_BOOTMODE : (enum setting)found;
	char text[SETTING_TEXT];
	bool running = false;
	struct settings s;

	if (found < 0 || settings_store(c, k, a, &s, err) < 0)
		return -1;
	if (stored_announce(c->conf, &running, err) < 0)
		return err_prefix(err, "%s is stored, but not in force", setting_name(k));
	if (c->json) {
		setting_text(&s, k, text);
		return json_print(json_pack("{s:s, s:s, s:s}", "property", setting_name(k), "value", text, "takes_effect",
		    when_text(k, running)), out, err);
	}
	setting_print(&s, k, when_text(k, running), out);
	if (k == SET_DIAGNOSTICS && s.diagnostics_until)
		setting_print(&s, SET_DIAGNOSTICS_UNTIL, when_text(k, running), out);
	return 0;
}

/* ---- show ---- */

/* No registry yet: the defaults. */
static int stored_settings(struct cli *c, struct settings *ret, struct err *err)
{
	struct store *reg = registry_open(c->conf->state_dir, STORE_READ, err);
	int rc;

	if (!reg && err->code != ERR_ABSENT)
		return -1;
	settings_default(ret);
	rc = reg ? settings_load(ret, reg, err) : 0;
	store_close(reg);
	return rc;
}

static int config_json(const struct settings *s, json_t *running, FILE *out, struct err *err)
{
	json_t *stored = json_object(), *used = json_object_get(running, "settings");
	char text[SETTING_TEXT];

	for (int k = 0; k < N_SETTINGS; k++) {
		setting_text(s, (enum setting)k, text);
		json_object_set_new(stored, setting_name((enum setting)k), json_string(text));
	}
	return json_print(json_pack("{s:o, s:o, s:o, s:b}", "stored", stored, "in_force", used ? json_incref(used) : json_null(),
	    "diagnostics_level", running ? json_incref(json_object_get(running, "diagnostics_level")) : json_null(),
	    "running", running != NULL), out, err);
}

int dynamic_show_config(struct cli *c, FILE *out, struct err *err)
{
	json_t *running = NULL, *used;
	struct err offline = { 0 };
	char text[SETTING_TEXT], shown[SETTING_TEXT];
	struct settings s;
	int rc = 0;

	if (stored_settings(c, &s, err) < 0)
		return -1;
	if (cli_ask(c, &running, "org.ipsecpol.Config", NULL, 30, &offline) < 0 && offline.code != ERR_OFFLINE) {
		*err = offline;
		return -1;
	}
	if (c->json) {
		rc = config_json(&s, running, out, err);
		json_decref(running);
		return rc;
	}
	used = json_object_get(running, "settings");
	for (int k = 0; k < N_SETTINGS; k++) {
		const char *name = setting_name((enum setting)k), *in_force = json_text(used, name);

		setting_text(&s, (enum setting)k, text);
		list_line(out, name, setting_shown((enum setting)k, text, shown));
		/* These are for the next start of the computer in any case. */
		if (used && k != SET_BOOTMODE && k != SET_BOOTEXEMPTIONS && strcmp(in_force, text))
			list_line(out, "  in force", setting_shown((enum setting)k, in_force, shown));
	}
	if (running && s.diagnostics && !json_integer_value(json_object_get(running, "diagnostics_level")))
		list_line(out, "", "(the end time of ipsecdiagnostics has passed: it is off)");
	if (!running)
		fputs("The service is not running.\n", out);
	json_decref(running);
	return 0;
}
