/* Policy -> ruleset -> transaction -> ruleset: no kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nft/action.h"
#include "nft/batch.h"
#include "nft/readback.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/err.h"
#include "schema/facts.h"
#include "schema/policy.h"
#include "tests/mkpolicy.h"

static struct ruleset *rendered(const char *text)
{
	struct mk *m = mk_policy(text);
	struct ruleset *r = NULL;
	struct err err;

	if (mk_render(&r, m, &err) < 0)
		fail_msg("%s", err.msg);
	mk_free(m);
	return r;
}

static char *written(const struct ruleset *r)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(ruleset_write(r, out), 0);
	fclose(out);
	return text;
}

static void refused(const char *policy, enum err_code code, const char *msg)
{
	struct mk *m = mk_policy(policy);
	struct ruleset *r = (void *)-1;
	struct err err;

	assert_int_equal(mk_render(&r, m, &err), -1);
	assert_string_equal(err.msg, msg);
	assert_int_equal(err.code, code);
	assert_ptr_equal(r, (void *)-1);
	mk_free(m);
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("not found: %s\nin:\n%s", part, text);
}

static void hasnot(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("found: %s\nin:\n%s", part, text);
}

/* ---- golden texts ---- */

static const char *const cases[] = { "empty", "actions", "ports", "ranges", "pieces", "servers", "conntype", "ipv6", "tunnel",
	"order", "icmp", "exempt0", "exempt1", "exempt2", "stores", "hooks", "diagnostics", "diagnostics-in",
	"stateful", "stateful-lifeline", "startup-block", "block-diagnostics" };

static char *case_file(const char *name, const char *file)
{
	const char *srcdir = getenv("srcdir");
	char *path;

	assert_true(asprintf(&path, "%s/tests/cases/render-%s/%s", srcdir ? srcdir : ".", name, file) > 0);
	return path;
}

/* A mode where the name begins with one. */
static int case_render(struct ruleset **ret, const char *name, const struct mk *m, struct err *err)
{
	const struct host_facts *facts = m->o.lifeline ? m->facts : NULL;

	if (!strncmp(name, "stateful", 8))
		return boot_render(ret, BOOT_STATEFUL, &m->boot, facts, &m->o, err);
	if (!strncmp(name, "startup", 7))
		return boot_render(ret, BOOT_BLOCK, &m->boot, facts, &m->o, err);
	if (!strncmp(name, "block", 5))
		return block_render(ret, "a reason", facts, &m->o, err);
	return mk_render(ret, m, err);
}

static struct ruleset *case_ruleset(const char *name)
{
	char *path = case_file(name, "policy"), *text = mk_file(path);
	struct mk *m = mk_policy(text);
	struct ruleset *r = NULL;
	struct err err;

	if (case_render(&r, name, m, &err) < 0)
		fail_msg("%s: %s", name, err.msg);
	mk_free(m);
	free(text);
	free(path);
	return r;
}

/* GOLDEN_UPDATE=1 in the environment writes them anew. */
static void test_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ruleset *r = case_ruleset(cases[i]);
		char *got = written(r), *path = case_file(cases[i], "ruleset.nft"), *want;

		if (getenv("GOLDEN_UPDATE")) {
			FILE *out = fopen(path, "w");

			assert_non_null(out);
			fputs(got, out);
			fclose(out);
		}
		want = mk_file(path);
		if (strcmp(got, want))
			fail_msg("render-%s differs, it is now:\n%s", cases[i], got);
		free(want);
		free(path);
		free(got);
		ruleset_free(r);
	}
}

/* ---- ties ---- */

static void decided(const char *policy, const char *element)
{
	struct ruleset *r = rendered(policy);
	char *text = written(r);

	has(text, element);
	free(text);
	ruleset_free(r);
}

static void test_ties(void **state)
{
	(void)state;
	decided("rule permit P\nfilter me 10.0.0.1/32 any * *\nrule block B\nfilter me 10.0.0.1/32 any * *",
	    "10.0.0.1 comment \"f:00000002 r:20000000 g:aaaaaaaa B\" : drop");
	decided("rule permit P\nfilter me 10.0.0.1/32 any * *\nrule request-pass N\nfilter me 10.0.0.1/32 any * *",
	    "10.0.0.1 comment \"f:00000002 r:20000000 g:aaaaaaaa N\" : goto request_pass_through_out");
	decided("rule block B\nfilter me 10.0.0.1/32 any * *\nrule require N\nfilter me 10.0.0.1/32 any * *",
	    "10.0.0.1 comment \"f:00000001 r:10000000 g:aaaaaaaa B\" : drop");
	decided("rule require A\nfilter #9 me 10.0.0.1/32 any * *\nrule pass B\nfilter #8 me 10.0.0.1/32 any * *",
	    "10.0.0.1 comment \"f:00000008 r:20000000 g:aaaaaaaa B\" : goto pass_through_out");
	decided("rule block B\nfilter me 10.0.0.1/32 any * *\nstore dynamic\nrule permit D\nfilter me 10.0.0.1/32 any * *",
	    "10.0.0.1 comment \"f:00000002 r:10000000 s:dynamic D\" : accept");
	decided("store persistent\nrule permit A\nfilter me 10.0.0.1/32 any * *\nstore local\nrule block L\n"
	    "filter me 10.0.0.1/32 any * *", "10.0.0.1 comment \"f:00000001 r:10000000 s:persistent A\" : accept");
	/* Several of one store: the rest of the tie rule. */
	decided("store dynamic\nrule permit A\nfilter #2 me 10.0.0.1/32 any * *\nstore dynamic\nrule block B\n"
	    "filter #1 me 10.0.0.1/32 any * *", "10.0.0.1 comment \"f:00000001 r:10000000 s:dynamic B\" : drop");
	/* Equal masked, different as written: the same element, once. */
	decided("rule block B\nfilter any any any * *\nrule permit P\nfilter any any any * *",
	    "\t\tmeta nfproto ipv4 counter drop comment \"f:00000001 r:10000000 g:aaaaaaaa B\"\n\t}");
}

