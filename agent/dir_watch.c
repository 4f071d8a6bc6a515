#include "agent/dir_watch.h"

#include <ldap.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "agent/dir_backend.h"
#include "gpo/watch.h"
#include "schema/arena.h"
#include "schema/err.h"

#define NOTIFICATION_OID	"1.2.840.113556.1.4.528"	/* [MS-ADTS] 3.1.1.3.4.1.9 */
#define IDLE			60.0	/* seconds of waiting at a time */
#define PAUSE			1.0	/* between two lines */
#define MAX_CSNS		16	/* servers that write to one directory */
#define KEEPALIVE_IDLE		300	/* seconds; then as often as below until the peer is given up */
#define KEEPALIVE_INTERVAL	30
#define KEEPALIVE_PROBES	4

#define SYNC_PRESENT		0			/* RFC 4533 2.2 */

struct watching {
	struct directory	*d;
	LDAP			*ld;
	const struct gp_watch	*plan;
	FILE			*out;
	int			 ids[GP_WATCH_MAX];
	size_t			 n_live;
	bool			 quiet;		/* what comes is the present state, not a change */
	bool			 pending;	/* a change that no line tells of yet */
	double			 next;		/* when it may, dir_now() */
};

/* ---- asking ---- */

/* "rid=001,csn=A;B": all that was written so far is known.  NULL: the server does not say. */
static char *sync_cookie(struct watching *w, struct arena *a, struct err *err)
{
	static const char *const attrs[] = { "objectClass", "contextCSN", NULL };
	const struct dir_query q = { w->plan->q[0].base, DIR_BASE, "(objectClass=*)", attrs, 0 };
	const struct dir_attr *csn;
	struct dir_search answer;
	char *text;

	if (directory_ask(w->d, &q, &answer, a, err) < 0 || !answer.n_entries)
		return NULL;
	csn = entry_attr(&answer.entries[0], "contextCSN");
	if (!csn || !csn->n_values || csn->n_values > MAX_CSNS)
		return NULL;
	text = arena_strdup(a, "rid=001,csn=");
	for (size_t i = 0; text && i < csn->n_values; i++)
		text = arena_printf(a, "%s%s%s", text, i ? ";" : "", (const char *)csn->values[i].p);
	return text;
}

static int make_control(LDAPControl **ret, struct watching *w, struct err *err)
{
	struct arena *a = arena_new(0);
	struct berval *value = NULL, cookie = { 0 };
	BerElement *ber = NULL;
	int rc = -1;

	if (w->plan->ad) {
		rc = ldap_control_create(NOTIFICATION_OID, 1, NULL, 0, ret) == LDAP_SUCCESS ? 0 : err_nomem(err);
		goto out;
	}
	ber = ber_alloc_t(LBER_USE_DER);
	if (!a || !ber) {
		err_nomem(err);
		goto out;
	}
	err->code = ERR_NONE;
	cookie.bv_val = sync_cookie(w, a, err);
	if (!cookie.bv_val && err->code != ERR_NONE)
		goto out;
	cookie.bv_len = cookie.bv_val ? strlen(cookie.bv_val) : 0;
	w->quiet = !cookie.bv_val;
	if (ber_printf(ber, cookie.bv_val ? "{eOb}" : "{eXb}", LDAP_SYNC_REFRESH_AND_PERSIST, &cookie, 0) < 0)
		goto nomem;
	if (ber_flatten(ber, &value) < 0 || ldap_control_create(LDAP_CONTROL_SYNC, 1, value, 1, ret) != LDAP_SUCCESS)
		goto nomem;
	rc = 0;
	goto out;
nomem:
	err_nomem(err);
out:
	ber_bvfree(value);
	ber_free(ber, 1);
	arena_free(a);
	return rc;
}

