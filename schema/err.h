/* schema/err.h - why something failed, as a value.
 *
 * A function that can fail returns 0 or -1 and, on -1, has filled *err.  The
 * lowest function says what is wrong, each caller may say where:
 *   "rule {6a1e..}: filter 3: mask 255.0.255.0 is not contiguous"
 * Nothing below agent/ prints or logs. */
#ifndef SCHEMA_ERR_H
#define SCHEMA_ERR_H

#include <stdbool.h>

enum err_code {
	ERR_NONE = 0,
	ERR_NOMEM,
	ERR_FORMAT,	/* bytes do not follow their format */
	ERR_LIMIT,	/* within the format, above what we accept */
	ERR_UNSUPPORTED,/* well formed, but cannot be expressed here */
	ERR_ABSENT,	/* a referenced object does not exist */
	ERR_DENIED,	/* the directory refused */
	ERR_OFFLINE,	/* no domain controller answered */
	ERR_SYSTEM,	/* a system call failed */
	ERR_KERNEL,	/* the kernel refused the ruleset */
	ERR_DAMAGED,	/* what the store holds is not what was written */
	ERR_BUSY,	/* another process holds the lock */
};

struct err {
	enum err_code	code;
	char		msg[480];
};

/* All three return -1.  err_prefix keeps the code and puts "<text>: " in front, cut to
 * half of msg; a message that does not fit is cut at the end.  Control characters in what
 * was formatted are replaced by '?', and so is what is not UTF-8: messages quote the directory. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int err_prefix(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int err_nomem(struct err *err);

/* "format", "offline"...: stable words for JSON and the worker's pipe. */
const char *err_code_name(enum err_code code);	/* "unknown": not one of them */
enum err_code err_code_parse(const char *name);	/* ERR_NONE: unknown name */
/* "CODE MESSAGE", as a store or the pipe has it.  false: no such code, *ret is as it was. */
bool err_read(struct err *ret, const char *text);

#endif
