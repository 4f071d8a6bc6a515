/* agent/hostfacts.h - find this host's addresses, DNS servers, gateways, DHCP servers.  SHELL.
 * resolv.conf (systemd-resolved's real servers behind its stub), default routes
 * and addresses by rtnetlink, DHCP leases of networkd, dhclient and NetworkManager. */
#ifndef AGENT_HOSTFACTS_H
#define AGENT_HOSTFACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct err;
struct host_facts;
struct ip_addr;

#define HOSTFACTS_MAX	256	/* addresses of one kind; more are not servers of one host */

/* What the configuration gives replaces what would be found; nothing found is no
 * error.  DCs are not looked for here: the caller adds them.  c NULL: no configuration. */
int hostfacts_find(struct host_facts **ret, const struct conf *c, struct err *err);

/* A descriptor that becomes readable when addresses or routes change; the caller
 * closes it. */
int hostfacts_watch_open(struct err *err);	/* -1: error */
int hostfacts_watch_read(int fd);		/* drains; 1: something changed, 0: not */

/* ---- the parsers, from text: what cannot be read is left out (agent/hostfacts_text.c) ---- */

/* nameserver lines.  *stub: there was one of systemd-resolved's own (127.0.0.53
 * or .54), which is not added. */
int hostfacts_resolv(struct host_facts *f, const char *text, size_t len, bool *stub, struct err *err);
/* KEY=VALUE files of networkd (/run/systemd/netif/leases/N) and NetworkManager
 * (/run/NetworkManager/devices/N): DHCP server, WINS servers. */
int hostfacts_lease(struct host_facts *f, const char *text, size_t len, struct err *err);
/* dhclient.leases(5): the last lease of each interface unless it expired before
 * now (CLOCK_REALTIME seconds).  DHCP server, WINS servers. */
int hostfacts_dhclient(struct host_facts *f, const char *text, size_t len, int64_t now, struct err *err);
bool hostfacts_usable(const struct ip_addr *a);	/* may be a server's: no loopback, multicast, 0.0.0.0 */

#endif
