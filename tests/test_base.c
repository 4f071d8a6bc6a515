/* The ground everything stands on: errors, memory, bytes, names, snapshot, facts. */
#include <arpa/inet.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/facts.h"
#include "schema/ident.h"
#include "schema/ipsecdata.h"
#include "schema/ldif.h"
#include "schema/rd.h"
#include "schema/snapshot.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

/* ---- errors ---- */

static void err_says_where_and_what(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(err_set(&err, ERR_FORMAT, "mask %s", "255.0.255.0"), -1);
	assert_int_equal(err_prefix(&err, "filter %d", 3), -1);
	assert_int_equal(err.code, ERR_FORMAT);
	assert_string_equal(err.msg, "filter 3: mask 255.0.255.0");
}

static void err_has_no_control_characters(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, ERR_ABSENT, "name '%s'", "a\nb\x1b[2J\x7f");
	assert_string_equal(err.msg, "name 'a?b?[2J?'");
	err_prefix(&err, "x\ty");
	assert_string_equal(err.msg, "x?y: name 'a?b?[2J?'");
}

static void err_is_cut_at_the_end(void **state)
{
	char longer[2000];
	struct err err;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_set(&err, ERR_LIMIT, "%s", longer);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	err_prefix(&err, "here");
	assert_int_equal(err.code, ERR_LIMIT);
	assert_true(strncmp(err.msg, "here: xxx", 9) == 0);
	err_prefix(&err, "%s", longer);
	assert_true(strlen(err.msg) < sizeof(err.msg));
	assert_non_null(strstr(err.msg, "here: "));
}

static void err_codes_have_names(void **state)
{
	(void)state;
	for (int c = ERR_NOMEM; c <= ERR_BUSY; c++)
		assert_int_equal(err_code_parse(err_code_name((enum err_code)c)), c);
	assert_string_equal(err_code_name(ERR_OFFLINE), "offline");
	assert_int_equal(err_code_parse("no such"), ERR_NONE);
}

/* ---- arena ---- */

static void arena_gives_aligned_zeroes(void **state)
{
	struct arena *a = arena_new(0);
	unsigned char *p;

	(void)state;
	for (size_t n = 0; n < 9000; n += 37) {
		p = arena_zalloc(a, n, 1);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, n);
	}
	arena_free(a);
	arena_free(NULL);
}

static void arena_refuses_what_is_too_much(void **state)
{
	struct arena *a = arena_new(1024);

	(void)state;
	assert_null(arena_zalloc(a, SIZE_MAX / 2, 4));
	assert_null(arena_zalloc(a, SIZE_MAX, 1));
	assert_null(arena_zalloc(a, 1025, 1));
	assert_non_null(arena_zalloc(a, 1000, 1));
	assert_null(arena_zalloc(a, 100, 1));
	arena_free(a);
}

