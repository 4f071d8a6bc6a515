/* The conversation with the directory: what is asked, how often, and the site. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "gpo_world.h"
#include "schema/arena.h"
#include "schema/err.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct gp_subject host1 = { .computer = "HOST1$" };

/* ---- site ---- */

/* Two names of one label each at the end: the site of the DC, the client's. */
static void answer_ping(struct world *w, uint8_t opcode, const char *site)
{
	uint8_t p[128] = { opcode };
	size_t n = 24 + 6, len = strlen(site);

	p[n++] = 2;
	memcpy(p + n, "HQ", 2);
	n += 3;
	if (len) {
		p[n++] = (uint8_t)len;
		memcpy(p + n, site, len);
		n += len;
	}
	n++;
	memcpy(p + n, "\5\0\0\0\xff\xff\xff\xff", 8);
	world_set_bytes(w, W_ROOT, "NetLogon", p, n + 8);
}

#define ALL	"2:applies 1:applies 3:applies => server policy"
#define NO_SITE	"2:applies 1:applies => server policy"

static void test_site_configured(void **state)
{
	struct gp_subject who = host1;
	struct world *w = world_example(true);
	struct err err;

	(void)state;
	who.site = "Branch";
	assert_string_equal(world_summary(w, &who, false, &err), ALL);
	who.site = "a,b";
	assert_string_equal(world_summary(w, &who, false, &err), "error absent: site 'a,b' (configured) does not exist");
	assert_string_equal(w->snapshot->searches[3].q.base, "CN=a\\,b,CN=Sites,CN=Configuration,DC=corp,DC=example");
	who.site = "Branch";
	world_hide(w, "CN=Branch,CN=Sites," W_CONF);
	assert_string_equal(world_summary(w, &who, false, &err),
	    "error denied: site 'CN=Branch,CN=Sites," W_CONF "' may not be read");
	world_free(w);
}

static void test_site_ping(void **state)
{
	struct gp_subject who = host1;
	struct world *w = world_example(true);
	struct ip_addr own;
	struct err err;

	(void)state;
	assert_true(ip_addr_read(&own, "10.77.0.70"));
	who.self = true;
	answer_ping(w, 23, "Branch");
	assert_string_equal(world_summary(w, &who, false, &err), ALL);
	assert_int_equal(w->n_pings, 1);
	assert_string_equal(w->snapshot->searches[1].q.filter,
	    "(&(DnsDomain=corp.example)(Host=HOST1)(NtVer=\\16\\00\\00\\00))");
	/* The DC knows of no site, or of one that is not there yet: none. */
	who.addresses = &own;
	who.n_addresses = 1;
	answer_ping(w, 23, "");
	assert_string_equal(world_summary(w, &who, false, &err), NO_SITE);
	answer_ping(w, 23, "New");
	assert_string_equal(world_summary(w, &who, false, &err), NO_SITE);
	/* No answer: the subnets. */
	answer_ping(w, 25, "");
	assert_string_equal(world_summary(w, &who, false, &err), ALL);
	world_set(w, W_ROOT, "NetLogon", NULL);
	assert_string_equal(world_summary(w, &who, false, &err), ALL);
	answer_ping(w, 24, "Branch");
	assert_string_equal(world_summary(w, &who, false, &err), "error offline: the domain controller '' is paused");
	world_set_bytes(w, W_ROOT, "NetLogon", "x", 1);
	assert_string_equal(world_summary(w, &who, false, &err), "error format: answer to the NetLogon ping: 1 bytes are too few");
	/* Not for another computer, not where the administrator said it. */
	who.self = false;
	assert_string_equal(world_summary(w, &who, false, &err), NO_SITE);
	who.self = true;
	who.site = "Branch";
	assert_string_equal(world_summary(w, &who, false, &err), ALL);
	world_free(w);
}

