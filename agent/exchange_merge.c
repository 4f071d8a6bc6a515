/* The objects of a file into a container: objects of equal GUID are replaced, new ones added. */
#include <stdlib.h>
#include <string.h>

#include "agent/exchange_parts.h"
#include "schema/arena.h"
#include "schema/err.h"

struct merge {
	struct arena			*a;
	struct ipsec_container		*to;
	const struct exchange_content	*content;
	struct ipsec_container		*file;		/* what the file holds */
	struct ipsec_container		*whole;		/* and the rest of the store */
	struct ipsec_container		*trial;		/* a copy of `to`, to see whether all goes well */
	struct ipsec_policy		**policies;	/* that have a part in the file */
	size_t				 n_policies;
};

static int line_prefix(const struct merge *m, const struct ipsec_object *o, struct err *err)
{
	for (size_t i = 0; i < m->content->n; i++)
		if (m->content->lines[i] && dn_equal(m->content->entries[i].dn, o->dn))
			return err_prefix(err, "line %u", m->content->lines[i]);
	return -1;
}

/* "line 7: filter list 'Web' {..}: ..." */
static int object_fail(const struct merge *m, const struct ipsec_object *o, struct err *err)
{
	char id[GUID_TEXT];

	guid_text(&o->id, id);
	if (*o->name)
		err_prefix(err, "%s '%.100s' %s", object_class_name(o->class), o->name, id);
	else
		err_prefix(err, "%s %s", object_class_name(o->class), id);
	return line_prefix(m, o, err);
}

static bool in_file(const struct merge *m, const struct ipsec_object *o)
{
	return o && container_find_id(m->file, o->class, &o->id);
}

static int file_check(const struct merge *m, struct err *err)
{
	for (size_t i = 0; i < m->file->n_objects; i++) {
		const struct ipsec_object *o = m->file->objects[i];

		if (o->damage) {
			err_set(err, ERR_FORMAT, "%s", o->damage);
			return object_fail(m, o, err);
		}
	}
	return 0;
}

/* The file's objects, and those of the store that it does not replace. */
static int whole_read(struct merge *m, struct err *err)
{
	struct dir_entry *rest = NULL, *all;
	size_t n = 0;

	if (exchange_entries(&rest, &n, m->a, m->to, false, m->file, err) < 0)
		return -1;
	all = arena_zalloc(m->a, n + m->content->n + 1, sizeof(*all));
	if (!all)
		return err_nomem(err);
	if (m->content->n)
		memcpy(all, m->content->entries, m->content->n * sizeof(*all));
	if (n)
		memcpy(all + m->content->n, rest, n * sizeof(*all));
	return container_read(&m->whole, m->to->dn, all, n + m->content->n, err);
}

static int trial_read(struct merge *m, struct err *err)
{
	struct dir_entry *all = NULL;
	size_t n = 0;

	if (exchange_entries(&all, &n, m->a, m->to, true, NULL, err) < 0)
		return -1;
	return container_read(&m->trial, m->to->dn, all, n, err);
}

/* ---- policies --------------------------------------------------------------------------------- */

/* How many of its own objects are the file's: itself, its main mode and rules. */
static size_t policy_parts(const struct merge *m, const struct ipsec_object *policy)
{
	size_t n = in_file(m, policy) + in_file(m, policy->policy.isakmp);

	for (size_t i = 0; i < policy->policy.n_rules; i++)
		n += in_file(m, policy->policy.rules[i]);
	return n;
}

static bool policy_uses_file(const struct merge *m, const struct ipsec_object *policy)
{
	for (size_t i = 0; i < policy->policy.n_rules; i++) {
		const struct ipsec_object *rule = policy->policy.rules[i];

		if (!rule->damage && (in_file(m, rule->rule.list) || in_file(m, rule->rule.action)))
			return true;
	}
	return false;
}

static bool was_whole(const struct merge *m, const struct guid *id)
{
	struct ipsec_object *o = container_find_id(m->to, OBJ_POLICY, id);
	struct ipsec_policy *p = NULL;
	struct err ignored;
	bool whole = o && !o->damage && container_policy(&p, m->to, o, &ignored) == 0;

	policy_free(p);
	return whole;
}

/* Whole, or it was not before and nobody asked for it. */
static int policy_look(struct merge *m, const struct ipsec_object *o, struct err *err)
{
	bool taken = policy_parts(m, o) > 0;
	struct ipsec_policy *p = NULL;

	if (!taken && !policy_uses_file(m, o))
		return 0;
	if (container_policy(&p, m->whole, o, err) < 0)
		return taken || err->code == ERR_NOMEM || was_whole(m, &o->id) ? line_prefix(m, o, err) : 0;
	if (taken)
		m->policies[m->n_policies++] = p;
	else
		policy_free(p);
	return 0;
}

