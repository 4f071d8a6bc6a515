#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "schema/err.h"
#include "store/store_db.h"

static const char *const sql[N_STMTS] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_BEGIN_READ] = "BEGIN",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_VERSION] = "PRAGMA data_version",
	[ST_KEY_FIND] = "SELECT id, name, sum FROM key WHERE parent = ?1 AND fold = ?2",
	[ST_KEY_ADD] = "INSERT INTO key (parent, fold, name, sum) VALUES (?1, ?2, ?3, ?4)",
	[ST_KEY_CHILDREN] = "SELECT id, name, sum FROM key WHERE parent = ?1 ORDER BY fold",
	[ST_KEY_PARENT] = "SELECT name, parent FROM key WHERE id = ?1",
	/* UNION, not UNION ALL: a circle in a damaged file must not go on for ever. */
	[ST_KEY_DELETE_VALUES] = "WITH RECURSIVE t (id) AS (VALUES (?1) UNION SELECT key.id FROM key JOIN t ON key.parent = t.id) "
	    "DELETE FROM value WHERE key IN (SELECT id FROM t)",
	[ST_KEY_DELETE] = "WITH RECURSIVE t (id) AS (VALUES (?1) UNION SELECT key.id FROM key JOIN t ON key.parent = t.id) "
	    "DELETE FROM key WHERE id IN (SELECT id FROM t)",
	[ST_VALUE_SET] = "INSERT INTO value (key, fold, name, type, data, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
	    "ON CONFLICT (key, fold) DO UPDATE SET name = ?3, type = ?4, data = ?5, sum = ?6",
	[ST_VALUE_GET] = "SELECT name, type, data, sum FROM value WHERE key = ?1 AND fold = ?2",
	[ST_VALUE_LIST] = "SELECT name, type, data, sum FROM value WHERE key = ?1 ORDER BY fold",
	[ST_VALUE_DELETE] = "DELETE FROM value WHERE key = ?1 AND fold = ?2",
	[ST_DIGEST_GET] = "SELECT next, digest FROM seal WHERE id = 1",
	[ST_DIGEST_SET] = "INSERT INTO seal (id, next, digest) VALUES (1, ?1, ?2) ON CONFLICT (id) DO UPDATE SET next = ?1, digest = ?2",
	/* By the very indexes that every look-up goes through: what is missing in them is missing. */
	[ST_SEAL_TABLES] = "SELECT name, sql FROM sqlite_master ORDER BY name",
	[ST_SEAL_KEYS] = "SELECT id, name, sum, parent, fold FROM key INDEXED BY sqlite_autoindex_key_1 ORDER BY parent, fold",
	[ST_SEAL_VALUES] = "SELECT name, type, data, sum, key, fold FROM value INDEXED BY sqlite_autoindex_value_1 ORDER BY key, fold",
	[ST_SEAL_SUMS] = "SELECT name, type, NULL, sum, key, fold FROM value INDEXED BY sqlite_autoindex_value_1 ORDER BY key, fold",
	[ST_GEN_LIST] = "SELECT number, taken, digest FROM generation ORDER BY number DESC",
	[ST_GEN_ADD] = "INSERT INTO generation (number, taken, digest) VALUES (?1, ?2, ?3)",
	[ST_GEN_DELETE] = "DELETE FROM generation WHERE number < ?1",
	[ST_GEN_DELETE_PARTS] = "DELETE FROM part WHERE generation < ?1",
	[ST_PART_ADD] = "INSERT INTO part (generation, seq, name, text) VALUES (?1, ?2, ?3, ?4)",
	[ST_PART_LIST] = "SELECT seq, name, text FROM part WHERE generation = ?1 ORDER BY seq",
};

/* ---- statements and errors --------------------------------------------------- */

static enum err_code code_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_CANTOPEN:
	case SQLITE_FULL:
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return ERR_SYSTEM;
	case SQLITE_IOERR:
		return code == SQLITE_IOERR_CORRUPTFS || code == SQLITE_IOERR_DATA ? ERR_DAMAGED : ERR_SYSTEM;
	case SQLITE_TOOBIG:
		return ERR_LIMIT;
	default:
		return ERR_DAMAGED;
	}
}

int store_sql_error(struct store *s, int code, struct err *err)
{
	const char *text = s->db && sqlite3_extended_errcode(s->db) == code ? sqlite3_errmsg(s->db) : sqlite3_errstr(code);
	enum err_code c = code_of(code);

	if (c == ERR_NOMEM)
		return err_nomem(err);
	if (c == ERR_BUSY)
		return err_set(err, c, "store '%s' is in use by another process", s->path);
	return err_set(err, c, "store '%s': %s", s->path, text);
}

int store_damaged(struct store *s, struct err *err, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, ERR_DAMAGED, "store '%s': %s", s->path, text);
}

