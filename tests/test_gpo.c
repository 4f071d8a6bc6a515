/* Links and their order, security descriptors, the NetLogon answer. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "gpo/netlogon.h"
#include "gpo/sd.h"
#include "gpo/som.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/rd.h"
#include "schema/snapshot.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* ---- gPLink ---- */

/* "dn|flags dn|flags (malformed)", flags d and e. */
static char *links_text(struct arena *a, const char *gplink, size_t len)
{
	struct gp_link *links;
	size_t n, malformed;
	struct err err;
	char *text = arena_strdup(a, "");

	assert_int_equal(gp_link_parse(&links, &n, &malformed, a, gplink, len, &err), 0);
	for (size_t i = 0; i < n; i++)
		text = arena_printf(a, "%s%s|%s%s ", text, links[i].gpo_dn,
		    links[i].disabled ? "d" : "", links[i].enforced ? "e" : "");
	return arena_printf(a, "%s(%zu)", text, malformed);
}

static void test_links(void **state)
{
	static const struct { const char *gplink, *want; } cases[] = {
		{ "", "(0)" },
		{ " ", "(0)" },
		{ "[ ]", "(0)" },
		{ "[]", "(0)" },
		{ "[LDAP://CN=a,DC=x;0]", "CN=a,DC=x| (0)" },
		{ "[ldap://cn=a,dc=x;0][LDAP://CN=b,DC=x;1][LDAP://CN=c,DC=x;2][LDAP://CN=d,DC=x;3]",
		  "cn=a,dc=x| CN=b,DC=x|d CN=c,DC=x|e CN=d,DC=x|de (0)" },
		{ " [ LDAP://CN=a,DC=x ; 2 ] [LDAP://CN=b,DC=x;0] ", "CN=a,DC=x|e CN=b,DC=x| (0)" },
		{ "[LDAP://CN=a,DC=x;4]", "CN=a,DC=x| (0)" },
		{ "[LDAP://CN=a,DC=x;4294967295]", "CN=a,DC=x|de (0)" },
		/* a DN may hold brackets and, escaped, semicolons */
		{ "[LDAP://CN=a\\;0\\],DC=x;2]", "(1)" },
		{ "[LDAP://CN=a\\;0,DC=x;2]", "CN=a\\;0,DC=x|e (0)" },
		{ "[LDAP://CN=a[1],DC=x;2][LDAP://CN=b,DC=x;0]", "CN=a[1],DC=x|e CN=b,DC=x| (0)" },
		{ "[LDAP://CN=a\\5d,DC=x;2]", "CN=a\\5d,DC=x|e (0)" },
		/* what cannot be read takes nothing else with it */
		{ "[LDAP://CN=a,DC=x;0]junk[LDAP://CN=b,DC=x;0]", "CN=a,DC=x| CN=b,DC=x| (1)" },
		{ "[LDAP://CN=a,DC=x][LDAP://CN=b,DC=x;0]", "CN=b,DC=x| (1)" },
		{ "[LDAP://CN=a,DC=x;][LDAP://CN=b,DC=x;0]", "CN=b,DC=x| (1)" },
		{ "[LDAP://CN=a,DC=x;-1][LDAP://CN=b,DC=x;0]", "CN=b,DC=x| (1)" },
		{ "[LDAP://CN=a,DC=x;0x2][LDAP://CN=b,DC=x;0]", "CN=b,DC=x| (1)" },
		{ "[LDAP://CN=a,DC=x;4294967296][LDAP://CN=b,DC=x;0]", "CN=b,DC=x| (1)" },
		{ "[LDAP://;0][LDAP://CN=b,DC=x;0]", "CN=b,DC=x| (1)" },
		{ "[LDAP://a,DC=x;0][LDAP://CN=b,DC=x;0]", "CN=b,DC=x| (1)" },
		{ "[LDAP://CN=a;0][LDAP://CN=b,DC=x;0]", "CN=b,DC=x| (1)" },
		{ "[CN=a,DC=x;0][LDAP://CN=b,DC=x;0]", "CN=b,DC=x| (1)" },
		{ "[LDAP://CN=a,DC=x;0][LDAP://CN=b,DC=x;0", "CN=a,DC=x| (1)" },
		{ "LDAP://CN=a,DC=x;0", "(1)" },
		{ "[[LDAP://CN=a,DC=x;0]", "(1)" },
		{ "[LDAP://CN=a,DC=x;0]]", "CN=a,DC=x| (1)" },
		{ "\\[LDAP://CN=a,DC=x;0]", "CN=a,DC=x| (1)" },
	};
	struct arena *a = arena_new(0);

	(void)state;
	for (size_t i = 0; i < N(cases); i++)
		assert_string_equal(links_text(a, cases[i].gplink, strlen(cases[i].gplink)), cases[i].want);
	assert_string_equal(links_text(a, "[LDAP://CN=a\0b,DC=x;0][LDAP://CN=b,DC=x;0]", 42), "CN=b,DC=x| (1)");
	arena_free(a);
}

