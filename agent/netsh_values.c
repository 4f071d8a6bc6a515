/* One value of a tag, from and to text. */
#include <arpa/inet.h>
#include <string.h>

#include "agent/netsh.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"

#define MAX_HOST	253	/* bytes of a DNS name */
#define MAX_DAYS	366

/* "'srcmask': 33 is not ..."; never the value of a secret, nor one where a key may have strayed. */
static int value_bad(const struct netsh_tag *tag, const char *text, const char *wanted, struct err *err)
{
	bool bare = *text && strspn(text, "0123456789") == strlen(text);

	if (tag->flags & (NETSH_SECRET | NETSH_UNSHOWN))
		return err_set(err, ERR_FORMAT, "'%s' is not %s", tag->name, wanted);
	return err_set(err, ERR_FORMAT, bare ? "'%s': %.100s is not %s" : "'%s': '%.100s' is not %s", tag->name, text, wanted);
}

bool netsh_number(uint64_t *ret, const char *s, size_t len, uint64_t max)
{
	uint64_t v = 0;

	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || v > max / 10)
			return false;
		v = 10 * v + (uint64_t)(s[i] - '0');
	}
	if (v > max)
		return false;
	*ret = v;
	return true;
}

static bool same_word(const char *s, size_t len, const char *word)
{
	return netsh_match(s, len, word) == 2;
}

/* ---- text, numbers, words ---- */

static int text_parse(struct netsh_value *v, const char *text, struct err *err)
{
	const struct netsh_tag *tag = v->tag;
	size_t len = strlen(text);
	int32_t c;

	if (len < tag->min)
		return err_set(err, ERR_FORMAT, "'%s' is empty", tag->name);
	if (len > tag->max)
		return err_set(err, ERR_FORMAT, "'%s': %zu bytes are more than %u", tag->name, len, tag->max);
	if (!utf8_valid(text))
		return err_set(err, ERR_FORMAT, "'%s' is not UTF-8", tag->name);
	/* As stores refuse them in names; a key or a CA may be what it is. */
	while ((c = utf8_next(&text)) > 0)
		if (c != '\t' && (c < ' ' || c == 0x7f || (tag->type == NT_TEXT && !(tag->flags & NETSH_SECRET) && utf8_hidden(c))))
			return err_set(err, ERR_FORMAT, "'%s' holds a control character", tag->name);
	return 0;
}

static int yesno_parse(struct netsh_value *v, const char *text, struct err *err)
{
	size_t len = strlen(text);

	v->yes = len && netsh_match(text, len, "yes");
	if (!v->yes && !(len && netsh_match(text, len, "no")))
		return value_bad(v->tag, text, "yes or no", err);
	return 0;
}

static int number_parse(struct netsh_value *v, const char *text, struct err *err)
{
	char wanted[64];

	if (netsh_number(&v->number, text, strlen(text), v->tag->max) && v->number >= v->tag->min)
		return 0;
	snprintf(wanted, sizeof(wanted), "a number of %u to %u", v->tag->min, v->tag->max);
	return value_bad(v->tag, text, wanted, err);
}

/* The i-th of "a|b|c"; NULL: there are not so many. */
static const char *word_at(const char *words, uint64_t i, size_t *ret_len)
{
	while (i--) {
		words = strchr(words, '|');
		if (!words)
			return NULL;
		words++;
	}
	*ret_len = strcspn(words, "|");
	return words;
}

static int word_parse(struct netsh_value *v, const char *text, struct err *err)
{
	size_t len, n = 0;
	const char *w;

	for (uint64_t i = 0; *text && (w = word_at(v->tag->words, i, &len)); i++) {
		int match = netsh_match(text, strlen(text), w);

		if (!match)
			continue;
		v->number = i;
		n++;
		if (match == 2)
			return 0;
	}
	return n == 1 ? 0 : value_bad(v->tag, text, v->tag->words, err);
}

