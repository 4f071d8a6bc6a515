/* tests/gpo_world.h - a directory in memory that answers what gp_next_query() asks,
 * as an AD or as an OpenLDAP would. */
#ifndef TESTS_GPO_WORLD_H
#define TESTS_GPO_WORLD_H

#include <stdbool.h>
#include <stddef.h>

#include "gpo/query.h"
#include "gpo/rsop.h"
#include "schema/snapshot.h"

struct arena;
struct err;

#define W_BASE	"DC=corp,DC=example"
#define W_POL	"CN=Policies,CN=System," W_BASE
#define W_IPS	"CN=IP Security,CN=System," W_BASE
#define W_CONF	"CN=Configuration," W_BASE
#define W_DOM	"S-1-5-21-1-2-3"	/* the domain's SID */
#define W_HOST	"CN=HOST1,OU=Web,OU=Servers," W_BASE
#define W_CSE	"[{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{53D6AB1B}][{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]"
#define W_AGP	"A:S-1-5-11"		/* Authenticated Users may apply */
#define W_GPO(n) "CN={AAAAAAAA-0000-0000-0000-00000000000" n "}," W_POL
#define W_LINK(n, opt) "[LDAP://cn={aaaaaaaa-0000-0000-0000-00000000000" n "},cn=policies,cn=system," W_BASE ";" opt "]"
#define W_IPSEC_OF(gpo) "CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine," gpo
#define W_OBJ(class, n) "CN=" class "{72385230-70FA-11D1-864C-14A30000000" n "}," W_IPS

#define W_ROOT	"CN=ROOT-DSE"		/* stands for "" in world_set() and world_add() */

struct world {
	struct arena		*a;
	bool			 ad;
	struct dir_entry	*entries;
	size_t			 n_entries;
	const char		*refuse;	/* searches at this base: insufficientAccessRights */
	const char		*elsewhere;	/* this and what lies below: a referral; "": the root DSE only */
	/* of the last run */
	struct dir_snapshot	*snapshot;
	size_t			 n_asked, n_pings;
	size_t			 n_read, n_kept;	/* with who->memory: policy objects */
	const char		*odd;
};

struct world *world_new(bool ad);		/* empty but for its root DSE */
void world_free(struct world *w);
/* name, value, ..., NULL.  objectSid and tokenGroups are given as "S-1-...",
 * nTSecurityDescriptor as "A:SID D:SID" (allow and deny Apply-Group-Policy). */
void world_add(struct world *w, const char *dn, ...) __attribute__((sentinel));
void world_del(struct world *w, const char *dn);
/* Replaces all values of one attribute; NULL: takes it away. */
void world_set(struct world *w, const char *dn, const char *name, const char *value);
/* One more value. */
void world_put(struct world *w, const char *dn, const char *name, const char *value);
void world_set_bytes(struct world *w, const char *dn, const char *name, const void *p, size_t len);
void world_hide(struct world *w, const char *dn);	/* it is there, nothing of it is shown */

/* OU=Web,OU=Servers with HOST1$; GPOs 1 (domain), 2 (OU=Servers), 3 (site Branch)
 * that assign ipsecPolicy 1, 2, 3; each policy with ISAKMP, NFA, action, filter list. */
struct world *world_example(bool ad);
void world_policy(struct world *w, const char *n, const char *name);
void world_gpo(struct world *w, const char *dn, const char *name, const char *policy_n);

/* Asks until nothing is left to ask: 0, or -1 and *err. */
int world_run(struct world *w, const struct gp_subject *who, struct err *err);
/* world_run, gp_resolve, rsop_write; malloc'd.  NULL and *err. */
char *world_rsop(struct world *w, const struct gp_subject *who, bool wmi_allow, struct err *err);
/* "2:applies 1:applies => server policy": the GPOs by their last digit, strongest
 * first, and what is assigned; or "error CODE: MESSAGE". */
char *world_summary(struct world *w, const struct gp_subject *who, bool wmi_allow, struct err *err);
/* rsop_json() of that, malloc'd; or the error. */
char *world_json(struct world *w, const struct gp_subject *who, struct err *err);
/* Takes the last run's hints for the next one. */
void world_hints(struct world *w, struct gp_subject *who);

#endif
