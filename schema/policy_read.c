/* The text of a policy, back to the value.  Texts come over the worker's pipe and
 * from disk.  Each line is taken apart in the one order there is; that every byte
 * is the canonical one is then seen by writing the result again. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"
#include "schema/policy_text.h"

/* ---- main mode ---- */

static enum ipsec_cipher cipher_take(struct in *in)
{
	for (int c = IPSEC_CIPHER_NONE; c <= IPSEC_CIPHER_3DES; c++)
		if (in_take(in, ipsec_cipher_name((enum ipsec_cipher)c)))
			return (enum ipsec_cipher)c;
	in_fail(in, "unknown encryption");
	return IPSEC_CIPHER_NONE;
}

static enum ipsec_hash hash_take(struct in *in)
{
	for (int h = IPSEC_HASH_NONE; h <= IPSEC_HASH_SHA1; h++)
		if (in_take(in, ipsec_hash_name((enum ipsec_hash)h)))
			return (enum ipsec_hash)h;
	in_fail(in, "unknown hash");
	return IPSEC_HASH_NONE;
}

static void algorithms_take(struct in *in, struct ipsec_mm_offer *o)
{
	o->encryption = cipher_take(in);
	o->hash = hash_take(in);
	o->group = in_key_number(in, "group", UINT32_MAX);
}

static void extra_offer_take(struct in *in, struct ipsec_isakmp *m, size_t n)
{
	struct ipsec_mm_offer said = { 0 }, known = { 0 };

	algorithms_take(in, &said);
	if (n == 4) {
		in_fail(in, "more than four extra offers");
		return;
	}
	for (uint8_t f = 1; f <= 4; f++)
		if (ipsec_mm_function(&known, f) && known.encryption == said.encryption &&
		    known.hash == said.hash && known.group == said.group)
			m->new_dh[n] = f;
	if (!m->new_dh[n])
		in_fail(in, "unknown extra offer");
	in_done(in);
}

static void isakmp_read(struct in *in, struct ipsec_isakmp *m)
{
	struct ipsec_mm_offer *o;
	void *offers = NULL;
	size_t n = 0;

	in_need(in, "main-mode");
	m->id = in_guid(in);
	in_done(in);
	in_need(in, "\tinstance");
	m->instance = in_guid(in);
	in_done(in);
	m->master_pfs = in_bool_line(in, "\tmaster-pfs");
	m->map_account = in_bool_line(in, "\tmap-account");
	m->exclude_ca = in_bool_line(in, "\texclude-ca");
	m->qm_limit = in_number_line(in, "\tquick-modes");
	m->life_seconds = in_number_line(in, "\tlifetime");
	while (in_take(in, "\textra-offer"))
		extra_offer_take(in, m, n++);
	while (in_take(in, "\toffer")) {
		o = in_add(in, &offers, m->n_offers, sizeof(*o));
		if (!o)
			return;
		m->offers = offers;
		m->n_offers++;
		algorithms_take(in, o);
		o->life_seconds = in_key_number(in, "lifetime", UINT32_MAX);
		o->life_kbytes = in_key_number(in, "kbytes", UINT32_MAX);
		o->qm_limit = in_key_number(in, "quick-modes", UINT32_MAX);
		if (in_take(in, "random-function"))
			o->random_function = (uint8_t)in_number(in, 4);
		in_done(in);
	}
}

/* ---- filter lists ---- */

static void ports_take(struct in *in, struct ipsec_ports *p)
{
	char word[WORD_MAX], *dash;
	uint32_t lo, hi;

	if (!in_take(in, "port") || !in_word(in, word))
		return;
	dash = strchr(word, '-');
	if (dash)
		*dash = '\0';
	if (!in_number_parse(&lo, word, UINT16_MAX) ||
	    !in_number_parse(&hi, dash ? dash + 1 : word, UINT16_MAX)) {
		in_fail(in, "not a port");
		return;
	}
	p->lo = (uint16_t)lo;
	p->hi = (uint16_t)hi;
}

static void side_take(struct in *in, struct ipsec_addr *a, struct ipsec_ports *p)
{
	char word[WORD_MAX];

	if (in_word(in, word) && !ipsec_addr_read(a, word))
		in_fail(in, "not an address");
	ports_take(in, p);
}

