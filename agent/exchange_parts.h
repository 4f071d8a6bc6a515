/* agent/exchange_parts.h - what the files of exchange*.c share; private to them and cli_reg*.c.
 *
 *   file -> content, with the DNs of the store it goes to -> merged into its container
 *   container -> entries -> keys or records -> file */
#ifndef AGENT_EXCHANGE_PARTS_H
#define AGENT_EXCHANGE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "agent/session.h"
#include "schema/snapshot.h"
#include "store/objects.h"

struct arena;
struct err;
struct reg_key;

struct exchange_gpo {			/* a GPO and what it assigns */
	const char	*gpo;		/* "{GUID}", or its display name where that is not known */
	const char	*name;		/* for people */
	const char	*policy;	/* DN */
	bool		 missing;	/* there is no such GPO any more */
};

struct exchange_content {		/* of a file; all in one arena */
	struct dir_entry	*entries;	/* of the five classes, DNs and references below the target's container */
	unsigned		*lines;		/* where each begins; 0: not known */
	size_t			 n;
	const char		*active;	/* DN of the assigned policy; NULL: none */
	struct exchange_gpo	*gpos;
	size_t			 n_gpos;
	const char		*from;		/* "Policy\Local"; NULL: nothing to be said */
};

/* "CN=<leaf>,<container>"; NULL: no memory, or the leaf is not like "ipsecNFA{GUID}". */
const char *exchange_dn(struct arena *a, const char *leaf, const char *container);
/* Leaf of a DN or path; NULL: none. */
const char *exchange_leaf(struct arena *a, const char *reference);
/* An object of this class with nothing in it but its name; good until the next exchange_entry_add.  NULL: no memory. */
struct dir_entry *exchange_entry_add(struct exchange_content *c, struct arena *a, const char *dn, const char *leaf, const char *class, unsigned line);
int exchange_value_add(struct dir_entry *e, struct arena *a, const char *name, const void *p, size_t len, struct err *err);
/* The class whose name the leaf begins with; OBJ_N_CLASSES: none. */
enum object_class exchange_class(const char *leaf);

/* What the container is to be, with or without damaged objects, and without those that `but` has (NULL: all). */
int exchange_entries(struct dir_entry **ret, size_t *ret_n, struct arena *a, struct ipsec_container *c, bool damaged, const struct ipsec_container *but, struct err *err);

/* ---- files, exchange_file.c ---- */
int exchange_file_read(const char *path, char **ret, size_t *ret_len, struct err *err);	/* free(*ret) */
struct exchange_out {
	FILE		*f;		/* PATH.new, mode 0600 */
	const char	*path, *new, *folder;
};
/* The file at path is replaced whole, or not at all.  _drop or _finish ends it; path must outlive *ret.  _finish: -1 also
 * when the file is in place but its folder could not be synced. */
int exchange_file_create(struct exchange_out *ret, const char *path, struct arena *a, struct err *err);
void exchange_file_drop(struct exchange_out *o);
int exchange_file_finish(struct exchange_out *o, struct err *err);

/* ---- registry, exchange_reg.c; pure ---- */
/* What of path is below top, names without case: "" for top itself; NULL: it is elsewhere. */
const char *reg_path_below(const char *path, const char *top);
int exchange_from_keys(struct exchange_content *ret, struct arena *a, const struct reg_key *keys, size_t n, const char *container, enum store_location target, struct err *err);
/* active: DN or NULL; root: REG_LOCAL... */
int exchange_to_keys(struct reg_key **ret, size_t *ret_n, struct arena *a, const struct dir_entry *entries, size_t n, const char *root, const char *active, struct err *err);

/* ---- LDIF, exchange_backup.c ---- */
int exchange_from_ldif(struct exchange_content *ret, struct arena *a, const char *text, size_t len, const char *container, struct err *err);
/* gpos: or, not in a domain, one with gpo "". */
int exchange_to_ldif(const struct dir_entry *entries, size_t n, const struct exchange_gpo *gpos, size_t n_gpos, const char *container, FILE *out, struct err *err);
/* The GPOs that assign the policies of a container. */
int exchange_gpos(struct exchange_gpo **ret, size_t *ret_n, struct arena *a, const struct ipsec_container *c, struct backend *b, struct err *err);
/* Puts the assignments of a backup on e's list, and notes which GPOs are missing.  -1: the list is as it was. */
int exchange_gpos_restore(struct store_edit *e, struct backend *b, struct exchange_content *content, struct err *err);

/* ---- merging, exchange_merge.c ---- */
struct exchange_report {
	size_t	n_replaced, n_added, n_orphans;
};
/* All or nothing, unless ERR_NOMEM: then load c again. */
int exchange_merge(struct exchange_report *ret, struct ipsec_container *c, const struct exchange_content *content, struct err *err);

#endif