sqlite3_stmt *store_stmt(struct store *s, enum stmt which, struct err *err)
{
	sqlite3_stmt *st = s->stmts[which];
	int r;

	if (st) {
		sqlite3_reset(st);
		sqlite3_clear_bindings(st);
		return st;
	}
	r = sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[which], NULL);
	if (r != SQLITE_OK)
		store_sql_error(s, r, err);
	return s->stmts[which];
}

int store_run(struct store *s, sqlite3_stmt *st, struct err *err)
{
	int r = sqlite3_step(st);

	if (r != SQLITE_DONE)
		store_sql_error(s, r, err);
	sqlite3_reset(st);
	return r == SQLITE_DONE ? 0 : -1;
}

int store_simple(struct store *s, enum stmt which, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, which, err);

	return st ? store_run(s, st, err) : -1;
}

int store_exec(struct store *s, const char *text, struct err *err)
{
	int r = sqlite3_exec(s->db, text, NULL, NULL, NULL);

	return r == SQLITE_OK ? 0 : store_sql_error(s, sqlite3_extended_errcode(s->db), err);
}

/* After the last row: r is what sqlite3_step said, or -1 with an error of ours. */
int store_rows_end(struct store *s, sqlite3_stmt *st, int r, struct err *err)
{
	if (r >= 0 && r != SQLITE_DONE)
		r = store_sql_error(s, r, err);
	sqlite3_reset(st);
	return r < 0 ? -1 : 0;
}

void store_statements_free(struct store *s)
{
	for (size_t i = 0; i < N_STMTS; i++) {
		sqlite3_finalize(s->stmts[i]);
		s->stmts[i] = NULL;
	}
}

/* ---- transactions -------------------------------------------------------------- */

int store_begin_raw(struct store *s, bool writing, struct err *err)
{
	if (s->in_transaction)
		return err_set(err, ERR_BUSY, "store '%s': a transaction is under way", s->path);
	if (store_simple(s, writing ? ST_BEGIN : ST_BEGIN_READ, err) < 0)
		return -1;
	s->in_transaction = true;
	s->reading = !writing;
	s->changes = sqlite3_total_changes(s->db);
	return 0;
}

/* Another file may have taken the place of the one that is open: what is written into this
 * one is lost. */
static int place_check(struct store *s, struct err *err)
{
	int moved = 0;

	sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved ? err_set(err, ERR_BUSY, "store '%s' was removed or replaced meanwhile", s->path) : 0;
}

static int begin_checked(struct store *s, bool writing, struct err *err)
{
	if (store_begin_raw(s, writing, err) < 0)
		return -1;
	if (s->registry && (place_check(s, err) < 0 || seal_check(s, false, err) < 0)) {
		store_rollback(s);
		return -1;
	}
	return 0;
}

int store_begin(struct store *s, struct err *err)
{
	return begin_checked(s, s->mode != STORE_READ, err);
}

int store_begin_reading(struct store *s, struct err *err)
{
	return begin_checked(s, false, err);
}

int store_read_begin(struct store *s, bool *own, struct err *err)
{
	*own = !s->in_transaction;
	return *own ? begin_checked(s, false, err) : 0;
}

void store_read_end(struct store *s, bool own)
{
	if (own)
		store_rollback(s);
}

int store_commit(struct store *s, struct err *err)
{
	bool seal = s->registry && sqlite3_total_changes(s->db) != s->changes;

	if (!s->in_transaction)
		return err_set(err, ERR_FORMAT, "store '%s': no transaction to commit", s->path);
	if ((seal && seal_write(s, err) < 0) || store_simple(s, ST_COMMIT, err) < 0) {
		store_rollback(s);
		return -1;
	}
	s->in_transaction = false;
	return 0;
}

void store_rollback(struct store *s)
{
	struct err err;

	if (!s->in_transaction)
		return;
	/* A statement in mid-result would make the rollback wait for it. */
	for (size_t i = 0; i < N_STMTS; i++)
		if (s->stmts[i])
			sqlite3_reset(s->stmts[i]);
	store_simple(s, ST_ROLLBACK, &err);
	s->in_transaction = false;
}

int store_write_check(const struct store *s, struct err *err)
{
	if (s->mode == STORE_READ)
		return err_set(err, ERR_FORMAT, "store '%s' was opened for reading", s->path);
	if (!s->in_transaction || s->reading)
		return err_set(err, ERR_FORMAT, "store '%s': no transaction was begun", s->path);
	return 0;
}

int store_version(struct store *s, uint32_t *ret, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, ST_VERSION, err);
	int r;

	if (!st)
		return -1;
	r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		*ret = (uint32_t)sqlite3_column_int64(st, 0);
	else
		store_sql_error(s, r, err);
	sqlite3_reset(st);
	return r == SQLITE_ROW ? 0 : -1;
}
