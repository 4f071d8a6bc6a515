#include "nft/nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "schema/err.h"

#define RECV_SIZE	(1u << 17)	/* above the bundles that the kernel sends */
#define RCVBUF		(2 << 20)
#define MAX_READS	64		/* datagrams at a time: others wait for the event loop too */
#define BUNDLE_TIME	10		/* 1/100 s */

struct nflog {
	int		 fd;
	uint64_t	 n_lost;
	uint8_t		*buf;		/* RECV_SIZE */
};

/* ---- messages ---- */

static int attr_see(const struct nlattr *a, void *data)
{
	const struct nlattr **tb = data;

	if (mnl_attr_get_type(a) <= NFULA_MAX)
		tb[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static uint32_t be32_of(const struct nlattr *a)
{
	uint32_t v;

	if (!a || mnl_attr_get_payload_len(a) != sizeof(v))
		return 0;
	memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return ntohl(v);
}

/* 0: none, or one that no clock shows. */
static int64_t time_of(const struct nlattr *a)
{
	struct nfulnl_msg_packet_timestamp t;
	uint64_t sec = 0, usec = 0;

	if (!a || mnl_attr_get_payload_len(a) != sizeof(t))
		return 0;
	memcpy(&t, mnl_attr_get_payload(a), sizeof(t));
	for (size_t i = 0; i < sizeof(sec); i++) {
		sec = sec << 8 | ((const uint8_t *)&t.sec)[i];
		usec = usec << 8 | ((const uint8_t *)&t.usec)[i];
	}
	return sec > INT64_MAX / 1000000 - 1 || usec >= 1000000 ? 0 : (int64_t)(sec * 1000000 + usec);
}

static void packet_see(const struct nlmsghdr *nlh, nflog_see *see, void *cookie)
{
	const struct nlattr *tb[NFULA_MAX + 1] = { NULL };
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	struct nflog_packet p = { .prefix = "" };
	struct nfulnl_msg_packet_hdr hdr;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg))
		return;
	mnl_attr_parse_payload(mnl_nlmsg_get_payload_offset(nlh, sizeof(*nfg)),
	    mnl_nlmsg_get_payload_len(nlh) - MNL_ALIGN(sizeof(*nfg)), attr_see, tb);
	if (!tb[NFULA_PACKET_HDR] || mnl_attr_get_payload_len(tb[NFULA_PACKET_HDR]) < sizeof(hdr) || !tb[NFULA_PAYLOAD])
		return;
	memcpy(&hdr, mnl_attr_get_payload(tb[NFULA_PACKET_HDR]), sizeof(hdr));
	p.hook = hdr.hook;
	p.family = nfg->nfgen_family;
	if (tb[NFULA_PREFIX] && mnl_attr_validate(tb[NFULA_PREFIX], MNL_TYPE_NUL_STRING) >= 0)
		p.prefix = mnl_attr_get_str(tb[NFULA_PREFIX]);
	p.iif = be32_of(tb[NFULA_IFINDEX_INDEV]);
	p.oif = be32_of(tb[NFULA_IFINDEX_OUTDEV]);
	p.time_us = time_of(tb[NFULA_TIMESTAMP]);
	p.payload = mnl_attr_get_payload(tb[NFULA_PAYLOAD]);
	p.len = mnl_attr_get_payload_len(tb[NFULA_PAYLOAD]);
	see(&p, cookie);
}

void nflog_parse(const uint8_t *msgs, size_t len, nflog_see *see, void *cookie)
{
	for (size_t at = 0; at < len;) {
		const struct nlmsghdr *nlh = (const void *)(msgs + at);

		if (len - at < sizeof(*nlh) || nlh->nlmsg_len < sizeof(*nlh) || nlh->nlmsg_len > len - at)
			return;
		if (nlh->nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
			packet_see(nlh, see, cookie);
		at += MNL_ALIGN(nlh->nlmsg_len);
	}
}

/* ---- the socket ---- */

static ssize_t recv_one(struct nflog *n, int flags)
{
	struct sockaddr_nl from;
	socklen_t len;
	ssize_t got;

	do {
		len = sizeof(from);
		got = recvfrom(n->fd, n->buf, RECV_SIZE, flags, (struct sockaddr *)&from, &len);
	} while ((got < 0 && errno == EINTR) || (got >= 0 && from.nl_pid != 0));
	return got;
}

static struct nlmsghdr *config_begin(uint8_t *buf, uint16_t group)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));

	nlh->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg->res_id = htons(group);
	return nlh;
}