static int guid_value_parse(struct netsh_value *v, const char *text, struct err *err)
{
	if (guid_parse(&v->guid, text, strlen(text)))
		return 0;
	if (!(v->tag->flags & NETSH_NUMBERED))
		return value_bad(v->tag, text, "a GUID", err);
	if (netsh_number(&v->number, text, strlen(text), UINT32_MAX) && v->number)
		return 0;
	return value_bad(v->tag, text, "a GUID or a number from 1", err);
}

static int time_parse(struct netsh_value *v, const char *text, struct err *err)
{
	static const struct { const char *name; unsigned seconds; } units[] = {
		{ "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 },
	};
	size_t n = strspn(text, "0123456789");
	uint64_t count;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (same_word(text + n, strlen(text + n), units[i].name) &&
		    netsh_number(&count, text, n, MAX_DAYS * 86400 / units[i].seconds) && count) {
			v->number = count * units[i].seconds;
			return 0;
		}
	return value_bad(v->tag, text, "a time of up to 366 days, like 90s, 30min, 2h or 3d", err);
}

/* ---- addresses, masks, ports, protocols ---- */

/* A DNS name, and not something that was meant to be an address. */
static bool host_valid(const char *s)
{
	size_t len = strlen(s), label = 0;
	bool digits = true;

	if (!len || len > MAX_HOST)
		return false;
	for (; *s; s++) {
		uint8_t c = ascii_lower((uint8_t)*s);

		if (c == '.') {
			if (!label)
				return false;
			label = 0;
			digits = digits && !s[1];
			if (s[1])
				digits = true;
			continue;
		}
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && !(c == '-' && label))
			return false;
		if (++label > 63)
			return false;
		digits = digits && c >= '0' && c <= '9';
	}
	return !digits;
}

