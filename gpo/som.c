#include "gpo/som.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

#define LINK_DISABLED	1u
#define LINK_ENFORCED	2u

struct span {
	const char *p, *end;
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span span_trim(struct span s)
{
	while (s.p < s.end && is_space(*s.p))
		s.p++;
	while (s.p < s.end && is_space(s.end[-1]))
		s.end--;
	return s;
}

static bool is_last(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p == end || *p == '[';
}

/* The ']' that ends the entry whose '[' is at p.  A DN may hold brackets, so it is
 * the first one behind ";<number>", or with the next entry behind it; or that of
 * an empty entry.  NULL: there is none. */
static const char *entry_end(const char *p, const char *end)
{
	enum { IN_DN, SEMICOLON, NUMBER, BEHIND } at = IN_DN;
	bool blank = true;

	for (p++; p < end; p++) {
		if (*p == ']') {
			if (blank || at == NUMBER || at == BEHIND || is_last(p + 1, end))
				return p;
			at = IN_DN;
		} else if (is_space(*p)) {
			if (at == NUMBER)
				at = BEHIND;
			continue;
		} else if (*p == ';') {
			at = SEMICOLON;
		} else if (*p >= '0' && *p <= '9' && (at == SEMICOLON || at == NUMBER)) {
			at = NUMBER;
		} else {
			at = IN_DN;
			p += *p == '\\';
		}
		blank = false;
	}
	return NULL;
}

/* The last ';' that is not part of the DN. */
static const char *options_start(struct span s)
{
	const char *last = NULL;

	for (const char *p = s.p; p < s.end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == ';')
			last = p;
	}
	return last;
}

static bool options_parse(uint32_t *ret, struct span s)
{
	uint32_t n = 0;

	s = span_trim(s);
	if (s.p == s.end)
		return false;
	for (; s.p < s.end; s.p++) {
		if (*s.p < '0' || *s.p > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, *s.p - '0', &n))
			return false;
	}
	*ret = n;
	return true;
}

/* Its options are told only when it surely is one entry: two may have run together. */
static int entry_malformed(struct gp_link *ret, struct span before_options)
{
	for (const char *p = before_options.p; p < before_options.end; p++)
		if (*p == ';' || *p == '[' || *p == ']')
			*ret = (struct gp_link){ .enforced = true };
	return 0;
}

/* "LDAP://<DN>;<options>".  1: *ret is filled; 0: malformed, only its options are
 * told (enforced when these cannot be known); -1: no memory. */
static int entry_parse(struct gp_link *ret, struct arena *a, struct span s, struct err *err)
{
	static const char prefix[] = "LDAP://";
	const size_t n = sizeof(prefix) - 1;
	const char *semicolon = options_start(s);
	uint32_t options;
	struct span dn;
	char *text;

	*ret = (struct gp_link){ .enforced = true };
	if (!semicolon || !options_parse(&options, (struct span){ semicolon + 1, s.end }))
		return 0;
	ret->disabled = options & LINK_DISABLED;
	ret->enforced = options & LINK_ENFORCED;
	s.end = semicolon;
	if ((size_t)(s.end - s.p) < n || strncasecmp(s.p, prefix, n))
		return entry_malformed(ret, s);
	dn = span_trim((struct span){ s.p + n, s.end });
	if (dn.end - dn.p > GP_DN_MAX || memchr(dn.p, '\0', (size_t)(dn.end - dn.p)))
		return entry_malformed(ret, s);
	text = arena_strndup(a, dn.p, (size_t)(dn.end - dn.p));
	if (!text)
		return err_nomem(err);
	if (!dn_valid(text) || !dn_domain(text))
		return entry_malformed(ret, s);
	ret->gpo_dn = text;
	return 1;
}

static void link_lose(struct gp_som *som, struct gp_link l)
{
	som->n_malformed++;
	if (!l.disabled)
		*(l.enforced ? &som->lost_enforced : &som->lost) = (struct gp_lost){ true, som->n_links };
}

static int link_add(struct gp_som *som, struct arena *a, struct span s, struct err *err)
{
	size_t n = som->n_links;
	int r;

	if (n == GP_LINKS_MAX)
		return err_set(err, ERR_LIMIT, "gPLink: more than %d links", GP_LINKS_MAX);
	som->links = arena_grow(a, som->links, n, sizeof(*som->links));
	if (!som->links)
		return err_nomem(err);
	r = entry_parse(&som->links[n], a, s, err);
	if (r < 0)
		return -1;
	if (r)
		som->n_links++;
	else
		link_lose(som, som->links[n]);
	return 0;
}

