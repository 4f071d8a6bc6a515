#include "agent/diag_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "agent/log.h"

#define LINE	640

/* ---- one drop as an event ---- */

/* "'name' {id}" */
static void named(char *out, size_t size, const char *name, const struct guid *id)
{
	char text[GUID_TEXT];

	*out = '\0';
	if (guid_is_zero(id))
		return;
	guid_text(id, text);
	if (*name)
		snprintf(out, size, "'%s' %s", name, text);
	else
		snprintf(out, size, "%s", text);
}

static const char *why_text(const struct diag_drop *d)
{
	return d->kind == DROP_BLOCK ? "blocked" : d->kind == DROP_CLEAR ? "in clear where protection is demanded" :
	    "the mode drops what it does not know";
}

static void drop_text(char out[static LINE], const struct diag_drop *d)
{
	FILE *f = fmemopen(out, LINE, "w");

	*out = '\0';
	if (!f)
		return;
	diag_packet_write(d, f);
	fclose(f);
	out[LINE - 1] = '\0';
}

void diag_drop_log(const struct diag_drop *d)
{
	char protocol[16], src[DIAG_ADDR], dst[DIAG_ADDR], sport[8], dport[8], line[LINE];
	char filter[GUID_TEXT] = "", rule[DIAG_NAME + GUID_TEXT + 4] = "", gpo[DIAG_NAME + GUID_TEXT + 4] = "";
	const char *fields[2 * LOG_MAX_FIELDS + 1];
	size_t n = 0;
	const struct { const char *name, *value; } all[] = {
		{ "DIRECTION", diag_direction(d) }, { "PROTOCOL", protocol }, { "SRC", src }, { "DST", dst },
		{ "SPORT", d->ports ? sport : "" }, { "DPORT", d->ports ? dport : "" }, { "INTERFACE", d->interface },
		{ "FILTER", filter }, { "RULE", rule }, { "GPO", gpo },
		{ "STORE", d->decided ? render_store_name((enum render_store)d->origin.store) : "" },
		{ "POLICY", d->policy }, { "WHY", diag_why(d) },
	};

	diag_protocol(d, protocol);
	diag_addr(d, d->src, src);
	diag_addr(d, d->dst, dst);
	snprintf(sport, sizeof(sport), "%u", d->sport);
	snprintf(dport, sizeof(dport), "%u", d->dport);
	if (d->decided) {
		guid_text(&d->origin.filter, filter);
		named(rule, sizeof(rule), d->rule, &d->origin.rule);
		named(gpo, sizeof(gpo), d->gpo, &d->origin.gpo);
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!*all[i].value)
			continue;
		fields[n++] = all[i].name;
		fields[n++] = all[i].value;
	}
	fields[n] = NULL;
	drop_text(line, d);
	log_event(LOG_INFO, "drop", fields, "dropped: %s: %s%s%s%s%s%s%s%s%s%s", line, why_text(d),
	    d->decided ? ", filter " : "", filter, *rule ? " of rule " : "", rule, *gpo ? " by GPO " : "", gpo,
	    d->decided ? " (" : "", d->decided ? render_store_name((enum render_store)d->origin.store) : "", d->decided ? ")" : "");
}

/* ---- for who asks ---- */

static json_t *origin_json(const struct diag_drop *d)
{
	char filter[GUID_TEXT], rule[GUID_TEXT], gpo[GUID_TEXT];
	const bool by_gpo = d->decided && !guid_is_zero(&d->origin.gpo);

	guid_text(&d->origin.filter, filter);
	guid_text(&d->origin.rule, rule);
	guid_text(&d->origin.gpo, gpo);
	return json_pack("{s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?}",
	    "filter", d->decided ? filter : NULL, "rule", d->decided ? rule : NULL, "rule_name", *d->rule ? d->rule : NULL,
	    "gpo", by_gpo ? gpo : NULL, "gpo_name", *d->gpo ? d->gpo : NULL,
	    "store", d->decided ? render_store_name((enum render_store)d->origin.store) : NULL,
	    "policy", *d->policy ? d->policy : NULL);
}

struct json_t *diag_drop_json(const struct diag_drop *d)
{
	char protocol[16], src[DIAG_ADDR], dst[DIAG_ADDR], stamp[48], when[32];
	const time_t t = (time_t)(d->time_us / 1000000);
	struct tm tm = { 0 };
	json_t *j, *origin = origin_json(d);

	gmtime_r(&t, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp, sizeof(stamp), "%s.%06dZ", when, (int)(d->time_us % 1000000));
	diag_protocol(d, protocol);
	diag_addr(d, d->src, src);
	diag_addr(d, d->dst, dst);
	j = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s}",
	    "number", (json_int_t)d->number, "time", stamp, "direction", diag_direction(d), "protocol", protocol,
	    "src", src, "dst", dst, "sport", d->ports ? json_integer(d->sport) : json_null(),
	    "dport", d->ports ? json_integer(d->dport) : json_null(), "interface", d->interface, "why", diag_why(d));
	if (j && json_object_update(j, origin) < 0) {
		json_decref(j);
		j = NULL;
	}
	json_decref(origin);
	return j;
}

/* ---- summaries ---- */

void diag_top_text(const struct diag_tally *t, char *out, size_t size)
{
	const struct diag_count *top[DIAG_TOP];
	const size_t n = diag_tally_top(t, top);
	char id[GUID_TEXT];
	size_t len = 0;

	*out = '\0';
	for (size_t i = 0; i < n && len < size; i++) {
		guid_text(&top[i]->origin.filter, id);
		len += (size_t)snprintf(out + len, size - len, "%s%" PRIu64 " by filter %s%s%s%s", i ? ", " : "; most: ", top[i]->n, id,
		    *top[i]->rule ? " of rule '" : "", top[i]->rule, *top[i]->rule ? "'" : "");
	}
}
