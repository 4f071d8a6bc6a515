/* store/active.h - the assigned policies of registry.db as sealed texts (schema/policy.h), beside
 * their objects: what the service reads, so that it decodes no blobs.  SHELL. */
#ifndef STORE_ACTIVE_H
#define STORE_ACTIVE_H

struct err;
struct store;

/* Not Windows': derived from Policy\Local and Policy\Persistent, and as secret. */
#define REG_ACTIVE	"SOFTWARE\\ipsecpol"

/* Brings it up to date, as the last step of a transaction that changes objects or assignments.  A policy that
 * is malformed, incomplete or cannot be expressed is no error: why is kept in its place.  -1: could not be read or
 * written; roll back.  (store/active_update.c) */
int active_update(struct store *s, struct err *err);

/* The text of the policy assigned below key (REG_LOCAL, REG_PERSISTENT).  0: *ret is the text (free it), or NULL:
 * none is assigned, or it cannot be used, and then *unusable says why.  *unusable is written in that last case
 * only.  -1: could not be read.  Several values are read: within a transaction. */
int active_read(char **ret, struct err *unusable, struct store *s, const char *key, struct err *err);

#endif
