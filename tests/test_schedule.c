#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/schedule.h"

#define DAY	86400
#define MIN	60

static struct sched fresh(void)
{
	return (struct sched){ .interval = 90 * MIN, .offset = 30 * MIN };
}

/* The ladder alone: the Group Policy timer is far away. */
static struct sched slow(void)
{
	return (struct sched){ .interval = 30 * DAY, .offset = 0 };
}

static void test_start(void **state)
{
	struct sched s = fresh();

	(void)state;
	assert_int_equal(schedule_due(&s), INT64_MAX);
	assert_int_equal(schedule_step(&s, EV_START, 100, 7), ACT_REFRESH);
	assert_true(s.running);
	assert_int_equal(s.why, WHY_START);
	assert_int_equal(schedule_due(&s), INT64_MAX);
	assert_int_equal(schedule_step(&s, EV_TIMER, 101, 7), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_DONE, 103, 7), ACT_NONE);
	assert_int_equal(schedule_due(&s), 103 + 90 * MIN + 7);
	assert_false(s.running);
}

static void test_jitter(void **state)
{
	const struct {
		uint32_t offset, jitter;
		int64_t wait;
	} cases[] = {
		{ 1800, 0, 5400 }, { 1800, 1800, 7200 }, { 1800, 1801, 5400 },
		{ 0, 12345, 5400 }, { UINT32_MAX, UINT32_MAX, 5400 + (int64_t)UINT32_MAX },
		{ 1800, UINT32_MAX, 5400 + UINT32_MAX % 1801 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sched s = { .interval = 5400, .offset = cases[i].offset };

		schedule_step(&s, EV_START, 10, cases[i].jitter);
		schedule_step(&s, EV_DONE, 20, cases[i].jitter);
		assert_int_equal(schedule_due(&s), 20 + cases[i].wait);
	}
}

static void test_ladder(void **state)
{
	static const int minutes[] = { 1, 4, 25, 166, 166, 166 };
	struct sched s = slow();
	int64_t now = 1000;

	(void)state;
	schedule_step(&s, EV_START, now, 0);
	for (size_t i = 0; i < 6; i++) {
		now += 5;
		assert_int_equal(schedule_step(&s, EV_FAILED, now, 0), ACT_NONE);
		assert_int_equal(s.failures, i + 1);
		assert_int_equal(schedule_due(&s), now + minutes[i] * MIN);
		assert_int_equal(schedule_step(&s, EV_TIMER, schedule_due(&s) - 1, 0), ACT_NONE);
		now = schedule_due(&s);
		assert_int_equal(schedule_step(&s, EV_TIMER, now, 0), ACT_REFRESH);
		assert_int_equal(s.why, WHY_RETRY);
	}
	schedule_step(&s, EV_DONE, now + 1, 0);
	assert_int_equal(s.failures, 0);
	assert_int_equal(schedule_due(&s), now + 1 + 30 * DAY);
	/* And from the bottom again. */
	schedule_step(&s, EV_ASKED, now + 2, 0);
	schedule_step(&s, EV_FAILED, now + 3, 0);
	assert_int_equal(schedule_due(&s), now + 3 + MIN);
}

/* Asking by hand while the directory is away neither climbs nor delays. */
static void test_asked_between_retries(void **state)
{
	struct sched s = slow();

	(void)state;
	schedule_step(&s, EV_START, 0, 0);
	schedule_step(&s, EV_FAILED, 10, 0);
	schedule_step(&s, EV_TIMER, 70, 0);
	schedule_step(&s, EV_FAILED, 80, 0);
	assert_int_equal(schedule_due(&s), 80 + 4 * MIN);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(schedule_step(&s, EV_ASKED, 100 + 20 * i, 0), ACT_REFRESH);
		assert_int_equal(s.why, WHY_ASKED);
		schedule_step(&s, EV_FAILED, 110 + 20 * i, 0);
		assert_int_equal(schedule_due(&s), 80 + 4 * MIN);
	}
	assert_int_equal(s.failures, 7);
	/* Its time came while the refresh that was asked for ran: the next rung. */
	schedule_step(&s, EV_ASKED, 300, 0);
	schedule_step(&s, EV_FAILED, 400, 0);
	assert_int_equal(schedule_due(&s), 400 + 25 * MIN);
}

