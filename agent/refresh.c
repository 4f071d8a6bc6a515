#include "agent/refresh.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/conf.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/facts.h"
#include "schema/policy.h"
#include "schema/utf.h"

#define MAX_DCS		8	/* that answered lately */
#define MAX_NAME	256	/* bytes of a GPO's name that are kept */

/* Kept with a generation; a change in one of CAUSES makes a new one. */
static const char *const causes[] = { "policy", "gpo", "gpo-name", "facts", "hints", "site", "rsop.json" };
static const char *const kept[] = { "policy", "gpo", "gpo-name", "facts", "hints", "site", "rsop.json", "rsop", "snapshot", "server" };

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

static const char *part_text(const struct gen_part *parts, size_t n, const char *name)
{
	const struct gen_part *p = part_find(parts, n, name);

	return p ? p->text : "";
}

/* The domain controllers in use: of a kept generation its "facts", of a worker's result the
 * one that authenticated.  Not all that DNS names: a forged answer would open the lifeline. */
static int dcs_of(struct host_facts **ret, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	const struct gen_part *part = part_find(parts, n_parts, "facts");
	const char *address = part_text(parts, n_parts, "address");
	struct host_facts *f;
	struct ip_addr addr;

	if (part)
		return facts_read(ret, part->text, part->len, err) < 0 ? err_prefix(err, "facts") : 0;
	f = facts_new();
	if (!f)
		return err_nomem(err);
	if (ip_addr_read(&addr, address) && facts_add(f, FACT_DC, &addr, err) < 0) {
		facts_free(f);
		return -1;
	}
	*ret = f;
	return 0;
}

int refresh_facts(struct host_facts **ret, const struct host_facts *found, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	struct host_facts *f = NULL;

	if (dcs_of(&f, parts, n_parts, err) < 0)
		return -1;
	for (int k = 0; k < N_FACTS && found; k++) {
		for (size_t i = 0; i < found->n_addrs[k]; i++) {
			if (facts_add(f, k, &found->addrs[k][i], err) < 0) {
				facts_free(f);
				return -1;
			}
		}
	}
	*ret = f;
	return 0;
}

static void render_options(struct render_options *o, const struct conf *c)
{
	o->ipsecexempt = c->ipsecexempt;
	o->lifeline = c->lifeline;
	o->any_is_ipv4 = c->any_is_ipv4;
}

static int render_policy(struct ruleset **ret, const struct conf *conf, const struct host_facts *found, const struct gen_part *parts, size_t n_parts, const struct ipsec_policy *p, struct err *err)
{
	struct render_source src = { .policy = p, .store = RENDER_DOMAIN };
	struct render_options o = { 0 };
	struct host_facts *facts = NULL;
	const char *gpo = part_text(parts, n_parts, "gpo");
	int rc;

	src.gpo_name = part_text(parts, n_parts, "gpo-name");
	if (*gpo && !guid_parse(&src.gpo, gpo, strlen(gpo)))
		return err_set(err, ERR_FORMAT, "GPO id '%s' is not a GUID", gpo);
	if (refresh_facts(&facts, found, parts, n_parts, err) < 0)
		return -1;
	render_options(&o, conf);
	rc = policy_render(ret, &src, 1, facts, &o, err);
	facts_free(facts);
	return rc < 0 ? err_prefix(err, "policy '%s'", p->name) : 0;
}

int refresh_render(struct ruleset **ret, const struct conf *conf, const struct host_facts *found, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	const struct gen_part *text = part_find(parts, n_parts, "policy");
	struct ipsec_policy *p = NULL;
	int rc;

	if (!text) {
		*ret = NULL;
		return 0;
	}
	if (policy_read(&p, text->text, text->len, err) < 0)
		return err_prefix(err, "policy text");
	rc = render_policy(ret, conf, found, parts, n_parts, p, err);
	policy_free(p);
	return rc;
}

/* They as the part that is kept, and with them those that were in use before: the host
 * must find another one when this one is gone. */
