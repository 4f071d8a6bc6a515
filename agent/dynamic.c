#include "agent/dynamic.h"

#include <string.h>

#include "agent/dynamic_rule.h"
#include "agent/netsh.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"

/* What is offered when mmsecmethods or qmsecmethods are not given: best first. */
static const struct ipsec_mm_offer mm_offers[] = {
	{ .encryption = IPSEC_CIPHER_3DES, .hash = IPSEC_HASH_SHA1, .group = 2 },
	{ .encryption = IPSEC_CIPHER_3DES, .hash = IPSEC_HASH_MD5, .group = 2 },
};
static const struct ipsec_offer qm_offers[] = {
	{ .has_esp = true, .esp_encryption = IPSEC_CIPHER_3DES, .esp_integrity = IPSEC_HASH_SHA1 },
	{ .has_esp = true, .esp_encryption = IPSEC_CIPHER_3DES, .esp_integrity = IPSEC_HASH_MD5 },
};
#define N(array)	(sizeof(array) / sizeof((array)[0]))

const char *dynamic_pfs_name(enum dynamic_pfs p)
{
	static const char *const names[] = { "NOPFS", "GRP1", "GRP2", "GRP3", "GRPMM" };

	return (size_t)p < N(names) ? names[p] : "unknown";
}

const struct dynamic_mm *dynamic_mm(const struct dynamic *d, const char *name)
{
	for (size_t i = 0; d && i < d->n_mms; i++)
		if (ascii_equal(d->mms[i].name, name))
			return &d->mms[i];
	return NULL;
}

const struct dynamic_qm *dynamic_qm(const struct dynamic *d, const char *name)
{
	for (size_t i = 0; d && i < d->n_qms; i++)
		if (ascii_equal(d->qms[i].name, name))
			return &d->qms[i];
	return NULL;
}

/* ---- copies ---- */

/* Of arrays without pointers in them. */
static void *array_copy(struct arena *to, const void *p, size_t n, size_t size, bool *ok)
{
	void *copy = n ? arena_memdup(to, p, n * size) : NULL;

	*ok &= copy || !n;
	return copy;
}

static bool mm_copy(struct dynamic_mm *ret, struct arena *to, const struct dynamic_mm *of)
{
	bool ok = true;

	*ret = *of;
	ret->name = arena_strdup(to, of->name);
	ret->offers = array_copy(to, of->offers, of->n_offers, sizeof(*of->offers), &ok);
	return ok && ret->name;
}

static bool qm_copy(struct dynamic_qm *ret, struct arena *to, const struct dynamic_qm *of)
{
	bool ok = true;

	*ret = *of;
	ret->name = arena_strdup(to, of->name);
	ret->offers = array_copy(to, of->offers, of->n_offers, sizeof(*of->offers), &ok);
	return ok && ret->name;
}

struct dynamic *dynamic_copy(const struct dynamic *of)
{
	static const struct dynamic nothing;
	struct arena *a = arena_new(0);
	struct dynamic *d = a ? arena_zalloc(a, 1, sizeof(*d)) : NULL;
	bool ok = d != NULL;

	if (!of)
		of = &nothing;
	if (ok)
		d->arena = a;
	for (size_t i = 0; ok && i < of->n_mms; i++) {
		d->mms = arena_grow(a, d->mms, i, sizeof(*d->mms));
		ok = d->mms && mm_copy(&d->mms[d->n_mms++], a, &of->mms[i]);
	}
	for (size_t i = 0; ok && i < of->n_qms; i++) {
		d->qms = arena_grow(a, d->qms, i, sizeof(*d->qms));
		ok = d->qms && qm_copy(&d->qms[d->n_qms++], a, &of->qms[i]);
	}
	for (size_t i = 0; ok && i < of->n_rules; i++) {
		d->rules = arena_grow(a, d->rules, i, sizeof(*d->rules));
		ok = d->rules && dynamic_rule_copy(&d->rules[d->n_rules++], a, &of->rules[i]) == 0;
	}
	if (ok)
		return d;
	arena_free(a);
	return NULL;
}

void dynamic_free(struct dynamic *d)
{
	if (d)
		arena_free(d->arena);
}

/* ---- main mode and quick mode policies ---- */

