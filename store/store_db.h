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
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK,
	ST_KEY_FIND, ST_KEY_ADD, ST_KEY_CHILDREN, ST_KEY_DELETE_VALUES, ST_KEY_DELETE,
	ST_VALUE_SET, ST_VALUE_GET, ST_VALUE_LIST, ST_VALUE_DELETE,
	ST_DIGEST_GET, ST_DIGEST_SET,
	ST_GEN_LIST, ST_GEN_ADD, ST_GEN_DELETE, ST_GEN_DELETE_PARTS,
	ST_PART_ADD, ST_PART_LIST,
	N_STMTS
};

struct store {
	sqlite3		*db;
	sqlite3_stmt	*stmts[N_STMTS];
	char		*path;		/* of the database, for messages */
	int		 lock;		/* -1: none */
	bool		 in_transaction;
};

/* The statement, reset and without bindings; NULL and *err otherwise. */
sqlite3_stmt *store_stmt(struct store *s, enum stmt which, struct err *err);
/* Runs a statement that yields no row. */
int store_run(struct store *s, sqlite3_stmt *st, struct err *err);
/* *err from SQLite's code; always -1.  Our statements are constant: whatever
 * SQLite finds wrong with them is wrong with the file. */
int store_sql_error(struct store *s, int code, struct err *err);
int store_damaged(struct store *s, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* An empty list of generations under its digest: part of making a new database. */
int generation_init(struct store *s, struct err *err);

#endif
