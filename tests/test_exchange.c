/* Stores to files and back; broken files leave everything as it was. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/exchange.h"
#include "agent/exchange_parts.h"
#include "agent/netsh.h"
#include "agent/session.h"
#include "schema/arena.h"
#include "store/regfile.h"
#include "tests/folder.h"
#include "tests/policies.h"

#define LOCAL	"CN=IP Security"
#define DOMAIN	"CN=IP Security,CN=System,DC=corp,DC=example"

/* ---- a store in memory ---- */

static struct store_edit edit_new(enum store_location location, const char *dn)
{
	struct store_edit e = { .location = location };

	assert_int_equal(container_read(&e.container, dn, NULL, 0, &err), 0);
	return e;
}

static void edit_free(struct store_edit *e)
{
	container_free(e->container);
	memset(e, 0, sizeof(*e));
}

/* GPOs of the domain: what each assigns. */
static struct {
	const char	*id, *name, *policy;	/* id NULL: found by its name alone */
} gpos[4];
static bool offline;

static int fake_users(struct backend *b, const char *policy_dn, struct gpo_user **ret, size_t *ret_n, struct arena *a, struct err *e)
{
	struct gpo_user *users = arena_zalloc(a, 4, sizeof(*users));
	size_t n = 0;

	(void)b;
	(void)e;
	for (size_t i = 0; i < 4; i++)
		if (gpos[i].policy && dn_equal(gpos[i].policy, policy_dn))
			users[n++] = (struct gpo_user){ gpos[i].id ? gpos[i].id : gpos[i].name, gpos[i].name };
	*ret = users;
	*ret_n = n;
	return 0;
}

static int fake_assigned(struct backend *b, const char *gpo, const char **ret_dn, struct arena *a, struct err *e)
{
	(void)b;
	(void)a;
	if (offline)
		return err_set(e, ERR_OFFLINE, "no domain controller answered");
	for (size_t i = 0; i < 4; i++)
		if (gpos[i].name && !strcmp(gpos[i].id ? gpos[i].id : gpos[i].name, gpo)) {
			*ret_dn = gpos[i].policy;
			return gpos[i].policy != NULL;
		}
	return err_set(e, ERR_ABSENT, "GPO '%s' does not exist", gpo);
}

static struct backend backend = { .users = fake_users, .assigned = fake_assigned };

/* "exportpolicy", "file=..."... ; what it says is in said. */
static char *said;

static int run(struct store_edit *e, char *const *words, size_t n)
{
	struct netsh_args args = { 0 };
	size_t len;
	FILE *out;
	int rc;

	memset(&err, 0, sizeof(err));
	if (netsh_parse(&args, arena, NETSH_STATIC, words, n, &err))
		fail_msg("%s", err.msg);
	free(said);
	said = NULL;
	out = open_memstream(&said, &len);
	assert_non_null(out);
	if (args.command->id == CMD_EXPORTPOLICY)
		rc = exchange_export(e, &backend, &args, out, &err);
	else
		rc = exchange_import(e, &backend, &args, out, &err);
	fclose(out);
	return rc;
}

#define RUN(e, ...) run(e, (char *const[]){ __VA_ARGS__ }, sizeof((char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static char *file_arg(const char *name)
{
	return arena_printf(arena, "file=%s", at(name));
}

static void done(int rc)
{
	if (rc)
		fail_msg("%s", err.msg);
}

/* All policies of a container as text, without where and when. */
static char *policies_text(const struct ipsec_container *c)
{
	char *all = arena_strdup(arena, "");

	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = c->objects[i];
		struct ipsec_policy *p = NULL;

		if (o->class != OBJ_POLICY || o->deleted)
			continue;
		if (container_policy(&p, c, o, &err))
			fail_msg("%s", err.msg);
		p->dn = LOCAL;
		p->when_changed = "";
		all = arena_printf(arena, "%s%s", all, text_of(p, POLICY_SEALED));
		policy_free(p);
	}
	return all;
}

/* The same container, written and read again. */
static void edit_store(struct store_edit *e)
{
	struct ipsec_container *c = NULL;
	struct dir_entry *entries = NULL;
	size_t n = 0;

	assert_int_equal(exchange_entries(&entries, &n, arena, e->container, true, NULL, &err), 0);
	assert_int_equal(container_read(&c, e->container->dn, entries, n, &err), 0);
	e->active = e->active ? arena_strdup(c->arena, e->active) : NULL;
	container_free(e->container);
	e->container = c;
	e->active_changed = false;
	e->gpos = NULL;
	e->n_gpos = 0;
}

