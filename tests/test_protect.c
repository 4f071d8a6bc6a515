/* Policy -> the kernel's IPsec policies and the IKE daemon's connections.  Cases: tests/cases/protect-NAME,
 * a policy as of mkpolicy.h with further lines (see extra_read), and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gpo/container.h"
#include "nft/action.h"
#include "nft/protect.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "schema/facts.h"
#include "schema/policy.h"
#include "tests/mkpolicy.h"
#include "tests/packets_model.h"

#define MAX_EXTRA	4096

struct box {
	struct mk		*m;
	struct protect_options	 o;
	struct arena		*arena;
};

/* ---- policies with offers and methods ---- */

static enum ipsec_cipher cipher_of(const char *w)
{
	return !strcmp(w, "3des") ? IPSEC_CIPHER_3DES : !strcmp(w, "des") ? IPSEC_CIPHER_DES : IPSEC_CIPHER_NONE;
}

static enum ipsec_hash hash_of(const char *w)
{
	return !strcmp(w, "sha1") ? IPSEC_HASH_SHA1 : !strcmp(w, "md5") ? IPSEC_HASH_MD5 : IPSEC_HASH_NONE;
}

static struct ipsec_rule *last_rule(struct ipsec_policy *p)
{
	return p->n_rules ? &p->rules[p->n_rules - 1] : NULL;
}

static void auth_add(struct box *b, struct ipsec_rule *r, enum ipsec_auth_method method, const char *text, unsigned flags)
{
	r->auth = arena_grow(b->arena, r->auth, r->n_auth, sizeof(*r->auth));
	r->auth[r->n_auth++] = (struct ipsec_auth){ .method = method, .text = arena_strdup(b->arena, text), .map_account = flags & 1,
		.exclude_ca = flags & 2 };
}

static void offer_add(struct box *b, struct ipsec_rule *r, const struct ipsec_offer *o)
{
	struct ipsec_negpol *n = (struct ipsec_negpol *)r->negpol;

	n->offers = arena_grow(b->arena, n->offers, n->n_offers, sizeof(*n->offers));
	n->offers[n->n_offers++] = *o;
}

static void mm_add(struct box *b, struct ipsec_policy *p, const char *cipher, const char *hash, unsigned group, unsigned life)
{
	struct ipsec_isakmp *m = &p->isakmp;

	m->offers = arena_grow(b->arena, m->offers, m->n_offers, sizeof(*m->offers));
	m->offers[m->n_offers++] = (struct ipsec_mm_offer){ .encryption = cipher_of(cipher), .hash = hash_of(hash), .group = group,
		.life_seconds = life };
}

/*   mm CIPHER HASH GROUP [SECONDS]    default 3des sha1 2; of the policy
 *   mm-life SECONDS | mm-extra 1..4 | mm-map | mm-noca | mm-none
 *   psk KEY | cert [map] [noca] NAME | kerberos | no-auth     of the rule; default psk
 *   esp CIPHER HASH [SECONDS KBYTES] | ah HASH [...] | ah-esp HASH CIPHER HASH | no-offer    default esp 3des sha1
 *   pfs | end ADDRESS
 *   option WORD... */
