/* All computers of a directory at once, against each of them alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/collect.h"
#include "agent/conf.h"
#include "agent/directory.h"
#include "gpo/fleet.h"
#include "gpo/sd.h"
#include "schema/arena.h"
#include "schema/ident.h"
#include "schema/ldif.h"
#include "schema/rd.h"

#define BASE	"DC=corp,DC=example"
#define OTHER	"DC=other,DC=example"
#define DOM	"S-1-5-21-1-2-3"
#define CSE	"[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]"
#define ROOT_AD	"dn:\ndefaultNamingContext: " BASE "\nsupportedCapabilities: 1.2.840.113556.1.4.800\n"
#define ROOT	"dn:\nobjectClass: top\ndefaultNamingContext: " BASE "\n"

/* ---- a directory as text ---- */

struct fixture {
	struct arena	*a;
	char		*text;
	size_t		 len;
	FILE		*out;
	char		 file[64];
	struct directory *d;
	struct arena	*whole;
	struct gp_fleet	*fleet;
	struct err	 err;
	struct gp_subject who;		/* for all of them */
	struct gp_options options;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->a = arena_new(0);
	f->whole = arena_new(0);
	f->out = open_memstream(&f->text, &f->len);
	snprintf(f->file, sizeof(f->file), "/tmp/ipsecpol-all.XXXXXX");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	gp_fleet_free(f->fleet);
	arena_free(f->whole);
	directory_close(f->d);
	arena_free(f->a);
	if (f->out)
		fclose(f->out);
	free(f->text);
	free(f);
	return 0;
}

static void put_sid(struct wr *wr, const char *text)
{
	struct sid sid;

	assert_true(sid_read(&sid, text));
	wr_u8(wr, 1);
	wr_u8(wr, sid.n_sub);
	wr_bytes(wr, sid.authority, 6);
	for (unsigned i = 0; i < sid.n_sub; i++)
		wr_u32(wr, sid.sub[i]);
}

static const char *sid64(struct fixture *f, const char *text)
{
	struct wr wr = { 0 };
	char *out;

	put_sid(&wr, text);
	out = base64_text(f->a, wr.p, wr.len);
	free(wr.p);
	return out;
}

/* "A:S-1-... D:S-1-...": ACEs for Apply-Group-Policy. */
static void put_sd(struct wr *wr, const char *text)
{
	static const uint8_t apply[16] = { 0x8f, 0xfd, 0xac, 0xed, 0xb3, 0xff, 0xd1, 0x11,
		0xb4, 0x1d, 0x00, 0xa0, 0xc9, 0x68, 0xf9, 0x39 };
	char copy[512], *save = NULL;
	size_t start;
	unsigned n = 0;

	wr_u8(wr, 1);
	wr_u8(wr, 0);
	wr_u16(wr, 0x8004);
	wr_bytes(wr, (uint8_t[12]){ 0 }, 12);
	wr_u32(wr, 20);
	wr_bytes(wr, (uint8_t[8]){ 4 }, 8);
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *ace = strtok_r(copy, " ", &save); ace; ace = strtok_r(NULL, " ", &save), n++) {
		start = wr->len;
		wr_u8(wr, ace[0] == 'A' ? 5 : 6);
		wr_u8(wr, 0);
		wr_u16(wr, 0);
		wr_u32(wr, 0x100);
		wr_u32(wr, 1);
		wr_bytes(wr, apply, 16);
		put_sid(wr, ace + 2);
		wr->p[start + 2] = (uint8_t)(wr->len - start);
	}
	wr->p[22] = (uint8_t)(wr->len - 20);
	wr->p[23] = (uint8_t)((wr->len - 20) >> 8);
	wr->p[24] = (uint8_t)n;
}

static const char *sd64(struct fixture *f, const char *text)
{
	struct wr wr = { 0 };
	char *out;

	put_sd(&wr, text);
	out = base64_text(f->a, wr.p, wr.len);
	free(wr.p);
	return out;
}

static const char *gpo_dn(struct fixture *f, unsigned n, const char *domain)
{
	return arena_printf(f->a, "CN={AAAAAAAA-0000-0000-0000-%012u},CN=Policies,CN=System,%s", n, domain);
}

static void put_gpo(struct fixture *f, unsigned n, const char *domain, const char *sd)
{
	const char *dn = gpo_dn(f, n, domain);

	fprintf(f->out, "\ndn: %s\nobjectClass: groupPolicyContainer\ndisplayName: gpo %u\nflags: 0\ngPCFunctionalityVersion: 2\n"
	    "gPCMachineExtensionNames: " CSE "\n", dn, n);
	if (sd)
		fprintf(f->out, "nTSecurityDescriptor:: %s\n", sd64(f, sd));
	fprintf(f->out, "\ndn: CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,%s\nobjectClass: ipsecPolicy\n"
	    "ipsecOwnersReference: CN=ipsecPolicy{72385230-70FA-11D1-864C-%012u},CN=IP Security,CN=System,%s\n", dn, n, domain);
	fprintf(f->out, "\ndn: CN=ipsecPolicy{72385230-70FA-11D1-864C-%012u},CN=IP Security,CN=System,%s\nobjectClass: ipsecPolicy\n"
	    "ipsecName: policy %u\n", n, domain, n);
}

