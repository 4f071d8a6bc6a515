#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/vici_loop_parts.h"
#include "schema/err.h"

#define PAUSE_FIRST	(1 * VICI_USEC)
#define PAUSE_LAST	(60 * VICI_USEC)
#define PAUSE_APPEARED	(50 * VICI_USEC / 1000)	/* the socket is there before somebody listens on it */

void loop_order_free(struct order *o)
{
	if (o)
		vici_free(o->message);
	free(o);
}

struct order *loop_pop(struct vici_loop *l)
{
	struct order *o = l->first;

	if (!o)
		return NULL;
	l->first = o->next;
	if (!l->first)
		l->last = &l->first;
	l->bytes -= o->bytes;
	return o;
}

static void loop_free(struct vici_loop *l)
{
	struct order *o;

	while ((o = loop_pop(l)))
		loop_order_free(o);
	sd_event_source_disable_unref(l->io);
	sd_event_source_disable_unref(l->timer);
	sd_event_source_disable_unref(l->watch);
	sd_event_source_disable_unref(l->work);
	if (l->fd >= 0)
		close(l->fd);
	vici_inbox_free(&l->in);
	vici_outbox_clear(&l->out);
	sd_event_unref(l->ev);
	free(l->path);
	free(l->folder);
	free(l);
}

/* ---- callbacks ---- */

void loop_enter(struct vici_loop *l)
{
	l->busy++;
}

bool loop_leave(struct vici_loop *l)
{
	l->busy--;
	if (!l->closed)
		return true;
	if (l->busy == 0)
		loop_free(l);
	return false;
}

/* ---- timers ---- */

