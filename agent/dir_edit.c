/* Changing the objects of an LDAP server, one request a change (RFC 4511 4.6-4.8).
 *
 * Several people may edit at once.  So a value is replaced by deleting the old one and adding the
 * new one in the same request: the server refuses it as a whole (noSuchAttribute) when the old
 * one is gone.  AD, Samba and OpenLDAP do so for octet strings and single-valued attributes,
 * too.  Two things that does not see, and the object is read right before for them: further
 * values of an attribute that may have several, and a pair of values so large that the
 * server's limit for one request may not take both (AD 10 MB, Samba and OpenLDAP 16 MB). */
#include "agent/directory.h"

#include <ldap.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dir_backend.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/change.h"
#include "schema/err.h"
#include "schema/ident.h"

#define BOTH_MAX	(4u << 20)	/* bytes of old and new values together in one request */
#define NO_REFERENCE	"000020B5:"	/* how AD begins what it says of a reference to nothing */
#define LARGE		(1u << 20)	/* a request worth a word when the server hangs up */

/* A change as libldap wants it; all in the arena. */
struct request {
	struct arena	*a;
	LDAPMod		**mods;		/* NULL-terminated */
	size_t		 n_mods;
	size_t		 bytes;
};

static size_t attr_bytes(const struct dir_attr *attr)
{
	size_t sum = 0;

	for (size_t i = 0; i < attr->n_values; i++)
		sum += attr->values[i].len;
	return sum;
}

/* Nothing without values: that would mean all there are. */
static int put_mod(struct request *r, int op, const struct dir_attr *attr, struct err *err)
{
	struct berval *bv, **list;
	LDAPMod *mod;

	if (!attr->n_values)
		return 0;
	mod = arena_zalloc(r->a, 1, sizeof(*mod));
	bv = arena_zalloc(r->a, attr->n_values, sizeof(*bv));
	list = arena_zalloc(r->a, attr->n_values + 1, sizeof(*list));
	if (!mod || !bv || !list)
		return err_nomem(err);
	for (size_t i = 0; i < attr->n_values; i++) {
		bv[i] = (struct berval){ attr->values[i].len, (char *)attr->values[i].p };
		list[i] = &bv[i];
	}
	*mod = (LDAPMod){ .mod_op = op | LDAP_MOD_BVALUES, .mod_type = (char *)attr->name, .mod_bvalues = list };
	r->mods[r->n_mods++] = mod;
	r->bytes += attr_bytes(attr);
	return 0;
}

static int put_replace(struct request *r, const struct dir_mod *m, struct err *err)
{
	size_t both = attr_bytes(&m->was) + attr_bytes(&m->attr);

	if (m->attr.n_values && both > BOTH_MAX)
		return put_mod(r, LDAP_MOD_REPLACE, &m->attr, err);
	if (put_mod(r, LDAP_MOD_DELETE, &m->was, err) < 0)
		return -1;
	return put_mod(r, LDAP_MOD_ADD, &m->attr, err);
}

static int request_build(struct request *r, const struct dir_change *c, struct err *err)
{
	size_t n = c->kind == CHANGE_ADD ? c->n_attrs : 2 * c->n_mods;
	int rc = 0;

	r->mods = arena_zalloc(r->a, n + 1, sizeof(LDAPMod *));
	if (!r->mods)
		return err_nomem(err);
	for (size_t i = 0; rc == 0 && c->kind == CHANGE_ADD && i < c->n_attrs; i++)
		rc = put_mod(r, 0, &c->attrs[i], err);
	for (size_t i = 0; rc == 0 && c->kind == CHANGE_MODIFY && i < c->n_mods; i++) {
		const struct dir_mod *m = &c->mods[i];

		if (m->kind == MOD_REPLACE)
			rc = put_replace(r, m, err);
		else
			rc = put_mod(r, m->kind == MOD_ADD ? LDAP_MOD_ADD : LDAP_MOD_DELETE, &m->attr, err);
	}
	return rc;
}

