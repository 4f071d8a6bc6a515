/* store/store_db.h - what the files of the store share: the database, its
 * statements and its errors.  Private to store/. */
#ifndef STORE_STORE_DB_H
#define STORE_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct err;

#define DIGEST	32

enum stmt {
	ST_BEGIN, ST_BEGIN_READ, ST_COMMIT, ST_ROLLBACK, ST_VERSION,
	ST_KEY_FIND, ST_KEY_ADD, ST_KEY_CHILDREN, ST_KEY_PARENT, ST_KEY_DELETE_VALUES, ST_KEY_DELETE,
	ST_VALUE_SET, ST_VALUE_GET, ST_VALUE_LIST, ST_VALUE_DELETE,
	ST_DIGEST_GET, ST_DIGEST_SET,
	ST_SEAL_TABLES, ST_SEAL_KEYS, ST_SEAL_VALUES, ST_SEAL_SUMS,
	ST_GEN_LIST, ST_GEN_ADD, ST_GEN_DELETE, ST_GEN_DELETE_PARTS,
	ST_PART_ADD, ST_PART_LIST,
	N_STMTS
};

struct store {
	sqlite3		*db;
	sqlite3_stmt	*stmts[N_STMTS];
	char		*path;		/* of the database, for messages */
	int		 lock;		/* -1: none */
	enum store_mode	 mode;
	bool		 registry;	/* sealed as a whole, open for several, no generations */
	bool		 in_transaction, reading;	/* reading: it may write nothing */
	int		 changes;	/* sqlite3_total_changes() at its begin */
};

/* The statement, reset and without bindings; NULL and *err otherwise. */
sqlite3_stmt *store_stmt(struct store *s, enum stmt which, struct err *err);
/* Runs a statement that yields no row. */
int store_run(struct store *s, sqlite3_stmt *st, struct err *err);
int store_simple(struct store *s, enum stmt which, struct err *err);	/* the same without bindings */
/* A text of ours, of several statements. */
int store_exec(struct store *s, const char *text, struct err *err);
/* *err from SQLite's code; always -1.  Our statements are constant: whatever
 * SQLite finds wrong with them is wrong with the file. */
int store_sql_error(struct store *s, int code, struct err *err);
int store_damaged(struct store *s, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* After the last row: r is what sqlite3_step said, or -1 with an error of ours. */
int store_rows_end(struct store *s, sqlite3_stmt *st, int r, struct err *err);
/* May something be written now? */
int store_write_check(const struct store *s, struct err *err);
void store_statements_free(struct store *s);
/* store_begin without the check of the seal. */
int store_begin_raw(struct store *s, bool writing, struct err *err);
/* Several reads of one state: begins a transaction of its own when none is under way; *own for the end. */
int store_read_begin(struct store *s, bool *own, struct err *err);
void store_read_end(struct store *s, bool own);

/* An empty list of generations under its digest: part of making a new store.db. */
int generation_init(struct store *s, struct err *err);
/* store/seal.c.  Within a transaction. */
int seal_write(struct store *s, struct err *err);
/* data: all of it is looked at; else the digests of the values stand for them (they
 * are looked at when a value is read). */
int seal_check(struct store *s, bool data, struct err *err);

#endif
