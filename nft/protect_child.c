/* Quick modes and their reqids: one for each filter, its mirror included; of tunnels one for both halves. */
#include <string.h>

#include "nft/protect_parts.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"

#define MAX_CHILDREN	20000
/* SPD_REQID_MIN itself is no child's: see protect_spd.c. */
#define N_REQIDS	(SPD_REQID_MAX - SPD_REQID_MIN)

static const struct side *own_side(const struct specific *f, bool in)
{
	return in ? &f->dst : &f->src;
}

static const struct side *remote_side(const struct specific *f, bool in)
{
	return in ? &f->src : &f->dst;
}

static void ports_put(uint8_t *p, const struct ipsec_ports *ports)
{
	p[0] = (uint8_t)(ports->lo >> 8);
	p[1] = (uint8_t)ports->lo;
	p[2] = (uint8_t)(ports->hi >> 8);
	p[3] = (uint8_t)ports->hi;
}

/* own: this host's side where it is "me" in tunnel mode; else NULL. */
static void key_fill(struct child_key *k, const struct specific *f, bool in, const struct ip_addr *own)
{
	const struct side *here = own_side(f, in), *there = remote_side(f, in);

	memset(k, 0, sizeof(*k));
	k->family = f->family;
	k->protocol = f->protocol;
	k->tunnel = f->tunnel;
	k->own_any = !f->tunnel && (here->me || here->any);
	if (own)
		extent_host(&k->own, own);
	else if (!k->own_any)
		extent_side(&k->own, f->family, here);
	extent_side(&k->remote, f->family, there);
	ports_put(k->ports, &here->port);
	ports_put(k->ports + 4, &there->port);
}

/* The same whatever other rules there are, but where two fall together. */
static uint32_t reqid_of(const struct work *w, uint64_t hash)
{
	uint32_t at = (uint32_t)(hash % N_REQIDS), reqid;

	do {
		reqid = SPD_REQID_MIN + 1 + at;
		at = (at + 1) % N_REQIDS;
	} while (tally_get(&w->reqid_tally, &reqid, sizeof(reqid)));
	return reqid;
}

static struct child *child_add(struct work *w, const struct child *from, struct err *err)
{
	struct child **all = arena_grow(w->arena, w->children, w->n_children, sizeof(*all));
	struct child *c = arena_memdup(w->arena, from, sizeof(*from));

	if (!all || !c) {
		err_nomem(err);
		return NULL;
	}
	w->children = all;
	if (w->n_children == MAX_CHILDREN) {
		err_set(err, ERR_LIMIT, "with it there are more than %d quick modes", MAX_CHILDREN);
		rule_prefix(err, from->use->rule);
		return NULL;
	}
	if (c->written) {
		const struct rs_origin origin = written_origin(c->written);

		c->reqid = reqid_of(w, bytes_hash(&c->key, sizeof(c->key)));
		c->origin = arena_memdup(w->arena, &origin, sizeof(origin));
		if (!c->origin || tally_put(&w->reqid_tally, &c->reqid, sizeof(c->reqid), 0) < 0 ||
		    tally_put(&w->child_tally, &c->key, sizeof(c->key), (uint32_t)w->n_children) < 0) {
			err_nomem(err);
			return NULL;
		}
	}
	return all[w->n_children++] = c;
}

static void rule_fill(struct child_key *k, const struct use *u)
{
	memcpy(k->rule, u->rule->id.b, sizeof(k->rule));
	k->store = (uint8_t)u->from->store;
}

static bool is_range(const struct ipsec_ports *p)
{
	return p->lo != p->hi;
}

/* IKEv1 knows one port or all (RFC 2407 4.6.2). */
static bool ports_fit(struct work *w, struct use *u, const struct specific *f)
{
	if (w->o->version != IKE_V1 || (!is_range(&f->src.port) && !is_range(&f->dst.port)))
		return true;
	use_problem(u, PROTECT_RANGE, u->rule->tunnel || !u->rule->negpol->soft, f->written->filter,
	    "IKEv1 cannot negotiate port ranges ([ike] version = 2 can)");
	return false;
}

static bool uses_agree(const struct use *a, const struct use *b)
{
	if (a->main->id != b->main->id || a->quick->ah != b->quick->ah || a->quick->n != b->quick->n || a->n_auths != b->n_auths)
		return false;
	for (size_t i = 0; i < a->quick->n; i++)
		if (strcmp(a->quick->texts[i], b->quick->texts[i]))
			return false;
	return !memcmp(a->auths, b->auths, a->n_auths * sizeof(a->auths[0]));
}

