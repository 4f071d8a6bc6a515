/* A negotiator in an event loop, for tests/test_negotiate.sh: commands on stdin, one a line, answers on stdout.
 *
 *   negotiatetool SOCKET [no-kernel]
 *
 *   want FILE            from now on this is wanted; "want nothing"
 *   policy FILE FACTS    the same from a policy and a host's addresses, with the options of the files
 *   files CERTIFICATE KEY CA    the configuration; "-": none.  psk FILE: what Kerberos is mapped to
 *   socket SOCKET        charon is to be found there
 *   install              the wanted policies into the kernel, pins first
 *   status               "STATE wanted N loaded N failed N pinned N filters N DAEMON: why"
 *   problems             as JSON, in one line
 *   logging on|off
 *   end                  as a stop by hand; "ended N ms"
 *   quit
 *
 * Each call of the negotiator is a line, too: "changed", "spoiled".
 *
 * FILE: lines, fields between single blanks
 *   me ADDRESS                            default 10.9.0.1
 *   key KEY                               of the connections that follow; the id is the number of the line
 *   psk RULE NET PORT use|required PROPOSAL
 *   cert RULE NET PORT use|required PROPOSAL      port 0: all that is sent
 *   problem RULE TEXT
 *
 * Without arguments: 77, so that "make check" skips it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/log.h"
#include "agent/negotiate.h"
#include "agent/sources.h"
#include "nft/protect.h"
#include "nft/xfrmsock.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"

#define WORDS		8
#define KEPT		64

struct tool {
	sd_event		*ev;
	struct conf		 conf;
	struct negotiator	*n;
	struct xfrmsock		*x;
	char			*kept[KEPT];	/* what conf points to */
	size_t			 n_kept;
	char			 line[1024];
	size_t			 len;
};

static struct err err;
static struct ip_addr me = { 2, { 10, 9, 0, 1 } };

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "negotiatetool: %s: %s\n", what, err.msg);
	exit(1);
}

static char *file_read(const char *name, size_t *len)
{
	static char text[1 << 20];
	FILE *f = fopen(name, "r");

	if (!f) {
		perror(name);
		exit(1);
	}
	*len = fread(text, 1, sizeof(text) - 1, f);
	text[*len] = '\0';
	fclose(f);
	return text;
}

static size_t words_split(char *line, char *words[static WORDS])
{
	size_t n = 0;

	for (char *w = strtok(line, " "); w && n < WORDS; w = strtok(NULL, " "))
		words[n++] = w;
	return n;
}

/* ---- what is wanted, made by hand ---- */

static void net_read(struct spd_selector *sel, bool out, const char *net)
{
	char copy[64], *slash;
	struct ip_addr a;

	snprintf(copy, sizeof(copy), "%s", net);
	slash = strchr(copy, '/');
	if (!slash || (*slash = '\0', !ip_addr_read(&a, copy)))
		fail(net);
	sel->family = a.family;
	memcpy(out ? sel->dst : sel->src, a.b, 16);
	memcpy(out ? sel->src : sel->dst, me.b, 16);
	*(out ? &sel->dst_prefix : &sel->src_prefix) = (uint8_t)atoi(slash + 1);
	*(out ? &sel->src_prefix : &sel->dst_prefix) = 32;
}

static struct spd_policy *port_set(struct spd_policy *q, bool out, uint16_t port)
{
	if (!port)
		return q;
	q->sel.protocol = 6;
	*(out ? &q->sel.dport : &q->sel.sport) = port;
	*(out ? &q->sel.dport_mask : &q->sel.sport_mask) = 0xffff;
	return q;
}

static void policies_add(struct protect *p, char **w, uint32_t reqid)
{
	for (int out = 0; out < 2; out++) {
		struct spd_policy q = { .dir = out ? SPD_OUT : SPD_IN, .priority = SPD_PRIORITY_MIN + 100, .n_templates = 1, .comment = w[1],
			.templates = { { .protocol = 50, .required = !strcmp(w[4], "required"), .reqid = reqid } } };

		net_read(&q.sel, out, w[2]);
		spd_add(p->spd, port_set(&q, out, (uint16_t)atoi(w[3])));
		p->n_soft += !q.templates[0].required;
	}
}

