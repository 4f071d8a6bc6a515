/* add, set and delete of filter lists and filters. */
#include "agent/static.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "agent/random.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

bool list_is_mirrored(const struct ipsec_object *list)
{
	for (size_t i = 0; i < list->list.n_filters; i++)
		if (list->list.filters[i].mirrored)
			return true;
	return false;
}

/* ---- addresses ---- */

static int addr_order(const void *x, const void *y)
{
	const struct ipsec_addr *a = x, *b = y;

	return a->family != b->family ? (a->family == AF_INET ? -1 : 1) : memcmp(a->lo, b->lo, sizeof(a->lo));
}

static size_t addrs_unique(struct ipsec_addr *addrs, size_t n)
{
	size_t kept = 0;

	qsort(addrs, n, sizeof(*addrs), addr_order);
	for (size_t i = 0; i < n; i++)
		if (!kept || addr_order(&addrs[kept - 1], &addrs[i]))
			addrs[kept++] = addrs[i];
	return kept;
}

static bool addr_of(struct ipsec_addr *ret, const struct addrinfo *ai)
{
	uint8_t b[16] = { 0 };

	if (ai->ai_family == AF_INET)
		memcpy(b, &((const struct sockaddr_in *)(const void *)ai->ai_addr)->sin_addr, 4);
	else if (ai->ai_family == AF_INET6)
		memcpy(b, &((const struct sockaddr_in6 *)(const void *)ai->ai_addr)->sin6_addr, 16);
	else
		return false;
	return ipsec_addr_net(ret, (uint8_t)ai->ai_family, b, ipsec_addr_bits((uint8_t)ai->ai_family));
}

int host_lookup(struct ipsec_addr **ret, size_t *ret_n, struct arena *a, const char *host, const char *tag, struct err *err)
{
	/* One answer an address, not one a socket type. */
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	struct ipsec_addr *addrs = NULL;
	size_t n = 0;
	int rc = getaddrinfo(host, NULL, &hints, &list);

	if (rc)
		return err_set(err, rc == EAI_MEMORY ? ERR_NOMEM : ERR_ABSENT, "'%s': '%s' was not found: %s", tag, host, gai_strerror(rc));
	addrs = arena_zalloc(a, STATIC_MAX_ADDRESSES, sizeof(*addrs));
	rc = addrs ? 0 : err_nomem(err);
	for (const struct addrinfo *ai = list; ai && !rc; ai = ai->ai_next)
		if (n == STATIC_MAX_ADDRESSES)
			rc = err_set(err, ERR_LIMIT, "'%s': '%s' has more than %d addresses", tag, host, STATIC_MAX_ADDRESSES);
		else if (addr_of(&addrs[n], ai))
			n++;
	freeaddrinfo(list);
	if (rc)
		return -1;
	if (!n)
		return err_set(err, ERR_ABSENT, "'%s': '%s' has no address", tag, host);
	*ret = addrs;
	*ret_n = addrs_unique(addrs, n);
	return 0;
}

/* Narrows or widens one address to what the mask says. */
static int mask_apply(struct ipsec_addr *addr, const struct netsh_value *v, const struct netsh_value *mask, const char *mask_tag, struct err *err)
{
	unsigned bits = ipsec_addr_bits(addr->family);
	uint8_t b[16];

	if (!mask)
		return 0;
	if (addr->kind != IPSEC_ADDR_NET || addr->prefix != bits)
		return err_set(err, ERR_FORMAT, "'%s': a mask does not go with '%s'", mask_tag, v->text);
	/* A name may have addresses of the other family: 32 is one address there, too, and
	 * anything else would be far wider than meant. */
	if (v->host && addr->family == AF_INET6 && mask->number == 32)
		return 0;
	if (v->host && addr->family == AF_INET6 && mask->number < 32)
		return err_set(err, ERR_FORMAT, "'%s': '%s' has IPv6 addresses, too", mask_tag, v->host);
	if (mask->number > bits)
		return err_set(err, ERR_FORMAT, "'%s': %llu is more than the %u bits of '%s'", mask_tag,
		    (unsigned long long)mask->number, bits, v->text);
	memcpy(b, addr->lo, sizeof(b));
	ipsec_addr_net(addr, addr->family, b, (unsigned)mask->number);
	return 0;
}

struct side_arg {
	const char		*name;		/* that was looked up; "" */
	struct ipsec_addr	*addrs;
	size_t			 n;
};

/* arena NULL: names are not looked up. */
static int side_read(struct side_arg *ret, struct ipsec_addr *one, struct arena *arena, const struct netsh_args *a,
    const char *tag, const char *mask_tag, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, tag), *mask = netsh_arg(a, mask_tag);

	if (!v)
		return err_set(err, ERR_FORMAT, "'%s' is missing", tag);
	*one = v->addr;
	*ret = (struct side_arg){ .name = "", .addrs = one, .n = 1 };
	if (v->host && !arena)
		return err_set(err, ERR_UNSUPPORTED, "'%s': '%s' would have to be looked up", tag, v->host);
	if (v->host) {
		ret->name = v->host;
		if (host_lookup(&ret->addrs, &ret->n, arena, v->host, tag, err))
			return -1;
	}
	for (size_t i = 0; i < ret->n; i++)
		if (mask_apply(&ret->addrs[i], v, mask, mask_tag, err))
			return -1;
	if (v->host)
		ret->n = addrs_unique(ret->addrs, ret->n);
	return 0;
}

