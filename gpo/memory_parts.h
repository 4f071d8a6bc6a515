/* gpo/memory_parts.h - between memory.c (what is remembered) and recall.c (its use).
 * Private to the two. */
#ifndef GPO_MEMORY_PARTS_H
#define GPO_MEMORY_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "gpo/dnset.h"
#include "schema/snapshot.h"

struct err;
struct gp_walk;

struct gp_memory {
	const char		*server;	/* as memory_server; NULL: nothing is remembered */
	int64_t			 usn;		/* largest uSNChanged; 0: an OpenLDAP */
	struct dnset		 dns;
	const struct dir_entry	*entries;	/* as in dns */
};

enum memory_stamp { STAMP_SAME, STAMP_CHANGED, STAMP_ODD };

/* Whose stamps can be compared: "ad DN-OF-THE-DC" or "ldap URI"; NULL: nobody's.  After walk_root. */
int memory_server(const char **ret, int64_t *ret_usn, const struct gp_walk *w, struct err *err);
bool memory_has_stamp(const struct dir_entry *e, bool ad);
enum memory_stamp memory_compare(const struct dir_entry *old, const struct dir_entry *now, bool ad);

#endif
