/* gpo/container.h - VALUE: the objects of one IP Security container (what netsh calls a
 * store), typed and editable: policies, their main modes and rules, filter lists and
 * filter actions, assigned or not.  [MS-GPIPSEC] 2.2.1.
 *
 *   entries -> container_read -> edit -> container_changes -> changes for whoever keeps it
 *
 * Objects that cannot be decoded stay in it as they are and are named when somebody wants
 * to use them; what nobody touches is never written.  Names are compared without case
 * (ASCII) and need not be unique: the directory does not see to it. */
#ifndef GPO_CONTAINER_H
#define GPO_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/change.h"
#include "schema/policy.h"
#include "schema/snapshot.h"

struct arena;
struct err;

enum object_class { OBJ_POLICY, OBJ_ISAKMP, OBJ_RULE, OBJ_LIST, OBJ_ACTION, OBJ_N_CLASSES };

struct object_link;

/* All pointers belong to the container's arena; who sets a text takes care that it does. */
struct ipsec_object {
	enum object_class	 class;
	struct guid		 id;
	const char		*dn;			/* in the container, or as it will be */
	const char		*name, *description;	/* ipsecName, description; "" */
	const struct dir_entry	*entry;			/* as it was read; NULL: new */
	const char		*damage;		/* NULL: sound.  Else why it cannot be used or changed, only
							 * deleted; the union is not to be looked at */
	bool			 changed;		/* object_touch() was called */
	bool			 deleted;
	struct object_link	*link;			/* private to container*.c: who refers to whom */
	union {
		struct {
			uint32_t		  polling_seconds;
			struct ipsec_object	 *isakmp;	/* NULL: missing or dangling */
			struct ipsec_object	**rules;	/* in the order of the GUIDs; may be damaged */
			size_t			  n_rules;
			size_t			  n_dangling;	/* references to rules that do not exist; set to 0 they go */
		} policy;
		struct ipsec_isakmp	isakmp;			/* .id is not looked at, here and below */
		struct {
			/* Of it id, name, description, filter_list and negpol are not used: see id, name,
			 * description above, list and action below. */
			struct ipsec_rule	 value;
			struct ipsec_object	*policy;	/* that refers to it; NULL: none does */
			struct ipsec_object	*list;		/* NULL: default response, or dangling */
			struct ipsec_object	*action;	/* NULL: dangling */
			bool			 dangling;	/* a reference to a list or action that does not exist */
		} rule;
		struct ipsec_filter_list list;
		struct ipsec_negpol	 action;
	};
};

struct ipsec_container {
	struct arena		 *arena;
	const char		 *dn;		/* of the container: new objects come below it */
	struct ipsec_object	**objects;	/* by class and GUID; deleted ones stay */
	size_t			  n_objects;
	struct container_index	 *index;	/* private to container*.c */
};

/* Entries that are none of the five classes are left out, but those that show no class (they cannot
 * be read) stay as damaged objects of the class in their name.  Entries are copied.  Of two of one
 * GUID and class the one named after it counts, the other is damaged.  -1: out of memory, or a DN twice. */
int container_read(struct ipsec_container **ret, const char *dn, const struct dir_entry *entries, size_t n, struct err *err);
void container_free(struct ipsec_container *c);		/* NULL: nothing */

const char *object_class_name(enum object_class c);	/* "policy" "main mode" "rule" "filter list" "filter action" */
const char *object_class_ldap(enum object_class c);	/* "ipsecPolicy"... */

/* "filter list 'Web'", or its GUID where it has no name; a long name is cut.  Returns out. */
#define OBJECT_LABEL	160
const char *object_label(const struct ipsec_object *o, char out[static OBJECT_LABEL]);

/* The object of this name that is not deleted.  ERR_ABSENT: none; ERR_FORMAT: several (the message lists their GUIDs),
 * or the one is damaged; *ret is as it was then.
 * A name that is a GUID in braces finds the object of that GUID, too.  "" finds nothing.  Constant
 * time, but for OBJ_RULE, where rules of all policies are looked through. */
int container_find(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class, const char *name, struct err *err);
/* The same among the rules of a policy. */
int container_find_rule(struct ipsec_object **ret, const struct ipsec_object *policy, const char *name, struct err *err);
/* NULL: none, or deleted; may be damaged. */
struct ipsec_object *container_find_id(const struct ipsec_container *c, enum object_class class, const struct guid *id);

