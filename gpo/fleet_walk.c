/* One computer after the other: the walk of its chain, its token, its answer. */
#include <stdlib.h>
#include <string.h>

#include "gpo/ask.h"
#include "gpo/fleet_groups.h"
#include "gpo/fleet_work.h"
#include "gpo/sd.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/ident.h"

/* ---- the walk of a chain ---- */

static int sid_order(const void *x, const void *y)
{
	return fleet_sid_cmp(x, y);
}

/* The ACEs of every GPO that is left, sids for their index. */
static int list_aces(struct chain *ch, struct sd_ace **ret, size_t *n_ret, size_t i, struct err *err)
{
	const struct dir_attr *sd = entry_attr(ch->walk.gpos[i].entry, "nTSecurityDescriptor");
	struct sd_ace *aces;
	size_t n;

	/* Others are refused, or granted, to every token. */
	if (!sd || sd->n_values != 1 || sd_aces(&aces, &n, ch->a, &sd->values[0], err) < 0)
		return 0;
	for (size_t k = 0; k < n; k++) {
		ch->sids = arena_grow(ch->a, ch->sids, ch->n_sids, sizeof(*ch->sids));
		if (!ch->sids)
			return err_nomem(err);
		ch->sids[ch->n_sids++] = aces[k].sid;
	}
	*ret = aces;
	*n_ret = n;
	return 0;
}

static size_t chain_sid(const struct chain *ch, const struct sid *sid)
{
	const struct sid *found = ch->n_sids ? bsearch(sid, ch->sids, ch->n_sids, sizeof(*sid), sid_order) : NULL;

	return found ? (size_t)(found - ch->sids) : ch->n_sids;
}

static void sids_sort(struct chain *ch)
{
	size_t kept = 0;

	if (ch->n_sids)
		qsort(ch->sids, ch->n_sids, sizeof(*ch->sids), sid_order);
	for (size_t i = 0; i < ch->n_sids; i++)
		if (!kept || sid_order(&ch->sids[kept - 1], &ch->sids[i]))
			ch->sids[kept++] = ch->sids[i];
	ch->n_sids = kept;
}

static int gpo_fill(struct chain *ch, size_t i, const struct sd_ace *aces, size_t n, struct err *err)
{
	struct chain_gpo *g = &ch->gpos[ch->n_gpos++];

	g->gpo = &ch->walk.gpos[i];
	g->aces = arena_zalloc(ch->a, n, sizeof(*g->aces));
	if (!g->aces)
		return err_nomem(err);
	for (g->n_aces = 0; g->n_aces < n; g->n_aces++)
		g->aces[g->n_aces] = (struct chain_ace){ chain_sid(ch, &aces[g->n_aces].sid), aces[g->n_aces].grants };
	return 0;
}

/* Judges by the empty token what is the same for all, and notes what is not. */
static int chain_rights(struct chain *ch, struct err *err)
{
	size_t n = ch->walk.gpo_dns.n, *n_aces = arena_zalloc(ch->a, n, sizeof(*n_aces));
	struct sd_ace **aces = arena_zalloc(ch->a, n, sizeof(struct sd_ace *));

	ch->gpos = arena_zalloc(ch->a, n, sizeof(*ch->gpos));
	if (!n_aces || !aces || !ch->gpos)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		if (walk_gpo_is_open(&ch->walk.gpos[i]) && list_aces(ch, &aces[i], &n_aces[i], i, err) < 0)
			return -1;
	sids_sort(ch);
	for (size_t i = 0; i < n; i++)
		if (n_aces[i] && gpo_fill(ch, i, aces[i], n_aces[i], err) < 0)
			return -1;
	return walk_gpos_access(&ch->walk, err);
}

/* 1, 0, -1 as walk.h has it. */
static int chain_walk(struct chain *ch, struct gp_fleet *f, const struct fleet_computer *c, struct err *err)
{
	struct fleet_work *k = f->work;
	struct gp_walk *w = &ch->walk;
	int r;

	arena_free(ch->a);
	*ch = (struct chain){ .a = arena_new(0) };
	if (!ch->a)
		return err_nomem(err);
	ch->classes.a = ch->a;
	*w = k->walk;
	w->a = ch->a;
	w->computer = c->entry;
	k->who.computer = c->name;
	r = walk_place(w, err);
	if (!r)
		r = walk_soms(w, err);
	if (!r)
		r = walk_site(w, err);
	if (!r)
		r = walk_gpos_find(w, &ch->judged, err);
	return r ? r : chain_rights(ch, err);
}

