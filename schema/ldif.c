#include "schema/ldif.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/rd.h"

#define MAX_INPUT	(256u << 20)	/* bytes of text */
#define MAX_VALUE	(16u << 20)	/* bytes of one value */
#define MAX_VALUES	(4u << 20)	/* in the whole text */
#define MAX_ENTRIES	(1u << 20)

/* A value before those of one name are gathered. */
struct item {
	const char		*name;
	struct dir_value	 value;
	size_t			 number;	/* within the entry */
};

struct reader {
	struct arena		*a;
	const char		*p, *end;
	unsigned		 line;		/* number of the line at p */
	unsigned		 at;		/* first line of what `text` holds */
	struct wr		 text;		/* one unfolded line, NUL behind it */
	struct item		*items;		/* of the entry being read */
	const struct item	**firsts;	/* room for one an item */
	size_t			 n_items, items_size, n_values;
	struct dir_entry	*entries;
	size_t			 n_entries;
	bool			 in_entry;
};

/* ---- lines ---- */

/* Appends the line at r->p, without its end, to r->text. */
static int line_append(struct reader *r, struct err *err)
{
	const char *eol = memchr(r->p, '\n', (size_t)(r->end - r->p));
	size_t len = (size_t)((eol ? eol : r->end) - r->p);

	if (len > 0 && r->p[len - 1] == '\r')
		len--;
	if (memchr(r->p, '\0', len) || memchr(r->p, '\r', len)) {
		r->at = r->line;
		return err_set(err, ERR_FORMAT, memchr(r->p, '\0', len) ? "NUL byte" :
		    "carriage return within the line");
	}
	wr_bytes(&r->text, r->p, len);
	r->p = eol ? eol + 1 : r->end;
	r->line++;
	return 0;
}

/* 1: the next unfolded line is in r->text; 0: no more. */
static int line_next(struct reader *r, struct err *err)
{
	if (r->p == r->end)
		return 0;
	r->at = r->line;
	r->text.len = 0;
	if (*r->p == ' ')
		return err_set(err, ERR_FORMAT, "begins with a space, but there is no line to continue");
	if (line_append(r, err) < 0)
		return -1;
	/* An empty line ends the entry; it is not continued. */
	while (r->text.len > 0 && r->p < r->end && *r->p == ' ') {
		r->p++;
		if (line_append(r, err) < 0)
			return -1;
	}
	wr_u8(&r->text, 0);
	if (r->text.bad)
		return err_nomem(err);
	r->text.len--;
	return 1;
}

/* ---- one line: name and value ---- */

/* An attribute description with its options: "member;range=1500-*". */
static bool name_is_valid(const char *p)
{
	bool option = false;

	for (size_t n = 0; p[n]; n++) {
		if ((p[n] >= 'a' && p[n] <= 'z') || (p[n] >= 'A' && p[n] <= 'Z') ||
		    (p[n] >= '0' && p[n] <= '9'))
			continue;
		if (n == 0 || !strchr(option ? "-;=*_." : "-;_.", p[n]))
			return false;
		if (p[n] == ';')
			option = true;
	}
	return *p;
}

/* p is behind the first colon. */
static int value_read(struct dir_value *ret, struct arena *a, const char *p, const char *end, struct err *err)
{
	bool base64 = *p == ':';
	size_t len;

	if (*p == '<')
		return err_set(err, ERR_UNSUPPORTED, "value from a URL (':%.40s') is not followed", p);
	p += base64;
	while (*p == ' ')
		p++;
	len = (size_t)(end - p);
	if ((base64 ? len / 4 * 3 : len) > MAX_VALUE)
		return err_set(err, ERR_LIMIT, "value of more than %u bytes", MAX_VALUE);
	if (!base64) {
		ret->p = (const uint8_t *)arena_strndup(a, p, len);
		ret->len = len;
		return ret->p ? 0 : err_nomem(err);
	}
	if (base64_parse(ret, a, p, len) < 0)
		return err_set(err, ERR_FORMAT, "'%.40s' is not base64", p);
	return 0;
}

static int items_grow(struct reader *r)
{
	size_t size = r->items_size ? 2 * r->items_size : 64;
	const struct item **firsts;
	struct item *items;

	if (r->n_items < r->items_size)
		return 0;
	items = reallocarray(r->items, size, sizeof(*items));
	if (items)
		r->items = items;
	firsts = reallocarray(r->firsts, size, sizeof(*firsts));
	if (firsts)
		r->firsts = firsts;
	if (!items || !firsts)
		return -1;
	r->items_size = size;
	return 0;
}

static int item_add(struct reader *r, const char *name, const struct dir_value *v, struct err *err)
{
	const char *copy;

	if (r->n_values == MAX_VALUES)
		return err_set(err, ERR_LIMIT, "more than %u values", MAX_VALUES);
	/* Most lists of values come in a row. */
	if (r->n_items && strcmp(r->items[r->n_items - 1].name, name) == 0)
		copy = r->items[r->n_items - 1].name;
	else
		copy = arena_strdup(r->a, name);
	if (!copy || items_grow(r) < 0)
		return err_nomem(err);
	r->items[r->n_items] = (struct item){ copy, *v, r->n_items };
	r->n_items++;
	r->n_values++;
	return 0;
}

