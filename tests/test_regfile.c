/* Registry files: literal texts both ways, what must be refused, and what Windows writes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "store/regfile.h"

#define HEAD	"Windows Registry Editor Version 5.00\r\n\r\n"
#define KEY	"[HKEY_LOCAL_MACHINE\\A]\r\n"

static struct arena *arena;
static struct err err;
static struct reg_key *keys;
static size_t n_keys;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(0);
	keys = NULL;
	n_keys = 0;
	memset(&err, 0, sizeof(err));
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static int parse_bytes(const char *text, size_t len)
{
	/* A block of that very size, so that a sanitizer sees overreads. */
	char *exact = malloc(len ? len : 1);
	int rc;

	assert_non_null(exact);
	memcpy(exact, text, len);
	memset(&err, 0, sizeof(err));
	rc = regfile_parse(&keys, &n_keys, arena, exact, len, &err);
	free(exact);
	return rc;
}

static void parsed(const char *text)
{
	int rc = parse_bytes(text, strlen(text));

	if (rc < 0)
		print_error("%s\n", err.msg);
	assert_int_equal(rc, 0);
}

static void refused(const char *text, enum err_code code, const char *msg)
{
	struct reg_key *before = keys;

	assert_int_equal(parse_bytes(text, strlen(text)), -1);
	assert_string_equal(err.msg, msg);
	assert_int_equal(err.code, code);
	assert_ptr_equal(keys, before);
}

/* A value of a file with one key. */
static void refused_value(const char *value, enum err_code code, const char *msg)
{
	refused(arena_printf(arena, HEAD KEY "%s\r\n", value), code, msg);
}

static const struct reg_value *only_value(void)
{
	assert_int_equal(n_keys, 1);
	assert_int_equal(keys[0].n_values, 1);
	return keys[0].values;
}

static void value_is(const char *line, enum reg_type type, const char *name, const char *data, size_t len)
{
	const struct reg_value *v;

	parsed(arena_printf(arena, HEAD KEY "%s\r\n", line));
	v = only_value();
	assert_int_equal(v->type, type);
	assert_string_equal(v->name, name);
	assert_int_equal(v->len, len);
	assert_memory_equal(v->p, data, len);
	assert_int_equal(v->p[len], 0);
}

/* The bytes in `arena`. */
static const char *written(const struct reg_key *k, size_t n, enum regfile_encoding encoding, size_t *ret_len)
{
	char *text = NULL, *copy;
	FILE *f = open_memstream(&text, ret_len);

	assert_non_null(f);
	assert_int_equal(regfile_write(k, n, encoding, f), 0);
	fclose(f);
	copy = arena_memdup(arena, text, *ret_len + 1);
	free(text);
	return copy;
}

static const char *written8(const struct reg_key *k, size_t n)
{
	size_t len;

	return written(k, n, REGFILE_UTF8, &len);
}

/* ---- reading ---- */

static void test_types(void **state)
{
	(void)state;
	value_is("\"n\"=\"a \\\\ \\\" b\"", REG_SZ, "n", "a \\ \" b", 7);
	value_is("@=\"\"", REG_SZ, "", "", 0);
	value_is("\"\"=\"x\"", REG_SZ, "", "x", 1);
	value_is("\"a\\\\b\\\"c\"=dword:0000beef", REG_DWORD, "a\\b\"c", "\xef\xbe\0\0", 4);
	value_is("\"n\"=dword:1", REG_DWORD, "n", "\1\0\0\0", 4);
	value_is("  \"n\" = DWORD:FFFFFFFF ; comment", REG_DWORD, "n", "\xff\xff\xff\xff", 4);
	value_is("\"n\"=hex:", REG_BINARY, "n", "", 0);
	value_is("\"n\"=hex:00,fF,7", REG_BINARY, "n", "\0\xff\7", 3);
	value_is("\"n\"=hex(3):00,01", REG_BINARY, "n", "\0\1", 2);
	value_is("\"n\"=hex:01,\\\r\n  02,\\\r\n\t03", REG_BINARY, "n", "\1\2\3", 3);
	value_is("\"n\"=hex:\\\n  01 , 02;x", REG_BINARY, "n", "\1\2", 2);
	value_is("\"n\"=hex(4):01,02,03,04", REG_DWORD, "n", "\1\2\3\4", 4);
	value_is("\"n\"=hex(b):01,00,00,00,00,00,00,80", REG_QWORD, "n", "\1\0\0\0\0\0\0\x80", 8);
	value_is("\"n\"=hex(1):fc,00,62,00,0a,00,00,00", REG_SZ, "n", "\xc3\xbc" "b\n", 4);
	value_is("\"n\"=hex(1):61,00", REG_SZ, "n", "a", 1);
	value_is("\"n\"=hex(1):", REG_SZ, "n", "", 0);
	value_is("\"n\"=hex(7):61,00,62,00,00,00,3d,d8,00,de,00,00,00,00", REG_MULTI_SZ, "n", "ab\0\xf0\x9f\x98\x80\0", 8);
	value_is("\"n\"=hex(7):61,00,00,00", REG_MULTI_SZ, "n", "a\0", 2);
	value_is("\"n\"=hex(7):00,00", REG_MULTI_SZ, "n", "", 0);
	value_is("\"two\r\nlines\"=\"a\r\nb\"", REG_SZ, "two\r\nlines", "a\r\nb", 4);
}

