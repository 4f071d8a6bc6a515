#include "agent/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/conf.h"
#include "agent/refresh.h"
#include "agent/sources.h"
#include "gpo/rsop.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/facts.h"
#include "schema/ldif.h"
#include "schema/policy.h"

static const char *const stages[] = { "snapshot", "rsop", "policy", "ruleset", "facts" };

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

static int print_ruleset(struct cli *c, const struct collected *col, const struct host_facts *facts)
{
	struct gen_part *parts = NULL;
	struct stored stored = { 0 };
	struct sources sources;
	struct ruleset *r = NULL;
	struct err err = { 0 };
	size_t n = 0;
	int rc = -1;

	sources_init(&sources);
	if (collected_parts(&parts, &n, col, c->arena, &err) == 0 && cli_sources(c, &stored, &sources, &err) == 0)
		rc = refresh_render(&r, c->conf, &sources, facts, parts, n, &err);
	sources_free(&sources);
	stored_free(&stored);
	if (rc < 0)
		return cli_fail(&err);
	rc = c->json ? cli_print_json(ruleset_json(r)) : wrote(ruleset_write(r, stdout));
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
	else
		rc = print_ruleset(c, &col, facts);
	collected_free(&col);
	facts_free(facts);
	return rc;
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
	return rc;
}

int cli_show(struct cli *c)
{
	const char *what = c->argc ? c->argv[0] : NULL;
	bool known = false;

	for (size_t i = 0; what && i < sizeof(stages) / sizeof(stages[0]); i++)
		known |= !strcmp(what, stages[i]);
	if (!known)
		return cli_usage("show what? snapshot, rsop, policy, ruleset or facts%s%.40s%s", what ? ", not '" : "",
		    what ? what : "", what ? "'" : "");
	if (c->argc > 1)
		return cli_usage("unexpected argument '%.40s'", c->argv[1]);
	if (!c->directory && (c->computer || c->site || c->domain || c->facts_file))
		return cli_usage("--computer, --site, --domain and --facts go with --directory");
	if (c->all && (strcmp(what, "rsop") || !c->directory || c->computer || c->facts_file))
		return cli_usage("--all is for 'show rsop --directory URI', without --computer and --facts");
	if (c->all)
		return cli_show_all(c);
	return c->directory ? show_collected(c, what) : show_running(c, what);
}
