#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ldif.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

struct fixture {
	struct arena		*a;
	struct dir_entry	*e;
	size_t			 n;
	struct err		 err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->a = arena_new(0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	arena_free(f->a);
	free(f);
	return 0;
}

/* An exact copy on the heap, so that a byte read behind it is noticed. */
static int read_bytes(struct fixture *f, const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	int rc;

	memcpy(copy, text, len);
	rc = ldif_read(&f->e, &f->n, f->a, copy, len, &f->err);
	free(copy);
	return rc;
}

static void read_ok(struct fixture *f, const char *text)
{
	if (read_bytes(f, text, strlen(text)) < 0)
		fail_msg("%s", f->err.msg);
}

static void read_fails(struct fixture *f, const char *text, size_t len, enum err_code code, const char *msg)
{
	f->e = NULL;
	f->n = 12345;
	assert_int_equal(read_bytes(f, text, len), -1);
	assert_string_equal(f->err.msg, msg);
	assert_int_equal(f->err.code, code);
	assert_null(f->e);
	assert_int_equal(f->n, 12345);
}

static char *entry_as_text(const struct dir_entry *e)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(ldif_write_entry(e, out), 0);
	fclose(out);
	return text;
}

/* ---- reading ---- */

static void records_are_read(void **state)
{
	struct fixture *f = *state;
	const struct dir_attr *attr;

	read_ok(f, "version: 1\n"
	    "# two entries\n"
	    "#  with a comment\n that goes on: and on\n"
	    "\n\n"
	    "dn: CN=A,DC=x\n"
	    "objectClass: top\n"
	    "cn:   A b \n"
	    "# between\n"
	    "objectclass: group\n"
	    "description: one l\n"
	    " ong \n"
	    " line\n"
	    "member;range=0-1499: CN=B\n"
	    "blob;binary:: AAEC/w==\n"
	    "empty:\n"
	    "empty2: \n"
	    "empty3::\n"
	    "\n"
	    "\n"
	    "dn:: Q049QsO8cm8=\n"
	    "cn: ends without newline");
	assert_int_equal(f->n, 2);
	assert_string_equal(f->e[0].dn, "CN=A,DC=x");
	assert_int_equal(f->e[0].n_attrs, 8);
	attr = &f->e[0].attrs[0];
	assert_string_equal(attr->name, "objectClass");
	assert_int_equal(attr->n_values, 2);
	assert_string_equal((const char *)attr->values[0].p, "top");
	assert_string_equal((const char *)attr->values[1].p, "group");
	assert_string_equal(f->e[0].attrs[1].name, "cn");
	assert_string_equal(entry_text(&f->e[0], "cn"), "A b ");
	assert_string_equal(entry_text(&f->e[0], "description"), "one long line");
	assert_string_equal(f->e[0].attrs[3].name, "member;range=0-1499");
	assert_null(entry_attr(&f->e[0], "member"));
	attr = entry_attr(&f->e[0], "blob;binary");
	assert_int_equal(attr->values[0].len, 4);
	assert_memory_equal(attr->values[0].p, "\0\1\2\xff", 5);
	assert_int_equal(entry_value(&f->e[0], "empty")->len, 0);
	assert_int_equal(entry_value(&f->e[0], "empty2")->len, 0);
	assert_int_equal(entry_value(&f->e[0], "empty3")->len, 0);
	assert_string_equal(f->e[1].dn, "CN=B\xc3\xbcro");
	assert_string_equal(entry_text(&f->e[1], "cn"), "ends without newline");
}

static void crlf_is_a_line_end(void **state)
{
	struct fixture *f = *state;

	read_ok(f, "dn: CN=A\r\ncn: a\r\n b\r\n\r\ndn: CN=B\r\n");
	assert_int_equal(f->n, 2);
	assert_string_equal(entry_text(&f->e[0], "cn"), "ab");
	assert_string_equal(f->e[1].dn, "CN=B");
	assert_int_equal(f->e[1].n_attrs, 0);
}

static void nothing_is_no_entry(void **state)
{
	struct fixture *f = *state;
	static const char *const texts[] = { "", "\n\n", "# x", "version: 1", "version: 1\n\n# x\n" };

	for (size_t i = 0; i < N(texts); i++) {
		f->n = 7;
		read_ok(f, texts[i]);
		assert_int_equal(f->n, 0);
	}
}

static void root_and_bare_entries(void **state)
{
	struct fixture *f = *state;

	read_ok(f, "dn:\ndefaultNamingContext: DC=x\n\ndn: CN=hidden\n\nDN: CN=twice\n\ndn: cn=twice\n");
	assert_int_equal(f->n, 4);
	assert_string_equal(f->e[0].dn, "");
	assert_string_equal(f->e[0].attrs[0].name, "defaultNamingContext");
	assert_int_equal(f->e[1].n_attrs, 0);
	assert_string_equal(f->e[2].dn, "CN=twice");
	assert_string_equal(f->e[3].dn, "cn=twice");
}

