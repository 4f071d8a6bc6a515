#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/ctl.h"
#include "agent/hostfacts.h"
#include "agent/log.h"
#include "schema/err.h"
#include "schema/facts.h"

static char tmp[64];	/* a folder of this run */

static int folder_up(void **state)
{
	(void)state;
	strcpy(tmp, "/tmp/test_agent.XXXXXX");
	return mkdtemp(tmp) ? 0 : -1;
}

static int folder_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", tmp);
	return system(command);
}

static const char *at(const char *name)
{
	static char path[16][128];
	static int i;

	i = (i + 1) % 16;
	snprintf(path[i], sizeof(path[i]), "%s/%s", tmp, name);
	return path[i];
}

static void file_write(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

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

/* In a network namespace of its own: what the kernel says, and that it tells. */
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
	rc = strcmp(text, "dhcp 10.9.9.8\ndns 10.9.9.9\ngateway 10.9.0.1\ngateway 10.9.0.5\ngateway 10.9.0.6\n"
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

/* ---- ctl ---------------------------------------------------------------------------------- */

struct server {
	sd_event	*ev;
	struct ctl	*ctl;
	struct ctl_call	*kept[200];
	size_t		 n_kept, n_calls;
	uid_t		 peer;
	char		 path[128];
	bool		 stopped;
};

static void handler(struct ctl_call *call, const char *method, json_t *parameters, uid_t peer, void *cookie)
{
	struct server *s = cookie;

	s->n_calls++;
	s->peer = peer;
	if (!strcmp(method, "org.ipsecpol.Echo")) {
		ctl_reply(call, json_incref(parameters));
	} else if (!strcmp(method, "org.ipsecpol.Large")) {
		char *text = malloc(4 << 20);

		memset(text, 'x', 4 << 20);
		ctl_reply(call, json_pack("{s:s#}", "text", text, 4 << 20));
		free(text);
	} else if (!strcmp(method, "org.ipsecpol.Later")) {
		assert_true(s->n_kept < 200);
		s->kept[s->n_kept++] = call;
	} else if (!strcmp(method, "org.ipsecpol.Stop")) {
		ctl_reply(call, json_object());
		ctl_close(s->ctl);
		s->ctl = NULL;
		s->stopped = true;
	} else if (!strcmp(method, "org.ipsecpol.Drop")) {
		ctl_close(s->ctl);
		s->ctl = NULL;
		ctl_reply(call, json_object());
	} else if (!strcmp(method, "org.ipsecpol.Secret")) {
		ctl_error(call, "PermissionDenied", "%s is for root", method);
	} else {
		ctl_error(call, "Failed", "no \xff method '%s'", method);
	}
}

static void server_up(struct server *s)
{
	struct err err = { 0 };

	memset(s, 0, sizeof(*s));
	snprintf(s->path, sizeof(s->path), "%s/run/ctl", tmp);
	assert_true(sd_event_new(&s->ev) >= 0);
	s->ctl = ctl_listen(s->ev, s->path, handler, s, &err);
	if (!s->ctl)
		fail_msg("%s", err.msg);
}

static void server_down(struct server *s)
{
	ctl_close(s->ctl);
	sd_event_unref(s->ev);
	assert_int_equal(access(s->path, F_OK), -1);
}

/* Until nothing happens any more; a loop that spins is a failure. */
static void turn(struct server *s)
{
	for (int i = 0; i < 20000; i++)
		if (sd_event_run(s->ev, 1000) == 0)
			return;
	fail_msg("the loop spins");
}

static int peer_open(struct server *s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, s->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* What the peer has got so far, NULs as '|'; "EOF" at the end when hung up. */
static const char *heard(int fd)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 8 && (n = recv(fd, text + len, sizeof(text) - 8 - len, 0)) > 0)
		len += (size_t)n;
	for (size_t i = 0; i < len; i++)
		if (!text[i])
			text[i] = '|';
	strcpy(text + len, n == 0 || (n < 0 && errno == ECONNRESET) ? "EOF" : "");
	return text;
}

#define SAY(fd, text)	say(fd, text, sizeof(text))	/* with its NUL */
#define ECHO(n)		"{\"method\":\"org.ipsecpol.Echo\",\"parameters\":{\"n\":" #n "}}"

static void test_ctl_call(void **state)
{
	struct server s;
	struct stat st;
	int fd;

	(void)state;
	umask(077);
	server_up(&s);
	umask(022);
	assert_int_equal(stat(s.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0666);
	assert_int_equal(stat(at("run"), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	fd = peer_open(&s);
	SAY(fd, ECHO(1));
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":1}}|");
	assert_int_equal(s.peer, geteuid());
	/* Byte by byte. */
	for (size_t i = 0; i < sizeof(ECHO(2)); i++) {
		say(fd, &ECHO(2)[i], 1);
		turn(&s);
	}
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":2}}|");
	/* Several at once are answered in order; parameters may be missing. */
	SAY(fd, ECHO(3) "\0" ECHO(4) "\0{\"method\":\"org.ipsecpol.Echo\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":3}}|{\"parameters\":{\"n\":4}}|{\"parameters\":{}}|");
	SAY(fd, "{\"method\":\"org.ipsecpol.Nope\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.ipsecpol.Failed\",\"parameters\":{\"message\":\"no ? method 'org.ipsecpol.Nope'\"}}|");
	/* One way: nothing comes back, the next call is served. */
	SAY(fd, "{\"method\":\"org.ipsecpol.Echo\",\"oneway\":true}\0" ECHO(5));
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":5}}|");
	/* Half closed after the call, as `nc -N` does. */
	SAY(fd, ECHO(6));
	shutdown(fd, SHUT_WR);
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":6}}|EOF");
	close(fd);
	server_down(&s);
}

