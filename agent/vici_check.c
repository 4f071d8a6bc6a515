/* Whether charon has a connection as it is wanted, from what it lists. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vici.h"
#include "nft/ike.h"
#include "schema/ascii.h"
#include "schema/err.h"

#define TEXT_MAX	256	/* of an address or selector */

/* ---- traffic selectors and addresses, which charon lists in its own words ---- */

struct span {
	uint8_t		 family;	/* 0: dynamic, any */
	uint8_t		 first[16], last[16];
	int		 protocol;	/* 0: any */
	long		 port, port_last;	/* 0..65535: any */
	bool		 opaque;
};

static void prefix_ends(struct span *s, unsigned bits)
{
	size_t n = s->family == AF_INET ? 4 : 16;

	for (size_t i = 0; i < n; i++) {
		uint8_t mask = bits >= 8 * (i + 1) ? 0xff : bits <= 8 * i ? 0 : (uint8_t)(0xff00 >> (bits - 8 * i));

		s->first[i] &= mask;
		s->last[i] = s->first[i] | (uint8_t)~mask;
	}
}

/* "10.0.0.0/8", "10.0.0.1", "10.0.0.1-10.0.0.9" and charon's "10.0.0.1..10.0.0.9"; text is changed. */
static bool network_read(struct span *s, char *text)
{
	char *more = strstr(text, ".."), *end;
	unsigned long bits;
	size_t skip = 2;
	bool prefix;

	if (!more) {
		more = text + strcspn(text, "/-");
		skip = *more != '\0';
	}
	s->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (skip == 0) {
		if (inet_pton(s->family, text, s->first) != 1)
			return false;
		memcpy(s->last, s->first, sizeof(s->last));
		return true;
	}
	prefix = *more == '/';
	*more = '\0';
	more += skip;
	if (inet_pton(s->family, text, s->first) != 1)
		return false;
	if (!prefix)
		return inet_pton(s->family, more, s->last) == 1;
	bits = strtoul(more, &end, 10);
	if (end == more || *end || bits > (s->family == AF_INET ? 32 : 128))
		return false;
	prefix_ends(s, (unsigned)bits);
	return true;
}

/* A line "http  80/tcp  www": its number when it has the name, else -1.  The line is changed. */
static long line_number(char *line, const char *name, const char *protocol)
{
	char *rest, *end, *word, *number;
	unsigned long n;

	line[strcspn(line, "#\n")] = '\0';
	word = strtok_r(line, " \t", &rest);
	number = word ? strtok_r(NULL, " \t", &rest) : NULL;
	if (!number)
		return -1;
	n = strtoul(number, &end, 10);
	if (end == number || n > 65535 || (protocol ? *end != '/' || strcmp(end + 1, protocol) : *end != '\0'))
		return -1;
	while (word && strcmp(word, name))
		word = strtok_r(NULL, " \t", &rest);
	return word ? (long)n : -1;
}

/* Not by getservbyname: what else the name service asks may be behind the network that this service closes. */
static long list_find(const char *path, const char *name, const char *protocol)
{
	char line[1024];
	FILE *f = fopen(path, "re");
	long n = -1;

	while (f && n < 0 && fgets(line, sizeof(line), f))
		n = line_number(line, name, protocol);
	if (f)
		fclose(f);
	return n;
}

static int protocol_read(const char *name)
{
	static const struct { const char *name; int number; } known[] = { { "tcp", 6 }, { "udp", 17 }, { "icmp", 1 }, { "ipv6-icmp", 58 } };
	char *end;
	unsigned long n = strtoul(name, &end, 10);
	long found;

	if (end != name && !*end)
		return n <= 255 ? (int)n : -1;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].name, name))
			return known[i].number;
	found = list_find("/etc/protocols", name, NULL);
	return found <= 255 ? (int)found : -1;
}

/* A number or the name of a service. */
static long port_read(const char *text, const char *protocol)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end != text && !*end)
		return n <= 65535 ? (long)n : -1;
	return list_find("/etc/services", text, protocol);
}

/* ICMP's type and code are one port number, type * 256 + code; below 256 it is a type.  Charon lists "8", "8(3)". */
static long icmp_read(const char *text)
{
	char *end, *code_end;
	unsigned long n = strtoul(text, &end, 10), code = 0;

	if (end == text)
		return -1;
	if (*end == '(') {
		code = strtoul(end + 1, &code_end, 10);
		if (strcmp(code_end, ")") || code > 255 || n > 255)
			return -1;
		return (long)(n * 256 + code);
	}
	if (*end || n > 65535)
		return -1;
	return (long)(n < 256 ? n * 256 : n);
}