/* Values are gathered without comparing every name with every other. */
static void many_names_of_one_entry(void **state)
{
	struct fixture *f = *state;
	char *text = NULL, name[16];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("dn: CN=A\n", out);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 50000; i++)
			fprintf(out, "a%d: %d\n", i * 31 % 50000, round);
	fclose(out);
	read_ok(f, text);
	free(text);
	assert_int_equal(f->e[0].n_attrs, 50000);
	for (int i = 0; i < 50000; i++) {
		snprintf(name, sizeof(name), "a%d", i * 31 % 50000);
		assert_string_equal(f->e[0].attrs[i].name, name);
		assert_int_equal(f->e[0].attrs[i].n_values, 3);
		for (int round = 0; round < 3; round++)
			assert_int_equal(f->e[0].attrs[i].values[round].p[0], '0' + round);
	}
}

static void errors_name_the_line(void **state)
{
	static const struct { const char *text; size_t len; enum err_code code; const char *want; } cases[] = {
#define CASE(text, code, want)	{ text, sizeof(text) - 1, code, want }
		CASE(" x\n", ERR_FORMAT, "line 1: begins with a space, but there is no line to continue"),
		CASE("dn: a=b\n\n x: y\n", ERR_FORMAT,
		    "line 3: begins with a space, but there is no line to continue"),
		CASE("dn: a=b\nc: d\n\nrubbish\n", ERR_FORMAT, "line 4: no colon in 'rubbish'"),
		CASE("dn: a=b\nlong\n er: x\n-\n", ERR_FORMAT, "line 4: no colon in '-'"),
		CASE("dn: a=b\n: x\n", ERR_FORMAT, "line 2: '' is not an attribute name"),
		CASE("dn: a=b\nc d: x\n", ERR_FORMAT, "line 2: 'c d' is not an attribute name"),
		CASE("dn: a=b\n;x: x\n", ERR_FORMAT, "line 2: ';x' is not an attribute name"),
		CASE("dn: a=b\nc=d: x\n", ERR_FORMAT, "line 2: 'c=d' is not an attribute name"),
		CASE("dn: a=b\njpeg:< file:///etc/passwd\n", ERR_UNSUPPORTED,
		    "line 2: value from a URL (':< file:///etc/passwd') is not followed"),
		CASE("dn:< file:///etc/passwd\n", ERR_UNSUPPORTED,
		    "line 1: value from a URL (':< file:///etc/passwd') is not followed"),
		CASE("dn: a=b\n# x\nchangetype: delete\n", ERR_UNSUPPORTED,
		    "line 3: change record; only entries are read"),
		CASE("dn: a=b\nc:: AA=A\n", ERR_FORMAT, "line 2: 'AA=A' is not base64"),
		CASE("dn: a=b\nc:: AAA\n", ERR_FORMAT, "line 2: 'AAA' is not base64"),
		CASE("dn: a=b\nc:: AAB=\n", ERR_FORMAT, "line 2: 'AAB=' is not base64"),
		CASE("dn:: AAA=\n", ERR_FORMAT, "line 1: dn with a NUL byte"),
		CASE("dn: a=b\nc: x\0y\n", ERR_FORMAT, "line 2: NUL byte"),
		CASE("dn: a=b\nc: x\n y\n z\0\n", ERR_FORMAT, "line 4: NUL byte"),
		CASE("dn: a=b\n# \0\n", ERR_FORMAT, "line 2: NUL byte"),
		CASE("dn: a=b\nc: x\ry\n", ERR_FORMAT, "line 2: carriage return within the line"),
		CASE("dn: a=b\r\r\n", ERR_FORMAT, "line 1: carriage return within the line"),
		CASE("cn: a\n", ERR_FORMAT, "line 1: 'cn' before any dn"),
		CASE("dn: a=b\n\ncn: a\n", ERR_FORMAT, "line 3: 'cn' before any dn"),
		CASE("dn: a=b\nc: d\ndn: e=f\n", ERR_FORMAT,
		    "line 3: dn within an entry: an empty line is missing"),
		CASE("version: 2\n", ERR_UNSUPPORTED, "line 1: LDIF version '2' is not 1"),
		CASE("version: 1\nversion: 1\n", ERR_FORMAT, "line 2: 'version' before any dn"),
		CASE("dn: a=b\n\nversion: 1\n", ERR_FORMAT, "line 3: 'version' before any dn"),
		CASE("\n\n\ndn: a=b\nc\x1b[2J\n", ERR_FORMAT, "line 5: no colon in 'c?[2J'"),
#undef CASE
	};

	for (size_t i = 0; i < N(cases); i++)
		read_fails(*state, cases[i].text, cases[i].len, cases[i].code, cases[i].want);
}

