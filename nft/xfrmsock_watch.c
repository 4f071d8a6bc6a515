/* Who else changes IPsec policies and security associations. */
#include "nft/xfrmsock_parts.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nft/netlink.h"
#include "schema/err.h"

#define MAX_READS	4096	/* then others have their turn, and the descriptor is still readable */

static int group_set(const struct xfrmsock *x, int option, int group, struct err *err)
{
	if (setsockopt(x->watch_fd, SOL_NETLINK, option, &group, sizeof(group)) == 0)
		return 0;
	return err_set(err, errno == EPERM ? ERR_DENIED : ERR_SYSTEM, "cannot watch IPsec: %s", strerror(errno));
}

int xfrmsock_watch_pause(const struct xfrmsock *x, bool pause, struct err *err)
{
	if (x->watch_fd < 0)
		return 0;
	return group_set(x, pause ? NETLINK_DROP_MEMBERSHIP : NETLINK_ADD_MEMBERSHIP, XFRMNLGRP_POLICY, err);
}

int xfrmsock_watch_open(struct xfrmsock *x, struct err *err)
{
	static const int groups[] = { XFRMNLGRP_POLICY, XFRMNLGRP_SA, XFRMNLGRP_EXPIRE, XFRMNLGRP_ACQUIRE };
	uint32_t portid;

	if (x->watch_fd >= 0)
		return x->watch_fd;
	x->watch_fd = netlink_open(NETLINK_XFRM, "IPsec", SOCK_NONBLOCK, &portid, err);
	if (x->watch_fd < 0)
		return -1;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (group_set(x, NETLINK_ADD_MEMBERSHIP, groups[i], err) < 0) {
			close(x->watch_fd);
			x->watch_fd = -1;
			return -1;
		}
	return x->watch_fd;
}

/* Those near their end are rekeyed, and stay. */
static bool is_soft_expiry(const struct nlmsghdr *nlh)
{
	struct xfrm_user_expire e;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(e))
		return false;
	memcpy(&e, mnl_nlmsg_get_payload(nlh), sizeof(e));
	return !e.hard;
}

static void message_see(struct xfrm_events *ev, const struct nlmsghdr *nlh)
{
	struct spd_policy p;
	struct xfrm_sa sa;
	enum xfrm_whose whose;

	switch (nlh->nlmsg_type) {
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
	case XFRM_MSG_DELPOLICY:
		ev->policies |= xfrm_policy_parse(&p, nlh) != XFRM_FOREIGN;
		break;
	case XFRM_MSG_POLEXPIRE:
		whose = xfrm_policy_parse(&p, nlh);
		ev->policies |= whose == XFRM_DAMAGED || (whose != XFRM_FOREIGN && !p.expires);
		break;
	case XFRM_MSG_FLUSHPOLICY:
		ev->policies = true;
		break;
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
	case XFRM_MSG_DELSA:
		ev->sas |= xfrm_sa_parse(&sa, nlh) != 0;
		break;
	case XFRM_MSG_EXPIRE:
		ev->sas |= !is_soft_expiry(nlh) && xfrm_sa_parse(&sa, nlh) != 0;
		break;
	case XFRM_MSG_ACQUIRE:
		ev->asked = true;
		break;
	case XFRM_MSG_FLUSHSA:
		ev->sas = true;
		break;
	default:
		break;
	}
}

int xfrmsock_watch_read(struct xfrmsock *x, struct xfrm_events *ret, struct err *err)
{
	struct xfrm_events ev = { 0 };
	const struct nlmsghdr *nlh;
	ssize_t n;
	int left;

	for (int i = 0; i < MAX_READS; i++) {
		n = netlink_recv(x->watch_fd, x->in, XFRM_RECV_SIZE, 0);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0 && errno != ENOBUFS)
			return err_set(err, ERR_SYSTEM, "cannot watch IPsec: %s", strerror(errno));
		if (n < 0)
			ev.policies = ev.sas = ev.asked = true;
		left = n < 0 ? 0 : (int)n;
		/* A message bears the netlink port that who asked for the change gave; 0: the kernel itself, or iproute2. */
		for (nlh = (const void *)x->in; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			if (nlh->nlmsg_pid != x->portid)
				message_see(&ev, nlh);
		/* Security associations come with their keys. */
		if (n > 0)
			explicit_bzero(x->in, (size_t)n);
	}
	*ret = ev;
	return 0;
}
