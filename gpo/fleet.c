#include "gpo/fleet.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gpo/ask.h"
#include "gpo/fleet_groups.h"
#include "gpo/fleet_work.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/ident.h"

#define FLEET_MAX	(1u << 20)	/* computers */
#define SUBTREES_MAX	1000		/* searches of more than one entry: a few for each domain that is met */

struct gp_fleet *gp_fleet_new(const struct gp_subject *who, const struct gp_options *o)
{
	struct arena *a = arena_new(0);
	struct gp_fleet *f = a ? arena_zalloc(a, 1, sizeof(*f)) : NULL;

	if (!f) {
		arena_free(a);
		return NULL;
	}
	f->arena = a;
	f->snapshot = snapshot_new();
	f->work = arena_zalloc(a, 1, sizeof(*f->work));
	if (!f->snapshot || !f->work) {
		gp_fleet_free(f);
		return NULL;
	}
	f->work->options = *o;
	f->work->who = (struct gp_subject){ .computer = "", .domain = who->domain, .site = who->site, .default_site = who->default_site };
	f->work->walk = (struct gp_walk){ .s = f->snapshot, .who = &f->work->who, .a = a, .fleet = true,
		.site = "", .site_from = "", .site_note = "", .token_from = "" };
	return f;
}

void gp_fleet_free(struct gp_fleet *f)
{
	if (!f)
		return;
	if (f->work) {
		arena_free(f->work->chain.a);
		arena_free(f->work->scratch);
		snapshot_free(f->work->own);
	}
	snapshot_free(f->snapshot);
	arena_free(f->arena);
}

/* ---- the list of computers ---- */

/* A service account that several computers share is of a class below theirs. */
static bool is_computer(const struct dir_entry *e)
{
	return entry_has_class(e, "computer") && !entry_has_class(e, "msDS-GroupManagedServiceAccount") &&
	    !entry_has_class(e, "msDS-ManagedServiceAccount");
}

static int computer_fill(struct fleet_computer *c, struct gp_fleet *f, const struct dir_entry *e, struct err *err)
{
	const struct dir_value *v = entry_value(e, "sAMAccountName");
	struct err why;

	c->entry = e;
	c->dn = e->dn;
	if (v && v->len) {
		c->name = (const char *)v->p;
		return 0;
	}
	c->name = dn_rdn_value(f->arena, e->dn, "CN");
	if (!c->name)
		c->name = e->dn;
	err_set(&why, ERR_DENIED, "'%s' shows no sAMAccountName", e->dn);
	return fleet_answer_error(&c->answer, f, c, &why, NULL, err);
}

/* The part of the DN from the first SOM on: who shares it shares the walk. */
static int find_chain(struct fleet_computer *c, struct gp_fleet *f, struct err *err)
{
	const char *domain = dn_domain(c->dn), **soms;
	struct err why;
	size_t n;

	arena_free(f->work->scratch);
	f->work->scratch = arena_new(0);
	if (!f->work->scratch)
		return err_nomem(err);
	if (!domain || gp_som_dns(&soms, &n, f->work->scratch, c->dn, &why) < 0)
		return domain && why.code == ERR_NOMEM ? err_nomem(err) : 0;
	c->chain = c->dn + strlen(c->dn) - strlen(soms[0]);
	return 0;
}

static int computer_cmp(const void *x, const void *y)
{
	const struct fleet_computer *a = x, *b = y;
	int c = ascii_cmp(a->name, b->name);

	return c ? c : strcmp(a->dn, b->dn);
}

static int chain_cmp(const void *x, const void *y)
{
	const struct fleet_computer *a = *(struct fleet_computer *const *)x, *b = *(struct fleet_computer *const *)y;
	int c = a->chain && b->chain ? strcmp(a->chain, b->chain) : !!a->chain - !!b->chain;

	return c ? c : (a > b) - (a < b);
}

/* Behind a colon nothing is a DN: such texts are compared byte by byte. */
static const char *name_key(struct arena *a, const struct dir_value *v)
{
	char *key = arena_printf(a, ":%s", (const char *)v->p);

	for (char *p = key; p && *p; p++)
		*p = (char)ascii_lower((uint8_t)*p);
	return key;
}

/* For each name the first two that have it, in the order of the answer. */
struct names {
	struct dnset			 keys;
	const struct dir_entry		*(*owners)[2];
};

static int names_add(struct names *names, const struct dir_entry *e)
{
	const struct dir_attr *attr = entry_attr(e, "sAMAccountName");

	for (size_t i = 0; attr && i < attr->n_values; i++) {
		const char *key = name_key(names->keys.a, &attr->values[i]);
		size_t n = names->keys.n, at = key ? dnset_add(&names->keys, key) : DNSET_NONE;

		if (at == n) {
			names->owners = arena_grow(names->keys.a, names->owners, n, sizeof(*names->owners));
			if (names->owners)
				names->owners[at][0] = e;
		} else if (at != DNSET_NONE && names->owners[at][0] != e && !names->owners[at][1]) {
			names->owners[at][1] = e;
		}
		if (at == DNSET_NONE || !names->owners)
			return -1;
	}
	return 0;
}

