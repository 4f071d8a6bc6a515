/* nft/ike_text.c says the same as swanctl.conf.
 *
 * unique = never: connections for different rules are between the same two identities, and both hosts may begin at the
 * same moment.  Any other value ends one of the two IKE SAs when the peer's INITIAL_CONTACT comes, or when the second is
 * established, with the security associations of traffic that has just begun.  What a restarted peer leaves
 * behind goes by dead peer detection; until then the kernel prefers the newer security associations.
 *
 * mobike = no: security associations belong to the addresses that the kernel's policies name.
 *
 * IKEv2 renews an IKE SA by rekeying; reauthentication would break it before it makes the new one. */
#include <string.h>

#include "agent/vici.h"
#include "nft/ike.h"

static void list_put(struct vici_message *m, const char *name, const struct ike_list *l)
{
	vici_list(m, name, l->texts, l->n);
}

static void child_put(struct vici_message *m, const struct ike_child *c)
{
	vici_section(m, c->name);
	vici_add(m, "mode", c->tunnel ? "tunnel" : "transport");
	list_put(m, "local_ts", &c->local_ts);
	list_put(m, "remote_ts", &c->remote_ts);
	list_put(m, c->ah ? "ah_proposals" : "esp_proposals", &c->proposals);
	vici_add_number(m, "rekey_time", ike_renew_at(c->life_seconds));
	vici_add_number(m, "life_time", c->life_seconds);
	if (c->life_bytes) {
		vici_add_number(m, "rekey_bytes", ike_renew_at(c->life_bytes));
		vici_add_number(m, "life_bytes", c->life_bytes);
	}
	if (c->reqid)
		vici_add_number(m, "reqid", c->reqid);
	vici_add(m, "policies", c->policies ? "yes" : "no");
	vici_add(m, "start_action", c->trap ? "trap" : "none");
	vici_add(m, "dpd_action", c->trap ? "trap" : "clear");
	vici_add(m, "close_action", "none");
	vici_section_end(m);
}

/* Without blanks behind commas: charon lists it with them if it took it for a distinguished name (ike_conn_check). */
static void ca_put(struct vici_message *m, const char *dn)
{
	char text[1025];
	size_t n = 0;

	for (const char *p = dn; *p && n + 1 < sizeof(text); p++)
		if (!(*p == ' ' && n > 0 && text[n - 1] == ','))
			text[n++] = *p;
	vici_add_bytes(m, "ca_id", text, n);
}

static void auth_put(struct vici_message *m, const struct ike_conn *c)
{
	vici_section(m, "local");
	vici_add(m, "auth", ike_auth_name(c->auth));
	vici_section_end(m);
	vici_section(m, "remote");
	vici_add(m, "auth", ike_auth_name(c->auth));
	if (c->auth == IKE_CERTIFICATE) {
		if (*c->ca_id)
			ca_put(m, c->ca_id);
		vici_add(m, "revocation", ike_revocation_name(c->revocation));
	}
	vici_section_end(m);
}

struct vici_message *vici_conn(const struct ike_conn *c)
{
	struct vici_message *m = vici_new();
	uint64_t renew = ike_renew_at(c->life_seconds);

	vici_section(m, c->name);
	vici_add_number(m, "version", c->version);
	list_put(m, "local_addrs", &c->local_addrs);
	list_put(m, "remote_addrs", &c->remote_addrs);
	list_put(m, "proposals", &c->proposals);
	vici_add(m, "unique", "never");
	vici_add(m, "mobike", "no");
	vici_add_number(m, "dpd_delay", IKE_DPD_SECONDS);
	vici_add_number(m, "dpd_timeout", IKE_DPD_TIMEOUT);
	vici_add_number(m, "reauth_time", c->version == IKE_V1 ? renew : 0);
	vici_add_number(m, "rekey_time", c->version == IKE_V1 ? 0 : renew);
	vici_add_number(m, "over_time", c->life_seconds - renew);
	vici_add(m, "send_certreq", c->certreq ? "yes" : "no");
	vici_add(m, "send_cert", "always");
	auth_put(m, c);
	vici_section(m, "children");
	for (size_t i = 0; i < c->n_children; i++)
		child_put(m, &c->children[i]);
	vici_section_end(m);
	vici_section_end(m);
	return m;
}

struct vici_message *vici_secret(const struct ike_secret *s)
{
	struct vici_message *m = vici_new();

	vici_add(m, "id", s->id);
	vici_add(m, "type", "IKE");
	vici_add_bytes(m, "data", s->key, s->key_len);
	list_put(m, "owners", &s->owners);
	return m;
}
