/* Objects of a store as lists, one line a value, and the words that tables use as well. */
#include "agent/static_show.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

#include "agent/cli_text.h"
#include "schema/arena.h"
#include "schema/err.h"

const char *show_yes(bool b)
{
	return b ? "YES" : "NO";
}

void show_line(struct show *s, const char *key, const char *value)
{
	list_line(s->out, key, value ? value : "?");
}

static void line_number(struct show *s, const char *key, uint64_t n, const char *unit)
{
	show_line(s, key, arena_printf(s->arena, "%llu%s%s", (unsigned long long)n, *unit ? " " : "", unit));
}

const char *show_id(struct show *s, const struct ipsec_object *o)
{
	char text[GUID_TEXT];

	guid_text(&o->id, text);
	return arena_strdup(s->arena, text);
}

/* Name, or what stands for it when it is not there. */
const char *show_name(const struct ipsec_object *o)
{
	return !o ? "<missing>" : !o->name || !*o->name ? "<none>" : o->name;
}

/* GeneralizedTime "20261123013352.0Z", which is UTC, as people write it. */
const char *show_modified(struct show *s, const struct ipsec_object *o)
{
	const char *t = o->entry ? entry_text(o->entry, "whenChanged") : NULL;

	if (o->changed || !o->entry)
		return "not written yet";
	if (!t || strspn(t, "0123456789") != 14 || t[strlen(t) - 1] != 'Z')
		return t ? t : "-";
	return arena_printf(s->arena, "%.4s-%.2s-%.2s %.2s:%.2s:%.2s UTC", t, t + 4, t + 6, t + 8, t + 10, t + 12);
}

/* ---- pieces ---- */

const char *show_address(struct show *s, const struct ipsec_addr *a)
{
	const char *text = words_addr(s->arena, a);
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	char host[NI_MAXHOST];
	bool v4 = a->family == AF_INET;

	if (!text || !s->resolve || a->kind != IPSEC_ADDR_NET || a->prefix != ipsec_addr_bits(a->family))
		return text;
	memcpy(&in.sin_addr, a->lo, 4);
	memcpy(&in6.sin6_addr, a->lo, 16);
	if (getnameinfo(v4 ? (const struct sockaddr *)(const void *)&in : (const struct sockaddr *)(const void *)&in6,
	    v4 ? sizeof(in) : sizeof(in6), host, sizeof(host), NULL, 0, NI_NAMEREQD))
		return text;
	return arena_printf(s->arena, "%s (%s)", text, host);
}

const char *show_auth(struct show *s, const struct ipsec_rule *r)
{
	const char *text = "";

	for (size_t i = 0; i < r->n_auth && text; i++) {
		const char *one = words_auth(s->arena, &r->auth[i]);

		text = one ? arena_printf(s->arena, "%s%s%s", text, *text ? ", " : "", one) : NULL;
	}
	return text;
}

const char *show_ports(struct show *s, const struct ipsec_ports *p)
{
	return ipsec_ports_any(p) ? "ANY" : words_ports(s->arena, p);
}

static void filter_list(struct show *s, const struct ipsec_filter *f)
{
	if (*f->description)
		show_line(s, "Description", f->description);
	show_line(s, "Mirrored", show_yes(f->mirrored));
	show_line(s, "Source Address", show_address(s, &f->src));
	if (*f->src_dns)
		show_line(s, "Source DNS Name", f->src_dns);
	show_line(s, "Destination Address", show_address(s, &f->dst));
	if (*f->dst_dns)
		show_line(s, "Destination DNS Name", f->dst_dns);
	show_line(s, "Protocol", words_protocol(s->arena, f->protocol));
	show_line(s, "Source Port", show_ports(s, &f->src_port));
	show_line(s, "Destination Port", show_ports(s, &f->dst_port));
	fputc('\n', s->out);
}

/* ---- one object as a list; each ends in an empty line ---- */

static void object_lines(struct show *s, const struct ipsec_object *o, const char *name_key)
{
	show_line(s, name_key, show_name(o));
	if (o->damage) {
		show_line(s, "Damaged", o->damage);
	} else if (o->description && *o->description) {
		show_line(s, "Description", o->description);
	}
}

static void list_tail(struct show *s, const struct ipsec_object *o)
{
	show_line(s, "GUID", show_id(s, o));
	fputc('\n', s->out);
}

void list_filterlist(struct show *s, const struct ipsec_object *o)
{
	object_lines(s, o, "Filter List Name");
	if (!o->damage)
		line_number(s, "No. of Filters", o->list.n_filters, "");
	list_tail(s, o);
	for (size_t i = 0; s->verbose && !o->damage && i < o->list.n_filters; i++)
		filter_list(s, &o->list.filters[i]);
}

