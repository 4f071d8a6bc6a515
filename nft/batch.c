#include "nft/batch.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "nft/expr.h"
#include "nft/ruleset.h"
#include "schema/err.h"

#define GROUP		128	/* elements in one message */
/* libnftnl writes without a limit; the largest rule takes below 2 KB, the largest
 * element (key, verdict and chain, comment) below 384 bytes, and all elements of a
 * message must stay below 64 KB, the length of an attribute. */
#define MESSAGE_MAX	(1024 + GROUP * 384)
#define FIRST_SEQ	2
#define DATA_VERDICT	0xffffff00u	/* enum nft_data_types */

/* enum byteorder of nft(8), in the userdata of a set. */
#define BYTEORDER_HOST	1
#define BYTEORDER_BIG	2

struct build {
	struct nlbatch	*b;
	const char	*table;
	struct err	*err;
	char		*scratch;	/* MESSAGE_MAX bytes, aligned */
	/* Elements that wait for their message; NULL: none. */
	struct nftnl_set	*group;
	unsigned		 n_group;
	const struct rs_set	*group_set;
	uint16_t		 group_type, group_flags;
	size_t			 group_first;	/* object */
};

_Static_assert(MESSAGE_MAX < 65536, "elements of a message fit into an attribute");

void batch_free(struct nlbatch *b)
{
	if (!b)
		return;
	free(b->bytes);
	free(b->objects);
	free(b);
}

/* ---- messages ---- */

static void *grown(void *p, size_t *size, size_t need, size_t item)
{
	size_t n = *size ? *size : 64;
	void *q;

	if (need <= *size)
		return p;
	while (n < need)
		n *= 2;
	q = realloc(p, n * item);
	if (q)
		*size = n;
	return q;
}

static int bytes_add(struct build *x, const void *p, size_t len)
{
	uint8_t *bytes = grown(x->b->bytes, &x->b->size, x->b->len + len, 1);

	if (!bytes)
		return err_nomem(x->err);
	x->b->bytes = bytes;
	memcpy(bytes + x->b->len, p, len);
	x->b->len += len;
	return 0;
}

static struct nlmsghdr *message_begin(struct build *x, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(x->scratch, type, NFPROTO_INET, flags,
	    (uint32_t)(x->b->first_seq + x->b->n_objects));
}

static int object_add(struct build *x, const struct batch_object *o)
{
	struct batch_object *all = grown(x->b->objects, &x->b->size_objects, x->b->n_objects + 1, sizeof(*all));

	if (!all)
		return err_nomem(x->err);
	x->b->objects = all;
	all[x->b->n_objects++] = *o;
	return 0;
}

static int message_end(struct build *x, const struct nlmsghdr *nlh, const struct batch_object *o)
{
	return object_add(x, o) < 0 ? -1 : bytes_add(x, nlh, nlh->nlmsg_len);
}

/* [ type, length, text with its NUL ]; a comment too long for nft(8) is cut. */
static uint32_t udata_comment(uint8_t *buf, uint8_t type, const char *comment)
{
	const size_t len = strnlen(comment, RS_COMMENT_MAX);

	buf[0] = type;
	buf[1] = (uint8_t)(len + 1);
	memcpy(buf + 2, comment, len);
	buf[2 + len] = '\0';
	return (uint32_t)len + 3;
}

#define UDATA_MAX	(RS_COMMENT_MAX + 1 + 2 + 6)

static int nomem(struct build *x)
{
	return err_nomem(x->err);
}

static int table_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const char *comment)
{
	struct batch_object o = { .verb = verb };
	struct nftnl_table *t = nftnl_table_alloc();
	uint8_t udata[UDATA_MAX];
	struct nlmsghdr *nlh;
	int rc = -1;

	if (!t || nftnl_table_set_str(t, NFTNL_TABLE_NAME, x->table) < 0)
		goto out;
	if (comment && *comment && nftnl_table_set_data(t, NFTNL_TABLE_USERDATA, udata,
	    udata_comment(udata, NFTNL_UDATA_TABLE_COMMENT, comment)) < 0)
		goto out;
	nlh = message_begin(x, type, flags);
	nftnl_table_nlmsg_build_payload(nlh, t);
	rc = message_end(x, nlh, &o);
out:
	if (t)
		nftnl_table_free(t);
	return rc < 0 ? nomem(x) : 0;
}