static uint8_t protocol_take(struct in *in)
{
	static const uint8_t named[] = { 0, 1, 6, 17 };

	in_need(in, "protocol");
	for (size_t i = 0; i < sizeof(named); i++)
		if (in_take(in, policy_protocol_name(named[i])))
			return named[i];
	return (uint8_t)in_number(in, UINT8_MAX);
}

static void filter_read(struct in *in, struct ipsec_filter *f)
{
	char word[WORD_MAX];

	f->id = in_guid(in);
	side_take(in, &f->src, &f->src_port);
	in_need(in, "->");
	side_take(in, &f->dst, &f->dst_port);
	f->protocol = protocol_take(in);
	f->mirrored = in_take(in, "mirrored");
	if (!f->mirrored)
		in_need(in, "one-way");
	in_done(in);
	f->description = in_text_maybe(in, "\t\tdescription");
	f->src_dns = in_text_maybe(in, "\t\tsource-name");
	f->dst_dns = in_text_maybe(in, "\t\tdestination-name");
	f->tunnel = in_take(in, "\t\ttunnel");
	if (!f->tunnel)
		return;
	if (in_word(in, word) && inet_pton(AF_INET, word, f->tunnel_addr) != 1)
		in_fail(in, "not an IPv4 address");
	in_done(in);
}

static void lists_read(struct in *in, struct ipsec_policy *p)
{
	struct ipsec_filter_list *l;
	void *lists = NULL, *filters;
	struct ipsec_filter *f;

	while (in_take(in, "filter-list")) {
		l = in_add(in, &lists, p->n_filter_lists, sizeof(*l));
		if (!l)
			return;
		p->filter_lists = lists;
		p->n_filter_lists++;
		l->id = in_guid(in);
		in_done(in);
		l->name = in_text_line(in, "\tname");
		l->description = in_text_maybe(in, "\tdescription");
		filters = NULL;
		while (in_take(in, "\tfilter")) {
			f = in_add(in, &filters, l->n_filters, sizeof(*f));
			if (!f)
				return;
			l->filters = filters;
			l->n_filters++;
			filter_read(in, f);
		}
	}
}

/* ---- actions ---- */

static void offers_read(struct in *in, struct ipsec_negpol *n)
{
	void *offers = NULL;
	struct ipsec_offer *o;

	while (in_take(in, "\toffer")) {
		o = in_add(in, &offers, n->n_offers, sizeof(*o));
		if (!o)
			return;
		n->offers = offers;
		n->n_offers++;
		o->has_ah = in_take(in, "ah");
		if (o->has_ah)
			o->ah_integrity = hash_take(in);
		o->has_esp = in_take(in, "esp");
		if (o->has_esp) {
			o->esp_encryption = cipher_take(in);
			o->esp_integrity = hash_take(in);
		}
		o->life_seconds = in_key_number(in, "lifetime", UINT32_MAX);
		o->life_kbytes = in_key_number(in, "kbytes", UINT32_MAX);
		in_done(in);
	}
}

static enum ipsec_action kind_line(struct in *in)
{
	int kind = IPSEC_PERMIT;

	in_need(in, "\tkind");
	while (kind <= IPSEC_NEGOTIATE && !in_take(in, ipsec_action_name((enum ipsec_action)kind)))
		kind++;
	if (kind > IPSEC_NEGOTIATE) {
		in_fail(in, "unknown kind of action");
		return IPSEC_BLOCK;
	}
	in_done(in);
	return (enum ipsec_action)kind;
}

static void negpols_read(struct in *in, struct ipsec_policy *p)
{
	struct ipsec_negpol *n;
	void *negpols = NULL;

	while (in_take(in, "action")) {
		n = in_add(in, &negpols, p->n_negpols, sizeof(*n));
		if (!n)
			return;
		p->negpols = negpols;
		p->n_negpols++;
		n->id = in_guid(in);
		in_done(in);
		n->name = in_text_line(in, "\tname");
		n->description = in_text_maybe(in, "\tdescription");
		n->action = kind_line(in);
		n->inpass = in_bool_line(in, "\tinpass");
		n->soft = in_bool_line(in, "\tsoft");
		n->pfs = in_bool_line(in, "\tpfs");
		n->default_response = in_bool_line(in, "\tdefault-response");
		offers_read(in, n);
	}
}

