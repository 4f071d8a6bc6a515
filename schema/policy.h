/* schema/policy.h - VALUE 3: the assigned IPsec policy, typed and resolved.
 *
 * Directory class            here
 *   ipsecPolicy              struct ipsec_policy
 *   ipsecISAKMPPolicy        struct ipsec_isakmp        ("main mode")
 *   ipsecNFA                 struct ipsec_rule          (a "rule" in the console)
 *   ipsecFilter              struct ipsec_filter_list   (a "filter list")
 *     one filter spec in it  struct ipsec_filter
 *   ipsecNegotiationPolicy   struct ipsec_negpol        (a "filter action")
 *
 * [MS-GPIPSEC] 2.2.1.  References between objects are pointers inside the same
 * policy.  Addresses that depend on this host (me, DNS, gateway...) stay
 * symbolic: the policy is the same value on every host to which it is assigned.
 * All strings are valid UTF-8, never NULL unless said so, and hostile: they come
 * from the directory. */
#ifndef SCHEMA_POLICY_H
#define SCHEMA_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "schema/ident.h"

struct arena;
struct err;
struct json_t;

#define POLICY_POLLING_DEFAULT	10800	/* seconds, where the object says 0 */
#define POLICY_MM_LIFE_DEFAULT	28800	/* seconds */
#define POLICY_QM_LIFE_DEFAULT	3600	/* seconds */
#define POLICY_QM_KB_DEFAULT	100000

enum ipsec_addr_kind {
	IPSEC_ADDR_ANY,
	IPSEC_ADDR_ME,
	IPSEC_ADDR_DNS, IPSEC_ADDR_WINS, IPSEC_ADDR_DHCP, IPSEC_ADDR_GATEWAY,
	IPSEC_ADDR_NET,		/* lo is the network, prefix its length; a host is /32 or /128 */
	IPSEC_ADDR_RANGE,	/* lo..hi, inclusive, not a whole prefix */
};

struct ipsec_addr {
	enum ipsec_addr_kind	kind;
	uint8_t			family;		/* AF_INET, AF_INET6; AF_UNSPEC: either (symbolic kinds) */
	uint8_t			prefix;		/* NET only, bits */
	uint8_t			lo[16], hi[16];	/* network order; IPv4 in the first 4; else zero */
};

struct ipsec_ports {
	uint16_t		lo, hi;		/* inclusive, host order; 0..0: any (never 0..65535) */
};

struct ipsec_filter {
	struct guid		 id;
	const char		*description;
	const char		*src_dns, *dst_dns;	/* informative, "" mostly */
	struct ipsec_addr	 src, dst;
	uint8_t			 protocol;		/* 0: any */
	struct ipsec_ports	 src_port, dst_port;
	bool			 mirrored;		/* also the swapped filter */
	bool			 tunnel;		/* v1 field; the rule's endpoint is what counts */
	uint8_t			 tunnel_addr[4];	/* zero unless tunnel */
};

struct ipsec_filter_list {
	struct guid		 id;
	const char		*name, *description;
	struct ipsec_filter	*filters;		/* in the order of the object */
	size_t			 n_filters;
};

enum ipsec_cipher { IPSEC_CIPHER_NONE, IPSEC_CIPHER_DES, IPSEC_CIPHER_3DES };
enum ipsec_hash { IPSEC_HASH_NONE, IPSEC_HASH_MD5, IPSEC_HASH_SHA1 };

struct ipsec_offer {		/* quick mode: ESP, AH or both */
	bool			 has_esp, has_ah;
	enum ipsec_cipher	 esp_encryption;
	enum ipsec_hash		 esp_integrity, ah_integrity;
	uint32_t		 life_seconds, life_kbytes;	/* 0: the default */
};

enum ipsec_action { IPSEC_PERMIT, IPSEC_BLOCK, IPSEC_NEGOTIATE };

struct ipsec_negpol {
	struct guid		 id;
	const char		*name, *description;
	enum ipsec_action	 action;
	bool			 inpass;	/* accept unsecured inbound, always answer secured */
	bool			 soft;		/* allow unsecured with peers that do not answer */
	bool			 pfs;		/* session key PFS; only with offers */
	bool			 default_response;
	struct ipsec_offer	*offers;	/* in order of preference */
	size_t			 n_offers;
};

enum ipsec_auth_method { IPSEC_AUTH_PSK = 1, IPSEC_AUTH_CERT = 3, IPSEC_AUTH_KERBEROS = 5 };

struct ipsec_auth {
	enum ipsec_auth_method	 method;
	const char		*text;		/* PSK (secret!), name of the root CA, or "" */
	bool			 map_account;	/* certificate must map to an account */
	bool			 exclude_ca;	/* leave the CA name out of the request */
	uint32_t		 alt_type;	/* "alternate form" extension; 0: none */
	const uint8_t		*alt;		/* its bytes, opaque and as secret as text */
	size_t			 alt_len;
};

enum ipsec_conntype { IPSEC_CONN_ALL, IPSEC_CONN_LAN, IPSEC_CONN_DIALUP };