/* Small as in any arena, then on its own, where it grows in place or moves. */
static void arena_extends(void **state)
{
	struct arena *a = arena_new(0), *small = arena_new(100000);
	uint32_t *all = NULL;
	size_t n = 0;

	(void)state;
	for (; n < 100000; n++) {
		all = arena_extend(a, all, n, sizeof(*all));
		assert_non_null(all);
		assert_int_equal(all[n], 0);
		all[n] = (uint32_t)n + 1;
		if (n % 1000 == 0)
			assert_string_equal(arena_strdup(a, "between"), "between");
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(all[i], i + 1);
	for (n = 0, all = NULL; n < 100000 && (all = arena_extend(small, all, n, sizeof(*all))); n++)
		;
	assert_in_range(n, 1000, 25000);
	assert_int_equal((uintptr_t)arena_zalloc(a, 1, 1) % 16, 0);
	arena_free(a);
	arena_free(small);
}

static void arena_copies(void **state)
{
	struct arena *a = arena_new(0);
	int *list = NULL;

	(void)state;
	assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
	assert_string_equal(arena_strndup(a, "ab\0cdef", 5), "ab");
	assert_string_equal(arena_strdup(a, ""), "");
	assert_string_equal(arena_printf(a, "%s-%d", "x", 7), "x-7");
	assert_memory_equal(arena_memdup(a, "a\0b", 3), "a\0b", 3);
	for (int i = 0; i < 1000; i++) {
		list = arena_grow(a, list, (size_t)i, sizeof(*list));
		assert_non_null(list);
		list[i] = i;
	}
	for (int i = 0; i < 1000; i++)
		assert_int_equal(list[i], i);
	arena_free(a);
}

/* ---- reader and writer ---- */

static void rd_stops_at_the_end(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct rd rd = { bytes, bytes + sizeof(bytes), false }, sub;

	(void)state;
	assert_int_equal(rd_u8(&rd), 1);
	assert_int_equal(rd_u16(&rd), 0x0302);
	assert_int_equal(rd_u32(&rd), 0x07060504);
	assert_int_equal(rd_left(&rd), 2);
	sub = rd_sub(&rd, 1);
	assert_int_equal(rd_u8(&sub), 8);
	assert_int_equal(rd_u8(&sub), 0);
	assert_true(sub.bad);
	assert_false(rd.bad);
	assert_int_equal(rd_u32(&rd), 0);
	assert_true(rd.bad);
	assert_int_equal(rd_u8(&rd), 0);
	assert_null(rd_bytes(&rd, 1));
	sub = rd_sub(&rd, 1);
	assert_true(sub.bad);
	assert_int_equal(rd_left(&sub), 0);
}

static void wr_writes_little_endian(void **state)
{
	static const uint8_t want[] = { 0xaa, 0x34, 0x12, 4, 3, 2, 1, 'x', 'y' };
	struct wr wr = { 0 };

	(void)state;
	wr_u8(&wr, 0xaa);
	wr_u16(&wr, 0x1234);
	wr_u32(&wr, 0);
	wr_bytes(&wr, "xy", 2);
	wr_u32_at(&wr, 3, 0x01020304);
	wr_u32_at(&wr, 6, 0xffffffff);
	assert_false(wr.bad);
	assert_int_equal(wr.len, sizeof(want));
	assert_memory_equal(wr.p, want, sizeof(want));
	for (int i = 0; i < 1000; i++)
		wr_u32(&wr, 1);
	assert_int_equal(wr.len, sizeof(want) + 4000);
	free(wr.p);
}

/* ---- GUID and SID ---- */

static void guid_is_read_and_printed(void **state)
{
	static const char text[] = "{6AC1786C-016F-11D2-945F-00C04fB984F9}";
	static const uint8_t bytes[16] = { 0x6c, 0x78, 0xc1, 0x6a, 0x6f, 0x01, 0xd2, 0x11, 0x94,
	    0x5f, 0x00, 0xc0, 0x4f, 0xb9, 0x84, 0xf9 };
	char out[GUID_TEXT], digits[9];
	struct guid g, bare;

	(void)state;
	assert_true(guid_parse(&g, text, strlen(text)));
	assert_memory_equal(g.b, bytes, 16);
	assert_true(guid_parse(&bare, text + 1, 36));
	assert_int_equal(guid_cmp(&g, &bare), 0);
	guid_text(&g, out);
	assert_string_equal(out, "{6ac1786c-016f-11d2-945f-00c04fb984f9}");
	guid_short(&g, digits);
	assert_string_equal(digits, "6ac1786c");
	assert_false(guid_is_zero(&g));
	memset(&g, 0, sizeof(g));
	assert_true(guid_is_zero(&g));
}

static void guid_refuses_other_text(void **state)
{
	static const char *const bad[] = {
		"", "{}", "6ac1786c-016f-11d2-945f-00c04fb984f", "{6ac1786c-016f-11d2-945f-00c04fb984f9",
		"6ac1786c-016f-11d2-945f-00c04fb984f9}", "6ac1786c+016f-11d2-945f-00c04fb984f9",
		"6ac1786g-016f-11d2-945f-00c04fb984f9", "{6ac1786c-016f-11d2-945f-00c04fb984f9} ",
		"(6ac1786c-016f-11d2-945f-00c04fb984f9)", "6ac1786c016f-11d2-945f-00c04fb984f9--",
	};
	struct guid g;

	(void)state;
	for (size_t i = 0; i < N(bad); i++)
		if (guid_parse(&g, bad[i], strlen(bad[i])))
			fail_msg("'%s' was taken for a GUID", bad[i]);
}

static void guid_order_is_that_of_the_text(void **state)
{
	struct guid g[2];
	char text[2][GUID_TEXT];

	(void)state;
	srand(1);
	for (int i = 0; i < 2000; i++) {
		for (int k = 0; k < 2; k++) {
			for (int j = 0; j < 16; j++)
				g[k].b[j] = (uint8_t)(rand() >> 7 & 3);
			guid_text(&g[k], text[k]);
		}
		int want = strcmp(text[0], text[1]);
		assert_int_equal(guid_cmp(&g[0], &g[1]), want < 0 ? -1 : want > 0);
	}
}

static void sid_is_read_and_printed(void **state)
{
	static const uint8_t bytes[] = { 1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 2, 3, 4, 0xff, 0xff,
	    0xff, 0xff, 9, 0, 0, 0, 0x03, 0x02, 0, 0 };
	static const char text[] = "S-1-5-21-67305985-4294967295-9-515";
	struct sid s, t;
	char out[SID_TEXT];

	(void)state;
	assert_true(sid_parse(&s, bytes, sizeof(bytes)));
	sid_text(&s, out);
	assert_string_equal(out, text);
	assert_true(sid_read(&t, text));
	assert_true(sid_equal(&s, &t));
	assert_true(sid_with_rid(&t, &s, 516));
	sid_text(&t, out);
	assert_string_equal(out, "S-1-5-21-67305985-4294967295-9-516");
	assert_false(sid_equal(&s, &t));
	assert_true(sid_read(&t, "S-1-5-18"));
	assert_false(sid_with_rid(&t, &t, 1));
	assert_true(sid_read(&t, "S-1-0x010203040506-1"));
	sid_text(&t, out);
	assert_string_equal(out, "S-1-0x010203040506-1");
	/* The longest there is fits. */
	memset(&t, 0xff, sizeof(t));
	t.n_sub = SID_MAX_SUB;
	sid_text(&t, out);
	assert_int_equal(strlen(out), SID_TEXT - 1);
	assert_true(sid_read(&s, out));
	assert_true(sid_equal(&s, &t));
}

static void sid_refuses_other_text(void **state)
{
	static const char *const bad[] = {
		"", "S-1-", "S-2-5-18", "s-1-5-18", "S-1-5-", "S-1-5--18", "S-1-5-18 ", "S-1-5-4294967296",
		"S-1-5-018", "S-1-5-+1", "S-1-4294967296-1", "S-1-0x00000000000a-1", "S-1-0x0102-1",
		"S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
	};
	static const uint8_t blob[] = { 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, 0 };
	uint8_t wrong[sizeof(blob)];
	struct sid s;

	(void)state;
	for (size_t i = 0; i < N(bad); i++)
		if (sid_read(&s, bad[i]))
			fail_msg("'%s' was taken for a SID", bad[i]);
	assert_true(sid_parse(&s, blob, 12));
	assert_false(sid_parse(&s, blob, 13));
	assert_false(sid_parse(&s, blob, 11));
	assert_false(sid_parse(&s, blob, 0));
	memcpy(wrong, blob, sizeof(blob));
	wrong[0] = 2;
	assert_false(sid_parse(&s, wrong, 12));
	wrong[0] = 1;
	wrong[1] = 16;
	assert_false(sid_parse(&s, wrong, 12));
}

/* ---- DN ---- */

static void dn_key_is_canonical(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "  ", "" },
		{ "CN=Foo,DC=Corp,DC=Example", "cn=foo,dc=corp,dc=example" },
		{ " CN = Foo  Bar , DC= x + OU =y ", "cn=foo bar,dc=x+ou=y" },
		{ "CN=a\\2cb", "cn=a\\,b" },
		{ "CN=a\\,b", "cn=a\\,b" },
		{ "CN=\\41\\42", "cn=ab" },
		{ "CN=a\\=b=c", "cn=a=b=c" },
		{ "CN=\\#a#b\\#", "cn=\\#a#b#" },
		{ "CN=#04024A4b ,DC=x", "cn=#04024a4b,dc=x" },
		{ "CN=\\ a\\ ", "cn=\\ a\\ " },
		{ "CN=\\20 \\20", "cn=\\ " },
		{ "CN=a \\20 b", "cn=a b" },
		{ "CN=a\\20,DC=x", "cn=a\\ ,dc=x" },
		{ "CN=", "cn=" },
		{ "CN=,DC=x", "cn=,dc=x" },
		{ "OID.2.5.4.3=x", "2.5.4.3=x" },
		{ "2.5.4.3=x", "2.5.4.3=x" },
		{ "CN=B\xc3\xbcro", "cn=b\xc3\xbcro" },
		{ "CN=B\\C3\\BCro", "cn=b\xc3\xbcro" },
		{ "CN=x\\0ADEL:6AC1786C-016f,CN=Deleted Objects,DC=x",
		    "cn=x\\0adel:6ac1786c-016f,cn=deleted objects,dc=x" },
		{ "CN=a\nb", "cn=a\\0ab" },
		{ "CN=a\\00b\\7F", "cn=a\\00b\\7f" },
		{ "CN=\\\"\\+\\;\\<\\>\\\\", "cn=\\\"\\+\\;\\<\\>\\\\" },
		/* Malformed: their own bytes. */
		{ "CN", "CN" },
		{ "=X", "=X" },
		{ "CN=A,", "CN=A," },
		{ ",CN=A", ",CN=A" },
		{ "CN=A,,DC=B", "CN=A,,DC=B" },
		{ "CN=A\\", "CN=A\\" },
		{ "CN=A\\4", "CN=A\\4" },
		{ "CN=A\\Q", "CN=A\\Q" },
		{ "CN=\"A\"", "CN=\"A\"" },
		{ "CN=A;DC=B", "CN=A;DC=B" },
		{ "CN=#1", "CN=#1" },
		{ "CN=#0G", "CN=#0G" },
		{ "C N=A", "C N=A" },
		{ "-a=B", "-a=B" },
	};
	struct arena *a = arena_new(0);
	char *key;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		key = dn_key(a, cases[i][0]);
		assert_string_equal(key, cases[i][1]);
		assert_string_equal(dn_key(a, key), cases[i][1]);
		assert_true(dn_equal(cases[i][0], cases[i][1]));
		assert_int_equal(dn_hash(cases[i][0], 42), dn_hash(cases[i][1], 42));
	}
	arena_free(a);
}