void loop_timer(struct vici_loop *l, uint64_t usec)
{
	uint64_t now = 0;

	sd_event_now(l->ev, CLOCK_MONOTONIC, &now);
	sd_event_source_set_time(l->timer, now + usec);
	sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

void loop_timer_stop(struct vici_loop *l)
{
	sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
}

static void retry_set(struct vici_loop *l)
{
	loop_timer(l, l->pause);
	l->pause = 2 * l->pause < PAUSE_LAST ? 2 * l->pause : PAUSE_LAST;
}

static int on_watch(sd_event_source *s, const struct inotify_event *e, void *userdata)
{
	struct vici_loop *l = userdata;

	(void)s;
	if (e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) {
		l->watch = sd_event_source_disable_unref(l->watch);
		return 0;
	}
	if (l->fd >= 0 || (!(e->mask & IN_Q_OVERFLOW) && (e->len == 0 || strcmp(e->name, l->file))))
		return 0;
	l->pause = PAUSE_APPEARED;
	loop_timer(l, 0);
	return 0;
}

/* Without the folder the pauses must do. */
static void watch_set(struct vici_loop *l)
{
	if (l->watch)
		return;
	if (sd_event_add_inotify(l->ev, &l->watch, l->folder,
	    IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR, on_watch, l) < 0)
		l->watch = NULL;
}

/* ---- a connection, lost ---- */

/* false: l is gone. */
static bool state_tell(struct vici_loop *l, bool connected, const struct err *why)
{
	if (!connected && l->why.code == why->code && !strcmp(l->why.msg, why->msg))
		return true;
	l->why = connected ? (struct err){ 0 } : *why;
	loop_enter(l);
	l->state(connected, connected ? NULL : why, l->cookie);
	return loop_leave(l);
}

static void disconnect(struct vici_loop *l)
{
	l->io = sd_event_source_disable_unref(l->io);
	close(l->fd);
	l->fd = -1;
	loop_timer_stop(l);
	sd_event_source_set_enabled(l->work, SD_EVENT_OFF);
	vici_inbox_free(&l->in);
	vici_outbox_clear(&l->out);
	l->awaited = AWAIT_NOTHING;
	for (size_t i = 0; i < l->n_events; i++)
		l->events[i].registered = l->events[i].unknown = false;
}

bool loop_lost(struct vici_loop *l, const struct err *why)
{
	const struct err copy = *why;
	struct order *o;

	disconnect(l);
	while ((o = loop_pop(l))) {
		loop_enter(l);
		if (o->done)
			o->done(NULL, &copy, o->cookie);
		loop_order_free(o);
		if (!loop_leave(l))
			return false;
	}
	l->pause = PAUSE_FIRST;
	if (l->wanted) {
		watch_set(l);
		retry_set(l);
	}
	return state_tell(l, false, &copy);
}

/* ---- connecting ---- */

static void connect_try(struct vici_loop *l)
{
	struct err err;
	int fd;

	/* First, so that what appears after the attempt is seen. */
	if (l->wanted)
		watch_set(l);
	fd = vici_connect(l->path, &err);
	if (fd >= 0 && sd_event_add_io(l->ev, &l->io, fd, EPOLLIN, loop_io, l) < 0) {
		close(fd);
		fd = err_nomem(&err);
	}
	if (fd < 0) {
		if (l->wanted)
			retry_set(l);
		state_tell(l, false, &err);
		return;
	}
	l->fd = fd;
	l->watch = sd_event_source_disable_unref(l->watch);
	loop_timer_stop(l);
	if (state_tell(l, true, NULL))
		loop_next(l);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct vici_loop *l = userdata;
	struct err err;

	(void)s;
	(void)usec;
	if (l->fd < 0) {
		connect_try(l);
	} else {
		err_set(&err, ERR_OFFLINE, "charon has not answered for %u ms", l->limit_ms);
		loop_lost(l, &err);
	}
	return 0;
}

static int on_work(sd_event_source *s, void *userdata)
{
	(void)s;
	loop_next(userdata);
	return 0;
}

/* Something to say was added: not said within the caller, whose callbacks it might call. */
static void next_later(struct vici_loop *l)
{
	if (l->fd >= 0 && l->awaited == AWAIT_NOTHING)
		sd_event_source_set_enabled(l->work, SD_EVENT_ONESHOT);
}

/* ---- for others ---- */

static int paths_set(struct vici_loop *l, const char *path)
{
	char *slash;

	l->path = strdup(path);
	l->folder = strdup(path);
	if (!l->path || !l->folder)
		return -1;
	slash = strrchr(l->folder, '/');
	l->file = slash ? l->path + (slash + 1 - l->folder) : l->path;
	if (slash)
		slash[slash == l->folder] = '\0';
	else
		strcpy(l->folder, *l->folder ? "." : "");
	return 0;
}

struct vici_loop *vici_loop_open(struct sd_event *ev, const char *path, vici_state *state, vici_heard *heard, void *cookie, struct err *err)
{
	struct vici_loop *l = calloc(1, sizeof(*l));
	int rc;

	if (!l) {
		err_nomem(err);
		return NULL;
	}
	l->fd = -1;
	l->ev = sd_event_ref(ev);
	l->state = state;
	l->heard = heard;
	l->cookie = cookie;
	l->last = &l->first;
	l->pause = PAUSE_FIRST;
	l->limit_ms = VICI_LOOP_SECONDS * 1000;
	if (paths_set(l, path) < 0) {
		err_nomem(err);
		goto bad;
	}
	rc = sd_event_add_time(ev, &l->timer, CLOCK_MONOTONIC, 0, 0, on_timer, l);
	if (rc >= 0)
		rc = sd_event_add_defer(ev, &l->work, on_work, l);
	if (rc >= 0)
		rc = sd_event_source_set_enabled(l->work, SD_EVENT_OFF);
	if (rc >= 0)
		return l;
	err_set(err, ERR_SYSTEM, "cannot wait for charon: %s", strerror(-rc));
bad:
	loop_free(l);
	return NULL;
}

void vici_loop_close(struct vici_loop *l)
{
	if (!l)
		return;
	if (l->busy == 0) {
		loop_free(l);
		return;
	}
	l->closed = true;
	if (l->fd >= 0)
		disconnect(l);
}

void vici_loop_want(struct vici_loop *l, bool wanted)
{
	if (l->wanted == wanted)
		return;
	l->wanted = wanted;
	if (l->fd >= 0)
		return;
	l->pause = PAUSE_FIRST;
	if (wanted) {
		loop_timer(l, 0);
	} else {
		loop_timer_stop(l);
		l->watch = sd_event_source_disable_unref(l->watch);
	}
}

void vici_loop_limit(struct vici_loop *l, unsigned ms)
{
	l->limit_ms = ms;
	if (l->fd >= 0 && l->awaited != AWAIT_NOTHING)
		loop_timer(l, l->limit_ms * VICI_USEC / 1000);
}

bool vici_loop_connected(const struct vici_loop *l)
{
	return l->fd >= 0;
}

/* *ret: its place; it is there once. */
static int event_add(struct vici_loop *l, const char *name, size_t *ret, struct err *err)
{
	size_t i = loop_event(l, name);

	if (i == l->n_events) {
		if (i == EVENTS_MAX || strlen(name) > VICI_NAME_MAX)
			return err_set(err, ERR_LIMIT, "'%s': more than %d events, or too long a name", name, EVENTS_MAX);
		strcpy(l->events[i].name, name);
		l->n_events++;
	}
	*ret = i;
	return 0;
}

int vici_loop_ask(struct vici_loop *l, const char *command, struct vici_message *m, const char *stream, vici_reply *each,
    vici_reply *done, void *cookie, struct err *err)
{
	struct order *o = NULL;
	size_t len, event = 0;

	vici_bytes(m, &len);
	len += sizeof(*o);
	if (l->fd < 0 || l->closed) {
		err_set(err, ERR_OFFLINE, "charon is not connected");
		goto bad;
	}
	if (strlen(command) > VICI_NAME_MAX || (m && !vici_good(m)) || len > VICI_LOOP_BYTES - l->bytes ||
	    len - sizeof(*o) + 2 + strlen(command) > VICI_PACKET_MAX) {
		err_set(err, ERR_LIMIT, "'%s': no memory for the message, it is too long, or too much waits", command);
		goto bad;
	}
	if (stream && event_add(l, stream, &event, err) < 0)
		goto bad;
	o = calloc(1, sizeof(*o));
	if (!o) {
		err_nomem(err);
		goto bad;
	}
	strcpy(o->command, command);
	o->message = m;
	o->stream = stream ? (int)event : -1;
	o->each = each;
	o->done = done;
	o->cookie = cookie;
	o->bytes = len;
	*l->last = o;
	l->last = &o->next;
	l->bytes += len;
	next_later(l);
	return 0;
bad:
	vici_free(m);
	return -1;
}

int vici_loop_register(struct vici_loop *l, const char *event, struct err *err)
{
	size_t i;

	if (event_add(l, event, &i, err) < 0)
		return -1;
	l->events[i].heard = true;
	next_later(l);
	return 0;
}
