#include "tests/policies.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpo/assemble.h"
#include "gpo/container.h"
#include "schema/arena.h"
#include "schema/ldif.h"
#include "tests/world.h"

#define CONTAINER	"CN=IP Security,CN=System,DC=corp,DC=example"

#define OK(call) do { if (call) fail_msg("%s: %s", #call, err.msg); } while (0)

static void apply(struct world *w, const struct dir_change *c)
{
	const char *wrong = world_apply(w, c);

	if (wrong)
		fail_msg("%s: %s", c->dn, wrong);
}

static struct world world_empty(void)
{
	return (struct world){ .a = arena };
}

static void world_put(struct world *w, const struct ipsec_policy *p)
{
	struct dir_entry *e;
	size_t n;

	OK(policy_objects(&e, &n, arena, p, CONTAINER, &err));
	world_add(w, e, n);
}

static struct ipsec_container *world_read(const struct world *w)
{
	struct ipsec_container *c = NULL;

	OK(container_read(&c, CONTAINER, w->e, w->n, &err));
	return c;
}

/* ---- what a policy says ---- */

/* Without what the objects do not hold; "": it is not complete (err). */
static const char *text_dropped(struct ipsec_policy *p)
{
	char *text;

	p->dn = p->when_changed = "";
	text = text_of(p, POLICY_SEALED);
	policy_free(p);
	return text;
}

static const char *text_in(const struct ipsec_container *c, const struct ipsec_object *policy)
{
	struct ipsec_policy *p;

	return container_policy(&p, c, policy, &err) ? "" : text_dropped(p);
}

static const char *text_at(const struct world *w, const char *dn)
{
	struct ipsec_policy *p;

	return policy_assemble_entries(&p, w->e, w->n, dn, &err) ? "" : text_dropped(p);
}

static const char *text_plain(const struct ipsec_policy *p)
{
	struct ipsec_policy copy = *p;

	copy.dn = copy.when_changed = "";
	return text_of(&copy, POLICY_SEALED);
}

static size_t count(const struct ipsec_container *c, enum object_class class)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_objects; i++)
		n += c->objects[i]->class == class && !c->objects[i]->deleted;
	return n;
}

static struct ipsec_object *nth(const struct ipsec_container *c, enum object_class class, size_t n)
{
	for (size_t i = 0; i < c->n_objects; i++)
		if (c->objects[i]->class == class && !c->objects[i]->deleted && n-- == 0)
			return c->objects[i];
	return NULL;
}

static struct ipsec_object *any_of(const struct ipsec_container *c, enum object_class class)
{
	size_t n = count(c, class);

	return n ? nth(c, class, dice((uint32_t)n)) : NULL;
}

/* ---- read, and write it as it is ---- */

static void test_same_by_chance(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct ipsec_policy *p = any_policy();
		struct dir_change *changes;
		struct ipsec_container *c;
		struct world w = world_empty();
		size_t n = 9;

		world_put(&w, p);
		c = world_read(&w);
		assert_int_equal(count(c, OBJ_POLICY), 1);
		assert_int_equal(c->n_objects, w.n);
		assert_string_equal(text_in(c, c->objects[0]), text_plain(p));
		for (size_t k = 0; k < c->n_objects; k++)
			object_touch(c->objects[k]);
		OK(container_changes(&changes, &n, arena, c, &err));
		assert_int_equal(n, 0);
		container_free(c);
		policy_free(p);
	}
}

static void test_put_by_chance(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS / 4; i++) {
		struct ipsec_policy *p = any_policy();
		struct dir_change *changes;
		struct ipsec_container *c;
		struct world w = world_empty(), direct = world_empty();
		size_t n;

		c = world_read(&w);
		OK(container_put_policy(c, p, &err));
		assert_string_equal(text_in(c, c->objects[0]), text_plain(p));
		OK(container_changes(&changes, &n, arena, c, &err));
		container_free(c);
		for (size_t k = 0; k < n; k++) {
			assert_int_equal(changes[k].kind, k < 2 + p->n_rules + p->n_filter_lists + p->n_negpols ? CHANGE_ADD : CHANGE_MODIFY);
			apply(&w, &changes[k]);
			if (world_entry(&w, p->dn))
				assert_string_equal(text_at(&w, p->dn), text_plain(p));
		}
		world_put(&direct, p);
		assert_int_equal(w.n, direct.n);
		assert_string_equal(text_at(&w, direct.e[0].dn), text_plain(p));
		policy_free(p);
	}
}

/* ---- edits by chance ---- */

static const char *some_text(void)
{
	return arena_printf(arena, "text %u", dice(1000000));
}

static struct guid some_id(void)
{
	struct guid g;

	for (size_t i = 0; i < sizeof(g.b); i++)
		g.b[i] = (uint8_t)dice(256);
	return g;
}

/* A list, or an action for filters. */
static struct ipsec_object *some_part(const struct ipsec_container *c, enum object_class class)
{
	struct ipsec_object *o;

	for (int i = 0; i < 50; i++) {
		o = any_of(c, class);
		if (o && (class == OBJ_LIST || !o->action.default_response))
			return o;
	}
	return NULL;
}

static void edit_add_part(struct ipsec_container *c)
{
	enum object_class class = dice(2) ? OBJ_LIST : OBJ_ACTION;
	struct guid id = some_id();
	struct ipsec_object *o = container_add(c, class, &id, NULL, some_text(), "d", &err);

	assert_non_null(o);
	if (class == OBJ_ACTION)
		o->action.action = (enum ipsec_action)dice(2);
}

static void edit_add_filter(struct ipsec_container *c)
{
	struct ipsec_object *o = any_of(c, OBJ_LIST);
	struct ipsec_filter f = { .id = some_id(), .description = some_text(), .src_dns = "", .dst_dns = "",
	    .protocol = 6, .mirrored = true };

	f.src.kind = IPSEC_ADDR_ME;
	f.dst_port.lo = f.dst_port.hi = (uint16_t)(1 + dice(1000));
	if (o)
		OK(container_add_filter(c, o, &f, &err));
}

static void edit_add_rule(struct ipsec_container *c, struct ipsec_object *policy)
{
	struct ipsec_object *list = some_part(c, OBJ_LIST), *action = some_part(c, OBJ_ACTION), *o;
	struct guid id = some_id();

	if (!policy || !list || !action)
		return;
	o = container_add_rule(c, policy, &id, some_text(), "", list, action, &err);
	assert_non_null(o);
	o->rule.value.active = true;
}

static void edit_add_policy(struct ipsec_container *c)
{
	struct guid id = some_id(), mm = some_id();
	struct ipsec_object *o = container_add(c, OBJ_POLICY, &id, &mm, some_text(), "", &err);

	assert_non_null(o);
	for (uint32_t i = dice(3); i; i--)
		edit_add_rule(c, o);
}

static void edit_values(struct ipsec_container *c)
{
	struct ipsec_object *o = any_of(c, (enum object_class)dice(OBJ_N_CLASSES));

	if (!o)
		return;
	if (dice(2) && o->class != OBJ_ISAKMP)
		o->name = arena_strdup(c->arena, some_text());
	if (dice(4) == 0 && o->class != OBJ_ISAKMP)
		o->description = dice(2) ? "" : "other";
	if (o->class == OBJ_POLICY && dice(2))
		o->policy.polling_seconds = 1 + dice(1000);
	if (o->class == OBJ_ISAKMP)
		o->isakmp.life_seconds = dice(1000);
	if (o->class == OBJ_RULE)
		o->rule.value.active = !o->rule.value.active;
	if (o->class == OBJ_LIST && o->list.n_filters)
		o->list.n_filters--;
	if (o->class == OBJ_ACTION)
		o->action.soft = !o->action.soft;
	object_touch(o);
}