static void test_network_without_failure(void **state)
{
	struct sched s = fresh();
	int64_t due;

	(void)state;
	schedule_step(&s, EV_START, 100, 0);
	schedule_step(&s, EV_DONE, 101, 0);
	due = schedule_due(&s);
	assert_int_equal(schedule_step(&s, EV_NETWORK, 500, 0), ACT_NONE);
	assert_int_equal(schedule_due(&s), due);
	/* While one is running that ends well, it has no effect either. */
	schedule_step(&s, EV_ASKED, 600, 0);
	assert_int_equal(schedule_step(&s, EV_NETWORK, 601, 0), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_DONE, 602, 0), ACT_NONE);
	assert_int_equal(schedule_due(&s), 602 + 90 * MIN);
	schedule_step(&s, EV_ASKED, 700, 0);
	schedule_step(&s, EV_FAILED, 701, 0);
	assert_int_equal(schedule_due(&s), 701 + MIN);
}

static void test_network_after_failure(void **state)
{
	struct sched s = slow();

	(void)state;
	schedule_step(&s, EV_START, 0, 0);
	schedule_step(&s, EV_FAILED, 5, 0);
	schedule_step(&s, EV_TIMER, 65, 0);
	schedule_step(&s, EV_FAILED, 70, 0);
	/* At once, and the ladder begins anew. */
	assert_int_equal(schedule_step(&s, EV_NETWORK, 100, 0), ACT_REFRESH);
	assert_int_equal(s.why, WHY_NETWORK);
	schedule_step(&s, EV_FAILED, 101, 0);
	assert_int_equal(schedule_due(&s), 101 + MIN);
	/* Again too soon: after the pause, once. */
	assert_int_equal(schedule_step(&s, EV_NETWORK, 102, 0), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_NETWORK, 103, 0), ACT_NONE);
	assert_int_equal(schedule_due(&s), 100 + SCHED_NET_PAUSE);
	assert_int_equal(schedule_step(&s, EV_TIMER, 109, 0), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_TIMER, 110, 0), ACT_REFRESH);
	assert_int_equal(s.why, WHY_NETWORK);
	schedule_step(&s, EV_FAILED, 111, 0);
	assert_int_equal(schedule_due(&s), 111 + MIN);
	/* Exactly the pause is enough. */
	assert_int_equal(schedule_step(&s, EV_NETWORK, 120, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 121, 0);
	assert_int_equal(schedule_due(&s), 121 + 30 * DAY);
}

/* The network comes back while the refresh that cannot see it yet is running. */
static void test_network_while_running(void **state)
{
	struct sched s = slow();

	(void)state;
	schedule_step(&s, EV_START, 0, 0);
	assert_int_equal(schedule_step(&s, EV_NETWORK, 1, 0), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_FAILED, 3, 0), ACT_NONE);
	assert_int_equal(schedule_due(&s), SCHED_NET_PAUSE);
	assert_int_equal(schedule_step(&s, EV_TIMER, 10, 0), ACT_REFRESH);
	assert_int_equal(s.why, WHY_NETWORK);
	schedule_step(&s, EV_NETWORK, 11, 0);
	schedule_step(&s, EV_FAILED, 40, 0);
	assert_int_equal(schedule_due(&s), 40);
	schedule_step(&s, EV_TIMER, 40, 0);
	schedule_step(&s, EV_FAILED, 41, 0);
	assert_int_equal(schedule_due(&s), 41 + MIN);
}

