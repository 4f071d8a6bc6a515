/* `dynamic show`: policies and rules, and all there is. */
#include <jansson.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/cli_dynamic_words.h"
#include "agent/cli_text.h"
#include "agent/netsh.h"

static bool rule_wanted(const struct netsh_args *a, const json_t *o)
{
	const bool tunnel = json_is_string(json_object_get(o, "tunnel"));

	return ends_wanted(a, o) && action_wanted(a, "actioninbound", json_text(o, "inbound")) &&
	    action_wanted(a, "actionoutbound", json_text(o, "outbound")) &&
	    (!netsh_arg(a, "type") || arg_word(a, "type", tunnel ? "tunnel" : "transport"));
}

static bool policy_wanted(const struct netsh_args *a, const json_t *o)
{
	static const char *const keys[] = { "name", NULL };

	return name_wanted(a, o, keys);
}

static void mm_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	(void)a;
	list_line(out, "MM Policy Name", json_text(o, "name"));
	list_line(out, "Quick Modes per MM", number_text(c, o, "quick_mode_limit", ""));
	list_line(out, "MM Lifetime", minutes_text(c, o, "lifetime_seconds"));
	list_line(out, "Soft SA Lifetime", minutes_text(c, o, "soft_sa_seconds"));
	list_line(out, "MM Security Methods", mm_offers_text(c, json_object_get(o, "offers")));
}

static void qm_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	(void)a;
	list_line(out, "QM Policy Name", json_text(o, "name"));
	list_line(out, "Allow Unsecured", yes_text(o, "soft"));
	list_line(out, "PFS Group", upper(c, json_text(o, "pfs_group")));
	list_line(out, "Security Methods", qm_offers_text(c, json_object_get(o, "offers")));
}

static void ends_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	list_line(out, "Mirrored", yes_text(o, "mirrored"));
	list_line(out, "Source Address", addr_shown(c, a, json_text(o, "src")));
	list_line(out, "Destination Address", addr_shown(c, a, json_text(o, "dst")));
	list_line(out, "Protocol", protocol_text(c, o));
	list_line(out, "Source Port", upper(c, port_text(c, json_object_get(o, "src_port"))));
	list_line(out, "Destination Port", upper(c, port_text(c, json_object_get(o, "dst_port"))));
}

static void rule_print(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out)
{
	const bool negotiates = !strcmp(json_text(o, "inbound"), "negotiate") || !strcmp(json_text(o, "outbound"), "negotiate");

	ends_print(c, a, o, out);
	list_line(out, "Connection Type", json_text(o, "conntype"));
	maybe_line(out, "Tunnel Endpoint", json_text(o, "tunnel"));
	list_line(out, "Inbound Action", json_text(o, "inbound"));
	list_line(out, "Outbound Action", json_text(o, "outbound"));
	maybe_line(out, "MM Policy Name", json_text(o, "mmpolicy"));
	maybe_line(out, "QM Policy Name", json_text(o, "qmpolicy"));
	if (negotiates)
		list_line(out, "Authentication", auth_text(c, json_object_get(o, "auth")));
	list_line(out, "Rule ID", json_text(o, "id"));
}

typedef bool wanted_fn(const struct netsh_args *a, const json_t *o);
typedef void print_fn(struct cli *c, const struct netsh_args *a, const json_t *o, FILE *out);

static int show_list(struct cli *c, const struct netsh_args *a, const char *what, const char *key, wanted_fn *wanted, print_fn *print, FILE *out, struct err *err)
{
	const char *whose = !strcmp(what, "mmpolicy") ? "main mode policy" : !strcmp(what, "qmpolicy") ? "quick mode policy" : what;
	const char *name = a->command->id == CMD_DYN_SHOW_ALL ? NULL : arg_text(a, "name", NULL);
	json_t *answer = NULL, *all, *list = json_array();
	int rc = 0;

	if (cli_ask(c, &answer, "org.ipsecpol.DynamicShow", json_pack("{s:s}", "what", what), ASK_SECONDS, err) < 0) {
		json_decref(list);
		return -1;
	}
	all = json_object_get(answer, key);
	for (size_t i = 0; i < json_array_size(all); i++)
		if (wanted(a, json_array_get(all, i)))
			json_array_append(list, json_array_get(all, i));
	if (!json_array_size(list) && name && !is_all(name))
		rc = err_set(err, ERR_ABSENT, "there is no dynamic %s '%s'", whose, name);
	else if (c->json)
		rc = json_print(json_pack("{s:O}", key, list), out, err);
	else if (!json_array_size(list))
		fprintf(out, "There is no dynamic %s%s.\n", whose, json_array_size(all) ? " like that" : "");
	for (size_t i = 0; !c->json && i < json_array_size(list); i++) {
		if (i)
			fputc('\n', out);
		print(c, a, json_array_get(list, i), out);
	}
	json_decref(list);
	json_decref(answer);
	return rc;
}

