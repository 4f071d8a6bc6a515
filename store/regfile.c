#include "store/regfile.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/rd.h"
#include "schema/utf.h"

#define MAX_KEYS	(1u << 20)
#define MAX_VALUES	(4u << 20)	/* and names that are gone */


struct reader {
	struct arena	*a;
	const char	*p;		/* UTF-8, a NUL at the end and nowhere else */
	unsigned	 line;		/* of p */
	bool		 narrow;	/* REGEDIT4: hex strings are bytes, not UTF-16 */
	struct wr	 bytes;		/* of the value being read */
	struct reg_key	*keys;
	size_t		 n_keys, n_values;
	const char	**gone;		/* of the last key */
	struct err	*err;
};

static int fail(struct reader *r, unsigned line, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int fail(struct reader *r, unsigned line, enum err_code code, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(r->err, code, "line %u: %s", line, text);
}

/* ---- lines ------------------------------------------------------------------------------ */

static void blanks_skip(struct reader *r)
{
	r->p += strspn(r->p, " \t");
}

static bool at_line_end(const struct reader *r)
{
	return !*r->p || *r->p == '\n' || (*r->p == '\r' && (r->p[1] == '\n' || !r->p[1]));
}

static void line_skip(struct reader *r)
{
	r->p += strcspn(r->p, "\n");
	if (*r->p) {
		r->p++;
		r->line++;
	}
}

/* What stands there, for messages: not beyond the line. */
static int shown(const struct reader *r, int max)
{
	int n = (int)strcspn(r->p, "\r\n");

	return n < max ? n : max;
}

/* Behind a value or a key: blanks and a comment may stand there. */
static int line_done(struct reader *r)
{
	blanks_skip(r);
	if (!at_line_end(r) && *r->p != ';')
		return fail(r, r->line, ERR_FORMAT, "'%.*s' behind the end", shown(r, 20), r->p);
	line_skip(r);
	return 0;
}

static bool word_take(struct reader *r, const char *word)
{
	size_t n = 0;

	for (; word[n]; n++)
		if (ascii_lower((uint8_t)r->p[n]) != ascii_lower((uint8_t)word[n]))
			return false;
	r->p += n;
	return true;
}

/* ---- strings ----------------------------------------------------------------------------- */

/* Behind the first quote.  Line ends within belong to the string, as reg.exe writes them. */
static int quoted_read(struct reader *r, const char **ret, size_t *ret_len)
{
	unsigned first = r->line;
	const char *end = r->p;
	char *s;
	size_t n = 0;

	while (*end && *end != '"')
		end += *end == '\\' && end[1] ? 2 : 1;
	s = arena_zalloc(r->a, (size_t)(end - r->p) + 1, 1);
	if (!s)
		return err_nomem(r->err);
	for (; *r->p && *r->p != '"'; r->p++) {
		if (*r->p == '\\' && r->p[1] != '\\' && r->p[1] != '"')
			return fail(r, r->line, ERR_FORMAT, "'\\' in a string that is neither '\\\\' nor '\\\"'");
		if (*r->p == '\\')
			r->p++;
		r->line += *r->p == '\n';
		s[n++] = *r->p;
	}
	if (*r->p++ != '"')
		return fail(r, first, ERR_FORMAT, "string without its closing quote");
	*ret = s;
	*ret_len = n;
	return 0;
}

/* ---- hexadecimal ---------------------------------------------------------------------------- */

/* Blanks, and "\" at a line end with the blanks of the next line. */
static void fold_skip(struct reader *r)
{
	blanks_skip(r);
	while (*r->p == '\\' && (r->p[1] == '\n' || (r->p[1] == '\r' && r->p[2] == '\n'))) {
		line_skip(r);
		blanks_skip(r);
	}
}

static int byte_read(struct reader *r)
{
	int high = hex_digit(*r->p), low;

	if (high < 0)
		return fail(r, r->line, ERR_FORMAT, at_line_end(r) ? "a byte is missing" : "'%.*s' is no byte", shown(r, 8), r->p);
	low = hex_digit(*++r->p);
	if (low >= 0)
		r->p++;
	if (r->bytes.len == REG_MAX_DATA)
		return fail(r, r->line, ERR_LIMIT, "value of more than %u bytes", REG_MAX_DATA);
	wr_u8(&r->bytes, (uint8_t)(low < 0 ? high : high << 4 | low));
	return 0;
}

/* "01,02,\" and so on into r->bytes; nothing is no bytes. */
static int bytes_read(struct reader *r)
{
	r->bytes.len = 0;
	fold_skip(r);
	if (at_line_end(r) || *r->p == ';')
		return 0;
	for (;;) {
		if (byte_read(r) < 0)
			return -1;
		fold_skip(r);
		if (*r->p != ',')
			return r->bytes.bad ? err_nomem(r->err) : 0;
		r->p++;
		fold_skip(r);
	}
}

static int value_copy(struct reader *r, struct reg_value *v)
{
	char *copy = arena_zalloc(r->a, r->bytes.len + 1, 1);

	if (!copy)
		return err_nomem(r->err);
	if (r->bytes.len)
		memcpy(copy, r->bytes.p, r->bytes.len);
	v->p = (const uint8_t *)copy;
	v->len = r->bytes.len;
	return 0;
}

/* One string of UTF-16, or of bytes, up to its NUL or to the end, appended to out. */
static int string_next(struct reader *r, struct rd *rd, struct wr *out, size_t *ret_len)
{
	const uint8_t *from = rd->p;
	size_t width = r->narrow ? 1 : 2, len;
	struct err why;
	const char *s;

	while (rd_left(rd) && (r->narrow ? rd_u8(rd) : rd_u16(rd)))
		;
	len = (size_t)(rd->p - from);
	if (len >= width && !from[len - width] && !from[len - 1])
		len -= width;
	if (!r->narrow) {
		if (utf16_parse(&s, r->a, from, len, &why) < 0)
			return fail(r, r->line, why.code, "%s", why.msg);
	} else {
		s = arena_strndup(r->a, (const char *)from, len);
		if (!s)
			return err_nomem(r->err);
		if (!utf8_valid(s))
			return fail(r, r->line, ERR_FORMAT, "string that is not UTF-8");
	}
	*ret_len = strlen(s);
	wr_bytes(out, s, *ret_len);
	return 0;
}

/* r->bytes as the file has them -> as the store has them. */
static int strings_from_bytes(struct reader *r, bool several)
{
	struct rd rd = { 0 };
	struct wr out = { 0 };
	size_t len = 0;
	int rc = 0;

	if (r->bytes.len == 0)
		return 0;
	rd.p = r->bytes.p;
	rd.end = rd.p + r->bytes.len;
	if (!r->narrow && r->bytes.len % 2)
		return fail(r, r->line, ERR_FORMAT, "string of %zu bytes: half a character", r->bytes.len);
	while (rc == 0 && rd_left(&rd)) {
		rc = string_next(r, &rd, &out, &len);
		if (rc == 0 && len && several)
			wr_u8(&out, 0);
		else if (rc == 0 && rd_left(&rd))
			rc = fail(r, r->line, ERR_FORMAT, several ? "an empty string in a list of strings" : "NUL character in a string");
	}
	if (rc == 0 && out.bad)
		rc = err_nomem(r->err);
	if (rc < 0) {
		free(out.p);
		return -1;
	}
	free(r->bytes.p);
	r->bytes = out;
	return 0;
}

static const char *type_name(unsigned long type)
{
	static const char *const names[] = {
		"REG_NONE", "REG_SZ", "REG_EXPAND_SZ", "REG_BINARY", "REG_DWORD", "REG_DWORD_BIG_ENDIAN", "REG_LINK",
		"REG_MULTI_SZ", "REG_RESOURCE_LIST", "REG_FULL_RESOURCE_DESCRIPTOR", "REG_RESOURCE_REQUIREMENTS_LIST", "REG_QWORD",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}

/* Behind "hex": "(7):.." or ":..". */
static int hex_read(struct reader *r, struct reg_value *v)
{
	unsigned first = r->line;
	unsigned long type = REG_BINARY;
	char *end;

	if (*r->p == '(') {
		type = hex_digit(r->p[1]) < 0 ? ~0ul : strtoul(r->p + 1, &end, 16);
		if (type == ~0ul || *end != ')')
			return fail(r, r->line, ERR_FORMAT, "'hex%.*s' is no type", shown(r, 12), r->p);
		r->p = end + 1;
	}
	if (*r->p++ != ':')
		return fail(r, r->line, ERR_FORMAT, "'hex' without a colon");
	if (type != REG_SZ && type != REG_BINARY && type != REG_DWORD && type != REG_MULTI_SZ && type != REG_QWORD)
		return fail(r, r->line, ERR_UNSUPPORTED, "type hex(%lx), %s, is not kept here", type, type_name(type));
	v->type = (enum reg_type)type;
	if (bytes_read(r) < 0)
		return -1;
	if ((type == REG_DWORD && r->bytes.len != 4) || (type == REG_QWORD && r->bytes.len != 8))
		return fail(r, first, ERR_FORMAT, "%s of %zu bytes", type_name(type), r->bytes.len);
	if ((type == REG_SZ || type == REG_MULTI_SZ) && strings_from_bytes(r, type == REG_MULTI_SZ) < 0)
		return -1;
	return value_copy(r, v);
}

static int dword_read(struct reader *r, struct reg_value *v)
{
	const char *digits = r->p;
	int n_shown = shown(r, 12);
	uint32_t number = 0;

	for (; hex_digit(*r->p) >= 0 && r->p - digits < 8; r->p++)
		number = number << 4 | (uint32_t)hex_digit(*r->p);
	if (r->p == digits || hex_digit(*r->p) >= 0)
		return fail(r, r->line, ERR_FORMAT, "'dword:%.*s' is no number of up to 8 hexadecimal digits", n_shown, digits);
	/* All of them are written; of a file that was cut off there may be fewer. */
	if (!*r->p && r->p - digits < 8)
		return fail(r, r->line, ERR_FORMAT, "the file ends within a number");
	r->bytes.len = 0;
	wr_u32(&r->bytes, number);
	if (r->bytes.bad)
		return err_nomem(r->err);
	v->type = REG_DWORD;
	return value_copy(r, v);
}

/* ---- values ----------------------------------------------------------------------------------- */

static int name_read(struct reader *r, const char **ret)
{
	size_t len = 0;

	*ret = "";
	if (*r->p == '@') {
		r->p++;
	} else {
		r->p++;
		if (quoted_read(r, ret, &len) < 0)
			return -1;
	}
	if (len > REG_MAX_NAME)
		return fail(r, r->line, ERR_LIMIT, "name of more than %d bytes", REG_MAX_NAME);
	blanks_skip(r);
	if (*r->p != '=')
		return fail(r, r->line, ERR_FORMAT, "no '=' behind the name");
	r->p++;
	blanks_skip(r);
	return 0;
}

static int key_add(struct reader *r, const char *path, bool deleted, unsigned line)
{
	struct reg_key *keys;

	if (r->n_keys == MAX_KEYS)
		return fail(r, r->line, ERR_LIMIT, "more than %u keys", MAX_KEYS);
	keys = arena_grow(r->a, r->keys, r->n_keys, sizeof(*keys));
	if (!keys)
		return err_nomem(r->err);
	keys[r->n_keys++] = (struct reg_key){ .path = path, .deleted = deleted, .line = line };
	r->keys = keys;
	r->gone = NULL;
	return 0;
}

static int gone_add(struct reader *r, const char *name)
{
	struct reg_key *k = &r->keys[r->n_keys - 1];
	const char **gone;

	/* What goes, goes first: behind a value it is another key's. */
	if (k->n_values && key_add(r, k->path, false, r->line) < 0)
		return -1;
	k = &r->keys[r->n_keys - 1];
	gone = arena_grow(r->a, r->gone, k->n_gone, sizeof(*gone));
	if (!gone)
		return err_nomem(r->err);
	gone[k->n_gone++] = name;
	k->gone = r->gone = gone;
	return 0;
}

static int value_add(struct reader *r, const struct reg_value *v)
{
	struct reg_key *k = &r->keys[r->n_keys - 1];
	struct reg_value *values = arena_grow(r->a, k->values, k->n_values, sizeof(*values));

	if (!values)
		return err_nomem(r->err);
	values[k->n_values++] = *v;
	k->values = values;
	return 0;
}

static int value_read(struct reader *r)
{
	struct reg_value v = { .type = REG_SZ };
	const char *text;

	if (r->n_keys == 0)
		return fail(r, r->line, ERR_FORMAT, "value before any key");
	if (r->keys[r->n_keys - 1].deleted)
		return fail(r, r->line, ERR_FORMAT, "value in a key that is deleted");
	if (r->n_values++ == MAX_VALUES)
		return fail(r, r->line, ERR_LIMIT, "more than %u values", MAX_VALUES);
	if (name_read(r, &v.name) < 0)
		return -1;
	if (*r->p == '-') {
		r->p++;
		return gone_add(r, v.name);
	}
	if (*r->p == '"') {
		r->p++;
		if (quoted_read(r, &text, &v.len) < 0)
			return -1;
		v.p = (const uint8_t *)text;
	} else if (word_take(r, "dword:")) {
		if (dword_read(r, &v) < 0)
			return -1;
	} else if (word_take(r, "hex")) {
		if (hex_read(r, &v) < 0)
			return -1;
	} else {
		return fail(r, r->line, ERR_FORMAT, "'%.*s' is no value", shown(r, 20), r->p);
	}
	return value_add(r, &v);
}

/* ---- keys --------------------------------------------------------------------------------------- */

static int path_check(struct reader *r, const char *path)
{
	unsigned depth = 0;
	size_t n;

	for (; *path; path += n + (path[n] == '\\')) {
		n = strcspn(path, "\\");
		if (n == 0 || (path[n] && !path[n + 1]))
			return fail(r, r->line, ERR_FORMAT, "key with an empty part");
		if (n > REG_MAX_KEY || ++depth > REG_MAX_DEPTH)
			return fail(r, r->line, ERR_LIMIT, "key name too long or too deep");
	}
	return 0;
}

/* "[HKEY_LOCAL_MACHINE\..." or "[-HKEY_...": a ']' within belongs to the name. */
static int key_read(struct reader *r)
{
	const char *eol = r->p + strcspn(r->p, "\r\n"), *end;
	bool deleted = r->p[1] == '-';
	const char *path;

	end = memrchr(r->p, ']', (size_t)(eol - r->p));
	if (!end)
		return fail(r, r->line, ERR_FORMAT, "key without its ']'");
	r->p += 1 + deleted;
	if ((!word_take(r, "HKEY_LOCAL_MACHINE") && !word_take(r, "HKLM")) || (*r->p != '\\' && r->p != end))
		return fail(r, r->line, ERR_UNSUPPORTED, "key '%.*s' is not below HKEY_LOCAL_MACHINE",
		    (int)(end > r->p ? (end - r->p < 100 ? end - r->p : 100) : 0), r->p);
	r->p += *r->p == '\\';
	path = arena_strndup(r->a, r->p, (size_t)(end - r->p));
	if (!path)
		return err_nomem(r->err);
	if (path_check(r, path) < 0 || key_add(r, path, deleted, r->line) < 0)
		return -1;
	r->p = end + 1;
	return 0;
}

/* ---- the file ------------------------------------------------------------------------------------- */

static int head_read(struct reader *r)
{
	if (word_take(r, REGFILE_HEAD5))
		r->narrow = false;
	else if (word_take(r, REGFILE_HEAD4))
		r->narrow = true;
	else
		return fail(r, 1, ERR_FORMAT, "neither '%s' nor '%s'", REGFILE_HEAD5, REGFILE_HEAD4);
	return line_done(r);
}

static int file_read(struct reader *r)
{
	int rc = head_read(r);

	while (rc == 0 && *r->p) {
		blanks_skip(r);
		if (*r->p == '[')
			rc = key_read(r);
		else if (*r->p == '"' || *r->p == '@')
			rc = value_read(r);
		else if (!at_line_end(r) && *r->p != ';')
			rc = fail(r, r->line, ERR_FORMAT, "'%.*s' is neither a key nor a value", shown(r, 20), r->p);
		if (rc == 0)
			rc = line_done(r);
	}
	return rc;
}

int regfile_parse(struct reg_key **ret, size_t *ret_n, struct arena *a, const char *text, size_t len, struct err *err)
{
	struct reader r = { .a = a, .line = 1, .err = err };
	int rc;

	if (len > REGFILE_MAX)
		return err_set(err, ERR_LIMIT, "registry file of more than %u bytes", REGFILE_MAX);
	if (regfile_text(&r.p, a, (const uint8_t *)text, len, err) < 0)
		return -1;
	rc = file_read(&r);
	free(r.bytes.p);
	if (rc < 0)
		return -1;
	*ret = r.keys;
	*ret_n = r.n_keys;
	return 0;
}
