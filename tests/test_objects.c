#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/settings.h"
#include "store/objects.h"
#include "store/settings.h"
#include "store/store.h"
#include "tests/store_box.h"

#define OAKLEY	"SYSTEM\\CurrentControlSet\\Services\\PolicyAgent\\Oakley"
#define ID1	"{00000001-0000-0000-0000-000000000000}"
#define ID2	"{00000002-0000-0000-0000-00000000ABCD}"
#define ID3	"{00000003-0000-0000-0000-000000000000}"
#define POLICY	REG_LOCAL "\\ipsecPolicy" ID1
#define RULE	REG_LOCAL "\\ipsecNFA" ID2
#define MINE(name)	"CN=" name "," OBJECTS_DN

static struct store *s;

static int up(void **state)
{
	if (box_up(state) < 0)
		return -1;
	s = registry_open(dir, STORE_WRITE, &err);
	return s && store_begin(s, &err) == 0 ? 0 : -1;
}

static int down(void **state)
{
	store_close(s);
	return box_down(state);
}

static void put(const char *key, const char *name, enum reg_type type, const void *p, size_t len)
{
	struct reg_value v = value(name, type, p, len);

	fine(reg_set(s, key, &v, &err));
}

/* ---- attributes from literals: "name=value", several of one name one after the other ---- */

#define MAX_ATTRS	16

static struct dir_attr *attrs(size_t *ret_n, const char *const *texts)
{
	struct dir_attr *all = arena_zalloc(arena, MAX_ATTRS, sizeof(*all));
	size_t n = 0;

	for (; *texts; texts++) {
		const char *eq = strchr(*texts, '=');
		char *name = arena_strndup(arena, *texts, (size_t)(eq - *texts));

		if (n == 0 || strcmp(all[n - 1].name, name)) {
			all[n].name = name;
			all[n++].values = arena_zalloc(arena, MAX_ATTRS, sizeof(struct dir_value));
		}
		all[n - 1].values[all[n - 1].n_values++] = (struct dir_value){ (const uint8_t *)eq + 1, strlen(eq + 1) };
	}
	*ret_n = n;
	return all;
}

#define TEXTS(...)	(const char *const[]){ __VA_ARGS__, NULL }

static struct dir_attr attr(const char *const *texts)
{
	size_t n;

	return *attrs(&n, texts);
}

static struct dir_change add(const char *dn, const char *const *texts)
{
	struct dir_change c = { .kind = CHANGE_ADD, .dn = dn };

	c.attrs = attrs(&c.n_attrs, texts);
	return c;
}

static struct dir_change modify(const char *dn, struct dir_mod *mods, size_t n)
{
	return (struct dir_change){ .kind = CHANGE_MODIFY, .dn = dn, .mods = mods, .n_mods = n };
}

static int apply(struct dir_change c)
{
	return objects_apply(s, REG_LOCAL, &c, 1, 1795342500, &err);
}

static void refused(struct dir_change c, enum err_code code, const char *message)
{
	assert_int_equal(apply(c), -1);
	assert_string_equal(err.msg, message);
	assert_int_equal(err.code, code);
}

/* All objects as text: "dn", " name: value"... */
static const char *dump(const char *key)
{
	struct dir_entry *entries;
	size_t n = 0, len = 0;
	char *text = arena_zalloc(arena, 1, 65536);

	fine(objects_read(&entries, &n, arena, s, key, &err));
	for (size_t i = 0; i < n; i++) {
		len += (size_t)sprintf(text + len, "%s\n", entries[i].dn);
		for (size_t k = 0; k < entries[i].n_attrs; k++)
			for (size_t v = 0; v < entries[i].attrs[k].n_values; v++)
				len += (size_t)sprintf(text + len, " %s: %s\n", entries[i].attrs[k].name, (const char *)entries[i].attrs[k].values[v].p);
	}
	return text;
}

static struct dir_change rule_add(void)
{
	return add(MINE("ipsecNFA" ID2), TEXTS("objectClass=top", "objectClass=ipsecBase", "objectClass=ipsecNFA", "cn=ipsecNFA" ID2,
	    "ipsecName=a rule", "description=text", "ipsecID=" ID2, "ipsecDataType=256", "ipsecData=blob",
	    "ipsecOwnersReference=" MINE("ipsecPolicy" ID1),
	    "ipsecFilterReference=" MINE("ipsecFilter" ID3),
	    "ipsecNegotiationPolicyReference=" MINE("ipsecNegotiationPolicy" ID3),
	    "iPSECNegotiationPolicyType={62F49E10-6C37-11D1-864C-14A300000000}"));
}

