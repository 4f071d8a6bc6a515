/* IPsec policies as kernel messages, and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nft/xfrm.h"
#include "schema/err.h"
#include "tests/mkspd.h"

struct message {
	_Alignas(struct nlmsghdr) uint8_t b[XFRM_MESSAGE_MAX];
};

static struct nlmsghdr *built(struct message *m, const char *line)
{
	const struct spd_policy p = mk_spd_policy(line);

	memset(m, 0xaa, sizeof(*m));
	return xfrm_policy_build(m->b, 7, &p);
}

static void hex_is(const struct nlmsghdr *nlh, const char *want)
{
	char *got = calloc(1, 2 * nlh->nlmsg_len + 1), *clean = calloc(1, strlen(want) + 1), *c = clean;

	for (uint32_t i = 0; i < nlh->nlmsg_len; i++)
		sprintf(got + (size_t)2 * i, "%02x", ((const uint8_t *)nlh)[i]);
	for (; *want; want++)
		if (*want != ' ')
			*c++ = *want;
	assert_string_equal(got, clean);
	free(got);
	free(clean);
}

/* Written down by hand from include/uapi/linux/xfrm.h; little-endian hosts. */
#define ZERO4	"00000000"
#define ZERO12	ZERO4 ZERO4 ZERO4
#define ZERO16	ZERO4 ZERO12
#define INF8	"ffffffffffffffff"
#define SELECTOR "0a020000" ZERO12 "0a010001" ZERO12 "0050ffff" "04000400"	/* daddr, saddr, dport, sport 1024/0x0400 */ \
	"0200" "10" "20" "06" "000000" ZERO4 "00000069"		/* family, prefixes, tcp, ifindex, user */
#define TYPE	"0a001000" "000000000000" "0000"

static void test_bytes_of_a_policy(void **state)
{
	struct message m;

	(void)state;
	if (htonl(1) == 1)
		skip();
	hex_is(built(&m, "out 10.1.0.1/32 10.2.0.0/16 tcp 1024/0x0400 80 priority 65538 esp transport use reqid 0x69000010"),
	    "0801" "0000" "1900" "0100" "07000000" ZERO4
	    SELECTOR INF8 INF8 INF8 INF8 ZERO16 ZERO16 ZERO16 ZERO16
	    "02000100" ZERO4 "01" "00" "00" "00" ZERO4
	    TYPE
	    "4400" "0500" ZERO16 ZERO4 "32" "000000" "0200" "0000" ZERO16 "10000069" "00" "00" "01" "00"
	    "ffffffff" "ffffffff" "ffffffff");
}

static void test_bytes_of_a_delete(void **state)
{
	const struct spd_policy p = mk_spd_policy("out 10.1.0.1/32 10.2.0.0/16 tcp 1024/0x0400 80 priority 65538 pass");
	struct message m;

	(void)state;
	if (htonl(1) == 1)
		skip();
	memset(&m, 0xaa, sizeof(m));
	hex_is(xfrm_policy_delete_build(m.b, 8, &p), "5c00" "0000" "1400" "0100" "08000000" ZERO4 SELECTOR ZERO4 "01" "000000" TYPE);
}

static void test_bytes_of_questions(void **state)
{
	struct message m;
	struct xfrm_sa sa = { .family = AF_INET, .protocol = IPPROTO_ESP, .spi = 0x01020304 };

	(void)state;
	if (htonl(1) == 1)
		skip();
	memset(&m, 0xaa, sizeof(m));
	hex_is(xfrm_policy_dump_build(m.b, 9), "50000000" "1500" "0103" "09000000" ZERO4 ZERO16 ZERO16 ZERO16 ZERO16);
	memset(&m, 0xaa, sizeof(m));
	hex_is(xfrm_sa_dump_build(m.b, 9), "28000000" "1200" "0103" "09000000" ZERO4 ZERO16 ZERO4 ZERO4);
	assert_true(ip_addr_read(&sa.src, "10.0.0.1"));
	assert_true(ip_addr_read(&sa.dst, "10.0.0.2"));
	memset(&m, 0xaa, sizeof(m));
	hex_is(xfrm_sa_delete_build(m.b, 9, &sa), "3c000000" "1100" "0100" "09000000" ZERO4 "0a000002" ZERO12 "01020304" "0200" "32" "00"
	    "1400" "0d00" "0a000001" ZERO12);
}

