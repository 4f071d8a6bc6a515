/* The linked GPOs: fetch and judge, [MS-GPOL] 3.2.5.1.6. */
#include "gpo/walk.h"

#include <string.h>

#include "gpo/ask.h"
#include "gpo/sd.h"
#include "schema/arena.h"
#include "schema/err.h"

#define GPO_MACHINE_OFF		2	/* a bit of flags, [MS-GPOL] 2.2.4 */
#define GPO_VERSION		2

/* {E437BC1C-AA7D-11D2-A382-00C04F991E27}, [MS-GPIPSEC] 1.9 */
static const struct guid ipsec_extension = { { 0x1c, 0xbc, 0x37, 0xe4, 0x7d, 0xaa, 0xd2, 0x11,
	0xa3, 0x82, 0x00, 0xc0, 0x4f, 0x99, 0x1e, 0x27 } };

static const char not_a_gpo[] = "is not a GPO";
static const char too_many_domains[] = "in one of too many other domains: not asked";
static const char too_many_missing[] = "too many GPOs are missing: not asked";

/* ---- fetch ---- */

static void gpo_refuse(struct walk_gpo *g, enum gp_verdict why, const char *note)
{
	if (g->refused != GP_APPLIES)
		return;
	g->refused = why;
	g->note = note;
}

static int gpo_refuse_unasked(struct walk_gpo *g, enum gp_verdict why, const char *note)
{
	g->unasked = true;
	gpo_refuse(g, why, note);
	return 0;
}

/* GPOs lie in one place of a domain, where only its administrators may create them:
 * directly in CN=Policies,CN=System.  -1: no memory. */
static int is_gpo_name(const struct gp_walk *w, const char *dn)
{
	const char *parent = dn_parent(dn), *domain = dn_domain(dn);
	char *policies = arena_printf(w->a, "CN=Policies,CN=System,%s", domain);

	if (!policies)
		return -1;
	if (!parent || !dn_equal(parent, policies))
		return 0;
	for (; domain; domain = dn_parent(domain))
		if (dn_domain(domain) != domain)
			return 0;
	return 1;
}

static int gpo_fill_names(struct walk_gpo *g, struct gp_walk *w, const char *dn, struct err *err)
{
	char *cn = dn_rdn_value(w->a, dn, "CN");
	int r = is_gpo_name(w, dn);

	g->dn = dn;
	g->name = g->note = g->wmi_filter = "";
	if (cn && !guid_parse(&g->id, cn, strlen(cn)))
		memset(&g->id, 0, sizeof(g->id));
	if (r < 0)
		return err_nomem(err);
	if (!r)
		return gpo_refuse_unasked(g, GP_NOT_FOUND, not_a_gpo);
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
	w->ranked_gpo = arena_zalloc(w->a, w->n_ranked, sizeof(*w->ranked_gpo));
	if (!w->gpos || !w->ranked_gpo)
		return err_nomem(err);
	for (size_t r = 0; r < w->n_ranked; r++) {
		const struct gp_ranked *l = &w->ranked[r];

		n = w->gpo_dns.n;
		i = dnset_add(&w->gpo_dns, l->link->gpo_dn);
		if (i == DNSET_NONE)
			return err_nomem(err);
		if (i == n && gpo_fill_names(&w->gpos[i], w, l->link->gpo_dn, err) < 0)
			return -1;
		w->ranked_gpo[r] = i;
		if (!l->link->disabled && !l->blocked_by)
			w->gpos[i].counts = true;
	}
	return 0;
}

static bool is_own(const struct gp_walk *w, const char *domain)
{
	return dn_equal(domain, w->domain_dn) || dn_equal(domain, w->base_dn);
}

/* The domains to ask, and of[i], which of them GPO i is in (DNSET_NONE: no question
 * is left).  The strongest come first: there is a limit to other domains. */
static int list_domains(struct dnset *domains, size_t *of, struct gp_walk *w, struct err *err)
{
	size_t n_others = 0;

	for (size_t i = w->gpo_dns.n; i-- > 0;) {
		struct walk_gpo *g = &w->gpos[i];
		const char *domain = dn_domain(g->dn);
		bool own;

		of[i] = DNSET_NONE;
		if (g->unasked)
			continue;
		of[i] = dnset_find(domains, domain);
		if (of[i] != DNSET_NONE)
			continue;
		own = is_own(w, domain);
		if (!own && (!g->counts || n_others == WALK_DOMAINS_MAX)) {
			gpo_refuse_unasked(g, GP_UNREADABLE, g->counts ? too_many_domains : "");
			continue;
		}
		n_others += !own;
		of[i] = dnset_add(domains, domain);
		if (of[i] == DNSET_NONE)
			return err_nomem(err);
	}
	return 0;
}

