/* store/regfile.h - registry files: "Windows Registry Editor Version 5.00" (UTF-16LE with its mark, or UTF-8)
 * and "REGEDIT4" (taken as UTF-8).  Pure: text to values and back; who keeps them is not asked here. */
#ifndef STORE_REGFILE_H
#define STORE_REGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "store/store.h"

struct arena;
struct err;

struct reg_key {
	const char		*path;		/* below HKEY_LOCAL_MACHINE, as written; "": that itself */
	bool			 deleted;	/* [-HKEY...] */
	struct reg_value	*values;	/* as reg_set() takes them, NUL behind the data */
	const char *const	*gone;		/* "name"=- ; n_gone of them */
	size_t			 n_values, n_gone;
	unsigned		 line;		/* of the file it was read from */
};

#define REGFILE_HEAD5	"Windows Registry Editor Version 5.00"
#define REGFILE_HEAD4	"REGEDIT4"
#define REGFILE_MAX	(256u << 20)	/* bytes of a file */

/* In the order of the file; a key may come several times.  What is gone of one goes before its
 * values are set.  Keys outside HKEY_LOCAL_MACHINE, and types that the store has not
 * (hex(2), an expandable string, is the one to be met), are errors: "line 7: ...". */
int regfile_parse(struct reg_key **ret, size_t *ret_n, struct arena *a, const char *text, size_t len, struct err *err);
/* The file as UTF-8, with a NUL at its end and nowhere else. */
int regfile_text(const char **ret, struct arena *a, const uint8_t *p, size_t len, struct err *err);
/* Does it begin like one? */
bool regfile_is(const char *text, size_t len);

enum regfile_encoding { REGFILE_UTF16, REGFILE_UTF8 };
/* Lines end in CRLF, hex is folded at 80 columns with a backslash, as reg.exe does; but a string
 * with control characters is written as hex(1).  -1: write error (errno), EILSEQ: something is not UTF-8
 * or not of its type, or a line end in a key's path. */
int regfile_write(const struct reg_key *keys, size_t n, enum regfile_encoding encoding, FILE *out);

#endif
