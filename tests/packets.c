/* Random policies against random packets, in a network namespace of its own that
 * test_packets.sh has furnished: taps "lan1" and "lan2", the tun "ppp1" (a dial-up
 * connection by its type), addresses 10.{1,2,3}.0.1 and fd0{1,2,3}::1.
 *
 * A packet comes in through a tap as a frame, or goes out of a raw socket; raw sockets
 * and taps then tell whether it arrived.  What arrived must be what the model in
 * packets_model.c says.  usage: packets SEED POLICIES PACKETS; without arguments 77:
 * "make check" skips it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nft/judge.h"
#include "nft/nlsock.h"
#include "nft/ruleset.h"
#include "schema/err.h"
#include "tests/packets_model.h"

#define N_IFACES	3
#define MAX_FLOWS	4096
#define HDR4		20
#define HDR6		40

struct iface {
	const char	*name;
	int		 fd;
	bool		 tap;
	uint8_t		 mac[6];
};

struct flow {
	struct packet	 p;
	bool		 answered;
};

static struct iface ifaces[N_IFACES] = {
	{ "lan1", -1, true, { 0 } }, { "lan2", -1, true, { 0 } }, { "ppp1", -1, false, { 0 } },
};
static const uint8_t protos4[] = { 1, 6, 17, 46, 50, 51, 99 }, protos6[] = { 6, 17, 46, 50, 51, 58, 99 };
#define N_PROTOS	7
static int raw4[N_PROTOS], raw6[N_PROTOS], send4, send6;
static struct flow flows[MAX_FLOWS];
static size_t n_flows;
static uint32_t packet_id;
static bool *dropped;		/* by packet_id: was not seen, rightly */
static unsigned n_late;		/* of these, seen later after all */
static unsigned n_resent;
static unsigned n_judged, n_misjudged;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "packets: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* xorshift: the same packets for the same seed everywhere */
static uint64_t state;

static unsigned pick(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 11) % n;
}

/* ---- devices and sockets ---- */

static void iface_open(struct iface *i, int s)
{
	struct ifreq r = { .ifr_flags = (short)((i->tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI) };

	i->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", i->name);
	if (i->fd < 0 || ioctl(i->fd, TUNSETIFF, &r) < 0)
		die(i->name);
	if (i->tap && ioctl(s, SIOCGIFHWADDR, &r) < 0)
		die("SIOCGIFHWADDR");
	if (i->tap)
		memcpy(i->mac, r.ifr_hwaddr.sa_data, 6);
}

static int raw_open(int family, int proto, bool sends)
{
	const int one = 1, zero = 0;
	int s = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);

	if (s < 0)
		die("raw socket");
	if (!sends)
		return s;
	/* Only marked packets leave: no resets and unreachables of the kernel's own. */
	if (setsockopt(s, SOL_SOCKET, SO_MARK, &one, sizeof(one)) < 0 ||
	    setsockopt(s, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) < 0)
		die("SO_MARK");
	if (family == AF_INET)
		setsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &zero, sizeof(zero));
	if (family == AF_INET6 && setsockopt(s, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof(one)) < 0)
		die("IPV6_HDRINCL");
	return s;
}

static void all_open(void)
{
	send4 = raw_open(AF_INET, IPPROTO_RAW, true);
	send6 = raw_open(AF_INET6, IPPROTO_RAW, true);
	for (int i = 0; i < N_PROTOS; i++) {
		raw4[i] = raw_open(AF_INET, protos4[i], false);
		raw6[i] = raw_open(AF_INET6, protos6[i], false);
	}
	for (int i = 0; i < N_IFACES; i++)
		iface_open(&ifaces[i], send4);
}

/* "conntrack -F" */
static void conntrack_flush(void)
{
	struct {
		struct nlmsghdr	 n;
		struct nfgenmsg	 g;
	} q = { { sizeof(q), NFNL_SUBSYS_CTNETLINK << 8 | 2 /* IPCTNL_MSG_CT_DELETE */, NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
		{ AF_UNSPEC, NFNETLINK_V0, 0 } };
	char answer[4096];
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (s < 0 || send(s, &q, sizeof(q), 0) < 0 || recv(s, answer, sizeof(answer), 0) < 0)
		die("conntrack flush");
	close(s);
	n_flows = 0;
}

/* ---- packets as bytes ---- */

static uint32_t sum_add(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i & 1 ? 0 : 8);
	return sum;
}

