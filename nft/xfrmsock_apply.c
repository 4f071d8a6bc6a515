/* From what the kernel holds to what is wanted: the way down and the way up. */
#include "nft/xfrmsock_parts.h"

#include <stdlib.h>

#include "schema/arena.h"
#include "schema/err.h"

#define MAX_COMMITS	2

struct plan {
	struct arena		*arena;
	struct xfrm_held	 held;
	struct xfrm_change	*all;
	size_t			 n;
	bool			 failed;
	FILE			*log;
};

static int plan_begin(struct plan *p, struct xfrmsock *x, FILE *log, struct err *err)
{
	*p = (struct plan){ .arena = arena_new(0), .log = log };
	if (!p->arena)
		return err_nomem(err);
	return xfrmsock_look(x, &p->held, err);
}

static void plan_end(struct plan *p)
{
	xfrm_held_free(&p->held);
	arena_free(p->arena);
}

static void line_log(struct plan *p, char sign, const struct spd_policy *policy)
{
	if (!p->log || !policy)
		return;
	fprintf(p->log, "%c ", sign);
	spd_policy_write(policy, p->log);
	putc('\n', p->log);
}

static void plan_add(struct plan *p, const struct spd_policy *want, const struct spd_policy *have)
{
	struct xfrm_change *all = arena_grow(p->arena, p->all, p->n, sizeof(*all));

	if (!all) {
		p->failed = true;
		return;
	}
	line_log(p, '-', have);
	line_log(p, '+', want);
	p->all = all;
	all[p->n++] = (struct xfrm_change){ .p = want ? want : have, .remove = !want, .is_new = !have };
}

/* What is removed goes least specific first, what is put in comes most specific first. */
static int change_cmp(const void *a, const void *b)
{
	const struct xfrm_change *x = a, *y = b;
	const int d = x->p->priority < y->p->priority ? -1 : x->p->priority > y->p->priority;

	if (d)
		return x->remove ? -d : d;
	return spd_selector_cmp(x->p, y->p);
}

static int plan_send(struct plan *p, struct xfrmsock *x, struct err *err)
{
	struct err late;
	int rc;

	if (p->failed)
		return err_nomem(err);
	qsort(p->all, p->n, sizeof(*p->all), change_cmp);
	if (xfrmsock_watch_pause(x, true, err) < 0)
		return -1;
	rc = xfrmsock_send(x, p->all, p->n, err);
	/* What failed first is what is told. */
	if (xfrmsock_watch_pause(x, false, rc < 0 ? &late : err) < 0)
		rc = -1;
	return rc;
}

static const struct xfrm_change *first_refused(const struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->all[i].error)
			return &p->all[i];
	return NULL;
}

/* ---- the way down ---- */

static int removed_see(const struct spd_policy *want, const struct spd_policy *have, void *cookie)
{
	if (!want)
		plan_add(cookie, NULL, have);
	return 0;
}

/* All but altered ones: nobody wanted them so. */
static int put_back(struct plan *p, struct xfrmsock *x, struct err *err)
{
	struct plan back = { .arena = p->arena };
	const struct xfrm_change *refused;

	for (size_t i = 0; i < p->n; i++)
		if (p->all[i].done && !p->all[i].altered)
			plan_add(&back, p->all[i].p, NULL);
	if (!back.n && !back.failed)
		return 0;
	if (plan_send(&back, x, err) != 0)
		return -1;
	refused = first_refused(&back);
	return refused ? xfrmsock_refused(x, refused, err) : 0;
}

/* 1: look again. */
static int retract_once(struct xfrmsock *x, const struct spd *want, struct spd_report *rep, FILE *log, struct err *err)
{
	const struct xfrm_change *refused;
	struct err late;
	struct plan p;
	int rc = -1;

	if (plan_begin(&p, x, log, err) < 0)
		goto out;
	spd_walk(want, p.held.policies, removed_see, &p);
	for (size_t i = 0; i < p.held.pins->n_policies; i++)
		if (!spd_pin_parent(want, &p.held.pins->policies[i]))
			plan_add(&p, NULL, &p.held.pins->policies[i]);
	for (size_t i = 0; i < p.held.altered->n_policies; i++) {
		plan_add(&p, NULL, &p.held.altered->policies[i]);
		if (!p.failed)
			p.all[p.n - 1].altered = true;
	}
	rc = p.n || p.failed ? plan_send(&p, x, err) : 0;
	refused = first_refused(&p);
	if (rc >= 0 && refused)
		rc = xfrmsock_refused(x, refused, err);
	if (rc < 0 && put_back(&p, x, &late) < 0)
		err_prefix(err, "some IPsec policies are gone already and cannot be put back");
	if (rc >= 0)
		rep->n_removed += p.n;
out:
	plan_end(&p);
	return rc;
}

