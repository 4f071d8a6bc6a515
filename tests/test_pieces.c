/* Random spans against a model that looks at each number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nft/pieces.h"
#include "schema/err.h"

#define N_NUMBERS	256
#define MAX_SPANS	40
#define NO_MAX		1000000

static uint64_t state = 88172645463325252u;

static unsigned pick(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 11) % n;
}

/* The i-th of the 256 numbers looked at: the first, the last or some in the middle of all. */
static struct num number(unsigned i, unsigned bits, int where)
{
	uint8_t bytes[16] = { 0 };

	memset(bytes, where == 0 ? 0 : where == 1 ? 0xff : 0x5a, bits / 8 - 1);
	bytes[bits / 8 - 1] = (uint8_t)i;
	return num_read(bytes, bits);
}

static bool less(struct num a, struct num b)
{
	return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

static bool equal(struct num a, struct num b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* NULL: none has it.  Fails when two do. */
static const struct piece *owner(const struct pieces *p, struct num v, unsigned bits)
{
	const struct piece *found = NULL;

	for (size_t i = 0; i < p->n; i++)
		if (!less(v, p->all[i].first) && !less(piece_last(&p->all[i], bits), v)) {
			assert_null(found);
			found = &p->all[i];
		}
	return found;
}

static void spans_check(const struct pieces *p, const uint8_t lo[], const uint8_t hi[], size_t n, unsigned bits, int where)
{
	for (unsigned v = 0; v < N_NUMBERS; v++) {
		const struct piece *got = owner(p, number(v, bits, where), bits);
		size_t i = 0;

		while (i < n && (v < lo[i] || v > hi[i]))
			i++;
		if (i == n)
			assert_null(got);
		else
			assert_true(got && got->who == 100 + i);
	}
	for (size_t i = 0; i < p->n; i++) {
		struct num last = piece_last(&p->all[i], bits);

		assert_true(p->all[i].bits >= 1 && p->all[i].bits <= bits);
		assert_true(equal(p->all[i].first, (struct num){ p->all[i].first.hi & last.hi, p->all[i].first.lo & last.lo }));
		assert_false(less(p->all[i].first, number(0, bits, where)) || less(number(255, bits, where), last));
	}
}

static void test_random(void **unused)
{
	static const unsigned widths[] = { 8, 16, 32, 128 };

	(void)unused;
	for (int round = 0; round < 4000; round++) {
		const unsigned bits = widths[pick(4)], n = 1 + pick(MAX_SPANS);
		const int where = (int)pick(3);
		struct span spans[MAX_SPANS];
		uint8_t lo[MAX_SPANS], hi[MAX_SPANS];
		struct pieces p = { 0 };
		struct err err;

		for (unsigned i = 0; i < n; i++) {
			const unsigned a = pick(N_NUMBERS), b = pick(2) ? pick(N_NUMBERS) : a + pick(N_NUMBERS - a);

			lo[i] = (uint8_t)(a < b ? a : b);
			hi[i] = (uint8_t)(a < b ? b : a);
			spans[i] = (struct span){ number(lo[i], bits, where), number(hi[i], bits, where), 100 + i };
		}
		assert_int_equal(pieces_cut(&p, spans, n, bits, NO_MAX, &err), 0);
		/* 8 bits of them differ. */
		assert_true(p.n <= (2 * n - 1) * 14);
		spans_check(&p, lo, hi, n, bits, where);
		pieces_free(&p);
	}
}

/* The worst there is, and everything. */
static void test_whole(void **unused)
{
	const struct span most = { { 0, 1 }, { UINT64_MAX, UINT64_MAX - 1 }, 7 }, all = { { 0, 0 }, { UINT64_MAX, UINT64_MAX }, 7 };
	const struct span ports = { { 0, 1 }, { 0, 65534 }, 8 }, every = { { 0, 0 }, { 0, 65535 }, 9 };
	struct pieces p = { 0 };
	struct err err;

	(void)unused;
	assert_int_equal(pieces_cut(&p, &most, 1, 128, NO_MAX, &err), 0);
	assert_int_equal(p.n, 254);
	pieces_free(&p);
	assert_int_equal(pieces_cut(&p, &all, 1, 128, NO_MAX, &err), 0);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.all[0].bits, 1);
	assert_true(equal(p.all[1].first, (struct num){ UINT64_C(1) << 63, 0 }));
	assert_true(equal(piece_last(&p.all[1], 128), (struct num){ UINT64_MAX, UINT64_MAX }));
	pieces_free(&p);
	/* More are added to those that are there. */
	assert_int_equal(pieces_cut(&p, &ports, 1, 16, NO_MAX, &err), 0);
	assert_int_equal(p.n, 30);
	assert_int_equal(pieces_cut(&p, &every, 1, 16, NO_MAX, &err), 0);
	assert_int_equal(p.n, 32);
	assert_int_equal(p.all[31].who, 9);
	assert_true(equal(p.all[31].first, (struct num){ 0, 32768 }));
	pieces_sort(&p);
	for (size_t i = 1; i < p.n; i++)
		assert_true(p.all[i - 1].bits > p.all[i].bits ||
		    (p.all[i - 1].bits == p.all[i].bits && !less(p.all[i].first, p.all[i - 1].first)));
	pieces_free(&p);
}

static void test_max(void **unused)
{
	const struct span spans[] = { { { 0, 1 }, { 0, 65534 }, 1 }, { { 0, 0 }, { 0, 0 }, 2 }, { { 0, 65535 }, { 0, 65535 }, 3 } };
	struct pieces p = { 0 };
	struct err err;

	(void)unused;
	assert_int_equal(pieces_cut(&p, spans, 3, 16, 32, &err), 0);
	assert_int_equal(p.n, 32);
	pieces_free(&p);
	assert_int_equal(pieces_cut(&p, spans, 3, 16, 31, &err), 0);
	assert_int_equal(p.n, 32);
	assert_int_equal(p.all[31].who, 3);
	pieces_free(&p);
	assert_int_equal(pieces_cut(&p, spans, 3, 16, 5, &err), 0);
	assert_int_equal(p.n, 6);
	assert_int_equal(p.all[5].who, 1);
	pieces_free(&p);
}

static void test_bytes(void **unused)
{
	const uint8_t six[16] = { 0x20, 1, 0xd, 0xb8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }, four[4] = { 10, 0, 2, 255 };
	uint8_t out[16];

	(void)unused;
	assert_true(equal(num_read(six, 128), (struct num){ UINT64_C(0x20010db800010203), UINT64_C(0x0405060708090a0b) }));
	num_write(out, num_read(six, 128), 128);
	assert_memory_equal(out, six, 16);
	assert_true(equal(num_read(four, 32), (struct num){ 0, 0x0a0002ff }));
	memset(out, 1, sizeof(out));
	num_write(out, num_read(four, 32), 32);
	assert_memory_equal(out, "\x0a\0\2\xff\1\1", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_max),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