/* links: "1 2;2 3;1": numbers of GPOs, with options. */
static void put_som(struct fixture *f, const char *dn, const char *class, const char *links)
{
	char *copy = arena_strdup(f->a, links), *save = NULL;

	fprintf(f->out, "\ndn: %s\nobjectClass: %s\n%s", dn, class, *links ? "gPLink: " : "");
	for (char *l = strtok_r(copy, " ", &save); l; l = strtok_r(NULL, " ", &save)) {
		const char *o = strchr(l, ';');

		fprintf(f->out, "[LDAP://%s%s]", gpo_dn(f, (unsigned)atoi(l), BASE), o ? o : ";0");
	}
	if (*links)
		fputc('\n', f->out);
}

static void put_computer(struct fixture *f, const char *name, const char *where, unsigned rid, const char *more)
{
	char sid[64];

	snprintf(sid, sizeof(sid), DOM "-%u", rid);
	fprintf(f->out, "\ndn: CN=%s,%s\nobjectClass: computer\nsAMAccountName: %s$\nobjectSid:: %s\nprimaryGroupID: 515\n%s",
	    name, where, name, sid64(f, sid), more);
}

static void put_group(struct fixture *f, const char *name, unsigned rid, const char *members)
{
	char sid[64];

	snprintf(sid, sizeof(sid), DOM "-%u", rid);
	fprintf(f->out, "\ndn: CN=%s,CN=Users," BASE "\nobjectClass: group\nobjectSid:: %s\n%s", name, sid64(f, sid), members);
}

static void put_example(struct fixture *f, const char *root)
{
	fputs(root, f->out);
	put_som(f, BASE, "domainDNS", "1");
	put_som(f, "OU=Web," BASE, "organizationalUnit", "2");
	put_gpo(f, 1, BASE, NULL);
}

/* ---- both ways ---- */

static int ask_fleet(struct fixture *f)
{
	struct dir_search answer;
	struct dir_query q;
	int r;

	f->fleet = gp_fleet_new(&f->who, &f->options);
	assert_non_null(f->fleet);
	while ((r = gp_fleet_next_query(&q, f->fleet, &f->err)) > 0) {
		assert_int_equal(directory_ask(f->d, &q, &answer, f->whole, &f->err), 0);
		if (gp_fleet_answer_add(f->fleet, &q, answer.outcome, answer.entries, answer.n_entries, &f->err) < 0)
			return -1;
	}
	return r;
}

static void open_directory(struct fixture *f)
{
	static const struct conf conf = { 0 };
	struct directory_conf c = { .conf = &conf, .keytab_fd = -1, .password_fd = -1, .tls_key_fd = -1, .bulk = true };
	int fd = mkstemp(f->file);

	assert_int_equal(fclose(f->out), 0);
	f->out = NULL;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, f->text, f->len), f->len);
	close(fd);
	c.uri = arena_printf(f->a, "ldif:%s", f->file);
	f->d = directory_open(&c, &f->err);
	unlink(f->file);
	if (!f->d)
		fail_msg("%s", f->err.msg);
}

static char *said_alone(struct fixture *f, const char *name)
{
	struct gp_subject who = f->who;
	struct collected col = { 0 };
	struct err err = { 0 };
	size_t verdicts[FLEET_VERDICTS] = { 0 };
	char *text;

	who.computer = name;
	if (collect_from(&col, f->d, &who, &f->options, &err) < 0)
		return arena_printf(f->a, "error %s: %s", err_code_name(err.code), err.msg);
	for (size_t i = 0; i < col.rsop->n_gpos; i++)
		verdicts[col.rsop->gpos[i].verdict]++;
	text = arena_printf(f->a, "%s %s %s %s (%s) %d %s %s %s %s %02x", col.rsop->computer_dn, col.rsop->domain, col.rsop->site,
	    gp_assignment_name(col.rsop->assignment), col.rsop->reason, col.rsop->why, col.rsop->policy_dn ? col.rsop->policy_dn : "-",
	    col.rsop->policy_name ? col.rsop->policy_name : "", col.rsop->winner ? col.rsop->winner->dn : "-",
	    col.rsop->winner ? col.rsop->winner->name : "-", col.rsop->policy_id.b[15]);
	for (int v = 0; v < FLEET_VERDICTS; v++)
		text = arena_printf(f->a, "%s %zu", text, verdicts[v]);
	collected_free(&col);
	return text;
}

