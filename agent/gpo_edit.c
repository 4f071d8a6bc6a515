#include "agent/gpo_edit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/directory.h"
#include "agent/session.h"
#include "schema/arena.h"
#include "schema/change.h"
#include "schema/err.h"
#include "schema/ident.h"

#define MAX_ATTEMPTS	6	/* against others who assign at the same time */
#define ANY		"(objectClass=*)"

/* ---- reading ---- */

static int read_entry(const struct dir_entry **ret, struct directory *d, struct dir_snapshot *s, const char *dn,
    const char *const *attrs, struct err *err)
{
	const struct dir_query q = { .base = dn, .scope = DIR_BASE, .filter = ANY, .attrs = attrs };
	enum dir_state state;

	if (directory_search(d, &q, s, err) < 0)
		return -1;
	*ret = snapshot_entry(s, dn, &state);
	if (*ret || state == DIR_STATE_ABSENT)
		return 0;
	return err_set(err, ERR_DENIED, "'%s' may not be read", dn);
}

/* Text of a single value; NULL: none. */
static int read_text(const char **ret, const struct dir_entry *e, const char *attr, struct err *err)
{
	const struct dir_value *v = entry_value(e, attr);

	if (v && strlen((const char *)v->p) != v->len)
		return err_set(err, ERR_FORMAT, "'%s': %s holds a zero byte", e->dn, attr);
	*ret = v ? (const char *)v->p : NULL;
	return 0;
}

/* A GPO and its CN=IPSEC, as they are now. */
struct gpo_state {
	struct dir_snapshot	*s;
	struct arena		*a;
	const struct dir_entry	*gpo, *ipsec;	/* ipsec NULL: none */
	const char		*dn, *ipsec_dn;
	const char		*extensions;	/* NULL: none */
	bool			 has;		/* ours among them */
	int64_t			 version;
};

static void state_free(struct gpo_state *st)
{
	snapshot_free(st->s);
	arena_free(st->a);
	*st = (struct gpo_state){ 0 };
}

static int state_read(struct gpo_state *st, struct directory *d, const char *dn, struct err *err)
{
	static const char *const gpo_attrs[] = { "objectClass", "versionNumber", "gPCMachineExtensionNames", NULL };
	static const char *const ipsec_attrs[] = { "objectClass", "ipsecName", "description", "ipsecOwnersReference", NULL };

	*st = (struct gpo_state){ .s = snapshot_new(), .a = arena_new(0), .dn = dn };
	st->ipsec_dn = st->a ? arena_printf(st->a, "CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,%s", dn) : NULL;
	if (!st->s || !st->ipsec_dn)
		return err_nomem(err);
	if (read_entry(&st->gpo, d, st->s, dn, gpo_attrs, err) < 0)
		return -1;
	if (!st->gpo || !entry_has_class(st->gpo, "groupPolicyContainer"))
		return err_set(err, ERR_ABSENT, "there is no GPO '%s'", dn);
	if (read_entry(&st->ipsec, d, st->s, st->ipsec_dn, ipsec_attrs, err) < 0)
		return -1;
	if (read_text(&st->extensions, st->gpo, "gPCMachineExtensionNames", err) < 0 ||
	    gpo_extensions_edit(NULL, &st->has, st->a, st->extensions, true, err) < 0)
		return err_prefix(err, "GPO '%s'", dn);
	if (entry_int(st->gpo, "versionNumber", &st->version) < 0 || st->version < INT32_MIN || st->version > UINT32_MAX)
		return err_set(err, ERR_FORMAT, "GPO '%s': versionNumber '%s' is no 32 bit number", dn,
		    entry_text(st->gpo, "versionNumber"));
	return 0;
}

/* ---- writing ---- */

static const struct dir_attr *attr_or_none(const struct dir_entry *e, const char *name)
{
	static const struct dir_attr none;
	const struct dir_attr *attr = entry_attr(e, name);

	return attr ? attr : &none;
}

