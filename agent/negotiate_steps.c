/* The commands that bring charon from what it has to what is wanted. */
#include "agent/negotiate_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "agent/log.h"
#include "agent/vici.h"
#include "nft/protect.h"
#include "nft/xfrmsock.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/utf.h"

#define ORPHAN_SECONDS	60	/* how long SAs that charon does not know may stay */
#define RENEW_MAX	1000	/* of them that are asked for at once; the rest waits for packets */

static size_t if_light(const struct negotiator *n)
{
	return n->load.light;
}

static size_t if_whole(const struct negotiator *n)
{
	return !n->load.light;
}

/* ---- looking ---- */

static void on_version(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	(void)i;
	snprintf(n->load.daemon, sizeof(n->load.daemon), "%.40s %.20s", vici_value(reply, "daemon"), vici_value(reply, "version"));
	utf8_clean(n->load.daemon, "");
}

static void on_conns(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	(void)i;
	names_of_list(&n->load.listed_conns, n->load.arena, reply, "conns");
}

static void conn_heard(struct negotiator *n, const struct vici_node *listed)
{
	const struct ike_config *ike = load_wanted(n);
	const struct ike_conn *c = ike_find(ike, listed->name);
	struct err err;

	names_add(&n->load.listed_conns, n->load.arena, listed->name);
	if (!c)
		return;
	n->conns[c - ike->conns].listed = conn_check(c, listed, n->load.arena, &err) == 0;
	/* For the verification: what was loaded became something else. */
	if (!n->conns[c - ike->conns].listed)
		snprintf(n->conns[c - ike->conns].why, sizeof(n->conns[0].why), "charon understood it otherwise: %.120s", err.msg);
}

static void on_conn(struct negotiator *n, const struct vici_node *message)
{
	for (size_t i = 0; i < message->n_children; i++)
		if (message->children[i].kind == VICI_SECTION && is_ours(message->children[i].name))
			conn_heard(n, &message->children[i]);
}

/* First what the kernel has, then what charon knows: an SA that is made in between is no orphan. */
static int sas_look(struct negotiator *n)
{
	struct load *l = &n->load;
	struct err err;

	if (!l->light && (l->fresh || l->n_orphans) && xfrmsock_sas(n->x, &l->sas, &l->n_sas, l->arena, &err) < 0)
		log_warn("security associations in the kernel: %s", err.msg);
	return 0;
}

static void on_sa(struct negotiator *n, const struct vici_node *message)
{
	struct load *l = &n->load;

	for (size_t i = 0; i < message->n_children; i++)
		if (message->children[i].kind == VICI_SECTION && is_ours(message->children[i].name))
			names_add(&l->listed_sas, l->arena, message->children[i].name);
	if (l->fresh || l->n_orphans)
		spis_of_sa(&l->spis, l->arena, message);
}

static void on_secrets(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	(void)i;
	names_of_list(&n->load.listed_secrets, n->load.arena, reply, "keys");
}

static void on_keys(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	(void)i;
	names_of_list(&n->load.listed_keys, n->load.arena, reply, "keys");
}

static void on_cas(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	(void)i;
	names_of_list(&n->load.listed_cas, n->load.arena, reply, "authorities");
}

/* ---- taking away ---- */

static size_t n_old_conns(const struct negotiator *n)
{
	return n->load.old_conns.n;
}

static struct vici_message *old_conn(struct negotiator *n, size_t i)
{
	return name_message("name", n->load.old_conns.texts[i]);
}

static void on_unloaded(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	struct err err;

	(void)i;
	n->load.n_changes += vici_answer(reply, &err) == 0;
}

static size_t n_old_sas(const struct negotiator *n)
{
	return n->load.old_sas.n;
}

static struct vici_message *old_sa(struct negotiator *n, size_t i)
{
	return terminate_message(n->load.old_sas.texts[i]);
}

static bool is_orphan(const struct load *l, const struct xfrm_sa *sa)
{
	return !sa->larval && !spis_have(&l->spis, sa->spi);
}

/* A charon that was killed has left its SAs in the kernel, and the new one does not know them. They still work as long as
 * the peer has its own: they stay until others take their place, or for a while. */
static int orphans_delete(struct negotiator *n)
{
	struct load *l = &n->load;
	const bool late = negotiate_now() / USEC >= l->since + ORPHAN_SECONDS;
	struct err err = { 0 };
	size_t n_deleted = 0;

	spis_sort(&l->spis);
	l->n_orphans = 0;
	for (size_t i = 0; i < l->n_sas && !l->spis.failed; i++) {
		if (!is_orphan(l, &l->sas[i]))
			continue;
		if (late || !n->want || orphan_is_done(l->sas, l->n_sas, &l->sas[i], &l->spis, n->want->spd))
			n_deleted += xfrmsock_sa_delete(n->x, &l->sas[i], &err) == 0;
		else
			l->n_orphans++;
	}
	if (n_deleted)
		log_event(LOG_NOTICE, "orphans-removed", NULL, "%zu security associations of an earlier charon were removed: it does not know them any more", n_deleted);
	if (err.code != ERR_NONE)
		log_warn("a security association of an earlier charon stays: %s", err.msg);
	return 0;
}

