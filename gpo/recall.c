/* One search, answered as far as possible from memory. */
#include <string.h>

#include "gpo/ask.h"
#include "gpo/memory.h"
#include "gpo/memory_parts.h"
#include "gpo/walk.h"
#include "schema/arena.h"
#include "schema/err.h"

#define CHANGED_MAX	300	/* more are read with all the others */

enum stage { ASK_STAMPS, ASK_CHANGED, ASK_WHOLE, COMPLETE };

struct gp_recall {
	const struct gp_memory	*m;
	struct arena		*a;
	bool			 ad;
	struct dir_query	 q, stamps;
	const struct dnset	*hinted;	/* what q asks for by name; NULL: all below its base */
	enum stage		 stage;
	const char		**changed;
	size_t			 n_changed, n_asked;	/* of them */
	const char		*filter;	/* of the next ASK_CHANGED */
	struct dir_entry	*entries;
	size_t			 n_entries;
	struct gp_recalled	 result;
};

/* Which of our searches it is; NULL: none that brings policy objects by the dozen. */
static const char *const *stamps_of(const struct dir_query *q)
{
	if (q->attrs == ask_all_attrs && q->scope == DIR_SUB)
		return ask_all_stamps;
	if (q->attrs == ask_policy_attrs && q->scope == DIR_ONE)
		return ask_policy_stamps;
	return NULL;
}

static int same_server(bool *ret, const struct gp_memory *m, const struct gp_walk *w, struct err *err)
{
	const char *server;
	int64_t usn;

	if (memory_server(&server, &usn, w, err) < 0)
		return -1;
	*ret = server && !strcmp(server, m->server) && usn >= m->usn;
	return 0;
}

static int find_hinted(struct gp_recall *r, struct gp_walk *w, struct err *err)
{
	struct dnset *set = arena_zalloc(r->a, 1, sizeof(*set));

	if (!set)
		return err_nomem(err);
	if (walk_choose_hints(w, err) < 0)
		return -1;
	set->a = r->a;
	for (size_t i = 0; i < w->hinted.n; i++)
		if (dnset_add(set, w->hinted.dns[i]) == DNSET_NONE)
			return err_nomem(err);
	r->hinted = set;
	return 0;
}

static int begin(struct gp_recall *r, struct gp_walk *w, struct err *err)
{
	bool usable;

	/* What is asked before its root DSE has answered tells nothing of policy objects. */
	if (walk_root(w, err) != 0)
		return 0;
	if (same_server(&usable, r->m, w, err) < 0)
		return -1;
	if (!usable)
		return 0;
	r->ad = w->ad;
	if (r->q.scope == DIR_SUB && find_hinted(r, w, err) < 0)
		return -1;
	return 1;
}

int gp_recall_begin(struct gp_recall **ret, const struct dir_snapshot *s, const struct gp_subject *who,
    const struct dir_query *q, struct arena *a, struct err *err)
{
	const struct gp_memory *m = who->memory;
	struct gp_walk w = { .s = s, .who = who };
	struct gp_recall *r;
	int rc;

	if (!m || !m->server || !m->dns.n || !stamps_of(q))
		return 0;
	r = arena_zalloc(a, 1, sizeof(*r));
	w.a = arena_new(0);
	if (!r || !w.a) {
		arena_free(w.a);
		return err_nomem(err);
	}
	r->m = m;
	r->a = a;
	r->q = r->stamps = *q;
	r->stamps.attrs = stamps_of(q);
	rc = begin(r, &w, err);
	arena_free(w.a);
	if (rc == 1)
		*ret = r;
	return rc;
}

/* ---- what to ask ---- */

static int next_changed(struct gp_recall *r, struct err *err)
{
	size_t n = r->n_changed - r->n_asked;
	struct ask_text t = { .a = r->a };

	if (!n) {
		r->stage = COMPLETE;
		return 0;
	}
	ask_put(&t, "(&");	/* what OpenLDAP has an index for */
	ask_put_classes(&t, NULL);
	ask_put_dns(&t, r->ad, r->changed + r->n_asked, n < ASK_CHUNK ? n : ASK_CHUNK);
	ask_put(&t, ")");
	if (t.bad)
		return err_nomem(err);
	r->filter = t.p;
	r->stage = ASK_CHANGED;
	return 0;
}

int gp_recall_next(struct dir_query *ret, const struct gp_recall *r)
{
	switch (r->stage) {
	case ASK_STAMPS:
		*ret = r->stamps;
		return 1;
	case ASK_CHANGED:
		*ret = (struct dir_query){ r->q.base, r->q.scope, r->filter, ask_policy_attrs, 0 };
		return 1;
	case ASK_WHOLE:
		*ret = r->q;
		return 1;
	case COMPLETE:
		break;
	}
	return 0;
}

