#include "gpo/rsop.h"

#include <string.h>
#include <strings.h>

#include "gpo/walk.h"
#include "schema/arena.h"

const char *gp_verdict_name(enum gp_verdict v)
{
	static const char *const names[] = {
		[GP_APPLIES] = "applies", [GP_LINK_DISABLED] = "link-disabled",
		[GP_BLOCKED] = "blocked", [GP_GPO_DISABLED] = "gpo-disabled",
		[GP_ACCESS_DENIED] = "access-denied", [GP_UNREADABLE] = "unreadable",
		[GP_NOT_FOUND] = "not-found", [GP_MALFORMED] = "malformed", [GP_WMI_FILTER] = "wmi-filter",
		[GP_BAD_VERSION] = "bad-version", [GP_NO_IPSEC] = "no-ipsec-extension",
	};

	return names[v];
}

const char *gp_assignment_name(enum gp_assignment a)
{
	static const char *const names[] = { "assigned", "none", "unknown" };

	return names[a];
}

void rsop_free(struct gp_rsop *r)
{
	if (r)
		arena_free(r->arena);
}

static const char *gpo_note(struct arena *a, enum gp_verdict v, const char *note)
{
	if (!*note)
		return note;
	switch (v) {
	case GP_BLOCKED:
		return arena_printf(a, "inheritance ends at '%s'", note);
	case GP_WMI_FILTER:
		return arena_printf(a, "WMI filter '%s' cannot be evaluated here", note);
	case GP_APPLIES:
	case GP_NO_IPSEC:
		return arena_printf(a, "WMI filter '%s' taken as true", note);
	default:
		return note;
	}
}

static int fill_gpos(struct gp_rsop *r, const struct gp_walk *w, bool wmi_allow, struct err *err)
{
	struct gp_gpo *gpos = arena_zalloc(r->arena, w->n_ranked, sizeof(*gpos));
	const char *note;

	if (!gpos)
		return err_nomem(err);
	for (size_t i = 0; i < w->n_ranked; i++) {
		const struct walk_gpo *g = walk_gpo_of(w, i);

		gpos[i].id = g->id;
		gpos[i].dn = g->dn;
		gpos[i].name = g->name;
		gpos[i].som = w->ranked[i].som;
		gpos[i].enforced = w->ranked[i].link->enforced;
		gpos[i].verdict = walk_verdict(w, i, wmi_allow, &note);
		gpos[i].note = gpo_note(r->arena, gpos[i].verdict, note);
		if (!gpos[i].note)
			return err_nomem(err);
	}
	r->gpos = gpos;
	r->n_gpos = w->n_ranked;
	return 0;
}

static void fill_subject(struct gp_rsop *r, const struct gp_walk *w)
{
	r->computer_dn = w->computer_dn;
	r->domain = w->domain;
	r->site = w->site;
	r->site_from = w->site_from;
	r->site_note = w->site_note;
	r->token_from = w->token_from;
	r->token = w->token;
	r->n_token = w->n_token;
	r->soms = w->soms;
	r->n_soms = w->n_soms;
}

bool walk_policy_id(struct guid *ret, struct arena *a, const char *dn, const struct dir_entry *e)
{
	static const char prefix[] = "ipsecPolicy";
	const char *text = entry_text(e, "ipsecID");

	if (text && guid_parse(ret, text, strlen(text)))
		return true;
	text = dn_rdn_value(a, dn, "CN");
	if (!text || strncasecmp(text, prefix, strlen(prefix)))
		return false;
	text += strlen(prefix);
	return guid_parse(ret, text, strlen(text));
}

static int fill_assignment(struct gp_rsop *r, struct gp_walk *w, bool wmi_allow, struct err *err)
{
	struct walk_assigned assigned;
	const char *name;
	int rc;

	r->policy_name = "";
	rc = walk_assignment(&assigned, w, wmi_allow, err);
	if (rc)
		return rc;
	if (assigned.decided)
		r->winner = &r->gpos[assigned.rank];
	r->assignment = assigned.assignment;
	r->why = assigned.why;
	r->reason = assigned.reason;
	if (assigned.assignment != GP_ASSIGNED)
		return 0;
	name = entry_text(assigned.policy, "ipsecName");
	r->policy_dn = assigned.policy_dn;
	r->policy_name = arena_strdup(r->arena, name ? name : "");
	walk_policy_id(&r->policy_id, r->arena, r->policy_dn, assigned.policy);
	return r->policy_name ? 0 : err_nomem(err);
}

int gp_resolve(struct gp_rsop **ret, const struct dir_snapshot *s, const struct gp_subject *who,
    const struct gp_options *o, struct err *err)
{
	struct arena *a = arena_new(0);
	struct gp_walk w = { .s = s, .who = who, .a = a };
	struct gp_rsop *r = a ? arena_zalloc(a, 1, sizeof(*r)) : NULL;
	int rc;

	if (!r) {
		rc = err_nomem(err);
		goto out;
	}
	r->arena = a;
	r->computer = arena_strdup(a, who->computer);
	rc = r->computer ? walk_run(&w, err) : err_nomem(err);
	if (!rc) {
		fill_subject(r, &w);
		rc = fill_gpos(r, &w, o->wmi_allow, err);
	}
	if (!rc)
		rc = fill_assignment(r, &w, o->wmi_allow, err);
	if (rc > 0)
		rc = err_set(err, ERR_FORMAT, "the snapshot is not complete: '%s' was not asked for %s",
		    w.need.base, w.need.filter);
	if (!rc) {
		*ret = r;
		a = NULL;
	}
out:
	arena_free(a);
	return rc;
}
