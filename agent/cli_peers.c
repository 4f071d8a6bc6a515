/* `ipsecpol show peers`: how it stands with each peer that is to be negotiated with.  From the kernel alone, so that
 * it can be told without charon, too.
 *
 *   protected    an association is there
 *   held         the peer has negotiated before: nothing in clear until it has again
 *   negotiating  asked, and no answer yet: closed
 *   blocked      asked, and there is no connection that could negotiate it: closed
 *   clear        asked, and no answer yet: the policy lets it pass in clear */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/cli_ike.h"
#include "agent/cli_text.h"
#include "agent/vici.h"
#include "nft/spd.h"
#include "nft/xfrm.h"
#include "nft/xfrmsock.h"
#include "schema/arena.h"
#include "schema/err.h"

struct peer {
	struct ip_addr	addr;
	uint32_t	reqid;
	bool		protected, asked, pinned, soft;
	uint64_t	since;		/* of the oldest association, or of the question; CLOCK_REALTIME seconds */
	uint64_t	bytes;
};

struct peers {
	struct peer	*all;		/* by address and reqid */
	size_t		 n;
	struct spd	*policies, *pins;
	struct kernel_sas kernel;
};

static int peer_order(const void *x, const void *y)
{
	const struct peer *a = x, *b = y;
	const int cmp = ip_addr_cmp(&a->addr, &b->addr);

	return cmp ? cmp : a->reqid < b->reqid ? -1 : a->reqid > b->reqid;
}

static int reqid_order(const void *x, const void *y)
{
	const uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return a < b ? -1 : a > b;
}

/* The reqids of policies that let clear pass where there is no association. */
static int soft_reqids(uint32_t **ret, size_t *ret_n, struct cli *c, const struct spd *s, struct err *err)
{
	uint32_t *list = arena_zalloc(c->arena, s->n_policies ? s->n_policies * 2 : 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return err_nomem(err);
	for (size_t i = 0; i < s->n_policies; i++)
		for (size_t k = 0; s->policies[i].dir == SPD_OUT && k < s->policies[i].n_templates && k < 2; k++)
			if (!s->policies[i].templates[k].required)
				list[n++] = s->policies[i].templates[k].reqid;
	qsort(list, n, sizeof(*list), reqid_order);
	*ret = list;
	*ret_n = n;
	return 0;
}

/* A pin is for one peer: the whole of its remote address. */
static bool pin_peer(struct ip_addr *ret, const struct spd_policy *p)
{
	*ret = (struct ip_addr){ .family = p->sel.family };
	if (p->dir != SPD_OUT || p->sel.dst_prefix != (p->sel.family == AF_INET ? 32 : 128))
		return false;
	memcpy(ret->b, p->sel.dst, p->sel.family == AF_INET ? 4 : 16);
	return true;
}

static void peer_merge(struct peer *p, const struct peer *q)
{
	p->protected |= q->protected;
	p->asked |= q->asked;
	p->pinned |= q->pinned;
	p->soft |= q->soft;
	p->bytes += q->bytes;
	if (q->since && (!p->since || q->since < p->since))
		p->since = q->since;
}

/* Each peer and reqid once. */
static void peers_merge(struct peers *ps)
{
	size_t n = 0;

	if (!ps->n)
		return;
	qsort(ps->all, ps->n, sizeof(*ps->all), peer_order);
	for (size_t i = 1; i < ps->n; i++)
		if (!peer_order(&ps->all[n], &ps->all[i]))
			peer_merge(&ps->all[n], &ps->all[i]);
		else
			ps->all[++n] = ps->all[i];
	ps->n = n + 1;
}

static int peers_collect(struct peers *ps, struct cli *c, struct err *err)
{
	const struct kernel_sas *k = &ps->kernel;
	uint32_t *soft = NULL;
	size_t n_soft = 0;

	if (soft_reqids(&soft, &n_soft, c, ps->policies, err) < 0)
		return -1;
	ps->all = arena_zalloc(c->arena, k->n + ps->pins->n_policies + 1, sizeof(*ps->all));
	if (!ps->all)
		return err_nomem(err);
	for (size_t i = 0; i < k->n; i++) {
		const struct xfrm_sa *sa = &k->all[i];

		ps->all[ps->n++] = (struct peer){ .addr = *kernel_sa_peer(k, sa), .reqid = sa->reqid, .protected = !sa->larval, .asked = sa->larval,
		    .soft = bsearch(&sa->reqid, soft, n_soft, sizeof(*soft), reqid_order), .since = sa->add_time, .bytes = sa->larval ? 0 : sa->bytes };
	}
	for (size_t i = 0; i < ps->pins->n_policies; i++) {
		struct peer p = { .pinned = true, .soft = true };

		if (!pin_peer(&p.addr, &ps->pins->policies[i]) || !ps->pins->policies[i].n_templates)
			continue;
		p.reqid = ps->pins->policies[i].templates[0].reqid;
		ps->all[ps->n++] = p;
	}
	peers_merge(ps);
	return 0;
}

/* rules: of connections; NULL: not known. */
static const char *peer_state(const struct peer *p, const json_t *rules)
{
	return p->protected ? "protected" : p->pinned ? "held" : p->soft ? "clear" : rules && !json_array_size(rules) ? "blocked" : "negotiating";
}

static const char *peer_meaning(const struct peer *p, const json_t *rules)
{
	if (p->protected)
		return p->pinned || !p->soft ? "nothing passes in clear" : "";
	if (p->pinned)
		return "has negotiated: closed until it does again";
	if (rules && !json_array_size(rules) && !p->soft)
		return "cannot be negotiated: closed, see 'ipsecpol status'";
	return p->soft ? "no answer: passes in clear" : "no answer yet: closed";
}

static json_t *peer_json(const struct peer *p, const struct ike_rules *rules)
{
	const uint64_t now = (uint64_t)time(NULL);
	json_t *of = ike_rules_of(rules, p->reqid);
	const json_t *known = rules->known ? of : NULL;
	char text[IP_ADDR_TEXT];

	ip_addr_text(&p->addr, text);
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:o, s:I, s:I, s:o}", "peer", text, "state", peer_state(p, known), "meaning", peer_meaning(p, known),
	    "soft", p->soft, "pinned", p->pinned, "since_seconds", p->since && p->since <= now ? json_integer((json_int_t)(now - p->since)) : json_null(),
	    "bytes", (json_int_t)(p->bytes & INT64_MAX), "reqid", (json_int_t)p->reqid, "rules", of);
}

