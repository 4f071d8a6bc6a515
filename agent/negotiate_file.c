#include "agent/negotiate_file.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/err.h"
#include "schema/ldif.h"
#include "store/file.h"

static int mode_check(int fd, const char *path, bool private, size_t max, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, ERR_SYSTEM, "'%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_FORMAT, "'%s' is not a file", path);
	if (private && st.st_uid != 0)
		return err_set(err, ERR_DENIED, "'%s' does not belong to root", path);
	if (private && st.st_mode & (S_IWGRP | S_IRWXO))
		return err_set(err, ERR_DENIED, "'%s' can be read by others or written by its group (mode %03o)", path, (unsigned)st.st_mode & 0777);
	if (st.st_size > (off_t)max)
		return err_set(err, ERR_LIMIT, "'%s' has more than %zu bytes", path, max);
	return file_mode_check(path, &st, err);
}

/* The file may grow while it is read. */
static int bytes_read(struct secret_file *f, int fd, const char *path, size_t max, struct err *err)
{
	ssize_t n;

	f->bytes = malloc(max + 2);
	if (!f->bytes)
		return err_nomem(err);
	while (f->len <= max) {
		n = read(fd, f->bytes + f->len, max + 1 - f->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ERR_SYSTEM, "'%s': %s", path, strerror(errno));
		if (n == 0)
			break;
		f->len += (size_t)n;
	}
	if (f->len > max)
		return err_set(err, ERR_LIMIT, "'%s' has more than %zu bytes", path, max);
	f->bytes[f->len] = '\0';
	return f->len ? 0 : err_set(err, ERR_FORMAT, "'%s' is empty", path);
}

int secret_file_read(struct secret_file *ret, const char *path, size_t max, bool private, struct err *err)
{
	struct secret_file f = { 0 };
	/* A pipe in its place must not hold up the service. */
	int rc = -1, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return err_set(err, errno == ENOENT ? ERR_ABSENT : ERR_SYSTEM, "'%s': %s", path, strerror(errno));
	if (mode_check(fd, path, private, max, err) == 0 && bytes_read(&f, fd, path, max, err) == 0) {
		*ret = f;
		f = (struct secret_file){ 0 };
		rc = 0;
	}
	close(fd);
	secret_file_free(&f);
	return rc;
}

void secret_file_free(struct secret_file *f)
{
	if (f->bytes)
		explicit_bzero(f->bytes, f->len);
	free(f->bytes);
	*f = (struct secret_file){ 0 };
}

static const uint8_t *find(const uint8_t *p, const uint8_t *end, const char *word)
{
	return p < end ? memmem(p, (size_t)(end - p), word, strlen(word)) : NULL;
}

int certs_split(struct cert_text ret[static CERTS_MAX], size_t *ret_n, const uint8_t *p, size_t len, struct err *err)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----", end_mark[] = "-----END CERTIFICATE-----";
	const uint8_t *end = p + len, *from = find(p, end, begin), *to;
	size_t n = 0;

	for (; from; from = find(to, end, begin)) {
		to = find(from, end, end_mark);
		if (!to)
			return err_set(err, ERR_FORMAT, "a PEM certificate without its end");
		if (n == CERTS_MAX)
			return err_set(err, ERR_LIMIT, "more than %d certificates", CERTS_MAX);
		to += sizeof(end_mark) - 1;
		ret[n++] = (struct cert_text){ from, (size_t)(to - from) };
	}
	*ret_n = n;
	return n ? 0 : err_set(err, ERR_FORMAT, "no certificate is in it");
}

static void digest_add(struct sha256_ctx *ctx, const struct secret_file *f)
{
	uint8_t length[8];

	for (size_t i = 0; i < sizeof(length); i++)
		length[i] = (uint8_t)((uint64_t)f->len >> 8 * i);
	sha256_update(ctx, sizeof(length), length);
	sha256_update(ctx, f->len, f->bytes);
}

#define PEM_LINE	48	/* bytes; 64 characters */

/* DER as PEM: one form for all that is done with it. */
static int pem_make(struct secret_file *f, struct err *err)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----\n", end[] = "-----END CERTIFICATE-----\n";
	const size_t size = sizeof(begin) + sizeof(end) + (f->len + 2) / 3 * 4 + f->len / PEM_LINE + 2;
	char *text = malloc(size), *p = text;

	if (!text)
		return err_nomem(err);
	p = stpcpy(p, begin);
	for (size_t i = 0; i < f->len; i += 3) {
		base64_quad(p, f->bytes + i, f->len - i < 3 ? f->len - i : 3);
		p += 4;
		if ((i + 3) % PEM_LINE == 0 || i + 3 >= f->len)
			*p++ = '\n';
	}
	p = stpcpy(p, end);
	secret_file_free(f);
	*f = (struct secret_file){ (uint8_t *)text, (size_t)(p - text) };
	return 0;
}

static int certs_read(struct secret_file *f, struct cert_text certs[static CERTS_MAX], size_t *n, const char *path, const char *what, struct err *err)
{
	if (secret_file_read(f, path, CERT_FILE_MAX, false, err) < 0)
		return err_prefix(err, "%s", what);
	/* The outermost SEQUENCE of a certificate. */
	if (f->bytes[0] == 0x30 && pem_make(f, err) < 0)
		return -1;
	if (certs_split(certs, n, f->bytes, f->len, err) < 0)
		return err_prefix(err, "%s '%s'", what, path);
	return 0;
}

int host_certs_read(struct host_certs *ret, const char *certificate, const char *key, const char *ca, struct err *err)
{
	struct host_certs h = { 0 };
	struct sha256_ctx ctx;

	if (certs_read(&h.certificate, h.certs, &h.n_certs, certificate, "certificate", err) < 0)
		goto fail;
	if (secret_file_read(&h.key, key, CERT_FILE_MAX, true, err) < 0) {
		err_prefix(err, "private-key");
		goto fail;
	}
	if (ca && certs_read(&h.ca, h.cas, &h.n_cas, ca, "ca", err) < 0)
		goto fail;
	sha256_init(&ctx);
	digest_add(&ctx, &h.certificate);
	digest_add(&ctx, &h.key);
	digest_add(&ctx, &h.ca);
	sha256_digest(&ctx, sizeof(h.digest), h.digest);
	*ret = h;
	return 0;
fail:
	host_certs_free(&h);
	return -1;
}

void host_certs_free(struct host_certs *h)
{
	secret_file_free(&h->certificate);
	secret_file_free(&h->key);
	secret_file_free(&h->ca);
	*h = (struct host_certs){ 0 };
}
