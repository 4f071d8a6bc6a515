#include <nettle/sha2.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"
#include "store/store_db.h"

#define SUM	16	/* bytes of the digest kept with each key and value */

/* ---- names -------------------------------------------------------------------- */

static void fold(char *out, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (char)ascii_lower((uint8_t)name[i]);
}

static void sum_begin(struct sha256_ctx *ctx, const char *kind, int64_t id)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)((uint64_t)id >> 8 * i);
	sha256_init(ctx);
	sha256_update(ctx, strlen(kind) + 1, (const uint8_t *)kind);
	sha256_update(ctx, sizeof(b), b);
}

static void key_sum(uint8_t out[static SUM], int64_t parent, const char *name, size_t len)
{
	struct sha256_ctx ctx;

	sum_begin(&ctx, "key", parent);
	sha256_update(&ctx, len, (const uint8_t *)name);
	sha256_digest(&ctx, SUM, out);
}

static void value_sum(uint8_t out[static SUM], int64_t key, const struct reg_value *v)
{
	const uint8_t type[2] = { (uint8_t)v->type, 0 };
	struct sha256_ctx ctx;

	sum_begin(&ctx, "value", key);
	sha256_update(&ctx, strlen(v->name) + 1, (const uint8_t *)v->name);
	sha256_update(&ctx, sizeof(type), type);
	sha256_update(&ctx, v->len, v->p);
	sha256_digest(&ctx, SUM, out);
}

/* ---- keys ---------------------------------------------------------------------- */

/* The next part of a path; 1 there is one, 0 the end, -1 error. */
static int part_next(const char **path, size_t *ret_len, unsigned *depth, struct err *err)
{
	size_t len = strcspn(*path, "\\");

	if (**path == '\0' && *depth > 0)
		return 0;
	if (len == 0)
		return err_set(err, ERR_FORMAT, "key with an empty part");
	if (len > REG_MAX_KEY || ++*depth > REG_MAX_DEPTH)
		return err_set(err, ERR_LIMIT, "key name too long or too deep");
	*ret_len = len;
	return 1;
}

static int path_check(const char *key, struct err *err)
{
	unsigned depth = 0;
	const char *p = key;
	size_t len;
	int r;

	if (!utf8_valid(key))
		return err_set(err, ERR_FORMAT, "key '%s' is not UTF-8", key);
	while ((r = part_next(&p, &len, &depth, err)) == 1) {
		p += len;
		if (*p == '\\' && *++p == '\0')
			return err_set(err, ERR_FORMAT, "key '%s' ends with '\\'", key);
	}
	return r < 0 ? err_prefix(err, "key '%.100s'", key) : 0;
}

/* A text column of exactly these bytes; NULL: something else stands there. */
static const char *column_text(sqlite3_stmt *st, int col, size_t *ret_len)
{
	const char *p;

	if (sqlite3_column_type(st, col) != SQLITE_TEXT)
		return NULL;
	p = (const char *)sqlite3_column_text(st, col);
	*ret_len = (size_t)sqlite3_column_bytes(st, col);
	return p && !memchr(p, '\0', *ret_len) ? p : NULL;
}

static bool column_sum_is(sqlite3_stmt *st, int col, const uint8_t sum[static SUM])
{
	return sqlite3_column_type(st, col) == SQLITE_BLOB && sqlite3_column_bytes(st, col) == SUM &&
	    !memcmp(sqlite3_column_blob(st, col), sum, SUM);
}

/* Row of (id, name, sum) below parent; NULL: not what was written. */
static const char *key_row(sqlite3_stmt *st, int64_t parent, size_t *ret_len)
{
	const char *name = column_text(st, 1, ret_len);
	uint8_t sum[SUM];

	if (!name || sqlite3_column_int64(st, 0) <= 0)
		return NULL;
	key_sum(sum, parent, name, *ret_len);
	return column_sum_is(st, 2, sum) ? name : NULL;
}

static bool fold_equal(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (ascii_lower((uint8_t)a[i]) != ascii_lower((uint8_t)b[i]))
			return false;
	return true;
}

