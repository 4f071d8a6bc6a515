#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"
#include "store/store.h"
#include "tests/store_box.h"

#define DN	"CN=ipsecPolicy{00000001-0000-0000-0000-000000000000},CN=IP Security,CN=System,DC=corp,DC=example"

/* ---- generations ------------------------------------------------------------------ */

static struct guid guid(uint8_t n)
{
	return (struct guid){ { n } };
}

/* A policy with one rule; `mark` is in its name, a filter of it and the key. */
static struct ipsec_policy *policy(unsigned mark)
{
	struct ipsec_policy *p = policy_new();
	struct arena *a = p->arena;

	p->id = guid(1);
	p->dn = DN;
	p->name = arena_printf(a, "policy %u", mark);
	p->description = "";
	p->when_changed = "20261122101500.0Z";
	p->polling_seconds = 10800;
	p->isakmp.id = guid(2);
	p->isakmp.life_seconds = 28800;
	p->isakmp.offers = arena_zalloc(a, 1, sizeof(*p->isakmp.offers));
	p->isakmp.offers[0] = (struct ipsec_mm_offer){ .encryption = IPSEC_CIPHER_3DES, .hash = IPSEC_HASH_SHA1, .group = 2 };
	p->isakmp.n_offers = 1;
	p->filter_lists = arena_zalloc(a, 1, sizeof(*p->filter_lists));
	p->n_filter_lists = 1;
	p->filter_lists[0].id = guid(3);
	p->filter_lists[0].name = "list";
	p->filter_lists[0].description = "";
	p->filter_lists[0].filters = arena_zalloc(a, 1, sizeof(struct ipsec_filter));
	p->filter_lists[0].n_filters = 1;
	p->filter_lists[0].filters[0] = (struct ipsec_filter){
		.id = guid(4), .description = "", .src_dns = "", .dst_dns = "", .src.kind = IPSEC_ADDR_ME,
		.dst.kind = IPSEC_ADDR_ANY, .protocol = 6, .dst_port = { (uint16_t)(mark % 60000 + 1), (uint16_t)(mark % 60000 + 1) },
		.mirrored = true,
	};
	p->negpols = arena_zalloc(a, 1, sizeof(*p->negpols));
	p->n_negpols = 1;
	p->negpols[0] = (struct ipsec_negpol){ .id = guid(5), .name = "permit", .description = "", .action = IPSEC_PERMIT };
	p->rules = arena_zalloc(a, 1, sizeof(*p->rules));
	p->n_rules = 1;
	p->rules[0] = (struct ipsec_rule){
		.id = guid(6), .name = "", .description = "rule", .active = true, .interface_name = "", .tunnel_name = "",
		.filter_list = p->filter_lists, .negpol = p->negpols,
	};
	p->rules[0].auth = arena_zalloc(a, 1, sizeof(struct ipsec_auth));
	p->rules[0].auth[0] = (struct ipsec_auth){ .method = IPSEC_AUTH_PSK, .text = arena_printf(a, "secret %u", mark) };
	p->rules[0].n_auth = 1;
	return p;
}

