#include "nft/nlsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nft/batch.h"
#include "nft/readback.h"
#include "schema/err.h"
#include "schema/rd.h"

#define RECV_SIZE	(1u << 16)	/* the kernel fills dumps of up to 32 KB a message */
#define RCVBUF		(8 << 20)
#define MAX_COMMITS	2
#define MAX_LOOKS	4	/* at what was committed, before it is committed again */
#define TRIES		16		/* dumps and commits that others keep interrupting */

struct nlsock {
	int		 fd, watch_fd;
	uint32_t	 portid;
	uint32_t	 seq;
	bool		 touched;	/* our table, in the transaction being watched */
	uint8_t		*buf;		/* RECV_SIZE */
};

/* ---- the socket ---- */

static int socket_open(uint32_t *portid, int flags, struct err *err)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(sa);
	const int rcvbuf = RCVBUF, on = 1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_NETFILTER);

	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "cannot open a netlink socket to nftables: %s", strerror(errno));
	/* Without privilege the default has to do. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
		err_set(err, ERR_SYSTEM, "cannot bind a netlink socket: %s", strerror(errno));
		close(fd);
		return -1;
	}
	/* Errors without the whole message but with the place in it; older kernels do not. */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	*portid = sa.nl_pid;
	return fd;
}

struct nlsock *nlsock_open(struct err *err)
{
	struct nlsock *s = calloc(1, sizeof(*s));

	if (s)
		s->buf = malloc(RECV_SIZE);
	if (!s || !s->buf) {
		free(s);
		err_nomem(err);
		return NULL;
	}
	s->watch_fd = -1;
	s->fd = socket_open(&s->portid, 0, err);
	if (s->fd < 0) {
		nlsock_close(s);
		return NULL;
	}
	return s;
}

void nlsock_close(struct nlsock *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->watch_fd >= 0)
		close(s->watch_fd);
	free(s->buf);
	free(s);
}

static ssize_t send_all(const struct nlsock *s, const void *p, size_t len)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;

	do
		n = sendto(s->fd, p, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	return n;
}

/* Bytes of one datagram from the kernel; -1: errno.  Others' datagrams are dropped. */
static ssize_t recv_one(int fd, uint8_t *buf, int flags)
{
	struct sockaddr_nl from;
	socklen_t len;
	ssize_t n;

	do {
		len = sizeof(from);
		n = recvfrom(fd, buf, RECV_SIZE, flags, (struct sockaddr *)&from, &len);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	return n;
}

/* ---- asking ---- */

enum answer { ANSWER_ERROR = -1, ANSWER_DONE, ANSWER_MORE, ANSWER_AGAIN, ANSWER_ABSENT };

static struct nlmsghdr *request_begin(struct nlsock *s, uint8_t buf[static MNL_NLMSG_HDRLEN], int type, int flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = ++s->seq;
	nfg->nfgen_family = NFPROTO_INET;
	return nlh;
}

static enum answer error_see(const struct nlmsghdr *nlh, struct err *err)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(e->error))
		return err_set(err, ERR_SYSTEM, "the kernel sent a cut netlink message");
	if (e->error == 0)
		return ANSWER_DONE;
	if (e->error == -ENOENT)
		return ANSWER_ABSENT;
	if (e->error == -EINTR || e->error == -EAGAIN || e->error == -EBUSY)
		return ANSWER_AGAIN;
	return err_set(err, e->error == -EPERM ? ERR_DENIED : ERR_SYSTEM, "cannot read the nftables rules: %s",
	    strerror(-e->error));
}

/* One datagram of an answer; NEW messages go to wr. */
static enum answer answer_part(struct nlsock *s, struct wr *wr, bool dump, ssize_t n, struct err *err)
{
	const struct nlmsghdr *nlh = (const void *)s->buf;
	enum answer a;
	int left = (int)n;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_seq != s->seq)
			continue;
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			return ANSWER_AGAIN;
		if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
			a = nlh->nlmsg_type == NLMSG_DONE ? ANSWER_DONE : error_see(nlh, err);
			return a;
		}
		wr_bytes(wr, nlh, MNL_ALIGN(nlh->nlmsg_len));
		if (!dump)
			return ANSWER_DONE;
	}
	return ANSWER_MORE;
}

