/* agent/negotiate_file.h - the files of [ike]: pre-shared key, certificates, private key. */
#ifndef AGENT_NEGOTIATE_FILE_H
#define AGENT_NEGOTIATE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct err;

#define KEY_FILE_MAX	(4u * 1024)	/* a pre-shared key */
#define CERT_FILE_MAX	(64u * 1024)
#define CERTS_MAX	16		/* in one file */

/* A file's bytes, with a NUL behind them that does not count. */
struct secret_file {
	uint8_t	*bytes;
	size_t	 len;
};
/* private: it must belong to root, and nobody else but its group may read it.  Else nobody else may write it.
 * Empty is an error; errors name the file. */
int secret_file_read(struct secret_file *ret, const char *path, size_t max, bool private, struct err *err);
void secret_file_free(struct secret_file *f);	/* overwrites it */

/* What charon needs to authenticate with certificates. */
struct host_certs {
	struct secret_file	 certificate, key, ca;	/* ca: len 0 when none is configured */
	/* One certificate in PEM each, also when the file is DER.  certs[0] is this host's. */
	struct cert_text { const uint8_t *p; size_t len; } certs[CERTS_MAX], cas[CERTS_MAX];
	size_t			 n_certs, n_cas;
	uint8_t			 digest[32];		/* of all that */
};
int host_certs_read(struct host_certs *ret, const char *certificate, const char *key, const char *ca, struct err *err);
void host_certs_free(struct host_certs *h);	/* may be all zero */
/* The PEM certificates in a file.  ERR_LIMIT: too many; ERR_FORMAT: none.  Pure. */
int certs_split(struct cert_text ret[static CERTS_MAX], size_t *ret_n, const uint8_t *p, size_t len, struct err *err);

#endif
