/* What a worker finds in its memory: whatever it is, a memory or an error. */
#include <stdint.h>
#include <stdlib.h>

#include "gpo/memory.h"
#include "schema/arena.h"
#include "schema/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	struct gp_memory *m = NULL;
	struct err err = { 0 };

	if (gp_memory_read(&m, a, (const char *)data, size, &err) < 0 && (err.code == ERR_NONE || m))
		abort();
	arena_free(a);
	return 0;
}
