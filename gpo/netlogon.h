/* gpo/netlogon.h - the answer to the NetLogon ping, [MS-ADTS] 6.3.1.9, 6.3.3. */
#ifndef GPO_NETLOGON_H
#define GPO_NETLOGON_H

#include <stddef.h>
#include <stdint.h>

#include "schema/ident.h"

struct arena;
struct dir_value;
struct err;

#define NETLOGON_OK		23
#define NETLOGON_PAUSED		24
#define NETLOGON_CLOSEST	0x80u

struct netlogon {
	uint16_t	 opcode;	/* 23: answered; 24: paused */
	uint32_t	 flags;
	struct guid	 domain_guid;
	const char	*forest, *domain, *host, *dc_site;
	const char	*client_site;	/* "" when no subnet covers the address */
};

/* NETLOGON_SAM_LOGON_RESPONSE_EX only, every byte accounted for. */
int netlogon_parse(struct netlogon *ret, struct arena *a, const struct dir_value *v, struct err *err);

#endif
