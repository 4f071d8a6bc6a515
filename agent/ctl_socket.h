/* agent/ctl_socket.h - the file side of the control socket, for ctl.c and ctl_ask.c. */
#ifndef AGENT_CTL_SOCKET_H
#define AGENT_CTL_SOCKET_H

struct err;
struct sockaddr_un;

/* ERR_LIMIT: the path is too long for a socket. */
int ctl_socket_address(struct sockaddr_un *ret, const char *path, struct err *err);
/* A listening socket at path, mode 0666, in a folder that is created (0755) when
 * it is missing; see ctl_listen.  -1: error. */
int ctl_socket_listen(const char *path, struct err *err);

#endif