static void edit_refer(struct ipsec_container *c)
{
	struct ipsec_object *o = any_of(c, OBJ_RULE);

	if (!o)
		return;
	if (!o->rule.list)
		OK(object_refer(o, some_part(c, OBJ_LIST), some_part(c, OBJ_ACTION), &err));
	else if (dice(2))
		OK(object_refer(o, some_part(c, OBJ_LIST), NULL, &err));
	else
		OK(object_refer(o, NULL, some_part(c, OBJ_ACTION), &err));
}

static void edit_delete(struct ipsec_container *c)
{
	static const enum object_class classes[] = { OBJ_POLICY, OBJ_RULE, OBJ_LIST, OBJ_ACTION };
	struct ipsec_object *o = any_of(c, classes[dice(4)]), *user;

	if (!o)
		return;
	if ((o->class == OBJ_LIST || o->class == OBJ_ACTION) && object_users(o, &user)) {
		assert_int_equal(user->class, OBJ_RULE);
		assert_int_equal(object_delete(o, &err), -1);
		assert_int_equal(err.code, ERR_BUSY);
		return;
	}
	OK(object_delete(o, &err));
	assert_null(container_find_id(c, o->class, &o->id));
}

/* Delete and put back; or another policy in its place. */
static void edit_put(struct ipsec_container *c)
{
	struct ipsec_object *o = any_of(c, OBJ_POLICY);
	struct ipsec_policy *p, *other = any_policy();
	bool fewer = dice(2);

	if (o) {
		OK(container_policy(&p, c, o, &err));
		if (dice(2))
			OK(object_delete(o, &err));
		if (fewer && p->n_rules)
			p->n_rules--;
		OK(container_put_policy(c, p, &err));
		/* (A list that no rule uses is no part of the policy.) */
		if (!fewer)
			assert_string_equal(text_in(c, container_find_id(c, OBJ_POLICY, &p->id)), text_plain(p));
		other->id = p->id;
		policy_free(p);
	}
	if (dice(2))
		OK(container_put_policy(c, other, &err));
	policy_free(other);
}

static void edit(struct ipsec_container *c)
{
	switch (dice(10)) {
	case 0: edit_add_part(c); break;
	case 1: edit_add_filter(c); break;
	case 2: edit_add_rule(c, any_of(c, OBJ_POLICY)); break;
	case 3: edit_add_policy(c); break;
	case 4: case 5: edit_values(c); break;
	case 6: edit_refer(c); break;
	case 7: case 8: edit_delete(c); break;
	default: edit_put(c); break;
	}
}

/* Owners of an object: exactly these. */
static void assert_owner(const struct world *w, const struct ipsec_object *o, const struct ipsec_object *owner)
{
	const struct dir_attr *attr = entry_attr(world_entry(w, o->dn), "ipsecOwnersReference");
	const struct dir_value v = { (const uint8_t *)owner->dn, strlen(owner->dn) };

	assert_non_null(attr);
	assert_true(attr_at(attr, &v) < attr->n_values);
}

static size_t owners_in(const struct world *w, const struct ipsec_object *o)
{
	const struct dir_attr *attr = entry_attr(world_entry(w, o->dn), "ipsecOwnersReference");

	return attr ? attr->n_values : 0;
}

/* Both ways agree. */
static void assert_consistent(const struct world *w, const struct ipsec_container *c)
{
	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = c->objects[i];

		assert_null(o->damage);
		switch (o->class) {
		case OBJ_POLICY:
			assert_int_equal(o->policy.n_dangling, 0);
			assert_owner(w, o->policy.isakmp, o);
			break;
		case OBJ_RULE:
			assert_non_null(o->rule.policy);
			assert_false(o->rule.dangling);
			assert_int_equal(owners_in(w, o), 1);
			assert_owner(w, o, o->rule.policy);
			assert_owner(w, o->rule.action, o);
			if (o->rule.list)
				assert_owner(w, o->rule.list, o);
			break;
		case OBJ_ISAKMP:
			assert_int_equal(owners_in(w, o), 1);
			break;
		default:
			assert_int_equal(owners_in(w, o), object_users(o, NULL));
			break;
		}
	}
}

struct expected {
	const char	*dn, *before, *after;	/* NULL: is not there */
	bool		 written;
};

#define EXPECTED_MAX	32

static struct expected *expected_of(struct expected *x, size_t *n, const char *dn)
{
	for (size_t i = 0; i < *n; i++)
		if (dn_equal(x[i].dn, dn))
			return &x[i];
	assert_true(*n < EXPECTED_MAX);
	x[*n] = (struct expected){ .dn = arena_strdup(arena, dn) };
	return &x[(*n)++];
}

/* After each change every policy that is there is complete, and one that stays as it is never
 * says anything else. */
static void apply_all(struct world *w, const struct dir_change *changes, size_t n, struct expected *x, size_t n_x)
{
	for (size_t i = 0; i < n; i++) {
		apply(w, &changes[i]);
		for (size_t k = 0; k < n_x; k++) {
			const char *text;

			if (dn_equal(changes[i].dn, x[k].dn))
				x[k].written = true;
			if (!world_entry(w, x[k].dn)) {
				assert_true(!x[k].after || !x[k].before);
				continue;
			}
			text = text_at(w, x[k].dn);
			if (!*text)
				fail_msg("after change %zu of %zu: %s", i + 1, n, err.msg);
			if (x[k].before && x[k].after && !strcmp(x[k].before, x[k].after))
				assert_string_equal(text, x[k].before);
		}
	}
	for (size_t k = 0; k < n_x; k++) {
		assert_int_equal(world_entry(w, x[k].dn) != NULL, x[k].after != NULL);
		if (x[k].after)
			assert_string_equal(text_at(w, x[k].dn), x[k].after);
		/* Else nobody would look at it again. */
		if (x[k].before && x[k].after && strcmp(x[k].before, x[k].after))
			assert_true(x[k].written);
	}
}

static void edit_round(struct world *w, uint32_t edits)
{
	struct expected x[EXPECTED_MAX];
	struct ipsec_container *c = world_read(w), *again;
	struct dir_change *changes;
	size_t n_x = 0, n, n_objects = 0;

	for (size_t i = 0; i < count(c, OBJ_POLICY); i++)
		expected_of(x, &n_x, nth(c, OBJ_POLICY, i)->dn)->before = text_in(c, nth(c, OBJ_POLICY, i));
	while (edits--)
		edit(c);
	for (size_t i = 0; i < count(c, OBJ_POLICY); i++)
		expected_of(x, &n_x, nth(c, OBJ_POLICY, i)->dn)->after = text_in(c, nth(c, OBJ_POLICY, i));
	OK(container_changes(&changes, &n, arena, c, &err));
	for (size_t i = 0; i < c->n_objects; i++)
		n_objects += !c->objects[i]->deleted;
	container_free(c);
	apply_all(w, changes, n, x, n_x);
	assert_int_equal(w->n, n_objects);
	again = world_read(w);
	for (size_t i = 0; i < again->n_objects; i++)
		object_touch(again->objects[i]);
	OK(container_changes(&changes, &n, arena, again, &err));
	assert_int_equal(n, 0);
	assert_consistent(w, again);
	container_free(again);
}

