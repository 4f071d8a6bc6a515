/* Hints where the directory computes no token: they save searches, and change nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "gpo_world.h"
#include "schema/arena.h"
#include "schema/err.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define G(name)		"CN=" name ",CN=Users," W_BASE
#define SUBNETS		"CN=Subnets,CN=Sites," W_CONF
#define ALL		"2:applies 1:applies 3:applies => server policy"
#define DENIED		"2:access-denied 1:applies 3:applies => domain policy"

static struct ip_addr own;

static struct gp_subject subject(void)
{
	struct gp_subject who = { .computer = "HOST1$", .self = true, .addresses = &own, .n_addresses = 1 };

	assert_true(ip_addr_read(&own, "10.77.0.70"));
	return who;
}

static void add_group(struct world *w, const char *dn, const char *rid, const char *member)
{
	char sid[60];

	snprintf(sid, sizeof(sid), W_DOM "-%s", rid);
	world_add(w, dn, "objectClass", "group", "objectSid", sid, "groupType", "-2147483646",
	    member ? "member" : NULL, member, NULL);
}

/* HOST1 < a < b < c, DACLs on all GPOs; only c may apply GPO 2. */
static struct world *nested_world(void)
{
	struct world *w = world_example(false);

	add_group(w, G("a"), "2001", W_HOST);
	add_group(w, G("b"), "2002", G("a"));
	add_group(w, G("c"), "2003", G("b"));
	add_group(w, G("others"), "2004", "CN=HOST2,OU=Web,OU=Servers," W_BASE);
	world_set(w, W_GPO("1"), "nTSecurityDescriptor", W_AGP);
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-2003");
	world_set(w, W_GPO("3"), "nTSecurityDescriptor", W_AGP);
	return w;
}

static const char *const nested_hints[] = {
	"primary 0 S-1-5-21-1-2-3-515", "member 0 " W_HOST, "member 1 " G("a"), "member 2 " G("b"), "member 3 " G("c"),
};

static void expect_at(struct world *w, const struct gp_subject *who, const char *want, size_t max, int line)
{
	struct err err;
	const char *got = world_summary(w, who, false, &err);

	if (strcmp(got, want))
		fail_msg("line %d: %s", line, got);
	if (w->n_asked > max)
		fail_msg("line %d: %zu searches, not %zu", line, w->n_asked, max);
}

#define expect(w, who, want, max) expect_at(w, who, want, max, __LINE__)

/* ---- how many searches ---- */

static void test_count(void **state)
{
	struct gp_subject who = subject();
	struct world *w = nested_world();
	char *cold, *warm;
	struct err err;

	(void)state;
	cold = world_rsop(w, &who, false, &err);
	assert_non_null(cold);
	assert_int_equal(w->n_asked, 7 + 4);
	for (int i = 0; i < 3; i++) {	/* and hints from hints */
		world_hints(w, &who);
		assert_int_equal(who.n_hints, 4 + 6 + 5 + N(nested_hints));
		for (size_t j = 0; j < N(nested_hints); j++) {
			const char *hint = who.hints[who.n_hints - N(nested_hints) + j];

			assert_string_equal(hint, nested_hints[(j + 1) % N(nested_hints)]);
		}
		warm = world_rsop(w, &who, false, &err);
		assert_string_equal(warm, cold);
		assert_int_equal(w->n_asked, 2);
		free(warm);
	}
	free(cold);
	world_free(w);
}

