#include "nft/spd.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "schema/arena.h"
#include "schema/err.h"

struct spd *spd_new(void)
{
	struct arena *a = arena_new(0);
	struct spd *s = a ? arena_zalloc(a, 1, sizeof(*s)) : NULL;

	if (!s) {
		arena_free(a);
		return NULL;
	}
	s->arena = a;
	return s;
}

void spd_free(struct spd *s)
{
	if (s)
		arena_free(s->arena);
}

void spd_add(struct spd *s, const struct spd_policy *p)
{
	struct spd_policy *all = arena_grow(s->arena, s->policies, s->n_policies, sizeof(*all));
	struct rs_origin *origin = NULL;
	char *comment = NULL;

	s->sealed = false;
	if (p->comment && *p->comment)
		comment = arena_strdup(s->arena, p->comment);
	if (p->origin)
		origin = arena_memdup(s->arena, p->origin, sizeof(*origin));
	if (!all || (p->origin && !origin) || (p->comment && *p->comment && !comment)) {
		s->failed = true;
		return;
	}
	if (comment)
		rs_printable(comment);
	s->policies = all;
	all[s->n_policies] = *p;
	all[s->n_policies].comment = comment ? comment : "";
	all[s->n_policies++].origin = origin;
}

/* ---- comparing ---- */

