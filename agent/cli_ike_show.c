/* `dynamic show mmsas` and `qmsas`. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <jansson.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/cli_dynamic_words.h"
#include "agent/cli_ike.h"
#include "agent/cli_text.h"
#include "agent/netsh.h"
#include "agent/static.h"
#include "agent/vici.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

/* ---- what is asked for ---- */

struct side {
	bool			 whatever;
	struct ipsec_addr	*addrs;
	size_t			 n;
};

/* own: the side that "me" is on. */
static int side_look(struct side *s, struct cli *c, const struct netsh_args *a, const char *tag, bool own, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	*s = (struct side){ .whatever = !v };
	if (!v)
		return 0;
	if (v->host)
		return host_lookup(&s->addrs, &s->n, c->arena, v->host, tag, err);
	if (v->addr.kind == IPSEC_ADDR_ANY || (own && v->addr.kind == IPSEC_ADDR_ME)) {
		s->whatever = true;
		return 0;
	}
	if (v->addr.kind != IPSEC_ADDR_NET && v->addr.kind != IPSEC_ADDR_RANGE)
		return err_set(err, ERR_UNSUPPORTED, "'%s': '%s' is no address: associations are between addresses%s", tag, v->text,
		    v->addr.kind == IPSEC_ADDR_ME ? ", and this host is the source of all of them" : "");
	s->addrs = arena_memdup(c->arena, &v->addr, sizeof(v->addr));
	s->n = 1;
	return s->addrs ? 0 : err_nomem(err);
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	const unsigned bytes = bits / 8, rest = bits % 8;

	return !memcmp(a, b, bytes) && (!rest || !((a[bytes] ^ b[bytes]) >> (8 - rest)));
}

static bool addr_in(const struct ip_addr *ip, const struct ipsec_addr *a)
{
	const size_t n = ip->family == AF_INET ? 4 : 16;

	if (ip->family != a->family)
		return false;
	if (a->kind == IPSEC_ADDR_NET)
		return bits_equal(ip->b, a->lo, a->prefix);
	return memcmp(ip->b, a->lo, n) >= 0 && memcmp(ip->b, a->hi, n) <= 0;
}

static bool side_wanted(const struct side *s, const char *text)
{
	struct ip_addr ip;

	if (s->whatever)
		return true;
	if (!ip_addr_read(&ip, text))
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (addr_in(&ip, &s->addrs[i]))
			return true;
	return false;
}

/* Of "10.9.0.1/32[tcp/7777]": 0 when it is for all of them. */
static unsigned traffic_protocol(const char *text)
{
	const char *p = strchr(text, '[');
	const struct protoent *e;
	char name[32];
	size_t n;

	if (!p)
		return 0;
	n = strcspn(++p, "/]");
	snprintf(name, sizeof(name), "%.*s", n < sizeof(name) ? (int)n : (int)sizeof(name) - 1, p);
	if (*name >= '0' && *name <= '9')
		return (unsigned)strtoul(name, NULL, 10);
	if (!strcmp(name, "tcp") || !strcmp(name, "udp"))
		return *name == 't' ? IPPROTO_TCP : IPPROTO_UDP;
	e = getprotobyname(name);
	return e ? (unsigned)e->p_proto : 0;
}

static bool protocol_wanted(const struct netsh_args *a, const json_t *o)
{
	const struct netsh_value *v = netsh_arg(a, "protocol");
	const json_t *traffic = json_object_get(o, "dst_traffic");

	if (!v || !v->number)
		return true;
	for (size_t i = 0; i < json_array_size(traffic); i++)
		if (traffic_protocol(json_string_value(json_array_get(traffic, i))) == v->number)
			return true;
	return false;
}

static json_t *wanted_of(json_t *all, const struct netsh_args *a, const struct side *src, const struct side *dst)
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(all); i++) {
		json_t *o = json_array_get(all, i);

		if (side_wanted(src, json_text(o, "src")) && side_wanted(dst, json_text(o, "dst")) && protocol_wanted(a, o))
			json_array_append(list, o);
	}
	return list;
}

/* ---- words ---- */

static const char *host_text(struct cli *c, const struct netsh_args *a, const char *addr)
{
	const char *s = arena_printf(c->arena, "%s/%d", addr, strchr(addr, ':') ? 128 : 32);

	return s ? addr_shown(c, a, s) : "?";
}

static const char *joined(struct cli *c, const char *before, const char *between, const char *s)
{
	const char *all = *s ? arena_printf(c->arena, "%s%s%s", before, *before ? between : "", s) : before;

	return all ? all : "?";
}

/* "3DES_CBC/HMAC_SHA1_96/MODP_1024" */
static const char *proposal_text(struct cli *c, const json_t *o)
{
	const json_t *p = json_object_get(o, "proposal"), *bits = json_object_get(p, "key_bits");
	const char *s = json_text(p, "encryption");

	if (json_integer_value(bits))
		s = joined(c, s, "-", number_text(c, p, "key_bits", ""));
	return joined(c, joined(c, s, "/", json_text(p, "integrity")), "/", json_text(p, "group"));
}

