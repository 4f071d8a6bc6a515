/* The store of a domain: CN=IP Security,CN=System of its naming context, over LDAP, with the rights of
 * whoever runs us.  The host's own keytab and certificate are not for editing, even where root
 * could use them: a computer account has no business with other computers' policies. */
#include "agent/session.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/conf.h"
#include "agent/directory.h"
#include "agent/domain_save.h"
#include "agent/gpo_edit.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

struct domain_store {
	struct backend	 base;
	struct arena	*arena;
	struct conf	 conf;		/* a copy without what is the host's; its texts are the caller's */
	const char	*uri, *domain;	/* domain NULL: what the directory says */
	const char	*hint;		/* where it says nothing, as OpenLDAP; NULL: its first one */
	struct domain_place at;
};

/* ---- connecting ---- */

static bool starts(const char *s, const char *with)
{
	return !strncasecmp(s, with, strlen(with));
}

/* want: no other one; hint: where the server has no opinion.  Either may be NULL. */
static const char *domain_context(const struct dir_entry *root, const char *want, const char *hint)
{
	const char *dn = entry_text(root, "defaultNamingContext");
	const struct dir_attr *attr = entry_attr(root, "namingContexts");

	if (dn)
		return !want || dn_equal(dn, want) ? dn : NULL;
	want = want ? want : hint;
	for (size_t i = 0; attr && i < attr->n_values; i++) {
		dn = (const char *)attr->values[i].p;
		if (dn_valid(dn) && (want ? dn_equal(dn, want) : dn_domain(dn) == dn))
			return dn;
	}
	return NULL;
}

/* What the server holds, and whether it is still there: one cheap question. */
static int find_context(struct domain_store *b, struct err *err)
{
	static const char *const attrs[] = { "objectClass", "defaultNamingContext", "namingContexts", NULL };
	const struct dir_query q = { .base = "", .scope = DIR_BASE, .filter = "(objectClass=*)", .attrs = attrs };
	const char *want = b->domain ? dn_from_domain(b->arena, b->domain) : NULL;
	const char *hint = b->hint ? dn_from_domain(b->arena, b->hint) : NULL, *dn;
	struct dir_snapshot *s = snapshot_new();
	const struct dir_entry *root;
	int rc = -1;

	if (!s) {
		err_nomem(err);
		goto out;
	}
	if (b->domain && !want) {
		err_set(err, ERR_FORMAT, "'%s' is not the name of a domain", b->domain);
		goto out;
	}
	if (directory_search(b->at.dir, &q, s, err) < 0)
		goto out;
	/* A file may be without. */
	root = snapshot_entry(s, "", NULL);
	dn = root ? domain_context(root, want, hint) : want ? want : hint;
	if (!dn) {
		err_set(err, ERR_ABSENT, "%s does not hold the domain %s", directory_server(b->at.dir), b->domain ? b->domain : b->hint ? b->hint : "");
		goto out;
	}
	b->at.nc = arena_strdup(b->arena, dn);
	b->at.dn = arena_printf(b->arena, "CN=IP Security,CN=System,%s", dn);
	if (!b->domain)
		b->domain = dn_to_domain(b->arena, dn);
	rc = b->at.nc && b->at.dn && b->domain ? 0 : err_nomem(err);
out:
	snapshot_free(s);
	return rc;
}

static int open_directory(struct domain_store *b, struct err *err)
{
	const struct directory_conf c = {
		.conf = &b->conf, .uri = b->uri, .site = b->conf.site,
		.keytab_fd = -1, .password_fd = -1, .tls_key_fd = -1,
	};

	b->at.dir = directory_open(&c, err);
	if (b->at.dir)
		return 0;
	/* The same of every server that was tried. */
	if (strstr(err->msg, "run kinit"))
		err_set(err, ERR_DENIED, "no Kerberos ticket: run kinit as somebody who may edit the policies of the domain");
	return -1;
}

/* A server ends connections on which nothing happens (AD after 15 minutes). */
static int domain_connect(struct domain_store *b, struct err *err)
{
	if (b->at.dir && find_context(b, err) == 0)
		return 0;
	if (b->at.dir && err->code != ERR_OFFLINE)
		return -1;
	directory_close(b->at.dir);
	b->at.dir = NULL;
	if (open_directory(b, err) < 0)
		return -1;
	return find_context(b, err);
}

/* ---- loading ---- */

static int read_container(const struct dir_search **ret, struct domain_store *b, struct dir_snapshot *s, struct err *err)
{
	/* Not by class: of objects that may not be read AD shows the name alone, and none has a class then. */
	static const char *const attrs[] = { "objectClass", "cn", "ipsecName", "description", "ipsecID", "ipsecDataType",
		"ipsecData", "ipsecOwnersReference", "ipsecISAKMPReference", "ipsecNFAReference",
		"ipsecNegotiationPolicyReference", "ipsecFilterReference", "iPSECNegotiationPolicyType",
		"iPSECNegotiationPolicyAction", "whenChanged", NULL };
	struct dir_query q = { .base = b->at.dn, .scope = DIR_BASE, .filter = "(objectClass=*)", .attrs = attrs };
	enum dir_state state;

	if (directory_search(b->at.dir, &q, s, err) < 0)
		return -1;
	snapshot_entry(s, b->at.dn, &state);
	b->at.missing = state == DIR_STATE_ABSENT;
	*ret = NULL;
	if (b->at.missing)
		return 0;
	if (state != DIR_STATE_FOUND)
		return err_set(err, ERR_DENIED, "'%s' may not be read", b->at.dn);
	q.scope = DIR_ONE;
	if (directory_search(b->at.dir, &q, s, err) < 0)
		return -1;
	*ret = snapshot_search(s, &q);
	if ((*ret)->outcome != DIR_OK)
		return err_set(err, ERR_DENIED, "'%s' may not be listed", b->at.dn);
	/* With a part of them unseen, what is in use and what is not cannot be told. */
	for (size_t i = 0; i < (*ret)->n_entries; i++)
		if (!entry_attr(&(*ret)->entries[i], "objectClass") && starts((*ret)->entries[i].dn, "CN=ipsec"))
			return err_set(err, ERR_DENIED, "'%s' may not be read: the administrator's account needs read access to it",
			    (*ret)->entries[i].dn);
	return 0;
}

