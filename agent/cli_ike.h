/* agent/cli_ike.h - what the command line shows of negotiation: the associations of charon and of the kernel, as
 * JSON, with the rules they are for.  Private to cli_ike*.c and cli_peers.c.
 *
 * src is this host, dst the peer, whatever the direction.  Texts of others are UTF-8 without hidden
 * characters; what is not known is null. */
#ifndef AGENT_CLI_IKE_H
#define AGENT_CLI_IKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/facts.h"

struct cli;
struct err;
struct json_t;
struct netsh_args;
struct vici;
struct xfrm_sa;
struct xfrmsock;

/* Which rules a connection or a reqid is for: an answer of the service. */
struct ike_rules {
	struct json_t	*connections;	/* name -> list of rules {rule, rule_id, gpo, store} */
	struct json_t	*reqids;	/* decimal text -> the same */
	bool		 known;		/* the service has answered */
};
void ike_rules_ask(struct ike_rules *ret, struct cli *c);	/* a service that does not answer knows none */
void ike_rules_free(struct ike_rules *r);
/* Of a reqid; an empty list when there is none.  A new reference. */
struct json_t *ike_rules_of(const struct ike_rules *r, uint32_t reqid);

/* What charon has. */
struct ike_sas {
	struct json_t	*main;		/* ours: {connection, id, version, state, src, ...} */
	struct json_t	*quick;		/* their children */
	struct json_t	*daemon;	/* {daemon, version, socket} */
	size_t		 n_foreign;	/* IKE SAs of connections that are not ours */
};
/* ERR_OFFLINE: it does not answer; the message says where, and what that means. */
struct vici *ike_open(struct cli *c, struct err *err);
struct json_t *ike_daemon(struct vici *v, struct cli *c);
int ike_sas(struct ike_sas *ret, struct vici *v, struct cli *c, const struct ike_rules *rules, struct err *err);
void ike_sas_free(struct ike_sas *s);

/* The kernel's, ours alone. */
struct kernel_sas {
	struct xfrmsock	*x;
	struct xfrm_sa	*all;		/* in c->arena */
	size_t		 n;
	struct ip_addr	*own;		/* addresses of this host */
	size_t		 n_own;
};
/* ERR_ABSENT: this kernel has no IPsec. */
int kernel_sas(struct kernel_sas *ret, struct cli *c, struct err *err);
void kernel_sas_close(struct kernel_sas *k);
bool kernel_sa_inbound(const struct kernel_sas *k, const struct xfrm_sa *sa);
const struct ip_addr *kernel_sa_peer(const struct kernel_sas *k, const struct xfrm_sa *sa);
/* quick (charon's; empty: it does not answer) is completed by what the kernel counts, and by
 * associations that the kernel alone has. */
int kernel_sas_join(struct json_t *quick, const struct kernel_sas *k, const struct ike_rules *rules, struct err *err);

/* For people: "'Web' of GPO {..}, 'Mail' (local) and 3 more". */
const char *ike_rules_text(struct cli *c, const struct json_t *rules);
const char *ike_age_text(struct cli *c, const struct json_t *seconds);	/* "2 h 5 min"; "" when null */

#endif
