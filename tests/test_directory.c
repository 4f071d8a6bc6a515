/* The directory that is an LDIF file, its search filters, and a whole collect() on one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/collect.h"
#include "agent/conf.h"
#include "agent/dir_backend.h"
#include "agent/directory.h"
#include "gpo/assemble.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/ldif.h"
#include "schema/policy.h"

/* ---- filters ---- */

static const char filter_entry[] =
    "dn: CN=HOST1,OU=Web,DC=corp,DC=example\n"
    "objectClass: top\n"
    "objectClass: computer\n"
    "cn: HOST1\n"
    "sAMAccountName: HOST1$\n"
    "description: star * and (brackets)\n"
    "flags: 3\n"
    "groupType: -2147483646\n"
    "objectSid:: AQIDKg==\n"
    "memberOf: CN=Web, OU=Groups,DC=corp,DC=example\n"
    "memberOf: CN=Other\\, Group,OU=Groups,DC=corp,DC=example\n"
    "objectCategory: CN=Computer,CN=Schema,CN=Configuration,DC=corp,DC=example\n"
    "displayName: The quick brown fox\n"
    "\n"
    "dn: CN=ipsecNFA{1},CN=IP Security,CN=System,DC=corp,DC=example\n"
    "objectClass: ipsecNFA\n"
    "\n"
    "dn:\n"
    "objectClass: top\n"
    "netlogon:: FwAAAA==\n";

static const struct { const char *filter; size_t entry; int match; } filters[] = {
	{ "(cn=HOST1)", 0, 1 },
	{ "(cn=host1)", 0, 1 },
	{ "(CN=host1)", 0, 1 },
	{ "(cn=HOST)", 0, 0 },
	{ "(cn=HOST12)", 0, 0 },
	{ "(cn=\\48ost1)", 0, 1 },
	{ "(nothing=HOST1)", 0, 0 },
	{ "(cn=*)", 0, 1 },
	{ "(nothing=*)", 0, 0 },
	{ "(!(nothing=*))", 0, 1 },
	{ "(!(cn=host1))", 0, 0 },
	{ "(&(cn=host1)(sAMAccountName=HOST1$))", 0, 1 },
	{ "(&(cn=host1)(sAMAccountName=HOST2$))", 0, 0 },
	{ "(|(cn=host2)(sAMAccountName=host1$))", 0, 1 },
	{ "(|(cn=host2)(sAMAccountName=HOST2$))", 0, 0 },
	{ "(&)", 0, 1 },
	{ "(|)", 0, 0 },
	{ "(description=star \\2a and \\28brackets\\29)", 0, 1 },
	{ "(description=star*brackets*)", 0, 1 },
	{ "(description=*\\2A*)", 0, 1 },
	{ "(displayName=the*)", 0, 1 },
	{ "(displayName=*FOX)", 0, 1 },
	{ "(displayName=*quick*fox)", 0, 1 },
	{ "(displayName=*brown*quick*)", 0, 0 },
	{ "(displayName=The*fox*fox)", 0, 0 },
	{ "(displayName=The quick brown fox*)", 0, 1 },
	{ "(displayName=The quick brown fox and more*)", 0, 0 },
	{ "(flags:1.2.840.113556.1.4.803:=2)", 0, 1 },
	{ "(flags:1.2.840.113556.1.4.803:=4)", 0, 0 },
	{ "(flags:1.2.840.113556.1.4.803:=3)", 0, 1 },
	{ "(flags:1.2.840.113556.1.4.803:=0)", 0, 1 },
	{ "(!(flags:1.2.840.113556.1.4.803:=2))", 0, 0 },
	{ "(!(gone:1.2.840.113556.1.4.803:=2))", 0, 1 },
	{ "(cn:1.2.840.113556.1.4.803:=2)", 0, 0 },
	{ "(groupType:1.2.840.113556.1.4.803:=2147483648)", 0, 1 },
	{ "(groupType:1.2.840.113556.1.4.803:=2)", 0, 1 },
	{ "(groupType:1.2.840.113556.1.4.803:=4)", 0, 0 },
	{ "(objectSid=\\01\\02\\03\\2a)", 0, 1 },
	{ "(objectSid=\\01\\02\\03)", 0, 0 },
	{ "(objectSid=\\01*)", 0, 1 },
	{ "(distinguishedName=cn=host1, ou=web,dc=CORP,dc=example)", 0, 1 },
	{ "(entryDN=CN=HOST1,OU=Web,DC=corp,DC=example)", 0, 1 },
	{ "(entryDN=OU=Web,DC=corp,DC=example)", 0, 0 },
	{ "(distinguishedName=*)", 0, 1 },
	{ "(|(entryDN=DC=x)(entryDN=CN=HOST1,OU=Web,DC=corp,DC=example)(entryDN=DC=a))", 0, 1 },
	{ "(|(entryDN=DC=x)(entryDN=DC=y)(cn=nobody)(entryDN=DC=a))", 0, 0 },
	{ "(|(entryDN=DC=x)(memberOf=cn=web,ou=groups,dc=corp,dc=example)(entryDN=DC=y))", 0, 1 },
	{ "(|(|(entryDN=DC=b)(entryDN=DC=a))(entryDN=CN=HOST1,OU=Web,DC=corp,DC=example))", 0, 1 },
	{ "(|(|(entryDN=DC=b)(entryDN=CN=HOST1,OU=Web,DC=corp,DC=example))(entryDN=DC=a))", 0, 1 },
	{ "(memberOf=CN=Other\\5c, Group,OU=Groups,DC=corp,DC=example)", 0, 1 },
	{ "(memberOf=CN=Other\\5c2c Group,OU=Groups,DC=corp,DC=example)", 0, 1 },
	{ "(memberOf=CN=Third,OU=Groups,DC=corp,DC=example)", 0, 0 },
	{ "(objectClass=Computer)", 0, 1 },
	{ "(objectClass=ipsecBase)", 0, 0 },
	{ "(objectCategory=computer)", 0, 1 },
	{ "(objectCategory=person)", 0, 0 },
	{ "(objectCategory=CN=computer,cn=Schema,CN=Configuration,DC=corp,DC=example)", 0, 1 },
	{ "(Host=HOST1)", 0, 0 },
	{ "(objectClass=ipsecBase)", 1, 1 },
	{ "(objectClass=ipsecNFA)", 1, 1 },
	{ "(objectClass=ipsecFilter)", 1, 0 },
	{ "(&(DnsDomain=corp.example)(Host=HOST1)(NtVer=\\16\\00\\00\\00))", 2, 1 },
	{ "(cn=HOST1)", 2, 0 },
};

