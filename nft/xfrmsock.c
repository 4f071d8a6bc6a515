#include "nft/xfrmsock_parts.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nft/netlink.h"
#include "schema/arena.h"
#include "schema/err.h"

#define TRIES	16	/* dumps whose messages were lost */

struct xfrmsock *xfrmsock_open(struct err *err)
{
	struct xfrmsock *x = calloc(1, sizeof(*x));

	if (!x) {
		err_nomem(err);
		return NULL;
	}
	x->fd = x->watch_fd = -1;
	x->in = malloc(XFRM_RECV_SIZE);
	x->out = malloc(XFRM_SEND_SIZE);
	if (!x->in || !x->out)
		err_nomem(err);
	else
		x->fd = netlink_open(NETLINK_XFRM, "IPsec", 0, &x->portid, err);
	if (x->fd < 0) {
		xfrmsock_close(x);
		return NULL;
	}
	return x;
}

void xfrmsock_close(struct xfrmsock *x)
{
	if (!x)
		return;
	if (x->fd >= 0)
		close(x->fd);
	if (x->watch_fd >= 0)
		close(x->watch_fd);
	free(x->in);
	free(x->out);
	free(x);
}

static int refusal(int e, const char *what, struct err *err)
{
	return err_set(err, e == EPERM ? ERR_DENIED : e == EPROTONOSUPPORT ? ERR_ABSENT : ERR_SYSTEM, "cannot %s: %s", what, strerror(e));
}

/* errno of an NLMSG_ERROR; 0: an acknowledgement. */
static int error_number(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(e->error))
		return EPROTO;
	return -e->error;
}

/* ---- asking ---- */

/* Called with NULL first, and again whenever the dump starts anew.  -1: error. */
typedef int message_see(const struct nlmsghdr *nlh, void *cookie, struct err *err);

/* 1: all seen; 0: there is more; -1: error, -2: something was lost. */
static int dump_part(struct xfrmsock *x, size_t n, const char *what, message_see *see, void *cookie, struct err *err)
{
	const struct nlmsghdr *nlh = (const void *)x->in;
	int left = (int)n, e;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_seq != x->seq)
			continue;
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			return -2;
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 1;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			e = error_number(nlh);
			return e == EAGAIN || e == EINTR || e == EBUSY ? -2 : refusal(e, what, err);
		}
		if (see(nlh, cookie, err) < 0)
			return -1;
	}
	return 0;
}

static int dump_once(struct xfrmsock *x, const struct nlmsghdr *question, const char *what, message_see *see, void *cookie,
    struct err *err)
{
	ssize_t n;
	int rc;

	if (see(NULL, cookie, err) < 0)
		return -1;
	if (netlink_send(x->fd, question, question->nlmsg_len) < 0)
		return refusal(errno, what, err);
	do {
		n = netlink_recv(x->fd, x->in, XFRM_RECV_SIZE, 0);
		if (n < 0)
			return errno == ENOBUFS ? -2 : refusal(errno, what, err);
		rc = dump_part(x, (size_t)n, what, see, cookie, err);
		/* Security associations come with their keys. */
		if (question->nlmsg_type == XFRM_MSG_GETSA)
			explicit_bzero(x->in, (size_t)n);
	} while (rc == 0);
	return rc;
}

