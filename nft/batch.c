#include "nft/batch_build.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "schema/err.h"

#define FIRST_SEQ	2

void batch_free(struct nlbatch *b)
{
	if (!b)
		return;
	free(b->bytes);
	free(b->objects);
	free(b);
}

/* ---- the difference, in an order the kernel accepts: what refers to something
 * goes before it and comes after it ---- */

static int see_definitions(const struct rs_difference *d, void *cookie)
{
	(void)cookie;
	return d->what == RS_DIFF_TABLE ||
	    (d->what == RS_DIFF_SET && d->have_set && (d->want_set || d->have_set->foreign)) ||
	    (d->what == RS_DIFF_CHAIN && d->want_chain && d->have_chain);
}

bool batch_replaces(const struct rs_changes *c)
{
	return c->have && (!c->want || changes_walk(c, see_definitions, NULL));
}

static int see_old_rules(const struct rs_difference *d, void *cookie)
{
	if (d->what != RS_DIFF_RULES || !d->have_chain || !d->have_chain->n_rules)
		return 0;
	return rule_message(cookie, NFT_MSG_DELRULE, 0, "empty", d->have_chain, NULL);
}

static int see_old_elements(const struct rs_difference *d, void *cookie)
{
	if (d->what == RS_DIFF_SET && d->have_set)
		return set_message(cookie, NFT_MSG_DELSETELEM, 0, "empty", d->have_set);
	if (d->what != RS_DIFF_ELEMENT || !d->have || !d->want_set)
		return 0;
	return element_message(cookie, NFT_MSG_DELSETELEM, 0, "delete", d->have_set, d->have);
}

static int see_old_sets(const struct rs_difference *d, void *cookie)
{
	if (d->what != RS_DIFF_SET || !d->have_set)
		return 0;
	return set_message(cookie, NFT_MSG_DELSET, 0, "delete", d->have_set);
}

static int see_old_chains(const struct rs_difference *d, void *cookie)
{
	if (d->what != RS_DIFF_CHAIN || !d->have_chain)
		return 0;
	return chain_message(cookie, NFT_MSG_DELCHAIN, 0, "delete", d->have_chain);
}

/* In the order of the text, which is the order in which nft(8) will list them. */
static int new_chains(struct build *x, const struct ruleset *want, const struct ruleset *have)
{
	for (size_t i = 0; i < want->n_chains; i++)
		if (!ruleset_chain(have, want->chains[i]->name) &&
		    chain_message(x, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, "add", want->chains[i]) < 0)
			return -1;
	return 0;
}

static int new_sets(struct build *x, const struct ruleset *want, const struct ruleset *have)
{
	for (size_t i = 0; i < want->n_sets; i++)
		if (!ruleset_set(have, want->sets[i]->name) &&
		    set_message(x, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, "add", want->sets[i]) < 0)
			return -1;
	return 0;
}

static int see_new_elements(const struct rs_difference *d, void *cookie)
{
	if (d->what != RS_DIFF_ELEMENT || !d->want)
		return 0;
	return element_message(cookie, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, "add", d->want_set, d->want);
}

static int see_new_rules(const struct rs_difference *d, void *cookie)
{
	if (d->what != RS_DIFF_RULES || !d->want_chain)
		return 0;
	for (size_t i = 0; i < d->want_chain->n_rules; i++)
		if (rule_message(cookie, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, "add", d->want_chain,
		    &d->want_chain->rules[i]) < 0)
			return -1;
	return 0;
}

