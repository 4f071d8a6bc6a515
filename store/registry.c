#include <nettle/sha2.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/utf.h"
#include "store/key.h"
#include "store/store_db.h"

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

int reg_set(struct store *s, const char *key, const struct reg_value *v, struct err *err)
{
	char folded[REG_MAX_NAME + 1];
	uint8_t sum[SUM];
	sqlite3_stmt *st;
	int64_t id = 0;
	size_t n;

	if (store_write_check(s, err) < 0 || value_check(key, v, err) < 0 || key_find(s, key, true, &id, err) < 0)
		return -1;
	st = store_stmt(s, ST_VALUE_SET, err);
	if (!st)
		return -1;
	n = strlen(v->name);
	name_fold(folded, v->name, n);
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

	if (store_write_check(s, err) < 0)
		return -1;
	r = key_find(s, key, false, &id, err);
	if (r <= 0 || n > REG_MAX_NAME)
		return r < 0 ? -1 : 0;
	st = store_stmt(s, ST_VALUE_DELETE, err);
	if (!st)
		return -1;
	name_fold(folded, name, n);
	sqlite3_bind_int64(st, 1, id);
	sqlite3_bind_blob(st, 2, folded, (int)n, SQLITE_STATIC);
	return store_run(s, st, err);
}

int value_columns(sqlite3_stmt *st, int64_t key, struct reg_value *ret)
{
	uint8_t sum[SUM];
	size_t len;

	*ret = (struct reg_value){ .p = (const uint8_t *)"" };
	ret->name = column_text(st, 0, &len);
	if (!ret->name || sqlite3_column_type(st, 1) != SQLITE_INTEGER || sqlite3_column_type(st, 2) != SQLITE_BLOB)
		return 0;
	ret->type = (enum reg_type)sqlite3_column_int(st, 1);
	ret->len = (size_t)sqlite3_column_bytes(st, 2);
	if (ret->len)
		ret->p = sqlite3_column_blob(st, 2);
	if (!ret->p)
		return -1;
	value_sum(sum, key, ret);
	return column_sum_is(st, 3, sum) && data_fits(ret);
}

/* Row of (name, type, data, sum) of a key, copied into a. */
static int value_row(struct store *s, sqlite3_stmt *st, int64_t key, struct reg_value *ret, struct arena *a, struct err *err)
{
	struct reg_value v;
	uint8_t *copy;
	char *text;
	int r = value_columns(st, key, &v);

	if (r < 0)
		return err_nomem(err);
	if (r == 0)
		return v.name ? store_damaged(s, err, "value '%.100s' is not what was written", v.name) :
		    store_damaged(s, err, "a value is not what was written");
	text = arena_strdup(a, v.name);
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
	name_fold(folded, name, n);
	sqlite3_bind_int64(st, 1, id);
	sqlite3_bind_blob(st, 2, folded, (int)n, SQLITE_STATIC);
	r = sqlite3_step(st);
	if (r == SQLITE_DONE)
		r = 0;
	else if (r != SQLITE_ROW)
		r = store_sql_error(s, r, err);
	else if (value_row(s, st, id, &v, a, err) < 0)
		r = -1;
	else if (strlen(v.name) != n || !key_name_equal(v.name, name, n))
		r = store_damaged(s, err, "value '%.100s' stands under another name", v.name);
	else
		r = 1;
	sqlite3_reset(st);
	if (r == 1)
		*ret = v;
	return r;
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
	if (store_rows_end(s, st, r, err) < 0)
		return -1;
	*ret = all;
	*ret_n = n;
	return 1;
}