static void expect_site(struct world *w, const char *own, const char *default_site, const char *site, const char *from)
{
	const struct gp_options o = { 0 };
	struct gp_subject who = host1;
	struct ip_addr addrs[2];
	struct gp_rsop *r;
	struct err err;

	assert_true(ip_addr_read(&addrs[0], "192.0.2.1"));
	assert_true(ip_addr_read(&addrs[1], own));
	who.self = true;
	who.addresses = addrs;
	who.n_addresses = 2;
	who.default_site = default_site;
	if (world_run(w, &who, &err) < 0)
		fail_msg("%s: %s", own, err.msg);
	assert_int_equal(gp_resolve(&r, w->snapshot, &who, &o, &err), 0);
	assert_string_equal(r->site, site);
	assert_string_equal(r->site_from, from);
	assert_int_equal(r->soms[r->n_soms - 1].type, *site ? GP_SOM_SITE : GP_SOM_DOMAIN);
	rsop_free(r);
}

static void add_subnet(struct world *w, const char *cn, const char *site)
{
	char dn[200], object[200];

	snprintf(dn, sizeof(dn), "CN=%s,CN=Subnets,CN=Sites," W_CONF, cn);
	snprintf(object, sizeof(object), "CN=%s,CN=Sites," W_CONF, site);
	world_add(w, dn, "objectClass", "subnet", "cn", cn, *site ? "siteObject" : NULL, object, NULL);
}

static void expect_no_site(struct world *w, const char *own, const char *default_site, const char *note)
{
	const struct gp_options o = { 0 };
	struct gp_subject who = host1;
	struct gp_rsop *r;
	struct ip_addr addr;
	struct err err;
	char *text;

	assert_true(ip_addr_read(&addr, own));
	who.self = true;
	who.addresses = &addr;
	who.n_addresses = 1;
	who.default_site = default_site;
	text = world_rsop(w, &who, false, &err);
	assert_non_null(text);
	assert_non_null(strstr(text, arena_printf(w->a, "\nSite      none (%s)\n", note)));
	free(text);
	assert_int_equal(gp_resolve(&r, w->snapshot, &who, &o, &err), 0);
	assert_string_equal(r->site, "");
	assert_string_equal(r->site_from, "");
	assert_string_equal(r->site_note, note);
	assert_int_equal(r->soms[r->n_soms - 1].type, GP_SOM_DOMAIN);
	rsop_free(r);
}

/* A subnet cannot make any object the site. */
static void test_site_is_none(void **state)
{
	static const char subnet[] = "CN=10.77.0.64/26,CN=Subnets,CN=Sites," W_CONF;
	static const char *const names[] = { "OU=Evil," W_BASE, "CN=x,CN=Branch,CN=Sites," W_CONF, "CN=Sites," W_CONF,
		"CN=Branch,CN=Sites,CN=Configuration,DC=other,DC=example", "CN=Branch", "nonsense", "" };
	struct gp_subject who = host1;
	struct err err;

	(void)state;
	who.site = "Branch";
	for (int ad = 0; ad < 2; ad++) {
		struct world *w = world_example(ad);

		world_add(w, "OU=Evil," W_BASE, "objectClass", "site", "gPLink", W_LINK("3", "2"), NULL);
		world_add(w, "CN=x,CN=Branch,CN=Sites," W_CONF, "objectClass", "site", "gPLink", W_LINK("3", "2"), NULL);
		for (size_t i = 0; i < N(names); i++) {
			world_set(w, subnet, "siteObject", names[i]);
			expect_no_site(w, "10.77.0.70", "Branch", arena_printf(w->a, "subnet '%s': '%s' is no name of a site", subnet, names[i]));
		}
		world_set(w, subnet, "siteObject", "cn=branch, cn=sites," W_CONF);
		expect_site(w, "10.77.0.70", NULL, "branch", "subnet");
		world_set(w, subnet, "siteObject", "CN=Branch,CN=Sites," W_CONF);
		world_set(w, "CN=Branch,CN=Sites," W_CONF, "objectClass", "sitesContainer");
		expect_no_site(w, "10.77.0.70", NULL, arena_printf(w->a, "subnet '%s': 'CN=Branch,CN=Sites," W_CONF "' is not a site", subnet));
		if (ad) {
			answer_ping(w, 23, "Branch");
			expect_no_site(w, "10.77.0.70", NULL, "'CN=Branch,CN=Sites," W_CONF "' is not a site");
		}
		/* What the administrator said is an error. */
		assert_non_null(strcasestr(world_summary(w, &who, false, &err), "error format: site 'Branch' (configured): "
		    "'CN=Branch,CN=Sites," W_CONF "' is not a site"));
		world_free(w);
	}
}

