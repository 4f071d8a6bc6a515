/* `dynamic show mmfilter` and `qmfilter`: printed page by page, there may be hundreds of thousands. */
#include <jansson.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/cli_dynamic_words.h"
#include "agent/cli_text.h"
#include "agent/netsh.h"
#include "schema/arena.h"

/* An action that is asked for in one direction leaves out the filters of the other. */
static bool direction_wanted(const struct netsh_args *a, const char *tag, const json_t *o, const char *word)
{
	const char *direction = json_text(o, "direction");

	if (!netsh_arg(a, tag))
		return true;
	return arg_word(a, tag, json_text(o, "action")) && (!strcmp(direction, word) || !strcmp(direction, "both"));
}

static bool filter_wanted(const struct netsh_args *a, const json_t *o)
{
	static const char *const keys[] = { "policy", "rule_name", "filter_list", "rule", "filter", NULL };

	if (!name_wanted(a, o, keys) || !addr_wanted(a, "srcaddr", "srcmask", json_text(o, "src")) ||
	    !addr_wanted(a, "dstaddr", "dstmask", json_text(o, "dst")))
		return false;
	/* Main mode is between hosts: it has none of what follows. */
	if (!json_object_get(o, "protocol"))
		return true;
	return ends_wanted(a, o) && direction_wanted(a, "actioninbound", o, "inbound") &&
	    direction_wanted(a, "actionoutbound", o, "outbound");
}

struct listing {
	const char	*what;		/* "mm" or "qm" */
	size_t		 n;		/* printed so far */
	bool		 begun;		/* the JSON */
};

static void where_print(struct cli *c, const json_t *o, FILE *out)
{
	const char *gpo = json_text(o, "gpo_name"), *name = json_text(o, "rule_name");

	fprintf(out, "    %s", json_text(o, "store"));
	fprintf(out, ", policy '%s', rule %s%s%s%s", clean_text(c, json_text(o, "policy")), *name ? "'" : "", clean_text(c, name), *name ? "' " : "",
	    json_text(o, "rule"));
	if (json_is_string(json_object_get(o, "gpo")))
		fprintf(out, ", GPO '%s' %s", clean_text(c, gpo), json_text(o, "gpo"));
	if (*json_text(o, "filter"))
		fprintf(out, ", filter %s", json_text(o, "filter"));
	fputc('\n', out);
}

static void qmfilter_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	const char *tunnel = json_text(o, "tunnel"), *conntype = json_text(o, "conntype");

	fprintf(out, "%-8s %-9s %s > %s", json_text(o, "direction"), json_text(o, "action"), addr_shown(c, a, json_text(o, "src")),
	    addr_shown(c, a, json_text(o, "dst")));
	/* Unless an address says it. */
	if (json_is_integer(json_object_get(o, "family")) && !strpbrk(json_text(o, "src"), ".:") && !strpbrk(json_text(o, "dst"), ".:"))
		fprintf(out, ", IPv%lld", (long long)json_integer_value(json_object_get(o, "family")));
	fprintf(out, ", %s", protocol_text(c, o));
	if (json_integer_value(json_object_get(o, "src_port")) || json_integer_value(json_object_get(o, "dst_port")) ||
	    json_is_string(json_object_get(o, "src_port")) || json_is_string(json_object_get(o, "dst_port")))
		fprintf(out, " %s > %s", port_text(c, json_object_get(o, "src_port")), port_text(c, json_object_get(o, "dst_port")));
	if (strcmp(json_text(o, "kind"), json_text(o, "action")))
		fprintf(out, " (%s)", json_text(o, "kind"));
	if (json_is_true(json_object_get(o, "mirrored")))
		fputs(", mirrored", out);
	if (strcmp(conntype, "all"))
		fprintf(out, ", %s", conntype);
	if (*tunnel)
		fprintf(out, ", tunnel %s", tunnel);
	if (json_object_get(o, "weight"))
		fprintf(out, ", weight %lld%s", (long long)json_integer_value(json_object_get(o, "weight")),
		    json_is_true(json_object_get(o, "shadowed")) ? ", without effect: a stronger one is for the same packets" : "");
	fputc('\n', out);
	where_print(c, o, out);
}

static void mmfilter_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	const json_t *m = json_object_get(o, "main_mode");
	const char *tunnel = json_text(o, "tunnel");

	fprintf(out, "%s > %s", addr_shown(c, a, json_text(o, "src")), addr_shown(c, a, json_text(o, "dst")));
	fprintf(out, "%s%s, %s, %s, %s\n", *tunnel ? ", tunnel " : "", tunnel, mm_offers_text(c, json_object_get(m, "offers")),
	    number_text(c, m, "lifetime_seconds", " s"), clean_text(c, auth_text(c, json_object_get(o, "auth"))));
	where_print(c, o, out);
}

static int page_print(struct cli *c, const struct netsh_args *a, struct listing *l, const json_t *list, FILE *out, struct err *err)
{
	struct arena *whole = c->arena, *page = arena_new(0);

	if (!page)
		return err_nomem(err);
	/* What the lines are made of is not kept for all of them. */
	c->arena = page;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);

		if (!filter_wanted(a, o))
			continue;
		if (c->json && !l->begun)
			fputs("{\n  \"filters\": [", out);
		l->begun = true;
		if (c->json) {
			fputs(l->n ? ",\n    " : "\n    ", out);
			if (json_print_compact(o, out, err) < 0)
				break;
		} else if (!strcmp(l->what, "mm")) {
			mmfilter_print(c, a, o, out);
		} else {
			qmfilter_print(c, a, o, out);
		}
		l->n++;
	}
	c->arena = whole;
	arena_free(page);
	return ferror(out) ? err_set(err, ERR_SYSTEM, "writing the output: %m") : 0;
}

static json_t *page_wanted(const struct netsh_args *a, const char *what, json_int_t from, json_int_t stamp)
{
	json_t *p = json_pack("{s:s, s:s, s:I}", "type", arg_word(a, "type", "specific") ? "specific" : "generic", "what", what, "from", from);

	if (from)
		json_object_set_new(p, "stamp", json_integer(stamp));
	return p;
}

int dynamic_show_filters(struct cli *c, const struct netsh_args *a, const char *what, FILE *out, struct err *err)
{
	const char *name = arg_text(a, "name", NULL);
	struct listing l = { .what = what };
	json_int_t from = 0, stamp = 0;
	json_t *answer = NULL, *next;
	bool more = true;
	int rc = 0;

	while (more && rc == 0) {
		if (cli_ask(c, &answer, "org.ipsecpol.Filters", page_wanted(a, what, from, stamp), ASK_SECONDS, err) < 0)
			return -1;
		rc = page_print(c, a, &l, json_object_get(answer, "filters"), out, err);
		next = json_object_get(answer, "next");
		more = json_is_integer(next);
		from = json_integer_value(next);
		stamp = json_integer_value(json_object_get(answer, "stamp"));
		json_decref(answer);
	}
	if (rc == 0 && !l.n && name && !is_all(name))
		return err_set(err, ERR_ABSENT, "there is no %s mode filter of '%s' in effect", !strcmp(what, "mm") ? "main" : "quick", name);
	if (c->json)
		fputs(l.begun ? "\n  ]\n}\n" : "{\n  \"filters\": []\n}\n", out);
	else if (!l.n)
		fprintf(out, "There is no such %s mode filter in effect.\n", !strcmp(what, "mm") ? "main" : "quick");
	return rc;
}