static int chain_fill(struct nftnl_chain *n, const struct rs_chain *c)
{
	uint8_t udata[UDATA_MAX];

	if (c->hook != RS_HOOK_NONE) {
		nftnl_chain_set_u32(n, NFTNL_CHAIN_HOOKNUM, (uint32_t)c->hook);
		nftnl_chain_set_s32(n, NFTNL_CHAIN_PRIO, c->priority);
		nftnl_chain_set_u32(n, NFTNL_CHAIN_POLICY, c->policy_drop ? NF_DROP : NF_ACCEPT);
		if (nftnl_chain_set_str(n, NFTNL_CHAIN_TYPE, c->type) < 0)
			return -1;
	}
	if (!*c->comment)
		return 0;
	return nftnl_chain_set_data(n, NFTNL_CHAIN_USERDATA, udata,
	    udata_comment(udata, NFTNL_UDATA_CHAIN_COMMENT, c->comment));
}

static int chain_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_chain *c)
{
	struct batch_object o = { .verb = verb, .chain = c };
	struct nftnl_chain *n = nftnl_chain_alloc();
	struct nlmsghdr *nlh;
	int rc = -1;

	if (!n || nftnl_chain_set_str(n, NFTNL_CHAIN_TABLE, x->table) < 0 ||
	    nftnl_chain_set_str(n, NFTNL_CHAIN_NAME, c->name) < 0)
		goto out;
	if (type == NFT_MSG_NEWCHAIN && chain_fill(n, c) < 0)
		goto out;
	nlh = message_begin(x, type, flags);
	nftnl_chain_nlmsg_build_payload(nlh, n);
	rc = message_end(x, nlh, &o);
out:
	if (n)
		nftnl_chain_free(n);
	return rc < 0 ? nomem(x) : 0;
}

/* nft(8) cannot print keys of host byte order unless told. */
static uint32_t set_udata(uint8_t *buf, const struct rs_set *s)
{
	uint32_t n = 0, order = s->key_type == RS_TYPE_IFTYPE ? BYTEORDER_HOST : BYTEORDER_BIG;

	buf[n++] = NFTNL_UDATA_SET_KEYBYTEORDER;
	buf[n++] = sizeof(order);
	memcpy(buf + n, &order, sizeof(order));
	n += sizeof(order);
	return *s->comment ? n + udata_comment(buf + n, NFTNL_UDATA_SET_COMMENT, s->comment) : n;
}

static int set_fill(struct build *x, struct nftnl_set *n, const struct rs_set *s)
{
	uint8_t udata[UDATA_MAX];
	struct nftnl_expr *e;

	nftnl_set_set_u32(n, NFTNL_SET_ID, (uint32_t)x->b->n_objects + 1);
	nftnl_set_set_u32(n, NFTNL_SET_FLAGS, s->map ? NFT_SET_MAP : 0);
	nftnl_set_set_u32(n, NFTNL_SET_KEY_TYPE, s->key_type);
	nftnl_set_set_u32(n, NFTNL_SET_KEY_LEN, s->key_len);
	if (s->map)
		nftnl_set_set_u32(n, NFTNL_SET_DATA_TYPE, DATA_VERDICT);
	if (s->counter) {
		e = expr_counter();
		if (!e)
			return -1;
		nftnl_set_add_expr(n, e);
	}
	return nftnl_set_set_data(n, NFTNL_SET_USERDATA, udata, set_udata(udata, s));
}

static int set_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_set *s)
{
	struct batch_object o = { .verb = verb, .set = s };
	struct nftnl_set *n = nftnl_set_alloc();
	struct nlmsghdr *nlh;
	int rc = -1;

	if (!n || nftnl_set_set_str(n, NFTNL_SET_TABLE, x->table) < 0 ||
	    nftnl_set_set_str(n, NFTNL_SET_NAME, s->name) < 0)
		goto out;
	if (type == NFT_MSG_NEWSET && set_fill(x, n, s) < 0)
		goto out;
	nlh = message_begin(x, type, flags);
	/* DELSETELEM without elements empties the set. */
	nftnl_set_nlmsg_build_payload(nlh, n);
	rc = message_end(x, nlh, &o);
out:
	if (n)
		nftnl_set_free(n);
	return rc < 0 ? nomem(x) : 0;
}