/* ---- entries ---- */

static int entry_begin(struct reader *r, const struct dir_value *dn, struct err *err)
{
	struct dir_entry *entries;

	if (r->in_entry)
		return err_set(err, ERR_FORMAT, "dn within an entry: an empty line is missing");
	if (memchr(dn->p, '\0', dn->len))
		return err_set(err, ERR_FORMAT, "dn with a NUL byte");
	if (r->n_entries == MAX_ENTRIES)
		return err_set(err, ERR_LIMIT, "more than %u entries", MAX_ENTRIES);
	entries = arena_grow(r->a, r->entries, r->n_entries, sizeof(*entries));
	if (!entries)
		return err_nomem(err);
	entries[r->n_entries] = (struct dir_entry){ .dn = (const char *)dn->p };
	r->entries = entries;
	r->n_items = 0;
	r->in_entry = true;
	return 0;
}

static int by_name(const void *x, const void *y)
{
	const struct item *a = x, *b = y;
	int d = a->name == b->name ? 0 : ascii_cmp(a->name, b->name);

	return d ? d : (a->number > b->number) - (a->number < b->number);
}

/* Of the first items of two names: the order in which the names appeared. */
static int by_number(const void *x, const void *y)
{
	const struct item *a = *(const struct item *const *)x, *b = *(const struct item *const *)y;

	return (a->number > b->number) - (a->number < b->number);
}

/* Sorts the items by name and notes the first of each, in the order in which
 * the names appeared.  Returns the number of names. */
static size_t items_group(struct reader *r)
{
	size_t n = 0;

	if (r->n_items == 0)
		return 0;
	qsort(r->items, r->n_items, sizeof(*r->items), by_name);
	for (size_t i = 0; i < r->n_items; i++)
		if (i == 0 || ascii_cmp(r->items[i].name, r->items[i - 1].name) != 0)
			r->firsts[n++] = &r->items[i];
	qsort(r->firsts, n, sizeof(*r->firsts), by_number);
	return n;
}

static int entry_end(struct reader *r, struct err *err)
{
	struct dir_entry *e = &r->entries[r->n_entries];
	size_t n = items_group(r);
	struct dir_value *values = arena_zalloc(r->a, r->n_items, sizeof(*values));
	const struct item *item;
	struct dir_attr *attr;

	e->attrs = arena_zalloc(r->a, n, sizeof(*e->attrs));
	if (!values || !e->attrs)
		return err_nomem(err);
	for (attr = e->attrs; attr < e->attrs + n; attr++) {
		item = r->firsts[attr - e->attrs];
		attr->name = item->name;
		attr->values = values;
		for (; item < r->items + r->n_items &&
		    ascii_equal(item->name, attr->name); item++)
			*values++ = item->value;
		attr->n_values = (size_t)(values - attr->values);
	}
	e->n_attrs = n;
	r->n_entries++;
	r->in_entry = false;
	return 0;
}

static int version_check(const struct dir_value *v, struct err *err)
{
	if (v->len != 1 || v->p[0] != '1')
		return err_set(err, ERR_UNSUPPORTED, "LDIF version '%.20s' is not 1", (const char *)v->p);
	return 0;
}

static int line_read(struct reader *r, bool *version, struct err *err)
{
	char *name = (char *)r->text.p, *colon = strchr(name, ':');
	struct dir_value v;

	if (!colon)
		return err_set(err, ERR_FORMAT, "no colon in '%.40s'", name);
	*colon = '\0';
	if (!name_is_valid(name))
		return err_set(err, ERR_FORMAT, "'%.40s' is not an attribute name", name);
	if (ascii_equal(name, "changetype"))
		return err_set(err, ERR_UNSUPPORTED, "change record; only entries are read");
	if (value_read(&v, r->a, colon + 1, name + r->text.len, err) < 0)
		return -1;
	if (ascii_equal(name, "dn"))
		return entry_begin(r, &v, err);
	if (r->in_entry)
		return item_add(r, name, &v, err);
	if (ascii_equal(name, "version") && r->n_entries == 0 && !*version) {
		*version = true;
		return version_check(&v, err);
	}
	return err_set(err, ERR_FORMAT, "'%.40s' before any dn", name);
}

int ldif_read(struct dir_entry **ret, size_t *ret_n, struct arena *a, const char *text, size_t len, struct err *err)
{
	struct reader r = { .a = a, .p = text, .end = text + len, .line = 1 };
	bool version = false;
	int rc;

	if (len > MAX_INPUT)
		return err_set(err, ERR_LIMIT, "more than %u bytes", MAX_INPUT);
	while ((rc = line_next(&r, err)) > 0) {
		if (r.text.len > 0 && r.text.p[0] == '#')
			continue;
		if (r.text.len > 0)
			rc = line_read(&r, &version, err);
		else if (r.in_entry)
			rc = entry_end(&r, err);
		if (rc < 0)
			break;
	}
	if (rc == 0 && r.in_entry)
		rc = entry_end(&r, err);
	if (rc < 0) {
		err_prefix(err, "line %u", r.at);
	} else {
		*ret = r.entries;
		*ret_n = r.n_entries;
	}
	free(r.items);
	free(r.firsts);
	free(r.text.p);
	return rc < 0 ? -1 : 0;
}