/* value NULL: none. */
static int attr_text(struct dir_attr *ret, struct arena *a, const char *name, const char *value, struct err *err)
{
	*ret = (struct dir_attr){ .name = name };
	if (!value)
		return 0;
	ret->values = arena_zalloc(a, 1, sizeof(*ret->values));
	if (!ret->values)
		return err_nomem(err);
	ret->values[0] = (struct dir_value){ (const uint8_t *)value, strlen(value) };
	ret->n_values = 1;
	return 0;
}

static int mod_text(struct dir_mod *ret, struct arena *a, const struct dir_entry *e, const char *name, const char *value,
    struct err *err)
{
	*ret = (struct dir_mod){ .kind = MOD_REPLACE, .was = *attr_or_none(e, name) };
	ret->was.name = name;
	return attr_text(&ret->attr, a, name, value, err);
}

/* The commit point of an assignment: agents go by the extension, and members of Windows look again at
 * a GPO whose version has changed.  Both in one request. */
static int write_gpo(struct directory *d, const struct gpo_state *st, bool with, struct err *err)
{
	struct dir_mod mods[2];
	const struct dir_change c = { .kind = CHANGE_MODIFY, .dn = st->dn, .mods = mods, .n_mods = 2 };
	const char *extensions, *version;

	if (gpo_extensions_edit(&extensions, NULL, st->a, st->extensions, with, err) < 0)
		return -1;
	version = arena_printf(st->a, "%" PRId32, gpo_version_next((int32_t)(uint32_t)st->version));
	if (!version)
		return err_nomem(err);
	if (mod_text(&mods[0], st->a, st->gpo, "gPCMachineExtensionNames", extensions, err) < 0 ||
	    mod_text(&mods[1], st->a, st->gpo, "versionNumber", version, err) < 0)
		return -1;
	return directory_change(d, &c, err);
}

static int add_container(struct directory *d, struct arena *a, const char *dn, const char *cn, struct err *err)
{
	struct dir_attr attrs[2];
	const struct dir_change c = { .kind = CHANGE_ADD, .dn = dn, .attrs = attrs, .n_attrs = 2 };

	if (attr_text(&attrs[0], a, "objectClass", "container", err) < 0 || attr_text(&attrs[1], a, "cn", cn, err) < 0)
		return -1;
	/* That somebody else has just made it is as good. */
	return directory_change(d, &c, err) < 0 && err->code != ERR_BUSY ? -1 : 0;
}

/* Nobody says who makes the containers between a GPO and its CN=IPSEC: whoever needs them. */
static int make_containers(struct directory *d, const struct gpo_state *st, struct err *err)
{
	static const char *const names[] = { "Machine", "Microsoft", "Windows" };
	static const char *const attrs[] = { "objectClass", NULL };
	const struct dir_entry *e;
	const char *dn = st->dn;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		dn = arena_printf(st->a, "CN=%s,%s", names[i], dn);
		if (!dn)
			return err_nomem(err);
		if (read_entry(&e, d, st->s, dn, attrs, err) < 0 || (!e && add_container(d, st->a, dn, names[i], err) < 0))
			return -1;
	}
	return 0;
}

static int add_ipsec(struct directory *d, const struct gpo_state *st, const struct gpo_target *to, struct err *err)
{
	const struct { const char *name, *value; } all[] = {
		{ "objectClass", "ipsecPolicy" }, { "cn", "IPSEC" }, { "ipsecOwnersReference", to->dn },
		{ "ipsecName", to->name }, { "description", to->description },
	};
	struct dir_attr attrs[5];
	struct dir_change c = { .kind = CHANGE_ADD, .dn = st->ipsec_dn, .attrs = attrs };

	if (make_containers(d, st, err) < 0)
		return -1;
	for (size_t i = 0; i < 5; i++)
		if (all[i].value && *all[i].value && attr_text(&attrs[c.n_attrs++], st->a, all[i].name, all[i].value, err) < 0)
			return -1;
	return directory_change(d, &c, err);
}

