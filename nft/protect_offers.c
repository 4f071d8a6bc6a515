/* What of a rule IKE can negotiate: its authentication, the main mode offers of its policy, the quick
 * mode offers of its action. */
#include <stdlib.h>
#include <string.h>

#include "nft/protect_parts.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/policy.h"

#define LIFE_MIN	60	/* seconds: less would only rekey */

/* Why something was left out, a bit each. */
enum left {
	LEFT_WEAK, LEFT_UNSET, LEFT_BARE, LEFT_BOTH, LEFT_OTHER,
	LEFT_KERBEROS, LEFT_EMPTY_KEY, LEFT_NO_CA, LEFT_NO_CERTIFICATE, LEFT_MAPPING, LEFT_MANY,
	N_LEFT
};

static const char *const left_words[N_LEFT] = {
	[LEFT_WEAK] = "DES, MD5 and group 1 are not allowed ([ike] weak-offers)",
	[LEFT_UNSET] = "an offer without cipher, hash or group",
	[LEFT_BARE] = "ESP without integrity",
	[LEFT_BOTH] = "AH and ESP together",
	[LEFT_OTHER] = "AH or ESP unlike the first offer",
	[LEFT_KERBEROS] = "kerberos: strongSwan cannot, and there is no mapping ([ike] kerberos)",
	[LEFT_EMPTY_KEY] = "preshared-key: it is empty",
	[LEFT_NO_CA] = "certificate: the name of its CA cannot be used",
	[LEFT_NO_CERTIFICATE] = "certificate: this host has none of use ([ike] certificate)",
	[LEFT_MAPPING] = "certificate: the peer's cannot be mapped to an account ([ike] account-mapping)",
	[LEFT_MANY] = "more than 16 methods",
};

/* "head: word; word"; NULL: no memory. */
static const char *left_text(struct arena *a, const char *head, unsigned left)
{
	const char *text = head;
	bool first = true;

	for (int i = 0; text && i < N_LEFT; i++)
		if (left & 1u << i) {
			text = arena_printf(a, "%s%s%s", text, first ? *head ? ": " : "" : "; ", left_words[i]);
			first = false;
		}
	return text;
}

void use_problem(struct use *u, enum protect_why why, bool closed, const struct ipsec_filter *filter, const char *text)
{
	static const struct guid all;

	if (u->problems[why].text)
		return;
	u->problems[why].text = text;
	u->problems[why].closed = closed;
	u->problems[why].filter = filter ? filter->id : all;
}

static void life_min(uint32_t *life, uint32_t seconds)
{
	if (seconds < LIFE_MIN)
		seconds = LIFE_MIN;
	if (!*life || seconds < *life)
		*life = seconds;
}

static void proposal_add(struct proposals *p, const char *text)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->texts[i], text))
			return;
	if (p->n < sizeof(p->texts) / sizeof(p->texts[0]))
		p->texts[p->n++] = text;
}

/* ---- main mode ---- */

static int main_offer_add(struct work *w, struct proposals *p, const struct ipsec_isakmp *m, const struct ipsec_mm_offer *o)
{
	const char *group = o->group == 1 ? "modp768" : o->group == 2 ? "modp1024" : o->group == 14 ? "modp2048" : NULL, *text;

	if (!group || o->encryption == IPSEC_CIPHER_NONE || o->hash == IPSEC_HASH_NONE) {
		p->left |= 1u << LEFT_UNSET;
		return 0;
	}
	if (!w->o->weak_offers && (o->group == 1 || o->encryption == IPSEC_CIPHER_DES || o->hash == IPSEC_HASH_MD5)) {
		p->left |= 1u << LEFT_WEAK;
		return 0;
	}
	text = arena_printf(w->arena, "%s-%s-%s", ipsec_cipher_name(o->encryption), ipsec_hash_name(o->hash), group);
	if (!text)
		return -1;
	if (!p->n)
		p->group = group;
	proposal_add(p, text);
	life_min(&p->life_seconds, o->life_seconds ? o->life_seconds : m->life_seconds ? m->life_seconds : POLICY_MM_LIFE_DEFAULT);
	return 0;
}

static struct proposals *main_make(struct work *w, const struct ipsec_isakmp *m)
{
	struct proposals *p = arena_zalloc(w->arena, 1, sizeof(*p));

	for (int i = 0; p && i < 4 && m->new_dh[i]; i++) {
		struct ipsec_mm_offer o = { 0 };

		if (ipsec_mm_function(&o, m->new_dh[i]) && main_offer_add(w, p, m, &o) < 0)
			return NULL;
	}
	for (size_t i = 0; p && i < m->n_offers; i++)
		if (main_offer_add(w, p, m, &m->offers[i]) < 0)
			return NULL;
	return p;
}

static bool proposals_equal(const struct proposals *a, const struct proposals *b)
{
	if (a->n != b->n || a->life_seconds != b->life_seconds)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->texts[i], b->texts[i]))
			return false;
	return true;
}

