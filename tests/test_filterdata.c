#include "tests/blobs.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"

/* ---- ipsecFilter, version 1 ---- */

static void test_filter1(void **state)
{
	struct dir_value v = blob(FILTER_BLOB);
	struct ipsec_filter_list l = { .name = "kept" };
	struct wr wr;

	(void)state;
	assert_int_equal(v.len, 95);
	assert_int_equal(ipsecdata_filter_parse(&l, arena, &v, &err), 0);
	assert_string_equal(l.name, "kept");
	assert_int_equal(l.n_filters, 1);
	assert_int_equal(l.filters[0].src.kind, IPSEC_ADDR_ME);
	assert_int_equal(l.filters[0].src.family, AF_UNSPEC);
	assert_int_equal(l.filters[0].dst.kind, IPSEC_ADDR_ANY);
	assert_int_equal(l.filters[0].protocol, 0);
	assert_true(l.filters[0].mirrored && !l.filters[0].tunnel);
	assert_int_equal(ipsecdata_filter_build(&wr, &l, &err), 0);
	assert_bytes(&wr, FILTER_BLOB);
	free(wr.p);
	v = blob(GUID_FILTER "04000000 00000000 00");
	assert_int_equal(ipsecdata_filter_parse(&l, arena, &v, &err), 0);
	assert_int_equal(l.n_filters, 0);
	list_again(&l);
}

static void test_filter1_addresses(void **state)
{
	/* 10.1.2.3/8 -> 192.0.2.1/32, TCP, 1701 -> 80, "x" and a tunnel to 10.9.9.9 */
	struct dir_value v = blob(GUID_FILTER "92000000 02000000 "
	    EMPTY "04000000 7800 0000" EMPTY "11000000 00000000 00000000 00000000 00000000"
	    "0a010203 ff000000 c0000201 ffffffff 0a090909 06000000 a506 5000 01 00 0000"
	    /* 1.2.3.4/0 is any, and 0.0.0.0/8 a network; the tunnel address does not count */
	    EMPTY EMPTY EMPTY "12000000 00000000 00000000 00000000 01000000"
	    "01020304 00000000 00000000 ff000000 0a090909 11000000 0000 0000 00 00 ffff 00");
	struct ipsec_filter_list l = { 0 };
	struct ipsec_addr net8 = { .kind = IPSEC_ADDR_NET, .family = AF_INET, .prefix = 8, .lo = { 10 } };
	const struct ipsec_filter *f;

	(void)state;
	assert_int_equal(ipsecdata_filter_parse(&l, arena, &v, &err), 0);
	assert_int_equal(l.n_filters, 2);
	f = &l.filters[0];
	assert_memory_equal(&f->src, &net8, sizeof(net8));
	assert_memory_equal(f->dst.lo, "\xc0\0\2\1", 4);
	assert_int_equal(f->dst.prefix, 32);
	assert_string_equal(f->dst_dns, "x");
	assert_int_equal(f->protocol, 6);
	assert_int_equal(f->src_port.lo, 1701);
	assert_int_equal(f->src_port.hi, 1701);
	assert_int_equal(f->dst_port.lo, 80);
	assert_true(f->tunnel && !f->mirrored);
	assert_memory_equal(f->tunnel_addr, "\x0a\x09\x09\x09", 4);
	f = &l.filters[1];
	assert_int_equal(f->src.kind, IPSEC_ADDR_ANY);
	assert_int_equal(f->dst.kind, IPSEC_ADDR_NET);
	assert_int_equal(f->dst.prefix, 8);
	assert_memory_equal(f->tunnel_addr, "\0\0\0\0", 4);
	list_again(&l);
}

