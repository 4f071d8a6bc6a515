#include "tests/blobs.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ldif.h"
#include "schema/utf.h"

/* ---- ipsecPolicy and what all blobs share ---- */

#define POLICY_BLOB	GUID_POLICY "04000000 302a0000 00"

static void test_policy(void **state)
{
	struct dir_value v = blob(POLICY_BLOB);
	uint32_t polling = 7;
	struct wr wr;

	(void)state;
	assert_int_equal(v.len, 25);
	assert_int_equal(ipsecdata_policy_parse(&polling, &v, &err), 0);
	assert_int_equal(polling, 10800);
	v = blob(GUID_POLICY "04000000 00000000 00");
	assert_int_equal(ipsecdata_policy_parse(&polling, &v, &err), 0);
	assert_int_equal(polling, POLICY_POLLING_DEFAULT);
	v = blob(GUID_POLICY "04000000 3c000000");	/* no pad */
	assert_int_equal(ipsecdata_policy_parse(&polling, &v, &err), 0);
	assert_int_equal(polling, 60);
	assert_int_equal(ipsecdata_policy_build(&wr, 10800, &err), 0);
	assert_bytes(&wr, POLICY_BLOB);
	free(wr.p);
}

static void test_policy_errors(void **state)
{
	static const struct {
		const char	*hex, *msg;
	} cases[] = {
		{ "", "0 bytes without an ipsecPolicy block" },
		{ GUID_POLICY, "16 bytes without an ipsecPolicy block" },
		{ GUID_POLICY "08000000 302a0000 00000000 00", "Data-Length is 8, not 4" },
		{ GUID_POLICY "05000000 302a0000 00", "Data-Length is 5, not 4" },
		{ GUID_POLICY "04000000 302a00", "polling interval is cut short" },
		{ GUID_POLICY "04000000 302a0000 0000", "2 unexplained bytes at the end" },
		{ GUID_NFA "04000000 302a0000 00", "ipsecNFA block where ipsecPolicy is expected" },
		{ GUID_OTHER "04000000 302a0000 00", "25 bytes without an ipsecPolicy block" },
		{ GUID_OTHER "06000000 302a0000 00", "unknown block of 6 bytes is cut short" },
		{ GUID_POLICY "04000000 302a0000" GUID_POLICY "04000000 302a0000 00",
		    "ipsecPolicy block at the end" },
		{ GUID_POLICY "04000000 302a0000"
		    "00000000 00000000 00000000 00000000 00000000", "20 unexplained bytes at the end" },
	};
	uint32_t polling = 7;
	struct dir_value v;
	uint8_t *big;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = blob(cases[i].hex);
		assert_err(ipsecdata_policy_parse(&polling, &v, &err), ERR_FORMAT, cases[i].msg);
	}
	big = calloc(1, (16 << 20) + 1);
	assert_non_null(big);
	v = (struct dir_value){ big, (16 << 20) + 1 };
	assert_err(ipsecdata_policy_parse(&polling, &v, &err), ERR_LIMIT,
	    "16777217 bytes, more than 16777216");
	free(big);
	assert_int_equal(polling, 7);
}

static void test_unknown_blocks(void **state)
{
	static const char *const good[] = {
		GUID_OTHER "03000000 616263" POLICY_BLOB,
		GUID_OTHER "00000000" GUID_OTHER "01000000 ff" POLICY_BLOB,
		GUID_POLICY "04000000 302a0000" GUID_OTHER "03000000 616263",
		GUID_POLICY "04000000 302a0000 00" GUID_OTHER "03000000 616263 00",
	};
	uint32_t polling;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct dir_value v = blob(good[i]);

		polling = 0;
		assert_int_equal(ipsecdata_policy_parse(&polling, &v, &err), 0);
		assert_int_equal(polling, 10800);
	}
}

/* ---- ipsecISAKMPPolicy ---- */

/* Bytes 20..83: instance, zero, master PFS 1, options 3, New-DH 4 and 1 (what
 * stands behind the first 0 does not count), QM limit 5, 3600 s, zero, count 3. */
#define ISAKMP_BLOB \
	GUID_ISAKMP "00010000 " \
	"00112233 44556677 8899aabb ccddeeff 00000000 01000000 03000000 04010003 05000000 100e0000" \
	"00000000 00000000 00000000 00000000 00000000 03000000" \
	/* 3DES, SHA-1, group 2, stale memory all over */ \
	"0000cdcd 03000000 40000000 08000000 02000000 40000000 00000000 00000000 00000000" \
	"00 00000000cdcdcd 02000000 07000000 09000000 80700000 cdcdcdcd" \
	/* Random-Function 2 overrides 3DES, MD5, group 1 and the lifetimes */ \
	"00000000 03000000 40000000 08000000 01000000 40000000 00000000 00000000 00000000" \
	"02 00000000000000 01000000 07000000 09000000 80700000 00000000" \
	/* id 2 is 3DES too; MD5, group 14 */ \
	"00000000 02000000 40000000 08000000 01000000 40000000 00000000 00000000 00000000" \
	"00 00000000000000 01000010 00000000 00000000 00000000 00000000" \
	"00"

