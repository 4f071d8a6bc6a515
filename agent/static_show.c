/* What `show` prints for people: lists, one line a value, or tables, one line an object. */
#include "agent/static_show.h"

#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#include "agent/cli_text.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

static int table_end(struct show *s, struct table *t)
{
	int rc = t ? table_print(t, s->wide, s->out, s->err) : err_nomem(s->err);

	table_free(t);
	return rc;
}

static int filters_table(struct show *s, const struct ipsec_filter_list *l)
{
	static const char *const headings[] = { "Source", "Destination", "Protocol", "Src Port", "Dst Port", "Mirrored", "Description" };
	struct table *t = table_new(7, headings);

	for (size_t i = 0; i < l->n_filters && t; i++) {
		const struct ipsec_filter *f = &l->filters[i];
		const char *const cells[] = { show_address(s, &f->src), show_address(s, &f->dst), words_protocol(s->arena, f->protocol),
		    show_ports(s, &f->src_port), show_ports(s, &f->dst_port), show_yes(f->mirrored), f->description };

		table_row(t, cells);
	}
	return table_end(s, t);
}

/* ---- sets of objects ---- */

struct found {
	const struct ipsec_object	**objects;
	size_t				  n;
};

static int found_add(struct show *s, struct found *f, const struct ipsec_object *o)
{
	const struct ipsec_object **grown;

	for (size_t i = 0; i < f->n && f->n < 16; i++)
		if (f->objects[i] == o)
			return 0;
	grown = arena_grow(s->arena, f->objects, f->n, sizeof(*grown));
	if (!grown)
		return err_nomem(s->err);
	f->objects = grown;
	grown[f->n++] = o;
	return 0;
}

/* The lists or actions of the rules of this name, in whatever policy. */
static int found_of_rule(struct show *s, struct found *f, enum object_class class, const char *rule)
{
	const struct ipsec_container *c = s->e->container;
	bool any = false;

	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = c->objects[i], *to;

		if (o->class != OBJ_RULE || o->deleted || o->damage || !o->rule.policy || !ascii_equal(o->name, rule))
			continue;
		any = true;
		to = class == OBJ_LIST ? o->rule.list : o->rule.action;
		if (to && found_add(s, f, to))
			return -1;
	}
	return any ? 0 : err_set(s->err, ERR_ABSENT, "there is no rule '%s'", rule);
}

static int object_cmp(const void *x, const void *y)
{
	const struct ipsec_object *a = *(const struct ipsec_object *const *)x, *b = *(const struct ipsec_object *const *)y;
	int c = strcasecmp(a->name ? a->name : "", b->name ? b->name : "");

	return c ? c : guid_cmp(&a->id, &b->id);
}

/* The actions of default response rules have no name, and are shown with them. */
static bool is_listed(const struct show *s, const struct ipsec_object *o)
{
	return o->class != OBJ_ACTION || o->damage || (o->name && *o->name) || s->verbose || s->json;
}

static int found_read(struct show *s, struct found *f, enum object_class class)
{
	const struct ipsec_container *c = s->e->container;
	const char *name = arg_text(s->a, "name", NULL), *rule = arg_text(s->a, "rule", NULL);
	struct ipsec_object *o;

	if (rule)
		return found_of_rule(s, f, class, rule);
	if (name && s->a->command->id != CMD_SHOW_ALL)
		return edit_find_any(&o, c, class, name, s->err) || found_add(s, f, o) ? -1 : 0;
	f->objects = arena_zalloc(s->arena, c->n_objects + 1, sizeof(*f->objects));
	if (!f->objects)
		return err_nomem(s->err);
	for (size_t i = 0; i < c->n_objects; i++)
		if (c->objects[i]->class == class && !c->objects[i]->deleted && is_listed(s, c->objects[i]))
			f->objects[f->n++] = c->objects[i];
	if (f->n)
		qsort(f->objects, f->n, sizeof(*f->objects), object_cmp);
	return 0;
}

