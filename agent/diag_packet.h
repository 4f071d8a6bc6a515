/* agent/diag_packet.h - one logged packet -> what was dropped, where, and by which filter. */
#ifndef AGENT_DIAG_PACKET_H
#define AGENT_DIAG_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/diag_count.h"
#include "nft/render.h"

struct nflog_packet;
struct ruleset;

/* Interfaces and addresses of this host, as of a moment ago. */
struct diag_host;
struct diag_host *diag_host_new(void);		/* NULL: no memory */
void diag_host_free(struct diag_host *h);	/* NULL: nothing */

/* Rule ids and the names that go with them. */
struct diag_names;
struct diag_names *diag_names_new(const struct render_source *sources, size_t n);	/* copies; NULL: no memory */
void diag_names_free(struct diag_names *n);	/* NULL: nothing */

/* Sets all of *ret but its number.  r (in force), names: may be NULL.  false: not logged by us. */
bool diag_packet_read(struct diag_drop *ret, const struct nflog_packet *p, const struct ruleset *r, struct diag_host *h,
    const struct diag_names *names);
/* Reads only the prefix: where it was dropped and why. */
bool diag_packet_place(enum act_hook *ret_h, enum drop_kind *ret_k, const struct nflog_packet *p);

/* ---- words ---- */
const char *diag_direction(const struct diag_drop *d);	/* "inbound" "outbound" "forward" */
const char *diag_why(const struct diag_drop *d);	/* "block" "clear" "mode" */
#define DIAG_ADDR	48
void diag_addr(const struct diag_drop *d, const uint8_t *addr, char out[static DIAG_ADDR]);	/* "?" when not known */
void diag_protocol(const struct diag_drop *d, char out[static 16]);	/* "tcp" "udp" "icmp" "icmpv6" "47" "?" */
/* "inbound tcp 10.0.0.2:1234 > 10.0.0.1:23 on eth0" */
void diag_packet_write(const struct diag_drop *d, FILE *out);

#endif
