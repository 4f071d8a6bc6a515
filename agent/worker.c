#include "agent/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/spawn.h"
#include "schema/err.h"

struct worker {
	pid_t		 pid;
	int		 fd;			/* the child's stdout */
	char		*text;
	size_t		 len, size;
	bool		 eof, exited, timed_out, too_large;
	siginfo_t	 status;
	unsigned	 timeout;
	sd_event_source	*io, *child, *timer;
	worker_done	*done;
	void		*cookie;
};

static void worker_free(struct worker *w)
{
	if (!w)
		return;
	sd_event_source_disable_unref(w->io);
	sd_event_source_disable_unref(w->child);
	sd_event_source_disable_unref(w->timer);
	if (w->fd >= 0)
		close(w->fd);
	if (w->text)
		explicit_bzero(w->text, w->len);	/* the policy holds keys */
	free(w->text);
	free(w);
}

void worker_kill(struct worker *w)
{
	if (!w)
		return;
	if (w->pid > 0 && !w->exited) {
		sd_event_source_disable_unref(w->child);
		w->child = NULL;
		spawn_kill(w->pid);
		waitpid(w->pid, NULL, 0);
	}
	worker_free(w);
}

static int worker_verdict(struct worker *w, struct worker_result **ret, struct err *err)
{
	if (w->timed_out)
		return err_set(err, ERR_OFFLINE, "the directory did not answer within %u seconds", w->timeout);
	if (w->too_large)
		return err_set(err, ERR_LIMIT, "worker: the result is larger than %u bytes", WORKER_MAX_BYTES);
	if (w->status.si_code != CLD_EXITED)
		return err_set(err, ERR_SYSTEM, "worker died of signal %d", w->status.si_status);
	if (worker_parse(ret, w->text ? w->text : "", w->len, err) < 0) {
		if (w->len == 0 && w->status.si_status != 0)
			return err_set(err, ERR_SYSTEM, "worker ended with status %d and said nothing",
			    w->status.si_status);
		return -1;
	}
	if (w->status.si_status != 0) {
		worker_result_free(*ret);
		return err_set(err, ERR_SYSTEM, "worker ended with status %d", w->status.si_status);
	}
	return 0;
}

static void worker_finish(struct worker *w)
{
	struct worker_result *r = NULL;
	struct err err = { 0 };
	int rc;

	if (!w->exited || !w->eof)
		return;
	rc = worker_verdict(w, &r, &err);
	w->done(rc < 0 ? NULL : r, rc < 0 ? &err : NULL, w->cookie);
	worker_free(w);
}

/* Reads what is there; false: nothing more will come. */
static bool worker_read(struct worker *w)
{
	ssize_t n;

	for (;;) {
		if (w->size - w->len < 65536) {
			size_t size = w->size ? 2 * w->size : 131072;
			char *p;

			/* Not realloc: the old copy is to be wiped. */
			if (size > 2 * (size_t)WORKER_MAX_BYTES || !(p = malloc(size))) {
				w->too_large = true;
				return false;
			}
			if (w->text) {
				memcpy(p, w->text, w->len);
				explicit_bzero(w->text, w->len);
				free(w->text);
			}
			w->text = p;
			w->size = size;
		}
		n = read(w->fd, w->text + w->len, w->size - w->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		w->len += (size_t)n;
		if (w->len > WORKER_MAX_BYTES) {
			w->too_large = true;
			return false;
		}
	}
}

static int on_output(sd_event_source *s, int fd, uint32_t revents, void *cookie)
{
	struct worker *w = cookie;

	(void)s, (void)fd, (void)revents;
	if (!worker_read(w)) {
		w->eof = true;
		sd_event_source_set_enabled(w->io, SD_EVENT_OFF);
		if (w->too_large && !w->exited)
			spawn_kill(w->pid);
		worker_finish(w);
	}
	return 0;
}

static int on_exit_child(sd_event_source *s, const siginfo_t *si, void *cookie)
{
	struct worker *w = cookie;

	(void)s;
	w->exited = true;
	w->status = *si;
	/* Whatever else still holds the pipe open is not waited for. */
	if (!w->eof)
		worker_read(w);
	w->eof = true;
	worker_finish(w);
	return 0;
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct worker *w = cookie;

	(void)s, (void)usec;
	w->timed_out = true;
	if (!w->exited)
		spawn_kill(w->pid);
	return 0;
}

static int watch(struct worker *w, struct sd_event *ev)
{
	uint64_t usec = (uint64_t)w->timeout * 1000000;
	int r;

	r = sd_event_add_io(ev, &w->io, w->fd, EPOLLIN, on_output, w);
	if (r >= 0)
		r = sd_event_add_child(ev, &w->child, w->pid, WEXITED, on_exit_child, w);
	if (r >= 0)
		r = sd_event_add_time_relative(ev, &w->timer, CLOCK_MONOTONIC, usec, 0, on_timeout, w);
	return r;
}

struct worker *worker_start(struct sd_event *ev, const struct conf *c, const struct worker_input *in,
    worker_done *done, void *cookie, struct err *err)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w) {
		err_nomem(err);
		return NULL;
	}
	w->fd = -1;
	w->done = done;
	w->cookie = cookie;
	w->timeout = c->refresh_timeout;
	w->pid = spawn_worker(&w->fd, c, in, false, err);
	if (w->pid < 0)
		goto bad;
	r = watch(w, ev);
	if (r >= 0)
		return w;
	err_set(err, ERR_SYSTEM, "event loop: %s", strerror(-r));
bad:
	worker_kill(w);
	return NULL;
}
