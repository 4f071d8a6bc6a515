/* schema/utf.h - UTF-8 and UTF-16LE, strictly (RFC 3629, RFC 2781): no surrogate
 * without its partner, no overlong form, no NUL inside a text. */
#ifndef SCHEMA_UTF_H
#define SCHEMA_UTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct arena;
struct err;
struct wr;

/* The character at *s, which moves behind it; 0 at the end, -1 where the bytes
 * are not UTF-8 (*s stays). */
int32_t utf8_next(const char **s);
bool utf8_valid(const char *s);
size_t utf8_put(char out[static 4], int32_t c);	/* bytes written, 1..4 */

/* Control characters (C0, C1, DEL) and those that change how a terminal shows others
 * (bidirectional overrides, zero-width, tags). */
bool utf8_hidden(int32_t c);
/* In place: hidden characters, but for those in keep ("\n\t" or ""), and bytes that are not
 * UTF-8 become '?'.  For every text that is not ours before it is printed or logged. */
void utf8_clean(char *s, const char *keep);
/* To out: the same characters and bytes as "\x0a", those in quote with a backslash. */
void utf8_write(FILE *out, const char *s, const char *quote);

/* len bytes of UTF-16LE, with or without one NUL character at the end. */
int utf16_parse(const char **ret, struct arena *a, const uint8_t *p, size_t len, struct err *err);
/* As the blobs hold a string: u32 length in bytes, UTF-16LE, NUL (counted). */
int utf16_build(struct wr *wr, const char *s, struct err *err);

#endif
