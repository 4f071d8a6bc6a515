/* image_parse on any bytes, and on bytes under a digest as those of an image are, so that what lies
 * behind the digest is reached: no crash, and what is accepted stays the same when
 * it is written and parsed again. */
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char head[] = "ipsecpol image 1\n";

static char *image_of(const char *body, size_t len, size_t *ret_len)
{
	size_t n = sizeof(head) - 1 + len;
	uint8_t digest[SHA256_DIGEST_SIZE];
	char *text = malloc(n + 70);
	struct sha256_ctx ctx;

	if (!text)
		abort();
	memcpy(text, head, sizeof(head) - 1);
	if (len)
		memcpy(text + sizeof(head) - 1, body, len);
	sha256_init(&ctx);
	sha256_update(&ctx, n, (const uint8_t *)text);
	sha256_digest(&ctx, sizeof(digest), digest);
	memcpy(text + n, "end ", 4);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(text + n + 4 + 2 * i, 3, "%02x", digest[i]);
	text[n + 68] = '\n';
	*ret_len = n + 69;
	return text;
}

/* The body of an image with these parts must be the body that was parsed. */
static void same(const struct gen_part *parts, size_t n, const char *body, size_t len)
{
	char *text = NULL;
	size_t text_len = 0;
	FILE *f = open_memstream(&text, &text_len);

	if (!f)
		abort();
	for (size_t i = 0; i < n; i++) {
		fprintf(f, "part %s %zu\n", parts[i].name, parts[i].len);
		fwrite(parts[i].text, 1, parts[i].len, f);
		fputc('\n', f);
		if (parts[i].text[parts[i].len])
			abort();
	}
	fclose(f);
	if (text_len != len || (len && memcmp(text, body, len)))
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	struct gen_part *parts;
	size_t n, len;
	struct err err;
	char *text;

	if (!a)
		abort();
	image_parse(&parts, &n, a, (const char *)data, size, &err);
	text = image_of((const char *)data, size, &len);
	if (image_parse(&parts, &n, a, text, len, &err) == 0)
		same(parts, n, (const char *)data, size);
	else if (err.code != ERR_DAMAGED)
		abort();
	free(text);
	arena_free(a);
	return 0;
}
