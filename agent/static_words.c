#include "agent/static.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "schema/arena.h"

/* A text that grows. */
struct words {
	char	*p;
	size_t	 len;
	FILE	*f;
};

static bool words_begin(struct words *w)
{
	*w = (struct words){ 0 };
	w->f = open_memstream(&w->p, &w->len);
	return w->f != NULL;
}

static const char *words_end(struct words *w, struct arena *a)
{
	bool bad = ferror(w->f);
	const char *ret = fclose(w->f) || bad ? NULL : arena_strdup(a, w->p);

	free(w->p);
	return ret;
}

const char *words_cipher(enum ipsec_cipher c)
{
	return c == IPSEC_CIPHER_3DES ? "3DES" : c == IPSEC_CIPHER_DES ? "DES" : "None";
}

const char *words_hash(enum ipsec_hash h)
{
	return h == IPSEC_HASH_SHA1 ? "SHA1" : h == IPSEC_HASH_MD5 ? "MD5" : "None";
}

const char *words_protocol(struct arena *a, uint8_t protocol)
{
	switch (protocol) {
	case 0: return "ANY";
	case IPPROTO_ICMP: return "ICMP";
	case IPPROTO_TCP: return "TCP";
	case IPPROTO_UDP: return "UDP";
	case IPPROTO_RAW: return "RAW";
	}
	return arena_printf(a, "%u", protocol);
}

const char *words_addr(struct arena *a, const struct ipsec_addr *addr)
{
	char text[IPSEC_ADDR_TEXT];
	char host[INET6_ADDRSTRLEN];

	if (addr->kind == IPSEC_ADDR_NET && addr->prefix == ipsec_addr_bits(addr->family) &&
	    inet_ntop(addr->family, addr->lo, host, sizeof(host)))
		return arena_strdup(a, host);
	ipsec_addr_text(addr, text);
	return arena_strdup(a, text);
}

const char *words_ports(struct arena *a, const struct ipsec_ports *p)
{
	return p->lo == p->hi ? arena_printf(a, "%u", p->lo) : arena_printf(a, "%u-%u", p->lo, p->hi);
}

static void mm_word(FILE *f, const struct ipsec_mm_offer *o, bool first)
{
	const char *cipher = o->encryption ? words_cipher(o->encryption) : "?";
	const char *hash = o->hash ? words_hash(o->hash) : "?";
	char group = o->group == 1 ? '1' : o->group == 2 ? '2' : o->group == 14 ? '3' : '?';

	fprintf(f, "%s%s-%s-%c", first ? "" : " ", cipher, hash, group);
}

const char *words_mm(struct arena *a, const struct ipsec_isakmp *m)
{
	struct ipsec_mm_offer extra = { 0 };
	struct words w;
	size_t n = 0;

	if (!words_begin(&w))
		return NULL;
	for (int i = 0; i < 4 && ipsec_mm_function(&extra, m->new_dh[i]); i++)
		mm_word(w.f, &extra, n++ == 0);
	for (size_t i = 0; i < m->n_offers; i++)
		mm_word(w.f, &m->offers[i], n++ == 0);
	return words_end(&w, a);
}

static void qm_word(FILE *f, const struct ipsec_offer *o)
{
	if (o->has_ah)
		fprintf(f, "AH[%s]", words_hash(o->ah_integrity));
	if (o->has_ah && o->has_esp)
		fputc('+', f);
	if (o->has_esp)
		fprintf(f, "ESP[%s,%s]", words_cipher(o->esp_encryption), words_hash(o->esp_integrity));
	if (o->life_kbytes || o->life_seconds)
		fputc(':', f);
	if (o->life_kbytes)
		fprintf(f, "%uk", o->life_kbytes);
	if (o->life_kbytes && o->life_seconds)
		fputc('/', f);
	if (o->life_seconds)
		fprintf(f, "%us", o->life_seconds);
}

const char *words_qm(struct arena *a, const struct ipsec_offer *offers, size_t n)
{
	struct words w;

	if (!words_begin(&w))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (i)
			fputc(' ', w.f);
		qm_word(w.f, &offers[i]);
	}
	return words_end(&w, a);
}

const char *words_ca(struct arena *a, const struct ipsec_auth *m)
{
	return arena_printf(a, "%s certmap:%s excludecaname:%s", m->text,
	    m->map_account ? "yes" : "no", m->exclude_ca ? "yes" : "no");
}

const char *words_auth(struct arena *a, const struct ipsec_auth *m)
{
	const char *ca;

	switch (m->method) {
	case IPSEC_AUTH_KERBEROS:
		return "kerberos";
	case IPSEC_AUTH_PSK:
		return "psk ***";
	case IPSEC_AUTH_CERT:
		ca = words_ca(a, m);
		return ca ? arena_printf(a, "rootca %s", ca) : NULL;
	}
	return "unknown";
}
