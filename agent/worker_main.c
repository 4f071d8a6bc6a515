/* The worker: reads one policy from the directory and writes it to its parent.
 * It speaks DNS, Kerberos, LDAP and BER with whoever answers, so it first gives
 * away everything that it does not need for that. */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <nettle/sha2.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/collect.h"
#include "agent/conf.h"
#include "agent/dir_watch.h"
#include "agent/worker.h"
#include "gpo/memory.h"
#include "gpo/watch.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

#define MAX_HINTS_TEXT	(4u << 20)
#define MAX_CPU_SECONDS	120
#define MAX_FILES	64
#define MAX_FILE_SIZE	(1u << 20)	/* the keytab's copy in memory counts as a file */
#if defined(__SANITIZE_ADDRESS__)
#define MAX_MEMORY	RLIM_INFINITY	/* its shadow alone is larger than any limit */
#else
#define MAX_MEMORY	(1ul << 30)
#endif

struct args {
	const char	*config, *site;
	bool		 watch;
	int		 hints_fd, memory_fd, keytab_fd, password_fd, tls_key_fd;
};

/* ---- what it gives away ---- */

/* Default-allow: libkrb5, the resolver and NSS modules use what they like, but
 * nobody here starts a program, changes a file or touches another process. */
static const int denied[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork),	/* and clone(), below */
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(setpgid), SCMP_SYS(setsid), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(move_mount),
	SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(mount_setattr),
	SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff),
	SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(acct), SCMP_SYS(quotactl),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex),
	SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(personality), SCMP_SYS(syslog),
	SCMP_SYS(openat2), SCMP_SYS(open_by_handle_at), SCMP_SYS(creat), SCMP_SYS(truncate), SCMP_SYS(fallocate),
	SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir),
	SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
	SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(lchown), SCMP_SYS(fchown),
	SCMP_SYS(fchownat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr),
	SCMP_SYS(removexattr), SCMP_SYS(lremovexattr), SCMP_SYS(fremovexattr),
	SCMP_SYS(utime), SCMP_SYS(utimes), SCMP_SYS(utimensat), SCMP_SYS(futimesat),
	SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
};

/* open() for anything but reading; the flags are argument number arg. */
static int deny_writing(scmp_filter_ctx ctx, int call, unsigned arg)
{
	static const int flags[] = { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(flags) / sizeof(flags[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), call, 1,
		    SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, (scmp_datum_t)flags[i], (scmp_datum_t)flags[i]));
	return r;
}

static int add_rules(scmp_filter_ctx ctx)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(denied) / sizeof(denied[0]); i++) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
		/* A call that this architecture does not have. */
		if (r == -EDOM || r == -EINVAL)
			r = 0;
	}
	if (r == 0)
		r = deny_writing(ctx, SCMP_SYS(open), 1);
	if (r == 0)
		r = deny_writing(ctx, SCMP_SYS(openat), 2);
	/* Threads, yes; processes, no.  clone3() hides its flags: libc then uses clone(). */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	/* abort() signals itself; nobody else is signalled. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
		    SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid(), 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
		    SCMP_A0(SCMP_CMP_EQ, AF_PACKET, 0));
	/* Reaching for the terminal of whoever started us. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
	return r;
}

static int limit_calls(struct err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r = ctx ? add_rules(ctx) : -ENOMEM;

	if (r == 0)
		r = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return r == 0 ? 0 : err_set(err, ERR_SYSTEM, "worker: seccomp: %s", strerror(-r));
}

static int limit_resources(struct err *err)
{
	struct stat st;
	/* A result that goes to a file, by hand, may have any size. */
	bool to_file = fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);
	const struct { int what; rlim_t max; } limits[] = {
		{ RLIMIT_AS, MAX_MEMORY }, { RLIMIT_CPU, MAX_CPU_SECONDS }, { RLIMIT_NOFILE, MAX_FILES },
		{ RLIMIT_CORE, 0 }, { RLIMIT_FSIZE, to_file ? RLIM_INFINITY : MAX_FILE_SIZE },
	};
	struct rlimit r;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (getrlimit((unsigned)limits[i].what, &r) < 0)
			return err_set(err, ERR_SYSTEM, "worker: limits: %s", strerror(errno));
		if (limits[i].max < r.rlim_max)
			r.rlim_max = limits[i].max;
		if (r.rlim_cur > r.rlim_max)
			r.rlim_cur = r.rlim_max;
		if (setrlimit((unsigned)limits[i].what, &r) < 0)
			return err_set(err, ERR_SYSTEM, "worker: limits: %s", strerror(errno));
	}
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int confine(struct err *err)
{
	umask(077);
	capng_clear(CAPNG_SELECT_BOTH);
	/* The bounding set can be emptied only by who has a capability to lose. */
	if (capng_apply(geteuid() == 0 ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) != 0 &&
	    capng_apply(CAPNG_SELECT_CAPS) != 0)
		return err_set(err, ERR_SYSTEM, "worker: capabilities cannot be dropped");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, ERR_SYSTEM, "worker: no_new_privs: %s", strerror(errno));
	if (limit_resources(err) < 0)
		return -1;
	return limit_calls(err);
}

