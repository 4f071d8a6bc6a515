/* nft/render.h - policies + host facts -> ruleset.  What cannot be rendered is an
 * error, never a wider rule.  What each filter action means: nft/action.h; the order
 * of filters: nft/shape.h. */
#ifndef NFT_RENDER_H
#define NFT_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/ident.h"
#include "schema/settings.h"

struct err;
struct host_facts;
struct ipsec_policy;
struct ruleset;

/* Filters of all sources are ordered together by specificity; an exact tie goes
 * to the higher store, then block > negotiate > permit, then the smaller GUID. */
enum render_store { RENDER_LOCAL, RENDER_DOMAIN, RENDER_PERSISTENT, RENDER_DYNAMIC };
const char *render_store_name(enum render_store s);	/* "local" "domain" "persistent" "dynamic" */

struct render_source {
	const struct ipsec_policy	*policy;
	enum render_store		 store;
	struct guid			 gpo;		/* zero: none (not from a GPO) */
	const char			*gpo_name;	/* "" likewise; hostile text */
	/* Of each of policy->rules, in their order: where its filters stand, a sum of
	 * 1 << ACT_IN, 1 << ACT_OUT and 1 << ACT_FORWARD (nft/action.h).  NULL: all everywhere. */
	const uint8_t			*rule_hooks;
};

struct render_options {
	unsigned	ipsecexempt;	/* 0..3, see netsh `ipsecexempt`; 3: only IKE (and inbound multicast, broadcast) */
	bool		lifeline;	/* DNS, Kerberos, LDAP to the DCs in use; DHCP */
	/* Filters of 2003's format cannot say IPv6.  By default one whose sides are
	 * all symbolic (me, any) covers both families: "block all IP traffic" must
	 * not leave IPv6 open. */
	bool		any_is_ipv4;
	/* DIAG_INBOUND, DIAG_OUTBOUND or both: what is dropped there is logged (nft/nflog.h),
	 * at either also what is dropped when forwarded.  Other bits mean nothing here. */
	unsigned	diagnostics;
};

/* facts NULL: no server is known; o is needed.  The ruleset is sealed, belongs to the
 * caller and points into nothing of sources, facts and o.  No sources: exemptions
 * and lifeline alone.  Several sources may be of one store.  Errors name the rule and the
 * filter. */
int policy_render(struct ruleset **ret, const struct render_source *sources, size_t n_sources, const struct host_facts *facts, const struct render_options *o, struct err *err);

/* ---- the modes without a policy: nft/boot.c ---- */

/* Block mode: everything but loopback is dropped, no exemptions.  With facts and
 * o->lifeline the lifeline stays (an unreadable policy must be able to become
 * readable again) and with it neighbour discovery; facts or o NULL: neither.  Nothing
 * else of *o but diagnostics counts.  why: a sentence, for the comment. */
int block_render(struct ruleset **ret, const char *why, const struct host_facts *facts, const struct render_options *o, struct err *err);
#define BLOCK_COMMENT	"block mode: "	/* what the comment of its table begins with */
#define BOOT_COMMENT	"boot mode: "	/* what the comment of its table begins with */
/* The startup modes BOOT_STATEFUL and BOOT_BLOCK, until there is a policy to render; another
 * mode is an error.  Loopback, neighbour discovery and the DHCP clients always pass.
 *
 *              inbound                                    outbound         forwarded
 *   stateful   answers to this host's own connections     all              none
 *              (errors about them too), s->exemptions
 *   block      s->exemptions, answers to outbound ones    likewise         none
 *
 * An exemption admits the packets of its direction, and the answers to them as connection
 * tracking knows them.  With facts and o->lifeline the lifeline is let through as well; facts
 * or o NULL: it is not.  Of *s only the exemptions count, of *o else only diagnostics.
 * The table's comment begins with "boot mode: stateful" or "boot mode: block". */
int boot_render(struct ruleset **ret, enum boot_mode mode, const struct settings *s, const struct host_facts *facts, const struct render_options *o, struct err *err);

#endif