static void test_site_subnets(void **state)
{
	struct world *w = world_example(false);
	struct gp_subject who = host1;
	struct ip_addr own;
	struct err err;

	(void)state;
	world_add(w, "CN=Elsewhere,CN=Sites," W_CONF, "objectClass", "site", NULL);
	world_add(w, "CN=Six,CN=Sites," W_CONF, "objectClass", "site", NULL);
	add_subnet(w, "2001:db8::/33", "Six");
	add_subnet(w, "10.9.0.0/16", "");
	add_subnet(w, "10.8.0.0/33", "Six");
	add_subnet(w, "10.8.0.0/", "Six");
	add_subnet(w, "10.8.0.0", "Six");
	expect_site(w, "10.77.0.64", NULL, "Branch", "subnet");
	expect_site(w, "10.77.0.127", NULL, "Branch", "subnet");
	expect_site(w, "10.77.0.128", NULL, "Elsewhere", "subnet");
	expect_site(w, "10.8.0.0", NULL, "Elsewhere", "subnet");
	expect_site(w, "10.9.1.1", NULL, "", "");
	expect_site(w, "11.0.0.0", NULL, "", "");
	expect_site(w, "11.0.0.0", "Branch", "Branch", "default");
	expect_site(w, "2001:db8:7fff::1", NULL, "Six", "subnet");
	expect_site(w, "2001:db8:8000::1", NULL, "", "");
	world_set(w, "CN=2001:db8::/33,CN=Subnets,CN=Sites," W_CONF, "cn", "::/0");
	expect_site(w, "2001:db8:8000::1", NULL, "Six", "subnet");
	/* A site that a subnet names but that is not there is none. */
	world_del(w, "CN=Six,CN=Sites," W_CONF);
	expect_site(w, "2001:db8:8000::1", NULL, "", "");
	expect_no_site(w, "2001:db8:8000::1", NULL, "subnet 'CN=2001:db8::/33,CN=Subnets,CN=Sites," W_CONF "': "
	    "'CN=Six,CN=Sites," W_CONF "' does not exist");
	assert_true(ip_addr_read(&own, "10.77.0.64"));
	who.self = true;
	who.addresses = &own;
	who.n_addresses = 1;
	w->refuse = "CN=Subnets,CN=Sites,CN=Configuration,dc=corp,dc=example";
	assert_string_equal(world_summary(w, &who, false, &err), "error denied: "
	    "'CN=Subnets,CN=Sites,CN=Configuration,dc=corp,dc=example' may not be searched");
	who.n_addresses = 0;
	who.default_site = "Nowhere";
	assert_string_equal(world_summary(w, &who, false, &err), "error absent: site 'Nowhere' (default) does not exist");
	world_free(w);
}

/* ---- how many searches ---- */

static void test_searches_ad(void **state)
{
	struct world *w = world_example(true);
	struct gp_subject who = host1;
	char *cold, *warm;
	struct err err;

	(void)state;
	answer_ping(w, 23, "Branch");
	who.self = true;
	cold = world_rsop(w, &who, false, &err);
	assert_int_equal(w->n_asked, 6);
	assert_int_equal(w->n_pings, 1);
	world_hints(w, &who);
	for (int i = 0; i < 2; i++) {	/* and hints from hints */
		warm = world_rsop(w, &who, false, &err);
		assert_string_equal(warm, cold);
		assert_int_equal(w->n_asked, 3);
		free(warm);
		world_hints(w, &who);
	}
	assert_int_equal(who.n_hints, 4 + 3 + 3 + 5);
	/* Bound as somebody else: one more, for host1's groups. */
	world_set(w, W_ROOT, "tokenGroups", "S-1-1-0");
	world_set(w, W_HOST, "tokenGroups", W_DOM "-515");
	free(world_rsop(w, &who, false, &err));
	assert_int_equal(w->n_asked, 4);
	free(cold);
	world_free(w);
}

