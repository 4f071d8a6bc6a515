/* agent/dir_backend.h - what each kind of directory does for directory.c, and the
 * search filter of the kind that has no server.  Private to agent/dir*.c (and
 * to the tests of the filter).  SHELL, but for the filter, which is pure. */
#ifndef AGENT_DIR_BACKEND_H
#define AGENT_DIR_BACKEND_H

#include <ldap.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/directory.h"
#include "schema/snapshot.h"

struct arena;
struct directory_conf;
struct err;

/* One answer; what is larger is an error, never cut. */
#define DIR_MAX_ENTRIES		100000u
#define DIR_MAX_BYTES		(64u << 20)
/* The same where whole domains are asked for (directory_conf.bulk), and the time for it. */
#define DIR_BULK_ENTRIES	(1u << 20)
#define DIR_BULK_BYTES		(512u << 20)
#define DIR_BULK_TIMEOUTS	10u		/* times the timeout of one request */
#define DIR_MAX_FILE		(256u << 20)	/* an LDIF file */

struct dir_answer {
	enum dir_outcome	 outcome;
	struct dir_entry	*entries;	/* in the arena of the search */
	size_t			 n_entries;
};

/* A kind of directory; each embeds this as its first member. */
struct directory {
	int (*search)(struct directory *d, const struct dir_query *q, struct dir_answer *ret, struct arena *a, struct err *err);
	void (*close)(struct directory *d);		/* frees d */
	const char	*server;			/* URI in use */
	const char	*address;			/* numeric, or NULL */
	LDAP		*ld;				/* the connection, for dir_edit.c; NULL: a file, which is not changed */
	unsigned	 timeout;			/* seconds, one request */
	struct dir_traffic traffic;
	bool		 bulk;				/* answers may be as large as DIR_BULK_... */
	char		*hosts;				/* directory.c's: what discovery found, one a line; malloc'd */
	char		*controllers;			/* and their addresses, once looked up; malloc'd */
};

/* Both: NULL on failure.  ldap: one server, connected and bound. */
struct directory *dir_ldap_open(const struct directory_conf *c, const char *uri, struct err *err);
struct directory *dir_ldif_open(const char *file, struct err *err);

/* ---- LDAP, in parts: dir_ldap.c searches, dir_bind.c connects, dir_io.c waits and gives up in time ---- */
struct dir_io {
	struct ldap_conncb	 cb;
	unsigned		 seconds;	/* for connecting */
	bool			 connected;	/* TCP was; what failed then is TLS */
	double			 deadline;	/* dir_now() after which nothing is read or written any more */
	struct dir_traffic	*traffic;	/* counted there */
};

/* For the connections that ld will make; io and traffic live as long as ld. */
int dir_io_attach(LDAP *ld, struct dir_io *io, struct dir_traffic *traffic, unsigned seconds);
void dir_io_until(LDAP *ld, double when);	/* nothing beyond it; dir_ldap_wait() does it */

/* dir_connect: TCP, and TLS where it is asked for.  dir_bind: who we are; never
 * nobody, and a password never in clear. */
int dir_connect(LDAP *ld, const struct dir_io *io, const struct directory_conf *c, const char *uri, struct err *err);
int dir_bind(LDAP *ld, const struct directory_conf *c, const char *uri, struct err *err);
/* -1, and err from a libldap code: ERR_DENIED where the server refused who we are, else
 * ERR_OFFLINE; "doing: text (diagnostic)". */
int dir_ldap_error(LDAP *ld, int rc, const char *doing, struct err *err);
/* The next message of request id (all: once it is complete) into *ret, until
 * `when` at the latest. */
int dir_ldap_wait(LDAP *ld, int id, int all, double when, LDAPMessage **ret, struct err *err);
double dir_now(void);		/* CLOCK_MONOTONIC, seconds */

/* A copy of the keytab with the keys of one account only, as a descriptor that
 * libkrb5 can open; the first principal of a client keytab is the one it uses.
 * *ret_principal: "HOST1$@CORP.EXAMPLE", in `a`. */
int dir_keytab(int *ret_fd, char **ret_principal, struct arena *a, int fd, const char *account, struct err *err);

/* The same of a whole file that was handed to us as a descriptor; -1 and err. */
int dir_memfd_copy(int fd, struct err *err);

/* ---- RFC 4515 filters, agent/dir_filter.c ----
 * & | ! equality, presence, substrings and the bit-AND rule of [MS-ADTS]
 * 3.1.1.3.4.4; anything else is an error.  entryDN and distinguishedName are the
 * entry's own name, values that are names compare as names, objectClass=ipsecBase
 * is any of its five classes, and the terms of a NetLogon ping ([MS-ADTS] 6.3.3)
 * are true of a root DSE that holds an answer to it. */
#define FILTER_MAX_TEXT		(4u << 20)
#define FILTER_MAX_DEPTH	32

struct dir_filter;

int filter_parse(struct dir_filter **ret, struct arena *a, const char *text, struct err *err);
/* 1 or 0; -1: out of memory.  key: dn_key(e->dn); scratch: for what is thrown away later. */
int filter_match(const struct dir_filter *f, const struct dir_entry *e, const char *key, struct arena *scratch);

#endif
