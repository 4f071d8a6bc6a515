/* The bytes of a registry file as text. */
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/rd.h"
#include "schema/utf.h"
#include "store/regfile.h"

static int fail(struct err *err, unsigned line, const char *what)
{
	return err_set(err, ERR_FORMAT, "line %u: %s", line, what);
}

/* Behind the mark. */
static int text_from_utf16(const char **ret, struct arena *a, const uint8_t *p, size_t len, struct err *err)
{
	struct rd rd = { p, p + len - len % 2, false };
	char *text = arena_zalloc(a, rd_left(&rd) / 2 + 1, 3);
	unsigned line = 1;
	int32_t c, low;
	size_t n = 0;

	if (!text)
		return err_nomem(err);
	while (rd_left(&rd)) {
		c = rd_u16(&rd);
		if (c >= 0xd800 && c <= 0xdfff) {
			low = rd_u16(&rd);
			if (c > 0xdbff || low < 0xdc00 || low > 0xdfff)
				return fail(err, line, "half a character (a lone surrogate)");
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
		if (c == 0)
			return fail(err, line, "NUL character");
		line += c == '\n';
		n += utf8_put(text + n, c);
	}
	if (len % 2)
		return fail(err, line, "ends within a character");
	*ret = text;
	return 0;
}

static int text_from_utf8(const char **ret, struct arena *a, const uint8_t *p, size_t len, struct err *err)
{
	const char *text = arena_strndup(a, (const char *)p, len), *next = text;
	unsigned line = 1;
	int32_t c;

	if (!text)
		return err_nomem(err);
	while ((c = utf8_next(&next)) > 0)
		line += c == '\n';
	if (c < 0)
		return fail(err, line, "not UTF-8");
	if (next != text + len)
		return fail(err, line, "NUL character");
	*ret = text;
	return 0;
}

int regfile_text(const char **ret, struct arena *a, const uint8_t *p, size_t len, struct err *err)
{
	if (len >= 2 && p[0] == 0xfe && p[1] == 0xff)
		return err_set(err, ERR_UNSUPPORTED, "line 1: UTF-16 with the high byte first is not read");
	if (len >= 2 && p[0] == 0xff && p[1] == 0xfe)
		return text_from_utf16(ret, a, p + 2, len - 2, err);
	if (len >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
		return text_from_utf8(ret, a, p + 3, len - 3, err);
	return text_from_utf8(ret, a, p, len, err);
}

bool regfile_is(const char *text, size_t len)
{
	/* The first letters in each encoding; the whole line is regfile_parse's. */
	static const struct {
		const char	*begin;
		size_t		 len;
	} begins[] = {
		{ "\xff\xfe", 2 }, { "\xfe\xff", 2 }, { "\xef\xbb\xbf" "Windows Reg", 14 }, { "Windows Reg", 11 },
		{ "\xef\xbb\xbf" REGFILE_HEAD4, sizeof(REGFILE_HEAD4) + 2 }, { REGFILE_HEAD4, sizeof(REGFILE_HEAD4) - 1 },
	};

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (len >= begins[i].len && !memcmp(text, begins[i].begin, begins[i].len))
			return true;
	return false;
}
