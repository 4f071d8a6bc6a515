/* gpo/som.h - scopes of management and their links, [MS-GPOL] 2.2.2, 3.2.5.1.3-5.
 * Disabled and blocked links are kept, so that a dump can show them. */
#ifndef GPO_SOM_H
#define GPO_SOM_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct err;

#define GP_LINKS_MAX	1000	/* of all SOMs of one computer together; Windows stops at 999 GPOs */
#define GP_SOMS_MAX	128	/* OUs above one computer, and the domain */
#define GP_DN_MAX	4096	/* bytes; a longer DN is not followed */
#define GP_LINK_BYTES_MAX (2 << 20)	/* of gPLink of all SOMs of one computer together */

enum gp_som_type { GP_SOM_SITE, GP_SOM_DOMAIN, GP_SOM_OU };

struct gp_link {
	const char	*gpo_dn;
	bool		 disabled, enforced;
};

/* The strongest of some gPLink entries that could not be read: it stood in front of
 * links[at], or behind the last one. */
struct gp_lost {
	bool	any;
	size_t	at;
};

struct gp_som {
	enum gp_som_type	 type;
	const char		*dn;
	bool			 block_inheritance;	/* gPOptions bit 0; counts without links too */
	struct gp_link		*links;			/* in gPLink order: the last is the strongest */
	size_t			 n_links;
	size_t			 n_malformed;		/* gPLink entries that could not be read, left out */
	/* Of these, but for what surely is disabled; enforced also where the options could not be read. */
	struct gp_lost		 lost, lost_enforced;
};

/* Fills links, n_links, n_malformed and what is lost from one gPLink value. */
int gp_som_links(struct gp_som *som, struct arena *a, const char *gplink, size_t len, struct err *err);

/* The same for the links alone.  Entries that cannot be parsed are counted, not fatal. */
int gp_link_parse(struct gp_link **ret, size_t *ret_n, size_t *ret_malformed, struct arena *a, const char *gplink, size_t len, struct err *err);

/* The DNs of the SOMs of a computer, nearest OU first, domain root last. */
int gp_som_dns(const char ***ret, size_t *ret_n, struct arena *a, const char *computer_dn, struct err *err);

/* One link in the order of strength. */
struct gp_ranked {
	const struct gp_som	*som;
	const struct gp_link	*link;
	const struct gp_som	*blocked_by;	/* inheritance ends there; NULL: not blocked */
};

/* [MS-GPOL] 3.2.5.1.5: soms from the nearest on; the result ascends, the last is
 * the strongest.  Disabled and blocked links stand where they would have been. */
int gp_links_rank(struct gp_ranked **ret, size_t *ret_n, struct arena *a, const struct gp_som *soms, size_t n_soms, struct err *err);

/* A SOM with a lost entry that may have been stronger than this link (NULL: than
 * nothing); soms as they were ranked.  NULL: there is none. */
const struct gp_som *gp_links_lost(const struct gp_som *soms, size_t n_soms, const struct gp_ranked *than);

const char *gp_som_type_name(enum gp_som_type t);	/* "site", "domain", "ou" */

#endif