static bool extra_read(struct box *b, struct ipsec_policy *p, const char *line)
{
	char w[6][64] = { { 0 } };
	int n = sscanf(line, "%63s %63s %63s %63s %63s %63s", w[0], w[1], w[2], w[3], w[4], w[5]);
	struct ipsec_rule *r = last_rule(p);
	struct ipsec_offer o = { 0 };

	if (!strcmp(w[0], "mm"))
		mm_add(b, p, w[1], w[2], (unsigned)atoi(w[3]), n > 4 ? (unsigned)atoi(w[4]) : 0);
	else if (!strcmp(w[0], "mm-life"))
		p->isakmp.life_seconds = (unsigned)atoi(w[1]);
	else if (!strcmp(w[0], "mm-extra"))
		p->isakmp.new_dh[0] = (uint8_t)atoi(w[1]);
	else if (!strcmp(w[0], "mm-map"))
		p->isakmp.map_account = true;
	else if (!strcmp(w[0], "mm-noca"))
		p->isakmp.exclude_ca = true;
	else if (!strcmp(w[0], "psk"))
		auth_add(b, r, IPSEC_AUTH_PSK, n > 1 ? line + 4 : "", 0);
	else if (!strcmp(w[0], "cert")) {
		unsigned flags = (strstr(line, " map ") ? 1u : 0) | (strstr(line, " noca ") ? 2u : 0);
		const char *name = line + 5;

		name += flags & 1 ? 4 : 0;
		name += flags & 2 ? 5 : 0;
		auth_add(b, r, IPSEC_AUTH_CERT, name, flags);
	} else if (!strcmp(w[0], "kerberos"))
		auth_add(b, r, IPSEC_AUTH_KERBEROS, "", 0);
	else if (!strcmp(w[0], "esp") || !strcmp(w[0], "ah") || !strcmp(w[0], "ah-esp")) {
		char (*at)[64] = &w[1];

		o.has_ah = w[0][0] == 'a';
		o.has_esp = strcmp(w[0], "ah") != 0;
		if (o.has_ah)
			o.ah_integrity = hash_of(*at++);
		if (o.has_esp) {
			o.esp_encryption = cipher_of(*at++);
			o.esp_integrity = hash_of(*at++);
		}
		o.life_seconds = (unsigned)atoi(at[0]);
		o.life_kbytes = at < &w[5] ? (unsigned)atoi(at[1]) : 0;
		offer_add(b, r, &o);
	} else if (!strcmp(w[0], "pfs"))
		((struct ipsec_negpol *)r->negpol)->pfs = true;
	else if (!strcmp(w[0], "end"))
		assert_true(ipsec_addr_read(&r->tunnel_end, w[1]));
	else if (!strcmp(w[0], "no-auth"))
		r->n_auth = SIZE_MAX;
	else if (!strcmp(w[0], "no-offer"))
		((struct ipsec_negpol *)r->negpol)->n_offers = SIZE_MAX;
	else if (!strcmp(w[0], "mm-none"))
		p->isakmp.n_offers = SIZE_MAX;
	else
		return false;
	return true;
}

static bool option_read(struct box *b, const char *line)
{
	char w[3][64] = { { 0 } };

	if (sscanf(line, "%63s %63s %63s", w[0], w[1], w[2]) < 2 || strcmp(w[0], "option"))
		return false;
	if (!strcmp(w[1], "weak"))
		b->o.weak_offers = true;
	else if (!strcmp(w[1], "v1"))
		b->o.version = IKE_V1;
	else if (!strcmp(w[1], "v2"))
		b->o.version = IKE_V2;
	else if (!strcmp(w[1], "certificate"))
		b->o.have_certificate = true;
	else if (!strcmp(w[1], "ignore-mapping"))
		b->o.ignore_mapping = true;
	else if (!strcmp(w[1], "crl"))
		b->o.strong_crl = (unsigned)atoi(w[2]);
	else if (!strcmp(w[1], "kerberos-certificate"))
		b->o.kerberos = KERBEROS_CERTIFICATE;
	else if (!strcmp(w[1], "kerberos-psk")) {
		b->o.kerberos = KERBEROS_PSK;
		b->o.kerberos_key = arena_strdup(b->arena, w[2]);
		b->o.kerberos_key_len = strlen(w[2]);
	} else
		fail_msg("option '%s'", w[1]);
	return true;
}

static void policy_finish(struct box *b, struct ipsec_policy *p)
{
	static const struct ipsec_offer offer = { .has_esp = true, .esp_encryption = IPSEC_CIPHER_3DES, .esp_integrity = IPSEC_HASH_SHA1 };

	if (!p->isakmp.n_offers && !p->isakmp.new_dh[0])
		mm_add(b, p, "3des", "sha1", 2, 0);
	if (p->isakmp.n_offers == SIZE_MAX)
		p->isakmp.n_offers = 0;
	for (size_t i = 0; i < p->n_rules; i++) {
		struct ipsec_rule *r = &p->rules[i];
		struct ipsec_negpol *n = (struct ipsec_negpol *)r->negpol;

		if (!r->n_auth)
			auth_add(b, r, IPSEC_AUTH_PSK, "open sesame", 0);
		if (r->n_auth == SIZE_MAX)
			r->n_auth = 0;
		if (n->action == IPSEC_NEGOTIATE && !n->n_offers)
			offer_add(b, r, &offer);
		if (n->n_offers == SIZE_MAX)
			n->n_offers = 0;
	}
}

/* What is not of mkpolicy.h is kept for when the policies are there: line, policy, rule. */
struct extra {
	char	*line;
	size_t	 source, n_rules;
};

