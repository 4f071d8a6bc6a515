/* add, set and delete of rules, and the default response rule. */
#include "agent/static.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/random.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

/* As the example policies have them. */
const struct ipsec_offer default_response_offers[6] = {
	{ .has_esp = true, .esp_encryption = IPSEC_CIPHER_3DES, .esp_integrity = IPSEC_HASH_SHA1 },
	{ .has_esp = true, .esp_encryption = IPSEC_CIPHER_3DES, .esp_integrity = IPSEC_HASH_MD5 },
	{ .has_esp = true, .esp_encryption = IPSEC_CIPHER_DES, .esp_integrity = IPSEC_HASH_SHA1 },
	{ .has_esp = true, .esp_encryption = IPSEC_CIPHER_DES, .esp_integrity = IPSEC_HASH_MD5 },
	{ .has_ah = true, .ah_integrity = IPSEC_HASH_SHA1 },
	{ .has_ah = true, .ah_integrity = IPSEC_HASH_MD5 },
};
static const struct ipsec_auth kerberos = { .method = IPSEC_AUTH_KERBEROS, .text = "" };

/* ---- authentication methods ---- */

static int auth_from_value(struct ipsec_auth *ret, struct ipsec_container *c, const struct netsh_value *v, struct err *err)
{
	const char *text;

	if (v->tag->type == NT_ROOTCA) {
		*ret = (struct ipsec_auth){ .method = IPSEC_AUTH_CERT, .map_account = v->ca.map_account, .exclude_ca = v->ca.exclude_ca };
		text = v->ca.name;
	} else if (v->tag->type == NT_TEXT) {
		*ret = (struct ipsec_auth){ .method = IPSEC_AUTH_PSK };
		text = v->text;
	} else {
		*ret = kerberos;
		return 0;
	}
	if (!*text)
		return err_set(err, ERR_FORMAT, "'%s' is empty", v->tag->name);
	if (edit_text_check(text, v->tag->name, ret->method == IPSEC_AUTH_CERT ? STATIC_MAX_CA : STATIC_MAX_PSK, err))
		return -1;
	return edit_strdup(&ret->text, c, text, err);
}

/* A second method of the same kind and text could never be reached. */
static int auth_twice_check(const struct ipsec_auth *auth, size_t n, const struct ipsec_auth *m, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (auth[i].method == m->method && !strcmp(auth[i].text, m->text)) {
			if (m->method == IPSEC_AUTH_CERT)
				return err_set(err, ERR_FORMAT, "rootca '%s' is given twice", m->text);
			return err_set(err, ERR_FORMAT, "the same %s is given twice", ipsec_auth_name(m->method));
		}
	return 0;
}

static bool is_auth(const struct netsh_value *v)
{
	const char *tag = v->tag->name;

	return !strcmp(tag, "kerberos") || !strcmp(tag, "psk") || !strcmp(tag, "rootca");
}

/* The old methods without Kerberos. */
static size_t auth_without_kerberos(struct ipsec_auth *auth, const struct ipsec_rule *old)
{
	size_t n = 0;

	for (size_t i = 0; i < old->n_auth; i++)
		if (old->auth[i].method != IPSEC_AUTH_KERBEROS)
			auth[n++] = old->auth[i];
	return n;
}

/* What the line says; nothing: the old ones, for a new rule Kerberos. */
static int auth_read(struct ipsec_auth **ret, size_t *ret_n, struct ipsec_container *c, const struct ipsec_rule *old,
    const struct netsh_args *a, struct err *err)
{
	struct ipsec_auth *auth = arena_zalloc(c->arena, a->n_values + old->n_auth + 1, sizeof(*auth));
	size_t n = 0;
	bool given = false;

	if (!auth)
		return err_nomem(err);
	for (size_t i = 0; i < a->n_values; i++) {
		const struct netsh_value *v = &a->values[i];

		if (!is_auth(v))
			continue;
		given = true;
		if (v->tag->type == NT_YESNO && !v->yes)
			continue;
		if (auth_from_value(&auth[n], c, v, err) || auth_twice_check(auth, n, &auth[n], err))
			return -1;
		n++;
	}
	if (!given && old->n_auth) {
		memcpy(auth, old->auth, old->n_auth * sizeof(*auth));
		n = old->n_auth;
	} else if (!given) {
		auth[n++] = kerberos;
	} else if (!n) {
		n = auth_without_kerberos(auth, old);
	}
	if (!n)
		return err_set(err, ERR_FORMAT, "without Kerberos no authentication method is left: give psk= or rootca=");
	*ret = auth;
	*ret_n = n;
	return 0;
}

/* ---- the parts of a rule ---- */

