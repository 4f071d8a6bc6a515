/* LDIF: the objects of a container, and, for a backup, who assigns its policies. */
#include <string.h>

#include "agent/exchange_parts.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ldif.h"

#define ASSIGNMENT	"IPSEC"		/* CN of a GPO's object, [MS-GPIPSEC] 2.2.2 */

/* ---- reading ---------------------------------------------------------------------------- */

static int reference_take(struct dir_entry *to, struct arena *a, const char *name, const struct dir_value *v, const char *container, struct err *err)
{
	const char *leaf = exchange_leaf(a, (const char *)v->p);
	const char *dn = leaf ? exchange_dn(a, leaf, container) : NULL;

	if (!dn)
		return err_set(err, ERR_FORMAT, "%s '%.200s' names no object", name, (const char *)v->p);
	return exchange_value_add(to, a, name, dn, strlen(dn), err);
}

/* What a file may carry, and nothing that a directory makes itself. */
static int attr_take(struct dir_entry *to, struct arena *a, const struct object_attr *known, const struct dir_entry *e, const char *container, struct err *err)
{
	const struct dir_attr *attr = entry_attr(e, known->name);
	bool reference = known->kind == KIND_REFERENCE || known->kind == KIND_REFERENCES;

	for (size_t i = 0; attr && i < attr->n_values; i++) {
		const struct dir_value *v = &attr->values[i];

		if (reference ? reference_take(to, a, known->name, v, container, err) :
		    exchange_value_add(to, a, known->name, v->p, v->len, err))
			return -1;
	}
	return 0;
}

static int object_take(struct exchange_content *to, struct arena *a, const struct dir_entry *e, const char *leaf, const char *container, struct err *err)
{
	const char *dn = exchange_dn(a, leaf, container);
	const char *class = dn ? object_class_ldap(exchange_class(leaf)) : NULL;
	struct dir_entry *made;

	if (!dn)
		return err_set(err, ERR_FORMAT, "its name is not that of an object");
	if (!entry_has_class(e, class))
		return err_set(err, ERR_FORMAT, "its objectClass is not the one in its name");
	made = exchange_entry_add(to, a, dn, leaf, class, 0);
	if (!made)
		return err_nomem(err);
	for (size_t i = 0; i < OBJECT_ATTRS; i++)
		if (attr_take(made, a, &object_attrs[i], e, container, err) < 0)
			return -1;
	return 0;
}

/* "CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,CN={GPO},...": the GPO's own name; NULL: of no GPO. */
static const char *assignment_gpo(struct arena *a, const char *dn)
{
	static const char *const path[] = { ASSIGNMENT, "Windows", "Microsoft", "Machine" };

	for (size_t i = 0; i < sizeof(path) / sizeof(path[0]) && dn; i++) {
		const char *name = dn_rdn_value(a, dn, "CN");

		if (!name || !ascii_equal(name, path[i]))
			return NULL;
		dn = dn_parent(dn);
	}
	return dn ? dn_rdn_value(a, dn, "CN") : NULL;
}

static int assignment_take(struct exchange_content *to, struct arena *a, const struct dir_entry *e, const char *container, struct err *err)
{
	const struct dir_attr *attr = entry_attr(e, "ipsecOwnersReference");
	const char *gpo = assignment_gpo(a, e->dn), *name = entry_text(e, "displayName"), *leaf, *policy;
	struct exchange_gpo *gpos;
	struct guid id;

	/* It assigns nothing. */
	if (!attr || attr->n_values == 0)
		return 0;
	if (attr->n_values > 1)
		return err_set(err, ERR_FORMAT, "ipsecOwnersReference has %zu values", attr->n_values);
	leaf = exchange_leaf(a, (const char *)attr->values[0].p);
	policy = leaf && exchange_class(leaf) == OBJ_POLICY ? exchange_dn(a, leaf, container) : NULL;
	if (!policy)
		return err_set(err, ERR_FORMAT, "'%.200s' is not the name of a policy", (const char *)attr->values[0].p);
	if (!gpo) {
		to->active = policy;
		return 0;
	}
	gpos = arena_grow(a, to->gpos, to->n_gpos, sizeof(*gpos));
	if (!gpos)
		return err_nomem(err);
	if (name && !guid_parse(&id, gpo, strlen(gpo)))
		gpo = name;
	gpos[to->n_gpos++] = (struct exchange_gpo){ .gpo = gpo, .name = name ? name : gpo, .policy = policy };
	to->gpos = gpos;
	return 0;
}

