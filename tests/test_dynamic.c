/* The dynamic context, and the counting of drops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/diag_count.h"
#include "agent/dynamic.h"
#include "agent/netsh.h"
#include "nft/action.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/err.h"

static struct dynamic *d;
static struct err err;
static unsigned n_ids;

static int setup(void **state)
{
	(void)state;
	d = dynamic_copy(NULL);
	n_ids = 0;
	return d ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	dynamic_free(d);
	return 0;
}

/* The n-th command has the id {n0000000-...}. */
static int run_on(struct dynamic *to, const char *line)
{
	struct arena *a = arena_new(0);
	struct guid id = { { 0, 0, 0, (uint8_t)(++n_ids << 4) } };
	struct netsh_args args;
	char **words;
	size_t n;
	int rc;

	id.b[8] = (uint8_t)(n_ids >> 8);
	id.b[9] = (uint8_t)n_ids;
	memset(&err, 0, sizeof(err));
	if (netsh_split(&words, &n, a, line, strlen(line), &err) < 0)
		fail_msg("%s: %s", line, err.msg);
	rc = netsh_parse(&args, a, NETSH_DYNAMIC, words, n, &err) < 0 ? -1 : dynamic_run(to, &args, &id, &err);
	arena_free(a);
	return rc;
}

static void good(const char *line)
{
	if (run_on(d, line) < 0)
		fail_msg("%s: %s", line, err.msg);
}

static char *dump(const struct dynamic *of)
{
	struct ipsec_policy **p = NULL;
	uint8_t **hooks = NULL;
	char *text = NULL;
	size_t n = 0, len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < of->n_mms; i++)
		fprintf(out, "mm %s %u %u %u %zu\n", of->mms[i].name, of->mms[i].qm_limit, of->mms[i].life_seconds, of->mms[i].soft_sa_seconds, of->mms[i].n_offers);
	for (size_t i = 0; i < of->n_qms; i++)
		fprintf(out, "qm %s %d %s %zu\n", of->qms[i].name, of->qms[i].soft, dynamic_pfs_name(of->qms[i].pfs), of->qms[i].n_offers);
	assert_int_equal(dynamic_policies(&p, &hooks, &n, of, &err), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(policy_write(p[i], POLICY_SEALED, out), 0);
		for (size_t k = 0; hooks[i] && k < p[i]->n_rules; k++)
			fprintf(out, "hooks %d\n", hooks[i][k]);
	}
	dynamic_policies_free(p, hooks, n);
	fclose(out);
	return text;
}

