#include "tests/mkpolicy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/facts.h"
#include "schema/policy.h"

static _Noreturn __attribute__((format(printf, 1, 2))) void broken(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	putc('\n', stderr);
	exit(2);
}

/* {n-kind-...}: n in the first eight digits. */
static struct guid number_guid(unsigned n, unsigned kind)
{
	struct guid g = { { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24), (uint8_t)kind } };

	return g;
}

static void *must(void *p)
{
	if (!p)
		broken("out of memory");
	return p;
}

static void source_add(struct mk *m, const char *store)
{
	static const char *const stores[] = { "local", "domain", "persistent", "dynamic" };
	unsigned i = 0;
	struct ipsec_policy *p;

	while (i < 4 && strcmp(store, stores[i]))
		i++;
	if (i == 4 || m->n_sources == MK_SOURCES)
		broken("store '%s'", store);
	p = must(policy_new());
	p->id = number_guid(0xa0 + (unsigned)m->n_sources, 1);
	p->name = m->n_sources ? "Second" : "Test policy";
	p->dn = p->description = p->when_changed = "";
	p->polling_seconds = 600;
	m->policies[m->n_sources] = p;
	m->sources[m->n_sources] = (struct render_source){ .policy = p, .store = i, .gpo_name = "" };
	if (i == RENDER_DOMAIN) {
		m->sources[m->n_sources].gpo = number_guid(0xaaaaaaaa, 2);
		m->sources[m->n_sources].gpo_name = "Test GPO";
	}
	m->n_sources++;
}

static void fact_add(struct mk *m, const char *kind, const char *addr)
{
	struct ip_addr a;
	struct err err;

	for (int k = 0; k < N_FACTS; k++)
		if (!strcmp(kind, fact_name(k)) && ip_addr_read(&a, addr) && !facts_add(m->facts, k, &a, &err))
			return;
	broken("fact '%s' '%s'", kind, addr);
}

static void kind_read(struct ipsec_negpol *n, const char *kind)
{
	n->action = !strcmp(kind, "permit") ? IPSEC_PERMIT : !strcmp(kind, "block") ? IPSEC_BLOCK : IPSEC_NEGOTIATE;
	if (!strcmp(kind, "pass") || !strcmp(kind, "request-pass"))
		n->inpass = true;
	if (!strcmp(kind, "request") || !strcmp(kind, "request-pass"))
		n->soft = true;
	if (n->action == IPSEC_NEGOTIATE && !n->inpass && !n->soft && strcmp(kind, "require"))
		broken("rule kind '%s'", kind);
}

static void rule_add(struct mk *m, char *words)
{
	struct ipsec_policy *p = m->policies[m->n_sources - 1];
	struct ipsec_negpol *n = must(arena_zalloc(p->arena, 1, sizeof(*n)));
	struct ipsec_filter_list *l = must(arena_zalloc(p->arena, 1, sizeof(*l)));
	struct ipsec_rule *rules = must(arena_grow(p->arena, p->rules, p->n_rules, sizeof(*rules)));
	struct ipsec_rule *r = &rules[p->n_rules];
	uint8_t **hooks = &m->hooks[m->n_sources - 1];
	const unsigned number = (unsigned)(++p->n_rules) << 28;
	char *w, *save = NULL;

	p->rules = rules;
	*hooks = must(realloc(*hooks, p->n_rules));
	m->sources[m->n_sources - 1].rule_hooks = *hooks;
	(*hooks)[p->n_rules - 1] = 0xff;
	memset(r, 0, sizeof(*r));
	r->id = number_guid(number, 3);
	n->id = number_guid(number, 4);
	l->id = number_guid(number, 5);
	l->name = l->description = n->name = n->description = r->description = r->interface_name = r->tunnel_name = "";
	r->active = true;
	r->negpol = n;
	r->filter_list = l;
	kind_read(n, strtok_r(words, " ", &save));
	for (r->name = ""; (w = strtok_r(NULL, " ", &save));) {
		if (!strcmp(w, "lan") || !strcmp(w, "dialup"))
			r->conntype = *w == 'l' ? IPSEC_CONN_LAN : IPSEC_CONN_DIALUP;
		else if (!strcmp(w, "tunnel"))
			r->tunnel = true;
		else if (!strcmp(w, "inactive"))
			r->active = false;
		else if (!strcmp(w, "default"))
			r->default_response = true;
		else if (!strncmp(w, "hooks=", 6))
			(*hooks)[p->n_rules - 1] = (uint8_t)atoi(w + 6);
		else if (!strncmp(w, "if=", 3))
			r->interface_name = must(arena_strdup(p->arena, w + 3));
		else {
			r->name = *save ? must(arena_printf(p->arena, "%s %s", w, save)) : must(arena_strdup(p->arena, w));
			break;
		}
	}
	if (r->default_response)
		r->filter_list = NULL;
}

