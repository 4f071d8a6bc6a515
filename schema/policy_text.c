/* The canonical text of a policy.  One thing a line, tabs in front say what it
 * belongs to; always in this order, each optional line ("[...]") exactly when its
 * value is not empty or false.
 *
 *	ipsecpol policy 1
 *	policy GUID
 *		dn TEXT
 *		name TEXT
 *		[description TEXT]
 *		[changed TEXT]
 *		polling SECONDS
 *	main-mode GUID
 *		instance GUID
 *		master-pfs yes|no
 *		map-account yes|no
 *		exclude-ca yes|no
 *		quick-modes N
 *		lifetime SECONDS
 *		extra-offer CIPHER HASH group 14			any number up to 4
 *		offer CIPHER HASH group N lifetime SECONDS kbytes N quick-modes N [random-function N]
 *	filter-list GUID					any number, by GUID
 *		name TEXT
 *		[description TEXT]
 *		filter GUID ADDRESS [port PORTS] -> ADDRESS [port PORTS] protocol PROTOCOL mirrored|one-way
 *			[description TEXT]
 *			[source-name TEXT]
 *			[destination-name TEXT]
 *			[tunnel a.b.c.d]
 *	action GUID						any number, by GUID
 *		name TEXT
 *		[description TEXT]
 *		kind permit|block|negotiate
 *		inpass yes|no
 *		soft yes|no
 *		pfs yes|no
 *		default-response yes|no
 *		offer [ah HASH] [esp CIPHER HASH] lifetime SECONDS kbytes N
 *	rule GUID						any number, by GUID
 *		name TEXT
 *		[description TEXT]
 *		active yes|no
 *		connections all|lan|dialup
 *		[interface TEXT]
 *		tunnel none|a.b.c.d|a:b::c
 *		[tunnel-name TEXT]
 *		auth kerberos [map-account] [exclude-ca]
 *		auth certificate TEXT [map-account] [exclude-ca]
 *		auth preshared-key TEXT|*** [map-account] [exclude-ca]
 *			[alternate N [HEX]|***]
 *		filter-list none|GUID TEXT			the text repeats the name
 *		action GUID TEXT
 *	end
 *
 * CIPHER is none|des|3des, HASH none|md5|sha1; PORTS N or N-N; PROTOCOL
 * any|icmp|tcp|udp or a number; ADDRESS as ipsec_addr_text has it.  Numbers are
 * decimal, GUIDs lower case in braces.
 * TEXT stands in double quotes; \" and \\ are those characters and \u{1f} is the
 * character of that hexadecimal number: used for control and invisible formatting
 * characters, which could make a terminal show something else, and only there.
 * "end" shows that nothing is cut off. */
#include "schema/policy_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "schema/policy.h"
#include "schema/utf.h"

struct out {
	FILE			*f;
	enum policy_form	 form;
	bool			 bad;	/* a text was not UTF-8 */
};

static void put_text(struct out *o, const char *s)
{
	char bytes[4];
	int32_t c;

	putc('"', o->f);
	while ((c = utf8_next(&s)) > 0) {
		if (c == '"' || c == '\\')
			fprintf(o->f, "\\%c", (char)c);
		else if (utf8_hidden(c))
			fprintf(o->f, "\\u{%x}", (unsigned)c);
		else
			fwrite(bytes, 1, utf8_put(bytes, c), o->f);
	}
	if (c < 0)
		o->bad = true;
	putc('"', o->f);
}

static void line_text(struct out *o, const char *key, const char *s)
{
	fprintf(o->f, "%s ", key);
	put_text(o, s);
	putc('\n', o->f);
}

static void line_text_maybe(struct out *o, const char *key, const char *s)
{
	if (*s)
		line_text(o, key, s);
}

static void line_guid(struct out *o, const char *key, const struct guid *id)
{
	char text[GUID_TEXT];

	guid_text(id, text);
	fprintf(o->f, "%s %s\n", key, text);
}

static void line_bool(struct out *o, const char *key, bool b)
{
	fprintf(o->f, "%s %s\n", key, b ? "yes" : "no");
}

