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
 * "server", "address", "dcs" (addresses, one a line), "gpo" (the winner's {guid}, when there is one) and "gpo-name". */
#ifndef AGENT_WORKER_H
#define AGENT_WORKER_H

#include <stddef.h>
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

/* Starts the worker with hints (text, a DN a line) and calls done once, from the
 * event loop, with a whole result or with NULL and the error; the child is gone
 * then.  It is killed after conf->refresh_timeout. */
typedef void worker_done(struct worker_result *r, const struct err *err, void *cookie);
struct worker;
struct worker *worker_start(struct sd_event *ev, const struct conf *c, const char *hints, const char *site, worker_done *done, void *cookie, struct err *err);
void worker_kill(struct worker *w);	/* NULL: nothing; done is not called */

/* Reads what a worker wrote; pure but for its arguments, fuzzed. */
int worker_parse(struct worker_result **ret, const char *text, size_t len, struct err *err);

/* ---- child's side, agent/worker_main.c ----
 * ipsecpol-worker --config FILE [--hints-fd N] [--keytab-fd N] [--password-fd N] [--tls-key-fd N]
 *     [--site SITE]     result on stdout */

#endif
