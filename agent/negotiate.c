#include "agent/negotiate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-event.h>

#include "agent/log.h"
#include "agent/negotiate_parts.h"
#include "agent/vici.h"
#include "nft/protect.h"

static size_t n_wanted(const struct negotiator *n)
{
	return n->want ? n->want->ike->n_conns : 0;
}

/* ---- state ---- */

const char *negotiate_state_name(enum negotiate_state s)
{
	static const char *const names[] = { "idle", "ready", "loading", "no-ike", "failed", "no-kernel" };

	return names[s];
}

static const struct protect_problem *closed_problem(const struct negotiator *n)
{
	for (size_t i = 0; n->want && i < n->want->n_problems; i++)
		if (n->want->problems[i].closed)
			return &n->want->problems[i];
	return NULL;
}

static void conns_count(const struct negotiator *n, struct negotiate_status *s)
{
	for (size_t i = 0; i < n->n_conns; i++) {
		s->n_loaded += n->conns[i].condition == CONN_LOADED;
		s->n_failed += n->conns[i].condition == CONN_FAILED;
		if (n->conns[i].condition == CONN_FAILED && s->why.code == ERR_NONE)
			err_set(&s->why, ERR_UNSUPPORTED, "rule '%s': %s", n->want->ike->conns[i].rule_name, n->conns[i].why);
	}
}

/* As far as charon and the kernel go. */
static enum negotiate_state loading_state(const struct negotiator *n, struct negotiate_status *s)
{
	const struct load *l = &n->load;

	if (!n->x)
		return n->want && n->want->n_filters ? NEGOTIATE_NO_KERNEL : NEGOTIATE_IDLE;
	if (!s->n_wanted)
		return NEGOTIATE_IDLE;
	if (!l->connected) {
		s->why = l->lost;
		return l->lost.code == ERR_NONE ? NEGOTIATE_LOADING : NEGOTIATE_NO_IKE;
	}
	if (l->creds.code != ERR_NONE || l->lost.code != ERR_NONE)
		s->why = l->creds.code != ERR_NONE ? l->creds : l->lost;
	if (l->done || l->lost.code != ERR_NONE)
		return s->why.code != ERR_NONE ? NEGOTIATE_FAILED : s->n_loaded == s->n_wanted ? NEGOTIATE_READY : NEGOTIATE_LOADING;
	s->why = (struct err){ 0 };
	return NEGOTIATE_LOADING;
}

void negotiate_loading(const struct negotiator *n, struct negotiate_status *ret)
{
	*ret = (struct negotiate_status){ .n_wanted = n_wanted(n), .n_filters = n->want ? n->want->n_filters : 0 };
	conns_count(n, ret);
	ret->state = loading_state(n, ret);
	if (ret->state == NEGOTIATE_NO_KERNEL)
		err_set(&ret->why, ERR_UNSUPPORTED, "this kernel has no IPsec (NETLINK_XFRM, module xfrm_user)");
	snprintf(ret->daemon, sizeof(ret->daemon), "%s", n->load.daemon);
}

void negotiate_status(const struct negotiator *n, struct negotiate_status *ret)
{
	const struct protect_problem *p;

	if (!n) {
		*ret = (struct negotiate_status){ .state = NEGOTIATE_IDLE };
		return;
	}
	negotiate_loading(n, ret);
	ret->n_pinned = n->x ? pin_count(n) : 0;
	p = closed_problem(n);
	if (p && (ret->state == NEGOTIATE_READY || ret->state == NEGOTIATE_IDLE)) {
		ret->state = NEGOTIATE_FAILED;
		err_set(&ret->why, ERR_UNSUPPORTED, "rule '%s': %s", p->rule_name, p->text);
	}
}

void negotiate_logging(struct negotiator *n, bool on)
{
	struct err err;

	if (!n)
		return;
	n->logging = on;
	if (on && n->load.vici && (vici_loop_register(n->load.vici, "ike-updown", &err) < 0 || vici_loop_register(n->load.vici, "child-updown", &err) < 0))
		log_warn("ikelogging: %s", err.msg);
}

/* ---- what is wanted ---- */

static bool want_same(const struct protect *a, const struct protect *b)
{
	if (!a || !b)
		return a == b;
	return ike_diff(a->ike, b->ike, NULL) == 0 && a->ike->needs_certificate == b->ike->needs_certificate;
}

/* What is known of connections that stay. */
static struct conn_state *conns_make(const struct negotiator *n, const struct protect *p)
{
	const size_t n_conns = p ? p->ike->n_conns : 0;
	struct conn_state *all = calloc(n_conns + 1, sizeof(*all));
	const struct ike_conn *before;

	for (size_t i = 0; all && n->want && i < n_conns; i++) {
		before = ike_find(n->want->ike, p->ike->conns[i].name);
		if (before)
			all[i] = n->conns[before - n->want->ike->conns];
	}
	return all;
}

void negotiate_want(struct negotiator *n, struct protect *p)
{
	const bool same = want_same(n->want, p);
	struct conn_state *conns = conns_make(n, p);
	struct protect *before = n->want;

	if (!conns) {
		log_event(LOG_ERR, "ike-failed", NULL, "no memory for what is to be negotiated: charon keeps what it has");
		protect_free(p);
		return;
	}
	free(n->conns);
	n->want = p;
	n->conns = conns;
	n->n_conns = n_wanted(n);
	pin_want(n);
	negotiate_tell_problems(p, before);
	protect_free(before);
	if (n->load.vici)
		vici_loop_want(n->load.vici, n_wanted(n) != 0);
	if (same)
		return;
	n->load.done = false;
	load_begin(n, false);
	negotiate_tell(n);
}

const struct protect *negotiate_wanted(const struct negotiator *n)
{
	return n ? n->want : NULL;
}

void negotiate_end(struct negotiator *n)
{
	struct err err;

	if (!n || !n->load.vici)
		return;
	vici_loop_close(n->load.vici);
	n->load.vici = NULL;
	n->load.connected = n->load.busy = false;
	negotiate_want(n, NULL);
	if (negotiate_unload(n->load.path, n->load.key_ours ? n->load.key_id : "", &err) < 0)
		log_warn("charon may keep connections of this service: %s", err.msg);
}

/* ---- opening and closing ---- */

struct negotiator *negotiate_open(struct sd_event *ev, const struct conf *c, struct xfrmsock *x, negotiate_changed *changed,
    negotiate_changed *spoiled, void *cookie, struct err *err)
{
	struct negotiator *n = calloc(1, sizeof(*n));

	if (!n) {
		err_nomem(err);
		return NULL;
	}
	n->ev = ev;
	n->x = x;
	n->changed = changed;
	n->spoiled = spoiled;
	n->cookie = cookie;
	if (x && (load_open(n, c, err) < 0 || pin_open(n, err) < 0)) {
		negotiate_close(n);
		return NULL;
	}
	return n;
}

void negotiate_conf(struct negotiator *n, const struct conf *c)
{
	struct err err;

	if (n && n->x && load_conf(n, c, &err) < 0)
		log_event(LOG_ERR, "ike-failed", NULL, "the configuration of IKE stays as it was: %s", err.msg);
}

void negotiate_close(struct negotiator *n)
{
	if (!n)
		return;
	load_close(n);
	pin_close(n);
	protect_free(n->want);
	free(n->conns);
	free(n);
}
