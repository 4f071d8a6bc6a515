/* Lines of scripts: what is taken can be written and means the same again, what is not has one line
 * that says so. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/netsh.h"
#include "schema/arena.h"
#include "schema/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int line_parse(struct netsh_args *ret, struct arena *a, enum netsh_context context, const char *line, size_t len, struct err *err)
{
	char **words;
	size_t n;

	if (netsh_split(&words, &n, a, line, len, err) < 0)
		return -1;
	return netsh_parse(ret, a, context, words, n, err);
}

static char *line_write(const struct netsh_args *args, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (!f || netsh_write(args, f) < 0 || fclose(f) != 0)
		abort();
	return text;
}

static void words_quote(struct arena *a, const char *line, size_t len)
{
	struct err err;
	char **words, **again, *text = NULL;
	size_t n, n_again, text_len;
	FILE *f;

	if (netsh_split(&words, &n, a, line, len, &err) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		f = open_memstream(&text, &text_len);
		if (!f)
			abort();
		netsh_quote(words[i], f);
		fclose(f);
		if (netsh_match(words[i], strlen(words[i]), "rem") != 2 && text_len <= NETSH_MAX_LINE &&
		    (netsh_split(&again, &n_again, a, text, text_len, &err) < 0 || n_again != 1 || strcmp(again[0], words[i])))
			abort();
		free(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	const char *line = (const char *)data + 1;

	if (!a)
		abort();
	if (size) {
		enum netsh_context context = data[0] & 1 ? NETSH_DYNAMIC : NETSH_STATIC;
		struct netsh_args args, again;
		struct err err = { 0 };

		words_quote(a, line, size - 1);
		if (line_parse(&args, a, context, line, size - 1, &err) == 0) {
			size_t len, len_again;
			char *text = line_write(&args, &len), *text_again;

			if (len <= NETSH_MAX_LINE) {
				if (line_parse(&again, a, context, text, len, &err) < 0)
					abort();
				text_again = line_write(&again, &len_again);
				if (args.command != again.command || args.n_values != again.n_values || strcmp(text, text_again))
					abort();
				free(text_again);
			}
			free(text);
		} else if (err.code == ERR_NONE || !*err.msg) {
			abort();
		}
	}
	arena_free(a);
	return 0;
}