static void test_filter(void **state)
{
	static const char want[] = "(objectClass=subnet)(objectClass=subnetContainer)"
	    "(&(|(objectClass=group)(objectClass=groupOfNames))(|"
	    "(&(|(entryDN=CN=a,CN=U,DC=corp,DC=example))(|(member=CN=H,DC=corp,DC=example)"
	    "(objectSid=\\01\\02\\00\\00\\00\\00\\00\\05\\15\\00\\00\\00\\03\\02\\00\\00)))"
	    "(&(|(entryDN=CN=b,CN=U,DC=corp,DC=example))(|(member=CN=a,CN=U,DC=corp,DC=example)"
	    "(member=CN=d,CN=U,DC=corp,DC=example)))"
	    "(entryDN=CN=d,CN=U,DC=corp,DC=example)"
	    "(&(|(member=CN=H,DC=corp,DC=example)(member=CN=a,CN=U,DC=corp,DC=example)(member=CN=d,CN=U,DC=corp,DC=example)"
	    "(member=CN=b,CN=U,DC=corp,DC=example)"
	    "(objectSid=\\01\\02\\00\\00\\00\\00\\00\\05\\15\\00\\00\\00\\03\\02\\00\\00)"
	    "(entryDN=OU=none))(!(|(entryDN=CN=a,CN=U,DC=corp,DC=example)(entryDN=CN=b,CN=U,DC=corp,DC=example)"
	    "(entryDN=CN=d,CN=U,DC=corp,DC=example)))))))";
	static const char *const hints[] = { W_BASE, "member 0 CN=H," W_BASE, "member 1 CN=a,CN=U," W_BASE,
		"named 1 CN=d,CN=U," W_BASE, "member 2 CN=b,CN=U," W_BASE, "none 0 OU=none", "primary 0 S-1-5-21-515" };
	struct gp_subject who = subject();
	struct world *w = nested_world();
	const char *filter, *at;

	(void)state;
	who.hints = hints;
	who.n_hints = N(hints);
	expect(w, &who, ALL, 20);
	filter = w->snapshot->searches[1].q.filter;
	at = strstr(filter, "(objectClass=subnet)(");
	assert_non_null(at);
	assert_string_equal(at, want);
	world_free(w);
}

/* ---- what changed is found ---- */

static void test_changes(void **state)
{
	struct gp_subject who = subject();
	struct world *w = nested_world();

	(void)state;
	expect(w, &who, ALL, 11);
	world_hints(w, &who);
	/* Out of the first group, and so out of all; though each still has the one before.
	 * (One search more is for the objects of another policy.) */
	world_set(w, G("a"), "member", NULL);
	expect(w, &who, DENIED, 4);
	world_hints(w, &who);
	expect(w, &who, DENIED, 2);
	world_set(w, G("a"), "member", W_HOST);
	expect(w, &who, ALL, 7);
	world_hints(w, &who);
	/* Groups that hold each other, but no computer any more. */
	world_set(w, G("a"), "member", G("b"));
	expect(w, &who, DENIED, 4);
	world_put(w, G("a"), "member", W_HOST);
	expect(w, &who, ALL, 2);
	/* Nested into a new one; a new one for the computer; and away again. */
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "D:" W_DOM "-2004 A:S-1-5-11");
	expect(w, &who, ALL, 2);
	world_put(w, G("others"), "member", G("c"));
	expect(w, &who, DENIED, 8);
	world_set(w, G("others"), "member", W_HOST);
	expect(w, &who, DENIED, 7);
	world_hints(w, &who);
	expect(w, &who, DENIED, 2);
	world_set(w, G("others"), "member", "CN=x");
	expect(w, &who, ALL, 7);
	/* A mailing list is none, whether it was hinted at or is new. */
	world_hints(w, &who);
	world_set(w, G("others"), "member", W_HOST);
	world_set(w, G("others"), "groupType", "2");
	expect(w, &who, ALL, 2);
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-2003");
	world_set(w, G("b"), "groupType", "2");
	expect(w, &who, DENIED, 5);
	world_free(w);
}