static int send_searches(struct watching *w, struct err *err)
{
	static const int scopes[] = { [DIR_BASE] = LDAP_SCOPE_BASE, [DIR_ONE] = LDAP_SCOPE_ONELEVEL, [DIR_SUB] = LDAP_SCOPE_SUBTREE };
	LDAPControl *ctrls[2] = { NULL };
	int rc = LDAP_SUCCESS;

	if (make_control(&ctrls[0], w, err) < 0)
		return -1;
	for (size_t i = 0; i < w->plan->n && rc == LDAP_SUCCESS; i++) {
		const struct dir_query *q = &w->plan->q[i];

		dir_io_until(w->ld, dir_now() + IDLE);
		rc = ldap_search_ext(w->ld, q->base, scopes[q->scope], q->filter, (char **)q->attrs, 0, ctrls, NULL, NULL,
		    LDAP_NO_LIMIT, &w->ids[i]);
		w->n_live++;
	}
	ldap_control_free(ctrls[0]);
	return rc == LDAP_SUCCESS ? 0 : dir_ldap_error(w->ld, rc, "asking for notifications", err);
}

/* ---- what is told ---- */

static bool state_is_change(LDAPControl **ctrls)
{
	LDAPControl *c = ldap_control_find(LDAP_CONTROL_SYNC_STATE, ctrls, NULL);
	BerElement *ber = c ? ber_init(&c->ldctl_value) : NULL;
	struct berval uuid;
	ber_int_t state;
	bool yes = false;

	if (ber && ber_scanf(ber, "{em", &state, &uuid) != LBER_ERROR)
		yes = state != SYNC_PRESENT;
	ber_free(ber, 1);
	return yes;
}

static bool entry_is_change(struct watching *w, LDAPMessage *msg)
{
	LDAPControl **ctrls = NULL;
	bool yes;

	if (w->plan->ad)
		return true;
	if (w->quiet || ldap_get_entry_controls(w->ld, msg, &ctrls) != LDAP_SUCCESS)
		return false;
	yes = state_is_change(ctrls);
	ldap_controls_free(ctrls);
	return yes;
}

/* refreshDelete and refreshPresent without "not done yet" end the present state; a set of identifiers is of deleted
 * entries.  A new cookie alone is of a change elsewhere. */
static bool info_is_change(struct watching *w, LDAPMessage *msg)
{
	struct berval *value = NULL, cookie;
	BerElement *ber = NULL;
	char *oid = NULL;
	ber_len_t len;
	ber_tag_t tag = 0;
	ber_int_t done = 1;

	if (ldap_parse_intermediate(w->ld, msg, &oid, &value, NULL, 0) == LDAP_SUCCESS && oid && value && !strcmp(oid, LDAP_SYNC_INFO))
		ber = ber_init(value);
	if (ber)
		tag = ber_peek_tag(ber, &len);
	if (tag == LDAP_TAG_SYNC_REFRESH_DELETE || tag == LDAP_TAG_SYNC_REFRESH_PRESENT) {
		ber_scanf(ber, "{");
		if (ber_peek_tag(ber, &len) == LDAP_TAG_SYNC_COOKIE)
			ber_scanf(ber, "m", &cookie);
		if (ber_peek_tag(ber, &len) == LDAP_TAG_REFRESHDONE)
			ber_scanf(ber, "b", &done);
		if (done)
			w->quiet = false;
	}
	ber_free(ber, 1);
	ber_bvfree(value);
	ldap_memfree(oid);
	return tag == LDAP_TAG_SYNC_ID_SET && !w->quiet;
}

/* A search that the server has ended.  The first one is what most depends on. */
static int ended(struct watching *w, LDAPMessage *msg, struct err *err)
{
	int id = ldap_msgid(msg), code = LDAP_OTHER;

	if (ldap_parse_result(w->ld, msg, &code, NULL, NULL, NULL, NULL, 0) != LDAP_SUCCESS)
		return err_set(err, ERR_OFFLINE, "malformed result");
	for (size_t i = 0; i < w->plan->n; i++)
		w->n_live -= w->ids[i] == id && i > 0;
	if (id != w->ids[0])
		return 0;
	if (code == LDAP_SUCCESS)
		return err_set(err, ERR_UNSUPPORTED, "the server does not notify of changes");
	dir_ldap_error(w->ld, code, "notifications", err);
	if (code == LDAP_UNAVAILABLE_CRITICAL_EXTENSION)
		err->code = ERR_UNSUPPORTED;
	return -1;
}

