#include "agent/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/memfd.h"
#include "schema/err.h"

#define MAX_SECRET	(1u << 20)	/* a keytab, key or password file */

struct worker {
	pid_t		 pid;
	int		 fd;			/* the child's stdout */
	char		*text;
	size_t		 len, size;
	bool		 eof, exited, timed_out, too_large;
	siginfo_t	 status;
	unsigned	 timeout;
	sd_event_source	*io, *child, *timer;
	worker_done	*done;
	void		*cookie;
};

static void worker_free(struct worker *w)
{
	if (!w)
		return;
	sd_event_source_disable_unref(w->io);
	sd_event_source_disable_unref(w->child);
	sd_event_source_disable_unref(w->timer);
	if (w->fd >= 0)
		close(w->fd);
	if (w->text)
		explicit_bzero(w->text, w->len);	/* the policy holds keys */
	free(w->text);
	free(w);
}

/* Its group, and itself wherever it has gone. */
static void worker_signal(const struct worker *w)
{
	kill(-w->pid, SIGKILL);
	kill(w->pid, SIGKILL);
}

void worker_kill(struct worker *w)
{
	if (!w)
		return;
	if (w->pid > 0 && !w->exited) {
		sd_event_source_disable_unref(w->child);
		w->child = NULL;
		worker_signal(w);
		waitpid(w->pid, NULL, 0);
	}
	worker_free(w);
}

static int worker_verdict(struct worker *w, struct worker_result **ret, struct err *err)
{
	if (w->timed_out)
		return err_set(err, ERR_OFFLINE, "the directory did not answer within %u seconds", w->timeout);
	if (w->too_large)
		return err_set(err, ERR_LIMIT, "worker: the result is larger than %u bytes", WORKER_MAX_BYTES);
	if (w->status.si_code != CLD_EXITED)
		return err_set(err, ERR_SYSTEM, "worker died of signal %d", w->status.si_status);
	if (worker_parse(ret, w->text ? w->text : "", w->len, err) < 0) {
		if (w->len == 0 && w->status.si_status != 0)
			return err_set(err, ERR_SYSTEM, "worker ended with status %d and said nothing",
			    w->status.si_status);
		return -1;
	}
	if (w->status.si_status != 0) {
		worker_result_free(*ret);
		return err_set(err, ERR_SYSTEM, "worker ended with status %d", w->status.si_status);
	}
	return 0;
}

static void worker_finish(struct worker *w)
{
	struct worker_result *r = NULL;
	struct err err = { 0 };
	int rc;

	if (!w->exited || !w->eof)
		return;
	rc = worker_verdict(w, &r, &err);
	w->done(rc < 0 ? NULL : r, rc < 0 ? &err : NULL, w->cookie);
	worker_free(w);
}