static const char *const kinds[] = {
	"in 0.0.0.0/0 10.1.0.1/32 udp 53 0 priority 65536 pass",
	"out 0.0.0.0/0 0.0.0.0/0 any priority 98303 pass",
	"out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x69000010",
	"out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport use reqid 0x69000010",
	"in 10.1.0.1/32 10.2.0.0/16 tcp 1 65535 priority 65538 ah transport use reqid 0x69ffffff",
	"in fd00::/64 fd00::1/128 icmpv6 128 0/0xffff priority 65538 ah transport required reqid 0x69000000",
	"in 10.0.0.0/8 10.1.0.1/32 icmp 8 0 priority 65538 ah transport required reqid 0x69000000",
	"out 10.1.0.1/32 10.6.0.0/16 udp 1024/0xfc00 7/0x000f priority 65538 esp transport required reqid 0x69000014"
	    " ah transport required reqid 0x69000015",
	"fwd 10.3.0.0/16 10.4.0.0/16 any priority 65536 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000011",
	"fwd 10.3.0.0/16 10.4.0.0/16 any priority 65536 esp tunnel 0.0.0.0 192.0.2.9 required reqid 0x69000011",
	"fwd fd00:3::/32 fd00:4::/32 any priority 65536 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000011",
	"out 10.3.0.0/16 10.4.0.0/16 any priority 65536 ah tunnel 2001:db8::1 2001:db8::2 required reqid 0x69000011",
	"in fd00:3::/32 fd00:4::/32 any priority 65538 esp tunnel 2001:db8::1 :: use reqid 0x69000011",
	"out 10.3.0.0/16 10.4.0.0/16 any priority 65536 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000011"
	    " ah transport required reqid 0x69000011",
	"out 10.1.0.1/32 10.2.0.7/32 any priority 65539 esp transport required reqid 0x69000010 expires 3600",
	"out 10.1.0.1/32 10.2.0.7/32 any priority 65539 esp transport required reqid 0x69000010 expires 4294967295",
};
#define N_KINDS	(sizeof(kinds) / sizeof(kinds[0]))

static void line_is(const struct spd_policy *p, const char *want)
{
	char text[512];
	FILE *out = fmemopen(text, sizeof(text), "w");

	spd_policy_write(p, out);
	fclose(out);
	assert_string_equal(text, want);
}

static void test_every_kind_comes_back(void **state)
{
	struct message m;
	struct spd_policy p;

	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		struct nlmsghdr *nlh = built(&m, kinds[i]);

		assert_true(nlh->nlmsg_len <= XFRM_MESSAGE_MAX);
		assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_OURS);
		line_is(&p, kinds[i]);
		assert_string_equal(p.comment, "");
		nlh->nlmsg_type = XFRM_MSG_NEWPOLICY;
		assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_OURS);
	}
}

static const char plain[] = "out 10.1.0.1/32 10.2.0.0/16 any priority 65538 esp transport required reqid 0x69000010";

static struct xfrm_userpolicy_info *info_of(struct nlmsghdr *nlh)
{
	return mnl_nlmsg_get_payload(nlh);
}

static struct xfrm_user_tmpl *template_of(struct nlmsghdr *nlh)
{
	struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct xfrm_userpolicy_info))
		if (mnl_attr_get_type(a) == XFRMA_TMPL)
			return mnl_attr_get_payload(a);
	return NULL;
}

static void whose_is(const struct nlmsghdr *nlh, enum xfrm_whose want, uint8_t family)
{
	struct spd_policy p;

	assert_int_equal(xfrm_policy_parse(&p, nlh), want);
	assert_int_equal(p.sel.family, family);
	assert_int_equal(p.dir == SPD_OUT, info_of((struct nlmsghdr *)nlh)->dir == 1);
}