static void conn_add(struct protect *p, char **w, const char *secret, uint32_t reqid)
{
	struct ike_conn *c = ike_conn_add(p->ike);
	struct ike_child *child = ike_child_add(p->ike, c);
	char ts[64];

	c->version = IKE_V1;
	c->auth = *w[0] == 'c' ? IKE_CERTIFICATE : IKE_PSK;
	c->secret = c->auth == IKE_PSK ? secret : "";
	c->life_seconds = 28800;
	c->rule_name = arena_strdup(p->ike->arena, w[1]);
	p->ike->needs_certificate |= c->auth == IKE_CERTIFICATE;
	snprintf(ts, sizeof(ts), strcmp(w[3], "0") ? "dynamic[tcp/%s]" : "dynamic", w[3]);
	child->name = "q-1";
	child->reqid = reqid;
	child->trap = true;
	child->life_seconds = 3600;
	if (ike_list_add(p->ike, &c->local_addrs, "%any") || ike_list_add(p->ike, &c->remote_addrs, w[2]) ||
	    ike_list_add(p->ike, &c->proposals, w[5]) || ike_list_add(p->ike, &child->local_ts, strcmp(w[3], "0") ? "dynamic[tcp]" : "dynamic") ||
	    ike_list_add(p->ike, &child->remote_ts, ts) || ike_list_add(p->ike, &child->proposals, "3des-sha1"))
		fail("connection");
}

static void problem_add(struct protect *p, char **w)
{
	struct protect_problem *q = arena_grow(p->arena, p->problems, p->n_problems, sizeof(*q));

	q[p->n_problems++] = (struct protect_problem){ .why = PROTECT_NO_AUTH, .closed = true, .rule_name = arena_strdup(p->arena, w[1]),
		.text = arena_strdup(p->arena, w[2]) };
	p->problems = q;
}

/* As protect_free wants it: the value lies in its own arena. */
static struct protect *protect_make(const char *name)
{
	struct arena *a = arena_new(0);
	struct protect *p = arena_zalloc(a, 1, sizeof(*p));
	char *w[WORDS], *copy, secret[40] = "", *rest;
	struct ike_secret *s;
	uint32_t line = 0;
	size_t len;

	*p = (struct protect){ .arena = a, .spd = spd_new(), .ike = ike_new() };
	copy = strdup(file_read(name, &len));
	rest = copy;
	for (char *l = strsep(&rest, "\n"); l; l = strsep(&rest, "\n")) {
		size_t n = words_split(l, w);

		line++;
		if (n == 2 && !strcmp(w[0], "key")) {
			snprintf(secret, sizeof(secret), IKE_PREFIX "%016x", line);
			s = ike_secret_add(p->ike, arena_strdup(p->ike->arena, secret), w[1], strlen(w[1]));
			ike_list_add(p->ike, &s->owners, "%any");
		} else if (n == 6) {
			policies_add(p, w, SPD_REQID_MIN + line);
			conn_add(p, w, arena_strdup(p->ike->arena, secret), SPD_REQID_MIN + line);
			p->n_filters++;
		} else if (n == 2 && !strcmp(w[0], "me")) {
			ip_addr_read(&me, w[1]);
		} else if (n >= 3 && !strcmp(w[0], "problem")) {
			problem_add(p, w);
		}
	}
	free(copy);
	if (spd_seal(p->spd, &err) < 0 || ike_seal(p->ike, &err) < 0)
		fail(name);
	return p;
}

static struct protect *policy_render_file(struct tool *t, const char *policy, const char *addresses)
{
	struct ipsec_policy *p = NULL;
	struct host_facts *facts = NULL;
	struct render_source source = { .store = RENDER_LOCAL, .gpo_name = "" };
	struct arena *a = arena_new(0);
	struct protect_options o;
	struct sources s;
	struct protect *ret;
	char *text;
	size_t len;

	sources_init(&s);
	text = file_read(policy, &len);
	if (policy_read(&p, text, len, &err) < 0)
		fail(policy);
	text = file_read(addresses, &len);
	if (facts_read(&facts, text, len, &err) < 0)
		fail(addresses);
	source.policy = p;
	if (negotiate_options(&o, a, &t->conf, &s, &err) < 0)
		printf("options: %s\n", err.msg);
	if (protect_render(&ret, &source, 1, facts, &o, &err) < 0)
		fail(policy);
	negotiate_options_wipe(&o);
	arena_free(a);
	facts_free(facts);
	policy_free(p);
	sources_free(&s);
	return ret;
}

/* ---- commands ---- */

static void status_print(const struct tool *t)
{
	struct negotiate_status s;

	negotiate_status(t->n, &s);
	printf("%s wanted %zu loaded %zu failed %zu pinned %zu filters %zu %s: %s\n", negotiate_state_name(s.state), s.n_wanted, s.n_loaded, s.n_failed,
	    s.n_pinned, s.n_filters, s.daemon, s.why.code != ERR_NONE ? s.why.msg : "");
}