/* Other entries, the container itself among them, are nobody's business. */
static int entry_take(struct exchange_content *to, struct arena *a, const struct dir_entry *e, const char *container, struct err *err)
{
	const char *leaf = dn_rdn_value(a, e->dn, "CN");
	bool is_object = false;

	for (int class = 0; class < OBJ_N_CLASSES; class++)
		is_object |= entry_has_class(e, object_class_ldap((enum object_class)class));
	if (!is_object)
		return 0;
	if (leaf && ascii_equal(leaf, ASSIGNMENT))
		return assignment_take(to, a, e, container, err);
	return object_take(to, a, e, leaf ? leaf : "", container, err);
}

int exchange_from_ldif(struct exchange_content *ret, struct arena *a, const char *text, size_t len, const char *container, struct err *err)
{
	struct exchange_content to = { 0 };
	struct dir_entry *entries = NULL;
	size_t n = 0;

	if (ldif_read(&entries, &n, a, text, len, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (entry_take(&to, a, &entries[i], container, err) < 0)
			return err_prefix(err, "entry '%.200s'", entries[i].dn);
	*ret = to;
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* RFC 4514 2.4. */
static const char *rdn_escape(struct arena *a, const char *name)
{
	size_t len = strlen(name), n = 0;
	char *out = arena_zalloc(a, 2 * len + 1, 1);

	for (size_t i = 0; out && i < len; i++) {
		if (strchr("\"+,;<>=\\#", name[i]) || (name[i] == ' ' && (i == 0 || i == len - 1)))
			out[n++] = '\\';
		out[n++] = name[i];
	}
	return out;
}

static const char *gpo_dn(struct arena *a, const struct exchange_gpo *g, const char *container)
{
	const char *domain = dn_domain(container), *name = rdn_escape(a, g->gpo);

	if (!*g->gpo)
		return arena_printf(a, "CN=" ASSIGNMENT ",%s", container);
	return name ? arena_printf(a, "CN=" ASSIGNMENT ",CN=Windows,CN=Microsoft,CN=Machine,CN=%s,CN=Policies,CN=System%s%s", name,
	    domain ? "," : "", domain ? domain : "") : NULL;
}

static int gpo_write(const struct exchange_gpo *g, const char *container, struct arena *a, FILE *out, struct err *err)
{
	struct dir_entry e = { .dn = gpo_dn(a, g, container) };

	if (!e.dn)
		return err_nomem(err);
	if (exchange_value_add(&e, a, "objectClass", "top", 3, err) < 0 || exchange_value_add(&e, a, "objectClass", "ipsecBase", 9, err) < 0 ||
	    exchange_value_add(&e, a, "objectClass", "ipsecPolicy", 11, err) < 0 || exchange_value_add(&e, a, "cn", ASSIGNMENT, 5, err) < 0 ||
	    (*g->name && exchange_value_add(&e, a, "displayName", g->name, strlen(g->name), err) < 0) ||
	    exchange_value_add(&e, a, "ipsecOwnersReference", g->policy, strlen(g->policy), err) < 0)
		return -1;
	ldif_write_entry(&e, out);
	return 0;
}

/* What the directory makes itself would only be in the way where the file is read. */
static int object_write(const struct dir_entry *e, struct arena *a, FILE *out, struct err *err)
{
	static const char *const first[] = { "objectClass", "cn" };
	struct dir_entry copy = { .dn = e->dn };
	size_t n = sizeof(first) / sizeof(first[0]);

	copy.attrs = arena_zalloc(a, OBJECT_ATTRS + n, sizeof(*copy.attrs));
	if (!copy.attrs)
		return err_nomem(err);
	for (size_t i = 0; i < n + OBJECT_ATTRS; i++) {
		const struct dir_attr *attr = entry_attr(e, i < n ? first[i] : object_attrs[i - n].name);

		if (attr && attr->n_values)
			copy.attrs[copy.n_attrs++] = *attr;
	}
	ldif_write_entry(&copy, out);
	return 0;
}

int exchange_to_ldif(const struct dir_entry *entries, size_t n, const struct exchange_gpo *gpos, size_t n_gpos, const char *container, FILE *out, struct err *err)
{
	struct arena *a = arena_new(0);
	int rc = a ? 0 : err_nomem(err);

	fputs("version: 1\n\n", out);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = object_write(&entries[i], a, out, err);
	for (size_t i = 0; rc == 0 && i < n_gpos; i++)
		rc = gpo_write(&gpos[i], container, a, out, err);
	arena_free(a);
	return rc;
}

/* ---- assignments ------------------------------------------------------------------------------ */

static int gpo_add(struct exchange_gpo **list, size_t *n, struct arena *a, const struct gpo_user *gpo, const char *policy, struct err *err)
{
	struct exchange_gpo *gpos = arena_grow(a, *list, *n, sizeof(*gpos));

	if (!gpos)
		return err_nomem(err);
	gpos[(*n)++] = (struct exchange_gpo){ .gpo = gpo->gpo, .name = gpo->name, .policy = policy };
	*list = gpos;
	return 0;
}

int exchange_gpos(struct exchange_gpo **ret, size_t *ret_n, struct arena *a, const struct ipsec_container *c, struct backend *b, struct err *err)
{
	struct exchange_gpo *gpos = NULL;
	size_t n = 0;

	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = c->objects[i];
		struct gpo_user *users = NULL;
		size_t n_users = 0;

		if (o->class != OBJ_POLICY || o->deleted || o->damage || !o->entry)
			continue;
		if (b->users(b, o->dn, &users, &n_users, a, err) < 0)
			return -1;
		for (size_t k = 0; k < n_users; k++)
			if (gpo_add(&gpos, &n, a, &users[k], o->dn, err) < 0)
				return -1;
	}
	*ret = gpos;
	*ret_n = n;
	return 0;
}

/* 0: to be done, 1: it is so already, 2: there is no such GPO, -1. */
static int gpo_look(struct backend *b, const struct exchange_gpo *g, struct arena *a, struct err *err)
{
	const char *dn = NULL;
	int r = b->assigned(b, g->gpo, &dn, a, err);

	if (r < 0)
		return err->code == ERR_ABSENT ? 2 : err_prefix(err, "GPO '%.100s'", g->name);
	return r == 1 && dn_equal(dn, g->policy);
}

static int assign_add(struct store_edit *e, const struct exchange_gpo *g, struct err *err)
{
	struct arena *a = e->container->arena;
	struct gpo_assign *gpos = arena_grow(a, e->gpos, e->n_gpos, sizeof(*gpos));
	const char *gpo = arena_strdup(a, g->gpo), *policy = arena_strdup(a, g->policy);

	if (!gpos || !gpo || !policy)
		return err_nomem(err);
	e->gpos = gpos;
	gpos[e->n_gpos++] = (struct gpo_assign){ .gpo = gpo, .policy = policy };
	return 0;
}

int exchange_gpos_restore(struct store_edit *e, struct backend *b, struct exchange_content *content, struct err *err)
{
	size_t n_before = e->n_gpos;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < content->n_gpos; i++) {
		struct exchange_gpo *g = &content->gpos[i];

		r = gpo_look(b, g, e->container->arena, err);
		g->missing = r == 2;
		if (r == 0)
			r = assign_add(e, g, err);
	}
	if (r < 0)
		e->n_gpos = n_before;
	return r < 0 ? -1 : 0;
}