static char *said_together(struct fixture *f, const struct fleet_computer *c)
{
	const struct fleet_answer *s = c->answer;
	char *text;

	if (s->failed)
		return arena_printf(f->a, "error %s: %s", err_code_name(s->why), s->reason);
	text = arena_printf(f->a, "%s %s %s %s (%s) %d %s %s %s %s %02x", c->dn, s->domain, s->site,
	    gp_assignment_name(s->assignment), s->reason, s->why, s->policy_dn ? s->policy_dn : "-", s->policy_name ? s->policy_name : "",
	    s->winner_dn ? s->winner_dn : "-", s->winner_dn ? s->winner_name : "-", s->policy_id.b[15]);
	for (int v = 0; v < FLEET_VERDICTS; v++)
		text = arena_printf(f->a, "%s %zu", text, s->verdicts[v]);
	return text;
}

/* Every computer is told the same alone. */
static void resolve(struct fixture *f)
{
	open_directory(f);
	if (ask_fleet(f) < 0)
		fail_msg("%s", f->err.msg);
	for (size_t i = 0; i < f->fleet->n_computers; i++)
		assert_string_equal(said_together(f, &f->fleet->computers[i]), said_alone(f, f->fleet->computers[i].name));
}

static const struct fleet_answer *answer_of(struct fixture *f, const char *name)
{
	for (size_t i = 0; i < f->fleet->n_computers; i++)
		if (!strcmp(f->fleet->computers[i].name, name))
			return f->fleet->computers[i].answer;
	fail_msg("%s is missing", name);
	return NULL;
}

static char *json_of(struct fixture *f)
{
	size_t len;
	char *text = NULL, *copy;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(gp_fleet_write_json(f->fleet, out), 0);
	fclose(out);
	copy = arena_strdup(f->a, text);
	free(text);
	return copy;
}

static char *text_of(struct fixture *f)
{
	size_t len;
	char *text = NULL, *copy;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(gp_fleet_write(f->fleet, out), 0);
	fclose(out);
	copy = arena_strdup(f->a, text);
	free(text);
	return copy;
}

/* ---- tests ---- */

static void a_small_domain_is_printed(void **state)
{
	struct fixture *f = *state;

	put_example(f, ROOT);
	put_gpo(f, 2, BASE, "A:" DOM "-1201");
	put_som(f, "OU=Lab," BASE, "organizationalUnit", "");
	fputs("gPOptions: 1\n", f->out);
	put_computer(f, "B1", "OU=Web," BASE, 1101, "");
	put_computer(f, "B2", "OU=Web," BASE, 1102, "");
	put_computer(f, "A1", "OU=Lab," BASE, 1103, "");
	put_computer(f, "C1", "OU=Gone," BASE, 1104, "");
	put_group(f, "some", 1201, "member: cn=b2, ou=web, " BASE "\n");
	resolve(f);
	assert_string_equal(text_of(f),
	    "Computers  4: 2 assigned, 1 none, 1 unknown\n"
	    "\nAssigned:\n"
	    "       1  policy 'policy 1' {72385230-70fa-11d1-864c-000000000001} by GPO 'gpo 1' {aaaaaaaa-0000-0000-0000-000000000001}\n"
	    "       1  policy 'policy 2' {72385230-70fa-11d1-864c-000000000002} by GPO 'gpo 2' {aaaaaaaa-0000-0000-0000-000000000002}\n"
	    "\nNothing is assigned; what keeps the GPO that comes nearest to it:\n"
	    "       1  blocked\n"
	    "\nUnknown, what is enforced stays:\n"
	    "       1  'OU=Gone,DC=corp,DC=example', above the computer, does not exist (absent)\n");
	assert_non_null(strstr(json_of(f), "{\"computers\": [\n"
	    "{\"computer\":\"A1$\",\"computer_dn\":\"CN=A1,OU=Lab,DC=corp,DC=example\",\"domain\":\"corp.example\",\"site\":\"\",\"site_from\":\"\","
	    "\"assignment\":\"none\",\"reason\":\"\",\"why\":\"\",\"failed\":false,\"policy\":null,\"winner\":null,\"verdict\":\"blocked\","
	    "\"verdicts\":{\"blocked\":1}},\n"
	    "{\"computer\":\"B1$\","));
	assert_non_null(strstr(json_of(f), "\"verdict\":\"applies\",\"verdicts\":{\"applies\":1,\"access-denied\":1}},\n{\"computer\":\"B2$\","));
	assert_non_null(strstr(json_of(f), "\"assignment\":\"unknown\",\"reason\":\"'OU=Gone,DC=corp,DC=example', above the computer, does not exist\","
	    "\"why\":\"absent\",\"failed\":true,\"policy\":null,\"winner\":null,\"verdict\":\"\",\"verdicts\":{}}\n],\n\"summary\": {\n"
	    "  \"computers\": 4,\n  \"assigned\": 2,\n  \"none\": 1,\n  \"unknown\": 1,\n"));
}

