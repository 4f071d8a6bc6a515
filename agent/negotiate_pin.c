/* The kernel's half of the negotiator: who has negotiated is held to it, and who changes our policies is noticed. */
#include "agent/negotiate_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "agent/log.h"
#include "nft/protect.h"
#include "nft/spd.h"
#include "nft/xfrmsock.h"
#include "schema/arena.h"
#include "schema/err.h"

#define RESTORES	5	/* at once within RESTORE_WINDOW seconds, then with pauses */
#define RESTORE_WINDOW	10
#define LOOK_SOON	(USEC / 10)	/* SAs come in pairs and in bursts */
#define LOOK_AGAIN	USEC		/* between two looks */
#define LOOK_FAILED	(10 * USEC)
#define LARVAL_SECONDS	5	/* how long a question may wait */
#define RENEW		4u	/* seconds before its end */
#define LIFE_DEFAULT	28800u
#define PINNED_MAX	65536u
#define LOOK_BYTES	(64u << 20)

/* ---- what is held ---- */

static struct pinned *pinned_find(struct pinned *all, size_t n, const struct pin_peer *key)
{
	size_t from = 0, to = n, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (pin_peer_cmp(&all[mid].p, key) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return all + from;	/* or where it would stand */
}

static bool pinned_address(struct pinned *all, size_t n, const struct ip_addr *peer)
{
	struct pinned *p = pinned_find(all, n, &(struct pin_peer){ .peer = *peer });

	return p < all + n && !ip_addr_cmp(&p->p.peer, peer);
}

size_t pin_count(const struct negotiator *n)
{
	const uint64_t now = negotiate_now() / USEC;
	const struct pinned *last = NULL;
	size_t count = 0;

	for (size_t i = 0; i < n->pin.n_pinned; i++) {
		if (n->pin.pinned[i].until <= now || !pin_index_soft(&n->pin.index, n->pin.pinned[i].p.reqid) ||
		    (last && !ip_addr_cmp(&last->p.peer, &n->pin.pinned[i].p.peer)))
			continue;
		last = &n->pin.pinned[i];
		count++;
	}
	return count;
}

static int life_cmp(const void *x, const void *y)
{
	const struct reqid_life *a = x, *b = y;

	return (a->reqid > b->reqid) - (a->reqid < b->reqid);
}

static uint32_t life_of(const struct pin *pin, uint32_t reqid)
{
	const struct reqid_life *l = pin->n_lives ? bsearch(&(struct reqid_life){ .reqid = reqid }, pin->lives, pin->n_lives, sizeof(*l), life_cmp) : NULL;

	return l ? l->life_seconds : LIFE_DEFAULT;
}

/* Each of the peer's policies; the first error counts. */
static int peer_pin(struct negotiator *n, const struct pin_peer *peer, uint32_t seconds, struct err *err)
{
	size_t n_policies;
	const struct spd_policy *const *p = pin_index_find(&n->pin.index, peer->reqid, &n_policies);
	struct spd_policy pin;
	struct err second;
	int rc = 0;

	for (size_t i = 0; i < n_policies; i++)
		if (spd_pin(&pin, p[i], &peer->peer, seconds) && xfrmsock_pin(n->x, &pin, rc < 0 ? &second : err) < 0)
			rc = -1;
	return rc;
}

/* Only what the kernel has not: the time of the others goes on. */
static int missing_pin(struct negotiator *n, const struct pin_index *index, const struct spd *have, const struct pinned *held, uint64_t now,
    struct err *err)
{
	size_t n_policies;
	const struct spd_policy *const *p = pin_index_find(index, held->p.reqid, &n_policies);
	struct spd_policy pin;
	struct err second;
	int rc = 0;

