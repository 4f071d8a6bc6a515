/* nft/action.h - what each filter action means for a packet, in one place.
 *
 *                     inbound, clear        outbound, clear     forwarded, clear
 *   require           drop                  drop                drop
 *   pass-through      accept                drop                drop
 *   request           answers only          accept              answers only
 *   both of these     accept                accept              accept
 *
 * A packet that came protected (inbound), will leave protected (outbound), or
 * either (forwarded) is always accepted.  A forwarded packet is inbound and
 * outbound at once, so its column is the stricter of the two.
 *
 * Drops that are to be logged: a rule in front of the drop logs; a block is then a chain
 * of these two. */
#ifndef NFT_ACTION_H
#define NFT_ACTION_H

#include <stdbool.h>

struct rs_chain;
struct ruleset;

enum act_hook { ACT_IN, ACT_OUT, ACT_FORWARD, ACT_N_HOOKS };
enum act_kind { ACT_PERMIT, ACT_BLOCK, ACT_REQUIRE, ACT_PASS, ACT_REQUEST, ACT_REQUEST_PASS, ACT_N_KINDS };

extern const char *const act_hook_names[ACT_N_HOOKS];	/* "in", "out", "fwd" */

/* Why a packet is dropped: a block filter; clear packets are not allowed; the mode (block,
 * startup) drops whatever it does not know. */
enum drop_kind { DROP_BLOCK, DROP_CLEAR, DROP_MODE, DROP_N_KINDS };

/* The prefix of a logged packet: "ipsecpol in block", "ipsecpol out clear", "ipsecpol fwd mode"... */
const char *drop_prefix(enum act_hook h, enum drop_kind k);
bool drop_prefix_read(enum act_hook *ret_h, enum drop_kind *ret_k, const char *prefix);	/* false: not ours */
/* "counter drop", with the rule that logs in front of it where diagnostics (as in
 * render_options) wants that. */
void drop_render(struct ruleset *r, struct rs_chain *c, enum act_hook h, enum drop_kind k, unsigned diagnostics,
    const char *comment);

/* The chain to go to; NULL for permit, and for block where it is not logged: they need none. */
const char *action_chain(enum act_kind k, enum act_hook h, unsigned diagnostics);
/* Adds that chain to r; only for kinds that have one. */
void action_render(struct ruleset *r, enum act_kind k, enum act_hook h, unsigned diagnostics);

#endif