int xfrmsock_retract(struct xfrmsock *x, const struct spd *want, struct spd_report *rep, FILE *log, struct err *err)
{
	int rc = 1;

	for (int i = 0; rc > 0 && i < MAX_COMMITS; i++)
		rc = retract_once(x, want, rep, i ? NULL : log, err);
	return rc > 0 ? err_set(err, ERR_SYSTEM, "cannot remove IPsec policies: the kernel's answers were lost") : rc;
}

/* ---- the way up ---- */

static int missing_see(const struct spd_policy *want, const struct spd_policy *have, void *cookie)
{
	if (want)
		plan_add(cookie, want, have);
	return 0;
}

/* A pin does what its policy does, but always, and comes right before it. */
static void pin_follow(struct plan *p, const struct spd_policy *pin, const struct spd_policy *parent)
{
	struct spd_policy wanted = *parent, *kept;

	wanted.sel = pin->sel;
	wanted.expires = pin->expires;
	if (wanted.priority > SPD_PRIORITY_MIN)
		wanted.priority--;
	for (unsigned i = 0; i < wanted.n_templates; i++)
		wanted.templates[i].required = true;
	if (spd_policy_equal(&wanted, pin))
		return;
	kept = arena_memdup(p->arena, &wanted, sizeof(wanted));
	if (kept)
		plan_add(p, kept, pin);
	else
		p->failed = true;
}

static void plan_install(struct plan *p, const struct spd *want)
{
	const struct spd_policy *parent;

	spd_walk(want, p->held.policies, missing_see, p);
	for (size_t i = 0; i < p->held.pins->n_policies; i++) {
		parent = spd_pin_parent(want, &p->held.pins->policies[i]);
		if (parent)
			pin_follow(p, &p->held.pins->policies[i], parent);
	}
}

static int foreign_check(const struct spd *want, const struct spd *foreign, struct err *err)
{
	const struct spd_policy *f;

	for (size_t i = 0; i < want->n_policies; i++) {
		f = foreign->n_policies ? spd_find(foreign, &want->policies[i]) : NULL;
		if (f && f->priority <= want->policies[i].priority) {
			err_set(err, ERR_BUSY, "somebody else's of priority %u for the same traffic comes before it (see 'ip xfrm policy')", f->priority);
			return xfrmsock_name("", &want->policies[i], err);
		}
	}
	return 0;
}

static void count(const struct plan *p, struct spd_report *rep)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->all[i].done) {
			rep->n_added += p->all[i].is_new;
			rep->n_changed += !p->all[i].is_new;
		}
}

/* One look, and the changes if there are any.  0: all is as wanted; 1: look again. */
static int install_once(struct xfrmsock *x, const struct spd *want, struct spd_report *rep, FILE *log, bool last, struct err *err)
{
	const struct xfrm_change *refused;
	struct plan p;
	int rc = -1;

	if (plan_begin(&p, x, log, err) < 0)
		goto out;
	plan_install(&p, want);
	if (p.failed) {
		err_nomem(err);
	} else if (!p.n) {
		rc = foreign_check(want, p.held.foreign, err);
	} else if (last) {
		err_set(err, ERR_KERNEL, "it is not in the kernel after it was put there");
		xfrmsock_name("", p.all[0].p, err);
	} else if (plan_send(&p, x, err) >= 0) {
		refused = first_refused(&p);
		rc = refused ? xfrmsock_refused(x, refused, err) : 1;
		count(&p, rep);
	}
out:
	plan_end(&p);
	return rc;
}

int xfrmsock_install(struct xfrmsock *x, const struct spd *want, struct spd_report *rep, FILE *log, struct err *err)
{
	int rc = 1;

	for (size_t i = 0; i < want->n_policies; i++)
		if (want->policies[i].expires) {
			err_set(err, ERR_FORMAT, "a pin is not installed with the others");
			return xfrmsock_name("", &want->policies[i], err);
		}
	for (int i = 0; rc > 0; i++)
		rc = install_once(x, want, rep, i ? NULL : log, i == MAX_COMMITS, err);
	return rc;
}
