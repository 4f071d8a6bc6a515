#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "agent/ctl.h"
#include "schema/err.h"
#include "tests/folder.h"

struct server {
	sd_event	*ev;
	struct ctl	*ctl;
	struct ctl_call	*kept[200];
	size_t		 n_kept, n_calls;
	uid_t		 peer;
	char		 path[128];
	bool		 stopped;
};

static void handler(struct ctl_call *call, const char *method, json_t *parameters, uid_t peer, void *cookie)
{
	struct server *s = cookie;

	s->n_calls++;
	s->peer = peer;
	if (!strcmp(method, "org.ipsecpol.Echo")) {
		ctl_reply(call, json_incref(parameters));
	} else if (!strcmp(method, "org.ipsecpol.Large")) {
		char *text = malloc(4 << 20);

		memset(text, 'x', 4 << 20);
		ctl_reply(call, json_pack("{s:s#}", "text", text, 4 << 20));
		free(text);
	} else if (!strcmp(method, "org.ipsecpol.Later")) {
		assert_true(s->n_kept < 200);
		s->kept[s->n_kept++] = call;
	} else if (!strcmp(method, "org.ipsecpol.Stop")) {
		ctl_reply(call, json_object());
		ctl_close(s->ctl);
		s->ctl = NULL;
		s->stopped = true;
	} else if (!strcmp(method, "org.ipsecpol.Drop")) {
		ctl_close(s->ctl);
		s->ctl = NULL;
		ctl_reply(call, json_object());
	} else if (!strcmp(method, "org.ipsecpol.Secret")) {
		ctl_error(call, "PermissionDenied", "%s is for root", method);
	} else if (!strcmp(method, "org.ipsecpol.Unknown")) {
		ctl_method_unknown(call, method);
	} else {
		ctl_error(call, "Failed", "no \xff method '%s'", method);
	}
}

static void server_up(struct server *s)
{
	struct err err = { 0 };

	memset(s, 0, sizeof(*s));
	snprintf(s->path, sizeof(s->path), "%s/run/ctl", tmp);
	assert_true(sd_event_new(&s->ev) >= 0);
	s->ctl = ctl_listen(s->ev, s->path, handler, s, &err);
	if (!s->ctl)
		fail_msg("%s", err.msg);
}

static void server_down(struct server *s)
{
	ctl_close(s->ctl);
	sd_event_unref(s->ev);
	assert_int_equal(access(s->path, F_OK), -1);
}

/* Until nothing happens any more; a loop that spins is a failure. */
static void turn(struct server *s)
{
	for (int i = 0; i < 20000; i++)
		if (sd_event_run(s->ev, 1000) == 0)
			return;
	fail_msg("the loop spins");
}

static int peer_open(struct server *s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, s->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* What the peer has got so far, NULs as '|'; "EOF" at the end when hung up. */
static const char *heard(int fd)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 8 && (n = recv(fd, text + len, sizeof(text) - 8 - len, 0)) > 0)
		len += (size_t)n;
	for (size_t i = 0; i < len; i++)
		if (!text[i])
			text[i] = '|';
	strcpy(text + len, n == 0 || (n < 0 && errno == ECONNRESET) ? "EOF" : "");
	return text;
}

#define SAY(fd, text)	say(fd, text, sizeof(text))	/* with its NUL */
#define ECHO(n)		"{\"method\":\"org.ipsecpol.Echo\",\"parameters\":{\"n\":" #n "}}"

static void test_ctl_call(void **state)
{
	struct server s;
	struct stat st;
	int fd;

	(void)state;
	umask(077);
	server_up(&s);
	umask(022);
	assert_int_equal(stat(s.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0666);
	assert_int_equal(stat(at("run"), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	fd = peer_open(&s);
	SAY(fd, ECHO(1));
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":1}}|");
	assert_int_equal(s.peer, geteuid());
	/* Byte by byte. */
	for (size_t i = 0; i < sizeof(ECHO(2)); i++) {
		say(fd, &ECHO(2)[i], 1);
		turn(&s);
	}
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":2}}|");
	/* Several at once are answered in order; parameters may be missing. */
	SAY(fd, ECHO(3) "\0" ECHO(4) "\0{\"method\":\"org.ipsecpol.Echo\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":3}}|{\"parameters\":{\"n\":4}}|{\"parameters\":{}}|");
	SAY(fd, "{\"method\":\"org.ipsecpol.Nope\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.ipsecpol.Failed\",\"parameters\":{\"message\":\"no ? method 'org.ipsecpol.Nope'\"}}|");
	SAY(fd, "{\"method\":\"org.ipsecpol.Unknown\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"org.ipsecpol.Unknown\"}}|");
	/* One way: nothing comes back, the next call is served. */
	SAY(fd, "{\"method\":\"org.ipsecpol.Echo\",\"oneway\":true}\0" ECHO(5));
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":5}}|");
	/* Half closed after the call, as `nc -N` does. */
	SAY(fd, ECHO(6));
	shutdown(fd, SHUT_WR);
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":6}}|EOF");
	close(fd);
	server_down(&s);
}

