/* An LDIF file as a directory: the very same searches, no server.  An entry
 * without attributes stands for one that its reader may not see: only base
 * searches return it, and nothing of it. */
#include "agent/dir_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/ldif.h"

struct record {
	struct dir_entry	 entry;
	const char		*key, *parent;	/* comparable forms; parent NULL: none */
	size_t			 order;		/* in the file */
};

struct dir_ldif {
	struct directory	 base;
	struct arena		*arena;
	struct record		*records;	/* in the order of the file, each DN once */
	size_t			 n_records;
	const struct record	**by_key;
};

/* ---- loading ---- */

static int read_all(char **ret, size_t *ret_len, int fd, struct err *err)
{
	size_t len = 0, size = 0;
	char *text = NULL, *grown;
	ssize_t n;

	for (;;) {
		if (size - len < 2) {
			size = size ? 2 * size : 65536;
			grown = realloc(text, size);
			if (!grown) {
				err_nomem(err);
				goto bad;
			}
			text = grown;
		}
		n = read(fd, text + len, size - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set(err, ERR_SYSTEM, "%s", strerror(errno));
			goto bad;
		}
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > DIR_MAX_FILE) {
			err_set(err, ERR_LIMIT, "larger than %u bytes", DIR_MAX_FILE);
			goto bad;
		}
	}
	text[len] = '\0';
	*ret = text;
	*ret_len = len;
	return 0;
bad:
	free(text);
	return -1;
}

static int record_cmp(const void *x, const void *y)
{
	const struct record *a = x, *b = y;
	int c = strcmp(a->key, b->key);

	return c ? c : (a->order > b->order) - (a->order < b->order);
}

static int order_cmp(const void *x, const void *y)
{
	const struct record *a = x, *b = y;

	return (a->order > b->order) - (a->order < b->order);
}

static int key_cmp(const void *x, const void *y)
{
	const struct record *const *a = x, *const *b = y;

	return strcmp((*a)->key, (*b)->key);
}

struct seen_attr {
	struct dir_attr	attr;
	size_t		seq;
};

static int seen_cmp(const void *x, const void *y)
{
	const struct seen_attr *a = x, *b = y;
	int c = strcasecmp(a->attr.name, b->attr.name);

	return c ? c : (a->seq > b->seq) - (a->seq < b->seq);
}

/* A snapshot has an entry once for each search that returned it: records of one
 * DN add up, and an attribute that comes again replaces the earlier one. */
static int merge(struct record *into, const struct record *from, size_t n, struct arena *a, struct err *err)
{
	struct seen_attr *seen;
	size_t n_seen = 0, total = 0;

	for (size_t i = 0; i < n; i++)
		total += from[i].entry.n_attrs;
	seen = calloc(total + 1, sizeof(*seen));
	into->entry.attrs = arena_zalloc(a, total, sizeof(*into->entry.attrs));
	into->entry.n_attrs = 0;
	if (!seen || !into->entry.attrs) {
		free(seen);
		return err_nomem(err);
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < from[i].entry.n_attrs; j++) {
			seen[n_seen].attr = from[i].entry.attrs[j];
			seen[n_seen].seq = n_seen;
			n_seen++;
		}
	}
	qsort(seen, n_seen, sizeof(*seen), seen_cmp);
	for (size_t i = 0; i < n_seen; i++) {
		if (i + 1 < n_seen && !strcasecmp(seen[i].attr.name, seen[i + 1].attr.name))
			continue;
		into->entry.attrs[into->entry.n_attrs++] = seen[i].attr;
	}
	free(seen);
	return 0;
}

static int merge_records(struct dir_ldif *l, struct err *err)
{
	struct record *r = l->records, first;
	size_t out = 0, n;

	qsort(r, l->n_records, sizeof(*r), record_cmp);
	for (size_t i = 0; i < l->n_records; i += n) {
		for (n = 1; i + n < l->n_records && !strcmp(r[i].key, r[i + n].key); n++)
			;
		first = r[i];
		if (n > 1 && merge(&first, r + i, n, l->arena, err) < 0)
			return -1;
		r[out++] = first;
	}
	l->n_records = out;
	qsort(r, out, sizeof(*r), order_cmp);
	return 0;
}

static int add_records(struct dir_ldif *l, const struct dir_entry *entries, size_t n, struct err *err)
{
	l->records = arena_zalloc(l->arena, n, sizeof(*l->records));
	l->by_key = arena_zalloc(l->arena, n, sizeof(*l->by_key));
	if (!l->records || !l->by_key)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		struct record *r = &l->records[l->n_records++];
		const char *parent = dn_parent(entries[i].dn);

		r->entry = entries[i];
		r->order = i;
		r->key = dn_key(l->arena, entries[i].dn);
		r->parent = parent ? dn_key(l->arena, parent) : NULL;
		if (!r->key || (parent && !r->parent))
			return err_nomem(err);
	}
	if (merge_records(l, err) < 0)
		return -1;
	for (size_t i = 0; i < l->n_records; i++)
		l->by_key[i] = &l->records[i];
	qsort(l->by_key, l->n_records, sizeof(*l->by_key), key_cmp);
	return 0;
}

/* ---- searching ---- */

static const struct record *find(const struct dir_ldif *l, const char *key)
{
	const struct record want = { .key = key }, *p = &want;
	const struct record **found;

	found = bsearch(&p, l->by_key, l->n_records, sizeof(*l->by_key), key_cmp);
	return found ? *found : NULL;
}

