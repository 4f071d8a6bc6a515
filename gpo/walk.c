#include "gpo/walk.h"

#include <string.h>
#include <strings.h>

#include "gpo/ask.h"
#include "gpo/netlogon.h"
#include "schema/arena.h"
#include "schema/err.h"

#define AD_CAPABILITY	"1.2.840.113556.1.4.800"	/* [MS-ADTS] 3.1.1.3.4.3.1 */

/* ---- asking ---- */

int walk_ask(struct gp_walk *w, const struct dir_query *q, const struct dir_search **ret)
{
	*ret = w->own && q->attrs == ask_token_attrs ? w->own : snapshot_search(w->s, q);
	if (*ret)
		return 0;
	w->need = *q;
	return 1;
}

int walk_held(const struct dir_search *answer, struct err *err)
{
	if (answer->outcome != DIR_ELSEWHERE)
		return 0;
	return err_set(err, ERR_OFFLINE, "%s%s%s is not held by this server", *answer->q.base ? "'" : "",
	    *answer->q.base ? answer->q.base : "the root DSE", *answer->q.base ? "'" : "");
}

static unsigned sd_flags(const struct gp_walk *w)
{
	return w->ad ? SD_FLAGS_DACL : 0;
}

int walk_ask_entry(struct gp_walk *w, const char *dn, const char *const *attrs,
    const struct dir_entry **ret, enum dir_state *ret_state)
{
	const struct dir_query q = { dn, DIR_BASE, ASK_ANY, attrs, attrs == ask_gp_attrs ? sd_flags(w) : 0 };
	const struct dir_search *answer;

	*ret = snapshot_entry(w->s, dn, ret_state);
	if (*ret_state != DIR_STATE_UNKNOWN)
		return 0;
	if (strnlen(dn, 2 * GP_DN_MAX) == 2 * GP_DN_MAX || !dn_valid(dn) || !*dn) {
		*ret_state = DIR_STATE_ABSENT;
		return 0;
	}
	if (walk_ask(w, &q, &answer))
		return 1;
	*ret_state = DIR_STATE_DENIED;	/* answered, and yet nothing can be told */
	return 0;
}

bool walk_asked_entry(const struct gp_walk *w, const char *dn)
{
	const struct dir_query q = { dn, DIR_BASE, ASK_ANY, ask_gp_attrs, 0 };

	return snapshot_search(w->s, &q) != NULL;
}

int walk_ask_dns(struct gp_walk *w, const char *base, const char *const *dns, size_t n,
    const char *all, bool *ret_elsewhere, struct err *err)
{
	struct dir_query q = { base, DIR_SUB, all, ask_gp_attrs, sd_flags(w) };
	const struct dir_search *answer;

	*ret_elsewhere = false;
	if (w->fleet && n) {
		if (walk_ask(w, &q, &answer))
			return 1;
		*ret_elsewhere = answer->outcome == DIR_ELSEWHERE;
		return 0;
	}
	for (size_t i = 0; i < n && !*ret_elsewhere; i += ASK_CHUNK) {
		struct ask_text t = { .a = w->a };

		ask_put_dns(&t, w->ad, dns + i, n - i < ASK_CHUNK ? n - i : ASK_CHUNK);
		if (t.bad)
			return err_nomem(err);
		q.filter = t.p;
		if (walk_ask(w, &q, &answer))
			return 1;
		*ret_elsewhere = answer->outcome == DIR_ELSEWHERE;
	}
	return 0;
}

bool walk_hinted(const struct gp_walk *w, const char *dn)
{
	return w->combined && dnset_find(&w->hinted, dn) != DNSET_NONE;
}

/* false: it has a name that cannot be asked for. */
static bool container_base(struct dir_query *q, struct gp_walk *w, const char *policy_dn)
{
	const char *domain = dn_domain(policy_dn);

	if (!domain || !dn_valid(domain) || strnlen(domain, GP_DN_MAX + 1) > GP_DN_MAX)
		return false;
	q->base = arena_printf(w->a, "CN=IP Security,CN=System,%s", domain);
	return true;
}

