/* What was edited, as changes of directory objects in an order that can be interrupted. */
#include <string.h>

#include "gpo/container_graph.h"
#include "gpo/objects.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

#define OWNERS	"ipsecOwnersReference"

struct edit {
	struct arena		*a, *scratch;
	struct ipsec_container	*c;
	struct dir_change	*changes;
	size_t			 n;
};

static bool is_new(const struct ipsec_object *o)
{
	return !o->entry && !o->deleted;
}

/* Sound, in the directory, and perhaps not as it is there. */
static bool is_edited(const struct ipsec_object *o)
{
	return o->entry && o->changed && !o->deleted && !o->damage;
}

/* ---- the list ---- */

static struct dir_change *change_add(struct edit *ed, enum dir_change_kind kind, const char *dn, struct err *err)
{
	struct dir_change *c = arena_grow(ed->a, ed->changes, ed->n, sizeof(*c));

	if (c) {
		ed->changes = c;
		c += ed->n++;
		c->kind = kind;
		c->dn = arena_strdup(ed->a, dn);
	}
	if (!c || !c->dn) {
		err_nomem(err);
		return NULL;
	}
	return c;
}

/* Nothing of the change may point into the container. */
static int values_copy(struct dir_attr *ret, struct arena *a, const char *name, const struct dir_attr *from)
{
	size_t n = from ? from->n_values : 0;
	struct dir_value *v = arena_zalloc(a, n, sizeof(*v));

	ret->name = arena_strdup(a, name);
	if (!v || !ret->name)
		return -1;
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = arena_zalloc(a, from->values[i].len + 1, 1);

		if (!p)
			return -1;
		if (from->values[i].len)
			memcpy(p, from->values[i].p, from->values[i].len);
		v[i] = (struct dir_value){ p, from->values[i].len };
	}
	ret->values = v;
	ret->n_values = n;
	return 0;
}

/* The mods of one object. */
struct mods {
	struct dir_mod	*mods;
	size_t		 n;
};

/* attr and was: NULL or without values. */
static int mod_add(struct edit *ed, struct mods *m, enum dir_mod_kind kind, const char *name,
    const struct dir_attr *attr, const struct dir_attr *was, struct err *err)
{
	struct dir_mod *mod = arena_grow(ed->a, m->mods, m->n, sizeof(*mod));

	if (!mod || values_copy(&mod[m->n].attr, ed->a, name, attr) || values_copy(&mod[m->n].was, ed->a, name, was))
		return err_nomem(err);
	mod[m->n].kind = kind;
	m->mods = mod;
	m->n++;
	return 0;
}

static int change_modify(struct edit *ed, const struct ipsec_object *o, const struct mods *m, struct err *err)
{
	struct dir_change *c;

	if (m->n == 0)
		return 0;
	c = change_add(ed, CHANGE_MODIFY, o->dn, err);
	if (!c)
		return -1;
	c->mods = m->mods;
	c->n_mods = m->n;
	return 0;
}

/* ---- values of one attribute ---- */

static int value_add(struct edit *ed, struct dir_attr *attr, const void *p, size_t len, struct err *err)
{
	struct dir_value *v = arena_grow(ed->scratch, attr->values, attr->n_values, sizeof(*v));

	if (!v)
		return err_nomem(err);
	attr->values = v;
	v[attr->n_values++] = (struct dir_value){ p, len };
	return 0;
}

static bool values_equal(const struct dir_attr *x, const struct dir_attr *y)
{
	size_t n = x ? x->n_values : 0;

	if (n != (y ? y->n_values : 0))
		return false;
	for (size_t i = 0; i < n; i++)
		if (x->values[i].len != y->values[i].len || memcmp(x->values[i].p, y->values[i].p, x->values[i].len))
			return false;
	return true;
}