static int element_fill(struct nftnl_set_elem *n, const struct rs_set *s, const struct rs_element *e, bool key_only)
{
	uint8_t udata[UDATA_MAX];

	if (nftnl_set_elem_set(n, NFTNL_SET_ELEM_KEY, e->key, s->key_len) < 0)
		return -1;
	if (key_only)
		return 0;
	if (s->map)
		nftnl_set_elem_set_u32(n, NFTNL_SET_ELEM_VERDICT, (uint32_t)expr_verdict_code(e->verdict));
	if (e->chain && nftnl_set_elem_set_str(n, NFTNL_SET_ELEM_CHAIN, e->chain) < 0)
		return -1;
	if (!*e->comment)
		return 0;
	return nftnl_set_elem_set(n, NFTNL_SET_ELEM_USERDATA, udata,
	    udata_comment(udata, NFTNL_UDATA_SET_ELEM_COMMENT, e->comment));
}

/* Elements of one set and verb go together, many in a message: its number is that of
 * its first element. */
static int elements_flush(struct build *x)
{
	struct nlmsghdr *nlh;
	int rc;

	if (!x->group)
		return 0;
	nlh = nftnl_nlmsg_build_hdr(x->scratch, x->group_type, NFPROTO_INET, x->group_flags,
	    (uint32_t)(x->b->first_seq + x->group_first));
	nftnl_set_elems_nlmsg_build_payload(nlh, x->group);
	x->b->objects[x->group_first].n_group = x->n_group;
	rc = bytes_add(x, nlh, nlh->nlmsg_len);
	nftnl_set_free(x->group);
	x->group = NULL;
	return rc;
}

static int group_begin(struct build *x, uint16_t type, uint16_t flags, const struct rs_set *s)
{
	if (x->group && x->n_group < GROUP && x->group_set == s && x->group_type == type)
		return 0;
	if (elements_flush(x) < 0)
		return -1;
	x->group = nftnl_set_alloc();
	if (!x->group || nftnl_set_set_str(x->group, NFTNL_SET_TABLE, x->table) < 0 ||
	    nftnl_set_set_str(x->group, NFTNL_SET_NAME, s->name) < 0)
		return nomem(x);
	x->n_group = 0;
	x->group_set = s;
	x->group_type = type;
	x->group_flags = flags;
	x->group_first = x->b->n_objects;
	return 0;
}

static int element_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_set *s,
    const struct rs_element *e)
{
	struct batch_object o = { .verb = verb, .set = s, .element = e };
	struct nftnl_set_elem *ne;

	if (group_begin(x, type, flags, s) < 0)
		return -1;
	ne = nftnl_set_elem_alloc();
	if (!ne || element_fill(ne, s, e, type == NFT_MSG_DELSETELEM) < 0) {
		if (ne)
			nftnl_set_elem_free(ne);
		return nomem(x);
	}
	nftnl_set_elem_add(x->group, ne);
	x->n_group++;
	return object_add(x, &o);
}

