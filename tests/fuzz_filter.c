/* A search filter from anybody: parsed or refused, and matched against entries. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dir_backend.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define V(text)	{ (const uint8_t *)(text), sizeof(text) - 1 }

static struct dir_value classes[] = { V("top"), V("computer"), V("ipsecNFA") };
static struct dir_value cn[] = { V("HOST1"), V("") };
static struct dir_value flags[] = { V("3"), V("-2147483646"), V("x") };
static struct dir_value sids[] = { V("\1\2\0\3"), V("\377") };
static struct dir_value members[] = { V("CN=a,DC=corp"), V("not a name"), V("") };
static struct dir_value category[] = { V("CN=Computer,CN=Schema") };
static struct dir_attr attrs[] = {
	{ "objectClass", classes, 3 }, { "cn", cn, 2 }, { "flags", flags, 3 }, { "objectSid", sids, 2 },
	{ "member", members, 3 }, { "objectCategory", category, 1 }, { "netlogon", sids, 1 },
};
static const struct dir_entry entries[] = {
	{ "CN=HOST1,DC=corp", attrs, 7 }, { "", attrs, 7 }, { "malformed", NULL, 0 },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(64u << 20);
	char *text = a ? arena_strndup(a, (const char *)data, size) : NULL;
	struct dir_filter *f;
	struct err err = { 0 };

	if (!text)
		goto out;
	if (filter_parse(&f, a, text, &err) < 0) {
		if (err.code == ERR_NONE || !*err.msg)
			abort();
		goto out;
	}
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		const char *key = dn_key(a, entries[i].dn);
		int rc = key ? filter_match(f, &entries[i], key, a) : -1;

		/* -1 is for memory alone, and there is plenty. */
		if (rc != 0 && rc != 1)
			abort();
	}
out:
	arena_free(a);
	return 0;
}
