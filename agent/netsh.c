/* Lines and words to arguments, and back. */
#include "agent/netsh.h"

#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

/* ---- lines ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_comment(const char *p, const char *end)
{
	static const char *const words[] = { "rem", "echo", "echo." };
	size_t len = 0;

	if (p == end || strchr("#;:", *p))
		return true;
	while (p + len < end && !is_blank(p[len]))
		len++;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (netsh_match(p, len, words[i]) == 2)
			return true;
	return false;
}

/* The word at *p into `to`, which has room for it; NULL: a quote is not closed. */
static char *word_take(const char **p, const char *end, char *to)
{
	const char *s = *p;
	bool quoted = false;

	for (; s < end && (quoted || !is_blank(*s)); s++) {
		if (quoted && *s == '\\' && s + 1 < end && (s[1] == '"' || s[1] == '\'')) {
			*to++ = '"';
			s++;
		} else if (*s == '"') {
			quoted = !quoted;
		} else {
			*to++ = *s;
		}
	}
	*to++ = '\0';
	*p = s;
	return quoted ? NULL : to;
}

int netsh_split(char ***ret, size_t *ret_n, struct arena *a, const char *line, size_t len, struct err *err)
{
	const char *p = line, *end = line + len;
	char **words = NULL, *to;
	size_t n = 0;

	if (len > NETSH_MAX_LINE)
		return err_set(err, ERR_LIMIT, "the line is longer than %d bytes", NETSH_MAX_LINE);
	if (memchr(line, '\0', len))
		return err_set(err, ERR_FORMAT, "the line holds a NUL character");
	while (p < end && is_blank(*p))
		p++;
	if (p < end && *p == '@')	/* a batch file does not want the line printed */
		p++;
	while (p < end && is_blank(*p))
		p++;
	/* Words are never longer than what they stand in, with a NUL for each blank. */
	to = arena_zalloc(a, (size_t)(end - p) + 1, 1);
	if (!to)
		return err_nomem(err);
	if (is_comment(p, end))
		p = end;
	while (p < end) {
		if (n == NETSH_MAX_WORDS)
			return err_set(err, ERR_LIMIT, "the line has more than %d words", NETSH_MAX_WORDS);
		words = arena_grow(a, words, n, sizeof(*words));
		if (!words)
			return err_nomem(err);
		words[n++] = to;
		to = word_take(&p, end, to);
		if (!to)
			return err_set(err, ERR_FORMAT, "a quote is not closed");
		while (p < end && is_blank(*p))
			p++;
	}
	*ret = words;
	*ret_n = n;
	return 0;
}

/* Within quotes a backslash is only itself when no quote follows it, not even the closing one:
 * backslashes in front of one stand outside. */
void netsh_quote(const char *word, FILE *out)
{
	bool quoted = false, plain = *word != '@' && !is_comment(word, word + strlen(word)) && !strpbrk(word, " \t\r\n\"");

	if (plain) {
		fputs(word, out);
		return;
	}
	if (!*word)
		fputs("\"\"", out);
	for (; *word; word++) {
		char next = word[strspn(word, "\\")];
		bool outside = *word == '\\' && (next == '"' || next == '\'' || !next);

		if (quoted == outside) {
			putc('"', out);
			quoted = !quoted;
		}
		if (*word == '"')
			putc('\\', out);
		putc(*word, out);
	}
	if (quoted)
		putc('"', out);
}

/* ---- names ---- */

int netsh_match(const char *word, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++)
		if (!name[i] || name[i] == '|' || ascii_lower((uint8_t)word[i]) != ascii_lower((uint8_t)name[i]))
			return 0;
	return name[len] && name[len] != '|' ? 1 : 2;
}

/* What several names begin with the same letters: "add, delete or set". */
struct choice {
	char		text[200];
	const char	*last, *found;
	size_t		n;
	bool		exact;
};

static void choice_append(struct choice *c, const char *sep, const char *name)
{
	size_t n = strlen(c->text);

	snprintf(c->text + n, sizeof(c->text) - n, "%s%s", n ? sep : "", name);
}

/* Names come in groups of equal ones. */
static void choice_add(struct choice *c, int match, const char *name)
{
	if (!match || c->exact || (c->last && !strcmp(c->last, name)))
		return;
	if (c->last)
		choice_append(c, ", ", c->last);
	c->last = c->found = name;
	c->n++;
	if (match == 2) {
		c->exact = true;
		c->n = 1;
	}
}