	for (size_t i = 0; held->until > now && i < n_policies; i++)
		if (spd_pin(&pin, p[i], &held->p.peer, (uint32_t)(held->until - now)) && !spd_find(have, &pin) &&
		    xfrmsock_pin(n->x, &pin, rc < 0 ? &second : err) < 0)
			rc = -1;
	return rc;
}

void negotiate_hold(struct negotiator *n, const struct spd *spd)
{
	const uint64_t now = negotiate_now() / USEC;
	struct spd *policies = NULL, *pins = NULL;
	struct pin_index index = { 0 };
	struct err err, second;
	int rc;

	if (!n || !n->x || !n->pin.n_pinned || !spd)
		return;
	rc = pin_index_make(&index, spd, &err);
	if (rc == 0)
		rc = xfrmsock_fetch(n->x, &policies, &pins, &err);
	for (size_t i = 0; pins && i < n->pin.n_pinned; i++)
		if (missing_pin(n, &index, pins, &n->pin.pinned[i], now, rc < 0 ? &second : &err) < 0)
			rc = -1;
	if (rc < 0)
		log_event(LOG_ERR, "pin-failed", NULL, "peers that have negotiated security could not be held to it: %s", err.msg);
	free(index.policies);
	spd_free(policies);
	spd_free(pins);
}

static void tell_peer(const struct negotiator *n, const struct pin_peer *peer, uint32_t seconds)
{
	char text[IP_ADDR_TEXT], life[16];
	size_t n_policies;
	const struct spd_policy *const *p = pin_index_find(&n->pin.index, peer->reqid, &n_policies);

	ip_addr_text(&peer->peer, text);
	snprintf(life, sizeof(life), "%u", seconds);
	log_event(LOG_INFO, "peer-negotiated", (const char *const[]){ "PEER", text, "SECONDS", life, NULL },
	    "%s has negotiated security (%s): nothing in clear with it for %s s", text, n_policies ? p[0]->comment : "", life);
}

/* Those whose time has come; the kernel removes them by itself.  That nobody asks for them now is no reason to forget them: with the
 * own address that a cable or a lease took away their policies are gone, and come back with it. */
static void pinned_prune(struct pin *pin, uint64_t now)
{
	size_t kept = 0;

	for (size_t i = 0; i < pin->n_pinned; i++)
		if (pin->pinned[i].until > now)
			pin->pinned[kept++] = pin->pinned[i];
	pin->n_pinned = kept;
}

static int pinned_cmp(const void *x, const void *y)
{
	return pin_peer_cmp(&((const struct pinned *)x)->p, &((const struct pinned *)y)->p);
}

/* A pin is set when it is new, and set again when the peer has negotiated anew. */
static int peers_pin(struct negotiator *n, const struct pin_peer *peers, size_t n_peers, struct err *err)
{
	struct pin *pin = &n->pin;
	const uint64_t now = negotiate_now() / USEC;
	struct pinned *all, *held;
	size_t n_old, n_all;
	uint32_t seconds;
	int rc = 0;

	pinned_prune(pin, now);
	n_old = n_all = pin->n_pinned;
	all = realloc(pin->pinned, (n_old + n_peers + 1) * sizeof(*all));
	if (!all)
		return err_nomem(err);
	pin->pinned = all;
	for (size_t i = 0; i < n_peers; i++) {
		held = pinned_find(all, n_old, &peers[i]);
		if (held == all + n_old || pin_peer_cmp(&held->p, &peers[i]))
			held = NULL;
		if ((held && held->p.spi == peers[i].spi && held->until > now + RENEW) || (!held && n_all >= PINNED_MAX))
			continue;
		seconds = life_of(pin, peers[i].reqid);
		if (peer_pin(n, &peers[i], seconds, err) < 0) {
			rc = -1;
			continue;
		}
		if (!held && !pinned_address(all, n_old, &peers[i].peer) && (n_all == n_old || ip_addr_cmp(&all[n_all - 1].p.peer, &peers[i].peer)))
			tell_peer(n, &peers[i], seconds);
		*(held ? held : &all[n_all++]) = (struct pinned){ peers[i], now + seconds };
	}
	qsort(all, n_all, sizeof(*all), pinned_cmp);
	pin->n_pinned = n_all;
	return rc;
}

/* ---- looking ---- */

static void look_at(struct negotiator *n, uint64_t when)
{
	uint64_t armed;
	int on = SD_EVENT_OFF;

	/* It is never put off: a flood of events must not starve it. */
	if (sd_event_source_get_enabled(n->pin.look, &on) >= 0 && on != SD_EVENT_OFF &&
	    sd_event_source_get_time(n->pin.look, &armed) >= 0 && armed <= when)
		return;
	sd_event_source_set_time(n->pin.look, when);
	sd_event_source_set_enabled(n->pin.look, SD_EVENT_ONESHOT);
}

static void look_arm(struct negotiator *n, uint64_t pause)
{
	const uint64_t when = negotiate_now() + pause, next = n->pin.looked + LOOK_AGAIN;

	look_at(n, n->pin.looked && next > when ? next : when);
}

/* Before the first pin ends: it is renewed when its SAs are still there. */
static void look_before_end(struct negotiator *n)
{
	uint64_t first = UINT64_MAX, now = negotiate_now();

	for (size_t i = 0; i < n->pin.n_pinned; i++)
		if (n->pin.pinned[i].until < first && pin_index_soft(&n->pin.index, n->pin.pinned[i].p.reqid))
			first = n->pin.pinned[i].until;
	if (first != UINT64_MAX)
		look_at(n, (first - RENEW / 2) * USEC > now + LOOK_AGAIN ? (first - RENEW / 2) * USEC : now + LOOK_AGAIN);
}

/* charon takes no second question about a peer while it negotiates with it, a peer that has refused may agree a moment
 * later (its policy was older), and the kernel does not repeat a question before net.core.xfrm_acq_expires (165 s): so
 * questions are forgotten when the peer has got an SA since, and where nothing passes in clear after LARVAL_SECONDS. The next packet asks
 * again.  Returns whether some of the latter are left. */
static bool larvals_drop(struct negotiator *n, const struct xfrm_sa *sas, size_t n_sas)
{
	const uint64_t now = (uint64_t)time(NULL);
	bool left = false;
	struct err err;

	for (size_t i = 0; i < n_sas; i++) {
		const struct xfrm_sa *s = &sas[i];
		const bool closed = !pin_index_soft(&n->pin.index, s->reqid);

		if (!s->larval || s->spi)
			continue;
		if (!larval_is_old(sas, n_sas, s) && (!closed || s->add_time + LARVAL_SECONDS > now)) {
			left |= closed;
			continue;
		}
		if (xfrmsock_sa_delete(n->x, s, &err) < 0)
			log_warn("a question of the kernel that nobody answers stays: %s", err.msg);
	}
	return left;
}

static int look(struct negotiator *n, struct err *err)
{
	struct arena *a = arena_new(LOOK_BYTES);
	struct pin_peer *peers;
	struct xfrm_sa *sas;
	size_t n_peers, n_sas;
	int rc = -1;

	if (!a)
		return err_nomem(err);
	if (xfrmsock_sas(n->x, &sas, &n_sas, a, err) < 0)
		goto out;
	if (n_sas)
		qsort(sas, n_sas, sizeof(*sas), sa_cmp);
	if (larvals_drop(n, sas, n_sas))
		look_at(n, negotiate_now() + LARVAL_SECONDS * USEC);
	if (!n->want->n_soft)
		rc = 0;
	else if (pin_peers(&peers, &n_peers, a, &n->pin.index, sas, n_sas, err) == 0)
		rc = peers_pin(n, peers, n_peers, err);
out:
	arena_free(a);
	return rc;
}

static int on_look(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct negotiator *n = cookie;
	const size_t before = pin_count(n);
	struct err err = { 0 };

	(void)s, (void)usec;
	if (!n->want)
		return 0;
	n->pin.looked = negotiate_now();
	if (look(n, &err) < 0) {
		if (strncmp(n->pin.trouble, err.msg, sizeof(n->pin.trouble) - 1))
			log_event(LOG_ERR, "pin-failed", NULL, "a peer that has negotiated security could not be held to it: %s", err.msg);
		look_arm(n, LOOK_FAILED);
	}
	look_before_end(n);
	snprintf(n->pin.trouble, sizeof(n->pin.trouble), "%.199s", err.msg);
	if (n->changed && pin_count(n) != before)
		n->changed(n->cookie);
	return 0;
}

static int on_spoiled(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct negotiator *n = cookie;

	(void)s, (void)usec;
	if (n->spoiled)
		n->spoiled(n->cookie);
	return 0;
}

/* At once, but two that fight over the policies must not keep the machine busy. */
static void spoiled(struct negotiator *n)
{
	const uint64_t now = negotiate_now();
	int on = SD_EVENT_OFF;

	if (now - n->pin.window >= RESTORE_WINDOW * USEC) {
		n->pin.window = now;
		n->pin.n_in_window = 0;
	}
	if (n->pin.n_in_window++ < RESTORES) {
		on_spoiled(NULL, 0, n);
	} else if (sd_event_source_get_enabled(n->pin.spoiled, &on) < 0 || on == SD_EVENT_OFF) {
		sd_event_source_set_time_relative(n->pin.spoiled, RESTORE_WINDOW * USEC);
		sd_event_source_set_enabled(n->pin.spoiled, SD_EVENT_ONESHOT);
	}
}

static int on_kernel(sd_event_source *s, int fd, uint32_t revents, void *cookie)
{
	struct negotiator *n = cookie;
	struct xfrm_events ev = { 0 };
	struct err err = { 0 };

	(void)s, (void)fd, (void)revents;
	/* What could not be read may have been anything. */
	if (xfrmsock_watch_read(n->x, &ev, &err) < 0)
		ev = (struct xfrm_events){ true, true, true };
	if (ev.sas && n->want && n->want->n_filters)
		look_arm(n, LOOK_SOON);
	else if (ev.asked && n->want && n->want->n_filters)
		look_at(n, negotiate_now() + (LARVAL_SECONDS + 1) * USEC);
	if (ev.policies)
		spoiled(n);
	return 0;
}

/* ---- what is wanted, and opening ---- */

static int lives_make(struct pin *pin, const struct ike_config *ike, struct err *err)
{
	struct reqid_life *all;
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < ike->n_conns; i++)
		n += ike->conns[i].n_children;
	all = calloc(n + 1, sizeof(*all));
	if (!all)
		return err_nomem(err);
	n = 0;
	for (size_t i = 0; i < ike->n_conns; i++)
		for (size_t k = 0; k < ike->conns[i].n_children; k++)
			all[n++] = (struct reqid_life){ ike->conns[i].children[k].reqid, ike->conns[i].life_seconds };
	qsort(all, n, sizeof(*all), life_cmp);
	/* Each once, with the longest life. */
	for (size_t i = 0; i < n; i++) {
		if (!kept || all[kept - 1].reqid != all[i].reqid)
			all[kept++] = all[i];
		else if (all[i].life_seconds > all[kept - 1].life_seconds)
			all[kept - 1].life_seconds = all[i].life_seconds;
	}
	free(pin->lives);
	pin->lives = all;
	pin->n_lives = kept;
	return 0;
}