static void test_edits_by_chance(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		struct world w = world_empty();

		for (uint32_t n = dice(4); n; n--) {
			struct ipsec_policy *p = any_policy();

			world_put(&w, p);
			policy_free(p);
		}
		for (int round = 0; round < 4; round++)
			edit_round(&w, dice(8));
	}
}

/* ---- one edit at a time ---- */

#define ID(n)		"{" n "000000-0000-0000-0000-000000000000}"
#define DN(class, n)	"CN=ipsec" class ID(n) "," CONTAINER

static struct guid id_of(const char *text)
{
	struct guid g;

	assert_true(guid_parse(&g, text, strlen(text)));
	return g;
}

/* "policy" of tests/policies.c, without what version 1 has no room for. */
static struct world world_plain(void)
{
	struct ipsec_policy *p = read_text(replaced(sealed, "\t\ttunnel 10.9.9.9\n", ""));
	struct world w = world_empty();

	world_put(&w, p);
	policy_free(p);
	return w;
}

static struct ipsec_object *object(const struct ipsec_container *c, enum object_class class, const char *id)
{
	struct guid g = id_of(id);
	struct ipsec_object *o = container_find_id(c, class, &g);

	assert_non_null(o);
	return o;
}

/* One line a change: "modify ipsecNFA{50000000 =ipsecName +ipsecOwnersReference". */
static const char *brief(const struct dir_change *changes, size_t n)
{
	static const char *const words[] = { "add", "modify", "delete" };
	static const char signs[] = { [MOD_ADD] = '+', [MOD_DELETE] = '-', [MOD_REPLACE] = '=' };
	const char *text = "";

	for (size_t i = 0; i < n; i++) {
		text = arena_printf(arena, "%s%s %.*s", text, words[changes[i].kind],
		    (int)strcspn(changes[i].dn, "-") - 3, changes[i].dn + 3);
		for (size_t k = 0; k < changes[i].n_mods; k++) {
			const struct dir_mod *m = &changes[i].mods[k];

			text = arena_printf(arena, "%s %c%s", text, signs[m->kind], m->attr.name);
			if (m->attr.n_values != 1)
				text = arena_printf(arena, "%s*%zu", text, m->attr.n_values);
		}
		text = arena_printf(arena, "%s\n", text);
	}
	return text;
}

/* Also applies them. */
static const char *changes_of(struct ipsec_container *c, struct world *w)
{
	struct dir_change *changes;
	const char *text;
	size_t n;

	OK(container_changes(&changes, &n, arena, c, &err));
	text = brief(changes, n);
	container_free(c);
	for (size_t i = 0; i < n; i++)
		apply(w, &changes[i]);
	return text;
}

static void test_part_changes(void **state)
{
	struct world w = world_plain();
	struct ipsec_container *c = world_read(&w);
	struct ipsec_object *o = object(c, OBJ_LIST, ID("30"));

	(void)state;
	o->list.filters[0].mirrored = false;
	object_touch(o);
	/* The policy's whenChanged has to move, each time. */
	assert_string_equal(changes_of(c, &w), "modify ipsecFilter{30000000 =ipsecData\nmodify ipsecPolicy{10000000 =ipsecDataType\n");
	assert_string_equal(entry_text(world_entry(&w, DN("Policy", "10")), "ipsecDataType"), "598");
	c = world_read(&w);
	o = object(c, OBJ_ACTION, ID("40"));
	o->action.soft = false;
	object_touch(o);
	assert_string_equal(changes_of(c, &w),
	    "modify ipsecNegotiationPolicy{40000000 =ipsecData\nmodify ipsecPolicy{10000000 =ipsecDataType\n");
	assert_string_equal(entry_text(world_entry(&w, DN("Policy", "10")), "ipsecDataType"), "256");
	c = world_read(&w);
	o = object(c, OBJ_ISAKMP, ID("20"));
	o->isakmp.life_seconds = 7;
	object_touch(o);
	assert_string_equal(changes_of(c, &w),
	    "modify ipsecISAKMPPolicy{20000000 =ipsecData\nmodify ipsecPolicy{10000000 =ipsecDataType\n");
	c = world_read(&w);
	o = object(c, OBJ_RULE, ID("51"));
	o->rule.value.active = true;
	o->name = "Answer";
	object_touch(o);
	/* Other than before, it is written by itself already. */
	o = object(c, OBJ_POLICY, ID("10"));
	o->description = "";
	object_touch(o);
	assert_string_equal(changes_of(c, &w),
	    "modify ipsecNFA{51000000 =ipsecName =ipsecData\nmodify ipsecPolicy{10000000 =description*0\n");
	/* What no policy uses moves none. */
	c = world_read(&w);
	o = container_add(c, OBJ_LIST, &(struct guid){ { 1 } }, NULL, "New", "", &err);
	assert_non_null(o);
	assert_string_equal(changes_of(c, &w), "add ipsecFilter{00000001\n");
	c = world_read(&w);
	o = object(c, OBJ_LIST, "{00000001-0000-0000-0000-000000000000}");
	o->name = "Newer";
	object_touch(o);
	assert_string_equal(changes_of(c, &w), "modify ipsecFilter{00000001 =ipsecName\n");
}

static void test_rule_changes(void **state)
{
	const struct guid rule = id_of(ID("55")), list = id_of(ID("35")), action = id_of(ID("45"));
	struct world w = world_plain();
	struct ipsec_container *c = world_read(&w);
	struct ipsec_object *l, *a, *r;

	(void)state;
	l = container_add(c, OBJ_LIST, &list, NULL, "Other", "", &err);
	a = container_add(c, OBJ_ACTION, &action, NULL, "Drop", "", &err);
	assert_true(l && a);
	a->action.action = IPSEC_BLOCK;
	r = container_add_rule(c, object(c, OBJ_POLICY, ID("10")), &rule, "Third", "", l, a, &err);
	assert_non_null(r);
	assert_ptr_equal(r->rule.policy, object(c, OBJ_POLICY, ID("10")));
	assert_ptr_equal(r->rule.policy->policy.rules[2], r);
	assert_string_equal(changes_of(c, &w),
	    "add ipsecFilter{35000000\n"
	    "add ipsecNegotiationPolicy{45000000\n"
	    "add ipsecNFA{55000000\n"
	    "modify ipsecPolicy{10000000 +ipsecNFAReference\n"
	    "modify ipsecFilter{35000000 +ipsecOwnersReference\n"
	    "modify ipsecNegotiationPolicy{45000000 +ipsecOwnersReference\n");
	assert_string_equal(entry_text(world_entry(&w, DN("NFA", "55")), "ipsecOwnersReference"), DN("Policy", "10"));
	/* To another list; and the first is not needed any more. */
	c = world_read(&w);
	OK(object_refer(object(c, OBJ_RULE, ID("50")), object(c, OBJ_LIST, ID("35")), NULL, &err));
	OK(object_delete(object(c, OBJ_LIST, ID("30")), &err));
	assert_string_equal(changes_of(c, &w),
	    "modify ipsecNFA{50000000 =ipsecFilterReference\n"
	    "modify ipsecPolicy{10000000 =ipsecDataType\n"
	    "modify ipsecFilter{35000000 +ipsecOwnersReference\n"
	    "delete ipsecFilter{30000000\n");
	/* A rule goes: the policy forgets it first. */
	c = world_read(&w);
	OK(object_delete(object(c, OBJ_RULE, ID("50")), &err));
	assert_string_equal(changes_of(c, &w),
	    "modify ipsecPolicy{10000000 -ipsecNFAReference\n"
	    "modify ipsecFilter{35000000 -ipsecOwnersReference\n"
	    "modify ipsecNegotiationPolicy{40000000 -ipsecOwnersReference\n"
	    "delete ipsecNFA{50000000\n");
	/* A policy goes, before what is only its own. */
	c = world_read(&w);
	OK(object_delete(object(c, OBJ_POLICY, ID("10")), &err));
	assert_string_equal(changes_of(c, &w),
	    "delete ipsecPolicy{10000000\n"
	    "modify ipsecFilter{35000000 -ipsecOwnersReference\n"
	    "modify ipsecNegotiationPolicy{45000000 -ipsecOwnersReference\n"
	    "delete ipsecNFA{51000000\n"
	    "delete ipsecNFA{55000000\n"
	    "delete ipsecISAKMPPolicy{20000000\n"
	    "delete ipsecNegotiationPolicy{41000000\n");
	assert_int_equal(w.n, 3);
}

