#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/fleet.h"

#define MIN	60
#define HOUR	3600

static struct fleet_plan plan(enum fleet_incident incident, uint32_t out_seconds)
{
	struct fleet_plan p;

	fleet_plan_init(&p, "");
	p.warm = 4 * HOUR;
	p.at = 5 * HOUR;
	p.end = 10 * HOUR + out_seconds;
	p.incident = incident;
	p.out_seconds = out_seconds;
	return p;
}

static struct fleet_result run(const struct fleet_plan *p)
{
	struct fleet_result r;

	assert_int_equal(fleet_run(&r, p), 0);
	printf("incident %d, %u s: steady %.1f/s, peak %.1f/s (%.2f), later %.1f/s, half %u s, all %u s, refused %u, left %u\n",
	    p->incident, p->out_seconds, r.steady, r.peak, r.peak / r.steady, r.later, r.half, r.all, r.refused, r.left);
	return r;
}

static unsigned sum(const uint32_t *counts, uint32_t from, uint32_t n)
{
	unsigned total = 0;

	for (uint32_t i = from; i < from + n; i++)
		total += counts[i];
	return total;
}

/* The model itself: as many answers as there is capacity, and everybody accounted for. */
static void test_capacity(void **state)
{
	struct fleet_plan p = plan(FLEET_ASKED, 0);
	struct fleet_result r;

	(void)state;
	p.hosts = 1000;
	p.dcs = 2;
	p.rate = 3;
	p.queue = 30;
	p.patience = 5;
	r = run(&p);
	assert_int_equal(sum(r.arrived, p.at, 1), 1000);
	assert_int_equal(sum(r.served, p.at, 1), 6);
	/* Places of those who have left cost as much as answers. */
	assert_int_equal(sum(r.served, p.at, 10), 30);
	assert_true(r.refused >= 1000 - 60);
	assert_true(r.left >= 30);
	assert_int_equal(sum(r.lost, 0, p.end), 0);
	assert_true(r.all < UINT32_MAX);
	fleet_free(&r);
}

static void test_same_twice(void **state)
{
	struct fleet_plan p = plan(FLEET_DCS, 10 * MIN);
	struct fleet_result a, b;

	(void)state;
	p.hosts = 5000;
	a = run(&p);
	b = run(&p);
	assert_memory_equal(a.arrived, b.arrived, p.end * sizeof(*a.arrived));
	assert_int_equal(a.all, b.all);
	fleet_free(&a);
	fleet_free(&b);
}

/* 100,000 hosts: one Group Policy refresh in 90 to 120 minutes, a poll in 135 to 180. */
static void test_steady(void **state)
{
	struct fleet_plan p = plan(FLEET_NONE, 0);
	struct fleet_result r = run(&p);

	(void)state;
	assert_true(r.steady > 24 && r.steady < 28);
	assert_true(r.peak < 1.5 * r.steady);
	assert_int_equal(r.refused + r.left, 0);
	assert_true(r.all <= 120 * MIN);
	fleet_free(&r);
}

/* With what the hosts have in their caches nobody needs the directory at once. */
static void test_power_cut(void **state)
{
	static const uint32_t dcs_later[] = { 0, 10 * MIN, 60 * MIN };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct fleet_plan p = plan(FLEET_POWER, dcs_later[i]);
		struct fleet_result r = run(&p);

		assert_true(r.peak <= 3 * r.steady);
		assert_int_equal(r.refused, 0);
		assert_true(r.half <= 40 * MIN);
		assert_true(r.all <= (i ? 120 : 63) * MIN);
		fleet_free(&r);
	}
}

/* Without: everybody asks at once, and the controllers do nothing else until all know. */
static void test_power_cut_no_cache(void **state)
{
	struct fleet_plan p = plan(FLEET_POWER, 0);
	struct fleet_result r;

	(void)state;
	p.cached = false;
	r = run(&p);
	assert_true(sum(r.arrived, p.at, 125) >= p.hosts);
	assert_true(sum(r.served, p.at + 5, 50) >= 49 * p.dcs * p.rate);
	assert_true(r.half <= 10 * MIN);
	assert_true(r.all <= 45 * MIN);
	assert_true(r.later < p.dcs * p.rate);
	fleet_free(&r);
}

static void test_no_dc(void **state)
{
	static const uint32_t minutes[] = { 2, 10, 45, 90, 120 };

	(void)state;
	for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
		struct fleet_plan p = plan(FLEET_DCS, minutes[i] * MIN);
		struct fleet_result r = run(&p);

		assert_true(sum(r.lost, p.at, p.out_seconds) > 0);
		assert_int_equal(sum(r.arrived, p.at, p.out_seconds), 0);
		assert_true(r.peak <= 3 * r.steady);
		assert_int_equal(r.refused, 0);
		assert_true(r.all <= 122 * MIN);
		fleet_free(&r);
	}
}

/* Worse: all hosts see it end in the same second. */
static void test_no_network(void **state)
{
	static const uint32_t minutes[] = { 15, 30, 60, 120 };

	(void)state;
	for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
		struct fleet_plan p = plan(FLEET_DCS, minutes[i] * MIN);
		struct fleet_result r;

		p.network = true;
		r = run(&p);
		assert_true(r.peak <= 3.1 * r.steady);
		assert_int_equal(r.refused, 0);
		assert_true(r.all <= 122 * MIN);
		fleet_free(&r);
	}
}

/* What is asked for is done at once: no more than the controllers can do, but no echo
 * when the intervals have passed either. */
static void test_asked(void **state)
{
	struct fleet_plan p = plan(FLEET_ASKED, 0);
	struct fleet_result r = run(&p);

	(void)state;
	assert_true(sum(r.arrived, p.at, 1) > p.hosts / 100 * 99);
	assert_true(r.half <= 10 * MIN);
	assert_true(r.all <= 95 * MIN);
	assert_true(r.later <= 3 * r.steady);
	fleet_free(&r);
}

/* One change that every host hears of at once; and one every half a minute, for hours. */
static void test_notified(void **state)
{
	(void)state;
	for (int storm = 0; storm < 2; storm++) {
		struct fleet_plan p = plan(FLEET_NOTIFIED, 0);
		struct fleet_result r;

		p.again = storm ? 30 : 0;
		p.end = p.at + (storm ? 3 : 5) * HOUR;
		r = run(&p);
		assert_true(r.peak <= 3 * r.steady);
		assert_int_equal(r.refused + r.left, 0);
		assert_true(r.half <= 20 * MIN);
		assert_true(r.all <= 40 * MIN);
		/* They do come because of it. */
		assert_true(sum(r.arrived, p.at, 36 * MIN) >= p.hosts / 10 * 9);
		fleet_free(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_same_twice),
		cmocka_unit_test(test_steady),
		cmocka_unit_test(test_power_cut),
		cmocka_unit_test(test_power_cut_no_cache),
		cmocka_unit_test(test_no_dc),
		cmocka_unit_test(test_no_network),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_notified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