void pin_want(struct negotiator *n)
{
	struct pin *pin = &n->pin;
	struct err err;

	free(pin->index.policies);
	free(pin->lives);
	pin->index = (struct pin_index){ 0 };
	pin->lives = NULL;
	pin->n_lives = 0;
	if (n->want && (pin_index_make(&pin->index, n->want->spd, &err) < 0 || lives_make(pin, n->want->ike, &err) < 0))
		log_event(LOG_ERR, "pin-failed", NULL, "peers of soft negotiation cannot be held to it: %s", err.msg);
	pinned_prune(pin, negotiate_now() / USEC);
	/* The policies to pin may be others now: once more for each peer. */
	for (size_t i = 0; i < pin->n_pinned; i++)
		pin->pinned[i].p.spi = 0;
	if (n->want && n->want->n_soft)
		look_arm(n, LOOK_SOON);
}

static void pinned_sort(struct pin *pin)
{
	size_t kept = 0;

	qsort(pin->pinned, pin->n_pinned, sizeof(*pin->pinned), pinned_cmp);
	for (size_t i = 0; i < pin->n_pinned; i++)
		if (!kept || pin_peer_cmp(&pin->pinned[kept - 1].p, &pin->pinned[i].p))
			pin->pinned[kept++] = pin->pinned[i];
	pin->n_pinned = kept;
}

