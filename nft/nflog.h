/* nft/nflog.h - the packets that rules log: an NFLOG group of this network namespace.
 * SHELL, but for nflog_parse.
 *
 * A group has one listener at a time.  The kernel hands packets over in bundles, within
 * 1/10 s. */
#ifndef NFT_NFLOG_H
#define NFT_NFLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct nflog;

#define NFLOG_GROUP	4500	/* a number that others are unlikely to use, no more */
#define NFLOG_RATE	50	/* packets a second, for each rule that logs */
#define NFLOG_BURST	100
#define NFLOG_COPY	128	/* bytes of a packet that are copied */

struct nflog_packet {
	int		 hook;		/* enum rs_hook (NF_INET_*) */
	uint8_t		 family;	/* AF_INET, AF_INET6 */
	const char	*prefix;	/* "": none */
	uint32_t	 iif, oif;	/* interface indexes, 0: none */
	int64_t		 time_us;	/* CLOCK_REALTIME; 0: not told, as of packets made here */
	const uint8_t	*payload;	/* the packet from its IP header on, or the beginning of it */
	size_t		 len;
};
/* What p points to is gone when it returns. */
typedef void nflog_see(const struct nflog_packet *p, void *cookie);

/* Needs CAP_NET_ADMIN.  NULL: error; ERR_BUSY: another process listens already. */
struct nflog *nflog_open(struct err *err);
void nflog_close(struct nflog *n);		/* NULL: nothing */
int nflog_fd(const struct nflog *n);		/* becomes readable; belongs to n */
/* What waits, or a good part of it (then the descriptor stays readable); never blocks.
 * -1: the socket is of no use any more. */
int nflog_read(struct nflog *n, nflog_see *see, void *cookie, struct err *err);
/* How often packets were lost because they were not read in time, since it was opened. */
uint64_t nflog_lost(const struct nflog *n);

/* The packets in the kernel's messages; pure.  What is no logged packet is skipped; a
 * message of a length that cannot be ends it.  msgs: aligned to 4 bytes. */
void nflog_parse(const uint8_t *msgs, size_t len, nflog_see *see, void *cookie);

#endif