static size_t n_changes(struct store_edit *e)
{
	struct dir_change *changes = NULL;
	size_t n = 0;

	assert_int_equal(container_changes(&changes, &n, arena, e->container, &err), 0);
	return n + e->active_changed + e->n_gpos;
}

static struct ipsec_object *policy_at(const struct ipsec_container *c, size_t i)
{
	for (size_t k = 0; k < c->n_objects; k++)
		if (c->objects[k]->class == OBJ_POLICY && !c->objects[k]->deleted && i-- == 0)
			return c->objects[k];
	fail_msg("no such policy");
	return NULL;
}

static void fill(struct store_edit *e, size_t n)
{
	while (n--) {
		struct ipsec_policy *p = any_policy();

		if (container_put_policy(e->container, p, &err))
			fail_msg("%s", err.msg);
		policy_free(p);
	}
}

/* tests/data/NAME to TMP/NAME. */
static char *fixture(const char *name)
{
	const char *dir = getenv("srcdir");
	FILE *f = fopen(arena_printf(arena, "%s/tests/data/%s", dir ? dir : ".", name), "r");
	char *text = arena_zalloc(arena, 1, 65536);

	assert_non_null(f);
	assert_in_range(fread(text, 1, 65535, f), 1, 65534);
	fclose(f);
	return text;
}

/* ---- round trips ---- */

static void round_trip(struct store_edit *from, const char *format, enum store_location location, const char *dn)
{
	struct store_edit to = edit_new(location, dn);
	char *text = policies_text(from->container);

	done(RUN(from, (char *)"exportpolicy", file_arg("trip"), arena_printf(arena, "format=%s", format)));
	done(RUN(&to, (char *)"importpolicy", file_arg("trip")));
	assert_string_equal(policies_text(to.container), text);
	edit_store(&to);
	assert_string_equal(policies_text(to.container), text);
	/* Once more: nothing is new. */
	done(RUN(&to, (char *)"importpolicy", file_arg("trip")));
	assert_non_null(strstr(said, "0 objects new, "));
	assert_string_equal(policies_text(to.container), text);
	edit_free(&to);
}

static void test_round_trips(void **state)
{
	static const char *const formats[] = { "reg", "reg-utf8", "ldif" };

	(void)state;
	for (int i = 0; i < 25; i++) {
		struct store_edit e = edit_new(LOCATION_LOCAL, LOCAL);

		fill(&e, 1 + dice(3));
		if (i % 2)
			edit_store(&e);
		/* Not each with each: an export waits for the disk. */
		for (size_t k = 0; k < 3; k++) {
			enum store_location to = (enum store_location)dice(3);

			round_trip(&e, formats[k], to, to == LOCATION_DOMAIN ? DOMAIN : LOCAL);
		}
		edit_free(&e);
	}
}

static void test_domain_to_local(void **state)
{
	struct store_edit e = edit_new(LOCATION_DOMAIN, DOMAIN);

	(void)state;
	fill(&e, 2);
	edit_store(&e);
	round_trip(&e, "reg", LOCATION_LOCAL, LOCAL);
	round_trip(&e, "ldif", LOCATION_PERSISTENT, LOCAL);
	edit_free(&e);
}

/* What another one changed or added stays. */
static void test_merge(void **state)
{
	struct store_edit a = edit_new(LOCATION_LOCAL, LOCAL), b = edit_new(LOCATION_LOCAL, LOCAL);
	struct ipsec_object *p;
	char *text_a;

	(void)state;
	fill(&a, 1);
	edit_store(&a);
	text_a = policies_text(a.container);
	done(RUN(&a, (char *)"exportpolicy", file_arg("a.reg")));
	fill(&b, 1);
	edit_store(&b);
	done(RUN(&b, (char *)"importpolicy", file_arg("a.reg")));
	edit_store(&b);
	assert_non_null(strstr(policies_text(b.container), text_a));
	assert_int_not_equal(strlen(policies_text(b.container)), strlen(text_a));
	/* The file wins over what has its GUID. */
	p = container_find_id(b.container, OBJ_POLICY, &policy_at(a.container, 0)->id);
	p->name = "another";
	p->policy.polling_seconds = 77;
	object_touch(p);
	edit_store(&b);
	assert_null(strstr(policies_text(b.container), text_a));
	done(RUN(&b, (char *)"importpolicy", file_arg("a.reg")));
	edit_store(&b);
	assert_non_null(strstr(policies_text(b.container), text_a));
	edit_free(&a);
	edit_free(&b);
}

