/* nft/exempt.h - what comes before every filter: the base chains, and, each in a chain of
 * its own, the exemptions of `ipsecexempt` and the lifeline. */
#ifndef NFT_EXEMPT_H
#define NFT_EXEMPT_H

#include "nft/action.h"

struct host_facts;
struct rs_chain;
struct ruleset;

#define EXEMPT_IN	"exempt_in"
#define EXEMPT_OUT	"exempt_out"
#define LIFELINE_IN	"lifeline_in"
#define LIFELINE_OUT	"lifeline_out"
#define ROUTED		"routed"
#define DIALUP		"dialup"

/* The three base chains, empty. */
void bases_render(struct ruleset *r, struct rs_chain *base[static ACT_N_HOOKS]);
/* "jump to", without a counter. */
void jump_render(struct ruleset *r, struct rs_chain *c, const char *to);

/* Loopback, IKE, ESP, AH, neighbour discovery, and what level 0..3 exempts:
 *                        0       1       2      3
 *   broadcast, multicast both    both    in     in
 *   RSVP, Kerberos       both    -       both   -       */
void exempt_render(struct ruleset *r, unsigned level);

void loopback_render(struct ruleset *r, struct rs_chain *in, struct rs_chain *out);
void neighbour_render(struct ruleset *r, struct rs_chain *c);
/* The DHCP and DHCPv6 clients, whose answers are no part of a connection. */
void dhcp_render(struct ruleset *r, struct rs_chain *in, struct rs_chain *out);

/* DNS to the DNS servers and domain controllers; Kerberos and LDAP to the domain
 * controllers; inbound only answers from those addresses and ports; and the DHCP
 * client, whose answers are no part of a connection. */
void lifeline_render(struct ruleset *r, const struct host_facts *facts);

/* A chain that accepts forwarded packets in postrouting, where local ones are
 * judged, and returns for these.  To be entered when the packet has an input
 * interface: all forwarded packets have one, but so have some of our own. */
void routed_render(struct ruleset *r);

/* A set of the interface types that are dial-up connections. */
void dialup_render(struct ruleset *r);

#endif
