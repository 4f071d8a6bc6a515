#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"
#include "schema/utf.h"
#include "store/cache.h"
#include "store/key.h"
#include "store/store_db.h"

#define PART_NAME_MAX	64
#define LIST_MAX	1024	/* rows; a sound list has at most STORE_GENERATIONS */

struct row {
	int64_t	number, taken;
	uint8_t	digest[DIGEST];
};

/* The list of generations, newest first. */
struct list {
	struct row	rows[LIST_MAX];
	size_t		n;
	int64_t		next;		/* number of the next one */
	bool		sound;		/* the list passes its check */
};

/* ---- digests ---------------------------------------------------------------------- */

static void update_bytes(struct sha256_ctx *ctx, const char *p, size_t len)
{
	sum_u64(ctx, len);
	sha256_update(ctx, len, (const uint8_t *)p);
}

/* Over number, time, count, and name and text of each part with their lengths,
 * numbers as 64 bit little-endian. */
static void generation_digest(uint8_t out[static DIGEST], int64_t number, int64_t taken, const struct gen_part *parts, size_t n)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	update_bytes(&ctx, "ipsecpol generation 1", 21);
	sum_u64(&ctx, (uint64_t)number);
	sum_u64(&ctx, (uint64_t)taken);
	sum_u64(&ctx, n);
	for (size_t i = 0; i < n; i++) {
		update_bytes(&ctx, parts[i].name, strlen(parts[i].name));
		update_bytes(&ctx, parts[i].text, parts[i].len);
	}
	sha256_digest(&ctx, DIGEST, out);
}

static void list_digest(uint8_t out[static DIGEST], const struct list *l)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	update_bytes(&ctx, "ipsecpol generations 1", 22);
	sum_u64(&ctx, (uint64_t)l->next);
	sum_u64(&ctx, l->n);
	for (size_t i = 0; i < l->n; i++) {
		sum_u64(&ctx, (uint64_t)l->rows[i].number);
		sha256_update(&ctx, DIGEST, l->rows[i].digest);
	}
	sha256_digest(&ctx, DIGEST, out);
}

/* ---- the list ----------------------------------------------------------------------- */

static bool column_digest(sqlite3_stmt *st, int col, uint8_t out[static DIGEST])
{
	if (sqlite3_column_type(st, col) != SQLITE_BLOB || sqlite3_column_bytes(st, col) != DIGEST)
		return false;
	memcpy(out, sqlite3_column_blob(st, col), DIGEST);
	return true;
}

static int rows_read(struct store *s, struct list *l, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, ST_GEN_LIST, err);
	struct row *row;
	int r;

	if (!st)
		return -1;
	l->n = 0;
	while ((r = sqlite3_step(st)) == SQLITE_ROW && l->n < LIST_MAX) {
		row = &l->rows[l->n++];
		row->number = sqlite3_column_int64(st, 0);
		row->taken = sqlite3_column_int64(st, 1);
		if (!column_digest(st, 2, row->digest))
			memset(row->digest, 0, DIGEST);
	}
	sqlite3_reset(st);
	if (r == SQLITE_ROW)
		return store_damaged(s, err, "too many generations");
	return r == SQLITE_DONE ? 0 : store_sql_error(s, r, err);
}

static int digest_read(struct store *s, struct list *l, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, ST_DIGEST_GET, err);
	uint8_t want[DIGEST], have[DIGEST];
	int r;

	if (!st)
		return -1;
	l->sound = false;
	l->next = 1;
	r = sqlite3_step(st);
	if (r == SQLITE_ROW && column_digest(st, 1, have)) {
		l->next = sqlite3_column_int64(st, 0);
		list_digest(want, l);
		l->sound = !memcmp(want, have, DIGEST);
	}
	sqlite3_reset(st);
	return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : store_sql_error(s, r, err);
}

static int list_read(struct store *s, struct list **ret, struct err *err)
{
	struct list *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem(err);
	if (rows_read(s, l, err) < 0 || digest_read(s, l, err) < 0) {
		free(l);
		return -1;
	}
	*ret = l;
	return 0;
}

static int digest_write(struct store *s, const struct list *l, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, ST_DIGEST_SET, err);
	uint8_t digest[DIGEST];

	if (!st)
		return -1;
	list_digest(digest, l);
	sqlite3_bind_int64(st, 1, l->next);
	sqlite3_bind_blob(st, 2, digest, DIGEST, SQLITE_STATIC);
	return store_run(s, st, err);
}