static void test_filter1_special(void **state)
{
	static const enum ipsec_addr_kind kinds[] = {
		IPSEC_ADDR_DNS, IPSEC_ADDR_WINS, IPSEC_ADDR_DHCP, IPSEC_ADDR_GATEWAY,
	};
	struct ipsec_filter_list l = { 0 };
	struct dir_value v;
	struct wr wr;

	(void)state;
	for (uint8_t i = 0; i < 4; i++) {
		v = with_byte(FILTER_BLOB, F1_SPECIAL, (uint8_t)(i + 1));
		assert_int_equal(ipsecdata_filter_parse(&l, arena, &v, &err), 0);
		assert_int_equal(l.filters[0].src.kind, kinds[i]);
		assert_int_equal(l.filters[0].dst.kind, IPSEC_ADDR_ANY);
		list_again(&l);
		v = with_byte(FILTER_BLOB, F1_SPECIAL, (uint8_t)(0x81 + i));
		assert_int_equal(ipsecdata_filter_parse(&l, arena, &v, &err), 0);
		assert_int_equal(l.filters[0].src.kind, IPSEC_ADDR_ME);
		assert_int_equal(l.filters[0].dst.kind, kinds[i]);
		assert_int_equal(ipsecdata_filter_build(&wr, &l, &err), 0);
		assert_int_equal(wr.p[F1_SPECIAL], 0x81 + i);
		assert_memory_equal(wr.p + F1_DST, "\0\0\0\0\xff\xff\xff\xff", 8);
		free(wr.p);
		list_again(&l);
	}
}

static void test_filter1_errors(void **state)
{
	static const struct {
		size_t		 off;
		uint8_t		 byte;
		const char	*msg;
	} cases[] = {
		{ F1_SRC + 5, 0, "filter 1: source mask 255.0.255.255 is not contiguous" },
		{ F1_DST + 6, 1, "filter 1: destination mask 0.0.1.0 is not contiguous" },
		{ F1_PROTOCOL + 1, 1, "filter 1: protocol 256 is above 255" },
		{ F1_SPORT, 80, "filter 1: source port 80 with protocol 0, which is neither TCP nor UDP" },
		{ F1_TUNNEL, 2, "filter 1: Is-Tunnel 2 is neither 0 nor 1" },
		{ F1_SPECIAL, 5, "filter 1: special filter 0x05 is not known" },
		{ F1_SPECIAL, 0x80, "filter 1: special filter 0x80 is not known" },
		{ F1_SRC - 4, 2, "filter 1: mirror option 2 is neither 0 nor 1" },
		{ 20, 2, "2 filters do not fit the bytes left" },
		{ 20, 0, "Data-Length says 74, content takes 4" },
		{ 23, 0x80, "2147483649 filters do not fit the bytes left" },
		{ 16, 0x4c, "Data-Length says 76, content takes 74" },
		{ 24, 0xff, "filter 1: source name of 255 bytes is cut short" },
		{ 36, 1, "filter 1: description: text of odd length 1" },
	};
	struct ipsec_filter_list l = { 0 };
	struct dir_value v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = with_byte(FILTER_BLOB, cases[i].off, cases[i].byte);
		assert_err(ipsecdata_filter_parse(&l, arena, &v, &err), ERR_FORMAT, cases[i].msg);
	}
	assert_null(l.filters);
	v = with_byte(FILTER_BLOB, 16, 0x4b);
	assert_int_equal(ipsecdata_filter_parse(&l, arena, &v, &err), 0);
}

/* ---- ipsecFilter, version 2 ---- */

static void parse2(struct ipsec_filter_list *l, const char *hex)
{
	struct dir_value v = blob(hex);

	if (ipsecdata_filter_parse(l, arena, &v, &err))
		fail_msg("%s", err.msg);
	list_again(l);
}

