/* What differs between two rulesets: merges of sorted names and keys; and the
 * differences as lines. */
#include "nft/ruleset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/err.h"

static bool str_equal(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool lookup_equal(const struct rs_lookup *a, const struct rs_lookup *b)
{
	return a->invert == b->invert && a->n_keys == b->n_keys && !strcmp(a->set, b->set) &&
	    !memcmp(a->keys, b->keys, a->n_keys * sizeof(a->keys[0]));
}

static bool match_equal(const struct rs_match *a, const struct rs_match *b)
{
	if (a->op != b->op)
		return false;
	if (a->op == RS_LOOKUP)
		return lookup_equal(a->lookup, b->lookup);
	return a->field == b->field && !memcmp(a->lo, b->lo, sizeof(a->lo)) &&
	    !memcmp(a->hi, b->hi, sizeof(a->hi));
}

static bool log_equal(const struct rs_log *a, const struct rs_log *b)
{
	if (!a || !b)
		return a == b;
	return !strcmp(a->prefix, b->prefix) && a->group == b->group && a->rate == b->rate && a->burst == b->burst;
}

bool rs_rule_equal(const struct rs_rule *a, const struct rs_rule *b)
{
	if (a->n_matches != b->n_matches || a->counter != b->counter || a->verdict != b->verdict ||
	    !str_equal(a->chain, b->chain) || strcmp(a->comment, b->comment) ||
	    !str_equal(a->foreign, b->foreign) || !log_equal(a->log, b->log))
		return false;
	if (a->verdict == RS_VMAP && !lookup_equal(a->vmap, b->vmap))
		return false;
	for (size_t i = 0; i < a->n_matches; i++)
		if (!match_equal(&a->matches[i], &b->matches[i]))
			return false;
	return true;
}

bool rs_element_equal(const struct rs_element *a, const struct rs_element *b)
{
	return a->verdict == b->verdict && str_equal(a->chain, b->chain) &&
	    !strcmp(a->comment, b->comment) && str_equal(a->foreign, b->foreign);
}

static bool set_equal(const struct rs_set *a, const struct rs_set *b)
{
	return a->map == b->map && a->counter == b->counter && a->key_type == b->key_type &&
	    a->key_len == b->key_len && !strcmp(a->comment, b->comment) &&
	    str_equal(a->foreign, b->foreign);
}

static bool chain_equal(const struct rs_chain *a, const struct rs_chain *b)
{
	if (a->hook != b->hook || strcmp(a->comment, b->comment))
		return false;
	return a->hook == RS_HOOK_NONE || (a->priority == b->priority &&
	    a->policy_drop == b->policy_drop && !strcmp(a->type, b->type));
}

static bool rules_equal(const struct rs_chain *a, const struct rs_chain *b)
{
	if (a->n_rules != b->n_rules)
		return false;
	for (size_t i = 0; i < a->n_rules; i++)
		if (!rs_rule_equal(&a->rules[i], &b->rules[i]))
			return false;
	return true;
}

/* Which of two sorted lists has the smaller head; an exhausted list is larger. */
static int head_cmp(const void *a, const void *b, int cmp)
{
	if (!a || !b)
		return a ? -1 : 1;
	return cmp;
}

static int walk_elements(const struct rs_set *want, const struct rs_set *have, rs_see *see, void *cookie)
{
	size_t i = 0, j = 0, n = want ? want->n_elements : 0, m = have ? have->n_elements : 0;
	int rc = 0;

	if (want && have && want->elements == have->elements)
		return 0;
	while (!rc && (i < n || j < m)) {
		const struct rs_element *a = i < n ? &want->elements[i] : NULL;
		const struct rs_element *b = j < m ? &have->elements[j] : NULL;
		int cmp = head_cmp(a, b, a && b ? memcmp(a->key, b->key, want->key_len) : 0);
		struct rs_difference d = { .what = RS_DIFF_ELEMENT, .want_set = want, .have_set = have,
			.want = cmp <= 0 ? a : NULL, .have = cmp >= 0 ? b : NULL };

		i += cmp <= 0;
		j += cmp >= 0;
		if (cmp || !rs_element_equal(a, b))
			rc = see(&d, cookie);
	}
	return rc;
}

static int see_set(const struct rs_set *want, const struct rs_set *have, rs_see *see, void *cookie)
{
	struct rs_difference d = { .what = RS_DIFF_SET, .want_set = want, .have_set = have };
	int rc = 0;

	if (want && have && set_equal(want, have))
		return walk_elements(want, have, see, cookie);
	rc = see(&d, cookie);
	/* Keys of different kinds cannot be compared: all of the old, all of the new. */
	if (!rc && have)
		rc = walk_elements(NULL, have, see, cookie);
	return rc || !want ? rc : walk_elements(want, NULL, see, cookie);
}

static int walk_sets(const struct ruleset *want, const struct ruleset *have, rs_see *see, void *cookie)
{
	size_t i = 0, j = 0, n = want ? want->n_sets : 0, m = have ? have->n_sets : 0;
	int rc = 0;

	while (!rc && (i < n || j < m)) {
		const struct rs_set *a = i < n ? want->sets_by_name[i] : NULL;
		const struct rs_set *b = j < m ? have->sets_by_name[j] : NULL;
		int cmp = head_cmp(a, b, a && b ? strcmp(a->name, b->name) : 0);

		i += cmp <= 0;
		j += cmp >= 0;
		rc = see_set(cmp <= 0 ? a : NULL, cmp >= 0 ? b : NULL, see, cookie);
	}
	return rc;
}

static int see_chain(const struct rs_chain *want, const struct rs_chain *have, rs_see *see, void *cookie)
{
	struct rs_difference d = { .want_chain = want, .have_chain = have };
	int rc = 0;

	if (!want || !have || !chain_equal(want, have)) {
		d.what = RS_DIFF_CHAIN;
		rc = see(&d, cookie);
	}
	if (!rc && (!want || !have || !rules_equal(want, have))) {
		d.what = RS_DIFF_RULES;
		rc = see(&d, cookie);
	}
	return rc;
}

static int walk_chains(const struct ruleset *want, const struct ruleset *have, rs_see *see, void *cookie)
{
	size_t i = 0, j = 0, n = want ? want->n_chains : 0, m = have ? have->n_chains : 0;
	int rc = 0;

	while (!rc && (i < n || j < m)) {
		const struct rs_chain *a = i < n ? want->chains_by_name[i] : NULL;
		const struct rs_chain *b = j < m ? have->chains_by_name[j] : NULL;
		int cmp = head_cmp(a, b, a && b ? strcmp(a->name, b->name) : 0);

		i += cmp <= 0;
		j += cmp >= 0;
		rc = see_chain(cmp <= 0 ? a : NULL, cmp >= 0 ? b : NULL, see, cookie);
	}
	return rc;
}

int ruleset_walk(const struct ruleset *want, const struct ruleset *have, rs_see *see, void *cookie)
{
	struct rs_difference d = { .what = RS_DIFF_TABLE };
	int rc = 0;

	assert((!want || want->sealed) && (!have || have->sealed));
	if (want == have)
		return 0;
	if (!want || !have || strcmp(want->comment, have->comment) || want->flags != have->flags ||
	    want->n_foreign != have->n_foreign)
		rc = see(&d, cookie);
	if (!rc)
		rc = walk_sets(want, have, see, cookie);
	return rc ? rc : walk_chains(want, have, see, cookie);
}

/* ---- found once ---- */

static int change_add(const struct rs_difference *d, void *cookie)
{
	struct rs_changes *c = cookie;
	const size_t size = c->size ? 2 * c->size : 16;
	struct rs_difference *all = c->all;

	if (c->n == c->size) {
		all = realloc(all, size * sizeof(*all));
		if (!all)
			return -1;
		c->all = all;
		c->size = size;
	}
	all[c->n++] = *d;
	return 0;
}

int changes_find(struct rs_changes *ret, const struct ruleset *want, const struct ruleset *have, struct err *err)
{
	struct rs_changes c = { .want = want, .have = have, .listed = want && have };

	if (c.listed && ruleset_walk(want, have, change_add, &c) < 0) {
		changes_free(&c);
		return err_nomem(err);
	}
	*ret = c;
	return 0;
}

void changes_free(struct rs_changes *c)
{
	free(c->all);
	c->all = NULL;
	c->n = 0;
}

int changes_walk(const struct rs_changes *c, rs_see *see, void *cookie)
{
	int rc = 0;

	if (!c->listed)
		return ruleset_walk(c->want, c->have, see, cookie);
	for (size_t i = 0; !rc && i < c->n; i++)
		rc = see(&c->all[i], cookie);
	return rc;
}

/* ---- differences as lines ---- */

struct lines {
	FILE	*out;
	size_t	 n;
};

static void line_begin(struct lines *l, bool add, const char *what, const char *name)
{
	l->n++;
	if (l->out)
		fprintf(l->out, "%c %s %s", add ? '+' : '-', what, name);
}

static void line_end(struct lines *l)
{
	if (l->out)
		putc('\n', l->out);
}

static void table_line(struct lines *l, bool add, const struct ruleset *r)
{
	line_begin(l, add, "table inet", RULESET_TABLE);
	if (l->out) {
		rs_comment_write(r->comment, l->out);
		if (r->flags)
			fprintf(l->out, " flags 0x%x", r->flags);
		if (r->n_foreign)
			fprintf(l->out, " and %zu unknown objects", r->n_foreign);
	}
	line_end(l);
}

static void set_line(struct lines *l, bool add, const struct rs_set *s)
{
	line_begin(l, add, s->map ? "map" : "set", s->name);
	if (l->out) {
		fputs(" type ", l->out);
		rs_type_write(s, l->out);
		fputs(s->counter ? " counter" : "", l->out);
		if (s->foreign)
			fprintf(l->out, " unknown %s", s->foreign);
		rs_comment_write(s->comment, l->out);
	}
	line_end(l);
}

static void element_line(struct lines *l, bool add, const struct rs_set *s, const struct rs_element *e)
{
	line_begin(l, add, "element", s->name);
	if (l->out) {
		fputs(": ", l->out);
		rs_element_write(s, e, l->out);
	}
	line_end(l);
}

static void chain_line(struct lines *l, bool add, const struct rs_chain *c)
{
	line_begin(l, add, "chain", c->name);
	if (l->out && c->hook != RS_HOOK_NONE)
		fprintf(l->out, " type %s hook %d priority %d policy %s", c->type, c->hook, c->priority,
		    c->policy_drop ? "drop" : "accept");
	if (l->out)
		rs_comment_write(c->comment, l->out);
	line_end(l);
}

static void rule_line(struct lines *l, bool add, const struct rs_chain *c, const struct rs_rule *rule)
{
	line_begin(l, add, "rule", c->name);
	if (l->out) {
		fputs(": ", l->out);
		rs_rule_write(rule, l->out);
	}
	line_end(l);
}

/* Without the rules that both have at the beginning and at the end. */
static void rule_lines(struct lines *l, const struct rs_chain *want, const struct rs_chain *have)
{
	size_t n = want ? want->n_rules : 0, m = have ? have->n_rules : 0, i = 0;

	while (i < n && i < m && rs_rule_equal(&want->rules[i], &have->rules[i]))
		i++;
	while (n > i && m > i && rs_rule_equal(&want->rules[n - 1], &have->rules[m - 1]))
		n--, m--;
	for (size_t k = i; k < m; k++)
		rule_line(l, false, have, &have->rules[k]);
	for (size_t k = i; k < n; k++)
		rule_line(l, true, want, &want->rules[k]);
}

struct diff {
	struct lines		 l;
	const struct ruleset	*want, *have;
};

static int diff_see(const struct rs_difference *d, void *cookie)
{
	struct diff *x = cookie;

	switch (d->what) {
	case RS_DIFF_TABLE:
		if (x->have)
			table_line(&x->l, false, x->have);
		if (x->want)
			table_line(&x->l, true, x->want);
		break;
	case RS_DIFF_SET:
		if (d->have_set)
			set_line(&x->l, false, d->have_set);
		if (d->want_set)
			set_line(&x->l, true, d->want_set);
		break;
	case RS_DIFF_ELEMENT:
		if (d->have)
			element_line(&x->l, false, d->have_set, d->have);
		if (d->want)
			element_line(&x->l, true, d->want_set, d->want);
		break;
	case RS_DIFF_CHAIN:
		if (d->have_chain)
			chain_line(&x->l, false, d->have_chain);
		if (d->want_chain)
			chain_line(&x->l, true, d->want_chain);
		break;
	case RS_DIFF_RULES:
		rule_lines(&x->l, d->want_chain, d->have_chain);
		break;
	}
	return 0;
}

size_t changes_write(const struct rs_changes *c, FILE *out)
{
	struct diff x = { .l = { out, 0 }, .want = c->want, .have = c->have };

	changes_walk(c, diff_see, &x);
	return x.l.n;
}

size_t ruleset_diff(const struct ruleset *want, const struct ruleset *have, FILE *out)
{
	struct diff x = { .l = { out, 0 }, .want = want, .have = have };

	ruleset_walk(want, have, diff_see, &x);
	return x.l.n;
}