int generation_init(struct store *s, struct err *err)
{
	struct list *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return err_nomem(err);
	l->next = 1;
	rc = digest_write(s, l, err);
	free(l);
	return rc;
}

/* ---- loading -------------------------------------------------------------------------- */

/* 1: a part; 0: what stands there was never written so. */
static int part_row(sqlite3_stmt *st, size_t seq, struct gen_part *ret, struct arena *a)
{
	const char *name = (const char *)sqlite3_column_text(st, 1);
	const void *text = sqlite3_column_blob(st, 2);
	size_t len = (size_t)sqlite3_column_bytes(st, 2);

	if (sqlite3_column_int64(st, 0) != (int64_t)seq || !name || strlen(name) > PART_NAME_MAX || (len && !text))
		return 0;
	ret->name = arena_strdup(a, name);
	ret->text = arena_zalloc(a, len + 1, 1);
	if (!ret->name || !ret->text)
		return -1;
	if (len)
		memcpy((char *)ret->text, text, len);
	ret->len = len;
	return 1;
}

/* 1: sound, 0: damaged, -1: could not look. */
static int parts_read(struct store *s, const struct row *row, struct generation *ret, struct arena *a, struct err *err)
{
	struct gen_part *parts = arena_zalloc(a, STORE_MAX_PARTS, sizeof(*parts));
	sqlite3_stmt *st = store_stmt(s, ST_PART_LIST, err);
	uint8_t digest[DIGEST];
	size_t n = 0;
	int r, good = 1;

	if (!parts)
		return err_nomem(err);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, row->number);
	while (good == 1 && (r = sqlite3_step(st)) == SQLITE_ROW) {
		good = n < STORE_MAX_PARTS ? part_row(st, n, &parts[n], a) : 0;
		n += good == 1;
	}
	sqlite3_reset(st);
	if (good < 0)
		return err_nomem(err);
	if (good == 0)
		return 0;
	if (r != SQLITE_DONE) {
		store_sql_error(s, r, err);
		return err->code == ERR_DAMAGED ? 0 : -1;
	}
	generation_digest(digest, row->number, row->taken, parts, n);
	if (memcmp(digest, row->digest, DIGEST))
		return 0;
	*ret = (struct generation){ (uint64_t)row->number, row->taken, parts, n };
	return 1;
}

int generation_load(struct store *s, struct generation *ret, size_t *n_damaged, struct arena *a, struct err *err)
{
	struct list *l = NULL;
	size_t bad = 0;
	int r = 0;

	if (list_read(s, &l, err) < 0)
		return -1;
	for (size_t i = 0; i < l->n && r == 0; i++) {
		r = parts_read(s, &l->rows[i], ret, a, err);
		bad += r == 0;
	}
	if (r == 0 && (l->n || !l->sound))
		r = store_damaged(s, err, l->n ? "no generation passes its check" : "the list of generations does not pass its check");
	if (r >= 0)
		*n_damaged = bad ? bad : !l->sound;
	free(l);
	return r;
}

/* ---- writing ---------------------------------------------------------------------------- */

static int parts_check(const struct generation *g, struct err *err)
{
	const char *name;

	if (g->n_parts > STORE_MAX_PARTS)
		return err_set(err, ERR_LIMIT, "a generation of %zu parts is too large", g->n_parts);
	for (size_t i = 0; i < g->n_parts; i++) {
		name = g->parts[i].name;
		if (!*name || strlen(name) > PART_NAME_MAX || !utf8_valid(name))
			return err_set(err, ERR_FORMAT, "part %zu of the generation has a bad name", i + 1);
		if (g->parts[i].len > STORE_MAX_PART)
			return err_set(err, ERR_LIMIT, "part '%s' of the generation is too large", name);
		if (generation_part(g, name) != &g->parts[i])
			return err_set(err, ERR_FORMAT, "part '%s' of the generation is given twice", name);
	}
	return 0;
}

static int part_write(struct store *s, int64_t number, size_t seq, const struct gen_part *p, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, ST_PART_ADD, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, number);
	sqlite3_bind_int64(st, 2, (int64_t)seq);
	sqlite3_bind_text(st, 3, p->name, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(st, 4, p->len ? p->text : "", p->len, SQLITE_STATIC);
	return store_run(s, st, err);
}

