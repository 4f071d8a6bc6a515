/* gPLink: whatever was understood can be written down and is understood again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gpo/som.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(struct arena *a, const struct gp_link *link)
{
	const char *text = arena_printf(a, "[LDAP://%s;%d]", link->gpo_dn, link->disabled + 2 * link->enforced);
	struct gp_link *links;
	size_t n, malformed;
	struct err err;

	if (!dn_valid(link->gpo_dn) || !dn_domain(link->gpo_dn) || strlen(link->gpo_dn) > GP_DN_MAX)
		__builtin_trap();
	if (gp_link_parse(&links, &n, &malformed, a, text, strlen(text), &err) < 0 || n != 1 || malformed ||
	    strcmp(links[0].gpo_dn, link->gpo_dn) || links[0].disabled != link->disabled ||
	    links[0].enforced != link->enforced)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	struct gp_link *links;
	size_t n, malformed;
	struct err err;

	if (!a)
		return 0;
	if (gp_link_parse(&links, &n, &malformed, a, (const char *)data, size, &err) == 0)
		for (size_t i = 0; i < n; i++)
			again(a, &links[i]);
	else if (err.code != ERR_LIMIT)
		__builtin_trap();
	arena_free(a);
	return 0;
}
