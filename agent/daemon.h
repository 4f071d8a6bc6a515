/* agent/daemon.h - the state of ipsecpold, between daemon.c (what happens), start.c and enforce.c (what
 * is enforced), boot.c, dynamic*.c, diag*.c, and answers*.c (what is said about it). */
#ifndef AGENT_DAEMON_H
#define AGENT_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/ctl.h"
#include "agent/protection.h"
#include "agent/refresh.h"
#include "agent/schedule.h"
#include "agent/sources.h"
#include "agent/worker.h"

struct conf;
struct host_facts;
struct negotiator;
struct ruleset;
struct sd_event;
struct sd_event_source;
struct watch;
struct worker;

enum daemon_mode {
	MODE_PERMIT,	/* nothing is assigned, nothing is filtered */
	MODE_STARTUP,	/* the startup mode stays until the directory has been asked for the first time */
	MODE_SECURE,	/* a policy is enforced */
	MODE_BLOCK,	/* a policy should be enforced and cannot be: everything is dropped */
};

enum daemon_source { SOURCE_NONE, SOURCE_DOMAIN, SOURCE_CACHE, SOURCE_LOCAL };

/* Events are logged when this changes, not each time it is found again. */
enum daemon_condition { COND_START, COND_OK, COND_UNCACHED, COND_OFFLINE, COND_REFUSED, COND_KERNEL };

struct daemon {
	const char		*conf_file;	/* NULL: the default one */
	struct conf		*conf;
	struct sd_event		*ev;
	struct sd_event_source	*timer, *facts_timer, *again_timer;
	struct store		*store;
	struct nlsock		*nl;
	struct negotiator	*negotiator;
	struct protection	 protection;	/* x NULL: this kernel has no IPsec */
	struct err		 unprotected;	/* why something cannot be negotiated, of the last change */
	struct ctl		*ctl;
	struct host_facts	*found;
	struct stored		 stored;	/* by the administrator, as of the last look */
	struct sources		 sources;	/* in force beside the domain's policy */
	struct dynamic		*dynamic;
	struct filters_cache	*filters;
	struct {			/* what daemon_view() handed out, kept until it changes */
		struct render_source	*sources;
		size_t			 n_sources;
		struct ipsec_policy	*domain;
		struct host_facts	*facts;
	} view;
	struct diag		*diag;		/* NULL until the event loop is there */
	struct sched		 sched;
	struct worker		*worker;
	struct worker_memory	 memory;
	struct watch		*watch;

	enum daemon_mode	 mode;
	enum daemon_source	 source;
	enum daemon_condition	 condition;
	struct err		 trouble;	/* of the last refresh; code NONE: none */
	char			 block_why[256];
	bool			 store_new;		/* store.db was not there */
	bool			 startup_block;		/* of MODE_STARTUP: the mode is block, else stateful */
	bool			 start_failed;		/* block mode because what is stored or cached cannot be put in force */
	bool			 block_unreadable;	/* block mode because of on-unreadable-policy */
	bool			 block_open;		/* block mode could not be entered: the host may be open */
	bool			 blind;			/* rules of an earlier run are in the kernel, and nobody knows what they were */
	bool			 persistent_failed;	/* then block mode is all there is, without any exemption */
	struct refresh_report	 current;	/* what is enforced */
	struct refresh_held	 held;
	int64_t			 last_try, last_good;	/* CLOCK_REALTIME seconds; 0: never */
	char			 server[256];	/* that answered last */
	unsigned		 n_restored;	/* times our table was put back */
	int64_t			 restore_window;	/* CLOCK_BOOTTIME seconds */
	unsigned		 n_in_window;

	struct ctl_call		*waiting[CTL_MAX_PEERS];	/* for the refresh under way */
	size_t			 n_waiting;
};

int64_t boottime_now(void);			/* seconds */
const char *daemon_mode_name(enum daemon_mode m);	/* "permit" "startup" "secure" "block" */
const char *daemon_source_name(enum daemon_source s);	/* "none" "domain" "cache" "local" */

/* answers.c */
ctl_handler daemon_answer;
void daemon_answer_waiting(struct daemon *d);	/* after a refresh */

/* What is in the kernel, by the comment of the table.  OWN: of stores that are read anew at each start; DOMAIN:
 * with a policy that only the directory or the cache could say again. */
enum table { TABLE_NONE, TABLE_STARTUP, TABLE_STARTUP_BLOCK, TABLE_BLOCK, TABLE_OWN, TABLE_DOMAIN };

/* enforce.c */
enum table daemon_table(struct daemon *d);
int daemon_table_apply(struct daemon *d, struct ruleset *want, struct err *err);	/* frees want; NULL: no table */
void daemon_enter_block(struct daemon *d, const char *why);	/* cannot fail: d->block_open says that the kernel did not take it */
int daemon_enforce_startup(struct daemon *d, struct err *err);	/* the startup mode, with a lifeline */
void daemon_context(struct refresh_context *c, struct daemon *d);
void daemon_enforced(struct daemon *d, const struct refresh_report *r, enum daemon_source source);
void daemon_negotiate(struct daemon *d);	/* what was rendered with the rules in force is negotiated from now on */
void daemon_spoiled(void *cookie);		/* somebody changed our IPsec policies: put them back */
void daemon_log_policy(int priority, const char *event, const struct refresh_report *r, const char *text);
/* start.c
 * Once, at start, before anything is asked of the network.  store_err: why d->store could not be opened; looked at
 * only when d->store is NULL.  What goes wrong is logged, and d->mode says what is in force then.  Afterwards
 * d->store may be NULL: no store could be made, and d->trouble says why. */
void daemon_start_from_cache(struct daemon *d, const struct err *store_err);
/* The same policy again: facts changed, or somebody removed our table. */
void daemon_enforce_again(struct daemon *d, const char *event, const char *text);

void daemon_view_forget(struct daemon *d);
/* The sources changed: what is in force is rendered anew.  -1: it is as it was, and the caller
 * takes his change back. */
int daemon_sources_changed(struct daemon *d, struct err *err);
/* The store cannot be opened, and not because it is damaged: what is stored and the boot image are enforced, else
 * everything is blocked, before the service ends. */
void daemon_start_without_store(struct daemon *d);
/* What could not be put in force at start is tried once more: somebody may have mended it.  -1: still blocked. */
int daemon_start_again(struct daemon *d, struct err *err);
/* registry.db changed: the local policy and the settings take effect now.  -1: what was in force stays, or (last
 * step) all is in force but not in the boot image. */
int daemon_stored_changed(struct daemon *d, struct err *err);

/* boot.c: `ipsecpold --boot`; the exit status */
int boot_main(const char *conf_file);

/* daemon.c, for answers.c */
void daemon_ask_refresh(struct daemon *d);
int daemon_permit(struct daemon *d, struct err *err);	/* stop by hand: rules go, the loop ends */

#endif
