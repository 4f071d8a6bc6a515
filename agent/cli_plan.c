#include "agent/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/ctl.h"
#include "agent/protection.h"
#include "agent/refresh.h"
#include "agent/sources.h"
#include "gpo/rsop.h"
#include "nft/nlsock.h"
#include "nft/protect.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/facts.h"
#include "schema/policy.h"
#include "schema/utf.h"
#include "store/store.h"

int cli_sources(struct cli *c, struct stored *stored, struct sources *ret, struct err *err)
{
	if (!cli_is_self(c) || geteuid() != 0)
		return 0;
	if (stored_load(stored, c->conf, err) < 0)
		return -1;
	return sources_load(ret, stored, true, err);
}

/* Differences as text and their number. */
struct changes {
	char	*text;
	size_t	 len, n;
};

static int check_arguments(const struct cli *c)
{
	if (c->argc)
		return cli_usage("unexpected argument '%.40s'", c->argv[0]);
	return 0;
}

/* The rules, and the IPsec policies that go with them; both NULL: none. */
struct enforced {
	struct ruleset	*rules;
	struct spd	*spd;
	bool		 no_ipsec;	/* in this kernel */
};

static int read_policies(struct enforced *ret, struct err *err)
{
	struct xfrmsock *x = xfrmsock_open(err);
	int rc;

	ret->no_ipsec = !x && err->code == ERR_ABSENT;
	if (!x)
		return ret->no_ipsec ? 0 : -1;
	rc = xfrmsock_fetch(x, &ret->spd, NULL, err);
	xfrmsock_close(x);
	return rc;
}

/* What the kernel holds now; without root it cannot be told, and then *note says so. */
static int read_kernel(const struct cli *c, struct enforced *ret, const char **note, struct err *err)
{
	struct nlsock *nl;
	int rc;

	*note = NULL;
	if (!cli_is_self(c)) {
		*note = "for another computer: compared with no table at all";
		return 0;
	}
	if (geteuid() != 0) {
		*note = "without root the kernel's table cannot be read: compared with no table at all";
		return 0;
	}
	nl = nlsock_open(err);
	if (!nl)
		return -1;
	rc = nlsock_fetch(nl, &ret->rules, err);
	nlsock_close(nl);
	return rc < 0 ? -1 : read_policies(ret, err);
}

/* They are in the service's memory alone. */
static bool dynamic_rules_in_force(const struct cli *c)
{
	const json_t *stores;
	json_t *status = NULL;
	struct err ignored;
	bool found = false;

	if (!cli_is_self(c) || ctl_ask(&status, c->conf->socket, "org.ipsecpol.Status", NULL, 5, &ignored) < 0)
		return false;
	stores = json_object_get(json_object_get(status, "enforced"), "stores");
	for (size_t i = 0; i < json_array_size(stores); i++)
		found |= !strcmp(json_string_value(json_object_get(json_array_get(stores, i), "store")), "dynamic");
	json_decref(status);
	return found;
}

static int find_changes(struct changes *ret, const struct enforced *want, const struct enforced *have, struct err *err)
{
	FILE *out = open_memstream(&ret->text, &ret->len);

	if (!out)
		return err_nomem(err);
	if (want->rules) {
		ret->n = ruleset_diff(want->rules, have->rules, out);
	} else if (have->rules) {
		fprintf(out, "- table inet " RULESET_TABLE "\n");
		ret->n = 1;
	}
	ret->n += spd_diff(want->spd, have->spd, out);
	return fclose(out) == 0 ? 0 : err_nomem(err);
}

static json_t *lines_json(const char *text)
{
	json_t *list = json_array();

	while (text && *text) {
		size_t n = strcspn(text, "\n");

		json_array_append_new(list, json_stringn(text, n));
		text += n + (text[n] == '\n');
	}
	return list;
}

static void print_assignment(const struct collected *col)
{
	char id[GUID_TEXT] = "", policy[256], gpo[256];

	if (col->rsop->assignment == GP_NONE) {
		printf("Nothing is assigned to %s.\n", col->rsop->computer);
		return;
	}
	if (col->rsop->winner)
		guid_text(&col->rsop->winner->id, id);
	snprintf(policy, sizeof(policy), "%.200s", col->policy->name);
	snprintf(gpo, sizeof(gpo), "%.200s", col->rsop->winner ? col->rsop->winner->name : "");
	utf8_clean(policy, "");
	utf8_clean(gpo, "");
	printf("Policy '%s' is assigned to %s by GPO '%s' %s.\n", policy, col->rsop->computer, gpo, id);
}

