/* add, set and delete of policies, and assigning them. */
#include "agent/static.h"

#include <string.h>

#include "agent/random.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

/* ---- what is assigned ---- */

bool policy_is_active(const struct store_edit *e, const struct ipsec_object *policy)
{
	return e->location != LOCATION_DOMAIN && e->active && dn_equal(e->active, policy->dn);
}

/* Can it be enforced as it stands?  What depends on this host's servers is not looked at. */
static int enforceable_check(const struct store_edit *e, const struct ipsec_object *policy, struct err *err)
{
	const struct render_options o = { .ipsecexempt = 3, .lifeline = true };
	struct render_source source = { .gpo_name = "",
	    .store = e->location == LOCATION_PERSISTENT ? RENDER_PERSISTENT : RENDER_LOCAL };
	struct ipsec_policy *p = NULL;
	struct ruleset *rs = NULL;
	int rc = container_policy(&p, e->container, policy, err);

	/* A domain's policy may be for hosts that can do more than this one. */
	if (!rc && e->location != LOCATION_DOMAIN) {
		source.policy = p;
		rc = policy_render(&rs, &source, 1, NULL, &o, err);
	}
	if (rc)
		err_prefix(err, "policy '%s' cannot be assigned", policy->name);
	ruleset_free(rs);
	policy_free(p);
	return rc;
}

/* What the GPO assigns when all that is pending is done.  1: *ret, 0: nothing. */
static int gpo_assigned(const struct store_edit *e, struct backend *b, const char *gpo, const char **ret, struct err *err)
{
	for (size_t i = e->n_gpos; i-- > 0; )
		if (!strcmp(e->gpos[i].gpo, gpo)) {
			*ret = e->gpos[i].policy;
			return *ret != NULL;
		}
	return b->assigned(b, gpo, ret, e->container->arena, err);
}

static int gpo_add(struct store_edit *e, const char *gpo, const char *policy_dn, struct err *err)
{
	struct gpo_assign *gpos = arena_grow(e->container->arena, e->gpos, e->n_gpos, sizeof(*gpos));
	const char *name;

	if (!gpos || edit_strdup(&name, e->container, gpo, err))
		return err_nomem(err);
	e->gpos = gpos;
	gpos[e->n_gpos++] = (struct gpo_assign){ .gpo = name, .policy = policy_dn };
	return 0;
}

static int gpo_check(struct store_edit *e, struct backend *b, const struct ipsec_object *policy, const char *gpo, bool assign, struct err *err)
{
	const char *dn = NULL;
	int rc = gpo_assigned(e, b, gpo, &dn, err);

	if (rc < 0)
		return -1;
	if (assign)
		return enforceable_check(e, policy, err);
	if (!rc)
		return err_set(err, ERR_ABSENT, "GPO '%s' assigns no policy", gpo);
	if (!dn_equal(dn, policy->dn))
		return err_set(err, ERR_FORMAT, "GPO '%s' does not assign policy '%s' but %s", gpo, policy->name, dn);
	return 0;
}

/* Everything that could keep assign= and gponame= from being done. */
static int assign_check(struct store_edit *e, struct backend *b, const struct ipsec_object *policy, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *assign = netsh_arg(a, "assign");
	const char *gpo = arg_text(a, "gponame", NULL);

	if (gpo && e->location != LOCATION_DOMAIN)
		return err_set(err, ERR_FORMAT, "gponame= is for the domain store: this is the %s one", location_name(e->location));
	if (gpo && !assign)
		return err_set(err, ERR_FORMAT, "gponame= without assign=");
	if (!assign)
		return 0;
	if (e->location != LOCATION_DOMAIN)
		return assign->yes ? enforceable_check(e, policy, err) : 0;
	if (!gpo)
		return err_set(err, ERR_FORMAT, "assign= in the domain store needs gponame=");
	return gpo_check(e, b, policy, gpo, assign->yes, err);
}