static const char *cookies_text(struct cli *c, const json_t *o)
{
	const json_t *pair = json_object_get(o, "cookies");
	const char *x = json_string_value(json_array_get(pair, 0)), *y = json_string_value(json_array_get(pair, 1));
	const char *s = arena_printf(c->arena, "%s:%s", x ? x : "0000000000000000", y ? y : "0000000000000000");

	return s ? s : "?";
}

static const char *end_text(struct cli *c, const struct netsh_args *a, const json_t *o, const char *addr, const char *port, const char *id)
{
	const char *s = host_text(c, a, json_text(o, addr));

	if (json_is_integer(json_object_get(o, port)))
		s = joined(c, s, ", port ", number_text(c, o, port, ""));
	if (*json_text(o, id) && strcmp(json_text(o, id), "%any") && strcmp(json_text(o, id), json_text(o, addr)))
		s = joined(c, s, ", id ", json_text(o, id));
	return s;
}

static const char *auth_shown(const json_t *o)
{
	const char *s = json_text(o, "auth");

	return !strcmp(s, "preshared-key") ? "Preshared key" : !strcmp(s, "certificate") ? "Certificate" : s;
}

static const char *traffic_text(struct cli *c, const json_t *list)
{
	const char *s = "";

	for (size_t i = 0; i < json_array_size(list); i++)
		s = joined(c, s, " ", json_string_value(json_array_get(list, i)));
	return s;
}

/* "1234 in, 5678 out"; "" when neither is known. */
static const char *count_text(struct cli *c, const json_t *o, const char *in, const char *out)
{
	const char *x = json_is_integer(json_object_get(o, in)) ? number_text(c, o, in, " in") : "";
	const char *y = json_is_integer(json_object_get(o, out)) ? number_text(c, o, out, " out") : "";

	return joined(c, x, ", ", y);
}

/* ---- lists and tables ---- */

static void main_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	list_line(out, "Cookie Pair", cookies_text(c, o));
	list_line(out, "State", json_text(o, "state"));
	list_line(out, "Source", end_text(c, a, o, "src", "src_port", "src_id"));
	list_line(out, "Destination", end_text(c, a, o, "dst", "dst_port", "dst_id"));
	list_line(out, "Version", json_text(o, "version"));
	maybe_line(out, "Security Methods", proposal_text(c, o));
	maybe_line(out, "Authentication", auth_shown(o));
	maybe_line(out, "Age", ike_age_text(c, json_object_get(o, "age_seconds")));
	maybe_line(out, "Rekeying In", ike_age_text(c, json_object_get(o, "rekey_seconds")));
	list_line(out, "Quick Modes", number_text(c, o, "quick_modes", ""));
	maybe_line(out, "Rule", ike_rules_text(c, json_object_get(o, "rules")));
	list_line(out, "Connection", json_text(o, "connection"));
}

static void quick_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	list_line(out, "State", json_text(o, "state"));
	list_line(out, "Source", end_text(c, a, o, "src", "", ""));
	list_line(out, "Destination", end_text(c, a, o, "dst", "", ""));
	maybe_line(out, "Source Traffic", traffic_text(c, json_object_get(o, "src_traffic")));
	maybe_line(out, "Destination Traffic", traffic_text(c, json_object_get(o, "dst_traffic")));
	list_line(out, "Mode", joined(c, upper(c, json_text(o, "protocol")), ", ", upper(c, json_text(o, "mode"))));
	maybe_line(out, "Inbound SPI", json_text(o, "spi_in"));
	maybe_line(out, "Outbound SPI", json_text(o, "spi_out"));
	maybe_line(out, "Security Methods", proposal_text(c, o));
	maybe_line(out, "Age", ike_age_text(c, json_object_get(o, "age_seconds")));
	maybe_line(out, "Rekeying In", ike_age_text(c, json_object_get(o, "rekey_seconds")));
	maybe_line(out, "Expires In", ike_age_text(c, json_object_get(o, "life_seconds")));
	maybe_line(out, "Bytes", count_text(c, o, "bytes_in", "bytes_out"));
	maybe_line(out, "Packets", count_text(c, o, "packets_in", "packets_out"));
	maybe_line(out, "Rule", ike_rules_text(c, json_object_get(o, "rules")));
	maybe_line(out, "Connection", joined(c, json_text(o, "connection"), ", child ", json_text(o, "child")));
	if (json_is_false(json_object_get(o, "kernel")))
		list_line(out, "Problem", "the kernel does not have it");
}

static struct table *main_table(struct cli *c, const struct netsh_args *a, const json_t *list)
{
	static const char *const headings[] = { "Source", "Destination", "State", "Security methods", "Authentication", "Age", "Quick modes", "Rule" };
	struct table *t = table_new(8, headings);

	for (size_t i = 0; t && i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);

		table_row(t, (const char *const[]){ host_text(c, a, json_text(o, "src")), host_text(c, a, json_text(o, "dst")), json_text(o, "state"),
		    proposal_text(c, o), auth_shown(o), ike_age_text(c, json_object_get(o, "age_seconds")), number_text(c, o, "quick_modes", ""),
		    ike_rules_text(c, json_object_get(o, "rules")) });
	}
	return t;
}