/* ---- rules ---- */

static void alternate_read(struct in *in, struct ipsec_auth *m)
{
	static const char hex[] = "0123456789abcdef";
	size_t len;
	uint8_t *b;

	m->alt_type = in_number(in, UINT32_MAX);
	if (in->bad)
		return;
	len = (size_t)(in->eol - in->p) / 2;
	b = arena_zalloc(in->a, len, 1);
	if (!b) {
		in_fail_nomem(in);
		return;
	}
	for (size_t i = 0; i < 2 * len; i++) {
		const char *d = in->p[i] ? strchr(hex, in->p[i]) : NULL;

		if (!d) {
			in_fail(in, "not hexadecimal");
			return;
		}
		b[i / 2] = (uint8_t)(b[i / 2] << 4 | (d - hex));
	}
	in->p += 2 * len;
	m->alt = b;
	m->alt_len = len;
	in_done(in);
}

static void auth_read(struct in *in, struct ipsec_auth *m)
{
	m->text = "";
	if (in_take(in, "kerberos")) {
		m->method = IPSEC_AUTH_KERBEROS;
	} else if (in_take(in, "certificate")) {
		m->method = IPSEC_AUTH_CERT;
		m->text = in_text(in);
	} else if (in_take(in, "preshared-key")) {
		m->method = IPSEC_AUTH_PSK;
		if (in_take(in, "***"))
			in_fail(in, "pre-shared key is hidden, this text is for people");
		m->text = in_text(in);
	} else {
		in_fail(in, "unknown authentication method");
	}
	m->map_account = in_take(in, "map-account");
	m->exclude_ca = in_take(in, "exclude-ca");
	in_done(in);
	if (in_take(in, "\t\talternate"))
		alternate_read(in, m);
}

static void tunnel_line(struct in *in, struct ipsec_rule *r)
{
	char word[WORD_MAX], net[WORD_MAX + 8];

	in_need(in, "\ttunnel");
	r->tunnel = !in_take(in, "none");
	if (r->tunnel && in_word(in, word)) {
		snprintf(net, sizeof(net), "%s/%s", word, strchr(word, ':') ? "128" : "32");
		if (!ipsec_addr_read(&r->tunnel_end, net))
			in_fail(in, "not an address");
	}
	in_done(in);
}

static enum ipsec_conntype conntype_line(struct in *in)
{
	int c = IPSEC_CONN_ALL;

	in_need(in, "\tconnections");
	while (c <= IPSEC_CONN_DIALUP && !in_take(in, ipsec_conntype_name((enum ipsec_conntype)c)))
		c++;
	if (c > IPSEC_CONN_DIALUP)
		in_fail(in, "unknown connection type");
	in_done(in);
	return (enum ipsec_conntype)c;
}

static int list_id_cmp(const void *key, const void *element)
{
	return guid_cmp(key, &((const struct ipsec_filter_list *)element)->id);
}

static int negpol_id_cmp(const void *key, const void *element)
{
	return guid_cmp(key, &((const struct ipsec_negpol *)element)->id);
}

/* Both arrays are complete by now: pointers into them stay. */
static void references_read(struct in *in, const struct ipsec_policy *p, struct ipsec_rule *r)
{
	struct guid id;

	in_need(in, "\tfilter-list");
	r->default_response = in_take(in, "none");
	if (!r->default_response) {
		id = in_guid(in);
		if (p->n_filter_lists)
			r->filter_list = bsearch(&id, p->filter_lists, p->n_filter_lists,
			    sizeof(*p->filter_lists), list_id_cmp);
		if (!r->filter_list)
			in_fail(in, "no such filter list");
		in_text(in);
	}
	in_done(in);
	in_need(in, "\taction");
	id = in_guid(in);
	if (p->n_negpols)
		r->negpol = bsearch(&id, p->negpols, p->n_negpols, sizeof(*p->negpols), negpol_id_cmp);
	if (!r->negpol)
		in_fail(in, "no such action");
	in_text(in);
	in_done(in);
}