/* A new policy, list or action, empty but for class, id, dn and texts (copied); no text in its value is NULL.  A
 * policy comes with a main mode of the GUID main_mode_id, both without values: the caller fills them.  main_mode_id
 * of other classes: not looked at, may be NULL.  ERR_UNSUPPORTED: a rule (container_add_rule) or main mode; ERR_FORMAT:
 * id is taken, a deleted object's is not.  NULL: error, *err says which. */
struct ipsec_object *container_add(struct ipsec_container *c, enum object_class class, const struct guid *id, const struct guid *main_mode_id,
    const char *name, const char *description, struct err *err);
/* A new rule of a policy: list NULL is the default response. */
struct ipsec_object *container_add_rule(struct ipsec_container *c, struct ipsec_object *policy, const struct guid *id, const char *name,
    const char *description, struct ipsec_object *list, struct ipsec_object *action, struct err *err);
/* A filter at the end of a list, texts copied.  (list.filters may also be grown with arena_grow.) */
int container_add_filter(struct ipsec_container *c, struct ipsec_object *list, const struct ipsec_filter *f, struct err *err);
/* After any change of fields, before the next call on this container: marks it to be written, and it is found under
 * its new name.  Out of memory shows in the next container_find. */
void object_touch(struct ipsec_object *o);
/* Sets rule.list and .action (NULL: as it is) and keeps the books. */
int object_refer(struct ipsec_object *rule, struct ipsec_object *list, struct ipsec_object *action, struct err *err);
/* A policy goes with its main mode and rules, and with the filter actions of default response
 * rules that nobody else uses; a rule leaves its policy.  Lists, actions and main modes in use:
 * ERR_BUSY, and the message names who uses it.  0 also when it is deleted already. */
int object_delete(struct ipsec_object *o, struct err *err);
/* Rules of policies that refer to this list or action; constant time.  (A rule that no policy refers to
 * is nobody's: it neither counts nor keeps anything.)  first: NULL, or where to put one of them. */
size_t object_users(const struct ipsec_object *o, struct ipsec_object **first);

/* The policy with all that hangs on it, as an agent would get it; ERR_ABSENT for dangling
 * references, ERR_FORMAT naming the damaged object.  It passed policy_check.  The caller frees *ret (policy_free);
 * nothing in it points into c. */
int container_policy(struct ipsec_policy **ret, const struct ipsec_container *c, const struct ipsec_object *policy, struct err *err);
/* Takes a whole policy over: objects of equal GUID are replaced, also damaged ones; new ones added;
 * what the policy had and has no more is deleted, but for lists and actions of filters.  ERR_FORMAT: a
 * rule or the main mode is of another policy.  On error nothing is changed, unless memory ran out. */
int container_put_policy(struct ipsec_container *c, const struct ipsec_policy *p, struct err *err);

/* What was changed, in an order in which every policy that is complete before stays complete
 * all the time, or becomes what it is to be in one step:
 *   1. new lists, actions, main modes and rules
 *   2. what is modified in old ones
 *   3. policies, new and modified
 *   4. reverse pointers (ipsecOwnersReference) to what exists by now
 *   5. policies that go
 *   6. reverse pointers to rules that go
 *   7. the rules, main modes, actions and lists that go
 * A policy of which only a part changed is rewritten too, behind it, so that
 * its whenChanged moves: agents look at no other.  Nothing changed: *ret_n is 0.
 * What is to be written is checked first, object by object.  ERR_UNSUPPORTED: an action that rules use would
 * turn from filters to default response or back, which cannot be done in one step.  c's objects stay as they are
 * (only its bookkeeping is used): after the changes were applied it has to be read again.  The result lives in
 * `a` alone. */
int container_changes(struct dir_change **ret, size_t *ret_n, struct arena *a, struct ipsec_container *c, struct err *err);

/* The three examples that come with Windows ("Client (Respond Only)", "Server (Request
 * Security)", "Secure Server (Require Security)") with their lists and actions and their well-known
 * GUIDs; what is there under these GUIDs is replaced. */
int container_put_examples(struct ipsec_container *c, struct err *err);

#endif