static int assign_do(struct store_edit *e, const struct ipsec_object *policy, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *assign = netsh_arg(a, "assign");
	bool active = policy_is_active(e, policy);

	if (!assign)
		return 0;
	if (e->location == LOCATION_DOMAIN)
		return gpo_add(e, arg_text(a, "gponame", ""), assign->yes ? policy->dn : NULL, err);
	if (assign->yes != active) {
		e->active = assign->yes ? policy->dn : NULL;
		e->active_changed = true;
	}
	return 0;
}

/* ---- values ---- */

static int minutes_arg(uint32_t *ret, const struct netsh_args *a, const char *tag, uint32_t otherwise, struct err *err)
{
	uint64_t n = arg_number(a, tag, otherwise);

	if (n > UINT32_MAX / 60)
		return err_set(err, ERR_LIMIT, "'%s': %llu minutes are too many", tag, (unsigned long long)n);
	*ret = (uint32_t)n * 60;
	return 0;
}

/* Security methods carry lifetime and limit each, as all known writers have it. */
static void offers_fill(struct ipsec_mm_offer *offers, size_t n, uint32_t life_seconds, uint32_t qm_limit)
{
	for (size_t i = 0; i < n; i++) {
		if (offers[i].random_function)
			continue;
		offers[i].life_seconds = life_seconds;
		offers[i].qm_limit = qm_limit;
	}
}

/* ---- add policy ---- */

struct policy_parts {
	const char		*name, *description;
	struct guid		 id, main_mode;
	uint32_t		 polling_seconds;
	struct ipsec_isakmp	 isakmp;
};

static int policy_parts_read(struct policy_parts *p, struct ipsec_container *c, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *offers = netsh_arg_or_fallback(a, c->arena, "mmsecmethods");
	uint32_t life_seconds = 0;
	void *copy;

	p->name = arg_text(a, "name", "");
	p->description = arg_text(a, "description", "");
	if (edit_name_check(c, OBJ_POLICY, p->name, err) ||
	    edit_text_check(p->description, "description", STATIC_MAX_TEXT, err) ||
	    minutes_arg(&p->polling_seconds, a, "pollinginterval", STATIC_POLLING_MINUTES, err) ||
	    minutes_arg(&life_seconds, a, "mmlifetime", STATIC_MM_LIFE_MINUTES, err) ||
	    guid_random(&p->id, err) || guid_random(&p->main_mode, err))
		return -1;
	if (!offers)
		return err_nomem(err);
	if (edit_copy(&copy, c, offers->mm, offers->n, sizeof(*offers->mm), err))
		return -1;
	p->isakmp.instance = p->main_mode;
	p->isakmp.master_pfs = arg_yes(a, "mmpfs", false);
	p->isakmp.qm_limit = (uint32_t)arg_number(a, "qmpermm", p->isakmp.master_pfs);
	/* 0 is the default, and what Windows' own policies have here. */
	p->isakmp.life_seconds = life_seconds == POLICY_MM_LIFE_DEFAULT ? 0 : life_seconds;
	p->isakmp.offers = copy;
	p->isakmp.n_offers = offers->n;
	offers_fill(p->isakmp.offers, offers->n, life_seconds, p->isakmp.qm_limit);
	return 0;
}

int edit_policy_add(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	struct policy_parts p = { 0 };
	struct ipsec_object *policy, *rule;
	struct err ignored;

	(void)b;
	if (arg_yes(a, "assign", false) && e->location == LOCATION_DOMAIN)
		return err_set(err, ERR_FORMAT, "in the domain store a policy is assigned to a GPO: set policy name=... gponame=... assign=yes");
	if (policy_parts_read(&p, c, a, err))
		return -1;
	policy = container_add(c, OBJ_POLICY, &p.id, &p.main_mode, p.name, p.description, err);
	if (!policy)
		return -1;
	policy->policy.polling_seconds = p.polling_seconds;
	policy->policy.isakmp->isakmp = p.isakmp;
	object_touch(policy->policy.isakmp);
	object_touch(policy);
	if (default_rule_add(&rule, c, policy, arg_yes(a, "activatedefaultrule", true), err) ||
	    (arg_yes(a, "assign", false) && enforceable_check(e, policy, err)) ||
	    assign_do(e, policy, a, err)) {
		object_delete(policy, &ignored);
		return -1;
	}
	return 0;
}

