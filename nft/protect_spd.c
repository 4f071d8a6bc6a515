/* Specific filters -> the kernel's policies. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nft/protect_parts.h"
#include "schema/err.h"
#include "schema/policy.h"

/* That the kernel does not ask IKE about what a block filter drops is a courtesy to the daemon: long
 * lists of them go without. */
#define MAX_BLOCK_PASSES	4096	/* policies, of one hook and family */
#define MAX_NUMBER		((SPD_PRIORITY_MAX - SPD_PRIORITY_MIN) / 2)
/* No child has it: what must come protected, but by nothing that is there. */
#define REQID_CLOSED		SPD_REQID_MIN

/* The filters of one hook and family. */
struct block {
	struct work	*w;
	size_t		 begin, end;
	enum act_hook	 hook;
	uint8_t		 family;
	size_t		 last;		/* behind the last that is protected; begin: none is */
	struct extent	*remotes;	/* of those, sorted, none meets another */
	size_t		 n_remotes;
	bool		 block_passes;
	uint32_t	*number;	/* given last */
	size_t		 numbered;	/* for this one; end: none yet */
};

static const struct side *own_side(const struct specific *f)
{
	return f->hook == ACT_IN ? &f->dst : &f->src;
}

static const struct side *remote_side(const struct specific *f)
{
	return f->hook == ACT_IN ? &f->src : &f->dst;
}

/* ---- which clear ones matter ---- */

static int extent_order(const void *a, const void *b)
{
	return extent_cmp(a, b);
}

static void extents_merge(struct block *b)
{
	size_t n = 0;

	if (!b->n_remotes)
		return;
	qsort(b->remotes, b->n_remotes, sizeof(*b->remotes), extent_order);
	for (size_t i = 1; i < b->n_remotes; i++)
		if (!extents_meet(&b->remotes[n], &b->remotes[i]))
			b->remotes[++n] = b->remotes[i];
		else if (memcmp(b->remotes[i].hi, b->remotes[n].hi, sizeof(b->remotes[n].hi)) > 0)
			memcpy(b->remotes[n].hi, b->remotes[i].hi, sizeof(b->remotes[n].hi));
	b->n_remotes = n + 1;
}

