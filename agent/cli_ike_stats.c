/* `dynamic show stats`: netsh's names for what charon and the kernel count; what neither counts is left out. */
#include <jansson.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli.h"
#include "agent/cli_dynamic.h"
#include "agent/cli_dynamic_words.h"
#include "agent/cli_ike.h"
#include "agent/cli_text.h"
#include "agent/netsh.h"
#include "agent/vici.h"
#include "nft/xfrm.h"
#include "schema/err.h"

#define XFRM_STAT	"/proc/net/xfrm_stat"

struct shown {
	const char	*key, *name;	/* in JSON; for people */
};
static const struct shown ike_names[] = {
	{ "main_modes", "Main Modes" }, { "quick_modes", "Quick Modes" }, { "half_open", "Half-open Main Modes" },
	{ "active_acquire", "Active Acquire" }, { "acquire_failures", "Acquire Failures" }, { "queued", "Active Receive" },
	{ "invalid_cookies", "Invalid Cookies Rcvd" }, { "invalid_packets", "Invalid Packets Rcvd" }, { "rekeys", "Main Mode ReKeys" },
}, ipsec_names[] = {
	{ "active_associations", "Active Assoc" }, { "pending_keys", "Pending Key" }, { "rekeys", "ReKeys" }, { "active_tunnels", "Active Tunnels" },
	{ "bad_spi_packets", "Bad SPI Pkts" }, { "not_decrypted_packets", "Pkts not Decrypted" },
	{ "not_authenticated_packets", "Pkts not Authenticated" }, { "replayed_packets", "Pkts with Replay Detection" },
	{ "confidential_bytes_out", "Confidential Bytes Sent" }, { "confidential_bytes_in", "Confidential Bytes Rcvd" },
	{ "authenticated_bytes_out", "Authenticated Bytes Sent" }, { "authenticated_bytes_in", "Authenticated Bytes Rcvd" },
	{ "transport_bytes_out", "Transport Bytes Sent" }, { "transport_bytes_in", "Transport Bytes Rcvd" },
	{ "tunnel_bytes_out", "Bytes Sent In Tunnels" }, { "tunnel_bytes_in", "Bytes Rcvd In Tunnels" },
};

/* ---- charon ---- */

static json_int_t vici_number(const struct vici_node *n, const char *key)
{
	const char *s = vici_value(n, key);
	char *end;
	const long long value = strtoll(s, &end, 10);

	return *s && !*end && value > 0 ? value : 0;
}

static void queued_set(json_t *o, const struct vici_node *stats)
{
	static const char *const queues[] = { "critical", "high", "medium", "low" };
	const struct vici_node *q = vici_get(stats, "queues");
	json_int_t n = 0;

	if (!q)
		return;
	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
		n += vici_number(q, queues[i]);
	json_object_set_new(o, "queued", json_integer(n));
}

static json_int_t in_state(const json_t *list, const char *state)
{
	json_int_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += !strcmp(json_text(json_array_get(list, i), "state"), state);
	return n;
}

/* charon without its plugin for counters has none. */
static void counters_set(json_t *ike, json_t *ipsec, struct vici *v, struct cli *c)
{
	struct vici_node *answer = NULL;
	const struct vici_node *all, *n = NULL;
	struct err ignored;

	if (vici_ask(v, &answer, c->arena, "get-counters", NULL, NULL, NULL, NULL, &ignored) < 0 || !(all = vici_get(answer, "counters")))
		return;
	/* The one without a name is of all connections. */
	n = vici_get(all, "");
	if (!n)
		return;
	json_object_set_new(ike, "invalid_cookies", json_integer(vici_number(n, "invalid-spi")));
	json_object_set_new(ike, "invalid_packets", json_integer(vici_number(n, "invalid")));
	json_object_set_new(ike, "rekeys", json_integer(vici_number(n, "ike-rekey-init") + vici_number(n, "ike-rekey-resp")));
	json_object_set_new(ipsec, "rekeys", json_integer(vici_number(n, "child-rekey")));
}

