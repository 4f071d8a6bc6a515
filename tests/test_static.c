/* The static context: command lines against a store in memory. */
#include "tests/policies.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cli_text.h"
#include "agent/conf.h"
#include "agent/session.h"
#include "agent/static.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/ipsecdata.h"
#include "tests/folder.h"

#define STORE_DN	"CN=IP Security,CN=System,DC=corp,DC=example"

/* ---- a store in memory ---- */

struct world {
	struct arena		*arena;
	struct dir_entry	*entries;
	size_t			 n_entries;
	unsigned		 version;
	const char		*active;
	struct { const char *gpo, *dn; } gpos[8];
	size_t			 n_gpos;
	enum err_code		 refuse;	/* each save */
	unsigned		 n_saves, n_loads;
	void			(*before_save)(void);	/* once: somebody else is faster */
};

static struct world world;

struct memory {
	struct backend	b;
	unsigned	seen;
};

static struct dir_value value_keep(const struct dir_value *v)
{
	uint8_t *p = arena_zalloc(world.arena, v->len + 1, 1);

	if (v->len)
		memcpy(p, v->p, v->len);
	return (struct dir_value){ .p = p, .len = v->len };
}

static struct dir_attr attr_keep(const struct dir_attr *from)
{
	struct dir_attr to = { .name = arena_strdup(world.arena, from->name), .n_values = from->n_values };

	to.values = arena_zalloc(world.arena, from->n_values + 1, sizeof(*to.values));
	for (size_t i = 0; i < from->n_values; i++)
		to.values[i] = value_keep(&from->values[i]);
	return to;
}

static size_t entry_find(const char *dn)
{
	for (size_t i = 0; i < world.n_entries; i++)
		if (dn_equal(world.entries[i].dn, dn))
			return i;
	return world.n_entries;
}

static void entry_put(const char *dn, const struct dir_attr *attrs, size_t n)
{
	struct dir_entry *e;

	assert_int_equal(entry_find(dn), world.n_entries);
	world.entries = arena_grow(world.arena, world.entries, world.n_entries, sizeof(*e));
	e = &world.entries[world.n_entries++];
	*e = (struct dir_entry){ .dn = arena_strdup(world.arena, dn), .n_attrs = n };
	e->attrs = arena_zalloc(world.arena, n + 1, sizeof(*e->attrs));
	for (size_t i = 0; i < n; i++)
		e->attrs[i] = attr_keep(&attrs[i]);
}

static struct dir_attr *attr_of(struct dir_entry *e, const char *name)
{
	for (size_t i = 0; i < e->n_attrs; i++)
		if (ascii_equal(e->attrs[i].name, name))
			return &e->attrs[i];
	e->attrs = memcpy(arena_zalloc(world.arena, e->n_attrs + 1, sizeof(*e->attrs)), e->attrs, e->n_attrs * sizeof(*e->attrs));
	e->attrs[e->n_attrs] = (struct dir_attr){ .name = arena_strdup(world.arena, name) };
	return &e->attrs[e->n_attrs++];
}

static bool value_same(const struct dir_value *x, const struct dir_value *y)
{
	return x->len == y->len && !memcmp(x->p, y->p, x->len);
}

static void attr_drop(struct dir_attr *a, const struct dir_value *v)
{
	for (size_t i = 0; i < a->n_values; i++)
		if (value_same(&a->values[i], v)) {
			a->values[i] = a->values[--a->n_values];
			return;
		}
	fail_msg("no such value of %s", a->name);
}

static void mod_apply(struct dir_entry *e, const struct dir_mod *m)
{
	struct dir_attr *a = attr_of(e, m->attr.name), more = attr_keep(&m->attr);

	switch (m->kind) {
	case MOD_REPLACE:
		a->values = more.values;
		a->n_values = more.n_values;
		break;
	case MOD_DELETE:
		for (size_t i = 0; i < more.n_values; i++)
			attr_drop(a, &more.values[i]);
		break;
	case MOD_ADD:
		more.values = arena_zalloc(world.arena, a->n_values + m->attr.n_values, sizeof(*more.values));
		for (size_t i = 0; i < a->n_values; i++)
			more.values[i] = a->values[i];
		for (size_t i = 0; i < m->attr.n_values; i++)
			more.values[a->n_values + i] = value_keep(&m->attr.values[i]);
		a->values = more.values;
		a->n_values += m->attr.n_values;
		break;
	}
}

static void change_apply(const struct dir_change *c)
{
	size_t i = entry_find(c->dn);

	if (c->kind == CHANGE_ADD) {
		entry_put(c->dn, c->attrs, c->n_attrs);
		return;
	}
	assert_true(i < world.n_entries);
	if (c->kind == CHANGE_DELETE) {
		world.entries[i] = world.entries[--world.n_entries];
		return;
	}
	for (size_t k = 0; k < c->n_mods; k++)
		mod_apply(&world.entries[i], &c->mods[k]);
}

static int memory_load(struct backend *b, struct store_edit *ret, struct err *e)
{
	world.n_loads++;
	((struct memory *)(void *)b)->seen = world.version;
	if (container_read(&ret->container, STORE_DN, world.entries, world.n_entries, e))
		return -1;
	if (world.active)
		ret->active = arena_strdup(ret->container->arena, world.active);
	return 0;
}

static void gpo_set(const char *gpo, const char *dn)
{
	size_t i = 0;

	while (i < world.n_gpos && strcmp(world.gpos[i].gpo, gpo))
		i++;
	if (i == world.n_gpos)
		world.gpos[world.n_gpos++].gpo = arena_strdup(world.arena, gpo);
	world.gpos[i].dn = dn ? arena_strdup(world.arena, dn) : NULL;
}

static int memory_save(struct backend *b, struct store_edit *e, struct err *error)
{
	void (*faster)(void) = world.before_save;
	struct dir_change *changes;
	size_t n;

	world.n_saves++;
	world.before_save = NULL;
	if (faster)
		faster();
	if (world.refuse)
		return err_set(error, world.refuse, "refused");
	if (((struct memory *)(void *)b)->seen != world.version)
		return err_set(error, ERR_BUSY, "the store was changed by somebody else");
	if (container_changes(&changes, &n, world.arena, e->container, error))
		return -1;
	for (size_t i = 0; i < n; i++)
		change_apply(&changes[i]);
	if (e->active_changed)
		world.active = e->active ? arena_strdup(world.arena, e->active) : NULL;
	for (size_t i = 0; i < e->n_gpos; i++)
		gpo_set(e->gpos[i].gpo, e->gpos[i].policy);
	world.version++;
	return 0;
}

static int memory_assigned(struct backend *b, const char *gpo, const char **ret, struct arena *a, struct err *e)
{
	(void)b;
	for (size_t i = 0; i < world.n_gpos; i++)
		if (!strcmp(world.gpos[i].gpo, gpo)) {
			*ret = world.gpos[i].dn ? arena_strdup(a, world.gpos[i].dn) : NULL;
			return *ret != NULL;
		}
	return err_set(e, ERR_ABSENT, "there is no GPO '%s'", gpo);
}

static int memory_users(struct backend *b, const char *dn, struct gpo_user **ret, size_t *n, struct arena *a, struct err *e)
{
	struct gpo_user *users = arena_zalloc(a, world.n_gpos + 1, sizeof(*users));

	(void)b;
	(void)e;
	*n = 0;
	for (size_t i = 0; i < world.n_gpos; i++)
		if (world.gpos[i].dn && dn_equal(world.gpos[i].dn, dn))
			users[(*n)++] = (struct gpo_user){ world.gpos[i].gpo, world.gpos[i].gpo };
	*ret = users;
	return 0;
}

static const char *memory_where(struct backend *b)
{
	(void)b;
	return "in memory";
}

static void memory_close(struct backend *b)
{
	free(b);
}

static struct backend *memory_open(const struct session_options *o, enum store_location location, const char *domain, struct err *e)
{
	struct memory *m = calloc(1, sizeof(*m));

	(void)o;
	(void)location;
	(void)domain;
	(void)e;
	assert_non_null(m);
	m->b = (struct backend){ memory_load, memory_save, memory_assigned, memory_users, memory_where, memory_close };
	return &m->b;
}

/* ---- command lines ---- */

static struct session_options options;
static struct session *session;
static char *out_text;
static size_t out_len;

static void reopen(void)
{
	session_close(session);
	session = session_open(&options, &err);
	assert_non_null(session);
}

static int setup(void **state)
{
	policies_setup(state);
	world = (struct world){ .arena = arena_new(0) };
	options = (struct session_options){ .location = LOCATION_LOCAL, .open = memory_open };
	session = NULL;
	reopen();
	return 0;
}