static size_t extra_split(char *plain, struct extra *all, char *text)
{
	static const char *const words[] = { "mm", "mm-life", "mm-extra", "mm-map", "mm-noca", "mm-none", "psk", "cert", "kerberos",
		"esp", "ah", "ah-esp", "pfs", "end", "no-auth", "no-offer", "option" };
	size_t source = 0, n_rules = 0, n = 0;
	char *save = NULL;

	*plain = '\0';
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		bool ours = false;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			ours |= !strncmp(l, words[i], strlen(words[i])) && (l[strlen(words[i])] == ' ' || !l[strlen(words[i])]);
		if (ours) {
			assert_true(n < MAX_EXTRA);
			all[n++] = (struct extra){ l, source, n_rules };
			continue;
		}
		if (!strncmp(l, "store ", 6) && (source || n_rules)) {
			source++;
			n_rules = 0;
		} else if (!strncmp(l, "rule ", 5))
			n_rules++;
		plain += sprintf(plain, "%s\n", l);
	}
	return n;
}

static struct box *box_new(const char *text)
{
	struct box *b = calloc(1, sizeof(*b));
	struct extra *extra = calloc(MAX_EXTRA, sizeof(*extra));
	char *copy = strdup(text), *plain = malloc(strlen(text) + 2);
	size_t n = extra_split(plain, extra, copy);

	b->arena = arena_new(0);
	b->m = mk_policy(plain);
	for (size_t i = 0; i < n; i++) {
		struct ipsec_policy *p = b->m->policies[extra[i].source];
		const size_t all = p->n_rules;

		if (option_read(b, extra[i].line))
			continue;
		p->n_rules = extra[i].n_rules;
		if (!extra_read(b, p, extra[i].line))
			fail_msg("line '%s'", extra[i].line);
		p->n_rules = all;
	}
	for (size_t i = 0; i < b->m->n_sources; i++)
		policy_finish(b, b->m->policies[i]);
	b->o.render = b->m->o;
	free(extra);
	free(copy);
	free(plain);
	return b;
}

static void box_free(struct box *b)
{
	mk_free(b->m);
	arena_free(b->arena);
	free(b);
}

static struct protect *box_protect(const struct box *b)
{
	struct protect *p = NULL;
	struct err err;

	if (protect_render(&p, b->m->sources, b->m->n_sources, b->m->facts, &b->o, &err) < 0)
		fail_msg("%s", err.msg);
	return p;
}

static struct protect *protected(const char *text)
{
	struct box *b = box_new(text);
	struct protect *p = box_protect(b);

	box_free(b);
	return p;
}

/* ---- texts ---- */

static void problems_write(const struct protect *p, FILE *out)
{
	static const char *const names[] = { "no-auth", "no-offer", "no-ah-esp", "conntype", "tunnel", "forward", "partly", "range" };
	char id[9];

	for (size_t i = 0; i < p->n_problems; i++) {
		const struct protect_problem *q = &p->problems[i];

		guid_short(&q->origin.filter, id);
		fprintf(out, "# %s%s: rule '%s'%s%s: %s\n", names[q->why], q->closed ? ", closed" : "", q->rule_name,
		    guid_is_zero(&q->origin.filter) ? "" : " filter ", guid_is_zero(&q->origin.filter) ? "" : id, q->text);
	}
	fprintf(out, "# filters %zu, soft %zu%s\n", p->n_filters, p->n_soft, p->ike->needs_certificate ? ", certificate" : "");
}

static char *written(const struct protect *p)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	problems_write(p, out);
	assert_int_equal(spd_write(p->spd, out), 0);
	assert_int_equal(ike_write(p->ike, out), 0);
	fclose(out);
	return text;
}

static char *text_of(const char *policy)
{
	struct protect *p = protected(policy);
	char *text = written(p);

	protect_free(p);
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("not found: %s\nin:\n%s", part, text);
}

static void hasnot(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("found: %s\nin:\n%s", part, text);
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
		n++;
	return n;
}

/* ---- cases ---- */

static const char *const cases[] = { "require", "request", "pass", "tunnel", "tunnel-me", "ah", "ah-esp", "permit", "block", "closed",
	"lifeline", "exempt", "ipv6", "certificate", "kerberos-none", "kerberos-psk", "kerberos-certificate", "weak", "weak-allowed",
	"pfs", "methods", "response", "ranges", "ports-v1", "conntype", "forward", "nested", "own", "hooks", "stores", "lifetimes" };

/* GOLDEN_UPDATE=1 in the environment writes them anew. */
static void golden(const char *name, const char *got)
{
	const char *srcdir = getenv("srcdir");
	char *path, *want;

	assert_true(asprintf(&path, "%s/tests/cases/protect-%s/protect", srcdir ? srcdir : ".", name) > 0);
	if (getenv("GOLDEN_UPDATE")) {
		FILE *out = fopen(path, "w");

		assert_non_null(out);
		fputs(got, out);
		fclose(out);
	}
	want = mk_file(path);
	if (strcmp(got, want))
		fail_msg("protect-%s differs, it is now:\n%s", name, got);
	free(want);
	free(path);
}