static void sum_put(uint8_t *at, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	at[0] = (uint8_t)(sum >> 8);
	at[1] = (uint8_t)sum;
}

static size_t l4_write(uint8_t *q, const struct packet *p)
{
	memset(q, 0, 32);
	q[0] = (uint8_t)(p->sport >> 8);
	q[1] = (uint8_t)p->sport;
	q[2] = (uint8_t)(p->dport >> 8);
	q[3] = (uint8_t)p->dport;
	switch (p->proto) {
	case 6:
		q[12] = 0x50;
		q[13] = 2;		/* SYN */
		return 20;
	case 17:
		q[5] = 8 + 12;
		return 8;
	case 1: case 58:
		q[0] = p->icmp_type;
		q[1] = q[2] = q[3] = 0;
		q[4] = (uint8_t)(packet_id >> 8);
		q[5] = (uint8_t)packet_id;
		return p->icmp_type >= 133 ? 24 : 8;
	case 51:
		memset(q, 0, 4);
		q[0] = 59;		/* nothing behind it */
		q[1] = 1;		/* (1 + 2) * 4 bytes */
		return 12;
	default:
		memset(q, 0, 4);
		return 4;
	}
}

static void l4_sum(uint8_t *q, size_t len, const struct packet *p)
{
	const size_t alen = p->v4 ? 4 : 16;
	uint32_t sum = 0;

	if (p->proto != 1)
		sum = sum_add(sum_add(p->proto + (uint32_t)len, p->src, alen), p->dst, alen);
	sum = sum_add(sum, q, len);
	if (p->proto == 6)
		sum_put(q + 16, sum);
	else if (p->proto == 17)
		sum_put(q + 6, sum);
	else if (p->proto == 1 || p->proto == 58)
		sum_put(q + 2, sum);
}

/* The mark by which it is known again: "IPSECPOL" and the number. */
static size_t packet_write(uint8_t *q, const struct packet *p)
{
	const size_t hdr = p->v4 ? HDR4 : HDR6;
	uint8_t *l4 = q + hdr;
	size_t n = l4_write(l4, p);

	memcpy(l4 + n, "IPSECPOL", 8);
	memcpy(l4 + n + 8, &packet_id, 4);
	n += 12;
	l4_sum(l4, n, p);
	memset(q, 0, hdr);
	if (p->v4) {
		q[0] = 0x45;
		q[3] = (uint8_t)(hdr + n);
		q[4] = (uint8_t)(packet_id >> 8);
		q[5] = (uint8_t)packet_id;
		q[8] = 64;
		q[9] = p->proto;
		memcpy(q + 12, p->src, 4);
		memcpy(q + 16, p->dst, 4);
		sum_put(q + 10, sum_add(0, q, hdr));
	} else {
		q[0] = 0x60;
		q[5] = (uint8_t)n;
		q[6] = p->proto;
		q[7] = p->proto == 58 && p->icmp_type >= 133 ? 255 : 64;
		memcpy(q + 8, p->src, 16);
		memcpy(q + 24, p->dst, 16);
	}
	return hdr + n;
}

static bool marked(const uint8_t *p, ssize_t n)
{
	uint32_t id;

	if (n < 12 || memcmp(p + n - 12, "IPSECPOL", 8))
		return false;
	memcpy(&id, p + n - 4, 4);
	if (id < packet_id && dropped[id])
		n_late++;
	return id == packet_id;
}

/* Reads all there is; whether ours was among it. */
static bool seen(int fd)
{
	uint8_t buf[2048];
	bool yes = false;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) >= 0)
		yes |= marked(buf, n);
	return yes;
}

static bool arrived_here(void)
{
	bool yes = false;

	for (int i = 0; i < N_PROTOS; i++) {
		yes |= seen(raw4[i]);
		yes |= seen(raw6[i]);
	}
	return yes;
}

static bool left_here(void)
{
	bool yes = false;

	for (int i = 0; i < N_IFACES; i++)
		yes |= seen(ifaces[i].fd);
	return yes;
}

