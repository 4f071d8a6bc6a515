/* IPsec policies as lines and as JSON, and their differences. */
#include "nft/spd.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <string.h>

static const char *const dirs[] = { "in", "out", "fwd" };

static const char *dir_name(enum spd_dir dir)
{
	return (unsigned)dir < sizeof(dirs) / sizeof(dirs[0]) ? dirs[dir] : "?";
}

/* ---- lines ---- */

#define NETWORK_TEXT	(INET6_ADDRSTRLEN + 4)

static const char *network_text(unsigned family, const uint8_t addr[static 16], unsigned prefix, char ret[static NETWORK_TEXT])
{
	char text[INET6_ADDRSTRLEN];

	snprintf(ret, NETWORK_TEXT, "%s/%u", inet_ntop((int)family, addr, text, sizeof(text)) ? text : "?", prefix & 0xff);
	return ret;
}

static void protocol_write(unsigned p, FILE *out)
{
	switch (p) {
	case IPPROTO_ICMP: fputs(" icmp", out); break;
	case IPPROTO_TCP: fputs(" tcp", out); break;
	case IPPROTO_UDP: fputs(" udp", out); break;
	case IPPROTO_ICMPV6: fputs(" icmpv6", out); break;
	default: fprintf(out, " %u", p);
	}
}

static void port_write(unsigned port, unsigned mask, FILE *out)
{
	if (!mask)
		fputs(" 0", out);
	else if (mask == 0xffff && port)
		fprintf(out, " %u", port);
	else
		fprintf(out, " %u/0x%04x", port, mask);
}

static void template_write(const struct spd_template *t, FILE *out)
{
	char src[IP_ADDR_TEXT], dst[IP_ADDR_TEXT];

	fprintf(out, " %s", t->protocol == IPPROTO_AH ? "ah" : t->protocol == IPPROTO_ESP ? "esp" : "?");
	if (t->tunnel) {
		ip_addr_text(&t->src, src);
		ip_addr_text(&t->dst, dst);
		fprintf(out, " tunnel %s %s", src, dst);
	} else {
		fputs(" transport", out);
	}
	fprintf(out, " %s reqid 0x%08x", t->required ? "required" : "use", t->reqid);
}

void spd_policy_write(const struct spd_policy *p, FILE *out)
{
	const struct spd_selector *s = &p->sel;
	char src[NETWORK_TEXT], dst[NETWORK_TEXT];

	fprintf(out, "%s %s %s", dir_name(p->dir), network_text(s->family, s->src, s->src_prefix, src),
	    network_text(s->family, s->dst, s->dst_prefix, dst));
	if (s->protocol) {
		protocol_write(s->protocol, out);
		port_write(s->sport, s->sport_mask, out);
		port_write(s->dport, s->dport_mask, out);
	} else {
		fputs(" any", out);
	}
	fprintf(out, " priority %u", p->priority);
	if (!p->n_templates)
		fputs(" pass", out);
	for (unsigned i = 0; i < p->n_templates && i < 2; i++)
		template_write(&p->templates[i], out);
	if (p->expires)
		fprintf(out, " expires %u", p->expires);
	if (p->comment && *p->comment)
		fprintf(out, " \"%s\"", p->comment);
}

int spd_write(const struct spd *s, FILE *out)
{
	for (size_t i = 0; i < s->n_policies; i++) {
		spd_policy_write(&s->policies[i], out);
		putc('\n', out);
	}
	return ferror(out) ? -1 : 0;
}

struct difference {
	FILE	*out;
	size_t	 n;
};

static void side_write(char sign, const struct spd_policy *p, struct difference *d)
{
	if (!p)
		return;
	d->n++;
	if (!d->out)
		return;
	fprintf(d->out, "%c ", sign);
	spd_policy_write(p, d->out);
	putc('\n', d->out);
}

static int difference_see(const struct spd_policy *want, const struct spd_policy *have, void *cookie)
{
	side_write('-', have, cookie);
	side_write('+', want, cookie);
	return 0;
}

size_t spd_diff(const struct spd *want, const struct spd *have, FILE *out)
{
	struct difference d = { .out = out };

	spd_walk(want, have, difference_see, &d);
	return d.n;
}

/* ---- JSON ---- */

static json_t *template_json(const struct spd_template *t)
{
	char src[IP_ADDR_TEXT], dst[IP_ADDR_TEXT];
	json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "protocol", t->protocol == IPPROTO_AH ? "ah" : "esp",
	    "mode", t->tunnel ? "tunnel" : "transport", "level", t->required ? "required" : "use",
	    "reqid", (json_int_t)t->reqid);

	if (!o || !t->tunnel)
		return o;
	ip_addr_text(&t->src, src);
	ip_addr_text(&t->dst, dst);
	if (json_object_set_new(o, "source", json_string(src)) || json_object_set_new(o, "destination", json_string(dst))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *policy_json(const struct spd_policy *p)
{
	const struct spd_selector *s = &p->sel;
	char src[NETWORK_TEXT], dst[NETWORK_TEXT];
	json_t *templates = json_array(), *o;

	o = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:o, s:s}", "dir", dir_name(p->dir),
	    "source", network_text(s->family, s->src, s->src_prefix, src),
	    "destination", network_text(s->family, s->dst, s->dst_prefix, dst), "protocol", s->protocol,
	    "priority", (json_int_t)p->priority, "expires", (json_int_t)p->expires, "templates", templates, "comment", p->comment);
	if (!o)
		return NULL;
	if (s->sport_mask | s->dport_mask &&
	    (json_object_set_new(o, "sport", json_integer(s->sport)) ||
	    json_object_set_new(o, "sport_mask", json_integer(s->sport_mask)) ||
	    json_object_set_new(o, "dport", json_integer(s->dport)) ||
	    json_object_set_new(o, "dport_mask", json_integer(s->dport_mask))))
		goto fail;
	for (unsigned i = 0; i < p->n_templates; i++)
		if (json_array_append_new(templates, template_json(&p->templates[i])))
			goto fail;
	if (rs_origin_json(o, p->origin) == 0)
		return o;
fail:
	json_decref(o);
	return NULL;
}

json_t *spd_json(const struct spd *s)
{
	json_t *policies = json_array(), *o = json_pack("{s:o}", "policies", policies);

	for (size_t i = 0; o && i < s->n_policies; i++)
		if (json_array_append_new(policies, policy_json(&s->policies[i]))) {
			json_decref(o);
			return NULL;
		}
	return o;
}