static int name_check(const char **ret, struct arena *to, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, "name");

	if (!v || !*v->text)
		return err_set(err, ERR_FORMAT, "'name' is %s", v ? "empty" : "missing");
	if (strlen(v->text) > DYNAMIC_MAX_NAME)
		return err_set(err, ERR_LIMIT, "'name' is longer than %d bytes", DYNAMIC_MAX_NAME);
	if (!utf8_valid(v->text))
		return err_set(err, ERR_FORMAT, "'name' is not UTF-8");
	if (ascii_equal(v->text, "all"))
		return err_set(err, ERR_FORMAT, "'name': 'all' means every one of them and cannot be a name");
	*ret = arena_strdup(to, v->text);
	return *ret ? 0 : err_nomem(err);
}

static int mm_edit(struct dynamic_mm *m, struct arena *to, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *limit = netsh_arg(a, "qmpermm"), *life = netsh_arg(a, "mmlifetime");
	const struct netsh_value *soft = netsh_arg(a, "softsaexpirationtime"), *offers = netsh_arg(a, "mmsecmethods");
	bool ok = true;

	if ((life && life->number > UINT32_MAX / 60) || (soft && soft->number > UINT32_MAX / 60))
		return err_set(err, ERR_LIMIT, "'%s' is more than %u minutes", life && life->number > UINT32_MAX / 60 ?
		    "mmlifetime" : "softsaexpirationtime", UINT32_MAX / 60);
	if (limit)
		m->qm_limit = (uint32_t)limit->number;
	if (life)
		m->life_seconds = (uint32_t)life->number * 60;
	if (soft)
		m->soft_sa_seconds = (uint32_t)soft->number * 60;
	if (offers) {
		m->offers = array_copy(to, offers->mm, offers->n, sizeof(*m->offers), &ok);
		m->n_offers = offers->n;
	}
	return ok ? 0 : err_nomem(err);
}

static enum dynamic_pfs pfs_of(const struct netsh_value *v)
{
	for (int p = DYNAMIC_GRP1; p <= DYNAMIC_GRPMM; p++)
		if (netsh_word_is(v, dynamic_pfs_name((enum dynamic_pfs)p)))
			return (enum dynamic_pfs)p;
	return DYNAMIC_NOPFS;
}

static int qm_edit(struct dynamic_qm *q, struct arena *to, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *soft = netsh_arg(a, "soft"), *pfs = netsh_arg(a, "pfsgroup");
	const struct netsh_value *offers = netsh_arg(a, "qmsecmethods");
	bool ok = true;

	if (soft)
		q->soft = soft->yes;
	if (pfs)
		q->pfs = pfs_of(pfs);
	if (offers) {
		q->offers = array_copy(to, offers->qm, offers->n, sizeof(*q->offers), &ok);
		q->n_offers = offers->n;
	}
	return ok ? 0 : err_nomem(err);
}

static int mm_add(struct dynamic *d, const struct netsh_args *a, const struct guid *id, struct err *err)
{
	struct dynamic_mm m = { .id = *id, .life_seconds = POLICY_MM_LIFE_DEFAULT };
	struct dynamic_mm *all;
	bool ok = true;

	if (name_check(&m.name, d->arena, a, err) < 0)
		return -1;
	if (dynamic_mm(d, m.name))
		return err_set(err, ERR_BUSY, "there is a main mode policy '%s' already", m.name);
	if (d->n_mms == DYNAMIC_MAX_POLICIES)
		return err_set(err, ERR_LIMIT, "there are %d main mode policies, which is the limit", DYNAMIC_MAX_POLICIES);
	m.offers = array_copy(d->arena, mm_offers, N(mm_offers), sizeof(mm_offers[0]), &ok);
	m.n_offers = N(mm_offers);
	if (!ok)
		return err_nomem(err);
	if (mm_edit(&m, d->arena, a, err) < 0)
		return -1;
	all = arena_grow(d->arena, d->mms, d->n_mms, sizeof(*all));
	if (!all)
		return err_nomem(err);
	d->mms = all;
	d->mms[d->n_mms++] = m;
	return 0;
}

