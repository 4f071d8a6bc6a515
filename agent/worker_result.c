/* What a worker wrote to its pipe: a whole result or nothing. */
#include "agent/worker.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"

#define MAX_PARTS	32

void worker_result_free(struct worker_result *r)
{
	if (r)
		arena_free(r->arena);
}

/* The line at *pos without its newline; NULL: there is no whole line. */
static const char *next_line(const char *text, size_t len, size_t *pos, size_t *ret_len)
{
	const char *line = text + *pos;
	const char *nl = memchr(line, '\n', len - *pos);

	if (!nl)
		return NULL;
	*ret_len = (size_t)(nl - line);
	*pos += *ret_len + 1;
	return line;
}

static int parse_trash(const char *line, size_t n, struct err *err)
{
	char word[32] = "";
	const char *msg = line + strlen("TRASH ");
	const char *space = memchr(msg, ' ', n - strlen("TRASH "));
	enum err_code code;

	if (space && (size_t)(space - msg) < sizeof(word))
		memcpy(word, msg, (size_t)(space - msg));
	code = err_code_parse(word);
	if (code == ERR_NONE)
		return err_set(err, ERR_FORMAT, "worker: malformed error line");
	return err_set(err, code, "%.*s", (int)(n - (size_t)(space + 1 - line)), space + 1);
}

/* "part NAME LENGTH", LENGTH without sign or leading zeros. */
static int parse_part(struct gen_part *ret, struct arena *a, const char *line, size_t n, struct err *err)
{
	const char *name = line + strlen("part "), *end = line + n;
	const char *space = memchr(name, ' ', (size_t)(end - name));
	size_t len = 0;

	if (!space || space == name || space - name > 31 || space + 1 == end || end - space > 11)
		return err_set(err, ERR_FORMAT, "worker: malformed part line");
	for (const char *p = name; p < space; p++)
		if (!((*p >= 'a' && *p <= 'z') || *p == '.' || *p == '-'))
			return err_set(err, ERR_FORMAT, "worker: malformed part name");
	for (const char *p = space + 1; p < end; p++) {
		if (*p < '0' || *p > '9' || (*p == '0' && p == space + 1 && p + 1 != end))
			return err_set(err, ERR_FORMAT, "worker: malformed part length");
		len = len * 10 + (size_t)(*p - '0');
	}
	ret->name = arena_strndup(a, name, (size_t)(space - name));
	ret->len = len;
	return ret->name ? 0 : err_nomem(err);
}

/* The policy is read by policy_read, to the byte; everything else is for people and must
 * do nothing to their terminals. */
static int part_text(struct gen_part *part, struct arena *a, const char *text)
{
	char *copy = arena_memdup(a, text, part->len + 1);

	if (!copy)
		return -1;
	copy[part->len] = '\0';
	if (strcmp(part->name, "policy")) {
		utf8_clean(copy, "\n\t");
		part->len = strlen(copy);
	}
	part->text = copy;
	return 0;
}

static int check_end(const char *line, size_t n, struct sha256_ctx *sha, struct err *err)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	char hex[2 * SHA256_DIGEST_SIZE + 1];

	sha256_digest(sha, sizeof(digest), digest);
	hex_text(hex, digest, sizeof(digest));
	if (n != strlen("END ") + strlen(hex) || memcmp(line + strlen("END "), hex, strlen(hex)))
		return err_set(err, ERR_FORMAT, "worker: digest does not match");
	return 0;
}

static int parse_parts(struct worker_result *r, const char *text, size_t len, struct err *err)
{
	struct sha256_ctx sha;
	struct gen_part *part;
	const char *line;
	size_t pos = 0, n, n_part;

	line = next_line(text, len, &pos, &n);
	if (line && n >= 6 && !memcmp(line, "TRASH ", 6))
		return parse_trash(line, n, err);
	if (!line || n != strlen("BEGIN ipsecpol 1") || memcmp(line, "BEGIN ipsecpol 1", n))
		return err_set(err, ERR_FORMAT, "worker: no result (it wrote %zu bytes)", len);
	sha256_init(&sha);
	while ((line = next_line(text, len, &pos, &n))) {
		if (n >= 6 && !memcmp(line, "TRASH ", 6))
			return parse_trash(line, n, err);
		if (n >= 4 && !memcmp(line, "END ", 4)) {
			if (pos != len)
				return err_set(err, ERR_FORMAT, "worker: bytes after the end");
			return check_end(line, n, &sha, err);
		}
		if (n < 5 || memcmp(line, "part ", 5) || r->n_parts == MAX_PARTS)
			return err_set(err, ERR_FORMAT, "worker: malformed result");
		part = &r->parts[r->n_parts];
		if (parse_part(part, r->arena, line, n, err) < 0)
			return -1;
		if (worker_part(r, part->name))
			return err_set(err, ERR_FORMAT, "worker: part '%s' twice", part->name);
		n_part = part->len;
		if (len - pos <= part->len || text[pos + part->len] != '\n')
			return err_set(err, ERR_FORMAT, "worker: part '%s' is cut short", part->name);
		if (memchr(text + pos, '\0', part->len))
			return err_set(err, ERR_FORMAT, "worker: part '%s' is not text", part->name);
		sha256_update(&sha, n + 1 + part->len + 1, (const uint8_t *)line);
		if (part_text(part, r->arena, text + pos) < 0)
			return err_nomem(err);
		pos += n_part + 1;
		r->n_parts++;
	}
	return err_set(err, ERR_FORMAT, "worker: the result has no end");
}

int worker_parse(struct worker_result **ret, const char *text, size_t len, struct err *err)
{
	struct arena *a = arena_new(0);
	struct worker_result *r = a ? arena_zalloc(a, 1, sizeof(*r)) : NULL;

	if (r) {
		r->arena = a;
		r->parts = arena_zalloc(a, MAX_PARTS, sizeof(*r->parts));
	}
	if (!r || !r->parts) {
		arena_free(a);
		return err_nomem(err);
	}
	if (parse_parts(r, text, len, err) < 0) {
		worker_result_free(r);
		return -1;
	}
	*ret = r;
	return 0;
}