static const char *choice_text(struct choice *c)
{
	if (c->last)
		choice_append(c, " or ", c->last);
	return c->text;
}

static bool seen_before(size_t i, enum netsh_context context, bool object)
{
	for (size_t k = 0; k < i; k++)
		if (netsh_command(k)->context == context && !strcmp(netsh_command(k)->verb, netsh_command(i)->verb) &&
		    (!object || !strcmp(netsh_command(k)->object, netsh_command(i)->object)))
			return true;
	return false;
}

/* Verbs (verb NULL), or the objects of a verb. */
static void choices_find(struct choice *ret, enum netsh_context context, const char *verb, const char *word)
{
	*ret = (struct choice){ 0 };
	for (size_t i = 0; i < N_NETSH_COMMANDS; i++) {
		const struct netsh_command *c = netsh_command(i);
		const char *name = verb ? c->object : c->verb;
		int match = netsh_match(word, strlen(word), name);

		if (match && c->context == context && (!verb || !strcmp(verb, c->verb)) && !seen_before(i, context, verb != NULL))
			choice_add(ret, match, name);
	}
}

static const struct netsh_command *command_of(enum netsh_context context, const char *verb, const char *object)
{
	for (size_t i = 0; i < N_NETSH_COMMANDS; i++)
		if (netsh_command(i)->context == context && !strcmp(netsh_command(i)->verb, verb) &&
		    !strcmp(netsh_command(i)->object, object))
			return netsh_command(i);
	return NULL;
}

/* A word that should be a name of ours: a value that strayed here is not shown. */
#define SHOWN(word)	(int)(strcspn(word, "=") < 40 ? strcspn(word, "=") : 40), (word)

int netsh_find(const struct netsh_command **ret, size_t *ret_used, enum netsh_context context, char *const *words, size_t n_words, struct err *err)
{
	const char *where = netsh_context_name(context), *verb;
	struct choice c;

	*ret = NULL;
	*ret_used = 0;
	if (n_words == 0)
		return 0;
	choices_find(&c, context, NULL, words[0]);
	if (!c.n || !*words[0])
		return err_set(err, ERR_UNSUPPORTED, "there is no command '%s %.*s'; '%s ?' lists them", where, SHOWN(words[0]), where);
	if (c.n > 1)
		return err_set(err, ERR_UNSUPPORTED, "'%.*s' may be %s", SHOWN(words[0]), choice_text(&c));
	verb = c.found;
	*ret_used = 1;
	*ret = command_of(context, verb, "");
	if (*ret || n_words == 1)
		return 0;
	choices_find(&c, context, verb, words[1]);
	if (!c.n || !*words[1])
		return err_set(err, ERR_UNSUPPORTED, "there is no command '%s %s %.*s'; '%s %s ?' lists them",
		    where, verb, SHOWN(words[1]), where, verb);
	if (c.n > 1)
		return err_set(err, ERR_UNSUPPORTED, "'%s %.*s' may be %s", verb, SHOWN(words[1]), choice_text(&c));
	*ret_used = 2;
	*ret = command_of(context, verb, c.found);
	return 0;
}

/* "add filter"; " exportpolicy" has no blank at its end */
static const char *command_name(const struct netsh_command *c, char out[static 64])
{
	snprintf(out, 64, "%s%s%s", c->verb, *c->object ? " " : "", c->object);
	return out;
}

const struct netsh_tag *netsh_tag(const struct netsh_command *c, const char *name, size_t len, struct err *err)
{
	const struct netsh_tag *found = NULL;
	struct choice choice = { 0 };
	char command[64];

	for (size_t i = 0; i < c->n_tags; i++) {
		int match = len ? netsh_match(name, len, c->tags[i].name) : 0;

		choice_add(&choice, match, c->tags[i].name);
		if (match == 2)
			return &c->tags[i];
		if (match)
			found = &c->tags[i];
	}
	if (choice.n == 1)
		return found;
	if (!found)
		err_set(err, ERR_FORMAT, "'%s' has no tag '%.*s'", command_name(c, command), (int)(len < 40 ? len : 40), name);
	else
		err_set(err, ERR_FORMAT, "'%s': tag '%.*s' may be %s", command_name(c, command), (int)len, name, choice_text(&choice));
	return NULL;
}