static void dn_equal_tells_apart(void **state)
{
	static const char *const pairs[][2] = {
		{ "CN=a", "CN=b" }, { "CN=a", "CN=a,DC=x" }, { "CN=a,DC=x", "CN=a\\,DC=x" },
		{ "CN=a+DC=x", "CN=a,DC=x" }, { "CN=a b", "CN=ab" }, { "CN=\\ a", "CN=a" },
		{ "CN=\xc3\xbc", "CN=\xc3\x9c" }, { "cn=A\\Q", "CN=A\\Q" }, { "", "CN=" },
		{ "CN=#41", "CN=\\#41" }, { "CN=a\\00", "CN=a" },
	};

	(void)state;
	for (size_t i = 0; i < N(pairs); i++) {
		assert_false(dn_equal(pairs[i][0], pairs[i][1]));
		assert_false(dn_equal(pairs[i][1], pairs[i][0]));
	}
	assert_true(dn_equal("CN=A\\Q", "CN=A\\Q"));
	assert_true(dn_valid(""));
	assert_true(dn_valid("CN=x , DC=y"));
	assert_false(dn_valid("CN=x,"));
	assert_int_not_equal(dn_hash("CN=x", 1), dn_hash("CN=x", 2));
	assert_int_not_equal(dn_hash("CN=x", 1), dn_hash("CN=y", 1));
}

