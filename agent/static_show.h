/* agent/static_show.h - what the two halves of `show` share.  Private to static_show.c and
 * static_list.c. */
#ifndef AGENT_STATIC_SHOW_H
#define AGENT_STATIC_SHOW_H

#include "agent/static.h"

struct show {
	const struct store_edit	*e;
	struct backend		*b;
	const struct netsh_args	*a;
	struct arena		*arena;		/* for what is printed */
	FILE			*out;
	struct err		*err;
	bool			 json, table, verbose, wide, resolve;
};

/* ---- pieces, for lists and tables; NULL: no memory ---- */
const char *show_yes(bool b);
const char *show_id(struct show *s, const struct ipsec_object *o);
const char *show_name(const struct ipsec_object *o);	/* or what stands for it when it is not there */
const char *show_modified(struct show *s, const struct ipsec_object *o);	/* "": it does not say */
const char *show_address(struct show *s, const struct ipsec_addr *a);
const char *show_ports(struct show *s, const struct ipsec_ports *p);
const char *show_auth(struct show *s, const struct ipsec_rule *r);
const char *show_tunnel(struct show *s, const struct ipsec_rule *r);
/* GPOs of the domain; elsewhere none. */
int show_users(struct show *s, const struct ipsec_object *o, struct gpo_user **gpos, size_t *n);
const char *show_assigned(struct show *s, const struct ipsec_object *o);

/* ---- one object, one line a value; each ends in an empty line ---- */
void show_line(struct show *s, const char *key, const char *value);
void list_filterlist(struct show *s, const struct ipsec_object *o);
void list_filteraction(struct show *s, const struct ipsec_object *o);
void list_rule(struct show *s, const struct ipsec_object *o, size_t number);
void list_policy(struct show *s, const struct ipsec_object *o);

#endif