static void test_golden(void **state)
{
	const char *srcdir = getenv("srcdir");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *path, *policy, *text;

		assert_true(asprintf(&path, "%s/tests/cases/protect-%s/policy", srcdir ? srcdir : ".", cases[i]) > 0);
		policy = mk_file(path);
		text = text_of(policy);
		/* No key is in any text; those of the cases have this in them. */
		hasnot(text, "sesame");
		golden(cases[i], text);
		free(text);
		free(policy);
		free(path);
	}
}

static void example_golden(const char *policy_name, const char *name, const struct protect_options *o)
{
	static const char own[] = "address 10.0.0.1\naddress 2001:db8::1\n";
	struct ipsec_container *c;
	struct ipsec_object *object;
	struct ipsec_policy *policy;
	struct host_facts *facts = NULL;
	struct protect *p;
	struct err err;
	char *text;

	assert_int_equal(facts_read(&facts, own, strlen(own), &err), 0);
	assert_int_equal(container_read(&c, "CN=IP Security,CN=System,DC=corp,DC=example", NULL, 0, &err), 0);
	assert_int_equal(container_put_examples(c, &err), 0);
	assert_int_equal(container_find(&object, c, OBJ_POLICY, policy_name, &err), 0);
	assert_int_equal(container_policy(&policy, c, object, &err), 0);
	{
		const struct render_source s = { .policy = policy, .store = RENDER_DOMAIN, .gpo_name = "" };

		if (protect_render(&p, &s, 1, facts, o, &err) < 0)
			fail_msg("%s", err.msg);
	}
	text = written(p);
	golden(name, text);
	free(text);
	protect_free(p);
	policy_free(policy);
	container_free(c);
	facts_free(facts);
}

static void test_examples(void **state)
{
	struct protect_options o = { .render.ipsecexempt = 3, .kerberos = KERBEROS_PSK, .kerberos_key = "sesame", .kerberos_key_len = 6 };

	(void)state;
	example_golden("Client (Respond Only)", "example-client", &o);
	example_golden("Server (Request Security)", "example-request", &o);
	example_golden("Secure Server (Require Security)", "example-require", &o);
	o.kerberos = KERBEROS_NONE;
	example_golden("Server (Request Security)", "example-unmapped", &o);
	o.kerberos = KERBEROS_CERTIFICATE;
	o.have_certificate = true;
	o.weak_offers = true;
	example_golden("Secure Server (Require Security)", "example-certificate", &o);
}

/* ---- what is nothing ---- */

static void test_nothing(void **state)
{
	struct box *b = box_new("rule require R\nfilter me any any * * mirrored");
	struct protect *p = protected("fact address 10.0.0.1\nrule block B\nfilter me any any * * mirrored\nrule permit P\n"
	    "filter me 10.0.0.0/8 any * * mirrored");
	struct err err;

	(void)state;
	assert_true(p->spd->sealed && p->ike->sealed);
	assert_int_equal(p->spd->n_policies + p->ike->n_conns + p->n_problems, 0);
	protect_free(p);
	p = box_protect(b);
	assert_int_equal(p->spd->n_policies + p->ike->n_conns + p->ike->n_secrets + p->n_filters, 0);
	protect_free(p);
	assert_int_equal(protect_render(&p, b->m->sources, b->m->n_sources, NULL, &b->o, &err), 0);
	assert_int_equal(p->spd->n_policies, 0);
	protect_free(p);
	assert_int_equal(protect_render(&p, NULL, 0, b->m->facts, &b->o, &err), 0);
	assert_true(p->spd->sealed && p->ike->sealed);
	protect_free(p);
	protect_free(NULL);
	box_free(b);
}

/* ---- what changes, what stays ---- */

static uint32_t reqid_for(const struct protect *p, const char *rule)
{
	for (size_t i = 0; i < p->spd->n_policies; i++)
		if (p->spd->policies[i].n_templates && strstr(p->spd->policies[i].comment, rule))
			return p->spd->policies[i].templates[0].reqid;
	fail_msg("no policy of %s", rule);
	return 0;
}