static bool ports_read(struct span *s, char *text, const char *protocol)
{
	bool icmp = s->protocol == 1 || s->protocol == 58;
	char *dash;

	if (ascii_equal(text, "opaque")) {
		s->opaque = true;
		return true;
	}
	/* The names of services have dashes, too: the whole first. */
	s->port = s->port_last = icmp ? icmp_read(text) : port_read(text, protocol);
	if (s->port >= 0)
		return true;
	dash = strchr(text, '-');
	if (!dash)
		return false;
	*dash = '\0';
	s->port = icmp ? icmp_read(text) : port_read(text, protocol);
	s->port_last = icmp ? icmp_read(dash + 1) : port_read(dash + 1, protocol);
	return s->port >= 0 && s->port_last >= 0;
}

/* "dynamic", a network; then maybe "[tcp/http]".  false: not to be understood. */
static bool span_read(struct span *s, const char *given)
{
	char text[TEXT_MAX], *inner, *ports, *end;

	*s = (struct span){ .port_last = 65535 };
	if (strlen(given) >= sizeof(text))
		return false;
	strcpy(text, given);
	inner = text + strcspn(text, "[");
	if (*inner) {
		*inner++ = '\0';
		end = strchr(inner, ']');
		if (!end || end[1])
			return false;
		*end = '\0';
	}
	if (strcmp(text, "dynamic") && !network_read(s, text))
		return false;
	if (!*inner)
		return true;
	ports = strchr(inner, '/');
	if (ports)
		*ports++ = '\0';
	s->protocol = protocol_read(inner);
	return s->protocol >= 0 && (!ports || ports_read(s, ports, inner));
}

static bool selector_equal(const char *want, const char *listed)
{
	struct span a, b;

	if (!strcmp(want, listed))
		return true;
	if (!span_read(&a, want) || !span_read(&b, listed))
		return false;
	return a.family == b.family && !memcmp(a.first, b.first, sizeof(a.first)) && !memcmp(a.last, b.last, sizeof(a.last)) &&
	    a.protocol == b.protocol && a.port == b.port && a.port_last == b.port_last && a.opaque == b.opaque;
}

/* ---- comparing ---- */

static int differs(const char *what, const char *want, const char *listed, struct err *err)
{
	return err_set(err, ERR_UNSUPPORTED, "%s: charon has '%s' instead of '%s'", what, listed, want);
}

static int text_check(const struct vici_node *section, const char *name, const char *want, struct err *err)
{
	const char *listed = vici_value(section, name);

	return strcmp(listed, want) ? differs(name, want, listed, err) : 0;
}

static int number_check(const struct vici_node *section, const char *name, uint64_t want, struct err *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, want);
	return text_check(section, name, text, err);
}

static int list_check(const struct vici_node *section, const char *name, const struct ike_list *want, struct err *err)
{
	const struct vici_node *l = vici_get(section, name);

	if (!l || l->kind != VICI_LIST || l->n_children != want->n)
		return err_set(err, ERR_UNSUPPORTED, "%s: charon has %zu instead of %zu", name, l ? l->n_children : 0, want->n);
	for (size_t i = 0; i < want->n; i++)
		if (!selector_equal(want->texts[i], l->children[i].value))
			return differs(name, want->texts[i], l->children[i].value, err);
	return 0;
}

static const struct vici_node *section_get(const struct vici_node *parent, const char *name, struct err *err)
{
	const struct vici_node *n = vici_get(parent, name);

	if (n && n->kind == VICI_SECTION)
		return n;
	err_set(err, ERR_UNSUPPORTED, "%s: charon has none", name);
	return NULL;
}

/* Nothing may narrow or widen who is meant beyond what we said. */
static int empty_check(const struct vici_node *section, struct err *err)
{
	static const char *const lists[] = { "groups", "cert_policy", "certs", "cacerts" };
	const struct vici_node *l;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		l = vici_get(section, lists[i]);
		if (l && l->n_children > 0)
			return err_set(err, ERR_UNSUPPORTED, "%s: charon has %zu instead of 0", lists[i], l->n_children);
	}
	return text_check(section, "id", "", err);
}

