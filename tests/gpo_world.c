#include "gpo_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <cmocka.h>
#include <jansson.h>

#include "agent/dir_backend.h"
#include "gpo/memory.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/rd.h"

/* ---- the entries ---- */

static struct dir_entry *find(const struct world *w, const char *dn)
{
	for (size_t i = 0; i < w->n_entries; i++)
		if (dn_equal(w->entries[i].dn, !strcmp(dn, W_ROOT) ? "" : dn))
			return &w->entries[i];
	return NULL;
}

static void put_sid(struct wr *wr, const char *text)
{
	struct sid sid;

	assert_true(sid_read(&sid, text));
	wr_u8(wr, 1);
	wr_u8(wr, sid.n_sub);
	wr_bytes(wr, sid.authority, 6);
	for (unsigned i = 0; i < sid.n_sub; i++)
		wr_u32(wr, sid.sub[i]);
}

static void put_ace(struct wr *wr, const char *text)
{
	static const uint8_t apply[16] = { 0x8f, 0xfd, 0xac, 0xed, 0xb3, 0xff, 0xd1, 0x11,
		0xb4, 0x1d, 0x00, 0xa0, 0xc9, 0x68, 0xf9, 0x39 };
	size_t start = wr->len, len;

	wr_u8(wr, text[0] == 'A' ? 5 : 6);
	wr_u8(wr, 0);
	wr_u16(wr, 0);
	wr_u32(wr, 0x100);
	wr_u32(wr, 1);
	wr_bytes(wr, apply, 16);
	put_sid(wr, text + 2);
	len = wr->len - start;
	wr->p[start + 2] = (uint8_t)len;
}

static void put_sd(struct wr *wr, const char *text)
{
	char copy[512], *save = NULL;
	unsigned n = 0;
	size_t acl;

	wr_u8(wr, 1);
	wr_u8(wr, 0);
	wr_u16(wr, 0x8004);
	wr_bytes(wr, (uint8_t[12]){ 0 }, 12);
	wr_u32(wr, 20);
	acl = wr->len;
	wr_bytes(wr, (uint8_t[8]){ 4 }, 8);
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *ace = strtok_r(copy, " ", &save); ace; ace = strtok_r(NULL, " ", &save), n++)
		put_ace(wr, ace);
	wr->p[acl + 2] = (uint8_t)(wr->len - acl);
	wr->p[acl + 3] = (uint8_t)((wr->len - acl) >> 8);
	wr->p[acl + 4] = (uint8_t)n;
}

static void add_value(struct world *w, struct dir_entry *e, const char *name, const void *p, size_t len)
{
	struct dir_attr *attr = (struct dir_attr *)entry_attr(e, name);

	if (!attr) {
		e->attrs = arena_grow(w->a, e->attrs, e->n_attrs, sizeof(*attr));
		assert_non_null(e->attrs);
		attr = &e->attrs[e->n_attrs++];
		*attr = (struct dir_attr){ .name = arena_strdup(w->a, name) };
	}
	attr->values = arena_grow(w->a, attr->values, attr->n_values, sizeof(*attr->values));
	assert_non_null(attr->values);
	attr->values[attr->n_values].p = (uint8_t *)arena_strndup(w->a, "", 0);
	if (len) {
		uint8_t *copy = arena_zalloc(w->a, len + 1, 1);

		memcpy(copy, p, len);
		attr->values[attr->n_values].p = copy;
	}
	attr->values[attr->n_values++].len = len;
}

static void add_text(struct world *w, struct dir_entry *e, const char *name, const char *value)
{
	struct wr wr = { 0 };

	if (!strcmp(name, "objectSid") || !strcmp(name, "tokenGroups"))
		put_sid(&wr, value);
	else if (!strcmp(name, "nTSecurityDescriptor"))
		put_sd(&wr, value);
	else
		wr_bytes(&wr, value, strlen(value));
	assert_false(wr.bad);
	add_value(w, e, name, wr.p, wr.len);
	free(wr.p);
}

void world_add(struct world *w, const char *dn, ...)
{
	struct dir_entry *e;
	const char *name;
	va_list ap;

	assert_null(find(w, dn));
	w->entries = arena_grow(w->a, w->entries, w->n_entries, sizeof(*e));
	assert_non_null(w->entries);
	e = &w->entries[w->n_entries++];
	*e = (struct dir_entry){ .dn = arena_strdup(w->a, !strcmp(dn, W_ROOT) ? "" : dn) };
	va_start(ap, dn);
	while ((name = va_arg(ap, const char *)))
		add_text(w, e, name, va_arg(ap, const char *));
	va_end(ap);
}

void world_del(struct world *w, const char *dn)
{
	struct dir_entry *e = find(w, dn);

	assert_non_null(e);
	*e = w->entries[--w->n_entries];
}

