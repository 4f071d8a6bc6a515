/* nft/exempt.h - what comes before every filter: the base chains, and, each in a chain of
 * its own, the exemptions of `ipsecexempt` and the lifeline. */
#ifndef NFT_EXEMPT_H
#define NFT_EXEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "nft/action.h"

struct host_facts;
struct rs_chain;
struct ruleset;

#define EXEMPT_IN	"exempt_in"
#define EXEMPT_OUT	"exempt_out"
#define EXEMPT_WIDE	"exempt_wide"	/* of exempt_in, for packets not to an address of this host */
#define LIFELINE_IN	"lifeline_in"
#define LIFELINE_OUT	"lifeline_out"
#define ROUTED		"routed"
#define DIALUP		"dialup"

/* What passes by protocol and ports alone; a port 0 is any, family 0 both. */
struct exempt_port {
	uint8_t		 family, protocol;
	uint16_t	 dport, sport;
	const char	*comment;
};
#define EXEMPT_N_IKE	2
#define EXEMPT_N_LEVEL	5
#define EXEMPT_N_DHCP	2
#define EXEMPT_N_DC	5
/* As inbound packets have them; outbound the ports are swapped. */
extern const struct exempt_port exempt_ike[EXEMPT_N_IKE];
extern const struct exempt_port exempt_dhcp_in[EXEMPT_N_DHCP], exempt_dhcp_out[EXEMPT_N_DHCP];	/* each as they are */
extern const struct exempt_port exempt_level[EXEMPT_N_LEVEL];	/* both ways: RSVP and Kerberos */
/* Services of a domain controller, TCP and UDP; the first one also of a DNS server. */
extern const struct exempt_port exempt_dc[EXEMPT_N_DC];
#define EXEMPT_ND_LO	133	/* types of ICMPv6, RFC 4861: router and neighbour solicitation and advertisement */
#define EXEMPT_ND_HI	136
bool exempt_level_ports(unsigned level);	/* exempt_level passes */

/* The three base chains, empty. */
void bases_render(struct ruleset *r, struct rs_chain *base[static ACT_N_HOOKS]);
/* "jump to", without a counter. */
void jump_render(struct ruleset *r, struct rs_chain *c, const char *to);

/* Loopback, IKE, ESP, AH, neighbour discovery, and what level 0..3 exempts:
 *                        0       1       2      3
 *   broadcast, multicast both    both    in     in
 *   RSVP, Kerberos       both    -       both   -
 * Inbound broadcasts and multicasts have a chain of their own: asking for them is dear, and
 * packets to an address of this host can go past it. */
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
