/* ipsecpol: look at, plan and ask for what ipsecpold does. */
#include "agent/cli.h"

#include <getopt.h>
#include <jansson.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cli_text.h"
#include "agent/conf.h"
#include "agent/ctl.h"
#include "agent/hostfacts.h"
#include "schema/arena.h"
#include "schema/utf.h"

#define FACTS_MAX	65536	/* bytes of a --facts file */

#define DIRECTORY_OPTIONS \
    "  --directory URI   ldap://HOST, ldaps://HOST, ldapi://PATH, ldap:/// (discover) or ldif:FILE\n" \
    "  --computer NAME   for this computer account instead of this host's\n" \
    "  --site NAME       as if the computer were in this site\n" \
    "  --domain NAME     DNS name of the domain, where the directory does not tell\n"

static const struct cli_command commands[] = {
	{ "status", cli_status,
	  "ipsecpol status [--json]\n"
	  "What is enforced, from where, since when; whether what has to be negotiated can be, and what is\n"
	  "blocked because it cannot; what went wrong last.\n" },
	{ "refresh", cli_refresh,
	  "ipsecpol refresh [--json]\n"
	  "Ask the directory now, wait for the end, and print the status.  Exit status 1: it failed.\n" },
	{ "show", cli_show,
	  "ipsecpol show snapshot|rsop|policy|ruleset|spd|ike|facts [--json] [options]\n"
	  "       ipsecpol show peers [--json]\n"
	  "Any stage between the directory and the kernel: of the running daemon, or, with\n"
	  "--directory, of any computer and without a daemon.\n\n"
	  "  snapshot   what the directory answered (LDIF)\n"
	  "  rsop       which GPO counts, and why each of the others does not\n"
	  "  policy     the assigned IPsec policy\n"
	  "  ruleset    the nftables table it becomes\n"
	  "  spd        the kernel's IPsec policies beside it, for what is negotiated\n"
	  "  ike        the connections that charon is told, as swanctl.conf, keys as ***\n"
	  "  facts      addresses of this host and its servers that these depend on\n"
	  "  peers      with whom traffic is protected, negotiated or in clear (of this host's kernel, for root)\n\n"
	  DIRECTORY_OPTIONS
	  "  --facts FILE      addresses as 'show facts' prints them, instead of this host's\n"
	  "  --all             show rsop: of every computer of the directory, a summary; --json: each of them\n" },
	{ "plan", cli_plan,
	  "ipsecpol plan [--json] [options]\n"
	  "What a refresh would change in the kernel: the nftables table, and IPsec policies (in, out, fwd ...).\n"
	  "Exit status 0: nothing, 2: something, 1: error.\n"
	  "Without root the kernel cannot be read, and the plan starts from no table.\n\n"
	  DIRECTORY_OPTIONS
	  "  --facts FILE      addresses as 'show facts' prints them, instead of this host's\n" },
	{ "apply", cli_apply,
	  "ipsecpol apply [--json] [options]\n"
	  "One refresh in the foreground, without the daemon: ask, enforce, cache.  For root.  Nothing is\n"
	  "negotiated before the daemon runs: it alone tells strongSwan what to do.\n\n"
	  DIRECTORY_OPTIONS },
	{ "reg", cli_reg, NULL },
	{ "static", cli_static, NULL },
	{ "dynamic", cli_context_dynamic, NULL },
	{ "exec", cli_exec,
	  "ipsecpol exec [--atomic | --keep-going] [--store local|persistent|domain[:DNSNAME]] SCRIPT\n"
	  "Run the lines of a netsh script; '-' is standard input.  The first line that fails ends it; what\n"
	  "stands before is written.\n\n"
	  "  --atomic       nothing is written unless every line works\n"
	  "  --keep-going   go on behind lines that fail\n"
	  "  --store STORE  where the static context begins\n"
	  "  --directory URI   of the domain store\n" },
	{ "stop", cli_stop,
	  "ipsecpol stop\n"
	  "End the daemon in permit mode: our table, IPsec policies and connections of strongSwan are removed,\n"
	  "and nothing is filtered.  Without a daemon: remove what it left in the kernel.  For root.\n"
	  "(`systemctl stop ipsecpold` does this; a restart keeps the rules.)\n" },
};

