#include "agent/cli_dynamic.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/netsh.h"
#include "agent/static.h"
#include "schema/arena.h"
#include "schema/utf.h"

#define MAX_COMMANDS	4096	/* that one line may become */
#define ENFORCE_SECONDS	120

const char *json_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

const char *clean_text(struct cli *c, const char *s)
{
	char *copy = arena_strdup(c->arena, s);

	if (!copy)
		return "?";
	utf8_clean(copy, "");
	return copy;
}

/* ---- names of hosts become addresses ---- */

struct side {
	struct netsh_value	*value, *mask;	/* in the copy that is written; NULL: not given */
	struct ipsec_addr	*addrs;
	size_t			 n;
};

static struct netsh_value *value_of(struct netsh_args *a, const char *tag)
{
	return (struct netsh_value *)netsh_arg(a, tag);
}

static int side_look(struct side *s, struct cli *c, struct netsh_args *a, const char *tag, const char *mask_tag, struct err *err)
{
	s->value = value_of(a, tag);
	s->mask = mask_tag ? value_of(a, mask_tag) : NULL;
	if (!s->value || !s->value->host) {
		s->addrs = s->value ? &s->value->addr : NULL;
		s->n = s->value ? 1 : 0;
		return 0;
	}
	return host_lookup(&s->addrs, &s->n, c->arena, s->value->host, tag, err);
}

/* A name may have addresses of either family: 32 is one address of both, and a shorter mask, far
 * wider for IPv6 than it was meant, goes with IPv4 alone. */
static int side_take(struct side *s, struct arena *a, const struct ipsec_addr *addr, const char *host, struct err *err)
{
	char text[IPSEC_ADDR_TEXT];

	if (!host)
		return 0;
	s->value->addr = *addr;
	s->value->host = NULL;
	ipsec_addr_text(addr, text);
	s->value->text = arena_strdup(a, text);
	if (!s->value->text)
		return err_nomem(err);
	if (!s->mask || addr->family != AF_INET6 || s->mask->number > 32)
		return 0;
	if (s->mask->number < 32)
		return err_set(err, ERR_FORMAT, "'%s': '%s' has IPv6 addresses, too", s->mask->tag->name, host);
	s->mask->number = 128;
	return 0;
}

static int command_add(json_t *list, const struct netsh_args *a, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool ok = out && netsh_write(a, out) == 0;

	ok = out && fclose(out) == 0 && ok && len <= NETSH_MAX_LINE;
	ok = ok && json_array_size(list) < MAX_COMMANDS && json_array_append_new(list, json_string(text)) == 0;
	free(text);
	return ok ? 0 : err_set(err, ERR_LIMIT, "the command is too long, or stands for more than %d", MAX_COMMANDS);
}

static bool families_meet(const struct ipsec_addr *a, const struct ipsec_addr *b)
{
	return !a->family || !b->family || a->family == b->family;
}

/* The copy is written anew for each pair. */
static int pairs_add(json_t *list, struct cli *c, struct netsh_args *a, struct err *err)
{
	struct side src = { 0 }, dst = { 0 }, tunnel = { 0 };
	const char *src_host, *dst_host, *tunnel_host;
	size_t n = 0;

	if (side_look(&src, c, a, "srcaddr", "srcmask", err) < 0 || side_look(&dst, c, a, "dstaddr", "dstmask", err) < 0 ||
	    side_look(&tunnel, c, a, "tunneldstaddress", NULL, err) < 0)
		return -1;
	if (tunnel.n > 1)
		return err_set(err, ERR_FORMAT, "'tunneldstaddress': '%s' has %zu addresses; give one of them", tunnel.value->host, tunnel.n);
	tunnel_host = tunnel.value ? tunnel.value->host : NULL;
	if (tunnel_host && side_take(&tunnel, c->arena, &tunnel.addrs[0], tunnel_host, err) < 0)
		return -1;
	src_host = src.value ? src.value->host : NULL;
	dst_host = dst.value ? dst.value->host : NULL;
	if (!src_host && !dst_host)
		return command_add(list, a, err);
	for (size_t i = 0; i < src.n; i++)
		for (size_t k = 0; k < dst.n; k++) {
			if (!families_meet(&src.addrs[i], &dst.addrs[k]))
				continue;
			if (side_take(&src, c->arena, &src.addrs[i], src_host, err) < 0 ||
			    side_take(&dst, c->arena, &dst.addrs[k], dst_host, err) < 0 || command_add(list, a, err) < 0)
				return -1;
			n++;
		}
	return n ? 0 : err_set(err, ERR_FORMAT, "'srcaddr' and 'dstaddr' have no address of the same family");
}

static int run_edit(struct cli *c, const struct netsh_args *a, struct err *err)
{
	struct netsh_args copy = *a;
	json_t *list = json_array(), *answer = NULL;

	copy.values = a->n_values ? arena_memdup(c->arena, a->values, a->n_values * sizeof(*a->values)) : NULL;
	if (!list || (a->n_values && !copy.values)) {
		json_decref(list);
		return err_nomem(err);
	}
	if (pairs_add(list, c, &copy, err) < 0) {
		json_decref(list);
		return -1;
	}
	if (cli_ask(c, &answer, "org.ipsecpol.Dynamic", json_pack("{s:o}", "commands", list), ENFORCE_SECONDS, err) < 0)
		return -1;
	json_decref(answer);
	return 0;
}

int cli_dynamic_run(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err)
{
	switch (a->command->id) {
	case CMD_DYN_SET_CONFIG:
		return dynamic_set_config(c, a, out, err);
	case CMD_DYN_SHOW_CONFIG:
		return dynamic_show_config(c, out, err);
	case CMD_DYN_SHOW_DROPS:
		return dynamic_show_drops(c, out, err);
	default:
		return !strcmp(a->command->verb, "show") ? dynamic_show(c, a, out, err) : run_edit(c, a, err);
	}
}