static void test_primary_and_names(void **state)
{
	struct gp_subject who = subject();
	struct world *w = nested_world();

	(void)state;
	add_group(w, G("primary"), "515", NULL);
	add_group(w, G("p2"), "2005", G("primary"));
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-2005");
	world_put(w, W_HOST, "memberOf", "CN=nobody," W_BASE);
	world_put(w, W_HOST, "memberOf", "OU=Servers," W_BASE);
	world_put(w, W_HOST, "memberOf", "nonsense");
	expect(w, &who, ALL, 11);
	world_hints(w, &who);
	expect(w, &who, ALL, 2);
	/* Another primary group. */
	world_set(w, W_HOST, "primaryGroupID", "516");
	expect(w, &who, DENIED, 7);
	world_hints(w, &who);
	expect(w, &who, DENIED, 2);
	world_set(w, W_HOST, "primaryGroupID", "515");
	expect(w, &who, ALL, 7);
	world_hints(w, &who);
	/* What was no group becomes one; another name appears. */
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "D:" W_DOM "-2006 A:S-1-5-11");
	expect(w, &who, ALL, 2);
	add_group(w, "CN=nobody," W_BASE, "2006", NULL);
	expect(w, &who, DENIED, 7);
	world_hints(w, &who);
	expect(w, &who, DENIED, 2);
	world_set(w, W_HOST, "memberOf", NULL);
	expect(w, &who, ALL, 7);
	world_hints(w, &who);
	world_put(w, W_HOST, "memberOf", "CN=nobody," W_BASE);
	expect(w, &who, DENIED, 7);
	world_free(w);
}

static void test_subnets(void **state)
{
	struct gp_subject who = subject();
	struct world *w = nested_world();
	struct err err;

	(void)state;
	expect(w, &who, ALL, 11);
	world_hints(w, &who);
	/* Another site; a subnet elsewhere in the tree says nothing. */
	world_add(w, "CN=Elsewhere,CN=Sites," W_CONF, "objectClass", "site", NULL);
	world_add(w, "CN=x,CN=10.77.0.70/32," SUBNETS, "objectClass", "subnet", "cn", "10.77.0.70/32",
	    "siteObject", "CN=Branch,CN=Sites," W_CONF, NULL);
	world_set(w, "CN=10.77.0.64/26," SUBNETS, "siteObject", "CN=Elsewhere,CN=Sites," W_CONF);
	expect(w, &who, "2:applies 1:applies => server policy", 3);
	/* One name twice, in either order: the same site. */
	world_add(w, "CN=0," SUBNETS, "objectClass", "subnet", "cn", "10.77.0.64/26", "siteObject", "CN=Branch,CN=Sites," W_CONF, NULL);
	expect(w, &who, ALL, 2);
	/* A container that does not show itself is asked. */
	world_hide(w, SUBNETS);
	expect(w, &who, ALL, 3);
	w->refuse = SUBNETS;
	assert_string_equal(world_summary(w, &who, false, &err),
	    "error denied: 'CN=Subnets,CN=Sites,CN=Configuration,dc=corp,dc=example' may not be searched");
	w->refuse = NULL;
	/* What lies there and is no subnet. */
	world_set(w, SUBNETS, "objectClass", "subnetContainer");
	expect(w, &who, ALL, 2);
	add_group(w, "CN=10.77.0.70/32," SUBNETS, "2009", W_HOST);
	world_set(w, "CN=10.77.0.70/32," SUBNETS, "cn", "10.77.0.70/32");
	world_set(w, "CN=10.77.0.70/32," SUBNETS, "siteObject", "CN=Elsewhere,CN=Sites," W_CONF);
	expect(w, &who, ALL, 20);
	world_free(w);
}

/* Too many for one question: none. */
static void test_too_many(void **state)
{
	struct gp_subject who = subject();
	struct world *w = nested_world();
	char dn[100], rid[20];

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(dn, sizeof(dn), "CN=many%d,CN=Users," W_BASE, i);
		snprintf(rid, sizeof(rid), "%d", 3000 + i);
		add_group(w, dn, rid, W_HOST);
	}
	expect(w, &who, ALL, 20);
	world_hints(w, &who);
	for (size_t i = 0; i < who.n_hints; i++)
		assert_int_not_equal(strncmp(who.hints[i], "member ", 7), 0);
	expect(w, &who, ALL, 20);
	world_free(w);
}

/* ---- hints that are wrong ---- */

