/* schema/change.h - VALUE: one change of one directory object, as an LDAP add, modify or
 * delete would say it (RFC 4511 4.6-4.8).  A list of them in order is an edit; whoever
 * applies it stops at the first that fails.  Text form: LDIF change records (RFC 2849).
 *
 * Whoever applies one: ERR_BUSY: the object to add is there, the one to modify is gone or not as `was` says;
 * ERR_ABSENT: the one to delete is gone; ERR_DENIED: no right to, or another server has to be asked. */
#ifndef SCHEMA_CHANGE_H
#define SCHEMA_CHANGE_H

#include <stddef.h>
#include <stdio.h>

#include "schema/snapshot.h"

enum dir_change_kind { CHANGE_ADD, CHANGE_MODIFY, CHANGE_DELETE };
enum dir_mod_kind {
	MOD_ADD,	/* these values, at least one, which are not there */
	MOD_DELETE,	/* these values, at least one, which are there */
	MOD_REPLACE,	/* all of `was` by all of `attr`; either may have no values.  To be
			 * refused when it is not `was` that is there: somebody else was here. */
};

struct dir_mod {
	enum dir_mod_kind	kind;
	struct dir_attr		attr;		/* the name is always set */
	struct dir_attr		was;		/* REPLACE: of the same name, what is there now; else not looked at */
};

struct dir_change {
	enum dir_change_kind	 kind;
	const char		*dn;
	struct dir_attr		*attrs;		/* ADD: all of the new object */
	size_t			 n_attrs;
	struct dir_mod		*mods;		/* MODIFY: at least one */
	size_t			 n_mods;
};

/* "dn: ..", "changetype: ..", and an empty line.  -1: write error. */
int change_write(const struct dir_change *c, FILE *out);

#endif
