/* agent/diag.h - the diagnostic mode: what is dropped goes to the journal, the last drops are kept
 * for who follows them, and a summary comes each interval.  Settings: schema/settings.h; what was
 * dropped comes through nft/nflog.h, why through nft/judge.h on d->held.ruleset.  SHELL. */
#ifndef AGENT_DIAG_H
#define AGENT_DIAG_H

#include <stdint.h>

struct ctl_call;
struct daemon;
struct diag;
struct err;
struct json_t;

#define DIAG_WAIT_SECONDS	20	/* a call for drops is answered after this at the latest */

struct diag *diag_open(struct daemon *d, struct err *err);	/* off until diag_update; d->ev must be there */
/* NULL: nothing.  Calls that wait are answered first; sets d->diag to NULL. */
void diag_close(struct diag *g);
/* Follows d->sources.settings and the clock; after each change of settings.  d->diag NULL: nothing.  Renders nothing; at
 * the end time the event loop calls daemon_sources_changed. */
void diag_update(struct daemon *d);
/* The names of rules and policies have changed; NULL: nothing. */
void diag_forget(struct diag *g);

/* {"since": N} -> {"level": 0..7, "until": seconds or null, "next": N, "missed": N, "drops": [...]}: those above N, when
 * there are any or diagnostics are off, else when one comes or after DIAG_WAIT_SECONDS.
 * Without "since" at once, with none: where to begin. */
void diag_drops(struct daemon *d, struct ctl_call *call, struct json_t *parameters);

#endif
