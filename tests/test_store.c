#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
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

#define DN	"CN=ipsecPolicy{00000001-0000-0000-0000-000000000000},CN=IP Security,CN=System,DC=corp,DC=example"
#define CACHE	REG_POLICIES "\\Policy\\Cache"

static char dir[64];
static struct arena *arena;
static struct err err;

static int up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_store.XXXXXX");
	arena = arena_new(0);
	memset(&err, 0, sizeof(err));
	return mkdtemp(dir) && arena ? 0 : -1;
}

static int down(void **state)
{
	char command[128];

	(void)state;
	arena_free(arena);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static const char *at(const char *name)
{
	return arena_printf(arena, "%s/%s", dir, name);
}

static struct store *opened(enum store_mode mode)
{
	struct store *s = store_open(dir, mode, &err);

	if (!s)
		fail_msg("%s", err.msg);
	return s;
}

static void fine(int rc)
{
	if (rc < 0)
		fail_msg("%s", err.msg);
}

/* ---- values ---------------------------------------------------------------------- */

static struct reg_value value(const char *name, enum reg_type type, const void *p, size_t len)
{
	return (struct reg_value){ name, type, p, len };
}

static void set(struct store *s, const char *key, const char *name, const char *text)
{
	struct reg_value v = value(name, REG_SZ, text, strlen(text));

	fine(reg_set(s, key, &v, &err));
}

static const char *got(struct store *s, const char *key, const char *name)
{
	struct reg_value v;
	int r = reg_get(s, key, name, &v, arena, &err);

	fine(r);
	return r ? (const char *)v.p : NULL;
}

static void test_values(void **state)
{
	static const struct {
		const char *name;
		enum reg_type type;
		const char *p;
		size_t len;
	} cases[] = {
		{ "text", REG_SZ, "gr\xc3\xbc\xc3\x9f" "e", 7 }, { "empty", REG_SZ, "", 0 }, { "", REG_SZ, "default", 7 },
		{ "list", REG_MULTI_SZ, "a\0bc\0", 5 }, { "none", REG_MULTI_SZ, "", 0 },
		{ "dword", REG_DWORD, "\1\2\3\4", 4 }, { "qword", REG_QWORD, "\1\2\3\4\5\6\7\x08", 8 },
		{ "bytes", REG_BINARY, "\0\xff\0", 3 }, { "nothing", REG_BINARY, NULL, 0 },
	};
	const size_t n = sizeof(cases) / sizeof(cases[0]);
	struct store *s = opened(STORE_WRITE);
	struct reg_value v, *all;
	size_t count;

	(void)state;
	fine(store_begin(s, &err));
	for (size_t i = 0; i < n; i++) {
		v = value(cases[i].name, cases[i].type, cases[i].p, cases[i].len);
		fine(reg_set(s, "A\\B", &v, &err));
	}
	fine(store_commit(s, &err));
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(reg_get(s, "A\\B", cases[i].name, &v, arena, &err), 1);
			assert_string_equal(v.name, cases[i].name);
			assert_int_equal(v.type, cases[i].type);
			assert_int_equal(v.len, cases[i].len);
			if (v.len)
				assert_memory_equal(v.p, cases[i].p, v.len);
		}
		assert_int_equal(reg_values(s, "A\\B", &all, &count, arena, &err), 1);
		assert_int_equal(count, n);
		assert_string_equal(all[0].name, "");
		assert_string_equal(all[1].name, "bytes");
		assert_string_equal(all[n - 1].name, "text");
		store_close(s);
		s = opened(STORE_WRITE);
	}
	store_close(s);
}

static void test_names_without_case(void **state)
{
	struct store *s = opened(STORE_WRITE);
	const char **keys;
	size_t n;

	(void)state;
	fine(store_begin(s, &err));
	set(s, "Software\\IPSec", "Name", "1");
	set(s, "SOFTWARE\\ipsec\\Below", "x", "2");
	set(s, "software\\IPSEC", "NAME", "3");
	set(s, "SOFTWARE\\\xc3\x84", "x", "upper");
	set(s, "SOFTWARE\\\xc3\xa4", "x", "lower");
	fine(store_commit(s, &err));
	assert_string_equal(got(s, "sOFTWARE\\iPsEc", "nAME"), "3");
	assert_int_equal(reg_subkeys(s, "", &keys, &n, arena, &err), 1);
	assert_int_equal(n, 1);
	assert_string_equal(keys[0], "Software");
	assert_int_equal(reg_subkeys(s, "SOFTWARE", &keys, &n, arena, &err), 1);
	assert_int_equal(n, 3);
	assert_string_equal(keys[0], "IPSec");
	/* Only ASCII is folded. */
	assert_string_equal(got(s, "software\\\xc3\xa4", "x"), "lower");
	store_close(s);
}

