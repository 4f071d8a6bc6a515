/* ipsecpol reg: the registry tree, looked into, exported and imported. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cli_reg.h"
#include "agent/conf.h"
#include "agent/exchange_parts.h"
#include "gpo/container.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ipsecdata.h"
#include "schema/utf.h"
#include "store/regfile.h"
#include "store/active.h"
#include "store/store.h"

#define ROOT		"HKEY_LOCAL_MACHINE"

/* ---- paths ------------------------------------------------------------------------------- */

/* "HKLM\SOFTWARE", "HKEY_LOCAL_MACHINE\SOFTWARE" or "SOFTWARE". */
static const char *path_argument(const char *text)
{
	static const char *const names[] = { ROOT, "HKLM" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (reg_path_below(text, names[i]))
			return reg_path_below(text, names[i]);
	return text;
}

static const char *path_leaf(const char *path)
{
	const char *slash = strrchr(path, '\\');

	return slash ? slash + 1 : path;
}

static int by_path(const void *x, const void *y)
{
	const char *a = ((const struct reg_key *)x)->path, *b = ((const struct reg_key *)y)->path;
	int ca, cb;

	/* What is below a key comes before the next key: '\' is less than any letter. */
	do {
		ca = *a == '\\' ? 1 : ascii_lower((uint8_t)*a);
		cb = *b == '\\' ? 1 : ascii_lower((uint8_t)*b);
	} while (ca == cb && *a++ && *b++);
	return ca - cb;
}

/* ---- reading ------------------------------------------------------------------------------- */

struct tree {
	struct arena	*a;
	struct reg_key	*keys;
	size_t		 n;
};

static int tree_add(struct tree *t, struct store *s, const char *path, struct err *err)
{
	struct reg_key *keys;
	struct reg_key k = { .path = path };
	int r = *path ? reg_values(s, path, &k.values, &k.n_values, t->a, err) : 1;

	if (r <= 0 || !*path)
		return r;
	keys = arena_grow(t->a, t->keys, t->n, sizeof(*keys));
	if (!keys)
		return err_nomem(err);
	t->keys = keys;
	keys[t->n++] = k;
	return 1;
}

/* path and all below; the store bounds how deep that is.  1, 0: there is no such key, -1.
 * What is derived from the others is left out: nobody edits it, and it holds their secrets. */
static int tree_read(struct tree *t, struct store *s, const char *path, struct err *err)
{
	const char **names = NULL;
	size_t n = 0;
	int r = reg_path_below(path, REG_ACTIVE) ? 0 : tree_add(t, s, path, err);

	if (r <= 0)
		return r;
	r = reg_subkeys(s, path, &names, &n, t->a, err);
	for (size_t i = 0; r > 0 && i < n; i++) {
		const char *below = *path ? arena_printf(t->a, "%s\\%s", path, names[i]) : names[i];

		r = below ? tree_read(t, s, below, err) : err_nomem(err);
		if (r == 0)
			r = 1;	/* gone meanwhile */
	}
	return r < 0 ? -1 : 1;
}

static int registry_read(struct tree *t, const char *dir, const char *path, struct err *err)
{
	struct store *s = registry_open(dir, STORE_READ, err);
	int r;

	if (!s)
		return err->code == ERR_ABSENT ? 0 : err_prefix(err, "registry");
	r = tree_read(t, s, path, err);
	store_close(s);
	return r < 0 ? err_prefix(err, "registry") : r;
}

/* The daemon's part of the tree. */
static int cache_read(struct tree *t, const char *dir, const char *path, struct err *err)
{
	static const char *const tops[] = { REG_CACHE, REG_ASSIGNMENT };
	struct store *s = store_open(dir, STORE_READ, err);
	int r = 0, found = 0;

	if (!s)
		return err->code == ERR_ABSENT ? 0 : err_prefix(err, "cache");
	for (size_t i = 0; r >= 0 && i < sizeof(tops) / sizeof(tops[0]); i++) {
		r = 0;
		if (reg_path_below(tops[i], path))
			r = tree_read(t, s, tops[i], err);
		else if (reg_path_below(path, tops[i]))
			r = tree_read(t, s, path, err);
		found |= r > 0;
	}
	store_close(s);
	return r < 0 ? err_prefix(err, "cache") : found;
}

static int all_read(struct tree *t, const char *dir, const char *path, struct err *err)
{
	int r = registry_read(t, dir, path, err), c = r < 0 ? -1 : cache_read(t, dir, path, err);

	if (r < 0 || c < 0)
		return -1;
	if (!r && !c && *path)
		return err_set(err, ERR_ABSENT, "key '%.100s' does not exist", path);
	qsort(t->keys, t->n, sizeof(*t->keys), by_path);
	return 0;
}

/* ---- query ----------------------------------------------------------------------------------- */

/* A rule's data with a pre-shared key in it; what cannot be decoded may hold one. */
static bool value_is_secret(const struct reg_key *k, const struct reg_value *v, struct arena *a)
{
	struct ipsec_rule rule = { .name = "", .description = "", .interface_name = "", .tunnel_name = "" };
	const struct dir_value blob = { v->p, v->len };
	const char *name = path_leaf(k->path), *class = object_class_ldap(OBJ_RULE);
	struct err ignored;

	if (v->type != REG_BINARY)
		return false;
	if (ipsecdata_nfa_parse(&rule, a, &blob, &ignored) == 0) {
		for (size_t i = 0; i < rule.n_auth; i++)
			if (rule.auth[i].method == IPSEC_AUTH_PSK || rule.auth[i].alt_len)
				return true;
		return false;
	}
	for (; *class && ascii_lower((uint8_t)*class) == ascii_lower((uint8_t)*name); class++)
		name++;
	return !*class;
}

static const char *type_name(enum reg_type type)
{
	switch (type) {
	case REG_SZ: return "REG_SZ";
	case REG_BINARY: return "REG_BINARY";
	case REG_DWORD: return "REG_DWORD";
	case REG_MULTI_SZ: return "REG_MULTI_SZ";
	case REG_QWORD: return "REG_QWORD";
	}
	return "REG_NONE";
}

static uint64_t value_number(const struct reg_value *v)
{
	uint64_t n = 0;

	for (size_t i = v->len; i-- > 0;)
		n = n << 8 | v->p[i];
	return n;
}

static char *value_hex(const struct reg_value *v, struct arena *a)
{
	char *text = arena_zalloc(a, 2 * v->len + 1, 1);

	if (text)
		hex_text(text, v->p, v->len);
	return text;
}

static void value_print(const struct reg_value *v, bool secret, struct arena *a)
{
	const char *p = (const char *)v->p, *end = p + v->len, *hex;

	printf("    ");
	utf8_write(stdout, *v->name ? v->name : "(Default)", "");
	printf("    %s    ", type_name(v->type));
	switch (v->type) {
	case REG_SZ:
		utf8_write(stdout, p, "");
		break;
	case REG_MULTI_SZ:
		for (; p < end; p += strlen(p) + 1) {
			utf8_write(stdout, p, "");
			fputs(p + strlen(p) + 1 < end ? "\\0" : "", stdout);
		}
		break;
	case REG_DWORD:
	case REG_QWORD:
		printf("0x%llx", (unsigned long long)value_number(v));
		break;
	case REG_BINARY:
		hex = secret ? "***" : value_hex(v, a);
		fputs(hex ? hex : "?", stdout);
		break;
	}
	putchar('\n');
}

static void tree_print(const struct tree *t, bool secrets)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct reg_key *k = &t->keys[i];

		if (k->n_values == 0)
			continue;
		printf(ROOT "\\");
		utf8_write(stdout, k->path, "");
		putchar('\n');
		for (size_t j = 0; j < k->n_values; j++)
			value_print(&k->values[j], !secrets && value_is_secret(k, &k->values[j], t->a), t->a);
		putchar('\n');
	}
}

