/* The LDAP client against a server that misbehaves: one process, one Unix socket, scripted answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>
#include <lber.h>
#include <ldap.h>

#include "agent/conf.h"
#include "agent/dir_backend.h"
#include "agent/dir_watch.h"
#include "agent/directory.h"
#include "gpo/watch.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/snapshot.h"

#define DN	"CN=x,DC=corp,DC=example"
#define SLACK	2.0	/* seconds that a test may take on top of its timeouts */

/* ---- the server ---- */

struct request {
	ber_int_t	 id;
	ber_tag_t	 op;
	char		*filter_and_more;	/* all of the request's bytes */
	size_t		 len;
};

/* Answers request number n (the bind is 0); what it does not answer hangs. */
typedef void script(int fd, const struct request *r, int n);

static void send_ber(int fd, BerElement *ber)
{
	struct berval *bv;

	if (ber_flatten(ber, &bv) == 0 && write(fd, bv->bv_val, bv->bv_len) < 0)
		_exit(1);
	ber_bvfree(bv);
	ber_free(ber, 1);
}

static void send_result(int fd, ber_int_t id, ber_tag_t op, int code, const char *text)
{
	BerElement *ber = ber_alloc_t(LBER_USE_DER);

	ber_printf(ber, "{it{ess}}", id, op, code, "", text);
	send_ber(fd, ber);
}

static void send_entry(int fd, ber_int_t id, const char *dn, const char *attr, char **values)
{
	BerElement *ber = ber_alloc_t(LBER_USE_DER);
	char *oc[] = { (char *)"top", NULL };

	ber_printf(ber, "{it{s{{s[v]}", id, LDAP_RES_SEARCH_ENTRY, dn, "objectClass", oc);
	if (attr)
		ber_printf(ber, "{s[v]}", attr, values);
	ber_printf(ber, "}}}");
	send_ber(fd, ber);
}

static void send_page_end(int fd, ber_int_t id, const char *cookie)
{
	BerElement *ber = ber_alloc_t(LBER_USE_DER), *value = ber_alloc_t(LBER_USE_DER);
	struct berval *bv;

	ber_printf(value, "{is}", 0, cookie);
	ber_flatten(value, &bv);
	ber_printf(ber, "{it{ess}t{{sO}}}", id, LDAP_RES_SEARCH_RESULT, 0, "", "", LDAP_TAG_CONTROLS,
	    LDAP_CONTROL_PAGEDRESULTS, bv);
	ber_bvfree(bv);
	ber_free(value, 1);
	send_ber(fd, ber);
}

static bool holds(const struct request *r, const void *p, size_t len)
{
	return memmem(r->filter_and_more, r->len, p, len) != NULL;
}

/* One connection: each request goes to the script, until the client hangs up. */
static void serve_one(int fd, script *run)
{
	char buf[65536];
	size_t len = 0;
	ssize_t n;
	int count = 0;

	while ((n = read(fd, buf + len, sizeof(buf) - len)) > 0) {
		len += (size_t)n;
		for (;;) {
			/* Small requests only: two bytes of length at most. */
			size_t head = len > 1 && (uint8_t)buf[1] > 0x80 ? 2u + ((uint8_t)buf[1] & 3) : 2, body;
			struct berval bv;
			struct request r;
			BerElement *ber;

			if (len < head)
				break;
			body = head == 2 ? (uint8_t)buf[1] : head == 3 ? (uint8_t)buf[2] :
			    (size_t)(uint8_t)buf[2] << 8 | (uint8_t)buf[3];
			if (len < head + body)
				break;
			bv = (struct berval){ head + body, buf };
			ber = ber_init(&bv);
			if (ber_scanf(ber, "{it", &r.id, &r.op) == LBER_ERROR)
				_exit(2);
			ber_free(ber, 1);
			r.filter_and_more = buf;
			r.len = head + body;
			if (r.op == LDAP_REQ_UNBIND)
				_exit(0);
			if (r.op != LDAP_REQ_ABANDON)
				run(fd, &r, count++);
			memmove(buf, buf + head + body, len - head - body);
			len -= head + body;
		}
	}
}

struct server {
	char			 dir[64], path[80], uri[128];
	pid_t			 pid;
	struct conf		 conf;
	struct directory_conf	 dc;
};