static const char rule_text[] =
	MINE("ipsecNFA" ID2) "\n"
	" objectClass: top\n objectClass: ipsecBase\n objectClass: ipsecNFA\n cn: ipsecNFA" ID2 "\n"
	" description: text\n ipsecName: a rule\n ipsecID: " ID2 "\n ipsecDataType: 256\n ipsecData: blob\n"
	" iPSECNegotiationPolicyType: {62F49E10-6C37-11D1-864C-14A300000000}\n"
	" ipsecNegotiationPolicyReference: " MINE("ipsecNegotiationPolicy" ID3) "\n"
	" ipsecFilterReference: " MINE("ipsecFilter" ID3) "\n"
	" ipsecOwnersReference: " MINE("ipsecPolicy" ID1) "\n"
	" whenChanged: 20261122101500.0Z\n";

/* ---- tests ------------------------------------------------------------------------------------ */

static void test_add_and_read(void **state)
{
	struct dir_entry *entries;
	struct reg_value v;
	size_t n = 7;

	(void)state;
	fine(objects_read(&entries, &n, arena, s, REG_LOCAL, &err));
	assert_int_equal(n, 0);
	fine(apply(rule_add()));
	assert_string_equal(dump(REG_LOCAL), rule_text);
	assert_string_equal(dump(REG_PERSISTENT), "");
	/* As Windows has it. */
	assert_string_equal(got(s, RULE, "ClassName"), "ipsecNFA");
	assert_string_equal(got(s, RULE, "name"), "ipsecNFA" ID2);
	assert_string_equal(got(s, RULE, "ipsecName"), "a rule");
	assert_int_equal(reg_get(s, RULE, "ipsecDataType", &v, arena, &err), 1);
	assert_int_equal(v.type, REG_DWORD);
	assert_memory_equal(v.p, "\0\1\0\0", 4);
	assert_int_equal(reg_get(s, RULE, "ipsecData", &v, arena, &err), 1);
	assert_int_equal(v.type, REG_BINARY);
	assert_int_equal(v.len, 4);
	assert_int_equal(reg_get(s, RULE, "whenChanged", &v, arena, &err), 1);
	assert_int_equal(v.type, REG_DWORD);
	assert_memory_equal(v.p, "\xa4\xc0\x02\x6b", 4);
	assert_string_equal(multi(s, RULE, "ipsecOwnersReference"), POLICY "|");
	assert_string_equal(multi(s, RULE, "ipsecFilterReference"), REG_LOCAL "\\ipsecFilter" ID3 "|");
	assert_string_equal(got(s, RULE, "ipsecNegotiationPolicyReference"), REG_LOCAL "\\ipsecNegotiationPolicy" ID3);
	fine(store_commit(s, &err));
	store_close(s);
	s = registry_open(dir, STORE_READ, &err);
	assert_string_equal(dump(REG_LOCAL), rule_text);
}

