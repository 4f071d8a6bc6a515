/* agent/worker.h - the unprivileged child that talks to the directory: its own
 * program, own user, one refresh.  The pipe carries
 *
 *   BEGIN ipsecpol 1
 *   part NAME LENGTH            then LENGTH bytes and a newline, any number
 *   END SHA256-OF-ALL-PARTS     (hex)
 *
 * or, at any point,
 *
 *   TRASH CODE MESSAGE
 *
 * and without END nothing was received.  Parts: "assignment" (assigned, none or
 * unknown), "policy" (sealed canonical text, when assigned), "refused" ("CODE MESSAGE": assigned, but not
 * usable; or why unknown), "rsop", "rsop.json", "snapshot", "hints" (a DN a line), "site",
 * "server", "address", "dcs" (addresses, one a line), "gpo" (the winner's {guid}, when there is one), "gpo-name", "cost"
 * (objects, requests, bytes; for people) and "memory" (for the next worker, gpo/memory.h; none: what this one was
 * given is still good). */
#ifndef AGENT_WORKER_H
#define AGENT_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/store.h"

struct arena;
struct conf;
struct err;
struct sd_event;

#define WORKER_MAX_BYTES	(256u << 20)	/* a result larger than this is refused */

/* ---- parent's side, agent/worker.c ---- */
struct worker_result {
	struct arena	*arena;
	struct gen_part	*parts;
	size_t		 n_parts;
};

static inline const struct gen_part *worker_part(const struct worker_result *r, const char *name)	/* NULL: none */
{
	return part_find(r->parts, r->n_parts, name);
}
void worker_result_free(struct worker_result *r);

/* What the last worker remembered, in a file in memory that nobody but the next one looks into.  Zeroed: nothing. */
struct worker_memory {
	bool	 held;
	int	 fd;		/* when held; sealed */
	int64_t	 since;		/* CLOCK_BOOTTIME: the last refresh that read everything */
	size_t	 n_read, n_kept;	/* policy objects of the last refresh */
};
/* For a refresh that begins now; -1: everything is to be read, because nothing is held or for too long. */
int worker_memory_fd(struct worker_memory *m, const struct conf *c, int64_t now);
/* After it; NULL: it failed.  What did not lead to a usable policy is not kept. */
void worker_memory_keep(struct worker_memory *m, const struct worker_result *r);
void worker_memory_forget(struct worker_memory *m);

struct worker_input {
	const char	*hints;		/* a DN a line */
	const char	*site;		/* "": not known */
	int		 memory_fd;	/* -1: none */
};

/* Starts the worker and calls done once, from the
 * event loop, with a whole result or with NULL and the error; the child is gone
 * then.  It is killed after conf->refresh_timeout. */
typedef void worker_done(struct worker_result *r, const struct err *err, void *cookie);
struct worker;
struct worker *worker_start(struct sd_event *ev, const struct conf *c, const struct worker_input *in, worker_done *done, void *cookie, struct err *err);
void worker_kill(struct worker *w);	/* NULL: nothing; done is not called */

/* Reads what a worker wrote; pure but for its arguments, fuzzed. */
int worker_parse(struct worker_result **ret, const char *text, size_t len, struct err *err);

/* ---- child's side, agent/worker_main.c ----
 * ipsecpol-worker --config FILE [--hints-fd N] [--keytab-fd N] [--password-fd N] [--tls-key-fd N]
 *     [--memory-fd N] [--site SITE]     result on stdout
 * ipsecpol-worker --watch ...           agent/dir_watch.h's lines, until it fails */

#endif
