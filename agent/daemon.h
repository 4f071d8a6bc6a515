/* agent/daemon.h - the state of ipsecpold, between daemon.c (what happens), enforce.c (what
 * is enforced) and answers.c (what is said about it). */
#ifndef AGENT_DAEMON_H
#define AGENT_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/ctl.h"
#include "agent/refresh.h"
#include "agent/schedule.h"
#include "agent/sources.h"

struct conf;
struct host_facts;
struct sd_event;
struct sd_event_source;
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

	enum daemon_mode	 mode;
	enum daemon_source	 source;
	enum daemon_condition	 condition;
	struct err		 trouble;	/* of the last refresh; code NONE: none */
	char			 block_why[256];
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

/* enforce.c */
void daemon_context(struct refresh_context *c, struct daemon *d);
void daemon_enforced(struct daemon *d, const struct refresh_report *r, enum daemon_source source);
void daemon_log_policy(int priority, const char *event, const struct refresh_report *r, const char *text);
/* Once, at start, before anything is asked of the network.  *err: why the store could
 * not be opened, if d->store is NULL. */
void daemon_start_from_cache(struct daemon *d, struct err *err);
/* The same policy again: facts changed, or somebody removed our table. */
void daemon_enforce_again(struct daemon *d, const char *event, const char *text);

void daemon_view_forget(struct daemon *d);
/* The sources changed: what is in force is rendered anew.  -1: it is as it was, and the caller
 * takes his change back. */
int daemon_sources_changed(struct daemon *d, struct err *err);
/* registry.db changed: the local policy and the settings take effect now. */
int daemon_stored_changed(struct daemon *d, struct err *err);

/* boot.c: `ipsecpold --boot`; the exit status */
int boot_main(const char *conf_file);

/* daemon.c, for answers.c */
void daemon_ask_refresh(struct daemon *d);
int daemon_permit(struct daemon *d, struct err *err);	/* stop by hand: rules go, the loop ends */

#endif