static void packet_inject(const struct iface *i, const struct packet *p)
{
	uint8_t frame[14 + 256];
	size_t n = packet_write(frame + 14, p);

	memset(frame, 2, 12);
	memcpy(frame, i->mac, 6);
	frame[12] = p->v4 ? 0x08 : 0x86;
	frame[13] = p->v4 ? 0x00 : 0xdd;
	if (write(i->fd, i->tap ? frame : frame + 14, i->tap ? n + 14 : n) < 0)
		die("write to a tap");
}

static void packet_send(const struct packet *p)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };
	uint8_t q[256];
	size_t n = packet_write(q, p);
	ssize_t rc;

	memcpy(&a4.sin_addr, p->dst, 4);
	memcpy(&a6.sin6_addr, p->dst, 16);
	if (p->dst[0] == 0xff && !p->v4)
		a6.sin6_scope_id = if_nametoindex("lan1");
	rc = p->v4 ? sendto(send4, q, n, 0, (void *)&a4, sizeof(a4)) : sendto(send6, q, n, 0, (void *)&a6, sizeof(a6));
	if (rc < 0 && errno != EPERM)
		die("raw send");
}

/* ---- conntrack's book, as far as it matters ---- */

static bool tracked(const struct packet *p)
{
	/* Behind IPv6's AH conntrack looks for a protocol of its own, and finds none. */
	return !(p->proto == 58 && p->icmp_type >= 133) && !(p->proto == 51 && !p->v4);
}

static bool same_ends(const struct packet *a, const struct packet *b, bool reverse)
{
	const uint8_t *src = reverse ? b->dst : b->src, *dst = reverse ? b->src : b->dst;

	return a->v4 == b->v4 && a->proto == b->proto && !memcmp(a->src, src, 16) && !memcmp(a->dst, dst, 16) &&
	    a->sport == (reverse ? b->dport : b->sport) && a->dport == (reverse ? b->sport : b->dport);
}

/* What conntrack sees before any filter; returns the flow, or NULL: a new one. */
static struct flow *flow_find(struct packet *p)
{
	/* Echo requests have a number each and are never answered here. */
	if (!tracked(p) || p->proto == 1 || p->proto == 58)
		return NULL;
	for (size_t i = 0; i < n_flows; i++) {
		if (same_ends(&flows[i].p, p, true)) {
			flows[i].answered = p->answer = true;
			return &flows[i];
		}
		if (same_ends(&flows[i].p, p, false)) {
			p->answer = flows[i].answered;
			return &flows[i];
		}
	}
	return NULL;
}

/* ---- random packets ---- */

static void addr4(uint8_t *a, unsigned net, unsigned host)
{
	memset(a, 0, 16);
	a[0] = 10;
	a[1] = (uint8_t)net;
	a[3] = (uint8_t)host;
}

static void addr6(uint8_t *a, unsigned net, unsigned host)
{
	memset(a, 0, 16);
	a[0] = 0xfd;
	a[1] = (uint8_t)net;
	a[15] = (uint8_t)host;
}

static void addr(uint8_t *a, bool v4, unsigned net, unsigned host)
{
	(v4 ? addr4 : addr6)(a, net, host);
}

static unsigned a_peer(void)
{
	static const uint8_t hosts[] = { 2, 3, 5, 9, 77, 200 };

	return hosts[pick(sizeof(hosts))];
}

static uint16_t a_port(void)
{
	static const uint16_t ports[] = { 22, 53, 53, 67, 68, 80, 85, 88, 389, 443, 445, 500, 546, 547, 636, 1024, 4500, 5000, 40000 };

	return ports[pick(sizeof(ports) / sizeof(ports[0]))];
}

/* TCP's states are not modelled: no TCP flow meets a second packet. */
static void ports_make(struct packet *p)
{
	static const uint16_t few[] = { 53, 80, 85, 443 };
	static uint16_t fresh = 10000;

	if (p->proto != 6 && p->proto != 17)
		return;
	p->sport = pick(2) ? a_port() : few[pick(4)];
	p->dport = pick(2) ? a_port() : few[pick(4)];
	if (p->proto != 6)
		return;
	*(pick(2) ? &p->sport : &p->dport) = fresh++;
	if (fresh == 39999)
		fresh = 10000;
}