static void test_keys(void **state)
{
	(void)state;
	parsed(HEAD "; comment\r\n[HKLM\\Soft\\A b]c]\r\n\"x\"=dword:1\r\n\r\n  ; another\r\n[hkey_local_machine]\r\n"
	    "[-HKEY_LOCAL_MACHINE\\Gone]\r\n\r\n[HKEY_LOCAL_MACHINE\\Soft\\A b]c] ; again\r\n\"y\"=-\r\n@=-\r\n\"z\"=\"1\"\r\n\"y\"=-");
	assert_int_equal(n_keys, 5);
	assert_string_equal(keys[0].path, "Soft\\A b]c");
	assert_int_equal(keys[0].n_values, 1);
	assert_int_equal(keys[0].line, 4);
	assert_string_equal(keys[1].path, "");
	assert_string_equal(keys[2].path, "Gone");
	assert_true(keys[2].deleted && !keys[1].deleted);
	assert_int_equal(keys[3].n_gone, 2);
	assert_string_equal(keys[3].gone[0], "y");
	assert_string_equal(keys[3].gone[1], "");
	assert_int_equal(keys[3].n_values, 1);
	/* What goes after a value was set stands in a key of its own. */
	assert_string_equal(keys[4].path, keys[3].path);
	assert_int_equal(keys[4].n_values, 0);
	assert_int_equal(keys[4].n_gone, 1);
	assert_int_equal(keys[4].line, 15);
	parsed("REGEDIT4\n");
	assert_int_equal(n_keys, 0);
}

static void test_encodings(void **state)
{
	static const char utf16[] = "\xff\xfe" "R\0E\0G\0E\0D\0I\0T\0" "4\0\n\0" "[\0H\0K\0L\0M\0\\\0\xfc\0\x3d\xd8\x00\xde]\0";

	(void)state;
	assert_int_equal(parse_bytes(utf16, sizeof(utf16) - 1), 0);
	assert_string_equal(keys[0].path, "\xc3\xbc\xf0\x9f\x98\x80");
	parsed("\xef\xbb\xbfREGEDIT4\n[HKLM\\\xc3\xbc]\n");
	assert_string_equal(keys[0].path, "\xc3\xbc");
	/* Strings in hex are bytes there. */
	parsed("REGEDIT4\n[HKLM\\A]\n\"m\"=hex(7):61,62,00,c3,bc,00,00\n\"s\"=hex(1):61,00\n");
	assert_int_equal(keys[0].values[0].len, 6);
	assert_memory_equal(keys[0].values[0].p, "ab\0\xc3\xbc", 6);
	assert_int_equal(keys[0].values[1].len, 1);
	assert_true(regfile_is(utf16, sizeof(utf16) - 1));
	assert_true(regfile_is("REGEDIT4", 8));
	assert_true(regfile_is(HEAD, strlen(HEAD)));
	assert_false(regfile_is("dn: CN=x", 8));
	assert_false(regfile_is("", 0));
}

