/* `ipsecpol status`, `refresh` and `stop`: what the service says of itself. */
#include "agent/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/ctl.h"
#include "agent/negotiate.h"
#include "agent/protection.h"
#include "nft/nlsock.h"
#include "nft/ruleset.h"
#include "schema/utf.h"

/* "automatic", "manual" or "disabled", as systemd starts our unit; false: it cannot be told. */
static bool startup_type(char *out, size_t size)
{
	sd_bus_message *reply = NULL;
	sd_bus *bus = NULL;
	const char *state = NULL, *word;
	bool ok = false;

	if (sd_bus_open_system(&bus) >= 0 &&
	    sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
	    "GetUnitFileState", NULL, &reply, "s", "ipsecpold.service") >= 0 && sd_bus_message_read(reply, "s", &state) >= 0) {
		word = !strncmp(state, "enabled", 7) ? "automatic" : !strncmp(state, "masked", 6) ? "disabled" : "manual";
		ok = snprintf(out, size, "%s", word) < (int)size;
	}
	sd_bus_message_unref(reply);
	sd_bus_unref(bus);
	return ok;
}

static const char *member(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static void print_span(const char *label, const json_t *seconds, const char *suffix)
{
	json_int_t s = json_integer_value(seconds);

	if (!json_is_integer(seconds))
		return;
	if (s < 120)
		printf("%s%lld s%s", label, (long long)s, suffix);
	else if (s < 7200)
		printf("%s%lld min%s", label, (long long)(s + 30) / 60, suffix);
	else
		printf("%s%lld h%s", label, (long long)(s + 1800) / 3600, suffix);
}

static void print_mode(const json_t *s)
{
	static const struct { const char *mode, *text; } modes[] = {
		{ "secure", "secure: policy is enforced" }, { "block", "block: EVERYTHING is dropped" },
		{ "permit", "permit: nothing is filtered" },
	};
	const json_t *startup = json_object_get(s, "startup_mode");

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(modes[i].mode, member(s, "mode")))
			printf("Mode:       %s\n", modes[i].text);
	if (!strcmp(member(s, "mode"), "startup"))
		printf("Mode:       startup, %s\n            exempt: DHCP%s%s\n", !strcmp(member(startup, "current"), "block") ?
		    "block: EVERYTHING but what is exempt is dropped" :
		    "stateful: what this host begins passes, with its answers; else only what is exempt",
		    strcmp(member(startup, "exemptions"), "none") ? ", " : "",
		    strcmp(member(startup, "exemptions"), "none") ? member(startup, "exemptions") : "");
	printf("Because:    %s\n", member(s, "reason"));
}

static void print_count(const json_t *count, const char *what, const char *end)
{
	const long long n = json_integer_value(count);

	printf("%lld %s%s%s", n, what, n == 1 ? "" : "s", end);
}

/* ---- what is negotiated ---- */

#define MAX_RULES	5	/* by name */

/* A text of others. */
static void print_text(const char *before, const char *text, const char *after)
{
	if (!*text)
		return;
	fputs(before, stdout);
	utf8_write(stdout, text, "");
	fputs(after, stdout);
}

/* why is a word for machines where there is a text, too. */
static const char *problem_text(const json_t *p)
{
	return *member(p, "text") ? member(p, "text") : member(p, "why");
}

static void print_problem(const json_t *p)
{
	const char *id = *member(p, "rule_id") ? member(p, "rule_id") : member(p, "id");
	const char *gpo = *member(p, "gpo_name") ? member(p, "gpo_name") : member(p, "gpo");

	fputs(json_is_true(json_object_get(p, "closed")) ? "  blocked:  " : "  note:     ", stdout);
	print_text("rule '", member(p, "rule"), "'");
	printf("%s%s", *member(p, "rule") ? " " : "rule ", id);
	print_text(", GPO ", gpo, "");
	print_text(": ", problem_text(p), "");
	putchar('\n');
}