/* ---- Windows' own ---- */

static void test_windows(void **state)
{
	struct store_edit e = edit_new(LOCATION_LOCAL, LOCAL), p = edit_new(LOCATION_PERSISTENT, LOCAL), d = edit_new(LOCATION_DOMAIN, DOMAIN);
	char *text;

	(void)state;
	file_write(at("w.reg"), fixture("windows-local.reg"), 0600);
	done(RUN(&e, (char *)"importpolicy", file_arg("w.reg")));
	assert_string_equal(said, "from Policy\\Local: 7 objects new, 0 replaced\nassigned, as in the file: 'Kontor C:\\Schutz'\n");
	assert_string_equal(e.active, policy_at(e.container, 0)->dn);
	assert_true(e.active_changed);
	text = policies_text(e.container);
	assert_non_null(strstr(text, "\tname \"Kontor C:\\\\Schutz\"\n"));
	assert_non_null(strstr(text, "\"geheim\""));
	assert_non_null(strstr(text, "10.20.0.0/16"));
	/* The persistent store is another place, and the domain assigns nothing by a file. */
	done(RUN(&p, (char *)"importpolicy", file_arg("w.reg"), (char *)"assignments=no"));
	assert_string_equal(said, "from Policy\\Local: 7 objects new, 0 replaced\nwhat the file assigns was not assigned (assignments=yes does it)\n");
	assert_null(p.active);
	assert_string_equal(policies_text(p.container), text);
	done(RUN(&d, (char *)"importpolicy", file_arg("w.reg"), (char *)"assignments=yes"));
	assert_null(d.active);
	assert_int_equal(d.n_gpos, 0);
	assert_string_equal(policies_text(d.container), text);
	assert_true(dn_below(policy_at(d.container, 0)->dn, DOMAIN));
	edit_free(&e);
	edit_free(&p);
	edit_free(&d);
}

static void test_active(void **state)
{
	struct store_edit e = edit_new(LOCATION_LOCAL, LOCAL), to = edit_new(LOCATION_PERSISTENT, LOCAL);

	(void)state;
	fill(&e, 2);
	edit_store(&e);
	e.active = policy_at(e.container, 1)->dn;
	done(RUN(&e, (char *)"exportpolicy", file_arg("x.reg")));
	done(RUN(&to, (char *)"importpolicy", file_arg("x.reg")));
	assert_true(dn_equal(to.active, e.active));
	edit_free(&to);
	/* LDIF says it when it is asked for. */
	done(RUN(&e, (char *)"exportpolicy", file_arg("x.ldif")));
	to = edit_new(LOCATION_LOCAL, LOCAL);
	done(RUN(&to, (char *)"importpolicy", file_arg("x.ldif")));
	assert_null(to.active);
	edit_free(&to);
	done(RUN(&e, (char *)"exportpolicy", file_arg("x.ldif"), (char *)"assignments=yes"));
	to = edit_new(LOCATION_LOCAL, LOCAL);
	done(RUN(&to, (char *)"importpolicy", file_arg("x.ldif")));
	assert_true(dn_equal(to.active, e.active));
	edit_free(&to);
	edit_free(&e);
}

/* ---- what is refused ---- */

static struct store_edit target;	/* holds the policy of the Windows host */
static char *target_text;

static void target_make(void)
{
	file_write(at("w.reg"), fixture("windows-local.reg"), 0600);
	target = edit_new(LOCATION_LOCAL, LOCAL);
	done(RUN(&target, (char *)"importpolicy", file_arg("w.reg")));
	edit_store(&target);
	target_text = policies_text(target.container);
	assert_int_equal(n_changes(&target), 0);
}

static void unchanged(void)
{
	assert_int_equal(n_changes(&target), 0);
	assert_string_equal(policies_text(target.container), target_text);
}

static void refused(const char *text, const char *msg)
{
	file_write(at("bad"), text, 0600);
	assert_int_equal(RUN(&target, (char *)"importpolicy", file_arg("bad")), -1);
	assert_string_equal(err.msg, arena_printf(arena, "%s: %s", at("bad"), msg));
	assert_string_equal(said, "");
	unchanged();
}

#define REG	"REGEDIT4\n"
#define HKLM	"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\IPSec"
#define GUID1	"{b6c7d8e9-3c4d-4e6f-a213-c4d5e6f70805}"

