/* The ruleset as `nft -f` reads it and, nearly, as `nft list` shows it. */
#include "nft/ruleset.h"

#include <arpa/inet.h>
#include <nettle/sha2.h>
#include <netinet/in.h>
#include <string.h>

static const char *const verdicts[] = { "", "accept", "drop", "return", "jump", "goto", "vmap" };

/* Comments stand between double quotes and nft(8) knows no escape. */
static void put_quoted(const char *s, FILE *out)
{
	putc('"', out);
	for (; *s; s++)
		putc(*s == '"' || *s == '\\' || (unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f ? '?' : *s, out);
	putc('"', out);
}

void rs_comment_write(const char *s, FILE *out)
{
	if (*s) {
		fputs(" comment ", out);
		put_quoted(s, out);
	}
}

/* Only names that are words of nft's own grammar: no /etc/protocols needed. */
static void put_protocol(uint32_t p, FILE *out)
{
	switch (p) {
	case IPPROTO_ICMP: fputs("icmp", out); break;
	case IPPROTO_TCP: fputs("tcp", out); break;
	case IPPROTO_UDP: fputs("udp", out); break;
	case IPPROTO_ESP: fputs("esp", out); break;
	case IPPROTO_AH: fputs("ah", out); break;
	case IPPROTO_ICMPV6: fputs("icmpv6", out); break;
	default: fprintf(out, "%u", p);
	}
}

static void put_named(uint32_t v, const char *const *names, size_t n, FILE *out)
{
	if (v < n && names[v])
		fputs(names[v], out);
	else
		fprintf(out, "%u", v);
}

static void put_ct_state(uint32_t bits, FILE *out)
{
	static const char *const names[] = { "invalid", "established", "related", "new" };
	const char *sep = "";

	for (unsigned i = 0; i < 4; i++)
		if (bits & 1u << i) {
			fprintf(out, "%s%s", sep, names[i]);
			sep = ",";
		}
	if (bits & ~0xfu)
		fprintf(out, "%s0x%x", sep, bits & ~0xfu);
}

static void put_value(enum rs_field f, const uint8_t *p, FILE *out)
{
	/* <linux/rtnetlink.h> RTN_UNSPEC... */
	static const char *const route_types[] = { "unspec", "unicast", "local", "broadcast",
		"anycast", "multicast", "blackhole", "unreachable", "prohibit" };
	static const char *const families[AF_INET6 + 1] = { [AF_INET] = "ipv4", [AF_INET6] = "ipv6" };
	static const char *const bools[] = { "missing", "exists" };
	static const char *const directions[] = { "original", "reply" };
	char text[INET6_ADDRSTRLEN];

	switch (f) {
	case RS_SADDR4: case RS_DADDR4:
		fputs(inet_ntop(AF_INET, p, text, sizeof(text)), out);
		break;
	case RS_SADDR6: case RS_DADDR6:
		fputs(inet_ntop(AF_INET6, p, text, sizeof(text)), out);
		break;
	case RS_NFPROTO:
		put_named(p[0], families, sizeof(families) / sizeof(families[0]), out);
		break;
	case RS_L4PROTO:
		put_protocol(p[0], out);
		break;
	case RS_SADDR_TYPE: case RS_DADDR_TYPE:
		put_named(rs_num_get(p, f), route_types, sizeof(route_types) / sizeof(route_types[0]), out);
		break;
	case RS_META_IPSEC: case RS_RT_IPSEC:
		put_named(p[0], bools, 2, out);
		break;
	case RS_CT_STATE:
		put_ct_state(rs_num_get(p, f), out);
		break;
	case RS_CT_DIRECTION:
		put_named(p[0], directions, 2, out);
		break;
	case RS_IIF: case RS_OIF:
		/* The loopback device has index 1 in every network namespace. */
		if (rs_num_get(p, f) == 1)
			fputs("\"lo\"", out);
		else
			fprintf(out, "%u", rs_num_get(p, f));
		break;
	default:
		fprintf(out, "%u", rs_num_get(p, f));
	}
}

static void put_keys(const struct rs_lookup *l, FILE *out)
{
	uint8_t mask[16];

	for (unsigned i = 0; i < l->n_keys; i++) {
		const enum rs_field f = l->keys[i].field;
		const size_t len = rs_fields[f].len;

		fprintf(out, "%s%s", i ? " . " : "", rs_fields[f].text);
		if (l->keys[i].prefix < 8 * len) {
			rs_mask(mask, len, l->keys[i].prefix);
			fputs(" & ", out);
			put_value(f, mask, out);
		}
	}
}

/* "tcp dport 80" rather than "meta l4proto tcp th dport 80": nft lists it so. */
static const char *match_name(const struct rs_match *m, unsigned l4)
{
	if (m->field == RS_SPORT && l4)
		return l4 == IPPROTO_TCP ? "tcp sport" : "udp sport";
	if (m->field == RS_DPORT && l4)
		return l4 == IPPROTO_TCP ? "tcp dport" : "udp dport";
	return rs_fields[m->field].text;
}

static void match_write(const struct rs_match *m, unsigned l4, FILE *out)
{
	if (m->op == RS_LOOKUP) {
		put_keys(m->lookup, out);
		fprintf(out, " %s@%s ", m->lookup->invert ? "!= " : "", m->lookup->set);
		return;
	}
	fprintf(out, "%s ", match_name(m, l4));
	if (m->op == RS_NE)
		fputs("!= ", out);
	put_value(m->field, m->lo, out);
	if (m->op == RS_RANGE) {
		putc('-', out);
		put_value(m->field, m->hi, out);
	}
	putc(' ', out);
}

static bool is_port(const struct rs_match *m)
{
	return m->op != RS_LOOKUP && (m->field == RS_SPORT || m->field == RS_DPORT);
}

static void matches_write(const struct rs_rule *rule, FILE *out)
{
	unsigned l4 = 0;	/* TCP or UDP once that is known to be the protocol */

	for (size_t i = 0; i < rule->n_matches; i++) {
		const struct rs_match *m = &rule->matches[i];

		if (m->op == RS_EQ && m->field == RS_L4PROTO && (m->lo[0] == IPPROTO_TCP || m->lo[0] == IPPROTO_UDP)) {
			l4 = m->lo[0];
			if (i + 1 < rule->n_matches && is_port(m + 1))
				continue;
		}
		match_write(m, l4, out);
	}
}

/* limit rate 50/second burst 100 packets log prefix "..." group 4500 */
static void log_write(const struct rs_log *l, FILE *out)
{
	fprintf(out, "limit rate %u/second burst %u packets log prefix ", l->rate, l->burst);
	put_quoted(l->prefix, out);
	fprintf(out, " group %u", l->group);
}

void rs_rule_write(const struct rs_rule *rule, FILE *out)
{
	if (rule->foreign)
		fprintf(out, "unknown %s ", rule->foreign);
	matches_write(rule, out);
	if (rule->log)
		log_write(rule->log, out);
	if (rule->verdict == RS_VMAP) {
		put_keys(rule->vmap, out);
		fprintf(out, " vmap @%s", rule->vmap->set);
	} else {
		fprintf(out, "%s%s", rule->counter ? "counter" : "", rule->counter && rule->verdict ? " " : "");
		fputs(verdicts[rule->verdict], out);
		if (rule->chain)
			fprintf(out, " %s", rule->chain);
	}
	rs_comment_write(rule->comment, out);
}

static enum rs_field type_field(unsigned type)
{
	for (unsigned f = 0; f < RS_N_FIELDS; f++)
		if (rs_fields[f].type == type && type)
			return (enum rs_field)f;
	return RS_N_FIELDS;
}

void rs_key_write(const struct rs_set *s, const uint8_t *key, FILE *out)
{
	uint32_t left = s->key_len;
	int shift = 24;

	while (shift > 0 && !(s->key_type >> shift))
		shift -= 6;
	for (; shift >= 0; shift -= 6) {
		enum rs_field f = type_field(s->key_type >> shift & 0x3f);
		uint32_t len = f == RS_N_FIELDS ? 0 : rs_fields[f].len;

		if (!len || len > left)
			break;
		put_value(f, key, out);
		len = (len + 3) / 4 * 4 < left ? (len + 3) / 4 * 4 : left;
		key += len;
		left -= len;
		if (shift)
			fputs(" . ", out);
	}
	if (left)
		fputs("0x", out);
	for (; left; left--)
		fprintf(out, "%02x", *key++);
}

void rs_element_write(const struct rs_set *s, const struct rs_element *e, FILE *out)
{
	rs_key_write(s, e->key, out);
	if (e->foreign)
		fprintf(out, " unknown %s", e->foreign);
	rs_comment_write(e->comment, out);
	if (e->verdict)
		fprintf(out, " : %s", verdicts[e->verdict]);
	if (e->chain)
		fprintf(out, " %s", e->chain);
}

void rs_type_write(const struct rs_set *s, FILE *out)
{
	static const struct { unsigned type; const char *name; } names[] = {
		{ RS_TYPE_IPV4, "ipv4_addr" }, { RS_TYPE_IPV6, "ipv6_addr" },
		{ RS_TYPE_PROTO, "inet_proto" }, { RS_TYPE_SERVICE, "inet_service" },
		{ RS_TYPE_IFTYPE, "iface_type" },
	};
	int shift = 24;
	unsigned t, i;

	while (shift > 0 && !(s->key_type >> shift))
		shift -= 6;
	for (; shift >= 0; shift -= 6) {
		t = s->key_type >> shift & 0x3f;
		for (i = 0; i < sizeof(names) / sizeof(names[0]) && names[i].type != t; i++)
			;
		if (i < sizeof(names) / sizeof(names[0]))
			fputs(names[i].name, out);
		else
			fprintf(out, "type%u", t);
		if (shift)
			fputs(" . ", out);
	}
	if (s->map)
		fputs(" : verdict", out);
}

static void set_write(const struct rs_set *s, FILE *out)
{
	fprintf(out, "\n\t%s %s {\n", s->map ? "map" : "set", s->name);
	if (s->foreign)
		fprintf(out, "\t\t# unknown %s\n", s->foreign);
	if (*s->comment) {
		fputs("\t\tcomment ", out);
		put_quoted(s->comment, out);
		putc('\n', out);
	}
	fputs("\t\ttype ", out);
	rs_type_write(s, out);
	fprintf(out, "\n%s", s->counter ? "\t\tcounter\n" : "");
	for (size_t i = 0; i < s->n_elements; i++) {
		fputs(i ? ",\n\t\t\t     " : "\t\telements = { ", out);
		rs_element_write(s, &s->elements[i], out);
	}
	fprintf(out, "%s\t}\n", s->n_elements ? " }\n" : "");
}

static void hook_write(const struct rs_chain *c, FILE *out)
{
	static const char *const hooks[] = { "prerouting", "input", "forward", "output", "postrouting" };

	fprintf(out, "\t\ttype %s hook ", c->type);
	put_named((uint32_t)c->hook, hooks, sizeof(hooks) / sizeof(hooks[0]), out);
	fputs(" priority filter", out);
	if (c->priority)
		fprintf(out, " %c %d", c->priority < 0 ? '-' : '+', c->priority < 0 ? -c->priority : c->priority);
	fprintf(out, "; policy %s;\n", c->policy_drop ? "drop" : "accept");
}

static void chain_write(const struct rs_chain *c, FILE *out)
{
	fprintf(out, "\n\tchain %s {\n", c->name);
	if (*c->comment) {
		fputs("\t\tcomment ", out);
		put_quoted(c->comment, out);
		putc('\n', out);
	}
	if (c->hook != RS_HOOK_NONE)
		hook_write(c, out);
	for (size_t i = 0; i < c->n_rules; i++) {
		fputs("\t\t", out);
		rs_rule_write(&c->rules[i], out);
		putc('\n', out);
	}
	fputs("\t}\n", out);
}

int ruleset_write(const struct ruleset *r, FILE *out)
{
	for (size_t i = 0; i < r->n_warnings; i++)
		fprintf(out, "# warning: %s\n", r->warnings[i]);
	fprintf(out, "table inet %s {\n", RULESET_TABLE);
	if (r->flags)
		fprintf(out, "\t# unknown flags 0x%x\n", r->flags);
	if (r->n_foreign)
		fprintf(out, "\t# %zu unknown objects\n", r->n_foreign);
	if (*r->comment) {
		fputs("\tcomment ", out);
		put_quoted(r->comment, out);
		putc('\n', out);
	}
	for (size_t i = 0; i < r->n_sets; i++)
		set_write(r->sets[i], out);
	for (size_t i = 0; i < r->n_chains; i++)
		chain_write(r->chains[i], out);
	fputs("}\n", out);
	return ferror(out) ? -1 : 0;
}

static ssize_t digest_some(void *ctx, const char *p, size_t len)
{
	sha256_update(ctx, len, (const uint8_t *)p);
	return (ssize_t)len;
}

void ruleset_digest(const struct ruleset *r, uint8_t ret[static 32])
{
	const cookie_io_functions_t io = { .write = digest_some };
	struct sha256_ctx ctx;
	FILE *out;

	sha256_init(&ctx);
	out = fopencookie(&ctx, "w", io);
	if (out) {
		ruleset_write(r, out);
		fclose(out);
	}
	sha256_digest(&ctx, 32, ret);
}
