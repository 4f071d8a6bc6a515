/* The way back: the directory objects that say a policy. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "gpo/assemble.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/ipsecdata.h"
#include "schema/policy.h"

#define DATA_TYPE	"256"	/* ipsecDataType; readers ignore it, tools write this */

/* Memory may run out in any step; the last one looks at `bad`. */
struct maker {
	struct arena		*a;
	const char		*container;
	struct dir_entry	*entries;
	size_t			 n;
	struct dir_entry	 nowhere;	/* takes what no memory was left for */
	bool			 bad;
};

/* {GUID} as Windows writes it into names and ipsecID. */
static const char *id_text(struct maker *m, const struct guid *id)
{
	char text[GUID_TEXT];

	guid_text(id, text);
	for (char *c = text; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return arena_strdup(m->a, text);
}

static const char *object_dn(struct maker *m, const char *class, const struct guid *id)
{
	const char *text = id_text(m, id);

	return text ? arena_printf(m->a, "CN=%s%s,%s", class, text, m->container) : NULL;
}

static void value_add_bytes(struct maker *m, struct dir_entry *e, const char *name, const void *p, size_t len)
{
	struct dir_attr *attr = e->n_attrs ? &e->attrs[e->n_attrs - 1] : NULL;
	struct dir_value *v;
	char *copy = arena_zalloc(m->a, len + 1, 1);

	if (!attr || strcmp(attr->name, name)) {
		attr = arena_grow(m->a, e->attrs, e->n_attrs, sizeof(*attr));
		if (!attr)
			goto nomem;
		e->attrs = attr;
		attr += e->n_attrs++;
		*attr = (struct dir_attr){ .name = name };
	}
	v = arena_grow(m->a, attr->values, attr->n_values, sizeof(*v));
	if (!v || !copy)
		goto nomem;
	memcpy(copy, p, len);
	attr->values = v;
	v[attr->n_values++] = (struct dir_value){ (const uint8_t *)copy, len };
	return;
nomem:
	m->bad = true;
}

/* Values of one attribute are added one after the other.  A NULL is memory that
 * ran out before; a directory has no empty texts, so those are left out. */
static void value_add(struct maker *m, struct dir_entry *e, const char *name, const char *text)
{
	if (!text)
		m->bad = true;
	else if (*text)
		value_add_bytes(m, e, name, text, strlen(text));
}

static struct dir_entry *object_add(struct maker *m, const char *class, const struct guid *id, const char *name, const char *description)
{
	struct dir_entry *e = arena_grow(m->a, m->entries, m->n, sizeof(*e));
	const char *text = id_text(m, id);

	if (!e || !text) {
		m->bad = true;
		m->nowhere = (struct dir_entry){ 0 };
		return &m->nowhere;
	}
	m->entries = e;
	e += m->n++;
	*e = (struct dir_entry){ .dn = object_dn(m, class, id) };
	if (!e->dn)
		m->bad = true;
	value_add(m, e, "objectClass", "top");
	value_add(m, e, "objectClass", "ipsecBase");
	value_add(m, e, "objectClass", class);
	value_add(m, e, "cn", arena_printf(m->a, "%s%s", class, text));
	value_add(m, e, "ipsecName", name);
	value_add(m, e, "description", description);
	value_add(m, e, "ipsecID", text);
	value_add(m, e, "ipsecDataType", DATA_TYPE);
	return e;
}

/* Takes wr->p. */
static void blob_add(struct maker *m, struct dir_entry *e, struct wr *wr)
{
	value_add_bytes(m, e, "ipsecData", wr->p, wr->len);
	free(wr->p);
}

static int policy_object(struct maker *m, const struct ipsec_policy *p, struct err *err)
{
	struct dir_entry *e = object_add(m, "ipsecPolicy", &p->id, p->name, p->description);
	struct wr wr;

	if (ipsecdata_policy_build(&wr, p->polling_seconds, err))
		return err_prefix(err, "policy '%s'", p->name);
	blob_add(m, e, &wr);
	value_add(m, e, "ipsecISAKMPReference", object_dn(m, "ipsecISAKMPPolicy", &p->isakmp.id));
	for (size_t i = 0; i < p->n_rules; i++)
		value_add(m, e, "ipsecNFAReference", object_dn(m, "ipsecNFA", &p->rules[i].id));
	return 0;
}

static int isakmp_object(struct maker *m, const struct ipsec_policy *p, struct err *err)
{
	struct dir_entry *e = object_add(m, "ipsecISAKMPPolicy", &p->isakmp.id, "", "");
	struct wr wr;

	if (ipsecdata_isakmp_build(&wr, &p->isakmp, err))
		return err_prefix(err, "main mode");
	blob_add(m, e, &wr);
	value_add(m, e, "ipsecOwnersReference", object_dn(m, "ipsecPolicy", &p->id));
	return 0;
}

static int rule_object(struct maker *m, const struct ipsec_policy *p, const struct ipsec_rule *r, struct err *err)
{
	struct dir_entry *e = object_add(m, "ipsecNFA", &r->id, r->name, r->description);
	struct wr wr;

	if (ipsecdata_nfa_build(&wr, r, err))
		return err_prefix(err, "rule '%s'", r->name);
	blob_add(m, e, &wr);
	value_add(m, e, "ipsecOwnersReference", object_dn(m, "ipsecPolicy", &p->id));
	value_add(m, e, "ipsecNegotiationPolicyReference", object_dn(m, "ipsecNegotiationPolicy", &r->negpol->id));
	if (r->filter_list)
		value_add(m, e, "ipsecFilterReference", object_dn(m, "ipsecFilter", &r->filter_list->id));
	return 0;
}

static int negpol_object(struct maker *m, const struct ipsec_negpol *n, struct err *err)
{
	struct dir_entry *e = object_add(m, "ipsecNegotiationPolicy", &n->id, n->name, n->description);
	struct wr wr;

	if (ipsecdata_negpol_build(&wr, n, err))
		return err_prefix(err, "filter action '%s'", n->name);
	blob_add(m, e, &wr);
	value_add(m, e, "iPSECNegotiationPolicyType", ipsecdata_type_guid(n));
	value_add(m, e, "iPSECNegotiationPolicyAction", ipsecdata_action_guid(n));
	return 0;
}

static int list_object(struct maker *m, const struct ipsec_filter_list *l, struct err *err)
{
	struct dir_entry *e = object_add(m, "ipsecFilter", &l->id, l->name, l->description);
	struct wr wr;

	if (ipsecdata_filter_build(&wr, l, err))
		return err_prefix(err, "filter list '%s'", l->name);
	blob_add(m, e, &wr);
	return 0;
}

/* The reverse pointers of lists and actions, which lie in the entries from `lists`
 * and from `negpols` on, in the policy's order. */
static void owners_add(struct maker *m, const struct ipsec_policy *p, size_t lists, size_t negpols)
{
	for (size_t i = 0; i < p->n_rules && !m->bad; i++) {
		const struct ipsec_rule *r = &p->rules[i];
		const char *dn = object_dn(m, "ipsecNFA", &r->id);

		value_add(m, &m->entries[negpols + (size_t)(r->negpol - p->negpols)],
		    "ipsecOwnersReference", dn);
		if (r->filter_list)
			value_add(m, &m->entries[lists + (size_t)(r->filter_list - p->filter_lists)],
			    "ipsecOwnersReference", dn);
	}
}

int policy_objects(struct dir_entry **ret, size_t *ret_n, struct arena *a, const struct ipsec_policy *p, const char *container, struct err *err)
{
	struct maker m = { .a = a, .container = container };
	size_t lists, negpols;

	if (policy_check(p, err) || policy_object(&m, p, err) || isakmp_object(&m, p, err))
		return -1;
	for (size_t i = 0; i < p->n_rules; i++)
		if (rule_object(&m, p, &p->rules[i], err))
			return -1;
	lists = m.n;
	for (size_t i = 0; i < p->n_filter_lists; i++)
		if (list_object(&m, &p->filter_lists[i], err))
			return -1;
	negpols = m.n;
	for (size_t i = 0; i < p->n_negpols; i++)
		if (negpol_object(&m, &p->negpols[i], err))
			return -1;
	owners_add(&m, p, lists, negpols);
	if (m.bad)
		return err_nomem(err);
	*ret = m.entries;
	*ret_n = m.n;
	return 0;
}