static void dn_parts_are_found(void **state)
{
	static const char dn[] = "CN=a\\,b, OU=Sales,dc=corp,DC=example";

	(void)state;
	assert_string_equal(dn_parent(dn), "OU=Sales,dc=corp,DC=example");
	assert_null(dn_parent("DC=example"));
	assert_null(dn_parent(""));
	assert_null(dn_parent("CN=a\\,"));
	assert_null(dn_parent("CN=a\\"));
	assert_string_equal(dn_domain(dn), "dc=corp,DC=example");
	assert_null(dn_domain("CN=a,OU=DC\\=x"));
	assert_null(dn_domain("CN=\\,DC=x"));
	assert_null(dn_domain(""));
	assert_true(dn_below(dn, "DC=CORP, DC=EXAMPLE"));
	assert_true(dn_below(dn, dn));
	assert_true(dn_below(dn, ""));
	assert_true(dn_below("", ""));
	assert_false(dn_below("DC=example", dn));
	assert_false(dn_below("", "DC=example"));
	assert_false(dn_below("CN=x,DC=mycorp,DC=example", "DC=corp,DC=example"));
	assert_false(dn_below("CN=x\\,DC=example", "DC=example"));
	assert_false(dn_below("rubbish,DC=example", "DC=example"));
}

static void dn_value_is_unescaped(void **state)
{
	struct arena *a = arena_new(0);

	(void)state;
	assert_string_equal(dn_rdn_value(a, "CN = a\\2C\\,\\20b\\20 ,DC=x", "cn"), "a,, b ");
	assert_string_equal(dn_rdn_value(a, "CN=x  y ", "CN"), "x  y");
	assert_string_equal(dn_rdn_value(a, "CN=,DC=x", "CN"), "");
	assert_string_equal(dn_rdn_value(a, "CN=a+OU=b", "CN"), "a");
	assert_string_equal(dn_rdn_value(a, "CN=x\\0ADEL:1", "CN"), "x\nDEL:1");
	assert_null(dn_rdn_value(a, "CN=a", "OU"));
	assert_null(dn_rdn_value(a, "CNX=a", "CN"));
	assert_null(dn_rdn_value(a, "C=a", "CN"));
	assert_null(dn_rdn_value(a, "CN=a\\00b", "CN"));
	assert_null(dn_rdn_value(a, "CN=#0401", "CN"));
	assert_null(dn_rdn_value(a, "CN=a\\", "CN"));
	assert_null(dn_rdn_value(a, "", "CN"));
	arena_free(a);
}

static void dn_and_domain_are_the_same_name(void **state)
{
	struct arena *a = arena_new(0);

	(void)state;
	assert_string_equal(dn_to_domain(a, "DC=corp,DC=example"), "corp.example");
	assert_string_equal(dn_to_domain(a, "CN=x,OU=y, DC = corp , dc=example "), "corp.example");
	assert_null(dn_to_domain(a, "CN=x"));
	assert_null(dn_to_domain(a, ""));
	assert_null(dn_to_domain(a, "DC=corp,O=example"));
	assert_null(dn_to_domain(a, "DC=corp.example"));
	assert_null(dn_to_domain(a, "DC=corp+OU=x,DC=example"));
	assert_null(dn_to_domain(a, "DC=,DC=example"));
	assert_null(dn_to_domain(a, "DC=a\\0ab"));
	assert_string_equal(dn_from_domain(a, "corp.example"), "DC=corp,DC=example");
	assert_string_equal(dn_from_domain(a, "corp.example."), "DC=corp,DC=example");
	assert_string_equal(dn_from_domain(a, "x"), "DC=x");
	assert_string_equal(dn_from_domain(a, "a,b.#c"), "DC=a\\,b,DC=\\#c");
	assert_null(dn_from_domain(a, ""));
	assert_null(dn_from_domain(a, "."));
	assert_null(dn_from_domain(a, "a..b"));
	assert_null(dn_from_domain(a, "a b"));
	arena_free(a);
}

/* ---- snapshot ---- */

#define VALUE(text)	{ (const uint8_t *)(text), sizeof(text) - 1 }

static struct dir_value class_group[] = { VALUE("top"), VALUE("group") };
static struct dir_value one[] = { VALUE("one") };
static struct dir_value two[] = { VALUE("two") };
static struct dir_attr attrs_one[] = { { "objectClass", class_group, 2 }, { "cn", one, 1 } };
static struct dir_attr attrs_two[] = { { "objectClass", class_group, 2 }, { "cn", two, 1 } };
static const char *const asked[] = { "objectClass", "cn", NULL };

static void add(struct dir_snapshot *s, const char *base, enum dir_scope scope, enum dir_outcome outcome,
    const struct dir_entry *e, size_t n)
{
	struct dir_query q = { base, scope, "(objectClass=*)", asked, 0 };
	struct err err;

	assert_int_equal(snapshot_add(s, &q, outcome, e, n, &err), 0);
}

static enum dir_state state_of(const struct dir_snapshot *s, const char *dn)
{
	enum dir_state state;
	const struct dir_entry *e = snapshot_entry(s, dn, &state);

	assert_int_equal(e != NULL, state == DIR_STATE_FOUND);
	return state;
}

