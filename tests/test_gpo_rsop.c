/* What the answers of a directory come to: verdicts, assignment, their texts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "gpo_world.h"
#include "schema/arena.h"
#include "schema/err.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct gp_subject host1 = { .computer = "HOST1$" };

/* ---- helpers ---- */

/* The example, changed by change(), for host1. */
static void expect(bool ad, void (*change)(struct world *w), const char *want)
{
	struct world *w = world_example(ad);
	struct err err;

	change(w);
	assert_string_equal(world_summary(w, &host1, false, &err), want);
	world_free(w);
}

static void expect_both(void (*change)(struct world *w), const char *want)
{
	expect(true, change, want);
	expect(false, change, want);
}

/* ---- texts ---- */

static void test_text(void **state)
{
	static const char want[] =
	    "Computer  HOST1$  CN=HOST1,OU=Web,OU=Servers,DC=corp,DC=example\n"
	    "Domain    corp.example\n"
	    "Site      Branch (configured)\n"
	    "Token     4 SIDs (rootDSE)\n"
	    "\n"
	    "Containers above the computer, nearest first:\n"
	    "  ou      OU=Web,OU=Servers,DC=corp,DC=example  (1 link, blocks inheritance)\n"
	    "  ou      OU=Servers,DC=corp,DC=example  (1 link)\n"
	    "  domain  DC=corp,DC=example  (1 link, 1 malformed left out)\n"
	    "  site    CN=Branch,CN=Sites,CN=Configuration,DC=corp,DC=example  (1 link)\n"
	    "\n"
	    "Linked GPOs, strongest first; the first that applies assigns the policy:\n"
	    "=> applies             'gpo 1' {aaaaaaaa-0000-0000-0000-000000000001}\n"
	    "                       linked and enforced at DC=corp,DC=example\n"
	    "   not-found           {aaaaaaaa-0000-0000-0000-000000000009}\n"
	    "                       linked at OU=Web,OU=Servers,DC=corp,DC=example\n"
	    "   blocked             'gpo 2' {aaaaaaaa-0000-0000-0000-000000000002}\n"
	    "                       linked at OU=Servers,DC=corp,DC=example\n"
	    "                       inheritance ends at 'OU=Web,OU=Servers,DC=corp,DC=example'\n"
	    "   blocked             'gpo 3' {aaaaaaaa-0000-0000-0000-000000000003}\n"
	    "                       linked at CN=Branch,CN=Sites,CN=Configuration,DC=corp,DC=example\n"
	    "                       inheritance ends at 'OU=Web,OU=Servers,DC=corp,DC=example'\n"
	    "\n"
	    "Assigned: policy 'domain policy' {72385230-70fa-11d1-864c-14a300000001}"
	    " by GPO 'gpo 1' {aaaaaaaa-0000-0000-0000-000000000001}\n";
	struct world *w = world_example(true);
	struct gp_subject who = host1;
	struct err err;
	char *text;

	(void)state;
	who.site = "Branch";
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPOptions", "1");
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPLink", W_LINK("9", "0"));
	world_set(w, W_BASE, "gPLink", "[nonsense]" W_LINK("1", "2"));
	text = world_rsop(w, &who, false, &err);
	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
	world_free(w);
}

static void test_text_hostile(void **state)
{
	struct world *w = world_example(true);
	struct err err;
	char *text;

	(void)state;
	world_set(w, W_GPO("2"), "displayName", "a\nAssigned: x\x1b[2J\xff\xc3\xa4\xe2\x80\xae");
	text = world_rsop(w, &host1, false, &err);
	assert_non_null(strstr(text, "'a\\x0aAssigned: x\\x1b[2J\\xff\xc3\xa4\\xe2\\x80\\xae'"));
	free(text);
	world_free(w);
}

static void test_json(void **state)
{
	static const char want[] = "{\"computer\":\"HOST1$\","
	    "\"computer_dn\":\"CN=HOST1,OU=Web,OU=Servers,DC=corp,DC=example\",\"domain\":\"corp.example\","
	    "\"site\":\"\",\"site_from\":\"\",\"site_note\":\"\",\"token_from\":\"rootDSE\",\"assignment\":\"assigned\",\"reason\":\"\","
	    "\"policy\":{\"dn\":\"CN=ipsecPolicy{72385230-70FA-11D1-864C-14A300000001},CN=IP Security,CN=System,DC=corp,DC=example\","
	    "\"id\":\"{72385230-70fa-11d1-864c-14a300000001}\",\"name\":\"domain policy\"},"
	    "\"winner\":\"{aaaaaaaa-0000-0000-0000-000000000001}\",\"soms\":["
	    "{\"dn\":\"OU=Web,OU=Servers,DC=corp,DC=example\",\"type\":\"ou\",\"block_inheritance\":false,\"malformed_links\":0},"
	    "{\"dn\":\"OU=Servers,DC=corp,DC=example\",\"type\":\"ou\",\"block_inheritance\":false,\"malformed_links\":0},"
	    "{\"dn\":\"DC=corp,DC=example\",\"type\":\"domain\",\"block_inheritance\":false,\"malformed_links\":0}],"
	    "\"gpos\":[{\"id\":\"{aaaaaaaa-0000-0000-0000-000000000001}\","
	    "\"dn\":\"cn={aaaaaaaa-0000-0000-0000-000000000001},cn=policies,cn=system,DC=corp,DC=example\","
	    "\"name\":\"g\xef\xbf\xbd 1\\n\",\"som\":\"DC=corp,DC=example\",\"som_type\":\"domain\",\"enforced\":false,"
	    "\"verdict\":\"applies\",\"note\":\"\"}]}";
	const struct gp_options o = { 0 };
	struct world *w = world_example(true);
	struct gp_rsop *r;
	struct err err;
	json_t *json;
	char *text;

	(void)state;
	world_set(w, "OU=Servers," W_BASE, "gPLink", NULL);
	world_set(w, W_GPO("1"), "displayName", "g\xff 1\n");
	assert_int_equal(world_run(w, &host1, &err), 0);
	assert_int_equal(gp_resolve(&r, w->snapshot, &host1, &o, &err), 0);
	json = rsop_json(r);
	assert_non_null(json);
	text = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
	assert_string_equal(text, want);
	free(text);
	json_decref(json);
	rsop_free(r);
	world_free(w);
}

