#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/err.h"

int file_mode_check(const char *path, const struct stat *st, struct err *err)
{
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, ERR_DENIED, "'%s' is writable for others than its owner (mode %04o)", path, (unsigned)st->st_mode & 07777);
	return 0;
}

int folder_sync(const char *folder, struct err *err)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0) {
		err_set(err, ERR_SYSTEM, "cannot sync '%s': %s", folder, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	return 0;
}