static int policies_look(struct merge *m, struct err *err)
{
	m->policies = arena_zalloc(m->a, m->whole->n_objects + 1, sizeof(*m->policies));
	if (!m->policies)
		return err_nomem(err);
	for (size_t i = 0; i < m->whole->n_objects; i++) {
		const struct ipsec_object *o = m->whole->objects[i];

		if (o->class == OBJ_POLICY && !o->damage && policy_look(m, o, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- lists and actions ---------------------------------------------------------------------------- */

static int text_copy(const char **ret, struct arena *a, const char *s)
{
	*ret = arena_strdup(a, s);
	return *ret ? 0 : -1;
}

static int filters_copy(struct ipsec_filter_list *to, struct arena *a, const struct ipsec_filter_list *from)
{
	struct ipsec_filter *f = arena_memdup(a, from->filters, from->n_filters * sizeof(*f));

	if (!f && from->n_filters)
		return -1;
	for (size_t i = 0; i < from->n_filters; i++)
		if (text_copy(&f[i].description, a, f[i].description) < 0 || text_copy(&f[i].src_dns, a, f[i].src_dns) < 0 ||
		    text_copy(&f[i].dst_dns, a, f[i].dst_dns) < 0)
			return -1;
	to->filters = f;
	to->n_filters = from->n_filters;
	return 0;
}

static int action_copy(struct ipsec_negpol *to, struct arena *a, const struct ipsec_negpol *from)
{
	struct ipsec_offer *offers = arena_memdup(a, from->offers, from->n_offers * sizeof(*offers));

	if (!offers && from->n_offers)
		return -1;
	to->action = from->action;
	to->inpass = from->inpass;
	to->soft = from->soft;
	to->pfs = from->pfs;
	to->default_response = from->default_response;
	to->offers = offers;
	to->n_offers = from->n_offers;
	return 0;
}

static int shared_put(struct ipsec_container *c, const struct ipsec_object *from, struct err *err)
{
	struct ipsec_object *o = container_find_id(c, from->class, &from->id);
	const char *name, *description;

	if (!o)
		o = container_add(c, from->class, &from->id, NULL, from->name, from->description, err);
	if (!o)
		return -1;
	if (o->damage)
		return err_set(err, ERR_FORMAT, "the one in the store is damaged (%.200s) and must be deleted first", o->damage);
	if (text_copy(&name, c->arena, from->name) < 0 || text_copy(&description, c->arena, from->description) < 0)
		return err_nomem(err);
	if (from->class == OBJ_LIST ? filters_copy(&o->list, c->arena, &from->list) : action_copy(&o->action, c->arena, &from->action))
		return err_nomem(err);
	o->name = name;
	o->description = description;
	object_touch(o);
	return 0;
}

/* ---- all of it -------------------------------------------------------------------------------------- */

/* Policies first: they put sound lists and actions in the place of damaged ones. */
static int put_all(const struct merge *m, struct ipsec_container *c, struct err *err)
{
	for (size_t i = 0; i < m->n_policies; i++)
		if (container_put_policy(c, m->policies[i], err) < 0)
			return err_prefix(err, "policy '%.100s'", m->policies[i]->name);
	for (size_t i = 0; i < m->file->n_objects; i++) {
		const struct ipsec_object *o = m->file->objects[i];

		if ((o->class == OBJ_LIST || o->class == OBJ_ACTION) && shared_put(c, o, err) < 0)
			return object_fail(m, o, err);
	}
	return 0;
}

static void report_make(struct exchange_report *ret, const struct merge *m)
{
	size_t n_owned = 0, n_used = 0;

	*ret = (struct exchange_report){ 0 };
	for (size_t i = 0; i < m->file->n_objects; i++) {
		const struct ipsec_object *o = m->file->objects[i];

		n_owned += o->class != OBJ_LIST && o->class != OBJ_ACTION;
		if (container_find_id(m->to, o->class, &o->id))
			ret->n_replaced++;
		else
			ret->n_added++;
	}
	for (size_t i = 0; i < m->whole->n_objects; i++)
		if (m->whole->objects[i]->class == OBJ_POLICY && !m->whole->objects[i]->damage)
			n_used += policy_parts(m, m->whole->objects[i]);
	/* Rules and main modes of no policy are kept by nobody. */
	ret->n_orphans = n_owned > n_used ? n_owned - n_used : 0;
	ret->n_added -= ret->n_orphans < ret->n_added ? ret->n_orphans : ret->n_added;
}

int exchange_merge(struct exchange_report *ret, struct ipsec_container *c, const struct exchange_content *content, struct err *err)
{
	struct merge m = { .a = arena_new(0), .to = c, .content = content };
	struct exchange_report report;
	int rc = -1;

	if (!m.a)
		return err_nomem(err);
	if (container_read(&m.file, c->dn, content->entries, content->n, err) < 0 || file_check(&m, err) < 0 ||
	    whole_read(&m, err) < 0 || policies_look(&m, err) < 0 || trial_read(&m, err) < 0 || put_all(&m, m.trial, err) < 0)
		goto out;
	report_make(&report, &m);
	rc = put_all(&m, c, err);
	if (rc == 0)
		*ret = report;
out:
	for (size_t i = 0; i < m.n_policies; i++)
		policy_free(m.policies[i]);
	container_free(m.file);
	container_free(m.whole);
	container_free(m.trial);
	arena_free(m.a);
	return rc;
}
