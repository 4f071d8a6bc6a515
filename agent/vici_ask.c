#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/vici_parts.h"
#include "schema/arena.h"
#include "schema/err.h"

#define EVENT_ARENA	(32u << 20)	/* of one event's message */

struct vici {
	int			 fd;
	int			 timeout_ms;
	int64_t			 deadline;	/* of the command under way */
	bool			 broken;	/* nobody knows what comes next */
	struct vici_inbox	 in;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int late(struct err *err)
{
	return err_set(err, ERR_OFFLINE, "charon does not answer in time");
}

static int fd_wait(const struct vici *v, short events, struct err *err)
{
	struct pollfd pfd = { v->fd, events, 0 };
	int64_t left;
	int n;

	do {
		left = v->deadline - now_ms();
		if (left <= 0)
			return late(err);
		n = poll(&pfd, 1, left > INT_MAX ? INT_MAX : (int)left);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(err, ERR_SYSTEM, "cannot wait for charon: %s", strerror(errno));
	return n > 0 ? 0 : late(err);
}

struct vici *vici_open(const char *path, int timeout_ms, struct err *err)
{
	const struct timespec pause = { 0, 50 * 1000 * 1000 };
	struct vici *v = calloc(1, sizeof(*v));

	if (!v) {
		err_nomem(err);
		return NULL;
	}
	v->timeout_ms = timeout_ms;
	v->deadline = now_ms() + timeout_ms;
	/* A full queue: poll would not tell when there is room. */
	while ((v->fd = vici_connect(path, err)) < 0 && err->code == ERR_BUSY && now_ms() < v->deadline)
		nanosleep(&pause, NULL);
	if (v->fd < 0) {
		if (err->code == ERR_BUSY)
			err->code = ERR_OFFLINE;
		free(v);
		return NULL;
	}
	return v;
}

void vici_close(struct vici *v)
{
	if (!v)
		return;
	close(v->fd);
	vici_inbox_free(&v->in);
	free(v);
}

/* Frees m. */
static int packet_send(struct vici *v, enum vici_packet_type type, const char *name, struct vici_message *m, struct err *err)
{
	struct vici_outbox o;
	int rc;

	if (vici_outbox_set(&o, type, name, m, err) < 0)
		return -1;
	while ((rc = vici_outbox_send(&o, v->fd)) == 0)
		if (fd_wait(v, POLLOUT, err) < 0)
			break;
	if (rc < 0)
		err_set(err, ERR_OFFLINE, "charon hung up: %s", strerror(errno));
	vici_outbox_clear(&o);
	return rc > 0 ? 0 : -1;
}

static int packet_receive(struct vici *v, struct vici_packet *ret, struct err *err)
{
	uint8_t *p;
	size_t len;
	ssize_t n;
	int rc = 0;

	while (rc == 0) {
		p = vici_inbox_room(&v->in, &len, err);
		if (!p || fd_wait(v, POLLIN, err) < 0)
			return -1;
		n = recv(v->fd, p, len, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return err_set(err, ERR_OFFLINE, "charon hung up: %s", strerror(errno));
		if (n == 0)
			return err_set(err, ERR_OFFLINE, "charon hung up without an answer");
		rc = vici_inbox_add(&v->in, (size_t)n, err);
	}
	return rc < 0 ? -1 : vici_inbox_take(&v->in, ret, err);
}

static int event_pass(const struct vici_packet *p, vici_event *event, void *cookie, struct err *err)
{
	struct arena *a = arena_new(EVENT_ARENA);
	struct vici_node *root;
	int rc = a ? vici_parse(&root, a, p->message, p->len, err) : err_nomem(err);

	if (rc == 0)
		rc = event(root, cookie, err);
	arena_free(a);
	return rc;
}

/* Registering or not any more: events that come before the answer are not asked for (yet, any more). */
static int event_switch(struct vici *v, enum vici_packet_type type, const char *name, struct err *err)
{
	struct vici_packet p;

	if (packet_send(v, type, name, NULL, err) < 0)
		return -1;
	do {
		if (packet_receive(v, &p, err) < 0)
			return -1;
	} while (p.type == PACKET_EVENT);
	if (p.type == PACKET_CONFIRM)
		return 0;
	if (p.type == PACKET_EVENT_UNKNOWN)
		return err_set(err, ERR_UNSUPPORTED, "charon knows no event '%s'", name);
	return err_set(err, ERR_FORMAT, "charon answers a registration with a packet of type %u", (unsigned)p.type);
}

static int answer_receive(struct vici *v, struct vici_packet *p, const char *command, const char *stream, vici_event *event,
    void *cookie, struct err *err)
{
	for (;;) {
		if (packet_receive(v, p, err) < 0)
			return -1;
		if (p->type == PACKET_RESPONSE)
			return 0;
		if (p->type == PACKET_UNKNOWN)
			return err_set(err, ERR_UNSUPPORTED, "charon knows no command '%s'", command);
		if (p->type != PACKET_EVENT)
			return err_set(err, ERR_FORMAT, "charon answers a command with a packet of type %u", (unsigned)p->type);
		if (stream && !strcmp(p->name, stream) && event_pass(p, event, cookie, err) < 0) {
			/* Not "no such command": more of the stream is to come. */
			v->broken = true;
			return -1;
		}
	}
}

int vici_ask(struct vici *v, struct vici_node **ret, struct arena *a, const char *command, struct vici_message *m,
    const char *stream, vici_event *event, void *cookie, struct err *err)
{
	struct vici_node *root = NULL;
	struct vici_packet p;

	if (v->broken) {
		vici_free(m);
		return err_set(err, ERR_OFFLINE, "the connection to charon is lost");
	}
	v->deadline = now_ms() + v->timeout_ms;
	if (stream && event_switch(v, PACKET_REGISTER, stream, err) < 0) {
		vici_free(m);
		goto bad;
	}
	if (packet_send(v, PACKET_REQUEST, command, m, err) < 0 ||
	    answer_receive(v, &p, command, stream, event, cookie, err) < 0 ||
	    vici_parse(&root, a, p.message, p.len, err) < 0)
		goto bad;
	if (stream && event_switch(v, PACKET_UNREGISTER, stream, err) < 0)
		goto bad;
	*ret = root;
	return 0;
bad:
	if (err->code != ERR_UNSUPPORTED)
		v->broken = true;
	return -1;
}