/* Those first whose traffic is blocked. */
static void print_problems(const json_t *list)
{
	const size_t n = json_array_size(list);
	size_t shown = 0;

	for (int closed = 1; closed >= 0; closed--)
		for (size_t i = 0; i < n && shown < MAX_RULES; i++) {
			const json_t *p = json_array_get(list, i);

			if (json_is_true(json_object_get(p, "closed")) != (closed == 1))
				continue;
			print_problem(p);
			shown++;
		}
	if (n > shown)
		printf("            and %zu more ('ipsecpol status --json' lists them)\n", n - shown);
}

static bool problems_have(const json_t *list, const char *words)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strstr(problem_text(json_array_get(list, i)), words))
			return true;
	return false;
}

/* What the IKE daemon has been told. */
static void print_loaded(const json_t *n)
{
	const json_t *connections = json_object_get(n, "connections"), *policies = json_object_get(n, "policies");

	print_count(json_object_get(connections, "loaded"), "connection", "");
	print_text(" loaded by ", *member(n, "daemon") ? member(n, "daemon") : "the IKE daemon", "");
	printf(", %lld IPsec polic%s in the kernel", (long long)json_integer_value(policies), json_integer_value(policies) == 1 ? "y" : "ies");
	if (json_integer_value(json_object_get(n, "pinned_peers"))) {
		fputs(", ", stdout);
		print_count(json_object_get(n, "pinned_peers"), "peer", " held to what they negotiated");
	}
	putchar('\n');
}

/* One word of agent/negotiate.h's states: the line about it.  false: nothing is negotiated. */
static bool print_negotiate_state(const json_t *n)
{
	const json_t *connections = json_object_get(n, "connections");
	const long long wanted = json_integer_value(json_object_get(connections, "wanted"));
	const long long loaded = json_integer_value(json_object_get(connections, "loaded"));
	const char *state = member(n, "state");

	if (!strcmp(state, "ready") || (!strcmp(state, "failed") && wanted && loaded >= wanted)) {
		fputs(*state == 'r' ? "Negotiate:  works: " : "Negotiate:  PROBLEM: not for all rules; ", stdout);
		print_loaded(n);
		return true;
	}
	if (!strcmp(state, "loading"))
		printf("Negotiate:  %lld of %lld connections are loaded; what is not yet is blocked\n", loaded, wanted);
	else if (!strcmp(state, "failed") && loaded < wanted)
		printf("Negotiate:  PROBLEM: only %lld of %lld connections could be loaded\n", loaded, wanted);
	else if (!strcmp(state, "no-ike"))
		puts("Negotiate:  PROBLEM: no IKE daemon answers");
	else if (!strcmp(state, "no-kernel"))
		puts("Negotiate:  PROBLEM: this kernel cannot protect anything");
	else if (!strcmp(state, "failed"))
		puts("Negotiate:  PROBLEM: nothing can be negotiated");
	else if (json_array_size(json_object_get(n, "problems")))
		puts("Negotiate:  no filter demands it");
	else if (json_integer_value(json_object_get(n, "filters")))
		puts("Negotiate:  nothing: this host has no address that could be protected");
	else
		return false;
	return true;
}

/* The problem is that of a rule, which is listed. */
static bool told_by_rule(const json_t *n)
{
	const json_t *list = json_object_get(n, "problems");
	const char *problem = member(n, "problem");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (*problem && *problem_text(json_array_get(list, i)) && strstr(problem, problem_text(json_array_get(list, i))))
			return true;
	return false;
}

static void print_negotiate(const json_t *n)
{
	const json_t *filters = json_object_get(n, "filters");
	const char *state = member(n, "state");

	if (!print_negotiate_state(n))
		return;
	if (!told_by_rule(n))
		print_text("            ", member(n, "problem"), "\n");
	if ((!strncmp(state, "no-", 3) || !strcmp(state, "idle")) && json_integer_value(filters)) {
		fputs("            what must be protected is blocked (", stdout);
		print_count(filters, "filter", ")");
		puts(!strcmp(state, "no-ike") ? ", but for what has been negotiated already\n"
		    "            to do: install strongSwan (charon-systemd, strongswan-swanctl), 'systemctl enable --now strongswan'" : "");
	}
	print_problems(json_object_get(n, "problems"));
	if (strstr(member(n, "problem"), "[ike]") || problems_have(json_object_get(n, "problems"), "[ike]"))
		puts("            [ike] is a section of the configuration: ipsecpol.conf(5)");
}

