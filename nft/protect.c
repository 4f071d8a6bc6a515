#include "nft/protect.h"

#include <stdlib.h>
#include <string.h>

#include "nft/protect_parts.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"

bool kind_negotiates(enum act_kind k)
{
	return k != ACT_PERMIT && k != ACT_BLOCK;
}

int rule_prefix(struct err *err, const struct ipsec_rule *rule)
{
	char id[GUID_TEXT];

	guid_text(&rule->id, id);
	return err_prefix(err, "rule %s '%s'", id, rule->name);
}

/* ---- what becomes of each filter ---- */

static const struct side *own_side(const struct specific *f)
{
	return f->hook == ACT_IN ? &f->dst : &f->src;
}

static bool side_has_own(const struct work *w, const struct specific *f, const struct side *s)
{
	const int v = family_index(f->family);
	struct extent e;

	if (s->me || s->any)
		return w->n_own[v] > 0;
	extent_side(&e, f->family, s);
	for (size_t i = 0; i < w->n_own[v]; i++)
		if (extent_has(&e, w->own[v][i].b))
			return true;
	return false;
}

static int tunnel_fate(struct work *w, struct fated *ret, const struct specific *f, struct err *err)
{
	const int v = family_index(f->family);

	/* Net to net, it stands also where only its other half's packets come by. */
	if (f->hook == (half_inbound(w, f) ? ACT_OUT : ACT_IN))
		return 0;
	if (half_child(&ret->child, w, f, w->n_own[v] ? &w->own[v][0] : NULL, err) < 0)
		return -1;
	ret->fate = ret->child ? FATE_PROTECT : FATE_CLOSED;
	return 0;
}

static int filter_fate(struct work *w, struct fated *ret, const struct specific *f, struct err *err)
{
	struct use *u;

	if (!f->tunnel && f->hook == ACT_FORWARD && !kind_negotiates(f->kind))
		return 0;
	if (f->hook != ACT_FORWARD && !side_has_own(w, f, own_side(f)))
		return 0;
	if (!kind_negotiates(f->kind)) {
		/* To drop more than is blocked is not for the kernel's policies, which know no connection types. */
		if (f->kind == ACT_PERMIT || f->conntype == IPSEC_CONN_ALL)
			ret->fate = FATE_CLEAR;
		return 0;
	}
	if (!f->tunnel && f->hook == ACT_FORWARD && (side_has_own(w, f, &f->src) || side_has_own(w, f, &f->dst)))
		return 0;
	u = rule_use(w, f->written->from, f->written->rule);
	if (!u)
		return err_nomem(err);
	if (f->tunnel)
		return tunnel_fate(w, ret, f, err);
	if (f->hook == ACT_FORWARD) {
		use_problem(u, PROTECT_FORWARD, f->kind != ACT_REQUEST_PASS, f->written->filter,
		    "forwarded packets cannot be protected without a tunnel");
		return 0;
	}
	if ((u->usable || u->ah_esp) && child_transport(&ret->child, w, u, f, err) < 0)
		return -1;
	ret->fate = ret->child ? FATE_PROTECT : FATE_CLOSED;
	return 0;
}

static int filters_protect(struct work *w, struct err *err)
{
	size_t end;

	for (size_t i = 0; i < w->x.n_order; i++)
		if (filter_fate(w, &w->fates[i], unfold_at(&w->x, i), err) < 0)
			return -1;
	for (size_t i = 0; i < w->x.n_order; i = end) {
		const struct specific *f = unfold_at(&w->x, i), *g;

		for (end = i; end < w->x.n_order && (g = unfold_at(&w->x, end))->hook == f->hook && g->family == f->family; end++)
			;
		if (block_policies(w, i, end, err) < 0)
			return -1;
	}
	return 0;
}

static int responses_add(struct work *w, struct err *err)
{
	for (size_t i = 0; i < w->n_sources; i++)
		for (size_t k = 0; k < w->sources[i].policy->n_rules; k++) {
			const struct ipsec_rule *r = &w->sources[i].policy->rules[k];
			struct use *u;

			if (!r->active || !r->default_response || r->negpol->action != IPSEC_NEGOTIATE)
				continue;
			u = rule_use(w, &w->sources[i], r);
			if (!u)
				return err_nomem(err);
			for (int v = 0; u->usable && v < (w->o->render.any_is_ipv4 ? 1 : 2); v++)
				if (w->n_own[v] && child_response(w, u, v ? AF_INET6 : AF_INET, err) < 0)
					return -1;
		}
	return 0;
}

/* ---- problems ---- */

static int problem_add(struct protect *p, const struct use *u, int why)
{
	struct protect_problem *all = arena_grow(p->arena, p->problems, p->n_problems, sizeof(*all)), *new;

	if (!all)
		return -1;
	p->problems = all;
	new = &all[p->n_problems];
	*new = (struct protect_problem){ .why = (enum protect_why)why, .closed = u->problems[why].closed,
		.origin = { .filter = u->problems[why].filter, .rule = u->rule->id, .gpo = u->from->gpo,
			.store = (uint8_t)u->from->store } };
	new->rule_name = arena_strdup(p->arena, *u->rule->name || !u->rule->filter_list ? u->rule->name : u->rule->filter_list->name);
	new->text = arena_strdup(p->arena, u->problems[why].text);
	if (!new->rule_name || !new->text)
		return -1;
	p->n_problems++;
	return 0;
}

