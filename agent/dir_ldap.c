/* One LDAP server: connect, and search with everything followed that makes an
 * answer complete.  Nothing here waits without a limit. */
#include "agent/dir_backend.h"

#include <ldap.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/directory.h"
#include "schema/arena.h"
#include "schema/err.h"

#define PAGE_SIZE	500
#define OVERHEAD	64u		/* bytes counted for each value on top of its own */
#define SD_FLAGS_OID	"1.2.840.113556.1.4.801"

struct dir_ldap {
	struct directory	 base;
	LDAP			*ld;
	struct dir_io		 io;
	char			*uri;
	char			 address[NI_MAXHOST];
	unsigned		 timeout;
	bool			 no_sd_flags;	/* the server does not know the control */
};

/* A multi-valued attribute of which the server gave only the beginning. */
struct range {
	size_t	entry, attr;
	size_t	next;		/* index of the first value still missing */
};

struct reading {
	struct dir_ldap		*l;
	struct arena		*a;
	struct dir_answer	*ret;
	struct range		*ranges;
	size_t			 n_ranges;
	size_t			 bytes;
	double			 when;		/* the end of our patience, dir_now() */
};

/* ---- connecting ---- */

static int set_options(struct dir_ldap *l, const struct conf *conf, struct err *err)
{
	const struct timeval tv = { .tv_sec = (time_t)conf->connect_timeout };
	const int version = LDAP_VERSION3, deref = LDAP_DEREF_NEVER;
	int bad = 0;

	bad |= ldap_set_option(l->ld, LDAP_OPT_PROTOCOL_VERSION, &version);
	bad |= ldap_set_option(l->ld, LDAP_OPT_DEREF, &deref);
	bad |= ldap_set_option(l->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	bad |= ldap_set_option(l->ld, LDAP_OPT_RESTART, LDAP_OPT_ON);
	bad |= ldap_set_option(l->ld, LDAP_OPT_NETWORK_TIMEOUT, &tv);
	bad |= dir_io_attach(l->ld, &l->io, &l->base.traffic, conf->connect_timeout);
	/* Names are taken as they were given: no reverse look-up may rename a server. */
	bad |= ldap_set_option(l->ld, LDAP_OPT_X_SASL_NOCANON, LDAP_OPT_ON);
	return bad ? err_set(err, ERR_SYSTEM, "libldap refuses an option") : 0;
}

/* Whose address the connection has; none for ldapi. */
static void find_address(struct dir_ldap *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd = -1;

	if (ldap_get_option(l->ld, LDAP_OPT_DESC, &fd) != 0 || fd < 0)
		return;
	if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    (ss.ss_family != AF_INET && ss.ss_family != AF_INET6))
		return;
	if (getnameinfo((struct sockaddr *)&ss, len, l->address, sizeof(l->address), NULL, 0, NI_NUMERICHOST))
		return;
	l->address[strcspn(l->address, "%")] = '\0';
	if (!strncmp(l->address, "::ffff:", 7) && strchr(l->address, '.'))
		memmove(l->address, l->address + 7, strlen(l->address + 7) + 1);
	l->base.address = l->address;
}

/* ---- one entry ---- */

static int too_large(struct reading *r, size_t more, struct err *err)
{
	const unsigned max = r->l->base.bulk ? DIR_BULK_BYTES : DIR_MAX_BYTES;

	r->bytes += more + OVERHEAD;
	if (r->bytes <= max)
		return 0;
	return err_set(err, ERR_OFFLINE, "the answer is larger than %u bytes", max);
}

static int copy_values(struct reading *r, struct dir_attr *attr, BerVarray vals, struct err *err)
{
	struct dir_value v;

	for (; vals && vals->bv_val; vals++) {
		if (too_large(r, vals->bv_len, err) < 0)
			return -1;
		v.len = vals->bv_len;
		v.p = arena_zalloc(r->a, v.len + 1, 1);
		attr->values = arena_grow(r->a, attr->values, attr->n_values, sizeof(v));
		if (!v.p || !attr->values)
			return err_nomem(err);
		memcpy((void *)v.p, vals->bv_val, v.len);
		attr->values[attr->n_values++] = v;
	}
	return 0;
}

/* "member;range=0-1499": 1, the length of "member" and where to go on (0: that
 * was all of it); 0: no range; -1: not as [MS-ADTS] 3.1.1.3.1.3.3 has it. */
