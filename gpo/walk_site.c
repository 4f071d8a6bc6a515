/* The site of the computer: said, told by the domain controller, or the one of the
 * subnet that covers an own address ([MS-ADTS] 6.1.1.2.2.2). */
#include "gpo/walk.h"

#include <string.h>
#include <sys/socket.h>

#include "gpo/ask.h"
#include "schema/arena.h"
#include "schema/err.h"

/* "10.121.0.0/22", "2001:db8::/32". */
static bool subnet_read(struct ip_addr *ret, unsigned *ret_prefix, const char *text)
{
	const char *slash = strchr(text, '/');
	char addr[IP_ADDR_TEXT];
	unsigned n = 0;

	if (!slash || (size_t)(slash - text) >= sizeof(addr))
		return false;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	if (!slash[1] || !ip_addr_read(ret, addr))
		return false;
	for (const char *p = slash + 1; *p; p++) {
		if (*p < '0' || *p > '9' || n > 128)
			return false;
		n = n * 10 + (unsigned)(*p - '0');
	}
	*ret_prefix = n;
	return n <= (ret->family == AF_INET6 ? 128 : 32);
}

static bool covers(const struct ip_addr *net, unsigned prefix, const struct ip_addr *a)
{
	unsigned whole = prefix / 8, rest = prefix % 8;

	if (net->family != a->family || memcmp(net->b, a->b, whole))
		return false;
	return !rest || (net->b[whole] ^ a->b[whole]) >> (8 - rest) == 0;
}

/* The longest prefix counts; among equals the earlier address, then the name: two
 * searches need not return them in one order. */
static const struct dir_entry *best_subnet(const struct gp_walk *w, const struct dir_entry *subnets, size_t n)
{
	const struct dir_entry *best = NULL;
	unsigned prefix, best_prefix = 0;
	size_t best_addr = 0;
	struct ip_addr net;

	for (size_t i = 0; i < n; i++) {
		const struct dir_entry *e = &subnets[i];
		const char *cn = entry_text(e, "cn");

		if (!cn || !subnet_read(&net, &prefix, cn))
			continue;
		for (size_t j = 0; j < w->who->n_addresses; j++) {
			if (!covers(&net, prefix, &w->who->addresses[j]))
				continue;
			if (best && (prefix < best_prefix || (prefix == best_prefix && (j > best_addr ||
			    (j == best_addr && strcmp(e->dn, best->dn) >= 0)))))
				continue;
			best = e;
			best_prefix = prefix;
			best_addr = j;
		}
	}
	return best;
}

static char *subnets_dn(const struct gp_walk *w)
{
	return arena_printf(w->a, "CN=Subnets,CN=Sites,%s", w->config_dn);
}

/* The subnets that came with the combined search.  NULL: they have to be asked for,
 * also when the container did not come: whether it may be searched is not known. */
static int hinted_subnets(struct dir_entry **ret, size_t *ret_n, struct gp_walk *w, struct err *err)
{
	const struct dir_search *answer = w->combined;
	struct dir_entry *list;
	bool shown = false;
	size_t n = 0;

	*ret = NULL;
	if (!answer || !w->hinted_subnets)
		return 0;
	list = arena_zalloc(w->a, answer->n_entries, sizeof(*list));
	if (!list)
		return err_nomem(err);
	for (size_t i = 0; i < answer->n_entries; i++) {
		const struct dir_entry *e = &answer->entries[i];
		const char *parent = dn_parent(e->dn);

		if (dn_equal(e->dn, w->hinted_subnets))
			shown = true;
		if (!parent || !dn_equal(parent, w->hinted_subnets))
			continue;
		/* It came for another reason, perhaps. */
		if (!entry_has_class(e, "subnet"))
			return 0;
		list[n++] = *e;
	}
	if (shown)
		*ret = list;
	*ret_n = n;
	return 0;
}

/* A site that is told, but is none: the computer has no site. */
static int no_site(struct gp_walk *w, const char *dn, const char *is, struct err *err)
{
	w->site = w->site_from = "";
	w->site_note = w->site_subnet ?
	    arena_printf(w->a, "subnet '%s': '%s' %s", w->site_subnet, dn, is) : arena_printf(w->a, "'%s' %s", dn, is);
	return w->site_note ? 0 : err_nomem(err);
}

/* Whoever may write a subnet must not choose any object for its links. */
static bool is_site_name(const char *subnets, const char *dn)
{
	const char *sites = dn_parent(subnets), *parent;

	if (strnlen(dn, GP_DN_MAX + 1) > GP_DN_MAX || !dn_valid(dn))
		return false;
	parent = dn_parent(dn);
	return parent && dn_equal(parent, sites);
}

