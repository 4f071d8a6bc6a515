/* `dynamic show`: policies, rules, filters in effect, associations, statistics. */
#include <arpa/inet.h>
#include <ctype.h>
#include <jansson.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/cli_text.h"
#include "agent/netsh.h"
#include "agent/static.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"

#define ASK_SECONDS	60
#define NO_IKE		"no IKE daemon is in use"
#define MAX_NAMES	256	/* addresses whose names are looked up */

/* ---- what is asked for ---- */

static const char *upper(struct cli *c, const char *s)
{
	char *copy = arena_strdup(c->arena, s);

	for (char *p = copy; p && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return copy ? copy : "?";
}

static bool is_all(const char *name)
{
	return ascii_equal(name, "all");
}

static bool name_wanted(const struct netsh_args *a, const json_t *o, const char *const *keys)
{
	const struct netsh_value *v = netsh_arg(a, "name");

	if (!v || is_all(v->text) || netsh_arg(a, "all"))
		return true;
	for (; *keys; keys++)
		if (ascii_equal(v->text, json_text(o, *keys)))
			return true;
	return false;
}

/* As the daemon writes it: the address with its mask. */
static bool addr_wanted(const struct netsh_args *a, const char *tag, const char *mask_tag, const char *have)
{
	const struct netsh_value *v = netsh_arg(a, tag), *mask = netsh_arg(a, mask_tag);
	char want[IPSEC_ADDR_TEXT];
	struct ipsec_addr addr;

	if (!v)
		return true;
	if (v->host)
		return false;
	addr = v->addr;
	if (mask && addr.kind == IPSEC_ADDR_NET && !ipsec_addr_net(&addr, addr.family, addr.lo, (unsigned)mask->number))
		return false;
	ipsec_addr_text(&addr, want);
	return !strcmp(want, have);
}

static bool number_wanted(const struct netsh_args *a, const char *tag, const json_t *have)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	return !v || (json_is_integer(have) && (uint64_t)json_integer_value(have) == v->number);
}

static bool action_wanted(const struct netsh_args *a, const char *tag, const char *have)
{
	return !netsh_arg(a, tag) || arg_word(a, tag, have);
}

static bool ends_wanted(const struct netsh_args *a, const json_t *o)
{
	return addr_wanted(a, "srcaddr", "srcmask", json_text(o, "src")) && addr_wanted(a, "dstaddr", "dstmask", json_text(o, "dst")) &&
	    number_wanted(a, "protocol", json_object_get(o, "protocol")) && number_wanted(a, "srcport", json_object_get(o, "src_port")) &&
	    number_wanted(a, "dstport", json_object_get(o, "dst_port"));
}

static bool rule_wanted(const struct netsh_args *a, const json_t *o)
{
	const bool tunnel = json_is_string(json_object_get(o, "tunnel"));

	return ends_wanted(a, o) && action_wanted(a, "actioninbound", json_text(o, "inbound")) &&
	    action_wanted(a, "actionoutbound", json_text(o, "outbound")) &&
	    (!netsh_arg(a, "type") || arg_word(a, "type", tunnel ? "tunnel" : "transport"));
}

static bool policy_wanted(const struct netsh_args *a, const json_t *o)
{
	static const char *const keys[] = { "name", NULL };

	return name_wanted(a, o, keys);
}

/* An action that is asked for in one direction leaves out the filters of the other. */
static bool direction_wanted(const struct netsh_args *a, const char *tag, const json_t *o, const char *word)
{
	const char *direction = json_text(o, "direction");

	if (!netsh_arg(a, tag))
		return true;
	return arg_word(a, tag, json_text(o, "action")) && (!strcmp(direction, word) || !strcmp(direction, "both"));
}

static bool filter_wanted(const struct netsh_args *a, const json_t *o)
{
	static const char *const keys[] = { "policy", "rule_name", "filter_list", "rule", "filter", NULL };

	if (!name_wanted(a, o, keys) || !addr_wanted(a, "srcaddr", "srcmask", json_text(o, "src")) ||
	    !addr_wanted(a, "dstaddr", "dstmask", json_text(o, "dst")))
		return false;
	/* Main mode is between hosts: it has none of what follows. */
	if (!json_object_get(o, "protocol"))
		return true;
	return ends_wanted(a, o) && direction_wanted(a, "actioninbound", o, "inbound") &&
	    direction_wanted(a, "actionoutbound", o, "outbound");
}