static int policies_table(struct show *s, const struct found *f)
{
	static const char *const headings[] = { "Policy Name", "Rules", "Last Modified", "Assigned", "Polling", "Description", "GUID" };
	struct table *t = table_new(s->verbose ? 7 : 4, headings);

	for (size_t i = 0; i < f->n && t; i++) {
		const struct ipsec_object *o = f->objects[i];
		const char *const cells[] = { show_name(o), o->damage ? "damaged" : arena_printf(s->arena, "%zu", o->policy.n_rules),
		    show_modified(s, o), show_assigned(s, o), o->damage ? "" : arena_printf(s->arena, "%u min", o->policy.polling_seconds / 60),
		    o->description, show_id(s, o) };

		table_row(t, cells);
	}
	return table_end(s, t);
}

static int lists_table(struct show *s, const struct found *f)
{
	static const char *const headings[] = { "Filter List Name", "Filters", "Description", "GUID" };
	struct table *t = table_new(4, headings);
	int rc;

	for (size_t i = 0; i < f->n && t; i++) {
		const struct ipsec_object *o = f->objects[i];
		const char *const cells[] = { show_name(o), o->damage ? "damaged" : arena_printf(s->arena, "%zu", o->list.n_filters),
		    o->description, show_id(s, o) };

		table_row(t, cells);
	}
	rc = table_end(s, t);
	for (size_t i = 0; i < f->n && s->verbose && !rc; i++) {
		const struct ipsec_object *o = f->objects[i];

		if (o->damage)
			continue;
		list_heading(s->out, show_name(o));
		rc = filters_table(s, &o->list);
	}
	return rc;
}

static int actions_table(struct show *s, const struct found *f)
{
	static const char *const headings[] = { "Filter Action Name", "Action", "Accept", "Allow", "PFS", "Security Methods", "Description", "GUID" };
	struct table *t = table_new(s->verbose ? 8 : 6, headings);

	for (size_t i = 0; i < f->n && t; i++) {
		const struct ipsec_object *o = f->objects[i];
		const struct ipsec_negpol *n = &o->action;
		const char *const cells[] = { show_name(o), o->damage ? "damaged" : ipsec_action_name(n->action),
		    o->damage ? "" : show_yes(n->inpass), o->damage ? "" : show_yes(n->soft), o->damage ? "" : show_yes(n->pfs),
		    o->damage ? "" : words_qm(s->arena, n->offers, n->n_offers), o->description, show_id(s, o) };

		table_row(t, cells);
	}
	return table_end(s, t);
}

static json_t *object_as_json(struct show *s, const struct ipsec_object *o)
{
	struct gpo_user *gpos;
	size_t n;

	switch (o->class) {
	case OBJ_POLICY:
		return show_users(s, o, &gpos, &n) ? NULL : policy_object_json(s->e, o, gpos, n);
	case OBJ_LIST:
		return list_object_json(o);
	case OBJ_ACTION:
		return action_object_json(o);
	default:
		return rule_object_json(o);
	}
}

static json_t *found_json(struct show *s, const struct found *f)
{
	json_t *j = json_array();

	err_nomem(s->err);	/* unless something else is wrong */
	for (size_t i = 0; i < f->n && j; i++)
		if (json_array_append_new(j, object_as_json(s, f->objects[i]))) {
			json_decref(j);
			return NULL;
		}
	return j;
}

/* {"store": ..., KEY: [...]}, or into `into`. */
static int set_json(struct show *s, json_t *into, const char *key, const struct found *f)
{
	json_t *array = found_json(s, f);

	return array && !json_object_set_new(into, key, array) ? 0 : -1;
}

static int class_show(struct show *s, enum object_class class, json_t *into)
{
	static const struct {
		const char	*key;
		void		(*list)(struct show *, const struct ipsec_object *);
		int		(*table)(struct show *, const struct found *);
	} how[OBJ_N_CLASSES] = {
		[OBJ_POLICY] = { "policies", list_policy, policies_table },
		[OBJ_LIST] = { "filter_lists", list_filterlist, lists_table },
		[OBJ_ACTION] = { "filter_actions", list_filteraction, actions_table },
	};
	struct found f = { 0 };

	if (found_read(s, &f, class))
		return -1;
	if (into)
		return set_json(s, into, how[class].key, &f);
	if (!f.n) {
		fprintf(s->out, "There is no %s in the %s store.\n", object_class_name(class), location_name(s->e->location));
		return 0;
	}
	if (s->table)
		return how[class].table(s, &f);
	for (size_t i = 0; i < f.n; i++)
		how[class].list(s, f.objects[i]);
	return 0;
}

