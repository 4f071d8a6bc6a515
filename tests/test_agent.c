#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/hostfacts.h"
#include "agent/log.h"
#include "agent/memfd.h"
#include "schema/err.h"
#include "schema/facts.h"
#include "tests/folder.h"

/* ---- conf ---------------------------------------------------------------------- */

static struct conf *conf_good(const char *text)
{
	struct conf *c = NULL;
	struct err err = { 0 };

	if (conf_parse(&c, "f", text, strlen(text), &err) < 0)
		fail_msg("%s", err.msg);
	return c;
}

static void conf_bad(const char *text, const char *message)
{
	struct conf *c = NULL;
	struct err err = { 0 };

	assert_int_equal(conf_parse(&c, "f", text, strlen(text), &err), -1);
	assert_null(c);
	assert_string_equal(err.msg, message);
}

static void test_conf_defaults(void **state)
{
	static const char *const texts[] = { "", "\n\n# nothing\n", "[policy]\n", "; c\n[directory]\n# uri = x\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct conf *c = conf_good(texts[i]);
		char host[256] = "";

		assert_null(c->file);
		assert_string_equal(c->uri, "ldap:///");
		assert_null(c->domain);
		gethostname(host, sizeof(host) - 1);
		host[strcspn(host, ".")] = '\0';
		host[15] = '\0';
		assert_int_equal(strlen(c->computer), strlen(host) + 1);
		assert_int_equal(strncasecmp(c->computer, host, strlen(host)), 0);
		assert_int_equal(c->computer[strlen(host)], '$');
		assert_null(c->site);
		assert_null(c->default_site);
		assert_int_equal(c->bind, BIND_GSSAPI);
		assert_string_equal(c->keytab, "/etc/krb5.keytab");
		assert_int_equal(c->tls, TLS_OFF);
		assert_int_equal(c->connect_timeout, 5);
		assert_int_equal(c->timeout, 60);
		assert_int_equal(c->refresh_timeout, 240);
		assert_false(c->wmi_allow);
		assert_false(c->block_on_unreadable);
		assert_int_equal(c->refresh_interval, 5400);
		assert_int_equal(c->refresh_offset, 1800);
		assert_int_equal(c->ipsecexempt, 3);
		assert_true(c->lifeline);
		assert_false(c->any_is_ipv4);
		assert_string_equal(c->vici, "/run/charon.vici");
		assert_int_equal(c->ike_version, 1);
		assert_int_equal(c->kerberos, CONF_KERBEROS_NONE);
		assert_null(c->certificate);
		assert_false(c->weak_offers);
		assert_false(c->ignore_mapping);
		assert_string_equal(c->state_dir, LOCALSTATEDIR "/lib/ipsecpol");
		assert_string_equal(c->run_dir, RUNSTATEDIR "/ipsecpol");
		assert_string_equal(c->socket, RUNSTATEDIR "/ipsecpol/ipsecpol.socket");
		assert_string_equal(c->worker_user, "ipsecpol");
		assert_string_equal(c->worker, PKGLIBEXECDIR "/ipsecpol-worker");
		for (int k = 0; k < N_FACTS; k++)
			assert_int_equal(c->facts->n_addrs[k], 0);
		conf_free(c);
	}
}