static void expect_unused(const char *const *hints, size_t n)
{
	struct gp_subject who = subject();
	struct world *w = nested_world();
	const char *filter;

	who.hints = hints;
	who.n_hints = n;
	expect(w, &who, ALL, 20);
	filter = w->snapshot->searches[1].q.filter;
	if (strstr(filter, "member="))
		fail_msg("%s: %s", hints[n - 1], filter);
	world_free(w);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"member 1 " G("z"), "member 4 ", "member 4 nonsense", "member 4 CN=x,DC=other", "member 4 " W_BASE,
		"member 5 " G("z"), "member 2 " G("z"), "member 0 " G("z"), "named 0 " G("z"), "member 4 " G("a"),
		"primary 0 S-1-5-21-1", "none 0 " G("a"), "none 0 nonsense",
	};
	static const char *const no_first[] = { W_BASE, "member 1 " G("a") }, *const none_first[] = { W_BASE, "none 0 CN=x" };
	static const char *const behind[] = { W_BASE, "member 0 " W_HOST, "none 0 CN=x", "member 1 " G("a") };
	static const char *const sid[] = { W_BASE, "member 0 " W_HOST, "primary 0 S-1-x" };
	const char *hints[N(nested_hints) + 2];
	char *deep[70] = { NULL };

	(void)state;
	hints[0] = W_BASE;
	memcpy(hints + 1, nested_hints, sizeof(nested_hints));
	for (size_t i = 0; i < N(bad); i++) {
		hints[N(nested_hints) + 1] = bad[i];
		expect_unused(hints, N(hints));
	}
	expect_unused(no_first, N(no_first));
	expect_unused(none_first, N(none_first));
	expect_unused(behind, N(behind));
	expect_unused(sid, N(sid));
	for (int i = 0; i < 70; i++)
		if (asprintf(&deep[i], i ? "member %d CN=z%d," W_BASE : W_BASE, i - 1, i) < 0)
			fail();
	expect_unused((const char *const *)deep, N(deep));
	for (int i = 0; i < 70; i++)
		free(deep[i]);
}

/* Well formed, and lies. */
static void test_lies(void **state)
{
	static const char *const lies[][6] = {
		/* groups of somebody else */
		{ W_BASE, "member 0 CN=HOST2,OU=Web,OU=Servers," W_BASE, "member 1 " G("others"), "primary 0 " W_DOM "-515" },
		/* not a member, not named */
		{ W_BASE, "member 0 " W_HOST, "member 1 " G("others"), "primary 0 " W_DOM "-515" },
		{ W_BASE, "member 0 " W_HOST, "named 1 " G("others"), "primary 0 " W_DOM "-515" },
		/* not the primary group */
		{ W_BASE, "member 0 " W_HOST, "member 1 " G("others"), "primary 0 " W_DOM "-2004" },
		/* the group as something else, too */
		{ W_BASE, G("others"), "member 0 " W_HOST, "member 1 " G("others"), "primary 0 " W_DOM "-515" },
		/* fewer than there are */
		{ W_BASE, "member 0 " W_HOST, "primary 0 " W_DOM "-515" },
		{ W_BASE, "member 0 " W_HOST, "member 1 " G("a"), "member 2 " G("b"), "primary 0 " W_DOM "-515" },
		{ W_BASE, "member 0 " W_HOST, "none 0 " G("a"), "primary 0 " W_DOM "-515" },
	};
	static const char *const deny[] = { "D:" W_DOM "-2003 A:S-1-5-11", "A:" W_DOM "-2004" };
	struct gp_subject who = subject();

	(void)state;
	for (size_t i = 0; i < N(lies); i++) {
		for (size_t j = 0; j < N(deny); j++) {
			struct world *w = nested_world();

			world_set(w, W_GPO("2"), "nTSecurityDescriptor", deny[j]);
			who.hints = lies[i];
			for (who.n_hints = 0; who.n_hints < 6 && lies[i][who.n_hints];)
				who.n_hints++;
			expect(w, &who, DENIED, 20);
			world_free(w);
		}
	}
}