static json_t *strings_json(const struct reg_value *v)
{
	const char *p = (const char *)v->p, *end = p + v->len;
	json_t *list = json_array();

	for (; p < end; p += strlen(p) + 1)
		json_array_append_new(list, json_string(p));
	return list;
}

static json_t *data_json(const struct reg_value *v, bool secret, struct arena *a)
{
	switch (v->type) {
	case REG_SZ:
		return json_stringn((const char *)v->p, v->len);
	case REG_MULTI_SZ:
		return strings_json(v);
	case REG_DWORD:
	case REG_QWORD:
		return json_integer((json_int_t)value_number(v));
	case REG_BINARY:
		break;
	}
	return json_string(secret ? "***" : value_hex(v, a));
}

static json_t *tree_json(const struct tree *t, bool secrets)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->n; i++) {
		const struct reg_key *k = &t->keys[i];
		json_t *values;

		if (k->n_values == 0)
			continue;
		values = json_array();
		for (size_t j = 0; j < k->n_values; j++) {
			const struct reg_value *v = &k->values[j];
			bool secret = !secrets && value_is_secret(k, v, t->a);

			json_array_append_new(values, json_pack("{s:s, s:s, s:o}", "name", v->name, "type", type_name(v->type),
			    "data", data_json(v, secret, t->a)));
		}
		json_array_append_new(list, json_pack("{s:o, s:o}", "key", json_sprintf(ROOT "\\%s", k->path), "values", values));
	}
	return list;
}

