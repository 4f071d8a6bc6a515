/* agent/schedule.h - what to do next, and when.  Pure: time and jitter are arguments.
 *
 * Two timers in CLOCK_BOOTTIME seconds: the Group Policy refresh (90 min + random
 * 0..30: membership, links, assignment) and the assigned policy's own polling interval
 * (contents), [MS-GPOL] 3.2.1.14-17, [MS-GPIPSEC] 3.2.  After a failure: 1, 4, 25, 166, 166...
 * minutes, [MS-GPIPSEC] 3.2.5.3; a network change then refreshes at once (but not
 * more often than every SCHED_NET_PAUSE seconds) and starts the ladder anew.
 *
 * The hosts of a large domain should not all ask at once (tests/fleet.h).  With spread, a host
 * that knows what the directory last said waits, and chance has a part in:
 *
 *   the first refresh soon after   within 2/3 of an interval
 *   the machine's own start
 *   a retry                        after 1 to 4, 4 to 90, then 166 to 207 minutes; more steps, and
 *                                  retries alone would be more than twice the usual load
 *   a network change               at once only within SCHED_NET_SOON seconds of the first failure;
 *                                  64 seconds more for each one later, an interval at most: the
 *                                  longer the failures, the more hosts wait for the same change
 *
 * Told of a change by the directory: after a second, in which others may come; the next of a row not within 10 seconds of
 * that refresh, then one a minute.  With spread, for each: within 2/5 of an interval, and not within as much of the last one:
 * each host hears of the same change, and however many there are, together they ask no more than three times as often as ever.
 *
 * For one that knows nothing, or without spread: at once; the ladder, a quarter more at most; at once.  For all:
 * a polling interval is up to a quarter shorter; what is asked for is done at once. */
#ifndef AGENT_SCHEDULE_H
#define AGENT_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#define SCHED_NET_PAUSE		10
#define SCHED_NET_SOON		20
#define SCHED_BOOT		600	/* seconds on the clock: the machine has just started */
#define SCHED_NOTIFY_SOON	1
#define SCHED_NOTIFY_PAUSE	10
#define SCHED_NOTIFY_STORM	60	/* from the second of a row on; a row ends with twice as long without one */
#define SCHED_POLL_MIN		60	/* the directory may not ask for more than one a minute */

enum sched_event {
	EV_START,		/* the cached policy, if any, is enforced: see known */
	EV_TIMER,		/* the deadline passed */
	EV_ASKED,		/* `ipsecpol refresh`, SIGHUP */
	EV_NETWORK,		/* addresses or routes changed */
	EV_NOTIFIED,		/* the directory says that something changed */
	EV_DONE,		/* refresh finished: applied, unchanged or nothing assigned */
	EV_FAILED,		/* refresh failed: offline, refused, worker died */
};
enum sched_action { ACT_NONE, ACT_REFRESH };
enum sched_why { WHY_START, WHY_GROUP_POLICY, WHY_POLLING, WHY_RETRY, WHY_ASKED, WHY_NETWORK, WHY_NOTIFIED };

/* Begins zeroed but for the first four lines.  The caller may change these between
 * steps: polling before EV_DONE, the configuration any time, known before EV_START. */
struct sched {
	uint32_t	interval, offset;	/* configuration, seconds */
	uint32_t	polling;		/* of the assigned policy; 0: none assigned */
	bool		spread;			/* configuration: see above */
	bool		known;			/* what the directory said: from the cache, or since EV_DONE */
	bool		running;		/* a refresh is under way */
	bool		again;			/* asked while it was: once more when it is done */
	bool		net;			/* the network changed; waits for its pause, or for the failure */
	bool		notified;		/* while it was: it may have read what was before */
	unsigned	notes;			/* refreshes for EV_NOTIFIED, in a row */
	unsigned	failures;		/* in a row */
	int64_t		failing_since;		/* the end of the first of them */
	unsigned	rung;			/* of the retry ladder, the next */
	int64_t		gp_due, poll_due;	/* 0: none */
	int64_t		retry_due;		/* 0: none */
	int64_t		note_due, last_note;	/* 0: none; the last start for one */
	int64_t		last_start;
	enum sched_why	why;			/* of the refresh under way, or the last */
};

/* jitter: a random number, a new one for each step; 0 is none.  After each step the caller
 * arms its timer at schedule_due(). */
enum sched_action schedule_step(struct sched *s, enum sched_event ev, int64_t now, uint32_t jitter);
int64_t schedule_due(const struct sched *s);	/* INT64_MAX: none (refresh under way) */
const char *sched_why_name(enum sched_why w);

#endif
