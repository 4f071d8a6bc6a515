#include "schema/policy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"

struct ipsec_policy *policy_new(void)
{
	struct arena *a = arena_new(0);
	struct ipsec_policy *p = a ? arena_zalloc(a, 1, sizeof(*p)) : NULL;

	if (!p) {
		arena_free(a);
		return NULL;
	}
	p->arena = a;
	p->dn = p->name = p->description = p->when_changed = "";
	p->polling_seconds = POLICY_POLLING_DEFAULT;
	return p;
}

void policy_free(struct ipsec_policy *p)
{
	if (p)
		arena_free(p->arena);
}

/* ---- words ---- */

#define WORD(names, i) ((size_t)(i) < sizeof(names) / sizeof((names)[0]) && (names)[i] ? (names)[i] : "unknown")

const char *ipsec_action_name(enum ipsec_action a)
{
	static const char *const names[] = {
		[IPSEC_PERMIT] = "permit", [IPSEC_BLOCK] = "block", [IPSEC_NEGOTIATE] = "negotiate",
	};

	return WORD(names, a);
}

const char *ipsec_cipher_name(enum ipsec_cipher c)
{
	static const char *const names[] = {
		[IPSEC_CIPHER_NONE] = "none", [IPSEC_CIPHER_DES] = "des", [IPSEC_CIPHER_3DES] = "3des",
	};

	return WORD(names, c);
}

const char *ipsec_hash_name(enum ipsec_hash h)
{
	static const char *const names[] = {
		[IPSEC_HASH_NONE] = "none", [IPSEC_HASH_MD5] = "md5", [IPSEC_HASH_SHA1] = "sha1",
	};

	return WORD(names, h);
}

const char *ipsec_conntype_name(enum ipsec_conntype c)
{
	static const char *const names[] = {
		[IPSEC_CONN_ALL] = "all", [IPSEC_CONN_LAN] = "lan", [IPSEC_CONN_DIALUP] = "dialup",
	};

	return WORD(names, c);
}

const char *ipsec_auth_name(enum ipsec_auth_method m)
{
	static const char *const names[] = {
		[IPSEC_AUTH_PSK] = "preshared-key", [IPSEC_AUTH_CERT] = "certificate",
		[IPSEC_AUTH_KERBEROS] = "kerberos",
	};

	return WORD(names, m);
}

bool ipsec_mm_function(struct ipsec_mm_offer *ret, uint8_t function)
{
	if (function < 1 || function > 4)
		return false;
	ret->encryption = function <= 2 ? IPSEC_CIPHER_DES : IPSEC_CIPHER_3DES;
	ret->hash = function % 2 ? IPSEC_HASH_MD5 : IPSEC_HASH_SHA1;
	ret->group = 14;
	return true;
}

/* ---- addresses and ports ---- */

bool ipsec_ports_any(const struct ipsec_ports *p)
{
	return p->lo == 0 && p->hi == 0;
}

unsigned ipsec_addr_bits(uint8_t family)
{
	return family == AF_INET ? 32 : family == AF_INET6 ? 128 : 0;
}

/* Bits of byte i that belong to the prefix. */
static uint8_t prefix_mask(unsigned prefix, unsigned i)
{
	if (prefix >= 8 * (i + 1))
		return 0xff;
	if (prefix <= 8 * i)
		return 0;
	return (uint8_t)(0xff << (8 - prefix % 8));
}

bool ipsec_addr_net(struct ipsec_addr *ret, uint8_t family, const uint8_t *addr, unsigned prefix)
{
	struct ipsec_addr a = { .kind = IPSEC_ADDR_NET, .family = family };
	unsigned bits = ipsec_addr_bits(family);

	if (!bits || prefix > bits)
		return false;
	a.prefix = (uint8_t)prefix;
	for (unsigned i = 0; i < bits / 8; i++)
		a.lo[i] = addr[i] & prefix_mask(prefix, i);
	*ret = a;
	return true;
}

bool ipsec_addr_range(struct ipsec_addr *ret, uint8_t family, const uint8_t *lo, const uint8_t *hi)
{
	struct ipsec_addr a = { .kind = IPSEC_ADDR_RANGE, .family = family };
	unsigned bits = ipsec_addr_bits(family), prefix = 0, i;

	if (!bits || memcmp(lo, hi, bits / 8) > 0)
		return false;
	while (prefix < bits && !((lo[prefix / 8] ^ hi[prefix / 8]) & (0x80 >> prefix % 8)))
		prefix++;
	for (i = 0; i < bits / 8; i++)
		if ((lo[i] & ~prefix_mask(prefix, i)) || (uint8_t)(hi[i] | prefix_mask(prefix, i)) != 0xff)
			break;
	if (i == bits / 8)
		return ipsec_addr_net(ret, family, lo, prefix);
	memcpy(a.lo, lo, bits / 8);
	memcpy(a.hi, hi, bits / 8);
	*ret = a;
	return true;
}