/* What a registry file of a Windows host brings. */
static void test_read_windows(void **state)
{
	static const char owners[] = "HKEY_LOCAL_MACHINE\\software\\POLICIES\\Microsoft\\Windows\\IPSec\\Policy\\Local\\ipsecPolicy" ID1 "\0"
				     "SOFTWARE\\Policies\\Microsoft\\Windows\\ipsec\\policy\\local\\IPSECPOLICY" ID3;
	static const char action[] = REG_LOCAL "\\ipsecNegotiationPolicy" ID3;

	(void)state;
	put(RULE, "CLASSNAME", REG_SZ, "IPSECnfa", 8);
	put(RULE, "ipsecname", REG_MULTI_SZ, "a rule", 7);
	put(RULE, "description", REG_SZ, "", 0);
	put(RULE, "ipsecFilterReference", REG_SZ, REG_LOCAL "\\ipsecFilter" ID3, strlen(REG_LOCAL "\\ipsecFilter" ID3));
	put(RULE, "ipsecOwnersReference", REG_MULTI_SZ, owners, sizeof(owners));
	put(RULE, "ipsecNegotiationPolicyReference", REG_MULTI_SZ, action, sizeof(action));
	put(RULE, "ipsecNFAReference", REG_MULTI_SZ, "", 0);
	put(RULE, "ipsecISAKMPReference", REG_MULTI_SZ, "", 0);
	put(RULE, "somethingElse", REG_QWORD, "12345678", 8);
	put(RULE, "", REG_SZ, "default", 7);
	/* No ClassName: the key's name tells.  Nothing of ours: left where it is. */
	put(REG_LOCAL "\\ipsecFilter" ID3, "ipsecName", REG_SZ, "list", 4);
	put(REG_LOCAL "\\other", "ipsecName", REG_SZ, "list", 4);
	put(REG_LOCAL "\\ipsecThing" ID3, "ClassName", REG_SZ, "ipsecThing", 10);
	assert_string_equal(dump(REG_LOCAL),
	    MINE("ipsecFilter" ID3) "\n objectClass: top\n objectClass: ipsecBase\n objectClass: ipsecFilter\n cn: ipsecFilter" ID3 "\n ipsecName: list\n"
	    MINE("ipsecNFA" ID2) "\n objectClass: top\n objectClass: ipsecBase\n objectClass: ipsecNFA\n cn: ipsecNFA" ID2 "\n ipsecName: a rule\n"
	    " ipsecNegotiationPolicyReference: " MINE("ipsecNegotiationPolicy" ID3) "\n"
	    " ipsecFilterReference: " MINE("ipsecFilter" ID3) "\n"
	    " ipsecOwnersReference: " MINE("ipsecPolicy" ID1) "\n"
	    " ipsecOwnersReference: " MINE("IPSECPOLICY" ID3) "\n");
}

static void test_read_refuses(void **state)
{
	static const struct {
		const char *name;
		enum reg_type type;
		const char *p;
		size_t len;
		const char *message;
	} cases[] = {
		{ "ipsecData", REG_SZ, "x", 1, "key '" RULE "': value 'ipsecData' is not REG_BINARY" },
		{ "ipsecName", REG_BINARY, "x", 1, "key '" RULE "': value 'ipsecName' is not REG_SZ" },
		{ "ipsecName", REG_MULTI_SZ, "x\0y", 4, "key '" RULE "': value 'ipsecName' is not REG_SZ" },
		{ "ClassName", REG_DWORD, "1234", 4, "key '" RULE "': value 'ClassName' is not REG_SZ" },
		{ "whenChanged", REG_QWORD, "12345678", 8, "key '" RULE "': value 'whenChanged' is not REG_DWORD" },
		{ "ipsecDataType", REG_SZ, "256", 3, "key '" RULE "': value 'ipsecDataType' is not REG_DWORD" },
		{ "ipsecNFAReference", REG_BINARY, "x", 1, "key '" RULE "': value 'ipsecNFAReference' is not REG_MULTI_SZ" },
		{ "ipsecNFAReference", REG_MULTI_SZ, "x", 2, "key '" RULE "': value 'ipsecNFAReference': 'x' is no object of this store" },
		{ "ipsecISAKMPReference", REG_SZ, REG_PERSISTENT "\\x", sizeof(REG_PERSISTENT) + 1,
		  "key '" RULE "': value 'ipsecISAKMPReference': '" REG_PERSISTENT "\\x' is no object of this store" },
		{ "ipsecISAKMPReference", REG_SZ, REG_LOCAL "\\x\\y", sizeof(REG_LOCAL) + 3,
		  "key '" RULE "': value 'ipsecISAKMPReference': '" REG_LOCAL "\\x\\y' is no object of this store" },
		{ "ipsecISAKMPReference", REG_SZ, REG_LOCAL "\\", sizeof(REG_LOCAL),
		  "key '" RULE "': value 'ipsecISAKMPReference': '" REG_LOCAL "\\' is no object of this store" },
		{ "ipsecISAKMPReference", REG_SZ, REG_LOCAL "x", sizeof(REG_LOCAL),
		  "key '" RULE "': value 'ipsecISAKMPReference': '" REG_LOCAL "x' is no object of this store" },
	};
	struct dir_entry *entries;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(RULE, cases[i].name, cases[i].type, cases[i].p, cases[i].len);
		assert_int_equal(objects_read(&entries, &n, arena, s, REG_LOCAL, &err), -1);
		assert_int_equal(err.code, ERR_FORMAT);
		assert_string_equal(err.msg, cases[i].message);
		fine(reg_delete_key(s, RULE, &err));
	}
}