/* ---- words ---- */

/* "10.0.0.1/32" is shown as the host it is, by its name when there is one. */
static const char *addr_shown(struct cli *c, const struct netsh_args *a, const char *text)
{
	static struct { char addr[IPSEC_ADDR_TEXT], shown[IPSEC_ADDR_TEXT + NI_MAXHOST]; } known[MAX_NAMES];
	static size_t n_known;
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST };
	struct addrinfo *ai = NULL;
	char name[NI_MAXHOST], *host;
	struct ipsec_addr addr;

	if (!ipsec_addr_read(&addr, text) || addr.kind != IPSEC_ADDR_NET || addr.prefix != ipsec_addr_bits(addr.family))
		return text;
	host = arena_strndup(c->arena, text, strcspn(text, "/"));
	if (!host || !arg_yes(a, "resolvedns", false))
		return host ? host : text;
	for (size_t i = 0; i < n_known; i++)
		if (!strcmp(known[i].addr, text))
			return known[i].shown;
	if (n_known == MAX_NAMES || getaddrinfo(host, NULL, &hints, &ai))
		return host;
	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, name, sizeof(name), NULL, 0, NI_NAMEREQD) == 0)
		snprintf(known[n_known].shown, sizeof(known[0].shown), "%s (%s)", host, name);
	else
		snprintf(known[n_known].shown, sizeof(known[0].shown), "%s", host);
	freeaddrinfo(ai);
	utf8_clean(known[n_known].shown, "");
	snprintf(known[n_known].addr, sizeof(known[0].addr), "%s", text);
	return known[n_known++].shown;
}

static const char *port_text(struct cli *c, const json_t *port)
{
	const char *s = json_is_string(port) ? json_string_value(port) :
	    json_integer_value(port) ? arena_printf(c->arena, "%lld", (long long)json_integer_value(port)) : "any";

	return s ? s : "?";
}

static const char *protocol_text(struct cli *c, const json_t *o)
{
	const json_int_t n = json_integer_value(json_object_get(o, "protocol"));
	const char *s = n == IPPROTO_ICMPV6 ? "ICMPv6" : n ? words_protocol(c->arena, (uint8_t)n) : "ANY";

	return s ? s : "?";
}

static const char *mm_offers_text(struct cli *c, const json_t *offers)
{
	const char *s = "";

	for (size_t i = 0; s && i < json_array_size(offers); i++) {
		const json_t *o = json_array_get(offers, i);
		const json_int_t group = json_integer_value(json_object_get(o, "group"));

		s = arena_printf(c->arena, "%s%s%s-%s-%lld", s, *s ? " " : "", upper(c, json_text(o, "encryption")),
		    upper(c, json_text(o, "hash")), (long long)(group == 14 ? 3 : group));
	}
	return s ? s : "?";
}

static const char *qm_offers_text(struct cli *c, const json_t *offers)
{
	const char *s = "";

	for (size_t i = 0; s && i < json_array_size(offers); i++) {
		const json_t *o = json_array_get(offers, i), *esp = json_object_get(o, "esp"), *ah = json_object_get(o, "ah");
		const char *e = json_is_object(esp) ? arena_printf(c->arena, "ESP[%s,%s]", upper(c, json_text(esp, "encryption")),
		    upper(c, json_text(esp, "integrity"))) : "";
		const char *h = json_is_object(ah) ? arena_printf(c->arena, "AH[%s]%s", upper(c, json_text(ah, "integrity")), *e ? "+" : "") : "";

		s = arena_printf(c->arena, "%s%s%s%s:%lldk/%llds", s, *s ? " " : "", h ? h : "?", e ? e : "?",
		    (long long)json_integer_value(json_object_get(o, "lifetime_kbytes")),
		    (long long)json_integer_value(json_object_get(o, "lifetime_seconds")));
	}
	return s ? s : "?";
}

