#include "agent/schedule.h"

#include <limits.h>
#include <stddef.h>

struct rung {
	uint16_t	least, more;		/* seconds: always, and by chance at most */
};

#define RUNGS	4
static const struct rung ladders[2][RUNGS] = {
	/* interval = min((interval + 1)^2, 166) minutes from 0, [MS-GPIPSEC] 3.2.5.3. */
	{ { 60, 15 }, { 240, 60 }, { 1500, 375 }, { 9960, 2490 } },
	/* of a host that knows its policy */
	{ { 60, 180 }, { 240, 5160 }, { 9960, 2490 }, { 9960, 2490 } },
};
#define NET_SLOPE	64

static bool is_due(int64_t due, int64_t now)
{
	return due && due <= now;
}

/* 0..most */
static int64_t chance(int64_t most, uint32_t jitter)
{
	return most > 0 ? (int64_t)(jitter % ((uint64_t)most + 1)) : 0;
}

/* A change tells nothing of whether more will follow. */
static int64_t note_pause(const struct sched *s)
{
	return s->notes <= 1 ? SCHED_NOTIFY_PAUSE : SCHED_NOTIFY_STORM;
}

static bool spreads(const struct sched *s)
{
	return s->spread && s->known;
}

static int64_t note_spread(const struct sched *s)
{
	return spreads(s) ? (int64_t)s->interval / 5 * 2 : 0;
}

static enum sched_action start(struct sched *s, enum sched_why why, int64_t now)
{
	s->running = true;
	s->note_due = 0;	/* whatever it was, it will be read */
	if (why == WHY_NOTIFIED) {
		s->notes = s->last_note && now - s->last_note < note_spread(s) + 2 * SCHED_NOTIFY_STORM ? s->notes + 1 : 1;
		s->last_note = now;
	}
	s->why = why;
	s->last_start = now;
	if (is_due(s->retry_due, now))
		s->retry_due = 0;
	if (why == WHY_NETWORK) {
		s->net = false;
		s->retry_due = 0;
		s->rung = 0;
	}
	return ACT_REFRESH;
}

/* Due times are counted from now, not from the last ones: after a suspend of
 * days one refresh follows, not all that were missed. */
static void gp_arm(struct sched *s, int64_t now, uint32_t jitter)
{
	int64_t wait = (int64_t)s->interval + chance(s->offset, jitter);

	s->gp_due = now + (wait > 0 ? wait : 1);
}

/* Sooner than the policy asks for, not later: it says how old its contents may become. */
static void poll_arm(struct sched *s, int64_t now, uint32_t jitter)
{
	int64_t wait = (int64_t)s->polling - chance(s->polling / 4, jitter);

	if (s->polling == 0)
		s->poll_due = 0;
	else
		s->poll_due = now + (wait > SCHED_POLL_MIN ? wait : SCHED_POLL_MIN);
}

/* All that are switched on at once would ask at once.  What they enforce meanwhile is as
 * old as it may be on a host that stayed on. */
static enum sched_action boot(struct sched *s, int64_t now, uint32_t jitter)
{
	if (s->running)
		return ACT_NONE;
	if (!spreads(s) || now >= SCHED_BOOT)
		return start(s, WHY_START, now);
	s->gp_due = now + 1 + chance(s->interval / 3 * 2, jitter);
	return ACT_NONE;
}

/* Every refresh reads everything, but the two timers run apart: each is armed
 * again only by a refresh of its own, or by one that served both. */
static void done(struct sched *s, int64_t now, uint32_t jitter)
{
	bool both = s->why != WHY_GROUP_POLICY && s->why != WHY_POLLING;
	int64_t poll_due = s->poll_due;

	s->known = true;
	s->failures = 0;
	s->rung = 0;
	s->retry_due = 0;
	s->net = false;
	if (both || s->why == WHY_GROUP_POLICY || s->gp_due <= s->last_start)
		gp_arm(s, now, jitter);
	poll_arm(s, now, jitter);
	/* Not touched when its time is still to come, unless the policy now wants it sooner. */
	if (!both && s->why != WHY_POLLING && poll_due > s->last_start && poll_due < s->poll_due)
		s->poll_due = poll_due;
}

/* Who has been failing for long may be one of many. */
static int64_t net_soonest(const struct sched *s, int64_t now, uint32_t jitter)
{
	int64_t soonest = s->last_start + SCHED_NET_PAUSE, late = now - s->failing_since - SCHED_NET_SOON;

	if (soonest < now || now < s->last_start)
		soonest = now;
	if (!spreads(s) || late <= 0)
		return soonest;
	late = now + chance(late < s->interval / NET_SLOPE ? late * NET_SLOPE : s->interval, jitter);
	return late > soonest ? late : soonest;
}