/* Refused with these words, and nothing has changed. */
static void bad(const char *line, enum err_code code, const char *words)
{
	char *before = dump(d), *after;

	if (run_on(d, line) == 0)
		fail_msg("%s: was taken", line);
	if (!strstr(err.msg, words) || err.code != code)
		fail_msg("%s: code %s: %s", line, err_code_name(err.code), err.msg);
	after = dump(d);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

/* ---- main mode and quick mode policies ---- */

static void test_policies(void **state)
{
	(void)state;
	good("add mmpolicy name=Main qmpermm=5 mmlifetime=60 softsaexpirationtime=10 mmsecmethods=\"3DES-SHA1-3 DES-MD5-1\"");
	good("add mmpolicy name=plain");
	good("add qmpolicy name=quick soft=yes pfsgroup=GRP2 qmsecmethods=\"ESP[3DES,SHA1]:1000k/900s AH[MD5]\"");
	good("add qmpolicy name=plain");
	assert_int_equal(d->n_mms, 2);
	assert_int_equal(d->mms[0].qm_limit, 5);
	assert_int_equal(d->mms[0].life_seconds, 3600);
	assert_int_equal(d->mms[0].soft_sa_seconds, 600);
	assert_int_equal(d->mms[0].n_offers, 2);
	assert_int_equal(d->mms[0].offers[0].group, 14);
	assert_int_equal(d->mms[0].offers[1].encryption, IPSEC_CIPHER_DES);
	assert_int_equal(d->mms[1].life_seconds, 28800);
	assert_int_equal(d->mms[1].n_offers, 2);
	assert_int_equal(d->qms[0].pfs, DYNAMIC_GRP2);
	assert_true(d->qms[0].soft);
	assert_int_equal(d->qms[0].offers[0].life_kbytes, 1000);
	assert_false(d->qms[1].soft);
	assert_int_equal(d->qms[1].pfs, DYNAMIC_NOPFS);

	good("set mmpolicy name=MAIN mmlifetime=2");
	assert_int_equal(d->mms[0].life_seconds, 120);
	assert_int_equal(d->mms[0].qm_limit, 5);
	assert_int_equal(d->mms[0].n_offers, 2);
	good("set qmpolicy name=quick soft=no pfsgroup=GRPMM");
	assert_false(d->qms[0].soft);
	assert_int_equal(d->qms[0].pfs, DYNAMIC_GRPMM);
	assert_int_equal(d->qms[0].n_offers, 2);

	bad("add mmpolicy name=main", ERR_BUSY, "there is a main mode policy 'main' already");
	bad("add qmpolicy name=QUICK", ERR_BUSY, "there is a quick mode policy 'QUICK' already");
	bad("add mmpolicy name=all", ERR_FORMAT, "'all' means every one");
	bad("set mmpolicy name=none mmlifetime=2", ERR_ABSENT, "there is no main mode policy 'none'");
	bad("set qmpolicy name=none soft=yes", ERR_ABSENT, "there is no quick mode policy 'none'");
	bad("delete mmpolicy name=none", ERR_ABSENT, "there is no main mode policy 'none'");
	bad("delete qmpolicy name=none", ERR_ABSENT, "there is no quick mode policy 'none'");
	good("delete mmpolicy name=plain");
	assert_int_equal(d->n_mms, 1);
	assert_string_equal(d->mms[0].name, "Main");
	good("delete qmpolicy name=all");
	assert_int_equal(d->n_qms, 0);
	good("delete mmpolicy all");
	assert_int_equal(d->n_mms, 0);
}

/* ---- rules ---- */

static void test_rules(void **state)
{
	(void)state;
	good("add mmpolicy name=m");
	good("add qmpolicy name=q");
	good("add rule srcaddr=any dstaddr=me protocol=TCP dstport=23 actioninbound=block actionoutbound=block");
	good("add rule srcaddr=me dstaddr=10.0.0.0 dstmask=255.0.0.0 mmpolicy=M qmpolicy=Q psk=secret kerberos=yes");
	assert_int_equal(d->n_rules, 2);
	assert_int_equal(d->rules[0].inbound, IPSEC_BLOCK);
	assert_int_equal(d->rules[0].filter.dst_port.lo, 23);
	assert_true(d->rules[0].filter.mirrored);
	assert_int_equal(d->rules[1].inbound, IPSEC_NEGOTIATE);
	assert_int_equal(d->rules[1].filter.dst.prefix, 8);
	assert_int_equal(d->rules[1].n_auth, 2);
	assert_int_equal(d->rules[1].auth[0].method, IPSEC_AUTH_PSK);
	assert_string_equal(d->rules[1].auth[0].text, "secret");
	assert_int_equal(d->rules[1].auth[1].method, IPSEC_AUTH_KERBEROS);

	/* Known by its tags: another mask or port is another rule. */
	bad("add rule srcaddr=any dstaddr=me protocol=6 dstport=23 actioninbound=permit actionoutbound=permit", ERR_BUSY,
	    "there is a rule any to me tcp *:23 mirrored already");
	good("add rule srcaddr=any dstaddr=me protocol=TCP dstport=23 mirrored=no actioninbound=permit actionoutbound=permit");
	good("add rule srcaddr=any dstaddr=me protocol=TCP dstport=23 conntype=lan actioninbound=permit actionoutbound=block");
	assert_int_equal(d->n_rules, 4);
	assert_int_equal(d->rules[3].conntype, IPSEC_CONN_LAN);
	bad("delete rule srcaddr=me dstaddr=10.0.0.0", ERR_ABSENT, "there is no rule me to 10.0.0.0/32 mirrored");
	bad("set rule srcaddr=any dstaddr=me protocol=UDP dstport=23 actioninbound=permit", ERR_ABSENT,
	    "there is no rule any to me udp *:23 mirrored");
	good("delete rule srcaddr=any dstaddr=me protocol=TCP dstport=23 conntype=lan");
	good("delete rule srcaddr=any dstaddr=me protocol=TCP dstport=23 mirrored=no");
	assert_int_equal(d->n_rules, 2);

	good("set rule srcaddr=any dstaddr=me protocol=TCP dstport=23 actioninbound=permit");
	assert_int_equal(d->rules[0].inbound, IPSEC_PERMIT);
	assert_int_equal(d->rules[0].outbound, IPSEC_BLOCK);
	bad("set rule srcaddr=any dstaddr=me protocol=TCP dstport=23 actionoutbound=negotiate", ERR_FORMAT, "'mmpolicy' is missing");
	good("set rule srcaddr=me dstaddr=10.0.0.0 dstmask=8 rootca=\"CN=Root certmap:yes\"");
	assert_int_equal(d->rules[1].n_auth, 1);
	assert_int_equal(d->rules[1].auth[0].method, IPSEC_AUTH_CERT);
	assert_true(d->rules[1].auth[0].map_account);
	assert_string_equal(d->rules[1].auth[0].text, "CN=Root");
	assert_string_equal(d->rules[1].mm, "M");

	bad("delete mmpolicy name=m", ERR_BUSY, "main mode policy 'M' is used by the rule me to 10.0.0.0/8 mirrored");
	bad("delete qmpolicy all", ERR_BUSY, "quick mode policy 'Q' is used by the rule");
	bad("delete mmpolicy all", ERR_BUSY, "is used by the rule");
	good("delete all");
	assert_int_equal(d->n_rules + d->n_mms + d->n_qms, 0);
}

static void test_rule_errors(void **state)
{
	(void)state;
	good("add mmpolicy name=m");
	good("add qmpolicy name=q");
	bad("add rule srcaddr=me dstaddr=any", ERR_FORMAT, "'mmpolicy'");
	bad("add rule srcaddr=me dstaddr=any mmpolicy=m", ERR_FORMAT, "'qmpolicy'");
	bad("add rule srcaddr=me dstaddr=any mmpolicy=x qmpolicy=q", ERR_ABSENT, "'mmpolicy': there is no main mode policy 'x'");
	bad("add rule srcaddr=me dstaddr=any mmpolicy=m qmpolicy=x", ERR_ABSENT, "'qmpolicy': there is no quick mode policy 'x'");
	bad("add rule srcaddr=me dstaddr=any actioninbound=block actionoutbound=block mmpolicy=x", ERR_ABSENT, "no main mode policy 'x'");
	bad("add rule srcaddr=me dstaddr=any mmpolicy=m qmpolicy=q kerberos=no", ERR_FORMAT, "needs an authentication method");
	bad("add rule srcaddr=me dstaddr=me actioninbound=block actionoutbound=block", ERR_FORMAT, "both me");
	bad("add rule srcaddr=me dstaddr=peer.example actioninbound=block actionoutbound=block", ERR_FORMAT, "'peer.example' is a name that was not looked up");
	bad("add rule srcaddr=me dstaddr=10.0.0.1 tunneldstaddress=10.9.9.9 actioninbound=permit actionoutbound=block", ERR_FORMAT, "cannot permit");
	good("add rule srcaddr=me dstaddr=10.0.0.1 mirrored=no tunneldstaddress=10.9.9.9 mmpolicy=m qmpolicy=q");
	assert_true(d->rules[0].tunnel);
	bad("delete rule srcaddr=me dstaddr=10.0.0.1 mirrored=no", ERR_ABSENT, "there is no rule");
	good("delete rule srcaddr=me dstaddr=10.0.0.1 mirrored=no tunneldstaddress=10.9.9.9");
	good("add rule srcaddr=me dstaddr=GATEWAY actioninbound=block actionoutbound=block");
}

static void test_limit(void **state)
{
	char line[128];

	(void)state;
	for (int i = 0; i < DYNAMIC_MAX_RULES; i++) {
		snprintf(line, sizeof(line), "add rule srcaddr=me dstaddr=10.0.%d.%d actioninbound=block actionoutbound=block", i / 256, i % 256);
		good(line);
	}
	assert_int_equal(run_on(d, "add rule srcaddr=me dstaddr=10.1.0.0 actioninbound=block actionoutbound=block"), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.msg, "there are 4096 rules, which is the limit");
	assert_int_equal(d->n_rules, DYNAMIC_MAX_RULES);
}

static void test_copy(void **state)
{
	struct dynamic *copy;
	char *before, *after;

	(void)state;
	good("add mmpolicy name=m");
	good("add qmpolicy name=q");
	good("add rule srcaddr=me dstaddr=10.0.0.1 mmpolicy=m qmpolicy=q psk=secret");
	before = dump(d);
	copy = dynamic_copy(d);
	after = dump(copy);
	assert_string_equal(before, after);
	free(after);
	/* Neither knows of the other. */
	assert_int_equal(run_on(copy, "delete all"), 0);
	dynamic_free(copy);
	after = dump(d);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

/* ---- as policies ---- */

static void test_as_policies(void **state)
{
	struct ipsec_policy **p = NULL;
	uint8_t **hooks = NULL;
	size_t n = 9;

	(void)state;
	assert_int_equal(dynamic_policies(&p, &hooks, &n, NULL, &err), 0);
	assert_int_equal(n, 0);
	dynamic_policies_free(p, hooks, n);

	good("add mmpolicy name=used mmsecmethods=3DES-SHA1-2");				/* {1... */
	good("add mmpolicy name=unused");
	good("add qmpolicy name=q soft=yes pfsgroup=GRP1 qmsecmethods=ESP[3DES,SHA1]");		/* {3... */
	good("add rule srcaddr=me dstaddr=10.0.0.1 mmpolicy=used qmpolicy=q psk=secret");	/* {4... */
	good("add rule srcaddr=any dstaddr=me protocol=TCP dstport=23 actioninbound=block actionoutbound=block");
	good("add rule srcaddr=me dstaddr=10.0.0.2 actioninbound=permit actionoutbound=block");	/* {6... */
	good("add rule srcaddr=me dstaddr=10.0.0.3 actioninbound=negotiate actionoutbound=permit mmpolicy=used qmpolicy=q");
	assert_int_equal(dynamic_policies(&p, &hooks, &n, d, &err), 0);
	assert_int_equal(n, 2);

	assert_string_equal(p[0]->name, "dynamic rules, main mode used");
	assert_int_equal(p[0]->isakmp.n_offers, 1);
	assert_int_equal(p[0]->n_rules, 3);
	assert_int_equal(p[0]->n_negpols, 2);
	assert_int_equal(p[0]->n_filter_lists, 2);
	assert_non_null(hooks[0]);
	/* {4...}: both ways; {7...}: negotiate inbound and, being stricter, forwarded. */
	assert_int_equal(hooks[0][0], 7);
	assert_true(p[0]->rules[0].negpol->soft && p[0]->rules[0].negpol->pfs);
	assert_string_equal(p[0]->rules[0].name, "me to 10.0.0.1/32 mirrored");
	assert_string_equal(p[0]->rules[0].auth[0].text, "secret");
	assert_int_equal(hooks[0][1], 1 << ACT_IN | 1 << ACT_FORWARD);
	assert_int_equal(p[0]->rules[1].negpol->action, IPSEC_NEGOTIATE);
	assert_int_equal(hooks[0][2], 1 << ACT_OUT);
	assert_int_equal(p[0]->rules[2].negpol->action, IPSEC_PERMIT);
	assert_ptr_equal(p[0]->rules[1].filter_list, p[0]->rules[2].filter_list);

	assert_string_equal(p[1]->name, "dynamic rules");
	assert_int_equal(p[1]->n_rules, 3);
	assert_int_equal(hooks[1][0], 7);
	assert_int_equal(p[1]->rules[0].negpol->action, IPSEC_BLOCK);
	assert_int_equal(hooks[1][1], 1 << ACT_IN);
	assert_int_equal(hooks[1][2], 1 << ACT_OUT | 1 << ACT_FORWARD);
	assert_int_equal(p[1]->rules[2].negpol->action, IPSEC_BLOCK);
	dynamic_policies_free(p, hooks, n);

	/* Without different actions the hooks say nothing. */
	good("delete all");
	good("add rule srcaddr=me dstaddr=any actioninbound=block actionoutbound=block");
	assert_int_equal(dynamic_policies(&p, &hooks, &n, d, &err), 0);
	assert_int_equal(n, 1);
	assert_null(hooks[0]);
	dynamic_policies_free(p, hooks, n);
}

/* The order in which rules came is not seen. */
static void test_deterministic(void **state)
{
	struct dynamic *other = dynamic_copy(NULL);
	char *x, *y;

	(void)state;
	good("add rule srcaddr=me dstaddr=10.0.0.1 actioninbound=permit actionoutbound=block");
	good("add rule srcaddr=me dstaddr=10.0.0.2 actioninbound=block actionoutbound=block");
	n_ids = 1;
	assert_int_equal(run_on(other, "add rule srcaddr=me dstaddr=10.0.0.2 actioninbound=block actionoutbound=block"), 0);
	n_ids = 0;
	assert_int_equal(run_on(other, "add rule srcaddr=me dstaddr=10.0.0.1 actioninbound=permit actionoutbound=block"), 0);
	x = dump(d);
	y = dump(other);
	assert_string_equal(x, y);
	free(x);
	free(y);
	dynamic_free(other);
}

/* What the table says in the end. */
static char *rendered(const struct dynamic *of)
{
	const struct render_options o = { .ipsecexempt = 3 };
	struct render_source sources[4] = { 0 };
	struct ipsec_policy **p = NULL;
	struct ruleset *r = NULL;
	uint8_t **hooks = NULL;
	char *text = NULL;
	size_t n = 0, len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(dynamic_policies(&p, &hooks, &n, of, &err), 0);
	for (size_t i = 0; i < n; i++)
		sources[i] = (struct render_source){ .policy = p[i], .store = RENDER_DYNAMIC, .gpo_name = "", .rule_hooks = hooks[i] };
	if (policy_render(&r, sources, n, NULL, &o, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(ruleset_write(r, out), 0);
	fclose(out);
	ruleset_free(r);
	dynamic_policies_free(p, hooks, n);
	return text;
}

static void test_rendered(void **state)
{
	char *text;

	(void)state;
	good("add rule srcaddr=me dstaddr=10.0.0.2 protocol=TCP dstport=80 actioninbound=permit actionoutbound=block");
	text = rendered(d);
	/* Inbound the answers are let in, outbound the connection is blocked. */
	assert_non_null(strstr(text, "me to 10.0.0.2/32 tcp *:80 mirrored\" : accept }"));
	assert_non_null(strstr(text, "me to 10.0.0.2/32 tcp *:80 mirrored\" : drop }"));
	assert_non_null(strstr(text, "map in4_s32_dme_p_sp {"));
	assert_non_null(strstr(text, "map out4_sme_d32_p_dp {"));
	assert_null(strstr(text, "map in4_sme"));
	free(text);
}

/* ---- drops ---- */

static void test_rate(void **state)
{
	struct diag_rate r = { 0 };
	unsigned n = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		n += diag_rate_take(&r, 5000000);
	assert_int_equal(n, DIAG_BURST);
	/* One more each hundredth of a second, and not more than the burst after a long time. */
	assert_false(diag_rate_take(&r, 5009999));
	assert_true(diag_rate_take(&r, 5010000));
	assert_false(diag_rate_take(&r, 5010000));
	n = 0;
	for (int i = 0; i < 1000; i++)
		n += diag_rate_take(&r, 5010000 + (int64_t)i * 1000);
	assert_in_range(n, 98, 100);
	n = 0;
	for (int i = 0; i < 1000; i++)
		n += diag_rate_take(&r, INT64_C(9000000000000));
	assert_int_equal(n, DIAG_BURST);
	/* A clock that goes back gives nothing. */
	assert_false(diag_rate_take(&r, 0));
}

static void test_ring(void **state)
{
	struct diag_ring *r = calloc(1, sizeof(*r));
	const struct diag_drop *x;
	uint64_t missed = 9;
	size_t n = 0;

	(void)state;
	assert_null(diag_ring_after(r, 0, &missed));
	assert_int_equal(missed, 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(diag_ring_add(r)->number, i);
	x = diag_ring_after(r, 1, &missed);
	assert_int_equal(x->number, 2);
	assert_int_equal(missed, 0);
	x = diag_ring_next(r, x);
	assert_int_equal(x->number, 3);
	assert_null(diag_ring_next(r, x));
	assert_null(diag_ring_after(r, 3, &missed));
	assert_null(diag_ring_after(r, UINT64_MAX, &missed));
	for (int i = 4; i <= DIAG_RING + 10; i++)
		diag_ring_add(r);
	x = diag_ring_after(r, 3, &missed);
	assert_int_equal(x->number, 11);
	assert_int_equal(missed, 7);
	for (; x; x = diag_ring_next(r, x))
		n++;
	assert_int_equal(n, DIAG_RING);
	free(r);
}

static void test_tally(void **state)
{
	struct diag_tally *t = calloc(1, sizeof(*t));
	const struct diag_count *top[DIAG_TOP];
	struct diag_drop x = { .decided = true };

	(void)state;
	assert_int_equal(diag_tally_top(t, top), 0);
	for (unsigned i = 0; i < DIAG_TALLY + 5; i++) {
		memset(&x.origin, 0, sizeof(x.origin));
		x.origin.filter.b[3] = (uint8_t)(i >> 8);
		x.origin.filter.b[2] = (uint8_t)i;
		snprintf(x.rule, sizeof(x.rule), "rule %u", i);
		for (unsigned k = 0; k <= (i >= 7 && i < 20 ? i : 0); k++)
			diag_tally_add(t, &x);
	}
	assert_int_equal(t->others, 5);
	assert_int_equal(diag_tally_top(t, top), DIAG_TOP);
	for (unsigned i = 0; i < DIAG_TOP; i++) {
		char name[32];

		snprintf(name, sizeof(name), "rule %u", 19 - i);
		assert_string_equal(top[i]->rule, name);
		assert_int_equal(top[i]->n, 20 - i);
	}
	free(t);
}

static void test_xfrm(void **state)
{
	static const char text[] = "XfrmInError             \t0\nXfrmInNoStates          \t12\nnonsense\nXfrmOutPolBlock \t18446744073709551615\n";
	struct diag_xfrm before[DIAG_XFRM], now[DIAG_XFRM];
	char out[128];
	size_t n, m;

	(void)state;
	n = diag_xfrm_parse(before, text);
	assert_int_equal(n, 3);
	assert_string_equal(before[1].name, "XfrmInNoStates");
	assert_int_equal(before[1].value, 12);
	assert_int_equal(diag_xfrm_grown(before, n, before, n, out, sizeof(out)), 0);
	assert_string_equal(out, "");
	m = diag_xfrm_parse(now, "XfrmInError 1\nXfrmInNoStates 20\nXfrmNew 3");
	assert_int_equal(m, 3);
	assert_int_equal(diag_xfrm_grown(before, n, now, m, out, sizeof(out)), 3);
	assert_string_equal(out, "XfrmInError 1, XfrmInNoStates 8, XfrmNew 3");
	/* Cut, not past the end. */
	assert_int_equal(diag_xfrm_grown(before, n, now, m, out, 10), 3);
	assert_string_equal(out, "XfrmInErr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_policies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rule_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_as_policies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deterministic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rendered, setup, teardown),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_tally),
		cmocka_unit_test(test_xfrm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
