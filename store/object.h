/* store/object.h - one object of the registry.  Private to store/objects*.c. */
#ifndef STORE_OBJECT_H
#define STORE_OBJECT_H

#include <stddef.h>
#include <stdint.h>

#include "schema/snapshot.h"
#include "store/objects.h"

/* key is that of all objects, path its own. */
struct object {
	struct store	*s;
	struct arena	*a;
	const char	*key, *name, *path;
	struct dir_attr	 attrs[OBJECT_ATTRS];	/* no values: absent */
	int64_t		 changed;		/* -1: absent */
	const char	*class;			/* NULL: none of ours */
};

int object_attr_find(const char *name);		/* -1: none of them */
const char *object_class_find(const char *name, size_t len);	/* as it is written; NULL */
/* The object of o's key and name.  1; 0: there is no such key; -1. */
int object_load(struct object *o, struct err *err);
/* The name of the object's key; NULL: the DN is not one of these objects. */
const char *object_dn_name(struct arena *a, const char *dn);

#endif
