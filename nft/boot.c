/* The modes that need no policy: block mode, and the startup modes before there is one. */
#include <netinet/in.h>
#include <stdio.h>

#include "nft/exempt.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/err.h"

#define CT_ESTABLISHED	2u	/* NF_CT_STATE_BIT() */
#define CT_RELATED	4u
#define CT_REPLY	1u	/* IP_CT_DIR_REPLY */

static struct ruleset *mode_begin(struct rs_chain *base[static ACT_N_HOOKS], const char *what, const char *why)
{
	struct ruleset *r = ruleset_new();
	char text[RS_COMMENT_MAX + 1];

	if (!r)
		return NULL;
	snprintf(text, sizeof(text), "%s: %s", what, why);
	rs_printable(text);
	r->comment = rs_strdup(r, text);
	bases_render(r, base);
	loopback_render(r, base[ACT_IN], base[ACT_OUT]);
	return r;
}

static int mode_end(struct ruleset **ret, struct ruleset *r, struct err *err)
{
	if (ruleset_seal(r, err) < 0) {
		ruleset_free(r);
		return -1;
	}
	*ret = r;
	return 0;
}

static void lifeline_jump(struct ruleset *r, struct rs_chain *base[static ACT_N_HOOKS], const struct host_facts *facts)
{
	jump_render(r, base[ACT_IN], LIFELINE_IN);
	jump_render(r, base[ACT_OUT], LIFELINE_OUT);
	lifeline_render(r, facts);
}

int block_render(struct ruleset **ret, const char *why, const struct host_facts *facts,
    const struct render_options *o, struct err *err)
{
	struct rs_chain *base[ACT_N_HOOKS];
	struct ruleset *r = mode_begin(base, "block mode", why);

	if (!r)
		return err_nomem(err);
	if (facts && o && o->lifeline) {
		/* Without neighbour discovery an IPv6 server is out of reach. */
		neighbour_render(r, base[ACT_IN]);
		neighbour_render(r, base[ACT_OUT]);
		lifeline_jump(r, base, facts);
	}
	for (int h = 0; h < ACT_N_HOOKS; h++)
		drop_render(r, base[h], (enum act_hook)h, DROP_MODE, o ? o->diagnostics : 0, r->comment);
	return mode_end(ret, r, err);
}

/* ---- startup ---- */

/* meta l4proto P [th dport N] [th sport N], of which one of two ports is a range: see rs_match_num */
static struct rs_rule *exemption_match(struct ruleset *r, struct rs_chain *c, unsigned proto, unsigned dport, unsigned sport)
{
	struct rs_rule *rule = rs_rule_add(r, c);

	rs_match_num(r, rule, RS_L4PROTO, RS_EQ, proto, 0);
	if (dport)
		rs_match_num(r, rule, RS_DPORT, RS_EQ, dport, 0);
	if (sport)
		rs_match_num(r, rule, RS_SPORT, dport ? RS_RANGE : RS_EQ, sport, sport);
	return rule;
}

/* Only answers: who could choose a port must not get past with a packet of his own. */
static void match_reply(struct ruleset *r, struct rs_rule *rule, unsigned states)
{
	rs_match_num(r, rule, RS_CT_STATE, RS_BITS, states, 0);
	rs_match_num(r, rule, RS_CT_DIRECTION, RS_EQ, CT_REPLY, 0);
}

/* answers NULL: all of them pass anyway. */
static void exemption_render(struct ruleset *r, struct rs_chain *there, struct rs_chain *answers,
    const struct boot_exemption *e)
{
	char text[RS_COMMENT_MAX + 1], name[64];
	struct rs_rule *rule;

	exemption_text(e, name, sizeof(name));
	snprintf(text, sizeof(text), "boot exemption %s", name);
	rule = exemption_match(r, there, e->protocol, e->dst_port, e->src_port);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, text);
	if (!answers)
		return;
	snprintf(text, sizeof(text), "answers, boot exemption %s", name);
	rule = exemption_match(r, answers, e->protocol, e->src_port, e->dst_port);
	match_reply(r, rule, CT_ESTABLISHED);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, text);
}

