#include "gpo/query.h"

#include <string.h>

#include "gpo/ask.h"
#include "gpo/walk.h"
#include "schema/arena.h"
#include "schema/err.h"

#define SEARCHES_MAX	4096	/* in one refresh */
#define OBJECTS_MAX	20000	/* of one policy */
#define BROKEN_MAX	16	/* so many missing objects are proof enough */

/* ---- the objects of a policy, by reference ---- */

enum role { ROLE_POLICY, ROLE_ISAKMP, ROLE_NFA, ROLE_LEAF };

struct objects {
	struct dnset	 dns;
	enum role	*roles;		/* as in dns */
	const char	*policy_dn;
};

static int object_add(struct objects *o, const char *dn, enum role role, struct err *err)
{
	size_t n = o->dns.n;
	enum role *grown = arena_grow(o->dns.a, o->roles, n, sizeof(*grown));

	if (!grown)
		return err_nomem(err);
	o->roles = grown;
	if (n == OBJECTS_MAX)
		return err_set(err, ERR_LIMIT, "policy '%s': more than %d objects", o->policy_dn, OBJECTS_MAX);
	if (dnset_add(&o->dns, dn) == DNSET_NONE)
		return err_nomem(err);
	if (o->dns.n > n)
		o->roles[n] = role;
	return 0;
}

static int refs_add(struct objects *o, const struct dir_entry *e, const char *name, enum role role, struct err *err)
{
	const struct dir_attr *attr = entry_attr(e, name);

	for (size_t i = 0; attr && i < attr->n_values; i++) {
		const struct dir_value *v = &attr->values[i];

		/* What is no name is left to whoever decodes the object. */
		if (!v->len || v->len > GP_DN_MAX || strlen((const char *)v->p) != v->len ||
		    !dn_valid((const char *)v->p))
			continue;
		if (object_add(o, (const char *)v->p, role, err) < 0)
			return -1;
	}
	return 0;
}

static int object_refs(struct objects *o, const struct dir_entry *e, enum role role, struct err *err)
{
	switch (role) {
	case ROLE_POLICY:
		if (refs_add(o, e, "ipsecISAKMPReference", ROLE_ISAKMP, err) < 0)
			return -1;
		return refs_add(o, e, "ipsecNFAReference", ROLE_NFA, err);
	case ROLE_NFA:
		if (refs_add(o, e, "ipsecNegotiationPolicyReference", ROLE_LEAF, err) < 0)
			return -1;
		return refs_add(o, e, "ipsecFilterReference", ROLE_LEAF, err);
	default:
		return 0;
	}
}

/* All, or those from i on that nothing is known of. */
static int ask_unknown(struct objects *o, struct gp_walk *w, size_t i, struct err *err)
{
	const char *dns[ASK_CHUNK];
	enum dir_state state;
	size_t n = 0;

	if (!walk_by_name(w, o->policy_dn))
		return walk_ask_container(w, o->policy_dn, err);
	for (; i < o->dns.n; i++) {
		snapshot_entry(w->s, o->dns.dns[i], &state);
		if (state != DIR_STATE_UNKNOWN)
			continue;
		if (n == ASK_CHUNK)
			return walk_ask_container(w, o->policy_dn, err);
		dns[n++] = o->dns.dns[i];
	}
	return walk_ask_objects(w, o->policy_dn, dns, n, err);
}

/* Lists what can be reached, then asks for what is not known: all of the domain's
 * policy objects at once, and one by one for those still missing, so that a
 * hidden object and one that is gone can be told apart. */
