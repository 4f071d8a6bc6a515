#include "nft/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "schema/err.h"

#define RCVBUF		(8 << 20)

int netlink_open(int protocol, const char *to, int flags, uint32_t *portid, struct err *err)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(sa);
	const int rcvbuf = RCVBUF, on = 1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, protocol);

	if (fd < 0)
		return err_set(err, errno == EPROTONOSUPPORT ? ERR_ABSENT : ERR_SYSTEM, "cannot open a netlink socket to %s: %s",
		    to, strerror(errno));
	/* Without privilege the default has to do. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
		err_set(err, ERR_SYSTEM, "cannot bind a netlink socket: %s", strerror(errno));
		close(fd);
		return -1;
	}
	/* Errors without the whole message but with the place in it; older kernels do not. */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	*portid = sa.nl_pid;
	return fd;
}

ssize_t netlink_send(int fd, const void *p, size_t len)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;

	do
		n = sendto(fd, p, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t netlink_recv(int fd, void *buf, size_t size, int flags)
{
	struct sockaddr_nl from;
	socklen_t len;
	ssize_t n;

	do {
		len = sizeof(from);
		n = recvfrom(fd, buf, size, flags, (struct sockaddr *)&from, &len);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	return n;
}
