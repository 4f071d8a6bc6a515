#include "agent/ctl_peer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/ctl_socket.h"
#include "schema/err.h"

#define USEC		UINT64_C(1000000)

void peer_free(struct peer *p)
{
	if (!p)
		return;
	if (p->link) {
		*p->link = p->next;
		if (p->next)
			p->next->link = p->link;
		p->ctl->n_peers--;
	}
	if (p->call)
		p->call->peer = NULL;
	sd_event_source_disable_unref(p->io);
	sd_event_source_disable_unref(p->work);
	sd_event_source_disable_unref(p->timer);
	if (p->fd >= 0)
		close(p->fd);
	free(p->in);
	free(p->out);
	free(p);
}

static void peer_timer(struct peer *p, unsigned seconds)
{
	uint64_t now = 0;

	sd_event_now(p->ctl->ev, CLOCK_MONOTONIC, &now);
	sd_event_source_set_time(p->timer, now + seconds * USEC);
	sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static char *message_end(const struct peer *p)
{
	return p->n_in ? memchr(p->in, '\0', p->n_in) : NULL;
}

/* Sets what to wait for; false when there is nothing to wait for any more and
 * the peer is gone. */
static bool peer_arm(struct peer *p)
{
	bool whole = message_end(p) != NULL;
	uint32_t events = 0;

	if (!p->call && !p->out && (p->last || (p->eof && !whole))) {
		peer_free(p);
		return false;
	}
	if (p->out)
		events |= EPOLLOUT;
	if (!p->call && !p->out && !p->eof && !whole)
		events |= EPOLLIN;
	sd_event_source_set_io_events(p->io, events);
	sd_event_source_set_enabled(p->work, whole && !p->call && !p->out ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	return true;
}

/* As much of the answer as the peer takes; false: it is gone. */
static bool peer_send(struct peer *p)
{
	ssize_t n;

	while (p->sent < p->n_out) {
		n = send(p->fd, p->out + p->sent, p->n_out - p->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			peer_free(p);
			return false;
		}
		p->sent += (size_t)n;
	}
	free(p->out);
	p->out = NULL;
	peer_timer(p, CTL_IDLE_SECONDS);
	return true;
}

void peer_answer(struct peer *p, json_t *answer)
{
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	if (!text) {
		peer_free(p);
		return;
	}
	p->out = text;
	p->n_out = strlen(text) + 1;
	p->sent = 0;
	peer_timer(p, CTL_TAKE_SECONDS);
	if (peer_send(p))
		peer_arm(p);
}

void peer_next(struct peer *p)
{
	if (peer_arm(p))
		peer_timer(p, CTL_IDLE_SECONDS);
}

void peer_wait(struct peer *p, struct ctl_call *call)
{
	p->call = call;
	sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	peer_arm(p);
}

static int on_work(sd_event_source *s, void *userdata)
{
	struct peer *p = userdata;
	char *end = message_end(p);
	json_error_t je;
	json_t *message;
	size_t len;

	(void)s;
	if (!end || p->call || p->out)
		return 0;
	len = (size_t)(end - p->in);
	message = json_loadb(p->in, len, JSON_REJECT_DUPLICATES, &je);
	memmove(p->in, end + 1, p->n_in - len - 1);
	p->n_in -= len + 1;
	if (!message)
		peer_refuse(p, je.text);
	else if (!json_is_object(message))
		peer_refuse(p, "it is not an object");
	else
		call_run(p, message);
	json_decref(message);
	return 0;
}

/* ---- the event loop's side ---------------------------------------------------- */

static int peer_room(struct peer *p)
{
	size_t size = p->in_size ? 2 * p->in_size : 4096;
	char *in;

	if (p->n_in < p->in_size)
		return 0;
	if (size > CTL_MAX_REQUEST + 1)
		size = CTL_MAX_REQUEST + 1;
	in = realloc(p->in, size);
	if (!in)
		return -1;
	p->in = in;
	p->in_size = size;
	return 0;
}

/* Only while no whole message is in the buffer, so there is room or it is too long. */
static void peer_receive(struct peer *p)
{
	ssize_t n;

	if (peer_room(p) < 0) {
		peer_free(p);
		return;
	}
	n = recv(p->fd, p->in + p->n_in, p->in_size - p->n_in, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		peer_free(p);
		return;
	}
	if (n == 0)
		p->eof = true;
	p->n_in += (size_t)n;
	if (p->n_in == CTL_MAX_REQUEST + 1 && !message_end(p))
		peer_refuse(p, "it is too long");
	else
		peer_arm(p);
}

static int on_peer(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct peer *p = userdata;

	(void)s;
	(void)fd;
	if ((revents & EPOLLIN) && !p->call && !p->out && !message_end(p))
		peer_receive(p);
	else if (revents & (EPOLLHUP | EPOLLERR))
		peer_free(p);
	else if ((revents & EPOLLOUT) && p->out && peer_send(p))
		peer_arm(p);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	peer_free(userdata);
	return 0;
}

static struct peer *peer_new(struct ctl *c, int fd, uid_t uid)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p) {
		close(fd);
		return NULL;
	}
	p->ctl = c;
	p->fd = fd;
	p->uid = uid;
	if (sd_event_add_io(c->ev, &p->io, fd, EPOLLIN, on_peer, p) < 0 ||
	    sd_event_add_defer(c->ev, &p->work, on_work, p) < 0 ||
	    sd_event_source_set_enabled(p->work, SD_EVENT_OFF) < 0 ||
	    sd_event_add_time(c->ev, &p->timer, CLOCK_MONOTONIC, 0, USEC, on_timer, p) < 0) {
		peer_free(p);
		return NULL;
	}
	peer_timer(p, CTL_IDLE_SECONDS);
	p->next = c->peers;
	p->link = &c->peers;
	if (p->next)
		p->next->link = &p->next;
	c->peers = p;
	c->n_peers++;
	return p;
}

