/* Who has negotiated: from the kernel's security associations and what is wanted.  No socket, no clock. */
#include "agent/negotiate_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nft/spd.h"
#include "schema/arena.h"
#include "schema/err.h"

static uint32_t reqid_of(const struct spd_policy *p)
{
	return p->templates[0].reqid;
}

static int index_cmp(const void *x, const void *y)
{
	const struct spd_policy *a = *(const struct spd_policy *const *)x, *b = *(const struct spd_policy *const *)y;

	if (reqid_of(a) != reqid_of(b))
		return reqid_of(a) < reqid_of(b) ? -1 : 1;
	return (a > b) - (a < b);
}

int pin_index_make(struct pin_index *ret, const struct spd *spd, struct err *err)
{
	struct pin_index x = { .policies = calloc((spd ? spd->n_policies : 0) + 1, sizeof(*x.policies)) };

	if (!x.policies)
		return err_nomem(err);
	for (size_t i = 0; spd && i < spd->n_policies; i++)
		if (spd->policies[i].n_templates && spd->policies[i].dir != SPD_FWD && !spd->policies[i].templates[0].tunnel)
			x.policies[x.n++] = &spd->policies[i];
	qsort(x.policies, x.n, sizeof(*x.policies), index_cmp);
	*ret = x;
	return 0;
}

const struct spd_policy *const *pin_index_find(const struct pin_index *x, uint32_t reqid, size_t *n)
{
	size_t from = 0, to = x->n, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (reqid_of(x->policies[mid]) < reqid)
			from = mid + 1;
		else
			to = mid;
	}
	for (to = from; to < x->n && reqid_of(x->policies[to]) == reqid; to++)
		;
	*n = to - from;
	return x->policies + from;
}

bool pin_index_soft(const struct pin_index *x, uint32_t reqid)
{
	size_t n;
	const struct spd_policy *const *p = pin_index_find(x, reqid, &n);

	for (size_t i = 0; i < n; i++)
		if (!p[i]->templates[0].required)
			return true;
	return false;
}