static void server_start(struct server *s, script *run)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char password[96], *p;
	FILE *f;
	int fd;

	strcpy(s->dir, "/tmp/test_ldap.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/s", s->dir);
	p = s->uri + sprintf(s->uri, "ldapi://");
	for (const char *c = s->path; *c; c++)
		p += *c == '/' ? sprintf(p, "%%2F") : sprintf(p, "%c", *c);
	snprintf(password, sizeof(password), "%s/pw", s->dir);
	f = fopen(password, "w");
	fputs("secret\n", f);
	fclose(f);
	s->conf = (struct conf){ .bind = BIND_SIMPLE, .bind_dn = DN, .connect_timeout = 1, .timeout = 1,
		.bind_password_file = strdup(password), .computer = "HOST1$" };
	s->dc = (struct directory_conf){ .conf = &s->conf, .uri = s->uri, .keytab_fd = -1, .password_fd = -1, .tls_key_fd = -1 };
	strcpy(addr.sun_path, s->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	s->pid = fork();
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		for (;;)
			serve_one(accept(fd, NULL, NULL), run);
	}
	close(fd);
}

static void server_stop(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	unlink(s->path);
	unlink(s->conf.bind_password_file);
	rmdir(s->dir);
	free((char *)s->conf.bind_password_file);
}

/* One search on the scripted server; what came of it in *ret_s, 0 or -1. */
static int ask(struct dir_snapshot **ret_s, script *run, enum dir_scope scope, unsigned sd_flags, struct err *err)
{
	static const char *const attrs[] = { "objectClass", "member", NULL };
	const struct dir_query q = { DN, scope, "(objectClass=*)", attrs, sd_flags };
	double start = dir_now();
	struct directory *d;
	struct server s;
	int rc = -1;

	*err = (struct err){ 0 };
	*ret_s = snapshot_new();
	server_start(&s, run);
	d = directory_open(&s.dc, err);
	if (d)
		rc = directory_search(d, &q, *ret_s, err);
	directory_close(d);
	server_stop(&s);
	assert_true(dir_now() - start < 1 + 1 + SLACK);
	return rc;
}

/* ---- scripts ---- */

static void bind_ok(int fd, const struct request *r)
{
	send_result(fd, r->id, LDAP_RES_BIND, 0, "");
}

static void run_hang(int fd, const struct request *r, int n)
{
	(void)fd, (void)r, (void)n;
}

static void run_refuse(int fd, const struct request *r, int n)
{
	(void)n;
	send_result(fd, r->id, LDAP_RES_BIND, LDAP_INVALID_CREDENTIALS, "go away");
}

static void run_stall(int fd, const struct request *r, int n)
{
	if (n == 0)
		bind_ok(fd, r);
	else
		send_entry(fd, r->id, DN, NULL, NULL);
}

static void run_stall_inside(int fd, const struct request *r, int n)
{
	/* The first 9 bytes of a message of 64. */
	if (n == 0)
		bind_ok(fd, r);
	else if (write(fd, "\x30\x40\x02\x01\x02\x64\x3b\x04\x17", 9) < 0)
		_exit(1);
}

static void run_trickle(int fd, const struct request *r, int n)
{
	if (n == 0) {
		bind_ok(fd, r);
		return;
	}
	for (int i = 0; i < 40; i++) {
		if (write(fd, i == 0 ? "\x30" : i == 1 ? "\x7f" : "\x02", 1) < 0)
			_exit(1);
		usleep(100000);
	}
}

static void run_huge(int fd, const struct request *r, int n)
{
	if (n == 0)
		bind_ok(fd, r);
	else if (write(fd, "\x30\x84\x7f\xff\xff\xff\x02\x01\x02", 9) < 0)
		_exit(1);
}

static void run_garbage(int fd, const struct request *r, int n)
{
	/* An entry whose attribute list claims more bytes than there are. */
	if (n == 0)
		bind_ok(fd, r);
	else if (write(fd, "\x30\x0c\x02\x01\x02\x64\x07\x04\x01x\x30\x7f\x30\x10", 14) < 0)
		_exit(1);
	else
		send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, 0, "");
}

static void run_close(int fd, const struct request *r, int n)
{
	if (n == 0) {
		bind_ok(fd, r);
		return;
	}
	send_entry(fd, r->id, DN, NULL, NULL);
	_exit(0);
}

static int result_code;

static void run_code(int fd, const struct request *r, int n)
{
	if (n == 0) {
		bind_ok(fd, r);
		return;
	}
	send_entry(fd, r->id, DN, NULL, NULL);
	send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, result_code, "because");
}

