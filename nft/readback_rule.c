/* The expressions of a rule back to matches and a verdict: follows what each
 * register holds, as the kernel would. */
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "nft/expr.h"
#include "nft/readback.h"
#include "schema/arena.h"

#define N_WORDS	16	/* 32-bit registers */

struct word {
	bool		 loaded;
	enum rs_field	 field;
	uint8_t		 prefix;	/* bits left by a mask */
	bool		 masked;	/* by other than a prefix: bits */
	uint8_t		 bits[16];
};

struct decode {
	struct ruleset	*r;
	struct rs_rule	*rule;
	struct word	 words[N_WORDS];
	bool		 half_range;	/* lo seen, hi must follow */
	struct rs_log	 log;		/* rate not 0: limit seen, log must follow */
	bool		 done;		/* verdict seen */
};

/* NFT_REG_1.. are four words each, NFT_REG32_00.. are one. */
static struct word *reg_word(struct decode *d, const struct nlattr *a)
{
	uint32_t reg;

	if (!attr_be32(a, &reg))
		return NULL;
	if (reg >= NFT_REG_1 && reg <= NFT_REG_4)
		return &d->words[(reg - NFT_REG_1) * 4];
	if (reg >= NFT_REG32_00 && reg <= NFT_REG32_15)
		return &d->words[reg - NFT_REG32_00];
	return NULL;
}

static bool load(struct decode *d, enum expr_how how, uint32_t key, uint32_t offset, uint32_t len,
    const struct nlattr *dreg)
{
	struct word *w = reg_word(d, dreg);

	for (unsigned f = 0; w && f < RS_N_FIELDS; f++) {
		const struct expr_load *l = &expr_loads[f];

		if (l->how != how || l->key != key || l->offset != offset || (len && rs_fields[f].len != len))
			continue;
		*w = (struct word){ .loaded = true, .field = (enum rs_field)f, .prefix = (uint8_t)(8 * rs_fields[f].len) };
		return true;
	}
	return false;
}

static bool meta_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_META_MAX + 1];
	uint32_t key;

	nest_parse(tb, NFTA_META_MAX, data);
	return attr_be32(tb[NFTA_META_KEY], &key) && !tb[NFTA_META_SREG] &&
	    load(d, EXPR_META, key, 0, 0, tb[NFTA_META_DREG]);
}

static bool payload_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_PAYLOAD_MAX + 1];
	uint32_t base, offset, len;

	nest_parse(tb, NFTA_PAYLOAD_MAX, data);
	return attr_be32(tb[NFTA_PAYLOAD_BASE], &base) && attr_be32(tb[NFTA_PAYLOAD_OFFSET], &offset) &&
	    attr_be32(tb[NFTA_PAYLOAD_LEN], &len) && len && !tb[NFTA_PAYLOAD_SREG] &&
	    load(d, EXPR_PAYLOAD, base, offset, len, tb[NFTA_PAYLOAD_DREG]);
}

static bool fib_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_FIB_MAX + 1];
	uint32_t flags, result;

	nest_parse(tb, NFTA_FIB_MAX, data);
	return attr_be32(tb[NFTA_FIB_FLAGS], &flags) && attr_be32(tb[NFTA_FIB_RESULT], &result) &&
	    result == NFT_FIB_RESULT_ADDRTYPE && load(d, EXPR_FIB, flags, 0, 0, tb[NFTA_FIB_DREG]);
}

static bool rt_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_RT_MAX + 1];
	uint32_t key;

	nest_parse(tb, NFTA_RT_MAX, data);
	return attr_be32(tb[NFTA_RT_KEY], &key) && load(d, EXPR_RT, key, 0, 0, tb[NFTA_RT_DREG]);
}

static bool ct_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_CT_MAX + 1];
	uint32_t key;

	nest_parse(tb, NFTA_CT_MAX, data);
	return attr_be32(tb[NFTA_CT_KEY], &key) && !tb[NFTA_CT_DIRECTION] && !tb[NFTA_CT_SREG] &&
	    load(d, EXPR_CT, key, 0, 0, tb[NFTA_CT_DREG]);
}

