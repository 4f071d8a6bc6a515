/* The RSoP for people and for programs. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gpo/rsop.h"
#include "gpo/rsop_text.h"
#include "schema/arena.h"
#include "schema/utf.h"

/* ---- text: names are hostile ---- */

static void put_safe(FILE *out, const char *s)
{
	utf8_write(out, s, "");
}

static void put_guid(FILE *out, const struct guid *g)
{
	char text[GUID_TEXT];

	guid_text(g, text);
	fputs(text, out);
}

void rsop_put_object(FILE *out, const char *name, const struct guid *id, const char *dn)
{
	if (*name) {
		fputc('\'', out);
		put_safe(out, name);
		fputs("' ", out);
	}
	if (guid_is_zero(id))
		put_safe(out, dn);
	else
		put_guid(out, id);
}

static const char *site_source(const char *from)
{
	static const struct { const char *from, *text; } sources[] = {
		{ "ping", "told by the domain controller" },
		{ "subnet", "of the subnet of an own address" },
		{ "configured", "configured" },
		{ "default", "configured default" },
	};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		if (!strcmp(from, sources[i].from))
			return sources[i].text;
	return from;
}

static void write_subject(const struct gp_rsop *r, FILE *out)
{
	fputs("Computer  ", out);
	put_safe(out, r->computer);
	fputs("  ", out);
	put_safe(out, r->computer_dn);
	fputs("\nDomain    ", out);
	put_safe(out, r->domain);
	fputs("\nSite      ", out);
	if (*r->site) {
		put_safe(out, r->site);
		fprintf(out, " (%s)\n", site_source(r->site_from));
	} else {
		fputs("none", out);
		if (*r->site_note) {
			fputs(" (", out);
			put_safe(out, r->site_note);
			fputc(')', out);
		}
		fputc('\n', out);
	}
	if (*r->token_from)
		fprintf(out, "Token     %zu SIDs (%s)\n", r->n_token, r->token_from);
	else
		fputs("Token     not needed: no GPO carries access rights\n", out);
}

static void write_soms(const struct gp_rsop *r, FILE *out)
{
	fputs("\nContainers above the computer, nearest first:\n", out);
	for (size_t i = 0; i < r->n_soms; i++) {
		const struct gp_som *som = &r->soms[i];

		fprintf(out, "  %-6s  ", gp_som_type_name(som->type));
		put_safe(out, som->dn);
		fprintf(out, "  (%zu link%s%s", som->n_links, som->n_links == 1 ? "" : "s",
		    som->block_inheritance ? ", blocks inheritance" : "");
		if (som->n_malformed)
			fprintf(out, ", %zu malformed left out", som->n_malformed);
		fputs(")\n", out);
	}
}

static void write_gpos(const struct gp_rsop *r, FILE *out)
{
	if (!r->n_gpos) {
		fputs("\nNo GPO is linked to any of them.\n", out);
		return;
	}
	fputs("\nLinked GPOs, strongest first; the first that applies assigns the policy:\n", out);
	for (size_t i = r->n_gpos; i-- > 0;) {
		const struct gp_gpo *g = &r->gpos[i];

		fprintf(out, "%s %-18s  ", g == r->winner ? "=>" : "  ", gp_verdict_name(g->verdict));
		rsop_put_object(out, g->name, &g->id, g->dn);
		fprintf(out, "\n   %-18s  linked %sat ", "", g->enforced ? "and enforced " : "");
		put_safe(out, g->som->dn);
		if (*g->note) {
			fprintf(out, "\n   %-18s  ", "");
			put_safe(out, g->note);
		}
		fputc('\n', out);
	}
}

int rsop_write(const struct gp_rsop *r, FILE *out)
{
	write_subject(r, out);
	write_soms(r, out);
	write_gpos(r, out);
	fputs("\nAssigned: ", out);
	switch (r->assignment) {
	case GP_ASSIGNED:
		fputs("policy ", out);
		rsop_put_object(out, r->policy_name, &r->policy_id, r->policy_dn);
		fputs(" by GPO ", out);
		rsop_put_object(out, r->winner->name, &r->winner->id, r->winner->dn);
		fputc('\n', out);
		break;
	case GP_NONE:
		fputs("nothing; no linked GPO that applies carries an IPsec policy\n", out);
		break;
	case GP_UNKNOWN:
		fputs("unknown; ", out);
		if (r->winner) {
			fputs("GPO ", out);
			rsop_put_object(out, r->winner->name, &r->winner->id, r->winner->dn);
			fputs(" decides, but ", out);
		}
		put_safe(out, r->reason);
		fputc('\n', out);
		break;
	}
	return ferror(out) ? -1 : 0;
}