/* Reads what is there; false: nothing more will come. */
static bool worker_read(struct worker *w)
{
	ssize_t n;

	for (;;) {
		if (w->size - w->len < 65536) {
			size_t size = w->size ? 2 * w->size : 131072;
			char *p;

			/* Not realloc: the old copy is to be wiped. */
			if (size > 2 * (size_t)WORKER_MAX_BYTES || !(p = malloc(size))) {
				w->too_large = true;
				return false;
			}
			if (w->text) {
				memcpy(p, w->text, w->len);
				explicit_bzero(w->text, w->len);
				free(w->text);
			}
			w->text = p;
			w->size = size;
		}
		n = read(w->fd, w->text + w->len, w->size - w->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		w->len += (size_t)n;
		if (w->len > WORKER_MAX_BYTES) {
			w->too_large = true;
			return false;
		}
	}
}

static int on_output(sd_event_source *s, int fd, uint32_t revents, void *cookie)
{
	struct worker *w = cookie;

	(void)s, (void)fd, (void)revents;
	if (!worker_read(w)) {
		w->eof = true;
		sd_event_source_set_enabled(w->io, SD_EVENT_OFF);
		if (w->too_large && !w->exited)
			worker_signal(w);
		worker_finish(w);
	}
	return 0;
}

static int on_exit_child(sd_event_source *s, const siginfo_t *si, void *cookie)
{
	struct worker *w = cookie;

	(void)s;
	w->exited = true;
	w->status = *si;
	/* Whatever else still holds the pipe open is not waited for. */
	if (!w->eof)
		worker_read(w);
	w->eof = true;
	worker_finish(w);
	return 0;
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *cookie)
{
	struct worker *w = cookie;

	(void)s, (void)usec;
	w->timed_out = true;
	if (!w->exited)
		worker_signal(w);
	return 0;
}

/* -1 and err; the file's absence is the worker's to report: *ret = -1 and 0. */
static int memfd_of_file(int *ret, const char *path, struct err *err)
{
	char *buf = malloc(MAX_SECRET);
	size_t len = 0;
	FILE *f = NULL;
	int rc = -1;

	*ret = -1;
	if (!buf) {
		err_nomem(err);
		goto out;
	}
	f = fopen(path, "re");
	if (!f) {
		rc = 0;
		goto out;
	}
	len = fread(buf, 1, MAX_SECRET, f);
	if (ferror(f) || len == MAX_SECRET) {
		err_set(err, ERR_LIMIT, "%s: cannot be read, or is larger than %u bytes", path, MAX_SECRET);
		goto out;
	}
	*ret = memfd_of("ipsecpol-secret", buf, len, err);
	rc = *ret < 0 ? -1 : 0;
out:
	if (f)
		fclose(f);
	if (buf)
		explicit_bzero(buf, len);
	free(buf);
	return rc;
}

struct spawn {
	const struct conf	*conf;
	const char		*site;
	uid_t			 uid;
	gid_t			 gid;
	bool			 switch_user;
	int			 out, hints, keytab, password, tls_key;
};

/* After fork: only async-signal-safe calls, and nothing that allocates. */
static void child_run(const struct spawn *sp, char *const argv[], char *const envp[])
{
	const int keep[] = { sp->hints, sp->keytab, sp->password, sp->tls_key };
	sigset_t none;
	int null;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	/* Not our stderr: it may be the journal, where lines would pass for ours. */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 2) < 0 || dup2(sp->out, 1) < 0)
		_exit(121);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		if (keep[i] >= 0 && fcntl(keep[i], F_SETFD, 0) < 0)
			_exit(122);
	if (chdir("/") < 0)
		_exit(123);
	if (sp->switch_user && (setgroups(0, NULL) < 0 || setresgid(sp->gid, sp->gid, sp->gid) < 0 ||
	    setresuid(sp->uid, sp->uid, sp->uid) < 0))
		_exit(124);
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* the change of user cleared it */
	execve(argv[0], argv, envp);
	_exit(125);
}

static int find_user(struct spawn *sp, struct err *err)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return 0;	/* run by hand, for a test */
	pw = getpwnam(sp->conf->worker_user);
	if (!pw)
		return err_set(err, ERR_SYSTEM, "[daemon] worker-user: there is no user '%s'", sp->conf->worker_user);
	if (pw->pw_uid == 0)
		return err_set(err, ERR_SYSTEM, "[daemon] worker-user: '%s' is root", sp->conf->worker_user);
	sp->uid = pw->pw_uid;
	sp->gid = pw->pw_gid;
	sp->switch_user = true;
	return 0;
}

