/* org.ipsecpol.Filters: the filters in effect over all stores, in pages.  The list is made once
 * for all its pages and kept for a moment. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "agent/answers_dynamic.h"
#include "agent/answers_json.h"
#include "agent/ctl.h"
#include "agent/daemon.h"
#include "agent/diag.h"
#include "nft/shape.h"
#include "nft/unfold.h"
#include "schema/arena.h"

#define PAGE		2000	/* filters in one answer: some 2 MB */
#define KEEP_SECONDS	15

enum { ALL_HOOKS = 1 << ACT_IN | 1 << ACT_OUT | 1 << ACT_FORWARD };

/* One line of a listing: a filter as it was written (f) or a specific one (l). */
struct row {
	const struct render_source	*s;
	const struct ipsec_rule		*r;
	const struct ipsec_filter	*f;
	const struct filter_line	*l;
	uint8_t				 hooks;		/* of f */
	uint64_t			 rank;		/* of f, within its family: higher is more specific */
	size_t				 at;		/* of f, in the order of the policies */
};

struct listing { bool specific, mm; };

struct filters_cache {
	uint64_t		 stamp;		/* of what is in force: a new one for each */
	struct listing		 what;
	struct arena		*arena;		/* NULL: no list */
	struct row		*rows;
	size_t			 n;
	sd_event_source		*timer;
};

static void list_drop(struct filters_cache *c)
{
	arena_free(c->arena);
	free(c->rows);
	c->arena = NULL;
	c->rows = NULL;
	c->n = 0;
}

void filters_forget(struct daemon *d)
{
	struct filters_cache *c = d->filters;

	diag_forget(d->diag);
	if (!c)
		return;
	list_drop(c);
	sd_event_source_disable_unref(c->timer);
	free(c);
	d->filters = NULL;
}

static int on_old(sd_event_source *s, uint64_t usec, void *cookie)
{
	(void)s, (void)usec;
	list_drop(cookie);
	return 0;
}

static struct filters_cache *cache_of(struct daemon *d, struct err *err)
{
	struct filters_cache *c = d->filters;

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c || getrandom(&c->stamp, sizeof(c->stamp), 0) != sizeof(c->stamp) ||
	    sd_event_add_time(d->ev, &c->timer, CLOCK_MONOTONIC, 0, 0, on_old, c) < 0) {
		free(c);
		err_nomem(err);
		return NULL;
	}
	c->stamp >>= 2;		/* an integer for JSON */
	sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	d->filters = c;
	return c;
}

/* ---- rows ---- */

static bool rule_counts(const struct ipsec_rule *r, bool mm)
{
	return r->active && !r->default_response && r->filter_list && (!mm || r->negpol->action == IPSEC_NEGOTIATE);
}

static void side_of(struct side *ret, const struct ipsec_addr *a, uint8_t family)
{
	static const uint8_t server[16];

	switch (a->kind) {
	case IPSEC_ADDR_ANY: side_any(ret); break;
	case IPSEC_ADDR_ME: side_me(ret, family); break;
	case IPSEC_ADDR_NET: side_net(ret, family, a->lo, a->prefix); break;
	case IPSEC_ADDR_RANGE: side_range(ret, family, a->lo, a->hi); break;
	default: side_net(ret, family, server, ipsec_addr_bits(family)); break;	/* one address */
	}
}

/* AF_UNSPEC: for both. */
static uint8_t filter_family(const struct ipsec_filter *f)
{
	return f->src.family ? f->src.family : f->dst.family;
}

static uint64_t filter_rank(const struct ipsec_rule *r, const struct ipsec_filter *f)
{
	const uint8_t family = filter_family(f) ? filter_family(f) : AF_INET;
	struct specific s = { .hook = f->dst.kind == IPSEC_ADDR_ME ? ACT_IN : ACT_OUT, .family = family, .tunnel = r->tunnel,
		.conntype = r->conntype, .protocol = f->protocol };

	side_of(&s.src, &f->src, family);
	side_of(&s.dst, &f->dst, family);
	s.src.port = f->src_port;
	s.dst.port = f->dst_port;
	specific_rank(&s);
	return s.rank;
}

static size_t source_rows(struct row *rows, const struct render_source *s, bool mm)
{
	size_t n = 0;

	for (size_t k = 0; k < s->policy->n_rules; k++) {
		const struct ipsec_rule *r = &s->policy->rules[k];

		for (size_t i = 0; rule_counts(r, mm) && i < r->filter_list->n_filters; i++, n++)
			if (rows)
				rows[n] = (struct row){ .s = s, .r = r, .f = &r->filter_list->filters[i],
					.hooks = s->rule_hooks ? s->rule_hooks[k] : ALL_HOOKS,
					.rank = filter_rank(r, &r->filter_list->filters[i]) };
	}
	return n;
}

