/* nft/shape.h - specific filters and their order.
 *
 * A specific filter is one direction of one filter at one hook, for one family,
 * with the servers' addresses and that family's ICMP filled in.  Filters that look at the same parts of
 * a packet have one shape and go into one verdict map; shapes are asked from the
 * most to the least specific.  Compared in turn, more specific first:
 *
 *   1. filters of tunnel rules
 *   2. the sum of both prefix lengths: "me" and single addresses count in full, a
 *      range as the prefix of the same size rounded down to a power of two, any as 0
 *   3. the prefix of this host's side: destination inbound, source outbound and forwarded
 *   4. protocol given
 *   5. both ports, one, none; then narrower port ranges (in powers of two, single
 *      ports narrowest); then this host's side's port
 *   6. LAN or dial-up connections only
 *   7. filters that a map can hold before those with ranges; addresses before "me"
 *
 * Within a shape equal keys, and among ranges equal ranks: the higher store, block
 * before negotiate before permit, the smaller GUID. */
#ifndef NFT_SHAPE_H
#define NFT_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nft/action.h"
#include "nft/pieces.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/policy.h"

/* A filter as it was written, shared by all that became of it. */
struct written {
	const struct ipsec_filter	*filter;
	const struct ipsec_rule		*rule;
	const struct render_source	*from;
	const char		*rule_comment;	/* what the comments of the rule's filters end in */
	/* In the ruleset, once something of the filter is there; its comment stands behind it.  See written_keep. */
	const struct rs_origin	*kept;
};

struct side {
	bool			 me, any;
	uint8_t			 lo[16], hi[16];
	uint8_t			 bits;		/* prefix length, exact or equivalent */
	bool			 range;
	struct ipsec_ports	 port;
	uint8_t			 port_prefix;	/* of a piece: the ports that begin with so many bits of port.lo; else 0 */
};

/* Where a filter has its range. */
enum axis { AXIS_SRC, AXIS_DST, AXIS_SPORT, AXIS_DPORT };

/* There are as many of them as elements at least: what they take is most of what rendering takes. */
struct specific {
	struct side		 src, dst;
	uint8_t			 family;	/* AF_INET or AF_INET6 */
	uint8_t			 hook, kind;	/* enum act_hook, act_kind */
	uint8_t			 conntype;	/* enum ipsec_conntype */
	uint8_t			 store;		/* enum render_store */
	uint8_t			 protocol;	/* 0: any */
	bool			 tunnel;
	/* Made by specific_rank. */
	bool			 range;
	uint8_t			 n_keys;	/* fields the map is keyed by; ranges: 0 */
	/* Of a piece of a range: where that was (enum axis), and in which of several groups of its shape, from 1
	 * on; else 0. */
	uint8_t			 axis;
	uint16_t		 group;
	struct written		*written;
	uint64_t		 rank;		/* higher: more specific; made by specific_rank */
};

/* false: both sides are this host, or "me" stands where this hook never sees it. */
bool specific_seen(const struct specific *f);
void side_any(struct side *ret);
void side_me(struct side *ret, uint8_t family);
void side_range(struct side *ret, uint8_t family, const uint8_t *lo, const uint8_t *hi);
void side_net(struct side *ret, uint8_t family, const uint8_t *addr, unsigned prefix);
void specific_rank(struct specific *f);
/* The rest is zero, with a range all is.  Returns how many bytes of it the key has. */
size_t specific_key(uint8_t ret[static RS_KEY_MAX], const struct specific *f);

/* Order of the chain: hook, family, rank, shape, key, tie. */
int specific_cmp(const struct specific *a, const struct specific *b);
/* Of two different numbers the smaller is of the one that comes first; then its key, likewise. */
uint64_t specific_order(const struct specific *f);
/* Both go into the same map (or are the same keyless rule). */
bool specific_same_shape(const struct specific *a, const struct specific *b);
/* They match the same packets in the same place: only the first in order counts. */
bool specific_same(const struct specific *a, const struct specific *b);

/* ---- filters with one range: nft/units.h says what becomes of them ---- */

/* false: it has none, or several. */
bool specific_axis(enum axis *ret, const struct specific *f);
unsigned axis_bits(enum axis a, uint8_t family);
/* From where to where. */
void specific_span(struct span *ret, const struct specific *f, enum axis a);
/* Both have their one range in the same place and look at the same otherwise: keys and width may differ. */
bool specific_same_axis(const struct specific *a, const struct specific *b);
/* As if the filter were about that piece of its range alone, which a map can hold. */
void specific_piece(struct specific *ret, const struct specific *f, enum axis a, const struct piece *p, unsigned group);

/* What a map of this shape is keyed by, and its name "in4_s24_d32_p_dp"; the second
 * map of a shape (part 2) "in4_s24_d32_p_dp_2"; of pieces "in4_s24_p_dp12_r",
 * and of addresses "in4_s24_d28_rd". */
#define SHAPE_NAME	64
void shape_name(const struct specific *f, unsigned part, char out[static SHAPE_NAME]);
/* The same for people: "source /24, destination this host, protocol". */
void shape_words(const struct specific *f, unsigned part, char out[static RS_COMMENT_MAX + 1]);
void shape_lookup(struct rs_lookup *ret, const struct specific *f, const char *name);

#endif
