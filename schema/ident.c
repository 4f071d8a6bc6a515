#include "schema/ident.h"

#include <stdio.h>
#include <string.h>

#include "schema/ascii.h"

/* ---- GUID ---- */

/* Byte of the value for each pair of printed digits. */
static const uint8_t guid_order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

bool guid_parse(struct guid *ret, const char *text, size_t len)
{
	struct guid g;
	size_t n = 0;

	if (len == GUID_TEXT - 1 && text[0] == '{' && text[len - 1] == '}') {
		text++;
		len -= 2;
	}
	if (len != GUID_TEXT - 3)
		return false;
	for (size_t i = 0; i < len; ) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i++] != '-')
				return false;
			continue;
		}
		if (hex_digit(text[i]) < 0 || hex_digit(text[i + 1]) < 0)
			return false;
		g.b[guid_order[n++]] = (uint8_t)(hex_digit(text[i]) << 4 | hex_digit(text[i + 1]));
		i += 2;
	}
	*ret = g;
	return true;
}

void guid_text(const struct guid *g, char out[static GUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	char *p = out;

	*p++ = '{';
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digits[g->b[guid_order[i]] >> 4];
		*p++ = digits[g->b[guid_order[i]] & 15];
	}
	*p++ = '}';
	*p = '\0';
}

void guid_short(const struct guid *g, char out[static 9])
{
	char text[GUID_TEXT];

	guid_text(g, text);
	memcpy(out, text + 1, 8);
	out[8] = '\0';
}

int guid_cmp(const struct guid *a, const struct guid *b)
{
	for (int i = 0; i < 16; i++)
		if (a->b[guid_order[i]] != b->b[guid_order[i]])
			return a->b[guid_order[i]] < b->b[guid_order[i]] ? -1 : 1;
	return 0;
}

bool guid_is_zero(const struct guid *g)
{
	static const struct guid zero;

	return memcmp(g, &zero, sizeof(zero)) == 0;
}

/* ---- SID, [MS-DTYP] 2.4.2 ---- */

bool sid_parse(struct sid *ret, const uint8_t *p, size_t len)
{
	struct sid s = { .n_sub = 0 };

	if (len < 8 || p[0] != 1 || p[1] > SID_MAX_SUB || len != 8 + 4 * (size_t)p[1])
		return false;
	s.n_sub = p[1];
	memcpy(s.authority, p + 2, sizeof(s.authority));
	for (int i = 0; i < s.n_sub; i++, p += 4)
		s.sub[i] = p[8] | (uint32_t)p[9] << 8 | (uint32_t)p[10] << 16 | (uint32_t)p[11] << 24;
	*ret = s;
	return true;
}

/* Decimal without leading zeros; *text moves behind it. */
static bool u32_read(uint32_t *ret, const char **text)
{
	const char *p = *text;
	uint64_t v = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		v = 10 * v + (unsigned)(*p - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)v;
	*text = p;
	return true;
}

/* An authority of 2^32 and above is written as 0x and twelve digits. */
static bool authority_read(uint8_t ret[static 6], const char **text)
{
	const char *p = *text;
	uint32_t v;

	memset(ret, 0, 6);
	if (p[0] != '0' || p[1] != 'x') {
		if (!u32_read(&v, text))
			return false;
		for (int i = 0; i < 4; i++)
			ret[2 + i] = (uint8_t)(v >> (24 - 8 * i));
		return true;
	}
	p += 2;
	for (int i = 0; i < 6; i++, p += 2) {
		if (hex_digit(p[0]) < 0 || hex_digit(p[1]) < 0)
			return false;
		ret[i] = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
	}
	*text = p;
	return ret[0] || ret[1];
}

bool sid_read(struct sid *ret, const char *text)
{
	struct sid s = { .n_sub = 0 };

	if (strncmp(text, "S-1-", 4) != 0)
		return false;
	text += 4;
	if (!authority_read(s.authority, &text))
		return false;
	while (*text == '-') {
		text++;
		if (s.n_sub == SID_MAX_SUB || !u32_read(&s.sub[s.n_sub], &text))
			return false;
		s.n_sub++;
	}
	if (*text)
		return false;
	*ret = s;
	return true;
}

void sid_text(const struct sid *s, char out[static SID_TEXT])
{
	const uint8_t *b = s->authority;
	int n;

	if (b[0] || b[1])
		n = snprintf(out, SID_TEXT, "S-1-0x%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		    b[3], b[4], b[5]);
	else
		n = snprintf(out, SID_TEXT, "S-1-%u", (unsigned)b[2] << 24 | (unsigned)b[3] << 16 |
		    (unsigned)b[4] << 8 | b[5]);
	for (int i = 0; i < s->n_sub && i < SID_MAX_SUB; i++)
		n += snprintf(out + n, SID_TEXT - (size_t)n, "-%u", (unsigned)s->sub[i]);
}

bool sid_equal(const struct sid *a, const struct sid *b)
{
	return a->n_sub == b->n_sub && a->n_sub <= SID_MAX_SUB &&
	    memcmp(a->authority, b->authority, sizeof(a->authority)) == 0 &&
	    memcmp(a->sub, b->sub, a->n_sub * sizeof(a->sub[0])) == 0;
}

bool sid_with_rid(struct sid *ret, const struct sid *account, uint32_t rid)
{
	/* S-1-5-18 and the like have one part alone: no domain in front. */
	if (account->n_sub < 2 || account->n_sub > SID_MAX_SUB)
		return false;
	*ret = *account;
	ret->sub[ret->n_sub - 1] = rid;
	return true;
}
