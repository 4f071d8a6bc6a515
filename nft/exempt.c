#include "nft/exempt.h"

#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "nft/ruleset.h"
#include "schema/facts.h"

#define ANY_PORT	0
#define PRIORITY	-10		/* "filter - 10": before a firewall's own chains */
#define CT_ESTABLISHED	2u

const struct exempt_port exempt_ike[EXEMPT_N_IKE] = {
	{ 0, IPPROTO_UDP, 500, ANY_PORT, "IKE" },
	{ 0, IPPROTO_UDP, 4500, ANY_PORT, "IKE and ESP behind NAT" },
};
/* Source or destination: who can choose a source port gets past every filter.
 * That is what levels 0 and 2 mean. */
const struct exempt_port exempt_level[EXEMPT_N_LEVEL] = {
	{ 0, IPPROTO_RSVP, ANY_PORT, ANY_PORT, "RSVP" },
	{ 0, IPPROTO_TCP, 88, ANY_PORT, "Kerberos" },
	{ 0, IPPROTO_TCP, ANY_PORT, 88, "Kerberos" },
	{ 0, IPPROTO_UDP, 88, ANY_PORT, "Kerberos" },
	{ 0, IPPROTO_UDP, ANY_PORT, 88, "Kerberos" },
};
const struct exempt_port exempt_dhcp_in[EXEMPT_N_DHCP] = {
	{ AF_INET, IPPROTO_UDP, 68, 67, "DHCP answers" },
	{ AF_INET6, IPPROTO_UDP, 546, 547, "DHCPv6 answers" },
};
const struct exempt_port exempt_dhcp_out[EXEMPT_N_DHCP] = {
	{ AF_INET, IPPROTO_UDP, 67, 68, "DHCP" },
	{ AF_INET6, IPPROTO_UDP, 547, 546, "DHCPv6" },
};
const struct exempt_port exempt_dc[EXEMPT_N_DC] = {
	{ 0, 0, 53, ANY_PORT, "DNS" },
	{ 0, 0, 88, ANY_PORT, "Kerberos" },
	{ 0, 0, 389, ANY_PORT, "LDAP" },
	{ 0, 0, 464, ANY_PORT, "Kerberos passwords" },
	{ 0, 0, 636, ANY_PORT, "LDAP over TLS" },
};

bool exempt_level_ports(unsigned level)
{
	return level == 0 || level == 2;
}

static struct rs_chain *base_add(struct ruleset *r, const char *name, enum rs_hook hook, const char *comment)
{
	struct rs_chain *c = rs_chain_add(r, name, comment);

	if (c) {
		c->hook = hook;
		c->priority = PRIORITY;
		c->type = "filter";
	}
	return c;
}

void bases_render(struct ruleset *r, struct rs_chain *base[static ACT_N_HOOKS])
{
	base[ACT_IN] = base_add(r, "input", RS_HOOK_INPUT, "packets to this host");
	base[ACT_FORWARD] = base_add(r, "forward", RS_HOOK_FORWARD, "packets routed through this host");
	base[ACT_OUT] = base_add(r, "postrouting", RS_HOOK_POSTROUTING,
	    "packets of this host, once it is known whether IPsec protects them");
}

void jump_render(struct ruleset *r, struct rs_chain *c, const char *to)
{
	struct rs_rule *rule = rs_rule_add(r, c);

	if (rule)
		rule->counter = false;
	rs_rule_end(r, rule, RS_JUMP, to, "");
}

/* proto [dport N | sport N] accept */
static void accept_ports(struct ruleset *r, struct rs_chain *c, const struct exempt_port *p, bool swapped)
{
	const unsigned dport = swapped ? p->sport : p->dport, sport = swapped ? p->dport : p->sport;
	struct rs_rule *rule = rs_rule_add(r, c);

	rs_match_num(r, rule, RS_L4PROTO, RS_EQ, p->protocol, 0);
	if (dport)
		rs_match_num(r, rule, RS_DPORT, RS_EQ, dport, 0);
	if (sport)
		rs_match_num(r, rule, RS_SPORT, RS_EQ, sport, 0);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, p->comment);
}

static void accept_daddr_type(struct ruleset *r, struct rs_chain *c, unsigned type, const char *comment)
{
	struct rs_rule *rule = rs_rule_add(r, c);

	rs_match_num(r, rule, RS_DADDR_TYPE, RS_EQ, type, 0);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, comment);
}

void loopback_render(struct ruleset *r, struct rs_chain *in, struct rs_chain *out)
{
	struct rs_rule *rule = rs_rule_add(r, in);

	rs_match_num(r, rule, RS_IIF, RS_EQ, 1, 0);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, "loopback");
	rule = rs_rule_add(r, out);
	rs_match_num(r, rule, RS_OIF, RS_EQ, 1, 0);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, "loopback");
}

