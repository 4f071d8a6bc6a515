#include "agent/ctl.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent/ctl_socket.h"
#include "schema/err.h"

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* deadline INT64_MAX: none. */
static int ready_wait(int fd, short events, int64_t deadline, const char *path, struct err *err)
{
	struct pollfd pfd = { fd, events, 0 };
	int64_t left = -1;
	int n;

	do {
		if (deadline != INT64_MAX) {
			left = deadline - now_ms();
			left = left < 0 ? 0 : left > INT_MAX ? INT_MAX : left;
		}
		n = poll(&pfd, 1, (int)left);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return 0;
	if (n < 0)
		return err_set(err, ERR_SYSTEM, "cannot wait for '%s': %s", path, strerror(errno));
	return err_set(err, ERR_OFFLINE, "the daemon at '%s' does not answer in time", path);
}

static int daemon_connect(const char *path, int64_t deadline, struct err *err)
{
	const struct timespec pause = { 0, 50 * 1000 * 1000 };
	struct sockaddr_un sa;
	int fd;

	if (ctl_socket_address(&sa, path, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "cannot create a socket: %s", strerror(errno));
	while (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		/* EAGAIN: its queue is full, and poll would not tell when there is room. */
		if ((errno == EAGAIN || errno == EINTR) && now_ms() < deadline) {
			nanosleep(&pause, NULL);
			continue;
		}
		if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
			err_set(err, ERR_OFFLINE, "ipsecpold is not running: nothing listens on '%s'", path);
		else if (errno == EACCES || errno == EPERM)
			err_set(err, ERR_DENIED, "no access to '%s'", path);
		else if (errno == EAGAIN)
			err_set(err, ERR_OFFLINE, "the daemon at '%s' does not answer in time", path);
		else
			err_set(err, ERR_SYSTEM, "cannot connect to '%s': %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/* A daemon that refuses the peer hangs up early, but has said why: a failed
 * send is left to the reading. */
static int request_send(int fd, const char *text, size_t len, int64_t deadline, const char *path, struct err *err)
{
	ssize_t n;

	while (len > 0) {
		n = send(fd, text, len, MSG_NOSIGNAL);
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			if (ready_wait(fd, POLLOUT, deadline, path, err) < 0)
				return -1;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return 0;
		} else if (errno != EINTR) {
			return err_set(err, ERR_SYSTEM, "cannot send to '%s': %s", path, strerror(errno));
		}
	}
	return 0;
}

/* One message, without its NUL, malloc'd. */
static int answer_receive(int fd, char **ret, size_t *ret_len, int64_t deadline, const char *path, struct err *err)
{
	size_t len = 0, size = 0;
	char *text = NULL, *more, *end;
	ssize_t n;

	for (;;) {
		if (len == size) {
			size = size ? 2 * size : 16384;
			more = size <= CTL_MAX_REPLY ? realloc(text, size) : NULL;
			if (!more) {
				err_set(err, ERR_LIMIT, "the answer of '%s' is too large", path);
				break;
			}
			text = more;
		}
		if (ready_wait(fd, POLLIN, deadline, path, err) < 0)
			break;
		n = recv(fd, text + len, size - len, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0) {
			err_set(err, ERR_OFFLINE, "the daemon at '%s' hung up without an answer", path);
			break;
		}
		end = memchr(text + len, '\0', (size_t)n);
		if (end) {
			*ret = text;
			*ret_len = (size_t)(end - text);
			return 0;
		}
		len += (size_t)n;
	}
	free(text);
	return -1;
}

static enum err_code error_code(const char *name)
{
	if (!strcmp(name, CTL_INTERFACE ".PermissionDenied"))
		return ERR_DENIED;
	if (!strcmp(name, CTL_INTERFACE ".Busy"))
		return ERR_BUSY;
	if (!strcmp(name, "org.varlink.service.MethodNotFound") || !strcmp(name, "org.varlink.service.InterfaceNotFound"))
		return ERR_UNSUPPORTED;
	return ERR_SYSTEM;
}

static int answer_read(json_t **ret, const char *text, size_t len, const char *method, const char *path, struct err *err)
{
	json_t *message = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *parameters = json_object_get(message, "parameters");
	const char *error = json_string_value(json_object_get(message, "error"));
	const char *said = json_string_value(json_object_get(parameters, "message"));
	int rc = -1;

	if (!json_is_object(message) || (parameters && !json_is_object(parameters))) {
		err_set(err, ERR_FORMAT, "the daemon at '%s' answers with something else than JSON", path);
	} else if (error && error_code(error) == ERR_UNSUPPORTED) {
		err_set(err, ERR_UNSUPPORTED, "the daemon at '%s' does not know '%s'", path, method);
	} else if (error) {
		err_set(err, error_code(error), "%s", said ? said : error);
	} else {
		*ret = parameters ? json_incref(parameters) : json_object();
		rc = *ret ? 0 : err_nomem(err);
	}
	json_decref(message);
	return rc;
}

int ctl_ask(json_t **ret, const char *path, const char *method, json_t *parameters, unsigned timeout, struct err *err)
{
	int64_t deadline = timeout ? now_ms() + (int64_t)timeout * 1000 : INT64_MAX;
	char *text = NULL, *answer = NULL, name[256];
	json_t *call;
	size_t len;
	int fd = -1, rc = -1;

	snprintf(name, sizeof(name), "%s%s", strchr(method, '.') ? "" : CTL_INTERFACE ".", method);
	call = json_pack("{s:s, s:o}", "method", name, "parameters", parameters ? parameters : json_object());
	if (call)
		text = json_dumps(call, JSON_COMPACT);
	if (!text) {
		err_nomem(err);
		goto out;
	}
	fd = daemon_connect(path, deadline, err);
	if (fd < 0)
		goto out;
	if (request_send(fd, text, strlen(text) + 1, deadline, path, err) < 0 ||
	    answer_receive(fd, &answer, &len, deadline, path, err) < 0 ||
	    answer_read(ret, answer, len, name, path, err) < 0)
		goto out;
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	free(answer);
	free(text);
	json_decref(call);
	return rc;
}
