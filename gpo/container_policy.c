/* A container's objects to a whole policy, and back. */
#include <stdlib.h>
#include <string.h>

#include "gpo/container_graph.h"
#include "gpo/objects.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

/* ---- values from one arena to another ---- */

static int text_copy(const char **text, struct arena *a)
{
	*text = **text ? arena_strdup(a, *text) : "";
	return *text ? 0 : -1;
}

static int filter_copy(struct ipsec_filter *f, struct arena *a)
{
	return text_copy(&f->description, a) || text_copy(&f->src_dns, a) || text_copy(&f->dst_dns, a) ? -1 : 0;
}

int list_make_growable(struct ipsec_filter_list *l, struct arena *a, struct err *err)
{
	size_t room = 8;
	struct ipsec_filter *f;

	while (room < l->n_filters)
		room *= 2;
	f = arena_zalloc(a, room, sizeof(*f));
	if (!f)
		return err_nomem(err);
	if (l->n_filters)
		memcpy(f, l->filters, l->n_filters * sizeof(*f));
	l->filters = f;
	return 0;
}

static int list_copy(struct ipsec_filter_list *l, struct arena *a, struct err *err)
{
	if (list_make_growable(l, a, err))
		return -1;
	for (size_t i = 0; i < l->n_filters; i++)
		if (filter_copy(&l->filters[i], a))
			return err_nomem(err);
	return 0;
}

static int action_copy(struct ipsec_negpol *n, struct arena *a, struct err *err)
{
	n->offers = arena_memdup(a, n->offers, n->n_offers * sizeof(*n->offers));
	return n->offers ? 0 : err_nomem(err);
}

static int isakmp_copy(struct ipsec_isakmp *m, struct arena *a, struct err *err)
{
	m->offers = arena_memdup(a, m->offers, m->n_offers * sizeof(*m->offers));
	return m->offers ? 0 : err_nomem(err);
}

static int rule_copy(struct ipsec_rule *r, struct arena *a, struct err *err)
{
	r->auth = arena_memdup(a, r->auth, r->n_auth * sizeof(*r->auth));
	if (!r->auth || text_copy(&r->interface_name, a) || text_copy(&r->tunnel_name, a))
		return err_nomem(err);
	for (size_t i = 0; i < r->n_auth; i++) {
		struct ipsec_auth *m = &r->auth[i];

		if (text_copy(&m->text, a))
			return err_nomem(err);
		if (!m->alt)
			continue;
		m->alt = arena_memdup(a, m->alt, m->alt_len);
		if (!m->alt)
			return err_nomem(err);
	}
	return 0;
}

int container_add_filter(struct ipsec_container *c, struct ipsec_object *list, const struct ipsec_filter *f, struct err *err)
{
	struct ipsec_filter copy = *f, *filters;

	if (object_usable_check(list, err))
		return -1;
	filters = arena_grow(c->arena, list->list.filters, list->list.n_filters, sizeof(*filters));
	if (!filters || filter_copy(&copy, c->arena))
		return err_nomem(err);
	list->list.filters = filters;
	filters[list->list.n_filters++] = copy;
	object_touch(list);
	return 0;
}

/* ---- objects to a policy ---- */

/* Objects that rules refer to, by GUID, each once. */
struct parts {
	const struct ipsec_object	**o;
	size_t				  n;
};

struct gather {
	struct ipsec_policy		*p;
	struct arena			*scratch;
	const struct ipsec_object	*policy;
	struct parts			 lists, actions;
};

static int missing(const struct ipsec_object *o, const char *what, struct err *err)
{
	err_set(err, ERR_ABSENT, "%s does not exist", what);
	return object_prefix(err, o);
}

static int rule_usable(const struct ipsec_object *r, struct err *err)
{
	if (object_usable_check(r, err))
		return -1;
	if (!r->rule.action)
		return missing(r, "its filter action", err);
	if (r->rule.dangling)
		return missing(r, "its filter list", err);
	if (object_usable_check(r->rule.list, err) || object_usable_check(r->rule.action, err))
		return object_prefix(err, r);
	return 0;
}

