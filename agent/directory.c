#include "agent/directory.h"

#include <ctype.h>
#include <ldap.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/dir_backend.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

#define MAX_SERVERS	16	/* tried for one connection */
#define MAX_HOST	255
#define MAX_HOSTS_TEXT	8192
#define MAX_CONTROLLERS	32	/* addresses kept */
#define LOOKUP_SECONDS	5	/* for the addresses of servers that are not in use */

/* One round through the servers, and what each of them said. */
struct attempt {
	const struct directory_conf	*conf;
	struct arena			*arena;
	struct directory		*found;
	const char			*tried[MAX_SERVERS];
	size_t				 n_tried;
	char				*hosts;		/* all that discovery found, one a line */
	enum err_code			 code;		/* ERR_NONE: nothing failed yet */
	char				 said[400];
};

static void failed(struct attempt *t, const struct err *err)
{
	size_t n = strlen(t->said);

	snprintf(t->said + n, sizeof(t->said) - n, "%s%s", n ? "; " : "", err->msg);
	/* What a server refused says more than that another one was not there. */
	if (t->code == ERR_NONE || err->code == ERR_DENIED)
		t->code = err->code;
}

/* "ldap://dc1:389" is skipped as a whole URI and as "dc1". */
static bool is_skipped(const struct attempt *t, const char *uri)
{
	const char *host = strstr(uri, "://") ? strstr(uri, "://") + 3 : uri;
	size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");

	for (const char *const *s = t->conf->skip; s && *s; s++)
		if (!strcasecmp(*s, uri) || (n && strlen(*s) == n && !strncasecmp(*s, host, n)))
			return true;
	for (size_t i = 0; i < t->n_tried; i++)
		if (!strcasecmp(t->tried[i], uri))
			return true;
	return false;
}

static void try_server(struct attempt *t, const char *uri)
{
	struct err err = { 0 };

	if (t->found || t->n_tried == MAX_SERVERS || is_skipped(t, uri))
		return;
	t->tried[t->n_tried++] = uri;
	t->found = dir_ldap_open(t->conf, uri, &err);
	if (!t->found)
		failed(t, &err);
}

/* ---- discovery ---- */

static bool is_host(const char *s, size_t len)
{
	if (len == 0 || len > MAX_HOST || *s == '-' || *s == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("-._", s[i]))
			return false;
	return true;
}

/* list: "dc1.corp.example:389 dc2.corp.example:389", best first; from DNS. */
static void try_list(struct attempt *t, const char *scheme, char *list)
{
	char *save = NULL, *uri;
	size_t host;

	for (char *p = strtok_r(list, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		host = strcspn(p, ":");
		if (!is_host(p, host) || strspn(p + host, ":0123456789") != strlen(p + host))
			continue;
		if (!t->hosts || strlen(t->hosts) < MAX_HOSTS_TEXT)
			t->hosts = arena_printf(t->arena, "%s%.*s\n", t->hosts ? t->hosts : "", (int)host, p);
		if (t->found)
			continue;
		/* The records say where LDAP is; LDAP over TLS has its own port. */
		if (!strcmp(scheme, "ldaps"))
			uri = arena_printf(t->arena, "ldaps://%.*s", (int)host, p);
		else
			uri = arena_printf(t->arena, "ldap://%s", !strcmp(p + host, ":389") ?
			    arena_strndup(t->arena, p, host) : p);
		if (uri)
			try_server(t, uri);
	}
}

/* The servers of the SRV records _ldap._tcp.<name>. */
static void try_records(struct attempt *t, const char *scheme, const char *name)
{
	struct err err;
	char *list = NULL;

	if (t->found)
		return;
	if (!name) {
		err_nomem(&err);
		failed(t, &err);
	} else if (ldap_domain2hostlist(name, &list) != LDAP_SUCCESS || !list || !*list) {
		err_set(&err, ERR_OFFLINE, "no SRV records _ldap._tcp.%s", name);
		failed(t, &err);
	} else {
		try_list(t, scheme, list);
	}
	ldap_memfree(list);
}

/* What is behind the name of this host, as resolv.conf(5) or hosts(5) complete it. */
static char *host_domain(struct arena *a)
{
	const struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM };
	struct addrinfo *res = NULL;
	char name[MAX_HOST + 1] = "", *ret = NULL;
	const char *dot;

	gethostname(name, sizeof(name) - 1);
	dot = strchr(name, '.');
	if (!dot && !getaddrinfo(name, NULL, &hints, &res) && res && res->ai_canonname)
		dot = strchr(res->ai_canonname, '.');
	if (dot && dot[1])
		ret = arena_strdup(a, dot + 1);
	if (res)
		freeaddrinfo(res);
	return ret;
}

/* part: what stands behind "ldap:///": a DN, a DNS name, or nothing. */
static char *find_domain(struct attempt *t, const char *part)
{
	const char *domain = t->conf->conf->domain;

	if (part && strchr(part, '='))
		return dn_to_domain(t->arena, part);
	if (part && *part)
		return arena_strdup(t->arena, part);
	return domain ? arena_strdup(t->arena, domain) : host_domain(t->arena);
}

/* [MS-ADTS] 6.3.6.1: domain controllers of our site, then of the domain; then any
 * LDAP server of it (RFC 2782). */