/* ---- rules of one policy ---- */

static bool rule_wanted(const struct show *s, const struct ipsec_object *o, size_t number)
{
	const char *name = arg_text(s->a, "name", NULL);
	const struct netsh_value *id = netsh_arg(s->a, "id");
	const struct ipsec_rule *r = &o->rule.value;
	char text[GUID_TEXT];

	guid_text(&o->id, text);
	if (name && !ascii_equal(name, o->name ? o->name : "") && !ascii_equal(name, text))
		return false;
	if (id && (guid_is_zero(&id->guid) ? id->number != number : guid_cmp(&id->guid, &o->id) != 0))
		return false;
	if (o->damage)
		return !arg_yes(s->a, "default", false) && !netsh_arg(s->a, "type");
	if (arg_yes(s->a, "default", false) && !r->default_response)
		return false;
	if (arg_word(s->a, "type", "tunnel"))
		return r->tunnel;
	return !arg_word(s->a, "type", "transport") || !r->tunnel;
}

static void rule_row(struct show *s, struct table *t, const struct ipsec_object *o, size_t number)
{
	const struct ipsec_rule *r = &o->rule.value;
	const char *const cells[] = { arena_printf(s->arena, "%zu", number), show_name(o),
	    o->damage ? "damaged" : show_yes(r->active),
	    o->damage ? "" : r->default_response ? "<dynamic>" : show_name(o->rule.list),
	    o->damage ? "" : show_name(o->rule.action), o->damage ? "" : show_tunnel(s, r),
	    o->damage ? "" : ipsec_conntype_name(r->conntype), o->damage ? "" : show_auth(s, r), show_id(s, o) };

	table_row(t, cells);
}

static int rules_found(struct show *s, const struct ipsec_object *policy)
{
	static const char *const headings[] = { "ID", "Rule Name", "Activated", "Filter List", "Filter Action", "Tunnel", "Connection",
	    "Authentication", "GUID" };
	struct table *t = s->table ? table_new(s->verbose ? 9 : 8, headings) : NULL;
	size_t n = 0;

	for (size_t i = 0; i < policy->policy.n_rules; i++) {
		const struct ipsec_object *o = policy->policy.rules[i];

		if (!rule_wanted(s, o, i + 1))
			continue;
		n++;
		if (!s->table)
			list_rule(s, o, i + 1);
		else if (t)
			rule_row(s, t, o, i + 1);
	}
	if (!n && (netsh_arg(s->a, "name") || netsh_arg(s->a, "id"))) {
		table_free(t);
		return err_set(s->err, ERR_ABSENT, "policy '%s' has no such rule", policy->name);
	}
	return s->table ? table_end(s, t) : 0;
}

static int rules_json(struct show *s, const struct ipsec_object *policy)
{
	struct found f = { 0 };
	json_t *j;

	for (size_t i = 0; i < policy->policy.n_rules; i++)
		if (rule_wanted(s, policy->policy.rules[i], i + 1) && found_add(s, &f, policy->policy.rules[i]))
			return -1;
	if (!f.n && (netsh_arg(s->a, "name") || netsh_arg(s->a, "id")))
		return err_set(s->err, ERR_ABSENT, "policy '%s' has no such rule", policy->name);
	j = json_pack("{s:s, s:s}", "store", location_name(s->e->location), "policy", policy->name);
	if (!j || set_json(s, j, "rules", &f)) {
		json_decref(j);
		return -1;
	}
	return json_print(j, s->out, s->err);
}

static int rules_show(struct show *s)
{
	struct ipsec_object *policy;

	if (edit_find(&policy, s->e->container, OBJ_POLICY, arg_text(s->a, "policy", ""), s->err))
		return -1;
	return s->json ? rules_json(s, policy) : rules_found(s, policy);
}