/* What an earlier run has pinned.  The kernel does not say how much of their time is left. */
static int pinned_fetch(struct negotiator *n, struct err *err)
{
	struct spd *all = NULL, *pins = NULL;
	const struct spd_policy *p;
	struct pinned *to;

	if (xfrmsock_fetch(n->x, &all, &pins, err) < 0)
		return -1;
	n->pin.pinned = calloc(pins->n_policies + 1, sizeof(*n->pin.pinned));
	for (size_t i = 0; n->pin.pinned && i < pins->n_policies; i++) {
		p = &pins->policies[i];
		if (!p->n_templates || p->dir == SPD_FWD)
			continue;
		to = &n->pin.pinned[n->pin.n_pinned++];
		*to = (struct pinned){ { .peer = { .family = p->sel.family }, .reqid = p->templates[0].reqid }, negotiate_now() / USEC + p->expires };
		memcpy(to->p.peer.b, p->dir == SPD_IN ? p->sel.src : p->sel.dst, sizeof(to->p.peer.b));
	}
	if (n->pin.pinned)
		pinned_sort(&n->pin);
	spd_free(all);
	spd_free(pins);
	return n->pin.pinned ? 0 : err_nomem(err);
}

int pin_open(struct negotiator *n, struct err *err)
{
	int fd = xfrmsock_watch_open(n->x, err), rc;

	if (fd < 0 || pinned_fetch(n, err) < 0)
		return -1;
	rc = sd_event_add_io(n->ev, &n->pin.io, fd, EPOLLIN, on_kernel, n);
	if (rc >= 0)
		rc = sd_event_add_time_relative(n->ev, &n->pin.look, CLOCK_BOOTTIME, 0, LOOK_SOON / 2, on_look, n);
	if (rc >= 0)
		rc = sd_event_add_time_relative(n->ev, &n->pin.spoiled, CLOCK_BOOTTIME, 0, USEC, on_spoiled, n);
	if (rc < 0)
		return err_set(err, ERR_SYSTEM, "event loop: %s", strerror(-rc));
	sd_event_source_set_enabled(n->pin.look, SD_EVENT_OFF);
	sd_event_source_set_enabled(n->pin.spoiled, SD_EVENT_OFF);
	return 0;
}

void pin_close(struct negotiator *n)
{
	sd_event_source_disable_unref(n->pin.io);
	sd_event_source_disable_unref(n->pin.look);
	sd_event_source_disable_unref(n->pin.spoiled);
	free(n->pin.index.policies);
	free(n->pin.lives);
	free(n->pin.pinned);
}
