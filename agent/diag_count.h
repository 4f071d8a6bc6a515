/* agent/diag_count.h - drops that were seen: the last of them, how many may be logged, which filters
 * drop most; and the kernel's counters of IPsec errors.  Pure: time is an argument. */
#ifndef AGENT_DIAG_COUNT_H
#define AGENT_DIAG_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nft/action.h"
#include "nft/ruleset.h"

#define DIAG_RATE	100	/* events of single drops a second */
#define DIAG_BURST	200	/* at once */
#define DIAG_RING	512	/* drops that are remembered */
#define DIAG_TALLY	4096	/* filters whose drops are counted each by itself */
#define DIAG_TOP	10
#define DIAG_NAME	96	/* bytes of a name that are kept, with NUL */

/* Zero-initialised: the whole burst is there. */
struct diag_rate {
	int64_t		last_us;
	int64_t		spent_us;	/* of what the burst allows */
};
bool diag_rate_take(struct diag_rate *r, int64_t now_us);	/* now_us: CLOCK_MONOTONIC */

struct diag_drop {
	uint64_t		 number;	/* 1, 2, ... */
	int64_t			 time_us;	/* CLOCK_REALTIME */
	enum act_hook		 hook;
	enum drop_kind		 kind;
	uint8_t			 family, protocol;	/* family 0: not even that is known */
	uint8_t			 src[16], dst[16];
	bool			 ports;
	uint16_t		 sport, dport;
	char			 interface[16];
	bool			 decided;	/* by a filter: origin says which */
	struct rs_origin	 origin;
	char			 rule[DIAG_NAME], policy[DIAG_NAME], gpo[DIAG_NAME];	/* names, "": not known */
};

struct diag_ring {
	struct diag_drop	drops[DIAG_RING];
	uint64_t		last;		/* number of the newest; 0: none */
};
struct diag_drop *diag_ring_add(struct diag_ring *r);	/* numbered, else zero */
/* The oldest that is still there with a number above since; *missed: how many above since are gone.  Those after it
 * follow by diag_ring_next; NULL: no more.  A since from the future is none. */
const struct diag_drop *diag_ring_after(const struct diag_ring *r, uint64_t since, uint64_t *missed);
const struct diag_drop *diag_ring_next(const struct diag_ring *r, const struct diag_drop *d);

struct diag_count {
	struct rs_origin	origin;
	char			rule[DIAG_NAME];
	uint64_t		n;
};
struct diag_tally {
	struct diag_count	slots[2 * DIAG_TALLY];	/* by hash; n 0: free */
	size_t			n_used;
	uint64_t		others;		/* of filters there was no room for */
};
void diag_tally_add(struct diag_tally *t, const struct diag_drop *d);
/* Most first; returns how many. */
size_t diag_tally_top(const struct diag_tally *t, const struct diag_count *ret[static DIAG_TOP]);

/* ---- /proc/net/xfrm_stat: "XfrmInError \t 0" lines ---- */
#define DIAG_XFRM	64
struct diag_xfrm {
	char			name[40];
	uint64_t		value;
};
size_t diag_xfrm_parse(struct diag_xfrm ret[static DIAG_XFRM], const char *text);	/* how many */
/* "XfrmInNoStates 3, XfrmInError 1": what grew; returns how many did, 0 and "": nothing. */
size_t diag_xfrm_grown(const struct diag_xfrm *before, size_t n_before, const struct diag_xfrm *now, size_t n_now, char *out, size_t size);

#endif
