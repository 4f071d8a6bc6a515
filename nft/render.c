#include "nft/render.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "nft/exempt.h"
#include "nft/unfold.h"
#include "nft/units.h"
#include "schema/err.h"
#include "schema/facts.h"

/* ---- specific filters to chains and maps ---- */

static void match_family(struct ruleset *r, struct rs_rule *rule, uint8_t family)
{
	rs_match_num(r, rule, RS_NFPROTO, RS_EQ, family, 0);
}

/* Where the filters of one hook and family go.  Asking whether a packet's own side is this host
 * costs as much as several lookups: where more than one rule would ask, the base chain does so
 * once, and sends what is of this host to a chain of its own with all the rules, the rest
 * to one without those for this host.  Both look up the same maps. */
struct places {
	struct rs_chain	*all;		/* every packet; or, with mine, those that are not of this host */
	struct rs_chain	*mine;		/* NULL: not told apart */
};

static bool of_this_host(const struct specific *f)
{
	return f->src.me || f->dst.me;
}

/* What stands in front of the lookup: the family last, where nft(8) itself would put
 * it, so that its listing reads in as the same rules.  A forwarded packet's
 * connection is the one it leaves by.  known: this host's side has been asked for. */
static struct rs_rule *rule_begin(struct ruleset *r, struct rs_chain *c, const struct specific *f, bool known)
{
	const struct rs_lookup l = { .set = DIALUP, .invert = f->conntype == IPSEC_CONN_LAN, .n_keys = 1,
		.keys = { { f->hook == ACT_IN ? RS_IIFTYPE : RS_OIFTYPE, 16 } } };
	struct rs_rule *rule = rs_rule_add(r, c);

	if (f->conntype != IPSEC_CONN_ALL)
		rs_match_set(r, rule, &l);
	if (f->src.me && !known)
		rs_match_num(r, rule, RS_SADDR_TYPE, RS_EQ, RTN_LOCAL, 0);
	if (f->dst.me && !known)
		rs_match_num(r, rule, RS_DADDR_TYPE, RS_EQ, RTN_LOCAL, 0);
	match_family(r, rule, f->family);
	return rule;
}

static enum rs_verdict verdict_of(enum act_kind kind, enum act_hook hook, unsigned diagnostics)
{
	if (action_chain(kind, hook, diagnostics))
		return RS_GOTO;
	return kind == ACT_PERMIT ? RS_ACCEPT : RS_DROP;
}

/* An exact port as a range of one where there is another port: see rs_match_num. */
static void match_port(struct ruleset *r, struct rs_rule *rule, enum rs_field field, const struct ipsec_ports *p, bool other)
{
	if (p->lo || p->hi)
		rs_match_num(r, rule, field, p->lo == p->hi && !other ? RS_EQ : RS_RANGE, p->lo, p->hi);
}

/* Ranges, and filters that look at nothing a map could be keyed by. */
static void plain_rule(struct ruleset *r, struct rs_chain *c, const struct specific *f, bool known, unsigned diagnostics)
{
	const bool v4 = f->family == AF_INET;
	struct rs_rule *rule = rule_begin(r, c, f, known);
	const struct rs_origin *origin = NULL;
	const char *comment = "";

	if (!f->src.any && !f->src.me)
		rs_match_addr(r, rule, v4 ? RS_SADDR4 : RS_SADDR6, f->src.lo, f->src.hi);
	if (!f->dst.any && !f->dst.me)
		rs_match_addr(r, rule, v4 ? RS_DADDR4 : RS_DADDR6, f->dst.lo, f->dst.hi);
	if (f->protocol)
		rs_match_num(r, rule, RS_L4PROTO, RS_EQ, f->protocol, 0);
	match_port(r, rule, RS_SPORT, &f->src.port, false);
	match_port(r, rule, RS_DPORT, &f->dst.port, f->src.port.hi != 0);
	written_keep(&comment, &origin, r, f->written);
	rs_rule_end(r, rule, verdict_of(f->kind, f->hook, diagnostics), action_chain(f->kind, f->hook, diagnostics), comment);
	if (rule)
		rule->origin = origin;
}

