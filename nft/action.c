#include "nft/action.h"

#include <stddef.h>

#include "nft/ruleset.h"

#define CT_ESTABLISHED	2u	/* NF_CT_STATE_BIT() */
#define CT_RELATED	4u

const char *const act_hook_names[ACT_N_HOOKS] = { "in", "out", "fwd" };

static const char *const chains[ACT_N_KINDS][ACT_N_HOOKS] = {
	[ACT_REQUIRE] = { "require_in", "require_out", "require_fwd" },
	[ACT_PASS] = { "pass_through_in", "pass_through_out", "pass_through_fwd" },
	[ACT_REQUEST] = { "request_in", "request_out", "request_fwd" },
	[ACT_REQUEST_PASS] = { "request_pass_through_in", "request_pass_through_out", "request_pass_through_fwd" },
};

static const char *const meanings[ACT_N_KINDS] = {
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

const char *action_chain(enum act_kind k, enum act_hook h)
{
	return chains[k][h];
}

static void protected_accept(struct ruleset *r, struct rs_chain *c, enum rs_field f, const char *comment)
{
	struct rs_rule *rule = rs_rule_add(r, c);

	rs_match_num(r, rule, f, RS_EQ, 1, 0);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, comment);
}

void action_render(struct ruleset *r, enum act_kind k, enum act_hook h)
{
	const enum clear fate = clear_fate(k, h);
	struct rs_chain *c = rs_chain_add(r, chains[k][h], meanings[k]);
	struct rs_rule *rule;

	if (h != ACT_OUT)
		protected_accept(r, c, RS_META_IPSEC, "came protected");
	if (h != ACT_IN)
		protected_accept(r, c, RS_RT_IPSEC, "leaves protected");
	if (fate == CLEAR_ANSWERS) {
		rule = rs_rule_add(r, c);
		rs_match_num(r, rule, RS_CT_STATE, RS_BITS, CT_ESTABLISHED | CT_RELATED, 0);
		rs_rule_end(r, rule, RS_ACCEPT, NULL, "clear, an answer");
	}
	rule = rs_rule_add(r, c);
	if (fate == CLEAR_ACCEPT)
		rs_rule_end(r, rule, RS_ACCEPT, NULL, "clear, allowed");
	else
		rs_rule_end(r, rule, RS_DROP, NULL, "clear, not allowed");
}
