/* gpo/container_graph.h - the books of a container: who refers to whom, which object has
 * which DN, GUID and name.  Private to gpo/container*.c.
 *
 * The pointers in struct ipsec_object say the same for sound objects; references of damaged
 * ones are known only here, so that nothing is deleted that they may need. */
#ifndef GPO_CONTAINER_GRAPH_H
#define GPO_CONTAINER_GRAPH_H

#include "gpo/container.h"
#include "gpo/dnset.h"

/* policy -> rule, policy -> main mode, rule -> list, rule -> action */
struct edge {
	struct ipsec_object	*from, *to;
	struct edge		*next, *prev;		/* of those that lead to `to` */
	struct edge		*next_out, *prev_out;	/* of those that come from `from` */
};

struct object_link {
	struct ipsec_container	*c;
	struct edge		*users, *last_user;	/* that lead here */
	struct edge		*out;
	size_t			 n_users;
	size_t			 n_live;	/* of these, from rules that belong to a policy */
	struct ipsec_object	*owner;		/* first policy that refers to this rule or main mode */
	struct ipsec_object	*origin;	/* the one that did when it was read */
	bool			 used;		/* list or action: a rule of a policy referred to it when it was read */
	const char		*indexed;	/* name under which it is found; NULL: not */
	size_t			 slot;		/* of that name */
	struct ipsec_object	*same_next, *same_prev;	/* of that name */
	size_t			 mark;		/* index->mark: was met in this loop */
	/* while changes are made: */
	bool			 modified;	/* its own attributes change */
	bool			 affected;	/* policy: a part of it is modified */
	bool			 reverse;	/* its reverse pointers are looked at */
};

struct container_index {
	struct dir_snapshot	 *snapshot;	/* keeps the entries */
	struct dnset		  dns;		/* of entries */
	struct ipsec_object	**by_dn;
	struct dnset		  names;	/* of keys, see name_key() */
	struct ipsec_object	**by_name;
	size_t			  mark;		/* of the last loop that met objects */
	bool			  nomem;	/* a name could not be put into the index */
	bool			  shared;	/* there was a rule of several policies */
};

/* A new object that is not in c->objects yet; NULL: no memory. */
struct ipsec_object *object_new(struct ipsec_container *c, enum object_class class);
/* All values back to nothing, texts set; it stays where it is. */
int object_reset(struct ipsec_object *o, const char *name, const char *description, struct err *err);
int object_insert(struct ipsec_container *c, struct ipsec_object *o, struct err *err);
int object_cmp(const void *x, const void *y);		/* qsort, of pointers */
/* Deleted ones, too.  NULL: none. */
struct ipsec_object *object_of_id(const struct ipsec_container *c, enum object_class class, const struct guid *id);
struct ipsec_object *object_of_dn(const struct ipsec_container *c, const char *dn);

/* What a reference to this class names; NULL: nothing here. */
struct ipsec_object *object_of_value(const struct ipsec_container *c, const struct dir_value *v, enum object_class class);
int object_usable_check(const struct ipsec_object *o, struct err *err);	/* -1: damaged or deleted; NULL may be used */

int edge_add(struct ipsec_object *from, struct ipsec_object *to, struct err *err);	/* the caller has looked: edge_find is NULL */
struct edge *edge_find(const struct ipsec_object *from, const struct ipsec_object *to);	/* NULL: there is none */
void edge_drop(struct edge *e);
bool object_lives(const struct ipsec_object *rule);	/* a policy refers to it */
/* Sorted into or taken out of policy.rules. */
int policy_rule_add(struct ipsec_object *policy, struct ipsec_object *rule, struct err *err);
void policy_rule_drop(struct ipsec_object *policy, const struct ipsec_object *rule);

void name_index(struct ipsec_object *o);	/* after name, owner or deleted changed */
/* 0: *ret is the first of this name (follow same_next), or NULL; -1: no memory.  policy: of rules. */
int name_find(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class,
    const struct ipsec_object *policy, const char *name, struct err *err);

/* Is it of another policy, in the directory or here?  Then an error. */
int object_owner_check(const struct ipsec_object *o, const struct ipsec_object *policy, struct err *err);
/* "filter list {..} exists already"; 0: may be added.  *ret: a deleted one to be used again, or NULL. */
int object_id_check(struct ipsec_object **ret, const struct ipsec_container *c, enum object_class class,
    const struct guid *id, struct err *err);
/* Adds, or brings back what was deleted; empty but for its texts. */
struct ipsec_object *object_make(struct ipsec_container *c, enum object_class class, const struct guid *id,
    const char *name, const char *description, struct err *err);
void object_drop(struct ipsec_object *o);	/* deleted, and it refers to nothing any more */

/* Takes what no rule needs any more with it. */
void rule_drop(struct ipsec_object *rule);

/* Filters into an array that arena_grow can make larger; their texts stay where they are. */
int list_make_growable(struct ipsec_filter_list *l, struct arena *a, struct err *err);

#endif
