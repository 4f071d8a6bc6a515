/* agent/bootimage.h - what boot.image holds (store/store.h: the file): the parts of the domain's
 * generation in force, or "assignment" "none" once the directory said so; "settings", "persistent" and
 * "local" as stored.  SHELL.
 *
 * It is what the boot unit reads, and the second copy of everything when a store is damaged. */
#ifndef AGENT_BOOTIMAGE_H
#define AGENT_BOOTIMAGE_H

#include <limits.h>
#include <stddef.h>

#include "schema/settings.h"
#include "store/store.h"

struct conf;
struct err;
struct stored;

void bootimage_path(char out[static PATH_MAX], const struct conf *c);
/* Writes it when it is not what it should be.  domain NULL: that part stays as it is.  A stored policy that cannot be
 * used now keeps the copy of it that could. */
int bootimage_update(const struct conf *c, const struct stored *s, const struct gen_part *domain, size_t n_domain, struct err *err);
/* Which startup mode these parts ask for, never BOOT_AUTO, and *s as they say.  -1: *s has the defaults. */
int bootimage_mode(enum boot_mode *ret, struct settings *s, const struct gen_part *parts, size_t n, struct err *err);
/* Is the part one of the domain's generation (not of what this host has stored)? */
bool bootimage_is_domain_part(const char *name);

#endif