static int range_parse(size_t *ret_name, size_t *ret_first, size_t *ret_next, const char *name)
{
	const char *p = strcasestr(name, ";range=");
	unsigned long low, high;
	char *end;

	if (!p)
		return 0;
	*ret_name = (size_t)(p - name);
	p += strlen(";range=");
	low = strtoul(p, &end, 10);
	if (*p < '0' || *p > '9' || *end != '-' || low > UINT32_MAX)
		return -1;
	p = end + 1;
	*ret_first = low;
	*ret_next = 0;
	if (!strcmp(p, "*"))
		return 1;
	high = strtoul(p, &end, 10);
	if (*p < '0' || *p > '9' || *end || high < low || high > UINT32_MAX)
		return -1;
	*ret_next = high + 1;
	return 1;
}

static int copy_attr(struct reading *r, struct dir_entry *e, const struct berval *name, BerVarray vals, struct err *err)
{
	struct dir_attr *attr;
	size_t n = name->bv_len, first = 0, next = 0;
	int ranged;

	/* Beside "member;range=" AD also sends an empty "member". */
	if (!vals || !vals->bv_val)
		return 0;
	if (memchr(name->bv_val, '\0', n) || n > 256)
		return err_set(err, ERR_OFFLINE, "'%s': malformed attribute name", e->dn);
	ranged = range_parse(&n, &first, &next, name->bv_val);
	if (ranged < 0)
		return err_set(err, ERR_OFFLINE, "'%s': malformed range '%s'", e->dn, name->bv_val);
	e->attrs = arena_grow(r->a, e->attrs, e->n_attrs, sizeof(*attr));
	if (!e->attrs || too_large(r, n, err) < 0)
		return e->attrs ? -1 : err_nomem(err);
	attr = &e->attrs[e->n_attrs];
	*attr = (struct dir_attr){ .name = arena_strndup(r->a, name->bv_val, n) };
	if (!attr->name)
		return err_nomem(err);
	if (copy_values(r, attr, vals, err) < 0)
		return -1;
	if (ranged && next) {
		if (next - first != attr->n_values)
			return err_set(err, ERR_OFFLINE, "'%s': %zu values in range '%s'", e->dn, attr->n_values, name->bv_val);
		r->ranges = arena_grow(r->a, r->ranges, r->n_ranges, sizeof(*r->ranges));
		if (!r->ranges)
			return err_nomem(err);
		r->ranges[r->n_ranges++] = (struct range){ r->ret->n_entries, e->n_attrs, next };
	}
	e->n_attrs++;
	return 0;
}

static int copy_entry(struct reading *r, LDAPMessage *msg, struct err *err)
{
	const unsigned max = r->l->base.bulk ? DIR_BULK_ENTRIES : DIR_MAX_ENTRIES;
	LDAP *ld = r->l->ld;
	struct dir_entry e = { 0 };
	struct berval dn, name;
	BerElement *ber = NULL;
	BerVarray vals = NULL;
	int rc = -1;

	if (r->ret->n_entries == max) {
		err_set(err, ERR_OFFLINE, "more than %u entries", max);
		goto out;
	}
	if (ldap_get_dn_ber(ld, msg, &ber, &dn) != LDAP_SUCCESS || memchr(dn.bv_val, '\0', dn.bv_len)) {
		err_set(err, ERR_OFFLINE, "malformed entry");
		goto out;
	}
	e.dn = arena_strndup(r->a, dn.bv_val, dn.bv_len);
	r->ret->entries = arena_grow(r->a, r->ret->entries, r->ret->n_entries, sizeof(e));
	if (!e.dn || !r->ret->entries) {
		err_nomem(err);
		goto out;
	}
	if (too_large(r, dn.bv_len, err) < 0)
		goto out;
	for (;;) {
		if (ldap_get_attribute_ber(ld, msg, ber, &name, &vals) != LDAP_SUCCESS) {
			err_set(err, ERR_OFFLINE, "'%s': malformed entry", e.dn);
			goto out;
		}
		if (!name.bv_val)
			break;
		if (copy_attr(r, &e, &name, vals, err) < 0)
			goto out;
		ldap_memfree(vals);
		vals = NULL;
	}
	r->ret->entries[r->ret->n_entries++] = e;
	rc = 0;
out:
	ldap_memfree(vals);
	ber_free(ber, 0);
	return rc;
}

/* ---- one search, one page ---- */

static int make_controls(LDAPControl *ret[3], struct reading *r, const struct dir_query *q, const struct berval *cookie,
    struct err *err)
{
	struct berval *value = NULL;
	BerElement *ber;
	size_t n = 0;

