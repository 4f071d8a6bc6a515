#include "nft/ruleset.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"

const struct rs_field_info rs_fields[RS_N_FIELDS] = {
	[RS_NFPROTO]	= { "meta nfproto", 1, 0, false },
	[RS_L4PROTO]	= { "meta l4proto", 1, RS_TYPE_PROTO, false },
	[RS_IIF]	= { "iif", 4, 0, false },
	[RS_OIF]	= { "oif", 4, 0, false },
	[RS_IIFTYPE]	= { "meta iiftype", 2, RS_TYPE_IFTYPE, false },
	[RS_OIFTYPE]	= { "meta oiftype", 2, RS_TYPE_IFTYPE, false },
	[RS_SADDR4]	= { "ip saddr", 4, RS_TYPE_IPV4, true },
	[RS_DADDR4]	= { "ip daddr", 4, RS_TYPE_IPV4, true },
	[RS_SADDR6]	= { "ip6 saddr", 16, RS_TYPE_IPV6, true },
	[RS_DADDR6]	= { "ip6 daddr", 16, RS_TYPE_IPV6, true },
	[RS_HOPLIMIT6]	= { "ip6 hoplimit", 1, 0, false },
	[RS_SPORT]	= { "th sport", 2, RS_TYPE_SERVICE, true },
	[RS_DPORT]	= { "th dport", 2, RS_TYPE_SERVICE, true },
	[RS_ICMP6_TYPE]	= { "icmpv6 type", 1, 0, false },
	[RS_SADDR_TYPE]	= { "fib saddr type", 4, 0, false },
	[RS_DADDR_TYPE]	= { "fib daddr type", 4, 0, false },
	[RS_META_IPSEC]	= { "meta ipsec", 1, 0, false },
	[RS_RT_IPSEC]	= { "rt ipsec", 1, 0, false },
	[RS_CT_STATE]	= { "ct state", 4, 0, false },
	[RS_CT_DIRECTION] = { "ct direction", 1, 0, false },
};

struct ruleset *ruleset_new(void)
{
	struct arena *a = arena_new(0);
	struct ruleset *r = a ? arena_zalloc(a, 1, sizeof(*r)) : NULL;

	if (r)
		r->n_holders = arena_zalloc(a, 1, sizeof(*r->n_holders));
	if (!r || !r->n_holders) {
		arena_free(a);
		return NULL;
	}
	r->arena = a;
	r->comment = "";
	*r->n_holders = 1;
	return r;
}

void ruleset_free(struct ruleset *r)
{
	if (r && --*r->n_holders == 0)
		arena_free(r->arena);
}

struct ruleset *ruleset_share(const struct ruleset *r)
{
	assert(r->sealed);
	++*r->n_holders;
	return (struct ruleset *)r;
}

const char *rs_strdup(struct ruleset *r, const char *s)
{
	const char *q = arena_strdup(r->arena, s);

	if (!q)
		r->failed = true;
	return q ? q : "";
}

