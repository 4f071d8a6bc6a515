/* The files themselves. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/exchange_parts.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "store/file.h"
#include "store/regfile.h"

static int file_read_fd(int fd, char **ret, size_t *ret_len, struct err *err)
{
	size_t len = 0, size = 1 << 16;
	char *text = malloc(size), *more;
	ssize_t n = 1;

	while (text && n > 0) {
		if (len == size) {
			more = realloc(text, size *= 2);
			if (!more)
				break;
			text = more;
		}
		n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
		if (len > REGFILE_MAX) {
			free(text);
			return err_set(err, ERR_LIMIT, "larger than %u bytes", REGFILE_MAX);
		}
	}
	if (!text || n != 0) {
		free(text);
		return n < 0 ? err_set(err, ERR_SYSTEM, "%s", strerror(errno)) : err_nomem(err);
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

int exchange_file_read(const char *path, char **ret, size_t *ret_len, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_set(err, errno == ENOENT ? ERR_ABSENT : ERR_SYSTEM, "%s", strerror(errno));
	rc = file_read_fd(fd, ret, ret_len, err);
	close(fd);
	return rc;
}

/* A device or a link is not to be replaced by a file. */
static int target_check(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, ERR_UNSUPPORTED, "'%s' is not a regular file", path);
	return 0;
}

int exchange_file_create(struct exchange_out *ret, const char *path, struct arena *a, struct err *err)
{
	const char *slash = strrchr(path, '/');
	struct exchange_out o = { .path = path, .new = arena_printf(a, "%s.new", path) };
	int fd;

	o.folder = !slash ? "." : slash == path ? "/" : arena_strndup(a, path, (size_t)(slash - path));
	if (!o.new || !o.folder)
		return err_nomem(err);
	if (target_check(path, err) < 0)
		return -1;
	unlink(o.new);	/* what a crash left */
	fd = open(o.new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	o.f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!o.f) {
		err_set(err, ERR_SYSTEM, "cannot create '%s': %s", o.new, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*ret = o;
	return 0;
}

void exchange_file_drop(struct exchange_out *o)
{
	fclose(o->f);
	unlink(o->new);
}

int exchange_file_finish(struct exchange_out *o, struct err *err)
{
	bool bad = fflush(o->f) != 0 || ferror(o->f) || fsync(fileno(o->f)) < 0;

	if ((fclose(o->f) != 0) | bad || rename(o->new, o->path) < 0) {
		err_set(err, ERR_SYSTEM, "cannot write '%s': %s", o->path, strerror(errno));
		unlink(o->new);
		return -1;
	}
	return folder_sync(o->folder, err);
}