static int row_write(struct store *s, const struct row *row, struct err *err)
{
	sqlite3_stmt *st = store_stmt(s, ST_GEN_ADD, err);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, row->number);
	sqlite3_bind_int64(st, 2, row->taken);
	sqlite3_bind_blob(st, 3, row->digest, DIGEST, SQLITE_STATIC);
	return store_run(s, st, err);
}

static int delete_before(struct store *s, int64_t number, struct err *err)
{
	static const enum stmt steps[] = { ST_GEN_DELETE_PARTS, ST_GEN_DELETE };
	sqlite3_stmt *st;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		st = store_stmt(s, steps[i], err);
		if (!st)
			return -1;
		sqlite3_bind_int64(st, 1, number);
		if (store_run(s, st, err) < 0)
			return -1;
	}
	return 0;
}

/* Above every number that was ever seen, be the list damaged or not. */
static int number_next(struct store *s, const struct list *l, int64_t *ret, struct err *err)
{
	int64_t next = l->next > 0 ? l->next : 1;

	if (l->n && l->rows[0].number >= next) {
		if (l->rows[0].number == INT64_MAX)
			return store_damaged(s, err, "generation numbers have run out");
		next = l->rows[0].number + 1;
	}
	if (next == INT64_MAX)
		return store_damaged(s, err, "generation numbers have run out");
	*ret = next;
	return 0;
}

static int generation_write(struct store *s, struct list *l, const struct generation *g, struct err *err)
{
	struct row row = { .taken = g->taken };

	if (number_next(s, l, &row.number, err) < 0)
		return -1;
	generation_digest(row.digest, row.number, row.taken, g->parts, g->n_parts);
	if (row_write(s, &row, err) < 0)
		return -1;
	for (size_t i = 0; i < g->n_parts; i++)
		if (part_write(s, row.number, i, &g->parts[i], err) < 0)
			return -1;
	if (l->n >= STORE_GENERATIONS && delete_before(s, l->rows[STORE_GENERATIONS - 2].number, err) < 0)
		return -1;
	if (rows_read(s, l, err) < 0)
		return -1;
	l->next = row.number + 1;
	return digest_write(s, l, err);
}

int generation_put(struct store *s, struct generation *g, struct err *err)
{
	const struct gen_part *text = generation_part(g, "policy");
	struct ipsec_policy *p = NULL;
	bool own = !s->in_transaction;
	struct list *l = NULL;
	int rc = -1;

	if (!text)
		return err_set(err, ERR_FORMAT, "the generation has no policy");
	if (parts_check(g, err) < 0)
		return -1;
	if (policy_read(&p, text->text, text->len, err) < 0)
		return err_prefix(err, "policy of the generation");
	if (own && store_begin(s, err) < 0)
		goto out;
	if (list_read(s, &l, err) < 0 || generation_write(s, l, g, err) < 0)
		goto out;
	/* What cannot be said as objects must not keep the generation from being kept. */
	if (cache_write(s, p, g->taken, err) < 0 &&
	    ((err->code != ERR_LIMIT && err->code != ERR_UNSUPPORTED) || cache_clear(s, err) < 0))
		goto out;
	if (own && store_commit(s, err) < 0)
		goto out;
	g->number = (uint64_t)(l->next - 1);
	rc = 0;
out:
	if (rc < 0 && own)
		store_rollback(s);
	policy_free(p);
	free(l);
	return rc;
}

int generation_drop(struct store *s, struct err *err)
{
	bool own = !s->in_transaction;
	struct list *l = NULL;
	int rc = -1;

	if (list_read(s, &l, err) < 0)
		return -1;
	if (l->n == 0 && l->sound) {
		free(l);
		return 0;
	}
	if (own && store_begin(s, err) < 0)
		goto out;
	if (number_next(s, l, &l->next, err) < 0 || delete_before(s, INT64_MAX, err) < 0)
		goto out;
	l->n = 0;
	if (digest_write(s, l, err) < 0 || cache_clear(s, err) < 0 || (own && store_commit(s, err) < 0))
		goto out;
	rc = 0;
out:
	if (rc < 0 && own)
		store_rollback(s);
	free(l);
	return rc;
}
