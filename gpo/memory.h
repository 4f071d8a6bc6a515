/* gpo/memory.h - policy objects as they were read before, so that only those that have
 * changed since are read again.
 *
 * A search that brings policy objects is sent for their stamps first: uSNChanged,
 * whenChanged and objectGUID of an AD, where they count on one and the same domain
 * controller only, or entryCSN and entryUUID of an OpenLDAP.  Objects whose stamp is the
 * remembered one are taken from memory, the others are read.  Whatever is odd (a stamp
 * that is missing or goes backwards, another object of the same name, one that is gone)
 * makes it a full read.  A stamp is no proof: the caller forgets the memory at times.
 *
 * Text form: "ipsecpol memory 1", the server, then LDIF with pre-shared keys. */
#ifndef GPO_MEMORY_H
#define GPO_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "schema/snapshot.h"

struct arena;
struct err;
struct gp_memory;
struct gp_recall;
struct gp_subject;

#define MEMORY_MAX_BYTES	(128u << 20)

/* The memory and its entries live in `a`; the text need not outlive the call. */
int gp_memory_read(struct gp_memory **ret, struct arena *a, const char *text, size_t len, struct err *err);
/* What a complete snapshot lets remember: nothing but the first line where the
 * directory has no stamps.  -1: also a write error. */
int gp_memory_write(const struct dir_snapshot *s, const struct gp_subject *who, FILE *out, struct err *err);

/* Of the five classes, wherever it lies: also the assignments below GPOs. */
bool gp_is_policy_object(const struct dir_entry *e);

/* One search of gp_next_query() with who->memory.  1: *ret, in `a`; 0: the memory is of no
 * use for this one, ask q itself. */
int gp_recall_begin(struct gp_recall **ret, const struct dir_snapshot *s, const struct gp_subject *who,
    const struct dir_query *q, struct arena *a, struct err *err);
/* 1: *ret is to be asked, and answered by gp_recall_add; 0: gp_recall_result.  What is
 * given to gp_recall_add lives as long as `a`. */
int gp_recall_next(struct dir_query *ret, const struct gp_recall *r);
int gp_recall_add(struct gp_recall *r, const struct dir_search *answer, struct err *err);

struct gp_recalled {
	struct dir_search	 answer;	/* to q */
	size_t			 n_kept;	/* entries from memory */
	size_t			 n_read;	/* policy objects that were read */
	const char		*odd;		/* why all were; NULL: no reason */
};
void gp_recall_result(struct gp_recalled *ret, const struct gp_recall *r);

#endif
