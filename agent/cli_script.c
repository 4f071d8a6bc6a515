/* Lines of scripts and of the shell: which context a line stands in, and what has to be
 * written before it runs. */
#include <stdlib.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/conf.h"
#include "agent/netsh.h"
#include "agent/session.h"
#include "schema/arena.h"

#define MAX_DEPTH	16	/* of pushd */

enum place { PLACE_ROOT, PLACE_IPSEC, PLACE_STATIC, PLACE_DYNAMIC, N_PLACES };
static const struct { const char *name; enum place up; } places[N_PLACES] = {
	[PLACE_ROOT] = { "", PLACE_ROOT }, [PLACE_IPSEC] = { "ipsec", PLACE_ROOT },
	[PLACE_STATIC] = { "static", PLACE_IPSEC }, [PLACE_DYNAMIC] = { "dynamic", PLACE_IPSEC },
};

struct script {
	struct cli	*c;
	enum script_mode mode;
	struct session	*session;	/* NULL: not needed so far */
	enum place	 place, stack[MAX_DEPTH];
	size_t		 depth;
	bool		 checking;
	size_t		 written;
	bool		 lost;
};

/* local, persistent, domain, domain:corp.example */
static int store_option(struct session_options *o, const char *text, struct err *err)
{
	static const enum store_location locations[] = { LOCATION_LOCAL, LOCATION_PERSISTENT, LOCATION_DOMAIN };

	o->location = LOCATION_LOCAL;
	if (!text)
		return 0;
	if (!strncmp(text, "domain:", 7) && text[7]) {
		o->location = LOCATION_DOMAIN;
		o->domain = text + 7;
		return 0;
	}
	for (size_t i = 0; i < sizeof(locations) / sizeof(locations[0]); i++)
		if (!strcmp(text, location_name(locations[i]))) {
			o->location = locations[i];
			return 0;
		}
	return err_set(err, ERR_FORMAT, "--store '%.40s' is not local, persistent, domain or domain:DNSNAME", text);
}

struct script *script_open(struct cli *c, enum script_mode mode, struct err *err)
{
	struct session_options o = { 0 };
	struct script *s;

	if (store_option(&o, c->store, err) < 0)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s) {
		err_nomem(err);
		return NULL;
	}
	s->c = c;
	s->mode = mode;
	return s;
}

void script_close(struct script *s)
{
	if (!s)
		return;
	session_close(s->session);
	free(s);
}

void script_rewind(struct script *s)
{
	s->place = PLACE_ROOT;
	s->depth = 0;
}

size_t script_written(const struct script *s)
{
	return s->written;
}

size_t script_pending(const struct script *s)
{
	return s->session ? session_pending(s->session) : 0;
}

bool script_lost(const struct script *s)
{
	return s->lost;
}

const char *script_prompt(const struct script *s)
{
	static const char *const prompts[N_PLACES] = {
		"ipsecpol> ", "ipsecpol ipsec> ", "ipsecpol ipsec static> ", "ipsecpol ipsec dynamic> ",
	};

	return prompts[s->place];
}

int script_flush(struct script *s, struct err *err)
{
	size_t pending = script_pending(s);

	if (!pending)
		return 0;
	if (session_flush(s->session, err) < 0) {
		/* What is in the store is in the store, whatever the daemon says. */
		if (!strncmp(err->msg, "stored, but ", 12))
			s->written += pending;
		else
			s->lost = true;
		return -1;
	}
	s->written += pending;
	return 0;
}

/* ---- contexts ---- */

/* A context by its name or at least two letters of it; N_PLACES: none. */
static enum place place_of(const char *word)
{
	size_t len = strlen(word);

	for (int p = PLACE_IPSEC; p < N_PLACES; p++)
		if (len >= 2 && netsh_match(word, len, places[p].name))
			return (enum place)p;
	return N_PLACES;
}

/* Takes leading context words off: "ipsec static add" -> add, static. */
static enum place words_enter(enum place from, char *const **words, size_t *n)
{
	enum place p;

	while (*n && (p = place_of((*words)[0])) != N_PLACES) {
		from = p;
		++*words;
		--*n;
	}
	return from;
}

static bool is_word(const char *word, const char *name)
{
	return netsh_match(word, strlen(word), name) == 2;
}

/* "netsh", "netsh.exe -c" in front of a context or a command */
static void program_skip(char *const **words, size_t *n)
{
	static const char *const names[] = { "netsh", "netsh.exe", "ipsecpol" };
	bool found = false;

	for (size_t i = 0; *n && !found && i < sizeof(names) / sizeof(names[0]); i++)
		found = is_word((*words)[0], names[i]);
	if (!found)
		return;
	++*words;
	--*n;
	if (*n > 1 && is_word((*words)[0], "-c")) {
		++*words;
		--*n;
	}
}