static void test_conf_all(void **state)
{
	struct conf *c = conf_good(
	    "[directory]\n"
	    "uri = ldap://dc1.corp.example:3389\n"
	    "domain = corp.example\n"
	    "computer = WEB1\n"
	    "site = Berlin Mitte\n"
	    "default-site = Default-First-Site-Name\n"
	    "bind = simple\n"
	    "keytab = /etc/k\n"
	    "bind-dn = CN=reader,DC=corp,DC=example\n"
	    "bind-password-file = /etc/ipsecpol/password\n"
	    "tls = start\n"
	    "tls-ca = /ca\n"
	    "tls-cert=/cert\n"
	    "tls-key\t=\t/key\n"
	    "connect-timeout = 2s\n"
	    "timeout = 1min\n"
	    "refresh-timeout = 1h\n"
	    "[policy]\n"
	    "wmi-filter = allow\n"
	    "on-unreadable-policy = block\n"
	    "refresh-interval = 90min\n"
	    "refresh-offset = 0\n"
	    "[enforcement]\n"
	    "ipsecexempt = 0\n"
	    "lifeline = no\n"
	    "any-is-ipv4 = yes\n"
	    "dns-servers = 10.0.0.2, 10.0.0.1 fe80::1\n"
	    "wins-servers = 10.0.0.3\n"
	    "dhcp-servers = 10.0.0.4,10.0.0.5\n"
	    "gateways = 2001:db8::1\n"
	    "[ike]\n"
	    "vici = /v\n"
	    "version = any\n"
	    "kerberos = psk  /etc/ipsecpol/key\n"
	    "certificate = /c\n"
	    "private-key = /p\n"
	    "ca = /a\n"
	    "weak-offers = yes\n"
	    "account-mapping = ignore\n"
	    "[daemon]\n"
	    "state-dir = /s\n"
	    "run-dir = /r\n"
	    "worker-user = nobody\n"
	    "worker = /w\n");
	char text[IP_ADDR_TEXT];

	(void)state;
	assert_string_equal(c->uri, "ldap://dc1.corp.example:3389");
	assert_string_equal(c->domain, "corp.example");
	assert_string_equal(c->computer, "WEB1$");
	assert_string_equal(c->site, "Berlin Mitte");
	assert_string_equal(c->default_site, "Default-First-Site-Name");
	assert_int_equal(c->bind, BIND_SIMPLE);
	assert_string_equal(c->keytab, "/etc/k");
	assert_string_equal(c->bind_dn, "CN=reader,DC=corp,DC=example");
	assert_string_equal(c->bind_password_file, "/etc/ipsecpol/password");
	assert_int_equal(c->tls, TLS_START);
	assert_string_equal(c->tls_ca, "/ca");
	assert_string_equal(c->tls_cert, "/cert");
	assert_string_equal(c->tls_key, "/key");
	assert_int_equal(c->connect_timeout, 2);
	assert_int_equal(c->timeout, 60);
	assert_int_equal(c->refresh_timeout, 3600);
	assert_true(c->wmi_allow);
	assert_true(c->block_on_unreadable);
	assert_int_equal(c->refresh_interval, 5400);
	assert_int_equal(c->refresh_offset, 0);
	assert_int_equal(c->ipsecexempt, 0);
	assert_false(c->lifeline);
	assert_true(c->any_is_ipv4);
	assert_int_equal(c->facts->n_addrs[FACT_DNS], 3);
	ip_addr_text(&c->facts->addrs[FACT_DNS][0], text);
	assert_string_equal(text, "10.0.0.1");
	assert_int_equal(c->facts->n_addrs[FACT_WINS], 1);
	assert_int_equal(c->facts->n_addrs[FACT_DHCP], 2);
	assert_int_equal(c->facts->n_addrs[FACT_GATEWAY], 1);
	assert_string_equal(c->vici, "/v");
	assert_int_equal(c->ike_version, 0);
	assert_int_equal(c->kerberos, CONF_KERBEROS_PSK);
	assert_string_equal(c->kerberos_psk, "/etc/ipsecpol/key");
	assert_string_equal(c->certificate, "/c");
	assert_string_equal(c->private_key, "/p");
	assert_string_equal(c->ca, "/a");
	assert_true(c->weak_offers);
	assert_true(c->ignore_mapping);
	assert_string_equal(c->state_dir, "/s");
	assert_string_equal(c->socket, "/r/ipsecpol.socket");
	assert_string_equal(c->worker_user, "nobody");
	assert_string_equal(c->worker, "/w");
	conf_free(c);
}

