/* store/active.h - the assigned policies of registry.db as sealed texts (schema/policy.h), beside
 * their objects: what the service reads, so that it decodes no blobs.  SHELL. */
#ifndef STORE_ACTIVE_H
#define STORE_ACTIVE_H

struct err;
struct store;

/* Not Windows': derived from Policy\Local and Policy\Persistent, and as secret. */
#define REG_ACTIVE	"SOFTWARE\\ipsecpol"

/* Within a transaction that changes objects or assignments, as its last step.  A policy that
 * cannot be used is no error here: what is wrong with it is kept instead.  (store/active_update.c) */
int active_update(struct store *s, struct err *err);

/* The text of the policy assigned below key (REG_LOCAL, REG_PERSISTENT); *ret NULL: none is.  When it is assigned
 * and cannot be used, *ret is NULL and *unusable says why; else *unusable is as it was.  free(*ret). */
int active_read(char **ret, struct err *unusable, struct store *s, const char *key, struct err *err);

#endif