static void test_refused(void **state)
{
	(void)state;
	target_make();
	refused("", "neither a registry file nor LDIF ('ipsecpol exec FILE' runs a script)");
	refused("ipsec static\nadd policy x\n", "neither a registry file nor LDIF ('ipsecpol exec FILE' runs a script)");
	refused(REG, "no policies in it");
	refused(REG HKLM "\\Policy\\Local\\x]\n", "line 2: key 'x': is not the key of an object");
	refused(REG HKLM "\\Policy\\Local\\ipsecFilter{1}]\n", "line 2: key 'ipsecFilter{1}': is not the key of an object");
	refused(REG "[HKLM\\SOFTWARE\\Other]\n", "line 2: key 'Other': is no part of a store of policies");
	refused(REG "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\IPSec]\n\"a\"=dword:1\n", "line 2: key 'IPSec': is no part of a store of policies");
	refused(REG "[-HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\IPSec\\Policy\\Local]\n", "line 2: key 'Local': an import of policies deletes nothing");
	refused(REG HKLM "\\Policy\\Local]\n\"ActivePolicy\"=-\n", "line 2: key 'Local': an import of policies deletes nothing");
	refused(REG HKLM "\\Policy\\Local]\n\"ActivePolicy\"=\"x\"\n", "line 2: key 'Local': ActivePolicy names no policy");
	refused(REG HKLM "\\Policy\\Local\\ipsecFilter" GUID1 "]\n\"ClassName\"=\"ipsecNFA\"\n",
	    "line 2: key 'ipsecFilter" GUID1 "': its ClassName is not the one in its name");
	refused(REG HKLM "\\Policy\\Local\\ipsecFilter" GUID1 "]\n\"ipsecName\"=dword:1\n",
	    "line 2: key 'ipsecFilter" GUID1 "': value 'ipsecName': is not REG_SZ");
	refused(REG HKLM "\\Policy\\Local\\ipsecFilter" GUID1 "]\n\"ipsecData\"=\"1\"\n",
	    "line 2: key 'ipsecFilter" GUID1 "': value 'ipsecData': is not REG_BINARY");
	refused(REG HKLM "\\Policy\\Local\\ipsecFilter" GUID1 "]\n\"ipsecOwnersReference\"=\"1\"\n",
	    "line 2: key 'ipsecFilter" GUID1 "': value 'ipsecOwnersReference': '1' names no object");
	refused(REG HKLM "\\Policy\\Local\\ipsecFilter" GUID1 "]\n" HKLM "\\Policy\\Cache\\ipsecFilter" GUID1 "]\n"
	    HKLM "\\Policy\\Persistent\\ipsecFilter" GUID1 "]\n\"ipsecName\"=hex(2):00\n", "line 5: type hex(2), REG_EXPAND_SZ, is not kept here");
	/* What does not decode is named with its line. */
	refused(REG HKLM "\\Policy\\Local\\ipsecFilter" GUID1 "]\n\"ipsecName\"=\"Web\"\n\"ipsecData\"=hex:00\n",
	    "line 2: filter list 'Web' " GUID1 ": 1 bytes without an ipsecFilter block");
	edit_free(&target);
}

static struct store_edit other;		/* empty */

static void refused_there(const char *text, const char *msg)
{
	file_write(at("bad"), text, 0600);
	assert_int_equal(RUN(&other, (char *)"importpolicy", file_arg("bad")), -1);
	assert_string_equal(err.msg, arena_printf(arena, "%s: %s", at("bad"), msg));
	assert_int_equal(n_changes(&other), 0);
	assert_int_equal(other.container->n_objects, 0);
}

/* The text without the key whose line has this in it. */
static char *without_key(const char *text, const char *what)
{
	const char *at_what = strstr(text, what), *from = at_what, *to = strstr(at_what, "\n\n");

	while (*from != '[')
		from--;
	return arena_printf(arena, "%.*s%s", (int)(from - text), text, to + 2);
}