static void what_is_too_large_is_refused(void **state)
{
	struct fixture *f = *state;
	size_t len = (256u << 20) + 1, value = 16u << 20;
	char *text = malloc(len);

	memset(text, '\n', len);
	assert_int_equal(ldif_read(&f->e, &f->n, f->a, text, len, &f->err), -1);
	assert_string_equal(f->err.msg, "more than 268435456 bytes");
	assert_int_equal(f->err.code, ERR_LIMIT);
	assert_int_equal(ldif_read(&f->e, &f->n, f->a, text, len - 1, &f->err), 0);

	memset(text, 'x', len);
	memcpy(text, "dn: a=b\nc: ", 11);
	assert_int_equal(ldif_read(&f->e, &f->n, f->a, text, 11 + value, &f->err), 0);
	assert_int_equal(entry_value(f->e, "c")->len, value);
	assert_int_equal(ldif_read(&f->e, &f->n, f->a, text, 11 + value + 1, &f->err), -1);
	assert_string_equal(f->err.msg, "line 2: value of more than 16777216 bytes");

	for (size_t i = 0; i + 7 <= len; i += 7)
		memcpy(text + i, "dn:a=\n\n", 7);
	assert_int_equal(ldif_read(&f->e, &f->n, f->a, text, len / 7 * 7, &f->err), -1);
	assert_string_equal(f->err.msg, "line 2097153: more than 1048576 entries");

	memcpy(text, "dn:aa\n", 6);
	for (size_t i = 6; i + 3 <= len; i += 3)
		memcpy(text + i, "a:\n", 3);
	assert_int_equal(ldif_read(&f->e, &f->n, f->a, text, (len - 1) / 3 * 3, &f->err), -1);
	assert_string_equal(f->err.msg, "line 4194306: more than 4194304 values");
	free(text);
}

/* ---- writing ---- */

#define VALUE(text)	{ (const uint8_t *)(text), sizeof(text) - 1 }

static void text_is_safe_and_folded(void **state)
{
	struct dir_value values[] = {
		VALUE("plain"), VALUE(""), VALUE(" space first"), VALUE("space last "), VALUE(":colon"),
		VALUE("<less"), VALUE("a:<b"), VALUE("two\nlines"), VALUE("nul\0"), VALUE("\xc3\xbc"),
		VALUE("tab\t"), VALUE("\x7f"),
		VALUE("0123456789012345678901234567890123456789012345678901234567890123456789012"),
		VALUE("01234567890123456789012345678901234567890123456789012345678901234567890123"),
		VALUE("0123456789012345678901234567890123456789012345678901234567890123456789012"
		    "012345678901234567890123456789012345678901234567890123456789012345678901234 x"),
	};
	struct dir_attr attr = { "x", values, N(values) };
	struct dir_entry e = { "CN=a", &attr, 1 };
	char *text = entry_as_text(&e);

	(void)state;
	assert_string_equal(text,
	    "dn: CN=a\n"
	    "x: plain\n"
	    "x:\n"
	    "x:: IHNwYWNlIGZpcnN0\n"
	    "x:: c3BhY2UgbGFzdCA=\n"
	    "x:: OmNvbG9u\n"
	    "x:: PGxlc3M=\n"
	    "x: a:<b\n"
	    "x:: dHdvCmxpbmVz\n"
	    "x:: bnVsAA==\n"
	    "x:: w7w=\n"
	    "x:: dGFiCQ==\n"
	    "x:: fw==\n"
	    "x: 0123456789012345678901234567890123456789012345678901234567890123456789012\n"
	    "x: 0123456789012345678901234567890123456789012345678901234567890123456789012\n"
	    " 3\n"
	    "x: 0123456789012345678901234567890123456789012345678901234567890123456789012\n"
	    " 012345678901234567890123456789012345678901234567890123456789012345678901234\n"
	    "  x\n"
	    "\n");
	free(text);
}

static void names_cannot_begin_lines(void **state)
{
	struct dir_value v = VALUE("v");
	struct dir_attr attrs[] = { { "a\ndn", &v, 1 }, { "", &v, 1 }, { "#a", &v, 1 }, { "a:b", &v, 1 },
	    { "ok", &v, 1 } };
	struct dir_entry e = { "CN=x\ndn: CN=y", attrs, N(attrs) };
	char *text = entry_as_text(&e);

	(void)state;
	assert_string_equal(text,
	    "dn:: Q049eApkbjogQ049eQ==\n"
	    "# a value whose attribute name is malformed is not shown\n"
	    "# a value whose attribute name is malformed is not shown\n"
	    "# a value whose attribute name is malformed is not shown\n"
	    "# a value whose attribute name is malformed is not shown\n"
	    "ok: v\n"
	    "\n");
	free(text);
}

