/* For the shell tests: render a policy written as in tests/mkpolicy.h and look at
 * it, or put it into the kernel of this network namespace.
 *
 *   nfttool write|json FILE    the ruleset as text, as JSON
 *   nfttool batch FILE         the bytes of the transaction that creates it
 *   nfttool apply FILE...      each in turn with one socket: "changes N bytes N created 0|1"
 *   nfttool diff FILE          wanted against the kernel; exit 2 when they differ
 *   nfttool fetch              the kernel's table as text
 *   nfttool remove             take it away
 *   nfttool watch FILE         apply, then per line on stdin: "ours" or "not ours";
 *                              the line "apply FILE" first applies that
 *   nfttool log FILE [SECONDS] "ready", then a line for each logged packet, judged by FILE's ruleset;
 *                              at the end "lost N"
 *   nfttool judge FILE SRC DST PORT...  for each port "PORT drop" or "PORT accept": a UDP packet of this host
 *   nfttool refuse             apply a table that the kernel refuses because of one element
 *   nfttool big N              a policy of N filters
 *   nfttool flip A B ROUNDS [PAUSE-MS]  A, then B and A in turn with one socket: medians of each step, and of the
 *                              processor time spent in the kernel
 *   nfttool bench FILE         seconds and peak memory of each step of applying it
 *
 * FILE "-": stdin; "block:FILE", "stateful:FILE" and "startup:FILE" are block mode and the
 * startup modes stateful and block, with the facts and options of the file.  Without arguments: 77, so that "make check" skips it. */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "nft/batch.h"
#include "nft/judge.h"
#include "nft/nflog.h"
#include "nft/nlsock.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/err.h"
#include "tests/mkpolicy.h"

static struct err err;

static _Noreturn void fail(void)
{
	fprintf(stderr, "%s: %s\n", err_code_name(err.code), err.msg);
	exit(1);
}

static int mode_render(struct ruleset **ret, const struct mk *m, const char *file)
{
	const struct host_facts *facts = m->o.lifeline ? m->facts : NULL;

	if (!strncmp(file, "stateful:", 9))
		return boot_render(ret, BOOT_STATEFUL, &m->boot, facts, &m->o, &err);
	if (!strncmp(file, "startup:", 8))
		return boot_render(ret, BOOT_BLOCK, &m->boot, facts, &m->o, &err);
	if (!strncmp(file, "block:", 6))
		return block_render(ret, "a test", facts, &m->o, &err);
	return mk_render(ret, m, &err);
}

static struct ruleset *render(const char *file)
{
	const char *name = strchr(file, ':') ? strchr(file, ':') + 1 : file;
	char *text = mk_file(strcmp(name, "-") ? name : "/dev/stdin");
	struct mk *m = mk_policy(text);
	struct ruleset *r;

	if (mode_render(&r, m, file) < 0)
		fail();
	mk_free(m);
	free(text);
	return r;
}

static void batch(const char *file)
{
	struct ruleset *r = render(file);
	struct nlbatch *b;

	if (batch_build(&b, r, NULL, 0, &err) < 0)
		fail();
	fwrite(b->bytes, 1, b->len, stdout);
	batch_free(b);
	ruleset_free(r);
}

static struct nlsock *sock(void)
{
	struct nlsock *s = nlsock_open(&err);

	if (!s)
		fail();
	return s;
}

static void apply(struct nlsock *s, struct ruleset *r, FILE *log)
{
	struct apply_report rep;
	static char buf[65536];

	if (log)
		setvbuf(log, buf, _IOFBF, sizeof(buf));
	if (nlsock_apply(s, r, &rep, log, &err) < 0)
		fail();
	if (log)
		fflush(log);
	printf("changes %zu bytes %zu created %d\n", rep.n_changes, rep.n_bytes, rep.created);
	fflush(stdout);
	ruleset_free(r);
}

