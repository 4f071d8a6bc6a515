#include "tests/policies.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "schema/arena.h"

/* ---- text ---- */

static void test_text(void **state)
{
	struct ipsec_policy *p = read_text(sealed);

	(void)state;
	assert_string_equal(p->name, "Say \"hi\" \\ \t\x1b\xe2\x80\xae\xc3\xa4");
	assert_int_equal(p->polling_seconds, 600);
	assert_memory_equal(p->isakmp.new_dh, "\4\1\0\0", 4);
	assert_int_equal(p->isakmp.offers[1].random_function, 3);
	assert_int_equal(p->n_filter_lists, 1);
	assert_int_equal(p->filter_lists[0].n_filters, 3);
	assert_int_equal(p->filter_lists[0].filters[1].src_port.hi, 65535);
	assert_int_equal(p->filter_lists[0].filters[2].protocol, 58);
	assert_ptr_equal(p->rules[0].filter_list, &p->filter_lists[0]);
	assert_ptr_equal(p->rules[0].negpol, &p->negpols[0]);
	assert_int_equal(p->rules[0].n_auth, 3);
	assert_memory_equal(p->rules[0].auth[1].alt, "\0\xff", 2);
	assert_string_equal(p->rules[0].auth[2].text, "open sesame");
	assert_int_equal(p->rules[0].tunnel_end.family, AF_INET6);
	assert_true(p->rules[1].default_response && !p->rules[1].active);
	assert_null(p->rules[1].filter_list);
	assert_string_equal(text_of(p, POLICY_SEALED), sealed);
	assert_string_equal(text_of(p, POLICY_SHOWN), shown);
	policy_free(p);
}

