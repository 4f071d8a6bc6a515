/* A fleet for people (the summary) and for programs (every computer, and the summary). */
#include "gpo/fleet.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gpo/dnset.h"
#include "gpo/fleet_work.h"
#include "gpo/rsop_text.h"
#include "schema/arena.h"
#include "schema/utf.h"

#define ROWS_SHOWN	40	/* of one table; JSON has all */

/* ---- counting ---- */

struct row {
	const struct fleet_answer	*answer;	/* of the first of them */
	size_t				 n;
};

struct counts {
	struct arena	*a;
	struct dnset	 keys;
	struct row	*rows;		/* assigned, none, unknown; most hosts first */
	size_t		 n[GP_UNKNOWN + 1], n_rows[GP_UNKNOWN + 1];
};

/* Behind a colon nothing is a DN: such texts are compared byte by byte. */
static const char *row_key(struct arena *a, const struct fleet_answer *answer)
{
	switch (answer->assignment) {
	case GP_ASSIGNED:
		return arena_printf(a, ":assigned\n%s\n%s", answer->policy_dn, answer->winner_dn);
	case GP_NONE:
		return arena_printf(a, ":none\n%s", answer->verdict);
	default:
		return arena_printf(a, ":unknown\n%s\n%s", err_code_name(answer->why), answer->kind);
	}
}

/* The row of c, which may be new; NULL: no memory. */
static struct row *row_of(struct counts *k, const struct fleet_computer *c)
{
	const char *key = row_key(k->a, c->answer);
	size_t n = k->keys.n, at = key ? dnset_add(&k->keys, key) : DNSET_NONE;

	if (at == DNSET_NONE)
		return NULL;
	if (at < n)
		return &k->rows[at];
	k->rows = arena_grow(k->a, k->rows, n, sizeof(*k->rows));
	if (!k->rows)
		return NULL;
	k->rows[at] = (struct row){ c->answer, 0 };
	k->n_rows[c->answer->assignment]++;
	return &k->rows[at];
}

static int row_cmp(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	int c = (int)a->answer->assignment - (int)b->answer->assignment;

	if (!c)
		c = (a->n < b->n) - (a->n > b->n);
	if (!c && a->answer->assignment == GP_ASSIGNED)
		c = strcmp(a->answer->policy_dn, b->answer->policy_dn);
	if (!c && a->answer->assignment == GP_ASSIGNED)
		c = strcmp(a->answer->winner_dn, b->answer->winner_dn);
	if (!c)
		c = strcmp(a->answer->verdict, b->answer->verdict);
	return c ? c : strcmp(a->answer->kind, b->answer->kind);
}

static int count(struct counts *k, const struct gp_fleet *f)
{
	const struct fleet_answer *last = NULL;
	struct row *row = NULL;

	k->keys.a = k->a;
	/* Neighbours mostly share their answer. */
	for (size_t i = 0; i < f->n_computers; i++) {
		const struct fleet_computer *c = f->work->order[i];

		if (c->answer != last)
			row = row_of(k, c);
		if (!row)
			return -1;
		last = c->answer;
		row->n++;
		k->n[c->answer->assignment]++;
	}
	if (k->keys.n)
		qsort(k->rows, k->keys.n, sizeof(*k->rows), row_cmp);
	return 0;
}

/* ---- text ---- */

static void write_row(const struct row *row, FILE *out)
{
	const struct fleet_answer *answer = row->answer;

	fprintf(out, "%8zu  ", row->n);
	switch (answer->assignment) {
	case GP_ASSIGNED:
		fputs("policy ", out);
		rsop_put_object(out, answer->policy_name, &answer->policy_id, answer->policy_dn);
		fputs(" by GPO ", out);
		rsop_put_object(out, answer->winner_name, &answer->winner, answer->winner_dn);
		break;
	case GP_NONE:
		fputs(answer->verdict, out);
		break;
	default:
		utf8_write(out, answer->kind, "");
		fprintf(out, " (%s)", err_code_name(answer->why));
	}
	fputc('\n', out);
}

static const struct row *write_table(const struct row *row, size_t n, const char *title, FILE *out)
{
	size_t more = 0;

	if (n)
		fprintf(out, "\n%s\n", title);
	for (size_t i = 0; i < n; i++) {
		if (i < ROWS_SHOWN)
			write_row(&row[i], out);
		else
			more += row[i].n;
	}
	if (more)
		fprintf(out, "%8zu  of %zu other kinds; --json tells\n", more, n - ROWS_SHOWN);
	return n ? row + n : row;
}

int gp_fleet_write(const struct gp_fleet *f, FILE *out)
{
	struct counts k = { .a = arena_new(0) };
	const struct row *row;
	int rc = k.a ? count(&k, f) : -1;

	if (!rc) {
		fprintf(out, "Computers  %zu: %zu assigned, %zu none, %zu unknown\n", f->n_computers, k.n[GP_ASSIGNED],
		    k.n[GP_NONE], k.n[GP_UNKNOWN]);
		row = write_table(k.rows, k.n_rows[GP_ASSIGNED], "Assigned:", out);
		row = write_table(row, k.n_rows[GP_NONE], "Nothing is assigned; what keeps the GPO that comes nearest to it:", out);
		write_table(row, k.n_rows[GP_UNKNOWN], "Unknown, what is enforced stays:", out);
		rc = ferror(out) ? -1 : 0;
	}
	arena_free(k.a);
	return rc;
}

/* ---- JSON ---- */

/* Consumes value; -1: no memory. */
static int put(json_t *to, const char *key, json_t *value)
{
	return json_object_set_new(to, key, value);
}

