/* agent/cli_dynamic.h - the parts of cli_dynamic_run() (agent/cli.h): what it edits goes to the daemon, the
 * service's settings to registry.db. */
#ifndef AGENT_CLI_DYNAMIC_H
#define AGENT_CLI_DYNAMIC_H

#include <stdbool.h>
#include <stdio.h>

struct cli;
struct err;
struct json_t;
struct netsh_args;

int dynamic_show(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err);	/* all but config and drops */
int dynamic_show_filters(struct cli *c, const struct netsh_args *a, const char *what, FILE *out, struct err *err);	/* "mm", "qm": cli_dynamic_filters.c */
/* cli_ike_show.c, cli_ike_stats.c.  -1 with ERR_OFFLINE: what could be told without charon has been printed. */
int dynamic_show_sas(struct cli *c, const struct netsh_args *a, bool main_mode, FILE *out, struct err *err);
int dynamic_show_stats(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err);
int dynamic_set_config(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err);	/* cli_dynamic_config.c */
int dynamic_show_config(struct cli *c, FILE *out, struct err *err);
int dynamic_show_drops(struct cli *c, FILE *out, struct err *err);	/* cli_drops.c */

/* What of JSON objects; "" and 0: not there. */
const char *json_text(const struct json_t *o, const char *key);
/* Of a line for people: hidden characters as '?', in a buffer of the call's own arena. */
const char *clean_text(struct cli *c, const char *s);

#endif