/* *r stays as it is when there is no such tag. */
static int tunnel_read(struct ipsec_rule *r, struct ipsec_container *c, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, "tunnel");
	struct ipsec_addr *addrs;
	size_t n;

	if (!v)
		return 0;
	if (!v->host) {
		r->tunnel = v->addr.kind == IPSEC_ADDR_NET;
		r->tunnel_end = v->addr;
		r->tunnel_name = "";
		if (!r->tunnel)
			memset(&r->tunnel_end, 0, sizeof(r->tunnel_end));
		else if (v->addr.prefix != ipsec_addr_bits(v->addr.family))
			return err_set(err, ERR_FORMAT, "'tunnel': '%s' is not one address", v->text);
		return 0;
	}
	if (host_lookup(&addrs, &n, c->arena, v->host, "tunnel", err))
		return -1;
	if (n != 1)
		return err_set(err, ERR_FORMAT, "'tunnel': '%s' has %zu addresses: a tunnel ends at one", v->host, n);
	r->tunnel = true;
	r->tunnel_end = addrs[0];
	return edit_strdup(&r->tunnel_name, c, v->host, err);
}

static enum ipsec_conntype conntype_read(const struct netsh_args *a, enum ipsec_conntype otherwise)
{
	static const enum ipsec_conntype types[] = { IPSEC_CONN_ALL, IPSEC_CONN_LAN, IPSEC_CONN_DIALUP };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (arg_word(a, "conntype", ipsec_conntype_name(types[i])))
			return types[i];
	return otherwise;
}

/* The list and action that the line names; NULL: it does not. */
static int targets_read(struct ipsec_object **ret_list, struct ipsec_object **ret_action,
    const struct ipsec_container *c, const struct netsh_args *a, struct err *err)
{
	const char *list = arg_text(a, "filterlist", NULL), *action = arg_text(a, "filteraction", NULL);

	*ret_list = *ret_action = NULL;
	if (list && edit_find(ret_list, c, OBJ_LIST, list, err))
		return -1;
	if (action && edit_find(ret_action, c, OBJ_ACTION, action, err))
		return -1;
	if (*ret_action && (*ret_action)->action.default_response)
		return err_set(err, ERR_FORMAT, "filter action '%s' is one of a default response rule", action);
	return 0;
}

/* One rule is one direction of a tunnel; a mirrored filter would send the answers into it, too. */
static int tunnel_check(const struct ipsec_rule *r, const struct ipsec_object *list, struct err *err)
{
	if (r->tunnel && list && !list->damage && list_is_mirrored(list))
		return err_set(err, ERR_FORMAT, "a tunnel rule is for one direction: filter list '%s' has mirrored filters (add filter mirrored=no)",
		    list->name);
	return 0;
}

static int rule_name_check(const struct ipsec_object *policy, const char *name, struct err *err)
{
	struct ipsec_object *o;
	struct err ignored;

	if (!*name)
		return err_set(err, ERR_FORMAT, "a rule needs a name");
	if (edit_text_check(name, "name", STATIC_MAX_NAME, err))
		return -1;
	if (container_find_rule(&o, policy, name, &ignored) && ignored.code == ERR_ABSENT)
		return 0;
	return err_set(err, ERR_FORMAT, "policy '%s' has a rule '%s' already", policy->name, name);
}

static int rule_find(struct ipsec_object **ret, const struct ipsec_object *policy, const char *name, struct err *err)
{
	struct err why;
	size_t n = 0;

	if (!container_find_rule(ret, policy, name, err))
		return 0;
	why = *err;
	for (size_t i = 0; i < policy->policy.n_rules; i++)
		n += ascii_equal(policy->policy.rules[i]->name, name);
	if (why.code == ERR_FORMAT && n > 1)
		return err_set(err, ERR_FORMAT, "%s; id= tells them apart", why.msg);
	return -1;
}

/* The rule that name= or id= says, of the policy; a number is that of `show rule`. */
static int rule_pick(struct ipsec_object **ret, const struct ipsec_object *policy, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *name = netsh_arg(a, "name"), *id = netsh_arg(a, "id");
	char text[GUID_TEXT];

	if (!name == !id)
		return err_set(err, ERR_FORMAT, name ? "name= and id= are both given: one of them says which" :
		    "name= or id= is missing");
	if (name)
		return rule_find(ret, policy, name->text, err);
	if (guid_is_zero(&id->guid)) {
		if (id->number < 1 || id->number > policy->policy.n_rules)
			return err_set(err, ERR_ABSENT, "policy '%s' has no rule %llu", policy->name, (unsigned long long)id->number);
		*ret = policy->policy.rules[id->number - 1];
		return 0;
	}
	for (size_t i = 0; i < policy->policy.n_rules; i++)
		if (!guid_cmp(&policy->policy.rules[i]->id, &id->guid)) {
			*ret = policy->policy.rules[i];
			return 0;
		}
	guid_text(&id->guid, text);
	return err_set(err, ERR_ABSENT, "policy '%s' has no rule %s", policy->name, text);
}

