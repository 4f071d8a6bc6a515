/* nft/batch_build.h - the parts a transaction is put together from; for nft/batch*.c. */
#ifndef NFT_BATCH_BUILD_H
#define NFT_BATCH_BUILD_H

#include "nft/batch.h"
#include "nft/ruleset.h"

struct nftnl_set;
struct nlmsghdr;

#define BATCH_GROUP	128	/* elements in one message */
/* libnftnl writes without a limit; the largest rule takes below 2 KB, the largest
 * element (key, verdict and chain, comment) below 384 bytes, and all elements of a
 * message must stay below 64 KB, the length of an attribute. */
#define MESSAGE_MAX	(1024 + BATCH_GROUP * 384)
#define ELEMENT_USUAL	128	/* bytes that an element takes, mostly */

struct build {
	struct nlbatch	*b;
	const char	*table;
	struct err	*err;
	char		*scratch;	/* MESSAGE_MAX bytes, aligned */
	/* Elements that wait for their message; NULL: none. */
	struct nftnl_set	*group;
	struct batch_object	 group_object;
	uint16_t		 group_type, group_flags;
};

int bytes_add(struct build *x, const void *p, size_t len);
/* Into scratch; the number of the message is that of the next object. */
struct nlmsghdr *message_begin(struct build *x, uint16_t type, uint16_t flags);
int message_end(struct build *x, const struct nlmsghdr *nlh, const struct batch_object *o);
int build_nomem(struct build *x);

#define UDATA_MAX	(RS_COMMENT_MAX + 1 + 2 + 6)
/* [ type, length, text with its NUL ]; a comment too long for nft(8) is cut. */
uint32_t udata_comment(uint8_t *buf, uint8_t type, const char *comment);

int table_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const char *comment);
int chain_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_chain *c);
int set_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_set *s);
/* rule NULL: all rules of the chain. */
int rule_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_chain *c,
    const struct rs_rule *rule);
/* Elements of one set and verb go together, many in a message: its number is that of
 * its first element.  elements_flush after the last, and before anything else. */
int element_message(struct build *x, uint16_t type, uint16_t flags, const char *verb, const struct rs_set *s,
    const struct rs_element *e);
int elements_flush(struct build *x);

#endif