static int num_cmp(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* What is for IPv6 alone comes last: prefixes of the two families cannot be compared. */
static int rank_cmp(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int c;

	if ((c = num_cmp(filter_family(x->f) == AF_INET6, filter_family(y->f) == AF_INET6)) || (c = num_cmp(y->rank, x->rank)))
		return c;
	return num_cmp(x->at, y->at);
}

static int generic_rows(struct filters_cache *c, const struct daemon_view *v, bool mm, struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_sources; i++)
		n += source_rows(NULL, &v->sources[i], mm);
	c->rows = calloc(n + 1, sizeof(*c->rows));
	if (!c->rows)
		return err_nomem(err);
	for (size_t i = 0; i < v->n_sources; i++)
		c->n += source_rows(c->rows + c->n, &v->sources[i], mm);
	for (size_t i = 0; i < c->n; i++)
		c->rows[i].at = i;
	if (n)
		qsort(c->rows, c->n, sizeof(*c->rows), rank_cmp);
	return 0;
}

static int rule_cmp(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int c = guid_cmp(&x->r->id, &y->r->id);

	return c ? c : num_cmp(x->s->store, y->s->store);
}

static int origin_cmp(const void *key, const void *member)
{
	const struct filter_line *l = key;
	const struct row *x = member;
	int c = guid_cmp(&l->origin.rule, &x->r->id);

	return c ? c : num_cmp(l->store, x->s->store);
}

/* A row for each rule, to be searched by rule_cmp. */
static int rule_index(struct row **ret, size_t *ret_n, const struct daemon_view *v, struct err *err)
{
	size_t n = 0;
	struct row *rows;

	for (size_t i = 0; i < v->n_sources; i++)
		n += v->sources[i].policy->n_rules;
	rows = calloc(n + 1, sizeof(*rows));
	if (!rows)
		return err_nomem(err);
	n = 0;
	for (size_t i = 0; i < v->n_sources; i++)
		for (size_t k = 0; k < v->sources[i].policy->n_rules; k++)
			rows[n++] = (struct row){ .s = &v->sources[i], .r = &v->sources[i].policy->rules[k] };
	if (n)
		qsort(rows, n, sizeof(*rows), rule_cmp);
	*ret = rows;
	*ret_n = n;
	return 0;
}

/* Main mode is between two hosts: what goes out, and what comes in from others. */
static bool line_counts(const struct filter_line *l, bool mm)
{
	return !mm || (l->kind != ACT_PERMIT && l->kind != ACT_BLOCK && l->hook != ACT_FORWARD && !l->shadowed);
}

static int specific_rows(struct filters_cache *c, const struct daemon_view *v, bool mm, struct err *err)
{
	struct row *index = NULL, *rows, *of;
	struct filter_line *lines = NULL;
	size_t n_lines = 0, n_index = 0, n = 0;

	if (filters_list(&lines, &n_lines, c->arena, v->sources, v->n_sources, v->facts, &v->o, err) < 0 ||
	    rule_index(&index, &n_index, v, err) < 0)
		return -1;
	rows = calloc(n_lines + 1, sizeof(*rows));
	if (!rows) {
		free(index);
		return err_nomem(err);
	}
	/* Family after family, as above. */
	for (size_t k = 0; k < 2 * n_lines; k++) {
		const size_t i = k % n_lines;

		if ((lines[i].family == AF_INET6) != (k >= n_lines))
			continue;
		of = n_index ? bsearch(&lines[i], index, n_index, sizeof(*index), origin_cmp) : NULL;
		if (of && line_counts(&lines[i], mm))
			rows[n++] = (struct row){ .s = of->s, .r = of->r, .l = &lines[i] };
	}
	free(index);
	c->rows = rows;
	c->n = n;
	return 0;
}

/* ---- main mode filters: each pair of ends once a rule ---- */

/* Of a line: this host's end first. */
static const char *near_end(const struct filter_line *l)
{
	return l->hook == ACT_IN ? l->dst : l->src;
}

static const char *far_end(const struct filter_line *l)
{
	return l->hook == ACT_IN ? l->src : l->dst;
}

