#include "gpo/memory.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "gpo/memory_parts.h"
#include "gpo/ask.h"
#include "gpo/walk.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ldif.h"

#define HEAD		"ipsecpol memory 1\n"
#define STAMP_MAX	64	/* bytes of one of its values */

bool gp_is_policy_object(const struct dir_entry *e)
{
	static const char *const classes[] = { "ipsecPolicy", "ipsecISAKMPPolicy", "ipsecNFA",
		"ipsecNegotiationPolicy", "ipsecFilter" };

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (entry_has_class(e, classes[i]))
			return true;
	return false;
}

/* ---- which server, which version ---- */

int memory_server(const char **ret, int64_t *ret_usn, const struct gp_walk *w, struct err *err)
{
	const char *name = w->s->server, *kind = "ldap";

	*ret = NULL;
	*ret_usn = 0;
	if (!strncasecmp(name, "ldif:", 5))
		return 0;
	if (w->ad) {
		kind = "ad";
		name = entry_text(w->root, "dsServiceName");
		if (!name || entry_int(w->root, "highestCommittedUSN", ret_usn) != 1 || *ret_usn <= 0)
			return 0;
	}
	if (!*name || strlen(name) > GP_DN_MAX || strpbrk(name, "\r\n"))
		return 0;
	*ret = arena_printf(w->a, "%s %s", kind, name);
	return *ret ? 0 : err_nomem(err);
}

static const struct dir_value *one_value(const struct dir_entry *e, const char *name)
{
	const struct dir_attr *attr = entry_attr(e, name);

	return attr && attr->n_values == 1 && attr->values[0].len && attr->values[0].len <= STAMP_MAX ? &attr->values[0] : NULL;
}

static bool value_equal(const struct dir_value *x, const struct dir_value *y)
{
	return x->len == y->len && !memcmp(x->p, y->p, x->len);
}

bool memory_has_stamp(const struct dir_entry *e, bool ad)
{
	int64_t usn;

	if (ad)
		return one_value(e, "uSNChanged") && entry_int(e, "uSNChanged", &usn) == 1 && usn > 0 &&
		    one_value(e, "whenChanged") && one_value(e, "objectGUID");
	return one_value(e, "entryCSN") && one_value(e, "entryUUID");
}

/* The update sequence number of this domain controller, [MS-ADTS] 3.1.1.1.9.  The time beside it is for
 * one that was set back to an older copy of itself. */
static enum memory_stamp compare_ad(const struct dir_entry *old, const struct dir_entry *new)
{
	int64_t before = 0, now = 0;

	if (!value_equal(one_value(old, "objectGUID"), one_value(new, "objectGUID")))
		return STAMP_ODD;
	entry_int(old, "uSNChanged", &before);
	entry_int(new, "uSNChanged", &now);
	if (now != before)
		return now > before ? STAMP_CHANGED : STAMP_ODD;
	return value_equal(one_value(old, "whenChanged"), one_value(new, "whenChanged")) ? STAMP_SAME : STAMP_ODD;
}

/* "20261123040506.123456Z#000000#001#000000": its order is that of the text. */
static enum memory_stamp compare_csn(const struct dir_entry *old, const struct dir_entry *new)
{
	const struct dir_value *before = one_value(old, "entryCSN"), *now = one_value(new, "entryCSN");

	if (!value_equal(one_value(old, "entryUUID"), one_value(new, "entryUUID")))
		return STAMP_ODD;
	if (value_equal(before, now))
		return STAMP_SAME;
	return now->len == before->len && memcmp(now->p, before->p, now->len) > 0 ? STAMP_CHANGED : STAMP_ODD;
}

enum memory_stamp memory_compare(const struct dir_entry *old, const struct dir_entry *new, bool ad)
{
	if (!memory_has_stamp(old, ad) || !memory_has_stamp(new, ad))
		return STAMP_ODD;
	return ad ? compare_ad(old, new) : compare_csn(old, new);
}

/* ---- text ---- */

static bool asks_for_all(const struct dir_query *q)
{
	for (const char *const *a = q->attrs; a && *a; a++)
		if (!strcmp(*a, "ipsecData"))
			return true;
	return false;
}

