#include "agent/refresh.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/bootimage.h"
#include "agent/conf.h"
#include "agent/protection.h"
#include "agent/refresh_parts.h"
#include "agent/sources.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/facts.h"
#include "schema/policy.h"
#include "schema/utf.h"

const char *refresh_outcome_name(enum refresh_outcome o)
{
	static const char *const names[] = { "applied", "unchanged", "none", "kept" };

	return names[o];
}

/* Microseconds since *mark, which moves on. */
static int64_t lap(int64_t *mark)
{
	struct timespec ts;
	int64_t now, spent;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	spent = now - *mark;
	*mark = now;
	return spent;
}

/* ---- rendering and enforcing ---- */

/* protection: what goes with it, or NULL. */
static int render(struct ruleset **ret, struct protection *protection, const struct conf *conf, const struct sources *sources, const struct host_facts *found, const struct gen_part *parts, size_t n_parts, const struct ipsec_policy *domain, struct err *err)
{
	const char *gpo = part_text(parts, n_parts, "gpo"), *name = part_text(parts, n_parts, "gpo-name");
	struct host_facts *facts = NULL;
	struct ruleset *r = NULL;
	int rc;

	if (refresh_facts(&facts, found, parts, n_parts, err) < 0)
		return -1;
	rc = sources_render(&r, sources, conf, domain, gpo, name, facts, err);
	if (rc == 0 && protection)
		rc = protection_render(protection, sources, conf, domain, gpo, name, facts, err);
	facts_free(facts);
	if (rc == 0)
		*ret = r;
	else
		ruleset_free(r);
	return rc;
}

int refresh_render(struct ruleset **ret, struct protection *protection, const struct conf *conf, const struct sources *sources, const struct host_facts *found, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	const struct gen_part *text = part_find(parts, n_parts, "policy");
	struct ipsec_policy *p = NULL;
	int rc;

	if (text && policy_read(&p, text->text, text->len, err) < 0)
		return err_prefix(err, "policy text");
	rc = render(ret, protection, conf, sources, found, parts, n_parts, p, err);
	policy_free(p);
	return rc;
}

static void name_text(char *out, size_t size, const char *name, const char *id)
{
	if (*name)
		snprintf(out, size, "'%.64s' %s", name, id);
	else
		snprintf(out, size, "%s", id);
	utf8_clean(out, "");
}

static bool is_required(const struct ipsec_rule *r)
{
	return r->negpol && (r->negpol->action == IPSEC_NEGOTIATE ? r->tunnel || !r->negpol->soft :
	    r->negpol->action == IPSEC_PERMIT && r->tunnel);
}

void policy_measure(struct policy_size *ret, const struct ipsec_policy *p)
{
	*ret = (struct policy_size){ .n_rules = p->n_rules };
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)sizeof(ret->name) - 1, p->name);
	utf8_clean(ret->name, "");
	guid_text(&p->id, ret->id);
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct ipsec_rule *r = &p->rules[i];

		if (!r->active || !r->filter_list)
			continue;
		ret->n_filters += r->filter_list->n_filters;
		ret->n_required += is_required(r) ? r->filter_list->n_filters : 0;
	}
}

/* Of the domain's policy, else of the local one, else of the persistent one. */
static void report_names(struct refresh_report *r, const struct sources *s, const struct ipsec_policy *domain, const struct gen_part *parts, size_t n)
{
	const struct ipsec_policy *p = domain ? domain : s->local ? s->local : s->persistent;
	char id[GUID_TEXT];

	r->in_force = domain ? FORCE_DOMAIN : s->local ? FORCE_LOCAL : sources_any(s, false) ? FORCE_OTHER : FORCE_NOTHING;
	r->policy[0] = r->gpo[0] = '\0';
	r->polling_seconds = domain ? domain->polling_seconds : 0;
	if (p) {
		guid_text(&p->id, id);
		name_text(r->policy, sizeof(r->policy), p->name, id);
	}
	r->domain = (struct policy_size){ .id = "" };
	if (domain) {
		policy_measure(&r->domain, domain);
		name_text(r->gpo, sizeof(r->gpo), part_text(parts, n, "gpo-name"), part_text(parts, n, "gpo"));
	}
}

