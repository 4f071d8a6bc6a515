#include "tests/policies.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"

struct arena *arena;
struct err err;

int policies_setup(void **state)
{
	(void)state;
	arena = arena_new(0);
	memset(&err, 0, sizeof(err));
	return arena ? 0 : -1;
}

int policies_teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

void assert_err(int rc, enum err_code code, const char *msg)
{
	assert_int_equal(rc, -1);
	assert_string_equal(err.msg, msg);
	assert_int_equal(err.code, code);
}

char *text_of(const struct ipsec_policy *p, enum policy_form form)
{
	char *text = NULL, *copy;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(policy_write(p, form, f), 0);
	fclose(f);
	copy = arena_strdup(arena, text);
	free(text);
	return copy;
}

struct ipsec_policy *read_text(const char *text)
{
	struct ipsec_policy *p;

	if (policy_read(&p, text, strlen(text), &err))
		fail_msg("%s", err.msg);
	return p;
}

char *replaced(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);

	if (!at)
		fail_msg("no '%s' in the text", from);
	return arena_printf(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

#define HEAD \
	"ipsecpol policy 1\n" \
	"policy {10000000-0000-0000-0000-000000000000}\n" \
	"\tdn \"CN=ipsecPolicy{10000000-0000-0000-0000-000000000000},CN=IP Security,CN=System,DC=corp,DC=example\"\n" \
	"\tname \"Say \\\"hi\\\" \\\\ \\u{9}\\u{1b}\\u{202e}\xc3\xa4\"\n" \
	"\tdescription \"d\"\n" \
	"\tchanged \"20260102030405.0Z\"\n" \
	"\tpolling 600\n" \
	"main-mode {20000000-0000-0000-0000-000000000000}\n" \
	"\tinstance {21000000-0000-0000-0000-000000000000}\n" \
	"\tmaster-pfs yes\n" \
	"\tmap-account no\n" \
	"\texclude-ca yes\n" \
	"\tquick-modes 3\n" \
	"\tlifetime 3600\n" \
	"\textra-offer 3des sha1 group 14\n" \
	"\textra-offer des md5 group 14\n" \
	"\toffer 3des sha1 group 2 lifetime 28800 kbytes 1 quick-modes 2\n" \
	"\toffer 3des md5 group 14 lifetime 0 kbytes 0 quick-modes 0 random-function 3\n"
#define LISTS \
	"filter-list {30000000-0000-0000-0000-000000000000}\n" \
	"\tname \"List\"\n" \
	"\tfilter {31000000-0000-0000-0000-000000000000} me -> any protocol any mirrored\n" \
	"\tfilter {32000000-0000-0000-0000-000000000000} 10.0.0.0/8 port 1024-65535 -> dns port 53 protocol udp one-way\n" \
	"\t\tdescription \"to DNS\"\n" \
	"\t\tsource-name \"a.example\"\n" \
	"\t\tdestination-name \"b.example\"\n" \
	"\t\ttunnel 10.9.9.9\n" \
	"\tfilter {33000000-0000-0000-0000-000000000000} me6 -> fe80::1-fe80::9 protocol 58 mirrored\n"
#define ACTIONS \
	"action {40000000-0000-0000-0000-000000000000}\n" \
	"\tname \"Secure\"\n" \
	"\tkind negotiate\n" \
	"\tinpass yes\n" \
	"\tsoft yes\n" \
	"\tpfs yes\n" \
	"\tdefault-response no\n" \
	"\toffer ah sha1 esp 3des md5 lifetime 900 kbytes 100000\n" \
	"\toffer esp none sha1 lifetime 0 kbytes 0\n" \
	"action {41000000-0000-0000-0000-000000000000}\n" \
	"\tname \"\"\n" \
	"\tkind negotiate\n" \
	"\tinpass no\n" \
	"\tsoft no\n" \
	"\tpfs no\n" \
	"\tdefault-response yes\n"
#define RULES(key, alternate) \
	"rule {50000000-0000-0000-0000-000000000000}\n" \
	"\tname \"Rule\"\n" \
	"\tdescription \"r\"\n" \
	"\tactive yes\n" \
	"\tconnections lan\n" \
	"\tinterface \"eth0\"\n" \
	"\ttunnel 2001:db8::1\n" \
	"\ttunnel-name \"gw\"\n" \
	"\tauth kerberos map-account\n" \
	"\tauth certificate \"CN=Root\" map-account exclude-ca\n" \
	"\t\talternate 3 " alternate "\n" \
	"\tauth preshared-key " key "\n" \
	"\tfilter-list {30000000-0000-0000-0000-000000000000} \"List\"\n" \
	"\taction {40000000-0000-0000-0000-000000000000} \"Secure\"\n" \
	"rule {51000000-0000-0000-0000-000000000000}\n" \
	"\tname \"\"\n" \
	"\tactive no\n" \
	"\tconnections all\n" \
	"\ttunnel none\n" \
	"\tauth kerberos\n" \
	"\tfilter-list none\n" \
	"\taction {41000000-0000-0000-0000-000000000000} \"\"\n" \
	"end\n"
const char sealed[] = HEAD LISTS ACTIONS RULES("\"open sesame\"", "00ff");
const char shown[] = HEAD LISTS ACTIONS RULES("***", "***");

/* ---- policies by chance, the same ones each time ---- */

static uint64_t chance = 20031124;

uint32_t dice(uint32_t n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (uint32_t)(chance >> 16) % n;
}

static struct guid any_guid(void)
{
	struct guid g;

	for (size_t i = 0; i < sizeof(g.b); i++)
		g.b[i] = (uint8_t)dice(256);
	return g;
}

static const char *any_text(void)
{
	static const char *const parts[] = { "", "a", " ", "\"", "\\", "\n", "\x7f", "\xc2\x85", "\xe2\x80\x8f",
	    "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "***", "\\u{9}", "\xef\xbf\xbd" };
	const char *text = "";

	for (uint32_t n = dice(6); n; n--)
		text = arena_printf(arena, "%s%s", text, parts[dice(15)]);
	return text;
}

static struct ipsec_addr any_addr(uint8_t family)
{
	struct ipsec_addr a = { .family = dice(2) ? family : AF_UNSPEC };
	uint8_t lo[16], hi[16];

	a.kind = (enum ipsec_addr_kind)dice(8);
	if (a.kind == IPSEC_ADDR_ANY)
		a.family = AF_UNSPEC;
	if (a.kind < IPSEC_ADDR_NET)
		return a;
	for (size_t i = 0; i < 16; i++) {
		lo[i] = (uint8_t)(dice(3) ? 0 : dice(256));
		hi[i] = (uint8_t)(lo[i] + dice((uint32_t)(256 - lo[i])));
	}
	if (a.kind == IPSEC_ADDR_NET)
		ipsec_addr_net(&a, family, lo, dice(ipsec_addr_bits(family) + 1));
	else
		ipsec_addr_range(&a, family, lo, hi);
	return a;
}

static struct ipsec_ports any_ports(void)
{
	struct ipsec_ports p = { 0, 0 };

	if (dice(2)) {
		p.lo = (uint16_t)dice(65535);
		p.hi = dice(2) && p.lo ? p.lo : (uint16_t)(p.lo + 1 + dice(65535u - p.lo));
		if (p.lo == 0 && p.hi == 65535)
			p.hi = 1;
	}
	return p;
}

static struct ipsec_filter any_filter(bool may_tunnel)
{
	static const uint8_t protocols[] = { 0, 1, 6, 17, 58, 255 };
	uint8_t family = dice(2) ? AF_INET : AF_INET6;
	struct ipsec_filter f = { .id = any_guid(), .description = any_text(), .src_dns = any_text(),
	    .dst_dns = any_text(), .src = any_addr(family), .dst = any_addr(family),
	    .protocol = protocols[dice(6)], .mirrored = dice(2) };

	if (f.protocol == 6 || f.protocol == 17) {
		f.src_port = any_ports();
		f.dst_port = any_ports();
	}
	if (may_tunnel && dice(2)) {
		/* Only version 1 can say it. */
		ipsec_addr_read(&f.src, "me");
		ipsec_addr_read(&f.dst, "10.0.0.0/8");
		f.src_port = f.dst_port = (struct ipsec_ports){ 0, 0 };
		f.tunnel = true;
		f.tunnel_addr[0] = (uint8_t)dice(256);
	}
	return f;
}

static struct ipsec_mm_offer any_mm_offer(void)
{
	static const uint32_t groups[] = { 0, 1, 2, 14 };
	struct ipsec_mm_offer o = { .encryption = dice(3), .hash = dice(3), .group = groups[dice(4)],
	    .life_seconds = dice(2) * 28800, .qm_limit = dice(3), .life_kbytes = dice(2) };
	struct ipsec_mm_offer f = { .random_function = (uint8_t)(1 + dice(4)) };

	ipsec_mm_function(&f, f.random_function);
	return dice(3) ? o : f;
}

static struct ipsec_offer any_offer(void)
{
	struct ipsec_offer o = { .has_esp = dice(2), .life_seconds = dice(2) * 900, .life_kbytes = dice(1000) };

	o.has_ah = !o.has_esp || dice(2);
	if (o.has_ah)
		o.ah_integrity = (enum ipsec_hash)(1 + dice(2));
	if (o.has_esp) {
		o.esp_encryption = (enum ipsec_cipher)dice(3);
		o.esp_integrity = (enum ipsec_hash)(o.esp_encryption ? dice(3) : 1 + dice(2));
	}
	return o;
}

static struct ipsec_auth any_auth(void)
{
	static const enum ipsec_auth_method methods[] = { IPSEC_AUTH_PSK, IPSEC_AUTH_CERT, IPSEC_AUTH_KERBEROS };
	struct ipsec_auth m = { .method = methods[dice(3)], .text = "", .map_account = dice(2), .exclude_ca = dice(2) };

	if (m.method != IPSEC_AUTH_KERBEROS)
		m.text = any_text();
	if (dice(3) == 0) {
		m.alt_type = 1 + dice(9);
		m.alt_len = dice(5);
		m.alt = arena_memdup(arena, "\0\1\xfe\xff\x20", m.alt_len);
	}
	return m;
}

static int guid_order(const void *x, const void *y)
{
	return guid_cmp(x, y);
}

/* n sorted GUIDs: the arrays of a policy are in their order. */
static struct guid *any_ids(size_t n)
{
	struct guid *ids = arena_zalloc(arena, n, sizeof(*ids));

	for (size_t i = 0; i < n; i++)
		ids[i] = any_guid();
	qsort(ids, n, sizeof(*ids), guid_order);
	return ids;
}

#define FILL(array, count, max, make) do { \
	(count) = dice((max) + 1); \
	(array) = arena_zalloc(arena, (count), sizeof(*(array))); \
	for (size_t fill_i = 0; fill_i < (count); fill_i++) \
		(array)[fill_i] = (make); \
} while (0)

static void fill_lists(struct ipsec_policy *p, size_t n)
{
	struct guid *ids = any_ids(n);

	p->n_filter_lists = n;
	p->filter_lists = arena_zalloc(arena, n, sizeof(*p->filter_lists));
	for (size_t i = 0; i < n; i++) {
		struct ipsec_filter_list *l = &p->filter_lists[i];
		bool tunnels = true;

		l->id = ids[i];
		l->name = any_text();
		l->description = any_text();
		/* A tunnel filter stands in front, or version 1 has no room for it. */
		FILL(l->filters, l->n_filters, 5, any_filter(tunnels));
		for (size_t k = 0; k < l->n_filters; k++) {
			tunnels = tunnels && l->filters[k].tunnel;
			if (!tunnels && l->filters[k].tunnel) {
				l->filters[k].tunnel = false;
				memset(l->filters[k].tunnel_addr, 0, 4);
			}
		}
	}
}

/* Action 0 is for the default response, the others are for filters. */
static void fill_negpols(struct ipsec_policy *p, size_t n)
{
	struct guid *ids = any_ids(n);

	p->n_negpols = n;
	p->negpols = arena_zalloc(arena, n, sizeof(*p->negpols));
	for (size_t i = 0; i < n; i++) {
		struct ipsec_negpol *np = &p->negpols[i];

		np->id = ids[i];
		np->name = any_text();
		np->description = any_text();
		np->action = i ? (enum ipsec_action)dice(3) : IPSEC_NEGOTIATE;
		np->inpass = np->action == IPSEC_NEGOTIATE && dice(2);
		np->soft = dice(2);
		np->default_response = i == 0;
		FILL(np->offers, np->n_offers, 3, any_offer());
		np->pfs = np->n_offers && dice(2);
	}
}

/* Each list and action is used, so that the policy's objects hold all of it. */
static void fill_rules(struct ipsec_policy *p)
{
	size_t n = p->n_filter_lists + p->n_negpols;
	struct guid *ids = any_ids(n);

	p->n_rules = n;
	p->rules = arena_zalloc(arena, n, sizeof(*p->rules));
	for (size_t i = 0; i < n; i++) {
		struct ipsec_rule *r = &p->rules[i];

		*r = (struct ipsec_rule){ .id = ids[i], .name = any_text(), .description = any_text(),
		    .active = dice(2), .conntype = dice(3), .interface_name = any_text(),
		    .tunnel = dice(2), .tunnel_name = any_text() };
		if (r->tunnel)
			assert_true(ipsec_addr_read(&r->tunnel_end, dice(2) ? "192.0.2.1/32" : "2001:db8::1/128"));
		FILL(r->auth, r->n_auth, 3, any_auth());
		if (i < p->n_filter_lists) {
			r->filter_list = &p->filter_lists[i];
			r->negpol = &p->negpols[1 + dice((uint32_t)p->n_negpols - 1)];
		} else {
			r->negpol = &p->negpols[i - p->n_filter_lists];
			r->default_response = r->negpol == p->negpols;
			if (!r->default_response)
				r->filter_list = &p->filter_lists[dice((uint32_t)p->n_filter_lists)];
		}
	}
}

struct ipsec_policy *any_policy(void)
{
	struct ipsec_policy *p = policy_new();
	struct ipsec_isakmp *m = &p->isakmp;

	assert_non_null(p);
	p->id = any_guid();
	p->name = any_text();
	p->description = any_text();
	p->polling_seconds = 1 + dice(100000);
	m->id = any_guid();
	m->instance = any_guid();
	m->master_pfs = dice(2);
	m->map_account = dice(2);
	m->exclude_ca = dice(2);
	m->qm_limit = dice(5);
	m->life_seconds = dice(2) * 28800;
	for (uint32_t i = 0, n = dice(5); i < n; i++)
		m->new_dh[i] = (uint8_t)(1 + dice(4));
	FILL(m->offers, m->n_offers, 4, any_mm_offer());
	fill_lists(p, 1 + dice(4));
	fill_negpols(p, 2 + dice(3));
	fill_rules(p);
	return p;
}
