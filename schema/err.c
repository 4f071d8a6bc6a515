#include "schema/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "schema/utf.h"

static const char *const names[] = {
	[ERR_NONE] = "none", [ERR_NOMEM] = "nomem", [ERR_FORMAT] = "format",
	[ERR_LIMIT] = "limit", [ERR_UNSUPPORTED] = "unsupported",
	[ERR_ABSENT] = "absent", [ERR_DENIED] = "denied",
	[ERR_OFFLINE] = "offline", [ERR_SYSTEM] = "system",
	[ERR_KERNEL] = "kernel", [ERR_DAMAGED] = "damaged", [ERR_BUSY] = "busy",
};

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	utf8_clean(err->msg, "");
	return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char text[sizeof(err->msg)], old[sizeof(err->msg)];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	utf8_clean(text, "");
	memcpy(old, err->msg, sizeof(old));
	n = strlen(text);
	if (n > sizeof(err->msg) / 2)
		n = sizeof(err->msg) / 2;
	snprintf(err->msg, sizeof(err->msg), "%.*s: %.*s", (int)n, text,
	    (int)(sizeof(err->msg) - n - 3), old);
	return -1;
}

int err_nomem(struct err *err)
{
	return err_set(err, ERR_NOMEM, "out of memory");
}

const char *err_code_name(enum err_code code)
{
	if ((unsigned)code >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[code];
}

enum err_code err_code_parse(const char *name)
{
	for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return (enum err_code)i;
	return ERR_NONE;
}

bool err_read(struct err *ret, const char *text)
{
	size_t n = strcspn(text, " ");
	char word[32] = "";
	enum err_code code;

	if (n < sizeof(word))
		memcpy(word, text, n);
	code = err_code_parse(word);
	if (code == ERR_NONE)
		return false;
	err_set(ret, code, "%s", text + n + (text[n] == ' '));
	return true;
}
