/* Questions to nftables, and what is known of our table from the answers. */
#include "nft/nlsock_parts.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nft/readback.h"
#include "schema/err.h"
#include "schema/rd.h"

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
static enum answer answer_part(struct nlsock *s, struct wr *wr, bool many, ssize_t n, struct err *err)
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
		if (!many)
			return ANSWER_DONE;
	}
	return ANSWER_MORE;
}

static enum answer ask(struct nlsock *s, struct nlmsghdr *nlh, struct wr *wr, struct err *err)
{
	const bool many = (nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP || nlh->nlmsg_flags & NLM_F_ACK;
	enum answer a;
	ssize_t n;

	if (nlsock_send(s, nlh, nlh->nlmsg_len) < 0)
		return err_set(err, ERR_SYSTEM, "cannot ask nftables: %s", strerror(errno));
	do {
		n = nlsock_recv(s->fd, s->buf, 0);
		if (n < 0 && errno == ENOBUFS)
			return ANSWER_AGAIN;
		if (n < 0)
			return err_set(err, ERR_SYSTEM, "cannot read from nftables: %s", strerror(errno));
		a = answer_part(s, wr, many, n, err);
	} while (a == ANSWER_MORE);
	if (wr->bad)
		return err_nomem(err);
	return a;
}

void nlsock_drain(struct nlsock *s)
{
	while (nlsock_recv(s->fd, s->buf, MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
}

int genid_get(struct nlsock *s, uint32_t *ret, struct err *err)
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

enum answer table_get(struct nlsock *s, const char *name, struct wr *wr, struct err *err)
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

enum answer elements_get(struct nlsock *s, const char *set, struct wr *wr, struct err *err)
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
static enum answer parts_get(struct nlsock *s, struct wr *wr, bool elements, struct err *err)
{
	enum answer a = table_get(s, RULESET_TABLE, wr, err);

	if (a != ANSWER_DONE)
		return a;
	if ((a = dump_get(s, NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, wr, err)) != ANSWER_DONE ||
	    (a = dump_get(s, NFT_MSG_GETSET, NFTA_SET_TABLE, wr, err)) != ANSWER_DONE ||
	    (elements && (a = all_elements_get(s, wr, err)) != ANSWER_DONE) ||
	    (a = dump_get(s, NFT_MSG_GETRULE, NFTA_RULE_TABLE, wr, err)) != ANSWER_DONE)
		return a == ANSWER_ABSENT ? ANSWER_AGAIN : a;
	return ANSWER_DONE;
}

enum answer head_get(struct nlsock *s, struct wr *wr, struct err *err)
{
	return parts_get(s, wr, false, err);
}

#define KEY_ROOM	(RS_KEY_MAX + 3 * MNL_ATTR_HDRLEN)

enum answer keys_get(struct nlsock *s, const struct rs_set *set, const struct rs_element *const *keys, size_t n,
    struct wr *wr, struct err *err)
{
	uint8_t buf[512 + KEYS_MAX * KEY_ROOM];
	struct nlmsghdr *nlh = request_begin(s, buf, NFT_MSG_GETSETELEM, NLM_F_ACK);
	struct nlattr *list, *elem, *key;

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, RULESET_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set->name);
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t i = 0; i < n; i++) {
		elem = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
		key = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY);
		mnl_attr_put(nlh, NFTA_DATA_VALUE, set->key_len, keys[i]->key);
		mnl_attr_nest_end(nlh, key);
		mnl_attr_nest_end(nlh, elem);
	}
	mnl_attr_nest_end(nlh, list);
	return ask(s, nlh, wr, err);
}

/* The table of one single generation. */
static int fetch(struct nlsock *s, struct ruleset **ret, uint32_t *genid, struct err *err)
{
	for (int i = 0; i < TRIES; i++) {
		struct wr wr = { 0 };
		uint32_t after;
		enum answer a;
		int rc = 0;

		nlsock_drain(s);
		if (genid_get(s, genid, err) < 0)
			return -1;
		a = parts_get(s, &wr, true, err);
		if (a != ANSWER_ERROR)
			nlsock_drain(s);
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

int nlsock_current(struct nlsock *s, struct err *err)
{
	struct ruleset *r;
	uint32_t genid;

	nlsock_drain(s);
	if (genid_get(s, &genid, err) < 0)
		return -1;
	if (s->known && genid == s->genid)
		return 0;
	/* Two large tables are not kept at once. */
	nlsock_forget(s);
	if (fetch(s, &r, &genid, err) < 0)
		return -1;
	nlsock_know(s, r, genid);
	return 0;
}

int nlsock_fetch(struct nlsock *s, struct ruleset **ret, struct err *err)
{
	if (nlsock_current(s, err) < 0)
		return -1;
	*ret = s->held ? ruleset_share(s->held) : NULL;
	return 0;
}
