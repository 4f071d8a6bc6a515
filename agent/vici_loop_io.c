#include "agent/vici_loop_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "schema/arena.h"
#include "schema/err.h"

#define PACKETS_ONCE	64			/* then it is the turn of others in the loop */
#define MESSAGE_ARENA	(32u << 20)

/* ---- sending ---- */

size_t loop_event(const struct vici_loop *l, const char *name)
{
	size_t i = 0;

	while (i < l->n_events && strcmp(l->events[i].name, name))
		i++;
	return i;
}

/* false: l is gone. */
static bool out_send(struct vici_loop *l)
{
	struct err err;
	int rc = vici_outbox_send(&l->out, l->fd);

	if (rc < 0) {
		err_set(&err, ERR_OFFLINE, "charon hung up: %s", strerror(errno));
		return loop_lost(l, &err);
	}
	sd_event_source_set_io_events(l->io, EPOLLIN | (rc == 0 ? EPOLLOUT : 0));
	return true;
}

static int register_start(struct vici_loop *l, size_t i, struct err *err)
{
	if (vici_outbox_set(&l->out, PACKET_REGISTER, l->events[i].name, NULL, err) < 0)
		return -1;
	l->awaited = AWAIT_CONFIRM;
	l->registering = i;
	return 0;
}

static int order_start(struct vici_loop *l, struct err *err)
{
	struct vici_message *m = l->first->message;

	l->first->message = NULL;
	if (vici_outbox_set(&l->out, PACKET_REQUEST, l->first->command, m, err) < 0)
		return -1;
	l->awaited = AWAIT_RESPONSE;
	return 0;
}

/* Without an answer of charon; false: l is gone. */
static bool order_fail(struct vici_loop *l, const struct err *why)
{
	struct order *o = loop_pop(l);

	loop_enter(l);
	if (o->done)
		o->done(NULL, why, o->cookie);
	loop_order_free(o);
	return loop_leave(l);
}

bool loop_next(struct vici_loop *l)
{
	struct event *stream;
	struct err err;
	int rc = 0;

	while (l->fd >= 0 && l->awaited == AWAIT_NOTHING) {
		size_t i = 0;

		while (i < l->n_events && (!l->events[i].heard || l->events[i].registered || l->events[i].unknown))
			i++;
		stream = l->first && l->first->stream >= 0 ? &l->events[l->first->stream] : NULL;
		if (i < l->n_events) {
			rc = register_start(l, i, &err);
		} else if (!l->first) {
			loop_timer_stop(l);
			return true;
		} else if (stream && stream->unknown) {
			err_set(&err, ERR_UNSUPPORTED, "charon knows no event '%s'", stream->name);
			if (!order_fail(l, &err))
				return false;
			continue;
		} else if (stream && !stream->registered) {
			rc = register_start(l, (size_t)l->first->stream, &err);
		} else {
			rc = order_start(l, &err);
		}
		if (rc < 0)
			return loop_lost(l, &err);
		loop_timer(l, l->limit_ms * VICI_USEC / 1000);
		return out_send(l);
	}
	return true;
}

/* ---- receiving ---- */

/* Gives a message to a callback, or to `heard`; -1: it is damaged; 0: l is gone; 1. */
static int event_pass(struct vici_loop *l, const struct vici_packet *p, vici_reply *each, void *cookie, struct err *err)
{
	struct arena *a = arena_new(MESSAGE_ARENA);
	struct vici_node *root;
	int rc = a ? vici_parse(&root, a, p->message, p->len, err) : err_nomem(err);

	if (rc == 0) {
		loop_enter(l);
		if (each)
			each(root, NULL, cookie);
		else
			l->heard(p->name, root, l->cookie);
		rc = loop_leave(l);
	}
	arena_free(a);
	return rc;
}

