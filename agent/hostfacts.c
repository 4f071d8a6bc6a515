#include "agent/hostfacts.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/conf.h"
#include "schema/err.h"
#include "schema/facts.h"

#define FILE_MAX	(1u << 20)
#define ANSWER_MAX	(256u << 10)	/* one message of the kernel */

/* ---- files --------------------------------------------------------------------- */

/* The end of a file that is too large: the newest lease stands there.  NULL: not
 * readable, or no memory. */
static char *file_load(const char *path, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	char *text = NULL;
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		goto out;
	if (st.st_size > FILE_MAX && lseek(fd, st.st_size - FILE_MAX, SEEK_SET) < 0)
		goto out;
	text = malloc(FILE_MAX);
	while (text && len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	*ret_len = len;
out:
	close(fd);
	return text;
}

static int resolv_find(struct host_facts *f, struct err *err)
{
	static const char *const paths[] = { "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf" };
	bool stub = true;
	size_t len;
	char *text;
	int rc = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && stub && rc == 0; i++) {
		text = file_load(paths[i], &len);
		if (!text)
			break;
		rc = hostfacts_resolv(f, text, len, &stub, err);
		free(text);
	}
	return rc;
}

static int leases_find(struct host_facts *f, const char *pattern, bool dhclient, struct err *err)
{
	glob_t g = { 0 };
	size_t len;
	char *text;
	int rc = 0;

	if (glob(pattern, GLOB_NOSORT, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc && rc == 0; i++) {
			text = file_load(g.gl_pathv[i], &len);
			if (text && dhclient)
				rc = hostfacts_dhclient(f, text, len, (int64_t)time(NULL), err);
			else if (text)
				rc = hostfacts_lease(f, text, len, err);
			free(text);
		}
	globfree(&g);
	return rc;
}

static int dhcp_find(struct host_facts *f, struct err *err)
{
	static const struct {
		const char *pattern;
		bool dhclient;
	} where[] = {
		{ "/run/systemd/netif/leases/*", false },
		{ "/run/NetworkManager/devices/*", false },
		{ "/var/lib/dhcp/dhclient*.leases", true },
		{ "/var/lib/NetworkManager/dhclient-*.lease", true },
	};

	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++)
		if (leases_find(f, where[i].pattern, where[i].dhclient, err) < 0)
			return -1;
	return 0;
}

/* ---- default routes ------------------------------------------------------------ */

struct route_cookie {
	struct host_facts	*f;
	struct err		*err;
};

static int gateway_add(struct route_cookie *rc, uint8_t family, const void *p, size_t len)
{
	struct ip_addr a = { .family = family };

	if (len != (family == AF_INET ? 4 : 16))
		return 0;
	memcpy(a.b, p, len);
	if (!hostfacts_usable(&a) || rc->f->n_addrs[FACT_GATEWAY] >= HOSTFACTS_MAX)
		return 0;
	return facts_add(rc->f, FACT_GATEWAY, &a, rc->err);
}

static int hop_attr(struct route_cookie *rc, uint8_t family, const struct nlattr *attr)
{
	const uint8_t *p = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);
	uint16_t via;

	if (mnl_attr_get_type(attr) == RTA_GATEWAY)
		return gateway_add(rc, family, p, len);
	if (mnl_attr_get_type(attr) != RTA_VIA || len < sizeof(via))
		return 0;
	/* An IPv4 route by way of an IPv6 neighbour, RFC 5549. */
	memcpy(&via, p, sizeof(via));
	if (via != AF_INET && via != AF_INET6)
		return 0;
	return gateway_add(rc, (uint8_t)via, p + sizeof(via), len - sizeof(via));
}