static int usable_check(const struct ipsec_object *rule, struct err *err)
{
	char label[OBJECT_LABEL];

	if (rule->damage)
		return err_set(err, ERR_FORMAT, "%s cannot be changed: %s", object_label(rule, label), rule->damage);
	return 0;
}

/* ---- add, set, delete ---- */

int edit_rule_add(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	const char *name = arg_text(a, "name", ""), *description = arg_text(a, "description", "");
	struct ipsec_rule r = { .interface_name = "", .tunnel_name = "", .active = arg_yes(a, "activate", true),
	    .conntype = conntype_read(a, IPSEC_CONN_ALL) };
	struct ipsec_object *policy, *list, *action, *rule;
	struct guid id;

	(void)b;
	if (edit_find(&policy, c, OBJ_POLICY, arg_text(a, "policy", ""), err) ||
	    rule_name_check(policy, name, err) ||
	    edit_text_check(description, "description", STATIC_MAX_TEXT, err) ||
	    targets_read(&list, &action, c, a, err))
		return -1;
	if (!list || !action)
		return err_set(err, ERR_FORMAT, "a rule needs filterlist= and filteraction=");
	if (tunnel_read(&r, c, a, err) || tunnel_check(&r, list, err) ||
	    auth_read(&r.auth, &r.n_auth, c, &r, a, err) || guid_random(&id, err))
		return -1;
	rule = container_add_rule(c, policy, &id, name, description, list, action, err);
	if (!rule)
		return -1;
	rule->rule.value = r;
	object_touch(rule);
	return 0;
}

static int rule_texts(const char **ret_name, const char **ret_description, struct ipsec_container *c,
    const struct ipsec_object *policy, const struct ipsec_object *rule, const struct netsh_args *a, struct err *err)
{
	const char *name = arg_text(a, "newname", NULL), *description = arg_text(a, "description", NULL);

	if (name && strcmp(name, rule->name) && rule_name_check(policy, name, err))
		return -1;
	if (description && edit_text_check(description, "description", STATIC_MAX_TEXT, err))
		return -1;
	if (edit_strdup(ret_name, c, name ? name : rule->name, err) ||
	    edit_strdup(ret_description, c, description ? description : rule->description, err))
		return -1;
	return 0;
}

int edit_rule_set(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	struct ipsec_object *policy, *rule, *list, *action;
	const char *name, *description;
	struct ipsec_rule r;

	(void)b;
	if (edit_find(&policy, c, OBJ_POLICY, arg_text(a, "policy", ""), err))
		return -1;
	if (rule_pick(&rule, policy, a, err) || usable_check(rule, err))
		return -1;
	r = rule->rule.value;
	if (r.default_response)
		return err_set(err, ERR_FORMAT, "that is the default response rule of policy '%s': use set defaultrule", policy->name);
	r.active = arg_yes(a, "activate", r.active);
	r.conntype = conntype_read(a, r.conntype);
	if (rule_texts(&name, &description, c, policy, rule, a, err) ||
	    targets_read(&list, &action, c, a, err) || tunnel_read(&r, c, a, err) ||
	    tunnel_check(&r, list ? list : rule->rule.list, err) ||
	    auth_read(&r.auth, &r.n_auth, c, &rule->rule.value, a, err))
		return -1;
	/* The only change that can fail. */
	if ((list || action) && object_refer(rule, list, action, err))
		return -1;
	rule->name = name;
	rule->description = description;
	rule->rule.value = r;
	object_touch(rule);
	return 0;
}

/* The default response rule stays: without it the policy would be another one. */
static int rules_delete(struct ipsec_object *policy, struct err *err)
{
	size_t i = 0;

	while (i < policy->policy.n_rules) {
		struct ipsec_object *rule = policy->policy.rules[i];
		size_t n = policy->policy.n_rules;

		if (!rule->damage && rule->rule.value.default_response) {
			i++;
			continue;
		}
		if (object_delete(rule, err))
			return -1;
		if (policy->policy.n_rules == n)
			i++;
	}
	return 0;
}

