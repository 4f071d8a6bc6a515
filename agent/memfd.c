#include "agent/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "schema/err.h"

int memfd_of(const char *name, const void *p, size_t len, struct err *err)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t off = 0;
	ssize_t n;

	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "memfd: %s", strerror(errno));
	while (off < len) {
		n = write(fd, (const char *)p + off, len - off);
		if (n > 0)
			off += (size_t)n;
		else if (n == 0 || errno != EINTR)
			goto fail;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		goto fail;
	return fd;
fail:
	err_set(err, ERR_SYSTEM, "memfd: %s", strerror(errno));
	close(fd);
	return -1;
}
