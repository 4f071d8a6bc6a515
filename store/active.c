#include "store/active.h"

#include <string.h>
#include <stdlib.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "store/store.h"

/* "CODE MESSAGE" */
static void problem_read(struct err *ret, const char *text)
{
	size_t n = strcspn(text, " ");
	char word[32] = "";
	enum err_code code;

	if (n < sizeof(word))
		memcpy(word, text, n);
	code = err_code_parse(word);
	err_set(ret, code == ERR_NONE ? ERR_FORMAT : code, "%s", text + n + (text[n] == ' '));
}

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
		if (found == 1)
			problem_read(unusable, (const char *)v.p);
		rc = found < 0 ? -1 : 0;
	}
out:
	arena_free(a);
	return rc;
}
