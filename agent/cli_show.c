#include "agent/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli_dynamic.h"
#include "agent/conf.h"
#include "agent/protection.h"
#include "agent/refresh.h"
#include "agent/sources.h"
#include "gpo/rsop.h"
#include "nft/protect.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/facts.h"
#include "schema/ldif.h"
#include "schema/policy.h"
#include "schema/utf.h"

static const char *const stages[] = { "snapshot", "rsop", "policy", "ruleset", "spd", "ike", "facts" };

static int wrote(int rc)
{
	struct err err;

	if (rc == 0 && fflush(stdout) == 0)
		return EXIT_DONE;
	err_set(&err, ERR_SYSTEM, "writing the output: %m");
	return cli_fail(&err);
}

static json_t *value_json(const struct dir_value *v, struct arena *a)
{
	json_t *j = json_stringn((const char *)v->p, v->len);
	char *text;

	if (j)
		return j;
	text = base64_text(a, v->p, v->len);
	return text ? json_pack("{s:s}", "base64", text) : NULL;
}

/* Of the LDIF text, which has no secrets any more. */
static json_t *snapshot_json(const struct dir_snapshot *s, struct arena *a, struct err *err)
{
	struct dir_entry *entries = NULL;
	json_t *list = json_array(), *o, *attrs, *values;
	char *text = NULL;
	size_t len = 0, n = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out || snapshot_write(s, out) < 0 || fclose(out) != 0) {
		err_nomem(err);
	} else if (ldif_read(&entries, &n, a, text, len, err) == 0) {
		for (size_t i = 0; i < n; i++) {
			attrs = json_object();
			for (size_t k = 0; k < entries[i].n_attrs; k++) {
				values = json_array();
				for (size_t v = 0; v < entries[i].attrs[k].n_values; v++)
					json_array_append_new(values, value_json(&entries[i].attrs[k].values[v], a));
				json_object_set_new(attrs, entries[i].attrs[k].name, values);
			}
			o = json_pack("{s:s, s:o}", "dn", entries[i].dn, "attributes", attrs);
			json_array_append_new(list, o);
		}
		free(text);
		return json_pack("{s:s, s:i, s:o}", "server", s->server ? s->server : "",
		    "searches", (int)s->n_searches, "entries", list);
	}
	free(text);
	json_decref(list);
	return NULL;
}

/* ---- what enforces it ---- */

/* protection NULL: the ruleset alone. */
static int render(struct ruleset **ret, struct protection *protection, struct cli *c, const struct collected *col, const struct host_facts *facts, struct err *err)
{
	struct gen_part *parts = NULL;
	struct stored stored = { 0 };
	struct sources sources;
	size_t n = 0;
	int rc = -1;

	sources_init(&sources);
	if (collected_parts(&parts, &n, col, c->arena, err) == 0 && cli_sources(c, &stored, &sources, err) == 0)
		rc = refresh_render(ret, protection, c->conf, &sources, facts, parts, n, err);
	sources_free(&sources);
	stored_free(&stored);
	return rc;
}

static int print_ruleset(struct cli *c, const struct collected *col, const struct host_facts *facts)
{
	struct ruleset *r = NULL;
	struct err err = { 0 };
	int rc;

	if (render(&r, NULL, c, col, facts, &err) < 0)
		return cli_fail(&err);
	rc = c->json ? cli_print_json(ruleset_json(r)) : wrote(ruleset_write(r, stdout));
	ruleset_free(r);
	return rc;
}

/* On stderr, so that what is printed can be read by machines. */
static void warn_rule(const char *name, const char *id, const char *why, bool closed)
{
	struct err line;

	err_set(&line, ERR_NONE, "rule '%.100s' %s: %.250s%s", name, id, why, closed ? ": what must be protected is blocked" : "");
	fprintf(stderr, "ipsecpol: warning: %s\n", line.msg);
}

void cli_warn_problems(const struct protection *p)
{
	char id[GUID_TEXT];

	if (p->problem.code != ERR_NONE)
		fprintf(stderr, "ipsecpol: warning: %s\n", p->problem.msg);
	for (size_t i = 0; p->next && i < p->next->n_problems; i++) {
		const struct protect_problem *x = &p->next->problems[i];

		guid_text(&x->origin.rule, id);
		warn_rule(x->rule_name, id, x->text, x->closed);
	}
}

static int print_protection(struct cli *c, const struct collected *col, const struct host_facts *facts, bool ike)
{
	struct protection p = { 0 };
	struct ruleset *r = NULL;
	struct err err = { 0 };
	int rc;

	if (render(&r, &p, c, col, facts, &err) < 0) {
		rc = cli_fail(&err);
	} else if (!p.next) {
		rc = EXIT_DONE;
	} else {
		if (!cli_is_self(c) && !c->facts_file)
			fprintf(stderr, "ipsecpol: warning: the addresses of %s are not known, so filters of 'me' are left out; --facts tells them\n", c->computer);
		cli_warn_problems(&p);
		if (c->json)
			rc = cli_print_json(ike ? ike_json(p.next->ike) : spd_json(p.next->spd));
		else
			rc = wrote(ike ? ike_write(p.next->ike, stdout) : spd_write(p.next->spd, stdout));
	}
	protection_none(&p);
	ruleset_free(r);
	return rc;
}