static void test_filter2(void **state)
{
	struct ipsec_filter_list l = { 0 };

	(void)state;
	/* me6 ports 1024-65535 -> 2001:db8::/48 port 443, TCP; range and single; any of each family */
	parse2(&l, V1_NONE "00" GUID_FILTER2 "40020000 00000000 04000000"
	    V2("21", V2_ME("02"), V2_NET6, "02000000 0004 ffff", "01000000 bb01 0000", "06", "08")
	    V2("22", V2_RANGE4("09"), V2_NET4, V2_NO_PORT, V2_NO_PORT, "00", "08")
	    V2("23", V2_RANGE4("07"), V2_HOST4, "02000000 0000 ffff", "02000000 3500 3500", "11", "00")
	    V2("24", V2_ANY("01"), V2_ANY("03"), V2_NO_PORT, V2_NO_PORT, "00", "00") "00");
	assert_int_equal(l.n_filters, 4);
	assert_side(&l.filters[0].src, "me6");
	assert_side(&l.filters[0].dst, "2001:db8::/48");
	assert_int_equal(l.filters[0].src_port.lo, 1024);
	assert_int_equal(l.filters[0].src_port.hi, 65535);
	assert_int_equal(l.filters[0].dst_port.lo, 443);
	assert_int_equal(l.filters[0].dst_port.hi, 443);
	assert_side(&l.filters[1].src, "10.0.0.4-10.0.0.9");
	assert_side(&l.filters[1].dst, "192.168.0.0/16");
	assert_side(&l.filters[2].src, "10.0.0.4/30");
	assert_side(&l.filters[2].dst, "0.0.0.0/32");
	assert_true(ipsec_ports_any(&l.filters[2].src_port));
	assert_int_equal(l.filters[2].dst_port.hi, 53);
	assert_side(&l.filters[3].src, "0.0.0.0/0");
	assert_side(&l.filters[3].dst, "any");
	parse2(&l, V1_NONE GUID_FILTER2 "96000000 00000000 01000000"
	    V2("25", V2_ANY("02"), "80000000 03000000" ZERO16 ZERO16, V2_NO_PORT, V2_NO_PORT, "3a", "00"));
	assert_side(&l.filters[0].src, "::/0");
	assert_side(&l.filters[0].dst, "gateway");
	assert_int_equal(l.filters[0].protocol, 58);
}

static void test_filter2_joined(void **state)
{
	struct ipsec_filter_list l = { 0 };

	(void)state;
	/* Without the flag both count; a GUID that version 1 has is the same filter. */
	parse2(&l, V1_ONE("11") GUID_FILTER2 "24010000 01000000 02000000"
	    V2("11", V2_NET4, V2_NET4, V2_NO_PORT, V2_NO_PORT, "00", "00")
	    V2("12", V2_ME("02"), V2_NET6, V2_NO_PORT, V2_NO_PORT, "00", "00") "00");
	assert_int_equal(l.n_filters, 2);
	assert_side(&l.filters[0].src, "10.0.0.0/8");
	assert_side(&l.filters[0].dst, "me");
	assert_side(&l.filters[1].src, "me6");
	/* The zero GUID identifies nothing. */
	parse2(&l, V1_ONE("00") GUID_FILTER2 "96000000 00000000 01000000"
	    V2("00", V2_NET4, V2_NET4, V2_NO_PORT, V2_NO_PORT, "00", "00") "00");
	assert_int_equal(l.n_filters, 2);
	/* One flag is enough for version 2 alone. */
	parse2(&l, V1_ONE("11") GUID_FILTER2 "24010000 00000000 02000000"
	    V2("13", V2_NET4, V2_NET4, V2_NO_PORT, V2_NO_PORT, "00", "08")
	    V2("12", V2_ME("02"), V2_NET6, V2_NO_PORT, V2_NO_PORT, "00", "00") "00");
	assert_int_equal(l.n_filters, 2);
	assert_side(&l.filters[0].src, "192.168.0.0/16");
	/* Number-Of-Filters11 stands behind the array that it counts. */
	parse2(&l, GUID_FILTER "4a000000 07000000 " EMPTY EMPTY EMPTY
	    "11000000 00000000 00000000 00000000 00000000 0a000000 ff000000 00000000 ffffffff"
	    "00000000 00000000 0000 0000 00 00 0000" GUID_FILTER2 "08000000 01000000 00000000 00");
	assert_int_equal(l.n_filters, 1);
}