static void run_pages(int fd, const struct request *r, int n)
{
	static const char first[] = "\x30\x06\x02\x02\x01\xf4\x04\x00";		/* 500, no cookie */
	static const char second[] = "\x30\x08\x02\x02\x01\xf4\x04\x02" "c1";
	BerElement *ber;
	char *refs[] = { (char *)"ldap://other.example/DC=x", NULL };

	if (n == 0) {
		bind_ok(fd, r);
	} else if (n == 1 && holds(r, first, sizeof(first) - 1) && !holds(r, "\x01\x01\xff", 3)) {
		send_entry(fd, r->id, "CN=1," DN, NULL, NULL);
		ber = ber_alloc_t(LBER_USE_DER);
		ber_printf(ber, "{it{v}}", r->id, LDAP_RES_SEARCH_REFERENCE, refs);
		send_ber(fd, ber);
		send_entry(fd, r->id, "CN=2," DN, NULL, NULL);
		send_page_end(fd, r->id, "c1");
	} else if (n == 2 && holds(r, second, sizeof(second) - 1)) {
		send_entry(fd, r->id, "CN=3," DN, NULL, NULL);
		send_page_end(fd, r->id, "");
	}
}

static void run_endless_pages(int fd, const struct request *r, int n)
{
	if (n == 0)
		bind_ok(fd, r);
	else
		send_page_end(fd, r->id, "again");
}

static void run_ranges(int fd, const struct request *r, int n)
{
	char *one[] = { (char *)"CN=a", (char *)"CN=b", NULL }, *two[] = { (char *)"CN=c", (char *)"CN=d", NULL };
	char *three[] = { (char *)"CN=e", NULL };

	if (n == 0)
		bind_ok(fd, r);
	else if (n == 1)
		send_entry(fd, r->id, DN, "member;range=0-1", one);
	else if (n == 2 && holds(r, "member;range=2-*", 16))
		send_entry(fd, r->id, DN, "member;Range=2-3", two);
	else if (n == 3 && holds(r, "member;range=4-*", 16))
		send_entry(fd, r->id, DN, "member;range=4-*", three);
	if (n > 0)
		send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, 0, "");
}

static void run_bad_range(int fd, const struct request *r, int n)
{
	char *one[] = { (char *)"CN=a", (char *)"CN=b", NULL };

	if (n == 0) {
		bind_ok(fd, r);
		return;
	}
	send_entry(fd, r->id, DN, "member;range=0-7", one);
	send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, 0, "");
}

static void run_lost_range(int fd, const struct request *r, int n)
{
	char *one[] = { (char *)"CN=a", (char *)"CN=b", NULL };

	if (n == 0)
		bind_ok(fd, r);
	else if (n == 1)
		send_entry(fd, r->id, DN, "member;range=0-1", one);
	if (n > 0)
		send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, 0, "");
}

static void run_sd_flags(int fd, const struct request *r, int n)
{
	/* OID, critical, SEQUENCE { INTEGER 7 } */
	static const char ctl[] = "\x04\x16" "1.2.840.113556.1.4.801\x01\x01\xff\x04\x05\x30\x03\x02\x01\x07";

	if (n == 0) {
		bind_ok(fd, r);
	} else if (n == 1 && holds(r, ctl, sizeof(ctl) - 1)) {
		send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, LDAP_UNAVAILABLE_CRITICAL_EXTENSION, "");
	} else if (n == 2 && !holds(r, "1.2.840.113556.1.4.801", 22)) {
		send_entry(fd, r->id, DN, NULL, NULL);
		send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, 0, "");
	}
}

/* ---- tests ---- */