static void test_policy_added(void **state)
{
	const struct guid id = id_of(ID("15")), mm = id_of(ID("25")), rule = id_of(ID("55"));
	struct world w = world_plain();
	struct ipsec_container *c = world_read(&w);
	struct ipsec_object *o = container_add(c, OBJ_POLICY, &id, &mm, "Two", "", &err);

	(void)state;
	assert_non_null(o);
	assert_non_null(container_add_rule(c, o, &rule, "r", "", object(c, OBJ_LIST, ID("30")), object(c, OBJ_ACTION, ID("40")), &err));
	assert_string_equal(changes_of(c, &w),
	    "add ipsecISAKMPPolicy{25000000\n"
	    "add ipsecNFA{55000000\n"
	    "add ipsecPolicy{15000000\n"
	    "modify ipsecISAKMPPolicy{25000000 +ipsecOwnersReference\n"
	    "modify ipsecNFA{55000000 +ipsecOwnersReference\n"
	    "modify ipsecFilter{30000000 +ipsecOwnersReference\n"
	    "modify ipsecNegotiationPolicy{40000000 +ipsecOwnersReference\n");
	/* A list of two policies changes: both are to be read again. */
	c = world_read(&w);
	o = object(c, OBJ_LIST, ID("30"));
	o->list.n_filters = 0;
	object_touch(o);
	assert_string_equal(changes_of(c, &w),
	    "modify ipsecFilter{30000000 =ipsecData\n"
	    "modify ipsecPolicy{10000000 =ipsecDataType\n"
	    "modify ipsecPolicy{15000000 =ipsecDataType\n");
	/* New and gone again: nothing to do. */
	c = world_read(&w);
	o = container_add(c, OBJ_POLICY, &(struct guid){ { 1 } }, &(struct guid){ { 2 } }, "Three", "", &err);
	assert_non_null(o);
	OK(object_delete(o, &err));
	assert_string_equal(changes_of(c, &w), "");
	/* Gone and new again: changed. */
	c = world_read(&w);
	OK(object_delete(object(c, OBJ_POLICY, ID("15")), &err));
	o = container_add(c, OBJ_POLICY, &id, &mm, "Two", "", &err);
	assert_non_null(o);
	assert_string_equal(changes_of(c, &w),
	    "modify ipsecPolicy{15000000 -ipsecNFAReference\n"
	    "modify ipsecFilter{30000000 -ipsecOwnersReference\n"
	    "modify ipsecNegotiationPolicy{40000000 -ipsecOwnersReference\n"
	    "delete ipsecNFA{55000000\n");
}

static void value_set(struct world *w, const char *dn, const char *name, const char *to)
{
	struct dir_attr *attr = world_attr(w, world_entry(w, dn), name);

	attr->n_values = 0;
	world_value(w, attr, to, strlen(to));
}

/* Values as Windows writes them are other bytes of the same meaning: they are left alone. */
static void test_foreign_bytes(void **state)
{
	static const uint8_t stale[] = "\x63\x21\x20\x22\x4c\x4f\xd1\x11\x86\x3b\x00\xa0\x24\x8d\x30\x21\x04\x00\x00\x00\x58\x02\x00\x00\xcd";
	struct world w = world_plain();
	struct ipsec_container *c;
	struct ipsec_object *o;
	struct dir_value *data = world_attr(&w, world_entry(&w, DN("Policy", "10")), "ipsecData")->values;

	(void)state;
	assert_int_equal(data->len, 25);
	data->p = stale;
	world_attr(&w, world_entry(&w, DN("NegotiationPolicy", "40")), "iPSECNegotiationPolicyType")->values->p =
	    (const uint8_t *)"{62f49e10-6c37-11d1-864c-14a300000000}";
	value_set(&w, DN("NFA", "50"), "ipsecFilterReference",
	    "cn=IPSECFILTER{30000000-0000-0000-0000-000000000000}, cn=ip security,CN=System,DC=corp,DC=example");
	c = world_read(&w);
	for (size_t i = 0; i < c->n_objects; i++)
		object_touch(c->objects[i]);
	o = object(c, OBJ_POLICY, ID("10"));
	assert_int_equal(o->policy.polling_seconds, 600);
	o->name = "Renamed";
	object_touch(o);
	assert_string_equal(changes_of(c, &w), "modify ipsecPolicy{10000000 =ipsecName\n");
	/* Reverse pointers that are missing are put back for what a changed rule refers to. */
	attr_take(world_attr(&w, world_entry(&w, DN("Filter", "30")), "ipsecOwnersReference"), 0);
	c = world_read(&w);
	o = object(c, OBJ_RULE, ID("51"));
	o->name = "x";
	object_touch(o);
	assert_string_equal(changes_of(c, &w), "modify ipsecNFA{51000000 =ipsecName\nmodify ipsecPolicy{10000000 =ipsecDataType\n");
	c = world_read(&w);
	o = object(c, OBJ_RULE, ID("50"));
	o->name = "x";
	object_touch(o);
	assert_string_equal(changes_of(c, &w), "modify ipsecNFA{50000000 =ipsecName\nmodify ipsecPolicy{10000000 =ipsecDataType\n"
	    "modify ipsecFilter{30000000 +ipsecOwnersReference\n");
}

/* ---- names ---- */

