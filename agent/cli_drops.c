/* `dynamic show drops`: follows the dropped packets. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/cli_text.h"
#include "agent/diag.h"
#include "schema/arena.h"
#include "schema/settings.h"
#include "schema/utf.h"

#define HOW_TO "'ipsecpol dynamic set config property=ipsecdiagnostics value=7 until=30min' switches them on"

static void text_put(const char *before, const char *s, const char *after, FILE *out)
{
	if (!*s)
		return;
	fputs(before, out);
	utf8_write(out, s, "");
	fputs(after, out);
}

static void end_put(const json_t *d, const char *addr, const char *port, FILE *out)
{
	const json_t *p = json_object_get(d, port);
	const char *s = json_text(d, addr);

	if (!json_is_integer(p))
		fputs(s, out);
	else
		fprintf(out, strchr(s, ':') ? "[%s]:%lld" : "%s:%lld", s, (long long)json_integer_value(p));
}

static void drop_print(const json_t *d, FILE *out)
{
	fprintf(out, "%s %-8s %-6s ", json_text(d, "time"), json_text(d, "direction"), json_text(d, "protocol"));
	end_put(d, "src", "sport", out);
	fputs(" > ", out);
	end_put(d, "dst", "dport", out);
	text_put(" on ", json_text(d, "interface"), "", out);
	fprintf(out, ": %s", json_text(d, "why"));
	text_put(", filter ", json_text(d, "filter"), "", out);
	text_put(" of rule '", json_text(d, "rule_name"), "'", out);
	text_put(" of policy '", json_text(d, "policy"), "'", out);
	text_put(" by GPO '", json_text(d, "gpo_name"), "'", out);
	text_put(" (", json_text(d, "store"), ")", out);
	fputc('\n', out);
}

static int answer_print(const struct cli *c, const json_t *answer, FILE *out, struct err *err)
{
	const json_t *drops = json_object_get(answer, "drops");
	const json_int_t missed = json_integer_value(json_object_get(answer, "missed"));

	if (missed && c->json)
		fprintf(out, "{\"missed\": %lld}\n", (long long)missed);
	else if (missed)
		fprintf(out, "(%lld drops came too fast to be shown)\n", (long long)missed);
	for (size_t i = 0; i < json_array_size(drops); i++) {
		if (!c->json) {
			drop_print(json_array_get(drops, i), out);
			continue;
		}
		if (json_print_compact(json_array_get(drops, i), out, err) < 0)
			return -1;
		fputc('\n', out);
	}
	return fflush(out) == 0 && !ferror(out) ? 0 : err_set(err, ERR_SYSTEM, "writing the output: %m");
}

static bool logs_drops(const json_t *answer)
{
	return json_integer_value(json_object_get(answer, "level")) & (DIAG_INBOUND | DIAG_OUTBOUND);
}

static int follow(struct cli *c, FILE *out, struct err *err)
{
	json_t *answer = NULL, *parameters = NULL;
	bool first = true, on = true;
	json_int_t next;

	while (on) {
		if (cli_ask(c, &answer, "org.ipsecpol.Drops", parameters, 2 * DIAG_WAIT_SECONDS, err) < 0)
			return -1;
		on = logs_drops(answer);
		next = json_integer_value(json_object_get(answer, "next"));
		if (answer_print(c, answer, out, err) < 0)
			on = false;
		json_decref(answer);
		parameters = json_pack("{s:I}", "since", next);
		if (!on && first) {
			json_decref(parameters);
			return err_set(err, ERR_ABSENT, "diagnostics are off: " HOW_TO);
		}
		first = false;
	}
	json_decref(parameters);
	if (err->code == ERR_NONE && !c->json)
		fputs("diagnostics were switched off\n", out);
	fflush(out);
	return err->code == ERR_NONE ? 0 : -1;
}

/* In a child, so that Ctrl-C ends the following and not the shell it was asked from. */
int dynamic_show_drops(struct cli *c, FILE *out, struct err *err)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	struct err said = { 0 };
	const pid_t parent = getpid();
	int fds[2], status = 0;
	pid_t pid;

	if (pipe(fds) < 0)
		return err_set(err, ERR_SYSTEM, "no pipe: %m");
	fflush(out);
	sigaction(SIGINT, &ignore, &old);
	pid = fork();
	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1);
		close(fds[0]);
		if (follow(c, out, &said) < 0 && write(fds[1], &said, sizeof(said)) < 0)
			status = 1;
		fflush(out);
		_exit(status);
	}
	close(fds[1]);
	if (pid < 0)
		err_set(&said, ERR_SYSTEM, "no process: %m");
	else if (read(fds[0], &said, sizeof(said)) != sizeof(said))
		said.code = ERR_NONE;
	close(fds[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &old, NULL);
	if (said.code == ERR_NONE)
		return 0;
	*err = said;
	return -1;
}