static void nothing_is_a_fleet_too(void **state)
{
	struct fixture *f = *state;

	put_example(f, ROOT);
	resolve(f);
	assert_string_equal(text_of(f), "Computers  0: 0 assigned, 0 none, 0 unknown\n");
	assert_non_null(strstr(json_of(f), "{\"computers\": [\n],\n\"summary\": {"));
}

static void names_that_are_not_unique(void **state)
{
	struct fixture *f = *state;

	put_example(f, ROOT);
	put_computer(f, "A", BASE, 1101, "");
	put_computer(f, "B", BASE, 1102, "sAMAccountName: a$\n");
	put_computer(f, "C", "OU=Web," BASE, 1103, "");
	fputs("\ndn: CN=D," BASE "\nobjectClass: user\nsAMAccountName: C$\n", f->out);
	fputs("\ndn: CN=E," BASE "\nobjectClass: computer\nobjectClass: msDS-ManagedServiceAccount\nsAMAccountName: e$\n", f->out);
	put_computer(f, "F=x", BASE, 1104, "");
	resolve(f);
	assert_int_equal(f->fleet->n_computers, 4);
	assert_string_equal(answer_of(f, "A$")->reason, "computer A$ exists twice: 'CN=A,DC=corp,DC=example' and 'CN=B,DC=corp,DC=example'");
	assert_int_equal(answer_of(f, "B$")->assignment, GP_ASSIGNED);
	assert_int_equal(answer_of(f, "C$")->assignment, GP_ASSIGNED);
}

static void a_computer_without_a_name_is_listed(void **state)
{
	struct fixture *f = *state;

	put_example(f, ROOT);
	fputs("\ndn: CN=A," BASE "\nobjectClass: computer\n", f->out);
	open_directory(f);
	assert_int_equal(ask_fleet(f), 0);
	assert_string_equal(answer_of(f, "A")->reason, "'CN=A,DC=corp,DC=example' shows no sAMAccountName");
	assert_int_equal(answer_of(f, "A")->why, ERR_DENIED);
}

static void domains_without_a_root(void **state)
{
	struct fixture *f = *state;

	put_som(f, BASE, "domainDNS", "1 7");
	put_gpo(f, 1, BASE, NULL);
	put_gpo(f, 7, BASE, "A:" DOM "-1201");
	put_computer(f, "A", BASE, 1101, "");
	put_computer(f, "B", BASE, 1102, "");
	put_group(f, "some", 1201, "member: CN=A," BASE "\nmember: CN=C," OTHER "\n");
	/* Links to the other domain's GPO: rights for a group that C's own domain does not have. */
	fprintf(f->out, "\ndn: " OTHER "\nobjectClass: domainDNS\ngPLink: [LDAP://%s;0][LDAP://%s;0]\n", gpo_dn(f, 3, OTHER), gpo_dn(f, 7, BASE));
	put_gpo(f, 3, OTHER, "A:S-1-5-11");
	put_computer(f, "C", OTHER, 1103, "");
	put_computer(f, "D", "OU=X,OU=Y," OTHER, 1104, "");
	fputs("\ndn: CN=E,OU=nowhere\nobjectClass: computer\nsAMAccountName: E$\n", f->out);
	resolve(f);
	assert_string_equal(answer_of(f, "A$")->policy_name, "policy 7");
	assert_string_equal(answer_of(f, "B$")->policy_name, "policy 1");
	assert_string_equal(answer_of(f, "C$")->policy_name, "policy 3");
	assert_string_equal(answer_of(f, "E$")->reason, "computer 'CN=E,OU=nowhere' lies in no domain");
}