static void test_references(void **state)
{
	char *w = fixture("windows-local.reg");

	(void)state;
	other = edit_new(LOCATION_LOCAL, LOCAL);
	refused_there(without_key(w, "Local\\ipsecNFA{93b1f2a4"), "line 130: policy 'Kontor C:\\Schutz': one of its rules does not exist");
	refused_there(without_key(w, "Local\\ipsecFilter{"), "line 135: policy 'Kontor C:\\Schutz': rule 'SQL': its filter list does not exist");
	refused_there(without_key(w, "Local\\ipsecNegotiationPolicy{d4e5"), "line 138: policy 'Kontor C:\\Schutz': rule {a7d8e9f0-2b3c-4d5e-9102-b3c4d5e6f704}: its filter action does not exist");
	refused_there(without_key(w, "Local\\ipsecISAKMPPolicy{"), "line 136: policy 'Kontor C:\\Schutz': its main mode does not exist");
	refused_there(without_key(w, "Local\\ipsecPolicy{"), "the assigned policy 'CN=ipsecPolicy{5c3d1c3e-6a5b-4a0e-9d0b-2f1f6a7b8c01},CN=IP Security' "
	    "is neither in the file nor in the store");
	refused_there(replaced(w, "Policy\\Local\\ipsecFilter{", "Policy\\Cache\\ipsecFilter{"), "line 161: policy 'Kontor C:\\Schutz': rule 'SQL': its filter list does not exist");
	edit_free(&other);
	/* What the file has not, the store may have. */
	target_make();
	file_write(at("part.reg"), without_key(without_key(w, "Local\\ipsecFilter{"), "Local\\ipsecISAKMPPolicy{"), 0600);
	done(RUN(&target, (char *)"importpolicy", file_arg("part.reg")));
	assert_non_null(strstr(said, "0 objects new, 5 replaced\n"));
	assert_string_equal(policies_text(target.container), target_text);
	edit_free(&target);
}

/* Several stores in one file: the one of the target's kind. */
static void test_several_stores(void **state)
{
	char *w = fixture("windows-local.reg"), *both, *p;
	struct store_edit local = edit_new(LOCATION_LOCAL, LOCAL), persistent = edit_new(LOCATION_PERSISTENT, LOCAL);

	(void)state;
	both = arena_printf(arena, "%s%s", w, strchr(w, '['));
	/* The second half lies in the cache, beside the assignment of the domain. */
	for (p = both + strlen(w); (p = strstr(p, "Policy\\Local")); )
		memcpy(p, "Policy\\Cache", 12);
	both = arena_printf(arena, "%s[HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\IPSec\\GPTIPSECPolicy]\n\"DSIPSECPolicyFlags\"=dword:0\n", both);
	file_write(at("both.reg"), both, 0600);
	done(RUN(&local, (char *)"importpolicy", file_arg("both.reg")));
	assert_non_null(strstr(said, "from Policy\\Local: 7 objects new"));
	assert_int_equal(RUN(&persistent, (char *)"importpolicy", file_arg("both.reg")), -1);
	assert_non_null(strstr(err.msg, "the file holds several stores"));
	edit_free(&local);
	edit_free(&persistent);
}

static void test_ldif_refused(void **state)
{
	(void)state;
	target_make();
	refused("dn: CN=x\nfoo\n", "line 2: no colon in 'foo'");
	refused("dn: CN=x,DC=y\nobjectClass: container\n", "no policies in it");
	refused("# comment\n\nversion: 1\ndn: CN=ipsecFilter" GUID1 ",DC=y\nobjectClass: ipsecNFA\n",
	    "entry 'CN=ipsecFilter" GUID1 ",DC=y': its objectClass is not the one in its name");
	refused("dn: CN=x,DC=y\nobjectClass: ipsecNFA\n", "entry 'CN=x,DC=y': its name is not that of an object");
	refused("dn: CN=ipsecFilter" GUID1 ",DC=y\nobjectClass: ipsecFilter\nipsecOwnersReference: CN=x\n",
	    "entry 'CN=ipsecFilter" GUID1 ",DC=y': ipsecOwnersReference 'CN=x' names no object");
	refused("dn: CN=IPSEC,CN=x\nobjectClass: ipsecPolicy\nipsecOwnersReference: CN=x\n",
	    "entry 'CN=IPSEC,CN=x': 'CN=x' is not the name of a policy");
	edit_free(&target);
}

/* Nothing of a file that is not taken: the error says where. */
static void all_or_nothing(const char *bytes, size_t len, unsigned *n_taken)
{
	FILE *f = fopen(at("broken"), "w");
	int rc;

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
	rc = RUN(&target, (char *)"importpolicy", file_arg("broken"), (char *)"assignments=yes");
	if (rc < 0) {
		assert_memory_equal(err.msg, at("broken"), strlen(at("broken")));
		assert_true(strlen(err.msg) > strlen(at("broken")) + 10);
		unchanged();
		return;
	}
	++*n_taken;
	edit_free(&target);
	target_make();
}