/* A mirrored filter wins or loses the same way in both directions. */
static void test_mirror(void **state)
{
	struct ruleset *r = rendered("rule block A\nfilter 10.0.0.0/24 10.1.0.0/16 any * * mirrored\n"
	    "filter 10.0.0.0/16 10.1.0.0/24 any * * mirrored");
	char *text = written(r);

	(void)state;
	has(text, "\t\tmeta nfproto ipv4 ip saddr & 255.255.255.0 . ip daddr & 255.255.0.0 vmap @out4_s24_d16\n"
	    "\t\tmeta nfproto ipv4 ip saddr & 255.255.0.0 . ip daddr & 255.255.255.0 vmap @out4_s16_d24\n");
	assert_true(strstr(text, "vmap @out4_s24_d16") < strstr(text, "vmap @out4_s16_d24"));
	assert_true(strstr(text, "vmap @in4_s16_d24") < strstr(text, "vmap @in4_s24_d16"));
	free(text);
	ruleset_free(r);
}

/* ---- refusals and warnings ---- */

#define RULE1	"rule {10000000-0003-0000-0000-000000000000} 'R': filter {00000001-0006-0000-0000-000000000000}: "

static void test_refused(void **state)
{
	(void)state;
	refused("rule block R\nfilter 10.0.0.1/32 fd00::/64 any * *", ERR_UNSUPPORTED,
	    RULE1 "source and destination are of different families");
	refused("rule block R\nfilter me4 fd00::/64 any * *", ERR_UNSUPPORTED,
	    RULE1 "source and destination are of different families");
	refused("rule block R\nfilter me any 47 * 80", ERR_UNSUPPORTED, RULE1 "destination port without TCP or UDP");
	refused("rule block R\nfilter me any any 80 *", ERR_UNSUPPORTED, RULE1 "source port without TCP or UDP");
	refused("rule block R\nfilter me any tcp 80-70 *", ERR_FORMAT, RULE1 "source ports 80-70 are reversed");
	refused("rule permit if=eth0 R\nfilter me any any * *", ERR_UNSUPPORTED,
	    "rule {10000000-0003-0000-0000-000000000000} 'R': is for the interface 'eth0' alone");
	refused("ipsecexempt 4", ERR_FORMAT, "ipsecexempt is 4, not 0 to 3");
}

static void test_refused_values(void **state)
{
	struct mk *m = mk_policy("rule block R\nfilter me 10.0.0.0/24 any * *");
	struct ipsec_filter *f = &m->policies[0]->rules[0].filter_list->filters[0];
	struct ruleset *r;
	struct err err;

	(void)state;
	f->dst.prefix = 33;
	assert_int_equal(mk_render(&r, m, &err), -1);
	assert_string_equal(err.msg, RULE1 "destination prefix length 33");
	f->dst.prefix = 24;
	f->dst.family = 77;
	assert_int_equal(mk_render(&r, m, &err), -1);
	assert_string_equal(err.msg, RULE1 "destination address of family 77");
	f->dst.family = 2;
	f->dst.kind = 99;
	assert_int_equal(mk_render(&r, m, &err), -1);
	assert_string_equal(err.msg, RULE1 "destination address of unknown kind 99");
	f->dst.kind = IPSEC_ADDR_RANGE;
	f->dst.hi[0] = 9;
	assert_int_equal(mk_render(&r, m, &err), -1);
	assert_string_equal(err.msg, RULE1 "destination address range is reversed");
	mk_free(m);
}

static void test_warnings(void **state)
{
	struct ruleset *r = rendered("fact dns fd00::1\nrule block R\nfilter me wins any * * mirrored\nfilter me dns any * *\n"
	    "filter me dns4 any * *");

	(void)state;
	assert_int_equal(r->n_warnings, 2);
	assert_string_equal(r->warnings[0], "rule {10000000-0003-0000-0000-000000000000} 'R': "
	    "filter {00000001-0006-0000-0000-000000000000} filters nothing: no address of a wins server is known");
	has(r->warnings[1], "{00000003-0006-0000-0000-000000000000} filters nothing: no address of a dns server");
	ruleset_free(r);
}

