/* The specific filters in effect, for people. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nft/unfold.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/facts.h"

static const char *side_text(struct arena *a, const struct side *s, uint8_t family)
{
	char text[IPSEC_ADDR_TEXT] = "";
	struct ipsec_addr addr;

	if (s->me || s->any)
		return s->me ? "me" : "any";
	if (s->range ? ipsec_addr_range(&addr, family, s->lo, s->hi) : ipsec_addr_net(&addr, family, s->lo, s->bits))
		ipsec_addr_text(&addr, text);
	return arena_strdup(a, text);
}

/* NULL: no memory. */
static const char *tunnel_text(struct arena *a, const struct ipsec_rule *rule)
{
	char text[IPSEC_ADDR_TEXT];

	if (!rule->tunnel)
		return "";
	ipsec_addr_text(&rule->tunnel_end, text);
	return arena_strdup(a, text);
}

static bool line_fill(struct filter_line *l, struct arena *a, const struct specific *f)
{
	const struct written *w = f->written;

	*l = (struct filter_line){
		.hook = f->hook, .family = f->family, .protocol = f->protocol,
		.src = side_text(a, &f->src, f->family), .dst = side_text(a, &f->dst, f->family),
		.src_port = f->src.port, .dst_port = f->dst.port,
		.conntype = f->conntype, .tunnel = tunnel_text(a, w->rule), .kind = f->kind,
		.store = f->store, .origin = written_origin(w), .weight = f->rank,
		.rule_name = w->rule->name, .list_name = w->rule->filter_list->name,
		.action_name = w->rule->negpol->name, .policy_name = w->from->policy->name,
		.gpo_name = w->from->gpo_name ? w->from->gpo_name : "",
	};
	return l->src && l->dst && l->tunnel;
}

/* Keeps the order of the ruleset among those of one weight. */
static int weight_cmp(const void *a, const void *b)
{
	const struct specific *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? 1 : -1;
	return specific_cmp(x, y);
}

static int lines_make(struct filter_line **ret, struct arena *a, struct unfold *x, struct err *err)
{
	struct filter_line *all = arena_zalloc(a, x->n ? x->n : 1, sizeof(*all));
	size_t winner = 0;

	if (!all)
		return err_nomem(err);
	if (x->n)
		qsort(x->all, x->n, sizeof(*x->all), weight_cmp);
	for (size_t i = 0; i < x->n; i++) {
		if (!line_fill(&all[i], a, &x->all[i]))
			return err_nomem(err);
		all[i].shadowed = i && specific_same(&x->all[winner], &x->all[i]);
		if (!all[i].shadowed)
			winner = i;
	}
	*ret = all;
	return 0;
}

int filters_list(struct filter_line **ret, size_t *ret_n, struct arena *a, const struct render_source *sources,
    size_t n_sources, const struct host_facts *facts, const struct render_options *o, struct err *err)
{
	static const struct host_facts nothing_known;
	struct unfold x = { .r = ruleset_new(), .facts = facts ? facts : &nothing_known, .o = o, .keep_same = true };
	int rc = -1;

	if (!x.r) {
		err_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < n_sources; i++)
		if (source_unfold(&x, &sources[i], err) < 0)
			goto out;
	if (lines_make(ret, a, &x, err) < 0)
		goto out;
	*ret_n = x.n;
	rc = 0;
out:
	unfold_free(&x);
	ruleset_free(x.r);
	return rc;
}