static void plain_rules(struct ruleset *r, const struct places *p, const struct specific *f, unsigned diagnostics)
{
	if (p->mine)
		plain_rule(r, p->mine, f, true, diagnostics);
	if (!p->mine || !of_this_host(f))
		plain_rule(r, p->all, f, false, diagnostics);
}

static struct rs_set *map_begin(struct ruleset *r, const struct places *p, const struct specific *f, unsigned part)
{
	char name[SHAPE_NAME], comment[RS_COMMENT_MAX + 1];
	struct rs_lookup l;

	shape_name(f, part, name);
	shape_words(f, part, comment);
	shape_lookup(&l, f, name);
	if (p->mine)
		rs_rule_vmap(r, rule_begin(r, p->mine, f, true), &l);
	if (!p->mine || !of_this_host(f))
		rs_rule_vmap(r, rule_begin(r, p->all, f, false), &l);
	return rs_set_add(r, &l, true, comment);
}

/* What a map of the unit holds as its n-th. */
static void unit_specific(struct specific *ret, const struct unfold *x, const struct unit *u, const struct piece *pieces, size_t n)
{
	const struct piece *p = &pieces[u->begin + n];

	if (u->kind == UNIT_PIECES)
		specific_piece(ret, unfold_at(x, p->who), u->axis, p, u->group);
	else
		*ret = *unfold_at(x, u->begin + n);
}

/* With the keys alone: elements come when the specific filters are gone. */
static void map_render(const struct unfold *x, const struct places *p, struct unit *u, const struct piece *pieces)
{
	uint8_t key[RS_KEY_MAX], *keys;
	struct specific f;

	unit_specific(&f, x, u, pieces, 0);
	u->map = map_begin(x->r, p, &f, u->part);
	keys = rs_keys_reserve(x->r, u->map, u->n);
	for (size_t i = 0; keys && i < u->n; i++) {
		unit_specific(&f, x, u, pieces, i);
		specific_key(key, &f);
		memcpy(keys + i * u->map->key_len, key, u->map->key_len);
	}
}

static void units_render(const struct unfold *x, const struct places *p, const struct units *units)
{
	for (struct unit *u = units->all; u < units->all + units->n; u++)
		if (u->kind == UNIT_RULE)
			plain_rules(x->r, p, unfold_at(x, u->begin), x->o->diagnostics);
		else
			map_render(x, p, u, units->pieces.all);
}

static void elements_render(const struct unfold *x, const struct unit *u, const struct piece *pieces, enum act_hook hook)
{
	const unsigned diagnostics = x->o->diagnostics;

	rs_elements_reserve(x->r, u->map, u->n);
	for (size_t i = u->begin; !x->r->failed && i < u->begin + u->n; i++) {
		struct written *w = x->written[u->kind == UNIT_PIECES ? pieces[i].who : i];
		const enum act_kind kind = written_kind(w);
		struct rs_element *e = rs_element_add(x->r, u->map, NULL);

		e->verdict = verdict_of(kind, hook, diagnostics);
		e->chain = action_chain(kind, hook, diagnostics);
		written_keep(&e->comment, &e->origin, x->r, w);
	}
}

/* ---- hooks and families ---- */

#define MAX_GROUPS	(2 * ACT_N_HOOKS)

/* The filters of one hook and family. */
struct group {
	size_t		 begin, end;
	enum act_hook	 hook;
	struct units	 units;
	size_t		 n_mine, n_others;	/* of them for packets of this host, and for all */
};

static const struct specific *group_first(const struct unfold *x, const struct group *g)
{
	return unfold_at(x, g->begin);
}

static bool has_mine(const struct group *g)
{
	return g->n_mine > 1;
}

static bool has_all(const struct group *g)
{
	return g->n_others || !has_mine(g);
}

static size_t groups_find(struct group ret[static MAX_GROUPS], const struct unfold *x)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n_order; n++) {
		const struct specific *f = unfold_at(x, i), *g;

		ret[n] = (struct group){ .begin = i, .hook = f->hook };
		while (i < x->n_order && (g = unfold_at(x, i))->hook == f->hook && g->family == f->family)
			i++;
		ret[n].end = i;
	}
	return n;
}