/* The peer may have forgotten them, and find out late that this side has: new ones are asked for at once. */
static int orphans_renew(struct negotiator *n)
{
	struct load *l = &n->load;
	struct spd_policy p;
	struct err err;
	size_t left = l->fresh && n->want && !l->spis.failed ? RENEW_MAX : 0;

	for (size_t i = 0; i < l->n_sas && left; i++)
		if (is_orphan(l, &l->sas[i]) && sa_policy(&p, n->want->spd, &l->sas[i])) {
			if (xfrmsock_acquire(n->x, &p, &l->sas[i], &err) < 0)
				log_warn("security associations of an earlier charon: %s", err.msg);
			left--;
		}
	return 0;
}

static size_t n_old_secrets(const struct negotiator *n)
{
	return n->load.old_secrets.n;
}

static struct vici_message *old_secret(struct negotiator *n, size_t i)
{
	struct secret_state *s = load_secret(&n->load, n->load.old_secrets.texts[i]);

	if (s)
		memmove(s, s + 1, (size_t)(n->load.secrets + n->load.n_secrets-- - s - 1) * sizeof(*s));
	return name_message("id", n->load.old_secrets.texts[i]);
}

static size_t if_old_key(const struct negotiator *n)
{
	return n->load.old_key;
}

static struct vici_message *old_key(struct negotiator *n, size_t i)
{
	struct vici_message *m = name_message("id", n->load.key_id);

	(void)i;
	n->load.key_ours = n->load.certs_loaded = false;
	n->load.n_cas_loaded = 0;
	n->load.key_id[0] = '\0';
	return m;
}

static size_t n_old_cas(const struct negotiator *n)
{
	return n->load.old_cas.n;
}

static struct vici_message *old_ca(struct negotiator *n, size_t i)
{
	return name_message("name", n->load.old_cas.texts[i]);
}

/* ---- loading ---- */

static size_t n_cas(const struct negotiator *n)
{
	return n->load.load_certs ? n->load.certs.n_cas : 0;
}

static struct vici_message *new_ca(struct negotiator *n, size_t i)
{
	char name[AUTHORITY_TEXT];

	authority_name(name, &n->load.certs.cas[i]);
	return authority_message(name, &n->load.certs.cas[i]);
}

/* The first thing that charon does not like of the files. */
static void cred_answered(struct negotiator *n, const char *what, const char *path, const struct vici_node *reply)
{
	struct err err;

	if (vici_answer(reply, &err) == 0) {
		n->load.n_changes++;
		return;
	}
	if (n->load.creds.code == ERR_NONE)
		err_set(&n->load.creds, ERR_UNSUPPORTED, "%s '%s': %s", what, path, err.msg);
}

static void on_new_ca(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	(void)i;
	cred_answered(n, "ca", n->load.ca, reply);
}

static size_t n_certs(const struct negotiator *n)
{
	return n->load.load_certs ? n->load.certs.n_certs : 0;
}

static struct vici_message *new_cert(struct negotiator *n, size_t i)
{
	struct vici_message *m = vici_new();

	vici_add(m, "type", "X509");
	vici_add(m, "flag", "NONE");
	vici_add_bytes(m, "data", n->load.certs.certs[i].p, n->load.certs.certs[i].len);
	return m;
}

static void on_new_cert(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	(void)i;
	cred_answered(n, "certificate", n->load.certificate, reply);
}

static size_t if_certs(const struct negotiator *n)
{
	return n->load.load_certs;
}

static struct vici_message *new_key(struct negotiator *n, size_t i)
{
	struct vici_message *m = vici_new();

	(void)i;
	vici_add(m, "type", "any");
	vici_add_bytes(m, "data", n->load.certs.key.bytes, n->load.certs.key.len);
	return m;
}

static void on_new_key(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	const char *id = vici_value(reply, "id");
	struct load *l = &n->load;

	(void)i;
	cred_answered(n, "private-key", l->key, reply);
	if (!*id || strlen(id) >= sizeof(l->key_id))
		return;
	if (strcmp(id, l->key_id))
		l->key_ours = l->old_key || !names_have(&l->listed_keys, id);
	snprintf(l->key_id, sizeof(l->key_id), "%.63s", id);
	memcpy(l->certs_digest, l->certs.digest, sizeof(l->certs_digest));
	l->certs_loaded = l->creds.code == ERR_NONE;
	l->n_cas_loaded = l->certs_loaded ? l->certs.n_cas : 0;
	for (size_t k = 0; k < l->n_cas_loaded; k++)
		authority_name(l->cas_loaded[k], &l->certs.cas[k]);
}

static size_t n_new_secrets(const struct negotiator *n)
{
	return n->load.n_todo_secrets;
}

static struct vici_message *new_secret(struct negotiator *n, size_t i)
{
	return vici_secret(&load_wanted(n)->secrets[n->load.todo_secrets[i]]);
}