static void test_isakmp(void **state)
{
	struct dir_value v = blob(ISAKMP_BLOB);
	struct ipsec_isakmp m = { 0 };

	(void)state;
	assert_int_equal(v.len, 85 + 3 * 64);
	assert_int_equal(ipsecdata_isakmp_parse(&m, arena, &v, &err), 0);
	assert_true(m.master_pfs && m.map_account && m.exclude_ca);
	assert_int_equal(m.instance.b[15], 0xff);
	assert_memory_equal(m.new_dh, "\4\1\0\0", 4);
	assert_int_equal(m.qm_limit, 5);
	assert_int_equal(m.life_seconds, 3600);
	assert_int_equal(m.n_offers, 3);
	assert_int_equal(m.offers[0].encryption, IPSEC_CIPHER_3DES);
	assert_int_equal(m.offers[0].hash, IPSEC_HASH_SHA1);
	assert_int_equal(m.offers[0].group, 2);
	assert_int_equal(m.offers[0].qm_limit, 7);
	assert_int_equal(m.offers[0].life_kbytes, 9);
	assert_int_equal(m.offers[0].life_seconds, 28800);
	assert_int_equal(m.offers[1].random_function, 2);
	assert_int_equal(m.offers[1].encryption, IPSEC_CIPHER_DES);
	assert_int_equal(m.offers[1].hash, IPSEC_HASH_SHA1);
	assert_int_equal(m.offers[1].group, 14);
	assert_int_equal(m.offers[1].life_seconds, 0);
	assert_int_equal(m.offers[2].encryption, IPSEC_CIPHER_3DES);
	assert_int_equal(m.offers[2].group, 14);
	isakmp_again(&m);
}

static void test_isakmp_errors(void **state)
{
	static const struct {
		size_t		 off;
		uint8_t		 byte;
		const char	*msg;
	} cases[] = {
		{ 40, 2, "Master-PFS-Required is 2, neither 0 nor 1" },
		{ 48, 5, "New-DH 1 is 5, not known" },
		{ 80, 4, "4 security methods do not fit the bytes left" },
		{ 83, 0xff, "4278190083 security methods do not fit the bytes left" },
		{ 80, 2, "Data-Length says 256, content takes 192" },
		{ 17, 2, "Data-Length says 512, content takes 256" },
		{ 84 + 4, 4, "security method 1: encryption 4 is not known" },
		{ 84 + 16, 3, "security method 1: hash 3 is not known" },
		{ 84 + 44, 3, "security method 1: group 0x3 is not known" },
		{ 84 + 64 + 36, 5, "security method 2: Random-Function 5 is not known" },
	};
	struct ipsec_isakmp m = { .qm_limit = 77 };
	struct dir_value v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = with_byte(ISAKMP_BLOB, cases[i].off, cases[i].byte);
		assert_err(ipsecdata_isakmp_parse(&m, arena, &v, &err), ERR_FORMAT, cases[i].msg);
	}
	assert_int_equal(m.qm_limit, 77);
	for (int by = -1; by <= 1; by++) {
		v = with_byte(ISAKMP_BLOB, 16, (uint8_t)by);
		v = by < 0 ? with_byte(ISAKMP_BLOB, 17, 0) : v;
		if (by < 0)
			((uint8_t *)v.p)[16] = 0xff;
		assert_int_equal(ipsecdata_isakmp_parse(&m, arena, &v, &err), 0);
	}
}

/* ---- ipsecNegotiationPolicy ---- */

#define STALE	"41414141 41414141 41414141 41414141 41414141 "
#define NONE	"00000000 00000000 00000000 00000000 00000000 "
#define NEGPOL_BLOB \
	GUID_NEGPOL "44010000 04000000 " \
	/* 900 s, 100000 KB, PFS: AH SHA-1 and ESP 3DES/SHA-1 together */ \
	"84030000 a0860100 00000000 01000000 02000000" \
	"02000000 00000000 01000000 40000000 08000000" \
	"03000000 02000000 02000000 40000000 08000000" STALE \
	/* the soft marker, not last here */ \
	"00000000 00000000 00000000 00000000 00000000" STALE STALE STALE \
	/* ESP id 1: DES/MD5 */ \
	"00000000 00000000 00000000 00000000 01000000" \
	"01000000 01000000 02000000 40000000 08000000" STALE STALE \
	/* ESP id 0: null encryption, SHA-1 */ \
	"00000000 00000000 00000000 00000000 01000000" \
	"00000000 02000000 02000000 40000000 08000000" STALE NONE \
	"00"

