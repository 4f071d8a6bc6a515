#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/err.h"
#include "schema/settings.h"

static struct err err;

static struct settings parsed(enum setting k, const char *value)
{
	struct settings s;

	settings_default(&s);
	if (setting_parse(&s, k, value, &err) < 0)
		fail_msg("%s", err.msg);
	return s;
}

static const char *text_of(const struct settings *s, enum setting k)
{
	static char text[SETTING_TEXT];

	setting_text(s, k, text);
	return text;
}

/* What settings_write writes; good until the next call. */
static const char *written(const struct settings *s)
{
	static char *text;
	size_t len = 0;
	FILE *f;

	free(text);
	f = open_memstream(&text, &len);
	assert_int_equal(settings_write(s, f), 0);
	fclose(f);
	return text;
}

static void test_defaults(void **state)
{
	static const char *const texts[N_SETTINGS] = { "auto", "none", "default", "0", "none", "3600", "0", "1" };
	struct settings s;

	(void)state;
	memset(&s, 0x55, sizeof(s));
	settings_default(&s);
	assert_int_equal(s.boot_mode, BOOT_AUTO);
	assert_int_equal(s.n_exemptions, 0);
	assert_int_equal(s.ipsecexempt, -1);
	assert_int_equal(s.log_interval, 3600);
	assert_int_equal(s.strong_crl_check, 1);
	for (int k = 0; k < N_SETTINGS; k++)
		assert_string_equal(text_of(&s, (enum setting)k), texts[k]);
	assert_string_equal(written(&s), "");
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		int k;
	} cases[] = {
		{ "bootmode", SET_BOOTMODE }, { "BOOTM", SET_BOOTMODE }, { "boote", SET_BOOTEXEMPTIONS }, { "boot", -1 }, { "", -1 },
		{ "ipsecdiagnostics", SET_DIAGNOSTICS }, { "ipsecdiagnosticsu", SET_DIAGNOSTICS_UNTIL }, { "ipsecd", -1 },
		{ "IPsecE", SET_IPSECEXEMPT }, { "ipsecl", SET_LOGINTERVAL }, { "ipsec", -1 }, { "i", -1 }, { "ik", SET_IKELOGGING },
		{ "s", SET_STRONGCRLCHECK }, { "strongcrlcheck", SET_STRONGCRLCHECK }, { "strongcrlchecks", -1 }, { "x", -1 },
		{ "bootmode ", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(setting_find(cases[i].name), cases[i].k);
	for (int k = 0; k < N_SETTINGS; k++) {
		assert_int_equal(setting_find(setting_name((enum setting)k)), k);
		assert_true(strlen(setting_values((enum setting)k)) > 0);
	}
	assert_string_equal(setting_values(SET_BOOTMODE), "stateful|block|permit|auto");
}

static void test_good_values(void **state)
{
	static const struct {
		enum setting k;
		const char *value, *text;
	} cases[] = {
		{ SET_BOOTMODE, "Stateful", "stateful" }, { SET_BOOTMODE, "block", "block" }, { SET_BOOTMODE, "PERMIT", "permit" },
		{ SET_BOOTMODE, "auto", "auto" }, { SET_BOOTMODE, "default", "auto" },
		{ SET_BOOTEXEMPTIONS, "tcp:0:3389:inbound", "tcp:0:3389:inbound" }, { SET_BOOTEXEMPTIONS, "None", "none" },
		{ SET_BOOTEXEMPTIONS, "default", "none" },
		{ SET_BOOTEXEMPTIONS, " udp:0:53:OUTBOUND,TCP:0:22:inbound\t,\ticmp:inbound ", "icmp:inbound tcp:0:22:inbound udp:0:53:outbound" },
		{ SET_BOOTEXEMPTIONS, "6:1:65535:inbound 1:inbound 58:inbound 255:outbound", "icmp:inbound tcp:1:65535:inbound 58:inbound 255:outbound" },
		{ SET_BOOTEXEMPTIONS, "icmp:0:0:inbound icmp:inbound 1:0:0:inbound", "icmp:inbound" },
		{ SET_BOOTEXEMPTIONS, "tcp:2:1:outbound tcp:2:1:inbound tcp:1:9:inbound", "tcp:1:9:inbound tcp:2:1:inbound tcp:2:1:outbound" },
		{ SET_IPSECEXEMPT, "0", "0" }, { SET_IPSECEXEMPT, "3", "3" }, { SET_IPSECEXEMPT, "default", "default" },
		{ SET_DIAGNOSTICS, "7", "7" }, { SET_DIAGNOSTICS, "0", "0" }, { SET_DIAGNOSTICS_UNTIL, "1795341600", "1795341600" },
		{ SET_DIAGNOSTICS_UNTIL, "none", "none" }, { SET_DIAGNOSTICS_UNTIL, "0", "none" }, { SET_DIAGNOSTICS_UNTIL, "253402300799", "253402300799" },
		{ SET_LOGINTERVAL, "60", "60" }, { SET_LOGINTERVAL, "86400", "86400" }, { SET_LOGINTERVAL, "Default", "3600" },
		{ SET_IKELOGGING, "1", "1" }, { SET_IKELOGGING, "0", "0" }, { SET_STRONGCRLCHECK, "2", "2" }, { SET_STRONGCRLCHECK, "default", "1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings s = parsed(cases[i].k, cases[i].value), again;

		assert_string_equal(text_of(&s, cases[i].k), cases[i].text);
		again = parsed(cases[i].k, cases[i].text);
		assert_true(settings_equal(&s, &again));
	}
}

static void test_bad_values(void **state)
{
	static const struct {
		enum setting k;
		const char *value, *message;
	} cases[] = {
		{ SET_BOOTMODE, "x", "bootmode 'x' is not one of stateful|block|permit|auto" },
		{ SET_BOOTMODE, "", "bootmode '' is not one of stateful|block|permit|auto" },
		{ SET_BOOTMODE, "block ", "bootmode 'block ' is not one of stateful|block|permit|auto" },
		{ SET_BOOTMODE, "blo", "bootmode 'blo' is not one of stateful|block|permit|auto" },
		{ SET_BOOTEXEMPTIONS, "", "bootexemptions '' is empty: 'none' is no exemption" },
		{ SET_BOOTEXEMPTIONS, " ,", "bootexemptions ' ,' is empty: 'none' is no exemption" },
		{ SET_BOOTEXEMPTIONS, "tcp", "bootexemptions 'tcp': not PROTOCOL:SRCPORT:DSTPORT:DIRECTION, nor PROTOCOL:DIRECTION" },
		{ SET_BOOTEXEMPTIONS, "tcp:0:inbound", "bootexemptions 'tcp:0:inbound': not PROTOCOL:SRCPORT:DSTPORT:DIRECTION, nor PROTOCOL:DIRECTION" },
		{ SET_BOOTEXEMPTIONS, "tcp:0:1:inbound:", "bootexemptions 'tcp:0:1:inbound:': too many parts" },
		{ SET_BOOTEXEMPTIONS, ":::::::::::::", "bootexemptions ':::::::::::::': too many parts" },
		{ SET_BOOTEXEMPTIONS, "tcp:inbound", "bootexemptions 'tcp:inbound': ports are missing, 0 is any" },
		{ SET_BOOTEXEMPTIONS, "udp:outbound", "bootexemptions 'udp:outbound': ports are missing, 0 is any" },
		{ SET_BOOTEXEMPTIONS, "icmp:0:8:inbound", "bootexemptions 'icmp:0:8:inbound': only tcp and udp have ports" },
		{ SET_BOOTEXEMPTIONS, "icmp:8:0:inbound", "bootexemptions 'icmp:8:0:inbound': only tcp and udp have ports" },
		{ SET_BOOTEXEMPTIONS, "any:inbound", "bootexemptions 'any:inbound': the protocol is not tcp, udp, icmp or a number of 1 to 255" },
		{ SET_BOOTEXEMPTIONS, "0:inbound", "bootexemptions '0:inbound': the protocol is not tcp, udp, icmp or a number of 1 to 255" },
		{ SET_BOOTEXEMPTIONS, "256:inbound", "bootexemptions '256:inbound': the protocol is not tcp, udp, icmp or a number of 1 to 255" },
		{ SET_BOOTEXEMPTIONS, ":inbound", "bootexemptions ':inbound': the protocol is not tcp, udp, icmp or a number of 1 to 255" },
		{ SET_BOOTEXEMPTIONS, "tcp:0:65536:inbound", "bootexemptions 'tcp:0:65536:inbound': a port is not a number of 0 to 65535" },
		{ SET_BOOTEXEMPTIONS, "tcp:-1:1:inbound", "bootexemptions 'tcp:-1:1:inbound': a port is not a number of 0 to 65535" },
		{ SET_BOOTEXEMPTIONS, "tcp::1:inbound", "bootexemptions 'tcp::1:inbound': a port is not a number of 0 to 65535" },
		{ SET_BOOTEXEMPTIONS, "tcp:any:1:inbound", "bootexemptions 'tcp:any:1:inbound': a port is not a number of 0 to 65535" },
		{ SET_BOOTEXEMPTIONS, "tcp:0:1:in", "bootexemptions 'tcp:0:1:in': the direction is not inbound or outbound" },
		{ SET_BOOTEXEMPTIONS, "tcp:0:1:", "bootexemptions 'tcp:0:1:': the direction is not inbound or outbound" },
		{ SET_BOOTEXEMPTIONS, "icmp:inbound none", "bootexemptions 'none': not PROTOCOL:SRCPORT:DSTPORT:DIRECTION, nor PROTOCOL:DIRECTION" },
		{ SET_IPSECEXEMPT, "4", "ipsecexempt '4' is not a number of 0 to 3" },
		{ SET_IPSECEXEMPT, "-1", "ipsecexempt '-1' is not a number of 0 to 3" },
		{ SET_IPSECEXEMPT, "none", "ipsecexempt 'none' is not a number of 0 to 3" },
		{ SET_DIAGNOSTICS, "8", "ipsecdiagnostics '8' is not a number of 0 to 7" },
		{ SET_DIAGNOSTICS, "", "ipsecdiagnostics '' is not a number of 0 to 7" },
		{ SET_DIAGNOSTICS, "0x1", "ipsecdiagnostics '0x1' is not a number of 0 to 7" },
		{ SET_DIAGNOSTICS_UNTIL, "253402300800", "ipsecdiagnosticsuntil '253402300800' is not a number of 0 to 253402300799" },
		{ SET_DIAGNOSTICS_UNTIL, "99999999999999999999999999", "ipsecdiagnosticsuntil '99999999999999999999999999' is not a number of 0 to 253402300799" },
		{ SET_DIAGNOSTICS_UNTIL, "30min", "ipsecdiagnosticsuntil '30min' is not a number of 0 to 253402300799" },
		{ SET_LOGINTERVAL, "59", "ipsecloginterval '59' is not a number of 60 to 86400" },
		{ SET_LOGINTERVAL, "86401", "ipsecloginterval '86401' is not a number of 60 to 86400" },
		{ SET_LOGINTERVAL, " 60", "ipsecloginterval ' 60' is not a number of 60 to 86400" },
		{ SET_IKELOGGING, "2", "ikelogging '2' is not a number of 0 to 1" },
		{ SET_IKELOGGING, "yes", "ikelogging 'yes' is not a number of 0 to 1" },
		{ SET_STRONGCRLCHECK, "3", "strongcrlcheck '3' is not a number of 0 to 2" },
		{ SET_STRONGCRLCHECK, "1 ", "strongcrlcheck '1 ' is not a number of 0 to 2" },
	};
	struct settings s = parsed(SET_BOOTEXEMPTIONS, "tcp:0:22:inbound"), before;

	(void)state;
	before = s;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(setting_parse(&s, cases[i].k, cases[i].value, &err), -1);
		assert_int_equal(err.code, ERR_FORMAT);
		assert_string_equal(err.msg, cases[i].message);
		assert_memory_equal(&s, &before, sizeof(s));
	}
}

static void test_too_many_exemptions(void **state)
{
	char value[SETTING_TEXT] = "", *p = value;
	struct settings s, before;

	(void)state;
	for (int i = 0; i < SETTINGS_MAX_EXEMPTIONS; i++)
		p += sprintf(p, "%s:%d:%d:outbound ", i % 2 ? "tcp" : "udp", 65535 - i, 65000);
	s = parsed(SET_BOOTEXEMPTIONS, value);
	assert_int_equal(s.n_exemptions, SETTINGS_MAX_EXEMPTIONS);
	for (size_t i = 1; i < s.n_exemptions; i++)
		assert_true(exemption_cmp(&s.exemptions[i - 1], &s.exemptions[i]) < 0);
	before = parsed(SET_BOOTEXEMPTIONS, text_of(&s, SET_BOOTEXEMPTIONS));
	assert_true(settings_equal(&s, &before));
	before = s;
	strcpy(p, "icmp:inbound");
	assert_int_equal(setting_parse(&s, SET_BOOTEXEMPTIONS, value, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_memory_equal(&s, &before, sizeof(s));
}

static void test_equal(void **state)
{
	static const char *const other[N_SETTINGS] = { "block", "icmp:inbound", "2", "3", "5", "61", "1", "0" };
	struct settings s, t;

	(void)state;
	settings_default(&s);
	for (int k = 0; k < N_SETTINGS; k++) {
		t = parsed((enum setting)k, other[k]);
		assert_false(settings_equal(&s, &t));
		assert_true(settings_equal(&t, &t));
	}
	s = parsed(SET_BOOTEXEMPTIONS, "icmp:inbound");
	t = parsed(SET_BOOTEXEMPTIONS, "icmp:outbound");
	assert_false(settings_equal(&s, &t));
}

static const char everything[] =
	"bootmode block\n"
	"bootexemptions icmp:inbound tcp:0:3389:inbound udp:0:53:outbound\n"
	"ipsecexempt 0\n"
	"ipsecdiagnostics 7\n"
	"ipsecdiagnosticsuntil 1795341600\n"
	"ipsecloginterval 120\n"
	"ikelogging 1\n"
	"strongcrlcheck 0\n";

static void test_text(void **state)
{
	struct settings s, t;

	(void)state;
	assert_int_equal(settings_read(&s, everything, strlen(everything), &err), 0);
	assert_int_equal(s.boot_mode, BOOT_BLOCK);
	assert_int_equal(s.n_exemptions, 3);
	assert_int_equal(s.exemptions[1].protocol, 6);
	assert_int_equal(s.exemptions[1].dst_port, 3389);
	assert_false(s.exemptions[1].outbound);
	assert_true(s.exemptions[2].outbound);
	assert_int_equal(s.ipsecexempt, 0);
	assert_int_equal(s.diagnostics_until, 1795341600);
	assert_string_equal(written(&s), everything);
	settings_default(&t);
	assert_int_equal(settings_read(&s, "", 0, &err), 0);
	assert_true(settings_equal(&s, &t));
	s.ipsecexempt = 3;
	assert_string_equal(written(&s), "ipsecexempt 3\n");
}

static void test_bad_text(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *message;
	} cases[] = {
#define TEXT(t) t, sizeof(t) - 1
		{ TEXT("bootmode block"), "settings: line 1 is not a line of text" },
		{ TEXT("bootmode bl\0ck\n"), "settings: line 1 is not a line of text" },
		{ TEXT("\n"), "settings: line 1: '' is not a property and a value" },
		{ TEXT("bootmode\n"), "settings: line 1: 'bootmode' is not a property and a value" },
		{ TEXT("bootmode block\nbootm block\n"), "settings: line 2: 'bootm' is not a property" },
		{ TEXT("BOOTMODE block\n"), "settings: line 1: 'BOOTMODE' is not a property" },
		{ TEXT("bootmode block\nbootmode block\n"), "settings: line 2: bootmode stands twice or in the wrong place" },
		{ TEXT("ikelogging 1\nbootmode block\n"), "settings: line 2: bootmode stands twice or in the wrong place" },
		{ TEXT("bootmode Block\n"), "settings: line 1: bootmode 'Block' is not written as it has to be" },
		{ TEXT("bootmode auto\n"), "settings: line 1: bootmode 'auto' is not written as it has to be" },
		{ TEXT("bootmode  block\n"), "settings: line 1: bootmode ' block' is not one of stateful|block|permit|auto" },
		{ TEXT("ikelogging 01\n"), "settings: line 1: ikelogging '01' is not written as it has to be" },
		{ TEXT("ikelogging 0\n"), "settings: line 1: ikelogging '0' is not written as it has to be" },
		{ TEXT("ipsecexempt default\n"), "settings: line 1: ipsecexempt 'default' is not written as it has to be" },
		{ TEXT("bootexemptions none\n"), "settings: line 1: bootexemptions 'none' is not written as it has to be" },
		{ TEXT("bootexemptions tcp:0:2:inbound tcp:0:1:inbound\n"),
		  "settings: line 1: bootexemptions 'tcp:0:2:inbound tcp:0:1:inbound' is not written as it has to be" },
		{ TEXT("ipsecloginterval 1\n"), "settings: line 1: ipsecloginterval '1' is not a number of 60 to 86400" },
		{ TEXT("x 1\n"), "settings: line 1: 'x' is not a property" },
	};
	struct settings s, before;

	(void)state;
	settings_default(&s);
	before = s;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(settings_read(&s, cases[i].text, cases[i].len, &err), -1);
		assert_int_equal(err.code, ERR_FORMAT);
		assert_string_equal(err.msg, cases[i].message);
		assert_memory_equal(&s, &before, sizeof(s));
	}
	/* No line of any length is too much for it. */
	for (size_t len = 0; len < sizeof(everything) - 1; len++)
		if (len == 0 || everything[len - 1] != '\n')
			assert_int_equal(settings_read(&s, everything, len, &err), len ? -1 : 0);
}

static void test_long_line(void **state)
{
	size_t len = 100000;
	char *text = malloc(len);
	struct settings s;

	(void)state;
	memset(text, 'a', len);
	memcpy(text, "bootmode ", 9);
	text[len - 1] = '\n';
	for (size_t at = 4000; at < 4300; at++) {
		text[at] = '\n';
		assert_int_equal(settings_read(&s, text, at + 1, &err), -1);
		text[at] = 'a';
	}
	assert_int_equal(settings_read(&s, text, len, &err), -1);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_good_values),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_too_many_exemptions),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_long_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
