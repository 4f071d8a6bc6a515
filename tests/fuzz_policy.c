/* A text that policy_read takes is what policy_write makes of the policy. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/err.h"
#include "schema/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ipsec_policy *p;
	char *text = NULL;
	struct err err;
	size_t len = 0;
	FILE *f;

	if (policy_read(&p, (const char *)data, size, &err))
		return 0;
	f = open_memstream(&text, &len);
	if (!f || policy_write(p, POLICY_SEALED, f) || fclose(f) || len != size || memcmp(text, data, size))
		abort();
	free(text);
	policy_free(p);
	return 0;
}