int walk_ask_container(struct gp_walk *w, const char *policy_dn, struct err *err)
{
	struct dir_query q = { NULL, DIR_ONE, NULL, ask_policy_attrs, 0 };
	const struct dir_search *answer;
	struct ask_text t = { .a = w->a };

	if (!container_base(&q, w, policy_dn))
		return 0;
	ask_put_classes(&t, NULL);
	if (!q.base || t.bad)
		return err_nomem(err);
	/* A fleet wants to know what is assigned, not what it says. */
	q.filter = w->fleet ? "(objectClass=ipsecPolicy)" : t.p;
	return walk_ask(w, &q, &answer);
}

bool walk_by_name(struct gp_walk *w, const char *policy_dn)
{
	struct dir_query q = { 0 };
	const char *parent;

	if (!w->who->memory || !w->combined || !container_base(&q, w, policy_dn) || !q.base)
		return false;
	for (size_t i = 0; i < w->hinted.n; i++) {
		parent = dn_parent(w->hinted.dns[i]);
		if (parent && dn_equal(parent, q.base))
			return true;
	}
	return false;
}

int walk_ask_objects(struct gp_walk *w, const char *policy_dn, const char *const *dns, size_t n, struct err *err)
{
	struct dir_query q = { NULL, DIR_SUB, NULL, ask_policy_attrs, 0 };
	const struct dir_search *answer;
	struct ask_text t = { .a = w->a };

	if (!container_base(&q, w, policy_dn))
		return 0;
	ask_put(&t, "(&");	/* what OpenLDAP has an index for */
	ask_put_classes(&t, NULL);
	ask_put_dns(&t, w->ad, dns, n);
	ask_put(&t, ")");
	if (!q.base || t.bad)
		return err_nomem(err);
	q.filter = t.p;
	return walk_ask(w, &q, &answer);
}

/* ---- the directory: root DSE ---- */

static bool has_text_value(const struct dir_entry *e, const char *name, const char *text)
{
	const struct dir_attr *attr = entry_attr(e, name);

	for (size_t i = 0; attr && i < attr->n_values; i++)
		if (!strcmp((const char *)attr->values[i].p, text))
			return true;
	return false;
}

/* The first naming context that is a domain: OpenLDAP says no default one. */
static const char *first_domain(const struct dir_entry *root)
{
	const struct dir_attr *attr = entry_attr(root, "namingContexts");

	for (size_t i = 0; attr && i < attr->n_values; i++) {
		const char *dn = (const char *)attr->values[i].p;

		if (dn_valid(dn) && dn_domain(dn) == dn)
			return dn;
	}
	return NULL;
}

static int find_base(struct gp_walk *w, struct err *err)
{
	const char *dn = w->root ? entry_text(w->root, "defaultNamingContext") : NULL;

	if (dn && (!dn_valid(dn) || !dn_domain(dn)))
		return err_set(err, ERR_FORMAT, "root DSE: default naming context '%s' is not a domain", dn);
	if (!dn && w->who->domain) {
		w->base_dn = dn_from_domain(w->a, w->who->domain);
		return w->base_dn ? 0 : err_set(err, ERR_FORMAT, "'%s' is not the name of a domain", w->who->domain);
	}
	if (!dn && w->root)
		dn = first_domain(w->root);
	w->base_dn = arena_strdup(w->a, dn ? dn : "");
	return w->base_dn ? 0 : err_nomem(err);
}

int walk_root(struct gp_walk *w, struct err *err)
{
	const struct dir_query q = { "", DIR_BASE, ASK_ANY, ask_root_attrs, 0 };
	const struct dir_search *answer;

	if (walk_ask(w, &q, &answer))
		return 1;
	/* Without it, an AD would be taken for something whose GPOs have no rights. */
	if (answer->outcome == DIR_DENIED)
		return err_set(err, ERR_DENIED, "the root DSE may not be read");
	if (walk_held(answer, err) < 0)
		return -1;
	w->root = answer->n_entries ? &answer->entries[0] : NULL;
	w->ad = w->root && has_text_value(w->root, "supportedCapabilities", AD_CAPABILITY);
	return find_base(w, err);
}

/* ---- the site, as the domain controller sees our address ---- */

static const char *host_of(struct gp_walk *w)
{
	size_t n = strlen(w->who->computer);

	if (n > 0 && w->who->computer[n - 1] == '$')
		n--;
	return arena_strndup(w->a, w->who->computer, n);
}