int edit_rule_delete(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	struct ipsec_object *policy, *rule;

	(void)b;
	if (edit_find(&policy, c, OBJ_POLICY, arg_text(a, "policy", ""), err))
		return -1;
	if (arg_yes(a, "all", false))
		return rules_delete(policy, err);
	if (rule_pick(&rule, policy, a, err))
		return -1;
	if (!rule->damage && rule->rule.value.default_response)
		return err_set(err, ERR_FORMAT, "the default response rule of policy '%s' cannot be deleted: set defaultrule policy=\"%s\" activate=no",
		    policy->name, policy->name);
	return object_delete(rule, err);
}

/* ---- the default response rule ---- */

struct ipsec_object *default_rule_find(const struct ipsec_object *policy)
{
	for (size_t i = 0; i < policy->policy.n_rules; i++) {
		struct ipsec_object *rule = policy->policy.rules[i];

		if (!rule->damage && rule->rule.value.default_response)
			return rule;
	}
	return NULL;
}

static struct ipsec_object *default_action_add(struct ipsec_container *c, struct err *err)
{
	struct ipsec_object *action;
	struct guid id;
	void *offers;

	if (guid_random(&id, err) ||
	    edit_copy(&offers, c, default_response_offers, 6, sizeof(default_response_offers[0]), err))
		return NULL;
	action = container_add(c, OBJ_ACTION, &id, NULL, "", "", err);
	if (!action)
		return NULL;
	action->action.action = IPSEC_NEGOTIATE;
	action->action.default_response = true;
	action->action.offers = offers;
	action->action.n_offers = 6;
	object_touch(action);
	return action;
}

int default_rule_add(struct ipsec_object **ret, struct ipsec_container *c, struct ipsec_object *policy, bool active, struct err *err)
{
	struct ipsec_object *action = NULL, *rule;
	struct err ignored;
	struct guid id;
	void *auth;

	if (guid_random(&id, err) || edit_copy(&auth, c, &kerberos, 1, sizeof(kerberos), err))
		return -1;
	action = default_action_add(c, err);
	rule = action ? container_add_rule(c, policy, &id, "", "", NULL, action, err) : NULL;
	if (!rule) {
		if (action)
			object_delete(action, &ignored);
		return -1;
	}
	rule->rule.value = (struct ipsec_rule){ .default_response = true, .active = active,
	    .interface_name = "", .tunnel_name = "", .auth = auth, .n_auth = 1 };
	object_touch(rule);
	*ret = rule;
	return 0;
}

/* An action that other rules use as well is not theirs to lose. */
static int own_action(struct ipsec_object **ret, struct ipsec_container *c, struct ipsec_object *rule, struct err *err)
{
	struct ipsec_object *action = rule->rule.action, *own, *user;
	struct err ignored;
	struct ipsec_negpol value;

	if (action && !action->damage && object_users(action, &user) == 1) {
		*ret = action;
		return 0;
	}
	own = default_action_add(c, err);
	if (!own)
		return -1;
	if (action && !action->damage) {
		value = action->action;
		own->action = value;
	}
	if (object_refer(rule, NULL, own, err)) {
		object_delete(own, &ignored);
		return -1;
	}
	*ret = own;
	return 0;
}

static int default_action_set(struct ipsec_container *c, struct ipsec_object *rule, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *offers = netsh_arg(a, "qmsecmethods"), *pfs = netsh_arg(a, "qmpfs");
	struct ipsec_object *action;
	void *copy = NULL;

	if (!offers && !pfs)
		return 0;
	if ((offers && edit_copy(&copy, c, offers->qm, offers->n, sizeof(*offers->qm), err)) ||
	    own_action(&action, c, rule, err))
		return -1;
	if (offers) {
		action->action.offers = copy;
		action->action.n_offers = offers->n;
	}
	if (pfs)
		action->action.pfs = pfs->yes && action->action.n_offers;
	object_touch(action);
	return 0;
}

int edit_default_rule_set(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	static const struct ipsec_rule none;
	struct ipsec_container *c = e->container;
	struct ipsec_object *policy, *rule;
	const struct ipsec_rule *old;
	struct ipsec_auth *auth;
	size_t n_auth;

	(void)b;
	if (edit_find(&policy, c, OBJ_POLICY, arg_text(a, "policy", ""), err))
		return -1;
	rule = default_rule_find(policy);
	old = rule ? &rule->rule.value : &none;
	if (auth_read(&auth, &n_auth, c, old, a, err))
		return -1;
	if (!rule && default_rule_add(&rule, c, policy, true, err))
		return -1;
	if (default_action_set(c, rule, a, err))
		return -1;
	rule->rule.value.auth = auth;
	rule->rule.value.n_auth = n_auth;
	rule->rule.value.active = arg_yes(a, "activate", rule->rule.value.active);
	object_touch(rule);
	return 0;
}
