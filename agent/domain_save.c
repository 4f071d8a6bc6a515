#include "agent/domain_save.h"

#include <stdlib.h>
#include <string.h>

#include "agent/dir_refs.h"
#include "agent/directory.h"
#include "agent/gpo_edit.h"
#include "agent/session.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ident.h"

#define MAX_NUDGES	8

static const struct ipsec_object *find_policy(const struct ipsec_container *c, const char *dn)
{
	for (size_t i = 0; i < c->n_objects; i++)
		if (c->objects[i]->class == OBJ_POLICY && dn_equal(c->objects[i]->dn, dn))
			return c->objects[i];
	return NULL;
}

/* Group Policy objects that came to assign a policy that goes. */
static int check_unassigned(struct domain_place *b, const struct dir_change *deletes, size_t n, const struct ipsec_container *c,
    struct arena *a, struct err *err)
{
	struct gpo_user *users;
	size_t n_users;

	for (size_t i = 0; i < n; i++) {
		if (!find_policy(c, deletes[i].dn))
			continue;
		if (gpo_users(b->dir, b->nc, deletes[i].dn, &users, &n_users, a, err) < 0)
			return -1;
		if (n_users)
			return err_set(err, ERR_BUSY, "'%s' is assigned by GPO '%s'", deletes[i].dn, users[0].name);
	}
	return 0;
}

/* One save: first what adds and changes, then the GPOs, then what goes. */
struct save {
	struct arena		*a;
	struct dir_change	*changes;	/* the deletions last */
	size_t			 n, n_deletes;
	const char		**gpo_dns;
};

static int key_cmp(const void *x, const void *y)
{
	const char *const *a = x, *const *b = y;

	return strcmp(*a, *b);
}

/* Leaves of m's values what names one of the n objects. */
static int keep_named(struct dir_mod *m, const char *const *keys, size_t n, struct arena *a, struct err *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->attr.n_values; i++) {
		const char *key = dn_key(a, (const char *)m->attr.values[i].p);

		if (!key)
			return err_nomem(err);
		if (bsearch(&key, keys, n, sizeof(*keys), key_cmp))
			m->attr.values[kept++] = m->attr.values[i];
	}
	m->attr.n_values = kept;
	return 0;
}

/* What there is nothing left to do of. */
static void drop_empty(struct save *sv)
{
	size_t n = 0;

	for (size_t i = 0; i < sv->n; i++) {
		struct dir_change *c = &sv->changes[i];
		size_t n_mods = 0;

		for (size_t k = 0; k < c->n_mods; k++)
			if (c->mods[k].kind == MOD_REPLACE || c->mods[k].attr.n_values)
				c->mods[n_mods++] = c->mods[k];
		c->n_mods = n_mods;
		if (c->kind != CHANGE_MODIFY || n_mods)
			sv->changes[n++] = *c;
	}
	sv->n = n;
}

/* Of the reverse pointers only those of objects that this edit is about.  Others that are missing, too, may
 * be those of somebody who is just about to write them, or to take back what they point to. */
static int own_pointers(struct save *sv, struct err *err)
{
	const char **keys = arena_zalloc(sv->a, sv->n, sizeof(*keys));

	if (!keys)
		return err_nomem(err);
	for (size_t i = 0; i < sv->n; i++)
		if (!(keys[i] = dn_key(sv->a, sv->changes[i].dn)))
			return err_nomem(err);
	qsort(keys, sv->n, sizeof(*keys), key_cmp);
	for (size_t i = 0; i < sv->n; i++)
		for (size_t k = 0; k < sv->changes[i].n_mods; k++) {
			struct dir_mod *m = &sv->changes[i].mods[k];

			if (m->kind == MOD_ADD && ascii_equal(m->attr.name, "ipsecOwnersReference") &&
			    keep_named(m, keys, sv->n, sv->a, err) < 0)
				return -1;
		}
	drop_empty(sv);
	return 0;
}

static int save_prepare(struct save *sv, struct domain_place *b, struct store_edit *e, struct err *err)
{
	struct dir_change *changes;
	size_t n, to = 0;

	sv->gpo_dns = arena_zalloc(sv->a, e->n_gpos, sizeof(*sv->gpo_dns));
	if (!sv->gpo_dns)
		return err_nomem(err);
	for (size_t i = 0; i < e->n_gpos; i++)
		if (gpo_find(&sv->gpo_dns[i], b->dir, b->nc, e->gpos[i].gpo, sv->a, err) < 0)
			return -1;
	if (container_changes(&changes, &n, sv->a, e->container, err) < 0)
		return -1;
	sv->changes = arena_zalloc(sv->a, n, sizeof(*sv->changes));
	if (!sv->changes)
		return err_nomem(err);
	for (int deletes = 0; deletes < 2; deletes++)
		for (size_t i = 0; i < n; i++)
			if ((changes[i].kind == CHANGE_DELETE) == deletes)
				sv->changes[to++] = changes[i];
	sv->n = n;
	for (size_t i = 0; i < n; i++)
		sv->n_deletes += changes[i].kind == CHANGE_DELETE;
	return own_pointers(sv, err);
}

