/* Lists of security methods: "3DES-SHA1-2 ..." and "ESP[3DES,SHA1]:100000k/3600s ...". */
#include <string.h>

#include "agent/netsh.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

#define MAX_OFFERS	256

static bool same_word(const char *s, size_t len, const char *word)
{
	return netsh_match(s, len, word) == 2;
}

static bool cipher_read(enum ipsec_cipher *ret, const char *s, size_t len)
{
	for (int c = IPSEC_CIPHER_NONE; c <= IPSEC_CIPHER_3DES; c++)
		if (same_word(s, len, ipsec_cipher_name((enum ipsec_cipher)c))) {
			*ret = (enum ipsec_cipher)c;
			return true;
		}
	return false;
}

static bool hash_read(enum ipsec_hash *ret, const char *s, size_t len)
{
	for (int h = IPSEC_HASH_NONE; h <= IPSEC_HASH_SHA1; h++)
		if (same_word(s, len, ipsec_hash_name((enum ipsec_hash)h))) {
			*ret = (enum ipsec_hash)h;
			return true;
		}
	return false;
}

/* "3DES-SHA1-2" */
static bool mm_read(struct ipsec_mm_offer *ret, const char *s, size_t len)
{
	static const uint32_t groups[] = { 1, 2, 14 };
	const char *d1 = memchr(s, '-', len);
	const char *d2 = d1 ? memchr(d1 + 1, '-', len - (size_t)(d1 + 1 - s)) : NULL;

	if (!d2 || d2 + 2 != s + len || d2[1] < '1' || d2[1] > '3')
		return false;
	ret->group = groups[d2[1] - '1'];
	return cipher_read(&ret->encryption, s, (size_t)(d1 - s)) && ret->encryption != IPSEC_CIPHER_NONE &&
	    hash_read(&ret->hash, d1 + 1, (size_t)(d2 - d1 - 1)) && ret->hash != IPSEC_HASH_NONE;
}

/* "ESP[3DES,SHA1]" or "AH[MD5]"; sets what stands there, once each */
static bool transform_read(struct ipsec_offer *ret, const char *s, size_t len)
{
	const char *open = memchr(s, '[', len), *comma;
	size_t n;

	if (!open || s[len - 1] != ']')
		return false;
	n = (size_t)(s + len - 1 - (open + 1));
	if (same_word(s, (size_t)(open - s), "AH") && !ret->has_ah) {
		ret->has_ah = true;
		return hash_read(&ret->ah_integrity, open + 1, n) && ret->ah_integrity != IPSEC_HASH_NONE;
	}
	comma = memchr(open + 1, ',', n);
	if (!comma || ret->has_esp || !same_word(s, (size_t)(open - s), "ESP"))
		return false;
	ret->has_esp = true;
	return cipher_read(&ret->esp_encryption, open + 1, (size_t)(comma - open - 1)) &&
	    hash_read(&ret->esp_integrity, comma + 1, (size_t)(s + len - 1 - (comma + 1))) &&
	    (ret->esp_encryption != IPSEC_CIPHER_NONE || ret->esp_integrity != IPSEC_HASH_NONE);
}

/* "100000k/2000s", either half alone, either order */
static bool lifetime_read(struct ipsec_offer *ret, const char *s, size_t len)
{
	while (len) {
		const char *slash = memchr(s, '/', len);
		size_t n = slash ? (size_t)(slash - s) : len;
		uint32_t *half;
		uint64_t number;

		if (n < 2 || !netsh_number(&number, s, n - 1, UINT32_MAX) || !number)
			return false;
		half = ascii_lower((uint8_t)s[n - 1]) == 'k' ? &ret->life_kbytes :
		    ascii_lower((uint8_t)s[n - 1]) == 's' ? &ret->life_seconds : NULL;
		if (!half || *half)
			return false;
		*half = (uint32_t)number;
		if (!slash)
			return true;
		s += n + 1;
		len -= n + 1;
	}
	return false;
}

