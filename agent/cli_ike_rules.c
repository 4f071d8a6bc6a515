/* Which rules the connections, children and associations of IKE are for. */
#include "agent/cli_ike.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

#define ANSWER_SECONDS	10
#define MAX_SHOWN	3	/* rules by name */

/* Names that the answers about connections leave out. */
struct names {
	json_t	*rules;			/* GUID -> name */
	char	 gpo[GUID_TEXT];	/* "": not known */
	char	*gpo_name;
};

static bool is_guid(const char *s)
{
	struct guid g;

	return *s == '{' && guid_parse(&g, s, strlen(s));
}

static bool same_rule(const json_t *x, const json_t *y)
{
	return !strcmp(json_text(x, "rule_id"), json_text(y, "rule_id")) && !strcmp(json_text(x, "rule"), json_text(y, "rule")) &&
	    !strcmp(json_text(x, "gpo"), json_text(y, "gpo"));
}

static void text_set(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, *value ? json_string(value) : json_null());
}

/* A child says its rule by id, by name, or both. */
static json_t *rule_json(const json_t *child, const json_t *connection, const struct names *names)
{
	const bool named = *json_text(child, "rule") && !is_guid(json_text(child, "rule"));
	const char *id = *json_text(child, "rule_id") || named ? json_text(child, "rule_id") : json_text(child, "rule");
	const char *name = named ? json_text(child, "rule") : json_text(child, "rule_name"), *gpo = json_text(child, "gpo");
	json_t *o = json_object();

	if (!*name)
		name = *json_text(names->rules, id) ? json_text(names->rules, id) : *id ? "" : json_text(connection, "rule");
	text_set(o, "rule", name);
	text_set(o, "rule_id", id);
	text_set(o, "gpo", gpo);
	text_set(o, "gpo_name", *json_text(child, "gpo_name") ? json_text(child, "gpo_name") :
	    *gpo && !strcmp(gpo, names->gpo) ? names->gpo_name : "");
	text_set(o, "store", json_text(child, "store"));
	return o;
}

/* seen: rules of this list by id, so that a connection for thousands of filters costs no more than their number. */
static void rule_add(json_t *list, json_t *seen, const json_t *child, const json_t *connection, const struct names *names)
{
	json_t *rule = rule_json(child, connection, names), *before = json_object_get(seen, json_text(rule, "rule_id"));

	if (*json_text(rule, "rule") || *json_text(rule, "rule_id"))
		if (!before || !same_rule(before, rule)) {
			json_array_append(list, rule);
			json_object_set(seen, json_text(rule, "rule_id"), rule);
		}
	json_decref(rule);
}

static void connection_take(struct ike_rules *r, const json_t *connection, const struct names *names)
{
	json_t *children = json_object_get(connection, "children"), *list = json_array(), *seen = json_object(), *own, *one;
	char reqid[24];

	for (size_t i = 0; i < json_array_size(children); i++) {
		const json_t *child = json_array_get(children, i);
		const json_int_t n = json_integer_value(json_object_get(child, "reqid"));

		rule_add(list, seen, child, connection, names);
		if (n <= 0)
			continue;
		snprintf(reqid, sizeof(reqid), "%lld", (long long)n);
		if (!json_object_get(r->reqids, reqid))
			json_object_set_new(r->reqids, reqid, json_array());
		own = json_object_get(r->reqids, reqid);
		one = json_object();
		rule_add(own, one, child, connection, names);
		json_decref(one);
	}
	if (!json_array_size(children))
		rule_add(list, seen, connection, connection, names);
	json_object_set_new(r->connections, json_text(connection, "name"), list);
	json_decref(seen);
}

/* "'Name' {id}" of the status. */
static void gpo_take(struct names *n, const json_t *status)
{
	const char *text = json_text(json_object_get(status, "enforced"), "gpo"), *id = strrchr(text, '{');

	if (!id || id < text + 3 || *text != '\'' || !is_guid(id))
		return;
	n->gpo_name = strndup(text + 1, (size_t)(id - text) - 3);
	if (n->gpo_name)
		snprintf(n->gpo, sizeof(n->gpo), "%s", id);
}

