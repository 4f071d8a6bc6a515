#include "nft/action.h"

#include <stddef.h>
#include <string.h>

#include "nft/nflog.h"
#include "nft/ruleset.h"
#include "schema/settings.h"

#define CT_ESTABLISHED	2u	/* NF_CT_STATE_BIT() */
#define CT_RELATED	4u

const char *const act_hook_names[ACT_N_HOOKS] = { "in", "out", "fwd" };

static const char *const chains[ACT_N_KINDS][ACT_N_HOOKS] = {
	[ACT_BLOCK] = { "block_in", "block_out", "block_fwd" },
	[ACT_REQUIRE] = { "require_in", "require_out", "require_fwd" },
	[ACT_PASS] = { "pass_through_in", "pass_through_out", "pass_through_fwd" },
	[ACT_REQUEST] = { "request_in", "request_out", "request_fwd" },
	[ACT_REQUEST_PASS] = { "request_pass_through_in", "request_pass_through_out", "request_pass_through_fwd" },
};

static const char *const meanings[ACT_N_KINDS] = {
	[ACT_BLOCK] = "block, and say so",
	[ACT_REQUIRE] = "negotiate security: nothing in clear",
	[ACT_PASS] = "negotiate security: clear comes in, never goes out",
	[ACT_REQUEST] = "negotiate security: clear goes out, only its answers come in",
	[ACT_REQUEST_PASS] = "negotiate security: clear is allowed both ways",
};

enum clear { CLEAR_DROP, CLEAR_ANSWERS, CLEAR_ACCEPT };

static enum clear clear_fate(enum act_kind k, enum act_hook h)
{
	static const enum clear fates[ACT_N_KINDS][ACT_N_HOOKS] = {
		[ACT_REQUIRE] = { CLEAR_DROP, CLEAR_DROP, CLEAR_DROP },
		[ACT_PASS] = { CLEAR_ACCEPT, CLEAR_DROP, CLEAR_DROP },
		[ACT_REQUEST] = { CLEAR_ANSWERS, CLEAR_ACCEPT, CLEAR_ANSWERS },
		[ACT_REQUEST_PASS] = { CLEAR_ACCEPT, CLEAR_ACCEPT, CLEAR_ACCEPT },
	};

	return fates[k][h];
}

/* ---- drops ---- */

static const char *const prefixes[ACT_N_HOOKS][DROP_N_KINDS] = {
	[ACT_IN] = { "ipsecpol in block", "ipsecpol in clear", "ipsecpol in mode" },
	[ACT_OUT] = { "ipsecpol out block", "ipsecpol out clear", "ipsecpol out mode" },
	[ACT_FORWARD] = { "ipsecpol fwd block", "ipsecpol fwd clear", "ipsecpol fwd mode" },
};

const char *drop_prefix(enum act_hook h, enum drop_kind k)
{
	return prefixes[h][k];
}

bool drop_prefix_read(enum act_hook *ret_h, enum drop_kind *ret_k, const char *prefix)
{
	for (int h = 0; h < ACT_N_HOOKS; h++)
		for (int k = 0; k < DROP_N_KINDS; k++)
			if (!strcmp(prefix, prefixes[h][k])) {
				*ret_h = (enum act_hook)h;
				*ret_k = (enum drop_kind)k;
				return true;
			}
	return false;
}

static bool drop_logged(enum act_hook h, unsigned diagnostics)
{
	static const unsigned bits[ACT_N_HOOKS] = {
		[ACT_IN] = DIAG_INBOUND, [ACT_OUT] = DIAG_OUTBOUND, [ACT_FORWARD] = DIAG_INBOUND | DIAG_OUTBOUND,
	};

	return diagnostics & bits[h];
}

/* Two rules: one with a limit would not drop what is beyond it. */
void drop_render(struct ruleset *r, struct rs_chain *c, enum act_hook h, enum drop_kind k, unsigned diagnostics,
    const char *comment)
{
	const struct rs_log log = { .prefix = prefixes[h][k], .group = NFLOG_GROUP, .rate = NFLOG_RATE,
		.burst = NFLOG_BURST };

	if (drop_logged(h, diagnostics))
		rs_rule_log(r, rs_rule_add(r, c), &log);
	rs_rule_end(r, rs_rule_add(r, c), RS_DROP, NULL, comment);
}

/* ---- chains ---- */

const char *action_chain(enum act_kind k, enum act_hook h, unsigned diagnostics)
{
	return k == ACT_BLOCK && !drop_logged(h, diagnostics) ? NULL : chains[k][h];
}

static void protected_accept(struct ruleset *r, struct rs_chain *c, enum rs_field f, const char *comment)
{
	struct rs_rule *rule = rs_rule_add(r, c);

	rs_match_num(r, rule, f, RS_EQ, 1, 0);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, comment);
}

void action_render(struct ruleset *r, enum act_kind k, enum act_hook h, unsigned diagnostics)
{
	const enum clear fate = clear_fate(k, h);
	struct rs_chain *c = rs_chain_add(r, chains[k][h], meanings[k]);
	struct rs_rule *rule;

	if (k == ACT_BLOCK) {
		drop_render(r, c, h, DROP_BLOCK, diagnostics, "block");
		return;
	}
	if (h != ACT_OUT)
		protected_accept(r, c, RS_META_IPSEC, "came protected");
	if (h != ACT_IN)
		protected_accept(r, c, RS_RT_IPSEC, "leaves protected");
	if (fate == CLEAR_ANSWERS) {
		rule = rs_rule_add(r, c);
		rs_match_num(r, rule, RS_CT_STATE, RS_BITS, CT_ESTABLISHED | CT_RELATED, 0);
		rs_rule_end(r, rule, RS_ACCEPT, NULL, "clear, an answer");
	}
	if (fate == CLEAR_ACCEPT)
		rs_rule_end(r, rs_rule_add(r, c), RS_ACCEPT, NULL, "clear, allowed");
	else
		drop_render(r, c, h, DROP_CLEAR, diagnostics, "clear, not allowed");
}
