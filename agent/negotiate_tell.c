/* What the negotiator says: events, and its problems for the status. */
#include "agent/negotiate_parts.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "agent/log.h"
#include "agent/vici.h"
#include "nft/protect.h"
#include "schema/ident.h"
#include "schema/utf.h"

#define TOLD_MAX	20u	/* events of one kind at a time */
#define HEARD_WINDOW	10u	/* seconds */

static const char *const why_names[PROTECT_RANGE + 1] = { "no-auth", "no-offer", "no-ah-esp", "connection-type", "tunnel", "forward", "partly", "port-range" };

/* ---- problems ---- */

static bool reqid_demands(const struct negotiator *n, uint32_t reqid)
{
	size_t n_policies;
	const struct spd_policy *const *p = pin_index_find(&n->pin.index, reqid, &n_policies);

	for (size_t i = 0; i < n_policies; i++)
		if (p[i]->templates[0].required)
			return true;
	/* Tunnels are not in the index, and always required. */
	return n_policies == 0;
}

bool negotiate_closed(const struct negotiator *n, const struct ike_conn *c)
{
	for (size_t i = 0; i < c->n_children; i++)
		if (!c->children[i].policies && reqid_demands(n, c->children[i].reqid))
			return true;
	return false;
}

/* Names come from the directory, reasons from charon. */
static json_t *clean_string(const char *text)
{
	char *copy = strdup(text ? text : "");
	json_t *s;

	if (!copy)
		return NULL;
	utf8_clean(copy, "");
	s = json_string(copy);
	free(copy);
	return s;
}

static int problem_add(json_t *list, const char *rule, const struct rs_origin *origin, const char *why, bool closed, const char *text)
{
	char id[GUID_TEXT];
	json_t *p;

	if (origin)
		guid_text(&origin->rule, id);
	p = json_pack("{s:o, s:s?, s:s, s:b, s:o}", "rule", clean_string(rule), "id", origin ? id : NULL, "why", why, "closed", (int)closed,
	    "text", clean_string(text));
	return p ? json_array_append_new(list, p) : -1;
}

