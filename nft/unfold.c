#include "nft/unfold.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/facts.h"

/* A policy that unfolds into more is refused: 100,000 mirrored filters between nets are 600,000 of
 * these.  They take 115 MB and, from policy to proved in the kernel, 3 s on two cores; more while another process
 * watches nftables, for which the kernel describes each element. */
#define MAX_SPECIFIC	640000
/* The same before equal ones are dropped: many rules may share one long filter list. */
#define MAX_SEEN	(4 * MAX_SPECIFIC)
#define MIN_SHRINK	16384	/* fewer are not worth looking for equal ones */
#define FILTER_WORD	10	/* "f:" and 8 digits, before what all filters of a rule have in their comments */

/* What decides about most pairs, in little memory. */
struct place {
	uint64_t	shape, key;	/* as specific_cmp compares them */
	uint32_t	i;		/* in the array */
};

static uint64_t key_head(const struct specific *f)
{
	uint8_t key[RS_KEY_MAX];
	uint64_t v = 0;

	specific_key(key, f);
	for (int i = 0; i < 8; i++)
		v = v << 8 | key[i];
	return v;
}

static int place_cmp(const void *a, const void *b, void *all)
{
	const struct place *p = a, *q = b;
	const struct specific *f = all;

	if (p->shape != q->shape)
		return p->shape < q->shape ? -1 : 1;
	if (p->key != q->key)
		return p->key < q->key ? -1 : 1;
	return specific_cmp(&f[p->i], &f[q->i]);
}

/* all[i] becomes what all[places[i].i] was. */
static void places_take(struct specific *all, struct place *places, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct specific first = all[i];
		size_t at = i, from;

		for (; (from = places[at].i) != i; at = from) {
			all[at] = all[from];
			places[at].i = (uint32_t)at;
		}
		all[at] = first;
		places[at].i = (uint32_t)at;
	}
}

static bool places_in_order(const struct place *places, size_t n, struct specific *all)
{
	for (size_t i = 1; i < n; i++)
		if (place_cmp(&places[i - 1], &places[i], all) > 0)
			return false;
	return true;
}

/* NULL: no memory. */
static struct place *places_sorted(struct specific *all, size_t n)
{
	struct place *places = malloc(n * sizeof(*places));

	for (size_t i = 0; places && i < n; i++)
		places[i] = (struct place){ specific_order(&all[i]), key_head(&all[i]), (uint32_t)i };
	if (places && !places_in_order(places, n, all))
		qsort_r(places, n, sizeof(*places), place_cmp, all);
	return places;
}

/* Equal ones go, so that there is room for more. */
static int unfold_shrink(struct unfold *x, struct err *err)
{
	struct place *places;
	size_t n = 0;

	if (!x->n)
		return 0;
	places = places_sorted(x->all, x->n);
	if (!places)
		return err_nomem(err);
	places_take(x->all, places, x->n);
	free(places);
	/* Ranges that are the same may stand apart, and then do no harm. */
	for (size_t i = 1; i < x->n; i++)
		if (!specific_same(&x->all[n], &x->all[i]) && ++n != i)
			x->all[n] = x->all[i];
	/* Where there are none it is not tried again before the limit. */
	x->keep_same |= n + 1 == x->n;
	x->n = n + 1;
	return 0;
}

int unfold_sort(struct unfold *x, struct err *err)
{
	struct place *places;

	x->order = malloc((x->n + 1) * sizeof(*x->order));
	places = x->order && x->n ? places_sorted(x->all, x->n) : NULL;
	if (!x->order || (x->n && !places))
		return err_nomem(err);
	/* What was left out is as what was taken last. */
	for (size_t i = 0; i < x->n; i++)
		if (!i || places[i - 1].shape != places[i].shape || places[i - 1].key != places[i].key ||
		    !specific_same(unfold_at(x, x->n_order - 1), &x->all[places[i].i]))
			x->order[x->n_order++] = places[i].i;
	free(places);
	return 0;
}