static void test_searches_openldap(void **state)
{
	struct world *w = world_example(false);
	struct gp_subject who = host1;
	char *cold, *warm;
	struct ip_addr own;
	struct err err;

	(void)state;
	assert_true(ip_addr_read(&own, "10.77.0.70"));
	who.self = true;
	who.addresses = &own;
	who.n_addresses = 1;
	cold = world_rsop(w, &who, false, &err);
	assert_int_equal(w->n_asked, 7);
	world_hints(w, &who);
	warm = world_rsop(w, &who, false, &err);
	assert_string_equal(warm, cold);
	assert_int_equal(w->n_asked, 2);
	free(warm);
	free(cold);
	world_free(w);
}

/* A GPO that is gone costs a search only where its link would count. */
static void test_searches_missing(void **state)
{
	struct world *w = world_example(true);
	struct err err;

	(void)state;
	world_del(w, W_GPO("2"));
	assert_string_equal(world_summary(w, &host1, false, &err), "2:not-found 1:applies => domain policy");
	assert_int_equal(w->n_asked, 6);
	world_set(w, "OU=Servers," W_BASE, "gPLink", W_LINK("2", "1"));
	assert_string_equal(world_summary(w, &host1, false, &err), "2:link-disabled 1:applies => domain policy");
	assert_int_equal(w->n_asked, 5);
	world_set(w, "OU=Servers," W_BASE, "gPLink", W_LINK("1", "0"));
	world_set(w, "OU=Servers," W_BASE, "gPOptions", "1");
	world_set(w, W_BASE, "gPLink", W_LINK("2", "0"));
	assert_string_equal(world_summary(w, &host1, false, &err), "1:applies 2:blocked => domain policy");
	assert_int_equal(w->n_asked, 5);
	world_free(w);
}

static void test_hostile_hints(void **state)
{
	static const char *const hints[] = { "", "nonsense", "CN=a,,DC=x", "*", W_HOST, "CN=HOST2,OU=Web,OU=Servers," W_BASE,
		"DC=example", "DC=other,DC=example", "OU=Web2,OU=Servers," W_BASE, "OU=Web2, ou=servers," W_BASE, W_BASE,
		W_GPO("2"), W_OBJ("ipsecPolicy", "3"), W_OBJ("ipsecPolicy", "9"), "CN=a\\29(x=y)," W_BASE, "CN=Branch,CN=Sites," W_CONF };
	struct gp_subject who = host1;
	struct err err;
	char *want, *got, *huge = malloc(GP_DN_MAX + 200);
	const char *many[N(hints) + 1];

	(void)state;
	sprintf(huge, "CN=%0*d," W_BASE, GP_DN_MAX, 1);
	memcpy(many, hints, sizeof(hints));
	many[N(hints)] = huge;
	for (int ad = 0; ad < 2; ad++) {
		struct world *w = world_example(ad);

		who.hints = NULL;
		who.n_hints = 0;
		want = world_rsop(w, &who, false, &err);
		who.hints = many;
		who.n_hints = N(many);
		got = world_rsop(w, &who, false, &err);
		assert_string_equal(got, want);
		for (size_t i = 0; i < w->snapshot->n_searches; i++)
			assert_true(!strstr(w->snapshot->searches[i].q.filter, "nonsense") &&
			    !strstr(w->snapshot->searches[i].q.filter, "other"));
		free(want);
		free(got);
		world_free(w);
	}
	free(huge);
}

/* More than 300: those of the policies are left out, and the rest is cut. */
static void test_many_hints(void **state)
{
	struct world *w = world_example(true);
	struct gp_subject who = host1;
	const char *hints[700];
	struct err err;
	const char *filter;

	(void)state;
	for (int i = 0; i < 350; i++)
		hints[i] = arena_printf(w->a, "CN=x%d," W_IPS, i);
	hints[350] = "OU=Servers," W_BASE;
	who.hints = hints;
	who.n_hints = 351;
	assert_string_equal(world_summary(w, &who, false, &err), NO_SITE);
	assert_string_equal(w->snapshot->searches[1].q.filter,
	    "(|(sAMAccountName=HOST1$)(|(distinguishedName=OU=Servers,DC=corp,DC=example)))");
	for (int i = 0; i < 350; i++)
		hints[351 + i - 2] = arena_printf(w->a, "CN=y%d," W_BASE, i);
	who.n_hints = 699;
	assert_string_equal(world_summary(w, &who, false, &err), NO_SITE);
	filter = w->snapshot->searches[1].q.filter;
	for (who.n_hints = 0; (filter = strstr(filter, "distinguishedName=")); filter++)
		who.n_hints++;
	assert_int_equal(who.n_hints, 300);
	world_free(w);
}

