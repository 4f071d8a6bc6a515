/* What the negotiator decides without asking anybody; with charon: tests/test_negotiate.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/conf.h"
#include "agent/negotiate_parts.h"
#include "agent/sources.h"
#include "agent/vici.h"
#include "nft/protect.h"
#include "nft/spd.h"
#include "schema/arena.h"
#include "schema/err.h"

#define R1	(SPD_REQID_MIN + 0x10)
#define R2	(SPD_REQID_MIN + 0x11)

static struct err err;
static struct arena *a;
static char folder[64];

static int setup(void **state)
{
	(void)state;
	a = arena_new(0);
	snprintf(folder, sizeof(folder), "/tmp/test_negotiate.XXXXXX");
	return a && mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	arena_free(a);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static struct ip_addr ip(const char *text)
{
	struct ip_addr ret;

	assert_true(ip_addr_read(&ret, text));
	return ret;
}

/* ---- pins ---- */

static void policy_add(struct spd *s, enum spd_dir dir, const char *me, const char *net, uint8_t prefix, uint32_t reqid, bool required)
{
	struct ip_addr m = ip(me), n = ip(net);
	struct spd_policy p = { .dir = dir, .priority = SPD_PRIORITY_MIN + 10, .n_templates = 1, .comment = "",
		.templates = { { .protocol = 50, .required = required, .reqid = reqid } } };
	const uint8_t host = m.family == 2 ? 32 : 128;

	p.sel.family = m.family;
	memcpy(dir == SPD_OUT ? p.sel.src : p.sel.dst, m.b, 16);
	memcpy(dir == SPD_OUT ? p.sel.dst : p.sel.src, n.b, 16);
	p.sel.src_prefix = dir == SPD_OUT ? host : prefix;
	p.sel.dst_prefix = dir == SPD_OUT ? prefix : host;
	spd_add(s, &p);
}

static struct xfrm_sa sa(const char *src, const char *dst, uint32_t spi, uint32_t reqid, uint64_t time)
{
	return (struct xfrm_sa){ .family = ip(src).family, .protocol = 50, .src = ip(src), .dst = ip(dst), .spi = spi, .reqid = reqid, .add_time = time };
}

static struct pin_peer *peers(size_t *n, const struct xfrm_sa *sas, size_t n_sas)
{
	struct spd *s = spd_new();
	struct pin_index x;
	struct pin_peer *ret;

	policy_add(s, SPD_OUT, "10.9.0.1", "10.9.0.0", 24, R1, false);
	policy_add(s, SPD_IN, "10.9.0.1", "10.9.0.0", 24, R1, false);
	policy_add(s, SPD_OUT, "10.9.0.1", "10.8.0.0", 15, R2, true);
	policy_add(s, SPD_IN, "10.9.0.1", "10.8.0.0", 15, R2, true);
	policy_add(s, SPD_OUT, "fd00::1", "::", 0, R1, false);
	policy_add(s, SPD_IN, "fd00::1", "::", 0, R1, false);
	assert_int_equal(spd_seal(s, &err), 0);
	assert_int_equal(pin_index_make(&x, s, &err), 0);
	assert_int_equal(x.n, 6);
	assert_int_equal(pin_peers(&ret, n, a, &x, sas, n_sas, &err), 0);
	free(x.policies);
	spd_free(s);
	return ret;
}

static void test_pin_both_ways(void **state)
{
	const struct xfrm_sa sas[] = { sa("10.9.0.1", "10.9.0.2", 1, R1, 100), sa("10.9.0.2", "10.9.0.1", 2, R1, 100) };
	struct pin_peer *p;
	size_t n;

	(void)state;
	p = peers(&n, sas, 2);
	assert_int_equal(n, 1);
	assert_int_equal(p->reqid, R1);
	assert_int_equal(p->spi, 1);
	assert_int_equal(ip_addr_cmp(&p->peer, &(struct ip_addr){ 2, { 10, 9, 0, 2 } }), 0);
	peers(&n, sas, 1);
	assert_int_equal(n, 0);
	peers(&n, sas + 1, 1);
	assert_int_equal(n, 0);
}