static int print_facts(struct cli *c, const struct collected *col, const struct host_facts *found)
{
	struct gen_part *parts = NULL;
	struct host_facts *f = NULL;
	struct err err = { 0 };
	size_t n = 0;
	int rc;

	if (collected_parts(&parts, &n, col, c->arena, &err) < 0 || refresh_facts(&f, found, parts, n, &err) < 0)
		return cli_fail(&err);
	rc = c->json ? cli_print_json(facts_json(f)) : wrote(facts_write(f, stdout));
	facts_free(f);
	return rc;
}

static int print_policy(struct cli *c, const struct collected *col)
{
	return c->json ? cli_print_json(policy_json(col->policy)) : wrote(policy_write(col->policy, POLICY_SHOWN, stdout));
}

/* For stages that need a policy: say why there is none. */
static int no_policy(const struct collected *col)
{
	struct err err;

	if (col->rsop->assignment == GP_NONE)
		err_set(&err, ERR_ABSENT, "no policy is assigned to %s ('show rsop' tells why)", col->rsop->computer);
	else if (col->rsop->assignment == GP_UNKNOWN)
		err_set(&err, col->rsop->why, "%s", col->rsop->reason);
	else
		err = col->policy_err;
	return cli_fail(&err);
}

static int show_collected(struct cli *c, const char *what)
{
	struct collected col = { 0 };
	struct host_facts *facts = NULL;
	struct err err = { 0 };
	json_t *j;
	int rc;

	if (cli_facts(c, &facts, &err) < 0 || cli_collect(c, &col, &err) < 0)
		rc = cli_fail(&err);
	else if (!strcmp(what, "snapshot") && c->json)
		rc = (j = snapshot_json(col.snapshot, c->arena, &err)) ? cli_print_json(j) : cli_fail(&err);
	else if (!strcmp(what, "snapshot"))
		rc = wrote(snapshot_write(col.snapshot, stdout));
	else if (!strcmp(what, "rsop"))
		rc = c->json ? cli_print_json(rsop_json(col.rsop)) : wrote(rsop_write(col.rsop, stdout));
	else if (!strcmp(what, "facts"))
		rc = print_facts(c, &col, facts);
	else if (!col.policy)
		rc = no_policy(&col);
	else if (!strcmp(what, "policy"))
		rc = print_policy(c, &col);
	else if (!strcmp(what, "ruleset"))
		rc = print_ruleset(c, &col, facts);
	else
		rc = print_protection(c, &col, facts, !strcmp(what, "ike"));
	collected_free(&col);
	facts_free(facts);
	return rc;
}

/* What cannot be negotiated of the policy that is in force. */
static void warn_running(struct cli *c)
{
	json_t *status = NULL, *problems, *o;
	struct err ignored;

	if (cli_ask(c, &status, "org.ipsecpol.Status", NULL, 10, &ignored) < 0)
		return;
	problems = json_object_get(json_object_get(status, "negotiate"), "problems");
	for (size_t i = 0; i < json_array_size(problems); i++) {
		o = json_array_get(problems, i);
		warn_rule(json_text(o, "rule"), *json_text(o, "rule_id") ? json_text(o, "rule_id") : json_text(o, "id"),
		    *json_text(o, "text") ? json_text(o, "text") : json_text(o, "why"), json_is_true(json_object_get(o, "closed")));
	}
	json_decref(status);
}

static int show_running(struct cli *c, const char *what)
{
	struct err err = { 0 }, said;
	json_t *r = NULL, *j;
	const char *text;
	int rc;

	if (cli_ask(c, &r, "org.ipsecpol.Show", json_pack("{s:s}", "what", what), 60, &err) < 0) {
		said = err;
		if (err.code == ERR_OFFLINE)
			err_set(&err, said.code, "%s ('show' with --directory works without it)", said.msg);
		return cli_fail(&err);
	}
	j = json_object_get(r, "json");
	text = json_string_value(json_object_get(r, "text"));
	if (c->json)
		rc = cli_print_json(j ? json_incref(j) : json_incref(r));
	else
		rc = wrote(text && fputs(text, stdout) < 0 ? -1 : 0);
	json_decref(r);
	if (!strcmp(what, "spd") || !strcmp(what, "ike"))
		warn_running(c);
	return rc;
}

int cli_show(struct cli *c)
{
	const char *what = c->argc ? c->argv[0] : NULL;
	bool known = false;

	for (size_t i = 0; what && i < sizeof(stages) / sizeof(stages[0]); i++)
		known |= !strcmp(what, stages[i]);
	known |= what && !strcmp(what, "peers");
	if (!known)
		return cli_usage("show what? snapshot, rsop, policy, ruleset, spd, ike, facts or peers%s%.40s%s", what ? ", not '" : "",
		    what ? what : "", what ? "'" : "");
	if (c->argc > 1)
		return cli_usage("unexpected argument '%.40s'", c->argv[1]);
	if (!strcmp(what, "peers") && (c->directory || c->computer || c->site || c->domain || c->facts_file || c->all))
		return cli_usage("'show peers' is of this host's kernel and takes no options but --json");
	if (!strcmp(what, "peers"))
		return cli_show_peers(c);
	if (!c->directory && (c->computer || c->site || c->domain || c->facts_file))
		return cli_usage("--computer, --site, --domain and --facts go with --directory");
	if (c->all && (strcmp(what, "rsop") || !c->directory || c->computer || c->facts_file))
		return cli_usage("--all is for 'show rsop --directory URI', without --computer and --facts");
	if (c->all)
		return cli_show_all(c);
	return c->directory ? show_collected(c, what) : show_running(c, what);
}
