#include "agent/dynamic.h"

#include <stdlib.h>
#include <string.h>

#include "agent/dynamic_rule.h"
#include "nft/action.h"
#include "schema/arena.h"
#include "schema/err.h"

/* Of what has no object of its own in the dynamic context; "dynamic" in ASCII. */
static const struct guid no_mm_id = { { 'd', 'y', 'n', 'a', 'm', 'i', 'c', 0, 0, 0, 0, 0, 0, 0, 0, 0 } };
static const struct guid permit_id = { { 'd', 'y', 'n', 'a', 'm', 'i', 'c', 0, 0, 0, 0, 0, 0, 0, 0, 1 } };
static const struct guid block_id = { { 'd', 'y', 'n', 'a', 'm', 'i', 'c', 0, 0, 0, 0, 0, 0, 0, 0, 2 } };

/* The objects that one of ours becomes. */
enum part { PART_FILTER = 1, PART_LIST, PART_SECOND_RULE, PART_ISAKMP };

static struct guid id_part(const struct guid *of, enum part part)
{
	struct guid g = *of;

	g.b[15] ^= (uint8_t)part;
	return g;
}

#define EVERYWHERE	(1u << ACT_IN | 1u << ACT_OUT | 1u << ACT_FORWARD)

/* A rule before its references can be pointers. */
struct draft {
	struct ipsec_rule	 rule;
	uint8_t			 hooks;
	struct guid		 list, negpol;
};

static int draft_cmp(const void *a, const void *b)
{
	return guid_cmp(&((const struct draft *)a)->rule.id, &((const struct draft *)b)->rule.id);
}

static int list_cmp(const void *a, const void *b)
{
	return guid_cmp(&((const struct ipsec_filter_list *)a)->id, &((const struct ipsec_filter_list *)b)->id);
}

static int negpol_cmp(const void *a, const void *b)
{
	return guid_cmp(&((const struct ipsec_negpol *)a)->id, &((const struct ipsec_negpol *)b)->id);
}

static int policy_cmp(const void *a, const void *b)
{
	return guid_cmp(&(*(struct ipsec_policy *const *)a)->id, &(*(struct ipsec_policy *const *)b)->id);
}

int dynamic_isakmp(struct ipsec_isakmp *ret, struct arena *a, const struct dynamic_mm *mm, struct err *err)
{
	struct ipsec_isakmp m = { .qm_limit = mm->qm_limit, .life_seconds = mm->life_seconds, .n_offers = mm->n_offers };

	m.id = m.instance = id_part(&mm->id, PART_ISAKMP);
	m.offers = mm->n_offers ? arena_memdup(a, mm->offers, mm->n_offers * sizeof(*mm->offers)) : NULL;
	if (mm->n_offers && !m.offers)
		return err_nomem(err);
	*ret = m;
	return 0;
}

/* ---- filter actions ---- */

static struct guid negpol_id(const struct dynamic *d, const struct dynamic_rule *r, enum ipsec_action action)
{
	const struct dynamic_qm *q;

	if (action == IPSEC_PERMIT)
		return permit_id;
	q = action == IPSEC_BLOCK ? NULL : dynamic_qm(d, r->qm);
	return q ? q->id : block_id;
}

static int negpol_make(struct ipsec_negpol *ret, struct arena *a, const struct dynamic *d, const struct dynamic_rule *r, enum ipsec_action action, struct err *err)
{
	const struct dynamic_qm *q = action == IPSEC_NEGOTIATE ? dynamic_qm(d, r->qm) : NULL;
	struct ipsec_negpol n = { .id = negpol_id(d, r, action), .action = action, .description = "" };

	n.name = arena_strdup(a, q ? q->name : ipsec_action_name(action));
	if (q) {
		n.soft = q->soft;
		n.pfs = q->pfs != DYNAMIC_NOPFS && q->n_offers;
		n.n_offers = q->n_offers;
		n.offers = q->n_offers ? arena_memdup(a, q->offers, q->n_offers * sizeof(*q->offers)) : NULL;
		if (q->n_offers && !n.offers)
			return err_nomem(err);
	}
	if (!n.name)
		return err_nomem(err);
	*ret = n;
	return 0;
}

/* Once each, in no order yet. */
static int negpol_add(struct ipsec_policy *p, const struct dynamic *d, const struct dynamic_rule *r, enum ipsec_action action, struct err *err)
{
	const struct guid id = negpol_id(d, r, action);

	for (size_t i = 0; i < p->n_negpols; i++)
		if (!guid_cmp(&p->negpols[i].id, &id))
			return 0;
	p->negpols = arena_grow(p->arena, p->negpols, p->n_negpols, sizeof(*p->negpols));
	if (!p->negpols)
		return err_nomem(err);
	if (negpol_make(&p->negpols[p->n_negpols], p->arena, d, r, action, err) < 0)
		return -1;
	p->n_negpols++;
	return 0;
}