static struct ipsec_ports ports_read(const char *w)
{
	struct ipsec_ports p = { 0, 0 };

	if (*w != '*') {
		p.lo = p.hi = (uint16_t)atoi(w);
		if (strchr(w, '-'))
			p.hi = (uint16_t)atoi(strchr(w, '-') + 1);
	}
	return p;
}

static void filter_add(struct mk *m, char *words)
{
	struct ipsec_policy *p = m->policies[m->n_sources - 1];
	struct ipsec_filter_list *l = (struct ipsec_filter_list *)p->rules[p->n_rules - 1].filter_list;
	char *save = NULL, *w[6] = { NULL };
	struct ipsec_filter *f;
	unsigned number = ++m->n_filters;

	if (*words == '#')
		number = (unsigned)strtoul(words + 1, &words, 10);
	for (int i = 0; i < 6; i++)
		w[i] = strtok_r(i ? NULL : words, " ", &save);
	if (!w[4])
		broken("filter has too few words");
	l->filters = must(arena_extend(p->arena, l->filters, l->n_filters, sizeof(*f)));
	f = &l->filters[l->n_filters++];
	f->id = number_guid(number, 6);
	f->description = f->src_dns = f->dst_dns = "";
	if (!ipsec_addr_read(&f->src, w[0]) || !ipsec_addr_read(&f->dst, w[1]))
		broken("filter address '%s' or '%s'", w[0], w[1]);
	f->protocol = (uint8_t)(!strcmp(w[2], "tcp") ? 6 : !strcmp(w[2], "udp") ? 17 : !strcmp(w[2], "any") ? 0 : atoi(w[2]));
	f->src_port = ports_read(w[3]);
	f->dst_port = ports_read(w[4]);
	f->mirrored = w[5] != NULL;
}

static void exempt_add(struct mk *m, char *words)
{
	struct boot_exemption *e = &m->boot.exemptions[m->boot.n_exemptions++];
	char proto[8], way[8];
	unsigned src, dst;

	if (m->boot.n_exemptions > SETTINGS_MAX_EXEMPTIONS || sscanf(words, "%7s %u %u %7s", proto, &src, &dst, way) != 4)
		broken("exempt '%s'", words);
	*e = (struct boot_exemption){ (uint8_t)(!strcmp(proto, "tcp") ? 6 : !strcmp(proto, "udp") ? 17 : atoi(proto)),
		(uint16_t)src, (uint16_t)dst, !strcmp(way, "out") };
}

static void line_read(struct mk *m, char *line)
{
	char *rest = strchr(line, ' '), *more;

	if (rest)
		*rest++ = '\0';
	if (!strcmp(line, "lifeline"))
		m->o.lifeline = true;
	else if (!strcmp(line, "any-is-ipv4"))
		m->o.any_is_ipv4 = true;
	else if (!rest)
		broken("line '%s'", line);
	else if (!strcmp(line, "ipsecexempt"))
		m->o.ipsecexempt = (unsigned)atoi(rest);
	else if (!strcmp(line, "diagnostics"))
		m->o.diagnostics = (unsigned)atoi(rest);
	else if (!strcmp(line, "exempt"))
		exempt_add(m, rest);
	else if (!strcmp(line, "fact") && (more = strchr(rest, ' '))) {
		*more = '\0';
		fact_add(m, rest, more + 1);
	} else if (!strcmp(line, "store")) {
		if (m->n_sources == 1 && !m->policies[0]->n_rules) {
			policy_free(m->policies[0]);
			m->n_sources = 0;
		}
		source_add(m, rest);
	} else if (!strcmp(line, "rule"))
		rule_add(m, rest);
	else if (!strcmp(line, "filter") && m->policies[m->n_sources - 1]->n_rules)
		filter_add(m, rest);
	else
		broken("line '%s'", line);
}

struct mk *mk_policy(const char *text)
{
	struct mk *m = must(calloc(1, sizeof(*m)));
	char *copy = must(strdup(text)), *save = NULL;

	m->facts = must(facts_new());
	m->o.ipsecexempt = 3;
	source_add(m, "domain");
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (*line != '#')
			line_read(m, line);
	free(copy);
	return m;
}

void mk_free(struct mk *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_sources; i++) {
		policy_free(m->policies[i]);
		free(m->hooks[i]);
	}
	facts_free(m->facts);
	free(m);
}

int mk_render(struct ruleset **ret, const struct mk *m, struct err *err)
{
	return policy_render(ret, m->sources, m->n_sources, m->facts, &m->o, err);
}

char *mk_file(const char *name)
{
	FILE *in = fopen(name, "r"), *out;
	char *text = NULL;
	size_t len;
	int c;

	if (!in)
		broken("cannot open '%s'", name);
	out = must(open_memstream(&text, &len));
	while ((c = getc(in)) != EOF)
		putc(c, out);
	fclose(in);
	fclose(out);
	return must(text);
}
