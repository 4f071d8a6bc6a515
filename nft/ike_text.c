#include "nft/ike_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "nft/ike.h"
#include "nft/ruleset.h"
#include "schema/utf.h"

static void put_list(const char *name, const struct ike_list *l, const char *indent, FILE *out)
{
	fprintf(out, "%s%s = ", indent, name);
	for (size_t i = 0; i < l->n; i++)
		fprintf(out, "%s%s", i ? ", " : "", l->texts[i]);
	fputc('\n', out);
}

static void put_origin(const struct rs_origin *from, FILE *out)
{
	char text[GUID_TEXT];

	if (!from || guid_is_zero(&from->rule))
		return;
	guid_text(&from->rule, text);
	fprintf(out, "        # rule %s", text);
	if (!guid_is_zero(&from->gpo)) {
		guid_text(&from->gpo, text);
		fprintf(out, ", GPO %s", text);
	}
	fputc('\n', out);
}

static void child_write(const struct ike_child *c, bool people, FILE *out)
{
	fprintf(out, "      %s {\n", c->name);
	if (people)
		put_origin(c->origin, out);
	fprintf(out, "        mode = %s\n", c->tunnel ? "tunnel" : "transport");
	put_list("local_ts", &c->local_ts, "        ", out);
	put_list("remote_ts", &c->remote_ts, "        ", out);
	put_list(c->ah ? "ah_proposals" : "esp_proposals", &c->proposals, "        ", out);
	fprintf(out, "        rekey_time = %" PRIu64 "\n", ike_renew_at(c->life_seconds));
	fprintf(out, "        life_time = %" PRIu32 "\n", c->life_seconds);
	if (c->life_bytes) {
		fprintf(out, "        rekey_bytes = %" PRIu64 "\n", ike_renew_at(c->life_bytes));
		fprintf(out, "        life_bytes = %" PRIu64 "\n", c->life_bytes);
	}
	if (c->reqid)
		fprintf(out, "        reqid = %" PRIu32 "\n", c->reqid);
	fprintf(out, "        policies = %s\n", c->policies ? "yes" : "no");
	fprintf(out, "        start_action = %s\n", c->trap ? "trap" : "none");
	fprintf(out, "        dpd_action = %s\n", c->trap ? "trap" : "clear");
	fprintf(out, "        close_action = none\n      }\n");
}

/* agent/vici_conn.c says the same to charon. */
int ike_conn_write(const struct ike_conn *c, const char *name, bool people, FILE *out)
{
	uint64_t renew = ike_renew_at(c->life_seconds);

	fprintf(out, "  %s {\n", name);
	if (people && *c->rule_name) {
		fputs("    # rule \"", out);
		utf8_write(out, c->rule_name, "\"\\");
		fputs("\"\n", out);
	}
	if (c->auth == IKE_PSK)
		fprintf(out, "    # key %s\n", c->secret);
	fprintf(out, "    version = %d\n", (int)c->version);
	put_list("local_addrs", &c->local_addrs, "    ", out);
	put_list("remote_addrs", &c->remote_addrs, "    ", out);
	put_list("proposals", &c->proposals, "    ", out);
	fprintf(out, "    unique = never\n    mobike = no\n    dpd_delay = %d\n    dpd_timeout = %d\n", IKE_DPD_SECONDS, IKE_DPD_TIMEOUT);
	fprintf(out, "    reauth_time = %" PRIu64 "\n", c->version == IKE_V1 ? renew : 0);
	fprintf(out, "    rekey_time = %" PRIu64 "\n", c->version == IKE_V1 ? 0 : renew);
	fprintf(out, "    over_time = %" PRIu64 "\n", c->life_seconds - renew);
	fprintf(out, "    send_certreq = %s\n    send_cert = always\n", c->certreq ? "yes" : "no");
	fprintf(out, "    local {\n      auth = %s\n    }\n    remote {\n      auth = %s\n", ike_auth_name(c->auth), ike_auth_name(c->auth));
	if (c->auth == IKE_CERTIFICATE) {
		if (*c->ca_id)
			fprintf(out, "      ca_id = \"%s\"\n", c->ca_id);
		fprintf(out, "      revocation = %s\n", ike_revocation_name(c->revocation));
	}
	fputs("    }\n    children {\n", out);
	for (size_t i = 0; i < c->n_children; i++)
		child_write(&c->children[i], people, out);
	fputs("    }\n  }\n", out);
	return ferror(out) ? -1 : 0;
}

int ike_write(const struct ike_config *c, FILE *out)
{
	if (c->n_conns > 0)
		fputs("connections {\n", out);
	for (size_t i = 0; i < c->n_conns; i++)
		ike_conn_write(&c->conns[i], c->conns[i].name, true, out);
	if (c->n_conns > 0)
		fputs("}\n", out);
	if (c->n_secrets > 0)
		fputs("secrets {\n", out);
	for (size_t i = 0; i < c->n_secrets; i++) {
		const struct ike_secret *s = &c->secrets[i];

		fprintf(out, "  ike-%s {\n", s->id);
		for (size_t k = 0; k < s->owners.n; k++)
			fprintf(out, "    id-%zu = %s\n", k + 1, s->owners.texts[k]);
		fputs("    secret = ***\n  }\n", out);
	}
	if (c->n_secrets > 0)
		fputs("}\n", out);
	return ferror(out) ? -1 : 0;
}

/* ---- differences ---- */