static void test_filter_match(void **state)
{
	struct arena *a = arena_new(0);
	struct dir_entry *entries;
	struct dir_filter *f;
	struct err err;
	size_t n;

	(void)state;
	assert_int_equal(ldif_read(&entries, &n, a, filter_entry, strlen(filter_entry), &err), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		const struct dir_entry *e = &entries[filters[i].entry];
		int rc = filter_parse(&f, a, filters[i].filter, &err);

		if (rc < 0)
			fail_msg("%s: %s", filters[i].filter, err.msg);
		rc = filter_match(f, e, dn_key(a, e->dn), a);
		if (rc != filters[i].match)
			fail_msg("%s on entry %zu gives %d", filters[i].filter, filters[i].entry, rc);
	}
	arena_free(a);
}

static const struct { const char *filter; enum err_code code; const char *msg; } bad_filters[] = {
	{ "", ERR_FORMAT, "filter: character 1: '(' expected" },
	{ "cn=x", ERR_FORMAT, "filter: character 1: '(' expected" },
	{ "(cn=x", ERR_FORMAT, "filter: character 6: ')' expected" },
	{ "(cn=x))", ERR_FORMAT, "filter: character 7: text behind the filter" },
	{ "(cn)", ERR_FORMAT, "filter: character 4: '=' expected" },
	{ "(=x)", ERR_FORMAT, "filter: character 2: attribute name expected" },
	{ "()", ERR_FORMAT, "filter: character 2: attribute name expected" },
	{ "(&(cn=x)", ERR_FORMAT, "filter: character 9: ')' expected" },
	{ "(!cn=x)", ERR_FORMAT, "filter: character 3: '(' expected" },
	{ "(!(cn=x)(cn=y))", ERR_FORMAT, "filter: character 9: ')' expected" },
	{ "(cn=a(b)", ERR_FORMAT, "filter: character 6: '(' in a value" },
	{ "(cn=a\\4)", ERR_FORMAT, "filter: character 6: '\\' needs two hexadecimal digits" },
	{ "(cn=a\\", ERR_FORMAT, "filter: character 6: '\\' needs two hexadecimal digits" },
	{ "(cn>=a)", ERR_UNSUPPORTED, NULL },
	{ "(cn~=a)", ERR_UNSUPPORTED, NULL },
	{ "(cn:dn:=a)", ERR_UNSUPPORTED, "filter: character 4: this matching rule is not known here" },
	{ "(member:1.2.840.113556.1.4.1941:=DC=x)", ERR_UNSUPPORTED, NULL },
	{ "(flags:1.2.840.113556.1.4.803:=)", ERR_FORMAT, NULL },
	{ "(flags:1.2.840.113556.1.4.803:=x)", ERR_FORMAT, NULL },
	{ "(flags:1.2.840.113556.1.4.803:=-1)", ERR_FORMAT, NULL },
	{ "(flags:1.2.840.113556.1.4.803:=4294967296)", ERR_FORMAT, NULL },
	{ "(flags:1.2.840.113556.1.4.803:=99999999999999999999999999)", ERR_FORMAT, NULL },
	{ "(flags:1.2.840.113556.1.4.803:=1*)", ERR_FORMAT, NULL },
	{ "(member=CN=a*)", ERR_UNSUPPORTED, NULL },
	{ "(member=CN=a\\00)", ERR_FORMAT, NULL },
};