static void test_text_refused(void **state)
{
	static const struct {
		const char	*from, *to, *msg;
	} cases[] = {
		{ "policy 1", "policy 2", "line 1: expected 'ipsecpol policy 1'" },
		{ "\n\tpolling", "\n\n\tpolling", "line 7: expected 'polling'" },
		{ "polling 600", "polling 0600", "line 7: not in the canonical form" },
		{ "polling 600", "polling 0", "polling interval is 0" },
		{ "polling 600", "polling 4294967296", "line 7: not a number that fits" },
		{ "polling 600", "polling 600 ", "line 7: not in the canonical form" },
		{ "polling 600", "polling  600", "line 7: expected a word" },
		{ "\tdescription \"d\"", "\tdescription \"\"", "line 5: not in the canonical form" },
		{ "\\u{9}", "\t", "line 4: not in the canonical form" },
		{ "\\u{9}", "\\u{09}", "line 4: not in the canonical form" },
		{ "\\u{9}", "\\u{61}", "line 4: unknown escape" },
		{ "\\u{9}", "\\u{0}", "line 4: unknown escape" },
		{ "\\u{9}", "\\t", "line 4: unknown escape" },
		{ "\\u{9}", "\\u{fffffffff}", "line 4: unknown escape" },
		{ "\xc3\xa4", "\xc3", "line 4: text is not UTF-8" },
		{ "\"d\"", "\"d", "line 5: quoted text does not end" },
		{ "\"d\"", "d", "line 5: expected a quoted text" },
		{ "{20000000", "{2000000", "line 8: not a GUID" },
		{ "{2000000", "{A000000", "line 8: not in the canonical form" },
		{ "extra-offer 3des sha1 group 14", "extra-offer 3des sha1 group 2", "line 15: unknown extra offer" },
		{ "random-function 3", "random-function 4",
		    "main mode {20000000-0000-0000-0000-000000000000}: security method 2: Random-Function 4 means something else" },
		{ "me -> any", "me4 -> me6",
		    "filter list {30000000-0000-0000-0000-000000000000}: filter 1: source is IPv4, destination IPv6" },
		{ "10.0.0.0/8", "10.0.0.1/8", "line 22: not an address" },
		{ "10.0.0.0/8", "10.0.0.0/33", "line 22: not an address" },
		{ "fe80::1-fe80::9", "fe80::0-fe80::f", "line 27: not an address" },
		{ "port 53", "port 65536", "line 22: not a port" },
		{ "port 53", "port 53-53", "line 22: not in the canonical form" },
		{ "port 53", "port 9-8",
		    "filter list {30000000-0000-0000-0000-000000000000}: filter 2: destination ports 9-8 are not canonical" },
		{ "port 1024-65535", "port 0-65535",
		    "filter list {30000000-0000-0000-0000-000000000000}: filter 2: source ports 0-65535 are not canonical" },
		{ "protocol udp", "protocol 17", "line 22: not in the canonical form" },
		{ "protocol udp", "protocol icmp",
		    "filter list {30000000-0000-0000-0000-000000000000}: filter 2: source port 1024 with protocol 1, which is neither TCP nor UDP" },
		{ "protocol udp", "protocol 256", "line 22: not a number that fits" },
		{ "one-way", "sideways", "line 22: expected 'one-way'" },
		{ "tunnel 10.9.9.9", "tunnel 10.9.9", "line 26: not an IPv4 address" },
		{ "inpass yes", "inpass maybe", "line 31: expected 'no'" },
		{ "kind negotiate", "kind block",
		    "filter action {40000000-0000-0000-0000-000000000000}: inbound pass-through without negotiation" },
		{ "kind negotiate", "kind allow", "line 30: unknown kind of action" },
		{ "ah sha1 esp 3des md5", "", "line 35: expected 'lifetime'" },
		{ "esp none sha1", "esp none none",
		    "filter action {40000000-0000-0000-0000-000000000000}: offer 2: ESP and its algorithms disagree" },
		{ "{41000000", "{40000000", "line 65: no such action" },
		{ "{41000000", "{3f000000", "line 57: no such action" },
		{ "rule {51000000", "rule {50000000", "rule {50000000-0000-0000-0000-000000000000}: appears twice" },
		{ "default-response yes", "default-response no",
		    "rule {51000000-0000-0000-0000-000000000000}: no filter list, and the action is not for the default response" },
		{ "connections lan", "connections wan", "line 48: unknown connection type" },
		{ "tunnel 2001:db8::1", "tunnel 2001:db8::/64", "line 50: not an address" },
		{ "tunnel 2001:db8::1", "tunnel me", "line 50: not an address" },
		{ "auth kerberos map", "auth ntlm map", "line 52: unknown authentication method" },
		{ "alternate 3 00ff", "alternate 3 00f", "line 54: more than expected" },
		{ "alternate 3 00ff", "alternate 3 00FF", "line 54: not hexadecimal" },
		{ "alternate 3 00ff", "alternate 0 00ff",
		    "rule {50000000-0000-0000-0000-000000000000}: authentication method 2: alternate form without a type" },
		{ "\"open sesame\"", "***", "line 55: pre-shared key is hidden, this text is for people" },
		{ "} \"List\"", "} \"Other\"", "line 56: not in the canonical form" },
		{ "\tfilter-list {30", "\tfilter-list {31", "line 56: no such filter list" },
		{ "{51000000", "{4f000000", "rule {4f000000-0000-0000-0000-000000000000}: not in the order of GUIDs" },
		{ "end\n", "end\nend\n", "line 66: more than expected" },
		{ "end\n", "end", "line 66: line does not end" },
		{ "end\n", "", "line 65: text is cut off" },
		{ "end\n", "action\n", "line 66: expected 'end'" },
	};
	struct ipsec_policy *p = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = replaced(sealed, cases[i].from, cases[i].to);

		assert_err(policy_read(&p, text, strlen(text), &err), ERR_FORMAT, cases[i].msg);
	}
	assert_err(policy_read(&p, "", 0, &err), ERR_FORMAT, "line 1: text is cut off");
	assert_int_equal(policy_read(&p, sealed, strlen(sealed) + 1, &err), -1);	/* the NUL counts */
	assert_err(policy_read(&p, sealed, (size_t)POLICY_TEXT_MAX + 1, &err), ERR_LIMIT,
	    "67108865 bytes, more than 67108864");
	assert_null(p);
}

