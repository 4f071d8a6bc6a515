/* nft/ruleset.h - VALUE 4: the whole table we want in the kernel, as data.
 *
 * Knows no libnftnl and no IPsec policy.  Same input, same ruleset, byte for
 * byte: chains, sets and elements are in a fixed order, names derive from what
 * they hold.  Text form: what `nft -f` reads. */
#ifndef NFT_RULESET_H
#define NFT_RULESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "schema/ident.h"

struct arena;
struct err;
struct json_t;

#define RULESET_TABLE	"ipsecpol"	/* family inet, always */
#define RULESET_GUARD	"ipsecpol_next"	/* beside it while it is replaced: see nlsock_apply */
#define RS_COMMENT_MAX	127		/* characters nft(8) accepts in a comment */
#define RS_MAX_KEYS	5		/* fields in one lookup */
#define RS_KEY_MAX	48		/* bytes of a key: two IPv6 addresses, protocol, two ports */

/* What a match or a key can look at. */
enum rs_field {
	RS_NFPROTO, RS_L4PROTO,
	RS_IIF, RS_OIF, RS_IIFTYPE, RS_OIFTYPE,
	RS_SADDR4, RS_DADDR4, RS_SADDR6, RS_DADDR6, RS_HOPLIMIT6,
	RS_SPORT, RS_DPORT, RS_ICMP6_TYPE,
	RS_SADDR_TYPE, RS_DADDR_TYPE,		/* fib: RTN_LOCAL... */
	RS_META_IPSEC, RS_RT_IPSEC,		/* came protected; will leave protected */
	RS_CT_STATE, RS_CT_DIRECTION,		/* direction: 0 as the connection was opened, 1 the other */
	RS_N_FIELDS
};

struct rs_field_info {
	const char	*text;		/* as nft(8) writes it */
	uint8_t		 len;		/* bytes */
	uint8_t		 type;		/* nft's datatype number in a set; 0: not used in sets */
	bool		 network_order;	/* else the host's */
};
extern const struct rs_field_info rs_fields[RS_N_FIELDS];

/* nft's datatype numbers, as they stand 6 bits each in NFTA_SET_KEY_TYPE. */
enum rs_type { RS_TYPE_IPV4 = 7, RS_TYPE_IPV6 = 8, RS_TYPE_PROTO = 12, RS_TYPE_SERVICE = 13, RS_TYPE_IFTYPE = 21 };

/* A field of a lookup: its first `prefix` bits, the rest masked to zero. */
struct rs_key {
	uint8_t	field;		/* enum rs_field */
	uint8_t	prefix;
};

struct rs_lookup {
	const char	*set;
	bool		 invert;		/* not in it; never with a verdict map */
	uint8_t		 n_keys;
	struct rs_key	 keys[RS_MAX_KEYS];
};

enum rs_op {
	RS_EQ, RS_NE,
	RS_RANGE,	/* lo..hi, inclusive */
	RS_BITS,	/* any of the bits of lo */
	RS_LOOKUP,	/* in a set, or not */
};

struct rs_match {
	uint8_t			 op, field;	/* enum rs_op, rs_field; field: 0 for LOOKUP */
	uint8_t			 lo[16], hi[16];/* as the packet or the kernel has it */
	const struct rs_lookup	*lookup;
};

enum rs_verdict { RS_NONE, RS_ACCEPT, RS_DROP, RS_RETURN, RS_JUMP, RS_GOTO, RS_VMAP };

/* Where an element or rule came from; for errors and JSON, not in the kernel. */
struct rs_origin {
	struct guid	filter, rule, gpo;	/* gpo zero: none */
	uint8_t		store;			/* enum render_store */
};

/* A packet that matches is copied to an NFLOG group, unless there were too many. */
struct rs_log {
	const char	*prefix;
	uint16_t	 group;
	uint32_t	 rate, burst;	/* packets a second; packets at once */
};

struct rs_rule {
	struct rs_match		*matches;
	size_t			 n_matches;
	const struct rs_log	*log;		/* NULL: none; with one there is neither counter nor verdict */
	bool			 counter;
	enum rs_verdict		 verdict;
	const char		*chain;		/* JUMP, GOTO */
	const struct rs_lookup	*vmap;		/* VMAP */
	const char		*comment;	/* "" mostly */
	const char		*foreign;	/* what read-back could not understand; NULL: nothing */
	const struct rs_origin	*origin;	/* or NULL */
};