static void test_conf_values(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "[directory]\nuri = http://x\n", "f:2: [directory] uri: 'http://x' is not an ldap://, ldaps://, ldapi:// or ldif: URI" },
		{ "[directory]\nuri = ldif:here.ldif\n", "f:2: [directory] uri: 'ldif:here.ldif' is not ldif: with an absolute path" },
		{ "[directory]\n\n\ncomputer = a b\n", "f:4: [directory] computer: 'a b' is not the name of a computer account" },
		{ "[directory]\ncomputer =\n", "f:2: [directory] computer: '' is not the name of a computer account" },
		{ "[directory]\ndomain = corp_/x\n", "f:2: [directory] domain: 'corp_/x' is not a DNS domain name" },
		{ "[directory]\nbind = anonymous\n", "f:2: [directory] bind: 'anonymous' is not gssapi or external or simple" },
		{ "[directory]\nbind = GSSAPI\n", "f:2: [directory] bind: 'GSSAPI' is not gssapi or external or simple" },
		{ "[directory]\nkeytab = etc/krb5.keytab\n", "f:2: [directory] keytab: 'etc/krb5.keytab' is not an absolute path" },
		{ "[directory]\ntls = on\n", "f:2: [directory] tls: 'on' is not off or start" },
		{ "[directory]\ntimeout = 0\n", "f:2: [directory] timeout: '0' is not a time of 1 s to 1 h" },
		{ "[directory]\ntimeout = 61min\n", "f:2: [directory] timeout: '61min' is not a time of 1 s to 1 h" },
		{ "[directory]\ntimeout = -1\n", "f:2: [directory] timeout: '-1' is not a time of 1 s to 1 h" },
		{ "[directory]\ntimeout = 1 min\n", "f:2: [directory] timeout: '1 min' is not a time of 1 s to 1 h" },
		{ "[directory]\ntimeout = 99999999999h\n", "f:2: [directory] timeout: '99999999999h' is not a time of 1 s to 1 h" },
		{ "[directory]\ntimeout = 18446744073709551617\n", "f:2: [directory] timeout: '18446744073709551617' is not a time of 1 s to 1 h" },
		{ "[policy]\nwmi-filter = maybe\n", "f:2: [policy] wmi-filter: 'maybe' is not deny or allow" },
		{ "[policy]\non-unreadable-policy = drop\n", "f:2: [policy] on-unreadable-policy: 'drop' is not keep or block" },
		{ "[policy]\nrefresh-interval = 745h\n", "f:2: [policy] refresh-interval: '745h' is not a time of 1 s to 744 h" },
		{ "[policy]\nrefresh-offset = 25h\n", "f:2: [policy] refresh-offset: '25h' is not a time of 0 s to 24 h" },
		{ "[enforcement]\nipsecexempt = 4\n", "f:2: [enforcement] ipsecexempt: '4' is not a number of 0 to 3" },
		{ "[enforcement]\nipsecexempt = 03\n", "f:2: [enforcement] ipsecexempt: '03' is not a number of 0 to 3" },
		{ "[enforcement]\nlifeline = true\n", "f:2: [enforcement] lifeline: 'true' is not no or yes" },
		{ "[enforcement]\ngateways = 10.0.0.1 10.0.0.256\n", "f:2: [enforcement] gateways: '10.0.0.1 10.0.0.256' is not a list of IP addresses" },
		{ "[enforcement]\ngateways = ,\n", "f:2: [enforcement] gateways: ',' is not a list of IP addresses" },
		{ "[enforcement]\ngateways = 10.0.0.0/8\n", "f:2: [enforcement] gateways: '10.0.0.0/8' is not a list of IP addresses" },
		{ "[ike]\nvici = run/x\n", "f:2: [ike] vici: 'run/x' is not an absolute path" },
		{ "[ike]\nversion = 0\n", "f:2: [ike] version: '0' is not any or 1 or 2" },
		{ "[ike]\nkerberos = psk\n", "f:2: [ike] kerberos: 'psk' is not 'none', 'certificate', or 'psk' and the absolute path of a file" },
		{ "[ike]\nkerberos = psk/etc/key\n", "f:2: [ike] kerberos: 'psk/etc/key' is not 'none', 'certificate', or 'psk' and the absolute path of a file" },
		{ "[ike]\nkerberos = psk etc/key\n", "f:2: [ike] kerberos: 'psk etc/key' is not 'none', 'certificate', or 'psk' and the absolute path of a file" },
		{ "[ike]\nkerberos = Certificate\n", "f:2: [ike] kerberos: 'Certificate' is not 'none', 'certificate', or 'psk' and the absolute path of a file" },
		{ "[ike]\nweak-offers = 1\n", "f:2: [ike] weak-offers: '1' is not no or yes" },
		{ "[ike]\naccount-mapping = yes\n", "f:2: [ike] account-mapping: 'yes' is not refuse or ignore" },
		{ "[daemon]\nsocket = run/x\n", "f:2: [daemon] socket: 'run/x' is not an absolute path" },
		{ "[daemon]\nworker-user = a b\n", "f:2: [daemon] worker-user: 'a b' is not a user name" },
		/* shape */
		{ "[daemon]\nstate_dir = /x\n", "f:2: [daemon] state_dir: 'state_dir' is not a key of this section" },
		{ "[daemon]\nuri = ldap:///\n", "f:2: [daemon] uri: 'uri' is not a key of this section" },
		{ "\n[dameon]\n", "f:2: [dameon]: 'dameon' is not a section" },
		{ "[policy]\n[ other ]\nx = y\n", "f:2: [other]: 'other' is not a section" },
		{ "[policy]\nwmi-filter = deny\nwmi-filter = allow\n", "f:3: [policy] wmi-filter: 'wmi-filter' is not the only one: given twice" },
		{ "[policy]\nwmi-filter = deny\n[daemon]\n[policy]\nwmi-filter = deny\n", "f:5: [policy] wmi-filter: 'wmi-filter' is not the only one: given twice" },
		{ "uri = ldap:///\n", "f: a key stands before the first section" },
		{ "[policy]\nwmi-filter\n", "f:2: Equal sign is missing" },
		{ "[policy\nwmi-filter = deny\n", "f:1: No closing bracket" },
		{ "[policy]\nwmi-filter = \xff\xfe\n", "f: is not UTF-8 text" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		conf_bad(cases[i].text, cases[i].message);
}

