/* What charon has: IKE SAs, their children, what it calls itself. */
#include "agent/cli_ike.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/conf.h"
#include "agent/vici.h"
#include "nft/ike.h"
#include "schema/arena.h"
#include "schema/err.h"

#define WAIT_MS		10000	/* for charon */
#define MAX_SAS		200000	/* that are listed */

struct vici *ike_open(struct cli *c, struct err *err)
{
	struct vici *v = vici_open(c->conf->vici, WAIT_MS, err);

	if (!v && err->code == ERR_OFFLINE)
		err_set(err, ERR_OFFLINE, "charon does not answer at %s (is strongSwan running?): what must be protected is blocked until it does, but for "
		    "associations that the kernel still has", c->conf->vici);
	return v;
}

/* ---- values ---- */

static json_t *text_json(struct cli *c, const char *s)
{
	return *s ? json_string(clean_text(c, s)) : json_null();
}

static json_t *member_text(struct cli *c, const struct vici_node *n, const char *key)
{
	return text_json(c, vici_value(n, key));
}

static json_t *member_number(const struct vici_node *n, const char *key)
{
	const char *s = vici_value(n, key);
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno || value > INT64_MAX)
		return json_null();
	return json_integer((json_int_t)value);
}

static json_t *member_list(struct cli *c, const struct vici_node *n, const char *key)
{
	const struct vici_node *list = vici_get(n, key);
	json_t *j = json_array();

	for (size_t i = 0; list && list->kind == VICI_LIST && i < list->n_children; i++)
		json_array_append_new(j, json_string(clean_text(c, list->children[i].value)));
	return j;
}

static json_t *transform_json(struct cli *c, const struct vici_node *n)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "encryption", member_text(c, n, "encr-alg"), "key_bits", member_number(n, "encr-keysize"),
	    "integrity", member_text(c, n, "integ-alg"), "prf", member_text(c, n, "prf-alg"), "group", member_text(c, n, "dh-group"));
}

/* ---- associations ---- */

struct listing {
	struct cli		*c;
	const struct ike_rules	*rules;
	struct ike_sas		*ret;
	json_t			*auths;		/* of connections, by name */
};

static json_t *rules_of_connection(const struct listing *l, const char *name)
{
	json_t *rules = json_object_get(l->rules->connections, name);

	return rules ? json_incref(rules) : json_array();
}

static json_t *child_json(struct listing *l, const struct vici_node *ike, const char *connection, const struct vici_node *n)
{
	const json_int_t reqid = strtoll(vici_value(n, "reqid"), NULL, 10);
	json_t *rules = ike_rules_of(l->rules, reqid > 0 && reqid <= UINT32_MAX ? (uint32_t)reqid : 0), *mode = member_text(l->c, n, "mode"), *o;

	if (!json_array_size(rules)) {
		json_decref(rules);
		rules = rules_of_connection(l, connection);
	}
	o = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "connection", connection, "child", text_json(l->c, *vici_value(n, "name") ? vici_value(n, "name") : n->name),
	    "state", member_text(l->c, n, "state"), "src", member_text(l->c, ike, "local-host"), "dst", member_text(l->c, ike, "remote-host"),
	    "mode", mode, "protocol", member_text(l->c, n, "protocol"), "spi_in", member_text(l->c, n, "spi-in"),
	    "spi_out", member_text(l->c, n, "spi-out"), "reqid", member_number(n, "reqid"), "proposal", transform_json(l->c, n),
	    "src_traffic", member_list(l->c, n, "local-ts"), "dst_traffic", member_list(l->c, n, "remote-ts"));
	json_object_update_new(o, json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "encapsulated", !strcmp(vici_value(n, "encap"), "yes"),
	    "age_seconds", member_number(n, "install-time"), "rekey_seconds", member_number(n, "rekey-time"),
	    "life_seconds", member_number(n, "life-time"), "bytes_in", member_number(n, "bytes-in"), "bytes_out", member_number(n, "bytes-out"),
	    "packets_in", member_number(n, "packets-in"), "packets_out", member_number(n, "packets-out"), "kernel", json_null(), "rules", rules));
	return o;
}

static json_t *cookies_json(struct cli *c, const struct vici_node *n)
{
	return json_pack("[o, o]", member_text(c, n, "initiator-spi"), member_text(c, n, "responder-spi"));
}