static void test_pin_not(void **state)
{
	struct xfrm_sa sas[] = {
		sa("10.9.0.1", "10.9.0.2", 1, R2, 1), sa("10.9.0.2", "10.9.0.1", 2, R2, 1),	/* required: nothing to pin */
		sa("10.9.0.1", "10.7.0.2", 3, R1, 1), sa("10.7.0.2", "10.9.0.1", 4, R1, 1),	/* outside of the policy */
		sa("10.9.0.1", "10.9.0.3", 0, R1, 1), sa("10.9.0.3", "10.9.0.1", 5, R1, 1),	/* larval */
		sa("10.9.0.1", "10.9.0.4", 6, R1, 1), sa("10.9.0.4", "10.9.0.1", 7, R1, 1),	/* tunnel */
		sa("10.9.0.1", "10.9.0.5", 8, R1 + 9, 1), sa("10.9.0.5", "10.9.0.1", 9, R1 + 9, 1),	/* nobody's */
	};
	size_t n;

	(void)state;
	sas[4].larval = true;
	sas[6].tunnel = sas[7].tunnel = true;
	peers(&n, sas, sizeof(sas) / sizeof(sas[0]));
	assert_int_equal(n, 0);
	peers(&n, NULL, 0);
	assert_int_equal(n, 0);
}

static void test_pin_newest(void **state)
{
	const struct xfrm_sa sas[] = { sa("10.9.0.1", "10.9.0.2", 7, R1, 100), sa("10.9.0.2", "10.9.0.1", 2, R1, 100),
		sa("10.9.0.1", "10.9.0.2", 3, R1, 200), sa("10.9.0.2", "10.9.0.1", 4, R1, 200), sa("fd00::2", "fd00::1", 5, R1, 1),
		sa("fd00::1", "fd00::2", 6, R1, 1) };
	struct pin_peer *p;
	size_t n;

	(void)state;
	p = peers(&n, sas, sizeof(sas) / sizeof(sas[0]));
	assert_int_equal(n, 2);
	assert_int_equal(p[0].spi + p[1].spi, 3 + 6);
	assert_true(pin_peer_cmp(&p[0], &p[1]) < 0);
}

/* ---- SAs that charon does not know, and questions that it has not heard ---- */

static void test_larvals(void **state)
{
	struct xfrm_sa sas[] = {
		sa("10.9.0.1", "10.9.0.2", 0, R2, 50),	/* asked, and then the peer got an SA of another rule */
		sa("10.9.0.1", "10.9.0.2", 1, R1, 50), sa("10.9.0.1", "10.9.0.2", 9, R1, 10),
		sa("10.9.0.1", "10.9.0.3", 0, R2, 51), sa("10.9.0.1", "10.9.0.3", 2, R1, 50),	/* asked later */
		sa("10.9.0.1", "10.9.0.4", 0, R2, 51),	/* no SA */
		sa("10.9.0.1", "10.9.0.5", 0, R2, 1), sa("10.9.0.5", "10.9.0.1", 3, R1, 50),	/* the other way alone */
		sa("10.9.0.1", "10.9.0.6", 0, R2, 1), sa("10.9.0.1", "10.9.0.6", 4, R1, 50),	/* both without a key */
	};
	const size_t n = sizeof(sas) / sizeof(sas[0]);
	size_t n_old = 0;

	(void)state;
	for (size_t i = 0; i < n; i++)
		sas[i].larval = !sas[i].spi || sas[i].spi == 4;
	qsort(sas, n, sizeof(*sas), sa_cmp);
	for (size_t i = 0; i < n; i++)
		if (sas[i].larval && larval_is_old(sas, n, &sas[i])) {
			n_old++;
			assert_int_equal(sas[i].dst.b[3], 2);
		}
	assert_int_equal(n_old, 1);
}