/* Cut anywhere, it is no policy. */
static void test_text_cut(void **state)
{
	struct ipsec_policy *p;

	(void)state;
	for (size_t len = 0; len < strlen(sealed); len++) {
		char *cut = malloc(len ? len : 1);

		assert_non_null(cut);
		memcpy(cut, sealed, len);
		assert_int_equal(policy_read(&p, cut, len, &err), -1);
		free(cut);
	}
}

static void test_text_by_chance(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct ipsec_policy *p = any_policy(), *again;
		char *text;

		if (policy_check(p, &err))
			fail_msg("%s", err.msg);
		text = text_of(p, POLICY_SEALED);
		again = read_text(text);
		assert_string_equal(text_of(again, POLICY_SEALED), text);
		assert_string_equal(text_of(again, POLICY_SHOWN), text_of(p, POLICY_SHOWN));
		policy_free(again);
		policy_free(p);
	}
}

/* One byte another, one line gone or twice: refused, or the text of another policy. */
static void test_text_damaged(void **state)
{
	size_t len = strlen(sealed);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char *text = arena_strdup(arena, sealed);
		struct ipsec_policy *p;

		text[i] = (char)dice(256);
		if (policy_read(&p, text, len, &err))
			continue;
		assert_memory_equal(text_of(p, POLICY_SEALED), text, len);
		policy_free(p);
	}
	for (const char *line = sealed; *line; line = strchr(line, '\n') + 1) {
		size_t n = (size_t)(strchr(line, '\n') + 1 - line);

		for (int times = 0; times <= 2; times += 2) {
			struct ipsec_policy *p;
			char *text = arena_printf(arena, "%.*s%.*s%.*s%s", (int)(line - sealed), sealed,
			    times ? (int)n : 0, line, times ? (int)n : 0, line, line + n);

			if (policy_read(&p, text, strlen(text), &err))
				continue;
			assert_string_equal(text_of(p, POLICY_SEALED), text);
			policy_free(p);
		}
	}
}

/* ---- addresses ---- */

static void test_addresses(void **state)
{
	static const char *const good[] = {
		"any", "me", "me4", "me6", "dns", "wins4", "dhcp6", "gateway", "0.0.0.0/0", "::/0",
		"10.0.0.0/8", "10.1.2.3/32", "fe80::1/128", "2001:db8::/48", "::ffff:1.2.3.4/128",
		"10.0.0.4-10.0.0.9", "fe80::1-fe80::9",
	};
	static const char *const bad[] = {
		"", "any4", "any6", "Me", "me5", "10.0.0.1", "10.0.0.1/8", "10.0.0.0/08", "10.0.0.0/",
		"10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/4294967304", "fe80::/129", "FE80::1/128",
		"fe80:0::1/128", "10.0.0.4-10.0.0.7", "10.0.0.9-10.0.0.4", "10.0.0.4-10.0.0.4",
		"10.0.0.1-fe80::1", "10.0.0.0/8/8", "1.2.3.4-", "10.0.0.0/8 ",
		"0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000/1",
	};
	static const uint8_t lo[16] = { 10, 0, 0, 0 }, hi[16] = { 10, 255, 255, 255 };
	char text[IPSEC_ADDR_TEXT];
	struct ipsec_addr a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!ipsec_addr_read(&a, good[i]))
			fail_msg("%s", good[i]);
		ipsec_addr_text(&a, text);
		assert_string_equal(text, good[i]);
	}
	memset(&b, 7, sizeof(b));
	a = b;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ipsec_addr_read(&a, bad[i]))
			fail_msg("%s", bad[i]);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(ipsec_addr_range(&a, AF_INET, lo, hi));
	assert_true(ipsec_addr_read(&b, "10.0.0.0/8"));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_false(ipsec_addr_range(&a, AF_INET, hi, lo));
	assert_false(ipsec_addr_range(&a, AF_UNSPEC, lo, hi));
	assert_false(ipsec_addr_net(&a, AF_INET, lo, 33));
	assert_true(ipsec_addr_net(&a, AF_INET, hi, 9));
	ipsec_addr_text(&a, text);
	assert_string_equal(text, "10.128.0.0/9");
}

