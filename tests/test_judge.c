/* Which filter decides about a packet; logged packets; the list of filters in effect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nft/batch.h"
#include "nft/judge.h"
#include "nft/nflog.h"
#include "nft/readback.h"
#include "nft/unfold.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"
#include "tests/mkpolicy.h"

static const struct guid rule1 = { { 0, 0, 0, 0x10, 3 } }, rule2 = { { 0, 0, 0, 0x20, 3 } };

/* ---- heads ---- */

/* 10.0.0.2:1000 > 10.0.0.1:80 */
static const uint8_t tcp4[40] = {
	0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
	0x03, 0xe8, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2,
};

static bool parse(struct packet_head *ret, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len + 1);	/* exactly as long, for the sanitizer */
	bool ok;

	assert_non_null(copy);
	memcpy(copy + 1, p, len);
	ok = packet_head_parse(ret, copy + 1, len);
	free(copy);
	return ok;
}

static void test_head4(void **state)
{
	uint8_t p[64] = { 0 };
	struct packet_head h;

	(void)state;
	assert_true(parse(&h, tcp4, sizeof(tcp4)));
	assert_int_equal(h.family, AF_INET);
	assert_memory_equal(h.src, "\x0a\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_memory_equal(h.dst, "\x0a\0\0\1", 4);
	assert_int_equal(h.protocol, 6);
	assert_int_equal(h.hoplimit, 64);
	assert_int_equal(packet_sport(&h), 1000);
	assert_int_equal(packet_dport(&h), 80);
	assert_true(packet_has_ports(&h));
	/* Cut behind the ports is enough, before them is not. */
	assert_true(parse(&h, tcp4, 24));
	for (size_t len = 0; len < 24; len++)
		assert_false(parse(&h, tcp4, len));
	/* Options in front of the ports. */
	memcpy(p, tcp4, 20);
	p[0] = 0x47;
	p[3] = 48;
	memset(p + 20, 1, 8);
	memcpy(p + 28, tcp4 + 20, 20);
	assert_true(parse(&h, p, 48));
	assert_int_equal(packet_dport(&h), 80);
	p[0] = 0x44;
	assert_false(parse(&h, p, 48));
	p[0] = 0x47;
	p[3] = 27;
	assert_false(parse(&h, p, 48));
	/* A later fragment has no ports, its protocol is known. */
	memcpy(p, tcp4, 40);
	p[7] = 1;
	assert_true(parse(&h, p, 40));
	assert_true(h.fragment);
	assert_int_equal(h.protocol, 6);
	assert_false(packet_has_ports(&h));
	assert_int_equal(packet_dport(&h), 0);
	/* The first one has. */
	p[6] = 0x20;
	p[7] = 0;
	assert_true(parse(&h, p, 40));
	assert_true(packet_has_ports(&h));
	/* The packet itself ends before the ports: it has none, nothing was cut. */
	memcpy(p, tcp4, 40);
	p[3] = 22;
	assert_true(parse(&h, p, 22));
	assert_int_equal(h.n_th, 2);
	assert_false(packet_has_ports(&h));
	/* Another protocol has none either. */
	memcpy(p, tcp4, 40);
	p[9] = 1;
	assert_true(parse(&h, p, 40));
	assert_int_equal(packet_sport(&h), 0);
	p[0] = 0x55;
	assert_false(parse(&h, p, 40));
}

/* fd00::2 > fd00::1, of n bytes behind the header */
static void head6(uint8_t *p, uint8_t next, uint8_t n)
{
	memset(p, 0, 40);
	p[0] = 0x60;
	p[5] = n;
	p[6] = next;
	p[7] = 64;
	p[8] = p[24] = 0xfd;
	p[23] = 2;
	p[39] = 1;
}

static void test_head6(void **state)
{
	uint8_t p[400] = { 0 };
	struct packet_head h;

	(void)state;
	head6(p, 17, 8);
	memcpy(p + 40, "\x00\x35\x01\xbb", 4);
	assert_true(parse(&h, p, 48));
	assert_int_equal(h.family, AF_INET6);
	assert_int_equal(h.src[15], 2);
	assert_int_equal(h.dst[15], 1);
	assert_int_equal(packet_sport(&h), 53);
	assert_int_equal(packet_dport(&h), 443);
	assert_false(parse(&h, p, 43));
	assert_false(parse(&h, p, 39));
	/* hop-by-hop (16 bytes), destination options (8), first fragment (8), TCP */
	head6(p, 0, 16 + 8 + 8 + 20);
	memcpy(p + 40, "\x3c\x01", 2);
	memcpy(p + 56, "\x2c\x00", 2);
	memcpy(p + 64, "\x06\x00\x00\x01\0\0\0\1", 8);
	memcpy(p + 72, tcp4 + 20, 20);
	assert_true(parse(&h, p, 92));
	assert_int_equal(h.protocol, 6);
	assert_false(h.fragment);
	assert_int_equal(packet_dport(&h), 80);
	for (size_t len = 0; len < 76; len++)
		assert_false(parse(&h, p, len));
	p[67] = 0x09;	/* offset 8, more */
	assert_true(parse(&h, p, 92));
	assert_true(h.fragment);
	assert_int_equal(h.protocol, 6);
	assert_false(packet_has_ports(&h));
	/* The rest of a fragmented chain of headers tells nothing. */
	p[64] = 60;
	assert_false(parse(&h, p, 92));
	/* AH ends the chain. */
	head6(p, 51, 24);
	p[40] = 6;
	p[41] = 4;
	assert_true(parse(&h, p, 64));
	assert_int_equal(h.protocol, 51);
	/* Headers without end, and one that is longer than the packet. */
	head6(p, 60, 255);
	for (int i = 0; i < 30; i++) {
		p[40 + 8 * i] = 60;
		p[41 + 8 * i] = 0;
	}
	assert_false(parse(&h, p, sizeof(p)));
	head6(p, 60, 8);
	memcpy(p + 40, "\x3c\xff", 2);
	assert_false(parse(&h, p, sizeof(p)));
}

/* ---- judging ---- */

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

static const struct judge_place at_input = { .hook = RS_HOOK_INPUT, .iif = 2, .iiftype = 1, .dst_type = RTN_LOCAL };

static struct judgement judged(const struct ruleset *r, const struct packet_head *h, const struct judge_place *at)
{
	struct judgement j = { 0 };

	assert_true(judge_packet(&j, r, h, at));
	return j;
}

static void test_element(void **state)
{
	struct ruleset *r = rendered("store local\nrule block B\nfilter any me tcp * 80\nrule permit P\nfilter any me tcp * *\n"
	    "filter 10.0.0.9/32 any any * *");
	struct judge_place elsewhere = at_input;
	struct packet_head h;
	struct judgement j;

	(void)state;
	assert_true(parse(&h, tcp4, sizeof(tcp4)));
	j = judged(r, &h, &at_input);
	assert_int_equal(j.verdict, RS_DROP);
	assert_memory_equal(&j.origin->rule, &rule1, sizeof(rule1));
	assert_int_equal(j.origin->filter.b[0], 1);
	assert_int_equal(j.origin->store, RENDER_LOCAL);
	assert_string_equal(j.comment, "f:00000001 r:10000000 s:local B");
	assert_string_equal(j.chain->name, "in4_me");
	assert_string_equal(j.set->name, "in4_dme_p_dp");
	assert_memory_equal(j.element->key, "\6\0\0\0\0\x50\0\0", 8);
	assert_null(j.rule);
	h.th[3] = 81;
	j = judged(r, &h, &at_input);
	assert_int_equal(j.verdict, RS_ACCEPT);
	assert_memory_equal(&j.origin->rule, &rule2, sizeof(rule2));
	h.protocol = 17;
	j = judged(r, &h, &at_input);
	assert_int_equal(j.verdict, RS_ACCEPT);
	assert_null(j.origin);
	assert_null(j.chain);
	assert_null(j.rule);
	assert_null(j.element);
	assert_string_equal(j.comment, "");
	/* The single source address is the more specific, and not of this host. */
	h.protocol = 6;
	h.src[3] = 9;
	h.th[3] = 80;
	j = judged(r, &h, &at_input);
	assert_int_equal(j.origin->filter.b[0], 1);
	h.protocol = 1;
	j = judged(r, &h, &at_input);
	assert_int_equal(j.origin->filter.b[0], 3);
	/* What is not for this host's addresses meets the filters that do not say so, by the same map. */
	elsewhere.dst_type = RTN_ANYCAST;
	j = judged(r, &h, &elsewhere);
	assert_int_equal(j.origin->filter.b[0], 3);
	assert_string_equal(j.chain->name, "in4");
	h.src[3] = 8;
	j = judged(r, &h, &elsewhere);
	assert_null(j.origin);
	ruleset_free(r);
}

/* What led to the chain of an action is who decided. */
static void test_action(void **state)
{
	struct ruleset *r = rendered("diagnostics 6\nrule request R\nfilter 10.0.0.0/24 me any * *\nrule block B\n"
	    "filter 10.0.0.1-10.0.0.3 me tcp 1-9 80");
	struct judge_place at = at_input;
	struct packet_head h;
	struct judgement j;

	(void)state;
	assert_true(parse(&h, tcp4, sizeof(tcp4)));
	j = judged(r, &h, &at);
	assert_int_equal(j.verdict, RS_DROP);
	assert_memory_equal(&j.origin->rule, &rule1, sizeof(rule1));
	assert_string_equal(j.chain->name, "request_in");
	assert_string_equal(j.rule->comment, "clear, not allowed");
	assert_string_equal(j.comment, "f:00000001 r:10000000 g:aaaaaaaa R");
	at.ct_state = 2;
	j = judged(r, &h, &at);
	assert_int_equal(j.verdict, RS_ACCEPT);
	assert_string_equal(j.rule->comment, "clear, an answer");
	at.ct_state = 0;
	at.came_protected = true;
	j = judged(r, &h, &at);
	assert_int_equal(j.verdict, RS_ACCEPT);
	assert_string_equal(j.rule->comment, "came protected");
	/* A range is a rule, and with diagnostics goes to a chain as well. */
	at.came_protected = false;
	memcpy(h.th, "\0\5\0\x50", 4);
	j = judged(r, &h, &at);
	assert_int_equal(j.verdict, RS_DROP);
	assert_memory_equal(&j.origin->rule, &rule2, sizeof(rule2));
	assert_string_equal(j.chain->name, "block_in");
	assert_null(j.element);
	assert_string_equal(j.comment, "f:00000002 r:20000000 g:aaaaaaaa B");
	/* Exempt before any filter. */
	at.iif = 1;
	j = judged(r, &h, &at);
	assert_int_equal(j.verdict, RS_ACCEPT);
	assert_string_equal(j.chain->name, "exempt_in");
	assert_string_equal(j.comment, "loopback");
	assert_null(j.origin);
	ruleset_free(r);
}

static void test_conntype(void **state)
{
	struct ruleset *r = rendered("rule block dialup D\nfilter any me tcp * 80\nrule block lan L\nfilter any me tcp * 81");
	struct judge_place at = at_input;
	struct packet_head h;

	(void)state;
	assert_true(parse(&h, tcp4, sizeof(tcp4)));
	assert_int_equal(judged(r, &h, &at).verdict, RS_ACCEPT);
	at.iiftype = 512;	/* ARPHRD_PPP */
	assert_int_equal(judged(r, &h, &at).verdict, RS_DROP);
	h.th[3] = 81;
	assert_int_equal(judged(r, &h, &at).verdict, RS_ACCEPT);
	at.iiftype = 1;
	assert_int_equal(judged(r, &h, &at).verdict, RS_DROP);
	/* Without an interface the kernel's look-up fails, also one that is turned round. */
	at.iif = 0;
	assert_int_equal(judged(r, &h, &at).verdict, RS_ACCEPT);
	ruleset_free(r);
}

static void test_forward(void **state)
{
	struct ruleset *r = rendered("rule block B\nfilter 10.0.0.0/24 10.0.0.0/24 any * *");
	struct judge_place at = { .hook = RS_HOOK_FORWARD, .iif = 2, .oif = 3 };
	struct packet_head h;
	struct judgement j;

	(void)state;
	assert_true(parse(&h, tcp4, sizeof(tcp4)));
	j = judged(r, &h, &at);
	assert_int_equal(j.verdict, RS_DROP);
	assert_string_equal(j.chain->name, "fwd4");
	/* Judged already, it passes where our own are judged. */
	at.hook = RS_HOOK_POSTROUTING;
	j = judged(r, &h, &at);
	assert_int_equal(j.verdict, RS_ACCEPT);
	assert_string_equal(j.chain->name, "routed");
	at.src_type = RTN_LOCAL;
	assert_int_equal(judged(r, &h, &at).verdict, RS_DROP);
	ruleset_free(r);
}

static void test_startup_mode(void **state)
{
	struct mk *m = mk_policy("exempt tcp 0 80 in\nexempt udp 0 53 out");
	struct judge_place at = at_input, out = { .hook = RS_HOOK_POSTROUTING, .oif = 2, .src_type = RTN_LOCAL };
	struct packet_head h, a;
	struct ruleset *r;
	struct err err;

	(void)state;
	assert_true(parse(&h, tcp4, sizeof(tcp4)));
	a = h;
	memcpy(a.th, "\0\x50\3\xe8", 4);
	assert_int_equal(boot_render(&r, BOOT_BLOCK, &m->boot, NULL, NULL, &err), 0);
	assert_string_equal(judged(r, &h, &at).comment, "boot exemption tcp:0:80:inbound");
	assert_int_equal(judged(r, &h, &at).verdict, RS_ACCEPT);
	assert_int_equal(judged(r, &a, &at).verdict, RS_DROP);
	/* The answer needs what it answers, and to go the other way. */
	assert_int_equal(judged(r, &a, &out).verdict, RS_DROP);
	out.ct_state = 2;
	assert_int_equal(judged(r, &a, &out).verdict, RS_DROP);
	out.ct_reply = true;
	assert_int_equal(judged(r, &a, &out).verdict, RS_ACCEPT);
	ruleset_free(r);
	assert_int_equal(boot_render(&r, BOOT_STATEFUL, &m->boot, NULL, NULL, &err), 0);
	assert_int_equal(judged(r, &h, &at).verdict, RS_ACCEPT);
	assert_int_equal(judged(r, &a, &at).verdict, RS_DROP);
	at.ct_state = 2;
	assert_int_equal(judged(r, &a, &at).verdict, RS_DROP);
	at.ct_reply = true;
	assert_int_equal(judged(r, &a, &at).verdict, RS_ACCEPT);
	out.ct_state = 0;
	assert_int_equal(judged(r, &a, &out).verdict, RS_ACCEPT);
	at = (struct judge_place){ .hook = RS_HOOK_FORWARD, .iif = 2, .oif = 3, .ct_state = 2, .ct_reply = true };
	assert_int_equal(judged(r, &a, &at).verdict, RS_DROP);
	ruleset_free(r);
	mk_free(m);
}

/* Read back it says the same, but for the origins. */
static void test_read_back(void **state)
{
	struct ruleset *r = rendered("rule require R\nfilter any me any * *\nrule block B\nfilter any me tcp * 80"), *have;
	struct packet_head h;
	struct judgement j;
	struct nlbatch *b;
	struct err err;

	(void)state;
	assert_true(parse(&h, tcp4, sizeof(tcp4)));
	assert_int_equal(batch_build(&b, r, NULL, 0, &err), 0);
	assert_int_equal(readback_parse(&have, b->bytes, b->len, &err), 0);
	j = judged(have, &h, &at_input);
	assert_int_equal(j.verdict, RS_DROP);
	assert_null(j.origin);
	assert_string_equal(j.comment, "f:00000002 r:20000000 g:aaaaaaaa B");
	h.protocol = 17;
	j = judged(have, &h, &at_input);
	assert_string_equal(j.comment, "f:00000001 r:10000000 g:aaaaaaaa R");
	assert_string_equal(j.chain->name, "require_in");
	batch_free(b);
	ruleset_free(have);
	ruleset_free(r);
}

/* Chains in circles, to nowhere, and rules that were not understood. */
static void test_lost(void **state)
{
	struct packet_head h;
	struct judgement j;
	struct err err;

	(void)state;
	assert_true(parse(&h, tcp4, sizeof(tcp4)));
	for (int how = 0; how < 4; how++) {
		struct ruleset *r = ruleset_new();
		struct rs_chain *c = rs_chain_add(r, "input", "");
		struct rs_rule *rule = rs_rule_add(r, c);

		c->hook = RS_HOOK_INPUT;
		rs_rule_end(r, rule, how == 1 ? RS_JUMP : RS_GOTO, how == 2 ? "nowhere" : "input", "");
		if (how == 3)
			rule->foreign = "something";
		assert_int_equal(ruleset_seal(r, &err), 0);
		assert_false(judge_packet(&j, r, &h, &at_input));
		assert_true(judge_packet(&j, r, &h, &(struct judge_place){ .hook = RS_HOOK_FORWARD }));
		assert_int_equal(j.verdict, RS_ACCEPT);
		ruleset_free(r);
	}
}

/* ---- logged packets ---- */

/* As the kernel sent it for a ping that was dropped. */
static const uint8_t logged[] = {
	0x58, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,	/* nlmsghdr: NFULNL_MSG_PACKET */
	2, 0, 0x11, 0x94,					/* AF_INET, group 4500 */
	8, 0, 1, 0, 0x08, 0x00, 1, 0,				/* packet header: IP, hook input */
	8, 0, 10, 0, 'i', 'n', ' ', 0,				/* prefix */
	8, 0, 4, 0, 0, 0, 0, 7,					/* input interface */
	20, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9,	/* 5.000009 s */
	24, 0, 9, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
};

struct seen {
	struct nflog_packet	p;
	char			prefix[32];
	unsigned		n;
};

static void see(const struct nflog_packet *p, void *cookie)
{
	struct seen *s = cookie;

	s->p = *p;
	s->n++;
	snprintf(s->prefix, sizeof(s->prefix), "%s", p->prefix);
}

static void test_nflog_parse(void **state)
{
	uint8_t buf[2 * sizeof(logged)] __attribute__((aligned(4)));
	struct seen s = { .n = 0 };

	(void)state;
	_Static_assert(sizeof(logged) == 0x58, "the length in it");
	memcpy(buf, logged, sizeof(logged));
	memcpy(buf + sizeof(logged), logged, sizeof(logged));
	nflog_parse(buf, sizeof(buf), see, &s);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.prefix, "in ");
	assert_int_equal(s.p.hook, RS_HOOK_INPUT);
	assert_int_equal(s.p.family, AF_INET);
	assert_int_equal(s.p.iif, 7);
	assert_int_equal(s.p.oif, 0);
	assert_int_equal(s.p.time_us, 5000009);
	assert_int_equal(s.p.len, 20);
	assert_memory_equal(s.p.payload + 12, "\x0a\0\0\2", 4);
	/* Another kind of message, and a cut one. */
	s.n = 0;
	buf[4] = 1;
	nflog_parse(buf, sizeof(buf) - 1, see, &s);
	assert_int_equal(s.n, 0);
	nflog_parse(buf, 3, see, &s);
	assert_int_equal(s.n, 0);
	/* Without payload or header it is no packet. */
	memcpy(buf, logged, sizeof(logged));
	buf[66] = 99;
	nflog_parse(buf, sizeof(logged), see, &s);
	assert_int_equal(s.n, 0);
	/* A prefix without its end, a time that no clock shows. */
	memcpy(buf, logged, sizeof(logged));
	buf[35] = 'x';
	buf[48] = 0xff;
	nflog_parse(buf, sizeof(logged), see, &s);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.prefix, "");
	assert_int_equal(s.p.time_us, 0);
	for (size_t at = 0; at < sizeof(logged); at++) {
		memcpy(buf, logged, sizeof(logged));
		buf[at] ^= 0xff;
		nflog_parse(buf, sizeof(logged), see, &s);
	}
}

