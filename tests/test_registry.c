#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "schema/arena.h"
#include "store/store.h"
#include "tests/store_box.h"

/* ---- values ---------------------------------------------------------------------- */

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
	struct store *s;
	size_t len;
	char *good;

	(void)state;
	s = opened(STORE_WRITE);
	fine(store_begin(s, &err));
	set(s, "A", "x", "the value");
	fine(store_commit(s, &err));
	store_close(s);
	good = file_load(at("store.db"), &len);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		file_save(at("store.db"), good, len);
		sql("store.db", cases[i]);
		s = opened(STORE_READ);
		assert_int_equal(reg_get(s, "A", "x", &v, arena, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		store_close(s);
	}
	free(good);
}

/* ---- the registry: sealed, and open for several ------------------------------------- */

#define POLICY	REG_LOCAL "\\ipsecPolicy{00000001-0000-0000-0000-000000000000}"
#define SECRET	"a pre-shared key"

static struct store *registry(enum store_mode mode)
{
	struct store *s = registry_open(dir, mode, &err);

	if (!s)
		fail_msg("%s", err.msg);
	return s;
}

static void registry_make(void)
{
	struct store *s = registry(STORE_WRITE);

	fine(store_begin(s, &err));
	set(s, REG_LOCAL, "ActivePolicy", POLICY);
	set(s, POLICY, "ipsecName", "one");
	set(s, POLICY, "description", "");
	set(s, REG_LOCAL "\\ipsecNFA{00000002-0000-0000-0000-000000000000}", "ipsecName", "two");
	set(s, REG_LOCAL "\\ipsecNFA{00000002-0000-0000-0000-000000000000}", "description", "two");
	fine(store_commit(s, &err));
	store_close(s);
}

