/* Policy objects that are remembered save reading them, and change nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "gpo/memory.h"
#include "gpo/watch.h"
#include "gpo_world.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))
#define NTDS	"CN=NTDS Settings,CN=DC1,CN=Servers,CN=Branch,CN=Sites," W_CONF
#define SETTLE	3	/* runs until all that is asked for is remembered */

static const char *const classes[] = { "ipsecPolicy", "ipsecISAKMPPolicy", "ipsecNFA", "ipsecNegotiationPolicy", "ipsecFilter" };
static struct ip_addr own;
static unsigned clock_now;	/* one more for each change */

static struct gp_subject subject(void)
{
	struct gp_subject who = { .computer = "HOST1$", .self = true, .addresses = &own, .n_addresses = 1 };

	assert_true(ip_addr_read(&own, "10.77.0.70"));
	return who;
}

/* ---- a world with stamps ---- */

static bool is_there(const struct world *w, const char *dn)
{
	for (size_t i = 0; i < w->n_entries; i++)
		if (dn_equal(w->entries[i].dn, dn))
			return true;
	return false;
}

static void stamp(struct world *w, const char *dn)
{
	char text[64];

	clock_now++;
	snprintf(text, sizeof(text), "%u", 1000 + clock_now);
	world_set(w, W_ROOT, "highestCommittedUSN", text);
	if (w->ad) {
		world_set(w, dn, "uSNChanged", text);
		snprintf(text, sizeof(text), "20261123%06u.0Z", clock_now);
		world_set(w, dn, "whenChanged", text);
		return;
	}
	snprintf(text, sizeof(text), "20261123%06u.000000Z#000000#000#000000", clock_now);
	world_set(w, dn, "entryCSN", text);
}

static void name(struct world *w, const char *dn)
{
	char text[64];

	snprintf(text, sizeof(text), "%016u", ++clock_now);
	world_set(w, dn, w->ad ? "objectGUID" : "entryUUID", text);
	stamp(w, dn);
}

static struct world *stamped_world(bool ad)
{
	struct world *w = world_example(ad);

	world_set(w, W_ROOT, "dsServiceName", NTDS);
	for (size_t i = 0; i < w->n_entries; i++)
		if (*w->entries[i].dn)
			name(w, w->entries[i].dn);
	return w;
}

static void change(struct world *w, const char *dn, const char *attr, const char *value)
{
	world_set(w, dn, attr, value);
	stamp(w, dn);
}

/* ---- refreshes ---- */

static void remember(struct world *w, struct gp_subject *who)
{
	struct gp_memory *m;
	char *text = NULL;
	struct err err;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(gp_memory_write(w->snapshot, who, out, &err), 0);
	fclose(out);
	if (gp_memory_read(&m, w->a, text, len, &err) < 0)
		fail_msg("%s\n%s", err.msg, text);
	who->memory = m;
	free(text);
}

/* What the last run leaves to the next one. */
static void keep(struct world *w, struct gp_subject *who)
{
	struct gp_subject next = *who;

	world_hints(w, &next);
	remember(w, who);
	who->hints = next.hints;
	who->n_hints = next.n_hints;
}

/* With the memory and hints of the last one. */
static void refresh_at(struct world *w, struct gp_subject *who, size_t read, const char *odd, int line)
{
	struct err err;

	if (world_run(w, who, &err) < 0)
		fail_msg("line %d: %s", line, err.msg);
	if (w->n_read != read || (w->odd != NULL) != (odd != NULL) || (odd && !strstr(w->odd, odd)))
		fail_msg("line %d: %zu objects read, %zu kept, %s", line, w->n_read, w->n_kept, w->odd ? w->odd : "not odd");
	keep(w, who);
}
#define refresh(w, who, read, odd)	refresh_at(w, who, read, odd, __LINE__)

static void settle(struct world *w, struct gp_subject *who)
{
	struct err err;

	for (int i = 0; i < SETTLE; i++) {
		assert_int_equal(world_run(w, who, &err), 0);
		keep(w, who);
	}
}

static void put(FILE *out, const struct dir_snapshot *s, const char *dn)
{
	enum dir_state state;
	const struct dir_entry *e = snapshot_entry(s, dn, &state);

	fprintf(out, "%s %d\n", dn, state);
	for (size_t i = 0; e && i < e->n_attrs; i++)
		for (size_t j = 0; j < e->attrs[i].n_values; j++)
			fprintf(out, "  %s: %s\n", e->attrs[i].name, (const char *)e->attrs[i].values[j].p);
}

