#include "nft/judge.h"

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CT_NEW		8u	/* NF_CT_STATE_BIT() */
#define HDR4		20
#define HDR6		40
#define MAX_JUMPS	16	/* as the kernel has */
#define MAX_CHAINS	4096	/* entered for one packet; beyond that they go in circles */

/* ---- the head of a packet ---- */

/* Where the transport header begins, in the whole packet of `total` bytes. */
static bool th_read(struct packet_head *h, const uint8_t *p, size_t len, size_t at, size_t total)
{
	size_t n = at < total ? total - at : 0;

	if (h->fragment)
		return true;
	if (n > sizeof(h->th))
		n = sizeof(h->th);
	if (at + n > len)
		return false;
	memcpy(h->th, p + at, n);
	h->n_th = (uint8_t)n;
	return true;
}

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static bool head4_parse(struct packet_head *h, const uint8_t *p, size_t len)
{
	const size_t ihl = (p[0] & 15u) * 4, total = len < HDR4 ? 0 : be16(p + 2);

	if (ihl < HDR4 || len < HDR4 || total < ihl)
		return false;
	h->family = AF_INET;
	memcpy(h->src, p + 12, 4);
	memcpy(h->dst, p + 16, 4);
	h->hoplimit = p[8];
	h->protocol = p[9];
	h->fragment = be16(p + 6) & 0x1fff;
	return th_read(h, p, len, ihl, total);
}

/* Not AH: nftables stops there. */
static bool is_extension(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT || next == IPPROTO_DSTOPTS;
}

static bool head6_parse(struct packet_head *h, const uint8_t *p, size_t len)
{
	size_t at = HDR6, total;
	uint8_t next;
	int n = 0;

	if (len < HDR6)
		return false;
	h->family = AF_INET6;
	memcpy(h->src, p + 8, 16);
	memcpy(h->dst, p + 24, 16);
	h->hoplimit = p[7];
	total = HDR6 + be16(p + 4);
	for (next = p[6]; is_extension(next) && !h->fragment; n++) {
		const uint8_t *x = p + at;

		if (n == PACKET_MAX_HEADERS || at + 8 > len || at + 8 > total)
			return false;
		h->fragment = next == IPPROTO_FRAGMENT && be16(x + 2) & ~7u;
		at += next == IPPROTO_FRAGMENT ? 8 : (x[1] + 1u) * 8;
		next = x[0];
	}
	if (is_extension(next))
		return false;
	h->protocol = next;
	return th_read(h, p, len, at, total);
}

bool packet_head_parse(struct packet_head *ret, const uint8_t *p, size_t len)
{
	struct packet_head h = { 0 };

	if (!len || !(p[0] >> 4 == 4 ? head4_parse(&h, p, len) : p[0] >> 4 == 6 && head6_parse(&h, p, len)))
		return false;
	*ret = h;
	return true;
}

bool packet_has_ports(const struct packet_head *p)
{
	return (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP) && p->n_th == sizeof(p->th);
}

uint16_t packet_sport(const struct packet_head *p)
{
	return packet_has_ports(p) ? (uint16_t)be16(p->th) : 0;
}

uint16_t packet_dport(const struct packet_head *p)
{
	return packet_has_ports(p) ? (uint16_t)be16(p->th + 2) : 0;
}

/* ---- what a rule looks at ---- */

struct walk {
	const struct ruleset		*r;
	const struct packet_head	*p;
	const struct judge_place	*at;
	struct frame {
		const struct rs_chain	*chain;
		size_t			 next;		/* rule */
	}				 here, back[MAX_JUMPS];
	unsigned			 n_back, n_chains;
	struct judgement		 j;
};

static bool put_num(uint8_t *ret, enum rs_field f, uint32_t v)
{
	rs_num_put(ret, f, v);
	return true;
}

static bool put_bytes(uint8_t *ret, const uint8_t *p, size_t len, bool there)
{
	if (there)
		memcpy(ret, p, len);
	return there;
}

static uint32_t route_type(uint32_t type)
{
	return type ? type : RTN_UNICAST;
}