/* ---- the list of filters ---- */

static struct filter_line *listed(size_t *n, struct arena *a, struct mk *m)
{
	struct filter_line *l = NULL;
	struct err err;

	if (filters_list(&l, n, a, m->sources, m->n_sources, m->facts, &m->o, &err) < 0)
		fail_msg("%s", err.msg);
	return l;
}

static void test_filters(void **state)
{
	struct mk *m = mk_policy("fact dns 10.0.0.53\nfact dns 10.0.0.54\nrule permit Names\nfilter me dns udp * 53 mirrored\n"
	    "rule block dialup Big\nfilter any 10.1.2.0-10.1.2.9 any * *\nfilter any any any * *\n"
	    "store persistent\nrule block Stay\nfilter me 10.0.0.53/32 udp * 53");
	struct arena *a = arena_new(0);
	struct filter_line *l;
	struct err err;
	size_t n;

	(void)state;
	l = listed(&n, a, m);
	/* 4 of names, 1 persistent, 3 hooks of a range, 3 hooks and two families of any */
	assert_int_equal(n, 4 + 1 + 3 + 6);
	for (size_t i = 1; i < n; i++)
		assert_true(l[i - 1].weight >= l[i].weight);
	/* Inbound ones come first; of the same the stronger store. */
	assert_int_equal(l[0].hook, ACT_IN);
	assert_string_equal(l[0].src, "10.0.0.53/32");
	assert_string_equal(l[0].dst, "me");
	assert_int_equal(l[0].src_port.lo, 53);
	assert_int_equal(l[0].src_port.hi, 53);
	assert_int_equal(l[0].dst_port.hi, 0);
	assert_int_equal(l[2].hook, ACT_OUT);
	assert_int_equal(l[2].store, RENDER_PERSISTENT);
	assert_string_equal(l[2].rule_name, "Stay");
	assert_string_equal(l[2].policy_name, "Second");
	assert_string_equal(l[2].gpo_name, "");
	assert_int_equal(l[2].kind, ACT_BLOCK);
	assert_false(l[2].shadowed);
	assert_true(l[3].shadowed);
	assert_string_equal(l[3].dst, "10.0.0.53/32");
	assert_int_equal(l[3].store, RENDER_DOMAIN);
	assert_string_equal(l[3].gpo_name, "Test GPO");
	assert_false(l[4].shadowed);
	assert_string_equal(l[4].dst, "10.0.0.54/32");
	assert_true(l[2].weight == l[3].weight && l[3].weight == l[4].weight);
	assert_true(l[4].weight > l[5].weight);
	assert_string_equal(l[5].dst, "10.1.2.0-10.1.2.9");
	assert_int_equal(l[5].conntype, IPSEC_CONN_DIALUP);
	assert_string_equal(l[n - 1].src, "any");
	assert_string_equal(l[n - 1].tunnel, "");
	assert_int_equal(l[n - 1].family, AF_INET6);
	assert_int_equal(l[n - 1].hook, ACT_FORWARD);
	/* Nobody knows a server: nothing of that filter. */
	assert_int_equal(filters_list(&l, &n, a, m->sources, 1, NULL, &m->o, &err), 0);
	assert_int_equal(n, 9);
	mk_free(m);
	arena_free(a);
}