static int table_show(struct cli *c, const json_t *list, struct err *err)
{
	static const char *const headings[] = { "Peer", "State", "For", "Pinned", "Meaning", "Rule" };
	struct table *t = table_new(6, headings);
	int rc;

	for (size_t i = 0; t && i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);

		table_row(t, (const char *const[]){ json_text(o, "peer"), json_text(o, "state"), ike_age_text(c, json_object_get(o, "since_seconds")),
		    json_is_true(json_object_get(o, "pinned")) ? "yes" : "no", json_text(o, "meaning"), ike_rules_text(c, json_object_get(o, "rules")) });
	}
	rc = t ? table_print(t, true, stdout, err) : err_nomem(err);
	table_free(t);
	return rc;
}

/* The kernel keeps in mind whom it wants to talk to only where somebody would negotiate. */
static void nobody_show(struct cli *c)
{
	struct err why;
	struct vici *v = ike_open(c, &why);

	puts("There is no peer that has been negotiated with, or that was asked.");
	if (!v)
		puts(why.msg);
	vici_close(v);
}

static int peers_show(struct cli *c, const struct peers *ps, struct err *err)
{
	struct ike_rules rules;
	json_t *list = json_array();
	int rc = 0;

	ike_rules_ask(&rules, c);
	for (size_t i = 0; i < ps->n; i++)
		json_array_append_new(list, peer_json(&ps->all[i], &rules));
	if (c->json)
		rc = json_print(json_pack("{s:O}", "peers", list), stdout, err);
	else if (!ps->n)
		nobody_show(c);
	else
		rc = table_show(c, list, err);
	if (rc == 0 && ps->n && !rules.known && !c->json)
		puts("(the service does not say which rules they are for)");
	json_decref(list);
	ike_rules_free(&rules);
	return rc == 0 && fflush(stdout) != 0 ? err_set(err, ERR_SYSTEM, "writing the output: %m") : rc;
}

int cli_show_peers(struct cli *c)
{
	struct peers ps = { 0 };
	struct err err = { 0 };
	int rc = -1;

	if (geteuid() != 0) {
		err_set(&err, ERR_DENIED, "'show peers' is for root");
		return cli_fail(&err);
	}
	if (kernel_sas(&ps.kernel, c, &err) == 0 && xfrmsock_fetch(ps.kernel.x, &ps.policies, &ps.pins, &err) == 0 &&
	    peers_collect(&ps, c, &err) == 0)
		rc = peers_show(c, &ps, &err);
	spd_free(ps.policies);
	spd_free(ps.pins);
	kernel_sas_close(&ps.kernel);
	return rc < 0 ? cli_fail(&err) : EXIT_DONE;
}