static void test_asked_while_running(void **state)
{
	static const enum sched_event ends[] = { EV_DONE, EV_FAILED };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sched s = fresh();

		schedule_step(&s, EV_START, 0, 0);
		assert_int_equal(schedule_step(&s, EV_ASKED, 1, 0), ACT_NONE);
		assert_int_equal(schedule_step(&s, EV_ASKED, 2, 0), ACT_NONE);
		assert_int_equal(schedule_step(&s, ends[i], 3, 0), ACT_REFRESH);
		assert_true(s.running);
		assert_int_equal(s.why, WHY_ASKED);
		/* Once more, not twice. */
		assert_int_equal(schedule_step(&s, ends[i], 4, 0), ACT_NONE);
		assert_false(s.running);
	}
}

static void test_polling_apart(void **state)
{
	struct sched s = { .interval = 100 * MIN };
	int64_t gp, poll;

	(void)state;
	schedule_step(&s, EV_START, 0, 0);
	s.polling = 30 * MIN;
	schedule_step(&s, EV_DONE, 10, 0);
	gp = s.gp_due;
	poll = s.poll_due;
	assert_int_equal(gp, 10 + 100 * MIN);
	assert_int_equal(poll, 10 + 30 * MIN);
	/* Polls do not push the Group Policy refresh away. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(schedule_due(&s), poll);
		assert_int_equal(schedule_step(&s, EV_TIMER, poll, 0), ACT_REFRESH);
		assert_int_equal(s.why, WHY_POLLING);
		schedule_step(&s, EV_DONE, poll + 2, 0);
		assert_int_equal(s.gp_due, gp);
		poll += 2 + 30 * MIN;
	}
	/* Nor the other way. */
	assert_int_equal(schedule_due(&s), gp);
	assert_int_equal(schedule_step(&s, EV_TIMER, gp, 0), ACT_REFRESH);
	assert_int_equal(s.why, WHY_GROUP_POLICY);
	schedule_step(&s, EV_DONE, gp + 2, 0);
	assert_int_equal(s.poll_due, poll);
	assert_int_equal(s.gp_due, gp + 2 + 100 * MIN);
}

static void test_polling_changes(void **state)
{
	struct sched s = { .interval = 100 * MIN };

	(void)state;
	schedule_step(&s, EV_START, 0, 0);
	s.polling = 1;
	schedule_step(&s, EV_DONE, 10, 0);
	assert_int_equal(schedule_due(&s), 10 + SCHED_POLL_MIN);
	/* Another policy with a longer interval, seen by a poll. */
	schedule_step(&s, EV_TIMER, 70, 0);
	s.polling = 180 * MIN;
	schedule_step(&s, EV_DONE, 71, 0);
	assert_int_equal(s.poll_due, 71 + 180 * MIN);
	/* A shorter one, seen by the Group Policy refresh, counts at once. */
	schedule_step(&s, EV_TIMER, s.gp_due, 0);
	assert_int_equal(s.why, WHY_GROUP_POLICY);
	s.polling = 2 * MIN;
	schedule_step(&s, EV_DONE, 7000, 0);
	assert_int_equal(s.poll_due, 7000 + 2 * MIN);
	/* Nothing assigned any more: no polling. */
	schedule_step(&s, EV_TIMER, s.poll_due, 0);
	s.polling = 0;
	schedule_step(&s, EV_DONE, 7200, 0);
	assert_int_equal(s.poll_due, 0);
	assert_int_equal(schedule_due(&s), s.gp_due);
}

