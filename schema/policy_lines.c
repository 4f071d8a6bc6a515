/* Taking a policy's text apart: lines, words, quoted texts. */
#include <stdio.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy_text.h"
#include "schema/utf.h"

void in_fail(struct in *in, const char *what)
{
	if (!in->bad)
		err_set(in->err, ERR_FORMAT, "line %zu: %s", in->line, what);
	in->bad = true;
}

void in_fail_nomem(struct in *in)
{
	if (!in->bad)
		err_nomem(in->err);
	in->bad = true;
}

/* ---- lines and words ---- */

void in_open(struct in *in, const char *p)
{
	const char *nl = p < in->end ? memchr(p, '\n', (size_t)(in->end - p)) : NULL;

	in->p = p;
	in->line++;
	if (!nl) {
		in->eol = p;
		in_fail(in, p < in->end ? "line does not end" : "text is cut off");
		return;
	}
	in->eol = nl;
}

void in_done(struct in *in)
{
	if (in->bad)
		return;
	if (in->p != in->eol)
		in_fail(in, "more than expected");
	else if (in->eol + 1 < in->end)
		in_open(in, in->eol + 1);
	else
		in_fail(in, "text is cut off");
}

bool in_take(struct in *in, const char *word)
{
	size_t n = strlen(word);

	if (in->bad || (size_t)(in->eol - in->p) < n || memcmp(in->p, word, n))
		return false;
	if (in->p + n != in->eol && in->p[n] != ' ')
		return false;
	in->p += n;
	if (in->p != in->eol)
		in->p++;
	return true;
}

void in_need(struct in *in, const char *word)
{
	char what[WORD_MAX];

	if (in_take(in, word))
		return;
	snprintf(what, sizeof(what), "expected '%s'", word + strspn(word, "\t"));
	in_fail(in, what);
}

bool in_word(struct in *in, char out[static WORD_MAX])
{
	const char *sp = memchr(in->p, ' ', (size_t)(in->eol - in->p));
	size_t n = (size_t)((sp ? sp : in->eol) - in->p);

	out[0] = '\0';
	if (in->bad)
		return false;
	if (n == 0 || n >= WORD_MAX || memchr(in->p, '\0', n)) {
		in_fail(in, "expected a word");
		return false;
	}
	memcpy(out, in->p, n);
	out[n] = '\0';
	in->p += n + (sp ? 1 : 0);
	return true;
}

bool in_number_parse(uint32_t *ret, const char *s, uint32_t max)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = 10 * v + (uint64_t)(*s - '0');
		if (v > max)
			return false;
	}
	*ret = (uint32_t)v;
	return true;
}

uint32_t in_number(struct in *in, uint32_t max)
{
	char word[WORD_MAX];
	uint32_t v = 0;

	if (in_word(in, word) && !in_number_parse(&v, word, max))
		in_fail(in, "not a number that fits");
	return v;
}

uint32_t in_number_line(struct in *in, const char *key)
{
	uint32_t v;

	in_need(in, key);
	v = in_number(in, UINT32_MAX);
	in_done(in);
	return v;
}

bool in_bool_line(struct in *in, const char *key)
{
	bool yes;

	in_need(in, key);
	yes = in_take(in, "yes");
	if (!yes)
		in_need(in, "no");
	in_done(in);
	return yes;
}

struct guid in_guid(struct in *in)
{
	struct guid id = { { 0 } };
	char word[WORD_MAX];

	if (in_word(in, word) && !guid_parse(&id, word, strlen(word)))
		in_fail(in, "not a GUID");
	return id;
}


/* ---- quoted texts ---- */

static int32_t escape_take(struct in *in)
{
	int32_t c = 0;

	if (in->eol - in->p >= 2 && (in->p[1] == '"' || in->p[1] == '\\')) {
		in->p += 2;
		return in->p[-1];
	}
	if (in->eol - in->p < 5 || memcmp(in->p, "\\u{", 3))
		return -1;
	for (in->p += 3; in->p < in->eol && *in->p != '}'; in->p++) {
		const char *hex = "0123456789abcdef", *d = *in->p ? strchr(hex, *in->p) : NULL;

		if (!d || c > 0xfffff)
			return -1;
		c = c << 4 | (int32_t)(d - hex);
	}
	if (in->p == in->eol || !utf8_hidden(c))
		return -1;
	in->p++;
	return c;
}

const char *in_text(struct in *in)
{
	size_t n = 0;
	int32_t c;
	char *s;

	if (in->bad)
		return "";
	if (in->p == in->eol || *in->p != '"') {
		in_fail(in, "expected a quoted text");
		return "";
	}
	in->p++;
	/* No escape is shorter than the character it stands for. */
	s = arena_zalloc(in->a, (size_t)(in->eol - in->p) + 1, 1);
	if (!s) {
		in_fail_nomem(in);
		return "";
	}
	while (in->p < in->eol && *in->p != '"') {
		if (*in->p != '\\') {
			s[n++] = *in->p++;
			continue;
		}
		c = escape_take(in);
		if (c <= 0) {
			in_fail(in, "unknown escape");
			return "";
		}
		n += utf8_put(s + n, c);
	}
	if (in->p == in->eol) {
		in_fail(in, "quoted text does not end");
		return "";
	}
	in->p++;
	if (in->p != in->eol && *in->p == ' ')
		in->p++;
	if (strlen(s) != n || !utf8_valid(s))
		in_fail(in, "text is not UTF-8");
	return s;
}

const char *in_text_line(struct in *in, const char *key)
{
	const char *s;

	in_need(in, key);
	s = in_text(in);
	in_done(in);
	return s;
}

const char *in_text_maybe(struct in *in, const char *key)
{
	const char *s;

	if (!in_take(in, key))
		return "";
	s = in_text(in);
	in_done(in);
	return s;
}

uint32_t in_key_number(struct in *in, const char *key, uint32_t max)
{
	in_need(in, key);
	return in_number(in, max);
}

void *in_add(struct in *in, void **array, size_t n, size_t size)
{
	void *grown = in->bad ? NULL : arena_extend(in->a, *array, n, size);

	if (!grown) {
		in_fail_nomem(in);
		return NULL;
	}
	*array = grown;
	return (char *)grown + n * size;
}
