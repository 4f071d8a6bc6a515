#include "agent/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/exchange_parts.h"
#include "agent/netsh.h"
#include "agent/session.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"
#include "store/objects.h"
#include "store/regfile.h"

enum format { FORMAT_AUTO, FORMAT_REG, FORMAT_REG8, FORMAT_LDIF, FORMAT_SCRIPT };	/* as the words of the tag */

static bool arg_given(const struct netsh_args *a, const char *tag, bool *ret)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	if (v)
		*ret = v->yes;
	return v != NULL;
}

static enum format arg_format(const struct netsh_args *a)
{
	const struct netsh_value *v = netsh_arg(a, "format");

	return v ? (enum format)v->number : FORMAT_AUTO;
}

/* "'a\nb'" would be two lines of output. */
static void put_name(const char *name, FILE *out)
{
	utf8_write(out, name, "");
}

/* ---- export ---------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n > k && ascii_equal(name + n - k, end);
}

static enum format format_by_name(const char *name, bool backup)
{
	if (ends_with(name, ".ldif") || (backup && !ends_with(name, ".reg") && !ends_with(name, ".ipsec")))
		return FORMAT_LDIF;
	if (ends_with(name, ".txt") || ends_with(name, ".netsh"))
		return FORMAT_SCRIPT;
	return FORMAT_REG;
}

struct export {
	struct arena		*a;
	struct store_edit	*e;
	enum format		 format;
	struct dir_entry	*entries;
	size_t			 n;
	struct exchange_gpo	*gpos, own;
	size_t			 n_gpos;
};

static int gpos_collect(struct export *x, struct backend *b, struct err *err)
{
	if (x->e->location != LOCATION_DOMAIN) {
		x->own = (struct exchange_gpo){ .gpo = "", .name = "", .policy = x->e->active };
		x->gpos = &x->own;
		x->n_gpos = x->e->active != NULL;
		return 0;
	}
	if (x->format != FORMAT_LDIF)
		return err_set(err, ERR_UNSUPPORTED, "only LDIF says which GPOs assign a policy: format=ldif");
	if (x->e->n_gpos)
		return err_set(err, ERR_BUSY, "assignments are not written yet");
	return exchange_gpos(&x->gpos, &x->n_gpos, x->a, x->e->container, b, err);
}

static int export_collect(struct export *x, struct backend *b, const struct netsh_args *a, struct err *err)
{
	bool backup = false;

	/* A registry file says which policy is assigned, as `reg export` does. */
	if (!arg_given(a, "assignments", &backup))
		backup = x->e->location != LOCATION_DOMAIN && (x->format == FORMAT_REG || x->format == FORMAT_REG8);
	if (backup && gpos_collect(x, b, err) < 0)
		return -1;
	return exchange_entries(&x->entries, &x->n, x->a, x->e->container, false, NULL, err);
}

static int export_reg(const struct export *x, FILE *f, struct err *err)
{
	const char *root = x->e->location == LOCATION_PERSISTENT ? REG_PERSISTENT : REG_LOCAL;
	struct reg_key *keys = NULL;
	size_t n = 0;

	if (exchange_to_keys(&keys, &n, x->a, x->entries, x->n, root, x->n_gpos ? x->gpos[0].policy : NULL, err) < 0)
		return -1;
	if (regfile_write(keys, n, x->format == FORMAT_REG8 ? REGFILE_UTF8 : REGFILE_UTF16, f) < 0 && !ferror(f))
		return err_set(err, ERR_UNSUPPORTED, "a text of the store is not UTF-8");
	return 0;
}

static int export_write(const struct export *x, FILE *f, struct err *err)
{
	if (x->format == FORMAT_SCRIPT)
		return store_edit_script(x->e, f, err);
	if (x->format == FORMAT_LDIF)
		return exchange_to_ldif(x->entries, x->n, x->gpos, x->n_gpos, x->e->container->dn, f, err);
	return export_reg(x, f, err);
}

static void export_tell(const struct export *x, const char *file, FILE *out)
{
	static const char *const formats[] = {
		[FORMAT_REG] = "a registry file (UTF-16)", [FORMAT_REG8] = "a registry file (UTF-8)", [FORMAT_LDIF] = "LDIF",
		[FORMAT_SCRIPT] = "a script",
	};
	const struct ipsec_container *c = x->e->container;
	size_t n = 0;

	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = c->objects[i];
		char id[GUID_TEXT];

		n += o->class == OBJ_POLICY && !o->deleted && !o->damage;
		if (o->deleted || !o->damage)
			continue;
		guid_text(&o->id, id);
		fprintf(out, "left out: %s %s: ", object_class_name(o->class), id);
		put_name(o->damage, out);
		putc('\n', out);
	}
	fprintf(out, "%zu %s", n, n == 1 ? "policy" : "policies");
	if (x->e->location == LOCATION_DOMAIN && x->n_gpos)
		fprintf(out, " and %zu %s", x->n_gpos, x->n_gpos == 1 ? "assignment" : "assignments");
	fputs(" written to '", out);
	put_name(file, out);
	fprintf(out, "' as %s; it may hold pre-shared keys, keep it to yourself\n", formats[x->format]);
}