/* ---- JSON ---- */

struct json_t *rsop_json_text(const char *s)
{
	json_t *json = NULL;
	char *copy, *p;

	if (utf8_valid(s))
		return json_string(s);
	copy = malloc(3 * strlen(s) + 1);
	if (!copy)
		return NULL;
	for (p = copy; *s;) {
		int32_t c = utf8_next(&s);

		if (c < 0)
			s++;
		p += utf8_put(p, c < 0 ? 0xfffd : c);
	}
	*p = '\0';
	json = json_string(copy);
	free(copy);
	return json;
}

struct json_t *rsop_json_guid(const struct guid *g)
{
	char text[GUID_TEXT];

	guid_text(g, text);
	return json_string(text);
}

/* Consumes value; -1: no memory. */
static int put(json_t *to, const char *key, json_t *value)
{
	return json_object_set_new(to, key, value);
}

static json_t *gpo_json(const struct gp_gpo *g)
{
	json_t *j = json_object();

	if (!j || put(j, "id", rsop_json_guid(&g->id)) || put(j, "dn", rsop_json_text(g->dn)) ||
	    put(j, "name", rsop_json_text(g->name)) || put(j, "som", rsop_json_text(g->som->dn)) ||
	    put(j, "som_type", json_string(gp_som_type_name(g->som->type))) ||
	    put(j, "enforced", json_boolean(g->enforced)) ||
	    put(j, "verdict", json_string(gp_verdict_name(g->verdict))) ||
	    put(j, "note", rsop_json_text(g->note))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static json_t *som_json(const struct gp_som *som)
{
	json_t *j = json_object();

	if (!j || put(j, "dn", rsop_json_text(som->dn)) ||
	    put(j, "type", json_string(gp_som_type_name(som->type))) ||
	    put(j, "block_inheritance", json_boolean(som->block_inheritance)) ||
	    put(j, "malformed_links", json_integer((json_int_t)som->n_malformed))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static json_t *policy_json_of(const struct gp_rsop *r)
{
	json_t *j;

	if (r->assignment != GP_ASSIGNED)
		return json_null();
	j = json_object();
	if (!j || put(j, "dn", rsop_json_text(r->policy_dn)) || put(j, "id", rsop_json_guid(&r->policy_id)) ||
	    put(j, "name", rsop_json_text(r->policy_name))) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static int put_lists(json_t *j, const struct gp_rsop *r)
{
	json_t *gpos = json_array(), *soms = json_array();
	int bad = !gpos || !soms;

	for (size_t i = 0; !bad && i < r->n_soms; i++)
		bad = json_array_append_new(soms, som_json(&r->soms[i]));
	for (size_t i = 0; !bad && i < r->n_gpos; i++)
		bad = json_array_append_new(gpos, gpo_json(&r->gpos[i]));
	if (put(j, "soms", soms))
		bad = 1;
	if (put(j, "gpos", gpos))
		bad = 1;
	return bad;
}

struct json_t *rsop_json(const struct gp_rsop *r)
{
	json_t *j = json_object();

	if (!j || put(j, "computer", rsop_json_text(r->computer)) ||
	    put(j, "computer_dn", rsop_json_text(r->computer_dn)) ||
	    put(j, "domain", rsop_json_text(r->domain)) || put(j, "site", rsop_json_text(r->site)) ||
	    put(j, "site_from", json_string(r->site_from)) || put(j, "site_note", rsop_json_text(r->site_note)) ||
	    put(j, "token_from", json_string(r->token_from)) ||
	    put(j, "assignment", json_string(gp_assignment_name(r->assignment))) ||
	    put(j, "reason", rsop_json_text(r->reason)) || put(j, "policy", policy_json_of(r)) ||
	    put(j, "winner", r->winner ? rsop_json_guid(&r->winner->id) : json_null()) ||
	    put_lists(j, r)) {
		json_decref(j);
		return NULL;
	}
	return j;
}
