/* ipsecpol: look at, plan and ask for what ipsecpold does. */
#include "agent/cli.h"

#include <getopt.h>
#include <jansson.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/conf.h"
#include "agent/ctl.h"
#include "agent/hostfacts.h"
#include "schema/arena.h"

#define FACTS_MAX	65536	/* bytes of a --facts file */

#define DIRECTORY_OPTIONS \
    "  --directory URI   ldap://HOST, ldaps://HOST, ldapi://PATH, ldap:/// (discover) or ldif:FILE\n" \
    "  --computer NAME   for this computer account instead of this host's\n" \
    "  --site NAME       as if the computer were in this site\n" \
    "  --domain NAME     DNS name of the domain, where the directory does not tell\n"

static const struct cli_command commands[] = {
	{ "status", cli_status,
	  "ipsecpol status [--json]\n"
	  "What is enforced, from where, since when, and what went wrong last.\n" },
	{ "refresh", cli_refresh,
	  "ipsecpol refresh [--json]\n"
	  "Ask the directory now, wait, and say what changed.\n" },
	{ "show", cli_show,
	  "ipsecpol show snapshot|rsop|policy|ruleset|facts [--json] [options]\n"
	  "Any stage between the directory and the kernel: of the running daemon, or, with\n"
	  "--directory, of any computer and without a daemon.\n\n"
	  "  snapshot   what the directory answered (LDIF)\n"
	  "  rsop       which GPO counts, and why each of the others does not\n"
	  "  policy     the assigned IPsec policy\n"
	  "  ruleset    the nftables table it becomes\n"
	  "  facts      addresses of this host's servers that the ruleset depends on\n\n"
	  DIRECTORY_OPTIONS
	  "  --facts FILE      addresses as 'show facts' prints them, instead of this host's\n" },
	{ "plan", cli_plan,
	  "ipsecpol plan [--json] [options]\n"
	  "What a refresh would change in the kernel.  Exit status 0: nothing, 2: something, 1: error.\n"
	  "Without root the kernel cannot be read, and the plan starts from no table.\n\n"
	  DIRECTORY_OPTIONS
	  "  --facts FILE      addresses as 'show facts' prints them, instead of this host's\n" },
	{ "apply", cli_apply,
	  "ipsecpol apply [--json] [options]\n"
	  "One refresh in the foreground, without the daemon: ask, enforce, cache.  For root.\n\n"
	  DIRECTORY_OPTIONS },
	{ "stop", cli_stop,
	  "ipsecpol stop\n"
	  "End the daemon in permit mode: our table is removed and nothing is filtered.\n"
	  "(`systemctl stop ipsecpold` does this; a restart keeps the rules.)\n" },
};

static void print_usage(FILE *out)
{
	fputs("Usage: ipsecpol [--config FILE] COMMAND [options]\n\n"
	    "  status    what is enforced, from where, and how the last refresh went\n"
	    "  refresh   ask the directory now\n"
	    "  show      snapshot, rsop, policy, ruleset or facts, of this or any computer\n"
	    "  plan      what a refresh would change\n"
	    "  apply     one refresh in the foreground, without the daemon\n"
	    "  stop      permit mode: no rules, no daemon\n\n"
	    "`ipsecpol COMMAND --help` tells more; ipsecpol(8) tells all.\n", out);
}