static void test_refused_files(void **state)
{
	(void)state;
	refused("", ERR_FORMAT, "line 1: neither 'Windows Registry Editor Version 5.00' nor 'REGEDIT4'");
	refused("Windows Registry Editor Version 4.00\n", ERR_FORMAT,
	    "line 1: neither 'Windows Registry Editor Version 5.00' nor 'REGEDIT4'");
	refused("REGEDIT45\n", ERR_FORMAT, "line 1: '5' behind the end");
	refused("\xfe\xff\0R", ERR_UNSUPPORTED, "line 1: UTF-16 with the high byte first is not read");
	refused("REGEDIT4\n\n[HKLM\\\xff]\n", ERR_FORMAT, "line 3: not UTF-8");
	refused("REGEDIT4\n\n\n\"a\"=\"b\"\n", ERR_FORMAT, "line 4: value before any key");
	refused("REGEDIT4\nfoo\n", ERR_FORMAT, "line 2: 'foo' is neither a key nor a value");
	refused("REGEDIT4\n[HKLM\\A\n", ERR_FORMAT, "line 2: key without its ']'");
	refused("REGEDIT4\n[HKEY_CURRENT_USER\\A]\n", ERR_UNSUPPORTED, "line 2: key 'HKEY_CURRENT_USER\\A' is not below HKEY_LOCAL_MACHINE");
	refused("REGEDIT4\n[HKLMX]\n", ERR_UNSUPPORTED, "line 2: key 'X' is not below HKEY_LOCAL_MACHINE");
}

static void test_refused_keys(void **state)
{
	char *deep = arena_zalloc(arena, 1000, 1);

	(void)state;
	refused("REGEDIT4\n[HKLM\\\\A]\n", ERR_FORMAT, "line 2: key with an empty part");
	refused("REGEDIT4\n[HKLM\\A\\]\n", ERR_FORMAT, "line 2: key with an empty part");
	refused("REGEDIT4\n[HKLM\\A] x\n", ERR_FORMAT, "line 2: 'x' behind the end");
	strcpy(deep, "REGEDIT4\n[HKLM");
	for (int i = 0; i < 65; i++)
		strcat(deep, "\\a");
	strcat(deep, "]\n");
	refused(deep, ERR_LIMIT, "line 2: key name too long or too deep");
	strcpy(deep, "REGEDIT4\n[HKLM\\");
	memset(deep + strlen(deep), 'a', 256);
	strcat(deep, "]\n");
	refused(deep, ERR_LIMIT, "line 2: key name too long or too deep");
	refused("REGEDIT4\n[-HKLM\\A]\n\"x\"=\"y\"\n", ERR_FORMAT, "line 3: value in a key that is deleted");
}

static void test_refused_values(void **state)
{
	(void)state;
	refused_value("\"a\"", ERR_FORMAT, "line 4: no '=' behind the name");
	refused_value("\"a\"=", ERR_FORMAT, "line 4: '' is no value");
	refused_value("\"a\"=word:1", ERR_FORMAT, "line 4: 'word:1' is no value");
	refused_value("\"a\"=\"b", ERR_FORMAT, "line 4: string without its closing quote");
	refused_value("\"a", ERR_FORMAT, "line 4: string without its closing quote");
	refused_value("\"a\"=\"C:\\temp\"", ERR_FORMAT, "line 4: '\\' in a string that is neither '\\\\' nor '\\\"'");
	refused_value("\"a\"=\"b\" c", ERR_FORMAT, "line 4: 'c' behind the end");
	refused_value("\"a\"=dword:123456789", ERR_FORMAT, "line 4: 'dword:123456789' is no number of up to 8 hexadecimal digits");
	refused_value("\"a\"=dword:x", ERR_FORMAT, "line 4: 'dword:x' is no number of up to 8 hexadecimal digits");
	refused("REGEDIT4\n[HKLM\\A]\n\"a\"=dword:0000001", ERR_FORMAT, "line 3: the file ends within a number");
	refused_value("\"a\"=hex:01,", ERR_FORMAT, "line 4: a byte is missing");
	refused_value("\"a\"=hex:01,,02", ERR_FORMAT, "line 4: ',02' is no byte");
	refused_value("\"a\"=hex:011", ERR_FORMAT, "line 4: '1' behind the end");
	refused_value("\"a\"=hex:01,\\\r\n  zz", ERR_FORMAT, "line 5: 'zz' is no byte");
	refused_value("\"a\"=hex01", ERR_FORMAT, "line 4: 'hex' without a colon");
	refused_value("\"a\"=hex(:01", ERR_FORMAT, "line 4: 'hex(:01' is no type");
	refused_value("\"a\"=hex(2):41,00,00,00", ERR_UNSUPPORTED, "line 4: type hex(2), REG_EXPAND_SZ, is not kept here");
	refused_value("\"a\"=hex(0):", ERR_UNSUPPORTED, "line 4: type hex(0), REG_NONE, is not kept here");
	refused_value("\"a\"=hex(ffff0007):", ERR_UNSUPPORTED, "line 4: type hex(ffff0007), unknown, is not kept here");
	refused_value("\"a\"=hex(4):01,02", ERR_FORMAT, "line 4: REG_DWORD of 2 bytes");
	refused_value("\"a\"=hex(b):01,02,\\\r\n03", ERR_FORMAT, "line 4: REG_QWORD of 3 bytes");
	refused_value("\"a\"=hex(1):61,00,00,00,62,00", ERR_FORMAT, "line 4: NUL character in a string");
	refused_value("\"a\"=hex(1):61", ERR_FORMAT, "line 4: string of 1 bytes: half a character");
	refused_value("\"a\"=hex(1):00,d8", ERR_FORMAT, "line 4: text with a lone surrogate");
	refused_value("\"a\"=hex(7):00,00,61,00,00,00", ERR_FORMAT, "line 4: an empty string in a list of strings");
	refused("REGEDIT4\n[HKLM\\A]\n\"a\"=hex(1):ff\n", ERR_FORMAT, "line 3: string that is not UTF-8");
}

