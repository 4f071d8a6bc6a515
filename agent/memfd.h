/* agent/memfd.h - a file in memory: how a process that may not open a file gets its
 * contents, as /proc/self/fd/N where a library wants a name.  SHELL. */
#ifndef AGENT_MEMFD_H
#define AGENT_MEMFD_H

#include <stddef.h>

struct err;

/* A descriptor (close-on-exec) of len bytes that nobody can change any more, at its
 * beginning; name is for /proc only.  -1: error. */
int memfd_of(const char *name, const void *p, size_t len, struct err *err);

#endif