void refresh_forget(struct refresh_held *h)
{
	arena_free(h->arena);
	ruleset_free(h->ruleset);
	*h = (struct refresh_held){ 0 };
}

static int hold(struct refresh_held *h, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	static const char *const names[] = { "policy", "gpo", "gpo-name", "facts" };
	struct refresh_held new = { .arena = arena_new(0) };

	for (size_t i = 0; new.arena && i < sizeof(names) / sizeof(names[0]); i++) {
		const struct gen_part *p = part_find(parts, n_parts, names[i]);
		struct gen_part *q = &new.parts[new.n_parts];

		if (!p)
			continue;
		*q = (struct gen_part){ names[i], arena_strndup(new.arena, p->text, p->len), p->len };
		new.n_parts++;
		if (!q->text) {
			refresh_forget(&new);
			break;
		}
	}
	if (!new.arena)
		return err_nomem(err);
	new.ruleset = h->ruleset;
	h->ruleset = NULL;
	refresh_forget(h);
	*h = new;
	return 0;
}

/* Diagnostics want to know which filter dropped a packet; without them it is a waste. */
static void hold_ruleset(const struct refresh_context *c, struct ruleset *want)
{
	struct render_options o;

	sources_options(&o, c->sources, c->conf);
	if (!c->held) {
		ruleset_free(want);
		return;
	}
	ruleset_free(c->held->ruleset);
	c->held->ruleset = o.diagnostics ? want : NULL;
	if (!o.diagnostics)
		ruleset_free(want);
}

/* want NULL: no table. */
static int commit(struct refresh_report *r, const struct refresh_context *c, const struct ruleset *want, struct err *err)
{
	int rc;

	if (c->protection && protection_down(c->protection, c->log, err) < 0)
		return -1;
	rc = nlsock_apply(c->nl, want, &r->kernel, c->log, err);
	if (c->protection && rc == 0)
		protection_up(c->protection, c->log);
	else if (c->protection)
		protection_back(c->protection);
	return rc;
}

/* parts stays what is held when it is that already.  *domain goes when it has been rendered: nothing of it is needed while the
 * kernel takes the rules, and with a large one that is much. */
static int enforce(struct refresh_report *r, const struct refresh_context *c, const struct gen_part *parts, size_t n_parts, struct ipsec_policy **domain, struct err *err)
{
	struct ruleset *want = NULL;
	int64_t mark = 0;

	lap(&mark);
	if (render(&want, c->protection, c->conf, c->sources, c->found, parts, n_parts, *domain, err) < 0)
		return -1;
	report_names(r, c->sources, *domain, parts, n_parts);
	policy_free(*domain);
	*domain = NULL;
	r->us_render = lap(&mark);
	if (commit(r, c, want, err) < 0) {
		ruleset_free(want);
		return -1;
	}
	if (c->held && parts != c->held->parts && hold(c->held, parts, n_parts, err) < 0) {
		ruleset_free(want);
		return err_prefix(err, "committed, but it cannot be kept in memory");
	}
	r->us_kernel = lap(&mark);
	hold_ruleset(c, want);
	return 0;
}

/* ---- the cache ---- */

/* The boot image follows the store; looked at each time, because one that could not be
 * written must be written later. */
static void update_image(struct refresh_report *r, const struct refresh_context *c, const struct gen_part *parts, size_t n)
{
	bootimage_update(c->conf, c->stored, parts, n, &r->uncached);
}

/* Into store and image, unless they hold it already. */
static void cache_parts(struct refresh_report *r, const struct refresh_context *c, const struct generation *old, struct generation *new)
{
	r->outcome = r->kernel.n_changes ? REFRESH_APPLIED : REFRESH_UNCHANGED;
	if (old->number && r->n_damaged == 0 && same_generation(old, new->parts, new->n_parts)) {
		r->generation = old->number;
		r->taken = old->taken;
		update_image(r, c, old->parts, old->n_parts);
	} else if (generation_put(c->store, new, &r->uncached) == 0) {
		r->generation = new->number;
		r->taken = new->taken;
		r->outcome = REFRESH_APPLIED;
		update_image(r, c, new->parts, new->n_parts);
	}
}

