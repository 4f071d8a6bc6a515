#include "tests/policies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpo/assemble.h"
#include "schema/arena.h"
#include "schema/ldif.h"
#include "schema/snapshot.h"

#define CONTAINER	"CN=IP Security,CN=System,DC=corp,DC=example"

/* What the objects do not hold, taken over. */
static struct ipsec_policy *assembled(const struct ipsec_policy *p)
{
	struct ipsec_policy *again = NULL;
	struct dir_entry *e;
	size_t n;

	if (policy_objects(&e, &n, arena, p, CONTAINER, &err) ||
	    policy_assemble_entries(&again, e, n, e[0].dn, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(n, 2 + p->n_rules + p->n_filter_lists + p->n_negpols);
	assert_string_equal(again->dn, e[0].dn);
	assert_string_equal(again->when_changed, "");
	again->dn = arena_strdup(arena, p->dn);
	again->when_changed = arena_strdup(arena, p->when_changed);
	return again;
}

static void test_objects_by_chance(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct ipsec_policy *p = any_policy(), *again = assembled(p);

		assert_string_equal(text_of(again, POLICY_SEALED), text_of(p, POLICY_SEALED));
		policy_free(again);
		policy_free(p);
	}
}

/* Version 1 says no tunnel behind what needs version 2: take it away. */
static const char *plain(void)
{
	return replaced(sealed, "\t\ttunnel 10.9.9.9\n", "");
}

static char *ldif_of(const char *text)
{
	struct ipsec_policy *p = read_text(text);
	char *ldif = NULL, *copy;
	struct dir_entry *e;
	size_t n, len;
	FILE *f = open_memstream(&ldif, &len);

	assert_non_null(f);
	if (policy_objects(&e, &n, arena, p, "CN=X", &err))
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ldif_write_entry(&e[i], f), 0);
	fclose(f);
	copy = arena_strdup(arena, ldif);
	free(ldif);
	policy_free(p);
	/* unfolded, for the tests' replacements */
	for (char *fold; (fold = strstr(copy, "\n ")); )
		memmove(fold, fold + 2, strlen(fold + 2) + 1);
	return copy;
}

#define POLICY_DN	"CN=ipsecPolicy{10000000-0000-0000-0000-000000000000},CN=X"

static int assemble_ldif(struct ipsec_policy **ret, const char *ldif)
{
	struct dir_entry *e;
	size_t n;

	if (ldif_read(&e, &n, arena, ldif, strlen(ldif), &err))
		fail_msg("%s", err.msg);
	return policy_assemble_entries(ret, e, n, POLICY_DN, &err);
}

static void test_objects(void **state)
{
	const char *ldif = ldif_of(plain());
	struct ipsec_policy *p;

	(void)state;
	assert_non_null(strstr(ldif,
	    "dn: CN=ipsecNFA{50000000-0000-0000-0000-000000000000},CN=X\n"
	    "objectClass: top\nobjectClass: ipsecBase\nobjectClass: ipsecNFA\n"
	    "cn: ipsecNFA{50000000-0000-0000-0000-000000000000}\n"
	    "ipsecName: Rule\ndescription: r\n"
	    "ipsecID: {50000000-0000-0000-0000-000000000000}\nipsecDataType: 256\nipsecData:: "));
	assert_non_null(strstr(ldif,
	    "ipsecOwnersReference: " POLICY_DN "\n"
	    "ipsecNegotiationPolicyReference: CN=ipsecNegotiationPolicy{40000000-0000-0000-0000-000000000000},CN=X\n"
	    "ipsecFilterReference: CN=ipsecFilter{30000000-0000-0000-0000-000000000000},CN=X\n"));
	assert_non_null(strstr(ldif,
	    "iPSECNegotiationPolicyType: {62F49E10-6C37-11D1-864C-14A300000000}\n"
	    "iPSECNegotiationPolicyAction: {3F91A81A-7647-11D1-864D-D46A00000000}\n"
	    "ipsecOwnersReference: CN=ipsecNFA{50000000-0000-0000-0000-000000000000},CN=X\n"));
	assert_non_null(strstr(ldif,
	    "ipsecISAKMPReference: CN=ipsecISAKMPPolicy{20000000-0000-0000-0000-000000000000},CN=X\n"
	    "ipsecNFAReference: CN=ipsecNFA{50000000-0000-0000-0000-000000000000},CN=X\n"
	    "ipsecNFAReference: CN=ipsecNFA{51000000-0000-0000-0000-000000000000},CN=X\n"));
	/* Read as a directory has it: other case, whenChanged, any ipsecDataType, unused objects. */
	ldif = replaced(ldif, "ipsecDataType: 256", "ipsecDataType: 598\nwhenChanged: 20260102030405.0Z");
	ldif = replaced(ldif, "ipsecFilterReference: CN=ipsecFilter{3", "ipsecFilterReference: cn=IPSECFILTER{3");
	ldif = arena_printf(arena, "%sdn: CN=ipsecNFA{99},CN=X\nobjectClass: ipsecNFA\n\n", ldif);
	if (assemble_ldif(&p, ldif))
		fail_msg("%s", err.msg);
	assert_string_equal(p->dn, POLICY_DN);
	assert_string_equal(p->when_changed, "20260102030405.0Z");
	p->dn = "CN=ipsecPolicy{10000000-0000-0000-0000-000000000000},CN=IP Security,CN=System,DC=corp,DC=example";
	assert_string_equal(text_of(p, POLICY_SEALED), plain());
	policy_free(p);
	/* No ipsecID: the name has it. */
	ldif = replaced(ldif, "ipsecID: {10000000-0000-0000-0000-000000000000}\n", "");
	assert_int_equal(assemble_ldif(&p, ldif), 0);
	assert_int_equal(p->id.b[3], 0x10);
	policy_free(p);
}