/* ---- filters ---- */

static int head_read(struct ipsec_filter *f, const struct netsh_args *a, struct err *err)
{
	*f = (struct ipsec_filter){ .description = arg_text(a, "description", ""), .src_dns = "", .dst_dns = "",
	    .protocol = (uint8_t)arg_number(a, "protocol", 0), .mirrored = arg_yes(a, "mirrored", true) };
	f->src_port.lo = f->src_port.hi = (uint16_t)arg_number(a, "srcport", 0);
	f->dst_port.lo = f->dst_port.hi = (uint16_t)arg_number(a, "dstport", 0);
	return edit_text_check(f->description, "description", STATIC_MAX_TEXT, err);
}

int filter_from_args(struct ipsec_filter *ret, const struct netsh_args *a, struct err *err)
{
	struct ipsec_filter f;
	struct side_arg src, dst;

	if (head_read(&f, a, err) || side_read(&src, &f.src, NULL, a, "srcaddr", "srcmask", err) ||
	    side_read(&dst, &f.dst, NULL, a, "dstaddr", "dstmask", err) || ipsec_filter_check(&f, err))
		return -1;
	*ret = f;
	return 0;
}

/* One filter for each pair of addresses that can meet. */
static int filters_make(struct ipsec_filter **ret, size_t *ret_n, struct ipsec_container *c, const struct netsh_args *a, struct err *err)
{
	struct ipsec_filter head, *filters = NULL;
	struct ipsec_addr one_src, one_dst;
	struct side_arg src, dst;
	size_t n = 0;

	if (head_read(&head, a, err) || side_read(&src, &one_src, c->arena, a, "srcaddr", "srcmask", err) ||
	    side_read(&dst, &one_dst, c->arena, a, "dstaddr", "dstmask", err) ||
	    edit_strdup(&head.description, c, head.description, err) ||
	    edit_strdup(&head.src_dns, c, src.name, err) || edit_strdup(&head.dst_dns, c, dst.name, err))
		return -1;
	for (size_t i = 0; i < src.n * dst.n; i++) {
		struct ipsec_filter f = head;

		f.src = src.addrs[i / dst.n];
		f.dst = dst.addrs[i % dst.n];
		if (src.n * dst.n > 1 && f.src.family && f.dst.family && f.src.family != f.dst.family)
			continue;
		if (ipsec_filter_check(&f, err) || guid_random(&f.id, err))
			return -1;
		filters = arena_grow(c->arena, filters, n, sizeof(*filters));
		if (!filters)
			return err_nomem(err);
		filters[n++] = f;
	}
	if (!n)
		return err_set(err, ERR_FORMAT, "source and destination have no addresses of one family");
	*ret = filters;
	*ret_n = n;
	return 0;
}

/* A tunnel rule is one direction only. */
static int tunnel_users_check(const struct ipsec_container *c, struct ipsec_object *list, const struct ipsec_filter *f, struct err *err)
{
	struct ipsec_object *first;
	char label[OBJECT_LABEL];

	if (!f->mirrored || !object_users(list, &first))
		return 0;
	for (size_t i = 0; i < c->n_objects; i++) {
		const struct ipsec_object *o = c->objects[i];

		if (o->class == OBJ_RULE && !o->deleted && !o->damage && o->rule.list == list && o->rule.value.tunnel)
			return err_set(err, ERR_FORMAT, "filter list '%s' is for one direction of a tunnel (%s): give mirrored=no",
			    list->name, object_label(o, label));
	}
	return 0;
}

/* Those that the list does not have; all there: an error. */
static int filters_new(struct store_edit *e, struct ipsec_object *list, struct ipsec_filter *filters, size_t *n, struct err *err)
{
	size_t kept = 0;
	int rc;

	for (size_t i = 0; i < *n; i++) {
		rc = filter_index_find(e, list, &filters[i], err);
		if (rc < 0)
			return -1;
		if (!rc)
			filters[kept++] = filters[i];
	}
	*n = kept;
	return kept ? 0 : err_set(err, ERR_FORMAT, "filter list '%s' has this filter already", list->name);
}

static int list_make(struct ipsec_object **ret, struct ipsec_container *c, const char *name, const char *description, struct err *err)
{
	struct ipsec_object *list;
	struct guid id;

	if (edit_name_check(c, OBJ_LIST, name, err) ||
	    edit_text_check(description, "description", STATIC_MAX_TEXT, err) || guid_random(&id, err))
		return -1;
	list = container_add(c, OBJ_LIST, &id, NULL, name, description, err);
	if (!list)
		return -1;
	object_touch(list);
	*ret = list;
	return 0;
}

