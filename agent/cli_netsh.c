/* The contexts on the command line, and scripts. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/netsh.h"
#include "schema/arena.h"
#include "schema/rd.h"
#include "schema/utf.h"

#define SCRIPT_MAX	(64u << 20)	/* bytes */

/* ---- one command ---- */

static int output_end(int rc)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	fprintf(stderr, "ipsecpol: standard output: %s\n", strerror(errno));
	return EXIT_FAILED;
}

/* An exit status when help was asked for, or nothing was said; else -1. */
static int help_give(struct cli *c, enum netsh_context context)
{
	struct err err = { 0 };
	char **words = c->argv;
	size_t n = (size_t)c->argc;

	if (n && netsh_help_asked(words[n - 1]))
		n--;
	else if (n && netsh_help_asked(words[0]))
		words++, n--;
	else if (n)
		return -1;
	if (netsh_help(context, words, n, c->argc ? stdout : stderr, &err) < 0)
		return cli_usage("%s", err.msg);
	return c->argc ? output_end(EXIT_DONE) : EXIT_USAGE_ERROR;
}

static int context_run(struct cli *c, enum netsh_context context)
{
	struct netsh_args args;
	struct script *s = NULL;
	struct err err = { 0 };
	int rc = help_give(c, context);

	if (rc >= 0)
		return rc;
	if (netsh_parse(&args, c->arena, context, c->argv, (size_t)c->argc, &err) < 0)
		return err.code == ERR_NOMEM ? cli_fail(&err) : cli_usage("%s", err.msg);
	if (context == NETSH_DYNAMIC) {
		rc = cli_dynamic_run(c, &args, stdout, &err);
		if (rc < 0)
			return args.command->id == CMD_DYN_SET_CONFIG ? cli_fail_for(&err, "'dynamic set config'") : cli_fail(&err);
		return output_end(EXIT_DONE);
	}
	s = script_open(c, SCRIPT_INTERACTIVE, &err);
	if (!s)
		return cli_usage("%s", err.msg);
	if (script_args(s, &args, &err) == 0 && script_flush(s, &err) == 0)
		rc = output_end(EXIT_DONE);
	else if (c->store && !strncmp(c->store, "domain", 6))
		rc = cli_fail(&err);
	else
		rc = cli_fail_for(&err, c->store && !strcmp(c->store, "persistent") ? "the persistent store" : "the local store");
	script_close(s);
	return rc;
}

int cli_static(struct cli *c)
{
	return context_run(c, NETSH_STATIC);
}

int cli_context_dynamic(struct cli *c)
{
	return context_run(c, NETSH_DYNAMIC);
}

/* ---- scripts ---- */

/* All of a file, NUL behind it; free(*ret). */
static int file_read(char **ret, size_t *ret_len, int fd, const char *name, struct err *err)
{
	struct wr wr = { 0 };
	uint8_t buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set(err, ERR_SYSTEM, "%s: %s", name, strerror(errno));
			goto fail;
		}
		wr_bytes(&wr, buf, (size_t)n);
		if (wr.len > SCRIPT_MAX) {
			err_set(err, ERR_LIMIT, "%s: larger than %u bytes", name, SCRIPT_MAX);
			goto fail;
		}
	}
	wr_u8(&wr, 0);
	if (wr.bad) {
		err_nomem(err);
		goto fail;
	}
	*ret = (char *)wr.p;
	*ret_len = wr.len - 1;
	return 0;
fail:
	if (wr.p)
		explicit_bzero(wr.p, wr.len);
	free(wr.p);
	return -1;
}

struct text {
	const char	*name;		/* in messages */
	const char	*p, *end;
};

/* Without its byte order mark; UTF-16, as Windows writes it, becomes UTF-8 in `a`. */
static int text_decode(struct text *t, struct arena *a, struct err *err)
{
	const char *utf8;

	if (t->end - t->p >= 3 && !memcmp(t->p, "\xef\xbb\xbf", 3)) {
		t->p += 3;
	} else if (t->end - t->p >= 2 && !memcmp(t->p, "\xff\xfe", 2)) {
		if (utf16_parse(&utf8, a, (const uint8_t *)t->p + 2, (size_t)(t->end - t->p) - 2, err) < 0)
			return err_prefix(err, "%s", t->name);
		t->p = utf8;
		t->end = utf8 + strlen(utf8);
	}
	return 0;
}

