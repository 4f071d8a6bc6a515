/* regtool DIR COMMAND: edits and looks at DIR/registry.db, for tests/test_edits.sh.
 *   edit MARK	one transaction that writes, replaces and deletes; the same state for the same MARK
 *   add TAG N	N transactions, each adds a value and an object
 *   watch N		reads until `add` has added N in all; each time there are as many values as objects
 *   count		values and objects of `add`
 *   dump		everything, as text
 *   damage SEED	each way of cutting the file and some of flipping bits: what is read is what was there, or an error */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "store/objects.h"
#include "store/store.h"

#define FLIPS	400

static struct err err;

static int failed(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", what, err_code_name(err.code), err.msg);
	return 1;
}

static int text_set(struct store *s, const char *key, const char *name, const char *text)
{
	const struct reg_value v = { name, REG_SZ, (const uint8_t *)text, strlen(text) };

	return reg_set(s, key, &v, &err);
}

/* ---- writing ------------------------------------------------------------------------- */

static int edit_write(struct store *s, const char *mark, struct arena *a)
{
	size_t len = 60000;
	struct reg_value v = { "ipsecData", REG_BINARY, NULL, len };
	uint8_t *p = arena_zalloc(a, len, 1);

	for (size_t i = 0; p && i < len; i++)
		p[i] = (uint8_t)(mark[i % strlen(mark)] + i / 251);
	v.p = p;
	if (!p || reg_delete_key(s, REG_LOCAL, &err) < 0 || reg_set(s, REG_LOCAL "\\ipsecFilter{0}", &v, &err) < 0)
		return -1;
	for (int i = 0; i < 30; i++)
		if (text_set(s, arena_printf(a, REG_LOCAL "\\ipsecNFA{%s-%d}", mark, i % 7), arena_printf(a, "%d", i), mark) < 0)
			return -1;
	return text_set(s, REG_LOCAL, "ActivePolicy", mark);
}

static int edit(const char *dir, const char *mark)
{
	struct store *s = registry_open(dir, STORE_WRITE, &err);
	struct arena *a = arena_new(0);
	int rc = 1;

	if (!s || !a || store_begin(s, &err) < 0 || edit_write(s, mark, a) < 0 || store_commit(s, &err) < 0)
		failed("edit");
	else
		rc = 0;
	store_close(s);
	arena_free(a);
	return rc;
}

static int add_one(struct store *s, const char *tag, int i, struct arena *a)
{
	struct dir_value class = { (const uint8_t *)"ipsecFilter", 11 };
	struct dir_attr attr = { "objectClass", &class, 1 };
	struct dir_change c = { .kind = CHANGE_ADD, .dn = arena_printf(a, "CN=ipsecFilter{%s-%d}," OBJECTS_DN, tag, i), .attrs = &attr, .n_attrs = 1 };

	if (store_begin(s, &err) < 0)
		return -1;
	if (text_set(s, REG_SERVICE, arena_printf(a, "%s-%d", tag, i), "here") < 0 || objects_apply(s, REG_LOCAL, &c, 1, i, &err) < 0) {
		store_rollback(s);
		return -1;
	}
	return store_commit(s, &err);
}

static int add(const char *dir, const char *tag, int n)
{
	struct store *s = registry_open(dir, STORE_WRITE, &err);
	struct arena *a = arena_new(0);
	int rc = s && a ? 0 : -1;

	for (int i = 0; i < n && rc == 0; i++)
		rc = add_one(s, tag, i, a);
	store_close(s);
	arena_free(a);
	return rc < 0 ? failed("add") : 0;
}

/* ---- reading ------------------------------------------------------------------------- */

static int counts(struct store *s, size_t *values, size_t *objects)
{
	struct arena *a = arena_new(0);
	struct dir_entry *entries;
	struct reg_value *all;
	int rc = -1;

	*values = *objects = 0;
	if (a && store_begin_reading(s, &err) == 0) {
		if (reg_values(s, REG_SERVICE, &all, values, a, &err) >= 0 && objects_read(&entries, objects, a, s, REG_LOCAL, &err) >= 0)
			rc = 0;
		store_rollback(s);
	}
	arena_free(a);
	return rc;
}

static int watch(const char *dir, size_t want)
{
	struct store *s = registry_open(dir, STORE_WRITE, &err);
	size_t values = 0, objects = 0, n = 0;

	for (; s && values < want; n++) {
		if (counts(s, &values, &objects) < 0)
			break;
		if (values != objects) {
			fprintf(stderr, "%zu values, but %zu objects\n", values, objects);
			return 1;
		}
		usleep(2000);
	}
	if (!s || values < want)
		return failed("watch");
	store_close(s);
	printf("%zu readings\n", n);
	return 0;
}

static int count(const char *dir)
{
	struct store *s = registry_open(dir, STORE_READ, &err);
	size_t values, objects;

	if (!s || counts(s, &values, &objects) < 0)
		return failed("count");
	store_close(s);
	printf("%zu %zu\n", values, objects);
	return 0;
}

