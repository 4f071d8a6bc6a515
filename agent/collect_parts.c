#include "agent/collect.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gpo/memory.h"
#include "schema/arena.h"
#include "schema/policy.h"

#define MAX_PARTS	16

struct parts {
	struct gen_part	*list;
	size_t		 n;
	struct arena	*arena;
	bool		 bad;		/* memory ran out */
};

static void add(struct parts *ps, const char *name, const char *text, size_t len)
{
	struct gen_part *p = &ps->list[ps->n];

	p->name = name;
	p->text = arena_strndup(ps->arena, text, len);
	p->len = len;
	if (p->text)
		ps->n++;
	else
		ps->bad = true;
}

static void add_text(struct parts *ps, const char *name, const char *text)
{
	if (text && *text)
		add(ps, name, text, strlen(text));
}

/* A value in its text form.  The buffer is wiped: the policy holds keys. */
static void add_written(struct parts *ps, const char *name, int (*write)(const void *value, FILE *out), const void *value)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool ok = out && write(value, out) == 0;

	if (out && fclose(out) == 0 && ok)
		add(ps, name, text, len);
	else
		ps->bad = true;
	if (text)
		explicit_bzero(text, len);
	free(text);
}

static int write_policy(const void *p, FILE *out)
{
	return policy_write(p, POLICY_SEALED, out);
}

static int write_rsop(const void *r, FILE *out)
{
	return rsop_write(r, out);
}

static int write_snapshot(const void *s, FILE *out)
{
	return snapshot_write(s, out);
}

static void add_rsop_json(struct parts *ps, const struct gp_rsop *r)
{
	json_t *j = rsop_json(r);
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	if (text)
		add_text(ps, "rsop.json", text);
	else
		ps->bad = true;
	free(text);
	json_decref(j);
}

/* Why an assigned policy cannot be used: "CODE MESSAGE". */
static void add_refusal(struct parts *ps, const struct collected *c)
{
	enum err_code code = c->policy_err.code;
	const char *msg = c->policy_err.msg;
	char *text;

	if (c->rsop->assignment == GP_UNKNOWN) {
		code = c->rsop->why;
		msg = c->rsop->reason;
	}
	text = arena_printf(ps->arena, "%s %s", err_code_name(code), msg);
	if (text)
		add_text(ps, "refused", text);
	else
		ps->bad = true;
}

static void add_winner(struct parts *ps, const struct gp_rsop *r)
{
	char id[GUID_TEXT];

	if (!r->winner)
		return;
	guid_text(&r->winner->id, id);
	add_text(ps, "gpo", id);
	add_text(ps, "gpo-name", r->winner->name);
}

int collected_parts(struct gen_part **ret, size_t *ret_n, const struct collected *c, struct arena *a, struct err *err)
{
	struct parts ps = { .arena = a, .list = arena_zalloc(a, MAX_PARTS, sizeof(*ps.list)) };

	if (!ps.list)
		return err_nomem(err);
	add_text(&ps, "assignment", gp_assignment_name(c->rsop->assignment));
	if (c->policy)
		add_written(&ps, "policy", write_policy, c->policy);
	else if (c->rsop->assignment != GP_NONE)
		add_refusal(&ps, c);
	add_winner(&ps, c->rsop);
	add_written(&ps, "rsop", write_rsop, c->rsop);
	add_rsop_json(&ps, c->rsop);
	add_written(&ps, "snapshot", write_snapshot, c->snapshot);
	add_text(&ps, "hints", c->hints);
	add_text(&ps, "site", c->rsop->site);
	add_text(&ps, "server", c->snapshot->server);
	add_text(&ps, "address", c->snapshot->address);
	add_text(&ps, "dcs", c->dcs);
	if (ps.bad)
		return err_nomem(err);
	*ret = ps.list;
	*ret_n = ps.n;
	return 0;
}

/* ---- for the next time ---- */

struct remembered {
	const struct dir_snapshot	*snapshot;
	const struct gp_subject		*who;
};

static int write_memory(const void *value, FILE *out)
{
	const struct remembered *r = value;
	struct err err;

	return gp_memory_write(r->snapshot, r->who, out, &err);
}

static void add_cost(struct parts *ps, const struct collect_cost *c)
{
	char *text = arena_printf(ps->arena, "objects %zu read %zu kept\nrequests %zu\nbytes %zu sent %zu received\n%s%s%s",
	    c->n_read, c->n_kept, c->traffic.n_requests, c->traffic.sent, c->traffic.received,
	    c->odd ? "full: " : "", c->odd ? c->odd : "", c->odd ? "\n" : "");

	if (text)
		add_text(ps, "cost", text);
	else
		ps->bad = true;
}

int collected_memory(struct gen_part ret[static 2], size_t *ret_n, const struct collected *c, const struct gp_subject *who,
    const struct gen_part *known, struct arena *a, struct err *err)
{
	const struct remembered r = { c->snapshot, who };
	struct parts ps = { .arena = a, .list = ret };

	add_cost(&ps, &c->cost);
	add_written(&ps, "memory", write_memory, &r);
	if (ps.bad)
		return err_nomem(err);
	if (known && known->len == ret[1].len && !memcmp(known->text, ret[1].text, known->len))
		ps.n--;
	*ret_n = ps.n;
	return 0;
}
