/* IPsec policies as values: order, bands, text, JSON, differences, pins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nft/render.h"
#include "nft/spd.h"
#include "schema/err.h"
#include "tests/mkspd.h"

static char *text_of(const struct spd *s)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(spd_write(s, out), 0);
	fclose(out);
	return text;
}

static void text_is(const struct spd *s, const char *want)
{
	char *text = text_of(s);

	assert_string_equal(text, want);
	free(text);
}

static const char all[] =
	"in 0.0.0.0/0 10.1.0.1/32 udp 53 0 priority 65536 pass \"lifeline: DNS\"\n"
	"in fd00::/64 fd00::1/128 icmpv6 128 0/0xffff priority 65538 ah transport required reqid 0x69000013\n"
	"out 10.1.0.1/32 10.2.0.0/16 any priority 65540 esp transport use reqid 0x69000010\n"
	"out 10.1.0.1/32 10.2.0.0/16 tcp 0 80 priority 65538 esp transport required reqid 0x69000010 \"r:ab12cd34 Web\"\n"
	"out 10.1.0.1/32 10.2.0.7/32 any priority 65539 esp transport required reqid 0x69000010 expires 3600\n"
	"out 10.1.0.1/32 10.6.0.0/16 udp 1024/0xfc00 0 priority 65538 esp transport required reqid 0x69000014"
	" ah transport required reqid 0x69000015\n"
	"fwd 10.3.0.0/16 10.4.0.0/16 any priority 65536 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000011 \"...\"\n"
	"fwd fd00:3::/32 fd00:4::/32 132 5 0 priority 65536 ah tunnel 2001:db8::1 :: required reqid 0x69ffffff\n";

static void test_text(void **state)
{
	struct spd *s = mk_spd(all);

	(void)state;
	assert_true(s->sealed);
	assert_int_equal(s->n_policies, 8);
	text_is(s, all);
	spd_free(s);
}

static void test_any_order_is_one_value(void **state)
{
	struct spd *want = mk_spd(all), *s = spd_new();
	struct err err;

	(void)state;
	for (size_t i = want->n_policies; i-- > 0; )
		spd_add(s, &want->policies[i]);
	for (size_t i = 0; i < want->n_policies; i++)
		spd_add(s, &want->policies[i]);
	assert_int_equal(spd_seal(s, &err), 0);
	text_is(s, all);
	spd_free(want);
	spd_free(s);
}

static void test_of_one_selector_the_most_important_stays(void **state)
{
	struct spd *s = mk_spd(
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65540 pass \"later\"\n"
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 pass \"b\"\n"
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport use reqid 0x69000001 \"a\"\n"
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x69000001 \"b\"\n"
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x69000001 \"a\"\n"
	    "in 10.1.0.1/32 10.2.0.0/16 any priority 65540 pass\n");

	(void)state;
	text_is(s, "in 10.1.0.1/32 10.2.0.0/16 any priority 65540 pass\n"
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x69000001 \"a\"\n");
	spd_free(s);
}

static void test_empty(void **state)
{
	struct spd *s = mk_spd("");

	(void)state;
	text_is(s, "");
	assert_int_equal(spd_diff(NULL, NULL, NULL), 0);
	assert_int_equal(spd_diff(s, NULL, NULL), 0);
	assert_int_equal(spd_diff(NULL, s, NULL), 0);
	spd_free(s);
	spd_free(NULL);
}

static void test_comments_are_printable(void **state)
{
	struct spd_policy p = mk_spd_policy("in 0.0.0.0/0 10.1.0.1/32 any priority 65536 pass");
	struct spd *s = spd_new();
	struct err err;

	(void)state;
	p.comment = "a \"b\"\n\\c\x7f";
	spd_add(s, &p);
	p.comment = NULL;
	p.sel.dst_prefix = 31;
	p.sel.dst[3] = 0;
	spd_add(s, &p);
	assert_int_equal(spd_seal(s, &err), 0);
	text_is(s, "in 0.0.0.0/0 10.1.0.0/31 any priority 65536 pass\n"
	    "in 0.0.0.0/0 10.1.0.1/32 any priority 65536 pass \"a ?b???c?\"\n");
	spd_free(s);
}

static void test_what_is_refused(void **state)
{
	static const struct { const char *line, *why; } cases[] = {
		{ "out 10.1.0.1/24 10.2.0.0/16 any priority 65538 pass", "an address has bits set beyond its prefix" },
		{ "out 10.1.0.1/32 10.2.0.1/16 any priority 65538 pass", "an address has bits set beyond its prefix" },
		{ "out 10.1.0.1/33 10.2.0.0/16 any priority 65538 pass", "a prefix is longer than 32 bits" },
		{ "out fd00::/129 fd00::/64 any priority 65538 pass", "a prefix is longer than 128 bits" },
		{ "out 10.1.0.1/32 10.2.0.0/16 tcp 3/0xfff0 0 priority 65538 pass", "a port has bits set beyond its mask" },
		{ "out 10.1.0.1/32 10.2.0.0/16 tcp 0 17/0x0010 priority 65538 pass", "a port has bits set beyond its mask" },
		{ "out 10.1.0.1/32 10.2.0.0/16 47 0 17 priority 65538 pass", "protocol 47 has no ports" },
		{ "out 10.1.0.1/32 10.2.0.0/16 any priority 65535 pass", "priority 65535 is not one of ours" },
		{ "out 10.1.0.1/32 10.2.0.0/16 any priority 98304 pass", "priority 98304 is not one of ours" },
		{ "out 10.1.0.1/32 10.2.0.0/16 any priority 65536 esp transport use reqid 0x69000001",
			"priority 65536 leaves no room for pins" },
		{ "out 10.1.0.1/32 10.2.0.0/16 any priority 65539 esp transport use reqid 0x69000001",
			"priority 65539 leaves no room for pins" },
		{ "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x68ffffff",
			"reqid 0x68ffffff is not one of ours" },
		{ "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x6a000000",
			"reqid 0x6a000000 is not one of ours" },
		{ "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 ah transport required reqid 0x69000001 esp transport required"
			" reqid 0x69000001", "two templates are ESP, then AH, of one level" },
		{ "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x69000001 ah transport use"
			" reqid 0x69000001", "two templates are ESP, then AH, of one level" },
		{ "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp tunnel 192.0.2.1 fd00::1 required reqid 0x69000001",
			"the outer addresses of tunnel mode are not two of one family" },
	};
	char want[480];
	struct err err;
	struct spd *s;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s = mk_spd_raw(cases[i].line);
		assert_int_equal(spd_seal(s, &err), -1);
		snprintf(want, sizeof(want), "IPsec policy %s: %s", cases[i].line, cases[i].why);
		assert_string_equal(err.msg, want);
		assert_int_equal(err.code, ERR_FORMAT);
		assert_false(s->sealed);
		spd_free(s);
	}
}

static void test_what_no_text_says_is_refused(void **state)
{
	const struct spd_policy good = mk_spd_policy(
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x69000001");
	struct spd_policy p = good;
	struct err err;

	(void)state;
	assert_int_equal(spd_policy_check(&good, &err), 0);
	p.dir = (enum spd_dir)3;
	assert_int_equal(spd_policy_check(&p, &err), -1);
	assert_string_equal(err.msg, "3 is no direction");
	p = good;
	p.sel.family = 3;
	assert_int_equal(spd_policy_check(&p, &err), -1);
	assert_string_equal(err.msg, "3 is no address family");
	p = good;
	p.sel.dst[4] = 1;
	assert_int_equal(spd_policy_check(&p, &err), -1);
	p = good;
	p.sel.sport_mask = 0xffff;
	assert_int_equal(spd_policy_check(&p, &err), -1);
	assert_string_equal(err.msg, "protocol 0 has no ports");
	p = good;
	p.n_templates = 3;
	assert_int_equal(spd_policy_check(&p, &err), -1);
	assert_string_equal(err.msg, "3 templates");
	p = good;
	p.templates[0].protocol = IPPROTO_COMP;
	assert_int_equal(spd_policy_check(&p, &err), -1);
	assert_string_equal(err.msg, "protocol 108 protects nothing");
	p = good;
	p.templates[0].dst.family = AF_INET;
	assert_int_equal(spd_policy_check(&p, &err), -1);
	assert_string_equal(err.msg, "transport mode has no outer addresses");
}

static void many(struct spd *s, unsigned n)
{
	struct spd_policy p = mk_spd_policy("in 0.0.0.0/0 10.1.0.1/32 any priority 65536 pass");

	for (unsigned i = 0; i < n; i++) {
		p.sel.dst[1] = (uint8_t)(i >> 16);
		p.sel.dst[2] = (uint8_t)(i >> 8);
		p.sel.dst[3] = (uint8_t)i;
		spd_add(s, &p);
	}
}

static void test_limit(void **state)
{
	struct spd *s = spd_new();
	struct err err;

	(void)state;
	many(s, SPD_MAX);
	assert_int_equal(spd_seal(s, &err), 0);
	spd_free(s);
	s = spd_new();
	many(s, SPD_MAX + 1);
	assert_int_equal(spd_seal(s, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.msg, "65537 IPsec policies, 65536 at most");
	spd_free(s);
}

static void test_diff(void **state)
{
	struct spd *want = mk_spd(
	    "in 10.0.0.0/8 10.1.0.1/32 any priority 65536 pass \"same\"\n"
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x69000001\n"
	    "out 10.1.0.1/32 10.3.0.0/16 any priority 65538 esp transport required reqid 0x69000002 \"new\"\n");
	struct spd *have = mk_spd(
	    "in 10.0.0.0/8 10.1.0.1/32 any priority 65536 pass\n"
	    "in 10.0.0.0/8 10.1.0.2/32 any priority 65536 pass\n"
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport use reqid 0x69000001\n");
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_int_equal(spd_diff(want, have, out), 4);
	fclose(out);
	assert_string_equal(text,
	    "- in 10.0.0.0/8 10.1.0.2/32 any priority 65536 pass\n"
	    "- out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport use reqid 0x69000001\n"
	    "+ out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x69000001\n"
	    "+ out 10.1.0.1/32 10.3.0.0/16 any priority 65538 esp transport required reqid 0x69000002 \"new\"\n");
	assert_int_equal(spd_diff(want, NULL, NULL), 3);
	assert_int_equal(spd_diff(NULL, have, NULL), 3);
	assert_int_equal(spd_diff(want, want, NULL), 0);
	free(text);
	spd_free(want);
	spd_free(have);
}

/* Each field of what is done counts, and each of the selector. */
static void test_equal(void **state)
{
	static const char *const others[] = {
		"in 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.0/31 10.2.0.0/16 tcp 1 2 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/17 tcp 1 2 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 udp 1 2 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 0 2 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 3 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 2/0x0ff2 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65540 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 ah tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 esp tunnel 192.0.2.2 192.0.2.9 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 esp tunnel 192.0.2.1 192.0.2.8 required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 use reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000002",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 esp transport required reqid 0x69000001",
		"out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 pass",
		("out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000001"
		    " ah transport required reqid 0x69000001"),
	};
	const struct spd_policy p = mk_spd_policy("out 10.1.0.1/32 10.2.0.0/16 tcp 1 2 priority 65538 esp tunnel 192.0.2.1"
	    " 192.0.2.9 required reqid 0x69000001 expires 9 \"c\"");

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		const struct spd_policy o = mk_spd_policy(others[i]);

		assert_false(spd_policy_equal(&p, &o));
		assert_int_equal(spd_selector_cmp(&p, &o) == 0, i >= 7);
		assert_int_equal(spd_selector_cmp(&p, &o) < 0, spd_selector_cmp(&o, &p) > 0);
	}
	assert_true(spd_policy_equal(&p, &(struct spd_policy){ p.dir, p.sel, p.priority, p.n_templates,
	    { p.templates[0] }, 0, "d", NULL }));
}

