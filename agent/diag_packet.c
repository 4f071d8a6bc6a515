#include "agent/diag_packet.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "nft/judge.h"
#include "nft/nflog.h"
#include "schema/arena.h"
#include "schema/policy.h"
#include "schema/utf.h"

#define HOST_SECONDS	5	/* addresses are looked at again after this */

/* ---- interfaces and addresses ---- */

struct host_if {
	unsigned	index;
	uint16_t	type;		/* ARPHRD_* */
	char		name[IF_NAMESIZE];
};
struct host_addr {
	uint8_t		family, b[16];
	uint32_t	type;		/* RTN_LOCAL, RTN_BROADCAST */
};
struct diag_host {
	struct arena		*arena;
	struct host_if		*ifs;
	struct host_addr	*addrs;
	size_t			 n_ifs, n_addrs;
	int64_t			 taken;		/* CLOCK_MONOTONIC seconds */
};

struct diag_host *diag_host_new(void)
{
	return calloc(1, sizeof(struct diag_host));
}

void diag_host_free(struct diag_host *h)
{
	if (h)
		arena_free(h->arena);
	free(h);
}

static void host_addr_add(struct diag_host *h, const struct sockaddr *sa, uint32_t type)
{
	struct host_addr a = { .family = sa ? (uint8_t)sa->sa_family : 0, .type = type }, *all;

	if (a.family == AF_INET)
		memcpy(a.b, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	else if (a.family == AF_INET6)
		memcpy(a.b, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	else
		return;
	all = arena_grow(h->arena, h->addrs, h->n_addrs, sizeof(*all));
	if (!all)
		return;
	h->addrs = all;
	h->addrs[h->n_addrs++] = a;
}

static void host_if_add(struct diag_host *h, const char *name, const struct sockaddr_ll *ll)
{
	struct host_if *all = arena_grow(h->arena, h->ifs, h->n_ifs, sizeof(*all));

	if (!all)
		return;
	h->ifs = all;
	all[h->n_ifs].index = (unsigned)ll->sll_ifindex;
	all[h->n_ifs].type = ll->sll_hatype;
	snprintf(all[h->n_ifs].name, sizeof(all[0].name), "%s", name);
	h->n_ifs++;
}

/* What cannot be found out is left as it was: then a packet's filter cannot be told, no more. */
static void host_look(struct diag_host *h)
{
	struct ifaddrs *all = NULL;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (h->arena && ts.tv_sec - h->taken < HOST_SECONDS)
		return;
	h->taken = ts.tv_sec;
	if (getifaddrs(&all) < 0)
		return;
	arena_free(h->arena);
	*h = (struct diag_host){ .arena = arena_new(0), .taken = ts.tv_sec };
	for (const struct ifaddrs *i = all; h->arena && i; i = i->ifa_next) {
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_PACKET) {
			host_if_add(h, i->ifa_name, (const struct sockaddr_ll *)(const void *)i->ifa_addr);
			continue;
		}
		host_addr_add(h, i->ifa_addr, RTN_LOCAL);
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && i->ifa_flags & IFF_BROADCAST)
			host_addr_add(h, i->ifa_broadaddr, RTN_BROADCAST);
	}
	freeifaddrs(all);
}

static const struct host_if *host_if(const struct diag_host *h, unsigned index)
{
	for (size_t i = 0; i < h->n_ifs; i++)
		if (h->ifs[i].index == index)
			return &h->ifs[i];
	return NULL;
}

static uint32_t address_type(const struct diag_host *h, uint8_t family, const uint8_t *addr)
{
	static const uint8_t all_ones[4] = { 255, 255, 255, 255 };

	if (family == AF_INET && (addr[0] & 0xf0) == 0xe0)
		return RTN_MULTICAST;
	if (family == AF_INET6 && addr[0] == 0xff)
		return RTN_MULTICAST;
	if (family == AF_INET && addr[0] == 127)
		return RTN_LOCAL;
	if (family == AF_INET && !memcmp(addr, all_ones, 4))
		return RTN_BROADCAST;
	for (size_t i = 0; i < h->n_addrs; i++)
		if (h->addrs[i].family == family && !memcmp(h->addrs[i].b, addr, family == AF_INET ? 4 : 16))
			return h->addrs[i].type;
	return RTN_UNICAST;
}

/* ---- names ---- */

struct name_entry {
	struct guid	 id;		/* of the rule */
	uint8_t		 store;
	const char	*rule, *policy, *gpo;
};
struct diag_names {
	struct arena		*arena;
	struct name_entry	*entries;	/* sorted by id and store */
	size_t			 n;
};

static int name_cmp(const void *a, const void *b)
{
	const struct name_entry *x = a, *y = b;
	int c = guid_cmp(&x->id, &y->id);

	return c ? c : (x->store > y->store) - (x->store < y->store);
}

static bool source_names(struct diag_names *n, const struct render_source *s)
{
	const char *policy = arena_strdup(n->arena, s->policy->name);
	const char *gpo = arena_strdup(n->arena, s->gpo_name ? s->gpo_name : "");

	for (size_t i = 0; i < s->policy->n_rules; i++) {
		const struct ipsec_rule *r = &s->policy->rules[i];
		const char *name = *r->name || !r->filter_list ? r->name : r->filter_list->name;

		n->entries = arena_grow(n->arena, n->entries, n->n, sizeof(*n->entries));
		name = arena_strdup(n->arena, name);
		if (!n->entries || !name)
			return false;
		n->entries[n->n++] = (struct name_entry){ r->id, (uint8_t)s->store, name, policy, gpo };
	}
	return policy && gpo;
}