static json_t *policy_of(const struct fleet_answer *answer)
{
	json_t *j = answer->policy_dn ? json_object() : json_null();

	if (!answer->policy_dn)
		return j;
	if (!j || put(j, "dn", rsop_json_text(answer->policy_dn)) || put(j, "id", rsop_json_guid(&answer->policy_id)) ||
	    put(j, "name", rsop_json_text(answer->policy_name))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static json_t *winner_of(const struct fleet_answer *answer)
{
	return answer->winner_dn ? rsop_json_guid(&answer->winner) : json_null();
}

static json_t *verdicts_of(const struct fleet_answer *answer)
{
	json_t *j = json_object();

	for (int v = 0; j && v < FLEET_VERDICTS; v++) {
		if (answer->verdicts[v] && put(j, gp_verdict_name((enum gp_verdict)v), json_integer((json_int_t)answer->verdicts[v]))) {
			json_decref(j);
			j = NULL;
		}
	}
	return j;
}

static json_t *answer_json(const struct fleet_answer *answer)
{
	json_t *j = json_object();

	if (!j || put(j, "domain", rsop_json_text(answer->domain)) || put(j, "site", rsop_json_text(answer->site)) ||
	    put(j, "site_from", json_string(answer->site_from)) ||
	    put(j, "assignment", json_string(gp_assignment_name(answer->assignment))) ||
	    put(j, "reason", rsop_json_text(answer->reason)) ||
	    put(j, "why", json_string(answer->assignment == GP_UNKNOWN ? err_code_name(answer->why) : "")) ||
	    put(j, "failed", json_boolean(answer->failed)) || put(j, "policy", policy_of(answer)) ||
	    put(j, "winner", winner_of(answer)) || put(j, "verdict", json_string(answer->verdict)) ||
	    put(j, "verdicts", verdicts_of(answer))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

/* Malloc'd; consumes j. */
static char *json_line(json_t *j)
{
	char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	json_decref(j);
	return text;
}

/* What computers share is made once, in texts[number]. */
static int write_computer(const struct fleet_computer *c, char **texts, FILE *out)
{
	char **shared = &texts[c->answer->number], *name, *dn;
	int rc = -1;

	if (!*shared)
		*shared = json_line(answer_json(c->answer));
	name = json_line(rsop_json_text(c->name));
	dn = json_line(rsop_json_text(c->dn));
	/* The shared object goes on behind its brace. */
	if (*shared && name && dn)
		rc = fprintf(out, "{\"computer\":%s,\"computer_dn\":%s,%s", name, dn, *shared + 1) < 0 ? -1 : 0;
	free(name);
	free(dn);
	return rc;
}

static int write_computers(const struct gp_fleet *f, FILE *out)
{
	char **texts = calloc(f->n_answers + 1, sizeof(*texts));
	int rc = texts ? 0 : -1;

	for (size_t i = 0; !rc && i < f->n_computers; i++) {
		fputs(i ? ",\n" : "\n", out);
		rc = write_computer(&f->computers[i], texts, out);
	}
	for (size_t i = 0; texts && i < f->n_answers; i++)
		free(texts[i]);
	free(texts);
	return rc;
}

static json_t *row_json(const struct row *row)
{
	const struct fleet_answer *answer = row->answer;
	json_t *j = json_object();
	int bad = !j;

	if (!bad && answer->assignment == GP_ASSIGNED)
		bad = put(j, "policy", policy_of(answer)) || put(j, "winner", winner_of(answer)) ||
		    put(j, "winner_name", rsop_json_text(answer->winner_name));
	else if (!bad && answer->assignment == GP_NONE)
		bad = put(j, "verdict", json_string(answer->verdict));
	else if (!bad)
		bad = put(j, "why", json_string(err_code_name(answer->why))) || put(j, "reason", rsop_json_text(answer->kind));
	if (bad || put(j, "computers", json_integer((json_int_t)row->n))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static json_t *summary_json(const struct gp_fleet *f, const struct counts *k)
{
	json_t *j = json_object(), *list;
	const struct row *row = k->rows;
	int bad = !j || put(j, "computers", json_integer((json_int_t)f->n_computers));

	for (int a = GP_ASSIGNED; !bad && a <= GP_UNKNOWN; a++)
		bad = put(j, gp_assignment_name((enum gp_assignment)a), json_integer((json_int_t)k->n[a]));
	for (int a = GP_ASSIGNED; !bad && a <= GP_UNKNOWN; a++) {
		static const char *const keys[] = { "policies", "verdicts", "reasons" };

		list = json_array();
		bad = put(j, keys[a], list);
		for (size_t i = 0; !bad && i < k->n_rows[a]; i++)
			bad = json_array_append_new(list, row_json(row++));
	}
	if (bad) {
		json_decref(j);
		return NULL;
	}
	return j;
}

int gp_fleet_write_json(const struct gp_fleet *f, FILE *out)
{
	struct counts k = { .a = arena_new(0) };
	json_t *summary = k.a && count(&k, f) == 0 ? summary_json(f, &k) : NULL;
	int rc = -1;

	if (summary) {
		fputs("{\"computers\": [", out);
		rc = write_computers(f, out);
		fputs("\n],\n\"summary\": ", out);
		rc = json_dumpf(summary, out, JSON_INDENT(2)) < 0 || rc < 0 ? -1 : 0;
		fputs("}\n", out);
	}
	json_decref(summary);
	arena_free(k.a);
	return rc < 0 || ferror(out) ? -1 : 0;
}