static void watch(const char *file)
{
	struct nlsock *s = sock();
	char line[256];
	int rc;

	if (nlsock_watch_open(s, &err) < 0)
		fail();
	apply(s, render(file), NULL);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "apply ", 6))
			apply(s, render(line + 6), NULL);
		rc = nlsock_watch_read(s, &err);
		if (rc < 0)
			fail();
		puts(rc ? "ours" : "not ours");
		fflush(stdout);
	}
	nlsock_close(s);
}

static void big(unsigned long n)
{
	puts("rule block Big");
	for (unsigned long i = 0; i < n; i++)
		printf("filter me %lu.%lu.%lu.%lu/32 %s * %lu\n", 11 + (i >> 22), i >> 14 & 255, i >> 6 & 255, (i & 63) * 4,
		    i & 1 ? "tcp" : "udp", 1000 + i % 50);
}

static int diff(const char *file)
{
	struct ruleset *want = render(file), *have;
	struct nlsock *s = sock();
	size_t n;

	if (nlsock_fetch(s, &have, &err) < 0)
		fail();
	n = ruleset_diff(want, have, stdout);
	ruleset_free(want);
	ruleset_free(have);
	nlsock_close(s);
	return n ? 2 : 0;
}

static void fetch(void)
{
	struct nlsock *s = sock();
	struct ruleset *have;

	if (nlsock_fetch(s, &have, &err) < 0)
		fail();
	if (have)
		ruleset_write(have, stdout);
	ruleset_free(have);
	nlsock_close(s);
}

static void refuse(void)
{
	static const struct rs_origin origin = { { { 0x11 } }, { { 0x22 } }, { { 0 } }, RENDER_DOMAIN };
	const struct rs_lookup l = { .set = "m", .n_keys = 1, .keys = { { RS_L4PROTO, 8 } } };
	struct ruleset *r = ruleset_new();
	struct nlsock *s = sock();
	struct rs_element *e;
	struct rs_set *set;

	set = rs_set_add(r, &l, true, "");
	for (uint8_t proto = 1; proto < 9; proto++) {
		e = rs_element_add(r, set, &proto);
		e->verdict = RS_DROP;
		if (proto == 7) {
			e->verdict = RS_GOTO;
			e->chain = "nowhere";
			e->origin = &origin;
		}
	}
	if (ruleset_seal(r, &err) < 0)
		fail();
	apply(s, r, NULL);
}

static void log_see(const struct nflog_packet *p, void *cookie)
{
	const bool out = p->hook == RS_HOOK_POSTROUTING;
	struct judge_place at = { .hook = (enum rs_hook)p->hook, .iif = p->iif, .oif = p->oif, .iiftype = 1, .oiftype = 1,
		.src_type = out ? RTN_LOCAL : 0, .dst_type = p->hook == RS_HOOK_INPUT ? RTN_LOCAL : 0 };
	struct judgement j = { .comment = "cannot be told" };
	char src[INET6_ADDRSTRLEN] = "?", dst[INET6_ADDRSTRLEN] = "?";
	struct packet_head h = { 0 };

	if (packet_head_parse(&h, p->payload, p->len)) {
		inet_ntop(h.family, h.src, src, sizeof(src));
		inet_ntop(h.family, h.dst, dst, sizeof(dst));
		judge_packet(&j, cookie, &h, &at);
	}
	printf("%s | hook %d family %u iif %d oif %d %s > %s proto %u %u > %u %zu bytes time %d | %s %s\n", p->prefix, p->hook,
	    p->family, p->iif != 0, p->oif != 0, src, dst, h.protocol, packet_sport(&h), packet_dport(&h), p->len,
	    p->time_us != 0, j.verdict == RS_DROP ? "drop" : "accept", j.comment);
}

