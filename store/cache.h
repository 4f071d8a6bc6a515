/* store/cache.h - the assigned policy as Windows keeps it in its registry: one
 * key an object below Policy\Cache, the directory's attribute names as value
 * names, and the assignment in GPTIPSECPolicy.  Private to store/. */
#ifndef STORE_CACHE_H
#define STORE_CACHE_H

#include <stdint.h>

struct err;
struct ipsec_policy;
struct store;

/* Both within a transaction.  taken: seconds, whenChanged where the policy has none. */
int cache_write(struct store *s, const struct ipsec_policy *p, int64_t taken, struct err *err);
int cache_clear(struct store *s, struct err *err);

#endif