static void wide_make(struct packet *p)
{
	static const uint8_t all4[4] = { 224, 0, 0, 1 }, one4[4] = { 255, 255, 255, 255 };

	p->dst_wide = true;
	p->dst_local = false;
	memset(p->dst, 0, 16);
	if (!p->v4) {
		p->dst[0] = 0xff;
		p->dst[1] = 2;
		p->dst[15] = 1;
	} else if (p->way == WAY_IN && pick(2)) {
		memcpy(p->dst, one4, 4);
	} else if (pick(2)) {
		addr4(p->dst, 1, 255);
	} else {
		memcpy(p->dst, all4, 4);
	}
}

/* Interface of the packet; forwarded: the one it comes by. */
static int packet_make(struct packet *p)
{
	unsigned net = 1 + pick(N_IFACES), to = 1 + pick(N_IFACES);

	memset(p, 0, sizeof(*p));
	p->way = pick(3);
	p->v4 = pick(2);
	p->proto = p->v4 ? protos4[pick(N_PROTOS)] : protos6[pick(N_PROTOS)];
	if (pick(2))
		p->proto = pick(2) ? 6 : 17;
	p->icmp_type = p->proto == 1 ? 8 : p->proto == 58 ? (pick(4) ? 128 : 135) : 0;
	if (p->icmp_type == 135 && p->way == WAY_FORWARD)
		p->icmp_type = 128;
	ports_make(p);
	p->dialup = net == 3;
	switch (p->way) {
	case WAY_IN:
		addr(p->src, p->v4, net, a_peer());
		addr(p->dst, p->v4, to, 1);
		p->dst_local = true;
		/* A dial-up link has no broadcast, and ours joined no group. */
		if (!p->dialup && !pick(8) && p->icmp_type != 135)
			wide_make(p);
		break;
	case WAY_OUT:
		p->src_local = pick(16) != 0;
		addr(p->src, p->v4, to, p->src_local ? 1 : 66);
		addr(p->dst, p->v4, net, a_peer());
		if (net == 1 && !pick(8) && p->icmp_type != 135)
			wide_make(p);
		break;
	case WAY_FORWARD:
		if (to == net)
			to = net % N_IFACES + 1;
		addr(p->src, p->v4, net, a_peer());
		addr(p->dst, p->v4, to, a_peer());
		p->dialup = to == 3;
		break;
	}
	return (int)net - 1;
}

/* Now and then the way back of something that was sent. */
static int answer_make(struct packet *p)
{
	const struct packet *f = &flows[pick((unsigned)n_flows)].p;
	const unsigned from = f->v4 ? f->dst[1] : f->dst[1], to = f->src[1];

	*p = *f;
	memcpy(p->src, f->dst, 16);
	memcpy(p->dst, f->src, 16);
	p->sport = f->dport;
	p->dport = f->sport;
	p->way = f->way == WAY_IN ? WAY_OUT : f->way == WAY_OUT ? WAY_IN : WAY_FORWARD;
	p->src_local = p->way == WAY_OUT;
	p->dst_local = p->way == WAY_IN;
	p->dialup = p->way == WAY_IN ? from == 3 : to == 3;
	return (int)from - 1;
}

static bool answerable(const struct packet *p)
{
	return p->proto != 6 && !p->dst_wide && (p->way != WAY_OUT || p->src_local);
}

/* ---- random policies ---- */

static const char *a_side(int v4)
{
	static const char *const s4[] = { "10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24",
		"10.1.0.2/32", "10.2.0.9/32", "10.1.0.1/32", "10.2.0.1/32", "0.0.0.0/1", "10.1.0.2-10.1.0.5", "10.1.0.4/30",
		"10.1.0.3-10.2.0.77", "10.2.0.1-10.2.0.200", "me", "me", "me4", "any", "any", "0.0.0.0/0", "dns", "wins4", "gateway", "dhcp" };
	static const char *const s6[] = { "fd00::/8", "fd01::/64", "fd02::/64", "fd03::/16", "fd01::2/128", "fd02::9/128",
		"fd01::1/128", "fd01::2-fd01::5", "fd01::4/126", "fd01::3-fd02::77", "me", "me", "me6", "any", "any", "::/0", "dns", "gateway6" };

	return v4 ? s4[pick(sizeof(s4) / sizeof(s4[0]))] : s6[pick(sizeof(s6) / sizeof(s6[0]))];
}

