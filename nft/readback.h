/* nft/readback.h - kernel dump messages -> ruleset, to compare with what we asked
 * for: acknowledgements alone do not prove a commit.  Uses libmnl only, because
 * libnftnl's parsers exit() on a message they dislike. */
#ifndef NFT_READBACK_H
#define NFT_READBACK_H

#include <stddef.h>
#include <stdint.h>

#include "nft/ruleset.h"

struct nlattr;

/* msgs: the answers to GETTABLE, GETCHAIN, GETSET, GETSETELEM, GETRULE, in this
 * order, aligned to 4 bytes; what belongs to other tables is skipped.  *ret is NULL
 * when our table is not among them.  Whatever the table holds that we never
 * create becomes a `foreign` text, so that it shows as a difference; only bytes
 * that are no netlink messages at all are an error. */
int readback_parse(struct ruleset **ret, const uint8_t *msgs, size_t len, struct err *err);

/* Answers to GETSETELEM that asked for keys: a ruleset, not sealed, of one set with the definition of `like` and the elements in
 * the order of the answers. */
int readback_elements(struct ruleset **ret, const struct rs_set *like, const uint8_t *msgs, size_t len, struct err *err);

/* ---- parts, for readback_rule.c and nlsock.c too ---- */

/* Attributes of a nest by type; types above max are left out. */
void nest_parse(const struct nlattr **tb, unsigned max, const struct nlattr *nest);
bool attr_be32(const struct nlattr *a, uint32_t *ret);	/* false: absent or too short */
const char *attr_text(const struct nlattr *a);		/* NULL: absent or not NUL-terminated */
/* A verdict nest (NFTA_DATA_VERDICT).  false: not one of ours. */
bool verdict_parse(struct ruleset *r, enum rs_verdict *ret, const char **chain, const struct nlattr *nest);
/* The expressions of one rule; looks up its sets in r. */
void rule_parse(struct ruleset *r, struct rs_rule *rule, const struct nlattr *expressions);
const struct rs_set *readback_set(const struct ruleset *r, const char *name);

#endif
