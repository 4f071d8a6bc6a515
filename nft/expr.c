#include "nft/expr.h"

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "schema/err.h"

const struct expr_load expr_loads[RS_N_FIELDS] = {
	[RS_NFPROTO]	= { EXPR_META, NFT_META_NFPROTO, 0 },
	[RS_L4PROTO]	= { EXPR_META, NFT_META_L4PROTO, 0 },
	[RS_IIF]	= { EXPR_META, NFT_META_IIF, 0 },
	[RS_OIF]	= { EXPR_META, NFT_META_OIF, 0 },
	[RS_IIFTYPE]	= { EXPR_META, NFT_META_IIFTYPE, 0 },
	[RS_OIFTYPE]	= { EXPR_META, NFT_META_OIFTYPE, 0 },
	[RS_SADDR4]	= { EXPR_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, 12 },
	[RS_DADDR4]	= { EXPR_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, 16 },
	[RS_SADDR6]	= { EXPR_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, 8 },
	[RS_DADDR6]	= { EXPR_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, 24 },
	[RS_HOPLIMIT6]	= { EXPR_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, 7 },
	[RS_SPORT]	= { EXPR_PAYLOAD, NFT_PAYLOAD_TRANSPORT_HEADER, 0 },
	[RS_DPORT]	= { EXPR_PAYLOAD, NFT_PAYLOAD_TRANSPORT_HEADER, 2 },
	[RS_ICMP6_TYPE]	= { EXPR_PAYLOAD, NFT_PAYLOAD_TRANSPORT_HEADER, 0 },
	[RS_SADDR_TYPE]	= { EXPR_FIB, NFTA_FIB_F_SADDR, 0 },
	[RS_DADDR_TYPE]	= { EXPR_FIB, NFTA_FIB_F_DADDR, 0 },
	[RS_META_IPSEC]	= { EXPR_META, NFT_META_SECPATH, 0 },
	[RS_RT_IPSEC]	= { EXPR_RT, NFT_RT_XFRM, 0 },
	[RS_CT_STATE]	= { EXPR_CT, NFT_CT_STATE, 0 },
	[RS_CT_DIRECTION] = { EXPR_CT, NFT_CT_DIRECTION, 0 },
};

int expr_verdict_code(enum rs_verdict v)
{
	switch (v) {
	case RS_ACCEPT: return NF_ACCEPT;
	case RS_DROP: return NF_DROP;
	case RS_JUMP: return NFT_JUMP;
	case RS_GOTO: return NFT_GOTO;
	default: return NFT_RETURN;
	}
}

/* The n-th 32-bit register; nft(8) calls the first of them NFT_REG_1. */
static uint32_t reg32(unsigned n)
{
	return n ? NFT_REG32_00 + n : NFT_REG_1;
}

static struct nftnl_expr *expr_add(struct nftnl_rule *to, const char *name)
{
	struct nftnl_expr *e = nftnl_expr_alloc(name);

	if (e)
		nftnl_rule_add_expr(to, e);
	return e;
}

/* [ payload load 4b @ network header + 12 => reg 1 ] and its like */
static int add_load(struct nftnl_rule *to, enum rs_field f, uint32_t reg)
{
	static const char *const names[] = { "meta", "payload", "fib", "rt", "ct" };
	const struct expr_load *l = &expr_loads[f];
	struct nftnl_expr *e = expr_add(to, names[l->how]);

	if (!e)
		return -1;
	switch (l->how) {
	case EXPR_META:
		nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, l->key);
		nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
		break;
	case EXPR_PAYLOAD:
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, l->key);
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, l->offset);
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, rs_fields[f].len);
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
		break;
	case EXPR_FIB:
		nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, l->key);
		nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
		nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, reg);
		break;
	case EXPR_RT:
		nftnl_expr_set_u32(e, NFTNL_EXPR_RT_KEY, l->key);
		nftnl_expr_set_u32(e, NFTNL_EXPR_RT_DREG, reg);
		break;
	case EXPR_CT:
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, l->key);
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, reg);
		break;
	}
	return 0;
}

