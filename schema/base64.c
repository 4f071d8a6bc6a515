/* RFC 4648 section 4: with padding, without line breaks. */
#include <stdint.h>
#include <sys/types.h>

#include "schema/arena.h"
#include "schema/ldif.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_quad(char out[static 4], const uint8_t *p, size_t n)
{
	uint32_t w = (uint32_t)p[0] << 16;

	if (n > 1)
		w |= (uint32_t)p[1] << 8;
	if (n > 2)
		w |= p[2];
	for (size_t i = 0; i < 4; i++)
		out[i] = i <= n ? digits[w >> (18 - 6 * i) & 63] : '=';
}

char *base64_text(struct arena *a, const void *p, size_t len)
{
	const uint8_t *b = p;
	char *out, *q;

	if (len / 3 >= SIZE_MAX / 4 - 1)
		return NULL;
	out = q = arena_zalloc(a, (len + 2) / 3 * 4 + 1, 1);
	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i += 3, q += 4)
		base64_quad(q, b + i, len - i < 3 ? len - i : 3);
	return out;
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Length of what text stands for, -1 when it is not base64. */
static ssize_t decoded_len(const char *text, size_t len)
{
	size_t pad = 0;

	if (len == 0)
		return 0;
	if (len % 4)
		return -1;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < len - pad; i++)
		if (digit_value(text[i]) < 0)
			return -1;
	/* One text for each value: the bits that do not count are zero. */
	if (pad && digit_value(text[len - 1 - pad]) & (pad == 1 ? 3 : 15))
		return -1;
	return (ssize_t)(len / 4 * 3 - pad);
}

int base64_parse(struct dir_value *ret, struct arena *a, const char *text, size_t len)
{
	ssize_t n = decoded_len(text, len);
	uint32_t w = 0;
	uint8_t *p, *q;

	if (n < 0)
		return -1;
	p = q = arena_zalloc(a, (size_t)n + 1, 1);
	if (!p)
		return -1;
	for (size_t i = 0; q < p + n; i++) {
		w = w << 6 | (text[i] == '=' ? 0 : (uint32_t)digit_value(text[i]));
		if (i % 4 == 3)
			for (int shift = 16; shift >= 0 && q < p + n; shift -= 8)
				*q++ = (uint8_t)(w >> shift);
	}
	ret->p = p;
	ret->len = (size_t)n;
	return 0;
}