static int domain_load(struct backend *base, struct store_edit *ret, struct err *err)
{
	struct domain_store *b = (struct domain_store *)base;
	struct dir_snapshot *s = snapshot_new();
	struct ipsec_container *c = NULL;
	const struct dir_search *found;
	int rc = -1;

	if (!s)
		err_nomem(err);
	else if (domain_connect(b, err) == 0 && read_container(&found, b, s, err) == 0)
		rc = container_read(&c, b->at.dn, found ? found->entries : NULL, found ? found->n_entries : 0, err);
	if (rc == 0) {
		ret->location = LOCATION_DOMAIN;
		ret->container = c;
	}
	snapshot_free(s);
	return rc;
}

/* ---- the rest ---- */

static int domain_store_save(struct backend *base, struct store_edit *e, struct err *err)
{
	struct domain_store *b = (struct domain_store *)base;

	return domain_connect(b, err) < 0 ? -1 : domain_save(&b->at, e, err);
}

static int domain_assigned(struct backend *base, const char *gpo, const char **ret_dn, struct arena *a, struct err *err)
{
	struct domain_store *b = (struct domain_store *)base;
	const char *dn;

	if (domain_connect(b, err) < 0 || gpo_find(&dn, b->at.dir, b->at.nc, gpo, a, err) < 0)
		return -1;
	return gpo_assigned(b->at.dir, dn, ret_dn, a, err);
}

static int domain_users(struct backend *base, const char *policy_dn, struct gpo_user **ret, size_t *ret_n, struct arena *a, struct err *err)
{
	struct domain_store *b = (struct domain_store *)base;

	if (domain_connect(b, err) < 0)
		return -1;
	return gpo_users(b->at.dir, b->at.nc, policy_dn, ret, ret_n, a, err);
}

static const char *domain_where(struct backend *base)
{
	struct domain_store *b = (struct domain_store *)base;
	const char *text = arena_printf(b->arena, "domain %s (%s)", b->domain, b->at.dir ? directory_server(b->at.dir) : b->uri);

	return text ? text : "domain";
}

static void domain_close(struct backend *base)
{
	struct domain_store *b = (struct domain_store *)base;

	directory_close(b->at.dir);
	arena_free(b->arena);
	free(b);
}

/* What is the host's goes; ldapi knows who we are without a ticket. */
static int own_credentials(struct domain_store *b, struct err *err)
{
	bool ldapi = starts(b->uri, "ldapi:");

	b->conf.keytab = NULL;
	b->conf.tls_cert = b->conf.tls_key = NULL;
	if (ldapi && b->conf.bind == BIND_GSSAPI)
		b->conf.bind = BIND_EXTERNAL;
	if (ldapi || starts(b->uri, "ldaps:"))
		b->conf.tls = TLS_OFF;
	if (b->conf.bind == BIND_EXTERNAL && !ldapi && !starts(b->uri, "ldif:"))
		return err_set(err, ERR_UNSUPPORTED, "%s: bind = external is this host's certificate, which is not for editing: "
		    "use an ldapi:// URI, or a configuration of your own with bind = gssapi", b->uri);
	return conf_uri_check(&b->conf, b->uri, err);
}

/* The configured servers are those of the host's own domain; another one's are discovered. */
static const char *choose_uri(struct arena *a, const struct conf *c, const char *uri, const char *domain)
{
	if (uri)
		return arena_strdup(a, uri);
	if (!domain || !*domain || (c->domain && !strcasecmp(domain, c->domain)))
		return arena_strdup(a, c->uri);
	return arena_printf(a, "ldap:///%s", domain);
}

struct backend *backend_domain(const struct conf *c, const char *uri, const char *domain, struct err *err)
{
	struct domain_store *b = calloc(1, sizeof(*b));

	if (!b || !(b->arena = arena_new(0))) {
		free(b);
		err_nomem(err);
		return NULL;
	}
	b->base = (struct backend){ .load = domain_load, .save = domain_store_save, .assigned = domain_assigned,
		.users = domain_users, .where = domain_where, .close = domain_close };
	b->conf = *c;
	b->uri = choose_uri(b->arena, c, uri, domain);
	b->hint = c->domain;
	if (domain && *domain)
		b->domain = arena_strdup(b->arena, domain);
	if (!b->uri || (domain && *domain && !b->domain))
		err_nomem(err);
	else if (own_credentials(b, err) == 0 && domain_connect(b, err) == 0)
		return &b->base;
	domain_close(&b->base);
	return NULL;
}