static const char *yes_word(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key)) ? "yes" : "no";
}

/* As words_auth. */
static const char *auth_text(struct cli *c, const json_t *auth)
{
	const char *s = "";

	for (size_t i = 0; s && i < json_array_size(auth); i++) {
		const json_t *m = json_array_get(auth, i);
		const char *ca = json_text(m, "ca"), *method = json_text(m, "method");

		method = *ca ? "rootca " : !strcmp(method, "preshared-key") ? "psk ***" : method;
		s = arena_printf(c->arena, "%s%s%s%s%s%s%s%s", s, *s ? ", " : "", method, ca, *ca ? " certmap:" : "",
		    *ca ? yes_word(m, "certmap") : "", *ca ? " excludecaname:" : "", *ca ? yes_word(m, "excludecaname") : "");
	}
	return s ? s : "?";
}

static const char *number_text(struct cli *c, const json_t *o, const char *key, const char *unit)
{
	const char *s = arena_printf(c->arena, "%lld%s", (long long)json_integer_value(json_object_get(o, key)), unit);

	return s ? s : "?";
}

static const char *yes_text(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key)) ? "YES" : "NO";
}

static const char *minutes_text(struct cli *c, const json_t *o, const char *key)
{
	const json_int_t n = json_integer_value(json_object_get(o, key));
	const char *s = n % 60 ? arena_printf(c->arena, "%lld seconds", (long long)n) : arena_printf(c->arena, "%lld minutes", (long long)n / 60);

	return s ? s : "?";
}

static void maybe_line(FILE *out, const char *key, const char *value)
{
	if (*value)
		list_line(out, key, value);
}

/* ---- the dynamic context itself ---- */

static void mm_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	(void)a;
	list_line(out, "MM Policy Name", json_text(o, "name"));
	list_line(out, "Quick Modes per MM", number_text(c, o, "quick_mode_limit", ""));
	list_line(out, "MM Lifetime", minutes_text(c, o, "lifetime_seconds"));
	list_line(out, "Soft SA Lifetime", minutes_text(c, o, "soft_sa_seconds"));
	list_line(out, "MM Security Methods", mm_offers_text(c, json_object_get(o, "offers")));
}

static void qm_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	(void)a;
	list_line(out, "QM Policy Name", json_text(o, "name"));
	list_line(out, "Allow Unsecured", yes_text(o, "soft"));
	list_line(out, "PFS Group", upper(c, json_text(o, "pfs_group")));
	list_line(out, "Security Methods", qm_offers_text(c, json_object_get(o, "offers")));
}

static void ends_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	list_line(out, "Mirrored", yes_text(o, "mirrored"));
	list_line(out, "Source Address", addr_shown(c, a, json_text(o, "src")));
	list_line(out, "Destination Address", addr_shown(c, a, json_text(o, "dst")));
	list_line(out, "Protocol", protocol_text(c, o));
	list_line(out, "Source Port", upper(c, port_text(c, json_object_get(o, "src_port"))));
	list_line(out, "Destination Port", upper(c, port_text(c, json_object_get(o, "dst_port"))));
}

static void rule_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	const bool negotiates = !strcmp(json_text(o, "inbound"), "negotiate") || !strcmp(json_text(o, "outbound"), "negotiate");

	ends_print(c, a, o, out);
	list_line(out, "Connection Type", json_text(o, "conntype"));
	maybe_line(out, "Tunnel Endpoint", json_text(o, "tunnel"));
	list_line(out, "Inbound Action", json_text(o, "inbound"));
	list_line(out, "Outbound Action", json_text(o, "outbound"));
	maybe_line(out, "MM Policy Name", json_text(o, "mmpolicy"));
	maybe_line(out, "QM Policy Name", json_text(o, "qmpolicy"));
	if (negotiates)
		list_line(out, "Authentication", auth_text(c, json_object_get(o, "auth")));
	list_line(out, "Rule ID", json_text(o, "id"));
}

typedef bool wanted_fn(const struct netsh_args *a, const json_t *o);
typedef void print_fn(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out);