static void test_assemble_errors(void **state)
{
#define RULE1	"rule {50000000-0000-0000-0000-000000000000}: "
#define LIST1	RULE1 "filter list CN=ipsecFilter{30000000-0000-0000-0000-000000000000}: "
#define ACTION1	RULE1 "filter action CN=ipsecNegotiationPolicy{40000000-0000-0000-0000-000000000000}: "
#define NFA1	"rule CN=ipsecNFA{50000000-0000-0000-0000-000000000000}: "
#define POLICY1	"policy CN=ipsecPolicy{10000000-0000-0000-0000-000000000000}: "
#define ISAKMP1	POLICY1 "main mode CN=ipsecISAKMPPolicy{20000000-0000-0000-0000-000000000000}: "
	static const struct {
		const char	*from, *to;
		enum err_code	 code;
		const char	*msg;
	} cases[] = {
		{ "dn: CN=ipsecPolicy{1", "dn: CN=ipsecPolicy{9", ERR_ABSENT, POLICY1 "does not exist" },
		{ "dn: CN=ipsecISAKMPPolicy{2", "dn: CN=ipsecISAKMPPolicy{9", ERR_ABSENT, ISAKMP1 "does not exist" },
		{ "dn: CN=ipsecNFA{50", "dn: CN=ipsecNFA{95", ERR_ABSENT, NFA1 "does not exist" },
		{ "dn: CN=ipsecFilter{3", "dn: CN=ipsecFilter{9", ERR_ABSENT, LIST1 "does not exist" },
		{ "dn: CN=ipsecNegotiationPolicy{40", "dn: CN=ipsecNegotiationPolicy{95", ERR_ABSENT, ACTION1 "does not exist" },
		{ "ipsecFilterReference: CN=ipsecFilter{30000000-0000-0000-0000-000000000000},CN=X",
		    "ipsecFilterReference: CN=ipsecFilter{30000000-0000-0000-0000-000000000000}\\0ADEL:1,CN=Deleted Objects,DC=x",
		    ERR_ABSENT, RULE1 "filter list CN=ipsecFilter{30000000-0000-0000-0000-000000000000}\\0ADEL:1: was deleted" },
		{ "objectClass: ipsecFilter\n", "", ERR_FORMAT, LIST1 "is not of class ipsecFilter" },
		{ "objectClass: ipsecNFA\n", "", ERR_FORMAT, NFA1 "is not of class ipsecNFA" },
		{ "objectClass: ipsecNegotiationPolicy\n", "", ERR_FORMAT, ACTION1 "is not of class ipsecNegotiationPolicy" },
		{ "ipsecID: {30000000-0000-0000-0000-000000000000}", "ipsecID: {30000001-0000-0000-0000-000000000000}",
		    ERR_FORMAT, LIST1 "ipsecID {30000001-0000-0000-0000-000000000000} is not the one in its name" },
		{ "ipsecID: {50000000-0000-0000-0000-000000000000}", "ipsecID: 50", ERR_FORMAT, NFA1 "ipsecID '50' is not a GUID" },
		{ "ipsecName: Rule\n", "ipsecName:: /w==\n", ERR_FORMAT, RULE1 "ipsecName is not text" },
		{ "ipsecName: Rule\n", "ipsecName:: YQBi\n", ERR_FORMAT, RULE1 "ipsecName is not text" },
		{ "ipsecISAKMPReference:", "description:", ERR_FORMAT, POLICY1 "ipsecISAKMPReference is missing" },
		{ "ipsecNFAReference:", "ipsecISAKMPReference:", ERR_FORMAT, POLICY1 "ipsecISAKMPReference has 2 values" },
		{ "ipsecNFAReference: CN=ipsecNFA{51", "ipsecNFAReference: cn = ipsecNFA{50", ERR_FORMAT,
		    "ipsecNFAReference names a rule twice" },
		{ "ipsecNegotiationPolicyReference:", "description:", ERR_FORMAT,
		    RULE1 "ipsecNegotiationPolicyReference is missing" },
		{ "ipsecFilterReference:", "ipsecFilterReference: CN=other,CN=X\nipsecFilterReference:", ERR_FORMAT,
		    RULE1 "ipsecFilterReference has 2 values" },
		{ "ipsecFilterReference:", "description:", ERR_FORMAT,
		    RULE1 "no filter list, and the action is not for the default response" },
		{ "{62F49E13-", "{62F49E10-", ERR_FORMAT, "rule {51000000-0000-0000-0000-000000000000}: "
		    "no filter list, and the action is not for the default response" },
		{ "{62F49E10-", "{62F49E13-", ERR_FORMAT, RULE1 "filter list with a default-response action" },
		{ "iPSECNegotiationPolicyAction:", "description:", ERR_FORMAT, ACTION1 "iPSECNegotiationPolicyAction is missing" },
		{ "{3F91A81A-", "{3F91A81B-", ERR_FORMAT,
		    ACTION1 "iPSECNegotiationPolicyAction '{3F91A81B-7647-11D1-864D-D46A00000000}' is not known" },
	};
	/* of which the ipsecData becomes one letter */
	static const struct {
		const char	*dn, *msg;
	} blobs[] = {
		{ "dn: CN=ipsecPolicy{", POLICY1 "1 bytes without an ipsecPolicy block" },
		{ "dn: CN=ipsecISAKMPPolicy{", ISAKMP1 "1 bytes without an ipsecISAKMPPolicy block" },
		{ "dn: CN=ipsecNFA{", RULE1 "1 bytes without an ipsecNFA block" },
		{ "dn: CN=ipsecFilter{", LIST1 "1 bytes without an ipsecFilter block" },
		{ "dn: CN=ipsecNegotiationPolicy{", ACTION1 "1 bytes without an ipsecNegotiationPolicy block" },
	};
	const char *ldif = ldif_of(plain());
	struct ipsec_policy *p = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_err(assemble_ldif(&p, replaced(ldif, cases[i].from, cases[i].to)), cases[i].code, cases[i].msg);
	for (size_t i = 0; i < 5; i++) {
		const char *at = strstr(ldif, blobs[i].dn);
		const char *head = arena_strndup(arena, ldif, (size_t)(at - ldif));

		assert_err(assemble_ldif(&p, arena_printf(arena, "%s%s", head,
		    replaced(at, "ipsecData:: ", "ipsecData: x\ninfo:: "))), ERR_FORMAT, blobs[i].msg);
		assert_err(assemble_ldif(&p, arena_printf(arena, "%s%s", head,
		    replaced(at, "ipsecData:: ", "info:: "))), ERR_FORMAT,
		    arena_printf(arena, "%.*sipsecData is missing",
		    (int)(strstr(blobs[i].msg, "1 bytes") - blobs[i].msg), blobs[i].msg));
	}
	assert_null(p);
}

