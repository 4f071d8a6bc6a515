#include "gpo/assemble.h"

#include <stdlib.h>
#include <string.h>

#include "gpo/objects.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/policy.h"

#define RDN_SHOWN	120	/* bytes of a name in a message */

/* One reference from a rule, by DN; several rules may name one object. */
struct ref {
	const char	*dn, *key;	/* key NULL: none (default response) */
	struct guid	 rule;		/* for messages: the first that names it */
	struct guid	 id;		/* of the object, once read */
};

struct work {
	const struct dir_snapshot	*s;
	struct ipsec_policy		*p;
	struct arena			*scratch;
	struct ref			*lists, *negpols;	/* one a rule each */
};

/* ---- objects and their attributes ---- */

/* "rule CN=ipsecNFA{...}: <message so far>" */
static int dn_prefix(struct err *err, const char *what, const char *dn)
{
	const char *parent = dn_parent(dn);
	size_t n = parent ? (size_t)(parent - dn) : strlen(dn);

	while (parent && n && (dn[n - 1] == ',' || dn[n - 1] == ' '))
		n--;
	return err_prefix(err, "%s %.*s", what, (int)(n < RDN_SHOWN ? n : RDN_SHOWN), dn);
}

static int rule_prefix(struct err *err, const struct guid *id)
{
	char text[GUID_TEXT];

	guid_text(id, text);
	return err_prefix(err, "rule %s", text);
}

/* o->entry, of o->class. */
static int object_find(struct ipsec_object *o, const struct work *w, const char *dn, struct err *err)
{
	enum dir_state state;
	const struct dir_entry *e;

	/* A value that outlived its target: [MS-ADTS] 3.1.1.5.5. */
	if (strcasestr(dn, "\\0ADEL:"))
		return err_set(err, ERR_ABSENT, "was deleted");
	e = snapshot_entry(w->s, dn, &state);
	if (state == DIR_STATE_DENIED)
		return err_set(err, ERR_DENIED, "cannot be read with this account");
	if (state == DIR_STATE_ELSEWHERE)
		return err_set(err, ERR_DENIED, "is not held by this server");
	if (!e || state != DIR_STATE_FOUND)
		return err_set(err, ERR_ABSENT, "does not exist");
	if (!entry_has_class(e, object_class_ldap(o->class)))
		return err_set(err, ERR_FORMAT, "is not of class %s", object_class_ldap(o->class));
	o->entry = e;
	return 0;
}

/* ---- the five classes ---- */

static int policy_object(const struct dir_entry **ret, const struct work *w, const char *dn, struct err *err)
{
	struct ipsec_object o = { .class = OBJ_POLICY };
	struct ipsec_policy *p = w->p;

	if (object_find(&o, w, dn, err) || object_parse(&o, p->arena, err) ||
	    object_parse_text(&p->when_changed, p->arena, o.entry, "whenChanged", err))
		return -1;
	p->id = o.id;
	p->name = o.name;
	p->description = o.description;
	p->polling_seconds = o.policy.polling_seconds;
	p->dn = arena_strdup(p->arena, o.entry->dn);
	if (!p->dn)
		return err_nomem(err);
	*ret = o.entry;
	return 0;
}

static int isakmp_object(const struct work *w, const char *dn, struct err *err)
{
	struct ipsec_object o = { .class = OBJ_ISAKMP };

	if (object_find(&o, w, dn, err) || object_parse(&o, w->p->arena, err))
		return dn_prefix(err, "main mode", dn);
	w->p->isakmp = o.isakmp;
	w->p->isakmp.id = o.id;
	return 0;
}

static int ref_set(struct ref *ref, const struct work *w, const struct guid *rule, const char *dn, struct err *err)
{
	ref->rule = *rule;
	ref->dn = dn;
	if (!dn)
		return 0;
	ref->key = dn_key(w->scratch, dn);
	return ref->key ? 0 : err_nomem(err);
}