static void drop_attr(struct dir_entry *e, const char *name)
{
	for (size_t i = 0; i < e->n_attrs; i++)
		if (!strcasecmp(e->attrs[i].name, name))
			e->attrs[i--] = e->attrs[--e->n_attrs];
}

void world_set(struct world *w, const char *dn, const char *name, const char *value)
{
	struct dir_entry *e = find(w, dn);

	assert_non_null(e);
	drop_attr(e, name);
	if (value)
		add_text(w, e, name, value);
}

void world_put(struct world *w, const char *dn, const char *name, const char *value)
{
	struct dir_entry *e = find(w, dn);

	assert_non_null(e);
	add_text(w, e, name, value);
}

void world_set_bytes(struct world *w, const char *dn, const char *name, const void *p, size_t len)
{
	struct dir_entry *e = find(w, dn);

	assert_non_null(e);
	drop_attr(e, name);
	add_value(w, e, name, p, len);
}

void world_hide(struct world *w, const char *dn)
{
	struct dir_entry *e = find(w, dn);

	assert_non_null(e);
	e->n_attrs = 0;
}

struct world *world_new(bool ad)
{
	struct arena *a = arena_new(0);
	struct world *w = arena_zalloc(a, 1, sizeof(*w));

	w->a = a;
	w->ad = ad;
	if (ad)
		world_add(w, W_ROOT, "defaultNamingContext", W_BASE, "configurationNamingContext", W_CONF,
		    "supportedCapabilities", "1.2.840.113556.1.4.1670",
		    "supportedCapabilities", "1.2.840.113556.1.4.800",
		    "tokenGroups", "S-1-1-0", "tokenGroups", "S-1-5-11", "tokenGroups", W_DOM "-515",
		    "tokenGroups", W_DOM "-1103", NULL);
	else
		world_add(w, W_ROOT, "objectClass", "OpenLDAProotDSE", "namingContexts", "cn=log",
		    "namingContexts", "dc=corp,dc=example", NULL);
	return w;
}

void world_free(struct world *w)
{
	snapshot_free(w->snapshot);
	arena_free(w->a);
}

/* ---- the example ---- */

void world_policy(struct world *w, const char *n, const char *name)
{
	char dn[5][200];
	static const char *const class[] = { "ipsecPolicy", "ipsecISAKMPPolicy", "ipsecNFA",
		"ipsecNegotiationPolicy", "ipsecFilter" };

	for (int i = 0; i < 5; i++)
		snprintf(dn[i], sizeof(dn[i]), "CN=%s{72385230-70FA-11D1-864C-14A30000000%s}," W_IPS, class[i], n);
	world_add(w, dn[0], "objectClass", class[0], "ipsecName", name, "ipsecISAKMPReference", dn[1],
	    "ipsecNFAReference", dn[2], NULL);
	world_add(w, dn[1], "objectClass", class[1], NULL);
	world_add(w, dn[2], "objectClass", class[2], "ipsecNegotiationPolicyReference", dn[3],
	    "ipsecFilterReference", dn[4], NULL);
	world_add(w, dn[3], "objectClass", class[3], NULL);
	world_add(w, dn[4], "objectClass", class[4], NULL);
}

void world_gpo(struct world *w, const char *dn, const char *name, const char *policy_n)
{
	char ipsec[300], policy[200];

	snprintf(ipsec, sizeof(ipsec), W_IPSEC_OF("%s"), dn);
	snprintf(policy, sizeof(policy), W_OBJ("ipsecPolicy", "%s"), policy_n);
	world_add(w, dn, "objectClass", "groupPolicyContainer", "displayName", name, "flags", "0",
	    "versionNumber", "0", "gPCFunctionalityVersion", "2", "gPCMachineExtensionNames", W_CSE,
	    w->ad ? "nTSecurityDescriptor" : NULL, W_AGP, NULL);
	world_add(w, ipsec, "objectClass", "ipsecPolicy", "ipsecOwnersReference", policy, NULL);
}

struct world *world_example(bool ad)
{
	struct world *w = world_new(ad);

