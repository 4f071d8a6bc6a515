/* Names from the directory: two NUL-terminated texts; the same bytes also as SID. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ident.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEED	0x1234567

static void check(bool ok)
{
	if (!ok)
		abort();
}

static bool within(const char *part, const char *whole)
{
	return !part || (part >= whole && part <= whole + strlen(whole));
}

static void check_dn(struct arena *a, const char *dn)
{
	char *key = dn_key(a, dn), *domain, *back;
	const char *parent = dn_parent(dn);

	check(key && strcmp(dn_key(a, key), key) == 0);
	check(dn_equal(dn, key) && dn_equal(key, dn) && dn_equal(dn, dn));
	check(dn_hash(dn, SEED) == dn_hash(key, SEED));
	check(dn_valid(dn) == dn_valid(key) && (dn_valid(dn) || strcmp(dn, key) == 0));
	check(within(parent, dn) && within(dn_domain(dn), dn));
	check(dn_below(dn, dn));
	if (dn_valid(dn)) {
		check(dn_below(dn, ""));
		check(!parent || (dn_valid(parent) && dn_below(dn, parent) && !dn_below(parent, dn)));
		check(!dn_parent(key) == !parent && (!parent || dn_equal(parent, dn_parent(key))));
	}
	dn_rdn_value(a, dn, "CN");
	domain = dn_to_domain(a, dn);
	if (domain && dn_valid(dn)) {
		back = dn_from_domain(a, domain);
		check(back && dn_equal(back, dn_domain(dn)));
	}
	back = dn_from_domain(a, dn);
	check(!back || (dn_valid(back) && dn_to_domain(a, back)));
}

static void check_pair(struct arena *a, const char *x, const char *y)
{
	bool same = strcmp(dn_key(a, x), dn_key(a, y)) == 0;

	check(dn_equal(x, y) == same && dn_equal(y, x) == same);
	check(!same || (dn_below(x, y) && dn_below(y, x)));
	check(!(dn_below(x, y) && dn_below(y, x)) || same);
}

static void check_ids(const uint8_t *data, size_t size, const char *text)
{
	char out[SID_TEXT], printed[GUID_TEXT];
	struct guid g, h;
	struct sid s, t;

	if (sid_parse(&s, data, size)) {
		sid_text(&s, out);
		check(strlen(out) < sizeof(out) && sid_read(&t, out) && sid_equal(&s, &t));
	}
	if (sid_read(&s, text)) {
		sid_text(&s, out);
		check(sid_read(&t, out) && sid_equal(&s, &t));
	}
	if (guid_parse(&g, (const char *)data, size)) {
		guid_text(&g, printed);
		check(guid_parse(&h, printed, strlen(printed)) && guid_cmp(&g, &h) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	char *x, *y;

	if (!a)
		return 0;
	x = arena_strndup(a, (const char *)data, size);
	y = nul ? arena_strndup(a, (const char *)nul + 1, (size_t)(data + size - nul - 1)) : arena_strdup(a, "");
	if (x && y) {
		check_dn(a, x);
		check_dn(a, y);
		check_pair(a, x, y);
		check_ids(data, size, x);
	}
	arena_free(a);
	return 0;
}