	if (q->scope != DIR_BASE && ldap_create_page_control(r->l->ld, PAGE_SIZE, (struct berval *)cookie, 0, &ret[n++]))
		return err_nomem(err);
	if (!q->sd_flags || r->l->no_sd_flags)
		return 0;
	ber = ber_alloc_t(LBER_USE_DER);
	if (!ber || ber_printf(ber, "{i}", (ber_int_t)q->sd_flags) < 0 || ber_flatten(ber, &value) < 0 ||
	    ldap_control_create(SD_FLAGS_OID, 1, value, 1, &ret[n])) {
		err_nomem(err);
		n = SIZE_MAX;
	}
	ber_bvfree(value);
	ber_free(ber, 1);
	return n == SIZE_MAX ? -1 : 0;
}

static int page_cookie(struct reading *r, LDAPControl **ctrls, struct berval *ret, struct err *err)
{
	LDAPControl *page = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, ctrls, NULL);
	ber_int_t estimate;

	if (!page)
		return 0;
	if (ldap_parse_pageresponse_control(r->l->ld, page, &estimate, ret) != LDAP_SUCCESS)
		return err_set(err, ERR_OFFLINE, "malformed page control");
	return 0;
}

/* The end of one page.  1: ask again without the SD_FLAGS control. */
static int read_result(struct reading *r, LDAPMessage *msg, const struct dir_query *q, struct berval *ret_cookie,
    struct err *err)
{
	LDAPControl **ctrls = NULL;
	int code, rc = -1;

	if (ldap_parse_result(r->l->ld, msg, &code, NULL, NULL, NULL, &ctrls, 0) != LDAP_SUCCESS)
		return err_set(err, ERR_OFFLINE, "malformed result");
	switch (code) {
	case LDAP_SUCCESS:
		rc = page_cookie(r, ctrls, ret_cookie, err);
		break;
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_INSUFFICIENT_ACCESS:
	case LDAP_REFERRAL:
		r->ret->outcome = code == LDAP_NO_SUCH_OBJECT ? DIR_ABSENT : code == LDAP_REFERRAL ? DIR_ELSEWHERE : DIR_DENIED;
		r->ret->n_entries = r->n_ranges = 0;
		rc = 0;
		break;
	case LDAP_UNAVAILABLE_CRITICAL_EXTENSION:
		if (q->sd_flags && !r->l->no_sd_flags) {
			r->l->no_sd_flags = true;
			rc = 1;
			break;
		}
		/* fall through */
	default:
		dir_ldap_error(r->l->ld, code, "search", err);
		err->code = ERR_OFFLINE;
	}
	ldap_controls_free(ctrls);
	return rc;
}

static int read_messages(struct reading *r, int id, const struct dir_query *q, struct berval *ret_cookie, struct err *err)
{
	LDAPMessage *msg;
	int rc = 0, type;

	do {
		if (dir_ldap_wait(r->l->ld, id, LDAP_MSG_ONE, r->when, &msg, err) < 0)
			return -1;
		type = ldap_msgtype(msg);
		if (type == LDAP_RES_SEARCH_ENTRY)
			rc = copy_entry(r, msg, err);
		else if (type == LDAP_RES_SEARCH_RESULT)
			rc = read_result(r, msg, q, ret_cookie, err);
		/* Else a reference to another server's part of the tree: not followed. */
		ldap_msgfree(msg);
	} while (type != LDAP_RES_SEARCH_RESULT && rc == 0);
	if (rc < 0 && type != LDAP_RES_SEARCH_RESULT)
		ldap_abandon_ext(r->l->ld, id, NULL, NULL);
	return rc;
}

static int search_page(struct reading *r, const struct dir_query *q, const struct berval *cookie,
    struct berval *ret_cookie, struct err *err)
{
	static const int scopes[] = {
		[DIR_BASE] = LDAP_SCOPE_BASE, [DIR_ONE] = LDAP_SCOPE_ONELEVEL, [DIR_SUB] = LDAP_SCOPE_SUBTREE,
	};
	LDAPControl *ctrls[3] = { NULL };
	struct timeval tv = { 0 };
	double left = r->when - dir_now();
	int id, rc = -1;

	tv.tv_sec = left < 1 ? 1 : (time_t)left + 1;
	if (make_controls(ctrls, r, q, cookie, err) < 0)
		goto out;
	dir_io_until(r->l->ld, r->when);
	r->l->base.traffic.n_requests++;
	rc = ldap_search_ext(r->l->ld, q->base, scopes[q->scope], q->filter, (char **)q->attrs, 0,
	    ctrls[0] ? ctrls : NULL, NULL, &tv, LDAP_NO_LIMIT, &id);
	if (rc != LDAP_SUCCESS) {
		dir_ldap_error(r->l->ld, rc, "search", err);
		err->code = ERR_OFFLINE;
		rc = -1;
		goto out;
	}
	rc = read_messages(r, id, q, ret_cookie, err);
out:
	for (size_t i = 0; i < 2 && ctrls[i]; i++)
		ldap_control_free(ctrls[i]);
	return rc;
}