static void test_filter_bad(void **state)
{
	struct arena *a = arena_new(0);
	struct dir_filter *f;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_filters) / sizeof(bad_filters[0]); i++) {
		if (filter_parse(&f, a, bad_filters[i].filter, &err) == 0)
			fail_msg("'%s' is accepted", bad_filters[i].filter);
		if (err.code != bad_filters[i].code)
			fail_msg("'%s': code %d: %s", bad_filters[i].filter, (int)err.code, err.msg);
		if (bad_filters[i].msg)
			assert_string_equal(err.msg, bad_filters[i].msg);
	}
	arena_free(a);
}

static void test_filter_depth(void **state)
{
	struct arena *a = arena_new(0);
	char text[4 * FILTER_MAX_DEPTH + 16];
	struct dir_filter *f;
	struct err err;

	(void)state;
	for (int depth = FILTER_MAX_DEPTH; depth <= FILTER_MAX_DEPTH + 1; depth++) {
		size_t n = 0;

		for (int i = 1; i < depth; i++, n += 2)
			memcpy(text + n, "(!", 2);
		memcpy(text + n, "(a=*)", 5);
		memset(text + n + 5, ')', (size_t)depth - 1);
		text[n + 5 + (size_t)depth - 1] = '\0';
		if (depth == FILTER_MAX_DEPTH) {
			assert_int_equal(filter_parse(&f, a, text, &err), 0);
		} else {
			assert_int_equal(filter_parse(&f, a, text, &err), -1);
			assert_int_equal(err.code, ERR_LIMIT);
		}
	}
	arena_free(a);
}

/* ---- the file as a directory ---- */

struct file {
	char		 path[64], uri[80];
	struct conf	 conf;
	struct directory_conf dc;
};