/* All that decides, in the last snapshot: the RSoP, and every object that the hints name. */
static char *told(struct world *w, const struct gp_subject *who)
{
	const struct gp_options o = { 0 };
	const char *const *hints;
	struct gp_rsop *rsop;
	char *text = NULL;
	struct err err;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_int_equal(gp_resolve(&rsop, w->snapshot, who, &o, &err), 0);
	assert_int_equal(rsop_write(rsop, out), 0);
	rsop_free(rsop);
	assert_int_equal(gp_hints(&hints, &n, w->snapshot, who, w->a, &err), 0);
	for (size_t i = 0; i < n; i++)
		if (strstr(hints[i], "CN=ipsec") && !strchr(" 0123456789", hints[i][0]))
			put(out, w->snapshot, hints[i]);
	fclose(out);
	return text;
}

/* ---- the tests ---- */

static void test_unchanged(void **state)
{
	(void)state;
	for (int ad = 0; ad < 2; ad++) {
		struct gp_subject who = subject();
		struct world *w = stamped_world(ad);
		size_t asked;

		settle(w, &who);
		asked = w->n_asked;
		for (int i = 0; i < 3; i++)
			refresh(w, &who, 0, NULL);
		/* The policy's five, and the assignment of each GPO that has one. */
		assert_int_equal(w->n_kept, 5 + 3);
		assert_int_equal(w->n_asked, asked);
		world_free(w);
	}
}

static void test_changed(void **state)
{
	(void)state;
	for (int ad = 0; ad < 2; ad++) {
		struct gp_subject who = subject();
		struct world *w = stamped_world(ad);
		enum dir_state found;

		settle(w, &who);
		change(w, W_OBJ("ipsecFilter", "2"), "ipsecData", "new");
		refresh(w, &who, 1, NULL);
		assert_string_equal(entry_text(snapshot_entry(w->snapshot, W_OBJ("ipsecFilter", "2"), &found), "ipsecData"), "new");
		/* What nobody refers to is not asked for. */
		change(w, W_OBJ("ipsecFilter", "3"), "ipsecData", "other");
		refresh(w, &who, 0, NULL);
		/* A new rule, with the list and the action of another policy. */
		world_add(w, W_OBJ("ipsecNFA", "9"), "objectClass", "ipsecNFA", "ipsecNegotiationPolicyReference",
		    W_OBJ("ipsecNegotiationPolicy", "3"), "ipsecFilterReference", W_OBJ("ipsecFilter", "3"), NULL);
		name(w, W_OBJ("ipsecNFA", "9"));
		world_put(w, W_OBJ("ipsecPolicy", "2"), "ipsecNFAReference", W_OBJ("ipsecNFA", "9"));
		stamp(w, W_OBJ("ipsecPolicy", "2"));
		assert_int_equal(world_run(w, &who, &(struct err){ 0 }), 0);
		assert_non_null(snapshot_entry(w->snapshot, W_OBJ("ipsecNFA", "9"), NULL));
		assert_non_null(snapshot_entry(w->snapshot, W_OBJ("ipsecNegotiationPolicy", "3"), NULL));
		keep(w, &who);
		refresh(w, &who, 0, NULL);
		assert_int_equal(w->n_kept, 5 + 3 + 3);
		world_free(w);
	}
}

/* A memory of someone else, damaged, or of what is no more. */
static void test_odd(void **state)
{
	const size_t all = 5 + 3;

	(void)state;
	for (int ad = 0; ad < 2; ad++) {
		struct gp_subject who = subject();
		struct world *w = stamped_world(ad);
		const char *list = W_OBJ("ipsecFilter", "2"), *csn = ad ? "uSNChanged" : "entryCSN";

		settle(w, &who);
		world_set(w, list, csn, ad ? "7" : "20261122000000.000000Z#000000#000#000000");
		refresh(w, &who, all, "goes backwards");
		world_set(w, list, csn, ad ? "x" : "");
		refresh(w, &who, all, "missing");
		world_set(w, list, csn, NULL);
		refresh(w, &who, 1, NULL);		/* it was not remembered */
		stamp(w, list);
		world_put(w, list, csn, ad ? "8" : "20261122000000.000000Z#000000#000#000000");
		refresh(w, &who, 1, NULL);
		stamp(w, list);
		refresh(w, &who, 1, NULL);
		name(w, list);
		refresh(w, &who, all, "another object's");
		refresh(w, &who, 0, NULL);
		world_hide(w, list);
		world_run(w, &who, &(struct err){ 0 });
		assert_string_equal(w->odd, "an object is gone");
		world_free(w);
	}
}