static void ports_write(FILE *out)
{
	static const char *const ports[] = { "53", "80", "443", "445", "80-90", "1-1023", "1024-65535", "81-445" };
	const char *one = ports[pick(sizeof(ports) / sizeof(ports[0]))], *two = ports[pick(sizeof(ports) / sizeof(ports[0]))];
	const unsigned which = pick(4);

	fprintf(out, " %s %s", which & 1 ? one : "*", which & 2 ? two : "*");
}

static bool symbolic(const char *s)
{
	return !strpbrk(s, "./:46");
}

/* Half of the policies keep to two sides and their neighbours, so that filters meet
 * that differ in little. */
static const char *focus[2][2];

static void focus_make(void)
{
	for (int v4 = 0; v4 < 2; v4++)
		for (int i = 0; i < 2; i++)
			focus[v4][i] = a_side(v4);
	if (pick(2))
		memset(focus, 0, sizeof(focus));
}

static void filter_write(FILE *out)
{
	const int v4 = (int)pick(2);
	const char *src = focus[v4][0] && pick(4) ? focus[v4][0] : a_side(v4);
	const char *dst = focus[v4][1] && pick(4) ? focus[v4][1] : a_side(v4);

	/* "me4" with "::/0" would be refused; the two lists never meet. */
	fprintf(out, "filter %s %s", src, dst);
	switch (pick(focus[v4][0] ? 12 : 6)) {
	case 0: fputs(" any * *", out); break;
	case 1: fputs(" any * *", out); break;
	case 2: fputs(symbolic(src) ? " 1 * *" : v4 ? " 1 * *" : " 58 * *", out); break;
	case 3: fputs(pick(2) ? " 46 * *" : " 99 * *", out); break;
	default:
		fputs(pick(2) ? " tcp" : " udp", out);
		ports_write(out);
	}
	fputs(pick(3) ? " mirrored\n" : "\n", out);
}

/* ---- many ranges on top of each other ---- */

static const char *const kinds[] = { "permit", "block", "require", "pass", "request", "request-pass" };
#define N_KINDS		(sizeof(kinds) / sizeof(kinds[0]))

enum ranged { RANGED_SPORT = 1, RANGED_DPORT = 2, RANGED_SRC = 4, RANGED_DST = 8 };

/* What many filters have in common. */
struct template {
	bool		 v4;
	const char	*src, *dst;
	unsigned	 ranged;
	const char	*sport, *dport;
};

static struct template template_make(void)
{
	static const unsigned ways[] = { RANGED_SPORT, RANGED_DPORT, RANGED_DPORT, RANGED_SRC, RANGED_DST,
		RANGED_SPORT | RANGED_DPORT, RANGED_DST | RANGED_DPORT };
	static const char *const sides4[] = { "me", "any", "10.1.0.0/24", "10.1.0.2/32", "10.0.0.0/8" };
	static const char *const sides6[] = { "me6", "::/0", "fd01::/64", "fd01::2/128", "fd00::/8" };
	struct template t = { .v4 = pick(2), .ranged = ways[pick(7)], .sport = pick(3) ? "*" : "53", .dport = pick(3) ? "*" : "80" };

	t.src = (t.v4 ? sides4 : sides6)[pick(5)];
	t.dst = (t.v4 ? sides4 : sides6)[pick(5)];
	return t;
}

/* Ends near the ports of packets; of all widths. */
static void port_range_write(FILE *out)
{
	const unsigned width = 1 + pick(1u << (1 + pick(15))), at = pick(3) ? a_port() : 1 + pick(65000);
	unsigned lo = at - (width < at ? pick(width) : at - 1);

	lo = lo ? lo : 1;
	fprintf(out, " %u-%u", lo, lo + width > 65535 ? 65535 : lo + width);
}