static void write_errors_are_told(void **state)
{
	struct dir_entry e = { "CN=a", NULL, 0 };
	char small[4];
	FILE *out = fmemopen(small, sizeof(small), "w");

	(void)state;
	setvbuf(out, NULL, _IONBF, 0);
	assert_int_equal(ldif_write_entry(&e, out), -1);
	fclose(out);
}

static void random_bytes(struct arena *a, struct dir_value *v, size_t max)
{
	static const char common[] = " :<a\n\r\\=#";
	size_t len = (size_t)rand() % (max + 1);
	uint8_t *p = arena_zalloc(a, len + 1, 1);
	bool binary = rand() % 2;

	for (size_t i = 0; i < len; i++)
		p[i] = binary ? (uint8_t)(rand() >> 5) : (uint8_t)common[rand() % (int)(sizeof(common) - 1)];
	*v = (struct dir_value){ p, len };
}

static void random_entry(struct arena *a, struct dir_entry *e)
{
	struct dir_value dn;

	do
		random_bytes(a, &dn, 100);
	while (memchr(dn.p, 0, dn.len));
	e->dn = (const char *)dn.p;
	e->n_attrs = (size_t)rand() % 6;
	e->attrs = arena_zalloc(a, e->n_attrs, sizeof(*e->attrs));
	for (size_t i = 0; i < e->n_attrs; i++) {
		e->attrs[i].name = arena_printf(a, "a%zu-%.*s;range=0-*", i, rand() % 90,
		    "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
		e->attrs[i].n_values = 1 + (size_t)rand() % 4;
		e->attrs[i].values = arena_zalloc(a, e->attrs[i].n_values, sizeof(struct dir_value));
		for (size_t k = 0; k < e->attrs[i].n_values; k++)
			random_bytes(a, &e->attrs[i].values[k], 300);
	}
}

static void assert_entry_equal(const struct dir_entry *x, const struct dir_entry *y)
{
	assert_string_equal(x->dn, y->dn);
	assert_int_equal(x->n_attrs, y->n_attrs);
	for (size_t i = 0; i < x->n_attrs; i++) {
		assert_string_equal(x->attrs[i].name, y->attrs[i].name);
		assert_int_equal(x->attrs[i].n_values, y->attrs[i].n_values);
		for (size_t k = 0; k < x->attrs[i].n_values; k++) {
			assert_int_equal(x->attrs[i].values[k].len, y->attrs[i].values[k].len);
			assert_memory_equal(x->attrs[i].values[k].p, y->attrs[i].values[k].p,
			    x->attrs[i].values[k].len + 1);
		}
	}
}

static void what_is_written_reads_back(void **state)
{
	struct fixture *f = *state;
	struct dir_entry e;
	char *text;

	srand(2);
	for (int i = 0; i < 2000; i++) {
		random_entry(f->a, &e);
		text = entry_as_text(&e);
		for (const char *line = text, *eol; (eol = strchr(line, '\n')); line = eol + 1)
			assert_true(eol - line <= 76);
		read_ok(f, text);
		assert_int_equal(f->n, 1);
		assert_entry_equal(&e, f->e);
		free(text);
	}
}

/* ---- base64 ---- */

static void base64_of_the_rfc(void **state)
{
	/* RFC 4648 section 10. */
	static const char *const cases[][2] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" }, { "\xfb\xff", "+/8=" },
	};
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "====", "=g==", "Zh==", "Zm9=", "Zm9 ",
	    "Zm9\n", "Zm-_", "Zg==Zg==", "Z===" };
	struct fixture *f = *state;
	struct dir_value v;

	for (size_t i = 0; i < N(cases); i++) {
		assert_string_equal(base64_text(f->a, cases[i][0], strlen(cases[i][0])), cases[i][1]);
		assert_int_equal(base64_parse(&v, f->a, cases[i][1], strlen(cases[i][1])), 0);
		assert_int_equal(v.len, strlen(cases[i][0]));
		assert_memory_equal(v.p, cases[i][0], v.len + 1);
	}
	for (size_t i = 0; i < N(bad); i++)
		if (base64_parse(&v, f->a, bad[i], strlen(bad[i])) == 0)
			fail_msg("'%s' was taken for base64", bad[i]);
}

int main(void)
{
#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(records_are_read),
		TEST(crlf_is_a_line_end),
		TEST(nothing_is_no_entry),
		TEST(root_and_bare_entries),
		TEST(many_names_of_one_entry),
		TEST(errors_name_the_line),
		TEST(what_is_too_large_is_refused),
		TEST(text_is_safe_and_folded),
		TEST(names_cannot_begin_lines),
		TEST(write_errors_are_told),
		TEST(what_is_written_reads_back),
		TEST(base64_of_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