static void test_bad_servers(void **state)
{
	static const struct { const char *name; script *run; enum err_code code; const char *msg; } cases[] = {
		{ "hang", run_hang, ERR_OFFLINE, "simple bind: no answer in time" },
		{ "refuse", run_refuse, ERR_DENIED, "simple bind: Invalid credentials (go away)" },
		{ "stall", run_stall, ERR_OFFLINE, "search of '" DN "': no answer in time" },
		{ "stall inside", run_stall_inside, ERR_OFFLINE, "no answer in time" },
		{ "trickle", run_trickle, ERR_OFFLINE, "no answer in time" },
		{ "huge", run_huge, ERR_OFFLINE, "no answer: " },
		{ "garbage", run_garbage, ERR_OFFLINE, "malformed entry" },
		{ "close", run_close, ERR_OFFLINE, "no answer: Can't contact LDAP server" },
		{ "endless pages", run_endless_pages, ERR_OFFLINE, "no answer in time" },
		{ "bad range", run_bad_range, ERR_OFFLINE, "2 values in range 'member;range=0-7'" },
		{ "lost range", run_lost_range, ERR_OFFLINE, "'member;range=2-*' of '" DN "' was not given" },
	};
	struct dir_snapshot *s;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (ask(&s, cases[i].run, DIR_SUB, 0, &err) == 0)
			fail_msg("%s: an answer", cases[i].name);
		if (err.code != cases[i].code || !strstr(err.msg, cases[i].msg) || strncmp(err.msg, "ldapi://", 8))
			fail_msg("%s: %d %s", cases[i].name, (int)err.code, err.msg);
		assert_int_equal(s->n_searches, 0);
		snapshot_free(s);
	}
}

/* ---- waiting for changes ---- */

/* The bind, the searches to watch (one or two), and one that finds out whether they were accepted. */
#define N_WATCHED	2

static ber_int_t watched;	/* the first one's id */

static void accept_watch(int fd, const struct request *r, int n)
{
	if (n == 0)
		bind_ok(fd, r);
	if (n == 1)
		watched = r->id;
	if (n > N_WATCHED) {
		send_entry(fd, r->id, "", NULL, NULL);
		send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, 0, "");
	}
}

/* A storm of half a second, then the end. */
static void run_watch_storm(int fd, const struct request *r, int n)
{
	accept_watch(fd, r, n);
	if (n <= N_WATCHED)
		return;
	for (int i = 0; i < 500; i++) {
		send_entry(fd, watched, DN, NULL, NULL);
		usleep(1000);
	}
	send_result(fd, watched, LDAP_RES_SEARCH_RESULT, LDAP_BUSY, "enough");
}

static void run_watch_garbage(int fd, const struct request *r, int n)
{
	accept_watch(fd, r, n);
	if (n > N_WATCHED && write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28) < 0)
		_exit(1);
}

static void run_watch_close(int fd, const struct request *r, int n)
{
	accept_watch(fd, r, n);
	if (n > N_WATCHED)
		shutdown(fd, SHUT_RDWR);
}

static void run_watch_unknown(int fd, const struct request *r, int n)
{
	if (n == 1 || n == 2)
		send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, LDAP_UNAVAILABLE_CRITICAL_EXTENSION, "what?");
	accept_watch(fd, r, n);
}

/* The second search ends alone, as one too many. */
static void run_watch_less(int fd, const struct request *r, int n)
{
	if (n == 2)
		send_result(fd, r->id, LDAP_RES_SEARCH_RESULT, LDAP_ADMINLIMIT_EXCEEDED, "too many");
	accept_watch(fd, r, n);
	if (n <= N_WATCHED)
		return;
	for (int i = 0; i < 10; i++)
		send_entry(fd, watched, DN, NULL, NULL);
	send_result(fd, watched, LDAP_RES_SEARCH_RESULT, 0, "");
}

static void run_watch_hang(int fd, const struct request *r, int n)
{
	if (n <= N_WATCHED)
		accept_watch(fd, r, n);
}

static void test_watch(void **state)
{
	static const struct { const char *name; script *run; const char *said /* NULL: depends */, *msg; enum err_code code; } cases[] = {
		{ "storm", run_watch_storm, "WATCHING 2\nCHANGED\n", "notifications: Server is busy (enough)", ERR_OFFLINE },
		{ "garbage", run_watch_garbage, NULL, "connection lost", ERR_OFFLINE },
		{ "close", run_watch_close, NULL, "connection lost: Can't contact LDAP server", ERR_OFFLINE },
		{ "unknown", run_watch_unknown, "", "Critical extension is unavailable (what?)", ERR_UNSUPPORTED },
		{ "one less", run_watch_less, "WATCHING 1\nCHANGED\n", "does not notify of changes", ERR_UNSUPPORTED },
		{ "hang", run_watch_hang, "", "search of '': no answer in time", ERR_OFFLINE },
	};
	static const char *const attrs[] = { "objectClass", NULL };
	const struct gp_watch plan = { .ad = true, .n = N_WATCHED, .q = {
		{ "CN=a,DC=corp,DC=example", DIR_ONE, "(objectClass=*)", attrs, 0 },
		{ "DC=corp,DC=example", DIR_BASE, "(objectClass=*)", attrs, 0 } } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = { 0 };
		char *said = NULL;
		size_t len;
		FILE *out = open_memstream(&said, &len);
		struct directory *d;
		struct server s;

		server_start(&s, cases[i].run);
		d = directory_open(&s.dc, &err);
		assert_non_null(d);
		assert_int_equal(directory_watch(d, &plan, out, &err), -1);
		fclose(out);
		if ((cases[i].said && strcmp(said, cases[i].said)) || !strstr(err.msg, cases[i].msg) || err.code != cases[i].code)
			fail_msg("%s: '%s', %d %s", cases[i].name, said, (int)err.code, err.msg);
		free(said);
		directory_close(d);
		server_stop(&s);
	}
}