static int qm_add(struct dynamic *d, const struct netsh_args *a, const struct guid *id, struct err *err)
{
	struct dynamic_qm q = { .id = *id }, *all;
	bool ok = true;

	if (name_check(&q.name, d->arena, a, err) < 0)
		return -1;
	if (dynamic_qm(d, q.name))
		return err_set(err, ERR_BUSY, "there is a quick mode policy '%s' already", q.name);
	if (d->n_qms == DYNAMIC_MAX_POLICIES)
		return err_set(err, ERR_LIMIT, "there are %d quick mode policies, which is the limit", DYNAMIC_MAX_POLICIES);
	q.offers = array_copy(d->arena, qm_offers, N(qm_offers), sizeof(qm_offers[0]), &ok);
	q.n_offers = N(qm_offers);
	if (!ok)
		return err_nomem(err);
	if (qm_edit(&q, d->arena, a, err) < 0)
		return -1;
	all = arena_grow(d->arena, d->qms, d->n_qms, sizeof(*all));
	if (!all)
		return err_nomem(err);
	d->qms = all;
	d->qms[d->n_qms++] = q;
	return 0;
}

static int mm_set(struct dynamic *d, const struct netsh_args *a, struct err *err)
{
	struct dynamic_mm m, *at;
	const char *name;

	if (name_check(&name, d->arena, a, err) < 0)
		return -1;
	at = (struct dynamic_mm *)dynamic_mm(d, name);
	if (!at)
		return err_set(err, ERR_ABSENT, "there is no main mode policy '%s'", name);
	m = *at;
	if (mm_edit(&m, d->arena, a, err) < 0)
		return -1;
	*at = m;
	return 0;
}

static int qm_set(struct dynamic *d, const struct netsh_args *a, struct err *err)
{
	struct dynamic_qm q, *at;
	const char *name;

	if (name_check(&name, d->arena, a, err) < 0)
		return -1;
	at = (struct dynamic_qm *)dynamic_qm(d, name);
	if (!at)
		return err_set(err, ERR_ABSENT, "there is no quick mode policy '%s'", name);
	q = *at;
	if (qm_edit(&q, d->arena, a, err) < 0)
		return -1;
	*at = q;
	return 0;
}

/* name NULL: whatever its name. */
static int mm_use_check(const struct dynamic *d, const char *name, struct err *err)
{
	for (size_t i = 0; i < d->n_rules; i++) {
		char text[DYNAMIC_RULE_TEXT];

		if (!d->rules[i].mm || (name && !ascii_equal(d->rules[i].mm, name)))
			continue;
		dynamic_rule_text(&d->rules[i], text);
		return err_set(err, ERR_BUSY, "main mode policy '%s' is used by the rule %s", d->rules[i].mm, text);
	}
	return 0;
}

static int qm_use_check(const struct dynamic *d, const char *name, struct err *err)
{
	for (size_t i = 0; i < d->n_rules; i++) {
		char text[DYNAMIC_RULE_TEXT];

		if (!d->rules[i].qm || (name && !ascii_equal(d->rules[i].qm, name)))
			continue;
		dynamic_rule_text(&d->rules[i], text);
		return err_set(err, ERR_BUSY, "quick mode policy '%s' is used by the rule %s", d->rules[i].qm, text);
	}
	return 0;
}

/* 1: all of them; 0: *ret is the name of one; -1. */
static int delete_which(const char **ret, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, "name"), *all = netsh_arg(a, "all");

	if (all || (v && ascii_equal(v->text, "all")))
		return 1;
	if (!v)
		return err_set(err, ERR_FORMAT, "'name' is missing");
	*ret = v->text;
	return 0;
}

static void array_remove(void *array, size_t *n, size_t at, size_t size)
{
	char *p = array;

	memmove(p + at * size, p + (at + 1) * size, (*n - at - 1) * size);
	--*n;
}

static int mm_delete(struct dynamic *d, const struct netsh_args *a, struct err *err)
{
	const struct dynamic_mm *m;
	const char *name = NULL;
	int all = delete_which(&name, a, err);

	if (all < 0 || (all && mm_use_check(d, NULL, err) < 0))
		return -1;
	if (all) {
		d->n_mms = 0;
		return 0;
	}
	m = dynamic_mm(d, name);
	if (!m)
		return err_set(err, ERR_ABSENT, "there is no main mode policy '%s'", name);
	if (mm_use_check(d, name, err) < 0)
		return -1;
	array_remove(d->mms, &d->n_mms, (size_t)(m - d->mms), sizeof(*m));
	return 0;
}

static int qm_delete(struct dynamic *d, const struct netsh_args *a, struct err *err)
{
	const struct dynamic_qm *q;
	const char *name = NULL;
	int all = delete_which(&name, a, err);

	if (all < 0 || (all && qm_use_check(d, NULL, err) < 0))
		return -1;
	if (all) {
		d->n_qms = 0;
		return 0;
	}
	q = dynamic_qm(d, name);
	if (!q)
		return err_set(err, ERR_ABSENT, "there is no quick mode policy '%s'", name);
	if (qm_use_check(d, name, err) < 0)
		return -1;
	array_remove(d->qms, &d->n_qms, (size_t)(q - d->qms), sizeof(*q));
	return 0;
}