	world_add(w, W_BASE, "objectClass", "domainDNS", "gPLink", W_LINK("1", "0"), NULL);
	world_add(w, "OU=Servers," W_BASE, "objectClass", "organizationalUnit", "gPLink", W_LINK("2", "0"), NULL);
	world_add(w, "OU=Web,OU=Servers," W_BASE, "objectClass", "organizationalUnit", NULL);
	world_add(w, "OU=Web2,OU=Servers," W_BASE, "objectClass", "organizationalUnit", NULL);
	world_add(w, W_HOST, "objectClass", "computer", "sAMAccountName", "HOST1$",
	    "objectSid", W_DOM "-1103", "primaryGroupID", "515", NULL);
	world_add(w, "CN=HOST2,OU=Web,OU=Servers," W_BASE, "objectClass", "computer", "sAMAccountName", "HOST2$",
	    "objectSid", W_DOM "-1104", "primaryGroupID", "515", NULL);
	world_add(w, "CN=Branch,CN=Sites," W_CONF, "objectClass", "site", "gPLink", W_LINK("3", "0"), NULL);
	world_add(w, "CN=Subnets,CN=Sites," W_CONF, "objectClass", "subnetContainer", NULL);
	world_add(w, "CN=10.77.0.64/26,CN=Subnets,CN=Sites," W_CONF, "objectClass", "subnet",
	    "cn", "10.77.0.64/26", "siteObject", "CN=Branch,CN=Sites," W_CONF, NULL);
	world_add(w, "CN=10.0.0.0/8,CN=Subnets,CN=Sites," W_CONF, "objectClass", "subnet",
	    "cn", "10.0.0.0/8", "siteObject", "CN=Elsewhere,CN=Sites," W_CONF, NULL);
	world_policy(w, "1", "domain policy");
	world_policy(w, "2", "server policy");
	world_policy(w, "3", "branch policy");
	world_gpo(w, W_GPO("1"), "gpo 1", "1");
	world_gpo(w, W_GPO("2"), "gpo 2", "2");
	world_gpo(w, W_GPO("3"), "gpo 3", "3");
	return w;
}

/* ---- answers ---- */

static bool wanted(const struct dir_query *q, const char *name, bool ad)
{
	if (ad && !strcasecmp(name, "nTSecurityDescriptor") && q->sd_flags != 4)
		return false;
	if (!strcasecmp(name, "tokenGroups") && q->scope != DIR_BASE)
		return false;
	for (size_t i = 0; q->attrs[i]; i++)
		if (!strcasecmp(q->attrs[i], name))
			return true;
	return false;
}

static void answer_add(struct world *w, struct dir_entry **list, size_t *n, const struct dir_entry *e,
    const struct dir_query *q)
{
	struct dir_entry *out;

	*list = arena_grow(w->a, *list, *n, sizeof(**list));
	out = &(*list)[(*n)++];
	out->dn = e->dn;
	out->n_attrs = 0;
	out->attrs = arena_zalloc(w->a, e->n_attrs, sizeof(*out->attrs));
	for (size_t i = 0; i < e->n_attrs; i++)
		if (wanted(q, e->attrs[i].name, w->ad))
			out->attrs[out->n_attrs++] = e->attrs[i];
}

static bool is_elsewhere(const struct world *w, const char *dn)
{
	return w->elsewhere && (*w->elsewhere ? dn_below(dn, w->elsewhere) : !*dn);
}

static bool in_scope(const struct world *w, const struct dir_entry *e, const struct dir_query *q)
{
	const char *parent = dn_parent(e->dn);

	if (!*e->dn || is_elsewhere(w, e->dn))
		return false;
	if (q->scope == DIR_ONE)
		return parent && dn_equal(parent, q->base);
	/* AD: a search does not leave its naming context. */
	if (w->ad && dn_below(e->dn, W_CONF) && !dn_below(q->base, W_CONF))
		return false;
	return dn_below(e->dn, q->base);
}

static enum dir_outcome answer(struct world *w, const struct dir_query *q, struct dir_entry **list, size_t *n)
{
	struct dir_filter *f;
	bool exists = false;
	struct err err;

	assert_int_equal(filter_parse(&f, w->a, q->filter, &err), 0);
	if (w->refuse && dn_equal(q->base, w->refuse))
		return DIR_DENIED;
	if (is_elsewhere(w, q->base))
		return DIR_ELSEWHERE;
	for (size_t i = 0; i < w->n_entries; i++) {
		const struct dir_entry *e = &w->entries[i];
		const char *key = dn_key(w->a, e->dn);

		exists = exists || dn_below(e->dn, q->base);
		if (q->scope == DIR_BASE) {
			if (!dn_equal(e->dn, q->base))
				continue;
			if (!e->n_attrs || filter_match(f, e, key, w->a) ||
			    (!*e->dn && !strcmp(q->filter, "(objectClass=*)")))
				answer_add(w, list, n, e, q);
			return DIR_OK;
		}
		if (e->n_attrs && in_scope(w, e, q) && filter_match(f, e, key, w->a))
			answer_add(w, list, n, e, q);
	}
	return exists && q->scope != DIR_BASE && *q->base ? DIR_OK : DIR_ABSENT;
}

static void check_query(const struct world *w, const struct dir_query *q)
{
	/* Nobody asks twice, and each kind of server in its own words. */
	assert_null(snapshot_search(w->snapshot, q));
	assert_null(strstr(q->filter, w->ad ? "entryDN=" : "distinguishedName="));
	assert_true(!strcmp(q->attrs[0], "objectClass") || !strcmp(q->attrs[0], "NetLogon"));
	assert_true(q->sd_flags == 0 || (w->ad && q->sd_flags == 4));
}

