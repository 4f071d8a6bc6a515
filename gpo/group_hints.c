#include "gpo/group_hints.h"

#include <stdint.h>
#include <string.h>

#include "gpo/ask.h"
#include "gpo/walk.h"
#include "schema/arena.h"
#include "schema/err.h"

/* As text: "member 1 CN=...", "named 2 CN=...", "none 0 CN=...", "primary 0 S-1-...". */
static const char *const kinds[] = { [GROUP_MEMBER] = "member", [GROUP_NAMED] = "named", [GROUP_NONE] = "none" };
#define PRIMARY		"primary"

/* ---- text ---- */

size_t group_hints_add(struct group_hints *h, const char *dn, enum group_kind kind, unsigned level)
{
	struct group_hint *list;
	size_t n = h->dns.n, i = dnset_find(&h->dns, dn);

	if (i != DNSET_NONE)
		return i;
	list = arena_grow(h->dns.a, h->list, n, sizeof(*list));
	if (!list || dnset_add(&h->dns, dn) == DNSET_NONE)
		return DNSET_NONE;
	list[n] = (struct group_hint){ kind, level };
	h->list = list;
	h->n_groups += kind != GROUP_NONE;
	return n;
}

size_t group_hints_count(const struct group_hints *h)
{
	size_t bytes = 0;

	if (!h->n_groups || h->dns.n > GROUP_HINTS_MAX)
		return 0;
	for (size_t i = 0; i < h->dns.n; i++)
		bytes += strlen(h->dns.dns[i]);
	return bytes <= GROUP_HINTS_BYTES ? h->dns.n + h->has_primary : 0;
}

char *group_hints_text(const struct group_hints *h, size_t i, struct arena *a)
{
	char sid[SID_TEXT];

	if (i < h->dns.n)
		return arena_printf(a, "%s %u %s", kinds[h->list[i].kind], h->list[i].level, h->dns.dns[i]);
	sid_text(&h->primary, sid);
	return arena_printf(a, PRIMARY " 0 %s", sid);
}

/* "WORD NUMBER " in front of *rest. */
static bool head_read(const char **rest, unsigned *ret_level, const char *text, const char *word)
{
	size_t n = strlen(word);
	unsigned level = 0;

	if (strncmp(text, word, n) || text[n] != ' ' || text[n + 1] < '0' || text[n + 1] > '9')
		return false;
	for (text += n + 1; *text >= '0' && *text <= '9' && level < WALK_LEVELS_MAX; text++)
		level = level * 10 + (unsigned)(*text - '0');
	*ret_level = level;
	*rest = text + 1;
	return *text == ' ';
}

/* A group of a level follows one of that or the level before; what is no group is last. */
static bool fits(const struct group_hints *h, enum group_kind kind, unsigned level, const char *dn, const struct gp_walk *w)
{
	const struct group_hint *last = h->dns.n ? &h->list[h->dns.n - 1] : NULL;

	if (h->dns.n == GROUP_HINTS_MAX || strnlen(dn, GP_DN_MAX + 1) > GP_DN_MAX || !*dn || !dn_valid(dn) ||
	    dnset_find(&h->dns, dn) != DNSET_NONE)
		return false;
	if (kind == GROUP_NONE)
		return last != NULL;
	/* What is asked for as something else, too, would prove nothing when it comes. */
	if (!dn_below(dn, w->base_dn) || dnset_find(&w->hinted, dn) != DNSET_NONE)
		return false;
	if (!last)
		return kind == GROUP_MEMBER && level == 0;
	return last->kind != GROUP_NONE && level > 0 && level < WALK_LEVELS_MAX &&
	    (level == last->level || level == last->level + 1);
}

/* 1: taken; 0: it does not fit; -1: no memory. */
static int hint_read(struct group_hints *h, const char *text, const struct gp_walk *w)
{
	unsigned level;
	const char *rest;

	if (head_read(&rest, &level, text, PRIMARY)) {
		if (h->has_primary || !sid_read(&h->primary, rest))
			return 0;
		h->has_primary = true;
		return 1;
	}
	for (enum group_kind kind = GROUP_MEMBER; kind <= GROUP_NONE; kind++) {
		if (!head_read(&rest, &level, text, kinds[kind]))
			continue;
		if (!fits(h, kind, level, rest, w))
			return 0;
		return group_hints_add(h, rest, kind, level) == DNSET_NONE ? -1 : 1;
	}
	return 1;	/* a hint of another sort */
}

int group_hints_read(struct group_hints *ret, const struct gp_walk *w, struct err *err)
{
	struct group_hints h = { .dns = { .a = w->a } };
	int r = 1;

	for (size_t i = 0; r > 0 && i < w->who->n_hints; i++)
		r = hint_read(&h, w->who->hints[i], w);
	if (r < 0)
		return err_nomem(err);
	*ret = r && group_hints_count(&h) ? h : (struct group_hints){ .dns = { .a = w->a } };
	return 0;
}

/* ---- the question ---- */

static void put_names(struct ask_text *t, const char *attr, const struct group_hints *h, size_t from, size_t to, enum group_kind kind)
{
	for (size_t i = from; i < to; i++)
		if (h->list[i].kind == kind)
			ask_put_term(t, attr, h->dns.dns[i]);
}

static void put_members(struct ask_text *t, const struct group_hints *h, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		ask_put_term(t, "member", h->dns.dns[i]);
	if (from == 0 && h->has_primary)
		ask_put_sid(t, "objectSid", &h->primary);
}

