/* The guard against every way in which a packet can meet two generations: for random pairs of policies with
 * the same rules, each split of the maps into those that are still as they were and those that are new,
 * and each lookup that misses what is taken out and put in again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nft/guard.h"
#include "nft/judge.h"
#include "nft/ruleset.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "tests/mkpolicy.h"

#define MAX_MAPS	64

static uint64_t state = 88172645463325252u;

static unsigned pick(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 11) % n;
}

static struct ruleset *rendered(const char *text)
{
	struct mk *m = mk_policy(text);
	struct ruleset *r = NULL;
	struct err err;

	if (mk_render(&r, m, &err) < 0)
		fail_msg("%s", err.msg);
	mk_free(m);
	return r;
}

/* ---- random policies ---- */

static const char *const shapes[] = {
	"me 10.0.0.%u/32 any * *", "me 10.0.0.%u/32 tcp * *", "me 10.0.0.%u/32 tcp * 8%u", "me 10.0.%u.0/24 any * *",
	"me 10.0.%u.0/24 tcp * 8%u", "me 10.%u.0.0/16 any * *", "any 10.0.0.%u/32 tcp * 8%u", "10.0.1.%u/32 any any * *",
	/* With ranges_write alone. */
	"me 10.0.0.%u/32 tcp * 8%u-83",
};
#define N_SHAPES	(sizeof(shapes) / sizeof(shapes[0]) - 1)
static const char *const kinds[] = { "permit", "block", "require", "request-pass" };
#define N_KINDS		4
#define MAX_FILTERS	40

struct filter {
	unsigned	shape, addr, port, kind;
	bool		mirrored;
};

static struct filter filter_make(bool ranges)
{
	return (struct filter){ ranges && pick(2) ? N_SHAPES : pick(N_SHAPES), pick(3), pick(2), pick(N_KINDS), pick(4) == 0 };
}

static void filter_write(FILE *out, const struct filter *f, unsigned number)
{
	fprintf(out, "filter #%u ", number);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
	fprintf(out, shapes[f->shape], f->addr, f->port);
#pragma GCC diagnostic pop
	fputs(f->mirrored ? " mirrored\n" : "\n", out);
}

/* Ranges that no packet of the test meets, with pieces of all lengths. */
static char *ranges_write(void)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("rule block Ranges\n", out);
	for (unsigned i = 0; i < 40; i++)
		fprintf(out, "filter #%u me 10.0.0.%u/32 tcp * 1-65534 mirrored\n", 2000 + i, 100 + i);
	fclose(out);
	return text;
}

/* Of every shape and kind one that no packet of the test meets, so that the rules are the same. */
static struct ruleset *policy_make(const struct filter *f, size_t n, const char *name, const char *plain)
{
	struct ruleset *r;
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("fact dns 10.0.0.1\nlifeline\n", out);
	for (unsigned k = 0; k < N_KINDS; k++) {
		fprintf(out, "rule %s %s\n", kinds[k], name);
		for (unsigned s = 0; s < N_SHAPES; s++)
			filter_write(out, &(struct filter){ s, 100 + k, 0, k, true }, 1000 + k * 100 + s);
		for (size_t i = 0; i < n; i++)
			if (f[i].kind == k)
				filter_write(out, &f[i], (unsigned)i);
	}
	fputs(plain, out);
	fclose(out);
	r = rendered(text);
	free(text);
	return r;
}

/* ---- what a packet can meet ---- */

static bool is_among(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/* The chain for packets of this host comes first and has all the maps of its hook; the one for the others
 * has some of them in the same order. */
static size_t maps_find(const char *names[static MAX_MAPS], const struct ruleset *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_chains; i++)
		for (size_t k = 0; k < r->chains[i]->n_rules; k++) {
			const struct rs_rule *rule = &r->chains[i]->rules[k];

			if (rule->verdict != RS_VMAP || is_among(names, n, rule->vmap->set))
				continue;
			assert_true(n < MAX_MAPS);
			names[n++] = rule->vmap->set;
		}
	return n;
}