static void discover(struct attempt *t, const char *scheme, const char *part)
{
	const char *site = t->conf->site;
	char *domain = find_domain(t, part);
	struct err err;

	if (!domain || !is_host(domain, strlen(domain))) {
		if (domain)
			err_set(&err, ERR_FORMAT, "'%s' is no DNS domain", domain);
		else
			err_set(&err, ERR_ABSENT, "no domain is known to discover servers of; configure one");
		failed(t, &err);
		return;
	}
	if (site && *site && !strpbrk(site, ". "))
		try_records(t, scheme, arena_printf(t->arena, "%s._sites.dc._msdcs.%s", site, domain));
	try_records(t, scheme, arena_printf(t->arena, "dc._msdcs.%s", domain));
	try_records(t, scheme, domain);
}

/* ---- URIs ---- */

static void try_uri(struct attempt *t, const char *uri)
{
	LDAPURLDesc *u = NULL;
	struct err err;

	if (strncasecmp(uri, "ldap://", 7) && strncasecmp(uri, "ldaps://", 8) && strncasecmp(uri, "ldapi://", 8)) {
		err_set(&err, ERR_FORMAT, "'%s': not an ldap://, ldaps://, ldapi:// or ldif: URI", uri);
		failed(t, &err);
	} else if (ldap_url_parse(uri, &u) != LDAP_URL_SUCCESS) {
		err_set(&err, ERR_FORMAT, "'%s': malformed URI", uri);
		failed(t, &err);
	} else if (strcasecmp(u->lud_scheme, "ldapi") && (!u->lud_host || !*u->lud_host)) {
		discover(t, u->lud_scheme, u->lud_dn);
	} else {
		try_server(t, uri);
	}
	ldap_free_urldesc(u);
}

static struct directory *open_servers(const struct directory_conf *c, struct err *err)
{
	struct attempt t = { .conf = c };
	char *list, *save = NULL;

	t.arena = arena_new(0);
	list = t.arena ? arena_strdup(t.arena, c->uri) : NULL;
	if (!list) {
		arena_free(t.arena);
		err_nomem(err);
		return NULL;
	}
	for (char *uri = strtok_r(list, " \t", &save); uri && !t.found; uri = strtok_r(NULL, " \t", &save))
		try_uri(&t, uri);
	if (!t.found && !*t.said)
		err_set(err, ERR_OFFLINE, "no directory server is left to ask");
	else if (!t.found)
		err_set(err, t.code, "%s", t.said);
	if (t.found && t.hosts)
		t.found->hosts = strdup(t.hosts);
	arena_free(t.arena);
	return t.found;
}

struct directory *directory_open(const struct directory_conf *c, struct err *err)
{
	struct directory *d;

	if (!strncmp(c->uri, "ldif:", 5))
		d = dir_ldif_open(c->uri + 5, err);
	else
		d = open_servers(c, err);
	if (d)
		d->bulk = c->bulk;
	return d;
}

void directory_close(struct directory *d)
{
	if (!d)
		return;
	free(d->hosts);
	free(d->controllers);
	d->close(d);
}

const char *directory_server(const struct directory *d)
{
	return d->server;
}

const char *directory_address(const struct directory *d)
{
	return d->address;
}

const struct dir_traffic *directory_traffic(const struct directory *d)
{
	return &d->traffic;
}

/* The addresses of one host, each once. */
static void add_addresses(FILE *out, size_t *n, const char *host)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *res = NULL;
	char text[NI_MAXHOST];

	if (getaddrinfo(host, NULL, &hints, &res))
		return;
	for (const struct addrinfo *ai = res; ai && *n < MAX_CONTROLLERS; ai = ai->ai_next, ++*n)
		if (!getnameinfo(ai->ai_addr, ai->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) &&
		    !strchr(text, '%'))
			fprintf(out, "%s\n", text);
	freeaddrinfo(res);
}

const char *directory_controllers(struct directory *d)
{
	double end = dir_now() + LOOKUP_SECONDS;
	char *save = NULL, *text = NULL;
	size_t len, n = 0;
	FILE *out;

	if (d->controllers || !d->hosts)
		return d->controllers;
	out = open_memstream(&text, &len);
	for (char *h = strtok_r(d->hosts, "\n", &save); out && h && dir_now() < end; h = strtok_r(NULL, "\n", &save))
		add_addresses(out, &n, h);
	if (out && fclose(out) == 0 && len)
		d->controllers = text;
	else
		free(text);
	free(d->hosts);
	d->hosts = NULL;
	return d->controllers;
}

int directory_ask(struct directory *d, const struct dir_query *q, struct dir_search *ret, struct arena *a, struct err *err)
{
	struct dir_answer answer = { 0 };

	if (d->search(d, q, &answer, a, err) < 0)
		return err_prefix(err, "%s: search of '%s'", d->server, q->base);
	*ret = (struct dir_search){ *q, answer.outcome, answer.entries, answer.n_entries };
	return 0;
}

int directory_search(struct directory *d, const struct dir_query *q, struct dir_snapshot *s, struct err *err)
{
	struct arena *a = arena_new(0);
	struct dir_search answer;
	int rc;

	if (!a)
		return err_nomem(err);
	rc = directory_ask(d, q, &answer, a, err);
	if (!rc)
		rc = snapshot_add(s, q, answer.outcome, answer.entries, answer.n_entries, err);
	arena_free(a);
	return rc;
}