/* A group that comes for another reason, too. */
static void test_two_classes(void **state)
{
	static const char *const lie[] = { W_BASE, "primary 0 " W_DOM "-515", "member 0 " W_HOST, "member 1 " G("others") };
	static const char *const both[] = { G("others"), "primary 0 " W_DOM "-515", "member 0 " W_HOST, "member 1 " G("others") };
	struct gp_subject who = subject();
	struct world *w = nested_world();

	(void)state;
	expect(w, &who, ALL, 11);
	world_hints(w, &who);
	/* New for the computer; that it is an OU as well does not hide it. */
	world_put(w, G("others"), "objectClass", "organizationalUnit");
	world_put(w, G("others"), "member", W_HOST);
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "D:" W_DOM "-2004 A:S-1-5-11");
	expect(w, &who, DENIED, 8);
	/* Not a member; but what is a subnet, or is asked for by name, comes all the same. */
	world_set(w, W_GPO("2"), "nTSecurityDescriptor", "A:" W_DOM "-2004");
	world_set(w, G("a"), "member", NULL);
	world_set(w, G("others"), "member", NULL);
	who.hints = both;
	who.n_hints = N(both);
	expect(w, &who, DENIED, 20);
	world_put(w, G("others"), "objectClass", "subnet");
	who.hints = lie;
	who.n_hints = N(lie);
	expect(w, &who, DENIED, 20);
	world_free(w);
}

/* ---- at random ---- */

#define GROUPS	10

static uint64_t seed;

static unsigned pick(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 20) % n;
}

static const char *some_dn(struct world *w)
{
	static const char *const others[] = { "CN=HOST2,OU=Web,OU=Servers," W_BASE, "CN=nobody," W_BASE, "OU=Servers," W_BASE, "nonsense" };
	unsigned n = pick(GROUPS + 6);

	if (n < GROUPS)
		return arena_printf(w->a, "CN=r%u,CN=Users," W_BASE, n);
	return n < GROUPS + 2 ? W_HOST : others[n - GROUPS - 2];
}

static void random_rights(struct world *w)
{
	for (int i = 1; i <= 3; i++)
		world_set(w, arena_printf(w->a, W_GPO("%d"), i), "nTSecurityDescriptor",
		    arena_printf(w->a, "%c:" W_DOM "-%u A:" W_DOM "-%u", pick(2) ? 'A' : 'D', 2000 + pick(GROUPS), 2000 + pick(GROUPS)));
}

static void random_change(struct world *w)
{
	const char *dn = arena_printf(w->a, "CN=r%u,CN=Users," W_BASE, pick(GROUPS));

	switch (pick(10)) {
	case 0: world_set(w, dn, "member", NULL); break;
	case 1: world_set(w, dn, "member", some_dn(w)); break;
	case 2: case 3: world_put(w, dn, "member", some_dn(w)); break;
	case 4: world_set(w, dn, "memberOf", pick(2) ? some_dn(w) : NULL); break;
	case 5: world_set(w, W_HOST, "memberOf", pick(2) ? some_dn(w) : NULL); break;
	case 6: world_set(w, dn, "groupType", pick(3) ? NULL : "2"); break;
	case 7: world_set(w, W_HOST, "primaryGroupID", pick(2) ? "515" : "2003"); break;
	case 8: world_put(w, dn, "objectClass", pick(2) ? "organizationalUnit" : "subnet"); break;
	default: world_set(w, dn, "objectClass", pick(4) ? "group" : pick(2) ? "organizationalUnit" : "subnet"); break;
	}
}

static struct world *random_world(void)
{
	struct world *w = world_example(false);

	for (unsigned i = 0; i < GROUPS; i++) {
		char dn[100], rid[20];

		snprintf(dn, sizeof(dn), "CN=r%u,CN=Users," W_BASE, i);
		snprintf(rid, sizeof(rid), "%u", 2000 + i);
		add_group(w, dn, rid, some_dn(w));
	}
	for (unsigned i = pick(25); i > 0; i--)
		random_change(w);
	random_rights(w);
	return w;
}

