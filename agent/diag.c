#include "agent/diag.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "agent/answers_dynamic.h"
#include "agent/daemon.h"
#include "agent/diag_report.h"
#include "agent/log.h"
#include "nft/nflog.h"
#include "schema/settings.h"

#define USEC		UINT64_C(1000000)
#define PRIORITY	50	/* of packets in the event loop: everything else first */
#define XFRM_STAT	"/proc/net/xfrm_stat"

struct waiting {
	struct ctl_call	*call;
	uint64_t	 since;
	uint64_t	 deadline;	/* CLOCK_MONOTONIC usec */
};

struct diag {
	struct daemon		*d;
	sd_event_source		*io, *interval, *until, *patience;
	struct nflog		*nflog;
	struct diag_host	*host;
	struct diag_names	*names;		/* NULL: to be made */
	unsigned		 level, log_interval;
	bool			 failed;	/* the packets cannot be had; it was said */
	/* Since the last summary. */
	uint64_t		 n[ACT_N_HOOKS], suppressed, lost;
	struct diag_tally	 tally;
	struct diag_xfrm	 xfrm[DIAG_XFRM];
	size_t			 n_xfrm;
	struct diag_rate	 rate;
	struct diag_ring	 ring;
	struct waiting		 waiting[CTL_MAX_PEERS];	/* the earliest deadline first */
	size_t			 n_waiting;
};

static int64_t monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Whoever reads our log may be slow: the loop does not wait for him. */
static bool log_takes_more(void)
{
	struct pollfd p = { STDERR_FILENO, POLLOUT, 0 };

	return poll(&p, 1, 0) == 1 && p.revents & POLLOUT;
}

static void names_make(struct diag *g)
{
	struct daemon_view v;

	if (g->names)
		return;
	daemon_view(g->d, &v);
	g->names = diag_names_new(v.sources, v.n_sources);
}

static void on_packet(const struct nflog_packet *p, void *cookie)
{
	struct diag *g = cookie;
	struct diag_drop *d;
	enum drop_kind kind;
	enum act_hook hook;

	if (!diag_packet_place(&hook, &kind, p))
		return;
	names_make(g);
	d = diag_ring_add(&g->ring);
	diag_packet_read(d, p, g->d->held.ruleset, g->host, g->names);
	if (!d->time_us)
		d->time_us = (int64_t)time(NULL) * 1000000;
	g->n[hook]++;
	if (d->decided)
		diag_tally_add(&g->tally, d);
	if (diag_rate_take(&g->rate, monotonic_us()) && log_takes_more())
		diag_drop_log(d);
	else
		g->suppressed++;
}

/* ---- summaries ---- */

static size_t xfrm_read(struct diag_xfrm ret[static DIAG_XFRM])
{
	char text[8192];
	FILE *f = fopen(XFRM_STAT, "re");
	size_t n;

	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return diag_xfrm_parse(ret, text);
}

static void xfrm_summary(struct diag *g)
{
	struct diag_xfrm now[DIAG_XFRM];
	const size_t n = xfrm_read(now);
	char text[1024];

	if (diag_xfrm_grown(g->xfrm, g->n_xfrm, now, n, text, sizeof(text)))
		log_event(LOG_WARNING, "packet-errors", (const char *const[]){ "ERRORS", text, NULL },
		    "packets that IPsec could not process: %s", text);
	memcpy(g->xfrm, now, sizeof(now));
	g->n_xfrm = n;
}

static uint64_t lost(const struct diag *g)
{
	return g->nflog ? nflog_lost(g->nflog) : 0;
}

static void counts_reset(struct diag *g)
{
	memset(g->n, 0, sizeof(g->n));
	g->suppressed = 0;
	g->lost = lost(g);
	if (g->tally.n_used || g->tally.others)
		memset(&g->tally, 0, sizeof(g->tally));
}

static void summary(struct diag *g)
{
	const uint64_t n_lost = lost(g) - g->lost;
	char in[24], out[24], forward[24], suppressed[24], lost_text[24], top[1500];
	const char *const fields[] = { "INBOUND", in, "OUTBOUND", out, "FORWARD", forward, "SUPPRESSED", suppressed,
		"LOST", lost_text, NULL };

	if (g->level & DIAG_ERRORS)
		xfrm_summary(g);
	if (g->level & (DIAG_INBOUND | DIAG_OUTBOUND)) {
		snprintf(in, sizeof(in), "%" PRIu64, g->n[ACT_IN]);
		snprintf(out, sizeof(out), "%" PRIu64, g->n[ACT_OUT]);
		snprintf(forward, sizeof(forward), "%" PRIu64, g->n[ACT_FORWARD]);
		snprintf(suppressed, sizeof(suppressed), "%" PRIu64, g->suppressed);
		snprintf(lost_text, sizeof(lost_text), "%" PRIu64, n_lost);
		diag_top_text(&g->tally, top, sizeof(top));
		log_event(LOG_INFO, "drops", fields, "logged drops: %s inbound, %s outbound, %s forwarded; %s of them not in this log, %s times "
		    "packets were lost%s", in, out, forward, suppressed, lost_text, top);
	}
	counts_reset(g);
}