/* From an odd number on: such a range is no prefix, which would have to be written as one. */
static void addr_range_write(FILE *out, bool v4)
{
	const unsigned lo = 1 + 2 * pick(50), net = 1 + pick(3), hi = lo + 1 + pick(pick(2) ? 5 : 150), end = net + pick(4 - net);

	if (v4)
		fprintf(out, " 10.%u.0.%u-10.%u.0.%u", net, lo, end, hi);
	else
		fprintf(out, " fd0%u::%x-fd0%u::%x", net, lo, end, hi);
}

static void ranged_filter_write(FILE *out, const struct template *t, unsigned number)
{
	fprintf(out, "filter #%u", number);
	for (int i = 0; i < 2; i++)
		if (t->ranged & (i ? RANGED_DST : RANGED_SRC))
			addr_range_write(out, t->v4);
		else
			fprintf(out, " %s", i ? t->dst : t->src);
	fputs(pick(2) ? " tcp" : " udp", out);
	for (int i = 0; i < 2; i++)
		if (t->ranged & (i ? RANGED_DPORT : RANGED_SPORT))
			port_range_write(out);
		else
			fprintf(out, " %s", i ? t->dport : t->sport);
	fputs(pick(4) ? "\n" : " mirrored\n", out);
}

#define MANY		10000	/* filters */

/* n filters of a few templates, in rules of all kinds; ties are decided by numbers in disorder.  Where there
 * are many, filters of all other kinds stand among them. */
static void ranges_write(FILE *out, unsigned n)
{
	struct template t[12];
	const unsigned n_templates = 1 + pick(n < MANY ? 3 : 12), n_rules = 2 + pick(5);
	unsigned done = 0;

	for (unsigned i = 0; i < n_templates; i++)
		t[i] = template_make();
	for (unsigned i = 0; i < n_rules; i++) {
		fprintf(out, "rule %s%s Ranges%u\n", kinds[pick(N_KINDS)], pick(4) ? "" : pick(2) ? " lan" : " dialup", i);
		for (; done < n * (i + 1) / n_rules; done++)
			if (n < MANY || pick(4))
				ranged_filter_write(out, &t[pick(n_templates)], 1000000 + done * 7919 % 104729);
			else
				filter_write(out);
	}
}

static char *policy_make(unsigned n_ranges)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		die("open_memstream");
	focus_make();
	fprintf(out, "ipsecexempt %u\n", pick(4));
	if (pick(2))
		fputs("lifeline\n", out);
	if (!pick(4))
		fputs("any-is-ipv4\n", out);
	if (!pick(3))
		fprintf(out, "diagnostics %u\n", 2 + pick(6));
	fputs("fact dns 10.1.0.3\nfact dns fd01::3\nfact dc 10.2.0.5\nfact dc fd02::5\nfact wins 10.2.0.77\n"
	    "fact gateway 10.1.0.200\nfact gateway fd01::c8\n", out);
	for (unsigned i = pick(6); i-- > 0;) {
		fprintf(out, "rule %s%s%s%s R%u\n", kinds[pick(6)], pick(3) ? "" : pick(2) ? " lan" : " dialup",
		    pick(8) ? "" : " tunnel", pick(12) ? "" : " inactive", i);
		for (unsigned k = 1 + pick(5); k-- > 0;)
			filter_write(out);
	}
	if (n_ranges)
		ranges_write(out, n_ranges);
	if (!pick(3)) {
		fprintf(out, "store %s\nrule %s S\n", pick(2) ? "local" : "dynamic", kinds[pick(6)]);
		for (unsigned k = 1 + pick(3); k-- > 0;)
			filter_write(out);
	}
	/* Often something that decides about everything else. */
	if (pick(2))
		fprintf(out, "rule %s Rest\nfilter me any any * * mirrored\nfilter any any any * *\n", kinds[pick(6)]);
	fclose(out);
	return text;
}

/* ---- the comparison ---- */

struct tally {
	const char	*way, *why;
	bool		 v4;
	unsigned	 passed, dropped, wrong;
} tallies[128];
static size_t n_tallies;

static struct tally *tally(const struct packet *p, const char *why)
{
	static const char *const ways[] = { "inbound", "outbound", "forwarded" };
	struct tally *t;

	for (t = tallies; t < tallies + n_tallies; t++)
		if (!strcmp(t->way, ways[p->way]) && !strcmp(t->why, why) && t->v4 == p->v4)
			return t;
	*t = (struct tally){ .way = ways[p->way], .why = why, .v4 = p->v4 };
	n_tallies++;
	return t;
}

