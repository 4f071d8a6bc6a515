/* The worker's pipe, as its parent reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/worker.h"
#include "schema/err.h"

static const char parts[] =
    "part assignment 4\nnone\n"
    "part policy 11\ntwo\nlines\x1b!\n"
    "part rsop 8\na\x1b[2J\n\tb\n"
    "part hints 0\n\n";

/* A whole result around the parts. */
static char *result(const char *body, size_t *len)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	char hex[2 * sizeof(digest) + 1];
	struct sha256_ctx sha;
	char *text;

	sha256_init(&sha);
	sha256_update(&sha, strlen(body), (const uint8_t *)body);
	sha256_digest(&sha, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	assert_true(asprintf(&text, "BEGIN ipsecpol 1\n%sEND %s\n", body, hex) > 0);
	*len = strlen(text);
	return text;
}

static void test_whole(void **state)
{
	struct worker_result *r = NULL;
	struct err err;
	size_t len;
	char *text = result(parts, &len);

	(void)state;
	assert_int_equal(worker_parse(&r, text, len, &err), 0);
	assert_int_equal(r->n_parts, 4);
	assert_string_equal(worker_part(r, "assignment")->text, "none");
	/* The policy is compared to the byte later; all else must do nothing to a terminal. */
	assert_string_equal(worker_part(r, "policy")->text, "two\nlines\x1b!");
	assert_string_equal(worker_part(r, "rsop")->text, "a?[2J\n\tb");
	assert_int_equal(worker_part(r, "hints")->len, 0);
	assert_null(worker_part(r, "site"));
	worker_result_free(r);
	free(text);
}

static void test_cut_and_flipped(void **state)
{
	struct worker_result *r = NULL;
	struct err err;
	size_t len;
	char *text = result(parts, &len);

	(void)state;
	for (size_t i = 0; i < len; i++)
		assert_int_equal(worker_parse(&r, text, i, &err), -1);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 1;
		if (worker_parse(&r, text, len, &err) == 0)
			fail_msg("byte %zu flipped, and nobody saw it", i);
		text[i] ^= 1;
	}
	free(text);
}

static void test_refused(void **state)
{
	static const char *const bodies[] = {
		"part a 01\nx\n", "part a -1\nx\n", "part a\nx\n", "part A 1\nx\n", "part  1\nx\n",
		"part a 1\nx\npart a 1\nx\n", "part a 99999999999\nx\n", "part a 2\nx\n", "x\n",
	};
	struct worker_result *r = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		size_t len;
		char *text = result(bodies[i], &len);

		if (worker_parse(&r, text, len, &err) == 0)
			fail_msg("accepted: %s", bodies[i]);
		assert_int_equal(err.code, ERR_FORMAT);
		free(text);
	}
}

static void test_trash(void **state)
{
	static const char trash[] = "TRASH offline nobody answered\n";
	static const char late[] = "BEGIN ipsecpol 1\npart a 1\nx\nTRASH denied no\n";
	static const char unknown[] = "TRASH nonsense x\n";
	struct worker_result *r = NULL;
	struct err err;

	(void)state;
	assert_int_equal(worker_parse(&r, trash, strlen(trash), &err), -1);
	assert_int_equal(err.code, ERR_OFFLINE);
	assert_string_equal(err.msg, "nobody answered");
	assert_int_equal(worker_parse(&r, late, strlen(late), &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	assert_int_equal(worker_parse(&r, unknown, strlen(unknown), &err), -1);
	assert_int_equal(err.code, ERR_FORMAT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole), cmocka_unit_test(test_cut_and_flipped),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_trash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