int unfold_forget(struct unfold *x, struct err *err)
{
	x->written = malloc((x->n_order + 1) * sizeof(*x->written));
	if (!x->written)
		return err_nomem(err);
	for (size_t i = 0; i < x->n_order; i++)
		x->written[i] = unfold_at(x, i)->written;
	free(x->all);
	free(x->order);
	x->all = NULL;
	x->order = NULL;
	return 0;
}

void unfold_free(struct unfold *x)
{
	free(x->all);
	free(x->order);
	free(x->written);
	arena_free(x->arena);
	x->all = NULL;
	x->order = NULL;
	x->written = NULL;
	x->arena = NULL;
}

static int limit(struct err *err)
{
	return err_set(err, ERR_LIMIT, "with it the policy unfolds into more than %d filters", MAX_SPECIFIC);
}

/* Drops what is the same before it grows, so that the size follows what counts.
 * Growth stops once at the limit, so that the rule that exceeds it is the one named. */
static int unfold_room(struct unfold *x, struct err *err)
{
	struct specific *all;
	size_t size;

	if (x->n < x->size)
		return 0;
	if (((!x->keep_same && x->n >= MIN_SHRINK) || x->n > MAX_SPECIFIC) && unfold_shrink(x, err) < 0)
		return -1;
	if (x->n > MAX_SPECIFIC)
		return limit(err);
	size = x->n + (x->n < MAX_SPECIFIC / 4 ? x->n + 64 : MAX_SPECIFIC / 4);
	if (size > MAX_SPECIFIC && x->size <= MAX_SPECIFIC)
		size = MAX_SPECIFIC + 1;
	if (size <= x->size)
		return 0;
	all = realloc(x->all, size * sizeof(*all));
	if (!all)
		return err_nomem(err);
	x->all = all;
	x->size = size;
	return 0;
}

static int specific_add(struct unfold *x, const struct specific *f, struct err *err)
{
	if (x->n_seen++ == MAX_SEEN)
		return err_set(err, ERR_LIMIT, "with it the policy unfolds into more than %d filters, equal ones counted",
		    MAX_SEEN);
	if (unfold_room(x, err) < 0)
		return -1;
	x->all[x->n++] = *f;
	return x->n > MAX_SPECIFIC ? unfold_room(x, err) : 0;
}

static int fact_of(enum ipsec_addr_kind k)
{
	switch (k) {
	case IPSEC_ADDR_DNS: return FACT_DNS;
	case IPSEC_ADDR_WINS: return FACT_WINS;
	case IPSEC_ADDR_DHCP: return FACT_DHCP;
	case IPSEC_ADDR_GATEWAY: return FACT_GATEWAY;
	default: return -1;
	}
}

/* How many addresses one side stands for; a server kind: those we know, of any family. */
static size_t side_count(const struct unfold *x, const struct ipsec_addr *a)
{
	int fact = fact_of(a->kind);

	return fact < 0 ? 1 : x->facts->n_addrs[fact];
}

/* The i-th of them in this family; false: it is of the other one. */
static bool side_make(const struct unfold *x, struct side *ret, const struct ipsec_addr *a, size_t i, uint8_t family)
{
	int fact = fact_of(a->kind);

	switch (a->kind) {
	case IPSEC_ADDR_ANY:
		side_any(ret);
		return true;
	case IPSEC_ADDR_ME:
		side_me(ret, family);
		return true;
	case IPSEC_ADDR_NET:
		side_net(ret, family, a->lo, a->prefix);
		return true;
	case IPSEC_ADDR_RANGE:
		side_range(ret, family, a->lo, a->hi);
		return true;
	default:
		if (x->facts->addrs[fact][i].family != family)
			return false;
		side_net(ret, family, x->facts->addrs[fact][i].b, family == AF_INET ? 32 : 128);
		return true;
	}
}

