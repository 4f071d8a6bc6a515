#include "gpo/watch.h"

#include <string.h>
#include <strings.h>

#include "gpo/ask.h"
#include "gpo/walk.h"
#include "schema/arena.h"
#include "schema/err.h"

static const char *const attrs[] = { "objectClass", NULL };

static int add(struct gp_watch *p, const char *base, enum dir_scope scope, const char *filter, struct err *err)
{
	if (!base || !filter)
		return err_nomem(err);
	if (p->n < GP_WATCH_MAX)
		p->q[p->n++] = (struct dir_query){ base, scope, filter, attrs, 0 };
	return 0;
}

/* Hints name the OUs above the computer, nearest first. */
static int add_ous(struct gp_watch *p, const struct gp_walk *w, struct err *err)
{
	for (size_t i = 0; i < w->who->n_hints && p->n < GP_WATCH_MAX; i++) {
		const char *dn = w->who->hints[i];

		if (strncasecmp(dn, "OU=", 3) || strnlen(dn, GP_DN_MAX + 1) > GP_DN_MAX || !dn_valid(dn) ||
		    !dn_below(dn, w->base_dn))
			continue;
		if (add(p, dn, DIR_BASE, ASK_ANY, err) < 0)
			return -1;
	}
	return 0;
}

static int plan_ad(struct gp_watch *p, const struct gp_walk *w, struct arena *a, struct err *err)
{
	if (add(p, arena_printf(a, "CN=IP Security,CN=System,%s", w->base_dn), DIR_ONE, ASK_ANY, err) < 0 ||
	    add(p, arena_printf(a, "CN=Policies,CN=System,%s", w->base_dn), DIR_ONE, ASK_ANY, err) < 0 ||
	    add(p, arena_strdup(a, w->base_dn), DIR_BASE, ASK_ANY, err) < 0)
		return -1;
	return add_ous(p, w, err);
}

int gp_watch_plan(struct gp_watch *ret, struct dir_query *ask, const struct dir_snapshot *s, const struct gp_subject *who,
    struct arena *a, struct err *err)
{
	struct gp_walk w = { .s = s, .who = who, .a = a };
	struct gp_watch p = { .n = 0 };
	struct ask_text t = { .a = a };
	int r = walk_root(&w, err);

	if (r > 0)
		*ask = w.need;
	if (r)
		return r;
	if (!*w.base_dn)
		return err_set(err, ERR_ABSENT, "the directory names no domain: say which one in the configuration");
	p.ad = w.ad;
	ask_put_classes(&t, ask_gp_classes);
	if (p.ad)
		r = plan_ad(&p, &w, a, err);
	else
		r = add(&p, arena_strdup(a, w.base_dn), DIR_SUB, t.bad ? NULL : t.p, err);
	if (r == 0)
		*ret = p;
	return r;
}