/* Grammar and contexts of every line, before the first one runs. */
static int text_check(struct script *s, const struct text *t, struct err *err)
{
	const char *p = t->p, *eol;
	enum script_result r = SCRIPT_OK;

	for (size_t line = 1; p < t->end && r == SCRIPT_OK; line++, p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(t->end - p));
		if (!eol)
			eol = t->end;
		r = script_check(s, p, (size_t)(eol - p), err);
		if (r == SCRIPT_FAILED)
			return err_prefix(err, "%s:%zu", t->name, line);
	}
	script_rewind(s);
	return 0;
}

/* How many commands failed; prints why each did. */
static size_t text_run(struct script *s, const struct text *t, bool keep_going)
{
	const char *p = t->p, *eol;
	enum script_result r = SCRIPT_OK;
	size_t failed = 0;

	for (size_t line = 1; p < t->end && r != SCRIPT_EXIT && (!failed || keep_going); line++, p = eol + 1) {
		struct err err = { 0 };

		eol = memchr(p, '\n', (size_t)(t->end - p));
		if (!eol)
			eol = t->end;
		r = script_line(s, p, (size_t)(eol - p), &err);
		if (r != SCRIPT_FAILED)
			continue;
		err_prefix(&err, "%s:%zu", t->name, line);
		fflush(stdout);
		cli_fail(&err);
		failed++;
	}
	return failed;
}

static int text_end(struct script *s, const struct text *t, size_t failed, bool atomic, bool keep_going)
{
	struct err err = { 0 };
	size_t n;

	if (!(atomic && failed) && !(failed && script_lost(s)) && script_flush(s, &err) < 0) {
		err_prefix(&err, "%s", t->name);
		cli_fail(&err);
		failed += !failed;
	}
	n = script_written(s);
	if (!failed)
		return output_end(EXIT_DONE);
	fflush(stdout);
	if (keep_going)
		fprintf(stderr, "ipsecpol: %zu %s failed, ", failed, failed == 1 ? "command" : "commands");
	else
		fputs("ipsecpol: ", stderr);
	if (n)
		fprintf(stderr, "%zu %s%s %s written\n", n, n == 1 ? "command" : "commands", keep_going ? "" : " before it",
		    n == 1 ? "was" : "were");
	else
		fputs("nothing was written\n", stderr);
	return EXIT_FAILED;
}

static int script_text_run(struct cli *c, const char *name, const char *p, size_t len)
{
	struct text t = { name, p, p + len };
	struct script *s = NULL;
	struct err err = { 0 };
	int rc = EXIT_FAILED;

	if (text_decode(&t, c->arena, &err) < 0)
		return cli_fail(&err);
	s = script_open(c, c->atomic ? SCRIPT_ATOMIC : SCRIPT_DEFERRED, &err);
	if (!s)
		return cli_usage("%s", err.msg);
	if (c->atomic && text_check(s, &t, &err) < 0) {
		cli_fail(&err);
		fputs("ipsecpol: nothing was written\n", stderr);
	} else {
		rc = text_end(s, &t, text_run(s, &t, c->keep_going), c->atomic, c->keep_going);
	}
	script_close(s);
	return rc;
}

/* fd stays open. */
static int script_fd_run(struct cli *c, int fd, const char *name, bool empty_is_usage)
{
	struct err err = { 0 };
	char *text;
	size_t len;
	int rc;

	if (file_read(&text, &len, fd, name, &err) < 0)
		return cli_fail(&err);
	rc = !len && empty_is_usage ? EXIT_USAGE_ERROR : script_text_run(c, name, text, len);
	explicit_bzero(text, len);	/* pre-shared keys */
	free(text);
	return rc;
}

int cli_exec_stdin(struct cli *c)
{
	return script_fd_run(c, STDIN_FILENO, "standard input", true);
}

int cli_exec(struct cli *c)
{
	struct err err = { 0 };
	int fd, rc;

	if (c->argc != 1)
		return cli_usage(c->argc ? "unexpected argument '%.40s'" : "exec needs a script, or '-' for standard input", c->argc ? c->argv[1] : "");
	if (c->atomic && c->keep_going)
		return cli_usage("--atomic and --keep-going exclude each other");
	if (!strcmp(c->argv[0], "-"))
		return script_fd_run(c, STDIN_FILENO, "standard input", false);
	fd = open(c->argv[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err_set(&err, ERR_SYSTEM, "%s: %s", c->argv[0], strerror(errno));
		return cli_fail(&err);
	}
	rc = script_fd_run(c, fd, c->argv[0], false);
	close(fd);
	return rc;
}
