#include "tests/packets_model.h"

#include <string.h>
#include <sys/socket.h>

#include "schema/facts.h"
#include "schema/policy.h"

/* One filter in one direction. */
struct line {
	const struct ipsec_rule		*rule;
	const struct ipsec_filter	*filter;
	const struct ipsec_addr		*src, *dst;
	struct ipsec_ports		 sport, dport;
	int				 store;
	const struct render_source	*from;
};

static bool families_fit(const struct mk *m, const struct ipsec_filter *f, bool v4)
{
	const int want = v4 ? AF_INET : AF_INET6;

	if (f->src.family == AF_UNSPEC && f->dst.family == AF_UNSPEC)
		return v4 || !m->o.any_is_ipv4;
	return (f->src.family == AF_UNSPEC || f->src.family == want) &&
	    (f->dst.family == AF_UNSPEC || f->dst.family == want);
}

/* Who writes ICMP without a family means the ICMP of each. */
static bool protocol_fits(const struct mk *m, const struct ipsec_filter *f, const struct packet *p)
{
	const bool both = f->src.family == AF_UNSPEC && f->dst.family == AF_UNSPEC && !m->o.any_is_ipv4;

	if (!f->protocol)
		return true;
	if (both && f->protocol == 1)
		return p->proto == (p->v4 ? 1 : 58);
	if (both && f->protocol == 58 && p->v4)
		return false;
	return f->protocol == p->proto;
}

static bool addr_in(const uint8_t *a, const struct ipsec_addr *n, int len)
{
	return memcmp(a, n->lo, (size_t)len) >= 0 && memcmp(a, n->hi, (size_t)len) <= 0;
}

