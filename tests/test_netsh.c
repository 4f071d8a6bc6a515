#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/netsh.h"
#include "schema/arena.h"
#include "schema/err.h"

/* ---- help for tests ------------------------------------------------------------ */

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(0);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static int try_line(struct netsh_args *ret, enum netsh_context context, const char *line, struct err *err)
{
	char **words;
	size_t n;

	if (netsh_split(&words, &n, arena, line, strlen(line), err) < 0)
		return -1;
	return netsh_parse(ret, arena, context, words, n, err);
}

static struct netsh_args good(enum netsh_context context, const char *line)
{
	struct netsh_args args = { 0 };
	struct err err = { 0 };

	if (try_line(&args, context, line, &err) < 0)
		fail_msg("%s: %s", line, err.msg);
	return args;
}

static void bad(enum netsh_context context, const char *line, enum err_code code, const char *message)
{
	struct netsh_args args = { 0 };
	struct err err = { 0 };

	if (try_line(&args, context, line, &err) == 0)
		fail_msg("%s: is taken", line);
	if (strcmp(err.msg, message))
		fail_msg("%s: '%s' instead of '%s'", line, err.msg, message);
	assert_int_equal(err.code, code);
	assert_null(args.command);
}

static char *written(const struct netsh_args *args)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(netsh_write(args, f), 0);
	fclose(f);
	return text;
}

/* `line` means what `canonical` says, and that means itself. */
static void same(enum netsh_context context, const char *line, const char *canonical)
{
	struct netsh_args args = good(context, line), again;
	char *once = written(&args), *twice;

	if (strcmp(once, canonical))
		fail_msg("%s\n  is %s\n  not %s", line, once, canonical);
	again = good(context, once);
	twice = written(&again);
	assert_string_equal(once, twice);
	assert_ptr_equal(args.command, again.command);
	assert_int_equal(args.n_values, again.n_values);
	free(once);
	free(twice);
}

/* ---- lines ------------------------------------------------------------------------ */