static void snapshot_copies_and_finds(void **state)
{
	struct dir_entry e = { "CN=A, DC=x", attrs_one, 2 };
	struct dir_query q = { "DC=X", DIR_SUB, "(objectClass=*)", NULL, 0 };
	struct dir_snapshot *s = snapshot_new();
	const struct dir_search *search;
	const struct dir_entry *found;
	struct err err;

	(void)state;
	assert_int_equal(state_of(s, "cn=a,dc=x"), DIR_STATE_UNKNOWN);
	assert_null(snapshot_search(s, &q));
	assert_int_equal(snapshot_set_server(s, "ldap://dc", NULL, &err), 0);
	add(s, "dc=x", DIR_SUB, DIR_OK, &e, 1);
	found = snapshot_entry(s, "cn=a,dc=x", NULL);
	assert_non_null(found);
	assert_ptr_not_equal(found, &e);
	assert_string_equal(found->dn, "CN=A, DC=x");
	assert_string_equal(entry_text(found, "CN"), "one");
	assert_true(entry_has_class(found, "GROUP"));
	assert_false(entry_has_class(found, "grou"));
	assert_false(entry_has_class(found, "groups"));
	search = snapshot_search(s, &q);
	assert_non_null(search);
	assert_string_equal(search->q.attrs[1], "cn");
	assert_null(search->q.attrs[2]);
	q.scope = DIR_ONE;
	assert_null(snapshot_search(s, &q));
	q.scope = DIR_SUB;
	q.filter = "(cn=*)";
	assert_null(snapshot_search(s, &q));
	snapshot_free(s);
	snapshot_free(NULL);
}

static void snapshot_last_answer_wins(void **state)
{
	struct dir_entry first = { "CN=A", attrs_one, 2 }, second = { "cn=a", attrs_two, 2 };
	struct dir_query q = { "", DIR_SUB, "(objectClass=*)", asked, 0 };
	struct dir_snapshot *s = snapshot_new();

	(void)state;
	add(s, "", DIR_SUB, DIR_OK, &first, 1);
	add(s, "", DIR_SUB, DIR_OK, &second, 1);
	assert_string_equal(entry_text(snapshot_entry(s, "CN=A", NULL), "cn"), "two");
	assert_ptr_equal(snapshot_search(s, &q), &s->searches[1]);
	assert_int_equal(s->n_searches, 2);
	snapshot_free(s);
}

static void snapshot_knows_absent_from_denied(void **state)
{
	struct dir_entry full = { "CN=A", attrs_one, 2 }, bare = { "CN=A", NULL, 0 };
	struct dir_entry classless = { "CN=A", attrs_one + 1, 1 };
	struct dir_query odd = { "CN=A", DIR_BASE, "(cn=z)", asked, 0 };
	struct dir_snapshot *s = snapshot_new();
	struct err err;

	(void)state;
	/* A subtree search that failed or found nothing says nothing. */
	add(s, "CN=A", DIR_SUB, DIR_ABSENT, NULL, 0);
	add(s, "CN=A", DIR_SUB, DIR_DENIED, NULL, 0);
	add(s, "CN=A", DIR_ONE, DIR_OK, NULL, 0);
	assert_int_equal(snapshot_add(s, &odd, DIR_OK, NULL, 0, &err), 0);
	assert_int_equal(state_of(s, "CN=A"), DIR_STATE_UNKNOWN);
	add(s, "CN=A", DIR_BASE, DIR_ABSENT, NULL, 0);
	assert_int_equal(state_of(s, "cn=a"), DIR_STATE_ABSENT);
	add(s, "CN=A", DIR_BASE, DIR_DENIED, NULL, 0);
	assert_int_equal(state_of(s, "cn=a"), DIR_STATE_DENIED);
	add(s, "CN=A", DIR_BASE, DIR_OK, &full, 1);
	assert_int_equal(state_of(s, "cn=a"), DIR_STATE_FOUND);
	/* Attributes are not taken back by a subtree search... */
	add(s, "", DIR_SUB, DIR_OK, &bare, 1);
	assert_int_equal(state_of(s, "cn=a"), DIR_STATE_FOUND);
	/* ...but by a question for this very entry. */
	add(s, "CN=A", DIR_BASE, DIR_OK, &bare, 1);
	assert_int_equal(state_of(s, "cn=a"), DIR_STATE_DENIED);
	add(s, "", DIR_SUB, DIR_OK, &full, 1);
	assert_int_equal(state_of(s, "cn=a"), DIR_STATE_FOUND);
	add(s, "CN=A", DIR_BASE, DIR_OK, &classless, 1);
	assert_int_equal(state_of(s, "cn=a"), DIR_STATE_DENIED);
	add(s, "CN=A", DIR_BASE, DIR_ABSENT, NULL, 0);
	assert_int_equal(state_of(s, "cn=a"), DIR_STATE_ABSENT);
	add(s, "", DIR_SUB, DIR_OK, &bare, 1);
	assert_int_equal(state_of(s, "cn=a"), DIR_STATE_DENIED);
	snapshot_free(s);
}

static void snapshot_root_dse_and_hidden_base(void **state)
{
	struct dir_entry root = { "", attrs_one + 1, 1 }, empty = { "", NULL, 0 };
	struct dir_snapshot *s = snapshot_new();

	(void)state;
	add(s, "", DIR_BASE, DIR_OK, &root, 1);
	assert_int_equal(state_of(s, ""), DIR_STATE_FOUND);
	add(s, "", DIR_BASE, DIR_OK, &empty, 1);
	assert_int_equal(state_of(s, ""), DIR_STATE_DENIED);
	add(s, "CN=hidden", DIR_BASE, DIR_OK, NULL, 0);
	assert_int_equal(state_of(s, "CN=hidden"), DIR_STATE_DENIED);
	snapshot_free(s);
}