static int teardown(void **state)
{
	session_close(session);
	session = NULL;
	arena_free(world.arena);
	free(out_text);
	out_text = NULL;
	return policies_teardown(state);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

static void parse(struct netsh_args *args, const char *line)
{
	char **words;
	size_t n;

	if (netsh_split(&words, &n, arena, line, strlen(line), &err) ||
	    netsh_parse(args, arena, NETSH_STATIC, words, n, &err))
		fail_msg("%s: %s", line, err.msg);
}

static int run(struct session *s, const char *line)
{
	struct netsh_args args;
	FILE *f;
	int rc;

	free(out_text);
	out_text = NULL;
	f = open_memstream(&out_text, &out_len);
	assert_non_null(f);
	parse(&args, line);
	rc = session_run(s, &args, f, &err);
	fclose(f);
	return rc;
}

static void ok(const char *line)
{
	if (run(session, line))
		fail_msg("%s: %s", line, err.msg);
}

static void shows(const char *line, const char *text)
{
	ok(line);
	assert_string_equal(out_text, text);
}

static void has(const char *text)
{
	if (!strstr(out_text, text))
		fail_msg("no '%s' in: %s", text, out_text);
}

static void fails_done(const char *line, const char *message)
{
	assert_int_equal(run(session, line), -1);
	assert_string_equal(err.msg, message);
}

static void hasnt(const char *text)
{
	if (strstr(out_text, text))
		fail_msg("'%s' in: %s", text, out_text);
}

/* And nothing is changed by it. */
static void fails(const char *line, enum err_code code, const char *msg)
{
	unsigned version = world.version;

	if (!run(session, line))
		fail_msg("%s: no error", line);
	assert_string_equal(err.msg, msg);
	assert_int_equal(err.code, code);
	assert_int_equal(world.version, version);
	assert_int_equal(session_pending(session), 0);
}

/* ---- looking at what is stored ---- */

static struct ipsec_container *stored(void)
{
	struct ipsec_container *c;

	if (container_read(&c, STORE_DN, world.entries, world.n_entries, &err))
		fail_msg("%s", err.msg);
	return c;
}

static size_t count(enum object_class class)
{
	struct ipsec_container *c = stored();
	size_t n = 0;

	for (size_t i = 0; i < c->n_objects; i++)
		n += c->objects[i]->class == class;
	container_free(c);
	return n;
}

/* GUIDs become numbers in the order in which they come. */
static char *numbered(char *text)
{
	struct guid ids[200];
	size_t n = 0, i;

	for (char *p = text; *p; p++) {
		char label[24];

		if (*p != '{' || strlen(p) < GUID_TEXT - 1 || !guid_parse(&ids[n], p, GUID_TEXT - 1))
			continue;
		for (i = 0; guid_cmp(&ids[i], &ids[n]); i++)
			;
		n += i == n;
		assert_true(n < 200);
		snprintf(label, sizeof(label), "%02zu", i + 1);
		memcpy(p, label, 2);
		memmove(p + 2, p + GUID_TEXT - 1, strlen(p + GUID_TEXT - 1) + 1);
	}
	return text;
}

static char *policy_stored(const char *name)
{
	struct ipsec_container *c = stored();
	struct ipsec_object *o;
	struct ipsec_policy *p = NULL;
	char *text;

	if (container_find(&o, c, OBJ_POLICY, name, &err) || container_policy(&p, c, o, &err))
		fail_msg("%s", err.msg);
	text = numbered(text_of(p, POLICY_SEALED));
	policy_free(p);
	container_free(c);
	return text;
}

static void policy_has(const char *name, const char *line)
{
	char *text = policy_stored(name);

	if (!strstr(text, line))
		fail_msg("no '%s' in: %s", line, strstr(text, "\nrule "));
}

static void policy_hasnt(const char *name, const char *line)
{
	char *text = policy_stored(name);

	if (strstr(text, line))
		fail_msg("'%s' in: %s", line, text);
}

/* ---- policies ---- */


static void test_policy_add(void **state)
{
	(void)state;
	ok("add policy name=\"Lab servers\" description=\"for the lab\" mmpfs=yes mmlifetime=240 activatedefaultrule=no "
	    "pollinginterval=10 mmsecmethods=\"3DES-MD5-3 DES-SHA1-1\"");
	assert_string_equal(policy_stored("lab SERVERS"),
	    "ipsecpol policy 1\n"
	    "policy 01\n"
	    "\tdn \"CN=ipsecPolicy01," STORE_DN "\"\n"
	    "\tname \"Lab servers\"\n"
	    "\tdescription \"for the lab\"\n"
	    "\tpolling 600\n"
	    "main-mode 02\n"
	    "\tinstance 02\n"
	    "\tmaster-pfs yes\n"
	    "\tmap-account no\n"
	    "\texclude-ca no\n"
	    "\tquick-modes 1\n"
	    "\tlifetime 14400\n"
	    "\toffer 3des md5 group 14 lifetime 14400 kbytes 0 quick-modes 1\n"
	    "\toffer des sha1 group 1 lifetime 14400 kbytes 0 quick-modes 1\n"
	    "action 03\n"
	    "\tname \"\"\n"
	    "\tkind negotiate\n"
	    "\tinpass no\n"
	    "\tsoft no\n"
	    "\tpfs no\n"
	    "\tdefault-response yes\n"
	    "\toffer esp 3des sha1 lifetime 0 kbytes 0\n"
	    "\toffer esp 3des md5 lifetime 0 kbytes 0\n"
	    "\toffer esp des sha1 lifetime 0 kbytes 0\n"
	    "\toffer esp des md5 lifetime 0 kbytes 0\n"
	    "\toffer ah sha1 lifetime 0 kbytes 0\n"
	    "\toffer ah md5 lifetime 0 kbytes 0\n"
	    "rule 04\n"
	    "\tname \"\"\n"
	    "\tactive no\n"
	    "\tconnections all\n"
	    "\ttunnel none\n"
	    "\tauth kerberos\n"
	    "\tfilter-list none\n"
	    "\taction 03 \"\"\n"
	    "end\n");
}

static void test_policy_defaults(void **state)
{
	(void)state;
	ok("add policy p");
	policy_has("p", "\tpolling 10800\n");
	policy_has("p", "\tmaster-pfs no\n");
	policy_has("p", "\tquick-modes 0\n\tlifetime 0\n\toffer 3des sha1 group 2 lifetime 28800 kbytes 0 quick-modes 0\n"
	    "\toffer 3des md5 group 2 lifetime 28800 kbytes 0 quick-modes 0\n");
	policy_has("p", "\tactive yes\n");
	assert_null(world.active);
}

static void test_policy_set(void **state)
{
	(void)state;
	ok("add policy name=p description=old activatedefaultrule=no");
	ok("set policy name=P newname=q description=new mmpfs=yes qmpermm=3 mmlifetime=60 activatedefaultrule=yes pollinginterval=5");
	policy_has("q", "\tname \"q\"\n\tdescription \"new\"\n");
	policy_has("q", "\tpolling 300\n");
	policy_has("q", "\tmaster-pfs yes\n");
	policy_has("q", "\tquick-modes 3\n\tlifetime 3600\n\toffer 3des sha1 group 2 lifetime 3600 kbytes 0 quick-modes 3\n");
	policy_has("q", "\tactive yes\n");
	ok("set policy q mmsecmethods=DES-MD5-2");
	policy_has("q", "\tlifetime 3600\n\toffer des md5 group 2 lifetime 3600 kbytes 0 quick-modes 3\naction");
	/* What is not said stays. */
	policy_has("q", "\tname \"q\"\n\tdescription \"new\"\n");
	ok("set policy q newname=Q");
	policy_has("q", "\tname \"Q\"\n");
	assert_int_equal(count(OBJ_RULE), 1);
}

static void test_policy_errors(void **state)
{
	(void)state;
	ok("add policy p");
	ok("add policy q");
	fails("add policy P", ERR_FORMAT, "policy 'P' exists already");
	fails("add policy name=all", ERR_FORMAT, "'all' cannot be a name");
	fails("add policy name={72385230-70FA-11D1-864C-14A300000000}", ERR_FORMAT,
	    "'{72385230-70FA-11D1-864C-14A300000000}' cannot be a name");
	fails("set policy name=x assign=yes", ERR_ABSENT, "policy 'x' does not exist");
	fails("set policy name=p newname=Q", ERR_FORMAT, "policy 'Q' exists already");
	fails("set policy guid={72385230-70FA-11D1-864C-14A300000000} newname=z", ERR_ABSENT,
	    "there is no policy {72385230-70fa-11d1-864c-14a300000000}");
	fails("set policy name=p assign=yes gponame=Lab", ERR_FORMAT, "gponame= is for the domain store: this is the local one");
	fails("delete policy x", ERR_ABSENT, "policy 'x' does not exist");
	fails("delete policy name=x", ERR_ABSENT, "policy 'x' does not exist");
}

/* ---- assigning ---- */

static void test_assign(void **state)
{
	(void)state;
	ok("add policy p assign=yes");
	assert_non_null(world.active);
	ok("add policy q");
	ok("set policy name=q assign=no");	/* is not the one */
	ok("show gpoassignedpolicy");
	has("Assigned Policy         : p\n");
	fails("delete policy p", ERR_BUSY, "policy 'p' is assigned: unassign it first (set policy name=\"p\" assign=no)");
	fails("delete policy all", ERR_BUSY, "policy 'p' is assigned: unassign it first (set policy name=\"p\" assign=no)");
	fails("delete all", ERR_BUSY, "policy 'p' is assigned: unassign it first (set policy name=\"p\" assign=no)");
	ok("set policy name=q assign=yes");
	ok("delete policy p");
	ok("set policy name=q assign=no");
	assert_null(world.active);
	ok("show gpoassignedpolicy");
	has("Assigned Policy         : NONE\n");
	ok("delete all");
	assert_int_equal(world.n_entries, 0);
}

/* A policy that could not be enforced is not assigned. */
static void test_assign_refused(void **state)
{
	(void)state;
	ok("add policy p");
	ok("add filteraction block action=block");
	ok("add filter filterlist=l srcaddr=me dstaddr=10.0.0.1");
	ok("add rule name=r policy=p filterlist=l filteraction=block");
	for (size_t i = 0; i < world.n_entries; i++)
		if (strstr(world.entries[i].dn, "ipsecFilter{") || strstr(world.entries[i].dn, "ipsecFilter{"))
			world.entries[i] = world.entries[--world.n_entries];
	world.version++;
	if (!run(session, "set policy p assign=yes"))
		fail_msg("assigned");
	assert_non_null(strstr(err.msg, "policy 'p' cannot be assigned: "));
	assert_null(world.active);
}

static void test_domain(void **state)
{
	(void)state;
	options.location = LOCATION_DOMAIN;
	reopen();
	gpo_set("Lab", NULL);
	gpo_set("Lab 2", NULL);
	fails("add policy p assign=yes", ERR_FORMAT,
	    "in the domain store a policy is assigned to a GPO: set policy name=... gponame=... assign=yes");
	ok("add policy p");
	ok("add policy q");
	fails("set policy name=p assign=yes", ERR_FORMAT, "assign= in the domain store needs gponame=");
	fails("set policy name=p gponame=Lab", ERR_FORMAT, "gponame= without assign=");
	fails("set policy name=p gponame=x assign=yes", ERR_ABSENT, "there is no GPO 'x'");
	fails("set policy name=p gponame=Lab assign=no", ERR_ABSENT, "GPO 'Lab' assigns no policy");
	ok("set policy name=p gponame=Lab assign=yes");
	ok("set policy name=p gponame=\"Lab 2\" assign=yes");
	assert_non_null(world.gpos[0].dn);
	ok("show policy p");
	has("Assigned                : to 'Lab', 'Lab 2'\n");
	run(session, "set policy name=q gponame=Lab assign=no");
	assert_non_null(strstr(err.msg, "GPO 'Lab' does not assign policy 'q' but CN=ipsecPolicy{"));
	fails("delete policy p", ERR_BUSY, "policy 'p' is assigned by GPO 'Lab' and 1 other: unassign it first (set policy name=\"p\" "
	    "gponame=\"Lab\" assign=no), wait until all members have refreshed (24 hours), then delete it");
	shows("set policy name=p gponame=Lab assign=no",
	    "unassigned; before the policy is deleted wait until all members have refreshed (24 hours)\n");
	ok("set policy name=p gponame=\"Lab 2\" assign=no");
	ok("show gpoassignedpolicy name=Lab");
	assert_string_equal(out_text, "GPO Name                : Lab\nAssigned Policy         : NONE\n");
	fails("show gpoassignedpolicy", ERR_FORMAT, "in the domain store the name of a GPO is needed");
	ok("delete policy p");
	fails("restorepolicyexamples release=win2003", ERR_UNSUPPORTED, "the examples can be restored in the local store only");
}

/* ---- filters ---- */

static void test_filter_add(void **state)
{
	(void)state;
	ok("add filter filterlist=web srca=any dsta=me desc=\"the web\" proto=TCP mir=no srcport=0 dstport=80");
	ok("add filter web 192.168.1.7 me srcmask=255.255.255.0");
	ok("add filter web me 10.0.0.0/8 protocol=47");
	ok("add filter web me dns");
	ok("add filter web me 2001:db8::/32");
	ok("add filter web me 10.0.0.1-10.0.0.9");
	ok("show filterlist web level=verbose format=table wide=yes");
	assert_string_equal(strstr(out_text, "\nweb\n"),
	    "\nweb\n"
	    "---\n"
	    "Source          Destination        Protocol  Src Port  Dst Port  Mirrored  Description\n"
	    "--------------  -----------------  --------  --------  --------  --------  -----------\n"
	    "any             me                 TCP       ANY       80        NO        the web\n"
	    "192.168.1.0/24  me                 ANY       ANY       ANY       YES\n"
	    "me              10.0.0.0/8         47        ANY       ANY       YES\n"
	    "me              dns                ANY       ANY       ANY       YES\n"
	    "me              2001:db8::/32      ANY       ANY       ANY       YES\n"
	    "me              10.0.0.1-10.0.0.9  ANY       ANY       ANY       YES\n");
	ok("add policy p");
	ok("add filteraction name=permit action=permit");
	ok("add rule r p web permit");
	policy_has("p", "any -> me port 80 protocol tcp one-way\n\t\tdescription \"the web\"\n");
	policy_has("p", " 192.168.1.0/24 -> me protocol any mirrored\n");
	policy_has("p", " me -> 10.0.0.0/8 protocol 47 mirrored\n");
	policy_has("p", " me -> dns protocol any mirrored\n");
	policy_has("p", " me -> 2001:db8::/32 protocol any mirrored\n");
	policy_has("p", " me -> 10.0.0.1-10.0.0.9 protocol any mirrored\n");
}

static void test_filter_errors(void **state)
{
	/* Too long for DNS: needs no network to be refused. */
	const char *host = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example";
	struct ipsec_addr *addrs;
	size_t n;

	(void)state;
	ok("add filter web any me");
	fails("add filter web any me", ERR_FORMAT, "filter list 'web' has this filter already");
	fails("add filter web any me mirrored=yes protocol=any srcport=0", ERR_FORMAT, "filter list 'web' has this filter already");
	ok("add filter web any me description=other");
	assert_int_equal(host_lookup(&addrs, &n, arena, host, "srcaddr", &err), -1);
	assert_non_null(strstr(err.msg, arena_printf(arena, "'srcaddr': '%s' was not found: ", host)));
}

static void test_filter_delete(void **state)
{
	(void)state;
	ok("add filter web any me protocol=TCP dstport=80");
	ok("add filter web any me protocol=TCP dstport=443");
	ok("add filter web any me protocol=UDP");
	ok("add filter web 10.0.0.1 me");
	ok("add filter web 10.0.0.0 me srcmask=24");
	fails("delete filter other any me", ERR_ABSENT, "filter list 'other' does not exist");
	fails("delete filter web me any", ERR_ABSENT, "filter list 'web' has no such filter");
	fails("delete filter web any me protocol=ICMP", ERR_ABSENT, "filter list 'web' has no such filter");
	fails("delete filter web 10.0.0.0 me", ERR_ABSENT, "filter list 'web' has no such filter");
	fails("delete filter web any me mirrored=no", ERR_ABSENT, "filter list 'web' has no such filter");
	ok("delete filter web any me protocol=TCP dstport=443");
	ok("show filterlist web");
	has("No. of Filters          : 4\n");
	ok("delete filter web 10.0.0.0 me srcmask=255.255.255.0");
	ok("delete filter web any me");
	ok("show filterlist web level=verbose");
	has("No. of Filters          : 1\n");
	has("Source Address          : 10.0.0.1\n");
	/* What was there before can be there again. */
	ok("add filter web any me");
}

/* Names are looked up when the filter is made; without a network there is this one. */
static void test_filter_name(void **state)
{
	(void)state;
	ok("add filter web localhost any protocol=TCP");
	ok("show filterlist web level=verbose");
	has("Source Address          : 127.0.0.1\nSource DNS Name         : localhost\n");
	run(session, "add filter web localhost any protocol=TCP");
	assert_string_equal(err.msg, "filter list 'web' has this filter already");
	ok("delete filter web LOCALHOST any");
	ok("show filterlist web");
	has("No. of Filters          : 0\n");
	ok("add filter web 127.0.0.1 localhost");
	ok("show filterlist web");
	has("No. of Filters          : 1\n");
}

static void test_lists(void **state)
{
	(void)state;
	ok("add filterlist name=web description=d");
	fails("add filterlist WEB", ERR_FORMAT, "filter list 'WEB' exists already");
	ok("add filterlist other");
	ok("set filterlist name=web newname=\"the web\" description=e");
	ok("show filterlist \"the web\"");
	has("Filter List Name        : the web\nDescription             : e\nNo. of Filters          : 0\nGUID                    : {");
	fails("set filterlist name=other newname=\"the web\"", ERR_FORMAT, "filter list 'the web' exists already");
	fails("set filterlist web newname=x", ERR_ABSENT, "filter list 'web' does not exist");
	ok("add policy p");
	ok("add filteraction a action=permit");
	ok("add rule name=r policy=p filterlist=other filteraction=a");
	fails("delete filterlist other", ERR_BUSY, "filter list 'other' is in use by rule 'r' of policy 'p'");
	fails("delete filterlist all", ERR_BUSY, "filter list 'other' is in use by rule 'r' of policy 'p'");
	fails("delete filteraction a", ERR_BUSY, "filter action 'a' is in use by rule 'r' of policy 'p'");
	fails("delete filteraction all", ERR_BUSY, "filter action 'a' is in use by rule 'r' of policy 'p'");
	ok("delete filterlist \"the web\"");
	ok("delete rule name=r policy=p");
	ok("delete filterlist all");
	ok("delete filteraction all");
	assert_int_equal(count(OBJ_LIST), 0);
	assert_int_equal(count(OBJ_ACTION), 1);		/* of the default response */
}

/* ---- filter actions ---- */

static void test_actions(void **state)
{
	(void)state;
	ok("add filteraction name=secure soft=yes inpass=yes qmpfs=yes");
	ok("show filteraction secure");
	has("Action                  : negotiate\nAccept Unsecured        : YES\nAllow Unsecured         : YES\n"
	    "Quick Mode PFS          : YES\nSecurity Methods        : ESP[3DES,SHA1]:100000k/3600s ESP[3DES,MD5]:100000k/3600s\n");
	ok("set filteraction name=secure qmpfs=no qmsecmethods=\"AH[MD5]+ESP[DES,None]:50000k/900s\"");
	ok("show filteraction secure");
	has("Quick Mode PFS          : NO\nSecurity Methods        : AH[MD5]+ESP[DES,None]:50000k/900s\n");
	ok("set filteraction name=secure action=block");
	ok("set filteraction name=secure action=negotiate");
	ok("show filteraction secure");
	has("Allow Unsecured         : NO\nQuick Mode PFS          : NO\nSecurity Methods        : ESP[3DES,SHA1]:100000k/3600s");
	ok("add filteraction name=drop action=block qmsecmethods=AH[MD5]");
	fails("set filteraction name=drop qmsecmethods=AH[MD5]", ERR_FORMAT,
	    "filter action 'drop' does not negotiate: qmsecmethods= needs action=negotiate");
	fails("set filteraction name=drop soft=yes", ERR_FORMAT, "soft=yes needs action=negotiate");
	fails("add filteraction drop", ERR_FORMAT, "filter action 'drop' exists already");
	fails("set filteraction name=x action=permit", ERR_ABSENT, "filter action 'x' does not exist");
}

/* ---- rules ---- */

static void rules_begin(void)
{
	ok("add policy p");
	ok("add filter web any me protocol=TCP dstport=80");
	ok("add filter out me 10.0.0.0/8 mirrored=no");
	ok("add filteraction secure");
	ok("add filteraction drop action=block");
}

static void test_rule_add(void **state)
{
	(void)state;
	rules_begin();
	ok("add rule name=r policy=p filterlist=web filteraction=secure conntype=lan activate=no description=d "
	    "rootca=\"CN=Root, O=\\'Acme\\' certmap:yes excludecaname:no\" psk=\"open sesame\" kerberos=yes");
	policy_has("p", "\tname \"r\"\n\tdescription \"d\"\n\tactive no\n\tconnections lan\n\ttunnel none\n"
	    "\tauth certificate \"CN=Root, O=\\\"Acme\\\"\" map-account\n\tauth preshared-key \"open sesame\"\n\tauth kerberos\n");
	ok("add rule name=s policy=p filterlist=out filteraction=secure tunnel=192.0.2.1");
	policy_has("p", "\tname \"s\"\n\tactive yes\n\tconnections all\n\ttunnel 192.0.2.1\n\tauth kerberos\n");
}

static void test_rule_set(void **state)
{
	(void)state;
	rules_begin();
	ok("add rule name=r policy=p filterlist=web filteraction=secure psk=one psk=two");
	ok("set rule name=r policy=p newname=s description=d filterlist=out filteraction=drop conntype=dialup activate=no");
	policy_has("p", "\tname \"s\"\n\tdescription \"d\"\n\tactive no\n\tconnections dialup\n\ttunnel none\n"
	    "\tauth preshared-key \"one\"\n\tauth preshared-key \"two\"\n");
	policy_has("p", " \"out\"\n");
	policy_hasnt("p", " \"web\"\n");
	ok("set rule name=s policy=p kerberos=yes psk=three tunnel=192.0.2.1");
	policy_has("p", "\ttunnel 192.0.2.1\n\tauth kerberos\n\tauth preshared-key \"three\"\n");
	ok("set rule name=s policy=p kerberos=no tunnel=none");
	policy_has("p", "\ttunnel none\n\tauth preshared-key \"three\"\n");
	ok("set rule name=s policy=p activate=yes");
	policy_has("p", "\tactive yes\n\tconnections dialup\n\ttunnel none\n\tauth preshared-key \"three\"\n");
	/* No reference is left behind. */
	ok("delete filterlist web");
}

static void test_rule_errors(void **state)
{
	(void)state;
	rules_begin();
	ok("add rule name=r policy=p filterlist=web filteraction=secure");
	fails("add rule name=r policy=p filterlist=web filteraction=secure", ERR_FORMAT, "policy 'p' has a rule 'r' already");
	fails("add rule name=s policy=x filterlist=web filteraction=secure", ERR_ABSENT, "policy 'x' does not exist");
	fails("add rule name=s policy=p filterlist=x filteraction=secure", ERR_ABSENT, "filter list 'x' does not exist");
	fails("add rule name=s policy=p filterlist=web filteraction=x", ERR_ABSENT, "filter action 'x' does not exist");
	fails("add rule name=s policy=p filterlist=web filteraction=secure kerberos=no", ERR_FORMAT,
	    "without Kerberos no authentication method is left: give psk= or rootca=");
	fails("add rule name=s policy=p filterlist=web filteraction=secure psk=a psk=a", ERR_FORMAT,
	    "the same preshared-key is given twice");
	fails("add rule name=s policy=p filterlist=web filteraction=secure rootca=CN=R rootca=CN=R", ERR_FORMAT,
	    "rootca 'CN=R' is given twice");
	fails("add rule name=s policy=p filterlist=web filteraction=secure tunnel=192.0.2.1", ERR_FORMAT,
	    "a tunnel rule is for one direction: filter list 'web' has mirrored filters (add filter mirrored=no)");
	fails("set rule name=r policy=p tunnel=192.0.2.1", ERR_FORMAT,
	    "a tunnel rule is for one direction: filter list 'web' has mirrored filters (add filter mirrored=no)");
	fails("set rule name=r policy=p kerberos=no", ERR_FORMAT,
	    "without Kerberos no authentication method is left: give psk= or rootca=");
	fails("set rule name=x policy=p activate=no", ERR_ABSENT, "policy 'p': rule 'x' does not exist");
	fails("set rule id=9 policy=p activate=no", ERR_ABSENT, "policy 'p' has no rule 9");
	fails("delete rule id={72385230-70FA-11D1-864C-14A300000000} policy=p", ERR_ABSENT,
	    "policy 'p' has no rule {72385230-70fa-11d1-864c-14a300000000}");
	ok("add rule name=t policy=p filterlist=out filteraction=secure tunnel=192.0.2.1");
	fails("add filter out me any", ERR_FORMAT, "filter list 'out' is for one direction of a tunnel (rule 't'): give mirrored=no");
	ok("add filter out me any mirrored=no");
}

static const char *id_shown(const char *name)
{
	const char *p;

	ok("show rule all policy=p");
	p = strstr(out_text, arena_printf(arena, "Rule Name               : %s\nRule ID                 : ", name));
	assert_non_null(p);
	p = strstr(p, "Rule ID                 : ") + strlen("Rule ID                 : ");
	return arena_strndup(arena, p, strcspn(p, ","));
}

/* Numbers are those of `show rule`; the default response rule stays. */
static void test_rule_ids(void **state)
{
	(void)state;
	rules_begin();
	ok("add rule name=a policy=p filterlist=web filteraction=secure");
	ok("add rule name=b policy=p filterlist=web filteraction=secure");
	ok(arena_printf(arena, "set rule id=%s policy=p newname=c", id_shown("b")));
	policy_has("p", "\tname \"c\"\n");
	ok(arena_printf(arena, "delete rule id=%s policy=p", id_shown("a")));
	policy_hasnt("p", "\tname \"a\"\n");
	fails(arena_printf(arena, "delete rule id=%s policy=p", id_shown("<none>")), ERR_FORMAT,
	    "the default response rule of policy 'p' cannot be deleted: set defaultrule policy=\"p\" activate=no");
	fails(arena_printf(arena, "set rule id=%s policy=p activate=no", id_shown("<none>")), ERR_FORMAT,
	    "that is the default response rule of policy 'p': use set defaultrule");
	ok("delete rule all policy=p");
	assert_int_equal(count(OBJ_RULE), 1);
	ok("delete policy p");
	assert_int_equal(count(OBJ_RULE), 0);
	assert_int_equal(count(OBJ_ACTION), 2);
	assert_int_equal(count(OBJ_ISAKMP), 0);
}

static void test_default_rule(void **state)
{
	(void)state;
	ok("add policy p");
	ok("set defaultrule policy=p qmpfs=yes activate=no qmsecmethods=AH[SHA1] psk=key");
	policy_has("p", "\tpfs yes\n\tdefault-response yes\n\toffer ah sha1 lifetime 0 kbytes 0\nrule");
	policy_has("p", "\tactive no\n\tconnections all\n\ttunnel none\n\tauth preshared-key \"key\"\n\tfilter-list none\n");
	ok("set defaultrule policy=p kerberos=yes");
	policy_has("p", "\tactive no\n\tconnections all\n\ttunnel none\n\tauth kerberos\n\tfilter-list none\n");
	assert_int_equal(count(OBJ_ACTION), 1);
	fails("set defaultrule policy=x activate=no", ERR_ABSENT, "policy 'x' does not exist");
}

/* ---- several of one name, damaged ones ---- */

static void list_put(const char *id, const char *name, const char *data)
{
	struct dir_value class = { (const uint8_t *)"ipsecFilter", 11 }, guid = { (const uint8_t *)id, strlen(id) },
	    text = { (const uint8_t *)name, strlen(name) }, blob = { (const uint8_t *)data, strlen(data) };
	struct ipsec_filter_list empty = { 0 };
	struct wr wr = { 0 };
	struct dir_attr attrs[] = { { "objectClass", &class, 1 }, { "ipsecID", &guid, 1 }, { "ipsecName", &text, 1 },
	    { "ipsecData", &blob, 1 } };

	if (!*data) {
		assert_int_equal(ipsecdata_filter_build(&wr, &empty, &err), 0);
		blob = (struct dir_value){ wr.p, wr.len };
	}
	entry_put(arena_printf(arena, "CN=ipsecFilter%s," STORE_DN, id), attrs, 4);
	free(wr.p);
	world.version++;
}

#define ID1	"{11111111-1111-4111-8111-111111111111}"
#define ID2	"{22222222-2222-4222-8222-222222222222}"

static void test_several(void **state)
{
	(void)state;
	list_put(ID1, "web", "");
	list_put(ID2, "WEB", "");
	if (!run(session, "set filterlist name=web newname=x"))
		fail_msg("no error");
	assert_non_null(strstr(err.msg, ID1));
	assert_non_null(strstr(err.msg, ID2));
	assert_non_null(strstr(err.msg, "; the GUID in place of the name tells them apart"));
	fails("add filterlist web", ERR_FORMAT, "filter list 'web' exists already");
	ok("set filterlist guid=" ID1 " newname=other");
	ok("show filterlist web");
	has(ID2);
	ok("delete filterlist " ID2);
	assert_int_equal(world.n_entries, 1);
}

/* Windows lets rules of a policy have one name. */
static void test_several_rules(void **state)
{
	rules_begin();
	ok("add rule name=a policy=p filterlist=web filteraction=secure");
	ok("add rule name=b policy=p filterlist=web filteraction=drop");
	(void)state;
	for (size_t i = 0; i < world.n_entries; i++)
		if (strstr(world.entries[i].dn, "ipsecNFA{") && entry_text(&world.entries[i], "ipsecName") &&
		    !strcmp(entry_text(&world.entries[i], "ipsecName"), "b"))
			attr_of(&world.entries[i], "ipsecName")->values[0].p = (const uint8_t *)"a";
	world.version++;
	if (!run(session, "set rule name=a policy=p activate=no"))
		fail_msg("no error");
	assert_non_null(strstr(err.msg, "2 of the rule name 'a': {"));
	assert_non_null(strstr(err.msg, "}; id= tells them apart"));
	ok(arena_printf(arena, "set rule id=%s policy=p newname=c", id_shown("a")));
	ok("delete rule name=c policy=p");
	ok("delete rule name=a policy=p");
}

static void test_damaged(void **state)
{
	(void)state;
	list_put(ID1, "bad\x1b[31m", "no filters");
	ok("show filterlist all");
	has("Filter List Name        : bad?[31m\nDamaged                 : ");
	ok("show filterlist all format=table");
	has("bad?[31m          damaged");
	run(session, "add filter \"bad\" any me");
	ok("delete filterlist " ID1);
	hasnt("\x1b");
	assert_int_equal(count(OBJ_LIST), 1);
}

/* ---- show ---- */

static void test_show_table(void **state)
{
	(void)state;
	ok("add filter \"\xe6\xbc\xa2\xe5\xad\x97 web\" any me protocol=TCP dstport=80 description=\"the web\" mirrored=no");
	ok("add filter \"\xe6\xbc\xa2\xe5\xad\x97 web\" 10.1.2.3 me");
	ok("show filterlist all level=verbose format=table wide=yes");
	assert_string_equal(numbered(out_text),
	    "Filter List Name  Filters  Description  GUID\n"
	    "----------------  -------  -----------  --------------------------------------\n"
	    "\xe6\xbc\xa2\xe5\xad\x97 web          2                     01\n"
	    "\n"
	    "\xe6\xbc\xa2\xe5\xad\x97 web\n"
	    "--------\n"
	    "Source    Destination  Protocol  Src Port  Dst Port  Mirrored  Description\n"
	    "--------  -----------  --------  --------  --------  --------  -----------\n"
	    "any       me           TCP       ANY       80        NO        the web\n"
	    "10.1.2.3  me           ANY       ANY       ANY       YES\n");
}

static void test_show_cut(void **state)
{
	(void)state;
	ok("add filterlist name=l description=\"0123456789012345678901234567890123456789012345678901234567890123456789\"");
	ok("show filterlist all format=table");
	has("01234567890123456789012345678901234567..  {");
	ok("show filterlist all format=table wide=yes");
	has("0123456789012345678901234567890123456789012345678901234567890123456789  {");
}

static void test_show_policy(void **state)
{
	(void)state;
	rules_begin();
	ok("add rule name=r policy=p filterlist=web filteraction=secure psk=\"open sesame\" rootca=CN=Root");
	ok("set defaultrule policy=p activate=no");
	ok("show policy all");
	assert_string_equal(numbered(out_text),
	    "Policy Name             : p\n"
	    "Assigned                : NO\n"
	    "Last Modified           : -\n"
	    "Master PFS              : NO\n"
	    "Quick Modes per MM      : 0\n"
	    "MM Lifetime             : 480 minutes\n"
	    "MM Security Methods     : 3DES-SHA1-2 3DES-MD5-2\n"
	    "Polling Interval        : 180 minutes\n"
	    "No. of Rules            : 2\n"
	    "Store                   : local\n"
	    "GUID                    : 01\n"
	    "\n");
	for (size_t i = 0; i < world.n_entries; i++) {
		struct dir_value changed = { (const uint8_t *)"20261123013352.0Z", 17 };
		struct dir_attr *a = attr_of(&world.entries[i], "whenChanged");

		a->values = memcpy(arena_zalloc(world.arena, 1, sizeof(changed)), &changed, sizeof(changed));
		a->n_values = 1;
	}
	world.version++;
	ok("show policy p");
	has("Last Modified           : 2026-11-23 01:33:52 UTC\n");
	ok("show rule name=r policy=p level=verbose");
	has("Rule Name               : r\nRule ID                 : ");
	has("Activated               : YES\n"
	    "Type                    : Transport\n"
	    "Tunnel Endpoint         : NONE\n"
	    "Connection Type         : all\n"
	    "Filter List             : web\n"
	    "Filter Action           : secure\n"
	    "Authentication          : psk ***, rootca CN=Root certmap:no excludecaname:no\n"
	    "\n"
	    "Filter List Name        : web\n"
	    "No. of Filters          : 1\n");
	has("Mirrored                : YES\n"
	    "Source Address          : any\n"
	    "Destination Address     : me\n"
	    "Protocol                : TCP\n"
	    "Source Port             : ANY\n"
	    "Destination Port        : 80\n");
	ok("show rule default policy=p");
	has("Activated               : NO\nType                    : Default response\n");
	hasnt("web");
	ok("show rule all policy=p type=tunnel");
	assert_string_equal(out_text, "");
	ok("show rule all policy=p format=table");
	has("YES        web          secure         NONE    all         psk ***, rootca CN=Root certmap:no exc..\n");
	ok("show filterlist rule=r");
	has("Filter List Name        : web\n");
	ok("show filteraction rule=r");
	has("Filter Action Name      : secure\n");
	fails("show filterlist rule=x", ERR_ABSENT, "there is no rule 'x'");
	fails("show policy x", ERR_ABSENT, "policy 'x' does not exist");
	fails("show rule name=x policy=p", ERR_ABSENT, "policy 'p' has no such rule");
	fails("show gpoassignedpolicy name=Lab", ERR_FORMAT, "GPOs assign policies of the domain store: this is the local one");
	ok("show all");
	has("Policy Name             : p\n");
	has("Filter Action Name      : drop\n");
	hasnt("open sesame");
	ok("show all format=table");
	has("Policy Name");
}

static void test_show_json(void **state)
{
	json_t *j, *o;
	const char *store, *name, *method, *src;
	int port;

	(void)state;
	options.json = true;
	reopen();
	rules_begin();
	ok("add rule name=r policy=p filterlist=web filteraction=secure psk=\"open sesame\"");
	ok("set policy p assign=yes");
	ok("show policy p");
	hasnt("open sesame");
	j = json_loads(out_text, 0, NULL);
	assert_int_equal(json_unpack(j, "{s:s, s:[o]}", "store", &store, "policies", &o), 0);
	assert_string_equal(store, "local");
	assert_int_equal(json_unpack(o, "{s:s}", "name", &name), 0);
	assert_string_equal(name, "p");
	assert_true(json_is_true(json_object_get(o, "assigned")));
	assert_null(json_object_get(o, "guid"));
	assert_int_equal(json_array_size(json_object_get(o, "rules")), 2);
	json_decref(j);
	ok("show rule name=r policy=p");
	j = json_loads(out_text, 0, NULL);
	assert_int_equal(json_unpack(j, "{s:s, s:s, s:[{s:s, s:[{s:s}], s:{s:s}, s:{s:[{s:s, s:i}]}}]}", "store", &store, "policy", &name,
	    "rules", "name", &name, "auth", "method", &method, "action", "name", &store,
	    "filter_list", "filters", "src", &src, "dst_port", &port), 0);
	assert_string_equal(method, "preshared-key");
	assert_string_equal(store, "secure");
	assert_string_equal(src, "any");
	assert_int_equal(port, 80);
	json_decref(j);
	ok("show all");
	j = json_loads(out_text, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(j, "filter_lists")), 2);
	assert_int_equal(json_array_size(json_object_get(j, "filter_actions")), 3);
	json_decref(j);
	ok("show store");
	shows("show store", "{\n  \"store\": \"local\",\n  \"where\": \"in memory\",\n  \"domain\": null\n}\n");
	shows("show batch", "{\n  \"batch\": \"disable\",\n  \"pending\": 0\n}\n");
	list_put(ID1, "bad\xc2\x9b\x7f", "no filters");
	ok("show filterlist all");
	for (const char *p = out_text; *p; p++)
		assert_true((*p >= ' ' && *p < 0x7f) || *p == '\n');
	has("\"damage\": ");
}