static void groups_are_followed_like_alone(void **state)
{
	struct fixture *f = *state;

	put_example(f, ROOT);
	put_gpo(f, 2, BASE, "D:" DOM "-1206 A:" DOM "-1203 A:" DOM "-515 A:" DOM "-1108");
	put_computer(f, "A", "OU=Web," BASE, 1101, "");
	put_computer(f, "B", "OU=Web," BASE, 1102, "memberOf: CN=g2,CN=Users," BASE "\n");
	put_computer(f, "C", "OU=Web," BASE, 1103, "memberOf: CN=mail,CN=Users," BASE "\nmemberOf: not a name\nmemberOf: CN=C,OU=Web," BASE "\n");
	put_computer(f, "D", "OU=Web," BASE, 1104, "memberOf: CN=g6,CN=Users," BASE "\nmemberOf: CN=g1,CN=Users," BASE "\n");
	put_computer(f, "E", "OU=Web," BASE, 1108, "");
	/* 515 is granted to all; only those with another primary group are not. */
	fprintf(f->out, "\ndn: CN=F,OU=Web," BASE "\nobjectClass: computer\nsAMAccountName: F$\nobjectSid:: %s\nprimaryGroupID: 516\n", sid64(f, DOM "-1109"));
	fputs("\ndn: CN=G,OU=Web," BASE "\nobjectClass: computer\nsAMAccountName: G$\n", f->out);
	fprintf(f->out, "\ndn: CN=H,OU=Web," BASE "\nobjectClass: computer\nsAMAccountName: H$\nobjectSid:: %s\nprimaryGroupID: 516\n", sid64(f, DOM "-1108"));
	put_group(f, "g1", 1201, "member: CN=A,OU=Web," BASE "\nmember: CN=F,OU=Web," BASE "\nmember: CN=G,OU=Web," BASE "\n");
	put_group(f, "g2", 1202, "member: CN=g1,CN=Users," BASE "\nmemberOf: CN=g3,CN=Users," BASE "\n");
	put_group(f, "g3", 1203, "member: CN=g3,CN=Users," BASE "\n");
	put_group(f, "g6", 1206, "");
	put_group(f, "mail", 1207, "groupType: 2\nmemberOf: CN=g3,CN=Users," BASE "\n");
	put_group(f, "dc", 516, "memberOf: CN=g6,CN=Users," BASE "\n");
	resolve(f);
	assert_string_equal(answer_of(f, "A$")->policy_name, "policy 2");
	assert_string_equal(answer_of(f, "D$")->policy_name, "policy 1");
	assert_string_equal(answer_of(f, "F$")->policy_name, "policy 1");
	assert_string_equal(answer_of(f, "G$")->policy_name, "policy 2");
	assert_string_equal(answer_of(f, "H$")->policy_name, "policy 1");
}

static void groups_have_limits(void **state)
{
	struct fixture *f = *state;
	static const char *const fill[] = { "A", "B", "C", "D" };

	put_example(f, ROOT);
	put_gpo(f, 2, BASE, "A:" DOM "-5070");
	/* A: 63 levels are followed, B: 64 are not. */
	for (unsigned i = 0; i < 70; i++) {
		put_group(f, arena_printf(f->a, "deep%u", i), 5000 + i, "");
		if (i)
			fprintf(f->out, "member: CN=deep%u,CN=Users," BASE "\n", i - 1);
	}
	put_group(f, "last", 5070, "member: CN=deep69,CN=Users," BASE "\n");
	for (unsigned i = 0; i < 2050; i++)
		put_group(f, arena_printf(f->a, "wide%u", i), 10000 + i, arena_printf(f->a, "member: CN=C,OU=Web," BASE "\n%s",
		    i < 2048 ? "member: CN=D,OU=Web," BASE "\n" : ""));
	for (size_t i = 0; i < 4; i++)
		put_computer(f, fill[i], "OU=Web," BASE, 1101 + (unsigned)i, "");
	fputs("\ndn: CN=A,OU=Web," BASE "\nmemberOf: CN=deep8,CN=Users," BASE "\n", f->out);
	fputs("\ndn: CN=B,OU=Web," BASE "\nmemberOf: CN=deep7,CN=Users," BASE "\n", f->out);
	put_computer(f, "N", "OU=Web," BASE, 1106, "");
	for (unsigned i = 0; i < 4097; i++)
		fprintf(f->out, "memberOf: CN=none%u,CN=Users," BASE "\n", i);
	resolve(f);
	assert_string_equal(answer_of(f, "A$")->policy_name, "policy 2");
	assert_string_equal(answer_of(f, "B$")->reason, "groups of B$ are nested more than 64 deep");
	assert_string_equal(answer_of(f, "C$")->reason, "C$ is in more than 2048 groups");
	assert_string_equal(answer_of(f, "C$")->kind, "<computer> is in more than 2048 groups");
	assert_string_equal(answer_of(f, "D$")->policy_name, "policy 1");
	assert_string_equal(answer_of(f, "N$")->reason, "N$ is in more than 4096 groups");
}