static void split_is(const char *line, size_t n, ...)
{
	char **words = NULL;
	struct err err = { 0 };
	size_t got = 77;
	va_list ap;

	if (netsh_split(&words, &got, arena, line, strlen(line), &err) < 0)
		fail_msg("%s: %s", line, err.msg);
	assert_int_equal(got, n);
	va_start(ap, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(words[i], va_arg(ap, const char *));
	va_end(ap);
}

static void test_split(void **state)
{
	(void)state;
	split_is("", 0);
	split_is(" \t \r\n", 0);
	split_is("# add policy", 0);
	split_is("  ; x", 0);
	split_is("rem", 0);
	split_is("@echo off", 0);
	split_is("echo What now", 0);
	split_is("ECHO.", 0);
	split_is(":again", 0);
	split_is(":: what follows", 0);
	split_is("@netsh ipsec", 2, "netsh", "ipsec");
	split_is("echoes @b", 2, "echoes", "@b");
	split_is("REM add \"policy", 0);
	split_is("remove x", 2, "remove", "x");
	split_is("add policy # x", 4, "add", "policy", "#", "x");
	split_is("a  b\tc\r\n", 3, "a", "b", "c");
	split_is("name=\"my list\"", 1, "name=my list");
	split_is("\"name=my list\" x", 2, "name=my list", "x");
	split_is("a\"b c\"d\"\"e \"\"", 2, "ab cde", "");
	split_is("\"say \\\"x\\\" \\'y\\'\"", 1, "say \"x\" \"y\"");
	split_is("it's c:\\dir\\ \"c:\\my dir\\x\"", 3, "it's", "c:\\dir\\", "c:\\my dir\\x");
	split_is("\\\"a b\"", 1, "\\a b");
}

static void test_split_bad(void **state)
{
	static char line[NETSH_MAX_LINE + 2];
	struct err err = { 0 };
	char **words;
	size_t n;

	(void)state;
	assert_int_equal(netsh_split(&words, &n, arena, "name=\"x", 7, &err), -1);
	assert_int_equal(err.code, ERR_FORMAT);
	assert_string_equal(err.msg, "a quote is not closed");
	assert_int_equal(netsh_split(&words, &n, arena, "\"x\\\"", 4, &err), -1);
	assert_int_equal(netsh_split(&words, &n, arena, "a\0b", 3, &err), -1);
	assert_string_equal(err.msg, "the line holds a NUL character");
	memset(line, 'x', sizeof(line));
	assert_int_equal(netsh_split(&words, &n, arena, line, NETSH_MAX_LINE, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(netsh_split(&words, &n, arena, line, NETSH_MAX_LINE + 1, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.msg, "the line is longer than 65536 bytes");
	for (size_t i = 1; i < sizeof(line); i += 2)
		line[i] = ' ';
	assert_int_equal(netsh_split(&words, &n, arena, line, 2 * NETSH_MAX_WORDS, &err), 0);
	assert_int_equal(n, NETSH_MAX_WORDS);
	assert_int_equal(netsh_split(&words, &n, arena, line, 2 * NETSH_MAX_WORDS + 1, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.msg, "the line has more than 512 words");
}

static void quote_is(const char *word, const char *text)
{
	char *got = NULL, **words;
	struct err err = { 0 };
	size_t len, n;
	FILE *f = open_memstream(&got, &len);

	netsh_quote(word, f);
	fclose(f);
	assert_string_equal(got, text);
	assert_int_equal(netsh_split(&words, &n, arena, got, len, &err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(words[0], word);
	free(got);
}

static void test_quote(void **state)
{
	(void)state;
	quote_is("plain", "plain");
	quote_is("it's", "it's");
	quote_is("c:\\dir\\", "c:\\dir\\");
	quote_is("", "\"\"");
	quote_is("#x", "\"#x\"");
	quote_is("a b", "\"a b\"");
	quote_is("a\tb", "\"a\tb\"");
	quote_is("say \"x\"", "\"say \\\"x\\\"\"");
	quote_is("c:\\my dir\\x", "\"c:\\my dir\\x\"");
	quote_is("c:\\my dir\\", "\"c:\\my dir\"\\");
	quote_is("a b\\\"c", "\"a b\"\\\"\\\"c\"");
	quote_is("a b\\'c", "\"a b\"\\\"'c\"");
	quote_is("\\\\ \\\\", "\"\\\\ \"\\\\");
}

/* ---- commands --------------------------------------------------------------------- */

/* Every command once with all its tags in their order, as it is written back. */
static const struct { enum netsh_context context; const char *line; } full[] = {
	{ NETSH_STATIC, "add policy name=\"my policy\" description=\"what for\" mmpfs=yes qmpermm=3 mmlifetime=240 activatedefaultrule=no "
	    "pollinginterval=60 assign=yes mmsecmethods=\"3DES-SHA1-3 DES-MD5-1\"" },
	{ NETSH_STATIC, "set policy name=a newname=b description=\"\" mmpfs=no qmpermm=0 mmlifetime=1 activatedefaultrule=yes "
	    "pollinginterval=71582788 assign=no gponame=\"Default Domain Policy\" mmsecmethods=\"DES-SHA1-2\"" },
	{ NETSH_STATIC, "set policy guid={72385230-70fa-11d1-864c-14a300000000} assign=yes" },
	{ NETSH_STATIC, "delete policy name=a" },
	{ NETSH_STATIC, "delete policy all" },
	{ NETSH_STATIC, "show policy name=a level=verbose format=table wide=yes" },
	{ NETSH_STATIC, "show policy all level=normal format=list wide=no" },
	{ NETSH_STATIC, "show policy" },
	{ NETSH_STATIC, "add filterlist name=l description=d" },
	{ NETSH_STATIC, "set filterlist name=l newname=m description=d" },
	{ NETSH_STATIC, "set filterlist guid={72385230-70fa-11d1-864c-14a300000000} newname=m" },
	{ NETSH_STATIC, "delete filterlist name=l" },
	{ NETSH_STATIC, "delete filterlist all" },
	{ NETSH_STATIC, "show filterlist name=l level=verbose format=list resolvedns=yes wide=no" },
	{ NETSH_STATIC, "show filterlist rule=r" },
	{ NETSH_STATIC, "show filterlist all" },
	{ NETSH_STATIC, "add filter filterlist=l srcaddr=10.0.0.0 dstaddr=10.0.0.1 description=d protocol=TCP mirrored=no srcmask=8 "
	    "dstmask=0 srcport=0 dstport=80" },
	{ NETSH_STATIC, "delete filter filterlist=l srcaddr=any dstaddr=web.example protocol=UDP mirrored=yes dstmask=24 "
	    "srcport=53 dstport=65535" },
	{ NETSH_STATIC, "add filteraction name=a description=d qmpfs=yes inpass=yes soft=yes action=negotiate "
	    "qmsecmethods=\"ESP[3DES,SHA1]:100000k/2000s AH[MD5] AH[SHA1]+ESP[DES,None]:7s\"" },
	{ NETSH_STATIC, "set filteraction name=a newname=b description=d qmpfs=no inpass=no soft=no action=block qmsecmethods=\"ESP[None,MD5]:20480k\"" },
	{ NETSH_STATIC, "set filteraction guid={72385230-70fa-11d1-864c-14a300000000} action=permit" },
	{ NETSH_STATIC, "delete filteraction name=a" },
	{ NETSH_STATIC, "delete filteraction all" },
	{ NETSH_STATIC, "show filteraction name=a level=verbose format=list wide=no" },
	{ NETSH_STATIC, "show filteraction rule=r" },
	{ NETSH_STATIC, "show filteraction all" },
	{ NETSH_STATIC, "add rule name=r policy=p filterlist=l filteraction=a tunnel=10.0.0.1 conntype=dialup activate=no description=d "
	    "kerberos=yes psk=\"a secret\" rootca=\"CN=Root, O=\\\"X\\\"\"\" certmap:yes excludecaname:no\"" },
	{ NETSH_STATIC, "set rule name=r policy=p newname=q description=d filterlist=l filteraction=a tunnel=none conntype=lan activate=yes "
	    "kerberos=no psk=a rootca=CN=X\" certmap:no excludecaname:yes\"" },
	{ NETSH_STATIC, "set rule id=3 policy=p activate=no" },
	{ NETSH_STATIC, "set rule id={72385230-70fa-11d1-864c-14a300000000} policy=p" },
	{ NETSH_STATIC, "delete rule name=r policy=p" },
	{ NETSH_STATIC, "delete rule id=1 policy=p" },
	{ NETSH_STATIC, "delete rule all policy=p" },
	{ NETSH_STATIC, "show rule name=r policy=p type=tunnel level=verbose format=table wide=yes" },
	{ NETSH_STATIC, "show rule id=4294967295 policy=p" },
	{ NETSH_STATIC, "show rule all policy=p" },
	{ NETSH_STATIC, "show rule default policy=p" },
	{ NETSH_STATIC, "set defaultrule policy=p qmpfs=yes activate=yes qmsecmethods=\"AH[SHA1]\" kerberos=yes psk=x rootca=CN=X\" certmap:no excludecaname:no\"" },
	{ NETSH_STATIC, "set store location=domain domain=corp.example" },
	{ NETSH_STATIC, "set store location=persistent" },
	{ NETSH_STATIC, "set store" },
	{ NETSH_STATIC, "show store" },
	{ NETSH_STATIC, "set batch mode=enable" },
	{ NETSH_STATIC, "show batch" },
	{ NETSH_STATIC, "exportpolicy file=/tmp/x.reg format=reg-utf8 assignments=yes" },
	{ NETSH_STATIC, "importpolicy file=\"/tmp/my file\" format=auto assignments=no" },
	{ NETSH_STATIC, "restorepolicyexamples release=win2k" },
	{ NETSH_STATIC, "delete all" },
	{ NETSH_STATIC, "show all format=table wide=yes" },
	{ NETSH_STATIC, "show gpoassignedpolicy name=\"Default Domain Policy\"" },
	{ NETSH_STATIC, "show gpoassignedpolicy" },
	{ NETSH_DYNAMIC, "add mmpolicy name=m qmpermm=1 mmlifetime=8 softsaexpirationtime=5 mmsecmethods=\"3DES-MD5-2\"" },
	{ NETSH_DYNAMIC, "set mmpolicy name=m qmpermm=1 mmlifetime=8 softsaexpirationtime=5 mmsecmethods=\"3DES-MD5-2\"" },
	{ NETSH_DYNAMIC, "delete mmpolicy name=m" },
	{ NETSH_DYNAMIC, "delete mmpolicy all" },
	{ NETSH_DYNAMIC, "show mmpolicy name=m" },
	{ NETSH_DYNAMIC, "show mmpolicy all" },
	{ NETSH_DYNAMIC, "add qmpolicy name=q soft=yes pfsgroup=GRPMM qmsecmethods=\"AH[SHA1]+ESP[3DES,MD5]\"" },
	{ NETSH_DYNAMIC, "set qmpolicy name=q soft=no pfsgroup=NOPFS qmsecmethods=\"ESP[DES,MD5]\"" },
	{ NETSH_DYNAMIC, "delete qmpolicy name=q" },
	{ NETSH_DYNAMIC, "delete qmpolicy all" },
	{ NETSH_DYNAMIC, "show qmpolicy name=q" },
	{ NETSH_DYNAMIC, "show qmpolicy all" },
	{ NETSH_DYNAMIC, "add rule srcaddr=me dstaddr=2001:db8:: mmpolicy=m qmpolicy=q protocol=TCP srcport=1 dstport=2 mirrored=no conntype=lan "
	    "actioninbound=permit actionoutbound=negotiate dstmask=64 tunneldstaddress=gw.example kerberos=yes psk=x "
	    "rootca=CN=X\" certmap:no excludecaname:no\"" },
	{ NETSH_DYNAMIC, "add rule srcaddr=me dstaddr=any actioninbound=block actionoutbound=permit" },
	{ NETSH_DYNAMIC, "set rule srcaddr=10.0.0.1 dstaddr=10.1.0.0/16 protocol=47 srcport=0 dstport=0 mirrored=yes conntype=all srcmask=32 "
	    "tunneldstaddress=none mmpolicy=m qmpolicy=q actioninbound=permit actionoutbound=block kerberos=yes psk=x psk=y" },
	{ NETSH_DYNAMIC, "delete rule srcaddr=me dstaddr=10.0.0.1-10.0.0.9 protocol=RAW srcport=0 dstport=0 mirrored=yes conntype=dialup tunneldstaddress=fe80::1" },
	{ NETSH_DYNAMIC, "show rule type=transport srcaddr=me dstaddr=10.0.0.1 dstmask=24 protocol=ICMP srcport=0 dstport=0 actioninbound=permit "
	    "actionoutbound=block resolvedns=yes" },
	{ NETSH_DYNAMIC, "delete all" },
	{ NETSH_DYNAMIC, "set config property=bootexemptions value=\"tcp:0:3389:inbound udp:0:53:outbound\"" },
	{ NETSH_DYNAMIC, "set config property=ipsecdiagnostics value=7 until=7200s" },
	{ NETSH_DYNAMIC, "show config" },
	{ NETSH_DYNAMIC, "show mmfilter name=m type=generic srcaddr=me dstaddr=any" },
	{ NETSH_DYNAMIC, "show mmfilter all type=specific" },
	{ NETSH_DYNAMIC, "show qmfilter all type=specific srcaddr=10.0.0.0 dstaddr=any srcmask=8 protocol=TCP srcport=0 dstport=80 "
	    "actioninbound=negotiate actionoutbound=block resolvedns=no" },
	{ NETSH_DYNAMIC, "show mmsas all format=table" },
	{ NETSH_DYNAMIC, "show mmsas srcaddr=me dstaddr=10.0.0.1 format=list resolvedns=yes" },
	{ NETSH_DYNAMIC, "show qmsas srcaddr=me dstaddr=10.0.0.1 protocol=UDP format=list resolvedns=yes" },
	{ NETSH_DYNAMIC, "show stats type=ike" },
	{ NETSH_DYNAMIC, "show drops" },
	{ NETSH_DYNAMIC, "show all resolvedns=yes" },
};

static void test_every_command(void **state)
{
	bool seen[N_NETSH_COMMANDS] = { false };

	(void)state;
	for (size_t i = 0; i < sizeof(full) / sizeof(full[0]); i++) {
		const char *line = full[i].line;

		same(full[i].context, line, line);
		seen[good(full[i].context, line).command->id] = true;
	}
	for (size_t i = 0; i < N_NETSH_COMMANDS; i++)
		if (!seen[i])
			fail_msg("'%s %s' is not tested", netsh_command(i)->verb, netsh_command(i)->object);
	assert_null(netsh_command(N_NETSH_COMMANDS));
}

static void test_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_NETSH_COMMANDS; i++) {
		const struct netsh_command *c = netsh_command(i);

		assert_int_equal(c->id, i);
		for (size_t k = 0; k < c->n_tags; k++) {
			assert_true(*c->tags[k].help);
			assert_true(c->tags[k].type != NT_TEXT || c->tags[k].max);
			assert_true((c->tags[k].type == NT_WORD) == (c->tags[k].words != NULL));
			for (size_t m = 0; m < k; m++)
				assert_string_not_equal(c->tags[k].name, c->tags[m].name);
		}
	}
}

static void test_short_forms(void **state)
{
	(void)state;
	same(NETSH_STATIC, "add filter filterlist=web srca=any dsta=me proto=tcp mir=y dstport=80",
	    "add filter filterlist=web srcaddr=any dstaddr=me protocol=TCP mirrored=yes dstport=80");
	same(NETSH_STATIC, "ADD FILTERA NAME=Secure SOFT=Y QMSEC=\"esp[3des,sha1]:100000K/2000S\"",
	    "add filteraction name=Secure soft=yes qmsecmethods=\"ESP[3DES,SHA1]:100000k/2000s\"");
	same(NETSH_STATIC, "add rule r p l a con=lan", "add rule name=r policy=p filterlist=l filteraction=a conntype=lan");
	same(NETSH_STATIC, "se p a ass=n", "set policy name=a assign=no");
	same(NETSH_STATIC, "e x", "exportpolicy file=x");
	same(NETSH_STATIC, "de filterl ALL", "delete filterlist all");
	same(NETSH_STATIC, "sho p all v", "show policy all level=verbose");
	same(NETSH_DYNAMIC, "sh qmf all spec", "show qmfilter all type=specific");
}

static void test_order(void **state)
{
	(void)state;
	same(NETSH_STATIC, "add policy p \"what for\" y 5 240 n 60 n 3DES-SHA1-2 3DES-MD5-2",
	    "add policy name=p description=\"what for\" mmpfs=yes qmpermm=5 mmlifetime=240 activatedefaultrule=no pollinginterval=60 "
	    "assign=no mmsecmethods=\"3DES-SHA1-2 3DES-MD5-2\"");
	same(NETSH_STATIC, "set policy p q", "set policy name=p newname=q");
	same(NETSH_STATIC, "add filter l me any d TCP yes srcport=1", "add filter filterlist=l srcaddr=me dstaddr=any description=d protocol=TCP mirrored=yes srcport=1");
	same(NETSH_STATIC, "show rule all p tunnel verbose", "show rule all policy=p type=tunnel level=verbose");
	same(NETSH_STATIC, "delete rule r p", "delete rule name=r policy=p");
	same(NETSH_STATIC, "delete policy name=all", "delete policy name=all");
	same(NETSH_STATIC, "set store domain corp.example", "set store location=domain domain=corp.example");
	same(NETSH_STATIC, "add policy p mmsec=3DES-SHA1-2 3DES-MD5-2 qmp=1",
	    "add policy name=p mmsecmethods=\"3DES-SHA1-2 3DES-MD5-2\" qmpermm=1");
	same(NETSH_STATIC, "add rule r p l a none all yes d yes secret A B", "add rule name=r policy=p filterlist=l filteraction=a tunnel=none conntype=all "
	    "activate=yes description=d kerberos=yes psk=secret rootca=A\" certmap:no excludecaname:no\" rootca=B\" certmap:no excludecaname:no\"");
	same(NETSH_DYNAMIC, "set config bootex tcp:0:3389:inbound udp:0:53:outbound",
	    "set config property=bootexemptions value=\"tcp:0:3389:inbound udp:0:53:outbound\"");
	same(NETSH_DYNAMIC, "set config property=ipsecdiagnostics value=7 until=30min", "set config property=ipsecdiagnostics value=7 until=1800s");
}

/* The order on the line is the order of preference. */
static void test_authentication(void **state)
{
	struct netsh_args a = good(NETSH_STATIC, "add rule name=r pol=p filterlist=l filteraction=a "
	    "rootca=\"CN=Second, O=\\'Acme\\' certmap:yes excludecaname:yes\" psk=\"one two\" kerb=y rootca=\"CN=X EXCLUDECANAME:y CERTMAP:n\" psk=three");

	(void)state;
	assert_int_equal(a.n_values, 9);
	assert_string_equal(a.values[4].ca.name, "CN=Second, O=\"Acme\"");
	assert_true(a.values[4].ca.map_account);
	assert_true(a.values[4].ca.exclude_ca);
	assert_string_equal(a.values[5].text, "one two");
	assert_true(a.values[6].yes);
	assert_string_equal(a.values[7].ca.name, "CN=X");
	assert_false(a.values[7].ca.map_account);
	assert_true(a.values[7].ca.exclude_ca);
	assert_string_equal(a.values[8].text, "three");
	assert_ptr_equal(netsh_arg(&a, "psk"), &a.values[5]);
	assert_true(netsh_secret(&a));
	a = good(NETSH_STATIC, "add rule r p l a rootca=CN=Plain");
	assert_false(netsh_secret(&a));
	assert_string_equal(netsh_arg(&a, "rootca")->ca.name, "CN=Plain");
	assert_false(netsh_arg(&a, "rootca")->ca.map_account);
	assert_null(netsh_arg(&a, "psk"));
}

static void test_offers(void **state)
{
	struct netsh_args a = good(NETSH_STATIC, "add filteraction a qmsec=\"ESP[3DES,SHA1]:100000k/2000s AH[MD5]:300s/20480k AH[sha1]+ESP[DES,None] ESP[None,MD5]+AH[MD5]:5K\"");
	const struct netsh_value *v = netsh_arg(&a, "qmsecmethods");

	(void)state;
	assert_int_equal(v->n, 4);
	assert_true(v->qm[0].has_esp && !v->qm[0].has_ah);
	assert_int_equal(v->qm[0].esp_encryption, IPSEC_CIPHER_3DES);
	assert_int_equal(v->qm[0].esp_integrity, IPSEC_HASH_SHA1);
	assert_int_equal(v->qm[0].life_kbytes, 100000);
	assert_int_equal(v->qm[0].life_seconds, 2000);
	assert_true(!v->qm[1].has_esp && v->qm[1].has_ah);
	assert_int_equal(v->qm[1].life_kbytes, 20480);
	assert_int_equal(v->qm[1].life_seconds, 300);
	assert_true(v->qm[2].has_esp && v->qm[2].has_ah);
	assert_int_equal(v->qm[2].esp_integrity, IPSEC_HASH_NONE);
	assert_int_equal(v->qm[2].life_kbytes, 0);
	assert_int_equal(v->qm[2].life_seconds, 0);
	assert_int_equal(v->qm[3].ah_integrity, IPSEC_HASH_MD5);
	assert_int_equal(v->qm[3].life_kbytes, 5);
	a = good(NETSH_STATIC, "add policy p mmsec=\"3DES-SHA1-3 des-md5-1\"");
	v = netsh_arg(&a, "mmsecmethods");
	assert_int_equal(v->n, 2);
	assert_int_equal(v->mm[0].encryption, IPSEC_CIPHER_3DES);
	assert_int_equal(v->mm[0].hash, IPSEC_HASH_SHA1);
	assert_int_equal(v->mm[0].group, 14);
	assert_int_equal(v->mm[1].encryption, IPSEC_CIPHER_DES);
	assert_int_equal(v->mm[1].group, 1);
}

static void addr_is(const char *text, const char *wanted)
{
	char *line = arena_printf(arena, "delete filter l %s any", text), out[IPSEC_ADDR_TEXT];
	struct netsh_args a = good(NETSH_STATIC, line);
	const struct netsh_value *v = netsh_arg(&a, "srcaddr");

	if (v->host) {
		assert_string_equal(v->host, wanted);
		return;
	}
	ipsec_addr_text(&v->addr, out);
	assert_string_equal(out, wanted);
}

static void test_addresses(void **state)
{
	(void)state;
	addr_is("ME", "me");
	addr_is("Any", "any");
	addr_is("WINS", "wins");
	addr_is("DNS", "dns");
	addr_is("DHCP", "dhcp");
	addr_is("GATEWAY", "gateway");
	addr_is("me6", "me6");
	addr_is("10.1.2.3", "10.1.2.3/32");
	addr_is("10.1.2.3/8", "10.0.0.0/8");
	addr_is("2001:DB8::1", "2001:db8::1/128");
	addr_is("2001:db8::/32", "2001:db8::/32");
	addr_is("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9");
	addr_is("10.0.0.0-10.0.0.255", "10.0.0.0/24");
	addr_is("fe80::1-fe80::9", "fe80::1-fe80::9");
	addr_is("web-1.corp.example", "web-1.corp.example");
	addr_is("web-1.corp.example.", "web-1.corp.example.");
	addr_is("3com.example", "3com.example");
	addr_is("host", "host");
}

static void test_masks(void **state)
{
	static const struct { const char *text; unsigned prefix; } masks[] = {
		{ "255.255.255.255", 32 }, { "255.255.255.0", 24 }, { "255.254.0.0", 15 }, { "128.0.0.0", 1 }, { "0.0.0.0", 0 }, { "24", 24 }, { "0", 0 },
	};
	static const char *const idle[] = {
		"me any srcmask=255.255.255.255 dstmask=0.0.0.0", "any me srcmask=32 dstmask=32", "any me srcmask=0.0.0.0 dstmask=0",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		struct netsh_args a = good(NETSH_STATIC, arena_printf(arena, "add filter l 10.0.0.0 any srcmask=%s", masks[i].text));

		assert_int_equal(netsh_arg(&a, "srcmask")->number, masks[i].prefix);
	}
	good(NETSH_STATIC, "add filter l fe80:: any srcmask=64");
	good(NETSH_STATIC, "add filter l host any srcmask=24");
	/* Beside me and any they say nothing, and are gone. */
	for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++) {
		struct netsh_args a = good(NETSH_STATIC, arena_printf(arena, "add filter l %s", idle[i]));

		assert_null(netsh_arg(&a, "srcmask"));
		assert_null(netsh_arg(&a, "dstmask"));
		assert_int_equal(a.n_values, 3);
	}
}

static void test_fallbacks(void **state)
{
	struct netsh_args a = good(NETSH_STATIC, "add policy p mmlifetime=7");

	(void)state;
	assert_int_equal(netsh_arg_or_fallback(&a, arena, "mmlifetime")->number, 7);
	assert_int_equal(netsh_arg_or_fallback(&a, arena, "pollinginterval")->number, 180);
	assert_true(netsh_arg_or_fallback(&a, arena, "activatedefaultrule")->yes);
	assert_int_equal(netsh_arg_or_fallback(&a, arena, "mmsecmethods")->n, 2);
	assert_null(netsh_arg_or_fallback(&a, arena, "description"));
	a = good(NETSH_STATIC, "add filter l me any");
	assert_null(netsh_arg_or_fallback(&a, arena, "srcmask"));
	assert_int_equal(netsh_arg_or_fallback(&a, arena, "protocol")->number, 0);
	a = good(NETSH_STATIC, "show policy");
	assert_null(netsh_arg_or_fallback(&a, arena, "name"));
	a = good(NETSH_DYNAMIC, "add mmpolicy m");
	assert_null(netsh_arg_or_fallback(&a, arena, "softsaexpirationtime"));
	assert_int_equal(netsh_arg_or_fallback(&a, arena, "mmlifetime")->number, 480);
}

/* ---- errors ------------------------------------------------------------------------ */

#define ADDR_WANTED "is not me, any, an address, address/prefix, a range, a DNS name, WINS, DNS, DHCP or GATEWAY"
#define QM_WANTED "is not like ESP[3DES,SHA1]:100000k/3600s, AH[SHA1] or AH[SHA1]+ESP[DES,None]"
#define MM_WANTED "is not like 3DES-SHA1-2: DES or 3DES, MD5 or SHA1, 1, 2 or 3"

static void test_bad_commands(void **state)
{
	(void)state;
	bad(NETSH_STATIC, "frob", ERR_UNSUPPORTED, "there is no command 'static frob'; 'static ?' lists them");
	bad(NETSH_STATIC, "psk=x", ERR_UNSUPPORTED, "there is no command 'static psk'; 'static ?' lists them");
	bad(NETSH_STATIC, "add store", ERR_UNSUPPORTED, "there is no command 'static add store'; 'static add ?' lists them");
	bad(NETSH_STATIC, "s policy", ERR_UNSUPPORTED, "'s' may be set or show");
	bad(NETSH_STATIC, "add f", ERR_UNSUPPORTED, "'add f' may be filterlist, filter or filteraction");
	bad(NETSH_STATIC, "add", ERR_FORMAT, "'static add' needs to be told what; 'static add ?' lists it");
	bad(NETSH_STATIC, "", ERR_FORMAT, "'static' needs a command; 'static ?' lists them");
	bad(NETSH_DYNAMIC, "add policy x", ERR_UNSUPPORTED, "there is no command 'dynamic add policy'; 'dynamic add ?' lists them");
	bad(NETSH_DYNAMIC, "exportpolicy x", ERR_UNSUPPORTED, "there is no command 'dynamic exportpolicy'; 'dynamic ?' lists them");
}

static void test_bad_tags(void **state)
{
	(void)state;
	bad(NETSH_STATIC, "add policy p colour=blue", ERR_FORMAT, "'add policy' has no tag 'colour'");
	bad(NETSH_STATIC, "add policy =p", ERR_FORMAT, "'add policy' has no tag ''");
	bad(NETSH_STATIC, "add filter src=me", ERR_FORMAT, "'add filter': tag 'src' may be srcaddr, srcmask or srcport");
	bad(NETSH_STATIC, "add policy p name=q", ERR_FORMAT, "'name' is given twice");
	bad(NETSH_STATIC, "add policy name=p stray", ERR_FORMAT, "a value without its tag behind 'name=' (quotes hold words together)");
	bad(NETSH_STATIC, "add filterlist a b c", ERR_FORMAT, "'add filterlist' takes no more values");
	bad(NETSH_STATIC, "show store x", ERR_FORMAT, "'show store' takes no more values");
	bad(NETSH_STATIC, "delete policy all=yes", ERR_FORMAT, "'all' stands alone, without a value");
	bad(NETSH_STATIC, "delete policy", ERR_FORMAT, "'delete policy' needs 'name' or 'all'");
	bad(NETSH_STATIC, "set policy assign=y", ERR_FORMAT, "'set policy' needs 'name' or 'guid'");
	bad(NETSH_STATIC, "set rule policy=p", ERR_FORMAT, "'set rule' needs 'name' or 'id'");
	bad(NETSH_STATIC, "set policy p guid={72385230-70fa-11d1-864c-14a300000000}", ERR_FORMAT, "'name' and 'guid' exclude each other");
	bad(NETSH_STATIC, "delete policy name=a all", ERR_FORMAT, "'name' and 'all' exclude each other");
	bad(NETSH_STATIC, "show rule all policy=p default", ERR_FORMAT, "'all' and 'default' exclude each other");
	bad(NETSH_STATIC, "delete rule r", ERR_FORMAT, "'delete rule' needs 'policy'");
	bad(NETSH_STATIC, "add rule r p", ERR_FORMAT, "'add rule' needs 'filterlist'");
	bad(NETSH_STATIC, "add filter l me", ERR_FORMAT, "'add filter' needs 'dstaddr'");
	bad(NETSH_STATIC, "exportpolicy", ERR_FORMAT, "'exportpolicy' needs 'file'");
	bad(NETSH_STATIC, "set batch", ERR_FORMAT, "'set batch' needs 'mode'");
	bad(NETSH_DYNAMIC, "set config value=1", ERR_FORMAT, "'set config' needs 'property'");
}

static void test_bad_values(void **state)
{
	(void)state;
	bad(NETSH_STATIC, "add policy name=", ERR_FORMAT, "'name' is empty");
	bad(NETSH_STATIC, "add policy p mmpfs=maybe", ERR_FORMAT, "'mmpfs': 'maybe' is not yes or no");
	bad(NETSH_STATIC, "add policy p mmpfs=", ERR_FORMAT, "'mmpfs': '' is not yes or no");
	bad(NETSH_STATIC, "add policy p qmpermm=-1", ERR_FORMAT, "'qmpermm': '-1' is not a number of 0 to 2147483647");
	bad(NETSH_STATIC, "add policy p qmpermm=99999999999999999999999", ERR_FORMAT, "'qmpermm': 99999999999999999999999 is not a number of 0 to 2147483647");
	bad(NETSH_STATIC, "add policy p mmlifetime=0", ERR_FORMAT, "'mmlifetime': 0 is not a number of 1 to 71582788");
	bad(NETSH_STATIC, "add policy p pollinginterval=1h", ERR_FORMAT, "'pollinginterval': '1h' is not a number of 1 to 71582788");
	bad(NETSH_STATIC, "add policy p mmsec=3DES-SHA1", ERR_FORMAT, "'mmsecmethods': '3DES-SHA1' " MM_WANTED);
	bad(NETSH_STATIC, "add policy p mmsec=\"3DES-SHA1-2 3DES-SHA1-4\"", ERR_FORMAT, "'mmsecmethods': '3DES-SHA1-4' " MM_WANTED);
	bad(NETSH_STATIC, "add policy p mmsec=AES-SHA1-2", ERR_FORMAT, "'mmsecmethods': 'AES-SHA1-2' " MM_WANTED);
	bad(NETSH_STATIC, "add policy p mmsec=none-SHA1-2", ERR_FORMAT, "'mmsecmethods': 'none-SHA1-2' " MM_WANTED);
	bad(NETSH_STATIC, "add policy p mmsec=\" \"", ERR_FORMAT, "'mmsecmethods' is empty");
	bad(NETSH_STATIC, "set policy guid=x", ERR_FORMAT, "'guid': 'x' is not a GUID");
	bad(NETSH_STATIC, "delete rule id=0 policy=p", ERR_FORMAT, "'id': 0 is not a GUID or a number from 1");
	bad(NETSH_STATIC, "add filteraction a action=drop", ERR_FORMAT, "'action': 'drop' is not permit|block|negotiate");
	bad(NETSH_STATIC, "add filteraction a qmsec=ESP[3DES]", ERR_FORMAT, "'qmsecmethods': 'ESP[3DES]' " QM_WANTED);
	bad(NETSH_STATIC, "add filteraction a qmsec=ESP[None,None]", ERR_FORMAT, "'qmsecmethods': 'ESP[None,None]' " QM_WANTED);
	bad(NETSH_STATIC, "add filteraction a qmsec=AH[None]", ERR_FORMAT, "'qmsecmethods': 'AH[None]' " QM_WANTED);
	bad(NETSH_STATIC, "add filteraction a qmsec=ESP[AES128,SHA1]", ERR_FORMAT, "'qmsecmethods': 'ESP[AES128,SHA1]' " QM_WANTED);
	bad(NETSH_STATIC, "add filteraction a qmsec=AH[MD5]+AH[SHA1]", ERR_FORMAT, "'qmsecmethods': 'AH[MD5]+AH[SHA1]' " QM_WANTED);
	bad(NETSH_STATIC, "add filteraction a qmsec=AH[MD5]:0k", ERR_FORMAT, "'qmsecmethods': 'AH[MD5]:0k' " QM_WANTED);
	bad(NETSH_STATIC, "add filteraction a qmsec=AH[MD5]:1k/2k", ERR_FORMAT, "'qmsecmethods': 'AH[MD5]:1k/2k' " QM_WANTED);
	bad(NETSH_STATIC, "add filteraction a qmsec=AH[MD5]:1k/", ERR_FORMAT, "'qmsecmethods': 'AH[MD5]:1k/' " QM_WANTED);
	bad(NETSH_STATIC, "add filteraction a qmsec=AH[MD5]:", ERR_FORMAT, "'qmsecmethods': 'AH[MD5]:' " QM_WANTED);
	bad(NETSH_STATIC, "add filteraction a qmsec=AH[MD5]:4294967296s", ERR_FORMAT, "'qmsecmethods': 'AH[MD5]:4294967296s' " QM_WANTED);
	bad(NETSH_STATIC, "add rule r p l a conntype=wifi", ERR_FORMAT, "'conntype': 'wifi' is not all|lan|dialup");
	bad(NETSH_STATIC, "add rule r p l a rootca=\"CN=X certmap:maybe\"", ERR_FORMAT,
	    "'rootca' is not a CA with certmap:yes|no and excludecaname:yes|no behind its name");
	bad(NETSH_STATIC, "add rule r p l a rootca=\" certmap:yes\"", ERR_FORMAT, "'rootca': the name of the CA is empty");
	bad(NETSH_STATIC, "add rule r p l a rootca=certmap:yes", ERR_FORMAT, "'rootca': the name of the CA is empty");
	bad(NETSH_STATIC, "add rule r p l a rootca=\"excludecaname:no certmap:yes\"", ERR_FORMAT, "'rootca': the name of the CA is empty");
	bad(NETSH_STATIC, "add rule r p l a rootca=\"CN=x excludecaname:\"", ERR_FORMAT,
	    "'rootca' is not a CA with certmap:yes|no and excludecaname:yes|no behind its name");
	bad(NETSH_STATIC, "add rule r p l a kerberos=S3cret", ERR_FORMAT, "'kerberos' is not yes or no");
	bad(NETSH_STATIC, "set batch mode=on", ERR_FORMAT, "'mode': 'on' is not enable|disable");
	bad(NETSH_STATIC, "set store location=cache", ERR_FORMAT, "'location': 'cache' is not local|persistent|domain");
	bad(NETSH_STATIC, "exportpolicy x format=xml", ERR_FORMAT, "'format': 'xml' is not auto|reg|reg-utf8|ldif|script");
	bad(NETSH_STATIC, "restorepolicyexamples release=win", ERR_FORMAT, "'release': 'win' is not win2k|win2003");
	bad(NETSH_DYNAMIC, "add qmpolicy q pfsgroup=GRP4", ERR_FORMAT, "'pfsgroup': 'GRP4' is not NOPFS|GRP1|GRP2|GRP3|GRPMM");
	bad(NETSH_DYNAMIC, "show qmfilter all type=all", ERR_FORMAT, "'type': 'all' is not generic|specific");
	bad(NETSH_DYNAMIC, "set config property=ipsecdiagnostics value=7 until=soon", ERR_FORMAT,
	    "'until': 'soon' is not a time of up to 366 days, like 90s, 30min, 2h or 3d");
	bad(NETSH_DYNAMIC, "set config property=ipsecdiagnostics value=7 until=367d", ERR_FORMAT,
	    "'until': '367d' is not a time of up to 366 days, like 90s, 30min, 2h or 3d");
	bad(NETSH_DYNAMIC, "set config property=bootmode value=permit until=2h", ERR_FORMAT, "'until' goes with property=ipsecdiagnostics");
}

static void test_bad_filters(void **state)
{
	static const char *const addrs[] = { "10.0.0", "10.0.0.256", "300.1.2.3", "10.0.0.0/33", "10.0.0.0/", "fe80::1/129", "fe80::x", "10.0.0.9-10.0.0.1",
	    "10.0.0.1-fe80::1", "10.0.0.1-x", "a..b", "-x", "a_b!", "x/8", "1234567" };

	(void)state;
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++)
		bad(NETSH_STATIC, arena_printf(arena, "add filter l %s any", addrs[i]), ERR_FORMAT,
		    arena_printf(arena, strspn(addrs[i], "0123456789") == strlen(addrs[i]) ? "'srcaddr': %s " ADDR_WANTED : "'srcaddr': '%s' " ADDR_WANTED, addrs[i]));
	bad(NETSH_STATIC, "add filter l 10.0.0.1 any srcmask=33", ERR_FORMAT, "'srcmask': 33 is not a mask or a prefix length of 0 to 32");
	bad(NETSH_STATIC, "add filter l 10.0.0.1 any srcmask=129", ERR_FORMAT, "'srcmask': 129 is not a mask or a prefix length of 0 to 128");
	bad(NETSH_STATIC, "add filter l 10.0.0.1 any srcmask=255.0.255.0", ERR_FORMAT, "'srcmask': '255.0.255.0' is not a mask or a prefix length of 0 to 128");
	bad(NETSH_STATIC, "add filter l fe80::1 any srcmask=255.0.0.0", ERR_FORMAT, "'srcmask': '255.0.0.0' does not go with an IPv6 address");
	bad(NETSH_STATIC, "add filter l any me dstmask=24", ERR_FORMAT, "'dstmask': a mask does not go with 'me'");
	bad(NETSH_STATIC, "add filter l any me srcmask=24", ERR_FORMAT, "'srcmask': a mask does not go with 'any'");
	bad(NETSH_STATIC, "add policy name=\"a\xe2\x80\xae" "b\"", ERR_FORMAT, "'name' holds a control character");
	bad(NETSH_STATIC, "show policy --json", ERR_FORMAT, "options stand before 'static', and a value that begins with '--' behind its tag");
	bad(NETSH_DYNAMIC, "set config bootexemptions none --json", ERR_FORMAT, "options stand before 'dynamic', and a value that begins with '--' behind its tag");
	good(NETSH_STATIC, "show policy name=--json");
	good(NETSH_STATIC, "add filter l me any protocol=TCP srcport=any dstport=ANY");
	bad(NETSH_STATIC, "add filter l me any srcmask=8", ERR_FORMAT, "'srcmask': a mask does not go with 'me'");
	bad(NETSH_STATIC, "add filter l me6 any srcmask=255.255.255.255", ERR_FORMAT, "'srcmask': a mask does not go with 'me6'");
	bad(NETSH_STATIC, "add filter l me dns dstmask=32", ERR_FORMAT, "'dstmask': a mask does not go with 'dns'");
	bad(NETSH_STATIC, "add filter l me me", ERR_FORMAT, "'srcaddr' and 'dstaddr' are both me: nothing would be filtered");
	bad(NETSH_STATIC, "add filter l 10.0.0.1-10.0.0.9 me srcmask=24", ERR_FORMAT, "'srcmask': a mask does not go with '10.0.0.1-10.0.0.9'");
	bad(NETSH_STATIC, "add filter l 10.0.0.0/8 me srcmask=8", ERR_FORMAT, "'srcmask': 'srcaddr' has a prefix length already");
	bad(NETSH_STATIC, "add filter l me any dstport=80", ERR_FORMAT, "'dstport': port 80 needs protocol=TCP or protocol=UDP");
	bad(NETSH_STATIC, "add filter l me any protocol=ICMP srcport=80", ERR_FORMAT, "'srcport': port 80 needs protocol=TCP or protocol=UDP");
	bad(NETSH_STATIC, "delete filter l me any protocol=1 srcport=80", ERR_FORMAT, "'srcport': port 80 needs protocol=TCP or protocol=UDP");
	good(NETSH_STATIC, "delete filter l me any srcport=80");
	bad(NETSH_STATIC, "add filter l me any proto=TCP dstport=65536", ERR_FORMAT, "'dstport': 65536 is not a port of 0 to 65535, or any");
	bad(NETSH_STATIC, "add filter l me any proto=SCTP", ERR_FORMAT, "'protocol': 'SCTP' is not ANY, ICMP, TCP, UDP, RAW or a number of 0 to 255");
	bad(NETSH_STATIC, "add filter l me any proto=256", ERR_FORMAT, "'protocol': 256 is not ANY, ICMP, TCP, UDP, RAW or a number of 0 to 255");
	bad(NETSH_STATIC, "add filter l dns any", ERR_FORMAT, "'srcaddr': with 'dns' the other side has to be me");
	bad(NETSH_STATIC, "add filter l 10.0.0.1 GATEWAY", ERR_FORMAT, "'dstaddr': with 'gateway' the other side has to be me");
	good(NETSH_STATIC, "add filter l dns me");
	good(NETSH_STATIC, "delete filter l dns any");
	bad(NETSH_STATIC, "add filter l 10.0.0.1 fe80::1", ERR_FORMAT, "'dstaddr': the source is IPv4, the destination IPv6");
	bad(NETSH_DYNAMIC, "show qmfilter all srcmask=8", ERR_FORMAT, "'srcmask' needs 'srcaddr'");
	bad(NETSH_STATIC, "add rule r p l a tunnel=me", ERR_FORMAT, "'tunnel': 'me' is not one address, a DNS name or none");
	bad(NETSH_STATIC, "add rule r p l a tunnel=10.0.0.0/8", ERR_FORMAT, "'tunnel': '10.0.0.0/8' is not one address, a DNS name or none");
	same(NETSH_STATIC, "set rule r p tunnel=0.0.0.0", "set rule name=r policy=p tunnel=none");
	bad(NETSH_STATIC, "add filteraction a action=permit inpass=yes", ERR_FORMAT, "'inpass': yes needs action=negotiate");
	bad(NETSH_STATIC, "set filteraction a action=block soft=y", ERR_FORMAT, "'soft': yes needs action=negotiate");
	good(NETSH_STATIC, "add filteraction a action=block soft=no qmsec=AH[MD5]");
	bad(NETSH_STATIC, "set store domain=x", ERR_FORMAT, "'domain' goes with location=domain");
	bad(NETSH_DYNAMIC, "add rule me any", ERR_FORMAT,
	    "'add rule' needs 'mmpolicy' to negotiate, which actionoutbound is when it is not given");
	bad(NETSH_DYNAMIC, "add rule me any mmpolicy=m actionin=block", ERR_FORMAT,
	    "'add rule' needs 'qmpolicy' to negotiate, which actionoutbound is when it is not given");
}

/* No message shows a part of a key, however it was mistyped. */
static void test_secrets(void **state)
{
	static const char *const lines[] = {
		"add rule r p l a psk=tops3cret tops3cret", "add rule r p l a pks=tops3cret", "add rule r p l a p=tops3cret",
		"add rule r p l a psk=tops3cret filterlist=m", "add rule r p l a none all yes d yes tops3cret CN=A CN=B policy=q",
		"psk=tops3cret", "add psk=tops3cret", "add rule r p l a psk=tops3cret kerberos=perhaps", "add rule psk=\"tops3cret",
		"add rule r p l a psk=tops3cret\x01", "add rule r p l a psk=tops3cret\xff",
	};
	char psk[600];
	struct netsh_args args;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (try_line(&args, NETSH_STATIC, lines[i], &err) == 0)
			fail_msg("%s: is taken", lines[i]);
		if (strstr(err.msg, "s3cret"))
			fail_msg("%s: %s", lines[i], err.msg);
	}
	memset(psk, 'x', sizeof(psk));
	psk[513] = '\0';
	bad(NETSH_STATIC, arena_printf(arena, "add rule r p l a psk=%s", psk), ERR_FORMAT, "'psk': 513 bytes are more than 512");
	bad(NETSH_STATIC, "add rule r p l a psk=", ERR_FORMAT, "'psk' is empty");
	bad(NETSH_STATIC, "add rule r p l a psk=\xff", ERR_FORMAT, "'psk' is not UTF-8");
	bad(NETSH_STATIC, "add rule r p l a psk=a\x01", ERR_FORMAT, "'psk' holds a control character");
}

static void test_limits(void **state)
{
	char name[1100];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	good(NETSH_STATIC, arena_printf(arena, "add policy %s", name));
	name[255] = 'n';
	name[256] = '\0';
	bad(NETSH_STATIC, arena_printf(arena, "add policy %s", name), ERR_FORMAT, "'name': 256 bytes are more than 255");
	name[256] = 'n';
	name[1025] = '\0';
	bad(NETSH_STATIC, arena_printf(arena, "add policy p %s", name), ERR_FORMAT, "'description': 1025 bytes are more than 1024");
	name[64] = '\0';
	bad(NETSH_STATIC, arena_printf(arena, "add filter l me %s", name), ERR_FORMAT, arena_printf(arena, "'dstaddr': '%s' " ADDR_WANTED, name));
}

/* ---- help and completion ---------------------------------------------------------- */

static char *help_of(enum netsh_context context, char **words, size_t n)
{
	struct err err = { 0 };
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (netsh_help(context, words, n, f, &err) < 0)
		fail_msg("%s", err.msg);
	fclose(f);
	return text;
}

static void test_help(void **state)
{
	struct err err = { 0 };
	char *words[2], *text;

	(void)state;
	for (size_t i = 0; i < N_NETSH_COMMANDS; i++) {
		const struct netsh_command *c = netsh_command(i);

		words[0] = arena_strdup(arena, c->verb);
		words[1] = arena_strdup(arena, c->object);
		text = help_of(c->context, words, *c->object ? 2 : 1);
		assert_non_null(strstr(text, c->help));
		for (size_t k = 0; k < c->n_tags; k++)
			assert_non_null(strstr(text, arena_printf(arena, "\n  %-20s %s", c->tags[k].name, c->tags[k].help)));
		free(text);
		text = help_of(c->context, NULL, 0);
		assert_non_null(strstr(text, arena_printf(arena, "%s%s%s", c->verb, *c->object ? " " : "", c->object)));
		free(text);
		text = help_of(c->context, words, 1);
		assert_non_null(strstr(text, c->object));
		free(text);
	}
	words[0] = arena_strdup(arena, "ad");
	words[1] = arena_strdup(arena, "filter");
	text = help_of(NETSH_STATIC, words, 2);
	assert_non_null(strstr(text, "Usage: static add filter filterlist= srcaddr= dstaddr= [description=] [protocol=] [mirrored=]\n"
	    "       [srcmask=] [dstmask=] [srcport=] [dstport=]\n\nadd a filter to a list\n"));
	assert_non_null(strstr(text, "mirrored             the answers' direction, too; default: yes\n"));
	free(text);
	words[1] = arena_strdup(arena, "nothing");
	assert_int_equal(netsh_help(NETSH_STATIC, words, 2, stderr, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_true(netsh_help_asked("?") && netsh_help_asked("/?") && netsh_help_asked("HELP"));
	assert_false(netsh_help_asked("hel") || netsh_help_asked(""));
}

static void complete_is(enum netsh_context context, const char *wanted, size_t n, ...)
{
	char *words[8], got[1024] = "";
	const char **found;
	size_t n_found;
	va_list ap;

	va_start(ap, n);
	for (size_t i = 0; i < n; i++)
		words[i] = arena_strdup(arena, va_arg(ap, const char *));
	va_end(ap);
	assert_int_equal(netsh_complete(&found, &n_found, arena, context, words, n), 0);
	for (size_t i = 0; i < n_found; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "", found[i]);
	assert_string_equal(got, wanted);
}

static void test_complete(void **state)
{
	(void)state;
	complete_is(NETSH_STATIC, "add delete exportpolicy importpolicy restorepolicyexamples set show", 1, "");
	complete_is(NETSH_STATIC, "set show", 1, "s");
	complete_is(NETSH_DYNAMIC, "add delete set show", 1, "");
	complete_is(NETSH_STATIC, "filter filteraction filterlist policy rule", 2, "add", "");
	complete_is(NETSH_STATIC, "filter filteraction filterlist", 2, "ad", "F");
	complete_is(NETSH_STATIC, "srcaddr= srcmask= srcport=", 3, "add", "filter", "src");
	complete_is(NETSH_STATIC, "srcmask= srcport=", 4, "add", "filter", "srca=me", "src");
	complete_is(NETSH_STATIC, "all format= level= name= wide=", 3, "show", "policy", "");
	complete_is(NETSH_STATIC, "format= level= name= wide=", 4, "show", "policy", "all", "");
	complete_is(NETSH_STATIC, "format=list format=table", 3, "show", "policy", "form=");
	complete_is(NETSH_STATIC, "format=table", 3, "show", "policy", "format=t");
	complete_is(NETSH_STATIC, "mirrored=no mirrored=yes", 3, "add", "filter", "mirrored=");
	complete_is(NETSH_STATIC, "file= format=", 2, "exportpolicy", "f");
	complete_is(NETSH_STATIC, "psk=", 4, "add", "rule", "psk=x", "ps");
	complete_is(NETSH_STATIC, "", 2, "frob", "");
	complete_is(NETSH_STATIC, "", 3, "add", "nothing", "");
	complete_is(NETSH_STATIC, "", 3, "add", "filter", "colour=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_split, setup, teardown),
		cmocka_unit_test_setup_teardown(test_split_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quote, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_command, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_authentication, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_masks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fallbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_tags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_filters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secrets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_help, setup, teardown),
		cmocka_unit_test_setup_teardown(test_complete, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