/* ---- the session ---- */

static void test_batch(void **state)
{
	(void)state;
	ok("set batch mode=enable");
	ok("add policy p");
	ok("add filterlist l");
	assert_int_equal(session_pending(session), 2);
	assert_int_equal(world.version, 0);
	shows("show batch", "Batch                   : enable\nNot written yet         : 2\n");
	ok("show policy p");
	has("Last Modified           : not written yet\n");
	if (!run(session, "add policy p"))
		fail_msg("added twice");
	assert_int_equal(session_pending(session), 2);
	ok("set batch mode=disable");
	assert_int_equal(session_pending(session), 0);
	assert_int_equal(world.n_saves, 1);
	ok("show policy p");
	/* What is not flushed is dropped. */
	ok("set batch mode=enable");
	ok("delete all");
	reopen();
	ok("show policy p");
}

static void test_deferred(void **state)
{
	(void)state;
	options.deferred = true;
	reopen();
	ok("add policy p");
	ok("set policy p newname=q");
	ok("set batch mode=enable");
	ok("set batch mode=disable");
	assert_int_equal(world.n_saves, 0);
	assert_int_equal(session_flush(session, &err), 0);
	assert_int_equal(world.n_saves, 1);
	assert_int_equal(session_flush(session, &err), 0);
	assert_int_equal(world.n_saves, 1);
	ok("show policy q");
	/* Another store: what is pending goes to this one. */
	ok("add policy r");
	ok("set store location=persistent");
	assert_int_equal(world.n_saves, 2);
	shows("add filterlist a", "persistent policy takes effect at the next start of the service\n");
	shows("add filterlist b", "");
}