/* ---- set policy ---- */

static bool main_mode_given(const struct netsh_args *a)
{
	return netsh_arg(a, "mmpfs") || netsh_arg(a, "qmpermm") || netsh_arg(a, "mmlifetime") || netsh_arg(a, "mmsecmethods");
}

/* What the methods have in effect now: the first one speaks for all. */
static uint32_t life_now(const struct ipsec_isakmp *m)
{
	if (m->n_offers && m->offers[0].life_seconds)
		return m->offers[0].life_seconds;
	return m->life_seconds ? m->life_seconds : POLICY_MM_LIFE_DEFAULT;
}

static bool has_extra_offers(const struct ipsec_isakmp *m)
{
	for (size_t i = 0; i < m->n_offers; i++)
		if (m->offers[i].random_function)
			return true;
	return m->new_dh[0];
}

static int main_mode_read(struct ipsec_isakmp *m, struct ipsec_container *c, const struct ipsec_object *policy,
    const struct netsh_args *a, struct err *err)
{
	const struct ipsec_object *o = policy->policy.isakmp;
	const struct netsh_value *offers = netsh_arg(a, "mmsecmethods");
	bool new_life = netsh_arg(a, "mmlifetime") != NULL, new_limit = netsh_arg(a, "qmpermm") != NULL;
	uint32_t life = 0;
	void *copy;

	if (!o || o->damage)
		return err_set(err, o ? ERR_FORMAT : ERR_ABSENT, "policy '%s': its main mode %s%s", policy->name,
		    o ? "cannot be changed: " : "is missing", o ? o->damage : "");
	*m = o->isakmp;
	if (minutes_arg(&life, a, "mmlifetime", 0, err) ||
	    edit_copy(&copy, c, offers ? offers->mm : m->offers, offers ? offers->n : m->n_offers, sizeof(*m->offers), err))
		return -1;
	if (!new_life)
		life = life_now(m);
	m->master_pfs = arg_yes(a, "mmpfs", m->master_pfs);
	m->qm_limit = (uint32_t)arg_number(a, "qmpermm", m->qm_limit);
	m->offers = copy;
	if (offers) {
		m->n_offers = offers->n;
		memset(m->new_dh, 0, sizeof(m->new_dh));
		offers_fill(m->offers, m->n_offers, life, m->qm_limit);
	}
	for (size_t i = 0; i < m->n_offers && (new_life || new_limit); i++)
		if (!m->offers[i].random_function) {
			m->offers[i].life_seconds = new_life ? life : m->offers[i].life_seconds;
			m->offers[i].qm_limit = new_limit ? m->qm_limit : m->offers[i].qm_limit;
		}
	if (new_life)
		m->life_seconds = life == POLICY_MM_LIFE_DEFAULT && !has_extra_offers(m) ? 0 : life;
	return 0;
}

static int default_rule_activate(struct ipsec_container *c, struct ipsec_object *policy, bool active, struct err *err)
{
	struct ipsec_object *rule = default_rule_find(policy);

	if (!rule)
		return active ? default_rule_add(&rule, c, policy, true, err) : 0;
	if (rule->rule.value.active != active) {
		rule->rule.value.active = active;
		object_touch(rule);
	}
	return 0;
}

