/* One directory object to its typed value. */
#include <string.h>

#include "gpo/objects.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/ipsecdata.h"
#include "schema/utf.h"

int object_parse_text(const char **ret, struct arena *a, const struct dir_entry *e, const char *attr, struct err *err)
{
	const struct dir_value *v = entry_value(e, attr);
	const char *text;

	if (!v) {
		*ret = "";
		return 0;
	}
	text = arena_strndup(a, (const char *)v->p, v->len);
	if (!text)
		return err_nomem(err);
	if (strlen(text) != v->len || !utf8_valid(text))
		return err_set(err, ERR_FORMAT, "%s is not text", attr);
	*ret = text;
	return 0;
}

/* ipsecID, or the GUID in the name; both must be the same. */
static int id_parse(struct guid *ret, struct arena *a, const struct dir_entry *e, struct err *err)
{
	const struct dir_value *v = entry_value(e, "ipsecID");
	const char *cn = dn_rdn_value(a, e->dn, "CN");
	const char *brace = cn ? strchr(cn, '{') : NULL;
	struct guid named, said;
	bool has_name = brace && guid_parse(&named, brace, strlen(brace));

	if (!v && !has_name)
		return err_set(err, ERR_FORMAT, "has neither ipsecID nor a GUID in its name");
	if (v && !guid_parse(&said, (const char *)v->p, v->len))
		return err_set(err, ERR_FORMAT, "ipsecID '%s' is not a GUID", (const char *)v->p);
	if (v && has_name && guid_cmp(&said, &named))
		return err_set(err, ERR_FORMAT, "ipsecID %s is not the one in its name", (const char *)v->p);
	*ret = v ? said : named;
	return 0;
}

static int blob_get(const struct dir_value **ret, const struct dir_entry *e, struct err *err)
{
	const struct dir_attr *attr = entry_attr(e, "ipsecData");

	if (!attr || attr->n_values == 0)
		return err_set(err, ERR_FORMAT, "ipsecData is missing");
	if (attr->n_values > 1)
		return err_set(err, ERR_FORMAT, "ipsecData has %zu values", attr->n_values);
	*ret = &attr->values[0];
	return 0;
}

int object_parse_dn(const char **ret, const struct dir_value *v, const char *attr, struct err *err)
{
	if (v->len == 0 || strlen((const char *)v->p) != v->len || !utf8_valid((const char *)v->p))
		return err_set(err, ERR_FORMAT, "%s is not a DN", attr);
	*ret = (const char *)v->p;
	return 0;
}

int object_parse_reference(const char **ret, const struct dir_entry *e, const char *name, bool needed, struct err *err)
{
	const struct dir_attr *attr = entry_attr(e, name);
	size_t n = attr ? attr->n_values : 0;

	if (n > 1)
		return err_set(err, ERR_FORMAT, "%s has %zu values", name, n);
	if (n == 1)
		return object_parse_dn(ret, &attr->values[0], name, err);
	if (needed)
		return err_set(err, ERR_FORMAT, "%s is missing", name);
	*ret = NULL;
	return 0;
}

static int value_parse(struct ipsec_object *o, struct arena *a, const struct dir_value *blob, struct err *err)
{
	switch (o->class) {
	case OBJ_POLICY:
		return ipsecdata_policy_parse(&o->policy.polling_seconds, blob, err);
	case OBJ_ISAKMP:
		return ipsecdata_isakmp_parse(&o->isakmp, a, blob, err);
	case OBJ_RULE:
		return ipsecdata_nfa_parse(&o->rule.value, a, blob, err);
	case OBJ_LIST:
		return ipsecdata_filter_parse(&o->list, a, blob, err);
	default:
		return ipsecdata_negpol_parse(&o->action, a, blob, err);
	}
}

int object_parse(struct ipsec_object *o, struct arena *a, struct err *err)
{
	const struct dir_entry *e = o->entry;
	const struct dir_value *blob = NULL;

	if (id_parse(&o->id, a, e, err) || object_parse_text(&o->name, a, e, "ipsecName", err) ||
	    object_parse_text(&o->description, a, e, "description", err))
		return -1;
	if (o->class == OBJ_ACTION &&
	    ipsecdata_action_parse(&o->action, entry_text(e, "iPSECNegotiationPolicyAction"),
	    entry_text(e, "iPSECNegotiationPolicyType"), err))
		return -1;
	return blob_get(&blob, e, err) || value_parse(o, a, blob, err) ? -1 : 0;
}