static void print_enforced(const json_t *s)
{
	const json_t *e = json_object_get(s, "enforced"), *stores = json_object_get(e, "stores");

	print_mode(s);
	for (size_t i = 0; i < json_array_size(stores); i++) {
		const json_t *p = json_array_get(stores, i);

		printf("%s%s policy '%s' %s: ", i ? "            " : "In force:   ", member(p, "store"), member(p, "policy"), member(p, "id"));
		print_count(json_object_get(p, "rules"), "rule", ", ");
		print_count(json_object_get(p, "filters"), "filter", "\n");
	}
	print_negotiate(json_object_get(s, "negotiate"));
	if (*member(e, "gpo")) {
		printf("GPO:        %s\n", member(e, "gpo"));
		printf("Generation: %lld, of %s", (long long)json_integer_value(json_object_get(e, "generation")), member(e, "taken"));
		print_span(", ", json_object_get(e, "age_seconds"), " ago");
		putchar('\n');
	}
	if (*member(s, "registry_problem"))
		printf("Stored:     PROBLEM: %s\n", member(s, "registry_problem"));
}

static void print_startup(const json_t *s)
{
	const json_t *m = json_object_get(s, "startup_mode");
	char type[32];

	printf("Startup:    %s at the next boot (bootmode %s; exempt: DHCP", member(m, "next"), member(m, "configured"));
	printf("%s%s)", strcmp(member(m, "exemptions"), "none") ? ", " : "", strcmp(member(m, "exemptions"), "none") ? member(m, "exemptions") : "");
	if (startup_type(type, sizeof(type)))
		printf("; service %s", type);
	putchar('\n');
}

static void print_addresses(const json_t *facts, const char *key)
{
	const json_t *list = json_object_get(facts, key);

	for (size_t i = 0; i < json_array_size(list); i++)
		printf(" %s", json_string_value(json_array_get(list, i)));
}

static void print_status(const json_t *s)
{
	const json_t *r = json_object_get(s, "refresh"), *x = json_object_get(s, "exemptions");
	const json_t *facts = json_object_get(s, "facts");
	bool lifeline = json_is_true(json_object_get(x, "lifeline"));

	print_enforced(s);
	printf("Computer:   %s\nDirectory:  %s", member(s, "computer"), member(s, "directory"));
	if (*member(r, "server") && strcmp(member(r, "server"), member(s, "directory")))
		printf(" (%s answered last)", member(r, "server"));
	printf("\nRefresh:    %s", member(r, "result"));
	if (*member(r, "tried"))
		printf(", tried %s", member(r, "tried"));
	if (*member(r, "succeeded"))
		printf(", succeeded %s", member(r, "succeeded"));
	print_span(", next in ", json_object_get(s, "next_refresh_seconds"), "");
	if (*member(r, "error"))
		printf("\nProblem:    %s", member(r, "error"));
	putchar('\n');
	print_startup(s);
	printf("Exempt:     %s%s", member(x, "exempt"),
	    lifeline ? "; lifeline: DHCP, DNS, and Kerberos and LDAP to the domain controllers in use" : "; no lifeline");
	if (lifeline) {
		print_addresses(facts, "dns");
		print_addresses(facts, "dc");
	}
	putchar('\n');
	if (json_integer_value(json_object_get(s, "table_restored")) > 0)
		printf("Note:       table inet ipsecpol was changed by somebody else and put back %lld time(s)\n",
		    (long long)json_integer_value(json_object_get(s, "table_restored")));
}

