/* The seal of a registry: SHA-256 over the definitions of its tables and all its keys and
 * values in order, each column with its type and length.  Of a value's data it takes the digest that
 * stands beside it, so that a commit does not have to read everything. */
#include <nettle/sha2.h>
#include <string.h>

#include "schema/err.h"
#include "store/key.h"
#include "store/store_db.h"

static void update_column(struct sha256_ctx *ctx, sqlite3_stmt *st, int col)
{
	int type = sqlite3_column_type(st, col);
	const void *p = type == SQLITE_INTEGER ? NULL : sqlite3_column_blob(st, col);
	size_t len = p ? (size_t)sqlite3_column_bytes(st, col) : 0;

	sum_u64(ctx, (uint64_t)type);
	sum_u64(ctx, type == SQLITE_INTEGER ? (uint64_t)sqlite3_column_int64(st, col) : len);
	if (p)
		sha256_update(ctx, len, p);
}

static int key_check(struct store *s, sqlite3_stmt *st, struct err *err)
{
	char path[KEY_PATH];
	size_t len;

	if (key_row(st, sqlite3_column_int64(st, 3), &len))
		return 0;
	key_path(s, sqlite3_column_int64(st, 0), path);
	return store_damaged(s, err, "key '%s' is not what was written", path);
}

static int value_check(struct store *s, sqlite3_stmt *st, struct err *err)
{
	int64_t key = sqlite3_column_int64(st, 4);
	char path[KEY_PATH];
	struct reg_value v;
	int r = value_columns(st, key, &v);

	if (r < 0)
		return err_nomem(err);
	if (r)
		return 0;
	key_path(s, key, path);
	return store_damaged(s, err, "value '%.100s' of key '%s' is not what was written", v.name ? v.name : "?", path);
}

/* All rows of one statement; data: column that is left out, -1 none. */
static int rows_update(struct sha256_ctx *ctx, struct store *s, enum stmt which, int data, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, which, err);
	int r, n;

	if (!st)
		return -1;
	n = sqlite3_column_count(st);
	sum_u64(ctx, (uint64_t)n);
	while ((r = sqlite3_step(st)) == SQLITE_ROW) {
		if ((which == ST_SEAL_KEYS && key_check(s, st, err) < 0) || (which == ST_SEAL_VALUES && value_check(s, st, err) < 0)) {
			r = -1;
			break;
		}
		for (int i = 0; i < n; i++)
			if (i != data)
				update_column(ctx, st, i);
	}
	return store_rows_end(s, st, r, err);
}

static int seal_digest(uint8_t out[static DIGEST], struct store *s, bool data, struct err *err)
{
	static const char head[] = "ipsecpol registry 1";
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, sizeof(head), (const uint8_t *)head);
	if (rows_update(&ctx, s, ST_SEAL_TABLES, -1, err) < 0 || rows_update(&ctx, s, ST_SEAL_KEYS, -1, err) < 0 ||
	    rows_update(&ctx, s, data ? ST_SEAL_VALUES : ST_SEAL_SUMS, 2, err) < 0)
		return -1;
	sha256_digest(&ctx, DIGEST, out);
	return 0;
}

int seal_write(struct store *s, struct err *err)
{
	uint8_t digest[DIGEST];
	sqlite3_stmt *st;

	if (seal_digest(digest, s, false, err) < 0)
		return -1;
	st = store_stmt(s, ST_DIGEST_SET, err);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, 0);
	sqlite3_bind_blob(st, 2, digest, DIGEST, SQLITE_STATIC);
	return store_run(s, st, err);
}

int seal_check(struct store *s, bool data, struct err *err)
{
	uint8_t digest[DIGEST];
	bool same = false;
	sqlite3_stmt *st;
	int r;

	if (seal_digest(digest, s, data, err) < 0)
		return -1;
	st = store_stmt(s, ST_DIGEST_GET, err);
	if (!st)
		return -1;
	r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		same = sqlite3_column_type(st, 1) == SQLITE_BLOB && sqlite3_column_bytes(st, 1) == DIGEST &&
		    !memcmp(digest, sqlite3_column_blob(st, 1), DIGEST);
	sqlite3_reset(st);
	if (r != SQLITE_ROW && r != SQLITE_DONE)
		return store_sql_error(s, r, err);
	return same ? 0 : store_damaged(s, err, "something in it is missing, or is not what was written: its seal does not fit");
}
