#include "agent/protection.h"

#include <stdlib.h>

#include "agent/negotiate.h"
#include "agent/sources.h"
#include "nft/protect.h"
#include "nft/render.h"
#include "schema/arena.h"

void protection_none(struct protection *p)
{
	protect_free(p->next);
	p->next = NULL;
	p->problem = (struct err){ 0 };
}

int protection_render(struct protection *p, const struct sources *s, const struct conf *c, const struct ipsec_policy *domain,
    const char *gpo, const char *gpo_name, const struct host_facts *facts, struct err *err)
{
	struct protect_options o = { 0 };
	struct render_source *all = NULL;
	struct arena *a = arena_new(0);
	size_t n = 0;
	int rc = -1;

	protection_none(p);
	if (!a)
		return err_nomem(err);
	if (sources_gather(&all, &n, s, domain, gpo, gpo_name, err) == 0) {
		/* Without its key file the rest is negotiated all the same. */
		negotiate_options(&o, a, c, s, &p->problem);
		rc = protect_render(&p->next, all, n, facts, &o, err);
	}
	free(all);
	negotiate_options_wipe(&o);
	arena_free(a);
	return rc;
}

static const struct spd *spd_of(const struct protect *p)
{
	return p ? p->spd : NULL;
}

int protection_down(struct protection *p, FILE *log, struct err *err)
{
	p->report = (struct spd_report){ 0 };
	return p->x ? xfrmsock_retract(p->x, spd_of(p->next), &p->report, log, err) : 0;
}

void protection_up(struct protection *p, FILE *log)
{
	struct err err = { 0 };

	if (!p->x || !p->next)
		return;
	if (p->hold)
		p->hold(p->negotiator, p->next->spd);
	if (xfrmsock_install(p->x, p->next->spd, &p->report, log, &err) < 0)
		p->problem = err;
}

void protection_back(struct protection *p)
{
	struct spd_report ignored;
	struct err err;

	if (!p->x || !p->before)
		return;
	if (p->hold)
		p->hold(p->negotiator, p->before->spd);
	xfrmsock_install(p->x, p->before->spd, &ignored, NULL, &err);
}