static void test_atomic(void **state)
{
	(void)state;
	options.deferred = options.atomic = true;
	reopen();
	ok("set store location=persistent");
	ok("add policy p");
	if (!run(session, "set store location=local"))
		fail_msg("no error");
	assert_string_equal(err.msg, "1 commands for the persistent store are not written yet: all or nothing is for one store only");
	ok("set store location=persistent");
	assert_int_equal(world.n_saves, 0);
}

/* Another session, in the middle of ours. */
static const char *faster_line;

static void somebody_is_faster(void)
{
	struct session_options o = { .location = LOCATION_LOCAL, .open = memory_open };
	struct session *s = session_open(&o, &err);
	char *keep = out_text;

	out_text = NULL;
	assert_non_null(s);
	if (run(s, faster_line))
		fail_msg("%s", err.msg);
	session_close(s);
	free(out_text);
	out_text = keep;
}

static void test_conflict(void **state)
{
	(void)state;
	ok("add filter web any me");
	options.deferred = true;
	reopen();
	ok("add filter web 10.0.0.1 me");
	ok("add filter web 10.0.0.2 me");
	faster_line = "add filter web 10.0.0.3 me";
	world.before_save = somebody_is_faster;
	if (session_flush(session, &err))
		fail_msg("%s", err.msg);
	ok("show filterlist web");
	has("No. of Filters          : 4\n");
}