static void snapshot_holds_a_hundred_thousand(void **state)
{
	enum { MANY = 100000 };
	struct dir_entry *e = calloc(MANY, sizeof(*e));
	struct dir_snapshot *s = snapshot_new();
	char dn[64];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(dn, sizeof(dn), "CN=entry %d,DC=x", i);
		e[i] = (struct dir_entry){ strdup(dn), attrs_one, 2 };
	}
	add(s, "DC=x", DIR_SUB, DIR_OK, e, MANY);
	for (int i = 0; i < MANY; i++) {
		snprintf(dn, sizeof(dn), "cn=ENTRY  %d, dc=X", i);
		assert_ptr_equal(snapshot_entry(s, dn, NULL), &s->searches[0].entries[i]);
		free((char *)(uintptr_t)e[i].dn);
	}
	assert_null(snapshot_entry(s, "cn=entry 100000,dc=x", NULL));
	free(e);
	snapshot_free(s);
}

static void entry_int_is_strict(void **state)
{
	static const struct { const char *text; int rc; int64_t want; } cases[] = {
		{ "0", 1, 0 }, { "-1", 1, -1 }, { "2147483648", 1, 2147483648 },
		{ "9223372036854775807", 1, INT64_MAX }, { "-9223372036854775808", 1, INT64_MIN },
		{ "9223372036854775808", -1, 0 }, { "-9223372036854775809", -1, 0 },
		{ "99999999999999999999", -1, 0 }, { "", -1, 0 }, { "-", -1, 0 }, { "+1", -1, 0 },
		{ "1x", -1, 0 }, { " 1", -1, 0 }, { "0x1", -1, 0 },
	};
	struct dir_value v;
	struct dir_attr attr = { "flags", &v, 1 };
	struct dir_entry e = { "CN=A", &attr, 1 };
	int64_t n;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		v = (struct dir_value){ (const uint8_t *)cases[i].text, strlen(cases[i].text) };
		n = 77;
		assert_int_equal(entry_int(&e, "FLAGS", &n), cases[i].rc);
		assert_true(n == (cases[i].rc > 0 ? cases[i].want : 77));
	}
	assert_int_equal(entry_int(&e, "flag", &n), 0);
	v = (struct dir_value){ (const uint8_t *)"1\0", 2 };
	assert_int_equal(entry_int(&e, "flags", &n), -1);
	attr.n_values = 0;
	assert_int_equal(entry_int(&e, "flags", &n), 0);
	assert_null(entry_text(&e, "flags"));
}

static char *snapshot_text(const struct dir_snapshot *s)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(snapshot_write(s, out), 0);
	fclose(out);
	return text;
}

