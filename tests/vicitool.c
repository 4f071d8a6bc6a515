/* Asks charon, as the tool and the service do; prints messages as indented text.  For tests/test_vici.sh.
 *
 *   vicitool SOCKET COMMAND [KEY=VALUE...]
 *   vicitool SOCKET list COMMAND EVENT   what charon streams
 *   vicitool SOCKET load N        N connections of a made-up configuration with their key, and whether charon lists them so
 *   vicitool SOCKET check N       the latter alone
 *   vicitool SOCKET unload N      removes them
 *   vicitool SOCKET wrong         loads a connection with a proposal that nobody knows
 *   vicitool - text N             the configuration as swanctl.conf, with the key
 *   vicitool - key                the key */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vici.h"
#include "nft/ike.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "tests/ike_world.h"

#define TIMEOUT_MS	20000

static void node_print(const struct vici_node *n, int depth)
{
	printf("%*s%s", 2 * depth, "", n->name);
	if (n->kind == VICI_VALUE)
		printf("%s%s", *n->name ? " = " : "- ", n->value);
	printf("\n");
	for (size_t i = 0; i < n->n_children; i++)
		node_print(&n->children[i], depth + 1);
}

static void message_print(const struct vici_node *root)
{
	for (size_t i = 0; i < root->n_children; i++)
		node_print(&root->children[i], 0);
}

static int on_event(const struct vici_node *message, void *cookie, struct err *err)
{
	(void)cookie;
	(void)err;
	message_print(message);
	return 0;
}

static int plain(struct vici *v, char **words, int n, struct err *err)
{
	struct vici_message *m = vici_new();
	struct arena *a = arena_new(0);
	struct vici_node *reply;
	int rc;

	if (!a)
		return err_nomem(err);

	for (int i = 1; i < n; i++) {
		char *value = strchr(words[i], '=');

		if (value)
			*value++ = '\0';
		vici_add(m, words[i], value ? value : "");
	}
	rc = vici_ask(v, &reply, a, words[0], m, NULL, NULL, NULL, err);
	if (rc == 0)
		message_print(reply);
	arena_free(a);
	return rc;
}

static int stream(struct vici *v, const char *command, const char *event, vici_event *each, void *cookie, struct err *err)
{
	struct arena *a = arena_new(0);
	struct vici_node *reply;
	int rc = a ? vici_ask(v, &reply, a, command, NULL, event, each, cookie, err) : err_nomem(err);

	arena_free(a);
	return rc;
}

/* One that charon is to say yes to. */
static int order(struct vici *v, const char *command, struct vici_message *m, const char *what, struct err *err)
{
	struct arena *a = arena_new(0);
	struct vici_node *reply;
	int rc;

	if (!a) {
		vici_free(m);
		return err_nomem(err);
	}
	rc = vici_ask(v, &reply, a, command, m, NULL, NULL, NULL, err);
	if (rc == 0)
		rc = vici_answer(reply, err);
	arena_free(a);
	return rc < 0 ? err_prefix(err, "%s", what) : 0;
}

static int load(struct vici *v, const struct ike_config *c, struct err *err)
{
	for (size_t i = 0; i < c->n_secrets; i++)
		if (order(v, "load-shared", vici_secret(&c->secrets[i]), c->secrets[i].id, err) < 0)
			return -1;
	for (size_t i = 0; i < c->n_conns; i++)
		if (order(v, "load-conn", vici_conn(&c->conns[i]), c->conns[i].name, err) < 0)
			return -1;
	return 0;
}

static struct vici_message *one(const char *key, const char *value)
{
	struct vici_message *m = vici_new();

	vici_add(m, key, value);
	return m;
}

static int unload(struct vici *v, const struct ike_config *c, struct err *err)
{
	for (size_t i = 0; i < c->n_conns; i++)
		if (order(v, "unload-conn", one("name", c->conns[i].name), c->conns[i].name, err) < 0)
			return -1;
	for (size_t i = 0; i < c->n_secrets; i++)
		if (order(v, "unload-shared", one("id", c->secrets[i].id), c->secrets[i].id, err) < 0)
			return -1;
	return 0;
}

