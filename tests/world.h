/* tests/world.h - a directory in memory that keeps the rules of a real one, for tests of changes. */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/change.h"

struct arena;

struct world {
	struct arena		*a;
	struct dir_entry	*e;	/* no order */
	size_t			 n;
};

struct dir_entry *world_entry(const struct world *w, const char *dn);	/* NULL: none */
/* With values that are not there, what is referred to existing, and so on ([MS-ADTS] 3.1.1.5); NULL, or
 * what is wrong with the change. */
const char *world_apply(struct world *w, const struct dir_change *c);
void world_add(struct world *w, const struct dir_entry *entries, size_t n);
/* An attribute to be changed, made if need be. */
struct dir_attr *world_attr(struct world *w, struct dir_entry *e, const char *name);
void world_value(struct world *w, struct dir_attr *attr, const void *p, size_t len);	/* adds one */
size_t attr_at(const struct dir_attr *attr, const struct dir_value *v);	/* n_values: not there */
void attr_take(struct dir_attr *attr, size_t at);

#endif