static void test_other_server(void **state)
{
	struct gp_subject who = subject();
	struct world *w = stamped_world(true);
	struct err err;

	(void)state;
	settle(w, &who);
	world_set(w, W_ROOT, "dsServiceName", "CN=NTDS Settings,CN=DC2,CN=Servers,CN=Branch,CN=Sites," W_CONF);
	assert_int_equal(world_run(w, &who, &err), 0);
	assert_int_equal(w->n_kept, 0);
	world_set(w, W_ROOT, "dsServiceName", NTDS);
	refresh(w, &who, 0, NULL);
	assert_true(w->n_kept > 0);
	/* Set back to an older copy of itself. */
	world_set(w, W_ROOT, "highestCommittedUSN", "5");
	assert_int_equal(world_run(w, &who, &err), 0);
	assert_int_equal(w->n_kept, 0);
	world_set(w, W_ROOT, "highestCommittedUSN", NULL);
	assert_int_equal(world_run(w, &who, &err), 0);
	assert_int_equal(w->n_kept, 0);
	/* And then there is nothing to remember. */
	keep(w, &who);
	stamp(w, W_OBJ("ipsecFilter", "2"));
	assert_int_equal(world_run(w, &who, &err), 0);
	assert_int_equal(w->n_kept, 0);
	world_free(w);
}

static void test_text(void **state)
{
	static const char *const bad[] = { "", "ipsecpol memory 2\n", "ipsecpol memory 1", "ipsecpol memory 1\nad X",
		"ipsecpol memory 1\nad X\ncn: 1\n", "ipsecpol memory 1\nad X\ndn: CN=a\nobjectClass: ipsecNFA\n\ndn: cn=A\nobjectClass: ipsecNFA\n" };
	struct arena *a = arena_new(0);
	struct gp_memory *m = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < N(bad); i++) {
		assert_int_equal(gp_memory_read(&m, a, bad[i], strlen(bad[i]), &err), -1);
		assert_null(m);
	}
	assert_int_equal(gp_memory_read(&m, a, "ipsecpol memory 1\n", 18, &err), 0);
	assert_int_equal(gp_memory_read(&m, a, "ipsecpol memory 1\nad X\n", 23, &err), 0);
	arena_free(a);
}

/* A policy of more objects than can be hints: they come by their container. */
static void test_large(void **state)
{
	enum { MORE = 320 };

	(void)state;
	for (int ad = 0; ad < 2; ad++) {
		struct gp_subject who = subject();
		struct world *w = stamped_world(ad);
		char dn[200];

		for (int i = 0; i < MORE; i++) {
			snprintf(dn, sizeof(dn), "CN=ipsecNFA{%d}," W_IPS, i);
			world_add(w, dn, "objectClass", "ipsecNFA", "ipsecNegotiationPolicyReference",
			    W_OBJ("ipsecNegotiationPolicy", "2"), "ipsecFilterReference", W_OBJ("ipsecFilter", "2"), NULL);
			name(w, dn);
			world_put(w, W_OBJ("ipsecPolicy", "2"), "ipsecNFAReference", dn);
		}
		settle(w, &who);
		refresh(w, &who, 0, NULL);
		assert_int_equal(w->n_kept, 3 + 15 + MORE);
		change(w, "CN=ipsecNFA{7}," W_IPS, "ipsecName", "new");
		change(w, "CN=ipsecNFA{8}," W_IPS, "ipsecName", "new");
		refresh(w, &who, 2, NULL);
		for (int i = 0; i < 250; i++) {		/* by the hundred */
			snprintf(dn, sizeof(dn), "CN=ipsecNFA{%d}," W_IPS, i);
			change(w, dn, "ipsecName", "newer");
		}
		refresh(w, &who, 250, NULL);
		for (int i = 0; i < MORE; i++) {
			snprintf(dn, sizeof(dn), "CN=ipsecNFA{%d}," W_IPS, i);
			change(w, dn, "ipsecName", "newest");
		}
		refresh(w, &who, 15 + MORE, "many objects changed");
		world_del(w, "CN=ipsecNFA{9}," W_IPS);
		refresh(w, &who, 15 + MORE - 1, "gone");
		world_free(w);
	}
}

/* ---- any sequence of edits ---- */