static struct table *quick_table(struct cli *c, const struct netsh_args *a, const json_t *list)
{
	static const char *const headings[] = { "Source", "Destination", "State", "Mode", "Security methods", "Age", "Bytes", "Rule" };
	struct table *t = table_new(8, headings);

	for (size_t i = 0; t && i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);

		table_row(t, (const char *const[]){ host_text(c, a, json_text(o, "src")), host_text(c, a, json_text(o, "dst")), json_text(o, "state"),
		    joined(c, json_text(o, "protocol"), " ", json_text(o, "mode")), proposal_text(c, o),
		    ike_age_text(c, json_object_get(o, "age_seconds")), count_text(c, o, "bytes_in", "bytes_out"),
		    ike_rules_text(c, json_object_get(o, "rules")) });
	}
	return t;
}

static int list_print(struct cli *c, const struct netsh_args *a, const json_t *list, bool main_mode, FILE *out, struct err *err)
{
	struct table *t;
	int rc;

	if (json_array_size(list) && arg_word(a, "format", "table")) {
		t = main_mode ? main_table(c, a, list) : quick_table(c, a, list);
		rc = t ? table_print(t, false, out, err) : err_nomem(err);
		table_free(t);
		return rc;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (i)
			fputc('\n', out);
		(main_mode ? main_print : quick_print)(c, a, json_array_get(list, i), out);
	}
	return 0;
}

static int text_print(struct cli *c, const struct netsh_args *a, const json_t *list, const struct ike_sas *ike, const struct ike_rules *rules,
    bool main_mode, FILE *out, struct err *err)
{
	const char *mode = main_mode ? "main" : "quick";

	if (!json_array_size(list))
		fprintf(out, "There is no %s mode association%s.\n", mode,
		    json_array_size(main_mode ? ike->main : ike->quick) ? " like that" : "");
	if (list_print(c, a, list, main_mode, out, err) < 0)
		return -1;
	if (ike->n_foreign)
		fprintf(out, "(charon has %zu IKE SA%s of connections that are not of the policy: 'swanctl --list-sas' shows them)\n",
		    ike->n_foreign, ike->n_foreign == 1 ? "" : "s");
	if (json_array_size(list) && !rules->known)
		fputs("(the service does not say which rules they are for)\n", out);
	return 0;
}

/* ---- the commands ---- */

/* Charon's and the kernel's.  0, or -1 with *ret as far as it is known and empty lists for the rest. */
static int gather(struct ike_sas *ret, struct cli *c, const struct ike_rules *rules, bool main_mode, struct err *err)
{
	struct vici *v = ike_open(c, err);
	struct kernel_sas k;
	struct err kernel = { 0 };
	int rc = v ? ike_sas(ret, v, c, rules, err) : -1;

	vici_close(v);
	if (rc < 0)
		*ret = (struct ike_sas){ .main = json_array(), .quick = json_array(), .daemon = json_null() };
	if (main_mode)
		return rc;
	/* Without it charon's own are shown as they are. */
	if (kernel_sas(&k, c, &kernel) == 0) {
		if (kernel_sas_join(ret->quick, &k, rules, &kernel) < 0 && rc == 0)
			rc = err_set(err, kernel.code, "%s", kernel.msg);
		kernel_sas_close(&k);
	} else if (rc == 0 && json_array_size(ret->quick)) {
		rc = err_set(err, kernel.code, "%s", kernel.msg);
	}
	return rc;
}

int dynamic_show_sas(struct cli *c, const struct netsh_args *a, bool main_mode, FILE *out, struct err *err)
{
	struct side src, dst;
	struct ike_rules rules;
	struct ike_sas ike;
	struct err said = { 0 };
	json_t *list;
	int rc;

	if (geteuid() != 0)
		return err_set(err, ERR_DENIED, "'dynamic show %s' is for root", main_mode ? "mmsas" : "qmsas");
	if (side_look(&src, c, a, "srcaddr", true, err) < 0 || side_look(&dst, c, a, "dstaddr", false, err) < 0)
		return -1;
	ike_rules_ask(&rules, c);
	rc = gather(&ike, c, &rules, main_mode, &said);
	list = wanted_of(main_mode ? ike.main : ike.quick, a, &src, &dst);
	if (c->json)
		rc = json_print(json_pack("{s:O, s:O, s:I, s:s?}", "associations", list, "ike", ike.daemon, "others", (json_int_t)ike.n_foreign,
		    "problem", rc < 0 ? said.msg : NULL), out, err) < 0 ? -1 : rc;
	else if (rc == 0)
		rc = text_print(c, a, list, &ike, &rules, main_mode, out, &said);
	else if (list_print(c, a, list, main_mode, out, err) == 0 && json_array_size(list))
		fputc('\n', out);
	if (rc < 0 && said.code != ERR_NONE)
		*err = said;
	json_decref(list);
	ike_sas_free(&ike);
	ike_rules_free(&rules);
	return rc;
}