/* ---- rules ---- */

static int severity(enum ipsec_action a)
{
	return a == IPSEC_BLOCK ? 2 : a == IPSEC_NEGOTIATE;
}

static int list_add(struct ipsec_policy *p, const struct dynamic_rule *r, const char *name, struct err *err)
{
	struct ipsec_filter_list *l;
	struct ipsec_filter *f = arena_memdup(p->arena, &r->filter, sizeof(r->filter));

	p->filter_lists = arena_grow(p->arena, p->filter_lists, p->n_filter_lists, sizeof(*l));
	if (!f || !p->filter_lists)
		return err_nomem(err);
	f->id = id_part(&r->id, PART_FILTER);
	l = &p->filter_lists[p->n_filter_lists++];
	*l = (struct ipsec_filter_list){ .id = id_part(&r->id, PART_LIST), .name = name, .description = "", .filters = f, .n_filters = 1 };
	return 0;
}

static void draft_make(struct draft *ret, const struct dynamic *d, const struct dynamic_rule *r, const char *name, enum ipsec_action action)
{
	*ret = (struct draft){
		.rule = { .id = r->id, .name = name, .description = "", .active = true, .conntype = r->conntype,
			.interface_name = "", .tunnel = r->tunnel, .tunnel_end = r->tunnel_end, .tunnel_name = "",
			.auth = r->auth, .n_auth = r->n_auth },
		.hooks = EVERYWHERE,
		.list = id_part(&r->id, PART_LIST),
		.negpol = negpol_id(d, r, action),
	};
}

/* One or two drafts of a rule, whose texts are copied to the policy; returns how many, or -1. */
static int rule_add(struct draft *ret, struct ipsec_policy *p, const struct dynamic *d, const struct dynamic_rule *of, struct err *err)
{
	const bool out_is_stricter = severity(of->outbound) > severity(of->inbound);
	char text[DYNAMIC_RULE_TEXT];
	struct dynamic_rule r;
	const char *name;

	dynamic_rule_text(of, text);
	name = arena_strdup(p->arena, text);
	if (!name || dynamic_rule_copy(&r, p->arena, of) < 0)
		return err_nomem(err);
	if (list_add(p, &r, name, err) < 0 || negpol_add(p, d, &r, r.inbound, err) < 0 || negpol_add(p, d, &r, r.outbound, err) < 0)
		return -1;
	draft_make(&ret[0], d, &r, name, r.inbound);
	if (r.inbound == r.outbound)
		return 1;
	draft_make(&ret[1], d, &r, name, r.outbound);
	ret[1].rule.id = id_part(&r.id, PART_SECOND_RULE);
	ret[0].hooks = (uint8_t)(1u << ACT_IN | (out_is_stricter ? 0u : 1u << ACT_FORWARD));
	ret[1].hooks = (uint8_t)(1u << ACT_OUT | (out_is_stricter ? 1u << ACT_FORWARD : 0u));
	return 2;
}

/* Sorts everything and makes references pointers; *ret NULL when all rules stand everywhere. */
static int policy_tie(uint8_t **ret, struct ipsec_policy *p, struct draft *drafts, size_t n, struct err *err)
{
	uint8_t *hooks = calloc(n, 1);
	bool everywhere = true;

	p->rules = arena_zalloc(p->arena, n, sizeof(*p->rules));
	if (!p->rules || !hooks) {
		free(hooks);
		return err_nomem(err);
	}
	qsort(drafts, n, sizeof(*drafts), draft_cmp);
	qsort(p->filter_lists, p->n_filter_lists, sizeof(*p->filter_lists), list_cmp);
	qsort(p->negpols, p->n_negpols, sizeof(*p->negpols), negpol_cmp);
	for (size_t i = 0; i < n; i++) {
		const struct ipsec_filter_list list = { .id = drafts[i].list };
		const struct ipsec_negpol negpol = { .id = drafts[i].negpol };

		p->rules[i] = drafts[i].rule;
		p->rules[i].filter_list = bsearch(&list, p->filter_lists, p->n_filter_lists, sizeof(list), list_cmp);
		p->rules[i].negpol = bsearch(&negpol, p->negpols, p->n_negpols, sizeof(negpol), negpol_cmp);
		hooks[i] = drafts[i].hooks;
		everywhere &= hooks[i] == EVERYWHERE;
	}
	p->n_rules = n;
	if (policy_check(p, err) < 0) {
		free(hooks);
		return -1;
	}
	if (everywhere)
		free(hooks);
	*ret = everywhere ? NULL : hooks;
	return 0;
}