static void test_ctl_service(void **state)
{
	struct server s;
	int fd;

	(void)state;
	server_up(&s);
	fd = peer_open(&s);
	SAY(fd, "{\"method\":\"org.varlink.service.GetInfo\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"vendor\":\"ipsecpol\",\"product\":\"ipsecpol\",\"version\":\"" PACKAGE_VERSION
	    "\",\"url\":\"\",\"interfaces\":[\"org.varlink.service\",\"org.ipsecpol\"]}}|");
	SAY(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"org.ipsecpol\"}}");
	turn(&s);
	assert_non_null(strstr(heard(fd), "method Show(what: string)"));
	SAY(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"x.y\"}}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x.y\"}}|");
	SAY(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"interface\"}}|");
	SAY(fd, "{\"method\":\"org.varlink.service.Nope\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"org.varlink.service.Nope\"}}|");
	SAY(fd, "{\"method\":\"Status\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"Status\"}}|");
	assert_int_equal(s.n_calls, 0);
	close(fd);
	server_down(&s);
}

static void test_ctl_garbage(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
#define CASE(t) { t, sizeof(t) }
		CASE(""), CASE("x"), CASE("{"), CASE("[]"), CASE("1"), CASE("null"), CASE("\"a\""), CASE("{}"), CASE("{\"method\":1}"),
		CASE("{\"method\":\"org.ipsecpol.Echo\",\"parameters\":[]}"), CASE("{\"method\":\"org.ipsecpol.Echo\",\"parameters\":null}"),
		CASE("{\"method\":\"org.ipsecpol.Echo\",\"method\":\"org.ipsecpol.Echo\"}"),
		CASE("{\"method\":\"org.ipsecpol.Ech\xff\"}"), CASE("{\"method\":\"org.ipsecpol.Echo\\u0000\"}"), CASE(ECHO(1) "}"),
	};
	char *deep = malloc(60000);
	struct server s;
	int fd;

	(void)state;
	server_up(&s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *answer;

		fd = peer_open(&s);
		say(fd, cases[i].text, cases[i].len);
		turn(&s);
		answer = heard(fd);
		assert_memory_equal(answer, "{\"error\":\"org.ipsecpol.Failed\",\"parameters\":{\"message\":\"not a call: ", 68);
		assert_string_equal(answer + strlen(answer) - 3, "EOF");
		close(fd);
	}
	memset(deep, '[', 60000);
	deep[59999] = '\0';
	fd = peer_open(&s);
	say(fd, deep, 60000);
	turn(&s);
	assert_memory_equal(heard(fd), "{\"error\":", 9);
	close(fd);
	assert_int_equal(s.n_calls, 0);
	free(deep);
	server_down(&s);
}