static void wrong(const struct packet *p, const char *policy, const char *why, enum fate want)
{
	char src[64], dst[64];
	static int n;

	if (n++ >= 5)
		return;
	inet_ntop(p->v4 ? AF_INET : AF_INET6, p->src, src, sizeof(src));
	inet_ntop(p->v4 ? AF_INET : AF_INET6, p->dst, dst, sizeof(dst));
	printf("wrong: way %d %s:%u > %s:%u proto %u type %u%s%s: model says %s (%s)\npolicy:\n%s", p->way, src, p->sport,
	    dst, p->dport, p->proto, p->icmp_type, p->dialup ? " dialup" : "",
	    p->answer ? " answer" : "", want == FATE_PASS ? "pass" : "drop", why, policy);
}

/* ---- the same without a kernel ---- */

static bool is_broadcast(const struct packet *p)
{
	return p->v4 && (p->dst[3] == 255 || p->dst[0] == 255);
}

static void place_make(struct judge_place *at, const struct packet *p, int iface)
{
	const uint16_t type = p->dialup ? 0xfffe /* ARPHRD_NONE */ : 1;

	*at = (struct judge_place){ .iif = p->way == WAY_OUT ? 0 : 2 + (uint32_t)iface, .oif = p->way == WAY_IN ? 0 : 9,
		.iiftype = type, .oiftype = type,
		.src_type = p->src_local ? RTN_LOCAL : RTN_UNICAST, .ct_state = p->answer ? 2 : 0 };
	at->dst_type = p->dst_local ? RTN_LOCAL : !p->dst_wide ? RTN_UNICAST : is_broadcast(p) ? RTN_BROADCAST : RTN_MULTICAST;
	at->hook = p->way == WAY_IN ? RS_HOOK_INPUT : p->way == WAY_OUT ? RS_HOOK_POSTROUTING : RS_HOOK_FORWARD;
}

static bool origin_is(const struct rs_origin *got, const struct rs_origin *who)
{
	if (!got)
		return guid_is_zero(&who->filter);
	return !guid_cmp(&got->filter, &who->filter) && !guid_cmp(&got->rule, &who->rule) &&
	    !guid_cmp(&got->gpo, &who->gpo) && got->store == who->store;
}

/* judge_packet must name the same filter and fate as the model. */
static void judge_try(const struct ruleset *r, const struct packet *p, int iface, enum fate want,
    const struct rs_origin *who, const char *policy)
{
	uint8_t bytes[256];
	struct packet_head h;
	struct judge_place at;
	struct judgement j = { 0 }, routed;
	bool ok;

	place_make(&at, p, iface);
	ok = packet_head_parse(&h, bytes, packet_write(bytes, p)) && judge_packet(&j, r, &h, &at) &&
	    j.verdict == (want == FATE_PASS ? RS_ACCEPT : RS_DROP) && origin_is(j.origin, who);
	if (ok && p->way == WAY_FORWARD && want == FATE_PASS) {
		at.hook = RS_HOOK_POSTROUTING;
		ok = judge_packet(&routed, r, &h, &at) && routed.verdict == RS_ACCEPT && !routed.origin;
	}
	n_judged++;
	n_misjudged += !ok;
	if (!ok && n_misjudged < 5) {
		printf("misjudged: verdict %d, chain %s, comment '%s'\n", j.verdict, j.chain ? j.chain->name : "-",
		    j.comment ? j.comment : "-");
		wrong(p, policy, "judged", want);
	}
}

/* All happens before write and send return, unless the kernel is busy: a packet that
 * should be there is waited for, one that should not is looked out for later. */
static enum fate packet_await(const struct packet *p, enum fate want)
{
	for (int i = 0; i < 500; i++) {
		const bool here = arrived_here(), left = left_here();

		if (p->way == WAY_IN ? here : left)
			return FATE_PASS;
		if (want == FATE_DROP)
			break;
		usleep(1000);
	}
	return FATE_DROP;
}

static void packet_go(const struct packet *p, int iface)
{
	if (p->way == WAY_OUT)
		packet_send(p);
	else
		packet_inject(&ifaces[iface], p);
}

