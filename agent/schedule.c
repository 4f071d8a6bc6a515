#include "agent/schedule.h"

#include <limits.h>
#include <stddef.h>

/* interval = min((interval + 1)^2, 166) minutes from 0, [MS-GPIPSEC] 3.2.5.3. */
static const uint16_t ladder[] = { 1, 4, 25, 166 };
#define RUNGS	(sizeof(ladder) / sizeof(ladder[0]))

static bool is_due(int64_t due, int64_t now)
{
	return due && due <= now;
}

static enum sched_action start(struct sched *s, enum sched_why why, int64_t now)
{
	s->running = true;
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
	int64_t wait = (int64_t)s->interval + (int64_t)(jitter % ((uint64_t)s->offset + 1));

	s->gp_due = now + (wait > 0 ? wait : 1);
}

static void poll_arm(struct sched *s, int64_t now)
{
	if (s->polling == 0)
		s->poll_due = 0;
	else
		s->poll_due = now + (s->polling > SCHED_POLL_MIN ? s->polling : SCHED_POLL_MIN);
}

/* Every refresh reads everything, but the two timers run apart: each is armed
 * again only by a refresh of its own, or by one that served both. */
static void done(struct sched *s, int64_t now, uint32_t jitter)
{
	bool both = s->why != WHY_GROUP_POLICY && s->why != WHY_POLLING;
	int64_t poll_due = s->poll_due;

	s->failures = 0;
	s->rung = 0;
	s->retry_due = 0;
	s->net = false;
	if (both || s->why == WHY_GROUP_POLICY || s->gp_due <= s->last_start)
		gp_arm(s, now, jitter);
	poll_arm(s, now);
	/* Not touched when its time is still to come, unless the policy now wants it sooner. */
	if (!both && s->why != WHY_POLLING && poll_due > s->last_start && poll_due < s->poll_due)
		s->poll_due = poll_due;
}

static void failed(struct sched *s, int64_t now, uint32_t jitter)
{
	int64_t soonest = s->last_start + SCHED_NET_PAUSE;

	if (s->failures < UINT_MAX)
		s->failures++;
	/* A refresh that was asked for in between does not climb the ladder. */
	if (s->retry_due <= now) {
		s->retry_due = now + ladder[s->rung] * 60;
		if (s->rung < RUNGS - 1)
			s->rung++;
	}
	if (s->net) {
		if (soonest < now)
			soonest = now;
		if (soonest < s->retry_due)
			s->retry_due = soonest;
	}
	if (s->gp_due <= now)
		gp_arm(s, now, jitter);
	if (s->poll_due <= now)
		poll_arm(s, now);
}

static enum sched_action finished(struct sched *s, int64_t now)
{
	s->running = false;
	if (!s->again)
		return ACT_NONE;
	s->again = false;
	return start(s, WHY_ASKED, now);
}

static enum sched_action network(struct sched *s, int64_t now)
{
	if (s->running) {
		s->net = true;
		return ACT_NONE;
	}
	if (s->failures == 0)
		return ACT_NONE;
	if (now < s->last_start || now - s->last_start >= SCHED_NET_PAUSE)
		return start(s, WHY_NETWORK, now);
	s->net = true;
	if (s->retry_due == 0 || s->retry_due > s->last_start + SCHED_NET_PAUSE)
		s->retry_due = s->last_start + SCHED_NET_PAUSE;
	return ACT_NONE;
}

static enum sched_action timer(struct sched *s, int64_t now)
{
	if (s->running)
		return ACT_NONE;
	if (is_due(s->retry_due, now))
		return start(s, s->net ? WHY_NETWORK : WHY_RETRY, now);
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
		return s->running ? ACT_NONE : start(s, WHY_START, now);
	case EV_ASKED:
		if (!s->running)
			return start(s, WHY_ASKED, now);
		s->again = true;
		return ACT_NONE;
	case EV_NETWORK:
		return network(s, now);
	case EV_TIMER:
		return timer(s, now);
	case EV_DONE:
		if (!s->running)
			return ACT_NONE;
		done(s, now, jitter);
		return finished(s, now);
	case EV_FAILED:
		if (!s->running)
			return ACT_NONE;
		failed(s, now, jitter);
		return finished(s, now);
	}
	return ACT_NONE;
}

int64_t schedule_due(const struct sched *s)
{
	const int64_t all[] = { s->gp_due, s->poll_due, s->retry_due };
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
	};

	if ((unsigned)w >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[w];
}