/* Does the reference name this very object, and nothing else? */
static bool names_only(const struct dir_attr *attr, const struct ipsec_object *o)
{
	return attr && attr->n_values == 1 && strlen((const char *)attr->values[0].p) == attr->values[0].len &&
	    dn_equal((const char *)attr->values[0].p, o->dn);
}

/* ---- what an object says itself ---- */

/* What it said, written as it would be written now, so that only what means something else
 * differs: real data hold stale memory and other casts.  No attributes: it said nothing sound. */
static int said_before(struct dir_entry *ret, struct edit *ed, const struct ipsec_object *o, struct err *err)
{
	struct ipsec_object old = { .class = o->class, .entry = o->entry, .dn = o->dn, .name = "", .description = "" };
	struct err why;

	if (object_parse(&old, ed->scratch, &why))
		return why.code == ERR_NOMEM ? err_nomem(err) : 0;
	if (o->class == OBJ_ACTION && o->link->used && old.action.default_response != o->action.default_response)
		return err_set(err, ERR_UNSUPPORTED, "cannot change between default response and filters while rules use it");
	if (object_build(ret, ed->scratch, &old, NULL, 0, &why))
		return why.code == ERR_NOMEM ? err_nomem(err) : 0;
	return 0;
}

static int mods_values(struct edit *ed, struct mods *m, const struct ipsec_object *o, const struct dir_entry *want, struct err *err)
{
	/* ipsecDataType stays what it was. */
	static const char *const names[] = {
		"ipsecName", "description", "ipsecID", "ipsecData",
		"iPSECNegotiationPolicyType", "iPSECNegotiationPolicyAction",
	};
	struct dir_entry before = { 0 };

	if (said_before(&before, ed, o, err))
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct dir_attr *is = entry_attr(want, names[i]), *was = entry_attr(o->entry, names[i]);

		if (values_equal(is, was) || (before.n_attrs && values_equal(is, entry_attr(&before, names[i]))))
			continue;
		if (mod_add(ed, m, MOD_REPLACE, names[i], is, was, err))
			return -1;
	}
	return 0;
}

/* ---- what it refers to ---- */

static int mods_reference(struct edit *ed, struct mods *m, const struct ipsec_object *o, const char *name,
    const struct dir_entry *want, const struct ipsec_object *to, struct err *err)
{
	const struct dir_attr *was = entry_attr(o->entry, name);

	if (to ? names_only(was, to) : !was || !was->n_values)
		return 0;
	return mod_add(ed, m, MOD_REPLACE, name, to ? entry_attr(want, name) : NULL, was, err);
}

static int mods_rule(struct edit *ed, struct mods *m, const struct ipsec_object *o, const struct dir_entry *want, struct err *err)
{
	if (o->rule.action &&
	    mods_reference(ed, m, o, "ipsecNegotiationPolicyReference", want, o->rule.action, err))
		return -1;
	/* One that dangles is left as it is. */
	if (!o->rule.list && o->rule.dangling)
		return 0;
	return mods_reference(ed, m, o, "ipsecFilterReference", want, o->rule.list, err);
}

static int mods_policy(struct edit *ed, struct mods *m, const struct ipsec_object *o, const struct dir_entry *want, struct err *err)
{
	const struct dir_attr *was = entry_attr(o->entry, "ipsecNFAReference");
	struct dir_attr gone = { 0 }, come = { 0 };
	size_t mark = ++ed->c->index->mark;

	if (o->policy.isakmp && mods_reference(ed, m, o, "ipsecISAKMPReference", want, o->policy.isakmp, err))
		return -1;
	for (size_t i = 0; was && i < was->n_values; i++) {
		struct ipsec_object *rule = object_of_value(ed->c, &was->values[i], OBJ_RULE);

		/* One that dangles stays, unless it is to go; one that is named twice is so no longer. */
		if (rule ? rule->link->mark != mark && edge_find(o, rule) : o->policy.n_dangling > 0) {
			if (rule)
				rule->link->mark = mark;
		} else if (value_add(ed, &gone, was->values[i].p, was->values[i].len, err)) {
			return -1;
		}
	}
	for (size_t i = 0; i < o->policy.n_rules; i++) {
		const struct ipsec_object *rule = o->policy.rules[i];

		if (rule->link->mark != mark && value_add(ed, &come, rule->dn, strlen(rule->dn), err))
			return -1;
	}
	return (gone.n_values && mod_add(ed, m, MOD_DELETE, "ipsecNFAReference", &gone, NULL, err)) ||
	    (come.n_values && mod_add(ed, m, MOD_ADD, "ipsecNFAReference", &come, NULL, err)) ? -1 : 0;
}

