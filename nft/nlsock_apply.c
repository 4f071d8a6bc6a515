/* The way from the table in the kernel to the one that is wanted. */
#include "nft/nlsock_parts.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/membarrier.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "nft/batch.h"
#include "nft/guard.h"
#include "schema/err.h"
#include "schema/rd.h"

#define MAX_COMMITS	2
#define SETTLED_MS	200	/* no packet is under way that long */
#define MAX_LOOKS	4	/* at what was committed, before it is committed again */

/* ---- one transaction ---- */

static int sndbuf_raise(const struct nlsock *s, size_t len, struct err *err)
{
	int want, have = 0;
	socklen_t size = sizeof(have);

	if (len > INT32_MAX / 4)
		return err_set(err, ERR_LIMIT, "a transaction of %zu bytes is too large", len);
	want = (int)len + 4096;
	getsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &have, &size);
	if (have < want && setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof(want)) < 0)
		return err_set(err, ERR_SYSTEM, "cannot raise the send buffer to %d: %s", want, strerror(errno));
	return 0;
}

/* Where in our message the kernel found the error; 0: it does not say. */
static uint32_t error_offset(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	size_t skip = sizeof(*e);
	const struct nlattr *a;
	uint32_t v = 0;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS) || mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
		return 0;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED) && e->msg.nlmsg_len >= sizeof(e->msg))
		skip += MNL_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	if (skip > mnl_nlmsg_get_payload_len(nlh))
		return 0;
	mnl_attr_for_each(a, nlh, skip)
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_OFFS && mnl_attr_get_payload_len(a) == sizeof(v))
			memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return v;
}

static int refused(const struct nlbatch *b, const struct nlmsghdr *nlh, int error, struct err *err)
{
	uint32_t seq = nlh->nlmsg_seq;
	const bool exact = batch_locate(b, &seq, error_offset(nlh));
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return err_nomem(err);
	batch_object_write(b, seq, out);
	if (!exact && batch_after(b, seq))
		fprintf(out, " or one of the %u after it", batch_after(b, seq));
	if (fclose(out) != 0) {
		free(text);
		return err_nomem(err);
	}
	err_set(err, error == EPERM ? ERR_DENIED : ERR_KERNEL, "refused: %s: %s", text, strerror(error));
	free(text);
	return -1;
}

/* The kernel has answered everything before send returns.  1: somebody else was
 * faster (or asks to try again); 0: no refusal seen; -1: refused. */
static int answers_read(struct nlsock *s, const struct nlbatch *b, struct err *err)
{
	int rc = 0, left;
	ssize_t n;

	for (;;) {
		n = nlsock_recv(s->fd, s->buf, MSG_DONTWAIT);
		if (n < 0 && errno == ENOBUFS)
			continue;	/* acknowledgements were lost, no more; read-back tells */
		if (n < 0)
			return rc;
		left = (int)n;
		for (const struct nlmsghdr *nlh = (const void *)s->buf; mnl_nlmsg_ok(nlh, left);
		    nlh = mnl_nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_type != NLMSG_ERROR || rc ||
			    mnl_nlmsg_get_payload_len(nlh) < sizeof(e->error) || e->error == 0)
				continue;
			rc = e->error == -ERESTART || e->error == -EAGAIN || e->error == -EINTR ? 1 :
			    refused(b, nlh, -e->error, err);
		}
	}
}

/* Nobody watches meanwhile: for each element the kernel would keep a buffer of 4 KB
 * until the end of the transaction.  What others change before it makes it fail, what
 * they change after it the next fetch sees. */
