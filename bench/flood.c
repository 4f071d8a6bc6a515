/* flood out|in FILE SECONDS: what a packet costs, in nanoseconds of this thread's own time.
 *
 * FILE: a packet a line, "SRC DST tcp|udp SPORT DPORT", addresses of one family.  They are
 * sent in turn, for so long:
 *   out   by a raw socket; the routes lead to the tun device "tun0"
 *   in    by that device, as if they came from outside
 * Nobody reads what comes out of the device.  Nothing is left to do later or on another processor: hooks
 * and all run inside of the system call, so that the time of the thread is the time of
 * the packets.  Packets refused by a rule count as well. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	64
#define TRANSPORT	20		/* bytes: a TCP header, or UDP with 12 of data */

struct packet {
	uint8_t			bytes[40 + TRANSPORT];
	uint32_t		len;
	union {
		struct sockaddr_in	in;
		struct sockaddr_in6	in6;
	}			to;
};

struct flood {
	struct packet	*packets;
	size_t		 n;
	int		 family, raw, tun;
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, errno ? strerror(errno) : "bad");
	exit(1);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void transport(uint8_t *p, unsigned proto, unsigned sport, unsigned dport)
{
	put16(p, sport);
	put16(p + 2, dport);
	if (proto == IPPROTO_UDP)
		put16(p + 4, TRANSPORT);
	else
		p[12] = 5 << 4, p[13] = 0x10;
}

/* RFC 791; the kernel looks at it when the packet comes from outside. */
static void checksum(uint8_t *h)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)h[i] << 8 | h[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(h + 10, ~sum & 0xffff);
}

static void packet_build(struct packet *p, const uint8_t *src, const uint8_t *dst, int family, unsigned proto)
{
	uint8_t *h = p->bytes;

	if (family == AF_INET) {
		p->len = 20 + TRANSPORT;
		h[0] = 0x45;
		put16(h + 2, p->len);
		h[8] = 64;
		h[9] = (uint8_t)proto;
		memcpy(h + 12, src, 4);
		memcpy(h + 16, dst, 4);
		checksum(h);
		p->to.in.sin_family = AF_INET;
		memcpy(&p->to.in.sin_addr, dst, 4);
	} else {
		p->len = 40 + TRANSPORT;
		h[0] = 0x60;
		put16(h + 4, TRANSPORT);
		h[6] = (uint8_t)proto;
		h[7] = 64;
		memcpy(h + 8, src, 16);
		memcpy(h + 24, dst, 16);
		p->to.in6.sin6_family = AF_INET6;
		memcpy(&p->to.in6.sin6_addr, dst, 16);
	}
}

static void packet_read(struct flood *f, const char *line)
{
	char src[64], dst[64], proto[8];
	uint8_t from[16], to[16];
	unsigned sport, dport, number;
	struct packet *p;

	if (sscanf(line, "%63s %63s %7s %u %u", src, dst, proto, &sport, &dport) != 5)
		fail(line);
	f->family = strchr(src, ':') ? AF_INET6 : AF_INET;
	number = strcmp(proto, "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
	if (inet_pton(f->family, src, from) != 1 || inet_pton(f->family, dst, to) != 1)
		fail(line);
	if ((f->n & (f->n - 1)) == 0) {
		f->packets = realloc(f->packets, (f->n ? 2 * f->n : 1) * sizeof(*f->packets));
		if (!f->packets)
			fail("memory");
	}
	p = &f->packets[f->n++];
	memset(p, 0, sizeof(*p));
	packet_build(p, from, to, f->family, number);
	transport(p->bytes + p->len - TRANSPORT, number, sport, dport);
}

static void packets_read(struct flood *f, const char *name)
{
	FILE *file = fopen(name, "r");
	char line[256];

	if (!file)
		fail(name);
	while (fgets(line, sizeof(line), file))
		packet_read(f, line);
	fclose(file);
	if (f->n == 0)
		fail("no packet");
}

static void open_raw(struct flood *f)
{
	f->raw = socket(f->family, SOCK_RAW, IPPROTO_RAW);
	if (f->raw < 0)
		fail("raw socket");
}

static void open_tun(struct flood *f)
{
	struct ifreq ifr = { .ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI };

	f->tun = open("/dev/net/tun", O_RDWR);
	if (f->tun < 0 || ioctl(f->tun, TUNSETIFF, &ifr) < 0)
		fail("tun0");
}

/* n packets from the at-th on; a refusal (EPERM) ends a batch, the rest is sent anew. */
static void send_raw(const struct flood *f, size_t at, size_t n)
{
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	size_t done = 0;

	memset(m, 0, sizeof(m));
	for (size_t i = 0; i < n; i++) {
		struct packet *p = &f->packets[(at + i) % f->n];

		v[i] = (struct iovec){ p->bytes, p->len };
		m[i].msg_hdr = (struct msghdr){ .msg_name = &p->to, .msg_iov = &v[i], .msg_iovlen = 1,
			.msg_namelen = f->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6) };
	}
	while (done < n) {
		int sent = sendmmsg(f->raw, m + done, (unsigned)(n - done), 0);

		if (sent < 0 && errno != EPERM && errno != ENOBUFS)
			fail("send");
		done += sent > 0 ? (size_t)sent : 1;
	}
}

static void send_tun(const struct flood *f, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct packet *p = &f->packets[(at + i) % f->n];

		if (write(f->tun, p->bytes, p->len) != (ssize_t)p->len)
			fail("tun0");
	}
}

static double spent(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct flood f = { 0 };
	double seconds, begin, end;
	size_t n = 0;
	bool out;

	if (argc != 4 || (strcmp(argv[1], "out") && strcmp(argv[1], "in"))) {
		fputs("usage: flood out|in FILE SECONDS\n", stderr);
		return 64;
	}
	out = !strcmp(argv[1], "out");
	seconds = atof(argv[3]);
	packets_read(&f, argv[2]);
	open_raw(&f);
	open_tun(&f);
	begin = spent();
	do {
		if (out)
			send_raw(&f, n, BATCH);
		else
			send_tun(&f, n, BATCH);
		n += BATCH;
		end = spent();
	} while (end - begin < seconds);
	printf("%.1f\n", (end - begin) / (double)n * 1e9);
	close(f.raw);
	close(f.tun);
	free(f.packets);
	return 0;
}