static bool qm_read(struct ipsec_offer *ret, const char *s, size_t len)
{
	const char *colon = memchr(s, ':', len);
	size_t n = colon ? (size_t)(colon - s) : len;
	const char *plus = memchr(s, '+', n);

	if (colon && !lifetime_read(ret, colon + 1, len - n - 1))
		return false;
	if (!plus)
		return transform_read(ret, s, n);
	return transform_read(ret, s, (size_t)(plus - s)) && transform_read(ret, plus + 1, n - (size_t)(plus + 1 - s));
}

static int offer_bad(const struct netsh_tag *tag, const char *s, size_t len, struct err *err)
{
	if (tag->type == NT_MMOFFERS)
		return err_set(err, ERR_FORMAT, "'%s': '%.*s' is not like 3DES-SHA1-2: DES or 3DES, MD5 or SHA1, 1, 2 or 3",
		    tag->name, (int)(len < 100 ? len : 100), s);
	return err_set(err, ERR_FORMAT, "'%s': '%.*s' is not like ESP[3DES,SHA1]:100000k/3600s, AH[SHA1] or AH[SHA1]+ESP[DES,None]",
	    tag->name, (int)(len < 100 ? len : 100), s);
}

int netsh_offers_parse(struct netsh_value *v, struct arena *a, const char *text, struct err *err)
{
	bool mm = v->tag->type == NT_MMOFFERS;
	const char *s = text + strspn(text, " \t");
	size_t len;

	for (; *s; s += len + strspn(s + len, " \t")) {
		len = strcspn(s, " \t");
		if (v->n == MAX_OFFERS)
			return err_set(err, ERR_FORMAT, "'%s': more than %d offers", v->tag->name, MAX_OFFERS);
		if (mm)
			v->mm = arena_grow(a, v->mm, v->n, sizeof(*v->mm));
		else
			v->qm = arena_grow(a, v->qm, v->n, sizeof(*v->qm));
		if (mm ? !v->mm : !v->qm)
			return err_nomem(err);
		if (mm ? !mm_read(&v->mm[v->n], s, len) : !qm_read(&v->qm[v->n], s, len))
			return offer_bad(v->tag, s, len, err);
		v->n++;
	}
	return v->n ? 0 : err_set(err, ERR_FORMAT, "'%s' is empty", v->tag->name);
}

/* ---- to text ---- */

static void upper_write(const char *s, FILE *out)
{
	for (; *s; s++)
		putc(*s >= 'a' && *s <= 'z' ? *s - ('a' - 'A') : *s, out);
}

static void mm_write(const struct ipsec_mm_offer *o, FILE *out)
{
	upper_write(ipsec_cipher_name(o->encryption), out);
	putc('-', out);
	upper_write(ipsec_hash_name(o->hash), out);
	fprintf(out, "-%u", o->group == 14 ? 3 : o->group);
}

static void algorithm_write(const char *name, FILE *out)
{
	if (strcmp(name, "none"))
		upper_write(name, out);
	else
		fputs("None", out);
}

static void qm_write(const struct ipsec_offer *o, FILE *out)
{
	if (o->has_ah) {
		fputs("AH[", out);
		algorithm_write(ipsec_hash_name(o->ah_integrity), out);
		fputs(o->has_esp ? "]+" : "]", out);
	}
	if (o->has_esp) {
		fputs("ESP[", out);
		algorithm_write(ipsec_cipher_name(o->esp_encryption), out);
		putc(',', out);
		algorithm_write(ipsec_hash_name(o->esp_integrity), out);
		putc(']', out);
	}
	if (o->life_kbytes)
		fprintf(out, ":%uk", o->life_kbytes);
	if (o->life_seconds)
		fprintf(out, "%c%us", o->life_kbytes ? '/' : ':', o->life_seconds);
}

void netsh_offers_write(const struct netsh_value *v, FILE *out)
{
	putc('"', out);
	for (size_t i = 0; i < v->n; i++) {
		if (i)
			putc(' ', out);
		if (v->tag->type == NT_MMOFFERS)
			mm_write(&v->mm[i], out);
		else
			qm_write(&v->qm[i], out);
	}
	putc('"', out);
}