static void test_orphans(void **state)
{
	const struct xfrm_sa sas[] = { sa("10.9.0.1", "10.9.0.2", 1, R1, 50), sa("10.9.0.1", "10.9.0.2", 2, R1, 60),
		sa("10.9.0.1", "10.9.0.3", 3, R1, 50), sa("10.9.0.1", "10.9.0.3", 4, R2, 50), sa("10.9.0.1", "10.9.0.4", 5, R1 + 9, 50) };
	struct spis known = { (uint32_t[]){ 2, 4 }, 2, false };
	struct spd *s = spd_new();
	struct spd_policy p;

	(void)state;
	policy_add(s, SPD_OUT, "10.9.0.1", "10.9.0.0", 24, R1, false);
	policy_add(s, SPD_IN, "10.9.0.1", "10.9.0.0", 24, R1, false);
	policy_add(s, SPD_OUT, "10.9.0.1", "10.8.0.0", 15, R2, true);
	assert_int_equal(spd_seal(s, &err), 0);
	assert_true(orphan_is_done(sas, 5, &sas[0], &known, s));	/* 2 has taken its place */
	assert_false(orphan_is_done(sas, 5, &sas[2], &known, s));	/* 4 is another rule's */
	assert_true(orphan_is_done(sas, 5, &sas[4], &known, s));	/* nobody wants it */
	assert_true(sa_policy(&p, s, &sas[2]));
	assert_int_equal(p.dir, SPD_OUT);
	assert_int_equal(p.sel.dst_prefix, 32);
	assert_int_equal(p.sel.dst[3], 3);
	assert_int_equal(p.templates[0].reqid, R1);
	assert_false(sa_policy(&p, s, &sas[4]));
	assert_false(sa_policy(&p, s, &(struct xfrm_sa){ .family = 2, .src = sas[2].dst, .dst = sas[2].src, .reqid = R1 }));
	spd_free(s);
}

/* ---- what charon says ---- */

static const struct vici_node *parse(struct vici_message *m)
{
	struct vici_node *root;
	const uint8_t *p;
	size_t len;

	assert_true(vici_good(m));
	p = vici_bytes(m, &len);
	assert_int_equal(vici_parse(&root, a, p, len, &err), 0);
	vici_free(m);
	return root;
}

static void test_spis(void **state)
{
	struct vici_message *m = vici_new();
	struct spis s = { 0 };

	(void)state;
	vici_section(m, "ipsecpol-x");
	vici_section(m, "child-sas");
	vici_section(m, "q-1-7");
	vici_add(m, "spi-in", "c0ffee01");
	vici_add(m, "spi-out", "0000000a");
	vici_section_end(m);
	vici_section(m, "q-1-8");
	vici_add(m, "spi-in", "c0ffee011");
	vici_add(m, "spi-out", "xyz");
	vici_section_end(m);
	vici_section_end(m);
	vici_section_end(m);
	vici_section(m, "other");
	vici_section_end(m);
	spis_of_sa(&s, a, parse(m));
	spis_sort(&s);
	assert_int_equal(s.n, 2);
	assert_true(spis_have(&s, 0xc0ffee01));
	assert_true(spis_have(&s, 10));
	assert_false(spis_have(&s, 0xc0ffee0));
}

static void test_names(void **state)
{
	struct vici_message *m = vici_new();
	struct names l = { 0 };

	(void)state;
	vici_list(m, "conns", (const char *const[]){ "ipsecpol-b", "theirs", "ipsecpol-a", "ipsecpol-b" }, 4);
	names_of_list(&l, a, parse(m), "conns");
	names_sort(&l);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.texts[0], "ipsecpol-a");
	assert_true(names_have(&l, "theirs"));
	assert_false(names_have(&l, "their"));
	assert_true(is_ours("ipsecpol-a"));
	assert_false(is_ours("ipsecpolice"));
	assert_false(names_have(&(struct names){ 0 }, "x"));
}