static void add_hint(struct world *w, struct gp_subject *who, const char ***hints, const char *hint)
{
	*hints = arena_grow(w->a, *hints, who->n_hints, sizeof(**hints));
	assert_non_null(*hints);
	(*hints)[who->n_hints++] = hint;
	who->hints = *hints;
}

/* Some left out, doubled, exchanged, of another level or kind. */
static void random_hints(struct world *w, struct gp_subject *who)
{
	static const char *const words[] = { "member", "named", "none", "primary" };
	const char *const *old = who->hints, **hints = NULL;
	size_t n = who->n_hints;
	const char *dn;

	who->n_hints = 0;
	for (size_t i = 0; i < n; i++) {
		if (!pick(12))
			continue;
		add_hint(w, who, &hints, old[pick(12) ? i : pick((unsigned)n)]);
		dn = strstr(old[i], " CN=");
		if (dn && !pick(6))
			hints[who->n_hints - 1] = arena_printf(w->a, "%s %u%s", words[pick(4)], pick(4), dn);
		if (!pick(12))
			add_hint(w, who, &hints, arena_printf(w->a, "%s %u %s", words[pick(3)], pick(4), some_dn(w)));
		if (!pick(20))
			add_hint(w, who, &hints, some_dn(w));
	}
}

static int text_cmp(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* The assignment, and the SIDs of the token in order. */
static char *outcome(struct world *w, const struct gp_subject *who)
{
	const struct gp_options o = { 0 };
	char *json, *text, **sids;
	struct gp_rsop *r;
	struct err err;

	json = world_json(w, who, &err);
	text = arena_strdup(w->a, json);
	free(json);
	if (gp_resolve(&r, w->snapshot, who, &o, &err) < 0)
		return text;
	sids = arena_zalloc(w->a, r->n_token, sizeof(*sids));
	for (size_t i = 0; i < r->n_token; i++) {
		sids[i] = arena_zalloc(w->a, SID_TEXT, 1);
		sid_text(&r->token[i], sids[i]);
	}
	if (r->n_token)
		qsort(sids, r->n_token, sizeof(*sids), text_cmp);
	for (size_t i = 0; i < r->n_token; i++)
		text = arena_printf(w->a, "%s\n%s", text, sids[i]);
	rsop_free(r);
	return text;
}

static void compare(struct world *w, const struct gp_subject *who, const char *want, const char *what, uint64_t start)
{
	const char *got = outcome(w, who);

	if (strcmp(got, want) == 0)
		return;
	for (size_t i = 0; i < who->n_hints; i++)
		print_message("%s\n", who->hints[i]);
	fail_msg("%s, seed %llu:\n%s\ninstead of\n%s", what, (unsigned long long)start, got, want);
}

static void random_case(uint64_t start, size_t *n_warm)
{
	struct gp_subject bare = subject(), who = subject();
	struct world *w;
	const char *want;

	seed = start * 2654435761u + 1;
	w = random_world();
	want = outcome(w, &bare);
	world_hints(w, &who);
	compare(w, &who, want, "unchanged", start);
	/* A group that is something else, too, costs; most are not. */
	*n_warm += w->n_asked <= 3;
	for (int i = 0; i < 4; i++) {
		random_change(w);
		if (pick(2))
			random_rights(w);
		want = outcome(w, &bare);
		compare(w, &who, want, "changed", start);
	}
	for (int i = 0; i < 4; i++) {
		random_hints(w, &who);
		compare(w, &who, want, "wrong", start);
	}
	world_free(w);
}

static void test_random(void **state)
{
	const char *rounds = getenv("HINT_ROUNDS");
	uint64_t n = rounds ? strtoull(rounds, NULL, 10) : 60;
	size_t n_warm = 0;

	(void)state;
	for (uint64_t i = 1; i <= n; i++)
		random_case(i, &n_warm);
	if (n_warm < n / 2)
		fail_msg("only %zu of %llu unchanged worlds took three searches", n_warm, (unsigned long long)n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_primary_and_names),
		cmocka_unit_test(test_subnets),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_two_classes),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
