/* Distinguished names, RFC 4514.  The comparable form is produced byte by byte
 * (struct canon), so comparing and hashing take no memory and cannot fail. */
#include <string.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/ident.h"

enum canon_state { CANON_TYPE, CANON_VALUE, CANON_HEX, CANON_RAW, CANON_END };

struct canon {
	const char		*p;
	enum canon_state	 state;
	bool			 bad;
	bool			 first;		/* nothing of the value was given out yet */
	uint8_t			 out[3];	/* the next bytes of the comparable form */
	uint8_t			 n, i;
};

static bool is_type_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '-' || c == '.' || c == '_';
}

static const char *skip_spaces(const char *p)
{
	while (*p == ' ')
		p++;
	return p;
}

static bool at_end(const char *p)
{
	return *p == '\0' || *p == ',' || *p == '+';
}

/* The byte an escape stands for; 0 consumed characters: not an escape. */
static size_t escape_parse(uint8_t *ret, const char *p)
{
	if (p[0] != '\\' || !p[1])
		return 0;
	if (hex_digit(p[1]) >= 0) {
		if (hex_digit(p[2]) < 0)
			return 0;
		*ret = (uint8_t)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
		return 3;
	}
	if (!strchr(" \"#+,;<=>\\", p[1]))
		return 0;
	*ret = (uint8_t)p[1];
	return 2;
}

/* To the first letter of a type; the old "OID." in front of digits goes. */
static const char *type_start(const char *p)
{
	p = skip_spaces(p);
	if (ascii_lower((uint8_t)p[0]) == 'o' && ascii_lower((uint8_t)p[1]) == 'i' &&
	    ascii_lower((uint8_t)p[2]) == 'd' && p[3] == '.' && p[4] >= '0' && p[4] <= '9')
		p += 4;
	return p;
}

static void canon_type(struct canon *c, const char *p)
{
	p = type_start(p);
	c->p = p;
	c->state = CANON_TYPE;
	if (*p == '-' || *p == '.' || !is_type_char(*p)) {
		c->bad = true;
		return;
	}
	while (is_type_char(*p))
		p++;
	if (*skip_spaces(p) != '=')
		c->bad = true;
}

static void canon_value(struct canon *c, const char *p)
{
	size_t n;

	p = skip_spaces(p);
	c->p = p;
	c->first = true;
	c->state = CANON_VALUE;
	if (*p != '#')
		return;
	c->state = CANON_HEX;
	p++;
	for (n = 0; hex_digit(*p) >= 0; n++)
		p++;
	if (n == 0 || n % 2 || !at_end(skip_spaces(p)))
		c->bad = true;
}

static void canon_put(struct canon *c, const char *bytes, size_t n)
{
	memcpy(c->out, bytes, n);
	c->n = (uint8_t)n;
	c->i = 0;
}

/* Bytes of a value that stand for themselves, but for their case. */
static bool is_plain(uint8_t c)
{
	/* of 0x20 to 0x7f: all but space " # + , ; < > \\ and DEL */
	static const uint32_t special[3] = { 0x5800180d, 0x10000000, 0x80000000 };

	return c >= 0x80 || (c >= 0x20 && !(special[c / 32 - 1] >> c % 32 & 1));
}

static void canon_put_byte(struct canon *c, uint8_t b)
{
	static const char digits[] = "0123456789abcdef";

	if (b < 0x20 || b == 0x7f)
		canon_put(c, (char[]){ '\\', digits[b >> 4], digits[b & 15] }, 3);
	else if (strchr("\"+,;<>\\", b) || (b == '#' && c->first))
		canon_put(c, (char[]){ '\\', (char)b }, 2);
	else
		canon_put(c, (char[]){ (char)ascii_lower(b) }, 1);
	c->first = false;
}

/* One space for a run of them; none at either end, unless it was escaped. */
static void canon_spaces(struct canon *c)
{
	bool escaped = false;
	uint8_t b;
	size_t n;

	for (;;) {
		n = escape_parse(&b, c->p);
		if (n && b == ' ')
			escaped = true;
		else if (*c->p == ' ')
			n = 1;
		else
			break;
		c->p += n;
	}
	if (!c->first && !at_end(c->p))
		canon_put(c, " ", 1);
	else if (escaped)
		canon_put(c, "\\ ", 2);
	c->first = false;
}