int cli_ask(struct cli *c, json_t **ret, const char *method, json_t *parameters, unsigned timeout, struct err *err)
{
	static const struct { const char *method, *word; } words[] = {
		{ "org.ipsecpol.Status", "status" }, { "org.ipsecpol.Refresh", "refresh" }, { "org.ipsecpol.Stop", "stop" },
		{ "org.ipsecpol.Show", "show" }, { "org.ipsecpol.Dynamic", "dynamic" }, { "org.ipsecpol.DynamicShow", "dynamic show" },
		{ "org.ipsecpol.Filters", "dynamic show" }, { "org.ipsecpol.Config", "dynamic show" }, { "org.ipsecpol.Drops", "dynamic show drops" },
	};

	if (ctl_ask(ret, c->conf->socket, method, parameters, timeout, err) == 0)
		return 0;
	for (size_t i = 0; err->code == ERR_DENIED && i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(method, words[i].method))
			err_set(err, ERR_DENIED, "'%s' is for root", words[i].word);
	return -1;
}

/* Without the daemon: does its table still filter? */
static void kernel_tell(struct err *err)
{
	struct nlsock *nl = nlsock_open(&(struct err){ 0 });
	struct ruleset *r = NULL;
	struct err said = *err;

	if (nl && nlsock_fetch(nl, &r, &(struct err){ 0 }) == 0)
		err_set(err, said.code, "%s; %s", said.msg, r ? "table inet ipsecpol is in the kernel: its rules are in force" :
		    "table inet ipsecpol is not in the kernel: nothing is filtered");
	ruleset_free(r);
	nlsock_close(nl);
}

static int no_more_arguments(const struct cli *c)
{
	return c->argc ? cli_usage("unexpected argument '%.40s'", c->argv[0]) : 0;
}

static int ask_status(struct cli *c, const char *method)
{
	struct err err = { 0 };
	json_t *s = NULL;
	int rc = no_more_arguments(c);

	if (rc)
		return rc;
	if (cli_ask(c, &s, method, NULL, 0, &err) < 0) {
		if (err.code == ERR_OFFLINE && !strcmp(method, "org.ipsecpol.Status") && geteuid() == 0)
			kernel_tell(&err);
		return cli_fail(&err);
	}
	/* A refresh that could not be done is a failure, whatever stays enforced. */
	if (!strcmp(method, "org.ipsecpol.Refresh") &&
	    strcmp(member(json_object_get(s, "refresh"), "result"), "ok"))
		rc = EXIT_FAILED;
	if (c->json)
		return cli_print_json(s) == EXIT_DONE ? rc : EXIT_FAILED;
	print_status(s);
	json_decref(s);
	return rc;
}

int cli_status(struct cli *c)
{
	return ask_status(c, "org.ipsecpol.Status");
}

int cli_refresh(struct cli *c)
{
	return ask_status(c, "org.ipsecpol.Refresh");
}

/* Of a service that ended otherwise. */
static int tables_remove(const struct cli *c)
{
	struct err err = { 0 };
	struct nlsock *nl = nlsock_open(&err);
	struct protection ipsec = { .x = nl ? xfrmsock_open(&err) : NULL };
	int rc = !nl || (!ipsec.x && err.code != ERR_ABSENT) || protection_down(&ipsec, NULL, &err) < 0 ? -1 :
	    nlsock_apply(nl, NULL, NULL, NULL, &err);

	xfrmsock_close(ipsec.x);
	nlsock_close(nl);
	if (rc < 0)
		return cli_fail(&err);
	puts("permit mode: no daemon is running, and no rules of it are left in the kernel");
	if (negotiate_unload(c->conf->vici, "", &err) < 0)
		fprintf(stderr, "warning: charon may keep connections of the service: %s\n", err.msg);
	return EXIT_DONE;
}

int cli_stop(struct cli *c)
{
	struct err err = { 0 };
	json_t *s = NULL;
	int rc = no_more_arguments(c);

	if (rc)
		return rc;
	if (cli_ask(c, &s, "org.ipsecpol.Stop", NULL, 30, &err) < 0)
		return err.code == ERR_OFFLINE && geteuid() == 0 ? tables_remove(c) : cli_fail(&err);
	json_decref(s);
	puts("permit mode: nothing is filtered, the daemon has ended");
	return EXIT_DONE;
}