static void retry_by(struct sched *s, int64_t due)
{
	if (s->retry_due == 0 || due < s->retry_due)
		s->retry_due = due;
}

static void failed(struct sched *s, int64_t now, uint32_t jitter)
{
	const struct rung *rung = &ladders[spreads(s)][s->rung];

	if (s->failures == 0)
		s->failing_since = now;
	if (s->failures < UINT_MAX)
		s->failures++;
	/* A refresh that was asked for in between does not climb the ladder. */
	if (s->retry_due <= now) {
		s->retry_due = now + rung->least + chance(rung->more, jitter);
		if (s->rung < RUNGS - 1)
			s->rung++;
	}
	if (s->net)
		retry_by(s, net_soonest(s, now, jitter));
	if (s->gp_due <= now)
		gp_arm(s, now, jitter);
	if (s->poll_due <= now)
		poll_arm(s, now, jitter);
}

static enum sched_action notified(struct sched *s, int64_t now, uint32_t jitter)
{
	int64_t spread = note_spread(s), due = now + SCHED_NOTIFY_SOON, pause = spread ? spread : note_pause(s);

	if (s->running)
		s->notified = true;
	if (s->running || s->note_due)
		return ACT_NONE;
	if (s->last_note && s->last_note <= now && s->last_note + pause > due)
		due = s->last_note + pause;
	s->note_due = due + chance(spread, jitter);
	return ACT_NONE;
}

static enum sched_action finished(struct sched *s, int64_t now, uint32_t jitter)
{
	bool note = s->notified;

	s->running = s->notified = false;
	if (s->again) {
		s->again = false;
		return start(s, WHY_ASKED, now);
	}
	return note ? notified(s, now, jitter) : ACT_NONE;
}

static enum sched_action network(struct sched *s, int64_t now, uint32_t jitter)
{
	int64_t soonest;

	if (s->running) {
		s->net = true;
		return ACT_NONE;
	}
	/* One draw a failure: many changes in a row must not add up to none. */
	if (s->failures == 0 || s->net)
		return ACT_NONE;
	soonest = net_soonest(s, now, jitter);
	if (soonest <= now)
		return start(s, WHY_NETWORK, now);
	s->net = true;
	retry_by(s, soonest);
	return ACT_NONE;
}

static enum sched_action timer(struct sched *s, int64_t now)
{
	if (s->running)
		return ACT_NONE;
	if (is_due(s->retry_due, now))
		return start(s, s->net ? WHY_NETWORK : WHY_RETRY, now);
	if (is_due(s->note_due, now))
		return start(s, WHY_NOTIFIED, now);
	if (is_due(s->gp_due, now))
		return start(s, WHY_GROUP_POLICY, now);
	if (is_due(s->poll_due, now))
		return start(s, WHY_POLLING, now);
	return ACT_NONE;
}

enum sched_action schedule_step(struct sched *s, enum sched_event ev, int64_t now, uint32_t jitter)
{
	switch (ev) {
	case EV_START:
		return boot(s, now, jitter);
	case EV_ASKED:
		if (!s->running)
			return start(s, WHY_ASKED, now);
		s->again = true;
		return ACT_NONE;
	case EV_NETWORK:
		return network(s, now, jitter);
	case EV_NOTIFIED:
		return notified(s, now, jitter);
	case EV_TIMER:
		return timer(s, now);
	case EV_DONE:
		if (!s->running)
			return ACT_NONE;
		done(s, now, jitter);
		return finished(s, now, jitter);
	case EV_FAILED:
		if (!s->running)
			return ACT_NONE;
		failed(s, now, jitter);
		return finished(s, now, jitter);
	}
	return ACT_NONE;
}

int64_t schedule_due(const struct sched *s)
{
	const int64_t all[] = { s->gp_due, s->poll_due, s->retry_due, s->note_due };
	int64_t due = INT64_MAX;

	if (s->running)
		return INT64_MAX;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] && all[i] < due)
			due = all[i];
	return due;
}

const char *sched_why_name(enum sched_why w)
{
	static const char *const names[] = {
		[WHY_START] = "start", [WHY_GROUP_POLICY] = "group-policy",
		[WHY_POLLING] = "polling", [WHY_RETRY] = "retry",
		[WHY_ASKED] = "asked", [WHY_NETWORK] = "network",
		[WHY_NOTIFIED] = "notified",
	};

	if ((unsigned)w >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[w];
}
