#include "agent/dynamic_rule.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "agent/netsh.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"

#define MAX_AUTH	32

/* ---- what identifies a rule ---- */

static bool one_address(const struct ipsec_addr *a)
{
	return a->kind == IPSEC_ADDR_NET && a->prefix == ipsec_addr_bits(a->family);
}

static int side_parse(struct ipsec_addr *ret, const struct netsh_args *a, const char *tag, const char *mask_tag, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, tag), *mask = netsh_arg(a, mask_tag);

	if (!v)
		return err_set(err, ERR_FORMAT, "'%s' is missing", tag);
	if (v->host)
		return err_set(err, ERR_FORMAT, "'%s': '%s' is a name that was not looked up", tag, v->host);
	*ret = v->addr;
	if (!mask)
		return 0;
	if (one_address(&v->addr)) {
		if (!ipsec_addr_net(ret, v->addr.family, v->addr.lo, mask->number > 255 ? 255 : (unsigned)mask->number))
			return err_set(err, ERR_FORMAT, "'%s': a prefix of %llu is too long for '%s'", mask_tag,
			    (unsigned long long)mask->number, v->text);
		return 0;
	}
	if ((v->addr.kind == IPSEC_ADDR_ANY && mask->number == 0) || (v->addr.kind == IPSEC_ADDR_ME && mask->number == 32))
		return 0;
	return err_set(err, ERR_FORMAT, "'%s' goes with one address, not with '%s'", mask_tag, v->text);
}

static bool is_server(const struct ipsec_addr *a)
{
	return a->kind == IPSEC_ADDR_DNS || a->kind == IPSEC_ADDR_WINS || a->kind == IPSEC_ADDR_DHCP ||
	    a->kind == IPSEC_ADDR_GATEWAY;
}

static int sides_check(const struct ipsec_filter *f, struct err *err)
{
	if (is_server(&f->src) && f->dst.kind != IPSEC_ADDR_ME)
		return err_set(err, ERR_FORMAT, "'srcaddr' is a kind of server: 'dstaddr' must be me");
	if (is_server(&f->dst) && f->src.kind != IPSEC_ADDR_ME)
		return err_set(err, ERR_FORMAT, "'dstaddr' is a kind of server: 'srcaddr' must be me");
	if (f->src.kind == IPSEC_ADDR_ME && f->dst.kind == IPSEC_ADDR_ME)
		return err_set(err, ERR_FORMAT, "'srcaddr' and 'dstaddr' are both me: nothing would be filtered");
	return 0;
}

static uint64_t number_of(const struct netsh_args *a, const char *tag, uint64_t otherwise)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	return v ? v->number : otherwise;
}

static int tunnel_parse(struct dynamic_rule *r, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, "tunneldstaddress");

	if (!v || (!v->host && v->addr.kind == IPSEC_ADDR_ANY))	/* "none" */
		return 0;
	if (v->host)
		return err_set(err, ERR_FORMAT, "'tunneldstaddress': '%s' is a name that was not looked up", v->host);
	if (!one_address(&v->addr))
		return err_set(err, ERR_FORMAT, "'tunneldstaddress': '%s' is not one address", v->text);
	r->tunnel = true;
	r->tunnel_end = v->addr;
	return 0;
}

int dynamic_rule_key(struct dynamic_rule *ret, const struct netsh_args *a, struct err *err)
{
	struct dynamic_rule r = { .inbound = IPSEC_NEGOTIATE, .outbound = IPSEC_NEGOTIATE };
	struct ipsec_filter *f = &r.filter;
	const struct netsh_value *mirrored = netsh_arg(a, "mirrored"), *conn = netsh_arg(a, "conntype");

	f->description = f->src_dns = f->dst_dns = "";
	if (side_parse(&f->src, a, "srcaddr", "srcmask", err) < 0 || side_parse(&f->dst, a, "dstaddr", "dstmask", err) < 0 ||
	    tunnel_parse(&r, a, err) < 0)
		return -1;
	f->protocol = (uint8_t)number_of(a, "protocol", 0);
	f->src_port.lo = f->src_port.hi = (uint16_t)number_of(a, "srcport", 0);
	f->dst_port.lo = f->dst_port.hi = (uint16_t)number_of(a, "dstport", 0);
	f->mirrored = mirrored ? mirrored->yes : true;
	if (conn)
		r.conntype = netsh_word_is(conn, "lan") ? IPSEC_CONN_LAN :
		    netsh_word_is(conn, "dialup") ? IPSEC_CONN_DIALUP : IPSEC_CONN_ALL;
	if (sides_check(f, err) < 0 || ipsec_filter_check(f, err) < 0)
		return -1;
	*ret = r;
	return 0;
}