/* ---- arguments ---- */

static const struct netsh_tag *tag_known(const struct netsh_args *a, const char *name)
{
	for (size_t i = 0; i < a->command->n_tags; i++)
		if (!strcmp(a->command->tags[i].name, name))
			return &a->command->tags[i];
	return NULL;
}

const struct netsh_value *netsh_arg(const struct netsh_args *a, const char *tag)
{
	for (size_t i = 0; i < a->n_values; i++)
		if (!strcmp(a->values[i].tag->name, tag))
			return &a->values[i];
	return NULL;
}

const char *arg_text(const struct netsh_args *a, const char *tag, const char *otherwise)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	return v ? v->text : otherwise;
}

bool arg_yes(const struct netsh_args *a, const char *tag, bool otherwise)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	return v ? v->yes : otherwise;
}

uint64_t arg_number(const struct netsh_args *a, const char *tag, uint64_t otherwise)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	return v ? v->number : otherwise;
}

bool netsh_word_is(const struct netsh_value *v, const char *word)
{
	const char *p = v->tag->words;

	for (uint64_t i = 0; p && i < v->number; i++) {
		p = strchr(p, '|');
		p = p ? p + 1 : NULL;
	}
	return p && netsh_match(word, strlen(word), p) == 2;
}

bool arg_word(const struct netsh_args *a, const char *tag, const char *word)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	return v && netsh_word_is(v, word);
}

const struct netsh_value *netsh_arg_or_fallback(const struct netsh_args *args, struct arena *a, const char *tag)
{
	const struct netsh_value *given = netsh_arg(args, tag);
	const struct netsh_tag *t = tag_known(args, tag);
	struct netsh_value *v;
	struct err err;

	if (given || !t || !t->fallback || t->type == NT_TEXT)
		return given;
	v = arena_zalloc(a, 1, sizeof(*v));
	return v && netsh_value_parse(v, a, t, t->fallback, &err) == 0 ? v : NULL;
}

bool netsh_secret(const struct netsh_args *a)
{
	for (size_t i = 0; i < a->n_values; i++)
		if (a->values[i].tag->flags & NETSH_SECRET)
			return true;
	return false;
}

/* The words of a line behind verb and object, as they are taken one after the other. */
struct parser {
	const struct netsh_command	*c;
	struct arena			*a;
	char *const			*words;
	size_t				 n_words, next;
	size_t				 position;	/* tag of the next value without one */
	bool				 named;		/* values with tags have begun */
	struct netsh_value		*values;
	size_t				 n_values;
};

/* Options of the command line are no values: `show policy --json` is not a policy of that name. */
static bool is_option(const char *word)
{
	return word[0] == '-' && word[1] == '-' && word[2];
}

/* words[next..] without '=' belong to the list that begins with `first`. */
static const char *list_gather(struct parser *p, const char *first)
{
	size_t len = strlen(first), end = p->next;
	char *text, *to;

	for (; end < p->n_words && !strchr(p->words[end], '=') && !is_option(p->words[end]); end++)
		len += 1 + strlen(p->words[end]);
	text = to = arena_zalloc(p->a, len + 1, 1);
	if (!text)
		return NULL;
	to = stpcpy(to, first);
	for (; p->next < end; p->next++) {
		*to++ = ' ';
		to = stpcpy(to, p->words[p->next]);
	}
	return text;
}

static int value_add(struct parser *p, const struct netsh_tag *tag, const char *text, struct err *err)
{
	for (size_t i = 0; i < p->n_values; i++)
		if (p->values[i].tag == tag && !tag->repeatable)
			return err_set(err, ERR_FORMAT, "'%s' is given twice", tag->name);
	if (tag->flags & NETSH_LIST) {
		text = list_gather(p, text);
		if (!text)
			return err_nomem(err);
	}
	if (netsh_value_parse(&p->values[p->n_values], p->a, tag, text, err) < 0)
		return -1;
	p->n_values++;
	return 0;
}

static const struct netsh_tag *flag_of(const struct netsh_command *c, const char *word)
{
	for (size_t i = 0; i < c->n_tags; i++)
		if (c->tags[i].flags & NETSH_FLAG && netsh_match(word, strlen(word), c->tags[i].name) == 2)
			return &c->tags[i];
	return NULL;
}