/* Both due at the same time are one refresh. */
static void test_both_due(void **state)
{
	struct sched s = { .interval = 60 * MIN };

	(void)state;
	schedule_step(&s, EV_START, 0, 0);
	s.polling = 60 * MIN;
	schedule_step(&s, EV_DONE, 0, 0);
	assert_int_equal(schedule_step(&s, EV_TIMER, 60 * MIN, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 60 * MIN + 1, 0);
	assert_int_equal(s.gp_due, 120 * MIN + 1);
	assert_int_equal(s.poll_due, 120 * MIN + 1);
}

/* The timers go on while the ladder waits its 166 minutes. */
static void test_group_policy_during_retries(void **state)
{
	struct sched s = fresh();
	int64_t now = 0, last = 0;

	(void)state;
	schedule_step(&s, EV_START, now, 0);
	schedule_step(&s, EV_FAILED, now, 0);
	for (int i = 0; i < 50; i++) {
		now = schedule_due(&s);
		assert_true(now > last);
		assert_true(now - last <= 120 * MIN);
		assert_int_equal(schedule_step(&s, EV_TIMER, now, 0), ACT_REFRESH);
		schedule_step(&s, EV_FAILED, now + 1, 0);
		last = now;
	}
}

static void test_suspend(void **state)
{
	struct sched s = fresh();

	(void)state;
	schedule_step(&s, EV_START, 0, 0);
	s.polling = 10 * MIN;
	schedule_step(&s, EV_DONE, 1, 0);
	/* A week later: one refresh, not one for each that was missed. */
	assert_int_equal(schedule_step(&s, EV_TIMER, 7 * DAY, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 7 * DAY + 3, 0);
	assert_int_equal(s.gp_due, 7 * DAY + 3 + 90 * MIN);
	assert_int_equal(s.poll_due, 7 * DAY + 3 + 10 * MIN);
	/* Suspended in mid-refresh. */
	schedule_step(&s, EV_TIMER, s.poll_due, 0);
	schedule_step(&s, EV_FAILED, 14 * DAY, 0);
	assert_int_equal(schedule_due(&s), 14 * DAY + MIN);
	assert_int_equal(s.gp_due, 14 * DAY + 90 * MIN);
	assert_int_equal(s.poll_due, 14 * DAY + 10 * MIN);
}

static void test_ends_nobody_waits_for(void **state)
{
	struct sched s = fresh(), before;

	(void)state;
	schedule_step(&s, EV_START, 0, 0);
	schedule_step(&s, EV_DONE, 1, 0);
	before = s;
	assert_int_equal(schedule_step(&s, EV_DONE, 50, 0), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_FAILED, 51, 0), ACT_NONE);
	assert_memory_equal(&s, &before, sizeof(s));
	schedule_step(&s, EV_ASKED, 60, 0);
	assert_int_equal(schedule_step(&s, EV_START, 61, 0), ACT_NONE);
	assert_int_equal(s.why, WHY_ASKED);
}

/* Whatever happens in whatever order: a refresh is only started when none is
 * running, and when none is running there is a deadline, in the future after a
 * step that had the chance to act on it; and it comes within the interval. */
static void test_any_order(void **state)
{
	(void)state;
	srandom(20261122);
	for (int run = 0; run < 300; run++) {
		struct sched s = { .interval = (uint32_t)(random() % 8000), .offset = (uint32_t)(random() % 2000) };
		int64_t now = random() % 1000, idle_since = now;
		int starts = 0;

		schedule_step(&s, EV_START, now, 0);
		for (int i = 0; i < 400; i++) {
			static const enum sched_event events[] = { EV_TIMER, EV_ASKED, EV_NETWORK, EV_DONE, EV_FAILED, EV_TIMER };
			enum sched_event ev = events[random() % 6];
			bool was = s.running, ends = ev == EV_DONE || ev == EV_FAILED;
			enum sched_action act;

			now += random() % 3 ? random() % 5 : random() % 4000;
			if (!was && random() % 2)
				now = schedule_due(&s) > now ? schedule_due(&s) : now;
			if (ev == EV_DONE)
				s.polling = random() % 3 ? (uint32_t)(random() % 5000) : 0;
			act = schedule_step(&s, ev, now, (uint32_t)random());
			assert_true(act == ACT_NONE || !was || ends);
			assert_true(act == ACT_NONE || s.running);
			starts += act == ACT_REFRESH;
			if (s.running) {
				assert_int_equal(schedule_due(&s), INT64_MAX);
				idle_since = now;
				continue;
			}
			assert_true(schedule_due(&s) < INT64_MAX);
			assert_true(schedule_due(&s) <= idle_since + 8000 + 2000 + 4000 * 400);
			if (ev == EV_TIMER)
				assert_true(schedule_due(&s) > now);
			assert_true(s.gp_due - now <= (int64_t)s.interval + s.offset + 1);
		}
		assert_true(starts > 0);
	}
}

/* A timer that is served at once never makes the loop spin: in a simulated day
 * of failures there are no more refreshes than the timers allow. */
static void test_no_busy_loop(void **state)
{
	struct sched s = { .interval = 0, .offset = 0, .polling = 1 };
	int64_t now = 0;
	int n = 0;

	(void)state;
	schedule_step(&s, EV_START, now, 0);
	schedule_step(&s, EV_DONE, now, 0);
	while (now < 1000) {
		assert_true(schedule_due(&s) > now);
		now = schedule_due(&s);
		assert_int_equal(schedule_step(&s, EV_TIMER, now, 0), ACT_REFRESH);
		schedule_step(&s, n % 2 ? EV_DONE : EV_FAILED, now, 0);
		n++;
	}
	assert_true(n <= 1001);
}

/* What the machine's own start may put off, and what not. */
static void test_boot(void **state)
{
	struct sched s = fresh();

	(void)state;
	s.known = s.spread = true;
	assert_int_equal(schedule_step(&s, EV_START, 20, 3600), ACT_NONE);
	assert_int_equal(schedule_due(&s), 21 + 3600);
	assert_int_equal(schedule_step(&s, EV_TIMER, 3620, 0), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_TIMER, 3621, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 3622, 5);
	assert_int_equal(schedule_due(&s), 3622 + 90 * MIN + 5);
	/* No later than 2/3 of the interval, whatever chance says. */
	s = fresh();
	s.known = s.spread = true;
	schedule_step(&s, EV_START, 20, 3601);
	assert_int_equal(schedule_due(&s), 21);
	/* Asked for meanwhile: at once, and the other one is not needed any more. */
	schedule_step(&s, EV_START, 20, 1000);
	assert_int_equal(schedule_step(&s, EV_ASKED, 25, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 26, 0);
	assert_int_equal(schedule_due(&s), 26 + 90 * MIN);
	/* Nothing is known. */
	s = fresh();
	assert_int_equal(schedule_step(&s, EV_START, 20, 1000), ACT_REFRESH);
	assert_int_equal(s.why, WHY_START);
	assert_false(s.known);
	schedule_step(&s, EV_DONE, 21, 0);
	assert_true(s.known);
	/* The service was started again, not the machine. */
	s = fresh();
	s.known = s.spread = true;
	assert_int_equal(schedule_step(&s, EV_START, SCHED_BOOT, 1000), ACT_REFRESH);
}

/* The ladder with the most that chance may add, and with the least. */
static void test_ladder_jitter(void **state)
{
	static const struct {
		bool known;
		int least[5], most[5];
	} cases[] = {
		{ false, { 60, 240, 1500, 9960, 9960 }, { 75, 300, 1875, 12450, 12450 } },
		{ true, { 60, 240, 9960, 9960, 9960 }, { 240, 5400, 12450, 12450, 12450 } },
	};

	(void)state;
	for (size_t c = 0; c < 2; c++)
		for (int most = 0; most < 2; most++) {
			struct sched s = slow();
			int64_t now = 1000;

			s.spread = true;
			schedule_step(&s, EV_START, now, 0);
			if (cases[c].known) {
				schedule_step(&s, EV_DONE, now, 0);
				schedule_step(&s, EV_ASKED, now, 0);
			}
			for (int i = 0; i < 5; i++) {
				const int wait = most ? cases[c].most[i] : cases[c].least[i];

				schedule_step(&s, EV_FAILED, now, (uint32_t)(wait - cases[c].least[i]));
				assert_int_equal(schedule_due(&s), now + wait);
				/* One more is too much. */
				if (most) {
					struct sched t = s;

					t.retry_due = 0;
					t.running = true;
					t.rung = i < 3 ? (unsigned)i : 3;
					schedule_step(&t, EV_FAILED, now, (uint32_t)(wait - cases[c].least[i] + 1));
					assert_int_equal(schedule_due(&t), now + cases[c].least[i]);
				}
				now = schedule_due(&s);
				assert_int_equal(schedule_step(&s, EV_TIMER, now, 0), ACT_REFRESH);
			}
		}
}

static void test_polling_jitter(void **state)
{
	struct sched s = slow();

	(void)state;
	schedule_step(&s, EV_START, 0, 0);
	s.polling = 180 * MIN;
	schedule_step(&s, EV_DONE, 0, 45 * MIN);
	assert_int_equal(schedule_due(&s), 135 * MIN);
	schedule_step(&s, EV_TIMER, 135 * MIN, 0);
	schedule_step(&s, EV_DONE, 135 * MIN, 45 * MIN + 1);
	assert_int_equal(schedule_due(&s), 135 * MIN + 180 * MIN);
	/* Not more often than the least. */
	s.polling = 64;
	schedule_step(&s, EV_ASKED, 140 * MIN, 0);
	schedule_step(&s, EV_DONE, 140 * MIN, 16);
	assert_int_equal(schedule_due(&s), 140 * MIN + SCHED_POLL_MIN);
	s.polling = UINT32_MAX;
	schedule_step(&s, EV_ASKED, 150 * MIN, 0);
	schedule_step(&s, EV_DONE, 150 * MIN, UINT32_MAX / 4);
	assert_int_equal(s.poll_due, 150 * MIN + (int64_t)UINT32_MAX - UINT32_MAX / 4);
}

/* Of a host that knows its policy: at second 10 its refresh failed for the first time.
 * The last retry is far away. */
static struct sched failing(void)
{
	struct sched s = slow();

	schedule_step(&s, EV_START, 0, 0);
	schedule_step(&s, EV_DONE, 1, 0);
	schedule_step(&s, EV_ASKED, 2, 0);
	schedule_step(&s, EV_FAILED, 10, 0);
	s.retry_due = 10 + DAY;
	s.spread = true;
	return s;
}

static void test_network_of_many(void **state)
{
	struct sched s = failing();

	(void)state;
	s.interval = 90 * MIN;
	assert_int_equal(schedule_step(&s, EV_NETWORK, 10 + SCHED_NET_SOON, 12345), ACT_REFRESH);
	assert_int_equal(s.why, WHY_NETWORK);
	/* 10 s later: within 640 s. */
	s = failing();
	assert_int_equal(schedule_step(&s, EV_NETWORK, 40, 640), ACT_NONE);
	assert_int_equal(schedule_due(&s), 40 + 640);
	/* Changes that follow neither hasten nor delay it. */
	assert_int_equal(schedule_step(&s, EV_NETWORK, 41, 0), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_NETWORK, 42, 300), ACT_NONE);
	assert_int_equal(schedule_due(&s), 40 + 640);
	assert_int_equal(schedule_step(&s, EV_TIMER, 680, 0), ACT_REFRESH);
	assert_int_equal(s.why, WHY_NETWORK);
	assert_int_equal(s.rung, 0);
	s = failing();
	assert_int_equal(schedule_step(&s, EV_NETWORK, 40, 641), ACT_REFRESH);
	/* Within an interval at most, and not after the retry that comes anyway. */
	s = failing();
	s.interval = 90 * MIN;
	assert_int_equal(schedule_step(&s, EV_NETWORK, 10 * MIN, 90 * MIN), ACT_NONE);
	assert_int_equal(schedule_due(&s), 100 * MIN);
	s = failing();
	s.interval = 90 * MIN;
	s.retry_due = 20 * MIN;
	assert_int_equal(schedule_step(&s, EV_NETWORK, 10 * MIN, 90 * MIN), ACT_NONE);
	assert_int_equal(schedule_due(&s), 20 * MIN);
	/* Who knows nothing does not wait. */
	s = failing();
	s.known = false;
	assert_int_equal(schedule_step(&s, EV_NETWORK, 10 * MIN, 300), ACT_REFRESH);
}

/* ---- notifications ---- */

/* Many of them in the time until the next refresh are as good as one. */
static void test_notified(void **state)
{
	struct sched s = slow();

	(void)state;
	assert_int_equal(schedule_step(&s, EV_NOTIFIED, 1000, 99), ACT_NONE);
	assert_int_equal(schedule_due(&s), 1001);
	assert_int_equal(schedule_step(&s, EV_NOTIFIED, 1000, 99), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_TIMER, 1000, 0), ACT_NONE);
	assert_int_equal(schedule_step(&s, EV_TIMER, 1001, 0), ACT_REFRESH);
	assert_int_equal(s.why, WHY_NOTIFIED);
	schedule_step(&s, EV_DONE, 1002, 0);
	assert_int_equal(schedule_due(&s), 1002 + 30 * DAY);
	/* Another one soon after: a moment later. */
	schedule_step(&s, EV_NOTIFIED, 1003, 0);
	assert_int_equal(schedule_due(&s), 1001 + SCHED_NOTIFY_PAUSE);
	assert_int_equal(schedule_step(&s, EV_TIMER, 1011, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 1012, 0);
	/* From then on one a minute. */
	schedule_step(&s, EV_NOTIFIED, 1013, 0);
	assert_int_equal(schedule_due(&s), 1011 + SCHED_NOTIFY_STORM);
	assert_int_equal(schedule_step(&s, EV_TIMER, 1071, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 1072, 0);
	/* Until it has been quiet for a while. */
	schedule_step(&s, EV_NOTIFIED, 1071 + 2 * SCHED_NOTIFY_STORM, 0);
	assert_int_equal(schedule_due(&s), 1072 + 2 * SCHED_NOTIFY_STORM);
	assert_int_equal(schedule_step(&s, EV_TIMER, 1072 + 2 * SCHED_NOTIFY_STORM, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 1200, 0);
	schedule_step(&s, EV_NOTIFIED, 1200, 0);
	assert_int_equal(schedule_due(&s), 1072 + 2 * SCHED_NOTIFY_STORM + SCHED_NOTIFY_PAUSE);
}

static void test_notified_while_running(void **state)
{
	struct sched s = slow();

	(void)state;
	schedule_step(&s, EV_ASKED, 1000, 0);
	schedule_step(&s, EV_NOTIFIED, 1001, 0);
	assert_int_equal(schedule_due(&s), INT64_MAX);
	assert_int_equal(schedule_step(&s, EV_DONE, 1005, 0), ACT_NONE);
	assert_int_equal(schedule_due(&s), 1006);
	assert_int_equal(schedule_step(&s, EV_TIMER, 1006, 0), ACT_REFRESH);
	/* Also while the one for a notification is; and when it fails. */
	schedule_step(&s, EV_NOTIFIED, 1007, 0);
	schedule_step(&s, EV_FAILED, 1008, 0);
	assert_int_equal(schedule_due(&s), 1006 + SCHED_NOTIFY_PAUSE);
	/* Any refresh that begins later reads it. */
	assert_int_equal(schedule_step(&s, EV_ASKED, 1010, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 1011, 0);
	assert_int_equal(schedule_due(&s), 1011 + 30 * DAY);
	/* Asked for as well: one refresh for both. */
	schedule_step(&s, EV_ASKED, 2000, 0);
	schedule_step(&s, EV_NOTIFIED, 2001, 0);
	schedule_step(&s, EV_ASKED, 2001, 0);
	assert_int_equal(schedule_step(&s, EV_DONE, 2002, 0), ACT_REFRESH);
	assert_int_equal(s.why, WHY_ASKED);
	schedule_step(&s, EV_DONE, 2003, 0);
	assert_int_equal(schedule_due(&s), 2003 + 30 * DAY);
}

/* However many notifications: a change every second, or a thousand in each, for a day. */
static void test_notified_storm(void **state)
{
	(void)state;
	for (int spread = 0; spread < 2; spread++)
		for (int each = 1; each <= 1000; each *= 1000) {
			struct sched s = slow();
			int n = 0;

			s.interval = 90 * MIN;
			s.spread = s.known = spread;
			for (int64_t now = 1; now <= DAY; now++) {
				for (int i = 0; i < each && (each == 1 || now < 1000); i++)
					assert_int_equal(schedule_step(&s, EV_NOTIFIED, now, (uint32_t)now * 7919), ACT_NONE);
				if (schedule_due(&s) > now)
					continue;
				assert_int_equal(schedule_step(&s, EV_TIMER, now, 0), ACT_REFRESH);
				assert_int_equal(schedule_step(&s, now % 3 ? EV_DONE : EV_FAILED, now, 0), ACT_NONE);
				n++;
			}
			if (each == 1)
				assert_true(n <= (spread ? DAY / (36 * MIN) + 100 : DAY / SCHED_NOTIFY_STORM + 2 + 100));
			else
				assert_true(n <= 2 + 1000 / SCHED_NOTIFY_STORM + 100);
			assert_true(n >= (each > 1 ? 1 : spread ? DAY / (72 * MIN) : DAY / SCHED_NOTIFY_STORM - 20));
		}
}

/* The hosts of a fleet hear of it together, and do not come together. */
static void test_notified_spread(void **state)
{
	struct sched s = fresh();

	(void)state;
	s.spread = s.known = true;
	schedule_step(&s, EV_NOTIFIED, 1000, 36 * MIN);
	assert_int_equal(schedule_due(&s), 1001 + 36 * MIN);
	schedule_step(&s, EV_NOTIFIED, 1500, 3);	/* no second draw */
	assert_int_equal(schedule_due(&s), 1001 + 36 * MIN);
	assert_int_equal(schedule_step(&s, EV_TIMER, 1001 + 36 * MIN, 0), ACT_REFRESH);
	schedule_step(&s, EV_DONE, 1002 + 36 * MIN, 0);
	schedule_step(&s, EV_NOTIFIED, 1003 + 36 * MIN, 7);
	assert_int_equal(schedule_due(&s), 1001 + 72 * MIN + 7);
	/* No later than the largest draw; and at once for one that knows nothing. */
	s = fresh();
	s.spread = s.known = true;
	schedule_step(&s, EV_NOTIFIED, 1000, 36 * MIN + 1);
	assert_int_equal(schedule_due(&s), 1001);
	s = fresh();
	s.spread = true;
	schedule_step(&s, EV_NOTIFIED, 1000, 500);
	assert_int_equal(schedule_due(&s), 1001);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(sched_why_name(WHY_START), "start");
	assert_string_equal(sched_why_name(WHY_GROUP_POLICY), "group-policy");
	assert_string_equal(sched_why_name(WHY_POLLING), "polling");
	assert_string_equal(sched_why_name(WHY_RETRY), "retry");
	assert_string_equal(sched_why_name(WHY_ASKED), "asked");
	assert_string_equal(sched_why_name(WHY_NETWORK), "network");
	assert_string_equal(sched_why_name(WHY_NOTIFIED), "notified");
	assert_string_equal(sched_why_name((enum sched_why)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_ladder),
		cmocka_unit_test(test_asked_between_retries),
		cmocka_unit_test(test_network_without_failure),
		cmocka_unit_test(test_network_after_failure),
		cmocka_unit_test(test_network_while_running),
		cmocka_unit_test(test_asked_while_running),
		cmocka_unit_test(test_polling_apart),
		cmocka_unit_test(test_polling_changes),
		cmocka_unit_test(test_both_due),
		cmocka_unit_test(test_group_policy_during_retries),
		cmocka_unit_test(test_suspend),
		cmocka_unit_test(test_ends_nobody_waits_for),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_no_busy_loop),
		cmocka_unit_test(test_boot),
		cmocka_unit_test(test_ladder_jitter),
		cmocka_unit_test(test_polling_jitter),
		cmocka_unit_test(test_network_of_many),
		cmocka_unit_test(test_notified),
		cmocka_unit_test(test_notified_while_running),
		cmocka_unit_test(test_notified_storm),
		cmocka_unit_test(test_notified_spread),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
