#include "gpo/container.h"

#include <string.h>

#include "gpo/container_graph.h"
#include "gpo/objects.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ident.h"

#define SHOWN	5	/* GUIDs listed in a message */

/* ---- finding ---- */

struct ipsec_object *container_find_id(const struct ipsec_container *c, enum object_class class, const struct guid *id)
{
	struct ipsec_object *o = object_of_id(c, class, id);

	return o && !o->deleted ? o : NULL;
}

/* Among objects of one name. */
struct match {
	struct ipsec_object	*sound, *damaged;
	size_t			 n_sound;
	char			 ids[SHOWN * (GUID_TEXT + 1) + 8];
};

static void match_add(struct match *m, struct ipsec_object *o)
{
	size_t len = strlen(m->ids);

	if (o->damage) {
		m->damaged = o;
		return;
	}
	m->sound = o;
	if (m->n_sound++ < SHOWN) {
		m->ids[len] = ' ';
		guid_text(&o->id, m->ids + len + 1);
	} else if (m->n_sound == SHOWN + 1) {
		strcpy(m->ids + len, " ...");
	}
}

static int match_result(struct ipsec_object **ret, const struct match *m, enum object_class class, const char *name, struct err *err)
{
	if (m->n_sound > 1)
		return err_set(err, ERR_FORMAT, "%zu of the %s name '%s':%s", m->n_sound, object_class_name(class), name, m->ids);
	if (m->n_sound == 0 && m->damaged)
		return object_usable_check(m->damaged, err);
	if (m->n_sound == 0)
		return err_set(err, ERR_ABSENT, "%s '%s' does not exist", object_class_name(class), name);
	*ret = m->sound;
	return 0;
}

static bool guid_braced(struct guid *ret, const char *name)
{
	return *name == '{' && guid_parse(ret, name, strlen(name));
}

int container_find(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class, const char *name, struct err *err)
{
	struct ipsec_object *o = NULL;
	struct match m = { 0 };
	struct guid id;

	if (guid_braced(&id, name))
		o = container_find_id(c, class, &id);
	if (o) {
		match_add(&m, o);
		return match_result(ret, &m, class, name, err);
	}
	if (class == OBJ_RULE) {
		/* Their names are in the index by policy. */
		for (size_t i = 0; i < c->n_objects; i++) {
			o = c->objects[i];
			if (o->class == class && !o->deleted && object_lives(o) && *name && ascii_equal(o->name, name))
				match_add(&m, o);
		}
		return match_result(ret, &m, class, name, err);
	}
	if (name_find(&o, c, class, NULL, name, err))
		return -1;
	for (; o; o = o->link->same_next)
		match_add(&m, o);
	return match_result(ret, &m, class, name, err);
}

int container_find_rule(struct ipsec_object **ret, const struct ipsec_object *policy, const char *name, struct err *err)
{
	const struct ipsec_container *c = policy->link->c;
	struct ipsec_object *o = NULL;
	struct match m = { 0 };
	struct guid id;

	if (object_usable_check(policy, err))
		return -1;
	if (guid_braced(&id, name))
		o = container_find_id(c, OBJ_RULE, &id);
	if (o && edge_find(policy, o)) {
		match_add(&m, o);
	} else if (c->index->shared) {
		for (size_t i = 0; i < policy->policy.n_rules; i++)
			if (*name && ascii_equal(policy->policy.rules[i]->name, name))
				match_add(&m, policy->policy.rules[i]);
	} else {
		if (name_find(&o, c, OBJ_RULE, policy, name, err))
			return -1;
		for (; o; o = o->link->same_next)
			match_add(&m, o);
	}
	return match_result(ret, &m, OBJ_RULE, name, err) ? object_prefix(err, policy) : 0;
}

size_t object_users(const struct ipsec_object *o, struct ipsec_object **first)
{
	const struct edge *e = o->link->users;

	if (first) {
		while (e && !(e->from->class == OBJ_RULE && object_lives(e->from)))
			e = e->next;
		*first = e ? e->from : NULL;
	}
	return o->link->n_live;
}

/* ---- adding ---- */

static struct ipsec_object *policy_add(struct ipsec_container *c, const struct guid *id, const struct guid *main_mode_id,
    const char *name, const char *description, struct err *err)
{
	struct ipsec_object *o, *isakmp;

	if (object_id_check(&o, c, OBJ_POLICY, id, err) || object_id_check(&isakmp, c, OBJ_ISAKMP, main_mode_id, err) ||
	    (isakmp && object_owner_check(isakmp, o, err)))
		return NULL;
	o = object_make(c, OBJ_POLICY, id, name, description, err);
	isakmp = o ? object_make(c, OBJ_ISAKMP, main_mode_id, "", "", err) : NULL;
	if (!isakmp || edge_add(o, isakmp, err))
		return NULL;
	o->policy.isakmp = isakmp;
	return o;
}

