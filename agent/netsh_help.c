/* `?` at every level, and what TAB offers. */
#include <stdlib.h>
#include <string.h>

#include "agent/netsh.h"
#include "schema/arena.h"
#include "schema/err.h"

bool netsh_help_asked(const char *word)
{
	static const char *const words[] = { "?", "/?", "-?", "help", "--help", "-h" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (netsh_match(word, strlen(word), words[i]) == 2)
			return true;
	return false;
}

/* ---- help ---- */

#define COLUMNS	100

/* What a value of the tag looks like. */
static const char *tag_values(const struct netsh_tag *t, char out[static 64])
{
	switch (t->type) {
	case NT_TEXT: return "TEXT";
	case NT_YESNO: return t->flags & NETSH_FLAG ? "" : "yes|no";
	case NT_NUMBER:
		snprintf(out, 64, "%u..%u", t->min, t->max);
		return out;
	case NT_WORD: return t->words;
	case NT_GUID: return t->flags & NETSH_NUMBERED ? "{GUID}|NUMBER" : "{GUID}";
	case NT_ADDR: return t->flags & NETSH_SINGLE ? "ADDRESS|NAME|none" : "ADDRESS";
	case NT_MASK: return "MASK";
	case NT_PORT: return "PORT";
	case NT_PROTOCOL: return "ANY|ICMP|TCP|UDP|RAW|0..255";
	case NT_MMOFFERS: case NT_QMOFFERS: return "\"OFFER OFFER...\"";
	case NT_ROOTCA: return "\"CA certmap:yes|no excludecaname:yes|no\"";
	case NT_TIME: return "TIME";
	}
	return "";
}

/* "Usage: static add filter filterlist= srcaddr= ...", folded at COLUMNS */
static void usage_print(const struct netsh_command *c, FILE *out)
{
	int column = fprintf(out, "Usage: %s %s%s%s", netsh_context_name(c->context), c->verb, *c->object ? " " : "", c->object);
	char text[64];

	for (size_t i = 0; i < c->n_tags; i++) {
		const struct netsh_tag *t = &c->tags[i];
		bool bare = t->flags & NETSH_FLAG, optional = !t->required && !(t->flags & NETSH_OR);

		snprintf(text, sizeof(text), " %s%s%s%s%s%s", t->flags & NETSH_OR ? "| " : "", optional ? "[" : "", t->name,
		    bare ? "" : "=", optional ? "]" : "", t->repeatable ? "..." : "");
		if (column + (int)strlen(text) > COLUMNS)
			column = fprintf(out, "\n      ") - 1;
		column += fprintf(out, "%s", text);
	}
	fprintf(out, "\n\n%s\n", c->help);
}

enum place { IN_ORDER, NAMED, ALONE };

static enum place tag_place(const struct netsh_tag *t)
{
	return t->flags & NETSH_FLAG ? ALONE : t->flags & (NETSH_OR | NETSH_NAMED) ? NAMED : IN_ORDER;
}

/* What stands there of a command's tags. */
static void tags_print(const struct netsh_command *c, enum place place, const char *heading, FILE *out)
{
	bool first = true;
	char room[64];

	for (size_t i = 0; i < c->n_tags; i++) {
		const struct netsh_tag *t = &c->tags[i];

		if (tag_place(t) != place)
			continue;
		if (first)
			fprintf(out, "\n%s:\n", heading);
		first = false;
		fprintf(out, "  %-20s %s%s", t->name, t->help, t->required && !(i == 0 && c->n_tags > 1 && t[1].flags & NETSH_OR) ? "; required" : "");
		if (t->fallback)
			fprintf(out, "; default: %s", t->fallback);
		if (!(t->flags & NETSH_FLAG))
			fprintf(out, "\n  %-20s %s", "", tag_values(t, room));
		putc('\n', out);
	}
}

static void command_help(const struct netsh_command *c, FILE *out)
{
	usage_print(c, out);
	tags_print(c, IN_ORDER, "Values may stand without their tags in this order", out);
	tags_print(c, NAMED, "Only behind their tag", out);
	tags_print(c, ALONE, "Words that stand alone", out);
	if (*c->notes)
		fprintf(out, "\n%s", c->notes);
}

/* verb NULL: of the whole context */
static void list_help(enum netsh_context context, const char *verb, FILE *out)
{
	char name[64];

	if (verb)
		fprintf(out, "Commands of '%s %s':\n", netsh_context_name(context), verb);
	else
		fprintf(out, "Commands of the %s context:\n", netsh_context_name(context));
	for (size_t i = 0; i < N_NETSH_COMMANDS; i++) {
		const struct netsh_command *c = netsh_command(i);

		if (c->context != context || (verb && strcmp(verb, c->verb)))
			continue;
		snprintf(name, sizeof(name), "%s%s%s", c->verb, *c->object ? " " : "", c->object);
		fprintf(out, "  %-24s %s\n", name, c->help);
	}
	fprintf(out, "\n'%s COMMAND ?' tells more about one of them.\n", netsh_context_name(context));
}

int netsh_help(enum netsh_context context, char *const *words, size_t n_words, FILE *out, struct err *err)
{
	const struct netsh_command *c;
	size_t used;

	if (netsh_find(&c, &used, context, words, n_words, err) < 0)
		return -1;
	if (c) {
		command_help(c, out);
		return 0;
	}
	for (size_t i = 0; n_words && i < N_NETSH_COMMANDS; i++)
		if (netsh_command(i)->context == context && netsh_match(words[0], strlen(words[0]), netsh_command(i)->verb)) {
			list_help(context, netsh_command(i)->verb, out);
			return 0;
		}
	list_help(context, NULL, out);
	return 0;
}

/* ---- completion ---- */

struct found {
	struct arena	*a;
	const char	**names;
	size_t		 n;
	bool		 bad;	/* out of memory */
};

static void found_add(struct found *f, const char *before, const char *name, size_t len)
{
	char *text = arena_printf(f->a, "%s%.*s", before, (int)len, name);

	for (size_t i = 0; text && i < f->n; i++)
		if (!strcmp(f->names[i], text))
			return;
	if (text)
		f->names = arena_grow(f->a, f->names, f->n, sizeof(*f->names));
	if (!text || !f->names) {
		f->bad = true;
		f->n = 0;
		return;
	}
	f->names[f->n++] = text;
}

static int name_cmp(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* verb NULL: the verbs */
static void commands_complete(struct found *f, enum netsh_context context, const char *verb, const char *word)
{
	for (size_t i = 0; i < N_NETSH_COMMANDS; i++) {
		const struct netsh_command *c = netsh_command(i);
		const char *name = verb ? c->object : c->verb;

		if (c->context == context && *name && netsh_match(word, strlen(word), name) &&
		    (!verb || netsh_match(verb, strlen(verb), c->verb)))
			found_add(f, "", name, strlen(name));
	}
}

/* "format=" and the beginning of its value */
static void value_complete(struct found *f, const struct netsh_tag *t, const char *value)
{
	const char *words = t->type == NT_WORD ? t->words : t->type == NT_YESNO ? "yes|no" :
	    t->type == NT_PROTOCOL ? "ANY|ICMP|TCP|UDP|RAW" : NULL;
	const char *before = arena_printf(f->a, "%s=", t->name);

	for (; words && before; words = strchr(words, '|') ? strchr(words, '|') + 1 : NULL)
		if (netsh_match(value, strlen(value), words))
			found_add(f, before, words, strcspn(words, "|"));
}

static bool is_given(const struct netsh_tag *t, char *const *words, size_t n_words)
{
	for (size_t i = 0; i < n_words; i++) {
		size_t len = strcspn(words[i], "=");

		if (len && netsh_match(words[i], len, t->name) && (words[i][len] || t->flags & NETSH_FLAG))
			return true;
	}
	return false;
}

static void tags_complete(struct found *f, const struct netsh_command *c, char *const *words, size_t n_words)
{
	const char *word = words[n_words - 1], *equals = strchr(word, '=');
	struct err err;

	if (equals) {
		const struct netsh_tag *t = netsh_tag(c, word, (size_t)(equals - word), &err);

		if (t)
			value_complete(f, t, equals + 1);
		return;
	}
	for (size_t i = 0; i < c->n_tags; i++) {
		const struct netsh_tag *t = &c->tags[i];
		const char *text = t->flags & NETSH_FLAG ? t->name : arena_printf(f->a, "%s=", t->name);

		if (!text)
			f->bad = true;
		else if (netsh_match(word, strlen(word), t->name) && (t->repeatable || !is_given(t, words, n_words - 1)))
			found_add(f, "", text, strlen(text));
	}
}

int netsh_complete(const char ***ret, size_t *ret_n, struct arena *a, enum netsh_context context, char *const *words, size_t n_words)
{
	struct found f = { .a = a };
	const struct netsh_command *c = NULL;
	size_t used = 0;
	struct err err;

	if (n_words == 1)
		commands_complete(&f, context, NULL, words[0]);
	else if (n_words > 1 && netsh_find(&c, &used, context, words, n_words - 1, &err) == 0 && c)
		tags_complete(&f, c, words + used, n_words - used);
	else if (n_words == 2 && used)
		commands_complete(&f, context, words[0], words[1]);
	if (f.bad)
		return -1;
	if (f.n)
		qsort(f.names, f.n, sizeof(*f.names), name_cmp);
	*ret = f.names;
	*ret_n = f.n;
	return 0;
}