static const char *policy_text(unsigned mark)
{
	struct ipsec_policy *p = policy(mark);
	char *text = NULL, *copy;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (policy_check(p, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(policy_write(p, POLICY_SEALED, f), 0);
	fclose(f);
	copy = arena_strdup(arena, text);
	free(text);
	policy_free(p);
	return copy;
}

/* Generation `mark`: every part can be told from those of another one. */
static struct generation generation(unsigned mark)
{
	struct generation g = { .taken = 1795341600 + mark, .n_parts = 3 };

	g.parts = arena_zalloc(arena, 3, sizeof(*g.parts));
	g.parts[0].name = "rsop";
	g.parts[0].text = arena_printf(arena, "rsop of %u\n", mark);
	g.parts[1].name = "policy";
	g.parts[1].text = policy_text(mark);
	g.parts[2].name = "hints";
	g.parts[2].text = "";
	for (size_t i = 0; i < 3; i++)
		g.parts[i].len = strlen(g.parts[i].text);
	return g;
}

static uint64_t put(struct store *s, unsigned mark)
{
	struct generation g = generation(mark);

	fine(generation_put(s, &g, &err));
	return g.number;
}

/* The mark of a generation, after checking that it is that one in whole; 0: not. */
static unsigned mark_of(const struct generation *g)
{
	unsigned mark = (unsigned)(g->taken - 1795341600);
	struct generation want = generation(mark);

	if (g->n_parts != 3)
		return 0;
	for (size_t i = 0; i < 3; i++)
		if (strcmp(g->parts[i].name, want.parts[i].name) || g->parts[i].len != want.parts[i].len ||
		    memcmp(g->parts[i].text, want.parts[i].text, want.parts[i].len + 1))
			return 0;
	return mark;
}

static unsigned loaded(struct store *s, size_t *n_damaged)
{
	struct generation g;
	int r = generation_load(s, &g, n_damaged, arena, &err);

	fine(r);
	return r ? mark_of(&g) : 0;
}

static void test_generations(void **state)
{
	struct store *s = opened(STORE_WRITE);
	struct generation g;
	size_t bad = 77;

	(void)state;
	assert_int_equal(generation_load(s, &g, &bad, arena, &err), 0);
	assert_int_equal(bad, 0);
	for (unsigned i = 1; i <= 20; i++) {
		assert_int_equal(put(s, i), i);
		assert_int_equal(loaded(s, &bad), i);
		assert_int_equal(bad, 0);
	}
	store_close(s);
	s = opened(STORE_WRITE);
	assert_int_equal(generation_load(s, &g, &bad, arena, &err), 1);
	assert_int_equal(g.number, 20);
	assert_int_equal(g.taken, 1795341620);
	assert_string_equal(generation_part(&g, "rsop")->text, "rsop of 20\n");
	assert_int_equal(generation_part(&g, "hints")->len, 0);
	assert_null(generation_part(&g, "nope"));
	/* Numbers go on after a drop, also across a restart. */
	fine(generation_drop(s, &err));
	assert_int_equal(generation_load(s, &g, &bad, arena, &err), 0);
	fine(generation_drop(s, &err));
	store_close(s);
	s = opened(STORE_WRITE);
	assert_int_equal(generation_load(s, &g, &bad, arena, &err), 0);
	assert_true(put(s, 5) > 20);
	assert_int_equal(loaded(s, &bad), 5);
	store_close(s);
}

static void test_last_eight(void **state)
{
	struct store *s = opened(STORE_WRITE);

	(void)state;
	for (unsigned i = 1; i <= 12; i++)
		put(s, i);
	store_close(s);
	assert_int_equal(sql("store.db", "SELECT count(*) FROM generation"), 8);
	assert_int_equal(sql("store.db", "SELECT min(number) FROM generation"), 5);
	assert_int_equal(sql("store.db", "SELECT count(*) FROM part"), 24);
	s = opened(STORE_WRITE);
	fine(generation_drop(s, &err));
	store_close(s);
	assert_int_equal(sql("store.db", "SELECT count(*) FROM part"), 0);
}

/* What is dropped is not left in free pages: there are keys in it. */
static void test_no_leftovers(void **state)
{
	struct store *s = opened(STORE_WRITE);

	(void)state;
	put(s, 4711);
	store_close(s);
	assert_true(file_holds(at("store.db"), "secret 4711"));
	s = opened(STORE_WRITE);
	fine(generation_drop(s, &err));
	store_close(s);
	assert_false(file_holds(at("store.db"), "secret 4711"));
	assert_int_equal(access(at("store.db-journal"), F_OK), -1);
}

static void test_put_refuses(void **state)
{
	struct store *s = opened(STORE_WRITE);
	struct generation g = generation(1);
	struct gen_part twice[2] = { g.parts[1], g.parts[1] };
	size_t bad;

	(void)state;
	g.parts[1].name = "polic";
	assert_int_equal(generation_put(s, &g, &err), -1);
	g.parts[1].name = "policy";
	g.parts[1].len--;
	assert_int_equal(generation_put(s, &g, &err), -1);
	assert_memory_equal(err.msg, "policy of the generation: ", 26);
	g.parts[1].len++;
	g.parts[0].name = "";
	assert_int_equal(generation_put(s, &g, &err), -1);
	g.parts = twice;
	g.n_parts = 2;
	assert_int_equal(generation_put(s, &g, &err), -1);
	assert_string_equal(err.msg, "part 'policy' of the generation is given twice");
	assert_int_equal(g.number, 0);
	assert_int_equal(generation_load(s, &g, &bad, arena, &err), 0);
	assert_int_equal(put(s, 1), 1);
	store_close(s);
}

/* In a transaction of the caller it stands and falls with that. */
static void test_put_within(void **state)
{
	struct store *s = opened(STORE_WRITE);
	size_t bad;

	(void)state;
	put(s, 1);
	fine(store_begin(s, &err));
	set(s, "A", "x", "1");
	put(s, 2);
	store_rollback(s);
	assert_int_equal(loaded(s, &bad), 1);
	assert_null(got(s, "A", "x"));
	fine(store_begin(s, &err));
	set(s, "A", "x", "1");
	put(s, 3);
	fine(store_commit(s, &err));
	assert_int_equal(loaded(s, &bad), 3);
	assert_string_equal(got(s, "A", "x"), "1");
	store_close(s);
}

static void test_cache_keys(void **state)
{
	struct store *s = opened(STORE_WRITE);
	const char **keys, *key = NULL;
	struct reg_value v;
	size_t n;

	(void)state;
	put(s, 9);
	assert_int_equal(reg_subkeys(s, REG_CACHE, &keys, &n, arena, &err), 1);
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++) {
		key = arena_printf(arena, REG_CACHE "\\%s", keys[i]);
		assert_string_equal(got(s, key, "name"), keys[i]);
		assert_int_equal(strncasecmp(keys[i], got(s, key, "ClassName"), strlen(got(s, key, "ClassName"))), 0);
		assert_int_equal(strcasecmp(strchr(keys[i], '{'), got(s, key, "ipsecID")), 0);
		assert_int_equal(reg_get(s, key, "ipsecData", &v, arena, &err), 1);
		assert_int_equal(v.type, REG_BINARY);
		assert_true(v.len > 20);
		assert_int_equal(reg_get(s, key, "ipsecDataType", &v, arena, &err), 1);
		assert_int_equal(v.type, REG_DWORD);
		assert_memory_equal(v.p, "\0\1\0\0", 4);
		assert_int_equal(reg_get(s, key, "whenChanged", &v, arena, &err), 1);
		assert_int_equal(v.type, REG_DWORD);
		assert_memory_equal(v.p, "\xa4\xc0\x02\x6b", 4);	/* 2026-11-22 10:15:00 */
		assert_int_equal(reg_get(s, key, "objectClass", &v, arena, &err), 0);
	}
	key = REG_CACHE "\\ipsecPolicy{00000001-0000-0000-0000-000000000000}";
	assert_string_equal(got(s, key, "ipsecName"), "policy 9");
	assert_string_equal(got(s, key, "ipsecISAKMPReference"), REG_CACHE "\\ipsecISAKMPPolicy{00000002-0000-0000-0000-000000000000}");
	assert_string_equal(multi(s, key, "ipsecNFAReference"), REG_CACHE "\\ipsecNFA{00000006-0000-0000-0000-000000000000}|");
	key = REG_CACHE "\\ipsecNFA{00000006-0000-0000-0000-000000000000}";
	assert_string_equal(multi(s, key, "ipsecOwnersReference"), REG_CACHE "\\ipsecPolicy{00000001-0000-0000-0000-000000000000}|");
	assert_string_equal(multi(s, key, "ipsecFilterReference"), REG_CACHE "\\ipsecFilter{00000003-0000-0000-0000-000000000000}|");
	assert_string_equal(got(s, key, "ipsecNegotiationPolicyReference"), REG_CACHE "\\ipsecNegotiationPolicy{00000005-0000-0000-0000-000000000000}");
	assert_string_equal(got(s, REG_ASSIGNMENT, "DSIPSECPolicyPath"), DN);
	assert_string_equal(got(s, REG_ASSIGNMENT, "DSIPSECPolicyName"), "policy 9");
	assert_int_equal(reg_get(s, REG_ASSIGNMENT, "DSIPSECPolicyFlags", &v, arena, &err), 1);
	assert_int_equal(v.type, REG_DWORD);
	/* The next one replaces it, a drop empties it. */
	put(s, 10);
	assert_string_equal(got(s, REG_ASSIGNMENT, "DSIPSECPolicyName"), "policy 10");
	fine(generation_drop(s, &err));
	assert_int_equal(reg_subkeys(s, REG_CACHE, &keys, &n, arena, &err), 0);
	assert_null(got(s, REG_ASSIGNMENT, "DSIPSECPolicyPath"));
	store_close(s);
}

/* ---- the folder -------------------------------------------------------------------- */

static void test_folder(void **state)
{
	char deeper[128];
	struct stat st;
	struct store *s;

	(void)state;
	snprintf(deeper, sizeof(deeper), "%s/new", dir);
	assert_null(store_open(deeper, STORE_READ, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	umask(0);
	s = store_open(deeper, STORE_WRITE, &err);
	assert_non_null(s);
	umask(022);
	stat(deeper, &st);
	assert_int_equal(st.st_mode & 07777, 0700);
	stat(at("new/store.db"), &st);
	assert_int_equal(st.st_mode & 07777, 0600);
	stat(at("new/lock"), &st);
	assert_int_equal(st.st_mode & 07777, 0600);
	fine(store_begin(s, &err));
	set(s, "A", "x", "1");
	if (stat(at("new/store.db-journal"), &st) == 0)
		assert_int_equal(st.st_mode & 07777, 0600);
	fine(store_commit(s, &err));
	store_close(s);
	/* Others may write: refused. */
	chmod(deeper, 0720);
	assert_null(store_open(deeper, STORE_WRITE, &err));
	assert_int_equal(err.code, ERR_DENIED);
	chmod(deeper, 0702);
	assert_null(store_open(deeper, STORE_READ, &err));
	assert_int_equal(err.code, ERR_DENIED);
	chmod(deeper, 0700);
	chmod(at("new/store.db"), 0666);
	assert_null(store_open(deeper, STORE_WRITE, &err));
	assert_int_equal(err.code, ERR_DENIED);
	chmod(at("new/store.db"), 0600);
	if (geteuid() == 0) {
		assert_int_equal(chown(deeper, 12345, -1), 0);
		assert_null(store_open(deeper, STORE_WRITE, &err));
		assert_int_equal(err.code, ERR_DENIED);
		assert_int_equal(chown(deeper, 0, -1), 0);
	}
	/* A link in its place. */
	rename(at("new/store.db"), at("elsewhere"));
	assert_int_equal(symlink("../elsewhere", at("new/store.db")), 0);
	assert_null(store_open(deeper, STORE_WRITE, &err));
	assert_int_equal(err.code, ERR_DENIED);
	unlink(at("new/store.db"));
	assert_null(store_open(at("elsewhere"), STORE_WRITE, &err));
	assert_null(store_open(at("no/such/folder"), STORE_WRITE, &err));
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void test_two_processes(void **state)
{
	struct store *s = opened(STORE_WRITE), *r;
	double begin;
	int status;
	pid_t pid;

	(void)state;
	put(s, 1);
	/* Who writes is alone; who reads sees what was committed. */
	for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
		pid = fork();
		if (pid == 0) {
			begin = seconds();
			r = store_open(dir, (enum store_mode)mode, &err);
			if (seconds() - begin > 2)
				_exit(2);
			if (mode == STORE_WRITE)
				_exit(!r && err.code == ERR_BUSY ? 0 : 1);
			_exit(r && !strcmp(got(r, REG_ASSIGNMENT, "DSIPSECPolicyName"), "policy 1") ? 0 : 3);
		}
		waitpid(pid, &status, 0);
		assert_int_equal(status, 0);
	}
	store_close(s);
	r = opened(STORE_READ);
	assert_string_equal(got(r, REG_ASSIGNMENT, "DSIPSECPolicyName"), "policy 1");
	assert_int_equal(store_begin(r, &err) < 0 || reg_delete_key(r, "SOFTWARE", &err) < 0, 1);
	store_close(r);
}

static void test_set_aside(void **state)
{
	struct store *s = opened(STORE_WRITE);
	size_t bad;

	(void)state;
	put(s, 1);
	assert_int_equal(store_set_aside(dir, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	store_close(s);
	assert_int_equal(truncate(at("store.db"), 5000), 0);
	assert_null(store_open(dir, STORE_WRITE, &err));
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_non_null(strstr(err.msg, at("store.db")));
	fine(store_set_aside(dir, &err));
	assert_int_equal(access(at("store.db.damaged"), F_OK), 0);
	s = opened(STORE_WRITE);
	assert_int_equal(put(s, 2), 1);
	assert_int_equal(loaded(s, &bad), 2);
	store_close(s);
	fine(store_set_aside(dir, &err));
	fine(store_set_aside(dir, &err));
}

/* ---- damage ------------------------------------------------------------------------ */

/* With whatever is in the file: an error, or generation 1, 2 or 3 in whole (an
 * older one only with a count), and never "nothing is assigned". */
static void damaged_is_seen(size_t *n_errors, size_t *n_older)
{
	struct arena *all = arena;
	struct generation g;
	struct store *s;
	size_t bad = 0;
	int r;

	arena = arena_new(0);
	s = store_open(dir, STORE_WRITE, &err);
	r = s ? generation_load(s, &g, &bad, arena, &err) : -1;
	if (r < 0) {
		assert_true(error_is_clear());
		(*n_errors)++;
	} else {
		unsigned mark;

		assert_int_equal(r, 1);
		mark = mark_of(&g);
		assert_in_range(mark, 1, 3);
		assert_int_equal(g.number, mark);
		if (mark != 3)
			assert_true(bad > 0);
		*n_older += bad > 0;
	}
	if (s) {
		struct reg_value v;

		r = reg_get(s, "A", "x", &v, arena, &err);
		if (r == 1) {
			assert_int_equal(v.type, REG_SZ);
			assert_string_equal((const char *)v.p, "the value");
		} else if (r < 0) {
			assert_true(error_is_clear());
		}
	}
	store_close(s);
	arena_free(arena);
	arena = all;
}

static void three_generations(void)
{
	struct store *s = opened(STORE_WRITE);

	fine(store_begin(s, &err));
	set(s, "A", "x", "the value");
	fine(store_commit(s, &err));
	for (unsigned i = 1; i <= 3; i++)
		put(s, i);
	store_close(s);
}

static void test_damaged_bytes(void **state)
{
	size_t len, n_errors = 0, n_older = 0;
	const char *path = at("store.db");
	char *good;

	(void)state;
	three_generations();
	good = file_load(path, &len);
	srandom(97);
	for (size_t i = 0; i < len; i += 97) {
		char was = good[i];

		good[i] = (char)(was ^ (1 << random() % 8));
		file_save(path, good, len);
		damaged_is_seen(&n_errors, &n_older);
		good[i] = was;
	}
	/* Whole pages of junk, as a failing disk leaves them. */
	for (size_t i = 0; i + 512 <= len; i += 4096) {
		char page[512];

		memcpy(page, good + i, 512);
		for (size_t k = 0; k < 512; k++)
			good[i + k] = (char)random();
		file_save(path, good, len);
		damaged_is_seen(&n_errors, &n_older);
		memset(good + i, 0, 512);
		file_save(path, good, len);
		damaged_is_seen(&n_errors, &n_older);
		memcpy(good + i, page, 512);
	}
	assert_true(n_errors > 0 && n_older > 0);
	file_save(path, good, len);
	n_errors = n_older = 0;
	damaged_is_seen(&n_errors, &n_older);
	assert_int_equal(n_errors + n_older, 0);
	free(good);
}

static void test_damaged_length(void **state)
{
	size_t len, n_errors = 0, n_older = 0;
	const char *path = at("store.db");
	char *good;

	(void)state;
	three_generations();
	good = file_load(path, &len);
	for (size_t i = 0; i < len; i += 97) {
		file_save(path, good, i);
		damaged_is_seen(&n_errors, &n_older);
	}
	/* Cut within the last page SQLite may find all it needs. */
	assert_true(n_errors >= (len - 4096) / 97);
	free(good);
}

/* What SQLite itself finds nothing wrong with. */
static void test_damaged_rows(void **state)
{
	static const struct {
		const char *sql;
		unsigned mark;		/* 0: an error */
		size_t bad;
	} cases[] = {
		{ "UPDATE part SET text = CAST('rsop of 4' AS BLOB) WHERE generation = 3 AND seq = 0", 2, 1 },
		{ "UPDATE generation SET taken = taken + 1 WHERE number = 3", 2, 1 },
		{ "UPDATE part SET name = 'rsop2' WHERE generation = 3 AND seq = 0", 2, 1 },
		{ "DELETE FROM part WHERE generation >= 2 AND seq = 2", 1, 2 },
		{ "UPDATE generation SET digest = zeroblob(32)", 0, 0 },
		{ "UPDATE generation SET digest = 'x'", 0, 0 },
		{ "DELETE FROM generation WHERE number = 3", 2, 1 },
		{ "DELETE FROM generation", 0, 0 },
		{ "DELETE FROM seal", 3, 1 },
		{ "DELETE FROM seal; DELETE FROM generation", 0, 0 },
		{ "UPDATE seal SET next = 1", 3, 1 },
		{ "DROP TABLE part", 0, 0 },
		{ "PRAGMA user_version = 0", 0, 0 },
		{ "PRAGMA user_version = 2", 0, 0 },
		{ "PRAGMA application_id = 0", 0, 0 },
	};
	size_t len, bad;
	char *good;

	(void)state;
	three_generations();
	good = file_load(at("store.db"), &len);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct generation g;
		struct store *s;
		int r;

		file_save(at("store.db"), good, len);
		sql("store.db", cases[i].sql);
		s = store_open(dir, STORE_WRITE, &err);
		bad = 0;
		r = s ? generation_load(s, &g, &bad, arena, &err) : -1;
		if (cases[i].mark == 0) {
			assert_int_equal(r, -1);
			assert_true(error_is_clear());
			store_close(s);
			continue;
		}
		assert_int_equal(r, 1);
		assert_int_equal(mark_of(&g), cases[i].mark);
		assert_int_equal(bad, cases[i].bad);
		/* The next refresh heals it, with a number of its own. */
		assert_true(put(s, 9) >= 3);
		assert_int_equal(loaded(s, &bad), 9);
		assert_int_equal(bad, 0);
		store_close(s);
	}
	free(good);
}

/* ---- crashes ------------------------------------------------------------------------ */

/* A writer that is killed at any moment leaves what it had committed, or the one
 * that it was about to commit: whole, with its registry keys. */
static void test_killed(void **state)
{
	unsigned committed = 0, mark;
	struct store *s = opened(STORE_WRITE);
	int fds[2], status;
	size_t bad;
	pid_t pid;

	(void)state;
	store_close(s);
	srandom(20);
	for (int round = 0; round < 40; round++) {
		struct arena *all = arena;

		arena = arena_new(0);
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		if (pid == 0) {
			s = store_open(dir, STORE_WRITE, &err);
			for (unsigned i = committed + 1; s; i++) {
				struct generation g = generation(i);

				if (generation_put(s, &g, &err) < 0 || write(fds[1], &i, sizeof(i)) != sizeof(i))
					break;
			}
			_exit(1);
		}
		close(fds[1]);
		usleep((useconds_t)(random() % 30000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(fds[0], &mark, sizeof(mark)) == sizeof(mark))
			committed = mark;
		close(fds[0]);
		s = opened(round % 2 ? STORE_WRITE : STORE_READ);
		mark = loaded(s, &bad);
		assert_int_equal(bad, 0);
		assert_true(mark == committed || mark == committed + 1);
		if (mark)
			assert_string_equal(got(s, REG_ASSIGNMENT, "DSIPSECPolicyName"), arena_printf(arena, "policy %u", mark));
		committed = mark;
		store_close(s);
		arena_free(arena);
		arena = all;
	}
	assert_true(committed > 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, box_up, box_down)
	const struct CMUnitTest tests[] = {
		TEST(test_generations),
		TEST(test_last_eight),
		TEST(test_no_leftovers),
		TEST(test_put_refuses),
		TEST(test_put_within),
		TEST(test_cache_keys),
		TEST(test_folder),
		TEST(test_two_processes),
		TEST(test_set_aside),
		TEST(test_damaged_bytes),
		TEST(test_damaged_length),
		TEST(test_damaged_rows),
		TEST(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