static int policy_usable(const struct ipsec_object *o, struct err *err)
{
	if (object_usable_check(o, err))
		return -1;
	if (!o->policy.isakmp)
		return missing(o, "its main mode", err);
	if (o->policy.n_dangling)
		return missing(o, o->policy.n_dangling > 1 ? "more than one of its rules" : "one of its rules", err);
	if (object_usable_check(o->policy.isakmp, err))
		return object_prefix(err, o);
	for (size_t i = 0; i < o->policy.n_rules; i++)
		if (rule_usable(o->policy.rules[i], err))
			return object_prefix(err, o);
	return 0;
}

static void parts_sort(struct parts *s)
{
	size_t kept = 0;

	if (s->n)
		qsort(s->o, s->n, sizeof(*s->o), object_cmp);
	for (size_t i = 0; i < s->n; i++)
		if (!kept || s->o[kept - 1] != s->o[i])
			s->o[kept++] = s->o[i];
	s->n = kept;
}

static int parts_gather(struct gather *g, struct err *err)
{
	size_t n = g->policy->policy.n_rules;

	g->lists.o = arena_zalloc(g->scratch, n, sizeof(*g->lists.o));
	g->actions.o = arena_zalloc(g->scratch, n, sizeof(*g->actions.o));
	if (!g->lists.o || !g->actions.o)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		const struct ipsec_object *r = g->policy->policy.rules[i];

		if (r->rule.list)
			g->lists.o[g->lists.n++] = r->rule.list;
		g->actions.o[g->actions.n++] = r->rule.action;
	}
	parts_sort(&g->lists);
	parts_sort(&g->actions);
	return 0;
}

static size_t part_at(const struct parts *s, const struct ipsec_object *o)
{
	const struct ipsec_object **at = bsearch(&o, s->o, s->n, sizeof(*s->o), object_cmp);

	return (size_t)(at - s->o);
}

static int names_copy(const char **name, const char **description, struct arena *a, const struct ipsec_object *o, struct err *err)
{
	*name = o->name;
	*description = o->description;
	return text_copy(name, a) || text_copy(description, a) ? err_nomem(err) : 0;
}

static int lists_fill(struct gather *g, struct err *err)
{
	struct ipsec_policy *p = g->p;

	p->filter_lists = arena_zalloc(p->arena, g->lists.n, sizeof(*p->filter_lists));
	p->negpols = arena_zalloc(p->arena, g->actions.n, sizeof(*p->negpols));
	if (!p->filter_lists || !p->negpols)
		return err_nomem(err);
	for (size_t i = 0; i < g->lists.n; i++) {
		struct ipsec_filter_list *l = &p->filter_lists[i];

		*l = g->lists.o[i]->list;
		l->id = g->lists.o[i]->id;
		if (list_copy(l, p->arena, err) || names_copy(&l->name, &l->description, p->arena, g->lists.o[i], err))
			return -1;
	}
	for (size_t i = 0; i < g->actions.n; i++) {
		struct ipsec_negpol *n = &p->negpols[i];

		*n = g->actions.o[i]->action;
		n->id = g->actions.o[i]->id;
		if (action_copy(n, p->arena, err) || names_copy(&n->name, &n->description, p->arena, g->actions.o[i], err))
			return -1;
	}
	p->n_filter_lists = g->lists.n;
	p->n_negpols = g->actions.n;
	return 0;
}

static int rules_fill(struct gather *g, struct err *err)
{
	struct ipsec_policy *p = g->p;
	size_t n = g->policy->policy.n_rules;

	p->rules = arena_zalloc(p->arena, n, sizeof(*p->rules));
	if (!p->rules)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		const struct ipsec_object *o = g->policy->policy.rules[i];
		struct ipsec_rule *r = &p->rules[i];

		*r = o->rule.value;
		r->id = o->id;
		if (rule_copy(r, p->arena, err) || names_copy(&r->name, &r->description, p->arena, o, err))
			return -1;
		r->default_response = !o->rule.list;
		r->filter_list = o->rule.list ? &p->filter_lists[part_at(&g->lists, o->rule.list)] : NULL;
		r->negpol = &p->negpols[part_at(&g->actions, o->rule.action)];
	}
	p->n_rules = n;
	return 0;
}