static int object_mods(struct mods *m, struct edit *ed, const struct ipsec_object *o, struct err *err)
{
	struct dir_entry want;

	if (object_build(&want, ed->scratch, o, NULL, 0, err) || mods_values(ed, m, o, &want, err))
		return -1;
	if (o->class == OBJ_RULE)
		return mods_rule(ed, m, o, &want, err);
	return o->class == OBJ_POLICY ? mods_policy(ed, m, o, &want, err) : 0;
}

/* ---- the steps ---- */

/* Every value of a sound object that is to be written must be one that can be read; and an
 * action must suit the rules that use it. */
static int check_all(struct edit *ed, struct err *err)
{
	for (size_t i = 0; i < ed->c->n_objects; i++) {
		const struct ipsec_object *o = ed->c->objects[i];

		if (!is_new(o) && !is_edited(o))
			continue;
		if (!(o->class == OBJ_RULE && o->rule.dangling) && object_check(o, err))
			return object_prefix(err, o);
		for (const struct edge *e = o->class == OBJ_ACTION ? o->link->users : NULL; e; e = e->next)
			if (!e->from->damage && !e->from->rule.dangling && object_lives(e->from) && object_check(e->from, err))
				return object_prefix(err, o);
	}
	return 0;
}

/* The policy that a new rule or main mode names as its owner from the start. */
static const struct ipsec_object *owner_at_once(const struct ipsec_object *o)
{
	const struct ipsec_object *owner = is_new(o) ? o->link->owner : NULL;

	return owner && owner->entry ? owner : NULL;
}

static int step_add(struct edit *ed, enum object_class class, struct err *err)
{
	for (size_t i = 0; i < ed->c->n_objects; i++) {
		const struct ipsec_object *o = ed->c->objects[i], *owner = owner_at_once(o);
		struct dir_entry e;
		struct dir_change *c;

		if (o->class != class || !is_new(o))
			continue;
		if (object_build(&e, ed->a, o, owner ? &owner->dn : NULL, owner ? 1 : 0, err))
			return object_prefix(err, o);
		c = change_add(ed, CHANGE_ADD, o->dn, err);
		if (!c)
			return -1;
		c->attrs = e.attrs;
		c->n_attrs = e.n_attrs;
	}
	return 0;
}

static void policies_affected(const struct ipsec_object *o)
{
	for (const struct edge *e = o->link->users; e; e = e->next) {
		if (e->from->class == OBJ_POLICY)
			e->from->link->affected = true;
		for (const struct edge *p = e->from->class == OBJ_RULE ? e->from->link->users : NULL; p; p = p->next)
			p->from->link->affected = true;
	}
}

/* A policy of which only a part changed is written too: agents look at no other whenChanged.
 * ipsecDataType is what can be written without saying anything: Microsoft's own objects hold
 * 598, the specification and its tools 256, and readers take either. */
static int mods_nudge(struct edit *ed, struct mods *m, const struct ipsec_object *o, struct err *err)
{
	const struct dir_attr *was = entry_attr(o->entry, "ipsecDataType");
	const char *text = entry_text(o->entry, "ipsecDataType");
	struct dir_attr is = { 0 };

	if (value_add(ed, &is, text && !strcmp(text, "256") ? "598" : "256", 3, err))
		return -1;
	return mod_add(ed, m, MOD_REPLACE, "ipsecDataType", &is, was, err);
}

