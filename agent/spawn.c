/* Starting the worker program: as its user, with what it may know in files in memory. */
#include "agent/spawn.h"

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
#include <unistd.h>

#include "agent/conf.h"
#include "agent/memfd.h"
#include "agent/worker.h"
#include "schema/err.h"

#define MAX_SECRET	(1u << 20)	/* a keytab, key or password file */

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
	bool			 watch;
	uid_t			 uid;
	gid_t			 gid;
	bool			 switch_user;
	int			 out, hints, memory, keytab, password, tls_key;
};

/* After fork: only async-signal-safe calls, and nothing that allocates. */
static void child_run(const struct spawn *sp, char *const argv[], char *const envp[])
{
	const int keep[] = { sp->hints, sp->memory, sp->keytab, sp->password, sp->tls_key };
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

static pid_t start(const struct spawn *sp, struct err *err)
{
	char fds[5][16];
	const char *opts[] = { "--hints-fd", "--memory-fd", "--keytab-fd", "--password-fd", "--tls-key-fd" };
	const int vals[] = { sp->hints, sp->memory, sp->keytab, sp->password, sp->tls_key };
	char *argv[20], *envp[8], krb[4096];
	const char *krb5_config = getenv("KRB5_CONFIG");
	size_t n = 0, e = 0;
	pid_t pid;

	argv[n++] = (char *)sp->conf->worker;
	if (sp->watch)
		argv[n++] = (char *)"--watch";
	if (sp->conf->file) {
		argv[n++] = (char *)"--config";
		argv[n++] = (char *)sp->conf->file;
	}
	for (size_t i = 0; i < 5; i++) {
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

pid_t spawn_worker(int *ret_fd, const struct conf *c, const struct worker_input *in, bool watch, struct err *err)
{
	struct spawn sp = { .conf = c, .site = in->site, .watch = watch, .out = -1, .hints = -1, .memory = in->memory_fd,
		.keytab = -1, .password = -1, .tls_key = -1 };
	int fds[2] = { -1, -1 };
	pid_t pid = -1;

	if (find_user(&sp, err) < 0 || open_inputs(&sp, in->hints, err) < 0)
		goto out;
	if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
		err_set(err, ERR_SYSTEM, "pipe: %s", strerror(errno));
		goto out;
	}
	sp.out = fds[1];
	pid = start(&sp, err);
	if (pid >= 0) {
		*ret_fd = fds[0];
		fds[0] = -1;
	}
out:
	for (size_t i = 0; i < 6; i++) {
		const int own[] = { fds[0], fds[1], sp.hints, sp.keytab, sp.password, sp.tls_key };

		if (own[i] >= 0)
			close(own[i]);
	}
	return pid;
}

void spawn_kill(pid_t pid)
{
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
}
