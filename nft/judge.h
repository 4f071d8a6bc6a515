/* nft/judge.h - which filter or rule of a ruleset decides about a packet: walks the chains
 * as the kernel does, without one.  What a packet's bytes do not tell (which addresses are this
 * host's, connection tracking, IPsec) is passed in. */
#ifndef NFT_JUDGE_H
#define NFT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nft/ruleset.h"

/* The head of an IP packet as nftables sees it. */
struct packet_head {
	uint8_t		family;		/* AF_INET, AF_INET6 */
	uint8_t		src[16], dst[16];/* IPv4 in the first 4, rest zero */
	uint8_t		hoplimit;	/* or TTL */
	uint8_t		protocol;	/* behind IPv6's extension headers; AH ends them */
	bool		fragment;	/* not the first: no transport header */
	uint8_t		th[4];		/* first bytes of the transport header */
	uint8_t		n_th;		/* how many of them there are */
};

#define PACKET_MAX_HEADERS	16	/* IPv6 extension headers */
/* p may be cut.  false: no IP packet, a malformed one, or cut before its protocol and ports. */
bool packet_head_parse(struct packet_head *ret, const uint8_t *p, size_t len);
bool packet_has_ports(const struct packet_head *p);	/* TCP or UDP, and not a later fragment */
uint16_t packet_sport(const struct packet_head *p);	/* 0: none */
uint16_t packet_dport(const struct packet_head *p);

/* Where the packet is met.  Zero is the plainest: no interface, all addresses unicast and
 * elsewhere, a new connection, clear. */
struct judge_place {
	enum rs_hook	hook;		/* RS_HOOK_INPUT, _FORWARD or _POSTROUTING */
	uint32_t	iif, oif;	/* 0: none */
	uint16_t	iiftype, oiftype;/* ARPHRD_*; mean nothing without the interface */
	uint32_t	src_type, dst_type;	/* RTN_LOCAL, RTN_BROADCAST...; 0: RTN_UNICAST */
	uint32_t	ct_state;	/* bits as of RS_CT_STATE; 0: new */
	bool		ct_reply;	/* not of the direction that opened the connection */
	bool		came_protected, leaves_protected;	/* by IPsec */
};

struct judgement {
	enum rs_verdict		 verdict;	/* RS_ACCEPT or RS_DROP */
	/* Where it fell; rule NULL where an element of a map said it at once, both NULL where
	 * the base chain's policy did. */
	const struct rs_chain	*chain;
	const struct rs_rule	*rule;
	/* The filter that decided: also when its action is a chain of its own. */
	const struct rs_origin	*origin;	/* NULL: no filter did, or read back from the kernel */
	const struct rs_element	*element;	/* that the filter is; NULL: it is a rule */
	const struct rs_set	*set;		/* of element */
	const char		*comment;	/* of the filter, else of the rule; "": none */
};

/* r is sealed; *ret points into it.  false: the ruleset cannot be followed (it holds what
 * read-back did not understand, or leads nowhere). */
bool judge_packet(struct judgement *ret, const struct ruleset *r, const struct packet_head *p, const struct judge_place *at);

#endif
