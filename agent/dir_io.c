/* A layer of ours right above the socket of a libldap connection, below TLS and
 * SASL, that knows when to give up.  libldap's own timeouts do not reach into a
 * TLS handshake (with GnuTLS it retries for ever, without a pause) nor into a
 * record of which only a part has come. */
#include "agent/dir_backend.h"

#include <errno.h>
#include <ldap.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "schema/err.h"

#define LEVEL		15	/* above LBER_SBIOD_LEVEL_PROVIDER, below _TRANSPORT */
#define OPT_DEADLINE	0x6970	/* of our layer alone */
#define SLICE_MS	200	/* of waiting at a time */
#define GRACE		1.0	/* seconds: whoever waits for the answer gives up first, and says for what */

double dir_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int io_setup(Sockbuf_IO_Desc *d, void *arg)
{
	d->sbiod_pvt = arg;
	return 0;
}

static int io_remove(Sockbuf_IO_Desc *d)
{
	d->sbiod_pvt = NULL;
	return 0;
}

static int io_ctrl(Sockbuf_IO_Desc *d, int opt, void *arg)
{
	struct dir_io *io = d->sbiod_pvt;

	if (opt != OPT_DEADLINE)
		return LBER_SBIOD_CTRL_NEXT(d, opt, arg);
	io->deadline = *(const double *)arg;
	return 1;
}

/* Waits a little for the socket; false, with errno: not now, or too late. */
static bool io_wait(const struct dir_io *io, Sockbuf_IO_Desc *d, short events)
{
	struct pollfd p = { .fd = -1, .events = events };

	if (dir_now() > io->deadline) {
		errno = ETIMEDOUT;
		return false;
	}
	if (ber_sockbuf_ctrl(d->sbiod_sb, LBER_SB_OPT_GET_FD, &p.fd) <= 0 || p.fd < 0 || poll(&p, 1, SLICE_MS) != 0)
		return true;
	errno = EAGAIN;
	return false;
}

static ber_slen_t io_read(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	struct dir_io *io = d->sbiod_pvt;
	ber_slen_t n = io_wait(io, d, POLLIN) ? LBER_SBIOD_READ_NEXT(d, buf, len) : -1;

	io->traffic->received += n > 0 ? (size_t)n : 0;
	return n;
}

static ber_slen_t io_write(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	struct dir_io *io = d->sbiod_pvt;
	ber_slen_t n = io_wait(io, d, POLLOUT) ? LBER_SBIOD_WRITE_NEXT(d, buf, len) : -1;

	io->traffic->sent += n > 0 ? (size_t)n : 0;
	return n;
}

static int io_close(Sockbuf_IO_Desc *d)
{
	(void)d;
	return 0;
}

static Sockbuf_IO layer = {
	.sbi_setup = io_setup, .sbi_remove = io_remove, .sbi_ctrl = io_ctrl,
	.sbi_read = io_read, .sbi_write = io_write, .sbi_close = io_close,
};

/* Called by libldap for each connection it makes, before any TLS on it. */
static int on_connect(LDAP *ld, Sockbuf *sb, LDAPURLDesc *server, struct sockaddr *addr, struct ldap_conncb *cb)
{
	struct dir_io *io = cb->lc_arg;
	const struct timeval tv = { .tv_sec = 1 };
	ber_len_t max = DIR_MAX_BYTES;
	int fd = -1;

	(void)ld, (void)server, (void)addr;
	io->connected = true;
	io->deadline = dir_now() + io->seconds + GRACE;
	/* The socket blocks; a request that a full buffer takes in part may not. */
	if (ber_sockbuf_ctrl(sb, LBER_SB_OPT_GET_FD, &fd) > 0 && fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &max);
	return ber_sockbuf_add_io(sb, &layer, LEVEL, io);
}

static void on_disconnect(LDAP *ld, Sockbuf *sb, struct ldap_conncb *cb)
{
	(void)ld, (void)sb, (void)cb;
}

int dir_io_attach(LDAP *ld, struct dir_io *io, struct dir_traffic *traffic, unsigned seconds)
{
	*io = (struct dir_io){ .seconds = seconds, .traffic = traffic };
	io->cb = (struct ldap_conncb){ .lc_add = on_connect, .lc_del = on_disconnect, .lc_arg = io };
	return ldap_set_option(ld, LDAP_OPT_CONNECT_CB, &io->cb);
}

void dir_io_until(LDAP *ld, double when)
{
	Sockbuf *sb = NULL;

	when += GRACE;
	if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == 0 && sb &&
	    ber_sockbuf_ctrl(sb, LBER_SB_OPT_HAS_IO, &layer) > 0)
		ber_sockbuf_ctrl(sb, OPT_DEADLINE, &when);
}

/* ---- whoever waits above it ---- */

int dir_ldap_error(LDAP *ld, int rc, const char *doing, struct err *err)
{
	enum err_code code = ERR_OFFLINE;
	char *diag = NULL;

	switch (rc) {
	case LDAP_STRONG_AUTH_REQUIRED:
	case LDAP_CONFIDENTIALITY_REQUIRED:
	case LDAP_INAPPROPRIATE_AUTH:
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_INSUFFICIENT_ACCESS:
		code = ERR_DENIED;
		break;
	default:
		break;
	}
	ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &diag);
	if (diag && *diag)
		err_set(err, code, "%s: %s (%s)", doing, ldap_err2string(rc), diag);
	else
		err_set(err, code, "%s: %s", doing, ldap_err2string(rc));
	ldap_memfree(diag);
	return -1;
}

int dir_ldap_wait(LDAP *ld, int id, int all, double when, LDAPMessage **msg, struct err *err)
{
	struct timeval tv;
	double left;
	int rc;

	dir_io_until(ld, when);
	left = when - dir_now();
	if (left < 0)
		left = 0;
	tv.tv_sec = (time_t)left;
	tv.tv_usec = (suseconds_t)((left - (double)tv.tv_sec) * 1e6);
	*msg = NULL;
	rc = ldap_result(ld, id, all, &tv, msg);
	if (rc > 0)
		return 0;
	if (rc == 0) {
		ldap_abandon_ext(ld, id, NULL, NULL);
		return err_set(err, ERR_OFFLINE, "no answer in time");
	}
	ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &rc);
	return dir_ldap_error(ld, rc, "no answer", err);
}
