/* agent/dynamic_rule.h - rules of the dynamic context and their tags; for dynamic.c and
 * dynamic_policy.c only. */
#ifndef AGENT_DYNAMIC_RULE_H
#define AGENT_DYNAMIC_RULE_H

#include "agent/dynamic.h"

/* What identifies it: filter (but its id), conntype, tunnel.  The rest is set to what it is when not given. */
int dynamic_rule_key(struct dynamic_rule *ret, const struct netsh_args *a, struct err *err);
/* What may change and is given; texts in `to`. */
int dynamic_rule_edit(struct dynamic_rule *r, struct arena *to, const struct netsh_args *a, struct err *err);
/* Whole: all that depends on each other agrees. */
int dynamic_rule_check(const struct dynamic_rule *r, const struct dynamic *d, struct err *err);
bool dynamic_rule_same(const struct dynamic_rule *a, const struct dynamic_rule *b);	/* of one key */
int dynamic_rule_copy(struct dynamic_rule *ret, struct arena *to, const struct dynamic_rule *of);	/* -1: no memory */

#define DYNAMIC_RULE_TEXT	320
/* "me to 10.0.0.1/32 tcp *:80 mirrored", for names and messages. */
void dynamic_rule_text(const struct dynamic_rule *r, char out[static DYNAMIC_RULE_TEXT]);

#endif