static int reg_query(struct cli *c, const char *key, bool secrets)
{
	struct tree t = { .a = c->arena };
	struct err err = { 0 };

	if (secrets && geteuid() != 0) {
		err_set(&err, ERR_DENIED, "reg query --secrets is for root");
		return cli_fail(&err);
	}
	if (all_read(&t, c->conf->state_dir, path_argument(key), &err) < 0)
		return cli_fail_for(&err, "reg query");
	if (c->json)
		return cli_print_json(tree_json(&t, secrets));
	tree_print(&t, secrets);
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

/* ---- export ------------------------------------------------------------------------------------ */

static int reg_export(struct cli *c, const char *file, const char *key, enum regfile_encoding encoding)
{
	struct tree t = { .a = c->arena };
	struct exchange_out out;
	struct err err = { 0 };

	if (all_read(&t, c->conf->state_dir, path_argument(key), &err) < 0 || exchange_file_create(&out, file, c->arena, &err) < 0)
		return cli_fail(&err);
	if (regfile_write(t.keys, t.n, encoding, out.f) < 0 && !ferror(out.f)) {
		exchange_file_drop(&out);
		err_set(&err, ERR_UNSUPPORTED, "a text of the registry is not UTF-8");
		return cli_fail(&err);
	}
	if (exchange_file_finish(&out, &err) < 0)
		return cli_fail(&err);
	printf("%zu keys written to '%s'; it may hold pre-shared keys, keep it to yourself\n", t.n, file);
	return EXIT_DONE;
}

/* ---- command line ---- */

static const char help[] =
    "Usage: ipsecpol reg query [KEY] [--json] [--secrets]\n"
    "       ipsecpol reg export FILE [KEY] [--utf8]\n"
    "       ipsecpol reg import FILE\n"
    "       ipsecpol reg restore\n"
    "The registry tree: the local and the persistent store, the settings of the service and the cached\n"
    "policy of the domain.  KEY begins at HKEY_LOCAL_MACHINE, written out or not; everything below it is meant.\n"
    "A file is what reg.exe writes and reads (UTF-16), or with --utf8 the same in UTF-8.  What is imported takes\n"
    "effect as a whole or not at all; the cache cannot be imported.  restore makes a damaged or lost registry.db\n"
    "again from what the boot image remembers: settings and the assigned policies.\n\n"
    "  --json      keys and values as JSON\n"
    "  --secrets   show pre-shared keys, too; for root\n";

struct words {
	const char	*word[4];
	int		 n;
	bool		 secrets, utf8, help;
};

/* Options may stand anywhere.  0, or EXIT_USAGE_ERROR. */
static int words_read(struct words *w, struct cli *c)
{
	for (int i = 0; i < c->argc; i++) {
		const char *a = c->argv[i];

		if (!strcmp(a, "--json"))
			c->json = true;
		else if (!strcmp(a, "--secrets"))
			w->secrets = true;
		else if (!strcmp(a, "--utf8"))
			w->utf8 = true;
		else if (!strcmp(a, "--help") || !strcmp(a, "-h") || !strcmp(a, "help") || !strcmp(a, "?"))
			w->help = true;
		else if (*a == '-' || w->n == sizeof(w->word) / sizeof(w->word[0]))
			return cli_usage("reg: unexpected '%.40s'; 'ipsecpol reg --help' tells what there is", a);
		else
			w->word[w->n++] = a;
	}
	return 0;
}

int cli_reg(struct cli *c)
{
	struct words w = { 0 };
	const char *verb;
	int rc = words_read(&w, c);

	if (rc)
		return rc;
	if (w.help) {
		fputs(help, stdout);
		return EXIT_DONE;
	}
	verb = w.n ? w.word[0] : "";
	if (!strcmp(verb, "query") && w.n <= 2 && !w.utf8)
		return reg_query(c, w.n == 2 ? w.word[1] : "", w.secrets);
	if (!strcmp(verb, "export") && (w.n == 2 || w.n == 3) && !w.secrets && !c->json)
		return reg_export(c, w.word[1], w.n == 3 ? w.word[2] : "", w.utf8 ? REGFILE_UTF8 : REGFILE_UTF16);
	if (!strcmp(verb, "import") && w.n == 2 && !w.secrets && !w.utf8 && !c->json)
		return cli_reg_import(c, w.word[1]);
	if (!strcmp(verb, "restore") && w.n == 1 && !w.secrets && !w.utf8 && !c->json)
		return cli_reg_restore(c);
	return cli_usage("reg wants 'query [KEY]', 'export FILE [KEY]', 'import FILE' or 'restore'; 'ipsecpol reg --help' tells more");
}
