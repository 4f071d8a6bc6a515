/* add, set and delete of filter actions. */
#include "agent/static.h"

#include <string.h>

#include "agent/random.h"
#include "schema/arena.h"
#include "schema/err.h"

static enum ipsec_action action_read(const struct netsh_args *a, enum ipsec_action otherwise)
{
	for (int i = IPSEC_PERMIT; i <= IPSEC_NEGOTIATE; i++)
		if (arg_word(a, "action", ipsec_action_name((enum ipsec_action)i)))
			return (enum ipsec_action)i;
	return otherwise;
}

/* What only negotiating makes sense with: yes is an error elsewhere, never silently nothing. */
static int flags_read(struct ipsec_negpol *n, const struct netsh_args *a, struct err *err)
{
	static const char *const tags[] = { "qmpfs", "inpass", "soft" };

	for (size_t i = 0; i < 3 && n->action != IPSEC_NEGOTIATE; i++)
		if (arg_yes(a, tags[i], false))
			return err_set(err, ERR_FORMAT, "%s=yes needs action=negotiate", tags[i]);
	n->pfs = arg_yes(a, "qmpfs", n->pfs);
	n->inpass = arg_yes(a, "inpass", n->inpass);
	n->soft = arg_yes(a, "soft", n->soft);
	return 0;
}

/* The line's offers, the default ones when the action begins to negotiate without. */
static int offers_read(struct ipsec_negpol *n, struct ipsec_container *c, const struct netsh_args *a, struct err *err)
{
	static const struct ipsec_offer ours[] = {
		{ .has_esp = true, .esp_encryption = IPSEC_CIPHER_3DES, .esp_integrity = IPSEC_HASH_SHA1,
		  .life_seconds = POLICY_QM_LIFE_DEFAULT, .life_kbytes = POLICY_QM_KB_DEFAULT },
		{ .has_esp = true, .esp_encryption = IPSEC_CIPHER_3DES, .esp_integrity = IPSEC_HASH_MD5,
		  .life_seconds = POLICY_QM_LIFE_DEFAULT, .life_kbytes = POLICY_QM_KB_DEFAULT },
	};
	const struct netsh_value *v = netsh_arg(a, "qmsecmethods");
	const struct ipsec_offer *offers = v ? v->qm : ours;
	size_t count = v ? v->n : sizeof(ours) / sizeof(ours[0]);
	void *copy;

	if (n->action != IPSEC_NEGOTIATE) {
		n->offers = NULL;
		n->n_offers = 0;
		n->inpass = n->soft = n->pfs = false;
		return 0;
	}
	if (!v && n->n_offers)
		return 0;
	if (edit_copy(&copy, c, offers, count, sizeof(*offers), err))
		return -1;
	n->offers = copy;
	n->n_offers = count;
	return 0;
}

int edit_action_add(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	const char *name = arg_text(a, "name", ""), *description = arg_text(a, "description", "");
	struct ipsec_negpol n = { .action = action_read(a, IPSEC_NEGOTIATE) };
	struct ipsec_object *o;
	struct guid id;

	(void)b;
	if (edit_name_check(c, OBJ_ACTION, name, err) ||
	    edit_text_check(description, "description", STATIC_MAX_TEXT, err) ||
	    flags_read(&n, a, err) || offers_read(&n, c, a, err) || guid_random(&id, err))
		return -1;
	o = container_add(c, OBJ_ACTION, &id, NULL, name, description, err);
	if (!o)
		return -1;
	o->action = n;
	object_touch(o);
	return 0;
}

int edit_action_set(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	struct ipsec_object *o;
	const char *name, *description;
	struct ipsec_negpol n;

	(void)b;
	if (edit_pick(&o, c, OBJ_ACTION, a, err))
		return -1;
	n = o->action;
	if (n.default_response)
		return err_set(err, ERR_FORMAT, "that is the filter action of a default response rule: use set defaultrule");
	n.action = action_read(a, n.action);
	if (netsh_arg(a, "qmsecmethods") && n.action != IPSEC_NEGOTIATE && !netsh_arg(a, "action"))
		return err_set(err, ERR_FORMAT, "filter action '%s' does not negotiate: qmsecmethods= needs action=negotiate", o->name);
	if (edit_texts(&name, &description, c, o, a, err) || flags_read(&n, a, err) || offers_read(&n, c, a, err))
		return -1;
	o->name = name;
	o->description = description;
	o->action = n;
	object_touch(o);
	return 0;
}

/* `all` leaves what default response rules use: they go with their policies. */
static bool stays(const struct ipsec_object *o)
{
	struct ipsec_object *rule;

	if (o->class != OBJ_ACTION || o->deleted)
		return true;
	return !o->damage && o->action.default_response && object_users(o, &rule) > 0;
}

int edit_action_delete(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	struct ipsec_object *o;

	(void)b;
	if (!arg_yes(a, "all", false))
		return edit_find_any(&o, c, OBJ_ACTION, arg_text(a, "name", ""), err) || edit_unused_check(o, err) ?
		    -1 : object_delete(o, err);
	for (size_t i = 0; i < c->n_objects; i++)
		if (!stays(c->objects[i]) && edit_unused_check(c->objects[i], err))
			return -1;
	for (size_t i = 0; i < c->n_objects; i++)
		if (!stays(c->objects[i]) && object_delete(c->objects[i], err))
			return -1;
	return 0;
}