/* A policy that grew, and one whose parts are gone or hidden. */
static void test_policy_objects(void **state)
{
	struct gp_subject who = host1;
	struct world *w = world_example(true);
	enum dir_state leaf, nfa;
	struct err err;

	(void)state;
	assert_int_equal(world_run(w, &who, &err), 0);
	world_hints(w, &who);
	world_add(w, "CN=outside," W_BASE, "objectClass", "ipsecFilter", NULL);
	world_set(w, W_OBJ("ipsecNFA", "2"), "ipsecFilterReference", "CN=outside," W_BASE);
	assert_int_equal(world_run(w, &who, &err), 0);
	assert_int_equal(w->n_asked, 2 + 2);	/* the container, then the object itself */
	assert_non_null(snapshot_entry(w->snapshot, "CN=outside," W_BASE, &leaf));
	world_hide(w, "CN=outside," W_BASE);
	world_del(w, W_OBJ("ipsecISAKMPPolicy", "2"));
	assert_int_equal(world_run(w, &who, &err), 0);
	snapshot_entry(w->snapshot, "CN=outside," W_BASE, &leaf);
	snapshot_entry(w->snapshot, W_OBJ("ipsecISAKMPPolicy", "2"), &nfa);
	assert_int_equal(leaf, DIR_STATE_DENIED);
	assert_int_equal(nfa, DIR_STATE_ABSENT);
	world_free(w);
}

static void test_dangling_objects(void **state)
{
	struct world *w = world_example(true);
	struct err err;

	(void)state;
	world_del(w, W_OBJ("ipsecPolicy", "2"));
	world_add(w, W_OBJ("ipsecPolicy", "2"), "objectClass", "ipsecPolicy", "ipsecNFAReference", "nonsense", NULL);
	for (int i = 0; i < 100; i++) {
		struct dir_entry *e = &w->entries[w->n_entries - 1];
		struct dir_attr *attr = &e->attrs[1];

		attr->values = arena_grow(w->a, attr->values, attr->n_values, sizeof(*attr->values));
		attr->values[attr->n_values].p = (uint8_t *)arena_printf(w->a, "CN=gone%03d," W_IPS, i);
		attr->values[attr->n_values++].len = strlen("CN=gone000," W_IPS);
	}
	assert_int_equal(world_run(w, &host1, &err), 0);
	assert_int_equal(w->n_asked, 5 + 16);	/* not a hundred times the same story */
	world_free(w);
}

/* ---- many GPOs, several domains ---- */

static void test_many_gpos(void **state)
{
	struct world *w = world_example(false);
	char *link = arena_strdup(w->a, ""), dn[200];
	struct err err;

	(void)state;
	for (int i = 0; i < 120; i++) {
		snprintf(dn, sizeof(dn), "CN={BBBBBBBB-0000-0000-0000-%012d}," W_POL, i);
		link = arena_printf(w->a, "%s[LDAP://%s;0]", link, dn);
		world_add(w, dn, "objectClass", "groupPolicyContainer", "gPCFunctionalityVersion", "2", NULL);
	}
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPLink", link);
	assert_int_equal(world_run(w, &host1, &err), 0);
	assert_int_equal(w->n_asked, 3 + 3 + 1);	/* 122 pairs: three searches */
	world_free(w);
}