static void test_negpol(void **state)
{
	struct dir_value v = blob(NEGPOL_BLOB);
	struct ipsec_negpol n = { .name = "", .description = "" };

	(void)state;
	assert_int_equal(v.len, 25 + 4 * 80);
	assert_int_equal(ipsecdata_negpol_parse(&n, arena, &v, &err), 0);
	assert_true(n.soft && n.pfs);
	assert_int_equal(n.n_offers, 3);
	assert_true(n.offers[0].has_ah && n.offers[0].has_esp);
	assert_int_equal(n.offers[0].ah_integrity, IPSEC_HASH_SHA1);
	assert_int_equal(n.offers[0].esp_encryption, IPSEC_CIPHER_3DES);
	assert_int_equal(n.offers[0].esp_integrity, IPSEC_HASH_SHA1);
	assert_int_equal(n.offers[0].life_seconds, 900);
	assert_int_equal(n.offers[0].life_kbytes, 100000);
	assert_false(n.offers[1].has_ah);
	assert_int_equal(n.offers[1].esp_encryption, IPSEC_CIPHER_DES);
	assert_int_equal(n.offers[1].esp_integrity, IPSEC_HASH_MD5);
	assert_int_equal(n.offers[2].esp_encryption, IPSEC_CIPHER_NONE);
	negpol_again(&n);
	v = with_byte(NEGPOL_BLOB, 24 + 2 * 80 + 20, 2);
	assert_int_equal(ipsecdata_negpol_parse(&n, arena, &v, &err), 0);
	assert_int_equal(n.offers[1].esp_encryption, IPSEC_CIPHER_DES);
}

static void test_negpol_build(void **state)
{
	struct ipsec_offer esp = { .has_esp = true, .esp_encryption = IPSEC_CIPHER_3DES,
	    .esp_integrity = IPSEC_HASH_SHA1, .life_seconds = 900, .life_kbytes = 100000 };
	struct ipsec_negpol n = { .soft = true, .pfs = true, .offers = &esp, .n_offers = 1 };
	struct ipsec_negpol permit = { 0 };
	struct ipsec_offer empty = { 0 };
	struct wr wr;

	(void)state;
	assert_int_equal(ipsecdata_negpol_build(&wr, &n, &err), 0);
	assert_bytes(&wr, GUID_NEGPOL "a4000000 02000000"
	    "84030000 a0860100 00000000 01000000 01000000"
	    "03000000 02000000 02000000 40000000 08000000" NONE NONE
	    NONE NONE NONE NONE "00");
	free(wr.p);
	assert_int_equal(ipsecdata_negpol_build(&wr, &permit, &err), 0);
	assert_bytes(&wr, GUID_NEGPOL "04000000 00000000 00");
	free(wr.p);
	n.offers = &empty;
	assert_err(ipsecdata_negpol_build(&wr, &n, &err), ERR_FORMAT, "offer 1: neither AH nor ESP");
}

static void test_negpol_errors(void **state)
{
	static const struct {
		size_t		 off;
		uint8_t		 byte;
		enum err_code	 code;
		const char	*msg;
	} cases[] = {
		{ 20, 5, ERR_FORMAT, "5 offers do not fit the bytes left" },
		{ 20, 3, ERR_FORMAT, "Data-Length says 324, content takes 244" },
		{ 40, 4, ERR_FORMAT, "offer 1: 4 algorithms, more than 3" },
		{ 40, 3, ERR_FORMAT, "offer 1: algorithm type 1094795585 is neither AH nor ESP" },
		{ 44, 0, ERR_FORMAT, "offer 1: AH algorithm 0 is not known" },
		{ 52, 3, ERR_FORMAT, "offer 1: algorithm type 3 is neither AH nor ESP" },
		{ 52, 2, ERR_UNSUPPORTED, "offer 1: two ESP algorithms" },
		{ 72, 1, ERR_UNSUPPORTED, "offer 1: two AH algorithms" },
		{ 64, 4, ERR_FORMAT, "offer 1: ESP algorithm 4 is not known" },
		{ 68, 3, ERR_FORMAT, "offer 1: ESP integrity 3 is not known" },
		{ 24 + 3 * 80 + 24, 0, ERR_FORMAT, "offer 4: ESP with neither encryption nor integrity" },
	};
	struct ipsec_negpol n = { 0 };
	struct dir_value v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = with_byte(NEGPOL_BLOB, cases[i].off, cases[i].byte);
		assert_err(ipsecdata_negpol_parse(&n, arena, &v, &err), cases[i].code, cases[i].msg);
	}
	assert_null(n.offers);
}

