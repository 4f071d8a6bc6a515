/* Quick modes -> connections.  charon chooses one connection for a peer, the one whose addresses fit
 * best, and looks for what the peer asks for in that one alone: so each connection holds also the
 * children of all wider networks, as far as the same authentication will do for them. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nft/protect_parts.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"

#define MAX_REFS	20000		/* children of all connections */

/* A child under one authentication. */
struct item {
	const struct child	*c;
	uint8_t			 family;	/* of the IKE SA */
	uint32_t		 auth;
	const char		*secret;
	bool			 first;		/* of its rule's methods */
	struct extent		 own, remote;
};

/* What becomes a connection: the items from begin to end, of one place, and the children of wider places. */
struct place {
	size_t		  begin, end;
	const struct item *at;
	struct ref {
		const struct child	*c;
		bool			 native, first;
	}		 *refs;
	size_t		  n_refs;
};

struct plan {
	struct work	*w;
	struct item	*items;
	size_t		 n_items;
	struct place	*places;
	size_t		 n_places;
	size_t		 n_refs;
};

static int num_cmp(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int group_cmp(const struct item *a, const struct item *b)
{
	int c;

	if ((c = num_cmp(a->family, b->family)) || (c = num_cmp(a->c->use->main->id, b->c->use->main->id)))
		return c;
	return num_cmp(a->auth, b->auth);
}

static int place_cmp(const struct item *a, const struct item *b)
{
	int c;

	if ((c = group_cmp(a, b)) || (c = extent_cmp(&a->remote, &b->remote)))
		return c;
	return extent_cmp(&a->own, &b->own);
}

static int child_cmp(const struct child *a, const struct child *b)
{
	int c;

	if ((c = num_cmp(b->rank, a->rank)))
		return c;
	return memcmp(&a->key, &b->key, sizeof(a->key));
}

static int item_order(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	const int c = place_cmp(x, y);

	return c ? c : child_cmp(x->c, y->c);
}

static void item_fill(struct item *ret, const struct child *c, size_t method)
{
	*ret = (struct item){ .c = c, .family = c->key.family, .auth = c->use->auths[method],
		.secret = c->use->secrets[method], .first = method == 0,
		.own = c->own, .remote = c->key.remote };
	if (!c->key.tunnel)
		return;
	ret->family = c->end.family;
	extent_host(&ret->remote, &c->end);
	extent_any(&ret->own, ret->family);
	if (c->own_end.family != AF_UNSPEC)
		extent_host(&ret->own, &c->own_end);
}

static int items_make(struct plan *p, struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < p->w->n_children; i++)
		n += p->w->children[i]->use->n_auths;
	p->items = calloc(n + 1, sizeof(*p->items));
	p->places = calloc(n + 1, sizeof(*p->places));
	if (!p->items || !p->places)
		return err_nomem(err);
	for (size_t i = 0; i < p->w->n_children; i++) {
		const struct child *c = p->w->children[i];

		for (size_t k = 0; c->use->usable && k < c->use->n_auths; k++)
			item_fill(&p->items[p->n_items++], c, k);
	}
	qsort(p->items, p->n_items, sizeof(*p->items), item_order);
	return 0;
}

/* ---- places ---- */

static int ref_add(struct plan *p, struct place *to, const struct item *from, bool native, struct err *err)
{
	struct ref *refs;

	if (p->n_refs == MAX_REFS) {
		err_set(err, ERR_LIMIT, "with it the connections have more than %d quick modes", MAX_REFS);
		return rule_prefix(err, from->c->use->rule);
	}
	refs = arena_grow(p->w->arena, to->refs, to->n_refs, sizeof(*refs));
	if (!refs)
		return err_nomem(err);
	to->refs = refs;
	refs[to->n_refs++] = (struct ref){ from->c, native, native && from->first };
	p->n_refs++;
	return 0;
}

static int refs_add(struct plan *p, struct place *to, const struct place *from, bool native, struct err *err)
{
	for (size_t i = from->begin; i < from->end; i++)
		/* The default response is for peers that no filter covers; a tunnel is for its end. */
		if ((native || (p->items[i].c->written && !p->items[i].c->key.tunnel)) &&
		    ref_add(p, to, &p->items[i], native, err) < 0)
			return -1;
	return 0;
}

static bool is_inside(const struct item *a, const struct item *b)
{
	return extent_in(&a->remote, &b->remote) && extent_in(&a->own, &b->own);
}