void rs_printable(char *s)
{
	for (; *s; s++)
		if (*s == '"' || *s == '\\' || (unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
			*s = '?';
}

void rs_num_put(uint8_t *p, enum rs_field f, uint32_t v)
{
	const struct rs_field_info *i = &rs_fields[f];
	uint16_t v16 = (uint16_t)v;

	if (i->len == 1) {
		p[0] = (uint8_t)v;
	} else if (i->network_order) {
		for (unsigned k = i->len; k-- > 0; v >>= 8)
			p[k] = (uint8_t)v;
	} else if (i->len == 2) {
		memcpy(p, &v16, 2);
	} else {
		memcpy(p, &v, 4);
	}
}

uint32_t rs_num_get(const uint8_t *p, enum rs_field f)
{
	const struct rs_field_info *i = &rs_fields[f];
	uint32_t v = 0;
	uint16_t v16;

	if (i->len == 1)
		return p[0];
	if (i->network_order) {
		for (unsigned k = i->len > 4 ? i->len - 4u : 0; k < i->len; k++)
			v = v << 8 | p[k];
		return v;
	}
	if (i->len == 2) {
		memcpy(&v16, p, 2);
		return v16;
	}
	memcpy(&v, p, 4);
	return v;
}

void rs_mask(uint8_t *ret, size_t len, unsigned prefix)
{
	memset(ret, 0, len);
	memset(ret, 0xff, prefix / 8);
	if (prefix % 8)
		ret[prefix / 8] = (uint8_t)(0xff00 >> prefix % 8);
}

/* ---- builders ---- */

struct rs_chain *rs_chain_add(struct ruleset *r, const char *name, const char *comment)
{
	struct rs_chain **all = arena_grow(r->arena, r->chains, r->n_chains, sizeof(*all));
	struct rs_chain *c = all ? arena_zalloc(r->arena, 1, sizeof(*c)) : NULL;

	if (!c) {
		r->failed = true;
		return NULL;
	}
	c->name = rs_strdup(r, name);
	c->comment = rs_strdup(r, comment);
	c->hook = RS_HOOK_NONE;
	c->type = "";
	all[r->n_chains++] = c;
	r->chains = all;
	return c;
}

struct rs_rule *rs_rule_add(struct ruleset *r, struct rs_chain *c)
{
	struct rs_rule *all = c ? arena_grow(r->arena, c->rules, c->n_rules, sizeof(*all)) : NULL;
	struct rs_rule *rule;

	if (!all) {
		r->failed = true;
		return NULL;
	}
	c->rules = all;
	rule = &all[c->n_rules++];
	memset(rule, 0, sizeof(*rule));
	rule->counter = true;
	rule->comment = "";
	return rule;
}

struct rs_match *rs_match_add(struct ruleset *r, struct rs_rule *rule, enum rs_op op, enum rs_field f)
{
	struct rs_match *all = rule ? arena_grow(r->arena, rule->matches, rule->n_matches, sizeof(*all)) : NULL;

	if (!all) {
		r->failed = true;
		return NULL;
	}
	rule->matches = all;
	all[rule->n_matches] = (struct rs_match){ .op = (uint8_t)op, .field = (uint8_t)f };
	return &all[rule->n_matches++];
}

void rs_match_num(struct ruleset *r, struct rs_rule *rule, enum rs_field f, enum rs_op op, uint32_t lo, uint32_t hi)
{
	struct rs_match *m = rs_match_add(r, rule, op, f);

	if (!m)
		return;
	rs_num_put(m->lo, f, lo);
	if (op == RS_RANGE)
		rs_num_put(m->hi, f, hi);
}

void rs_match_addr(struct ruleset *r, struct rs_rule *rule, enum rs_field f, const uint8_t *lo, const uint8_t *hi)
{
	const size_t len = rs_fields[f].len;
	struct rs_match *m = rs_match_add(r, rule, memcmp(lo, hi, len) ? RS_RANGE : RS_EQ, f);

	if (!m)
		return;
	memcpy(m->lo, lo, len);
	if (m->op == RS_RANGE)
		memcpy(m->hi, hi, len);
}

static const struct rs_lookup *lookup_copy(struct ruleset *r, const struct rs_lookup *l)
{
	struct rs_lookup *q = arena_memdup(r->arena, l, sizeof(*l));

	if (!q) {
		r->failed = true;
		return l;
	}
	q->set = rs_strdup(r, l->set);
	return q;
}

void rs_match_set(struct ruleset *r, struct rs_rule *rule, const struct rs_lookup *l)
{
	struct rs_match *m = rs_match_add(r, rule, RS_LOOKUP, 0);

	if (m)
		m->lookup = lookup_copy(r, l);
}

void rs_rule_vmap(struct ruleset *r, struct rs_rule *rule, const struct rs_lookup *l)
{
	if (!rule) {
		r->failed = true;
		return;
	}
	rule->verdict = RS_VMAP;
	rule->counter = false;
	rule->vmap = lookup_copy(r, l);
}

void rs_rule_end(struct ruleset *r, struct rs_rule *rule, enum rs_verdict v, const char *chain, const char *comment)
{
	if (!rule) {
		r->failed = true;
		return;
	}
	rule->verdict = v;
	rule->chain = chain ? rs_strdup(r, chain) : NULL;
	rule->comment = rs_strdup(r, comment);
}

void rs_rule_log(struct ruleset *r, struct rs_rule *rule, const struct rs_log *log)
{
	struct rs_log *q = rule ? arena_memdup(r->arena, log, sizeof(*log)) : NULL;

	if (!q) {
		r->failed = true;
		return;
	}
	q->prefix = rs_strdup(r, log->prefix);
	rule->log = q;
	rule->counter = false;
}

struct rs_set *rs_set_add(struct ruleset *r, const struct rs_lookup *l, bool map, const char *comment)
{
	struct rs_set **all = arena_grow(r->arena, r->sets, r->n_sets, sizeof(*all));
	struct rs_set *s = all ? arena_zalloc(r->arena, 1, sizeof(*s)) : NULL;

	if (!s) {
		r->failed = true;
		return NULL;
	}
	s->name = rs_strdup(r, l->set);
	s->comment = rs_strdup(r, comment);
	s->map = map;
	s->counter = map;
	for (unsigned i = 0; i < l->n_keys; i++) {
		const struct rs_field_info *f = &rs_fields[l->keys[i].field];

		s->key_type = s->key_type << 6 | f->type;
		s->key_len += l->n_keys == 1 ? f->len : (f->len + 3u) / 4 * 4;
	}
	all[r->n_sets++] = s;
	r->sets = all;
	return s;
}

void rs_elements_reserve(struct ruleset *r, struct rs_set *s, size_t n)
{
	struct rs_element *all = s ? arena_zalloc(r->arena, n, sizeof(*all)) : NULL;

	if (!all) {
		r->failed = true;
		return;
	}
	s->elements = all;
	s->n_reserved = n;
}

static struct rs_element *elements_grow(struct ruleset *r, struct rs_set *s)
{
	if (s->n_elements < s->n_reserved)
		return s->elements;
	/* An array that was reserved is full at another number than one that grew. */
	assert(!s->n_reserved);
	return arena_grow(r->arena, s->elements, s->n_elements, sizeof(*s->elements));
}

uint8_t *rs_keys_reserve(struct ruleset *r, struct rs_set *s, size_t n)
{
	size_t len;

	if (s && !__builtin_mul_overflow(n, s->key_len, &len))
		s->keys = arena_bytes(r->arena, len);
	if (!s || !s->keys)
		r->failed = true;
	return s ? s->keys : NULL;
}

struct rs_element *rs_element_add(struct ruleset *r, struct rs_set *s, const uint8_t *key)
{
	struct rs_element *all = s ? elements_grow(r, s) : NULL;
	struct rs_element *e;

	if (!all) {
		r->failed = true;
		return NULL;
	}
	s->elements = all;
	e = &all[s->n_elements];
	memset(e, 0, sizeof(*e));
	e->key = key ? arena_memdup(r->arena, key, s->key_len) : s->keys + s->n_elements * s->key_len;
	s->n_elements++;
	e->comment = "";
	if (!e->key)
		r->failed = true;
	return e;
}

void rs_warn(struct ruleset *r, const char *fmt, ...)
{
	const char **all = arena_grow(r->arena, r->warnings, r->n_warnings, sizeof(*all));
	char text[512];
	va_list ap;

	if (!all) {
		r->failed = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->warnings = all;
	all[r->n_warnings++] = rs_strdup(r, text);
}

/* ---- sealing ---- */

static int set_by_name(const void *a, const void *b)
{
	return strcmp((*(struct rs_set *const *)a)->name, (*(struct rs_set *const *)b)->name);
}

static int chain_by_name(const void *a, const void *b)
{
	return strcmp((*(struct rs_chain *const *)a)->name, (*(struct rs_chain *const *)b)->name);
}

static int element_by_key(const void *a, const void *b, void *len)
{
	return memcmp(((const struct rs_element *)a)->key, ((const struct rs_element *)b)->key, *(size_t *)len);
}

static bool set_sorted(const struct rs_set *s)
{
	for (size_t i = 1; i < s->n_elements; i++)
		if (memcmp(s->elements[i - 1].key, s->elements[i].key, s->key_len) > 0)
			return false;
	return true;
}

/* What was rendered is in order mostly. */
static void set_sort(struct rs_set *s)
{
	size_t len = s->key_len;

	if (!set_sorted(s))
		qsort_r(s->elements, s->n_elements, sizeof(*s->elements), element_by_key, &len);
}

void ruleset_drop_twins(struct ruleset *r)
{
	for (size_t i = 0; i < r->n_sets; i++) {
		struct rs_set *s = r->sets[i];
		size_t kept = 0;

		set_sort(s);
		for (size_t k = 0; k < s->n_elements; k++)
			if (!kept || memcmp(s->elements[kept - 1].key, s->elements[k].key, s->key_len))
				s->elements[kept++] = s->elements[k];
		s->n_elements = kept;
	}
}

static int set_seal(struct rs_set *s, struct err *err)
{
	size_t len = s->key_len;

	set_sort(s);
	for (size_t i = 1; i < s->n_elements; i++)
		if (!memcmp(s->elements[i - 1].key, s->elements[i].key, len))
			return err_set(err, ERR_FORMAT, "set '%s' holds a key twice", s->name);
	return 0;
}

int ruleset_seal(struct ruleset *r, struct err *err)
{
	if (r->failed)
		return err_nomem(err);
	r->sets_by_name = arena_memdup(r->arena, r->sets, r->n_sets * sizeof(*r->sets));
	r->chains_by_name = arena_memdup(r->arena, r->chains, r->n_chains * sizeof(*r->chains));
	if (!r->sets_by_name || !r->chains_by_name)
		return err_nomem(err);
	qsort(r->sets_by_name, r->n_sets, sizeof(*r->sets), set_by_name);
	qsort(r->chains_by_name, r->n_chains, sizeof(*r->chains), chain_by_name);
	for (size_t i = 0; i < r->n_sets; i++) {
		if (i && !set_by_name(&r->sets_by_name[i - 1], &r->sets_by_name[i]))
			return err_set(err, ERR_FORMAT, "two sets '%s'", r->sets_by_name[i]->name);
		if (set_seal(r->sets_by_name[i], err) < 0)
			return -1;
	}
	for (size_t i = 1; i < r->n_chains; i++)
		if (!chain_by_name(&r->chains_by_name[i - 1], &r->chains_by_name[i]))
			return err_set(err, ERR_FORMAT, "two chains '%s'", r->chains_by_name[i]->name);
	r->sealed = true;
	return 0;
}

const struct rs_chain *ruleset_chain(const struct ruleset *r, const char *name)
{
	const struct rs_chain key = { .name = name }, *p = &key;
	struct rs_chain **found = NULL;

	if (r && r->n_chains)
		found = bsearch(&p, r->chains_by_name, r->n_chains, sizeof(p), chain_by_name);
	return found ? *found : NULL;
}

const struct rs_set *ruleset_set(const struct ruleset *r, const char *name)
{
	const struct rs_set key = { .name = name }, *p = &key;
	struct rs_set **found = NULL;

	if (r && r->n_sets)
		found = bsearch(&p, r->sets_by_name, r->n_sets, sizeof(p), set_by_name);
	return found ? *found : NULL;
}

struct wanted_key {
	const uint8_t	*key;
	size_t		 len;
};

static int wanted_cmp(const void *wanted, const void *element)
{
	const struct wanted_key *k = wanted;

	return memcmp(k->key, ((const struct rs_element *)element)->key, k->len);
}

const struct rs_element *set_element(const struct rs_set *s, const uint8_t *key)
{
	const struct wanted_key k = { key, s->key_len };

	return s->n_elements ? bsearch(&k, s->elements, s->n_elements, sizeof(*s->elements), wanted_cmp) : NULL;
}
