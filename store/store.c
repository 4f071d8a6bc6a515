#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/err.h"
#include "store/file.h"
#include "store/store_db.h"

#define SCHEMA_VERSION	1
#define APPLICATION_ID	0x69707370	/* "ipsp" */
#define BUSY_MS		250
#define CHECK_MAX_BYTES	(16 << 20)	/* SQLite's own check of larger files takes too long for a start */

static const char schema[] =
	"CREATE TABLE key (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, fold BLOB NOT NULL, name TEXT NOT NULL, sum BLOB NOT NULL, UNIQUE (parent, fold));"
	"CREATE TABLE value (key INTEGER NOT NULL, fold BLOB NOT NULL, name TEXT NOT NULL, type INTEGER NOT NULL, data BLOB NOT NULL, sum BLOB NOT NULL, PRIMARY KEY (key, fold));"
	"CREATE TABLE generation (number INTEGER PRIMARY KEY, taken INTEGER NOT NULL, digest BLOB NOT NULL);"
	"CREATE TABLE part (generation INTEGER NOT NULL, seq INTEGER NOT NULL, name TEXT NOT NULL, text BLOB NOT NULL, PRIMARY KEY (generation, seq));"
	"CREATE TABLE seal (id INTEGER PRIMARY KEY CHECK (id = 1), next INTEGER NOT NULL, digest BLOB NOT NULL);"
	"PRAGMA application_id = 1768977264;"
	"PRAGMA user_version = 1;";

static const char *const sql[N_STMTS] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_KEY_FIND] = "SELECT id, name, sum FROM key WHERE parent = ?1 AND fold = ?2",
	[ST_KEY_ADD] = "INSERT INTO key (parent, fold, name, sum) VALUES (?1, ?2, ?3, ?4)",
	[ST_KEY_CHILDREN] = "SELECT id, name, sum FROM key WHERE parent = ?1 ORDER BY fold",
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

static int simple(struct store *s, enum stmt which, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, which, err);

	return st ? store_run(s, st, err) : -1;
}

/* ---- transactions -------------------------------------------------------------- */

int store_begin(struct store *s, struct err *err)
{
	if (s->in_transaction)
		return err_set(err, ERR_BUSY, "store '%s': a transaction is under way", s->path);
	if (simple(s, ST_BEGIN, err) < 0)
		return -1;
	s->in_transaction = true;
	return 0;
}