/* ---- families, exemptions, words ---- */

static void test_families(void **state)
{
	struct ruleset *r = rendered("rule block B\nfilter me any any * *");
	char *text = written(r);

	(void)state;
	has(text, "chain out4");
	has(text, "chain out6");
	free(text);
	ruleset_free(r);
	r = rendered("any-is-ipv4\nrule block B\nfilter me any any * *\nfilter me any tcp * 80");
	text = written(r);
	has(text, "chain out4");
	hasnot(text, "chain out6");
	free(text);
	ruleset_free(r);
	r = rendered("any-is-ipv4\nrule block B\nfilter me6 any any * *");
	text = written(r);
	has(text, "chain out6");
	hasnot(text, "chain out4");
	free(text);
	ruleset_free(r);
}

static void test_me_both_sides(void **state)
{
	struct ruleset *r = rendered("rule block B\nfilter me me any * * mirrored");
	char *text = written(r);

	(void)state;
	hasnot(text, "drop");
	free(text);
	ruleset_free(r);
}

/* Never anything established in front of a require. */
static void test_require_is_tight(void **state)
{
	struct ruleset *r = rendered("rule require R\nfilter me any any * * mirrored");
	char *text = written(r);

	(void)state;
	hasnot(text, "ct state");
	has(text, "chain require_in {\n\t\tcomment \"negotiate security: nothing in clear\"\n"
	    "\t\tmeta ipsec exists counter accept comment \"came protected\"\n"
	    "\t\tcounter drop comment \"clear, not allowed\"\n\t}\n");
	free(text);
	ruleset_free(r);
}

static void test_comments(void **state)
{
	char policy[400], name[120];
	struct ruleset *r;
	char *text;

	(void)state;
	/* 32 characters lead back; a name that does not fit in what is left is left out. */
	memset(name, 'n', sizeof(name));
	name[94] = '\0';
	snprintf(policy, sizeof(policy), "rule block %s\nfilter me 10.0.0.1/32 any * *", name);
	r = rendered(policy);
	text = written(r);
	has(text, name);
	free(text);
	ruleset_free(r);
	name[94] = 'n';
	name[95] = '\0';
	snprintf(policy, sizeof(policy), "rule block %s\nfilter me 10.0.0.1/32 any * *", name);
	r = rendered(policy);
	text = written(r);
	has(text, "10.0.0.1 comment \"f:00000001 r:10000000 g:aaaaaaaa\" : drop");
	free(text);
	ruleset_free(r);
	r = rendered("rule block A \"quoted\" \\ name\xc3\xa4\nfilter me 10.0.0.1/32 any * *");
	text = written(r);
	has(text, "g:aaaaaaaa A ?quoted? ? name??\" : drop");
	has(text, "table inet ipsecpol {\n\tcomment \"policy 000000a0 Test policy, gpo aaaaaaaa Test GPO\"\n");
	free(text);
	ruleset_free(r);
}

static void test_block(void **state)
{
	struct mk *m = mk_policy("lifeline\nfact dc 10.0.0.1");
	struct ruleset *r;
	struct err err;
	char *text;

	(void)state;
	assert_int_equal(block_render(&r, "a \"reason\"", NULL, NULL, &err), 0);
	text = written(r);
	assert_string_equal(text, "table inet ipsecpol {\n"
	    "\tcomment \"block mode: a ?reason?\"\n\n"
	    "\tchain input {\n\t\tcomment \"packets to this host\"\n"
	    "\t\ttype filter hook input priority filter - 10; policy accept;\n"
	    "\t\tiif \"lo\" counter accept comment \"loopback\"\n"
	    "\t\tcounter drop comment \"block mode: a ?reason?\"\n\t}\n\n"
	    "\tchain forward {\n\t\tcomment \"packets routed through this host\"\n"
	    "\t\ttype filter hook forward priority filter - 10; policy accept;\n"
	    "\t\tcounter drop comment \"block mode: a ?reason?\"\n\t}\n\n"
	    "\tchain postrouting {\n\t\tcomment \"packets of this host, once it is known whether IPsec protects them\"\n"
	    "\t\ttype filter hook postrouting priority filter - 10; policy accept;\n"
	    "\t\toif \"lo\" counter accept comment \"loopback\"\n"
	    "\t\tcounter drop comment \"block mode: a ?reason?\"\n\t}\n}\n");
	free(text);
	ruleset_free(r);
	assert_int_equal(block_render(&r, "x", m->facts, &m->o, &err), 0);
	text = written(r);
	has(text, "10.0.0.1 . tcp . 389 comment");
	has(text, "\t\tjump lifeline_in\n\t\tcounter drop");
	free(text);
	ruleset_free(r);
	mk_free(m);
}