/* As event_pass.  A damaged answer leaves the command where it is: `lost` tells it. */
static int on_response(struct vici_loop *l, const struct vici_packet *p, struct err *err)
{
	struct vici_node *root = NULL;
	struct arena *a;
	struct order *o;
	int rc;

	if (l->awaited != AWAIT_RESPONSE)
		return err_set(err, ERR_FORMAT, "charon answers what it was not asked");
	if (p->type == PACKET_UNKNOWN) {
		l->awaited = AWAIT_NOTHING;
		err_set(err, ERR_UNSUPPORTED, "charon knows no command '%s'", l->first->command);
		return order_fail(l, err);
	}
	a = arena_new(MESSAGE_ARENA);
	rc = a ? vici_parse(&root, a, p->message, p->len, err) : err_nomem(err);
	if (rc == 0) {
		l->awaited = AWAIT_NOTHING;
		o = loop_pop(l);
		loop_enter(l);
		if (o->done)
			o->done(root, NULL, o->cookie);
		loop_order_free(o);
		rc = loop_leave(l);
	}
	arena_free(a);
	return rc;
}

static int on_confirm(struct vici_loop *l, const struct vici_packet *p, struct err *err)
{
	struct event *e = &l->events[l->registering];

	if (l->awaited != AWAIT_CONFIRM)
		return err_set(err, ERR_FORMAT, "charon confirms what it was not asked");
	l->awaited = AWAIT_NOTHING;
	e->registered = p->type == PACKET_CONFIRM;
	e->unknown = !e->registered;
	return 1;
}

static int on_event(struct vici_loop *l, const struct vici_packet *p, struct err *err)
{
	size_t i = loop_event(l, p->name);
	struct order *o = l->awaited == AWAIT_RESPONSE ? l->first : NULL;

	if (i == l->n_events)
		return 1;
	if (o && o->stream == (int)i)
		return o->each ? event_pass(l, p, o->each, o->cookie, err) : 1;
	return l->events[i].heard && l->heard ? event_pass(l, p, NULL, NULL, err) : 1;
}

/* As event_pass. */
static int packet_act(struct vici_loop *l, struct err *err)
{
	struct vici_packet p;

	if (vici_inbox_take(&l->in, &p, err) < 0)
		return -1;
	if (l->awaited != AWAIT_NOTHING)
		loop_timer(l, l->limit_ms * VICI_USEC / 1000);
	switch (p.type) {
	case PACKET_EVENT:
		return on_event(l, &p, err);
	case PACKET_CONFIRM:
	case PACKET_EVENT_UNKNOWN:
		return on_confirm(l, &p, err);
	default:
		return on_response(l, &p, err);
	}
}

/* 1: a packet; 0: no more now; -1. */
static int packet_read(struct vici_loop *l, struct err *err)
{
	uint8_t *room;
	size_t len;
	ssize_t n;
	int rc = 0;

	while (rc == 0) {
		room = vici_inbox_room(&l->in, &len, err);
		if (!room)
			return -1;
		n = recv(l->fd, room, len, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return err_set(err, ERR_OFFLINE, "charon hung up: %s", strerror(errno));
		if (n == 0)
			return err_set(err, ERR_OFFLINE, "charon hung up");
		rc = vici_inbox_add(&l->in, (size_t)n, err);
	}
	return rc;
}

int loop_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct vici_loop *l = userdata;
	struct err err;
	int rc = 1;

	(void)s;
	(void)fd;
	if ((revents & EPOLLOUT) && l->out.n_head > 0 && !out_send(l))
		return 0;
	for (int i = 0; l->fd >= 0 && i < PACKETS_ONCE && rc > 0; i++) {
		rc = packet_read(l, &err);
		if (rc <= 0)
			break;
		rc = packet_act(l, &err);
		if (rc == 0 || (rc > 0 && !loop_next(l)))
			return 0;
	}
	if (rc < 0 && l->fd >= 0)
		loop_lost(l, &err);
	return 0;
}