static int facts_part(struct gen_part *ret, struct arena *a, const struct gen_part *parts, size_t n_parts, const struct generation *old, struct err *err)
{
	struct host_facts *f = NULL, *before = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int rc = -1;

	if (dcs_of(&f, parts, n_parts, err) < 0 || dcs_of(&before, old->parts, old->n_parts, err) < 0) {
		facts_free(f);
		return -1;
	}
	for (size_t i = 0; i < before->n_addrs[FACT_DC] && f->n_addrs[FACT_DC] < MAX_DCS; i++)
		if (facts_add(f, FACT_DC, &before->addrs[FACT_DC][i], err) < 0)
			goto out;
	out = open_memstream(&text, &len);
	if (out && facts_write(f, out) == 0)
		rc = 0;
	if (out && fclose(out) != 0)
		rc = -1;
	ret->name = "facts";
	ret->text = rc == 0 ? arena_strndup(a, text, len) : NULL;
	ret->len = len;
	rc = ret->text ? 0 : err_nomem(err);
out:
	free(text);
	facts_free(before);
	facts_free(f);
	return rc;
}

static bool same_part(const struct gen_part *x, const struct gen_part *y)
{
	if (!x || !y)
		return x == y;
	return x->len == y->len && !memcmp(x->text, y->text, x->len);
}

static bool same_generation(const struct generation *g, const struct gen_part *parts, size_t n)
{
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		if (!same_part(generation_part(g, causes[i]), part_find(parts, n, causes[i])))
			return false;
	return true;
}

static void name_text(char *out, size_t size, const char *name, const char *id)
{
	if (*name)
		snprintf(out, size, "'%.64s' %s", name, id);
	else
		snprintf(out, size, "%s", id);
	utf8_clean(out, "");
}

static void report_names(struct refresh_report *r, const struct ipsec_policy *p, const struct gen_part *parts, size_t n)
{
	char id[GUID_TEXT];

	guid_text(&p->id, id);
	name_text(r->policy, sizeof(r->policy), p->name, id);
	name_text(r->gpo, sizeof(r->gpo), part_text(parts, n, "gpo-name"), part_text(parts, n, "gpo"));
	r->polling_seconds = p->polling_seconds;
}

/* What of the result is kept: known parts, names of bounded length, facts derived. */
static int pick_parts(struct gen_part **ret, size_t *ret_n, struct arena *a, const struct gen_part *parts, size_t n_parts, const struct generation *old, struct err *err)
{
	struct gen_part *out = arena_zalloc(a, sizeof(kept) / sizeof(kept[0]), sizeof(*out));
	const struct gen_part *p;
	size_t n = 0;

	if (!out)
		return err_nomem(err);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (!strcmp(kept[i], "facts")) {
			if (facts_part(&out[n++], a, parts, n_parts, old, err) < 0)
				return -1;
			continue;
		}
		p = part_find(parts, n_parts, kept[i]);
		if (!p)
			continue;
		out[n] = *p;
		if (!strcmp(kept[i], "gpo-name") && p->len > MAX_NAME) {
			out[n].text = arena_strndup(a, p->text, MAX_NAME);
			out[n].len = MAX_NAME;
			if (!out[n].text)
				return err_nomem(err);
		}
		n++;
	}
	*ret = out;
	*ret_n = n;
	return 0;
}

/* ---- what is enforced, in memory ---- */

void refresh_forget(struct refresh_held *h)
{
	arena_free(h->arena);
	*h = (struct refresh_held){ 0 };
}

static int hold(struct refresh_held *h, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	static const char *const names[] = { "policy", "gpo", "gpo-name", "facts" };
	struct refresh_held new = { .arena = arena_new(0) };

	if (!h)
		return 0;
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
	refresh_forget(h);
	*h = new;
	return 0;
}

static void image_path(char out[static PATH_MAX], const struct conf *conf)
{
	snprintf(out, PATH_MAX, "%s/boot.image", conf->state_dir);
}

