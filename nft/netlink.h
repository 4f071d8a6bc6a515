/* nft/netlink.h - a netlink socket as all of ours are.  SHELL. */
#ifndef NFT_NETLINK_H
#define NFT_NETLINK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* A bound socket with a large receive buffer and short errors; flags: of socket(2), beside close-on-exec.  `to` names the
 * other side in errors.  -1: error, ERR_ABSENT where the kernel does not know the protocol. */
int netlink_open(int protocol, const char *to, int flags, uint32_t *portid, struct err *err);
ssize_t netlink_send(int fd, const void *p, size_t len);	/* to the kernel; -1: errno */
/* Bytes of one datagram from the kernel; -1: errno.  Others' datagrams are dropped. */
ssize_t netlink_recv(int fd, void *buf, size_t size, int flags);

#endif
