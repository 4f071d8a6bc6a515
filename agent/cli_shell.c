/* The interactive shell: prompt, completion, history. */
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <editline/readline.h>

#include "agent/cli.h"
#include "agent/netsh.h"
#include "schema/arena.h"

#define HISTORY_LINES	1000
#define BARE_WORDS	10	/* with more than these a key may stand among them without its tag */

/* ---- completion: libedit asks through functions without a cookie ---- */

static const struct script *current;
static struct arena *found_arena;
static const char **found;
static size_t n_found, next_found;

static void found_drop(void)
{
	arena_free(found_arena);
	found_arena = NULL;
	found = NULL;
	n_found = next_found = 0;
}

static char *found_next(const char *text, int again)
{
	(void)text;
	if (!again)
		next_found = 0;
	return next_found < n_found ? strdup(found[next_found++]) : NULL;
}

/* line[start..end) is the word that is to be completed. */
static int found_make(const char *line, int start, int end)
{
	char **words, **all;
	struct err err;
	size_t n;

	if (netsh_split(&words, &n, found_arena, line, (size_t)start, &err) < 0)
		return -1;
	if (n && (!strcmp(words[0], "netsh") || !strcmp(words[0], "ipsecpol") || !strcmp(words[0], "pushd"))) {
		words++;
		n--;
	}
	all = arena_zalloc(found_arena, n + 1, sizeof(*all));
	if (!all)
		return -1;
	if (n)
		memcpy(all, words, n * sizeof(*all));
	all[n] = arena_strndup(found_arena, line + start, (size_t)(end - start));
	return all[n] ? script_complete(&found, &n_found, found_arena, current, all, n + 1) : -1;
}

static char **complete(const char *text, int start, int end)
{
	rl_attempted_completion_over = 1;	/* no file names */
	found_drop();
	found_arena = arena_new(0);
	if (!found_arena || found_make(rl_line_buffer, start, end) < 0 || !n_found)
		return NULL;
	/* A tag's value follows its '=' directly. */
	rl_completion_append_character = n_found == 1 && found[0][strlen(found[0]) - 1] == '=' ? '\0' : ' ';
	return rl_completion_matches(text, found_next);
}

/* ---- history ---- */

/* May a line hold a pre-shared key?  Better once too often: it would stay on the disk. */
static bool line_is_secret(const char *line)
{
	struct arena *a = arena_new(0);
	bool secret = true;
	size_t n, n_bare = 0;
	char **words;
	struct err err;

	if (a && !strcasestr(line, "psk") && netsh_split(&words, &n, a, line, strlen(line), &err) == 0) {
		secret = false;
		for (size_t i = 0; i < n; i++) {
			size_t len = strcspn(words[i], "=");

			if (!words[i][len])
				n_bare++;
			else if (netsh_match(words[i], len, "psk"))
				secret = true;
		}
		secret = secret || n_bare > BARE_WORDS;
	}
	arena_free(a);
	return secret;
}

static const char *history_path(struct arena *a)
{
	const struct passwd *pw = getpwuid(getuid());
	const char *home = getenv("HOME");

	if (!home || *home != '/')
		home = pw ? pw->pw_dir : NULL;
	return home && *home ? arena_printf(a, "%s/.ipsecpol_history", home) : NULL;
}

static void history_load(const char *path)
{
	struct stat st;

	using_history();
	stifle_history(HISTORY_LINES);
	if (path && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == getuid())
		read_history(path);
}

static void history_save(const char *path)
{
	mode_t old = umask(077);
	struct stat st;

	/* Nothing but a file of our own is written to. */
	if (path && (lstat(path, &st) < 0 || (S_ISREG(st.st_mode) && st.st_uid == getuid())) && write_history(path) == 0)
		chmod(path, 0600);
	umask(old);
}

/* ---- Ctrl-C: drops the line while one is typed; later it ends the command and the shell ---- */

static struct termios tty;
static bool tty_known, dropped;
static volatile sig_atomic_t unwritten;

static int line_drop(int count, int key)
{
	(void)count;
	(void)key;
	dropped = true;
	rl_done = 1;
	return 0;
}

/* It shall come as a key.  libedit sets the terminal up when it begins a line, and takes over what
 * was changed since then. */
static int interrupt_off(void)
{
	struct termios t;

	if (!tty_known)
		return 0;
	t = tty;
	t.c_cc[VINTR] = _POSIX_VDISABLE;
	return tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

static char *line_read(const char *prompt)
{
	char *line;

	dropped = false;
	tty_known = tcgetattr(STDIN_FILENO, &tty) == 0;
	line = readline(prompt);
	if (tty_known)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &tty);
	if (dropped) {
		free(line);
		line = NULL;
	}
	return line;
}

static void interrupted(int sig)
{
	static const char text[] = "\nipsecpol: interrupted: edits that were not written are lost\n";

	if (unwritten && write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_FAILED);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* ---- the loop ---- */

static enum script_result ask(struct script *s, const char *history)
{
	enum script_result r = SCRIPT_OK;
	char *line = line_read(script_prompt(s));
	struct err err = { 0 };

	if (!line) {
		puts(dropped ? "^C" : "");
		return dropped ? SCRIPT_OK : SCRIPT_EXIT;
	}
	if (line[strspn(line, " \t")]) {
		if (!line_is_secret(line))
			add_history(line);
		history_save(history);
		unwritten = script_pending(s) > 0;
		r = script_line(s, line, strlen(line), &err);
		fflush(stdout);
	}
	if (r == SCRIPT_FAILED)
		cli_fail(&err);
	explicit_bzero(line, strlen(line));
	free(line);
	return r;
}

int cli_shell(struct cli *c)
{
	static char breaks[] = " \t";
	struct sigaction sa = { .sa_handler = interrupted }, old;
	const char *path = history_path(c->arena);
	struct err err = { 0 };
	struct script *s = script_open(c, SCRIPT_INTERACTIVE, &err);
	int rc = EXIT_DONE;

	if (!s)
		return cli_usage("%s", err.msg);
	current = s;
	rl_readline_name = "ipsecpol";
	rl_basic_word_break_characters = breaks;	/* not '=' */
	rl_completer_word_break_characters = breaks;
	rl_attempted_completion_function = complete;
	rl_pre_input_hook = interrupt_off;
	rl_initialize();
	rl_add_defun("ipsecpol-drop-line", line_drop, 'C' & 0x1f);
	sigaction(SIGINT, &sa, &old);
	history_load(path);
	while (ask(s, path) != SCRIPT_EXIT)
		;
	unwritten = script_pending(s) > 0;
	if (script_flush(s, &err) < 0)
		rc = cli_fail(&err);
	sigaction(SIGINT, &old, NULL);
	found_drop();
	current = NULL;
	script_close(s);
	return rc;
}