static void test_filter2_errors(void **state)
{
#define ONE2(src, dst, sport, dport, protocol) \
	V1_NONE GUID_FILTER2 "96000000 00000000 01000000" V2("21", src, dst, sport, dport, protocol, "00")
	static const struct {
		const char	*hex, *msg;
	} cases[] = {
		{ ONE2(V2_ME("01"), V2_NET6, V2_NO_PORT, V2_NO_PORT, "00"),
		    "version 2 filter 1: source is IPv4, destination IPv6" },
		{ ONE2(V2_ME("00"), V2_NET6, V2_NO_PORT, V2_NO_PORT, "00"),
		    "version 2 filter 1: source address version 0 is not known" },
		{ ONE2(V2_ME("02"), "01000000 03000000" ZERO16 ZERO16, V2_NO_PORT, V2_NO_PORT, "00"),
		    "version 2 filter 1: destination address of type 1 is said to be of both families" },
		{ ONE2(V2_ME("02"), "03000000 02000000" ZERO16 ZERO16, V2_NO_PORT, V2_NO_PORT, "00"),
		    "version 2 filter 1: destination address type 0x3 is not known" },
		{ ONE2(V2_RANGE4("03"), V2_NET4, V2_NO_PORT, V2_NO_PORT, "00"),
		    "version 2 filter 1: source range is reversed" },
		{ ONE2(V2_NET4, "04000000 02000000" ZERO16 "81000000 00000000 00000000 00000000", V2_NO_PORT, V2_NO_PORT, "00"),
		    "version 2 filter 1: destination prefix 129 is above 128" },
		{ ONE2("04000000 01000000" ZERO16 "ff00ff00 00000000 00000000 00000000", V2_NET4, V2_NO_PORT, V2_NO_PORT, "00"),
		    "version 2 filter 1: source mask 255.0.255.0 is not contiguous" },
		{ ONE2(V2_NET4, V2_NET4, "03000000 0000 0000", V2_NO_PORT, "06"),
		    "version 2 filter 1: source port type 3 is not known" },
		{ ONE2(V2_NET4, V2_NET4, V2_NO_PORT, "02000000 0900 0800", "06"),
		    "version 2 filter 1: destination port range 9-8 is reversed" },
		{ ONE2(V2_NET4, V2_NET4, "01000000 0000 0000", V2_NO_PORT, "06"),
		    "version 2 filter 1: source port is 0" },
		{ ONE2(V2_NET4, V2_NET4, "02000000 0000 0500", V2_NO_PORT, "01"),
		    "version 2 filter 1: source port 0 with protocol 1, which is neither TCP nor UDP" },
		{ V1_NONE GUID_FILTER2 "96000000 00000000 02000000" V2("21", V2_NET4, V2_NET4, V2_NO_PORT, V2_NO_PORT, "00", "00"),
		    "2 version 2 filters do not fit the bytes left" },
		{ V1_NONE GUID_FILTER2 "98000000 00000000 01000000" V2("21", V2_NET4, V2_NET4, V2_NO_PORT, V2_NO_PORT, "00", "00"),
		    "Data-Length says 152, content takes 150" },
		{ V1_NONE GUID_FILTER2 "08000000 02000000 00000000 00", "2 filters are said, 0 are there" },
		{ GUID_FILTER "04000000 01000000" GUID_FILTER2 "08000000 00000000 00000000 00",
		    "1 filters are said, 0 are there" },
		{ V1_NONE GUID_FILTER2 "08000000 00000000 00000000" GUID_FILTER2 "08000000 00000000 00000000",
		    "ipsecFilter version 2 block at the end" },
	};
	struct ipsec_filter_list l = { 0 };
	struct dir_value v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = blob(cases[i].hex);
		assert_err(ipsecdata_filter_parse(&l, arena, &v, &err), ERR_FORMAT, cases[i].msg);
	}
	assert_null(l.filters);
}