static bool net_in(const uint8_t *a, const struct ipsec_addr *n)
{
	for (int bit = 0; bit < n->prefix; bit++)
		if ((a[bit / 8] ^ n->lo[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool is_server(const struct mk *m, enum fact_kind k, const uint8_t *a, bool v4)
{
	const struct ip_addr *l = m->facts->addrs[k];

	for (size_t i = 0; i < m->facts->n_addrs[k]; i++)
		if ((l[i].family == AF_INET) == v4 && !memcmp(l[i].b, a, v4 ? 4 : 16))
			return true;
	return false;
}

/* me_here: whether "me" can be meant on this side at this hook, and is. */
static bool side_fits(const struct mk *m, const struct ipsec_addr *s, const uint8_t *a, bool v4, bool me_here)
{
	switch (s->kind) {
	case IPSEC_ADDR_ANY: return true;
	case IPSEC_ADDR_ME: return me_here;
	case IPSEC_ADDR_NET: return net_in(a, s);
	case IPSEC_ADDR_RANGE: return addr_in(a, s, v4 ? 4 : 16);
	case IPSEC_ADDR_DNS: return is_server(m, FACT_DNS, a, v4);
	case IPSEC_ADDR_WINS: return is_server(m, FACT_WINS, a, v4);
	case IPSEC_ADDR_DHCP: return is_server(m, FACT_DHCP, a, v4);
	case IPSEC_ADDR_GATEWAY: return is_server(m, FACT_GATEWAY, a, v4);
	}
	return false;
}

static bool port_fits(const struct ipsec_ports *s, uint16_t port)
{
	return (s->lo == 0 && s->hi == 0) || (port >= s->lo && port <= s->hi);
}

static bool line_fits(const struct mk *m, const struct line *l, const struct packet *p)
{
	if (!families_fit(m, l->filter, p->v4))
		return false;
	if (l->rule->conntype == IPSEC_CONN_LAN && p->dialup)
		return false;
	if (l->rule->conntype == IPSEC_CONN_DIALUP && !p->dialup)
		return false;
	if (!protocol_fits(m, l->filter, p))
		return false;
	if (!side_fits(m, l->src, p->src, p->v4, p->way == WAY_OUT && p->src_local) ||
	    !side_fits(m, l->dst, p->dst, p->v4, p->way == WAY_IN && p->dst_local))
		return false;
	return port_fits(&l->sport, p->sport) && port_fits(&l->dport, p->dport);
}

/* ---- comparing two that match ---- */

static int log2_floor(const uint8_t *lo, const uint8_t *hi, int len)
{
	unsigned __int128 a = 0, b = 0, n;
	int r = 0;

	for (int i = 0; i < len; i++) {
		a = a << 8 | lo[i];
		b = b << 8 | hi[i];
	}
	n = b - a;
	if (n == ~(unsigned __int128)0)
		return 128;
	for (n++; n > 1; n >>= 1)
		r++;
	return r;
}

static int addr_length(const struct ipsec_addr *s, bool v4)
{
	switch (s->kind) {
	case IPSEC_ADDR_ANY: return 0;
	case IPSEC_ADDR_NET: return s->prefix;
	case IPSEC_ADDR_RANGE: return (v4 ? 32 : 128) - log2_floor(s->lo, s->hi, v4 ? 4 : 16);
	default: return v4 ? 32 : 128;
	}
}

static bool given(const struct ipsec_ports *p)
{
	return p->lo || p->hi;
}

static int port_width(const struct ipsec_ports *p)
{
	int n = p->hi - p->lo + 1, r = 0;

	if (!given(p))
		return 0;
	for (; n > 1; n /= 2)
		r++;
	return 16 - r;
}

static bool has_range(const struct line *l)
{
	return l->src->kind == IPSEC_ADDR_RANGE || l->dst->kind == IPSEC_ADDR_RANGE ||
	    l->sport.lo != l->sport.hi || l->dport.lo != l->dport.hi;
}

static int severity(const struct line *l)
{
	switch (l->rule->negpol->action) {
	case IPSEC_BLOCK: return 3;
	case IPSEC_NEGOTIATE: return 2;
	default: return l->rule->tunnel ? 2 : 1;
	}
}

/* > 0: a decides rather than b. */
static int better(const struct line *a, const struct line *b, const struct packet *p)
{
	const bool in = p->way == WAY_IN;
	int x, y;

	if ((x = a->rule->tunnel - b->rule->tunnel))
		return x;
	x = addr_length(a->src, p->v4) + addr_length(a->dst, p->v4);
	y = addr_length(b->src, p->v4) + addr_length(b->dst, p->v4);
	if (x != y)
		return x - y;
	x = addr_length(in ? a->dst : a->src, p->v4);
	y = addr_length(in ? b->dst : b->src, p->v4);
	if (x != y)
		return x - y;
	if ((x = (a->filter->protocol != 0) - (b->filter->protocol != 0)))
		return x;
	if ((x = given(&a->sport) + given(&a->dport) - given(&b->sport) - given(&b->dport)))
		return x;
	if ((x = port_width(&a->sport) + port_width(&a->dport) - port_width(&b->sport) - port_width(&b->dport)))
		return x;
	if ((x = port_width(in ? &a->dport : &a->sport) - port_width(in ? &b->dport : &b->sport)))
		return x;
	if ((x = (a->rule->conntype != IPSEC_CONN_ALL) - (b->rule->conntype != IPSEC_CONN_ALL)))
		return x;
	if ((x = has_range(b) - has_range(a)))
		return x;
	if ((x = (b->src->kind == IPSEC_ADDR_ME || b->dst->kind == IPSEC_ADDR_ME) -
	    (a->src->kind == IPSEC_ADDR_ME || a->dst->kind == IPSEC_ADDR_ME)))
		return x;
	if ((x = a->store - b->store) || (x = severity(a) - severity(b)) ||
	    (x = guid_cmp(&b->filter->id, &a->filter->id)))
		return x;
	return guid_cmp(&b->rule->id, &a->rule->id);
}

static bool decide(const struct mk *m, struct line *best, const struct packet *p)
{
	bool found = false;

	for (size_t s = 0; s < m->n_sources; s++)
		for (size_t i = 0; i < m->policies[s]->n_rules; i++) {
			const struct ipsec_rule *r = &m->policies[s]->rules[i];

			if (!r->active || r->default_response)
				continue;
			for (size_t k = 0; k < r->filter_list->n_filters; k++) {
				const struct ipsec_filter *f = &r->filter_list->filters[k];
				struct line l = { r, f, &f->src, &f->dst, f->src_port, f->dst_port, (int)m->sources[s].store,
					&m->sources[s] };

				for (int swapped = 0; swapped <= f->mirrored; swapped++) {
					if (swapped)
						l = (struct line){ r, f, &f->dst, &f->src, f->dst_port, f->src_port, l.store, l.from };
					if (line_fits(m, &l, p) && (!found || better(&l, best, p) > 0)) {
						*best = l;
						found = true;
					}
				}
			}
		}
	return found;
}

/* ---- before the filters ---- */

static bool port_is(const struct packet *p, uint16_t port)
{
	return p->sport == port || p->dport == port;
}

static bool exempt(const struct mk *m, const struct packet *p)
{
	const uint16_t ike = p->way == WAY_IN ? p->dport : p->sport;
	const unsigned level = m->o.ipsecexempt;

	if (p->way == WAY_FORWARD)
		return false;
	if (p->proto == 17 && (ike == 500 || ike == 4500))
		return true;
	if (p->proto == 50 || p->proto == 51)
		return true;
	if (!p->v4 && p->proto == 58 && p->icmp_type >= 133 && p->icmp_type <= 136)
		return true;
	if (p->dst_wide && (p->way == WAY_IN || level < 2))
		return true;
	if (level % 2)
		return false;
	return p->proto == 46 || ((p->proto == 6 || p->proto == 17) && port_is(p, 88));
}

static bool lifeline(const struct mk *m, const struct packet *p)
{
	const bool out = p->way == WAY_OUT;
	const uint8_t *server = out ? p->dst : p->src;
	const uint16_t port = out ? p->dport : p->sport;
	bool dc = is_server(m, FACT_DC, server, p->v4), dns = is_server(m, FACT_DNS, server, p->v4);

	if (!m->o.lifeline || p->way == WAY_FORWARD || (p->proto != 6 && p->proto != 17))
		return false;
	if (p->proto == 17 && port == (p->v4 ? 67 : 547) && (out ? p->sport : p->dport) == (p->v4 ? 68 : 546))
		return true;
	if (!out && !p->answer)
		return false;
	if (port == 53)
		return dc || dns;
	return dc && (port == 88 || port == 464 || port == 389 || port == 636);
}

/* In clear, as all packets of this test are. */
static enum fate negotiate_fate(const struct line *l, const struct packet *p)
{
	const struct ipsec_negpol *n = l->rule->negpol;
	bool in_ok = n->inpass || (n->soft && p->answer), out_ok = n->soft;

	if (l->rule->tunnel)
		in_ok = out_ok = false;
	switch (p->way) {
	case WAY_IN: return in_ok ? FATE_PASS : FATE_DROP;
	case WAY_OUT: return out_ok ? FATE_PASS : FATE_DROP;
	default: return in_ok && out_ok ? FATE_PASS : FATE_DROP;
	}
}

enum fate model_fate(const struct mk *m, const struct packet *p, const char **why, struct rs_origin *who)
{
	struct line l;

	memset(who, 0, sizeof(*who));
	*why = "exempt";
	if (exempt(m, p))
		return FATE_PASS;
	*why = "lifeline";
	if (lifeline(m, p))
		return FATE_PASS;
	*why = "none";
	if (!decide(m, &l, p))
		return FATE_PASS;
	*who = (struct rs_origin){ l.filter->id, l.rule->id, l.from->gpo, (uint8_t)l.store };
	*why = l.rule->tunnel ? "tunnel" : ipsec_action_name(l.rule->negpol->action);
	if (l.rule->negpol->action == IPSEC_BLOCK)
		return FATE_DROP;
	if (l.rule->negpol->action == IPSEC_PERMIT && !l.rule->tunnel)
		return FATE_PASS;
	if (!l.rule->tunnel)
		*why = l.rule->negpol->inpass ? l.rule->negpol->soft ? "request+pass" : "pass-through" :
		    l.rule->negpol->soft ? "request" : "require";
	return negotiate_fate(&l, p);
}
