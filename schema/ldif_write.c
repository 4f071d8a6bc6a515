#include "schema/ldif.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LINE	76

struct folder {
	FILE	*out;
	size_t	 column;
};

static void put_text(struct folder *f, const char *p, size_t len)
{
	for (; len; len--, p++) {
		if (f->column == LINE) {
			fputs("\n ", f->out);
			f->column = 1;
		}
		putc(*p, f->out);
		f->column++;
	}
}

/* SAFE-STRING of RFC 2849, and no control character at all: it may be shown on
 * a terminal. */
static bool is_safe(const uint8_t *p, size_t len)
{
	if (len == 0)
		return true;
	if (p[0] == ' ' || p[0] == ':' || p[0] == '<' || p[len - 1] == ' ')
		return false;
	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

static void put_base64(struct folder *f, const uint8_t *p, size_t len)
{
	char quad[4];

	for (size_t i = 0; i < len; i += 3) {
		base64_quad(quad, p + i, len - i < 3 ? len - i : 3);
		put_text(f, quad, sizeof(quad));
	}
}

static void put_line(FILE *out, const char *name, const uint8_t *p, size_t len)
{
	struct folder f = { out, 0 };

	put_text(&f, name, strlen(name));
	if (len == 0) {
		put_text(&f, ":", 1);
	} else if (is_safe(p, len)) {
		put_text(&f, ": ", 2);
		put_text(&f, (const char *)p, len);
	} else {
		put_text(&f, ":: ", 3);
		put_base64(&f, p, len);
	}
	putc('\n', out);
}

/* The name goes out as it is, so a made-up one must not begin lines of its own. */
static bool name_is_plain(const char *name)
{
	for (const char *p = name; *p; p++)
		if ((uint8_t)*p <= 0x20 || (uint8_t)*p > 0x7e || *p == ':')
			return false;
	return *name && *name != '#';
}

void ldif_write_dn(const char *dn, FILE *out)
{
	put_line(out, "dn", (const uint8_t *)dn, strlen(dn));
}

void ldif_write_value(const char *name, const struct dir_value *v, FILE *out)
{
	if (name_is_plain(name))
		put_line(out, name, v->p, v->len);
	else
		fputs("# a value whose attribute name is malformed is not shown\n", out);
}

int ldif_write_entry(const struct dir_entry *e, FILE *out)
{
	ldif_write_dn(e->dn, out);
	for (size_t i = 0; i < e->n_attrs; i++)
		for (size_t k = 0; k < e->attrs[i].n_values; k++)
			ldif_write_value(e->attrs[i].name, &e->attrs[i].values[k], out);
	putc('\n', out);
	return ferror(out) ? -1 : 0;
}