static size_t line(FILE *out, const char *head, const char *name)
{
	if (out)
		fprintf(out, "%s%s\n", head, name);
	return 1;
}

static size_t conns_diff(const struct ike_config *want, const struct ike_config *have, FILE *out)
{
	size_t i = 0, k = 0, n = 0, n_want = want ? want->n_conns : 0, n_have = have ? have->n_conns : 0;

	while (i < n_want || k < n_have) {
		int cmp = i == n_want ? 1 : k == n_have ? -1 : strcmp(want->conns[i].name, have->conns[k].name);

		if (cmp < 0)
			n += line(out, "+ ", want->conns[i].name);
		else if (cmp > 0)
			n += line(out, "- ", have->conns[k].name);
		i += cmp <= 0;
		k += cmp >= 0;
	}
	return n;
}

static bool secret_equal(const struct ike_secret *a, const struct ike_secret *b)
{
	if (a->key_len != b->key_len || memcmp(a->key, b->key, a->key_len) || a->owners.n != b->owners.n)
		return false;
	for (size_t i = 0; i < a->owners.n; i++)
		if (strcmp(a->owners.texts[i], b->owners.texts[i]))
			return false;
	return true;
}

size_t ike_diff(const struct ike_config *want, const struct ike_config *have, FILE *out)
{
	size_t i = 0, k = 0, n_want = want ? want->n_secrets : 0, n_have = have ? have->n_secrets : 0;
	size_t n = conns_diff(want, have, out);

	while (i < n_want || k < n_have) {
		int cmp = i == n_want ? 1 : k == n_have ? -1 : strcmp(want->secrets[i].id, have->secrets[k].id);
		bool other = cmp == 0 && !secret_equal(&want->secrets[i], &have->secrets[k]);

		if (cmp > 0 || other)
			n += line(out, "- key ", have->secrets[k].id);
		if (cmp < 0 || other)
			n += line(out, "+ key ", want->secrets[i].id);
		i += cmp <= 0;
		k += cmp >= 0;
	}
	return n;
}

/* ---- JSON ---- */

static json_t *list_json(const struct ike_list *l)
{
	json_t *array = json_array();

	for (size_t i = 0; i < l->n; i++)
		if (json_array_append_new(array, json_string(l->texts[i])))
			goto bad;
	return array;
bad:
	json_decref(array);
	return NULL;
}

/* Text that is not ours. */
static json_t *clean_json(const char *text)
{
	char *copy = strdup(text);
	json_t *j;

	if (!copy)
		return NULL;
	utf8_clean(copy, "");
	j = json_string(copy);
	free(copy);
	return j;
}

static json_t *child_json(const struct ike_child *c)
{
	json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:I, s:I}", "name", c->name, "reqid", (json_int_t)c->reqid,
	    "mode", c->tunnel ? "tunnel" : "transport", "protocol", c->ah ? "ah" : "esp", "trap", c->trap, "policies", c->policies,
	    "rule_name", clean_json(c->rule_name),
	    "local_ts", list_json(&c->local_ts), "remote_ts", list_json(&c->remote_ts), "proposals", list_json(&c->proposals),
	    "life_seconds", (json_int_t)c->life_seconds, "life_bytes", (json_int_t)(c->life_bytes > INT64_MAX ? INT64_MAX : c->life_bytes));

	if (o && rs_origin_json(o, c->origin)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *children_json(const struct ike_conn *c)
{
	json_t *array = json_array();

	for (size_t i = 0; i < c->n_children; i++)
		if (json_array_append_new(array, child_json(&c->children[i]))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *conn_json(const struct ike_conn *c)
{
	json_t *o = json_pack("{s:s, s:i, s:o, s:o, s:o, s:s, s:I, s:o, s:o}", "name", c->name, "version", (int)c->version,
	    "local_addrs", list_json(&c->local_addrs), "remote_addrs", list_json(&c->remote_addrs),
	    "proposals", list_json(&c->proposals), "auth", ike_auth_name(c->auth), "life_seconds", (json_int_t)c->life_seconds,
	    "rule", clean_json(c->rule_name), "children", children_json(c));
	int rc = o ? 0 : -1;

	if (rc == 0 && c->auth == IKE_PSK)
		rc = json_object_set_new(o, "secret", json_string(c->secret));
	if (rc == 0 && c->auth == IKE_CERTIFICATE)
		rc = json_object_set_new(o, "ca", clean_json(c->ca_id)) |
		    json_object_set_new(o, "certreq", json_boolean(c->certreq)) |
		    json_object_set_new(o, "revocation", json_string(ike_revocation_name(c->revocation)));
	if (rc == 0)
		return o;
	json_decref(o);
	return NULL;
}

json_t *ike_json(const struct ike_config *c)
{
	json_t *conns = json_array(), *secrets = json_array();

	for (size_t i = 0; i < c->n_conns; i++)
		if (json_array_append_new(conns, conn_json(&c->conns[i])))
			goto bad;
	for (size_t i = 0; i < c->n_secrets; i++)
		if (json_array_append_new(secrets, json_pack("{s:s, s:o}", "id", c->secrets[i].id, "owners", list_json(&c->secrets[i].owners))))
			goto bad;
	return json_pack("{s:o, s:o, s:b}", "connections", conns, "secrets", secrets, "needs_certificate", c->needs_certificate);
bad:
	json_decref(conns);
	json_decref(secrets);
	return NULL;
}
