#include "gpo/container_graph.h"

#include <stdlib.h>
#include <string.h>

#include "gpo/objects.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ident.h"

/* ---- objects, by class and GUID ---- */

static int object_id_cmp(const struct ipsec_object *o, enum object_class class, const struct guid *id)
{
	return o->class == class ? guid_cmp(&o->id, id) : o->class < class ? -1 : 1;
}

int object_cmp(const void *x, const void *y)
{
	const struct ipsec_object *const *p = x, *const *q = y;
	int cmp = object_id_cmp(*p, (*q)->class, &(*q)->id);

	/* The sound one first: it is what a GUID finds. */
	if (!cmp)
		cmp = ((*p)->damage != NULL) - ((*q)->damage != NULL);
	return cmp ? cmp : strcmp((*p)->dn, (*q)->dn);
}

/* Index of the first that is not before. */
static size_t object_at(const struct ipsec_container *c, enum object_class class, const struct guid *id)
{
	size_t lo = 0, hi = c->n_objects;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (object_id_cmp(c->objects[mid], class, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct ipsec_object *object_of_id(const struct ipsec_container *c, enum object_class class, const struct guid *id)
{
	size_t i = object_at(c, class, id);

	return i < c->n_objects && !object_id_cmp(c->objects[i], class, id) ? c->objects[i] : NULL;
}

struct ipsec_object *object_of_dn(const struct ipsec_container *c, const char *dn)
{
	size_t i = dnset_find(&c->index->dns, dn);

	return i == DNSET_NONE ? NULL : c->index->by_dn[i];
}

struct ipsec_object *object_of_value(const struct ipsec_container *c, const struct dir_value *v, enum object_class class)
{
	struct ipsec_object *o = NULL;

	if (v->len && strlen((const char *)v->p) == v->len)
		o = object_of_dn(c, (const char *)v->p);
	return o && o->class == class ? o : NULL;
}

struct ipsec_object *object_new(struct ipsec_container *c, enum object_class class)
{
	struct ipsec_object *o = arena_zalloc(c->arena, 1, sizeof(*o));
	struct object_link *link = arena_zalloc(c->arena, 1, sizeof(*link));

	if (!o || !link)
		return NULL;
	link->c = c;
	o->link = link;
	o->class = class;
	o->name = o->description = "";
	return o;
}

int object_insert(struct ipsec_container *c, struct ipsec_object *o, struct err *err)
{
	size_t i = object_at(c, o->class, &o->id);
	struct ipsec_object **objects = arena_grow(c->arena, c->objects, c->n_objects, sizeof(struct ipsec_object *));

	if (!objects)
		return err_nomem(err);
	memmove(objects + i + 1, objects + i, (c->n_objects - i) * sizeof(struct ipsec_object *));
	objects[i] = o;
	c->objects = objects;
	c->n_objects++;
	return 0;
}

int object_usable_check(const struct ipsec_object *o, struct err *err)
{
	char label[OBJECT_LABEL];

	if (!o || (!o->damage && !o->deleted))
		return 0;
	object_label(o, label);
	if (o->damage)
		return err_set(err, ERR_FORMAT, "%s cannot be used: %s", label, o->damage);
	return err_set(err, ERR_ABSENT, "%s is deleted", label);
}

/* No text of a value is ever NULL. */
static void value_reset(struct ipsec_object *o)
{
	switch (o->class) {
	case OBJ_POLICY:
		memset(&o->policy, 0, sizeof(o->policy));
		o->policy.polling_seconds = POLICY_POLLING_DEFAULT;
		break;
	case OBJ_ISAKMP:
		memset(&o->isakmp, 0, sizeof(o->isakmp));
		break;
	case OBJ_RULE:
		memset(&o->rule, 0, sizeof(o->rule));
		o->rule.value.name = o->rule.value.description = "";
		o->rule.value.interface_name = o->rule.value.tunnel_name = "";
		break;
	case OBJ_LIST:
		memset(&o->list, 0, sizeof(o->list));
		o->list.name = o->list.description = "";
		break;
	default:
		memset(&o->action, 0, sizeof(o->action));
		o->action.name = o->action.description = "";
		break;
	}
}

int object_reset(struct ipsec_object *o, const char *name, const char *description, struct err *err)
{
	struct arena *a = o->link->c->arena;
	const char *n = arena_strdup(a, name), *d = arena_strdup(a, description);

	if (!n || !d)
		return err_nomem(err);
	value_reset(o);
	o->name = n;
	o->description = d;
	o->damage = NULL;
	o->deleted = false;
	object_touch(o);
	return 0;
}

int object_id_check(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class,
    const struct guid *id, struct err *err)
{
	struct ipsec_object *o = object_of_id(c, class, id), *there = NULL;
	char text[GUID_TEXT];

	if (!o || o->deleted) {
		const char *dn = object_dn(c->arena, class, id, c->dn);

		if (!dn)
			return err_nomem(err);
		there = object_of_dn(c, dn);
	}
	if (o && o->entry && !entry_value(o->entry, "objectClass"))
		return object_usable_check(o, err);
	/* An object of another GUID under our name would be in the way, even one that is to go. */
	if ((o && !o->deleted) || (there && there != o)) {
		guid_text(id, text);
		return err_set(err, ERR_FORMAT, "%s %s exists already", object_class_name(class), text);
	}
	*ret = o;
	return 0;
}

int object_owner_check(const struct ipsec_object *o, const struct ipsec_object *policy, struct err *err)
{
	const struct object_link *link = o->link;
	const struct ipsec_object *other = NULL;
	char text[GUID_TEXT];

	if (link->owner && link->owner != policy)
		other = link->owner;
	else if (link->origin && link->origin != policy)
		other = link->origin;
	else if (link->n_users > 1)
		other = link->users->from == policy ? link->users->next->from : link->users->from;
	if (!other)
		return 0;
	err_set(err, ERR_FORMAT, "of another policy");
	object_prefix(err, other);
	guid_text(&o->id, text);
	return err_prefix(err, "%s %s", object_class_name(o->class), text);
}

struct ipsec_object *object_make(struct ipsec_container *c, enum object_class class, const struct guid *id,
    const char *name, const char *description, struct err *err)
{
	struct ipsec_object *o = NULL;

	if (object_id_check(&o, c, class, id, err))
		return NULL;
	if (o)
		return object_reset(o, name, description, err) ? NULL : o;
	o = object_new(c, class);
	if (o) {
		o->id = *id;
		o->dn = object_dn(c->arena, class, id, c->dn);
	}
	if (!o || !o->dn) {
		err_nomem(err);
		return NULL;
	}
	if (object_insert(c, o, err))
		return NULL;
	return object_reset(o, name, description, err) ? NULL : o;
}

void object_drop(struct ipsec_object *o)
{
	while (o->link->out)
		edge_drop(o->link->out);
	o->deleted = true;
	name_index(o);
}

/* ---- references ---- */

bool object_lives(const struct ipsec_object *rule)
{
	return rule->link->n_users > 0;
}

/* Rule or main mode: who owns it is what it says itself, too. */
static void owner_set(struct ipsec_object *o)
{
	o->link->owner = o->link->users ? o->link->users->from : NULL;
	if (o->class != OBJ_RULE)
		return;
	if (!o->damage)
		o->rule.policy = o->link->owner;
	name_index(o);
}

/* A rule came to its first policy or lost its last one. */
static void live_count(struct ipsec_object *rule, int by)
{
	for (struct edge *e = rule->link->out; e; e = e->next_out)
		e->to->link->n_live += (size_t)by;
}

struct edge *edge_find(const struct ipsec_object *from, const struct ipsec_object *to)
{
	struct edge *e;

	/* A policy has many rules, a rule few policies; a list has many rules, a rule few lists. */
	if (from->class == OBJ_POLICY) {
		for (e = to->link->users; e && e->from != from; )
			e = e->next;
		return e;
	}
	for (e = from->link->out; e && e->to != to; )
		e = e->next_out;
	return e;
}

int edge_add(struct ipsec_object *from, struct ipsec_object *to, struct err *err)
{
	struct object_link *f = from->link, *t = to->link;
	struct edge *e = arena_zalloc(f->c->arena, 1, sizeof(*e));

	if (!e)
		return err_nomem(err);
	e->from = from;
	e->to = to;
	e->next_out = f->out;
	if (f->out)
		f->out->prev_out = e;
	f->out = e;
	e->prev = t->last_user;
	*(t->last_user ? &t->last_user->next : &t->users) = e;
	t->last_user = e;
	t->n_users++;
	if (from->class == OBJ_RULE) {
		t->n_live += object_lives(from);
		return 0;
	}
	if (to->class == OBJ_RULE && t->n_users == 1)
		live_count(to, 1);
	if (to->class == OBJ_RULE && t->n_users == 2)
		f->c->index->shared = true;
	owner_set(to);
	return 0;
}

void edge_drop(struct edge *e)
{
	struct object_link *f = e->from->link, *t = e->to->link;

	*(e->prev ? &e->prev->next : &t->users) = e->next;
	*(e->next ? &e->next->prev : &t->last_user) = e->prev;
	*(e->prev_out ? &e->prev_out->next_out : &f->out) = e->next_out;
	if (e->next_out)
		e->next_out->prev_out = e->prev_out;
	t->n_users--;
	if (e->from->class == OBJ_RULE) {
		t->n_live -= object_lives(e->from);
		return;
	}
	if (e->to->class == OBJ_RULE && t->n_users == 0)
		live_count(e->to, -1);
	owner_set(e->to);
}

static size_t rule_at(const struct ipsec_object *policy, const struct ipsec_object *rule)
{
	size_t lo = 0, hi = policy->policy.n_rules;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (guid_cmp(&policy->policy.rules[mid]->id, &rule->id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int policy_rule_add(struct ipsec_object *policy, struct ipsec_object *rule, struct err *err)
{
	struct ipsec_container *c = policy->link->c;
	size_t i = rule_at(policy, rule), n = policy->policy.n_rules;
	struct ipsec_object **rules = arena_grow(c->arena, policy->policy.rules, n, sizeof(struct ipsec_object *));

	if (!rules)
		return err_nomem(err);
	policy->policy.rules = rules;
	if (edge_add(policy, rule, err))
		return -1;
	memmove(rules + i + 1, rules + i, (n - i) * sizeof(struct ipsec_object *));
	rules[i] = rule;
	policy->policy.n_rules++;
	return 0;
}

void policy_rule_drop(struct ipsec_object *policy, const struct ipsec_object *rule)
{
	struct ipsec_object **rules = policy->policy.rules;
	size_t i = rule_at(policy, rule), n = policy->policy.n_rules;

	/* Damaged ones may share a GUID. */
	while (i < n && rules[i] != rule)
		i++;
	if (i < n) {
		memmove(rules + i, rules + i + 1, (n - i - 1) * sizeof(struct ipsec_object *));
		policy->policy.n_rules--;
	}
}

/* ---- names ---- */

/* What equal names of one class have in common, for rules within one policy.  With ':' behind its
 * first letter it is no DN, so that dnset compares the bytes. */
static char *name_key(const struct ipsec_object *policy, enum object_class class, const char *name)
{
	char owner[GUID_TEXT] = "", *key;
	size_t len = strlen(name), head;

	if (policy)
		guid_text(&policy->id, owner);
	head = 2 + strlen(owner);
	key = malloc(head + len + 1);
	if (!key)
		return NULL;
	key[0] = (char)('0' + class);
	key[1] = ':';
	memcpy(key + 2, owner, head - 2);
	for (size_t i = 0; i <= len; i++)
		key[head + i] = (char)ascii_lower((uint8_t)name[i]);
	return key;
}

static void name_unlink(struct ipsec_object *o)
{
	struct object_link *link = o->link;
	struct ipsec_object **first = &link->c->index->by_name[link->slot];

	*(link->same_prev ? &link->same_prev->link->same_next : first) = link->same_next;
	if (link->same_next)
		link->same_next->link->same_prev = link->same_prev;
	link->same_next = link->same_prev = NULL;
	link->indexed = NULL;
}

/* The slot of a key that stays. */
static size_t name_slot(struct ipsec_container *c, const char *key)
{
	struct container_index *x = c->index;
	size_t i = dnset_find(&x->names, key), n = x->names.n;
	struct ipsec_object **by_name;
	const char *copy;

	if (i != DNSET_NONE)
		return i;
	copy = arena_strdup(c->arena, key);
	by_name = arena_grow(c->arena, x->by_name, n, sizeof(struct ipsec_object *));
	if (!copy || !by_name)
		return DNSET_NONE;
	x->by_name = by_name;
	return dnset_add(&x->names, copy);
}

static void name_link(struct ipsec_object *o)
{
	struct object_link *link = o->link;
	struct ipsec_container *c = link->c;
	char *key = name_key(o->class == OBJ_RULE ? link->owner : NULL, o->class, o->name);
	size_t slot = key ? name_slot(c, key) : DNSET_NONE;

	free(key);
	if (slot == DNSET_NONE) {
		c->index->nomem = true;
		return;
	}
	link->slot = slot;
	link->indexed = o->name;
	link->same_next = c->index->by_name[slot];
	if (link->same_next)
		link->same_next->link->same_prev = o;
	c->index->by_name[slot] = o;
}

/* Objects without a name are many, and never looked up. */
void name_index(struct ipsec_object *o)
{
	if (o->link->indexed)
		name_unlink(o);
	if (!o->deleted && *o->name)
		name_link(o);
}

void object_touch(struct ipsec_object *o)
{
	const char *was = o->link->indexed;

	o->changed = true;
	if (!was || o->deleted || (was != o->name && strcmp(was, o->name)))
		name_index(o);
	else
		o->link->indexed = o->name;
}

int name_find(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class,
    const struct ipsec_object *policy, const char *name, struct err *err)
{
	char *key;
	size_t slot;

	if (c->index->nomem)
		return err_nomem(err);
	key = name_key(policy, class, name);
	if (!key)
		return err_nomem(err);
	slot = dnset_find(&c->index->names, key);
	free(key);
	*ret = slot == DNSET_NONE ? NULL : c->index->by_name[slot];
	return 0;
}