static int direction_add(struct unfold *x, const struct specific *f, struct err *err)
{
	struct specific s = *f;

	for (int h = 0; h < ACT_N_HOOKS; h++) {
		s.hook = (enum act_hook)h;
		if (!(x->rule_hooks & 1u << h) || !specific_seen(&s))
			continue;
		specific_rank(&s);
		if (specific_add(x, &s, err) < 0)
			return -1;
	}
	return 0;
}

static bool side_equal(const struct side *a, const struct side *b)
{
	return a->me == b->me && a->any == b->any && a->port.lo == b->port.lo && a->port.hi == b->port.hi &&
	    !memcmp(a->lo, b->lo, sizeof(a->lo)) && !memcmp(a->hi, b->hi, sizeof(a->hi));
}

static int pair_add(struct unfold *x, const struct specific *f, bool mirrored, struct err *err)
{
	struct specific s = *f;

	if (direction_add(x, &s, err) < 0)
		return -1;
	if (!mirrored || side_equal(&s.src, &s.dst))
		return 0;
	s.src = f->dst;
	s.dst = f->src;
	return direction_add(x, &s, err);
}

static int family_add(struct unfold *x, struct specific *s, const struct ipsec_filter *f, size_t *n_pairs, struct err *err)
{
	for (size_t i = 0; i < side_count(x, &f->src); i++) {
		if (!side_make(x, &s->src, &f->src, i, s->family))
			continue;
		s->src.port = f->src_port;
		for (size_t k = 0; k < side_count(x, &f->dst); k++) {
			if (!side_make(x, &s->dst, &f->dst, k, s->family))
				continue;
			s->dst.port = f->dst_port;
			++*n_pairs;
			if (pair_add(x, s, f->mirrored, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* Bit 0: IPv4, bit 1: IPv6. */
static unsigned filter_families(const struct ipsec_filter *f, const struct render_options *o)
{
	const uint8_t family = f->src.family != AF_UNSPEC ? f->src.family : f->dst.family;

	if (family != AF_UNSPEC)
		return family == AF_INET ? 1 : 2;
	return o->any_is_ipv4 ? 1 : 3;
}

/* What a filter's protocol is in IPv4 (0) or IPv6 (1); false: nothing there. */
static bool protocol_of(uint8_t *ret, uint8_t protocol, unsigned families, int v6)
{
	const bool both = families == 3;

	*ret = both && v6 && protocol == IPPROTO_ICMP ? IPPROTO_ICMPV6 : protocol;
	return !(both && !v6 && protocol == IPPROTO_ICMPV6);
}

static int port_check(const struct ipsec_ports *p, const struct ipsec_filter *f, const char *which, struct err *err)
{
	if (!p->lo && !p->hi)
		return 0;
	if (f->protocol != 6 && f->protocol != 17)
		return err_set(err, ERR_UNSUPPORTED, "%s port without TCP or UDP", which);
	if (p->lo > p->hi)
		return err_set(err, ERR_FORMAT, "%s ports %u-%u are reversed", which, p->lo, p->hi);
	return 0;
}

static int addr_check(const struct ipsec_addr *a, const char *which, struct err *err)
{
	const unsigned bits = a->family == AF_INET ? 32 : a->family == AF_INET6 ? 128 : 0;

	if (a->family != AF_UNSPEC && !bits)
		return err_set(err, ERR_UNSUPPORTED, "%s address of family %u", which, a->family);
	switch (a->kind) {
	case IPSEC_ADDR_ANY: case IPSEC_ADDR_ME: case IPSEC_ADDR_DNS: case IPSEC_ADDR_WINS:
	case IPSEC_ADDR_DHCP: case IPSEC_ADDR_GATEWAY:
		return 0;
	case IPSEC_ADDR_NET:
		if (!bits || a->prefix > bits)
			return err_set(err, ERR_FORMAT, "%s prefix length %u", which, a->prefix);
		return 0;
	case IPSEC_ADDR_RANGE:
		if (!bits || memcmp(a->lo, a->hi, bits / 8) > 0)
			return err_set(err, ERR_FORMAT, "%s address range is reversed", which);
		return 0;
	}
	return err_set(err, ERR_UNSUPPORTED, "%s address of unknown kind %d", which, (int)a->kind);
}

static int filter_check(const struct ipsec_filter *f, struct err *err)
{
	if (addr_check(&f->src, "source", err) < 0 || addr_check(&f->dst, "destination", err) < 0 ||
	    port_check(&f->src_port, f, "source", err) < 0 || port_check(&f->dst_port, f, "destination", err) < 0)
		return -1;
	if (f->src.family != AF_UNSPEC && f->dst.family != AF_UNSPEC && f->src.family != f->dst.family)
		return err_set(err, ERR_UNSUPPORTED, "source and destination are of different families");
	return 0;
}

/* ---- words for people ---- */

/* " r:... g:... NAME", as far as it fits behind "f:...". */
static const char *rule_comment(struct unfold *x, const struct render_source *from, const struct ipsec_rule *rule)
{
	const char *name = *rule->name ? rule->name : rule->filter_list->name;
	char u[9], g[9] = "", text[RS_COMMENT_MAX + 1 - FILTER_WORD];
	int n, more;

	guid_short(&rule->id, u);
	if (!guid_is_zero(&from->gpo))
		guid_short(&from->gpo, g);
	n = snprintf(text, sizeof(text), " r:%s%s%s%s%s", u, *g ? " g:" : "", g,
	    from->store == RENDER_DOMAIN ? "" : " s:", from->store == RENDER_DOMAIN ? "" : render_store_name(from->store));
	more = *name ? snprintf(text + n, sizeof(text) - (size_t)n, " %s", name) : 0;
	if (more >= (int)(sizeof(text) - (size_t)n))
		text[n] = '\0';
	rs_printable(text);
	return arena_strdup(x->arena, text);
}


struct rs_origin written_origin(const struct written *w)
{
	return (struct rs_origin){ w->filter->id, w->rule->id, w->from->gpo, (uint8_t)w->from->store };
}

_Static_assert(_Alignof(struct rs_origin) == 1, "an origin stands anywhere");

bool written_keep(const char **ret_comment, const struct rs_origin **ret, struct ruleset *r, struct written *w)
{
	const struct rs_origin origin = written_origin(w);
	const size_t len = strlen(w->rule_comment) + 1;
	char *p = (char *)(uintptr_t)w->kept, id[9];

	if (!p) {
		p = arena_bytes(r->arena, sizeof(origin) + FILTER_WORD + len);
		if (!p) {
			r->failed = true;
			return false;
		}
		guid_short(&w->filter->id, id);
		memcpy(p, &origin, sizeof(origin));
		memcpy(p + sizeof(origin), "f:", 2);
		memcpy(p + sizeof(origin) + 2, id, 8);
		memcpy(p + sizeof(origin) + FILTER_WORD, w->rule_comment, len);
		w->kept = (const void *)p;
	}
	*ret = w->kept;
	*ret_comment = p + sizeof(origin);
	return true;
}

static void warn_unknown(struct unfold *x, const struct ipsec_rule *rule, const struct ipsec_filter *f)
{
	const int fact = fact_of(f->src.kind) >= 0 ? fact_of(f->src.kind) : fact_of(f->dst.kind);
	char r[GUID_TEXT], g[GUID_TEXT], text[256];

	guid_text(&rule->id, r);
	guid_text(&f->id, g);
	snprintf(text, sizeof(text), "rule %s '%.80s': filter %s filters nothing: no address of a %s server is known",
	    r, rule->name, g, fact < 0 ? "such" : fact_name((enum fact_kind)fact));
	rs_printable(text);
	rs_warn(x->r, "%s", text);
}

/* ---- rules of a policy ---- */

static enum act_kind rule_kind(const struct ipsec_rule *rule)
{
	const struct ipsec_negpol *n = rule->negpol;

	if (n->action == IPSEC_BLOCK)
		return ACT_BLOCK;
	/* Whatever else it says, a tunnel rule is no reason to let anything through in clear. */
	if (rule->tunnel)
		return ACT_REQUIRE;
	if (n->action == IPSEC_PERMIT)
		return ACT_PERMIT;
	if (n->inpass)
		return n->soft ? ACT_REQUEST_PASS : ACT_PASS;
	return n->soft ? ACT_REQUEST : ACT_REQUIRE;
}

enum act_kind written_kind(const struct written *w)
{
	return rule_kind(w->rule);
}

static int filter_add(struct unfold *x, const struct render_source *from, const struct ipsec_rule *rule,
    const struct ipsec_filter *f, struct written *w, struct err *err)
{
	struct specific s = { .tunnel = rule->tunnel, .conntype = rule->conntype, .kind = rule_kind(rule),
		.store = from->store };
	const unsigned families = filter_families(f, x->o);
	size_t n_pairs = 0;

	if (filter_check(f, err) < 0)
		return -1;
	s.written = w;
	s.written->filter = f;
	s.written->rule = rule;
	s.written->from = from;
	s.written->rule_comment = x->rule_comment;
	for (int i = 0; i < 2; i++) {
		if (!(families & 1u << i) || !protocol_of(&s.protocol, f->protocol, families, i))
			continue;
		s.family = i ? AF_INET6 : AF_INET;
		if (family_add(x, &s, f, &n_pairs, err) < 0)
			return -1;
	}
	if (!n_pairs)
		warn_unknown(x, rule, f);
	return 0;
}

static int rule_add(struct unfold *x, const struct render_source *from, const struct ipsec_rule *rule, struct err *err)
{
	const size_t n = rule->filter_list ? rule->filter_list->n_filters : 0;
	struct written *all;
	char id[GUID_TEXT];

	if (!rule->active || rule->default_response || !rule->filter_list)
		return 0;
	if (rule->interface_name && *rule->interface_name)
		return err_set(err, ERR_UNSUPPORTED, "is for the interface '%s' alone", rule->interface_name);
	if (!x->arena)
		x->arena = arena_new(0);
	x->rule_comment = x->arena ? rule_comment(x, from, rule) : NULL;
	all = x->rule_comment ? arena_zalloc(x->arena, n, sizeof(*all)) : NULL;
	if (!all)
		return err_nomem(err);
	x->rule_hooks = from->rule_hooks ? from->rule_hooks[rule - from->policy->rules] : 0xff;
	for (size_t i = 0; i < n; i++)
		if (filter_add(x, from, rule, &rule->filter_list->filters[i], &all[i], err) < 0) {
			guid_text(&rule->filter_list->filters[i].id, id);
			return err_prefix(err, "filter %s", id);
		}
	return 0;
}

/* What unfold_room has left to be seen: more than the limit, but with equal ones. */
static int limit_check(struct unfold *x, struct err *err)
{
	if (x->n > MAX_SPECIFIC && unfold_shrink(x, err) < 0)
		return -1;
	return x->n > MAX_SPECIFIC ? limit(err) : 0;
}

int source_unfold(struct unfold *x, const struct render_source *from, struct err *err)
{
	const size_t last = from->policy->n_rules - 1;
	char id[GUID_TEXT];

	for (size_t i = 0; i < from->policy->n_rules; i++)
		if (rule_add(x, from, &from->policy->rules[i], err) < 0 || (i == last && limit_check(x, err) < 0)) {
			guid_text(&from->policy->rules[i].id, id);
			return err_prefix(err, "rule %s '%s'", id, from->policy->rules[i].name);
		}
	return 0;
}