static int rule_object(const struct work *w, size_t i, const char *dn, struct err *err)
{
	struct ipsec_object o = { .class = OBJ_RULE };
	struct ipsec_rule *r = &w->p->rules[i];
	const char *negpol, *list;

	if (object_find(&o, w, dn, err))
		return dn_prefix(err, "rule", dn);
	if (object_parse(&o, w->p->arena, err))
		return guid_is_zero(&o.id) ? dn_prefix(err, "rule", dn) : rule_prefix(err, &o.id);
	*r = o.rule.value;
	r->id = o.id;
	r->name = o.name;
	r->description = o.description;
	if (object_parse_reference(&negpol, o.entry, "ipsecNegotiationPolicyReference", true, err) ||
	    /* Joining several lists would change what one of them says. */
	    object_parse_reference(&list, o.entry, "ipsecFilterReference", false, err) ||
	    ref_set(&w->negpols[i], w, &r->id, negpol, err) ||
	    ref_set(&w->lists[i], w, &r->id, list, err))
		return rule_prefix(err, &r->id);
	r->default_response = !list;
	return 0;
}

static int list_object(struct ipsec_filter_list *l, const struct work *w, const char *dn, struct err *err)
{
	struct ipsec_object o = { .class = OBJ_LIST };

	if (object_find(&o, w, dn, err) || object_parse(&o, w->p->arena, err))
		return dn_prefix(err, "filter list", dn);
	*l = o.list;
	l->id = o.id;
	l->name = o.name;
	l->description = o.description;
	return 0;
}

static int negpol_object(struct ipsec_negpol *n, const struct work *w, const char *dn, struct err *err)
{
	struct ipsec_object o = { .class = OBJ_ACTION };

	if (object_find(&o, w, dn, err) || object_parse(&o, w->p->arena, err))
		return dn_prefix(err, "filter action", dn);
	*n = o.action;
	n->id = o.id;
	n->name = o.name;
	n->description = o.description;
	return 0;
}

/* ---- each object once, and the references resolved ---- */

static int ref_cmp(const void *x, const void *y)
{
	return strcmp(((const struct ref *)x)->key, ((const struct ref *)y)->key);
}

/* The distinct ones among n references, sorted by key. */
static int refs_unique(struct ref **ret, size_t *ret_n, const struct ref *refs, size_t n, struct arena *a, struct err *err)
{
	struct ref *u = arena_zalloc(a, n, sizeof(*u));
	size_t n_u = 0, kept = 0;

	if (!u)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		if (refs[i].key)
			u[n_u++] = refs[i];
	qsort(u, n_u, sizeof(*u), ref_cmp);
	for (size_t i = 0; i < n_u; i++)
		if (!kept || ref_cmp(&u[kept - 1], &u[i]))
			u[kept++] = u[i];
	*ret = u;
	*ret_n = kept;
	return 0;
}

static int list_cmp(const void *x, const void *y)
{
	return guid_cmp(&((const struct ipsec_filter_list *)x)->id, &((const struct ipsec_filter_list *)y)->id);
}

static int negpol_cmp(const void *x, const void *y)
{
	return guid_cmp(&((const struct ipsec_negpol *)x)->id, &((const struct ipsec_negpol *)y)->id);
}

static int rule_cmp(const void *x, const void *y)
{
	return guid_cmp(&((const struct ipsec_rule *)x)->id, &((const struct ipsec_rule *)y)->id);
}

static int lists_resolve(const struct work *w, struct err *err)
{
	struct ipsec_policy *p = w->p;
	struct ref *refs, *found;
	size_t n;

	if (refs_unique(&refs, &n, w->lists, p->n_rules, w->scratch, err))
		return -1;
	p->filter_lists = arena_zalloc(p->arena, n, sizeof(*p->filter_lists));
	if (!p->filter_lists)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		if (list_object(&p->filter_lists[i], w, refs[i].dn, err))
			return rule_prefix(err, &refs[i].rule);
		refs[i].id = p->filter_lists[i].id;
	}
	p->n_filter_lists = n;
	qsort(p->filter_lists, n, sizeof(*p->filter_lists), list_cmp);
	for (size_t i = 0; i < p->n_rules; i++) {
		struct ipsec_filter_list key = { 0 };

		if (!w->lists[i].key)
			continue;
		found = bsearch(&w->lists[i], refs, n, sizeof(*refs), ref_cmp);
		key.id = found->id;
		p->rules[i].filter_list = bsearch(&key, p->filter_lists, n, sizeof(key), list_cmp);
	}
	return 0;
}

