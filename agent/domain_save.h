/* agent/domain_save.h - an edited container and its assignments into the directory, so that at every
 * step each policy is the old or the new one.  SHELL. */
#ifndef AGENT_DOMAIN_SAVE_H
#define AGENT_DOMAIN_SAVE_H

#include <stdbool.h>

struct directory;
struct err;
struct store_edit;

struct domain_place {
	struct directory *dir;		/* NULL: not connected */
	const char	*nc;		/* DN of the domain */
	const char	*dn;		/* of the container */
	bool		 missing;	/* it does not exist yet */
};

/* What adds and changes first, then the GPOs, then what goes; the container before all, when it is missing and
 * something is to stand in it.  0: written.  -1: nothing is left of it but perhaps an empty container; or ERR_FORMAT, and
 * the message says "written in part", or "the rest is written" when only something superfluous is left. */
int domain_save(struct domain_place *at, struct store_edit *e, struct err *err);

#endif
