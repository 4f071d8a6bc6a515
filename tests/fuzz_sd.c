/* Security descriptors from the directory. */
#include <stddef.h>
#include <stdint.h>

#include "gpo/sd.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sid token[] = {
		{ { 0, 0, 0, 0, 0, 1 }, 1, { 0 } },
		{ { 0, 0, 0, 0, 0, 5 }, 1, { 11 } },
		{ { 0, 0, 0, 0, 0, 5 }, 5, { 21, 1, 2, 3, 515 } },
	};
	const struct dir_value v = { data, size };
	struct err err;
	bool with, without;

	if (sd_may_apply(&with, &v, token, 3, &err) < 0) {
		if (err.code != ERR_FORMAT)
			__builtin_trap();
		return 0;
	}
	/* Whether it is well formed does not depend on who asks; nobody is granted
	 * something only where there is no list. */
	if (sd_may_apply(&without, &v, token, 0, &err) < 0 || (without && !with))
		__builtin_trap();
	return 0;
}
