#include "gpo/dnset.h"

#include "schema/arena.h"
#include "schema/ident.h"

/* An address as the seed: it has no influence on any order. */
static uint64_t hash_of(const struct dnset *set, const char *dn)
{
	return dn_hash(dn, (uint64_t)(uintptr_t)set->a);
}

/* The slot of dn, or the free one where it belongs. */
static size_t *slot_of(const struct dnset *set, const char *dn, uint64_t hash)
{
	size_t *slot;

	for (uint64_t i = hash;; i++) {
		slot = &set->slots[i % set->n_slots];
		if (*slot == 0 || (set->hashes[*slot - 1] == hash && dn_equal(set->dns[*slot - 1], dn)))
			return slot;
	}
}

static int slots_grow(struct dnset *set)
{
	size_t n = set->n_slots ? 2 * set->n_slots : 64;
	size_t *slots = arena_zalloc(set->a, n, sizeof(*slots));

	if (!slots)
		return -1;
	for (size_t i = 0; i < set->n; i++) {
		uint64_t j = set->hashes[i];

		while (slots[j % n])
			j++;
		slots[j % n] = i + 1;
	}
	set->slots = slots;
	set->n_slots = n;
	return 0;
}

size_t dnset_find(const struct dnset *set, const char *dn)
{
	if (set->n == 0)
		return DNSET_NONE;
	return *slot_of(set, dn, hash_of(set, dn)) - 1;
}

size_t dnset_add(struct dnset *set, const char *dn)
{
	uint64_t hash = hash_of(set, dn), *hashes;
	const char **dns;
	size_t *slot;

	if (set->n >= set->n_slots / 2 && slots_grow(set) < 0)
		return DNSET_NONE;
	slot = slot_of(set, dn, hash);
	if (*slot)
		return *slot - 1;
	dns = arena_grow(set->a, set->dns, set->n, sizeof(*dns));
	hashes = arena_grow(set->a, set->hashes, set->n, sizeof(*hashes));
	if (!dns || !hashes)
		return DNSET_NONE;
	set->dns = dns;
	set->hashes = hashes;
	hashes[set->n] = hash;
	dns[set->n++] = dn;
	*slot = set->n;
	return set->n - 1;
}