/* ---- check ---- */

static void test_check(void **state)
{
	struct ipsec_policy *p = read_text(sealed), *other = read_text(sealed);
	struct ipsec_filter *f = &p->filter_lists[0].filters[1];
	struct ipsec_rule *r = &p->rules[0];

	(void)state;
#define BREAK(place, value, msg) do { \
	__typeof__(place) kept = (place); \
	(place) = (value); \
	assert_err(policy_check(p, &err), ERR_FORMAT, msg); \
	(place) = kept; \
	assert_int_equal(policy_check(p, &err), 0); \
} while (0)
	BREAK(p->name, NULL, "name is missing");
	BREAK(p->name, "\xff", "name is not UTF-8");
	BREAK(p->isakmp.new_dh[0], 0, "main mode {20000000-0000-0000-0000-000000000000}: extra offer 2 is not known");
	BREAK(p->isakmp.offers[0].group, 5, "main mode {20000000-0000-0000-0000-000000000000}: security method 1: group 5 is not known");
#define LIST "filter list {30000000-0000-0000-0000-000000000000}: filter 2: "
	BREAK(f->src.lo[3], 1, LIST "source address is not canonical");
	BREAK(f->src.hi[0], 1, LIST "source address is not canonical");
	BREAK(f->dst.prefix, 1, LIST "destination address is not canonical");
	BREAK(f->src.kind, 99, LIST "source address is not canonical");
	BREAK(f->tunnel, false, LIST "tunnel address without a tunnel");
	BREAK(f->description, "\xed\xa0\x80", LIST "description is not UTF-8");
#define RULE "rule {50000000-0000-0000-0000-000000000000}: "
	BREAK(r->negpol, other->negpols, RULE "filter action is not one of this policy");
	BREAK(r->negpol, NULL, RULE "filter action is not one of this policy");
	BREAK(r->filter_list, other->filter_lists, RULE "filter list is not one of this policy");
	BREAK(r->filter_list, NULL, RULE "no filter list");
	BREAK(r->default_response, true, RULE "default response with a filter list");
	BREAK(r->negpol, p->negpols + 1, RULE "filter list with a default-response action");
	BREAK(r->tunnel, false, RULE "tunnel endpoint without a tunnel");
	BREAK(r->tunnel_end.family, AF_INET, RULE "tunnel address is not canonical");
	BREAK(r->auth[0].text, "x", RULE "authentication method 1: Kerberos with data");
	BREAK(p->negpols[0].offers[0].ah_integrity, IPSEC_HASH_NONE,
	    "filter action {40000000-0000-0000-0000-000000000000}: offer 1: AH and its integrity disagree");
	BREAK(p->negpols[0].n_offers, 0,
	    "filter action {40000000-0000-0000-0000-000000000000}: session key PFS without offers");
	policy_free(p);
	policy_free(other);
	policy_free(NULL);
}

/* ---- JSON ---- */