static const struct specific *unit_first(const struct unfold *x, const struct units *all, const struct unit *u)
{
	return unfold_at(x, u->kind == UNIT_PIECES ? all->pieces.all[u->begin].who : u->begin);
}

/* *n_elements: in all maps so far. */
static int group_count(struct group *g, const struct unfold *x, size_t *n_elements, struct err *err)
{
	if (units_make(&g->units, x, g->begin, g->end, UNITS_MAX_ELEMENTS - *n_elements, err) < 0)
		return -1;
	for (size_t i = 0; i < g->units.n; i++)
		++*(of_this_host(unit_first(x, &g->units, &g->units.all[i])) ? &g->n_mine : &g->n_others);
	*n_elements += g->units.pieces.n;
	return 0;
}

#define GROUP_NAME	16

static void group_name(char out[static GROUP_NAME], const struct specific *f, bool mine)
{
	snprintf(out, GROUP_NAME, "%s%c%s", act_hook_names[f->hook], f->family == AF_INET ? '4' : '6', mine ? "_me" : "");
}

/* mine: only packets whose own side is this host. */
static void goto_group(const struct unfold *x, struct rs_chain *base, const struct specific *f, bool mine)
{
	struct rs_rule *rule = rs_rule_add(x->r, base);
	char name[GROUP_NAME];

	group_name(name, f, mine);
	match_family(x->r, rule, f->family);
	if (mine)
		rs_match_num(x->r, rule, f->hook == ACT_IN ? RS_DADDR_TYPE : RS_SADDR_TYPE, RS_EQ, RTN_LOCAL, 0);
	if (rule)
		rule->counter = false;
	rs_rule_end(x->r, rule, RS_GOTO, name, "");
}

/* Packets to this host's own addresses are no broadcasts: they need not be asked for that. */
static void base_render(const struct unfold *x, struct rs_chain *base, enum act_hook hook, const struct group *groups, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (group_first(x, &groups[i])->hook == hook && has_mine(&groups[i]))
			goto_group(x, base, group_first(x, &groups[i]), true);
	if (hook == ACT_IN)
		jump_render(x->r, base, EXEMPT_WIDE);
	for (size_t i = 0; i < n; i++)
		if (group_first(x, &groups[i])->hook == hook && has_all(&groups[i]))
			goto_group(x, base, group_first(x, &groups[i]), false);
}

static void group_render(const struct unfold *x, const struct group *g)
{
	struct places p = { 0 };
	char name[GROUP_NAME];

	if (has_mine(g)) {
		group_name(name, group_first(x, g), true);
		p.mine = rs_chain_add(x->r, name, "filters for packets of this host, most specific first");
	}
	if (has_all(g)) {
		group_name(name, group_first(x, g), false);
		p.all = rs_chain_add(x->r, name, has_mine(g) ? "filters for all other packets, most specific first" :
		    "filters, most specific first");
	}
	units_render(x, &p, &g->units);
}

/* The chains of the actions in use, and the set that tells connections apart. */
static void targets_render(const struct unfold *x)
{
	bool used[ACT_N_KINDS][ACT_N_HOOKS] = { 0 }, conntype = false;

	for (size_t i = 0; i < x->n_order; i++) {
		used[unfold_at(x, i)->kind][unfold_at(x, i)->hook] = true;
		conntype |= unfold_at(x, i)->conntype != IPSEC_CONN_ALL;
	}
	for (int k = 0; k < ACT_N_KINDS; k++)
		for (int h = 0; h < ACT_N_HOOKS; h++)
			if (used[k][h] && action_chain((enum act_kind)k, (enum act_hook)h, x->o->diagnostics))
				action_render(x->r, (enum act_kind)k, (enum act_hook)h, x->o->diagnostics);
	if (conntype)
		dialup_render(x->r);
}