/* 1 and *ret, 0 absent, -1. */
static int child_find(struct store *s, int64_t parent, const char *name, size_t len, int64_t *ret, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, ST_KEY_FIND, err);
	char folded[REG_MAX_KEY];
	const char *found;
	size_t found_len;
	int r, rc = -1;

	if (!st)
		return -1;
	fold(folded, name, len);
	sqlite3_bind_int64(st, 1, parent);
	sqlite3_bind_blob(st, 2, folded, (int)len, SQLITE_STATIC);
	r = sqlite3_step(st);
	if (r == SQLITE_DONE) {
		rc = 0;
	} else if (r != SQLITE_ROW) {
		store_sql_error(s, r, err);
	} else {
		found = key_row(st, parent, &found_len);
		if (!found || found_len != len || !fold_equal(found, name, len)) {
			store_damaged(s, err, "key '%.*s' is not what was written", (int)len, name);
		} else {
			*ret = sqlite3_column_int64(st, 0);
			rc = 1;
		}
	}
	sqlite3_reset(st);
	return rc;
}

static int child_add(struct store *s, int64_t parent, const char *name, size_t len, int64_t *ret, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, ST_KEY_ADD, err);
	char folded[REG_MAX_KEY];
	uint8_t sum[SUM];

	if (!st)
		return -1;
	fold(folded, name, len);
	key_sum(sum, parent, name, len);
	sqlite3_bind_int64(st, 1, parent);
	sqlite3_bind_blob(st, 2, folded, (int)len, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, name, (int)len, SQLITE_STATIC);
	sqlite3_bind_blob(st, 4, sum, SUM, SQLITE_STATIC);
	if (store_run(s, st, err) < 0)
		return -1;
	*ret = sqlite3_last_insert_rowid(s->db);
	return 0;
}

/* Follows a path, creating what is missing when create.  1, 0 absent, -1. */
static int key_find(struct store *s, const char *key, bool create, int64_t *ret, struct err *err)
{
	int64_t id = 0, parent;
	const char *p = key;
	unsigned depth = 0;
	size_t len;
	int r;

	if (path_check(key, err) < 0)
		return -1;
	while ((r = part_next(&p, &len, &depth, err)) == 1) {
		parent = id;
		r = child_find(s, parent, p, len, &id, err);
		if (r == 0 && !create)
			return 0;
		if (r < 0 || (r == 0 && child_add(s, parent, p, len, &id, err) < 0))
			return -1;
		p += len + (p[len] == '\\');
	}
	if (r < 0)
		return -1;
	*ret = id;
	return 1;
}

/* ---- values --------------------------------------------------------------------- */

/* Strings one after the other, each valid and not empty. */
static bool multi_fits(const uint8_t *p, size_t len)
{
	const char *text = (const char *)p, *end = text + len;

	if (len && p[len - 1])
		return false;
	for (; text < end; text += strlen(text) + 1)
		if (!*text || !utf8_valid(text))
			return false;
	return true;
}

static bool text_fits(const uint8_t *p, size_t len)
{
	const char *s = (const char *)p, *end = s + len;

	/* Not necessarily with a NUL behind it: in pieces that have one. */
	while (s < end) {
		char piece[5] = "";
		size_t n = 1;
		const char *q = piece;

		while (n < 4 && s + n < end && ((unsigned char)s[n] & 0xc0) == 0x80)
			n++;
		memcpy(piece, s, n);
		if (utf8_next(&q) <= 0 || *q)
			return false;
		s += n;
	}
	return true;
}

static bool data_fits(const struct reg_value *v)
{
	switch (v->type) {
	case REG_SZ:
		return text_fits(v->p, v->len);
	case REG_MULTI_SZ:
		return multi_fits(v->p, v->len);
	case REG_DWORD:
		return v->len == 4;
	case REG_QWORD:
		return v->len == 8;
	case REG_BINARY:
		return true;
	}
	return false;
}

