#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/arena.h"
#include "store/store.h"
#include "tests/store_box.h"

/* ---- image --------------------------------------------------------------------------- */

static void test_image(void **state)
{
	static const char want[] =
	    "ipsecpol image 1\n"
	    "part policy 4\na\nb\n\n"
	    "part facts.json 0\n\n"
	    "end 8427fa6d9b5cd8fc4c36f596084e67cac1a4ee0539dd6940484a9371a83826dc\n";
	const struct gen_part parts[] = { { "policy", "a\nb\n", 4 }, { "facts.json", "", 0 } };
	const char *path = at("boot.image");
	struct gen_part *read_parts;
	struct stat st;
	char *text;
	size_t n, len;

	(void)state;
	assert_int_equal(image_read(path, &read_parts, &n, arena, &err), -1);
	assert_int_equal(err.code, ERR_ABSENT);
	umask(0);
	fine(image_write(path, parts, 2, &err));
	umask(022);
	stat(path, &st);
	assert_int_equal(st.st_mode & 07777, 0600);
	text = file_load(path, &len);
	assert_int_equal(len, sizeof(want) - 1);
	assert_memory_equal(text, want, len);
	free(text);
	fine(image_read(path, &read_parts, &n, arena, &err));
	assert_int_equal(n, 2);
	assert_string_equal(read_parts[0].name, "policy");
	assert_string_equal(read_parts[0].text, "a\nb\n");
	assert_int_equal(read_parts[0].len, 4);
	assert_string_equal(read_parts[1].name, "facts.json");
	assert_int_equal(read_parts[1].len, 0);
	/* None at all, and over what is there. */
	fine(image_write(path, NULL, 0, &err));
	fine(image_read(path, &read_parts, &n, arena, &err));
	assert_int_equal(n, 0);
	assert_int_equal(access(at("boot.image.new"), F_OK), -1);
	/* Others may write it. */
	chmod(path, 0622);
	assert_int_equal(image_read(path, &read_parts, &n, arena, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
}

static void test_image_refuses(void **state)
{
	const char *path = at("boot.image");
	struct gen_part part = { "Policy", "", 0 }, twice[] = { { "a", "", 0 }, { "a", "", 0 } }, *parts;
	size_t n;

	(void)state;
	assert_int_equal(image_write(path, &part, 1, &err), -1);
	part.name = "";
	assert_int_equal(image_write(path, &part, 1, &err), -1);
	part.name = "a b";
	assert_int_equal(image_write(path, &part, 1, &err), -1);
	assert_int_equal(image_write(path, twice, 2, &err), -1);
	part.name = "a";
	assert_int_equal(image_write(at("no/such/folder"), &part, 1, &err), -1);
	assert_int_equal(err.code, ERR_SYSTEM);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(image_read(path, &parts, &n, arena, &err), -1);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(image_read(path, &parts, &n, arena, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
}

static void test_image_damaged(void **state)
{
	const struct gen_part parts[] = { { "policy", "ipsecpol policy 1\nname \"a\"\nend\n", 0 }, { "facts", "dns 10.0.0.1\n", 13 } };
	struct gen_part copy[2] = { parts[0], parts[1] }, *out;
	const char *path = at("boot.image");
	char *text;
	size_t len, n;

	(void)state;
	copy[0].len = strlen(copy[0].text);
	fine(image_write(path, copy, 2, &err));
	text = file_load(path, &len);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 0x20;
		assert_int_equal(image_parse(&out, &n, arena, text, len, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		text[i] ^= 0x20;
		assert_int_equal(image_parse(&out, &n, arena, text, i, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
	}
	assert_int_equal(image_parse(&out, &n, arena, text, len, &err), 0);
	text[len] = '\n';
	assert_int_equal(image_parse(&out, &n, arena, text, len + 1, &err), -1);
	file_save(path, text, len + 1);
	assert_int_equal(image_read(path, &out, &n, arena, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_non_null(strstr(err.msg, path));
	free(text);
}

/* Sealed rightly, wrong within. */
static void test_image_malformed(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
#define IMAGE(t) { t, sizeof(t) - 1 }
		IMAGE("ipsecpol image 1\npart a 1\nx\nend 38d5c7fa914f7954f086d6f03800ee212f9785fd2563700f6ef0cf08c14c3034\n"),
		IMAGE("ipsecpol image 1\npart a 2\nx\nend fbde4a78c11f196b24c3034d22e8f29740169553f30522c6947f10dc50f01d48\n"),
		IMAGE("ipsecpol image 1\npart a 0\nx\nend b188de2a26be0ebe88358ae7752472ed12b1165ce8593d4dd0f2d2a7c07c3796\n"),
		IMAGE("ipsecpol image 1\npart a 1\nxyend 6f3573f998096f869b71337005a8bb3a814436bab3259e223242a3dd316f36b2\n"),
		IMAGE("ipsecpol image 1\npart  1\nx\nend 22bcc86e3e3586ecaebbc6aec52d05ba624881b276d93b55ce64e4b5cbcda000\n"),
		IMAGE("ipsecpol image 1\npart a\n\nend 594a3bbb154cb51e1de257d9b9813753700d5e72c6ebea3c5ee1fc27d1a0b10d\n"),
		IMAGE("ipsecpol image 1\npart A 1\nx\nend 4ee9e2f715c56ec007ba6652cc7847a691518f209c98e2ddb223552af3e54f5d\n"),
		IMAGE("ipsecpol image 1\npart a 01\nx\nend c61728b347657e55245a8e2ac620659dbc29ab6a80da686498de7472411f865d\n"),
		IMAGE("ipsecpol image 1\npart a -1\nx\nend 349c0aaf2e692e06f9b690ff297d7b25311e151c0b050292a19abcc34eb5944e\n"),
		IMAGE("ipsecpol image 1\npart a +1\nx\nend 65e5d5035d841021ba0d9fec435e18974cb7a66c3782f58b6796e15cd65d6df9\n"),
		IMAGE("ipsecpol image 1\npart a 1 \nx\nend 0a5796922b65feaa930da70869814b525042d63c411d87b08446a82b4b8c6571\n"),
		IMAGE("ipsecpol image 1\npart a 99999999999\nx\nend 2faa8a82e904886322577798db7be94cd35a7421f59b471d6632527b5354c033\n"),
		IMAGE("ipsecpol image 1\npart a 18446744073709551615\nx\nend 82997b31b340a571d266632c15ecba1c35982d737d6c02baa04751f5e3d7b1f2\n"),
		IMAGE("ipsecpol image 1\npart a 1\nx\npart a 1\nx\nend f18f4794f98fc4af45a4ba683622ecab1c688c3fb0396134337b4464094c8869\n"),
		IMAGE("ipsecpol image 1\nPart a 1\nx\nend bfc2db57d4f0994332e941b633931550ec41d9ca30b23fbb5b55947adea35bef\n"),
		IMAGE("ipsecpol image 1\nxend 2b11b662e087db44830ba561d30cd0178c01d451dda6471ee48910a10c200270\n"),
		IMAGE("ipsecpol image 1\n\nend f85368e114ee0c01bc643ff08797ab1447f7e7f215b747e212e78844529a9eae\n"),
		IMAGE("ipsecpol image 1\npart a 1\nx\n\nend b2c5a8ae3757c2513cf9cf895c1fd79af0e21c746d6adce4dcf6a4638f364f9a\n"),
		IMAGE("ipsecpol image 1\npart nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn 1\nx\nend 1911d3c84f1839320aff546111f0f86c8e64d4263cdd93f537e73c603db07360\n"),
		IMAGE("ipsecpol image 1\npart a 1end bfe1232de3d2136495953efb00b8877194cd0acf527289bc550161689a45e3f1\n"),
		IMAGE("ipsecpol image 1\npart p0 0\n\npart p1 0\n\npart p2 0\n\npart p3 0\n\npart p4 0\n\npart p5 0\n\npart p6 0\n\npart p7 0\n\npart p8 0\n\npart p9 0\n\npart p10 0\n\npart p11 0\n\npart p12 0\n\npart p13 0\n\npart p14 0\n\npart p15 0\n\npart p16 0\n\npart p17 0\n\npart p18 0\n\npart p19 0\n\npart p20 0\n\npart p21 0\n\npart p22 0\n\npart p23 0\n\npart p24 0\n\npart p25 0\n\npart p26 0\n\npart p27 0\n\npart p28 0\n\npart p29 0\n\npart p30 0\n\npart p31 0\n\npart p32 0\n\nend 8d7bbddc6ceb6cc961c1bb80e630809682ac51067119ffb2d51b8fee432d41a0\n"),
	};
	struct gen_part *parts;
	size_t n;

	(void)state;
	assert_int_equal(image_parse(&parts, &n, arena, cases[0].text, cases[0].len, &err), 0);
	for (size_t i = 1; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(image_parse(&parts, &n, arena, cases[i].text, cases[i].len, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		assert_null(strstr(err.msg, "digest"));
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, box_up, box_down)
	const struct CMUnitTest tests[] = {
		TEST(test_image),
		TEST(test_image_refuses),
		TEST(test_image_damaged),
		TEST(test_image_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
