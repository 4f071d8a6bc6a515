/* What the tags of `dynamic show` ask for, and values of its JSON as words. */
#include "agent/cli_dynamic_words.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <jansson.h>
#include <netdb.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/cli_text.h"
#include "agent/netsh.h"
#include "agent/static.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/utf.h"

#define MAX_NAMES	256	/* addresses whose names are looked up */

/* ---- what is asked for ---- */

const char *upper(struct cli *c, const char *s)
{
	char *copy = arena_strdup(c->arena, s);

	for (char *p = copy; p && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return copy ? copy : "?";
}

bool is_all(const char *name)
{
	return ascii_equal(name, "all");
}

bool name_wanted(const struct netsh_args *a, const json_t *o, const char *const *keys)
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
bool addr_wanted(const struct netsh_args *a, const char *tag, const char *mask_tag, const char *have)
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

bool action_wanted(const struct netsh_args *a, const char *tag, const char *have)
{
	return !netsh_arg(a, tag) || arg_word(a, tag, have);
}

bool ends_wanted(const struct netsh_args *a, const json_t *o)
{
	return addr_wanted(a, "srcaddr", "srcmask", json_text(o, "src")) && addr_wanted(a, "dstaddr", "dstmask", json_text(o, "dst")) &&
	    number_wanted(a, "protocol", json_object_get(o, "protocol")) && number_wanted(a, "srcport", json_object_get(o, "src_port")) &&
	    number_wanted(a, "dstport", json_object_get(o, "dst_port"));
}

/* ---- words ---- */

/* "10.0.0.1/32" is shown as the host it is, by its name when there is one. */
const char *addr_shown(struct cli *c, const struct netsh_args *a, const char *text)
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

const char *port_text(struct cli *c, const json_t *port)
{
	const char *s = json_is_string(port) ? json_string_value(port) :
	    json_integer_value(port) ? arena_printf(c->arena, "%lld", (long long)json_integer_value(port)) : "any";

	return s ? s : "?";
}

const char *protocol_text(struct cli *c, const json_t *o)
{
	const json_int_t n = json_integer_value(json_object_get(o, "protocol"));
	const char *s = n == IPPROTO_ICMPV6 ? "ICMPv6" : n ? words_protocol(c->arena, (uint8_t)n) : "ANY";

	return s ? s : "?";
}

const char *mm_offers_text(struct cli *c, const json_t *offers)
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

const char *qm_offers_text(struct cli *c, const json_t *offers)
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
const char *auth_text(struct cli *c, const json_t *auth)
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

const char *number_text(struct cli *c, const json_t *o, const char *key, const char *unit)
{
	const char *s = arena_printf(c->arena, "%lld%s", (long long)json_integer_value(json_object_get(o, key)), unit);

	return s ? s : "?";
}

const char *yes_text(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key)) ? "YES" : "NO";
}

const char *minutes_text(struct cli *c, const json_t *o, const char *key)
{
	const json_int_t n = json_integer_value(json_object_get(o, key));
	const char *s = n % 60 ? arena_printf(c->arena, "%lld seconds", (long long)n) : arena_printf(c->arena, "%lld minutes", (long long)n / 60);

	return s ? s : "?";
}

void maybe_line(FILE *out, const char *key, const char *value)
{
	if (*value)
		list_line(out, key, value);
}