static int policy_fill(struct gather *g, struct err *err)
{
	const struct ipsec_object *o = g->policy;
	struct ipsec_policy *p = g->p;

	p->id = o->id;
	p->dn = o->dn;
	p->polling_seconds = o->policy.polling_seconds;
	p->isakmp = o->policy.isakmp->isakmp;
	p->isakmp.id = o->policy.isakmp->id;
	if (text_copy(&p->dn, p->arena))
		return err_nomem(err);
	return names_copy(&p->name, &p->description, p->arena, o, err) ||
	    (o->entry && object_parse_text(&p->when_changed, p->arena, o->entry, "whenChanged", err)) ||
	    isakmp_copy(&p->isakmp, p->arena, err) || parts_gather(g, err) || lists_fill(g, err) ||
	    rules_fill(g, err) || policy_check(p, err) ? object_prefix(err, o) : 0;
}

int container_policy(struct ipsec_policy **ret, const struct ipsec_container *c, const struct ipsec_object *policy, struct err *err)
{
	struct gather g = { .policy = policy };
	int rc = -1;

	(void)c;
	if (policy_usable(policy, err))
		return -1;
	g.p = policy_new();
	g.scratch = arena_new(0);
	if (!g.p || !g.scratch) {
		err_nomem(err);
		goto out;
	}
	if (policy_fill(&g, err))
		goto out;
	*ret = g.p;
	g.p = NULL;
	rc = 0;
out:
	arena_free(g.scratch);
	policy_free(g.p);
	return rc;
}

/* ---- a policy to objects ---- */

/* May an object of this GUID be replaced or made?  policy: of rules and main modes, NULL: it is new. */
static int put_check(const struct ipsec_container *c, enum object_class class, const struct guid *id, const struct ipsec_object *policy, struct err *err)
{
	struct ipsec_object *o = object_of_id(c, class, id);

	if (!o || o->deleted) {
		if (object_id_check(&o, c, class, id, err))
			return -1;
	} else if (o->entry && !entry_value(o->entry, "objectClass"))
		return object_usable_check(o, err);
	if (o && (class == OBJ_RULE || class == OBJ_ISAKMP))
		return object_owner_check(o, policy, err);
	return 0;
}

static int put_check_all(const struct ipsec_container *c, const struct ipsec_policy *p, struct err *err)
{
	const struct ipsec_object *policy = object_of_id(c, OBJ_POLICY, &p->id);

	if (policy_check(p, err) || put_check(c, OBJ_POLICY, &p->id, policy, err) ||
	    put_check(c, OBJ_ISAKMP, &p->isakmp.id, policy, err))
		return -1;
	for (size_t i = 0; i < p->n_filter_lists; i++)
		if (put_check(c, OBJ_LIST, &p->filter_lists[i].id, policy, err))
			return -1;
	for (size_t i = 0; i < p->n_negpols; i++)
		if (put_check(c, OBJ_ACTION, &p->negpols[i].id, policy, err))
			return -1;
	for (size_t i = 0; i < p->n_rules; i++)
		if (put_check(c, OBJ_RULE, &p->rules[i].id, policy, err))
			return -1;
	return 0;
}

/* Empty but for its texts. */
static struct ipsec_object *put_object(struct ipsec_container *c, enum object_class class, const struct guid *id,
    const char *name, const char *description, struct err *err)
{
	struct ipsec_object *o = object_of_id(c, class, id);

	if (!o || o->deleted)
		return object_make(c, class, id, name, description, err);
	return object_reset(o, name, description, err) ? NULL : o;
}

static int put_list(struct ipsec_container *c, const struct ipsec_filter_list *l, struct err *err)
{
	struct ipsec_object *o = put_object(c, OBJ_LIST, &l->id, l->name, l->description, err);

	if (!o)
		return -1;
	o->list = *l;
	o->list.name = o->list.description = "";
	return list_copy(&o->list, c->arena, err);
}

static int put_action(struct ipsec_container *c, const struct ipsec_negpol *n, struct err *err)
{
	struct ipsec_object *o = put_object(c, OBJ_ACTION, &n->id, n->name, n->description, err);

	if (!o)
		return -1;
	o->action = *n;
	o->action.name = o->action.description = "";
	return action_copy(&o->action, c->arena, err);
}

