/* For the shell tests: IPsec policies in the kernel of this network namespace.
 *
 *   spdtool write|json FILE       as text, as JSON
 *   spdtool install FILE          the way up alone: "added N changed N removed N"
 *   spdtool retract FILE|nothing  the way down alone
 *   spdtool apply FILE...         both, for each with one socket
 *   spdtool diff FILE             wanted against the kernel; exit 2 when they differ
 *   spdtool fetch | pins          what the kernel holds of ours
 *   spdtool pin FILE PEER SECONDS...  pins each policy that the peer is in; prints the pins
 *   spdtool sas | sa-delete       security associations of ours
 *   spdtool acquire FILE PEER     asks for one of an outbound policy
 *   spdtool watch                 then a line for each on stdin: what was seen, after it was done if it is "install FILE",
 *                                 "retract FILE" or "pin FILE PEER SECONDS"
 *   spdtool alter FILE            the policies of the file under our key, but blocking
 *   spdtool big N                 N policies
 *   spdtool bench FILE            seconds of each step
 *
 * Without arguments: 77, so that "make check" skips it. */
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nft/netlink.h"
#include "nft/xfrmsock.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "tests/mkpolicy.h"
#include "tests/mkspd.h"

#include <jansson.h>
#include <linux/netlink.h>

static struct err err;

static _Noreturn void fail(void)
{
	fprintf(stderr, "%s: %s\n", err_code_name(err.code), err.msg);
	exit(1);
}

static struct spd *wanted(const char *file)
{
	char *text;
	struct spd *s;

	if (!strcmp(file, "nothing"))
		return NULL;
	text = mk_file(strcmp(file, "-") ? file : "/dev/stdin");
	s = mk_spd(text);
	free(text);
	return s;
}

static struct xfrmsock *sock(void)
{
	struct xfrmsock *x = xfrmsock_open(&err);

	if (!x)
		fail();
	return x;
}

static void apply(struct xfrmsock *x, const char *file, bool down, bool up)
{
	struct spd *want = wanted(file);
	struct spd_report rep = { 0 };
	int rc = 0;

	if (down)
		rc = xfrmsock_retract(x, want, &rep, stderr, &err);
	if (rc == 0 && up)
		rc = xfrmsock_install(x, want, &rep, stderr, &err);
	printf("added %zu changed %zu removed %zu\n", rep.n_added, rep.n_changed, rep.n_removed);
	fflush(stdout);
	spd_free(want);
	if (rc < 0)
		fail();
}

static int diff(struct xfrmsock *x, const char *file)
{
	struct spd *want = wanted(file), *have;
	size_t n;

	if (xfrmsock_fetch(x, &have, NULL, &err) < 0)
		fail();
	n = spd_diff(want, have, stdout);
	spd_free(want);
	spd_free(have);
	return n ? 2 : 0;
}

static void fetch(struct xfrmsock *x, bool pins)
{
	struct spd *have, *pinned;

	if (xfrmsock_fetch(x, &have, &pinned, &err) < 0)
		fail();
	spd_write(pins ? pinned : have, stdout);
	spd_free(have);
	spd_free(pinned);
}

static void pin(struct xfrmsock *x, const char *file, const char *peer, const char *seconds)
{
	struct spd *want = wanted(file);
	struct spd_policy p;
	struct ip_addr a;

	if (!ip_addr_read(&a, peer))
		exit(64);
	for (size_t i = 0; i < want->n_policies; i++) {
		if (!spd_pin(&p, &want->policies[i], &a, (uint32_t)atoi(seconds)))
			continue;
		if (xfrmsock_pin(x, &p, &err) < 0)
			fail();
		spd_policy_write(&p, stdout);
		putchar('\n');
	}
	spd_free(want);
}

static void sas(struct xfrmsock *x, bool delete)
{
	struct arena *a = arena_new(0);
	char src[IP_ADDR_TEXT], dst[IP_ADDR_TEXT];
	struct xfrm_sa *all;
	size_t n;

	if (xfrmsock_sas(x, &all, &n, a, &err) < 0)
		fail();
	for (size_t i = 0; i < n; i++) {
		ip_addr_text(&all[i].src, src);
		ip_addr_text(&all[i].dst, dst);
		printf("%s %s proto %u spi 0x%08x reqid 0x%08x%s%s '%s' '%s'\n", src, dst, all[i].protocol, all[i].spi,
		    all[i].reqid, all[i].tunnel ? " tunnel" : "", all[i].larval ? " larval" : "", all[i].encryption,
		    all[i].integrity);
		if (delete && xfrmsock_sa_delete(x, &all[i], &err) < 0)
			fail();
	}
	arena_free(a);
}

/* For the policy of the file, from its own address to peer. */
static void acquire(struct xfrmsock *x, const char *file, const char *peer)
{
	struct spd *want = wanted(file);
	struct spd_policy p = want->policies[0];
	struct xfrm_sa sa = { .protocol = 50, .reqid = p.templates[0].reqid, .family = p.sel.family, .src.family = p.sel.family };

	if (!ip_addr_read(&sa.dst, peer))
		fail();
	memcpy(sa.src.b, p.sel.src, sizeof(sa.src.b));
	memcpy(p.sel.dst, sa.dst.b, sizeof(p.sel.dst));
	p.sel.dst_prefix = 32;
	if (xfrmsock_acquire(x, &p, &sa, &err) < 0)
		fail();
	spd_free(want);
}

