/* One message for each thing of a table but its elements. */
#include "nft/batch_build.h"

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
#include <stdlib.h>
#include <string.h>

#include "nft/expr.h"
#include "schema/err.h"

#define DATA_VERDICT	0xffffff00u	/* enum nft_data_types */

/* enum byteorder of nft(8), in the userdata of a set. */
#define BYTEORDER_HOST	1
#define BYTEORDER_BIG	2

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

int bytes_add(struct build *x, const void *p, size_t len)
{
	uint8_t *bytes = grown(x->b->bytes, &x->b->size, x->b->len + len, 1);

	if (!bytes)
		return err_nomem(x->err);
	x->b->bytes = bytes;
	memcpy(bytes + x->b->len, p, len);
	x->b->len += len;
	return 0;
}

struct nlmsghdr *message_begin(struct build *x, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(x->scratch, type, NFPROTO_INET, flags, x->b->next_seq);
}

static int object_add(struct build *x, const struct batch_object *o)
{
	struct batch_object *all = grown(x->b->objects, &x->b->size_objects, x->b->n_objects + 1, sizeof(*all));

	if (!all)
		return err_nomem(x->err);
	x->b->objects = all;
	all[x->b->n_objects] = *o;
	all[x->b->n_objects++].seq = x->b->next_seq;
	x->b->next_seq += o->n_group ? o->n_group : 1;
	return 0;
}

int message_end(struct build *x, const struct nlmsghdr *nlh, const struct batch_object *o)
{
	return object_add(x, o) < 0 ? -1 : bytes_add(x, nlh, nlh->nlmsg_len);
}

uint32_t udata_comment(uint8_t *buf, uint8_t type, const char *comment)
{
	const size_t len = strnlen(comment, RS_COMMENT_MAX);

	buf[0] = type;
	buf[1] = (uint8_t)(len + 1);
	memcpy(buf + 2, comment, len);
	buf[2 + len] = '\0';
	return (uint32_t)len + 3;
}

int build_nomem(struct build *x)
{
	return err_nomem(x->err);
}

int table_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const char *comment)
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
	return rc < 0 ? build_nomem(x) : 0;
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

int chain_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_chain *c)
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
	return rc < 0 ? build_nomem(x) : 0;
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

	nftnl_set_set_u32(n, NFTNL_SET_ID, x->b->next_seq);
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

int set_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_set *s)
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
	return rc < 0 ? build_nomem(x) : 0;
}

int rule_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_chain *c,
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
	return rc < 0 ? build_nomem(x) : 0;
}