static json_t *answer_of(struct cli *c, const char *method, const char *what)
{
	json_t *answer = NULL;
	struct err ignored;

	return cli_ask(c, &answer, method, what ? json_pack("{s:s}", "what", what) : NULL, ANSWER_SECONDS, &ignored) < 0 ? NULL : answer;
}

static void names_ask(struct names *n, struct cli *c, const json_t *connections)
{
	json_t *policy = answer_of(c, "org.ipsecpol.Show", "policy"), *status = answer_of(c, "org.ipsecpol.Status", NULL);
	const json_t *rules = json_object_get(json_object_get(policy, "json"), "rules"), *child;

	n->rules = json_object();
	for (size_t i = 0; i < json_array_size(rules); i++)
		text_set(n->rules, json_text(json_array_get(rules, i), "id"), json_text(json_array_get(rules, i), "name"));
	/* Those of a connection's first child. */
	for (size_t i = 0; i < json_array_size(connections); i++) {
		child = json_array_get(json_object_get(json_array_get(connections, i), "children"), 0);
		if (is_guid(json_text(child, "rule")) && !json_object_get(n->rules, json_text(child, "rule")))
			text_set(n->rules, json_text(child, "rule"), json_text(json_array_get(connections, i), "rule"));
	}
	gpo_take(n, status);
	json_decref(policy);
	json_decref(status);
}

void ike_rules_ask(struct ike_rules *ret, struct cli *c)
{
	json_t *answer = answer_of(c, "org.ipsecpol.Show", "ike"), *value = json_object_get(answer, "json"), *all;
	struct names names = { 0 };

	*ret = (struct ike_rules){ .connections = json_object(), .reqids = json_object(), .known = answer };
	if (!answer)
		return;
	all = json_object_get(value ? value : answer, "connections");
	names_ask(&names, c, all);
	for (size_t i = 0; i < json_array_size(all); i++)
		connection_take(ret, json_array_get(all, i), &names);
	json_decref(names.rules);
	free(names.gpo_name);
	json_decref(answer);
}

void ike_rules_free(struct ike_rules *r)
{
	json_decref(r->connections);
	json_decref(r->reqids);
	*r = (struct ike_rules){ 0 };
}

json_t *ike_rules_of(const struct ike_rules *r, uint32_t reqid)
{
	char key[24];
	json_t *list;

	snprintf(key, sizeof(key), "%u", (unsigned)reqid);
	list = json_object_get(r->reqids, key);
	return list ? json_incref(list) : json_array();
}

/* ---- for people ---- */

static const char *rule_text(struct cli *c, const json_t *rule)
{
	const char *name = json_text(rule, "rule"), *gpo = json_text(rule, "gpo_name"), *id = json_text(rule, "gpo"), *s;

	s = arena_printf(c->arena, "%s%s%s", *name ? "'" : "", *name ? name : json_text(rule, "rule_id"), *name ? "'" : "");
	if (s && (*gpo || *id))
		s = arena_printf(c->arena, "%s of GPO %s%s%s", s, *gpo ? "'" : "", *gpo ? gpo : id, *gpo ? "'" : "");
	else if (s && *json_text(rule, "store"))
		s = arena_printf(c->arena, "%s (%s)", s, json_text(rule, "store"));
	return s ? s : "?";
}

const char *ike_rules_text(struct cli *c, const json_t *rules)
{
	const size_t n = json_array_size(rules), shown = n > MAX_SHOWN ? MAX_SHOWN : n;
	const char *s = "";

	for (size_t i = 0; s && i < shown; i++)
		s = arena_printf(c->arena, "%s%s%s", s, i ? ", " : "", rule_text(c, json_array_get(rules, i)));
	if (s && n > shown)
		s = arena_printf(c->arena, "%s and %zu more", s, n - shown);
	return s ? s : "?";
}

const char *ike_age_text(struct cli *c, const json_t *seconds)
{
	const long long n = json_integer_value(seconds);
	const char *s;

	if (!json_is_integer(seconds))
		return "";
	if (n < 120)
		s = arena_printf(c->arena, "%lld s", n);
	else if (n < 7200)
		s = arena_printf(c->arena, "%lld min %lld s", n / 60, n % 60);
	else
		s = arena_printf(c->arena, "%lld h %lld min", n / 3600, n % 3600 / 60);
	return s ? s : "?";
}
