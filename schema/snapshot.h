/* schema/snapshot.h - VALUE 1: what the directory answered, verbatim.
 *
 * Entries keep their raw attribute bytes; nothing is interpreted here.  Each
 * search is recorded with its outcome, so "not there", "not allowed" and
 * "could not ask" stay different things all the way to the decision.
 * Text form: LDIF (RFC 2849) with the searches as comments; it can be used as
 * a directory again (ldif:FILE). */
#ifndef SCHEMA_SNAPSHOT_H
#define SCHEMA_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct arena;
struct err;

struct dir_value { const uint8_t *p; size_t len; };	/* NUL behind it, not counted */
struct dir_attr  { const char *name; struct dir_value *values; size_t n_values; };
struct dir_entry { const char *dn; struct dir_attr *attrs; size_t n_attrs; };

enum dir_scope { DIR_BASE, DIR_ONE, DIR_SUB };

struct dir_query {
	const char		*base;		/* "" is the root DSE */
	enum dir_scope		 scope;
	const char		*filter;	/* RFC 4515 */
	const char *const	*attrs;		/* NULL-terminated; always with objectClass */
	unsigned		 sd_flags;	/* LDAP_SERVER_SD_FLAGS control; 0: none */
};

enum dir_outcome {
	DIR_OK,
	DIR_ABSENT,	/* noSuchObject */
	DIR_DENIED,	/* insufficientAccessRights */
	DIR_ELSEWHERE,	/* referral: this server does not hold the base */
};

struct dir_search {
	struct dir_query	 q;
	enum dir_outcome	 outcome;
	struct dir_entry	*entries;
	size_t			 n_entries;
};

struct dir_index;

struct dir_snapshot {
	struct arena		*arena;
	const char		*server;	/* URI that answered */
	const char		*address;	/* its address, or NULL (ldapi, ldif) */
	struct dir_search	*searches;	/* in the order they were asked */
	size_t			 n_searches;
	struct dir_index	*index;		/* private to snapshot.c */
};

/* What is known about one DN.  An entry is FOUND when it came with its
 * objectClass (the root DSE: with any attribute); an entry that came without was
 * DENIED (AD shows unreadable objects so).  The absence of an entry is told only
 * by a base search: ABSENT, DENIED and ELSEWHERE by its outcome, DENIED also when
 * "(objectClass=*)" succeeded with no entry; a subtree search that does not
 * return a DN proves nothing about it, and one that returns it without
 * attributes takes nothing back from an earlier FOUND. */
enum dir_state { DIR_STATE_UNKNOWN, DIR_STATE_FOUND, DIR_STATE_DENIED, DIR_STATE_ABSENT, DIR_STATE_ELSEWHERE };

struct dir_snapshot *snapshot_new(void);	/* NULL: no memory */
void snapshot_free(struct dir_snapshot *s);
int snapshot_set_server(struct dir_snapshot *s, const char *uri, const char *address, struct err *err);
/* Adds a finished search; everything is copied. */
int snapshot_add(struct dir_snapshot *s, const struct dir_query *q, enum dir_outcome outcome,
    const struct dir_entry *entries, size_t n_entries, struct err *err);
/* By DN, constant time.  When several searches returned it the last answer
 * wins as a whole.  NULL unless FOUND.  state may be NULL. */
const struct dir_entry *snapshot_entry(const struct dir_snapshot *s, const char *dn, enum dir_state *state);
/* Last search with this very base, scope and filter (whatever its attrs and sd_flags),
 * or NULL.  Good until the next snapshot_add. */
const struct dir_search *snapshot_search(const struct dir_snapshot *s, const struct dir_query *q);
/* -1: write error.  Pre-shared keys read "***"; an ipsecNFA that could not be
 * decoded and passwords are left out. */
int snapshot_write(const struct dir_snapshot *s, FILE *out);

const struct dir_attr *entry_attr(const struct dir_entry *e, const char *name);	/* no case */
const struct dir_value *entry_value(const struct dir_entry *e, const char *name);	/* first, or NULL */
/* First value as text; NULL when absent.  Embedded NULs cut it: for display and compare only. */
const char *entry_text(const struct dir_entry *e, const char *name);
bool entry_has_class(const struct dir_entry *e, const char *object_class);
/* 1 and *ret: decimal value; 0: absent; -1: not a number that fits. */
int entry_int(const struct dir_entry *e, const char *name, int64_t *ret);

#endif
