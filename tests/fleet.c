#include "tests/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "agent/schedule.h"

#define NOBODY	UINT32_MAX
#define NEVER	UINT32_MAX
#define UPTIME	20		/* seconds from the power on to the start of the service */

enum doing { OFF, IDLE, ASKING };

struct host {
	struct sched	s;
	int64_t		epoch;		/* the second of the simulation at which its clock was 0 */
	uint32_t	next, prev;	/* in the list of the second at which something happens to it */
	uint32_t	at;		/* that second; 0: in no list */
	uint32_t	number;		/* of its last refresh: older ones in a queue are nobody's */
	enum doing	doing;
	bool		queued;		/* ASKING: in a queue */
};

struct place {
	uint32_t	host, number;
};

struct dc {
	struct place	*queue;		/* a ring */
	unsigned	 first, n;
};

struct fleet {
	const struct fleet_plan	*p;
	struct fleet_result	*r;
	struct host		*hosts;
	struct dc		*dcs;
	uint32_t		*when;		/* [end]: first host of that second's list */
	uint32_t		 now;
	bool			 up;		/* the DCs */
	uint64_t		 seed;
	uint32_t		*firsts;	/* of each host, the seconds from the end of the incident to its first good refresh */
};

void fleet_plan_init(struct fleet_plan *p, const char *name)
{
	*p = (struct fleet_plan){ .name = name, .hosts = 100000, .dcs = 4, .rate = 67, .queue = 5000, .patience = 60, .silence = 20,
		.interval = 90 * 60, .offset = 30 * 60, .polling = 180 * 60, .boot_seconds = 120, .cached = true,
		.warm = 6 * 3600, .at = 8 * 3600, .end = 14 * 3600 };
}

/* splitmix64 */
static uint32_t draw(struct fleet *f)
{
	uint64_t z = f->seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) >> 32);
}

static void unlist(struct fleet *f, uint32_t i)
{
	struct host *h = &f->hosts[i];

	if (h->at == 0)
		return;
	if (h->prev == NOBODY)
		f->when[h->at] = h->next;
	else
		f->hosts[h->prev].next = h->next;
	if (h->next != NOBODY)
		f->hosts[h->next].prev = h->prev;
	h->at = 0;
}

/* The only thing that will happen to it next; never in this second or a past one. */
static void list(struct fleet *f, uint32_t i, int64_t at)
{
	struct host *h = &f->hosts[i];

	unlist(f, i);
	if (at <= f->now)
		at = f->now + 1;
	if (at >= f->p->end)
		return;
	h->at = (uint32_t)at;
	h->prev = NOBODY;
	h->next = f->when[at];
	if (h->next != NOBODY)
		f->hosts[h->next].prev = i;
	f->when[at] = i;
}

static void ask(struct fleet *f, uint32_t i)
{
	struct host *h = &f->hosts[i];
	struct dc *d = &f->dcs[draw(f) % f->p->dcs];

	h->number++;
	h->doing = ASKING;
	h->queued = f->up && d->n < f->p->queue;
	if (!f->up) {
		f->r->lost[f->now]++;
		list(f, i, (int64_t)f->now + f->p->silence);
		return;
	}
	f->r->arrived[f->now]++;
	if (!h->queued) {
		f->r->refused++;
		list(f, i, (int64_t)f->now + 1);
		return;
	}
	d->queue[(d->first + d->n++) % f->p->queue] = (struct place){ i, h->number };
	list(f, i, (int64_t)f->now + f->p->patience);
}

static void step(struct fleet *f, uint32_t i, enum sched_event ev)
{
	struct host *h = &f->hosts[i];
	int64_t due;

	if (ev == EV_DONE || ev == EV_FAILED)
		h->doing = IDLE;
	if (schedule_step(&h->s, ev, f->now - h->epoch, draw(f)) == ACT_REFRESH)
		ask(f, i);
	if (h->doing == ASKING)
		return;
	due = schedule_due(&h->s);
	list(f, i, due == INT64_MAX ? due : due + h->epoch);
}

static void boot(struct fleet *f, uint32_t i, bool cached)
{
	struct host *h = &f->hosts[i];

	h->s = (struct sched){ .interval = f->p->interval, .offset = f->p->offset, .polling = f->p->polling, .known = cached,
		.spread = true };
	h->epoch = (int64_t)f->now - UPTIME;
	h->doing = IDLE;
	step(f, i, EV_START);
}

/* Its second has come. */
static void wake(struct fleet *f, uint32_t i)
{
	struct host *h = &f->hosts[i];

	unlist(f, i);
	switch (h->doing) {
	case OFF:
		boot(f, i, f->now < f->p->at || f->p->cached);
		break;
	case IDLE:
		step(f, i, EV_TIMER);
		break;
	case ASKING:
		f->r->left += h->queued;
		step(f, i, EV_FAILED);
		break;
	}
}