static void log_packets(const char *file, double seconds)
{
	struct ruleset *r = render(file);
	struct nflog *n = nflog_open(&err);
	struct timespec t;
	double end;

	if (!n)
		fail();
	puts("ready");
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &t);
	end = (double)t.tv_sec + (double)t.tv_nsec / 1e9 + seconds;
	for (;;) {
		struct pollfd pfd = { nflog_fd(n), POLLIN, 0 };
		double left;

		clock_gettime(CLOCK_MONOTONIC, &t);
		left = end - (double)t.tv_sec - (double)t.tv_nsec / 1e9;
		if (left <= 0)
			break;
		if (poll(&pfd, 1, (int)(left * 1000) + 1) > 0 && nflog_read(n, log_see, r, &err) < 0)
			fail();
		fflush(stdout);
	}
	printf("lost %llu\n", (unsigned long long)nflog_lost(n));
	nflog_close(n);
	ruleset_free(r);
}

static void judge(const char *file, char **argv)
{
	struct packet_head h = { .family = AF_INET, .protocol = 17, .n_th = 4 };
	const struct judge_place at = { .hook = RS_HOOK_POSTROUTING, .oif = 2, .oiftype = 1, .src_type = RTN_LOCAL };
	struct ruleset *r = render(file);
	struct judgement j;

	if (inet_pton(AF_INET, argv[0], h.src) != 1 || inet_pton(AF_INET, argv[1], h.dst) != 1)
		exit(64);
	for (argv += 2; *argv; argv++) {
		rs_num_put(h.th + 2, RS_DPORT, (uint32_t)atoi(*argv));
		if (!judge_packet(&j, r, &h, &at))
			exit(1);
		printf("%s %s\n", *argv, j.verdict == RS_DROP ? "drop" : "accept");
	}
	ruleset_free(r);
}

static void lap(const char *what)
{
	static struct timespec last;
	struct timespec now;
	struct rusage u;

	clock_gettime(CLOCK_MONOTONIC, &now);
	getrusage(RUSAGE_SELF, &u);
	if (what)
		printf("%-8s %7.3f s, %4ld MB so far\n", what, (double)(now.tv_sec - last.tv_sec) +
		    (double)(now.tv_nsec - last.tv_nsec) / 1e9, u.ru_maxrss / 1024);
	clock_gettime(CLOCK_MONOTONIC, &last);
}

/* "create" is everything that an apply does: fetch, diff, batch, commit, fetch, diff. */
static void bench(const char *file)
{
	char *text = mk_file(file);
	struct mk *m = mk_policy(text);
	struct ruleset *r, *have;
	struct nlsock *s = sock();
	struct apply_report rep;
	struct nlbatch *b;
	size_t n = 0;

	free(text);
	lap(NULL);
	lap("policy");
	if (mk_render(&r, m, &err) < 0)
		fail();
	/* As the service does. */
	mk_free(m);
	lap("render");
	if (nlsock_apply(s, r, &rep, NULL, &err) < 0)
		fail();
	lap("create");
	if (nlsock_fetch(s, &have, &err) < 0)
		fail();
	lap("fetch");
	if (ruleset_diff(r, have, NULL))
		fail();
	lap("diff");
	ruleset_free(have);
	lap("free");
	if (batch_build(&b, r, NULL, 0, &err) < 0)
		fail();
	lap("batch");
	batch_free(b);
	lap("free");
	for (size_t i = 0; i < r->n_sets; i++)
		n += r->sets[i]->n_elements;
	printf("elements %zu bytes %zu\n", n, rep.n_bytes);
	nlsock_close(s);
	ruleset_free(r);
}

/* ---- flip ---- */

static double clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double system_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_stime.tv_sec * 1e3 + (double)u.ru_stime.tv_usec / 1e3;
}

static int double_cmp(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), double_cmp);
	return v[n / 2];
}

enum { FLIP_RENDER, FLIP_APPLY, FLIP_KERNEL, FLIP_ALL, FLIP_STEPS };
#define FLIP_MAX	100000

