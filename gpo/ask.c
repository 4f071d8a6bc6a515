#include "gpo/ask.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ident.h"

#define GP_ATTRS	"gPLink", "gPOptions", "displayName", "flags", "versionNumber", \
	"gPCFunctionalityVersion", "gPCMachineExtensionNames", "gPCWQLFilter", \
	"nTSecurityDescriptor"
#define POLICY_ATTRS	"cn", "ipsecName", "description", "ipsecID", "ipsecDataType", "ipsecData", \
	"ipsecOwnersReference", "ipsecISAKMPReference", "ipsecNFAReference", \
	"ipsecNegotiationPolicyReference", "ipsecFilterReference", \
	"iPSECNegotiationPolicyType", "iPSECNegotiationPolicyAction", "whenChanged"
/* Which version of an object this is: of an AD on one domain controller, of an OpenLDAP. */
#define STAMP_ATTRS	"uSNChanged", "objectGUID", "entryCSN", "entryUUID"
#define COMPUTER_ATTRS	"sAMAccountName", "objectSid", "primaryGroupID", "memberOf"

const char *const ask_root_attrs[] = { "objectClass", "defaultNamingContext",
	"configurationNamingContext", "namingContexts", "tokenGroups", "dnsHostName",
	"supportedCapabilities", "supportedControl", "dsServiceName", "highestCommittedUSN", NULL };
const char *const ask_ping_attrs[] = { "NetLogon", NULL };
const char *const ask_computer_attrs[] = { "objectClass", COMPUTER_ATTRS, NULL };
const char *const ask_token_attrs[] = { "objectClass", COMPUTER_ATTRS, "tokenGroups",
	"tokenGroupsNoGCAcceptable", NULL };
const char *const ask_group_attrs[] = { "objectClass", "objectSid", "memberOf", "groupType", NULL };
const char *const ask_subnet_attrs[] = { "objectClass", "cn", "siteObject", NULL };
/* SOMs, GPOs and CN=IPSEC are asked for with one list: what a later search says
 * about an entry replaces what an earlier one said. */
const char *const ask_gp_attrs[] = { "objectClass", GP_ATTRS, "ipsecName", "ipsecOwnersReference", NULL };
const char *const ask_policy_attrs[] = { "objectClass", POLICY_ATTRS, STAMP_ATTRS, NULL };
const char *const ask_all_attrs[] = { "objectClass", COMPUTER_ATTRS, GP_ATTRS, POLICY_ATTRS, STAMP_ATTRS,
	"groupType", "siteObject", NULL };
const char *const ask_policy_stamps[] = { "objectClass", "whenChanged", STAMP_ATTRS, NULL };
const char *const ask_all_stamps[] = { "objectClass", COMPUTER_ATTRS, GP_ATTRS, "cn", "whenChanged", STAMP_ATTRS,
	"groupType", "siteObject", NULL };
const char *const ask_gp_classes[] = { "organizationalUnit", "domainDNS", "groupPolicyContainer", "site", NULL };

static void put_bytes(struct ask_text *t, const char *p, size_t len)
{
	size_t size = t->size ? t->size : 256;
	char *grown;

	if (t->bad)
		return;
	if (t->size - t->len <= len) {
		while (size - t->len <= len)
			size *= 2;
		grown = arena_zalloc(t->a, size, 1);
		if (!grown) {
			t->bad = true;
			return;
		}
		if (t->len)
			memcpy(grown, t->p, t->len);
		t->p = grown;
		t->size = size;
	}
	memcpy(t->p + t->len, p, len);
	t->len += len;
	t->p[t->len] = '\0';
}

void ask_put(struct ask_text *t, const char *text)
{
	put_bytes(t, text, strlen(text));
}

static void put_hex(struct ask_text *t, uint8_t b)
{
	char text[4];

	snprintf(text, sizeof(text), "\\%02x", b);
	put_bytes(t, text, 3);
}

void ask_put_term(struct ask_text *t, const char *attr, const char *value)
{
	static const char special[] = "\\()*\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
	    "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f";

	ask_put(t, "(");
	ask_put(t, attr);
	ask_put(t, "=");
	for (size_t n; *value; value += n) {
		n = strcspn(value, special);
		put_bytes(t, value, n);
		if (!n) {
			put_hex(t, (uint8_t)*value);
			n = 1;
		}
	}
	ask_put(t, ")");
}

void ask_put_sid(struct ask_text *t, const char *attr, const struct sid *sid)
{
	ask_put(t, "(");
	ask_put(t, attr);
	ask_put(t, "=");
	put_hex(t, 1);
	put_hex(t, sid->n_sub);
	for (int i = 0; i < 6; i++)
		put_hex(t, sid->authority[i]);
	for (unsigned i = 0; i < sid->n_sub; i++)
		for (int shift = 0; shift < 32; shift += 8)
			put_hex(t, (uint8_t)(sid->sub[i] >> shift));
	ask_put(t, ")");
}

void ask_put_dns(struct ask_text *t, bool ad, const char *const *dns, size_t n)
{
	ask_put(t, "(|");
	for (size_t i = 0; i < n; i++)
		ask_put_term(t, ad ? "distinguishedName" : "entryDN", dns[i]);
	ask_put(t, ")");
}

void ask_put_classes(struct ask_text *t, const char *const *more)
{
	ask_put(t, "(|");
	for (; more && *more; more++)
		ask_put_term(t, "objectClass", *more);
	ask_put(t, "(objectClass=ipsecPolicy)(objectClass=ipsecISAKMPPolicy)(objectClass=ipsecNFA)"
	    "(objectClass=ipsecNegotiationPolicy)(objectClass=ipsecFilter))");
}

char *ask_rdn_value(struct arena *a, const char *value)
{
	struct ask_text t = { .a = a };
	size_t len = strlen(value);

	put_bytes(&t, "", 0);
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)value[i];

		if (c < 0x20 || c == 0x7f || (c == ' ' && (i == 0 || i + 1 == len))) {
			put_hex(&t, c);
			continue;
		}
		if (strchr(",+\"\\<>;=", c) || (c == '#' && i == 0))
			put_bytes(&t, "\\", 1);
		put_bytes(&t, value + i, 1);
	}
	return t.bad ? NULL : t.p;
}
