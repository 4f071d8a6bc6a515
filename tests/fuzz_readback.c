/* Kernel dump messages of any shape: a ruleset or an error, and the ruleset prints. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nft/readback.h"
#include "nft/ruleset.h"
#include "schema/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *aligned = malloc(size + 1);
	struct ruleset *r = NULL;
	char *text = NULL;
	size_t len;
	struct err err;
	FILE *out;

	if (!aligned)
		return 0;
	memcpy(aligned, data, size);
	if (readback_parse(&r, aligned, size, &err) == 0 && r) {
		out = open_memstream(&text, &len);
		if (out) {
			ruleset_write(r, out);
			if (ruleset_diff(r, r, out))
				abort();
			ruleset_diff(NULL, r, out);
			fclose(out);
		}
		free(text);
	}
	ruleset_free(r);
	free(aligned);
	return 0;
}
