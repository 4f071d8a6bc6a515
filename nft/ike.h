/* nft/ike.h - VALUE: what the IKE daemon is to be told: connections, their children, pre-shared keys.
 *
 * In strongSwan's terms (swanctl.conf(5)): a connection is one way to authenticate towards one
 * network of peers with the main mode offers of a policy; its children are quick modes with `policies = no`: the kernel's
 * policies are ours (nft/spd.h) and find the child by its reqid.  A name is made of what it
 * names, so that another content has another name: what has to be loaded and unloaded is the difference
 * of two sets of names.
 *
 * Text form: swanctl.conf, with "***" for each key; swanctl loads it when the keys are filled in. */
#ifndef NFT_IKE_H
#define NFT_IKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nft/ruleset.h"	/* struct rs_origin */

struct arena;
struct err;
struct json_t;

#define IKE_PREFIX	"ipsecpol-"	/* what all our names begin with */
#define IKE_DPD_SECONDS	30		/* of silence, after which a peer is asked whether it is there */
#define IKE_DPD_TIMEOUT	75		/* IKEv1: without an answer; IKEv2 has its retransmissions */

enum ike_version { IKE_ANY, IKE_V1, IKE_V2 };	/* as in swanctl.conf: 0 offers IKEv2 and takes both */
enum ike_auth { IKE_PSK, IKE_CERTIFICATE };
enum ike_revocation { IKE_RELAXED, IKE_IFURI, IKE_STRICT };

/* All texts in a list are separated by nothing: arrays. */
struct ike_list {
	const char	**texts;
	size_t		  n;
};

struct ike_child {
	const char	*name;		/* "q-0123456789ab": letters, digits, '-' and '_'; unique within its connection */
	uint32_t	 reqid;		/* of SPD_REQID_MIN..MAX; 0: the daemon chooses */
	bool		 tunnel;
	bool		 ah;		/* the proposals are AH's, else ESP's */
	bool		 trap;		/* the kernel's question leads here; else it only answers */
	bool		 policies;	/* the daemon makes the kernel's policies (default response alone) */
	/* Traffic selectors: "dynamic", an address, network or range; then maybe "[tcp]", "[6/80]", "[udp/1000-2000]". */
	struct ike_list	 local_ts, remote_ts;
	struct ike_list	 proposals;	/* "aes128-sha1-modp2048" */
	uint32_t	 life_seconds;	/* hard; rekeying begins at nine tenths of it; never 0 */
	uint64_t	 life_bytes;	/* 0: no limit */
	const struct rs_origin *origin;	/* rule and GPO; or NULL */
	const char	*rule_name;	/* for people, as its connection's: that of its own rule; "" */
};

struct ike_conn {
	const char	*name;		/* IKE_PREFIX and 16 hexadecimal digits, made by ike_seal */
	enum ike_version version;
	struct ike_list	 local_addrs, remote_addrs;	/* "%any", addresses, networks, ranges; no names */
	struct ike_list	 proposals;
	enum ike_auth	 auth;
	const char	*ca_id;		/* CERTIFICATE: distinguished name of the CA that the peer's certificate must come from (ike_ca_id_check); "" any trusted one */
	bool		 certreq;	/* name CAs in requests */
	enum ike_revocation revocation;
	uint32_t	 life_seconds;	/* of the IKE SA; never 0 */
	const char	*secret;	/* PSK: id of the ike_secret; "" */
	const char	*rule_name;	/* for people: of the first rule it is for; hostile; not part of the name */
	struct ike_child *children;
	size_t		 n_children;
};

struct ike_secret {
	const char	*id;		/* IKE_PREFIX and digits that tell nothing of the key */
	struct ike_list	 owners;	/* identities: addresses, networks, "%any" */
	const char	*key;		/* SECRET */
	size_t		 key_len;
};

struct ike_config {
	struct arena		*arena;
	struct ike_conn		*conns;		/* by name when sealed */
	size_t			 n_conns;
	struct ike_secret	*secrets;	/* by id when sealed */
	size_t			 n_secrets;
	bool			 needs_certificate;	/* some connection authenticates with a certificate of this host */
	bool			 sealed;
};

struct ike_config *ike_new(void);		/* NULL: no memory */
void ike_free(struct ike_config *c);		/* keys are overwritten first */
/* Sorts (children, too), gives each connection its name: SHA-256 of its text, with the secret's id, without rules and
 * names of rules.  -1: no memory; two equal connections, children of the same name or secrets of the same id; a connection
 * without its secret; texts that swanctl.conf cannot hold, or that would mean something else there.  Names the connection's rule. */
int ike_seal(struct ike_config *c, struct err *err);
/* Whether charon takes it for the one distinguished name that it is: no escapes, no wildcards (which would make it wider),
 * attribute types that it knows ("CN=Corp Root CA, O=Corp"). */
int ike_ca_id_check(const char *dn, struct err *err);
/* When renewing begins: nine tenths, at least 1, less than all of it where it can be. */
uint64_t ike_renew_at(uint64_t life);
int ike_write(const struct ike_config *c, FILE *out);		/* swanctl.conf, keys as *** */
struct json_t *ike_json(const struct ike_config *c);		/* without keys; NULL: no memory */
/* Lines "+ NAME", "- NAME", "+ key ID", "- key ID" (both: another key, or owners).  Both sealed or NULL (nothing); out may be NULL.
 * Returns their number. */
size_t ike_diff(const struct ike_config *want, const struct ike_config *have, FILE *out);
const struct ike_conn *ike_find(const struct ike_config *c, const char *name);	/* NULL: no such one */
const struct ike_child *ike_child_find(const struct ike_conn *c, const char *name);
/* Adders for renderers; memory of the arena, copies.  NULL, -1: no memory.  A connection or child points
 * into an array that the next of its kind may move. */
int ike_list_add(struct ike_config *c, struct ike_list *l, const char *text);
struct ike_conn *ike_conn_add(struct ike_config *c);		/* its texts are "" */
struct ike_child *ike_child_add(struct ike_config *c, struct ike_conn *conn);
struct ike_secret *ike_secret_add(struct ike_config *c, const char *id, const void *key, size_t key_len);
const char *ike_auth_name(enum ike_auth auth);			/* "psk", "pubkey" */
const char *ike_revocation_name(enum ike_revocation r);		/* "relaxed", "ifuri", "strict" */

#endif
