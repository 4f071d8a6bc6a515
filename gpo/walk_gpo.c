/* The linked GPOs: fetch, judge ([MS-GPOL] 3.2.5.1.6), and what the strongest one
 * assigns ([MS-GPIPSEC] 3.2.5.3). */
#include "gpo/walk.h"

#include <string.h>
#include <strings.h>

#include "gpo/ask.h"
#include "gpo/sd.h"
#include "schema/arena.h"
#include "schema/err.h"

#define GPO_MACHINE_OFF		2	/* a bit of flags, [MS-GPOL] 2.2.4 */
#define GPO_VERSION		2

/* {E437BC1C-AA7D-11D2-A382-00C04F991E27}, [MS-GPIPSEC] 1.9 */
static const struct guid ipsec_extension = { { 0x1c, 0xbc, 0x37, 0xe4, 0x7d, 0xaa, 0xd2, 0x11,
	0xa3, 0x82, 0x00, 0xc0, 0x4f, 0x99, 0x1e, 0x27 } };

/* ---- fetch ---- */

static int gpo_fill_names(struct walk_gpo *g, struct gp_walk *w, const char *dn, struct err *err)
{
	char *cn = dn_rdn_value(w->a, dn, "CN");

	g->dn = dn;
	g->name = g->note = g->wmi_filter = "";
	if (cn && !guid_parse(&g->id, cn, strlen(cn)))
		memset(&g->id, 0, sizeof(g->id));
	g->ipsec_dn = arena_printf(w->a, "CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,%s", dn);
	return g->ipsec_dn ? 0 : err_nomem(err);
}

static int list_gpos(struct gp_walk *w, struct err *err)
{
	size_t total = 0, n, i;

	for (i = 0; i < w->n_soms; i++)
		total += w->soms[i].n_links;
	if (total > GP_LINKS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d GPO links above '%s'", GP_LINKS_MAX, w->computer_dn);
	if (gp_links_rank(&w->ranked, &w->n_ranked, w->a, w->soms, w->n_soms, err) < 0)
		return -1;
	w->gpo_dns = (struct dnset){ .a = w->a };
	w->gpos = arena_zalloc(w->a, w->n_ranked, sizeof(*w->gpos));
	if (!w->gpos)
		return err_nomem(err);
	for (size_t r = 0; r < w->n_ranked; r++) {
		const struct gp_ranked *l = &w->ranked[r];

		n = w->gpo_dns.n;
		i = dnset_add(&w->gpo_dns, l->link->gpo_dn);
		if (i == DNSET_NONE)
			return err_nomem(err);
		if (i == n && gpo_fill_names(&w->gpos[i], w, l->link->gpo_dn, err) < 0)
			return -1;
		if (!l->link->disabled && !l->blocked_by)
			w->gpos[i].counts = true;
	}
	return 0;
}

/* One search a domain (and a hundred names): the GPOs together with what they assign. */
static int ask_gpos(struct gp_walk *w, struct err *err)
{
	struct dnset domains = { .a = w->a };
	size_t n = w->gpo_dns.n, *of = arena_zalloc(w->a, n, sizeof(*of)), n_open;
	const char **open = arena_zalloc(w->a, 2 * n, sizeof(*open)), *base;
	bool elsewhere;
	int r;

	if (!of || !open)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		of[i] = dnset_add(&domains, dn_domain(w->gpos[i].dn));
		if (of[i] == DNSET_NONE)
			return err_nomem(err);
	}
	for (size_t d = 0; d < domains.n; d++) {
		n_open = 0;
		for (size_t i = 0; i < n; i++) {
			if (of[i] != d || walk_hinted(w, w->gpos[i].dn))
				continue;
			open[n_open++] = w->gpos[i].dn;
			open[n_open++] = w->gpos[i].ipsec_dn;
		}
		base = arena_printf(w->a, "CN=Policies,CN=System,%s", domains.dns[d]);
		if (!base)
			return err_nomem(err);
		r = walk_ask_dns(w, base, open, n_open, &elsewhere, err);
		if (r)
			return r;
		for (size_t i = 0; elsewhere && i < n; i++)
			if (of[i] == d && !walk_hinted(w, w->gpos[i].dn))
				w->gpos[i].elsewhere = true;
	}
	return 0;
}