struct ipsec_object *container_add(struct ipsec_container *c, enum object_class class, const struct guid *id, const struct guid *main_mode_id,
    const char *name, const char *description, struct err *err)
{
	if (class == OBJ_POLICY)
		return policy_add(c, id, main_mode_id, name, description, err);
	if (class != OBJ_LIST && class != OBJ_ACTION) {
		err_set(err, ERR_UNSUPPORTED, "a %s belongs to a policy", object_class_name(class));
		return NULL;
	}
	return object_make(c, class, id, name, description, err);
}

/* Of one of the two references. */
static int refer(struct ipsec_object **ret, struct ipsec_object *rule, struct ipsec_object *to, struct err *err)
{
	struct edge *was = *ret ? edge_find(rule, *ret) : NULL;

	if (!to || *ret == to)
		return 0;
	if (edge_add(rule, to, err))
		return -1;
	if (was)
		edge_drop(was);
	*ret = to;
	return 0;
}

int object_refer(struct ipsec_object *rule, struct ipsec_object *list, struct ipsec_object *action, struct err *err)
{
	bool list_missing = rule->rule.dangling && !rule->rule.list && entry_value(rule->entry, "ipsecFilterReference");

	if (object_usable_check(rule, err) || object_usable_check(list, err) || object_usable_check(action, err) ||
	    refer(&rule->rule.list, rule, list, err) || refer(&rule->rule.action, rule, action, err))
		return -1;
	rule->rule.dangling = !rule->rule.action || (list_missing && !rule->rule.list);
	rule->rule.value.default_response = !rule->rule.list && !rule->rule.dangling;
	object_touch(rule);
	return 0;
}

struct ipsec_object *container_add_rule(struct ipsec_container *c, struct ipsec_object *policy, const struct guid *id, const char *name,
    const char *description, struct ipsec_object *list, struct ipsec_object *action, struct err *err)
{
	struct ipsec_object *o;

	if (object_usable_check(policy, err) || object_usable_check(list, err) || object_usable_check(action, err) ||
	    object_id_check(&o, c, OBJ_RULE, id, err) || (o && object_owner_check(o, policy, err)))
		return NULL;
	if (!action) {
		err_set(err, ERR_FORMAT, "rule '%s': no filter action", name);
		return NULL;
	}
	o = object_make(c, OBJ_RULE, id, name, description, err);
	if (!o || policy_rule_add(policy, o, err) || object_refer(o, list, action, err))
		return NULL;
	object_touch(policy);
	return o;
}

/* ---- deleting ---- */

/* Filter actions of default responses are part of their rule and are seen nowhere else. */
void rule_drop(struct ipsec_object *rule)
{
	struct ipsec_object *action = NULL;

	for (const struct edge *e = rule->link->out; e; e = e->next_out)
		if (e->to->class == OBJ_ACTION)
			action = e->to;
	object_drop(rule);
	if (action && !action->damage && action->action.default_response && !action->link->n_users)
		object_drop(action);
}

static void policy_drop(struct ipsec_object *policy)
{
	struct edge *e;

	while ((e = policy->link->out)) {
		struct ipsec_object *part = e->to;

		edge_drop(e);
		if (part->link->n_users)
			continue;
		if (part->class == OBJ_RULE)
			rule_drop(part);
		else
			object_drop(part);
	}
	object_drop(policy);
	if (!policy->damage) {
		policy->policy.isakmp = NULL;
		policy->policy.n_rules = 0;
	}
}

static int rule_delete(struct ipsec_object *rule, struct err *err)
{
	for (const struct edge *e = rule->link->users; e; e = e->next)
		if (object_usable_check(e->from, err))
			return object_prefix(err, rule);
	while (rule->link->users) {
		struct ipsec_object *policy = rule->link->users->from;

		policy_rule_drop(policy, rule);
		edge_drop(rule->link->users);
		object_touch(policy);
	}
	rule_drop(rule);
	return 0;
}

static int busy_err(const struct ipsec_object *o, const struct ipsec_object *user, struct err *err)
{
	char label[OBJECT_LABEL], by[OBJECT_LABEL], of[OBJECT_LABEL] = "";

	object_label(o, label);
	object_label(user, by);
	if (user->link->owner)
		object_label(user->link->owner, of);
	return err_set(err, ERR_BUSY, "%s is used by %s%s%s", label, by, *of ? " of " : "", of);
}

int object_delete(struct ipsec_object *o, struct err *err)
{
	struct ipsec_object *user = NULL;

	if (o->deleted)
		return 0;
	switch (o->class) {
	case OBJ_POLICY:
		policy_drop(o);
		return 0;
	case OBJ_RULE:
		return rule_delete(o, err);
	case OBJ_ISAKMP:
		user = o->link->owner;
		break;
	default:
		object_users(o, &user);
		break;
	}
	if (user)
		return busy_err(o, user, err);
	object_drop(o);
	return 0;
}