static void test_links_limits(void **state)
{
	static const char link[] = "[LDAP://CN=a,DC=x;0]";
	struct arena *a = arena_new(0);
	const size_t n = strlen(link);
	char *text = calloc(GP_LINKS_MAX + 1, n), *long_dn = malloc(GP_DN_MAX + 100);
	struct gp_link *links;
	size_t got, malformed;
	struct err err;

	(void)state;
	for (size_t i = 0; i <= GP_LINKS_MAX; i++)
		memcpy(text + i * n, link, n);
	assert_int_equal(gp_link_parse(&links, &got, &malformed, a, text, GP_LINKS_MAX * n, &err), 0);
	assert_int_equal(got, GP_LINKS_MAX);
	assert_int_equal(gp_link_parse(&links, &got, &malformed, a, text, (GP_LINKS_MAX + 1) * n, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.msg, "gPLink: more than 1000 links");
	sprintf(long_dn, "[LDAP://CN=%0*d,DC=x;0]", GP_DN_MAX, 0);
	assert_string_equal(links_text(a, long_dn, strlen(long_dn)), "(1)");
	free(text);
	free(long_dn);
	arena_free(a);
}

static void test_som_dns(void **state)
{
	struct arena *a = arena_new(0);
	char deep[GP_SOMS_MAX * 5 + 64] = "CN=h,";
	const char **dns;
	struct err err;
	size_t n;

	(void)state;
	assert_int_equal(gp_som_dns(&dns, &n, a, "CN=H,ou=a\\,b,CN=c, OU = d ,DC=x,DC=y", &err), 0);
	assert_int_equal(n, 3);
	assert_string_equal(dns[0], "ou=a\\,b,CN=c, OU = d ,DC=x,DC=y");
	assert_string_equal(dns[1], "OU = d ,DC=x,DC=y");
	assert_string_equal(dns[2], "DC=x,DC=y");
	assert_int_equal(gp_som_dns(&dns, &n, a, "CN=H,CN=Computers,DC=x", &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(gp_som_dns(&dns, &n, a, "CN=H,O=x", &err), -1);
	assert_string_equal(err.msg, "'CN=H,O=x' lies in no domain");
	assert_int_equal(gp_som_dns(&dns, &n, a, "DC=x", &err), -1);
	assert_int_equal(gp_som_dns(&dns, &n, a, "CN=H,,DC=x", &err), -1);
	assert_int_equal(err.code, ERR_FORMAT);
	for (int i = 0; i < GP_SOMS_MAX; i++)
		strcat(deep, "OU=o,");
	strcat(deep, "DC=x");
	assert_int_equal(gp_som_dns(&dns, &n, a, deep, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	arena_free(a);
}

/* ---- order ---- */

/* "A B2 Ce|B": links in string order with their options, after '|' block. */
static void som_make(struct gp_som *som, struct arena *a, const char *text, enum gp_som_type type)
{
	*som = (struct gp_som){ .type = type, .dn = text };
	som->links = arena_zalloc(a, strlen(text), sizeof(*som->links));
	for (; *text && *text != '|'; text++) {
		if (*text >= 'A' && *text <= 'Z')
			som->links[som->n_links++].gpo_dn = arena_strndup(a, text, 1);
		else if (*text == 'e')
			som->links[som->n_links - 1].enforced = true;
		else if (*text == 'd')
			som->links[som->n_links - 1].disabled = true;
	}
	som->block_inheritance = *text == '|';
}

/* Weakest first; '-' behind what does not count. */
static char *rank_text(struct arena *a, const struct gp_som *soms, size_t n_soms)
{
	struct gp_ranked *ranked;
	struct err err;
	size_t n;
	char *text = arena_strdup(a, "");

	assert_int_equal(gp_links_rank(&ranked, &n, a, soms, n_soms, &err), 0);
	for (size_t i = 0; i < n; i++)
		text = arena_printf(a, "%s%s%s", text, ranked[i].link->gpo_dn,
		    ranked[i].link->disabled || ranked[i].blocked_by ? "-" : "");
	return text;
}

static void test_order(void **state)
{
	/* OU, parent OU, grandparent OU, domain, site */
	static const struct { const char *soms[5], *want; } cases[] = {
		{ { "B", "", "", "A", "" }, "AB" },			/* the nearer wins */
		{ { "B", "", "", "Ae", "" }, "BA" },			/* enforced beats nearer */
		{ { "Be", "", "", "Ae", "" }, "BA" },			/* both: the higher level */
		{ { "B|", "", "", "A", "" }, "A-B" },			/* blocked */
		{ { "B|", "", "", "Ae", "" }, "BA" },			/* enforced is never blocked */
		{ { "AB", "", "", "", "" }, "AB" },			/* last of the string wins */
		{ { "AeB", "", "", "", "" }, "BA" },
		{ { "AeBe", "", "", "", "" }, "AB" },
		{ { "C|", "Pe", "Ge", "", "" }, "CPG" },
		{ { "", "", "", "A|", "S" }, "S-A" },			/* block on the domain drops the site */
		{ { "", "", "", "A", "S|" }, "SA" },			/* block on the site drops nothing */
		{ { "A|", "", "", "", "Se" }, "AS" },
		{ { "A", "B", "C", "D", "S" }, "SDCBA" },		/* the whole chain */
		{ { "Ae", "Be", "Ce", "De", "Se" }, "ABCDS" },
		{ { "A", "|", "C", "D", "S" }, "S-D-C-A" },		/* a container without links blocks too */
		{ { "AdB", "", "", "C", "" }, "CA-B" },			/* disabled keep their place */
		{ { "Ade", "", "", "C", "" }, "CA-" },			/* disabled wins over enforced */
		{ { "ABA", "", "", "", "" }, "ABA" },			/* linked twice */
		{ { "", "", "", "", "" }, "" },
	};
	struct arena *a = arena_new(0);
	struct gp_som soms[5];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		for (int j = 0; j < 5; j++)
			som_make(&soms[j], a, cases[i].soms[j], j < 3 ? GP_SOM_OU : j == 3 ? GP_SOM_DOMAIN : GP_SOM_SITE);
		assert_string_equal(rank_text(a, soms, 5), cases[i].want);
	}
	arena_free(a);
}

/* The walk up the tree, with lists that grow at either end. */
static char *order_by_lists(struct arena *a, const struct gp_som *soms, size_t n)
{
	char *normal = arena_strdup(a, ""), *enforced = arena_strdup(a, "");
	bool blocked = false;

	for (size_t i = 0; i < n; i++) {
		char *level_n = arena_strdup(a, ""), *level_e = arena_strdup(a, "");

		for (size_t j = 0; j < soms[i].n_links; j++) {
			const struct gp_link *l = &soms[i].links[j];

			if (l->disabled)
				continue;
			if (l->enforced)
				level_e = arena_printf(a, "%s%s", level_e, l->gpo_dn);
			else if (!blocked)
				level_n = arena_printf(a, "%s%s", level_n, l->gpo_dn);
		}
		normal = arena_printf(a, "%s%s", level_n, normal);
		enforced = arena_printf(a, "%s%s", enforced, level_e);
		if (soms[i].block_inheritance)
			blocked = true;
	}
	return arena_printf(a, "%s%s", normal, enforced);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

static void test_order_random(void **state)
{
	static const char *const options[] = { "", "", "", "e", "e", "d", "de" };
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct arena *a = arena_new(0);
		size_t n = 1 + next_random(&seed) % 6;
		struct gp_som soms[6];
		char *ranked, *got, *out;

		for (size_t i = 0; i < n; i++) {
			char text[64] = "";

			for (uint32_t k = next_random(&seed) % 4; k > 0; k--)
				sprintf(text + strlen(text), "%c%s", (char)('A' + next_random(&seed) % 26),
				    options[next_random(&seed) % N(options)]);
			if (next_random(&seed) % 4 == 0)
				strcat(text, "|");
			som_make(&soms[i], a, arena_strdup(a, text), GP_SOM_OU);
		}
		ranked = rank_text(a, soms, n);
		for (got = out = ranked; *got; got++) {
			if (got[1] == '-')	/* what does not count goes */
				got++;
			else
				*out++ = *got;
		}
		*out = '\0';
		assert_string_equal(ranked, order_by_lists(a, soms, n));
		arena_free(a);
	}
}

/* ---- security descriptors ---- */

#define AGP	"8ffdaced b3ffd111 b41d00a0 c968f939"	/* Apply-Group-Policy, as stored */
#define OTHER	"00112233 44556677 8899aabb ccddeeff"
#define SID_AU	"01010000 00000005 0b000000"
#define SID_SY	"01010000 00000005 12000000"
#define SID_DC	"01050000 00000005 15000000 01000000 02000000 03000000 03020000"
#define CR	"00010000"	/* control access */
#define HEAD	"01000480 00000000 00000000 00000000 14000000 "

static size_t unhex(uint8_t *out, const char *hex)
{
	size_t n = 0;
	unsigned v;

	for (; *hex; hex++) {
		if (*hex == ' ')
			continue;
		assert_int_equal(sscanf(hex, "%2x", &v), 1);
		out[n++] = (uint8_t)v;
		hex++;
	}
	return n;
}

static int judge(bool *ret, const uint8_t *p, size_t len, struct err *err)
{
	struct sid token[2];
	struct dir_value v = { NULL, len };
	uint8_t *exact = malloc(len ? len : 1);	/* so that a read behind the end is seen */
	int r;

	assert_true(sid_read(&token[0], "S-1-5-11"));
	assert_true(sid_read(&token[1], "S-1-5-21-1-2-3-515"));
	memcpy(exact, p, len);
	v.p = exact;
	r = sd_may_apply(ret, &v, token, 2, err);
	free(exact);
	return r;
}

static void test_sd(void **state)
{
	static const struct { const char *hex; bool want; } cases[] = {
		/* no DACL: not present, or present and NULL */
		{ "01000080 00000000 00000000 00000000 00000000", true },
		{ "01000480 00000000 00000000 00000000 00000000", true },
		{ HEAD "0200 0800 0000 0000", false },				/* empty */
		{ HEAD "0400 3000 0100 0000" "0500 2800" CR "01000000" AGP SID_AU, true },
		{ HEAD "0400 3000 0100 0000" "0500 2800" CR "01000000" AGP SID_SY, false },
		{ HEAD "0400 4000 0100 0000" "0500 3800" CR "01000000" AGP SID_DC, true },
		{ HEAD "0400 3000 0100 0000" "0500 2800" CR "01000000" OTHER SID_AU, false },
		{ HEAD "0400 3000 0100 0000" "0500 2800" "10000000" "01000000" AGP SID_AU, false },	/* read property */
		{ HEAD "0400 3000 0100 0000" "0508 2800" CR "01000000" AGP SID_AU, false },	/* inherit only */
		{ HEAD "0400 3000 0100 0000" "0502 2800" CR "01000000" AGP SID_AU, true },	/* container inherit */
		{ HEAD "0400 2000 0100 0000" "0500 1800" CR "00000000" SID_AU, true },		/* every right */
		{ HEAD "0400 4000 0100 0000" "0500 3800" CR "03000000" AGP OTHER SID_AU, true },
		{ HEAD "0400 3000 0100 0000" "0500 2800" CR "02000000" OTHER SID_AU, true },	/* only inherited type */
		/* plain ACEs */
		{ HEAD "0200 1c00 0100 0000" "0000 1400" CR SID_AU, true },
		{ HEAD "0200 1c00 0100 0000" "0000 1400" "ff000f00" SID_AU, false },		/* all but the right */
		{ HEAD "0200 1c00 0100 0000" "0000 1400" "00000010" SID_AU, true },		/* generic all */
		/* the first that decides */
		{ HEAD "0400 5800 0200 0000" "0600 2800" CR "01000000" AGP SID_AU
		  "0500 2800" CR "01000000" AGP SID_AU, false },
		{ HEAD "0400 5800 0200 0000" "0500 2800" CR "01000000" AGP SID_AU
		  "0600 2800" CR "01000000" AGP SID_AU, true },
		{ HEAD "0400 4400 0200 0000" "0100 1400" CR SID_AU
		  "0500 2800" CR "01000000" AGP SID_AU, false },
		{ HEAD "0400 4400 0200 0000" "0100 1400" CR SID_SY
		  "0500 2800" CR "01000000" AGP SID_AU, true },
		{ HEAD "0400 4400 0200 0000" "0108 1400" CR SID_AU
		  "0500 2800" CR "01000000" AGP SID_AU, true },
		/* other types are passed over, whatever they hold */
		{ HEAD "0400 3800 0200 0000" "1100 0800 ffffffff" "0500 2800" CR "01000000" AGP SID_AU, true },
		/* padding behind the SID, bytes behind the list */
		{ HEAD "0200 2000 0100 0000" "0000 1800" CR SID_AU "00000000", true },
		{ HEAD "0200 2400 0100 0000" "0000 1400" CR SID_AU "00000000 00000000", true },
	};
	uint8_t buf[256];
	struct err err;
	bool got;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		got = !cases[i].want;
		if (judge(&got, buf, unhex(buf, cases[i].hex), &err) < 0)
			fail_msg("case %zu: %s", i, err.msg);
		assert_int_equal(got, cases[i].want);
	}
}

static void test_sd_bad(void **state)
{
	static const struct { const char *hex, *want; } cases[] = {
		{ "", "security descriptor: 0 bytes are too few" },
		{ "02000480 00000000 00000000 00000000 14000000", "security descriptor: not self-relative of revision 1" },
		{ "01000400 00000000 00000000 00000000 14000000", "security descriptor: not self-relative of revision 1" },
		{ "01000480 00000000 00000000 00000000 15000000", "security descriptor: DACL at 21 of 20 bytes" },
		{ "01000480 00000000 00000000 00000000 ffffffff", "security descriptor: DACL at 4294967295 of 20 bytes" },
		{ "01000480 00000000 00000000 00000000 04000000", "security descriptor: DACL at 4 of 20 bytes" },
		{ HEAD "0100 0800 0000 0000", "security descriptor: DACL: cut short, or not of revision 2 to 4" },
		{ HEAD "0200 0700 0000 0000", "security descriptor: DACL: size 7 does not fit" },
		{ HEAD "0200 0900 0000 0000", "security descriptor: DACL: size 9 does not fit" },
		{ HEAD "0200 0800 0100 0000", "security descriptor: DACL: ACE 1 of 1: its size does not fit" },
		{ HEAD "0200 1c00 0100 0000" "0000 1600" CR SID_AU, "security descriptor: DACL: ACE 1 of 1: its size does not fit" },
		{ HEAD "0200 1c00 0100 0000" "0000 1800" CR SID_AU, "security descriptor: DACL: ACE 1 of 1: its size does not fit" },
		{ HEAD "0200 1c00 0100 0000" "0000 0000" CR SID_AU, "security descriptor: DACL: ACE 1 of 1: its size does not fit" },
		{ HEAD "0200 1c00 0100 0000" "0000 1000" CR SID_AU,
		  "security descriptor: DACL: ACE 1 of 1: its SID is cut short or malformed" },
		{ HEAD "0200 1c00 0100 0000" "0000 1400" CR "01020000 00000005 0b000000",
		  "security descriptor: DACL: ACE 1 of 1: its SID is cut short or malformed" },
		{ HEAD "0200 1c00 0100 0000" "0000 1400" CR "02010000 00000005 0b000000",
		  "security descriptor: DACL: ACE 1 of 1: its SID is cut short or malformed" },
		/* also behind the one that decides */
		{ HEAD "0200 2000 0200 0000" "0000 1400" CR SID_AU "0000 0400",
		  "security descriptor: DACL: ACE 2 of 2: its SID is cut short or malformed" },
	};
	uint8_t buf[256];
	struct err err;
	bool got;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(judge(&got, buf, unhex(buf, cases[i].hex), &err), -1);
		assert_int_equal(err.code, ERR_FORMAT);
		assert_string_equal(err.msg, cases[i].want);
	}
}

static void test_sd_truncated(void **state)
{
	uint8_t buf[256];
	size_t n = unhex(buf, HEAD "0400 5800 0200 0000" "0600 2800" CR "01000000" AGP SID_SY
	    "0500 2800" CR "01000000" AGP SID_AU);
	struct err err;
	bool got;

	(void)state;
	assert_int_equal(judge(&got, buf, n, &err), 0);
	for (size_t len = 0; len < n; len++)
		assert_int_equal(judge(&got, buf, len, &err), -1);
}

/* ---- NetLogon ---- */

#define NL_HEAD	"1700 0000 fd330000 00112233445566778899aabbccddeeff "
#define NL_TAIL	" 05000000 ffff ffff"
/* 24 "corp.example", 38 the same, 40 "dc1" and it, 46 "CORP", 52 "DC1", 57 "", 58 "Branch", 66 the same */
#define NL_NAMES "04636f7270 076578616d706c65 00 c018 03646331c018 04434f525000 0344433100 00 064272616e636800 c03a"

static int parse(struct netlogon *nl, struct arena *a, const char *hex, size_t cut, struct err *err)
{
	uint8_t buf[512], *exact;
	size_t n = unhex(buf, hex);
	struct dir_value v;
	int r;

	n = cut < n ? cut : n;
	exact = malloc(n ? n : 1);
	memcpy(exact, buf, n);
	v = (struct dir_value){ exact, n };
	r = netlogon_parse(nl, a, &v, err);
	free(exact);
	return r;
}

static void test_netlogon(void **state)
{
	struct arena *a = arena_new(0);
	char guid[GUID_TEXT];
	struct netlogon nl;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(parse(&nl, a, NL_HEAD NL_NAMES NL_TAIL, 999, &err), 0);
	assert_int_equal(nl.opcode, NETLOGON_OK);
	assert_int_equal(nl.flags, 0x33fd);
	guid_text(&nl.domain_guid, guid);
	assert_string_equal(guid, "{33221100-5544-7766-8899-aabbccddeeff}");
	assert_string_equal(nl.forest, "corp.example");
	assert_string_equal(nl.domain, "corp.example");
	assert_string_equal(nl.host, "dc1.corp.example");
	assert_string_equal(nl.dc_site, "Branch");
	assert_string_equal(nl.client_site, "Branch");
	/* with address and next closest site, no client site */
	assert_int_equal(parse(&nl, a, NL_HEAD "00 00 00 00 00 00 00 00"
	    "10 0200 0000 0a4d0001 0000000000000000" "0378797a00" "1d000000 ffffffff", 999, &err), 0);
	assert_string_equal(nl.client_site, "");
	arena_free(a);
}

static void test_netlogon_bad(void **state)
{
	static const struct { const char *hex, *want; } cases[] = {
		{ NL_HEAD NL_NAMES " 05000000 ffff 0000", "not the extended form (NtVersion 0x5)" },
		{ NL_HEAD NL_NAMES " 03000000 ffff ffff", "not the extended form (NtVersion 0x3)" },
		{ NL_HEAD NL_NAMES "00" NL_TAIL, "1 bytes too many" },
		{ NL_HEAD NL_NAMES " 15000000 ffff ffff", "next closest site: name is cut short" },
		{ NL_HEAD NL_NAMES " 0d000000 ffff ffff", "address is cut short" },
		{ NL_HEAD NL_NAMES "05 00 0d000000 ffff ffff", "address is cut short" },
		/* pointers: to itself, forward, into the header, in a circle */
		{ NL_HEAD "c018 00000000000000" NL_TAIL, "forest: pointer at 24 does not lead back to a name" },
		{ NL_HEAD "c01a 00000000000000" NL_TAIL, "forest: pointer at 24 does not lead back to a name" },
		{ NL_HEAD "c000 00000000000000" NL_TAIL, "forest: pointer at 24 does not lead back to a name" },
		{ NL_HEAD "00 0161c019 000000000000" NL_TAIL, "domain: pointer at 27 does not lead back to a name" },
		{ NL_HEAD "00 ffff 000000000000" NL_TAIL, "domain: pointer at 25 does not lead back to a name" },
		{ NL_HEAD "4161 00000000000000" NL_TAIL, "forest: label at 24 is of an unknown kind" },
		{ NL_HEAD "01 00 00000000000000000000" NL_TAIL, "forest: label at 24 holds a control character" },
		{ NL_HEAD "01 0a 00000000000000000000" NL_TAIL, "forest: label at 24 holds a control character" },
		{ NL_HEAD "01 ff 00000000000000000000" NL_TAIL, "forest: name is not UTF-8" },
		{ NL_HEAD "3f 6161" NL_TAIL, "forest: label at 24 is cut short" },
		{ NL_HEAD "c0" NL_TAIL, "forest: name is cut short" },
	};
	struct arena *a = arena_new(0);
	struct netlogon nl;
	struct err err;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(parse(&nl, a, cases[i].hex, 999, &err), -1);
		assert_int_equal(err.code, ERR_FORMAT);
		assert_string_equal(err.msg, cases[i].want);
	}
	arena_free(a);
}

static void test_netlogon_truncated(void **state)
{
	struct arena *a = arena_new(0);
	uint8_t buf[512];
	size_t n = unhex(buf, NL_HEAD NL_NAMES NL_TAIL);
	struct netlogon nl;
	struct err err;

	(void)state;
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(parse(&nl, a, NL_HEAD NL_NAMES NL_TAIL, cut, &err), -1);
	arena_free(a);
}

/* A name that is put together by ever more pointers, and one that grows too long. */
static void test_netlogon_long(void **state)
{
	char hex[4096] = NL_HEAD, label[160] = "3f";
	struct arena *a = arena_new(0);
	struct netlogon nl;
	struct err err;

	(void)state;
	strcat(hex, "016100");
	for (int i = 0; i < 7; i++)	/* each name one label and the name before it */
		sprintf(hex + strlen(hex), "0162c0%02x", i == 0 ? 24 : 27 + 4 * (i - 1));
	strcat(hex, NL_TAIL);
	assert_int_equal(parse(&nl, a, hex, 999, &err), 0);
	assert_string_equal(nl.client_site, "b.b.b.b.b.b.b.a");
	strcpy(hex, NL_HEAD);
	for (int i = 0; i < 63; i++)
		strcat(label, "61");
	for (int i = 0; i < 5; i++)
		strcat(hex, label);
	strcat(hex, "00" NL_TAIL);
	assert_int_equal(parse(&nl, a, hex, 999, &err), -1);
	assert_string_equal(err.msg, "forest: name is longer than 255 bytes");
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links), cmocka_unit_test(test_links_limits),
		cmocka_unit_test(test_som_dns),
		cmocka_unit_test(test_order), cmocka_unit_test(test_order_random),
		cmocka_unit_test(test_sd), cmocka_unit_test(test_sd_bad), cmocka_unit_test(test_sd_truncated),
		cmocka_unit_test(test_netlogon), cmocka_unit_test(test_netlogon_bad),
		cmocka_unit_test(test_netlogon_truncated), cmocka_unit_test(test_netlogon_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