static int all_filters_render(struct unfold *x, struct rs_chain *base[ACT_N_HOOKS], struct err *err)
{
	struct group groups[MAX_GROUPS] = { 0 };
	size_t n, n_elements = 0;
	int rc = 0;

	if (unfold_sort(x, err) < 0)
		return -1;
	n = groups_find(groups, x);
	for (size_t i = 0; i < x->n_order; i++)
		n_elements += !unfold_at(x, i)->range;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = group_count(&groups[i], x, &n_elements, err);
	for (int h = 0; rc == 0 && h < ACT_N_HOOKS; h++)
		base_render(x, base[h], (enum act_hook)h, groups, n);
	for (size_t i = 0; rc == 0 && i < n; i++)
		group_render(x, &groups[i]);
	if (rc == 0) {
		targets_render(x);
		rc = unfold_forget(x, err);
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; rc == 0 && k < groups[i].units.n; k++)
			if (groups[i].units.all[k].kind != UNIT_RULE)
				elements_render(x, &groups[i].units.all[k], groups[i].units.pieces.all, groups[i].hook);
		units_free(&groups[i].units);
	}
	return rc;
}

/* ---- the table ---- */

static void preamble_render(struct unfold *x, struct rs_chain *base[ACT_N_HOOKS])
{
	struct rs_rule *rule = rs_rule_add(x->r, base[ACT_OUT]);

	rs_match_num(x->r, rule, RS_IIF, RS_NE, 0, 0);
	if (rule)
		rule->counter = false;
	rs_rule_end(x->r, rule, RS_JUMP, ROUTED, "");
	jump_render(x->r, base[ACT_IN], EXEMPT_IN);
	jump_render(x->r, base[ACT_OUT], EXEMPT_OUT);
	routed_render(x->r);
	exempt_render(x->r, x->o->ipsecexempt);
	if (x->o->lifeline) {
		jump_render(x->r, base[ACT_IN], LIFELINE_IN);
		jump_render(x->r, base[ACT_OUT], LIFELINE_OUT);
		lifeline_render(x->r, x->facts);
	}
}

const char *render_store_name(enum render_store s)
{
	static const char *const names[] = { "local", "domain", "persistent", "dynamic" };

	return names[s];
}

static void table_comment(struct ruleset *r, const struct render_source *sources, size_t n)
{
	char text[RS_COMMENT_MAX + 1] = "no policy";
	size_t len = 0;

	for (size_t i = 0; i < n && len < sizeof(text); i++) {
		char p[9], g[9];

		guid_short(&sources[i].policy->id, p);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%spolicy %s %s", i ? "; " : "",
		    sources[i].store == RENDER_DOMAIN ? "" : render_store_name(sources[i].store),
		    sources[i].store == RENDER_DOMAIN ? "" : " ", p, sources[i].policy->name);
		if (guid_is_zero(&sources[i].gpo) || len >= sizeof(text))
			continue;
		guid_short(&sources[i].gpo, g);
		len += (size_t)snprintf(text + len, sizeof(text) - len, ", gpo %s %s", g,
		    sources[i].gpo_name ? sources[i].gpo_name : "");
	}
	rs_printable(text);
	r->comment = rs_strdup(r, text);
}

int policy_render(struct ruleset **ret, const struct render_source *sources, size_t n_sources,
    const struct host_facts *facts, const struct render_options *o, struct err *err)
{
	static const struct host_facts nothing_known;
	struct unfold x = { .r = ruleset_new(), .facts = facts ? facts : &nothing_known, .o = o };
	struct rs_chain *base[ACT_N_HOOKS];
	int rc = -1;

	if (!x.r) {
		err_nomem(err);
		goto out;
	}
	if (o->ipsecexempt > 3) {
		err_set(err, ERR_FORMAT, "ipsecexempt is %u, not 0 to 3", o->ipsecexempt);
		goto out;
	}
	for (size_t i = 0; i < n_sources; i++)
		if (source_unfold(&x, &sources[i], err) < 0)
			goto out;
	table_comment(x.r, sources, n_sources);
	bases_render(x.r, base);
	preamble_render(&x, base);
	rc = all_filters_render(&x, base, err);
	/* As large as the ruleset itself. */
	unfold_free(&x);
	if (rc == 0)
		rc = ruleset_seal(x.r, err);
out:
	unfold_free(&x);
	if (rc == 0)
		*ret = x.r;
	else
		ruleset_free(x.r);
	return rc;
}
