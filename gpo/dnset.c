#include "gpo/dnset.h"

#include <stdint.h>

#include "schema/arena.h"
#include "schema/ident.h"

/* The slot of dn, or the free one where it belongs. */
static size_t *slot_of(size_t *slots, size_t n_slots, const struct dnset *set, const char *dn)
{
	/* An address as the seed: it has no influence on any order. */
	uint64_t hash = dn_hash(dn, (uint64_t)(uintptr_t)set->a);
	size_t *slot;

	for (;; hash++) {
		slot = &slots[hash % n_slots];
		if (*slot == 0 || dn_equal(set->dns[*slot - 1], dn))
			return slot;
	}
}

static int slots_grow(struct dnset *set)
{
	size_t n = set->n_slots ? 2 * set->n_slots : 64;
	size_t *slots = arena_zalloc(set->a, n, sizeof(*slots));

	if (!slots)
		return -1;
	for (size_t i = 0; i < set->n; i++)
		*slot_of(slots, n, set, set->dns[i]) = i + 1;
	set->slots = slots;
	set->n_slots = n;
	return 0;
}

size_t dnset_find(const struct dnset *set, const char *dn)
{
	if (set->n == 0)
		return DNSET_NONE;
	return *slot_of(set->slots, set->n_slots, set, dn) - 1;
}

size_t dnset_add(struct dnset *set, const char *dn)
{
	const char **dns;
	size_t *slot;

	if (set->n >= set->n_slots / 2 && slots_grow(set) < 0)
		return DNSET_NONE;
	slot = slot_of(set->slots, set->n_slots, set, dn);
	if (*slot)
		return *slot - 1;
	dns = arena_grow(set->a, set->dns, set->n, sizeof(*dns));
	if (!dns)
		return DNSET_NONE;
	set->dns = dns;
	dns[set->n++] = dn;
	*slot = set->n;
	return set->n - 1;
}