/* ---- all ---- */

static int show_all(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err)
{
	static const struct { enum netsh_id id; const char *key, *heading; } parts[] = {
		{ CMD_DYN_SHOW_MMPOLICY, "mmpolicy", "Main mode policies" }, { CMD_DYN_SHOW_QMPOLICY, "qmpolicy", "Quick mode policies" },
		{ CMD_DYN_SHOW_RULE, "rule", "Dynamic rules" }, { CMD_DYN_SHOW_MMFILTER, "mmfilter", "Main mode filters in effect" },
		{ CMD_DYN_SHOW_QMFILTER, "qmfilter", "Filters in effect" }, { CMD_DYN_SHOW_MMSAS, "mmsas", "Main mode associations" },
		{ CMD_DYN_SHOW_QMSAS, "qmsas", "Quick mode associations" }, { CMD_DYN_SHOW_STATS, "stats", "Statistics" },
		{ CMD_DYN_SHOW_CONFIG, "config", "Configuration" },
	};
	const size_t n = sizeof(parts) / sizeof(parts[0]);
	json_t *answer = NULL;

	/* Nothing is printed when there is nobody to ask. */
	if (cli_ask(c, &answer, "org.ipsecpol.Config", NULL, ASK_SECONDS, err) < 0)
		return -1;
	json_decref(answer);
	for (size_t i = 0; i < n; i++) {
		struct netsh_args one = { .command = netsh_command(parts[i].id), .values = a->values, .n_values = a->n_values };

		if (c->json)
			fprintf(out, "%s\"%s\": ", i ? "," : "{", parts[i].key);
		else
			list_heading(out, parts[i].heading);
		if (cli_dynamic_run(c, &one, out, err) == 0)
			continue;
		/* Without charon the rest is shown all the same. */
		if (err->code != ERR_OFFLINE || (parts[i].id != CMD_DYN_SHOW_MMSAS && parts[i].id != CMD_DYN_SHOW_QMSAS && parts[i].id != CMD_DYN_SHOW_STATS))
			return -1;
		if (!c->json)
			fprintf(out, "%s\n", err->msg);
		*err = (struct err){ 0 };
	}
	if (c->json)
		fputs("}\n", out);
	return 0;
}

int dynamic_show(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err)
{
	switch (a->command->id) {
	case CMD_DYN_SHOW_MMPOLICY:
		return show_list(c, a, "mmpolicy", "mmpolicies", policy_wanted, mm_print, out, err);
	case CMD_DYN_SHOW_QMPOLICY:
		return show_list(c, a, "qmpolicy", "qmpolicies", policy_wanted, qm_print, out, err);
	case CMD_DYN_SHOW_RULE:
		return show_list(c, a, "rule", "rules", rule_wanted, rule_print, out, err);
	case CMD_DYN_SHOW_MMFILTER:
		return dynamic_show_filters(c, a, "mm", out, err);
	case CMD_DYN_SHOW_QMFILTER:
		return dynamic_show_filters(c, a, "qm", out, err);
	case CMD_DYN_SHOW_MMSAS:
		return dynamic_show_sas(c, a, true, out, err);
	case CMD_DYN_SHOW_QMSAS:
		return dynamic_show_sas(c, a, false, out, err);
	case CMD_DYN_SHOW_STATS:
		return dynamic_show_stats(c, a, out, err);
	case CMD_DYN_SHOW_ALL:
		return show_all(c, a, out, err);
	default:
		return err_set(err, ERR_UNSUPPORTED, "'%s %s' is not known here", a->command->verb, a->command->object);
	}
}