static void watch(struct xfrmsock *x)
{
	struct xfrm_events ev;
	char line[256], *at, *word, *file, *peer;

	if (xfrmsock_watch_open(x, &err) < 0)
		fail();
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		at = line;
		word = strsep(&at, " ");
		file = strsep(&at, " ");
		peer = strsep(&at, " ");
		if (!strcmp(word, "install") || !strcmp(word, "retract"))
			apply(x, file, *word == 'r', *word == 'i');
		else if (!strcmp(word, "pin"))
			pin(x, file, peer, at);
		if (xfrmsock_watch_read(x, &ev, &err) < 0)
			fail();
		printf("policies %d sas %d\n", ev.policies, ev.sas);
		fflush(stdout);
	}
}

static void alter(const char *file)
{
	_Alignas(struct nlmsghdr) uint8_t buf[XFRM_MESSAGE_MAX];
	struct spd *want = wanted(file);
	struct nlmsghdr *nlh;
	uint32_t portid;
	int fd = netlink_open(NETLINK_XFRM, "IPsec", 0, &portid, &err);

	for (size_t i = 0; fd >= 0 && i < want->n_policies; i++) {
		nlh = xfrm_policy_build(buf, 1, &want->policies[i]);
		((struct xfrm_userpolicy_info *)mnl_nlmsg_get_payload(nlh))->action = XFRM_POLICY_BLOCK;
		netlink_send(fd, nlh, nlh->nlmsg_len);
	}
	spd_free(want);
}

static void big(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		printf("%s 10.%lu.%lu.%lu/%lu 192.168.0.1/32 %s 0 %lu priority %lu %s reqid 0x%lx\n", i & 1 ? "out" : "in",
		    i >> 16, i >> 8 & 255, i & (i & 4 ? 0xff : 0xf0), i & 4 ? 32ul : 28ul, i & 2 ? "tcp" : "udp",
		    1000 + i % 16, 65600 + i % 64 * 2, "esp transport required", 0x69000000 + i % 5000);
}

static void lap(const char *what)
{
	static struct timespec last;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (what)
		printf("%-8s %8.2f ms\n", what, (double)(now.tv_sec - last.tv_sec) * 1e3 + (double)(now.tv_nsec - last.tv_nsec) / 1e6);
	clock_gettime(CLOCK_MONOTONIC, &last);
}

static void bench(struct xfrmsock *x, const char *file)
{
	struct spd *want = wanted(file), *have;
	struct spd_report rep = { 0 };

	lap(NULL);
	if (xfrmsock_install(x, want, &rep, NULL, &err) < 0)
		fail();
	lap("install");
	if (xfrmsock_install(x, want, &rep, NULL, &err) < 0)
		fail();
	lap("again");
	if (xfrmsock_fetch(x, &have, NULL, &err) < 0)
		fail();
	lap("fetch");
	spd_free(have);
	if (xfrmsock_retract(x, NULL, &rep, NULL, &err) < 0)
		fail();
	lap("retract");
	printf("added %zu changed %zu removed %zu\n", rep.n_added, rep.n_changed, rep.n_removed);
	spd_free(want);
}

static int text(const char *file, bool json)
{
	struct spd *s = wanted(file);
	json_t *j = json ? spd_json(s) : NULL;
	int rc = json ? json_dumpf(j, stdout, JSON_INDENT(1) | JSON_SORT_KEYS) : spd_write(s, stdout);

	json_decref(j);
	spd_free(s);
	return rc;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : NULL, *file = argc > 2 ? argv[2] : "nothing";
	struct xfrmsock *x;
	int rc = 0;

	if (!verb)
		return 77;
	if (!strcmp(verb, "write") || !strcmp(verb, "json"))
		return text(file, *verb == 'j') ? 1 : 0;
	if (!strcmp(verb, "big")) {
		big(strtoul(file, NULL, 10));
		return 0;
	}
	x = sock();
	if (!strcmp(verb, "install") || !strcmp(verb, "retract"))
		apply(x, file, *verb == 'r', *verb == 'i');
	else if (!strcmp(verb, "apply"))
		for (char **a = argv + 2; *a; a++)
			apply(x, *a, true, true);
	else if (!strcmp(verb, "diff"))
		rc = diff(x, file);
	else if (!strcmp(verb, "fetch") || !strcmp(verb, "pins"))
		fetch(x, *verb == 'p');
	else if (!strcmp(verb, "pin") && argc == 5)
		pin(x, file, argv[3], argv[4]);
	else if (!strcmp(verb, "sas") || !strcmp(verb, "sa-delete"))
		sas(x, verb[2] == '-');
	else if (!strcmp(verb, "acquire") && argc == 4)
		acquire(x, file, argv[3]);
	else if (!strcmp(verb, "watch"))
		watch(x);
	else if (!strcmp(verb, "alter"))
		alter(file);
	else if (!strcmp(verb, "bench"))
		bench(x, file);
	else
		rc = 64;
	xfrmsock_close(x);
	return rc;
}