static void startup_refused(enum boot_mode mode, const char *policy, enum err_code code, const char *msg)
{
	struct mk *m = mk_policy(policy);
	struct ruleset *r = (void *)-1;
	struct err err;

	assert_int_equal(boot_render(&r, mode, &m->boot, NULL, NULL, &err), -1);
	assert_string_equal(err.msg, msg);
	assert_int_equal(err.code, code);
	assert_ptr_equal(r, (void *)-1);
	mk_free(m);
}

static void test_startup(void **state)
{
	struct mk *m = mk_policy("lifeline\ndiagnostics 7\nfact dc 10.0.0.1");
	struct ruleset *r;
	struct err err;
	char *text;

	(void)state;
	startup_refused(BOOT_PERMIT, "", ERR_UNSUPPORTED, "boot mode 1 is neither stateful nor block");
	startup_refused(BOOT_AUTO, "", ERR_UNSUPPORTED, "boot mode 0 is neither stateful nor block");
	startup_refused(BOOT_BLOCK, "exempt 1 0 8 in", ERR_UNSUPPORTED, "boot exemption 1: port without TCP or UDP");
	startup_refused(BOOT_STATEFUL, "exempt 17 0 8 in\nexempt 0 0 0 in", ERR_FORMAT, "boot exemption 2 has no protocol");
	m->boot.n_exemptions = SETTINGS_MAX_EXEMPTIONS + 1;
	assert_int_equal(boot_render(&r, BOOT_BLOCK, &m->boot, NULL, NULL, &err), -1);
	assert_string_equal(err.msg, "65 boot exemptions");
	m->boot.n_exemptions = 0;
	/* No facts: no lifeline, whatever the options say.  No options: neither, and nothing logged. */
	assert_int_equal(boot_render(&r, BOOT_BLOCK, &m->boot, NULL, &m->o, &err), 0);
	text = written(r);
	has(text, "\"ipsecpol out mode\"");
	hasnot(text, "lifeline");
	free(text);
	ruleset_free(r);
	assert_int_equal(boot_render(&r, BOOT_STATEFUL, &m->boot, m->facts, NULL, &err), 0);
	text = written(r);
	hasnot(text, "log");
	hasnot(text, "lifeline");
	has(text, "table inet ipsecpol {\n\tcomment \"boot mode: stateful\"\n");
	free(text);
	ruleset_free(r);
	mk_free(m);
}

/* Nothing but what is dropped changes with diagnostics, and what passes passes. */
static void test_diagnostics(void **state)
{
	static const char policy[] = "rule block B\nfilter me 10.0.0.1/32 any * * mirrored\nfilter 10.0.0.0/8 any any * *\n"
	    "rule permit P\nfilter me any 1 * * mirrored\n";
	struct ruleset *off, *on;
	enum act_hook h;
	enum drop_kind k;
	char *text, *with;

	(void)state;
	off = rendered(policy);
	assert_true(asprintf(&with, "diagnostics %d\n%s", DIAG_ERRORS, policy) > 0);
	on = rendered(with);
	assert_int_equal(ruleset_diff(off, on, NULL), 0);
	free(with);
	ruleset_free(on);
	assert_true(asprintf(&with, "diagnostics %d\n%s", DIAG_INBOUND, policy) > 0);
	on = rendered(with);
	text = written(on);
	has(text, "10.0.0.1 comment \"f:00000001 r:10000000 g:aaaaaaaa B\" : goto block_in");
	has(text, "10.0.0.1 comment \"f:00000001 r:10000000 g:aaaaaaaa B\" : drop");	/* outbound */
	has(text, "10.0.0.0 comment \"f:00000002 r:10000000 g:aaaaaaaa B\" : goto block_fwd");
	has(text, "icmp comment \"f:00000003 r:20000000 g:aaaaaaaa P\" : accept");
	hasnot(text, "block_out");
	free(text);
	free(with);
	ruleset_free(on);
	ruleset_free(off);
	assert_true(drop_prefix_read(&h, &k, "ipsecpol fwd clear"));
	assert_int_equal(h, ACT_FORWARD);
	assert_int_equal(k, DROP_CLEAR);
	assert_string_equal(drop_prefix(h, k), "ipsecpol fwd clear");
	assert_false(drop_prefix_read(&h, &k, "ipsecpol fwd"));
	assert_false(drop_prefix_read(&h, &k, ""));
}

static void test_json_log(void **state)
{
	struct ruleset *r = rendered("diagnostics 2\nstore local\nrule block B\nfilter any me tcp * 80");
	json_t *j = ruleset_json(r), *e, *c, *rule;

	(void)state;
	e = json_array_get(json_object_get(json_array_get(json_object_get(j, "sets"), 0), "elements"), 0);
	assert_string_equal(json_string_value(json_object_get(e, "store")), "local");
	assert_null(json_object_get(e, "gpo"));
	assert_string_equal(json_string_value(json_object_get(e, "chain")), "block_in");
	c = json_array_get(json_object_get(j, "chains"), json_array_size(json_object_get(j, "chains")) - 1);
	assert_string_equal(json_string_value(json_object_get(c, "name")), "block_in");
	rule = json_array_get(json_object_get(c, "rules"), 0);
	assert_string_equal(json_string_value(json_object_get(rule, "log")), "ipsecpol in block");
	assert_string_equal(json_string_value(json_object_get(rule, "verdict")), "none");
	assert_string_equal(json_string_value(json_object_get(rule, "text")),
	    "limit rate 50/second burst 100 packets log prefix \"ipsecpol in block\" group 4500");
	json_decref(j);
	ruleset_free(r);
}