static void print_usage(FILE *out)
{
	fputs("Usage: ipsecpol [--config FILE] COMMAND [options]\n\n"
	    "  status    what is enforced, from where, and how the last refresh went\n"
	    "  refresh   ask the directory now\n"
	    "  show      snapshot, rsop, policy, ruleset, spd, ike or facts, of this or any computer; peers\n"
	    "  plan      what a refresh would change\n"
	    "  apply     one refresh in the foreground, without the daemon\n"
	    "  static    edit a store: policies, rules, filter lists (netsh ipsec static)\n"
	    "  dynamic   what is in force: rules, settings, filters (netsh ipsec dynamic)\n"
	    "  exec      run a script of such commands\n"
	    "  reg       look into, export and import the registry tree\n"
	    "  stop      permit mode: no rules, no daemon\n\n"
	    "`ipsecpol COMMAND --help` tells more; ipsecpol(8) tells all.\n", out);
}

int cli_fail(const struct err *err)
{
	fprintf(stderr, "ipsecpol: %s\n", err->msg);
	return EXIT_FAILED;
}

int cli_fail_for(const struct err *err, const char *what)
{
	struct err told;

	if (err->code != ERR_DENIED || geteuid() == 0)
		return cli_fail(err);
	err_set(&told, ERR_DENIED, "%s is for root", what);
	return cli_fail(&told);
}

