/* The first byte selects the decoder.  What one takes is built and taken again,
 * and both values have the same text. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ipsecdata.h"
#include "schema/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err err;

/* A policy that holds what one blob says, and nothing else. */
static struct ipsec_policy *policy_of(unsigned which, const struct dir_value *v)
{
	struct ipsec_policy *p = policy_new();
	struct ipsec_filter_list *l;
	struct ipsec_negpol *n;
	struct ipsec_rule *r;
	int rc = -1;

	if (!p)
		abort();
	l = arena_zalloc(p->arena, 1, sizeof(*l));
	n = arena_zalloc(p->arena, 1, sizeof(*n));
	r = arena_zalloc(p->arena, 1, sizeof(*r));
	l->name = l->description = n->name = n->description = r->name = r->description = "";
	r->interface_name = r->tunnel_name = "";
	r->negpol = n;
	r->filter_list = l;
	switch (which) {
	case 0: rc = ipsecdata_policy_parse(&p->polling_seconds, v, &err); break;
	case 1: rc = ipsecdata_isakmp_parse(&p->isakmp, p->arena, v, &err); break;
	case 2: rc = ipsecdata_nfa_parse(r, p->arena, v, &err); break;
	case 3: rc = ipsecdata_filter_parse(l, p->arena, v, &err); break;
	case 4: rc = ipsecdata_negpol_parse(n, p->arena, v, &err); break;
	}
	p->filter_lists = l;
	p->negpols = n;
	p->rules = r;
	p->n_filter_lists = p->n_negpols = p->n_rules = 1;
	if (!rc)
		return p;
	policy_free(p);
	return NULL;
}

static char *text_of(const struct ipsec_policy *p)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f || policy_write(p, POLICY_SEALED, f) || fclose(f))
		abort();
	return text;
}

static int build(struct wr *wr, unsigned which, const struct ipsec_policy *p)
{
	switch (which) {
	case 0: return ipsecdata_policy_build(wr, p->polling_seconds, &err);
	case 1: return ipsecdata_isakmp_build(wr, &p->isakmp, &err);
	case 2: return ipsecdata_nfa_build(wr, p->rules, &err);
	case 3: return ipsecdata_filter_build(wr, p->filter_lists, &err);
	default: return ipsecdata_negpol_build(wr, p->negpols, &err);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ipsec_policy *p, *again;
	struct dir_value v;
	char *x, *y;
	struct wr wr;

	if (size == 0)
		return 0;
	v = (struct dir_value){ data + 1, size - 1 };
	p = policy_of(data[0] % 5, &v);
	if (!p)
		return 0;
	if (policy_check(p, &err))
		abort();
	if (build(&wr, data[0] % 5, p))
		abort();
	v = (struct dir_value){ wr.p, wr.len };
	again = policy_of(data[0] % 5, &v);
	if (!again)
		abort();
	x = text_of(p);
	y = text_of(again);
	if (strcmp(x, y))
		abort();
	free(x);
	free(y);
	free(wr.p);
	policy_free(again);
	policy_free(p);
	return 0;
}