static void broken(const char *bytes, size_t len)
{
	unsigned n_taken = 0;
	char *copy = arena_memdup(arena, bytes, len);

	for (size_t i = 0; i < len; i++) {
		struct arena *whole = arena;

		arena = arena_new(0);
		all_or_nothing(bytes, i, &n_taken);
		if (i % 3 == 0) {
			copy[i] = (char)(copy[i] ^ 1 << i % 8);
			all_or_nothing(copy, len, &n_taken);
			copy[i] = bytes[i];
		}
		arena_free(arena);
		arena = whole;
		target_text = policies_text(target.container);
	}
	assert_true(n_taken > 0 && n_taken < len);
}

static void test_broken(void **state)
{
	char *w = fixture("windows-local.reg");

	(void)state;
	target_make();
	broken(w, strlen(w));
	edit_free(&target);
}

/* ---- a domain with its GPOs ---- */

static void test_backup(void **state)
{
	struct store_edit e = edit_new(LOCATION_DOMAIN, DOMAIN), to = edit_new(LOCATION_DOMAIN, DOMAIN), local = edit_new(LOCATION_LOCAL, LOCAL);
	char *text;

	(void)state;
	offline = false;
	fill(&e, 3);
	edit_store(&e);
	text = policies_text(e.container);
	memset(gpos, 0, sizeof(gpos));
	gpos[0].name = "{11111111-2222-3333-4444-555555555555}";
	gpos[0].policy = policy_at(e.container, 0)->dn;
	gpos[1].name = "Server, \"rot\"";
	gpos[1].policy = policy_at(e.container, 2)->dn;
	gpos[2].name = "Arbeitsplatz";
	gpos[2].policy = policy_at(e.container, 2)->dn;
	done(RUN(&e, (char *)"exportpolicy", file_arg("domain.ldif"), (char *)"assignments=yes"));
	assert_string_equal(said, arena_printf(arena, "3 policies and 3 assignments written to '%s' as LDIF; it may hold pre-shared keys, keep it to yourself\n", at("domain.ldif")));
	/* One GPO is gone since, one assigns another policy, one what it did. */
	gpos[1].name = "gone";
	gpos[2].policy = gpos[0].policy;
	gpos[0].policy = NULL;
	assert_int_equal(RUN(&to, (char *)"importpolicy", file_arg("domain.ldif"), (char *)"assignments=yes"), 1);
	assert_int_equal(err.code, ERR_ABSENT);
	assert_string_equal(err.msg, "imported, but GPO 'Server, \"rot\"' does not exist any more: what it assigned was not put back");
	assert_int_equal(to.n_gpos, 2);
	assert_string_equal(to.gpos[0].gpo, "{11111111-2222-3333-4444-555555555555}");
	assert_string_equal(to.gpos[0].policy, policy_at(to.container, 0)->dn);
	assert_string_equal(to.gpos[1].gpo, "Arbeitsplatz");
	assert_string_equal(to.gpos[1].policy, policy_at(to.container, 2)->dn);
	assert_string_equal(policies_text(to.container), text);
	/* Without being asked nothing is assigned. */
	edit_free(&to);
	to = edit_new(LOCATION_DOMAIN, DOMAIN);
	done(RUN(&to, (char *)"importpolicy", file_arg("domain.ldif")));
	assert_int_equal(to.n_gpos, 0);
	assert_non_null(strstr(said, "what the file assigns was not assigned"));
	edit_free(&to);
	done(RUN(&local, (char *)"importpolicy", file_arg("domain.ldif"), (char *)"assignments=yes"));
	assert_non_null(strstr(said, "what GPOs assign has no place in this store\n"));
	assert_null(local.active);
	/* The directory cannot be asked: nothing happens. */
	to = edit_new(LOCATION_DOMAIN, DOMAIN);
	offline = true;
	assert_int_equal(RUN(&to, (char *)"importpolicy", file_arg("domain.ldif"), (char *)"assignments=yes"), -1);
	assert_int_equal(err.code, ERR_OFFLINE);
	assert_int_equal(n_changes(&to), 0);
	offline = false;
	assert_int_equal(RUN(&e, (char *)"exportpolicy", file_arg("no.reg"), (char *)"assignments=yes"), -1);
	assert_string_equal(err.msg, "only LDIF says which GPOs assign a policy: format=ldif");
	assert_int_not_equal(access(at("no.reg"), F_OK), 0);
	edit_free(&e);
	edit_free(&to);
	edit_free(&local);
}