static void test_stable(void **state)
{
	struct protect *a = protected("option v1\nfact address 10.0.0.1\nrule require Web\nfilter me 10.1.0.0/16 tcp * 80 mirrored");
	struct protect *b = protected("option v1\nfact address 10.0.0.1\nrule require Web\nfilter me 10.1.0.0/16 tcp * 80 mirrored\n"
	    "rule require Mail\nfilter #9 me 10.1.0.0/16 tcp * 25 mirrored\nfilter #8 me 10.1.2.3/32 any * * mirrored");
	struct protect *c = protected("option v1\nfact address 10.0.0.7\nfact address 10.9.0.7\nrule require Web\n"
	    "filter me 10.1.0.0/16 tcp * 80 mirrored");
	char *text = written(c);

	(void)state;
	assert_int_equal(reqid_for(a, "Web"), reqid_for(b, "Web"));
	assert_int_equal(reqid_for(a, "Web"), reqid_for(c, "Web"));
	assert_int_not_equal(reqid_for(b, "Web"), reqid_for(b, "Mail"));
	assert_true(reqid_for(a, "Web") > SPD_REQID_MIN && reqid_for(a, "Web") <= SPD_REQID_MAX);
	/* Another address: other policies, the same connections. */
	assert_int_equal(ike_diff(a->ike, c->ike, NULL), 0);
	assert_int_not_equal(spd_diff(a->spd, c->spd, NULL), 0);
	has(text, "out 10.9.0.7/32 10.1.0.0/16 tcp 0 80 ");
	free(text);
	protect_free(a);
	protect_free(b);
	protect_free(c);
}

static void test_same_in_same_out(void **state)
{
	static const char policy[] = "fact address 10.0.0.1\nfact address 10.0.0.2\nrule require Web\nfilter me 10.1.0.0/16 tcp * 80 mirrored\n"
	    "filter me 10.1.0.0/16 tcp * 90-99 mirrored\nrule request All\nfilter me any any * * mirrored";
	char *a = text_of(policy), *b = text_of(policy);

	(void)state;
	assert_string_equal(a, b);
	free(a);
	free(b);
}

/* What the key is changes nothing but the key. */
static void test_secrets(void **state)
{
	struct protect *a = protected("option v1\nfact address 10.0.0.1\nrule require R\npsk k\xc3\xa4se\nfilter me 10.1.0.0/16 any * * mirrored\n"
	    "filter me 10.2.0.1/32 any * * mirrored\nrule require S\npsk k\xc3\xa4se\nfilter me 10.3.0.0/16 any * * mirrored\n"
	    "rule require T\npsk other\nfilter me any tcp * 99 mirrored");
	struct protect *b = protected("option v1\nfact address 10.0.0.1\nrule require R\npsk brot\nfilter me 10.1.0.0/16 any * * mirrored\n"
	    "filter me 10.2.0.1/32 any * * mirrored\nrule require S\npsk brot\nfilter me 10.3.0.0/16 any * * mirrored\n"
	    "rule require T\npsk other\nfilter me any tcp * 99 mirrored");
	char *x = written(a), *y = written(b);

	(void)state;
	assert_string_equal(x, y);
	hasnot(x, "k\xc3\xa4se");
	/* Named by the rule, so that other rules with the same key change nothing. */
	assert_int_equal(a->ike->n_secrets, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct ike_secret *s = &a->ike->secrets[i];

		if (s->owners.n == 2) {
			assert_int_equal(s->key_len, 5);
			assert_memory_equal(s->key, "k\xc3\xa4se", 5);
			assert_string_equal(s->owners.texts[0], "10.1.0.0/16");
			assert_string_equal(s->owners.texts[1], "10.2.0.1");
		} else if (!strcmp(s->owners.texts[0], "%any"))
			assert_memory_equal(s->key, "other", 5);
		else
			assert_string_equal(s->owners.texts[0], "10.3.0.0/16");
	}
	free(x);
	free(y);
	protect_free(a);
	protect_free(b);
}

/* ---- sizes ---- */

static char *many(const char *head, const char *format, unsigned n)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs(head, out);
	for (unsigned i = 0; i < n; i++)
		fprintf(out, format, 20 + (i >> 16), i >> 8 & 255, i & 255);
	fclose(out);
	return text;
}

static void test_thousand(void **state)
{
	char *policy = many("fact address 10.0.0.1\nrule require Any\nfilter me any tcp * 99 mirrored\nrule require R\n",
	    "filter me %u.%u.%u.1/32 any * * mirrored\n", 1000);
	struct protect *p = protected(policy);
	size_t traps = 0, children = 0;

	(void)state;
	assert_int_equal(p->n_filters, 2 * 1000 + 2);
	assert_int_equal(p->ike->n_conns, 1001);
	for (size_t i = 0; i < p->ike->n_conns; i++) {
		children += p->ike->conns[i].n_children;
		for (size_t k = 0; k < p->ike->conns[i].n_children; k++)
			traps += p->ike->conns[i].children[k].trap;
	}
	/* The wide one answers in each narrow connection; each asks in its own alone. */
	assert_int_equal(children, 2001);
	assert_int_equal(traps, 1001);
	protect_free(p);
	free(policy);
}