static int step_modify(struct edit *ed, enum object_class class, struct err *err)
{
	for (size_t i = 0; i < ed->c->n_objects; i++) {
		const struct ipsec_object *o = ed->c->objects[i];
		struct mods m = { 0 };

		if (o->class != class || !o->entry || o->deleted || o->damage)
			continue;
		if (o->changed && object_mods(&m, ed, o, err))
			return object_prefix(err, o);
		o->link->modified = m.n > 0;
		if (o->link->modified)
			policies_affected(o);
		else if (o->link->affected && mods_nudge(ed, &m, o, err))
			return -1;
		if (change_modify(ed, o, &m, err))
			return -1;
	}
	return 0;
}

static int step_delete(struct edit *ed, enum object_class class, struct err *err)
{
	for (size_t i = 0; i < ed->c->n_objects; i++) {
		const struct ipsec_object *o = ed->c->objects[i];

		if (o->class == class && o->deleted && o->entry && !change_add(ed, CHANGE_DELETE, o->dn, err))
			return -1;
	}
	return 0;
}

/* ---- reverse pointers ---- */

static void reverse_mark(const struct edit *ed, const struct ipsec_object *o, const char *name, enum object_class class)
{
	const struct dir_attr *attr = o->entry ? entry_attr(o->entry, name) : NULL;

	for (size_t i = 0; attr && i < attr->n_values; i++) {
		struct ipsec_object *to = object_of_value(ed->c, &attr->values[i], class);

		if (to)
			to->link->reverse = true;
	}
}

/* Only of what a policy or rule that changes refers to, or did. */
static void reverse_mark_all(struct edit *ed)
{
	for (size_t i = 0; i < ed->c->n_objects; i++) {
		const struct ipsec_object *o = ed->c->objects[i];

		if (!is_new(o) && !o->link->modified && !(o->entry && o->deleted))
			continue;
		for (const struct edge *e = o->link->out; e; e = e->next_out)
			e->to->link->reverse = true;
		if (o->class == OBJ_POLICY) {
			reverse_mark(ed, o, "ipsecISAKMPReference", OBJ_ISAKMP);
			reverse_mark(ed, o, "ipsecNFAReference", OBJ_RULE);
		} else if (o->class == OBJ_RULE) {
			reverse_mark(ed, o, "ipsecNegotiationPolicyReference", OBJ_ACTION);
			reverse_mark(ed, o, "ipsecFilterReference", OBJ_LIST);
		}
	}
}

static bool is_policy_part(const struct ipsec_object *o)
{
	return o->class == OBJ_RULE || o->class == OBJ_ISAKMP;
}

static int mods_owners_add(struct edit *ed, struct mods *m, const struct ipsec_object *o, struct err *err)
{
	const struct dir_attr *was = o->entry ? entry_attr(o->entry, OWNERS) : NULL;
	const struct ipsec_object *owner = owner_at_once(o);
	struct dnset have = { .a = ed->scratch };
	struct dir_attr come = { 0 };

	for (size_t i = 0; was && i < was->n_values; i++)
		if (dnset_add(&have, (const char *)was->values[i].p) == DNSET_NONE)
			return err_nomem(err);
	if (owner && dnset_add(&have, owner->dn) == DNSET_NONE)
		return err_nomem(err);
	for (const struct edge *e = o->link->users; e; e = e->next) {
		const struct ipsec_object *from = e->from;

		/* A rule of no policy is left alone, and so is what the damaged ones say. */
		if (from->damage || (from->class == OBJ_RULE && !object_lives(from)) || dnset_find(&have, from->dn) != DNSET_NONE)
			continue;
		if (value_add(ed, &come, from->dn, strlen(from->dn), err))
			return -1;
	}
	return come.n_values ? mod_add(ed, m, MOD_ADD, OWNERS, &come, NULL, err) : 0;
}