static void test_action(void **state)
{
	static const char standard[] = "{62F49E10-6C37-11D1-864C-14A300000000}";
	struct ipsec_negpol n = { 0 };

	(void)state;
	assert_int_equal(ipsecdata_action_parse(&n, "{3f91a81a-7647-11d1-864d-d46a00000000}", standard, &err), 0);
	assert_int_equal(n.action, IPSEC_NEGOTIATE);
	assert_true(n.inpass && !n.default_response);
	assert_string_equal(ipsecdata_action_guid(&n), "{3F91A81A-7647-11D1-864D-D46A00000000}");
	assert_int_equal(ipsecdata_action_parse(&n, "{3F91A819-7647-11D1-864D-D46A00000000}", standard, &err), 0);
	assert_int_equal(n.action, IPSEC_BLOCK);
	assert_int_equal(ipsecdata_action_parse(&n, "{8A171DD2-77E3-11D1-8659-A04F00000000}", standard, &err), 0);
	assert_int_equal(n.action, IPSEC_PERMIT);
	assert_int_equal(ipsecdata_action_parse(&n, "{8A171DD3-77E3-11D1-8659-A04F00000000}",
	    "{62f49e13-6c37-11d1-864c-14a300000000}", &err), 0);
	assert_true(n.action == IPSEC_NEGOTIATE && !n.inpass && n.default_response);
	assert_string_equal(ipsecdata_type_guid(&n), "{62F49E13-6C37-11D1-864C-14A300000000}");
	assert_err(ipsecdata_action_parse(&n, NULL, standard, &err), ERR_FORMAT,
	    "iPSECNegotiationPolicyAction is missing");
	assert_err(ipsecdata_action_parse(&n, standard, NULL, &err), ERR_FORMAT,
	    "iPSECNegotiationPolicyType is missing");
	assert_err(ipsecdata_action_parse(&n, "{x}", standard, &err), ERR_FORMAT,
	    "iPSECNegotiationPolicyAction '{x}' is not known");
	assert_err(ipsecdata_action_parse(&n, "{8A171DD3-77E3-11D1-8659-A04F00000000}", "", &err),
	    ERR_FORMAT, "iPSECNegotiationPolicyType '' is not known");
	n = (struct ipsec_negpol){ .action = IPSEC_BLOCK, .inpass = true };
	assert_null(ipsecdata_action_guid(&n));
}

/* ---- ipsecNFA ---- */

#define NFA_MIN \
	GUID_NFA "2a000000 01000000 05000000 " EMPTY "fdffffff " EMPTY "00000000 00000000 01000000 " EMPTY

/* A key "ab" and a CA "CN=x" without its NUL; dial-up; tunnel to 10.0.0.1; disabled. */
#define NFA_TWO(len) \
	GUID_NFA len " 02000000 01000000 06000000 6100 6200 0000" \
	"03000000 08000000 4300 4e00 3d00 7800 ffffffff" EMPTY "0a000001 01000000 00000000" \
	"06000000 6700 7700 0000"
#define NFA_EXT \
	MARK1 "02000000 01000000 02000000 beef 00000000 00000000" \
	MARK2 "00000000 01000000 02000000" \
	MARK3 "20010db8 00000000 00000000 00000001"

static void test_nfa(void **state)
{
	struct dir_value v = blob(NFA_MIN "00");
	struct ipsec_rule r = { .name = "kept" };
	struct wr wr;

	(void)state;
	assert_int_equal(v.len, 63);
	assert_int_equal(ipsecdata_nfa_parse(&r, arena, &v, &err), 0);
	assert_string_equal(r.name, "kept");
	assert_int_equal(r.n_auth, 1);
	assert_int_equal(r.auth[0].method, IPSEC_AUTH_KERBEROS);
	assert_string_equal(r.auth[0].text, "");
	assert_int_equal(r.conntype, IPSEC_CONN_ALL);
	assert_true(r.active && !r.tunnel);
	assert_int_equal(ipsecdata_nfa_build(&wr, &r, &err), 0);
	assert_bytes(&wr, NFA_MIN "00");
	free(wr.p);
	v = blob(GUID_OTHER "02000000 ffff" NFA_MIN);
	assert_int_equal(ipsecdata_nfa_parse(&r, arena, &v, &err), 0);
}