static void test_domains(void **state)
{
	static const char foreign[] = "CN={CCCCCCCC-0000-0000-0000-000000000007},CN=Policies,CN=System,DC=other,DC=example";
	struct world *w = world_example(true);
	struct gp_subject who = host1;
	struct err err;

	(void)state;
	world_gpo(w, foreign, "foreign", "3");
	world_set(w, "CN=Branch,CN=Sites," W_CONF, "gPLink", arena_printf(w->a, "[LDAP://%s;2]", foreign));
	who.site = "Branch";
	assert_string_equal(world_summary(w, &who, false, &err), "7:enforced applies 2:applies 1:applies => branch policy");
	assert_int_equal(w->n_asked, 7);
	assert_string_equal(w->snapshot->searches[4].q.base, "CN=Policies,CN=System,DC=other,DC=example");
	world_free(w);
}

/* At most eight other domains are asked, the strongest links' first; the rest is unreadable. */
static void test_many_domains(void **state)
{
	const struct gp_options o = { 0 };
	struct world *w = world_example(true);
	char *link = arena_strdup(w->a, ""), dn[200];
	struct gp_rsop *r;
	struct err err;

	(void)state;
	for (int i = 0; i < 12; i++) {
		snprintf(dn, sizeof(dn), "CN={CCCCCCCC-0000-0000-0000-%012d},CN=Policies,CN=System,DC=other%d,DC=example", i, i);
		link = arena_printf(w->a, "%s[LDAP://%s;%d]", link, dn, i == 1 ? 1 : 0);
		world_gpo(w, dn, "foreign", "3");
		world_set(w, dn, "flags", "3");
	}
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPLink", link);
	assert_int_equal(world_run(w, &host1, &err), 0);
	assert_int_equal(w->n_asked, 5 + 8);
	assert_int_equal(gp_resolve(&r, w->snapshot, &host1, &o, &err), 0);
	assert_int_equal(r->n_gpos, 2 + 12);
	for (int i = 0; i < 12; i++) {
		const struct gp_gpo *g = &r->gpos[2 + i];

		assert_int_equal(g->verdict, i >= 4 ? GP_GPO_DISABLED : i == 1 ? GP_LINK_DISABLED : GP_UNREADABLE);
		assert_string_equal(g->note, i >= 4 ? "all settings" : i == 1 ? "" : "in one of too many other domains: not asked");
	}
	rsop_free(r);
	/* Nothing left that is assigned: they might have. */
	world_set(w, W_GPO("1"), "flags", "3");
	world_set(w, W_GPO("2"), "flags", "3");
	assert_int_equal(world_run(w, &host1, &err), 0);
	assert_int_equal(gp_resolve(&r, w->snapshot, &host1, &o, &err), 0);
	assert_int_equal(r->assignment, GP_UNKNOWN);
	assert_int_equal(r->why, ERR_DENIED);
	assert_string_equal(r->reason, "GPO 'CN={CCCCCCCC-0000-0000-0000-000000000003},CN=Policies,CN=System,DC=other3,DC=example': "
	    "in one of too many other domains: not asked, and nothing else is assigned");
	rsop_free(r);
	world_free(w);
}

/* A thousand links that lead nowhere, by names of thousands of bytes: a bounded
 * number of questions, cold and warm. */
static void test_many_missing(void **state)
{
	struct world *w = world_example(false);
	struct gp_subject who = host1;
	char *link = malloc(2 << 20), *p = link, *cold, *warm;
	struct err err;

	(void)state;
	for (int i = 0; i < 990; i++)
		p += sprintf(p, "[LDAP://CN={%08X-%01800d},CN=Policies,CN=System," W_BASE ";0]", i, 0);
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPLink", link);
	cold = world_rsop(w, &who, false, &err);
	assert_non_null(cold);
	assert_true(w->n_asked <= 3 + 20 + 32 + 2);
	assert_non_null(strstr(cold, "   unreadable          CN={00000000-"));
	assert_non_null(strstr(cold, "too many GPOs are missing: not asked\n"));
	assert_non_null(strstr(cold, "\nAssigned: policy 'server policy'"));
	world_hints(w, &who);
	warm = world_rsop(w, &who, false, &err);
	assert_string_equal(warm, cold);
	free(warm);
	free(cold);
	memset(p, ' ', (size_t)(link + (2 << 20) - p));
	link[(2 << 20) - 1] = '\0';
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPLink", link);
	assert_string_equal(world_summary(w, &host1, false, &err), "error limit: more than 2097152 bytes of gPLink above '" W_HOST "'");
	free(link);
	world_free(w);
}

