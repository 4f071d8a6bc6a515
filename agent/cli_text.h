/* agent/cli_text.h - how the command line tool prints lines, tables and JSON.  Hidden characters of texts
 * (schema/utf.h) reach no terminal: in lines and tables they are '?', in JSON all but printable ASCII is
 * escaped. */
#ifndef AGENT_CLI_TEXT_H
#define AGENT_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct err;
struct json_t;

struct table;
struct table *table_new(size_t n_columns, const char *const *headings);	/* NULL: no memory */
void table_free(struct table *t);			/* NULL: nothing */
/* n_columns texts; what is NULL is empty.  Out of memory shows in table_print. */
void table_row(struct table *t, const char *const *cells);
/* Columns are cut to a reasonable width unless wide.  Frees nothing. */
int table_print(const struct table *t, bool wide, FILE *out, struct err *err);
/* "Policy Name             : X" */
void list_line(FILE *out, const char *key, const char *value);
void list_heading(FILE *out, const char *text);		/* an empty line, and dashes below */
size_t text_width(const char *s);			/* columns of a terminal */

/* Indented, and a newline.  Takes j; NULL: no memory. */
int json_print(struct json_t *j, FILE *out, struct err *err);
/* On one line, without a newline; j stays. */
int json_print_compact(const struct json_t *j, FILE *out, struct err *err);

#endif
