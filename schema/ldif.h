/* schema/ldif.h - LDIF content records (RFC 2849) to entries and back.
 *
 * Own reader, for errors with line numbers and because the system's one follows
 * "attr:< file://" references; here they are refused, as are change records. */
#ifndef SCHEMA_LDIF_H
#define SCHEMA_LDIF_H

#include <stddef.h>
#include <stdio.h>

#include "schema/snapshot.h"

/* Folded lines, base64, comments, CRLF, "version: 1" are understood; attribute
 * values of one entry are gathered by name (options are part of it) in the order
 * in which the names first appear.  An empty dn is the root DSE; an entry may be
 * without attributes; a DN may come twice.  Errors: "line 17: ...". */
int ldif_read(struct dir_entry **ret, size_t *ret_n, struct arena *a, const char *text, size_t len, struct err *err);
/* One record and an empty line; base64 where the RFC wants it and for control
 * characters, folded at 76.  -1: write error. */
int ldif_write_entry(const struct dir_entry *e, FILE *out);
void ldif_write_dn(const char *dn, FILE *out);		/* its two kinds of lines alone */
void ldif_write_value(const char *name, const struct dir_value *v, FILE *out);
/* "base64" of bytes, in the arena; NULL: no memory. */
char *base64_text(struct arena *a, const void *p, size_t len);
void base64_quad(char out[static 4], const uint8_t *p, size_t n);	/* of 1..3 bytes */
/* -1: not base64 (padding, no blanks, unused bits zero), or no memory. */
int base64_parse(struct dir_value *ret, struct arena *a, const char *text, size_t len);

#endif