static void test_json_none(void **state)
{
	const struct gp_options o = { 0 };
	struct world *w = world_example(false);
	struct gp_rsop *r;
	struct err err;
	json_t *json;

	(void)state;
	world_set(w, "OU=Servers," W_BASE, "gPLink", NULL);
	world_set(w, W_BASE, "gPLink", NULL);
	assert_int_equal(world_run(w, &host1, &err), 0);
	assert_int_equal(gp_resolve(&r, w->snapshot, &host1, &o, &err), 0);
	json = rsop_json(r);
	assert_true(json_is_null(json_object_get(json, "policy")));
	assert_true(json_is_null(json_object_get(json, "winner")));
	assert_string_equal(json_string_value(json_object_get(json, "assignment")), "none");
	json_decref(json);
	rsop_free(r);
	world_free(w);
}

/* ---- verdicts ---- */

static void gpo2_flags(struct world *w, const char *flags)
{
	world_set(w, W_GPO("2"), "flags", flags);
}

static void no_change(struct world *w) { (void)w; }
static void half_off(struct world *w) { gpo2_flags(w, "2"); }
static void all_off(struct world *w) { gpo2_flags(w, "3"); }
static void user_off(struct world *w) { gpo2_flags(w, "1"); }
static void bad_flags(struct world *w) { gpo2_flags(w, "two"); }
static void no_flags(struct world *w) { gpo2_flags(w, NULL); }
static void old_version(struct world *w) { world_set(w, W_GPO("2"), "gPCFunctionalityVersion", "1"); }
static void no_version(struct world *w) { world_set(w, W_GPO("2"), "gPCFunctionalityVersion", NULL); }
static void wmi(struct world *w) { world_set(w, W_GPO("2"), "gPCWQLFilter", "[corp.example;{1};0]"); }
static void wmi_blank(struct world *w) { world_set(w, W_GPO("2"), "gPCWQLFilter", " "); }
static void no_extension(struct world *w) { world_set(w, W_GPO("2"), "gPCMachineExtensionNames", NULL); }
static void missing(struct world *w) { world_del(w, W_GPO("2")); }
static void hidden(struct world *w) { world_hide(w, W_GPO("2")); }
static void disabled(struct world *w) { world_set(w, "OU=Servers," W_BASE, "gPLink", W_LINK("2", "1")); }

static void as_tool(struct world *w)
{
	world_set(w, W_GPO("2"), "gPCMachineExtensionNames",
	    "[{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{E437BC1C-AA7D-11D2-A382-00C04F991E27}][]{E437");
}

static void not_sorted(struct world *w)
{
	world_set(w, W_GPO("2"), "gPCMachineExtensionNames",
	    "[{FFFFFFFF-683F-11D2-A89A-00C04FBBCFA2}][{e437bc1c-aa7d-11d2-a382-00c04f991e27}]");
}

static void off_and_denied(struct world *w)
{
	gpo2_flags(w, "2");
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "D:S-1-1-0");
	old_version(w);
	wmi(w);
}

#define MALFORMED2 "2:malformed 1:applies => format: GPO 'cn={aaaaaaaa-0000-0000-0000-000000000002},cn=policies,cn=system," W_BASE "': "