static uint32_t draw(uint32_t n)
{
	static uint64_t seed = 20261123;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static const char *object(struct arena *a)
{
	return arena_printf(a, "CN=%s{72385230-70FA-11D1-864C-14A30000000%u}," W_IPS, classes[draw(N(classes))], 1 + draw(4));
}

static void edit(struct world *w)
{
	static const char *const attrs[] = { "ipsecData", "ipsecName", "description", "ipsecFilterReference",
		"ipsecNegotiationPolicyReference", "ipsecNFAReference", "ipsecISAKMPReference" };
	static const char *const words[] = { "one", "two", "three" };
	const char *dn = object(w->a), *attr = attrs[draw(N(attrs))];

	switch (draw(8)) {
	case 0:
		if (is_there(w, dn) && draw(3) == 0)
			world_del(w, dn);
		break;
	case 1:		/* back, or new */
		if (is_there(w, dn))
			break;
		world_add(w, dn, "objectClass", arena_strndup(w->a, dn + 3, strcspn(dn + 3, "{")), "ipsecData", words[draw(3)], NULL);
		name(w, dn);
		break;
	case 2:		/* another assignment */
		change(w, W_IPSEC_OF(W_GPO("2")), "ipsecOwnersReference",
		    arena_printf(w->a, "CN=ipsecPolicy{72385230-70FA-11D1-864C-14A30000000%u}," W_IPS, 1 + draw(3)));
		break;
	case 3:
		world_set(w, "OU=Servers," W_BASE, "gPLink", draw(2) ? W_LINK("2", "0") : W_LINK("2", "1"));
		break;
	case 4:
		if (is_there(w, dn))
			name(w, dn);	/* deleted and made anew */
		break;
	default:
		if (is_there(w, dn))
			change(w, dn, attr, strstr(attr, "Reference") ? object(w->a) : words[draw(3)]);
	}
}

static void test_any_edits(void **state)
{
	size_t kept = 0, whole = 0;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		static struct world *w;
		static struct gp_subject who;
		struct gp_subject forgetful;
		char *with, *without;
		struct err err;

		if (round % 100 == 0) {
			w = stamped_world(round / 100 % 2);
			who = subject();
		}
		for (uint32_t n = draw(4); n > 0; n--)
			edit(w);
		forgetful = who;
		forgetful.memory = NULL;
		assert_int_equal(world_run(w, &forgetful, &err), 0);
		without = told(w, &forgetful);
		assert_int_equal(world_run(w, &who, &err), 0);
		kept += w->n_kept;
		whole += w->odd != NULL;
		with = told(w, &who);
		assert_string_equal(with, without);
		keep(w, &who);
		free(with);
		free(without);
		if (round % 100 == 99)
			world_free(w);
	}
	assert_true(kept > 3000);
	assert_true(whole > 100 && whole < 2000);
}

/* ---- what is watched (gpo/watch.h) ---- */

static void test_watch(void **state)
{
	static const char *const hints[] = { "not a name", "CN=x," W_BASE, "OU=Elsewhere,DC=other", "OU=Web,OU=Servers," W_BASE,
		"OU=Servers," W_BASE };
	static const char *const bases[] = { W_IPS, "CN=Policies,CN=System," W_BASE, W_BASE, "OU=Web,OU=Servers," W_BASE };
	struct gp_subject who = subject();
	struct gp_watch p;
	struct dir_query ask;
	struct err err;

	(void)state;
	who.hints = hints;
	who.n_hints = N(hints);
	for (int ad = 0; ad < 2; ad++) {
		struct world *w = world_example(ad);
		struct dir_snapshot *empty = snapshot_new();

		assert_int_equal(gp_watch_plan(&p, &ask, empty, &who, w->a, &err), 1);
		assert_string_equal(ask.base, "");
		snapshot_free(empty);
		assert_int_equal(world_run(w, &who, &err), 0);
		assert_int_equal(gp_watch_plan(&p, &ask, w->snapshot, &who, w->a, &err), 0);
		assert_int_equal(p.ad, ad);
		assert_int_equal(p.n, ad ? 4 : 1);
		for (size_t i = 0; ad && i < p.n; i++) {
			assert_true(dn_equal(p.q[i].base, bases[i]));
			assert_int_equal(p.q[i].scope, i < 2 ? DIR_ONE : DIR_BASE);
			assert_string_equal(p.q[i].filter, "(objectClass=*)");
		}
		if (!ad) {
			assert_true(dn_equal(p.q[0].base, W_BASE));
			assert_int_equal(p.q[0].scope, DIR_SUB);
			assert_non_null(strstr(p.q[0].filter, "(objectClass=ipsecFilter)"));
			assert_non_null(strstr(p.q[0].filter, "(objectClass=groupPolicyContainer)"));
			assert_null(strstr(p.q[0].filter, "computer"));
		}
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unchanged),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_odd),
		cmocka_unit_test(test_other_server),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_any_edits),
		cmocka_unit_test(test_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
