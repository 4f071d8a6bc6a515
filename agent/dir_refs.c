#include "agent/dir_refs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/directory.h"
#include "gpo/container.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/change.h"
#include "schema/err.h"
#include "schema/ident.h"

#define MARK_LOOKS	10	/* times that a mark is looked at before it counts as left behind */
#define MARK_PAUSE_MS	100

static const char *const ref_attrs[] = { "objectClass", "ipsecISAKMPReference", "ipsecNFAReference",
	"ipsecNegotiationPolicyReference", "ipsecFilterReference", NULL };

/* An object by the comparable form of its DN. */
struct dn_ref {
	const char		*key;
	const struct dir_entry	*entry;
};

static int ref_cmp(const void *x, const void *y)
{
	const struct dn_ref *a = x, *b = y;

	return strcmp(a->key, b->key);
}

static const struct dn_ref *ref_find(const struct dn_ref *refs, size_t n, const char *key)
{
	const struct dn_ref want = { .key = key };

	return n ? bsearch(&want, refs, n, sizeof(*refs), ref_cmp) : NULL;
}

/* What is to be deleted, and what was loaded. */
struct look {
	struct arena	*a;
	struct dn_ref	*going, *loaded;
	size_t		 n_going, n_loaded;
	struct dn_ref	*rules;		/* of policies that stay, as they are now */
	size_t		 n_rules;
};

static int look_prepare(struct look *l, const struct dir_change *deletes, size_t n, const struct ipsec_container *c, struct err *err)
{
	l->going = arena_zalloc(l->a, n, sizeof(*l->going));
	l->loaded = arena_zalloc(l->a, c->n_objects, sizeof(*l->loaded));
	if (!l->going || !l->loaded)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		l->going[l->n_going++].key = dn_key(l->a, deletes[i].dn);
	for (size_t i = 0; i < c->n_objects; i++)
		if (c->objects[i]->entry)
			l->loaded[l->n_loaded++] = (struct dn_ref){ dn_key(l->a, c->objects[i]->dn), c->objects[i]->entry };
	for (size_t i = 0; i < l->n_going; i++)
		if (!l->going[i].key)
			return err_nomem(err);
	for (size_t i = 0; i < l->n_loaded; i++)
		if (!l->loaded[i].key)
			return err_nomem(err);
	qsort(l->going, l->n_going, sizeof(*l->going), ref_cmp);
	qsort(l->loaded, l->n_loaded, sizeof(*l->loaded), ref_cmp);
	return 0;
}

static bool had_value(const struct dir_entry *e, const char *name, const struct dir_value *v)
{
	const struct dir_attr *attr = e ? entry_attr(e, name) : NULL;

	for (size_t i = 0; attr && i < attr->n_values; i++)
		if (dn_equal((const char *)attr->values[i].p, (const char *)v->p))
			return true;
	return false;
}

static int look_rules(struct look *l, const struct dir_search *found, struct err *err)
{
	for (size_t i = 0; i < found->n_entries; i++) {
		const struct dir_attr *attr = entry_attr(&found->entries[i], "ipsecNFAReference");
		const char *key = dn_key(l->a, found->entries[i].dn);

		if (!key)
			return err_nomem(err);
		for (size_t k = 0; attr && k < attr->n_values && !ref_find(l->going, l->n_going, key); k++) {
			l->rules = arena_grow(l->a, l->rules, l->n_rules, sizeof(*l->rules));
			if (!l->rules || !(l->rules[l->n_rules++].key = dn_key(l->a, (const char *)attr->values[k].p)))
				return err_nomem(err);
		}
	}
	if (l->n_rules)
		qsort(l->rules, l->n_rules, sizeof(*l->rules), ref_cmp);
	return 0;
}

/* A reference to what goes, from a policy or a rule of one; from any rule, when it was not there before: its
 * policy will follow.  And a new one from what goes to something. */