/* Keys that are in both, and differ, are in neither. */
static struct rs_set *set_missed(struct ruleset *m, const struct rs_set *old, const struct rs_set *new)
{
	struct rs_set *s = arena_memdup(m->arena, new, sizeof(*s));

	s->elements = NULL;
	s->n_elements = s->n_reserved = 0;
	for (size_t i = 0; i < new->n_elements; i++) {
		const struct rs_element *was = set_element(old, new->elements[i].key);

		if (!was || rs_element_equal(was, &new->elements[i]))
			*rs_element_add(m, s, new->elements[i].key) = new->elements[i];
	}
	return s;
}

/* The first n maps as they were, the next perhaps missed, the rest new. */
static struct ruleset *mixed(const struct ruleset *old, const struct ruleset *new, const char *const *maps, size_t n, bool missed)
{
	struct ruleset *m = ruleset_new();
	struct err err;

	m->chains = new->chains;
	m->n_chains = new->n_chains;
	m->sets = arena_zalloc(m->arena, new->n_sets, sizeof(*m->sets));
	for (size_t i = 0; i < new->n_sets; i++) {
		struct rs_set *s = new->sets[i];
		const struct rs_set *was = ruleset_set(old, s->name);

		for (size_t k = 0; k < n; k++)
			if (!strcmp(maps[k], s->name))
				s = (struct rs_set *)was;
		if (missed && !strcmp(maps[n], s->name))
			s = set_missed(m, was, s);
		m->sets[m->n_sets++] = s;
	}
	assert_int_equal(ruleset_seal(m, &err), 0);
	return m;
}

struct place {
	struct packet_head	h;
	struct judge_place	at;
};

static size_t packets_make(struct place *ret)
{
	size_t n = 0;

	for (unsigned i = 0; i < 3 * 3 * 2 * 3 * 2; i++) {
		const unsigned host = i % 3, net = i / 3 % 3, tcp = i / 9 % 2, port = i / 18 % 3, protected = i / 54;
		struct place *p = &ret[n++];

		*p = (struct place){ .h = { .family = AF_INET, .src = { 10, 9, 9, 9 }, .dst = { 10, 0, (uint8_t)net, (uint8_t)host },
			.protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP, .th = { 100, 1, 0, (uint8_t)(80 + port) }, .n_th = 4 },
			.at = { .hook = RS_HOOK_POSTROUTING, .oif = 2, .src_type = RTN_LOCAL, .leaves_protected = protected } };
		ret[n] = *p;
		memcpy(ret[n].h.src, p->h.dst, 4);
		memcpy(ret[n].h.dst, p->h.src, 4);
		ret[n].at = (struct judge_place){ .hook = RS_HOOK_INPUT, .iif = 2, .dst_type = RTN_LOCAL, .came_protected = protected };
		n++;
		/* Forwarded, between what filters are about. */
		ret[n] = *p;
		memcpy(ret[n].h.src, "\x0a\x00\x01", 3);
		ret[n].h.src[3] = (uint8_t)(i % 2);
		ret[n++].at = (struct judge_place){ .hook = RS_HOOK_FORWARD, .iif = 2, .oif = 3, .leaves_protected = protected };
		/* From and to addresses that are not this host's, but at its hooks. */
		ret[n] = *p;
		ret[n++].at.src_type = RTN_UNICAST;
		ret[n] = ret[n - 3];
		ret[n++].at.dst_type = RTN_ANYCAST;
	}
	return n;
}
#define N_PACKETS	(5 * 108)

static bool drops(const struct ruleset *r, const struct place *p)
{
	struct judgement j;

	assert_true(judge_packet(&j, r, &p->h, &p->at));
	return j.verdict == RS_DROP;
}

struct tally {
	unsigned	n_none, n_some, n_all, n_gaps, n_lost;
};

static void split_check(struct tally *t, const struct place *packets, size_t n, const bool *old, const bool *new, const bool *guard,
    struct ruleset *m)
{
	for (size_t i = 0; i < n; i++) {
		if (!old[i] || !new[i] || drops(m, &packets[i]))
			continue;
		t->n_gaps++;
		if (!guard[i])
			fail_msg("a packet passes between");
	}
	ruleset_free(m);
}