int gp_som_links(struct gp_som *som, struct arena *a, const char *gplink, size_t len, struct err *err)
{
	static const struct gp_link unknown = { .enforced = true };
	const char *p = gplink, *end = gplink + len, *close;
	struct gp_som filled = *som;
	struct span s;

	filled.links = NULL;
	filled.n_links = filled.n_malformed = 0;
	filled.lost = filled.lost_enforced = (struct gp_lost){ 0 };
	while (p < end) {
		if (is_space(*p)) {
			p++;
			continue;
		}
		close = *p == '[' ? entry_end(p, end) : NULL;
		if (!close) {
			link_lose(&filled, unknown);
			/* No end to be found: nor is there one for a later entry. */
			p = *p == '[' ? NULL : memchr(p, '[', (size_t)(end - p));
			if (!p)
				break;
			continue;
		}
		s = span_trim((struct span){ p + 1, close });
		p = close + 1;
		/* "[ ]" is written for no links */
		if (s.p < s.end && link_add(&filled, a, s, err) < 0)
			return -1;
	}
	*som = filled;
	return 0;
}

int gp_link_parse(struct gp_link **ret, size_t *ret_n, size_t *ret_malformed, struct arena *a,
    const char *gplink, size_t len, struct err *err)
{
	struct gp_som som = { 0 };

	if (gp_som_links(&som, a, gplink, len, err) < 0)
		return -1;
	*ret = som.links;
	*ret_n = som.n_links;
	*ret_malformed = som.n_malformed;
	return 0;
}

static bool rdn_is(const char *dn, const char *type)
{
	size_t n = strlen(type);

	if (strncasecmp(dn, type, n))
		return false;
	for (dn += n; *dn == ' '; dn++)
		;
	return *dn == '=';
}

int gp_som_dns(const char ***ret, size_t *ret_n, struct arena *a, const char *computer_dn, struct err *err)
{
	const char **dns = NULL, *dn, *domain;
	size_t n = 0;

	dn = arena_strdup(a, computer_dn);
	if (!dn)
		return err_nomem(err);
	if (!dn_valid(dn))
		return err_set(err, ERR_FORMAT, "'%s' is not a distinguished name", dn);
	domain = dn_domain(dn);
	if (!domain || domain == dn)
		return err_set(err, ERR_FORMAT, "'%s' lies in no domain", dn);
	while (dn != domain) {
		dn = dn_parent(dn);
		if (dn != domain && !rdn_is(dn, "OU"))
			continue;
		if (n == GP_SOMS_MAX)
			return err_set(err, ERR_LIMIT, "'%s': more than %d containers deep", computer_dn, GP_SOMS_MAX);
		dns = arena_grow(a, dns, n, sizeof(*dns));
		if (!dns)
			return err_nomem(err);
		dns[n++] = dn;
	}
	*ret = dns;
	*ret_n = n;
	return 0;
}

/* Links that are not enforced come first, parents before children; enforced ones
 * behind them, children before parents, so that the highest level is the
 * strongest.  Inside a level the order of the string counts: its last entry is link
 * order 1.  (The text of the specification prepends there, which contradicts its
 * own result and every console.)  A SOM that blocks inheritance cuts off the
 * levels above it, never its own links. */
int gp_links_rank(struct gp_ranked **ret, size_t *ret_n, struct arena *a, const struct gp_som *soms,
    size_t n_soms, struct err *err)
{
	const struct gp_som *blocker = NULL, **blocked_by;
	struct gp_ranked *ranked;
	size_t total = 0, n = 0;

	blocked_by = arena_zalloc(a, n_soms, sizeof(*blocked_by));
	for (size_t i = 0; blocked_by && i < n_soms; i++) {
		blocked_by[i] = blocker;
		if (!blocker && soms[i].block_inheritance)
			blocker = &soms[i];
		total += soms[i].n_links;
	}
	ranked = arena_zalloc(a, total, sizeof(*ranked));
	if (!blocked_by || !ranked)
		return err_nomem(err);
	for (size_t i = n_soms; i-- > 0;)
		for (size_t j = 0; j < soms[i].n_links; j++)
			if (!soms[i].links[j].enforced)
				ranked[n++] = (struct gp_ranked){ &soms[i], &soms[i].links[j], blocked_by[i] };
	for (size_t i = 0; i < n_soms; i++)
		for (size_t j = 0; j < soms[i].n_links; j++)
			if (soms[i].links[j].enforced)
				ranked[n++] = (struct gp_ranked){ &soms[i], &soms[i].links[j], NULL };
	*ret = ranked;
	*ret_n = n;
	return 0;
}

const struct gp_som *gp_links_lost(const struct gp_som *soms, size_t n_soms, const struct gp_ranked *than)
{
	bool enforced = than && than->link->enforced, blocked = false;
	size_t at = than ? (size_t)(than->link - than->som->links) : 0;

	for (size_t i = 0; i < n_soms; i++) {
		const struct gp_som *som = &soms[i];

		if (som->lost_enforced.any && (!enforced || than->som < som ||
		    (than->som == som && at < som->lost_enforced.at)))
			return som;
		if (som->lost.any && !blocked && !enforced && (!than || than->som > som ||
		    (than->som == som && at < som->lost.at)))
			return som;
		blocked = blocked || som->block_inheritance;
	}
	return NULL;
}

const char *gp_som_type_name(enum gp_som_type t)
{
	static const char *const names[] = { "site", "domain", "ou" };

	return names[t];
}