static void test_conflict_lost(void **state)
{
	unsigned version;

	(void)state;
	ok("add filterlist web");
	options.deferred = true;
	reopen();
	ok("add policy p");
	ok("set filterlist name=web description=d");
	faster_line = "delete filterlist web";
	world.before_save = somebody_is_faster;
	version = world.version;
	assert_err(session_flush(session, &err), ERR_ABSENT, "the store has changed meanwhile and nothing was written: "
	    "command 2 of 2, set filterlist name=web: filter list 'web' does not exist");
	assert_int_equal(session_pending(session), 0);
	assert_int_equal(world.version, version + 1);
	assert_int_equal(count(OBJ_POLICY), 0);
}

static void always_faster(void)
{
	world.version++;
	world.before_save = always_faster;
}

static void test_conflict_forever(void **state)
{
	(void)state;
	world.before_save = always_faster;
	if (!run(session, "add policy p"))
		fail_msg("no error");
	assert_string_equal(err.msg, "writing the local store: tried 5 times: the store was changed by somebody else");
	assert_int_equal(err.code, ERR_BUSY);
	assert_int_equal(world.n_saves, 5);
	assert_int_equal(session_pending(session), 0);
	world.before_save = NULL;
	ok("add policy p");
}

static void test_refused(void **state)
{
	(void)state;
	world.refuse = ERR_DENIED;
	fails("add policy p", ERR_DENIED, "writing the local store: refused");
	options.deferred = true;
	reopen();
	ok("add policy p");
	assert_err(session_flush(session, &err), ERR_DENIED, "writing the local store: refused");
	assert_int_equal(session_pending(session), 0);
	world.refuse = ERR_OFFLINE;
	ok("add policy p");
	assert_err(session_flush(session, &err), ERR_OFFLINE, "writing the local store: refused");
	assert_int_equal(session_pending(session), 1);
	world.refuse = ERR_NONE;
	assert_int_equal(session_flush(session, &err), 0);
	assert_int_equal(count(OBJ_POLICY), 1);
}