int exchange_export(struct store_edit *e, struct backend *b, const struct netsh_args *a, FILE *out, struct err *err)
{
	struct export x = { .a = arena_new(0), .e = e, .format = arg_format(a) };
	const char *file = netsh_arg(a, "file")->text;
	struct exchange_out to = { 0 };
	bool backup = false;
	int rc = -1;

	if (!x.a)
		return err_nomem(err);
	arg_given(a, "assignments", &backup);
	if (x.format == FORMAT_AUTO)
		x.format = format_by_name(file, backup && e->location == LOCATION_DOMAIN);
	if (backup && e->location != LOCATION_DOMAIN && x.format != FORMAT_LDIF) {
		err_set(err, ERR_UNSUPPORTED, "'assignments' are of GPOs and the domain store; what the %s store assigns is in such a file anyway",
		    location_name(e->location));
		goto out;
	}
	if (export_collect(&x, b, a, err) < 0 || exchange_file_create(&to, file, x.a, err) < 0)
		goto out;
	if (export_write(&x, to.f, err) < 0)
		exchange_file_drop(&to);
	else
		rc = exchange_file_finish(&to, err);
	if (rc == 0)
		export_tell(&x, file, out);
out:
	arena_free(x.a);
	return rc;
}

/* ---- import ---------------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *end, const char *word)
{
	for (; *word; word++, text++)
		if (text == end || ascii_lower((uint8_t)*text) != ascii_lower((uint8_t)*word))
			return false;
	return true;
}

/* By the first line that says something. */
static enum format format_by_text(const char *text, size_t len)
{
	const char *end = text + len, *eol;

	if (regfile_is(text, len))
		return FORMAT_REG;
	for (; text < end; text = eol + 1) {
		eol = memchr(text, '\n', (size_t)(end - text));
		if (!eol)
			eol = end;
		if (text == eol || *text == '#' || *text == '\r')
			continue;
		if (begins(text, eol, "dn:") || begins(text, eol, "version:"))
			return FORMAT_LDIF;
		break;
	}
	return FORMAT_SCRIPT;
}

struct import {
	struct arena		*a;
	struct store_edit	*e;
	struct exchange_content	 content;
	bool			 assign, assign_given;
};

static int content_read(struct import *x, enum format format, const char *text, size_t len, struct err *err)
{
	const char *container = x->e->container->dn;
	struct reg_key *keys = NULL;
	size_t n = 0;

	switch (format == FORMAT_AUTO ? format_by_text(text, len) : format) {
	case FORMAT_LDIF:
		return exchange_from_ldif(&x->content, x->a, text, len, container, err);
	case FORMAT_REG:
	case FORMAT_REG8:
		if (regfile_parse(&keys, &n, x->a, text, len, err) < 0)
			return -1;
		return exchange_from_keys(&x->content, x->a, keys, n, container, x->e->location, err);
	default:
		return err_set(err, ERR_UNSUPPORTED, "neither a registry file nor LDIF ('ipsecpol exec FILE' runs a script)");
	}
}

static int content_load(struct import *x, const struct netsh_args *a, const char *file, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	int rc = exchange_file_read(file, &text, &len, err);

	if (rc == 0)
		rc = content_read(x, arg_format(a), text, len, err);
	if (rc == 0 && x->content.n == 0 && x->content.n_gpos == 0 && !x->content.active)
		rc = err_set(err, ERR_ABSENT, "no policies in it");
	free(text);
	return rc;
}

static bool policy_known(const struct import *x, const char *dn)
{
	const char *leaf = exchange_leaf(x->a, dn), *brace = leaf ? strchr(leaf, '{') : NULL;
	const struct ipsec_object *o;
	struct guid id;

	for (size_t i = 0; i < x->content.n; i++)
		if (dn_equal(x->content.entries[i].dn, dn))
			return true;
	if (!brace || !guid_parse(&id, brace, strlen(brace)))
		return false;
	o = container_find_id(x->e->container, OBJ_POLICY, &id);
	return o && !o->damage;
}

