/* The SIDs of the computer: its own, its groups', and those that every account has.
 * [MS-ADTS] 3.1.1.4.5.19 (tokenGroups); computed where the directory does not. */
#include "gpo/walk.h"

#include <string.h>

#include "gpo/ask.h"
#include "schema/arena.h"
#include "schema/err.h"

int walk_add_sid(struct gp_walk *w, const struct sid *sid, struct err *err)
{
	struct sid *grown;

	for (size_t i = 0; i < w->n_token; i++)
		if (sid_equal(&w->token[i], sid))
			return 0;
	if (w->n_token == WALK_SIDS_MAX)
		return err_set(err, ERR_LIMIT, "%s is in more than %d groups", w->who->computer, WALK_SIDS_MAX);
	grown = arena_grow(w->a, w->token, w->n_token, sizeof(*grown));
	if (!grown)
		return err_nomem(err);
	w->token = grown;
	w->token[w->n_token++] = *sid;
	return 0;
}

bool walk_own_sid(struct sid *ret, const struct dir_entry *e)
{
	const struct dir_value *v = entry_value(e, "objectSid");

	return v && sid_parse(ret, v->p, v->len);
}

bool walk_primary_group(struct sid *ret, const struct gp_walk *w)
{
	struct sid self;
	int64_t rid;

	return walk_own_sid(&self, w->computer) && entry_int(w->computer, "primaryGroupID", &rid) == 1 &&
	    rid >= 0 && rid <= UINT32_MAX && sid_with_rid(ret, &self, (uint32_t)rid);
}

/* S-1-5-18 is not among them: SYSTEM is not in the token that a DC makes. */
int walk_own_sids(struct gp_walk *w, struct err *err)
{
	static const struct sid everyone = { { 0, 0, 0, 0, 0, 1 }, 1, { 0 } };
	static const struct sid authenticated = { { 0, 0, 0, 0, 0, 5 }, 1, { 11 } };
	struct sid sid;

	if (walk_add_sid(w, &everyone, err) < 0 || walk_add_sid(w, &authenticated, err) < 0)
		return -1;
	if (walk_own_sid(&sid, w->computer) && walk_add_sid(w, &sid, err) < 0)
		return -1;
	return walk_primary_group(&sid, w) ? walk_add_sid(w, &sid, err) : 0;
}

static int add_attr(struct gp_walk *w, const struct dir_attr *attr, struct err *err)
{
	struct sid sid;

	for (size_t i = 0; attr && i < attr->n_values; i++) {
		if (!sid_parse(&sid, attr->values[i].p, attr->values[i].len))
			return err_set(err, ERR_FORMAT, "%s: a value is not a SID", attr->name);
		if (walk_add_sid(w, &sid, err) < 0)
			return -1;
	}
	return 0;
}

/* The root DSE tells the token of whoever is bound: it must be the computer
 * itself, or somebody else would lend it his groups. */
bool walk_root_is_self(const struct gp_walk *w)
{
	const struct dir_attr *groups = w->root ? entry_attr(w->root, "tokenGroups") : NULL;
	const struct dir_value *self = entry_value(w->computer, "objectSid");

	for (size_t i = 0; self && groups && i < groups->n_values; i++)
		if (groups->values[i].len == self->len && !memcmp(groups->values[i].p, self->p, self->len))
			return true;
	return false;
}

static int token_of_computer(struct gp_walk *w, struct err *err)
{
	const struct dir_query q = { w->computer_dn, DIR_BASE, ASK_ANY, ask_token_attrs, 0 };
	const struct dir_attr *groups = NULL;
	const struct dir_search *answer;

	if (walk_ask(w, &q, &answer))
		return 1;
	if (walk_held(answer, err) < 0)
		return -1;
	if (answer->n_entries) {
		groups = entry_attr(&answer->entries[0], "tokenGroups");
		if (!groups || !groups->n_values)
			groups = entry_attr(&answer->entries[0], "tokenGroupsNoGCAcceptable");
	}
	/* Every account has its primary group at least. */
	if (!groups || !groups->n_values)
		return err_set(err, ERR_DENIED, "'%s': the groups (tokenGroups) may not be read", w->computer_dn);
	w->token_from = "computer";
	return add_attr(w, groups, err);
}

int walk_token(struct gp_walk *w, struct err *err)
{
	const struct dir_attr *groups = w->root ? entry_attr(w->root, "tokenGroups") : NULL;

	if (walk_own_sids(w, err) < 0)
		return -1;
	if (walk_root_is_self(w)) {
		w->token_from = "rootDSE";
		return add_attr(w, groups, err);
	}
	return w->ad ? token_of_computer(w, err) : walk_groups(w, err);
}