static bool same_parts(const struct gen_part *x, size_t n_x, const struct gen_part *y, size_t n_y)
{
	if (n_x != n_y)
		return false;
	for (size_t i = 0; i < n_x; i++)
		if (!same_part(&x[i], part_find(y, n_y, x[i].name)))
			return false;
	return true;
}

/* The boot image follows the store; looked at each time, because one that could not be
 * written must be written later.  parts NULL: it says that nothing is assigned. */
static void update_image(struct refresh_report *r, const struct conf *conf, const struct gen_part *parts, size_t n)
{
	static const struct gen_part none = { "assignment", "none", 4 };
	struct gen_part *old = NULL;
	struct arena *a = arena_new(0);
	char path[PATH_MAX];
	struct err ignored;
	size_t n_old = 0;

	if (!parts) {
		parts = &none;
		n = 1;
	}
	image_path(path, conf);
	if (!a || image_read(path, &old, &n_old, a, &ignored) < 0 || !same_parts(old, n_old, parts, n))
		image_write(path, parts, n, &r->uncached);
	arena_free(a);
}

/* Into store and image, unless they hold it already. */
static void cache_parts(struct refresh_report *r, const struct refresh_context *c, const struct generation *old, struct generation *new)
{
	r->outcome = r->kernel.n_changes ? REFRESH_APPLIED : REFRESH_UNCHANGED;
	if (old->number && r->n_damaged == 0 && same_generation(old, new->parts, new->n_parts)) {
		r->generation = old->number;
		r->taken = old->taken;
		update_image(r, c->conf, old->parts, old->n_parts);
	} else if (generation_put(c->store, new, &r->uncached) == 0) {
		r->generation = new->number;
		r->taken = new->taken;
		r->outcome = REFRESH_APPLIED;
		update_image(r, c->conf, new->parts, new->n_parts);
	}
}

static int apply_assigned(struct refresh_report *r, const struct refresh_context *c, struct arena *a, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	const struct gen_part *text = part_find(parts, n_parts, "policy");
	struct generation old = { 0 }, new = { .taken = time(NULL) };
	struct ipsec_policy *p = NULL;
	struct ruleset *want = NULL;
	struct err unreadable;
	int64_t mark = 0;
	int rc = -1;

	lap(&mark);
	if (generation_load(c->store, &old, &r->n_damaged, a, &unreadable) != 1)
		old = (struct generation){ 0 };
	if (pick_parts(&new.parts, &new.n_parts, a, parts, n_parts, &old, err) < 0)
		return -1;
	if (policy_read(&p, text->text, text->len, err) < 0) {
		err_prefix(err, "policy text");
		goto out;
	}
	if (render_policy(&want, c->conf, c->found, new.parts, new.n_parts, p, err) < 0)
		goto out;
	r->us_render = lap(&mark);
	if (nlsock_apply(c->nl, want, &r->kernel, c->log, err) < 0)
		goto out;
	r->us_kernel = lap(&mark);
	if (hold(c->held, new.parts, new.n_parts, err) < 0)
		goto out;
	report_names(r, p, new.parts, new.n_parts);
	cache_parts(r, c, &old, &new);
	r->us_cache = lap(&mark);
	rc = 0;
out:
	ruleset_free(want);
	policy_free(p);
	return rc;
}

static int apply_none(struct refresh_report *r, const struct refresh_context *c, struct err *err)
{
	if (nlsock_apply(c->nl, NULL, &r->kernel, c->log, err) < 0)
		return -1;
	r->outcome = REFRESH_NONE;
	if (c->held)
		refresh_forget(c->held);
	if (generation_drop(c->store, &r->uncached) == 0)
		update_image(r, c->conf, NULL, 0);
	return 0;
}

/* "CODE MESSAGE" */
static void read_refusal(struct err *ret, const char *text)
{
	char word[32];
	size_t n = strcspn(text, " ");
	enum err_code code = ERR_NONE;

	if (n < sizeof(word)) {
		memcpy(word, text, n);
		word[n] = '\0';
		code = err_code_parse(word);
	}
	if (code == ERR_NONE)
		err_set(ret, ERR_FORMAT, "the policy cannot be used, and the worker does not say why");
	else
		err_set(ret, code, "%s", text + n + (text[n] == ' '));
}