static void test_find(void **state)
{
	struct spd *s = mk_spd(all);
	struct spd_policy key = mk_spd_policy("out 10.1.0.1/32 10.2.0.0/16 tcp 0 80 priority 1 pass");

	(void)state;
	for (size_t i = 0; i < s->n_policies; i++)
		assert_ptr_equal(spd_find(s, &s->policies[i]), &s->policies[i]);
	assert_int_equal(spd_find(s, &key)->priority, 65538);
	key.sel.dport = 81;
	assert_null(spd_find(s, &key));
	spd_free(s);
}

static void test_json(void **state)
{
	const struct rs_origin origin = { .filter = { { 0x11 } }, .rule = { { 0x22 } }, .store = RENDER_DOMAIN };
	struct spd_policy p = mk_spd_policy("out 10.1.0.1/32 10.2.0.0/16 tcp 0 80 priority 65538 esp tunnel 192.0.2.1 192.0.2.9"
	    " required reqid 0x69000010 ah transport required reqid 0x69000010 \"Web\"");
	struct spd *s = mk_spd_raw("in fd00::/64 fd00::1/128 any priority 65536 pass");
	struct err err;
	json_t *j;
	char *text;

	(void)state;
	p.origin = &origin;
	spd_add(s, &p);
	assert_int_equal(spd_seal(s, &err), 0);
	assert_ptr_not_equal(s->policies[1].origin, &origin);
	j = spd_json(s);
	text = json_dumps(j, JSON_COMPACT);
	assert_string_equal(text, "{\"policies\":[{\"dir\":\"in\",\"source\":\"fd00::/64\",\"destination\":\"fd00::1/128\","
	    "\"protocol\":0,\"priority\":65536,\"expires\":0,\"templates\":[],\"comment\":\"\"},"
	    "{\"dir\":\"out\",\"source\":\"10.1.0.1/32\",\"destination\":\"10.2.0.0/16\",\"protocol\":6,\"priority\":65538,"
	    "\"expires\":0,\"templates\":[{\"protocol\":\"esp\",\"mode\":\"tunnel\",\"level\":\"required\",\"reqid\":1761607696,"
	    "\"source\":\"192.0.2.1\",\"destination\":\"192.0.2.9\"},{\"protocol\":\"ah\",\"mode\":\"transport\",\"level\":"
	    "\"required\",\"reqid\":1761607696}],\"comment\":\"Web\",\"sport\":0,\"sport_mask\":0,\"dport\":80,\"dport_mask\":65535,"
	    "\"filter\":\"{00000011-0000-0000-0000-000000000000}\",\"rule\":\"{00000022-0000-0000-0000-000000000000}\","
	    "\"store\":\"domain\"}]}");
	free(text);
	json_decref(j);
	spd_free(s);
}