/* From the first to the last of this host's addresses that are meant; all of them: any. */
static void own_region(struct extent *ret, const struct work *w, const struct child_key *k)
{
	const int v = family_index(k->family);
	size_t n = 0;

	extent_any(ret, k->family);
	if (k->own_any)
		return;
	for (size_t i = 0; i < w->n_own[v]; i++)
		if (extent_has(&k->own, w->own[v][i].b)) {
			if (!n++)
				memcpy(ret->lo, w->own[v][i].b, sizeof(ret->lo));
			memcpy(ret->hi, w->own[v][i].b, sizeof(ret->hi));
		}
	if (n == w->n_own[v])
		extent_any(ret, k->family);
}

static void key_strip(struct child_key *ret, const struct child_key *k)
{
	*ret = *k;
	memset(ret->rule, 0, sizeof(ret->rule));
	ret->store = 0;
}

/* Both directions of a flow have one pair of security associations: where one rule speaks of what goes out and another of
 * what comes in they share it, if they want the same. */
static struct child *child_alike(const struct work *w, const struct child_key *key, const struct use *u)
{
	struct child_key k;
	const uint32_t *known;

	key_strip(&k, key);
	known = tally_get(&w->alike_tally, &k, sizeof(k));
	return known && uses_agree(w->children[*known]->use, u) ? w->children[*known] : NULL;
}

static int known_as(struct work *w, const struct child *c)
{
	struct child_key *k = arena_zalloc(w->arena, 1, sizeof(*k));

	if (!k)
		return -1;
	key_strip(k, &c->key);
	if (tally_get(&w->alike_tally, k, sizeof(*k)))
		return 0;
	return tally_put(&w->alike_tally, k, sizeof(*k), (uint32_t)w->n_children - 1);
}

int child_transport(struct child **ret, struct work *w, struct use *u, const struct specific *f, struct err *err)
{
	const bool in = f->hook == ACT_IN;
	struct child c = { .use = u, .written = f->written, .own_port = own_side(f, in)->port,
		.remote_port = remote_side(f, in)->port, .rank = f->rank };
	const uint32_t *known;

	*ret = NULL;
	if (!ports_fit(w, u, f))
		return 0;
	key_fill(&c.key, f, in, NULL);
	rule_fill(&c.key, u);
	known = tally_get(&w->child_tally, &c.key, sizeof(c.key));
	*ret = known ? w->children[*known] : child_alike(w, &c.key, u);
	if (*ret)
		return 0;
	own_region(&c.own, w, &c.key);
	*ret = child_add(w, &c, err);
	if (!*ret)
		return -1;
	return known_as(w, *ret) < 0 ? err_nomem(err) : 0;
}

int child_response(struct work *w, struct use *u, uint8_t family, struct err *err)
{
	struct child c = { .use = u, .key.family = family, .key.own_any = true };
	const struct rs_origin origin = { .rule = u->rule->id, .gpo = u->from->gpo, .store = (uint8_t)u->from->store };

	extent_any(&c.key.remote, family);
	extent_any(&c.own, family);
	rule_fill(&c.key, u);
	c.origin = arena_memdup(w->arena, &origin, sizeof(origin));
	if (!c.origin)
		return err_nomem(err);
	return child_add(w, &c, err) ? 0 : -1;
}

/* ---- tunnels ---- */

static bool is_own(const struct work *w, const struct ip_addr *a)
{
	const int v = family_index(a->family);

	for (size_t i = 0; i < w->n_own[v]; i++)
		if (!ip_addr_cmp(&w->own[v][i], a))
			return true;
	return false;
}

static struct ip_addr end_of(const struct specific *f)
{
	const struct ipsec_addr *e = &f->written->rule->tunnel_end;
	struct ip_addr a = { .family = e->family };

	memcpy(a.b, e->lo, sizeof(a.b));
	return a;
}

/* Is this the mirror of the filter as it was written? */
static bool is_swapped(const struct specific *f)
{
	const struct ipsec_filter *w = f->written->filter;
	struct side s;

	if (!w->mirrored)
		return false;
	if (w->src_port.lo != f->src.port.lo || w->src_port.hi != f->src.port.hi)
		return true;
	switch (w->src.kind) {
	case IPSEC_ADDR_ME:
		return !f->src.me;
	case IPSEC_ADDR_ANY:
		return !f->src.any;
	case IPSEC_ADDR_NET:
		side_net(&s, f->family, w->src.lo, w->src.prefix);
		break;
	case IPSEC_ADDR_RANGE:
		side_range(&s, f->family, w->src.lo, w->src.hi);
		break;
	default:	/* servers: not where the other side's own kind is */
		return f->src.me || f->src.any;
	}
	return f->src.any != s.any || f->src.me || memcmp(f->src.lo, s.lo, sizeof(s.lo)) || memcmp(f->src.hi, s.hi, sizeof(s.hi));
}