/* charon lists a distinguished name with blanks behind its commas, and anything else that it took it for as it came. */
static int ca_check(const struct vici_node *remote, const char *dn, struct err *err)
{
	const char *listed = vici_value(remote, "ca_id"), *l = listed, *p = dn;

	while (*p && *p == *l) {
		if (*p == ',') {
			if (l[1] != ' ')
				break;
			l += 1 + strspn(l + 1, " ");
			p += 1 + strspn(p + 1, " ");
			continue;
		}
		p++;
		l++;
	}
	return *p || *l ? differs("ca_id", dn, listed, err) : 0;
}

static int auth_check(const struct ike_conn *want, const struct vici_node *listed, struct err *err)
{
	static const char *const revocations[] = { [IKE_RELAXED] = "", [IKE_IFURI] = "SKIPPED", [IKE_STRICT] = "GOOD" };
	const char *class = want->auth == IKE_PSK ? "pre-shared key" : "public key";
	const struct vici_node *local = section_get(listed, "local-1", err), *remote;

	remote = local ? section_get(listed, "remote-1", err) : NULL;
	if (!remote)
		return -1;
	if (vici_get(listed, "local-2") || vici_get(listed, "remote-2"))
		return err_set(err, ERR_UNSUPPORTED, "charon has a second round of authentication");
	if (text_check(local, "class", class, err) < 0 || text_check(local, "id", "", err) < 0)
		return err_prefix(err, "local");
	if (text_check(remote, "class", class, err) < 0 || empty_check(remote, err) < 0 ||
	    ca_check(remote, want->auth == IKE_CERTIFICATE ? want->ca_id : "", err) < 0 ||
	    text_check(remote, "revocation", want->auth == IKE_CERTIFICATE ? revocations[want->revocation] : "", err) < 0)
		return err_prefix(err, "remote");
	return 0;
}

static int child_check(const struct ike_child *want, const struct vici_node *children, struct err *err)
{
	const struct vici_node *c = section_get(children, want->name, err);

	if (!c)
		return -1;
	if (text_check(c, "mode", want->tunnel ? "TUNNEL" : "TRANSPORT", err) < 0 ||
	    number_check(c, "rekey_time", ike_renew_at(want->life_seconds), err) < 0 ||
	    number_check(c, "rekey_bytes", ike_renew_at(want->life_bytes), err) < 0 ||
	    number_check(c, "rekey_packets", 0, err) < 0 ||
	    text_check(c, "dpd_action", want->trap ? "trap" : "none", err) < 0 ||
	    text_check(c, "close_action", "none", err) < 0 ||
	    list_check(c, "local-ts", &want->local_ts, err) < 0 || list_check(c, "remote-ts", &want->remote_ts, err) < 0)
		return err_prefix(err, "child '%s'", want->name);
	return 0;
}

int ike_conn_check(const struct ike_conn *want, const struct vici_node *listed, struct err *err)
{
	static const char *const versions[] = { [IKE_ANY] = "IKEv1/2", [IKE_V1] = "IKEv1", [IKE_V2] = "IKEv2" };
	uint64_t renew = ike_renew_at(want->life_seconds);
	const struct vici_node *children;

	if (text_check(listed, "version", versions[want->version], err) < 0 ||
	    list_check(listed, "local_addrs", &want->local_addrs, err) < 0 ||
	    list_check(listed, "remote_addrs", &want->remote_addrs, err) < 0 ||
	    number_check(listed, "reauth_time", want->version == IKE_V1 ? renew : 0, err) < 0 ||
	    number_check(listed, "rekey_time", want->version == IKE_V1 ? 0 : renew, err) < 0 ||
	    text_check(listed, "unique", "UNIQUE_NEVER", err) < 0 ||
	    number_check(listed, "dpd_delay", IKE_DPD_SECONDS, err) < 0 || auth_check(want, listed, err) < 0)
		return -1;
	children = section_get(listed, "children", err);
	if (!children)
		return -1;
	if (children->n_children != want->n_children)
		return err_set(err, ERR_UNSUPPORTED, "children: charon has %zu instead of %zu", children->n_children, want->n_children);
	for (size_t i = 0; i < want->n_children; i++)
		if (child_check(&want->children[i], children, err) < 0)
			return -1;
	return 0;
}