static bool net_has(const uint8_t *net, uint8_t prefix, const uint8_t *b)
{
	const unsigned whole = prefix / 8, rest = prefix % 8;

	return !memcmp(net, b, whole) && (!rest || (net[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool policy_has(const struct spd_policy *p, const struct xfrm_sa *sa)
{
	return p->sel.family == sa->family && net_has(p->sel.src, p->sel.src_prefix, sa->src.b) && net_has(p->sel.dst, p->sel.dst_prefix, sa->dst.b);
}

int pin_peer_cmp(const struct pin_peer *a, const struct pin_peer *b)
{
	const int r = ip_addr_cmp(&a->peer, &b->peer);

	return r ? r : (a->reqid > b->reqid) - (a->reqid < b->reqid);
}

static int way_cmp(const struct xfrm_sa *a, const struct xfrm_sa *b)
{
	const int r = ip_addr_cmp(&a->src, &b->src);

	return r ? r : ip_addr_cmp(&a->dst, &b->dst);
}

int sa_cmp(const void *x, const void *y)
{
	const struct xfrm_sa *a = x, *b = y;
	const int r = way_cmp(a, b);

	if (r || a->larval != b->larval)
		return r ? r : a->larval - b->larval;
	return (a->add_time < b->add_time) - (a->add_time > b->add_time);
}

bool larval_is_old(const struct xfrm_sa *sas, size_t n_sas, const struct xfrm_sa *larval)
{
	size_t from = 0, to = n_sas, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (way_cmp(&sas[mid], larval) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	/* Seconds: asked and negotiated in the same one counts. */
	return from < n_sas && !way_cmp(&sas[from], larval) && !sas[from].larval && sas[from].add_time >= larval->add_time;
}

bool sa_policy(struct spd_policy *ret, const struct spd *spd, const struct xfrm_sa *sa)
{
	const unsigned bits = sa->family == AF_INET ? 32 : 128;

	for (size_t i = 0; i < spd->n_policies; i++) {
		const struct spd_policy *p = &spd->policies[i];

		if (p->dir != SPD_OUT || !p->n_templates || reqid_of(p) != sa->reqid || p->templates[0].tunnel != sa->tunnel)
			continue;
		if (sa->tunnel ? memcmp(p->templates[0].dst.b, sa->dst.b, sizeof(sa->dst.b)) != 0 : !policy_has(p, sa))
			continue;
		*ret = *p;
		if (!sa->tunnel) {
			memcpy(ret->sel.src, sa->src.b, sizeof(ret->sel.src));
			memcpy(ret->sel.dst, sa->dst.b, sizeof(ret->sel.dst));
			ret->sel.src_prefix = ret->sel.dst_prefix = (uint8_t)bits;
		}
		return true;
	}
	return false;
}

static bool reqid_wanted(const struct spd *spd, uint32_t reqid)
{
	for (size_t i = 0; i < spd->n_policies; i++)
		if (spd->policies[i].n_templates && reqid_of(&spd->policies[i]) == reqid)
			return true;
	return false;
}

bool orphan_is_done(const struct xfrm_sa *sas, size_t n_sas, const struct xfrm_sa *orphan, const struct spis *known, const struct spd *spd)
{
	if (!reqid_wanted(spd, orphan->reqid))
		return true;
	for (size_t i = 0; i < n_sas; i++)
		if (!sas[i].larval && sas[i].reqid == orphan->reqid && sas[i].protocol == orphan->protocol && !way_cmp(&sas[i], orphan) &&
		    spis_have(known, sas[i].spi))
			return true;
	return false;
}

struct half {
	struct pin_peer	p;
	bool		from;	/* from the peer, else towards it */
};

/* Those towards the peer first, the newest first of all. */
static int half_cmp(const void *x, const void *y)
{
	const struct half *a = x, *b = y;
	int r = pin_peer_cmp(&a->p, &b->p);

	if (r || a->from != b->from)
		return r ? r : a->from - b->from;
	if (a->p.time != b->p.time)
		return a->p.time > b->p.time ? -1 : 1;
	return (a->p.spi < b->p.spi) - (a->p.spi > b->p.spi);
}

static size_t halves_make(struct half *ret, const struct pin_index *x, const struct xfrm_sa *sa)
{
	bool done[2] = { false, false };
	size_t n_policies, n = 0;
	const struct spd_policy *const *p = pin_index_find(x, sa->reqid, &n_policies);

	for (size_t i = 0; i < n_policies; i++) {
		const bool from = p[i]->dir == SPD_IN;

		if (done[from] || !policy_has(p[i], sa))
			continue;
		done[from] = true;
		ret[n++] = (struct half){ { from ? sa->src : sa->dst, sa->reqid, sa->spi, sa->add_time }, from };
	}
	return n;
}

int pin_peers(struct pin_peer **ret, size_t *ret_n, struct arena *a, const struct pin_index *x, const struct xfrm_sa *sas, size_t n_sas,
    struct err *err)
{
	struct half *h = arena_zalloc(a, 2 * n_sas + 1, sizeof(*h));
	struct pin_peer *peers = arena_zalloc(a, n_sas + 1, sizeof(*peers));
	size_t n = 0, n_peers = 0, first;

	if (!h || !peers)
		return err_nomem(err);
	for (size_t i = 0; i < n_sas; i++)
		if (!sas[i].larval && sas[i].spi && !sas[i].tunnel && pin_index_soft(x, sas[i].reqid))
			n += halves_make(h + n, x, &sas[i]);
	qsort(h, n, sizeof(*h), half_cmp);
	for (size_t i = 0; i < n; ) {
		for (first = i++; i < n && !pin_peer_cmp(&h[first].p, &h[i].p); i++)
			;
		if (!h[first].from && h[i - 1].from)
			peers[n_peers++] = h[first].p;
	}
	*ret = peers;
	*ret_n = n_peers;
	return 0;
}