static void test_json(void **state)
{
	struct ruleset *r = rendered("rule block B\nfilter me 10.0.0.1/32 tcp * 80");
	json_t *j = ruleset_json(r), *set, *e, *c;

	(void)state;
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "table")), "ipsecpol");
	set = json_array_get(json_object_get(j, "sets"), 0);
	assert_string_equal(json_string_value(json_object_get(set, "name")), "out4_sme_d32_p_dp");
	assert_string_equal(json_string_value(json_object_get(set, "type")), "ipv4_addr . inet_proto . inet_service : verdict");
	e = json_array_get(json_object_get(set, "elements"), 0);
	assert_string_equal(json_string_value(json_object_get(e, "key")), "10.0.0.1 . tcp . 80");
	assert_string_equal(json_string_value(json_object_get(e, "verdict")), "drop");
	assert_string_equal(json_string_value(json_object_get(e, "filter")), "{00000001-0006-0000-0000-000000000000}");
	assert_string_equal(json_string_value(json_object_get(e, "rule")), "{10000000-0003-0000-0000-000000000000}");
	assert_string_equal(json_string_value(json_object_get(e, "gpo")), "{aaaaaaaa-0002-0000-0000-000000000000}");
	assert_string_equal(json_string_value(json_object_get(e, "store")), "domain");
	c = json_array_get(json_object_get(j, "chains"), 0);
	assert_string_equal(json_string_value(json_object_get(c, "hook")), "input");
	assert_int_equal(json_integer_value(json_object_get(c, "priority")), -10);
	json_decref(j);
	ruleset_free(r);
}

/* ---- differences ---- */

static size_t diff_text(const struct ruleset *want, const struct ruleset *have, char **text)
{
	size_t len, n;
	FILE *out;

	*text = NULL;
	out = open_memstream(text, &len);
	assert_non_null(out);
	n = ruleset_diff(want, have, out);
	fclose(out);
	return n;
}

static void test_diff(void **state)
{
	struct ruleset *a = rendered("rule block B\nfilter me 10.0.0.1/32 any * *\nfilter me 10.0.0.2/32 any * *");
	struct ruleset *b = rendered("rule permit B\nfilter me 10.0.0.1/32 any * *\nfilter me 10.0.0.2/32 any * *");
	struct ruleset *c = rendered("rule block B\nfilter me 10.0.0.1/32 any * *\nfilter me 10.0.0.2/32 any * *\n"
	    "filter me any any * *");
	uint8_t da[32], db[32];
	char *text;

	(void)state;
	assert_int_equal(ruleset_diff(a, a, NULL), 0);
	assert_int_equal(ruleset_diff(NULL, NULL, NULL), 0);
	assert_int_equal(diff_text(a, b, &text), 4);
	assert_string_equal(text,
	    "- element out4_sme_d32: 10.0.0.1 comment \"f:00000001 r:10000000 g:aaaaaaaa B\" : accept\n"
	    "+ element out4_sme_d32: 10.0.0.1 comment \"f:00000001 r:10000000 g:aaaaaaaa B\" : drop\n"
	    "- element out4_sme_d32: 10.0.0.2 comment \"f:00000002 r:10000000 g:aaaaaaaa B\" : accept\n"
	    "+ element out4_sme_d32: 10.0.0.2 comment \"f:00000002 r:10000000 g:aaaaaaaa B\" : drop\n");
	free(text);
	/* Two rules for this host alone have a chain of their own. */
	assert_int_equal(diff_text(c, a, &text), 10);
	has(text, "+ rule out4_me: meta nfproto ipv4 ip daddr vmap @out4_sme_d32\n");
	has(text, "+ rule out4_me: meta nfproto ipv4 counter drop "
	    "comment \"f:00000003 r:10000000 g:aaaaaaaa B\"\n");
	has(text, "+ chain out6 comment \"filters, most specific first\"\n");
	free(text);
	assert_true(diff_text(a, NULL, &text) > 20);
	has(text, "+ table inet ipsecpol comment \"policy");
	hasnot(text, "\n- ");
	free(text);
	assert_true(diff_text(NULL, a, &text) > 20);
	hasnot(text, "\n+ ");
	free(text);
	ruleset_digest(a, da);
	ruleset_digest(b, db);
	assert_memory_not_equal(da, db, 32);
	ruleset_free(b);
	b = rendered("rule block B\nfilter me 10.0.0.1/32 any * *\nfilter me 10.0.0.2/32 any * *");
	ruleset_digest(b, db);
	assert_memory_equal(da, db, 32);
	ruleset_free(a);
	ruleset_free(b);
	ruleset_free(c);
}