static bool address_read(uint8_t ret[static 16], uint8_t *ret_family, const char *s, size_t len)
{
	char text[INET6_ADDRSTRLEN];

	if (len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	memset(ret, 0, 16);
	*ret_family = memchr(s, ':', len) ? AF_INET6 : AF_INET;
	return inet_pton(*ret_family, text, ret) == 1;
}

/* 1: an address, a network, or a range of them; -1: begins like one; 0: does not. */
static int net_read(struct ipsec_addr *ret, const char *text)
{
	uint8_t lo[16], hi[16], family, family_hi;
	size_t n = strcspn(text, "/-");
	uint64_t prefix;

	if (!address_read(lo, &family, text, n))
		return strchr(text, ':') || strchr(text, '/') ? -1 : 0;
	if (!text[n])
		return ipsec_addr_net(ret, family, lo, ipsec_addr_bits(family)) ? 1 : -1;
	if (text[n] == '/')
		return netsh_number(&prefix, text + n + 1, strlen(text + n + 1), 128) &&
		    ipsec_addr_net(ret, family, lo, (unsigned)prefix) ? 1 : -1;
	return address_read(hi, &family_hi, text + n + 1, strlen(text + n + 1)) && family_hi == family &&
	    ipsec_addr_range(ret, family, lo, hi) ? 1 : -1;
}

/* me, any, dns..., and me4, dns6... for one family */
static bool keyword_read(struct ipsec_addr *ret, const char *text)
{
	char lower[IPSEC_ADDR_TEXT];
	size_t n = strlen(text);

	if (n >= sizeof(lower) || strpbrk(text, ".:/"))
		return false;
	for (size_t i = 0; i <= n; i++)
		lower[i] = (char)ascii_lower((uint8_t)text[i]);
	return ipsec_addr_read(ret, lower);
}

static bool is_zero(const struct ipsec_addr *addr)
{
	static const uint8_t zero[16];

	return addr->kind == IPSEC_ADDR_NET && !memcmp(addr->lo, zero, sizeof(zero));
}

static int addr_parse(struct netsh_value *v, struct arena *a, const char *text, struct err *err)
{
	bool single = v->tag->flags & NETSH_SINGLE;
	const char *wanted = single ? "one address, a DNS name or none" :
	    "me, any, an address, address/prefix, a range, a DNS name, WINS, DNS, DHCP or GATEWAY";
	int net;

	if (single && same_word(text, strlen(text), "none"))
		return 0;
	if (keyword_read(&v->addr, text))
		return single ? value_bad(v->tag, text, wanted, err) : 0;
	net = net_read(&v->addr, text);
	if (net < 0 || (!net && !host_valid(text)))
		return value_bad(v->tag, text, wanted, err);
	if (!net) {
		v->host = arena_strdup(a, text);
		return v->host ? 0 : err_nomem(err);
	}
	if (!single)
		return 0;
	if (v->addr.kind != IPSEC_ADDR_NET || v->addr.prefix != ipsec_addr_bits(v->addr.family))
		return value_bad(v->tag, text, wanted, err);
	if (is_zero(&v->addr))	/* 0.0.0.0: none */
		v->addr = (struct ipsec_addr){ 0 };
	return 0;
}

static int mask_parse(struct netsh_value *v, const char *text, struct err *err)
{
	uint8_t b[16], family;
	uint32_t mask;

	if (netsh_number(&v->number, text, strlen(text), 128))
		return 0;
	if (!strchr(text, ':') && address_read(b, &family, text, strlen(text))) {
		mask = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
		if ((~mask & (~mask + 1)) == 0) {
			v->number = mask ? 32 - (unsigned)__builtin_ctz(mask) : 0;
			return 0;
		}
	}
	return value_bad(v->tag, text, "a mask or a prefix length of 0 to 128", err);
}

static int port_parse(struct netsh_value *v, const char *text, struct err *err)
{
	if (netsh_number(&v->number, text, strlen(text), UINT16_MAX) || same_word(text, strlen(text), "any"))
		return 0;
	return value_bad(v->tag, text, "a port of 0 to 65535, or any", err);
}

static const struct { const char *name; uint8_t number; } protocols[] = {
	{ "ANY", 0 }, { "ICMP", 1 }, { "TCP", 6 }, { "UDP", 17 }, { "RAW", 255 },
};

static int protocol_parse(struct netsh_value *v, const char *text, struct err *err)
{
	if (netsh_number(&v->number, text, strlen(text), UINT8_MAX))
		return 0;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (same_word(text, strlen(text), protocols[i].name)) {
			v->number = protocols[i].number;
			return 0;
		}
	return value_bad(v->tag, text, "ANY, ICMP, TCP, UDP, RAW or a number of 0 to 255", err);
}

/* ---- certificates ---- */

/* Takes the word "NAME:yes|no" off the end of s: 1; -1: it is neither; 0: the end is something else. */
static int option_take(char *s, const char *name, bool *ret)
{
	char *blank = strrchr(s, ' '), *last = blank ? blank + 1 : s, *value = last + strcspn(last, ":");
	size_t len;

	if (!*value || !same_word(last, (size_t)(value - last), name))
		return 0;
	len = strlen(++value);
	*ret = len && netsh_match(value, len, "yes");
	if (!*ret && !(len && netsh_match(value, len, "no")))
		return -1;
	*last = '\0';
	return 1;
}

static void blanks_strip(char *s)
{
	size_t n = strlen(s);

	while (n && s[n - 1] == ' ')
		s[--n] = '\0';
}

/* "CN=Corp Root certmap:yes excludecaname:no": each option at most once, in any order */
static int options_take(char *name, struct netsh_ca *ca)
{
	bool map = false, exclude = false;
	int got = 1;

	while (got == 1) {
		blanks_strip(name);
		got = 0;
		if (!map) {
			got = option_take(name, "certmap", &ca->map_account);
			map = got == 1;
		}
		if (!got && !exclude) {
			got = option_take(name, "excludecaname", &ca->exclude_ca);
			exclude = got == 1;
		}
	}
	return got;
}

static int rootca_parse(struct netsh_value *v, struct arena *a, const char *text, struct err *err)
{
	char *name = arena_strdup(a, text);

	if (text_parse(v, text, err) < 0)
		return -1;
	if (!name)
		return err_nomem(err);
	if (options_take(name, &v->ca) < 0)
		return value_bad(v->tag, text, "a CA with certmap:yes|no and excludecaname:yes|no behind its name", err);
	if (!*name)
		return err_set(err, ERR_FORMAT, "'%s': the name of the CA is empty", v->tag->name);
	v->ca.name = name;
	return 0;
}

/* ---- all of them ---- */

int netsh_value_parse(struct netsh_value *ret, struct arena *a, const struct netsh_tag *tag, const char *text, struct err *err)
{
	struct netsh_value v = { .tag = tag, .text = text };
	int rc = -1;

	switch (tag->type) {
	case NT_TEXT: rc = text_parse(&v, text, err); break;
	case NT_YESNO: rc = yesno_parse(&v, text, err); break;
	case NT_NUMBER: rc = number_parse(&v, text, err); break;
	case NT_WORD: rc = word_parse(&v, text, err); break;
	case NT_GUID: rc = guid_value_parse(&v, text, err); break;
	case NT_ADDR: rc = addr_parse(&v, a, text, err); break;
	case NT_MASK: rc = mask_parse(&v, text, err); break;
	case NT_PORT: rc = port_parse(&v, text, err); break;
	case NT_PROTOCOL: rc = protocol_parse(&v, text, err); break;
	case NT_MMOFFERS: case NT_QMOFFERS: rc = netsh_offers_parse(&v, a, text, err); break;
	case NT_ROOTCA: rc = rootca_parse(&v, a, text, err); break;
	case NT_TIME: rc = time_parse(&v, text, err); break;
	}
	if (rc < 0)
		return -1;
	v.text = arena_strdup(a, text);
	if (!v.text)
		return err_nomem(err);
	*ret = v;
	return 0;
}

/* ---- to text ---- */

static void addr_write(const struct netsh_value *v, FILE *out)
{
	char text[IPSEC_ADDR_TEXT];

	if (v->host) {
		fputs(v->host, out);
		return;
	}
	if (v->tag->flags & NETSH_SINGLE && v->addr.kind == IPSEC_ADDR_ANY) {
		fputs("none", out);
		return;
	}
	ipsec_addr_text(&v->addr, text);
	/* Without its prefix, so that a mask may stand beside it. */
	if (v->addr.kind == IPSEC_ADDR_NET && v->addr.prefix == ipsec_addr_bits(v->addr.family))
		*strchr(text, '/') = '\0';
	fputs(text, out);
}

static void protocol_write(uint64_t number, FILE *out)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (protocols[i].number == number) {
			fputs(protocols[i].name, out);
			return;
		}
	fprintf(out, "%u", (unsigned)number);
}

