/* The three policies that Windows creates with a domain or a local store, as they mean, not as
 * they lie there: their blobs hold stale memory. */
#include <stdlib.h>
#include <string.h>

#include "gpo/container.h"
#include "schema/err.h"
#include "schema/ident.h"

enum { LIST_ICMP, LIST_ALL, N_LISTS, NO_LIST = -1 };

static const struct {
	const char	*id, *name, *description;
	const char	*filter, *filter_description;
	uint8_t		 protocol;
} lists[N_LISTS] = {
	[LIST_ICMP] = { "{72385235-70FA-11D1-864C-14A300000000}", "All ICMP Traffic",
	    "Matches all ICMP packets between this computer and any other computer.",
	    "{5119D263-071D-11D3-AD22-0060B0ECCA17}", "ICMP", 1 },
	[LIST_ALL] = { "{7238523A-70FA-11D1-864C-14A300000000}", "All IP Traffic",
	    "Matches all IP packets from this computer to any other computer, except broadcast, multicast, "
	    "Kerberos, RSVP and ISAKMP (IKE).",
	    "{59319BDD-5EE3-11D2-ACE8-0060B0ECCA17}", "", 0 },
};

#define ESP(cipher, hash, seconds, kbytes) \
	{ .has_esp = true, .esp_encryption = IPSEC_CIPHER_##cipher, .esp_integrity = IPSEC_HASH_##hash, \
	    .life_seconds = (seconds), .life_kbytes = (kbytes) }
