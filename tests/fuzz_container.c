/* A container with damage anywhere, edited anyhow: nothing is written that a directory would refuse,
 * and no policy that was complete is not so after any of the changes, unless it is gone. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpo/assemble.h"
#include "gpo/container.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"
#include "tests/world.c"	/* fuzzers are of one file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONTAINER	"CN=IP Security,DC=x"
#define MAX_DAMAGE	8
#define MAX_EDITS	24

static const uint8_t *in, *in_end;
static struct err err;

static uint8_t next(void)
{
	return in < in_end ? *in++ : 0;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* ---- the directory and its damage ---- */

/* Made once, and a copy each time. */
static void world_examples(struct world *w)
{
	static struct world base;
	struct ipsec_container *c = NULL;
	struct dir_change *changes = NULL;
	size_t n = 0;

	if (!base.a) {
		base.a = need(arena_new(0));
		must(!container_read(&c, CONTAINER, NULL, 0, &err) && !container_put_examples(c, &err) &&
		    !container_changes(&changes, &n, base.a, c, &err), err.msg);
		for (size_t i = 0; i < n; i++)
			must(!world_apply(&base, &changes[i]), "the examples");
		container_free(c);
	}
	world_add(w, base.e, base.n);
}

static struct dir_entry *some_entry(const struct world *w)
{
	return &w->e[next() % w->n];
}

/* objectClass is either there or not: an object is of one class. */
static void world_damage(struct world *w)
{
	static const char *const names[] = { "ipsecName", "ipsecID", "ipsecData", "ipsecDataType", "iPSECNegotiationPolicyType",
	    "iPSECNegotiationPolicyAction", "description", "ipsecOwnersReference", "ipsecNFAReference", "ipsecISAKMPReference",
	    "ipsecFilterReference", "ipsecNegotiationPolicyReference" };
	struct dir_entry *e = some_entry(w);
	const char *dn;
	struct dir_attr *attr;
	size_t len;

	entry_detach(w, e);
	attr = world_attr(w, e, names[next() % 12]);
	switch (next() % 8) {
	case 0:		/* bytes; a reference is a DN, of something */
		attr->n_values = 0;
		/* fall through */
	case 1:
		len = next();
		if (len > (size_t)(in_end - in))
			len = (size_t)(in_end - in);
		if (!is_reference(attr->name))
			world_value(w, attr, in, len);
		in += len;
		break;
	case 2:
		if (attr->n_values && attr->values[0].len && !is_reference(attr->name)) {
			uint8_t *copy = need(arena_memdup(w->a, attr->values[0].p, attr->values[0].len + 1));

			copy[next() % attr->values[0].len] ^= next();
			attr->values[0].p = copy;
		}
		break;
	case 3:
		attr->n_values = 0;
		/* fall through */
	case 4:
		dn = some_entry(w)->dn;
		if (attr_at(attr, &(struct dir_value){ (const uint8_t *)dn, strlen(dn) }) == attr->n_values)
			world_value(w, attr, dn, strlen(dn));
		break;
	case 5:
		attr->n_values = 0;
		break;
	case 6:
		e->n_attrs = 0;		/* not readable */
		break;
	case 7:
		e->dn = need(arena_printf(w->a, "CN=\\0ACNF:%zu,%s", (size_t)(e - w->e), CONTAINER));
		break;
	}
}

/* ---- edits ---- */

static struct ipsec_object *some_object(const struct ipsec_container *c)
{
	return c->n_objects ? c->objects[next() % c->n_objects] : NULL;
}

static struct ipsec_object *some_of(const struct ipsec_container *c, enum object_class class)
{
	struct ipsec_object *o = some_object(c);

	return o && o->class == class ? o : NULL;
}

static void object_edit(struct ipsec_object *o)
{
	if (!o || o->damage || o->deleted)
		return;
	o->name = next() % 2 ? "Permit" : "";
	switch (o->class) {
	case OBJ_POLICY:
		o->policy.polling_seconds = 1u + next();
		if (next() % 2)
			o->policy.n_dangling = 0;
		break;
	case OBJ_ISAKMP:
		o->isakmp.qm_limit = next();
		break;
	case OBJ_RULE:
		o->rule.value.active = next() % 2;
		break;
	case OBJ_LIST:
		o->list.n_filters = 0;
		break;
	default:
		o->action.soft = next() % 2;
		break;
	}
	object_touch(o);
}

static void policy_put(struct ipsec_container *c, struct ipsec_object *o)
{
	struct ipsec_policy *p;

	if (!o || container_policy(&p, c, o, &err))
		return;
	if (next() % 2 && object_delete(o, &err))
		abort();
	p->id.b[0] ^= next() % 2;
	p->isakmp.id.b[0] ^= next() % 2;
	if (p->n_rules && next() % 2)
		p->n_rules--;
	(void)container_put_policy(c, p, &err);
	policy_free(p);
}