/* ---- what this server does not hold ---- */

#define OTHER	"DC=other,DC=example"
#define FOREIGN	"CN={CCCCCCCC-0000-0000-0000-000000000007},CN=Policies,CN=System," OTHER

static void test_elsewhere(void **state)
{
	static const char after[] = "7:enforced unreadable 2:applies 1:applies => server policy";
	const char *links = "[LDAP://" FOREIGN ";2]";

	(void)state;
	for (int ad = 0; ad < 2; ad++) {
		struct world *w = world_example(ad);
		struct gp_subject who = host1;
		struct err err;
		char *text = NULL;
		size_t len, asked;
		FILE *f;

		who.site = "Branch";
		w->elsewhere = OTHER;
		world_set(w, "CN=Branch,CN=Sites," W_CONF, "gPLink", links);
		assert_string_equal(world_summary(w, &who, false, &err), after);
		asked = w->n_asked;
		for (size_t i = 0, n = 0; i < w->snapshot->n_searches; i++) {
			if (!dn_below(w->snapshot->searches[i].q.base, OTHER))
				continue;
			assert_int_equal(n++, 0);	/* its policies, at once; then no more of it */
			assert_string_equal(w->snapshot->searches[i].q.base, "CN=Policies,CN=System," OTHER);
		}
		f = open_memstream(&text, &len);
		assert_int_equal(snapshot_write(w->snapshot, f), 0);
		fclose(f);
		assert_non_null(strstr(text, "# search: base=\"CN=Policies,CN=System," OTHER "\" scope=sub"));
		assert_non_null(strstr(text, " outcome=elsewhere entries=0\n"));
		free(text);
		text = world_rsop(w, &who, false, &err);
		assert_non_null(strcasestr(text, "   unreadable          {cccccccc-0000-0000-0000-000000000007}\n"
		    "                       linked and enforced at CN=Branch,CN=Sites," W_CONF "\n"
		    "                       in a domain that this server does not hold\n"));
		free(text);
		/* With hints, also wrong ones. */
		world_hints(w, &who);
		for (size_t i = 0; i < who.n_hints; i++)
			assert_null(strstr(who.hints[i], "other"));
		assert_string_equal(world_summary(w, &who, false, &err), after);
		assert_true(w->n_asked < asked);
		world_free(w);
	}
}

/* A domain below ours: its names may be hinted at, and are asked for one by one. */
static void test_elsewhere_below(void **state)
{
	static const char child[] = "CN={CCCCCCCC-0000-0000-0000-000000000007},CN=Policies,CN=System,DC=child," W_BASE;
	static const char *const hints[] = { child, W_BASE };
	struct world *w = world_example(true);
	struct gp_subject who = host1;
	struct err err;
	char *cold, *warm;

	(void)state;
	w->elsewhere = "DC=child," W_BASE;
	world_gpo(w, child, "not shown here", "3");
	world_set(w, "OU=Web,OU=Servers," W_BASE, "gPLink", arena_printf(w->a, "[LDAP://%s;0][LDAP://%s;1]", child, child));
	cold = world_rsop(w, &who, false, &err);
	assert_non_null(cold);
	assert_non_null(strstr(cold, "in a domain that this server does not hold"));
	assert_null(strstr(cold, "not shown here"));
	who.hints = hints;
	who.n_hints = N(hints);
	warm = world_rsop(w, &who, false, &err);
	assert_string_equal(warm, cold);
	free(cold);
	free(warm);
	world_free(w);
}

