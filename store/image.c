#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "store/file.h"
#include "store/store.h"

#define HEAD		"ipsecpol image 1\n"
#define NAME_MAX_BYTES	64
#define HEX		(2 * SHA256_DIGEST_SIZE)
#define IMAGE_MAX	(512u << 20)

static const char name_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";

static void digest_hex(char out[static HEX + 1], struct sha256_ctx *ctx)
{
	uint8_t digest[SHA256_DIGEST_SIZE];

	sha256_digest(ctx, sizeof(digest), digest);
	hex_text(out, digest, sizeof(digest));
}

const struct gen_part *part_find(const struct gen_part *parts, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(parts[i].name, name))
			return &parts[i];
	return NULL;
}

/* ---- reading --------------------------------------------------------------------------- */

static int damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_DAMAGED, "image: %s", what);
}

/* "part NAME LENGTH\n", and nothing that reads like it: no leading zero, no sign. */
static int head_parse(const char **p, const char *end, struct gen_part *ret, struct arena *a, struct err *err)
{
	const char *eol = memchr(*p, '\n', (size_t)(end - *p)), *name = *p + 5, *digits;
	size_t len = 0, n;

	if (!eol || eol - *p < 8 || eol - *p > 5 + NAME_MAX_BYTES + 12 || memcmp(*p, "part ", 5))
		return damaged(err, "not a part where one is expected");
	digits = memchr(name, ' ', (size_t)(eol - name));
	n = digits ? (size_t)(digits - name) : 0;
	ret->name = n ? arena_strndup(a, name, n) : NULL;
	if (n && !ret->name)
		return err_nomem(err);
	if (n == 0 || n > NAME_MAX_BYTES || strspn(ret->name, name_chars) != n)
		return damaged(err, "part without a name");
	digits++;
	if (eol == digits || eol - digits > 10 || (*digits == '0' && eol - digits > 1))
		return damaged(err, "part without a length");
	for (; digits < eol; digits++) {
		if (*digits < '0' || *digits > '9')
			return damaged(err, "part without a length");
		len = len * 10 + (size_t)(*digits - '0');
	}
	ret->len = len;
	*p = eol + 1;
	return 0;
}

static int part_parse(const char **p, const char *end, struct gen_part *ret, struct arena *a, struct err *err)
{
	if (head_parse(p, end, ret, a, err) < 0)
		return -1;
	if ((size_t)(end - *p) <= ret->len || (*p)[ret->len] != '\n')
		return damaged(err, "part of another length than it says");
	/* One byte more than is counted: the NUL behind it. */
	ret->text = arena_zalloc(a, ret->len + 1, 1);
	if (!ret->text)
		return err_nomem(err);
	memcpy((char *)ret->text, *p, ret->len);
	*p += ret->len + 1;
	return 0;
}

/* First of all: nothing of an image that does not pass is looked at. */
static int digest_check(const char *text, size_t len, size_t *ret_body, struct err *err)
{
	static const size_t tail = 4 + HEX + 1;	/* "end " HEX "\n" */
	struct sha256_ctx ctx;
	char hex[HEX + 1];

	if (len < sizeof(HEAD) - 1 + tail)
		return damaged(err, "too short");
	if (memcmp(text, HEAD, sizeof(HEAD) - 1))
		return damaged(err, "not an image of this version");
	if (memcmp(text + len - tail, "end ", 4) || text[len - 1] != '\n')
		return damaged(err, "no end");
	sha256_init(&ctx);
	sha256_update(&ctx, len - tail, (const uint8_t *)text);
	digest_hex(hex, &ctx);
	if (memcmp(text + len - tail + 4, hex, HEX))
		return damaged(err, "the digest does not fit");
	*ret_body = len - tail;
	return 0;
}

int image_parse(struct gen_part **ret, size_t *ret_n, struct arena *a, const char *text, size_t len, struct err *err)
{
	struct gen_part *parts;
	const char *p, *end;
	size_t n = 0, body = 0;

	if (digest_check(text, len, &body, err) < 0)
		return -1;
	p = text + sizeof(HEAD) - 1;
	parts = arena_zalloc(a, STORE_MAX_PARTS, sizeof(*parts));
	if (!parts)
		return err_nomem(err);
	for (end = text + body; p < end; n++) {
		if (n == STORE_MAX_PARTS)
			return damaged(err, "too many parts");
		if (part_parse(&p, end, &parts[n], a, err) < 0)
			return -1;
		if (part_find(parts, n, parts[n].name))
			return damaged(err, "a part is there twice");
	}
	*ret = parts;
	*ret_n = n;
	return 0;
}