static int ping_read(struct gp_walk *w, const struct dir_search *answer, struct err *err)
{
	const struct dir_value *v = NULL;
	struct netlogon nl;

	if (answer->n_entries)
		v = entry_value(&answer->entries[0], "NetLogon");
	if (!v)		/* so a DC says that it does not know: [MS-ADTS] 6.3.3.2 */
		return 0;
	if (netlogon_parse(&nl, w->a, v, err) < 0)
		return err_prefix(err, "answer to the NetLogon ping");
	if (nl.opcode == NETLOGON_PAUSED)
		return err_set(err, ERR_OFFLINE, "the domain controller '%s' is paused", nl.host);
	if (nl.opcode == NETLOGON_OK)
		w->ping_site = nl.client_site;
	return 0;
}

static int walk_ping(struct gp_walk *w, struct err *err)
{
	struct dir_query q = { "", DIR_BASE, NULL, ask_ping_attrs, 0 };
	const struct dir_search *answer;
	const char *domain, *host;
	struct ask_text t = { .a = w->a };

	if (!w->who->self || w->who->site || !w->ad)
		return 0;
	domain = dn_to_domain(w->a, w->base_dn);
	host = host_of(w);
	if (!domain)
		return err_set(err, ERR_FORMAT, "'%s' has no DNS name", w->base_dn);
	if (!host)
		return err_nomem(err);
	ask_put(&t, "(&");
	ask_put_term(&t, "DnsDomain", domain);
	ask_put_term(&t, "Host", host);
	ask_put(&t, "(NtVer=\\16\\00\\00\\00))");	/* V5, 5EX, closest site; little-endian */
	if (t.bad)
		return err_nomem(err);
	q.filter = t.p;
	if (walk_ask(w, &q, &answer))
		return 1;
	return walk_held(answer, err) < 0 ? -1 : ping_read(w, answer, err);
}

/* ---- the computer, alone or with all that mattered the last time ---- */

static int collect_hints(struct gp_walk *w, bool ipsec, size_t max, struct err *err)
{
	const char *container = arena_printf(w->a, "CN=IP Security,CN=System,%s", w->base_dn);

	if (!container)
		return err_nomem(err);
	w->hinted = (struct dnset){ .a = w->a };
	for (size_t i = 0; i < w->who->n_hints && w->hinted.n < max; i++) {
		const char *dn = w->who->hints[i];

		if (strnlen(dn, GP_DN_MAX + 1) > GP_DN_MAX || !*dn || !dn_valid(dn) || !dn_below(dn, w->base_dn))
			continue;
		if (!ipsec && dn_below(dn, container))
			continue;
		if (dnset_add(&w->hinted, dn) == DNSET_NONE)
			return err_nomem(err);
	}
	return 0;
}

/* All of them, or when these are too many, those outside the policy container:
 * its objects come by one search as well. */
int walk_choose_hints(struct gp_walk *w, struct err *err)
{
	if (!*w->base_dn)
		return 0;
	if (collect_hints(w, true, WALK_HINTS_MAX + 1, err) < 0)
		return -1;
	if (w->hinted.n <= WALK_HINTS_MAX)
		return 0;
	return collect_hints(w, false, WALK_HINTS_MAX, err);
}

static int ask_combined(struct gp_walk *w, const struct dir_search **ret, struct err *err)
{
	struct dir_query q = { w->base_dn, DIR_SUB, NULL, ask_all_attrs, sd_flags(w) };
	struct ask_text t = { .a = w->a };

	ask_put(&t, "(|");
	ask_put_term(&t, "sAMAccountName", w->who->computer);
	if (!w->ad) {		/* what OpenLDAP has an index for */
		ask_put(&t, "(&");
		ask_put_classes(&t, ask_gp_classes);
	}
	ask_put_dns(&t, w->ad, w->hinted.dns, w->hinted.n);
	if (!w->ad)
		ask_put(&t, ")");
	if (w->hinted_subnets)
		ask_put(&t, "(objectClass=subnet)(objectClass=subnetContainer)");
	group_hints_ask(&t, &w->hinted_groups);
	ask_put(&t, ")");
	if (t.bad)
		return err_nomem(err);
	q.filter = t.p;
	return walk_ask(w, &q, ret);
}

static int ask_computer(struct gp_walk *w, const struct dir_search **ret, struct err *err)
{
	struct dir_query q = { w->base_dn, DIR_SUB, NULL, ask_computer_attrs, 0 };
	struct ask_text t = { .a = w->a };

	ask_put_term(&t, "sAMAccountName", w->who->computer);
	if (t.bad)
		return err_nomem(err);
	q.filter = t.p;
	return walk_ask(w, &q, ret);
}