static enum answer ask(struct nlsock *s, struct nlmsghdr *nlh, struct wr *wr, struct err *err)
{
	const bool dump = (nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	enum answer a;
	ssize_t n;

	if (send_all(s, nlh, nlh->nlmsg_len) < 0)
		return err_set(err, ERR_SYSTEM, "cannot ask nftables: %s", strerror(errno));
	do {
		n = recv_one(s->fd, s->buf, 0);
		if (n < 0 && errno == ENOBUFS)
			return ANSWER_AGAIN;
		if (n < 0)
			return err_set(err, ERR_SYSTEM, "cannot read from nftables: %s", strerror(errno));
		a = answer_part(s, wr, dump, n, err);
	} while (a == ANSWER_MORE);
	if (wr->bad)
		return err_nomem(err);
	return a;
}

/* What is left of an answer that was given up. */
static void drain(struct nlsock *s)
{
	while (recv_one(s->fd, s->buf, MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
}

static int genid_get(struct nlsock *s, uint32_t *ret, struct err *err)
{
	uint8_t buf[256];
	const struct nlattr *tb[NFTA_GEN_MAX + 1] = { NULL }, *a;
	struct wr wr = { 0 };
	enum answer got;
	const struct nlmsghdr *nlh;

	got = ask(s, request_begin(s, buf, NFT_MSG_GETGEN, 0), &wr, err);
	nlh = (const void *)wr.p;
	if (got == ANSWER_DONE && wr.len > MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg))
		mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
			if (mnl_attr_get_type(a) <= NFTA_GEN_MAX)
				tb[mnl_attr_get_type(a)] = a;
	if (got != ANSWER_ERROR && !attr_be32(tb[NFTA_GEN_ID], ret))
		err_set(err, ERR_SYSTEM, "nftables tells no generation");
	got = got == ANSWER_ERROR || !tb[NFTA_GEN_ID] ? ANSWER_ERROR : ANSWER_DONE;
	free(wr.p);
	return got == ANSWER_DONE ? 0 : -1;
}

static enum answer table_get(struct nlsock *s, const char *name, struct wr *wr, struct err *err)
{
	uint8_t buf[256];
	struct nlmsghdr *nlh = request_begin(s, buf, NFT_MSG_GETTABLE, 0);

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, name);
	return ask(s, nlh, wr, err);
}

/* attr: the type's table attribute; the kernel ignores it for chains. */
static enum answer dump_get(struct nlsock *s, int type, uint16_t attr, struct wr *wr, struct err *err)
{
	uint8_t buf[256];
	struct nlmsghdr *nlh = request_begin(s, buf, type, NLM_F_DUMP);

	mnl_attr_put_strz(nlh, attr, RULESET_TABLE);
	return ask(s, nlh, wr, err);
}

static enum answer elements_get(struct nlsock *s, const char *set, struct wr *wr, struct err *err)
{
	uint8_t buf[512];
	struct nlmsghdr *nlh = request_begin(s, buf, NFT_MSG_GETSETELEM, NLM_F_DUMP);

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, RULESET_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	return ask(s, nlh, wr, err);
}

/* Elements of every set that stands in wr so far. */
static enum answer all_elements_get(struct nlsock *s, struct wr *wr, struct err *err)
{
	struct ruleset *sets = NULL;
	enum answer a = ANSWER_DONE;

	if (readback_parse(&sets, wr->p, wr->len, err) < 0)
		return ANSWER_ERROR;
	for (size_t i = 0; sets && i < sets->n_sets && a == ANSWER_DONE; i++)
		a = elements_get(s, sets->sets[i]->name, wr, err);
	ruleset_free(sets);
	return a;
}

/* ABSENT only when it is the table that is not there. */
static enum answer all_get(struct nlsock *s, struct wr *wr, struct err *err)
{
	enum answer a = table_get(s, RULESET_TABLE, wr, err);