static int value_check(const char *key, const struct reg_value *v, struct err *err)
{
	if (strlen(v->name) > REG_MAX_NAME || v->len > REG_MAX_DATA)
		return err_set(err, ERR_LIMIT, "value '%.100s' of key '%.200s' is too long", v->name, key);
	if (!utf8_valid(v->name))
		return err_set(err, ERR_FORMAT, "name of a value of key '%.200s' is not UTF-8", key);
	if (!data_fits(v))
		return err_set(err, ERR_FORMAT, "value '%.100s' of key '%.200s' is not of its type", v->name, key);
	return 0;
}

static int write_check(const struct store *s, struct err *err)
{
	return s->in_transaction ? 0 : err_set(err, ERR_FORMAT, "store '%s': no transaction was begun", s->path);
}

int reg_set(struct store *s, const char *key, const struct reg_value *v, struct err *err)
{
	char folded[REG_MAX_NAME + 1];
	uint8_t sum[SUM];
	sqlite3_stmt *st;
	int64_t id = 0;
	size_t n;

	if (write_check(s, err) < 0 || value_check(key, v, err) < 0 || key_find(s, key, true, &id, err) < 0)
		return -1;
	st = store_stmt(s, ST_VALUE_SET, err);
	if (!st)
		return -1;
	n = strlen(v->name);
	fold(folded, v->name, n);
	value_sum(sum, id, v);
	sqlite3_bind_int64(st, 1, id);
	/* A NULL pointer would bind NULL, not an empty blob. */
	sqlite3_bind_blob(st, 2, folded, (int)n, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, v->name, (int)n, SQLITE_STATIC);
	sqlite3_bind_int(st, 4, (int)v->type);
	sqlite3_bind_blob(st, 5, v->p ? (const void *)v->p : "", (int)v->len, SQLITE_STATIC);
	sqlite3_bind_blob(st, 6, sum, SUM, SQLITE_STATIC);
	return store_run(s, st, err);
}

int reg_delete_value(struct store *s, const char *key, const char *name, struct err *err)
{
	char folded[REG_MAX_NAME + 1];
	size_t n = strlen(name);
	sqlite3_stmt *st;
	int64_t id = 0;
	int r;

	if (write_check(s, err) < 0)
		return -1;
	r = key_find(s, key, false, &id, err);
	if (r <= 0 || n > REG_MAX_NAME)
		return r < 0 ? -1 : 0;
	st = store_stmt(s, ST_VALUE_DELETE, err);
	if (!st)
		return -1;
	fold(folded, name, n);
	sqlite3_bind_int64(st, 1, id);
	sqlite3_bind_blob(st, 2, folded, (int)n, SQLITE_STATIC);
	return store_run(s, st, err);
}

int reg_delete_key(struct store *s, const char *key, struct err *err)
{
	static const enum stmt steps[] = { ST_KEY_DELETE_VALUES, ST_KEY_DELETE };
	sqlite3_stmt *st;
	int64_t id = 0;
	int r;

	if (write_check(s, err) < 0)
		return -1;
	r = key_find(s, key, false, &id, err);
	if (r <= 0)
		return r;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		st = store_stmt(s, steps[i], err);
		if (!st)
			return -1;
		sqlite3_bind_int64(st, 1, id);
		if (store_run(s, st, err) < 0)
			return -1;
	}
	return 0;
}

/* Row of (name, type, data, sum) of a key, copied into a. */
static int value_row(struct store *s, sqlite3_stmt *st, int64_t key, struct reg_value *ret, struct arena *a, struct err *err)
{
	struct reg_value v = { .p = (const uint8_t *)"" };
	uint8_t sum[SUM], *copy;
	size_t len = 0;
	char *text;

	v.name = column_text(st, 0, &len);
	if (!v.name || sqlite3_column_type(st, 1) != SQLITE_INTEGER || sqlite3_column_type(st, 2) != SQLITE_BLOB)
		return store_damaged(s, err, "a value is not what was written");
	v.type = (enum reg_type)sqlite3_column_int(st, 1);
	v.len = (size_t)sqlite3_column_bytes(st, 2);
	if (v.len)
		v.p = sqlite3_column_blob(st, 2);
	if (!v.p)
		return err_nomem(err);
	value_sum(sum, key, &v);
	if (!column_sum_is(st, 3, sum) || !data_fits(&v))
		return store_damaged(s, err, "value '%.100s' is not what was written", v.name);
	text = arena_strndup(a, v.name, len);
	copy = arena_zalloc(a, v.len + 1, 1);
	if (!text || !copy)
		return err_nomem(err);
	memcpy(copy, v.p, v.len);
	*ret = (struct reg_value){ text, v.type, copy, v.len };
	return 0;
}