static void test_ctl_service(void **state)
{
	struct server s;
	int fd;

	(void)state;
	server_up(&s);
	fd = peer_open(&s);
	SAY(fd, "{\"method\":\"org.varlink.service.GetInfo\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"vendor\":\"ipsecpol\",\"product\":\"ipsecpol\",\"version\":\"" PACKAGE_VERSION
	    "\",\"url\":\"\",\"interfaces\":[\"org.varlink.service\",\"org.ipsecpol\"]}}|");
	SAY(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"org.ipsecpol\"}}");
	turn(&s);
	assert_non_null(strstr(heard(fd), "method Show(what: string)"));
	SAY(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"x.y\"}}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x.y\"}}|");
	SAY(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"interface\"}}|");
	SAY(fd, "{\"method\":\"org.varlink.service.Nope\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"org.varlink.service.Nope\"}}|");
	SAY(fd, "{\"method\":\"Status\"}");
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"Status\"}}|");
	assert_int_equal(s.n_calls, 0);
	close(fd);
	server_down(&s);
}

static void test_ctl_garbage(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
#define CASE(t) { t, sizeof(t) }
		CASE(""), CASE("x"), CASE("{"), CASE("[]"), CASE("1"), CASE("null"), CASE("\"a\""), CASE("{}"), CASE("{\"method\":1}"),
		CASE("{\"method\":\"org.ipsecpol.Echo\",\"parameters\":[]}"), CASE("{\"method\":\"org.ipsecpol.Echo\",\"parameters\":null}"),
		CASE("{\"method\":\"org.ipsecpol.Echo\",\"method\":\"org.ipsecpol.Echo\"}"),
		CASE("{\"method\":\"org.ipsecpol.Ech\xff\"}"), CASE("{\"method\":\"org.ipsecpol.Echo\\u0000\"}"), CASE(ECHO(1) "}"),
	};
	char *deep = malloc(60000);
	struct server s;
	int fd;

	(void)state;
	server_up(&s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *answer;

		fd = peer_open(&s);
		say(fd, cases[i].text, cases[i].len);
		turn(&s);
		answer = heard(fd);
		assert_memory_equal(answer, "{\"error\":\"org.ipsecpol.Failed\",\"parameters\":{\"message\":\"not a call: ", 68);
		assert_string_equal(answer + strlen(answer) - 3, "EOF");
		close(fd);
	}
	memset(deep, '[', 60000);
	deep[59999] = '\0';
	fd = peer_open(&s);
	say(fd, deep, 60000);
	turn(&s);
	assert_memory_equal(heard(fd), "{\"error\":", 9);
	close(fd);
	assert_int_equal(s.n_calls, 0);
	free(deep);
	server_down(&s);
}

static void test_ctl_oversized(void **state)
{
	char *text = malloc(CTL_MAX_REQUEST + 100);
	static const char head[] = "{\"method\":\"org.ipsecpol.Later\",\"parameters\":{\"x\":\"";
	struct server s;
	ssize_t n;
	int fd;

	(void)state;
	server_up(&s);
	/* Of exactly the largest size. */
	memset(text, 'a', CTL_MAX_REQUEST);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + CTL_MAX_REQUEST - 3, "\"}}", 4);
	fd = peer_open(&s);
	for (size_t at_byte = 0; at_byte < CTL_MAX_REQUEST + 1; at_byte += (size_t)n) {
		n = send(fd, text + at_byte, CTL_MAX_REQUEST + 1 - at_byte, MSG_NOSIGNAL);
		assert_true(n > 0);
		turn(&s);
	}
	assert_int_equal(s.n_calls, 1);
	ctl_reply(s.kept[0], json_object());
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{}}|");
	close(fd);
	/* And one byte more. */
	memcpy(text + CTL_MAX_REQUEST - 3, "a\"}}", 5);
	fd = peer_open(&s);
	for (size_t at_byte = 0; at_byte < CTL_MAX_REQUEST + 2; at_byte += (size_t)n) {
		n = send(fd, text + at_byte, CTL_MAX_REQUEST + 2 - at_byte, MSG_NOSIGNAL);
		if (n < 0)
			break;
		turn(&s);
	}
	turn(&s);
	assert_string_equal(heard(fd), "{\"error\":\"org.ipsecpol.Failed\",\"parameters\":{\"message\":\"not a call: it is too long\"}}|EOF");
	assert_int_equal(s.n_calls, 1);
	close(fd);
	free(text);
	server_down(&s);
}

