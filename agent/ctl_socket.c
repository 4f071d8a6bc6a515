#include "agent/ctl_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/ctl.h"
#include "schema/err.h"

int ctl_socket_address(struct sockaddr_un *sa, const char *path, struct err *err)
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

	if (ctl_socket_address(&sa, path, err) < 0 || folder_make(path, err) < 0 || stale_remove(&sa, err) < 0)
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
