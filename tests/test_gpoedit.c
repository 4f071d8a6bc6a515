/* What a GPO's list of extensions and its version become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/gpo_edit.h"
#include "schema/arena.h"
#include "schema/err.h"

#define OURS	"[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]"
#define BEFORE	"[{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{0F6B957D-509E-11D1-A7CC-0000F87571E3}]"
#define BEHIND	"[{F3CCC681-B74C-4060-9F26-CD84525DCA2A}{0F3F3735-573D-9804-99E4-AB2A69BA5FD4}]"

static void extensions_become(const char *text, bool with, const char *want, bool had)
{
	struct arena *a = arena_new(0);
	const char *got = "not set";
	bool has = !had;
	struct err err = { 0 };

	if (gpo_extensions_edit(&got, &has, a, text, with, &err) < 0)
		fail_msg("'%s': %s", text, err.msg);
	if (want && got)
		assert_string_equal(got, want);
	else
		assert_ptr_equal(got, want);
	assert_int_equal(has, had);
	arena_free(a);
}

static void test_extension_comes(void **state)
{
	(void)state;
	extensions_become(NULL, true, OURS, false);
	extensions_become("", true, OURS, false);
	extensions_become(" ", true, OURS, false);
	extensions_become(BEFORE, true, BEFORE OURS, false);
	extensions_become(BEHIND, true, OURS BEHIND, false);
	extensions_become(BEFORE BEHIND, true, BEFORE OURS BEHIND, false);
	/* Others stay as they are, to the letter; letters have no case in the order. */
	extensions_become("[{f3ccc681-b74c-4060-9f26-cd84525dca2a}]", true, OURS "[{f3ccc681-b74c-4060-9f26-cd84525dca2a}]", false);
	/* Out of order already: in front of the first that is greater, where it is read. */
	extensions_become(BEHIND BEFORE, true, OURS BEHIND BEFORE, false);
	extensions_become(BEFORE " ", true, BEFORE OURS, false);
}

static void test_extension_is_there(void **state)
{
	(void)state;
	extensions_become(OURS, true, OURS, true);
	extensions_become(BEFORE OURS BEHIND, true, BEFORE OURS BEHIND, true);
	/* Wherever it stands, and in any case of letters. */
	extensions_become(BEHIND "[{e437bc1c-aa7d-11d2-a382-00c04f991e27}{dea8afa0-cc85-11d0-9ce2-0080c7221ebd}]", true,
	    BEHIND "[{e437bc1c-aa7d-11d2-a382-00c04f991e27}{dea8afa0-cc85-11d0-9ce2-0080c7221ebd}]", true);
	/* Without the tool, and with others of which it has its place. */
	extensions_become("[{E437BC1C-AA7D-11D2-A382-00C04F991E27}]", true, OURS, true);
	extensions_become("[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{11111111-0000-0000-0000-000000000000}{F1111111-0000-0000-0000-000000000000}]", true,
	    "[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{11111111-0000-0000-0000-000000000000}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}"
	    "{F1111111-0000-0000-0000-000000000000}]", true);
	/* As a tool of something else it is not ours. */
	extensions_become("[{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{E437BC1C-AA7D-11D2-A382-00C04F991E27}]", true,
	    "[{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{E437BC1C-AA7D-11D2-A382-00C04F991E27}]" OURS, false);
}

static void test_extension_goes(void **state)
{
	(void)state;
	extensions_become(NULL, false, NULL, false);
	extensions_become(OURS, false, NULL, true);
	extensions_become(BEFORE OURS BEHIND, false, BEFORE BEHIND, true);
	extensions_become(BEFORE, false, BEFORE, false);
	extensions_become(OURS BEFORE OURS, false, BEFORE, true);
	extensions_become("[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{11111111-0000-0000-0000-000000000000}]" BEHIND, false, BEHIND, true);
}

static void test_extension_malformed(void **state)
{
	static const char *const texts[] = {
		"x", "[", "[]", "[ ]", "{E437BC1C-AA7D-11D2-A382-00C04F991E27}", "[{E437BC1C-AA7D-11D2-A382-00C04F991E27}",
		"[{E437BC1C-AA7D-11D2-A382-00C04F991E2}]", "[{E437BC1C-AA7D-11D2-A382-00C04F991E27",
		"[{E437BC1C-AA7D-11D2-A382-00C04F991E2g}]", BEFORE "," BEHIND, BEFORE " " BEHIND, OURS "]", "[" OURS "]",
		"[E437BC1C-AA7D-11D2-A382-00C04F991E27]",
	};
	struct arena *a = arena_new(0);
	const char *got = "as it was";
	bool has = true;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (int with = 0; with < 2; with++) {
			err = (struct err){ 0 };
			if (gpo_extensions_edit(&got, &has, a, texts[i], with, &err) != -1)
				fail_msg("'%s' was taken", texts[i]);
			assert_int_equal(err.code, ERR_FORMAT);
			assert_non_null(strstr(err.msg, "gPCMachineExtensionNames"));
			assert_string_equal(got, "as it was");
			assert_true(has);
		}
	arena_free(a);
}

static void test_extension_limit(void **state)
{
	size_t n = strlen(BEFORE), times = GPO_EXTENSIONS_MAX / n;
	char *text = malloc((times + 1) * n + 1);
	struct arena *a = arena_new(0);
	const char *got;
	struct err err = { 0 };

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i <= times; i++)
		memcpy(text + i * n, BEFORE, n + 1);
	assert_int_equal(gpo_extensions_edit(&got, NULL, a, text, true, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	text[times * n] = '\0';
	assert_int_equal(gpo_extensions_edit(&got, NULL, a, text, true, &err), 0);
	assert_int_equal(strlen(got), times * n + strlen(OURS));
	free(text);
	arena_free(a);
}

static void test_version(void **state)
{
	(void)state;
	assert_int_equal(gpo_version_next(0), 1);
	assert_int_equal(gpo_version_next(1), 2);
	assert_int_equal(gpo_version_next(0x00030007), 0x00030008);
	/* It wraps within its half, and 0 would be an empty GPO. */
	assert_int_equal(gpo_version_next(0x0000ffff), 1);
	assert_int_equal(gpo_version_next(0x0003ffff), 0x00030001);
	assert_int_equal(gpo_version_next(-1), (int32_t)0xffff0001);
	assert_int_equal(gpo_version_next(INT32_MIN), INT32_MIN + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extension_comes),
		cmocka_unit_test(test_extension_is_there),
		cmocka_unit_test(test_extension_goes),
		cmocka_unit_test(test_extension_malformed),
		cmocka_unit_test(test_extension_limit),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
