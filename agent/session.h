/* agent/session.h - editing stores with the static context: which store, what is loaded,
 * what is not written yet.  SHELL.
 *
 * A command changes the container in memory (static_*.c) and is remembered; session_flush writes
 * what changed in one go.  When somebody else changed the store meanwhile, it is loaded again
 * and the remembered commands are run once more on what is there now: nobody's edit is
 * lost, and what no longer fits is an error that names the command. */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "agent/netsh.h"
#include "gpo/container.h"

struct conf;
struct err;

enum store_location { LOCATION_LOCAL, LOCATION_PERSISTENT, LOCATION_DOMAIN };

struct gpo_assign {
	const char		*gpo;		/* display name or {GUID} */
	const char		*policy;	/* DN; NULL: none */
};

/* A GPO that assigns a policy. */
struct gpo_user {
	const char	*gpo;		/* "{GUID}": finds this very one; as name where its DN has none */
	const char	*name;		/* for people: its display name, else as gpo; several may have it */
};

/* One store, as it was loaded and as it is to be. */
struct store_edit {
	enum store_location	 location;
	struct ipsec_container	*container;
	const char		*active;	/* not domain: DN of the assigned policy; NULL: none */
	bool			 active_changed;
	struct gpo_assign	*gpos;		/* domain: to be done after the objects, in this order */
	size_t			 n_gpos;
	struct filter_index	*filters;	/* private to static_index.c; NULL: none yet */
};

/* Where a store lives.
 * load: *ret is zero before; the container is the caller's from then on, and `active` and `gpos` live in its arena.
 *   -1: *ret stays empty.
 * save: uses what the last load kept.  0: written; e is out of date, load again.  -1: e is out of date, too.
 *   ERR_BUSY: not what was loaded any more, load and run again.  ERR_OFFLINE, ERR_NOMEM: nothing was written.
 *   Anything else: as its message says. */
struct backend {
	int	(*load)(struct backend *b, struct store_edit *ret, struct err *err);
	int	(*save)(struct backend *b, struct store_edit *e, struct err *err);
	/* Which policy a GPO (GUID or display name) assigns.  1: *ret_dn is its DN, in `a`; 0: none, *ret_dn as it was; -1.
	 * Elsewhere than in a domain ERR_UNSUPPORTED. */
	int	(*assigned)(struct backend *b, const char *gpo, const char **ret_dn, struct arena *a, struct err *err);
	/* GPOs that assign this policy, in `a`.  Not domain: none. */
	int	(*users)(struct backend *b, const char *policy_dn, struct gpo_user **ret, size_t *ret_n, struct arena *a, struct err *err);
	const char *(*where)(struct backend *b);	/* "domain corp.example (ldap://dc1.corp.example)" */
	void	(*close)(struct backend *b);		/* frees b */
};
struct backend *backend_local(const struct conf *c, enum store_location location, struct err *err);	/* local or persistent; agent/backend_local.c */
/* domain NULL: this host's; uri NULL: conf's.  Binds with the caller's own credentials, never the machine's;
 * agent/backend_domain.c */
struct backend *backend_domain(const struct conf *c, const char *uri, const char *domain, struct err *err);

struct session;

/* Copied; what its pointers point to (conf, texts) outlives the session. */
struct session_options {
	const struct conf	*conf;
	const char		*directory;	/* URI for the domain store; NULL: conf's */
	enum store_location	 location;	/* to begin with */
	const char		*domain;
	bool			 json;		/* of show */
	bool			 deferred;	/* scripts: written when session_flush is called, not after each command */
	bool			 atomic;	/* implies deferred; all or nothing: going to another store with commands that
						 * are not written yet is refused; else they are written first */
	/* Where stores come from; NULL: the two above. */
	struct backend		*(*open)(const struct session_options *o, enum store_location location, const char *domain, struct err *err);
	void			*cookie;	/* for open, which finds it in o */
};

/* Opens no store yet: the first command that needs it does. */
struct session *session_open(const struct session_options *o, struct err *err);
void session_close(struct session *s);		/* NULL: nothing; what was not flushed is dropped */
/* One command of the static context.  Output goes to out.  -1 leaves everything as it was before the command, unless it
 * came out of writing (as session_flush, but then the command is not kept), or it is an import with a message that begins
 * with "imported, but ": that one is done, and names the GPOs that are gone. */
int session_run(struct session *s, const struct netsh_args *a, FILE *out, struct err *err);
/* Writes what is remembered.  -1:
 *   ERR_OFFLINE, ERR_BUSY, ERR_NOMEM and nothing was written: the commands are kept (session_pending), try again;
 *   the message begins with "stored, but ": all is written and nothing is kept, only the daemon has not followed;
 *   anything else, also "written in part": nothing is kept.  session_pending tells the cases apart. */
int session_flush(struct session *s, struct err *err);
size_t session_pending(const struct session *s);	/* commands not written yet */

/* ---- what session.c and exchange.c call, agent/static_*.c ----
 * Each looks at everything first and changes the container only when nothing can fail any more but
 * memory.  ERR_ABSENT, ERR_FORMAT, ERR_BUSY (in use); one line. */
int static_edit(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err);
/* All show commands. */
int static_show(const struct store_edit *e, struct backend *b, const struct netsh_args *a, bool json, FILE *out, struct err *err);
const char *location_name(enum store_location l);	/* "local" "persistent" "domain" */

/* The store as a script of this context that recreates it, GUIDs as comments; pre-shared keys are in it.
 * ERR_UNSUPPORTED names the object that the grammar cannot say: nothing is left out but what has no effect, and
 * then a comment says so. */
int store_edit_script(const struct store_edit *e, FILE *out, struct err *err);

#endif
