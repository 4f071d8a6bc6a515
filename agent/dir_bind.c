/* Connecting to one LDAP server and saying who we are.  SASL GSSAPI signs and
 * seals; EXTERNAL needs ldapi or a client certificate; a password goes over TLS
 * or ldapi only.  There is no anonymous bind to fall back to. */
#include "agent/dir_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <ldap.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/directory.h"
#include "schema/arena.h"
#include "schema/err.h"

#define MAX_PASSWORD	4096
#define KDC_SECONDS	60
#define MIN_SSF		56	/* below it a connection is not sealed */
#define SYSTEM_CA	"/etc/ssl/certs/ca-certificates.crt"
#define FD_PATH		32	/* "/proc/self/fd/N" */

static bool is_ldapi(const char *uri)
{
	return !strncasecmp(uri, "ldapi:", 6);
}

static bool is_ldaps(const char *uri)
{
	return !strncasecmp(uri, "ldaps:", 6);
}

/* ---- TLS ---- */

static int set_file(LDAP *ld, int option, const char *what, const char *path, struct err *err)
{
	if (access(path, R_OK) < 0)
		return err_set(err, ERR_SYSTEM, "%s '%s': %s", what, path, strerror(errno));
	if (ldap_set_option(ld, option, path) != 0)
		return err_set(err, ERR_SYSTEM, "%s '%s' is refused", what, path);
	return 0;
}

/* libldap takes the authorities from ldap.conf(5) when we name none. */
static int set_ca(LDAP *ld, const struct conf *conf, struct err *err)
{
	char *file = NULL, *dir = NULL;
	int rc = 0;

	if (conf->tls_ca)
		return set_file(ld, LDAP_OPT_X_TLS_CACERTFILE, "CA file", conf->tls_ca, err);
	ldap_get_option(ld, LDAP_OPT_X_TLS_CACERTFILE, &file);
	ldap_get_option(ld, LDAP_OPT_X_TLS_CACERTDIR, &dir);
	if (!file && !dir && access(SYSTEM_CA, R_OK) == 0)
		rc = set_file(ld, LDAP_OPT_X_TLS_CACERTFILE, "CA file", SYSTEM_CA, err);
	ldap_memfree(file);
	ldap_memfree(dir);
	return rc;
}

/* The private key from its file, or as the parent process handed it over. */
static int set_key(LDAP *ld, int fd, const struct conf *conf, struct err *err)
{
	char path[FD_PATH];

	if (fd < 0)
		return set_file(ld, LDAP_OPT_X_TLS_KEYFILE, "private key", conf->tls_key, err);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return set_file(ld, LDAP_OPT_X_TLS_KEYFILE, "private key", path, err);
}

static int set_identity(LDAP *ld, const struct directory_conf *c, struct err *err)
{
	const struct conf *conf = c->conf;
	int fd = -1, rc = -1, client = 0;

	if (conf->tls_key && c->tls_key_fd >= 0) {
		fd = dir_memfd_copy(c->tls_key_fd, err);
		if (fd < 0)
			return err_prefix(err, "private key");
	}
	if (conf->tls_cert && set_file(ld, LDAP_OPT_X_TLS_CERTFILE, "certificate", conf->tls_cert, err) < 0)
		goto out;
	if (conf->tls_key && set_key(ld, fd, conf, err) < 0)
		goto out;
	/* Reads all the files, now. */
	if (ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &client) != 0) {
		err_set(err, ERR_SYSTEM, "TLS: CA file, certificate or private key cannot be used");
		goto out;
	}
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

static int set_tls(LDAP *ld, const struct directory_conf *c, struct err *err)
{
	const int demand = LDAP_OPT_X_TLS_DEMAND, min = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;

	if (ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) != 0 ||
	    ldap_set_option(ld, LDAP_OPT_X_TLS_PROTOCOL_MIN, &min) != 0)
		return err_set(err, ERR_SYSTEM, "this libldap has no TLS");
	if (set_ca(ld, c->conf, err) < 0)
		return -1;
	return set_identity(ld, c, err);
}