static bool has_name(const struct gp_walk *w, const struct dir_entry *e)
{
	const struct dir_attr *attr = entry_attr(e, "sAMAccountName");

	for (size_t i = 0; attr && i < attr->n_values; i++)
		if (!strcasecmp((const char *)attr->values[i].p, w->who->computer))
			return true;
	return false;
}

/* all: every entry of the answer has the name.  On an OpenLDAP anything may be given
 * it; one computer among several is it nevertheless. */
static int pick_computer(struct gp_walk *w, const struct dir_search *answer, bool all, struct err *err)
{
	const struct dir_entry *first = NULL, *second = NULL;
	bool computer = false;

	for (size_t i = 0; i < answer->n_entries; i++) {
		const struct dir_entry *e = &answer->entries[i];

		if (!all && !has_name(w, e))
			continue;
		if (first && entry_has_class(e, "computer") != computer) {
			if (computer)
				continue;
			first = second = NULL;
		}
		computer = entry_has_class(e, "computer");
		if (!first)
			first = e;
		else if (!second)
			second = e;
	}
	if (second)
		return err_set(err, ERR_FORMAT, "computer %s exists twice: '%s' and '%s'",
		    w->who->computer, first->dn, second->dn);
	w->computer = first;
	return 0;
}

static const char *base_name(struct gp_walk *w)
{
	const char *name = *w->base_dn ? dn_to_domain(w->a, w->base_dn) : "the directory";

	return name ? name : w->base_dn;
}

int walk_check_domain(struct gp_walk *w, const struct dir_search *answer, struct err *err)
{
	if (answer->outcome == DIR_DENIED)
		return err_set(err, ERR_DENIED, "%s may not be searched", base_name(w));
	if (walk_held(answer, err) < 0)
		return -1;
	if (answer->outcome == DIR_ABSENT && !*w->base_dn)
		return err_set(err, ERR_ABSENT, "the directory names no domain: say which one in the configuration");
	if (answer->outcome == DIR_ABSENT)
		return err_set(err, ERR_ABSENT, "'%s' does not exist in this directory", w->base_dn);
	return 0;
}

static int find_computer(struct gp_walk *w, struct err *err)
{
	const struct dir_search *answer = NULL;
	int r;

	if (walk_choose_hints(w, err) < 0)
		return -1;
	if (w->hinted.n) {
		if (!w->ad && (walk_hint_subnets(w, err) < 0 || group_hints_read(&w->hinted_groups, w, err) < 0))
			return -1;
		r = ask_combined(w, &answer, err);
		if (r)
			return r;
		if (answer->outcome == DIR_OK)
			w->combined = answer;
		if (pick_computer(w, answer, false, err) < 0)
			return -1;
	}
	if (w->computer)
		return 0;
	r = ask_computer(w, &answer, err);
	if (r)
		return r;
	if (walk_check_domain(w, answer, err) < 0)
		return -1;
	if (pick_computer(w, answer, true, err) < 0)
		return -1;
	if (!w->computer)
		return err_set(err, ERR_ABSENT, "computer %s does not exist in %s (or may not be read)",
		    w->who->computer, base_name(w));
	return 0;
}

/* ---- SOMs ---- */

static int som_options(struct gp_som *som, const struct dir_entry *e, struct err *err)
{
	int64_t options = 0;

	if (entry_int(e, "gPOptions", &options) < 0)
		return err_set(err, ERR_FORMAT, "gPOptions is not a number");
	som->block_inheritance = options & 1;
	return 0;
}

int walk_som_fill(struct gp_walk *w, struct gp_som *som, const struct dir_entry *e, struct err *err)
{
	const struct dir_attr *attr = entry_attr(e, "gPLink");

	if (som_options(som, e, err) < 0)
		return err_prefix(err, "'%s'", som->dn);
	if (!attr || !attr->n_values)
		return 0;
	if (attr->n_values > 1)
		return err_set(err, ERR_FORMAT, "'%s': several values of gPLink", som->dn);
	w->n_link_bytes += attr->values[0].len;
	if (w->n_link_bytes > GP_LINK_BYTES_MAX)
		return err_set(err, ERR_LIMIT, "more than %d bytes of gPLink above '%s'", GP_LINK_BYTES_MAX, w->computer_dn);
	if (gp_som_links(som, w->a, (const char *)attr->values[0].p, attr->values[0].len, err) < 0)
		return err_prefix(err, "'%s'", som->dn);
	return 0;
}