static struct ipsec_filter filter(uint8_t id, const char *src, const char *dst)
{
	struct ipsec_filter f = { .id = { { id } }, .description = "", .src_dns = "", .dst_dns = "" };

	assert_true(ipsec_addr_read(&f.src, src));
	assert_true(ipsec_addr_read(&f.dst, dst));
	return f;
}

static void test_filter_build(void **state)
{
	struct ipsec_filter f[3] = { filter(1, "me6", "2001:db8::/48"), filter(2, "me", "10.0.0.0/8") };
	struct ipsec_filter_list l = { .filters = f, .n_filters = 2 };
	struct wr wr;

	(void)state;
	/* Clean version 2: alone, each with the flag, and no version 1. */
	assert_int_equal(ipsecdata_filter_build(&wr, &l, &err), 0);
	assert_bytes(&wr, V1_NONE GUID_FILTER2 "24010000 00000000 02000000"
	    V2("01", V2_ME("02"), "04000000 02000000 20010db8 00000000 00000000 00000000 30000000 00000000 00000000 00000000",
	    "00000000 0000 0000", "00000000 0000 0000", "00", "08")
	    V2("02", V2_ME("03"), "04000000 01000000 0a000000 00000000 00000000 00000000 ff000000 00000000 00000000 00000000",
	    "00000000 0000 0000", "00000000 0000 0000", "00", "08") "00");
	free(wr.p);
	list_again(&l);
	/* "any" of no family goes to version 1, in front; no flag then. */
	f[2] = f[0];
	f[0] = filter(3, "me", "any");
	l.n_filters = 3;
	assert_int_equal(ipsecdata_filter_build(&wr, &l, &err), 0);
	assert_memory_equal(wr.p + 20, "\2\0\0\0", 4);
	assert_int_equal(wr.p[wr.len - 5], 0);
	free(wr.p);
	list_again(&l);
	/* A reader would take two of one GUID, on both sides, for one. */
	f[2].id = f[1].id;
	assert_int_equal(ipsecdata_filter_build(&wr, &l, &err), 0);
	assert_memory_equal(wr.p + 20, "\1\0\0\0", 4);
	free(wr.p);
	list_again(&l);
	f[1].tunnel = true;
	assert_err(ipsecdata_filter_build(&wr, &l, &err), ERR_UNSUPPORTED,
	    "filter 2: Is-Tunnel cannot be said in version 2");
	f[2].id.b[0] = 9;
	list_again(&l);
	/* Neither may two such filters pull a tunnel out of version 1. */
	f[0] = filter(1, "me", "10.0.0.0/8");
	f[0].tunnel = true;
	f[1] = filter(2, "me", "10.0.0.0/8");
	f[2] = filter(2, "0.0.0.0/0", "any");
	list_again(&l);
	/* What version 1 would read as "me" or "any" is not said in it. */
	f[0] = filter(4, "0.0.0.0/32", "10.0.0.0/8");
	f[1] = filter(5, "0.0.0.0/0", "10.0.0.0/8");
	f[2] = filter(6, "dns", "wins");
	list_again(&l);
	f[1].description = "\xff";
	assert_err(ipsecdata_filter_build(&wr, &l, &err), ERR_FORMAT, "filter 2: description: text is not UTF-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BLOB_TEST(test_filter1), BLOB_TEST(test_filter1_addresses), BLOB_TEST(test_filter1_special),
		BLOB_TEST(test_filter1_errors), BLOB_TEST(test_filter2), BLOB_TEST(test_filter2_joined),
		BLOB_TEST(test_filter2_errors), BLOB_TEST(test_filter_build),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