/* ---- pins ---- */

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_true(ip_addr_read(&a, text));
	return a;
}

static void pin_is(const char *parent, const char *peer, const char *want)
{
	const struct spd_policy p = mk_spd_policy(parent);
	const struct ip_addr a = addr(peer);
	struct spd_policy pin;
	struct err err;
	char text[256] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	if (spd_pin(&pin, &p, &a, 600)) {
		spd_policy_write(&pin, out);
		assert_int_equal(spd_policy_check(&pin, &err), 0);
	}
	fclose(out);
	assert_string_equal(text, want);
}

static void test_pin(void **state)
{
	(void)state;
	pin_is("out 10.1.0.1/32 10.2.0.0/16 tcp 0 80 priority 65540 esp transport use reqid 0x69000010 \"Web\"", "10.2.3.4",
	    "out 10.1.0.1/32 10.2.3.4/32 tcp 0 80 priority 65539 esp transport required reqid 0x69000010 expires 600 \"Web\"");
	pin_is("in 10.2.0.0/16 10.1.0.1/32 tcp 80 0 priority 65538 esp transport use reqid 0x69000010 ah transport use reqid"
	    " 0x69000011", "10.2.3.4", "in 10.2.3.4/32 10.1.0.1/32 tcp 80 0 priority 65537 esp transport required reqid 0x69000010"
	    " ah transport required reqid 0x69000011 expires 600");
	pin_is("out fd00::1/128 ::/0 any priority 65540 esp transport use reqid 0x69000010", "fd00::9",
	    "out fd00::1/128 fd00::9/128 any priority 65539 esp transport required reqid 0x69000010 expires 600");
	pin_is("out 10.1.0.1/32 10.2.3.4/32 any priority 65540 esp transport use reqid 0x69000010", "10.2.3.4",
	    "out 10.1.0.1/32 10.2.3.4/32 any priority 65539 esp transport required reqid 0x69000010 expires 600");
}