/* 0: c's chain is the current one, or c has its answer. */
static int chain_enter(struct gp_fleet *f, struct fleet_computer *c, struct err *err)
{
	struct chain *ch = &f->work->chain;
	struct err why;
	int r;

	if (c->chain && ch->text && !strcmp(ch->text, c->chain)) {
		c->answer = ch->failed;
		return 0;
	}
	r = chain_walk(ch, f, c, &why);
	if (r > 0)
		f->work->walk.need = ch->walk.need;
	if (r >= 0) {
		ch->text = r ? NULL : c->chain;
		return r;
	}
	if (fleet_answer_error(&c->answer, f, c, &why, NULL, err) < 0)
		return -1;
	/* Limits are told by the computer's name: the next one hears its own. */
	if (why.code == ERR_LIMIT || strstr(why.msg, c->name) || strstr(why.msg, c->dn))
		return 0;
	ch->text = c->chain;
	ch->failed = c->answer;
	return 0;
}

/* ---- the token, as far as it matters ---- */

static void has_sid(char *has, const struct chain *ch, const struct sid *sid)
{
	size_t i = chain_sid(ch, sid);

	if (i < ch->n_sids)
		has[i] = '1';
}

static struct group_base *base_find(struct gp_fleet *f, const char *dn)
{
	for (size_t i = 0; i < f->work->n_bases; i++)
		if (dn_equal(f->work->bases[i].dn, dn))
			return &f->work->bases[i];
	return NULL;
}

static int base_error(const struct group_base *b, const struct gp_walk *w, struct err *err)
{
	const struct dir_search answer = { .q.base = b->dn, .outcome = b->outcome };

	if (b->outcome == DIR_DENIED)
		return err_set(err, ERR_DENIED, "the groups of %s may not be searched", w->who->computer);
	return walk_held(&answer, err);
}

/* 0: ch->base and ch->found are set. */
static int find_base(struct chain *ch, struct gp_fleet *f, struct gp_walk *w, struct err *err)
{
	const char *dn = *w->base_dn ? w->base_dn : w->domain_dn;
	const struct group_base *b = ch->base ? ch->base : base_find(f, dn);

	if (!b) {
		w->need = (struct dir_query){ dn, DIR_SUB, FLEET_GROUPS_FILTER, fleet_group_attrs, 0 };
		return 1;
	}
	if (ch->base)
		return 0;
	ch->found = arena_zalloc(ch->a, ch->n_sids, sizeof(*ch->found));
	if (!ch->found)
		return err_nomem(err);
	for (size_t i = 0; i < ch->n_sids; i++)
		ch->found[i] = fleet_groups_sid(b->groups, &ch->sids[i]);
	ch->base = b;
	return 0;
}

/* From the groups that were read at once. */
static int token_groups(char *has, struct gp_fleet *f, struct gp_walk *w, struct err *err)
{
	struct chain *ch = &f->work->chain;
	int r = find_base(ch, f, w, err);

	if (r)
		return r;
	if (base_error(ch->base, w, err) < 0 || fleet_groups_walk(ch->base->groups, w, err) < 0 || walk_own_sids(w, err) < 0)
		return -1;
	for (size_t i = 0; i < ch->n_sids; i++)
		if (fleet_groups_found(ch->base->groups, ch->found[i]))
			has[i] = '1';
	return 0;
}

/* has: of each of the chain's SIDs '1' when it is in the token, else '0'. */
static int token_walk(char *has, struct gp_fleet *f, const struct fleet_computer *c, struct err *err)
{
	struct fleet_work *k = f->work;
	struct gp_walk w = k->chain.walk;
	int r;

	w.a = k->scratch;
	w.computer = c->entry;
	w.computer_dn = c->dn;
	k->who.computer = c->name;
	if (k->own)
		w.own = &k->own->searches[0];
	r = w.ad || walk_root_is_self(&w) ? walk_token(&w, err) : token_groups(has, f, &w, err);
	if (r > 0)
		k->walk.need = w.need;
	for (size_t i = 0; !r && i < w.n_token; i++)
		has_sid(has, &k->chain, &w.token[i]);
	return r;
}

/* ---- the answer ---- */