static int check_refs(const struct look *l, const struct dir_entry *e, const struct dir_attr *attr, struct err *err)
{
	const char *key = dn_key(l->a, e->dn), *to;
	const struct dn_ref *was;
	bool goes, counts;

	if (!key)
		return err_nomem(err);
	was = ref_find(l->loaded, l->n_loaded, key);
	goes = ref_find(l->going, l->n_going, key);
	counts = !goes && (entry_has_class(e, "ipsecPolicy") || ref_find(l->rules, l->n_rules, key));
	for (size_t i = 0; i < attr->n_values; i++) {
		to = dn_key(l->a, (const char *)attr->values[i].p);
		if (!to)
			return err_nomem(err);
		if (!goes && !ref_find(l->going, l->n_going, to))
			continue;
		if (counts || !had_value(was ? was->entry : NULL, attr->name, &attr->values[i]))
			return err_set(err, ERR_BUSY, "somebody else made '%s' refer to '%s' meanwhile", e->dn,
			    (const char *)attr->values[i].p);
	}
	return 0;
}

int dir_refs_check(struct directory *d, const struct ipsec_container *c, const struct dir_change *deletes, size_t n, struct err *err)
{
	const struct dir_query q = { .base = c->dn, .scope = DIR_ONE, .attrs = ref_attrs,
		.filter = "(|(objectClass=ipsecPolicy)(objectClass=ipsecNFA))" };
	struct look l = { .a = arena_new(0) };
	struct dir_snapshot *s = snapshot_new();
	const struct dir_search *found;
	const struct dir_attr *attr;
	int rc = -1;

	if (!l.a || !s) {
		err_nomem(err);
		goto out;
	}
	if (look_prepare(&l, deletes, n, c, err) < 0 || directory_search(d, &q, s, err) < 0)
		goto out;
	found = snapshot_search(s, &q);
	if (look_rules(&l, found, err) < 0)
		goto out;
	for (size_t i = 0; i < found->n_entries; i++)
		for (size_t k = 1; ref_attrs[k]; k++)
			if ((attr = entry_attr(&found->entries[i], ref_attrs[k])) && check_refs(&l, &found->entries[i], attr, err) < 0)
				goto out;
	rc = 0;
out:
	snapshot_free(s);
	arena_free(l.a);
	return rc;
}

/* ---- the mark ---- */

/* One value of ipsecDataType by another one; NULL: none. */
static int retype(struct directory *d, const char *dn, const char *was, const char *is, struct err *err)
{
	struct dir_value v[2] = { { (const uint8_t *)was, was ? strlen(was) : 0 }, { (const uint8_t *)is, is ? strlen(is) : 0 } };
	struct dir_mod mod = { .kind = MOD_REPLACE, .was = { "ipsecDataType", &v[0], was != NULL }, .attr = { "ipsecDataType", &v[1], is != NULL } };
	const struct dir_change c = { .kind = CHANGE_MODIFY, .dn = dn, .mods = &mod, .n_mods = 1 };

	return directory_change(d, &c, err);
}

/* Rules and main modes belong to one policy: nobody else refers to them. */
static bool is_shared(const struct ipsec_object *o)
{
	return o->entry && (o->class == OBJ_POLICY || o->class == OBJ_LIST || o->class == OBJ_ACTION);
}

/* Of the objects that are deleted; in the container they are told by that. */
static const struct ipsec_object *deleted_object(const struct ipsec_container *c, size_t i)
{
	return c->objects[i]->deleted && is_shared(c->objects[i]) ? c->objects[i] : NULL;
}

static void unmark(struct directory *d, const struct ipsec_container *c, size_t n)
{
	struct err ignored;

	for (size_t i = 0; i < n; i++) {
		const struct ipsec_object *o = deleted_object(c, i);
		const char *was = o ? entry_text(o->entry, "ipsecDataType") : NULL;

		if (o)
			retype(d, o->dn, DATA_TYPE_GOING, was && strcmp(was, DATA_TYPE_GOING) ? was : "256", &ignored);
	}
}

int dir_refs_mark(struct directory *d, const struct ipsec_container *c, struct err *err)
{
	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = deleted_object(c, i);

		if (o && retype(d, o->dn, entry_text(o->entry, "ipsecDataType"), DATA_TYPE_GOING, err) < 0) {
			unmark(d, c, i);
			return -1;
		}
	}
	return 0;
}

void dir_refs_unmark(struct directory *d, const struct ipsec_container *c)
{
	unmark(d, c, c->n_objects);
}

/* ---- what was written, once more ---- */