static void test_registry_file(void **state)
{
	struct store *s, *other;
	struct stat st;

	(void)state;
	assert_null(registry_open(dir, STORE_READ, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_null(registry_open(dir, STORE_EDIT, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_string_equal(err.msg, arena_printf(arena, "store '%s/registry.db' does not exist", dir));
	assert_int_equal(access(at("registry.db"), F_OK), -1);
	umask(0);
	s = registry(STORE_WRITE);
	umask(022);
	assert_int_equal(stat(at("registry.db"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(access(at("registry.db.new"), F_OK), -1);
	/* It has nothing to do with the other file and its lock. */
	other = opened(STORE_WRITE);
	fine(store_begin(s, &err));
	set(s, "A", "x", "1");
	fine(store_commit(s, &err));
	assert_null(got(other, "A", "x"));
	store_close(other);
	store_close(s);
	assert_int_equal(sql("registry.db", "SELECT count(*) FROM sqlite_master WHERE name LIKE 'generation'"), 0);
	s = registry(STORE_EDIT);
	assert_string_equal(got(s, "a", "X"), "1");
	store_close(s);
	chmod(at("registry.db"), 0620);
	assert_null(registry_open(dir, STORE_READ, &err));
	assert_int_equal(err.code, ERR_DENIED);
	assert_int_equal(truncate(at("registry.db"), 0), 0);
	chmod(at("registry.db"), 0600);
	assert_null(registry_open(dir, STORE_WRITE, &err));
	assert_int_equal(err.code, ERR_DAMAGED);
}

static void test_registry_reading(void **state)
{
	struct reg_value v = value("x", REG_SZ, "1", 1);
	struct store *s;

	(void)state;
	registry_make();
	s = registry(STORE_READ);
	fine(store_begin(s, &err));
	assert_string_equal(got(s, POLICY, "ipsecName"), "one");
	assert_int_equal(reg_set(s, "A", &v, &err), -1);
	assert_int_equal(reg_delete_value(s, POLICY, "ipsecName", &err), -1);
	assert_int_equal(reg_delete_key(s, POLICY, &err), -1);
	assert_string_equal(err.msg, arena_printf(arena, "store '%s/registry.db' was opened for reading", dir));
	fine(store_commit(s, &err));
	store_close(s);
}

static void test_seal(void **state)
{
	static const struct {
		const char *sql, *names;	/* what the message has to name beside the file */
	} cases[] = {
		{ "DELETE FROM value WHERE name = 'ActivePolicy'", "seal" },
		{ "DELETE FROM value WHERE name = 'description'", "seal" },
		{ "DELETE FROM value", "seal" },
		{ "DELETE FROM value; DELETE FROM key", "seal" },
		{ "DELETE FROM key WHERE name LIKE 'ipsecNFA%'", "seal" },
		{ "DELETE FROM key WHERE name = 'Local'", "seal" },
		{ "UPDATE value SET data = CAST('two' AS BLOB) WHERE data = CAST('one' AS BLOB)",
		  "value 'ipsecName' of key '" POLICY "'" },
		{ "UPDATE value SET data = X'00' WHERE name = 'ActivePolicy'", "value 'ActivePolicy' of key '" REG_LOCAL "'" },
		{ "UPDATE value SET type = 3 WHERE name = 'ActivePolicy'", "value 'ActivePolicy' of key '" REG_LOCAL "'" },
		{ "UPDATE value SET name = 'Activepolicy' WHERE name = 'ActivePolicy'", "value 'Activepolicy' of key '" REG_LOCAL "'" },
		{ "UPDATE value SET name = X'00' WHERE name = 'ActivePolicy'", "value '?' of key '" REG_LOCAL "'" },
		{ "UPDATE value SET fold = CAST('other' AS BLOB) WHERE name = 'ActivePolicy'", "seal" },
		{ "UPDATE value SET sum = zeroblob(16) WHERE name = 'ActivePolicy'", "value 'ActivePolicy'" },
		{ "UPDATE key SET name = 'Locas' WHERE name = 'Local'", "key 'SOFTWARE\\Policies\\Microsoft\\Windows\\IPSec\\Policy\\Locas'" },
		{ "UPDATE key SET fold = CAST('persistent' AS BLOB) WHERE name = 'Local'", "seal" },
		{ "UPDATE key SET parent = 1 WHERE name = 'Local'", "Local" },
		{ "UPDATE key SET id = 77 WHERE name = 'Local'", "not what was written" },
		{ "UPDATE seal SET digest = zeroblob(32)", "seal" },
		{ "UPDATE seal SET digest = 'x'", "seal" },
		{ "DELETE FROM seal", "seal" },
		{ "DROP TABLE seal", NULL },
		{ "DROP TABLE value", NULL },
		{ "CREATE TABLE more (x)", "seal" },
		{ "CREATE TRIGGER t AFTER INSERT ON value BEGIN DELETE FROM value; END", "seal" },
		{ "ALTER TABLE value RENAME COLUMN name TO title", NULL },
		{ "PRAGMA application_id = 0", "not a store" },
		{ "PRAGMA user_version = 0", "version 0" },
	};
	const char *path = at("registry.db");
	size_t len;
	char *good;

	(void)state;
	registry_make();
	good = file_load(path, &len);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		file_save(path, good, len);
		sql("registry.db", cases[i].sql);
		for (int mode = STORE_READ; mode <= STORE_EDIT; mode++) {
			memset(&err, 0, sizeof(err));
			if (registry_open(dir, (enum store_mode)mode, &err))
				fail_msg("not noticed: %s", cases[i].sql);
			assert_int_equal(err.code, ERR_DAMAGED);
			assert_non_null(strstr(err.msg, path));
			if (cases[i].names && !strstr(err.msg, cases[i].names))
				fail_msg("'%s' does not name '%s'", err.msg, cases[i].names);
		}
	}
	file_save(path, good, len);
	store_close(registry(STORE_READ));
	free(good);
}

/* While it is open, too. */
static void test_seal_later(void **state)
{
	struct store *r, *w;

	(void)state;
	registry_make();
	r = registry(STORE_READ);
	w = registry(STORE_WRITE);
	sql("registry.db", "DELETE FROM value WHERE name = 'ActivePolicy'");
	assert_int_equal(store_begin(r, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_int_equal(store_begin(w, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_non_null(strstr(err.msg, at("registry.db")));
	store_close(r);
	store_close(w);
}

static void test_versions(void **state)
{
	uint32_t a, b, was_a, was_b;
	struct store *s, *t;

	(void)state;
	registry_make();
	s = registry(STORE_WRITE);
	t = registry(STORE_READ);
	fine(store_version(s, &was_a, &err));
	fine(store_version(t, &was_b, &err));
	fine(store_begin(s, &err));
	set(s, "A", "x", "1");
	store_rollback(s);
	fine(store_version(t, &b, &err));
	assert_int_equal(b, was_b);
	fine(store_begin(s, &err));
	set(s, "A", "x", "1");
	fine(store_commit(s, &err));
	fine(store_version(s, &a, &err));
	fine(store_version(t, &b, &err));
	assert_int_equal(a, was_a);
	assert_true(b != was_b);
	/* Nothing written: nothing happened. */
	was_b = b;
	fine(store_begin(s, &err));
	fine(store_commit(s, &err));
	fine(store_version(t, &b, &err));
	assert_int_equal(b, was_b);
	store_close(t);
	t = registry(STORE_WRITE);
	fine(store_begin(t, &err));
	set(t, "A", "x", "2");
	fine(store_commit(t, &err));
	fine(store_version(s, &a, &err));
	assert_true(a != was_a);
	/* Within a transaction it tells what was there at its begin. */
	fine(store_begin(s, &err));
	fine(store_version(s, &was_a, &err));
	assert_int_equal(a, was_a);
	store_rollback(s);
	store_close(s);
	store_close(t);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int to_child[2], to_parent[2];

/* A process that writes "child" to A\x when told to go, and commits so many microseconds after that.  To be
 * made before this process opens anything: SQLite does not live through a fork. */
static pid_t child_start(useconds_t duration)
{
	struct store *s;
	pid_t pid;
	char c;

	if (pipe(to_child) < 0 || pipe(to_parent) < 0)
		fail();
	pid = fork();
	if (pid)
		return pid;
	if (read(to_child[0], &c, 1) != 1)
		_exit(1);
	s = registry_open(dir, STORE_WRITE, &err);
	if (!s || store_begin(s, &err) < 0)
		_exit(1);
	set(s, "A", "x", "child");
	/* More than is kept in memory, so that nobody can read from here on. */
	for (int i = 0; i < 40; i++) {
		uint8_t *big = arena_zalloc(arena, 1, 65536);
		struct reg_value v = value(arena_printf(arena, "%d", i), REG_BINARY, big, 65536);

		memset(big, getpid() + i, 65536);
		fine(reg_set(s, "A\\B", &v, &err));
	}
	if (write(to_parent[1], "r", 1) != 1)
		_exit(1);
	usleep(duration);
	_exit(store_commit(s, &err) < 0);
}

/* Goes, and has written when this returns; wait false: returns at once. */
static void child_go(bool wait)
{
	char c;

	assert_int_equal(write(to_child[1], "g", 1), 1);
	if (wait)
		assert_int_equal(read(to_parent[0], &c, 1), 1);
}

static void child_done(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
}

/* Who reads or writes while another one has the store waits for it. */
static void test_waiting(void **state)
{
	struct store *s;
	double begin;
	pid_t pid;

	(void)state;
	registry_make();
	for (int mode = STORE_READ; mode <= STORE_EDIT; mode++) {
		pid = child_start(500000);
		child_go(true);
		begin = seconds();
		s = registry(STORE_READ);
		assert_true(seconds() - begin > 0.3);
		assert_true(seconds() - begin < 5);
		assert_string_equal(got(s, "A", "x"), "child");
		store_close(s);
		child_done(pid);
		pid = child_start(500000);
		s = registry((enum store_mode)mode);
		child_go(true);
		fine(store_begin(s, &err));
		assert_string_equal(got(s, "A", "x"), "child");
		if (mode != STORE_READ)
			set(s, "A", "x", "parent");
		fine(store_commit(s, &err));
		store_close(s);
		child_done(pid);
	}
}

/* Reading within begin and commit is reading of one state; a writer waits for its end. */
static void test_one_state(void **state)
{
	struct store *s;
	pid_t pid;

	(void)state;
	registry_make();
	s = registry(STORE_WRITE);
	fine(store_begin(s, &err));
	set(s, "A", "x", "before");
	fine(store_commit(s, &err));
	store_close(s);
	pid = child_start(0);
	s = registry(STORE_READ);
	fine(store_begin(s, &err));
	child_go(false);
	usleep(300000);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_string_equal(got(s, "A", "x"), "before");
	store_rollback(s);
	child_done(pid);
	assert_string_equal(got(s, "A", "x"), "child");
	store_close(s);
}

/* All make it at once, and all write. */
static void test_many_writers(void **state)
{
	enum { PROCESSES = 4, ROUNDS = 25 };
	pid_t pids[PROCESSES];
	struct reg_value *all;
	struct store *s;
	int status;
	size_t n;

	(void)state;
	for (int p = 0; p < PROCESSES; p++) {
		pids[p] = fork();
		if (pids[p] == 0) {
			s = registry_open(dir, STORE_WRITE, &err);
			for (int i = 0; s && i < ROUNDS; i++) {
				if (store_begin(s, &err) < 0)
					_exit(2);
				set(s, "A", arena_printf(arena, "%d.%d", p, i), "here");
				if (store_commit(s, &err) < 0)
					_exit(3);
			}
			_exit(s ? 0 : 1);
		}
	}
	for (int p = 0; p < PROCESSES; p++) {
		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
		assert_int_equal(status, 0);
	}
	s = registry(STORE_READ);
	assert_int_equal(reg_values(s, "A", &all, &n, arena, &err), 1);
	assert_int_equal(n, PROCESSES * ROUNDS);
	store_close(s);
}

/* An edit of a file that is not there any more would be lost without a word. */
static void test_replaced(void **state)
{
	struct store *s;

	(void)state;
	registry_make();
	s = registry(STORE_WRITE);
	assert_int_equal(unlink(at("registry.db")), 0);
	assert_int_equal(store_begin(s, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	registry_make();
	assert_int_equal(store_begin(s, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	assert_string_equal(err.msg, arena_printf(arena, "store '%s/registry.db' was removed or replaced meanwhile", dir));
	store_close(s);
	s = registry(STORE_WRITE);
	fine(store_begin(s, &err));
	store_rollback(s);
	store_close(s);
}

static void test_registry_leftovers(void **state)
{
	struct store *s;

	(void)state;
	registry_make();
	s = registry(STORE_WRITE);
	fine(store_begin(s, &err));
	set(s, "A", "x", SECRET);
	fine(store_commit(s, &err));
	assert_true(file_holds(at("registry.db"), SECRET));
	fine(store_begin(s, &err));
	fine(reg_delete_value(s, "A", "x", &err));
	fine(store_commit(s, &err));
	assert_false(file_holds(at("registry.db"), SECRET));
	assert_int_equal(access(at("registry.db-journal"), F_OK), -1);
	store_close(s);
}

/* A large value beside it must not make each small change dear. */
static void test_cost(void **state)
{
	size_t len = 2 << 20;
	struct store *s = registry(STORE_WRITE);
	struct reg_value v = value("ipsecData", REG_BINARY, arena_zalloc(arena, len, 1), len);
	double begin, best = 1e9;

	(void)state;
	memset((uint8_t *)(uintptr_t)v.p, 0x5a, len);
	fine(store_begin(s, &err));
	fine(reg_set(s, POLICY, &v, &err));
	fine(store_commit(s, &err));
	for (int i = 0; i < 8; i++) {
		begin = seconds();
		fine(store_begin(s, &err));
		set(s, POLICY, "ipsecName", i % 2 ? "odd" : "even");
		fine(store_commit(s, &err));
		if (seconds() - begin < best)
			best = seconds() - begin;
	}
	store_close(s);
	print_message("one change beside 2 MB: %.1f ms\n", best * 1000);
	assert_true(best < 0.1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, box_up, box_down)
	const struct CMUnitTest tests[] = {
		TEST(test_values),
		TEST(test_names_without_case),
		TEST(test_absent_and_delete),
		TEST(test_transactions),
		TEST(test_bounds),
		TEST(test_damaged_values),
		TEST(test_registry_file),
		TEST(test_registry_reading),
		TEST(test_seal),
		TEST(test_seal_later),
		TEST(test_versions),
		TEST(test_waiting),
		TEST(test_one_state),
		TEST(test_many_writers),
		TEST(test_replaced),
		TEST(test_registry_leftovers),
		TEST(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
