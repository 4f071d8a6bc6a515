/* agent/dir_watch.h - waiting for a server to tell of changes.  SHELL.
 *
 *   WATCHING N		the server has accepted N searches
 *   CHANGED		something changed; one a second at most, nothing about what
 *   FAILED CODE MESSAGE	the end */
#ifndef AGENT_DIR_WATCH_H
#define AGENT_DIR_WATCH_H

#include <stdio.h>

struct directory;
struct err;
struct gp_watch;

/* Until it fails: -1.  ERR_UNSUPPORTED: the server cannot tell; a file. */
int directory_watch(struct directory *d, const struct gp_watch *plan, FILE *out, struct err *err);

#endif