void list_filteraction(struct show *s, const struct ipsec_object *o)
{
	object_lines(s, o, "Filter Action Name");
	if (!o->damage) {
		const struct ipsec_negpol *n = &o->action;

		show_line(s, "Action", ipsec_action_name(n->action));
		if (n->action == IPSEC_NEGOTIATE) {
			show_line(s, "Accept Unsecured", show_yes(n->inpass));
			show_line(s, "Allow Unsecured", show_yes(n->soft));
			show_line(s, "Quick Mode PFS", show_yes(n->pfs));
			show_line(s, "Security Methods", words_qm(s->arena, n->offers, n->n_offers));
		}
	}
	list_tail(s, o);
}

const char *show_tunnel(struct show *s, const struct ipsec_rule *r)
{
	const char *end = r->tunnel ? show_address(s, &r->tunnel_end) : "NONE";

	return r->tunnel && *r->tunnel_name && end ? arena_printf(s->arena, "%s (%s)", end, r->tunnel_name) : end;
}

void list_rule(struct show *s, const struct ipsec_object *o, size_t number)
{
	const struct ipsec_rule *r = &o->rule.value;

	object_lines(s, o, "Rule Name");
	show_line(s, "Rule ID", arena_printf(s->arena, "%zu, %s", number, show_id(s, o)));
	if (o->damage) {
		fputc('\n', s->out);
		return;
	}
	show_line(s, "Activated", show_yes(r->active));
	show_line(s, "Type", r->default_response ? "Default response" : r->tunnel ? "Tunnel" : "Transport");
	show_line(s, "Tunnel Endpoint", show_tunnel(s, r));
	show_line(s, "Connection Type", ipsec_conntype_name(r->conntype));
	show_line(s, "Filter List", r->default_response ? "<dynamic>" : show_name(o->rule.list));
	show_line(s, "Filter Action", show_name(o->rule.action));
	show_line(s, "Authentication", show_auth(s, r));
	fputc('\n', s->out);
	if (s->verbose && o->rule.list)
		list_filterlist(s, o->rule.list);
	if (s->verbose && o->rule.action)
		list_filteraction(s, o->rule.action);
}

int show_users(struct show *s, const struct ipsec_object *o, struct gpo_user **gpos, size_t *n)
{
	*gpos = NULL;
	*n = 0;
	if (s->e->location != LOCATION_DOMAIN)
		return 0;
	return s->b->users(s->b, o->dn, gpos, n, s->arena, s->err);
}

const char *show_assigned(struct show *s, const struct ipsec_object *o)
{
	struct gpo_user *gpos;
	const char *text = "";
	size_t n;

	if (s->e->location != LOCATION_DOMAIN)
		return show_yes(policy_is_active(s->e, o));
	if (show_users(s, o, &gpos, &n))
		return arena_printf(s->arena, "unknown: %s", s->err->msg);
	for (size_t i = 0; i < n && text; i++)
		text = arena_printf(s->arena, "%s%s'%s'", text, i ? ", " : "to ", gpos[i].name);
	return n ? text : "NO";
}

static void main_mode_lines(struct show *s, const struct ipsec_object *o)
{
	const struct ipsec_isakmp *m;

	if (!o || o->damage) {
		show_line(s, "Main Mode", o ? o->damage : "<missing>");
		return;
	}
	m = &o->isakmp;
	show_line(s, "Master PFS", show_yes(m->master_pfs));
	line_number(s, "Quick Modes per MM", m->qm_limit, "");
	line_number(s, "MM Lifetime", (m->n_offers && m->offers[0].life_seconds ? m->offers[0].life_seconds :
	    m->life_seconds ? m->life_seconds : POLICY_MM_LIFE_DEFAULT) / 60, "minutes");
	show_line(s, "MM Security Methods", words_mm(s->arena, m));
}

void list_policy(struct show *s, const struct ipsec_object *o)
{
	object_lines(s, o, "Policy Name");
	show_line(s, "Assigned", show_assigned(s, o));
	if (!o->damage) {
		show_line(s, "Last Modified", show_modified(s, o));
		main_mode_lines(s, o->policy.isakmp);
		line_number(s, "Polling Interval", o->policy.polling_seconds / 60, "minutes");
		line_number(s, "No. of Rules", o->policy.n_rules + o->policy.n_dangling, "");
		if (o->policy.n_dangling)
			line_number(s, "Missing Rules", o->policy.n_dangling, "");
	}
	show_line(s, "Store", location_name(s->e->location));
	list_tail(s, o);
	for (size_t i = 0; s->verbose && !o->damage && i < o->policy.n_rules; i++)
		list_rule(s, o->policy.rules[i], i + 1);
}