/* The order of rules in the policy means nothing. */
static void test_order_free(void **state)
{
	struct mk *m = mk_policy("rule permit A\nfilter 10.0.0.1-10.0.0.9 any tcp * 80\nfilter me 10.0.0.0/24 any * *\n"
	    "rule block B\nfilter 10.0.0.2-10.0.0.10 any tcp * 80\nfilter me 10.0.0.0/24 any * *\n"
	    "rule require C\nfilter me any tcp 1-9 *\nfilter me any tcp * 1-9");
	struct ipsec_rule *rules = m->policies[0]->rules, swap;
	struct ruleset *a, *b;
	struct err err;

	(void)state;
	assert_int_equal(mk_render(&a, m, &err), 0);
	swap = rules[0];
	rules[0] = rules[2];
	rules[2] = rules[1];
	rules[1] = swap;
	assert_int_equal(mk_render(&b, m, &err), 0);
	assert_int_equal(ruleset_diff(a, b, NULL), 0);
	ruleset_free(a);
	ruleset_free(b);
	mk_free(m);
}

/* ---- transactions ---- */

static char *object_text(const struct nlbatch *b, uint32_t seq)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	batch_object_write(b, seq, out);
	fclose(out);
	return text;
}

/* A transaction that creates a table reads like a dump of it. */
static void test_readback(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ruleset *want = case_ruleset(cases[i]), *have;
		struct nlbatch *b;
		struct err err;
		char *text;

		assert_int_equal(batch_build(&b, want, NULL, 7, &err), 0);
		assert_int_equal(readback_parse(&have, b->bytes, b->len, &err), 0);
		assert_non_null(have);
		if (diff_text(want, have, &text))
			fail_msg("render-%s:\n%s", cases[i], text);
		free(text);
		ruleset_free(have);
		ruleset_free(want);
		batch_free(b);
	}
}

static void test_batch_frame(void **state)
{
	struct ruleset *r = rendered("rule block B\nfilter me 10.0.0.1/32 any * *");
	const struct nlmsghdr *h, *last = NULL;
	struct nlbatch *b;
	struct err err;
	size_t at = 0, n = 0, acks = 0;

	(void)state;
	assert_int_equal(batch_build(&b, r, NULL, 0, &err), 0);
	assert_int_equal(((const struct nlmsghdr *)(void *)b->bytes)->nlmsg_type, 16);	/* BATCH_BEGIN */
	for (; at < b->len; at += h->nlmsg_len, n++) {
		h = (const void *)(b->bytes + at);
		acks += h->nlmsg_flags & NLM_F_ACK ? 1 : 0;
		if (h->nlmsg_type == 17) {
			assert_true(last->nlmsg_flags & NLM_F_ACK);
			assert_int_equal(at + h->nlmsg_len, b->len);
		}
		last = h;
	}
	assert_int_equal(last->nlmsg_type, 17);	/* BATCH_END */
	assert_int_equal(n, b->n_objects + 2);	/* one element only */
	assert_int_equal(acks, 1);
	batch_free(b);
	assert_int_equal(batch_build(&b, r, r, 0, &err), 0);
	assert_int_equal(b->n_objects, 0);
	batch_free(b);
	ruleset_free(r);
}

static void test_batch_names(void **state)
{
	struct ruleset *a = rendered("rule block B\nfilter me 10.0.0.1/32 tcp * 80\nfilter me any any * *");
	struct ruleset *b = rendered("rule permit B\nfilter me 10.0.0.1/32 tcp * 80\nfilter me any any * *");
	struct nlbatch *x;
	struct err err;
	char *text;

	(void)state;
	assert_int_equal(batch_build(&x, a, b, 0, &err), 0);
	/* the element twice; out4_me and out6 emptied and filled with a lookup and a rule, a rule */
	assert_int_equal(x->n_objects, 7);
	text = object_text(x, x->first_seq);
	assert_string_equal(text, "empty chain out4_me");
	free(text);
	text = object_text(x, x->first_seq + 2);
	assert_string_equal(text, "delete element 10.0.0.1 . tcp . 80 of map out4_sme_d32_p_dp "
	    "(filter {00000001-0006-0000-0000-000000000000} of rule {10000000-0003-0000-0000-000000000000})");
	free(text);
	text = object_text(x, x->first_seq + 5);
	has(text, "add rule 'meta nfproto ipv4 counter drop comment");
	has(text, "' of chain out4_me (filter {00000002-");
	free(text);
	text = object_text(x, x->first_seq + 99);
	assert_string_equal(text, "the transaction");
	free(text);
	batch_free(x);
	assert_int_equal(batch_build(&x, NULL, a, 0, &err), 0);
	assert_int_equal(x->n_objects, 1);
	text = object_text(x, x->first_seq);
	assert_string_equal(text, "delete table inet ipsecpol");
	free(text);
	batch_free(x);
	ruleset_free(a);
	ruleset_free(b);
}

