/* schema/ascii.h - letters and hexadecimal digits, in any locale: tolower() and
 * strcasecmp() mind it, and in a Turkish one 'I' is no capital 'i'. */
#ifndef SCHEMA_ASCII_H
#define SCHEMA_ASCII_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint8_t ascii_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* As strcmp, without case. */
static inline int ascii_cmp(const char *x, const char *y)
{
	while (*x && ascii_lower((uint8_t)*x) == ascii_lower((uint8_t)*y)) {
		x++;
		y++;
	}
	return ascii_lower((uint8_t)*x) - ascii_lower((uint8_t)*y);
}

static inline bool ascii_equal(const char *x, const char *y)
{
	return ascii_cmp(x, y) == 0;
}

/* -1: none. */
static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* out: 2 * n digits in lower case and NUL. */
static inline void hex_text(char *out, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

#endif