/* OpenLDAP has no such container until somebody makes it. */
static int make_container(struct domain_place *b, struct err *err)
{
	struct dir_value class = { (const uint8_t *)"container", 9 }, cn = { (const uint8_t *)"IP Security", 11 };
	struct dir_attr attrs[] = { { "objectClass", &class, 1 }, { "cn", &cn, 1 } };
	const struct dir_change c = { .kind = CHANGE_ADD, .dn = b->dn, .attrs = attrs, .n_attrs = 2 };
	static const char *const none[] = { "objectClass", NULL };
	struct dir_query q = { .scope = DIR_BASE, .filter = "(objectClass=*)", .attrs = none };
	struct dir_snapshot *s = snapshot_new();
	enum dir_state state = DIR_STATE_UNKNOWN;
	int rc = -1;

	q.base = dn_parent(b->dn);
	if (!s) {
		err_nomem(err);
		goto out;
	}
	if (directory_search(b->dir, &q, s, err) < 0)
		goto out;
	snapshot_entry(s, q.base, &state);
	if (state == DIR_STATE_ABSENT) {
		err_set(err, ERR_ABSENT, "'%s' does not exist: it has to be made (objectClass container) before policies can stand below it",
		    q.base);
		goto out;
	}
	if (directory_change(b->dir, &c, err) < 0 && err->code != ERR_BUSY)
		goto out;
	b->missing = false;
	rc = 0;
out:
	snapshot_free(s);
	return rc;
}

/* A policy that is written only for its whenChanged to move (see container_changes). */
static bool is_nudge(const struct dir_change *c)
{
	return c->kind == CHANGE_MODIFY && c->n_mods == 1 && c->mods[0].kind == MOD_REPLACE &&
	    ascii_equal(c->mods[0].attr.name, "ipsecDataType");
}

/* That somebody else did the same to it is no conflict: what there is now is changed once more.
 * The change says then what was done. */
static int nudge_again(struct domain_place *b, struct dir_change *c, struct arena *a, struct err *err)
{
	static const char *const attrs[] = { "objectClass", "ipsecDataType", NULL };
	const struct dir_query q = { .base = c->dn, .scope = DIR_BASE, .filter = "(objectClass=*)", .attrs = attrs };
	struct dir_attr *was = &c->mods[0].was, *is = &c->mods[0].attr;
	struct dir_snapshot *s = snapshot_new();
	const struct dir_entry *e;
	const char *text;
	int rc = -1;

	if (!s)
		return err_nomem(err);
	if (directory_search(b->dir, &q, s, err) < 0)
		goto out;
	e = snapshot_entry(s, c->dn, NULL);
	/* Gone: there is nobody left to be told. */
	rc = 1;
	if (!e)
		goto out;
	text = entry_text(e, "ipsecDataType");
	if (text && !strcmp(text, DATA_TYPE_GOING)) {
		rc = err_set(err, ERR_BUSY, "'%s' is being deleted by somebody else", c->dn);
		goto out;
	}
	text = text ? arena_strdup(a, text) : NULL;
	was->values = arena_zalloc(a, 1, sizeof(*was->values));
	rc = is->n_values == 1 && was->values ? 0 : err_nomem(err);
	if (rc < 0)
		goto out;
	was->n_values = text != NULL;
	if (text)
		was->values[0] = (struct dir_value){ (const uint8_t *)text, strlen(text) };
	is->values[0].p = (const uint8_t *)(text && !strcmp(text, "256") ? "598" : "256");
out:
	snapshot_free(s);
	return rc;
}

static int save_change(struct domain_place *b, struct dir_change *c, struct arena *a, struct err *err)
{
	int rc = directory_change(b->dir, c, err);

	for (int i = 0; rc < 0 && err->code == ERR_BUSY && is_nudge(c) && i < MAX_NUDGES; i++) {
		rc = nudge_again(b, c, a, err);
		if (rc == 0)
			rc = directory_change(b->dir, c, err);
	}
	return rc < 0 ? -1 : 0;
}

/* To run it all again is no way out: it would do twice what is there. */
static int part_written(struct err *err)
{
	err->code = ERR_FORMAT;
	return err_prefix(err, "written in part");
}

static int save_failed(struct domain_place *b, const struct save *sv, size_t n, struct err *err)
{
	if (directory_take_back(b->dir, sv->changes, n) == 0)
		return -1;
	return part_written(err);
}

