/* nft/nlsock.h - the only netlink socket to nftables.  SHELL. */
#ifndef NFT_NLSOCK_H
#define NFT_NLSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;
struct nlsock;
struct ruleset;

struct nlsock *nlsock_open(struct err *err);
void nlsock_close(struct nlsock *s);		/* NULL: nothing */

/* Our table as it is in the kernel; *ret NULL and 0 when it is not there.  It is shared with
 * s, which keeps what it has read or proved last: nobody changes it. */
int nlsock_fetch(struct nlsock *s, struct ruleset **ret, struct err *err);

struct apply_report {
	size_t	n_changes;	/* differences found before; 0: nothing was sent */
	size_t	n_bytes;	/* sent, without the guard */
	bool	created;	/* the table was not there */
};

/* Makes the kernel hold `want` (NULL: no table; else sealed): the difference to what is there in one
 * transaction, then what that changed is read back and compared; a remaining difference is committed once
 * more, then it is ERR_KERNEL.  What is there is read as a whole unless s knows it: from the call before, while the
 * kernel's generation says that nobody has changed anything since, or nlsock_watch_read has seen that it was
 * nothing of ours.  Afterwards s shares want, so that it stays until the next call.
 *
 * A transaction alone is not without a gap.  The kernel asks new chains before old ones of the
 * same priority, so that a packet that meets the one before and the other after a whole
 * table is replaced meets no rule; and it looks up the elements of the new generation for a
 * packet that is still among the rules of the old.  So where the change needs it (nft/guard.h), all or a
 * part of what is wanted first comes beside the table, in one of its own (RULESET_GUARD), all packets that are under way
 * are waited for (some 15 ms), and the guard goes when the table is as wanted: what both
 * the old and the new rules forbid never passes.  A guard that a killed process left is
 * removed by the next call.
 *
 * -1 leaves the kernel as it was, unless the message begins with "committed, but": then
 * a transaction got through, and what the kernel holds now is not, or not known to be,
 * what was wanted.  "refused: " says that the kernel took nothing of it. */
int nlsock_apply(struct nlsock *s, const struct ruleset *want, struct apply_report *rep, FILE *log, struct err *err);

/* A descriptor that becomes readable when somebody changes any table; then
 * nlsock_watch_read says whether ours was touched by another process.
 * (-1: error; 0: not ours or our own change; 1: ours.)  After lost messages it says 1.
 * The descriptor belongs to s, is the same each time, and nlsock_close closes it. */
int nlsock_watch_open(struct nlsock *s, struct err *err);
int nlsock_watch_read(struct nlsock *s, struct err *err);

#endif
