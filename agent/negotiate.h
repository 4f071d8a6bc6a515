/* agent/negotiate.h - makes negotiate filters work: keeps charon's connections and the pins of
 * soft negotiation at what is wanted, while charon comes and goes.  SHELL, in the service's event loop.
 *
 * The kernel's policies are put in by refresh.c around the change of the ruleset; this is what
 * follows, in its own time: what is not loaded yet is closed (or, where the policy allows clear, clear).
 * In charon only what has a name of ours (IKE_PREFIX) is touched, and the private key that was
 * loaded from here; what somebody unloads (`swanctl --load-all` does) is loaded again within seconds. */
#ifndef AGENT_NEGOTIATE_H
#define AGENT_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "schema/err.h"

struct arena;
struct conf;
struct json_t;
struct negotiator;
struct protect;
struct protect_options;
struct sd_event;
struct sources;
struct spd;
struct xfrmsock;

/* changed: called when what negotiate_status says may have changed; spoiled: somebody else changed our policies in the kernel,
 * the caller puts them back (a rate limit has been applied).  Either may be NULL, and may call negotiate_want. */
typedef void negotiate_changed(void *cookie);
/* x belongs to the caller and outlives it; NULL: this kernel has no IPsec, then all it does is to say so.  Once there is
 * a negotiator, nobody else reads x's watch. */
struct negotiator *negotiate_open(struct sd_event *ev, const struct conf *c, struct xfrmsock *x, negotiate_changed *changed,
    negotiate_changed *spoiled, void *cookie, struct err *err);
void negotiate_close(struct negotiator *n);	/* NULL: nothing; charon and kernel stay as they are */
void negotiate_conf(struct negotiator *n, const struct conf *c);	/* after the configuration was read again */
void negotiate_logging(struct negotiator *n, bool on);	/* ikelogging: SAs that come and go become events; default off */

/* From now on this is wanted (takes p; NULL: nothing): connections that are not in it are unloaded and their SAs
 * ended, new ones loaded, verified by what charon lists; again from the start whenever charon was restarted.  Does not wait. */
void negotiate_want(struct negotiator *n, struct protect *p);
/* Right before policies are put into the kernel that may ask for protection without requiring it: peers that have negotiated
 * are held to it from the first of their packets on.  n may be NULL. */
void negotiate_hold(struct negotiator *n, const struct spd *spd);
const struct protect *negotiate_wanted(const struct negotiator *n);	/* NULL: nothing; n may be NULL */
/* Stop by hand: waits (2 seconds at most) until charon has unloaded everything of ours.  Nothing is wanted afterwards. */
void negotiate_end(struct negotiator *n);
/* The same without a negotiator: what a service that is no more has left there.  key: what charon calls the private key that was loaded,
 * "" for none.  0 also when charon does not run. */
int negotiate_unload(const char *vici, const char *key, struct err *err);

enum negotiate_state {
	NEGOTIATE_IDLE,		/* nothing is to be negotiated */
	NEGOTIATE_READY,	/* all connections are loaded */
	NEGOTIATE_LOADING,
	NEGOTIATE_NO_IKE,	/* charon does not answer: why */
	NEGOTIATE_FAILED,	/* some connections could not be loaded, no credentials, or a problem that closes a rule: why */
	NEGOTIATE_NO_KERNEL,	/* this kernel has no IPsec */
};
struct negotiate_status {
	enum negotiate_state	 state;
	size_t			 n_filters;	/* specific filters that negotiate */
	size_t			 n_wanted, n_loaded;	/* connections */
	size_t			 n_failed;
	size_t			 n_pinned;	/* peers of soft negotiation that are held to what they negotiated */
	struct err		 why;		/* code NONE: all is well */
	char			 daemon[64];	/* "charon-systemd 5.9.8", "" */
};
void negotiate_status(const struct negotiator *n, struct negotiate_status *ret);	/* n NULL: idle */
const char *negotiate_state_name(enum negotiate_state s);	/* "idle" "ready" "loading" "no-ike" "failed" "no-kernel" */
/* One entry a problem of the policy and one a connection that failed:
 *   {"rule": NAME, "id": GUID or null, "why": "no-auth" ... "not-loaded", "closed": BOOLEAN, "text": ...}
 * closed: what the rule's filters demand is blocked.  n may be NULL; NULL: no memory. */
struct json_t *negotiate_problems_json(const struct negotiator *n);

/* What protect_render is to know of the configuration: reads the key and certificate files.  A file that
 * cannot be used counts as not configured, and *err says why (the return value is -1, *ret is good all the same).  The key is in a:
 * negotiate_options_wipe overwrites it, before a is freed. */
int negotiate_options(struct protect_options *ret, struct arena *a, const struct conf *c, const struct sources *s, struct err *err);
void negotiate_options_wipe(struct protect_options *o);

#endif