static void flip(const char *a, const char *b, unsigned long rounds, unsigned long pause_ms)
{
	static double v[2][FLIP_STEPS][FLIP_MAX / 2 + 1];
	static const char *const ways[] = { "there", "back" };
	const struct timespec pause = { .tv_sec = (time_t)(pause_ms / 1000), .tv_nsec = (long)(pause_ms % 1000 * 1000000) };
	char *text[2] = { mk_file(a), mk_file(b) };
	struct mk *m[2] = { mk_policy(text[0]), mk_policy(text[1]) };
	struct apply_report rep[2];
	struct nlsock *s = sock();
	struct ruleset *r;

	for (unsigned long i = 0; i <= 2 * rounds && i < FLIP_MAX; i++) {
		const int to = (int)(i & 1);
		double t0, t1, t2, k1;

		nanosleep(&pause, NULL);
		t0 = clock_ms();
		if (mk_render(&r, m[to], &err) < 0)
			fail();
		t1 = clock_ms();
		k1 = system_ms();
		if (nlsock_apply(s, r, &rep[to], NULL, &err) < 0)
			fail();
		ruleset_free(r);
		t2 = clock_ms();
		if (!i)
			continue;
		v[!to][FLIP_KERNEL][(i - 1) / 2] = system_ms() - k1;
		v[!to][FLIP_RENDER][(i - 1) / 2] = t1 - t0;
		v[!to][FLIP_APPLY][(i - 1) / 2] = t2 - t1;
		v[!to][FLIP_ALL][(i - 1) / 2] = t2 - t0;
	}
	for (int w = 0; w < 2 && rounds; w++)
		printf("%-5s render %7.3f ms, apply %7.3f ms (%.3f ms in the kernel), all %7.3f ms; changes %zu bytes %zu created %d\n", ways[w],
		    median(v[w][FLIP_RENDER], rounds), median(v[w][FLIP_APPLY], rounds), median(v[w][FLIP_KERNEL], rounds),
		    median(v[w][FLIP_ALL], rounds), rep[!w].n_changes, rep[!w].n_bytes, rep[!w].created);
	nlsock_close(s);
	for (int i = 0; i < 2; i++) {
		mk_free(m[i]);
		free(text[i]);
	}
}

int main(int argc, char **argv)
{
	const char *cmd = argc > 1 ? argv[1] : "", *file = argc > 2 ? argv[2] : "";
	struct ruleset *r;
	struct nlsock *s;
	json_t *j;

	if (!strcmp(cmd, "write") || !strcmp(cmd, "json")) {
		r = render(file);
		if (*cmd == 'w') {
			ruleset_write(r, stdout);
		} else {
			j = ruleset_json(r);
			json_dumpf(j, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
			json_decref(j);
		}
		ruleset_free(r);
	} else if (!strcmp(cmd, "apply") || !strcmp(cmd, "remove")) {
		s = sock();
		if (*cmd == 'r')
			apply(s, NULL, NULL);
		for (int i = 2; i < argc; i++)
			apply(s, render(argv[i]), stderr);
		nlsock_close(s);
	} else if (!strcmp(cmd, "batch")) {
		batch(file);
	} else if (!strcmp(cmd, "diff")) {
		return diff(file);
	} else if (!strcmp(cmd, "fetch")) {
		fetch();
	} else if (!strcmp(cmd, "watch")) {
		watch(file);
	} else if (!strcmp(cmd, "log")) {
		log_packets(file, argc > 3 ? atof(argv[3]) : 1);
	} else if (!strcmp(cmd, "judge") && argc > 4) {
		judge(file, argv + 3);
	} else if (!strcmp(cmd, "refuse")) {
		refuse();
	} else if (!strcmp(cmd, "flip") && argc > 4) {
		flip(file, argv[3], strtoul(argv[4], NULL, 10), argc > 5 ? strtoul(argv[5], NULL, 10) : 0);
	} else if (!strcmp(cmd, "bench")) {
		bench(file);
	} else if (!strcmp(cmd, "big")) {
		big(strtoul(file, NULL, 10));
	} else {
		fputs("usage: nfttool write|json|batch|apply|diff|fetch|remove|watch|log|judge|refuse|big|flip|bench [FILE]\n", stderr);
		return argc < 2 ? 77 : 64;
	}
	return 0;
}
