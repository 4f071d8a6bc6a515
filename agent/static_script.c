/* A store as a script of the static context.  Each line is read back before it is written, so
 * that what the grammar would not take, or take for something else, is an error here and
 * names the object. */
#include "agent/static.h"

#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"

struct script {
	FILE				*out;
	const struct store_edit		*e;
	const struct ipsec_object	*o;	/* that is being written, for messages */
	size_t				 filter;	/* of the list, from 1; 0: none of them */
	char				*line;	/* the command that is being written */
	size_t				 len;
	FILE				*f;
	struct arena			*line_arena;
	struct err			*err;
};

static int unsayable(struct script *s, const char *why)
{
	char label[OBJECT_LABEL], filter[32] = "";

	if (s->filter)
		snprintf(filter, sizeof(filter), "filter %zu: ", s->filter);
	return err_set(s->err, ERR_UNSUPPORTED, "%s cannot be said in a script: %s%s", object_label(s->o, label), filter, why);
}

/* ---- one command ---- */

static void command_begin(struct script *s, const char *words)
{
	rewind(s->f);
	fputs(words, s->f);
}

static void tag(struct script *s, const char *name, const char *value)
{
	fprintf(s->f, " %s=", name);
	netsh_quote(value ? value : "", s->f);	/* no memory: no value is "" in what uses this */
}

static void tag_maybe(struct script *s, const char *name, const char *value)
{
	if (value && *value)
		tag(s, name, value);
}

static void tag_yes(struct script *s, const char *name, bool value)
{
	tag(s, name, value ? "yes" : "no");
}

static void tag_number(struct script *s, const char *name, uint64_t n)
{
	fprintf(s->f, " %s=%llu", name, (unsigned long long)n);
}

/* args may be NULL; they live until the next command. */
static int command_end(struct script *s, struct netsh_args *args)
{
	struct netsh_args own;
	struct err why;
	char **words;
	size_t n;
	long len = ftell(s->f);

	if (fflush(s->f) || len < 0)
		return err_nomem(s->err);
	arena_free(s->line_arena);
	s->line_arena = arena_new(0);
	if (!s->line_arena)
		return err_nomem(s->err);
	if (memchr(s->line, '\n', (size_t)len) || memchr(s->line, '\r', (size_t)len))
		return unsayable(s, "a text of it has several lines");
	if (netsh_split(&words, &n, s->line_arena, s->line, (size_t)len, &why) ||
	    netsh_parse(args ? args : &own, s->line_arena, NETSH_STATIC, words, n, &why))
		return unsayable(s, why.msg);
	fwrite(s->line, 1, (size_t)len, s->out);
	fputc('\n', s->out);
	return 0;
}

static void comment(struct script *s, const char *text)
{
	fputs("# ", s->out);
	utf8_write(s->out, text, "");
	fputc('\n', s->out);
}

/* Looking it up again need not give the same address. */
static void comment_name(struct script *s, const char *what, const char *name)
{
	if (!*name)
		return;
	fprintf(s->out, "# the address of the %s below was that of '", what);
	utf8_write(s->out, name, "");
	fputs("'\n", s->out);
}

static void comment_object(struct script *s)
{
	char id[GUID_TEXT];

	guid_text(&s->o->id, id);
	fprintf(s->out, "# %s %s\n", object_class_name(s->o->class), id);
}

/* ---- texts ---- */

static int text_check(struct script *s, const char *text, const char *what, size_t max)
{
	struct err why;

	return edit_text_check(text, what, max, &why) ? unsayable(s, why.msg) : 0;
}

static int texts_check(struct script *s)
{
	struct guid id;
	const struct ipsec_object *o = s->o;

	if (!*o->name)
		return unsayable(s, "it has no name");
	if (ascii_equal(o->name, "all") || (*o->name == '{' && guid_parse(&id, o->name, strlen(o->name))))
		return unsayable(s, "its name would be read as something else");
	if (text_check(s, o->name, "name", STATIC_MAX_NAME))
		return -1;
	return text_check(s, o->description, "description", STATIC_MAX_TEXT);
}