/* ---- what was answered ---- */

static int entry_add(struct gp_recall *r, const struct dir_entry *e, struct err *err)
{
	r->entries = arena_grow(r->a, r->entries, r->n_entries, sizeof(*e));
	if (!r->entries)
		return err_nomem(err);
	r->entries[r->n_entries++] = *e;
	return 0;
}

static int changed_add(struct gp_recall *r, const char *dn, struct err *err)
{
	r->changed = arena_grow(r->a, r->changed, r->n_changed, sizeof(*r->changed));
	if (!r->changed)
		return err_nomem(err);
	r->changed[r->n_changed++] = dn;
	return 0;
}

static int whole(struct gp_recall *r, const char *why)
{
	r->stage = ASK_WHOLE;
	r->n_entries = 0;
	r->result.n_kept = 0;
	r->result.odd = why;
	return 0;
}

static int stamp_add(struct gp_recall *r, struct dnset *seen, const struct dir_entry *e, struct err *err)
{
	size_t n = seen->n, i;

	if (!gp_is_policy_object(e))
		return entry_add(r, e, err);
	if (dnset_add(seen, e->dn) == DNSET_NONE)
		return err_nomem(err);
	if (seen->n == n)
		return whole(r, "an object came twice");
	i = dnset_find(&r->m->dns, e->dn);
	if (i == DNSET_NONE)
		return changed_add(r, e->dn, err);
	switch (memory_compare(&r->m->entries[i], e, r->ad)) {
	case STAMP_SAME:
		r->result.n_kept++;
		return entry_add(r, &r->m->entries[i], err);
	case STAMP_CHANGED:
		return changed_add(r, e->dn, err);
	case STAMP_ODD:
		break;
	}
	return whole(r, "a stamp is missing, goes backwards or is another object's");
}

static bool is_asked_for(const struct gp_recall *r, const char *dn)
{
	const char *parent = dn_parent(dn);

	if (r->hinted)
		return dnset_find(r->hinted, dn) != DNSET_NONE;
	return parent && dn_equal(parent, r->q.base);
}

static int stamps_add(struct gp_recall *r, const struct dir_search *answer, struct err *err)
{
	struct dnset seen = { .a = r->a };

	r->result.answer.outcome = answer->outcome;
	if (answer->outcome != DIR_OK) {
		r->stage = COMPLETE;
		return 0;
	}
	for (size_t i = 0; i < answer->n_entries; i++) {
		if (stamp_add(r, &seen, &answer->entries[i], err) < 0)
			return -1;
		if (r->stage == ASK_WHOLE)
			return 0;
	}
	for (size_t i = 0; i < r->m->dns.n; i++)
		if (is_asked_for(r, r->m->dns.dns[i]) && dnset_find(&seen, r->m->dns.dns[i]) == DNSET_NONE)
			return whole(r, "an object is gone");
	if (r->n_changed > CHANGED_MAX)
		return whole(r, "many objects changed");
	return next_changed(r, err);
}

static int all_add(struct gp_recall *r, const struct dir_search *answer, struct err *err)
{
	for (size_t i = 0; i < answer->n_entries; i++) {
		if (entry_add(r, &answer->entries[i], err) < 0)
			return -1;
		r->result.n_read += gp_is_policy_object(&answer->entries[i]);
	}
	return 0;
}

int gp_recall_add(struct gp_recall *r, const struct dir_search *answer, struct err *err)
{
	switch (r->stage) {
	case ASK_STAMPS:
		return stamps_add(r, answer, err);
	case ASK_CHANGED:
		if (answer->outcome != DIR_OK)
			return whole(r, "what had changed was refused");
		if (all_add(r, answer, err) < 0)
			return -1;
		r->n_asked += r->n_changed - r->n_asked < ASK_CHUNK ? r->n_changed - r->n_asked : ASK_CHUNK;
		return next_changed(r, err);
	case ASK_WHOLE:
		r->result.answer.outcome = answer->outcome;
		r->stage = COMPLETE;
		return all_add(r, answer, err);
	case COMPLETE:
		break;
	}
	return 0;
}

void gp_recall_result(struct gp_recalled *ret, const struct gp_recall *r)
{
	*ret = r->result;
	ret->answer.q = r->q;
	ret->answer.entries = r->entries;
	ret->answer.n_entries = r->n_entries;
}
