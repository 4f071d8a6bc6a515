/* The way back: the directory objects that say a policy. */
#include "gpo/objects.h"

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

const char *object_class_name(enum object_class c)
{
	static const char *const names[] = {
		[OBJ_POLICY] = "policy", [OBJ_ISAKMP] = "main mode", [OBJ_RULE] = "rule",
		[OBJ_LIST] = "filter list", [OBJ_ACTION] = "filter action",
	};

	return c < OBJ_N_CLASSES ? names[c] : "unknown";
}

const char *object_class_ldap(enum object_class c)
{
	static const char *const names[] = {
		[OBJ_POLICY] = "ipsecPolicy", [OBJ_ISAKMP] = "ipsecISAKMPPolicy", [OBJ_RULE] = "ipsecNFA",
		[OBJ_LIST] = "ipsecFilter", [OBJ_ACTION] = "ipsecNegotiationPolicy",
	};

	return c < OBJ_N_CLASSES ? names[c] : "unknown";
}

const char *object_label(const struct ipsec_object *o, char out[static OBJECT_LABEL])
{
	char text[GUID_TEXT];

	guid_text(&o->id, text);
	if (*o->name)
		snprintf(out, OBJECT_LABEL, "%s '%.*s'", object_class_name(o->class), OBJECT_LABEL - 40, o->name);
	else
		snprintf(out, OBJECT_LABEL, "%s %s", object_class_name(o->class), text);
	return out;
}

int object_prefix(struct err *err, const struct ipsec_object *o)
{
	char label[OBJECT_LABEL];

	object_label(o, label);
	return err_prefix(err, "%s", label);
}

/* ---- one object ---- */

/* Memory may run out in any step; the last one looks at `bad`. */
struct maker {
	struct arena		*a;
	struct dir_entry	*e;
	bool			 bad;
};

/* {GUID} as Windows writes it into names and ipsecID. */
static void id_text(char out[static GUID_TEXT], const struct guid *id)
{
	guid_text(id, out);
	for (char *c = out; *c; c++)
		*c = (char)toupper((unsigned char)*c);
}

const char *object_dn(struct arena *a, enum object_class class, const struct guid *id, const char *container)
{
	char text[GUID_TEXT];

	id_text(text, id);
	return arena_printf(a, "CN=%s%s,%s", object_class_ldap(class), text, container);
}