static void ike_add(struct listing *l, const struct vici_node *n)
{
	const struct vici_node *children = vici_get(n, "child-sas");
	const char *name = clean_text(l->c, n->name), *version = vici_value(n, "version");
	json_t *o, *auth = json_object_get(l->auths, name);
	json_int_t n_children = 0;

	for (size_t i = 0; children && children->kind == VICI_SECTION && i < children->n_children; i++)
		if (children->children[i].kind == VICI_SECTION) {
			json_array_append_new(l->ret->quick, child_json(l, n, name, &children->children[i]));
			n_children++;
		}
	o = json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}",
	    "connection", name, "id", member_number(n, "uniqueid"), "version", !strcmp(version, "1") ? "IKEv1" : !strcmp(version, "2") ? "IKEv2" : "IKE",
	    "state", member_text(l->c, n, "state"), "src", member_text(l->c, n, "local-host"), "src_port", member_number(n, "local-port"),
	    "src_id", member_text(l->c, n, "local-id"), "dst", member_text(l->c, n, "remote-host"), "dst_port", member_number(n, "remote-port"),
	    "dst_id", member_text(l->c, n, "remote-id"), "initiator", !strcmp(vici_value(n, "initiator"), "yes"), "cookies", cookies_json(l->c, n));
	json_object_update_new(o, json_pack("{s:o, s:o, s:o, s:o, s:I, s:o}", "proposal", transform_json(l->c, n),
	    "auth", auth ? json_incref(auth) : json_null(), "age_seconds", member_number(n, "established"),
	    "rekey_seconds", member_number(n, *vici_value(n, "reauth-time") ? "reauth-time" : "rekey-time"),
	    "quick_modes", n_children, "rules", rules_of_connection(l, name)));
	json_array_append_new(l->ret->main, o);
}

static int sa_heard(const struct vici_node *message, void *cookie, struct err *err)
{
	struct listing *l = cookie;

	for (size_t i = 0; i < message->n_children; i++) {
		const struct vici_node *n = &message->children[i];

		if (n->kind != VICI_SECTION)
			continue;
		if (strncmp(n->name, IKE_PREFIX, strlen(IKE_PREFIX)))
			l->ret->n_foreign++;
		else if (json_array_size(l->ret->main) + json_array_size(l->ret->quick) >= MAX_SAS)
			return err_set(err, ERR_LIMIT, "charon has more than %d associations", MAX_SAS);
		else
			ike_add(l, n);
	}
	return 0;
}

/* The same words as where a policy asks for them. */
static const char *auth_word(const char *class)
{
	return !strcmp(class, "pre-shared key") ? "preshared-key" : !strcmp(class, "public key") ? "certificate" : class;
}

static int connection_heard(const struct vici_node *message, void *cookie, struct err *err)
{
	struct listing *l = cookie;

	(void)err;
	for (size_t i = 0; i < message->n_children; i++) {
		const struct vici_node *n = &message->children[i], *local = vici_get(n, "local-1");

		if (n->kind == VICI_SECTION && local && !strncmp(n->name, IKE_PREFIX, strlen(IKE_PREFIX)))
			json_object_set_new(l->auths, clean_text(l->c, n->name), text_json(l->c, auth_word(vici_value(local, "class"))));
	}
	return 0;
}

json_t *ike_daemon(struct vici *v, struct cli *c)
{
	struct vici_node *n = NULL;
	struct err ignored;

	if (vici_ask(v, &n, c->arena, "version", NULL, NULL, NULL, NULL, &ignored) < 0)
		return json_null();
	return json_pack("{s:o, s:o, s:s}", "daemon", member_text(c, n, "daemon"), "version", member_text(c, n, "version"), "socket", c->conf->vici);
}

int ike_sas(struct ike_sas *ret, struct vici *v, struct cli *c, const struct ike_rules *rules, struct err *err)
{
	struct listing l = { .c = c, .rules = rules, .ret = ret, .auths = json_object() };
	struct vici_node *answer;
	int rc;

	*ret = (struct ike_sas){ .main = json_array(), .quick = json_array(), .daemon = ike_daemon(v, c) };
	rc = vici_ask(v, &answer, c->arena, "list-conns", NULL, "list-conn", connection_heard, &l, err);
	if (rc == 0)
		rc = vici_ask(v, &answer, c->arena, "list-sas", NULL, "list-sa", sa_heard, &l, err);
	json_decref(l.auths);
	if (rc < 0) {
		ike_sas_free(ret);
		return err_prefix(err, "charon at %s", c->conf->vici);
	}
	return 0;
}

void ike_sas_free(struct ike_sas *s)
{
	json_decref(s->main);
	json_decref(s->quick);
	json_decref(s->daemon);
	*s = (struct ike_sas){ 0 };
}
