/* policy_ldif FILE CONTAINER: the directory objects of a policy text, as LDIF. */
#include <stdio.h>
#include <stdlib.h>

#include "gpo/assemble.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ldif.h"
#include "schema/policy.h"

static char text[16 << 20];

int main(int argc, char **argv)
{
	struct dir_entry *entries = NULL;
	struct ipsec_policy *p = NULL;
	struct arena *a = arena_new(0);
	struct err err = { 0 };
	FILE *f = argc == 3 ? fopen(argv[1], "re") : NULL;
	size_t n, len;

	if (!f || !a) {
		fprintf(stderr, "usage: policy_ldif FILE CONTAINER\n");
		return 64;
	}
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	if (policy_read(&p, text, len, &err) < 0 || policy_objects(&entries, &n, a, p, argv[2], &err) < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], err.msg);
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		if (ldif_write_entry(&entries[i], stdout) < 0)
			return 1;
	policy_free(p);
	arena_free(a);
	return fflush(stdout) != 0;
}