struct diag_names *diag_names_new(const struct render_source *sources, size_t n_sources)
{
	struct diag_names *n = calloc(1, sizeof(*n));
	bool ok = n && (n->arena = arena_new(0));

	for (size_t i = 0; ok && i < n_sources; i++)
		ok = source_names(n, &sources[i]);
	if (!ok) {
		diag_names_free(n);
		return NULL;
	}
	if (n->n)
		qsort(n->entries, n->n, sizeof(*n->entries), name_cmp);
	return n;
}

void diag_names_free(struct diag_names *n)
{
	if (n)
		arena_free(n->arena);
	free(n);
}

/* Cut at the end of a character, and fit for a terminal. */
static void name_put(char out[static DIAG_NAME], const char *name)
{
	size_t n = strnlen(name, DIAG_NAME - 1);

	while (n && name[n] && ((uint8_t)name[n] & 0xc0) == 0x80)
		n--;
	memcpy(out, name, n);
	out[n] = '\0';
	utf8_clean(out, "");
}

static void names_find(struct diag_drop *d, const struct diag_names *names)
{
	const struct name_entry key = { .id = d->origin.rule, .store = d->origin.store }, *e;

	e = names && names->n ? bsearch(&key, names->entries, names->n, sizeof(key), name_cmp) : NULL;
	if (!e)
		return;
	name_put(d->rule, e->rule);
	name_put(d->policy, e->policy);
	name_put(d->gpo, e->gpo);
}

/* ---- the packet ---- */

bool diag_packet_place(enum act_hook *ret_h, enum drop_kind *ret_k, const struct nflog_packet *p)
{
	return drop_prefix_read(ret_h, ret_k, p->prefix);
}

static void decide(struct diag_drop *d, const struct packet_head *head, const struct nflog_packet *p, const struct ruleset *r,
    const struct diag_host *h)
{
	const struct host_if *in = host_if(h, p->iif), *out = host_if(h, p->oif);
	struct judge_place at = {
		.hook = (enum rs_hook)p->hook, .iif = p->iif, .oif = p->oif,
		.iiftype = in ? in->type : 0, .oiftype = out ? out->type : 0,
		.src_type = address_type(h, d->family, d->src), .dst_type = address_type(h, d->family, d->dst),
	};
	struct judgement j;

	if (!judge_packet(&j, r, head, &at) || j.verdict != RS_DROP || !j.origin)
		return;
	d->origin = *j.origin;
	d->decided = true;
}

bool diag_packet_read(struct diag_drop *ret, const struct nflog_packet *p, const struct ruleset *r, struct diag_host *h,
    const struct diag_names *names)
{
	struct diag_drop d = { .number = ret->number, .time_us = p->time_us };
	const struct host_if *i;
	struct packet_head head;

	if (!diag_packet_place(&d.hook, &d.kind, p))
		return false;
	host_look(h);
	i = host_if(h, d.hook == ACT_OUT ? p->oif : p->iif);
	if (i)
		memcpy(d.interface, i->name, sizeof(d.interface));
	utf8_clean(d.interface, "");
	if (packet_head_parse(&head, p->payload, p->len)) {
		d.family = head.family;
		d.protocol = head.protocol;
		memcpy(d.src, head.src, sizeof(d.src));
		memcpy(d.dst, head.dst, sizeof(d.dst));
		d.ports = packet_has_ports(&head);
		d.sport = packet_sport(&head);
		d.dport = packet_dport(&head);
		if (r && d.kind != DROP_MODE)
			decide(&d, &head, p, r, h);
	}
	if (d.decided)
		names_find(&d, names);
	*ret = d;
	return true;
}

/* ---- words ---- */

const char *diag_direction(const struct diag_drop *d)
{
	return d->hook == ACT_IN ? "inbound" : d->hook == ACT_OUT ? "outbound" : "forward";
}

const char *diag_why(const struct diag_drop *d)
{
	return d->kind == DROP_BLOCK ? "block" : d->kind == DROP_CLEAR ? "clear" : "mode";
}

void diag_addr(const struct diag_drop *d, const uint8_t *addr, char out[static DIAG_ADDR])
{
	if (!d->family || !inet_ntop(d->family, addr, out, DIAG_ADDR))
		strcpy(out, "?");
}

void diag_protocol(const struct diag_drop *d, char out[static 16])
{
	switch (d->family ? d->protocol : -1) {
	case -1:		strcpy(out, "?"); break;
	case IPPROTO_TCP:	strcpy(out, "tcp"); break;
	case IPPROTO_UDP:	strcpy(out, "udp"); break;
	case IPPROTO_ICMP:	strcpy(out, "icmp"); break;
	case IPPROTO_ICMPV6:	strcpy(out, "icmpv6"); break;
	default:		snprintf(out, 16, "%u", d->protocol);
	}
}

static void end_write(const struct diag_drop *d, const uint8_t *addr, uint16_t port, FILE *out)
{
	char text[DIAG_ADDR];

	diag_addr(d, addr, text);
	if (!d->ports)
		fputs(text, out);
	else if (d->family == AF_INET6)
		fprintf(out, "[%s]:%u", text, port);
	else
		fprintf(out, "%s:%u", text, port);
}

void diag_packet_write(const struct diag_drop *d, FILE *out)
{
	char protocol[16];

	diag_protocol(d, protocol);
	fprintf(out, "%s %s ", diag_direction(d), protocol);
	end_write(d, d->src, d->sport, out);
	fputs(" > ", out);
	end_write(d, d->dst, d->dport, out);
	if (*d->interface)
		fprintf(out, " on %s", d->interface);
}