/* Blocks without number in front of a negotiate filter are no reason to fail. */
static void test_many_blocks(void **state)
{
	char *policy = many("fact address 10.0.0.1\nrule require Any\nfilter me any any * * mirrored\nrule block B\n",
	    "filter me %u.%u.%u.0/24 any * * mirrored\n", 100000);
	struct protect *p = protected(policy);

	(void)state;
	assert_true(p->spd->n_policies < 100);
	assert_int_equal(p->n_filters, 2);
	protect_free(p);
	free(policy);
	policy = many("fact address 10.0.0.1\nrule require Any\nfilter me any any * * mirrored\nrule block B\n",
	    "filter me %u.%u.%u.0/24 any * * mirrored\n", 1000);
	p = protected(policy);
	assert_true(p->spd->n_policies > 1000);
	protect_free(p);
	free(policy);
	policy = many("fact address 10.0.0.1\nrule require Any\nfilter me any any * * mirrored\nrule block B\n",
	    "filter me %u.%u.%u.1/32 tcp 1-65534 1-65534\n", 400);
	p = protected(policy);
	assert_true(p->spd->n_policies < 100);
	protect_free(p);
	free(policy);
}

static void refused(const char *policy, const char *msg)
{
	struct box *b = box_new(policy);
	struct protect *p = (void *)-1;
	struct err err;

	assert_int_equal(protect_render(&p, b->m->sources, b->m->n_sources, b->m->facts, &b->o, &err), -1);
	if (!strstr(err.msg, msg))
		fail_msg("%s", err.msg);
	assert_ptr_equal(p, (void *)-1);
	box_free(b);
}

static void test_refused(void **state)
{
	char *policy = many("fact address 10.0.0.1\nrule require R\n", "filter me %u.%u.%u.1/32 any * * mirrored\n", 20001);

	(void)state;
	refused(policy, "rule {10000000-0003-0000-0000-000000000000} 'R': with it there are more than 20000 quick modes");
	free(policy);
	policy = many("fact address 10.0.0.1\nrule require R\nfilter me any any * * mirrored\nrule permit P\n",
	    "filter me %u.%u.%u.1/32 any * * mirrored\n", 40000);
	refused(policy, "80010 IPsec policies, 65536 at most");
	free(policy);
	policy = many("fact address 10.0.0.1\nrule require R\nfilter me any any * * mirrored\nrule permit P\n",
	    "filter me %u.%u.%u.1/32 tcp 1-65534 1-65534\n", 400);
	refused(policy, "rule {20000000-0003-0000-0000-000000000000} 'P': with it there are more than 262144 IPsec policies");
	free(policy);
	/* As policy_render says it. */
	refused("fact address 10.0.0.1\nrule require R\nfilter me any 47 * 80",
	    "filter {00000001-0006-0000-0000-000000000000}: destination port without TCP or UDP");
}

/* Many rules of many kinds overlap everything: bounded, in time as well. */
static void test_deep(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct protect *p;

	(void)state;
	fputs("fact address 10.0.0.1\nrule require R\n", out);
	for (unsigned i = 1; i <= 32; i++)
		for (unsigned k = 1; k <= 20; k++)
			fprintf(out, "filter me %u.0.0.0/%u tcp * %u mirrored\n", i < 8 ? 128u >> (i - 1) << (i > 1) & 255 : 20, i, k);
	fclose(out);
	p = protected(text);
	assert_true(p->ike->n_conns > 20);
	protect_free(p);
	free(text);
}

/* ---- by chance ---- */

static uint64_t chance = 20260101;

static uint32_t dice(uint32_t n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (uint32_t)(chance >> 16) % n;
}

static const char *any_side(char out[static 64], bool v4)
{
	static const char *const four[] = { "10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32", "10.1.1.0-10.1.1.9", "10.0.0.1/32",
		"10.0.0.0/30", "10.0.0.1-10.1.1.5", "dns4", "me4" };
	static const char *const six[] = { "fd00::/8", "fd00:1::/32", "fd00:1::/64", "fd00:1::1/128", "fd00:1::5-fd00:1::9", "fd00::1/128",
		"fd00::/126", "me6" };
	const uint32_t n = dice(14);

	if (n < 2)
		return "any";
	if (n < 4)
		return "me";
	snprintf(out, 64, "%s", v4 ? four[dice(10)] : six[dice(8)]);
	return out;
}

