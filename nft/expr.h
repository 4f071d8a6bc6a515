/* nft/expr.h - matches and verdicts as libnftnl expressions; the only file that
 * calls nftnl_expr_*.  A rule is built with all its matches or not at all. */
#ifndef NFT_EXPR_H
#define NFT_EXPR_H

#include <stdint.h>

#include "nft/ruleset.h"

struct nftnl_expr;
struct nftnl_rule;

/* How the kernel gets at a field; read-back goes the other way through it. */
enum expr_how { EXPR_META, EXPR_PAYLOAD, EXPR_FIB, EXPR_RT, EXPR_CT };
struct expr_load {
	uint8_t		how;		/* enum expr_how */
	uint8_t		key;		/* NFT_META_*, NFT_RT_*, NFT_CT_*, NFTA_FIB_F_*, NFT_PAYLOAD_* base */
	uint8_t		offset;		/* payload */
};
extern const struct expr_load expr_loads[RS_N_FIELDS];

/* All expressions of a rule, in order.  -1: no memory. */
int expr_rule(struct nftnl_rule *to, const struct rs_rule *rule, struct err *err);
struct nftnl_expr *expr_counter(void);		/* NULL: no memory */
int expr_verdict_code(enum rs_verdict v);	/* NF_ACCEPT, NFT_GOTO... */

#endif