static const char *replaced(struct arena *a, const char *text, const char *what, const char *by)
{
	const char *at, *out = "";

	for (; out && *what && (at = strstr(text, what)); text = at + strlen(what))
		out = arena_printf(a, "%s%.*s%s", out, (int)(at - text), text, by);
	return out ? arena_printf(a, "%s%s", out, text) : NULL;
}

/* An error without the names of the computer that met it. */
static const char *kind_of(struct arena *a, const char *text, const struct fleet_computer *c)
{
	text = replaced(a, text, c->dn, "<computer>");
	return text ? replaced(a, text, c->name, "<computer>") : NULL;
}

int fleet_answer_error(const struct fleet_answer **ret, struct gp_fleet *f, const struct fleet_computer *c, const struct err *why,
    const char *kind, struct err *err)
{
	struct fleet_answer *answer;

	if (why->code == ERR_NOMEM)
		return err_nomem(err);
	answer = arena_zalloc(f->arena, 1, sizeof(*answer));
	if (!answer)
		return err_nomem(err);
	*answer = (struct fleet_answer){ .assignment = GP_UNKNOWN, .failed = true, .why = why->code, .verdict = "",
		.domain = "", .site = "", .site_from = "", .reason = arena_strdup(f->arena, why->msg) };
	answer->kind = kind ? kind : kind_of(f->arena, why->msg, c);
	if (!answer->reason || !answer->kind)
		return err_nomem(err);
	answer->number = f->n_answers++;
	*ret = answer;
	return 0;
}

static const char *const no_links = "no-gpo";

/* What comes nearest to an assignment where there is none; see fleet.h. */
static const char *nearest(const struct gp_walk *w, bool wmi_allow)
{
	const char *note, *unseen = NULL;

	for (size_t r = w->n_ranked; r-- > 0;) {
		const struct walk_gpo *g = walk_gpo_of(w, r);
		const char *verdict = gp_verdict_name(walk_verdict(w, r, wmi_allow, &note));

		if (g->has_ipsec || g->damaged_ipsec)
			return verdict;
		if (!unseen && !g->entry)
			unseen = verdict;
	}
	return unseen ? unseen : w->n_ranked ? gp_verdict_name(GP_NO_IPSEC) : no_links;
}

static const char *policy_guid(struct guid *ret, struct arena *a, const struct walk_assigned *assigned)
{
	const char *name = entry_text(assigned->policy, "ipsecName");

	walk_policy_id(ret, a, assigned->policy_dn, assigned->policy);
	return arena_strdup(a, name ? name : "");
}

static int answer_policy(struct fleet_answer *answer, struct arena *a, const struct walk_assigned *assigned, struct err *err)
{
	if (assigned->assignment != GP_ASSIGNED)
		return 0;
	answer->policy_dn = arena_strdup(a, assigned->policy_dn);
	answer->policy_name = policy_guid(&answer->policy_id, a, assigned);
	return answer->policy_dn && answer->policy_name ? 0 : err_nomem(err);
}

static int answer_winner(struct fleet_answer *answer, struct arena *a, const struct gp_walk *w,
    const struct walk_assigned *assigned, bool wmi_allow, struct err *err)
{
	const struct walk_gpo *g;
	const char *note;

	if (!assigned->decided) {
		answer->verdict = assigned->assignment == GP_NONE ? nearest(w, wmi_allow) : "";
		return 0;
	}
	g = walk_gpo_of(w, assigned->rank);
	answer->verdict = gp_verdict_name(walk_verdict(w, assigned->rank, wmi_allow, &note));
	answer->winner = g->id;
	answer->winner_dn = arena_strdup(a, g->dn);
	answer->winner_name = arena_strdup(a, g->name);
	return answer->winner_dn && answer->winner_name ? 0 : err_nomem(err);
}