/* The bytes of an NFTA_DATA nest when there are exactly len of them. */
static const uint8_t *data_bytes(const struct nlattr *nest, size_t len)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1];

	nest_parse(tb, NFTA_DATA_MAX, nest);
	if (!tb[NFTA_DATA_VALUE] || mnl_attr_get_payload_len(tb[NFTA_DATA_VALUE]) != len)
		return NULL;
	return mnl_attr_get_payload(tb[NFTA_DATA_VALUE]);
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static bool bitwise_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_BITWISE_MAX + 1];
	struct word *w;
	const uint8_t *mask, *xor;
	uint8_t want[16];
	uint32_t op = NFT_BITWISE_BOOL;
	size_t len;

	nest_parse(tb, NFTA_BITWISE_MAX, data);
	w = reg_word(d, tb[NFTA_BITWISE_SREG]);
	attr_be32(tb[NFTA_BITWISE_OP], &op);
	if (!w || !w->loaded || w != reg_word(d, tb[NFTA_BITWISE_DREG]) || op != NFT_BITWISE_BOOL)
		return false;
	len = rs_fields[w->field].len;
	mask = data_bytes(tb[NFTA_BITWISE_MASK], len);
	xor = data_bytes(tb[NFTA_BITWISE_XOR], len);
	if (!mask || !xor || !all_zero(xor, len) || w->prefix != 8 * len || w->masked)
		return false;
	if (!rs_fields[w->field].network_order) {
		w->masked = true;
		memcpy(w->bits, mask, len);
		return true;
	}
	for (w->prefix = 0; w->prefix < 8 * len && mask[w->prefix / 8] & 0x80 >> w->prefix % 8; w->prefix++)
		;
	rs_mask(want, len, w->prefix);
	return !memcmp(want, mask, len);
}

static bool cmp_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_CMP_MAX + 1];
	struct rs_match *m;
	struct word *w;
	const uint8_t *value;
	uint32_t op;
	size_t len;

	nest_parse(tb, NFTA_CMP_MAX, data);
	w = reg_word(d, tb[NFTA_CMP_SREG]);
	if (!w || !w->loaded || !attr_be32(tb[NFTA_CMP_OP], &op))
		return false;
	len = rs_fields[w->field].len;
	value = data_bytes(tb[NFTA_CMP_DATA], len);
	if (!value || w->prefix != 8 * len || (w->masked && (op != NFT_CMP_NEQ || !all_zero(value, len))))
		return false;
	if (op == NFT_CMP_LTE && d->half_range) {
		m = &d->rule->matches[d->rule->n_matches - 1];
		if (m->field != w->field)
			return false;
		memcpy(m->hi, value, len);
		d->half_range = false;
		return true;
	}
	if (d->half_range || op == NFT_CMP_LTE || op == NFT_CMP_LT || op == NFT_CMP_GT)
		return false;
	m = rs_match_add(d->r, d->rule,
	    w->masked ? RS_BITS : op == NFT_CMP_EQ ? RS_EQ : op == NFT_CMP_NEQ ? RS_NE : RS_RANGE, w->field);
	if (m)
		memcpy(m->lo, w->masked ? w->bits : value, len);
	d->half_range = op == NFT_CMP_GTE;
	return true;
}

/* The fields that stand in the registers from the n-th on, as far as the key goes. */
static bool keys_collect(const struct decode *d, struct rs_lookup *l, size_t n, uint32_t key_len)
{
	uint32_t got = 0;

	while (got < key_len) {
		const struct word *w = n < N_WORDS ? &d->words[n] : NULL;
		const uint32_t len = w && w->loaded ? rs_fields[w->field].len : 0;

		if (!len || w->masked || l->n_keys == RS_MAX_KEYS)
			return false;
		l->keys[l->n_keys++] = (struct rs_key){ (uint8_t)w->field, w->prefix };
		got += (len + 3) / 4 * 4;
		n += (len + 3) / 4;
	}
	return true;
}

static bool lookup_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_LOOKUP_MAX + 1];
	struct rs_lookup l = { .set = NULL };
	const struct rs_set *s;
	const struct word *w;
	uint32_t flags = 0, dreg;

	nest_parse(tb, NFTA_LOOKUP_MAX, data);
	l.set = attr_text(tb[NFTA_LOOKUP_SET]);
	s = l.set ? readback_set(d->r, l.set) : NULL;
	w = reg_word(d, tb[NFTA_LOOKUP_SREG]);
	attr_be32(tb[NFTA_LOOKUP_FLAGS], &flags);
	if (!s || !w || flags & ~(uint32_t)NFT_LOOKUP_F_INV || !keys_collect(d, &l, (size_t)(w - d->words), s->key_len))
		return false;
	l.invert = flags & NFT_LOOKUP_F_INV;
	if (!tb[NFTA_LOOKUP_DREG]) {
		rs_match_set(d->r, d->rule, &l);
		return true;
	}
	if (!attr_be32(tb[NFTA_LOOKUP_DREG], &dreg) || dreg != NFT_REG_VERDICT || l.invert || d->rule->counter)
		return false;
	rs_rule_vmap(d->r, d->rule, &l);
	d->done = true;
	return true;
}