static void packet_try(const struct mk *m, const struct ruleset *r, const char *policy)
{
	struct packet p;
	struct tally *t;
	struct flow *f;
	struct rs_origin who;
	const char *why;
	enum fate want, got;
	int iface = n_flows && !pick(3) ? answer_make(&p) : packet_make(&p);

	packet_id++;
	p.answer = false;
	f = flow_find(&p);
	want = model_fate(m, &p, &why, &who);
	judge_try(r, &p, iface, want, &who, policy);
	packet_go(&p, iface);
	got = packet_await(&p, want);
	/* A busy kernel may lose a packet; a rule drops it each time. */
	for (int again = 0; got != want && want == FATE_PASS && again < 2; again++, n_resent++) {
		packet_go(&p, iface);
		got = packet_await(&p, want);
	}
	dropped[packet_id] = got == FATE_DROP && want == FATE_DROP;
	t = tally(&p, why);
	t->passed += got == want && got == FATE_PASS;
	t->dropped += got == want && got == FATE_DROP;
	t->wrong += got != want;
	if (got != want)
		wrong(&p, policy, why, want);
	if (!f && got == FATE_PASS && answerable(&p) && tracked(&p) && n_flows < MAX_FLOWS)
		flows[n_flows++] = (struct flow){ .p = p };
}

static bool has_many(unsigned i)
{
	return i % 400 == 17;
}

static unsigned packets_of(unsigned i, unsigned n_packets)
{
	return has_many(i) ? 10 * n_packets : n_packets;
}

static void policy_try(struct nlsock *s, unsigned i, unsigned n_packets)
{
	struct apply_report rep;
	char *text = policy_make(has_many(i) ? MANY : i % 8 == 7 ? 4 + pick(300) : 0);
	struct mk *m = mk_policy(text);
	struct ruleset *r;
	struct err err;

	if (mk_render(&r, m, &err) < 0 || nlsock_apply(s, r, &rep, NULL, &err) < 0) {
		printf("%s\n%s", err.msg, text);
		exit(1);
	}
	conntrack_flush();
	while (n_packets-- > 0)
		packet_try(m, r, text);
	ruleset_free(r);
	mk_free(m);
	free(text);
}

int main(int argc, char **argv)
{
	unsigned n_policies, n_packets, n_all = 0, n_bad = 0;
	struct nlsock *s;
	struct err err;

	if (argc != 4) {
		fputs("usage: packets SEED POLICIES PACKETS\n", stderr);
		return argc < 2 ? 77 : 64;
	}
	n_policies = (unsigned)atoi(argv[2]);
	n_packets = (unsigned)atoi(argv[3]);
	state = 0x9e3779b97f4a7c15u ^ (uint64_t)atoi(argv[1]);
	for (unsigned i = 0; i < n_policies; i++)
		n_all += packets_of(i, n_packets);
	dropped = calloc((size_t)n_all + 1, sizeof(*dropped));
	if (!dropped)
		die("calloc");
	all_open();
	s = nlsock_open(&err);
	if (!s)
		die(err.msg);
	for (unsigned i = 0; i < n_policies; i++)
		policy_try(s, i, packets_of(i, n_packets));
	nlsock_close(s);
	for (size_t i = 0; i < n_tallies; i++) {
		const struct tally *t = &tallies[i];

		printf("%s: IPv%d %s, decided by %s: %u passed and %u dropped as they should%s\n", t->wrong ? "FAIL" : "ok",
		    t->v4 ? 4 : 6, t->way, t->why, t->passed, t->dropped, t->wrong ? ", others not" : "");
		n_bad += t->wrong != 0;
	}
	printf("%s: no dropped packet came late\n", n_late ? "FAIL" : "ok");
	printf("%s: hardly a packet was lost on the way (%u)\n", n_resent > 20 ? "FAIL" : "ok", n_resent);
	printf("%s: every packet was judged alike without a kernel (%u of %u not)\n", n_misjudged || !n_judged ? "FAIL" : "ok",
	    n_misjudged, n_judged);
	free(dropped);
	return n_bad || n_late || n_resent > 20 || n_misjudged || !n_judged;
}