static int key_dump(struct store *s, const char *key, struct arena *a, FILE *out)
{
	struct reg_value *values = NULL, one;
	const char **names = NULL;
	size_t n = 0;

	if (*key && reg_values(s, key, &values, &n, a, &err) < 0)
		return -1;
	fprintf(out, "[%s]\n", key);
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "%s %d ", values[i].name, (int)values[i].type);
		for (size_t k = 0; k < values[i].len; k++)
			fprintf(out, "%02x", values[i].p[k]);
		/* What a list shows is found by its name, too. */
		if (reg_get(s, key, values[i].name, &one, a, &err) != 1)
			fprintf(out, " but not found\n");
		fputc('\n', out);
	}
	n = 0;
	if (reg_subkeys(s, key, &names, &n, a, &err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (key_dump(s, arena_printf(a, "%s%s%s", key, *key ? "\\" : "", names[i]), a, out) < 0)
			return -1;
	return 0;
}

/* An absent store is an empty text. */
static int dump(const char *dir, FILE *out)
{
	struct store *s = registry_open(dir, STORE_READ, &err);
	struct arena *a = arena_new(0);
	int rc = -1;

	if (!s && err.code == ERR_ABSENT)
		rc = 0;
	else if (s && a && store_begin(s, &err) == 0)
		rc = key_dump(s, "", a, out);
	store_close(s);
	arena_free(a);
	return rc;
}

/* ---- damage ---------------------------------------------------------------------------- */

static char *file_read(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	char *p = malloc(16 << 20);

	*len = f && p ? fread(p, 1, 16 << 20, f) : 0;
	if (f)
		fclose(f);
	return p;
}

static void file_write(const char *path, const char *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, p, len) != (ssize_t)len)
		abort();
	close(fd);
}

/* In a process of its own: 0 the same content, 1 a good error, else bad. */
static int damage_try(const char *dir, const char *path, const char *good)
{
	char *text = NULL;
	size_t len = 0;
	int status = 0;
	pid_t pid = fork();
	FILE *f;

	if (pid == 0) {
		f = open_memstream(&text, &len);
		if (dump(dir, f) < 0)
			_exit(strstr(err.msg, path) && (err.code == ERR_DAMAGED || err.code == ERR_UNSUPPORTED || err.code == ERR_SYSTEM) ? 1 : 2);
		fclose(f);
		_exit(strcmp(text, good) ? 3 : 0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 4;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 5;
}

static int damage(const char *dir, unsigned seed)
{
	static const char *const words[] = { "same", "error", "unclear error", "other content", "no process", "crash" };
	char path[256], *good, *text = NULL;
	size_t len, text_len, at, n[6] = { 0 };
	FILE *f = open_memstream(&text, &text_len);
	int bit, r;

	if (dump(dir, f) < 0)
		return failed("dump");
	fclose(f);
	snprintf(path, sizeof(path), "%s/registry.db", dir);
	good = file_read(path, &len);
	srandom(seed);
	for (size_t i = 0; i < len / 512 + FLIPS; i++) {
		/* The head of the file and of its pages oftener than the rest. */
		at = i % 4 == 0 ? (size_t)random() % 100 : i % 4 == 1 ? (size_t)random() % (len / 4096) * 4096 + (size_t)random() % 64 : (size_t)random() % len;
		bit = 1 << random() % 8;
		if (i >= len / 512)
			good[at] ^= (char)bit;
		file_write(path, good, i < len / 512 ? i * 512 : len);
		if (i >= len / 512)
			good[at] ^= (char)bit;
		r = damage_try(dir, path, text);
		n[r]++;
		if (r > 1)
			printf("%s: %s at %zu (bit %d)\n", words[r], i < len / 512 ? "cut" : "flipped", i < len / 512 ? i * 512 : at, bit);
	}
	file_write(path, good, len);
	printf("%zu same, %zu errors, %zu bad\n", n[0], n[1], n[2] + n[3] + n[4] + n[5]);
	free(good);
	free(text);
	return n[1] > n[0] / 2 && n[2] + n[3] + n[4] + n[5] == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *command = argc > 2 ? argv[2] : "";

	if (!strcmp(command, "edit") && argc == 4)
		return edit(argv[1], argv[3]);
	if (!strcmp(command, "add") && argc == 5)
		return add(argv[1], argv[3], atoi(argv[4]));
	if (!strcmp(command, "watch") && argc == 4)
		return watch(argv[1], (size_t)atoi(argv[3]));
	if (!strcmp(command, "count") && argc == 3)
		return count(argv[1]);
	if (!strcmp(command, "dump") && argc == 3)
		return dump(argv[1], stdout) < 0 ? failed("dump") : 0;
	if (!strcmp(command, "damage") && argc == 4)
		return damage(argv[1], (unsigned)atoi(argv[3]));
	fprintf(stderr, "usage: regtool DIR edit MARK|add TAG N|watch N|count|dump|damage SEED\n");
	return 64;
}