static void test_no_pin(void **state)
{
	static const char soft[] = "out 10.1.0.1/32 10.2.0.0/15 any priority 65540 esp transport use reqid 0x69000010";
	const struct spd_policy p = mk_spd_policy(soft);
	const struct ip_addr a = addr("10.2.3.4");
	struct spd_policy pin;

	(void)state;
	pin_is(soft, "10.4.0.1", "");
	pin_is(soft, "10.1.255.255", "");
	pin_is(soft, "10.1.0.1", "");
	pin_is(soft, "fd00::9", "");
	pin_is("out 10.1.0.1/32 10.2.0.0/16 any priority 65540 esp transport required reqid 0x69000010", "10.2.3.4", "");
	pin_is("out 10.1.0.1/32 10.2.0.0/16 any priority 65540 pass", "10.2.3.4", "");
	pin_is("in 10.1.0.1/32 10.2.0.0/16 any priority 65540 esp tunnel 192.0.2.1 192.0.2.9 use reqid 0x69000010", "10.1.0.1", "");
	pin_is("fwd 10.1.0.1/32 10.2.0.0/16 any priority 65540 esp transport use reqid 0x69000010", "10.2.3.4", "");
	assert_false(spd_pin(&pin, &p, &a, 0));
}

static void parent_is(const struct spd *want, const char *pin, uint32_t priority)
{
	const struct spd_policy p = mk_spd_policy(pin);
	const struct spd_policy *parent = spd_pin_parent(want, &p);

	assert_int_equal(parent ? parent->priority : 0, priority);
}

