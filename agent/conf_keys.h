/* agent/conf_keys.h - the keys of ipsecpol.conf and the kinds of their values.
 * Private to conf.c. */
#ifndef AGENT_CONF_KEYS_H
#define AGENT_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/conf.h"

struct conf_key;

/* Stores a value, or says what it should have been, "a number of 0 to 3" (words are
 * "deny|allow").  NULL: done; "": no memory. */
typedef const char *key_store(struct conf *c, const struct conf_key *k, const char *value, struct err *err);

struct conf_key {
	const char	*section, *name;
	key_store	*store;
	size_t		 at;		/* offset in struct conf */
	long		 min, max;	/* of numbers and times; max length of texts */
	const char	*what;		/* for messages, or the words, the first one being 0 */
	enum fact_kind	 fact;		/* of addresses */
};

const struct conf_key *conf_key_find(const char *section, const char *name);	/* NULL: unknown */
bool conf_section_known(const char *section);

#endif