static int show_list(struct cli *c, const struct netsh_args *a, const char *what, const char *key, wanted_fn *wanted, print_fn *print, FILE *out, struct err *err)
{
	const char *whose = !strcmp(what, "mmpolicy") ? "main mode policy" : !strcmp(what, "qmpolicy") ? "quick mode policy" : what;
	const char *name = a->command->id == CMD_DYN_SHOW_ALL ? NULL : arg_text(a, "name", NULL);
	json_t *answer = NULL, *all, *list = json_array();
	int rc = 0;

	if (cli_ask(c, &answer, "org.ipsecpol.DynamicShow", json_pack("{s:s}", "what", what), ASK_SECONDS, err) < 0) {
		json_decref(list);
		return -1;
	}
	all = json_object_get(answer, key);
	for (size_t i = 0; i < json_array_size(all); i++)
		if (wanted(a, json_array_get(all, i)))
			json_array_append(list, json_array_get(all, i));
	if (!json_array_size(list) && name && !is_all(name))
		rc = err_set(err, ERR_ABSENT, "there is no dynamic %s '%s'", whose, name);
	else if (c->json)
		rc = json_print(json_pack("{s:O}", key, list), out, err);
	else if (!json_array_size(list))
		fprintf(out, "There is no dynamic %s%s.\n", whose, json_array_size(all) ? " like that" : "");
	for (size_t i = 0; !c->json && i < json_array_size(list); i++) {
		if (i)
			fputc('\n', out);
		print(c, a, json_array_get(list, i), out);
	}
	json_decref(list);
	json_decref(answer);
	return rc;
}

/* ---- filters: printed page by page, there may be hundreds of thousands ---- */

struct listing {
	const char	*what;		/* "mm" or "qm" */
	size_t		 n;		/* printed so far */
	bool		 begun;		/* the JSON */
};

static void where_print(struct cli *c, const json_t *o, FILE *out)
{
	const char *gpo = json_text(o, "gpo_name"), *name = json_text(o, "rule_name");

	fprintf(out, "    %s", json_text(o, "store"));
	fprintf(out, ", policy '%s', rule %s%s%s%s", clean_text(c, json_text(o, "policy")), *name ? "'" : "", clean_text(c, name), *name ? "' " : "",
	    json_text(o, "rule"));
	if (json_is_string(json_object_get(o, "gpo")))
		fprintf(out, ", GPO '%s' %s", clean_text(c, gpo), json_text(o, "gpo"));
	if (*json_text(o, "filter"))
		fprintf(out, ", filter %s", json_text(o, "filter"));
	fputc('\n', out);
}

static void qmfilter_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	const char *tunnel = json_text(o, "tunnel"), *conntype = json_text(o, "conntype");

	fprintf(out, "%-8s %-9s %s > %s", json_text(o, "direction"), json_text(o, "action"), addr_shown(c, a, json_text(o, "src")),
	    addr_shown(c, a, json_text(o, "dst")));
	/* Unless an address says it. */
	if (json_is_integer(json_object_get(o, "family")) && !strpbrk(json_text(o, "src"), ".:") && !strpbrk(json_text(o, "dst"), ".:"))
		fprintf(out, ", IPv%lld", (long long)json_integer_value(json_object_get(o, "family")));
	fprintf(out, ", %s", protocol_text(c, o));
	if (json_integer_value(json_object_get(o, "src_port")) || json_integer_value(json_object_get(o, "dst_port")) ||
	    json_is_string(json_object_get(o, "src_port")) || json_is_string(json_object_get(o, "dst_port")))
		fprintf(out, " %s > %s", port_text(c, json_object_get(o, "src_port")), port_text(c, json_object_get(o, "dst_port")));
	if (strcmp(json_text(o, "kind"), json_text(o, "action")))
		fprintf(out, " (%s)", json_text(o, "kind"));
	if (json_is_true(json_object_get(o, "mirrored")))
		fputs(", mirrored", out);
	if (strcmp(conntype, "all"))
		fprintf(out, ", %s", conntype);
	if (*tunnel)
		fprintf(out, ", tunnel %s", tunnel);
	if (json_object_get(o, "weight"))
		fprintf(out, ", weight %lld%s", (long long)json_integer_value(json_object_get(o, "weight")),
		    json_is_true(json_object_get(o, "shadowed")) ? ", without effect: a stronger one is for the same packets" : "");
	fputc('\n', out);
	where_print(c, o, out);
}