/* ---- arguments ---- */

static int read_fd(int *ret, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n > 65535)
		return -1;
	*ret = (int)n;
	return 0;
}

static int read_args(struct args *ret, int argc, char *argv[], struct err *err)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "site", required_argument, NULL, 's' },
		{ "hints-fd", required_argument, NULL, 'h' }, { "memory-fd", required_argument, NULL, 'm' }, { "keytab-fd", required_argument, NULL, 'k' },
		{ "password-fd", required_argument, NULL, 'p' }, { "tls-key-fd", required_argument, NULL, 't' },
		{ "watch", no_argument, NULL, 'w' }, { 0 },
	};
	struct args a = { .hints_fd = -1, .memory_fd = -1, .keytab_fd = -1, .password_fd = -1, .tls_key_fd = -1 };
	int c, rc = 0;

	opterr = 0;
	while (rc == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c': a.config = optarg; break;
		case 's': a.site = optarg; break;
		case 'h': rc = read_fd(&a.hints_fd, optarg); break;
		case 'm': rc = read_fd(&a.memory_fd, optarg); break;
		case 'k': rc = read_fd(&a.keytab_fd, optarg); break;
		case 'p': rc = read_fd(&a.password_fd, optarg); break;
		case 't': rc = read_fd(&a.tls_key_fd, optarg); break;
		case 'w': a.watch = true; break;
		default: rc = -1;
		}
	}
	if (rc < 0 || optind != argc)
		return err_set(err, ERR_FORMAT, "worker: usage: ipsecpol-worker [--watch] [--config FILE] [--site SITE] "
		    "[--hints-fd N] [--memory-fd N] [--keytab-fd N] [--password-fd N] [--tls-key-fd N]");
	*ret = a;
	return 0;
}

/* All of a file from its beginning on, and a NUL; max + 1 bytes: it is larger.  It may be open elsewhere. */
static int read_file(char **ret, size_t *ret_len, int fd, size_t max, const char *what, struct arena *a, struct err *err)
{
	size_t size = max + 1, len = 0;
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < (off_t)max)
		size = (size_t)st.st_size;
	text = arena_zalloc(a, size + 1, 1);
	if (!text)
		return err_nomem(err);
	for (; len < size; len += (size_t)n) {
		n = pread(fd, text + len, size - len, (off_t)len);
		if (n < 0)
			return err_set(err, ERR_SYSTEM, "worker: %s: %s", what, strerror(errno));
		if (n == 0)
			break;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

/* A DN a line; what is too large is left out: hints are only hints. */
static int read_hints(struct gp_subject *who, int fd, struct arena *a, struct err *err)
{
	char *text, *save = NULL;
	const char **hints = NULL;
	size_t n = 0, len;

	if (fd < 0)
		return 0;
	if (read_file(&text, &len, fd, MAX_HINTS_TEXT, "hints", a, err) < 0)
		return -1;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		hints = arena_grow(a, hints, n, sizeof(*hints));
		if (!hints)
			return err_nomem(err);
		hints[n++] = line;
	}
	who->hints = hints;
	who->n_hints = n;
	return 0;
}

/* What cannot be used is as good as none: everything is read then. */
static int read_memory(struct gen_part *ret, struct gp_subject *who, int fd, struct arena *a, struct err *err)
{
	struct gp_memory *m;
	struct err ignored;
	char *text;
	size_t len;

	*ret = (struct gen_part){ .name = "memory", .text = "" };
	if (fd < 0)
		return 0;
	if (read_file(&text, &len, fd, MEMORY_MAX_BYTES, "memory", a, err) < 0)
		return -1;
	if (gp_memory_read(&m, a, text, len, &ignored) < 0)
		return 0;
	who->memory = m;
	ret->text = text;
	ret->len = len;
	return 0;
}

/* ---- the result ---- */