/* Any name of a key is a name of an object, and comes back as it was. */
static void test_names(void **state)
{
	static const char *const names[] = { "ipsecFilter{a,b}", "ipsecFilter{\"+;<=>}", "ipsecFilter{ } ", "ipsecFilter{#}", "ipsecFilter{a  b}", "ipsecFilter{\xc3\xbc}" };
	struct dir_entry *entries;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *key = arena_printf(arena, REG_LOCAL "\\%s", names[i]);
		struct dir_change c = { .kind = CHANGE_DELETE };

		put(key, "ipsecName", REG_SZ, "x", 1);
		fine(objects_read(&entries, &n, arena, s, REG_LOCAL, &err));
		assert_int_equal(n, 1);
		c.dn = entries[0].dn;
		fine(apply(c));
		fine(objects_read(&entries, &n, arena, s, REG_LOCAL, &err));
		assert_int_equal(n, 0);
	}
}

static void test_modify(void **state)
{
	struct dir_mod mods[] = {
		{ MOD_REPLACE, attr(TEXTS("ipsecName=new name")), attr(TEXTS("ipsecName=a rule")) },
		{ MOD_REPLACE, { "description", NULL, 0 }, attr(TEXTS("description=text")) },
		{ MOD_ADD, attr(TEXTS("ipsecOwnersReference=" MINE("ipsecPolicy" ID3))), { 0 } },
		{ MOD_DELETE, attr(TEXTS("ipsecOwnersReference=cn=IPSECPOLICY" ID1 ", cn=ip security")), { 0 } },
		{ MOD_DELETE, attr(TEXTS("ipsecFilterReference=" MINE("ipsecFilter" ID3))), { 0 } },
		{ MOD_REPLACE, attr(TEXTS("whenChanged=20000101000000.0Z")), { 0 } },
		{ MOD_ADD, attr(TEXTS("ipsecNFAReference=" MINE("b"), "ipsecNFAReference=" MINE("a"))), { 0 } },
		{ MOD_REPLACE, attr(TEXTS("ipsecNFAReference=" MINE("c"))), attr(TEXTS("ipsecNFAReference=" MINE("A"), "ipsecNFAReference=" MINE("B"))) },
	};

	(void)state;
	fine(apply(rule_add()));
	put(RULE, "unknown", REG_SZ, "stays", 5);
	/* Written by somebody as REG_SZ: not touched, not rewritten. */
	put(RULE, "ipsecID", REG_MULTI_SZ, ID2, sizeof(ID2));
	fine(apply(modify("cn=IPSECNFA" ID2 ", CN=IP security", mods, sizeof(mods) / sizeof(mods[0]))));
	assert_string_equal(dump(REG_LOCAL),
	    MINE("ipsecNFA" ID2) "\n objectClass: top\n objectClass: ipsecBase\n objectClass: ipsecNFA\n cn: ipsecNFA" ID2 "\n"
	    " ipsecName: new name\n ipsecID: " ID2 "\n ipsecDataType: 256\n ipsecData: blob\n"
	    " iPSECNegotiationPolicyType: {62F49E10-6C37-11D1-864C-14A300000000}\n"
	    " ipsecNegotiationPolicyReference: " MINE("ipsecNegotiationPolicy" ID3) "\n"
	    " ipsecNFAReference: " MINE("c") "\n"
	    " ipsecOwnersReference: " MINE("ipsecPolicy" ID3) "\n"
	    " whenChanged: 20261122101500.0Z\n");
	assert_string_equal(got(s, RULE, "unknown"), "stays");
	assert_string_equal(multi(s, RULE, "ipsecID"), ID2 "|");
	assert_string_equal(got(s, RULE, "name"), "ipsecNFA" ID2);
}