static int addr_cmp(const struct ipsec_addr *a, const struct ipsec_addr *b)
{
	int c;

	if ((c = num_cmp(a->kind, b->kind)) || (c = num_cmp(a->family, b->family)) || (c = memcmp(a->lo, b->lo, sizeof(a->lo))) ||
	    (c = memcmp(a->hi, b->hi, sizeof(a->hi))))
		return c;
	return num_cmp(a->prefix, b->prefix);
}

static int mm_cmp(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int c;

	if ((c = num_cmp(y->s->store, x->s->store)) || (c = guid_cmp(&x->r->id, &y->r->id)))
		return c;
	if (x->l)
		return (c = strcmp(near_end(x->l), near_end(y->l))) ? c : strcmp(far_end(x->l), far_end(y->l));
	return (c = addr_cmp(&x->f->src, &y->f->src)) ? c : addr_cmp(&x->f->dst, &y->f->dst);
}

static void mm_unite(struct filters_cache *c)
{
	size_t n = 0;

	if (!c->n)
		return;
	qsort(c->rows, c->n, sizeof(*c->rows), mm_cmp);
	for (size_t i = 1; i < c->n; i++)
		if (mm_cmp(&c->rows[n], &c->rows[i]))
			c->rows[++n] = c->rows[i];
	c->n = n + 1;
}

static int list_make(struct filters_cache *c, struct daemon *d, struct listing what, struct err *err)
{
	struct daemon_view v;
	int rc;

	if (c->arena && c->what.specific == what.specific && c->what.mm == what.mm)
		return 0;
	list_drop(c);
	c->what = what;
	c->arena = arena_new(0);
	if (!c->arena)
		return err_nomem(err);
	daemon_view(d, &v);
	rc = what.specific ? specific_rows(c, &v, what.mm, err) : generic_rows(c, &v, what.mm, err);
	if (rc == 0 && what.mm)
		mm_unite(c);
	if (rc < 0)
		list_drop(c);
	return rc;
}

/* ---- as JSON ---- */

static const char *kind_action(enum act_kind k)
{
	return k == ACT_PERMIT ? "permit" : k == ACT_BLOCK ? "block" : "negotiate";
}

static const char *kind_name(enum act_kind k)
{
	static const char *const names[ACT_N_KINDS] = {
		[ACT_PERMIT] = "permit", [ACT_BLOCK] = "block", [ACT_REQUIRE] = "require", [ACT_PASS] = "pass-through",
		[ACT_REQUEST] = "request", [ACT_REQUEST_PASS] = "request and pass-through",
	};

	return names[k];
}

/* As the renderer takes it. */
static enum act_kind rule_kind(const struct ipsec_rule *r)
{
	const struct ipsec_negpol *n = r->negpol;

	if (n->action == IPSEC_BLOCK)
		return ACT_BLOCK;
	if (r->tunnel)
		return ACT_REQUIRE;
	if (n->action == IPSEC_PERMIT)
		return ACT_PERMIT;
	return n->inpass ? (n->soft ? ACT_REQUEST_PASS : ACT_PASS) : n->soft ? ACT_REQUEST : ACT_REQUIRE;
}

static json_t *origin_json(const struct row *w)
{
	return json_pack("{s:s, s:s, s:o, s:s, s:o, s:s, s:o}", "store", render_store_name(w->s->store), "policy", w->s->policy->name,
	    "rule", guid_json(&w->r->id), "rule_name", w->r->name, "gpo", guid_json(&w->s->gpo),
	    "gpo_name", w->s->gpo_name ? w->s->gpo_name : "", "tunnel", tunnel_json(w->r));
}

static json_t *merged(json_t *j, json_t *more)
{
	if (j && more && json_object_update(j, more) == 0) {
		json_decref(more);
		return j;
	}
	json_decref(j);
	json_decref(more);
	return NULL;
}

static json_t *generic_json(const struct row *w)
{
	char src[IPSEC_ADDR_TEXT], dst[IPSEC_ADDR_TEXT];
	const struct ipsec_filter *f = w->f;
	const enum act_kind kind = rule_kind(w->r);
	const char *direction = w->hooks == ALL_HOOKS ? "both" : w->hooks & 1 << ACT_IN ? "inbound" : "outbound";

	ipsec_addr_text(&f->src, src);
	ipsec_addr_text(&f->dst, dst);
	return json_pack("{s:o, s:s, s:s, s:s, s:o, s:i, s:o, s:o, s:b, s:s, s:s, s:s, s:s, s:s, s:s}",
	    "filter", guid_json(&f->id), "description", f->description, "src", src, "dst", dst,
	    "family", filter_family(f) ? json_integer(filter_family(f) == AF_INET ? 4 : 6) : json_null(), "protocol", (int)f->protocol,
	    "src_port", ports_json(&f->src_port), "dst_port", ports_json(&f->dst_port), "mirrored", (int)f->mirrored,
	    "conntype", ipsec_conntype_name(w->r->conntype), "direction", direction,
	    "action", kind_action(kind), "kind", kind_name(kind), "action_name", w->r->negpol->name,
	    "filter_list", w->r->filter_list->name);
}

