/* store/settings.h - the service's settings in the registry, below REG_SERVICE and the keys that
 * Windows uses beside it.  SHELL. */
#ifndef STORE_SETTINGS_H
#define STORE_SETTINGS_H

struct err;
struct settings;
struct store;

/* What is absent has its default; ERR_FORMAT names the value that is out of range. */
int settings_load(struct settings *ret, struct store *registry, struct err *err);
/* Within a transaction; what has its default is removed. */
int settings_save(struct store *registry, const struct settings *s, struct err *err);

#endif
