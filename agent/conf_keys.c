#include "agent/conf_keys.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"

static const char no_memory[] = "";

static void *field(struct conf *c, const struct conf_key *k)
{
	return (char *)c + k->at;
}

static const char *store_copy(struct conf *c, const struct conf_key *k, const char *value)
{
	const char *copy = arena_strdup(c->arena, value);

	if (!copy)
		return no_memory;
	*(const char **)field(c, k) = copy;
	return NULL;
}

static bool text_fits(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (n == 0 || n > max)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static const char *store_text(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	(void)err;
	return text_fits(value, (size_t)k->max) ? store_copy(c, k, value) : k->what;
}

static const char *store_path(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	(void)err;
	if (value[0] != '/' || !text_fits(value, PATH_MAX - 1))
		return "an absolute path";
	return store_copy(c, k, value);
}

static const char *store_word(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	(void)err;
	for (const char *p = value; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
			return k->what;
	if (value[0] == '-' || !text_fits(value, (size_t)k->max))
		return k->what;
	return store_copy(c, k, value);
}

static const char *store_computer(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	size_t n = strlen(value);
	char name[260];

	(void)err;
	if (!text_fits(value, 256) || strpbrk(value, "\"/\\[]:;|=,+*?<> ") || !strcmp(value, "$"))
		return "the name of a computer account";
	snprintf(name, sizeof(name), "%s%s", value, value[n - 1] == '$' ? "" : "$");
	return store_copy(c, k, name);
}

static const char *store_uri(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	static const char *const schemes[] = { "ldap://", "ldaps://", "ldapi://", "ldif:/" };

	(void)err;
	if (!strncmp(value, "ldif:", 5) && value[5] != '/')
		return "ldif: with an absolute path";
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (!strncmp(value, schemes[i], strlen(schemes[i])) && text_fits(value, 2048))
			return store_copy(c, k, value);
	return "an ldap://, ldaps://, ldapi:// or ldif: URI";
}

/* Seconds, or a number with s, min or h right behind it. */
static const char *store_seconds(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	unsigned long n, unit = 1;
	char *end;

	(void)err;
	if (!isdigit((unsigned char)value[0]) || strlen(value) > 12)
		return k->what;
	n = strtoul(value, &end, 10);
	if (!strcmp(end, "min"))
		unit = 60;
	else if (!strcmp(end, "h"))
		unit = 3600;
	else if (strcmp(end, "") && strcmp(end, "s"))
		return k->what;
	if (n > (unsigned long)k->max / unit || n * unit < (unsigned long)k->min)
		return k->what;
	*(unsigned *)field(c, k) = (unsigned)(n * unit);
	return NULL;
}

static const char *store_number(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	(void)err;
	if (!isdigit((unsigned char)value[0]) || value[1] || value[0] - '0' < k->min || value[0] - '0' > k->max)
		return k->what;
	*(unsigned *)field(c, k) = (unsigned)(value[0] - '0');
	return NULL;
}

/* Position of value among the words of "gssapi|external|simple"; -1: none of them. */
static int choice(const char *words, const char *value)
{
	size_t n = strlen(value), len;

	for (int i = 0; ; i++) {
		len = strcspn(words, "|");
		if (len == n && n && !memcmp(words, value, n))
			return i;
		if (!words[len])
			return -1;
		words += len + 1;
	}
}

static const char *store_enum(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	int i = choice(k->what, value);

	(void)err;
	if (i < 0)
		return k->what;
	*(int *)field(c, k) = i;
	return NULL;
}

static const char *store_bool(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	int i = choice(k->what, value);

	(void)err;
	if (i < 0)
		return k->what;
	*(bool *)field(c, k) = i == 1;
	return NULL;
}

static const char *store_addresses(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	static const char what[] = "a list of IP addresses";
	char one[IP_ADDR_TEXT];
	struct ip_addr a;
	size_t len, n = 0;

	for (const char *p = value; *p; p += len) {
		len = strspn(p, " \t,");
		if (len)
			continue;
		len = strcspn(p, " \t,");
		if (len >= sizeof(one) || ++n > 64)
			return what;
		memcpy(one, p, len);
		one[len] = '\0';
		if (!ip_addr_read(&a, one))
			return what;
		if (facts_add(c->facts, k->fact, &a, err) < 0)
			return no_memory;
	}
	return n ? NULL : what;
}

/* none | certificate | psk FILE */
static const char *store_kerberos(struct conf *c, const struct conf_key *k, const char *value, struct err *err)
{
	static const char what[] = "'none', 'certificate', or 'psk' and the absolute path of a file";
	const char *path;

	(void)k, (void)err;
	if (!strcmp(value, "none") || !strcmp(value, "certificate")) {
		c->kerberos = value[0] == 'c' ? CONF_KERBEROS_CERTIFICATE : CONF_KERBEROS_NONE;
		return NULL;
	}
	if (strncmp(value, "psk", 3))
		return what;
	path = value + 3 + strspn(value + 3, " \t");
	if (path == value + 3 || *path != '/' || !text_fits(path, PATH_MAX - 1))
		return what;
	c->kerberos = CONF_KERBEROS_PSK;
	c->kerberos_psk = arena_strdup(c->arena, path);
	return c->kerberos_psk ? NULL : no_memory;
}

#define AT(member)	.at = offsetof(struct conf, member)
#define HOUR		3600L

static const struct conf_key keys[] = {
	{ "directory", "uri", store_uri, AT(uri) },
	{ "directory", "domain", store_word, AT(domain), .max = 253, .what = "a DNS domain name" },
	{ "directory", "computer", store_computer, AT(computer) },
	{ "directory", "site", store_text, AT(site), .max = 64, .what = "the name of a site" },
	{ "directory", "default-site", store_text, AT(default_site), .max = 64, .what = "the name of a site" },
	{ "directory", "bind", store_enum, AT(bind), .what = "gssapi|external|simple" },
	{ "directory", "keytab", store_path, AT(keytab) },
	{ "directory", "bind-dn", store_text, AT(bind_dn), .max = 1024, .what = "a distinguished name" },
	{ "directory", "bind-password-file", store_path, AT(bind_password_file) },
	{ "directory", "tls", store_enum, AT(tls), .what = "off|start" },
	{ "directory", "tls-ca", store_path, AT(tls_ca) },
	{ "directory", "tls-cert", store_path, AT(tls_cert) },
	{ "directory", "tls-key", store_path, AT(tls_key) },
	{ "directory", "connect-timeout", store_seconds, AT(connect_timeout), 1, HOUR, .what = "a time of 1 s to 1 h" },
	{ "directory", "timeout", store_seconds, AT(timeout), 1, HOUR, .what = "a time of 1 s to 1 h" },
	{ "directory", "refresh-timeout", store_seconds, AT(refresh_timeout), 1, HOUR, .what = "a time of 1 s to 1 h" },
	{ "policy", "wmi-filter", store_bool, AT(wmi_allow), .what = "deny|allow" },
	{ "policy", "on-unreadable-policy", store_bool, AT(block_on_unreadable), .what = "keep|block" },
	{ "policy", "refresh-interval", store_seconds, AT(refresh_interval), 1, 744 * HOUR, .what = "a time of 1 s to 744 h" },
	{ "policy", "refresh-offset", store_seconds, AT(refresh_offset), 0, 24 * HOUR, .what = "a time of 0 s to 24 h" },
	{ "policy", "refresh-spread", store_bool, AT(refresh_spread), .what = "no|yes" },
	{ "policy", "full-read-interval", store_seconds, AT(full_read_interval), 0, 744 * HOUR, .what = "a time of 0 s to 744 h" },
	{ "policy", "notify", store_bool, AT(notify), .what = "no|yes" },
	{ "enforcement", "ipsecexempt", store_number, AT(ipsecexempt), 0, 3, .what = "a number of 0 to 3" },
	{ "enforcement", "lifeline", store_bool, AT(lifeline), .what = "no|yes" },
	{ "enforcement", "any-is-ipv4", store_bool, AT(any_is_ipv4), .what = "no|yes" },
	{ "enforcement", "domain-controllers", store_addresses, .fact = FACT_DC },
	{ "enforcement", "dns-servers", store_addresses, .fact = FACT_DNS },
	{ "enforcement", "wins-servers", store_addresses, .fact = FACT_WINS },
	{ "enforcement", "dhcp-servers", store_addresses, .fact = FACT_DHCP },
	{ "enforcement", "gateways", store_addresses, .fact = FACT_GATEWAY },
	{ "ike", "vici", store_path, AT(vici) },
	{ "ike", "version", store_enum, AT(ike_version), .what = "any|1|2" },
	{ "ike", "kerberos", store_kerberos, AT(kerberos) },
	{ "ike", "certificate", store_path, AT(certificate) },
	{ "ike", "private-key", store_path, AT(private_key) },
	{ "ike", "ca", store_path, AT(ca) },
	{ "ike", "weak-offers", store_bool, AT(weak_offers), .what = "no|yes" },
	{ "ike", "account-mapping", store_bool, AT(ignore_mapping), .what = "refuse|ignore" },
	{ "daemon", "state-dir", store_path, AT(state_dir) },
	{ "daemon", "run-dir", store_path, AT(run_dir) },
	{ "daemon", "socket", store_path, AT(socket) },
	{ "daemon", "worker-user", store_word, AT(worker_user), .max = 32, .what = "a user name" },
	{ "daemon", "worker", store_path, AT(worker) },
};
#define N_KEYS	(sizeof(keys) / sizeof(keys[0]))

const struct conf_key *conf_key_find(const char *section, const char *name)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (!strcmp(keys[i].section, section) && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

bool conf_section_known(const char *section)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (!strcmp(keys[i].section, section))
			return true;
	return false;
}