/* While a call waits the peer's other calls stay where they are. */
static void test_ctl_deferred(void **state)
{
	struct server s;
	int a, b;

	(void)state;
	server_up(&s);
	a = peer_open(&s);
	SAY(a, "{\"method\":\"org.ipsecpol.Later\"}\0" ECHO(1) "\0" ECHO(2));
	turn(&s);
	assert_int_equal(s.n_calls, 1);
	assert_string_equal(heard(a), "");
	/* Others are served meanwhile. */
	b = peer_open(&s);
	SAY(b, ECHO(9));
	turn(&s);
	assert_string_equal(heard(b), "{\"parameters\":{\"n\":9}}|");
	ctl_reply(s.kept[0], json_pack("{s:i}", "later", 1));
	turn(&s);
	assert_string_equal(heard(a), "{\"parameters\":{\"later\":1}}|{\"parameters\":{\"n\":1}}|{\"parameters\":{\"n\":2}}|");
	/* Hung up before the answer. */
	SAY(b, "{\"method\":\"org.ipsecpol.Later\"}");
	turn(&s);
	assert_int_equal(s.n_kept, 2);
	close(b);
	turn(&s);
	ctl_reply(s.kept[1], json_object());
	turn(&s);
	/* The control socket is gone before the answer. */
	SAY(a, "{\"method\":\"org.ipsecpol.Later\"}");
	turn(&s);
	ctl_close(s.ctl);
	s.ctl = NULL;
	ctl_error(s.kept[2], "Failed", "too late");
	assert_string_equal(heard(a), "EOF");
	close(a);
	server_down(&s);
}

static void test_ctl_close_in_handler(void **state)
{
	static const char *const calls[] = { "{\"method\":\"org.ipsecpol.Stop\"}", "{\"method\":\"org.ipsecpol.Drop\"}" };
	struct server s;
	int fd;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		server_up(&s);
		fd = peer_open(&s);
		say(fd, calls[i], strlen(calls[i]) + 1);
		turn(&s);
		assert_null(s.ctl);
		assert_string_equal(heard(fd), i ? "EOF" : "{\"parameters\":{}}|EOF");
		close(fd);
		server_down(&s);
	}
}

/* A peer that takes nothing holds one answer, its further calls are not read. */
static void test_ctl_not_reading(void **state)
{
	static const char call[] = "{\"method\":\"org.ipsecpol.Large\"}";
	struct server s;
	size_t got = 0;
	ssize_t n = 1;
	char *buf = malloc(1 << 20);
	int fd;

	(void)state;
	server_up(&s);
	fd = peer_open(&s);
	while (n > 0)
		for (int i = 0; i < 100 && n > 0; i++)
			n = send(fd, call, sizeof(call), MSG_NOSIGNAL);
	turn(&s);
	assert_int_equal(s.n_calls, 1);
	while (s.n_calls == 1) {
		n = recv(fd, buf, 1 << 20, 0);
		got += n > 0 ? (size_t)n : 0;
		turn(&s);
	}
	assert_true(got >= 3 << 20);
	close(fd);
	turn(&s);
	free(buf);
	server_down(&s);
}