static int modify_ipsec(struct directory *d, const struct gpo_state *st, const struct gpo_target *to, struct err *err)
{
	const char *name = to->name && *to->name ? to->name : NULL;
	const char *description = to->description && *to->description ? to->description : NULL;
	struct dir_mod mods[3];
	const struct dir_change c = { .kind = CHANGE_MODIFY, .dn = st->ipsec_dn, .mods = mods, .n_mods = 3 };

	if (mod_text(&mods[0], st->a, st->ipsec, "ipsecOwnersReference", to->dn, err) < 0 ||
	    mod_text(&mods[1], st->a, st->ipsec, "ipsecName", name, err) < 0 ||
	    mod_text(&mods[2], st->a, st->ipsec, "description", description, err) < 0)
		return -1;
	return directory_change(d, &c, err);
}

static bool text_is(const struct dir_entry *e, const char *attr, const char *want)
{
	const char *is = entry_text(e, attr);

	return !strcmp(is ? is : "", want ? want : "");
}

static bool points_to(const struct gpo_state *st, const struct gpo_target *to)
{
	const struct dir_attr *refs = st->ipsec ? entry_attr(st->ipsec, "ipsecOwnersReference") : NULL;

	return refs && refs->n_values == 1 && dn_equal((const char *)refs->values[0].p, to->dn) &&
	    text_is(st->ipsec, "ipsecName", to->name) && text_is(st->ipsec, "description", to->description);
}

/* Is the list of extensions as it is to be, our tool included? */
static int extension_settled(const struct gpo_state *st, bool with, struct err *err)
{
	const char *want;

	if (gpo_extensions_edit(&want, NULL, st->a, st->extensions, with, err) < 0)
		return -1;
	return with ? st->extensions && !strcmp(st->extensions + strspn(st->extensions, " "), want) : !st->has;
}

/* The object first, what makes agents look at it last.  1: nothing was left to do. */
static int assign_once(struct directory *d, const struct gpo_state *st, const struct gpo_target *to, bool *moved, struct err *err)
{
	int settled = extension_settled(st, true, err);

	if (settled < 0)
		return -1;
	if (!points_to(st, to)) {
		if (st->ipsec ? modify_ipsec(d, st, to, err) < 0 : add_ipsec(d, st, to, err) < 0)
			return -1;
		*moved = true;
	}
	if (settled && !*moved)
		return 1;
	if (write_gpo(d, st, true, err) < 0)
		return -1;
	*moved = false;
	return 0;
}

/* The other way round: who still sees the extension would find its pointer dangling. */
static int unassign_once(struct directory *d, const struct gpo_state *st, struct err *err)
{
	struct dir_change c = { .kind = CHANGE_DELETE, .dn = st->ipsec_dn };
	struct dir_mod mod;

	if (!st->has && (!st->ipsec || !entry_attr(st->ipsec, "ipsecOwnersReference")))
		return 1;
	if (st->has && write_gpo(d, st, false, err) < 0)
		return -1;
	if (!st->ipsec || directory_change(d, &c, err) == 0 || err->code == ERR_ABSENT)
		return 0;
	if (err->code != ERR_DENIED && err->code != ERR_FORMAT)
		return -1;
	/* Some may write it who may not delete it. */
	c = (struct dir_change){ .kind = CHANGE_MODIFY, .dn = st->ipsec_dn, .mods = &mod, .n_mods = 1 };
	if (mod_text(&mod, st->a, st->ipsec, "ipsecOwnersReference", NULL, err) < 0)
		return -1;
	return directory_change(d, &c, err);
}

