/* The ruleset as JSON: {"table", "comment", "warnings", "sets": [{"name", "map", "type",
 * "comment", "elements": [{"key", "verdict", "comment", "filter", "rule", "gpo", "store"}]}],
 * "chains": [{"name", "hook", "priority", "policy", "comment", "rules": [{"text", "counter",
 * "log", "verdict", "comment", "filter", "rule", "gpo", "store"}]}]}. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "nft/render.h"
#include "nft/ruleset.h"

/* What print(thing) writes, as a JSON string; NULL: no memory. */
struct text {
	FILE	*out;
	char	*p;
	size_t	 len;
};

static bool text_open(struct text *t)
{
	t->p = NULL;
	t->out = open_memstream(&t->p, &t->len);
	return t->out != NULL;
}

static json_t *text_close(struct text *t)
{
	json_t *j = fclose(t->out) == 0 ? json_string(t->p) : NULL;

	free(t->p);
	return j;
}

static const char *verdict_name(enum rs_verdict v)
{
	static const char *const names[] = { "none", "accept", "drop", "return", "jump", "goto", "vmap" };

	return names[v];
}

static int put_guid(json_t *o, const char *key, const struct guid *g)
{
	char text[GUID_TEXT];

	if (guid_is_zero(g))
		return 0;
	guid_text(g, text);
	return json_object_set_new(o, key, json_string(text));
}

int rs_origin_json(json_t *o, const struct rs_origin *from)
{
	if (!from)
		return 0;
	if (put_guid(o, "filter", &from->filter) || put_guid(o, "rule", &from->rule))
		return -1;
	if (put_guid(o, "gpo", &from->gpo))
		return -1;
	return json_object_set_new(o, "store", json_string(render_store_name((enum render_store)from->store)));
}

static int put_verdict(json_t *o, enum rs_verdict v, const char *chain, const struct rs_lookup *vmap)
{
	if (json_object_set_new(o, "verdict", json_string(verdict_name(v))))
		return -1;
	if (chain && json_object_set_new(o, "chain", json_string(chain)))
		return -1;
	return vmap ? json_object_set_new(o, "map", json_string(vmap->set)) : 0;
}

/* Steals item, which may be NULL: memory ran out. */
static int put(json_t *array, json_t *item)
{
	return json_array_append_new(array, item);
}

static json_t *element_json(const struct rs_set *s, const struct rs_element *e)
{
	json_t *o = json_object();
	struct text t;

	if (!o || !text_open(&t)) {
		json_decref(o);
		return NULL;
	}
	rs_key_write(s, e->key, t.out);
	if (json_object_set_new(o, "key", text_close(&t)) ||
	    (s->map && put_verdict(o, e->verdict, e->chain, NULL)) ||
	    json_object_set_new(o, "comment", json_string(e->comment)) || rs_origin_json(o, e->origin)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *set_json(const struct rs_set *s)
{
	json_t *elements = json_array(), *type = NULL, *o;
	struct text t;

	if (text_open(&t)) {
		rs_type_write(s, t.out);
		type = text_close(&t);
	}
	o = json_pack("{s:s, s:b, s:o, s:s, s:o}", "name", s->name, "map", s->map, "type", type,
	    "comment", s->comment, "elements", elements);
	for (size_t i = 0; o && i < s->n_elements; i++)
		if (put(elements, element_json(s, &s->elements[i]))) {
			json_decref(o);
			return NULL;
		}
	return o;
}

static json_t *rule_json(const struct rs_rule *rule)
{
	json_t *o = json_object();
	struct text t;

	if (!o || !text_open(&t)) {
		json_decref(o);
		return NULL;
	}
	rs_rule_write(rule, t.out);
	if (json_object_set_new(o, "text", text_close(&t)) ||
	    json_object_set_new(o, "counter", json_boolean(rule->counter)) ||
	    (rule->log && json_object_set_new(o, "log", json_string(rule->log->prefix))) ||
	    put_verdict(o, rule->verdict, rule->chain, rule->vmap) ||
	    json_object_set_new(o, "comment", json_string(rule->comment)) || rs_origin_json(o, rule->origin)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *hook_json(const struct rs_chain *c)
{
	switch (c->hook) {
	case RS_HOOK_INPUT: return json_string("input");
	case RS_HOOK_FORWARD: return json_string("forward");
	case RS_HOOK_POSTROUTING: return json_string("postrouting");
	default: return json_integer(c->hook);
	}
}

static json_t *chain_json(const struct rs_chain *c)
{
	json_t *rules = json_array(), *o;

	o = json_pack("{s:s, s:s, s:o}", "name", c->name, "comment", c->comment, "rules", rules);
	if (o && c->hook != RS_HOOK_NONE &&
	    (json_object_set_new(o, "hook", hook_json(c)) ||
	    json_object_set_new(o, "priority", json_integer(c->priority)) ||
	    json_object_set_new(o, "policy", json_string(c->policy_drop ? "drop" : "accept"))))
		goto out;
	for (size_t i = 0; o && i < c->n_rules; i++)
		if (put(rules, rule_json(&c->rules[i])))
			goto out;
	return o;
out:
	json_decref(o);
	return NULL;
}

json_t *ruleset_json(const struct ruleset *r)
{
	json_t *warnings = json_array(), *sets = json_array(), *chains = json_array(), *o;

	o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "family", "inet", "table", RULESET_TABLE,
	    "comment", r->comment, "warnings", warnings, "sets", sets, "chains", chains);
	for (size_t i = 0; o && i < r->n_warnings; i++)
		if (put(warnings, json_string(r->warnings[i])))
			goto out;
	for (size_t i = 0; o && i < r->n_sets; i++)
		if (put(sets, set_json(r->sets[i])))
			goto out;
	for (size_t i = 0; o && i < r->n_chains; i++)
		if (put(chains, chain_json(r->chains[i])))
			goto out;
	return o;
out:
	json_decref(o);
	return NULL;
}
