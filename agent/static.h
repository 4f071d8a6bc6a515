/* agent/static.h - what the files of the static context share.  Private to agent/static_*.c and
 * its tests; host_lookup and the words also for cli_dynamic*.c.
 *
 * Each edit_* of a command checks everything, makes what it needs in the container's arena and
 * only then changes objects: after -1 the container is what it was (ERR_NOMEM: load it again). */
#ifndef AGENT_STATIC_H
#define AGENT_STATIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/netsh.h"
#include "agent/session.h"
#include "gpo/container.h"
#include "schema/policy.h"

struct arena;
struct err;

/* Bytes of UTF-8. */
#define STATIC_MAX_NAME		255
#define STATIC_MAX_TEXT		1024	/* descriptions */
#define STATIC_MAX_PSK		512
#define STATIC_MAX_CA		2048
#define STATIC_MAX_ADDRESSES	256	/* of one DNS name */

#define STATIC_MM_LIFE_MINUTES	(POLICY_MM_LIFE_DEFAULT / 60)
#define STATIC_POLLING_MINUTES	(POLICY_POLLING_DEFAULT / 60)

typedef int edit_command(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err);
edit_command edit_policy_add, edit_policy_set, edit_policy_delete, edit_all_delete;
edit_command edit_list_add, edit_list_set, edit_list_delete, edit_filter_add, edit_filter_delete;
edit_command edit_action_add, edit_action_set, edit_action_delete;
edit_command edit_rule_add, edit_rule_set, edit_rule_delete, edit_default_rule_set;

/* ---- objects, static_edit.c ---- */
int edit_text_check(const char *text, const char *what, size_t max, struct err *err);
/* newname= and description= as they are to be (the old ones where not given), in the arena; another object
 * of the class must not have the name. */
int edit_texts(const char **ret_name, const char **ret_description, struct ipsec_container *c,
    const struct ipsec_object *o, const struct netsh_args *a, struct err *err);
/* May a new object be called so? */
int edit_name_check(const struct ipsec_container *c, enum object_class class, const char *name, struct err *err);
/* container_find, with a word about how to tell several apart. */
int edit_find(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class, const char *name, struct err *err);
/* By name= or guid=. */
int edit_pick(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class, const struct netsh_args *a, struct err *err);
/* For deleting: damaged ones count, too. */
int edit_find_any(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class, const char *name, struct err *err);
/* ERR_BUSY naming a rule, when one refers to this list or action. */
int edit_unused_check(const struct ipsec_object *o, struct err *err);
/* To arena; n * size may be 0. */
int edit_copy(void **ret, struct ipsec_container *c, const void *p, size_t n, size_t size, struct err *err);
int edit_strdup(const char **ret, struct ipsec_container *c, const char *s, struct err *err);

/* ---- static_policy.c ---- */
bool policy_is_active(const struct store_edit *e, const struct ipsec_object *policy);	/* not domain */
extern const struct ipsec_offer default_response_offers[6];

/* ---- static_rule.c ---- */
struct ipsec_object *default_rule_find(const struct ipsec_object *policy);	/* NULL: it has none */
/* A default response rule with Kerberos and the six offers. */
int default_rule_add(struct ipsec_object **ret, struct ipsec_container *c, struct ipsec_object *policy, bool active, struct err *err);

/* ---- static_filter.c ---- */
bool list_is_mirrored(const struct ipsec_object *list);	/* some filter of it */
/* The addresses of a DNS name, sorted, each once. */
int host_lookup(struct ipsec_addr **ret, size_t *ret_n, struct arena *a, const char *host, const char *tag, struct err *err);
/* The one filter that the arguments of `add filter` say, without an id; ERR_UNSUPPORTED where a name would have
 * to be looked up. */
int filter_from_args(struct ipsec_filter *ret, const struct netsh_args *a, struct err *err);

/* ---- static_index.c: which filters a list has, by what they say ---- */
bool filter_same(const struct ipsec_filter *x, const struct ipsec_filter *y);	/* all but the id */
/* 1: the list has it; 0; -1: no memory. */
int filter_index_find(struct store_edit *e, struct ipsec_object *list, const struct ipsec_filter *f, struct err *err);
/* Appends to the list, which is not touched (object_touch) here. */
int filter_index_add(struct store_edit *e, struct ipsec_object *list, const struct ipsec_filter *f, struct err *err);
size_t filter_index_work(const struct store_edit *e);	/* filters looked at so far: for tests of linearity */

/* ---- static_words.c: values as the grammar says them.  In `a`; NULL: no memory ---- */
const char *words_cipher(enum ipsec_cipher c);		/* "3DES" */
const char *words_hash(enum ipsec_hash h);		/* "SHA1" */
const char *words_protocol(struct arena *a, uint8_t protocol);	/* "TCP", "47" */
const char *words_addr(struct arena *a, const struct ipsec_addr *addr);	/* one host without "/32" */
const char *words_ports(struct arena *a, const struct ipsec_ports *p);	/* "80", "1-9", "0": any */
/* "3DES-SHA1-2 ...", the extra offers of the header in front.  Algorithms that the grammar has no word
 * for are shown as "?". */
const char *words_mm(struct arena *a, const struct ipsec_isakmp *m);
/* "AH[SHA1]+ESP[3DES,MD5]:100000k/900s ..."; a lifetime that is left to the default is not written. */
const char *words_qm(struct arena *a, const struct ipsec_offer *offers, size_t n);
const char *words_auth(struct arena *a, const struct ipsec_auth *m);	/* for people: no key */
const char *words_ca(struct arena *a, const struct ipsec_auth *m);	/* "CN=Root certmap:yes" */

/* ---- static_json.c: NULL: no memory ---- */
struct json_t;
struct json_t *policy_object_json(const struct store_edit *e, const struct ipsec_object *policy, const struct gpo_user *gpos, size_t n_gpos);
struct json_t *rule_object_json(const struct ipsec_object *rule);
struct json_t *list_object_json(const struct ipsec_object *list);
struct json_t *action_object_json(const struct ipsec_object *action);

#endif