static void test_conf_together(void **state)
{
	static const char simple[] = "bind = simple\nbind-dn = CN=x\nbind-password-file = /p\n";
	static const struct {
		const char *more;
		bool good;
	} cases[] = {
		{ "uri = ldap://localhost\n", false },
		{ "uri = ldap:///\n", false },
		{ "uri = ldap://dc1\ntls = start\n", true },
		{ "uri = ldaps://dc1\n", true },
		{ "uri = ldapi:///\n", true },
		{ "uri = ldapi://%2frun%2fslapd\n", true },
		{ "uri = ldif:/x.ldif\n", true },
		{ "uri = ldaps://dc1\ntls = start\n", false },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf *c = NULL;
		struct err err;
		int rc;

		snprintf(text, sizeof(text), "[directory]\n%s%s", simple, cases[i].more);
		rc = conf_parse(&c, "f", text, strlen(text), &err);
		assert_int_equal(rc, cases[i].good ? 0 : -1);
		conf_free(c);
	}
	conf_bad("[directory]\nbind = simple\nbind-dn = CN=x\nuri = ldaps://a\n", "f: [directory]: bind = simple needs bind-dn and bind-password-file");
	conf_bad("[directory]\ntls-cert = /c\n", "f: [directory]: tls-cert and tls-key need each other");
	conf_bad("[directory]\nbind = external\nuri = ldap://a\n",
	    "f: [directory]: bind = external to 'ldap://a' needs TLS and tls-cert, or an ldapi:// URI");
	conf_free(conf_good("[directory]\nbind = external\nuri = ldapi:///\n"));
	conf_free(conf_good("[directory]\nbind = external\nuri = ldaps://a\ntls-cert = /c\ntls-key = /k\n"));
	conf_bad("[daemon]\nrun-dir = /a12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678\n",
	    "f: [daemon] socket: '/a12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678/ipsecpol.socket' is too long for a socket");
}