/* libldap says of a bad certificate no more than "Connect error". */
static int tls_error(LDAP *ld, int rc, const struct dir_io *io, const struct conf *conf, struct err *err)
{
	char *ca = NULL;

	if (dir_now() > io->deadline)
		return err_set(err, ERR_OFFLINE, "TLS: no answer in time");
	ldap_get_option(ld, LDAP_OPT_X_TLS_CACERTFILE, &ca);
	err_set(err, ERR_OFFLINE, "TLS failed: the server's certificate must be signed by an authority of %s%s "
	    "and name the host as the URI does (%s)", conf->tls_ca ? "" : "the system's ", ca ? ca : "ldap.conf",
	    ldap_err2string(rc));
	ldap_memfree(ca);
	return -1;
}

static int start_tls(LDAP *ld, const struct dir_io *io, const struct conf *conf, struct err *err)
{
	LDAPMessage *msg = NULL;
	int id, rc, code = LDAP_OTHER;

	rc = ldap_start_tls(ld, NULL, NULL, &id);
	if (rc != LDAP_SUCCESS)
		return dir_ldap_error(ld, rc, "StartTLS", err);
	if (dir_ldap_wait(ld, id, LDAP_MSG_ALL, dir_now() + conf->connect_timeout, &msg, err) < 0)
		return err_prefix(err, "StartTLS");
	rc = ldap_parse_result(ld, msg, &code, NULL, NULL, NULL, NULL, 1);
	if (rc != LDAP_SUCCESS || code != LDAP_SUCCESS) {
		dir_ldap_error(ld, rc ? rc : code, "StartTLS", err);
		err->code = ERR_OFFLINE;
		return -1;
	}
	rc = ldap_install_tls(ld);
	return rc == LDAP_SUCCESS ? 0 : tls_error(ld, rc, io, conf, err);
}

int dir_connect(LDAP *ld, const struct dir_io *io, const struct directory_conf *c, const char *uri, struct err *err)
{
	bool start = c->conf->tls == TLS_START && !is_ldapi(uri) && !is_ldaps(uri);
	int rc;

	if ((start || is_ldaps(uri)) && set_tls(ld, c, err) < 0)
		return -1;
	rc = ldap_connect(ld);
	if (rc != LDAP_SUCCESS && io->connected && is_ldaps(uri))
		return tls_error(ld, rc, io, c->conf, err);
	if (rc != LDAP_SUCCESS)
		return dir_ldap_error(ld, rc, "connect", err);
	return start ? start_tls(ld, io, c->conf, err) : 0;
}

/* ---- GSSAPI ---- */

static int interact(LDAP *ld, unsigned flags, void *defaults, void *in)
{
	(void)ld, (void)flags, (void)defaults;
	/* Who we are is in the ticket; whom we act for is the same. */
	for (sasl_interact_t *i = in; i->id != SASL_CB_LIST_END; i++) {
		i->result = i->defresult ? i->defresult : "";
		i->len = (unsigned)strlen(i->result);
	}
	return LDAP_SUCCESS;
}

/* Points libkrb5 to the machine's key.  *ret: the descriptor to close when done;
 * -1 without a key: then the caller's own tickets are used, `note` says why. */
static int use_keytab(int *ret, struct arena *a, const struct directory_conf *c, char *note, size_t n_note, struct err *err)
{
	const struct conf *conf = c->conf;
	char path[FD_PATH + 8], *principal;
	int fd = c->keytab_fd, rc;

	*ret = -1;
	if (fd < 0) {
		if (!conf->keytab)
			return 0;
		fd = open(conf->keytab, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			snprintf(note, n_note, "; keytab %s: %s", conf->keytab, strerror(errno));
			return 0;
		}
	}
	rc = dir_keytab(ret, &principal, a, fd, conf->computer, err);
	if (fd != c->keytab_fd)
		close(fd);
	if (rc < 0)
		return err_prefix(err, "keytab %s", conf->keytab ? conf->keytab : "given");
	snprintf(path, sizeof(path), "FILE:/proc/self/fd/%d", *ret);
	if (setenv("KRB5_CLIENT_KTNAME", path, 1) < 0 || setenv("KRB5CCNAME", "MEMORY:ipsecpol", 1) < 0)
		return err_nomem(err);
	return 0;
}