static int on_interval(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct diag *g = cookie;

	(void)s, (void)usec;
	summary(g);
	diag_update(g->d);
	sd_event_source_set_time_relative(g->interval, g->log_interval * USEC);
	sd_event_source_set_enabled(g->interval, g->level ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	return 0;
}

/* ---- who follows ---- */

static json_t *drops_json(const struct diag *g, uint64_t since)
{
	const struct settings *s = &g->d->sources.settings;
	json_t *list = json_array();
	uint64_t missed;

	for (const struct diag_drop *d = diag_ring_after(&g->ring, since, &missed); d; d = diag_ring_next(&g->ring, d))
		json_array_append_new(list, diag_drop_json(d));
	return json_pack("{s:i, s:o, s:I, s:I, s:o}", "level", (int)g->level,
	    "until", g->level && s->diagnostics_until ? json_integer(s->diagnostics_until) : json_null(),
	    "next", (json_int_t)g->ring.last, "missed", (json_int_t)missed, "drops", list);
}

/* Answers whose time has come, or who has something to hear. */
static void waiting_answer(struct diag *g, uint64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n_waiting; i++) {
		const struct waiting *w = &g->waiting[i];

		if (g->level && w->since >= g->ring.last && w->deadline > now)
			g->waiting[n++] = *w;
		else
			ctl_reply(w->call, drops_json(g, w->since));
	}
	g->n_waiting = n;
	if (n)
		sd_event_source_set_time(g->patience, g->waiting[0].deadline);
	sd_event_source_set_enabled(g->patience, n ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int on_patience(sd_event_source *s, uint64_t usec, void *cookie)
{
	(void)s, (void)usec;
	waiting_answer(cookie, (uint64_t)monotonic_us());
	return 0;
}

void diag_drops(struct daemon *d, struct ctl_call *call, json_t *parameters)
{
	const json_t *since = json_object_get(parameters, "since");
	struct diag *g = d->diag;
	struct waiting *w;

	if (!g) {
		ctl_error(call, "Failed", "the diagnostic mode is not there");
		return;
	}
	if (since && (!json_is_integer(since) || json_integer_value(since) < 0)) {
		ctl_error(call, "InvalidParameter", "parameter 'since' is not a number");
		return;
	}
	if (!since) {
		ctl_reply(call, drops_json(g, g->ring.last));
		return;
	}
	if (g->n_waiting == CTL_MAX_PEERS) {
		ctl_error(call, "Busy", "too many follow the drops");
		return;
	}
	w = &g->waiting[g->n_waiting++];
	*w = (struct waiting){ .call = call, .since = (uint64_t)json_integer_value(since),
		.deadline = (uint64_t)monotonic_us() + DIAG_WAIT_SECONDS * USEC };
	/* From before the daemon was started anew. */
	if (w->since > g->ring.last)
		w->since = 0;
	waiting_answer(g, (uint64_t)monotonic_us());
}

/* ---- on and off ---- */

static void packets_close(struct diag *g)
{
	g->io = sd_event_source_disable_unref(g->io);
	nflog_close(g->nflog);
	g->nflog = NULL;
	g->lost = 0;
}

static int on_packets(sd_event_source *s, int fd, uint32_t revents, void *cookie)
{
	struct diag *g = cookie;
	struct err err = { 0 };

	(void)s, (void)fd, (void)revents;
	if (nflog_read(g->nflog, on_packet, g, &err) < 0) {
		log_event(LOG_ERR, "diagnostics-failed", NULL, "logged packets cannot be read any more, later again: %s", err.msg);
		g->failed = true;
		packets_close(g);
	}
	waiting_answer(g, (uint64_t)monotonic_us());
	return 0;
}

static void packets_open(struct diag *g)
{
	struct err err = { 0 };
	int r;

	g->nflog = nflog_open(&err);
	if (g->nflog) {
		r = sd_event_add_io(g->d->ev, &g->io, nflog_fd(g->nflog), EPOLLIN, on_packets, g);
		if (r >= 0) {
			sd_event_source_set_priority(g->io, PRIORITY);
			g->lost = lost(g);
			g->failed = false;
			return;
		}
		err_set(&err, ERR_SYSTEM, "event loop: %s", strerror(-r));
		packets_close(g);
	}
	if (!g->failed)
		log_event(LOG_ERR, "diagnostics-failed", NULL, "dropped packets cannot be logged, later again: %s", err.msg);
	g->failed = true;
}

static int on_until(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct diag *g = cookie;
	struct err err = { 0 };

	(void)s, (void)usec;
	log_event(LOG_NOTICE, "diagnostics-ended", NULL, "the diagnostic mode has come to its end time");
	if (daemon_sources_changed(g->d, &err) < 0)
		log_event(LOG_WARNING, "diagnostics-failed", NULL, "the rules that log could not be taken away: %s", err.msg);
	diag_update(g->d);
	return 0;
}

static void level_changed(struct diag *g, unsigned level, const struct settings *s)
{
	char until[48] = "";
	const time_t t = (time_t)s->diagnostics_until;
	struct tm tm;

	if (g->level)
		summary(g);
	if (!level)
		log_event(LOG_NOTICE, "diagnostics-off", NULL, "the diagnostic mode is off");
	if (level && s->diagnostics_until && gmtime_r(&t, &tm))
		strftime(until, sizeof(until), ", until %Y-%m-%dT%H:%M:%SZ", &tm);
	if (level)
		log_event(LOG_NOTICE, "diagnostics-on", NULL, "the diagnostic mode is on: level %u:%s%s%s%s", level,
		    level & DIAG_ERRORS ? " errors" : "", level & DIAG_INBOUND ? " inbound" : "",
		    level & DIAG_OUTBOUND ? " outbound" : "", until);
	if (!g->level)
		g->n_xfrm = xfrm_read(g->xfrm);
	g->level = level;
}

void diag_update(struct daemon *d)
{
	const struct settings *s = &d->sources.settings;
	const unsigned level = settings_diagnostics(s, time(NULL));
	const bool packets = level & (DIAG_INBOUND | DIAG_OUTBOUND);
	struct diag *g = d->diag;
	bool rearm;

	if (!g)
		return;
	rearm = !g->level != !level || g->log_interval != s->log_interval;
	g->log_interval = s->log_interval;
	if (g->level != level)
		level_changed(g, level, s);
	if (packets && !g->nflog)
		packets_open(g);
	else if (!packets && g->nflog)
		packets_close(g);
	if (rearm) {
		sd_event_source_set_time_relative(g->interval, g->log_interval * USEC);
		sd_event_source_set_enabled(g->interval, level ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	}
	if (level && s->diagnostics_until)
		sd_event_source_set_time(g->until, (uint64_t)s->diagnostics_until * USEC);
	sd_event_source_set_enabled(g->until, level && s->diagnostics_until ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	waiting_answer(g, (uint64_t)monotonic_us());
}

void diag_forget(struct diag *g)
{
	if (!g)
		return;
	diag_names_free(g->names);
	g->names = NULL;
}

struct diag *diag_open(struct daemon *d, struct err *err)
{
	struct diag *g = calloc(1, sizeof(*g));
	int r;

	if (!g) {
		err_nomem(err);
		return NULL;
	}
	g->d = d;
	g->host = diag_host_new();
	r = g->host ? sd_event_add_time(d->ev, &g->interval, CLOCK_MONOTONIC, 0, USEC, on_interval, g) : -ENOMEM;
	if (r >= 0)
		r = sd_event_add_time(d->ev, &g->patience, CLOCK_MONOTONIC, 0, USEC / 10, on_patience, g);
	if (r >= 0)
		r = sd_event_add_time(d->ev, &g->until, CLOCK_REALTIME, 0, USEC / 10, on_until, g);
	if (r < 0) {
		err_set(err, ERR_SYSTEM, "event loop: %s", strerror(-r));
		diag_close(g);
		return NULL;
	}
	sd_event_source_set_enabled(g->interval, SD_EVENT_OFF);
	sd_event_source_set_enabled(g->patience, SD_EVENT_OFF);
	sd_event_source_set_enabled(g->until, SD_EVENT_OFF);
	return g;
}

void diag_close(struct diag *g)
{
	if (!g)
		return;
	g->level = 0;
	if (g->patience)
		waiting_answer(g, (uint64_t)monotonic_us());
	g->d->diag = NULL;	/* what ends later may still say diag_forget(d->diag) */
	packets_close(g);
	sd_event_source_disable_unref(g->interval);
	sd_event_source_disable_unref(g->patience);
	sd_event_source_disable_unref(g->until);
	diag_host_free(g->host);
	diag_forget(g);
	free(g);
}
