/* Host facts from a file or the pipe: what was read and written reads back equal. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/err.h"
#include "schema/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *facts_text(const struct host_facts *f, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out || facts_write(f, out) < 0)
		abort();
	fclose(out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host_facts *f, *g;
	size_t len, len2;
	struct err err;
	char *text, *text2;

	if (facts_read(&f, (const char *)data, size, &err) < 0) {
		if (strncmp(err.msg, "line ", 5) != 0)
			abort();
		return 0;
	}
	for (int k = 0; k < N_FACTS; k++)
		for (size_t i = 1; i < f->n_addrs[k]; i++)
			if (ip_addr_cmp(&f->addrs[k][i - 1], &f->addrs[k][i]) >= 0)
				abort();
	text = facts_text(f, &len);
	if (facts_read(&g, text, len, &err) < 0 || !facts_equal(f, g))
		abort();
	text2 = facts_text(g, &len2);
	if (len != len2 || memcmp(text, text2, len) != 0)
		abort();
	free(text);
	free(text2);
	facts_free(f);
	facts_free(g);
	return 0;
}
