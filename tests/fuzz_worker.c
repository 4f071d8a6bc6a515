/* What a worker wrote: whatever it is, a whole result or an error. */
#include <stdlib.h>
#include <string.h>

#include "agent/worker.h"
#include "schema/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worker_result *r = NULL;
	struct err err = { 0 };

	if (worker_parse(&r, (const char *)data, size, &err) < 0) {
		if (err.code == ERR_NONE || r)
			abort();
		return 0;
	}
	for (size_t i = 0; i < r->n_parts; i++)
		if (strlen(r->parts[i].text) != r->parts[i].len || worker_part(r, r->parts[i].name) != &r->parts[i])
			abort();
	worker_result_free(r);
	return 0;
}