/* What can be put back is, and written; the command fails all the same. */
static void test_import_missing(void **state)
{
	char *import;
	size_t n_saves;

	(void)state;
	options.location = LOCATION_DOMAIN;
	reopen();
	gpo_set("Gone", NULL);
	gpo_set("Lab", NULL);
	ok("add policy p");
	ok("set policy name=p gponame=Gone assign=yes");
	ok("set policy name=p gponame=Lab assign=yes");
	ok(arena_printf(arena, "exportpolicy file=\"%s\" assignments=yes", at("backup.ldif")));
	gpo_set("Lab", NULL);
	world.gpos[0].gpo = "another";
	import = arena_printf(arena, "importpolicy file=\"%s\" assignments=yes", at("backup.ldif"));
	n_saves = world.n_saves;
	fails_done(import, "imported, but GPO 'Gone' does not exist any more: what it assigned was not put back");
	assert_int_equal(world.n_saves, n_saves + 1);
	assert_int_equal(session_pending(session), 0);
	assert_non_null(world.gpos[1].dn);
	/* Of a script it is written with the rest. */
	gpo_set("Lab", NULL);
	options.deferred = true;
	reopen();
	ok("add policy q");
	fails_done(import, "imported, but GPO 'Gone' does not exist any more: what it assigned was not put back");
	assert_int_equal(session_pending(session), 2);
	faster_line = "add policy r";
	world.before_save = somebody_is_faster;
	if (session_flush(session, &err))
		fail_msg("%s", err.msg);
	assert_non_null(world.gpos[1].dn);
	assert_int_equal(count(OBJ_POLICY), 3);
}