/* Every other key is somebody else's, whatever the policy does. */
static void test_foreign(void **state)
{
	const struct xfrm_mark mark = { 1, 1 }, no_mark = { 0 };
	const struct xfrm_userpolicy_type sub = { .type = XFRM_POLICY_TYPE_SUB };
	struct message m;
	struct nlmsghdr *nlh;

	(void)state;
	nlh = built(&m, plain);
	info_of(nlh)->sel.user = 0;
	whose_is(nlh, XFRM_FOREIGN, AF_INET);
	info_of(nlh)->sel.user = XFRM_USER_PIN + 1;
	whose_is(nlh, XFRM_FOREIGN, AF_INET);
	info_of(nlh)->priority = 5;
	info_of(nlh)->action = XFRM_POLICY_BLOCK;
	whose_is(nlh, XFRM_FOREIGN, AF_INET);

	/* Those that do not take all packets of their selector have no family. */
	nlh = built(&m, plain);
	info_of(nlh)->sel.ifindex = 1;
	whose_is(nlh, XFRM_FOREIGN, 0);
	nlh = built(&m, plain);
	mnl_attr_put(nlh, XFRMA_MARK, sizeof(mark), &mark);
	whose_is(nlh, XFRM_FOREIGN, 0);
	nlh = built(&m, plain);
	mnl_attr_put_u32(nlh, XFRMA_IF_ID, 3);
	whose_is(nlh, XFRM_FOREIGN, 0);
	nlh = built(&m, plain);
	mnl_attr_put(nlh, XFRMA_POLICY_TYPE, sizeof(sub), &sub);
	whose_is(nlh, XFRM_FOREIGN, 0);
	nlh = built(&m, plain);
	mnl_attr_put_u32(nlh, XFRMA_SEC_CTX, 3);
	whose_is(nlh, XFRM_FOREIGN, 0);
	nlh = built(&m, plain);
	info_of(nlh)->dir = 3;
	whose_is(nlh, XFRM_FOREIGN, 0);

	nlh = built(&m, plain);
	mnl_attr_put(nlh, XFRMA_MARK, sizeof(no_mark), &no_mark);
	mnl_attr_put_u32(nlh, XFRMA_IF_ID, 0);
	mnl_attr_put_u32(nlh, 1000, 3);
	whose_is(nlh, XFRM_OURS, AF_INET);
}

#define ALTERED(LINE, CHANGE)	do { \
	struct message m_; \
	struct nlmsghdr *nlh = built(&m_, LINE); \
	struct xfrm_userpolicy_info *i = info_of(nlh); \
	struct xfrm_user_tmpl *t = template_of(nlh); \
	(void)i; (void)t; \
	whose_is(nlh, XFRM_OURS, AF_INET); \
	CHANGE; \
	whose_is(nlh, XFRM_ALTERED, AF_INET); \
} while (0)

static void test_altered(void **state)
{
	static const char pin[] = "out 10.1.0.1/32 10.2.0.7/32 any priority 65539 esp transport required reqid 0x69000010 expires 9";
	static const char tunnel[] = "out 10.3.0.0/16 10.4.0.0/16 any priority 65536 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000011";
	struct spd_policy p;
	struct message m;

	(void)state;
	ALTERED(plain, i->priority = 65535);
	ALTERED(plain, i->priority = 98304);
	ALTERED(plain, i->action = XFRM_POLICY_BLOCK);
	ALTERED(plain, i->flags = XFRM_POLICY_ICMP);
	ALTERED(plain, i->share = XFRM_SHARE_UNIQUE);
	ALTERED(plain, i->lft.hard_add_expires_seconds = 5);
	ALTERED(plain, i->lft.hard_byte_limit = 5);
	ALTERED(plain, i->lft.soft_use_expires_seconds = 5);
	ALTERED(pin, i->lft.hard_add_expires_seconds = 0);
	ALTERED(pin, i->lft.hard_add_expires_seconds = 1ull << 32);
	ALTERED(plain, t->reqid = 0x68ffffff);
	ALTERED(plain, t->id.proto = IPPROTO_COMP);
	ALTERED(plain, t->id.spi = 1);
	ALTERED(plain, t->share = XFRM_SHARE_UNIQUE);
	ALTERED(plain, t->mode = XFRM_MODE_BEET);
	ALTERED(plain, t->optional = 2);
	ALTERED(plain, t->optional = 1; i->priority = 65536);
	ALTERED(plain, t->family = AF_INET6);
	ALTERED(plain, t->saddr.a4 = 1);
	ALTERED(plain, t->aalgos = 1);
	ALTERED(tunnel, t->family = 0);
	ALTERED(plain, mnl_attr_put(nlh, XFRMA_TMPL, sizeof(*t) - 4, t));
	ALTERED(plain, mnl_attr_put(nlh, XFRMA_TMPL, 3 * sizeof(*t), m.b));

	/* It can be deleted or replaced with what is told about it. */
	built(&m, pin);
	info_of((void *)m.b)->action = XFRM_POLICY_BLOCK;
	assert_int_equal(xfrm_policy_parse(&p, (void *)m.b), XFRM_ALTERED);
	line_is(&p, "out 10.1.0.1/32 10.2.0.7/32 any priority 65539 pass expires 1");
}