int edit_policy_set(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	const struct netsh_value *activate = netsh_arg(a, "activatedefaultrule");
	struct ipsec_object *policy;
	struct ipsec_isakmp m = { 0 };
	const char *name, *description;
	uint32_t polling = 0;

	if (edit_pick(&policy, c, OBJ_POLICY, a, err) ||
	    edit_texts(&name, &description, c, policy, a, err) ||
	    minutes_arg(&polling, a, "pollinginterval", 0, err) ||
	    (main_mode_given(a) && main_mode_read(&m, c, policy, a, err)) ||
	    assign_check(e, b, policy, a, err))
		return -1;
	/* The first change, and the only one that can fail. */
	if ((activate && default_rule_activate(c, policy, activate->yes, err)) || assign_do(e, policy, a, err))
		return -1;
	if (main_mode_given(a)) {
		m.id = policy->policy.isakmp->isakmp.id;
		policy->policy.isakmp->isakmp = m;
		object_touch(policy->policy.isakmp);
	}
	if (netsh_arg(a, "newname") || netsh_arg(a, "description") || netsh_arg(a, "pollinginterval")) {
		policy->name = name;
		policy->description = description;
		if (polling)
			policy->policy.polling_seconds = polling;
		object_touch(policy);
	}
	return 0;
}

/* ---- delete ---- */

/* "GPO 'a' and 2 others" from the first and how many. */
static int gpo_users_check(const struct store_edit *e, struct backend *b, const struct ipsec_object *policy, struct err *err)
{
	struct gpo_user *gpos = NULL;
	const char *first = NULL;
	char others[40] = "";
	size_t n = 0;

	if (b->users(b, policy->dn, &gpos, &n, e->container->arena, err))
		return -1;
	if (n)
		first = gpos[0].name;
	for (size_t i = 0; i < e->n_gpos && !first; i++)
		if (e->gpos[i].policy && dn_equal(e->gpos[i].policy, policy->dn))
			first = e->gpos[i].gpo;
	if (!first)
		return 0;
	if (n > 1)
		snprintf(others, sizeof(others), " and %zu other%s", n - 1, n > 2 ? "s" : "");
	return err_set(err, ERR_BUSY, "policy '%s' is assigned by GPO '%s'%s: unassign it first (set policy name=\"%s\" gponame=\"%s\" "
	    "assign=no), wait until all members have refreshed (24 hours), then delete it",
	    policy->name, first, others, policy->name, first);
}

static int unassigned_check(const struct store_edit *e, struct backend *b, const struct ipsec_object *policy, struct err *err)
{
	if (e->location == LOCATION_DOMAIN)
		return gpo_users_check(e, b, policy, err);
	if (policy_is_active(e, policy))
		return err_set(err, ERR_BUSY, "policy '%s' is assigned: unassign it first (set policy name=\"%s\" assign=no)",
		    policy->name, policy->name);
	return 0;
}

static int all_unassigned_check(const struct store_edit *e, struct backend *b, struct err *err)
{
	const struct ipsec_container *c = e->container;

	for (size_t i = 0; i < c->n_objects; i++)
		if (c->objects[i]->class == OBJ_POLICY && !c->objects[i]->deleted &&
		    unassigned_check(e, b, c->objects[i], err))
			return -1;
	return 0;
}

/* Deleting moves nothing in the array: deleted objects stay where they are. */
static int class_delete(struct ipsec_container *c, enum object_class class, struct err *err)
{
	for (size_t i = 0; i < c->n_objects; i++)
		if (c->objects[i]->class == class && !c->objects[i]->deleted &&
		    object_delete(c->objects[i], err))
			return -1;
	return 0;
}

int edit_policy_delete(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_object *policy;

	if (arg_yes(a, "all", false)) {
		if (all_unassigned_check(e, b, err))
			return -1;
		return class_delete(e->container, OBJ_POLICY, err);
	}
	if (edit_find_any(&policy, e->container, OBJ_POLICY, arg_text(a, "name", ""), err) ||
	    unassigned_check(e, b, policy, err))
		return -1;
	return object_delete(policy, err);
}

int edit_all_delete(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	static const enum object_class order[] = { OBJ_POLICY, OBJ_RULE, OBJ_LIST, OBJ_ACTION, OBJ_ISAKMP };

	(void)a;
	if (all_unassigned_check(e, b, err))
		return -1;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (class_delete(e->container, order[i], err))
			return -1;
	return 0;
}