/* Entries that a later answer replaced are nothing to remember, nor are those that came without all their attributes. */
static bool is_memorable(const struct gp_walk *w, const struct dir_entry *e)
{
	return gp_is_policy_object(e) && memory_has_stamp(e, w->ad) && snapshot_entry(w->s, e->dn, NULL) == e;
}

/* The next time what the hints name is asked for, unless that was too much: then there are no policy objects
 * among them, but for the assignments below GPOs, and all are asked for. */
static bool are_named(const struct dnset *hints)
{
	for (size_t i = 0; i < hints->n; i++) {
		const char *parent = dn_parent(hints->dns[i]);

		if (parent && !strncasecmp(parent, "CN=IP Security,", strlen("CN=IP Security,")))
			return true;
	}
	return false;
}

static int write_entries(const struct gp_walk *w, const struct dnset *hints, FILE *out)
{
	bool named = are_named(hints);

	for (size_t i = 0; i < w->s->n_searches; i++) {
		const struct dir_search *search = &w->s->searches[i];

		for (size_t j = 0; asks_for_all(&search->q) && j < search->n_entries; j++) {
			const struct dir_entry *e = &search->entries[j];

			if (!is_memorable(w, e) || (named && dnset_find(hints, e->dn) == DNSET_NONE))
				continue;
			if (ldif_write_entry(e, out) < 0)
				return -1;
		}
	}
	return 0;
}

static int read_hints(struct dnset *ret, const struct gp_walk *w, struct err *err)
{
	const char *const *hints;
	size_t n;

	ret->a = w->a;
	if (gp_hints(&hints, &n, w->s, w->who, w->a, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (dnset_add(ret, hints[i]) == DNSET_NONE)
			return err_nomem(err);
	return 0;
}

int gp_memory_write(const struct dir_snapshot *s, const struct gp_subject *who, FILE *out, struct err *err)
{
	struct gp_walk w = { .s = s, .who = who, .a = arena_new(0) };
	struct dnset hints = { 0 };
	const char *server;
	int64_t usn;
	int rc = -1;

	if (!w.a)
		return err_nomem(err);
	if (walk_root(&w, err) != 0) {
		err_set(err, ERR_FORMAT, "memory: the snapshot has no root DSE");
		goto out;
	}
	if (memory_server(&server, &usn, &w, err) < 0 || read_hints(&hints, &w, err) < 0)
		goto out;
	fputs(HEAD, out);
	if (server)
		fprintf(out, "%s\n", server);
	if ((server && write_entries(&w, &hints, out) < 0) || ferror(out)) {
		err_set(err, ERR_SYSTEM, "memory: cannot be written");
		goto out;
	}
	rc = 0;
out:
	arena_free(w.a);
	return rc;
}

/* The largest; it is no larger than what the domain controller has come to since. */
static int64_t last_usn(const struct dir_entry *entries, size_t n)
{
	int64_t last = 0, usn = 0;

	for (size_t i = 0; i < n; i++)
		if (entry_int(&entries[i], "uSNChanged", &usn) == 1 && usn > last)
			last = usn;
	return last;
}

int gp_memory_read(struct gp_memory **ret, struct arena *a, const char *text, size_t len, struct err *err)
{
	struct gp_memory *m = arena_zalloc(a, 1, sizeof(*m));
	const char *end = text + len, *nl;
	struct dir_entry *entries;
	size_t n;

	if (!m)
		return err_nomem(err);
	m->dns.a = a;
	if (len < strlen(HEAD) || len > MEMORY_MAX_BYTES || memcmp(text, HEAD, strlen(HEAD)))
		return err_set(err, ERR_FORMAT, "memory: not one of ours");
	text += strlen(HEAD);
	if (text < end) {
		nl = memchr(text, '\n', len - strlen(HEAD));
		if (!nl)
			return err_set(err, ERR_FORMAT, "memory: the server is missing");
		m->server = arena_strndup(a, text, (size_t)(nl - text));
		if (!m->server)
			return err_nomem(err);
		text = nl + 1;
		if (ldif_read(&entries, &n, a, text, (size_t)(end - text), err) < 0)
			return err_prefix(err, "memory");
		for (size_t i = 0; i < n; i++)
			if (dnset_add(&m->dns, entries[i].dn) != i)
				return err_set(err, ERR_FORMAT, "memory: '%s' is there twice", entries[i].dn);
		m->entries = entries;
		m->usn = last_usn(entries, n);
	}
	*ret = m;
	return 0;
}