/* 1, 0, -1; w was walked to its end. */
static int answer_walked(const struct fleet_answer **ret, struct gp_fleet *f, struct gp_walk *w, struct err *err)
{
	bool wmi_allow = f->work->options.wmi_allow;
	struct arena *a = f->arena;
	struct walk_assigned assigned;
	struct fleet_answer *answer;
	const char *note;
	int r = walk_assignment(&assigned, w, wmi_allow, err);

	if (r)
		return r;
	answer = arena_zalloc(a, 1, sizeof(*answer));
	if (!answer)
		return err_nomem(err);
	answer->assignment = assigned.assignment;
	answer->why = assigned.why;
	answer->reason = answer->kind = arena_strdup(a, assigned.reason);
	answer->domain = arena_strdup(a, w->domain);
	answer->site = arena_strdup(a, w->site);
	answer->site_from = w->site_from;
	if (!answer->reason || !answer->domain || !answer->site || answer_policy(answer, a, &assigned, err) < 0 ||
	    answer_winner(answer, a, w, &assigned, wmi_allow, err) < 0)
		return err_nomem(err);
	for (size_t i = 0; i < w->n_ranked; i++)
		answer->verdicts[walk_verdict(w, i, wmi_allow, &note)]++;
	answer->number = f->n_answers++;
	*ret = answer;
	return 0;
}

static bool is_granted(const struct chain_gpo *g, const char *has)
{
	for (size_t i = 0; i < g->n_aces; i++)
		if (has[g->aces[i].sid] == '1')
			return g->aces[i].grants;
	return false;
}

/* The rest of the walk, for a token that has these of the chain's SIDs. */
static int class_walk(const struct fleet_answer **ret, struct gp_fleet *f, const char *has, struct err *err)
{
	const struct chain *ch = &f->work->chain;
	struct gp_walk w = ch->walk;
	int r;

	w.a = f->work->scratch;
	for (size_t i = 0; i < ch->n_gpos; i++)
		ch->gpos[i].gpo->refused = is_granted(&ch->gpos[i], has) ? GP_APPLIES : GP_ACCESS_DENIED;
	r = answer_walked(ret, f, &w, err);
	if (r > 0)
		f->work->walk.need = w.need;
	return r;
}

/* key: ":" and has. */
static int class_answer(struct fleet_computer *c, struct gp_fleet *f, const char *key, struct err *err)
{
	struct chain *ch = &f->work->chain;
	size_t n = ch->classes.n, at = dnset_find(&ch->classes, key);
	int r;

	if (at != DNSET_NONE) {
		c->answer = ch->answers[at];
		return 0;
	}
	r = class_walk(&c->answer, f, key + 1, err);
	if (r)
		return r;
	ch->answers = arena_grow(ch->a, ch->answers, n, sizeof(*ch->answers));
	key = arena_strdup(ch->a, key);
	if (!ch->answers || !key || dnset_add(&ch->classes, key) == DNSET_NONE)
		return err_nomem(err);
	ch->answers[n] = c->answer;
	return 0;
}

int fleet_resolve(struct fleet_computer *c, struct gp_fleet *f, struct err *err)
{
	struct fleet_work *k = f->work;
	struct err why;
	char *key;
	int r = chain_enter(f, c, err);

	if (r || c->answer)
		return r;
	arena_free(k->scratch);
	k->scratch = arena_new(0);
	key = k->scratch ? arena_zalloc(k->scratch, k->chain.n_sids + 2, 1) : NULL;
	if (!key)
		return err_nomem(err);
	/* Behind a colon nothing is a DN: the keys are compared byte by byte. */
	*key = ':';
	memset(key + 1, '0', k->chain.n_sids);
	r = k->chain.judged ? token_walk(key + 1, f, c, &why) : 0;
	if (!r)
		r = class_answer(c, f, key, &why);
	return r < 0 ? fleet_answer_error(&c->answer, f, c, &why, NULL, err) : r;
}

static int put_walked(const struct fleet_answer **ret, struct gp_fleet *f, const struct dir_snapshot *s,
    const struct gp_subject *who, struct err *err)
{
	struct gp_walk w = { .s = s, .who = who, .a = f->arena };
	int r = walk_run(&w, err);

	if (!r)
		r = answer_walked(ret, f, &w, err);
	return r > 0 ? err_set(err, ERR_FORMAT, "the snapshot is not complete") : r;
}

int gp_fleet_put(struct gp_fleet *f, const struct dir_snapshot *s, const struct gp_subject *who, const struct err *why, struct err *err)
{
	const struct fleet_answer *answer = NULL;
	int r = s ? put_walked(&answer, f, s, who, err) : 0;

	for (size_t i = 0; !r && i < f->n_computers; i++) {
		struct fleet_computer *c = &f->computers[i];

		if (!ascii_equal(c->name, who->computer))
			continue;
		c->answer = answer;
		if (!s)
			r = fleet_answer_error(&c->answer, f, c, why, NULL, err);
	}
	return r;
}