static void test_refused_utf16(void **state)
{
	static const char lone[] = "\xff\xfe" "\n\0\0\xd8" "a\0", odd[] = "\xff\xfe" "R\0\n\0E", nul[] = "\xff\xfe" "\n\0\0\0";
	static const char nul8[] = "REGEDIT4\n\0[";

	(void)state;
	assert_int_equal(parse_bytes(lone, sizeof(lone) - 1), -1);
	assert_string_equal(err.msg, "line 2: half a character (a lone surrogate)");
	assert_int_equal(parse_bytes(odd, sizeof(odd) - 1), -1);
	assert_string_equal(err.msg, "line 2: ends within a character");
	assert_int_equal(parse_bytes(nul, sizeof(nul) - 1), -1);
	assert_string_equal(err.msg, "line 2: NUL character");
	assert_int_equal(parse_bytes(nul8, sizeof(nul8) - 1), -1);
	assert_string_equal(err.msg, "line 2: NUL character");
}

/* ---- writing ---- */

static void test_write(void **state)
{
	static uint8_t bytes[60];
	struct reg_value values[] = {
		{ "", REG_SZ, (const uint8_t *)"default", 7 },
		{ "na\\me\"", REG_SZ, (const uint8_t *)"C:\\\"x\"", 6 },
		{ "d", REG_DWORD, (const uint8_t *)"\x20\x00\x00\xa0", 4 },
		{ "q", REG_QWORD, (const uint8_t *)"\1\2\3\4\5\6\7\10", 8 },
		{ "m", REG_MULTI_SZ, (const uint8_t *)"ab\0\xc3\xbc\0", 6 },
		{ "none", REG_MULTI_SZ, NULL, 0 },
		{ "lines", REG_SZ, (const uint8_t *)"a\nb", 3 },
		{ "empty", REG_BINARY, NULL, 0 },
		{ "ipsecData", REG_BINARY, bytes, 46 },
		{ "ipsecData", REG_BINARY, bytes, 47 },
	};
	static const char *const gone[] = { "old", "" };
	const struct reg_key k[] = {
		{ .path = "SOFTWARE\\\xc3\xbc", .values = values, .n_values = sizeof(values) / sizeof(values[0]), .gone = gone, .n_gone = 2 },
		{ .path = "B", .deleted = true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	/* A line has 80 characters at most: after the 46th byte comes no comma. */
	assert_string_equal(written8(k, 2),
	    "Windows Registry Editor Version 5.00\r\n"
	    "\r\n"
	    "[HKEY_LOCAL_MACHINE\\SOFTWARE\\\xc3\xbc]\r\n"
	    "\"old\"=-\r\n"
	    "@=-\r\n"
	    "@=\"default\"\r\n"
	    "\"na\\\\me\\\"\"=\"C:\\\\\\\"x\\\"\"\r\n"
	    "\"d\"=dword:a0000020\r\n"
	    "\"q\"=hex(b):01,02,03,04,05,06,07,08\r\n"
	    "\"m\"=hex(7):61,00,62,00,00,00,fc,00,00,00,00,00\r\n"
	    "\"none\"=hex(7):00,00\r\n"
	    "\"lines\"=hex(1):61,00,0a,00,62,00,00,00\r\n"
	    "\"empty\"=hex:\r\n"
	    "\"ipsecData\"=hex:00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,10,11,12,13,14,\\\r\n"
	    "  15,16,17,18,19,1a,1b,1c,1d,1e,1f,20,21,22,23,24,25,26,27,28,29,2a,2b,2c,2d\r\n"
	    "\"ipsecData\"=hex:00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,10,11,12,13,14,\\\r\n"
	    "  15,16,17,18,19,1a,1b,1c,1d,1e,1f,20,21,22,23,24,25,26,27,28,29,2a,2b,2c,2d,\\\r\n"
	    "  2e\r\n"
	    "\r\n"
	    "[-HKEY_LOCAL_MACHINE\\B]\r\n"
	    "\r\n");
}

static void test_write_utf16(void **state)
{
	struct reg_value v = { "a", REG_SZ, (const uint8_t *)"\xf0\x9f\x98\x80", 4 };
	const struct reg_key k = { .path = "", .values = &v, .n_values = 1 };
	static const char tail[] = "\r\0\n\0\r\0\n\0[\0H\0K\0E\0Y\0_\0L\0O\0C\0A\0L\0_\0M\0A\0C\0H\0I\0N\0E\0]\0\r\0\n\0"
	    "\"\0a\0\"\0=\0\"\0\x3d\xd8\x00\xde\"\0\r\0\n\0\r\0\n\0";
	size_t len;
	const char *text = written(&k, 1, REGFILE_UTF16, &len);

	(void)state;
	assert_int_equal(len, 2 + 2 * 36 + sizeof(tail) - 1);
	assert_memory_equal(text, "\xff\xfeW\0i\0", 6);
	assert_memory_equal(text + 2 + 2 * 36, tail, sizeof(tail) - 1);
}

static void not_written(const struct reg_key *k)
{
	FILE *f = fopen("/dev/null", "w");

	assert_non_null(f);
	errno = 0;
	assert_int_equal(regfile_write(k, 1, REGFILE_UTF8, f), -1);
	assert_int_equal(errno, EILSEQ);
	fclose(f);
}

static void test_write_refused(void **state)
{
	struct reg_value values[] = {
		{ "a", REG_SZ, (const uint8_t *)"\xff", 1 }, { "a", REG_SZ, (const uint8_t *)"a\0b", 3 },
		{ "\xff", REG_SZ, NULL, 0 }, { "a", REG_DWORD, (const uint8_t *)"abc", 3 },
		{ "a", REG_QWORD, (const uint8_t *)"abc", 3 }, { "a", REG_MULTI_SZ, (const uint8_t *)"abc", 3 },
		{ "a", REG_MULTI_SZ, (const uint8_t *)"\xff\0", 2 }, { "a", (enum reg_type)2, NULL, 0 },
	};
	struct reg_key k = { .path = "A", .n_values = 1 };
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		k.values = &values[i];
		not_written(&k);
	}
	k.n_values = 0;
	k.path = "A\r\n[HKEY_LOCAL_MACHINE\\B";
	not_written(&k);
	k.path = "\xff";
	not_written(&k);
	k.path = "A";
	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	assert_int_equal(regfile_write(&k, 1, REGFILE_UTF8, full), -1);
	fclose(full);
}

/* ---- what Windows writes ---- */

/* tests/data/NAME, with CRLF. */
static char *fixture(const char *name, size_t *ret_len)
{
	const char *dir = getenv("srcdir");
	char *path = arena_printf(arena, "%s/tests/data/%s", dir ? dir : ".", name);
	char *text = arena_zalloc(arena, 1, 65536);
	FILE *f = fopen(path, "r");
	size_t n = 0;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF) {
		assert_true(n < 65534);
		if (c == '\n')
			text[n++] = '\r';
		text[n++] = (char)c;
	}
	fclose(f);
	*ret_len = n;
	return text;
}