	if (a != ANSWER_DONE)
		return a;
	if ((a = dump_get(s, NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, wr, err)) != ANSWER_DONE ||
	    (a = dump_get(s, NFT_MSG_GETSET, NFTA_SET_TABLE, wr, err)) != ANSWER_DONE ||
	    (a = all_elements_get(s, wr, err)) != ANSWER_DONE ||
	    (a = dump_get(s, NFT_MSG_GETRULE, NFTA_RULE_TABLE, wr, err)) != ANSWER_DONE)
		return a == ANSWER_ABSENT ? ANSWER_AGAIN : a;
	return ANSWER_DONE;
}

/* The table of one single generation. */
static int fetch(struct nlsock *s, struct ruleset **ret, uint32_t *genid, struct err *err)
{
	for (int i = 0; i < TRIES; i++) {
		struct wr wr = { 0 };
		uint32_t after;
		enum answer a;
		int rc = 0;

		drain(s);
		if (genid_get(s, genid, err) < 0)
			return -1;
		a = all_get(s, &wr, err);
		if (a != ANSWER_ERROR)
			drain(s);
		if (a == ANSWER_ERROR || genid_get(s, &after, err) < 0) {
			free(wr.p);
			return -1;
		}
		if (a == ANSWER_AGAIN || after != *genid) {
			free(wr.p);
			continue;
		}
		*ret = NULL;
		if (a == ANSWER_DONE)
			rc = readback_parse(ret, wr.p, wr.len, err);
		free(wr.p);
		return rc;
	}
	return err_set(err, ERR_SYSTEM, "the nftables rules change faster than they can be read");
}

int nlsock_fetch(struct nlsock *s, struct ruleset **ret, struct err *err)
{
	uint32_t genid;

	return fetch(s, ret, &genid, err);
}

/* ---- committing ---- */

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
	const size_t i = seq - b->first_seq;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return err_nomem(err);
	batch_object_write(b, seq, out);
	if (!exact && i < b->n_objects && b->objects[i].n_group > 1)
		fprintf(out, " or one of the %u after it", b->objects[i].n_group - 1);
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
		n = recv_one(s->fd, s->buf, MSG_DONTWAIT);
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

static int watch_set(const struct nlsock *s, int option, struct err *err)
{
	const int group = NFNLGRP_NFTABLES;

	if (s->watch_fd < 0 || setsockopt(s->watch_fd, SOL_NETLINK, option, &group, sizeof(group)) == 0)
		return 0;
	return err_set(err, ERR_SYSTEM, "cannot watch nftables: %s", strerror(errno));
}

/* Nobody watches meanwhile: for each element the kernel would keep a buffer of 4 KB
 * until the end of the transaction.  What others change before it makes it fail, what
 * they change after it the next fetch sees. */
static int commit(struct nlsock *s, const struct nlbatch *b, struct err *err)
{
	ssize_t sent;

	if (sndbuf_raise(s, b->len, err) < 0 || watch_set(s, NETLINK_DROP_MEMBERSHIP, err) < 0)
		return -1;
	drain(s);
	sent = send_all(s, b->bytes, b->len);
	if (sent < 0)
		err_set(err, ERR_SYSTEM, "cannot send %zu bytes to nftables: %s", b->len, strerror(errno));
	if (watch_set(s, NETLINK_ADD_MEMBERSHIP, err) < 0 || sent < 0)
		return -1;
	return answers_read(s, b, err);
}

struct apply {
	const struct ruleset	*want;
	struct apply_report	 rep;
	int			 n_commits, n_looks;
	bool			 differs, guarded;
	FILE			*log;
};

/* The guard with the rules of want (NULL: gone).  As commit(). */
static int guard_commit(struct nlsock *s, const struct ruleset *want, struct err *err)
{
	struct nlbatch *b;
	int rc;

	if (batch_guard(&b, want, err) < 0)
		return -1;
	rc = commit(s, b, err);
	batch_free(b);
	return rc;
}

/* Also one of a process that was killed. */
static int guard_remove(struct nlsock *s, struct err *err)
{
	for (int i = 0; i < TRIES; i++) {
		struct wr wr = { 0 };
		enum answer a;

		drain(s);
		a = table_get(s, RULESET_GUARD, &wr, err);
		free(wr.p);
		if (a == ANSWER_ABSENT)
			return 0;
		if (a == ANSWER_ERROR || (a == ANSWER_DONE && guard_commit(s, NULL, err) < 0))
			return -1;
	}
	return err_set(err, ERR_KERNEL, "the table " RULESET_GUARD " cannot be removed");
}

/* 0: it is as wanted; 1: something was sent (or must be tried again); -1: error.
 * The differences are counted until a transaction is committed. */
static int apply_once(struct nlsock *s, struct apply *x, struct err *err)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	struct ruleset *have = NULL;
	struct nlbatch *b = NULL;
	uint32_t genid;
	size_t n;
	int rc = -1;