static void test_verdicts(void **state)
{
	(void)state;
	expect_both(no_change, "2:applies 1:applies => server policy");
	expect_both(half_off, "2:gpo-disabled 1:applies => domain policy");
	expect_both(all_off, "2:gpo-disabled 1:applies => domain policy");
	expect_both(user_off, "2:applies 1:applies => server policy");
	expect_both(no_flags, "2:applies 1:applies => server policy");
	expect_both(bad_flags, MALFORMED2 "flags is not a number");
	expect_both(old_version, "2:bad-version 1:applies => domain policy");
	expect_both(no_version, "2:bad-version 1:applies => domain policy");
	expect_both(wmi, "2:wmi-filter 1:applies => domain policy");
	expect_both(wmi_blank, "2:applies 1:applies => server policy");
	expect_both(no_extension, "2:no-ipsec-extension 1:applies => domain policy");
	expect_both(as_tool, "2:no-ipsec-extension 1:applies => domain policy");
	expect_both(not_sorted, "2:applies 1:applies => server policy");
	expect_both(missing, "2:not-found 1:applies => domain policy");
	expect_both(hidden, "2:unreadable 1:applies => domain policy");
	expect_both(disabled, "2:link-disabled 1:applies => domain policy");
	expect_both(off_and_denied, "2:gpo-disabled 1:applies => domain policy");
}

static void test_wmi_allowed(void **state)
{
	struct world *w = world_example(true);
	struct err err;

	(void)state;
	wmi(w);
	assert_string_equal(world_summary(w, &host1, false, &err), "2:wmi-filter 1:applies => domain policy");
	assert_string_equal(world_summary(w, &host1, true, &err), "2:applies 1:applies => server policy");
	/* What either answer leads to is asked for. */
	world_set(w, W_IPSEC_OF(W_GPO("2")), "ipsecOwnersReference", "CN=outside," W_BASE);
	world_add(w, "CN=outside," W_BASE, "objectClass", "ipsecPolicy", "ipsecName", "outside", NULL);
	assert_string_equal(world_summary(w, &host1, true, &err), "2:applies 1:applies => outside");
	world_free(w);
}

/* ---- rights ---- */