/* Of the policy of a source; equal ones have one id. */
static const struct proposals *main_of(struct work *w, size_t source)
{
	struct proposals *p = w->mains[source];

	if (p)
		return p;
	p = main_make(w, &w->sources[source].policy->isakmp);
	if (!p)
		return NULL;
	p->id = (uint32_t)source;
	for (size_t i = 0; i < w->n_sources; i++)
		if (w->mains[i] && proposals_equal(w->mains[i], p)) {
			p->id = w->mains[i]->id;
			break;
		}
	return w->mains[source] = p;
}

/* ---- quick mode ---- */

static bool offer_weak(const struct ipsec_offer *o)
{
	return o->has_ah ? o->ah_integrity == IPSEC_HASH_MD5 :
	    o->esp_encryption == IPSEC_CIPHER_DES || o->esp_integrity == IPSEC_HASH_MD5;
}

/* The bit of what is against it, or -1. */
static int offer_left(const struct work *w, const struct proposals *p, const struct ipsec_offer *o)
{
	if (o->has_ah == o->has_esp)
		return o->has_ah ? LEFT_BOTH : LEFT_UNSET;
	if (o->has_esp && o->esp_integrity == IPSEC_HASH_NONE)
		return LEFT_BARE;
	if (o->has_ah && o->ah_integrity == IPSEC_HASH_NONE)
		return LEFT_UNSET;
	if (!w->o->weak_offers && offer_weak(o))
		return LEFT_WEAK;
	return p->n && p->ah != o->has_ah ? LEFT_OTHER : -1;
}

static const char *offer_text(struct work *w, const struct ipsec_offer *o, const char *group)
{
	const char *cipher = o->esp_encryption == IPSEC_CIPHER_NONE ? "null" : ipsec_cipher_name(o->esp_encryption);
	const char *hash = ipsec_hash_name(o->has_ah ? o->ah_integrity : o->esp_integrity);

	return arena_printf(w->arena, "%s%s%s%s%s", o->has_ah ? "" : cipher, o->has_ah ? "" : "-", hash, group ? "-" : "",
	    group ? group : "");
}

static struct proposals *quick_make(struct work *w, const struct ipsec_negpol *n, const char *group)
{
	struct proposals *p = arena_zalloc(w->arena, 1, sizeof(*p));

	for (size_t i = 0; p && i < n->n_offers; i++) {
		const struct ipsec_offer *o = &n->offers[i];
		const int left = offer_left(w, p, o);
		const uint64_t bytes = (uint64_t)(o->life_kbytes ? o->life_kbytes : POLICY_QM_KB_DEFAULT) * 1024;
		const char *text;

		if (left >= 0) {
			p->left |= 1u << left;
			continue;
		}
		text = offer_text(w, o, n->pfs ? group : NULL);
		if (!text)
			return NULL;
		p->ah = o->has_ah;
		proposal_add(p, text);
		life_min(&p->life_seconds, o->life_seconds ? o->life_seconds : POLICY_QM_LIFE_DEFAULT);
		if (!p->life_bytes || bytes < p->life_bytes)
			p->life_bytes = bytes;
	}
	return p;
}

/* ---- authentication ---- */

/* Digits of where it stands, not of what it is. */
static const char *secret_name(struct work *w, const struct use *u, size_t position)
{
	struct { struct guid rule, gpo; uint32_t store, position; } from = { .rule = u->rule->id, .gpo = u->from->gpo,
		.store = u->from->store, .position = (uint32_t)position };
	uint64_t h = bytes_hash(&from, sizeof(from));
	const char *name;

	do
		name = arena_printf(w->arena, IKE_PREFIX "%016llx", (unsigned long long)h++);
	while (name && tally_get(&w->secret_tally, name, strlen(name)));
	return name && tally_put(&w->secret_tally, name, strlen(name), 0) == 0 ? name : NULL;
}

/* The number of an equal one, or a new one; -1: no memory. */
static int auth_number(struct work *w, const struct auth *a, bool kerberos)
{
	const char *text = a->kind == IKE_PSK ? a->key : a->ca_id;
	const size_t len = a->kind == IKE_PSK ? a->key_len : strlen(a->ca_id);
	uint8_t *key = arena_zalloc(w->arena, len + 3, 1);
	const uint32_t *known;
	struct auth *all;

	if (!key)
		return -1;
	key[0] = (uint8_t)a->kind;
	key[1] = kerberos;
	key[2] = a->certreq;
	memcpy(key + 3, text, len);
	known = tally_get(&w->auth_tally, key, len + 3);
	if (known) {
		explicit_bzero(key, len + 3);
		return (int)*known;
	}
	all = arena_grow(w->arena, w->auths, w->n_auths, sizeof(*all));
	if (!all || tally_put(&w->auth_tally, key, len + 3, (uint32_t)w->n_auths) < 0)
		return -1;
	w->auths = all;
	all[w->n_auths] = *a;
	return (int)w->n_auths++;
}