int gpo_assign(struct directory *d, const char *dn, const struct gpo_target *to, struct err *err)
{
	struct gpo_state st;
	bool moved = false;
	int rc;

	/* What others do in between is seen by looking once more: done is when nothing is left to do. */
	for (int i = 0; i < MAX_ATTEMPTS; i++) {
		rc = state_read(&st, d, dn, err);
		if (rc == 0)
			rc = to->dn ? assign_once(d, &st, to, &moved, err) : unassign_once(d, &st, err);
		state_free(&st);
		if (rc > 0)
			return 0;
		if (rc < 0 && err->code != ERR_BUSY)
			return -1;
	}
	return err_set(err, ERR_BUSY, "GPO '%s': somebody else changes its assignment all the time", dn);
}

int gpo_assigned(struct directory *d, const char *dn, const char **ret, struct arena *a, struct err *err)
{
	struct gpo_state st;
	const char *to = NULL;
	int rc = -1;

	if (state_read(&st, d, dn, err) < 0)
		goto out;
	rc = 0;
	if (!st.has || !st.ipsec)
		goto out;
	rc = read_text(&to, st.ipsec, "ipsecOwnersReference", err);
	if (rc < 0 || !to)
		goto out;
	*ret = arena_strdup(a, to);
	rc = *ret ? 1 : err_nomem(err);
out:
	state_free(&st);
	return rc;
}

/* ---- finding ---- */

/* RFC 4515: what may not stand in a filter as it is. */
static const char *filter_value(struct arena *a, const char *text)
{
	char *out = arena_zalloc(a, 3 * strlen(text) + 1, 1), *p = out;

	for (; out && *text; text++)
		if (strchr("*()\\", *text))
			p += sprintf(p, "\\%02x", (unsigned)*text);
		else
			*p++ = *text;
	return out;
}

/* One search of the GPOs' container; *ret lives in s. */
static int search_gpos(const struct dir_search **ret, struct directory *d, struct dir_snapshot *s, struct arena *a,
    const char *domain, enum dir_scope scope, const char *filter, const char *const *attrs, struct err *err)
{
	struct dir_query q = { .scope = scope, .filter = filter, .attrs = attrs };

	q.base = arena_printf(a, "CN=Policies,CN=System,%s", domain);
	if (!q.base || !q.filter)
		return err_nomem(err);
	if (directory_search(d, &q, s, err) < 0)
		return -1;
	*ret = snapshot_search(s, &q);
	if ((*ret)->outcome == DIR_OK)
		return 0;
	return err_set(err, (*ret)->outcome == DIR_ABSENT ? ERR_ABSENT : ERR_DENIED, "'%s' %s", q.base,
	    (*ret)->outcome == DIR_ABSENT ? "does not exist" : "may not be read");
}

static int several(const struct dir_search *found, const char *name, struct arena *a, struct err *err)
{
	char list[400] = "", *cn;
	size_t len = 0;

	for (size_t i = 0; i < found->n_entries && len < sizeof(list) - 45; i++) {
		cn = dn_rdn_value(a, found->entries[i].dn, "CN");
		len += (size_t)snprintf(list + len, sizeof(list) - len, " %.38s", cn ? cn : "?");
	}
	return err_set(err, ERR_FORMAT, "%zu GPOs have the name '%s': say which by its GUID:%s", found->n_entries, name, list);
}

static int find_by_name(const char **ret, struct directory *d, struct dir_snapshot *s, const char *domain, const char *name,
    struct arena *a, struct err *err)
{
	static const char *const attrs[] = { "objectClass", "displayName", NULL };
	const char *filter = filter_value(a, name);
	const struct dir_search *found;

	if (filter)
		filter = arena_printf(a, "(&(objectClass=groupPolicyContainer)(displayName=%s))", filter);
	if (search_gpos(&found, d, s, a, domain, DIR_ONE, filter, attrs, err) < 0)
		return -1;
	if (found->n_entries > 1)
		return several(found, name, a, err);
	*ret = found->n_entries ? found->entries[0].dn : NULL;
	return 0;
}