/* 0 or the errno of the answer.  Packets may already be on their way, in front of it. */
static int config_send(struct nflog *n, const struct nlmsghdr *nlh)
{
	const struct nlmsghdr *a = (const void *)n->buf;
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(a);
	ssize_t got;

	if (send(n->fd, nlh, nlh->nlmsg_len, 0) < 0)
		return errno;
	do {
		got = recv_one(n, 0);
		if (got < 0 && errno != ENOBUFS)
			return errno;
	} while (got < 0 || !mnl_nlmsg_ok(a, (int)got) || a->nlmsg_type != NLMSG_ERROR ||
	    mnl_nlmsg_get_payload_len(a) < sizeof(e->error));
	return -e->error;
}

/* EPERM is also what a group of another process gives: ask about one that nobody has. */
static bool is_busy(struct nflog *n, int e)
{
	uint8_t buf[256];

	return e == EBUSY || (e == EPERM && config_send(n, config_begin(buf, NFLOG_GROUP ^ 1)) != EPERM);
}

static int group_bind(struct nflog *n, struct err *err)
{
	const struct nfulnl_msg_config_cmd bind_it = { NFULNL_CFG_CMD_BIND };
	struct nfulnl_msg_config_mode mode = { .copy_range = htonl(NFLOG_COPY), .copy_mode = NFULNL_COPY_PACKET };
	uint8_t buf[256];
	struct nlmsghdr *nlh = config_begin(buf, NFLOG_GROUP);
	int e;

	mnl_attr_put(nlh, NFULA_CFG_CMD, sizeof(bind_it), &bind_it);
	e = config_send(n, nlh);
	if (is_busy(n, e))
		return err_set(err, ERR_BUSY, "cannot listen to NFLOG group %d: another process does", NFLOG_GROUP);
	if (!e) {
		nlh = config_begin(buf, NFLOG_GROUP);
		mnl_attr_put(nlh, NFULA_CFG_MODE, sizeof(mode), &mode);
		mnl_attr_put_u32(nlh, NFULA_CFG_TIMEOUT, htonl(BUNDLE_TIME));
		e = config_send(n, nlh);
	}
	return e ? err_set(err, e == EPERM ? ERR_DENIED : ERR_SYSTEM, "cannot listen to NFLOG group %d: %s", NFLOG_GROUP, strerror(e)) : 0;
}

struct nflog *nflog_open(struct err *err)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct nflog *n = calloc(1, sizeof(*n));
	const int rcvbuf = RCVBUF;

	if (n)
		n->buf = malloc(RECV_SIZE);
	if (!n || !n->buf) {
		free(n);
		err_nomem(err);
		return NULL;
	}
	n->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (n->fd < 0 || connect(n->fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
		err_set(err, ERR_SYSTEM, "cannot open a netlink socket to NFLOG: %s", strerror(errno));
		goto fail;
	}
	/* Without privilege the default has to do. */
	if (setsockopt(n->fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)) < 0)
		setsockopt(n->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	if (group_bind(n, err) == 0)
		return n;
fail:
	nflog_close(n);
	return NULL;
}

void nflog_close(struct nflog *n)
{
	if (!n)
		return;
	if (n->fd >= 0)
		close(n->fd);
	free(n->buf);
	free(n);
}

int nflog_fd(const struct nflog *n)
{
	return n->fd;
}

uint64_t nflog_lost(const struct nflog *n)
{
	return n->n_lost;
}

int nflog_read(struct nflog *n, nflog_see *see, void *cookie, struct err *err)
{
	for (int i = 0; i < MAX_READS; i++) {
		ssize_t got = recv_one(n, MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (got < 0 && errno != ENOBUFS)
			return err_set(err, ERR_SYSTEM, "cannot read from NFLOG: %s", strerror(errno));
		if (got < 0)
			n->n_lost++;
		else
			nflog_parse(n->buf, (size_t)got, see, cookie);
	}
	return 0;
}
