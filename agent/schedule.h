/* agent/schedule.h - what to do next, and when.  Pure: time and jitter are arguments.
 *
 * Two timers in CLOCK_BOOTTIME seconds: the Group Policy refresh (90 min + random
 * 0..30: membership, links, assignment) and the assigned policy's own polling interval
 * (contents), [MS-GPOL] 3.2.1.14-17, [MS-GPIPSEC] 3.2.  After a failure: 1, 4, 25, 166, 166...
 * minutes, [MS-GPIPSEC] 3.2.5.3; a network change then refreshes at once (but not
 * more often than every SCHED_NET_PAUSE seconds) and starts the ladder anew. */
#ifndef AGENT_SCHEDULE_H
#define AGENT_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#define SCHED_NET_PAUSE		10
#define SCHED_POLL_MIN		60	/* the directory may not ask for more than one a minute */

enum sched_event {
	EV_START,		/* the cached policy, if any, is enforced */
	EV_TIMER,		/* the deadline passed */
	EV_ASKED,		/* `ipsecpol refresh`, SIGHUP */
	EV_NETWORK,		/* addresses or routes changed */
	EV_DONE,		/* refresh finished: applied, unchanged or nothing assigned */
	EV_FAILED,		/* refresh failed: offline, refused, worker died */
};
enum sched_action { ACT_NONE, ACT_REFRESH };
enum sched_why { WHY_START, WHY_GROUP_POLICY, WHY_POLLING, WHY_RETRY, WHY_ASKED, WHY_NETWORK };

/* Begins zeroed but for the first two lines.  The caller may change those between
 * steps: polling before EV_DONE, the configuration any time. */
struct sched {
	uint32_t	interval, offset;	/* configuration, seconds */
	uint32_t	polling;		/* of the assigned policy; 0: none assigned */
	bool		running;		/* a refresh is under way */
	bool		again;			/* asked while it was: once more when it is done */
	bool		net;			/* the network changed; waits for its pause, or for the failure */
	unsigned	failures;		/* in a row */
	unsigned	rung;			/* of the retry ladder, the next */
	int64_t		gp_due, poll_due;	/* 0: none */
	int64_t		retry_due;		/* 0: none */
	int64_t		last_start;
	enum sched_why	why;			/* of the refresh under way, or the last */
};

/* jitter: a random number, used modulo offset + 1.  After each step the caller
 * arms its timer at schedule_due(). */
enum sched_action schedule_step(struct sched *s, enum sched_event ev, int64_t now, uint32_t jitter);
int64_t schedule_due(const struct sched *s);	/* INT64_MAX: none (refresh under way) */
const char *sched_why_name(enum sched_why w);

#endif