static int places_meet(struct plan *p, struct place *a, struct place *b, struct err *err)
{
	if (!extents_meet(&a->at->remote, &b->at->remote) || !extents_meet(&a->at->own, &b->at->own))
		return 0;
	if (!is_inside(a->at, b->at) && refs_add(p, b, a, false, err) < 0)
		return -1;
	return is_inside(b->at, a->at) ? 0 : refs_add(p, a, b, false, err);
}

/* Sorted by where they begin: those that a new one can meet are the earlier ones that have not ended. */
static int places_make(struct plan *p, struct err *err)
{
	size_t *open = calloc(p->n_items + 1, sizeof(*open)), n_open = 0, end, kept;
	int rc = -1;

	if (!open)
		return err_nomem(err);
	for (size_t i = 0; i < p->n_items; i = end) {
		struct place *new = &p->places[p->n_places];

		for (end = i; end < p->n_items && !place_cmp(&p->items[i], &p->items[end]); end++)
			;
		*new = (struct place){ .begin = i, .end = end, .at = &p->items[i] };
		if (refs_add(p, new, new, true, err) < 0)
			goto out;
		kept = 0;
		for (size_t k = 0; k < n_open; k++) {
			struct place *old = &p->places[open[k]];

			if (group_cmp(old->at, new->at) || memcmp(old->at->remote.hi, new->at->remote.lo, 16) < 0)
				continue;
			open[kept++] = open[k];
			if (places_meet(p, old, new, err) < 0)
				goto out;
		}
		open[kept++] = p->n_places++;
		n_open = kept;
	}
	rc = 0;
out:
	free(open);
	return rc;
}

/* ---- children of a connection ---- */

/* What charon could tell two apart by. */
static int said_cmp(const struct child *a, const struct child *b)
{
	int c;

	if ((c = num_cmp(a->key.tunnel, b->key.tunnel)) || (c = num_cmp(a->key.family, b->key.family)) ||
	    (c = num_cmp(a->key.protocol, b->key.protocol)) || (c = memcmp(a->key.ports, b->key.ports, sizeof(a->key.ports))) ||
	    !a->key.tunnel)
		return c;
	return (c = extent_cmp(&a->key.own, &b->key.own)) ? c : extent_cmp(&a->key.remote, &b->key.remote);
}

/* Among those that say the same the connection's own come first, then the more specific one. */
static int ref_order(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;
	int c;

	if ((c = said_cmp(x->c, y->c)) || (c = num_cmp(y->native, x->native)) || (c = num_cmp(!x->c->written, !y->c->written)))
		return c;
	return child_cmp(x->c, y->c);
}

/* Of the children of wider places those that a more specific one hides are left out, and so is the default response; the
 * kernel asks for any other of its own. */
static bool ref_hidden(const struct place *p, size_t i)
{
	return i && !said_cmp(p->refs[i - 1].c, p->refs[i].c) && (!p->refs[i].native || !p->refs[i].c->written);
}

static void ts_text(char *out, size_t size, const char *net, uint8_t protocol, const struct ipsec_ports *ports)
{
	const char *name = protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : protocol == IPPROTO_ICMP ? "icmp" : NULL;
	int n = snprintf(out, size, "%s", net);

	if (protocol && name)
		n += snprintf(out + n, size - (size_t)n, "[%s", name);
	else if (protocol)
		n += snprintf(out + n, size - (size_t)n, "[%u", protocol);
	if (ports->lo || ports->hi)
		n += snprintf(out + n, size - (size_t)n, "/%u", ports->lo);
	if (ports->lo != ports->hi)
		n += snprintf(out + n, size - (size_t)n, "-%u", ports->hi);
	if (protocol)
		snprintf(out + n, size - (size_t)n, "]");
}

/* A network, or what is none as first and last address. */
static void extent_text(char *out, size_t size, uint8_t family, const struct extent *e)
{
	struct net nets[NETS_MAX];
	struct ip_addr a = { .family = family };
	char first[IP_ADDR_TEXT + 4], last[IP_ADDR_TEXT];

	if (extent_nets(nets, family, e) == 1) {
		net_text(first, family, &nets[0]);
		snprintf(out, size, "%s", first);
		return;
	}
	memcpy(a.b, e->lo, sizeof(a.b));
	ip_addr_text(&a, first);
	memcpy(a.b, e->hi, sizeof(a.b));
	ip_addr_text(&a, last);
	snprintf(out, size, "%s-%s", first, last);
}

