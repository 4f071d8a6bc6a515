/* gpo/rsop.h - VALUE 2: the resolved assignment (resultant set of policy).
 *
 * Every GPO that is linked anywhere above the computer is listed, with the
 * reason why it does or does not apply; `ipsecpol show rsop` prints this value. */
#ifndef GPO_RSOP_H
#define GPO_RSOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gpo/query.h"
#include "gpo/som.h"
#include "schema/err.h"
#include "schema/ident.h"

struct json_t;

/* The first check that fails gives the verdict.  Their order: link disabled, blocked,
 * not found or unreadable, malformed flags, GPO disabled, malformed otherwise,
 * version, rights (malformed or denied), WMI filter, extension. */
enum gp_verdict {
	GP_APPLIES,
	GP_LINK_DISABLED,
	GP_BLOCKED,		/* inheritance blocked below */
	GP_GPO_DISABLED,	/* flags: computer half off */
	GP_ACCESS_DENIED,	/* readable, but Apply Group Policy is not granted */
	GP_UNREADABLE,		/* nothing of it is shown, this server does not hold it, or there were too many to ask */
	GP_NOT_FOUND,		/* linked, does not exist or is no GPO */
	GP_MALFORMED,		/* its attributes or rights cannot be understood, or an AD shows no rights */
	GP_WMI_FILTER,
	GP_BAD_VERSION,		/* gPCFunctionalityVersion is not 2 */
	GP_NO_IPSEC,		/* our extension GUID is not in its list */
};

/* One link; a GPO that is linked twice is listed twice. */
struct gp_gpo {
	struct guid		 id;
	const char		*dn, *name;	/* name "" when unreadable */
	enum gp_verdict		 verdict;
	const char		*note;		/* what exactly; "" mostly */
	const struct gp_som	*som;		/* the link it came by */
	bool			 enforced;
};

/* UNKNOWN: keep, never fall through.  The strongest GPO has the extension but what it
 * assigns cannot be told (pointer missing, dangling, unreadable); or a GPO that may
 * have the extension is malformed, or a gPLink entry is, and would have been stronger
 * than whatever applies (FORMAT); or nothing is assigned, but a GPO whose link counts
 * is unreadable (DENIED).  Weaker ones, and those that are not found or deny
 * themselves, change nothing. */
enum gp_assignment { GP_ASSIGNED, GP_NONE, GP_UNKNOWN };

struct gp_rsop {
	struct arena		*arena;
	const char		*computer, *computer_dn, *domain, *site;	/* site "": none */
	const char		*site_from;	/* "ping", "subnet", "configured", "default", "" */
	const char		*site_note;	/* why a site that the directory told does not count; "" mostly */
	/* "rootDSE", "computer", "groups"; "": no GPO with rights of its own, no token needed */
	const char		*token_from;
	struct sid		*token;
	size_t			 n_token;
	struct gp_som		*soms;		/* nearest OU first, domain, site */
	size_t			 n_soms;
	struct gp_gpo		*gpos;		/* ascending strength: the last that applies wins */
	size_t			 n_gpos;
	enum gp_assignment	 assignment;
	enum err_code		 why;		/* UNKNOWN: ABSENT, DENIED or FORMAT */
	const char		*reason;	/* UNKNOWN: one sentence; else "" */
	const struct gp_gpo	*winner;	/* UNKNOWN: the one at fault, NULL when it is a gPLink; NONE: NULL */
	const char		*policy_dn;	/* set when GP_ASSIGNED */
	const char		*policy_name;	/* "" when not known */
	struct guid		 policy_id;
};

struct gp_options {
	bool	wmi_allow;	/* GPOs with a WMI filter count as if it were true */
};

/* -1 also when the snapshot leaves a question open (gp_next_query() returned 1),
 * or when a container above the computer cannot be read or is not held by this
 * server: no evaluation then. */
int gp_resolve(struct gp_rsop **ret, const struct dir_snapshot *s, const struct gp_subject *who, const struct gp_options *o, struct err *err);
void rsop_free(struct gp_rsop *r);
int rsop_write(const struct gp_rsop *r, FILE *out);	/* -1: write error */
struct json_t *rsop_json(const struct gp_rsop *r);	/* keys: ipsecpol(8); NULL: no memory */
const char *gp_verdict_name(enum gp_verdict v);		/* "applies", "link-disabled"... */
const char *gp_assignment_name(enum gp_assignment a);	/* "assigned", "none", "unknown" */

#endif