static int apply_assigned(struct refresh_report *r, const struct refresh_context *c, struct arena *a, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	const struct gen_part *text = part_find(parts, n_parts, "policy");
	struct generation old = { 0 }, new = { .taken = time(NULL) };
	struct ipsec_policy *p = NULL;
	struct err unreadable;
	int64_t mark = 0;
	int rc = -1;

	if (generation_load(c->store, &old, &r->n_damaged, a, &unreadable) != 1)
		old = (struct generation){ 0 };
	if (pick_parts(&new.parts, &new.n_parts, a, parts, n_parts, &old, err) < 0)
		return -1;
	if (policy_read(&p, text->text, text->len, err) < 0) {
		err_prefix(err, "policy text");
	} else if (enforce(r, c, new.parts, new.n_parts, &p, err) == 0) {
		lap(&mark);
		cache_parts(r, c, &old, &new);
		r->us_cache = lap(&mark);
		rc = 0;
	}
	policy_free(p);
	return rc;
}

/* Nothing of the domain; the domain controllers that answered stay known, for the lifeline of
 * what else is in force. */
static int apply_none(struct refresh_report *r, const struct refresh_context *c, struct arena *a, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	struct generation old = { 0 };
	struct gen_part *new = arena_zalloc(a, 2, sizeof(*new));
	const struct gen_part *facts;
	struct gen_part *picked = NULL;
	struct ipsec_policy *none = NULL;
	size_t n = 0, n_picked = 0;

	if (!new)
		return err_nomem(err);
	if (c->held) {
		old.parts = c->held->parts;
		old.n_parts = c->held->n_parts;
	}
	if (pick_parts(&picked, &n_picked, a, parts, n_parts, &old, err) < 0)
		return -1;
	facts = part_find(picked, n_picked, "facts");
	if (facts)
		new[n++] = *facts;
	if (enforce(r, c, new, n, &none, err) < 0)
		return -1;
	r->outcome = REFRESH_NONE;
	new[n++] = (struct gen_part){ "assignment", "none", 4 };
	if (generation_drop(c->store, &r->uncached) == 0)
		update_image(r, c, new, n);
	return 0;
}

static int apply_kept(struct refresh_report *r, const struct refresh_context *c, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	struct render_options o;
	struct host_facts *facts = NULL;
	struct ruleset *want = NULL;
	int rc = -1;

	r->outcome = REFRESH_KEPT;
	if (!err_read(&r->kept, part_text(parts, n_parts, "refused")))
		err_set(&r->kept, ERR_FORMAT, "the policy cannot be used, and the worker does not say why");
	if (!c->conf->block_on_unreadable)
		return 0;
	sources_options(&o, c->sources, c->conf);
	if (refresh_facts(&facts, c->found, parts, n_parts, err) == 0 &&
	    block_render(&want, r->kept.msg, facts, &o, err) == 0) {
		if (c->protection)
			protection_none(c->protection);
		rc = commit(r, c, want, err);
	}
	ruleset_free(want);
	facts_free(facts);
	return rc;
}

int refresh_apply(struct refresh_report *ret, const struct refresh_context *c, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	const char *assignment = part_text(parts, n_parts, "assignment");
	struct refresh_report r = { 0 };
	struct arena *a = arena_new(0);
	int rc;

	if (!a)
		return err_nomem(err);
	if (!strcmp(assignment, "none"))
		rc = apply_none(&r, c, a, parts, n_parts, err);
	else if (!strcmp(assignment, "assigned") && part_find(parts, n_parts, "policy"))
		rc = apply_assigned(&r, c, a, parts, n_parts, err);
	else if (!strcmp(assignment, "assigned") || !strcmp(assignment, "unknown"))
		rc = apply_kept(&r, c, parts, n_parts, err);
	else
		rc = err_set(err, ERR_FORMAT, "the result says neither assigned, none nor unknown");
	arena_free(a);
	if (rc == 0)
		*ret = r;
	return rc;
}

