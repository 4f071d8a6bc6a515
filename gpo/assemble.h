/* gpo/assemble.h - follow a policy object's references through its NFAs to filter
 * lists and filter actions; decode, resolve, check: all of it or nothing.  And
 * the way back: the objects that say a policy. */
#ifndef GPO_ASSEMBLE_H
#define GPO_ASSEMBLE_H

#include <stddef.h>

#include "schema/snapshot.h"

struct arena;
struct err;
struct ipsec_policy;

/* Errors name object and attribute; code ABSENT or DENIED tells a missing from an
 * unreadable object, FORMAT a malformed one. */
int policy_assemble(struct ipsec_policy **ret, const struct dir_snapshot *s, const char *policy_dn, struct err *err);

/* The same from a plain list of entries (registry store, LDIF). */
int policy_assemble_entries(struct ipsec_policy **ret, const struct dir_entry *entries, size_t n_entries, const char *policy_dn, struct err *err);

/* Policy -> entries "CN=ipsecPolicy{GUID},<container>"..., policy object first,
 * with objectClass, cn, ipsecName, ipsecID, ipsecDataType, ipsecData and the references both ways. */
int policy_objects(struct dir_entry **ret, size_t *ret_n, struct arena *a, const struct ipsec_policy *p, const char *container, struct err *err);

#endif