/* A chain that cannot be read whole is no evaluation: what a hidden OU links or
 * blocks is not known. */
static int som_check(const char *dn, enum dir_state state, struct err *err)
{
	if (state == DIR_STATE_FOUND)
		return 0;
	if (state == DIR_STATE_DENIED)
		return err_set(err, ERR_DENIED, "'%s', above the computer, may not be read", dn);
	if (state == DIR_STATE_ELSEWHERE)
		return err_set(err, ERR_OFFLINE, "'%s', above the computer, is not held by this server", dn);
	return err_set(err, ERR_ABSENT, "'%s', above the computer, does not exist", dn);
}

/* Only these are SOMs, [MS-GPOL] 3.2.5.1.3; what merely bears such a name must not
 * come between. */
static int som_check_class(const struct gp_som *som, const struct dir_entry *e, struct err *err)
{
	static const char *const domains[] = { "domainDNS", "domain", "samDomain", "dcObject" };

	if (som->type == GP_SOM_OU)
		return entry_has_class(e, "organizationalUnit") ? 0 :
		    err_set(err, ERR_FORMAT, "'%s', above the computer, is not an organizational unit", som->dn);
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++)
		if (entry_has_class(e, domains[i]))
			return 0;
	return err_set(err, ERR_FORMAT, "'%s', above the computer, is not a domain", som->dn);
}

int walk_soms(struct gp_walk *w, struct err *err)
{
	const struct dir_entry *e;
	const char **dns, **open;
	size_t n, n_open = 0;
	enum dir_state state;
	bool elsewhere;		/* then the next question tells */
	int r;

	if (gp_som_dns(&dns, &n, w->a, w->computer_dn, err) < 0)
		return -1;
	w->soms = arena_zalloc(w->a, n + 1, sizeof(*w->soms));	/* room for the site */
	open = arena_zalloc(w->a, n, sizeof(*open));
	if (!w->soms || !open)
		return err_nomem(err);
	w->n_soms = n;
	for (size_t i = 0; i < n; i++) {
		w->soms[i].dn = dns[i];
		w->soms[i].type = i + 1 < n ? GP_SOM_OU : GP_SOM_DOMAIN;
		if (!walk_hinted(w, dns[i]))
			open[n_open++] = dns[i];
	}
	r = walk_ask_dns(w, dns[n - 1], open, n_open, "(|(objectClass=organizationalUnit)(objectClass=domainDNS))", &elsewhere, err);
	for (size_t i = 0; !r && i < n; i++) {
		r = walk_ask_entry(w, dns[i], ask_gp_attrs, &e, &state);
		if (!r)
			r = som_check(dns[i], state, err);
		if (!r)
			r = som_check_class(&w->soms[i], e, err);
		if (!r)
			r = walk_som_fill(w, &w->soms[i], e, err);
	}
	return r;
}

int walk_place(struct gp_walk *w, struct err *err)
{
	const char *domain;

	w->computer_dn = arena_strdup(w->a, w->computer->dn);
	if (!w->computer_dn)
		return err_nomem(err);
	domain = dn_domain(w->computer_dn);
	if (!domain || !dn_valid(w->computer_dn))
		return err_set(err, ERR_FORMAT, "computer '%s' lies in no domain", w->computer_dn);
	w->domain_dn = domain;
	w->domain = dn_to_domain(w->a, domain);
	if (!w->domain)
		w->domain = domain;
	return 0;
}

static int walk_computer(struct gp_walk *w, struct err *err)
{
	int r = find_computer(w, err);

	return r ? r : walk_place(w, err);
}

int walk_run(struct gp_walk *w, struct err *err)
{
	static int (*const steps[])(struct gp_walk *, struct err *) = {
		walk_root, walk_ping, walk_computer, walk_soms, walk_site, walk_gpos,
	};
	int r = 0;

	w->site = w->site_from = w->site_note = w->token_from = "";
	for (size_t i = 0; !r && i < sizeof(steps) / sizeof(steps[0]); i++)
		r = steps[i](w, err);
	return r;
}