/* The bit of what is against it, or -1. */
static int auth_make(struct auth *ret, const struct work *w, const struct use *u, const struct ipsec_auth *a)
{
	const struct protect_options *o = w->o;
	const struct ipsec_isakmp *m = &u->from->policy->isakmp;
	const bool kerberos = a->method == IPSEC_AUTH_KERBEROS;
	struct err unused;

	*ret = (struct auth){ .ca_id = "", .key = "" };
	if (kerberos && o->kerberos == KERBEROS_NONE)
		return LEFT_KERBEROS;
	if (a->method == IPSEC_AUTH_PSK || (kerberos && o->kerberos == KERBEROS_PSK)) {
		ret->kind = IKE_PSK;
		ret->key = kerberos ? o->kerberos_key : a->text;
		ret->key_len = kerberos ? o->kerberos_key_len : strlen(a->text);
		return ret->key && ret->key_len ? -1 : LEFT_EMPTY_KEY;
	}
	ret->kind = IKE_CERTIFICATE;
	ret->certreq = kerberos || !(a->exclude_ca || m->exclude_ca);
	if (!kerberos && ike_ca_id_check(a->text, &unused) < 0)
		return LEFT_NO_CA;
	if (!kerberos && (a->map_account || m->map_account) && !o->ignore_mapping)
		return LEFT_MAPPING;
	if (!o->have_certificate)
		return LEFT_NO_CERTIFICATE;
	ret->ca_id = kerberos ? "" : a->text;
	return -1;
}

static bool auth_known(const struct use *u, uint32_t number)
{
	for (size_t i = 0; i < u->n_auths; i++)
		if (u->auths[i] == number)
			return true;
	return false;
}

static int auths_make(struct work *w, struct use *u, unsigned *ret_left)
{
	const struct ipsec_rule *r = u->rule;

	for (size_t i = 0; i < r->n_auth; i++) {
		struct auth a;
		int left = i < MAX_METHODS ? auth_make(&a, w, u, &r->auth[i]) : LEFT_MANY, number;

		if (left >= 0) {
			*ret_left |= 1u << left;
			if (left == LEFT_MANY)
				break;
			continue;
		}
		number = auth_number(w, &a, r->auth[i].method == IPSEC_AUTH_KERBEROS);
		if (number < 0)
			return -1;
		if (auth_known(u, (uint32_t)number))
			continue;
		u->secrets[u->n_auths] = a.kind == IKE_PSK ? secret_name(w, u, i) : "";
		if (!u->secrets[u->n_auths])
			return -1;
		u->auths[u->n_auths++] = (uint32_t)number;
	}
	return 0;
}

/* ---- a rule ---- */

static bool use_closed(const struct use *u)
{
	return !u->rule->default_response && (u->rule->tunnel || !u->rule->negpol->soft);
}

/* Says what is missing; -1: no memory. */
static int use_judge(struct work *w, struct use *u, unsigned auth_left)
{
	struct arena *a = w->p->arena;
	const bool closed = use_closed(u), both = u->quick->left & 1u << LEFT_BOTH;
	const unsigned left = auth_left | u->main->left | u->quick->left;
	const char *auth_text = left_text(a, "", auth_left), *main_text = left_text(a, "main mode: no offer is left", u->main->left),
	    *quick_text = left_text(a, "quick mode: no offer is left", u->quick->left), *text = left_text(a, "left out", left);

	if (!auth_text || !main_text || !quick_text || !text)
		return -1;
	if (u->rule->conntype != IPSEC_CONN_ALL)
		use_problem(u, PROTECT_CONNTYPE, closed, NULL, "it is for LAN or dial-up connections only: IPsec cannot tell them apart");
	if (!u->n_auths)
		use_problem(u, PROTECT_NO_AUTH, closed, NULL, *auth_text ? auth_text : "no authentication method");
	if (!u->main->n)
		use_problem(u, PROTECT_NO_OFFER, closed, NULL, main_text);
	if (!u->quick->n && both)
		use_problem(u, PROTECT_NO_AH_ESP, closed, NULL, "AH and ESP in one offer: strongSwan cannot negotiate both together");
	else if (!u->quick->n)
		use_problem(u, PROTECT_NO_OFFER, closed, NULL, quick_text);
	u->usable = u->n_auths && u->main->n && u->quick->n && u->rule->conntype == IPSEC_CONN_ALL;
	u->ah_esp = u->n_auths && u->main->n && !u->quick->n && both && u->rule->conntype == IPSEC_CONN_ALL;
	if (u->usable && left)
		use_problem(u, PROTECT_PARTLY, false, NULL, text);
	return 0;
}

struct use *rule_use(struct work *w, const struct render_source *from, const struct ipsec_rule *rule)
{
	const size_t source = (size_t)(from - w->sources);
	struct use **slot = &w->uses[source][rule - from->policy->rules], *u;
	unsigned left = 0;

	if (*slot)
		return *slot;
	u = arena_zalloc(w->arena, 1, sizeof(*u));
	if (!u)
		return NULL;
	u->rule = rule;
	u->from = from;
	u->main = main_of(w, source);
	u->quick = u->main ? quick_make(w, rule->negpol, u->main->group) : NULL;
	if (!u->quick || auths_make(w, u, &left) < 0 || use_judge(w, u, left) < 0)
		return NULL;
	return *slot = u;
}
