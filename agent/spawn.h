/* agent/spawn.h - starts the worker program (agent/worker.h), which is its own program, own user.  SHELL.
 * Private to worker.c and watch.c. */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

struct conf;
struct err;
struct worker_input;

/* Its process id, and the end of the pipe (not blocking) to which it writes; -1.  It is in a process group of its own,
 * and ends with us. */
pid_t spawn_worker(int *ret_fd, const struct conf *c, const struct worker_input *in, bool watch, struct err *err);
void spawn_kill(pid_t pid);	/* its group, and itself wherever it has gone */

#endif