static bool is_overlapped(const struct block *b, const struct extent *e)
{
	size_t lo = 0, hi = b->n_remotes;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (memcmp(b->remotes[mid].hi, e->lo, sizeof(e->lo)) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < b->n_remotes && extents_meet(&b->remotes[lo], e);
}

/* Some that is less specific protects what the i-th is about (perhaps: protocol and ports do not count).  Of forwarded
 * ones only tunnels protect, and all of their filters come first. */
static bool matters(const struct block *b, size_t i)
{
	const struct specific *f = unfold_at(&b->w->x, i);
	struct extent e;

	if (i >= b->last)
		return false;
	if (b->hook == ACT_FORWARD)
		return f->tunnel;
	extent_side(&e, f->family, remote_side(f));
	return is_overlapped(b, &e);
}

/* How many policies it would become, at most. */
static size_t policies_of(const struct block *b, const struct specific *f)
{
	struct net nets[NETS_MAX];
	struct port_mask masks[PORT_MASKS_MAX];
	struct extent e;
	size_t n;

	extent_side(&e, f->family, remote_side(f));
	n = extent_nets(nets, f->family, &e) * port_masks(masks, &f->src.port) * port_masks(masks, &f->dst.port);
	if (b->hook != ACT_FORWARD)
		return n * b->w->n_own[family_index(f->family)];
	extent_side(&e, f->family, &f->src);
	return n * extent_nets(nets, f->family, &e);
}

static int block_look(struct block *b, struct err *err)
{
	struct work *w = b->w;
	size_t n = 0, passes = 0;

	b->last = b->begin;
	for (size_t i = b->begin; i < b->end; i++)
		if (w->fates[i].fate == FATE_PROTECT) {
			b->last = i + 1;
			n++;
		}
	b->remotes = malloc((n + 1) * sizeof(*b->remotes));
	if (!b->remotes)
		return err_nomem(err);
	for (size_t i = b->begin; i < b->last; i++)
		if (w->fates[i].fate == FATE_PROTECT)
			extent_side(&b->remotes[b->n_remotes++], b->family, remote_side(unfold_at(&w->x, i)));
	extents_merge(b);
	for (size_t i = b->begin; b->hook != ACT_IN && i < b->last && passes <= MAX_BLOCK_PASSES; i++)
		if (unfold_at(&w->x, i)->kind == ACT_BLOCK && w->fates[i].fate == FATE_CLEAR && matters(b, i))
			passes += policies_of(b, unfold_at(&w->x, i));
	b->block_passes = passes <= MAX_BLOCK_PASSES;
	return 0;
}

/* ---- one filter ---- */

/* What they say is the same: which of them comes first does not count. */
static bool fate_same(const struct work *w, size_t i, size_t k)
{
	const struct fated *a = &w->fates[i], *b = &w->fates[k];

	if (a->fate != b->fate || a->fate == FATE_CLEAR)
		return a->fate == b->fate;
	return a->child == b->child && unfold_at(&w->x, i)->kind == unfold_at(&w->x, k)->kind;
}

/* Even ones from 2 on: below each there is room for a pin.  Filters of one rank are for different packets, but for
 * ranges. */
static int number_next(struct block *b, size_t i, struct err *err)
{
	const struct specific *f = unfold_at(&b->w->x, i);

	if (b->numbered == b->end || unfold_at(&b->w->x, b->numbered)->rank != f->rank ||
	    (f->range && !fate_same(b->w, b->numbered, i)))
		++*b->number;
	b->numbered = i;
	if (*b->number <= MAX_NUMBER)
		return 0;
	err_set(err, ERR_LIMIT, "with it more than %u sorts of filters come one before the other", MAX_NUMBER);
	return rule_prefix(err, f->written->rule);
}

static bool level_required(enum act_kind k, enum spd_dir dir)
{
	return k == ACT_REQUIRE || (k == ACT_PASS && dir != SPD_IN);
}

static void template_add(struct spd_policy *p, uint8_t protocol, bool required, uint32_t reqid)
{
	p->templates[p->n_templates++] = (struct spd_template){ .protocol = protocol, .required = required, .reqid = reqid };
}

static void protect_fill(struct spd_policy *p, const struct child *c, enum act_kind kind)
{
	const bool required = level_required(kind, p->dir);
	struct spd_template *t = p->templates;

	p->n_templates = 0;
	if (c->use->ah_esp) {
		template_add(p, IPPROTO_ESP, required, c->reqid);
		template_add(p, IPPROTO_AH, required, c->reqid);
		return;
	}
	template_add(p, c->use->quick->ah ? IPPROTO_AH : IPPROTO_ESP, required, c->reqid);
	if (!c->key.tunnel)
		return;
	t->tunnel = true;
	t->src.family = t->dst.family = c->end.family;
	memcpy(p->dir == SPD_OUT ? t->dst.b : t->src.b, c->end.b, sizeof(c->end.b));
	memcpy(p->dir == SPD_OUT ? t->src.b : t->dst.b, c->own_end.b, sizeof(c->own_end.b));
}

/* With this host's side as it is in s. */
static int filter_spread(struct block *b, struct spread *s, size_t i, const struct child *c, struct err *err)
{
	const enum fate fate = b->w->fates[i].fate;
	const struct specific *f = unfold_at(&b->w->x, i);

	s->p.n_templates = 0;
	if (fate == FATE_PROTECT)
		protect_fill(&s->p, c, f->kind);
	else if (fate == FATE_CLOSED && f->kind == ACT_REQUIRE && s->p.dir != SPD_OUT)
		template_add(&s->p, IPPROTO_ESP, true, REQID_CLOSED);
	if (fate == FATE_PROTECT && !c->use->ah_esp && (f->kind == ACT_REQUEST || f->kind == ACT_REQUEST_PASS))
		b->w->p->n_soft += s->n_src * s->n_dst;
	return policies_add(b->w, s, err);
}

static void spread_begin(struct spread *s, const struct block *b, const struct specific *f, const struct rs_origin *origin)
{
	*s = (struct spread){ .p = { .sel = { .family = f->family, .protocol = f->protocol },
		.priority = SPD_PRIORITY_MIN + 2 * *b->number, .comment = f->written->rule_comment, .origin = origin },
		.sport = f->src.port, .dport = f->dst.port, .rule = f->written->rule };

	while (*s->p.comment == ' ')
		s->p.comment++;
}

/* To or from this host: once for each of its addresses. */
static int local_add(struct block *b, const struct specific *f, size_t i, struct spread *s, struct err *err)
{
	const struct side *mine = own_side(f);
	const int v = family_index(b->family);
	struct child *c = b->w->fates[i].child;
	struct net remote[NETS_MAX], own = { .prefix = b->family == AF_INET ? 32 : 128 };
	struct extent e, here;
	size_t n;

	extent_side(&e, b->family, remote_side(f));
	n = extent_nets(remote, b->family, &e);
	extent_any(&here, b->family);
	if (!mine->me)
		extent_side(&here, b->family, mine);
	s->src = f->hook == ACT_IN ? remote : &own;
	s->dst = f->hook == ACT_IN ? &own : remote;
	s->n_src = f->hook == ACT_IN ? n : 1;
	s->n_dst = f->hook == ACT_IN ? 1 : n;
	s->p.dir = f->hook == ACT_IN ? SPD_IN : SPD_OUT;
	for (size_t k = 0; k < b->w->n_own[v]; k++) {
		const struct ip_addr *a = &b->w->own[v][k];

		if (!extent_has(&here, a->b))
			continue;
		if (c && c->key.tunnel && half_child(&c, b->w, f, a, err) < 0)
			return -1;
		memcpy(own.addr, a->b, sizeof(own.addr));
		if (filter_spread(b, s, i, c, err) < 0)
			return -1;
	}
	return 0;
}

/* Forwarded, through a tunnel: out of this host where it is the outbound half, else after it was unwrapped. */
static int forward_add(struct block *b, const struct specific *f, size_t i, struct spread *s, struct err *err)
{
	const struct fated *fate = &b->w->fates[i];
	struct net src[NETS_MAX], dst[NETS_MAX];
	struct extent e;
	bool out = true, in = fate->fate == FATE_CLOSED;

	if (fate->fate == FATE_PROTECT) {
		in = half_inbound(b->w, f);
		out = !in;
	}
	extent_side(&e, b->family, &f->src);
	s->n_src = extent_nets(src, b->family, &e);
	extent_side(&e, b->family, &f->dst);
	s->n_dst = extent_nets(dst, b->family, &e);
	s->src = src;
	s->dst = dst;
	s->p.dir = SPD_OUT;
	if (out && filter_spread(b, s, i, fate->child, err) < 0)
		return -1;
	s->p.dir = SPD_FWD;
	return in ? filter_spread(b, s, i, fate->child, err) : 0;
}

static bool is_wanted(const struct block *b, size_t i)
{
	const struct specific *f = unfold_at(&b->w->x, i);

	switch (b->w->fates[i].fate) {
	case FATE_NONE:
		return false;
	case FATE_PROTECT:
		return true;
	case FATE_CLOSED:
		return matters(b, i);
	case FATE_CLEAR:
		/* What comes in blocked nftables drops, however it came. */
		return (f->kind == ACT_PERMIT || (b->block_passes && b->hook != ACT_IN)) && matters(b, i);
	}
	return false;
}

int block_policies(struct work *w, size_t begin, size_t end, struct err *err)
{
	struct block b = { .w = w, .begin = begin, .end = end, .hook = unfold_at(&w->x, begin)->hook,
		.family = unfold_at(&w->x, begin)->family, .numbered = end };
	uint32_t inbound = 0;
	int rc = -1;

	/* Forwarded packets have other addresses than this host's own: behind these. */
	b.number = b.hook == ACT_IN ? &inbound : &w->number[family_index(b.family)];
	if (block_look(&b, err) < 0)
		goto out;
	if (b.last > b.begin && exempt_policies(w, b.family, err) < 0)
		goto out;
	for (size_t i = begin; i < b.last; i++) {
		const struct specific *f = unfold_at(&w->x, i);
		const struct rs_origin origin = written_origin(f->written);
		struct spread s;

		if (!is_wanted(&b, i))
			continue;
		if (number_next(&b, i, err) < 0)
			goto out;
		w->p->n_filters += w->fates[i].fate == FATE_PROTECT && !w->fates[i].child->use->ah_esp;
		spread_begin(&s, &b, f, &origin);
		if ((b.hook == ACT_FORWARD ? forward_add(&b, f, i, &s, err) : local_add(&b, f, i, &s, err)) < 0)
			goto out;
	}
	rc = 0;
out:
	free(b.remotes);
	return rc;
}
