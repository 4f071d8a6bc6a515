/* Which GPO decides, and what it assigns: [MS-GPIPSEC] 3.2.5.3. */
#include "gpo/walk.h"

#include <string.h>

#include "gpo/ask.h"
#include "schema/arena.h"
#include "schema/err.h"

/* ---- what a GPO assigns ---- */

static int unknown(struct walk_assigned *ret, struct gp_walk *w, enum err_code why, const char *what,
    const char *dn, const char *is, struct err *err)
{
	ret->assignment = GP_UNKNOWN;
	ret->why = why;
	ret->reason = arena_printf(w->a, "%s '%s' %s", what, dn, is);
	return ret->reason ? 0 : err_nomem(err);
}

static int unknown_state(struct walk_assigned *ret, struct gp_walk *w, enum dir_state state,
    const char *what, const char *dn, struct err *err)
{
	if (state == DIR_STATE_DENIED)
		return unknown(ret, w, ERR_DENIED, what, dn, "may not be read", err);
	if (state == DIR_STATE_ELSEWHERE)
		return unknown(ret, w, ERR_DENIED, what, dn, "is not held by this server", err);
	return unknown(ret, w, ERR_ABSENT, what, dn, "does not exist", err);
}

/* The name of a deleted object: "CN=...\0ADEL:<GUID>,CN=Deleted Objects,...". */
static bool is_deleted(const char *dn)
{
	return strcasestr(dn, "\\0ADEL:") != NULL || strcasestr(dn, "\nDEL:") != NULL;
}

static int find_policy(struct walk_assigned *ret, struct gp_walk *w, const char *dn, struct err *err)
{
	enum dir_state state;
	int r;

	if (is_deleted(dn))
		return unknown(ret, w, ERR_ABSENT, "the assigned policy", dn, "was deleted", err);
	if (!dn_valid(dn) || strnlen(dn, GP_DN_MAX + 1) > GP_DN_MAX)
		return unknown(ret, w, ERR_FORMAT, "the assigned policy", dn, "is not a usable name", err);
	snapshot_entry(w->s, dn, &state);
	if (state == DIR_STATE_UNKNOWN && !walk_by_name(w, dn)) {
		r = walk_ask_container(w, dn, err);
		if (r)
			return r;
	}
	r = walk_ask_entry(w, dn, ask_policy_attrs, &ret->policy, &state);
	if (r)
		return r;
	if (state != DIR_STATE_FOUND)
		return unknown_state(ret, w, state, "the assigned policy", dn, err);
	ret->policy_dn = dn;
	ret->assignment = GP_ASSIGNED;
	return 0;
}

static int assigned_by(struct walk_assigned *ret, struct gp_walk *w, const struct walk_gpo *g, struct err *err)
{
	const struct dir_attr *refs;
	const struct dir_entry *e;
	enum dir_state state;
	const char *dn;
	int r;

	r = walk_ask_entry(w, g->ipsec_dn, ask_gp_attrs, &e, &state);
	if (r)
		return r;
	if (state != DIR_STATE_FOUND)
		return unknown_state(ret, w, state, "the assignment", g->ipsec_dn, err);
	refs = entry_attr(e, "ipsecOwnersReference");
	if (!refs || !refs->n_values || !refs->values[0].len)
		return unknown(ret, w, ERR_ABSENT, "the assignment", g->ipsec_dn, "names no policy", err);
	if (refs->n_values > 1)
		return unknown(ret, w, ERR_FORMAT, "the assignment", g->ipsec_dn, "names several policies", err);
	dn = arena_strdup(w->a, (const char *)refs->values[0].p);
	if (!dn)
		return err_nomem(err);
	if (strlen(dn) != refs->values[0].len)
		return unknown(ret, w, ERR_FORMAT, "the assignment", g->ipsec_dn, "holds a zero byte", err);
	return find_policy(ret, w, dn, err);
}

/* ---- which GPO it is ---- */

static int faulty_gpo(struct walk_assigned *ret, struct gp_walk *w, enum err_code why, const char *fault, struct err *err)
{
	const struct walk_gpo *g = walk_gpo_of(w, ret->rank);

	ret->assignment = GP_UNKNOWN;
	ret->why = why;
	ret->reason = arena_printf(w->a, "GPO '%s': %s", g->dn, fault);
	return ret->reason ? 0 : err_nomem(err);
}

/* A malformed GPO stops at its rank whatever is weaker, unless it could not assign
 * anything: its own filter or its list of extensions speaks against it. */
static bool stops(const struct walk_gpo *g, enum gp_verdict v, bool wmi_allow)
{
	return v == GP_APPLIES || (v == GP_MALFORMED && (g->has_ipsec || g->damaged_ipsec) &&
	    (!*g->wmi_filter || wmi_allow));
}

int walk_assignment(struct walk_assigned *ret, struct gp_walk *w, bool wmi_allow, struct err *err)
{
	enum gp_verdict v = GP_NOT_FOUND;
	const struct gp_som *lost;
	const char *note, *unreadable = NULL;

	*ret = (struct walk_assigned){ .assignment = GP_NONE, .why = ERR_NONE, .reason = "" };
	for (size_t r = w->n_ranked; !ret->decided && r-- > 0;) {
		v = walk_verdict(w, r, wmi_allow, &note);
		ret->decided = stops(walk_gpo_of(w, r), v, wmi_allow);
		if (ret->decided || (v == GP_UNREADABLE && !unreadable))
			ret->rank = r;
		if (v == GP_UNREADABLE && !unreadable)
			unreadable = *note ? note : "may not be read";
	}
	lost = gp_links_lost(w->soms, w->n_soms, ret->decided ? &w->ranked[ret->rank] : NULL);
	if (lost) {
		ret->decided = false;
		return unknown(ret, w, ERR_FORMAT, "gPLink of", lost->dn, "holds an entry that cannot be read", err);
	}
	if (ret->decided && v == GP_MALFORMED)
		return faulty_gpo(ret, w, ERR_FORMAT, note, err);
	if (ret->decided)
		return assigned_by(ret, w, walk_gpo_of(w, ret->rank), err);
	if (!unreadable)
		return 0;
	ret->decided = true;
	unreadable = arena_printf(w->a, "%s, and nothing else is assigned", unreadable);
	return unreadable ? faulty_gpo(ret, w, ERR_DENIED, unreadable, err) : err_nomem(err);
}
