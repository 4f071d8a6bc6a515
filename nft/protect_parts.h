/* nft/protect_parts.h - what nft/protect*.c share: nothing for others.
 *
 * protect.c walks the specific filters in their order and decides what becomes of each;
 * protect_offers.c says what of a rule IKE can negotiate; protect_child.c keeps the quick modes with
 * their reqids and pairs the halves of tunnels; protect_spd.c makes the kernel's policies, those before all
 * filters in protect_exempt.c; protect_ike.c connections of the children; protect_net.c: ranges as prefixes and masks. */
#ifndef NFT_PROTECT_PARTS_H
#define NFT_PROTECT_PARTS_H

#include <sys/socket.h>

#include "nft/protect.h"
#include "nft/shape.h"
#include "nft/unfold.h"
#include "schema/facts.h"

/* ---- protect_net.c ---- */

struct extent {
	uint8_t	lo[16], hi[16];		/* inclusive */
};
struct net {
	uint8_t	addr[16], prefix;
};
#define NETS_MAX	256
size_t extent_nets(struct net ret[static NETS_MAX], uint8_t family, const struct extent *e);
void extent_any(struct extent *ret, uint8_t family);
void extent_host(struct extent *ret, const struct ip_addr *a);
/* Of a side that is not "me". */
void extent_side(struct extent *ret, uint8_t family, const struct side *s);
bool extent_has(const struct extent *e, const uint8_t *addr);
bool extents_meet(const struct extent *a, const struct extent *b);
bool extent_in(const struct extent *inner, const struct extent *outer);
int extent_cmp(const struct extent *a, const struct extent *b);	/* lo upwards, then hi downwards */
void net_text(char out[static IP_ADDR_TEXT + 4], uint8_t family, const struct net *n);	/* a host without its prefix */

struct port_mask {
	uint16_t	port, mask;
};
#define PORT_MASKS_MAX	32
size_t port_masks(struct port_mask ret[static PORT_MASKS_MAX], const struct ipsec_ports *p);

/* Bytes -> number; zero: empty.  Keys are not copied. */
struct tally {
	struct tally_slot {
		const void	*key;
		size_t		 len;
		uint64_t	 hash;
		uint32_t	 value;
	}	*slots;
	size_t	 n, size;
};
uint64_t bytes_hash(const void *p, size_t len);
const uint32_t *tally_get(const struct tally *t, const void *key, size_t len);	/* NULL: not there */
int tally_put(struct tally *t, const void *key, size_t len, uint32_t value);	/* -1: no memory; not there yet */
void tally_free(struct tally *t);

/* ---- protect_offers.c ---- */

struct auth {			/* a way to authenticate, once for all rules that name it */
	enum ike_auth	 kind;
	const char	*ca_id;
	bool		 certreq;
	const char	*key;	/* SECRET; belongs to the sources or options */
	size_t		 key_len;
};

struct proposals {
	const char	*texts[12];	/* all that there can be */
	size_t		 n;
	uint32_t	 life_seconds;
	uint64_t	 life_bytes;
	const char	*group;		/* main mode: of the first */
	uint32_t	 id;		/* main mode: equal ones have one */
	bool		 ah;		/* quick mode */
	unsigned	 left;		/* what was left out and why: bits of protect_offers.c */
};

#define N_WHYS		(PROTECT_RANGE + 1)
#define MAX_METHODS	16		/* of one rule; more are left out */

/* A rule as far as it can be negotiated. */
struct use {
	const struct ipsec_rule		*rule;
	const struct render_source	*from;
	bool				 usable;
	bool				 ah_esp;	/* AH and ESP in each packet: nobody negotiates it */
	const struct proposals		*main, *quick;
	uint32_t			 auths[MAX_METHODS];	/* indices, in order of preference */
	const char			*secrets[MAX_METHODS];	/* names of their keys; "": a certificate */
	size_t				 n_auths;
	struct {
		const char	*text;		/* NULL: none */
		bool		 closed;
		struct guid	 filter;
	}				 problems[N_WHYS];
};

struct work;
/* NULL: no memory. */
struct use *rule_use(struct work *w, const struct render_source *from, const struct ipsec_rule *rule);
/* The first of each kind stays.  filter NULL: all of the rule's. */
void use_problem(struct use *u, enum protect_why why, bool closed, const struct ipsec_filter *filter, const char *text);

/* ---- protect_child.c ---- */

