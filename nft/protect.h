/* nft/protect.h - policies + facts -> how negotiate filters are met: the kernel's security
 * policies and the connections of the IKE daemon.
 *
 * nft/render.h says what may pass in clear; nothing here can widen that.  What cannot be negotiated
 * stays as the ruleset has it (require: closed) and is told as a problem, by rule.
 *
 * The same specific filters in the same order (nft/shape.h) become policies, with rising priorities:
 *
 *   exemptions, lifeline    pass, both ways (nft/exempt.h); packets between this host's own addresses
 *   permit                  pass, where something less specific protects
 *   block                   out: pass (IKE need not ask for what nftables drops), but for long lists of them
 *   require                 in required, out required
 *   pass-through            in use, out required
 *   request, and both       in use, out use
 *   require, unusable       out: pass; in: required, of a reqid that no security association has: what
 *                           another rule negotiated does not do for it.  The other kinds pass.
 *
 * "me" and "any" on this host's side are each of its addresses (FACT_ADDRESS), so that forwarded packets
 * match policies of tunnels alone.  A filter has one child with one reqid, its mirror included; the reqid
 * follows from rule, networks, protocol and ports.  A connection is for one network and one way to
 * authenticate, and holds also the children of wider networks under the same authentication. */
#ifndef NFT_PROTECT_H
#define NFT_PROTECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nft/ike.h"
#include "nft/render.h"
#include "nft/spd.h"

struct arena;
struct err;
struct host_facts;

/* What "Kerberos" means here: GSS-API authentication of IKE (as Windows' default policies
 * want it) is not to be had. */
enum kerberos_map { KERBEROS_NONE, KERBEROS_PSK, KERBEROS_CERTIFICATE };

struct protect_options {
	struct render_options	 render;
	enum ike_version	 version;
	bool			 weak_offers;		/* DES, MD5 and group 1 may be offered */
	enum kerberos_map	 kerberos;
	const char		*kerberos_key;		/* PSK: the key (secret); its length */
	size_t			 kerberos_key_len;
	bool			 have_certificate;	/* this host has one with its private key */
	bool			 ignore_mapping;	/* rules that want certificates mapped to accounts are negotiated without */
	unsigned		 strong_crl;		/* 0..2: strongcrlcheck */
};

enum protect_why {
	PROTECT_NO_AUTH,	/* no authentication method of the rule can be used */
	PROTECT_NO_OFFER,	/* no quick mode or main mode offer is left */
	PROTECT_NO_AH_ESP,	/* AH and ESP together cannot be negotiated */
	PROTECT_CONNTYPE,	/* rules for LAN or dial-up connections only cannot be negotiated */
	PROTECT_TUNNEL,		/* a tunnel rule without its other half, or that cannot be told what it is for */
	PROTECT_FORWARD,	/* transport mode for forwarded packets */
	PROTECT_PARTLY,		/* some offers or methods were left out; the rest is negotiated */
	PROTECT_RANGE,		/* IKEv1 knows no port ranges */
};

struct protect_problem {
	enum protect_why why;
	bool		 closed;	/* what the rule's filters demand is blocked; else clear passes, or only a part is affected */
	struct rs_origin origin;	/* filter: zero when all of the rule's */
	const char	*rule_name;	/* hostile */
	const char	*text;		/* "kerberos: no mapping is configured" */
};

struct protect {
	struct arena		*arena;
	struct spd		*spd;		/* sealed; without any policy when there is nothing to negotiate */
	struct ike_config	*ike;		/* sealed */
	struct protect_problem	*problems;	/* each rule and reason once, in the order of the rules */
	size_t			 n_problems;
	size_t			 n_filters;	/* specific filters that negotiate */
	size_t			 n_soft;	/* policies level use of the kinds request, on which peers are to be pinned */
};

/* As policy_render.  facts NULL or without own addresses: nothing is protected, and "me" filters
 * stay closed.  *ret is never without spd and ike. */
int protect_render(struct protect **ret, const struct render_source *sources, size_t n_sources, const struct host_facts *facts,
    const struct protect_options *o, struct err *err);
void protect_free(struct protect *p);

#endif
