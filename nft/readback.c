#include "nft/readback.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"

#define DATA_VERDICT	0xffffff00u

struct readback {
	struct ruleset	*r;
	bool		 found;
	bool		 counted;
	uint32_t	 use;		/* things in the table, by its own count */
	size_t		 n_anonymous;	/* sets that come and go with a foreign rule */
	struct rs_set	*set;		/* of the last element */
	struct rs_chain	*chain;		/* of the last rule */
};

/* ---- attributes ---- */

struct table {
	const struct nlattr	**tb;
	unsigned		  max;
};

static int attr_see(const struct nlattr *a, void *data)
{
	struct table *t = data;

	if (mnl_attr_get_type(a) <= t->max)
		t->tb[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

void nest_parse(const struct nlattr **tb, unsigned max, const struct nlattr *nest)
{
	struct table t = { tb, max };

	for (unsigned i = 0; i <= max; i++)
		tb[i] = NULL;
	if (nest)
		mnl_attr_parse_nested(nest, attr_see, &t);
}

bool attr_be32(const struct nlattr *a, uint32_t *ret)
{
	uint32_t v;

	if (!a || mnl_attr_get_payload_len(a) < sizeof(v))
		return false;
	memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	*ret = ntohl(v);
	return true;
}

const char *attr_text(const struct nlattr *a)
{
	return a && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(a) : NULL;
}

/* The comment in userdata, type-length-value; "" when there is none. */
static const char *comment_parse(struct ruleset *r, const struct nlattr *a, uint8_t type)
{
	const uint8_t *p = a ? mnl_attr_get_payload(a) : NULL;
	size_t left = a ? mnl_attr_get_payload_len(a) : 0;
	char *s;

	while (left >= 2 && left - 2 >= p[1]) {
		if (p[0] == type) {
			s = arena_strndup(r->arena, (const char *)p + 2, p[1]);
			r->failed |= !s;
			if (s)
				rs_printable(s);
			return s ? s : "";
		}
		left -= 2u + p[1];
		p += 2 + p[1];
	}
	return "";
}

/* A thing with a name that we would never give is left out, so that the table's
 * own count does not fit and the whole table is replaced. */
static bool name_strange(const char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name <= 0x20 || (unsigned char)*name >= 0x7f)
			return true;
	return false;
}

/* ---- what a table holds ---- */

static void table_parse(struct readback *x, const struct nlattr **tb)
{
	x->found = true;
	attr_be32(tb[NFTA_TABLE_FLAGS], &x->r->flags);
	x->counted = attr_be32(tb[NFTA_TABLE_USE], &x->use);
	x->r->comment = comment_parse(x->r, tb[NFTA_TABLE_USERDATA], NFTNL_UDATA_TABLE_COMMENT);
}

static void chain_parse(struct readback *x, const struct nlattr **tb)
{
	const struct nlattr *hook[NFTA_HOOK_MAX + 1];
	const char *name = attr_text(tb[NFTA_CHAIN_NAME]);
	uint32_t v;
	struct rs_chain *c;

	if (!name || name_strange(name))
		return;
	c = rs_chain_add(x->r, name, "");
	if (!c)
		return;
	c->comment = comment_parse(x->r, tb[NFTA_CHAIN_USERDATA], NFTNL_UDATA_CHAIN_COMMENT);
	if (!tb[NFTA_CHAIN_HOOK])
		return;
	nest_parse(hook, NFTA_HOOK_MAX, tb[NFTA_CHAIN_HOOK]);
	c->hook = attr_be32(hook[NFTA_HOOK_HOOKNUM], &v) ? (int)(v & 0xff) : 0xff;
	c->priority = attr_be32(hook[NFTA_HOOK_PRIORITY], &v) ? (int)v : 0;
	c->policy_drop = attr_be32(tb[NFTA_CHAIN_POLICY], &v) && v != NF_ACCEPT;
	if (attr_text(tb[NFTA_CHAIN_TYPE]))
		c->type = rs_strdup(x->r, attr_text(tb[NFTA_CHAIN_TYPE]));
}

static const char *expr_name(const struct nlattr *expr)
{
	const struct nlattr *tb[NFTA_EXPR_MAX + 1];
	const char *name;

	nest_parse(tb, NFTA_EXPR_MAX, expr);
	name = attr_text(tb[NFTA_EXPR_NAME]);
	return name ? name : "?";
}

static void set_parse(struct readback *x, const struct nlattr **tb)
{
	const char *name = attr_text(tb[NFTA_SET_NAME]);
	struct rs_lookup l = { .set = name };
	uint32_t flags = 0, data = 0;
	struct rs_set *s;

	if (!name || name_strange(name))
		return;
	attr_be32(tb[NFTA_SET_FLAGS], &flags);
	if (flags & NFT_SET_ANONYMOUS) {
		x->n_anonymous++;
		return;
	}
	s = rs_set_add(x->r, &l, false, "");
	if (!s)
		return;
	attr_be32(tb[NFTA_SET_KEY_TYPE], &s->key_type);
	attr_be32(tb[NFTA_SET_KEY_LEN], &s->key_len);
	s->map = flags & NFT_SET_MAP;
	s->counter = tb[NFTA_SET_EXPR] && !strcmp(expr_name(tb[NFTA_SET_EXPR]), "counter");
	s->comment = comment_parse(x->r, tb[NFTA_SET_USERDATA], NFTNL_UDATA_SET_COMMENT);
	if (flags & ~(uint32_t)NFT_SET_MAP)
		s->foreign = "flags";
	else if (s->map && (!attr_be32(tb[NFTA_SET_DATA_TYPE], &data) || data != DATA_VERDICT))
		s->foreign = "data type";
	else if (tb[NFTA_SET_TIMEOUT] || tb[NFTA_SET_EXPRESSIONS] || (tb[NFTA_SET_EXPR] && !s->counter))
		s->foreign = "timeout or expression";
}

bool verdict_parse(struct ruleset *r, enum rs_verdict *ret, const char **chain, const struct nlattr *nest)
{
	const struct nlattr *tb[NFTA_VERDICT_MAX + 1];
	uint32_t code = 0;

	nest_parse(tb, NFTA_VERDICT_MAX, nest);
	if (!nest || !attr_be32(tb[NFTA_VERDICT_CODE], &code))
		return false;
	switch ((int)code) {
	case NF_ACCEPT: *ret = RS_ACCEPT; break;
	case NF_DROP: *ret = RS_DROP; break;
	case NFT_RETURN: *ret = RS_RETURN; break;
	case NFT_JUMP: *ret = RS_JUMP; break;
	case NFT_GOTO: *ret = RS_GOTO; break;
	default: return false;
	}
	if (*ret == RS_JUMP || *ret == RS_GOTO) {
		if (!attr_text(tb[NFTA_VERDICT_CHAIN]))
			return false;
		*chain = rs_strdup(r, attr_text(tb[NFTA_VERDICT_CHAIN]));
	}
	return true;
}

static int element_parse(struct readback *x, struct rs_set *s, const struct nlattr *elem, struct err *err)
{
	const struct nlattr *tb[NFTA_SET_ELEM_MAX + 1], *data[NFTA_DATA_MAX + 1];
	struct rs_element *e;
	uint32_t v;

	nest_parse(tb, NFTA_SET_ELEM_MAX, elem);
	nest_parse(data, NFTA_DATA_MAX, tb[NFTA_SET_ELEM_KEY]);
	if (!data[NFTA_DATA_VALUE] || mnl_attr_get_payload_len(data[NFTA_DATA_VALUE]) != s->key_len)
		return err_set(err, ERR_FORMAT, "an element of set '%s' has no key of %u bytes", s->name, s->key_len);
	e = rs_element_add(x->r, s, mnl_attr_get_payload(data[NFTA_DATA_VALUE]));
	if (!e)
		return err_nomem(err);
	e->comment = comment_parse(x->r, tb[NFTA_SET_ELEM_USERDATA], NFTNL_UDATA_SET_ELEM_COMMENT);
	if ((attr_be32(tb[NFTA_SET_ELEM_FLAGS], &v) && v) || tb[NFTA_SET_ELEM_TIMEOUT] ||
	    tb[NFTA_SET_ELEM_KEY_END] || tb[NFTA_SET_ELEM_OBJREF])
		e->foreign = "flags or timeout";
	if (!s->map)
		return 0;
	nest_parse(data, NFTA_DATA_MAX, tb[NFTA_SET_ELEM_DATA]);
	if (!verdict_parse(x->r, &e->verdict, &e->chain, data[NFTA_DATA_VERDICT]))
		e->foreign = "verdict";
	return 0;
}

const struct rs_set *readback_set(const struct ruleset *r, const char *name)
{
	for (size_t i = 0; i < r->n_sets; i++)
		if (!strcmp(r->sets[i]->name, name))
			return r->sets[i];
	return NULL;
}

static int elements_parse(struct readback *x, const struct nlattr **tb, struct err *err)
{
	const char *name = attr_text(tb[NFTA_SET_ELEM_LIST_SET]);
	const struct nlattr *a;

	if (!name || !tb[NFTA_SET_ELEM_LIST_ELEMENTS])
		return 0;
	if (!x->set || strcmp(x->set->name, name))
		x->set = (struct rs_set *)readback_set(x->r, name);
	/* Elements of a set that is replaced anyway; intervals have keys twice. */
	if (!x->set || x->set->foreign)
		return 0;
	mnl_attr_for_each_nested(a, tb[NFTA_SET_ELEM_LIST_ELEMENTS])
		if (element_parse(x, x->set, a, err) < 0)
			return -1;
	return 0;
}

static void one_rule_parse(struct readback *x, const struct nlattr **tb)
{
	const char *name = attr_text(tb[NFTA_RULE_CHAIN]);
	struct rs_rule *rule;

	if (!name)
		return;
	if (!x->chain || strcmp(x->chain->name, name)) {
		x->chain = NULL;
		for (size_t i = 0; i < x->r->n_chains && !x->chain; i++)
			if (!strcmp(x->r->chains[i]->name, name))
				x->chain = x->r->chains[i];
	}
	if (!x->chain)
		return;
	rule = rs_rule_add(x->r, x->chain);
	if (!rule)
		return;
	rule->counter = false;
	rule->comment = comment_parse(x->r, tb[NFTA_RULE_USERDATA], NFTNL_UDATA_RULE_COMMENT);
	rule_parse(x->r, rule, tb[NFTA_RULE_EXPRESSIONS]);
}

/* ---- messages ---- */

#define TB_MAX	31	/* above every NFTA_*_MAX in use here */

_Static_assert(NFTA_TABLE_MAX <= TB_MAX && NFTA_CHAIN_MAX <= TB_MAX && NFTA_SET_MAX <= TB_MAX &&
    NFTA_SET_ELEM_LIST_MAX <= TB_MAX && NFTA_RULE_MAX <= TB_MAX, "room for all attributes");

static int message_parse(struct readback *x, const struct nlmsghdr *nlh, struct err *err)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[TB_MAX + 1] = { NULL };
	struct table t = { tb, TB_MAX };
	const char *table;

	if (NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg) || nfg->nfgen_family != NFPROTO_INET)
		return 0;
	mnl_attr_parse_payload(mnl_nlmsg_get_payload_offset(nlh, sizeof(*nfg)),
	    mnl_nlmsg_get_payload_len(nlh) - MNL_ALIGN(sizeof(*nfg)), attr_see, &t);
	/* The table's name is the first attribute of all of them. */
	_Static_assert((int)NFTA_TABLE_NAME == 1 && (int)NFTA_CHAIN_TABLE == 1 && (int)NFTA_SET_TABLE == 1 &&
	    (int)NFTA_SET_ELEM_LIST_TABLE == 1 && (int)NFTA_RULE_TABLE == 1, "");
	table = attr_text(tb[1]);
	if (!table || strcmp(table, RULESET_TABLE))
		return 0;
	switch (NFNL_MSG_TYPE(nlh->nlmsg_type)) {
	case NFT_MSG_NEWTABLE: table_parse(x, tb); break;
	case NFT_MSG_NEWCHAIN: chain_parse(x, tb); break;
	case NFT_MSG_NEWSET: set_parse(x, tb); break;
	case NFT_MSG_NEWSETELEM: return elements_parse(x, tb, err);
	case NFT_MSG_NEWRULE: one_rule_parse(x, tb); break;
	}
	return 0;
}