static void test_find(void **state)
{
	struct world w = world_plain();
	struct ipsec_container *c = world_read(&w);
	struct ipsec_object *o = NULL, *p = object(c, OBJ_POLICY, ID("10")), *second;

	(void)state;
	OK(container_find(&o, c, OBJ_LIST, "lIsT", &err));
	assert_ptr_equal(o, object(c, OBJ_LIST, ID("30")));
	OK(container_find(&o, c, OBJ_ACTION, ID("40"), &err));
	assert_ptr_equal(o, object(c, OBJ_ACTION, ID("40")));
	assert_err(container_find(&o, c, OBJ_LIST, "Lis", &err), ERR_ABSENT, "filter list 'Lis' does not exist");
	assert_err(container_find(&o, c, OBJ_ACTION, "List", &err), ERR_ABSENT, "filter action 'List' does not exist");
	assert_err(container_find(&o, c, OBJ_ACTION, "", &err), ERR_ABSENT, "filter action '' does not exist");
	assert_err(container_find(&o, c, OBJ_LIST, ID("40"), &err), ERR_ABSENT, "filter list '" ID("40") "' does not exist");
	OK(container_find_rule(&o, p, "RULE", &err));
	assert_ptr_equal(o, object(c, OBJ_RULE, ID("50")));
	OK(container_find_rule(&o, p, ID("51"), &err));
	OK(container_find(&o, c, OBJ_RULE, "rule", &err));
	assert_ptr_equal(o, object(c, OBJ_RULE, ID("50")));
	/* New names, deleted ones, double ones. */
	o = container_add(c, OBJ_LIST, &(struct guid){ { 1 } }, NULL, "Other", "", &err);
	assert_non_null(o);
	OK(container_find(&second, c, OBJ_LIST, "OTHER", &err));
	assert_ptr_equal(second, o);
	o->name = "LIST";
	object_touch(o);
	assert_int_equal(container_find(&second, c, OBJ_LIST, "OTHER", &err), -1);
	assert_err(container_find(&second, c, OBJ_LIST, "list", &err), ERR_FORMAT, "2 of the filter list name 'list': "
	    "{00000001-0000-0000-0000-000000000000} " ID("30"));
	OK(object_delete(o, &err));
	OK(container_find(&second, c, OBJ_LIST, "list", &err));
	assert_ptr_equal(second, object(c, OBJ_LIST, ID("30")));
	assert_err(object_delete(second, &err), ERR_BUSY,
	    "filter list 'List' is used by rule 'Rule' of policy 'Say \"hi\" \\ ???\xc3\xa4'");
	p->name = "P";
	object_touch(p);
	assert_int_equal(object_users(second, &o), 1);
	assert_ptr_equal(o, object(c, OBJ_RULE, ID("50")));
	assert_err(container_find_rule(&o, p, "none", &err), ERR_ABSENT, "policy 'P': rule 'none' does not exist");
	OK(object_delete(object(c, OBJ_RULE, ID("50")), &err));
	assert_int_equal(container_find_rule(&o, p, "Rule", &err), -1);
	assert_int_equal(object_users(second, &o), 0);
	assert_null(o);
	OK(object_delete(second, &err));
	container_free(c);
	/* Seven of a name. */
	c = world_read(&(struct world){ .a = arena });
	for (uint8_t i = 1; i <= 7; i++)
		assert_non_null(container_add(c, OBJ_ACTION, &(struct guid){ { i } }, NULL, "same", "", &err));
	assert_int_equal(container_find(&o, c, OBJ_ACTION, "same", &err), -1);
	assert_non_null(strstr(err.msg, "7 of the filter action name 'same': {"));
	assert_non_null(strstr(err.msg, "} ..."));
	container_free(c);
}

static void test_taken(void **state)
{
	const struct guid list = id_of(ID("30")), policy = id_of(ID("10")), mm = id_of(ID("20")), rule = id_of(ID("50"));
	struct world w = world_plain();
	struct ipsec_container *c = world_read(&w);
	struct ipsec_object *o;

	(void)state;
	assert_null(container_add(c, OBJ_LIST, &list, NULL, "x", "", &err));
	assert_err(-1, ERR_FORMAT, "filter list " ID("30") " exists already");
	assert_null(container_add(c, OBJ_POLICY, &policy, &list, "x", "", &err));
	assert_err(-1, ERR_FORMAT, "policy " ID("10") " exists already");
	assert_null(container_add(c, OBJ_POLICY, &list, &mm, "x", "", &err));
	assert_err(-1, ERR_FORMAT, "main mode " ID("20") " exists already");
	assert_int_equal(count(c, OBJ_POLICY), 1);
	assert_null(container_add_rule(c, object(c, OBJ_POLICY, ID("10")), &rule, "x", "", NULL, object(c, OBJ_ACTION, ID("40")), &err));
	assert_err(-1, ERR_FORMAT, "rule " ID("50") " exists already");
	assert_null(container_add_rule(c, object(c, OBJ_POLICY, ID("10")), &list, "x", "", NULL, NULL, &err));
	assert_err(-1, ERR_FORMAT, "rule 'x': no filter action");
	assert_null(container_add(c, OBJ_RULE, &list, NULL, "x", "", &err));
	assert_err(-1, ERR_UNSUPPORTED, "a rule belongs to a policy");
	/* A policy that has another one's rule. */
	o = object(c, OBJ_POLICY, ID("10"));
	o->name = "P";
	object_touch(o);
	{
		struct ipsec_policy *p;

		OK(container_policy(&p, c, o, &err));
		p->id = list;
		assert_err(container_put_policy(c, p, &err), ERR_FORMAT, "main mode " ID("20") ": policy 'P': of another policy");
		p->isakmp.id = list;
		assert_err(container_put_policy(c, p, &err), ERR_FORMAT, "rule " ID("50") ": policy 'P': of another policy");
		assert_int_equal(count(c, OBJ_POLICY), 1);
		/* Not before that is written. */
		OK(object_delete(o, &err));
		assert_err(container_put_policy(c, p, &err), ERR_FORMAT, "rule " ID("50") ": policy 'P': of another policy");
		policy_free(p);
	}
	container_free(c);
}

/* What cannot be read again is not written. */
static void test_check(void **state)
{
	struct world w = world_plain();
	struct ipsec_container *c = world_read(&w);
	struct ipsec_object *list = object(c, OBJ_LIST, ID("30")), *action = object(c, OBJ_ACTION, ID("40")),
	    *answer = object(c, OBJ_ACTION, ID("41"));
	struct dir_change *changes = NULL;
	size_t n = 7;

	(void)state;
	list->list.filters[0].src_port.hi = 7;
	object_touch(list);
	assert_err(container_changes(&changes, &n, arena, c, &err), ERR_FORMAT, "filter list 'List': filter list " ID("30")
	    ": filter 1: source port 0 with protocol 0, which is neither TCP nor UDP");
	list->list.filters[0].src_port.hi = 0;
	action->action.n_offers = 0;
	object_touch(action);
	assert_err(container_changes(&changes, &n, arena, c, &err), ERR_FORMAT, "filter action 'Secure': filter action " ID("40")
	    ": session key PFS without offers");
	action->action.pfs = false;
	action->action.default_response = true;
	assert_err(container_changes(&changes, &n, arena, c, &err), ERR_FORMAT, "filter action 'Secure': rule " ID("50")
	    ": filter list with a default-response action");
	/* Rule and action changed in two steps: between them the policy would not be complete. */
	action->action.default_response = false;
	OK(object_refer(object(c, OBJ_RULE, ID("51")), list, NULL, &err));
	answer->action.default_response = false;
	object_touch(answer);
	assert_err(container_changes(&changes, &n, arena, c, &err), ERR_UNSUPPORTED, "filter action " ID("41")
	    ": cannot change between default response and filters while rules use it");
	assert_null(changes);
	assert_int_equal(n, 7);
	container_free(c);
}

/* ---- damage ---- */

