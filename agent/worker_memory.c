/* What one worker hands to the next. */
#include "agent/worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/memfd.h"
#include "schema/err.h"

void worker_memory_forget(struct worker_memory *m)
{
	if (m->held)
		close(m->fd);
	m->held = false;
}

int worker_memory_fd(struct worker_memory *m, const struct conf *c, int64_t now)
{
	if (m->held && now >= m->since && now - m->since < (int64_t)c->full_read_interval)
		return m->fd;
	worker_memory_forget(m);
	m->since = now;
	return -1;
}

static const char *text_of(const struct worker_result *r, const char *name)
{
	const struct gen_part *p = worker_part(r, name);

	return p ? p->text : "";
}

void worker_memory_keep(struct worker_memory *m, const struct worker_result *r)
{
	const struct gen_part *new = r ? worker_part(r, "memory") : NULL;
	struct err ignored;

	m->n_read = m->n_kept = 0;
	if (!r || worker_part(r, "refused")) {
		worker_memory_forget(m);
		return;
	}
	sscanf(text_of(r, "cost"), "objects %zu read %zu kept", &m->n_read, &m->n_kept);
	if (!new)
		return;
	worker_memory_forget(m);
	m->fd = memfd_of("ipsecpol-memory", new->text, new->len, &ignored);
	m->held = m->fd >= 0;
}
