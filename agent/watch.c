#include "agent/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <syslog.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/log.h"
#include "agent/spawn.h"
#include "agent/worker.h"
#include "schema/err.h"

#define SECOND		UINT64_C(1000000)
#define LINE_MAX_BYTES	600
#define FLOOD_WINDOW	10		/* seconds, in which there may be */
#define FLOOD_LINES	30
#define RETRY_FIRST	5		/* seconds, then twice as long each time, and by chance up to twice that */
#define RETRY_SPREAD	9		/* of an interval, where the hosts of a fleet must not come at once */
#define RETRY_MAX	1800
#define STEADY		600		/* seconds of watching after which it begins anew */

struct watch {
	struct sd_event		*ev;
	watch_changed		*changed;
	void			*cookie;
	const struct conf	*conf;		/* NULL: nothing is wanted */
	char			*hints, *site;
	pid_t			 pid;		/* 0: none runs */
	int			 fd;
	sd_event_source		*io, *child, *timer;
	char			 line[LINE_MAX_BYTES];
	size_t			 len;
	bool			 watching;
	bool			 lost;		/* and it was said so */
	struct err		 why;		/* of its end, in its own words; code NONE: none */
	uint64_t		 since;		/* it watches; usec */
	uint64_t		 window;
	unsigned		 n_lines, failures;
};

static uint64_t now(const struct watch *w)
{
	uint64_t usec = 0;

	sd_event_now(w->ev, CLOCK_BOOTTIME, &usec);
	return usec;
}

static void arm(struct watch *w, uint64_t seconds)
{
	sd_event_source_set_time(w->timer, now(w) + seconds * SECOND);
	sd_event_source_set_enabled(w->timer, SD_EVENT_ONESHOT);
}

/* ---- its end ---- */

static void end_child(struct watch *w, bool exited)
{
	sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
	w->io = sd_event_source_disable_unref(w->io);
	w->child = sd_event_source_disable_unref(w->child);
	if (w->fd >= 0)
		close(w->fd);
	if (w->pid > 0 && !exited) {
		spawn_kill(w->pid);
		waitpid(w->pid, NULL, 0);
	}
	w->fd = -1;
	w->pid = 0;
	w->len = 0;
	w->watching = false;
}

static uint64_t retry_seconds(const struct watch *w)
{
	uint64_t first = w->conf->refresh_spread ? w->conf->refresh_interval / RETRY_SPREAD : RETRY_FIRST, wait;
	uint32_t chance = 0;

	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
		chance = (uint32_t)getpid() * 2654435761u;
	wait = (first ? first : 1) << (w->failures < 10 ? w->failures : 10);
	if (wait > RETRY_MAX)
		wait = RETRY_MAX > first ? RETRY_MAX : first;
	return wait + chance % (wait + 1);
}

static void failed(struct watch *w, const struct err *why, bool exited)
{
	bool was = w->watching;

	if (was && now(w) - w->since >= STEADY * SECOND)
		w->failures = 0;
	end_child(w, exited);
	if (!w->lost)
		log_event(LOG_WARNING, "notify-lost", NULL, "the directory does not tell of changes%s, polling goes on: %s",
		    was ? " any more" : "", why->msg);
	w->lost = true;
	arm(w, retry_seconds(w));
	if (w->failures < 32)
		w->failures++;
}

/* ---- what it says ---- */

static int line_read(struct watch *w, const char *line, struct err *err)
{
	if (!strncmp(line, "WATCHING ", 9) && !w->watching) {
		w->watching = true;
		w->since = now(w);
		sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
		log_event(LOG_INFO, "notify-on", NULL, "the directory tells of changes");
		/* Nobody told of those in between. */
		if (w->lost)
			w->changed(w->cookie);
		w->lost = false;
		return 0;
	}
	if (!strcmp(line, "CHANGED") && w->watching) {
		w->changed(w->cookie);
		return 0;
	}
	if (!strncmp(line, "FAILED ", 7) && err_read(&w->why, line + 7))
		return 0;
	return err_set(err, ERR_FORMAT, "watcher: malformed line '%.40s'", line);
}

static int flood_check(struct watch *w, struct err *err)
{
	uint64_t t = now(w);

	if (t - w->window >= FLOOD_WINDOW * SECOND) {
		w->window = t;
		w->n_lines = 0;
	}
	if (++w->n_lines <= FLOOD_LINES)
		return 0;
	return err_set(err, ERR_LIMIT, "watcher: more than %d lines in %d seconds", FLOOD_LINES, FLOOD_WINDOW);
}

static int text_read(struct watch *w, const char *text, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] != '\n') {
			if (w->len == sizeof(w->line) - 1 || !text[i])
				return err_set(err, ERR_FORMAT, "watcher: not a line");
			w->line[w->len++] = text[i];
			continue;
		}
		w->line[w->len] = '\0';
		w->len = 0;
		if (flood_check(w, err) < 0 || line_read(w, w->line, err) < 0)
			return -1;
	}
	return 0;
}