static int charon_count(json_t *ike, json_t *ipsec, struct cli *c, struct err *err)
{
	struct vici *v = ike_open(c, err);
	struct ike_rules rules = { .connections = json_object(), .reqids = json_object() };
	struct vici_node *stats = NULL;
	const struct vici_node *uptime;
	struct ike_sas sas = { 0 };
	int rc = -1;

	if (v && vici_ask(v, &stats, c->arena, "stats", NULL, NULL, NULL, NULL, err) == 0 && ike_sas(&sas, v, c, &rules, err) == 0) {
		uptime = vici_get(stats, "uptime");
		json_object_update(ike, sas.daemon);
		json_object_set_new(ike, "since", uptime ? json_string(clean_text(c, vici_value(uptime, "since"))) : json_null());
		json_object_set_new(ike, "main_modes", json_integer(in_state(sas.main, "ESTABLISHED")));
		json_object_set_new(ike, "quick_modes", json_integer(in_state(sas.quick, "INSTALLED")));
		json_object_set_new(ike, "half_open", json_integer(in_state(sas.main, "CONNECTING")));
		queued_set(ike, stats);
		counters_set(ike, ipsec, v, c);
		rc = 0;
	}
	ike_sas_free(&sas);
	ike_rules_free(&rules);
	vici_close(v);
	return rc;
}

/* ---- the kernel ---- */

static json_t *errors_json(void)
{
	FILE *f = fopen(XFRM_STAT, "re");
	json_t *all = f ? json_object() : json_null();
	char line[128], name[64];
	long long value;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[A-Za-z0-9]%*[ \t]%lld", name, &value) == 2)
			json_object_set_new(all, name, json_integer(value));
	if (f)
		fclose(f);
	return all;
}

static void bytes_add(json_t *o, const char *kind, bool in, uint64_t bytes)
{
	char key[48];

	snprintf(key, sizeof(key), "%s_bytes_%s", kind, in ? "in" : "out");
	json_object_set_new(o, key, json_integer(json_integer_value(json_object_get(o, key)) + (json_int_t)(bytes & INT64_MAX)));
}

static void sa_count(json_t *o, const struct xfrm_sa *sa, bool in)
{
	const bool aead = strstr(sa->encryption, "gcm") || strstr(sa->encryption, "ccm") || strstr(sa->encryption, "poly1305");
	const bool confidential = sa->protocol == IPPROTO_ESP && *sa->encryption && !strstr(sa->encryption, "null");

	bytes_add(o, "confidential", in, confidential ? sa->bytes : 0);
	bytes_add(o, "authenticated", in, aead || *sa->integrity ? sa->bytes : 0);
	bytes_add(o, "transport", in, sa->tunnel ? 0 : sa->bytes);
	bytes_add(o, "tunnel", in, sa->tunnel ? sa->bytes : 0);
}

static void error_take(json_t *o, const char *key, const json_t *errors, const char *name)
{
	json_t *v = json_object_get(errors, name);

	if (v)
		json_object_set(o, key, v);
}

/* active_acquire: what the kernel has asked for. */
static int kernel_count(json_t *ike, json_t *ipsec, const json_t *errors, struct cli *c, struct err *err)
{
	json_int_t active = 0, larval = 0, tunnels = 0, bad = 0;
	struct kernel_sas k;

	error_take(ike, "acquire_failures", errors, "XfrmAcquireError");
	error_take(ipsec, "bad_spi_packets", errors, "XfrmInNoStates");
	error_take(ipsec, "not_decrypted_packets", errors, "XfrmInStateProtoError");
	error_take(ipsec, "replayed_packets", errors, "XfrmInStateSeqError");
	if (kernel_sas(&k, c, err) < 0)
		return -1;
	for (size_t i = 0; i < k.n; i++) {
		const struct xfrm_sa *sa = &k.all[i];

		larval += sa->larval;
		if (sa->larval)
			continue;
		active++;
		tunnels += sa->tunnel;
		bad += sa->integrity_failures;
		sa_count(ipsec, sa, kernel_sa_inbound(&k, sa));
	}
	json_object_set_new(ike, "active_acquire", json_integer(larval));
	json_object_set_new(ipsec, "active_associations", json_integer(active));
	json_object_set_new(ipsec, "pending_keys", json_integer(larval));
	json_object_set_new(ipsec, "active_tunnels", json_integer(tunnels));
	json_object_set_new(ipsec, "not_authenticated_packets", json_integer(bad));
	kernel_sas_close(&k);
	return 0;
}