static void rules_read(struct in *in, struct ipsec_policy *p)
{
	void *rules = NULL, *auth;
	struct ipsec_auth *m;
	struct ipsec_rule *r;

	while (in_take(in, "rule")) {
		r = in_add(in, &rules, p->n_rules, sizeof(*r));
		if (!r)
			return;
		p->rules = rules;
		p->n_rules++;
		r->id = in_guid(in);
		in_done(in);
		r->name = in_text_line(in, "\tname");
		r->description = in_text_maybe(in, "\tdescription");
		r->active = in_bool_line(in, "\tactive");
		r->conntype = conntype_line(in);
		r->interface_name = in_text_maybe(in, "\tinterface");
		tunnel_line(in, r);
		r->tunnel_name = in_text_maybe(in, "\ttunnel-name");
		auth = NULL;
		while (in_take(in, "\tauth")) {
			m = in_add(in, &auth, r->n_auth, sizeof(*m));
			if (!m)
				return;
			r->auth = auth;
			r->n_auth++;
			auth_read(in, m);
		}
		references_read(in, p, r);
	}
}

/* ---- the whole ---- */

static void head_read(struct in *in, struct ipsec_policy *p)
{
	in_need(in, "ipsecpol policy 1");
	in_done(in);
	in_need(in, "policy");
	p->id = in_guid(in);
	in_done(in);
	p->dn = in_text_line(in, "\tdn");
	p->name = in_text_line(in, "\tname");
	p->description = in_text_maybe(in, "\tdescription");
	p->when_changed = in_text_maybe(in, "\tchanged");
	p->polling_seconds = in_number_line(in, "\tpolling");
}

/* A text that is compared while it is written. */
struct expected {
	const char	*text;
	size_t		 len, at;	/* the same so far */
	bool		 differs;
};

static ssize_t expected_write(void *cookie, const char *p, size_t n)
{
	struct expected *x = cookie;

	if (!x->differs && n <= x->len - x->at && !memcmp(x->text + x->at, p, n)) {
		x->at += n;
		return (ssize_t)n;
	}
	for (size_t i = 0; !x->differs && i < n; i++) {
		x->differs = x->at == x->len || x->text[x->at] != p[i];
		x->at += !x->differs;
	}
	return (ssize_t)n;
}

/* What the writer makes of the value must be the very text. */
static int canonical_check(const struct ipsec_policy *p, const char *text, size_t len, struct err *err)
{
	struct expected x = { .text = text, .len = len };
	FILE *f = fopencookie(&x, "w", (cookie_io_functions_t){ .write = expected_write });
	size_t line = 1;

	if (!f)
		return err_nomem(err);
	if (policy_write(p, POLICY_SEALED, f) | fclose(f))
		return err_nomem(err);
	if (!x.differs && x.at == len)
		return 0;
	for (size_t i = 0; i < x.at; i++)
		line += text[i] == '\n';
	return err_set(err, ERR_FORMAT, "line %zu: not in the canonical form", line);
}

int policy_read(struct ipsec_policy **ret, const char *text, size_t len, struct err *err)
{
	struct in in = { .end = text + len, .err = err };
	struct ipsec_policy *p;

	if (len > POLICY_TEXT_MAX)
		return err_set(err, ERR_LIMIT, "%zu bytes, more than %u", len, POLICY_TEXT_MAX);
	p = policy_new();
	if (!p)
		return err_nomem(err);
	in.a = p->arena;
	in_open(&in, text);
	head_read(&in, p);
	isakmp_read(&in, &p->isakmp);
	lists_read(&in, p);
	negpols_read(&in, p);
	rules_read(&in, p);
	in_need(&in, "end");
	if (!in.bad && (in.p != in.eol || in.eol + 1 != in.end))
		in_fail(&in, "more than expected");
	if (in.bad || policy_check(p, err) || canonical_check(p, text, len, err)) {
		policy_free(p);
		return -1;
	}
	*ret = p;
	return 0;
}