static int put_rule(struct ipsec_container *c, struct ipsec_object *policy, const struct ipsec_rule *r, struct err *err)
{
	struct ipsec_object *o = put_object(c, OBJ_RULE, &r->id, r->name, r->description, err);
	struct ipsec_object *action = container_find_id(c, OBJ_ACTION, &r->negpol->id);
	struct ipsec_object *list = r->filter_list ? container_find_id(c, OBJ_LIST, &r->filter_list->id) : NULL;

	if (!o)
		return -1;
	o->rule.value = *r;
	o->rule.value.name = o->rule.value.description = "";
	o->rule.value.filter_list = NULL;
	o->rule.value.negpol = NULL;
	if (rule_copy(&o->rule.value, c->arena, err))
		return -1;
	while (o->link->out)
		edge_drop(o->link->out);
	return policy_rule_add(policy, o, err) || object_refer(o, list, action, err) ? -1 : 0;
}

static int part_add(struct parts *s, struct arena *a, const struct ipsec_object *o, struct err *err)
{
	const struct ipsec_object **grown = arena_grow(a, s->o, s->n, sizeof(*s->o));

	if (!grown)
		return err_nomem(err);
	s->o = grown;
	grown[s->n++] = o;
	return 0;
}

/* What the policy had: rules and main mode, and what its rules use. */
static int old_parts(struct parts *ret, struct arena *a, const struct ipsec_object *policy, struct err *err)
{
	for (const struct edge *e = policy ? policy->link->out : NULL; e; e = e->next_out) {
		if (part_add(ret, a, e->to, err))
			return -1;
		for (const struct edge *part = e->to->link->out; part; part = part->next_out)
			if (part_add(ret, a, part->to, err))
				return -1;
	}
	return 0;
}

/* Of these, what nobody needs any more. */
static void old_drop(const struct ipsec_container *c, const struct parts *old)
{
	for (size_t i = 0; i < old->n; i++) {
		struct ipsec_object *o = container_find_id(c, old->o[i]->class, &old->o[i]->id);

		if (!o || o != old->o[i] || o->link->n_users)
			continue;
		if (o->class == OBJ_RULE)
			rule_drop(o);
		else if (o->class == OBJ_ISAKMP || (o->class == OBJ_ACTION && !o->damage && o->action.default_response))
			object_drop(o);
	}
}

static int put_parts(struct ipsec_container *c, struct ipsec_object *policy, const struct ipsec_policy *p, struct err *err)
{
	struct ipsec_object *isakmp = put_object(c, OBJ_ISAKMP, &p->isakmp.id, "", "", err);

	if (!isakmp)
		return -1;
	isakmp->isakmp = p->isakmp;
	if (isakmp_copy(&isakmp->isakmp, c->arena, err) || edge_add(policy, isakmp, err))
		return -1;
	policy->policy.isakmp = isakmp;
	for (size_t i = 0; i < p->n_filter_lists; i++)
		if (put_list(c, &p->filter_lists[i], err))
			return -1;
	for (size_t i = 0; i < p->n_negpols; i++)
		if (put_action(c, &p->negpols[i], err))
			return -1;
	for (size_t i = 0; i < p->n_rules; i++)
		if (put_rule(c, policy, &p->rules[i], err))
			return -1;
	return 0;
}

int container_put_policy(struct ipsec_container *c, const struct ipsec_policy *p, struct err *err)
{
	struct arena *scratch = arena_new(0);
	struct ipsec_object *policy;
	struct parts old = { 0 };
	int rc = -1;

	if (!scratch)
		return err_nomem(err);
	if (put_check_all(c, p, err) || old_parts(&old, scratch, object_of_id(c, OBJ_POLICY, &p->id), err))
		goto out;
	policy = put_object(c, OBJ_POLICY, &p->id, p->name, p->description, err);
	if (!policy)
		goto out;
	while (policy->link->out)
		edge_drop(policy->link->out);
	policy->policy.polling_seconds = p->polling_seconds;
	if (put_parts(c, policy, p, err))
		goto out;
	old_drop(c, &old);
	rc = 0;
out:
	arena_free(scratch);
	return rc;
}