static void test_result_codes(void **state)
{
	static const struct { int code; int rc; enum dir_outcome outcome; size_t n; const char *msg; } cases[] = {
		{ LDAP_SUCCESS, 0, DIR_OK, 1, NULL },
		{ LDAP_NO_SUCH_OBJECT, 0, DIR_ABSENT, 0, NULL },
		{ LDAP_INSUFFICIENT_ACCESS, 0, DIR_DENIED, 0, NULL },
		{ LDAP_SIZELIMIT_EXCEEDED, -1, 0, 0, "search: Size limit exceeded (because)" },
		{ LDAP_TIMELIMIT_EXCEEDED, -1, 0, 0, "search: Time limit exceeded (because)" },
		{ LDAP_ADMINLIMIT_EXCEEDED, -1, 0, 0, "search: Administrative limit exceeded (because)" },
		{ LDAP_BUSY, -1, 0, 0, "search: Server is busy (because)" },
		{ LDAP_UNAVAILABLE, -1, 0, 0, "search: Server is unavailable (because)" },
		{ LDAP_REFERRAL, 0, DIR_ELSEWHERE, 0, NULL },
		{ LDAP_PARTIAL_RESULTS, -1, 0, 0, "search: Partial results and referral received (because)" },
		{ LDAP_UNAVAILABLE_CRITICAL_EXTENSION, -1, 0, 0, "search: Critical extension is unavailable (because)" },
		{ LDAP_STRONG_AUTH_REQUIRED, -1, 0, 0, "search: Strong(er) authentication required (because)" },
	};
	struct dir_snapshot *s;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		result_code = cases[i].code;
		assert_int_equal(ask(&s, run_code, DIR_BASE, 0, &err), cases[i].rc);
		if (cases[i].rc == 0) {
			assert_int_equal(s->searches[0].outcome, cases[i].outcome);
			assert_int_equal(s->searches[0].n_entries, cases[i].n);
		} else {
			assert_int_equal(err.code, ERR_OFFLINE);
			if (!strstr(err.msg, cases[i].msg))
				fail_msg("%d: %s", cases[i].code, err.msg);
		}
		snapshot_free(s);
	}
}