/* ---- is it still what it was? ---- */

static int value_cmp(const void *x, const void *y)
{
	const struct dir_value *a = x, *b = y;
	size_t n = a->len < b->len ? a->len : b->len;
	int c = n ? memcmp(a->p, b->p, n) : 0;

	return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* The values in an order of their own; of references, what they name. */
static int values_sorted(struct dir_value **ret, const struct dir_attr *attr, struct arena *a, struct err *err)
{
	static const char suffix[] = "Reference";
	size_t n = strlen(attr->name), m = strlen(suffix);
	bool names = n > m && ascii_equal(attr->name + n - m, suffix);
	struct dir_value *v = arena_zalloc(a, attr->n_values, sizeof(*v));

	if (!v)
		return err_nomem(err);
	for (size_t i = 0; i < attr->n_values; i++) {
		v[i] = attr->values[i];
		if (!names)
			continue;
		v[i].p = (const uint8_t *)dn_key(a, (const char *)attr->values[i].p);
		if (!v[i].p)
			return err_nomem(err);
		v[i].len = strlen((const char *)v[i].p);
	}
	qsort(v, attr->n_values, sizeof(*v), value_cmp);
	*ret = v;
	return 0;
}

/* 1 or 0; -1: no memory. */
static int attr_same(const struct dir_attr *x, const struct dir_attr *y, struct arena *a, struct err *err)
{
	struct dir_value *v, *w;

	if (x->n_values != y->n_values)
		return 0;
	if (!x->n_values)
		return 1;
	if (values_sorted(&v, x, a, err) < 0 || values_sorted(&w, y, a, err) < 0)
		return -1;
	for (size_t i = 0; i < x->n_values; i++)
		if (value_cmp(&v[i], &w[i]))
			return 0;
	return 1;
}

static bool has_replace(const struct dir_change *c)
{
	for (size_t i = 0; c->kind == CHANGE_MODIFY && i < c->n_mods; i++)
		if (c->mods[i].kind == MOD_REPLACE)
			return true;
	return false;
}

static int busy(struct err *err, const char *dn, const char *what)
{
	return err_set(err, ERR_BUSY, "'%s' was changed by somebody else: %s", dn, what);
}

static int check_entry(const struct dir_entry *e, const struct dir_change *c, struct arena *a, struct err *err)
{
	static const struct dir_attr none;

	for (size_t i = 0; i < c->n_mods; i++) {
		const struct dir_mod *m = &c->mods[i];
		const struct dir_attr *now;
		int same;

		if (m->kind != MOD_REPLACE)
			continue;
		now = entry_attr(e, m->attr.name);
		same = attr_same(&m->was, now ? now : &none, a, err);
		if (same < 0)
			return -1;
		if (!same)
			return busy(err, c->dn, m->attr.name);
	}
	return 0;
}

/* 0: what is to be replaced is there, and nothing else. */
static int check_was(struct directory *d, const struct dir_change *c, struct err *err)
{
	struct dir_snapshot *s = snapshot_new();
	struct arena *a = arena_new(0);
	const char **attrs = a ? arena_zalloc(a, c->n_mods + 2, sizeof(*attrs)) : NULL;
	struct dir_query q = { .base = c->dn, .scope = DIR_BASE, .filter = "(objectClass=*)", .attrs = attrs };
	const struct dir_entry *e;
	enum dir_state state;
	int rc = -1;

	if (!s || !attrs) {
		err_nomem(err);
		goto out;
	}
	attrs[0] = "objectClass";
	for (size_t i = 0; i < c->n_mods; i++)
		attrs[i + 1] = c->mods[i].attr.name;
	if (directory_search(d, &q, s, err) < 0)
		goto out;
	e = snapshot_entry(s, c->dn, &state);
	if (e)
		rc = check_entry(e, c, a, err);
	else if (state == DIR_STATE_ABSENT)
		busy(err, c->dn, "it does not exist any more");
	else
		err_set(err, ERR_DENIED, "'%s' may not be read", c->dn);
out:
	snapshot_free(s);
	arena_free(a);
	return rc;
}

/* ---- the request and its answer ---- */

static const char *doing(enum dir_change_kind k)
{
	return k == CHANGE_ADD ? "add" : k == CHANGE_DELETE ? "delete" : "change";
}

static int denied(const struct dir_change *c, const char *diag, struct err *err)
{
	return err_set(err, ERR_DENIED, "no right to %s '%s': the administrator's account needs write access to it%s%s%s",
	    doing(c->kind), c->dn, *diag ? " (" : "", diag, *diag ? ")" : "");
}

/* code: what the server said; diag: in its own words, "" or without a line's end. */
static int refused(struct directory *d, const struct dir_change *c, int code, const char *diag, struct err *err)
{
	enum err_code as = ERR_OFFLINE;

	switch (code) {
	case LDAP_ALREADY_EXISTS:
		return busy(err, c->dn, "it exists by now");
	case LDAP_NO_SUCH_ATTRIBUTE:
		return busy(err, c->dn, *diag ? diag : "the old value is gone");
	case LDAP_NO_SUCH_OBJECT:
		if (c->kind == CHANGE_DELETE)
			return err_set(err, ERR_ABSENT, "'%s' does not exist", c->dn);
		return busy(err, c->dn, c->kind == CHANGE_ADD ? "what it stands below or refers to does not exist" :
		    "it, or what it is to refer to, does not exist any more");
	case LDAP_INSUFFICIENT_ACCESS:
		return denied(c, diag, err);
	case LDAP_REFERRAL:
		return err_set(err, ERR_DENIED, "'%s': %s takes no changes, another server does: name that one", c->dn, d->server);
	case LDAP_TYPE_OR_VALUE_EXISTS:
	case LDAP_CONSTRAINT_VIOLATION:
		if (!strncmp(diag, NO_REFERENCE, strlen(NO_REFERENCE)))
			return busy(err, c->dn, "what it is to refer to does not exist any more");
		/* Perhaps there is a value by now where there was none. */
		if (has_replace(c) && check_was(d, c, err) < 0)
			return -1;
		if (code == LDAP_TYPE_OR_VALUE_EXISTS && c->kind == CHANGE_MODIFY)
			return busy(err, c->dn, *diag ? diag : "the new value is there already");
		/* fall through */
	case LDAP_UNDEFINED_TYPE:
	case LDAP_INAPPROPRIATE_MATCHING:
	case LDAP_INVALID_SYNTAX:
	case LDAP_INVALID_DN_SYNTAX:
	case LDAP_NAMING_VIOLATION:
	case LDAP_OBJECT_CLASS_VIOLATION:
	case LDAP_NOT_ALLOWED_ON_NONLEAF:
	case LDAP_NOT_ALLOWED_ON_RDN:
	case LDAP_UNWILLING_TO_PERFORM:
	case LDAP_ADMINLIMIT_EXCEEDED:
		as = ERR_FORMAT;
		break;
	default:
		break;
	}
	return err_set(err, as, "%s: %s '%s': %s%s%s%s", d->server, doing(c->kind), c->dn, ldap_err2string(code),
	    *diag ? " (" : "", diag, *diag ? ")" : "");
}

static int read_answer(struct directory *d, const struct dir_change *c, LDAPMessage *msg, struct err *err)
{
	int code = LDAP_OTHER, rc = 0;
	char *diag = NULL;

	if (ldap_parse_result(d->ld, msg, &code, NULL, &diag, NULL, NULL, 1) != LDAP_SUCCESS)
		return err_set(err, ERR_OFFLINE, "%s: %s '%s': malformed answer", d->server, doing(c->kind), c->dn);
	/* AD ends its words with a line's end and a zero byte. */
	for (size_t n = diag ? strlen(diag) : 0; n && strchr(" \r\n", diag[n - 1]); n--)
		diag[n - 1] = '\0';
	if (code != LDAP_SUCCESS)
		rc = refused(d, c, code, diag ? diag : "", err);
	ldap_memfree(diag);
	return rc;
}

static int send_request(int *ret_id, struct directory *d, const struct dir_change *c, struct request *r)
{
	switch (c->kind) {
	case CHANGE_ADD:
		return ldap_add_ext(d->ld, c->dn, r->mods, NULL, NULL, ret_id);
	case CHANGE_MODIFY:
		return ldap_modify_ext(d->ld, c->dn, r->mods, NULL, NULL, ret_id);
	case CHANGE_DELETE:
		return ldap_delete_ext(d->ld, c->dn, NULL, NULL, ret_id);
	}
	return LDAP_PARAM_ERROR;
}

static int no_answer(const struct directory *d, const struct dir_change *c, const struct request *r, struct err *err)
{
	err_prefix(err, "%s: %s '%s'%s", d->server, doing(c->kind), c->dn,
	    r->bytes > LARGE ? ", a request that is larger than the server may take" : "");
	err->code = ERR_OFFLINE;
	return -1;
}

static int change_send(struct directory *d, const struct dir_change *c, struct request *r, struct err *err)
{
	double when = dir_now() + d->timeout;
	LDAPMessage *msg = NULL;
	int id, rc;

	dir_io_until(d->ld, when);
	rc = send_request(&id, d, c, r);
	if (rc != LDAP_SUCCESS) {
		dir_ldap_error(d->ld, rc, "not sent", err);
		return no_answer(d, c, r, err);
	}
	if (dir_ldap_wait(d->ld, id, LDAP_MSG_ALL, when, &msg, err) < 0)
		return no_answer(d, c, r, err);
	return read_answer(d, c, msg, err);
}

int directory_change(struct directory *d, const struct dir_change *c, struct err *err)
{
	struct request r = { 0 };
	int rc = -1;

	if (!d->ld)
		return err_set(err, ERR_UNSUPPORTED, "%s is a file: only a server's objects can be changed", d->server);
	r.a = arena_new(0);
	if (!r.a)
		return err_nomem(err);
	if (has_replace(c) && check_was(d, c, err) < 0)
		goto out;
	if (request_build(&r, c, err) < 0)
		goto out;
	if (c->kind != CHANGE_DELETE && !r.n_mods)
		rc = 0;
	else
		rc = change_send(d, c, &r, err);
out:
	arena_free(r.a);
	return rc;
}

/* ---- and back ---- */

/* Into *ret what makes c undone; mods: room for as many as c has. */
static void change_invert(struct dir_change *ret, struct dir_mod *mods, const struct dir_change *c)
{
	*ret = (struct dir_change){ .kind = CHANGE_DELETE, .dn = c->dn };
	if (c->kind == CHANGE_ADD)
		return;
	*ret = (struct dir_change){ .kind = CHANGE_MODIFY, .dn = c->dn, .mods = mods, .n_mods = c->n_mods };
	for (size_t i = 0; i < c->n_mods; i++) {
		const struct dir_mod *m = &c->mods[c->n_mods - 1 - i];

		mods[i] = *m;
		if (m->kind == MOD_REPLACE) {
			mods[i].attr = m->was;
			mods[i].was = m->attr;
			mods[i].attr.name = mods[i].was.name = m->attr.name;
		} else {
			mods[i].kind = m->kind == MOD_ADD ? MOD_DELETE : MOD_ADD;
		}
	}
}

int directory_take_back(struct directory *d, const struct dir_change *c, size_t n)
{
	struct dir_change inverse;
	struct dir_mod *mods;
	struct err err;
	int rc = 0;

	while (n-- > 0) {
		if (c[n].kind == CHANGE_DELETE)
			return -1;
		mods = calloc(c[n].n_mods + 1, sizeof(*mods));
		if (!mods)
			return -1;
		change_invert(&inverse, mods, &c[n]);
		if (directory_change(d, &inverse, &err) < 0)
			rc = -1;
		free(mods);
		if (rc < 0 && err.code == ERR_OFFLINE)
			break;
	}
	return rc;
}