static void test_ctl_oversized(void **state)
{
	char *text = malloc(CTL_MAX_REQUEST + 100);
	static const char head[] = "{\"method\":\"org.ipsecpol.Later\",\"parameters\":{\"x\":\"";
	struct server s;
	ssize_t n;
	int fd;

	(void)state;
	server_up(&s);
	/* Of exactly the largest size. */
	memset(text, 'a', CTL_MAX_REQUEST);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + CTL_MAX_REQUEST - 3, "\"}}", 4);
	fd = peer_open(&s);
	for (size_t at_byte = 0; at_byte < CTL_MAX_REQUEST + 1; at_byte += (size_t)n) {
		n = send(fd, text + at_byte, CTL_MAX_REQUEST + 1 - at_byte, MSG_NOSIGNAL);
		assert_true(n > 0);
		turn(&s);
	}
	assert_int_equal(s.n_calls, 1);
	ctl_reply(s.kept[0], json_object());
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{}}|");
	close(fd);
	/* And one byte more. */
	memcpy(text + CTL_MAX_REQUEST - 3, "a\"}}", 5);
	fd = peer_open(&s);
	for (size_t at_byte = 0; at_byte < CTL_MAX_REQUEST + 2; at_byte += (size_t)n) {
		n = send(fd, text + at_byte, CTL_MAX_REQUEST + 2 - at_byte, MSG_NOSIGNAL);
		if (n < 0)
			break;
		turn(&s);
	}
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.ipsecpol.Failed\",\"parameters\":{\"message\":\"not a call: it is too long\"}}|EOF");
	assert_int_equal(s.n_calls, 1);
	close(fd);
	free(text);
	server_down(&s);
}

/* While a call waits the peer's other calls stay where they are. */
static void test_ctl_deferred(void **state)
{
	struct server s;
	int a, b;

	(void)state;
	server_up(&s);
	a = peer_open(&s);
	SAY(a, "{\"method\":\"org.ipsecpol.Later\"}\0" ECHO(1) "\0" ECHO(2));
	turn(&s);
	assert_int_equal(s.n_calls, 1);
	assert_string_equal(heard(a), "");
	/* Others are served meanwhile. */
	b = peer_open(&s);
	SAY(b, ECHO(9));
	turn(&s);
	assert_string_equal(heard(b), "{\"parameters\":{\"n\":9}}|");
	ctl_reply(s.kept[0], json_pack("{s:i}", "later", 1));
	turn(&s);
	assert_string_equal(heard(a), "{\"parameters\":{\"later\":1}}|{\"parameters\":{\"n\":1}}|{\"parameters\":{\"n\":2}}|");
	/* Hung up before the answer. */
	SAY(b, "{\"method\":\"org.ipsecpol.Later\"}");
	turn(&s);
	assert_int_equal(s.n_kept, 2);
	close(b);
	turn(&s);
	ctl_reply(s.kept[1], json_object());
	turn(&s);
	/* The control socket is gone before the answer. */
	SAY(a, "{\"method\":\"org.ipsecpol.Later\"}");
	turn(&s);
	ctl_close(s.ctl);
	s.ctl = NULL;
	ctl_error(s.kept[2], "Failed", "too late");
	assert_string_equal(heard(a), "EOF");
	close(a);
	server_down(&s);
}

