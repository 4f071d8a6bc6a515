/* nft/guard.h - what must stand beside the table while it changes.
 *
 * One transaction is not one moment for a packet under way: it is still among the rules of
 * the old generation when it looks up elements of the new one, so that it can be judged by the
 * first maps as they were and by the rest as they will be.  What neither the old nor the new
 * rules let through could pass between them.  The guard is a second table that does not let it,
 * put there before the change and taken away after it.  nft/guard.c says which changes need
 * how much of one, and why. */
#ifndef NFT_GUARD_H
#define NFT_GUARD_H

struct err;
struct rs_changes;
struct ruleset;

/* *ret is NULL where none is needed, else the ruleset of the guard: all of what is wanted, or
 * a part of it that lets through whatever cannot be misjudged.  It points into c->want, and
 * is the caller's. */
int guard_plan(struct ruleset **ret, const struct rs_changes *c, struct err *err);

#endif