static void answer(struct fleet *f, struct dc *d)
{
	for (unsigned n = 0; n < f->p->rate && d->n > 0; n++) {
		struct place who = d->queue[d->first];
		struct host *h = &f->hosts[who.host];

		d->first = (d->first + 1) % f->p->queue;
		d->n--;
		if (h->doing != ASKING || h->number != who.number)
			continue;
		f->r->served[f->now]++;
		if (f->now >= f->r->over && f->firsts[who.host] == NEVER)
			f->firsts[who.host] = f->now - f->r->over;
		step(f, who.host, EV_DONE);
	}
}

static void dcs_down(struct fleet *f)
{
	f->up = false;
	for (unsigned i = 0; i < f->p->dcs; i++)
		f->dcs[i].n = 0;
}

static void incident(struct fleet *f)
{
	for (uint32_t i = 0; i < f->p->hosts; i++) {
		if (f->p->incident == FLEET_ASKED)
			step(f, i, EV_ASKED);
		if (f->p->incident == FLEET_NOTIFIED)
			step(f, i, EV_NOTIFIED);
		if (f->p->incident != FLEET_POWER)
			continue;
		f->hosts[i].doing = OFF;
		list(f, i, (int64_t)f->now + 1 + draw(f) % f->p->boot_seconds);
	}
	if (f->p->incident == FLEET_POWER || f->p->incident == FLEET_DCS)
		dcs_down(f);
}

static void second(struct fleet *f)
{
	uint32_t i;

	if (f->now == f->p->at || (f->p->again && f->now > f->p->at && (f->now - f->p->at) % f->p->again == 0))
		incident(f);
	if (f->now == f->r->over) {
		f->up = true;
		if (f->p->incident == FLEET_DCS && f->p->network)
			for (i = 0; i < f->p->hosts; i++)
				step(f, i, EV_NETWORK);
	}
	while ((i = f->when[f->now]) != NOBODY)
		wake(f, i);
	if (f->up)
		for (i = 0; i < f->p->dcs; i++)
			answer(f, &f->dcs[i]);
}

/* Largest mean of width seconds in a row. */
static double peak(const uint32_t *counts, uint32_t from, uint32_t to, uint32_t width)
{
	uint64_t sum = 0, max = 0;

	for (uint32_t i = from; i < to; i++) {
		sum += counts[i];
		if (i >= from + width)
			sum -= counts[i - width];
		if (sum > max)
			max = sum;
	}
	return (double)max / width;
}

static int number_cmp(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void conclude(struct fleet *f)
{
	const struct fleet_plan *p = f->p;
	struct fleet_result *r = f->r;
	uint64_t sum = 0;

	for (uint32_t i = p->warm; i < p->at; i++)
		sum += r->arrived[i];
	r->steady = (double)sum / (p->at - p->warm);
	r->peak = peak(r->arrived, r->over, p->end, 60);
	r->peak_10s = peak(r->arrived, r->over, p->end, 10);
	r->later = peak(r->arrived, r->over + 1800, p->end, 60);
	qsort(f->firsts, p->hosts, sizeof(*f->firsts), number_cmp);
	r->half = f->firsts[p->hosts / 2];
	r->all = f->firsts[p->hosts - 1];
}

static void run(struct fleet *f)
{
	const struct fleet_plan *p = f->p;

	f->up = true;
	for (uint32_t i = 0; i < p->end; i++)
		f->when[i] = NOBODY;
	for (uint32_t i = 0; i < p->hosts; i++) {
		f->firsts[i] = NEVER;
		list(f, i, 1 + draw(f) % (2 * p->interval));
	}
	for (f->now = 1; f->now < p->end; f->now++)
		second(f);
	conclude(f);
}

int fleet_run(struct fleet_result *ret, const struct fleet_plan *p)
{
	struct fleet_result r = { .over = p->at + p->out_seconds };
	struct fleet f = { .p = p, .r = &r, .seed = 20261123 };
	int rc = -1;

	r.arrived = calloc(p->end, sizeof(*r.arrived));
	r.served = calloc(p->end, sizeof(*r.served));
	r.lost = calloc(p->end, sizeof(*r.lost));
	f.firsts = calloc(p->hosts, sizeof(*f.firsts));
	f.hosts = calloc(p->hosts, sizeof(*f.hosts));
	f.dcs = calloc(p->dcs, sizeof(*f.dcs));
	f.when = calloc(p->end, sizeof(*f.when));
	if (!f.firsts || !r.arrived || !r.served || !r.lost || !f.hosts || !f.dcs || !f.when)
		goto out;
	for (unsigned i = 0; i < p->dcs; i++) {
		f.dcs[i].queue = calloc(p->queue, sizeof(*f.dcs[i].queue));
		if (!f.dcs[i].queue)
			goto out;
	}
	run(&f);
	*ret = r;
	memset(&r, 0, sizeof(r));
	rc = 0;
out:
	for (unsigned i = 0; f.dcs && i < p->dcs; i++)
		free(f.dcs[i].queue);
	free(f.dcs);
	free(f.when);
	free(f.hosts);
	free(f.firsts);
	fleet_free(&r);
	return rc;
}

void fleet_free(struct fleet_result *r)
{
	free(r->arrived);
	free(r->served);
	free(r->lost);
	memset(r, 0, sizeof(*r));
}