static const char *const symbolic[] = {
	[IPSEC_ADDR_ANY] = "any", [IPSEC_ADDR_ME] = "me", [IPSEC_ADDR_DNS] = "dns",
	[IPSEC_ADDR_WINS] = "wins", [IPSEC_ADDR_DHCP] = "dhcp", [IPSEC_ADDR_GATEWAY] = "gateway",
};

/* By hand: a policy's text is mostly addresses, and printf is slow.  Returns the end. */
static char *byte_put(char *p, uint8_t v)
{
	if (v >= 100)
		*p++ = (char)('0' + v / 100);
	if (v >= 10)
		*p++ = (char)('0' + v / 10 % 10);
	*p++ = (char)('0' + v % 10);
	*p = '\0';
	return p;
}

/* NULL: no such family. */
static char *addr_put(char *p, uint8_t family, const uint8_t *b)
{
	if (family != AF_INET)
		return inet_ntop(family, b, p, INET6_ADDRSTRLEN) ? p + strlen(p) : NULL;
	for (int i = 0; i < 4; i++) {
		p = byte_put(p, b[i]);
		*p++ = '.';
	}
	*--p = '\0';
	return p;
}

void ipsec_addr_text(const struct ipsec_addr *a, char out[static IPSEC_ADDR_TEXT])
{
	char *p;

	_Static_assert(IPSEC_ADDR_TEXT >= 2 * INET6_ADDRSTRLEN, "room for a range");
	if (a->kind < IPSEC_ADDR_NET) {
		p = stpcpy(out, symbolic[a->kind]);
		strcpy(p, a->family == AF_INET ? "4" : a->family == AF_INET6 ? "6" : "");
		return;
	}
	p = addr_put(out, a->family, a->lo);
	if (p) {
		*p++ = a->kind == IPSEC_ADDR_NET ? '/' : '-';
		p = a->kind == IPSEC_ADDR_NET ? byte_put(p, a->prefix) : addr_put(p, a->family, a->hi);
	}
	if (!p)
		strcpy(out, "unknown");
}

static bool symbolic_read(struct ipsec_addr *ret, const char *text)
{
	static const uint8_t families[] = { AF_UNSPEC, AF_INET, AF_INET6 };
	char name[IPSEC_ADDR_TEXT];

	for (int kind = IPSEC_ADDR_ANY; kind < IPSEC_ADDR_NET; kind++)
		for (size_t i = 0; i < 3; i++) {
			struct ipsec_addr a = { .kind = (enum ipsec_addr_kind)kind, .family = families[i] };

			/* "any" of one family is the NET of prefix 0. */
			if (kind == IPSEC_ADDR_ANY && i)
				break;
			ipsec_addr_text(&a, name);
			if (!strcmp(name, text)) {
				*ret = a;
				return true;
			}
		}
	return false;
}

bool ipsec_addr_read(struct ipsec_addr *ret, const char *text)
{
	char lo_text[IPSEC_ADDR_TEXT], again[IPSEC_ADDR_TEXT], *cut;
	uint8_t lo[16] = { 0 }, hi[16] = { 0 };
	uint8_t family = strchr(text, ':') ? AF_INET6 : AF_INET;
	struct ipsec_addr a;

	if (!strpbrk(text, ".:"))
		return symbolic_read(ret, text);
	if (strlen(text) >= sizeof(lo_text))
		return false;
	strcpy(lo_text, text);
	cut = strpbrk(lo_text, "/-");
	if (!cut)
		return false;
	if (*cut == '/') {
		*cut = '\0';
		if (inet_pton(family, lo_text, lo) != 1 ||
		    !ipsec_addr_net(&a, family, lo, (unsigned)strtoul(cut + 1, NULL, 10)))
			return false;
	} else {
		*cut = '\0';
		if (inet_pton(family, lo_text, lo) != 1 || inet_pton(family, cut + 1, hi) != 1 ||
		    !ipsec_addr_range(&a, family, lo, hi))
			return false;
	}
	ipsec_addr_text(&a, again);
	if (strcmp(again, text))
		return false;
	*ret = a;
	return true;
}
