/* What has to be done to charon: from what it lists and what is wanted. */
#include "agent/negotiate_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nft/protect.h"
#include "schema/arena.h"
#include "schema/err.h"

const struct ike_config *load_wanted(const struct negotiator *n)
{
	static const struct ike_config nothing;

	return n->want ? n->want->ike : &nothing;
}

static int secret_cmp(const void *id, const void *s)
{
	return strcmp(id, ((const struct secret_state *)s)->id);
}

struct secret_state *load_secret(struct load *l, const char *id)
{
	return l->n_secrets ? bsearch(id, l->secrets, l->n_secrets, sizeof(*l->secrets), secret_cmp) : NULL;
}

static int wanted_cmp(const void *id, const void *s)
{
	return strcmp(id, ((const struct ike_secret *)s)->id);
}

static bool secret_wanted(const struct ike_config *ike, const char *id)
{
	return ike->n_secrets && bsearch(id, ike->secrets, ike->n_secrets, sizeof(*ike->secrets), wanted_cmp);
}

static bool ours_all(const struct names *l, const struct ike_config *ike)
{
	for (size_t i = 0; i < l->n; i++)
		if (is_ours(l->texts[i]) && !ike_find(ike, l->texts[i]))
			return false;
	return true;
}

static bool certs_there(const struct load *l)
{
	return l->certs_loaded && names_have(&l->listed_keys, l->key_id);
}

/* Is all as it was left? */
static bool undisturbed(struct negotiator *n)
{
	const struct ike_config *ike = load_wanted(n);
	struct load *l = &n->load;

	if (!ours_all(&l->listed_conns, ike))
		return false;
	for (size_t i = 0; i < ike->n_conns; i++)
		if (n->conns[i].condition != CONN_FAILED && !names_have(&l->listed_conns, ike->conns[i].name))
			return false;
	for (size_t i = 0; i < ike->n_secrets; i++)
		if (load_secret(l, ike->secrets[i].id) && !names_have(&l->listed_secrets, ike->secrets[i].id))
			return false;
	for (size_t i = 0; i < l->n_cas_loaded; i++)
		if (!names_have(&l->listed_cas, l->cas_loaded[i]))
			return false;
	return !ike->needs_certificate || l->creds.code != ERR_NONE || certs_there(l);
}

static void todo_add(struct load *l, size_t **list, size_t *n, size_t at)
{
	size_t *p = arena_grow(l->arena, *list, *n, sizeof(*p));

	if (!p) {
		l->listed_conns.failed = true;
		return;
	}
	p[(*n)++] = at;
	*list = p;
}

static void plan_secrets(struct negotiator *n)
{
	const struct ike_config *ike = load_wanted(n);
	const struct secret_state *known;
	struct load *l = &n->load;
	uint8_t digest[32];

	for (size_t i = 0; i < l->listed_secrets.n; i++)
		if (is_ours(l->listed_secrets.texts[i]) && !secret_wanted(ike, l->listed_secrets.texts[i]))
			names_add(&l->old_secrets, l->arena, l->listed_secrets.texts[i]);
	for (size_t i = 0; i < ike->n_secrets; i++) {
		known = load_secret(l, ike->secrets[i].id);
		secret_digest(digest, &ike->secrets[i]);
		if (known && names_have(&l->listed_secrets, known->id) && !memcmp(known->digest, digest, sizeof(digest)))
			continue;
		todo_add(l, &l->todo_secrets, &l->n_todo_secrets, i);
		for (size_t k = 0; known && memcmp(known->digest, digest, sizeof(digest)) && k < ike->n_conns; k++)
			if (!strcmp(ike->conns[k].secret, known->id))
				names_add(&l->restart, l->arena, ike->conns[k].name);
	}
}

static void plan_certs(struct negotiator *n)
{
	const struct ike_config *ike = load_wanted(n);
	struct names now = { 0 };
	struct load *l = &n->load;
	char name[AUTHORITY_TEXT];
	bool same = false;

	l->creds = (struct err){ 0 };
	if (ike->needs_certificate && (!l->certificate || !l->key))
		err_set(&l->creds, ERR_ABSENT, "no certificate and private-key are configured");
	else if (ike->needs_certificate && host_certs_read(&l->certs, l->certificate, l->key, l->ca, &l->creds) == 0)
		l->have_certs = true;
	if (l->have_certs)
		same = l->certs_loaded && !memcmp(l->certs_digest, l->certs.digest, sizeof(l->certs_digest));
	for (size_t i = 0; i < l->certs.n_cas; i++) {
		authority_name(name, &l->certs.cas[i]);
		names_add(&now, l->arena, name);
		same &= names_have(&l->listed_cas, name);
	}
	names_sort(&now);
	/* Files that cannot be read now may be there again soon: what was loaded of them stays. */
	for (size_t i = 0; i < l->listed_cas.n && (l->have_certs || !ike->needs_certificate); i++)
		if (is_ours(l->listed_cas.texts[i]) && !names_have(&now, l->listed_cas.texts[i]))
			names_add(&l->old_cas, l->arena, l->listed_cas.texts[i]);
	l->load_certs = l->have_certs && !(same && certs_there(l));
	l->old_key = l->key_ours && names_have(&l->listed_keys, l->key_id) && (l->have_certs ? !same : !ike->needs_certificate);
}

static void plan_conns(struct negotiator *n)
{
	const struct ike_config *ike = load_wanted(n);
	struct load *l = &n->load;
	struct conn_state *s;
	bool cert;

	for (size_t i = 0; i < l->listed_conns.n; i++)
		if (!ike_find(ike, l->listed_conns.texts[i]))
			names_add(&l->old_conns, l->arena, l->listed_conns.texts[i]);
	for (size_t i = 0; i < l->listed_sas.n; i++)
		if (!ike_find(ike, l->listed_sas.texts[i]))
			names_add(&l->old_sas, l->arena, l->listed_sas.texts[i]);
	for (size_t i = 0; i < ike->n_conns; i++) {
		s = &n->conns[i];
		cert = ike->conns[i].auth == IKE_CERTIFICATE;
		if (s->listed)
			s->condition = CONN_LOADED;
		if (cert && !l->have_certs && !s->listed) {
			s->condition = CONN_FAILED;
			snprintf(s->why, sizeof(s->why), "%.150s", l->creds.msg);
		} else if (!s->listed || (cert && l->load_certs)) {
			todo_add(l, &l->todo, &l->n_todo, i);
		}
	}
}

int load_plan(struct negotiator *n)
{
	struct load *l = &n->load;
	struct names *const lists[] = { &l->listed_conns, &l->listed_sas, &l->listed_secrets, &l->listed_keys, &l->listed_cas };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		names_sort(lists[i]);
	if (l->light) {
		if (!undisturbed(n))
			return -1;
		l->step = load_n_steps - 1;
		return 0;
	}
	plan_secrets(n);
	plan_certs(n);
	plan_conns(n);
	return 0;
}