static int messages_parse(struct readback *x, const uint8_t *msgs, size_t len, struct err *err)
{
	for (size_t at = 0; at < len;) {
		const struct nlmsghdr *nlh = (const void *)(msgs + at);

		/* mnl_nlmsg_ok would take a length above 2 GB for a negative one. */
		if (len - at < sizeof(*nlh) || nlh->nlmsg_len < sizeof(*nlh) || nlh->nlmsg_len > len - at)
			return err_set(err, ERR_FORMAT, "byte %zu of the kernel's answer starts no message", at);
		if (message_parse(x, nlh, err) < 0)
			return -1;
		at += MNL_ALIGN(nlh->nlmsg_len);
	}
	return 0;
}

int readback_parse(struct ruleset **ret, const uint8_t *msgs, size_t len, struct err *err)
{
	struct readback x = { .r = ruleset_new() };
	size_t known;
	int rc = -1;

	if (!x.r)
		return err_nomem(err);
	if (messages_parse(&x, msgs, len, err) < 0)
		goto out;
	known = x.r->n_chains + x.r->n_sets + x.n_anonymous;
	if (x.counted && x.use != known)
		x.r->n_foreign = x.use > known ? x.use - known : 1;
	/* A set holds a key once; the hash behind it grows for a while after a commit, and a
	 * dump may then show an element again. */
	ruleset_drop_twins(x.r);
	if (ruleset_seal(x.r, err) < 0)
		goto out;
	rc = 0;
	*ret = x.found ? x.r : NULL;
	if (x.found)
		x.r = NULL;
out:
	ruleset_free(x.r);
	return rc;
}

/* ---- a few elements alone ---- */

int readback_elements(struct ruleset **ret, const struct rs_set *like, const uint8_t *msgs, size_t len, struct err *err)
{
	struct readback x = { .r = ruleset_new() };
	const struct rs_lookup l = { .set = like->name };
	int rc = -1;

	x.set = x.r ? rs_set_add(x.r, &l, like->map, "") : NULL;
	if (!x.set) {
		err_nomem(err);
	} else {
		x.set->key_len = like->key_len;
		rc = messages_parse(&x, msgs, len, err);
	}
	if (rc == 0 && x.r->failed)
		rc = err_nomem(err);
	if (rc == 0) {
		*ret = x.r;
		x.r = NULL;
	}
	ruleset_free(x.r);
	return rc;
}
