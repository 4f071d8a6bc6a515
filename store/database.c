#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "schema/err.h"
#include "store/file.h"
#include "store/store_db.h"

#define STORE_FILE	"store.db"
#define REGISTRY_FILE	"registry.db"
#define SCHEMA_VERSION	1
#define APPLICATION_ID	0x69707370	/* "ipsp" */
#define BUSY_MS		250		/* one writer only: who has it open has it for long */
#define REGISTRY_BUSY_MS 10000		/* each has it for one transaction */
#define CHECK_MAX_BYTES	(16 << 20)	/* SQLite's own check of larger files takes too long for a start */

/* The digest of a registry holds these words too: another text is another store. */
#define TREE_TABLES \
	"CREATE TABLE key (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, fold BLOB NOT NULL, name TEXT NOT NULL, sum BLOB NOT NULL, UNIQUE (parent, fold));" \
	"CREATE TABLE value (key INTEGER NOT NULL, fold BLOB NOT NULL, name TEXT NOT NULL, type INTEGER NOT NULL, data BLOB NOT NULL, sum BLOB NOT NULL, PRIMARY KEY (key, fold));"
#define GENERATION_TABLES \
	"CREATE TABLE generation (number INTEGER PRIMARY KEY, taken INTEGER NOT NULL, digest BLOB NOT NULL);" \
	"CREATE TABLE part (generation INTEGER NOT NULL, seq INTEGER NOT NULL, name TEXT NOT NULL, text BLOB NOT NULL, PRIMARY KEY (generation, seq));"
#define SEAL_TABLE \
	"CREATE TABLE seal (id INTEGER PRIMARY KEY CHECK (id = 1), next INTEGER NOT NULL, digest BLOB NOT NULL);" \
	"PRAGMA application_id = 1768977264;" \
	"PRAGMA user_version = 1;"

static const char store_schema[] = TREE_TABLES GENERATION_TABLES SEAL_TABLE;
static const char registry_schema[] = TREE_TABLES SEAL_TABLE;

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

static int database_open(struct store *s, const char *path, struct err *err)
{
	/* Readers too: the journal of a writer that crashed has to be played back. */
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	int r = sqlite3_open_v2(path, &s->db, flags, NULL);

	if (r != SQLITE_OK)
		return store_sql_error(s, r, err);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, s->registry ? REGISTRY_BUSY_MS : BUSY_MS);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	if (store_exec(s, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024;", err) < 0)
		return -1;
	if (s->mode == STORE_READ)
		return store_exec(s, "PRAGMA query_only = ON;", err);
	return store_exec(s, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON;", err);
}

static void database_close(struct store *s)
{
	store_statements_free(s);
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
	if (database_open(s, path, err) < 0 || store_begin_raw(s, true, err) < 0)
		return -1;
	if (store_exec(s, s->registry ? registry_schema : store_schema, err) < 0)
		return -1;
	if ((s->registry ? seal_write(s, err) : generation_init(s, err)) < 0 || store_commit(s, err) < 0)
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

/* SQLite's check and ours are one look at one state: others may commit in between. */
static int registry_check(struct store *s, struct err *err)
{
	int rc = -1;

	if (store_begin_raw(s, false, err) < 0)
		return -1;
	if (database_check(s, err) == 0 && seal_check(s, true, err) == 0)
		rc = 0;
	store_rollback(s);
	return rc;
}

static struct store *store_new(const char *dir, const char *name, enum store_mode mode, struct err *err)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s || asprintf(&s->path, "%s/%s", dir, name) < 0) {
		free(s);
		err_nomem(err);
		return NULL;
	}
	s->lock = -1;
	s->mode = mode;
	return s;
}

/* 0, or -1 with ERR_ABSENT where nothing is to be created. */
static int database_find(struct store *s, const char *dir, struct err *err)
{
	int there = file_check(s->path, err);

	if (there)
		return there < 0 ? -1 : 0;
	if (s->mode != STORE_WRITE)
		return err_set(err, ERR_ABSENT, "store '%s' does not exist", s->path);
	return database_create(s, dir, err);
}

struct store *store_open(const char *dir, enum store_mode mode, struct err *err)
{
	struct store *s = store_new(dir, STORE_FILE, mode, err);

	if (!s)
		return NULL;
	if (folder_check(dir, mode, err) < 0)
		goto fail;
	if (mode != STORE_READ) {
		s->lock = lock_take(dir, err);
		if (s->lock < 0)
			goto fail;
	}
	if (database_find(s, dir, err) < 0 || database_open(s, s->path, err) < 0 || database_check(s, err) < 0)
		goto fail;
	return s;
fail:
	store_close(s);
	return NULL;
}

/* The folder itself, for as long as a file of it comes into being or goes. */
static int folder_lock(const char *dir, struct err *err)
{
	static const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "cannot open '%s': %s", dir, strerror(errno));
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			err_set(err, ERR_SYSTEM, "cannot lock '%s': %s", dir, strerror(errno));
			goto fail;
		}
		if (i == REGISTRY_BUSY_MS / 20) {
			err_set(err, ERR_BUSY, "'%s' is locked by another process", dir);
			goto fail;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
fail:
	close(fd);
	return -1;
}

struct store *registry_open(const char *dir, enum store_mode mode, struct err *err)
{
	struct store *s = store_new(dir, REGISTRY_FILE, mode, err);
	int rc, lock = -1;

	if (!s)
		return NULL;
	s->registry = true;
	rc = folder_check(dir, mode, err);
	/* Who comes second finds what the first has made. */
	if (rc == 0 && mode == STORE_WRITE && access(s->path, F_OK) < 0) {
		lock = folder_lock(dir, err);
		rc = lock < 0 ? -1 : 0;
	}
	if (rc == 0)
		rc = database_find(s, dir, err);
	if (lock >= 0)
		close(lock);
	if (rc < 0 || database_open(s, s->path, err) < 0 || registry_check(s, err) < 0) {
		store_close(s);
		return NULL;
	}
	return s;
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

/* ---- setting aside -------------------------------------------------------------------- */

static int files_rename(const char *dir, const char *name, struct err *err)
{
	/* The journal goes first: beside a new database it would be played back into it. */
	static const char *const suffixes[] = { "-journal", "" };
	char from[4096], to[4096];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (snprintf(from, sizeof(from), "%s/%s%s", dir, name, suffixes[i]) >= (int)sizeof(from) ||
		    snprintf(to, sizeof(to), "%s/%s.damaged%s", dir, name, suffixes[i]) >= (int)sizeof(to))
			return err_set(err, ERR_LIMIT, "store '%s': name too long", dir);
		if (rename(from, to) < 0 && errno != ENOENT)
			return err_set(err, ERR_SYSTEM, "cannot rename '%s': %s", from, strerror(errno));
	}
	return folder_sync(dir, err);
}

int registry_set_aside(const char *dir, struct err *err)
{
	return folder_check(dir, STORE_READ, err) < 0 ? -1 : files_rename(dir, REGISTRY_FILE, err);
}

int store_set_aside(const char *dir, struct err *err)
{
	int lock, rc;

	if (folder_check(dir, STORE_READ, err) < 0)
		return -1;
	lock = lock_take(dir, err);
	if (lock < 0)
		return -1;
	rc = files_rename(dir, STORE_FILE, err);
	close(lock);
	return rc;
}
