#include "agent/vici_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "schema/err.h"

#define BODY_FIRST	4096u

/* The length is charon's word: memory grows with what has come, not with what was announced. */
static int body_grow(struct vici_inbox *in)
{
	size_t size = in->size ? 2 * in->size : BODY_FIRST;
	uint8_t *body;

	if (in->have < in->size)
		return 0;
	body = realloc(in->body, size);
	if (!body)
		return -1;
	in->body = body;
	in->size = size;
	return 0;
}

uint8_t *vici_inbox_room(struct vici_inbox *in, size_t *n, struct err *err)
{
	if (in->n_head < sizeof(in->head)) {
		*n = sizeof(in->head) - in->n_head;
		return in->head + in->n_head;
	}
	if (body_grow(in) < 0) {
		err_nomem(err);
		return NULL;
	}
	*n = in->len - in->have;
	if (*n > in->size - in->have)
		*n = in->size - in->have;
	return in->body + in->have;
}

int vici_inbox_add(struct vici_inbox *in, size_t n, struct err *err)
{
	const uint8_t *h = in->head;

	if (in->n_head == sizeof(in->head)) {
		in->have += n;
		return in->have == in->len;
	}
	in->n_head += n;
	if (in->n_head < sizeof(in->head))
		return 0;
	in->len = (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
	in->have = 0;
	if (in->len == 0 || in->len > VICI_PACKET_MAX)
		return err_set(err, ERR_FORMAT, "charon announces a packet of %zu bytes", in->len);
	return 0;
}

int vici_inbox_take(struct vici_inbox *in, struct vici_packet *ret, struct err *err)
{
	struct vici_packet p = { .type = in->body[0], .message = in->body + 1, .len = in->len - 1 };
	size_t n;

	in->n_head = 0;
	if (p.type == PACKET_EVENT) {
		n = p.len > 0 ? p.message[0] : 0;
		if (p.len < 1 + n || memchr(p.message + 1, '\0', n))
			return err_set(err, ERR_FORMAT, "charon sends an event without a name");
		memcpy(p.name, p.message + 1, n);
		p.message += 1 + n;
		p.len -= 1 + n;
	} else if (p.type != PACKET_RESPONSE && (p.len > 0 || (p.type != PACKET_UNKNOWN && p.type != PACKET_CONFIRM &&
	    p.type != PACKET_EVENT_UNKNOWN))) {
		return err_set(err, ERR_FORMAT, "charon sends a packet of type %u and %zu bytes", (unsigned)p.type, p.len);
	}
	*ret = p;
	return 0;
}

void vici_inbox_free(struct vici_inbox *in)
{
	free(in->body);
	*in = (struct vici_inbox){ 0 };
}

int vici_outbox_set(struct vici_outbox *o, enum vici_packet_type type, const char *name, struct vici_message *m, struct err *err)
{
	size_t n = strlen(name), len, total;

	vici_bytes(m, &len);
	total = 2 + n + len;
	if (n > VICI_NAME_MAX || (m && !vici_good(m)) || total > VICI_PACKET_MAX) {
		vici_free(m);
		return err_set(err, ERR_LIMIT, "'%s': no memory for the message, or it is too long", name);
	}
	for (int i = 0; i < 4; i++)
		o->head[i] = (uint8_t)(total >> (24 - 8 * i));
	o->head[4] = (uint8_t)type;
	o->head[5] = (uint8_t)n;
	memcpy(o->head + 6, name, n);
	o->n_head = 6 + n;
	o->sent = 0;
	o->message = m;
	return 0;
}

int vici_outbox_send(struct vici_outbox *o, int fd)
{
	size_t len;
	const uint8_t *p = vici_bytes(o->message, &len);
	struct msghdr mh = { 0 };
	struct iovec io[2];
	ssize_t n;

	while (o->sent < o->n_head + len) {
		mh.msg_iov = io;
		mh.msg_iovlen = 0;
		if (o->sent < o->n_head)
			io[mh.msg_iovlen++] = (struct iovec){ o->head + o->sent, o->n_head - o->sent };
		if (len > 0) {
			size_t from = o->sent > o->n_head ? o->sent - o->n_head : 0;

			io[mh.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)(p + from), len - from };
		}
		n = sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		o->sent += (size_t)n;
	}
	vici_outbox_clear(o);
	return 1;
}

void vici_outbox_clear(struct vici_outbox *o)
{
	vici_free(o->message);
	o->message = NULL;
	o->n_head = o->sent = 0;
}

int vici_connect(const char *path, struct err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, rc, e;

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(err, ERR_LIMIT, "the path '%s' is too long for a socket", path);
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "cannot create a socket: %s", strerror(errno));
	do {
		rc = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	} while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return fd;
	e = errno;
	close(fd);
	if (e == ENOENT || e == ECONNREFUSED || e == ENOTDIR)
		return err_set(err, ERR_OFFLINE, "strongSwan's charon is not running: nothing listens on '%s'", path);
	if (e == EACCES || e == EPERM)
		return err_set(err, ERR_DENIED, "no access to charon's socket '%s'", path);
	if (e == EAGAIN)
		return err_set(err, ERR_BUSY, "charon does not take connections at '%s'", path);
	return err_set(err, ERR_SYSTEM, "cannot connect to '%s': %s", path, strerror(e));
}
