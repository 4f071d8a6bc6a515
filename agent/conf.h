/* agent/conf.h - /etc/ipsecpol/ipsecpol.conf, see ipsecpol.conf(5).  Read with
 * libini_config; an unknown section or key, a value out of range is an error that
 * names file and line.  No file at the default place: the defaults. */
#ifndef AGENT_CONF_H
#define AGENT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/facts.h"

struct arena;
struct err;

#define CONF_FILE	SYSCONFDIR "/ipsecpol/ipsecpol.conf"

enum conf_bind { BIND_GSSAPI, BIND_EXTERNAL, BIND_SIMPLE };
enum conf_kerberos { CONF_KERBEROS_NONE, CONF_KERBEROS_PSK, CONF_KERBEROS_CERTIFICATE };
enum conf_tls { TLS_OFF, TLS_START };	/* StartTLS on ldap://; ldaps:// always has TLS */

struct conf {
	struct arena	*arena;
	const char	*file;			/* where it was read, or NULL: defaults */
	/* [directory] */
	const char	*uri;			/* "ldap:///" */
	const char	*domain;		/* DNS name; NULL: from the host's FQDN, else the root DSE */
	const char	*computer;		/* sAMAccountName with '$'; default: HOSTNAME$, at most 15 + '$' */
	const char	*site, *default_site;	/* NULL: find out / none */
	enum conf_bind	 bind;
	const char	*keytab;		/* /etc/krb5.keytab */
	const char	*bind_dn, *bind_password_file;
	enum conf_tls	 tls;
	const char	*tls_ca, *tls_cert, *tls_key;	/* NULL: the system's CAs / none */
	unsigned	 connect_timeout;	/* seconds, one attempt at one server; 5 */
	unsigned	 timeout;		/* seconds, one search; 60 */
	unsigned	 refresh_timeout;	/* seconds, a whole refresh; 240 */
	/* [policy] */
	bool		 wmi_allow;		/* wmi-filter = deny | allow */
	bool		 block_on_unreadable;	/* on-unreadable-policy = keep | block */
	unsigned	 refresh_interval;	/* seconds; 5400 */
	unsigned	 refresh_offset;	/* seconds; 1800 */
	bool		 refresh_spread;	/* no */
	unsigned	 full_read_interval;	/* seconds; 86400; 0: every refresh reads everything */
	bool		 notify;		/* no */
	/* [enforcement] */
	unsigned	 ipsecexempt;		/* 0..3; 3 */
	bool		 lifeline;		/* yes */
	bool		 any_is_ipv4;		/* no */
	struct host_facts *facts;		/* domain-controllers (beside those in use); dhcp-servers, wins-servers,
						 * dns-servers, gateways: instead of what is found */
	/* [ike] */
	const char	*vici;			/* charon's socket; /run/charon.vici */
	int		 ike_version;		/* enum ike_version; 1 */
	enum conf_kerberos kerberos;		/* what negotiates where a policy says Kerberos; none */
	const char	*kerberos_psk;		/* file with the key; NULL */
	const char	*certificate, *private_key, *ca;	/* PEM or DER files for charon; NULL: none */
	bool		 weak_offers;		/* no */
	bool		 ignore_mapping;	/* account-mapping = refuse | ignore */
	/* [daemon] */
	const char	*state_dir, *run_dir;	/* /var/lib/ipsecpol, /run/ipsecpol */
	const char	*socket;		/* RUN_DIR/ipsecpol.socket */
	const char	*worker_user;		/* ipsecpol */
	const char	*worker;		/* path of the worker program */
};

/* file NULL: the default one, which may be absent. */
int conf_read(struct conf **ret, const char *file, struct err *err);
/* The same from a text; name stands for the file in messages.  Looks at nothing
 * outside but the host name. */
int conf_parse(struct conf **ret, const char *name, const char *text, size_t len, struct err *err);
void conf_free(struct conf *c);		/* NULL: nothing */

/* May this directory be asked with this kind of bind and TLS?  A password travels
 * only under TLS or over ldapi.  conf_parse has asked it about c->uri; whoever
 * takes another URI asks again. */
int conf_uri_check(const struct conf *c, const char *uri, struct err *err);

#endif