static int walk_objects(struct objects *o, struct gp_walk *w, const char *policy_dn, struct err *err)
{
	const struct dir_entry *e;
	enum dir_state state;
	size_t broken = 0;
	int r;

	o->dns.a = w->a;
	o->policy_dn = policy_dn;
	if (object_add(o, policy_dn, ROLE_POLICY, err) < 0)
		return -1;
	for (size_t i = 0; i < o->dns.n && broken < BROKEN_MAX; i++) {
		e = snapshot_entry(w->s, o->dns.dns[i], &state);
		if (state == DIR_STATE_UNKNOWN) {
			r = ask_unknown(o, w, i, err);
			if (!r)
				r = walk_ask_entry(w, o->dns.dns[i], ask_policy_attrs, &e, &state);
			if (r)
				return r;
		}
		if (state != DIR_STATE_FOUND)
			broken++;
		else if (object_refs(o, e, o->roles[i], err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the next search ---- */

/* What the strongest GPO assigns; with WMI filters taken as false and as true,
 * since which it shall be is decided later. */
static int walk_policies(struct gp_walk *w, struct objects o[static 2], struct err *err)
{
	struct walk_assigned assigned;
	int r = 0;

	for (int wmi = 0; !r && wmi < 2; wmi++) {
		r = walk_assignment(&assigned, w, wmi, err);
		if (!r && assigned.assignment == GP_ASSIGNED)
			r = walk_objects(&o[wmi], w, assigned.policy_dn, err);
	}
	return r;
}

static int query_copy(struct dir_query *ret, const struct dir_query *q, struct arena *a, struct err *err)
{
	struct dir_query copy = *q;

	copy.base = arena_strdup(a, q->base);
	copy.filter = arena_strdup(a, q->filter);
	if (!copy.base || !copy.filter)
		return err_nomem(err);
	*ret = copy;
	return 1;
}

int gp_next_query(struct dir_query *ret, const struct dir_snapshot *s, const struct gp_subject *who,
    struct arena *a, struct err *err)
{
	struct gp_walk w = { .s = s, .who = who, .a = arena_new(0) };
	struct objects o[2] = { 0 };
	int r;

	if (!w.a)
		return err_nomem(err);
	r = walk_run(&w, err);
	if (!r)
		r = walk_policies(&w, o, err);
	if (r > 0 && s->n_searches >= SEARCHES_MAX)
		r = err_set(err, ERR_LIMIT, "more than %d searches", SEARCHES_MAX);
	if (r > 0)
		r = query_copy(ret, &w.need, a, err);
	arena_free(w.a);
	return r;
}

/* ---- hints ---- */

static int hint_add(struct dnset *set, struct arena *a, const char *dn, struct err *err)
{
	char *copy = arena_strdup(a, dn);

	return copy && dnset_add(set, copy) != DNSET_NONE ? 0 : err_nomem(err);
}

static int hints_gp(struct dnset *set, const struct gp_walk *w, struct arena *a, struct err *err)
{
	for (size_t i = 0; i < w->n_soms; i++)
		if (hint_add(set, a, w->soms[i].dn, err) < 0)
			return -1;
	for (size_t i = 0; i < w->gpo_dns.n; i++) {
		const struct walk_gpo *g = &w->gpos[i];

		if (g->elsewhere || g->unasked)
			continue;
		if (hint_add(set, a, g->dn, err) < 0)
			return -1;
		if (g->has_ipsec && hint_add(set, a, g->ipsec_dn, err) < 0)
			return -1;
	}
	return 0;
}

static int hints_groups(const char ***list, size_t *n, const struct gp_walk *w, struct arena *a, struct err *err)
{
	size_t count = group_hints_count(&w->groups);

	for (size_t i = 0; i < count; i++) {
		*list = arena_grow(a, *list, *n, sizeof(**list));
		if (!*list)
			return err_nomem(err);
		(*list)[*n] = group_hints_text(&w->groups, i, a);
		if (!(*list)[(*n)++])
			return err_nomem(err);
	}
	return 0;
}

int gp_hints(const char *const **ret, size_t *ret_n, const struct dir_snapshot *s, const struct gp_subject *who,
    struct arena *a, struct err *err)
{
	struct gp_walk w = { .s = s, .who = who, .a = arena_new(0) };
	struct objects o[2] = { 0 };
	struct dnset set = { .a = a };
	bool objects;
	int r;

	if (!w.a)
		return err_nomem(err);
	r = walk_run(&w, err);
	if (!r)
		r = walk_policies(&w, o, err);
	if (r > 0)
		r = err_set(err, ERR_FORMAT, "the snapshot is not complete: nothing under '%s' for %s", w.need.base, w.need.filter);
	if (!r)
		r = hints_gp(&set, &w, a, err);
	/* Too many objects are better asked for by their container. */
	objects = set.n + o[0].dns.n + o[1].dns.n <= WALK_HINTS_MAX;
	for (int i = 0; !r && objects && i < 2; i++)
		for (size_t j = 0; !r && j < o[i].dns.n; j++)
			r = hint_add(&set, a, o[i].dns.dns[j], err);
	if (!r)
		r = hints_groups(&set.dns, &set.n, &w, a, err);
	if (!r) {
		*ret = set.dns;
		*ret_n = set.n;
	}
	arena_free(w.a);
	return r;
}
