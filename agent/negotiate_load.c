/* Charon's half of the negotiator: one round of commands after the other, one command at a time. */
#include "agent/negotiate_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "agent/conf.h"
#include "agent/vici.h"
#include "nft/protect.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/utf.h"

#define LOOK_SECONDS	15	/* whether somebody unloaded something: there is no event for that */
#define RETRY_SECONDS	180	/* what could not be loaded is tried again */
#define ROUND_BYTES	(256u << 20)

static bool anything_wanted(const struct negotiator *n)
{
	return n->want && n->want->ike->n_conns;
}

/* ---- a round ---- */

static void round_forget(struct load *l)
{
	arena_free(l->arena);
	host_certs_free(&l->certs);
	l->arena = NULL;
	l->listed_conns = l->listed_sas = l->listed_secrets = l->listed_keys = l->listed_cas = (struct names){ 0 };
	l->old_conns = l->old_sas = l->old_secrets = l->old_cas = l->restart = (struct names){ 0 };
	l->todo = l->todo_secrets = NULL;
	l->n_todo = l->n_todo_secrets = 0;
	l->have_certs = l->load_certs = l->old_key = false;
	l->sas = NULL;
	l->n_sas = 0;
	l->spis = (struct spis){ 0 };
}

static void timer_arm(struct negotiator *n)
{
	sd_event_source_set_time_relative(n->load.timer, LOOK_SECONDS * USEC);
	sd_event_source_set_enabled(n->load.timer, n->load.connected && anything_wanted(n) ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void round_end(struct negotiator *n, bool good)
{
	struct load *l = &n->load;

	round_forget(l);
	l->round = false;
	if (good) {
		l->done = true;
		l->fresh = false;
		l->lost = (struct err){ 0 };
	}
	timer_arm(n);
	negotiate_tell(n);
}

static void round_fail(struct negotiator *n, const struct err *why)
{
	n->load.lost = *why;
	round_end(n, false);
}

void load_begin(struct negotiator *n, bool light)
{
	struct load *l = &n->load;

	if (!l->connected)
		return;
	if (l->busy) {
		/* A look that is under way finds by itself what a further look would. */
		l->again |= !light;
		return;
	}
	round_forget(l);
	l->light = light && !l->fresh && l->done && !l->n_orphans;
	l->again = false;
	l->round = true;
	l->step = l->at = 0;
	l->n_changes = 0;
	l->arena = arena_new(ROUND_BYTES);
	if (!l->light)
		l->tried = negotiate_now() / USEC;
	for (size_t i = 0; i < n->n_conns; i++)
		n->conns[i].listed = false;
	if (l->arena)
		load_next(n);
	else
		round_fail(n, &(struct err){ ERR_NOMEM, "out of memory" });
}

static void on_each(const struct vici_node *message, const struct err *why, void *cookie)
{
	struct negotiator *n = cookie;
	const struct step *s = &load_steps[n->load.step];

	(void)why;
	if (message && s->heard && !n->load.again)
		s->heard(n, message);
}

static void on_done(const struct vici_node *reply, const struct err *why, void *cookie)
{
	struct negotiator *n = cookie;
	struct load *l = &n->load;
	const struct step *s = &load_steps[l->step];

	l->busy = false;
	if (!reply) {
		round_fail(n, why);
		return;
	}
	if (s->answered && (!l->again || s->always))
		s->answered(n, l->at, reply);
	if (l->again) {
		load_begin(n, false);
		return;
	}
	l->at++;
	load_next(n);
}

static void step_send(struct negotiator *n, const struct step *s)
{
	struct load *l = &n->load;
	struct vici_message *m = s->ask ? s->ask(n, l->at) : NULL;
	struct err err = { 0 };

	if (s->ask && !m)
		err_nomem(&err);
	else if (vici_loop_ask(l->vici, s->command, m, s->stream, s->stream ? on_each : NULL, on_done, n, &err) == 0)
		l->busy = true;
	if (!l->busy)
		round_fail(n, &err);
}

void load_next(struct negotiator *n)
{
	struct load *l = &n->load;
	const struct step *s;

	for (; l->step < load_n_steps; l->step++, l->at = 0) {
		s = &load_steps[l->step];
		if (s->act && s->act(n) < 0) {
			l->done = false;
			load_begin(n, false);
			return;
		}
		if (!s->act && l->at < (s->count ? s->count(n) : 1)) {
			step_send(n, s);
			return;
		}
	}
	round_end(n, true);
}

/* ---- when ---- */

static bool anything_failed(const struct negotiator *n)
{
	for (size_t i = 0; i < n->n_conns; i++)
		if (n->conns[i].condition == CONN_FAILED)
			return true;
	return n->load.creds.code != ERR_NONE;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct negotiator *n = cookie;

	(void)s, (void)usec;
	timer_arm(n);
	load_begin(n, !anything_failed(n) || negotiate_now() / USEC - n->load.tried < RETRY_SECONDS);
	return 0;
}

/* What a charon that went away had loaded is not to be relied on. */
static void forget_charon(struct negotiator *n)
{
	struct load *l = &n->load;

	l->fresh = true;
	l->n_orphans = 0;
	l->since = negotiate_now() / USEC;
	l->busy = l->done = l->again = l->certs_loaded = false;
	l->n_secrets = l->n_cas_loaded = 0;
	for (size_t i = 0; i < n->n_conns; i++)
		n->conns[i].condition = CONN_MISSING;
}

static void on_state(bool connected, const struct err *why, void *cookie)
{
	struct negotiator *n = cookie;
	struct load *l = &n->load;

	l->connected = connected;
	forget_charon(n);
	if (connected) {
		l->lost = (struct err){ 0 };
		load_begin(n, false);
		return;
	}
	l->daemon[0] = '\0';
	round_fail(n, why);
}

static void on_heard(const char *event, const struct vici_node *message, void *cookie)
{
	negotiate_heard(cookie, event, message);
}

/* ---- opening ---- */

static int path_take(char **to, const char *from, bool *changed, struct err *err)
{
	char *copy = from ? strdup(from) : NULL;

	if (from && !copy)
		return err_nomem(err);
	*changed |= !*to != !copy || (copy && strcmp(*to, copy));
	free(*to);
	*to = copy;
	return 0;
}

int load_conf(struct negotiator *n, const struct conf *c, struct err *err)
{
	struct load *l = &n->load;
	struct vici_loop *vici;
	bool moved = false, ignored = false;

	if (path_take(&l->path, c->vici, &moved, err) < 0 || path_take(&l->certificate, c->certificate, &ignored, err) < 0 ||
	    path_take(&l->key, c->private_key, &ignored, err) < 0 || path_take(&l->ca, c->ca, &ignored, err) < 0)
		return -1;
	if (!moved) {
		load_begin(n, false);
		return 0;
	}
	vici = vici_loop_open(n->ev, l->path, on_state, on_heard, n, err);
	if (!vici)
		return -1;
	vici_loop_close(l->vici);
	l->vici = vici;
	l->connected = l->round = false;
	forget_charon(n);
	round_forget(l);
	vici_loop_want(vici, anything_wanted(n));
	if (n->logging)
		negotiate_logging(n, true);
	return 0;
}

int load_open(struct negotiator *n, const struct conf *c, struct err *err)
{
	int rc = sd_event_add_time_relative(n->ev, &n->load.timer, CLOCK_BOOTTIME, LOOK_SECONDS * USEC, USEC, on_timer, n);

	if (rc < 0)
		return err_set(err, ERR_SYSTEM, "event loop: %s", strerror(-rc));
	sd_event_source_set_enabled(n->load.timer, SD_EVENT_OFF);
	return load_conf(n, c, err);
}

void load_close(struct negotiator *n)
{
	struct load *l = &n->load;

	vici_loop_close(l->vici);
	sd_event_source_disable_unref(l->timer);
	round_forget(l);
	if (l->secrets)
		explicit_bzero(l->secrets, l->n_secrets * sizeof(*l->secrets));
	free(l->secrets);
	free(l->path);
	free(l->certificate);
	free(l->key);
	free(l->ca);
}
