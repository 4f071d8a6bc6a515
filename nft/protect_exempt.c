/* The IPsec policies that stand before all others, and how any are added. */
#include <netinet/in.h>
#include <string.h>

#include "nft/exempt.h"
#include "nft/protect_parts.h"
#include "schema/err.h"

/* Equal selectors are counted more than once here; what is left of them is for spd_seal. */
#define MAX_ADDED	(4 * SPD_MAX)

static int limit(const struct spread *s, struct err *err)
{
	err_set(err, ERR_LIMIT, "with it there are more than %u IPsec policies", MAX_ADDED);
	return s->rule ? rule_prefix(err, s->rule) : -1;
}

static int nets_add(struct work *w, struct spd_policy *p, const struct spread *s, struct err *err)
{
	struct port_mask sport[PORT_MASKS_MAX], dport[PORT_MASKS_MAX];
	const size_t n_sport = port_masks(sport, &s->sport), n_dport = port_masks(dport, &s->dport);

	if (w->n_added + n_sport * n_dport > MAX_ADDED)
		return limit(s, err);
	w->n_added += n_sport * n_dport;
	for (size_t i = 0; i < n_sport; i++)
		for (size_t k = 0; k < n_dport; k++) {
			p->sel.sport = sport[i].port;
			p->sel.sport_mask = sport[i].mask;
			p->sel.dport = dport[k].port;
			p->sel.dport_mask = dport[k].mask;
			spd_add(w->p->spd, p);
		}
	return 0;
}

int policies_add(struct work *w, const struct spread *s, struct err *err)
{
	struct spd_policy p = s->p;

	for (size_t i = 0; i < s->n_src; i++)
		for (size_t k = 0; k < s->n_dst; k++) {
			memcpy(p.sel.src, s->src[i].addr, sizeof(p.sel.src));
			memcpy(p.sel.dst, s->dst[k].addr, sizeof(p.sel.dst));
			p.sel.src_prefix = s->src[i].prefix;
			p.sel.dst_prefix = s->dst[k].prefix;
			if (nets_add(w, &p, s, err) < 0)
				return -1;
		}
	return 0;
}

/* ---- exemptions ---- */

/* One that passes, of a protocol, from anywhere to anywhere. */
struct pass {
	enum spd_dir		 dir;
	uint8_t			 family, protocol;
	struct net		 src, dst;
	struct ipsec_ports	 sport, dport;
	char			 comment[64];
};

static int pass_add(struct work *w, struct pass *p, struct err *err)
{
	const struct spread s = { .p = { .dir = p->dir, .sel = { .family = p->family, .protocol = p->protocol },
		.priority = SPD_PRIORITY_MIN, .comment = p->comment }, .src = &p->src, .dst = &p->dst, .n_src = 1, .n_dst = 1,
		.sport = p->sport, .dport = p->dport };

	return policies_add(w, &s, err);
}

static struct net host_net(const struct ip_addr *a)
{
	struct net n = { .prefix = a->family == AF_INET ? 32 : 128 };

	memcpy(n.addr, a->b, sizeof(n.addr));
	return n;
}

static int ports_pass(struct work *w, enum spd_dir dir, const struct ip_addr *own, const struct net *peer,
    const struct exempt_port *e, uint8_t protocol, bool swapped, const char *lead, struct err *err)
{
	struct pass p = { .dir = dir, .family = own->family, .protocol = protocol };
	const uint16_t sport = swapped ? e->dport : e->sport, dport = swapped ? e->sport : e->dport;

	p.src = dir == SPD_IN ? *peer : host_net(own);
	p.dst = dir == SPD_IN ? host_net(own) : *peer;
	p.sport = (struct ipsec_ports){ sport, sport };
	p.dport = (struct ipsec_ports){ dport, dport };
	snprintf(p.comment, sizeof(p.comment), "%s%s", lead, e->comment);
	return pass_add(w, &p, err);
}

/* Both ways: to the service, and its answers. */
static int service_pass(struct work *w, const struct ip_addr *own, const struct ip_addr *server, const struct exempt_port *e,
    struct err *err)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	const struct net n = host_net(server);

	for (int i = 0; i < 2; i++)
		if (ports_pass(w, SPD_OUT, own, &n, e, protocols[i], false, "lifeline: ", err) < 0 ||
		    ports_pass(w, SPD_IN, own, &n, e, protocols[i], true, "lifeline: ", err) < 0)
			return -1;
	return 0;
}