static bool addr_same(const struct ipsec_addr *a, const struct ipsec_addr *b)
{
	return a->kind == b->kind && a->family == b->family && a->prefix == b->prefix &&
	    !memcmp(a->lo, b->lo, sizeof(a->lo)) && !memcmp(a->hi, b->hi, sizeof(a->hi));
}

bool dynamic_rule_same(const struct dynamic_rule *a, const struct dynamic_rule *b)
{
	const struct ipsec_filter *f = &a->filter, *g = &b->filter;

	return f->protocol == g->protocol && f->mirrored == g->mirrored && addr_same(&f->src, &g->src) &&
	    addr_same(&f->dst, &g->dst) && f->src_port.lo == g->src_port.lo && f->src_port.hi == g->src_port.hi &&
	    f->dst_port.lo == g->dst_port.lo && f->dst_port.hi == g->dst_port.hi && a->conntype == b->conntype &&
	    a->tunnel == b->tunnel && addr_same(&a->tunnel_end, &b->tunnel_end);
}

/* ---- what may change in it ---- */

static enum ipsec_action action_of(const struct netsh_value *v)
{
	return netsh_word_is(v, "permit") ? IPSEC_PERMIT : netsh_word_is(v, "block") ? IPSEC_BLOCK : IPSEC_NEGOTIATE;
}

/* 1: a method; 0: not one ("kerberos=no" too). */
static int auth_of(struct ipsec_auth *ret, struct arena *to, const struct netsh_value *v, struct err *err)
{
	const char *text;

	*ret = (struct ipsec_auth){ .text = "" };
	if (!strcmp(v->tag->name, "kerberos")) {
		ret->method = IPSEC_AUTH_KERBEROS;
		return v->yes;
	}
	if (!strcmp(v->tag->name, "psk")) {
		ret->method = IPSEC_AUTH_PSK;
		text = v->text;
	} else if (!strcmp(v->tag->name, "rootca")) {
		ret->method = IPSEC_AUTH_CERT;
		ret->map_account = v->ca.map_account;
		ret->exclude_ca = v->ca.exclude_ca;
		text = v->ca.name;
	} else {
		return 0;
	}
	if (!*text || !utf8_valid(text))
		return err_set(err, ERR_FORMAT, "'%s' is %s", v->tag->name, *text ? "not UTF-8" : "empty");
	ret->text = arena_strdup(to, text);
	return ret->text ? 1 : err_nomem(err);
}

static int auth_edit(struct dynamic_rule *r, struct arena *to, const struct netsh_args *a, struct err *err)
{
	struct ipsec_auth list[MAX_AUTH];
	bool given = false;
	size_t n = 0;
	int one;

	for (size_t i = 0; i < a->n_values; i++) {
		const char *tag = a->values[i].tag->name;

		given |= !strcmp(tag, "kerberos") || !strcmp(tag, "psk") || !strcmp(tag, "rootca");
		if (n == MAX_AUTH)
			return err_set(err, ERR_LIMIT, "more than %d authentication methods", MAX_AUTH);
		one = auth_of(&list[n], to, &a->values[i], err);
		if (one < 0)
			return -1;
		n += (size_t)one;
	}
	if (!given)
		return 0;
	r->auth = n ? arena_memdup(to, list, n * sizeof(list[0])) : NULL;
	r->n_auth = n;
	return n && !r->auth ? err_nomem(err) : 0;
}

static int name_edit(const char **ret, struct arena *to, const struct netsh_args *a, const char *tag, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	if (!v)
		return 0;
	*ret = arena_strdup(to, v->text);
	return *ret ? 0 : err_nomem(err);
}

int dynamic_rule_edit(struct dynamic_rule *r, struct arena *to, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *in = netsh_arg(a, "actioninbound"), *out = netsh_arg(a, "actionoutbound");

	if (in)
		r->inbound = action_of(in);
	if (out)
		r->outbound = action_of(out);
	if (name_edit(&r->mm, to, a, "mmpolicy", err) < 0 || name_edit(&r->qm, to, a, "qmpolicy", err) < 0)
		return -1;
	return auth_edit(r, to, a, err);
}

