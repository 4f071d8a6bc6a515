/* Entries to a container: each object by itself, then who refers to whom. */
#include <stdlib.h>
#include <string.h>

#include "gpo/container_graph.h"
#include "gpo/objects.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ident.h"

static const char unreadable[] = "cannot be read with this account";

/* ---- each object by itself ---- */

/* An entry that shows no class is not ours to read; its name tells what it is. */
static bool class_of_name(enum object_class *ret, const char *dn)
{
	for (int c = 0; c < OBJ_N_CLASSES; c++) {
		const char *p = dn, *q = object_class_ldap((enum object_class)c);

		if (ascii_lower((uint8_t)p[0]) != 'c' || ascii_lower((uint8_t)p[1]) != 'n' || p[2] != '=')
			return false;
		for (p += 3; *q && ascii_lower((uint8_t)*p) == ascii_lower((uint8_t)*q); p++)
			q++;
		if (!*q && *p == '{') {
			*ret = (enum object_class)c;
			return true;
		}
	}
	return false;
}

static bool class_of(enum object_class *ret, const struct dir_entry *e)
{
	if (!entry_value(e, "objectClass"))
		return class_of_name(ret, e->dn);
	for (int c = 0; c < OBJ_N_CLASSES; c++)
		if (entry_has_class(e, object_class_ldap((enum object_class)c))) {
			*ret = (enum object_class)c;
			return true;
		}
	return false;
}

/* The first reason stays.  -1: no memory. */
static int damage(struct ipsec_object *o, const char *why, struct err *err)
{
	if (o->damage)
		return 0;
	o->damage = arena_strdup(o->link->c->arena, why);
	return o->damage ? 0 : err_nomem(err);
}

/* So that it can at least be named. */
static void names_guess(struct ipsec_object *o)
{
	struct arena *a = o->link->c->arena;
	const char *cn, *brace;
	struct err ignored;

	if (object_parse_text(&o->name, a, o->entry, "ipsecName", &ignored))
		o->name = "";
	if (object_parse_text(&o->description, a, o->entry, "description", &ignored))
		o->description = "";
	cn = guid_is_zero(&o->id) ? dn_rdn_value(a, o->dn, "CN") : NULL;
	brace = cn ? strchr(cn, '{') : NULL;
	if (brace)
		guid_parse(&o->id, brace, strlen(brace));
}

static int object_read(struct ipsec_container *c, enum object_class class, const struct dir_entry *e, size_t slot, struct err *err)
{
	struct ipsec_object **objects = arena_grow(c->arena, c->objects, c->n_objects, sizeof(struct ipsec_object *));
	struct ipsec_object *o = object_new(c, class);
	int rc = 0;

	if (!objects || !o)
		return err_nomem(err);
	c->objects = objects;
	objects[c->n_objects++] = o;
	c->index->by_dn[slot] = o;
	o->entry = e;
	o->dn = e->dn;
	if (!entry_value(e, "objectClass"))
		rc = damage(o, unreadable, err);
	else if (object_parse(o, c->arena, err))
		rc = err->code == ERR_NOMEM ? -1 : damage(o, err->msg, err);
	else if (class == OBJ_LIST)
		rc = list_make_growable(&o->list, c->arena, err);
	else if (class == OBJ_RULE)
		o->rule.value.name = o->rule.value.description = "";
	if (o->damage)
		names_guess(o);
	return rc;
}

/* The entries, kept and known by DN. */
static int entries_read(struct ipsec_container *c, const struct dir_entry *entries, size_t n, struct err *err)
{
	static const char *const all[] = { "*", NULL };
	const struct dir_query q = { c->dn, DIR_ONE, "(objectClass=ipsecBase)", all, 0 };
	struct container_index *x = c->index;
	enum object_class class;

	x->snapshot = snapshot_new();
	x->by_dn = arena_zalloc(c->arena, n, sizeof(struct ipsec_object *));
	if (!x->snapshot || !x->by_dn)
		return err_nomem(err);
	if (snapshot_add(x->snapshot, &q, DIR_OK, entries, n, err))
		return -1;
	entries = x->snapshot->searches[0].entries;
	for (size_t i = 0; i < n; i++) {
		size_t before = x->dns.n, slot;

		if (!class_of(&class, &entries[i]))
			continue;
		slot = dnset_add(&x->dns, entries[i].dn);
		if (slot == DNSET_NONE)
			return err_nomem(err);
		if (slot != before)
			return err_set(err, ERR_FORMAT, "'%s' is there twice", entries[i].dn);
		if (object_read(c, class, &entries[i], slot, err))
			return -1;
	}
	return 0;
}