static int num_cmp(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

int spd_selector_cmp(const struct spd_policy *a, const struct spd_policy *b)
{
	const struct spd_selector *x = &a->sel, *y = &b->sel;
	int d;

	if ((d = num_cmp(a->dir, b->dir)) || (d = num_cmp(x->family, y->family)) ||
	    (d = memcmp(x->src, y->src, sizeof(x->src))) || (d = num_cmp(x->src_prefix, y->src_prefix)) ||
	    (d = memcmp(x->dst, y->dst, sizeof(x->dst))) || (d = num_cmp(x->dst_prefix, y->dst_prefix)) ||
	    (d = num_cmp(x->protocol, y->protocol)) ||
	    (d = num_cmp(x->sport, y->sport)) || (d = num_cmp(x->sport_mask, y->sport_mask)) ||
	    (d = num_cmp(x->dport, y->dport)))
		return d;
	return num_cmp(x->dport_mask, y->dport_mask);
}

static int template_cmp(const struct spd_template *a, const struct spd_template *b)
{
	int d;

	if ((d = num_cmp(b->required, a->required)) || (d = num_cmp(a->protocol, b->protocol)) ||
	    (d = num_cmp(a->tunnel, b->tunnel)) || (d = num_cmp(a->reqid, b->reqid)) || (d = ip_addr_cmp(&a->src, &b->src)))
		return d;
	return ip_addr_cmp(&a->dst, &b->dst);
}

/* What is done with the packets; that which protects more comes first. */
static int templates_cmp(const struct spd_policy *a, const struct spd_policy *b)
{
	int d = num_cmp(b->n_templates, a->n_templates);

	for (unsigned i = 0; !d && i < a->n_templates; i++)
		d = template_cmp(&a->templates[i], &b->templates[i]);
	return d;
}

bool spd_policy_equal(const struct spd_policy *a, const struct spd_policy *b)
{
	return spd_selector_cmp(a, b) == 0 && a->priority == b->priority && templates_cmp(a, b) == 0;
}

/* Nothing that can be told apart is equal, so that the order of adding does not count. */
static int policy_cmp(const void *a, const void *b)
{
	const struct spd_policy *x = a, *y = b;
	int d;

	if ((d = spd_selector_cmp(x, y)) || (d = num_cmp(x->priority, y->priority)) || (d = templates_cmp(x, y)) ||
	    (d = num_cmp(x->expires, y->expires)) || (d = strcmp(x->comment, y->comment)))
		return d;
	if (!x->origin || !y->origin)
		return !x->origin - !y->origin;
	return memcmp(x->origin, y->origin, offsetof(struct rs_origin, store) + sizeof(x->origin->store));
}

int spd_walk(const struct spd *want, const struct spd *have, spd_see *see, void *cookie)
{
	const size_t n = want ? want->n_policies : 0, m = have ? have->n_policies : 0;
	size_t i = 0, j = 0;
	int d, rc = 0;

	while (!rc && (i < n || j < m)) {
		d = i == n ? 1 : j == m ? -1 : spd_selector_cmp(&want->policies[i], &have->policies[j]);
		if (d < 0)
			rc = see(&want->policies[i++], NULL, cookie);
		else if (d > 0)
			rc = see(NULL, &have->policies[j++], cookie);
		else if (spd_policy_equal(&want->policies[i++], &have->policies[j++]))
			continue;
		else
			rc = see(&want->policies[i - 1], &have->policies[j - 1], cookie);
	}
	return rc;
}

const struct spd_policy *spd_find(const struct spd *s, const struct spd_policy *key)
{
	size_t lo = 0, hi = s->n_policies, mid;
	int d;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		d = spd_selector_cmp(&s->policies[mid], key);
		if (d == 0)
			return &s->policies[mid];
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* ---- checking ---- */

static unsigned address_bits(unsigned family)
{
	return family == AF_INET ? 32 : family == AF_INET6 ? 128 : 0;
}

/* The first `prefix` bits of addr; the others, IPv4's unused bytes among them, are zero? */
static bool is_network(const uint8_t addr[static 16], unsigned prefix)
{
	uint8_t mask[16];

	rs_mask(mask, sizeof(mask), prefix);
	for (unsigned i = 0; i < sizeof(mask); i++)
		if (addr[i] & ~mask[i])
			return false;
	return true;
}

static bool has_ports(unsigned protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ||
	    protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

static int selector_check(const struct spd_selector *s, struct err *err)
{
	const unsigned bits = address_bits(s->family);

	if (!bits)
		return err_set(err, ERR_FORMAT, "%u is no address family", s->family);
	if (s->src_prefix > bits || s->dst_prefix > bits)
		return err_set(err, ERR_FORMAT, "a prefix is longer than %u bits", bits);
	if (!is_network(s->src, s->src_prefix) || !is_network(s->dst, s->dst_prefix))
		return err_set(err, ERR_FORMAT, "an address has bits set beyond its prefix");
	if ((s->sport & ~s->sport_mask) || (s->dport & ~s->dport_mask))
		return err_set(err, ERR_FORMAT, "a port has bits set beyond its mask");
	if ((s->sport_mask || s->dport_mask) && !has_ports(s->protocol))
		return err_set(err, ERR_FORMAT, "protocol %u has no ports", s->protocol);
	return 0;
}

static int template_check(const struct spd_template *t, struct err *err)
{
	static const struct ip_addr none;

	if (t->protocol != IPPROTO_ESP && t->protocol != IPPROTO_AH)
		return err_set(err, ERR_FORMAT, "protocol %u protects nothing", t->protocol);
	if (t->reqid < SPD_REQID_MIN || t->reqid > SPD_REQID_MAX)
		return err_set(err, ERR_FORMAT, "reqid 0x%08x is not one of ours", t->reqid);
	if (!t->tunnel && (ip_addr_cmp(&t->src, &none) || ip_addr_cmp(&t->dst, &none)))
		return err_set(err, ERR_FORMAT, "transport mode has no outer addresses");
	if (t->tunnel && (!address_bits(t->src.family) || t->src.family != t->dst.family ||
	    !is_network(t->src.b, address_bits(t->src.family)) || !is_network(t->dst.b, address_bits(t->dst.family))))
		return err_set(err, ERR_FORMAT, "the outer addresses of tunnel mode are not two of one family");
	return 0;
}

static bool is_soft(const struct spd_policy *p)
{
	for (unsigned i = 0; i < p->n_templates; i++)
		if (p->templates[i].required)
			return false;
	return p->n_templates;
}

int spd_policy_check(const struct spd_policy *p, struct err *err)
{
	if (p->dir != SPD_IN && p->dir != SPD_OUT && p->dir != SPD_FWD)
		return err_set(err, ERR_FORMAT, "%d is no direction", (int)p->dir);
	if (selector_check(&p->sel, err) < 0)
		return -1;
	if (p->priority < SPD_PRIORITY_MIN || p->priority > SPD_PRIORITY_MAX)
		return err_set(err, ERR_FORMAT, "priority %u is not one of ours", p->priority);
	if (is_soft(p) && (p->priority == SPD_PRIORITY_MIN || p->priority % 2))
		return err_set(err, ERR_FORMAT, "priority %u leaves no room for pins", p->priority);
	if (p->n_templates > 2)
		return err_set(err, ERR_FORMAT, "%u templates", p->n_templates);
	for (unsigned i = 0; i < p->n_templates; i++)
		if (template_check(&p->templates[i], err) < 0)
			return -1;
	if (p->n_templates == 2 && (p->templates[0].protocol != IPPROTO_ESP || p->templates[1].protocol != IPPROTO_AH ||
	    p->templates[0].required != p->templates[1].required))
		return err_set(err, ERR_FORMAT, "two templates are ESP, then AH, of one level");
	return 0;
}

static int policy_name(struct err *err, const struct spd_policy *p)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out)
		spd_policy_write(p, out);
	if (out && fclose(out) == 0)
		err_prefix(err, "IPsec policy %s", text);
	free(text);
	return -1;
}

int spd_seal(struct spd *s, struct err *err)
{
	size_t n = 0;

	if (s->failed)
		return err_nomem(err);
	for (size_t i = 0; i < s->n_policies; i++)
		if (spd_policy_check(&s->policies[i], err) < 0)
			return policy_name(err, &s->policies[i]);
	if (s->n_policies)
		qsort(s->policies, s->n_policies, sizeof(*s->policies), policy_cmp);
	for (size_t i = 0; i < s->n_policies; i++)
		if (!n || spd_selector_cmp(&s->policies[n - 1], &s->policies[i]))
			s->policies[n++] = s->policies[i];
	if (n > SPD_MAX)
		return err_set(err, ERR_LIMIT, "%zu IPsec policies, %u at most", n, SPD_MAX);
	s->n_policies = n;
	s->sealed = true;
	return 0;
}

/* ---- pins ---- */

static uint8_t *remote_of(struct spd_policy *p, uint8_t **prefix)
{
	*prefix = p->dir == SPD_OUT ? &p->sel.dst_prefix : &p->sel.src_prefix;
	return p->dir == SPD_OUT ? p->sel.dst : p->sel.src;
}

bool spd_pin(struct spd_policy *ret, const struct spd_policy *p, const struct ip_addr *peer, uint32_t seconds)
{
	struct spd_policy pin = *p;
	const unsigned bits = address_bits(p->sel.family);
	uint8_t *remote, *prefix, mask[16];

	if (p->dir == SPD_FWD || !is_soft(p) || peer->family != p->sel.family || !seconds)
		return false;
	remote = remote_of(&pin, &prefix);
	rs_mask(mask, sizeof(mask), *prefix);
	for (unsigned i = 0; i < bits / 8; i++)
		if ((peer->b[i] & mask[i]) != remote[i])
			return false;
	memcpy(remote, peer->b, bits / 8);
	*prefix = (uint8_t)bits;
	for (unsigned i = 0; i < pin.n_templates; i++) {
		if (pin.templates[i].tunnel)
			return false;
		pin.templates[i].required = true;
	}
	pin.priority--;
	pin.expires = seconds;
	*ret = pin;
	return true;
}

const struct spd_policy *spd_pin_parent(const struct spd *want, const struct spd_policy *p)
{
	const struct spd_policy *found, *best = NULL;
	const unsigned bits = address_bits(p->sel.family);
	struct spd_policy key = *p;
	uint8_t *prefix, *remote = remote_of(&key, &prefix);

	if (!want || p->dir == SPD_FWD || !p->n_templates || *prefix != bits)
		return NULL;
	for (unsigned i = bits + 1; i-- > 0; ) {
		*prefix = (uint8_t)i;
		if (i < bits)
			remote[i / 8] &= (uint8_t)(0xff00 >> i % 8);
		found = spd_find(want, &key);
		if (found && found->n_templates && found->templates[0].reqid == p->templates[0].reqid &&
		    !found->templates[0].tunnel && (!best || found->priority < best->priority))
			best = found;
	}
	return best;
}