static void test_pages(void **state)
{
	struct dir_snapshot *s;
	struct err err;

	(void)state;
	if (ask(&s, run_pages, DIR_ONE, 0, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(s->searches[0].n_entries, 3);
	assert_string_equal(s->searches[0].entries[2].dn, "CN=3," DN);
	snapshot_free(s);
}

static void test_ranges(void **state)
{
	const struct dir_attr *member;
	struct dir_snapshot *s;
	struct err err;

	(void)state;
	if (ask(&s, run_ranges, DIR_BASE, 0, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(s->searches[0].n_entries, 1);
	assert_int_equal(s->searches[0].entries[0].n_attrs, 2);
	member = entry_attr(&s->searches[0].entries[0], "member");
	assert_non_null(member);
	assert_int_equal(member->n_values, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(member->values[i].p[3], 'a' + (int)i);
	snapshot_free(s);
}

static void test_sd_flags(void **state)
{
	struct dir_snapshot *s;
	struct err err;

	(void)state;
	if (ask(&s, run_sd_flags, DIR_BASE, 7, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(s->searches[0].n_entries, 1);
	snapshot_free(s);
}

static void test_no_identity(void **state)
{
	struct server s;
	struct err err;

	(void)state;
	server_start(&s, run_stall);
	s.conf.bind_dn = "";
	assert_null(directory_open(&s.dc, &err));
	assert_non_null(strstr(err.msg, "simple bind: no bind DN is configured"));
	s.conf.bind_dn = DN;
	assert_int_equal(truncate(s.conf.bind_password_file, 0), 0);
	assert_null(directory_open(&s.dc, &err));
	assert_non_null(strstr(err.msg, "simple bind: empty password (that would be an anonymous bind)"));
	assert_int_equal(err.code, ERR_FORMAT);
	server_stop(&s);
}

/* The first server refuses, or is skipped: the second is asked. */
static void test_next_server(void **state)
{
	const char *skip[] = { NULL, NULL };
	struct server bad, good;
	struct directory *d;
	char uris[300];
	struct err err;

	(void)state;
	server_start(&bad, run_hang);
	server_start(&good, run_stall);
	snprintf(uris, sizeof(uris), "%s  %s", bad.uri, good.uri);
	good.dc.uri = uris;
	d = directory_open(&good.dc, &err);
	if (!d)
		fail_msg("%s", err.msg);
	assert_string_equal(directory_server(d), good.uri);
	directory_close(d);
	skip[0] = good.uri;
	good.dc.skip = skip;
	assert_null(directory_open(&good.dc, &err));
	assert_null(strstr(err.msg, good.uri));
	assert_non_null(strstr(err.msg, bad.uri));
	server_stop(&bad);
	server_stop(&good);
}

/* ---- the keytab ---- */

/* Records of host/h1@CORP, a hole of 4, HOST1$@CORP (two keys), HOST1$@OTHER. */
static const uint8_t keytab[] =
    "\x05\x02"
    "\x00\x00\x00\x1f" "\0\2" "\0\4CORP" "\0\4host" "\0\2h1" "\0\0\0\1" "\1\2\3\4" "\1" "\0\x12" "\0\0"
    "\xff\xff\xff\xfc" "\xde\xad\xbe\xef"
    "\x00\x00\x00\x1d" "\0\1" "\0\4CORP" "\0\6HOST1$" "\0\0\0\1" "\1\2\3\4" "\1" "\0\x12" "\0\0"
    "\x00\x00\x00\x1d" "\0\1" "\0\5OTHER" "\0\6HOST1$" "\0\0\0\1" "\1\2\3\4" "\1" "\0\x12" "\0"
    "\x00\x00\x00\x1d" "\0\1" "\0\4CORP" "\0\6host1$" "\0\0\0\1" "\1\2\3\4" "\2" "\0\x11" "\0\0";

static int keytab_fd(const void *p, size_t len)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	fwrite(p, 1, len, f);
	fflush(f);
	return fileno(f);	/* lives as long as the test */
}

static void test_keytab(void **state)
{
	static const uint8_t want[] =
	    "\x05\x02"
	    "\x00\x00\x00\x1d" "\0\1" "\0\4CORP" "\0\6HOST1$" "\0\0\0\1" "\1\2\3\4" "\1" "\0\x12" "\0\0"
	    "\x00\x00\x00\x1d" "\0\1" "\0\4CORP" "\0\6host1$" "\0\0\0\1" "\1\2\3\4" "\2" "\0\x11" "\0\0";
	struct arena *a = arena_new(0);
	uint8_t got[sizeof(keytab)];
	char *principal;
	struct err err;
	int fd = -1;

	(void)state;
	if (dir_keytab(&fd, &principal, a, keytab_fd(keytab, sizeof(keytab) - 1), "HOST1$", &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(principal, "HOST1$@CORP");
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(want) - 1);
	assert_memory_equal(got, want, sizeof(want) - 1);
	close(fd);
	assert_int_equal(dir_keytab(&fd, &principal, a, keytab_fd(keytab, sizeof(keytab) - 1), "HOST2$", &err), -1);
	assert_int_equal(err.code, ERR_ABSENT);
	assert_string_equal(err.msg, "no key of 'HOST2$' in it");
	assert_int_equal(dir_keytab(&fd, &principal, a, keytab_fd("\x05\x01", 2), "HOST2$", &err), -1);
	assert_int_equal(err.code, ERR_FORMAT);
	/* Every cut is either a keytab with fewer keys or malformed, and never read past its end. */
	for (size_t len = 0; len < sizeof(keytab) - 1; len++)
		if (dir_keytab(&fd, &principal, a, keytab_fd(keytab, len), "HOST1$", &err) == 0)
			close(fd);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_servers),
		cmocka_unit_test(test_result_codes),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_sd_flags),
		cmocka_unit_test(test_no_identity),
		cmocka_unit_test(test_next_server),
		cmocka_unit_test(test_keytab),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