static void break_data(struct world *w, const char *dn)
{
	struct dir_attr *attr = world_attr(w, world_entry(w, dn), "ipsecData");

	attr->n_values = 0;
	world_value(w, attr, "x", 1);
}

static void test_damage(void **state)
{
	static const struct {
		const char	*dn, *id, *msg;
		enum object_class class;
		bool		 named;
	} cases[] = {
		{ DN("Policy", "10"), ID("10"), "policy 'P' cannot be used: 1 bytes without an ipsecPolicy block", OBJ_POLICY, true },
		{ DN("ISAKMPPolicy", "20"), ID("20"), "policy 'P': main mode " ID("20") " cannot be used: 1 bytes without an ipsecISAKMPPolicy block", OBJ_ISAKMP, false },
		{ DN("NFA", "50"), ID("50"), "policy 'P': rule 'Rule' cannot be used: 1 bytes without an ipsecNFA block", OBJ_RULE, true },
		{ DN("Filter", "30"), ID("30"), "policy 'P': rule 'Rule': filter list 'List' cannot be used: 1 bytes without an ipsecFilter block", OBJ_LIST, true },
		{ DN("NegotiationPolicy", "40"), ID("40"), "policy 'P': rule 'Rule': filter action 'Secure' cannot be used: 1 bytes without an ipsecNegotiationPolicy block", OBJ_ACTION, true },
	};
	struct ipsec_policy *p = NULL;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct world w = world_plain();
		struct ipsec_container *c;
		struct ipsec_object *o;

		value_set(&w, DN("Policy", "10"), "ipsecName", "P");
		break_data(&w, cases[i].dn);
		c = world_read(&w);
		assert_int_equal(c->n_objects, w.n);
		o = object(c, cases[i].class, cases[i].id);
		assert_non_null(o->damage);
		assert_err(container_policy(&p, c, object(c, OBJ_POLICY, ID("10")), &err), ERR_FORMAT, cases[i].msg);
		if (cases[i].named) {
			struct ipsec_object *found;

			assert_int_equal(container_find(&found, c, cases[i].class, o->name, &err), -1);
			assert_int_equal(err.code, ERR_FORMAT);
		}
		/* What a damaged object needs is not taken from it, and it is not touched. */
		if (o->class == OBJ_LIST || o->class == OBJ_ACTION || o->class == OBJ_ISAKMP)
			assert_int_equal(object_delete(o, &err), -1);
		if (o->class != OBJ_LIST)
			assert_int_equal(object_delete(object(c, OBJ_LIST, ID("30")), &err), -1);
		if (o->class == OBJ_POLICY) {
			assert_err(object_delete(object(c, OBJ_RULE, ID("50")), &err), ERR_FORMAT,
			    "rule 'Rule': policy 'P' cannot be used: 1 bytes without an ipsecPolicy block");
			assert_null(container_add_rule(c, o, &(struct guid){ { 1 } }, "r", "", NULL, object(c, OBJ_ACTION, ID("41")), &err));
		}
		if (o->class == OBJ_LIST)
			assert_int_equal(object_refer(object(c, OBJ_RULE, ID("51")), o, NULL, &err), -1);
		assert_string_equal(changes_of(c, &w), "");
		/* The policy goes with all that is its own, damaged or not. */
		c = world_read(&w);
		OK(object_delete(object(c, OBJ_POLICY, ID("10")), &err));
		assert_non_null(strstr(changes_of(c, &w), "delete ipsecISAKMPPolicy{20000000\ndelete ipsecNegotiationPolicy{41000000\n"));
		assert_int_equal(w.n, 2);
		/* A whole policy replaces it. */
		w = world_plain();
		break_data(&w, cases[i].dn);
		c = world_read(&w);
		p = read_text(replaced(sealed, "\t\ttunnel 10.9.9.9\n", ""));
		OK(container_put_policy(c, p, &err));
		assert_non_null(strstr(changes_of(c, &w), "=ipsecData"));
		assert_string_equal(text_at(&w, DN("Policy", "10")), text_plain(p));
		policy_free(p);
		p = NULL;
	}
}

static void test_dangling(void **state)
{
#define GONE "CN=ipsecX\\0ADEL:1,CN=Deleted Objects,DC=corp,DC=example"
	struct world w = world_plain();
	struct ipsec_container *c;
	struct ipsec_policy *p = NULL;
	struct ipsec_object *o;

	(void)state;
	value_set(&w, DN("NFA", "50"), "ipsecFilterReference", GONE);
	value_set(&w, DN("Policy", "10"), "ipsecName", "P");
	c = world_read(&w);
	o = object(c, OBJ_RULE, ID("50"));
	assert_true(o->rule.dangling && !o->rule.list && o->rule.action && !o->rule.value.default_response);
	assert_err(container_policy(&p, c, o->rule.policy, &err), ERR_ABSENT, "policy 'P': rule 'Rule': its filter list does not exist");
	o->name = "r";
	object_touch(o);
	assert_string_equal(changes_of(c, &w), "modify ipsecNFA{50000000 =ipsecName\nmodify ipsecPolicy{10000000 =ipsecDataType\n");
	c = world_read(&w);
	o = object(c, OBJ_RULE, ID("50"));
	OK(object_refer(o, NULL, object(c, OBJ_ACTION, ID("40")), &err));
	assert_true(o->rule.dangling);
	OK(object_refer(o, object(c, OBJ_LIST, ID("30")), NULL, &err));
	assert_false(o->rule.dangling);
	assert_string_equal(changes_of(c, &w), "modify ipsecNFA{50000000 =ipsecFilterReference\nmodify ipsecPolicy{10000000 =ipsecDataType\n");
	value_set(&w, DN("NFA", "50"), "ipsecNegotiationPolicyReference", DN("Filter", "30"));
	c = world_read(&w);
	assert_err(container_policy(&p, c, object(c, OBJ_POLICY, ID("10")), &err), ERR_ABSENT, "policy 'P': rule 'r': its filter action does not exist");
	container_free(c);
	/* Rules and main mode. */
	w = world_plain();
	value_set(&w, DN("Policy", "10"), "ipsecNFAReference", GONE);
	c = world_read(&w);
	o = object(c, OBJ_POLICY, ID("10"));
	assert_int_equal(o->policy.n_dangling, 1);
	assert_int_equal(container_policy(&p, c, o, &err), -1);
	assert_non_null(strstr(err.msg, ": one of its rules does not exist"));
	o->name = "P";
	object_touch(o);
	assert_string_equal(changes_of(c, &w), "modify ipsecPolicy{10000000 =ipsecName\n");
	/* Nobody refers to the rules: they are not there for anybody, and their list may go. */
	c = world_read(&w);
	assert_int_equal(container_find(&o, c, OBJ_RULE, "Rule", &err), -1);
	assert_int_equal(object_users(object(c, OBJ_LIST, ID("30")), NULL), 0);
	OK(object_delete(object(c, OBJ_LIST, ID("30")), &err));
	assert_string_equal(changes_of(c, &w), "delete ipsecFilter{30000000\n");
	/* To forget those that dangle. */
	w = world_plain();
	value_set(&w, DN("Policy", "10"), "ipsecNFAReference", DN("NFA", "59"));
	value_set(&w, DN("Policy", "10"), "ipsecISAKMPReference", GONE);
	c = world_read(&w);
	o = object(c, OBJ_POLICY, ID("10"));
	o->policy.n_dangling = 0;
	object_touch(o);
	assert_null(o->policy.isakmp);
	assert_int_equal(container_policy(&p, c, o, &err), -1);
	assert_non_null(strstr(err.msg, ": its main mode does not exist"));
	{
		struct dir_change *changes;
		size_t n;

		OK(container_changes(&changes, &n, arena, c, &err));
		assert_string_equal(brief(changes, n), "modify ipsecPolicy{10000000 -ipsecNFAReference\n");
	}
	container_free(c);
}