#define AH(hash, seconds, kbytes) \
	{ .has_ah = true, .ah_integrity = IPSEC_HASH_##hash, .life_seconds = (seconds), .life_kbytes = (kbytes) }

static const struct ipsec_offer response_offers[] = {
	ESP(3DES, SHA1, 0, 0), ESP(3DES, MD5, 0, 0), ESP(DES, SHA1, 0, 0), ESP(DES, MD5, 0, 0), AH(SHA1, 0, 0), AH(MD5, 0, 0),
};
static const struct ipsec_offer request_offers[] = {
	ESP(3DES, SHA1, 900, 100000), ESP(DES, SHA1, 900, 100000), AH(SHA1, 300, 100000), AH(MD5, 300, 100000),
};
static const struct ipsec_offer require_offers[] = {
	ESP(3DES, SHA1, 900, 100000), ESP(3DES, MD5, 900, 100000), ESP(DES, SHA1, 900, 100000), ESP(DES, MD5, 900, 100000),
};
#define OFFERS(o)	(o), sizeof(o) / sizeof((o)[0])

enum { ACTION_PERMIT, ACTION_REQUEST, ACTION_REQUIRE, N_ACTIONS, ACTION_RESPONSE };

static const struct {
	const char			*id, *name, *description;
	enum ipsec_action		 action;
	bool				 inpass, soft;
	const struct ipsec_offer	*offers;
	size_t				 n_offers;
} actions[N_ACTIONS] = {
	[ACTION_PERMIT] = { "{7238523B-70FA-11D1-864C-14A300000000}", "Permit",
	    "Permit unsecured IP packets to pass through.", IPSEC_PERMIT, false, false, NULL, 0 },
	[ACTION_REQUEST] = { "{72385233-70FA-11D1-864C-14A300000000}", "Request Security (Optional)",
	    "Accepts unsecured communication, but requests clients to establish trust and security methods.  "
	    "Will communicate insecurely to untrusted clients if they do not respond to request.",
	    IPSEC_NEGOTIATE, true, true, OFFERS(request_offers) },
	[ACTION_REQUIRE] = { "{7238523F-70FA-11D1-864C-14A300000000}", "Require Security",
	    "Accepts unsecured communication, but always requires clients to establish trust and security methods.  "
	    "Will NOT communicate with untrusted clients.",
	    IPSEC_NEGOTIATE, true, false, OFFERS(require_offers) },
};

struct example_rule {
	const char	*id, *name, *description;
	int		 list, action;
	const char	*response;	/* ACTION_RESPONSE: each default response has one of its own */
};

#define PERMIT_ICMP(id) \
	{ (id), "Permit unsecure ICMP packets to pass through.", "Permit unsecure ICMP packets to pass through.", \
	    LIST_ICMP, ACTION_PERMIT, NULL }
#define RESPONSE(id, action_id)	{ (id), "", "", NO_LIST, ACTION_RESPONSE, (action_id) }
#define MAX_RULES	3

static const struct example {
	const char		*id, *name, *description;
	const char		*main_mode, *instance;
	struct example_rule	 rules[MAX_RULES];	/* by GUID */
	size_t			 n_rules;
} examples[] = {
	{ "{72385236-70FA-11D1-864C-14A300000000}", "Client (Respond Only)",
	    "Communicate normally (unsecured). Use the default response rule to negotiate with servers that request "
	    "security. Only the requested protocol and port traffic with that server is secured.",
	    "{72385237-70FA-11D1-864C-14A300000000}", "{5F41EC73-071D-11D3-AD22-0060B0ECCA17}", {
		RESPONSE("{59319C04-5EE3-11D2-ACE8-0060B0ECCA17}", "{59319C01-5EE3-11D2-ACE8-0060B0ECCA17}"),
	    }, 1 },
	{ "{72385230-70FA-11D1-864C-14A300000000}", "Server (Request Security)",
	    "For all IP traffic, always request security using Kerberos trust. Allow unsecured communication with "
	    "clients that do not respond to request.",
	    "{72385231-70FA-11D1-864C-14A300000000}", "{5119D268-071D-11D3-AD22-0060B0ECCA17}", {
		RESPONSE("{59319BE2-5EE3-11D2-ACE8-0060B0ECCA17}", "{59319BDF-5EE3-11D2-ACE8-0060B0ECCA17}"),
		PERMIT_ICMP("{594272E2-071D-11D3-AD22-0060B0ECCA17}"),
		{ "{72385232-70FA-11D1-864C-14A300000000}", "Request Security (Optional) Rule",
		    "For all IP traffic, always request security using Kerberos trust. Allow unsecured communication with "
		    "clients that do not respond to request.", LIST_ALL, ACTION_REQUEST, NULL },
	    }, 3 },
	{ "{7238523C-70FA-11D1-864C-14A300000000}", "Secure Server (Require Security)",
	    "For all IP traffic, always require security using Kerberos trust. Do NOT allow unsecured communication "
	    "with untrusted clients.",
	    "{7238523D-70FA-11D1-864C-14A300000000}", "{594272F9-071D-11D3-AD22-0060B0ECCA17}", {
		RESPONSE("{59319BF3-5EE3-11D2-ACE8-0060B0ECCA17}", "{59319BF0-5EE3-11D2-ACE8-0060B0ECCA17}"),
		PERMIT_ICMP("{594272FD-071D-11D3-AD22-0060B0ECCA17}"),
		{ "{7238523E-70FA-11D1-864C-14A300000000}", "Require Security",
		    "Accepts unsecured communication, but always requires clients to establish trust and security methods.  "
		    "Will NOT communicate with untrusted clients.", LIST_ALL, ACTION_REQUIRE, NULL },
	    }, 3 },
};

static struct guid id_of(const char *text)
{
	struct guid g = { 0 };

	guid_parse(&g, text, strlen(text));
	return g;
}

/* Room for one example; everything points to it or to the tables. */
struct frame {
	struct ipsec_policy		p;
	struct ipsec_mm_offer		mm_offers[4];
	struct ipsec_filter		filters[MAX_RULES];
	struct ipsec_filter_list	lists[MAX_RULES];
	struct ipsec_negpol		actions[MAX_RULES];
	struct ipsec_offer		offers[MAX_RULES][6];
	struct ipsec_rule		rules[MAX_RULES];
	struct ipsec_auth		kerberos;
};

static struct ipsec_filter_list *list_fill(struct frame *f, int list)
{
	struct ipsec_filter_list *l = &f->lists[f->p.n_filter_lists];
	struct ipsec_filter *filter = &f->filters[f->p.n_filter_lists++];

	*filter = (struct ipsec_filter){ .id = id_of(lists[list].filter), .description = lists[list].filter_description,
	    .src_dns = "", .dst_dns = "", .src = { .kind = IPSEC_ADDR_ME },
	    .dst = { .kind = IPSEC_ADDR_ANY }, .protocol = lists[list].protocol, .mirrored = true };
	*l = (struct ipsec_filter_list){ id_of(lists[list].id), lists[list].name, lists[list].description, filter, 1 };
	return l;
}

static void action_fill(struct frame *f, const struct example_rule *r)
{
	size_t at = f->p.n_negpols++;
	struct ipsec_negpol *n = &f->actions[at];
	const struct ipsec_offer *offers = response_offers;

	if (r->action == ACTION_RESPONSE) {
		*n = (struct ipsec_negpol){ .id = id_of(r->response), .name = "", .description = "",
		    .action = IPSEC_NEGOTIATE, .default_response = true,
		    .n_offers = sizeof(response_offers) / sizeof(response_offers[0]) };
	} else {
		*n = (struct ipsec_negpol){ .id = id_of(actions[r->action].id), .name = actions[r->action].name,
		    .description = actions[r->action].description, .action = actions[r->action].action,
		    .inpass = actions[r->action].inpass, .soft = actions[r->action].soft, .n_offers = actions[r->action].n_offers };
		offers = actions[r->action].offers;
	}
	if (n->n_offers)
		memcpy(f->offers[at], offers, n->n_offers * sizeof(*offers));
	n->offers = f->offers[at];
}

static int action_order(const void *x, const void *y)
{
	return guid_cmp(&((const struct ipsec_negpol *)x)->id, &((const struct ipsec_negpol *)y)->id);
}

static const struct ipsec_negpol *action_of(const struct frame *f, const struct example_rule *r)
{
	struct ipsec_negpol key = { .id = id_of(r->action == ACTION_RESPONSE ? r->response : actions[r->action].id) };

	return bsearch(&key, f->actions, f->p.n_negpols, sizeof(key), action_order);
}

static void main_mode_fill(struct frame *f, const struct example *x)
{
	static const struct ipsec_mm_offer offers[] = {
		{ .encryption = IPSEC_CIPHER_3DES, .hash = IPSEC_HASH_SHA1, .group = 2, .life_seconds = POLICY_MM_LIFE_DEFAULT },
		{ .encryption = IPSEC_CIPHER_3DES, .hash = IPSEC_HASH_MD5, .group = 2, .life_seconds = POLICY_MM_LIFE_DEFAULT },
		{ .encryption = IPSEC_CIPHER_DES, .hash = IPSEC_HASH_SHA1, .group = 1, .life_seconds = POLICY_MM_LIFE_DEFAULT },
		{ .encryption = IPSEC_CIPHER_DES, .hash = IPSEC_HASH_MD5, .group = 1, .life_seconds = POLICY_MM_LIFE_DEFAULT },
	};

	memcpy(f->mm_offers, offers, sizeof(offers));
	f->p.isakmp = (struct ipsec_isakmp){ .id = id_of(x->main_mode), .instance = id_of(x->instance),
	    .offers = f->mm_offers, .n_offers = 4 };
}

/* A policy wants all by GUID; rules and their lists stand so in the table. */
static void frame_fill(struct frame *f, const struct example *x)
{
	f->p = (struct ipsec_policy){ .id = id_of(x->id), .dn = "", .name = x->name, .description = x->description,
	    .when_changed = "", .polling_seconds = POLICY_POLLING_DEFAULT, .filter_lists = f->lists,
	    .negpols = f->actions, .rules = f->rules, .n_rules = x->n_rules };
	f->kerberos = (struct ipsec_auth){ .method = IPSEC_AUTH_KERBEROS, .text = "" };
	main_mode_fill(f, x);
	for (size_t i = 0; i < x->n_rules; i++)
		action_fill(f, &x->rules[i]);
	qsort(f->actions, f->p.n_negpols, sizeof(f->actions[0]), action_order);
	for (size_t i = 0; i < x->n_rules; i++) {
		const struct example_rule *r = &x->rules[i];

		f->rules[i] = (struct ipsec_rule){ .id = id_of(r->id), .name = r->name, .description = r->description,
		    .active = true, .default_response = r->list == NO_LIST, .interface_name = "", .tunnel_name = "",
		    .auth = &f->kerberos, .n_auth = 1, .filter_list = r->list == NO_LIST ? NULL : list_fill(f, r->list),
		    .negpol = action_of(f, r) };
	}
}

int container_put_examples(struct ipsec_container *c, struct err *err)
{
	struct frame f;

	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		frame_fill(&f, &examples[i]);
		if (container_put_policy(c, &f.p, err))
			return err_prefix(err, "example '%s'", examples[i].name);
	}
	return 0;
}
