#include "nft/shape.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static unsigned family_bits(uint8_t family)
{
	return family == AF_INET ? 32 : 128;
}

void side_any(struct side *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->any = true;
}

void side_me(struct side *ret, uint8_t family)
{
	memset(ret, 0, sizeof(*ret));
	ret->me = true;
	ret->bits = (uint8_t)family_bits(family);
}

void side_net(struct side *ret, uint8_t family, const uint8_t *addr, unsigned prefix)
{
	const unsigned len = family_bits(family) / 8;

	memset(ret, 0, sizeof(*ret));
	if (prefix == 0) {
		ret->any = true;
		return;
	}
	memcpy(ret->lo, addr, len);
	memcpy(ret->hi, addr, len);
	for (unsigned bit = prefix; bit < 8 * len; bit++) {
		ret->lo[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
		ret->hi[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	}
	ret->bits = (uint8_t)prefix;
}

/* floor(log2(hi - lo + 1)) of big-endian numbers. */
static unsigned range_log2(const uint8_t *lo, const uint8_t *hi, unsigned len)
{
	uint8_t n[17] = { 0 };
	int borrow = 0, carry = 1;

	for (unsigned i = len; i-- > 0;) {
		int d = hi[i] - lo[i] - borrow;

		borrow = d < 0;
		d = (d & 0xff) + carry;
		carry = d >> 8;
		n[i + 1] = (uint8_t)d;
	}
	n[0] = (uint8_t)carry;
	for (unsigned i = 0; i <= 8 * len + 7; i++)
		if (n[i / 8] & 0x80u >> i % 8)
			return 8 * len + 7 - i;
	return 0;
}

void side_range(struct side *ret, uint8_t family, const uint8_t *lo, const uint8_t *hi)
{
	const unsigned len = family_bits(family) / 8;

	memset(ret, 0, sizeof(*ret));
	memcpy(ret->lo, lo, len);
	memcpy(ret->hi, hi, len);
	ret->bits = (uint8_t)(8 * len - range_log2(lo, hi, len));
	ret->range = true;
}

bool specific_seen(const struct specific *f)
{
	if (f->src.me && f->dst.me)
		return false;
	return !(f->src.me && f->hook != ACT_OUT) && !(f->dst.me && f->hook != ACT_IN);
}

static bool port_given(const struct side *s)
{
	return s->port.lo || s->port.hi || s->port_prefix;
}

static bool port_range(const struct side *s)
{
	return s->port.lo != s->port.hi;
}

/* 16 for a single port, less by the power of two of a range, 0 for any. */
static unsigned port_bits(const struct side *s)
{
	unsigned n = s->port.hi - s->port.lo + 1u, log2 = 0;

	if (!port_given(s))
		return 0;
	while (n >>= 1)
		log2++;
	return 16 - log2;
}

static const struct side *host_side(const struct specific *f)
{
	return f->hook == ACT_IN ? &f->dst : &f->src;
}

static uint8_t *key_put_port(uint8_t *p, uint16_t port)
{
	p[0] = (uint8_t)(port >> 8);
	p[1] = (uint8_t)port;
	return p + 4;
}

static bool side_keyed(const struct side *s)
{
	return !s->me && !s->any;
}

/* The order of fields here and in shape_lookup must agree. */
size_t specific_key(uint8_t ret[static RS_KEY_MAX], const struct specific *f)
{
	const size_t len = family_bits(f->family) / 8;
	uint8_t *p = ret;

	memset(ret, 0, RS_KEY_MAX);
	if (f->range)
		return 0;
	if (side_keyed(&f->src))
		p = (uint8_t *)memcpy(p, f->src.lo, len) + len;
	if (side_keyed(&f->dst))
		p = (uint8_t *)memcpy(p, f->dst.lo, len) + len;
	if (f->protocol) {
		*p = f->protocol;
		p += 4;
	}
	if (port_given(&f->src))
		p = key_put_port(p, f->src.port.lo);
	if (port_given(&f->dst))
		p = key_put_port(p, f->dst.port.lo);
	return (size_t)(p - ret);
}

static int key_cmp(const struct specific *a, const struct specific *b)
{
	uint8_t x[RS_KEY_MAX], y[RS_KEY_MAX];

	specific_key(x, a);
	specific_key(y, b);
	return memcmp(x, y, sizeof(x));
}

static uint8_t keys_count(const struct specific *f)
{
	return f->range ? 0 : (uint8_t)(side_keyed(&f->src) + side_keyed(&f->dst) + (f->protocol != 0) + port_given(&f->src) +
	    port_given(&f->dst));
}

void specific_rank(struct specific *f)
{
	const struct side *host = host_side(f);
	uint64_t v = f->tunnel;

	f->range = f->src.range || f->dst.range || port_range(&f->src) || port_range(&f->dst);
	v = v << 9 | (uint64_t)(f->src.bits + f->dst.bits);
	v = v << 8 | host->bits;
	v = v << 1 | (f->protocol != 0);
	v = v << 2 | (uint64_t)(port_given(&f->src) + port_given(&f->dst));
	v = v << 6 | (port_bits(&f->src) + port_bits(&f->dst));
	v = v << 5 | port_bits(host);
	v = v << 1 | (f->conntype != IPSEC_CONN_ALL);
	v = v << 1 | !f->range;
	v = v << 1 | (!f->src.me && !f->dst.me);
	f->rank = v;
	f->n_keys = keys_count(f);
}

static int num_cmp(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int severity(uint8_t k)
{
	return k == ACT_BLOCK ? 2 : k != ACT_PERMIT;
}

static int tie_cmp(const struct specific *a, const struct specific *b)
{
	int c;

	if ((c = num_cmp(b->store, a->store)) || (c = severity(b->kind) - severity(a->kind)) ||
	    (c = guid_cmp(&a->written->filter->id, &b->written->filter->id)) ||
	    (c = guid_cmp(&a->written->rule->id, &b->written->rule->id)) ||
	    (c = guid_cmp(&a->written->from->gpo, &b->written->from->gpo)))
		return c;
	return num_cmp(a->kind, b->kind);
}

static int shape_cmp(const struct specific *a, const struct specific *b)
{
	int c;

	if ((c = num_cmp(a->hook, b->hook)) || (c = num_cmp(a->family, b->family)) ||
	    (c = num_cmp(b->rank, a->rank)))
		return c;
	/* Among ranges of one rank the tie rule comes first: they may overlap. */
	return a->range ? 0 : num_cmp(a->conntype, b->conntype);
}

/* As shape_cmp: the rank has 35 bits. */
uint64_t specific_order(const struct specific *f)
{
	const uint64_t place = (uint64_t)f->hook << 1 | (f->family != AF_INET);

	return place << 40 | ((UINT64_C(1) << 36) - 1 - f->rank) << 2 | (f->range ? 0 : (uint64_t)f->conntype);
}

static int side_cmp(const struct side *a, const struct side *b)
{
	int c;

	if ((c = memcmp(a->lo, b->lo, sizeof(a->lo))) || (c = memcmp(a->hi, b->hi, sizeof(a->hi))) ||
	    (c = num_cmp(a->port.lo, b->port.lo)))
		return c;
	return num_cmp(a->port.hi, b->port.hi);
}

/* Only so that the same policy always gives the same order. */
static int rest_cmp(const struct specific *a, const struct specific *b)
{
	int c;

	if ((c = num_cmp(a->conntype, b->conntype)) || (c = num_cmp(a->protocol, b->protocol)) ||
	    (c = side_cmp(&a->src, &b->src)))
		return c;
	return side_cmp(&a->dst, &b->dst);
}

int specific_cmp(const struct specific *a, const struct specific *b)
{
	int c;

	if ((c = shape_cmp(a, b)) || (c = key_cmp(a, b)) || (c = tie_cmp(a, b)))
		return c;
	return rest_cmp(a, b);
}

bool specific_same_shape(const struct specific *a, const struct specific *b)
{
	return !a->range && !b->range && !shape_cmp(a, b);
}

bool specific_same(const struct specific *a, const struct specific *b)
{
	if (a->range || b->range)
		return a->range == b->range && !shape_cmp(a, b) && !rest_cmp(a, b);
	return specific_same_shape(a, b) && !key_cmp(a, b);
}

/* ---- one range ---- */

bool specific_axis(enum axis *ret, const struct specific *f)
{
	const bool has[] = { [AXIS_SRC] = f->src.range, [AXIS_DST] = f->dst.range,
		[AXIS_SPORT] = port_range(&f->src), [AXIS_DPORT] = port_range(&f->dst) };
	unsigned n = 0;

	for (int a = AXIS_SRC; a <= AXIS_DPORT; a++)
		if (has[a]) {
			*ret = (enum axis)a;
			n++;
		}
	return n == 1;
}

unsigned axis_bits(enum axis a, uint8_t family)
{
	return a == AXIS_SPORT || a == AXIS_DPORT ? 16 : family_bits(family);
}

/* Ignores what is the axis. */
static bool side_same(const struct side *a, const struct side *b, bool range, bool port_range)
{
	return a->me == b->me && a->any == b->any && a->range == b->range && (range || a->bits == b->bits) &&
	    port_given(a) == port_given(b) && (port_range || (a->port.lo == a->port.hi) == (b->port.lo == b->port.hi));
}

bool specific_same_axis(const struct specific *a, const struct specific *b)
{
	enum axis x, y;

	return specific_axis(&x, a) && specific_axis(&y, b) && x == y && a->hook == b->hook && a->family == b->family &&
	    a->tunnel == b->tunnel && a->conntype == b->conntype && !a->protocol == !b->protocol &&
	    side_same(&a->src, &b->src, x == AXIS_SRC, x == AXIS_SPORT) &&
	    side_same(&a->dst, &b->dst, x == AXIS_DST, x == AXIS_DPORT);
}

void specific_span(struct span *ret, const struct specific *f, enum axis a)
{
	const struct side *s = a == AXIS_SRC || a == AXIS_SPORT ? &f->src : &f->dst;

	if (a == AXIS_SPORT || a == AXIS_DPORT) {
		ret->first = (struct num){ 0, s->port.lo };
		ret->last = (struct num){ 0, s->port.hi };
	} else {
		ret->first = num_read(s->lo, family_bits(f->family));
		ret->last = num_read(s->hi, family_bits(f->family));
	}
}

void specific_piece(struct specific *ret, const struct specific *f, enum axis a, const struct piece *p, unsigned group)
{
	const unsigned bits = axis_bits(a, f->family);
	struct side *s = a == AXIS_SRC || a == AXIS_SPORT ? &ret->src : &ret->dst;

	*ret = *f;
	ret->axis = (uint8_t)a;
	ret->group = (uint16_t)group;
	if (a == AXIS_SPORT || a == AXIS_DPORT) {
		s->port = (struct ipsec_ports){ (uint16_t)p->first.lo, (uint16_t)piece_last(p, bits).lo };
		s->port_prefix = p->bits;
	} else {
		num_write(s->lo, p->first, bits);
		num_write(s->hi, piece_last(p, bits), bits);
		s->bits = p->bits;
		s->range = false;
	}
	ret->range = false;
	ret->n_keys = keys_count(ret);
}

/* ---- names ---- */

static void name_side(char *out, size_t size, char letter, const struct side *s)
{
	size_t n = strlen(out);

	if (s->me)
		snprintf(out + n, size - n, "_%cme", letter);
	else if (!s->any)
		snprintf(out + n, size - n, "_%c%u", letter, s->bits);
}

static void name_add(char *out, size_t size, const char *text)
{
	size_t n = strlen(out);

	snprintf(out + n, size - n, "%s", text);
}

static void name_port(char *out, size_t size, const char *what, const struct side *s)
{
	size_t n = strlen(out);

	if (s->port_prefix)
		snprintf(out + n, size - n, "%s%u", what, s->port_prefix);
	else if (port_given(s))
		snprintf(out + n, size - n, "%s", what);
}

void shape_name(const struct specific *f, unsigned part, char out[static SHAPE_NAME])
{
	static const char *const conntypes[] = {
		[IPSEC_CONN_ALL] = "", [IPSEC_CONN_LAN] = "_lan", [IPSEC_CONN_DIALUP] = "_dialup",
	};
	/* Only pieces of ports have their length in the name. */
	static const char *const axis_names[] = {
		[AXIS_SRC] = "_rs", [AXIS_DST] = "_rd", [AXIS_SPORT] = "_r", [AXIS_DPORT] = "_r",
	};

	snprintf(out, SHAPE_NAME, "%s%c", act_hook_names[f->hook], f->family == AF_INET ? '4' : '6');
	name_side(out, SHAPE_NAME, 's', &f->src);
	name_side(out, SHAPE_NAME, 'd', &f->dst);
	name_add(out, SHAPE_NAME, f->protocol ? "_p" : "");
	name_port(out, SHAPE_NAME, "_sp", &f->src);
	name_port(out, SHAPE_NAME, "_dp", &f->dst);
	name_add(out, SHAPE_NAME, conntypes[f->conntype]);
	name_add(out, SHAPE_NAME, f->tunnel ? "_tunnel" : "");
	name_add(out, SHAPE_NAME, f->group ? axis_names[f->axis] : "");
	if (f->group > 1)
		snprintf(out + strlen(out), SHAPE_NAME - strlen(out), "%u", f->group);
	if (part > 1)
		snprintf(out + strlen(out), SHAPE_NAME - strlen(out), "_%u", part);
}

static void word_side(char *out, size_t size, const char *which, const struct side *s)
{
	size_t n = strlen(out);
	const char *sep = n ? ", " : "";

	if (s->me)
		snprintf(out + n, size - n, "%s%s this host", sep, which);
	else if (!s->any)
		snprintf(out + n, size - n, "%s%s /%u", sep, which, s->bits);
}

static void word_add(char *out, size_t size, const char *text)
{
	size_t n = strlen(out);

	if (*text)
		snprintf(out + n, size - n, "%s%s", n ? ", " : "", text);
}

static void word_port(char *out, size_t size, const char *what, const struct side *s)
{
	size_t n;

	word_add(out, size, port_given(s) ? what : "");
	n = strlen(out);
	if (s->port_prefix)
		snprintf(out + n, size - n, " /%u", s->port_prefix);
}

void shape_words(const struct specific *f, unsigned part, char out[static RS_COMMENT_MAX + 1])
{
	const size_t size = RS_COMMENT_MAX + 1;
	static const char *const conntypes[] = {
		[IPSEC_CONN_ALL] = "", [IPSEC_CONN_LAN] = "not dial-up", [IPSEC_CONN_DIALUP] = "dial-up",
	};
	static const char *const axis_words[] = {
		[AXIS_SRC] = "pieces of source ranges", [AXIS_DST] = "pieces of destination ranges",
		[AXIS_SPORT] = "pieces of port ranges", [AXIS_DPORT] = "pieces of port ranges",
	};

	*out = '\0';
	word_add(out, size, f->tunnel ? "tunnel rules" : "");
	word_side(out, size, "source", &f->src);
	word_side(out, size, "destination", &f->dst);
	word_add(out, size, f->protocol ? "protocol" : "");
	word_port(out, size, "source port", &f->src);
	word_port(out, size, "destination port", &f->dst);
	word_add(out, size, conntypes[f->conntype]);
	word_add(out, size, f->group ? axis_words[f->axis] : "");
	if (f->group > 1)
		snprintf(out + strlen(out), size - strlen(out), " %u", f->group);
	if (part > 1)
		snprintf(out + strlen(out), size - strlen(out), ", part %u", part);
}

static void lookup_add(struct rs_lookup *l, enum rs_field f, unsigned prefix)
{
	l->keys[l->n_keys++] = (struct rs_key){ (uint8_t)f, (uint8_t)prefix };
}

void shape_lookup(struct rs_lookup *ret, const struct specific *f, const char *name)
{
	const bool v4 = f->family == AF_INET;

	*ret = (struct rs_lookup){ .set = name };
	if (side_keyed(&f->src))
		lookup_add(ret, v4 ? RS_SADDR4 : RS_SADDR6, f->src.bits);
	if (side_keyed(&f->dst))
		lookup_add(ret, v4 ? RS_DADDR4 : RS_DADDR6, f->dst.bits);
	if (f->protocol)
		lookup_add(ret, RS_L4PROTO, 8);
	if (port_given(&f->src))
		lookup_add(ret, RS_SPORT, f->src.port_prefix ? f->src.port_prefix : 16);
	if (port_given(&f->dst))
		lookup_add(ret, RS_DPORT, f->dst.port_prefix ? f->dst.port_prefix : 16);
}