static void test_conf_uri_check(void **state)
{
	struct conf *c = conf_good("[directory]\nbind = simple\nbind-dn = CN=x\nbind-password-file = /p\nuri = ldaps://a\n");
	struct err err;

	(void)state;
	assert_int_equal(conf_uri_check(c, "ldaps://b", &err), 0);
	assert_int_equal(conf_uri_check(c, "LDAP://b", &err), -1);
	assert_string_equal(err.msg, "bind = simple would send the password in clear to 'LDAP://b': use ldaps:// or tls = start");
	assert_int_equal(conf_uri_check(c, "mysql://b", &err), -1);
	conf_free(c);
}

static void test_conf_junk(void **state)
{
	char *text = malloc(70000);
	struct conf *c = NULL;
	struct err err;

	(void)state;
	memset(text, '#', 70000);
	assert_int_equal(conf_parse(&c, "f", text, 70000, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_int_equal(conf_parse(&c, "f", "[policy]\n\0\n", 11, &err), -1);
	assert_string_equal(err.msg, "f: holds a NUL byte");
	srandom(1);
	for (int i = 0; i < 2000; i++) {
		static const char chars[] = "[]=\n\n #;pd\\\"'/* \trefresh-interval\xc3\xa4\xff";
		size_t n = (size_t)random() % 60;

		for (size_t k = 0; k < n; k++)
			text[k] = chars[(size_t)random() % (sizeof(chars) - 1)];
		c = NULL;
		if (conf_parse(&c, "f", text, n, &err) == 0)
			conf_free(c);
		else
			assert_memory_equal(err.msg, "f:", 2);
	}
	free(text);
}

static void test_conf_file(void **state)
{
	const char *path = at("conf");
	char text[256], message[300];
	struct conf *c = NULL;
	struct err err;

	(void)state;
	assert_int_equal(conf_read(&c, path, &err), -1);
	assert_int_equal(err.code, ERR_ABSENT);
	file_write(path, "[policy]\nwmi-filter = allow\n", 0644);
	assert_int_equal(conf_read(&c, path, &err), 0);
	assert_string_equal(c->file, path);
	assert_true(c->wmi_allow);
	conf_free(c);
	c = NULL;
	for (int i = 0; i < 2; i++) {
		chmod(path, i ? 0664 : 0646);
		assert_int_equal(conf_read(&c, path, &err), -1);
		assert_int_equal(err.code, ERR_DENIED);
		snprintf(message, sizeof(message), "'%s' is writable for others than its owner (mode 0%o)", path, i ? 0664 : 0646);
		assert_string_equal(err.msg, message);
	}
	assert_int_equal(conf_read(&c, tmp, &err), -1);
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_int_equal(conf_read(&c, at("fifo"), &err), -1);
	snprintf(text, sizeof(text), "[directory]\nuri=ldaps://a\nbind=simple\nbind-dn=CN=x\nbind-password-file=%s\n", at("password"));
	file_write(path, text, 0600);
	file_write(at("password"), "secret", 0620);
	assert_int_equal(conf_read(&c, path, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	chmod(at("password"), 0600);
	assert_int_equal(conf_read(&c, path, &err), 0);
	conf_free(c);
}

/* The file that is installed names every key, each with its default. */
static void test_conf_example(void **state)
{
	const char *srcdir = getenv("srcdir");
	struct conf *c = NULL, *d = conf_good("");
	char path[512], *text = NULL, *all;
	struct err err = { 0 };
	size_t n = 0, len = 0;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/dist/ipsecpol.conf", srcdir ? srcdir : ".");
	f = fopen(path, "r");
	assert_non_null(f);
	all = calloc(1, 65536);
	while (getline(&text, &n, f) > 0) {
		/* "#key = value" is a default, "# text" a comment. */
		bool is_default = text[0] == '#' && text[1] >= 'a' && text[1] <= 'z' && strstr(text, " = ") && !strstr(text, " = \n");

		len += (size_t)snprintf(all + len, 65536 - len, "%s", is_default ? text + 1 : text);
	}
	fclose(f);
	if (conf_parse(&c, path, all, len, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(c->uri, d->uri);
	assert_int_equal(c->bind, d->bind);
	assert_string_equal(c->keytab, d->keytab);
	assert_int_equal(c->tls, d->tls);
	assert_int_equal(c->connect_timeout, d->connect_timeout);
	assert_int_equal(c->timeout, d->timeout);
	assert_int_equal(c->refresh_timeout, d->refresh_timeout);
	assert_int_equal(c->wmi_allow, d->wmi_allow);
	assert_int_equal(c->block_on_unreadable, d->block_on_unreadable);
	assert_int_equal(c->refresh_interval, d->refresh_interval);
	assert_int_equal(c->refresh_offset, d->refresh_offset);
	assert_int_equal(c->ipsecexempt, d->ipsecexempt);
	assert_int_equal(c->lifeline, d->lifeline);
	assert_int_equal(c->any_is_ipv4, d->any_is_ipv4);
	assert_string_equal(c->vici, d->vici);
	assert_int_equal(c->ike_version, d->ike_version);
	assert_int_equal(c->kerberos, d->kerberos);
	assert_int_equal(c->weak_offers, d->weak_offers);
	assert_int_equal(c->ignore_mapping, d->ignore_mapping);
	assert_string_equal(c->worker_user, d->worker_user);
	conf_free(c);
	conf_free(d);
	free(text);
	free(all);
}

/* ---- log ----------------------------------------------------------------------------- */

static void test_log_id(void **state)
{
	char id[LOG_ID_TEXT];

	(void)state;
	log_message_id("policy-applied", id);
	assert_string_equal(id, "7f9d42200119dafc987663d2359efc77");
	log_message_id("directory-lost", id);
	assert_string_equal(id, "224aa341fc8f424a414d5dd78fa49733");
}

static void logged(char *out, size_t size, const char *stream)
{
	const char *fields[] = { "GPO", "{x}", "bad name", "y", NULL };
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	fflush(stderr);
	dup2(fds[1], STDERR_FILENO);
	if (stream)
		setenv("JOURNAL_STREAM", stream, 1);
	else
		unsetenv("JOURNAL_STREAM");
	log_open("ipsecpold");
	log_event(5, "policy-applied", fields, "policy '%s' applied", "a\nb\x1b[31m");
	log_warn("second %d", 2);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	n = read(fds[0], out, size - 1);
	out[n > 0 ? n : 0] = '\0';
	close(fds[0]);
	unsetenv("JOURNAL_STREAM");
}

static void test_log_stderr(void **state)
{
	static const char want[] = "ipsecpold: policy 'a?b?[31m' applied\nipsecpold: second 2\n";
	char out[512];

	(void)state;
	logged(out, sizeof(out), NULL);
	assert_string_equal(out, want);
	/* The journal's stream is another one, or nonsense. */
	logged(out, sizeof(out), "1:2");
	assert_string_equal(out, want);
	logged(out, sizeof(out), "x");
	assert_string_equal(out, want);
}

/* ---- hostfacts ------------------------------------------------------------------------- */

static void facts_are(const struct host_facts *f, const char *want)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	facts_write(f, out);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
}

static void test_resolv(void **state)
{
	static const char text[] =
	    "# nameserver 1.1.1.1\n"
	    "domain corp.example\n"
	    "nameserver 10.0.0.2\n"
	    "nameserver\t10.0.0.1  # first\r\n"
	    "nameserver fe80::1%eth0\n"
	    "nameserver 127.0.0.1\n"
	    "nameserver ::1\n"
	    "nameserver 0.0.0.0\n"
	    "nameserver ten\n"
	    "nameservers 10.0.0.9\n"
	    "nameserver\n"
	    "nameserver 10.0.0.2";
	struct host_facts *f = facts_new();
	struct err err;
	bool stub = true;

	(void)state;
	assert_int_equal(hostfacts_resolv(f, text, sizeof(text) - 1, &stub, &err), 0);
	assert_false(stub);
	facts_are(f, "dns 10.0.0.1\ndns 10.0.0.2\ndns fe80::1\n");
	facts_free(f);
	f = facts_new();
	assert_int_equal(hostfacts_resolv(f, "nameserver 127.0.0.53\noptions edns0\n", 36, &stub, &err), 0);
	assert_true(stub);
	facts_are(f, "");
	assert_int_equal(hostfacts_resolv(f, "", 0, &stub, &err), 0);
	assert_false(stub);
	facts_free(f);
}

static void test_lease(void **state)
{
	static const char networkd[] =
	    "# This is private data. Do not parse.\n"
	    "ADDRESS=10.0.0.77\nNETMASK=255.255.255.0\nROUTER=10.0.0.1\nSERVER_ADDRESS=10.0.0.5\nDNS=10.0.0.2\n";
	static const char manager[] =
	    "[device]\nmanaged=1\n[dhcp4]\ndhcp_server_identifier=10.1.0.5\nnetbios_name_servers=10.1.0.6 10.1.0.7\n"
	    "next_server=0.0.0.0\n";
	struct host_facts *f = facts_new();
	struct err err;

	(void)state;
	assert_int_equal(hostfacts_lease(f, networkd, sizeof(networkd) - 1, &err), 0);
	facts_are(f, "dhcp 10.0.0.5\n");
	assert_int_equal(hostfacts_lease(f, manager, sizeof(manager) - 1, &err), 0);
	facts_are(f, "dhcp 10.0.0.5\ndhcp 10.1.0.5\nwins 10.1.0.6\nwins 10.1.0.7\n");
	assert_int_equal(hostfacts_lease(f, "SERVER_ADDRESS=", 15, &err), 0);
	assert_int_equal(hostfacts_lease(f, "SERVER_ADDRESS=255.255.255.255\n", 31, &err), 0);
	facts_are(f, "dhcp 10.0.0.5\ndhcp 10.1.0.5\nwins 10.1.0.6\nwins 10.1.0.7\n");
	facts_free(f);
}

static void test_dhclient(void **state)
{
	static const char text[] =
	    "lease {\n  interface \"eth0\";\n  fixed-address 10.0.0.77;\n"
	    "  option dhcp-server-identifier 10.0.0.4;\n  expire never;\n}\n"
	    "lease {\n  interface \"eth0\";\n"
	    "  option dhcp-server-identifier 10.0.0.5;\n  option netbios-name-servers 10.0.0.6,10.0.0.7;\n"
	    "  expire 0 2026/11/22 10:00:00;\n}\n"
	    "lease {\n  interface \"eth1\";\n  option dhcp-server-identifier 10.1.0.5;\n  expire epoch 1795341600; # Sun\n}\n"
	    "lease {\n  interface \"eth2\";\n  option dhcp-server-identifier 10.2.0.5;\n  expire soon;\n}\n"
	    "lease {\n  interface \"eth3\";\n  option dhcp-server-identifier 10.3.0.5;\n";	/* cut off */
	static const struct {
		int64_t now;
		const char *want;
	} cases[] = {
		{ 1795341600, "dhcp 10.0.0.5\ndhcp 10.1.0.5\nwins 10.0.0.6\nwins 10.0.0.7\n" },	/* 2026-11-22 10:00:00 */
		{ 1795341601, "" },
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct host_facts *f = facts_new();

		assert_int_equal(hostfacts_dhclient(f, text, sizeof(text) - 1, cases[i].now, &err), 0);
		facts_are(f, cases[i].want);
		facts_free(f);
	}
}

static void test_facts_junk(void **state)
{
	static const char chars[] = "nameserver SERVER_ADDRESS=lease{}\n\n\"10.0.;:%";
	struct host_facts *f = facts_new();
	char text[200];
	struct err err;
	bool stub;

	(void)state;
	srandom(2);
	for (int i = 0; i < 5000; i++) {
		size_t n = (size_t)random() % sizeof(text);

		for (size_t k = 0; k < n; k++)
			text[k] = random() % 20 ? chars[(size_t)random() % (sizeof(chars) - 1)] : (char)random();
		assert_int_equal(hostfacts_resolv(f, text, n, &stub, &err), 0);
		assert_int_equal(hostfacts_lease(f, text, n, &err), 0);
		assert_int_equal(hostfacts_dhclient(f, text, n, 0, &err), 0);
	}
	facts_free(f);
}

/* In a network namespace of its own: what the kernel says, and that it tells.  fd00::8 is tentative. */
static int routes_child(void)
{
	struct conf *c = conf_good("[enforcement]\ndns-servers = 10.9.9.9\ndhcp-servers = 10.9.9.8\nwins-servers = 10.9.9.7\n");
	struct host_facts *f = NULL;
	struct err err;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int fd, rc = 1;

	fd = hostfacts_watch_open(&err);
	if (fd < 0 || hostfacts_watch_read(fd) != 0)
		return 2;
	if (system("exec 2>/dev/null; ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 up && ip addr add 10.9.0.2/24 dev d0 && "
	    "ip addr add 10.9.1.2 peer 10.9.1.3 dev d1 && ip addr add fd00::7/64 dev d0 nodad && ip addr add fe80::1:7/64 dev d0 nodad && "
	    "ip addr add 10.9.2.2/24 dev lo && ip addr add 169.254.7.7/16 dev d1 scope link && ip addr add fd00::8/64 dev d1 && "
	    "ip route add default via 10.9.0.1 && ip route add 10.8.0.0/16 via 10.9.0.3 && "
	    "ip route add default via 10.9.0.4 table 77 && "
	    "ip route add default metric 5 nexthop via 10.9.0.5 nexthop via 10.9.0.6 && "
	    "ip -6 route add default via fe80::9 dev d0 && ip route add default via inet6 fe80::7 dev d0 metric 9"))
		return 77;
	if (hostfacts_watch_read(fd) != 1 || hostfacts_watch_read(fd) != 0)
		return 3;
	if (hostfacts_find(&f, c, &err) < 0)
		return 4;
	out = open_memstream(&text, &len);
	facts_write(f, out);
	fclose(out);
	rc = strcmp(text, "address 10.9.0.2\naddress 10.9.1.2\naddress 10.9.2.2\naddress fd00::7\n"
	    "dhcp 10.9.9.8\ndns 10.9.9.9\ngateway 10.9.0.1\ngateway 10.9.0.5\ngateway 10.9.0.6\n"
	    "gateway fe80::7\ngateway fe80::9\nwins 10.9.9.7\n") ? 5 : 0;
	if (rc)
		fputs(text, stderr);
	free(text);
	facts_free(f);
	conf_free(c);
	close(fd);
	return rc;
}

static void test_routes(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(unshare(CLONE_NEWNET) < 0 ? 77 : routes_child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- memfd ------------------------------------------------------------------------------- */

static void test_memfd(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, 3 << 20 };
	char path[64], *text = calloc(1, 4 << 20), *back = malloc(4 << 20);
	struct err err;
	int fd, again;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(text, 'a' + (int)i, sizes[i]);
		fd = memfd_of("test", text, sizes[i], &err);
		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		/* By its name too, from the beginning. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		again = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(again >= 0);
		assert_int_equal(read(again, back, 4 << 20), sizes[i]);
		assert_memory_equal(back, text, sizes[i]);
		assert_int_equal(read(fd, back, 4 << 20), sizes[i]);
		/* And nobody changes it. */
		assert_int_equal(pwrite(fd, "x", 1, 0), -1);
		assert_int_equal(ftruncate(fd, (off_t)sizes[i] + 1), -1);
		close(again);
		close(fd);
	}
	free(text);
	free(back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conf_defaults),
		cmocka_unit_test(test_conf_all),
		cmocka_unit_test(test_conf_values),
		cmocka_unit_test(test_conf_together),
		cmocka_unit_test(test_conf_uri_check),
		cmocka_unit_test(test_conf_junk),
		cmocka_unit_test(test_conf_file),
		cmocka_unit_test(test_conf_example),
		cmocka_unit_test(test_log_id),
		cmocka_unit_test(test_log_stderr),
		cmocka_unit_test(test_resolv),
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_dhclient),
		cmocka_unit_test(test_facts_junk),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_memfd),
	};

	return cmocka_run_group_tests(tests, folder_up, folder_down);
}