static void deny_au(struct world *w) { world_set(w, W_GPO("2"), "nTSecurityDescriptor", "D:S-1-5-11 A:S-1-1-0"); }
static void empty_acl(struct world *w) { world_set(w, W_GPO("2"), "nTSecurityDescriptor", ""); }
static void allow_self(struct world *w) { world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-1103"); }
static void allow_other(struct world *w) { world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-1104"); }
static void allow_primary(struct world *w) { world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-515"); }
static void allow_system(struct world *w) { world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:S-1-5-18"); }
static void no_sd(struct world *w) { world_set(w, W_GPO("2"), "nTSecurityDescriptor", NULL); }
static void broken_sd(struct world *w) { world_set_bytes(w, W_GPO("2"), "nTSecurityDescriptor", "\1", 1); }

static void test_rights(void **state)
{
	(void)state;
	expect_both(deny_au, "2:access-denied 1:applies => domain policy");
	expect_both(empty_acl, "2:access-denied 1:applies => domain policy");
	expect_both(allow_self, "2:applies 1:applies => server policy");
	expect_both(allow_other, "2:access-denied 1:applies => domain policy");
	expect_both(allow_primary, "2:applies 1:applies => server policy");
	expect_both(allow_system, "2:access-denied 1:applies => domain policy");
	expect_both(broken_sd, MALFORMED2 "nTSecurityDescriptor is malformed: security descriptor: 1 bytes are too few");
	/* An AD that shows no rights leaves nothing to judge by; OpenLDAP has its own. */
	expect(true, no_sd, MALFORMED2 "nTSecurityDescriptor is not shown");
	expect(false, no_sd, "2:applies 1:applies => server policy");
}

/* Bound as an administrator, asking for host1: his token is not host1's. */
static void test_token_not_lent(void **state)
{
	struct world *w = world_example(true);
	struct err err;

	(void)state;
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-512");
	world_set(w, W_ROOT, "tokenGroups", W_DOM "-512");
	world_set(w, W_HOST, "tokenGroups", W_DOM "-2000");
	assert_string_equal(world_summary(w, &host1, false, &err), "2:access-denied 1:applies => domain policy");
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-2000");
	assert_string_equal(world_summary(w, &host1, false, &err), "2:applies 1:applies => server policy");
	world_set(w, W_HOST, "tokenGroups", NULL);
	assert_string_equal(world_summary(w, &host1, false, &err),
	    "error denied: '" W_HOST "': the groups (tokenGroups) may not be read");
	world_set_bytes(w, W_HOST, "tokenGroups", "\1\1", 2);
	assert_string_equal(world_summary(w, &host1, false, &err), "error format: tokenGroups: a value is not a SID");
	world_free(w);
}

static void add_group(struct world *w, const char *name, const char *sid, const char *member, const char *type)
{
	char dn[200];

	snprintf(dn, sizeof(dn), "CN=%s,CN=Users," W_BASE, name);
	world_add(w, dn, "objectClass", "group", "objectSid", sid, "member", member, type ? "groupType" : NULL, type, NULL);
}

static void test_token_groups(void **state)
{
	struct world *w = world_example(false);
	struct err err;

	(void)state;
	/* host1 < g1 < g2 < g3 < g1; g4 by memberOf only; primary < g5; list < g6 */
	add_group(w, "g1", W_DOM "-2001", W_HOST, "-2147483646");
	add_group(w, "g2", W_DOM "-2002", "cn=G1,CN=Users," W_BASE, NULL);
	add_group(w, "g3", W_DOM "-2003", "CN=g2,CN=Users," W_BASE, NULL);
	world_set(w, "CN=g1,CN=Users," W_BASE, "memberOf", "CN=g3,CN=Users," W_BASE);
	add_group(w, "g4", W_DOM "-2004", "CN=nobody," W_BASE, NULL);
	world_set(w, W_HOST, "memberOf", "CN=g4,CN=Users," W_BASE);
	add_group(w, "primary", W_DOM "-515", "CN=nobody," W_BASE, NULL);
	add_group(w, "g5", W_DOM "-2005", "CN=primary,CN=Users," W_BASE, NULL);
	add_group(w, "list", W_DOM "-2006", W_HOST, "2");
	add_group(w, "g6", W_DOM "-2007", "CN=list,CN=Users," W_BASE, NULL);
	add_group(w, "others", W_DOM "-2008", "CN=HOST2,OU=Web,OU=Servers," W_BASE, NULL);
	for (int i = 1; i <= 8; i++) {
		char sd[100];

		snprintf(sd, sizeof(sd), "A:" W_DOM "-200%d", i);
		world_set(w, W_GPO("2"), "nTSecurityDescriptor", sd);
		assert_string_equal(world_summary(w, &host1, false, &err), i <= 5 ?
		    "2:applies 1:applies => server policy" : "2:access-denied 1:applies => domain policy");
	}
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "D:" W_DOM "-2003 A:S-1-5-11");
	assert_string_equal(world_summary(w, &host1, false, &err), "2:access-denied 1:applies => domain policy");
	world_free(w);
}

static void test_token_depth(void **state)
{
	struct world *w = world_example(false);
	struct err err;

	(void)state;
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-30");
	for (int i = 0; i < 70; i++) {
		char name[20], sid[60], member[200];

		snprintf(name, sizeof(name), "n%d", i);
		snprintf(sid, sizeof(sid), W_DOM "-%d", i);
		snprintf(member, sizeof(member), "CN=n%d,CN=Users," W_BASE, i - 1);
		add_group(w, name, sid, i ? member : W_HOST, NULL);
		if (i == 40)
			assert_string_equal(world_summary(w, &host1, false, &err), "2:applies 1:applies => server policy");
	}
	assert_string_equal(world_summary(w, &host1, false, &err), "error limit: groups of HOST1$ are nested more than 64 deep");
	world_free(w);
}

/* ---- damage ---- */

static void bad_version(struct world *w) { world_set(w, W_GPO("2"), "gPCFunctionalityVersion", "two"); }
static void two_flags(struct world *w) { world_put(w, W_GPO("2"), "flags", "3"); }
static void two_versions(struct world *w) { world_put(w, W_GPO("2"), "gPCFunctionalityVersion", "3"); }
static void two_sds(struct world *w) { world_put(w, W_GPO("2"), "nTSecurityDescriptor", W_AGP); world_put(w, W_GPO("2"), "nTSecurityDescriptor", W_AGP); }
static void two_extensions(struct world *w) { world_put(w, W_GPO("2"), "gPCMachineExtensionNames", "[]"); }
static void zero_extension(struct world *w) { world_set_bytes(w, W_GPO("2"), "gPCMachineExtensionNames", "[\0]", 3); }
static void two_wmi(struct world *w) { wmi(w); world_put(w, W_GPO("2"), "gPCWQLFilter", "x"); }
static void bad_and_off(struct world *w) { bad_version(w); half_off(w); }
static void bad_and_wmi(struct world *w) { bad_version(w); wmi(w); }
static void bad_and_no_ipsec(struct world *w) { bad_version(w); no_extension(w); }
static void bad_and_disabled(struct world *w) { bad_version(w); disabled(w); }
static void bad_and_hidden(struct world *w) { bad_version(w); hidden(w); }

static void bad_weaker(struct world *w)
{
	world_set(w, W_GPO("1"), "flags", "x");
}

static void bad_alone(struct world *w)
{
	bad_version(w);
	world_set(w, W_BASE, "gPLink", NULL);
}

static void bad_blocked(struct world *w)
{
	bad_version(w);
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPOptions", "1");
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPLink", W_LINK("1", "0"));
	world_set(w, W_BASE, "gPLink", NULL);
}

static void test_malformed(void **state)
{
	(void)state;
	expect_both(bad_version, MALFORMED2 "gPCFunctionalityVersion is not a number");
	expect_both(two_flags, MALFORMED2 "flags has several values");
	expect_both(two_versions, MALFORMED2 "gPCFunctionalityVersion has several values");
	expect_both(two_sds, MALFORMED2 "nTSecurityDescriptor has several values");
	expect_both(two_extensions, MALFORMED2 "gPCMachineExtensionNames has several values");
	expect_both(zero_extension, MALFORMED2 "gPCMachineExtensionNames holds a zero byte");
	expect_both(two_wmi, MALFORMED2 "gPCWQLFilter has several values");
	/* Where it could not have assigned anything. */
	expect_both(bad_and_off, "2:gpo-disabled 1:applies => domain policy");
	expect_both(bad_and_wmi, "2:malformed 1:applies => domain policy");
	expect_both(bad_and_no_ipsec, "2:malformed 1:applies => domain policy");
	expect_both(bad_and_disabled, "2:link-disabled 1:applies => domain policy");
	expect_both(bad_and_hidden, "2:unreadable 1:applies => domain policy");
	expect_both(bad_blocked, "1:applies 2:blocked => domain policy");
	expect_both(bad_weaker, "2:applies 1:malformed => server policy");
	expect_both(bad_alone, "2:malformed => format: GPO 'cn={aaaaaaaa-0000-0000-0000-000000000002},cn=policies,cn=system,"
	    W_BASE "': gPCFunctionalityVersion is not a number");
}

static void test_malformed_text(void **state)
{
	struct world *w = world_example(true);
	struct gp_subject who = host1;
	struct err err;
	char *text;

	(void)state;
	bad_version(w);
	text = world_rsop(w, &who, false, &err);
	assert_non_null(strstr(text, "=> malformed           'gpo 2' {aaaaaaaa-0000-0000-0000-000000000002}\n"
	    "                       linked at OU=Servers,DC=corp,DC=example\n"
	    "                       gPCFunctionalityVersion is not a number\n"));
	assert_non_null(strstr(text, "\nAssigned: unknown; GPO 'gpo 2' {aaaaaaaa-0000-0000-0000-000000000002} decides, but GPO 'cn="));
	free(text);
	world_set(w, "OU=Servers," W_BASE, "gPLink", "[nonsense]");
	text = world_rsop(w, &who, false, &err);
	assert_null(strstr(text, "=>"));
	assert_non_null(strstr(text, "\nAssigned: unknown; gPLink of 'OU=Servers," W_BASE "' holds an entry that cannot be read\n"));
	free(text);
	text = world_json(w, &who, &err);
	assert_non_null(strstr(text, "\"assignment\": \"unknown\""));
	assert_non_null(strstr(text, "\"winner\": null"));
	free(text);
	world_free(w);
}

/* gPLink of OU=Servers; that of the domain has gpo 1, that of OU=Web the third one. */
static void test_lost_links(void **state)
{
#define LOST	"=> format: gPLink of 'OU=Servers," W_BASE "' holds an entry that cannot be read"
	static const struct { const char *servers, *domain, *web, *want; } cases[] = {
		{ "[x;0]", W_LINK("1", "0"), " ", "1:applies " LOST },
		{ "[x;0]", " ", " ", LOST },
		{ "[x;1]", W_LINK("1", "0"), " ", "1:applies => domain policy" },	/* disabled, whatever it was */
		{ "[x;3]", W_LINK("1", "0"), " ", "1:applies => domain policy" },
		{ "[x;0]", W_LINK("1", "2"), " ", "1:enforced applies => domain policy" },
		{ "[x;2]", W_LINK("1", "2"), " ", "1:enforced applies => domain policy" },	/* the higher level */
		{ "[x;2]", W_LINK("1", "0"), W_LINK("3", "2"), "3:enforced applies 1:applies " LOST },
		{ "[x;0]", W_LINK("1", "0"), W_LINK("3", "0"), "3:applies 1:applies => branch policy" },	/* nearer */
		{ "[x;2]", W_LINK("1", "0"), W_LINK("3", "0"), "3:applies 1:applies " LOST },
		/* it may have been enforced */
		{ "[x;0x]", W_LINK("1", "0"), W_LINK("3", "0"), "3:applies 1:applies " LOST },
		{ "[" W_LINK("2", "0"), W_LINK("1", "0"), W_LINK("3", "0"), "3:applies 1:applies " LOST },
		{ "[x;0x] y" W_LINK("2", "1"), W_LINK("1", "0"), " ", "1:applies " LOST },
		{ W_LINK("2", "0") "]", " ", W_LINK("3", "0"), "3:applies 2:applies " LOST },
		{ "[x;0x]", W_LINK("1", "2"), " ", "1:enforced applies => domain policy" },
		/* inside one gPLink the place counts */
		{ "[x;0]" W_LINK("2", "0"), W_LINK("1", "0"), " ", "2:applies 1:applies => server policy" },
		{ W_LINK("2", "0") "[x;0]", W_LINK("1", "0"), " ", "2:applies 1:applies " LOST },
		{ "[x;0]" W_LINK("2", "2"), W_LINK("1", "0"), " ", "2:enforced applies 1:applies => server policy" },
		{ "[x;2]" W_LINK("2", "2"), W_LINK("1", "0"), " ", "2:enforced applies 1:applies => server policy" },
		{ W_LINK("2", "2") "[x;2]", W_LINK("1", "0"), " ", "2:enforced applies 1:applies " LOST },
		{ W_LINK("2", "2") "[x;0]", W_LINK("1", "0"), " ", "2:enforced applies 1:applies => server policy" },
		{ "[x;2]" W_LINK("2", "0"), W_LINK("1", "0"), " ", "2:applies 1:applies " LOST },
		{ "  [ ] \r\n" W_LINK("2", "0") "\t", W_LINK("1", "0"), " ", "2:applies 1:applies => server policy" },
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct world *w = world_example(true);
		const char *got;

		world_set(w, "OU=Servers," W_BASE, "gPLink", cases[i].servers);
		world_set(w, W_BASE, "gPLink", cases[i].domain);
		world_set(w, "OU=Web,OU=Servers," W_BASE, "gPLink", cases[i].web);
		got = world_summary(w, &host1, false, &err);
		if (strcmp(got, cases[i].want))
			fail_msg("case %zu: %s", i, got);
		world_free(w);
	}
#undef LOST
}

static void lost_blocked(struct world *w)
{
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPOptions", "1");
	world_set(w, "OU=Servers," W_BASE, "gPLink", "[x;0]");
}

static void lost_not_blocked(struct world *w)
{
	lost_blocked(w);
	world_set(w, "OU=Servers," W_BASE, "gPLink", "[x;2]");
}

static void test_lost_blocked(void **state)
{
	(void)state;
	expect_both(lost_blocked, "1:blocked => none");
	expect_both(lost_not_blocked, "1:blocked => format: gPLink of 'OU=Servers," W_BASE "' holds an entry that cannot be read");
}

/* ---- nothing left, and something that is not shown ---- */

static void only_gpo2(struct world *w) { world_set(w, W_BASE, "gPLink", NULL); }
static void only_hidden(struct world *w) { only_gpo2(w); hidden(w); }
static void only_missing(struct world *w) { only_gpo2(w); missing(w); }
static void only_denied(struct world *w) { only_gpo2(w); empty_acl(w); }
static void hidden_disabled(struct world *w) { only_hidden(w); disabled(w); }
static void hidden_blocked(struct world *w) { only_hidden(w); world_set(w, "OU=Web,OU=Servers," W_BASE, "gPOptions", "1"); }
static void hidden_and_off(struct world *w) { hidden(w); world_set(w, W_GPO("1"), "flags", "2"); }

static void test_unreadable_alone(void **state)
{
#define ALONE	"denied: GPO 'cn={aaaaaaaa-0000-0000-0000-000000000002},cn=policies,cn=system," W_BASE "': may not be read, and nothing else is assigned"
	(void)state;
	expect_both(only_hidden, "2:unreadable => " ALONE);
	expect_both(hidden_and_off, "2:unreadable 1:gpo-disabled => " ALONE);
	expect_both(hidden, "2:unreadable 1:applies => domain policy");
	expect_both(only_missing, "2:not-found => none");
	expect_both(only_denied, "2:access-denied => none");
	expect_both(hidden_disabled, "2:link-disabled => none");
	expect_both(hidden_blocked, "2:blocked => none");
#undef ALONE
}

/* ---- only what is a GPO, an OU, a domain ---- */

static void no_gpo_class(struct world *w) { world_set(w, W_GPO("2"), "objectClass", "container"); }
static void ou_class(struct world *w) { world_set(w, "OU=Servers," W_BASE, "objectClass", "container"); }
static void domain_class(struct world *w) { world_set(w, W_BASE, "objectClass", "container"); }
static void domain_old(struct world *w) { world_set(w, W_BASE, "objectClass", "domain"); }

static void test_classes(void **state)
{
	static const char *const names[] = { "CN={AAAAAAAA-0000-0000-0000-000000000008},CN=Users," W_BASE,
		"CN={AAAAAAAA-0000-0000-0000-000000000008},CN=Policies,CN=Users," W_BASE,
		"CN={AAAAAAAA-0000-0000-0000-000000000008},OU=Policies,CN=System," W_BASE,
		"CN={AAAAAAAA-0000-0000-0000-000000000008},CN=x,CN=Policies,CN=System," W_BASE,
		"CN={AAAAAAAA-0000-0000-0000-000000000008},CN=Policies,CN=System,OU=Evil," W_BASE,
		"CN={AAAAAAAA-0000-0000-0000-000000000008},CN=Policies,CN=System,DC=x,OU=Evil," W_BASE };
	struct err err;
	char *text;

	(void)state;
	expect_both(no_gpo_class, "2:not-found 1:applies => domain policy");
	expect_both(ou_class, "error format: 'OU=Servers," W_BASE "', above the computer, is not an organizational unit");
	expect_both(domain_class, "error format: '" W_BASE "', above the computer, is not a domain");
	expect_both(domain_old, "2:applies 1:applies => server policy");
	for (size_t i = 0; i < N(names); i++) {
		struct world *w = world_example(i % 2);

		world_gpo(w, names[i], "evil", "3");
		world_set(w, "OU=Web,OU=Servers," W_BASE, "gPLink", arena_printf(w->a, "[LDAP://%s;2]", names[i]));
		assert_string_equal(world_summary(w, &host1, false, &err), "8:enforced not-found 2:applies 1:applies => server policy");
		text = world_rsop(w, &host1, false, &err);
		assert_non_null(strstr(text, "                       is not a GPO\n"));
		assert_null(strstr(text, "evil"));
		free(text);
		world_free(w);
	}
}

/* ---- what the strongest GPO assigns ---- */

#define IPSEC2	W_IPSEC_OF(W_GPO("2"))
#define SHOWN2	"CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,cn={aaaaaaaa-0000-0000-0000-000000000002},cn=policies,cn=system," W_BASE
#define UNSURE	"2:applies 1:applies => "

static void ipsec_gone(struct world *w) { world_del(w, IPSEC2); }
static void ipsec_hidden(struct world *w) { world_hide(w, IPSEC2); }
static void ipsec_empty(struct world *w) { world_set(w, IPSEC2, "ipsecOwnersReference", NULL); }
static void policy_gone(struct world *w) { world_del(w, W_OBJ("ipsecPolicy", "2")); }
static void policy_hidden(struct world *w) { world_hide(w, W_OBJ("ipsecPolicy", "2")); }
static void policy_nonsense(struct world *w) { world_set(w, IPSEC2, "ipsecOwnersReference", "nonsense"); }
static void policy_zero(struct world *w) { world_set_bytes(w, IPSEC2, "ipsecOwnersReference", "CN=a\0b", 6); }

static void policy_deleted(struct world *w)
{
	world_set(w, IPSEC2, "ipsecOwnersReference", "CN=x\\0ADEL:1,CN=Deleted Objects," W_BASE);
}

static void ipsec_twice(struct world *w)
{
	world_del(w, IPSEC2);
	world_add(w, IPSEC2, "objectClass", "ipsecPolicy", "ipsecOwnersReference", W_OBJ("ipsecPolicy", "1"),
	    "ipsecOwnersReference", W_OBJ("ipsecPolicy", "2"), NULL);
}

static void test_unknown(void **state)
{
	(void)state;
	expect_both(ipsec_gone, UNSURE "absent: the assignment '" SHOWN2 "' does not exist");
	expect_both(ipsec_hidden, UNSURE "denied: the assignment '" SHOWN2 "' may not be read");
	expect_both(ipsec_empty, UNSURE "absent: the assignment '" SHOWN2 "' names no policy");
	expect_both(ipsec_twice, UNSURE "format: the assignment '" SHOWN2 "' names several policies");
	expect_both(policy_gone, UNSURE "absent: the assigned policy '" W_OBJ("ipsecPolicy", "2") "' does not exist");
	expect_both(policy_hidden, UNSURE "denied: the assigned policy '" W_OBJ("ipsecPolicy", "2") "' may not be read");
	expect_both(policy_deleted, UNSURE "absent: the assigned policy "
	    "'CN=x\\0ADEL:1,CN=Deleted Objects," W_BASE "' was deleted");
	expect_both(policy_nonsense, UNSURE "format: the assigned policy 'nonsense' is not a usable name");
	expect_both(policy_zero, UNSURE "format: the assignment '" SHOWN2 "' holds a zero byte");
}

/* ---- no evaluation at all ---- */

static void two_hosts(struct world *w)
{
	world_add(w, "CN=HOST1," W_BASE, "objectClass", "computer", "sAMAccountName", "host1$", NULL);
}

static void two_names(struct world *w)
{
	world_add(w, "CN=claim," W_BASE, "objectClass", "person", "sAMAccountName", "host1$", NULL);
	world_add(w, "CN=claim2," W_BASE, "objectClass", "person", "sAMAccountName", "HOST1$", NULL);
}

static void first_name(struct world *w)
{
	struct dir_entry host, *e;

	two_names(w);
	e = w->entries;
	while (strcmp(e->dn, W_HOST))
		e++;
	host = *e;
	*e = w->entries[w->n_entries - 1];
	w->entries[w->n_entries - 1] = host;
}

static void no_computer(struct world *w)
{
	two_names(w);
	world_set(w, W_HOST, "objectClass", "device");
}

static void one_device(struct world *w) { world_set(w, W_HOST, "objectClass", "device"); }

/* Whoever may write some entry can give it the name, but not make it the computer. */
static void test_claimed_name(void **state)
{
	(void)state;
	expect_both(two_names, "2:applies 1:applies => server policy");
	expect_both(first_name, "2:applies 1:applies => server policy");
	expect_both(one_device, "2:applies 1:applies => server policy");
	expect_both(no_computer, "error format: computer HOST1$ exists twice: '" W_HOST "' and 'CN=claim," W_BASE "'");
}

static void ou_hidden(struct world *w) { world_hide(w, "OU=Servers," W_BASE); }
static void ou_gone(struct world *w) { world_del(w, "OU=Servers," W_BASE); }
static void host_gone(struct world *w) { world_del(w, W_HOST); }
static void ou_options(struct world *w) { world_set(w, "OU=Servers," W_BASE, "gPOptions", "x"); }
static void all_refused(struct world *w) { w->refuse = W_BASE; }
static void root_refused(struct world *w) { w->refuse = ""; }

static void ou_links(struct world *w)
{
	world_del(w, "OU=Servers," W_BASE);
	world_add(w, "OU=Servers," W_BASE, "objectClass", "organizationalUnit", "gPLink", " ", "gPLink", W_LINK("2", "0"), NULL);
}

static void test_errors(void **state)
{
	(void)state;
	expect_both(two_hosts, "error format: computer HOST1$ exists twice: '" W_HOST "' and 'CN=HOST1," W_BASE "'");
	expect_both(host_gone, "error absent: computer HOST1$ does not exist in corp.example (or may not be read)");
	expect_both(ou_hidden, "error denied: 'OU=Servers," W_BASE "', above the computer, may not be read");
	expect_both(ou_gone, "error absent: 'OU=Servers," W_BASE "', above the computer, does not exist");
	expect_both(ou_options, "error format: 'OU=Servers," W_BASE "': gPOptions is not a number");
	expect_both(ou_links, "error format: 'OU=Servers," W_BASE "': several values of gPLink");
	expect_both(all_refused, "error denied: corp.example may not be searched");
	expect_both(root_refused, "error denied: the root DSE may not be read");
}

static void test_domain(void **state)
{
	struct gp_subject who = host1;
	struct world *w = world_example(false);
	struct err err;

	(void)state;
	world_del(w, W_ROOT);
	assert_string_equal(world_summary(w, &who, false, &err),
	    "error absent: the directory names no domain: say which one in the configuration");
	who.domain = "corp.example";
	assert_string_equal(world_summary(w, &who, false, &err), "2:applies 1:applies => server policy");
	who.domain = "other.example";
	assert_string_equal(world_summary(w, &who, false, &err), "error absent: 'DC=other,DC=example' does not exist in this directory");
	who.domain = "..";
	assert_string_equal(world_summary(w, &who, false, &err), "error format: '..' is not the name of a domain");
	world_free(w);
	w = world_example(true);	/* an AD knows better */
	who.domain = "other.example";
	assert_string_equal(world_summary(w, &who, false, &err), "2:applies 1:applies => server policy");
	world_free(w);
}

static void test_filter_escapes(void **state)
{
	struct world *w = world_example(true);
	const struct gp_subject who = { .computer = "*)(objectClass=*" };
	struct err err;

	(void)state;
	assert_string_equal(world_summary(w, &who, false, &err),
	    "error absent: computer *)(objectClass=* does not exist in corp.example (or may not be read)");
	assert_string_equal(w->snapshot->searches[1].q.filter, "(sAMAccountName=\\2a\\29\\28objectClass=\\2a)");
	world_free(w);
}

/* Every change is seen with the hints of the time before it. */
static void test_stale_hints(void **state)
{
	static void (*const changes[])(struct world *w) = {
		half_off, old_version, wmi, no_extension, missing, hidden, disabled, off_and_denied,
		deny_au, allow_other, no_sd, broken_sd, ipsec_gone, ipsec_hidden, ipsec_empty, ipsec_twice,
		policy_gone, policy_hidden, policy_deleted, two_hosts, two_names, first_name, no_computer, bad_version,
		bad_alone, bad_weaker, lost_blocked, lost_not_blocked, only_hidden, only_missing, no_gpo_class, ou_class, ou_hidden, host_gone, ou_links,
	};
	struct gp_subject plain = host1;
	struct err err;

	(void)state;
	plain.site = "Branch";
	for (int ad = 0; ad < 2; ad++) {
		for (size_t i = 0; i < N(changes); i++) {
			struct world *w = world_example(ad);
			struct gp_subject who = plain;

			assert_int_equal(world_run(w, &who, &err), 0);
			world_hints(w, &who);
			changes[i](w);
			assert_string_equal(world_summary(w, &who, false, &err), world_summary(w, &plain, false, &err));
			world_free(w);
		}
	}
}

/* ---- an answer less is never another result ---- */

static void test_incomplete(void **state)
{
	const struct gp_options o = { 0 };
	struct gp_subject who = host1;
	struct err err;

	(void)state;
	who.site = "Branch";
	for (int ad = 0; ad < 2; ad++) {
		struct world *w = world_example(ad);

		assert_int_equal(world_run(w, &who, &err), 0);
		for (size_t n = 0; n < w->snapshot->n_searches; n++) {
			struct dir_snapshot *part = snapshot_new();
			struct gp_rsop *r;
			const char *const *hints;
			size_t n_hints;

			for (size_t i = 0; i < n; i++) {
				const struct dir_search *s = &w->snapshot->searches[i];

				assert_int_equal(snapshot_add(part, &s->q, s->outcome, s->entries, s->n_entries, &err), 0);
			}
			assert_int_equal(gp_resolve(&r, part, &who, &o, &err), -1);
			assert_non_null(strstr(err.msg, "the snapshot is not complete: '"));
			assert_int_equal(gp_hints(&hints, &n_hints, part, &who, w->a, &err), -1);
			snapshot_free(part);
		}
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_hostile),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_none),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_wmi_allowed),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_token_not_lent),
		cmocka_unit_test(test_token_groups),
		cmocka_unit_test(test_token_depth),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_malformed_text),
		cmocka_unit_test(test_lost_links),
		cmocka_unit_test(test_lost_blocked),
		cmocka_unit_test(test_unreadable_alone),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_claimed_name),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_filter_escapes),
		cmocka_unit_test(test_stale_hints),
		cmocka_unit_test(test_incomplete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