/* All pages.  A server that never comes to an end is stopped by r->when. */
static int search_pages(struct reading *r, const struct dir_query *q, struct err *err)
{
	struct berval cookie = { 0, NULL }, next = { 0, NULL };
	int rc;

	do {
		next = (struct berval){ 0, NULL };
		rc = search_page(r, q, &cookie, &next, err);
		if (rc == 0) {
			ber_memfree(cookie.bv_val);
			cookie = next;
			next.bv_val = NULL;
		}
		ber_memfree(next.bv_val);
	} while (rc > 0 || (rc == 0 && cookie.bv_len && r->ret->outcome == DIR_OK));
	ber_memfree(cookie.bv_val);
	return rc;
}

/* ---- the rest of large attributes ---- */

static int append_values(struct reading *r, struct dir_attr *to, const struct dir_attr *from, struct err *err)
{
	for (size_t i = 0; i < from->n_values; i++) {
		to->values = arena_grow(r->a, to->values, to->n_values, sizeof(*to->values));
		if (!to->values)
			return err_nomem(err);
		to->values[to->n_values++] = from->values[i];
	}
	return 0;
}

/* One more piece; range->next is 0 when it was the last. */
static int read_range(struct reading *r, struct range *range, struct err *err)
{
	struct dir_entry *e = &r->ret->entries[range->entry];
	struct dir_attr *attr = &e->attrs[range->attr];
	char *name = arena_printf(r->a, "%s;range=%zu-*", attr->name, range->next);
	const char *const attrs[] = { name, NULL };
	const struct dir_query q = { .base = e->dn, .scope = DIR_BASE, .filter = "(objectClass=*)", .attrs = attrs };
	struct dir_answer answer = { 0 };
	struct reading more = { .l = r->l, .a = r->a, .ret = &answer, .bytes = r->bytes, .when = r->when };
	const struct dir_attr *piece;

	if (!name)
		return err_nomem(err);
	if (search_pages(&more, &q, err) < 0)
		return err_prefix(err, "'%s' of '%s'", name, e->dn);
	r->bytes = more.bytes;
	piece = answer.n_entries == 1 ? entry_attr(&answer.entries[0], attr->name) : NULL;
	if (!piece || more.n_ranges > 1)
		return err_set(err, ERR_OFFLINE, "'%s' of '%s' was not given", name, e->dn);
	range->next = more.n_ranges ? more.ranges[0].next : 0;
	return append_values(r, attr, piece, err);
}

static int ldap_dir_search(struct directory *d, const struct dir_query *q, struct dir_answer *ret,
    struct arena *a, struct err *err)
{
	struct dir_ldap *l = (struct dir_ldap *)d;
	struct reading r = { .l = l, .a = a, .ret = ret, .when = dir_now() + l->timeout * (d->bulk ? DIR_BULK_TIMEOUTS : 1) };

	ret->outcome = DIR_OK;
	if (search_pages(&r, q, err) < 0)
		return -1;
	for (size_t i = 0; i < r.n_ranges; i++)
		while (r.ranges[i].next)
			if (read_range(&r, &r.ranges[i], err) < 0)
				return -1;
	return 0;
}

static void ldap_dir_close(struct directory *d)
{
	struct dir_ldap *l = (struct dir_ldap *)d;

	if (l->ld) {
		dir_io_until(l->ld, dir_now());
		ldap_unbind_ext(l->ld, NULL, NULL);
	}
	free(l->uri);
	free(l);
}

struct directory *dir_ldap_open(const struct directory_conf *c, const char *uri, struct err *err)
{
	struct dir_ldap *l = calloc(1, sizeof(*l));
	int rc;

	if (!l || !(l->uri = strdup(uri))) {
		free(l);
		err_nomem(err);
		return NULL;
	}
	l->base.search = ldap_dir_search;
	l->base.close = ldap_dir_close;
	l->base.server = l->uri;
	l->timeout = c->conf->timeout;
	rc = ldap_initialize(&l->ld, uri);
	if (rc != LDAP_SUCCESS) {
		err_set(err, ERR_SYSTEM, "'%s': %s", uri, ldap_err2string(rc));
		goto bad;
	}
	if (set_options(l, c->conf, err) < 0 || dir_connect(l->ld, &l->io, c, uri, err) < 0 || dir_bind(l->ld, c, uri, err) < 0) {
		err_prefix(err, "%s", uri);
		goto bad;
	}
	find_address(l);
	l->base.ld = l->ld;
	l->base.timeout = l->timeout;
	return &l->base;
bad:
	ldap_dir_close(&l->base);
	return NULL;
}
