/* gpo/rsop_text.h - how names from the directory are printed.  Private to gpo/. */
#ifndef GPO_RSOP_TEXT_H
#define GPO_RSOP_TEXT_H

#include <stdio.h>

struct guid;
struct json_t;

/* 'name' {guid}, or what else names it. */
void rsop_put_object(FILE *out, const char *name, const struct guid *id, const char *dn);
/* Bytes that are no UTF-8 become U+FFFD; jansson escapes the rest.  NULL: no memory. */
struct json_t *rsop_json_text(const char *s);
struct json_t *rsop_json_guid(const struct guid *g);

#endif