/* What must be known stays an error. */
static void test_elsewhere_own(void **state)
{
	static const struct { const char *dn, *want; } cases[] = {
		{ "", "error offline: the root DSE is not held by this server" },
		{ W_BASE, "error offline: '" W_BASE "' is not held by this server" },
		{ "OU=Servers," W_BASE, "error absent: computer HOST1$ does not exist in corp.example (or may not be read)" },
		{ "CN=Branch,CN=Sites," W_CONF, "error offline: site 'CN=Branch,CN=Sites," W_CONF "' is not held by this server" },
		{ W_POL, "error offline: GPO 'cn={aaaaaaaa-0000-0000-0000-000000000002},cn=policies,cn=system," W_BASE
		    "' is not held by this server" },
		{ W_GPO("2"), "error offline: GPO 'cn={aaaaaaaa-0000-0000-0000-000000000002},cn=policies,cn=system," W_BASE
		    "' is not held by this server" },
		{ W_IPSEC_OF(W_GPO("2")), "2:applies 1:applies 3:applies => denied: the assignment 'CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,"
		    "cn={aaaaaaaa-0000-0000-0000-000000000002},cn=policies,cn=system," W_BASE "' is not held by this server" },
		{ W_IPS, "2:applies 1:applies 3:applies => denied: the assigned policy '" W_OBJ("ipsecPolicy", "2") "' is not held by this server" },
	};
	struct gp_subject who = host1;
	struct err err;

	(void)state;
	who.site = "Branch";
	for (int ad = 0; ad < 2; ad++) {
		for (size_t i = 0; i < N(cases); i++) {
			struct world *w = world_example(ad), *before = world_example(ad);

			assert_int_equal(world_run(before, &who, &err), 0);
			w->elsewhere = cases[i].dn;
			for (int warm = 0; warm < 2; warm++) {
				const char *got = world_summary(w, &who, false, &err);

				if (strcasecmp(got, cases[i].want))	/* OpenLDAP writes dc= */
					fail_msg("%s: %s", cases[i].dn, got);
				if (!warm)
					world_hints(before, &who);
			}
			who.n_hints = 0;
			world_free(before);
			world_free(w);
		}
	}
}

/* A container above the computer, the subnets, a part of the policy. */
static void test_elsewhere_parts(void **state)
{
	struct gp_subject who = host1;
	struct world *w = world_example(false);
	const struct dir_query ou = { "OU=Servers," W_BASE, DIR_BASE, "(objectClass=*)", NULL, 0 };
	const struct gp_options o = { 0 };
	enum dir_state state_of;
	struct gp_rsop *r;
	struct ip_addr own;
	struct err err;

	(void)state;
	assert_int_equal(world_run(w, &who, &err), 0);
	assert_int_equal(snapshot_add(w->snapshot, &ou, DIR_ELSEWHERE, NULL, 0, &err), 0);
	assert_int_equal(gp_resolve(&r, w->snapshot, &who, &o, &err), -1);
	assert_int_equal(err.code, ERR_OFFLINE);
	assert_string_equal(err.msg, "'OU=Servers," W_BASE "', above the computer, is not held by this server");
	world_free(w);

	w = world_example(false);
	assert_true(ip_addr_read(&own, "10.77.0.70"));
	who.self = true;
	who.addresses = &own;
	who.n_addresses = 1;
	w->elsewhere = "CN=Subnets,CN=Sites," W_CONF;
	assert_string_equal(world_summary(w, &who, false, &err),
	    "error offline: 'CN=Subnets,CN=Sites,CN=Configuration,dc=corp,dc=example' is not held by this server");
	w->elsewhere = W_OBJ("ipsecFilter", "2");
	assert_string_equal(world_summary(w, &who, false, &err), ALL);
	snapshot_entry(w->snapshot, W_OBJ("ipsecFilter", "2"), &state_of);
	assert_int_equal(state_of, DIR_STATE_ELSEWHERE);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_site_configured),
		cmocka_unit_test(test_site_ping),
		cmocka_unit_test(test_site_subnets),
		cmocka_unit_test(test_site_is_none),
		cmocka_unit_test(test_searches_ad),
		cmocka_unit_test(test_searches_openldap),
		cmocka_unit_test(test_searches_missing),
		cmocka_unit_test(test_hostile_hints),
		cmocka_unit_test(test_many_hints),
		cmocka_unit_test(test_policy_objects),
		cmocka_unit_test(test_dangling_objects),
		cmocka_unit_test(test_many_gpos),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_many_domains),
		cmocka_unit_test(test_many_missing),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_elsewhere_below),
		cmocka_unit_test(test_elsewhere_own),
		cmocka_unit_test(test_elsewhere_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