/* Of the rules whose group is `which`, an index of main mode policies, or their number for the
 * rules without one. */
static int policy_make(struct ipsec_policy **ret, uint8_t **ret_hooks, const struct dynamic *d, const size_t *groups, size_t which, struct err *err)
{
	const struct dynamic_mm *mm = which < d->n_mms ? &d->mms[which] : NULL;
	struct draft *drafts = calloc(2 * d->n_rules, sizeof(*drafts));
	struct ipsec_policy *p = policy_new();
	size_t n = 0;
	int rc = -1, one;

	if (!p || !drafts) {
		err_nomem(err);
		goto out;
	}
	p->id = mm ? mm->id : no_mm_id;
	p->name = mm ? arena_printf(p->arena, "dynamic rules, main mode %s", mm->name) : "dynamic rules";
	if (!p->name) {
		err_nomem(err);
		goto out;
	}
	if (mm && dynamic_isakmp(&p->isakmp, p->arena, mm, err) < 0)
		goto out;
	for (size_t i = 0; i < d->n_rules; i++) {
		if (groups[i] != which)
			continue;
		one = rule_add(&drafts[n], p, d, &d->rules[i], err);
		if (one < 0)
			goto out;
		n += (size_t)one;
	}
	rc = policy_tie(ret_hooks, p, drafts, n, err);
	if (rc == 0) {
		*ret = p;
		p = NULL;
	}
out:
	free(drafts);
	policy_free(p);
	return rc;
}

void dynamic_policies_free(struct ipsec_policy **policies, uint8_t **hooks, size_t n)
{
	for (size_t i = 0; policies && i < n; i++)
		policy_free(policies[i]);
	for (size_t i = 0; hooks && i < n; i++)
		free(hooks[i]);
	free(policies);
	free(hooks);
}

/* policy_cmp of the policies, the hooks along with them. */
static int policies_sort(struct ipsec_policy **policies, uint8_t **hooks, size_t n)
{
	struct pair { struct ipsec_policy *policy; uint8_t *hooks; } *pairs = calloc(n + 1, sizeof(*pairs));

	if (!pairs)
		return -1;
	for (size_t i = 0; i < n; i++)
		pairs[i] = (struct pair){ policies[i], hooks[i] };
	qsort(pairs, n, sizeof(*pairs), policy_cmp);
	for (size_t i = 0; i < n; i++) {
		policies[i] = pairs[i].policy;
		hooks[i] = pairs[i].hooks;
	}
	free(pairs);
	return 0;
}

/* Which main mode policy each rule has, and which are in use. */
static void groups_find(size_t *groups, bool *used, const struct dynamic *d)
{
	for (size_t i = 0; i < d->n_rules; i++) {
		const struct dynamic_mm *mm = d->rules[i].mm ? dynamic_mm(d, d->rules[i].mm) : NULL;

		groups[i] = mm ? (size_t)(mm - d->mms) : d->n_mms;
		used[groups[i]] = true;
	}
}

int dynamic_policies(struct ipsec_policy ***ret, uint8_t ***ret_hooks, size_t *ret_n, const struct dynamic *d, struct err *err)
{
	const size_t most = d && d->n_rules ? d->n_mms + 1 : 0;
	struct ipsec_policy **policies = calloc(most + 1, sizeof(*policies));
	uint8_t **hooks = calloc(most + 1, sizeof(*hooks));
	size_t *groups = calloc((most ? d->n_rules : 0) + 1, sizeof(*groups)), n = 0;
	bool *used = calloc(most + 1, sizeof(*used));
	int rc = -1;

	if (!policies || !hooks || !groups || !used) {
		err_nomem(err);
		goto out;
	}
	if (most)
		groups_find(groups, used, d);
	for (size_t i = 0; i < most; i++) {
		if (!used[i])
			continue;
		if (policy_make(&policies[n], &hooks[n], d, groups, i, err) < 0) {
			err_prefix(err, "dynamic rules");
			goto out;
		}
		n++;
	}
	if (policies_sort(policies, hooks, n) < 0) {
		err_nomem(err);
		goto out;
	}
	*ret = policies;
	*ret_hooks = hooks;
	*ret_n = n;
	rc = 0;
out:
	free(groups);
	free(used);
	if (rc < 0)
		dynamic_policies_free(policies, hooks, n);
	return rc;
}