static int save_changes(const struct save *sv, struct domain_place *b, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (save_change(b, &sv->changes[i], sv->a, err) < 0)
			return save_failed(b, sv, i, err);
	return 0;
}

/* What assigns a policy is written, and then the policy looked at: somebody may be deleting it. */
static int assign_verified(struct domain_place *b, const char *gpo_dn, const struct gpo_target *to, const struct gpo_target *was, struct err *err)
{
	struct dir_change c = { .kind = CHANGE_MODIFY, .dn = to->dn };
	struct err ignored;

	if (gpo_assign(b->dir, gpo_dn, to, err) < 0)
		return -1;
	if (!to->dn || dir_refs_verify(b->dir, b->dn, &c, 1, err) == 0)
		return 0;
	gpo_assign(b->dir, gpo_dn, was, &ignored);
	return -1;
}

static struct gpo_target target_of(const struct ipsec_container *c, const char *dn)
{
	const struct ipsec_object *o = dn ? find_policy(c, dn) : NULL;

	return (struct gpo_target){ .dn = dn, .name = o ? o->name : "", .description = o ? o->description : "" };
}

/* Does it, or can it not be told?  What it points to is not to be taken back. */
static bool points_to(struct domain_place *b, const char *gpo_dn, const char *policy_dn, struct arena *a)
{
	const char *now = NULL;
	struct err ignored;

	return policy_dn && gpo_assigned(b->dir, gpo_dn, &now, a, &ignored) != 0 && (!now || dn_equal(now, policy_dn));
}

/* *ret_done: GPOs that were changed. */
static int save_gpos(size_t *ret_done, const struct save *sv, struct domain_place *b, const struct store_edit *e, struct err *err)
{
	for (*ret_done = 0; *ret_done < e->n_gpos; ++*ret_done) {
		const struct gpo_assign *g = &e->gpos[*ret_done];
		struct gpo_target to = target_of(e->container, g->policy), was;
		const char *dn = NULL;

		if (gpo_assigned(b->dir, sv->gpo_dns[*ret_done], &dn, sv->a, err) < 0)
			return -1;
		was = target_of(e->container, dn);
		if (assign_verified(b, sv->gpo_dns[*ret_done], &to, &was, err) < 0) {
			*ret_done += points_to(b, sv->gpo_dns[*ret_done], to.dn, sv->a);
			return err_prefix(err, "GPO '%s'", g->gpo);
		}
	}
	return 0;
}

static int save_deletes(const struct save *sv, struct domain_place *b, const struct ipsec_container *c, struct err *err)
{
	for (size_t i = sv->n - sv->n_deletes; i < sv->n; i++)
		if (directory_change(b->dir, &sv->changes[i], err) < 0 && err->code != ERR_ABSENT) {
			/* Nothing depends on it any more: all that mattered is done. */
			err->code = ERR_FORMAT;
			dir_refs_unmark(b->dir, c);
			return err_prefix(err, "the rest is written, but what is not used any more could not be removed");
		}
	return 0;
}

/* What goes, once it is marked; -1: no mark is left, but where something was deleted. */
static int save_going(const struct save *sv, struct domain_place *b, const struct store_edit *e, struct err *err)
{
	const struct dir_change *deletes = sv->changes + sv->n - sv->n_deletes;

	if (!sv->n_deletes)
		return 0;
	if (dir_refs_mark(b->dir, e->container, err) < 0)
		return -1;
	if (dir_refs_check(b->dir, e->container, deletes, sv->n_deletes, err) == 0 &&
	    check_unassigned(b, deletes, sv->n_deletes, e->container, sv->a, err) == 0)
		return 0;
	dir_refs_unmark(b->dir, e->container);
	return -1;
}

/* Taken back as long as no GPO points to any of it. */
static int save_all(const struct save *sv, struct domain_place *b, const struct store_edit *e, struct err *err)
{
	size_t n = sv->n - sv->n_deletes, n_gpos = 0;
	int rc;

	if (sv->n && b->missing && make_container(b, err) < 0)
		return -1;
	if (save_changes(sv, b, n, err) < 0)
		return -1;
	rc = dir_refs_verify(b->dir, b->dn, sv->changes, n, err);
	if (rc == 0)
		rc = save_gpos(&n_gpos, sv, b, e, err);
	if (rc == 0)
		rc = save_going(sv, b, e, err);
	if (rc == 0)
		return save_deletes(sv, b, e->container, err);
	return n_gpos ? part_written(err) : save_failed(b, sv, n, err);
}

int domain_save(struct domain_place *b, struct store_edit *e, struct err *err)
{
	struct save sv = { .a = arena_new(0) };
	int rc = -1;

	if (!sv.a)
		err_nomem(err);
	else if (save_prepare(&sv, b, e, err) == 0)
		rc = save_all(&sv, b, e, err);
	arena_free(sv.a);
	return rc;
}