static int hops_add(struct route_cookie *rc, uint8_t family, const struct nlattr *multipath)
{
	const uint8_t *p = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath), len;
	const struct nlattr *attr;
	struct rtnexthop hop;
	const void *attrs;

	for (; left >= sizeof(hop); p += len, left -= len) {
		memcpy(&hop, p, sizeof(hop));
		len = RTNH_ALIGN(hop.rtnh_len);
		if (hop.rtnh_len < sizeof(hop) || len > left)
			return 0;
		attrs = p + sizeof(hop);
		mnl_attr_for_each_payload(attrs, hop.rtnh_len - sizeof(hop))
			if (hop_attr(rc, family, attr) < 0)
				return -1;
	}
	return 0;
}

static int on_route(const struct nlmsghdr *nlh, void *cookie)
{
	const struct rtmsg *rt;
	const struct nlattr *attr;
	uint32_t table;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*rt))
		return MNL_CB_OK;
	rt = mnl_nlmsg_get_payload(nlh);
	if (rt->rtm_dst_len != 0 || rt->rtm_type != RTN_UNICAST || (rt->rtm_family != AF_INET && rt->rtm_family != AF_INET6))
		return MNL_CB_OK;
	table = rt->rtm_table;
	mnl_attr_for_each(attr, nlh, sizeof(*rt))
		if (mnl_attr_get_type(attr) == RTA_TABLE && mnl_attr_get_payload_len(attr) == sizeof(table))
			table = mnl_attr_get_u32(attr);
	if (table != RT_TABLE_MAIN)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*rt)) {
		if (hop_attr(cookie, rt->rtm_family, attr) < 0)
			return MNL_CB_ERROR;
		if (mnl_attr_get_type(attr) == RTA_MULTIPATH && hops_add(cookie, rt->rtm_family, attr) < 0)
			return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

/* ---- own addresses ----------------------------------------------------------------- */

/* Addresses that packets of others can be for: no loopback, nothing that is for one link alone, and none that duplicate
 * address detection has not allowed. */
static int on_address(const struct nlmsghdr *nlh, void *cookie)
{
	struct route_cookie *rc = cookie;
	struct ip_addr a = { 0 };
	const struct ifaddrmsg *ifa;
	const struct nlattr *attr, *local = NULL;
	uint32_t flags;

	if (nlh->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifa))
		return MNL_CB_OK;
	ifa = mnl_nlmsg_get_payload(nlh);
	flags = ifa->ifa_flags;
	mnl_attr_for_each(attr, nlh, sizeof(*ifa)) {
		if (mnl_attr_get_type(attr) == IFA_FLAGS && mnl_attr_get_payload_len(attr) == sizeof(flags))
			flags = mnl_attr_get_u32(attr);
		/* IFA_ADDRESS is the other end of a point-to-point link. */
		if (mnl_attr_get_type(attr) == IFA_LOCAL || (mnl_attr_get_type(attr) == IFA_ADDRESS && !local))
			local = attr;
	}
	a.family = ifa->ifa_family;
	if ((a.family != AF_INET && a.family != AF_INET6) || ifa->ifa_scope >= RT_SCOPE_LINK || !local ||
	    (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) || mnl_attr_get_payload_len(local) != (a.family == AF_INET ? 4 : 16))
		return MNL_CB_OK;
	memcpy(a.b, mnl_attr_get_payload(local), mnl_attr_get_payload_len(local));
	if (!hostfacts_usable(&a) || rc->f->n_addrs[FACT_ADDRESS] >= HOSTFACTS_MAX)
		return MNL_CB_OK;
	return facts_add(rc->f, FACT_ADDRESS, &a, rc->err) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

/* ---- dumps -------------------------------------------------------------------------- */

struct dump {
	uint16_t	 type;
	mnl_cb_t	 each;
	const char	*what;
};

/* 1: something changed meanwhile and the answer is not whole. */
static int dump_once(const struct dump *d, struct mnl_socket *nl, void *buf, struct route_cookie *cookie)
{
	unsigned seq = (unsigned)time(NULL), port = mnl_socket_get_portid(nl);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rt;
	ssize_t n;
	int r;

	nlh->nlmsg_type = d->type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	/* struct ifaddrmsg is shorter and begins with the family, too. */
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	rt->rtm_family = AF_UNSPEC;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return err_set(cookie->err, ERR_SYSTEM, "cannot ask for the %s: %s", d->what, strerror(errno));
	do {
		n = mnl_socket_recvfrom(nl, buf, ANSWER_MAX);
		if (n < 0)
			return err_set(cookie->err, ERR_SYSTEM, "cannot read the %s: %s", d->what, strerror(errno));
		cookie->err->code = ERR_NONE;
		r = mnl_cb_run(buf, (size_t)n, seq, port, d->each, cookie);
	} while (r > MNL_CB_STOP);
	if (r == MNL_CB_STOP)
		return 0;
	if (cookie->err->code != ERR_NONE)
		return -1;
	r = errno == EINTR ? 1 : -1;
	err_set(cookie->err, ERR_SYSTEM, "cannot read the %s: %s", d->what, strerror(errno));
	return r;
}

static int dump(const struct dump *d, struct host_facts *f, struct err *err)
{
	struct route_cookie cookie = { f, err };
	void *buf = malloc(ANSWER_MAX);
	struct mnl_socket *nl;
	int rc = 1;

	if (!buf)
		return err_nomem(err);
	for (int attempt = 0; attempt < 5 && rc > 0; attempt++) {
		nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
		if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
			rc = err_set(err, ERR_SYSTEM, "cannot open a routing socket: %s", strerror(errno));
		else
			rc = dump_once(d, nl, buf, &cookie);
		if (nl)
			mnl_socket_close(nl);
	}
	free(buf);
	return rc ? -1 : 0;
}

/* ---- all together --------------------------------------------------------------- */

/* Of each kind: what the configuration names, else what was found. */
static int facts_choose(struct host_facts *f, const struct host_facts *conf, const struct host_facts *found, struct err *err)
{
	const struct host_facts *from;

	for (int k = 0; k < N_FACTS; k++) {
		from = conf && conf->n_addrs[k] ? conf : found;
		for (size_t i = 0; i < from->n_addrs[k]; i++)
			if (facts_add(f, (enum fact_kind)k, &from->addrs[k][i], err) < 0)
				return -1;
	}
	return 0;
}

int hostfacts_find(struct host_facts **ret, const struct conf *c, struct err *err)
{
	static const struct dump routes = { RTM_GETROUTE, on_route, "routes" }, addresses = { RTM_GETADDR, on_address, "addresses" };
	struct host_facts *found = facts_new(), *f = facts_new();
	int rc = -1;

	if (!found || !f) {
		err_nomem(err);
		goto out;
	}
	if (resolv_find(found, err) < 0 || dhcp_find(found, err) < 0 || dump(&routes, found, err) < 0 ||
	    dump(&addresses, found, err) < 0)
		goto out;
	if (facts_choose(f, c ? c->facts : NULL, found, err) < 0)
		goto out;
	*ret = f;
	f = NULL;
	rc = 0;
out:
	facts_free(found);
	facts_free(f);
	return rc;
}

/* ---- changes --------------------------------------------------------------------- */

int hostfacts_watch_open(struct err *err)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	sa.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		err_set(err, ERR_SYSTEM, "cannot watch addresses and routes: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Routes of the local table come and go with the addresses, cached ones all the time. */
static bool message_counts(const struct nlmsghdr *nlh)
{
	const struct rtmsg *rt;

	switch (nlh->nlmsg_type) {
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return true;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*rt))
			return false;
		rt = mnl_nlmsg_get_payload(nlh);
		return rt->rtm_table != RT_TABLE_LOCAL && !(rt->rtm_flags & RTM_F_CLONED);
	default:
		return false;
	}
}

int hostfacts_watch_read(int fd)
{
	_Alignas(struct nlmsghdr) char buf[32768];
	const struct nlmsghdr *nlh;
	int changed = 0, left;
	ssize_t n;

	for (;;) {
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		/* Messages were lost: something happened. */
		if (n < 0 && errno == ENOBUFS) {
			changed = 1;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return changed;
		left = (int)n;
		for (nlh = (const void *)buf; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			if (message_counts(nlh))
				changed = 1;
	}
}
