#include "nft/pieces.h"

#include <stdbool.h>
#include <stdlib.h>

#include "schema/err.h"

#define NOBODY	UINT32_MAX

/* ---- numbers ---- */

static int num_cmp(struct num a, struct num b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return a.lo < b.lo ? -1 : a.lo > b.lo;
}

/* The n lowest bits set. */
static struct num num_ones(unsigned n)
{
	if (n >= 128)
		return (struct num){ UINT64_MAX, UINT64_MAX };
	if (n >= 64)
		return (struct num){ (UINT64_C(1) << (n - 64)) - 1, UINT64_MAX };
	return (struct num){ 0, (UINT64_C(1) << n) - 1 };
}

static struct num num_or(struct num a, struct num b)
{
	return (struct num){ a.hi | b.hi, a.lo | b.lo };
}

static struct num num_next(struct num a)
{
	return (struct num){ a.hi + (a.lo == UINT64_MAX), a.lo + 1 };
}

static struct num num_before(struct num a)
{
	return (struct num){ a.hi - (a.lo == 0), a.lo - 1 };
}

static bool num_bit(struct num a, unsigned n)
{
	return (n >= 64 ? a.hi >> (n - 64) : a.lo >> n) & 1;
}

struct num num_read(const uint8_t *p, unsigned bits)
{
	struct num v = { 0, 0 };

	for (unsigned i = 0; i < bits / 8; i++) {
		v.hi = v.hi << 8 | v.lo >> 56;
		v.lo = v.lo << 8 | p[i];
	}
	return v;
}

void num_write(uint8_t *p, struct num v, unsigned bits)
{
	for (unsigned i = bits / 8; i-- > 0;) {
		p[i] = (uint8_t)v.lo;
		v.lo = v.lo >> 8 | v.hi << 56;
		v.hi >>= 8;
	}
}

struct num piece_last(const struct piece *p, unsigned bits)
{
	return num_or(p->first, num_ones(bits - p->bits));
}

/* ---- pieces ---- */

static int piece_add(struct pieces *p, const struct piece *piece, struct err *err)
{
	const size_t size = p->size ? 2 * p->size : 64;
	struct piece *all = p->all;

	if (p->n == p->size) {
		all = realloc(all, size * sizeof(*all));
		if (!all)
			return err_nomem(err);
		p->all = all;
		p->size = size;
	}
	all[p->n++] = *piece;
	return 0;
}

/* No prefix of no bits: everything is two halves. */
static int range_cut(struct pieces *ret, struct num first, struct num last, uint32_t who, unsigned bits, size_t max, struct err *err)
{
	struct num end;

	do {
		unsigned n = 0;

		while (n + 1 < bits && !num_bit(first, n) && num_cmp(num_or(first, num_ones(n + 1)), last) <= 0)
			n++;
		if (piece_add(ret, &(struct piece){ first, (uint8_t)(bits - n), who }, err) < 0)
			return -1;
		end = num_or(first, num_ones(n));
		first = num_next(end);
	} while (num_cmp(end, last) && ret->n <= max);
	return 0;
}

/* ---- who has what ---- */

/* Cells between the ends of spans: the k-th is of the numbers from starts[k] to the next start. */
struct axis {
	struct num	*starts;
	uint32_t	*who;		/* of each cell */
	uint32_t	*next;		/* a cell at or behind it that nobody has, perhaps by way of others */
	size_t		 n;
};

static int start_cmp(const void *a, const void *b)
{
	return num_cmp(*(const struct num *)a, *(const struct num *)b);
}

static int axis_make(struct axis *ret, const struct span *spans, size_t n, unsigned bits, struct err *err)
{
	const struct num max = num_ones(bits);
	size_t n_starts = 0, n_cells = 0;

	ret->starts = malloc((2 * n + 1) * sizeof(*ret->starts));
	ret->who = malloc((2 * n + 1) * sizeof(*ret->who));
	ret->next = malloc((2 * n + 1) * sizeof(*ret->next));
	if (!ret->starts || !ret->who || !ret->next)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		ret->starts[n_starts++] = spans[i].first;
		if (num_cmp(spans[i].last, max))
			ret->starts[n_starts++] = num_next(spans[i].last);
	}
	qsort(ret->starts, n_starts, sizeof(*ret->starts), start_cmp);
	for (size_t i = 0; i < n_starts; i++)
		if (!i || num_cmp(ret->starts[n_cells - 1], ret->starts[i]))
			ret->starts[n_cells++] = ret->starts[i];
	for (size_t i = 0; i <= n_cells; i++) {
		ret->who[i] = NOBODY;
		ret->next[i] = (uint32_t)i;
	}
	ret->n = n_cells;
	return 0;
}

static void axis_free(struct axis *a)
{
	free(a->starts);
	free(a->who);
	free(a->next);
}

static size_t cell_of(const struct axis *a, struct num first)
{
	const struct num *at = bsearch(&first, a->starts, a->n, sizeof(*a->starts), start_cmp);

	return (size_t)(at - a->starts);
}

/* The first free cell from k on; a->n: none.  Ways are halved as they are gone. */
static size_t cell_free(struct axis *a, size_t k)
{
	while (a->next[k] != k) {
		a->next[k] = a->next[a->next[k]];
		k = a->next[k];
	}
	return k;
}

static void span_take(struct axis *a, const struct span *s, unsigned bits)
{
	const size_t end = num_cmp(s->last, num_ones(bits)) ? cell_of(a, num_next(s->last)) : a->n;

	for (size_t k = cell_free(a, cell_of(a, s->first)); k < end; k = cell_free(a, k)) {
		a->who[k] = s->who;
		a->next[k] = (uint32_t)k + 1;
	}
}

int pieces_cut(struct pieces *ret, const struct span *spans, size_t n, unsigned bits, size_t max, struct err *err)
{
	struct axis a = { 0 };
	int rc = axis_make(&a, spans, n, bits, err);

	for (size_t i = 0; rc == 0 && i < n; i++)
		span_take(&a, &spans[i], bits);
	for (size_t k = 0, end; rc == 0 && k < a.n && ret->n <= max; k = end) {
		for (end = k + 1; end < a.n && a.who[end] == a.who[k]; end++)
			;
		if (a.who[k] != NOBODY)
			rc = range_cut(ret, a.starts[k], end < a.n ? num_before(a.starts[end]) : num_ones(bits), a.who[k], bits, max, err);
	}
	axis_free(&a);
	return rc;
}

static int piece_cmp(const void *a, const void *b)
{
	const struct piece *p = a, *q = b;

	if (p->bits != q->bits)
		return p->bits > q->bits ? -1 : 1;
	if (num_cmp(p->first, q->first))
		return num_cmp(p->first, q->first);
	return p->who < q->who ? -1 : p->who > q->who;
}

void pieces_sort(struct pieces *p)
{
	if (p->n)
		qsort(p->all, p->n, sizeof(*p->all), piece_cmp);
}

void pieces_free(struct pieces *p)
{
	free(p->all);
	*p = (struct pieces){ 0 };
}