static bool has_kind(const struct group_hints *h, size_t from, size_t to, enum group_kind kind)
{
	while (from < to && h->list[from].kind != kind)
		from++;
	return from < to;
}

/* "(&(|(entryDN=G)...)(|(member=L)...))" a level, L being the level before. */
static void put_levels(struct ask_text *t, const struct group_hints *h)
{
	size_t end;

	for (size_t before = 0, start = 1; start < h->n_groups; before = start, start = end) {
		for (end = start; end < h->n_groups && h->list[end].level == h->list[start].level;)
			end++;
		if (!has_kind(h, start, end, GROUP_MEMBER))
			continue;
		ask_put(t, "(&(|");
		put_names(t, "entryDN", h, start, end, GROUP_MEMBER);
		ask_put(t, ")(|");
		put_members(t, h, before, start);
		ask_put(t, "))");
	}
}

void group_hints_ask(struct ask_text *t, const struct group_hints *h)
{
	if (!h->n_groups)
		return;
	ask_put(t, ASK_GROUPS);
	put_levels(t, h);
	put_names(t, "entryDN", h, 1, h->n_groups, GROUP_NAMED);
	/* And whatever should be a group of the computer beside these. */
	ask_put(t, "(&(|");
	put_members(t, h, 0, h->n_groups);
	put_names(t, "entryDN", h, h->n_groups, h->dns.n, GROUP_NONE);
	ask_put(t, ")");
	if (h->n_groups > 1) {
		ask_put(t, "(!(|");
		put_names(t, "entryDN", h, 1, h->n_groups, GROUP_MEMBER);
		put_names(t, "entryDN", h, 1, h->n_groups, GROUP_NAMED);
		ask_put(t, "))");
	}
	ask_put(t, ")))");
}

/* ---- the answer ---- */

/* Something else that was asked for, and that is surely no group. */
static bool is_other(const struct dir_entry *e)
{
	static const char *const others[] = { "subnet", "subnetContainer", "ipsecPolicy", "ipsecISAKMPPolicy",
		"ipsecNFA", "ipsecNegotiationPolicy", "ipsecFilter" };
	bool other = false;

	if (entry_has_class(e, "group") || entry_has_class(e, "groupOfNames"))
		return false;
	for (size_t i = 0; !other && ask_gp_classes[i]; i++)
		other = entry_has_class(e, ask_gp_classes[i]);
	for (size_t i = 0; !other && i < sizeof(others) / sizeof(others[0]); i++)
		other = entry_has_class(e, others[i]);
	return other;
}

/* Is the entry a claimed group (which *ret gets), or none at all? */
static bool entry_fits(const struct dir_entry **found, const struct group_hints *h, const struct dir_entry *e, const struct gp_walk *w)
{
	size_t i = dnset_find(&h->dns, e->dn);

	if (e == w->computer || i == 0)
		return true;
	if (i == DNSET_NONE || h->list[i].kind == GROUP_NONE)
		return !walk_is_security_group(e) || is_other(e);
	/* Byte for byte: the server may know two names that are one to us.  A subnet
	 * comes without being a member of anything. */
	if (found[i] || strcmp(e->dn, h->dns.dns[i]) || !walk_is_security_group(e) ||
	    !entry_value(e, "objectClass") || entry_has_class(e, "subnet"))
		return false;
	found[i] = e;
	return true;
}

static bool primary_fits(const struct group_hints *h, const struct gp_walk *w)
{
	struct sid sid;

	if (!walk_primary_group(&sid, w))
		return !h->has_primary;
	return h->has_primary && sid_equal(&sid, &h->primary);
}

/* Everything that memberOf names must have been asked for, and what was claimed
 * because of it must be named.  1, 0, or -1: no memory. */
static int names_fit(const struct group_hints *h, const struct dir_entry *const *found, struct arena *a)
{
	bool *named = arena_zalloc(a, h->dns.n, sizeof(*named));
	const struct dir_attr *of;
	const char *dn;
	size_t at;

	if (!named)
		return -1;
	for (size_t i = 0; i < h->n_groups; i++) {
		if (h->list[i].kind == GROUP_NAMED && !named[i])
			return 0;
		of = entry_attr(found[i], "memberOf");
		for (size_t j = 0; of && j < of->n_values; j++) {
			dn = walk_group_name(&of->values[j]);
			at = dn ? dnset_find(&h->dns, dn) : 0;
			if (at == DNSET_NONE)
				return 0;
			named[at] = true;
		}
	}
	return 1;
}

int group_hints_confirm(const struct dir_entry *const **ret, const struct gp_walk *w, struct err *err)
{
	const struct group_hints *h = &w->hinted_groups;
	const struct dir_entry **found;
	int r;

	*ret = NULL;
	if (!w->combined || !h->n_groups || strcmp(h->dns.dns[0], w->computer_dn) || !primary_fits(h, w))
		return 0;
	found = arena_zalloc(w->a, h->dns.n, sizeof(*found));
	if (!found)
		return err_nomem(err);
	for (size_t i = 0; i < w->combined->n_entries; i++)
		if (!entry_fits(found, h, &w->combined->entries[i], w))
			return 0;
	found[0] = w->computer;
	for (size_t i = 1; i < h->n_groups; i++)
		if (!found[i])
			return 0;
	r = names_fit(h, found, w->a);
	if (r > 0)
		*ret = found;
	return r < 0 ? err_nomem(err) : 0;
}