int cli_usage(const char *fmt, ...)
{
	char text[sizeof(((struct err *)NULL)->msg)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	utf8_clean(text, "");
	fprintf(stderr, "ipsecpol: %s\n", text);
	return EXIT_USAGE_ERROR;
}

int cli_print_json(json_t *j)
{
	struct err err;

	if (json_print(j, stdout, &err) < 0)
		return cli_fail(&err);
	return fflush(stdout) != 0 ? EXIT_FAILED : EXIT_DONE;
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

struct directory_conf cli_directory(const struct cli *c)
{
	return (struct directory_conf){
		.conf = c->conf, .uri = c->directory ? c->directory : c->conf->uri,
		.site = c->site ? c->site : c->conf->site,
		.keytab_fd = -1, .password_fd = -1, .tls_key_fd = -1,
	};
}

int cli_subject(struct cli *c, struct gp_subject *ret, struct err *err)
{
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
	*ret = who;
	return 0;
}

int cli_collect(struct cli *c, struct collected *ret, struct err *err)
{
	const struct gp_options o = { .wmi_allow = c->conf->wmi_allow };
	const struct directory_conf d = cli_directory(c);
	struct gp_subject who;

	return cli_subject(c, &who, err) < 0 ? -1 : collect(ret, &d, &who, &o, err);
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

/* ---- command line ---- */

static const struct cli_command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* What getopt has returned '?' or ':' about. */
static int option_refuse(int opt, char *const *argv, const struct cli_command *cmd)
{
	const char *word = argv[optind - 1], *where = cmd ? cmd->name : "", *blank = cmd ? " " : "";

	if (opt == ':')
		return cli_usage("option '%.40s' needs a value; 'ipsecpol %s%s--help' tells more", word, where, blank);
	if (optopt && !strncmp(word, "--", 2))
		return cli_usage("option '%.*s' takes no value", (int)(strcspn(word, "=") < 40 ? strcspn(word, "=") : 40), word);
	if (optopt)
		return cli_usage("there is no option '-%c'; 'ipsecpol %s%s--help' tells what there is", optopt, where, blank);
	return cli_usage("there is no option '%.*s', or several begin so; 'ipsecpol %s%s--help' tells what there is",
	    (int)(strcspn(word, "=") < 40 ? strcspn(word, "=") : 40), word, where, blank);
}

/* Options may stand before and after the command word.  0, or an exit status + 1000 to end with. */
#define END(status)	((status) + 1000)
static int parse_options(struct cli *c, int argc, char **argv, const struct cli_command *cmd)
{
	static const struct option opts[] = {
		{ "config", required_argument, NULL, 'c' }, { "directory", required_argument, NULL, 'd' },
		{ "computer", required_argument, NULL, 'n' }, { "site", required_argument, NULL, 's' },
		{ "domain", required_argument, NULL, 'D' }, { "facts", required_argument, NULL, 'f' },
		{ "store", required_argument, NULL, 'S' }, { "atomic", no_argument, NULL, 'a' },
		{ "keep-going", no_argument, NULL, 'k' }, { "all", no_argument, NULL, 'A' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' }, { 0 },
	};
	int opt;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, cmd ? ":h" : "+:h", opts, NULL)) != -1) {
		switch (opt) {
		case 'c': c->config = optarg; break;
		case 'd': c->directory = optarg; break;
		case 'n': c->computer = account_name(c->arena, optarg); break;
		case 's': c->site = optarg; break;
		case 'D': c->domain = optarg; break;
		case 'f': c->facts_file = optarg; break;
		case 'S': c->store = optarg; break;
		case 'a': c->atomic = true; break;
		case 'k': c->keep_going = true; break;
		case 'A': c->all = true; break;
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
			return END(option_refuse(opt, argv, cmd));
		}
	}
	return 0;
}

/* argv[0] is its word. */
static int command_run(struct cli *c, const struct cli_command *cmd, int argc, char **argv)
{
	struct err err = { 0 };
	int rc;

	optind = cmd->help ? 0 : 1;
	rc = cmd->help ? parse_options(c, argc, argv, cmd) : 0;
	if (rc)
		return rc - 1000;
	c->argc = argc - optind;
	c->argv = argv + optind;
	if (!c->conf && conf_read(&c->conf, c->config, &err) < 0)
		return cli_fail(&err);
	return cmd->run(c);
}

int cli_plain(const struct cli *c, int argc, char **argv)
{
	const struct cli_command *cmd = find_command(argv[0]);
	struct cli own = *c;

	return cmd ? command_run(&own, cmd, argc, argv) : cli_usage("there is no command '%.40s'", argv[0]);
}

/* `ipsecpol` alone: the shell on a terminal, a script where something is piped in. */
static int no_command(struct cli *c)
{
	struct err err = { 0 };
	struct stat st;
	int rc = EXIT_USAGE_ERROR;

	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		rc = conf_read(&c->conf, c->config, &err) < 0 ? cli_fail(&err) : cli_shell(c);
	else if (fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode)))
		rc = conf_read(&c->conf, c->config, &err) < 0 ? cli_fail(&err) : cli_exec_stdin(c);
	if (rc == EXIT_USAGE_ERROR)
		print_usage(stderr);
	return rc;
}

int main(int argc, char **argv)
{
	struct cli c = { .arena = arena_new(0) };
	const struct cli_command *cmd;
	int rc;

	setlocale(LC_CTYPE, "");
	if (!c.arena)
		return cli_fail(&(struct err){ ERR_NOMEM, "out of memory" });
	rc = parse_options(&c, argc, argv, NULL);
	if (rc) {
		rc -= 1000;
		goto out;
	}
	if (optind == argc) {
		rc = no_command(&c);
		goto out;
	}
	cmd = find_command(argv[optind]);
	if (!cmd && optind + 1 == argc && (!strcmp(argv[optind], "help") || !strcmp(argv[optind], "?") || !strcmp(argv[optind], "/?"))) {
		print_usage(stdout);
		rc = EXIT_DONE;
	} else if (cmd) {
		rc = command_run(&c, cmd, argc - optind, argv + optind);
	} else {
		rc = cli_usage("there is no command '%.40s'; 'ipsecpol --help' lists them", argv[optind]);
	}
out:
	conf_free(c.conf);
	arena_free(c.arena);
	return rc;
}