static int negpols_resolve(const struct work *w, struct err *err)
{
	struct ipsec_policy *p = w->p;
	struct ref *refs, *found;
	size_t n;

	if (refs_unique(&refs, &n, w->negpols, p->n_rules, w->scratch, err))
		return -1;
	p->negpols = arena_zalloc(p->arena, n, sizeof(*p->negpols));
	if (!p->negpols)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		if (negpol_object(&p->negpols[i], w, refs[i].dn, err))
			return rule_prefix(err, &refs[i].rule);
		refs[i].id = p->negpols[i].id;
	}
	p->n_negpols = n;
	qsort(p->negpols, n, sizeof(*p->negpols), negpol_cmp);
	for (size_t i = 0; i < p->n_rules; i++) {
		struct ipsec_negpol key = { 0 };

		found = bsearch(&w->negpols[i], refs, n, sizeof(*refs), ref_cmp);
		key.id = found->id;
		p->rules[i].negpol = bsearch(&key, p->negpols, n, sizeof(key), negpol_cmp);
	}
	return 0;
}

static int rules_read(struct work *w, const struct dir_entry *policy, struct err *err)
{
	const struct dir_attr *attr = entry_attr(policy, "ipsecNFAReference");
	size_t n = attr ? attr->n_values : 0;
	struct ref *refs = arena_zalloc(w->scratch, n, sizeof(*refs)), *unique;
	static const struct guid none;
	struct ipsec_policy *p = w->p;
	size_t n_unique;
	const char *dn = NULL;

	p->rules = arena_zalloc(p->arena, n, sizeof(*p->rules));
	w->lists = arena_zalloc(w->scratch, n, sizeof(*w->lists));
	w->negpols = arena_zalloc(w->scratch, n, sizeof(*w->negpols));
	if (!refs || !p->rules || !w->lists || !w->negpols)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		if (object_parse_dn(&dn, &attr->values[i], "ipsecNFAReference", err) ||
		    ref_set(&refs[i], w, &none, dn, err))
			return -1;
	/* Before any is read: the work is bounded by what the directory holds. */
	if (refs_unique(&unique, &n_unique, refs, n, w->scratch, err))
		return -1;
	if (n_unique != n)
		return err_set(err, ERR_FORMAT, "ipsecNFAReference names a rule twice");
	for (size_t i = 0; i < n; i++)
		if (rule_object(w, i, refs[i].dn, err))
			return -1;
	p->n_rules = n;
	return 0;
}

static int graph_read(struct work *w, const char *policy_dn, struct err *err)
{
	struct ipsec_policy *p = w->p;
	const struct dir_entry *e = NULL;
	const char *isakmp;

	if (policy_object(&e, w, policy_dn, err) ||
	    object_parse_reference(&isakmp, e, "ipsecISAKMPReference", true, err) ||
	    isakmp_object(w, isakmp, err))
		return dn_prefix(err, "policy", policy_dn);
	if (rules_read(w, e, err) || lists_resolve(w, err) || negpols_resolve(w, err))
		return -1;
	qsort(p->rules, p->n_rules, sizeof(*p->rules), rule_cmp);
	return policy_check(p, err);
}

int policy_assemble(struct ipsec_policy **ret, const struct dir_snapshot *s, const char *policy_dn, struct err *err)
{
	struct work w = { .s = s };
	int rc = -1;

	w.p = policy_new();
	w.scratch = arena_new(0);
	if (!w.p || !w.scratch) {
		err_nomem(err);
		goto out;
	}
	if (graph_read(&w, policy_dn, err))
		goto out;
	*ret = w.p;
	w.p = NULL;
	rc = 0;
out:
	arena_free(w.scratch);
	policy_free(w.p);
	return rc;
}

int policy_assemble_entries(struct ipsec_policy **ret, const struct dir_entry *entries, size_t n_entries, const char *policy_dn, struct err *err)
{
	static const char *const all[] = { "*", NULL };
	const struct dir_query q = { "", DIR_SUB, "(objectClass=*)", all, 0 };
	struct dir_snapshot *s = snapshot_new();
	int rc = -1;

	if (!s)
		return err_nomem(err);
	if (!snapshot_add(s, &q, DIR_OK, entries, n_entries, err))
		rc = policy_assemble(ret, s, policy_dn, err);
	snapshot_free(s);
	return rc;
}
