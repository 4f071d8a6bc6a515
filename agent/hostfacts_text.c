#include "agent/hostfacts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "schema/err.h"
#include "schema/facts.h"

#define LEASES_MAX	64	/* interfaces in one dhclient file */

/* Cuts the next line off; false at the end.  Lines of more than size - 1 bytes
 * yield what fits. */
static bool line_next(const char **p, const char *end, char *line, size_t size)
{
	const char *eol;
	size_t n;

	if (*p >= end)
		return false;
	eol = memchr(*p, '\n', (size_t)(end - *p));
	if (!eol)
		eol = end;
	n = (size_t)(eol - *p);
	if (n > size - 1)
		n = size - 1;
	memcpy(line, *p, n);
	line[n] = '\0';
	*p = eol < end ? eol + 1 : end;
	return true;
}

bool hostfacts_usable(const struct ip_addr *a)
{
	static const uint8_t zero[16], loop6[16] = { [15] = 1 };

	if (!memcmp(a->b, zero, sizeof(zero)) || !memcmp(a->b, loop6, sizeof(loop6)))
		return false;
	if (a->family == AF_INET)
		return a->b[0] != 127 && a->b[0] < 224;
	return a->b[0] != 0xff;
}

/* Every address in text; what is none is left out. */
static int addrs_add(struct host_facts *f, enum fact_kind kind, const char *text, struct err *err)
{
	static const char gap[] = " \t\r,;\"";
	char one[IP_ADDR_TEXT];
	struct ip_addr a;
	size_t n;

	for (text += strspn(text, gap); *text; text += n, text += strspn(text, gap)) {
		n = strcspn(text, gap);
		/* "fe80::1%eth0": the zone says where, the address is what counts. */
		snprintf(one, sizeof(one), "%.*s", (int)(n < sizeof(one) ? n : sizeof(one) - 1), text);
		one[strcspn(one, "%")] = '\0';
		if (!ip_addr_read(&a, one) || !hostfacts_usable(&a) || f->n_addrs[kind] >= HOSTFACTS_MAX)
			continue;
		if (facts_add(f, kind, &a, err) < 0)
			return -1;
	}
	return 0;
}

int hostfacts_resolv(struct host_facts *f, const char *text, size_t len, bool *stub, struct err *err)
{
	const char *p = text, *end = text + len;
	char line[512], *value;

	*stub = false;
	while (line_next(&p, end, line, sizeof(line))) {
		if (strncmp(line, "nameserver", 10) || (line[10] != ' ' && line[10] != '\t'))
			continue;
		value = line + 10 + strspn(line + 10, " \t");
		value[strcspn(value, " \t\r#;")] = '\0';
		if (!strcmp(value, "127.0.0.53") || !strcmp(value, "127.0.0.54"))
			*stub = true;
		else if (addrs_add(f, FACT_DNS, value, err) < 0)
			return -1;
	}
	return 0;
}

int hostfacts_lease(struct host_facts *f, const char *text, size_t len, struct err *err)
{
	static const struct {
		const char *key;
		enum fact_kind kind;
	} known[] = {
		{ "SERVER_ADDRESS=", FACT_DHCP },		/* networkd */
		{ "dhcp_server_identifier=", FACT_DHCP },	/* NetworkManager */
		{ "netbios_name_servers=", FACT_WINS },
	};
	const char *p = text, *end = text + len;
	char line[1024];
	size_t n;

	while (line_next(&p, end, line, sizeof(line)))
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			n = strlen(known[i].key);
			if (!strncmp(line, known[i].key, n) && addrs_add(f, known[i].kind, line + n, err) < 0)
				return -1;
		}
	return 0;
}

/* ---- dhclient ------------------------------------------------------------------ */

struct lease {
	char	interface[32];
	char	server[64], wins[512];
	bool	expired;
};

/* "4 2026/11/22 10:00:00" in UTC, "epoch 1795341600", "never". */
static bool lease_expired(const char *text, int64_t now)
{
	long long epoch;
	struct tm tm;
	int n;

	if (!strncmp(text, "never", 5))
		return false;
	if (sscanf(text, "epoch %lld", &epoch) == 1)
		return epoch < now;
	memset(&tm, 0, sizeof(tm));
	n = sscanf(text, "%*d %4d/%2d/%2d %2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec);
	if (n != 6)
		return true;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return timegm(&tm) < now;
}

static void value_copy(char *to, size_t size, const char *value)
{
	snprintf(to, size, "%s", value);
	to[strcspn(to, ";")] = '\0';
}

static void lease_line(struct lease *l, const char *line, int64_t now)
{
	static const char server[] = "option dhcp-server-identifier ", wins[] = "option netbios-name-servers ";

	if (!strncmp(line, "interface \"", 11)) {
		value_copy(l->interface, sizeof(l->interface), line + 11);
		l->interface[strcspn(l->interface, "\"")] = '\0';
	} else if (!strncmp(line, server, sizeof(server) - 1)) {
		value_copy(l->server, sizeof(l->server), line + sizeof(server) - 1);
	} else if (!strncmp(line, wins, sizeof(wins) - 1)) {
		value_copy(l->wins, sizeof(l->wins), line + sizeof(wins) - 1);
	} else if (!strncmp(line, "expire ", 7)) {
		l->expired = lease_expired(line + 7, now);
	}
}

/* The file is a log: later leases of an interface replace earlier ones. */
static void lease_keep(struct lease *leases, size_t *n, const struct lease *l)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (!strcmp(leases[i].interface, l->interface))
			break;
	if (i == LEASES_MAX)
		return;
	leases[i] = *l;
	if (i == *n)
		(*n)++;
}

int hostfacts_dhclient(struct host_facts *f, const char *text, size_t len, int64_t now, struct err *err)
{
	const char *p = text, *end = text + len;
	struct lease *leases, l = { 0 };
	char line[1024], *s;
	bool inside = false;
	size_t n = 0;
	int rc = -1;

	leases = calloc(LEASES_MAX, sizeof(*leases));
	if (!leases)
		return err_nomem(err);
	while (line_next(&p, end, line, sizeof(line))) {
		s = line + strspn(line, " \t");
		if (!strncmp(s, "lease {", 7)) {
			inside = true;
			memset(&l, 0, sizeof(l));
		} else if (inside && *s == '}') {
			inside = false;
			lease_keep(leases, &n, &l);
		} else if (inside) {
			lease_line(&l, s, now);
		}
	}
	for (size_t i = 0; i < n; i++)
		if (!leases[i].expired &&
		    (addrs_add(f, FACT_DHCP, leases[i].server, err) < 0 || addrs_add(f, FACT_WINS, leases[i].wins, err) < 0))
			goto out;
	rc = 0;
out:
	free(leases);
	return rc;
}
