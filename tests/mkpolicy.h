/* tests/mkpolicy.h - a policy, facts and options from a few lines, for tests:
 *
 *   ipsecexempt 3                     options; defaults 3, no lifeline
 *   lifeline
 *   any-is-ipv4
 *   diagnostics 6
 *   exempt tcp 0 3389 in|out          a boot exemption
 *   fact dns 10.0.0.53
 *   store dynamic                     a further policy of that store; default domain
 *   rule KIND [lan|dialup] [tunnel] [inactive] [default] [hooks=N] NAME
 *   filter SRC DST PROTO SPORT DPORT [mirrored]
 *
 * KIND: permit block require pass request request-pass.  Addresses as in policies
 * ("me", "::/0", "10.0.0.0/8"), ports 80, 80-90 or *.  The n-th rule, action and list are
 * {n0000000-...}, filters count on through all rules; `filter #7 ...` sets the number. */
#ifndef TESTS_MKPOLICY_H
#define TESTS_MKPOLICY_H

#include <stddef.h>

#include "nft/render.h"

struct err;
struct ruleset;

#define MK_SOURCES	4

struct mk {
	struct ipsec_policy	*policies[MK_SOURCES];
	struct render_source	 sources[MK_SOURCES];
	size_t			 n_sources;
	struct host_facts	*facts;
	struct render_options	 o;
	struct settings		 boot;			/* exemptions */
	uint8_t			*hooks[MK_SOURCES];
	unsigned		 n_filters;
};

/* Says what is wrong on stderr and exits: it is the test that is broken. */
struct mk *mk_policy(const char *text);
void mk_free(struct mk *m);
int mk_render(struct ruleset **ret, const struct mk *m, struct err *err);
char *mk_file(const char *name);		/* whole file, malloc'd */

#endif