static void test_modify_refuses(void **state)
{
	static const char dn[] = MINE("ipsecNFA" ID2);
	struct {
		struct dir_mod mod;
		enum err_code code;
		const char *message;
	} cases[] = {
		{ { MOD_REPLACE, attr(TEXTS("ipsecName=new")), attr(TEXTS("ipsecName=other")) }, ERR_BUSY, "object 'ipsecNFA" ID2 "': ipsecName was changed meanwhile" },
		{ { MOD_REPLACE, attr(TEXTS("ipsecName=new")), { "ipsecName", NULL, 0 } }, ERR_BUSY, "object 'ipsecNFA" ID2 "': ipsecName was changed meanwhile" },
		{ { MOD_REPLACE, attr(TEXTS("ipsecISAKMPReference=" MINE("x"))), attr(TEXTS("ipsecISAKMPReference=" MINE("x"))) }, ERR_BUSY,
		  "object 'ipsecNFA" ID2 "': ipsecISAKMPReference was changed meanwhile" },
		{ { MOD_REPLACE, attr(TEXTS("ipsecDataType=1")), attr(TEXTS("ipsecDataType=255")) }, ERR_BUSY, "object 'ipsecNFA" ID2 "': ipsecDataType was changed meanwhile" },
		{ { MOD_ADD, attr(TEXTS("ipsecOwnersReference=" MINE("IPSECpolicy" ID1))), { 0 } }, ERR_BUSY, "object 'ipsecNFA" ID2 "': ipsecOwnersReference was changed meanwhile" },
		{ { MOD_DELETE, attr(TEXTS("ipsecOwnersReference=" MINE("ipsecPolicy" ID3))), { 0 } }, ERR_BUSY, "object 'ipsecNFA" ID2 "': ipsecOwnersReference was changed meanwhile" },
		{ { MOD_DELETE, attr(TEXTS("ipsecName=a")), { 0 } }, ERR_BUSY, "object 'ipsecNFA" ID2 "': ipsecName was changed meanwhile" },
		{ { MOD_ADD, attr(TEXTS("ipsecName=second")), { 0 } }, ERR_FORMAT, "object 'ipsecNFA" ID2 "': ipsecName has 2 values" },
		{ { MOD_ADD, attr(TEXTS("ipsecOwnersReference=CN=x,CN=elsewhere")), { 0 } }, ERR_FORMAT,
		  "object 'ipsecNFA" ID2 "': ipsecOwnersReference 'CN=x,CN=elsewhere' is no object of this store" },
		{ { MOD_REPLACE, attr(TEXTS("ipsecDataType=4294967296")), attr(TEXTS("ipsecDataType=256")) }, ERR_FORMAT,
		  "object 'ipsecNFA" ID2 "': ipsecDataType '4294967296' is not a number of 32 bits" },
		{ { MOD_REPLACE, attr(TEXTS("ipsecDataType=-1")), attr(TEXTS("ipsecDataType=256")) }, ERR_FORMAT,
		  "object 'ipsecNFA" ID2 "': ipsecDataType '-1' is not a number of 32 bits" },
		{ { MOD_ADD, attr(TEXTS("uSNChanged=1")), { 0 } }, ERR_UNSUPPORTED, "object 'ipsecNFA" ID2 "': attribute 'uSNChanged' has no place in the registry" },
	};
	struct dir_mod *mod = &cases[0].mod;

	(void)state;
	refused(modify(dn, mod, 1), ERR_BUSY, "object 'ipsecNFA" ID2 "' was deleted meanwhile");
	fine(apply(rule_add()));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(modify(dn, &cases[i].mod, 1), cases[i].code, cases[i].message);
	assert_string_equal(dump(REG_LOCAL), rule_text);
}

static void test_add_and_delete_refuse(void **state)
{
	struct dir_change gone = { .kind = CHANGE_DELETE, .dn = MINE("ipsecNFA" ID2) };

	(void)state;
	refused(gone, ERR_ABSENT, "object 'ipsecNFA" ID2 "' was deleted meanwhile");
	fine(apply(rule_add()));
	refused(rule_add(), ERR_BUSY, "object 'ipsecNFA" ID2 "' exists already");
	refused(add(MINE("x"), TEXTS("objectClass=top", "ipsecName=x")), ERR_FORMAT, "object 'x' has no class of IPsec policies");
	refused(add(MINE("x"), TEXTS("objectClass=ipsecNFA", "nTSecurityDescriptor=x")), ERR_UNSUPPORTED,
	    "object 'x': attribute 'nTSecurityDescriptor' has no place in the registry");
	refused(add("CN=x,CN=elsewhere", TEXTS("objectClass=ipsecNFA")), ERR_FORMAT, "'CN=x,CN=elsewhere' is no object of this store");
	refused(add(OBJECTS_DN, TEXTS("objectClass=ipsecNFA")), ERR_FORMAT, "'" OBJECTS_DN "' is no object of this store");
	refused(add("OU=x," OBJECTS_DN, TEXTS("objectClass=ipsecNFA")), ERR_FORMAT, "'OU=x," OBJECTS_DN "' is no object of this store");
	refused(add("CN=a\\\\b," OBJECTS_DN, TEXTS("objectClass=ipsecNFA")), ERR_FORMAT, "'CN=a\\\\b," OBJECTS_DN "' is no object of this store");
	refused(add("CN=x,CN=y," OBJECTS_DN, TEXTS("objectClass=ipsecNFA")), ERR_FORMAT, "'CN=x,CN=y," OBJECTS_DN "' is no object of this store");
	fine(apply(gone));
	assert_null(strstr(dump(REG_LOCAL), ID2));
	store_rollback(s);
	assert_int_equal(apply(rule_add()), -1);
}