int cli_fail(const struct err *err)
{
	fprintf(stderr, "ipsecpol: %s\n", err->msg);
	return EXIT_FAILED;
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("ipsecpol: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_USAGE_ERROR;
}

int cli_print_json(json_t *j)
{
	struct err err;
	int rc;

	if (!j) {
		err_nomem(&err);
		return cli_fail(&err);
	}
	rc = json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
	return rc < 0 || fflush(stdout) != 0 ? EXIT_FAILED : EXIT_DONE;
}

/* ---- the directory ---- */

/* "host1", "HOST1$", "host1.corp.example" -> "host1$" */
static const char *account_name(struct arena *a, const char *name)
{
	size_t n = strcspn(name, ".");

	if (n && name[n - 1] == '$')
		n--;
	return arena_printf(a, "%.*s$", (int)n, name);
}

bool cli_is_self(const struct cli *c)
{
	return !c->computer || !strcasecmp(c->computer, c->conf->computer);
}

int cli_collect(struct cli *c, struct collected *ret, struct err *err)
{
	struct gp_options o = { .wmi_allow = c->conf->wmi_allow };
	struct directory_conf d = {
		.conf = c->conf, .uri = c->directory ? c->directory : c->conf->uri,
		.site = c->site ? c->site : c->conf->site,
		.keytab_fd = -1, .password_fd = -1, .tls_key_fd = -1,
	};
	struct gp_subject who = {
		.computer = c->computer ? c->computer : c->conf->computer,
		.domain = c->domain ? c->domain : c->conf->domain,
		.site = c->site, .default_site = c->conf->default_site,
		.self = cli_is_self(c),
	};

	if (!who.site && who.self)
		who.site = c->conf->site;
	if (who.self && subject_addresses(&who, c->arena, err) < 0)
		return -1;
	return collect(ret, &d, &who, &o, err);
}

static int read_facts_file(struct cli *c, struct host_facts **ret, struct err *err)
{
	char *text = arena_zalloc(c->arena, 1, FACTS_MAX + 1);
	FILE *f = fopen(c->facts_file, "re");
	size_t len;
	int rc = -1;

	if (!text)
		err_nomem(err);
	else if (!f)
		err_set(err, ERR_SYSTEM, "%s: %m", c->facts_file);
	else if ((len = fread(text, 1, FACTS_MAX + 1, f)) > FACTS_MAX)
		err_set(err, ERR_LIMIT, "%s: larger than %d bytes", c->facts_file, FACTS_MAX);
	else if (facts_read(ret, text, len, err) < 0)
		err_prefix(err, "%s", c->facts_file);
	else
		rc = 0;
	if (f)
		fclose(f);
	return rc;
}

int cli_facts(struct cli *c, struct host_facts **ret, struct err *err)
{
	if (c->facts_file)
		return read_facts_file(c, ret, err);
	if (cli_is_self(c))
		return hostfacts_find(ret, c->conf, err);
	*ret = facts_new();
	return *ret ? 0 : err_nomem(err);
}

/* ---- the daemon ---- */

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

static void print_enforced(const json_t *s)
{
	const json_t *e = json_object_get(s, "enforced");
	const char *mode = member(s, "mode"), *source = member(s, "source");

	if (!strcmp(mode, "secure"))
		printf("Mode:       secure: the policy of the domain is enforced%s\n",
		    !strcmp(source, "cache") ? " from the cache" : "");
	else if (!strcmp(mode, "block"))
		printf("Mode:       block: EVERYTHING is dropped\nBecause:    %s\n", member(s, "reason"));
	else
		printf("Mode:       permit: nothing is filtered, no policy is assigned as far as is known\n");
	if (json_is_string(json_object_get(e, "policy"))) {
		printf("Policy:     %s\nGPO:        %s\n", member(e, "policy"), member(e, "gpo"));
		printf("Generation: %lld, of %s", (long long)json_integer_value(json_object_get(e, "generation")), member(e, "taken"));
		print_span(", ", json_object_get(e, "age_seconds"), " ago");
		putchar('\n');
	}
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
	printf("\nExempt:     %s%s", member(x, "exempt"),
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
	if (ctl_ask(ret, c->conf->socket, method, parameters, timeout, err) == 0)
		return 0;
	if (err->code == ERR_OFFLINE)
		strncat(err->msg, " ('show', 'plan' and 'apply' with --directory work without it)",
		    sizeof(err->msg) - strlen(err->msg) - 1);
	return -1;
}

static int no_more_arguments(const struct cli *c)
{
	return c->argc ? cli_usage("unexpected argument '%s'", c->argv[0]) : 0;
}

static int ask_status(struct cli *c, const char *method)
{
	struct err err = { 0 };
	json_t *s = NULL;
	int rc = no_more_arguments(c);

	if (rc)
		return rc;
	if (cli_ask(c, &s, method, NULL, 0, &err) < 0)
		return cli_fail(&err);
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

int cli_stop(struct cli *c)
{
	struct err err = { 0 };
	json_t *s = NULL;
	int rc = no_more_arguments(c);

	if (rc)
		return rc;
	if (cli_ask(c, &s, "org.ipsecpol.Stop", NULL, 30, &err) < 0)
		return cli_fail(&err);
	json_decref(s);
	puts("permit mode: nothing is filtered, the daemon has ended");
	return EXIT_DONE;
}

/* ---- command line ---- */

static const struct cli_command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* Options may stand before and after the command word.  0, or an exit status + 1000 to end with. */
#define END(status)	((status) + 1000)
static int parse_options(struct cli *c, int argc, char **argv, const struct cli_command *cmd)
{
	static const struct option opts[] = {
		{ "config", required_argument, NULL, 'c' }, { "directory", required_argument, NULL, 'd' },
		{ "computer", required_argument, NULL, 'n' }, { "site", required_argument, NULL, 's' },
		{ "domain", required_argument, NULL, 'D' }, { "facts", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' }, { 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, cmd ? "h" : "+h", opts, NULL)) != -1) {
		switch (opt) {
		case 'c': c->config = optarg; break;
		case 'd': c->directory = optarg; break;
		case 'n': c->computer = account_name(c->arena, optarg); break;
		case 's': c->site = optarg; break;
		case 'D': c->domain = optarg; break;
		case 'f': c->facts_file = optarg; break;
		case 'j': c->json = true; break;
		case 'V':
			puts("ipsecpol " PACKAGE_VERSION);
			return END(EXIT_DONE);
		case 'h':
			if (cmd)
				printf("Usage: %s", cmd->help);
			else
				print_usage(stdout);
			return END(EXIT_DONE);
		default:
			fprintf(stderr, "'ipsecpol %s%s--help' tells what there is\n", cmd ? cmd->name : "", cmd ? " " : "");
			return END(EXIT_USAGE_ERROR);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct cli c = { .arena = arena_new(0) };
	const struct cli_command *cmd;
	struct err err = { 0 };
	int rc;

	setlocale(LC_CTYPE, "");
	if (!c.arena)
		return cli_fail(&(struct err){ ERR_NOMEM, "out of memory" });
	rc = parse_options(&c, argc, argv, NULL);
	if (rc)
		goto out;
	rc = END(EXIT_USAGE_ERROR);
	if (optind == argc) {
		print_usage(stderr);
		goto out;
	}
	cmd = find_command(argv[optind]);
	if (!cmd) {
		cli_usage("there is no command '%s'; 'ipsecpol --help' lists them", argv[optind]);
		goto out;
	}
	argc -= optind;
	argv += optind;
	argv[0] = (char *)"ipsecpol";	/* getopt puts it before its messages */
	optind = 0;
	rc = parse_options(&c, argc, argv, cmd);
	if (rc)
		goto out;
	c.argc = argc - optind;
	c.argv = argv + optind;
	if (conf_read(&c.conf, c.config, &err) < 0)
		rc = END(cli_fail(&err));
	else
		rc = END(cmd->run(&c));
	conf_free(c.conf);
out:
	arena_free(c.arena);
	return rc - 1000;
}
