#include "nft/overlap.h"

#include <stdlib.h>
#include <string.h>

#include "schema/err.h"

static void common_make(struct overlap_fields *ret, const struct rs_lookup *a, const struct rs_lookup *b)
{
	size_t at_a = 0, at_b;

	*ret = (struct overlap_fields){ 0 };
	for (unsigned i = 0; i < a->n_keys; i++) {
		const uint8_t len = rs_fields[a->keys[i].field].len;

		at_b = 0;
		for (unsigned k = 0; k < b->n_keys; k++) {
			if (a->keys[i].field == b->keys[k].field) {
				ret->fields[ret->n].a = (uint8_t)at_a;
				ret->fields[ret->n].b = (uint8_t)at_b;
				ret->fields[ret->n].len = len;
				ret->fields[ret->n++].prefix = a->keys[i].prefix < b->keys[k].prefix ? a->keys[i].prefix : b->keys[k].prefix;
				ret->len += len;
			}
			at_b += (rs_fields[b->keys[k].field].len + 3u) / 4 * 4;
		}
		at_a += (len + 3u) / 4 * 4;
	}
}

static void project(uint8_t *out, const struct overlap_fields *c, const uint8_t *key, bool of_a)
{
	uint8_t mask[16];

	for (unsigned i = 0; i < c->n; i++) {
		const uint8_t *from = key + (of_a ? c->fields[i].a : c->fields[i].b);

		rs_mask(mask, c->fields[i].len, c->fields[i].prefix);
		for (unsigned k = 0; k < c->fields[i].len; k++)
			*out++ = from[k] & mask[k];
	}
}

static int bytes_cmp(const void *a, const void *b, void *len)
{
	return memcmp(a, b, *(const size_t *)len);
}

int overlap_make(struct overlap *ret, const struct rs_lookup *a, const struct rs_element *const *all, size_t n,
    const struct rs_lookup *b, struct err *err)
{
	size_t len;

	common_make(&ret->c, a, b);
	len = ret->c.len;
	ret->n = n;
	ret->keys = malloc(n * len + 1);
	if (!ret->keys)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		project(ret->keys + i * len, &ret->c, all[i]->key, true);
	if (len)
		qsort_r(ret->keys, n, len, bytes_cmp, &len);
	return 0;
}

bool overlap_has(const struct overlap *o, const uint8_t *key)
{
	uint8_t mine[RS_KEY_MAX];
	size_t lo = 0, hi = o->n;

	project(mine, &o->c, key, false);
	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		const int c = memcmp(mine, o->keys + mid * o->c.len, o->c.len);

		if (!c)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

void overlap_free(struct overlap *o)
{
	free(o->keys);
}
