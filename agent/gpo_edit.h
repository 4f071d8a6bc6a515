/* agent/gpo_edit.h - which IPsec policy a Group Policy object assigns, and changing that:
 * its CN=IPSEC object ([MS-GPIPSEC] 2.2.2), its list of extensions and its version ([MS-GPOL] 2.2.4).
 * SHELL, but for the first two functions, which are pure.
 *
 * SYSVOL is not touched: the GPT.INI of the GPO keeps its old version, and Group Policy tools may
 * report that the two differ.  What agents of IPsec read is all in the directory. */
#ifndef AGENT_GPO_EDIT_H
#define AGENT_GPO_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct directory;
struct err;
struct gpo_user;	/* agent/session.h */

#define GPO_EXTENSIONS_MAX	(64u << 10)	/* bytes of the list */

/* "[{CSE}{tool}...]..." with or without our extension; entries stand in the order of their CSE GUIDs
 * and the other ones stay as they are, to the letter.  text NULL or blank: an empty list; *ret NULL: it
 * is empty now.  has: was it in it?  May be NULL, and so may ret.  ERR_FORMAT, ERR_LIMIT. */
int gpo_extensions_edit(const char **ret, bool *has, struct arena *a, const char *text, bool with, struct err *err);
/* The next versionNumber: the computer half, which is the low one, counts up and is never 0. */
int32_t gpo_version_next(int32_t version);

/* What a GPO is to assign. */
struct gpo_target {
	const char	*dn, *name, *description;	/* of the policy; dn NULL: nothing; texts "" or NULL: none */
};

/* DN of the GPO with this display name (no case) or "{GUID}", in `a`.  domain: DN of the naming
 * context.  ERR_ABSENT: none; ERR_FORMAT: several, the message lists their GUIDs. */
int gpo_find(const char **ret, struct directory *d, const char *domain, const char *name, struct arena *a, struct err *err);
/* Agents see the old or the new assignment at any moment, and after a crash too.  Done again
 * from what is there when somebody else was faster; ERR_BUSY: too often. */
int gpo_assign(struct directory *d, const char *gpo_dn, const struct gpo_target *to, struct err *err);
/* 1: *ret_dn is the DN of the assigned policy, which need not exist; 0: none, *ret_dn as it was; -1: error. */
int gpo_assigned(struct directory *d, const char *gpo_dn, const char **ret_dn, struct arena *a, struct err *err);
/* The GPOs whose CN=IPSEC names this policy, all in `a`. */
int gpo_users(struct directory *d, const char *domain, const char *policy_dn, struct gpo_user **ret, size_t *ret_n, struct arena *a, struct err *err);

#endif