/* false: the packet has no such field, and the rule does not match. */
static bool field_load(const struct walk *w, uint8_t ret[static 16], enum rs_field f)
{
	const struct packet_head *p = w->p;
	const struct judge_place *at = w->at;
	const bool v4 = p->family == AF_INET;

	switch (f) {
	case RS_NFPROTO: return put_num(ret, f, p->family);
	case RS_L4PROTO: return put_num(ret, f, p->protocol);
	case RS_IIF: return put_num(ret, f, at->iif);
	case RS_OIF: return put_num(ret, f, at->oif);
	case RS_IIFTYPE: return put_num(ret, f, at->iiftype) && at->iif;
	case RS_OIFTYPE: return put_num(ret, f, at->oiftype) && at->oif;
	case RS_SADDR4: return put_bytes(ret, p->src, 4, v4);
	case RS_DADDR4: return put_bytes(ret, p->dst, 4, v4);
	case RS_SADDR6: return put_bytes(ret, p->src, 16, !v4);
	case RS_DADDR6: return put_bytes(ret, p->dst, 16, !v4);
	case RS_HOPLIMIT6: return put_num(ret, f, p->hoplimit) && !v4;
	case RS_SPORT: return put_bytes(ret, p->th, 2, p->n_th >= 2);
	case RS_DPORT: return put_bytes(ret, p->th + 2, 2, p->n_th >= 4);
	case RS_ICMP6_TYPE: return put_bytes(ret, p->th, 1, p->n_th >= 1);
	case RS_SADDR_TYPE: return put_num(ret, f, route_type(at->src_type));
	case RS_DADDR_TYPE: return put_num(ret, f, route_type(at->dst_type));
	case RS_META_IPSEC: return put_num(ret, f, at->came_protected);
	case RS_RT_IPSEC: return put_num(ret, f, at->leaves_protected);
	case RS_CT_STATE: return put_num(ret, f, at->ct_state ? at->ct_state : CT_NEW);
	case RS_CT_DIRECTION: return put_num(ret, f, at->ct_reply);
	case RS_N_FIELDS: break;
	}
	return false;
}

struct wanted {
	const uint8_t	*key;
	size_t		 len;
};

static int key_cmp(const void *wanted, const void *element)
{
	const struct wanted *k = wanted;

	return memcmp(k->key, ((const struct rs_element *)element)->key, k->len);
}

/* -1: cannot be told; 0: the packet has no such fields; 1: *ret is the element or NULL. */
static int lookup_find(const struct walk *w, const struct rs_element **ret, const struct rs_set **ret_set,
    const struct rs_lookup *l)
{
	const struct rs_set *s = ruleset_set(w->r, l->set);
	uint8_t key[RS_MAX_KEYS * 16] = { 0 }, mask[16];
	struct wanted k = { key, 0 };

	if (!s || s->foreign)
		return -1;
	for (unsigned i = 0; i < l->n_keys; i++) {
		const size_t len = rs_fields[l->keys[i].field].len;

		if (!field_load(w, key + k.len, (enum rs_field)l->keys[i].field))
			return 0;
		rs_mask(mask, len, l->keys[i].prefix);
		for (size_t b = 0; b < len && l->keys[i].prefix < 8 * len; b++)
			key[k.len + b] &= mask[b];
		k.len += (len + 3) / 4 * 4;
	}
	if (k.len < s->key_len || (s->key_len + 3) / 4 * 4 != k.len)
		return -1;
	k.len = s->key_len;
	*ret_set = s;
	*ret = s->n_elements ? bsearch(&k, s->elements, s->n_elements, sizeof(*s->elements), key_cmp) : NULL;
	return 1;
}

static bool any_bit(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (a[i] & b[i])
			return true;
	return false;
}

/* 1: it does; 0: it does not; -1: cannot be told. */
static int match_fits(const struct walk *w, const struct rs_match *m)
{
	const size_t len = rs_fields[m->field].len;
	const struct rs_element *e;
	const struct rs_set *s;
	uint8_t v[16];
	int rc;

	if (m->op == RS_LOOKUP) {
		rc = lookup_find(w, &e, &s, m->lookup);
		return rc == 1 ? (e != NULL) != m->lookup->invert : rc;
	}
	if (!field_load(w, v, (enum rs_field)m->field))
		return 0;
	switch (m->op) {
	case RS_EQ: return !memcmp(v, m->lo, len);
	case RS_NE: return memcmp(v, m->lo, len) != 0;
	case RS_RANGE: return memcmp(v, m->lo, len) >= 0 && memcmp(v, m->hi, len) <= 0;
	case RS_BITS: return any_bit(v, m->lo, len);
	}
	return -1;
}