/* Values that name what is here but does not refer to it any more.  What names nothing stays:
 * a directory may not find a value by the name of an object that is gone. */
static int mods_owners_delete(struct edit *ed, struct mods *m, const struct ipsec_object *o, struct err *err)
{
	const struct dir_attr *was = o->entry ? entry_attr(o->entry, OWNERS) : NULL;
	size_t mark = ++ed->c->index->mark;
	struct dir_attr gone = { 0 };

	for (const struct edge *e = o->link->users; e; e = e->next)
		e->from->link->mark = mark;
	for (size_t i = 0; was && i < was->n_values; i++) {
		const struct ipsec_object *from = object_of_value(ed->c, &was->values[i], is_policy_part(o) ? OBJ_POLICY : OBJ_RULE);

		if (!from || (from->damage && !from->deleted) || from->link->mark == mark)
			continue;
		if (value_add(ed, &gone, was->values[i].p, was->values[i].len, err))
			return -1;
	}
	return gone.n_values ? mod_add(ed, m, MOD_DELETE, OWNERS, &gone, NULL, err) : 0;
}

static bool has_reverse(const struct ipsec_object *o)
{
	return o->link->reverse && !o->deleted && !o->damage;
}

/* Before any policy is deleted: while all that is named still exists. */
static int step_owners(struct edit *ed, struct err *err)
{
	for (size_t i = 0; i < ed->c->n_objects; i++) {
		const struct ipsec_object *o = ed->c->objects[i];
		struct mods m = { 0 };

		if (!has_reverse(o))
			continue;
		if (mods_owners_add(ed, &m, o, err) ||
		    (is_policy_part(o) && mods_owners_delete(ed, &m, o, err)) || change_modify(ed, o, &m, err))
			return -1;
	}
	return 0;
}

/* Behind that: lists and actions forget the rules that are about to go. */
static int step_disown(struct edit *ed, struct err *err)
{
	for (size_t i = 0; i < ed->c->n_objects; i++) {
		const struct ipsec_object *o = ed->c->objects[i];
		struct mods m = { 0 };

		if (!has_reverse(o) || is_policy_part(o))
			continue;
		if (mods_owners_delete(ed, &m, o, err) || change_modify(ed, o, &m, err))
			return -1;
	}
	return 0;
}

static int steps(struct edit *ed, struct err *err)
{
	static const enum object_class parts[] = { OBJ_LIST, OBJ_ACTION, OBJ_ISAKMP, OBJ_RULE };

	for (size_t i = 0; i < 4; i++)
		if (step_add(ed, parts[i], err))
			return -1;
	for (size_t i = 0; i < 4; i++)
		if (step_modify(ed, parts[i], err))
			return -1;
	if (step_add(ed, OBJ_POLICY, err) || step_modify(ed, OBJ_POLICY, err))
		return -1;
	reverse_mark_all(ed);
	if (step_owners(ed, err) || step_delete(ed, OBJ_POLICY, err) || step_disown(ed, err))
		return -1;
	for (size_t i = 4; i-- > 0; )
		if (step_delete(ed, parts[i], err))
			return -1;
	return 0;
}

int container_changes(struct dir_change **ret, size_t *ret_n, struct arena *a, struct ipsec_container *c, struct err *err)
{
	struct edit ed = { .a = a, .scratch = arena_new(0), .c = c };
	int rc = -1;

	if (!ed.scratch)
		return err_nomem(err);
	for (size_t i = 0; i < c->n_objects; i++) {
		struct object_link *link = c->objects[i]->link;

		link->modified = link->affected = link->reverse = false;
	}
	if (!check_all(&ed, err) && !steps(&ed, err)) {
		*ret = ed.changes;
		*ret_n = ed.n;
		rc = 0;
	}
	arena_free(ed.scratch);
	return rc;
}
