/* agent/protection.h - the kernel's IPsec policies around a change of the ruleset.  SHELL.
 *
 * Rules first on the way up, policies first on the way down: at no time is there a policy
 * whose packets no rule looks at. */
#ifndef AGENT_PROTECTION_H
#define AGENT_PROTECTION_H

#include <stdio.h>

#include "nft/xfrmsock.h"
#include "schema/err.h"

struct conf;
struct host_facts;
struct ipsec_policy;
struct negotiator;
struct protect;
struct sources;

struct protection {
	struct xfrmsock		*x;		/* NULL: this kernel has no IPsec; then policies are rendered and nothing else */
	/* Called before policies are put in (negotiate_hold), or NULL. */
	void			(*hold)(struct negotiator *n, const struct spd *spd);
	struct negotiator	*negotiator;
	const struct protect	*before;	/* in force; NULL: nothing, or it is not known */
	struct protect		*next;		/* rendered last; whoever puts it in force takes it */
	struct spd_report	 report;	/* of the last change */
	struct err		 problem;	/* why what should be negotiated cannot be, though the rules are in force; code NONE */
};

/* Into p->next.  gpo, gpo_name: "" without. */
int protection_render(struct protection *p, const struct sources *s, const struct conf *c, const struct ipsec_policy *domain,
    const char *gpo, const char *gpo_name, const struct host_facts *facts, struct err *err);
void protection_none(struct protection *p);	/* nothing is next: block mode, startup mode, permit */
int protection_down(struct protection *p, FILE *log, struct err *err);	/* before the rules; -1: all is as it was */
void protection_up(struct protection *p, FILE *log);	/* the rules are in force; what goes wrong is in p->problem */
void protection_back(struct protection *p);		/* the rules could not be changed */

#endif