static void test_filters_tunnel(void **state)
{
	struct mk *m = mk_policy("rule permit tunnel hooks=2 T\nfilter me 10.0.0.0/8 any * *"), *bad;
	struct arena *a = arena_new(0);
	struct filter_line *l = (void *)-1;
	struct err err;
	size_t n = 7;

	(void)state;
	ipsec_addr_net(&m->policies[0]->rules[0].tunnel_end, AF_INET, (const uint8_t *)"\x0a\7\7\7", 32);
	l = listed(&n, a, m);
	assert_int_equal(n, 1);
	assert_string_equal(l[0].tunnel, "10.7.7.7/32");
	assert_int_equal(l[0].kind, ACT_REQUIRE);
	mk_free(m);
	bad = mk_policy("rule block R\nfilter me any 47 * 80");
	l = (void *)-1;
	n = 7;
	assert_int_equal(filters_list(&l, &n, a, bad->sources, 1, NULL, &bad->o, &err), -1);
	assert_string_equal(err.msg, "rule {10000000-0003-0000-0000-000000000000} 'R': "
	    "filter {00000001-0006-0000-0000-000000000000}: destination port without TCP or UDP");
	assert_ptr_equal(l, (void *)-1);
	assert_int_equal(n, 7);
	assert_int_equal(filters_list(&l, &n, a, NULL, 0, NULL, &bad->o, &err), 0);
	assert_int_equal(n, 0);
	mk_free(bad);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head4),
		cmocka_unit_test(test_head6),
		cmocka_unit_test(test_element),
		cmocka_unit_test(test_action),
		cmocka_unit_test(test_conntype),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_startup_mode),
		cmocka_unit_test(test_read_back),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_nflog_parse),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_filters_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
