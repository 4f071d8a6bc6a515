/* What a message of a transaction is about, for errors. */
#include "nft/batch.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "nft/ruleset.h"

static int object_cmp(const void *key, const void *object)
{
	const struct batch_object *o = object;
	const uint32_t seq = *(const uint32_t *)key, n = o->n_group ? o->n_group : 1;

	return seq < o->seq ? -1 : seq - o->seq >= n;
}

static const struct batch_object *object_find(const struct nlbatch *b, uint32_t seq)
{
	return b->n_objects ? bsearch(&seq, b->objects, b->n_objects, sizeof(*b->objects), object_cmp) : NULL;
}

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

/* The n-th element of a message, or the one at a byte of it; *ret_n: which. */
static const struct nlattr *element_find(const struct nlmsghdr *nlh, size_t offset, uint32_t n, uint32_t *ret_n)
{
	const struct nlattr *list, *e;
	uint32_t i = 0;

	mnl_attr_for_each(list, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(e, list) {
			const size_t at = (size_t)((const char *)e - (const char *)nlh);

			if (offset ? offset >= at && offset < at + MNL_ALIGN(e->nla_len) : i == n) {
				*ret_n = i;
				return e;
			}
			i++;
		}
	}
	return NULL;
}

bool batch_locate(const struct nlbatch *b, uint32_t *seq, size_t offset)
{
	const struct nlmsghdr *nlh = message_find(b, *seq);
	uint32_t n;

	if (!offset || !nlh || NFNL_MSG_TYPE(nlh->nlmsg_type) > NFT_MSG_DELSETELEM ||
	    NFNL_MSG_TYPE(nlh->nlmsg_type) < NFT_MSG_NEWSETELEM || !element_find(nlh, offset, 0, &n))
		return false;
	*seq += n;
	return true;
}

unsigned batch_after(const struct nlbatch *b, uint32_t seq)
{
	const struct batch_object *o = object_find(b, seq);

	return o && o->n_group ? o->n_group - 1 - (seq - o->seq) : 0;
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

/* The set is sealed, and holds what it sends. */
static void element_object_write(const struct nlbatch *b, const struct batch_object *o, uint32_t seq, FILE *out)
{
	const struct nlattr *e = element_find(message_find(b, o->seq), 0, seq - o->seq, &seq), *key, *value;
	const struct rs_element *found = NULL;

	mnl_attr_for_each_nested(key, e)
		if (mnl_attr_get_type(key) == NFTA_SET_ELEM_KEY)
			mnl_attr_for_each_nested(value, key)
				found = set_element(o->set, mnl_attr_get_payload(value));
	fputs("element ", out);
	if (found)
		rs_key_write(o->set, found->key, out);
	fprintf(out, " of %s %s", o->set->map ? "map" : "set", o->set->name);
	origin_write(found ? found->origin : NULL, out);
}

void batch_object_write(const struct nlbatch *b, uint32_t seq, FILE *out)
{
	const struct batch_object *o = object_find(b, seq);

	if (!o) {
		fputs("the transaction", out);
		return;
	}
	fprintf(out, "%s ", o->verb);
	if (o->n_group) {
		element_object_write(b, o, seq, out);
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
