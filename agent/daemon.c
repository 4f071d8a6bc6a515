/* ipsecpold: keeps the kernel at the policy that the directory assigns. */
#include "agent/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/diag.h"
#include "agent/dynamic.h"
#include "agent/hostfacts.h"
#include "agent/log.h"
#include "agent/negotiate.h"
#include "agent/refresh_parts.h"
#include "agent/watch.h"
#include "agent/worker.h"
#include "schema/arena.h"
#include "schema/facts.h"
#include "schema/utf.h"

#define FACTS_PAUSE	500000	/* usec: address and route changes come in bursts */
#define RESTORES	5	/* at once within RESTORE_WINDOW seconds, then with pauses */
#define RESTORE_WINDOW	10

static const char usage[] =
    "Usage: ipsecpold [--config FILE] [--boot]\n"
    "Finds the IPsec policy that Group Policy assigns to this computer and enforces it.\n"
    "Runs in the foreground; systemd (Type=notify) or a supervisor starts it.\n\n"
    "  --config FILE   instead of " SYSCONFDIR "/ipsecpol/ipsecpol.conf\n"
    "  --boot          only put the startup mode (dynamic set config bootmode) into the kernel\n"
    "  --help, --version\n\n"
    "SIGHUP reads the configuration again and refreshes.  SIGTERM ends the daemon and\n"
    "leaves the rules in place; `ipsecpol stop` ends it in permit mode, without rules.\n";

int64_t boottime_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec;
}

const char *daemon_mode_name(enum daemon_mode m)
{
	static const char *const names[] = { "permit", "startup", "secure", "block" };

	return names[m];
}

const char *daemon_source_name(enum daemon_source s)
{
	static const char *const names[] = { "none", "domain", "cache", "local" };

	return names[s];
}

static void tell_status(const struct daemon *d)
{
	if (d->mode == MODE_SECURE && d->current.in_force == FORCE_DOMAIN)
		sd_notifyf(0, "STATUS=secure: policy %s by GPO %s (%s)", d->current.policy, d->current.gpo,
		    daemon_source_name(d->source));
	else if (d->mode == MODE_SECURE)
		sd_notifyf(0, "STATUS=secure: policy %s (%s)", d->current.policy, d->source == SOURCE_LOCAL ? "local" : "persistent, dynamic");
	else if (d->mode == MODE_STARTUP)
		sd_notify(0, "STATUS=startup: until the directory answers");
	else if (d->mode == MODE_BLOCK)
		sd_notifyf(0, "STATUS=block: %s", d->block_why);
	else
		sd_notify(0, "STATUS=permit: no policy is assigned");
}

/* ---- timers ---- */

static uint32_t jitter(void)
{
	uint32_t v = 0;

	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) < 0)
		v = (uint32_t)getpid() * 2654435761u;
	return v;
}

static void start_refresh(struct daemon *d);