static int lifeline_pass(struct work *w, const struct ip_addr *own, struct err *err)
{
	static const struct net any;
	const struct host_facts *f = w->facts;

	for (size_t i = 0; i < f->n_addrs[FACT_DC]; i++)
		for (int k = 0; k < EXEMPT_N_DC; k++)
			if (f->addrs[FACT_DC][i].family == own->family &&
			    service_pass(w, own, &f->addrs[FACT_DC][i], &exempt_dc[k], err) < 0)
				return -1;
	for (size_t i = 0; i < f->n_addrs[FACT_DNS]; i++)
		if (f->addrs[FACT_DNS][i].family == own->family &&
		    service_pass(w, own, &f->addrs[FACT_DNS][i], &exempt_dc[0], err) < 0)
			return -1;
	for (int i = 0; i < EXEMPT_N_DHCP; i++)
		if (exempt_dhcp_in[i].family == own->family &&
		    (ports_pass(w, SPD_IN, own, &any, &exempt_dhcp_in[i], exempt_dhcp_in[i].protocol, false, "lifeline: ", err) < 0 ||
		    ports_pass(w, SPD_OUT, own, &any, &exempt_dhcp_out[i], exempt_dhcp_out[i].protocol, false, "lifeline: ", err) < 0))
			return -1;
	return 0;
}

/* Between this host's own addresses nothing leaves it. */
static int loopback_pass(struct work *w, const struct ip_addr *own, struct err *err)
{
	struct pass in = { .dir = SPD_IN, .family = own->family, .src = host_net(own), .comment = "loopback" };
	struct pass out = { .dir = SPD_OUT, .family = own->family, .dst = host_net(own), .comment = "loopback" };

	return pass_add(w, &in, err) < 0 || pass_add(w, &out, err) < 0 ? -1 : 0;
}

static int own_pass(struct work *w, const struct ip_addr *own, struct err *err)
{
	static const struct net any;

	if (loopback_pass(w, own, err) < 0)
		return -1;
	for (int i = 0; i < EXEMPT_N_IKE; i++)
		if (ports_pass(w, SPD_IN, own, &any, &exempt_ike[i], exempt_ike[i].protocol, false, "", err) < 0 ||
		    ports_pass(w, SPD_OUT, own, &any, &exempt_ike[i], exempt_ike[i].protocol, true, "", err) < 0)
			return -1;
	for (int i = 0; exempt_level_ports(w->o->render.ipsecexempt) && i < EXEMPT_N_LEVEL; i++)
		if (ports_pass(w, SPD_IN, own, &any, &exempt_level[i], exempt_level[i].protocol, false, "", err) < 0 ||
		    ports_pass(w, SPD_OUT, own, &any, &exempt_level[i], exempt_level[i].protocol, false, "", err) < 0)
			return -1;
	return w->o->render.lifeline ? lifeline_pass(w, own, err) : 0;
}

/* What goes to many IPsec cannot protect here: the ruleset decides.  (Inbound no policy is for it.) */
static int wide_pass(struct work *w, uint8_t family, struct err *err)
{
	struct pass multicast = { .dir = SPD_OUT, .family = family, .comment = "multicast" };
	struct pass broadcast = { .dir = SPD_OUT, .family = family, .dst = { { 255, 255, 255, 255 }, 32 }, .comment = "broadcast" };

	multicast.dst = family == AF_INET ? (struct net){ { 224 }, 4 } : (struct net){ { 0xff }, 8 };
	if (pass_add(w, &multicast, err) < 0)
		return -1;
	return family == AF_INET ? pass_add(w, &broadcast, err) : 0;
}

static int neighbour_pass(struct work *w, struct err *err)
{
	struct pass p = { .dir = SPD_IN, .family = AF_INET6, .protocol = IPPROTO_ICMPV6, .sport = { EXEMPT_ND_LO, EXEMPT_ND_HI },
		.comment = "neighbour discovery" };

	if (pass_add(w, &p, err) < 0)
		return -1;
	p.dir = SPD_OUT;
	return pass_add(w, &p, err);
}

int exempt_policies(struct work *w, uint8_t family, struct err *err)
{
	/* The kernel asks no policy about what goes through lo, but for IPv6. */
	static const struct ip_addr localhost = { .family = AF_INET6, .b = { [15] = 1 } };
	const int v = family_index(family);

	if (w->exempted[v])
		return 0;
	w->exempted[v] = true;
	if (wide_pass(w, family, err) < 0 ||
	    (family == AF_INET6 && (neighbour_pass(w, err) < 0 || loopback_pass(w, &localhost, err) < 0)))
		return -1;
	for (size_t i = 0; i < w->n_own[v]; i++)
		if (own_pass(w, &w->own[v][i], err) < 0)
			return -1;
	return 0;
}