bool half_inbound(const struct work *w, const struct specific *f)
{
	const struct ip_addr end = end_of(f);

	return is_own(w, &end) != is_swapped(f);
}

static struct half *half_find(const struct work *w, const struct specific *f, bool in, const struct ip_addr *own)
{
	struct child_key key;
	const uint32_t *known;

	key_fill(&key, f, in, own);
	known = tally_get(&w->half_tally, &key, sizeof(key));
	return known ? w->halves[*known] : NULL;
}

/* The first in order counts. */
static int half_add(struct work *w, const struct specific *f, bool in, const struct ip_addr *own, struct err *err)
{
	struct half *h = half_find(w, f, in, own), **all;

	if (!h) {
		all = arena_grow(w->arena, w->halves, w->n_halves, sizeof(*all));
		h = arena_zalloc(w->arena, 1, sizeof(*h));
		if (!all || !h)
			return err_nomem(err);
		w->halves = all;
		key_fill(&h->key, f, in, own);
		if (tally_put(&w->half_tally, &h->key, sizeof(h->key), (uint32_t)w->n_halves) < 0)
			return err_nomem(err);
		all[w->n_halves++] = h;
	}
	if (in && !h->in)
		h->in = f;
	if (!in && !h->out)
		h->out = f;
	return 0;
}

int halves_pair(struct work *w, struct err *err)
{
	for (size_t i = 0; i < w->x.n_order; i++) {
		const struct specific *f = unfold_at(&w->x, i);
		const int v = family_index(f->family);
		bool in;

		if (!f->tunnel || !kind_negotiates(f->kind))
			continue;
		in = half_inbound(w, f);
		/* A direction's filter may stand where only the other one's packets come by: net to net. */
		if (f->hook == (in ? ACT_OUT : ACT_IN))
			continue;
		if (!own_side(f, in)->me) {
			if (half_add(w, f, in, NULL, err) < 0)
				return -1;
			continue;
		}
		for (size_t k = 0; k < w->n_own[v]; k++)
			if (half_add(w, f, in, &w->own[v][k], err) < 0)
				return -1;
	}
	return 0;
}

static int half_make(struct work *w, struct half *h, struct err *err)
{
	struct use *out = h->out ? rule_use(w, h->out->written->from, h->out->written->rule) : NULL;
	struct use *in = h->in ? rule_use(w, h->in->written->from, h->in->written->rule) : NULL;
	struct child c = { .key = h->key, .use = out, .own = h->key.own };

	h->made = true;
	if ((h->out && !out) || (h->in && !in))
		return err_nomem(err);
	if (!out) {
		use_problem(in, PROTECT_TUNNEL, true, h->in->written->filter, "the tunnel rule for the other direction, which names the peer, is missing");
		return 0;
	}
	if (!out->usable || !ports_fit(w, out, h->out)) {
		if (in && in != out)
			use_problem(in, PROTECT_TUNNEL, true, h->in->written->filter, "its way back cannot be negotiated");
		return 0;
	}
	if (in && in != out && (!in->usable || !uses_agree(in, out))) {
		use_problem(in, PROTECT_TUNNEL, true, h->in->written->filter,
		    "the tunnel rule for the way back has other security or authentication methods");
		return 0;
	}
	c.end = end_of(h->out);
	if (in && in != out) {
		c.own_end = end_of(h->in);
		if (!is_own(w, &c.own_end))
			memset(&c.own_end, 0, sizeof(c.own_end));
	}
	if (is_own(w, &c.end)) {
		use_problem(out, PROTECT_TUNNEL, true, h->out->written->filter, "the tunnel leads to this host itself");
		return 0;
	}
	if (c.own_end.family != AF_UNSPEC && c.own_end.family != c.end.family) {
		use_problem(in, PROTECT_TUNNEL, true, h->in->written->filter, "the ends of the tunnel are of different families");
		return 0;
	}
	c.written = h->out->written;
	c.rank = h->out->rank;
	c.own_port = h->out->src.port;
	c.remote_port = h->out->dst.port;
	rule_fill(&c.key, out);
	h->child = child_add(w, &c, err);
	return h->child ? 0 : -1;
}

int half_child(struct child **ret, struct work *w, const struct specific *f, const struct ip_addr *own, struct err *err)
{
	const bool in = half_inbound(w, f);
	struct half *h = half_find(w, f, in, own_side(f, in)->me ? own : NULL);

	*ret = NULL;
	if (!h)
		return 0;
	if (!h->made && half_make(w, h, err) < 0)
		return -1;
	*ret = h->child;
	return 0;
}