static void test_many_references(void **state)
{
	enum { N = 20000 };
	struct dir_mod mod = { .kind = MOD_ADD, .attr = { "ipsecNFAReference", arena_zalloc(arena, N, sizeof(struct dir_value)), N } };
	struct dir_entry *entries;
	size_t n;

	(void)state;
	fine(apply(add(MINE("ipsecPolicy" ID1), TEXTS("objectClass=ipsecPolicy", "ipsecID=" ID1))));
	for (int i = 0; i < N; i++) {
		const char *dn = arena_printf(arena, MINE("ipsecNFA%d"), i * 7919 % N);

		mod.attr.values[i] = (struct dir_value){ (const uint8_t *)dn, strlen(dn) };
	}
	fine(apply(modify(MINE("ipsecPolicy" ID1), &mod, 1)));
	fine(objects_read(&entries, &n, arena, s, REG_LOCAL, &err));
	assert_int_equal(entry_attr(&entries[0], "ipsecNFAReference")->n_values, N);
	mod.kind = MOD_DELETE;
	fine(apply(modify(MINE("ipsecPolicy" ID1), &mod, 1)));
	fine(objects_read(&entries, &n, arena, s, REG_LOCAL, &err));
	assert_null(entry_attr(&entries[0], "ipsecNFAReference"));
}

static void test_active(void **state)
{
	static const char path[] = "HKEY_LOCAL_MACHINE\\SOFTWARE\\policies\\Microsoft\\Windows\\IPSec\\Policy\\LOCAL\\ipsecPolicy" ID1;
	const char *dn = NULL;

	(void)state;
	assert_int_equal(objects_active(&dn, arena, s, REG_LOCAL, &err), 0);
	fine(objects_set_active(s, REG_LOCAL, NULL, &err));
	fine(objects_set_active(s, REG_LOCAL, MINE("ipsecPolicy" ID1), &err));
	assert_string_equal(got(s, REG_LOCAL, "ActivePolicy"),
	    "SOFTWARE\\Policies\\Microsoft\\Windows\\IPSec\\Policy\\Local\\ipsecPolicy" ID1);
	assert_int_equal(objects_active(&dn, arena, s, REG_LOCAL, &err), 1);
	assert_string_equal(dn, MINE("ipsecPolicy" ID1));
	assert_int_equal(objects_active(&dn, arena, s, REG_PERSISTENT, &err), 0);
	assert_int_equal(objects_set_active(s, REG_LOCAL, "CN=x,DC=corp", &err), -1);
	assert_string_equal(err.msg, "'CN=x,DC=corp' is no object of this store");
	put(REG_LOCAL, "ActivePolicy", REG_SZ, path, sizeof(path) - 1);
	assert_int_equal(objects_active(&dn, arena, s, REG_LOCAL, &err), 1);
	assert_string_equal(dn, MINE("ipsecPolicy" ID1));
	put(REG_LOCAL, "ActivePolicy", REG_MULTI_SZ, path, sizeof(path));
	assert_int_equal(objects_active(&dn, arena, s, REG_LOCAL, &err), 1);
	put(REG_LOCAL, "ActivePolicy", REG_SZ, "", 0);
	assert_int_equal(objects_active(&dn, arena, s, REG_LOCAL, &err), 0);
	put(REG_LOCAL, "ActivePolicy", REG_SZ, "ipsecPolicy" ID1, strlen("ipsecPolicy" ID1));
	assert_int_equal(objects_active(&dn, arena, s, REG_LOCAL, &err), -1);
	assert_string_equal(err.msg, "key '" REG_LOCAL "': value 'ActivePolicy': 'ipsecPolicy" ID1 "' is no object of this store");
	put(REG_LOCAL, "ActivePolicy", REG_DWORD, "1234", 4);
	assert_int_equal(objects_active(&dn, arena, s, REG_LOCAL, &err), -1);
	assert_int_equal(err.code, ERR_FORMAT);
	fine(objects_set_active(s, REG_LOCAL, NULL, &err));
	assert_null(got(s, REG_LOCAL, "ActivePolicy"));
}