static void pair_check(struct tally *t, const struct ruleset *old, const struct ruleset *new)
{
	static struct place packets[N_PACKETS];
	static bool was[N_PACKETS], will[N_PACKETS], guard[N_PACKETS];
	const size_t n = packets_make(packets);
	const char *maps[MAX_MAPS];
	const size_t n_maps = maps_find(maps, new);
	struct rs_changes c;
	struct ruleset *g;
	struct err err;

	assert_int_equal(changes_find(&c, new, old, &err), 0);
	for (size_t i = 0; i < c.n; i++)
		assert_int_equal(c.all[i].what, RS_DIFF_ELEMENT);
	assert_int_equal(guard_plan(&g, &c, &err), 0);
	t->n_none += !g;
	t->n_some += g && g != new;
	t->n_all += g == new;
	for (size_t i = 0; i < n; i++) {
		was[i] = drops(old, &packets[i]);
		will[i] = drops(new, &packets[i]);
		guard[i] = g && drops(g, &packets[i]);
		/* Nor does it take what the new rules let through. */
		if (guard[i] && !will[i])
			fail_msg("the guard drops what may pass");
	}
	for (size_t k = 0; k <= n_maps; k++) {
		split_check(t, packets, n, was, will, guard, mixed(old, new, maps, k, false));
		if (k < n_maps)
			split_check(t, packets, n, was, will, guard, mixed(old, new, maps, k, true));
	}
	ruleset_free(g);
	changes_free(&c);
}

static void random_pair(struct tally *t, unsigned max_changes, const char *plain, bool ranges)
{
	struct filter a[MAX_FILTERS], b[MAX_FILTERS];
	const size_t n = 1 + pick(MAX_FILTERS - 1), changes = 1 + pick(max_changes);
	struct ruleset *old, *new;

	for (size_t i = 0; i < n; i++)
		a[i] = b[i] = filter_make(ranges);
	for (size_t i = 0; i < changes; i++) {
		const size_t at = pick((unsigned)n);

		if (pick(3))
			b[at] = filter_make(ranges);
		else
			b[at].kind = pick(N_KINDS);
	}
	old = policy_make(a, n, "Name", plain);
	new = policy_make(b, n, pick(10) ? "Name" : "Other", plain);
	pair_check(t, old, new);
	ruleset_free(old);
	ruleset_free(new);
}

/* From one to many changes. */
static void test_random_pairs(void **unused)
{
	/* Rules between the maps, the same before and after. */
	static const char *const plains[] = { "", "rule block Range\nfilter #500 me 10.0.0.0-10.0.0.2 any * * mirrored\n",
		"rule permit Range\nfilter #500 me 10.0.0.1-10.0.0.2 any * * mirrored\n",
		"rule require Range\nfilter #500 me 10.0.0.0-10.0.1.1 tcp * 80-81 mirrored\n" };
	struct tally t = { 0 };

	(void)unused;
	for (int round = 0; round < 400; round++)
		random_pair(&t, round % 3 ? 3 : 20, plains[pick(4)], false);
	assert_int_equal(t.n_all, 0);
	assert_true(t.n_none > 20 && t.n_some > 100 && t.n_gaps > 100);
}

/* A range is several elements of several maps. */
static void test_random_ranges(void **unused)
{
	struct tally t = { 0 };
	char *ranges = ranges_write();

	(void)unused;
	for (int round = 0; round < 60; round++)
		random_pair(&t, round % 3 ? 3 : 20, ranges, true);
	free(ranges);
	assert_int_equal(t.n_all, 0);
	assert_true(t.n_none > 5 && t.n_some > 20 && t.n_gaps > 20);
}

static struct ruleset *plan(const char *was, const char *will, struct ruleset **ret_old, struct ruleset **ret_new)
{
	struct rs_changes c;
	struct ruleset *g;
	struct err err;