static int apply_kept(struct refresh_report *r, const struct refresh_context *c, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	struct render_options o = { 0 };
	struct host_facts *facts = NULL;
	struct ruleset *want = NULL;
	int rc = -1;

	r->outcome = REFRESH_KEPT;
	read_refusal(&r->kept, part_text(parts, n_parts, "refused"));
	if (!c->conf->block_on_unreadable)
		return 0;
	render_options(&o, c->conf);
	if (refresh_facts(&facts, c->found, parts, n_parts, err) == 0 &&
	    block_render(&want, r->kept.msg, facts, &o, err) == 0)
		rc = nlsock_apply(c->nl, want, &r->kernel, c->log, err);
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
		rc = apply_none(&r, c, err);
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
	struct ruleset *want = NULL;
	int rc = -1;

	if (!text)
		return err_set(err, ERR_DAMAGED, "generation %llu: no policy in it", (unsigned long long)g->number);
	if (policy_read(&p, text->text, text->len, err) < 0) {
		err->code = ERR_DAMAGED;
		err_prefix(err, "generation %llu: policy text", (unsigned long long)g->number);
	} else if (render_policy(&want, c->conf, c->found, g->parts, g->n_parts, p, err) == 0 &&
	    nlsock_apply(c->nl, want, &r->kernel, c->log, err) == 0 &&
	    hold(c->held, g->parts, g->n_parts, err) == 0) {
		report_names(r, p, g->parts, g->n_parts);
		r->generation = g->number;
		r->taken = g->taken;
		r->outcome = r->kernel.n_changes ? REFRESH_APPLIED : REFRESH_UNCHANGED;
		rc = 0;
	}
	ruleset_free(want);
	policy_free(p);
	return rc;
}

int refresh_restore(struct refresh_report *ret, const struct refresh_context *c, struct err *err)
{
	struct refresh_report r = { .outcome = REFRESH_NONE };
	struct generation g = { 0 };
	struct arena *a = arena_new(0);
	int rc = -1, found;

	if (!a)
		return err_nomem(err);
	found = generation_load(c->store, &g, &r.n_damaged, a, err);
	if (found == 0 || (found == 1 && restore_parts(&r, c, &g, err) == 0)) {
		*ret = r;
		rc = 0;
	}
	arena_free(a);
	return rc;
}

int refresh_again(struct refresh_report *ret, const struct refresh_context *c, struct err *err)
{
	/* restore_parts would hold them anew while they are read. */
	struct refresh_context again = *c;
	struct refresh_report r = *ret;
	struct generation g = { .number = ret->generation, .taken = ret->taken,
		.parts = c->held->parts, .n_parts = c->held->n_parts };

	again.held = NULL;
	if (!c->held->arena)
		return err_set(err, ERR_ABSENT, "there is no policy in memory");
	r.kernel = (struct apply_report){ 0 };
	if (restore_parts(&r, &again, &g, err) < 0)
		return -1;
	*ret = r;
	return 0;
}

int refresh_restore_image(struct refresh_report *ret, const struct refresh_context *c, struct err *err)
{
	struct refresh_report r = { .outcome = REFRESH_NONE };
	struct generation g = { .taken = time(NULL) };
	struct arena *a = arena_new(0);
	char path[PATH_MAX];
	int rc = -1;

	if (!a)
		return err_nomem(err);
	image_path(path, c->conf);
	if (image_read(path, &g.parts, &g.n_parts, a, err) < 0)
		goto out;
	if (!strcmp(part_text(g.parts, g.n_parts, "assignment"), "none")) {
		rc = 0;
	} else if (restore_parts(&r, c, &g, err) == 0) {
		if (generation_put(c->store, &g, &r.uncached) == 0)
			r.generation = g.number;
		rc = 0;
	}
	if (rc == 0)
		*ret = r;
out:
	arena_free(a);
	return rc;
}