/* The container's objects as they are now, by DN. */
static int look_again(struct look *l, struct directory *d, struct dir_snapshot *s, const char *container, struct err *err)
{
	static const char *const attrs[] = { "objectClass", "ipsecDataType", NULL };
	const struct dir_query q = { .base = container, .scope = DIR_ONE, .filter = "(objectClass=*)", .attrs = attrs };
	const struct dir_search *found;

	if (directory_search(d, &q, s, err) < 0)
		return -1;
	found = snapshot_search(s, &q);
	l->n_loaded = 0;
	l->loaded = arena_zalloc(l->a, found->n_entries, sizeof(*l->loaded));
	if (!l->loaded)
		return err_nomem(err);
	for (size_t i = 0; i < found->n_entries; i++) {
		struct dn_ref *r = &l->loaded[l->n_loaded++];

		*r = (struct dn_ref){ dn_key(l->a, found->entries[i].dn), &found->entries[i] };
		if (!r->key)
			return err_nomem(err);
	}
	qsort(l->loaded, l->n_loaded, sizeof(*l->loaded), ref_cmp);
	return 0;
}

/* 1: it is marked, and was left so. */
static int verify_one(const struct look *l, struct directory *d, const char *dn, bool last, struct err *err)
{
	const char *key = dn_key(l->a, dn), *type;
	const struct dn_ref *r;

	if (!key)
		return err_nomem(err);
	r = ref_find(l->loaded, l->n_loaded, key);
	if (!r)
		return err_set(err, ERR_BUSY, "'%s' was deleted by somebody else meanwhile", dn);
	type = entry_text(r->entry, "ipsecDataType");
	if (!type || strcmp(type, DATA_TYPE_GOING))
		return 0;
	return last ? retype(d, dn, DATA_TYPE_GOING, "256", err) : 1;
}

static int verify_refs(const struct look *l, struct directory *d, const struct dir_attr *attr, bool last, struct err *err)
{
	int rc = 0, r;

	for (size_t k = 1; ref_attrs[k]; k++) {
		if (!ascii_equal(attr->name, ref_attrs[k]))
			continue;
		for (size_t i = 0; i < attr->n_values; i++) {
			r = verify_one(l, d, (const char *)attr->values[i].p, last, err);
			if (r < 0)
				return -1;
			rc |= r;
		}
	}
	return rc;
}

static int verify_change(const struct look *l, struct directory *d, const struct dir_change *c, bool last, struct err *err)
{
	int rc = 0, r;

	if (c->kind == CHANGE_MODIFY)
		rc = verify_one(l, d, c->dn, last, err);
	for (size_t i = 0; rc >= 0 && i < c->n_attrs; i++) {
		r = verify_refs(l, d, &c->attrs[i], last, err);
		rc = r < 0 ? -1 : rc | r;
	}
	for (size_t i = 0; rc >= 0 && i < c->n_mods; i++) {
		r = c->mods[i].kind == MOD_DELETE ? 0 : verify_refs(l, d, &c->mods[i].attr, last, err);
		rc = r < 0 ? -1 : rc | r;
	}
	return rc;
}

static int verify_once(struct directory *d, const char *container, const struct dir_change *changes, size_t n, bool last, struct err *err)
{
	struct look l = { .a = arena_new(0) };
	struct dir_snapshot *s = snapshot_new();
	int rc = -1, r;

	if (!l.a || !s)
		err_nomem(err);
	else
		rc = look_again(&l, d, s, container, err);
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		r = verify_change(&l, d, &changes[i], last, err);
		rc = r < 0 ? -1 : rc | r;
	}
	snapshot_free(s);
	arena_free(l.a);
	return rc;
}

int dir_refs_verify(struct directory *d, const char *container, const struct dir_change *changes, size_t n, struct err *err)
{
	const struct timespec pause = { .tv_nsec = MARK_PAUSE_MS * 1000000L };
	int rc = n ? 1 : 0;

	for (int i = 0; rc > 0 && i < MARK_LOOKS; i++) {
		if (i)
			nanosleep(&pause, NULL);
		rc = verify_once(d, container, changes, n, i + 1 == MARK_LOOKS, err);
	}
	return rc;
}