static void file_write(struct file *f, const char *text)
{
	int fd;

	strcpy(f->path, "/tmp/test_directory.XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	snprintf(f->uri, sizeof(f->uri), "ldif:%s", f->path);
	f->conf = (struct conf){ .uri = f->uri, .computer = "HOST1$", .timeout = 5, .connect_timeout = 5 };
	f->dc = (struct directory_conf){ .conf = &f->conf, .uri = f->uri, .keytab_fd = -1, .password_fd = -1, .tls_key_fd = -1 };
}

static const char small[] =
    "dn: DC=corp,DC=example\n"
    "objectClass: domainDNS\n"
    "dc: corp\n"
    "\n"
    "dn: OU=Web,DC=corp,DC=example\n"
    "objectClass: organizationalUnit\n"
    "ou: Web\n"
    "\n"
    "dn: CN=HOST1,OU=Web,DC=corp,DC=example\n"
    "objectClass: computer\n"
    "cn: HOST1\n"
    "sAMAccountName: HOST1$\n"
    "\n"
    "dn: CN=Hidden,OU=Web,DC=corp,DC=example\n"
    "\n"
    "dn: CN=a,CN=Deep,CN=System,DC=corp,DC=example\n"
    "objectClass: container\n"
    "cn: a\n"
    "\n"
    "dn: cn=host1, ou=web,DC=corp,DC=example\n"
    "objectClass: computer\n"
    "cn: again\n"
    "description: second record\n";

static const char *const oc[] = { "objectClass", NULL };
static const char *const oc_cn[] = { "objectClass", "CN", NULL };

static const struct { const char *base; enum dir_scope scope; const char *filter; enum dir_outcome outcome; const char *dns; } searches[] = {
	{ "DC=corp,DC=example", DIR_BASE, "(objectClass=*)", DIR_OK, "DC=corp,DC=example;" },
	{ "dc=CORP, dc=example", DIR_BASE, "(objectClass=*)", DIR_OK, "DC=corp,DC=example;" },
	{ "DC=corp,DC=example", DIR_BASE, "(objectClass=computer)", DIR_OK, "" },
	{ "OU=No,DC=corp,DC=example", DIR_BASE, "(objectClass=*)", DIR_ABSENT, "" },
	{ "OU=No,DC=corp,DC=example", DIR_SUB, "(objectClass=*)", DIR_ABSENT, "" },
	{ "", DIR_BASE, "(objectClass=*)", DIR_ABSENT, "" },
	/* A file without a root DSE does not name its domain. */
	{ "", DIR_SUB, "(cn=*)", DIR_OK, "CN=HOST1,OU=Web,DC=corp,DC=example;CN=a,CN=Deep,CN=System,DC=corp,DC=example;" },
	{ "", DIR_ONE, "(objectClass=*)", DIR_ABSENT, "" },
	{ "DC=corp,DC=example", DIR_ONE, "(objectClass=*)", DIR_OK, "OU=Web,DC=corp,DC=example;" },
	{ "DC=corp,DC=example", DIR_SUB, "(objectClass=*)", DIR_OK,
	    "DC=corp,DC=example;OU=Web,DC=corp,DC=example;CN=HOST1,OU=Web,DC=corp,DC=example;"
	    "CN=a,CN=Deep,CN=System,DC=corp,DC=example;" },
	{ "OU=Web,DC=corp,DC=example", DIR_SUB, "(cn=*)", DIR_OK, "CN=HOST1,OU=Web,DC=corp,DC=example;" },
	{ "OU=Web,DC=corp,DC=example", DIR_ONE, "(description=second*)", DIR_OK, "CN=HOST1,OU=Web,DC=corp,DC=example;" },
	{ "CN=HOST1,OU=Web,DC=corp,DC=example", DIR_SUB, "(cn=again)", DIR_OK, "CN=HOST1,OU=Web,DC=corp,DC=example;" },
	{ "CN=HOST1,OU=Web,DC=corp,DC=example", DIR_ONE, "(cn=again)", DIR_OK, "" },
	{ "CN=Hidden,OU=Web,DC=corp,DC=example", DIR_BASE, "(objectClass=*)", DIR_OK, "CN=Hidden,OU=Web,DC=corp,DC=example;" },
	/* Containers that are not in the file, but above something that is. */
	{ "CN=Deep,CN=System,DC=corp,DC=example", DIR_ONE, "(objectClass=*)", DIR_OK, "CN=a,CN=Deep,CN=System,DC=corp,DC=example;" },
	{ "CN=System,DC=corp,DC=example", DIR_ONE, "(objectClass=*)", DIR_OK, "" },
	{ "CN=System,DC=corp,DC=example", DIR_SUB, "(objectClass=*)", DIR_OK, "CN=a,CN=Deep,CN=System,DC=corp,DC=example;" },
	{ "CN=System,DC=corp,DC=example", DIR_BASE, "(objectClass=*)", DIR_ABSENT, "" },
	{ "CN=eep,CN=System,DC=corp,DC=example", DIR_SUB, "(objectClass=*)", DIR_ABSENT, "" },
};

static void test_ldif_search(void **state)
{
	struct file f;
	struct directory *d;
	struct dir_snapshot *s;
	struct err err;
	char dns[1024];

	(void)state;
	file_write(&f, small);
	d = directory_open(&f.dc, &err);
	if (!d)
		fail_msg("%s", err.msg);
	assert_string_equal(directory_server(d), f.uri);
	assert_null(directory_address(d));
	assert_null(directory_controllers(d));
	for (size_t i = 0; i < sizeof(searches) / sizeof(searches[0]); i++) {
		const struct dir_query q = { searches[i].base, searches[i].scope, searches[i].filter, oc, 0 };

		s = snapshot_new();
		assert_int_equal(directory_search(d, &q, s, &err), 0);
		assert_int_equal(s->n_searches, 1);
		dns[0] = '\0';
		for (size_t j = 0; j < s->searches[0].n_entries; j++) {
			strcat(dns, s->searches[0].entries[j].dn);
			strcat(dns, ";");
		}
		if (strcmp(dns, searches[i].dns) || s->searches[0].outcome != searches[i].outcome)
			fail_msg("search %zu: outcome %d, %s", i, (int)s->searches[0].outcome, dns);
		snapshot_free(s);
	}
	directory_close(d);
	unlink(f.path);
}

static void test_ldif_attributes(void **state)
{
	const struct dir_query all = { "CN=HOST1,OU=Web,DC=corp,DC=example", DIR_BASE, "(objectClass=*)", NULL, 0 };
	const struct dir_query some = { all.base, DIR_BASE, "(objectClass=*)", oc_cn, 0 };
	const struct dir_query hidden = { "CN=Hidden,OU=Web,DC=corp,DC=example", DIR_BASE, "(objectClass=*)", oc_cn, 0 };
	struct dir_snapshot *s = snapshot_new();
	const struct dir_entry *e;
	enum dir_state what;
	struct directory *d;
	struct file f;
	struct err err;

	(void)state;
	file_write(&f, small);
	d = directory_open(&f.dc, &err);
	assert_non_null(d);
	assert_int_equal(directory_search(d, &some, s, &err), 0);
	e = &s->searches[0].entries[0];
	assert_int_equal(e->n_attrs, 2);
	/* The later record of the same DN replaces what it says again. */
	assert_string_equal(entry_text(e, "cn"), "again");
	assert_null(entry_attr(e, "sAMAccountName"));
	assert_int_equal(directory_search(d, &all, s, &err), 0);
	e = &s->searches[1].entries[0];
	assert_int_equal(e->n_attrs, 4);
	assert_string_equal(entry_text(e, "sAMAccountName"), "HOST1$");
	assert_string_equal(entry_text(e, "description"), "second record");
	assert_int_equal(directory_search(d, &hidden, s, &err), 0);
	assert_null(snapshot_entry(s, hidden.base, &what));
	assert_int_equal(what, DIR_STATE_DENIED);
	directory_close(d);
	snapshot_free(s);
	unlink(f.path);
}

static void test_ldif_bad(void **state)
{
	const struct dir_query q = { "DC=corp,DC=example", DIR_SUB, "(cn", oc, 0 };
	struct dir_snapshot *s = snapshot_new();
	struct directory *d;
	char want[160];
	struct file f;
	struct err err;

	(void)state;
	file_write(&f, "dn: DC=x\nno colon here\n");
	assert_null(directory_open(&f.dc, &err));
	snprintf(want, sizeof(want), "%s: line 2: ", f.path);
	assert_ptr_equal(strstr(err.msg, want), err.msg);
	unlink(f.path);
	assert_null(directory_open(&f.dc, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	snprintf(want, sizeof(want), "%s: No such file or directory", f.path);
	assert_string_equal(err.msg, want);
	file_write(&f, small);
	d = directory_open(&f.dc, &err);
	assert_int_equal(directory_search(d, &q, s, &err), -1);
	assert_int_equal(s->n_searches, 0);
	directory_close(d);
	snapshot_free(s);
	unlink(f.path);
}

static void test_open_bad(void **state)
{
	static const struct { const char *uri; enum err_code code; const char *msg; } bad[] = {
		{ "http://x/", ERR_FORMAT, "'http://x/': not an ldap://, ldaps://, ldapi:// or ldif: URI" },
		{ "cldap://x/", ERR_FORMAT, "'cldap://x/': not an ldap://, ldaps://, ldapi:// or ldif: URI" },
		{ "ldap:///CN%3Dx", ERR_ABSENT, "no domain is known to discover servers of; configure one" },
		{ "ldap:///a%20b", ERR_FORMAT, "'a b' is no DNS domain" },
		{ "", ERR_OFFLINE, "no directory server is left to ask" },
	};
	struct conf conf = { .computer = "HOST1$", .timeout = 1, .connect_timeout = 1, .bind = BIND_SIMPLE };
	struct directory_conf dc = { .conf = &conf, .keytab_fd = -1, .password_fd = -1, .tls_key_fd = -1 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		dc.uri = bad[i].uri;
		assert_null(directory_open(&dc, &err));
		assert_string_equal(err.msg, bad[i].msg);
		assert_int_equal(err.code, bad[i].code);
	}
	/* Nobody listens there: one after the other, and all of them are named. */
	dc.uri = "ldapi://%2Fnonexistent%2Fa ldapi://%2Fnonexistent%2Fb";
	assert_null(directory_open(&dc, &err));
	assert_int_equal(err.code, ERR_OFFLINE);
	assert_non_null(strstr(err.msg, "%2Fa: connect"));
	assert_non_null(strstr(err.msg, "; ldapi://%2Fnonexistent%2Fb: connect"));
}

/* ---- a whole domain ---- */

#define BASE		"DC=corp,DC=example"
#define GPO1		"CN={AAAAAAAA-0000-0000-0000-000000000001},CN=Policies,CN=System," BASE
#define GPO2		"CN={AAAAAAAA-0000-0000-0000-000000000002},CN=Policies,CN=System," BASE
#define POLICY_ID	"{11111111-2222-3333-4444-555555555555}"
#define POLICY_DN	"CN=ipsecPolicy" POLICY_ID ",CN=IP Security,CN=System," BASE
#define CSE		"[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]"
#define GPO(dn, policy) \
	"dn: " dn "\nobjectClass: groupPolicyContainer\nflags: 0\nversionNumber: 1\n" \
	"gPCFunctionalityVersion: 2\ngPCMachineExtensionNames: " CSE "\ndisplayName: " policy "\n\n" \
	"dn: CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine," dn "\nobjectClass: ipsecPolicy\ncn: IPSEC\n" \
	"ipsecOwnersReference: " policy "\n\n"

static const char domain[] =
    "dn:\nobjectClass: top\ndefaultNamingContext: " BASE "\nconfigurationNamingContext: CN=Configuration," BASE "\n\n"
    "dn: " BASE "\nobjectClass: domainDNS\ngPLink: [LDAP://" GPO1 ";0]\n\n"
    "dn: OU=Web," BASE "\nobjectClass: organizationalUnit\ngPLink: [LDAP://" GPO2 ";0]\n\n"
    "dn: CN=HOST1,CN=Computers," BASE "\nobjectClass: computer\ncn: HOST1\nsAMAccountName: HOST1$\n"
    "objectSid:: AQUAAAAAAAUVAAAAAQAAAAIAAAADAAAA6AMAAA==\nprimaryGroupID: 515\n\n"
    "dn: CN=HOST2,OU=Web," BASE "\nobjectClass: computer\ncn: HOST2\nsAMAccountName: HOST2$\n"
    "objectSid:: AQUAAAAAAAUVAAAAAQAAAAIAAAADAAAA6QMAAA==\nprimaryGroupID: 515\n\n"
    "dn: CN=IP Security,CN=System," BASE "\nobjectClass: container\n\n"
    GPO(GPO1, POLICY_DN)
    GPO(GPO2, "CN=ipsecPolicy{99999999-2222-3333-4444-555555555555}\\,gone,CN=IP Security,CN=System," BASE);

/* Blocks everything from 10.1.2.0/24. */
static struct ipsec_policy *make_policy(void)
{
	struct ipsec_policy *p = policy_new();
	struct ipsec_filter_list *l = arena_zalloc(p->arena, 1, sizeof(*l));
	struct ipsec_negpol *n = arena_zalloc(p->arena, 1, sizeof(*n));
	struct ipsec_rule *r = arena_zalloc(p->arena, 1, sizeof(*r));
	struct ipsec_filter *f = arena_zalloc(p->arena, 1, sizeof(*f));
	struct ipsec_auth *auth = arena_zalloc(p->arena, 1, sizeof(*auth));
	struct ipsec_mm_offer *mm = arena_zalloc(p->arena, 1, sizeof(*mm));

	assert_true(guid_parse(&p->id, POLICY_ID, strlen(POLICY_ID)));
	p->dn = POLICY_DN;
	p->name = "test";
	p->isakmp.id = p->isakmp.instance = f->id = l->id = n->id = r->id = p->id;
	*mm = (struct ipsec_mm_offer){ .encryption = IPSEC_CIPHER_3DES, .hash = IPSEC_HASH_SHA1, .group = 2 };
	p->isakmp.offers = mm;
	p->isakmp.n_offers = 1;
	p->isakmp.life_seconds = 28800;
	*f = (struct ipsec_filter){ .id = p->id, .description = "", .src_dns = "", .dst_dns = "", .mirrored = true,
		.src = { .kind = IPSEC_ADDR_NET, .family = 2, .prefix = 24, .lo = { 10, 1, 2, 0 } },
		.dst = { .kind = IPSEC_ADDR_ME, .family = 2 } };
	*l = (struct ipsec_filter_list){ .id = p->id, .name = "list", .description = "", .filters = f, .n_filters = 1 };
	*n = (struct ipsec_negpol){ .id = p->id, .name = "block", .description = "", .action = IPSEC_BLOCK };
	*auth = (struct ipsec_auth){ .method = IPSEC_AUTH_KERBEROS, .text = "" };
	*r = (struct ipsec_rule){ .id = p->id, .name = "rule", .description = "", .active = true, .interface_name = "",
		.tunnel_name = "", .auth = auth, .n_auth = 1, .filter_list = l, .negpol = n };
	p->filter_lists = l;
	p->n_filter_lists = 1;
	p->negpols = n;
	p->n_negpols = 1;
	p->rules = r;
	p->n_rules = 1;
	return p;
}

/* The domain and the objects of the policy, but for objects of class `without`. */
static void domain_write(struct file *f, const char *without)
{
	struct ipsec_policy *p = make_policy();
	struct arena *a = arena_new(0);
	struct dir_entry *entries;
	char *text = NULL;
	struct err err;
	size_t len, n;
	FILE *out = open_memstream(&text, &len);

	fputs(domain, out);
	if (policy_objects(&entries, &n, a, p, "CN=IP Security,CN=System," BASE, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < n; i++)
		if (!without || !entry_has_class(&entries[i], without))
			assert_int_equal(ldif_write_entry(&entries[i], out), 0);
	fclose(out);
	file_write(f, text);
	free(text);
	arena_free(a);
	policy_free(p);
}

static void test_collect(void **state)
{
	const struct gp_subject who = { .computer = "HOST1$" };
	const struct gp_options o = { 0 };
	struct collected c = { 0 }, warm = { 0 };
	struct gp_subject again = who;
	const char *hints[32] = { NULL };
	struct gen_part *parts;
	struct arena *a = arena_new(0);
	struct file f;
	struct err err;
	char *save = NULL, *copy;
	size_t n;

	(void)state;
	domain_write(&f, NULL);
	if (collect(&c, &f.dc, &who, &o, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(c.rsop->assignment, GP_ASSIGNED);
	if (!c.policy)
		fail_msg("%s", c.policy_err.msg);
	assert_int_equal(c.policy->n_rules, 1);
	assert_int_equal(c.policy->rules[0].negpol->action, IPSEC_BLOCK);
	assert_int_equal(c.policy->filter_lists[0].filters[0].src.prefix, 24);
	assert_string_equal(c.snapshot->server, f.uri);
	assert_non_null(strstr(c.hints, GPO1 "\n"));
	assert_null(c.dcs);
	/* With its own hints, fewer questions and the same answer. */
	copy = strdup(c.hints);
	n = 0;
	for (char *h = strtok_r(copy, "\n", &save); h && n < 32; h = strtok_r(NULL, "\n", &save))
		hints[n++] = h;
	again.hints = hints;
	again.n_hints = n;
	assert_int_equal(collect(&warm, &f.dc, &again, &o, &err), 0);
	assert_int_equal(warm.rsop->assignment, GP_ASSIGNED);
	assert_non_null(warm.policy);
	assert_true(warm.snapshot->n_searches < c.snapshot->n_searches);
	assert_string_equal(warm.hints, c.hints);
	assert_int_equal(collected_parts(&parts, &n, &c, a, &err), 0);
	assert_string_equal(parts[0].name, "assignment");
	assert_string_equal(parts[0].text, "assigned");
	free(copy);
	collected_free(&c);
	collected_free(&warm);
	arena_free(a);
	unlink(f.path);
}

static void test_collect_unusable(void **state)
{
	static const struct { const char *computer, *without; enum gp_assignment assignment; enum err_code code; const char *msg; } cases[] = {
		{ "HOST2$", NULL, GP_UNKNOWN, ERR_NONE, "" },
		{ "HOST1$", "ipsecPolicy", GP_UNKNOWN, ERR_NONE, "" },
		{ "HOST1$", "ipsecFilter", GP_ASSIGNED, ERR_ABSENT, "ipsecFilter" POLICY_ID },
		{ "HOST1$", "ipsecNegotiationPolicy", GP_ASSIGNED, ERR_ABSENT, "ipsecNegotiationPolicy" POLICY_ID },
		{ "HOST1$", "ipsecNFA", GP_ASSIGNED, ERR_ABSENT, "ipsecNFA" POLICY_ID },
	};
	const struct gp_options o = { 0 };
	struct collected c = { 0 };
	struct file f;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct gp_subject who = { .computer = cases[i].computer };

		domain_write(&f, cases[i].without);
		if (collect(&c, &f.dc, &who, &o, &err) < 0)
			fail_msg("%zu: %s", i, err.msg);
		assert_int_equal(c.rsop->assignment, cases[i].assignment);
		assert_null(c.policy);
		assert_int_equal(c.policy_err.code, cases[i].code);
		if (cases[i].code && !strcasestr(c.policy_err.msg, cases[i].msg))
			fail_msg("%zu: %s", i, c.policy_err.msg);
		if (cases[i].assignment == GP_UNKNOWN)
			assert_int_equal(c.rsop->why, ERR_ABSENT);
		collected_free(&c);
		unlink(f.path);
	}
}

static void test_collect_failed(void **state)
{
	const struct gp_subject nobody = { .computer = "HOST9$" }, who = { .computer = "HOST1$" };
	const struct gp_options o = { 0 };
	struct collected c = { 0 };
	struct file f;
	struct err err;

	(void)state;
	domain_write(&f, NULL);
	assert_int_equal(collect(&c, &f.dc, &nobody, &o, &err), -1);
	assert_int_equal(err.code, ERR_ABSENT);
	assert_non_null(strstr(err.msg, "HOST9$"));
	unlink(f.path);
	assert_int_equal(collect(&c, &f.dc, &who, &o, &err), -1);
	assert_int_equal(err.code, ERR_ABSENT);
	assert_null(c.snapshot);
}

static void test_addresses(void **state)
{
	struct gp_subject who = { 0 };
	struct arena *a = arena_new(0);
	struct err err;

	(void)state;
	assert_int_equal(subject_addresses(&who, a, &err), 0);
	for (size_t i = 0; i < who.n_addresses; i++)
		assert_true(who.addresses[i].b[0] != 127);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter_match),
		cmocka_unit_test(test_filter_bad),
		cmocka_unit_test(test_filter_depth),
		cmocka_unit_test(test_ldif_search),
		cmocka_unit_test(test_ldif_attributes),
		cmocka_unit_test(test_ldif_bad),
		cmocka_unit_test(test_open_bad),
		cmocka_unit_test(test_collect),
		cmocka_unit_test(test_collect_unusable),
		cmocka_unit_test(test_collect_failed),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
