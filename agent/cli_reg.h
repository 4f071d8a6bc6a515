/* agent/cli_reg.h - the parts of `ipsecpol reg`; private to cli_reg*.c. */
#ifndef AGENT_CLI_REG_H
#define AGENT_CLI_REG_H

struct cli;

int cli_reg_restore(struct cli *c);	/* cli_reg_restore.c */
int cli_reg_import(struct cli *c, const char *file);	/* cli_reg_import.c; EXIT_... */

#endif