static void links_have_limits(void **state)
{
	struct fixture *f = *state;

	fputs(ROOT, f->out);
	put_som(f, BASE, "domainDNS", "");
	fputs("gPLink: ", f->out);
	for (unsigned i = 0; i < 990; i++)
		fprintf(f->out, "[LDAP://%s;0]", gpo_dn(f, 10, BASE));
	fputs("\n", f->out);
	put_som(f, "OU=Web," BASE, "organizationalUnit", "1 1 1 1 1 1 1 1 1 1 1");
	put_som(f, "OU=Few," BASE, "organizationalUnit", "1 1 1 1 1 1 1 1 1");
	put_gpo(f, 1, BASE, NULL);
	put_gpo(f, 10, BASE, NULL);
	put_computer(f, "A", "OU=Web," BASE, 1101, "");
	put_computer(f, "B", "OU=Web," BASE, 1102, "");
	put_computer(f, "C", "OU=Few," BASE, 1103, "");
	resolve(f);
	assert_string_equal(answer_of(f, "B$")->reason, "more than 1000 GPO links above 'CN=B,OU=Web,DC=corp,DC=example'");
	assert_string_equal(answer_of(f, "B$")->kind, "more than 1000 GPO links above '<computer>'");
	assert_string_equal(answer_of(f, "C$")->policy_name, "policy 1");
}

static void gpos_that_are_missing_or_odd(void **state)
{
	struct fixture *f = *state;

	fputs(ROOT, f->out);
	put_som(f, BASE, "domainDNS", "1 2");
	/* 40 missing ones are too many to ask; of odd ones there may be as many as one likes. */
	put_som(f, "OU=Missing," BASE, "organizationalUnit", "");
	fputs("gPLink: ", f->out);
	for (unsigned i = 100; i < 140; i++)
		fprintf(f->out, "[LDAP://%s;0]", gpo_dn(f, i, BASE));
	fputc('\n', f->out);
	put_som(f, "OU=Odd," BASE, "organizationalUnit", "");
	fputs("gPLink: ", f->out);
	for (unsigned i = 200; i < 240; i++)
		fprintf(f->out, "[LDAP://%s;0]", gpo_dn(f, i, BASE));
	for (unsigned i = 200; i < 240; i++)
		fprintf(f->out, "\n\ndn: %s\nobjectClass: container", gpo_dn(f, i, BASE));
	fputc('\n', f->out);
	put_som(f, "OU=Hidden," BASE, "organizationalUnit", "150 151");
	fprintf(f->out, "\ndn: %s\n", gpo_dn(f, 150, BASE));
	put_gpo(f, 1, BASE, NULL);
	put_gpo(f, 2, BASE, NULL);
	fprintf(f->out, "\ndn: %s\ngPCWQLFilter: [corp.example;{1};0]\n", gpo_dn(f, 2, BASE));
	put_computer(f, "A", "OU=Missing," BASE, 1101, "");
	put_computer(f, "B", "OU=Odd," BASE, 1102, "");
	put_computer(f, "C", "OU=Hidden," BASE, 1103, "");
	put_computer(f, "D", BASE, 1104, "");
	resolve(f);
	assert_int_equal(answer_of(f, "A$")->verdicts[GP_UNREADABLE], 8);
	assert_int_equal(answer_of(f, "B$")->verdicts[GP_NOT_FOUND], 40);
	assert_int_equal(answer_of(f, "C$")->verdicts[GP_UNREADABLE], 1);
	assert_string_equal(answer_of(f, "D$")->policy_name, "policy 1");
}

static void wmi_filters_can_be_taken_as_true(void **state)
{
	struct fixture *f = *state;

	f->options.wmi_allow = true;
	put_example(f, ROOT);
	fprintf(f->out, "\ndn: %s\ngPCWQLFilter: [corp.example;{1};0]\n", gpo_dn(f, 1, BASE));
	put_computer(f, "A", BASE, 1101, "");
	resolve(f);
	assert_int_equal(answer_of(f, "A$")->assignment, GP_ASSIGNED);
}

static void what_keeps_a_policy_away(void **state)
{
	static const struct { const char *name, *links, *verdict; } hosts[] = {
		{ "A", "", "no-gpo" }, { "B", "1;1", "link-disabled" }, { "C", "2", "no-ipsec-extension" },
		{ "D", "99", "not-found" }, { "E", "2 99", "not-found" }, { "F", "1;1 99", "link-disabled" },
		{ "G", "3", "gpo-disabled" }, { "H", "4", "bad-version" }, { "I", "3 4", "bad-version" },
		{ "J", "5", "access-denied" }, { "K", "6", "wmi-filter" },
	};
	struct fixture *f = *state;

	fputs(ROOT, f->out);
	put_som(f, BASE, "domainDNS", "");
	for (unsigned i = 1; i < 7; i++)
		put_gpo(f, i, BASE, i == 5 ? "A:" DOM "-999" : NULL);
	fprintf(f->out, "\ndn: %s\ngPCMachineExtensionNames: [{1}{2}]\n", gpo_dn(f, 2, BASE));
	fprintf(f->out, "\ndn: %s\nflags: 2\n", gpo_dn(f, 3, BASE));
	fprintf(f->out, "\ndn: %s\ngPCFunctionalityVersion: 3\n", gpo_dn(f, 4, BASE));
	fprintf(f->out, "\ndn: %s\ngPCWQLFilter: [corp.example;{1};0]\n", gpo_dn(f, 6, BASE));
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		const char *ou = arena_printf(f->a, "OU=%s," BASE, hosts[i].name);

		put_som(f, ou, "organizationalUnit", hosts[i].links);
		put_computer(f, hosts[i].name, ou, 1101, "");
	}
	resolve(f);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		assert_string_equal(answer_of(f, arena_printf(f->a, "%s$", hosts[i].name))->verdict, hosts[i].verdict);
}