int dynamic_rule_check(const struct dynamic_rule *r, const struct dynamic *d, struct err *err)
{
	const bool negotiates = r->inbound == IPSEC_NEGOTIATE || r->outbound == IPSEC_NEGOTIATE;

	if (r->mm && !dynamic_mm(d, r->mm))
		return err_set(err, ERR_ABSENT, "'mmpolicy': there is no main mode policy '%s'", r->mm);
	if (r->qm && !dynamic_qm(d, r->qm))
		return err_set(err, ERR_ABSENT, "'qmpolicy': there is no quick mode policy '%s'", r->qm);
	if (negotiates && (!r->mm || !r->qm))
		return err_set(err, ERR_FORMAT, "'%s' is missing: a rule that negotiates needs a main mode and a quick mode policy",
		    r->mm ? "qmpolicy" : "mmpolicy");
	if (negotiates && !r->n_auth)
		return err_set(err, ERR_FORMAT, "a rule that negotiates needs an authentication method: kerberos, psk or rootca");
	/* The renderer would make "permit" through a tunnel a demand for protection. */
	if (r->tunnel && (r->inbound == IPSEC_PERMIT || r->outbound == IPSEC_PERMIT))
		return err_set(err, ERR_FORMAT, "a rule with 'tunneldstaddress' cannot permit: negotiate or block");
	return 0;
}

/* ---- as a value ---- */

static const char *maybe_strdup(struct arena *to, const char *s, bool *ok)
{
	const char *copy = s ? arena_strdup(to, s) : NULL;

	*ok &= !s || copy;
	return copy;
}

int dynamic_rule_copy(struct dynamic_rule *ret, struct arena *to, const struct dynamic_rule *of)
{
	bool ok = true;

	*ret = *of;
	ret->mm = maybe_strdup(to, of->mm, &ok);
	ret->qm = maybe_strdup(to, of->qm, &ok);
	ret->auth = of->n_auth ? arena_memdup(to, of->auth, of->n_auth * sizeof(*of->auth)) : NULL;
	if (of->n_auth && !ret->auth)
		return -1;
	for (size_t i = 0; i < of->n_auth; i++)
		ret->auth[i].text = maybe_strdup(to, of->auth[i].text, &ok);
	return ok ? 0 : -1;
}

static void port_text(char out[static 8], const struct ipsec_ports *p)
{
	if (ipsec_ports_any(p))
		strcpy(out, "*");
	else
		snprintf(out, 8, "%u", p->lo);
}

void dynamic_rule_text(const struct dynamic_rule *r, char out[static DYNAMIC_RULE_TEXT])
{
	char src[IPSEC_ADDR_TEXT], dst[IPSEC_ADDR_TEXT], end[IPSEC_ADDR_TEXT], sport[8], dport[8];
	const struct ipsec_filter *f = &r->filter;
	size_t n;

	ipsec_addr_text(&f->src, src);
	ipsec_addr_text(&f->dst, dst);
	port_text(sport, &f->src_port);
	port_text(dport, &f->dst_port);
	n = (size_t)snprintf(out, DYNAMIC_RULE_TEXT, "%s to %s", src, dst);
	if (f->protocol == IPPROTO_TCP || f->protocol == IPPROTO_UDP)
		n += (size_t)snprintf(out + n, DYNAMIC_RULE_TEXT - n, " %s %s:%s", f->protocol == IPPROTO_TCP ? "tcp" : "udp", sport, dport);
	else if (f->protocol)
		n += (size_t)snprintf(out + n, DYNAMIC_RULE_TEXT - n, " protocol %u", f->protocol);
	if (f->mirrored)
		n += (size_t)snprintf(out + n, DYNAMIC_RULE_TEXT - n, " mirrored");
	if (r->conntype != IPSEC_CONN_ALL)
		n += (size_t)snprintf(out + n, DYNAMIC_RULE_TEXT - n, " %s", ipsec_conntype_name(r->conntype));
	if (r->tunnel) {
		ipsec_addr_text(&r->tunnel_end, end);
		snprintf(out + n, DYNAMIC_RULE_TEXT - n, " tunnel %s", end);
	}
}
