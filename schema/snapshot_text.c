#include "schema/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ipsecdata.h"
#include "schema/ldif.h"
#include "schema/utf.h"

#define HIDDEN	"***"

/* Nobody asks for these; a directory that sends them all the same, or a file
 * that holds them, shall not make us print them. */
static const char *const secrets[] = {
	"unicodePwd", "userPassword", "dBCSPwd", "ntPwdHistory", "lmPwdHistory",
	"supplementalCredentials", "ms-Mcs-AdmPwd", "ms-Mcs-AdmPwdHistory", "msLAPS-Password",
	"msLAPS-EncryptedPassword", "msLAPS-EncryptedPasswordHistory", "msDS-ManagedPassword",
	"trustAuthIncoming", "trustAuthOutgoing", "initialAuthIncoming", "initialAuthOutgoing",
	"currentValue", "priorValue", "krbPrincipalKey", "sambaNTPassword", "sambaLMPassword",
};

/* "userPassword;binary" is userPassword. */
static bool attr_is(const struct dir_attr *attr, const char *name)
{
	char base[64];
	size_t len = strcspn(attr->name, ";");

	if (len >= sizeof(base))
		return false;
	memcpy(base, attr->name, len);
	base[len] = '\0';
	return ascii_equal(base, name);
}

static bool attr_is_secret(const struct dir_attr *attr)
{
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (attr_is(attr, secrets[i]))
			return true;
	return false;
}

/* May its ipsecData hold a pre-shared key?  Whatever is of none of the other
 * classes is taken for a rule. */
static bool entry_may_be_rule(const struct dir_entry *e)
{
	static const char *const others[] = { "ipsecPolicy", "ipsecISAKMPPolicy", "ipsecFilter",
	    "ipsecNegotiationPolicy" };

	if (entry_has_class(e, "ipsecNFA"))
		return true;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (entry_has_class(e, others[i]))
			return false;
	return true;
}

/* The blob without its keys: *ret is v itself when there are none, or a new one. */
static int rule_hide(struct dir_value *ret, struct arena *a, const struct dir_value *v)
{
	struct ipsec_rule rule = { .name = "", .description = "", .interface_name = "", .tunnel_name = "" };
	struct wr wr = { 0 };
	bool hidden = false;
	struct err err;
	int rc = -1;

	if (ipsecdata_nfa_parse(&rule, a, v, &err) < 0)
		return -1;
	for (size_t i = 0; i < rule.n_auth; i++) {
		struct ipsec_auth *auth = &rule.auth[i];

		if (auth->method != IPSEC_AUTH_PSK && !auth->alt_len)
			continue;
		if (auth->method == IPSEC_AUTH_PSK)
			auth->text = HIDDEN;
		auth->alt_type = 0;
		auth->alt = NULL;
		auth->alt_len = 0;
		hidden = true;
	}
	*ret = *v;
	if (!hidden)
		return 0;
	if (ipsecdata_nfa_build(&wr, &rule, &err) == 0 && !wr.bad) {
		ret->p = arena_memdup(a, wr.p, wr.len);
		ret->len = wr.len;
		rc = ret->p ? 0 : -1;
	}
	free(wr.p);
	return rc;
}

static int rule_write(const struct dir_attr *attr, FILE *out)
{
	struct arena *a = arena_new(0);
	struct dir_value shown;

	if (!a)
		return -1;
	for (size_t i = 0; i < attr->n_values; i++) {
		if (rule_hide(&shown, a, &attr->values[i]) == 0)
			ldif_write_value(attr->name, &shown, out);
		else
			fputs("# ipsecData: not shown, it could not be read\n", out);
	}
	arena_free(a);
	return 0;
}

static int entry_write(const struct dir_entry *e, FILE *out)
{
	bool rule = entry_may_be_rule(e);
	const struct dir_attr *attr;

	ldif_write_dn(e->dn, out);
	for (size_t i = 0; i < e->n_attrs; i++) {
		attr = &e->attrs[i];
		if (attr_is_secret(attr))
			continue;
		if (rule && attr_is(attr, "ipsecData")) {
			if (rule_write(attr, out) < 0)
				return -1;
			continue;
		}
		for (size_t k = 0; k < attr->n_values; k++)
			ldif_write_value(attr->name, &attr->values[k], out);
	}
	putc('\n', out);
	return 0;
}

/* Within a comment: one line, whatever the text. */
static void put_quoted(const char *s, FILE *out)
{
	putc('"', out);
	utf8_write(out, s, "\"\\");
	putc('"', out);
}

static int search_write(const struct dir_search *search, FILE *out)
{
	static const char *const scopes[] = { [DIR_BASE] = "base", [DIR_ONE] = "one", [DIR_SUB] = "sub" };
	static const char *const outcomes[] = { [DIR_OK] = "ok", [DIR_ABSENT] = "absent",
	    [DIR_DENIED] = "denied", [DIR_ELSEWHERE] = "elsewhere" };

	fputs("# search: base=", out);
	put_quoted(search->q.base, out);
	fprintf(out, " scope=%s filter=", scopes[search->q.scope]);
	put_quoted(search->q.filter, out);
	fprintf(out, " outcome=%s entries=%zu\n", outcomes[search->outcome], search->n_entries);
	if (search->n_entries == 0)
		putc('\n', out);
	for (size_t i = 0; i < search->n_entries; i++)
		if (entry_write(&search->entries[i], out) < 0)
			return -1;
	return 0;
}

int snapshot_write(const struct dir_snapshot *s, FILE *out)
{
	fputs("# ipsecpol snapshot\n# server: ", out);
	put_quoted(s->server, out);
	if (s->address) {
		fputs("\n# address: ", out);
		put_quoted(s->address, out);
	}
	fputs("\n\n", out);
	for (size_t i = 0; i < s->n_searches; i++)
		if (search_write(&s->searches[i], out) < 0)
			return -1;
	return ferror(out) ? -1 : 0;
}