/* What use_keytab has set is for this bind alone: the next one of this process may be a person's. */
static char *env_copy(const char *name)
{
	const char *value = getenv(name);

	return value ? strdup(value) : NULL;
}

static void env_restore(const char *name, char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
	free(value);
}

/* own: with the tickets of whoever runs us, not with a keytab. */
static int gssapi_error(LDAP *ld, int rc, const char *doing, bool own, struct err *err)
{
	char *diag = NULL;

	ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &diag);
	if (own && rc == LDAP_LOCAL_ERROR && diag && (strcasestr(diag, "no kerberos credentials") ||
	    strcasestr(diag, "no credentials cache") || strcasestr(diag, "expired")))
		err_set(err, ERR_DENIED, "%s: no Kerberos ticket: run kinit (%s)", doing, diag);
	else
		dir_ldap_error(ld, rc, doing, err);
	ldap_memfree(diag);
	return -1;
}

static int gssapi_steps(LDAP *ld, const struct conf *conf, bool own, const char *note, struct err *err)
{
	LDAPMessage *msg = NULL;
	const char *mech = NULL;
	char doing[256];
	int id, rc;

	for (;;) {
		/* The ticket is fetched in here, with libkrb5's own patience. */
		dir_io_until(ld, dir_now() + KDC_SECONDS);
		rc = ldap_sasl_interactive_bind(ld, NULL, "GSSAPI", NULL, NULL, LDAP_SASL_QUIET, interact, NULL,
		    msg, &mech, &id);
		ldap_msgfree(msg);
		msg = NULL;
		if (rc != LDAP_SASL_BIND_IN_PROGRESS)
			break;
		if (dir_ldap_wait(ld, id, LDAP_MSG_ALL, dir_now() + conf->connect_timeout, &msg, err) < 0)
			return err_prefix(err, "Kerberos bind");
	}
	snprintf(doing, sizeof(doing), "Kerberos bind%s", note);
	return rc == LDAP_SUCCESS ? 0 : gssapi_error(ld, rc, doing, own, err);
}

static int bind_gssapi(LDAP *ld, const struct directory_conf *c, struct err *err)
{
	struct arena *a = arena_new(0);
	/* Sealed by Kerberos, or by TLS: AD refuses both at once. */
	const char *props = ldap_tls_inplace(ld) ? "minssf=0,maxssf=0,noanonymous,noplain" : "minssf=56,noanonymous,noplain";
	const int binding = LDAP_OPT_X_SASL_CBINDING_TLS_ENDPOINT;
	char *ktname = env_copy("KRB5_CLIENT_KTNAME"), *ccname = env_copy("KRB5CCNAME");
	ber_len_t ssf = 0;
	char note[160] = "";
	int fd = -1, rc = -1;

	if (!a) {
		err_nomem(err);
		goto out;
	}
	if (use_keytab(&fd, a, c, note, sizeof(note), err) < 0)
		goto out;
	if (ldap_set_option(ld, LDAP_OPT_X_SASL_SECPROPS, props) != 0 ||
	    (ldap_tls_inplace(ld) && ldap_set_option(ld, LDAP_OPT_X_SASL_CBINDING, &binding) != 0)) {
		err_set(err, ERR_SYSTEM, "libldap refuses SASL properties");
		goto out;
	}
	if (gssapi_steps(ld, c->conf, fd < 0, note, err) < 0)
		goto out;
	ldap_get_option(ld, LDAP_OPT_X_SASL_SSF, &ssf);
	if (!ldap_tls_inplace(ld) && ssf < MIN_SSF) {
		err_set(err, ERR_OFFLINE, "Kerberos bind: the connection is not sealed");
		goto out;
	}
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	env_restore("KRB5_CLIENT_KTNAME", ktname);
	env_restore("KRB5CCNAME", ccname);
	arena_free(a);
	return rc;
}

/* ---- EXTERNAL and simple ---- */

