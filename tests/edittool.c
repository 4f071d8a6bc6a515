/* edittool CONF URI COMMAND...: single changes of a directory, for tests.
 *   change DN ATTR WAS NEW    one value by another; "-": none; @FILE: its bytes
 *   add DN CLASS [ATTR VALUE]...
 *   delete DN
 *   assign GPO POLICY-DN | unassign GPO | assigned GPO | users POLICY-DN
 *   load                      objects of the domain's container, one a line
 *   run FILE | batch FILE     commands of the static context, one a line: each written at once, or
 *                             all of them at the end
 * With the credentials of the caller.  Exit status 0, or 1 and "CODE MESSAGE". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/conf.h"
#include "agent/directory.h"
#include "agent/gpo_edit.h"
#include "agent/session.h"
#include "schema/arena.h"
#include "schema/change.h"
#include "schema/err.h"

#define DOMAIN	"DC=corp,DC=example"

static struct arena *arena;

static int fail(const struct err *err)
{
	printf("%s %s\n", err_code_name(err->code), err->msg);
	return 1;
}

static struct dir_value *value_of(const char *arg)
{
	struct dir_value *v = arena_zalloc(arena, 1, sizeof(*v));
	char *bytes;
	FILE *f;

	*v = (struct dir_value){ (const uint8_t *)arg, strlen(arg) };
	if (*arg != '@')
		return v;
	f = fopen(arg + 1, "re");
	if (!f)
		exit(2);
	bytes = arena_zalloc(arena, 1, 32u << 20);
	v->len = fread(bytes, 1, (32u << 20) - 1, f);
	v->p = (const uint8_t *)bytes;
	fclose(f);
	return v;
}

static struct dir_attr attr_of(const char *name, const char *arg)
{
	if (!strcmp(arg, "-"))
		return (struct dir_attr){ .name = name };
	return (struct dir_attr){ .name = name, .values = value_of(arg), .n_values = 1 };
}

static int change(struct directory *d, int argc, char **argv, struct err *err)
{
	struct dir_mod mod = { .kind = MOD_REPLACE };
	struct dir_attr attrs[8];
	struct dir_change c = { .dn = argv[1], .attrs = attrs, .mods = &mod };

	if (!strcmp(argv[0], "change") && argc == 5) {
		c.kind = CHANGE_MODIFY;
		c.n_mods = 1;
		mod.was = attr_of(argv[2], argv[3]);
		mod.attr = attr_of(argv[2], argv[4]);
	} else if (!strcmp(argv[0], "delete") && argc == 2) {
		c.kind = CHANGE_DELETE;
	} else if (!strcmp(argv[0], "add") && argc >= 3 && argc < 16) {
		c.kind = CHANGE_ADD;
		attrs[c.n_attrs++] = attr_of("objectClass", argv[2]);
		for (int i = 3; i + 1 < argc; i += 2)
			attrs[c.n_attrs++] = attr_of(argv[i], argv[i + 1]);
	} else {
		exit(64);
	}
	return directory_change(d, &c, err);
}

static int assignment(struct directory *d, char **argv, const char *policy, struct err *err)
{
	const struct gpo_target to = { .dn = policy, .name = "by edittool" };
	const char *dn;
	int rc;

	if (gpo_find(&dn, d, DOMAIN, argv[1], arena, err) < 0)
		return -1;
	if (strcmp(argv[0], "assigned"))
		return gpo_assign(d, dn, &to, err);
	rc = gpo_assigned(d, dn, &dn, arena, err);
	if (rc >= 0)
		puts(rc ? dn : "none");
	return rc;
}

static int run_line(struct session *se, const char *line, size_t len, struct err *err)
{
	struct netsh_args args;
	char **words;
	size_t n;

	if (netsh_split(&words, &n, arena, line, len, err) < 0)
		return -1;
	if (!n)
		return 0;
	if (netsh_parse(&args, arena, NETSH_STATIC, words, n, err) < 0)
		return -1;
	return session_run(se, &args, stdout, err);
}

static int run(const struct conf *c, const char *uri, const char *file, bool batch, struct err *err)
{
	const struct session_options o = { .conf = c, .directory = uri, .location = LOCATION_DOMAIN, .deferred = batch };
	struct session *se = session_open(&o, err);
	FILE *f = fopen(file, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int rc = 0;

	if (!se || !f)
		return se ? err_set(err, ERR_SYSTEM, "%s: %m", file) : -1;
	while (rc == 0 && (n = getline(&line, &size, f)) > 0)
		rc = run_line(se, line, (size_t)n - (line[n - 1] == '\n'), err);
	if (rc == 0)
		rc = session_flush(se, err);
	free(line);
	fclose(f);
	session_close(se);
	return rc;
}

static int load(const struct conf *c, const char *uri, struct err *err)
{
	struct backend *b = backend_domain(c, uri, NULL, err);
	struct store_edit e = { 0 };
	int rc = -1;

	if (!b)
		return -1;
	rc = b->load(b, &e, err);
	if (rc == 0) {
		printf("%s\n", b->where(b));
		for (size_t i = 0; i < e.container->n_objects; i++)
			printf("%s\n", e.container->objects[i]->dn);
		container_free(e.container);
	}
	b->close(b);
	return rc;
}

int main(int argc, char **argv)
{
	struct directory_conf dc = { .keytab_fd = -1, .password_fd = -1, .tls_key_fd = -1 };
	struct directory *d = NULL;
	struct gpo_user *users;
	struct conf *conf;
	struct err err = { 0 };
	size_t n = 0;
	int rc = -1;

	arena = arena_new(0);
	if (argc == 1)
		return 0;	/* `make check` runs all programs */
	if (argc < 4 || !arena)
		return 64;
	if (conf_read(&conf, argv[1], &err) < 0)
		return fail(&err);
	conf->keytab = NULL;
	dc.conf = conf;
	dc.uri = argv[2];
	argc -= 3;
	argv += 3;
	if (!strcmp(argv[0], "load"))
		rc = load(conf, dc.uri, &err);
	else if ((!strcmp(argv[0], "run") || !strcmp(argv[0], "batch")) && argc == 2)
		rc = run(conf, dc.uri, argv[1], *argv[0] == 'b', &err);
	else if (!(d = directory_open(&dc, &err)))
		rc = -1;
	else if (!strcmp(argv[0], "assign") && argc == 3)
		rc = assignment(d, argv, argv[2], &err);
	else if (strstr(argv[0], "assign") && argc == 2)
		rc = assignment(d, argv, NULL, &err);
	else if (!strcmp(argv[0], "users") && argc == 2)
		rc = gpo_users(d, DOMAIN, argv[1], &users, &n, arena, &err);
	else
		rc = change(d, argc, argv, &err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		printf("%s\n", users[i].name);
	directory_close(d);
	conf_free(conf);
	rc = rc < 0 ? fail(&err) : 0;
	arena_free(arena);
	return rc;
}
