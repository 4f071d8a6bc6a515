#include "tests/store_box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/arena.h"

#define FILE_MAX	(8u << 20)

char dir[64];
struct arena *arena;
struct err err;

int box_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/ipsecpol-store.XXXXXX");
	arena = arena_new(0);
	memset(&err, 0, sizeof(err));
	return mkdtemp(dir) && arena ? 0 : -1;
}

int box_down(void **state)
{
	char command[128];

	(void)state;
	arena_free(arena);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

const char *at(const char *name)
{
	return arena_printf(arena, "%s/%s", dir, name);
}

void fine(int rc)
{
	if (rc < 0)
		fail_msg("%s", err.msg);
}

struct store *opened(enum store_mode mode)
{
	struct store *s = store_open(dir, mode, &err);

	if (!s)
		fail_msg("%s", err.msg);
	return s;
}

struct reg_value value(const char *name, enum reg_type type, const void *p, size_t len)
{
	return (struct reg_value){ name, type, p, len };
}

void set(struct store *s, const char *key, const char *name, const char *text)
{
	struct reg_value v = value(name, REG_SZ, text, strlen(text));

	fine(reg_set(s, key, &v, &err));
}

const char *got(struct store *s, const char *key, const char *name)
{
	struct reg_value v;
	int r = reg_get(s, key, name, &v, arena, &err);

	fine(r);
	return r ? (const char *)v.p : NULL;
}

const char *multi(struct store *s, const char *key, const char *name)
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

char *file_load(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	char *text = malloc(FILE_MAX);

	assert_non_null(f);
	*len = fread(text, 1, FILE_MAX, f);
	fclose(f);
	return text;
}

void file_save(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

bool file_holds(const char *path, const char *text)
{
	size_t n;
	char *all = file_load(path, &n);
	bool found = memmem(all, n, text, strlen(text)) != NULL;

	free(all);
	return found;
}

size_t sql(const char *file, const char *text)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	const char *rest = text;
	size_t n = 0;

	assert_int_equal(sqlite3_open(at(file), &db), SQLITE_OK);
	while (*rest) {
		assert_int_equal(sqlite3_prepare_v2(db, rest, -1, &st, &rest), SQLITE_OK);
		if (sqlite3_step(st) == SQLITE_ROW)
			n = (size_t)sqlite3_column_int64(st, 0);
		assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	}
	sqlite3_close(db);
	return n;
}

bool error_is_clear(void)
{
	return err.code == ERR_DAMAGED || err.code == ERR_UNSUPPORTED || err.code == ERR_SYSTEM;
}
