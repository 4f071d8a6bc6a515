#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nft/ike.h"
#include "schema/err.h"
#include "tests/ike_world.h"

static char *text_of(const struct ike_config *c)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(ike_write(c, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *diff_of(const struct ike_config *want, const struct ike_config *have, size_t n)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(ike_diff(want, have, out), n);
	assert_int_equal(ike_diff(want, have, NULL), n);
	assert_int_equal(fclose(out), 0);
	return text;
}

static struct ike_config *sealed(size_t n)
{
	struct ike_config *c = ike_world(n);
	struct err err;

	assert_non_null(c);
	if (ike_seal(c, &err) < 0)
		fail_msg("%s", err.msg);
	return c;
}

static void test_names(void **state)
{
	struct ike_config *a = sealed(40), *b = ike_world(40);
	struct err err;
	char *x, *y;

	(void)state;
	/* Another order, and other words for people: the same names. */
	for (size_t i = 0; i < 20; i++) {
		struct ike_conn swap = b->conns[i];

		b->conns[i] = b->conns[39 - i];
		b->conns[39 - i] = swap;
	}
	b->conns[7].rule_name = "renamed";
	assert_int_equal(ike_seal(b, &err), 0);
	free(diff_of(a, b, 0));
	for (size_t i = 0; i < 40; i++) {
		assert_string_equal(a->conns[i].name, b->conns[i].name);
		assert_int_equal(strlen(a->conns[i].name), strlen(IKE_PREFIX) + 16);
		assert_ptr_equal(ike_find(a, b->conns[i].name), &a->conns[i]);
		for (size_t k = 0; k + 1 < a->conns[i].n_children; k++)
			assert_true(strcmp(a->conns[i].children[k].name, a->conns[i].children[k + 1].name) < 0);
		assert_ptr_equal(ike_child_find(&a->conns[i], "q-c"), &a->conns[i].children[2]);
		assert_null(ike_child_find(&a->conns[i], "q-x"));
	}
	assert_null(ike_find(a, "ipsecpol-0"));
	x = text_of(a);
	ike_free(b);
	b = sealed(40);
	y = text_of(b);
	assert_string_equal(x, y);
	free(x);
	free(y);
	ike_free(a);
	ike_free(b);
}

/* Whatever charon is told is in the name. */
static void test_content(void **state)
{
	struct ike_config *c = sealed(1), *d;
	struct err err;

	(void)state;
	for (int i = 0; i < 22; i++) {
		d = ike_world(1);
		struct ike_conn *k = &d->conns[0];
		struct ike_child *q = &k->children[0];

		switch (i) {
		case 0: k->version = IKE_V2; break;
		case 1: k->local_addrs.texts[0] = "10.0.0.1"; break;
		case 2: k->remote_addrs.n--; break;
		case 3: k->proposals.texts[0] = "aes256-sha1-modp2048"; break;
		case 4: k->life_seconds++; break;
		case 5: k->auth = IKE_CERTIFICATE; break;
		case 6: k->secret = d->secrets[0].id = IKE_PREFIX "1"; break;
		case 7: q->name = "q-z"; break;
		case 8: q->reqid++; break;
		case 9: q->tunnel = true; break;
		case 10: q->ah = true; break;
		case 11: q->trap = !q->trap; break;
		case 12: q->policies = true; break;
		case 13: q->local_ts.texts[0] = "dynamic"; break;
		case 14: q->remote_ts.texts[0] = "dynamic"; break;
		case 15: q->proposals.n--; break;
		case 16: q->life_seconds++; break;
		case 17: q->life_bytes += 100; break;
		case 18: k->n_children--; break;
		case 19: k->auth = IKE_CERTIFICATE; k->ca_id = "CN=x"; break;
		case 20: k->auth = IKE_CERTIFICATE; k->revocation = IKE_STRICT; break;
		case 21: k->certreq = true; break;
		}
		if (ike_seal(d, &err) < 0)
			fail_msg("%d: %s", i, err.msg);
		assert_string_not_equal(c->conns[0].name, d->conns[0].name);
		ike_free(d);
	}
	ike_free(c);
}

static void test_diff(void **state)
{
	struct ike_config *few = sealed(3), *more = sealed(5), *other = ike_world(3), *none = ike_new();
	struct err err;
	char *text;

	(void)state;
	assert_int_equal(ike_seal(none, &err), 0);
	text = diff_of(more, few, 2);
	assert_memory_equal(text, "+ " IKE_PREFIX, 11);
	free(text);
	free(diff_of(none, NULL, 0));
	free(diff_of(few, NULL, 4));
	text = diff_of(none, few, 4);
	assert_non_null(strstr(text, "- key " IKE_PREFIX "0011223344556677\n"));
	free(text);
	/* Another key under the same id. */
	other->secrets[0].key = "z";
	other->secrets[0].key_len = 1;
	assert_int_equal(ike_seal(other, &err), 0);
	text = diff_of(other, few, 2);
	assert_string_equal(text, "- key " IKE_PREFIX "0011223344556677\n+ key " IKE_PREFIX "0011223344556677\n");
	free(text);
	other->secrets = NULL;
	other->n_secrets = 0;
	ike_free(few);
	ike_free(more);
	ike_free(other);
	ike_free(none);
}

static void test_no_keys(void **state)
{
	struct ike_config *c = sealed(8);
	json_t *j = ike_json(c);
	char *text = text_of(c), *dump;

	(void)state;
	assert_non_null(j);
	dump = json_dumps(j, JSON_COMPACT);
	assert_null(strstr(text, "Sesame"));
	assert_null(strstr(dump, "Sesame"));
	assert_non_null(strstr(text, "secret = ***\n"));
	assert_int_equal(json_array_size(json_object_get(j, "connections")), 8);
	assert_int_equal(json_array_size(json_object_get(json_array_get(json_object_get(j, "connections"), 0), "children")), 4);
	/* A rule's name cannot end its comment. */
	assert_null(strstr(text, "\n more"));
	assert_non_null(strstr(text, "# rule \"Web } \\\"and\\\" # {\\x0a more\"\n"));
	free(dump);
	json_decref(j);
	free(text);
	ike_free(c);
}

static void refused(struct ike_config *c, const char *why)
{
	struct err err = { 0 };

	assert_int_equal(ike_seal(c, &err), -1);
	if (!strstr(err.msg, why))
		fail_msg("'%s' does not say '%s'", err.msg, why);
	ike_free(c);
}

static struct ike_config *fresh(void)
{
	struct ike_config *c = ike_world(2);

	assert_non_null(c);
	return c;
}

static void test_refused(void **state)
{
	static const char *const addrs[] = { "", "host.example", "10.0.0.1/33", "10.0.0", "10.0.0.1/", "10.0.0.9-10.0.0.1", "%any }",
		"10.0.0.1\nx = y", "fe80::1%eth0", "::1/129", "10.0.0.0/8/8", "10.0.0.1-", "10.0.0.0/+8", "10.0.0.0/008a" };
	static const char *const selectors[] = { "", "dynamic[", "dynamic[]", "dynamic[tcp]x", "dynamic]", "dyn", "10.0.0.0/8[tcp/80", "[tcp]",
		"10.0.0.0/8[/80]", "10.0.0.0/8[tcp]]", "10.0.0.0/8[tcp,udp]", "10.0.0.0/8[t p]" };
	static const char *const proposals[] = { "", "aes128 ", "aes128,sha1", "a#b", "-", "a\"b", "a}b", "A" };
	struct ike_config *c;

	(void)state;
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		c = fresh();
		c->conns[0].remote_addrs.texts[1] = addrs[i];
		refused(c, "remote address: ");
		c = fresh();
		c->secrets[0].owners.texts[0] = addrs[i];
		refused(c, "key '" IKE_PREFIX "0011223344556677': owner: ");
	}
	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
		c = fresh();
		c->conns[1].children[2].remote_ts.texts[0] = selectors[i];
		refused(c, "child 'q-c': remote traffic selector: ");
	}
	for (size_t i = 0; i < sizeof(proposals) / sizeof(proposals[0]); i++) {
		c = fresh();
		c->conns[1].children[2].proposals.texts[0] = proposals[i];
		refused(c, "child 'q-c': proposal: ");
		c = fresh();
		c->conns[1].proposals.texts[0] = proposals[i];
		refused(c, "connection for rule 'Web");
	}
	c = fresh(); c->conns[0].secret = IKE_PREFIX "2"; refused(c, "there is no key");
	c = fresh(); c->conns[0].life_seconds = 0; refused(c, "lifetime is 0");
	c = fresh(); c->conns[0].children[1].life_seconds = 0; refused(c, "lifetime is 0");
	c = fresh(); c->conns[0].children[1].name = "q-b"; refused(c, "two children 'q-b'");
	c = fresh(); c->conns[0].children[1].name = "q b"; refused(c, "letters and digits");
	c = fresh(); c->conns[0].children[1].name = ""; refused(c, "the name is empty");
	c = fresh(); c->conns[0].proposals.n = 0; refused(c, "proposal: there is none");
	c = fresh(); c->conns[1] = c->conns[0]; refused(c, "are the same");
	c = fresh(); c->secrets[0].id = "theirs"; refused(c, "no name of a key");
	c = fresh(); c->secrets[0].key_len = 0; refused(c, "is empty");
	c = fresh(); c->conns[0].children[0].tunnel = c->conns[0].children[0].trap = true;
	c->conns[0].remote_addrs.texts[0] = "10.0.0.0/8"; refused(c, "without the address of its other end");
}

