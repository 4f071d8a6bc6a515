/* agent/ctl_socket.h - the file side of the control socket, for ctl.c alone. */
#ifndef AGENT_CTL_SOCKET_H
#define AGENT_CTL_SOCKET_H

struct err;

/* A listening socket at path, mode 0666, in a folder that is created (0755) when
 * it is missing; see ctl_listen.  -1: error. */
int ctl_socket_listen(const char *path, struct err *err);

#endif