static void assert_extended(const char *hex)
{
	struct dir_value v = blob(hex);
	struct ipsec_rule r = { 0 };
	struct ipsec_addr end = { .kind = IPSEC_ADDR_NET, .family = AF_INET6, .prefix = 128,
	    .lo = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };

	assert_int_equal(ipsecdata_nfa_parse(&r, arena, &v, &err), 0);
	assert_int_equal(r.n_auth, 2);
	assert_int_equal(r.auth[0].method, IPSEC_AUTH_PSK);
	assert_string_equal(r.auth[0].text, "ab");
	assert_string_equal(r.auth[1].text, "CN=x");
	assert_int_equal(r.auth[0].alt_type, 1);
	assert_int_equal(r.auth[0].alt_len, 2);
	assert_memory_equal(r.auth[0].alt, "\xbe\xef", 2);
	assert_int_equal(r.auth[1].alt_type, 0);
	assert_true(r.auth[0].map_account && !r.auth[0].exclude_ca);
	assert_true(!r.auth[1].map_account && r.auth[1].exclude_ca);
	assert_memory_equal(&r.tunnel_end, &end, sizeof(end));
	assert_string_equal(r.tunnel_name, "gw");
	assert_int_equal(r.conntype, IPSEC_CONN_DIALUP);
	assert_true(r.tunnel && !r.active);
	rule_again(&r);
}

static void test_nfa_extensions(void **state)
{
	static const uint8_t end[4] = { 10, 0, 0, 1 };
	struct dir_value v = blob(NFA_TWO("42000000"));
	struct ipsec_rule r = { 0 };
	struct wr wr;

	(void)state;
	assert_int_equal(ipsecdata_nfa_parse(&r, arena, &v, &err), 0);
	assert_memory_equal(r.tunnel_end.lo, end, 4);
	assert_int_equal(r.tunnel_end.prefix, 32);
	rule_again(&r);
	/* Pad last, pad first, none; counted and not counted in Data-Length. */
	assert_extended(NFA_TWO("42000000") NFA_EXT "00");
	assert_extended(NFA_TWO("42000000") "00" NFA_EXT);
	assert_extended(NFA_TWO("43000000") "00" NFA_EXT);
	assert_extended(NFA_TWO("42000000") NFA_EXT);
	assert_extended(NFA_TWO("a4000000") NFA_EXT "00");
	/* An IPv6 endpoint without the tunnel bit says nothing. */
	v = blob(NFA_MIN MARK3 "20010db8 00000000 00000000 00000001 00");
	assert_int_equal(ipsecdata_nfa_parse(&r, arena, &v, &err), 0);
	assert_false(r.tunnel);
	assert_int_equal(r.tunnel_end.family, AF_UNSPEC);
	assert_int_equal(ipsecdata_nfa_build(&wr, &r, &err), 0);
	assert_bytes(&wr, NFA_MIN "00");
	free(wr.p);
}

static void test_nfa_errors(void **state)
{
	static const struct {
		const char	*hex, *msg;
	} cases[] = {
		{ GUID_NFA "2a000000 ffffff7f 05000000", "2147483647 authentication methods do not fit the bytes left" },
		{ GUID_NFA "2a000000 01000000 02000000" EMPTY, "authentication method 1: authentication type 2 is not known" },
		{ GUID_NFA "2a000000 01000000 01000000 ffffffff 6100", "authentication method 1: authentication data of 4294967295 bytes is cut short" },
		{ GUID_NFA "2a000000 01000000 01000000 03000000 610062", "authentication method 1: authentication data: text of odd length 3" },
		{ GUID_NFA "2a000000 01000000 01000000 04000000 00d80000", "authentication method 1: authentication data: text with a lone surrogate" },
		{ GUID_NFA "2a000000 01000000 01000000 04000000 00dc00dc", "authentication method 1: authentication data: text with a lone surrogate" },
		{ GUID_NFA "2a000000 01000000 01000000 06000000 610000006200", "authentication method 1: authentication data: text with a NUL character inside" },
		{ GUID_NFA "2a000000 01000000 05000000" EMPTY "fcffffff" EMPTY "00000000 00000000 01000000" EMPTY, "Interface-Type 0xfffffffc is not known" },
		{ GUID_NFA "2a000000 01000000 05000000" EMPTY "fdffffff" EMPTY "00000000 02000000 01000000" EMPTY, "Is-Tunnel-Specifier is 2, neither 0 nor 1" },
		{ GUID_NFA "2a000000 01000000 05000000" EMPTY "fdffffff" EMPTY "00000000 00000000 02000000" EMPTY, "Is-Active-Specifier is 2, neither 0 nor 1" },
		{ GUID_NFA "2a000000 01000000 05000000" EMPTY "fdffffff" EMPTY "00000000", "Tunnel-End-Point-Name of 0 bytes is cut short" },
		{ GUID_NFA "2c000000 01000000 05000000" EMPTY "fdffffff" EMPTY "00000000 00000000 01000000" EMPTY "00", "Data-Length says 44, content takes 42" },
		{ NFA_MIN MARK1 "02000000 00", "2 alternate authentication methods beside 1" },
		{ NFA_MIN MARK1 "01000000 03000000 05000000 616263 00", "alternate authentication method 1 is cut short" },
		{ NFA_MIN MARK1 "01000000 00000000 01000000 61 00", "alternate authentication method 1 of type 0 holds data" },
		{ NFA_MIN MARK2 "00000000 010000", "authentication flags are cut short" },
		{ NFA_MIN MARK3 "20010db8 00", "IPv6 tunnel endpoint is cut short" },
		{ NFA_MIN MARK2 "00000000 00000000" MARK2 "00000000 00000000", "an extension appears twice" },
		{ NFA_MIN "0000", "2 unexplained bytes at the end" },
	};
	struct ipsec_rule r = { .name = "kept" };
	struct dir_value v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = blob(cases[i].hex);
		assert_err(ipsecdata_nfa_parse(&r, arena, &v, &err), ERR_FORMAT, cases[i].msg);
	}
	assert_null(r.auth);
}