static int find_by_id(const char **ret, struct directory *d, struct dir_snapshot *s, const char *domain, const char *id,
    struct arena *a, struct err *err)
{
	static const char *const attrs[] = { "objectClass", NULL };
	const char *dn = arena_printf(a, "CN=%s,CN=Policies,CN=System,%s", id, domain);
	const struct dir_entry *e;

	if (!dn)
		return err_nomem(err);
	if (read_entry(&e, d, s, dn, attrs, err) < 0)
		return -1;
	*ret = e && entry_has_class(e, "groupPolicyContainer") ? dn : NULL;
	return 0;
}

int gpo_find(const char **ret, struct directory *d, const char *domain, const char *name, struct arena *a, struct err *err)
{
	struct dir_snapshot *s = snapshot_new();
	const char *dn = NULL;
	struct guid id;
	int rc = -1;

	if (!s)
		err_nomem(err);
	else if (!*name)
		err_set(err, ERR_FORMAT, "the name of a GPO is empty");
	else if (*name == '{' && guid_parse(&id, name, strlen(name)))
		rc = find_by_id(&dn, d, s, domain, name, a, err);
	else
		rc = find_by_name(&dn, d, s, domain, name, a, err);
	if (rc == 0 && !dn)
		rc = err_set(err, ERR_ABSENT, "there is no GPO '%s'", name);
	if (rc == 0) {
		dn = arena_strdup(a, dn);
		rc = dn ? 0 : err_nomem(err);
	}
	if (rc == 0)
		*ret = dn;
	snapshot_free(s);
	return rc;
}

/* "CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,<GPO>" -> the GPO. */
static int user_read(struct gpo_user *ret, struct directory *d, struct dir_snapshot *s, const char *dn, struct arena *a, struct err *err)
{
	static const char *const attrs[] = { "objectClass", "displayName", NULL };
	const struct dir_entry *e = NULL;
	const char *name = NULL, *cn;
	struct guid id;

	for (int i = 0; i < 4 && dn; i++)
		dn = dn_parent(dn);
	dn = dn ? arena_strdup(a, dn) : "";
	if (!dn)
		return err_nomem(err);
	if (*dn && read_entry(&e, d, s, dn, attrs, err) < 0 && err->code != ERR_DENIED)
		return -1;
	if (e)
		name = entry_text(e, "displayName");
	cn = dn_rdn_value(a, dn, "CN");
	cn = cn ? cn : dn;
	ret->name = name && *name ? arena_strdup(a, name) : cn;
	ret->gpo = guid_parse(&id, cn, strlen(cn)) ? cn : ret->name;
	return ret->name ? 0 : err_nomem(err);
}

int gpo_users(struct directory *d, const char *domain, const char *policy_dn, struct gpo_user **ret, size_t *ret_n, struct arena *a,
    struct err *err)
{
	static const char *const attrs[] = { "objectClass", NULL };
	struct dir_snapshot *s = snapshot_new(), *names = snapshot_new();
	const char *filter = filter_value(a, policy_dn);
	struct gpo_user *list;
	const struct dir_search *found;
	int rc = -1;

	if (filter)
		filter = arena_printf(a, "(&(objectClass=ipsecPolicy)(ipsecOwnersReference=%s))", filter);
	if (!s || !names) {
		err_nomem(err);
		goto out;
	}
	if (search_gpos(&found, d, s, a, domain, DIR_SUB, filter, attrs, err) < 0)
		goto out;
	list = arena_zalloc(a, found->n_entries, sizeof(*list));
	if (!list) {
		err_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < found->n_entries; i++)
		if (user_read(&list[i], d, names, found->entries[i].dn, a, err) < 0)
			goto out;
	*ret = list;
	*ret_n = found->n_entries;
	rc = 0;
out:
	snapshot_free(s);
	snapshot_free(names);
	return rc;
}
