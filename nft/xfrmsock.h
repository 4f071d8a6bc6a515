/* nft/xfrmsock.h - the only netlink socket to the kernel's IPsec.  SHELL. */
#ifndef NFT_XFRMSOCK_H
#define NFT_XFRMSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nft/spd.h"
#include "nft/xfrm.h"

struct arena;
struct err;
struct xfrmsock;

/* ERR_ABSENT: this kernel has no NETLINK_XFRM. */
struct xfrmsock *xfrmsock_open(struct err *err);
void xfrmsock_close(struct xfrmsock *x);	/* NULL: nothing */

/* All policies of ours, sealed, and in *pins those with expires != 0 (pins NULL: left out of both).  Those that
 * somebody has altered are left out, too: for _retract and _install they are not as wanted. */
int xfrmsock_fetch(struct xfrmsock *x, struct spd **ret, struct spd **pins, struct err *err);

struct spd_report {	/* both functions add to it */
	size_t	n_added, n_changed, n_removed;
};

/* The way down and the way up, around the change of the ruleset: first _retract removes what is not in
 * want any more (want NULL: everything, pins too), then the rules change,
 * then _install adds and replaces what is missing or different, and reads back.  Both compare with what
 * the kernel holds; nothing is sent when nothing differs; log has the lines of spd_diff.
 *
 * Removed are the least specific first, installed the most specific: what passes above a policy that protects is never
 * without it while that one is there.  _retract that fails halfway puts back what it removed.  A pin stays as long as
 * want has a policy it is one of (spd_pin_parent), and _install makes it follow when that one changes, its
 * time started anew.
 *
 * Time grows with the number of policies, but that the kernel keeps those of the same two networks in a list: 10,000
 * that differ in ports alone take it 2 s each way (10,000 others: 50 ms).
 *
 * _install does all it can: -1 after that when a policy could not be put in or is not there
 * afterwards (the first is named), or ERR_BUSY when all are there but one of somebody else's, which is
 * left alone, comes before one of them for the same traffic. */
int xfrmsock_retract(struct xfrmsock *x, const struct spd *want, struct spd_report *rep, FILE *log, struct err *err);
int xfrmsock_install(struct xfrmsock *x, const struct spd *want, struct spd_report *rep, FILE *log, struct err *err);

/* One pin in the kernel, or its time started anew. */
int xfrmsock_pin(struct xfrmsock *x, const struct spd_policy *pin, struct err *err);

/* SAs and larval ones with reqids of ours, in a. */
int xfrmsock_sas(struct xfrmsock *x, struct xfrm_sa **ret, size_t *ret_n, struct arena *a, struct err *err);
/* 0 also when it is gone.  Without a larval one the next packet makes the kernel ask anew; one that an IKE daemon has
 * given an SPI is that daemon's: 0, it stays. */
int xfrmsock_sa_delete(struct xfrmsock *x, const struct xfrm_sa *sa, struct err *err);
/* Asks whoever listens (the IKE daemon) for an SA of policy p for the addresses of sa, as a packet would do. */
int xfrmsock_acquire(struct xfrmsock *x, const struct spd_policy *p, const struct xfrm_sa *sa, struct err *err);

/* A descriptor that becomes readable when somebody changes policies or security associations.  It belongs to x. */
int xfrmsock_watch_open(struct xfrmsock *x, struct err *err);	/* -1: error */
struct xfrm_events {
	bool	policies;	/* one of ours was changed or removed by somebody else (an expired pin is not meant), or messages were lost */
	bool	sas;		/* an SA of ours came or went, not through x, or messages were lost */
	bool	asked;		/* the kernel has asked for an SA, of ours or not, or messages were lost */
};
int xfrmsock_watch_read(struct xfrmsock *x, struct xfrm_events *ret, struct err *err);

#endif
