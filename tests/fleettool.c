/* For the bench: fleets of hosts before, in and after an incident, as JSON; every value of
 * a series is the mean of a minute, a second.
 *
 *   fleettool [HOSTS]
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fleet.h"


static json_t *series(const uint32_t *counts, uint32_t end)
{
	json_t *j = json_array();

	for (uint32_t i = 0; i + 60 <= end; i += 60) {
		unsigned sum = 0;

		for (uint32_t k = 0; k < 60; k++)
			sum += counts[i + k];
		json_array_append_new(j, json_real(sum / 60.0));
	}
	return j;
}

static json_t *minutes(uint32_t seconds)
{
	return seconds == UINT32_MAX ? json_null() : json_real(seconds / 60.0);
}

static json_t *fleet_json(const struct fleet_plan *p, const struct fleet_result *r)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:i, s:i, s:o, s:o, s:o}", "name", p->name,
	    "hosts", (int)p->hosts, "capacity", (int)(p->dcs * p->rate), "incident_minute", (int)(p->at / 60),
	    "over_minute", (int)(r->over / 60), "steady", r->steady, "peak", r->peak, "peak_10s", r->peak_10s, "later", r->later,
	    "ratio", r->peak / r->steady, "half_minutes", minutes(r->half), "all_minutes", minutes(r->all),
	    "refused", (int)r->refused, "out_of_patience", (int)r->left, "arrived", series(r->arrived, p->end),
	    "served", series(r->served, p->end), "lost", series(r->lost, p->end));
}

enum { STEADY, POWER, POWER_DCS, POWER_NO_CACHE, DCS_MINUTES, DCS_HOURS, NETWORK_MINUTES, NETWORK_HOURS, NO_POLLING, ASKED, NOTIFIED, STORM, N_PLANS };

static void plans_init(struct fleet_plan *p)
{
	fleet_plan_init(&p[STEADY], "nothing happens");
	fleet_plan_init(&p[POWER], "power cut, back within 2 minutes");
	p[POWER].incident = FLEET_POWER;
	p[POWER_DCS] = p[POWER];
	p[POWER_DCS].name = "power cut, controllers 10 minutes later";
	p[POWER_DCS].out_seconds = 600;
	p[POWER_NO_CACHE] = p[POWER];
	p[POWER_NO_CACHE].name = "power cut, no host has a cached policy";
	p[POWER_NO_CACHE].cached = false;
	fleet_plan_init(&p[DCS_HOURS], "no domain controller for 2 hours");
	p[DCS_HOURS].incident = FLEET_DCS;
	p[DCS_HOURS].out_seconds = 7200;
	p[DCS_MINUTES] = p[DCS_HOURS];
	p[DCS_MINUTES].name = "no domain controller for 30 minutes";
	p[DCS_MINUTES].out_seconds = 1800;
	p[NO_POLLING] = p[DCS_HOURS];
	p[NO_POLLING].name = "no controller for 2 hours, nothing to poll";
	p[NO_POLLING].polling = 0;
	p[NETWORK_MINUTES] = p[DCS_MINUTES];
	p[NETWORK_MINUTES].name = "no network for 30 minutes, all see it return";
	p[NETWORK_MINUTES].network = true;
	p[NETWORK_HOURS] = p[DCS_HOURS];
	p[NETWORK_HOURS].name = "no network for 2 hours, all see it return";
	p[NETWORK_HOURS].network = true;
	fleet_plan_init(&p[ASKED], "refresh asked of every host at once");
	p[ASKED].incident = FLEET_ASKED;
	fleet_plan_init(&p[NOTIFIED], "change notification to all");
	p[NOTIFIED].incident = FLEET_NOTIFIED;
	p[STORM] = p[NOTIFIED];
	p[STORM].name = "... every half a minute, for 6 hours";
	p[STORM].again = 30;
}

int main(int argc, char **argv)
{
	struct fleet_plan plans[N_PLANS];
	json_t *all = json_array();

	plans_init(plans);
	for (size_t i = 0; i < N_PLANS; i++) {
		struct fleet_result r;

		if (argc > 1)
			plans[i].hosts = (unsigned)strtoul(argv[1], NULL, 10);
		if (fleet_run(&r, &plans[i]) < 0)
			return 1;
		json_array_append_new(all, fleet_json(&plans[i], &r));
		fleet_free(&r);
	}
	json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
	putchar('\n');
	json_decref(all);
	return 0;
}
