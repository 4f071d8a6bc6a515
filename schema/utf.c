#include "schema/utf.h"

#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/rd.h"

int32_t utf8_next(const char **s)
{
	static const int32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)*s;
	int32_t c;
	int n;

	if (*p < 0x80) {
		if (*p)
			*s += 1;
		return *p;
	}
	n = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
	if (*p < 0xc0 || *p > 0xf4)
		return -1;
	c = *p & (0x3f >> n);
	for (int i = 1; i <= n; i++) {
		/* The NUL at the end is no continuation byte: never read behind it. */
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return -1;
	*s += n + 1;
	return c;
}

bool utf8_valid(const char *s)
{
	int32_t c;

	while ((c = utf8_next(&s)) > 0)
		;
	return c == 0;
}

size_t utf8_put(char out[static 4], int32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

int utf16_parse(const char **ret, struct arena *a, const uint8_t *p, size_t len, struct err *err)
{
	struct rd rd = { p, p + len, false };
	size_t n = 0;
	int32_t c, low;
	char *s;

	if (len % 2)
		return err_set(err, ERR_FORMAT, "text of odd length %zu", len);
	if (len >= 2 && !p[len - 1] && !p[len - 2])
		rd.end -= 2;
	s = arena_zalloc(a, rd_left(&rd) / 2 + 1, 3);
	if (!s)
		return err_nomem(err);
	while (rd_left(&rd)) {
		c = rd_u16(&rd);
		if (c == 0)
			return err_set(err, ERR_FORMAT, "text with a NUL character inside");
		if (c >= 0xd800 && c <= 0xdfff) {
			low = rd_u16(&rd);
			if (c > 0xdbff || low < 0xdc00 || low > 0xdfff)
				return err_set(err, ERR_FORMAT, "text with a lone surrogate");
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
		n += utf8_put(s + n, c);
	}
	*ret = s;
	return 0;
}

int utf16_build(struct wr *wr, const char *s, struct err *err)
{
	size_t start = wr->len, bytes;
	int32_t c;

	wr_u32(wr, 0);
	while ((c = utf8_next(&s)) > 0) {
		if (c >= 0x10000) {
			wr_u16(wr, (uint16_t)(0xd800 + ((c - 0x10000) >> 10)));
			c = 0xdc00 + (c & 0x3ff);
		}
		wr_u16(wr, (uint16_t)c);
	}
	if (c < 0)
		return err_set(err, ERR_FORMAT, "text is not UTF-8");
	wr_u16(wr, 0);
	if (wr->bad)
		return err_nomem(err);
	bytes = wr->len - start - 4;
	if (bytes > UINT32_MAX)
		return err_set(err, ERR_LIMIT, "text of %zu bytes is too long", bytes);
	wr_u32_at(wr, start, (uint32_t)bytes);
	return 0;
}

bool utf8_hidden(int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	    (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	    (c >= 0xe0000 && c <= 0xe007f);
}

void utf8_clean(char *s, const char *keep)
{
	const char *in = s;
	char bytes[4];
	char *out = s;

	while (*in) {
		int32_t c = utf8_next(&in);

		if (c < 0)
			in++;
		if (c > 0 && (!utf8_hidden(c) || (c < 0x80 && strchr(keep, c)))) {
			size_t n = utf8_put(bytes, c);

			memcpy(out, bytes, n);
			out += n;
		} else {
			*out++ = '?';
		}
	}
	*out = '\0';
}

void utf8_write(FILE *out, const char *s, const char *quote)
{
	const char *from;
	int32_t c;

	for (;;) {
		from = s;
		c = utf8_next(&s);
		if (c == 0)
			return;
		if (c < 0)
			s++;
		if (c < 0 || utf8_hidden(c)) {
			for (; from < s; from++)
				fprintf(out, "\\x%02x", (unsigned char)*from);
			continue;
		}
		if (c < 0x80 && strchr(quote, c))
			putc('\\', out);
		fwrite(from, 1, (size_t)(s - from), out);
	}
}
