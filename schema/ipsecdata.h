/* schema/ipsecdata.h - the five ipsecData blobs ([MS-GPIPSEC] 2.2.1), both ways.
 *
 * _parse: results live in `a`; every count and length is checked against the
 * bytes left before anything is allocated; stale memory in unused slots is not
 * kept.  _build: version 1 wherever the value can be said in it, version 2
 * blocks and NFA extensions only where it cannot; free(wr->p) after use.
 * parse(build(parse(b))) == parse(b).  Errors name the field: "filter 3: source
 * mask 255.0.255.0 is not contiguous"; the caller says which object.
 *
 * _parse sets what the blob says and leaves the other fields of *ret (id, name,
 * references...) as they were, so *ret must be initialised. */
#ifndef SCHEMA_IPSECDATA_H
#define SCHEMA_IPSECDATA_H

#include "schema/policy.h"
#include "schema/rd.h"

struct dir_value;

int ipsecdata_policy_parse(uint32_t *ret_polling_seconds, const struct dir_value *blob, struct err *err);
int ipsecdata_isakmp_parse(struct ipsec_isakmp *ret, struct arena *a, const struct dir_value *blob, struct err *err);
int ipsecdata_nfa_parse(struct ipsec_rule *ret, struct arena *a, const struct dir_value *blob, struct err *err);
int ipsecdata_filter_parse(struct ipsec_filter_list *ret, struct arena *a, const struct dir_value *blob, struct err *err);
int ipsecdata_negpol_parse(struct ipsec_negpol *ret, struct arena *a, const struct dir_value *blob, struct err *err);

int ipsecdata_policy_build(struct wr *ret, uint32_t polling_seconds, struct err *err);
int ipsecdata_isakmp_build(struct wr *ret, const struct ipsec_isakmp *m, struct err *err);
int ipsecdata_nfa_build(struct wr *ret, const struct ipsec_rule *r, struct err *err);
int ipsecdata_filter_build(struct wr *ret, const struct ipsec_filter_list *l, struct err *err);
int ipsecdata_negpol_build(struct wr *ret, const struct ipsec_negpol *n, struct err *err);

/* iPSECNegotiationPolicyAction/Type GUIDs of an action, and back (-1: unknown GUID).
 * NULL: no such action (inbound pass-through without negotiation). */
const char *ipsecdata_action_guid(const struct ipsec_negpol *n);
const char *ipsecdata_type_guid(const struct ipsec_negpol *n);
int ipsecdata_action_parse(struct ipsec_negpol *ret, const char *action_guid, const char *type_guid, struct err *err);

#endif