/* ---- settings ------------------------------------------------------------------------------------- */

static void test_settings(void **state)
{
	static const char text[] = "bootmode block\nbootexemptions icmp:inbound tcp:0:3389:inbound\nipsecexempt 0\nipsecdiagnostics 7\n"
				   "ipsecdiagnosticsuntil 253402300799\nipsecloginterval 120\nikelogging 1\nstrongcrlcheck 2\n";
	struct settings want, have, initial;
	struct reg_value v;

	(void)state;
	settings_default(&initial);
	memset(&have, 0x55, sizeof(have));
	fine(settings_load(&have, s, &err));
	assert_true(settings_equal(&have, &initial));
	fine(settings_read(&want, text, strlen(text), &err));
	fine(settings_save(s, &want, &err));
	fine(settings_load(&have, s, &err));
	assert_true(settings_equal(&have, &want));
	assert_int_equal(reg_get(s, REG_SERVICE, "OperationMode", &v, arena, &err), 1);
	assert_int_equal(v.type, REG_DWORD);
	assert_memory_equal(v.p, "\1\0\0\0", 4);
	assert_string_equal(multi(s, REG_SERVICE, "BootExemptList"), "icmp:inbound|tcp:0:3389:inbound|");
	assert_int_equal(reg_get(s, REG_SERVICE, "NoDefaultExempt", &v, arena, &err), 1);
	assert_memory_equal(v.p, "\0\0\0\0", 4);
	assert_int_equal(reg_get(s, REG_SERVICE, "EnableDiagnostics", &v, arena, &err), 1);
	assert_memory_equal(v.p, "\7\0\0\0", 4);
	assert_int_equal(reg_get(s, REG_SERVICE, "DiagnosticsUntil", &v, arena, &err), 1);
	assert_int_equal(v.type, REG_QWORD);
	assert_memory_equal(v.p, "\x7f\x41\xf4\xff\x3a\0\0\0", 8);
	assert_int_equal(reg_get(s, REG_SERVICE, "LogInterval", &v, arena, &err), 1);
	assert_memory_equal(v.p, "\x78\0\0\0", 4);
	assert_int_equal(reg_get(s, OAKLEY, "EnableLogging", &v, arena, &err), 1);
	assert_memory_equal(v.p, "\1\0\0\0", 4);
	assert_int_equal(reg_get(s, OAKLEY, "StrongCrlCheck", &v, arena, &err), 1);
	assert_memory_equal(v.p, "\2\0\0\0", 4);
	want.boot_mode = BOOT_STATEFUL;
	fine(settings_save(s, &want, &err));
	assert_int_equal(reg_get(s, REG_SERVICE, "OperationMode", &v, arena, &err), 1);
	assert_memory_equal(v.p, "\3\0\0\0", 4);
	want.boot_mode = BOOT_PERMIT;
	fine(settings_save(s, &want, &err));
	assert_int_equal(reg_get(s, REG_SERVICE, "OperationMode", &v, arena, &err), 1);
	assert_memory_equal(v.p, "\0\0\0\0", 4);
	/* Defaults leave no values, and what is not ours stays. */
	put(REG_SERVICE, "Start", REG_DWORD, "\2\0\0\0", 4);
	fine(settings_save(s, &initial, &err));
	fine(settings_load(&have, s, &err));
	assert_true(settings_equal(&have, &initial));
	assert_int_equal(reg_get(s, REG_SERVICE, "OperationMode", &v, arena, &err), 0);
	assert_int_equal(reg_get(s, OAKLEY, "StrongCrlCheck", &v, arena, &err), 0);
	assert_int_equal(reg_get(s, REG_SERVICE, "Start", &v, arena, &err), 1);
}