/* false: who's memory is of no use. */
static bool recall(struct world *w, const struct gp_subject *who, const struct dir_query *q, struct err *err)
{
	struct dir_search answered;
	struct gp_recalled got;
	struct dir_query next;
	struct gp_recall *r;
	int rc = gp_recall_begin(&r, w->snapshot, who, q, w->a, err);

	assert_true(rc >= 0);
	if (rc == 0)
		return false;
	while (gp_recall_next(&next, r)) {
		answered = (struct dir_search){ .q = next };
		check_query(w, &next);
		answered.outcome = answer(w, &next, &answered.entries, &answered.n_entries);
		assert_int_equal(gp_recall_add(r, &answered, err), 0);
		w->n_asked++;
	}
	gp_recall_result(&got, r);
	w->n_read += got.n_read;
	w->n_kept += got.n_kept;
	if (got.odd)
		w->odd = got.odd;
	assert_int_equal(snapshot_add(w->snapshot, q, got.answer.outcome, got.answer.entries, got.answer.n_entries, err), 0);
	return true;
}

int world_run(struct world *w, const struct gp_subject *who, struct err *err)
{
	struct arena *a = arena_new(0);
	struct dir_query q;
	int r;

	snapshot_free(w->snapshot);
	w->snapshot = snapshot_new();
	assert_int_equal(snapshot_set_server(w->snapshot, "ldap://world", NULL, err), 0);
	w->n_asked = w->n_pings = w->n_read = w->n_kept = 0;
	w->odd = NULL;
	while ((r = gp_next_query(&q, w->snapshot, who, a, err)) == 1) {
		struct dir_entry *list = NULL;
		size_t n = 0;
		enum dir_outcome outcome;

		if (recall(w, who, &q, err))
			continue;
		check_query(w, &q);
		assert_true(w->n_asked < 5000);
		outcome = answer(w, &q, &list, &n);
		assert_int_equal(snapshot_add(w->snapshot, &q, outcome, list, n, err), 0);
		if (strcmp(q.attrs[0], "NetLogon"))
			w->n_asked++;
		else
			w->n_pings++;
	}
	arena_free(a);
	return r;
}

char *world_rsop(struct world *w, const struct gp_subject *who, bool wmi_allow, struct err *err)
{
	const struct gp_options o = { .wmi_allow = wmi_allow };
	struct gp_rsop *rsop;
	char *text = NULL;
	size_t len;
	FILE *f;

	if (world_run(w, who, err) < 0 || gp_resolve(&rsop, w->snapshot, who, &o, err) < 0)
		return NULL;
	f = open_memstream(&text, &len);
	assert_int_equal(rsop_write(rsop, f), 0);
	fclose(f);
	rsop_free(rsop);
	return text;
}

char *world_summary(struct world *w, const struct gp_subject *who, bool wmi_allow, struct err *err)
{
	const struct gp_options o = { .wmi_allow = wmi_allow };
	char *text = arena_strdup(w->a, "");
	struct gp_rsop *r;

	if (world_run(w, who, err) < 0 || gp_resolve(&r, w->snapshot, who, &o, err) < 0)
		return arena_printf(w->a, "error %s: %s", err_code_name(err->code), err->msg);
	for (size_t i = r->n_gpos; i-- > 0;)
		text = arena_printf(w->a, "%s%x:%s%s ", text, r->gpos[i].id.b[15], r->gpos[i].enforced ? "enforced " : "",
		    gp_verdict_name(r->gpos[i].verdict));
	if (r->assignment == GP_ASSIGNED)
		text = arena_printf(w->a, "%s=> %s", text, r->policy_name);
	else if (r->assignment == GP_UNKNOWN)
		text = arena_printf(w->a, "%s=> %s: %s", text, err_code_name(r->why), r->reason);
	else
		text = arena_printf(w->a, "%s=> none", text);
	rsop_free(r);
	return text;
}

char *world_json(struct world *w, const struct gp_subject *who, struct err *err)
{
	const struct gp_options o = { 0 };
	struct gp_rsop *r;
	json_t *json;
	char *text;

	if (world_run(w, who, err) < 0 || gp_resolve(&r, w->snapshot, who, &o, err) < 0)
		return strdup(err->msg);
	json = rsop_json(r);
	assert_non_null(json);
	text = json_dumps(json, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	json_decref(json);
	rsop_free(r);
	return text;
}

void world_hints(struct world *w, struct gp_subject *who)
{
	const char *const *hints;
	struct err err;

	assert_int_equal(gp_hints(&hints, &who->n_hints, w->snapshot, who, w->a, &err), 0);
	who->hints = hints;
}