static void drain(struct xfrmsock *x)
{
	while (netlink_recv(x->fd, x->in, XFRM_RECV_SIZE, MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
}

static int dump(struct xfrmsock *x, struct nlmsghdr *build(void *buf, uint32_t seq), const char *what, message_see *see,
    void *cookie, struct err *err)
{
	_Alignas(struct nlmsghdr) uint8_t buf[XFRM_MESSAGE_MAX];
	int rc = -2;

	for (int i = 0; i < TRIES && rc == -2; i++) {
		drain(x);
		rc = dump_once(x, build(buf, ++x->seq), what, see, cookie, err);
	}
	if (rc == -2)
		return err_set(err, ERR_SYSTEM, "cannot %s: the answer was cut %d times", what, TRIES);
	return rc < 0 ? -1 : 0;
}

void xfrm_held_free(struct xfrm_held *h)
{
	spd_free(h->policies);
	spd_free(h->pins);
	spd_free(h->altered);
	spd_free(h->foreign);
	*h = (struct xfrm_held){ 0 };
}

static int held_see(const struct nlmsghdr *nlh, void *cookie, struct err *err)
{
	struct xfrm_held *h = cookie;
	struct spd_policy p;

	if (!nlh) {
		xfrm_held_free(h);
		h->policies = spd_new();
		h->pins = spd_new();
		h->altered = spd_new();
		h->foreign = spd_new();
		return h->policies && h->pins && h->altered && h->foreign ? 0 : err_nomem(err);
	}
	switch (xfrm_policy_parse(&p, nlh)) {
	case XFRM_OURS:
		spd_add(p.expires ? h->pins : h->policies, &p);
		return 0;
	case XFRM_ALTERED:
		spd_add(h->altered, &p);
		return 0;
	case XFRM_FOREIGN:
		if (p.sel.family)
			spd_add(h->foreign, &p);
		return 0;
	case XFRM_DAMAGED:
		break;
	}
	return err_set(err, ERR_SYSTEM, "the kernel sent a damaged IPsec policy");
}

static int foreign_cmp(const void *a, const void *b)
{
	const struct spd_policy *x = a, *y = b;
	const int d = spd_selector_cmp(x, y);

	return d ? d : x->priority < y->priority ? -1 : x->priority > y->priority;
}

static void foreign_sort(struct spd *s)
{
	size_t n = 0;

	if (s->n_policies)
		qsort(s->policies, s->n_policies, sizeof(*s->policies), foreign_cmp);
	for (size_t i = 0; i < s->n_policies; i++)
		if (!n || spd_selector_cmp(&s->policies[n - 1], &s->policies[i]))
			s->policies[n++] = s->policies[i];
	s->n_policies = n;
}

int xfrmsock_look(struct xfrmsock *x, struct xfrm_held *ret, struct err *err)
{
	struct xfrm_held h = { 0 };

	if (dump(x, xfrm_policy_dump_build, "read the IPsec policies", held_see, &h, err) < 0 ||
	    spd_seal(h.policies, err) < 0 || spd_seal(h.pins, err) < 0)
		goto fail;
	if (h.altered->failed || h.foreign->failed) {
		err_nomem(err);
		goto fail;
	}
	foreign_sort(h.foreign);
	*ret = h;
	return 0;
fail:
	xfrm_held_free(&h);
	return -1;
}

int xfrmsock_fetch(struct xfrmsock *x, struct spd **ret, struct spd **pins, struct err *err)
{
	struct xfrm_held h;

	if (xfrmsock_look(x, &h, err) < 0)
		return -1;
	*ret = h.policies;
	h.policies = NULL;
	if (pins) {
		*pins = h.pins;
		h.pins = NULL;
	}
	xfrm_held_free(&h);
	return 0;
}

/* ---- changing ---- */

static void error_text(struct xfrmsock *x, const struct nlmsghdr *nlh)
{
	const struct nlattr *a;

	if (*x->why || !(nlh->nlmsg_flags & NLM_F_ACK_TLVS) || !(nlh->nlmsg_flags & NLM_F_CAPPED) ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nlmsgerr))
		return;
	mnl_attr_for_each(a, nlh, sizeof(struct nlmsgerr))
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(x->why, sizeof(x->why), " (%.*s)", (int)mnl_attr_get_payload_len(a),
			    (const char *)mnl_attr_get_payload(a));
}

/* The kernel has worked all of a message off when send returns, its refusals wait, and there is no other answer.
 * false: some were lost. */
static bool answers_see(struct xfrmsock *x, struct xfrm_change *c, size_t n, uint32_t first)
{
	const struct nlmsghdr *nlh;
	bool all = true;
	ssize_t got;
	int left;

	for (;;) {
		got = netlink_recv(x->fd, x->in, XFRM_RECV_SIZE, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return all;
		if (got < 0)
			all = false;
		if (got < 0 && errno != ENOBUFS)
			return all;
		left = got < 0 ? 0 : (int)got;
		for (nlh = (const void *)x->in; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			if (nlh->nlmsg_type == NLMSG_ERROR && nlh->nlmsg_seq - first < n && error_number(nlh)) {
				c[nlh->nlmsg_seq - first].error = error_number(nlh);
				error_text(x, nlh);
			}
	}
}

/* In its notifications the kernel tells the port that the message says, not that of its sender. */
static struct nlmsghdr *change_build(struct xfrmsock *x, void *buf, const struct xfrm_change *c)
{
	struct nlmsghdr *nlh = c->remove ? xfrm_policy_delete_build(buf, ++x->seq, c->p) : xfrm_policy_build(buf, ++x->seq, c->p);

	nlh->nlmsg_pid = x->portid;
	return nlh;
}

int xfrmsock_send(struct xfrmsock *x, struct xfrm_change *c, size_t n, struct err *err)
{
	struct nlmsghdr *nlh;
	uint32_t first;
	size_t len, k;
	int lost = 0;

	drain(x);
	x->why[0] = '\0';
	for (; n; c += k, n -= k) {
		first = x->seq + 1;
		for (k = len = 0; k < n && len + XFRM_MESSAGE_MAX <= XFRM_SEND_SIZE; k++, len += MNL_ALIGN(nlh->nlmsg_len))
			nlh = change_build(x, x->out + len, &c[k]);
		if (netlink_send(x->fd, x->out, len) < 0)
			return refusal(errno, "change the IPsec policies", err);
		if (!answers_see(x, c, k, first))
			lost = 1;
		for (size_t i = 0; i < k; i++) {
			if (c[i].remove && c[i].error == ENOENT)
				c[i].error = 0;
			c[i].done = !c[i].error;
		}
	}
	return lost;
}

int xfrmsock_name(const char *text, const struct spd_policy *p, struct err *err)
{
	char *line = NULL;
	size_t len;
	FILE *out = open_memstream(&line, &len);

	if (out)
		spd_policy_write(p, out);
	if (out && fclose(out) == 0)
		err_prefix(err, "%sIPsec policy %s", text, line);
	free(line);
	return -1;
}

int xfrmsock_refused(const struct xfrmsock *x, const struct xfrm_change *c, struct err *err)
{
	err_set(err, c->error == EPERM ? ERR_DENIED : ERR_KERNEL, "%s%s", strerror(c->error), x->why);
	return xfrmsock_name(c->remove ? "cannot remove " : "cannot install ", c->p, err);
}

int xfrmsock_pin(struct xfrmsock *x, const struct spd_policy *pin, struct err *err)
{
	struct xfrm_change c = { .p = pin };
	int rc;

	if (!pin->expires)
		return err_set(err, ERR_FORMAT, "a pin without an end");
	if (spd_policy_check(pin, err) < 0)
		return xfrmsock_name("", pin, err);
	rc = xfrmsock_send(x, &c, 1, err);
	if (rc > 0) {
		err_set(err, ERR_SYSTEM, "the kernel's answer was lost");
		return xfrmsock_name("", pin, err);
	}
	return rc == 0 && c.error ? xfrmsock_refused(x, &c, err) : rc;
}

/* ---- security associations ---- */

struct sa_list {
	struct arena	*arena;
	struct xfrm_sa	*all;
	size_t		 n;
};

static int sa_see(const struct nlmsghdr *nlh, void *cookie, struct err *err)
{
	struct sa_list *l = cookie;
	struct xfrm_sa sa, *all;
	int rc;

	if (!nlh) {
		l->all = NULL;
		l->n = 0;
		return 0;
	}
	rc = xfrm_sa_parse(&sa, nlh);
	if (rc < 0)
		return err_set(err, ERR_SYSTEM, "the kernel sent a damaged security association");
	if (rc == 0)
		return 0;
	all = arena_grow(l->arena, l->all, l->n, sizeof(*all));
	if (!all)
		return err_nomem(err);
	l->all = all;
	all[l->n++] = sa;
	return 0;
}

int xfrmsock_sas(struct xfrmsock *x, struct xfrm_sa **ret, size_t *ret_n, struct arena *a, struct err *err)
{
	struct sa_list l = { .arena = a };

	if (dump(x, xfrm_sa_dump_build, "read the security associations", sa_see, &l, err) < 0)
		return -1;
	*ret = l.all;
	*ret_n = l.n;
	return 0;
}

/* A question that is answered at once, by an acknowledgement or an error; 0, or the error's number. */
static int question_ask(struct xfrmsock *x, struct nlmsghdr *question)
{
	struct xfrm_change answer = { .remove = true };

	question->nlmsg_pid = x->portid;
	drain(x);
	x->why[0] = '\0';
	if (netlink_send(x->fd, question, question->nlmsg_len) < 0)
		return errno;
	answers_see(x, &answer, 1, question->nlmsg_seq);
	return answer.error;
}

/* The SPI that the kernel gave a larval one; 0: none. */
static uint32_t larval_reserve(struct xfrmsock *x, const struct xfrm_sa *larval)
{
	_Alignas(struct nlmsghdr) uint8_t buf[XFRM_MESSAGE_MAX];
	struct nlmsghdr *question = xfrm_sa_reserve_build(buf, ++x->seq, larval);
	const struct nlmsghdr *nlh = (const void *)x->in;
	struct xfrm_sa sa;
	ssize_t n;

	question->nlmsg_pid = x->portid;
	drain(x);
	if (netlink_send(x->fd, question, question->nlmsg_len) < 0)
		return 0;
	n = netlink_recv(x->fd, x->in, XFRM_RECV_SIZE, MSG_DONTWAIT);
	return n > 0 && mnl_nlmsg_ok(nlh, (int)n) && nlh->nlmsg_seq == x->seq && xfrm_sa_parse(&sa, nlh) == 1 && sa.larval ? sa.spi : 0;
}

int xfrmsock_sa_delete(struct xfrmsock *x, const struct xfrm_sa *sa, struct err *err)
{
	_Alignas(struct nlmsghdr) uint8_t buf[XFRM_MESSAGE_MAX];
	struct xfrm_sa which = *sa;
	int e;

	if (!which.spi)
		which.spi = larval_reserve(x, sa);
	else if (which.larval)
		return 0;
	if (!which.spi)
		return 0;
	e = question_ask(x, xfrm_sa_delete_build(buf, ++x->seq, &which));
	return e && e != ESRCH ? refusal(e, "delete a security association", err) : 0;
}

int xfrmsock_acquire(struct xfrmsock *x, const struct spd_policy *p, const struct xfrm_sa *sa, struct err *err)
{
	_Alignas(struct nlmsghdr) uint8_t buf[XFRM_MESSAGE_MAX];
	int e = question_ask(x, xfrm_acquire_build(buf, ++x->seq, p, sa));

	return e ? refusal(e, "ask for a security association", err) : 0;
}