static int file_read(int fd, const char *path, char **ret, size_t *ret_len, struct err *err)
{
	size_t len = 0, size;
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return err_set(err, ERR_SYSTEM, "cannot read '%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_DENIED, "'%s' is not a regular file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(err, ERR_DENIED, "'%s' belongs to another user (uid %u)", path, (unsigned)st.st_uid);
	if (file_mode_check(path, &st, err) < 0)
		return -1;
	if (st.st_size > (off_t)IMAGE_MAX)
		return err_set(err, ERR_LIMIT, "'%s' is too large", path);
	size = (size_t)st.st_size + 1;
	text = malloc(size);
	if (!text)
		return err_nomem(err);
	while (len < size && (n = read(fd, text + len, size - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set(err, ERR_SYSTEM, "cannot read '%s': %s", path, strerror(errno));
			free(text);
			return -1;
		}
		len += (size_t)n;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

int image_read(const char *path, struct gen_part **ret, size_t *ret_n, struct arena *a, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	int fd, rc = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(err, errno == ENOENT ? ERR_ABSENT : errno == EACCES || errno == ELOOP ? ERR_DENIED : ERR_SYSTEM,
		    "cannot open '%s': %s", path, strerror(errno));
	if (file_read(fd, path, &text, &len, err) < 0)
		goto out;
	rc = image_parse(ret, ret_n, a, text, len, err);
	if (rc < 0)
		err_prefix(err, "'%s'", path);
out:
	free(text);
	close(fd);
	return rc;
}

/* ---- writing ------------------------------------------------------------------------------ */

static int put(FILE *f, struct sha256_ctx *ctx, const void *p, size_t len)
{
	sha256_update(ctx, len, p);
	return fwrite(p, 1, len, f) == len ? 0 : -1;
}

static int parts_write(FILE *f, const struct gen_part *parts, size_t n_parts)
{
	struct sha256_ctx ctx;
	char line[128];
	int n;

	sha256_init(&ctx);
	if (put(f, &ctx, HEAD, sizeof(HEAD) - 1) < 0)
		return -1;
	for (size_t i = 0; i < n_parts; i++) {
		n = snprintf(line, sizeof(line), "part %s %zu\n", parts[i].name, parts[i].len);
		if (put(f, &ctx, line, (size_t)n) < 0 || put(f, &ctx, parts[i].text, parts[i].len) < 0 || put(f, &ctx, "\n", 1) < 0)
			return -1;
	}
	digest_hex(line, &ctx);
	if (fprintf(f, "end %s\n", line) < 0 || fflush(f) < 0)
		return -1;
	return fsync(fileno(f));
}

static int names_check(const struct gen_part *parts, size_t n_parts, struct err *err)
{
	size_t total = 0;

	if (n_parts > STORE_MAX_PARTS)
		return err_set(err, ERR_LIMIT, "image of %zu parts", n_parts);
	for (size_t i = 0; i < n_parts; i++) {
		const char *name = parts[i].name;

		if (!*name || strlen(name) > NAME_MAX_BYTES || strspn(name, name_chars) != strlen(name))
			return err_set(err, ERR_FORMAT, "image: bad name '%.70s' of a part", name);
		if (part_find(parts, i, name))
			return err_set(err, ERR_FORMAT, "image: part '%s' is given twice", name);
		if (parts[i].len > STORE_MAX_PART || (total += parts[i].len) > IMAGE_MAX - 65536)
			return err_set(err, ERR_LIMIT, "image: part '%s' is too large", name);
	}
	return 0;
}

/* Of the file that was renamed to path. */
static int path_sync(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int rc = folder ? folder_sync(folder, err) : err_nomem(err);

	free(folder);
	return rc;
}

int image_write(const char *path, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	FILE *f = NULL;
	char *temp = NULL;
	int fd, rc = -1;

	if (names_check(parts, n_parts, err) < 0)
		return -1;
	if (asprintf(&temp, "%s.new", path) < 0)
		return err_nomem(err);
	/* One that a crash left behind is not written into: it might be a link. */
	if (unlink(temp) < 0 && errno != ENOENT)
		goto fail;
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		goto fail;
	f = fdopen(fd, "w");
	if (!f) {
		close(fd);
		goto fail;
	}
	if (parts_write(f, parts, n_parts) < 0)
		goto fail;
	rc = fclose(f);
	f = NULL;
	if (rc == 0)
		rc = rename(temp, path);
	if (rc == 0) {
		rc = path_sync(path, err);
		goto out;
	}
fail:
	rc = err_set(err, ERR_SYSTEM, "cannot write '%s': %s", path, strerror(errno));
	if (f)
		fclose(f);
	unlink(temp);
out:
	free(temp);
	return rc;
}