/* Cut anywhere and with any byte changed: an error or a value, never more. */
static void test_readback_hostile(void **state)
{
	struct ruleset *r = case_ruleset(*state ? *state : "servers"), *have;
	struct nlbatch *b;
	struct err err;
	uint8_t *copy;

	assert_int_equal(batch_build(&b, r, NULL, 0, &err), 0);
	for (size_t len = 0; len < b->len; len += 3) {
		copy = malloc(len + 1);
		memcpy(copy, b->bytes, len);
		if (readback_parse(&have, copy, len, &err) == 0)
			ruleset_free(have);
		free(copy);
	}
	copy = malloc(b->len);
	for (size_t at = 0; at < b->len; at++) {
		memcpy(copy, b->bytes, b->len);
		copy[at] ^= (uint8_t)(1 + at % 255);
		if (readback_parse(&have, copy, b->len, &err) == 0)
			ruleset_free(have);
	}
	memset(copy, 0xff, 64);
	assert_int_equal(readback_parse(&have, copy, 64, &err), -1);
	assert_string_equal(err.msg, "byte 0 of the kernel's answer starts no message");
	assert_int_equal(readback_parse(&have, copy, 0, &err), 0);
	assert_null(have);
	free(copy);
	batch_free(b);
	ruleset_free(r);
}

/* No quadratic loop: 50,000 filters of three shapes, against one that lacks the last. */
static void test_many(void **state)
{
	char *text = NULL;
	struct ruleset *r, *less;
	struct nlbatch *b;
	struct err err;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	fputs("rule block B\n", out);
	for (int i = 0; i < 50000; i++)
		fprintf(out, "filter me 10.%d.%d.%d/32 %s * *\n", i >> 16, i >> 8 & 255, i & 255, i % 3 ? "any" : "17");
	fclose(out);
	r = rendered(text);
	*strrchr(text, '\n') = '\0';
	*strrchr(text, '\n') = '\0';
	less = rendered(text);
	free(text);
	assert_int_equal(ruleset_diff(r, less, NULL), 1);
	assert_int_equal(batch_build(&b, r, less, 0, &err), 0);
	assert_int_equal(b->n_objects, 1);
	batch_free(b);
	ruleset_free(r);
	ruleset_free(less);
}

static char *many_filters(const char *head, int n, const char *tail)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs(head, out);
	for (int i = 0; i < n; i++)
		fprintf(out, "filter any 10.%d.%d.%d/32 any * * mirrored\n", i >> 16, i >> 8 & 255, i & 255);
	fputs(tail, out);
	fclose(out);
	return text;
}

/* A shape of more than 65,536 filters has several maps, and reads back whole. */
static void test_parts(void **state)
{
	char *text = many_filters("rule block B\n", 66000, "");
	struct ruleset *r = rendered(text), *have;
	const struct rs_chain *c = ruleset_chain(r, "in4");
	struct nlbatch *b;
	struct err err;

	(void)state;
	free(text);
	assert_int_equal(ruleset_set(r, "in4_s32")->n_elements, 65536);
	assert_int_equal(ruleset_set(r, "in4_s32_2")->n_elements, 66000 - 65536);
	assert_string_equal(ruleset_set(r, "in4_s32_2")->comment, "source /32, part 2");
	assert_null(ruleset_set(r, "in4_s32_3"));
	/* Inbound the destination is this host's side. */
	assert_int_equal(c->n_rules, 4);
	assert_string_equal(c->rules[0].vmap->set, "in4_d32");
	assert_string_equal(c->rules[1].vmap->set, "in4_d32_2");
	assert_string_equal(c->rules[2].vmap->set, "in4_s32");
	assert_string_equal(c->rules[3].vmap->set, "in4_s32_2");
	assert_int_equal(batch_build(&b, r, NULL, 0, &err), 0);
	assert_int_equal(readback_parse(&have, b->bytes, b->len, &err), 0);
	assert_int_equal(ruleset_diff(r, have, NULL), 0);
	batch_free(b);
	ruleset_free(have);
	ruleset_free(r);
}

static void test_limit(void **state)
{
	char *text = many_filters("rule permit P\nfilter me 192.0.2.1/32 any * *\nrule block R\n", 106667,
	    "rule block Last\nfilter me any any * *\n");

	(void)state;
	refused(text, ERR_LIMIT, "rule {20000000-0003-0000-0000-000000000000} 'R': "
	    "filter {0001a0ac-0006-0000-0000-000000000000}: with it the policy unfolds into more than 640000 filters");
	free(text);
}