static int objects_build(struct build *x, struct rs_changes c)
{
	static rs_see *const old[] = { see_old_rules, see_old_elements, see_old_sets, see_old_chains };

	if (batch_replaces(&c)) {
		if (table_message(x, NFT_MSG_DELTABLE, 0, "delete", NULL) < 0)
			return -1;
		c = (struct rs_changes){ .want = c.want };
	}
	if (!c.want)
		return 0;
	if (!c.have && table_message(x, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, "add", c.want->comment) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		if (changes_walk(&c, old[i], x) < 0 || elements_flush(x) < 0)
			return -1;
	if (new_chains(x, c.want, c.have) < 0 || new_sets(x, c.want, c.have) < 0 ||
	    changes_walk(&c, see_new_elements, x) < 0 || elements_flush(x) < 0)
		return -1;
	return changes_walk(&c, see_new_rules, x);
}

static int begin_build(struct build *x, uint32_t genid)
{
	struct nlmsghdr *nlh;

	nlh = nftnl_batch_begin(x->scratch, x->b->next_seq - 1);
	if (genid)
		mnl_attr_put_u32(nlh, NFNL_BATCH_GENID, htonl(genid));
	return bytes_add(x, nlh, nlh->nlmsg_len);
}

/* Only the last object asks for an acknowledgement: one a message would overrun
 * the receive buffer. */
static int end_build(struct build *x, size_t last)
{
	struct nlmsghdr *nlh;

	if (last) {
		nlh = (struct nlmsghdr *)(void *)(x->b->bytes + last);
		nlh->nlmsg_flags |= NLM_F_ACK;
	}
	nlh = nftnl_batch_end(x->scratch, x->b->next_seq);
	return bytes_add(x, nlh, nlh->nlmsg_len);
}

static size_t last_message(const struct nlbatch *b)
{
	size_t at = 0, last = 0;

	while (at < b->len) {
		last = at;
		at += ((const struct nlmsghdr *)(const void *)(b->bytes + at))->nlmsg_len;
	}
	return last;
}

/* The table as well when there is none, so that it can be deleted in any case. */
static int guard_build(struct build *x, const struct ruleset *want)
{
	if (table_message(x, NFT_MSG_NEWTABLE, NLM_F_CREATE, "add", NULL) < 0 ||
	    table_message(x, NFT_MSG_DELTABLE, 0, "delete", NULL) < 0)
		return -1;
	return objects_build(x, (struct rs_changes){ .want = want });
}

/* Room for all elements of a new table, so that it need not be moved; what is not used takes no memory. */
static int bytes_reserve(struct build *x, const struct ruleset *want)
{
	size_t n = 0;

	for (size_t i = 0; i < want->n_sets; i++)
		n += want->sets[i]->n_elements;
	x->b->size = MESSAGE_MAX + n * ELEMENT_USUAL;
	x->b->bytes = malloc(x->b->size);
	return x->b->bytes ? 0 : err_nomem(x->err);
}

static int any_build(struct nlbatch **ret, const char *table, const struct rs_changes *c, uint32_t genid, struct err *err)
{
	struct build x = { .b = calloc(1, sizeof(*x.b)), .table = table, .err = err, .scratch = calloc(1, MESSAGE_MAX) };
	const bool guard = !strcmp(table, RULESET_GUARD);
	int rc = -1;

	if (!x.b || !x.scratch) {
		err_nomem(err);
		goto out;
	}
	x.b->first_seq = x.b->next_seq = FIRST_SEQ;
	if (c->want && (!c->have || batch_replaces(c)) && bytes_reserve(&x, c->want) < 0)
		goto out;
	if (begin_build(&x, genid) < 0 || (guard ? guard_build(&x, c->want) : objects_build(&x, *c)) < 0 ||
	    end_build(&x, last_message(x.b)) < 0)
		goto out;
	*ret = x.b;
	x.b = NULL;
	rc = 0;
out:
	if (x.group)
		nftnl_set_free(x.group);
	free(x.scratch);
	batch_free(x.b);
	return rc;
}

int batch_changes(struct nlbatch **ret, const struct rs_changes *c, uint32_t genid, struct err *err)
{
	return any_build(ret, RULESET_TABLE, c, genid, err);
}

int batch_build(struct nlbatch **ret, const struct ruleset *want, const struct ruleset *have, uint32_t genid,
    struct err *err)
{
	struct rs_changes c;
	int rc = changes_find(&c, want, have, err);

	if (rc == 0) {
		rc = batch_changes(ret, &c, genid, err);
		changes_free(&c);
	}
	return rc;
}

int batch_guard(struct nlbatch **ret, const struct ruleset *want, struct err *err)
{
	return any_build(ret, RULESET_GUARD, &(struct rs_changes){ .want = want }, 0, err);
}
