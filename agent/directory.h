/* agent/directory.h - a directory that can be searched, and a server's changed: LDAP or an LDIF file.
 * SHELL.  ldap://HOST ldaps://HOST ldapi://PATH ldap:///[DN] (SRV discovery) ldif:FILE.
 * No anonymous binds; referrals are not followed; paging and ranged attributes are. */
#ifndef AGENT_DIRECTORY_H
#define AGENT_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/snapshot.h"

struct arena;
struct conf;
struct dir_change;
struct directory;
struct err;

struct directory_conf {
	const struct conf	*conf;		/* bind, TLS, timeouts, domain */
	const char		*uri;		/* several, separated by blanks: the first that answers; ldif: alone */
	const char		*site;		/* domain controllers of this site first; NULL: not known */
	const char		*const *skip;	/* hosts or URIs that failed in this refresh; NULL-terminated or NULL */
	int			 keytab_fd;	/* -1: conf's path */
	int			 password_fd, tls_key_fd;	/* likewise */
	bool			 bulk;		/* whole domains are asked for: higher limits */
};

/* What went over the connection since it was made; a file: nothing. */
struct dir_traffic {
	size_t	n_requests;		/* searches, each page for itself */
	size_t	sent, received;		/* bytes, with all of TLS or SASL around them */
};

/* Connects and binds.  With discovery: the first server that answers.
 * ERR_OFFLINE: nobody answered (the message lists whom and why); ERR_DENIED: the bind was
 * refused; ERR_FORMAT: a URI, the domain or the LDIF file is malformed; ERR_ABSENT: no such
 * file, or no domain to discover servers of. */
struct directory *directory_open(const struct directory_conf *c, struct err *err);
void directory_close(struct directory *d);	/* NULL: nothing */
const char *directory_server(const struct directory *d);	/* URI in use */
const char *directory_address(const struct directory *d);	/* "10.77.0.1", NULL: none */
const struct dir_traffic *directory_traffic(const struct directory *d);
/* Addresses of all servers that discovery found on its way, one a line; NULL
 * without discovery.  The names are looked up now, once. */
const char *directory_controllers(struct directory *d);
/* One search, recorded in s.  Of a server anything but a complete answer, noSuchObject,
 * insufficientAccessRights or a referral is -1 and ERR_OFFLINE, whatever it did.  ldif:
 * the filter's own error when it is malformed or more than a file can answer.  ERR_NOMEM. */
int directory_search(struct directory *d, const struct dir_query *q, struct dir_snapshot *s, struct err *err);
/* The same, not recorded: q, the outcome, and entries in `a` that live no longer than d. */
int directory_ask(struct directory *d, const struct dir_query *q, struct dir_search *ret, struct arena *a, struct err *err);
/* One change, done by the server as a whole or not at all; the message names the object.  (agent/dir_edit.c)
 * ERR_BUSY, ERR_ABSENT, ERR_DENIED as schema/change.h says; ERR_FORMAT: the server does not take the values;
 * ERR_UNSUPPORTED: not a server.  ERR_OFFLINE: anything else, and when the answer is missing nobody knows
 * whether it was done. */
int directory_change(struct directory *d, const struct dir_change *c, struct err *err);
/* Changes that were done one after the other, undone last first: what was valid at every step on the way
 * there is so on the way back.  -1: not all could be.  A deletion cannot. */
int directory_take_back(struct directory *d, const struct dir_change *c, size_t n);

#endif