static void test_absent_and_delete(void **state)
{
	struct store *s = opened(STORE_WRITE);
	struct reg_value v, *all;
	const char **keys;
	size_t n;

	(void)state;
	assert_int_equal(reg_get(s, "A", "x", &v, arena, &err), 0);
	assert_int_equal(reg_values(s, "A", &all, &n, arena, &err), 0);
	assert_int_equal(reg_subkeys(s, "A", &keys, &n, arena, &err), 0);
	fine(store_begin(s, &err));
	set(s, "A\\B\\C", "x", "1");
	set(s, "A\\B", "y", "2");
	set(s, "A\\BB", "z", "3");
	fine(reg_delete_value(s, "A\\B", "nope", &err));
	fine(reg_delete_value(s, "nope", "nope", &err));
	fine(reg_delete_value(s, "a\\b\\c", "X", &err));
	fine(store_commit(s, &err));
	assert_null(got(s, "A\\B\\C", "x"));
	assert_int_equal(reg_values(s, "A\\B\\C", &all, &n, arena, &err), 1);
	assert_int_equal(n, 0);
	fine(store_begin(s, &err));
	fine(reg_delete_key(s, "a\\b", &err));
	fine(reg_delete_key(s, "nope\\nope", &err));
	fine(store_commit(s, &err));
	assert_null(got(s, "A\\B", "y"));
	assert_int_equal(reg_subkeys(s, "A\\B\\C", &keys, &n, arena, &err), 0);
	assert_string_equal(got(s, "A\\BB", "z"), "3");
	/* A new key of the old name begins empty. */
	fine(store_begin(s, &err));
	set(s, "A\\B\\D", "x", "4");
	fine(store_commit(s, &err));
	assert_null(got(s, "A\\B", "y"));
	assert_int_equal(reg_subkeys(s, "A\\B", &keys, &n, arena, &err), 1);
	assert_int_equal(n, 1);
	store_close(s);
}

static void test_transactions(void **state)
{
	struct store *s = opened(STORE_WRITE);
	struct reg_value v = value("x", REG_SZ, "1", 1);

	(void)state;
	assert_int_equal(reg_set(s, "A", &v, &err), -1);
	assert_int_equal(reg_delete_value(s, "A", "x", &err), -1);
	assert_int_equal(reg_delete_key(s, "A", &err), -1);
	assert_int_equal(store_commit(s, &err), -1);
	fine(store_begin(s, &err));
	assert_int_equal(store_begin(s, &err), -1);
	set(s, "A", "x", "1");
	store_rollback(s);
	assert_null(got(s, "A", "x"));
	store_rollback(s);
	fine(store_begin(s, &err));
	set(s, "A", "x", "2");
	fine(store_commit(s, &err));
	fine(store_begin(s, &err));
	set(s, "A", "x", "3");
	store_close(s);
	s = opened(STORE_READ);
	assert_string_equal(got(s, "A", "x"), "2");
	store_close(s);
	store_close(NULL);
}