static bool wants_all(const char *const *attrs)
{
	for (; attrs && *attrs; attrs++)
		if (!strcmp(*attrs, "*"))
			return true;
	return !attrs;
}

/* The requested attributes of e; values are shared with the file's. */
static int answer_add(struct dir_answer *ret, const struct dir_ldif *l, const struct dir_entry *e, const struct dir_query *q,
    struct arena *a, struct err *err)
{
	const unsigned max = l->base.bulk ? DIR_BULK_ENTRIES : DIR_MAX_ENTRIES;
	struct dir_entry *out;
	size_t n = 0;

	ret->entries = arena_grow(a, ret->entries, ret->n_entries, sizeof(*out));
	if (!ret->entries)
		return err_nomem(err);
	if (ret->n_entries == max)
		return err_set(err, ERR_OFFLINE, "more than %u entries", max);
	out = &ret->entries[ret->n_entries++];
	*out = *e;
	if (wants_all(q->attrs))
		return 0;
	while (q->attrs[n])
		n++;
	out->n_attrs = 0;
	out->attrs = arena_zalloc(a, n, sizeof(*out->attrs));
	if (!out->attrs)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		const struct dir_attr *attr = entry_attr(e, q->attrs[i]);
		bool again = false;

		for (size_t j = 0; attr && j < out->n_attrs; j++)
			again |= out->attrs[j].values == attr->values;
		if (attr && !again)
			out->attrs[out->n_attrs++] = *attr;
	}
	return 0;
}

static int search_base(const struct dir_ldif *l, const struct record *r, const struct dir_query *q, const struct dir_filter *f,
    struct dir_answer *ret, struct arena *a, struct err *err)
{
	int match = 1;

	/* The root DSE of a domain controller has no object class, and is there nevertheless. */
	if (r->entry.n_attrs && (*r->key || strcasecmp(q->filter, "(objectClass=*)")))
		match = filter_match(f, &r->entry, r->key, a);
	if (match < 0)
		return err_nomem(err);
	return match ? answer_add(ret, l, &r->entry, q, a, err) : 0;
}

static bool in_scope(const struct record *r, enum dir_scope scope, const char *base)
{
	if (scope == DIR_ONE)
		return r->parent && !strcmp(r->parent, base);
	return !*base || dn_below(r->key, base);
}

/* A container that is not in the file exists when something below it is: a
 * snapshot holds what was asked for, not every container above it. */
static bool base_exists(const struct dir_ldif *l, const char *base)
{
	if (find(l, base))
		return true;
	for (size_t i = 0; i < l->n_records; i++)
		if (dn_below(l->records[i].key, base))
			return true;
	return false;
}

static int search_tree(const struct dir_ldif *l, const char *base, const struct dir_query *q,
    const struct dir_filter *f, struct dir_answer *ret, struct arena *a, struct err *err)
{
	int match;

	for (size_t i = 0; i < l->n_records; i++) {
		const struct record *r = &l->records[i];

		/* The filter first: it is the cheaper of the two, and rarely true. */
		if (!r->entry.n_attrs || !*r->key)
			continue;
		match = filter_match(f, &r->entry, r->key, a);
		if (match < 0)
			return err_nomem(err);
		if (match && in_scope(r, q->scope, base) && answer_add(ret, l, &r->entry, q, a, err) < 0)
			return -1;
	}
	return 0;
}

static int ldif_search(struct directory *d, const struct dir_query *q, struct dir_answer *ret,
    struct arena *a, struct err *err)
{
	const struct dir_ldif *l = (const struct dir_ldif *)d;
	const struct record *r;
	struct dir_filter *f;
	const char *base;

	if (filter_parse(&f, a, q->filter, err) < 0)
		return -1;
	base = dn_key(a, q->base);
	if (!base)
		return err_nomem(err);
	r = find(l, base);
	ret->outcome = DIR_OK;
	if (q->scope == DIR_BASE && r)
		return search_base(l, r, q, f, ret, a, err);
	/* A file without a root DSE does not name its domain: all of it can be searched. */
	if (q->scope == DIR_BASE || (*base && !base_exists(l, base)) || (!*base && q->scope == DIR_ONE)) {
		ret->outcome = DIR_ABSENT;
		return 0;
	}
	return search_tree(l, base, q, f, ret, a, err);
}

static void ldif_close(struct directory *d)
{
	struct dir_ldif *l = (struct dir_ldif *)d;

	arena_free(l->arena);
	free(l);
}

struct directory *dir_ldif_open(const char *file, struct err *err)
{
	struct dir_ldif *l = calloc(1, sizeof(*l)), *ret = NULL;
	struct dir_entry *entries;
	char *text = NULL;
	size_t len, n;
	int fd = -1;

	if (!l || !(l->arena = arena_new(0))) {
		err_nomem(err);
		goto out;
	}
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err_set(err, errno == ENOENT ? ERR_ABSENT : ERR_SYSTEM, "%s: %s", file, strerror(errno));
		goto out;
	}
	if (read_all(&text, &len, fd, err) < 0 || ldif_read(&entries, &n, l->arena, text, len, err) < 0 ||
	    add_records(l, entries, n, err) < 0) {
		err_prefix(err, "%s", file);
		goto out;
	}
	l->base.search = ldif_search;
	l->base.close = ldif_close;
	l->base.server = arena_printf(l->arena, "ldif:%s", file);
	if (!l->base.server) {
		err_nomem(err);
		goto out;
	}
	ret = l;
	l = NULL;
out:
	if (fd >= 0)
		close(fd);
	free(text);
	if (l)
		ldif_close(&l->base);
	return ret ? &ret->base : NULL;
}