static void mmfilter_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	const json_t *m = json_object_get(o, "main_mode");
	const char *tunnel = json_text(o, "tunnel");

	fprintf(out, "%s > %s", addr_shown(c, a, json_text(o, "src")), addr_shown(c, a, json_text(o, "dst")));
	fprintf(out, "%s%s, %s, %s, %s\n", *tunnel ? ", tunnel " : "", tunnel, mm_offers_text(c, json_object_get(m, "offers")),
	    number_text(c, m, "lifetime_seconds", " s"), clean_text(c, auth_text(c, json_object_get(o, "auth"))));
	where_print(c, o, out);
}

static int page_print(struct cli *c, const struct netsh_args *a, struct listing *l, const json_t *list, FILE *out, struct err *err)
{
	struct arena *whole = c->arena, *page = arena_new(0);

	if (!page)
		return err_nomem(err);
	/* What the lines are made of is not kept for all of them. */
	c->arena = page;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);

		if (!filter_wanted(a, o))
			continue;
		if (c->json && !l->begun)
			fputs("{\n  \"filters\": [", out);
		l->begun = true;
		if (c->json) {
			fputs(l->n ? ",\n    " : "\n    ", out);
			if (json_print_compact(o, out, err) < 0)
				break;
		} else if (!strcmp(l->what, "mm")) {
			mmfilter_print(c, a, o, out);
		} else {
			qmfilter_print(c, a, o, out);
		}
		l->n++;
	}
	c->arena = whole;
	arena_free(page);
	return ferror(out) ? err_set(err, ERR_SYSTEM, "writing the output: %m") : 0;
}

static json_t *page_wanted(const struct netsh_args *a, const char *what, json_int_t from, json_int_t stamp)
{
	json_t *p = json_pack("{s:s, s:s, s:I}", "type", arg_word(a, "type", "specific") ? "specific" : "generic", "what", what, "from", from);

	if (from)
		json_object_set_new(p, "stamp", json_integer(stamp));
	return p;
}

static int show_filters(struct cli *c, const struct netsh_args *a, const char *what, FILE *out, struct err *err)
{
	const char *name = arg_text(a, "name", NULL);
	struct listing l = { .what = what };
	json_int_t from = 0, stamp = 0;
	json_t *answer = NULL, *next;
	bool more = true;
	int rc = 0;

	while (more && rc == 0) {
		if (cli_ask(c, &answer, "org.ipsecpol.Filters", page_wanted(a, what, from, stamp), ASK_SECONDS, err) < 0)
			return -1;
		rc = page_print(c, a, &l, json_object_get(answer, "filters"), out, err);
		next = json_object_get(answer, "next");
		more = json_is_integer(next);
		from = json_integer_value(next);
		stamp = json_integer_value(json_object_get(answer, "stamp"));
		json_decref(answer);
	}
	if (rc == 0 && !l.n && name && !is_all(name))
		return err_set(err, ERR_ABSENT, "there is no %s mode filter of '%s' in effect", !strcmp(what, "mm") ? "main" : "quick", name);
	if (c->json)
		fputs(l.begun ? "\n  ]\n}\n" : "{\n  \"filters\": []\n}\n", out);
	else if (!l.n)
		fprintf(out, "There is no such %s mode filter in effect.\n", !strcmp(what, "mm") ? "main" : "quick");
	return rc;
}

/* ---- associations and statistics ---- */

static int show_sas(struct cli *c, const char *which, FILE *out, struct err *err)
{
	if (c->json)
		return json_print(json_pack("{s:[], s:n}", "associations", "ike"), out, err);
	fprintf(out, "There is no %s mode association: " NO_IKE ".\n", which);
	return 0;
}

static json_t *xfrm_json(void)
{
	FILE *f = fopen("/proc/net/xfrm_stat", "re");
	json_t *all = f ? json_object() : json_null();
	char line[128], name[64];
	long long value;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[A-Za-z0-9]%*[ \t]%lld", name, &value) == 2)
			json_object_set_new(all, name, json_integer(value));
	if (f)
		fclose(f);
	return all;
}