static void test_twins(void **state)
{
#define TWIN "CN=ipsecFilter{30000000-0000-0000-0000-000000000000}\\0ACNF:{77}," CONTAINER
	struct world w = world_plain();
	const struct dir_entry *list = world_entry(&w, DN("Filter", "30"));
	struct ipsec_container *c = NULL;
	struct ipsec_object *o;
	size_t n = 0;

	(void)state;
	world_add(&w, &(struct dir_entry){ TWIN, list->attrs, list->n_attrs }, 1);
	c = world_read(&w);
	o = object(c, OBJ_LIST, ID("30"));
	assert_null(o->damage);
	assert_string_equal(o->dn, DN("Filter", "30"));
	OK(container_find(&o, c, OBJ_LIST, "List", &err));
	for (size_t i = 0; i < c->n_objects; i++) {
		if (!c->objects[i]->damage)
			continue;
		n++;
		assert_string_equal(c->objects[i]->dn, TWIN);
		assert_string_equal(c->objects[i]->damage, "another object has the same GUID");
		OK(object_delete(c->objects[i], &err));
	}
	assert_int_equal(n, 1);
	assert_non_null(text_in(c, object(c, OBJ_POLICY, ID("10"))));
	assert_string_equal(changes_of(c, &w), "delete ipsecFilter{30000000\n");
	assert_non_null(world_entry(&w, DN("Filter", "30")));
	c = NULL;
	list = world_entry(&w, DN("Filter", "30"));
	world_add(&w, &(struct dir_entry){ "cn=ipsecfilter{30000000-0000-0000-0000-000000000000}, " CONTAINER, list->attrs, list->n_attrs }, 1);
	assert_err(container_read(&c, CONTAINER, w.e, w.n, &err), ERR_FORMAT,
	    "'cn=ipsecfilter{30000000-0000-0000-0000-000000000000}, " CONTAINER "' is there twice");
	assert_null(c);
}