/* One search (and one more for each hundred names): the GPOs of a domain together with
 * what they assign. */
static int ask_gpos_of(struct gp_walk *w, const char *domain, struct walk_gpo *const *gpos, size_t n, struct err *err)
{
	const char **open = arena_zalloc(w->a, 2 * n, sizeof(*open)), *base;
	bool elsewhere;
	int r;

	base = arena_printf(w->a, "CN=Policies,CN=System,%s", domain);
	if (!open || !base)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		open[2 * i] = gpos[i]->dn;
		open[2 * i + 1] = gpos[i]->ipsec_dn;
	}
	r = walk_ask_dns(w, base, open, 2 * n, "(|(objectClass=groupPolicyContainer)(objectClass=ipsecPolicy))", &elsewhere, err);
	for (size_t i = 0; !r && elsewhere && i < n; i++)
		gpos[i]->elsewhere = true;
	return r;
}

static int ask_gpos(struct gp_walk *w, struct err *err)
{
	struct dnset domains = { .a = w->a };
	size_t n = w->gpo_dns.n, *of = arena_zalloc(w->a, n, sizeof(*of)), n_open;
	struct walk_gpo **open = arena_zalloc(w->a, n, sizeof(struct walk_gpo *));
	bool hinted;
	int r;

	if (!of || !open)
		return err_nomem(err);
	r = list_domains(&domains, of, w, err);
	for (size_t d = 0; !r && d < domains.n; d++) {
		/* Hints tell of what one search brought: of our own domain. */
		hinted = dn_equal(domains.dns[d], w->base_dn);
		n_open = 0;
		for (size_t i = 0; i < n; i++)
			if (of[i] == d && !(hinted && walk_hinted(w, w->gpos[i].dn)))
				open[n_open++] = &w->gpos[i];
		r = ask_gpos_of(w, domains.dns[d], open, n_open, err);
	}
	return r;
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

/* What is wrong with an attribute that has one value at most; NULL: nothing. */
static const char *value_fault(const struct dir_entry *e, const char *name)
{
	const struct dir_attr *attr = entry_attr(e, name);

	if (!attr || !attr->n_values)
		return NULL;
	if (attr->n_values > 1)
		return "has several values";
	return memchr(attr->values[0].p, '\0', attr->values[0].len) ? "holds a zero byte" : NULL;
}

static const char *number_fault(const struct dir_entry *e, const char *name, int64_t *ret)
{
	const char *fault = value_fault(e, name);

	return fault ? fault : entry_int(e, name, ret) < 0 ? "is not a number" : NULL;
}

static int gpo_malformed(struct walk_gpo *g, struct gp_walk *w, const char *name, const char *fault, struct err *err)
{
	const char *note = fault ? arena_printf(w->a, "%s %s", name, fault) : "";

	if (!note)
		return err_nomem(err);
	if (fault)
		gpo_refuse(g, GP_MALFORMED, note);
	return 0;
}

static int gpo_judge_flags(struct walk_gpo *g, struct gp_walk *w, struct err *err)
{
	int64_t flags = 0;
	const char *fault = number_fault(g->entry, "flags", &flags);

	if (fault)
		return gpo_malformed(g, w, "flags", fault, err);
	if (flags & GPO_MACHINE_OFF)
		gpo_refuse(g, GP_GPO_DISABLED, flags & 1 ? "all settings" : "computer settings");
	return 0;
}

static int gpo_judge_version(struct walk_gpo *g, struct gp_walk *w, struct err *err)
{
	static const char attr[] = "gPCFunctionalityVersion";
	int64_t version = 0;
	const char *fault = number_fault(g->entry, attr, &version), *note = "no gPCFunctionalityVersion";

	if (fault)
		return gpo_malformed(g, w, attr, fault, err);
	if (version == GPO_VERSION)
		return 0;
	if (entry_value(g->entry, attr))
		note = arena_printf(w->a, "%s is %lld", attr, (long long)version);
	if (!note)
		return err_nomem(err);
	gpo_refuse(g, GP_BAD_VERSION, note);
	return 0;
}

static int gpo_judge(struct walk_gpo *g, struct gp_walk *w, struct err *err)
{
	static const char extensions[] = "gPCMachineExtensionNames", filter[] = "gPCWQLFilter";
	const char *names, *fault;

	if (!entry_has_class(g->entry, "groupPolicyContainer")) {
		g->entry = NULL;
		gpo_refuse(g, GP_NOT_FOUND, not_a_gpo);
		return 0;
	}
	g->name = dup_text(w, g->entry, "displayName");
	g->wmi_filter = dup_text(w, g->entry, filter);
	names = entry_text(g->entry, extensions);
	g->has_ipsec = names && lists_ipsec(names);
	if (!g->name || !g->wmi_filter)
		return err_nomem(err);
	/* AD writes a single space where a filter was taken away. */
	if (!g->wmi_filter[strspn(g->wmi_filter, " ")])
		g->wmi_filter = "";
	if (gpo_judge_flags(g, w, err) < 0)
		return -1;
	fault = value_fault(g->entry, extensions);
	g->damaged_ipsec = fault != NULL;
	if (gpo_malformed(g, w, extensions, fault, err) < 0)
		return -1;
	fault = value_fault(g->entry, filter);
	if (fault)
		g->wmi_filter = "";
	if (gpo_malformed(g, w, filter, fault, err) < 0)
		return -1;
	return gpo_judge_version(g, w, err);
}

/* Another domain of the forest may be held by other servers only; our own is held
 * by this one, or this one is not to be believed. */
static int gpo_is_elsewhere(struct walk_gpo *g, const struct gp_walk *w, struct err *err)
{
	g->elsewhere = true;
	if (is_own(w, dn_domain(g->dn)))
		return err_set(err, ERR_OFFLINE, "GPO '%s' is not held by this server", g->dn);
	gpo_refuse(g, GP_UNREADABLE, "in a domain that this server does not hold");
	return 0;
}

/* It did not come with the others.  (To a fleet only GPOs come; what else bears such a name would
 * have come to a single computer.) */
static bool gpo_is_missing(const struct walk_gpo *g, const struct gp_walk *w)
{
	enum dir_state state;

	snapshot_entry(w->s, g->dn, &state);
	return state == DIR_STATE_UNKNOWN ? !w->fleet : walk_asked_entry(w, g->dn) && !(w->fleet && state == DIR_STATE_FOUND);
}

static int gpo_find(struct walk_gpo *g, struct gp_walk *w, struct err *err)
{
	enum dir_state state = DIR_STATE_UNKNOWN;
	int r;

	if (g->unasked)
		return 0;
	if (g->elsewhere)
		return gpo_is_elsewhere(g, w, err);
	if (g->counts) {
		if (gpo_is_missing(g, w) && w->n_missing++ >= WALK_MISSING_MAX)
			return gpo_refuse_unasked(g, GP_UNREADABLE, too_many_missing);
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
	static const char name[] = "nTSecurityDescriptor";
	const struct dir_attr *sd = entry_attr(g->entry, name);
	bool granted;

	if (!sd || !sd->n_values)
		return gpo_malformed(g, w, name, w->ad ? "is not shown" : NULL, err);
	if (sd->n_values > 1)
		return gpo_malformed(g, w, name, "has several values", err);
	if (sd_may_apply(&granted, &sd->values[0], w->token, w->n_token, err) < 0) {
		err_prefix(err, "is malformed");
		return gpo_malformed(g, w, name, err->msg, err);
	}
	if (!granted)
		gpo_refuse(g, GP_ACCESS_DENIED, "");
	return 0;
}

bool walk_gpo_is_open(const struct walk_gpo *g)
{
	return g->counts && g->entry && g->refused == GP_APPLIES;
}

int walk_gpos_find(struct gp_walk *w, bool *ret_judged, struct err *err)
{
	bool judged = false;
	int r;

	if (list_gpos(w, err) < 0)
		return -1;
	r = ask_gpos(w, err);
	for (size_t i = w->gpo_dns.n; !r && i-- > 0;) {
		struct walk_gpo *g = &w->gpos[i];

		r = gpo_find(g, w, err);
		if (!r && walk_gpo_is_open(g) && entry_value(g->entry, "nTSecurityDescriptor"))
			judged = true;
	}
	*ret_judged = judged;
	return r;
}

int walk_gpos_access(struct gp_walk *w, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < w->gpo_dns.n; i++)
		if (walk_gpo_is_open(&w->gpos[i]))
			r = gpo_check_access(&w->gpos[i], w, err);
	return r;
}

int walk_gpos(struct gp_walk *w, struct err *err)
{
	bool judged = false;
	int r = walk_gpos_find(w, &judged, err);

	if (!r && judged)
		r = walk_token(w, err);
	return r ? r : walk_gpos_access(w, err);
}

const struct walk_gpo *walk_gpo_of(const struct gp_walk *w, size_t rank)
{
	return &w->gpos[w->ranked_gpo[rank]];
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