static int show_stats(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err)
{
	const bool ike = !netsh_arg(a, "type") || !arg_word(a, "type", "ipsec"), ipsec = !netsh_arg(a, "type") || !arg_word(a, "type", "ike");
	json_t *errors = ipsec ? xfrm_json() : json_null(), *value;
	const char *key;

	if (c->json)
		return json_print(json_pack("{s:n, s:o}", "ike", "ipsec_errors", errors), out, err);
	if (ike)
		fputs("IKE: no statistics, " NO_IKE ".\n", out);
	if (ipsec && json_is_null(errors))
		fputs("IPsec: the kernel counts no errors (/proc/net/xfrm_stat is not there).\n", out);
	json_object_foreach(errors, key, value) {
		char text[32];

		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
		list_line(out, key, text);
	}
	if (ipsec)
		fputs("Packets by rule: 'nft list table inet ipsecpol' shows the counters.\n", out);
	json_decref(errors);
	return 0;
}

/* ---- all ---- */

static int show_all(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err)
{
	static const struct { enum netsh_id id; const char *key, *heading; } parts[] = {
		{ CMD_DYN_SHOW_MMPOLICY, "mmpolicy", "Main mode policies" }, { CMD_DYN_SHOW_QMPOLICY, "qmpolicy", "Quick mode policies" },
		{ CMD_DYN_SHOW_RULE, "rule", "Dynamic rules" }, { CMD_DYN_SHOW_MMFILTER, "mmfilter", "Main mode filters in effect" },
		{ CMD_DYN_SHOW_QMFILTER, "qmfilter", "Filters in effect" }, { CMD_DYN_SHOW_MMSAS, "mmsas", "Main mode associations" },
		{ CMD_DYN_SHOW_QMSAS, "qmsas", "Quick mode associations" }, { CMD_DYN_SHOW_STATS, "stats", "Statistics" },
		{ CMD_DYN_SHOW_CONFIG, "config", "Configuration" },
	};
	const size_t n = sizeof(parts) / sizeof(parts[0]);
	json_t *answer = NULL;

	/* Nothing is printed when there is nobody to ask. */
	if (cli_ask(c, &answer, "org.ipsecpol.Config", NULL, ASK_SECONDS, err) < 0)
		return -1;
	json_decref(answer);
	for (size_t i = 0; i < n; i++) {
		struct netsh_args one = { .command = netsh_command(parts[i].id), .values = a->values, .n_values = a->n_values };

		if (c->json)
			fprintf(out, "%s\"%s\": ", i ? "," : "{", parts[i].key);
		else
			list_heading(out, parts[i].heading);
		if (cli_dynamic_run(c, &one, out, err) < 0)
			return -1;
	}
	if (c->json)
		fputs("}\n", out);
	return 0;
}

int dynamic_show(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err)
{
	switch (a->command->id) {
	case CMD_DYN_SHOW_MMPOLICY:
		return show_list(c, a, "mmpolicy", "mmpolicies", policy_wanted, mm_print, out, err);
	case CMD_DYN_SHOW_QMPOLICY:
		return show_list(c, a, "qmpolicy", "qmpolicies", policy_wanted, qm_print, out, err);
	case CMD_DYN_SHOW_RULE:
		return show_list(c, a, "rule", "rules", rule_wanted, rule_print, out, err);
	case CMD_DYN_SHOW_MMFILTER:
		return show_filters(c, a, "mm", out, err);
	case CMD_DYN_SHOW_QMFILTER:
		return show_filters(c, a, "qm", out, err);
	case CMD_DYN_SHOW_MMSAS:
		return show_sas(c, "main", out, err);
	case CMD_DYN_SHOW_QMSAS:
		return show_sas(c, "quick", out, err);
	case CMD_DYN_SHOW_STATS:
		return show_stats(c, a, out, err);
	case CMD_DYN_SHOW_ALL:
		return show_all(c, a, out, err);
	default:
		return err_set(err, ERR_UNSUPPORTED, "'%s %s' is not known here", a->command->verb, a->command->object);
	}
}