/* ---- judge ---- */

/* "[{CSE}{tool}...][...]": ours as the first of any bracket. */
static bool lists_ipsec(const char *names)
{
	struct guid g;

	for (const char *p = strchr(names, '['); p; p = strchr(p, '[')) {
		p++;
		if (strnlen(p, GUID_TEXT - 1) == GUID_TEXT - 1 && guid_parse(&g, p, GUID_TEXT - 1) &&
		    !guid_cmp(&g, &ipsec_extension))
			return true;
	}
	return false;
}

static const char *dup_text(struct gp_walk *w, const struct dir_entry *e, const char *name)
{
	const char *text = entry_text(e, name);

	return arena_strdup(w->a, text ? text : "");
}

static void gpo_refuse(struct walk_gpo *g, enum gp_verdict why, const char *note)
{
	if (g->refused != GP_APPLIES)
		return;
	g->refused = why;
	g->note = note;
}

static int gpo_judge(struct walk_gpo *g, struct gp_walk *w, struct err *err)
{
	int64_t flags = 0, version = 0;
	const char *names, *note;
	int r;

	g->name = dup_text(w, g->entry, "displayName");
	g->wmi_filter = dup_text(w, g->entry, "gPCWQLFilter");
	names = entry_text(g->entry, "gPCMachineExtensionNames");
	g->has_ipsec = names && lists_ipsec(names);
	if (!g->name || !g->wmi_filter)
		return err_nomem(err);
	/* AD writes a single space where a filter was taken away. */
	if (!g->wmi_filter[strspn(g->wmi_filter, " ")])
		g->wmi_filter = "";
	if (entry_int(g->entry, "flags", &flags) < 0)
		gpo_refuse(g, GP_UNREADABLE, "flags is not a number");
	if (flags & GPO_MACHINE_OFF)
		gpo_refuse(g, GP_GPO_DISABLED, flags & 1 ? "all settings" : "computer settings");
	r = entry_int(g->entry, "gPCFunctionalityVersion", &version);
	if (r == 1 && version == GPO_VERSION)
		return 0;
	note = r == 1 ? arena_printf(w->a, "gPCFunctionalityVersion is %lld", (long long)version) :
	    r ? "gPCFunctionalityVersion is not a number" : "no gPCFunctionalityVersion";
	if (!note)
		return err_nomem(err);
	gpo_refuse(g, GP_BAD_VERSION, note);
	return 0;
}

/* Another domain of the forest may be held by other servers only; our own is held
 * by this one, or this one is not to be believed. */
static int gpo_is_elsewhere(struct walk_gpo *g, const struct gp_walk *w, struct err *err)
{
	const char *domain = dn_domain(g->dn);

	g->elsewhere = true;
	if (dn_equal(domain, w->domain_dn) || dn_equal(domain, w->base_dn))
		return err_set(err, ERR_OFFLINE, "GPO '%s' is not held by this server", g->dn);
	gpo_refuse(g, GP_UNREADABLE, "in a domain that this server does not hold");
	return 0;
}

static int gpo_find(struct walk_gpo *g, struct gp_walk *w, struct err *err)
{
	enum dir_state state = DIR_STATE_UNKNOWN;
	int r;

	if (g->elsewhere)
		return gpo_is_elsewhere(g, w, err);
	if (g->counts) {
		r = walk_ask_entry(w, g->dn, ask_gp_attrs, &g->entry, &state);
		if (r)
			return r;
	} else {	/* for its name only */
		g->entry = snapshot_entry(w->s, g->dn, &state);
	}
	if (state == DIR_STATE_ELSEWHERE)
		return gpo_is_elsewhere(g, w, err);
	if (state == DIR_STATE_ABSENT)
		gpo_refuse(g, GP_NOT_FOUND, "");
	else if (state != DIR_STATE_FOUND)
		gpo_refuse(g, GP_UNREADABLE, "");
	return g->entry ? gpo_judge(g, w, err) : 0;
}