struct checking {
	const struct ike_config	*c;
	size_t			 n, n_others;
};

static int conn_seen(const struct vici_node *message, void *cookie, struct err *err)
{
	struct checking *k = cookie;
	const struct ike_conn *want;

	for (size_t i = 0; i < message->n_children; i++) {
		want = ike_find(k->c, message->children[i].name);
		if (!want)
			k->n_others++;
		else if (ike_conn_check(want, &message->children[i], err) < 0)
			return err_prefix(err, "%s", want->name);
		else
			k->n++;
	}
	return 0;
}

static int check(struct vici *v, const struct ike_config *c, struct err *err)
{
	struct checking k = { .c = c };

	if (stream(v, "list-conns", "list-conn", conn_seen, &k, err) < 0)
		return -1;
	printf("%zu of %zu as wanted, %zu others\n", k.n, c->n_conns, k.n_others);
	return k.n == c->n_conns ? 0 : err_set(err, ERR_ABSENT, "some are missing");
}

/* With the key, quoted: what ike_write leaves out. */
static int text(const struct ike_config *c, struct err *err)
{
	char *conf = NULL, *stars;
	size_t len;
	FILE *out = open_memstream(&conf, &len);
	int rc = -1;

	if (!out || ike_write(c, out) < 0 || fclose(out) != 0)
		return err_nomem(err);
	stars = strstr(conf, "***");
	if (!stars || strstr(stars + 1, "***")) {
		err_set(err, ERR_FORMAT, "not one key is left out");
		goto out;
	}
	printf("%.*s\"", (int)(stars - conf), conf);
	for (size_t i = 0; i < c->secrets[0].key_len; i++)
		printf("%s%c", strchr("\"\\", c->secrets[0].key[i]) ? "\\" : "", c->secrets[0].key[i]);
	printf("\"%s", stars + 3);
	rc = 0;
out:
	free(conf);
	return rc;
}

static int world(struct vici *v, const char *what, size_t n, struct err *err)
{
	struct ike_config *c = ike_world(n);
	int rc = -1;

	if (!c)
		return err_nomem(err);
	if (!strcmp(what, "wrong"))
		c->conns[0].proposals.texts[0] = "bogus-sha1";
	if (ike_seal(c, err) < 0)
		goto out;
	if (!strcmp(what, "text"))
		rc = text(c, err);
	else if (!strcmp(what, "unload"))
		rc = unload(v, c, err);
	else
		rc = strcmp(what, "check") ? load(v, c, err) : 0;
	if (rc == 0 && (!strcmp(what, "load") || !strcmp(what, "check")))
		rc = check(v, c, err);
out:
	ike_free(c);
	return rc;
}

int main(int argc, char **argv)
{
	struct err err = { 0 };
	struct vici *v = NULL;
	int rc = 2;

	if (argc < 3)
		return 77;	/* `make check` runs all programs */
	if (!strcmp(argv[2], "key")) {
		puts(WORLD_KEY);
		return 0;
	}
	if (strcmp(argv[1], "-")) {
		v = vici_open(argv[1], TIMEOUT_MS, &err);
		if (!v)
			goto out;
	}
	if (!v || !strcmp(argv[2], "load") || !strcmp(argv[2], "check") || !strcmp(argv[2], "unload") || !strcmp(argv[2], "wrong"))
		rc = world(v, argv[2], argc > 3 ? strtoul(argv[3], NULL, 10) : 1, &err) < 0;
	else if (!strcmp(argv[2], "list") && argc == 5)
		rc = stream(v, argv[3], argv[4], on_event, NULL, &err) < 0;
	else
		rc = plain(v, argv + 2, argc - 2, &err) < 0;
out:
	if (rc && err.code != ERR_NONE)
		fprintf(stderr, "vicitool: %s\n", err.msg);
	vici_close(v);
	return rc;
}