/* The snapshot knows what could not be read. */
static void test_assemble_denied(void **state)
{
	static const char *const attrs[] = { "objectClass", NULL };
	static const char *const dns[] = {
		POLICY_DN, "CN=ipsecISAKMPPolicy{20000000-0000-0000-0000-000000000000},CN=X",
		"CN=ipsecNFA{50000000-0000-0000-0000-000000000000},CN=X",
		"CN=ipsecFilter{30000000-0000-0000-0000-000000000000},CN=X",
		"CN=ipsecNegotiationPolicy{40000000-0000-0000-0000-000000000000},CN=X",
	};
	static const char *const msgs[] = { POLICY1, ISAKMP1, NFA1, LIST1, ACTION1 };
	const char *ldif = ldif_of(plain());
	struct dir_entry *e;
	size_t n;

	(void)state;
	assert_int_equal(ldif_read(&e, &n, arena, ldif, strlen(ldif), &err), 0);
	for (size_t i = 0; i < 5; i++) {
		const struct dir_query all = { "CN=X", DIR_ONE, "(objectClass=ipsecBase)", attrs, 0 };
		const struct dir_query one = { dns[i], DIR_BASE, "(objectClass=*)", attrs, 0 };
		const struct dir_entry bare = { .dn = dns[i] };
		struct dir_snapshot *s = snapshot_new();
		struct ipsec_policy *p = NULL;

		assert_non_null(s);
		assert_int_equal(snapshot_add(s, &all, DIR_OK, e, n, &err), 0);
		assert_int_equal(policy_assemble(&p, s, POLICY_DN, &err), 0);
		policy_free(p);
		p = NULL;
		assert_int_equal(snapshot_add(s, &one, DIR_OK, &bare, 1, &err), 0);
		assert_err(policy_assemble(&p, s, POLICY_DN, &err), ERR_DENIED,
		    arena_printf(arena, "%scannot be read with this account", msgs[i]));
		assert_int_equal(snapshot_add(s, &one, DIR_ABSENT, NULL, 0, &err), 0);
		assert_err(policy_assemble(&p, s, POLICY_DN, &err), ERR_ABSENT,
		    arena_printf(arena, "%sdoes not exist", msgs[i]));
		assert_null(p);
		snapshot_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POLICY_TEST(test_objects_by_chance), POLICY_TEST(test_objects), POLICY_TEST(test_assemble_errors),
		POLICY_TEST(test_assemble_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
