/* tests/fleet.h - many hosts with the agent's own schedule_step, and a few domain
 * controllers that can answer only so many of them a second.  Ticks of one second; the
 * same seed gives the same numbers.
 *
 * What the domain controllers do is the worst case: each has one queue, first come
 * first served; when it is full the next host is refused; who has waited for too long
 * goes away, and his place in the queue costs as much as an answer. */
#ifndef TESTS_FLEET_H
#define TESTS_FLEET_H

#include <stdbool.h>
#include <stdint.h>

enum fleet_incident {
	FLEET_NONE,
	FLEET_POWER,		/* every host off, and back within boot_seconds; the DCs out_seconds later */
	FLEET_DCS,		/* no DC for out_seconds */
	FLEET_ASKED,		/* `ipsecpol refresh` on every host */
	FLEET_NOTIFIED,		/* every host is told of a change; every `again` seconds, when that is set */
};

struct fleet_plan {
	const char		*name;
	unsigned		 hosts, dcs;
	unsigned		 rate;		/* refreshes a second, each DC */
	unsigned		 queue;		/* of each DC */
	uint32_t		 patience;	/* seconds in a queue until a refresh has failed */
	uint32_t		 silence;	/* seconds until it has failed when no DC is there */
	uint32_t		 interval, offset, polling;
	enum fleet_incident	 incident;
	uint32_t		 boot_seconds, out_seconds;
	uint32_t		 again;		/* FLEET_NOTIFIED: 0: once */
	bool			 cached;	/* after FLEET_POWER: the hosts have a policy in the cache */
	bool			 network;	/* at the end of FLEET_DCS every host sees a change of network */
	uint32_t		 warm, at, end;	/* seconds: steady from warm to at, the incident, the end */
};

struct fleet_result {
	uint32_t		*arrived;	/* [end]: refreshes that reached a DC in that second */
	uint32_t		*served;	/* [end]: and were answered in it */
	uint32_t		*lost;		/* [end]: began in it while no DC was there */
	double			 steady;	/* arrived a second, mean of warm..at */
	double			 peak;		/* the same from `over` on, largest mean of any 60 seconds */
	double			 peak_10s, later;	/* of any 10; of any 60 from half an hour after it on */
	uint32_t		 over;		/* when the incident ended: refreshes can succeed again */
	uint32_t		 half, all;	/* seconds from then until half and all hosts had one; UINT32_MAX: never */
	unsigned		 refused, left;	/* by a full queue; out of patience */
};

/* 100,000 hosts, 4 DCs, Windows' intervals; incident none. */
void fleet_plan_init(struct fleet_plan *p, const char *name);
int fleet_run(struct fleet_result *ret, const struct fleet_plan *p);	/* -1: no memory */
void fleet_free(struct fleet_result *r);

#endif
