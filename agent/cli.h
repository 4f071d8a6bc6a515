/* agent/cli.h - the parts of the command line tool. */
#ifndef AGENT_CLI_H
#define AGENT_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "agent/collect.h"
#include "schema/err.h"

struct conf;
struct host_facts;
struct json_t;
struct arena;

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_DIFFERS = 2, EXIT_USAGE_ERROR = 64 };

struct cli {
	const char	*config, *directory, *computer, *site, *domain, *facts_file;
	bool		 json;
	int		 argc;		/* what follows the command word */
	char		**argv;
	struct conf	*conf;
	struct arena	*arena;
};

struct cli_command {
	const char	*name;
	int		(*run)(struct cli *c);
	const char	*help;		/* printed by --help: usage line first */
};

int cli_status(struct cli *c);
int cli_refresh(struct cli *c);
int cli_stop(struct cli *c);
int cli_show(struct cli *c);	/* cli_show.c */
int cli_plan(struct cli *c);	/* cli_plan.c */
int cli_apply(struct cli *c);

/* One line on stderr: "ipsecpol: ..."; returns EXIT_FAILED. */
int cli_fail(const struct err *err);
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));	/* EXIT_USAGE_ERROR */
int cli_print_json(struct json_t *j);	/* steals j; to stdout */

/* ctl_ask to the configured socket, with a word to who finds no daemon there. */
int cli_ask(struct cli *c, struct json_t **ret, const char *method, struct json_t *parameters, unsigned timeout, struct err *err);

/* One conversation with the directory of the options or the configuration. */
int cli_collect(struct cli *c, struct collected *ret, struct err *err);
bool cli_is_self(const struct cli *c);
/* Facts of the file, or of this host when the question is about this host, else none. */
int cli_facts(struct cli *c, struct host_facts **ret, struct err *err);

#endif