static int selector_add(struct ike_config *c, struct ike_list *l, const struct child *from, const struct extent *net,
    const struct ipsec_ports *ports)
{
	char where[2 * IP_ADDR_TEXT + 8] = "dynamic", text[sizeof(where) + 32];

	if (from->key.tunnel)
		extent_text(where, sizeof(where), from->key.family, net);
	ts_text(text, sizeof(text), where, from->key.protocol, ports);
	return ike_list_add(c, l, text);
}

static int list_fill(struct ike_config *c, struct ike_list *l, const struct proposals *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (ike_list_add(c, l, p->texts[i]) < 0)
			return -1;
	return 0;
}

/* In the order of names the more specific come first: where a peer asks for less than any of them, the first is taken. */
static const char *child_name(struct ike_config *c, const struct child *from)
{
	const unsigned weight = (unsigned)(from->rank >> 25 & 0x3ff) << 3 | (unsigned)(from->rank >> 14 & 7);

	return arena_printf(c->arena, "q-%04x%08x", 0xffff - weight, from->reqid);
}

static int child_fill(struct ike_config *c, struct ike_conn *conn, const struct ref *r)
{
	struct ike_child *to = ike_child_add(c, conn);
	const struct child *from = r->c;

	if (!to)
		return -1;
	to->name = child_name(c, from);
	to->origin = arena_memdup(c->arena, from->origin, sizeof(*from->origin));
	to->rule_name = arena_strdup(c->arena, from->use->rule->name);
	if (!to->name || !to->origin || !to->rule_name)
		return -1;
	to->reqid = from->reqid;
	to->tunnel = from->key.tunnel;
	to->ah = from->use->quick->ah;
	to->trap = from->written && r->native && r->first;
	to->policies = !from->written;
	to->life_seconds = from->use->quick->life_seconds;
	to->life_bytes = from->use->quick->life_bytes;
	if (selector_add(c, &to->local_ts, from, &from->key.own, &from->own_port) < 0 ||
	    selector_add(c, &to->remote_ts, from, &from->key.remote, &from->remote_port) < 0)
		return -1;
	return list_fill(c, &to->proposals, from->use->quick);
}

/* ---- a connection ---- */

static bool place_tunnels(const struct plan *p, const struct place *place)
{
	for (size_t i = place->begin; i < place->end; i++)
		if (p->items[i].c->key.tunnel)
			return true;
	return false;
}

/* In transport mode networks, be they of one host: only for those does charon take both addresses from the packet that
 * asks, and not the first one that it was told and the route's source.  No ranges: they fit a peer no better than
 * "any" does.  A tunnel needs an address. */
static int remote_fill(const struct plan *p, const struct place *from, struct ike_conn *conn)
{
	const struct item *at = from->at;
	const bool host = place_tunnels(p, from);
	struct net nets[NETS_MAX];
	const size_t n = extent_nets(nets, at->family, &at->remote);
	char text[IP_ADDR_TEXT + 4];

	for (size_t i = 0; i < n; i++) {
		size_t len;

		net_text(text, at->family, &nets[i]);
		len = strlen(text);
		if (!host && !strchr(text, '/'))
			snprintf(text + len, sizeof(text) - len, "/%u", nets[i].prefix);
		if (ike_list_add(p->w->p->ike, &conn->remote_addrs, text) < 0)
			return -1;
	}
	return 0;
}

static int local_fill(const struct work *w, struct ike_config *c, struct ike_conn *conn, const struct item *at)
{
	const int v = family_index(at->family);
	struct extent any;
	char text[IP_ADDR_TEXT];

	extent_any(&any, at->family);
	if (!extent_cmp(&any, &at->own))
		return ike_list_add(c, &conn->local_addrs, "%any");
	for (size_t i = 0; i < w->n_own[v]; i++)
		if (extent_has(&at->own, w->own[v][i].b)) {
			ip_addr_text(&w->own[v][i], text);
			if (ike_list_add(c, &conn->local_addrs, text) < 0)
				return -1;
		}
	return 0;
}