/* RFC 4861: router and neighbour solicitation and advertisement, never routed. */
void neighbour_render(struct ruleset *r, struct rs_chain *c)
{
	struct rs_rule *rule = rs_rule_add(r, c);

	rs_match_num(r, rule, RS_NFPROTO, RS_EQ, AF_INET6, 0);
	rs_match_num(r, rule, RS_L4PROTO, RS_EQ, IPPROTO_ICMPV6, 0);
	rs_match_num(r, rule, RS_ICMP6_TYPE, RS_RANGE, EXEMPT_ND_LO, EXEMPT_ND_HI);
	rs_match_num(r, rule, RS_HOPLIMIT6, RS_EQ, 255, 0);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, "neighbour discovery");
}

static void wide_render(struct ruleset *r, struct rs_chain *c)
{
	accept_daddr_type(r, c, RTN_BROADCAST, "broadcast");
	accept_daddr_type(r, c, RTN_MULTICAST, "multicast");
}

static void level_render(struct ruleset *r, struct rs_chain *c, unsigned level, bool inbound)
{
	if (level < 2 && !inbound)
		wide_render(r, c);
	for (int i = 0; exempt_level_ports(level) && i < EXEMPT_N_LEVEL; i++)
		accept_ports(r, c, &exempt_level[i], false);
}

void exempt_render(struct ruleset *r, unsigned level)
{
	static const struct exempt_port esp = { 0, IPPROTO_ESP, ANY_PORT, ANY_PORT, "ESP" };
	static const struct exempt_port ah = { 0, IPPROTO_AH, ANY_PORT, ANY_PORT, "AH" };
	struct rs_chain *in = rs_chain_add(r, EXEMPT_IN, "before all filters");
	struct rs_chain *out = rs_chain_add(r, EXEMPT_OUT, "before all filters");

	loopback_render(r, in, out);
	for (int i = 0; i < 2; i++) {
		struct rs_chain *c = i ? out : in;

		for (int k = 0; k < EXEMPT_N_IKE; k++)
			accept_ports(r, c, &exempt_ike[k], i);
		accept_ports(r, c, &esp, false);
		accept_ports(r, c, &ah, false);
		neighbour_render(r, c);
		level_render(r, c, level, !i);
	}
	wide_render(r, rs_chain_add(r, EXEMPT_WIDE, "inbound, at every level"));
}

/* ---- lifeline ---- */

static void server_add(struct ruleset *r, struct rs_set *s, const struct ip_addr *a, unsigned port, const char *comment)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };
	const size_t len = a->family == AF_INET ? 4 : 16;
	uint8_t key[RS_KEY_MAX] = { 0 };
	struct rs_element *e;

	memcpy(key, a->b, len);
	rs_num_put(key + len + 4, RS_DPORT, port);
	for (int i = 0; i < 2; i++) {
		key[len] = protos[i];
		e = rs_element_add(r, s, key);
		if (e)
			e->comment = comment;
	}
}

static bool is_fact(const struct host_facts *f, enum fact_kind kind, const struct ip_addr *a)
{
	for (size_t i = 0; i < f->n_addrs[kind]; i++)
		if (!ip_addr_cmp(&f->addrs[kind][i], a))
			return true;
	return false;
}

static void servers_add(struct ruleset *r, struct rs_set *s, const struct host_facts *f, uint8_t family)
{
	static const char *const comments[EXEMPT_N_DC] = { "domain controller: DNS", "domain controller: Kerberos",
		"domain controller: LDAP", "domain controller: Kerberos passwords", "domain controller: LDAP over TLS" };

	for (size_t i = 0; i < f->n_addrs[FACT_DC]; i++)
		for (size_t k = 0; k < EXEMPT_N_DC; k++)
			if (f->addrs[FACT_DC][i].family == family)
				server_add(r, s, &f->addrs[FACT_DC][i], exempt_dc[k].dport, comments[k]);
	for (size_t i = 0; i < f->n_addrs[FACT_DNS]; i++)
		if (f->addrs[FACT_DNS][i].family == family && !is_fact(f, FACT_DC, &f->addrs[FACT_DNS][i]))
			server_add(r, s, &f->addrs[FACT_DNS][i], exempt_dc[0].dport, "DNS server");
}

static bool has_family(const struct host_facts *f, uint8_t family)
{
	for (size_t i = 0; i < f->n_addrs[FACT_DC]; i++)
		if (f->addrs[FACT_DC][i].family == family)
			return true;
	for (size_t i = 0; i < f->n_addrs[FACT_DNS]; i++)
		if (f->addrs[FACT_DNS][i].family == family)
			return true;
	return false;
}

