/* store/objects.h - directory objects as Windows keeps them in its registry: one key an
 * object ("ipsecFilter{GUID}"...) below Policy\Local, Policy\Persistent or Policy\Cache, the
 * directory's attribute names as value names, references as paths.  SHELL. */
#ifndef STORE_OBJECTS_H
#define STORE_OBJECTS_H

#include <stddef.h>

#include "schema/change.h"

struct arena;
struct err;
struct store;

#define OBJECTS_DN	"CN=IP Security"	/* DN of the container when it is a key */

/* The attributes of objects that have a place there, in the order in which Windows writes them. */
enum object_kind {
	KIND_TEXT,	/* SZ */
	KIND_NUMBER,	/* DWORD, in the directory decimal */
	KIND_BYTES,	/* BINARY */
	KIND_REFERENCE,	/* SZ, in the directory a DN */
	KIND_REFERENCES, /* MULTI_SZ, DNs */
};

#define OBJECT_ATTRS	12

extern const struct object_attr {
	const char		*name;
	enum object_kind	 kind;
} object_attrs[OBJECT_ATTRS];

/* key: REG_LOCAL...; entries have DNs below OBJECTS_DN, with objectClass, cn, whenChanged and what
 * of ipsecName, description, ipsecID, ipsecDataType, ipsecData, references and types is there.  Values
 * that no object has, and keys that are none, are left where they are.  An absent key holds nothing.  Paths of references in
 * any letter case, with HKEY_LOCAL_MACHINE or without; REG_SZ and REG_MULTI_SZ of one string are
 * as good as one another.  ERR_FORMAT names key and value that is not of the type it has to be, or
 * refers to what is not below key.  One state is read, also without a transaction. */
int objects_read(struct dir_entry **ret, size_t *ret_n, struct arena *a, struct store *s, const char *key, struct err *err);
/* Within a transaction.  changed: seconds, for whenChanged of each object that is written; of an object
 * that is modified only the values of changed attributes are.  ERR_BUSY and ERR_ABSENT as schema/change.h says.
 * ERR_UNSUPPORTED: an attribute without a place in the registry; ERR_FORMAT: a DN that is not below
 * OBJECTS_DN.  objectClass gives the class; cn, name and whenChanged are the store's own. */
int objects_apply(struct store *s, const char *key, const struct dir_change *changes, size_t n, int64_t changed, struct err *err);

/* The assigned policy: ActivePolicy, a path.  1: there is one, *ret its DN (whether that exists or not); 0: none, *ret as it was; -1.
 * ERR_FORMAT: it is not a path below key.  Setting: within a transaction. */
int objects_active(const char **ret, struct arena *a, struct store *s, const char *key, struct err *err);
int objects_set_active(struct store *s, const char *key, const char *dn, struct err *err);	/* NULL: none */

#endif