static int bind_once(LDAP *ld, const char *dn, const char *mech, const struct berval *cred, const struct conf *conf,
    struct err *err)
{
	const char *doing = mech ? "EXTERNAL bind" : "simple bind";
	LDAPMessage *msg = NULL;
	int id, rc, code = LDAP_OTHER;

	dir_io_until(ld, dir_now() + conf->connect_timeout);
	rc = ldap_sasl_bind(ld, dn, mech, (struct berval *)cred, NULL, NULL, &id);
	if (rc != LDAP_SUCCESS)
		return dir_ldap_error(ld, rc, doing, err);
	if (dir_ldap_wait(ld, id, LDAP_MSG_ALL, dir_now() + conf->connect_timeout, &msg, err) < 0)
		return err_prefix(err, "%s", doing);
	rc = ldap_parse_result(ld, msg, &code, NULL, NULL, NULL, NULL, 1);
	if (rc != LDAP_SUCCESS || code != LDAP_SUCCESS)
		return dir_ldap_error(ld, rc ? rc : code, doing, err);
	return 0;
}

static int bind_external(LDAP *ld, const struct directory_conf *c, const char *uri, struct err *err)
{
	const struct conf *conf = c->conf;
	struct berval none = { 0, (char *)"" };

	if (!is_ldapi(uri) && (!ldap_tls_inplace(ld) || !conf->tls_cert || !conf->tls_key))
		return err_set(err, ERR_SYSTEM, "EXTERNAL bind: needs ldapi, or TLS with a certificate and private key of this host");
	return bind_once(ld, NULL, "EXTERNAL", &none, conf, err);
}

/* The first line of the password file. */
static int read_password(char ret[static MAX_PASSWORD], const struct directory_conf *c, struct err *err)
{
	const char *path = c->conf->bind_password_file;
	int fd = c->password_fd;
	ssize_t n;

	if (fd < 0) {
		if (!path)
			return err_set(err, ERR_SYSTEM, "simple bind: no password file is configured");
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_set(err, ERR_SYSTEM, "simple bind: password file '%s': %s", path, strerror(errno));
	}
	n = fd == c->password_fd ? pread(fd, ret, MAX_PASSWORD, 0) : read(fd, ret, MAX_PASSWORD);
	if (fd != c->password_fd)
		close(fd);
	if (n < 0)
		return err_set(err, ERR_SYSTEM, "simple bind: password file: %s", strerror(errno));
	if (n == MAX_PASSWORD)
		return err_set(err, ERR_LIMIT, "simple bind: password of %d bytes or more", MAX_PASSWORD);
	ret[n] = '\0';
	if (strlen(ret) != (size_t)n)
		return err_set(err, ERR_FORMAT, "simple bind: password with a zero byte");
	ret[strcspn(ret, "\r\n")] = '\0';
	if (!*ret)
		return err_set(err, ERR_FORMAT, "simple bind: empty password (that would be an anonymous bind)");
	return 0;
}

static int bind_simple(LDAP *ld, const struct directory_conf *c, const char *uri, struct err *err)
{
	char password[MAX_PASSWORD];
	struct berval cred;
	int rc = -1;

	if (!is_ldapi(uri) && !ldap_tls_inplace(ld))
		return err_set(err, ERR_SYSTEM, "simple bind: refused without TLS (use ldaps:// or tls = start)");
	if (!c->conf->bind_dn || !*c->conf->bind_dn)
		return err_set(err, ERR_SYSTEM, "simple bind: no bind DN is configured");
	if (read_password(password, c, err) == 0) {
		cred = (struct berval){ strlen(password), password };
		rc = bind_once(ld, c->conf->bind_dn, LDAP_SASL_SIMPLE, &cred, c->conf, err);
	}
	explicit_bzero(password, sizeof(password));
	return rc;
}

int dir_bind(LDAP *ld, const struct directory_conf *c, const char *uri, struct err *err)
{
	switch (c->conf->bind) {
	case BIND_GSSAPI:
		return bind_gssapi(ld, c, err);
	case BIND_EXTERNAL:
		return bind_external(ld, c, uri, err);
	case BIND_SIMPLE:
		return bind_simple(ld, c, uri, err);
	}
	return err_set(err, ERR_SYSTEM, "no kind of bind is configured");
}