json_t *negotiate_problems_json(const struct negotiator *n)
{
	json_t *list = json_array();
	const struct protect_problem *p;
	const struct ike_conn *c;
	int rc = list ? 0 : -1;

	for (size_t i = 0; n && n->want && i < n->want->n_problems; i++) {
		p = &n->want->problems[i];
		rc |= problem_add(list, p->rule_name, &p->origin, why_names[p->why], p->closed, p->text);
	}
	for (size_t i = 0; n && i < n->n_conns; i++) {
		c = &n->want->ike->conns[i];
		if (n->conns[i].condition == CONN_FAILED)
			rc |= problem_add(list, c->rule_name, c->n_children ? c->children[0].origin : NULL, "not-loaded", negotiate_closed(n, c), n->conns[i].why);
	}
	if (rc < 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

/* ---- telling ---- */

static uint32_t words_hash(uint32_t h, const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 16777619u;
	return h ? h : 1;
}

#define HASH_START	2166136261u

static const char *consequence(bool closed)
{
	return closed ? "what must be protected is blocked" : "the rest is negotiated, or passes in clear where the rule allows it";
}

static void tell_failed(struct negotiator *n)
{
	size_t n_told = 0, more = 0;
	struct conn_state *s;
	const struct ike_conn *c;
	uint32_t words;

	for (size_t i = 0; i < n->n_conns; i++) {
		s = &n->conns[i];
		c = &n->want->ike->conns[i];
		words = words_hash(HASH_START, s->why, strlen(s->why));
		if (s->condition != CONN_FAILED || s->told == words)
			continue;
		s->told = words;
		if (n_told++ >= TOLD_MAX) {
			more++;
			continue;
		}
		log_event(LOG_ERR, "ike-failed", (const char *const[]){ "CONNECTION", c->name, "RULE", c->rule_name, NULL },
		    "connection %s of rule '%s' could not be loaded, %s: %s", c->name, c->rule_name, consequence(negotiate_closed(n, c)), s->why);
	}
	if (more)
		log_event(LOG_ERR, "ike-failed", NULL, "%zu more connections could not be loaded", more);
	if (n->load.creds.code != ERR_NONE && strncmp(n->told_creds, n->load.creds.msg, sizeof(n->told_creds) - 1))
		log_event(LOG_ERR, "ike-failed", NULL, "nothing can be negotiated with certificates: %s", n->load.creds.msg);
	snprintf(n->told_creds, sizeof(n->told_creds), "%.199s", n->load.creds.msg);
}

static void tell_state(struct negotiator *n, const struct negotiate_status *s)
{
	if (s->state == NEGOTIATE_READY && (n->told != NEGOTIATE_READY || n->load.n_changes))
		log_event(LOG_NOTICE, "ike-ready", (const char *const[]){ "DAEMON", s->daemon, NULL },
		    "%s holds all connections of the negotiate filters (%zu)", s->daemon, s->n_wanted);
	else if (s->state == NEGOTIATE_NO_IKE && n->told != NEGOTIATE_NO_IKE)
		log_event(LOG_ERR, "ike-lost", NULL, "charon does not answer, what must be protected is blocked unless it has been negotiated already: %s", s->why.msg);
	else if (s->state == NEGOTIATE_NO_KERNEL && n->told != NEGOTIATE_NO_KERNEL)
		log_event(LOG_ERR, "ike-lost", NULL, "what must be protected is blocked: %s", s->why.msg);
	else if (s->state == NEGOTIATE_FAILED && n->load.lost.code != ERR_NONE && n->told != NEGOTIATE_FAILED)
		log_event(LOG_ERR, "ike-failed", NULL, "charon could not be told what is wanted: %s", s->why.msg);
	if (s->state != NEGOTIATE_LOADING)
		n->told = s->state;
}

void negotiate_tell(struct negotiator *n)
{
	struct negotiate_status s;

	negotiate_loading(n, &s);
	tell_failed(n);
	tell_state(n, &s);
	if (!n->load.round)
		n->load.n_changes = 0;
	if (n->changed)
		n->changed(n->cookie);
}

static uint32_t problem_words(const struct protect_problem *p)
{
	uint32_t h = words_hash(HASH_START, &p->origin.rule, sizeof(p->origin.rule));

	h = words_hash(h, &p->why, sizeof(p->why));
	return words_hash(h, p->text, strlen(p->text));
}

static int words_cmp(const void *x, const void *y)
{
	const uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return (a > b) - (a < b);
}

/* Those that were not there before. */
void negotiate_tell_problems(const struct protect *p, const struct protect *before)
{
	const size_t n_before = before ? before->n_problems : 0;
	uint32_t *old = calloc(n_before + 1, sizeof(*old)), words;
	const struct protect_problem *q;
	size_t n_told = 0, more = 0;

	for (size_t i = 0; old && i < n_before; i++)
		old[i] = problem_words(&before->problems[i]);
	if (old)
		qsort(old, n_before, sizeof(*old), words_cmp);
	for (size_t i = 0; p && i < p->n_problems; i++) {
		q = &p->problems[i];
		words = problem_words(q);
		if (old && bsearch(&words, old, n_before, sizeof(*old), words_cmp))
			continue;
		if (n_told++ < TOLD_MAX)
			log_event(q->closed ? LOG_ERR : LOG_WARNING, "negotiate-problem", (const char *const[]){ "RULE", q->rule_name, "WHY", why_names[q->why], NULL },
			    "rule '%s': %s: %s", q->rule_name, q->text, consequence(q->closed));
		else
			more++;
	}
	if (more)
		log_event(LOG_ERR, "negotiate-problem", NULL, "%zu more problems: ipsecpol status names them", more);
	free(old);
}

/* ---- SAs that come and go ---- */

static void sa_tell(struct negotiator *n, const char *event, bool up, const struct vici_node *sa)
{
	const struct ike_conn *c = n->want ? ike_find(n->want->ike, sa->name) : NULL;
	const char *peer = vici_value(sa, "remote-host"), *rule = c ? c->rule_name : "";
	const bool child = event[0] == 'c';

	log_event(LOG_INFO, child ? (up ? "quick-mode-up" : "quick-mode-down") : up ? "main-mode-up" : "main-mode-down",
	    (const char *const[]){ "PEER", peer, "CONNECTION", sa->name, "RULE", rule, NULL },
	    "%s with %s is %s (rule '%s', connection %s)", child ? "quick mode SA" : "main mode SA", peer, up ? "up" : "down", rule, sa->name);
}

void negotiate_heard(struct negotiator *n, const char *event, const struct vici_node *message)
{
	const bool up = !strcmp(vici_value(message, "up"), "yes");
	const uint64_t now = negotiate_now();

	if (!n->logging || (strcmp(event, "ike-updown") && strcmp(event, "child-updown")))
		return;
	if (now - n->heard_window >= HEARD_WINDOW * USEC) {
		if (n->n_heard > TOLD_MAX)
			log_info("%u events of security associations were not logged", n->n_heard - TOLD_MAX);
		n->heard_window = now;
		n->n_heard = 0;
	}
	for (size_t i = 0; i < message->n_children; i++)
		if (message->children[i].kind == VICI_SECTION && is_ours(message->children[i].name) && n->n_heard++ < TOLD_MAX)
			sa_tell(n, event, up, &message->children[i]);
}