static int rule_fits(const struct walk *w, const struct rs_rule *rule)
{
	if (rule->foreign)
		return -1;
	for (size_t i = 0; i < rule->n_matches; i++) {
		int rc = match_fits(w, &rule->matches[i]);

		if (rc != 1)
			return rc;
	}
	return 1;
}

/* ---- the walk ---- */

enum step { STEP_LOST = -1, STEP_DONE, STEP_ON };

static enum step chain_enter(struct walk *w, const char *name)
{
	w->here = (struct frame){ name ? ruleset_chain(w->r, name) : NULL, 0 };
	return w->here.chain && w->n_chains++ < MAX_CHAINS ? STEP_ON : STEP_LOST;
}

static enum step chain_leave(struct walk *w, const struct rs_chain *base)
{
	if (w->n_back) {
		w->here = w->back[--w->n_back];
		return STEP_ON;
	}
	w->j.verdict = base->policy_drop ? RS_DROP : RS_ACCEPT;
	w->j.chain = NULL;
	w->j.rule = NULL;
	return STEP_DONE;
}

static enum step verdict_take(struct walk *w, enum rs_verdict v, const char *chain, const struct rs_chain *base)
{
	switch (v) {
	case RS_NONE:
		return STEP_ON;
	case RS_ACCEPT: case RS_DROP:
		w->j.verdict = v;
		return STEP_DONE;
	case RS_RETURN:
		return chain_leave(w, base);
	case RS_JUMP:
		if (w->n_back == MAX_JUMPS)
			return STEP_LOST;
		w->back[w->n_back++] = w->here;
		return chain_enter(w, chain);
	case RS_GOTO:
		return chain_enter(w, chain);
	case RS_VMAP:
		break;
	}
	return STEP_LOST;
}

static enum step vmap_take(struct walk *w, const struct rs_lookup *l, const struct rs_chain *base)
{
	const struct rs_element *e = NULL;
	const struct rs_set *s;
	int rc = lookup_find(w, &e, &s, l);

	if (rc < 0 || (e && e->foreign))
		return STEP_LOST;
	if (!e)
		return STEP_ON;
	w->j.chain = w->here.chain;
	w->j.rule = NULL;
	w->j.origin = e->origin;
	w->j.element = e;
	w->j.set = s;
	w->j.comment = e->comment;
	return verdict_take(w, e->verdict, e->chain, base);
}

static enum step rule_take(struct walk *w, const struct rs_rule *rule, const struct rs_chain *base)
{
	/* One that sends to the chain of an action, and says whose it is. */
	const bool filter = rule->origin || (rule->verdict == RS_GOTO && *rule->comment);

	if (rule->verdict == RS_VMAP)
		return vmap_take(w, rule->vmap, base);
	w->j.chain = w->here.chain;
	w->j.rule = rule;
	if (filter) {
		w->j.origin = rule->origin;
		w->j.element = NULL;
		w->j.set = NULL;
		w->j.comment = rule->comment;
	}
	return verdict_take(w, rule->verdict, rule->chain, base);
}

static const struct rs_chain *base_find(const struct ruleset *r, enum rs_hook hook)
{
	for (size_t i = 0; i < r->n_chains; i++)
		if (r->chains[i]->hook == (int)hook)
			return r->chains[i];
	return NULL;
}

bool judge_packet(struct judgement *ret, const struct ruleset *r, const struct packet_head *p, const struct judge_place *at)
{
	const struct rs_chain *base = base_find(r, at->hook);
	struct walk w = { .r = r, .p = p, .at = at, .here = { base, 0 }, .j = { .verdict = RS_ACCEPT } };
	enum step step = base ? STEP_ON : STEP_DONE;

	while (step == STEP_ON) {
		const struct rs_rule *rule;
		int fits;

		if (w.here.next == w.here.chain->n_rules) {
			step = chain_leave(&w, base);
			continue;
		}
		rule = &w.here.chain->rules[w.here.next++];
		fits = rule_fits(&w, rule);
		if (fits == 1)
			step = rule_take(&w, rule, base);
		else if (fits < 0)
			step = STEP_LOST;
	}
	if (step == STEP_LOST)
		return false;
	if (!w.j.comment)
		w.j.comment = w.j.rule ? w.j.rule->comment : "";
	*ret = w.j;
	return true;
}