static int print_changes(const struct cli *c, const struct collected *col, const struct changes *ch, const char *note)
{
	json_t *j;

	if (c->json) {
		j = json_pack("{s:s, s:i, s:o, s:o}", "assignment", gp_assignment_name(col->rsop->assignment),
		    "n_changes", (int)ch->n, "changes", lines_json(ch->text), "note", note ? json_string(note) : json_null());
		if (cli_print_json(j) != EXIT_DONE)
			return EXIT_FAILED;
	} else {
		print_assignment(col);
		fputs(ch->text ? ch->text : "", stdout);
		printf(ch->n == 1 ? "%zu change.\n" : "%zu changes.\n", ch->n);
		if (note)
			printf("(%s)\n", note);
	}
	return ch->n ? EXIT_DIFFERS : EXIT_DONE;
}

/* The directory's answer as the worker would hand it over.  -1: nothing would be changed, err says why. */
static int collect_parts(struct cli *c, struct collected *col, struct gen_part **parts, size_t *n, struct err *err)
{
	if (cli_collect(c, col, err) < 0)
		return -1;
	if (col->rsop->assignment == GP_UNKNOWN) {
		err_set(err, col->rsop->why, "%s", col->rsop->reason);
		return err_prefix(err, "nothing would be changed");
	}
	if (col->rsop->assignment == GP_ASSIGNED && !col->policy) {
		*err = col->policy_err;
		return err_prefix(err, "nothing would be changed");
	}
	return collected_parts(parts, n, col, c->arena, err);
}

int cli_plan(struct cli *c)
{
	struct collected col = { 0 };
	struct host_facts *facts = NULL;
	struct enforced want = { 0 }, have = { 0 };
	struct protection ipsec = { 0 };
	struct gen_part *parts = NULL;
	struct changes ch = { 0 };
	struct stored stored = { 0 };
	struct sources sources;
	struct err err = { 0 };
	const char *note = NULL;
	size_t n = 0;
	int rc = check_arguments(c);

	sources_init(&sources);
	if (rc)
		return rc;
	if (cli_facts(c, &facts, &err) < 0 || collect_parts(c, &col, &parts, &n, &err) < 0 ||
	    cli_sources(c, &stored, &sources, &err) < 0 ||
	    refresh_render(&want.rules, &ipsec, c->conf, &sources, facts, parts, n, &err) < 0 || read_kernel(c, &have, &note, &err) < 0) {
		rc = cli_fail(&err);
		goto out;
	}
	want.spd = have.no_ipsec ? NULL : ipsec.next->spd;
	if (have.no_ipsec && ipsec.next->n_filters)
		note = "this kernel has no IPsec: what must be protected is blocked";
	cli_warn_problems(&ipsec);
	if (find_changes(&ch, &want, &have, &err) < 0)
		rc = cli_fail(&err);
	else
		rc = print_changes(c, &col, &ch, note ? note : !dynamic_rules_in_force(c) ? NULL :
		    "dynamic rules of the running service are no part of the plan: they are listed as removed, but a refresh keeps them");
out:
	free(ch.text);
	sources_free(&sources);
	stored_free(&stored);
	ruleset_free(have.rules);
	ruleset_free(want.rules);
	spd_free(have.spd);
	protection_none(&ipsec);
	facts_free(facts);
	collected_free(&col);
	return rc;
}

/* ---- apply ---- */

static int print_report(const struct cli *c, const struct refresh_report *r, int64_t us_collect)
{
	if (c->json)
		return cli_print_json(json_pack("{s:s, s:s, s:s, s:i, s:i, s:{s:I, s:I, s:I, s:I}}",
		    "outcome", refresh_outcome_name(r->outcome), "policy", r->policy, "gpo", r->gpo,
		    "generation", (int)r->generation, "n_changes", (int)r->kernel.n_changes, "microseconds",
		    "collect", (json_int_t)us_collect, "render", (json_int_t)r->us_render,
		    "kernel", (json_int_t)r->us_kernel, "cache", (json_int_t)r->us_cache));
	if (r->outcome == REFRESH_NONE && r->in_force != FORCE_NOTHING)
		printf("The domain assigns no policy; %s policy %s is enforced: %zu changes.\n", r->in_force == FORCE_LOCAL ? "the local" : "the persistent",
		    r->policy, r->kernel.n_changes);
	else if (r->outcome == REFRESH_NONE)
		printf("No policy is assigned: nothing is filtered%s.\n", r->kernel.n_changes ? " any more" : "");
	else if (r->outcome == REFRESH_UNCHANGED)
		printf("Policy %s by GPO %s was enforced already.\n", r->policy, r->gpo);
	else
		printf("Policy %s by GPO %s is enforced: %zu changes, generation %llu.\n", r->policy, r->gpo,
		    r->kernel.n_changes, (unsigned long long)r->generation);
	return EXIT_DONE;
}

