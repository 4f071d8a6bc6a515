/* The static context: which function runs which command, and how arguments and objects are
 * found. */
#include "agent/static.h"

#include <string.h>
#include <strings.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/utf.h"

/* ---- objects ---- */

int edit_text_check(const char *text, const char *what, size_t max, struct err *err)
{
	int32_t c;

	if (strlen(text) > max)
		return err_set(err, ERR_LIMIT, "%s is longer than %zu bytes", what, max);
	while ((c = utf8_next(&text)) > 0)
		if (utf8_hidden(c))
			return err_set(err, ERR_FORMAT, "%s holds a control character", what);
	return c < 0 ? err_set(err, ERR_FORMAT, "%s is not UTF-8", what) : 0;
}

int edit_copy(void **ret, struct ipsec_container *c, const void *p, size_t n, size_t size, struct err *err)
{
	void *q = arena_zalloc(c->arena, n, size);

	if (!q)
		return err_nomem(err);
	if (n)
		memcpy(q, p, n * size);
	*ret = q;
	return 0;
}

int edit_strdup(const char **ret, struct ipsec_container *c, const char *s, struct err *err)
{
	char *q = arena_strdup(c->arena, s);

	if (!q)
		return err_nomem(err);
	*ret = q;
	return 0;
}

static size_t name_count(const struct ipsec_container *c, enum object_class class, const char *name, bool damaged, struct ipsec_object **last)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_objects; i++) {
		struct ipsec_object *o = c->objects[i];

		if (o->class != class || o->deleted || (o->damage && !damaged) || !o->name ||
		    !ascii_equal(o->name, name))
			continue;
		*last = o;
		n++;
	}
	return n;
}

int edit_find(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class, const char *name, struct err *err)
{
	struct ipsec_object *last;
	struct err why;

	if (!container_find(ret, c, class, name, err))
		return 0;
	why = *err;
	if (why.code == ERR_FORMAT && name_count(c, class, name, false, &last) > 1)
		return err_set(err, ERR_FORMAT, "%s; the GUID in place of the name tells them apart", why.msg);
	return -1;
}

int edit_find_any(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class, const char *name, struct err *err)
{
	struct ipsec_object *o = NULL;
	struct guid id;

	if (!edit_find(ret, c, class, name, err))
		return 0;
	if (err->code == ERR_NOMEM)
		return -1;
	if (*name == '{' && guid_parse(&id, name, strlen(name)))
		o = container_find_id(c, class, &id);
	else if (name_count(c, class, name, true, &o) != 1)
		return -1;
	if (!o)
		return -1;
	*ret = o;
	return 0;
}

int edit_pick(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class, const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *name = netsh_arg(a, "name"), *id = netsh_arg(a, "guid");
	struct ipsec_object *o;
	char text[GUID_TEXT];

	if (!name == !id)
		return err_set(err, ERR_FORMAT, name ? "name= and guid= are both given: one of them says which" :
		    "name= or guid= is missing");
	if (name)
		return edit_find(ret, c, class, name->text, err);
	o = container_find_id(c, class, &id->guid);
	guid_text(&id->guid, text);
	if (!o)
		return err_set(err, ERR_ABSENT, "there is no %s %s", object_class_name(class), text);
	if (o->damage)
		return err_set(err, ERR_FORMAT, "%s %s cannot be used: %s", object_class_name(class), text, o->damage);
	*ret = o;
	return 0;
}

int edit_name_check(const struct ipsec_container *c, enum object_class class, const char *name, struct err *err)
{
	struct ipsec_object *o;
	struct err ignored;
	struct guid id;

	if (!*name)
		return err_set(err, ERR_FORMAT, "a %s needs a name", object_class_name(class));
	if (edit_text_check(name, "name", STATIC_MAX_NAME, err))
		return -1;
	/* Neither could be said again where a name stands. */
	if (ascii_equal(name, "all") || (*name == '{' && guid_parse(&id, name, strlen(name))))
		return err_set(err, ERR_FORMAT, "'%s' cannot be a name", name);
	if (container_find(&o, c, class, name, &ignored) && ignored.code == ERR_ABSENT)
		return 0;
	return err_set(err, ERR_FORMAT, "%s '%s' exists already", object_class_name(class), name);
}

int edit_texts(const char **ret_name, const char **ret_description, struct ipsec_container *c,
    const struct ipsec_object *o, const struct netsh_args *a, struct err *err)
{
	const char *name = arg_text(a, "newname", NULL), *description = arg_text(a, "description", NULL);

	/* Other letters for the same name are no other name. */
	if (name && !ascii_equal(name, o->name) && edit_name_check(c, o->class, name, err))
		return -1;
	if (name && edit_text_check(name, "name", STATIC_MAX_NAME, err))
		return -1;
	if (description && edit_text_check(description, "description", STATIC_MAX_TEXT, err))
		return -1;
	if (edit_strdup(ret_name, c, name ? name : o->name, err) ||
	    edit_strdup(ret_description, c, description ? description : o->description, err))
		return -1;
	return 0;
}

int edit_unused_check(const struct ipsec_object *o, struct err *err)
{
	char label[OBJECT_LABEL], user[OBJECT_LABEL];
	struct ipsec_object *rule = NULL;

	if (!object_users(o, &rule) || !rule)
		return 0;
	if (!rule->damage && rule->rule.policy)
		return err_set(err, ERR_BUSY, "%s is in use by %s of policy '%s'", object_label(o, label),
		    object_label(rule, user), rule->rule.policy->name);
	return err_set(err, ERR_BUSY, "%s is in use by %s", object_label(o, label), object_label(rule, user));
}

/* ---- commands ---- */

static int examples_restore(struct store_edit *e, struct err *err)
{
	if (e->location != LOCATION_LOCAL)
		return err_set(err, ERR_UNSUPPORTED, "the examples can be restored in the local store only");
	return container_put_examples(e->container, err);
}

int static_edit(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	static edit_command *const commands[N_NETSH_COMMANDS] = {
		[CMD_ADD_POLICY] = edit_policy_add,
		[CMD_SET_POLICY] = edit_policy_set,
		[CMD_DELETE_POLICY] = edit_policy_delete,
		[CMD_ADD_FILTERLIST] = edit_list_add,
		[CMD_SET_FILTERLIST] = edit_list_set,
		[CMD_DELETE_FILTERLIST] = edit_list_delete,
		[CMD_ADD_FILTER] = edit_filter_add,
		[CMD_DELETE_FILTER] = edit_filter_delete,
		[CMD_ADD_FILTERACTION] = edit_action_add,
		[CMD_SET_FILTERACTION] = edit_action_set,
		[CMD_DELETE_FILTERACTION] = edit_action_delete,
		[CMD_ADD_RULE] = edit_rule_add,
		[CMD_SET_RULE] = edit_rule_set,
		[CMD_DELETE_RULE] = edit_rule_delete,
		[CMD_SET_DEFAULTRULE] = edit_default_rule_set,
		[CMD_DELETE_ALL] = edit_all_delete,
	};
	enum netsh_id id = a->command->id;

	if (id == CMD_RESTOREPOLICYEXAMPLES)
		return examples_restore(e, err);
	if ((size_t)id >= N_NETSH_COMMANDS || !commands[id])
		return err_set(err, ERR_UNSUPPORTED, "'%s %s' does not edit a store", a->command->verb, a->command->object);
	return commands[id](e, b, a, err);
}
