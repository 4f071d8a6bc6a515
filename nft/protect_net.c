#include <stdlib.h>
#include <string.h>

#include "nft/protect_parts.h"

static unsigned family_bits(uint8_t family)
{
	return family == AF_INET ? 32 : 128;
}

void extent_any(struct extent *ret, uint8_t family)
{
	memset(ret, 0, sizeof(*ret));
	memset(ret->hi, 0xff, family_bits(family) / 8);
}

void extent_host(struct extent *ret, const struct ip_addr *a)
{
	memcpy(ret->lo, a->b, sizeof(ret->lo));
	memcpy(ret->hi, a->b, sizeof(ret->hi));
}

void extent_side(struct extent *ret, uint8_t family, const struct side *s)
{
	if (s->any) {
		extent_any(ret, family);
		return;
	}
	memcpy(ret->lo, s->lo, sizeof(ret->lo));
	memcpy(ret->hi, s->hi, sizeof(ret->hi));
}

bool extent_has(const struct extent *e, const uint8_t *addr)
{
	return memcmp(e->lo, addr, sizeof(e->lo)) <= 0 && memcmp(addr, e->hi, sizeof(e->hi)) <= 0;
}

bool extents_meet(const struct extent *a, const struct extent *b)
{
	return memcmp(a->lo, b->hi, sizeof(a->lo)) <= 0 && memcmp(b->lo, a->hi, sizeof(a->lo)) <= 0;
}

bool extent_in(const struct extent *inner, const struct extent *outer)
{
	return extent_has(outer, inner->lo) && extent_has(outer, inner->hi);
}

int extent_cmp(const struct extent *a, const struct extent *b)
{
	const int c = memcmp(a->lo, b->lo, sizeof(a->lo));

	return c ? c : memcmp(b->hi, a->hi, sizeof(a->hi));
}

/* The last address of the prefix that addr begins. */
static void net_last(uint8_t *ret, const uint8_t *addr, unsigned prefix, unsigned bits)
{
	memcpy(ret, addr, 16);
	for (unsigned bit = prefix; bit < bits; bit++)
		ret[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
}

static bool bit_set(const uint8_t *addr, unsigned bit)
{
	return addr[bit / 8] & 0x80u >> bit % 8;
}

/* false: there is no next one. */
static bool addr_next(uint8_t *addr, unsigned len)
{
	while (len-- > 0)
		if (++addr[len])
			return true;
	return false;
}

size_t extent_nets(struct net ret[static NETS_MAX], uint8_t family, const struct extent *e)
{
	const unsigned bits = family_bits(family);
	uint8_t at[16], last[16];
	size_t n = 0;
	unsigned prefix;

	memcpy(at, e->lo, sizeof(at));
	do {
		net_last(last, at, bits, bits);
		for (prefix = bits; prefix > 0 && !bit_set(at, prefix - 1); prefix--) {
			net_last(last, at, prefix - 1, bits);
			if (memcmp(last, e->hi, bits / 8) > 0)
				break;
		}
		net_last(last, at, prefix, bits);
		memcpy(ret[n].addr, at, sizeof(at));
		ret[n++].prefix = (uint8_t)prefix;
		if (memcmp(last, e->hi, bits / 8) >= 0)
			break;
		memcpy(at, last, sizeof(at));
	} while (addr_next(at, bits / 8) && n < NETS_MAX);
	return n;
}

void net_text(char out[static IP_ADDR_TEXT + 4], uint8_t family, const struct net *n)
{
	struct ip_addr a = { .family = family };
	size_t len;

	memcpy(a.b, n->addr, sizeof(a.b));
	ip_addr_text(&a, out);
	len = strlen(out);
	if (n->prefix != family_bits(family))
		snprintf(out + len, IP_ADDR_TEXT + 4 - len, "/%u", n->prefix);
}

size_t port_masks(struct port_mask ret[static PORT_MASKS_MAX], const struct ipsec_ports *p)
{
	uint32_t at = p->lo;
	size_t n = 0;

	if (!p->lo && !p->hi) {
		ret[0] = (struct port_mask){ 0, 0 };
		return 1;
	}
	while (at <= p->hi) {
		uint32_t size = 1;

		while (!(at & size) && size < 0x10000 && at + 2 * size - 1 <= p->hi)
			size *= 2;
		ret[n++] = (struct port_mask){ (uint16_t)at, (uint16_t)~(size - 1) };
		at += size;
	}
	return n;
}

/* ---- bytes to numbers ---- */

/* FNV-1a, and its bits mixed: reqids take the low ones. */
uint64_t bytes_hash(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 32;
}

static struct tally_slot *slot_of(const struct tally *t, const void *key, size_t len, uint64_t hash)
{
	size_t i = hash & (t->size - 1);

	while (t->slots[i].key && (t->slots[i].hash != hash || t->slots[i].len != len || memcmp(t->slots[i].key, key, len)))
		i = (i + 1) & (t->size - 1);
	return &t->slots[i];
}

const uint32_t *tally_get(const struct tally *t, const void *key, size_t len)
{
	const struct tally_slot *s = t->n ? slot_of(t, key, len, bytes_hash(key, len)) : NULL;

	return s && s->key ? &s->value : NULL;
}

static int tally_grow(struct tally *t)
{
	struct tally more = { .size = t->size ? 2 * t->size : 64, .n = t->n };

	more.slots = calloc(more.size, sizeof(*more.slots));
	if (!more.slots)
		return -1;
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].key)
			*slot_of(&more, t->slots[i].key, t->slots[i].len, t->slots[i].hash) = t->slots[i];
	free(t->slots);
	*t = more;
	return 0;
}

int tally_put(struct tally *t, const void *key, size_t len, uint32_t value)
{
	const uint64_t hash = bytes_hash(key, len);

	if (2 * (t->n + 1) > t->size && tally_grow(t) < 0)
		return -1;
	*slot_of(t, key, len, hash) = (struct tally_slot){ key, len, hash, value };
	t->n++;
	return 0;
}

void tally_free(struct tally *t)
{
	free(t->slots);
	*t = (struct tally){ 0 };
}