/* [ bitwise reg 1 = ( reg 1 & mask ) ^ 0 ] */
static int add_mask(struct nftnl_rule *to, uint32_t reg, const uint8_t *mask, uint32_t len)
{
	static const uint8_t zero[16];
	struct nftnl_expr *e = expr_add(to, "bitwise");

	if (!e)
		return -1;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zero, len);
	return 0;
}

/* [ cmp eq reg 1 value ] */
static int add_cmp(struct nftnl_rule *to, uint32_t op, const uint8_t *value, uint32_t len)
{
	struct nftnl_expr *e = expr_add(to, "cmp");

	if (!e)
		return -1;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, value, len);
	return 0;
}

/* The keys side by side in registers, each in whole 32-bit words, then
 * [ lookup reg 1 set NAME ], with dreg 0 for a verdict map. */
static int add_lookup(struct nftnl_rule *to, const struct rs_lookup *l, bool vmap)
{
	struct nftnl_expr *e;
	uint8_t mask[16];
	unsigned n = 0;

	for (unsigned i = 0; i < l->n_keys; i++) {
		const enum rs_field f = l->keys[i].field;
		const uint32_t len = rs_fields[f].len;

		if (add_load(to, f, reg32(n)) < 0)
			return -1;
		if (l->keys[i].prefix < 8 * len) {
			rs_mask(mask, len, l->keys[i].prefix);
			if (add_mask(to, reg32(n), mask, len) < 0)
				return -1;
		}
		n += (len + 3) / 4;
	}
	e = expr_add(to, "lookup");
	if (!e)
		return -1;
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	if (vmap)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, l->set) < 0)
		return -1;
	if (l->invert)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	return 0;
}

static int add_match(struct nftnl_rule *to, const struct rs_match *m)
{
	static const uint8_t zero[16];
	const uint32_t len = rs_fields[m->field].len;

	if (m->op == RS_LOOKUP)
		return add_lookup(to, m->lookup, false);
	if (add_load(to, m->field, NFT_REG_1) < 0)
		return -1;
	switch (m->op) {
	case RS_EQ:
		return add_cmp(to, NFT_CMP_EQ, m->lo, len);
	case RS_NE:
		return add_cmp(to, NFT_CMP_NEQ, m->lo, len);
	case RS_RANGE:
		return add_cmp(to, NFT_CMP_GTE, m->lo, len) < 0 ? -1 : add_cmp(to, NFT_CMP_LTE, m->hi, len);
	default:	/* RS_BITS */
		return add_mask(to, NFT_REG_1, m->lo, len) < 0 ? -1 : add_cmp(to, NFT_CMP_NEQ, zero, len);
	}
}

/* [ immediate reg 0 goto CHAIN ] */
static int add_verdict(struct nftnl_rule *to, enum rs_verdict v, const char *chain)
{
	struct nftnl_expr *e = expr_add(to, "immediate");

	if (!e)
		return -1;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)expr_verdict_code(v));
	return chain ? nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain) : 0;
}

struct nftnl_expr *expr_counter(void)
{
	return nftnl_expr_alloc("counter");
}

/* [ limit rate 50/second burst 100 type packets flags 0x0 ]
 * [ log prefix ipsecpol in block group 4500 snaplen 0 qthreshold 0 ] */
static int add_log(struct nftnl_rule *to, const struct rs_log *l)
{
	struct nftnl_expr *e = expr_add(to, "limit");

	if (!e)
		return -1;
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, l->rate);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, 1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_BURST, l->burst);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_FLAGS, 0);
	e = expr_add(to, "log");
	if (!e)
		return -1;
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, l->group);
	return nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, l->prefix);
}

int expr_rule(struct nftnl_rule *to, const struct rs_rule *rule, struct err *err)
{
	for (size_t i = 0; i < rule->n_matches; i++)
		if (add_match(to, &rule->matches[i]) < 0)
			return err_nomem(err);
	if (rule->log && add_log(to, rule->log) < 0)
		return err_nomem(err);
	if (rule->counter && !expr_add(to, "counter"))
		return err_nomem(err);
	if (rule->verdict == RS_VMAP)
		return add_lookup(to, rule->vmap, true) < 0 ? err_nomem(err) : 0;
	if (rule->verdict != RS_NONE && add_verdict(to, rule->verdict, rule->chain) < 0)
		return err_nomem(err);
	return 0;
}