/* ---- any blob, cut anywhere ---- */

static int parse_any(int which, const struct dir_value *v)
{
	struct ipsec_filter_list l = { 0 };
	struct ipsec_isakmp m = { 0 };
	struct ipsec_negpol n = { 0 };
	struct ipsec_rule r = { 0 };
	uint32_t polling;

	switch (which) {
	case 0: return ipsecdata_policy_parse(&polling, v, &err);
	case 1: return ipsecdata_isakmp_parse(&m, arena, v, &err);
	case 2: return ipsecdata_nfa_parse(&r, arena, v, &err);
	case 3: return ipsecdata_negpol_parse(&n, arena, v, &err);
	default: return ipsecdata_filter_parse(&l, arena, v, &err);
	}
}

static void test_cut(void **state)
{
	static const char *const whole[] = {
		POLICY_BLOB, ISAKMP_BLOB, NFA_MIN "00", NEGPOL_BLOB, FILTER_BLOB,
		V1_ONE("11") GUID_FILTER2 "96000000 01000000 01000000"
		    V2("12", V2_ME("02"), V2_NET6, V2_NO_PORT, V2_NO_PORT, "00", "00") "00",
	};

	(void)state;
	for (int which = 0; which < 6; which++) {
		struct dir_value v = blob(whole[which]);

		assert_int_equal(parse_any(which, &v), 0);
		for (size_t len = 0; len < v.len; len++) {
			struct dir_value cut = exact(v.p, len);
			bool v1_only = which == 5 && (len == 94 || len == 95);

			/* Only the pad may be missing, or all of version 2. */
			assert_int_equal(parse_any(which, &cut), len == v.len - 1 || v1_only ? 0 : -1);
			free((void *)cut.p);
		}
	}
}

/* ---- UTF ---- */