static pid_t spawn(const struct spawn *sp, struct err *err)
{
	char fds[4][16];
	const char *opts[] = { "--hints-fd", "--keytab-fd", "--password-fd", "--tls-key-fd" };
	const int vals[] = { sp->hints, sp->keytab, sp->password, sp->tls_key };
	char *argv[16], *envp[8], krb[4096];
	const char *krb5_config = getenv("KRB5_CONFIG");
	size_t n = 0, e = 0;
	pid_t pid;

	argv[n++] = (char *)sp->conf->worker;
	if (sp->conf->file) {
		argv[n++] = (char *)"--config";
		argv[n++] = (char *)sp->conf->file;
	}
	for (size_t i = 0; i < 4; i++) {
		if (vals[i] < 0)
			continue;
		snprintf(fds[i], sizeof(fds[i]), "%d", vals[i]);
		argv[n++] = (char *)opts[i];
		argv[n++] = fds[i];
	}
	if (sp->site && *sp->site) {
		argv[n++] = (char *)"--site";
		argv[n++] = (char *)sp->site;
	}
	argv[n] = NULL;
	envp[e++] = (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	envp[e++] = (char *)"LC_ALL=C.UTF-8";
	if (krb5_config && (size_t)snprintf(krb, sizeof(krb), "KRB5_CONFIG=%s", krb5_config) < sizeof(krb))
		envp[e++] = krb;
	envp[e] = NULL;
	pid = fork();
	if (pid < 0)
		return err_set(err, ERR_SYSTEM, "fork: %s", strerror(errno));
	if (pid == 0)
		child_run(sp, argv, envp);
	setpgid(pid, pid);	/* at once, so that killing its group is never too early */
	return pid;
}

static int open_inputs(struct spawn *sp, const char *hints, struct err *err)
{
	const struct conf *c = sp->conf;

	sp->hints = memfd_of("ipsecpol-hints", hints, strlen(hints), err);
	if (sp->hints < 0)
		return -1;
	if (c->bind == BIND_GSSAPI && c->keytab && memfd_of_file(&sp->keytab, c->keytab, err) < 0)
		return -1;
	if (c->bind_password_file && memfd_of_file(&sp->password, c->bind_password_file, err) < 0)
		return -1;
	if (c->tls_key && memfd_of_file(&sp->tls_key, c->tls_key, err) < 0)
		return -1;
	return 0;
}

static int watch(struct worker *w, struct sd_event *ev)
{
	uint64_t usec = (uint64_t)w->timeout * 1000000;
	int r;

	r = sd_event_add_io(ev, &w->io, w->fd, EPOLLIN, on_output, w);
	if (r >= 0)
		r = sd_event_add_child(ev, &w->child, w->pid, WEXITED, on_exit_child, w);
	if (r >= 0)
		r = sd_event_add_time_relative(ev, &w->timer, CLOCK_MONOTONIC, usec, 0, on_timeout, w);
	return r;
}

struct worker *worker_start(struct sd_event *ev, const struct conf *c, const char *hints, const char *site,
    worker_done *done, void *cookie, struct err *err)
{
	struct spawn sp = { .conf = c, .site = site, .out = -1, .hints = -1, .keytab = -1, .password = -1, .tls_key = -1 };
	struct worker *w = calloc(1, sizeof(*w)), *ret = NULL;
	int fds[2] = { -1, -1 }, r;

	if (!w) {
		err_nomem(err);
		return NULL;
	}
	w->fd = -1;
	w->done = done;
	w->cookie = cookie;
	w->timeout = c->refresh_timeout;
	if (find_user(&sp, err) < 0 || open_inputs(&sp, hints, err) < 0)
		goto out;
	if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
		err_set(err, ERR_SYSTEM, "pipe: %s", strerror(errno));
		goto out;
	}
	w->fd = fds[0];
	sp.out = fds[1];
	w->pid = spawn(&sp, err);
	if (w->pid < 0)
		goto out;
	r = watch(w, ev);
	if (r < 0) {
		err_set(err, ERR_SYSTEM, "event loop: %s", strerror(-r));
		goto out;
	}
	ret = w;
	w = NULL;
out:
	for (size_t i = 0; i < 5; i++) {
		const int own[] = { fds[1], sp.hints, sp.keytab, sp.password, sp.tls_key };

		if (own[i] >= 0)
			close(own[i]);
	}
	worker_kill(w);
	return ret;
}