/* rule NULL: all rules of the chain. */
static int rule_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_chain *c,
    const struct rs_rule *rule)
{
	struct batch_object o = { .verb = verb, .chain = c, .rule = rule };
	struct nftnl_rule *n = nftnl_rule_alloc();
	uint8_t udata[UDATA_MAX];
	struct nlmsghdr *nlh;
	int rc = -1;

	if (!n || nftnl_rule_set_str(n, NFTNL_RULE_TABLE, x->table) < 0 ||
	    nftnl_rule_set_str(n, NFTNL_RULE_CHAIN, c->name) < 0)
		goto out;
	if (rule && expr_rule(n, rule, x->err) < 0)
		goto out;
	if (rule && *rule->comment && nftnl_rule_set_data(n, NFTNL_RULE_USERDATA, udata,
	    udata_comment(udata, NFTNL_UDATA_RULE_COMMENT, rule->comment)) < 0)
		goto out;
	nlh = message_begin(x, type, flags);
	nftnl_rule_nlmsg_build_payload(nlh, n);
	rc = message_end(x, nlh, &o);
out:
	if (n)
		nftnl_rule_free(n);
	return rc < 0 ? nomem(x) : 0;
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

static int objects_build(struct build *x, const struct ruleset *want, const struct ruleset *have)
{
	static rs_see *const old[] = { see_old_rules, see_old_elements, see_old_sets, see_old_chains };

	if (have && (!want || ruleset_walk(want, have, see_definitions, NULL))) {
		if (table_message(x, NFT_MSG_DELTABLE, 0, "delete", NULL) < 0)
			return -1;
		have = NULL;
	}
	if (!want)
		return 0;
	if (!have && table_message(x, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, "add", want->comment) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		if (ruleset_walk(want, have, old[i], x) < 0 || elements_flush(x) < 0)
			return -1;
	if (new_chains(x, want, have) < 0 || new_sets(x, want, have) < 0 ||
	    ruleset_walk(want, have, see_new_elements, x) < 0 || elements_flush(x) < 0)
		return -1;
	return ruleset_walk(want, have, see_new_rules, x);
}

static int begin_build(struct build *x, uint32_t genid)
{
	struct nlmsghdr *nlh;

	nlh = nftnl_batch_begin(x->scratch, x->b->first_seq - 1);
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
	nlh = nftnl_batch_end(x->scratch, (uint32_t)(x->b->first_seq + x->b->n_objects));
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
	return objects_build(x, want, NULL);
}

static int any_build(struct nlbatch **ret, const char *table, const struct ruleset *want, const struct ruleset *have,
    uint32_t genid, struct err *err)
{
	struct build x = { .b = calloc(1, sizeof(*x.b)), .table = table, .err = err, .scratch = calloc(1, MESSAGE_MAX) };
	const bool guard = !strcmp(table, RULESET_GUARD);
	int rc = -1;

	if (!x.b || !x.scratch) {
		err_nomem(err);
		goto out;
	}
	x.b->first_seq = FIRST_SEQ;
	if (begin_build(&x, genid) < 0 || (guard ? guard_build(&x, want) : objects_build(&x, want, have)) < 0 ||
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

int batch_build(struct nlbatch **ret, const struct ruleset *want, const struct ruleset *have, uint32_t genid,
    struct err *err)
{
	return any_build(ret, RULESET_TABLE, want, have, genid, err);
}

int batch_guard(struct nlbatch **ret, const struct ruleset *want, struct err *err)
{
	return any_build(ret, RULESET_GUARD, want, NULL, 0, err);
}

/* ---- what an answer is about ---- */

static const struct nlmsghdr *message_find(const struct nlbatch *b, uint32_t seq)
{
	const struct nlmsghdr *nlh;

	for (size_t at = 0; at < b->len; at += nlh->nlmsg_len) {
		nlh = (const void *)(b->bytes + at);
		if (nlh->nlmsg_seq == seq)
			return nlh;
	}
	return NULL;
}

bool batch_locate(const struct nlbatch *b, uint32_t *seq, size_t offset)
{
	const struct nlmsghdr *nlh = message_find(b, *seq);
	const struct nlattr *list, *e;
	uint32_t n = *seq;

	if (!nlh || NFNL_MSG_TYPE(nlh->nlmsg_type) > NFT_MSG_DELSETELEM ||
	    NFNL_MSG_TYPE(nlh->nlmsg_type) < NFT_MSG_NEWSETELEM)
		return false;
	mnl_attr_for_each(list, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(e, list) {
			const size_t at = (size_t)((const char *)e - (const char *)nlh);

			if (offset >= at && offset < at + MNL_ALIGN(e->nla_len)) {
				*seq = n;
				return true;
			}
			n++;
		}
	}
	return false;
}

/* ---- words ---- */

static void origin_write(const struct rs_origin *o, FILE *out)
{
	char f[GUID_TEXT], r[GUID_TEXT];

	if (!o)
		return;
	guid_text(&o->filter, f);
	guid_text(&o->rule, r);
	fprintf(out, " (filter %s of rule %s)", f, r);
}

void batch_object_write(const struct nlbatch *b, uint32_t seq, FILE *out)
{
	const struct batch_object *o;

	if (seq < b->first_seq || seq - b->first_seq >= b->n_objects) {
		fputs("the transaction", out);
		return;
	}
	o = &b->objects[seq - b->first_seq];
	fprintf(out, "%s ", o->verb);
	if (o->element) {
		fputs("element ", out);
		rs_key_write(o->set, o->element->key, out);
		fprintf(out, " of %s %s", o->set->map ? "map" : "set", o->set->name);
		origin_write(o->element->origin, out);
	} else if (o->set) {
		fprintf(out, "%s %s", o->set->map ? "map" : "set", o->set->name);
	} else if (o->rule) {
		fprintf(out, "rule '");
		rs_rule_write(o->rule, out);
		fprintf(out, "' of chain %s", o->chain->name);
		origin_write(o->rule->origin, out);
	} else if (o->chain) {
		fprintf(out, "chain %s", o->chain->name);
	} else {
		fprintf(out, "table inet %s", RULESET_TABLE);
	}
}
