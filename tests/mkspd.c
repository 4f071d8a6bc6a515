#include "tests/mkspd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "schema/err.h"

static _Noreturn void wrong(const char *what, const char *line)
{
	fprintf(stderr, "%s: '%s'\n", what, line);
	exit(64);
}

static const char *word(char **at, const char *line)
{
	char *w = strsep(at, " ");

	if (!w)
		wrong("short line", line);
	return w;
}

static uint8_t network(uint8_t addr[16], uint8_t *prefix, const char *text, const char *line)
{
	char *slash = strchr(text, '/');
	struct ip_addr a;

	if (!slash)
		wrong("no prefix", line);
	*slash = '\0';
	if (!ip_addr_read(&a, text))
		wrong("no address", line);
	memcpy(addr, a.b, sizeof(a.b));
	*prefix = (uint8_t)atoi(slash + 1);
	return a.family;
}

static void port(uint16_t *value, uint16_t *mask, const char *text)
{
	const char *slash = strchr(text, '/');

	*value = (uint16_t)strtoul(text, NULL, 10);
	*mask = slash ? (uint16_t)strtoul(slash + 1, NULL, 16) : *value ? 0xffff : 0;
}

static void template(struct spd_policy *p, const char *protocol, char **at, const char *line)
{
	struct spd_template *t = &p->templates[p->n_templates++];

	t->protocol = !strcmp(protocol, "ah") ? IPPROTO_AH : !strcmp(protocol, "esp") ? IPPROTO_ESP : 0;
	t->tunnel = !strcmp(word(at, line), "tunnel");
	if (t->tunnel && (!ip_addr_read(&t->src, word(at, line)) || !ip_addr_read(&t->dst, word(at, line))))
		wrong("no address", line);
	t->required = !strcmp(word(at, line), "required");
	word(at, line);		/* reqid */
	t->reqid = (uint32_t)strtoul(word(at, line), NULL, 0);
}

static uint8_t protocol_number(const char *name)
{
	return !strcmp(name, "tcp") ? IPPROTO_TCP : !strcmp(name, "udp") ? IPPROTO_UDP : !strcmp(name, "icmp") ? IPPROTO_ICMP :
	    !strcmp(name, "icmpv6") ? IPPROTO_ICMPV6 : (uint8_t)atoi(name);
}

struct spd_policy mk_spd_policy(const char *line)
{
	static char comments[64][256];	/* the last few lives on, as tests need it */
	static unsigned next;
	char *copy = strdup(line), *at = copy, *quote = strchr(copy, '"');
	struct spd_policy p = { .comment = "" };
	const char *w;

	if (quote) {
		quote[strlen(quote) - 1] = '\0';
		p.comment = strcpy(comments[next++ % 64], quote + 1);
		quote[-1] = '\0';
	}
	w = word(&at, line);
	p.dir = !strcmp(w, "in") ? SPD_IN : !strcmp(w, "out") ? SPD_OUT : SPD_FWD;
	p.sel.family = network(p.sel.src, &p.sel.src_prefix, word(&at, line), line);
	network(p.sel.dst, &p.sel.dst_prefix, word(&at, line), line);
	w = word(&at, line);
	if (strcmp(w, "any")) {
		p.sel.protocol = protocol_number(w);
		port(&p.sel.sport, &p.sel.sport_mask, word(&at, line));
		port(&p.sel.dport, &p.sel.dport_mask, word(&at, line));
	}
	word(&at, line);	/* priority */
	p.priority = (uint32_t)strtoul(word(&at, line), NULL, 10);
	while (at) {
		w = word(&at, line);
		if (!strcmp(w, "expires"))
			p.expires = (uint32_t)strtoul(word(&at, line), NULL, 10);
		else if (strcmp(w, "pass"))
			template(&p, w, &at, line);
	}
	free(copy);
	return p;
}

struct spd *mk_spd_raw(const char *text)
{
	struct spd *s = spd_new();
	char *copy = strdup(text), *at = copy, *line;

	while ((line = strsep(&at, "\n"))) {
		struct spd_policy p;

		if (!*line || *line == '#')
			continue;
		p = mk_spd_policy(line);
		spd_add(s, &p);
	}
	free(copy);
	return s;
}

struct spd *mk_spd(const char *text)
{
	struct spd *s = mk_spd_raw(text);
	struct err err;

	if (spd_seal(s, &err) < 0)
		wrong(err.msg, text);
	return s;
}
