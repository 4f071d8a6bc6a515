#include "agent/diag_count.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COST_US		(1000000 / DIAG_RATE)

bool diag_rate_take(struct diag_rate *r, int64_t now_us)
{
	const int64_t passed = now_us - r->last_us;

	if (passed > 0) {
		r->spent_us = passed < r->spent_us ? r->spent_us - passed : 0;
		r->last_us = now_us;
	}
	if (r->spent_us + COST_US > (int64_t)DIAG_BURST * COST_US)
		return false;
	r->spent_us += COST_US;
	return true;
}

/* ---- the last drops ---- */

struct diag_drop *diag_ring_add(struct diag_ring *r)
{
	struct diag_drop *d = &r->drops[++r->last % DIAG_RING];

	*d = (struct diag_drop){ .number = r->last };
	return d;
}

const struct diag_drop *diag_ring_after(const struct diag_ring *r, uint64_t since, uint64_t *missed)
{
	uint64_t first = r->last >= DIAG_RING ? r->last - DIAG_RING + 1 : 1;

	*missed = 0;
	if (since >= r->last)
		return NULL;
	if (since + 1 < first)
		*missed = first - since - 1;
	else
		first = since + 1;
	return &r->drops[first % DIAG_RING];
}

const struct diag_drop *diag_ring_next(const struct diag_ring *r, const struct diag_drop *d)
{
	return d->number < r->last ? &r->drops[(d->number + 1) % DIAG_RING] : NULL;
}

/* ---- which filters drop most ---- */

static bool same_filter(const struct rs_origin *a, const struct rs_origin *b)
{
	return !memcmp(&a->filter, &b->filter, sizeof(a->filter)) && !memcmp(&a->rule, &b->rule, sizeof(a->rule)) &&
	    !memcmp(&a->gpo, &b->gpo, sizeof(a->gpo)) && a->store == b->store;
}

static size_t slot_of(const struct rs_origin *o)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < sizeof(o->filter.b); i++)
		h = (h ^ o->filter.b[i]) * UINT64_C(1099511628211);
	for (size_t i = 0; i < sizeof(o->rule.b); i++)
		h = (h ^ o->rule.b[i]) * UINT64_C(1099511628211);
	return h % (2 * DIAG_TALLY);
}

void diag_tally_add(struct diag_tally *t, const struct diag_drop *d)
{
	size_t i = slot_of(&d->origin);

	while (t->slots[i].n && !same_filter(&t->slots[i].origin, &d->origin))
		i = (i + 1) % (2 * DIAG_TALLY);
	if (!t->slots[i].n) {
		if (t->n_used == DIAG_TALLY) {
			t->others++;
			return;
		}
		t->n_used++;
		t->slots[i].origin = d->origin;
		snprintf(t->slots[i].rule, sizeof(t->slots[i].rule), "%s", d->rule);
	}
	t->slots[i].n++;
}

/* Ties: the smaller filter id, so that the order is the same each time. */
static bool more(const struct diag_count *a, const struct diag_count *b)
{
	if (a->n != b->n)
		return a->n > b->n;
	return guid_cmp(&a->origin.filter, &b->origin.filter) < 0;
}

size_t diag_tally_top(const struct diag_tally *t, const struct diag_count *ret[static DIAG_TOP])
{
	size_t n = 0, at;

	for (size_t i = 0; i < 2 * DIAG_TALLY; i++) {
		const struct diag_count *c = &t->slots[i];

		if (!c->n || (n == DIAG_TOP && !more(c, ret[n - 1])))
			continue;
		at = n < DIAG_TOP ? n++ : DIAG_TOP - 1;
		for (; at && more(c, ret[at - 1]); at--)
			ret[at] = ret[at - 1];
		ret[at] = c;
	}
	return n;
}

/* ---- errors of the kernel's IPsec ---- */

size_t diag_xfrm_parse(struct diag_xfrm ret[static DIAG_XFRM], const char *text)
{
	size_t n = 0;

	for (const char *line = text; *line && n < DIAG_XFRM; line += *line == '\n') {
		if (sscanf(line, "%39[A-Za-z0-9]%*[ \t]%" SCNu64, ret[n].name, &ret[n].value) == 2)
			n++;
		line += strcspn(line, "\n");
	}
	return n;
}

static uint64_t value_of(const struct diag_xfrm *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i].name, name))
			return list[i].value;
	return 0;
}

size_t diag_xfrm_grown(const struct diag_xfrm *before, size_t n_before, const struct diag_xfrm *now, size_t n_now, char *out, size_t size)
{
	size_t len = 0, n = 0;

	*out = '\0';
	for (size_t i = 0; i < n_now; i++) {
		uint64_t was = value_of(before, n_before, now[i].name);

		if (now[i].value <= was)
			continue;
		if (len < size)
			len += (size_t)snprintf(out + len, size - len, "%s%s %" PRIu64, n ? ", " : "", now[i].name, now[i].value - was);
		n++;
	}
	return n;
}
