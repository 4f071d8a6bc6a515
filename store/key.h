/* store/key.h - rows of the tree: names, digests, and the way from a path to a
 * key's number.  Private to store/. */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include <nettle/sha2.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct reg_value;
struct store;

#define SUM	16	/* bytes of the digest kept with each key and value */

void name_fold(char *out, const char *name, size_t len);
bool key_name_equal(const char *a, const char *b, size_t len);	/* without (ASCII) case */

void sum_u64(struct sha256_ctx *ctx, uint64_t v);	/* little-endian */
/* What kind of row, and a number: so begins each of these digests. */
void sum_begin(struct sha256_ctx *ctx, const char *kind, int64_t id);
bool column_sum_is(sqlite3_stmt *st, int col, const uint8_t sum[static SUM]);
/* A text column of exactly these bytes; NULL: something else stands there. */
const char *column_text(sqlite3_stmt *st, int col, size_t *ret_len);

/* Row of (id, name, sum) below parent; NULL: not what was written. */
const char *key_row(sqlite3_stmt *st, int64_t parent, size_t *ret_len);
/* Row of (name, type, data, sum) of a key.  1: *ret points into the row.  0: not what was written; ret->name, if
 * readable, else NULL.  -1: no memory. */
int value_columns(sqlite3_stmt *st, int64_t key, struct reg_value *ret);

/* Follows a path, creating what is missing when create.  1; 0: absent, *ret as it was; -1. */
int key_find(struct store *s, const char *key, bool create, int64_t *ret, struct err *err);
/* The path of a key, as far as it can be told; for messages. */
#define KEY_PATH	200
void key_path(struct store *s, int64_t id, char out[static KEY_PATH]);

#endif