static void head_write(struct out *o, const struct ipsec_policy *p)
{
	fputs("ipsecpol policy 1\n", o->f);
	line_guid(o, "policy", &p->id);
	line_text(o, "\tdn", p->dn);
	line_text(o, "\tname", p->name);
	line_text_maybe(o, "\tdescription", p->description);
	line_text_maybe(o, "\tchanged", p->when_changed);
	fprintf(o->f, "\tpolling %u\n", p->polling_seconds);
}

static void isakmp_write(struct out *o, const struct ipsec_isakmp *m)
{
	struct ipsec_mm_offer extra;

	line_guid(o, "main-mode", &m->id);
	line_guid(o, "\tinstance", &m->instance);
	line_bool(o, "\tmaster-pfs", m->master_pfs);
	line_bool(o, "\tmap-account", m->map_account);
	line_bool(o, "\texclude-ca", m->exclude_ca);
	fprintf(o->f, "\tquick-modes %u\n\tlifetime %u\n", m->qm_limit, m->life_seconds);
	for (int i = 0; i < 4 && ipsec_mm_function(&extra, m->new_dh[i]); i++)
		fprintf(o->f, "\textra-offer %s %s group %u\n", ipsec_cipher_name(extra.encryption),
		    ipsec_hash_name(extra.hash), extra.group);
	for (size_t i = 0; i < m->n_offers; i++) {
		const struct ipsec_mm_offer *x = &m->offers[i];

		fprintf(o->f, "\toffer %s %s group %u lifetime %u kbytes %u quick-modes %u",
		    ipsec_cipher_name(x->encryption), ipsec_hash_name(x->hash), x->group,
		    x->life_seconds, x->life_kbytes, x->qm_limit);
		if (x->random_function)
			fprintf(o->f, " random-function %u", x->random_function);
		putc('\n', o->f);
	}
}

/* A filter's line is put together by hand: there are as many as filters, and printf is slow.  Each returns the end. */
static char *number_put(char *p, unsigned v)
{
	char digits[10];
	int n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		*p++ = digits[--n];
	*p = '\0';
	return p;
}

static char *side_put(char *p, const struct ipsec_addr *a, const struct ipsec_ports *ports)
{
	*p++ = ' ';
	ipsec_addr_text(a, p);
	p += strlen(p);
	if (ipsec_ports_any(ports))
		return p;
	p = number_put(stpcpy(p, " port "), ports->lo);
	return ports->hi != ports->lo ? number_put(stpcpy(p, "-"), ports->hi) : p;
}

static char *protocol_put(char *p, uint8_t protocol)
{
	const char *name = policy_protocol_name(protocol);

	p = stpcpy(p, " protocol ");
	return name ? stpcpy(p, name) : number_put(p, protocol);
}

#define FILTER_LINE	(GUID_TEXT + 2 * (IPSEC_ADDR_TEXT + 20) + 64)

static void filter_write(struct out *o, const struct ipsec_filter *f)
{
	char line[FILTER_LINE], *p = stpcpy(line, "\tfilter ");

	guid_text(&f->id, p);
	p = side_put(p + strlen(p), &f->src, &f->src_port);
	p = side_put(stpcpy(p, " ->"), &f->dst, &f->dst_port);
	p = protocol_put(p, f->protocol);
	p = stpcpy(p, f->mirrored ? " mirrored\n" : " one-way\n");
	fwrite(line, 1, (size_t)(p - line), o->f);
	line_text_maybe(o, "\t\tdescription", f->description);
	line_text_maybe(o, "\t\tsource-name", f->src_dns);
	line_text_maybe(o, "\t\tdestination-name", f->dst_dns);
	if (f->tunnel)
		fprintf(o->f, "\t\ttunnel %u.%u.%u.%u\n", f->tunnel_addr[0], f->tunnel_addr[1],
		    f->tunnel_addr[2], f->tunnel_addr[3]);
}

static void list_write(struct out *o, const struct ipsec_filter_list *l)
{
	line_guid(o, "filter-list", &l->id);
	line_text(o, "\tname", l->name);
	line_text_maybe(o, "\tdescription", l->description);
	for (size_t i = 0; i < l->n_filters; i++)
		filter_write(o, &l->filters[i]);
}

static void offer_write(struct out *o, const struct ipsec_offer *x)
{
	fputs("\toffer", o->f);
	if (x->has_ah)
		fprintf(o->f, " ah %s", ipsec_hash_name(x->ah_integrity));
	if (x->has_esp)
		fprintf(o->f, " esp %s %s", ipsec_cipher_name(x->esp_encryption),
		    ipsec_hash_name(x->esp_integrity));
	fprintf(o->f, " lifetime %u kbytes %u\n", x->life_seconds, x->life_kbytes);
}