static void canon_step_value(struct canon *c)
{
	uint8_t b;
	size_t n;

	if (*c->p == '\0') {
		c->state = CANON_END;
	} else if (at_end(c->p)) {
		canon_put(c, c->p, 1);
		canon_type(c, c->p + 1);
	} else if (*c->p == '\\') {
		n = escape_parse(&b, c->p);
		if (!n) {
			c->bad = true;
		} else if (b == ' ') {
			canon_spaces(c);
		} else {
			c->p += n;
			canon_put_byte(c, b);
		}
	} else if (*c->p == ' ') {
		canon_spaces(c);
	} else if (strchr("\";<>", *c->p)) {
		c->bad = true;
	} else {
		canon_put_byte(c, (uint8_t)*c->p++);
	}
}

static void canon_step(struct canon *c)
{
	switch (c->state) {
	case CANON_TYPE:
		if (is_type_char(*c->p)) {
			canon_put(c, (char[]){ (char)ascii_lower((uint8_t)*c->p++) }, 1);
			break;
		}
		canon_put(c, "=", 1);
		canon_value(c, skip_spaces(c->p) + 1);
		break;
	case CANON_VALUE:
		canon_step_value(c);
		break;
	case CANON_HEX:
		if (*c->p == '#' || hex_digit(*c->p) >= 0) {
			canon_put(c, (char[]){ (char)ascii_lower((uint8_t)*c->p++) }, 1);
			break;
		}
		c->p = skip_spaces(c->p);
		c->state = CANON_VALUE;
		break;
	case CANON_RAW:
		if (*c->p)
			canon_put(c, c->p++, 1);
		else
			c->state = CANON_END;
		break;
	case CANON_END:
		break;
	}
}

/* The next byte of the comparable form, -1 at its end or where the DN is bad. */
static int canon_next(struct canon *c)
{
	while (c->i == c->n) {
		if (c->bad || c->state == CANON_END)
			return -1;
		if (c->state == CANON_VALUE && is_plain((uint8_t)*c->p)) {
			c->first = false;
			return ascii_lower((uint8_t)*c->p++);
		}
		c->i = c->n = 0;
		canon_step(c);
	}
	return c->out[c->i++];
}

static struct canon canon_start(const char *dn)
{
	struct canon c = { .state = CANON_END };

	if (*skip_spaces(dn))
		canon_type(&c, dn);
	return c;
}

bool dn_valid(const char *dn)
{
	struct canon c = canon_start(dn);

	while (canon_next(&c) >= 0)
		;
	return !c.bad;
}

static struct canon canon_open(const char *dn)
{
	if (dn_valid(dn))
		return canon_start(dn);
	return (struct canon){ .p = dn, .state = CANON_RAW };
}

char *dn_key(struct arena *a, const char *dn)
{
	struct canon c = canon_open(dn);
	size_t len = 0;
	char *key;
	int b;

	while (canon_next(&c) >= 0)
		len++;
	key = arena_zalloc(a, len + 1, 1);
	if (!key)
		return NULL;
	c = canon_open(dn);
	for (len = 0; (b = canon_next(&c)) >= 0; len++)
		key[len] = (char)b;
	return key;
}

bool dn_equal(const char *x, const char *y)
{
	struct canon cx, cy;
	int b;

	if (strcmp(x, y) == 0)
		return true;
	cx = canon_start(x);
	cy = canon_start(y);
	do {
		b = canon_next(&cx);
		if (b != canon_next(&cy))
			return false;
	} while (b >= 0);
	/* A malformed one equals its own bytes only, and no comparable form has those. */
	return !cx.bad && !cy.bad;
}

static void sip_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = (v[1] << 13 | v[1] >> 51) ^ v[0];
	v[0] = v[0] << 32 | v[0] >> 32;
	v[2] += v[3];
	v[3] = (v[3] << 16 | v[3] >> 48) ^ v[2];
	v[0] += v[3];
	v[3] = (v[3] << 21 | v[3] >> 43) ^ v[0];
	v[2] += v[1];
	v[1] = (v[1] << 17 | v[1] >> 47) ^ v[2];
	v[2] = v[2] << 32 | v[2] >> 32;
}