static int commit(struct nlsock *s, const struct nlbatch *b, struct err *err)
{
	ssize_t sent;

	if (sndbuf_raise(s, b->len, err) < 0 || nlsock_watch_pause(s, true, err) < 0)
		return -1;
	nlsock_drain(s);
	sent = nlsock_send(s, b->bytes, b->len);
	if (sent < 0)
		err_set(err, ERR_SYSTEM, "cannot send %zu bytes to nftables: %s", b->len, strerror(errno));
	if (nlsock_watch_pause(s, false, err) < 0 || sent < 0)
		return -1;
	return answers_read(s, b, err);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until all packets that are under way now are through: a grace period of RCU, which they run under. */
static void packets_wait(void)
{
	const struct timespec long_enough = { .tv_nsec = 30000000 };

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		nanosleep(&long_enough, NULL);
}

/* ---- the guard ---- */

/* Others may change something before it.  As commit(). */
static int guard_commit(struct nlsock *s, const struct ruleset *guard, struct err *err)
{
	struct nlbatch *b;
	int rc;

	if (batch_guard(&b, guard, err) < 0)
		return -1;
	rc = commit(s, b, err);
	/* If others did, this is not the generation, and what is known is asked for again. */
	if (rc == 0)
		s->genid++;
	batch_free(b);
	return rc;
}

/* Also one of a process that was killed.  1: there was one, 0: none, -1. */
static int guard_remove(struct nlsock *s, struct err *err)
{
	int removed = 0;

	for (int i = 0; i < TRIES; i++) {
		struct wr wr = { 0 };
		enum answer a;

		nlsock_drain(s);
		a = table_get(s, RULESET_GUARD, &wr, err);
		free(wr.p);
		if (a == ANSWER_ABSENT)
			return removed;
		if (a == ANSWER_ERROR || (a == ANSWER_DONE && guard_commit(s, NULL, err) < 0))
			return -1;
		removed = 1;
	}
	return err_set(err, ERR_KERNEL, "the table " RULESET_GUARD " cannot be removed");
}

/* ---- until it is as wanted ---- */

struct apply {
	const struct ruleset	*want;
	struct apply_report	 rep;
	struct ruleset		*guard;		/* that stands; NULL: none */
	int			 n_commits, n_looks;
	bool			 differs;
	FILE			*log;
};

/* Before the kernel has the changes: 0: a guard stands if one is needed; 1: try again; -1: error. */
static int guard_put(struct nlsock *s, struct apply *x, const struct rs_changes *c, struct err *err)
{
	struct ruleset *guard = NULL;
	int rc = guard_plan(&guard, c, err);

	/* What is said of one change is not true of two while a packet is under way. */
	if (rc == 0 && !guard && c->have && s->changed_ms && now_ms() - s->changed_ms < SETTLED_MS)
		packets_wait();
	if (rc == 0 && guard && (!x->guard || ruleset_diff(guard, x->guard, NULL))) {
		rc = guard_commit(s, guard, err);
		if (rc == 0) {
			ruleset_free(x->guard);
			x->guard = guard;
			guard = NULL;
			packets_wait();
		}
	}
	ruleset_free(guard);
	return rc;
}

/* As commit(). */
static int changes_commit(struct nlsock *s, struct apply *x, const struct rs_changes *c, struct err *err)
{
	struct nlbatch *b = NULL;
	uint32_t genid;
	size_t len;
	int rc = guard_put(s, x, c, err);

	if (rc)
		return rc;
	genid = s->genid;
	if (batch_changes(&b, c, genid, err) < 0)
		return -1;
	len = b->len;
	rc = commit(s, b, err);
	batch_free(b);
	if (rc)
		return rc;
	x->rep.n_bytes += len;
	x->n_commits++;
	x->n_looks = 0;
	s->changed_ms = now_ms();
	rc = nlsock_prove(s, c, genid + 1, err);
	if (rc == 1)
		nlsock_know(s, x->want ? ruleset_share(x->want) : NULL, genid + 1);
	else
		nlsock_forget(s);
	return rc < 0 ? -1 : 0;
}

/* 0: it is as wanted; 1: something was sent (or must be tried again); -1: error.
 * The differences are counted until a transaction is committed. */
static int apply_once(struct nlsock *s, struct apply *x, struct err *err)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	struct rs_changes c = { 0 };
	size_t n;
	int rc = -1;

	if (nlsock_current(s, err) < 0 || changes_find(&c, x->want, s->held, err) < 0)
		return -1;
	n = changes_write(&c, x->log);
	x->log = NULL;
	x->differs = x->n_commits && n;
	if (!x->n_commits) {
		x->rep.n_changes = n;
		x->rep.created = x->want && !s->held;
	}
	if (n == 0) {
		/* Of the two that are equal the one that was rendered is smaller. */
		nlsock_know(s, x->want ? ruleset_share(x->want) : NULL, s->genid);
		rc = 0;
	} else if (x->n_commits && ++x->n_looks < MAX_LOOKS) {
		/* A large set's hash is still growing in the background: its dump can lack elements. */
		nlsock_forget(s);
		nanosleep(&pause, NULL);
		rc = 1;
	} else if (x->n_commits == MAX_COMMITS) {
		err_set(err, ERR_KERNEL, "still in %zu places after %d transactions", n, MAX_COMMITS);
	} else {
		rc = changes_commit(s, x, &c, err) < 0 ? -1 : 1;
	}
	changes_free(&c);
	return rc;
}

int nlsock_apply(struct nlsock *s, const struct ruleset *want, struct apply_report *rep, FILE *log, struct err *err)
{
	struct apply x = { .want = want, .log = log };
	struct err late;
	int rc = 1, removed = 1;

	/* While the guard is removed nobody watches, so afterwards the table is looked at again. */
	for (int i = 0; (rc > 0 || (rc == 0 && removed > 0)) && i < TRIES; i++) {
		rc = apply_once(s, &x, err);
		if (rc)
			continue;
		removed = guard_remove(s, err);
		ruleset_free(x.guard);
		x.guard = NULL;
	}
	if (rc == 0 && removed < 0) {
		rc = err_prefix(err, "committed, but the guard stays");
		goto out;
	}
	if (rc > 0)
		rc = err_set(err, ERR_KERNEL, "others change nftables faster than a transaction can be prepared");
	if (rc < 0 && x.n_commits)
		err_prefix(err, x.differs ? "committed, but the kernel's table reads back differently" :
		    "committed, but the kernel's table cannot be read back");
	/* What failed first is what is told. */
	if (rc < 0)
		guard_remove(s, &late);
out:
	if (rc == 0 && rep)
		*rep = x.rep;
	ruleset_free(x.guard);
	return rc;
}