int edit_filter_add(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	const char *name = arg_text(a, "filterlist", "");
	struct ipsec_object *list = NULL;
	struct ipsec_filter *filters;
	size_t n;

	(void)b;
	if (edit_find(&list, c, OBJ_LIST, name, err)) {
		if (err->code != ERR_ABSENT || edit_name_check(c, OBJ_LIST, name, err))
			return -1;
		list = NULL;
	}
	if (filters_make(&filters, &n, c, a, err) ||
	    (list && (tunnel_users_check(c, list, &filters[0], err) || filters_new(e, list, filters, &n, err))) ||
	    (!list && list_make(&list, c, name, "", err)))
		return -1;
	for (size_t i = 0; i < n; i++)
		if (filter_index_add(e, list, &filters[i], err))
			return -1;
	object_touch(list);
	return 0;
}

/* ---- delete filter ---- */

struct filter_match {
	const struct netsh_value	*src, *dst;
	struct ipsec_addr		 src_addr, dst_addr;	/* unless a name */
	const struct netsh_args		*args;
};

static bool side_matches(const struct netsh_value *v, const struct ipsec_addr *wanted, const struct ipsec_addr *addr, const char *dns)
{
	if (v->host)
		return ascii_equal(dns, v->host);
	return addr->kind == wanted->kind && addr->family == wanted->family && addr->prefix == wanted->prefix &&
	    !memcmp(addr->lo, wanted->lo, sizeof(addr->lo)) && !memcmp(addr->hi, wanted->hi, sizeof(addr->hi));
}

static bool number_matches(const struct netsh_args *a, const char *tag, uint64_t lo, uint64_t hi)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	return !v || (lo == v->number && hi == v->number);
}

static bool filter_matches(const struct filter_match *m, const struct ipsec_filter *f)
{
	return side_matches(m->src, &m->src_addr, &f->src, f->src_dns) &&
	    side_matches(m->dst, &m->dst_addr, &f->dst, f->dst_dns) &&
	    number_matches(m->args, "protocol", f->protocol, f->protocol) &&
	    number_matches(m->args, "srcport", f->src_port.lo, f->src_port.hi) &&
	    number_matches(m->args, "dstport", f->dst_port.lo, f->dst_port.hi) &&
	    arg_yes(m->args, "mirrored", f->mirrored) == f->mirrored;
}

static int match_side(const struct netsh_value **ret, struct ipsec_addr *addr, const struct netsh_args *a,
    const char *tag, const char *mask_tag, struct err *err)
{
	const struct netsh_value *v = netsh_arg(a, tag);

	if (!v)
		return err_set(err, ERR_FORMAT, "'%s' is missing", tag);
	*ret = v;
	*addr = v->addr;
	return v->host ? 0 : mask_apply(addr, v, netsh_arg(a, mask_tag), mask_tag, err);
}

int edit_filter_delete(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct filter_match m = { .args = a };
	struct ipsec_object *list;
	size_t kept = 0, n;

	(void)b;
	if (edit_find(&list, e->container, OBJ_LIST, arg_text(a, "filterlist", ""), err) ||
	    match_side(&m.src, &m.src_addr, a, "srcaddr", "srcmask", err) ||
	    match_side(&m.dst, &m.dst_addr, a, "dstaddr", "dstmask", err))
		return -1;
	n = list->list.n_filters;
	for (size_t i = 0; i < n; i++)
		if (!filter_matches(&m, &list->list.filters[i]))
			list->list.filters[kept++] = list->list.filters[i];
	if (kept == n)
		return err_set(err, ERR_ABSENT, "filter list '%s' has no such filter", list->name);
	list->list.n_filters = kept;
	object_touch(list);
	return 0;
}

/* ---- filter lists ---- */

int edit_list_add(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_object *list;

	(void)b;
	return list_make(&list, e->container, arg_text(a, "name", ""), arg_text(a, "description", ""), err);
}

int edit_list_set(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_object *list;
	const char *name, *description;

	(void)b;
	if (edit_pick(&list, e->container, OBJ_LIST, a, err) ||
	    edit_texts(&name, &description, e->container, list, a, err))
		return -1;
	list->name = name;
	list->description = description;
	object_touch(list);
	return 0;
}

int edit_list_delete(struct store_edit *e, struct backend *b, const struct netsh_args *a, struct err *err)
{
	struct ipsec_container *c = e->container;
	struct ipsec_object *o;

	(void)b;
	if (!arg_yes(a, "all", false))
		return edit_find_any(&o, c, OBJ_LIST, arg_text(a, "name", ""), err) || edit_unused_check(o, err) ?
		    -1 : object_delete(o, err);
	for (size_t i = 0; i < c->n_objects; i++)
		if (c->objects[i]->class == OBJ_LIST && !c->objects[i]->deleted && edit_unused_check(c->objects[i], err))
			return -1;
	for (size_t i = 0; i < c->n_objects; i++)
		if (c->objects[i]->class == OBJ_LIST && !c->objects[i]->deleted && object_delete(c->objects[i], err))
			return -1;
	return 0;
}
