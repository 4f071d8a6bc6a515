/* nft/xfrmsock_parts.h - what the socket to the kernel's IPsec knows, and how its parts call
 * each other; for nft/xfrmsock*.c. */
#ifndef NFT_XFRMSOCK_PARTS_H
#define NFT_XFRMSOCK_PARTS_H

#include "nft/xfrmsock.h"

#define XFRM_RECV_SIZE	(1u << 16)	/* the kernel fills dumps of up to 32 KB a message */
#define XFRM_SEND_SIZE	(1u << 16)	/* some 190 policies a message */

struct xfrmsock {
	int		 fd, watch_fd;
	uint32_t	 portid;
	uint32_t	 seq;
	uint8_t		*in, *out;
	char		 why[128];	/* what the kernel said beside the first error of the last changes, "" */
};

/* ---- nft/xfrmsock.c ---- */

/* What the kernel holds; each may be asked for or not (all: everything). */
struct xfrm_held {
	struct spd	*policies, *pins;	/* ours, sealed */
	struct spd	*altered;		/* under our keys; not sealed */
	struct spd	*foreign;		/* that take all packets of their selector; sorted for spd_find, the most
						 * important of each selector; not sealed */
};
int xfrmsock_look(struct xfrmsock *x, struct xfrm_held *ret, struct err *err);
void xfrm_held_free(struct xfrm_held *h);

struct xfrm_change {
	const struct spd_policy	*p;
	bool			 remove;	/* else: add or replace */
	bool			 is_new, altered;
	bool			 done;		/* as far as the kernel has said */
	int			 error;		/* errno of its refusal */
};
/* Changes in their order, many a message.  1: refusals may have been lost: look again; -1: not all could be sent (see
 * done). */
int xfrmsock_send(struct xfrmsock *x, struct xfrm_change *c, size_t n, struct err *err);
/* "cannot install IPsec policy ...: why"; returns -1. */
int xfrmsock_refused(const struct xfrmsock *x, const struct xfrm_change *c, struct err *err);
/* Puts "TEXT IPsec policy ..." in front; returns -1. */
int xfrmsock_name(const char *text, const struct spd_policy *p, struct err *err);

/* ---- nft/xfrmsock_watch.c ---- */

/* The kernel tells nothing of policies meanwhile: thousands of own changes would only fill the buffer. */
int xfrmsock_watch_pause(const struct xfrmsock *x, bool pause, struct err *err);

#endif