static void test_json(void **state)
{
	static const char expected[] =
	    "{\"id\":\"{10000000-0000-0000-0000-000000000000}\","
	    "\"name\":\"Say \\\"hi\\\" \\\\ \\t\\u001B\xe2\x80\xae\xc3\xa4\",\"polling_seconds\":600,"
	    "\"main_mode\":{\"lifetime_seconds\":3600,\"quick_mode_limit\":3,\"master_pfs\":true,\"offers\":["
	    "{\"encryption\":\"3des\",\"hash\":\"sha1\",\"group\":14,\"lifetime_seconds\":3600},"
	    "{\"encryption\":\"des\",\"hash\":\"md5\",\"group\":14,\"lifetime_seconds\":3600},"
	    "{\"encryption\":\"3des\",\"hash\":\"sha1\",\"group\":2,\"lifetime_seconds\":28800},"
	    "{\"encryption\":\"3des\",\"hash\":\"md5\",\"group\":14,\"lifetime_seconds\":3600}]},"
	    "\"rules\":[{\"id\":\"{50000000-0000-0000-0000-000000000000}\",\"name\":\"Rule\",\"active\":true,"
	    "\"default_response\":false,\"conntype\":\"lan\",\"tunnel\":\"2001:db8::1\",\"auth\":["
	    "{\"method\":\"kerberos\"},{\"method\":\"certificate\",\"ca\":\"CN=Root\"},{\"method\":\"preshared-key\"}],"
	    "\"action\":{\"id\":\"{40000000-0000-0000-0000-000000000000}\",\"name\":\"Secure\",\"kind\":\"negotiate\","
	    "\"inpass\":true,\"soft\":true,\"pfs\":true,\"offers\":["
	    "{\"esp\":{\"encryption\":\"3des\",\"integrity\":\"md5\"},\"ah\":{\"integrity\":\"sha1\"},"
	    "\"lifetime_seconds\":900,\"lifetime_kbytes\":100000},"
	    "{\"esp\":{\"encryption\":\"none\",\"integrity\":\"sha1\"},\"ah\":null,"
	    "\"lifetime_seconds\":3600,\"lifetime_kbytes\":100000}]},"
	    "\"filter_list\":{\"id\":\"{30000000-0000-0000-0000-000000000000}\",\"name\":\"List\",\"filters\":["
	    "{\"id\":\"{31000000-0000-0000-0000-000000000000}\",\"description\":\"\",\"src\":\"me\",\"dst\":\"any\","
	    "\"protocol\":0,\"src_port\":0,\"dst_port\":0,\"mirrored\":true},"
	    "{\"id\":\"{32000000-0000-0000-0000-000000000000}\",\"description\":\"to DNS\",\"src\":\"10.0.0.0/8\",\"dst\":\"dns\","
	    "\"protocol\":17,\"src_port\":\"1024-65535\",\"dst_port\":53,\"mirrored\":false},"
	    "{\"id\":\"{33000000-0000-0000-0000-000000000000}\",\"description\":\"\",\"src\":\"me6\",\"dst\":\"fe80::1-fe80::9\","
	    "\"protocol\":58,\"src_port\":0,\"dst_port\":0,\"mirrored\":true}]}},"
	    "{\"id\":\"{51000000-0000-0000-0000-000000000000}\",\"name\":\"\",\"active\":false,"
	    "\"default_response\":true,\"conntype\":\"all\",\"tunnel\":null,\"auth\":[{\"method\":\"kerberos\"}],"
	    "\"action\":{\"id\":\"{41000000-0000-0000-0000-000000000000}\",\"name\":\"\",\"kind\":\"negotiate\","
	    "\"inpass\":false,\"soft\":false,\"pfs\":false,\"offers\":[]},\"filter_list\":null}]}";
	struct ipsec_policy *p = read_text(sealed);
	json_t *json = policy_json(p);
	char *text;

	(void)state;
	assert_non_null(json);
	text = json_dumps(json, JSON_COMPACT);
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
	json_decref(json);
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POLICY_TEST(test_text), POLICY_TEST(test_text_refused), POLICY_TEST(test_text_cut),
		POLICY_TEST(test_text_by_chance), POLICY_TEST(test_text_damaged), POLICY_TEST(test_addresses),
		POLICY_TEST(test_check), POLICY_TEST(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