/* ---- what is assigned ---- */

static const struct ipsec_object *policy_of_dn(const struct ipsec_container *c, const char *dn)
{
	for (size_t i = 0; i < c->n_objects && dn; i++)
		if (c->objects[i]->class == OBJ_POLICY && !c->objects[i]->deleted && dn_equal(c->objects[i]->dn, dn))
			return c->objects[i];
	return NULL;
}

/* The GPO's policy; without a name what this store assigns. */
static int gpo_show(struct show *s)
{
	const char *gpo = arg_text(s->a, "name", NULL), *dn = s->e->active;
	const struct gpo_user user = { gpo, gpo };
	const struct ipsec_object *o;
	bool domain = s->e->location == LOCATION_DOMAIN;

	if (domain != (gpo != NULL))
		return err_set(s->err, ERR_FORMAT, domain ? "in the domain store the name of a GPO is needed" :
		    "GPOs assign policies of the domain store: this is the %s one", location_name(s->e->location));
	if (domain && s->b->assigned(s->b, gpo, &dn, s->arena, s->err) < 0)
		return -1;
	o = policy_of_dn(s->e->container, dn);
	if (s->json)
		return json_print(json_pack("{s:s, s:s?, s:s?, s:o}", "store", location_name(s->e->location), "gpo", gpo, "dn", dn,
		    "policy", o ? policy_object_json(s->e, o, &user, gpo ? 1 : 0) : json_null()), s->out, s->err);
	if (gpo)
		show_line(s, "GPO Name", gpo);
	show_line(s, "Assigned Policy", o ? show_name(o) : dn ? "<missing>" : "NONE");
	if (dn)
		show_line(s, "DN", dn);
	return 0;
}

/* ---- commands ---- */

static int several_show(struct show *s, const enum object_class *classes, size_t n)
{
	json_t *j = NULL;
	int rc = 0;

	if (s->json && !(j = json_pack("{s:s}", "store", location_name(s->e->location))))
		return err_nomem(s->err);
	for (size_t i = 0; i < n && !rc; i++) {
		if (i && !j && s->table)
			fputc('\n', s->out);
		rc = class_show(s, classes[i], j);
	}
	if (rc) {
		json_decref(j);
		return -1;
	}
	return j ? json_print(j, s->out, s->err) : 0;
}

static int command_show(struct show *s)
{
	static const enum object_class all[] = { OBJ_POLICY, OBJ_LIST, OBJ_ACTION };

	switch (s->a->command->id) {
	case CMD_SHOW_POLICY:
		return several_show(s, &all[0], 1);
	case CMD_SHOW_FILTERLIST:
		return several_show(s, &all[1], 1);
	case CMD_SHOW_FILTERACTION:
		return several_show(s, &all[2], 1);
	case CMD_SHOW_ALL:
		return several_show(s, all, 3);
	case CMD_SHOW_RULE:
		return rules_show(s);
	case CMD_SHOW_GPOASSIGNEDPOLICY:
		return gpo_show(s);
	default:
		return err_set(s->err, ERR_UNSUPPORTED, "'%s %s' shows nothing of a store", s->a->command->verb, s->a->command->object);
	}
}

int static_show(const struct store_edit *e, struct backend *b, const struct netsh_args *a, bool json, FILE *out, struct err *err)
{
	struct show s = { .e = e, .b = b, .a = a, .out = out, .err = err, .json = json,
	    .table = arg_word(a, "format", "table"), .verbose = arg_word(a, "level", "verbose") || a->command->id == CMD_SHOW_ALL,
	    .wide = arg_yes(a, "wide", false), .resolve = arg_yes(a, "resolvedns", false) };
	int rc;

	s.arena = arena_new(0);
	if (!s.arena)
		return err_nomem(err);
	rc = command_show(&s);
	arena_free(s.arena);
	if (!rc && ferror(out))
		return err_set(err, ERR_SYSTEM, "output could not be written");
	return rc;
}