static void test_ca_id(void **state)
{
	static const char *const good[] = { "CN=x", "DC=example, DC=corp, CN=Corp Root CA", "C=DE,O=Fünf & Söhne (x),CN=a=b@c:d'e" };
	static const char *const bad[] = { "", "x", "CN=*", "CN=a*", "CN=a\\,b", "CN=\"a,b\"", "CN=a+O=b", "cn=x", "FOO=x", "CN=", "CN=a,",
		"CN=a, ", "CN=a,,C=DE", "CN= a", "CN=a ,C=DE", "CN=a/C=DE", "%any", "CN=a\nb", "asn1dn:#3000", "CN=a;C=b", ",CN=a" };
	char *much = malloc(1100);
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (ike_ca_id_check(good[i], &err) < 0)
			fail_msg("%s", err.msg);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ike_ca_id_check(bad[i], &err) == 0)
			fail_msg("'%s' was taken", bad[i]);
	memset(much, 'x', 1099);
	memcpy(much, "CN=", 3);
	much[1099] = '\0';
	assert_int_equal(ike_ca_id_check(much, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	free(much);
}

static void test_renew(void **state)
{
	(void)state;
	assert_int_equal(ike_renew_at(0), 0);
	assert_int_equal(ike_renew_at(1), 1);
	assert_int_equal(ike_renew_at(2), 1);
	assert_int_equal(ike_renew_at(10), 9);
	assert_int_equal(ike_renew_at(3600), 3240);
	assert_int_equal(ike_renew_at(UINT64_MAX), UINT64_MAX / 10 * 9 + UINT64_MAX % 10 * 9 / 10);
	for (uint64_t i = 2; i < 1000; i++)
		assert_true(ike_renew_at(i) < i && ike_renew_at(i) >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_content), cmocka_unit_test(test_diff), cmocka_unit_test(test_no_keys),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_ca_id), cmocka_unit_test(test_renew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