/* Those who may stop the daemon. */
static bool uid_is_ours(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* The oldest peer whose place others may have: it has no call under way. */
static struct peer *peer_spare(const struct ctl *c)
{
	struct peer *oldest = NULL;

	/* New ones come to the front. */
	for (struct peer *p = c->peers; p; p = p->next)
		if (!uid_is_ours(p->uid) && !p->call)
			oldest = p;
	return oldest;
}

/* Is there a place for this user?  Whatever other users do, root can tell the daemon
 * to stop: some places are not for them, and those they have they give up for root. */
static bool place_make(struct ctl *c, uid_t uid)
{
	size_t same = 0, others = 0;

	if (uid_is_ours(uid)) {
		if (c->n_peers >= CTL_MAX_PEERS)
			peer_free(peer_spare(c));
		return c->n_peers < CTL_MAX_PEERS;
	}
	for (const struct peer *p = c->peers; p; p = p->next) {
		same += p->uid == uid;
		others += !uid_is_ours(p->uid);
	}
	return same < CTL_MAX_PEERS_USER && others < CTL_MAX_PEERS_OTHERS && c->n_peers < CTL_MAX_PEERS;
}

/* The answer to a call that is never read. */
static void turn_away(int fd)
{
	static const char busy[] = "{\"error\":\"" CTL_INTERFACE ".Busy\",\"parameters\":{\"message\":\"too many clients\"}}";

	send(fd, busy, sizeof(busy), MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static int on_rest(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct ctl *c = userdata;

	(void)s;
	(void)usec;
	sd_event_source_set_enabled(c->io, SD_EVENT_ON);
	return 0;
}

static int on_listen(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct ctl *c = userdata;
	socklen_t len = sizeof(struct ucred);
	uint64_t now = 0;
	struct ucred cred;
	int peer;

	(void)s;
	(void)revents;
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (peer < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return 0;
		/* No descriptors left: the connection stays, the loop must not spin on it. */
		sd_event_now(c->ev, CLOCK_MONOTONIC, &now);
		sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
		sd_event_source_set_time(c->rest, now + USEC);
		sd_event_source_set_enabled(c->rest, SD_EVENT_ONESHOT);
		return 0;
	}
	if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		close(peer);
		return 0;
	}
	if (place_make(c, cred.uid))
		peer_new(c, peer, cred.uid);
	else
		turn_away(peer);
	return 0;
}

struct ctl *ctl_listen(struct sd_event *ev, const char *path, ctl_handler *handler, void *cookie, struct err *err)
{
	struct ctl *c = calloc(1, sizeof(*c));
	struct stat st;
	int r;

	if (!c) {
		err_nomem(err);
		return NULL;
	}
	c->fd = -1;
	c->ev = sd_event_ref(ev);
	c->handler = handler;
	c->cookie = cookie;
	c->path = strdup(path);
	if (!c->path) {
		err_nomem(err);
		goto fail;
	}
	c->fd = ctl_socket_listen(path, err);
	if (c->fd < 0)
		goto fail;
	if (lstat(path, &st) == 0) {
		c->dev = st.st_dev;
		c->ino = st.st_ino;
	}
	r = sd_event_add_io(ev, &c->io, c->fd, EPOLLIN, on_listen, c);
	if (r >= 0)
		r = sd_event_add_time(ev, &c->rest, CLOCK_MONOTONIC, 0, USEC, on_rest, c);
	if (r >= 0)
		r = sd_event_source_set_enabled(c->rest, SD_EVENT_OFF);
	if (r >= 0)
		return c;
	err_set(err, ERR_SYSTEM, "cannot watch '%s': %s", path, strerror(-r));
fail:
	ctl_close(c);
	return NULL;
}

void ctl_close(struct ctl *c)
{
	struct stat st;

	if (!c)
		return;
	while (c->peers)
		peer_free(c->peers);
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->rest);
	if (c->ino && lstat(c->path, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino)
		unlink(c->path);
	if (c->fd >= 0)
		close(c->fd);
	sd_event_unref(c->ev);
	free(c->path);
	free(c);
}
