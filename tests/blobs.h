/* tests/blobs.h - ipsecData blobs as hexadecimal text, for tests of their codec. */
#ifndef TESTS_BLOBS_H
#define TESTS_BLOBS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/err.h"
#include "schema/ipsecdata.h"
#include "schema/snapshot.h"

struct arena;

extern struct arena *arena;	/* of the running test */
extern struct err err;

int blob_setup(void **state);
int blob_teardown(void **state);
#define BLOB_TEST(f)	cmocka_unit_test_setup_teardown(f, blob_setup, blob_teardown)

struct dir_value blob(const char *hex);	/* other characters than digits are skipped */
struct dir_value with_byte(const char *hex, size_t off, uint8_t byte);
/* A heap block of that very size, so that a sanitizer sees overreads; free((void *)v.p). */
struct dir_value exact(const uint8_t *p, size_t len);
void assert_err(int rc, enum err_code code, const char *msg);
void assert_bytes(const struct wr *wr, const char *hex);
void assert_side(const struct ipsec_addr *a, const char *text);

/* Builds the value, parses that, and compares. */
void isakmp_again(const struct ipsec_isakmp *m);
void list_again(const struct ipsec_filter_list *l);
void negpol_again(const struct ipsec_negpol *n);
void rule_again(const struct ipsec_rule *r);

#define GUID_POLICY	"63212022 4c4f d111 863b00a0248d3021 "
#define GUID_ISAKMP	"b820dc80 c82e d111 a89e00a0248d3021 "
#define GUID_NFA	"00acbb11 8d49 d111 863900a0248d3021 "
#define GUID_NEGPOL	"b920dc80 c82e d111 a89e00a0248d3021 "
#define GUID_FILTER	"b520dc80 c82e d111 a89e00a0248d3021 "
#define GUID_FILTER2	"3dcdfe35 29ae 7343 8a6ac5d8fab2fb08 "
#define GUID_OTHER	"6f1c5f6a b772 d211 acf00060b0ecca17 "
#define EMPTY		"02000000 0000 "	/* a string */
#define MARK1		"01010101 01010101 01010101 01010101 "
#define MARK2		"01010101 01010101 01010101 01010102 "
#define MARK3		"01010101 01010101 01010101 01010103 "

/* The smallest list: "All IP Traffic", from me to any. */
#define FILTER_BLOB \
	GUID_FILTER "4a000000 01000000 " EMPTY EMPTY EMPTY \
	"dd9b3159 e35e d211 ace80060b0ecca17 01000000" \
	"00000000 ffffffff 00000000 00000000 00000000 00000000 0000 0000 00 00 0000 00"
#define F1_SRC	(42 + 20)	/* offsets in it */
#define F1_DST	(F1_SRC + 8)
#define F1_PROTOCOL	(F1_DST + 12)
#define F1_SPORT	(F1_PROTOCOL + 4)
#define F1_TUNNEL	(F1_SPORT + 4)
#define F1_SPECIAL	(F1_TUNNEL + 1)

#define FILTER1(guid, addrs, rest) \
	EMPTY EMPTY EMPTY guid "000000 00000000 00000000 00000000" "00000000" addrs "00000000" rest

/* Parts of version 2. */
#define ZERO16	"00000000 00000000 00000000 00000000 "
#define V2_ANY(version)		"00000000 " version "000000 " ZERO16 ZERO16
#define V2_ME(version)		"08000000 " version "000000 " ZERO16 ZERO16
#define V2_NET6			"04000000 02000000 20010db8 00000000 00000000 00000001 30000000 00000000 00000000 00000000 "
#define V2_RANGE4(last)		"02000000 01000000 0a000004 00000000 00000000 00000000 0a0000" last " 00000000 00000000 00000000 "
#define V2_NET4			"04000000 01000000 c0a80000 00000000 00000000 00000000 ffff0000 00000000 00000000 00000000 "
#define V2_HOST4		"01000000 01000000 00000000 00000000 00000000 00000000 deadbeef 00000000 00000000 00000000 "
#define V2_NO_PORT		"00000000 beef dead "
#define V2(guid, src, dst, sport, dport, protocol, flags) \
	EMPTY EMPTY EMPTY guid "000000 00000000 00000000 00000000 00000000 " \
	src dst sport dport protocol "000000 " flags "000000 "
#define V1_NONE	GUID_FILTER "04000000 00000000 "
#define V1_ONE(guid) \
	GUID_FILTER "4a000000 01000000 " EMPTY EMPTY EMPTY guid "000000 00000000 00000000 00000000" \
	"00000000 0a000000 ff000000 00000000 ffffffff 00000000 00000000 0000 0000 00 00 0000 "

#endif
