/* What of a refresh's result is kept with a generation. */
#include "agent/refresh_parts.h"

#include <stdlib.h>
#include <string.h>

#include "agent/refresh.h"
#include "schema/arena.h"
#include "schema/facts.h"

#define MAX_DCS		8	/* that answered lately */
#define MAX_NAME	256	/* bytes of a GPO's name that are kept */

/* Kept with a generation; a change in one of CAUSES makes a new one. */
static const char *const causes[] = { "policy", "gpo", "gpo-name", "facts", "hints", "site", "rsop.json" };
static const char *const kept[] = { "policy", "gpo", "gpo-name", "facts", "hints", "site", "rsop.json", "rsop", "snapshot", "server" };

const char *part_text(const struct gen_part *parts, size_t n, const char *name)
{
	const struct gen_part *p = part_find(parts, n, name);

	return p ? p->text : "";
}

/* The domain controllers in use: of a kept generation its "facts", of a worker's result the
 * one that authenticated.  Not all that DNS names: a forged answer would open the lifeline. */
static int dcs_of(struct host_facts **ret, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	const struct gen_part *part = part_find(parts, n_parts, "facts");
	const char *address = part_text(parts, n_parts, "address");
	struct host_facts *f;
	struct ip_addr addr;

	if (part)
		return facts_read(ret, part->text, part->len, err) < 0 ? err_prefix(err, "facts") : 0;
	f = facts_new();
	if (!f)
		return err_nomem(err);
	if (ip_addr_read(&addr, address) && facts_add(f, FACT_DC, &addr, err) < 0) {
		facts_free(f);
		return -1;
	}
	*ret = f;
	return 0;
}

int refresh_facts(struct host_facts **ret, const struct host_facts *found, const struct gen_part *parts, size_t n_parts, struct err *err)
{
	struct host_facts *f = NULL;

	if (dcs_of(&f, parts, n_parts, err) < 0)
		return -1;
	for (int k = 0; k < N_FACTS && found; k++) {
		for (size_t i = 0; i < found->n_addrs[k]; i++) {
			if (facts_add(f, k, &found->addrs[k][i], err) < 0) {
				facts_free(f);
				return -1;
			}
		}
	}
	*ret = f;
	return 0;
}

/* They as the part that is kept, and with them those that were in use before: the host
 * must find another one when this one is gone. */
static int facts_part(struct gen_part *ret, struct arena *a, const struct gen_part *parts, size_t n_parts, const struct generation *old, struct err *err)
{
	struct host_facts *f = NULL, *before = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int rc = -1;

	if (dcs_of(&f, parts, n_parts, err) < 0 || dcs_of(&before, old->parts, old->n_parts, err) < 0) {
		facts_free(f);
		return -1;
	}
	for (size_t i = 0; i < before->n_addrs[FACT_DC] && f->n_addrs[FACT_DC] < MAX_DCS; i++)
		if (facts_add(f, FACT_DC, &before->addrs[FACT_DC][i], err) < 0)
			goto out;
	out = open_memstream(&text, &len);
	if (out && facts_write(f, out) == 0)
		rc = 0;
	if (out && fclose(out) != 0)
		rc = -1;
	ret->name = "facts";
	ret->text = rc == 0 ? arena_strndup(a, text, len) : NULL;
	ret->len = len;
	rc = ret->text ? 0 : err_nomem(err);
out:
	free(text);
	facts_free(before);
	facts_free(f);
	return rc;
}

bool same_part(const struct gen_part *x, const struct gen_part *y)
{
	if (!x || !y)
		return x == y;
	return x->len == y->len && !memcmp(x->text, y->text, x->len);
}

bool same_generation(const struct generation *g, const struct gen_part *parts, size_t n)
{
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		if (!same_part(generation_part(g, causes[i]), part_find(parts, n, causes[i])))
			return false;
	return true;
}

/* What of the result is kept: known parts, names of bounded length, facts derived. */
int pick_parts(struct gen_part **ret, size_t *ret_n, struct arena *a, const struct gen_part *parts, size_t n_parts, const struct generation *old, struct err *err)
{
	struct gen_part *out = arena_zalloc(a, sizeof(kept) / sizeof(kept[0]), sizeof(*out));
	const struct gen_part *p;
	size_t n = 0;

	if (!out)
		return err_nomem(err);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (!strcmp(kept[i], "facts")) {
			if (facts_part(&out[n++], a, parts, n_parts, old, err) < 0)
				return -1;
			continue;
		}
		p = part_find(parts, n_parts, kept[i]);
		if (!p)
			continue;
		out[n] = *p;
		if (!strcmp(kept[i], "gpo-name") && p->len > MAX_NAME) {
			out[n].text = arena_strndup(a, p->text, MAX_NAME);
			out[n].len = MAX_NAME;
			if (!out[n].text)
				return err_nomem(err);
		}
		n++;
	}
	*ret = out;
	*ret_n = n;
	return 0;
}