static void test_ctl_close_in_handler(void **state)
{
	static const char *const calls[] = { "{\"method\":\"org.ipsecpol.Stop\"}", "{\"method\":\"org.ipsecpol.Drop\"}" };
	struct server s;
	int fd;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		server_up(&s);
		fd = peer_open(&s);
		say(fd, calls[i], strlen(calls[i]) + 1);
		turn(&s);
		assert_null(s.ctl);
		assert_string_equal(heard(fd), i ? "EOF" : "{\"parameters\":{}}|EOF");
		close(fd);
		server_down(&s);
	}
}

/* A peer that takes nothing holds one answer, its further calls are not read. */
static void test_ctl_not_reading(void **state)
{
	static const char call[] = "{\"method\":\"org.ipsecpol.Large\"}";
	struct server s;
	size_t got = 0;
	ssize_t n = 1;
	char *buf = malloc(1 << 20);
	int fd;

	(void)state;
	server_up(&s);
	fd = peer_open(&s);
	while (n > 0)
		for (int i = 0; i < 100 && n > 0; i++)
			n = send(fd, call, sizeof(call), MSG_NOSIGNAL);
	turn(&s);
	assert_int_equal(s.n_calls, 1);
	while (s.n_calls == 1) {
		n = recv(fd, buf, 1 << 20, 0);
		got += n > 0 ? (size_t)n : 0;
		turn(&s);
	}
	assert_true(got >= 3 << 20);
	close(fd);
	turn(&s);
	free(buf);
	server_down(&s);
}

static void test_ctl_too_many(void **state)
{
	int fds[CTL_MAX_PEERS + 5];
	struct server s;

	(void)state;
	server_up(&s);
	for (int i = 0; i < CTL_MAX_PEERS + 5; i++) {
		fds[i] = peer_open(&s);
		turn(&s);
	}
	for (int i = CTL_MAX_PEERS; i < CTL_MAX_PEERS + 5; i++)
		assert_string_equal(heard(fds[i]), "{\"error\":\"org.ipsecpol.Busy\",\"parameters\":{\"message\":\"too many clients\"}}|EOF");
	SAY(fds[CTL_MAX_PEERS - 1], ECHO(1));
	turn(&s);
	assert_string_equal(heard(fds[CTL_MAX_PEERS - 1]), "{\"parameters\":{\"n\":1}}|");
	/* A place that becomes free is taken again. */
	close(fds[0]);
	turn(&s);
	fds[0] = peer_open(&s);
	SAY(fds[0], ECHO(2));
	turn(&s);
	assert_string_equal(heard(fds[0]), "{\"parameters\":{\"n\":2}}|");
	for (int i = 0; i < CTL_MAX_PEERS + 5; i++)
		close(fds[i]);
	server_down(&s);
}

/* One user cannot take all places. */
static void test_ctl_too_many_of_one(void **state)
{
	int ready[2], go[2], status, fd;
	struct server s;
	pid_t pid;
	char c;

	(void)state;
	if (geteuid() != 0)
		skip();
	server_up(&s);
	chmod(tmp, 0755);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		int fds[CTL_MAX_PEERS_USER + 1];

		if (setuid(65534) < 0)
			_exit(2);
		for (int i = 0; i <= CTL_MAX_PEERS_USER; i++)
			fds[i] = peer_open(&s);
		if (write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(3);
		_exit(!strncmp(heard(fds[CTL_MAX_PEERS_USER]), "{\"error\":\"org.ipsecpol.Busy\"", 28) &&
		    !strcmp(heard(fds[0]), "") ? 0 : 1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	turn(&s);
	fd = peer_open(&s);
	SAY(fd, ECHO(1));
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":1}}|");
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
	chmod(tmp, 0700);
	server_down(&s);
}

/* Without free descriptors the loop rests instead of spinning, and comes back. */
static void test_ctl_no_descriptors(void **state)
{
	struct rlimit old, less;
	struct server s;
	int fd, top;

	(void)state;
	server_up(&s);
	fd = peer_open(&s);
	top = dup(fd);
	close(top);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	less = old;
	less.rlim_cur = (rlim_t)top;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
	turn(&s);
	setrlimit(RLIMIT_NOFILE, &old);
	SAY(fd, ECHO(1));
	for (int i = 0; i < 50 && s.n_calls == 0; i++)
		sd_event_run(s.ev, 100000);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":1}}|");
	close(fd);
	server_down(&s);
}