static void step(struct daemon *d, enum sched_event ev)
{
	int64_t due;

	if (schedule_step(&d->sched, ev, boottime_now(), jitter()) == ACT_REFRESH)
		start_refresh(d);
	due = schedule_due(&d->sched);
	if (due == INT64_MAX) {
		sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(d->timer, (uint64_t)(due < 0 ? 0 : due) * 1000000);
	sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *cookie)
{
	(void)s, (void)usec;
	step(cookie, EV_TIMER);
	return 0;
}

void daemon_ask_refresh(struct daemon *d)
{
	step(d, EV_ASKED);
}

static void on_notified(void *cookie)
{
	step(cookie, EV_NOTIFIED);
}

/* ---- refresh ---- */

static const char *what_stays(const struct daemon *d, const char *policy)
{
	switch (d->mode) {
	case MODE_SECURE:	return policy;
	case MODE_BLOCK:	return "everything stays blocked";
	case MODE_STARTUP:	return "the startup mode stays";
	case MODE_PERMIT:	break;
	}
	return "nothing is filtered";
}

static void set_condition(struct daemon *d, enum daemon_condition cond, const struct err *err)
{
	bool same = d->condition == cond && (cond == COND_OFFLINE || !strcmp(d->trouble.msg, err ? err->msg : ""));

	d->condition = cond;
	d->trouble = err ? *err : (struct err){ 0 };
	if (same || cond == COND_OK || cond == COND_START)
		return;
	if (cond == COND_UNCACHED)
		log_event(LOG_ERR, "cache-failed", NULL, "the policy is enforced but could not be cached: %s", err->msg);
	else if (cond == COND_OFFLINE)
		log_event(LOG_WARNING, "directory-lost", NULL, "the directory cannot be asked, %s: %s",
		    what_stays(d, "the policy stays enforced"), err->msg);
	else if (cond == COND_REFUSED)
		log_event(LOG_ERR, "policy-refused", NULL, "the assigned policy cannot be used, %s: %s",
		    what_stays(d, "what was before stays enforced"), err->msg);
	else
		log_event(LOG_CRIT, "kernel-refused", NULL, "the policy could not be enforced: %s", err->msg);
}

/* A policy is assigned and cannot be used. */
static void keep(struct daemon *d, const struct refresh_report *r)
{
	struct err err;

	if (d->conf->block_on_unreadable) {
		snprintf(d->block_why, sizeof(d->block_why), "%.255s", r->kept.msg);
		if (d->mode != MODE_BLOCK)
			log_event(LOG_CRIT, "block-mode", NULL, "everything is blocked (on-unreadable-policy = block): %s", r->kept.msg);
		d->mode = MODE_BLOCK;
		d->source = SOURCE_NONE;
		d->block_unreadable = true;
		negotiate_want(d->negotiator, NULL);
	} else if (d->block_unreadable) {
		/* The option is off now. */
		daemon_start_again(d, &err);
	}
	set_condition(d, COND_REFUSED, &r->kept);
}

static void finish(struct daemon *d, const struct refresh_report *r)
{
	bool was_lost = d->condition == COND_OFFLINE;

	d->last_good = d->last_try;
	if (r->outcome == REFRESH_KEPT) {
		keep(d, r);
		return;
	}
	if (r->outcome == REFRESH_NONE && r->in_force == FORCE_NOTHING && d->mode != MODE_PERMIT)
		log_event(LOG_NOTICE, "policy-none", NULL, "no policy is assigned%s: nothing is filtered", d->mode == MODE_STARTUP ? "" : " any more");
	else if (r->outcome == REFRESH_NONE && r->kernel.n_changes)
		daemon_log_policy(LOG_NOTICE, "policy-none", r, "the domain assigns no policy");
	if (r->outcome == REFRESH_APPLIED)
		daemon_log_policy(LOG_NOTICE, "policy-applied", r, "policy applied");
	if (was_lost)
		log_event(LOG_NOTICE, "directory-back", NULL, "the directory answers again (%s)", d->server);
	daemon_enforced(d, r, SOURCE_DOMAIN);
	set_condition(d, r->uncached.code != ERR_NONE ? COND_UNCACHED : COND_OK, r->uncached.code != ERR_NONE ? &r->uncached : NULL);
}

static void on_worker_done(struct worker_result *result, const struct err *why, void *cookie)
{
	struct daemon *d = cookie;
	const struct gen_part *server;
	struct refresh_context c;
	struct refresh_report r;
	struct err err = { 0 };
	bool ok = false, again;

	d->worker = NULL;
	worker_memory_keep(&d->memory, result);
	d->last_try = time(NULL);
	if (!result) {
		if (d->mode == MODE_SECURE && d->source == SOURCE_DOMAIN)
			d->source = SOURCE_CACHE;
		set_condition(d, COND_OFFLINE, why);
	} else {
		server = worker_part(result, "server");
		snprintf(d->server, sizeof(d->server), "%.200s", server ? server->text : "");
		utf8_clean(d->server, "");
		daemon_context(&c, d);
		if (refresh_apply(&r, &c, result->parts, result->n_parts, &err) < 0) {
			set_condition(d, COND_KERNEL, &err);
		} else {
			finish(d, &r);
			ok = r.outcome != REFRESH_KEPT;
		}
	}
	if (ok)
		watch_want(d->watch, d->conf, part_text(result->parts, result->n_parts, "hints"),
		    part_text(result->parts, result->n_parts, "site"));
	worker_result_free(result);
	tell_status(d);
	/* Who asked while it was under way gets the answer of the one that follows. */
	again = d->sched.again;
	step(d, ok ? EV_DONE : EV_FAILED);
	if (!again)
		daemon_answer_waiting(d);
}

static void update_facts(struct daemon *d)
{
	struct host_facts *found = NULL;
	struct err err = { 0 };

	if (hostfacts_find(&found, d->conf, &err) < 0) {
		log_warn("DNS servers, gateways and DHCP servers of this host: %s", err.msg);
		return;
	}
	if (d->found && facts_equal(found, d->found)) {
		facts_free(found);
		return;
	}
	facts_free(d->found);
	d->found = found;
	daemon_enforce_again(d, "facts-changed", "addresses of servers or gateways changed");
}

static void start_refresh(struct daemon *d)
{
	struct arena *a = arena_new(0);
	struct generation g = { 0 };
	struct err err = { 0 };
	const struct gen_part *hints = NULL, *site = NULL;
	struct worker_input in;
	size_t n_damaged;

	update_facts(d);
	if (d->mode == MODE_BLOCK || d->mode == MODE_STARTUP)
		daemon_enforce_again(d, "table-restored", "the table was looked at");
	/* Nobody could be reached, and no answer would change what is in force. */
	if (d->persistent_failed && daemon_start_again(d, &err) < 0) {
		arena_free(a);
		set_condition(d, COND_KERNEL, &d->trouble);
		step(d, EV_FAILED);
		daemon_answer_waiting(d);
		return;
	}
	if (a && generation_load(d->store, &g, &n_damaged, a, &err) == 1) {
		hints = generation_part(&g, "hints");
		site = generation_part(&g, "site");
	}
	in.hints = hints ? hints->text : "";
	in.site = site ? site->text : "";
	in.memory_fd = worker_memory_fd(&d->memory, d->conf, boottime_now());
	d->worker = worker_start(d->ev, d->conf, &in, on_worker_done, d, &err);
	arena_free(a);
	if (!d->worker) {
		d->last_try = time(NULL);
		set_condition(d, COND_OFFLINE, &err);
		step(d, EV_FAILED);
		daemon_answer_waiting(d);
	}
}

/* ---- things that happen ---- */

static int on_facts_timer(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct daemon *d = cookie;

	(void)s, (void)usec;
	update_facts(d);
	step(d, EV_NETWORK);
	return 0;
}

/* Once armed it is not put off by the next event: a flood of them must not starve it. */
static void arm(sd_event_source *timer, uint64_t usec)
{
	int on = SD_EVENT_OFF;

	if (sd_event_source_get_enabled(timer, &on) >= 0 && on != SD_EVENT_OFF)
		return;
	sd_event_source_set_time_relative(timer, usec);
	sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static int on_network(sd_event_source *s, int fd, uint32_t revents, void *cookie)
{
	struct daemon *d = cookie;

	(void)s, (void)revents;
	if (hostfacts_watch_read(fd) == 1)
		arm(d->facts_timer, FACTS_PAUSE);
	return 0;
}

static int on_resolv_conf(sd_event_source *s, const struct inotify_event *ev, void *cookie)
{
	struct daemon *d = cookie;

	(void)s;
	if (ev->len && !strcmp(ev->name, "resolv.conf"))
		arm(d->facts_timer, FACTS_PAUSE);
	return 0;
}

static int on_again_timer(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct daemon *d = cookie;

	(void)s, (void)usec;
	daemon_enforce_again(d, "table-restored", "somebody changed our table, it was put back");
	if (d->block_open)
		arm(d->again_timer, (uint64_t)RESTORE_WINDOW * 1000000);
	return 0;
}

/* Somebody touched our table.  At once, but two managers that fight over it must
 * not keep the machine busy. */
static int on_tables(sd_event_source *s, int fd, uint32_t revents, void *cookie)
{
	struct daemon *d = cookie;
	struct err err = { 0 };
	int64_t now = boottime_now();

	(void)s, (void)fd, (void)revents;
	if (nlsock_watch_read(d->nl, &err) == 0)
		return 0;
	if (now - d->restore_window >= RESTORE_WINDOW) {
		d->restore_window = now;
		d->n_in_window = 0;
	}
	if (d->n_in_window++ < RESTORES)
		on_again_timer(NULL, 0, d);
	else
		arm(d->again_timer, (uint64_t)RESTORE_WINDOW * 1000000);
	return 0;
}

static int on_term(sd_event_source *s, const struct signalfd_siginfo *si, void *cookie)
{
	struct daemon *d = cookie;

	(void)s, (void)si;
	log_event(LOG_NOTICE, "stopped", NULL, d->mode == MODE_PERMIT ? "stopping" : "stopping, the rules stay in the kernel");
	return sd_event_exit(d->ev, 0);
}

int daemon_permit(struct daemon *d, struct err *err)
{
	if (daemon_table_apply(d, NULL, err) < 0)
		return -1;
	negotiate_end(d->negotiator);
	d->mode = MODE_PERMIT;
	log_event(LOG_NOTICE, "permit-mode", NULL, "stopped by hand: nothing is filtered");
	sd_event_exit(d->ev, 0);
	return 0;
}

static void schedule_conf(struct daemon *d)
{
	d->sched.interval = d->conf->refresh_interval;
	d->sched.offset = d->conf->refresh_offset;
	d->sched.spread = d->conf->refresh_spread;
}

static int on_hup(sd_event_source *s, const struct signalfd_siginfo *si, void *cookie)
{
	struct daemon *d = cookie;
	struct conf *conf = NULL;
	struct err err = { 0 };

	(void)s, (void)si;
	sd_notify(0, "RELOADING=1");
	if (conf_read(&conf, d->conf_file, &err) < 0) {
		log_event(LOG_ERR, "config-refused", NULL, "the configuration stays as it was: %s", err.msg);
	} else {
		negotiate_conf(d->negotiator, conf);
		watch_stop(d->watch);
		conf_free(d->conf);
		d->conf = conf;
		worker_memory_forget(&d->memory);
		schedule_conf(d);
		facts_free(d->found);
		d->found = NULL;
		update_facts(d);
	}
	sd_notify(0, "READY=1");
	step(d, EV_ASKED);
	return 0;
}

/* ---- start ---- */

static int add_sources(struct daemon *d, struct err *err)
{
	int net = hostfacts_watch_open(err), tables = nlsock_watch_open(d->nl, err), r;

	if (net < 0 || tables < 0)
		return -1;
	r = sd_event_add_signal(d->ev, NULL, SIGTERM, on_term, d);
	if (r >= 0)
		r = sd_event_add_signal(d->ev, NULL, SIGINT, on_term, d);
	if (r >= 0)
		r = sd_event_add_signal(d->ev, NULL, SIGHUP, on_hup, d);
	if (r >= 0)
		r = sd_event_add_time(d->ev, &d->timer, CLOCK_BOOTTIME, 0, 1000000, on_timer, d);
	if (r >= 0)
		r = sd_event_add_time(d->ev, &d->facts_timer, CLOCK_MONOTONIC, 0, 0, on_facts_timer, d);
	if (r >= 0)
		r = sd_event_add_time(d->ev, &d->again_timer, CLOCK_MONOTONIC, 0, 0, on_again_timer, d);
	if (r >= 0)
		r = sd_event_add_io(d->ev, NULL, net, EPOLLIN, on_network, d);
	if (r >= 0)
		r = sd_event_add_io(d->ev, NULL, tables, EPOLLIN, on_tables, d);
	if (r < 0)
		return err_set(err, ERR_SYSTEM, "event loop: %s", strerror(-r));
	sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(d->facts_timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(d->again_timer, SD_EVENT_OFF);
	/* Without inotify the name servers are looked at with each refresh. */
	sd_event_add_inotify(d->ev, NULL, "/etc", IN_MOVED_TO | IN_CLOSE_WRITE, on_resolv_conf, d);
	sd_event_set_watchdog(d->ev, true);
	return 0;
}

static bool store_is_new(const struct conf *c)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/store.db", c->state_dir);
	return access(path, F_OK) < 0 && errno == ENOENT;
}

static int open_negotiation(struct daemon *d, struct err *err)
{
	d->protection.x = xfrmsock_open(err);
	if (!d->protection.x && err->code != ERR_ABSENT)
		return -1;
	if (sd_event_default(&d->ev) < 0)
		return err_set(err, ERR_SYSTEM, "event loop: cannot be made");
	d->negotiator = negotiate_open(d->ev, d->conf, d->protection.x, NULL, daemon_spoiled, d, err);
	return d->negotiator ? 0 : -1;
}

static int daemon_start(struct daemon *d, struct err *err)
{
	struct err why;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (conf_read(&d->conf, d->conf_file, err) < 0)
		return -1;
	d->store_new = store_is_new(d->conf);
	d->store = store_open(d->conf->state_dir, STORE_WRITE, err);
	/* Another service has it. */
	if (!d->store && err->code == ERR_BUSY)
		return -1;
	schedule_conf(d);
	d->nl = nlsock_open(&why);
	if (!d->nl) {
		*err = why;
		return -1;
	}
	if (open_negotiation(d, &why) < 0) {
		*err = why;
		return -1;
	}
	update_facts(d);
	if (!d->store && err->code != ERR_DAMAGED) {
		daemon_start_without_store(d);
		return -1;
	}
	daemon_start_from_cache(d, err);
	if (!d->store)
		return err_set(err, ERR_SYSTEM, "%s", d->trouble.msg);
	if (add_sources(d, err) < 0)
		return -1;
	d->diag = diag_open(d, err);
	d->watch = d->diag ? watch_open(d->ev, on_notified, d, err) : NULL;
	if (!d->watch)
		return -1;
	diag_update(d);
	if (d->block_open)
		arm(d->again_timer, (uint64_t)RESTORE_WINDOW * 1000000);
	d->ctl = ctl_listen(d->ev, d->conf->socket, daemon_answer, d, err);
	return d->ctl ? 0 : -1;
}

static void daemon_end(struct daemon *d)
{
	worker_kill(d->worker);
	worker_memory_forget(&d->memory);
	watch_close(d->watch);
	daemon_view_forget(d);
	diag_close(d->diag);
	d->diag = NULL;
	ctl_close(d->ctl);
	negotiate_close(d->negotiator);
	protection_none(&d->protection);
	xfrmsock_close(d->protection.x);
	sd_event_unref(d->ev);
	nlsock_close(d->nl);
	store_close(d->store);
	refresh_forget(&d->held);
	sources_free(&d->sources);
	stored_free(&d->stored);
	dynamic_free(d->dynamic);
	facts_free(d->found);
	conf_free(d->conf);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "boot", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct daemon d = { 0 };
	struct err err = { 0 };
	bool boot = false;
	int opt, rc = 1;

	while ((opt = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (opt == 'c') {
			d.conf_file = optarg;
		} else if (opt == 'b') {
			boot = true;
		} else if (opt == 'h') {
			fputs(usage, stdout);
			return 0;
		} else if (opt == 'V') {
			puts("ipsecpold " PACKAGE_VERSION);
			return 0;
		} else {
			fputs(usage, stderr);
			return 64;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "ipsecpold: unexpected argument '%s'\n", argv[optind]);
		return 64;
	}
	sources_init(&d.sources);
	log_open("ipsecpold");
	umask(077);
	/* Pre-shared keys and, for moments, a private key are in memory: no core. */
	prctl(PR_SET_DUMPABLE, 0);
	if (boot)
		return boot_main(d.conf_file);
	if (daemon_start(&d, &err) < 0) {
		log_event(LOG_ERR, "start-failed", NULL, "%s", err.msg);
	} else {
		sd_notify(0, "READY=1");
		tell_status(&d);
		d.sched.known = d.source == SOURCE_CACHE;
		step(&d, EV_START);
		rc = sd_event_loop(d.ev) < 0;
	}
	daemon_end(&d);
	return rc;
}