/* A name that is there twice means nothing in a script. */
static int unique_check(struct script *s)
{
	struct ipsec_object *found;
	struct err why = { .code = ERR_NONE };

	if (!container_find(&found, s->e->container, s->o->class, s->o->name, &why) && found == s->o)
		return 0;
	return unsayable(s, why.code == ERR_NONE ? "its name is not its own" : why.msg);
}

/* ---- filter lists ---- */

/* The line gives this very filter again, but for names that were looked up long ago. */
static bool filter_is_said(const struct ipsec_filter *f, const struct netsh_args *args)
{
	struct ipsec_filter said, wanted = *f;
	struct err why;

	if (filter_from_args(&said, args, &why))
		return false;
	wanted.src_dns = wanted.dst_dns = "";
	wanted.tunnel = false;
	memset(wanted.tunnel_addr, 0, sizeof(wanted.tunnel_addr));
	return filter_same(&said, &wanted);
}

static void filter_comments(struct script *s, const struct ipsec_filter *f)
{
	comment_name(s, "source", f->src_dns);
	comment_name(s, "destination", f->dst_dns);
	if (f->tunnel)
		comment(s, "the filter below has a tunnel endpoint of its own, which has no effect and is left out");
}

static int filter_script(struct script *s, const struct ipsec_filter *f)
{
	struct arena *a = s->line_arena;
	struct netsh_args args;

	if (text_check(s, f->description, "description", STATIC_MAX_TEXT))
		return -1;
	if (f->src_port.lo != f->src_port.hi || f->dst_port.lo != f->dst_port.hi)
		return unsayable(s, "a range of ports");
	if (f->src.kind == IPSEC_ADDR_ME && f->dst.kind == IPSEC_ADDR_ME) {
		comment(s, "a filter from me to me has no effect and is left out");
		return 0;
	}
	filter_comments(s, f);
	command_begin(s, "add filter");
	tag(s, "filterlist", s->o->name);
	tag(s, "srcaddr", words_addr(a, &f->src));
	tag(s, "dstaddr", words_addr(a, &f->dst));
	tag_maybe(s, "description", f->description);
	tag(s, "protocol", words_protocol(a, f->protocol));
	tag_yes(s, "mirrored", f->mirrored);
	if (!ipsec_ports_any(&f->src_port))
		tag_number(s, "srcport", f->src_port.lo);
	if (!ipsec_ports_any(&f->dst_port))
		tag_number(s, "dstport", f->dst_port.lo);
	if (command_end(s, &args))
		return -1;
	return filter_is_said(f, &args) ? 0 : unsayable(s, "the grammar has no words for it");
}

/* Twice the same filter is no more than once, and the second would be refused. */
static int list_filters(struct script *s)
{
	struct ipsec_object seen = { .class = OBJ_LIST, .name = "" };
	struct ipsec_container scratch = { .arena = arena_new(0) };
	struct store_edit e = { .container = &scratch };
	int rc = scratch.arena ? 0 : err_nomem(s->err);

	for (size_t i = 0; i < s->o->list.n_filters && !rc; i++) {
		struct ipsec_filter f = s->o->list.filters[i];

		f.src_dns = f.dst_dns = "";
		f.tunnel = false;
		memset(f.tunnel_addr, 0, sizeof(f.tunnel_addr));
		rc = filter_index_find(&e, &seen, &f, s->err);
		if (rc > 0) {
			comment(s, "a further filter says the same and is left out");
			rc = 0;
			continue;
		}
		s->filter = i + 1;
		rc = rc ? -1 : filter_script(s, &s->o->list.filters[i]);
		if (!rc)
			rc = filter_index_add(&e, &seen, &f, s->err);
	}
	s->filter = 0;
	arena_free(scratch.arena);
	return rc;
}

static int list_script(struct script *s)
{
	if (texts_check(s) || unique_check(s))
		return -1;
	comment_object(s);
	command_begin(s, "add filterlist");
	tag(s, "name", s->o->name);
	tag_maybe(s, "description", s->o->description);
	return command_end(s, NULL) || list_filters(s) ? -1 : 0;
}

/* ---- filter actions ---- */

static int offers_said(struct script *s, const struct ipsec_offer *offers, size_t n, const char **ret)
{
	const char *text = words_qm(s->line_arena, offers, n);

	if (!text)
		return err_nomem(s->err);
	*ret = text;
	return 0;
}

