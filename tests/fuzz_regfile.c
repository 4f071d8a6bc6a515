/* Registry files from anybody: what was read, written (both ways) and read again is the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "store/regfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_key(const struct reg_key *x, const struct reg_key *y)
{
	if (strcmp(x->path, y->path) != 0 || x->deleted != y->deleted || x->n_values != y->n_values || x->n_gone != y->n_gone)
		abort();
	for (size_t i = 0; i < x->n_gone; i++)
		if (strcmp(x->gone[i], y->gone[i]) != 0)
			abort();
	for (size_t i = 0; i < x->n_values; i++) {
		const struct reg_value *a = &x->values[i], *b = &y->values[i];

		if (strcmp(a->name, b->name) != 0 || a->type != b->type || a->len != b->len || a->p[a->len] ||
		    memcmp(a->p, b->p, a->len) != 0)
			abort();
	}
}

static void again(const struct reg_key *keys, size_t n, enum regfile_encoding encoding, struct arena *a)
{
	struct reg_key *second;
	struct err err = { 0 };
	char *text = NULL;
	size_t len = 0, n2;
	FILE *out = open_memstream(&text, &len);

	if (!out || regfile_write(keys, n, encoding, out) < 0)
		abort();
	fclose(out);
	if (regfile_parse(&second, &n2, a, text, len, &err) < 0 || n != n2)
		abort();
	for (size_t i = 0; i < n; i++)
		same_key(&keys[i], &second[i]);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	struct reg_key *keys;
	struct err err = { 0 };
	size_t n;

	if (!a)
		return 0;
	if (regfile_parse(&keys, &n, a, (const char *)data, size, &err) < 0) {
		if (err.code == ERR_NONE || strncmp(err.msg, "line ", 5))
			abort();
	} else {
		again(keys, n, REGFILE_UTF16, a);
		again(keys, n, REGFILE_UTF8, a);
	}
	arena_free(a);
	return 0;
}
