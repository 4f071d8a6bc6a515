/* nft/nlsock_parts.h - what the netlink socket knows, and how its parts call each other;
 * for nft/nlsock*.c. */
#ifndef NFT_NLSOCK_PARTS_H
#define NFT_NLSOCK_PARTS_H

#include <sys/types.h>

#include "nft/nlsock.h"
#include "nft/ruleset.h"

struct nlbatch;
struct nlmsghdr;
struct wr;

#define RECV_SIZE	(1u << 16)	/* the kernel fills dumps of up to 32 KB a message */
#define TRIES		16		/* dumps and commits that others keep interrupting */

struct nlsock {
	int		 fd, watch_fd;
	uint32_t	 portid;
	uint32_t	 seq;
	bool		 touched;	/* our table, in the transaction being watched */
	uint8_t		*buf;		/* RECV_SIZE */
	/* Our table as it was in generation genid, read back or proved; NULL: it was not there. */
	bool		 known;
	uint32_t	 genid;
	struct ruleset	*held;
	int64_t		 changed_ms;	/* when our table was changed last, by the monotonic clock; 0: not yet */
};

ssize_t nlsock_send(const struct nlsock *s, const void *p, size_t len);
/* Bytes of one datagram from the kernel; -1: errno.  Others' datagrams are dropped. */
ssize_t nlsock_recv(int fd, uint8_t *buf, int flags);
/* While nobody watches the kernel keeps no message for each element until the end of a
 * transaction. */
int nlsock_watch_pause(const struct nlsock *s, bool pause, struct err *err);

/* ---- asking: nft/nlsock_ask.c ---- */

enum answer { ANSWER_ERROR = -1, ANSWER_DONE, ANSWER_MORE, ANSWER_AGAIN, ANSWER_ABSENT };

int genid_get(struct nlsock *s, uint32_t *ret, struct err *err);
enum answer table_get(struct nlsock *s, const char *name, struct wr *wr, struct err *err);
/* All of our table but elements. */
enum answer head_get(struct nlsock *s, struct wr *wr, struct err *err);
/* All elements of a set; while its hash grows in the background some may lack, and some come twice. */
enum answer elements_get(struct nlsock *s, const char *set, struct wr *wr, struct err *err);
/* The elements of these keys, in their order; ABSENT when one of them is not there. */
#define KEYS_MAX	128
enum answer keys_get(struct nlsock *s, const struct rs_set *set, const struct rs_element *const *keys, size_t n,
    struct wr *wr, struct err *err);
/* What is left of an answer that was given up. */
void nlsock_drain(struct nlsock *s);

/* ---- knowing ---- */

/* held and genid are what the kernel has: what is known, unless somebody changed something since. */
int nlsock_current(struct nlsock *s, struct err *err);
/* Takes r. */
void nlsock_know(struct nlsock *s, struct ruleset *r, uint32_t genid);
void nlsock_forget(struct nlsock *s);

/* Whether the transaction with the changes c, of which the kernel made generation genid, did
 * what it said: reads back what it changed, and that nobody else has changed anything since.
 * 1: proved; 0: not (then a whole dump tells more); -1: could not ask. */
int nlsock_prove(struct nlsock *s, const struct rs_changes *c, uint32_t genid, struct err *err);

#endif