/* What is to be assigned has to be there. */
static int assigned_check(const struct import *x, struct err *err)
{
	const struct exchange_content *c = &x->content;
	const char *missing = x->e->location != LOCATION_DOMAIN && c->active && !policy_known(x, c->active) ? c->active : NULL;

	for (size_t i = 0; !missing && x->e->location == LOCATION_DOMAIN && i < c->n_gpos; i++)
		if (!policy_known(x, c->gpos[i].policy))
			missing = c->gpos[i].policy;
	if (missing && x->assign)
		return err_set(err, ERR_ABSENT, "the assigned policy '%.200s' is neither in the file nor in the store", missing);
	return 0;
}

/* It was merged: under which name does the store have it? */
static const struct ipsec_object *policy_merged(const struct import *x, const char *dn)
{
	const char *leaf = exchange_leaf(x->a, dn), *brace = leaf ? strchr(leaf, '{') : NULL;
	struct guid id;

	if (!brace || !guid_parse(&id, brace, strlen(brace)))
		return NULL;
	return container_find_id(x->e->container, OBJ_POLICY, &id);
}

static void active_take(struct import *x, FILE *out)
{
	const struct ipsec_object *o = policy_merged(x, x->content.active);

	if (!o)
		return;
	if (!x->e->active || !dn_equal(x->e->active, o->dn)) {
		x->e->active = o->dn;
		x->e->active_changed = true;
	}
	fputs("assigned, as in the file: '", out);
	put_name(o->name, out);
	fputs("'\n", out);
}

static void assignments_tell(struct import *x, FILE *out)
{
	const struct exchange_content *c = &x->content;
	bool domain = x->e->location == LOCATION_DOMAIN;

	if (!x->assign && (domain ? c->n_gpos > 0 : c->active != NULL))
		fputs("what the file assigns was not assigned (assignments=yes does it)\n", out);
	if (!domain && c->n_gpos)
		fputs("what GPOs assign has no place in this store\n", out);
	if (!domain && x->assign && c->active)
		active_take(x, out);
}

/* 1: there are some. */
static int missing_tell(const struct exchange_content *c, struct err *err)
{
	char list[300] = "";
	size_t len = 0, n = 0, n_named = 0;

	for (size_t i = 0; i < c->n_gpos; i++) {
		const struct exchange_gpo *g = &c->gpos[i];
		bool named = strcmp(g->gpo, g->name) != 0;

		n += g->missing;
		if (!g->missing || len > sizeof(list) - 160)
			continue;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s'%.100s'%s%.38s", n_named++ ? ", " : "", g->name,
		    named ? " " : "", named ? g->gpo : "");
	}
	if (!n)
		return 0;
	if (n_named < n)
		snprintf(list + len, sizeof(list) - len, " and %zu more", n - n_named);
	err_set(err, ERR_ABSENT, "imported, but %s %s %s not exist any more: what %s assigned was not put back",
	    n == 1 ? "GPO" : "GPOs", list, n == 1 ? "does" : "do", n == 1 ? "it" : "they");
	return 1;
}

static void import_tell(const struct import *x, const struct exchange_report *r, FILE *out)
{
	if (x->content.from)
		fprintf(out, "from %s: ", x->content.from);
	fprintf(out, "%zu %s new, %zu replaced", r->n_added, r->n_added == 1 ? "object" : "objects", r->n_replaced);
	if (r->n_orphans)
		fprintf(out, ", %zu of no policy left out", r->n_orphans);
	putc('\n', out);
}

/* What needs the directory comes first: after the merge nothing fails but memory. */
static int import_merge(struct import *x, struct backend *b, struct exchange_report *report, struct err *err)
{
	struct store_edit *e = x->e;
	size_t n_before = e->n_gpos;

	if (e->location == LOCATION_DOMAIN && x->assign && exchange_gpos_restore(e, b, &x->content, err) < 0)
		return -1;
	if (exchange_merge(report, e->container, &x->content, err) < 0) {
		e->n_gpos = n_before;
		return -1;
	}
	for (size_t i = n_before; i < e->n_gpos; i++)
		e->gpos[i].policy = policy_merged(x, e->gpos[i].policy)->dn;
	return 0;
}

int exchange_import(struct store_edit *e, struct backend *b, const struct netsh_args *a, FILE *out, struct err *err)
{
	struct import x = { .a = arena_new(0), .e = e };
	const char *file = netsh_arg(a, "file")->text;
	struct exchange_report report = { 0 };
	int rc = -1;

	if (!x.a)
		return err_nomem(err);
	if (!arg_given(a, "assignments", &x.assign))
		x.assign = e->location != LOCATION_DOMAIN;
	if (content_load(&x, a, file, err) < 0 || assigned_check(&x, err) < 0 || import_merge(&x, b, &report, err) < 0) {
		err_prefix(err, "%.200s", file);
	} else {
		import_tell(&x, &report, out);
		assignments_tell(&x, out);
		rc = missing_tell(&x.content, err);
	}
	arena_free(x.a);
	return rc;
}