static void test_ctl_too_many(void **state)
{
	int fds[CTL_MAX_PEERS + 5];
	struct server s;

	(void)state;
	server_up(&s);
	for (int i = 0; i < CTL_MAX_PEERS + 5; i++) {
		fds[i] = peer_open(&s);
		turn(&s);
	}
	for (int i = CTL_MAX_PEERS; i < CTL_MAX_PEERS + 5; i++)
		assert_string_equal(heard(fds[i]), "{\"error\":\"org.ipsecpol.Busy\",\"parameters\":{\"message\":\"too many clients\"}}|EOF");
	SAY(fds[CTL_MAX_PEERS - 1], ECHO(1));
	turn(&s);
	assert_string_equal(heard(fds[CTL_MAX_PEERS - 1]), "{\"parameters\":{\"n\":1}}|");
	/* A place that becomes free is taken again. */
	close(fds[0]);
	turn(&s);
	fds[0] = peer_open(&s);
	SAY(fds[0], ECHO(2));
	turn(&s);
	assert_string_equal(heard(fds[0]), "{\"parameters\":{\"n\":2}}|");
	for (int i = 0; i < CTL_MAX_PEERS + 5; i++)
		close(fds[i]);
	server_down(&s);
}

/* One user cannot take all places. */
static void test_ctl_too_many_of_one(void **state)
{
	int ready[2], go[2], status, fd;
	struct server s;
	pid_t pid;
	char c;

	(void)state;
	if (geteuid() != 0)
		skip();
	server_up(&s);
	chmod(tmp, 0755);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		int fds[CTL_MAX_PEERS_USER + 1];

		if (setuid(65534) < 0)
			_exit(2);
		for (int i = 0; i <= CTL_MAX_PEERS_USER; i++)
			fds[i] = peer_open(&s);
		if (write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(3);
		_exit(!strncmp(heard(fds[CTL_MAX_PEERS_USER]), "{\"error\":\"org.ipsecpol.Busy\"", 28) &&
		    !strcmp(heard(fds[0]), "") ? 0 : 1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	turn(&s);
	fd = peer_open(&s);
	SAY(fd, ECHO(1));
	turn(&s);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":1}}|");
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
	chmod(tmp, 0700);
	server_down(&s);
}

#define N_USERS	4

/* A user who, when told so, takes as many places as one may have and says that it has;
 * and when told again, how many are left. */
static void user_child(struct server *s, uid_t uid, int ready, int go)
{
	int fds[CTL_MAX_PEERS_USER], left = 0;
	char c;

	if (setuid(uid) < 0 || read(go, &c, 1) != 1)
		_exit(200);
	for (int i = 0; i < CTL_MAX_PEERS_USER; i++)
		fds[i] = peer_open(s);
	if (write(ready, "x", 1) != 1 || read(go, &c, 1) != 1)
		_exit(201);
	for (int i = 0; i < CTL_MAX_PEERS_USER; i++)
		left += !strcmp(heard(fds[i]), "");
	_exit(left);
}

/* Nor do many users together keep root out. */
static void test_ctl_root_comes_in(void **state)
{
	int ready[2], go[N_USERS][2], left[N_USERS], fds[CTL_MAX_PEERS + 1], status;
	struct server s;
	pid_t pids[N_USERS];
	char c;

	(void)state;
	if (geteuid() != 0)
		skip();
	server_up(&s);
	chmod(tmp, 0755);
	assert_int_equal(pipe(ready), 0);
	/* All of them before the first place is taken: a child has copies of its descriptors. */
	for (int i = 0; i < N_USERS; i++) {
		assert_int_equal(pipe(go[i]), 0);
		pids[i] = fork();
		if (pids[i] == 0)
			user_child(&s, (uid_t)(60001 + i), ready[1], go[i][0]);
	}
	for (int i = 0; i < N_USERS; i++) {
		assert_int_equal(write(go[i][1], "x", 1), 1);
		assert_int_equal(read(ready[0], &c, 1), 1);
		turn(&s);
	}
	/* The reserved ones, one more, and, when the others are gone, the rest. */
	for (int i = 0; i < CTL_MAX_PEERS + 1; i++) {
		fds[i] = peer_open(&s);
		SAY(fds[i], ECHO(1));
		turn(&s);
		if (i < CTL_MAX_PEERS)
			assert_string_equal(heard(fds[i]), "{\"parameters\":{\"n\":1}}|");
		else
			assert_memory_equal(heard(fds[i]), "{\"error\":\"org.ipsecpol.Busy\"", 28);
		if (i != CTL_MAX_PEERS - CTL_MAX_PEERS_OTHERS)
			continue;
		/* The one more is the place of the oldest. */
		for (int k = 0; k < N_USERS; k++) {
			assert_int_equal(write(go[k][1], "x", 1), 1);
			assert_int_equal(waitpid(pids[k], &status, 0), pids[k]);
			assert_true(WIFEXITED(status));
			left[k] = WEXITSTATUS(status);
		}
		assert_int_equal(left[0], CTL_MAX_PEERS_USER - 1);
		assert_int_equal(left[1], CTL_MAX_PEERS_USER);
		assert_int_equal(left[2], CTL_MAX_PEERS_USER);
		assert_int_equal(left[3], 0);
		turn(&s);
	}
	for (int i = 0; i < CTL_MAX_PEERS + 1; i++)
		close(fds[i]);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		for (int k = 0; k < N_USERS; k++)
			close(go[k][i]);
	}
	chmod(tmp, 0700);
	server_down(&s);
}