void netsh_value_write(const struct netsh_value *v, FILE *out)
{
	char guid[GUID_TEXT];
	const char *word;
	size_t len;

	switch (v->tag->type) {
	case NT_TEXT:
		netsh_quote(v->text, out);
		break;
	case NT_YESNO:
		fputs(v->yes ? "yes" : "no", out);
		break;
	case NT_NUMBER: case NT_MASK: case NT_PORT:
		fprintf(out, "%llu", (unsigned long long)v->number);
		break;
	case NT_TIME:
		fprintf(out, "%llus", (unsigned long long)v->number);
		break;
	case NT_WORD:
		word = word_at(v->tag->words, v->number, &len);
		if (word)
			fwrite(word, 1, len, out);
		break;
	case NT_GUID:
		guid_text(&v->guid, guid);
		if (v->number)
			fprintf(out, "%llu", (unsigned long long)v->number);
		else
			fputs(guid, out);
		break;
	case NT_ADDR:
		addr_write(v, out);
		break;
	case NT_PROTOCOL:
		protocol_write(v->number, out);
		break;
	case NT_MMOFFERS: case NT_QMOFFERS:
		netsh_offers_write(v, out);
		break;
	case NT_ROOTCA:
		netsh_quote(v->ca.name, out);
		fprintf(out, "\" certmap:%s excludecaname:%s\"", v->ca.map_account ? "yes" : "no", v->ca.exclude_ca ? "yes" : "no");
		break;
	}
}
