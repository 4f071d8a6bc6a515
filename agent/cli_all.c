/* ipsecpol show rsop --all: every computer of a directory. */
#include "agent/cli.h"

#include <stdio.h>

#include "agent/conf.h"
#include "gpo/fleet.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/snapshot.h"

/* whole: for the answers that the fleet keeps. */
static int ask_one(struct gp_fleet *f, struct directory *d, const struct dir_query *q, struct arena *whole, struct err *err)
{
	struct arena *own = q->scope == DIR_BASE ? arena_new(0) : NULL, *a = q->scope == DIR_BASE ? own : whole;
	struct dir_search answer;
	int rc = a ? directory_ask(d, q, &answer, a, err) : err_nomem(err);

	if (!rc)
		rc = gp_fleet_answer_add(f, q, answer.outcome, answer.entries, answer.n_entries, err);
	arena_free(own);
	return rc;
}

static int ask_all(struct gp_fleet *f, struct directory *d, struct arena *whole, struct err *err)
{
	struct dir_query q;
	int r;

	while ((r = gp_fleet_next_query(&q, f, err)) > 0)
		if (ask_one(f, d, &q, whole, err) < 0)
			return -1;
	return r;
}

/* This host among them tells more of its site than another one's account does. */
static int put_self(struct cli *c, struct gp_fleet *f, struct directory *d, const struct gp_options *o, struct err *err)
{
	struct collected col = { 0 };
	struct gp_subject who;
	struct err why = { 0 };
	bool here = false;
	int rc;

	for (size_t i = 0; !here && i < f->n_computers; i++)
		here = ascii_equal(f->computers[i].name, c->conf->computer);
	if (!here)
		return 0;
	if (cli_subject(c, &who, err) < 0)
		return -1;
	if (collect_from(&col, d, &who, o, &why) < 0)
		rc = gp_fleet_put(f, NULL, &who, &why, err);
	else
		rc = gp_fleet_put(f, col.snapshot, &who, NULL, err);
	collected_free(&col);
	return rc;
}

int cli_show_all(struct cli *c)
{
	const struct gp_subject everyone = {
		.computer = "", .domain = c->domain ? c->domain : c->conf->domain,
		.site = c->site, .default_site = c->conf->default_site,
	};
	const struct gp_options o = { .wmi_allow = c->conf->wmi_allow };
	struct directory_conf dc = cli_directory(c);
	struct arena *whole = arena_new(0);
	struct gp_fleet *f = gp_fleet_new(&everyone, &o);
	struct directory *d = NULL;
	struct err err = { 0 };
	int rc = -1;

	dc.bulk = true;
	if (!whole || !f)
		err_nomem(&err);
	else if ((d = directory_open(&dc, &err)) && ask_all(f, d, whole, &err) == 0 && put_self(c, f, d, &o, &err) == 0)
		rc = 0;
	if (!rc && ((c->json ? gp_fleet_write_json(f, stdout) : gp_fleet_write(f, stdout)) < 0 || fflush(stdout) != 0))
		rc = err_set(&err, ERR_SYSTEM, "writing the output: %m");
	gp_fleet_free(f);
	arena_free(whole);
	directory_close(d);
	return rc < 0 ? cli_fail(&err) : EXIT_DONE;
}
