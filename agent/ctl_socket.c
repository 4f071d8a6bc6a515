#include "agent/ctl_socket.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent/ctl.h"
#include "schema/err.h"

static int address_set(struct sockaddr_un *sa, const char *path, struct err *err)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sa->sun_path))
		return err_set(err, ERR_LIMIT, "'%s' is too long for a socket", path);
	strcpy(sa->sun_path, path);
	return 0;
}

static int folder_make(const char *path, struct err *err)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	strcpy(folder, path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	if (mkdir(folder, 0755) < 0)
		return errno == EEXIST ? 0 : err_set(err, ERR_SYSTEM, "cannot create '%s': %s", folder, strerror(errno));
	/* Whatever the umask: every user has to reach the socket in it. */
	if (chmod(folder, 0755) < 0)
		return err_set(err, ERR_SYSTEM, "cannot open '%s' to all: %s", folder, strerror(errno));
	return 0;
}

/* A socket file stays behind after a crash; one that is listened on is not ours to take. */
static int stale_remove(const struct sockaddr_un *sa, struct err *err)
{
	struct stat st;
	int fd, rc;

	if (lstat(sa->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_SYSTEM, "'%s' is in the way: not a socket", sa->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "cannot create a socket: %s", strerror(errno));
	rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa));
	if (rc < 0 && errno == ECONNREFUSED)
		rc = unlink(sa->sun_path) < 0 ? err_set(err, ERR_SYSTEM, "cannot remove '%s': %s", sa->sun_path, strerror(errno)) : 0;
	else
		rc = err_set(err, ERR_BUSY, "another process listens on '%s'", sa->sun_path);
	close(fd);
	return rc;
}

int ctl_socket_listen(const char *path, struct err *err)
{
	struct sockaddr_un sa;
	int fd;

	if (address_set(&sa, path, err) < 0 || folder_make(path, err) < 0 || stale_remove(&sa, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "cannot create a socket: %s", strerror(errno));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		err_set(err, ERR_SYSTEM, "cannot bind '%s': %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	if (chmod(path, 0666) < 0 || listen(fd, CTL_MAX_PEERS) < 0) {
		err_set(err, ERR_SYSTEM, "cannot listen on '%s': %s", path, strerror(errno));
		unlink(path);
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- the client's side ---------------------------------------------------------- */

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

	if (address_set(&sa, path, err) < 0)
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

static int answer_read(json_t **ret, const char *text, size_t len, const char *path, struct err *err)
{
	json_t *message = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *parameters = json_object_get(message, "parameters");
	const char *error = json_string_value(json_object_get(message, "error"));
	const char *said = json_string_value(json_object_get(parameters, "message"));
	int rc = -1;

	if (!json_is_object(message) || (parameters && !json_is_object(parameters))) {
		err_set(err, ERR_FORMAT, "the daemon at '%s' answers with something else than JSON", path);
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
	    answer_read(ret, answer, len, path, err) < 0)
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
