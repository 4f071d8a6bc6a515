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

/* "LDAP://<DN>;<options>".  1: *ret is filled; 0: malformed; -1: no memory. */
static int entry_parse(struct gp_link *ret, struct arena *a, struct span s, struct err *err)
{
	static const char prefix[] = "LDAP://";
	const size_t n = sizeof(prefix) - 1;
	const char *semicolon = options_start(s);
	uint32_t options;
	struct span dn;
	char *text;

	if (!semicolon || (size_t)(semicolon - s.p) < n || strncasecmp(s.p, prefix, n) ||
	    !options_parse(&options, (struct span){ semicolon + 1, s.end }))
		return 0;
	dn = span_trim((struct span){ s.p + n, semicolon });
	if (dn.end - dn.p > GP_DN_MAX || memchr(dn.p, '\0', (size_t)(dn.end - dn.p)))
		return 0;
	text = arena_strndup(a, dn.p, (size_t)(dn.end - dn.p));
	if (!text)
		return err_nomem(err);
	if (!dn_valid(text) || !dn_domain(text))
		return 0;
	ret->gpo_dn = text;
	ret->disabled = options & LINK_DISABLED;
	ret->enforced = options & LINK_ENFORCED;
	return 1;
}

int gp_link_parse(struct gp_link **ret, size_t *ret_n, size_t *ret_malformed, struct arena *a,
    const char *gplink, size_t len, struct err *err)
{
	const char *p = gplink, *end = gplink + len, *close;
	size_t n = 0, n_malformed = 0;
	struct gp_link *links = NULL;
	struct span s;
	int r;

	while (p < end) {
		if (is_space(*p)) {
			p++;
			continue;
		}
		close = *p == '[' ? entry_end(p, end) : NULL;
		if (!close) {
			n_malformed++;
			/* No end to be found: nor is there one for a later entry. */
			p = *p == '[' ? NULL : memchr(p, '[', (size_t)(end - p));
			if (!p)
				break;
			continue;
		}
		s = span_trim((struct span){ p + 1, close });
		p = close + 1;
		if (s.p == s.end)	/* "[ ]" is written for no links */
			continue;
		if (n == GP_LINKS_MAX)
			return err_set(err, ERR_LIMIT, "gPLink: more than %d links", GP_LINKS_MAX);
		links = arena_grow(a, links, n, sizeof(*links));
		if (!links)
			return err_nomem(err);
		r = entry_parse(&links[n], a, s, err);
		if (r < 0)
			return -1;
		if (r)
			n++;
		else
			n_malformed++;
	}
	*ret = links;
	*ret_n = n;
	*ret_malformed = n_malformed;
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

const char *gp_som_type_name(enum gp_som_type t)
{
	static const char *const names[] = { "site", "domain", "ou" };

	return names[t];
}