enum rs_hook { RS_HOOK_NONE = -1, RS_HOOK_INPUT = 1, RS_HOOK_FORWARD = 2, RS_HOOK_POSTROUTING = 4 };

struct rs_chain {
	const char	*name, *comment;
	int		 hook;		/* enum rs_hook, or another number in the kernel */
	int		 priority;
	bool		 policy_drop;	/* never ours */
	const char	*type;		/* "filter"; base chains only, else "" */
	struct rs_rule	*rules;
	size_t		 n_rules;
};

struct rs_element {
	const uint8_t		*key;		/* set->key_len bytes, each field padded to 4 */
	enum rs_verdict		 verdict;	/* NONE in a plain set */
	const char		*chain;
	const char		*comment;
	const char		*foreign;
	const struct rs_origin	*origin;
};

struct rs_set {
	const char		*name, *comment;
	bool			 map;		/* key -> verdict */
	bool			 counter;	/* each element counts */
	uint32_t		 key_type;	/* rs_type, 6 bits each, first field highest */
	uint32_t		 key_len;
	const char		*foreign;
	struct rs_element	*elements;	/* sorted by key when sealed */
	size_t			 n_elements;
	size_t			 n_reserved;	/* there is room for, if any was reserved */
	uint8_t			*keys;		/* of those that are reserved; NULL: each has its own */
};

struct ruleset {
	struct arena		*arena;
	const char		*comment;
	uint32_t		 flags;		/* of the table; never ours: dormant, owner */
	size_t			 n_foreign;	/* objects in the table that we never create */
	struct rs_set		**sets;		/* in the order of the text */
	size_t			 n_sets;
	struct rs_chain		**chains;
	size_t			 n_chains;
	const char		**warnings;	/* for people; not part of the table */
	size_t			 n_warnings;
	bool			 failed, sealed;
	struct rs_set		**sets_by_name;	/* made by ruleset_seal */
	struct rs_chain		**chains_by_name;
	unsigned		*n_holders;	/* see ruleset_share */
};

void ruleset_free(struct ruleset *r);		/* once for ruleset_new and each ruleset_share; the last one frees */
/* The same ruleset once more: sealed, and from now on nobody changes it. */
struct ruleset *ruleset_share(const struct ruleset *r);
int ruleset_write(const struct ruleset *r, FILE *out);		/* nft -f syntax */
struct json_t *ruleset_json(const struct ruleset *r);		/* NULL: no memory */
int rs_origin_json(struct json_t *object, const struct rs_origin *from);	/* adds its keys; from NULL: none; -1: no memory */
void ruleset_digest(const struct ruleset *r, uint8_t ret[static 32]);	/* SHA-256 of the text */
/* Each difference as one line, "+ ..." to add, "- ..." to remove, written to out
 * (may be NULL).  want and have must be sealed; either may be NULL: no table.
 * Returns their number; 0: equal.  Counters and warnings do not count; comments do. */
size_t ruleset_diff(const struct ruleset *want, const struct ruleset *have, FILE *out);

/* ---- building one ----
 * A builder returns NULL when memory ran out and marks the ruleset; every builder
 * takes that NULL for its chain, rule or set and does nothing, and ruleset_seal,
 * without which the ruleset can neither be compared nor sent, then fails: one check
 * at the end.  Who writes through a pointer looks for NULL first.  A pointer to a rule
 * is good until the next rule of that chain, one to a match or an element until the
 * next of that rule or set. */
struct ruleset *ruleset_new(void);		/* NULL: no memory */
struct rs_chain *rs_chain_add(struct ruleset *r, const char *name, const char *comment);
struct rs_rule *rs_rule_add(struct ruleset *r, struct rs_chain *c);	/* with a counter */
/* Without its value. */
struct rs_match *rs_match_add(struct ruleset *r, struct rs_rule *rule, enum rs_op op, enum rs_field f);
/* A number (port, type, index, bits) in the field's own byte order.  Of two ports in
 * one rule one must be a RANGE, if need be of one port: nft(8) melts two exact ones into
 * a single load, and its rules would no longer be ours. */