static const char *any_ports(char out[static 32])
{
	static const char *const ports[] = { "*", "*", "80", "88", "53", "80-90", "85-1000", "1-1023" };

	snprintf(out, 32, "%s", ports[dice(8)]);
	return out;
}

static struct box *any_box(void)
{
	static const char *const kinds[] = { "permit", "block", "require", "pass", "request", "request-pass" };
	static const char *const protocols[] = { "any", "any", "tcp", "tcp", "udp", "1", "58", "46" };
	static const char *const methods[] = { "psk sesame", "psk other", "kerberos", "cert CN=Root" };
	char *text = NULL, a[64], b[64], s[32], d[32];
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct box *box;

	fprintf(out, "fact address 10.0.0.1\nfact address 10.0.0.9\nfact address fd00::1\nfact dns 10.1.1.1\nfact dc fd00:1::1\n"
	    "ipsecexempt %u\n%soption v2\noption kerberos-psk sesame\n", dice(4), dice(2) ? "lifeline\n" : "");
	for (uint32_t n = 1 + dice(7); n; n--) {
		fprintf(out, "rule %s R%u\n%s\n", kinds[dice(6)], n, methods[dice(3 + dice(2))]);
		for (uint32_t k = 1 + dice(6); k; k--) {
			const char *protocol = protocols[dice(8)];
			const bool ports = *protocol == 't' || *protocol == 'u', v4 = dice(3) != 0;

			fprintf(out, "filter %s %s %s %s %s%s\n", any_side(a, v4), any_side(b, v4), protocol, ports ? any_ports(s) : "*",
			    ports ? any_ports(d) : "*", dice(3) ? " mirrored" : "");
		}
	}
	fclose(out);
	box = box_new(text);
	free(text);
	return box;
}

static struct packet any_packet(void)
{
	static const char *const four[] = { "10.0.0.2", "10.0.0.3", "10.1.1.1", "10.1.1.5", "10.1.2.3", "10.9.9.9", "192.0.2.1" };
	static const char *const six[] = { "fd00::2", "fd00:1::1", "fd00:1::7", "fd00:1:0:1::1", "fd01::1", "2001:db8::5" };
	static const uint8_t protocols[] = { 6, 6, 17, 17, 1, 58, 46, 47 };
	static const uint16_t ports[] = { 80, 85, 88, 53, 90, 500, 999, 1024, 67, 68, 40000 };
	struct packet p = { .v4 = dice(3) != 0, .way = dice(2) ? WAY_IN : WAY_OUT, .answer = true };
	struct ip_addr own, other;

	assert_true(ip_addr_read(&own, p.v4 ? dice(2) ? "10.0.0.1" : "10.0.0.9" : "fd00::1"));
	assert_true(ip_addr_read(&other, p.v4 ? four[dice(7)] : six[dice(6)]));
	memcpy(p.src, p.way == WAY_IN ? other.b : own.b, 16);
	memcpy(p.dst, p.way == WAY_IN ? own.b : other.b, 16);
	p.src_local = p.way == WAY_OUT;
	p.dst_local = p.way == WAY_IN;
	p.proto = protocols[dice(8)];
	if (p.proto == 6 || p.proto == 17) {
		p.sport = ports[dice(11)];
		p.dport = ports[dice(11)];
	}
	if (p.proto == 58)
		p.icmp_type = (uint8_t)(128 + dice(12));
	return p;
}

static bool in_net(const uint8_t *a, const uint8_t *net, unsigned prefix)
{
	for (unsigned bit = 0; bit < prefix; bit++)
		if ((a[bit / 8] ^ net[bit / 8]) & 0x80u >> bit % 8)
			return false;
	return true;
}

/* As the kernel finds one. */
static const struct spd_policy *policy_for(const struct spd *s, const struct packet *p)
{
	const struct spd_policy *best = NULL;
	const uint16_t sport = p->proto == 58 ? p->icmp_type : p->sport, dport = p->proto == 58 ? 0 : p->dport;

	for (size_t i = 0; i < s->n_policies; i++) {
		const struct spd_policy *q = &s->policies[i];

		if (q->dir != (p->way == WAY_IN ? SPD_IN : SPD_OUT) || (q->sel.family == AF_INET) != p->v4 ||
		    !in_net(p->src, q->sel.src, q->sel.src_prefix) || !in_net(p->dst, q->sel.dst, q->sel.dst_prefix) ||
		    (q->sel.protocol && q->sel.protocol != p->proto) || (sport ^ q->sel.sport) & q->sel.sport_mask ||
		    (dport ^ q->sel.dport) & q->sel.dport_mask)
			continue;
		if (best && best->priority == q->priority && (best->n_templates != q->n_templates ||
		    memcmp(best->templates, q->templates, sizeof(q->templates[0]) * q->n_templates)))
			fail_msg("two of one priority");
		if (!best || q->priority < best->priority)
			best = q;
	}
	return best;
}