/* Parts of a generation into the kernel. */
static int restore_parts(struct refresh_report *r, const struct refresh_context *c, const struct generation *g, struct err *err)
{
	const struct gen_part *text = generation_part(g, "policy");
	struct ipsec_policy *p = NULL;
	int rc = -1;

	if (!text)
		return err_set(err, ERR_DAMAGED, "generation %llu: no policy in it", (unsigned long long)g->number);
	if (policy_read(&p, text->text, text->len, err) < 0) {
		err->code = ERR_DAMAGED;
		err_prefix(err, "generation %llu: policy text", (unsigned long long)g->number);
	} else if (enforce(r, c, g->parts, g->n_parts, &p, err) == 0) {
		r->generation = g->number;
		r->taken = g->taken;
		r->outcome = r->kernel.n_changes ? REFRESH_APPLIED : REFRESH_UNCHANGED;
		rc = 0;
	}
	policy_free(p);
	return rc;
}

/* Without a policy of the domain.  known: the directory has said so. */
static int restore_none(struct refresh_report *r, const struct refresh_context *c, const struct gen_part *parts, size_t n, bool known, struct err *err)
{
	struct ipsec_policy *none = NULL;

	r->known = known;
	r->outcome = REFRESH_NONE;
	/* Nothing is known, nothing is stored: whatever startup mode there is stays. */
	if (!known && !sources_any(c->sources, false))
		return 0;
	return enforce(r, c, parts, known ? n : 0, &none, err);
}

/* From the second copy, into the store as well.  need: it has to be there; else no image, or with a store that was
 * there before one that cannot be read, means that nothing is known. */
static int restore_image(struct refresh_report *r, const struct refresh_context *c, struct arena *a, bool need, struct err *err)
{
	struct generation g = { .taken = time(NULL) };
	struct gen_part *all = NULL;
	char path[PATH_MAX];
	size_t n = 0;

	bootimage_path(path, c->conf);
	if (image_read(path, &all, &n, a, err) < 0) {
		if (need || (err->code != ERR_ABSENT && c->store_new))
			return -1;
		return restore_none(r, c, NULL, 0, false, err);
	}
	g.parts = arena_zalloc(a, n, sizeof(*g.parts));
	if (n && !g.parts)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		if (bootimage_is_domain_part(all[i].name))
			g.parts[g.n_parts++] = all[i];
	if (!generation_part(&g, "policy"))
		return restore_none(r, c, g.parts, g.n_parts, !strcmp(part_text(all, n, "assignment"), "none"), err);
	if (restore_parts(r, c, &g, err) < 0)
		return -1;
	if (c->store && generation_put(c->store, &g, &r->uncached) == 0)
		r->generation = g.number;
	return 0;
}

int refresh_restore(struct refresh_report *ret, const struct refresh_context *c, struct err *err)
{
	struct refresh_report r = { .outcome = REFRESH_NONE, .known = true };
	struct generation g = { 0 };
	struct arena *a = arena_new(0);
	int rc = -1, found;

	if (!a)
		return err_nomem(err);
	found = generation_load(c->store, &g, &r.n_damaged, a, err);
	if (found == 1)
		rc = restore_parts(&r, c, &g, err);
	else if (found == 0)
		rc = restore_image(&r, c, a, false, err);
	if (rc == 0)
		*ret = r;
	arena_free(a);
	return rc;
}

int refresh_restore_image(struct refresh_report *ret, const struct refresh_context *c, struct err *err)
{
	struct refresh_report r = { .outcome = REFRESH_NONE, .known = true };
	struct arena *a = arena_new(0);
	int rc;

	if (!a)
		return err_nomem(err);
	rc = restore_image(&r, c, a, true, err);
	if (rc == 0)
		*ret = r;
	arena_free(a);
	return rc;
}

int refresh_again(struct refresh_report *ret, const struct refresh_context *c, struct err *err)
{
	struct refresh_report r = *ret;
	const struct gen_part *text = part_find(c->held->parts, c->held->n_parts, "policy");
	struct ipsec_policy *p = NULL;
	int rc;

	r.kernel = (struct apply_report){ 0 };
	if (text && policy_read(&p, text->text, text->len, err) < 0)
		return err_prefix(err, "policy text");
	rc = enforce(&r, c, c->held->parts, c->held->n_parts, &p, err);
	policy_free(p);
	if (rc == 0)
		*ret = r;
	return rc;
}