static bool has_position(const struct netsh_tag *t)
{
	return !(t->flags & (NETSH_OR | NETSH_FLAG | NETSH_NAMED));
}

static int bare_take(struct parser *p, const char *word, struct err *err)
{
	const struct netsh_tag *flag = flag_of(p->c, word), *tag;
	char name[64];

	if (flag) {
		if (flag->flags & NETSH_OR && p->position == 0)
			p->position = 1;
		return value_add(p, flag, "yes", err);
	}
	if (is_option(word))
		return err_set(err, ERR_FORMAT, "options stand before '%s', and a value that begins with '--' behind its tag",
		    netsh_context_name(p->c->context));
	/* Its text is not shown in either case: it may be a part of a key that is not quoted. */
	if (p->named)
		return err_set(err, ERR_FORMAT, "a value without its tag behind '%s=' (quotes hold words together)",
		    p->values[p->n_values - 1].tag->name);
	while (p->position < p->c->n_tags && !has_position(&p->c->tags[p->position]))
		p->position++;
	if (p->position == p->c->n_tags)
		return err_set(err, ERR_FORMAT, "'%s' takes no more values", command_name(p->c, name));
	tag = &p->c->tags[p->position];
	if (!tag->repeatable || p->position + 1 < p->c->n_tags)
		p->position++;
	return value_add(p, tag, word, err);
}

static int named_take(struct parser *p, const char *word, const char *equals, struct err *err)
{
	const struct netsh_tag *tag = netsh_tag(p->c, word, (size_t)(equals - word), err);

	if (!tag)
		return -1;
	if (tag->flags & NETSH_FLAG)
		return err_set(err, ERR_FORMAT, "'%s' stands alone, without a value", tag->name);
	p->named = true;
	return value_add(p, tag, equals + 1, err);
}

/* Scripts have 255.255.255.255 beside me and 0.0.0.0 beside any; netsh_check has seen that nothing else is there. */
static void masks_drop(struct netsh_args *a, struct netsh_value *values)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_values; i++) {
		const struct netsh_tag *tag = values[i].tag;
		const struct netsh_value *addr = tag->type != NT_MASK ? NULL : netsh_arg(a, *tag->name == 's' ? "srcaddr" : "dstaddr");

		if (!addr || addr->host || addr->addr.kind == IPSEC_ADDR_NET)
			values[n++] = values[i];
	}
	a->n_values = n;
}

int netsh_parse(struct netsh_args *ret, struct arena *a, enum netsh_context context, char *const *words, size_t n_words, struct err *err)
{
	const char *where = netsh_context_name(context);
	struct parser p = { .a = a, .words = words, .n_words = n_words };
	struct netsh_args args;

	if (n_words > NETSH_MAX_WORDS)
		return err_set(err, ERR_FORMAT, "more than %d words", NETSH_MAX_WORDS);
	if (netsh_find(&p.c, &p.next, context, words, n_words, err) < 0)
		return -1;
	if (!p.c && !n_words)
		return err_set(err, ERR_FORMAT, "'%s' needs a command; '%s ?' lists them", where, where);
	if (!p.c)
		return err_set(err, ERR_FORMAT, "'%s %.20s' needs to be told what; '%s %.20s ?' lists it", where, words[0], where, words[0]);
	p.values = arena_zalloc(a, n_words, sizeof(*p.values));
	if (!p.values)
		return err_nomem(err);
	while (p.next < n_words) {
		const char *word = words[p.next++], *equals = strchr(word, '=');
		int rc = equals ? named_take(&p, word, equals, err) : bare_take(&p, word, err);

		if (rc < 0)
			return -1;
	}
	args = (struct netsh_args){ p.c, p.values, p.n_values };
	if (netsh_check(&args, err) < 0)
		return -1;
	masks_drop(&args, p.values);
	*ret = args;
	return 0;
}

int netsh_write(const struct netsh_args *args, FILE *out)
{
	char name[64];

	fputs(command_name(args->command, name), out);
	for (size_t i = 0; i < args->n_values; i++) {
		const struct netsh_value *v = &args->values[i];

		fprintf(out, v->tag->flags & NETSH_FLAG ? " %s" : " %s=", v->tag->name);
		if (!(v->tag->flags & NETSH_FLAG))
			netsh_value_write(v, out);
	}
	return ferror(out) ? -1 : 0;
}