/* What a terminal would obey, and the rest of what is not ASCII with it. */
static void test_json_print(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_int_equal(json_print(json_pack("{s:s}", "k", "\x7f\x1b[31m\xe2\x80\xae\xc2\x9b\xc3\xa4"), f, &err), 0);
	fclose(f);
	assert_string_equal(text, "{\n  \"k\": \"\\u007f\\u001B[31m\\u202E\\u009B\\u00E4\"\n}\n");
	free(text);
	f = fopen("/dev/full", "w");
	setbuf(f, NULL);
	assert_int_equal(json_print(json_pack("{s:s}", "k", "v"), f, &err), -1);
	assert_int_equal(err.code, ERR_SYSTEM);
	assert_int_equal(json_print(NULL, f, &err), -1);
	assert_int_equal(err.code, ERR_NOMEM);
	fclose(f);
}

/* A daemon that gives one answer. */
static pid_t daemon_start(const char *path, const char *answer)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	char c = 1;
	pid_t pid;

	assert_true(fd >= 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid) {
		close(fd);
		return pid;
	}
	alarm(20);
	peer = accept(fd, NULL, NULL);
	while (c && read(peer, &c, 1) == 1)
		;
	if (write(peer, answer, strlen(answer) + 1) < 0)
		_exit(1);
	_exit(0);
}

static void test_daemon(void **state)
{
	struct conf conf = { 0 };
	int status;
	pid_t pid;

	(void)state;
	conf.socket = at("socket");
	conf.state_dir = tmp;
	options.conf = &conf;
	reopen();
	ok("add policy p");		/* nobody listens */
	pid = daemon_start(conf.socket, "{\"parameters\": {}}");
	ok("add policy q");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pid = daemon_start(conf.socket, "{\"error\": \"org.ipsecpol.Failed\", \"parameters\": {\"message\": \"no kernel\"}}");
	if (!run(session, "add policy r"))
		fail_msg("no error");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(err.msg, "stored, but not in force: no kernel");
	assert_int_equal(session_pending(session), 0);
	ok("show policy r");
}

/* ---- many ---- */

static size_t work_of(size_t n)
{
	struct store_edit e = { .location = LOCATION_LOCAL };
	struct netsh_args args;
	size_t work;

	assert_int_equal(container_read(&e.container, STORE_DN, NULL, 0, &err), 0);
	for (size_t i = 0; i < n; i++) {
		parse(&args, arena_printf(arena, "add filter l%zu 10.%zu.%zu.%zu me", i % 2, i >> 16, i >> 8 & 255, i & 255));
		if (static_edit(&e, NULL, &args, &err))
			fail_msg("%s", err.msg);
	}
	work = filter_index_work(&e);
	container_free(e.container);
	return work;
}

static void test_linear(void **state)
{
	size_t once = work_of(10000), twice = work_of(20000);

	(void)state;
	assert_in_range(once, 10000, 150000);
	assert_in_range(twice, 3 * once / 2, 5 * once / 2);
}

/* ---- scripts ---- */

static char *script_of(struct ipsec_container *c, const char *active, bool *said)
{
	struct store_edit e = { .location = LOCATION_LOCAL, .container = c, .active = active };
	char *text = NULL, *copy;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	*said = store_edit_script(&e, f, &err) == 0;
	fclose(f);
	copy = arena_strdup(arena, text);
	free(text);
	return copy;
}

static void script_run(struct store_edit *e, const char *script)
{
	struct netsh_args args;
	char **words;
	size_t n;

	for (const char *p = script; *p; p += strcspn(p, "\n") + 1) {
		size_t len = strcspn(p, "\n");

		if (netsh_split(&words, &n, arena, p, len, &err))
			fail_msg("%.*s: %s", (int)len, p, err.msg);
		if (!n || !strcmp(words[0], "pushd") || !strcmp(words[0], "popd"))
			continue;
		if (netsh_parse(&args, arena, NETSH_STATIC, words, n, &err) || static_edit(e, NULL, &args, &err))
			fail_msg("%.*s: %s", (int)len, p, err.msg);
	}
}

/* By name, without what is made of chance: id, instance. */
static json_t *without_ids(json_t *j)
{
	const char *key;
	json_t *v;
	size_t i;
	void *next;

	json_object_del(j, "id");
	json_object_del(j, "guid");
	json_object_foreach_safe(j, next, key, v)
		without_ids(v);
	json_array_foreach(j, i, v)
		without_ids(v);
	return j;
}

static int text_order(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* Everything of a container as one text; objects of chance GUIDs sorted by what they say. */
static char *contents(const struct ipsec_container *c)
{
	struct store_edit e = { .container = (struct ipsec_container *)(uintptr_t)c };
	char **texts = arena_zalloc(arena, c->n_objects + 1, sizeof(*texts)), *all = arena_strdup(arena, "");
	size_t n = 0;

	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = c->objects[i];
		json_t *j = NULL, *rules;
		char *text;

		if (o->deleted)
			continue;
		if (o->class == OBJ_POLICY)
			j = policy_object_json(&e, o, NULL, 0);
		else if (o->class == OBJ_LIST)
			j = list_object_json(o);
		else if (o->class == OBJ_ACTION && !o->action.default_response)
			j = action_object_json(o);
		if (!j)
			continue;
		without_ids(j);
		rules = json_object_get(j, "rules");
		for (size_t k = 0; k < json_array_size(rules); k++) {
			text = json_dumps(json_array_get(rules, k), JSON_SORT_KEYS);
			texts[n++] = arena_printf(arena, "%s: %s\n", o->name, text);
			texts = memcpy(arena_zalloc(arena, c->n_objects + n + 2, sizeof(*texts)), texts, n * sizeof(*texts));
			free(text);
		}
		json_object_del(j, "rules");
		text = json_dumps(j, JSON_SORT_KEYS);
		texts[n++] = arena_printf(arena, "%s\n", text);
		free(text);
		json_decref(j);
	}
	qsort(texts, n, sizeof(*texts), text_order);
	for (size_t i = 0; i < n; i++)
		all = arena_printf(arena, "%s%s", all, texts[i]);
	return all;
}

static void assert_round_trip(struct ipsec_container *c, const char *script)
{
	struct store_edit e = { .location = LOCATION_LOCAL };

	assert_int_equal(container_read(&e.container, STORE_DN, NULL, 0, &err), 0);
	script_run(&e, script);
	assert_string_equal(contents(e.container), contents(c));
	container_free(e.container);
}

static void test_script(void **state)
{
	struct ipsec_container *c;
	char *script, *dn;
	bool said;

	(void)state;
	ok("add policy name=\"Lab servers\" mmpfs=yes qmpermm=3 mmlifetime=60 mmsecmethods=\"3DES-SHA1-3 DES-MD5-1\" assign=yes");
	ok("add filter \"my web\" any me protocol=TCP dstport=80 description=\"say \\\"hi\\\"\"");
	ok("add filter \"my web\" me6 2001:db8::1-2001:db8::9 protocol=99 mirrored=no");
	ok("add filteraction secure soft=yes qmpfs=yes qmsecmethods=\"AH[MD5]+ESP[DES,None]:50000k/900s ESP[None,SHA1]\"");
	ok("add filteraction drop action=block");
	ok("add rule name=r policy=\"Lab servers\" filterlist=\"my web\" filteraction=secure rootca=\"CN=Root, O=\\'Acme\\' certmap:yes\" "
	    "psk=\"open \\\"sesame\\\"\" conntype=lan activate=no description=d");
	ok("set defaultrule policy=\"Lab servers\" qmsecmethods=AH[SHA1] activate=no");
	c = stored();
	dn = arena_strdup(arena, world.active);
	script = script_of(c, dn, &said);
	if (!said)
		fail_msg("%s", err.msg);
	assert_non_null(strstr(script, "\nset policy name=\"Lab servers\" assign=yes\npopd\n"));
	assert_non_null(strstr(script, "open \\\"sesame\\\""));
	assert_round_trip(c, script);
	container_free(c);
}

