#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "schema/utf.h"
#include "store/regfile.h"

#define FOLD	77	/* columns after which "xx," and the backslash would not fit into 80 */

struct writer {
	FILE			*out;
	enum regfile_encoding	 encoding;
	size_t			 column;	/* of the line being folded */
	bool			 bad;		/* not UTF-8, or not of its type */
};

/* ---- characters -------------------------------------------------------------------------- */

static void put_unit(struct writer *w, int32_t u)
{
	putc(u & 0xff, w->out);
	putc(u >> 8, w->out);
}

static void put_char(struct writer *w, int32_t c)
{
	char bytes[4];

	if (w->encoding == REGFILE_UTF8) {
		fwrite(bytes, 1, utf8_put(bytes, c), w->out);
	} else if (c < 0x10000) {
		put_unit(w, c);
	} else {
		put_unit(w, 0xd800 + ((c - 0x10000) >> 10));
		put_unit(w, 0xdc00 + (c & 0x3ff));
	}
	w->column++;
}

/* quote: which characters get a backslash. */
static void put_text(struct writer *w, const char *s, const char *quote)
{
	int32_t c;

	while ((c = utf8_next(&s)) > 0) {
		if (c < 0x80 && strchr(quote, c))
			put_char(w, '\\');
		put_char(w, c);
	}
	if (c < 0)
		w->bad = true;
}

static void put_plain(struct writer *w, const char *s)
{
	put_text(w, s, "");
}

static void put_line_end(struct writer *w)
{
	put_plain(w, "\r\n");
	w->column = 0;
}

/* ---- values ------------------------------------------------------------------------------- */

static void put_byte(struct writer *w, uint8_t b, bool first)
{
	static const char digits[] = "0123456789abcdef";

	if (!first)
		put_char(w, ',');
	if (!first && w->column >= FOLD) {
		put_char(w, '\\');
		put_line_end(w);
		put_plain(w, "  ");
	}
	put_char(w, digits[b >> 4]);
	put_char(w, digits[b & 15]);
}

static void put_bytes(struct writer *w, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		put_byte(w, p[i], i == 0);
}

/* One string as UTF-16LE with its NUL. */
static void put_string16(struct writer *w, const char *s, bool *first)
{
	uint16_t units[2];
	size_t n;
	int32_t c;

	do {
		c = utf8_next(&s);
		if (c < 0) {
			w->bad = true;
			return;
		}
		n = 1;
		units[0] = (uint16_t)c;
		if (c >= 0x10000) {
			units[0] = (uint16_t)(0xd800 + ((c - 0x10000) >> 10));
			units[1] = (uint16_t)(0xdc00 + (c & 0x3ff));
			n = 2;
		}
		for (size_t i = 0; i < n; i++) {
			put_byte(w, (uint8_t)units[i], *first);
			put_byte(w, (uint8_t)(units[i] >> 8), false);
			*first = false;
		}
	} while (c);
}

static void put_strings(struct writer *w, const struct reg_value *v)
{
	const char *s = v->len ? (const char *)v->p : "", *end = s + v->len;
	bool first = true;

	if (v->len && end[-1]) {
		w->bad = true;
		return;
	}
	put_plain(w, "hex(7):");
	for (; s < end; s += strlen(s) + 1)
		put_string16(w, s, &first);
	put_string16(w, "", &first);
}

/* The data of a string has not necessarily a NUL behind it. */
static char *text_of(const struct reg_value *v)
{
	char *s = strndup(v->len ? (const char *)v->p : "", v->len);

	if (s && strlen(s) != v->len) {
		free(s);
		errno = EILSEQ;
		return NULL;
	}
	return s;
}

static void put_string(struct writer *w, const struct reg_value *v)
{
	char *s = text_of(v);
	bool hidden = false, first = true;

	if (!s) {
		w->bad = true;
		return;
	}
	for (const char *p = s; *p; p++)
		hidden |= (uint8_t)*p < 0x20;
	if (hidden) {
		put_plain(w, "hex(1):");
		put_string16(w, s, &first);
	} else {
		put_char(w, '"');
		put_text(w, s, "\\\"");
		put_char(w, '"');
	}
	free(s);
}

static void put_dword(struct writer *w, const struct reg_value *v)
{
	char text[16];

	if (v->len != 4) {
		w->bad = true;
		return;
	}
	snprintf(text, sizeof(text), "dword:%02x%02x%02x%02x", v->p[3], v->p[2], v->p[1], v->p[0]);
	put_plain(w, text);
}

static void put_name(struct writer *w, const char *name)
{
	w->column = 0;
	if (*name) {
		put_char(w, '"');
		put_text(w, name, "\\\"");
		put_char(w, '"');
	} else {
		put_char(w, '@');
	}
	put_char(w, '=');
}

static void put_value(struct writer *w, const struct reg_value *v)
{
	put_name(w, v->name);
	switch (v->type) {
	case REG_SZ:
		put_string(w, v);
		break;
	case REG_MULTI_SZ:
		put_strings(w, v);
		break;
	case REG_DWORD:
		put_dword(w, v);
		break;
	case REG_QWORD:
		put_plain(w, "hex(b):");
		put_bytes(w, v->p, v->len);
		w->bad |= v->len != 8;
		break;
	case REG_BINARY:
		put_plain(w, "hex:");
		put_bytes(w, v->p, v->len);
		break;
	default:
		w->bad = true;
	}
	put_line_end(w);
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void put_key(struct writer *w, const struct reg_key *k)
{
	w->bad |= k->path[strcspn(k->path, "\r\n")] != '\0';
	put_plain(w, k->deleted ? "[-HKEY_LOCAL_MACHINE" : "[HKEY_LOCAL_MACHINE");
	if (*k->path)
		put_char(w, '\\');
	put_plain(w, k->path);
	put_char(w, ']');
	put_line_end(w);
	for (size_t i = 0; i < k->n_gone; i++) {
		put_name(w, k->gone[i]);
		put_char(w, '-');
		put_line_end(w);
	}
	for (size_t i = 0; i < k->n_values; i++)
		put_value(w, &k->values[i]);
	put_line_end(w);
}

int regfile_write(const struct reg_key *keys, size_t n, enum regfile_encoding encoding, FILE *out)
{
	struct writer w = { .out = out, .encoding = encoding };

	if (encoding == REGFILE_UTF16)
		put_char(&w, 0xfeff);
	put_plain(&w, REGFILE_HEAD5);
	put_line_end(&w);
	put_line_end(&w);
	for (size_t i = 0; i < n && !w.bad; i++)
		put_key(&w, &keys[i]);
	if (w.bad)
		errno = EILSEQ;
	return w.bad || ferror(out) ? -1 : 0;
}
