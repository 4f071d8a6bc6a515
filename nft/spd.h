/* nft/spd.h - VALUE: the IPsec policies that we want in the kernel's security policy
 * database (RFC 4301 4.4.1; the kernel calls it XFRM), beside the ruleset.
 *
 * nftables decides what may pass; these policies make the kernel protect what negotiate
 * filters are about, and ask the IKE daemon for what it lacks.  A policy without a template
 * passes its packets in clear as far as IPsec is concerned: above a less specific one
 * that protects.  Same input, same value, byte for byte.  Text form, one policy a line:
 *
 *   out 10.1.0.1/32 10.2.0.0/16 tcp 0 80 priority 65538 esp transport required reqid 0x69000010 "r:ab12cd34 Web"
 *   in 0.0.0.0/0 10.1.0.1/32 udp 53 0 priority 65536 pass "lifeline: DNS"
 *   fwd 10.3.0.0/16 10.4.0.0/16 any priority 65536 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000011 "..."
 *   out 10.1.0.1/32 10.2.0.7/32 any priority 65539 esp transport required reqid 0x69000012 expires 3600
 *
 * Ports: source and destination (ICMP: type and code), 0: any; "1024/0xfc00" with a mask, "0/0xffff" the number 0.
 * Of two templates the inner (ESP) comes first: "esp transport .. reqid .. ah transport .. reqid ..".
 *
 * JSON: {"policies": [{"dir": "out", "source": "10.1.0.1/32", "destination": "10.2.0.0/16", "protocol": 6,
 * "sport": 0, "sport_mask": 0, "dport": 80, "dport_mask": 65535, "priority": 65538, "expires": 0, "templates":
 * [{"protocol": "esp", "mode": "transport", "level": "required", "reqid": 1761607696, "source": "192.0.2.1",
 * "destination": "192.0.2.9"}], "comment", "filter", "rule", "gpo", "store"}]}.  Protocol 0: any.  sport .. dport_mask only
 * when there is a mask, a template's addresses only in tunnel mode; filter .. store as in the ruleset's JSON.
 *
 * The kernel's key of a policy is direction and selector: there is one of each of ours (and one pin, see
 * spd_pin); somebody else's for the same traffic stands beside them (nft/xfrm.h). */
#ifndef NFT_SPD_H
#define NFT_SPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nft/ruleset.h"	/* struct rs_origin */
#include "schema/facts.h"	/* struct ip_addr */

struct arena;
struct err;
struct json_t;

/* Ours keep to this band of priorities (before the automatic ones of IKE daemons, which begin at
 * 100,000) and to this band of reqids.  Rendered priorities are even, those level use above
 * SPD_PRIORITY_MIN: the odd number below belongs to the pins of that policy. */
#define SPD_PRIORITY_MIN	0x10000u
#define SPD_PRIORITY_MAX	0x17fffu
#define SPD_REQID_MIN		0x69000000u
#define SPD_REQID_MAX		0x69ffffffu
#define SPD_MAX			65536u		/* policies; more is an error that says so */

enum spd_dir { SPD_IN, SPD_OUT, SPD_FWD };	/* XFRM_POLICY_IN... */

struct spd_selector {
	uint8_t		family;			/* AF_INET, AF_INET6 */
	uint8_t		src_prefix, dst_prefix;
	uint8_t		protocol;		/* 0: any, then all ports are 0 */
	uint8_t		src[16], dst[16];	/* network order, host bits zero; IPv4 in the first 4 */
	/* Host order; mask 0: any.  ICMP: type and code stand in sport and dport. */
	uint16_t	sport, sport_mask, dport, dport_mask;
};

struct spd_template {
	uint8_t		protocol;		/* IPPROTO_ESP, IPPROTO_AH */
	bool		tunnel;
	bool		required;		/* else: used when there is a security association ("level use"); the
					 * kernel refuses that outbound in tunnel mode */
	uint32_t	reqid;
	struct ip_addr	src, dst;		/* tunnel: the outer addresses, all zero: any; family AF_UNSPEC in transport mode */
};

struct spd_policy {
	enum spd_dir		 dir;
	struct spd_selector	 sel;
	uint32_t		 priority;	/* lower comes first; within the band */
	uint8_t			 n_templates;	/* 0: pass */
	struct spd_template	 templates[2];	/* ESP inside AH: ESP first */
	uint32_t		 expires;	/* seconds after which the kernel removes it; 0: never.  See spd_pin */
	const char		*comment;	/* not in the kernel; "" */
	const struct rs_origin	*origin;	/* or NULL; not in the kernel */
};

struct spd {
	struct arena		*arena;
	struct spd_policy	*policies;	/* sorted by direction and selector once sealed */
	size_t			 n_policies;
	bool			 failed, sealed;
};

struct spd *spd_new(void);			/* NULL: no memory */
void spd_free(struct spd *s);
/* Copies *p with its comment, made printable, and origin.  Out of memory is remembered for spd_seal. */
void spd_add(struct spd *s, const struct spd_policy *p);
/* Sorts.  Of several for the same direction and selector the one with the lowest priority
 * stays, of those the one with more templates.  -1: no memory, too many, something outside its band or not
 * canonical; names it. */
int spd_seal(struct spd *s, struct err *err);
/* One policy: within the bands and canonical?  -1: says what is wrong, without naming it. */
int spd_policy_check(const struct spd_policy *p, struct err *err);

int spd_write(const struct spd *s, FILE *out);
struct json_t *spd_json(const struct spd *s);		/* NULL: no memory */
void spd_policy_write(const struct spd_policy *p, FILE *out);	/* its line, without newline */
/* Differences as lines "+ ...", "- ..."; what comment and origin say does not count.  Both sealed or NULL
 * (nothing).  out may be NULL.  Returns their number. */
size_t spd_diff(const struct spd *want, const struct spd *have, FILE *out);
/* What spd_diff walks along: `see` is called for each policy that differs, want or have NULL when it is only in one of
 * them.  A non-zero return ends the walk and is returned. */
typedef int spd_see(const struct spd_policy *want, const struct spd_policy *have, void *cookie);
int spd_walk(const struct spd *want, const struct spd *have, spd_see *see, void *cookie);
int spd_selector_cmp(const struct spd_policy *a, const struct spd_policy *b);	/* direction and selector */
bool spd_policy_equal(const struct spd_policy *a, const struct spd_policy *b);	/* but for comment, origin and expires */
const struct spd_policy *spd_find(const struct spd *s, const struct spd_policy *key);	/* in a sealed one; NULL */

/* A peer of a policy level use has negotiated: the same policy for this peer alone (`remote` is the destination of
 * out, the source of in), required, one step more important, and gone after `seconds`.  false: it is not
 * level use in transport mode, or peer is not in it, or seconds is 0. */
bool spd_pin(struct spd_policy *ret, const struct spd_policy *p, const struct ip_addr *peer, uint32_t seconds);
/* The policy in a sealed `want` that p, a pin, is one of by reqid and selector, the most important if there are
 * several; NULL: none.  It may have become required since. */
const struct spd_policy *spd_pin_parent(const struct spd *want, const struct spd_policy *p);

#endif
