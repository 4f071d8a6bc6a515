#include "store/key.h"

#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"
#include "store/store_db.h"

/* ---- names -------------------------------------------------------------------- */

void name_fold(char *out, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (char)ascii_lower((uint8_t)name[i]);
}

void sum_u64(struct sha256_ctx *ctx, uint64_t v)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> 8 * i);
	sha256_update(ctx, sizeof(b), b);
}

void sum_begin(struct sha256_ctx *ctx, const char *kind, int64_t id)
{
	sha256_init(ctx);
	sha256_update(ctx, strlen(kind) + 1, (const uint8_t *)kind);
	sum_u64(ctx, (uint64_t)id);
}

static void key_sum(uint8_t out[static SUM], int64_t parent, const char *name, size_t len)
{
	struct sha256_ctx ctx;

	sum_begin(&ctx, "key", parent);
	sha256_update(&ctx, len, (const uint8_t *)name);
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

const char *column_text(sqlite3_stmt *st, int col, size_t *ret_len)
{
	const char *p;

	if (sqlite3_column_type(st, col) != SQLITE_TEXT)
		return NULL;
	p = (const char *)sqlite3_column_text(st, col);
	*ret_len = (size_t)sqlite3_column_bytes(st, col);
	return p && !memchr(p, '\0', *ret_len) ? p : NULL;
}

bool column_sum_is(sqlite3_stmt *st, int col, const uint8_t sum[static SUM])
{
	return sqlite3_column_type(st, col) == SQLITE_BLOB && sqlite3_column_bytes(st, col) == SUM &&
	    !memcmp(sqlite3_column_blob(st, col), sum, SUM);
}

const char *key_row(sqlite3_stmt *st, int64_t parent, size_t *ret_len)
{
	const char *name = column_text(st, 1, ret_len);
	uint8_t sum[SUM];

	if (!name || sqlite3_column_int64(st, 0) <= 0)
		return NULL;
	key_sum(sum, parent, name, *ret_len);
	return column_sum_is(st, 2, sum) ? name : NULL;
}

bool key_name_equal(const char *a, const char *b, size_t len)
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
	name_fold(folded, name, len);
	sqlite3_bind_int64(st, 1, parent);
	sqlite3_bind_blob(st, 2, folded, (int)len, SQLITE_STATIC);
	r = sqlite3_step(st);
	if (r == SQLITE_DONE) {
		rc = 0;
	} else if (r != SQLITE_ROW) {
		store_sql_error(s, r, err);
	} else {
		found = key_row(st, parent, &found_len);
		if (!found || found_len != len || !key_name_equal(found, name, len)) {
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
	name_fold(folded, name, len);
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

int key_find(struct store *s, const char *key, bool create, int64_t *ret, struct err *err)
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

/* The parent of a key, its name put before text + *at.  0: there is none, or no room. */
static int64_t key_parent(struct store *s, int64_t id, char *text, size_t *at)
{
	struct err err;
	sqlite3_stmt *st = store_stmt(s, ST_KEY_PARENT, &err);
	const char *name;
	int64_t parent = 0;
	size_t len;

	if (!st)
		return 0;
	sqlite3_bind_int64(st, 1, id);
	name = sqlite3_step(st) == SQLITE_ROW ? column_text(st, 0, &len) : NULL;
	if (name && len < *at) {
		parent = sqlite3_column_int64(st, 1);
		*at -= len;
		memcpy(text + *at, name, len);
		if (parent > 0)
			text[--*at] = '\\';
	}
	sqlite3_reset(st);
	return parent;
}

/* Written from its end: the last parts are what tells one key from another. */
void key_path(struct store *s, int64_t id, char out[static KEY_PATH])
{
	char text[KEY_PATH] = "";
	size_t at = KEY_PATH - 1;

	for (int depth = 0; id > 0 && depth < REG_MAX_DEPTH; depth++)
		id = key_parent(s, id, text, &at);
	memcpy(out, text + at, KEY_PATH - at);
}

/* ---- the tree ----------------------------------------------------------------- */

int reg_delete_key(struct store *s, const char *key, struct err *err)
{
	static const enum stmt steps[] = { ST_KEY_DELETE_VALUES, ST_KEY_DELETE };
	sqlite3_stmt *st;
	int64_t id = 0;
	int r;

	if (store_write_check(s, err) < 0)
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
	if (store_rows_end(s, st, r, err) < 0)
		return -1;
	*ret = all;
	*ret_n = n;
	return 1;
}