/* ---- the command ---- */

static void numbers_print(struct cli *c, const json_t *o, const struct shown *names, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++)
		if (json_is_integer(json_object_get(o, names[i].key)))
			list_line(out, names[i].name, number_text(c, o, names[i].key, ""));
}

static void ike_print(struct cli *c, const json_t *o, FILE *out)
{
	list_heading(out, "IKE Statistics");
	if (*json_text(o, "daemon"))
		fprintf(out, "%-24s: %s %s, since %s\n", "Daemon", json_text(o, "daemon"), json_text(o, "version"), json_text(o, "since"));
	numbers_print(c, o, ike_names, sizeof(ike_names) / sizeof(ike_names[0]), out);
}

static void ipsec_print(struct cli *c, const json_t *o, const json_t *errors, FILE *out)
{
	const char *key;
	json_t *value;

	list_heading(out, "IPsec Statistics");
	numbers_print(c, o, ipsec_names, sizeof(ipsec_names) / sizeof(ipsec_names[0]), out);
	fputs("(bytes: of the associations that there are now)\n", out);
	list_heading(out, "The kernel's counters of IPsec errors");
	if (json_is_null(errors))
		fputs("none: " XFRM_STAT " is not there\n", out);
	json_object_foreach((json_t *)errors, key, value)
		list_line(out, key, number_text(c, errors, key, ""));
	fputs("Packets by rule: 'nft list table inet ipsecpol' shows the counters.\n", out);
}

int dynamic_show_stats(struct cli *c, const struct netsh_args *a, FILE *out, struct err *err)
{
	const bool all = !netsh_arg(a, "type") || arg_word(a, "type", "all"), with_ike = all || arg_word(a, "type", "ike");
	const bool with_ipsec = all || arg_word(a, "type", "ipsec");
	json_t *ike = json_object(), *ipsec = json_object(), *errors = errors_json();
	struct err charon = { 0 }, kernel = { 0 };
	int rc = 0;

	if (geteuid() != 0) {
		rc = err_set(err, ERR_DENIED, "'dynamic show stats' is for root");
		goto out;
	}
	if (kernel_count(ike, ipsec, errors, c, &kernel) < 0 && kernel.code != ERR_ABSENT)
		rc = -1;
	/* "ReKeys" are charon's. */
	if (charon_count(ike, ipsec, c, &charon) < 0 && with_ike)
		rc = -1;
	*err = kernel.code != ERR_NONE && kernel.code != ERR_ABSENT ? kernel : with_ike ? charon : (struct err){ 0 };
	if (c->json) {
		struct err ignored;

		if (json_print(json_pack("{s:o, s:o, s:O, s:s?}", "ike", with_ike ? json_incref(ike) : json_null(), "ipsec",
		    with_ipsec ? json_incref(ipsec) : json_null(), "ipsec_errors", errors, "problem", rc < 0 ? err->msg : NULL), out, rc < 0 ? &ignored : err) < 0)
			rc = -1;
		goto out;
	}
	if (with_ike)
		ike_print(c, ike, out);
	if (with_ipsec)
		ipsec_print(c, ipsec, errors, out);
	if (with_ipsec && kernel.code == ERR_ABSENT)
		fputs("This kernel has no IPsec.\n", out);
out:
	json_decref(ike);
	json_decref(ipsec);
	json_decref(errors);
	return rc;
}