/* One of those with ranges is named, and the elements that are no pieces count. */
static void test_pieces_limit(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct ruleset *r;

	(void)state;
	/* Outbound, 30 pieces each. */
	fputs("rule permit Few\n", out);
	for (int i = 0; i < 21333; i++)
		fprintf(out, "filter me 10.0.%d.%d/32 tcp * 1-65534\n", i >> 8, i & 255);
	for (int i = 0; i < 10; i++)
		fprintf(out, "filter me 10.0.%d.0/24 any * *\n", i);
	fflush(out);
	r = rendered(text);
	assert_int_equal(ruleset_set(r, "out4_sme_d32_p_dp16_r")->n_elements, 2 * 21333);
	assert_int_equal(ruleset_set(r, "out4_sme_d32_p_dp2_r")->n_elements, 2 * 21333);
	ruleset_free(r);
	fputs("rule permit Last\nfilter me 10.0.9.0/24 tcp * 80\n", out);
	fclose(out);
	refused(text, ERR_LIMIT, "rule {10000000-0003-0000-0000-000000000000} 'Few': filter {00005355-0006-0000-0000-000000000000}: "
	    "with its ranges the maps of the policy have more than 640000 elements");
	free(text);
}

/* Rules that share their filters: the one that counts stays, also among ranges. */
static void test_same(void **state)
{
	struct ruleset *r = rendered("rule permit P\nfilter #1 me 10.0.0.1/32 any * *\nfilter #2 me 10.0.0.1-10.0.0.9 any * *\n"
	    "rule block B\nfilter #1 me 10.0.0.1/32 any * *\nfilter #2 me 10.0.0.1-10.0.0.9 any * *\n"
	    "rule request R\nfilter #1 me 10.0.0.1/32 any * *\nfilter #2 me 10.0.0.1-10.0.0.9 any * *\n");
	char *text = written(r);

	(void)state;
	assert_int_equal(ruleset_set(r, "out4_sme_d32")->n_elements, 1);
	assert_int_equal(ruleset_chain(r, "out4_me")->n_rules, 2);
	has(text, "10.0.0.1 comment \"f:00000001 r:20000000 g:aaaaaaaa B\" : drop");
	has(text, "ip daddr 10.0.0.1-10.0.0.9 counter drop comment \"f:00000002 r:20000000 g:aaaaaaaa B\"");
	/* Nor is there a chain for what nobody goes to. */
	hasnot(text, "request");
	free(text);
	ruleset_free(r);
}

/* Many elements in one message, each found by its place. */
static void test_locate(void **state)
{
	struct ruleset *r = rendered("rule block B\nfilter me 10.0.0.1/32 any * *\nfilter me 10.0.0.2/32 any * *\n"
	    "filter me 10.0.0.3/32 any * *");
	struct nlbatch *b;
	struct err err;
	uint32_t seq, first, at = 0;
	char *text;

	(void)state;
	assert_int_equal(batch_build(&b, r, NULL, 0, &err), 0);
	while (b->objects[at].n_group != 3)
		at++;
	first = b->objects[at].seq;
	for (at = 0, seq = first; !batch_locate(b, &seq, at); at++)
		assert_true(at < 1000);
	assert_int_equal(seq, first);
	for (; seq == first; at++, seq = first)
		if (!batch_locate(b, &seq, at) || seq != first)
			break;
	assert_int_equal(seq, first + 1);
	text = object_text(b, seq);
	has(text, "add element 10.0.0.2 of map out4_sme_d32 (filter {00000002-");
	free(text);
	seq = first;
	assert_false(batch_locate(b, &seq, 0));
	assert_false(batch_locate(b, &seq, 100000));
	seq = b->first_seq;
	assert_false(batch_locate(b, &seq, 24));
	seq = 99999;
	assert_false(batch_locate(b, &seq, 24));
	batch_free(b);
	ruleset_free(r);
}

static void test_numbers(void **state)
{
	uint8_t b[16];

	(void)state;
	memset(b, 0xff, sizeof(b));
	rs_num_put(b, RS_SADDR6, 0x01020304);
	assert_memory_equal(b, "\0\0\0\0\0\0\0\0\0\0\0\0\1\2\3\4", 16);
	assert_int_equal(rs_num_get(b, RS_SADDR6), 0x01020304);
	rs_num_put(b, RS_DPORT, 0x1234);
	assert_memory_equal(b, "\x12\x34", 2);
	assert_int_equal(rs_num_get(b, RS_DPORT), 0x1234);
	rs_num_put(b, RS_DADDR4, 0x0a000001);
	assert_memory_equal(b, "\x0a\0\0\1", 4);
}

int main(void)
{
	static char logging[] = "diagnostics";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_values),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_me_both_sides),
		cmocka_unit_test(test_require_is_tight),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_order_free),
		cmocka_unit_test(test_readback),
		cmocka_unit_test(test_batch_frame),
		cmocka_unit_test(test_batch_names),
		cmocka_unit_test(test_readback_hostile),
		cmocka_unit_test_prestate(test_readback_hostile, logging),
		cmocka_unit_test(test_startup),
		cmocka_unit_test(test_diagnostics),
		cmocka_unit_test(test_json_log),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_pieces_limit),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_locate),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
