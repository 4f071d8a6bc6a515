/* gpo/ask.h - the searches as text: filters, attribute lists, and which of the
 * answers tell what about a DN.  Private to gpo/. */
#ifndef GPO_ASK_H
#define GPO_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/snapshot.h"

struct arena;
struct sid;

#define ASK_ANY		"(objectClass=*)"
#define ASK_CHUNK	100		/* DNs in one filter */
#define ASK_GROUPS	"(&(|(objectClass=group)(objectClass=groupOfNames))(|"	/* then terms and "))" */
#define SD_FLAGS_DACL	4u

/* NULL-terminated, each with objectClass (but for the ping's). */
extern const char *const ask_root_attrs[], *const ask_ping_attrs[], *const ask_computer_attrs[],
    *const ask_token_attrs[], *const ask_group_attrs[], *const ask_subnet_attrs[], *const ask_gp_attrs[],
    *const ask_policy_attrs[], *const ask_all_attrs[];
/* The last two without what policy objects say, but with their stamps (gpo/memory.h). */
extern const char *const ask_policy_stamps[], *const ask_all_stamps[];
/* Classes of what links and of what is linked; NULL-terminated. */
extern const char *const ask_gp_classes[];

/* A filter that grows; `bad` stays set when memory ran out. */
struct ask_text {
	struct arena	*a;
	char		*p;
	size_t		 len, size;
	bool		 bad;
};

void ask_put(struct ask_text *t, const char *text);
/* "(attr=value)", the value escaped as RFC 4515 wants it. */
void ask_put_term(struct ask_text *t, const char *attr, const char *value);
void ask_put_sid(struct ask_text *t, const char *attr, const struct sid *sid);
/* "(|(distinguishedName=...)...)"; AD knows no entryDN, OpenLDAP no distinguishedName. */
void ask_put_dns(struct ask_text *t, bool ad, const char *const *dns, size_t n);
/* "(|(objectClass=ipsecPolicy)...": the five classes, with further ones in the same OR. */
void ask_put_classes(struct ask_text *t, const char *const *more);

/* Value of an RDN: escaped as RFC 4514 wants it; NULL: no memory. */
char *ask_rdn_value(struct arena *a, const char *value);

#endif