static void write_part(FILE *out, const struct gen_part *p, struct sha256_ctx *sha)
{
	char head[64];
	int n = snprintf(head, sizeof(head), "part %s %zu\n", p->name, p->len);

	sha256_update(sha, (size_t)n, (const uint8_t *)head);
	sha256_update(sha, p->len, (const uint8_t *)p->text);
	sha256_update(sha, 1, (const uint8_t *)"\n");
	fputs(head, out);
	fwrite(p->text, 1, p->len, out);
	fputc('\n', out);
}

/* parts, then more. */
static int write_result(FILE *out, const struct gen_part *parts, size_t n, const struct gen_part *more, size_t n_more, struct err *err)
{
	char hex[2 * SHA256_DIGEST_SIZE + 1];
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx sha;

	sha256_init(&sha);
	fputs("BEGIN ipsecpol 1\n", out);
	for (size_t i = 0; i < n; i++)
		write_part(out, &parts[i], &sha);
	for (size_t i = 0; i < n_more; i++)
		write_part(out, &more[i], &sha);
	sha256_digest(&sha, sizeof(digest), digest);
	hex_text(hex, digest, sizeof(digest));
	fprintf(out, "END %s\n", hex);
	if (fflush(out) != 0 || ferror(out))
		return err_set(err, ERR_SYSTEM, "worker: result: %s", strerror(errno));
	return 0;
}

static struct directory_conf directory_of(const struct args *args, const struct conf *conf)
{
	return (struct directory_conf){ .conf = conf, .uri = conf->uri, .site = conf->site ? conf->site : args->site,
		.keytab_fd = args->keytab_fd, .password_fd = args->password_fd, .tls_key_fd = args->tls_key_fd };
}

/* ---- waiting for changes ---- */

static int plan_watch(struct gp_watch *ret, struct directory *d, const struct gp_subject *who, struct arena *a, struct err *err)
{
	struct dir_snapshot *s = snapshot_new();
	struct dir_query ask;
	int r;

	if (!s)
		return err_nomem(err);
	while ((r = gp_watch_plan(ret, &ask, s, who, a, err)) > 0)
		if (directory_search(d, &ask, s, err) < 0) {
			r = -1;
			break;
		}
	snapshot_free(s);
	return r;
}

static int watch(const struct args *args, const struct conf *conf, struct err *err)
{
	struct directory_conf dc = directory_of(args, conf);
	struct gp_subject who = { .computer = conf->computer, .domain = conf->domain };
	struct arena *a = arena_new(0);
	struct directory *d = NULL;
	struct gp_watch plan;

	if (!a)
		return err_nomem(err);
	if (read_hints(&who, args->hints_fd, a, err) == 0 && (d = directory_open(&dc, err)) &&
	    plan_watch(&plan, d, &who, a, err) == 0)
		directory_watch(d, &plan, stdout, err);
	directory_close(d);
	arena_free(a);
	return -1;
}

/* ---- one refresh ---- */

static int run(const struct args *args, const struct conf *conf, struct err *err)
{
	struct directory_conf d = directory_of(args, conf);
	struct gp_subject who = { .computer = conf->computer, .domain = conf->domain, .site = conf->site,
		.default_site = conf->default_site, .self = true };
	const struct gp_options o = { .wmi_allow = conf->wmi_allow };
	struct arena *a = arena_new(0);
	struct collected c = { 0 };
	struct gen_part *parts, known, more[2];
	size_t n, n_more;
	int rc = -1;

	if (!a)
		return err_nomem(err);
	if (read_hints(&who, args->hints_fd, a, err) < 0 || read_memory(&known, &who, args->memory_fd, a, err) < 0 || subject_addresses(&who, a, err) < 0 ||
	    collect(&c, &d, &who, &o, err) < 0)
		goto out;
	if (collected_parts(&parts, &n, &c, a, err) == 0 && collected_memory(more, &n_more, &c, &who, &known, a, err) == 0)
		rc = write_result(stdout, parts, n, more, n_more, err);
out:
	collected_free(&c);
	arena_free(a);
	return rc;
}

int main(int argc, char *argv[])
{
	struct conf *conf = NULL;
	struct args args = { 0 };
	struct err err;
	int rc;

	rc = read_args(&args, argc, argv, &err);
	if (rc == 0)
		rc = conf_read(&conf, args.config, &err);
	if (rc == 0)
		rc = confine(&err);
	if (rc == 0)
		rc = args.watch ? watch(&args, conf, &err) : run(&args, conf, &err);
	if (rc < 0)
		printf("%s %s %s\n", args.watch ? "FAILED" : "TRASH", err_code_name(err.code), err.msg);
	conf_free(conf);
	return fflush(stdout) == 0 && rc == 0 ? 0 : 1;
}