static bool same_id(const struct ipsec_object *x, const struct ipsec_object *y)
{
	return x->class == y->class && guid_cmp(&x->id, &y->id) == 0;
}

/* Two of one GUID (after conflicting replication, say): the one that has the name that goes
 * with it counts. */
static int twins_settle(struct ipsec_container *c, struct err *err)
{
	for (size_t i = 0; i < c->n_objects; i++) {
		struct ipsec_object *o = c->objects[i];
		bool twin = (i && same_id(c->objects[i - 1], o)) || (i + 1 < c->n_objects && same_id(o, c->objects[i + 1]));
		const char *dn = twin ? object_dn(c->arena, o->class, &o->id, c->dn) : o->dn;

		if (!dn)
			return err_nomem(err);
		if (twin && !dn_equal(dn, o->dn) && damage(o, "another object has the same GUID", err))
			return -1;
	}
	return 0;
}

/* ---- references ---- */

/* In this loop for the first time? */
static bool meet(struct ipsec_object *o, size_t mark)
{
	if (o->link->mark == mark)
		return false;
	o->link->mark = mark;
	return true;
}

static int edges_read(struct ipsec_object *o, const char *name, enum object_class class, struct err *err)
{
	const struct dir_attr *attr = entry_attr(o->entry, name);
	size_t mark = ++o->link->c->index->mark;
	struct ipsec_object *to;

	for (const struct edge *e = o->link->out; e; e = e->next_out)
		meet(e->to, mark);
	for (size_t i = 0; attr && i < attr->n_values; i++) {
		to = object_of_value(o->link->c, &attr->values[i], class);
		if (to && meet(to, mark) && edge_add(o, to, err))
			return -1;
	}
	return 0;
}

static int rules_read(struct ipsec_object *o, struct err *err)
{
	const struct dir_attr *attr = entry_attr(o->entry, "ipsecNFAReference");
	size_t mark = ++o->link->c->index->mark;
	struct ipsec_object **rules, *to;
	const char *dn;

	for (size_t i = 0; attr && i < attr->n_values; i++) {
		if (object_parse_dn(&dn, &attr->values[i], "ipsecNFAReference", err))
			return damage(o, err->msg, err);
		to = object_of_value(o->link->c, &attr->values[i], OBJ_RULE);
		if (!to) {
			o->policy.n_dangling++;
			continue;
		}
		if (!meet(to, mark))
			return damage(o, "ipsecNFAReference names a rule twice", err);
		rules = arena_grow(o->link->c->arena, o->policy.rules, o->policy.n_rules, sizeof(struct ipsec_object *));
		if (!rules)
			return err_nomem(err);
		o->policy.rules = rules;
		if (edge_add(o, to, err))
			return -1;
		rules[o->policy.n_rules++] = to;
	}
	if (o->policy.n_rules)
		qsort(o->policy.rules, o->policy.n_rules, sizeof(struct ipsec_object *), object_cmp);
	return 0;
}

static int policy_refs(struct ipsec_object *o, struct err *err)
{
	const struct dir_attr *attr = entry_attr(o->entry, "ipsecISAKMPReference");
	const char *dn;

	if (object_parse_reference(&dn, o->entry, "ipsecISAKMPReference", false, err))
		return damage(o, err->msg, err);
	if (dn)
		o->policy.isakmp = object_of_value(o->link->c, &attr->values[0], OBJ_ISAKMP);
	if (o->policy.isakmp && edge_add(o, o->policy.isakmp, err))
		return -1;
	return rules_read(o, err);
}

