/* nft/batch.h - VALUE 5: the bytes of one nftables transaction.
 *
 * Always one datagram, BATCH_BEGIN to BATCH_END, holding only the difference
 * between two rulesets: chains whose rules differ are emptied and filled again,
 * of sets only the elements that differ are sent; when the table itself, a set or
 * a chain is defined differently the whole table is replaced, still in one step.
 *
 * Example: the verdict of one element changes -> BEGIN, DELSETELEM, NEWSETELEM, END. */
#ifndef NFT_BATCH_H
#define NFT_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;
struct rs_chain;
struct rs_changes;
struct rs_rule;
struct rs_set;
struct ruleset;

/* What a message is about; points into the rulesets the batch was built from. */
struct batch_object {
	const char			*verb;		/* "add", "delete", "empty" */
	const struct rs_set		*set;
	const struct rs_chain		*chain;
	const struct rs_rule		*rule;
	unsigned			 n_group;	/* elements of the set; 0: not about elements */
	uint32_t			 seq;		/* of the message; one of n elements takes n numbers */
};

struct nlbatch {
	uint8_t			*bytes;
	size_t			 len, size;
	uint32_t		 first_seq, next_seq;	/* of the objects, and of the end; BEGIN has the number before */
	struct batch_object	*objects;	/* by seq */
	size_t			 n_objects, size_objects;
};

/* want NULL: remove the table; have NULL: there is none.  Both must outlive the
 * batch.  genid not 0: the kernel refuses the batch (ERESTART) when anybody
 * changed anything since generation genid.  No difference: n_objects is 0. */
int batch_build(struct nlbatch **ret, const struct ruleset *want, const struct ruleset *have, uint32_t genid,
    struct err *err);
int batch_changes(struct nlbatch **ret, const struct rs_changes *c, uint32_t genid, struct err *err);
bool batch_replaces(const struct rs_changes *c);	/* the whole table, or removes it */
/* The guard with the rules of want, in place of the one that may be there; NULL: none. */
int batch_guard(struct nlbatch **ret, const struct ruleset *want, struct err *err);
void batch_free(struct nlbatch *b);
/* The element at a byte of the message *seq, as the kernel's error tells it; false:
 * none there. */
bool batch_locate(const struct nlbatch *b, uint32_t *seq, size_t offset);
unsigned batch_after(const struct nlbatch *b, uint32_t seq);	/* elements in its message after this one */
/* "add element 10.0.0.1 . tcp of map in4_s32_p (filter {...} of rule {...})" */
void batch_object_write(const struct nlbatch *b, uint32_t seq, FILE *out);

#endif