/* 1: it was one of these; 0; -1 */
static int navigate(struct script *s, char *const *words, size_t n, struct err *err)
{
	enum place to = s->place;
	bool push = is_word(words[0], "pushd");

	if (n == 1 && is_word(words[0], "..")) {
		s->place = places[s->place].up;
		return 1;
	}
	if (n == 1 && is_word(words[0], "popd")) {
		if (!s->depth)
			return err_set(err, ERR_FORMAT, "popd without pushd");
		s->place = s->stack[--s->depth];
		return 1;
	}
	if (push) {
		words++;
		n--;
		to = PLACE_ROOT;
		program_skip(&words, &n);
	}
	to = words_enter(to, &words, &n);
	if (n)
		return push ? err_set(err, ERR_FORMAT, "pushd: there is no context '%.40s'", words[0]) : 0;
	if (push && s->depth == MAX_DEPTH)
		return err_set(err, ERR_LIMIT, "pushd: deeper than %d", MAX_DEPTH);
	if (push)
		s->stack[s->depth++] = s->place;
	s->place = to;
	return 1;
}

/* ---- commands ---- */

static int session_need(struct script *s, struct err *err)
{
	struct session_options o = {
		.conf = s->c->conf, .directory = s->c->directory, .domain = s->c->domain, .json = s->c->json,
		.deferred = s->mode == SCRIPT_DEFERRED, .atomic = s->mode == SCRIPT_ATOMIC,
	};

	if (s->session)
		return 0;
	if (store_option(&o, s->c->store, err) < 0)
		return -1;
	s->session = session_open(&o, err);
	return s->session ? 0 : -1;
}

int script_args(struct script *s, const struct netsh_args *args, struct err *err)
{
	bool crosses = args->command->id == CMD_SET_STORE || args->command->id == CMD_EXPORTPOLICY;

	if (session_need(s, err) < 0)
		return -1;
	if (crosses && s->mode == SCRIPT_ATOMIC && session_pending(s->session))
		return err_set(err, ERR_UNSUPPORTED, "'%s%s%s' behind an edit cannot be all or nothing", args->command->verb,
		    *args->command->object ? " " : "", args->command->object);
	if (crosses && script_flush(s, err) < 0)
		return -1;
	return session_run(s->session, args, stdout, err);
}

/* With an arena of its own: a script has any number of these. */
static int dynamic_command(struct script *s, const struct netsh_args *args, struct err *err)
{
	struct cli own = *s->c;
	int rc;

	own.arena = arena_new(0);
	if (!own.arena)
		return err_nomem(err);
	rc = cli_dynamic_run(&own, args, stdout, err);
	arena_free(own.arena);
	return rc;
}

static int args_run(struct script *s, enum netsh_context context, const struct netsh_args *args, struct err *err)
{
	if (context == NETSH_STATIC)
		return s->checking ? 0 : script_args(s, args, err);
	if (s->mode == SCRIPT_ATOMIC)
		return err_set(err, ERR_UNSUPPORTED, "'dynamic %s %s' is outside of the stores and cannot be all or nothing",
		    args->command->verb, args->command->object);
	if (script_flush(s, err) < 0)
		return -1;
	return dynamic_command(s, args, err);
}

static void root_help(enum place place, FILE *out)
{
	if (place == PLACE_ROOT)
		fputs("  status, refresh, show, plan   as on the command line (interactively only)\n"
		    "  ipsec                         the context that netsh has\n", out);
	fputs("  static ..., dynamic ...       commands of these contexts, or into them\n"
	    "  pushd CONTEXT, popd, ..       go there, back, up\n"
	    "  exit                          (quit, bye)\n"
	    "'static ?' and 'dynamic ?' list their commands.\n", out);
}

/* 1: help was asked for and given; 0; -1 */
static int help_run(const struct script *s, enum place place, char *const *words, size_t n, struct err *err)
{
	if (!n)
		return 0;
	if (netsh_help_asked(words[n - 1]))
		n--;
	else if (netsh_help_asked(words[0]))
		words++, n--;
	else
		return 0;
	place = words_enter(place, &words, &n);
	if (s->checking)
		return 1;
	if (place == PLACE_STATIC || place == PLACE_DYNAMIC)
		return netsh_help(place == PLACE_STATIC ? NETSH_STATIC : NETSH_DYNAMIC, words, n, stdout, err) < 0 ? -1 : 1;
	root_help(place, stdout);
	return 1;
}

static bool is_plain(const char *word)
{
	return !strcmp(word, "status") || !strcmp(word, "refresh") || !strcmp(word, "plan") || !strcmp(word, "show");
}