static void test_utf(void **state)
{
	const char *s, *text;
	struct wr wr = { 0 };

	(void)state;
	assert_true(utf8_valid("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
	assert_false(utf8_valid("\xc0\xaf"));
	assert_false(utf8_valid("\xe0\x80\xaf"));
	assert_false(utf8_valid("\xed\xa0\x80"));
	assert_false(utf8_valid("\xf4\x90\x80\x80"));
	assert_false(utf8_valid("\xe2\x82"));
	assert_false(utf8_valid("\x80"));
	s = "\xf0\x9f\x98\x80";
	assert_int_equal(utf8_next(&s), 0x1f600);
	assert_int_equal(utf16_build(&wr, "\xf0\x9f\x98\x80z", &err), 0);
	assert_bytes(&wr, "08000000 3dd8 00de 7a00 0000");
	assert_int_equal(utf16_parse(&text, arena, wr.p + 4, 8, &err), 0);
	assert_string_equal(text, "\xf0\x9f\x98\x80z");
	assert_int_equal(utf16_parse(&text, arena, wr.p + 4, 6, &err), 0);
	assert_string_equal(text, "\xf0\x9f\x98\x80z");
	assert_int_equal(utf16_parse(&text, arena, wr.p + 4, 0, &err), 0);
	assert_string_equal(text, "");
	free(wr.p);
}

/* ---- the objects that Samba's provisioning creates ---- */

#define PROVISION	"/usr/share/samba/setup/provision.ldif"

static struct dir_entry *provision_read(size_t *n)
{
	char *text = NULL, *from, *to;
	struct dir_entry *entries;
	size_t size = 0;
	FILE *f = fopen(PROVISION, "r");

	if (!f) {
		print_message("%s is not there (package samba-ad-provision)\n", PROVISION);
		skip();
	}
	assert_true(getdelim(&text, &size, '\0', f) > 0);
	fclose(f);
	from = strstr(text, "dn: CN=IP Security,");
	to = strstr(text, "# End IP security objects");
	assert_non_null(from);
	assert_non_null(to);
	if (ldif_read(&entries, n, arena, from, (size_t)(to - from), &err))
		fail_msg("%s", err.msg);
	free(text);
	return entries;
}

static const struct dir_entry *provision_find(const struct dir_entry *e, size_t n, const char *rdn)
{
	for (size_t i = 0; i < n; i++)
		if (!strncmp(e[i].dn, rdn, strlen(rdn)) && e[i].dn[strlen(rdn)] == ',')
			return &e[i];
	fail_msg("%s is not there", rdn);
	return NULL;
}

static void test_provision_all(void **state)
{
	struct dir_entry *e;
	size_t n, bytes = 0, objects = 0;

	(void)state;
	e = provision_read(&n);
	for (size_t i = 0; i < n; i++) {
		const struct dir_value *v = entry_value(&e[i], "ipsecData");
		struct ipsec_filter_list l = { 0 };
		struct ipsec_isakmp m = { 0 };
		struct ipsec_negpol np = { 0 };
		struct ipsec_rule r = { 0 };
		uint32_t polling;

		if (!v)
			continue;
		objects++;
		bytes += v->len;
		if (entry_has_class(&e[i], "ipsecPolicy")) {
			assert_int_equal(ipsecdata_policy_parse(&polling, v, &err), 0);
			assert_int_equal(polling, 10800);
		} else if (entry_has_class(&e[i], "ipsecISAKMPPolicy")) {
			assert_int_equal(ipsecdata_isakmp_parse(&m, arena, v, &err), 0);
			isakmp_again(&m);
		} else if (entry_has_class(&e[i], "ipsecNFA")) {
			assert_int_equal(ipsecdata_nfa_parse(&r, arena, v, &err), 0);
			rule_again(&r);
		} else if (entry_has_class(&e[i], "ipsecFilter")) {
			assert_int_equal(ipsecdata_filter_parse(&l, arena, v, &err), 0);
			list_again(&l);
		} else {
			assert_int_equal(ipsecdata_negpol_parse(&np, arena, v, &err), 0);
			assert_int_equal(ipsecdata_action_parse(&np, entry_text(&e[i], "iPSECNegotiationPolicyAction"),
			    entry_text(&e[i], "iPSECNegotiationPolicyType"), &err), 0);
			negpol_again(&np);
		}
	}
	assert_int_equal(objects, 22);
	assert_int_equal(bytes, 4210);
}

static void assert_qm(const struct ipsec_offer *o, enum ipsec_cipher c, enum ipsec_hash esp, enum ipsec_hash ah, uint32_t seconds, uint32_t kbytes)
{
	assert_int_equal(o->has_esp, esp != IPSEC_HASH_NONE);
	assert_int_equal(o->has_ah, ah != IPSEC_HASH_NONE);
	assert_int_equal(o->esp_encryption, c);
	assert_int_equal(o->esp_integrity, esp);
	assert_int_equal(o->ah_integrity, ah);
	assert_int_equal(o->life_seconds, seconds);
	assert_int_equal(o->life_kbytes, kbytes);
}

static void test_provision_values(void **state)
{
	struct ipsec_filter_list l = { 0 };
	struct ipsec_isakmp m = { 0 };
	struct ipsec_negpol np = { 0 };
	struct ipsec_rule r = { 0 };
	struct dir_entry *e;
	size_t n;

	(void)state;
	e = provision_read(&n);
#define DATA(rdn) entry_value(provision_find(e, n, rdn), "ipsecData")
	assert_int_equal(ipsecdata_isakmp_parse(&m, arena,
	    DATA("CN=ipsecISAKMPPolicy{72385231-70FA-11D1-864C-14A300000000}"), &err), 0);
	assert_true(!m.master_pfs && !m.map_account && m.qm_limit == 0 && m.life_seconds == 0);
	assert_int_equal(m.n_offers, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(m.offers[i].encryption, i < 2 ? IPSEC_CIPHER_3DES : IPSEC_CIPHER_DES);
		assert_int_equal(m.offers[i].hash, i % 2 ? IPSEC_HASH_MD5 : IPSEC_HASH_SHA1);
		assert_int_equal(m.offers[i].group, i < 2 ? 2 : 1);
		assert_int_equal(m.offers[i].life_seconds, 28800);
	}
	/* "Request Security (Optional)": the fifth offer is the soft marker. */
	assert_int_equal(ipsecdata_negpol_parse(&np, arena,
	    DATA("CN=ipsecNegotiationPolicy{72385233-70FA-11D1-864C-14A300000000}"), &err), 0);
	assert_true(np.soft && !np.pfs);
	assert_int_equal(np.n_offers, 4);
	assert_qm(&np.offers[0], IPSEC_CIPHER_3DES, IPSEC_HASH_SHA1, IPSEC_HASH_NONE, 900, 100000);
	assert_qm(&np.offers[1], IPSEC_CIPHER_DES, IPSEC_HASH_SHA1, IPSEC_HASH_NONE, 900, 100000);
	assert_qm(&np.offers[2], IPSEC_CIPHER_NONE, IPSEC_HASH_NONE, IPSEC_HASH_SHA1, 300, 100000);
	assert_qm(&np.offers[3], IPSEC_CIPHER_NONE, IPSEC_HASH_NONE, IPSEC_HASH_MD5, 300, 100000);
	/* "Require Security" */
	assert_int_equal(ipsecdata_negpol_parse(&np, arena,
	    DATA("CN=ipsecNegotiationPolicy{7238523F-70FA-11D1-864C-14A300000000}"), &err), 0);
	assert_true(!np.soft && !np.pfs);
	assert_int_equal(np.n_offers, 4);
	for (size_t i = 0; i < 4; i++)
		assert_qm(&np.offers[i], i < 2 ? IPSEC_CIPHER_3DES : IPSEC_CIPHER_DES,
		    i % 2 ? IPSEC_HASH_MD5 : IPSEC_HASH_SHA1, IPSEC_HASH_NONE, 900, 100000);
	/* default response */
	assert_int_equal(ipsecdata_negpol_parse(&np, arena,
	    DATA("CN=ipsecNegotiationPolicy{59319BDF-5EE3-11D2-ACE8-0060B0ECCA17}"), &err), 0);
	assert_false(np.soft);
	assert_int_equal(np.n_offers, 6);
	assert_qm(&np.offers[3], IPSEC_CIPHER_DES, IPSEC_HASH_MD5, IPSEC_HASH_NONE, 0, 0);
	assert_qm(&np.offers[5], IPSEC_CIPHER_NONE, IPSEC_HASH_NONE, IPSEC_HASH_MD5, 0, 0);
	/* "Permit" */
	assert_int_equal(ipsecdata_negpol_parse(&np, arena,
	    DATA("CN=ipsecNegotiationPolicy{7238523B-70FA-11D1-864C-14A300000000}"), &err), 0);
	assert_true(!np.soft && np.n_offers == 0);
	assert_int_equal(ipsecdata_filter_parse(&l, arena,
	    DATA("CN=ipsecFilter{72385235-70FA-11D1-864C-14A300000000}"), &err), 0);
	assert_int_equal(l.n_filters, 1);
	assert_string_equal(l.filters[0].description, "ICMP");
	assert_side(&l.filters[0].src, "me");
	assert_side(&l.filters[0].dst, "any");
	assert_int_equal(l.filters[0].protocol, 1);
	assert_true(l.filters[0].mirrored);
	/* A block that is not ours stands before the rule. */
	assert_int_equal(ipsecdata_nfa_parse(&r, arena,
	    DATA("CN=ipsecNFA{6A1F5C6F-72B7-11D2-ACF0-0060B0ECCA17}"), &err), 0);
	assert_true(r.active && !r.tunnel && r.n_auth == 1 && r.conntype == IPSEC_CONN_ALL);
	assert_int_equal(r.auth[0].method, IPSEC_AUTH_KERBEROS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BLOB_TEST(test_policy), BLOB_TEST(test_policy_errors), BLOB_TEST(test_unknown_blocks),
		BLOB_TEST(test_isakmp), BLOB_TEST(test_isakmp_errors), BLOB_TEST(test_negpol),
		BLOB_TEST(test_negpol_build), BLOB_TEST(test_negpol_errors), BLOB_TEST(test_action),
		BLOB_TEST(test_nfa), BLOB_TEST(test_nfa_extensions), BLOB_TEST(test_nfa_errors),
		BLOB_TEST(test_cut), BLOB_TEST(test_utf), BLOB_TEST(test_provision_all),
		BLOB_TEST(test_provision_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