static int problems_make(struct work *w, struct err *err)
{
	for (size_t i = 0; i < w->n_sources; i++)
		for (size_t k = 0; k < w->sources[i].policy->n_rules; k++)
			for (int why = 0; w->uses[i][k] && why < N_WHYS; why++)
				if (w->uses[i][k]->problems[why].text && problem_add(w->p, w->uses[i][k], why) < 0)
					return err_nomem(err);
	return 0;
}

/* ---- all of it ---- */

void protect_free(struct protect *p)
{
	if (!p)
		return;
	spd_free(p->spd);
	ike_free(p->ike);
	arena_free(p->arena);
}

static struct protect *protect_new(void)
{
	struct arena *a = arena_new(0);
	struct protect *p = a ? arena_zalloc(a, 1, sizeof(*p)) : NULL;

	if (!p) {
		arena_free(a);
		return NULL;
	}
	p->arena = a;
	p->spd = spd_new();
	p->ike = ike_new();
	if (p->spd && p->ike)
		return p;
	protect_free(p);
	return NULL;
}

static void work_free(struct work *w)
{
	/* Their bytes hold keys. */
	for (size_t i = 0; i < w->auth_tally.size; i++)
		if (w->auth_tally.slots[i].key)
			explicit_bzero((void *)(uintptr_t)w->auth_tally.slots[i].key, w->auth_tally.slots[i].len);
	tally_free(&w->auth_tally);
	tally_free(&w->secret_tally);
	tally_free(&w->child_tally);
	tally_free(&w->alike_tally);
	tally_free(&w->reqid_tally);
	tally_free(&w->half_tally);
	ruleset_free(w->x.r);
	unfold_free(&w->x);
	free(w->fates);
	arena_free(w->arena);
}

/* Own addresses are sorted: IPv4 first. */
static void own_find(struct work *w)
{
	const struct host_facts *f = w->facts;

	for (size_t i = 0; i < f->n_addrs[FACT_ADDRESS]; i++) {
		const int v = family_index(f->addrs[FACT_ADDRESS][i].family);

		if (!w->n_own[v]++)
			w->own[v] = &f->addrs[FACT_ADDRESS][i];
	}
}

static int work_begin(struct work *w, struct err *err)
{
	w->arena = arena_new(0);
	w->x.r = ruleset_new();
	if (!w->arena || !w->x.r)
		return err_nomem(err);
	w->uses = arena_zalloc(w->arena, w->n_sources + 1, sizeof(*w->uses));
	w->mains = arena_zalloc(w->arena, w->n_sources + 1, sizeof(*w->mains));
	if (!w->uses || !w->mains)
		return err_nomem(err);
	for (size_t i = 0; i < w->n_sources; i++) {
		w->uses[i] = arena_zalloc(w->arena, w->sources[i].policy->n_rules + 1, sizeof(**w->uses));
		if (!w->uses[i])
			return err_nomem(err);
	}
	own_find(w);
	return 0;
}

static bool something_negotiates(const struct work *w)
{
	for (size_t i = 0; i < w->n_sources; i++)
		for (size_t k = 0; k < w->sources[i].policy->n_rules; k++) {
			const struct ipsec_rule *r = &w->sources[i].policy->rules[k];

			if (r->active && (r->tunnel || r->negpol->action == IPSEC_NEGOTIATE))
				return true;
		}
	return false;
}

static int work_do(struct work *w, struct err *err)
{
	for (size_t i = 0; i < w->n_sources; i++)
		if (source_unfold(&w->x, &w->sources[i], err) < 0)
			return -1;
	if (unfold_sort(&w->x, err) < 0)
		return -1;
	w->fates = calloc(w->x.n_order + 1, sizeof(*w->fates));
	if (!w->fates)
		return err_nomem(err);
	if (halves_pair(w, err) < 0 || filters_protect(w, err) < 0 || responses_add(w, err) < 0 || conns_make(w, err) < 0)
		return -1;
	return problems_make(w, err);
}

int protect_render(struct protect **ret, const struct render_source *sources, size_t n_sources, const struct host_facts *facts,
    const struct protect_options *o, struct err *err)
{
	static const struct host_facts nothing_known;
	struct work w = { .p = protect_new(), .sources = sources, .n_sources = n_sources, .facts = facts ? facts : &nothing_known,
		.o = o };
	int rc = -1;

	w.x.facts = w.facts;
	w.x.o = &o->render;
	if (!w.p || work_begin(&w, err) < 0) {
		err_nomem(err);
		goto out;
	}
	/* Most policies only permit and block: they cost nothing here. */
	if (w.n_own[0] + w.n_own[1] && something_negotiates(&w) && work_do(&w, err) < 0)
		goto out;
	if (spd_seal(w.p->spd, err) < 0 || ike_seal(w.p->ike, err) < 0)
		goto out;
	*ret = w.p;
	w.p = NULL;
	rc = 0;
out:
	work_free(&w);
	protect_free(w.p);
	return rc;
}