/* 1: done (whatever came of it, it said so); 0: none of them; -1 */
static int plain_run(struct script *s, struct arena *a, char *const *words, size_t n, struct err *err)
{
	char **argv;

	if (s->mode != SCRIPT_INTERACTIVE || !is_plain(words[0]))
		return 0;
	argv = arena_zalloc(a, n + 1, sizeof(*argv));	/* getopt reorders them */
	if (!argv)
		return err_nomem(err);
	memcpy(argv, words, n * sizeof(*argv));
	cli_plain(s->c, (int)n, argv);
	return 1;
}

static int words_run(struct script *s, struct arena *a, char *const *words, size_t n, struct err *err)
{
	enum place place = words_enter(s->place, &words, &n);
	enum netsh_context context = place == PLACE_STATIC ? NETSH_STATIC : NETSH_DYNAMIC;
	struct netsh_args args;
	int rc = help_run(s, place, words, n, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (place == PLACE_STATIC || place == PLACE_DYNAMIC) {
		if (netsh_parse(&args, a, context, words, n, err) == 0)
			return args_run(s, context, &args, err);
		/* `status` within a context, but no netsh command is hidden by one of these. */
		if (err->code != ERR_UNSUPPORTED || !strcmp(words[0], "show"))
			return -1;
		return plain_run(s, a, words, n, &(struct err){ 0 }) == 1 ? 0 : -1;
	}
	rc = plain_run(s, a, words, n, err);
	if (rc)
		return rc < 0 ? -1 : 0;
	return err_set(err, ERR_FORMAT, "there is no command '%.*s' outside of the contexts 'ipsec static' and 'ipsec dynamic'",
	    (int)(strcspn(words[0], "=") < 40 ? strcspn(words[0], "=") : 40), words[0]);
}

static enum script_result line_run(struct script *s, struct arena *a, const char *line, size_t len, struct err *err)
{
	char **split, *const *words;
	size_t n;
	int rc;

	if (netsh_split(&split, &n, a, line, len, err) < 0)
		return SCRIPT_FAILED;
	words = split;
	program_skip(&words, &n);
	if (!n)
		return SCRIPT_OK;
	if (n == 1 && (is_word(words[0], "exit") || is_word(words[0], "quit") || is_word(words[0], "bye")))
		return SCRIPT_EXIT;
	rc = navigate(s, words, n, err);
	if (!rc)
		rc = words_run(s, a, words, n, err);
	return rc < 0 ? SCRIPT_FAILED : SCRIPT_OK;
}

enum script_result script_line(struct script *s, const char *line, size_t len, struct err *err)
{
	struct arena *a = arena_new(0);
	enum script_result r = SCRIPT_FAILED;

	if (a)
		r = line_run(s, a, line, len, err);
	else
		err_nomem(err);
	arena_free(a);
	return r;
}

enum script_result script_check(struct script *s, const char *line, size_t len, struct err *err)
{
	enum script_result r;

	s->checking = true;
	r = script_line(s, line, len, err);
	s->checking = false;
	return r;
}

/* ---- completion ---- */

static int name_cmp(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Words that stand in the contexts above the commands. */
static int outer_complete(const char ***ret, size_t *ret_n, struct arena *a, enum place place, const char *word)
{
	static const struct { const char *word; bool root; } names[] = {
		{ "bye", false }, { "dynamic", false }, { "exit", false }, { "help", false }, { "ipsec", true }, { "plan", true },
		{ "popd", false }, { "pushd", false }, { "quit", false }, { "refresh", true }, { "show", true }, { "static", false }, { "status", true },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!netsh_match(word, strlen(word), names[i].word) || (names[i].root && place != PLACE_ROOT))
			continue;
		*ret = arena_grow(a, *ret, *ret_n, sizeof(**ret));
		if (!*ret)
			return -1;
		(*ret)[(*ret_n)++] = names[i].word;
	}
	return 0;
}

int script_complete(const char ***ret, size_t *ret_n, struct arena *a, const struct script *s, char *const *words, size_t n_words)
{
	char *const *last = words + n_words - 1;
	size_t n_before = n_words - 1;
	enum place place = words_enter(s->place, &words, &n_before);
	size_t n = (size_t)(last - words) + 1;

	*ret = NULL;
	*ret_n = 0;
	if (place == PLACE_STATIC || place == PLACE_DYNAMIC) {
		enum netsh_context context = place == PLACE_STATIC ? NETSH_STATIC : NETSH_DYNAMIC;
		const char **found;

		if (netsh_complete(&found, ret_n, a, context, words, n) < 0)
			return -1;
		for (size_t i = 0; i < *ret_n; i++) {
			*ret = arena_grow(a, *ret, i, sizeof(**ret));
			if (!*ret)
				return -1;
			(*ret)[i] = found[i];
		}
	}
	if (n == 1 && outer_complete(ret, ret_n, a, place, words[0]) < 0)
		return -1;
	if (*ret_n)
		qsort(*ret, *ret_n, sizeof(**ret), name_cmp);
	return 0;
}