/* Without free descriptors the loop rests instead of spinning, and comes back. */
static void test_ctl_no_descriptors(void **state)
{
	struct rlimit old, less;
	struct server s;
	int fd, top;

	(void)state;
	server_up(&s);
	fd = peer_open(&s);
	top = dup(fd);
	close(top);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	less = old;
	less.rlim_cur = (rlim_t)top;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
	turn(&s);
	setrlimit(RLIMIT_NOFILE, &old);
	SAY(fd, ECHO(1));
	for (int i = 0; i < 50 && s.n_calls == 0; i++)
		sd_event_run(s.ev, 100000);
	assert_string_equal(heard(fd), "{\"parameters\":{\"n\":1}}|");
	close(fd);
	server_down(&s);
}

static void test_ctl_random_peers(void **state)
{
	static const char *const pieces[] = {
		ECHO(1), "{\"method\":\"org.ipsecpol.Later\"}", "{", "\0", "}", "{\"method\":\"org.ipsecpol.Large\"}", "x",
	};
	int fds[10];
	struct server s;
	char buf[65536];

	(void)state;
	server_up(&s);
	srandom(3);
	for (int i = 0; i < 10; i++)
		fds[i] = peer_open(&s);
	for (int step = 0; step < 3000; step++) {
		int i = (int)(random() % 10);
		const char *piece = pieces[random() % 7];

		switch (random() % 6) {
		case 0:
			close(fds[i]);
			fds[i] = peer_open(&s);
			break;
		case 1:
			if (recv(fds[i], buf, sizeof(buf), 0) < 0 && errno != EAGAIN)
				assert_int_equal(errno, ECONNRESET);
			break;
		case 2:
			if (s.n_kept)
				ctl_reply(s.kept[--s.n_kept], json_object());
			break;
		default:
			send(fds[i], piece, strlen(piece) + (random() % 2), MSG_NOSIGNAL);
		}
		if (random() % 4 == 0)
			turn(&s);
		if (s.n_kept > 150)
			while (s.n_kept)
				ctl_reply(s.kept[--s.n_kept], json_object());
	}
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	turn(&s);
	while (s.n_kept)
		ctl_reply(s.kept[--s.n_kept], json_object());
	server_down(&s);
}

static void test_ctl_listen(void **state)
{
	struct server s;
	struct ctl *c;
	struct err err;
	int fd;

	(void)state;
	server_up(&s);
	assert_null(ctl_listen(s.ev, s.path, handler, &s, &err));
	assert_int_equal(err.code, ERR_BUSY);
	server_down(&s);
	/* A file that is no socket stays; a socket that a crash left is replaced. */
	file_write(at("file"), "x", 0600);
	sd_event_new(&s.ev);
	assert_null(ctl_listen(s.ev, at("file"), handler, &s, &err));
	assert_int_equal(access(at("file"), F_OK), 0);
	assert_null(ctl_listen(s.ev, at("no/such/ctl"), handler, &s, &err));
	assert_int_equal(err.code, ERR_SYSTEM);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un sa = { .sun_family = AF_UNIX };

		snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/stale", tmp);
		assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	}
	close(fd);
	c = ctl_listen(s.ev, at("stale"), handler, &s, &err);
	assert_non_null(c);
	ctl_close(c);
	assert_int_equal(access(at("stale"), F_OK), -1);
	sd_event_unref(s.ev);
	ctl_close(NULL);
}