/* An AD shows what may not be read by its name alone. */
static void test_unreadable(void **state)
{
	const struct guid list = id_of(ID("30"));
	struct world w = world_plain();
	struct ipsec_container *c;
	struct ipsec_object *o;

	(void)state;
	world_entry(&w, DN("Filter", "30"))->n_attrs = 0;
	world_add(&w, &(struct dir_entry){ .dn = "CN=something else," CONTAINER }, 1);
	c = world_read(&w);
	assert_int_equal(c->n_objects, w.n - 1);
	assert_string_equal(text_in(c, object(c, OBJ_POLICY, ID("10"))), "");
	assert_non_null(strstr(err.msg, "filter list " ID("30") " cannot be used: cannot be read with this account"));
	assert_null(container_add(c, OBJ_LIST, &list, NULL, "x", "", &err));
	OK(object_delete(object(c, OBJ_POLICY, ID("10")), &err));
	OK(object_delete(object(c, OBJ_LIST, ID("30")), &err));
	assert_null(container_add(c, OBJ_LIST, &list, NULL, "x", "", &err));
	container_free(c);
	/* Whose rules these are is told by themselves, then. */
	w = world_plain();
	world_entry(&w, DN("Policy", "10"))->n_attrs = 0;
	c = world_read(&w);
	o = object(c, OBJ_RULE, ID("50"));
	assert_ptr_equal(o->rule.policy, object(c, OBJ_POLICY, ID("10")));
	assert_int_equal(object_users(object(c, OBJ_LIST, ID("30")), NULL), 1);
	assert_int_equal(object_delete(object(c, OBJ_ISAKMP, ID("20")), &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	container_free(c);
}

/* A rule of two policies, which there should not be: neither takes it from the other. */
static void test_shared_rule(void **state)
{
	const struct guid id = id_of(ID("15")), mm = id_of(ID("25"));
	struct world w = world_plain();
	struct ipsec_container *c = world_read(&w);
	struct ipsec_object *o;

	(void)state;
	assert_non_null(container_add(c, OBJ_POLICY, &id, &mm, "Two", "", &err));
	changes_of(c, &w);
	value_set(&w, DN("Policy", "15"), "ipsecNFAReference", DN("NFA", "50"));
	c = world_read(&w);
	OK(container_find_rule(&o, object(c, OBJ_POLICY, ID("15")), "Rule", &err));
	OK(container_find_rule(&o, object(c, OBJ_POLICY, ID("10")), "Rule", &err));
	OK(object_delete(object(c, OBJ_POLICY, ID("10")), &err));
	assert_ptr_equal(o->rule.policy, object(c, OBJ_POLICY, ID("15")));
	assert_false(o->deleted);
	assert_true(*text_in(c, object(c, OBJ_POLICY, ID("15"))));
	assert_string_equal(changes_of(c, &w),
	    "modify ipsecNFA{50000000 +ipsecOwnersReference -ipsecOwnersReference\n"
	    "delete ipsecPolicy{10000000\n"
	    "delete ipsecNFA{51000000\n"
	    "delete ipsecISAKMPPolicy{20000000\n"
	    "delete ipsecNegotiationPolicy{41000000\n");
	assert_true(*text_at(&w, DN("Policy", "15")));
}

/* ---- the examples ---- */

#define PROVISION	"/usr/share/samba/setup/provision.ldif"

static struct world provision_read(void)
{
	char *text = NULL, *from, *to;
	struct world w = world_empty();
	size_t size = 0;
	FILE *f = fopen(PROVISION, "r");

	if (!f) {
		print_message("%s is not there (package samba-ad-provision)\n", PROVISION);
		skip();
	}
	assert_true(getdelim(&text, &size, '\0', f) > 0);
	fclose(f);
	from = strstr(text, "dn: CN=IP Security,");
	to = strstr(text, "# End IP security objects");
	assert_true(from && to);
	OK(ldif_read(&w.e, &w.n, arena, from, (size_t)(to - from), &err));
	free(text);
	return w;
}

static void test_examples(void **state)
{
	static const char *const ids[] = { "{72385230-70fa-11d1-864c-14a300000000}",
	    "{72385236-70fa-11d1-864c-14a300000000}", "{7238523c-70fa-11d1-864c-14a300000000}" };
	struct world w = world_empty();
	struct ipsec_container *c = world_read(&w);
	struct ipsec_object *o;
	const char *text;

	(void)state;
	OK(container_put_examples(c, &err));
	assert_int_equal(count(c, OBJ_POLICY), 3);
	assert_int_equal(count(c, OBJ_RULE), 7);
	assert_int_equal(count(c, OBJ_LIST), 2);
	assert_int_equal(count(c, OBJ_ACTION), 6);
	OK(container_find(&o, c, OBJ_POLICY, "Server (Request Security)", &err));
	text = text_in(c, o);
	assert_non_null(strstr(text,
	    "\tkind negotiate\n\tinpass yes\n\tsoft yes\n\tpfs no\n\tdefault-response no\n"
	    "\toffer esp 3des sha1 lifetime 900 kbytes 100000\n\toffer esp des sha1 lifetime 900 kbytes 100000\n"
	    "\toffer ah sha1 lifetime 300 kbytes 100000\n\toffer ah md5 lifetime 300 kbytes 100000\n"));
	assert_non_null(strstr(text,
	    "\tname \"All ICMP Traffic\"\n\tdescription \"Matches all ICMP packets between this computer and any other computer.\"\n"
	    "\tfilter {5119d263-071d-11d3-ad22-0060b0ecca17} me -> any protocol icmp mirrored\n\t\tdescription \"ICMP\"\n"));
	changes_of(c, &w);
	for (size_t i = 0; i < 3; i++)
		assert_true(*text_at(&w, arena_printf(arena, "CN=ipsecPolicy%s," CONTAINER, ids[i])));
	/* Restored: what was changed is as it was, what is not theirs stays. */
	c = world_read(&w);
	OK(container_find(&o, c, OBJ_LIST, "All IP Traffic", &err));
	o->list.n_filters = 0;
	object_touch(o);
	assert_non_null(container_add_rule(c, object(c, OBJ_POLICY, ids[1]), &(struct guid){ { 1 } }, "mine", "", o,
	    object(c, OBJ_ACTION, "{7238523b-70fa-11d1-864c-14a300000000}"), &err));
	assert_non_null(container_add(c, OBJ_LIST, &(struct guid){ { 2 } }, NULL, "mine", "", &err));
	changes_of(c, &w);
	c = world_read(&w);
	OK(container_put_examples(c, &err));
	assert_int_equal(count(c, OBJ_LIST), 3);
	assert_int_equal(count(c, OBJ_RULE), 7);
	OK(container_find(&o, c, OBJ_POLICY, "Server (Request Security)", &err));
	assert_string_equal(text_in(c, o), text);
	changes_of(c, &w);
	c = world_read(&w);
	OK(container_put_examples(c, &err));
	assert_string_equal(changes_of(c, &w), "");
}

/* They are what Samba's provisioning writes, and that is what Windows wrote. */
static void test_examples_provision(void **state)
{
	struct world w = provision_read();
	struct ipsec_container *c = NULL;
	struct dir_change *changes;
	size_t n = 9;

	(void)state;
	OK(container_read(&c, "CN=IP Security,CN=System,${DOMAINDN}", w.e, w.n, &err));
	assert_int_equal(count(c, OBJ_POLICY), 3);
	OK(container_put_examples(c, &err));
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(text_in(c, c->objects[i]), text_at(&w, c->objects[i]->dn));
	OK(container_changes(&changes, &n, arena, c, &err));
	assert_string_equal(brief(changes, n), "");
	container_free(c);
}

/* ---- many ---- */

static struct guid number_id(uint32_t n)
{
	return (struct guid){ { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), 1 } };
}

static void test_many(void **state)
{
	struct ipsec_filter f = { .description = "", .src_dns = "", .dst_dns = "", .mirrored = true };
	struct world w = world_plain();
	struct ipsec_container *c = world_read(&w);
	struct ipsec_object *o, *policy = object(c, OBJ_POLICY, ID("10")), *action = object(c, OBJ_ACTION, ID("40"));
	struct dir_change *changes;
	struct ipsec_policy *p;
	size_t n;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		struct guid id = number_id(i);
		const char *name = arena_printf(arena, "List %u", i);

		assert_non_null(container_add(c, OBJ_LIST, &id, NULL, name, "", &err));
		OK(container_find(&o, c, OBJ_LIST, name, &err));
		assert_non_null(container_add_rule(c, policy, &id, name, "", o, action, &err));
		OK(container_find_rule(&o, policy, name, &err));
	}
	assert_int_equal(object_users(action, NULL), 10001);
	OK(container_find(&o, c, OBJ_LIST, "List", &err));
	for (uint32_t i = 0; i < 100000; i++) {
		f.id = number_id(i);
		ipsec_addr_net(&f.src, AF_INET, f.id.b, 32);
		f.dst.kind = IPSEC_ADDR_ME;
		OK(container_add_filter(c, o, &f, &err));
	}
	OK(container_policy(&p, c, policy, &err));
	assert_int_equal(p->n_rules, 10002);
	policy_free(p);
	OK(container_changes(&changes, &n, arena, c, &err));
	assert_int_equal(n, 20000 + 1 + 1 + 10000 + 1);
	container_free(c);
	/* (This directory is too slow for all of them.) */
	for (size_t i = 0; i < n; i++) {
		assert_true(changes[i].kind != CHANGE_DELETE);
		if (changes[i].kind == CHANGE_ADD)
			world_add(&w, &(struct dir_entry){ changes[i].dn, changes[i].attrs, changes[i].n_attrs }, 1);
	}
	c = world_read(&w);
	assert_int_equal(c->n_objects, 7 + 20000);
	for (uint32_t i = 0; i < 10000; i += 2)
		OK(object_delete(container_find_id(c, OBJ_RULE, (const struct guid[]){ number_id(i) }), &err));
	OK(object_delete(object(c, OBJ_POLICY, ID("10")), &err));
	container_free(c);
}

/* ---- the text of changes ---- */

static void test_change_text(void **state)
{
	struct dir_value values[] = { { (const uint8_t *)"one", 3 }, { (const uint8_t *)" two", 4 } };
	struct dir_attr attrs[] = { { "cn", values, 1 }, { "description", values, 2 } };
	struct dir_mod mods[] = {
		{ MOD_ADD, attrs[1], { "description", NULL, 0 } },
		{ MOD_DELETE, attrs[0], { "cn", NULL, 0 } },
		{ MOD_REPLACE, { "ipsecName", NULL, 0 }, { "ipsecName", values, 1 } },
	};
	const struct dir_change changes[] = {
		{ CHANGE_ADD, "CN=x", attrs, 2, NULL, 0 }, { CHANGE_MODIFY, "CN=\xc3\xa4", NULL, 0, mods, 3 },
		{ CHANGE_DELETE, "CN=x", NULL, 0, NULL, 0 },
	};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(change_write(&changes[i], f), 0);
	fclose(f);
	assert_string_equal(text,
	    "dn: CN=x\nchangetype: add\ncn: one\ndescription: one\ndescription:: IHR3bw==\n\n"
	    "dn:: Q049w6Q=\nchangetype: modify\nadd: description\ndescription: one\ndescription:: IHR3bw==\n-\n"
	    "delete: cn\ncn: one\n-\nreplace: ipsecName\n-\n\n"
	    "dn: CN=x\nchangetype: delete\n\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POLICY_TEST(test_same_by_chance), POLICY_TEST(test_put_by_chance), POLICY_TEST(test_edits_by_chance),
		POLICY_TEST(test_part_changes), POLICY_TEST(test_rule_changes), POLICY_TEST(test_policy_added),
		POLICY_TEST(test_foreign_bytes), POLICY_TEST(test_find), POLICY_TEST(test_taken), POLICY_TEST(test_check),
		POLICY_TEST(test_damage), POLICY_TEST(test_dangling), POLICY_TEST(test_twins), POLICY_TEST(test_unreadable),
		POLICY_TEST(test_shared_rule), POLICY_TEST(test_examples), POLICY_TEST(test_examples_provision),
		POLICY_TEST(test_many), POLICY_TEST(test_change_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