static void snapshot_text_is_ldif(void **state)
{
	static const char want[] =
	    "# ipsecpol snapshot\n"
	    "# server: \"ldap://dc\\x0a\\\"x\"\n"
	    "# address: \"10.77.0.1\"\n"
	    "\n"
	    "# search: base=\"DC=x\\x0adn: CN=evil\\x1b\" scope=sub filter=\"(objectClass=*)\" outcome=ok entries=2\n"
	    "dn: CN=A\n"
	    "objectClass: top\n"
	    "objectClass: group\n"
	    "cn: one\n"
	    "\n"
	    "dn: CN=B\n"
	    "\n"
	    "# search: base=\"OU=B\xc3\xbcro\\xc2\\x9b\\xff\" scope=base filter=\"(objectClass=*)\" outcome=denied entries=0\n"
	    "\n";
	struct dir_entry e[] = { { "CN=A", attrs_one, 2 }, { "CN=B", NULL, 0 } }, *read;
	struct dir_snapshot *s = snapshot_new();
	struct err err;
	char *text;
	size_t n;

	(void)state;
	assert_int_equal(snapshot_set_server(s, "ldap://dc\n\"x", "10.77.0.1", &err), 0);
	add(s, "DC=x\ndn: CN=evil\x1b", DIR_SUB, DIR_OK, e, 2);
	add(s, "OU=B\xc3\xbcro\xc2\x9b\xff", DIR_BASE, DIR_DENIED, NULL, 0);
	text = snapshot_text(s);
	assert_string_equal(text, want);
	assert_int_equal(ldif_read(&read, &n, s->arena, text, strlen(text), &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(read[0].dn, "CN=A");
	assert_int_equal(read[1].n_attrs, 0);
	free(text);
	snapshot_free(s);
}

/* A snapshot of one entry of this class with this ipsecData, as text. */
static char *rule_text(const char *class, const struct dir_value *blob)
{
	struct dir_value classes[] = { VALUE("top"), { (const uint8_t *)class, strlen(class) } };
	struct dir_value data[] = { *blob }, secret[] = { VALUE("hunter2") };
	struct dir_attr attrs[] = { { "objectClass", classes, 2 }, { "UserPassword", secret, 1 },
	    { "unicodePwd;binary", secret, 1 }, { "ms-mcs-admpwd", secret, 1 }, { "IPSECDATA", data, 1 },
	    { "cn", one, 1 } };
	struct dir_entry e = { "CN=rule", attrs, N(attrs) };
	struct dir_snapshot *s = snapshot_new();
	char *text;

	add(s, "CN=rule", DIR_BASE, DIR_OK, &e, 1);
	text = snapshot_text(s);
	snapshot_free(s);
	return text;
}

static void snapshot_shows_no_key(void **state)
{
	struct ipsec_auth auth[] = {
		{ .method = IPSEC_AUTH_KERBEROS, .text = "" },
		{ .method = IPSEC_AUTH_PSK, .text = "the secret key" },
	};
	struct ipsec_rule rule = { .name = "", .description = "", .interface_name = "", .tunnel_name = "",
	    .active = true, .auth = auth, .n_auth = N(auth) }, got = rule;
	struct arena *a = arena_new(0);
	struct wr wr = { 0 };
	struct dir_entry *read;
	struct err err = { 0 };
	char *text;
	size_t n;

	(void)state;
	if (ipsecdata_nfa_build(&wr, &rule, &err) < 0)
		fail_msg("%s", err.msg);
	text = rule_text("ipsecNFA", &(struct dir_value){ wr.p, wr.len });
	assert_int_equal(ldif_read(&read, &n, a, text, strlen(text), &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(read->n_attrs, 3);
	assert_int_equal(ipsecdata_nfa_parse(&got, a, entry_value(read, "ipsecData"), &err), 0);
	assert_int_equal(got.n_auth, 2);
	assert_int_equal(got.auth[0].method, IPSEC_AUTH_KERBEROS);
	assert_int_equal(got.auth[1].method, IPSEC_AUTH_PSK);
	assert_string_equal(got.auth[1].text, "***");
	free(text);

	/* Without a key the bytes stay as they are. */
	free(wr.p);
	wr = (struct wr){ 0 };
	rule.n_auth = 1;
	assert_int_equal(ipsecdata_nfa_build(&wr, &rule, &err), 0);
	text = rule_text("ipsecNFA", &(struct dir_value){ wr.p, wr.len });
	assert_int_equal(ldif_read(&read, &n, a, text, strlen(text), &err), 0);
	assert_int_equal(entry_value(read, "ipsecData")->len, wr.len);
	assert_memory_equal(entry_value(read, "ipsecData")->p, wr.p, wr.len);
	free(text);
	free(wr.p);
	arena_free(a);
}

static void snapshot_shows_no_unreadable_rule(void **state)
{
	static const struct dir_value rubbish = VALUE("p\0s\0k\0");
	char *text = rule_text("ipsecNFA", &rubbish);

	(void)state;
	assert_non_null(strstr(text, "dn: CN=rule\nobjectClass: top\nobjectClass: ipsecNFA\n"
	    "# ipsecData: not shown, it could not be read\ncn: one\n\n"));
	free(text);
	/* Nor one whose class is not known. */
	text = rule_text("group", &rubbish);
	assert_non_null(strstr(text, "not shown"));
	free(text);
	text = rule_text("ipsecFilter", &rubbish);
	assert_null(strstr(text, "not shown"));
	assert_non_null(strstr(text, "IPSECDATA:: cABzAGsA\n"));
	assert_null(strstr(text, "hunter2"));
	free(text);
}

/* ---- facts ---- */

static const char facts_sorted[] =
    "dc 10.77.0.1\n"
    "dns 9.9.9.9\n"
    "dns 10.0.0.1\n"
    "dns 2001:db8::1\n"
    "gateway fe80::1\n";

static char *facts_text(const struct host_facts *f)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(facts_write(f, out), 0);
	fclose(out);
	return text;
}

static void facts_are_sorted_and_single(void **state)
{
	static const char in[] = "# of this morning\n\ngateway FE80:0::1\r\n dns\t2001:db8::1  \n"
	    "dns 10.0.0.1\ndns 9.9.9.9\n  # more\ndns 10.0.0.1\ndc 10.77.0.1";
	struct host_facts *f, *g;
	struct err err;
	char *text;

	(void)state;
	if (facts_read(&f, in, strlen(in), &err) < 0)
		fail_msg("%s", err.msg);
	text = facts_text(f);
	assert_string_equal(text, facts_sorted);
	assert_int_equal(facts_read(&g, text, strlen(text), &err), 0);
	assert_true(facts_equal(f, g));
	assert_int_equal(facts_add(g, FACT_WINS, &f->addrs[FACT_DC][0], &err), 0);
	assert_false(facts_equal(f, g));
	free(text);
	facts_free(f);
	facts_free(g);
	facts_free(NULL);
}

static void facts_errors_name_the_line(void **state)
{
	static const struct { const char *text; size_t len; const char *want; } cases[] = {
#define CASE(text, want)	{ text, sizeof(text) - 1, want }
		CASE("dns 10.0.0.1\n\nnds 10.0.0.1\n",
		    "line 3: 'nds' is none of dc, dhcp, dns, gateway, wins"),
		CASE("dns\n", "line 1: no address after 'dns'"),
		CASE("dns 10.0.0\n", "line 1: '10.0.0' is not an address"),
		CASE("dns 10.0.0.256", "line 1: '10.0.0.256' is not an address"),
		CASE("dns fe80::1%eth0", "line 1: 'fe80::1%eth0' is not an address"),
		CASE("#\ndns 10.0.0.1 10.0.0.2", "line 2: '10.0.0.2' after the address"),
		CASE("dns 10.0.0.1\0", "line 1: NUL byte"),
		CASE("DNS 10.0.0.1", "line 1: 'DNS' is none of dc, dhcp, dns, gateway, wins"),
#undef CASE
	};
	char longer[1000];
	struct host_facts *f = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(facts_read(&f, cases[i].text, cases[i].len, &err), -1);
		assert_string_equal(err.msg, cases[i].want);
		assert_null(f);
	}
	memset(longer, ' ', sizeof(longer));
	assert_int_equal(facts_read(&f, longer, sizeof(longer), &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.msg, "line 1: longer than 255 bytes");
}

static void facts_have_limits(void **state)
{
	struct ip_addr a = { .family = AF_INET };
	struct host_facts *f = facts_new();
	struct err err;

	(void)state;
	for (unsigned i = 0; i < 4096; i++) {
		a.b[2] = (uint8_t)(i * 7 >> 8);
		a.b[3] = (uint8_t)(i * 7);
		assert_int_equal(facts_add(f, FACT_DNS, &a, &err), 0);
	}
	for (size_t i = 1; i < f->n_addrs[FACT_DNS]; i++)
		assert_true(ip_addr_cmp(&f->addrs[FACT_DNS][i - 1], &f->addrs[FACT_DNS][i]) < 0);
	assert_int_equal(facts_add(f, FACT_DNS, &a, &err), 0);
	a.b[0] = 1;
	assert_int_equal(facts_add(f, FACT_DNS, &a, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	a.family = AF_UNIX;
	assert_int_equal(facts_add(f, FACT_DC, &a, &err), -1);
	assert_int_equal(err.code, ERR_FORMAT);
	facts_free(f);
}

static void facts_as_json(void **state)
{
	struct host_facts *f;
	struct err err;
	json_t *json;
	char *text;

	(void)state;
	assert_int_equal(facts_read(&f, facts_sorted, strlen(facts_sorted), &err), 0);
	json = facts_json(f);
	text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, "{\"address\":[],\"dc\":[\"10.77.0.1\"],\"dhcp\":[],"
	    "\"dns\":[\"9.9.9.9\",\"10.0.0.1\",\"2001:db8::1\"],\"gateway\":[\"fe80::1\"],\"wins\":[]}");
	free(text);
	json_decref(json);
	facts_free(f);
}

static void ip_addr_is_read_strictly(void **state)
{
	static const char *const bad[] = { "", "1.2.3", "1.2.3.4.5", "1.2.3.4/32", " 1.2.3.4", "01.2.3.4",
	    "::g", ":", "1::2::3", "localhost" };
	struct ip_addr a, b;
	char text[IP_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < N(bad); i++)
		if (ip_addr_read(&a, bad[i]))
			fail_msg("'%s' was taken for an address", bad[i]);
	assert_true(ip_addr_read(&a, "10.1.2.3"));
	assert_int_equal(a.family, AF_INET);
	assert_memory_equal(a.b, "\x0a\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_true(ip_addr_read(&b, "::FFFF:10.1.2.3"));
	assert_int_equal(b.family, AF_INET6);
	ip_addr_text(&b, text);
	assert_string_equal(text, "::ffff:10.1.2.3");
	assert_true(ip_addr_cmp(&a, &b) < 0);
	assert_true(ip_addr_cmp(&b, &a) > 0);
	assert_true(ip_addr_read(&b, "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"));
	ip_addr_text(&b, text);
	assert_string_equal(text, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void test_ascii(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x09, 0xaf, 0xff };
	char text[2 * sizeof(bytes) + 1];

	(void)state;
	hex_text(text, bytes, sizeof(bytes));
	assert_string_equal(text, "0009afff");
	hex_text(text, bytes, 0);
	assert_string_equal(text, "");
	for (int c = 0; c < 256; c++) {
		const char *digit = c ? strchr("0123456789abcdefABCDEF", c) : NULL;

		assert_int_equal(hex_digit((char)c), digit ? (int)strtol((char[]){ (char)c, 0 }, NULL, 16) : -1);
		assert_int_equal(ascii_lower((uint8_t)c), c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ascii),
		cmocka_unit_test(err_says_where_and_what),
		cmocka_unit_test(err_has_no_control_characters),
		cmocka_unit_test(err_is_cut_at_the_end),
		cmocka_unit_test(err_codes_have_names),
		cmocka_unit_test(arena_gives_aligned_zeroes),
		cmocka_unit_test(arena_refuses_what_is_too_much),
		cmocka_unit_test(arena_extends), cmocka_unit_test(arena_copies),
		cmocka_unit_test(rd_stops_at_the_end),
		cmocka_unit_test(wr_writes_little_endian),
		cmocka_unit_test(guid_is_read_and_printed),
		cmocka_unit_test(guid_refuses_other_text),
		cmocka_unit_test(guid_order_is_that_of_the_text),
		cmocka_unit_test(sid_is_read_and_printed),
		cmocka_unit_test(sid_refuses_other_text),
		cmocka_unit_test(dn_key_is_canonical),
		cmocka_unit_test(dn_equal_tells_apart),
		cmocka_unit_test(dn_parts_are_found),
		cmocka_unit_test(dn_value_is_unescaped),
		cmocka_unit_test(dn_and_domain_are_the_same_name),
		cmocka_unit_test(snapshot_copies_and_finds),
		cmocka_unit_test(snapshot_last_answer_wins),
		cmocka_unit_test(snapshot_knows_absent_from_denied),
		cmocka_unit_test(snapshot_root_dse_and_hidden_base),
		cmocka_unit_test(snapshot_holds_a_hundred_thousand),
		cmocka_unit_test(entry_int_is_strict),
		cmocka_unit_test(snapshot_text_is_ldif),
		cmocka_unit_test(snapshot_shows_no_key),
		cmocka_unit_test(snapshot_shows_no_unreadable_rule),
		cmocka_unit_test(facts_are_sorted_and_single),
		cmocka_unit_test(facts_errors_name_the_line),
		cmocka_unit_test(facts_have_limits),
		cmocka_unit_test(facts_as_json),
		cmocka_unit_test(ip_addr_is_read_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