static void test_bounds(void **state)
{
	char *long_name = arena_zalloc(arena, 2000, 1), *deep = arena_zalloc(arena, 400, 1);
	const struct {
		const char *key;
		struct reg_value v;
		enum err_code code;
	} cases[] = {
		{ "A", value("x", REG_DWORD, "123", 3), ERR_FORMAT }, { "A", value("x", REG_QWORD, "1234", 4), ERR_FORMAT },
		{ "A", value("x", REG_SZ, "a\0b", 3), ERR_FORMAT }, { "A", value("x", REG_SZ, "\xff", 1), ERR_FORMAT },
		{ "A", value("x", REG_SZ, "\xed\xa0\x80", 3), ERR_FORMAT }, { "A", value("x", REG_SZ, "\xc0\x80", 2), ERR_FORMAT },
		{ "A", value("x", REG_SZ, "a\xc3", 2), ERR_FORMAT }, { "A", value("x", REG_MULTI_SZ, "a", 1), ERR_FORMAT },
		{ "A", value("x", REG_MULTI_SZ, "a\0\0", 3), ERR_FORMAT }, { "A", value("x", (enum reg_type)2, "a", 1), ERR_FORMAT },
		{ "A", value("\xff", REG_SZ, "a", 1), ERR_FORMAT }, { "A", value(long_name, REG_SZ, "a", 1), ERR_LIMIT },
		{ "A", value("x", REG_BINARY, "a", REG_MAX_DATA + 1), ERR_LIMIT },
		{ "", value("x", REG_SZ, "a", 1), ERR_FORMAT }, { "\\A", value("x", REG_SZ, "a", 1), ERR_FORMAT },
		{ "A\\", value("x", REG_SZ, "a", 1), ERR_FORMAT }, { "A\\\\B", value("x", REG_SZ, "a", 1), ERR_FORMAT },
		{ "A\xff", value("x", REG_SZ, "a", 1), ERR_FORMAT }, { long_name, value("x", REG_SZ, "a", 1), ERR_LIMIT },
		{ deep, value("x", REG_SZ, "a", 1), ERR_LIMIT },
	};
	struct store *s = opened(STORE_WRITE);

	(void)state;
	memset(long_name, 'n', 1999);
	for (int i = 0; i < REG_MAX_DEPTH; i++)
		strcat(deep, "k\\");
	strcat(deep, "k");
	fine(store_begin(s, &err));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(reg_set(s, cases[i].key, &cases[i].v, &err), -1);
		assert_int_equal(err.code, cases[i].code);
	}
	long_name[REG_MAX_KEY] = '\0';
	deep[strlen(deep) - 2] = '\0';
	set(s, long_name, "x", "1");
	set(s, deep, "x", "2");
	fine(store_commit(s, &err));
	assert_string_equal(got(s, long_name, "X"), "1");
	assert_string_equal(got(s, deep, "X"), "2");
	store_close(s);
}

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

/* Past the store, as only a damaged disk would. */
static size_t sql(const char *text)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	const char *rest = text;
	size_t n = 0;

	assert_int_equal(sqlite3_open(at("store.db"), &db), SQLITE_OK);
	while (*rest) {
		assert_int_equal(sqlite3_prepare_v2(db, rest, -1, &st, &rest), SQLITE_OK);
		if (sqlite3_step(st) == SQLITE_ROW)
			n = (size_t)sqlite3_column_int64(st, 0);
		assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	}
	sqlite3_close(db);
	return n;
}

static void test_last_eight(void **state)
{
	struct store *s = opened(STORE_WRITE);

	(void)state;
	for (unsigned i = 1; i <= 12; i++)
		put(s, i);
	store_close(s);
	assert_int_equal(sql("SELECT count(*) FROM generation"), 8);
	assert_int_equal(sql("SELECT min(number) FROM generation"), 5);
	assert_int_equal(sql("SELECT count(*) FROM part"), 24);
	s = opened(STORE_WRITE);
	fine(generation_drop(s, &err));
	store_close(s);
	assert_int_equal(sql("SELECT count(*) FROM part"), 0);
}