static void negpol_write(struct out *o, const struct ipsec_negpol *n)
{
	line_guid(o, "action", &n->id);
	line_text(o, "\tname", n->name);
	line_text_maybe(o, "\tdescription", n->description);
	fprintf(o->f, "\tkind %s\n", ipsec_action_name(n->action));
	line_bool(o, "\tinpass", n->inpass);
	line_bool(o, "\tsoft", n->soft);
	line_bool(o, "\tpfs", n->pfs);
	line_bool(o, "\tdefault-response", n->default_response);
	for (size_t i = 0; i < n->n_offers; i++)
		offer_write(o, &n->offers[i]);
}

static void alternate_write(struct out *o, const struct ipsec_auth *m)
{
	fprintf(o->f, "\t\talternate %u", m->alt_type);
	if (o->form == POLICY_SHOWN)
		fputs(" ***", o->f);
	for (size_t i = 0; o->form == POLICY_SEALED && i < m->alt_len; i++)
		fprintf(o->f, i ? "%02x" : " %02x", m->alt[i]);
	putc('\n', o->f);
}

static void auth_write(struct out *o, const struct ipsec_auth *m)
{
	fprintf(o->f, "\tauth %s", ipsec_auth_name(m->method));
	if (m->method == IPSEC_AUTH_PSK && o->form == POLICY_SHOWN) {
		fputs(" ***", o->f);
	} else if (m->method != IPSEC_AUTH_KERBEROS) {
		putc(' ', o->f);
		put_text(o, m->text);
	}
	if (m->map_account)
		fputs(" map-account", o->f);
	if (m->exclude_ca)
		fputs(" exclude-ca", o->f);
	putc('\n', o->f);
	if (m->alt_type)
		alternate_write(o, m);
}

static void tunnel_write(struct out *o, const struct ipsec_rule *r)
{
	char text[INET6_ADDRSTRLEN];

	if (!r->tunnel)
		fputs("\ttunnel none\n", o->f);
	else if (inet_ntop(r->tunnel_end.family, r->tunnel_end.lo, text, sizeof(text)))
		fprintf(o->f, "\ttunnel %s\n", text);
	else
		o->bad = true;
	line_text_maybe(o, "\ttunnel-name", r->tunnel_name);
}

static void reference_write(struct out *o, const char *key, const struct guid *id, const char *name)
{
	char text[GUID_TEXT];

	guid_text(id, text);
	fprintf(o->f, "\t%s %s ", key, text);
	put_text(o, name);
	putc('\n', o->f);
}

static void rule_write(struct out *o, const struct ipsec_rule *r)
{
	line_guid(o, "rule", &r->id);
	line_text(o, "\tname", r->name);
	line_text_maybe(o, "\tdescription", r->description);
	line_bool(o, "\tactive", r->active);
	fprintf(o->f, "\tconnections %s\n", ipsec_conntype_name(r->conntype));
	line_text_maybe(o, "\tinterface", r->interface_name);
	tunnel_write(o, r);
	for (size_t i = 0; i < r->n_auth; i++)
		auth_write(o, &r->auth[i]);
	if (r->filter_list)
		reference_write(o, "filter-list", &r->filter_list->id, r->filter_list->name);
	else
		fputs("\tfilter-list none\n", o->f);
	reference_write(o, "action", &r->negpol->id, r->negpol->name);
}

int policy_write(const struct ipsec_policy *p, enum policy_form form, FILE *out)
{
	struct out o = { out, form, false };

	head_write(&o, p);
	isakmp_write(&o, &p->isakmp);
	for (size_t i = 0; i < p->n_filter_lists; i++)
		list_write(&o, &p->filter_lists[i]);
	for (size_t i = 0; i < p->n_negpols; i++)
		negpol_write(&o, &p->negpols[i]);
	for (size_t i = 0; i < p->n_rules; i++)
		rule_write(&o, &p->rules[i]);
	fputs("end\n", out);
	if (o.bad)
		errno = EILSEQ;
	return o.bad || ferror(out) ? -1 : 0;
}