static struct ike_conn conn(enum ike_auth auth)
{
	return (struct ike_conn){ .name = "ipsecpol-0123456789abcdef", .version = IKE_V1, .auth = auth, .ca_id = "", .secret = "", .life_seconds = 28800, .rule_name = "" };
}

static void test_certificate_in_connection(void **state)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
	struct host_certs h = { .n_certs = 1, .certs = { { (const uint8_t *)pem, sizeof(pem) - 1 } } };
	const struct ike_conn psk = conn(IKE_PSK), cert = conn(IKE_CERTIFICATE);
	const struct vici_node *c, *certs;

	(void)state;
	c = vici_get(parse(conn_message(&cert, &h)), cert.name);
	certs = vici_get(vici_get(c, "local"), "certs");
	assert_non_null(certs);
	assert_int_equal(certs->n_children, 1);
	assert_string_equal(certs->children[0].value, pem);
	assert_null(vici_get(vici_get(c, "remote"), "certs"));
	assert_string_equal(vici_value(c, "version"), "1");
	c = vici_get(parse(conn_message(&psk, &h)), psk.name);
	assert_null(vici_get(vici_get(c, "local"), "certs"));
}

static void test_secret_digest(void **state)
{
	const char *one[] = { "10.0.0.1" }, *two[] = { "10.0.0.2" };
	struct ike_secret s = { .id = "x", .owners = { one, 1 }, .key = "key", .key_len = 3 };
	uint8_t x[32], y[32];

	(void)state;
	secret_digest(x, &s);
	s.id = "y";
	secret_digest(y, &s);
	assert_memory_equal(x, y, 32);
	s.owners.texts = two;
	secret_digest(y, &s);
	assert_memory_not_equal(x, y, 32);
	s.owners.texts = one;
	s.key_len = 2;
	secret_digest(y, &s);
	assert_memory_not_equal(x, y, 32);
}

/* ---- files ---- */