void rs_match_num(struct ruleset *r, struct rs_rule *rule, enum rs_field f, enum rs_op op, uint32_t lo, uint32_t hi);
/* An address, or with lo != hi a range of them. */
void rs_match_addr(struct ruleset *r, struct rs_rule *rule, enum rs_field f, const uint8_t *lo, const uint8_t *hi);
void rs_match_set(struct ruleset *r, struct rs_rule *rule, const struct rs_lookup *l);
void rs_rule_vmap(struct ruleset *r, struct rs_rule *rule, const struct rs_lookup *l);
void rs_rule_end(struct ruleset *r, struct rs_rule *rule, enum rs_verdict v, const char *chain, const char *comment);
/* The rule logs what it matches, and the next rule of its chain comes. */
void rs_rule_log(struct ruleset *r, struct rs_rule *rule, const struct rs_log *log);
/* Key type and length follow from the lookup that will use it. */
struct rs_set *rs_set_add(struct ruleset *r, const struct rs_lookup *l, bool map, const char *comment);
/* Room for exactly n, in an empty set. */
void rs_elements_reserve(struct ruleset *r, struct rs_set *s, size_t n);
/* The keys of so many elements, which are written there first; then there is room for these elements, and each is added
 * without a key: it is the next of these.  NULL: no memory. */
uint8_t *rs_keys_reserve(struct ruleset *r, struct rs_set *s, size_t n);
struct rs_element *rs_element_add(struct ruleset *r, struct rs_set *s, const uint8_t *key);
void rs_warn(struct ruleset *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* nft(8) prints and reads comments as they are: what it would trip over becomes '?'. */
void rs_printable(char *s);
const char *rs_strdup(struct ruleset *r, const char *s);	/* "" when it failed */
/* Of elements with one key the first stays: for what the kernel shows, not for what is wanted. */
void ruleset_drop_twins(struct ruleset *r);
/* Sorts and indexes; two things of one name or key are an error. */
int ruleset_seal(struct ruleset *r, struct err *err);

/* Numbers in and out of the bytes of a field; of one longer than 4 bytes the low end,
 * the rest becomes 0 and is not read. */
void rs_num_put(uint8_t *p, enum rs_field f, uint32_t v);
uint32_t rs_num_get(const uint8_t *p, enum rs_field f);
void rs_mask(uint8_t *ret, size_t len, unsigned prefix);	/* len bytes, the first `prefix` bits set */

/* ---- comparing ----
 * The walk that ruleset_diff and the batch share: `see` is called for each thing
 * that differs, want or have NULL when it is only in one of them.  For a set or
 * chain in both, SET or CHAIN means that its definition differs; the elements or
 * rules are then seen as well.  A non-zero return ends the walk and is returned. */
struct rs_difference {
	enum { RS_DIFF_TABLE, RS_DIFF_SET, RS_DIFF_ELEMENT, RS_DIFF_CHAIN, RS_DIFF_RULES } what;
	const struct rs_set	*want_set, *have_set;
	const struct rs_chain	*want_chain, *have_chain;
	const struct rs_element	*want, *have;
};
typedef int rs_see(const struct rs_difference *d, void *cookie);
int ruleset_walk(const struct ruleset *want, const struct ruleset *have, rs_see *see, void *cookie);
/* What a walk sees, found once to be seen again and again: comparing is what costs. */
struct rs_changes {
	const struct ruleset	*want, *have;	/* must stay */
	struct rs_difference	*all;
	size_t			 n, size;
	bool			 listed;	/* else want or have is NULL, and a walk costs nothing */
};
int changes_find(struct rs_changes *ret, const struct ruleset *want, const struct ruleset *have, struct err *err);
void changes_free(struct rs_changes *c);
int changes_walk(const struct rs_changes *c, rs_see *see, void *cookie);
size_t changes_write(const struct rs_changes *c, FILE *out);	/* as ruleset_diff */
bool rs_element_equal(const struct rs_element *a, const struct rs_element *b);	/* but for the key */
/* By name; r may be NULL. */
const struct rs_chain *ruleset_chain(const struct ruleset *r, const char *name);
const struct rs_set *ruleset_set(const struct ruleset *r, const char *name);
/* By key, in a sealed ruleset. */
const struct rs_element *set_element(const struct rs_set *s, const uint8_t *key);
bool rs_rule_equal(const struct rs_rule *a, const struct rs_rule *b);

/* ---- one thing as text, without a newline ---- */
void rs_rule_write(const struct rs_rule *rule, FILE *out);
void rs_element_write(const struct rs_set *s, const struct rs_element *e, FILE *out);
void rs_key_write(const struct rs_set *s, const uint8_t *key, FILE *out);
void rs_type_write(const struct rs_set *s, FILE *out);
void rs_comment_write(const char *comment, FILE *out);	/* ` comment "..."`; nothing for "" */

#endif