static int rule_refs(struct ipsec_object *o, struct err *err)
{
	const char *list, *action;
	const struct dir_entry *e = o->entry;

	if (object_parse_reference(&action, e, "ipsecNegotiationPolicyReference", true, err) ||
	    object_parse_reference(&list, e, "ipsecFilterReference", false, err))
		return damage(o, err->msg, err);
	o->rule.action = object_of_value(o->link->c, entry_value(e, "ipsecNegotiationPolicyReference"), OBJ_ACTION);
	if (list)
		o->rule.list = object_of_value(o->link->c, entry_value(e, "ipsecFilterReference"), OBJ_LIST);
	o->rule.dangling = !o->rule.action || (list && !o->rule.list);
	o->rule.value.default_response = !list;
	return (o->rule.action && edge_add(o, o->rule.action, err)) ||
	    (o->rule.list && edge_add(o, o->rule.list, err)) ? -1 : 0;
}

/* Sound or not: what a damaged object may need is in use. */
static int refs_read(struct ipsec_object *o, struct err *err)
{
	if (o->class == OBJ_POLICY && !o->damage && policy_refs(o, err))
		return -1;
	if (o->class == OBJ_RULE && !o->damage && rule_refs(o, err))
		return -1;
	if (!o->damage)
		return 0;
	if (o->class == OBJ_POLICY)
		return edges_read(o, "ipsecISAKMPReference", OBJ_ISAKMP, err) ||
		    edges_read(o, "ipsecNFAReference", OBJ_RULE, err) ? -1 : 0;
	if (o->class == OBJ_RULE)
		return edges_read(o, "ipsecNegotiationPolicyReference", OBJ_ACTION, err) ||
		    edges_read(o, "ipsecFilterReference", OBJ_LIST, err) ? -1 : 0;
	return 0;
}

/* A policy that cannot be read refers to nothing that we see: what says that it is its own
 * is believed. */
static int owners_believe(struct ipsec_object *o, struct err *err)
{
	const struct dir_attr *attr = entry_attr(o->entry, "ipsecOwnersReference");
	size_t mark = ++o->link->c->index->mark;
	struct ipsec_object *policy;

	if ((o->class != OBJ_RULE && o->class != OBJ_ISAKMP) || o->link->n_users)
		return 0;
	for (size_t i = 0; attr && i < attr->n_values; i++) {
		policy = object_of_value(o->link->c, &attr->values[i], OBJ_POLICY);
		if (policy && policy->damage && meet(policy, mark) && edge_add(policy, o, err))
			return -1;
	}
	return 0;
}

static void objects_sort(struct ipsec_container *c)
{
	if (c->n_objects)
		qsort(c->objects, c->n_objects, sizeof(struct ipsec_object *), object_cmp);
}

static int graph_read(struct ipsec_container *c, struct err *err)
{
	struct ipsec_object *o;

	for (size_t i = 0; i < c->n_objects; i++) {
		name_index(c->objects[i]);
		if (refs_read(c->objects[i], err))
			return -1;
	}
	for (size_t i = 0; i < c->n_objects; i++)
		if (owners_believe(c->objects[i], err))
			return -1;
	for (size_t i = 0; i < c->n_objects; i++) {
		o = c->objects[i];
		o->link->origin = o->link->owner;
		o->link->used = o->link->n_live > 0;
	}
	return c->index->nomem ? err_nomem(err) : 0;
}

int container_read(struct ipsec_container **ret, const char *dn, const struct dir_entry *entries, size_t n, struct err *err)
{
	struct arena *a = arena_new(0);
	struct ipsec_container *c = a ? arena_zalloc(a, 1, sizeof(*c)) : NULL;
	int rc = -1;

	if (!c) {
		arena_free(a);
		return err_nomem(err);
	}
	c->arena = a;
	c->dn = arena_strdup(a, dn);
	c->index = arena_zalloc(a, 1, sizeof(*c->index));
	if (!c->dn || !c->index) {
		err_nomem(err);
		goto out;
	}
	c->index->dns.a = c->index->names.a = a;
	if (entries_read(c, entries, n, err))
		goto out;
	objects_sort(c);
	if (twins_settle(c, err))
		goto out;
	objects_sort(c);
	if (graph_read(c, err))
		goto out;
	*ret = c;
	c = NULL;
	rc = 0;
out:
	container_free(c);
	return rc;
}

void container_free(struct ipsec_container *c)
{
	if (!c)
		return;
	if (c->index)
		snapshot_free(c->index->snapshot);
	arena_free(c->arena);
}
