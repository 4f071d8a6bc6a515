/* Elements, many in a message. */
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

_Static_assert(MESSAGE_MAX < 65536, "elements of a message fit into an attribute");

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

int elements_flush(struct build *x)
{
	struct nlmsghdr *nlh;
	int rc;

	if (!x->group)
		return 0;
	nlh = message_begin(x, x->group_type, x->group_flags);
	nftnl_set_elems_nlmsg_build_payload(nlh, x->group);
	rc = message_end(x, nlh, &x->group_object);
	nftnl_set_free(x->group);
	x->group = NULL;
	return rc;
}

static int group_begin(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_set *s)
{
	if (x->group && x->group_object.n_group < BATCH_GROUP && x->group_object.set == s && x->group_type == type)
		return 0;
	if (elements_flush(x) < 0)
		return -1;
	x->group = nftnl_set_alloc();
	if (!x->group || nftnl_set_set_str(x->group, NFTNL_SET_TABLE, x->table) < 0 ||
	    nftnl_set_set_str(x->group, NFTNL_SET_NAME, s->name) < 0)
		return build_nomem(x);
	x->group_object = (struct batch_object){ .verb = verb, .set = s };
	x->group_type = type;
	x->group_flags = flags;
	return 0;
}

int element_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_set *s,
    const struct rs_element *e)
{
	struct nftnl_set_elem *ne;

	if (group_begin(x, type, flags, verb, s) < 0)
		return -1;
	ne = nftnl_set_elem_alloc();
	if (!ne || element_fill(ne, s, e, type == NFT_MSG_DELSETELEM) < 0) {
		if (ne)
			nftnl_set_elem_free(ne);
		return build_nomem(x);
	}
	nftnl_set_elem_add(x->group, ne);
	x->group_object.n_group++;
	return 0;
}