/* SipHash-1-3 of what is left of the comparable form. */
static uint64_t canon_hash(struct canon *c, uint64_t seed)
{
	uint64_t v[4] = { seed ^ 0x736f6d6570736575, seed ^ 0x646f72616e646f6d,
	    seed ^ 0x6c7967656e657261, seed ^ 0x7465646279746573 };
	uint64_t word = 0, len = 0;
	int b;

	do {
		b = canon_next(c);
		if (b >= 0)
			word |= (uint64_t)b << 8 * (len++ % 8);
		else
			word |= (len & 0xff) << 56;
		if (b < 0 || len % 8 == 0) {
			v[3] ^= word;
			sip_round(v);
			v[0] ^= word;
			word = 0;
		}
	} while (b >= 0);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t dn_hash(const char *dn, uint64_t seed)
{
	struct canon c = canon_start(dn);
	uint64_t hash = canon_hash(&c, seed);

	if (!c.bad)
		return hash;
	c = (struct canon){ .p = dn, .state = CANON_RAW };
	return canon_hash(&c, seed);
}

const char *dn_parent(const char *dn)
{
	for (; *dn && *dn != ','; dn++)
		if (*dn == '\\' && dn[1])
			dn++;
	return *dn ? skip_spaces(dn + 1) : NULL;
}

/* Start of the value when the first RDN has this type, else NULL. */
static const char *rdn_of_type(const char *dn, const char *type)
{
	const char *p = type_start(dn);

	while (*type && ascii_lower((uint8_t)*p) == ascii_lower((uint8_t)*type)) {
		p++;
		type++;
	}
	p = skip_spaces(p);
	return !*type && *p == '=' ? skip_spaces(p + 1) : NULL;
}

const char *dn_domain(const char *dn)
{
	while (dn && !rdn_of_type(dn, "DC"))
		dn = dn_parent(dn);
	return dn;
}

/* Behind the first attribute and value. */
static const char *ava_end(const char *p)
{
	for (; !at_end(p); p++)
		if (*p == '\\' && p[1])
			p++;
	return p;
}

static size_t dn_depth(const char *dn)
{
	size_t n = 0;

	if (!*skip_spaces(dn))
		return 0;
	for (; dn; dn = dn_parent(dn))
		n++;
	return n;
}

bool dn_below(const char *dn, const char *top)
{
	size_t depth, top_depth;

	if (!dn_valid(dn) || !dn_valid(top))
		return strcmp(dn, top) == 0;
	depth = dn_depth(dn);
	top_depth = dn_depth(top);
	if (top_depth == 0)
		return true;
	for (; depth > top_depth; depth--)
		dn = dn_parent(dn);
	return dn_equal(dn, top);
}

char *dn_rdn_value(struct arena *a, const char *dn, const char *type)
{
	const char *p = rdn_of_type(dn, type), *q;
	size_t n, len = 0, keep = 0;
	uint8_t b;
	char *out;

	if (!p || *p == '#')
		return NULL;
	q = ava_end(p);
	out = arena_zalloc(a, (size_t)(q - p) + 1, 1);
	if (!out)
		return NULL;
	while (p < q) {
		n = escape_parse(&b, p);
		if (n ? b == '\0' : strchr("\\\";<>", *p) != NULL)
			return NULL;
		out[len++] = n ? (char)b : *p;
		/* Spaces at the end count only when they were escaped. */
		if (n || *p != ' ')
			keep = len;
		p += n ? n : 1;
	}
	out[keep] = '\0';
	return out;
}

static bool is_label(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if ((uint8_t)*s <= 0x20 || *s == 0x7f || *s == '.')
			return false;
	return true;
}

char *dn_to_domain(struct arena *a, const char *dn)
{
	size_t len = 0, n;
	char *out, *label;

	dn = dn_domain(dn);
	if (!dn)
		return NULL;
	/* No label is longer than its RDN, "DC=" and a comma included. */
	out = arena_zalloc(a, strlen(dn) + 1, 1);
	if (!out)
		return NULL;
	for (; dn; dn = dn_parent(dn)) {
		label = dn_rdn_value(a, dn, "DC");
		if (!label || !is_label(label) || *ava_end(dn) == '+')
			return NULL;
		n = strlen(label);
		if (len)
			out[len++] = '.';
		memcpy(out + len, label, n);
		len += n;
	}
	out[len] = '\0';
	return out;
}

char *dn_from_domain(struct arena *a, const char *domain)
{
	size_t len = 0, n;
	const char *p = domain;
	char *out = arena_zalloc(a, 4 * strlen(domain) + 4, 1);

	if (!out)
		return NULL;
	do {
		n = strcspn(p, ".");
		if (n == 0)
			return NULL;
		if (len)
			out[len++] = ',';
		memcpy(out + len, "DC=", 3);
		len += 3;
		for (size_t i = 0; i < n; i++) {
			if ((uint8_t)p[i] <= 0x20 || p[i] == 0x7f)
				return NULL;
			if (strchr("\"#+,;<=>\\", p[i]))
				out[len++] = '\\';
			out[len++] = p[i];
		}
		p += n;
		if (*p == '.')
			p++;
	} while (*p);
	return out;
}
