/* Objects of a store as `show --json` prints them, with the keys of `ipsecpol show policy
 * --json` and, for each object, its "description". */
#include "agent/static.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/err.h"
#include "schema/utf.h"

/* The name of a damaged object need not be UTF-8. */
static json_t *text_json(const char *s)
{
	char *copy = strdup(s ? s : "");
	json_t *j;

	if (!copy)
		return NULL;
	if (!utf8_valid(copy))
		utf8_clean(copy, "\n\t");
	j = json_string(copy);
	free(copy);
	return j;
}

static json_t *guid_json(const struct guid *id)
{
	char text[GUID_TEXT];

	guid_text(id, text);
	return json_string(text);
}

/* Takes j; what every object has. */
static json_t *object_json(json_t *j, const struct ipsec_object *o)
{
	if (j && !json_object_set_new(j, "description", text_json(o->description)))
		return j;
	json_decref(j);
	return NULL;
}

static json_t *damaged_json(const struct ipsec_object *o, const char *why)
{
	return object_json(json_pack("{s:o, s:o, s:o}", "id", guid_json(&o->id), "name", text_json(o->name),
	    "damage", text_json(why)), o);
}

/* A policy of one rule is enough to have each part in policy_json's words. */
static json_t *one_rule_json(const struct ipsec_rule *r, const struct ipsec_object *list, const struct ipsec_object *action)
{
	struct ipsec_filter_list l = { .name = "", .description = "" };
	struct ipsec_negpol n = { .name = "", .description = "" };
	struct ipsec_rule rule = *r;
	struct ipsec_policy p = { .name = "", .filter_lists = &l, .n_filter_lists = 1, .negpols = &n, .n_negpols = 1,
	    .rules = &rule, .n_rules = 1 };
	json_t *all, *ret;

	rule.filter_list = NULL;
	if (list && !list->damage) {
		l = list->list;
		l.id = list->id;
		l.name = list->name;
		rule.filter_list = &l;
	}
	if (action && !action->damage) {
		n = action->action;
		n.id = action->id;
		n.name = action->name;
	}
	rule.negpol = &n;
	all = policy_json(&p);
	ret = json_incref(json_array_get(json_object_get(all, "rules"), 0));
	json_decref(all);
	return ret;
}

static json_t *part_json(const struct ipsec_object *list, const struct ipsec_object *action, const char *key)
{
	const struct ipsec_rule r = { .name = "", .interface_name = "", .tunnel_name = "" };
	json_t *rule = one_rule_json(&r, list, action);
	json_t *ret = json_incref(json_object_get(rule, key));

	json_decref(rule);
	return ret;
}

json_t *list_object_json(const struct ipsec_object *o)
{
	return o->damage ? damaged_json(o, o->damage) : object_json(part_json(o, NULL, "filter_list"), o);
}

json_t *action_object_json(const struct ipsec_object *o)
{
	return o->damage ? damaged_json(o, o->damage) : object_json(part_json(NULL, o, "action"), o);
}

json_t *rule_object_json(const struct ipsec_object *o)
{
	struct ipsec_rule r;
	json_t *j;

	if (o->damage)
		return damaged_json(o, o->damage);
	r = o->rule.value;
	r.id = o->id;
	r.name = o->name;
	j = object_json(one_rule_json(&r, o->rule.list, o->rule.action), o);
	if (j && !o->rule.action && json_object_set_new(j, "action", json_null())) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static int rules_describe(json_t *policy, const struct ipsec_object *o)
{
	json_t *rules = json_array();
	int rc = rules ? 0 : -1;

	for (size_t i = 0; i < o->policy.n_rules && !rc; i++)
		rc = json_array_append_new(rules, rule_object_json(o->policy.rules[i]));
	if (rc) {
		json_decref(rules);
		return -1;
	}
	return json_object_set_new(policy, "rules", rules);
}

static json_t *gpos_json(const struct gpo_user *gpos, size_t n)
{
	json_t *j = json_array();

	for (size_t i = 0; i < n && j; i++)
		if (json_array_append_new(j, text_json(gpos[i].name))) {
			json_decref(j);
			return NULL;
		}
	return j;
}

json_t *policy_object_json(const struct store_edit *e, const struct ipsec_object *o, const struct gpo_user *gpos, size_t n_gpos)
{
	struct ipsec_policy *p = NULL;
	struct err why;
	json_t *j;
	bool assigned = e->location == LOCATION_DOMAIN ? n_gpos > 0 : policy_is_active(e, o);

	if (o->damage || container_policy(&p, e->container, o, &why)) {
		j = damaged_json(o, o->damage ? o->damage : why.msg);
	} else {
		j = object_json(policy_json(p), o);
		if (j && rules_describe(j, o)) {
			json_decref(j);
			j = NULL;
		}
	}
	policy_free(p);
	if (j && !json_object_set_new(j, "assigned", json_boolean(assigned)) &&
	    (e->location != LOCATION_DOMAIN || !json_object_set_new(j, "gpos", gpos_json(gpos, n_gpos))))
		return j;
	json_decref(j);
	return NULL;
}