/* ---- rules ---- */

static struct dynamic_rule *rule_find(const struct dynamic *d, const struct dynamic_rule *key)
{
	for (size_t i = 0; i < d->n_rules; i++)
		if (dynamic_rule_same(&d->rules[i], key))
			return &d->rules[i];
	return NULL;
}

static int rule_absent(const struct dynamic_rule *key, struct err *err)
{
	char text[DYNAMIC_RULE_TEXT];

	dynamic_rule_text(key, text);
	return err_set(err, ERR_ABSENT, "there is no rule %s", text);
}

static int rule_add(struct dynamic *d, const struct netsh_args *a, const struct guid *id, struct err *err)
{
	static const struct ipsec_auth kerberos = { .method = IPSEC_AUTH_KERBEROS, .text = "" };
	struct dynamic_rule r, *all;
	char text[DYNAMIC_RULE_TEXT];

	if (dynamic_rule_key(&r, a, err) < 0)
		return -1;
	r.id = *id;
	if (rule_find(d, &r)) {
		dynamic_rule_text(&r, text);
		return err_set(err, ERR_BUSY, "there is a rule %s already ('set rule' changes it)", text);
	}
	if (d->n_rules == DYNAMIC_MAX_RULES)
		return err_set(err, ERR_LIMIT, "there are %d rules, which is the limit", DYNAMIC_MAX_RULES);
	r.auth = arena_memdup(d->arena, &kerberos, sizeof(kerberos));
	r.n_auth = 1;
	if (!r.auth)
		return err_nomem(err);
	if (dynamic_rule_edit(&r, d->arena, a, err) < 0 || dynamic_rule_check(&r, d, err) < 0)
		return -1;
	all = arena_grow(d->arena, d->rules, d->n_rules, sizeof(*all));
	if (!all)
		return err_nomem(err);
	d->rules = all;
	d->rules[d->n_rules++] = r;
	return 0;
}

static int rule_set(struct dynamic *d, const struct netsh_args *a, struct err *err)
{
	struct dynamic_rule key, r, *at;

	if (dynamic_rule_key(&key, a, err) < 0)
		return -1;
	at = rule_find(d, &key);
	if (!at)
		return rule_absent(&key, err);
	r = *at;
	if (dynamic_rule_edit(&r, d->arena, a, err) < 0 || dynamic_rule_check(&r, d, err) < 0)
		return -1;
	*at = r;
	return 0;
}

static int rule_delete(struct dynamic *d, const struct netsh_args *a, struct err *err)
{
	struct dynamic_rule key, *at;

	if (dynamic_rule_key(&key, a, err) < 0)
		return -1;
	at = rule_find(d, &key);
	if (!at)
		return rule_absent(&key, err);
	array_remove(d->rules, &d->n_rules, (size_t)(at - d->rules), sizeof(*at));
	return 0;
}

int dynamic_run(struct dynamic *d, const struct netsh_args *a, const struct guid *id, struct err *err)
{
	switch (a->command->id) {
	case CMD_DYN_ADD_MMPOLICY:	return mm_add(d, a, id, err);
	case CMD_DYN_SET_MMPOLICY:	return mm_set(d, a, err);
	case CMD_DYN_DELETE_MMPOLICY:	return mm_delete(d, a, err);
	case CMD_DYN_ADD_QMPOLICY:	return qm_add(d, a, id, err);
	case CMD_DYN_SET_QMPOLICY:	return qm_set(d, a, err);
	case CMD_DYN_DELETE_QMPOLICY:	return qm_delete(d, a, err);
	case CMD_DYN_ADD_RULE:		return rule_add(d, a, id, err);
	case CMD_DYN_SET_RULE:		return rule_set(d, a, err);
	case CMD_DYN_DELETE_RULE:	return rule_delete(d, a, err);
	case CMD_DYN_DELETE_ALL:
		d->n_rules = d->n_mms = d->n_qms = 0;
		return 0;
	default:
		return err_set(err, ERR_UNSUPPORTED, "'%s %s' does not change the dynamic context", a->command->verb, a->command->object);
	}
}