static int site_by_subnet(struct gp_walk *w, const char **ret_dn, struct err *err)
{
	struct dir_query q = { NULL, DIR_ONE, "(objectClass=subnet)", ask_subnet_attrs, 0 };
	const struct dir_search *answer;
	const struct dir_entry *e;
	struct dir_entry *hinted;
	const char *dn;
	size_t n;

	q.base = subnets_dn(w);
	if (!q.base)
		return err_nomem(err);
	if (hinted_subnets(&hinted, &n, w, err) < 0)
		return -1;
	if (hinted) {
		e = best_subnet(w, hinted, n);
	} else {
		if (walk_ask(w, &q, &answer))
			return 1;
		if (answer->outcome == DIR_DENIED)
			return err_set(err, ERR_DENIED, "'%s' may not be searched", q.base);
		if (walk_held(answer, err) < 0)
			return -1;
		e = best_subnet(w, answer->entries, answer->n_entries);
	}
	dn = e ? entry_text(e, "siteObject") : NULL;
	if (!dn)
		return 0;
	w->site_subnet = e->dn;
	dn = arena_strdup(w->a, dn);
	if (!dn)
		return err_nomem(err);
	if (!is_site_name(q.base, dn))
		return no_site(w, dn, "is no name of a site", err);
	*ret_dn = dn;
	w->site = dn_rdn_value(w->a, dn, "CN");
	if (!w->site)
		w->site = dn;
	w->site_from = "subnet";
	return 0;
}

static int site_by_name(struct gp_walk *w, const char **ret_dn, const char *name, const char *from, struct err *err)
{
	const char *value = ask_rdn_value(w->a, name);

	if (value)
		*ret_dn = arena_printf(w->a, "CN=%s,CN=Sites,%s", value, w->config_dn);
	w->site = arena_strdup(w->a, name);
	w->site_from = from;
	return value && *ret_dn && w->site ? 0 : err_nomem(err);
}

/* A DC that knows of no site has the last word on the address it saw. */
static bool subnets_tell(const struct gp_walk *w)
{
	return !(w->who->site && *w->who->site) && w->who->self && !w->ping_site && w->who->n_addresses;
}

/* *ret_dn NULL: no site. */
static int find_site(struct gp_walk *w, const char **ret_dn, struct err *err)
{
	const struct gp_subject *who = w->who;
	int r;

	if (who->site && *who->site)
		return site_by_name(w, ret_dn, who->site, "configured", err);
	if (w->ping_site && *w->ping_site)
		return site_by_name(w, ret_dn, w->ping_site, "ping", err);
	if (subnets_tell(w)) {
		r = site_by_subnet(w, ret_dn, err);
		if (r || *ret_dn || *w->site_note)
			return r;
	}
	if (who->default_site && *who->default_site)
		return site_by_name(w, ret_dn, who->default_site, "default", err);
	return 0;
}

static int find_config(struct gp_walk *w, struct err *err)
{
	const char *dn = w->root ? entry_text(w->root, "configurationNamingContext") : NULL;

	if (dn && !dn_valid(dn))
		return err_set(err, ERR_FORMAT, "root DSE: configuration naming context '%s' is not a name", dn);
	w->config_dn = dn ? arena_strdup(w->a, dn) :
	    arena_printf(w->a, "CN=Configuration,%s", *w->base_dn ? w->base_dn : w->domain_dn);
	return w->config_dn ? 0 : err_nomem(err);
}

int walk_hint_subnets(struct gp_walk *w, struct err *err)
{
	const char *config = w->root ? entry_text(w->root, "configurationNamingContext") : NULL;

	/* What is no name is an error, but that of a later step. */
	if (!subnets_tell(w) || (config && !dn_valid(config)))
		return 0;
	if (find_config(w, err) < 0)
		return -1;
	if (!dn_below(w->config_dn, w->base_dn))
		return 0;
	w->hinted_subnets = subnets_dn(w);
	return w->hinted_subnets ? 0 : err_nomem(err);
}

int walk_site(struct gp_walk *w, struct err *err)
{
	struct gp_som *som = &w->soms[w->n_soms];
	const char *dn = NULL, *from;
	const struct dir_entry *e;
	enum dir_state state;
	bool said;
	int r;

	if (find_config(w, err) < 0)
		return -1;
	r = find_site(w, &dn, err);
	if (r || !dn)
		return r;
	r = walk_ask_entry(w, dn, ask_gp_attrs, &e, &state);
	if (r)
		return r;
	from = w->site_from;
	if (state == DIR_STATE_DENIED)
		return err_set(err, ERR_DENIED, "site '%s' may not be read", dn);
	if (state == DIR_STATE_ELSEWHERE)
		return err_set(err, ERR_OFFLINE, "site '%s' is not held by this server", dn);
	said = !strcmp(from, "configured") || !strcmp(from, "default");
	if (state != DIR_STATE_FOUND)	/* told by the directory, but not replicated yet? */
		return said ? err_set(err, ERR_ABSENT, "site '%s' (%s) does not exist", w->site, from) :
		    no_site(w, dn, "does not exist", err);
	if (!entry_has_class(e, "site"))
		return said ? err_set(err, ERR_FORMAT, "site '%s' (%s): '%s' is not a site", w->site, from, dn) :
		    no_site(w, dn, "is not a site", err);
	som->type = GP_SOM_SITE;
	som->dn = dn;
	w->n_soms++;
	return walk_som_fill(w, som, e, err);
}