static bool file_holds(const char *path, const char *text)
{
	char *all = malloc(4 << 20);
	size_t n;
	FILE *f = fopen(path, "r");
	bool found;

	assert_non_null(f);
	n = fread(all, 1, 4 << 20, f);
	fclose(f);
	found = memmem(all, n, text, strlen(text)) != NULL;
	free(all);
	return found;
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

static const char *multi(struct store *s, const char *key, const char *name)
{
	struct reg_value v;
	char *text;

	assert_int_equal(reg_get(s, key, name, &v, arena, &err), 1);
	assert_int_equal(v.type, REG_MULTI_SZ);
	text = arena_memdup(arena, v.p, v.len + 1);
	for (size_t i = 0; i < v.len; i++)
		if (!text[i])
			text[i] = '|';
	return text;
}

static void test_cache_keys(void **state)
{
	struct store *s = opened(STORE_WRITE);
	const char **keys, *key = NULL;
	struct reg_value v;
	size_t n;

	(void)state;
	put(s, 9);
	assert_int_equal(reg_subkeys(s, CACHE, &keys, &n, arena, &err), 1);
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++) {
		key = arena_printf(arena, CACHE "\\%s", keys[i]);
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
	key = CACHE "\\ipsecPolicy{00000001-0000-0000-0000-000000000000}";
	assert_string_equal(got(s, key, "ipsecName"), "policy 9");
	assert_string_equal(got(s, key, "ipsecISAKMPReference"), CACHE "\\ipsecISAKMPPolicy{00000002-0000-0000-0000-000000000000}");
	assert_string_equal(multi(s, key, "ipsecNFAReference"), CACHE "\\ipsecNFA{00000006-0000-0000-0000-000000000000}|");
	key = CACHE "\\ipsecNFA{00000006-0000-0000-0000-000000000000}";
	assert_string_equal(multi(s, key, "ipsecOwnersReference"), CACHE "\\ipsecPolicy{00000001-0000-0000-0000-000000000000}|");
	assert_string_equal(multi(s, key, "ipsecFilterReference"), CACHE "\\ipsecFilter{00000003-0000-0000-0000-000000000000}|");
	assert_string_equal(got(s, key, "ipsecNegotiationPolicyReference"), CACHE "\\ipsecNegotiationPolicy{00000005-0000-0000-0000-000000000000}");
	assert_string_equal(got(s, REG_ASSIGNMENT, "DSIPSECPolicyPath"), DN);
	assert_string_equal(got(s, REG_ASSIGNMENT, "DSIPSECPolicyName"), "policy 9");
	assert_int_equal(reg_get(s, REG_ASSIGNMENT, "DSIPSECPolicyFlags", &v, arena, &err), 1);
	assert_int_equal(v.type, REG_DWORD);
	/* The next one replaces it, a drop empties it. */
	put(s, 10);
	assert_string_equal(got(s, REG_ASSIGNMENT, "DSIPSECPolicyName"), "policy 10");
	fine(generation_drop(s, &err));
	assert_int_equal(reg_subkeys(s, CACHE, &keys, &n, arena, &err), 0);
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
	for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
		pid = fork();
		if (pid == 0) {
			begin = seconds();
			r = store_open(dir, (enum store_mode)mode, &err);
			if (seconds() - begin > 2)
				_exit(2);
			_exit(!r && err.code == ERR_BUSY ? 0 : 1);
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

static char *file_load(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	char *text = malloc(4 << 20);

	assert_non_null(f);
	*len = fread(text, 1, 4 << 20, f);
	fclose(f);
	return text;
}

static void file_save(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static bool error_is_clear(void)
{
	return err.code == ERR_DAMAGED || err.code == ERR_UNSUPPORTED || err.code == ERR_SYSTEM;
}

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
		sql(cases[i].sql);
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

static void test_damaged_values(void **state)
{
	static const char *const cases[] = {
		"UPDATE value SET data = CAST('the VALUE' AS BLOB) WHERE name = 'x'",
		"UPDATE value SET type = 3 WHERE name = 'x'",
		"UPDATE value SET name = 'y' WHERE name = 'x'",
		"UPDATE value SET data = 'the value' WHERE name = 'x'",
		"UPDATE key SET name = 'B' WHERE name = 'A'",
		"UPDATE value SET sum = zeroblob(16)",
	};
	struct reg_value v;
	size_t len;
	char *good;

	(void)state;
	three_generations();
	good = file_load(at("store.db"), &len);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store *s;

		file_save(at("store.db"), good, len);
		sql(cases[i]);
		s = opened(STORE_READ);
		assert_int_equal(reg_get(s, "A", "x", &v, arena, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
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

/* ---- image --------------------------------------------------------------------------- */

static void test_image(void **state)
{
	static const char want[] =
	    "ipsecpol image 1\n"
	    "part policy 4\na\nb\n\n"
	    "part facts.json 0\n\n"
	    "end 8427fa6d9b5cd8fc4c36f596084e67cac1a4ee0539dd6940484a9371a83826dc\n";
	const struct gen_part parts[] = { { "policy", "a\nb\n", 4 }, { "facts.json", "", 0 } };
	const char *path = at("boot.image");
	struct gen_part *read_parts;
	struct stat st;
	char *text;
	size_t n, len;

	(void)state;
	assert_int_equal(image_read(path, &read_parts, &n, arena, &err), -1);
	assert_int_equal(err.code, ERR_ABSENT);
	umask(0);
	fine(image_write(path, parts, 2, &err));
	umask(022);
	stat(path, &st);
	assert_int_equal(st.st_mode & 07777, 0600);
	text = file_load(path, &len);
	assert_int_equal(len, sizeof(want) - 1);
	assert_memory_equal(text, want, len);
	free(text);
	fine(image_read(path, &read_parts, &n, arena, &err));
	assert_int_equal(n, 2);
	assert_string_equal(read_parts[0].name, "policy");
	assert_string_equal(read_parts[0].text, "a\nb\n");
	assert_int_equal(read_parts[0].len, 4);
	assert_string_equal(read_parts[1].name, "facts.json");
	assert_int_equal(read_parts[1].len, 0);
	/* None at all, and over what is there. */
	fine(image_write(path, NULL, 0, &err));
	fine(image_read(path, &read_parts, &n, arena, &err));
	assert_int_equal(n, 0);
	assert_int_equal(access(at("boot.image.new"), F_OK), -1);
	/* Others may write it. */
	chmod(path, 0622);
	assert_int_equal(image_read(path, &read_parts, &n, arena, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
}

static void test_image_refuses(void **state)
{
	const char *path = at("boot.image");
	struct gen_part part = { "Policy", "", 0 }, twice[] = { { "a", "", 0 }, { "a", "", 0 } }, *parts;
	size_t n;

	(void)state;
	assert_int_equal(image_write(path, &part, 1, &err), -1);
	part.name = "";
	assert_int_equal(image_write(path, &part, 1, &err), -1);
	part.name = "a b";
	assert_int_equal(image_write(path, &part, 1, &err), -1);
	assert_int_equal(image_write(path, twice, 2, &err), -1);
	part.name = "a";
	assert_int_equal(image_write(at("no/such/folder"), &part, 1, &err), -1);
	assert_int_equal(err.code, ERR_SYSTEM);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(image_read(path, &parts, &n, arena, &err), -1);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(image_read(path, &parts, &n, arena, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
}

static void test_image_damaged(void **state)
{
	const struct gen_part parts[] = { { "policy", policy_text(1), 0 }, { "facts", "dns 10.0.0.1\n", 13 } };
	struct gen_part copy[2] = { parts[0], parts[1] }, *out;
	const char *path = at("boot.image");
	char *text;
	size_t len, n;

	(void)state;
	copy[0].len = strlen(copy[0].text);
	fine(image_write(path, copy, 2, &err));
	text = file_load(path, &len);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 0x20;
		assert_int_equal(image_parse(&out, &n, arena, text, len, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		text[i] ^= 0x20;
		assert_int_equal(image_parse(&out, &n, arena, text, i, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
	}
	assert_int_equal(image_parse(&out, &n, arena, text, len, &err), 0);
	text[len] = '\n';
	assert_int_equal(image_parse(&out, &n, arena, text, len + 1, &err), -1);
	file_save(path, text, len + 1);
	assert_int_equal(image_read(path, &out, &n, arena, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_non_null(strstr(err.msg, path));
	free(text);
}

/* Sealed rightly, wrong within. */
static void test_image_malformed(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
#define IMAGE(t) { t, sizeof(t) - 1 }
		IMAGE("ipsecpol image 1\npart a 1\nx\nend 38d5c7fa914f7954f086d6f03800ee212f9785fd2563700f6ef0cf08c14c3034\n"),
		IMAGE("ipsecpol image 1\npart a 2\nx\nend fbde4a78c11f196b24c3034d22e8f29740169553f30522c6947f10dc50f01d48\n"),
		IMAGE("ipsecpol image 1\npart a 0\nx\nend b188de2a26be0ebe88358ae7752472ed12b1165ce8593d4dd0f2d2a7c07c3796\n"),
		IMAGE("ipsecpol image 1\npart a 1\nxyend 6f3573f998096f869b71337005a8bb3a814436bab3259e223242a3dd316f36b2\n"),
		IMAGE("ipsecpol image 1\npart  1\nx\nend 22bcc86e3e3586ecaebbc6aec52d05ba624881b276d93b55ce64e4b5cbcda000\n"),
		IMAGE("ipsecpol image 1\npart a\n\nend 594a3bbb154cb51e1de257d9b9813753700d5e72c6ebea3c5ee1fc27d1a0b10d\n"),
		IMAGE("ipsecpol image 1\npart A 1\nx\nend 4ee9e2f715c56ec007ba6652cc7847a691518f209c98e2ddb223552af3e54f5d\n"),
		IMAGE("ipsecpol image 1\npart a 01\nx\nend c61728b347657e55245a8e2ac620659dbc29ab6a80da686498de7472411f865d\n"),
		IMAGE("ipsecpol image 1\npart a -1\nx\nend 349c0aaf2e692e06f9b690ff297d7b25311e151c0b050292a19abcc34eb5944e\n"),
		IMAGE("ipsecpol image 1\npart a +1\nx\nend 65e5d5035d841021ba0d9fec435e18974cb7a66c3782f58b6796e15cd65d6df9\n"),
		IMAGE("ipsecpol image 1\npart a 1 \nx\nend 0a5796922b65feaa930da70869814b525042d63c411d87b08446a82b4b8c6571\n"),
		IMAGE("ipsecpol image 1\npart a 99999999999\nx\nend 2faa8a82e904886322577798db7be94cd35a7421f59b471d6632527b5354c033\n"),
		IMAGE("ipsecpol image 1\npart a 18446744073709551615\nx\nend 82997b31b340a571d266632c15ecba1c35982d737d6c02baa04751f5e3d7b1f2\n"),
		IMAGE("ipsecpol image 1\npart a 1\nx\npart a 1\nx\nend f18f4794f98fc4af45a4ba683622ecab1c688c3fb0396134337b4464094c8869\n"),
		IMAGE("ipsecpol image 1\nPart a 1\nx\nend bfc2db57d4f0994332e941b633931550ec41d9ca30b23fbb5b55947adea35bef\n"),
		IMAGE("ipsecpol image 1\nxend 2b11b662e087db44830ba561d30cd0178c01d451dda6471ee48910a10c200270\n"),
		IMAGE("ipsecpol image 1\n\nend f85368e114ee0c01bc643ff08797ab1447f7e7f215b747e212e78844529a9eae\n"),
		IMAGE("ipsecpol image 1\npart a 1\nx\n\nend b2c5a8ae3757c2513cf9cf895c1fd79af0e21c746d6adce4dcf6a4638f364f9a\n"),
		IMAGE("ipsecpol image 1\npart nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn 1\nx\nend 1911d3c84f1839320aff546111f0f86c8e64d4263cdd93f537e73c603db07360\n"),
		IMAGE("ipsecpol image 1\npart a 1end bfe1232de3d2136495953efb00b8877194cd0acf527289bc550161689a45e3f1\n"),
		IMAGE("ipsecpol image 1\npart p0 0\n\npart p1 0\n\npart p2 0\n\npart p3 0\n\npart p4 0\n\npart p5 0\n\npart p6 0\n\npart p7 0\n\npart p8 0\n\npart p9 0\n\npart p10 0\n\npart p11 0\n\npart p12 0\n\npart p13 0\n\npart p14 0\n\npart p15 0\n\npart p16 0\n\npart p17 0\n\npart p18 0\n\npart p19 0\n\npart p20 0\n\npart p21 0\n\npart p22 0\n\npart p23 0\n\npart p24 0\n\npart p25 0\n\npart p26 0\n\npart p27 0\n\npart p28 0\n\npart p29 0\n\npart p30 0\n\npart p31 0\n\npart p32 0\n\nend 8d7bbddc6ceb6cc961c1bb80e630809682ac51067119ffb2d51b8fee432d41a0\n"),
	};
	struct gen_part *parts;
	size_t n;

	(void)state;
	assert_int_equal(image_parse(&parts, &n, arena, cases[0].text, cases[0].len, &err), 0);
	for (size_t i = 1; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(image_parse(&parts, &n, arena, cases[i].text, cases[i].len, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		assert_null(strstr(err.msg, "digest"));
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)
	const struct CMUnitTest tests[] = {
		TEST(test_values),
		TEST(test_names_without_case),
		TEST(test_absent_and_delete),
		TEST(test_transactions),
		TEST(test_bounds),
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
		TEST(test_damaged_values),
		TEST(test_killed),
		TEST(test_image),
		TEST(test_image_refuses),
		TEST(test_image_damaged),
		TEST(test_image_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
