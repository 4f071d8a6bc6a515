/* nft/xfrm.h - security policies as messages of NETLINK_XFRM (include/uapi/linux/xfrm.h), and back.
 *
 * Pure: builds into and parses from memory with libmnl.
 *
 * How ours are recognised: by selector.user.  It is a part of the kernel's key of a policy (direction, type, mark,
 * if_id, whole selector: xfrm_policy_insert_list, xfrm_policy_bysel_ctx), but no packet is ever compared with it
 * (__xfrm4_selector_match, __xfrm6_selector_match).  Everybody else leaves it 0.  So no policy of
 * somebody else's can have the key of one of ours: UPDPOLICY and DELPOLICY of ours meet ours or nothing, whatever others do
 * between our look and our act, and no look is needed to be safe.  iproute2 cannot say a user:
 * `ip xfrm policy update` and `delete` by selector do not meet ours either (`delete .. index` and `flush` do), and
 * `ip -s xfrm policy` shows it as "uid 1761607680".  The kernel's index would not do: UPDPOLICY
 * goes by the selector and keeps the index of what it replaced, a wished index that is taken becomes
 * another one, and a NEWPOLICY refused because of a foreign one would leave us without the policy.
 * Priority and reqid bands come on top.  For the same traffic a foreign policy stands beside
 * ours, and the lower priority number counts. */
#ifndef NFT_XFRM_H
#define NFT_XFRM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nft/spd.h"

struct nlmsghdr;

#define XFRM_MESSAGE_MAX	1024	/* bytes of any message built here */

/* A pin (expires is not 0) has a key of its own, so that one can stand above a policy for a single
 * peer, and leaves that one behind when it expires. */
#define XFRM_USER_POLICY	0x69000000u
#define XFRM_USER_PIN		0x69000001u

/* XFRM_MSG_UPDPOLICY, which also adds: the kernel replaces in one step.  *p has passed
 * spd_policy_check.  buf, aligned as for a struct nlmsghdr, has XFRM_MESSAGE_MAX bytes; so everywhere here. */
struct nlmsghdr *xfrm_policy_build(void *buf, uint32_t seq, const struct spd_policy *p);
/* By direction and selector; of expires only whether it is 0 counts. */
struct nlmsghdr *xfrm_policy_delete_build(void *buf, uint32_t seq, const struct spd_policy *p);
struct nlmsghdr *xfrm_policy_dump_build(void *buf, uint32_t seq);

enum xfrm_whose {
	XFRM_DAMAGED = -1,	/* no policy message, or cut */
	XFRM_FOREIGN,		/* somebody else's */
	XFRM_OURS,
	XFRM_ALTERED,		/* under our key, but not as we would write it */
};
/* A policy of a dump or a notification (NEWPOLICY, UPDPOLICY, POLEXPIRE, DELPOLICY).  OURS: *ret is the policy
 * (comment "", expires as it was set, not what is left).  ALTERED: direction, selector and whether expires is 0 are good, to
 * delete or to replace it.  FOREIGN: direction, selector and priority of one that takes all packets of its selector, else (of
 * a socket, of an interface, with a mark, of type sub) family is 0. */
enum xfrm_whose xfrm_policy_parse(struct spd_policy *ret, const struct nlmsghdr *nlh);

/* A security association, for those who look at them.  Keys are not taken over. */
struct xfrm_sa {
	uint8_t		family, protocol;	/* protocol: IPPROTO_ESP, IPPROTO_AH */
	struct ip_addr	src, dst;
	uint32_t	spi;			/* host order; 0: a larval one that the kernel has asked for */
	uint32_t	reqid;
	bool		tunnel;
	bool		larval;			/* wished for, and not negotiated yet: it has no key */
	uint64_t	bytes, packets, add_time, use_time;	/* times: CLOCK_REALTIME seconds, 0: never */
	uint32_t	integrity_failures, replays;
	struct spd_selector sel;
	char		encryption[64], integrity[64];	/* the kernel's names, "" without */
};
struct nlmsghdr *xfrm_sa_dump_build(void *buf, uint32_t seq);
struct nlmsghdr *xfrm_sa_delete_build(void *buf, uint32_t seq, const struct xfrm_sa *sa);	/* by its SPI */
/* XFRM_MSG_ALLOCSPI: a larval one without an SPI gets one, by which it can be deleted; the answer is XFRM_MSG_NEWSA. */
struct nlmsghdr *xfrm_sa_reserve_build(void *buf, uint32_t seq, const struct xfrm_sa *larval);
/* XFRM_MSG_ACQUIRE: the question that a packet from sa->src to sa->dst under p would make the kernel ask. */
struct nlmsghdr *xfrm_acquire_build(void *buf, uint32_t seq, const struct spd_policy *p, const struct xfrm_sa *sa);
/* Of a dump or notification (NEWSA, UPDSA, DELSA, EXPIRE).  1: with a reqid of ours; 0: not ours; -1: no such message, or
 * damaged. */
int xfrm_sa_parse(struct xfrm_sa *ret, const struct nlmsghdr *nlh);

#endif