static struct secret_state *secret_add(struct load *l, const char *id)
{
	struct secret_state *all;
	size_t at = 0;

	if (strlen(id) >= sizeof(all->id) || !(all = realloc(l->secrets, (l->n_secrets + 1) * sizeof(*all))))
		return NULL;
	l->secrets = all;
	while (at < l->n_secrets && strcmp(all[at].id, id) < 0)
		at++;
	memmove(all + at + 1, all + at, (l->n_secrets++ - at) * sizeof(*all));
	all[at] = (struct secret_state){ 0 };
	snprintf(all[at].id, sizeof(all[at].id), "%.63s", id);
	return &all[at];
}

static void on_new_secret(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	const struct ike_config *ike = load_wanted(n);
	const struct ike_secret *s = &ike->secrets[n->load.todo_secrets[i]];
	struct secret_state *known = load_secret(&n->load, s->id);
	struct load *l = &n->load;
	struct err err;

	if (vici_answer(reply, &err) < 0) {
		for (size_t k = 0; k < ike->n_conns; k++) {
			if (strcmp(ike->conns[k].secret, s->id))
				continue;
			n->conns[k].condition = CONN_FAILED;
			snprintf(n->conns[k].why, sizeof(n->conns[k].why), "its pre-shared key: %.120s", err.msg);
		}
		return;
	}
	l->n_changes++;
	if (!known)
		known = secret_add(l, s->id);
	/* No memory: it is loaded once more at the next look. */
	if (known)
		secret_digest(known->digest, s);
}

static size_t n_restart(const struct negotiator *n)
{
	return n->load.restart.n;
}

static struct vici_message *restart(struct negotiator *n, size_t i)
{
	return terminate_message(n->load.restart.texts[i]);
}

static size_t n_new_conns(const struct negotiator *n)
{
	return n->load.n_todo;
}

static size_t if_new_conns(const struct negotiator *n)
{
	return n->load.n_todo != 0;
}

static struct vici_message *new_conn(struct negotiator *n, size_t i)
{
	return conn_message(&load_wanted(n)->conns[n->load.todo[i]], &n->load.certs);
}

static void on_new_conn(struct negotiator *n, size_t i, const struct vici_node *reply)
{
	struct conn_state *s = &n->conns[n->load.todo[i]];
	struct err err;

	s->listed = false;
	if (vici_answer(reply, &err) == 0) {
		snprintf(s->why, sizeof(s->why), "charon took it, and does not list it");
		n->load.n_changes++;
		return;
	}
	s->condition = CONN_FAILED;
	snprintf(s->why, sizeof(s->why), "%.159s", err.msg);
}

static int verified(struct negotiator *n)
{
	for (size_t i = 0; i < n->load.n_todo; i++)
		n->conns[n->load.todo[i]].condition = n->conns[n->load.todo[i]].listed ? CONN_LOADED : CONN_FAILED;
	return 0;
}

/* A round. */
const struct step load_steps[] = {
	{ .command = "get-conns", .count = if_light, .answered = on_conns },
	{ .command = "version", .count = if_whole, .answered = on_version },
	{ .command = "list-conns", .stream = "list-conn", .count = if_whole, .heard = on_conn },
	{ .act = sas_look },
	{ .command = "list-sas", .stream = "list-sa", .count = if_whole, .heard = on_sa },
	{ .command = "get-shared", .answered = on_secrets },
	{ .command = "get-keys", .answered = on_keys },
	{ .command = "get-authorities", .answered = on_cas },
	{ .act = load_plan },
	{ .command = "unload-conn", .count = n_old_conns, .ask = old_conn, .answered = on_unloaded },
	{ .command = "terminate", .count = n_old_sas, .ask = old_sa, .answered = on_unloaded },
	{ .act = orphans_delete },
	{ .command = "unload-shared", .count = n_old_secrets, .ask = old_secret, .answered = on_unloaded },
	{ .command = "unload-key", .count = if_old_key, .ask = old_key, .answered = on_unloaded },
	{ .command = "unload-authority", .count = n_old_cas, .ask = old_ca, .answered = on_unloaded },
	{ .command = "load-authority", .count = n_cas, .ask = new_ca, .answered = on_new_ca },
	{ .command = "load-cert", .count = n_certs, .ask = new_cert, .answered = on_new_cert },
	{ .command = "load-key", .count = if_certs, .ask = new_key, .answered = on_new_key, .always = true },
	{ .command = "load-shared", .count = n_new_secrets, .ask = new_secret, .answered = on_new_secret },
	{ .command = "terminate", .count = n_restart, .ask = restart, .answered = on_unloaded },
	{ .command = "load-conn", .count = n_new_conns, .ask = new_conn, .answered = on_new_conn },
	{ .command = "list-conns", .stream = "list-conn", .count = if_new_conns, .heard = on_conn },
	{ .act = verified },
	{ .act = orphans_renew },
};
const size_t load_n_steps = sizeof(load_steps) / sizeof(load_steps[0]);
