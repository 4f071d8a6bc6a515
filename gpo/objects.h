/* gpo/objects.h - one directory object of a policy, both ways: typed value and attributes
 * ([MS-GPIPSEC] 2.2.1).  Private to gpo/.  Errors do not say which object. */
#ifndef GPO_OBJECTS_H
#define GPO_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>

#include "gpo/container.h"

/* ---- attributes to value, objects_parse.c ---- */

/* o->class and o->entry are given, the rest is zero: fills id, name, description and the value, but
 * no references.  On error the id is set if it could be told. */
int object_parse(struct ipsec_object *o, struct arena *a, struct err *err);
int object_parse_text(const char **ret, struct arena *a, const struct dir_entry *e, const char *attr, struct err *err);	/* "": absent */
int object_parse_dn(const char **ret, const struct dir_value *v, const char *attr, struct err *err);
/* An attribute of at most one DN; *ret is NULL when there is none and none is needed. */
int object_parse_reference(const char **ret, const struct dir_entry *e, const char *name, bool needed, struct err *err);

/* ---- value to attributes, objects.c ---- */

/* "CN=ipsecFilter{GUID},<container>"; NULL: no memory. */
const char *object_dn(struct arena *a, enum object_class class, const struct guid *id, const char *container);
/* All attributes of a new object.  References come from the pointers; those that are NULL are left out. */
int object_build(struct dir_entry *ret, struct arena *a, const struct ipsec_object *o, const char *const *owners, size_t n_owners, struct err *err);
/* What policy_check says of this object; of a rule also whether it fits its action. */
int object_check(const struct ipsec_object *o, struct err *err);
/* "filter list 'Web': <message so far>" */
int object_prefix(struct err *err, const struct ipsec_object *o);

#endif