static int action_script(struct script *s)
{
	const struct ipsec_negpol *n = &s->o->action;
	const char *offers = "";

	if (n->default_response)
		return 0;	/* with its rule */
	if (texts_check(s) || unique_check(s))
		return -1;
	comment_object(s);
	if (n->action == IPSEC_NEGOTIATE && !n->n_offers)
		return unsayable(s, "it negotiates without offers");
	if (n->action != IPSEC_NEGOTIATE && (n->n_offers || n->soft || n->pfs))
		comment(s, "it does not negotiate: how it would is left out");
	if (offers_said(s, n->offers, n->n_offers, &offers))
		return -1;
	command_begin(s, "add filteraction");
	tag(s, "name", s->o->name);
	tag_maybe(s, "description", s->o->description);
	if (n->action == IPSEC_NEGOTIATE) {
		tag_yes(s, "qmpfs", n->pfs);
		tag_yes(s, "inpass", n->inpass);
		tag_yes(s, "soft", n->soft);
	}
	tag(s, "action", ipsec_action_name(n->action));
	if (n->action == IPSEC_NEGOTIATE)
		tag(s, "qmsecmethods", offers);
	return command_end(s, NULL);
}

/* ---- policies ---- */

static uint32_t life_of(const struct ipsec_isakmp *m, const struct ipsec_mm_offer *o)
{
	if (o && o->life_seconds)
		return o->life_seconds;
	return m->life_seconds ? m->life_seconds : POLICY_MM_LIFE_DEFAULT;
}

static uint32_t limit_of(const struct ipsec_isakmp *m, const struct ipsec_mm_offer *o)
{
	return o && o->qm_limit ? o->qm_limit : m->qm_limit;
}

/* One lifetime and one limit for all, words for each algorithm. */
static int main_mode_check(struct script *s, const struct ipsec_isakmp *m, uint32_t *life, uint32_t *limit)
{
	const struct ipsec_mm_offer *first = m->n_offers && !m->new_dh[0] ? &m->offers[0] : NULL;

	if (m->map_account || m->exclude_ca)
		return unsayable(s, "its main mode has options for certificates");
	if (!m->n_offers && !m->new_dh[0])
		return unsayable(s, "its main mode has no offers");
	*life = life_of(m, first);
	*limit = limit_of(m, first);
	for (size_t i = 0; i < m->n_offers; i++) {
		const struct ipsec_mm_offer *o = &m->offers[i];

		if (life_of(m, o) != *life || limit_of(m, o) != *limit)
			return unsayable(s, "offers of its main mode differ in lifetime or quick modes");
		if (!o->encryption || !o->hash || !o->group)
			return unsayable(s, "an offer of its main mode is without cipher, hash or group");
		if (o->life_kbytes)
			return unsayable(s, "an offer of its main mode has a lifetime in kilobytes");
	}
	if (*life % 60)
		return unsayable(s, "its main mode lifetime is no whole number of minutes");
	return 0;
}

static int auth_script(struct script *s, const struct ipsec_rule *r)
{
	bool kerberos = false;

	if (!r->n_auth)
		return unsayable(s, "it has no authentication method");
	for (size_t i = 0; i < r->n_auth; i++) {
		const struct ipsec_auth *m = &r->auth[i];
		const char *ca;

		if (m->alt_type)
			return unsayable(s, "an authentication method has an alternate form");
		if (m->method == IPSEC_AUTH_CERT) {
			if (text_check(s, m->text, "name of a CA", STATIC_MAX_CA))
				return -1;
			ca = words_ca(s->line_arena, m);
			if (!ca)
				return err_nomem(s->err);
			tag(s, "rootca", ca);
			continue;
		}
		if (m->map_account || m->exclude_ca)
			return unsayable(s, "a method other than a certificate has its options");
		if (m->method == IPSEC_AUTH_PSK) {
			if (text_check(s, m->text, "pre-shared key", STATIC_MAX_PSK))
				return -1;
			tag(s, "psk", m->text);
			continue;
		}
		if (kerberos)
			return unsayable(s, "it has Kerberos twice");
		kerberos = true;
		tag_yes(s, "kerberos", true);
	}
	return 0;
}