	if (fetch(s, &have, &genid, err) < 0)
		return -1;
	n = ruleset_diff(x->want, have, x->log);
	x->log = NULL;
	x->differs = x->n_commits && n;
	if (!x->n_commits) {
		x->rep.n_changes = n;
		x->rep.created = x->want && !have;
	}
	if (n == 0) {
		rc = 0;
		goto out;
	}
	/* A large set's hash is still growing in the background: its dump can lack elements. */
	if (x->n_commits && ++x->n_looks < MAX_LOOKS) {
		nanosleep(&pause, NULL);
		rc = 1;
		goto out;
	}
	if (x->n_commits == MAX_COMMITS) {
		err_set(err, ERR_KERNEL, "still in %zu places after %d transactions", n, MAX_COMMITS);
		goto out;
	}
	if (!x->guarded && x->want && have) {
		rc = guard_commit(s, x->want, err);
		x->guarded = rc == 0;
		rc = rc < 0 ? -1 : 1;
		goto out;
	}
	if (batch_build(&b, x->want, have, genid, err) < 0)
		goto out;
	rc = commit(s, b, err);
	if (rc < 0)
		goto out;
	x->rep.n_bytes += b->len;
	x->n_commits += rc == 0;
	x->n_looks = 0;
	rc = 1;
out:
	batch_free(b);
	ruleset_free(have);
	return rc;
}

int nlsock_apply(struct nlsock *s, const struct ruleset *want, struct apply_report *rep, FILE *log, struct err *err)
{
	struct apply x = { .want = want, .log = log };
	struct err late;
	int rc = 1;

	for (int i = 0; rc > 0 && i < TRIES; i++)
		rc = apply_once(s, &x, err);
	if (rc > 0)
		rc = err_set(err, ERR_KERNEL, "others change nftables faster than a transaction can be prepared");
	if (rc < 0 && x.n_commits)
		err_prefix(err, x.differs ? "committed, but the kernel's table reads back differently" :
		    "committed, but the kernel's table cannot be read back");
	/* What failed first is what is told. */
	if (guard_remove(s, rc < 0 ? &late : err) < 0 && rc == 0)
		rc = err_prefix(err, "committed, but the guard stays");
	if (rc == 0 && rep)
		*rep = x.rep;
	return rc;
}

/* ---- watching ---- */

int nlsock_watch_open(struct nlsock *s, struct err *err)
{
	uint32_t portid;

	if (s->watch_fd >= 0)
		return s->watch_fd;
	s->watch_fd = socket_open(&portid, SOCK_NONBLOCK, err);
	if (s->watch_fd < 0)
		return -1;
	if (watch_set(s, NETLINK_ADD_MEMBERSHIP, err) < 0) {
		close(s->watch_fd);
		s->watch_fd = -1;
		return -1;
	}
	return s->watch_fd;
}

/* The table's name is attribute 1 of every message about tables and what is in them. */
static bool about_our_table(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg) || nfg->nfgen_family != NFPROTO_INET)
		return false;
	mnl_attr_for_each(a, nlh, sizeof(*nfg))
		if (mnl_attr_get_type(a) == NFTA_TABLE_NAME)
			return attr_text(a) && !strcmp(attr_text(a), RULESET_TABLE);
	return false;
}

/* A transaction's changes come first, then its NEWGEN; all bear the netlink port
 * of who sent it.  (NFTA_GEN_PROC_PID is of the first PID namespace: no use in a
 * container.) */
static bool event_see(struct nlsock *s, const struct nlmsghdr *nlh)
{
	bool touched = false;

	if (NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_NFTABLES)
		return false;
	if (NFNL_MSG_TYPE(nlh->nlmsg_type) != NFT_MSG_NEWGEN) {
		s->touched |= about_our_table(nlh);
		return false;
	}
	touched = s->touched && nlh->nlmsg_pid != s->portid;
	s->touched = false;
	return touched;
}

int nlsock_watch_read(struct nlsock *s, struct err *err)
{
	int ours = 0, left;
	ssize_t n;

	for (;;) {
		n = recv_one(s->watch_fd, s->buf, 0);
		if (n < 0 && errno == ENOBUFS) {
			ours = 1;
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return ours;
		if (n < 0)
			return err_set(err, ERR_SYSTEM, "cannot watch nftables: %s", strerror(errno));
		left = (int)n;
		for (const struct nlmsghdr *nlh = (const void *)s->buf; mnl_nlmsg_ok(nlh, left);
		    nlh = mnl_nlmsg_next(nlh, &left))
			if (event_see(s, nlh))
				ours = 1;
	}
}