static void servers_render(struct ruleset *r, struct rs_chain *in, struct rs_chain *out, const struct host_facts *f,
    uint8_t family)
{
	const bool v4 = family == AF_INET;
	struct rs_lookup l = { .set = v4 ? "lifeline4" : "lifeline6", .n_keys = 3 };
	struct rs_set *s;
	struct rs_rule *rule;

	if (!has_family(f, family))
		return;
	l.keys[1] = (struct rs_key){ RS_L4PROTO, 8 };
	l.keys[0] = (struct rs_key){ v4 ? RS_DADDR4 : RS_DADDR6, v4 ? 32 : 128 };
	l.keys[2] = (struct rs_key){ RS_DPORT, 16 };
	s = rs_set_add(r, &l, false, "servers this host cannot do without");
	servers_add(r, s, f, family);
	rule = rs_rule_add(r, out);
	rs_match_num(r, rule, RS_NFPROTO, RS_EQ, family, 0);
	rs_match_set(r, rule, &l);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, "to the servers");

	l.keys[0].field = v4 ? RS_SADDR4 : RS_SADDR6;
	l.keys[2].field = RS_SPORT;
	rule = rs_rule_add(r, in);
	rs_match_num(r, rule, RS_NFPROTO, RS_EQ, family, 0);
	rs_match_set(r, rule, &l);
	rs_match_num(r, rule, RS_CT_STATE, RS_BITS, CT_ESTABLISHED, 0);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, "answers of the servers");
}

static void dhcp_rule(struct ruleset *r, struct rs_chain *c, const struct exempt_port *p)
{
	struct rs_rule *rule = rs_rule_add(r, c);

	rs_match_num(r, rule, RS_NFPROTO, RS_EQ, p->family, 0);
	rs_match_num(r, rule, RS_L4PROTO, RS_EQ, p->protocol, 0);
	rs_match_num(r, rule, RS_DPORT, RS_EQ, p->dport, 0);
	rs_match_num(r, rule, RS_SPORT, RS_RANGE, p->sport, p->sport);	/* see rs_match_num */
	rs_rule_end(r, rule, RS_ACCEPT, NULL, p->comment);
}

void dhcp_render(struct ruleset *r, struct rs_chain *in, struct rs_chain *out)
{
	for (int i = 0; i < EXEMPT_N_DHCP; i++)
		dhcp_rule(r, in, &exempt_dhcp_in[i]);
	for (int i = 0; i < EXEMPT_N_DHCP; i++)
		dhcp_rule(r, out, &exempt_dhcp_out[i]);
}

void lifeline_render(struct ruleset *r, const struct host_facts *facts)
{
	struct rs_chain *in = rs_chain_add(r, LIFELINE_IN, "what must never be cut off");
	struct rs_chain *out = rs_chain_add(r, LIFELINE_OUT, "what must never be cut off");

	servers_render(r, in, out, facts, AF_INET);
	servers_render(r, in, out, facts, AF_INET6);
	dhcp_render(r, in, out);
}

/* ---- beside the base chains ---- */

/* Multicast listener reports and packets that a tunnel device wrapped keep that
 * device as their input, so the source address has to tell: it is ours, or there is
 * none yet. */
void routed_render(struct ruleset *r)
{
	static const uint8_t unspecified[16];
	struct rs_chain *c = rs_chain_add(r, ROUTED, "judged when they were forwarded");
	struct rs_rule *rule = rs_rule_add(r, c);

	rs_match_num(r, rule, RS_SADDR_TYPE, RS_EQ, RTN_LOCAL, 0);
	rs_rule_end(r, rule, RS_RETURN, NULL, "our own after all");
	rule = rs_rule_add(r, c);
	rs_match_num(r, rule, RS_NFPROTO, RS_EQ, AF_INET6, 0);
	rs_match_addr(r, rule, RS_SADDR6, unspecified, unspecified);
	rs_rule_end(r, rule, RS_RETURN, NULL, "our own, no address yet");
	rule = rs_rule_add(r, c);
	rs_rule_end(r, rule, RS_ACCEPT, NULL, "forwarded");
}

void dialup_render(struct ruleset *r)
{
	static const uint16_t types[] = { ARPHRD_SLIP, ARPHRD_CSLIP, ARPHRD_SLIP6, ARPHRD_CSLIP6, ARPHRD_PPP,
		ARPHRD_RAWIP, ARPHRD_NONE };
	const struct rs_lookup l = { .set = DIALUP, .n_keys = 1, .keys = { { RS_IIFTYPE, 16 } } };
	struct rs_set *s = rs_set_add(r, &l, false, "PPP, SLIP, mobile broadband, tun");
	uint8_t key[2];

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		rs_num_put(key, RS_IIFTYPE, types[i]);
		rs_element_add(r, s, key);
	}
}