static void test_damaged(void **state)
{
	struct message m, cut;
	struct nlmsghdr *nlh, *c = (void *)cut.b;
	struct spd_policy p;

	(void)state;
	nlh = built(&m, plain);
	/* What ends between two attributes is a whole message. */
	for (uint32_t len = MNL_NLMSG_HDRLEN; len < nlh->nlmsg_len; len++) {
		memcpy(c, nlh, nlh->nlmsg_len);
		c->nlmsg_len = len;
		assert_int_equal(xfrm_policy_parse(&p, c) == XFRM_DAMAGED, len != 16 + 168 && (len < 16 + 178 || len > 16 + 180));
	}
	nlh->nlmsg_type = XFRM_MSG_NEWSA;
	assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_DAMAGED);
	nlh->nlmsg_type = NLMSG_DONE;
	assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_DAMAGED);
	nlh->nlmsg_type = XFRM_MSG_DELPOLICY;
	assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_DAMAGED);
	nlh = built(&m, plain);
	((struct nlattr *)(m.b + MNL_NLMSG_HDRLEN + 168))->nla_len = 3;
	assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_DAMAGED);
	((struct nlattr *)(m.b + MNL_NLMSG_HDRLEN + 168))->nla_len = 500;
	assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_DAMAGED);
}

static void test_notifications(void **state)
{
	const struct xfrm_userpolicy_id id = { .index = 9, .dir = 1 };
	struct message m, n;
	struct xfrm_user_polexpire e;
	struct nlmsghdr *nlh;
	struct spd_policy p;

	(void)state;
	built(&m, kinds[14]);
	memset(&e, 0, sizeof(e));
	e.pol = *info_of((void *)m.b);
	e.hard = 1;
	nlh = mnl_nlmsg_put_header(n.b);
	nlh->nlmsg_type = XFRM_MSG_POLEXPIRE;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(e)), &e, sizeof(e));
	mnl_attr_put(nlh, XFRMA_TMPL, sizeof(struct xfrm_user_tmpl), template_of((void *)m.b));
	assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_OURS);
	line_is(&p, kinds[14]);
	nlh->nlmsg_len = MNL_NLMSG_HDRLEN + sizeof(e) - 1;
	assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_DAMAGED);

	nlh = mnl_nlmsg_put_header(n.b);
	nlh->nlmsg_type = XFRM_MSG_DELPOLICY;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(id)), &id, sizeof(id));
	mnl_attr_put(nlh, XFRMA_POLICY, sizeof(e.pol), &e.pol);
	mnl_attr_put(nlh, XFRMA_TMPL, sizeof(struct xfrm_user_tmpl), template_of((void *)m.b));
	assert_int_equal(xfrm_policy_parse(&p, nlh), XFRM_OURS);
	line_is(&p, kinds[14]);
}

/* ---- security associations ---- */

static struct nlmsghdr *sa_message(struct message *m, const struct xfrm_usersa_info *info)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->b);

	nlh->nlmsg_type = XFRM_MSG_NEWSA;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(*info)), info, sizeof(*info));
	return nlh;
}

static const struct xfrm_usersa_info example = {
	.sel = { .family = AF_INET, .proto = 6, .prefixlen_s = 32 }, .family = AF_INET, .mode = XFRM_MODE_TUNNEL,
	.reqid = 0x69000010, .curlft = { 1000, 10, 100, 200 }, .stats = { 0, 3, 4 },
};