static void test_settings_refuse(void **state)
{
#define SERVICE(name)	"key '" REG_SERVICE "': value '" name "': "
	static const struct {
		const char *key, *name;
		enum reg_type type;
		const char *p;
		size_t len;
		const char *message;
	} cases[] = {
		{ REG_SERVICE, "OperationMode", REG_DWORD, "\2\0\0\0", 4, SERVICE("OperationMode") "2 is none of 0, 1, 3" },
		{ REG_SERVICE, "OperationMode", REG_SZ, "1", 1, SERVICE("OperationMode") "not of type REG_DWORD" },
		{ REG_SERVICE, "BootExemptList", REG_SZ, "icmp:inbound", 12, SERVICE("BootExemptList") "not of type REG_MULTI_SZ" },
		{ REG_SERVICE, "BootExemptList", REG_MULTI_SZ, "icmp:inbound\0tcp:0:1:x", 23,
		  SERVICE("BootExemptList") "bootexemptions 'tcp:0:1:x': the direction is not inbound or outbound" },
		{ REG_SERVICE, "BootExemptList", REG_MULTI_SZ, "1:inbound 6:0:0:inbound", 24, SERVICE("BootExemptList") "'1:inbound 6:0:0:inbound' is not one exemption" },
		{ REG_SERVICE, "BootExemptList", REG_MULTI_SZ, "none", 5,
		  SERVICE("BootExemptList") "bootexemptions 'none': not PROTOCOL:SRCPORT:DSTPORT:DIRECTION, nor PROTOCOL:DIRECTION" },
		{ REG_SERVICE, "NoDefaultExempt", REG_DWORD, "\4\0\0\0", 4, SERVICE("NoDefaultExempt") "ipsecexempt '4' is not a number of 0 to 3" },
		{ REG_SERVICE, "NoDefaultExempt", REG_DWORD, "\xff\xff\xff\xff", 4, SERVICE("NoDefaultExempt") "ipsecexempt '4294967295' is not a number of 0 to 3" },
		{ REG_SERVICE, "EnableDiagnostics", REG_DWORD, "\x8\0\0\0", 4, SERVICE("EnableDiagnostics") "ipsecdiagnostics '8' is not a number of 0 to 7" },
		{ REG_SERVICE, "DiagnosticsUntil", REG_QWORD, "\xff\xff\xff\xff\xff\xff\xff\xff", 8,
		  SERVICE("DiagnosticsUntil") "ipsecdiagnosticsuntil '18446744073709551615' is not a number of 0 to 253402300799" },
		{ REG_SERVICE, "DiagnosticsUntil", REG_DWORD, "\1\0\0\0", 4, SERVICE("DiagnosticsUntil") "not of type REG_QWORD" },
		{ REG_SERVICE, "LogInterval", REG_DWORD, "\0\0\0\0", 4, SERVICE("LogInterval") "ipsecloginterval '0' is not a number of 60 to 86400" },
		{ OAKLEY, "EnableLogging", REG_DWORD, "\2\0\0\0", 4, "key '" OAKLEY "': value 'EnableLogging': ikelogging '2' is not a number of 0 to 1" },
		{ OAKLEY, "StrongCrlCheck", REG_BINARY, "\2\0\0\0", 4, "key '" OAKLEY "': value 'StrongCrlCheck': not of type REG_DWORD" },
	};
	struct settings have, before;

	(void)state;
	settings_default(&have);
	have.log_interval = 77;
	before = have;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(cases[i].key, cases[i].name, cases[i].type, cases[i].p, cases[i].len);
		assert_int_equal(settings_load(&have, s, &err), -1);
		assert_int_equal(err.code, ERR_FORMAT);
		assert_string_equal(err.msg, cases[i].message);
		assert_memory_equal(&have, &before, sizeof(have));
		fine(reg_delete_value(s, cases[i].key, cases[i].name, &err));
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)
	const struct CMUnitTest tests[] = {
		TEST(test_add_and_read),
		TEST(test_read_windows),
		TEST(test_read_refuses),
		TEST(test_names),
		TEST(test_modify),
		TEST(test_modify_refuses),
		TEST(test_add_and_delete_refuse),
		TEST(test_many_references),
		TEST(test_active),
		TEST(test_settings),
		TEST(test_settings_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