static bool immediate_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_IMMEDIATE_MAX + 1], *value[NFTA_DATA_MAX + 1];
	uint32_t dreg;

	nest_parse(tb, NFTA_IMMEDIATE_MAX, data);
	nest_parse(value, NFTA_DATA_MAX, tb[NFTA_IMMEDIATE_DATA]);
	if (!attr_be32(tb[NFTA_IMMEDIATE_DREG], &dreg) || dreg != NFT_REG_VERDICT)
		return false;
	d->done = true;
	return verdict_parse(d->r, &d->rule->verdict, &d->rule->chain, value[NFTA_DATA_VERDICT]);
}

static bool attr_be64(const struct nlattr *a, uint64_t *ret)
{
	const uint8_t *p = a ? mnl_attr_get_payload(a) : NULL;

	if (!a || mnl_attr_get_payload_len(a) != sizeof(*ret))
		return false;
	*ret = 0;
	for (size_t i = 0; i < sizeof(*ret); i++)
		*ret = *ret << 8 | p[i];
	return true;
}

static bool limit_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_LIMIT_MAX + 1];
	uint32_t type = NFT_LIMIT_PKTS, flags = 0;
	uint64_t rate, unit;

	nest_parse(tb, NFTA_LIMIT_MAX, data);
	attr_be32(tb[NFTA_LIMIT_TYPE], &type);
	attr_be32(tb[NFTA_LIMIT_FLAGS], &flags);
	if (d->log.rate || type != NFT_LIMIT_PKTS || flags || !attr_be64(tb[NFTA_LIMIT_RATE], &rate) ||
	    !attr_be64(tb[NFTA_LIMIT_UNIT], &unit) || !attr_be32(tb[NFTA_LIMIT_BURST], &d->log.burst) ||
	    unit != 1 || !rate || rate > UINT32_MAX)
		return false;
	d->log.rate = (uint32_t)rate;
	return true;
}

static bool log_parse(struct decode *d, const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_LOG_MAX + 1];
	const uint8_t *group;
	char prefix[128];

	nest_parse(tb, NFTA_LOG_MAX, data);
	if (!d->log.rate || !tb[NFTA_LOG_GROUP] || mnl_attr_get_payload_len(tb[NFTA_LOG_GROUP]) != 2 ||
	    !attr_text(tb[NFTA_LOG_PREFIX]) || tb[NFTA_LOG_LEVEL] || tb[NFTA_LOG_FLAGS] || tb[NFTA_LOG_SNAPLEN] ||
	    tb[NFTA_LOG_QTHRESHOLD])
		return false;
	group = mnl_attr_get_payload(tb[NFTA_LOG_GROUP]);
	d->log.group = (uint16_t)(group[0] << 8 | group[1]);
	snprintf(prefix, sizeof(prefix), "%s", attr_text(tb[NFTA_LOG_PREFIX]));
	rs_printable(prefix);
	d->log.prefix = prefix;
	rs_rule_log(d->r, d->rule, &d->log);
	d->done = true;
	return true;
}

static bool expression_parse(struct decode *d, const char *name, const struct nlattr *data)
{
	static const struct {
		const char	*name;
		bool		(*parse)(struct decode *d, const struct nlattr *data);
		bool		 after_counter;
	} parsers[] = {
		{ "meta", meta_parse, false }, { "payload", payload_parse, false }, { "fib", fib_parse, false },
		{ "rt", rt_parse, false }, { "ct", ct_parse, false }, { "bitwise", bitwise_parse, false },
		{ "cmp", cmp_parse, false }, { "lookup", lookup_parse, false },
		{ "limit", limit_parse, false }, { "log", log_parse, false },
		{ "immediate", immediate_parse, true },
	};

	if (d->done || (d->half_range && strcmp(name, "cmp")) || (d->log.rate && strcmp(name, "log")))
		return false;
	if (!strcmp(name, "counter")) {
		if (d->rule->counter)
			return false;
		d->rule->counter = true;
		return true;
	}
	for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++)
		if (!strcmp(name, parsers[i].name))
			return (!d->rule->counter || parsers[i].after_counter) && parsers[i].parse(d, data);
	return false;
}

void rule_parse(struct ruleset *r, struct rs_rule *rule, const struct nlattr *expressions)
{
	struct decode d = { .r = r, .rule = rule };
	const struct nlattr *tb[NFTA_EXPR_MAX + 1], *a;
	const char *name = NULL;
	char clean[32];

	if (!expressions)
		return;
	mnl_attr_for_each_nested(a, expressions) {
		nest_parse(tb, NFTA_EXPR_MAX, a);
		name = attr_text(tb[NFTA_EXPR_NAME]);
		if (!name || !expression_parse(&d, name, tb[NFTA_EXPR_DATA]))
			goto foreign;
	}
	if (!d.half_range && (!d.log.rate || d.done))
		return;
foreign:
	snprintf(clean, sizeof(clean), "%s", name ? name : "?");
	rs_printable(clean);
	rule->foreign = arena_printf(r->arena, "expression \"%s\"", clean);
	r->failed |= !rule->foreign;
}