static void edit(struct ipsec_container *c)
{
	struct guid id = { { next() % 4, 1 } }, mm = { { next() % 4, 2 } };
	struct ipsec_object *o, *list, *action;
	enum object_class class;

	switch (next() % 8) {
	case 0:
		class = (enum object_class)(next() % OBJ_N_CLASSES);
		o = container_add(c, class, &id, &mm, "New", "", &err);
		if (o && class == OBJ_ACTION)
			o->action.action = IPSEC_BLOCK;
		break;
	case 1:
		o = some_of(c, OBJ_POLICY);
		list = some_of(c, OBJ_LIST);
		action = some_of(c, OBJ_ACTION);
		if (o)
			(void)container_add_rule(c, o, &id, "New", "", list, action, &err);
		break;
	case 2:
		o = some_object(c);
		if (o)
			(void)object_delete(o, &err);
		break;
	case 3:
		o = some_of(c, OBJ_RULE);
		list = some_of(c, OBJ_LIST);
		action = some_of(c, OBJ_ACTION);
		if (o)
			(void)object_refer(o, list, action, &err);
		break;
	case 4:
		policy_put(c, some_of(c, OBJ_POLICY));
		break;
	case 5:
		if (next() % 4 == 0)
			(void)container_put_examples(c, &err);
		break;
	case 6:
		class = (enum object_class)(next() % OBJ_N_CLASSES);
		if (!container_find(&o, c, class, next() % 2 ? "New" : "PERMIT", &err))
			must(!o->deleted && !o->damage && o->class == class, "found");
		break;
	default:
		object_edit(some_object(c));
		break;
	}
}

/* ---- what has to hold ---- */

static bool is_complete(const struct world *w, const char *dn)
{
	struct ipsec_policy *p;

	if (policy_assemble_entries(&p, w->e, w->n, dn, &err))
		return false;
	policy_free(p);
	return true;
}

static void books_check(const struct ipsec_container *c)
{
	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = c->objects[i];
		struct ipsec_object *first;

		must(!i || c->objects[i - 1]->class < o->class || (c->objects[i - 1]->class == o->class &&
		    guid_cmp(&c->objects[i - 1]->id, &o->id) <= 0), "order");
		if (o->class == OBJ_LIST || o->class == OBJ_ACTION)
			must(!object_users(o, &first) == !first, "users");
		if (o->class != OBJ_RULE || o->damage || o->deleted)
			continue;
		must(!o->rule.list || !o->rule.list->deleted || !o->rule.policy, "a deleted list in use");
		must(!o->rule.action || !o->rule.action->deleted || !o->rule.policy, "a deleted action in use");
		must(!o->rule.policy || !o->rule.policy->deleted, "a deleted policy has rules");
	}
}

struct watched {
	const char	*dn;
	bool		 deleted;
};

static void changes_check(struct world *w, struct ipsec_container *c, struct watched *p, size_t n_p)
{
	struct dir_change *changes;
	const char *wrong;
	size_t n;

	if (container_changes(&changes, &n, w->a, c, &err))
		return;
	for (size_t i = 0; i < n; i++) {
		wrong = world_apply(w, &changes[i]);
		if (wrong)
			fprintf(stderr, "%s: ", changes[i].dn);
		must(!wrong, wrong ? wrong : "");
		for (size_t k = 0; k < n_p; k++) {
			if (p[k].deleted && !world_entry(w, p[k].dn))
				continue;
			if (is_complete(w, p[k].dn))
				continue;
			fprintf(stderr, "after %zu of %zu, %s: %s\n", i + 1, n, p[k].dn, err.msg);
			abort();
		}
	}
	for (size_t k = 0; k < n_p; k++)
		must(p[k].deleted == !world_entry(w, p[k].dn), "deleted or not");
}

static void container_fuzz(struct world *w)
{
	struct watched watched[64];
	size_t n = 0;
	struct ipsec_container *c;
	struct dir_change *changes;

	if (container_read(&c, CONTAINER, w->e, w->n, &err))
		return;
	must(!container_changes(&changes, &n, w->a, c, &err) && n == 0, "nothing was edited");
	for (size_t i = 0; i < c->n_objects && n < 64; i++) {
		const struct ipsec_object *o = c->objects[i];
		struct ipsec_policy *p;

		if (o->class != OBJ_POLICY)
			continue;
		if (is_complete(w, o->dn))
			watched[n++] = (struct watched){ need(arena_strdup(w->a, o->dn)), false };
		else
			must(container_policy(&p, c, o, &err), "what cannot be assembled is no policy");
	}
	for (int i = 0; i < MAX_EDITS && in < in_end; i++)
		edit(c);
	books_check(c);
	for (size_t i = 0; i < c->n_objects; i++)
		for (size_t k = 0; k < n; k++)
			if (dn_equal(c->objects[i]->dn, watched[k].dn))
				watched[k].deleted = c->objects[i]->deleted;
	changes_check(w, c, watched, n);
	container_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { .a = arena_new(0) };

	must(w.a != NULL, "memory");
	in = data;
	in_end = data + size;
	world_examples(&w);
	for (int i = next() % (MAX_DAMAGE + 1); i > 0; i--)
		world_damage(&w);
	container_fuzz(&w);
	arena_free(w.a);
	return 0;
}