struct ipsec_rule {
	struct guid			 id;
	const char			*name, *description;
	bool				 active;
	bool				 default_response;	/* no filter list */
	enum ipsec_conntype		 conntype;
	const char			*interface_name;	/* "" in practice */
	bool				 tunnel;
	struct ipsec_addr		 tunnel_end;	/* NET, full length, when tunnel; else all zero */
	const char			*tunnel_name;
	struct ipsec_auth		*auth;		/* in order of preference */
	size_t				 n_auth;
	const struct ipsec_filter_list	*filter_list;	/* NULL: default response */
	const struct ipsec_negpol	*negpol;	/* never NULL */
};

struct ipsec_mm_offer {
	enum ipsec_cipher	 encryption;
	enum ipsec_hash		 hash;
	uint32_t		 group;		/* 1, 2, 14; 0 unset */
	uint32_t		 life_seconds;	/* 0: the header's */
	uint32_t		 qm_limit;	/* 0: the header's */
	uint32_t		 life_kbytes;
	/* 1..4 overrides cipher, hash and group ([MS-GPIPSEC] Random-Function); those
	 * fields then hold what it means, and lifetimes and limit are 0. */
	uint8_t			 random_function;
};

struct ipsec_isakmp {
	struct guid		 id;		/* of the object */
	struct guid		 instance;	/* in the blob; differs, no meaning */
	bool			 master_pfs;
	bool			 map_account, exclude_ca;
	uint32_t		 qm_limit;	/* quick modes per main mode; 0: no limit */
	uint32_t		 life_seconds;	/* 0: POLICY_MM_LIFE_DEFAULT */
	uint8_t			 new_dh[4];	/* extra offers in front, 0 ends them */
	struct ipsec_mm_offer	*offers;
	size_t			 n_offers;
};

struct ipsec_policy {
	struct arena			*arena;
	struct guid			 id;
	const char			*dn, *name, *description;
	const char			*when_changed;	/* GeneralizedTime of the policy object, or "" */
	uint32_t			 polling_seconds;	/* never 0 */
	struct ipsec_isakmp		 isakmp;
	struct ipsec_filter_list	*filter_lists;	/* by GUID, each once */
	size_t				 n_filter_lists;
	struct ipsec_negpol		*negpols;	/* by GUID, each once */
	size_t				 n_negpols;
	struct ipsec_rule		*rules;		/* by GUID: order carries no meaning */
	size_t				 n_rules;
};

struct ipsec_policy *policy_new(void);		/* an empty one with its arena; NULL: no memory */
void policy_free(struct ipsec_policy *p);
/* What any reader must be able to rely on: sorted, unique, references inside,
 * addresses canonical, ports only with TCP or UDP, default response without filters. */
int policy_check(const struct ipsec_policy *p, struct err *err);

/* One canonical text, line by line (grammar on top of policy_text.c); reading what
 * was written sealed gives an equal policy, and every other text that would give
 * it is refused.  SHOWN prints "***" for each pre-shared key and each alternate
 * form, whatever they hold, for people, logs and golden files; it cannot be read
 * back.  SEALED is for the worker's pipe and the root-only cache.
 * policy_write: -1 when `out` failed or a text of the policy is not UTF-8. */
#define POLICY_TEXT_MAX	(64u << 20)	/* bytes policy_read accepts */
enum policy_form { POLICY_SHOWN, POLICY_SEALED };
int policy_write(const struct ipsec_policy *p, enum policy_form form, FILE *out);
int policy_read(struct ipsec_policy **ret, const char *text, size_t len, struct err *err);
struct json_t *policy_json(const struct ipsec_policy *p);	/* SHOWN; keys: ipsecpol(8); NULL: no memory */

/* One filter by itself: families agree, addresses canonical, ports only with TCP or UDP. */
int ipsec_filter_check(const struct ipsec_filter *f, struct err *err);

/* "me", "any", "dns", "10.0.0.0/8", "me6", "fe80::1-fe80::9"... into out (never cut).
 * A host is "10.0.0.1/32"; the symbolic kinds end in 4 or 6 when for one family. */
#define IPSEC_ADDR_TEXT	96
void ipsec_addr_text(const struct ipsec_addr *a, char out[static IPSEC_ADDR_TEXT]);
bool ipsec_addr_read(struct ipsec_addr *ret, const char *text);	/* strict: canonical form only */
/* The canonical address for a network, host bits masked off, and for lo..hi, a NET
 * where that is a whole prefix.  False: prefix too long; range reversed. */
bool ipsec_addr_net(struct ipsec_addr *ret, uint8_t family, const uint8_t *addr, unsigned prefix);
bool ipsec_addr_range(struct ipsec_addr *ret, uint8_t family, const uint8_t *lo, const uint8_t *hi);
unsigned ipsec_addr_bits(uint8_t family);	/* 32 or 128; 0: no such family */
bool ipsec_ports_any(const struct ipsec_ports *p);

/* What a nonzero random_function or new_dh value means; false: not 1..4. */
bool ipsec_mm_function(struct ipsec_mm_offer *ret, uint8_t function);

/* Words of the text form and of JSON. */
const char *ipsec_action_name(enum ipsec_action a);	/* "permit" "block" "negotiate" */
const char *ipsec_cipher_name(enum ipsec_cipher c);	/* "none" "des" "3des" */
const char *ipsec_hash_name(enum ipsec_hash h);		/* "none" "md5" "sha1" */
const char *ipsec_conntype_name(enum ipsec_conntype c);	/* "all" "lan" "dialup" */
const char *ipsec_auth_name(enum ipsec_auth_method m);	/* "kerberos" "certificate" "preshared-key" */

#endif