static json_t *specific_json(const struct row *w)
{
	static const char *const directions[] = { [ACT_IN] = "inbound", [ACT_OUT] = "outbound", [ACT_FORWARD] = "forward" };
	const struct filter_line *l = w->l;

	return json_pack("{s:o, s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:I, s:b}",
	    "filter", guid_json(&l->origin.filter), "direction", directions[l->hook], "src", l->src, "dst", l->dst,
	    "family", l->family == AF_INET ? 4 : 6, "protocol", (int)l->protocol, "src_port", ports_json(&l->src_port),
	    "dst_port", ports_json(&l->dst_port), "conntype", ipsec_conntype_name(l->conntype), "action", kind_action(l->kind),
	    "kind", kind_name(l->kind), "action_name", l->action_name, "filter_list", l->list_name,
	    "weight", (json_int_t)l->weight, "shadowed", (int)l->shadowed);
}

static json_t *mm_json(const struct row *w)
{
	char src[IPSEC_ADDR_TEXT], dst[IPSEC_ADDR_TEXT];

	if (w->f) {
		ipsec_addr_text(&w->f->src, src);
		ipsec_addr_text(&w->f->dst, dst);
	}
	return json_pack("{s:s, s:s, s:o, s:o}", "src", w->l ? near_end(w->l) : src, "dst", w->l ? far_end(w->l) : dst,
	    "main_mode", main_mode_json(&w->s->policy->isakmp), "auth", auth_json(w->r->auth, w->r->n_auth));
}

static json_t *row_json(const struct row *w, bool mm)
{
	return merged(mm ? mm_json(w) : w->l ? specific_json(w) : generic_json(w), origin_json(w));
}

static json_t *page_json(const struct filters_cache *c, size_t from)
{
	const size_t left = from < c->n ? c->n - from : 0, n = left < PAGE ? left : PAGE;
	json_t *list = json_array();

	for (size_t i = from; list && i < from + n; i++)
		if (json_array_append_new(list, row_json(&c->rows[i], c->what.mm)) < 0) {
			json_decref(list);
			list = NULL;
		}
	return json_pack("{s:o, s:I, s:o, s:I, s:I}", "filters", list, "from", (json_int_t)from,
	    "next", left > n ? json_integer((json_int_t)(from + n)) : json_null(), "total", (json_int_t)c->n,
	    "stamp", (json_int_t)c->stamp);
}

/* ---- the call ---- */

/* false: neither of the two words; not given: the first. */
static bool word_of(bool *ret, const json_t *parameters, const char *key, const char *first, const char *second)
{
	const json_t *j = json_object_get(parameters, key);
	const char *s = json_string_value(j);

	*ret = s && !strcmp(s, second);
	return !j || *ret || (s && !strcmp(s, first));
}

void answer_filters(struct daemon *d, struct ctl_call *call, json_t *parameters)
{
	const json_t *stamp = json_object_get(parameters, "stamp");
	const json_int_t from = json_integer_value(json_object_get(parameters, "from"));
	struct filters_cache *c;
	struct err err = { 0 };
	struct listing what;
	json_t *page;

	if (!word_of(&what.specific, parameters, "type", "generic", "specific") || !word_of(&what.mm, parameters, "what", "qm", "mm") ||
	    from < 0) {
		ctl_error(call, "InvalidParameter", "'type' is generic or specific, 'what' mm or qm, 'from' a number");
		return;
	}
	c = cache_of(d, &err);
	if (!c || (stamp && (uint64_t)json_integer_value(stamp) != c->stamp)) {
		if (c)
			ctl_error(call, "Changed", "the filters have changed meanwhile");
		else
			ctl_error(call, "Failed", "%s", err.msg);
		return;
	}
	if (list_make(c, d, what, &err) < 0) {
		ctl_error(call, "Failed", "%s", err.msg);
		return;
	}
	page = page_json(c, (size_t)from);
	if ((size_t)from + PAGE >= c->n)
		list_drop(c);
	sd_event_source_set_time_relative(c->timer, KEEP_SECONDS * UINT64_C(1000000));
	sd_event_source_set_enabled(c->timer, c->arena ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	ctl_reply(call, page);
}
