/* The answer to the NetLogon ping. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gpo/netlogon.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/snapshot.h"
#include "schema/utf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *name)
{
	if (strlen(name) > 255 || !utf8_valid(name))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct dir_value v = { data, size };
	struct arena *a = arena_new(0);
	struct netlogon nl;
	struct err err;

	if (!a)
		return 0;
	if (netlogon_parse(&nl, a, &v, &err) == 0) {
		check(nl.forest);
		check(nl.domain);
		check(nl.host);
		check(nl.dc_site);
		check(nl.client_site);
	} else if (err.code != ERR_FORMAT) {
		__builtin_trap();
	}
	arena_free(a);
	return 0;
}
