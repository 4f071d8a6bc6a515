/* agent/refresh_parts.h - what of a refresh's result is kept with a generation.  Private to
 * refresh*.c. */
#ifndef AGENT_REFRESH_PARTS_H
#define AGENT_REFRESH_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/store.h"

struct arena;
struct err;

const char *part_text(const struct gen_part *parts, size_t n, const char *name);	/* "": there is none */
bool same_part(const struct gen_part *x, const struct gen_part *y);	/* NULL equals NULL */
/* Would these parts be the same generation once more? */
bool same_generation(const struct generation *g, const struct gen_part *parts, size_t n);
/* Known parts, names of bounded length; the domain controllers in use with those of old. */
int pick_parts(struct gen_part **ret, size_t *ret_n, struct arena *a, const struct gen_part *parts, size_t n_parts, const struct generation *old, struct err *err);

#endif