static void an_ad_tells_tokens(void **state)
{
	struct fixture *f = *state;
	const char *g = arena_printf(f->a, "tokenGroups:: %s\n", sid64(f, DOM "-1201"));

	put_example(f, ROOT_AD);
	fprintf(f->out, "\ndn:\ntokenGroups:: %s\ntokenGroups:: %s\n", sid64(f, DOM "-1103"), sid64(f, DOM "-1201"));
	fprintf(f->out, "\ndn: %s\nnTSecurityDescriptor:: %s\n", gpo_dn(f, 1, BASE), sd64(f, "A:S-1-5-11"));
	put_gpo(f, 2, BASE, "A:" DOM "-1201");
	put_gpo(f, 4, BASE, NULL);
	put_som(f, "OU=No SD," BASE, "organizationalUnit", "4");
	put_computer(f, "A", "OU=Web," BASE, 1101, g);
	put_computer(f, "B", "OU=Web," BASE, 1102, "");			/* tells nothing */
	put_computer(f, "C", "OU=Web," BASE, 1103, "");			/* is the one that is bound */
	put_computer(f, "D", "OU=Web," BASE, 1104, arena_printf(f->a, "tokenGroups:: %s\n", sid64(f, DOM "-1202")));
	put_computer(f, "E", "OU=Web," BASE, 1105, "tokenGroups: not a SID\n");
	put_computer(f, "F", "OU=No SD," BASE, 1106, g);
	put_group(f, "some", 1201, "member: CN=D,OU=Web," BASE "\n");	/* not asked */
	resolve(f);
	assert_string_equal(answer_of(f, "A$")->policy_name, "policy 2");
	assert_string_equal(answer_of(f, "B$")->reason, "'CN=B,OU=Web,DC=corp,DC=example': the groups (tokenGroups) may not be read");
	assert_string_equal(answer_of(f, "B$")->kind, "'<computer>': the groups (tokenGroups) may not be read");
	assert_string_equal(answer_of(f, "C$")->policy_name, "policy 2");
	assert_string_equal(answer_of(f, "D$")->policy_name, "policy 1");
	assert_string_equal(answer_of(f, "F$")->verdict, "malformed");
}

static void containers_that_cannot_be_read(void **state)
{
	struct fixture *f = *state;

	put_example(f, ROOT);
	fputs("\ndn: OU=Hidden," BASE "\n\ndn: OU=Wrong," BASE "\nobjectClass: container\n\ndn: OU=Bad," BASE "\nobjectClass: organizationalUnit\ngPOptions: x\n", f->out);
	put_som(f, "OU=Lost," BASE, "organizationalUnit", "");
	fputs("gPLink: [nonsense;0]\n", f->out);
	put_computer(f, "A", "OU=Hidden," BASE, 1101, "");
	put_computer(f, "B", "OU=Wrong," BASE, 1102, "");
	put_computer(f, "C", "OU=Bad," BASE, 1103, "");
	put_computer(f, "D", "OU=Lost," BASE, 1104, "");
	put_computer(f, "E", "ou=hidden, " BASE, 1105, "");
	put_computer(f, "F", "CN=box,OU=Web," BASE, 1106, "");
	put_gpo(f, 2, BASE, NULL);
	resolve(f);
	assert_int_equal(answer_of(f, "D$")->assignment, GP_UNKNOWN);
	assert_false(answer_of(f, "D$")->failed);
	assert_string_equal(answer_of(f, "F$")->policy_name, "policy 2");
}

static void a_site_counts_for_all(void **state)
{
	struct fixture *f = *state;

	f->who.site = "Branch";
	put_example(f, ROOT);
	put_gpo(f, 2, BASE, NULL);
	put_som(f, "CN=Branch,CN=Sites,CN=Configuration," BASE, "site", "2");
	put_computer(f, "A", BASE, 1101, "");
	resolve(f);
	assert_string_equal(answer_of(f, "A$")->site, "Branch");
	assert_string_equal(answer_of(f, "A$")->policy_name, "policy 1");
	assert_int_equal(answer_of(f, "A$")->verdicts[GP_APPLIES], 2);
}

static void a_site_that_is_none(void **state)
{
	struct fixture *f = *state;

	f->who.default_site = "Nowhere";
	put_example(f, ROOT);
	put_computer(f, "A", BASE, 1101, "");
	put_computer(f, "B", "OU=Web," BASE, 1102, "");
	resolve(f);
	assert_string_equal(answer_of(f, "B$")->reason, "site 'Nowhere' (default) does not exist");
}

