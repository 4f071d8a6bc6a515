/* A keytab may hold many principals of a host; as client key libkrb5 takes the
 * first, which need not be the machine account.  Format: MIT krb5, "Keytab file
 * format", version 0x0502, big-endian. */
#include "agent/dir_backend.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/memfd.h"
#include "schema/arena.h"
#include "schema/err.h"

#define MAX_KEYTAB	(256u << 10)

struct bytes {
	const uint8_t	*p;
	size_t		 len;
};

static int take(struct bytes *from, size_t n, struct bytes *ret)
{
	if (n > from->len)
		return -1;
	*ret = (struct bytes){ from->p, n };
	from->p += n;
	from->len -= n;
	return 0;
}

static int take_number(struct bytes *from, size_t n, uint32_t *ret)
{
	struct bytes b;

	if (take(from, n, &b) < 0)
		return -1;
	*ret = 0;
	for (size_t i = 0; i < n; i++)
		*ret = *ret << 8 | b.p[i];
	return 0;
}

static int take_counted(struct bytes *from, struct bytes *ret)
{
	uint32_t n;

	return take_number(from, 2, &n) < 0 ? -1 : take(from, n, ret);
}

/* 1: the record is a key of this account, whose realm it gives; 0: not; -1: malformed. */
static int record_match(struct bytes record, const char *account, struct bytes *ret_realm)
{
	struct bytes name;
	uint32_t n;

	if (take_number(&record, 2, &n) < 0 || take_counted(&record, ret_realm) < 0)
		return -1;
	if (n != 1)
		return 0;
	if (take_counted(&record, &name) < 0)
		return -1;
	return name.len == strlen(account) && !strncasecmp((const char *)name.p, account, name.len);
}

/* Copies the records of the account, all of one realm, to out. */
static int filter_records(uint8_t *out, size_t *ret_len, struct bytes *ret_realm, struct bytes in, const char *account)
{
	struct bytes record, realm, start;
	uint32_t len;
	int rc;

	*ret_len = 0;
	while (in.len >= 4) {
		start = in;
		take_number(&in, 4, &len);
		if (len == 0)
			break;
		/* A negative length is a hole where a key was deleted. */
		if (take(&in, (int32_t)len < 0 ? -(size_t)(int32_t)len : len, &record) < 0)
			return -1;
		rc = (int32_t)len < 0 ? 0 : record_match(record, account, &realm);
		if (rc < 0)
			return -1;
		if (!rc || (*ret_len && (realm.len != ret_realm->len || memcmp(realm.p, ret_realm->p, realm.len))))
			continue;
		*ret_realm = realm;
		memcpy(out + *ret_len, start.p, 4 + record.len);
		*ret_len += 4 + record.len;
	}
	return 0;
}

int dir_memfd_copy(int fd, struct err *err)
{
	uint8_t *text = malloc(MAX_KEYTAB);
	ssize_t n;
	int copy = -1;

	if (!text)
		return err_nomem(err);
	n = pread(fd, text, MAX_KEYTAB, 0);
	if (n < 0)
		err_set(err, ERR_SYSTEM, "%s", strerror(errno));
	else if (n == MAX_KEYTAB)
		err_set(err, ERR_LIMIT, "larger than %u bytes", MAX_KEYTAB);
	else
		copy = memfd_of("ipsecpol-key", text, (size_t)n, err);
	explicit_bzero(text, MAX_KEYTAB);
	free(text);
	return copy;
}

int dir_keytab(int *ret_fd, char **ret_principal, struct arena *a, int fd, const char *account, struct err *err)
{
	uint8_t *text = arena_zalloc(a, MAX_KEYTAB, 1), *out = arena_zalloc(a, MAX_KEYTAB, 1);
	struct bytes realm = { 0 };
	size_t len;
	ssize_t n;
	int rc = -1;

	if (!text || !out)
		return err_nomem(err);
	n = pread(fd, text, MAX_KEYTAB, 0);
	if (n < 0)
		return err_set(err, ERR_SYSTEM, "%s", strerror(errno));
	if (n == MAX_KEYTAB) {
		err_set(err, ERR_LIMIT, "larger than %u bytes", MAX_KEYTAB);
	} else if (n < 2 || text[0] != 5 || text[1] != 2 ||
	    filter_records(out + 2, &len, &realm, (struct bytes){ text + 2, (size_t)n - 2 }, account) < 0) {
		err_set(err, ERR_FORMAT, "not a keytab of version 5.2");
	} else if (len == 0) {
		err_set(err, ERR_ABSENT, "no key of '%s' in it", account);
	} else {
		*ret_principal = arena_printf(a, "%s@%.*s", account, (int)realm.len, (const char *)realm.p);
		memcpy(out, text, 2);
		*ret_fd = *ret_principal ? memfd_of("ipsecpol-keytab", out, len + 2, err) : err_nomem(err);
		rc = *ret_fd < 0 ? -1 : 0;
	}
	explicit_bzero(text, (size_t)n);
	explicit_bzero(out, (size_t)n);
	return rc;
}
