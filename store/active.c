#include "store/active.h"

#include <string.h>
#include <stdlib.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "store/store.h"

int active_read(char **ret, struct err *unusable, struct store *s, const char *key, struct err *err)
{
	const char *name = strrchr(key, '\\') + 1;
	struct arena *a = arena_new(0);
	char *problem = a ? arena_printf(a, "%s problem", name) : NULL;
	struct reg_value v;
	int found = -1, rc = -1;

	*ret = NULL;
	if (!problem) {
		err_nomem(err);
		goto out;
	}
	found = reg_get(s, REG_ACTIVE, name, &v, a, err);
	if (found == 1) {
		*ret = strndup((const char *)v.p, v.len);
		rc = *ret ? 0 : err_nomem(err);
	} else if (found == 0) {
		found = reg_get(s, REG_ACTIVE, problem, &v, a, err);
		if (found == 1 && !err_read(unusable, (const char *)v.p))
			err_set(unusable, ERR_FORMAT, "%s", (const char *)v.p);
		rc = found < 0 ? -1 : 0;
	}
out:
	arena_free(a);
	return rc;
}