/* Snapshots show "***" where a key stands; enforcing that would lock out every peer. */
static int check_secrets(const struct ipsec_policy *p, struct err *err)
{
	char id[GUID_TEXT];

	for (size_t i = 0; p && i < p->n_rules; i++) {
		for (size_t k = 0; k < p->rules[i].n_auth; k++) {
			if (p->rules[i].auth[k].method != IPSEC_AUTH_PSK || strcmp(p->rules[i].auth[k].text, "***"))
				continue;
			guid_text(&p->rules[i].id, id);
			return err_set(err, ERR_UNSUPPORTED, "rule '%s' %s: its pre-shared key is hidden; "
			    "what 'show snapshot' wrote can be looked at, not applied", p->rules[i].name, id);
		}
	}
	return 0;
}

static int apply(struct cli *c, struct refresh_context *ctx, struct err *err)
{
	struct collected col = { 0 };
	struct gen_part *parts = NULL;
	struct refresh_report r;
	struct timespec before, after;
	size_t n = 0;
	int rc = -1;

	clock_gettime(CLOCK_MONOTONIC, &before);
	if (collect_parts(c, &col, &parts, &n, err) < 0 || check_secrets(col.policy, err) < 0)
		goto out;
	clock_gettime(CLOCK_MONOTONIC, &after);
	if (refresh_apply(&r, ctx, parts, n, err) < 0)
		goto out;
	cli_warn_problems(ctx->protection);
	if (ctx->protection->next && ctx->protection->next->n_filters)
		fputs("note: what must be protected is blocked until ipsecpold runs and tells strongSwan to negotiate it\n", stderr);
	if (r.uncached.code != ERR_NONE) {
		*err = r.uncached;
		err_prefix(err, "the policy is enforced but could not be cached");
		goto out;
	}
	rc = print_report(c, &r, (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000);
out:
	collected_free(&col);
	return rc;
}

int cli_apply(struct cli *c)
{
	struct stored stored = { 0 };
	struct sources sources;
	struct refresh_context ctx = { .conf = c->conf, .sources = &sources, .stored = &stored, .log = c->json ? NULL : stdout };
	struct protection ipsec = { 0 };
	struct host_facts *facts = NULL;
	struct err err = { 0 };
	int rc = check_arguments(c);

	if (rc)
		return rc;
	if (geteuid() != 0)
		return cli_usage("apply changes the kernel's rules and is for root; 'plan' shows what it would do");
	sources_init(&sources);
	if (c->computer && !cli_is_self(c))
		fprintf(stderr, "note: this host gets the policy of %s\n", c->computer);
	rc = -1;
	ctx.store = store_open(c->conf->state_dir, STORE_WRITE, &err);
	if (!ctx.store && err.code == ERR_BUSY)
		err_set(&err, ERR_BUSY, "ipsecpold is running: 'ipsecpol refresh' asks it");
	if (ctx.store && (ctx.nl = nlsock_open(&err)) && cli_sources(c, &stored, &sources, &err) == 0 &&
	    stored_create(&stored, c->conf, &err) == 0 && cli_facts(c, &facts, &err) == 0) {
		ctx.found = facts;
		ipsec.x = xfrmsock_open(&err);
		ctx.protection = &ipsec;
		rc = ipsec.x || err.code == ERR_ABSENT ? apply(c, &ctx, &err) : -1;
	}
	if (rc < 0)
		rc = cli_fail(&err);
	sources_free(&sources);
	stored_free(&stored);
	facts_free(facts);
	protection_none(&ipsec);
	xfrmsock_close(ipsec.x);
	nlsock_close(ctx.nl);
	store_close(ctx.store);
	return rc;
}