static void test_script_examples(void **state)
{
	struct ipsec_container *c;
	char *script;
	bool said;

	(void)state;
	ok("restorepolicyexamples release=win2003");
	assert_int_equal(count(OBJ_POLICY), 3);
	c = stored();
	script = script_of(c, NULL, &said);
	if (!said)
		fail_msg("%s", err.msg);
	assert_round_trip(c, script);
	container_free(c);
	/* And they can be put back. */
	ok("set policy name=\"Client (Respond Only)\" newname=x");
	ok("restorepolicyexamples release=win2003");
	ok("show policy \"Client (Respond Only)\"");
}

/* Texts that a line can hold, mostly. */
static const char *tame(const char *text)
{
	return dice(20) ? dice(2) ? "d \\ \"'\xc3\xa4" : "" : text;
}

static void tame_lists(struct ipsec_policy *p)
{
	for (size_t i = 0; i < p->n_filter_lists; i++) {
		struct ipsec_filter_list *l = &p->filter_lists[i];

		l->name = arena_printf(arena, "list \"%zu\" \\", i);
		l->description = tame(l->description);
		for (size_t k = 0; k < l->n_filters; k++) {
			struct ipsec_filter *f = &l->filters[k];

			f->src_dns = f->dst_dns = "";
			/* Filters that say the same are written once. */
			f->description = f->tunnel ? arena_printf(arena, "%zu", k) : tame(f->description);
			if (dice(20)) {
				f->src_port.hi = f->src_port.lo;
				f->dst_port.hi = f->dst_port.lo;
			}
			if (f->src.kind >= IPSEC_ADDR_DNS && f->src.kind <= IPSEC_ADDR_GATEWAY)
				f->dst = (struct ipsec_addr){ .kind = IPSEC_ADDR_ME };
			else if (f->dst.kind >= IPSEC_ADDR_DNS && f->dst.kind <= IPSEC_ADDR_GATEWAY)
				f->src = (struct ipsec_addr){ .kind = IPSEC_ADDR_ME };
			else if (f->src.kind == IPSEC_ADDR_ME && f->dst.kind == IPSEC_ADDR_ME)
				f->dst = (struct ipsec_addr){ .kind = IPSEC_ADDR_ANY };
		}
	}
}

static void tame_actions(struct ipsec_policy *p)
{
	for (size_t i = 0; i < p->n_negpols; i++) {
		struct ipsec_negpol *n = &p->negpols[i];

		n->name = i ? arena_printf(arena, "action '%zu'", i) : "";
		n->description = i ? tame(n->description) : "";
		if (i && n->action == IPSEC_NEGOTIATE && !n->n_offers && dice(10))
			n->action = IPSEC_BLOCK;
		if (!i)
			n->inpass = n->soft = false;
		else if (n->action != IPSEC_NEGOTIATE) {
			n->n_offers = 0;
			n->soft = n->pfs = n->inpass = false;
		}
	}
}

static void tame_rules(struct ipsec_policy *p)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		struct ipsec_rule *r = &p->rules[i];

		r->name = r->default_response ? "" : arena_printf(arena, "rule %zu", i);
		r->description = r->default_response ? "" : tame(r->description);
		r->interface_name = r->tunnel_name = "";
		if (r->default_response || dice(3)) {
			r->conntype = r->default_response ? IPSEC_CONN_ALL : r->conntype;
			r->tunnel = false;
			memset(&r->tunnel_end, 0, sizeof(r->tunnel_end));
		}
		if (!r->n_auth) {
			r->auth = arena_zalloc(arena, 1, sizeof(*r->auth));
			*r->auth = (struct ipsec_auth){ .method = IPSEC_AUTH_KERBEROS, .text = "" };
			r->n_auth = 1;
		}
		for (size_t k = 0; k < r->n_auth; k++) {
			struct ipsec_auth *m = &r->auth[k];

			m->alt_type = 0;
			m->alt_len = 0;
			if (m->method != IPSEC_AUTH_KERBEROS)
				m->text = arena_printf(arena, "%zu%s", k, tame(m->text));
			if (m->method != IPSEC_AUTH_CERT)
				m->map_account = m->exclude_ca = false;
		}
	}
}

static void tame_main_mode(struct ipsec_isakmp *m)
{
	m->map_account = m->exclude_ca = false;
	for (size_t i = 0; i < m->n_offers; i++) {
		struct ipsec_mm_offer *o = &m->offers[i];

		o->life_kbytes = o->qm_limit = 0;
		if (!o->encryption)
			o->encryption = IPSEC_CIPHER_DES;
		if (!o->hash)
			o->hash = IPSEC_HASH_MD5;
		if (!o->group)
			o->group = 1;
	}
}

/* Whatever is there: it is said, or an error names it. */
static void test_script_chance(void **state)
{
	size_t n_said = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct ipsec_policy *p = any_policy();
		struct ipsec_container *c;
		char *script;
		bool said;

		p->name = arena_printf(arena, "policy %d", i);
		p->description = tame(p->description);
		p->polling_seconds = dice(20) ? 60 * (1 + dice(100)) : 61;
		tame_main_mode(&p->isakmp);
		tame_lists(p);
		tame_actions(p);
		tame_rules(p);
		assert_int_equal(container_read(&c, STORE_DN, NULL, 0, &err), 0);
		if (container_put_policy(c, p, &err))
			fail_msg("%s", err.msg);
		script = script_of(c, NULL, &said);
		if (said)
			assert_round_trip(c, script);
		else if (err.code != ERR_UNSUPPORTED || !strstr(err.msg, " cannot be said in a script: "))
			fail_msg("%s", err.msg);
		n_said += said;
		container_free(c);
		policy_free(p);
	}
	assert_in_range(n_said, ROUNDS / 10, ROUNDS - 1);
}

static void script_refused(const char *msg)
{
	struct ipsec_container *c = stored();
	bool said;

	script_of(c, NULL, &said);
	assert_false(said);
	if (!strstr(err.msg, msg))
		fail_msg("%s", err.msg);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	container_free(c);
}

static void test_script_refused(void **state)
{
	(void)state;
	list_put(ID1, "web", "");
	list_put(ID2, "web", "");
	script_refused("filter list 'web' cannot be said in a script: 2 of the filter list name 'web':");
	ok("delete filterlist " ID1);
	ok("delete filterlist " ID2);
	list_put(ID1, "", "");
	script_refused("filter list " ID1 " cannot be said in a script: it has no name");
	ok("delete filterlist " ID1);
	list_put(ID1, "a\nb", "");
	script_refused("cannot be said in a script: name holds a control character");
	ok("delete filterlist " ID1);
	list_put(ID1, "x", "no filters");
	script_refused("filter list 'x' cannot be said in a script: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_policy_add),
		TEST(test_policy_defaults),
		TEST(test_policy_set),
		TEST(test_policy_errors),
		TEST(test_assign),
		TEST(test_assign_refused),
		TEST(test_domain),
		TEST(test_filter_add),
		TEST(test_filter_errors),
		TEST(test_filter_delete),
		TEST(test_filter_name),
		TEST(test_lists),
		TEST(test_actions),
		TEST(test_rule_add),
		TEST(test_rule_set),
		TEST(test_rule_errors),
		TEST(test_rule_ids),
		TEST(test_default_rule),
		TEST(test_several),
		TEST(test_several_rules),
		TEST(test_damaged),
		TEST(test_show_table),
		TEST(test_show_cut),
		TEST(test_show_policy),
		TEST(test_show_json),
		TEST(test_batch),
		TEST(test_deferred),
		TEST(test_atomic),
		TEST(test_conflict),
		TEST(test_conflict_lost),
		TEST(test_conflict_forever),
		TEST(test_refused),
		TEST(test_import_missing),
		TEST(test_json_print),
		TEST(test_daemon),
		TEST(test_linear),
		TEST(test_script),
		TEST(test_script_examples),
		TEST(test_script_chance),
		TEST(test_script_refused),
	};

	return cmocka_run_group_tests_name("static", tests, folder_up, folder_down);
}