static void problems_print(const struct tool *t)
{
	json_t *list = negotiate_problems_json(t->n);

	json_dumpf(list, stdout, JSON_SORT_KEYS);
	putchar('\n');
	json_decref(list);
}

static void install(struct tool *t)
{
	const struct protect *p = negotiate_wanted(t->n);
	struct spd_report rep = { 0 };

	if (p)
		negotiate_hold(t->n, p->spd);
	if (p && xfrmsock_install(t->x, p->spd, &rep, NULL, &err) < 0)
		fail("install");
	printf("installed %zu\n", rep.n_added + rep.n_changed);
}

static void end(struct tool *t)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	negotiate_end(t->n);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("ended %ld ms\n", (long)(to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
}

static const char *keep(struct tool *t, const char *text)
{
	if (!strcmp(text, "-"))
		return NULL;
	if (t->n_kept == KEPT)
		exit(1);
	return t->kept[t->n_kept++] = strdup(text);
}

static void configure(struct tool *t, char **w, size_t n)
{
	if (n == 4 && !strcmp(w[0], "files")) {
		t->conf.certificate = keep(t, w[1]);
		t->conf.private_key = keep(t, w[2]);
		t->conf.ca = keep(t, w[3]);
	} else if (n == 2 && !strcmp(w[0], "psk")) {
		t->conf.kerberos = CONF_KERBEROS_PSK;
		t->conf.kerberos_psk = keep(t, w[1]);
	} else {
		t->conf.vici = keep(t, w[1]);
	}
	negotiate_conf(t->n, &t->conf);
}

static void command(struct tool *t, char *line)
{
	char *w[WORDS];
	const size_t n = words_split(line, w);

	if (n == 2 && !strcmp(w[0], "want"))
		negotiate_want(t->n, strcmp(w[1], "nothing") ? protect_make(w[1]) : NULL);
	else if (n == 3 && !strcmp(w[0], "policy"))
		negotiate_want(t->n, policy_render_file(t, w[1], w[2]));
	else if (n == 2 && !strcmp(w[0], "logging"))
		negotiate_logging(t->n, !strcmp(w[1], "on"));
	else if (n >= 2)
		configure(t, w, n);
	else if (n && !strcmp(w[0], "install"))
		install(t);
	else if (n && !strcmp(w[0], "status"))
		status_print(t);
	else if (n && !strcmp(w[0], "problems"))
		problems_print(t);
	else if (n && !strcmp(w[0], "end"))
		end(t);
	else if (n)
		sd_event_exit(t->ev, 0);
	fflush(stdout);
}

static int on_stdin(sd_event_source *s, int fd, uint32_t revents, void *cookie)
{
	struct tool *t = cookie;
	ssize_t got = read(fd, t->line + t->len, sizeof(t->line) - 1 - t->len);
	char *eol;

	(void)s, (void)revents;
	if (got <= 0)
		return sd_event_exit(t->ev, 0);
	t->len += (size_t)got;
	t->line[t->len] = '\0';
	while ((eol = strchr(t->line, '\n'))) {
		*eol = '\0';
		command(t, t->line);
		t->len -= (size_t)(eol + 1 - t->line);
		memmove(t->line, eol + 1, t->len + 1);
	}
	return 0;
}

static void on_changed(void *cookie)
{
	(void)cookie;
	puts("changed");
	fflush(stdout);
}

static void on_spoiled(void *cookie)
{
	(void)cookie;
	puts("spoiled");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct tool t = { .conf = { .vici = argv[1], .ike_version = 1 } };

	if (argc < 2)
		return 77;
	log_open("negotiatetool");
	if (sd_event_default(&t.ev) < 0 || (argc == 2 && !(t.x = xfrmsock_open(&err))) ||
	    !(t.n = negotiate_open(t.ev, &t.conf, t.x, on_changed, on_spoiled, &t, &err)) ||
	    sd_event_add_io(t.ev, NULL, STDIN_FILENO, EPOLLIN, on_stdin, &t) < 0)
		fail(argv[1]);
	sd_event_loop(t.ev);
	negotiate_close(t.n);
	xfrmsock_close(t.x);
	sd_event_unref(t.ev);
	for (size_t i = 0; i < t.n_kept; i++)
		free(t.kept[i]);
	return 0;
}
