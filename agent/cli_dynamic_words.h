/* agent/cli_dynamic_words.h - of `dynamic show`: what the tags ask for, and values of its JSON as words
 * for people.  Private to cli_dynamic*.c and cli_ike*.c.
 *
 * Texts that are returned live in the arena of the call or are constant; "?" when there is no memory. */
#ifndef AGENT_CLI_DYNAMIC_WORDS_H
#define AGENT_CLI_DYNAMIC_WORDS_H

#include <stdbool.h>
#include <stdio.h>

#define ASK_SECONDS	60	/* for an answer of the service */

struct cli;
struct json_t;
struct netsh_args;

/* ---- what is asked for: a tag that is not given asks for anything ---- */
bool is_all(const char *name);
bool name_wanted(const struct netsh_args *a, const struct json_t *o, const char *const *keys);	/* one of the values of keys (NULL ends them) */
/* have: as the service writes it, the address with its mask. */
bool addr_wanted(const struct netsh_args *a, const char *tag, const char *mask_tag, const char *have);
bool action_wanted(const struct netsh_args *a, const char *tag, const char *have);
bool ends_wanted(const struct netsh_args *a, const struct json_t *o);		/* addresses, protocol and ports */

/* ---- words ---- */
const char *upper(struct cli *c, const char *s);
/* "10.0.0.1/32" is shown as the host it is, by its name when there is one and resolvedns=yes. */
const char *addr_shown(struct cli *c, const struct netsh_args *a, const char *text);
const char *port_text(struct cli *c, const struct json_t *port);
const char *protocol_text(struct cli *c, const struct json_t *o);
const char *mm_offers_text(struct cli *c, const struct json_t *offers);
const char *qm_offers_text(struct cli *c, const struct json_t *offers);
const char *auth_text(struct cli *c, const struct json_t *auth);	/* without keys */
const char *number_text(struct cli *c, const struct json_t *o, const char *key, const char *unit);
const char *yes_text(const struct json_t *o, const char *key);		/* "YES" "NO" */
const char *minutes_text(struct cli *c, const struct json_t *o, const char *key);
void maybe_line(FILE *out, const char *key, const char *value);		/* list_line, but nothing for "" */

#endif
