/* schema/policy_text.h - what writing and reading the text of a policy share; for
 * policy_text.c, policy_lines.c and policy_read.c only. */
#ifndef SCHEMA_POLICY_TEXT_H
#define SCHEMA_POLICY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/ident.h"

struct arena;
struct err;

static inline const char *policy_protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case 0: return "any";
	case 1: return "icmp";
	case 6: return "tcp";
	case 17: return "udp";
	}
	return NULL;
}

/* Stands in a line.  After the first error everything yields zero or "" and no
 * line begins with anything, so that each loop ends. */
struct in {
	const char		*p, *eol;	/* what is left of this line */
	const char		*end;		/* of the text */
	size_t			 line;
	bool			 bad;		/* and *err is filled */
	struct arena		*a;
	struct err		*err;
};

#define WORD_MAX	128

void in_fail(struct in *in, const char *what);
void in_fail_nomem(struct in *in);
void in_open(struct in *in, const char *p);	/* the line that begins at p */
void in_done(struct in *in);			/* nothing is left of it: to the next */
/* Takes `word` (tabs in front count) and the space behind it, when they are next. */
bool in_take(struct in *in, const char *word);
void in_need(struct in *in, const char *word);
bool in_word(struct in *in, char out[static WORD_MAX]);
bool in_number_parse(uint32_t *ret, const char *s, uint32_t max);
uint32_t in_number(struct in *in, uint32_t max);
uint32_t in_key_number(struct in *in, const char *key, uint32_t max);
struct guid in_guid(struct in *in);
const char *in_text(struct in *in);
/* Whole lines of one key and one value. */
uint32_t in_number_line(struct in *in, const char *key);
bool in_bool_line(struct in *in, const char *key);
const char *in_text_line(struct in *in, const char *key);
const char *in_text_maybe(struct in *in, const char *key);	/* no such line: "" */
/* A further zeroed element behind the n of an array, or NULL. */
void *in_add(struct in *in, void **array, size_t n, size_t size);

#endif
