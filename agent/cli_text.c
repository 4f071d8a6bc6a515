/* The texts come from stores that others can write to: what a terminal would obey is replaced
 * here, and nowhere else on the way to it. */
#include "agent/cli_text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/utf.h"

#define KEY_WIDTH	24
#define COLUMN_MAX	40	/* unless wide */

struct table {
	struct arena	*arena;
	size_t		 n_columns;
	const char	**cells;	/* row after row, cleaned; the first is the headings */
	size_t		 n_cells;
	bool		 bad;
};

/* First and last of what is two columns wide, and of what is none: the blocks that
 * matter, of Unicode's EastAsianWidth and general category Mn. */
static const struct { int32_t lo, hi; } wide_ranges[] = {
	{ 0x1100, 0x115f }, { 0x2e80, 0x303e }, { 0x3041, 0x33ff }, { 0x3400, 0x4dbf }, { 0x4e00, 0x9fff },
	{ 0xa000, 0xa4cf }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe30, 0xfe6f }, { 0xff00, 0xff60 },
	{ 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f }, { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
}, none_ranges[] = {
	{ 0x0300, 0x036f }, { 0x0483, 0x0489 }, { 0x0591, 0x05bd }, { 0x064b, 0x065f }, { 0x0e34, 0x0e3a },
	{ 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff }, { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f },
};

static size_t char_width(int32_t c)
{
	for (size_t i = 0; i < sizeof(none_ranges) / sizeof(none_ranges[0]); i++)
		if (c >= none_ranges[i].lo && c <= none_ranges[i].hi)
			return 0;
	for (size_t i = 0; i < sizeof(wide_ranges) / sizeof(wide_ranges[0]); i++)
		if (c >= wide_ranges[i].lo && c <= wide_ranges[i].hi)
			return 2;
	return 1;
}

size_t text_width(const char *s)
{
	size_t n = 0;
	int32_t c;

	while ((c = utf8_next(&s)) > 0)
		n += char_width(c);
	return n;
}

struct table *table_new(size_t n_columns, const char *const *headings)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t || !(t->arena = arena_new(0))) {
		free(t);
		return NULL;
	}
	t->n_columns = n_columns;
	table_row(t, headings);
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	arena_free(t->arena);
	free(t);
}

void table_row(struct table *t, const char *const *cells)
{
	for (size_t i = 0; i < t->n_columns && !t->bad; i++) {
		const char **grown = arena_grow(t->arena, t->cells, t->n_cells, sizeof(*grown));
		char *text = grown ? arena_strdup(t->arena, cells[i] ? cells[i] : "") : NULL;

		t->bad = !text;
		if (t->bad)
			return;
		utf8_clean(text, "");
		t->cells = grown;
		t->cells[t->n_cells++] = text;
	}
}

/* As many bytes as fit into width columns. */
static size_t bytes_that_fit(const char *s, size_t width)
{
	const char *p = s, *end = s;
	size_t used = 0;
	int32_t c;

	while ((c = utf8_next(&p)) > 0) {
		used += char_width(c);
		if (used > width)
			break;
		end = p;
	}
	return (size_t)(end - s);
}

static void cell_print(const char *s, size_t width, bool last, FILE *out)
{
	size_t used = text_width(s), n = strlen(s);

	if (used > width) {
		n = bytes_that_fit(s, width - 2);
		fwrite(s, 1, n, out);
		fputs("..", out);
		used = 0;
		for (const char *p = s; p < s + n; )
			used += char_width(utf8_next(&p));
		used += 2;
	} else {
		fwrite(s, 1, n, out);
	}
	for (; used < width && !last; used++)
		fputc(' ', out);
	fputs(last ? "\n" : "  ", out);
}

static void dashes(size_t width, bool last, FILE *out)
{
	for (; width; width--)
		fputc('-', out);
	fputs(last ? "\n" : "  ", out);
}

/* The column behind which the row that begins with cell i is empty. */
static size_t row_last(const struct table *t, size_t i)
{
	size_t n = t->n_columns - 1;

	while (n && !*t->cells[i + n])
		n--;
	return n;
}

int table_print(const struct table *t, bool wide, FILE *out, struct err *err)
{
	size_t *widths = calloc(t->n_columns, sizeof(*widths)), last = 0;

	if (t->bad || !widths) {
		free(widths);
		return err_nomem(err);
	}
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t w = text_width(t->cells[i]), *width = &widths[i % t->n_columns];

		if (!wide && w > COLUMN_MAX)
			w = COLUMN_MAX;
		if (w > *width)
			*width = w;
	}
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t column = i % t->n_columns;

		if (!column)
			last = row_last(t, i);
		if (column <= last)
			cell_print(t->cells[i], widths[column], column == last, out);
		if (i + 1 == t->n_columns)
			for (size_t k = 0; k < t->n_columns; k++)
				dashes(widths[k], k + 1 == t->n_columns, out);
	}
	free(widths);
	return 0;
}

static void put_clean(const char *s, FILE *out)
{
	char *copy = strdup(s);

	if (!copy) {
		fputs("?", out);
		return;
	}
	utf8_clean(copy, "");
	fputs(copy, out);
	free(copy);
}

void list_line(FILE *out, const char *key, const char *value)
{
	fprintf(out, "%-*s: ", KEY_WIDTH, key);
	put_clean(value, out);
	fputc('\n', out);
}

void list_heading(FILE *out, const char *text)
{
	fputc('\n', out);
	put_clean(text, out);
	fputc('\n', out);
	dashes(text_width(text), true, out);
}

/* ---- JSON ---- */

/* jansson leaves DEL as it is. */
static int json_put(const char *text, size_t len, void *out)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] == 0x7f ? fputs("\\u007f", out) < 0 : putc(text[i], out) == EOF)
			return -1;
	return 0;
}

static int json_write(const json_t *j, size_t flags, FILE *out, struct err *err)
{
	if (j && json_dump_callback(j, json_put, out, flags | JSON_ENSURE_ASCII) == 0)
		return 0;
	return j && ferror(out) ? err_set(err, ERR_SYSTEM, "writing the output: %m") : err_nomem(err);
}

int json_print_compact(const json_t *j, FILE *out, struct err *err)
{
	return json_write(j, JSON_COMPACT, out, err);
}

int json_print(json_t *j, FILE *out, struct err *err)
{
	int rc = json_write(j, JSON_INDENT(2), out, err);

	json_decref(j);
	if (rc == 0 && putc('\n', out) == EOF)
		rc = err_set(err, ERR_SYSTEM, "writing the output: %m");
	return rc;
}