static void test_sa(void **state)
{
	/* Name, lengths and key of struct xfrm_algo and struct xfrm_algo_auth. */
	const char crypt[64 + 4 + 16] = "cbc(aes)", auth[64 + 8 + 20] = "hmac(sha1)";
	struct xfrm_usersa_info info = example;
	struct message m;
	struct nlmsghdr *nlh;
	struct xfrm_sa sa;

	(void)state;
	info.id.spi = htonl(0xc0000001);
	info.id.proto = IPPROTO_ESP;
	info.id.daddr.a4 = htonl(0x0a000002);
	info.saddr.a4 = htonl(0x0a000001);
	nlh = sa_message(&m, &info);
	mnl_attr_put(nlh, XFRMA_ALG_CRYPT, sizeof(crypt), crypt);
	mnl_attr_put(nlh, XFRMA_ALG_AUTH_TRUNC, sizeof(auth), auth);
	memcpy((char *)mnl_nlmsg_get_payload_tail(nlh) - 8, "secret", 6);
	assert_int_equal(xfrm_sa_parse(&sa, nlh), 1);
	assert_int_equal(sa.spi, 0xc0000001);
	assert_int_equal(sa.reqid, 0x69000010);
	assert_int_equal(sa.protocol, IPPROTO_ESP);
	assert_true(sa.tunnel);
	assert_false(sa.larval);
	assert_memory_equal(sa.src.b, "\x0a\0\0\1", 4);
	assert_memory_equal(sa.dst.b, "\x0a\0\0\2", 4);
	assert_int_equal(sa.bytes, 1000);
	assert_int_equal(sa.packets, 10);
	assert_int_equal(sa.add_time, 100);
	assert_int_equal(sa.use_time, 200);
	assert_int_equal(sa.replays, 3);
	assert_int_equal(sa.integrity_failures, 4);
	assert_int_equal(sa.sel.protocol, 6);
	assert_string_equal(sa.encryption, "cbc(aes)");
	assert_string_equal(sa.integrity, "hmac(sha1)");
	assert_null(memmem(&sa, sizeof(sa), "secret", 6));
}

static void test_sa_others(void **state)
{
	struct xfrm_usersa_info info = example;
	const struct xfrm_usersa_id id = { .spi = 1 };
	struct xfrm_user_expire e = { .state = example, .hard = 1 };
	struct message m;
	struct nlmsghdr *nlh;
	struct xfrm_sa sa;
	char name[64];

	(void)state;
	memset(name, 'x', sizeof(name));
	nlh = sa_message(&m, &info);
	mnl_attr_put(nlh, XFRMA_ALG_AEAD, sizeof(name), name);
	assert_int_equal(xfrm_sa_parse(&sa, nlh), 1);
	assert_true(sa.larval);
	assert_int_equal(strlen(sa.encryption), 63);
	assert_string_equal(sa.integrity, "");
	nlh->nlmsg_len = MNL_NLMSG_HDRLEN + sizeof(info) - 1;
	assert_int_equal(xfrm_sa_parse(&sa, nlh), -1);

	info.reqid = 1;
	assert_int_equal(xfrm_sa_parse(&sa, sa_message(&m, &info)), 0);
	info.reqid = 0x6a000000;
	assert_int_equal(xfrm_sa_parse(&sa, sa_message(&m, &info)), 0);
	info = example;
	info.family = 0;
	assert_int_equal(xfrm_sa_parse(&sa, sa_message(&m, &info)), -1);
	assert_int_equal(xfrm_sa_parse(&sa, built(&m, plain)), -1);

	nlh = mnl_nlmsg_put_header(m.b);
	nlh->nlmsg_type = XFRM_MSG_DELSA;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(id)), &id, sizeof(id));
	assert_int_equal(xfrm_sa_parse(&sa, nlh), -1);
	mnl_attr_put(nlh, XFRMA_SA, sizeof(example), &example);
	assert_int_equal(xfrm_sa_parse(&sa, nlh), 1);
	nlh = mnl_nlmsg_put_header(m.b);
	nlh->nlmsg_type = XFRM_MSG_EXPIRE;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(e)), &e, sizeof(e));
	assert_int_equal(xfrm_sa_parse(&sa, nlh), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_of_a_policy),
		cmocka_unit_test(test_bytes_of_a_delete),
		cmocka_unit_test(test_bytes_of_questions),
		cmocka_unit_test(test_every_kind_comes_back),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_altered),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_notifications),
		cmocka_unit_test(test_sa),
		cmocka_unit_test(test_sa_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