int reg_get(struct store *s, const char *key, const char *name, struct reg_value *ret, struct arena *a, struct err *err)
{
	char folded[REG_MAX_NAME + 1];
	size_t n = strlen(name);
	sqlite3_stmt *st;
	struct reg_value v = { 0 };
	int64_t id = 0;
	int r;

	r = key_find(s, key, false, &id, err);
	if (r <= 0 || n > REG_MAX_NAME)
		return r < 0 ? -1 : 0;
	st = store_stmt(s, ST_VALUE_GET, err);
	if (!st)
		return -1;
	fold(folded, name, n);
	sqlite3_bind_int64(st, 1, id);
	sqlite3_bind_blob(st, 2, folded, (int)n, SQLITE_STATIC);
	r = sqlite3_step(st);
	if (r == SQLITE_DONE)
		r = 0;
	else if (r != SQLITE_ROW)
		r = store_sql_error(s, r, err);
	else if (value_row(s, st, id, &v, a, err) < 0)
		r = -1;
	else if (strlen(v.name) != n || !fold_equal(v.name, name, n))
		r = store_damaged(s, err, "value '%.100s' stands under another name", v.name);
	else
		r = 1;
	sqlite3_reset(st);
	if (r == 1)
		*ret = v;
	return r;
}

/* After the last row: r is what sqlite3_step said, or -1 with an error of ours. */
static int rows_end(struct store *s, sqlite3_stmt *st, int r, struct err *err)
{
	if (r >= 0 && r != SQLITE_DONE)
		r = store_sql_error(s, r, err);
	sqlite3_reset(st);
	return r < 0 ? -1 : 0;
}

int reg_values(struct store *s, const char *key, struct reg_value **ret, size_t *ret_n, struct arena *a, struct err *err)
{
	struct reg_value *all = NULL;
	sqlite3_stmt *st;
	int64_t id = 0;
	size_t n = 0;
	int r;

	r = key_find(s, key, false, &id, err);
	if (r <= 0)
		return r;
	st = store_stmt(s, ST_VALUE_LIST, err);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, id);
	while ((r = sqlite3_step(st)) == SQLITE_ROW) {
		all = arena_grow(a, all, n, sizeof(*all));
		if (!all || value_row(s, st, id, &all[n], a, err) < 0) {
			r = all ? -1 : err_nomem(err);
			break;
		}
		n++;
	}
	if (rows_end(s, st, r, err) < 0)
		return -1;
	*ret = all;
	*ret_n = n;
	return 1;
}

int reg_subkeys(struct store *s, const char *key, const char ***ret, size_t *ret_n, struct arena *a, struct err *err)
{
	const char **all = NULL, *name;
	sqlite3_stmt *st;
	int64_t id = 0;
	size_t n = 0, len;
	int r = 1;

	if (*key)
		r = key_find(s, key, false, &id, err);
	if (r <= 0)
		return r;
	st = store_stmt(s, ST_KEY_CHILDREN, err);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, id);
	while ((r = sqlite3_step(st)) == SQLITE_ROW) {
		name = key_row(st, id, &len);
		if (!name) {
			r = store_damaged(s, err, "a key below '%.200s' is not what was written", key);
			break;
		}
		all = arena_grow(a, all, n, sizeof(*all));
		if (!all || !(all[n] = arena_strndup(a, name, len))) {
			r = err_nomem(err);
			break;
		}
		n++;
	}
	if (rows_end(s, st, r, err) < 0)
		return -1;
	*ret = all;
	*ret_n = n;
	return 1;
}
