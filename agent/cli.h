/* agent/cli.h - the parts of the command line tool. */
#ifndef AGENT_CLI_H
#define AGENT_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "agent/collect.h"
#include "schema/err.h"

struct conf;
struct host_facts;
struct netsh_args;
struct protection;
struct sources;
struct stored;
struct json_t;
struct arena;

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_DIFFERS = 2, EXIT_USAGE_ERROR = 64 };

struct cli {
	const char	*config, *directory, *computer, *site, *domain, *facts_file;
	const char	*store;		/* --store, as given; NULL: local */
	bool		 json, atomic, keep_going, all;
	int		 argc;		/* what follows the command word */
	char		**argv;
	struct conf	*conf;
	struct arena	*arena;
};

struct cli_command {
	const char	*name;
	int		(*run)(struct cli *c);
	/* Printed by --help: usage line first.  NULL: what follows are words of the grammar and no
	 * options, which stand before the command then. */
	const char	*help;
};

int cli_status(struct cli *c);
int cli_refresh(struct cli *c);
int cli_stop(struct cli *c);
int cli_show(struct cli *c);	/* cli_show.c */
int cli_show_all(struct cli *c);	/* rsop of every computer (cli_all.c) */
int cli_show_peers(struct cli *c);	/* cli_peers.c */
int cli_plan(struct cli *c);	/* cli_plan.c */
int cli_apply(struct cli *c);
int cli_reg(struct cli *c);	/* cli_reg.c */
int cli_static(struct cli *c);	/* cli_netsh.c */
int cli_context_dynamic(struct cli *c);
int cli_exec(struct cli *c);
int cli_exec_stdin(struct cli *c);	/* EXIT_USAGE_ERROR when nothing at all comes; says nothing then */
int cli_shell(struct cli *c);	/* cli_shell.c */
/* One command of the dynamic context, asked of the daemon (cli_dynamic.c). */
int cli_dynamic_run(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err);
/* argv[0] is the command's word; with options; EXIT_... (cli.c) */
int cli_plain(const struct cli *c, int argc, char **argv);

/* One line on stderr: "ipsecpol: ..."; returns EXIT_FAILED. */
int cli_fail(const struct err *err);
/* The same; what is refused to another user than root is told as that: "WHAT is for root". */
int cli_fail_for(const struct err *err, const char *what);
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));	/* EXIT_USAGE_ERROR */
/* On stderr: what of the policy that was rendered last cannot be negotiated, and why. */
void cli_warn_problems(const struct protection *p);
int cli_print_json(struct json_t *j);	/* takes j, NULL: no memory; to stdout */

/* ctl_ask to the configured socket, with a word to who finds no daemon there. */
int cli_ask(struct cli *c, struct json_t **ret, const char *method, struct json_t *parameters, unsigned timeout, struct err *err);

/* The directory of the options or the configuration, and whom it is asked about. */
struct directory_conf cli_directory(const struct cli *c);
int cli_subject(struct cli *c, struct gp_subject *ret, struct err *err);
/* One conversation with it. */
int cli_collect(struct cli *c, struct collected *ret, struct err *err);
bool cli_is_self(const struct cli *c);
/* Facts of the file, or of this host when the question is about this host, else none. */
int cli_facts(struct cli *c, struct host_facts **ret, struct err *err);
/* What this host has stored, when the question is about this host and root asks; else nothing. */
int cli_sources(struct cli *c, struct stored *stored, struct sources *ret, struct err *err);

/* ---- lines of scripts and of the shell (cli_script.c) ----
 * A session of the static context is opened by the first command that needs it.  Its edits are
 * written by script_flush, and before whatever could see or overtake them; interactive: each at
 * once, unless batch mode is on. */
struct script;
enum script_mode { SCRIPT_INTERACTIVE, SCRIPT_DEFERRED, SCRIPT_ATOMIC };
enum script_result { SCRIPT_FAILED = -1, SCRIPT_OK, SCRIPT_EXIT };
struct script *script_open(struct cli *c, enum script_mode mode, struct err *err);
void script_close(struct script *s);		/* NULL: nothing; what is not written is dropped */
/* One command of the static context, parsed already. */
int script_args(struct script *s, const struct netsh_args *args, struct err *err);
enum script_result script_line(struct script *s, const char *line, size_t len, struct err *err);
/* Grammar and contexts alone; script_rewind goes back to where the script began. */
enum script_result script_check(struct script *s, const char *line, size_t len, struct err *err);
void script_rewind(struct script *s);
int script_flush(struct script *s, struct err *err);
size_t script_written(const struct script *s);	/* commands that changed a store */
/* A flush failed: the flush at the end is left out, so that nothing is written behind a gap. */
size_t script_pending(const struct script *s);	/* that are not written yet */
bool script_lost(const struct script *s);
const char *script_prompt(const struct script *s);	/* "ipsecpol ipsec static>" */
/* What TAB may offer for the last of words, in `a`. */
int script_complete(const char ***ret, size_t *ret_n, struct arena *a, const struct script *s, char *const *words, size_t n_words);

#endif