static int check_name(struct fleet_computer *c, struct gp_fleet *f, const struct names *names, struct err *err)
{
	const struct dir_value *v = entry_value(c->entry, "sAMAccountName");
	const char *key = v && v->len ? name_key(names->keys.a, v) : NULL;
	const struct dir_entry *const *owners;
	struct err why;

	if (c->answer)
		return 0;
	if (!key)
		return err_nomem(err);
	owners = names->owners[dnset_find(&names->keys, key)];
	if (!owners[1])
		return 0;
	err_set(&why, ERR_FORMAT, "computer %s exists twice: '%s' and '%s'", c->name, owners[0]->dn, owners[1]->dn);
	return fleet_answer_error(&c->answer, f, c, &why, "its account name is not the only one of that name", err);
}

static int fill_computers(struct gp_fleet *f, const struct dir_entry *entries, size_t n, struct err *err)
{
	struct names names = { .keys = { .a = arena_new(0) } };
	int rc = names.keys.a ? 0 : err_nomem(err);

	for (size_t i = 0; !rc && i < n; i++) {
		if (entry_has_class(&entries[i], "computer") && names_add(&names, &entries[i]) < 0)
			rc = err_nomem(err);
		if (!rc && is_computer(&entries[i]))
			rc = computer_fill(&f->computers[f->n_computers++], f, &entries[i], err);
	}
	for (size_t i = 0; !rc && i < f->n_computers; i++) {
		rc = check_name(&f->computers[i], f, &names, err);
		if (!rc)
			rc = find_chain(&f->computers[i], f, err);
	}
	arena_free(names.keys.a);
	return rc;
}

static int take_computers(struct gp_fleet *f, const struct dir_search *answer, struct err *err)
{
	struct fleet_work *k = f->work;

	if (walk_check_domain(&k->walk, answer, err) < 0)
		return -1;
	if (answer->n_entries > FLEET_MAX)
		return err_set(err, ERR_LIMIT, "more than %u computers", FLEET_MAX);
	f->computers = arena_zalloc(f->arena, answer->n_entries, sizeof(*f->computers));
	k->order = arena_zalloc(f->arena, answer->n_entries, sizeof(struct fleet_computer *));
	if (!f->computers || !k->order)
		return err_nomem(err);
	if (fill_computers(f, answer->entries, answer->n_entries, err) < 0)
		return -1;
	qsort(f->computers, f->n_computers, sizeof(*f->computers), computer_cmp);
	for (size_t i = 0; i < f->n_computers; i++)
		k->order[i] = &f->computers[i];
	qsort(k->order, f->n_computers, sizeof(struct fleet_computer *), chain_cmp);
	k->listed = true;
	return 0;
}

/* ---- questions and answers ---- */

static int next_need(struct gp_fleet *f, struct err *err)
{
	struct fleet_work *k = f->work;
	int r = 0;

	if (!k->rooted) {
		r = walk_root(&k->walk, err);
		k->rooted = r == 0;
	}
	if (!r && !k->listed) {
		k->walk.need = (struct dir_query){ k->walk.base_dn, DIR_SUB, "(objectClass=computer)", ask_computer_attrs, 0 };
		r = 1;
	}
	for (; !r && k->at < f->n_computers; k->at += !r) {
		if (!k->order[k->at]->answer)
			r = fleet_resolve(k->order[k->at], f, err);
		if (!r) {
			snapshot_free(k->own);
			k->own = NULL;
		}
	}
	return r;
}

int gp_fleet_next_query(struct dir_query *ret, struct gp_fleet *f, struct err *err)
{
	int r = next_need(f, err);

	if (r <= 0)
		return r;
	*ret = f->work->walk.need;
	if (ret->scope != DIR_BASE && ++f->work->n_subtrees > SUBTREES_MAX)
		return err_set(err, ERR_LIMIT, "more than %d searches: computers, GPOs or policies of too many domains", SUBTREES_MAX);
	return r;
}

static int take_groups(struct gp_fleet *f, const struct dir_search *answer, struct err *err)
{
	struct fleet_work *k = f->work;
	struct group_base b = { .outcome = answer->outcome };

	b.dn = arena_strdup(f->arena, answer->q.base);
	b.groups = fleet_groups_new(f->arena, answer->entries, answer->n_entries, f->computers, f->n_computers,
	    *k->walk.base_dn ? NULL : answer->q.base);
	k->bases = arena_grow(f->arena, k->bases, k->n_bases, sizeof(b));
	if (!b.dn || !b.groups || !k->bases)
		return err_nomem(err);
	k->bases[k->n_bases++] = b;
	return 0;
}

int gp_fleet_answer_add(struct gp_fleet *f, const struct dir_query *q, enum dir_outcome outcome, const struct dir_entry *entries, size_t n, struct err *err)
{
	const struct dir_search answer = { .q = *q, .outcome = outcome, .entries = (struct dir_entry *)entries, .n_entries = n };
	struct fleet_work *k = f->work;

	if (k->rooted && !k->listed)
		return take_computers(f, &answer, err);
	if (q->attrs == fleet_group_attrs)
		return take_groups(f, &answer, err);
	if (q->attrs != ask_token_attrs)
		return snapshot_add(f->snapshot, q, outcome, entries, n, err);
	snapshot_free(k->own);
	k->own = snapshot_new();
	return k->own ? snapshot_add(k->own, q, outcome, entries, n, err) : err_nomem(err);
}