	*ret_old = was ? rendered(was) : NULL;
	*ret_new = will ? rendered(will) : NULL;
	assert_int_equal(changes_find(&c, *ret_new, *ret_old, &err), 0);
	assert_int_equal(guard_plan(&g, &c, &err), 0);
	changes_free(&c);
	return g;
}

static void none(const char *was, const char *will)
{
	struct ruleset *old, *new;

	assert_null(plan(was, will, &old, &new));
	ruleset_free(old);
	ruleset_free(new);
}

static void all(const char *was, const char *will)
{
	struct ruleset *old, *new, *g = plan(was, will, &old, &new);

	assert_ptr_equal(g, new);
	ruleset_free(g);
	ruleset_free(old);
	ruleset_free(new);
}

static void some(const char *was, const char *will, size_t n_sets, size_t n_elements)
{
	struct ruleset *old, *new, *g = plan(was, will, &old, &new);
	size_t n = 0;

	assert_non_null(g);
	assert_ptr_not_equal(g, new);
	assert_int_equal(g->n_sets, n_sets);
	for (size_t i = 0; i < g->n_sets; i++)
		n += g->sets[i]->n_elements;
	assert_int_equal(n, n_elements);
	ruleset_free(g);
	ruleset_free(old);
	ruleset_free(new);
}

#define BASE	"rule block B\nfilter #90 me 10.0.0.1/32 any * *\nfilter #91 me 10.0.1.0/24 any * *\nfilter #95 me 10.1.0.0/16 any * *\n"
#define PERMIT	"rule permit P\nfilter #92 me 10.0.0.2/32 any * *\nfilter #93 me 10.0.2.0/24 any * *\n"

static void test_kinds(void **unused)
{
	(void)unused;
	none(NULL, BASE);
	none(BASE, NULL);
	none(BASE, BASE);
	none(BASE, BASE "filter #5 me 10.0.0.5/32 any * *");
	none(BASE "filter #5 me 10.0.0.5/32 any * *", BASE);
	none(BASE "filter #5 me 10.0.0.5/32 any * *", BASE "filter #6 me 10.0.0.6/32 any * *");
	none(BASE PERMIT "filter #5 me 10.0.0.5/32 any * *", BASE "filter #5 me 10.0.0.5/32 any * *\n" PERMIT);
	none(BASE "filter #5 me 10.0.0.5/32 any * *\n" PERMIT, BASE PERMIT "filter #5 me 10.0.0.5/32 any * *");
	/* Down to a less specific map: the packet meets the old one, or both, or the new one. */
	none(BASE "filter #5 me 10.0.5.1/32 any * *", BASE "filter #5 me 10.0.5.0/24 any * *");
	/* Up: it may meet neither.  Of what comes before it only what is for the same packets. */
	some(BASE "filter #5 me 10.0.5.0/24 any * *", BASE "filter #5 me 10.0.5.1/32 any * *", 1, 1);
	some(BASE "filter #5 me 10.0.0.0/16 any * *\n" PERMIT, BASE "filter #5 me 10.0.2.0/24 any * *\nfilter #6 me 10.0.0.0/24 any * *\n" PERMIT "filter #7 me 10.0.0.7/32 any * *", 2, 3);
	/* Elsewhere it does not matter. */
	none(BASE "filter #5 me 10.0.5.0/24 any * *", BASE "filter #5 me 10.0.6.1/32 any * *");
	/* Its name alone: out and in again. */
	some(BASE, "rule block Other\nfilter #90 me 10.0.0.1/32 any * *\nfilter #91 me 10.0.1.0/24 any * *\nfilter #95 me 10.1.0.0/16 any * *\n", 3, 3);
	none("lifeline\nfact dns 10.0.0.1\n" BASE, "lifeline\nfact dns 10.0.0.2\n" BASE);
	/* A new shape is a new rule. */
	all(BASE, BASE "filter #5 me 10.0.0.5/32 tcp * *");
	all(BASE, BASE "filter #5 me 10.0.0.5-10.0.0.9 any * *");
	all(BASE, "ipsecexempt 0\n" BASE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_random_pairs),
		cmocka_unit_test(test_random_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