static const char *file(const char *name, const void *p, size_t len, mode_t mode)
{
	char *path = arena_printf(a, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static int options(struct protect_options *o, const struct conf *c)
{
	struct sources s;

	sources_init(&s);
	return negotiate_options(o, a, c, &s, &err);
}

static void psk_bad(const char *path, const char *why)
{
	const struct conf c = { .kerberos = CONF_KERBEROS_PSK, .kerberos_psk = path, .ike_version = 1 };
	struct protect_options o;

	assert_int_equal(options(&o, &c), -1);
	assert_int_equal(o.kerberos, KERBEROS_NONE);
	assert_null(o.kerberos_key);
	assert_non_null(strstr(err.msg, path));
	if (!strstr(err.msg, why))
		fail_msg("'%s' is not in '%s'", why, err.msg);
}

static void test_psk(void **state)
{
	struct conf c = { .kerberos = CONF_KERBEROS_PSK, .ike_version = 1, .ipsecexempt = 2, .weak_offers = true };
	char large[KEY_FILE_MAX + 2];
	struct protect_options o;

	(void)state;
	if (geteuid() != 0)
		skip();
	memset(large, 'x', sizeof(large));
	c.kerberos_psk = file("good", "Sesame\n\n", 8, 0600);
	assert_int_equal(options(&o, &c), 0);
	assert_int_equal(o.kerberos, KERBEROS_PSK);
	assert_int_equal(o.kerberos_key_len, 7);
	assert_memory_equal(o.kerberos_key, "Sesame\n", 7);
	assert_true(o.weak_offers);
	assert_int_equal(o.version, IKE_V1);
	assert_int_equal(o.strong_crl, 1);
	assert_int_equal(o.render.ipsecexempt, 2);
	negotiate_options_wipe(&o);
	assert_null(o.kerberos_key);
	psk_bad(file("world", "Sesame", 6, 0644), "can be read by others");
	psk_bad(file("group", "Sesame", 6, 0660), "written by its group");
	psk_bad(file("empty", "", 0, 0600), "is empty");
	psk_bad(file("newline", "\n", 1, 0600), "holds no key");
	psk_bad(file("zero", "Ses\0ame", 7, 0600), "zero byte");
	psk_bad(file("large", large, sizeof(large), 0600), "more than");
	psk_bad(folder, "not a file");
	psk_bad(arena_printf(a, "%s/none", folder), "No such file");
	assert_int_equal(chown(file("theirs", "Sesame", 6, 0600), 65534, 65534), 0);
	psk_bad(arena_printf(a, "%s/theirs", folder), "does not belong to root");
	c.kerberos_psk = file("largest", large, KEY_FILE_MAX, 0640);
	assert_int_equal(options(&o, &c), 0);
	assert_int_equal(o.kerberos_key_len, KEY_FILE_MAX);
}

static void test_certificate_files(void **state)
{
	static const char pem[] = "text\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nmore\n-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n";
	static const uint8_t der[] = { 0x30, 1, 2, 3, 4 };
	struct conf c = { .ike_version = 2 };
	struct protect_options o;
	struct host_certs h;

	(void)state;
	if (geteuid() != 0)
		skip();
	c.certificate = file("cert", pem, sizeof(pem) - 1, 0644);
	assert_int_equal(options(&o, &c), -1);
	assert_non_null(strstr(err.msg, "both or not at all"));
	c.private_key = file("key", "key", 3, 0600);
	assert_int_equal(options(&o, &c), 0);
	assert_true(o.have_certificate);
	assert_int_equal(o.version, IKE_V2);
	c.ca = file("ca", "nothing", 7, 0644);
	assert_int_equal(options(&o, &c), -1);
	assert_false(o.have_certificate);
	assert_non_null(strstr(err.msg, "no certificate is in it"));
	c.ca = file("ca", der, sizeof(der), 0644);
	assert_int_equal(host_certs_read(&h, c.certificate, c.private_key, c.ca, &err), 0);
	assert_int_equal(h.n_certs, 2);
	assert_memory_equal(h.certs[1].p, "-----BEGIN CERTIFICATE-----\nBBBB", 32);
	assert_int_equal(h.n_cas, 1);
	assert_string_equal((const char *)h.ca.bytes, "-----BEGIN CERTIFICATE-----\nMAECAwQ=\n-----END CERTIFICATE-----\n");
	host_certs_free(&h);
	assert_int_equal(chmod(c.private_key, 0604), 0);
	assert_int_equal(options(&o, &c), -1);
	assert_non_null(strstr(err.msg, c.private_key));
	assert_int_equal(chmod(c.private_key, 0600), 0);
	assert_int_equal(chmod(c.ca, 0666), 0);
	assert_int_equal(options(&o, &c), -1);
	assert_non_null(strstr(err.msg, c.ca));
}

static void test_certs_many(void **state)
{
	struct cert_text certs[CERTS_MAX];
	char text[4096] = "";
	size_t n;

	(void)state;
	for (int i = 0; i < CERTS_MAX; i++)
		strcat(text, "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n");
	assert_int_equal(certs_split(certs, &n, (uint8_t *)text, strlen(text), &err), 0);
	assert_int_equal(n, CERTS_MAX);
	strcat(text, "-----BEGIN CERTIFICATE-----\nA");
	assert_int_equal(certs_split(certs, &n, (uint8_t *)text, strlen(text), &err), -1);
	assert_int_equal(err.code, ERR_FORMAT);
	strcat(text, "-----END CERTIFICATE-----\n");
	assert_int_equal(certs_split(certs, &n, (uint8_t *)text, strlen(text), &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pin_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin_newest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_larvals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_orphans, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spis, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_certificate_in_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secret_digest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_psk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_certificate_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_certs_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