static void a_domain_that_is_not_there(void **state)
{
	struct fixture *f = *state;

	fputs("dn:\nobjectClass: top\ndefaultNamingContext: DC=gone\n", f->out);
	open_directory(f);
	assert_int_equal(ask_fleet(f), -1);
	assert_string_equal(f->err.msg, "'DC=gone' does not exist in this directory");
	assert_int_equal(f->err.code, ERR_ABSENT);
}

static void too_many_domains_are_refused(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 600; i++) {
		fprintf(f->out, "\ndn: DC=d%u\nobjectClass: domainDNS\n", i);
		put_computer(f, arena_printf(f->a, "H%u", i), arena_printf(f->a, "DC=d%u", i), 1101, "");
		fprintf(f->out, "\ndn: DC=d%u\ngPLink: [LDAP://%s;0]\n", i, gpo_dn(f, 1, "DC=x"));
	}
	for (unsigned i = 0; i < 600; i++)
		fprintf(f->out, "\ndn: DC=e%u\nobjectClass: domainDNS\n\ndn: CN=H%u,DC=e%u\nobjectClass: computer\nsAMAccountName: I%u$\n", i, i, i, i);
	open_directory(f);
	assert_int_equal(ask_fleet(f), -1);
	assert_string_equal(f->err.msg, "more than 1000 searches: computers, GPOs or policies of too many domains");
	assert_int_equal(f->err.code, ERR_LIMIT);
}

static void one_computer_can_be_told_apart(void **state)
{
	struct fixture *f = *state;
	struct gp_subject who = { .computer = "a$", .site = "Branch" };
	struct collected col = { 0 };
	struct err why;

	put_example(f, ROOT);
	put_gpo(f, 2, BASE, NULL);
	put_som(f, "CN=Branch,CN=Sites,CN=Configuration," BASE, "site", "2");
	put_computer(f, "A", BASE, 1101, "");
	put_computer(f, "B", BASE, 1102, "");
	resolve(f);
	assert_int_equal(collect_from(&col, f->d, &who, &f->options, &f->err), 0);
	assert_int_equal(gp_fleet_put(f->fleet, col.snapshot, &who, NULL, &f->err), 0);
	collected_free(&col);
	assert_string_equal(answer_of(f, "A$")->site, "Branch");
	assert_string_equal(answer_of(f, "B$")->site, "");
	assert_non_null(strstr(json_of(f), "\"computer\":\"A$\",\"computer_dn\":\"CN=A,DC=corp,DC=example\",\"domain\":\"corp.example\",\"site\":\"Branch\",\"site_from\":\"configured\""));
	err_set(&why, ERR_DENIED, "not for a$");
	assert_int_equal(gp_fleet_put(f->fleet, NULL, &who, &why, &f->err), 0);
	assert_string_equal(answer_of(f, "A$")->reason, "not for a$");
	assert_true(answer_of(f, "A$")->failed);
	assert_false(answer_of(f, "B$")->failed);
}

static void rights_for_many_tokens(void **state)
{
	struct fixture *f = *state;
	struct dir_value sd;
	struct sd_ace *aces;
	struct wr wr = { 0 };
	struct sid sid;
	size_t n;

	put_sd(&wr, "D:" DOM "-1 A:S-1-5-11");
	sd = (struct dir_value){ wr.p, wr.len };
	assert_int_equal(sd_aces(&aces, &n, f->a, &sd, &f->err), 0);
	assert_int_equal(n, 2);
	assert_true(sid_read(&sid, DOM "-1") && sid_equal(&sid, &aces[0].sid) && !aces[0].grants);
	assert_true(sid_read(&sid, "S-1-5-11") && sid_equal(&sid, &aces[1].sid) && aces[1].grants);
	sd.len -= 4;
	assert_int_equal(sd_aces(&aces, &n, f->a, &sd, &f->err), -1);
	assert_int_equal(f->err.code, ERR_FORMAT);
	free(wr.p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_small_domain_is_printed), T(nothing_is_a_fleet_too), T(names_that_are_not_unique),
		T(a_computer_without_a_name_is_listed), T(domains_without_a_root), T(groups_are_followed_like_alone),
		T(groups_have_limits), T(links_have_limits), T(gpos_that_are_missing_or_odd), T(wmi_filters_can_be_taken_as_true),
		T(what_keeps_a_policy_away), T(an_ad_tells_tokens), T(containers_that_cannot_be_read), T(a_site_counts_for_all),
		T(a_site_that_is_none), T(a_domain_that_is_not_there), T(too_many_domains_are_refused),
		T(one_computer_can_be_told_apart), T(rights_for_many_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