static void test_ctl_random_peers(void **state)
{
	static const char *const pieces[] = {
		ECHO(1), "{\"method\":\"org.ipsecpol.Later\"}", "{", "\0", "}", "{\"method\":\"org.ipsecpol.Large\"}", "x",
	};
	int fds[10];
	struct server s;
	char buf[65536];

	(void)state;
	server_up(&s);
	srandom(3);
	for (int i = 0; i < 10; i++)
		fds[i] = peer_open(&s);
	for (int step = 0; step < 3000; step++) {
		int i = (int)(random() % 10);
		const char *piece = pieces[random() % 7];

		switch (random() % 6) {
		case 0:
			close(fds[i]);
			fds[i] = peer_open(&s);
			break;
		case 1:
			if (recv(fds[i], buf, sizeof(buf), 0) < 0 && errno != EAGAIN)
				assert_int_equal(errno, ECONNRESET);
			break;
		case 2:
			if (s.n_kept)
				ctl_reply(s.kept[--s.n_kept], json_object());
			break;
		default:
			send(fds[i], piece, strlen(piece) + (random() % 2), MSG_NOSIGNAL);
		}
		if (random() % 4 == 0)
			turn(&s);
		if (s.n_kept > 150)
			while (s.n_kept)
				ctl_reply(s.kept[--s.n_kept], json_object());
	}
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	turn(&s);
	while (s.n_kept)
		ctl_reply(s.kept[--s.n_kept], json_object());
	server_down(&s);
}

static void test_ctl_listen(void **state)
{
	struct server s;
	struct ctl *c;
	struct err err;
	int fd;

	(void)state;
	server_up(&s);
	assert_null(ctl_listen(s.ev, s.path, handler, &s, &err));
	assert_int_equal(err.code, ERR_BUSY);
	server_down(&s);
	/* A file that is no socket stays; a socket that a crash left is replaced. */
	file_write(at("file"), "x", 0600);
	sd_event_new(&s.ev);
	assert_null(ctl_listen(s.ev, at("file"), handler, &s, &err));
	assert_int_equal(access(at("file"), F_OK), 0);
	assert_null(ctl_listen(s.ev, at("no/such/ctl"), handler, &s, &err));
	assert_int_equal(err.code, ERR_SYSTEM);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un sa = { .sun_family = AF_UNIX };

		snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/stale", tmp);
		assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	}
	close(fd);
	c = ctl_listen(s.ev, at("stale"), handler, &s, &err);
	assert_non_null(c);
	ctl_close(c);
	assert_int_equal(access(at("stale"), F_OK), -1);
	sd_event_unref(s.ev);
	ctl_close(NULL);
}

/* The daemon's side in a child, for the blocking client. */
static pid_t serve(const char *path, int *ret_stop)
{
	int ready[2], stop[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stop), 0);
	pid = fork();
	if (pid == 0) {
		struct server s = { 0 };
		struct err err;

		close(stop[1]);
		if (sd_event_new(&s.ev) < 0 || !(s.ctl = ctl_listen(s.ev, path, handler, &s, &err)))
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		fcntl(stop[0], F_SETFL, O_NONBLOCK);
		while (read(stop[0], &c, 1) < 0)
			sd_event_run(s.ev, 20000);
		ctl_close(s.ctl);
		sd_event_unref(s.ev);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(stop[0]);
	*ret_stop = stop[1];
	return pid;
}