/* The daemon's side in a child, for the blocking client. */
static pid_t serve(const char *path, int *ret_stop)
{
	int ready[2], stop[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stop), 0);
	pid = fork();
	if (pid == 0) {
		struct server s = { 0 };
		struct err err;

		close(stop[1]);
		if (sd_event_new(&s.ev) < 0 || !(s.ctl = ctl_listen(s.ev, path, handler, &s, &err)))
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		fcntl(stop[0], F_SETFL, O_NONBLOCK);
		while (read(stop[0], &c, 1) < 0)
			sd_event_run(s.ev, 20000);
		ctl_close(s.ctl);
		sd_event_unref(s.ev);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(stop[0]);
	*ret_stop = stop[1];
	return pid;
}

static void test_ctl_ask(void **state)
{
	const char *path = at("run/ctl");
	struct err err = { 0 };
	json_t *r = NULL;
	int stop, status;
	time_t begin;
	pid_t pid;

	(void)state;
	assert_int_equal(ctl_ask(&r, path, "Echo", NULL, 5, &err), -1);
	assert_int_equal(err.code, ERR_OFFLINE);
	pid = serve(path, &stop);
	assert_int_equal(ctl_ask(&r, path, "Echo", json_pack("{s:i}", "n", 7), 5, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(r, "n")), 7);
	json_decref(r);
	assert_int_equal(ctl_ask(&r, path, "org.ipsecpol.Echo", NULL, 0, &err), 0);
	assert_int_equal(json_object_size(r), 0);
	json_decref(r);
	assert_int_equal(ctl_ask(&r, path, "Large", NULL, 10, &err), 0);
	assert_int_equal(json_string_length(json_object_get(r, "text")), 4 << 20);
	json_decref(r);
	r = NULL;
	assert_int_equal(ctl_ask(&r, path, "Secret", NULL, 5, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	assert_string_equal(err.msg, "org.ipsecpol.Secret is for root");
	assert_int_equal(ctl_ask(&r, path, "Nope", NULL, 5, &err), -1);
	assert_int_equal(err.code, ERR_SYSTEM);
	assert_int_equal(ctl_ask(&r, path, "Unknown", NULL, 5, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "does not know 'org.ipsecpol.Unknown'"));
	assert_int_equal(ctl_ask(&r, path, "x.y.Z", NULL, 5, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "does not know 'x.y.Z'"));
	begin = time(NULL);
	assert_int_equal(ctl_ask(&r, path, "Later", NULL, 1, &err), -1);
	assert_int_equal(err.code, ERR_OFFLINE);
	assert_true(time(NULL) - begin <= 3);
	assert_null(r);
	close(stop);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A daemon that talks nonsense, or hangs up. */
static void test_ctl_ask_nonsense(void **state)
{
	static const struct {
		const char *answer;
		size_t len;
		enum err_code code;
	} cases[] = {
		{ "", 0, ERR_OFFLINE }, { "{", 1, ERR_OFFLINE }, { "", 1, ERR_FORMAT }, { "x", 2, ERR_FORMAT }, { "[]", 3, ERR_FORMAT },
		{ "{\"parameters\":1}", 17, ERR_FORMAT }, { "{\"error\":\"a.B\"}", 16, ERR_SYSTEM },
	};
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), peer;
	struct err err;
	json_t *r = NULL;
	char buf[4096];
	int status;
	pid_t pid;

	(void)state;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/odd", tmp);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 5), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid = fork();
		if (pid == 0) {
			peer = accept(fd, NULL, NULL);
			if (recv(peer, buf, sizeof(buf), 0) <= 0 || send(peer, cases[i].answer, cases[i].len, 0) < 0)
				_exit(1);
			_exit(0);
		}
		assert_int_equal(ctl_ask(&r, sa.sun_path, "Status", NULL, 5, &err), -1);
		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ctl_call),
		cmocka_unit_test(test_ctl_service),
		cmocka_unit_test(test_ctl_garbage),
		cmocka_unit_test(test_ctl_oversized),
		cmocka_unit_test(test_ctl_deferred),
		cmocka_unit_test(test_ctl_close_in_handler),
		cmocka_unit_test(test_ctl_not_reading),
		cmocka_unit_test(test_ctl_too_many),
		cmocka_unit_test(test_ctl_too_many_of_one),
		cmocka_unit_test(test_ctl_root_comes_in),
		cmocka_unit_test(test_ctl_no_descriptors),
		cmocka_unit_test(test_ctl_random_peers),
		cmocka_unit_test(test_ctl_listen),
		cmocka_unit_test(test_ctl_ask),
		cmocka_unit_test(test_ctl_ask_nonsense),
	};

	return cmocka_run_group_tests(tests, folder_up, folder_down);
}
