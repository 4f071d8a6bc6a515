#include "nft/nlsock_parts.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nft/netlink.h"
#include "nft/readback.h"
#include "schema/err.h"

/* ---- the socket ---- */

struct nlsock *nlsock_open(struct err *err)
{
	struct nlsock *s = calloc(1, sizeof(*s));

	if (s)
		s->buf = malloc(RECV_SIZE);
	if (!s || !s->buf) {
		free(s);
		err_nomem(err);
		return NULL;
	}
	s->watch_fd = -1;
	s->fd = netlink_open(NETLINK_NETFILTER, "nftables", 0, &s->portid, err);
	if (s->fd < 0) {
		nlsock_close(s);
		return NULL;
	}
	return s;
}

void nlsock_close(struct nlsock *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->watch_fd >= 0)
		close(s->watch_fd);
	ruleset_free(s->held);
	free(s->buf);
	free(s);
}

ssize_t nlsock_send(const struct nlsock *s, const void *p, size_t len)
{
	return netlink_send(s->fd, p, len);
}

ssize_t nlsock_recv(int fd, uint8_t *buf, int flags)
{
	return netlink_recv(fd, buf, RECV_SIZE, flags);
}

/* ---- what is known ---- */

void nlsock_know(struct nlsock *s, struct ruleset *r, uint32_t genid)
{
	ruleset_free(s->held);
	s->held = r;
	s->genid = genid;
	s->known = true;
}

void nlsock_forget(struct nlsock *s)
{
	ruleset_free(s->held);
	s->held = NULL;
	s->known = false;
}

/* ---- watching ---- */

static int watch_set(const struct nlsock *s, int option, struct err *err)
{
	const int group = NFNLGRP_NFTABLES;

	if (s->watch_fd < 0 || setsockopt(s->watch_fd, SOL_NETLINK, option, &group, sizeof(group)) == 0)
		return 0;
	return err_set(err, ERR_SYSTEM, "cannot watch nftables: %s", strerror(errno));
}

int nlsock_watch_pause(const struct nlsock *s, bool pause, struct err *err)
{
	return watch_set(s, pause ? NETLINK_DROP_MEMBERSHIP : NETLINK_ADD_MEMBERSHIP, err);
}

int nlsock_watch_open(struct nlsock *s, struct err *err)
{
	uint32_t portid;

	if (s->watch_fd >= 0)
		return s->watch_fd;
	s->watch_fd = netlink_open(NETLINK_NETFILTER, "nftables", SOCK_NONBLOCK, &portid, err);
	if (s->watch_fd < 0)
		return -1;
	if (watch_set(s, NETLINK_ADD_MEMBERSHIP, err) < 0) {
		close(s->watch_fd);
		s->watch_fd = -1;
		return -1;
	}
	return s->watch_fd;
}

/* The table's name is attribute 1 of every message about tables and what is in them. */
static bool about_our_table(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg) || nfg->nfgen_family != NFPROTO_INET)
		return false;
	mnl_attr_for_each(a, nlh, sizeof(*nfg))
		if (mnl_attr_get_type(a) == NFTA_TABLE_NAME)
			return attr_text(a) && !strcmp(attr_text(a), RULESET_TABLE);
	return false;
}

/* What was known of our table is so still, when it is the next generation that has not touched it. */
static void generation_see(struct nlsock *s, const struct nlmsghdr *nlh)
{
	const struct nlattr *a;
	uint32_t id;

	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(a) == NFTA_GEN_ID && attr_be32(a, &id) && !s->touched && id == s->genid + 1)
			s->genid = id;
}

/* A transaction's changes come first, then its NEWGEN; all bear the netlink port
 * of who sent it.  (NFTA_GEN_PROC_PID is of the first PID namespace: no use in a
 * container.) */
static bool event_see(struct nlsock *s, const struct nlmsghdr *nlh)
{
	bool touched = false;

	if (NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_NFTABLES)
		return false;
	if (NFNL_MSG_TYPE(nlh->nlmsg_type) != NFT_MSG_NEWGEN) {
		s->touched |= about_our_table(nlh);
		return false;
	}
	generation_see(s, nlh);
	touched = s->touched && nlh->nlmsg_pid != s->portid;
	s->touched = false;
	return touched;
}

int nlsock_watch_read(struct nlsock *s, struct err *err)
{
	int ours = 0, left;
	ssize_t n;

	for (;;) {
		n = nlsock_recv(s->watch_fd, s->buf, 0);
		if (n < 0 && errno == ENOBUFS) {
			ours = 1;
			nlsock_forget(s);
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return ours;
		if (n < 0)
			return err_set(err, ERR_SYSTEM, "cannot watch nftables: %s", strerror(errno));
		left = (int)n;
		for (const struct nlmsghdr *nlh = (const void *)s->buf; mnl_nlmsg_ok(nlh, left);
		    nlh = mnl_nlmsg_next(nlh, &left))
			if (event_see(s, nlh))
				ours = 1;
	}
}