static int rule_check(struct script *s, const struct ipsec_object *policy)
{
	const struct ipsec_object *o = s->o;
	const struct ipsec_rule *r = &o->rule.value;

	if (o->rule.dangling || !o->rule.action || !o->rule.list)
		return unsayable(s, "its filter list or filter action is missing");
	if (o->rule.action->action.default_response)
		return unsayable(s, "its filter action is one of a default response rule");
	if (*r->interface_name)
		return unsayable(s, "it is for one interface by name");
	if (r->tunnel && list_is_mirrored(o->rule.list))
		return unsayable(s, "it is a tunnel with mirrored filters");
	for (size_t i = 0; *o->name && i < policy->policy.n_rules; i++)
		if (policy->policy.rules[i] != o && ascii_equal(policy->policy.rules[i]->name, o->name))
			return unsayable(s, "its name is there twice");
	return *o->name ? texts_check(s) : 0;
}

static int rule_script(struct script *s, const struct ipsec_object *policy)
{
	const struct ipsec_object *o = s->o;
	const struct ipsec_rule *r = &o->rule.value;
	char name[GUID_TEXT + 8], id[9];

	if (rule_check(s, policy))
		return -1;
	comment_object(s);
	guid_short(&o->id, id);
	snprintf(name, sizeof(name), "Rule %s", id);
	if (!*o->name)
		comment(s, "it has no name: one is made of its GUID");
	comment_name(s, "endpoint", r->tunnel_name);
	command_begin(s, "add rule");
	tag(s, "name", *o->name ? o->name : name);
	tag(s, "policy", policy->name);
	tag(s, "filterlist", o->rule.list->name);
	tag(s, "filteraction", o->rule.action->name);
	if (r->tunnel)
		tag(s, "tunnel", words_addr(s->line_arena, &r->tunnel_end));
	tag(s, "conntype", ipsec_conntype_name(r->conntype));
	tag_yes(s, "activate", r->active);
	tag_maybe(s, "description", o->description);
	return auth_script(s, r) || command_end(s, NULL) ? -1 : 0;
}

static bool offers_are_default(const struct ipsec_negpol *n)
{
	if (n->pfs || n->n_offers != 6)
		return false;
	for (size_t i = 0; i < 6; i++) {
		const struct ipsec_offer *x = &n->offers[i], *y = &default_response_offers[i];

		if (x->has_esp != y->has_esp || x->has_ah != y->has_ah || x->esp_encryption != y->esp_encryption ||
		    x->esp_integrity != y->esp_integrity || x->ah_integrity != y->ah_integrity ||
		    x->life_seconds || x->life_kbytes)
			return false;
	}
	return true;
}

static int default_rule_script(struct script *s, const struct ipsec_object *policy)
{
	const struct ipsec_rule *r = &s->o->rule.value;
	const struct ipsec_negpol *n = s->o->rule.action ? &s->o->rule.action->action : NULL;
	const char *offers = "";

	if (!n || s->o->rule.dangling)
		return unsayable(s, "its filter action is missing");
	if (r->tunnel || r->conntype != IPSEC_CONN_ALL || *r->interface_name)
		return unsayable(s, "the default response has a tunnel or a connection type");
	if (n->action != IPSEC_NEGOTIATE || n->inpass || n->soft)
		return unsayable(s, "the default response does more than negotiate");
	if (!n->n_offers)
		return unsayable(s, "the default response has no offers");
	comment_object(s);
	if (*s->o->name || *s->o->description)
		comment(s, "name and description of the default response rule are left out");
	if (offers_are_default(n) && r->n_auth == 1 && r->auth[0].method == IPSEC_AUTH_KERBEROS && !r->auth[0].alt_type &&
	    !r->auth[0].map_account && !r->auth[0].exclude_ca)
		return 0;
	if (offers_said(s, n->offers, n->n_offers, &offers))
		return -1;
	command_begin(s, "set defaultrule");
	tag(s, "policy", policy->name);
	tag_yes(s, "qmpfs", n->pfs);
	tag(s, "qmsecmethods", offers);
	return auth_script(s, r) || command_end(s, NULL) ? -1 : 0;
}