static const struct reg_value *value_of(const struct reg_key *k, const char *name)
{
	for (size_t i = 0; i < k->n_values; i++)
		if (!strcmp(k->values[i].name, name))
			return &k->values[i];
	fail_msg("%s has no %s", k->path, name);
	return NULL;
}

static void test_windows(void **state)
{
	static const char refs[] = "SOFTWARE\\Policies\\Microsoft\\Windows\\IPSec\\Policy\\Local\\ipsecNFA{93b1f2a4-1c2d-4e5f-8091-a2b3c4d5e603}\0"
	    "SOFTWARE\\Policies\\Microsoft\\Windows\\IPSec\\Policy\\Local\\ipsecNFA{a7d8e9f0-2b3c-4d5e-9102-b3c4d5e6f704}";
	const struct reg_value *v;
	size_t len, len8, len16;
	const char *text = fixture("windows-local.reg", &len), *wide;

	(void)state;
	parsed(text);
	assert_int_equal(n_keys, 8);
	assert_string_equal(keys[0].path, REG_LOCAL);
	assert_string_equal(keys[1].path, REG_LOCAL "\\ipsecFilter{b6c7d8e9-3c4d-4e6f-a213-c4d5e6f70805}");
	v = value_of(&keys[1], "ipsecName");
	assert_string_equal((const char *)v->p, "Datenbankzugriff \"B\xc3\xbcro\"");
	v = value_of(&keys[7], "ipsecNFAReference");
	assert_int_equal(v->type, REG_MULTI_SZ);
	assert_int_equal(v->len, sizeof(refs));
	assert_memory_equal(v->p, refs, sizeof(refs));
	v = value_of(&keys[7], "ipsecData");
	assert_memory_equal(v->p, "\x63\x21\x20\x22\x4c\x4f\xd1\x11\x86\x3b\x00\xa0\x24\x8d\x30\x21\4\0\0\0\x30\x2a\0\0\0", 25);

	assert_string_equal(written(keys, n_keys, REGFILE_UTF8, &len8), text);
	/* The same as `reg export` has it, and back. */
	wide = written(keys, n_keys, REGFILE_UTF16, &len16);
	assert_int_equal(parse_bytes(wide, len16), 0);
	assert_string_equal(written(keys, n_keys, REGFILE_UTF8, &len8), text);
}