/* GPOs are told apart by their GUIDs, whatever they are called. */
static void test_backup_same_name(void **state)
{
	static const char *const ids[] = { "{11111111-2222-3333-4444-555555555555}", "{22222222-2222-3333-4444-555555555555}",
	    "{33333333-2222-3333-4444-555555555555}", "{44444444-2222-3333-4444-555555555555}" };
	struct store_edit e = edit_new(LOCATION_DOMAIN, DOMAIN), to = edit_new(LOCATION_DOMAIN, DOMAIN);

	(void)state;
	fill(&e, 3);
	edit_store(&e);
	memset(gpos, 0, sizeof(gpos));
	for (size_t i = 0; i < 4; i++) {
		gpos[i].id = ids[i];
		gpos[i].name = "Servers";
		gpos[i].policy = policy_at(e.container, i % 2)->dn;
	}
	done(RUN(&e, (char *)"exportpolicy", file_arg("same.ldif"), (char *)"assignments=yes"));
	for (size_t i = 0; i < 2; i++)
		gpos[i].policy = NULL;
	gpos[2].name = gpos[3].name = NULL;
	assert_int_equal(RUN(&to, (char *)"importpolicy", file_arg("same.ldif"), (char *)"assignments=yes"), 1);
	assert_string_equal(err.msg, arena_printf(arena, "imported, but GPOs 'Servers' %s, 'Servers' %s do not exist any more: "
	    "what they assigned was not put back", ids[2], ids[3]));
	assert_int_equal(to.n_gpos, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(to.gpos[i].gpo, ids[i]);
		assert_string_equal(to.gpos[i].policy, policy_at(to.container, i)->dn);
	}
	memset(gpos, 0, sizeof(gpos));
	edit_free(&e);
	edit_free(&to);
}

static void test_backup_dangling(void **state)
{
	static const char text[] = "dn: CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,CN={11111111-2222-3333-4444-555555555555},CN=Policies,CN=System,DC=c\n"
	    "objectClass: ipsecPolicy\nipsecOwnersReference: CN=ipsecPolicy" GUID1 ",CN=IP Security,CN=System,DC=c\n";
	struct store_edit to = edit_new(LOCATION_DOMAIN, DOMAIN);

	(void)state;
	gpos[0].name = "{11111111-2222-3333-4444-555555555555}";
	file_write(at("d.ldif"), text, 0600);
	assert_int_equal(RUN(&to, (char *)"importpolicy", file_arg("d.ldif"), (char *)"assignments=yes"), -1);
	assert_non_null(strstr(err.msg, "the assigned policy 'CN=ipsecPolicy" GUID1 ",CN=IP Security,CN=System,DC=corp,DC=example' is neither in the file nor in the store"));
	edit_free(&to);
}

/* ---- files ---- */