static int rules_script(struct script *s, const struct ipsec_object *policy)
{
	size_t n_default = 0;

	for (size_t i = 0; i < policy->policy.n_rules; i++) {
		s->o = policy->policy.rules[i];
		if (s->o->damage)
			return unsayable(s, s->o->damage);
		if (!s->o->rule.value.default_response) {
			if (rule_script(s, policy))
				return -1;
			continue;
		}
		if (n_default++)
			return unsayable(s, "it is a second default response rule of its policy");
		if (default_rule_script(s, policy))
			return -1;
	}
	return 0;
}

static int policy_script(struct script *s)
{
	const struct ipsec_object *o = s->o, *mm = o->policy.isakmp, *rule = default_rule_find(o);
	const char *methods;
	uint32_t life = 0, limit = 0;

	if (texts_check(s) || unique_check(s))
		return -1;
	if (!mm || mm->damage)
		return unsayable(s, mm ? mm->damage : "its main mode is missing");
	if (o->policy.n_dangling)
		return unsayable(s, "a rule of it is missing");
	if (main_mode_check(s, &mm->isakmp, &life, &limit))
		return -1;
	if (o->policy.polling_seconds % 60)
		return unsayable(s, "its polling interval is no whole number of minutes");
	methods = words_mm(s->line_arena, &mm->isakmp);
	if (!methods)
		return err_nomem(s->err);
	comment_object(s);
	if (!rule)
		comment(s, "it has no default response rule: the one that it gets is not active");
	command_begin(s, "add policy");
	tag(s, "name", o->name);
	tag_maybe(s, "description", o->description);
	tag_yes(s, "mmpfs", mm->isakmp.master_pfs);
	tag_number(s, "qmpermm", limit);
	tag_number(s, "mmlifetime", life / 60);
	tag_yes(s, "activatedefaultrule", rule && rule->rule.value.active);
	tag_number(s, "pollinginterval", (o->policy.polling_seconds ? o->policy.polling_seconds : POLICY_POLLING_DEFAULT) / 60);
	tag(s, "mmsecmethods", methods);
	return command_end(s, NULL) || rules_script(s, o) ? -1 : 0;
}

/* ---- the store ---- */

static int class_script(struct script *s, enum object_class class, int (*one)(struct script *))
{
	const struct ipsec_container *c = s->e->container;

	for (size_t i = 0; i < c->n_objects; i++) {
		s->o = c->objects[i];
		if (s->o->class != class || s->o->deleted)
			continue;
		if (s->o->damage)
			return unsayable(s, s->o->damage);
		if (one(s))
			return -1;
	}
	return 0;
}

/* Rules that belong to no policy have no effect, and no command makes one. */
static int strays_script(struct script *s)
{
	if (!s->o->rule.policy) {
		comment_object(s);
		comment(s, "no policy refers to it: it is left out");
	}
	return 0;
}

static int active_script(struct script *s)
{
	const struct ipsec_container *c = s->e->container;

	if (s->e->location == LOCATION_DOMAIN)
		comment(s, "which GPOs assign policies is not said here");
	for (size_t i = 0; i < c->n_objects; i++) {
		s->o = c->objects[i];
		if (s->o->class != OBJ_POLICY || s->o->deleted || !policy_is_active(s->e, s->o))
			continue;
		command_begin(s, "set policy");
		tag(s, "name", s->o->name);
		tag_yes(s, "assign", true);
		return command_end(s, NULL);
	}
	return 0;
}

int store_edit_script(const struct store_edit *e, FILE *out, struct err *err)
{
	struct script s = { .out = out, .e = e, .err = err };
	int rc;

	s.f = open_memstream(&s.line, &s.len);
	s.line_arena = arena_new(0);
	if (!s.f || !s.line_arena) {
		rc = err_nomem(err);
		goto out;
	}
	fprintf(out, "# ipsecpol: the %s store\npushd ipsec static\n", location_name(e->location));
	rc = class_script(&s, OBJ_LIST, list_script) || class_script(&s, OBJ_ACTION, action_script) ||
	    class_script(&s, OBJ_POLICY, policy_script) || class_script(&s, OBJ_RULE, strays_script) ||
	    active_script(&s) ? -1 : 0;
	fputs("popd\n", out);
	if (!rc && ferror(out))
		rc = err_set(err, ERR_SYSTEM, "output could not be written");
out:
	if (s.f)
		fclose(s.f);
	free(s.line);
	arena_free(s.line_arena);
	return rc;
}