/* What is there; more than one piece may wait for the next turn. */
static int output_read(struct watch *w, struct err *err)
{
	char text[1024];
	ssize_t n = read(w->fd, text, sizeof(text));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		w->io = sd_event_source_disable_unref(w->io);
		return 0;
	}
	return text_read(w, text, (size_t)n, err);
}

static int on_output(sd_event_source *s, int fd, uint32_t revents, void *cookie)
{
	struct watch *w = cookie;
	struct err err;

	(void)s, (void)fd, (void)revents;
	if (output_read(w, &err) < 0)
		failed(w, &err, false);
	return 0;
}

static int on_exit_child(sd_event_source *s, const siginfo_t *si, void *cookie)
{
	struct watch *w = cookie;
	struct err err;

	(void)s;
	if (w->io && output_read(w, &err) < 0) {
		failed(w, &err, true);
		return 0;
	}
	if (w->why.code != ERR_NONE)
		err = w->why;
	else if (si->si_code == CLD_EXITED)
		err_set(&err, ERR_SYSTEM, "watcher ended with status %d", si->si_status);
	else
		err_set(&err, ERR_SYSTEM, "watcher died of signal %d", si->si_status);
	failed(w, &err, true);
	return 0;
}

/* ---- its start ---- */

static void start(struct watch *w)
{
	const struct worker_input in = { .hints = w->hints, .site = w->site, .memory_fd = -1 };
	struct err err;
	int r;

	w->why.code = ERR_NONE;
	w->pid = spawn_worker(&w->fd, w->conf, &in, true, &err);
	if (w->pid < 0) {
		w->pid = 0;
		failed(w, &err, true);
		return;
	}
	r = sd_event_add_io(w->ev, &w->io, w->fd, EPOLLIN, on_output, w);
	if (r >= 0)
		r = sd_event_add_child(w->ev, &w->child, w->pid, WEXITED, on_exit_child, w);
	if (r < 0) {
		err_set(&err, ERR_SYSTEM, "event loop: %s", strerror(-r));
		failed(w, &err, false);
		return;
	}
	arm(w, w->conf->refresh_timeout);
}

/* The time to start one, or the end of the time for it to begin. */
static int on_timer(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct watch *w = cookie;
	struct err err;

	(void)s, (void)usec;
	if (!w->pid) {
		start(w);
		return 0;
	}
	err_set(&err, ERR_OFFLINE, "the directory did not answer within %u seconds", w->conf->refresh_timeout);
	failed(w, &err, false);
	return 0;
}

void watch_stop(struct watch *w)
{
	end_child(w, false);
	w->conf = NULL;
	w->failures = 0;
	w->lost = false;
	free(w->hints);
	free(w->site);
	w->hints = w->site = NULL;
}

/* The OUs alone, a DN a line; malloc'd.  NULL: no memory. */
static char *ou_hints(const char *hints)
{
	char *ret = malloc(strlen(hints) + 2), *to = ret;
	size_t n;

	for (; ret && *hints; hints += n) {
		n = strcspn(hints, "\n");
		n += hints[n] == '\n';
		if (strncasecmp(hints, "OU=", 3))
			continue;
		memcpy(to, hints, n);
		to += n;
	}
	if (ret)
		*to = '\0';
	return ret;
}

void watch_want(struct watch *w, const struct conf *c, const char *hints, const char *site)
{
	char *ous;

	if (!c->notify || !strncmp(c->uri, "ldif:", 5)) {
		watch_stop(w);
		return;
	}
	ous = ou_hints(hints);
	/* One that waits to be started again waits on. */
	if (!ous || (w->conf == c && !strcmp(w->hints, ous) && !strcmp(w->site, site))) {
		free(ous);
		return;
	}
	watch_stop(w);
	w->hints = ous;
	w->site = strdup(site);
	if (!w->site) {
		watch_stop(w);
		return;
	}
	w->conf = c;
	start(w);
}

struct watch *watch_open(struct sd_event *ev, watch_changed *changed, void *cookie, struct err *err)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w) {
		err_nomem(err);
		return NULL;
	}
	*w = (struct watch){ .ev = ev, .changed = changed, .cookie = cookie, .fd = -1 };
	if (sd_event_add_time(ev, &w->timer, CLOCK_BOOTTIME, 0, 100000, on_timer, w) < 0) {
		free(w);
		err_set(err, ERR_SYSTEM, "event loop: no timer");
		return NULL;
	}
	sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
	return w;
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	watch_stop(w);
	sd_event_source_disable_unref(w->timer);
	free(w);
}