static void test_pin_parent(void **state)
{
	struct spd *want = mk_spd(
	    "out 10.1.0.1/32 10.0.0.0/8 any priority 65542 esp transport use reqid 0x69000010\n"
	    "out 10.1.0.1/32 10.2.0.0/16 any priority 65540 esp transport use reqid 0x69000010\n"
	    "out 10.1.0.1/32 10.2.3.0/24 any priority 65544 esp transport use reqid 0x69000010\n"
	    "out 10.1.0.1/32 10.3.0.0/16 any priority 65546 esp transport required reqid 0x69000011\n"
	    "out 10.1.0.1/32 10.4.0.0/16 any priority 65548 pass\n"
	    "out fd00::1/128 ::/0 tcp 0 80 priority 65550 esp transport use reqid 0x69000012\n"
	    "in 10.2.0.0/17 10.1.0.1/32 any priority 65552 esp transport use reqid 0x69000010\n");

	(void)state;
	parent_is(want, "out 10.1.0.1/32 10.2.3.4/32 any priority 65539 esp transport required reqid 0x69000010 expires 1", 65540);
	parent_is(want, "out 10.1.0.1/32 10.9.3.4/32 any priority 65539 esp transport required reqid 0x69000010 expires 1", 65542);
	parent_is(want, "out 10.1.0.1/32 10.3.3.4/32 any priority 65539 esp transport required reqid 0x69000011 expires 1", 65546);
	parent_is(want, "out fd00::1/128 fd00::9/128 tcp 0 80 priority 65539 esp transport required reqid 0x69000012 expires 1", 65550);
	parent_is(want, "in 10.2.127.4/32 10.1.0.1/32 any priority 65539 esp transport required reqid 0x69000010 expires 1", 65552);
	parent_is(want, "in 10.2.128.4/32 10.1.0.1/32 any priority 65539 esp transport required reqid 0x69000010 expires 1", 0);
	parent_is(want, "out 10.1.0.1/32 11.2.3.4/32 any priority 65539 esp transport required reqid 0x69000010 expires 1", 0);
	parent_is(want, "out 10.1.0.2/32 10.2.3.4/32 any priority 65539 esp transport required reqid 0x69000010 expires 1", 0);
	parent_is(want, "out 10.1.0.1/32 10.2.3.4/32 any priority 65539 esp transport required reqid 0x69000013 expires 1", 0);
	parent_is(want, "out 10.1.0.1/32 10.4.3.4/32 any priority 65539 esp transport required reqid 0x69000011 expires 1", 0);
	parent_is(want, "out fd00::1/128 fd00::9/128 tcp 0 81 priority 65539 esp transport required reqid 0x69000012 expires 1", 0);
	parent_is(NULL, "out 10.1.0.1/32 10.2.3.4/32 any priority 65539 esp transport required reqid 0x69000010 expires 1", 0);
	spd_free(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_any_order_is_one_value),
		cmocka_unit_test(test_of_one_selector_the_most_important_stays),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_comments_are_printable),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_what_no_text_says_is_refused),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_no_pin),
		cmocka_unit_test(test_pin_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