/* One message, if one comes in time. */
static int message(struct watching *w, double seconds, struct err *err)
{
	struct timeval tv = { .tv_sec = (time_t)seconds };
	LDAPMessage *msg = NULL;
	int rc;

	tv.tv_usec = (suseconds_t)((seconds - (double)tv.tv_sec) * 1e6);
	dir_io_until(w->ld, dir_now() + seconds);
	rc = ldap_result(w->ld, LDAP_RES_ANY, LDAP_MSG_ONE, &tv, &msg);
	if (rc < 0) {
		ldap_get_option(w->ld, LDAP_OPT_RESULT_CODE, &rc);
		return dir_ldap_error(w->ld, rc, "connection lost", err);
	}
	if (rc == 0)
		return 0;
	switch (ldap_msgtype(msg)) {
	case LDAP_RES_SEARCH_ENTRY:
		w->pending |= entry_is_change(w, msg);
		rc = 0;
		break;
	case LDAP_RES_INTERMEDIATE:
		w->pending |= info_is_change(w, msg);
		rc = 0;
		break;
	case LDAP_RES_SEARCH_RESULT:
		rc = ended(w, msg, err);
		break;
	default:
		rc = 0;
	}
	ldap_msgfree(msg);
	return rc;
}

static int say(struct watching *w, struct err *err)
{
	if (fflush(w->out) == 0 && !ferror(w->out))
		return 0;
	return err_set(err, ERR_SYSTEM, "nobody listens");
}

/* Requests are taken in order: when this one is answered, those before it have been accepted, or their end is here. */
static int wait_accepted(struct watching *w, struct err *err)
{
	static const char *const attrs[] = { "objectClass", NULL };
	const struct dir_query q = { "", DIR_BASE, "(objectClass=*)", attrs, 0 };
	struct arena *a = arena_new(0);
	struct dir_search answer;
	int rc;

	if (!a)
		return err_nomem(err);
	rc = directory_ask(w->d, &q, &answer, a, err);
	arena_free(a);
	for (size_t i = 0; rc == 0 && i < w->plan->n; i++)
		rc = message(w, 0, err);
	return rc;
}

/* A peer that is gone without a word is noticed; a unix socket takes none of it. */
static void keep_alive(LDAP *ld)
{
	const int on = 1, idle = KEEPALIVE_IDLE, interval = KEEPALIVE_INTERVAL, probes = KEEPALIVE_PROBES;
	int fd = -1;

	if (ldap_get_option(ld, LDAP_OPT_DESC, &fd) != 0 || fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

int directory_watch(struct directory *d, const struct gp_watch *plan, FILE *out, struct err *err)
{
	struct watching w = { .d = d, .ld = d->ld, .plan = plan, .out = out };
	double left;

	if (!d->ld)
		return err_set(err, ERR_UNSUPPORTED, "%s does not notify of changes", d->server);
	if (send_searches(&w, err) < 0 || wait_accepted(&w, err) < 0)
		return err_prefix(err, "%s", d->server);
	keep_alive(w.ld);
	fprintf(out, "WATCHING %zu\n", w.n_live);
	for (;;) {
		left = w.next - dir_now();
		if (w.pending && left <= 0) {
			fputs("CHANGED\n", out);
			w.pending = false;
			w.next = dir_now() + PAUSE;
		}
		if (say(&w, err) < 0)
			return -1;
		if (message(&w, w.pending && left > 0 ? left : IDLE, err) < 0)
			return err_prefix(err, "%s", d->server);
	}
}
