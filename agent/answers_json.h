/* agent/answers_json.h - parts of policies as the daemon's answers hold them; secrets never do.
 * Each returns NULL when memory ran out. */
#ifndef AGENT_ANSWERS_JSON_H
#define AGENT_ANSWERS_JSON_H

#include <stddef.h>

#include "schema/policy.h"

struct json_t;

struct json_t *guid_json(const struct guid *id);	/* null for zero */
struct json_t *ports_json(const struct ipsec_ports *p);	/* 0, 80, "80-90" */
struct json_t *tunnel_json(const struct ipsec_rule *r);	/* the address of its end, or null */
/* [{"method": ..., "ca": ..., "certmap": ..., "excludecaname": ...}]; the last three for certificates alone */
struct json_t *auth_json(const struct ipsec_auth *auth, size_t n);
/* [{"encryption", "hash", "group"}]: the extra ones in front, as they are offered */
struct json_t *mm_offers_json(const struct ipsec_isakmp *m);
struct json_t *main_mode_json(const struct ipsec_isakmp *m);
/* [{"esp": {"encryption", "integrity"} or null, "ah": {"integrity"} or null, "lifetime_seconds", "lifetime_kbytes"}] */
struct json_t *qm_offers_json(const struct ipsec_offer *offers, size_t n);

#endif
