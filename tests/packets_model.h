/* tests/packets_model.h - which packets a policy lets through, said by walking all its
 * filters for each packet.  Knows nothing of maps, shapes or ranks: filters that match
 * are compared two at a time by the written rules. */
#ifndef TESTS_PACKETS_MODEL_H
#define TESTS_PACKETS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "nft/ruleset.h"
#include "tests/mkpolicy.h"

enum way { WAY_IN, WAY_OUT, WAY_FORWARD };

struct packet {
	enum way	 way;
	bool		 v4;
	uint8_t		 src[16], dst[16];	/* IPv4 in the first 4 */
	uint8_t		 proto;			/* as the filters see it */
	uint8_t		 icmp_type;
	uint16_t	 sport, dport;
	bool		 src_local, dst_local, dst_wide;	/* wide: broadcast or multicast */
	bool		 dialup;		/* the interface that counts */
	bool		 answer;		/* of a known flow, by conntrack's book */
};

enum fate { FATE_PASS, FATE_DROP };

/* why: "exempt", "lifeline", "none" or the kind of the action that decided; who: the filter that
 * did, all zero when none. */
enum fate model_fate(const struct mk *m, const struct packet *p, const char **why, struct rs_origin *who);

#endif