int store_commit(struct store *s, struct err *err)
{
	if (!s->in_transaction)
		return err_set(err, ERR_FORMAT, "store '%s': no transaction to commit", s->path);
	if (simple(s, ST_COMMIT, err) < 0) {
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
	simple(s, ST_ROLLBACK, &err);
	s->in_transaction = false;
}

/* ---- the folder ------------------------------------------------------------------ */

static int guard_check(const char *path, const struct stat *st, struct err *err)
{
	if (st->st_uid != geteuid())
		return err_set(err, ERR_DENIED, "'%s' belongs to another user (uid %u)", path, (unsigned)st->st_uid);
	return file_mode_check(path, st, err);
}

static int folder_check(const char *dir, enum store_mode mode, struct err *err)
{
	struct stat st;

	if (mode == STORE_WRITE && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, ERR_SYSTEM, "cannot create '%s': %s", dir, strerror(errno));
	if (stat(dir, &st) < 0)
		return err_set(err, errno == ENOENT ? ERR_ABSENT : errno == EACCES ? ERR_DENIED : ERR_SYSTEM, "store '%s': %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_SYSTEM, "'%s' is not a directory", dir);
	return guard_check(dir, &st, err);
}

/* 1: there; 0: not. */
static int file_check(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_set(err, errno == EACCES ? ERR_DENIED : ERR_SYSTEM, "store '%s': %s", path, strerror(errno));
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_DENIED, "'%s' is not a regular file", path);
	if (guard_check(path, &st, err) < 0)
		return -1;
	/* SQLite takes an empty file for a new database; ours never is empty. */
	if (st.st_size == 0)
		return err_set(err, ERR_DAMAGED, "store '%s': the file is empty", path);
	return 1;
}

static int lock_take(const char *dir, struct err *err)
{
	char path[4096];
	int fd;

	if (snprintf(path, sizeof(path), "%s/lock", dir) >= (int)sizeof(path))
		return err_set(err, ERR_LIMIT, "store '%s': name too long", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "cannot open '%s': %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		err_set(err, errno == EWOULDBLOCK ? ERR_BUSY : ERR_SYSTEM, errno == EWOULDBLOCK ?
		    "store '%s' is open in another process" : "cannot lock store '%s'", dir);
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- opening ----------------------------------------------------------------------- */

static int pragma(struct store *s, const char *text, struct err *err)
{
	int r = sqlite3_exec(s->db, text, NULL, NULL, NULL);

	return r == SQLITE_OK ? 0 : store_sql_error(s, sqlite3_extended_errcode(s->db), err);
}

/* First column of the first row as a number; -1 in *ret when it is none. */
static int pragma_get(struct store *s, const char *text, int64_t *ret, struct err *err)
{
	sqlite3_stmt *st = NULL;
	int r = sqlite3_prepare_v2(s->db, text, -1, &st, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	if (r == SQLITE_ROW)
		*ret = sqlite3_column_type(st, 0) == SQLITE_INTEGER ? sqlite3_column_int64(st, 0) : -1;
	else
		store_sql_error(s, r, err);
	sqlite3_finalize(st);
	return r == SQLITE_ROW ? 0 : -1;
}

static int quick_check(struct store *s, struct err *err)
{
	sqlite3_stmt *st = NULL;
	const char *text;
	int r, rc = -1;

	r = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_step(st);
	text = r == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
	if (r != SQLITE_ROW)
		store_sql_error(s, r, err);
	else if (!text || strcmp(text, "ok"))
		store_damaged(s, err, "%s", text ? text : "check without a result");
	else
		rc = 0;
	sqlite3_finalize(st);
	return rc;
}

static int database_open(struct store *s, const char *path, enum store_mode mode, struct err *err)
{
	/* Readers too: the journal of a writer that crashed has to be played back. */
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	int r = sqlite3_open_v2(path, &s->db, flags, NULL);

	if (r != SQLITE_OK)
		return store_sql_error(s, r, err);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	if (pragma(s, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024;", err) < 0)
		return -1;
	if (mode == STORE_READ)
		return pragma(s, "PRAGMA query_only = ON;", err);
	return pragma(s, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON;", err);
}

static void database_close(struct store *s)
{
	for (size_t i = 0; i < N_STMTS; i++) {
		sqlite3_finalize(s->stmts[i]);
		s->stmts[i] = NULL;
	}
	sqlite3_close(s->db);
	s->db = NULL;
}

/* A new database appears under its name only when it is whole. */
static int database_create(struct store *s, const char *dir, struct err *err)
{
	char path[4096], journal[4096 + 32];
	int fd;

	if (snprintf(path, sizeof(path), "%s.new", s->path) >= (int)sizeof(path))
		return err_set(err, ERR_LIMIT, "store '%s': name too long", dir);
	snprintf(journal, sizeof(journal), "%s-journal", path);
	if ((unlink(path) < 0 && errno != ENOENT) || (unlink(journal) < 0 && errno != ENOENT))
		return err_set(err, ERR_SYSTEM, "cannot remove '%s': %s", path, strerror(errno));
	/* SQLite gives its journal the mode of its database. */
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "cannot create '%s': %s", path, strerror(errno));
	close(fd);
	if (database_open(s, path, STORE_WRITE, err) < 0 || store_begin(s, err) < 0)
		return -1;
	if (pragma(s, schema, err) < 0 || generation_init(s, err) < 0 || store_commit(s, err) < 0)
		return -1;
	database_close(s);
	/* A journal whose database was removed must not be played back into this one. */
	snprintf(journal, sizeof(journal), "%s-journal", s->path);
	if (unlink(journal) < 0 && errno != ENOENT)
		return err_set(err, ERR_SYSTEM, "cannot remove '%s': %s", journal, strerror(errno));
	if (rename(path, s->path) < 0)
		return err_set(err, ERR_SYSTEM, "cannot rename '%s': %s", path, strerror(errno));
	return folder_sync(dir, err);
}

static int database_check(struct store *s, struct err *err)
{
	int64_t id = 0, version = 0, pages = 0, size = 0;

	if (pragma_get(s, "PRAGMA application_id", &id, err) < 0 || pragma_get(s, "PRAGMA user_version", &version, err) < 0 ||
	    pragma_get(s, "PRAGMA page_count", &pages, err) < 0 || pragma_get(s, "PRAGMA page_size", &size, err) < 0)
		return -1;
	if (id != APPLICATION_ID)
		return store_damaged(s, err, "not a store of ipsecpol");
	if (version > SCHEMA_VERSION)
		return err_set(err, ERR_UNSUPPORTED, "store '%s' is of a newer version (%lld)", s->path, (long long)version);
	if (version != SCHEMA_VERSION)
		return store_damaged(s, err, "version %lld", (long long)version);
	return pages * size <= CHECK_MAX_BYTES ? quick_check(s, err) : 0;
}

struct store *store_open(const char *dir, enum store_mode mode, struct err *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int there;

	if (!s || asprintf(&s->path, "%s/store.db", dir) < 0) {
		free(s);
		err_nomem(err);
		return NULL;
	}
	s->lock = -1;
	if (folder_check(dir, mode, err) < 0)
		goto fail;
	if (mode == STORE_WRITE) {
		s->lock = lock_take(dir, err);
		if (s->lock < 0)
			goto fail;
	}
	there = file_check(s->path, err);
	if (there < 0)
		goto fail;
	if (!there && mode == STORE_READ) {
		err_set(err, ERR_ABSENT, "store '%s' does not exist", s->path);
		goto fail;
	}
	if (!there && database_create(s, dir, err) < 0)
		goto fail;
	if (database_open(s, s->path, mode, err) < 0 || database_check(s, err) < 0)
		goto fail;
	return s;
fail:
	store_close(s);
	return NULL;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->db)
		store_rollback(s);
	database_close(s);
	if (s->lock >= 0)
		close(s->lock);
	free(s->path);
	free(s);
}

int store_set_aside(const char *dir, struct err *err)
{
	static const char *const suffixes[] = { "-journal", "" };
	char from[4096], to[4096];
	int lock, rc = -1;

	if (folder_check(dir, STORE_READ, err) < 0)
		return -1;
	lock = lock_take(dir, err);
	if (lock < 0)
		return -1;
	/* The journal goes first: beside a new database it would be played back into it. */
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (snprintf(from, sizeof(from), "%s/store.db%s", dir, suffixes[i]) >= (int)sizeof(from) ||
		    snprintf(to, sizeof(to), "%s/store.db.damaged%s", dir, suffixes[i]) >= (int)sizeof(to)) {
			err_set(err, ERR_LIMIT, "store '%s': name too long", dir);
			goto out;
		}
		if (rename(from, to) < 0 && errno != ENOENT) {
			err_set(err, ERR_SYSTEM, "cannot rename '%s': %s", from, strerror(errno));
			goto out;
		}
	}
	rc = folder_sync(dir, err);
out:
	close(lock);
	return rc;
}