static void test_files(void **state)
{
	struct store_edit e = edit_new(LOCATION_LOCAL, LOCAL);
	struct stat st;
	FILE *f;
	char head[4] = "";

	(void)state;
	fill(&e, 1);
	file_write(at("out.reg"), "old", 0644);
	file_write(at("out.reg.new"), "left by a crash", 0644);
	done(RUN(&e, (char *)"exportpolicy", file_arg("out.reg")));
	assert_string_equal(said, arena_printf(arena, "1 policy written to '%s' as a registry file (UTF-16); it may hold pre-shared keys, keep it to yourself\n", at("out.reg")));
	assert_int_equal(stat(at("out.reg"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_not_equal(access(at("out.reg.new"), F_OK), 0);
	f = fopen(at("out.reg"), "r");
	assert_int_equal(fread(head, 1, 4, f), 4);
	assert_memory_equal(head, "\xff\xfeW\0", 4);
	fclose(f);
	assert_int_equal(symlink("out.reg", at("link.reg")), 0);
	assert_int_equal(RUN(&e, (char *)"exportpolicy", file_arg("link.reg")), -1);
	assert_string_equal(err.msg, arena_printf(arena, "'%s' is not a regular file", at("link.reg")));
	assert_int_equal(RUN(&e, (char *)"exportpolicy", file_arg("none/x.reg")), -1);
	assert_string_equal(err.msg, arena_printf(arena, "cannot create '%s.new': No such file or directory", at("none/x.reg")));
	assert_int_equal(RUN(&e, (char *)"importpolicy", file_arg("none.reg")), -1);
	assert_string_equal(err.msg, arena_printf(arena, "%s: No such file or directory", at("none.reg")));
	assert_int_equal(err.code, ERR_ABSENT);
	edit_free(&e);
}

/* ---- scripts, through a session and the store on disk ---- */

static int session_line(struct session *s, const char *line, FILE *out)
{
	struct netsh_args args = { 0 };
	char **words = NULL;
	size_t n = 0;

	if (netsh_split(&words, &n, arena, line, strlen(line), &err))
		return -1;
	/* What other contexts are for is not for this one. */
	while (n && (!strcmp(words[0], "ipsec") || !strcmp(words[0], "static") || !strcmp(words[0], "pushd") || !strcmp(words[0], "popd"))) {
		words++;
		n--;
	}
	if (n == 0)
		return 0;
	if (netsh_parse(&args, arena, NETSH_STATIC, words, n, &err))
		return -1;
	return session_run(s, &args, out, &err);
}

static void session_do(const char *dir, char *text, char **ret_said)
{
	struct conf *conf;
	struct session_options o = { .location = LOCATION_LOCAL, .deferred = true };
	struct session *s;
	size_t len;
	FILE *out = open_memstream(ret_said, &len);
	char *conf_text = arena_printf(arena, "[daemon]\nstate-dir = %s\nrun-dir = %s\n", dir, dir);

	assert_non_null(out);
	if (conf_parse(&conf, "test", conf_text, strlen(conf_text), &err))
		fail_msg("%s", err.msg);
	o.conf = conf;
	s = session_open(&o, &err);
	assert_non_null(s);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (session_line(s, line, out))
			fail_msg("%s: %s", line, err.msg);
	if (session_flush(s, &err))
		fail_msg("%s", err.msg);
	session_close(s);
	conf_free(conf);
	fclose(out);
}

static char *file_text(const char *path)
{
	char *text = arena_zalloc(arena, 1, 1 << 20);
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	return text;
}

static int line_cmp(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* GUIDs are new ones each time, and the order is theirs. */
static char *without_guids(char *text)
{
	char *all = arena_strdup(arena, ""), *lines[500];
	size_t n = 0;

	for (char *p = text; (p = strchr(p, '{')); p++)
		if (strchr(p, '}') == p + 37)
			memset(p + 1, '0', 36);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		lines[n++] = line;
	qsort(lines, n, sizeof(*lines), line_cmp);
	for (size_t i = 0; i < n; i++)
		all = arena_printf(arena, "%s%s\n", all, lines[i]);
	return all;
}

static char *policies_of(const char *file)
{
	struct store_edit e = edit_new(LOCATION_LOCAL, LOCAL);
	char *text;

	done(RUN(&e, (char *)"importpolicy", file_arg(file)));
	assert_non_null(strstr(said, "assigned, as in the file: 'Kontor"));
	text = without_guids(policies_text(e.container));
	edit_free(&e);
	return text;
}

static void test_script(void **state)
{
	char *out = NULL;

	(void)state;
	mkdir(at("one"), 0700);
	mkdir(at("two"), 0700);
	file_write(at("w.reg"), fixture("windows-local.reg"), 0600);
	session_do(at("one"), arena_printf(arena, "importpolicy file=%s\nexportpolicy file=%s\nexportpolicy file=%s\n", at("w.reg"), at("one.txt"), at("one.reg")), &out);
	free(out);
	assert_non_null(strstr(file_text(at("one.txt")), "geheim"));
	session_do(at("two"), file_text(at("one.txt")), &out);
	free(out);
	session_do(at("two"), arena_printf(arena, "exportpolicy file=%s\n", at("two.reg")), &out);
	free(out);
	assert_string_equal(policies_of("one.reg"), policies_of("w.reg"));
	assert_string_equal(policies_of("two.reg"), policies_of("w.reg"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POLICY_TEST(test_round_trips), POLICY_TEST(test_domain_to_local), POLICY_TEST(test_merge), POLICY_TEST(test_windows),
		POLICY_TEST(test_active), POLICY_TEST(test_refused), POLICY_TEST(test_references), POLICY_TEST(test_several_stores),
		POLICY_TEST(test_ldif_refused), POLICY_TEST(test_broken), POLICY_TEST(test_backup), POLICY_TEST(test_backup_same_name), POLICY_TEST(test_backup_dangling),
		POLICY_TEST(test_files), POLICY_TEST(test_script),
	};
	int rc = cmocka_run_group_tests(tests, folder_up, folder_down);

	free(said);
	return rc;
}