static void exemptions_render(struct ruleset *r, struct rs_chain *base[static ACT_N_HOOKS], const struct settings *s,
    bool stateful)
{
	for (size_t i = 0; i < s->n_exemptions; i++) {
		const struct boot_exemption *e = &s->exemptions[i];

		if (!e->outbound)
			exemption_render(r, base[ACT_IN], stateful ? NULL : base[ACT_OUT], e);
		else if (!stateful)
			exemption_render(r, base[ACT_OUT], base[ACT_IN], e);
	}
}

static int exemptions_check(const struct settings *s, struct err *err)
{
	if (s->n_exemptions > SETTINGS_MAX_EXEMPTIONS)
		return err_set(err, ERR_LIMIT, "%zu boot exemptions", s->n_exemptions);
	for (size_t i = 0; i < s->n_exemptions; i++) {
		const struct boot_exemption *e = &s->exemptions[i];

		if (!e->protocol)
			return err_set(err, ERR_FORMAT, "boot exemption %zu has no protocol", i + 1);
		if ((e->src_port || e->dst_port) && e->protocol != IPPROTO_TCP && e->protocol != IPPROTO_UDP)
			return err_set(err, ERR_UNSUPPORTED, "boot exemption %zu: port without TCP or UDP", i + 1);
	}
	return 0;
}

/* The connections of this host only: one that was opened from outside before does not go
 * on.  (Errors are of the direction of the answers.) */
static void own_answers_render(struct ruleset *r, struct rs_chain *in)
{
	struct rs_rule *rule = rs_rule_add(r, in);

	match_reply(r, rule, CT_ESTABLISHED | CT_RELATED);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, "answers to what this host began");
}

static void rest_render(struct ruleset *r, struct rs_chain *base[static ACT_N_HOOKS], bool stateful, unsigned diagnostics)
{
	drop_render(r, base[ACT_IN], ACT_IN, DROP_MODE, diagnostics, r->comment);
	drop_render(r, base[ACT_FORWARD], ACT_FORWARD, DROP_MODE, diagnostics, stateful ?
	    "boot mode: stateful: what others send each other is neither sent by this host nor an answer to it" : r->comment);
	if (stateful)
		rs_rule_end(r, rs_rule_add(r, base[ACT_OUT]), RS_ACCEPT, NULL, "this host may begin anything");
	else
		drop_render(r, base[ACT_OUT], ACT_OUT, DROP_MODE, diagnostics, r->comment);
}

int boot_render(struct ruleset **ret, enum boot_mode mode, const struct settings *s, const struct host_facts *facts,
    const struct render_options *o, struct err *err)
{
	const bool stateful = mode == BOOT_STATEFUL;
	struct rs_chain *base[ACT_N_HOOKS];
	struct ruleset *r;

	if (!stateful && mode != BOOT_BLOCK)
		return err_set(err, ERR_UNSUPPORTED, "boot mode %d is neither stateful nor block", (int)mode);
	if (exemptions_check(s, err) < 0)
		return -1;
	r = mode_begin(base, "boot mode", stateful ? "stateful" : "block");
	if (!r)
		return err_nomem(err);
	neighbour_render(r, base[ACT_IN]);
	neighbour_render(r, base[ACT_OUT]);
	dhcp_render(r, base[ACT_IN], base[ACT_OUT]);
	if (stateful)
		own_answers_render(r, base[ACT_IN]);
	exemptions_render(r, base, s, stateful);
	if (facts && o && o->lifeline)
		lifeline_jump(r, base, facts);
	rest_render(r, base, stateful, o ? o->diagnostics : 0);
	return mode_end(ret, r, err);
}