/* OpenLDAP keeps its access rules elsewhere: what it shows may be applied.  An AD
 * that shows a GPO without its rights leaves nothing to judge by. */
static int gpo_check_access(struct walk_gpo *g, struct gp_walk *w, struct err *err)
{
	const struct dir_value *sd = entry_value(g->entry, "nTSecurityDescriptor");
	const char *note;
	bool granted;

	if (!sd) {
		if (w->ad)
			gpo_refuse(g, GP_UNREADABLE, "no security descriptor shown");
		return 0;
	}
	if (sd_may_apply(&granted, sd, w->token, w->n_token, err) < 0) {
		note = arena_strdup(w->a, err->msg);
		if (!note)
			return err_nomem(err);
		gpo_refuse(g, GP_UNREADABLE, note);
	} else if (!granted) {
		gpo_refuse(g, GP_ACCESS_DENIED, "");
	}
	return 0;
}

static bool gpo_is_open(const struct walk_gpo *g)
{
	return g->counts && g->entry && g->refused == GP_APPLIES;
}

int walk_gpos(struct gp_walk *w, struct err *err)
{
	bool judged = false;
	int r;

	if (list_gpos(w, err) < 0)
		return -1;
	r = ask_gpos(w, err);
	for (size_t i = 0; !r && i < w->gpo_dns.n; i++) {
		struct walk_gpo *g = &w->gpos[i];

		r = gpo_find(g, w, err);
		if (!r && gpo_is_open(g) && entry_value(g->entry, "nTSecurityDescriptor"))
			judged = true;
	}
	if (!r && judged)
		r = walk_token(w, err);
	for (size_t i = 0; !r && i < w->gpo_dns.n; i++)
		if (gpo_is_open(&w->gpos[i]))
			r = gpo_check_access(&w->gpos[i], w, err);
	return r;
}

const struct walk_gpo *walk_gpo_of(const struct gp_walk *w, size_t rank)
{
	return &w->gpos[dnset_find(&w->gpo_dns, w->ranked[rank].link->gpo_dn)];
}

enum gp_verdict walk_verdict(const struct gp_walk *w, size_t rank, bool wmi_allow, const char **ret_note)
{
	const struct gp_ranked *l = &w->ranked[rank];
	const struct walk_gpo *g = walk_gpo_of(w, rank);

	*ret_note = "";
	if (l->link->disabled)
		return GP_LINK_DISABLED;
	if (l->blocked_by) {
		*ret_note = l->blocked_by->dn;
		return GP_BLOCKED;
	}
	if (g->refused != GP_APPLIES) {
		*ret_note = g->note;
		return g->refused;
	}
	*ret_note = g->wmi_filter;
	if (*g->wmi_filter && !wmi_allow)
		return GP_WMI_FILTER;
	return g->has_ipsec ? GP_APPLIES : GP_NO_IPSEC;
}

bool walk_winner(size_t *ret_rank, const struct gp_walk *w, bool wmi_allow)
{
	const char *note;

	for (size_t r = w->n_ranked; r-- > 0;) {
		if (walk_verdict(w, r, wmi_allow, &note) == GP_APPLIES) {
			*ret_rank = r;
			return true;
		}
	}
	return false;
}

/* ---- what it assigns ---- */

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
	if (state == DIR_STATE_UNKNOWN) {
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

int walk_assignment(struct walk_assigned *ret, struct gp_walk *w, const struct walk_gpo *g, struct err *err)
{
	const struct dir_attr *refs;
	const struct dir_entry *e;
	enum dir_state state;
	const char *dn;
	int r;

	*ret = (struct walk_assigned){ .why = ERR_NONE, .reason = "" };
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