/* One quick mode.  What makes it what it is, without gaps: its reqid follows from these bytes. */
struct child_key {
	uint8_t	rule[16], store, family, protocol, tunnel;
	uint8_t	own_any, pad[3];
	struct extent own, remote;	/* own zero where own_any */
	uint8_t	ports[8];		/* own, remote */
};

struct child {
	struct child_key	 key;
	struct use		*use;
	const struct written	*written;	/* of the first filter; NULL: default response */
	const struct rs_origin	*origin;
	struct ipsec_ports	 own_port, remote_port;
	struct extent		 own;		/* of this host's addresses in transport mode, else of the net behind it */
	struct ip_addr		 end, own_end;	/* tunnel: outer addresses, AF_UNSPEC: not known */
	uint32_t		 reqid;		/* 0: default response */
	uint64_t		 rank;
};

/* The two halves of a tunnel: Windows has a rule for each direction, of one-way filters; the end of the outbound
 * one is the peer, of the inbound one an address of this host.  The mirror of a tunnel's filter is its other half. */
struct half {
	struct child_key	 key;		/* without the rule */
	const struct specific	*out, *in;	/* NULL: there is none */
	bool			 made;
	struct child		*child;		/* once made; NULL: cannot be used */
};

/* The child of a filter in transport mode at ACT_IN or ACT_OUT; *ret NULL: IKE cannot say it (told as a problem). */
int child_transport(struct child **ret, struct work *w, struct use *u, const struct specific *f, struct err *err);
int child_response(struct work *w, struct use *u, uint8_t family, struct err *err);
/* Once, before any half is asked for. */
int halves_pair(struct work *w, struct err *err);
bool half_inbound(const struct work *w, const struct specific *f);
/* The tunnel that f is a half of, with own as this host's side where that is "me"; *ret NULL: cannot be used. */
int half_child(struct child **ret, struct work *w, const struct specific *f, const struct ip_addr *own, struct err *err);

/* ---- protect_spd.c ---- */

/* What becomes of a specific filter in the kernel. */
enum fate {
	FATE_NONE,	/* nothing */
	FATE_CLEAR,	/* permit, block: passes (nftables judges) */
	FATE_CLOSED,	/* negotiate, but it cannot be: as nftables has it, and no other rule's protection will do */
	FATE_PROTECT,
};

struct fated {
	enum fate	 fate;
	struct child	*child;		/* PROTECT; in tunnel mode of "me" of the first own address */
};

/* Of the filters from begin to end, of one hook and family, whose fates are known. */
int block_policies(struct work *w, size_t begin, size_t end, struct err *err);

/* ---- protect_exempt.c ---- */

/* What passes before all filters, as nft/exempt.h has it. */
int exempt_policies(struct work *w, uint8_t family, struct err *err);

/* A policy without its selector's addresses, for each pair of the nets and each pair of port masks. */
struct spread {
	struct spd_policy	 p;
	struct net		*src, *dst;
	size_t			 n_src, n_dst;
	struct ipsec_ports	 sport, dport;
	const struct ipsec_rule	*rule;		/* for errors; or NULL */
};
int policies_add(struct work *w, const struct spread *s, struct err *err);

/* ---- protect_ike.c ---- */

int conns_make(struct work *w, struct err *err);

/* ---- protect.c ---- */

struct work {
	struct protect			*p;
	const struct render_source	*sources;
	size_t				 n_sources;
	const struct host_facts		*facts;
	const struct protect_options	*o;
	struct arena			*arena;		/* of what is gone when all is rendered */
	struct unfold			 x;
	const struct ip_addr		*own[2];	/* IPv4, IPv6 */
	size_t				 n_own[2];
	struct use			***uses;	/* of each source, each rule; NULL: not asked for yet */
	struct proposals		**mains;	/* of each source */
	struct auth			*auths;
	size_t				 n_auths;
	struct tally			 auth_tally, secret_tally;
	struct child			**children;
	size_t				 n_children;
	struct tally			 child_tally, alike_tally, reqid_tally;
	struct half			**halves;
	size_t				 n_halves;
	struct tally			 half_tally;
	struct fated			*fates;		/* of each in order */
	uint32_t			 number[2];	/* priorities of dir out given so far */
	bool				 exempted[2];
	size_t				 n_added;
};

bool kind_negotiates(enum act_kind k);
static inline int family_index(uint8_t family)
{
	return family == AF_INET ? 0 : 1;
}
/* "rule {..} 'name': " in front. */
int rule_prefix(struct err *err, const struct ipsec_rule *rule);

#endif