/* Cut off anywhere: an error with its line, or a file of fewer lines. */
static void test_cut(void **state)
{
	size_t len;
	const char *text = fixture("windows-local.reg", &len);
	unsigned n_good = 0;

	(void)state;
	for (size_t i = 0; i < len; i++) {
		struct arena *whole = arena;

		arena = arena_new(0);
		if (parse_bytes(text, i) == 0)
			n_good++;
		else
			assert_memory_equal(err.msg, "line ", 5);
		arena_free(arena);
		arena = whole;
	}
	assert_true(n_good > 0 && n_good < len);
}

/* Twice the file takes twice the time, not four times. */
static void test_linear(void **state)
{
	static const char *const bodies[] = {
		"\"a\"=hex:00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,\\\n  10,11\n", "\"a\"=-\n\"b\"=dword:1\n",
		"[HKLM\\A]\n", "\"a\"=\"\n\n\n\n\n\n\"\n", "\"a\"=hex(7):61,62,00,61,00,00\n", ";\n",
	};

	(void)state;
	for (size_t b = 0; b < sizeof(bodies) / sizeof(bodies[0]); b++) {
		size_t unit = strlen(bodies[b]), n = (8u << 20) / unit;
		char *text = malloc(64 + n * unit);
		struct arena *a = arena_new(0);
		clock_t before = clock();
		size_t len = (size_t)sprintf(text, "REGEDIT4\n[HKLM\\A]\n");
		int rc;

		if (n > 200000)
			n = 200000;
		for (size_t i = 0; i < n; i++, len += unit)
			memcpy(text + len, bodies[b], unit);
		rc = regfile_parse(&keys, &n_keys, a, text, len, &err);
		assert_int_equal(rc, 0);
		assert_true((double)(clock() - before) / CLOCKS_PER_SEC < 20);
		arena_free(a);
		free(text);
	}
}

int main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_types), T(test_keys), T(test_encodings), T(test_refused_files), T(test_refused_keys),
		T(test_refused_values), T(test_refused_utf16), T(test_write), T(test_write_utf16), T(test_write_refused),
		T(test_windows), T(test_cut), T(test_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