static int conn_fill(struct plan *p, struct place *from)
{
	struct work *w = p->w;
	struct ike_config *c = w->p->ike;
	struct ike_conn *conn = ike_conn_add(c);
	const struct use *u = from->at->c->use;
	const struct auth *a = &w->auths[from->at->auth];

	if (!conn)
		return -1;
	conn->version = w->o->version;
	conn->auth = a->kind;
	conn->certreq = a->certreq;
	conn->revocation = a->kind == IKE_CERTIFICATE && w->o->strong_crl >= 2 ? IKE_STRICT : IKE_RELAXED;
	conn->life_seconds = u->main->life_seconds;
	conn->ca_id = arena_strdup(c->arena, a->ca_id);
	conn->secret = arena_strdup(c->arena, from->at->secret);
	conn->rule_name = arena_strdup(c->arena, u->rule->name);
	if (!conn->ca_id || !conn->secret || !conn->rule_name || local_fill(w, c, conn, from->at) < 0 ||
	    remote_fill(p, from, conn) < 0 || list_fill(c, &conn->proposals, u->main) < 0)
		return -1;
	c->needs_certificate |= a->kind == IKE_CERTIFICATE;
	qsort(from->refs, from->n_refs, sizeof(*from->refs), ref_order);
	for (size_t i = 0; i < from->n_refs; i++)
		if (!ref_hidden(from, i) && child_fill(c, conn, &from->refs[i]) < 0)
			return -1;
	return 0;
}

/* ---- keys ---- */

struct owner {
	const char	*secret, *text;
	uint32_t	 auth;
};

static int owner_order(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;
	const int c = strcmp(x->secret, y->secret);

	return c ? c : strcmp(x->text, y->text);
}

static const char *owner_text(const struct plan *p, const struct item *at)
{
	char text[2 * IP_ADDR_TEXT + 8];
	struct extent any;

	extent_any(&any, at->family);
	if (!extent_cmp(&any, &at->remote))
		return "%any";
	extent_text(text, sizeof(text), at->family, &at->remote);
	return arena_strdup(p->w->arena, text);
}

/* Who begins with IKEv2 knows no identity of the peer yet: the key is looked for by this host's own. */
static int own_owners(const struct work *w, struct ike_secret *s)
{
	char text[IP_ADDR_TEXT];

	for (int v = 0; v < 2; v++)
		for (size_t i = 0; i < w->n_own[v]; i++) {
			ip_addr_text(&w->own[v][i], text);
			if (ike_list_add(w->p->ike, &s->owners, text) < 0)
				return -1;
		}
	return 0;
}

/* Who has a key: the networks of all connections that name it. */
static int secrets_make(struct plan *p)
{
	struct ike_config *c = p->w->p->ike;
	struct owner *owners = calloc(c->n_conns + 1, sizeof(*owners));
	struct ike_secret *s = NULL;
	size_t n = 0;
	int rc = -1;

	if (!owners)
		return -1;
	for (size_t i = 0; i < c->n_conns; i++)
		if (c->conns[i].auth == IKE_PSK) {
			owners[n] = (struct owner){ c->conns[i].secret, owner_text(p, p->places[i].at), p->places[i].at->auth };
			if (!owners[n++].text)
				goto out;
		}
	qsort(owners, n, sizeof(*owners), owner_order);
	for (size_t i = 0; i < n; i++) {
		const struct auth *a = &p->w->auths[owners[i].auth];

		if (i && !owner_order(&owners[i - 1], &owners[i]))
			continue;
		if (!i || strcmp(owners[i - 1].secret, owners[i].secret)) {
			s = ike_secret_add(c, owners[i].secret, a->key, a->key_len);
			/* "%any" is in front of all addresses. */
			if (!s || (p->w->o->version != IKE_V1 && strcmp(owners[i].text, "%any") && own_owners(p->w, s) < 0))
				goto out;
		}
		if (!s || ike_list_add(c, &s->owners, owners[i].text) < 0)
			goto out;
	}
	rc = 0;
out:
	free(owners);
	return rc;
}

int conns_make(struct work *w, struct err *err)
{
	struct plan p = { .w = w };
	int rc = -1;

	if (items_make(&p, err) < 0 || places_make(&p, err) < 0)
		goto out;
	for (size_t i = 0; i < p.n_places; i++)
		if (conn_fill(&p, &p.places[i]) < 0) {
			err_nomem(err);
			goto out;
		}
	rc = secrets_make(&p) < 0 ? err_nomem(err) : 0;
out:
	free(p.items);
	free(p.places);
	return rc;
}