static void value_add_bytes(struct maker *m, const char *name, const void *p, size_t len)
{
	struct dir_entry *e = m->e;
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

/* Values of one attribute are added one after the other.  A directory has no empty
 * texts, so those are left out. */
static void value_add(struct maker *m, const char *name, const char *text)
{
	if (text && *text)
		value_add_bytes(m, name, text, strlen(text));
}

static void head_add(struct maker *m, const struct ipsec_object *o)
{
	const char *class = object_class_ldap(o->class);
	char id[GUID_TEXT], cn[GUID_TEXT + 32];

	id_text(id, &o->id);
	snprintf(cn, sizeof(cn), "%s%s", class, id);
	value_add(m, "objectClass", "top");
	value_add(m, "objectClass", "ipsecBase");
	value_add(m, "objectClass", class);
	value_add(m, "cn", cn);
	value_add(m, "ipsecName", o->name);
	value_add(m, "description", o->description);
	value_add(m, "ipsecID", id);
	value_add(m, "ipsecDataType", DATA_TYPE);
}

static int data_add(struct maker *m, const struct ipsec_object *o, struct err *err)
{
	struct wr wr;
	int rc = -1;

	switch (o->class) {
	case OBJ_POLICY:
		rc = ipsecdata_policy_build(&wr, o->policy.polling_seconds, err);
		break;
	case OBJ_ISAKMP:
		rc = ipsecdata_isakmp_build(&wr, &o->isakmp, err);
		break;
	case OBJ_RULE:
		rc = ipsecdata_nfa_build(&wr, &o->rule.value, err);
		break;
	case OBJ_LIST:
		rc = ipsecdata_filter_build(&wr, &o->list, err);
		break;
	default:
		rc = ipsecdata_negpol_build(&wr, &o->action, err);
		break;
	}
	if (rc)
		return -1;
	value_add_bytes(m, "ipsecData", wr.p, wr.len);
	free(wr.p);
	return 0;
}

static void reference_add(struct maker *m, const char *name, const struct ipsec_object *to)
{
	if (to)
		value_add(m, name, to->dn);
}

int object_build(struct dir_entry *ret, struct arena *a, const struct ipsec_object *o, const char *const *owners, size_t n_owners, struct err *err)
{
	struct dir_entry e = { .dn = arena_strdup(a, o->dn) };
	struct maker m = { .a = a, .e = &e };

	head_add(&m, o);
	if (data_add(&m, o, err))
		return -1;
	if (o->class == OBJ_ACTION) {
		value_add(&m, "iPSECNegotiationPolicyType", ipsecdata_type_guid(&o->action));
		value_add(&m, "iPSECNegotiationPolicyAction", ipsecdata_action_guid(&o->action));
	}
	for (size_t i = 0; i < n_owners; i++)
		value_add(&m, "ipsecOwnersReference", owners[i]);
	if (o->class == OBJ_POLICY) {
		reference_add(&m, "ipsecISAKMPReference", o->policy.isakmp);
		for (size_t i = 0; i < o->policy.n_rules; i++)
			reference_add(&m, "ipsecNFAReference", o->policy.rules[i]);
	} else if (o->class == OBJ_RULE) {
		reference_add(&m, "ipsecNegotiationPolicyReference", o->rule.action);
		reference_add(&m, "ipsecFilterReference", o->rule.list);
	}
	if (m.bad || !e.dn)
		return err_nomem(err);
	*ret = e;
	return 0;
}

/* Puts the object alone into a policy that has nothing else wrong. */
int object_check(const struct ipsec_object *o, struct err *err)
{
	struct ipsec_policy p = { .dn = "", .name = "", .description = "", .when_changed = "", .polling_seconds = 1 };
	struct ipsec_filter_list list = { .name = "", .description = "" };
	struct ipsec_negpol action = { 0 };
	struct ipsec_rule rule;
	const struct ipsec_object *of_list = o->class == OBJ_RULE ? o->rule.list : o;
	const struct ipsec_object *of_action = o->class == OBJ_RULE ? o->rule.action : o;

	if (o->class == OBJ_POLICY || o->class == OBJ_ISAKMP) {
		p.name = o->name;
		p.description = o->description;
	}
	if (o->class == OBJ_POLICY)
		p.polling_seconds = o->policy.polling_seconds;
	if (o->class == OBJ_ISAKMP) {
		p.isakmp = o->isakmp;
		p.isakmp.id = o->id;
	}
	if (o->class == OBJ_LIST) {
		list = o->list;
		list.name = o->name;
		list.description = o->description;
	}
	if (o->class == OBJ_LIST || (o->class == OBJ_RULE && of_list)) {
		list.id = of_list->id;
		p.filter_lists = &list;
		p.n_filter_lists = 1;
	}
	if (o->class == OBJ_ACTION || (o->class == OBJ_RULE && of_action)) {
		action = of_action->action;
		action.id = of_action->id;
		action.name = of_action->name;
		action.description = of_action->description;
		p.negpols = &action;
		p.n_negpols = 1;
	}
	if (o->class == OBJ_RULE) {
		rule = o->rule.value;
		rule.id = o->id;
		rule.name = o->name;
		rule.description = o->description;
		rule.filter_list = p.filter_lists;
		rule.negpol = p.negpols;
		rule.default_response = !p.filter_lists;
		p.rules = &rule;
		p.n_rules = 1;
	}
	return policy_check(&p, err);
}

/* ---- all objects of a policy ---- */

struct owners {
	const char	**dns;
	size_t		  n;
};

/* A policy as objects that share its values: policy, main mode, rules, lists, actions. */
struct family {
	struct arena			*a;
	const struct ipsec_policy	*p;
	const char			*container;
	struct ipsec_object		*objects, *rules, *lists, *actions;
	struct owners			*owners;	/* as objects */
	bool				 bad;
};

static void family_object(struct family *f, struct ipsec_object *o, enum object_class class, const struct guid *id, const char *name, const char *description)
{
	o->class = class;
	o->id = *id;
	o->name = name;
	o->description = description;
	o->dn = object_dn(f->a, class, id, f->container);
	if (!o->dn)
		f->bad = true;
}

static void family_owner(struct family *f, const struct ipsec_object *o, const struct ipsec_object *owner)
{
	struct owners *own = &f->owners[o - f->objects];
	const char **dns = arena_grow(f->a, own->dns, own->n, sizeof(*dns));

	if (!dns) {
		f->bad = true;
		return;
	}
	own->dns = dns;
	dns[own->n++] = owner->dn;
}

static void family_rule(struct family *f, size_t i)
{
	const struct ipsec_rule *r = &f->p->rules[i];
	struct ipsec_object *o = &f->rules[i];

	family_object(f, o, OBJ_RULE, &r->id, r->name, r->description);
	o->rule.value = *r;
	o->rule.action = &f->actions[r->negpol - f->p->negpols];
	family_owner(f, o, f->objects);
	family_owner(f, o->rule.action, o);
	if (r->filter_list) {
		o->rule.list = &f->lists[r->filter_list - f->p->filter_lists];
		family_owner(f, o->rule.list, o);
	}
	f->objects->policy.rules[i] = o;
}

static int family_fill(struct family *f)
{
	const struct ipsec_policy *p = f->p;
	struct ipsec_object *o = f->objects;

	family_object(f, o, OBJ_POLICY, &p->id, p->name, p->description);
	o->policy.polling_seconds = p->polling_seconds;
	o->policy.isakmp = o + 1;
	o->policy.rules = arena_zalloc(f->a, p->n_rules, sizeof(struct ipsec_object *));
	if (!o->policy.rules)
		return -1;
	o->policy.n_rules = p->n_rules;
	family_object(f, o + 1, OBJ_ISAKMP, &p->isakmp.id, "", "");
	o[1].isakmp = p->isakmp;
	family_owner(f, o + 1, o);
	for (size_t i = 0; i < p->n_filter_lists; i++) {
		const struct ipsec_filter_list *l = &p->filter_lists[i];

		family_object(f, &f->lists[i], OBJ_LIST, &l->id, l->name, l->description);
		f->lists[i].list = *l;
	}
	for (size_t i = 0; i < p->n_negpols; i++) {
		const struct ipsec_negpol *n = &p->negpols[i];

		family_object(f, &f->actions[i], OBJ_ACTION, &n->id, n->name, n->description);
		f->actions[i].action = *n;
	}
	for (size_t i = 0; i < p->n_rules; i++)
		family_rule(f, i);
	return f->bad ? -1 : 0;
}

int policy_objects(struct dir_entry **ret, size_t *ret_n, struct arena *a, const struct ipsec_policy *p, const char *container, struct err *err)
{
	size_t n = 2 + p->n_rules + p->n_filter_lists + p->n_negpols;
	struct family f = { .a = a, .p = p, .container = container };
	struct dir_entry *entries;

	if (policy_check(p, err))
		return -1;
	entries = arena_zalloc(a, n, sizeof(*entries));
	f.objects = arena_zalloc(a, n, sizeof(*f.objects));
	f.owners = arena_zalloc(a, n, sizeof(*f.owners));
	if (!entries || !f.objects || !f.owners)
		return err_nomem(err);
	f.rules = f.objects + 2;
	f.lists = f.rules + p->n_rules;
	f.actions = f.lists + p->n_filter_lists;
	if (family_fill(&f))
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		if (object_build(&entries[i], a, &f.objects[i], f.owners[i].dns, f.owners[i].n, err))
			return object_prefix(err, &f.objects[i]);
	*ret = entries;
	*ret_n = n;
	return 0;
}