/* Long lists of blocks have no policies: nftables alone drops what they say. */
static bool has_policy(const struct spd *s, bool v4, const struct rs_origin *who)
{
	for (size_t i = 0; i < s->n_policies; i++)
		if (s->policies[i].dir == SPD_OUT && (s->policies[i].sel.family == AF_INET) == v4 && s->policies[i].origin &&
		    !guid_cmp(&s->policies[i].origin->filter, &who->filter))
			return true;
	return false;
}

static void packet_check(const struct box *b, const struct protect *p, const struct packet *packet)
{
	const struct spd_policy *q = policy_for(p->spd, packet);
	const unsigned n = q ? q->n_templates : 0;
	const struct ipsec_rule *rule = NULL;
	struct rs_origin who;
	const char *why;
	bool required, usable;

	model_fate(b->m, packet, &why, &who);
	if (!strcmp(why, "exempt") || !strcmp(why, "lifeline") || !strcmp(why, "none") || !strcmp(why, "permit")) {
		if (n)
			fail_msg("%s, but protected", why);
		return;
	}
	if (!strcmp(why, "block")) {
		if (n && packet->way == WAY_OUT && has_policy(p->spd, packet->v4, &who))
			fail_msg("blocked, but protected");
		return;
	}
	for (size_t i = 0; i < b->m->policies[0]->n_rules; i++)
		if (!guid_cmp(&b->m->policies[0]->rules[i].id, &who.rule))
			rule = &b->m->policies[0]->rules[i];
	assert_non_null(rule);
	usable = rule->auth[0].method != IPSEC_AUTH_CERT;
	required = !strcmp(why, "require") || (!strcmp(why, "pass-through") && packet->way == WAY_OUT);
	if (!usable) {
		/* Nothing that another rule negotiated will do: no SA has this reqid. */
		if (n && q->templates[0].reqid != SPD_REQID_MIN)
			fail_msg("not negotiable, but protected by another rule");
		return;
	}
	if (n != 1)
		fail_msg("%s, but %u templates", why, n);
	assert_int_equal(q->templates[0].required, required);
	if (guid_cmp(&q->origin->rule, &who.rule) || guid_cmp(&q->origin->filter, &who.filter))
		fail_msg("another filter");
	for (size_t i = 0; i < p->ike->n_conns; i++)
		for (size_t k = 0; k < p->ike->conns[i].n_children; k++)
			if (p->ike->conns[i].children[k].reqid == q->templates[0].reqid && p->ike->conns[i].children[k].trap)
				return;
	fail_msg("nobody to negotiate reqid 0x%x", q->templates[0].reqid);
}

static void test_chance(void **state)
{
	(void)state;
	for (int i = 0; i < 400; i++) {
		struct box *b = any_box();
		struct protect *p = box_protect(b);

		for (int k = 0; k < 400; k++) {
			const struct packet packet = any_packet();

			packet_check(b, p, &packet);
		}
		protect_free(p);
		box_free(b);
	}
}

/* Whatever a connection's peers may ask for: each child whose network covers the connection's is in it. */
static void test_nested(void **state)
{
	char *text = text_of("fact address 10.0.0.1\nrule require Host\nfilter me 10.1.1.1/32 tcp * 80 mirrored\nrule require Net\n"
	    "filter me 10.1.0.0/16 tcp * 25 mirrored\nrule require Range\nfilter me 10.1.1.0-10.1.1.9 udp * 53 mirrored\n"
	    "rule require Other\npsk open sesame too\nfilter me any any * * mirrored");

	(void)state;
	assert_int_equal(count(text, "remote_ts = dynamic[tcp/80]"), 1);
	assert_int_equal(count(text, "remote_ts = dynamic[tcp/25]"), 3);
	assert_int_equal(count(text, "remote_ts = dynamic[udp/53]"), 2);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden), cmocka_unit_test(test_examples), cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_stable), cmocka_unit_test(test_same_in_same_out), cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_thousand), cmocka_unit_test(test_many_blocks), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_deep), cmocka_unit_test(test_chance), cmocka_unit_test(test_nested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
