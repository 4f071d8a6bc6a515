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
 * outbound at once, so its column is the stricter of the two. */
#ifndef NFT_ACTION_H
#define NFT_ACTION_H

#include <stdbool.h>

struct ruleset;

enum act_hook { ACT_IN, ACT_OUT, ACT_FORWARD, ACT_N_HOOKS };
enum act_kind { ACT_PERMIT, ACT_BLOCK, ACT_REQUIRE, ACT_PASS, ACT_REQUEST, ACT_REQUEST_PASS, ACT_N_KINDS };

extern const char *const act_hook_names[ACT_N_HOOKS];	/* "in", "out", "fwd" */

/* The chain to go to; NULL for permit and block, which need none. */
const char *action_chain(enum act_kind k, enum act_hook h);
/* Adds that chain to r; only for kinds that have one. */
void action_render(struct ruleset *r, enum act_kind k, enum act_hook h);

#endif