static void test_ctl_ask(void **state)
{
	const char *path = at("run/ctl");
	struct err err = { 0 };
	json_t *r = NULL;
	int stop, status;
	time_t begin;
	pid_t pid;

	(void)state;
	assert_int_equal(ctl_ask(&r, path, "Echo", NULL, 5, &err), -1);
	assert_int_equal(err.code, ERR_OFFLINE);
	pid = serve(path, &stop);
	assert_int_equal(ctl_ask(&r, path, "Echo", json_pack("{s:i}", "n", 7), 5, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(r, "n")), 7);
	json_decref(r);
	assert_int_equal(ctl_ask(&r, path, "org.ipsecpol.Echo", NULL, 0, &err), 0);
	assert_int_equal(json_object_size(r), 0);
	json_decref(r);
	assert_int_equal(ctl_ask(&r, path, "Large", NULL, 10, &err), 0);
	assert_int_equal(json_string_length(json_object_get(r, "text")), 4 << 20);
	json_decref(r);
	r = NULL;
	assert_int_equal(ctl_ask(&r, path, "Secret", NULL, 5, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	assert_string_equal(err.msg, "org.ipsecpol.Secret is for root");
	assert_int_equal(ctl_ask(&r, path, "Nope", NULL, 5, &err), -1);
	assert_int_equal(err.code, ERR_SYSTEM);
	assert_int_equal(ctl_ask(&r, path, "x.y.Z", NULL, 5, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	begin = time(NULL);
	assert_int_equal(ctl_ask(&r, path, "Later", NULL, 1, &err), -1);
	assert_int_equal(err.code, ERR_OFFLINE);
	assert_true(time(NULL) - begin <= 3);
	assert_null(r);
	close(stop);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A daemon that talks nonsense, or hangs up. */
static void test_ctl_ask_nonsense(void **state)
{
	static const struct {
		const char *answer;
		size_t len;
		enum err_code code;
	} cases[] = {
		{ "", 0, ERR_OFFLINE }, { "{", 1, ERR_OFFLINE }, { "", 1, ERR_FORMAT }, { "x", 2, ERR_FORMAT }, { "[]", 3, ERR_FORMAT },
		{ "{\"parameters\":1}", 17, ERR_FORMAT }, { "{\"error\":\"a.B\"}", 16, ERR_SYSTEM },
	};
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), peer;
	struct err err;
	json_t *r = NULL;
	char buf[4096];
	int status;
	pid_t pid;

	(void)state;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/odd", tmp);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 5), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid = fork();
		if (pid == 0) {
			peer = accept(fd, NULL, NULL);
			if (recv(peer, buf, sizeof(buf), 0) <= 0 || send(peer, cases[i].answer, cases[i].len, 0) < 0)
				_exit(1);
			_exit(0);
		}
		assert_int_equal(ctl_ask(&r, sa.sun_path, "Status", NULL, 5, &err), -1);
		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	close(fd);
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
		cmocka_unit_test(test_ctl_call),
		cmocka_unit_test(test_ctl_service),
		cmocka_unit_test(test_ctl_garbage),
		cmocka_unit_test(test_ctl_oversized),
		cmocka_unit_test(test_ctl_deferred),
		cmocka_unit_test(test_ctl_close_in_handler),
		cmocka_unit_test(test_ctl_not_reading),
		cmocka_unit_test(test_ctl_too_many),
		cmocka_unit_test(test_ctl_too_many_of_one),
		cmocka_unit_test(test_ctl_no_descriptors),
		cmocka_unit_test(test_ctl_random_peers),
		cmocka_unit_test(test_ctl_listen),
		cmocka_unit_test(test_ctl_ask),
		cmocka_unit_test(test_ctl_ask_nonsense),
	};

	return cmocka_run_group_tests(tests, folder_up, folder_down);
}
