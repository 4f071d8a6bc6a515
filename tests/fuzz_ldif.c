/* LDIF from anybody: what was read, written and read again is the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ldif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *entries_text(const struct dir_entry *e, size_t n, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		abort();
	for (size_t i = 0; i < n; i++)
		if (ldif_write_entry(&e[i], out) < 0)
			abort();
	fclose(out);
	return text;
}

static void same_entry(const struct dir_entry *x, const struct dir_entry *y)
{
	const struct dir_attr *a, *b;

	if (strcmp(x->dn, y->dn) != 0 || x->n_attrs != y->n_attrs)
		abort();
	for (size_t i = 0; i < x->n_attrs; i++) {
		a = &x->attrs[i];
		b = &y->attrs[i];
		if (strcmp(a->name, b->name) != 0 || a->n_values == 0 || a->n_values != b->n_values)
			abort();
		if (entry_attr(x, a->name) != a)
			abort();
		for (size_t k = 0; k < a->n_values; k++)
			if (a->values[k].len != b->values[k].len || a->values[k].p[a->values[k].len] ||
			    memcmp(a->values[k].p, b->values[k].p, a->values[k].len) != 0)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	struct dir_entry *first, *second;
	size_t n, n2, len;
	struct err err;
	char *text;

	if (!a)
		return 0;
	if (ldif_read(&first, &n, a, (const char *)data, size, &err) < 0) {
		if (err.code == ERR_NONE || !err.msg[0])
			abort();
	} else {
		text = entries_text(first, n, &len);
		if (ldif_read(&second, &n2, a, text, len, &err) < 0 || n != n2)
			abort();
		for (size_t i = 0; i < n; i++)
			same_entry(&first[i], &second[i]);
		free(text);
	}
	arena_free(a);
	return 0;
}
