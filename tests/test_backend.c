#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/session.h"
#include "schema/arena.h"
#include "schema/ident.h"
#include "store/objects.h"
#include "store/store.h"
#include "tests/store_box.h"

static struct conf conf;

static int up(void **state)
{
	conf.state_dir = dir;
	return box_up(state);
}

static struct backend *backend(enum store_location location)
{
	struct backend *b = backend_local(&conf, location, &err);

	if (!b)
		fail_msg("%s", err.msg);
	return b;
}

static struct store_edit loaded(struct backend *b)
{
	struct store_edit e;

	memset(&e, 0, sizeof(e));
	fine(b->load(b, &e, &err));
	return e;
}

/* A filter list with one filter, as the container takes it. */
static struct ipsec_object *list_add(struct store_edit *e, uint8_t number, const char *name)
{
	const struct guid id = { { number } };
	struct ipsec_object *o = container_add(e->container, OBJ_LIST, &id, NULL, name, "", &err);

	if (!o)
		fail_msg("%s", err.msg);
	o->list.filters = arena_zalloc(e->container->arena, 1, sizeof(struct ipsec_filter));
	o->list.filters[0] = (struct ipsec_filter){
		.id = { { number, 1 } }, .description = "", .src_dns = "", .dst_dns = "", .src.kind = IPSEC_ADDR_ME, .dst.kind = IPSEC_ADDR_ANY,
		.protocol = 6, .dst_port = { 80, 80 }, .mirrored = true,
	};
	o->list.n_filters = 1;
	object_touch(o);
	return o;
}

static bool has_list(struct store_edit *e, const char *name)
{
	struct ipsec_object *o;

	return container_find(&o, e->container, OBJ_LIST, name, &err) == 0;
}

static void test_empty(void **state)
{
	struct backend *b = backend(LOCATION_LOCAL), *p = backend(LOCATION_PERSISTENT);
	struct gpo_user *users;
	const char *dn;
	struct store_edit e = loaded(b);
	size_t n = 9;

	(void)state;
	assert_string_equal(b->where(b), arena_printf(arena, "local store (%s/registry.db)", dir));
	assert_string_equal(p->where(p), arena_printf(arena, "persistent store (%s/registry.db)", dir));
	assert_int_equal(e.location, LOCATION_LOCAL);
	assert_int_equal(e.container->n_objects, 0);
	assert_null(e.active);
	/* Looking makes nothing, and neither does an edit of nothing. */
	fine(b->save(b, &e, &err));
	assert_int_equal(access(at("registry.db"), F_OK), -1);
	fine(b->users(b, "x", &users, &n, arena, &err));
	assert_int_equal(n, 0);
	assert_int_equal(b->assigned(b, "x", &dn, arena, &err), -1);
	container_free(e.container);
	b->close(b);
	p->close(p);
}

static void test_edit(void **state)
{
	struct backend *b = backend(LOCATION_LOCAL), *p = backend(LOCATION_PERSISTENT);
	struct store_edit e = loaded(b);

	(void)state;
	list_add(&e, 1, "web");
	e.active = "CN=ipsecPolicy{00000001-0000-0000-0000-000000000000}," OBJECTS_DN;
	e.active_changed = true;
	fine(b->save(b, &e, &err));
	container_free(e.container);
	e = loaded(b);
	assert_true(has_list(&e, "web"));
	assert_string_equal(e.active, "CN=ipsecPolicy{00000001-0000-0000-0000-000000000000}," OBJECTS_DN);
	container_free(e.container);
	/* The other store has nothing of it. */
	e = loaded(p);
	assert_int_equal(e.location, LOCATION_PERSISTENT);
	assert_false(has_list(&e, "web"));
	assert_null(e.active);
	list_add(&e, 2, "ssh");
	fine(p->save(p, &e, &err));
	container_free(e.container);
	e = loaded(b);
	assert_false(has_list(&e, "ssh"));
	e.active = NULL;
	e.active_changed = true;
	object_delete(e.container->objects[0], &err);
	fine(b->save(b, &e, &err));
	container_free(e.container);
	e = loaded(b);
	assert_int_equal(e.container->n_objects, 0);
	assert_null(e.active);
	container_free(e.container);
	b->close(b);
	b = backend(LOCATION_PERSISTENT);
	e = loaded(b);
	assert_true(has_list(&e, "ssh"));
	container_free(e.container);
	b->close(b);
	p->close(p);
}

/* Two that edit at once: the second one is told, and loses nothing when it begins anew. */
static void edit_at_once(struct backend *b, struct backend *c, uint8_t number)
{
	const char *one = arena_printf(arena, "one %u", number), *two = arena_printf(arena, "two %u", number);
	struct store_edit e = loaded(b), f = loaded(c);

	list_add(&e, number, one);
	list_add(&f, (uint8_t)(number + 1), two);
	fine(b->save(b, &e, &err));
	assert_int_equal(c->save(c, &f, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	assert_string_equal(err.msg, arena_printf(arena, "local store (%s/registry.db) was changed by somebody else meanwhile", dir));
	container_free(f.container);
	f = loaded(c);
	assert_true(has_list(&f, one));
	list_add(&f, (uint8_t)(number + 1), two);
	fine(c->save(c, &f, &err));
	container_free(f.container);
	container_free(e.container);
	e = loaded(b);
	assert_true(has_list(&e, one) && has_list(&e, two));
	container_free(e.container);
}

static void test_at_once(void **state)
{
	struct backend *b = backend(LOCATION_LOCAL), *c = backend(LOCATION_LOCAL);

	(void)state;
	/* First while there is no file, then with one. */
	edit_at_once(b, c, 1);
	edit_at_once(b, c, 11);
	b->close(b);
	c->close(c);
}

/* What this one saved itself is no change of somebody else; what another one did in between is. */
static void test_again(void **state)
{
	struct backend *b = backend(LOCATION_LOCAL);
	struct store_edit e = loaded(b);
	struct store *s;

	(void)state;
	list_add(&e, 1, "one");
	fine(b->save(b, &e, &err));
	e.active = "CN=ipsecPolicy{00000001-0000-0000-0000-000000000000}," OBJECTS_DN;
	e.active_changed = true;
	container_free(e.container);
	e.container = loaded(b).container;
	fine(b->save(b, &e, &err));
	fine(b->save(b, &e, &err));
	s = registry_open(dir, STORE_WRITE, &err);
	fine(store_begin(s, &err));
	set(s, REG_SERVICE, "x", "y");
	fine(store_commit(s, &err));
	store_close(s);
	assert_int_equal(b->save(b, &e, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	container_free(e.container);
	b->close(b);
}

static void test_failures(void **state)
{
	struct backend *b = backend(LOCATION_LOCAL);
	struct store_edit e = loaded(b);

	(void)state;
	list_add(&e, 1, "one");
	fine(b->save(b, &e, &err));
	container_free(e.container);
	e = loaded(b);
	/* Removed while it was open: not written into what nobody will read. */
	unlink(at("registry.db"));
	list_add(&e, 2, "two");
	assert_int_equal(b->save(b, &e, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	container_free(e.container);
	e = loaded(b);
	assert_int_equal(e.container->n_objects, 0);
	container_free(e.container);
	file_save(at("registry.db"), "not a database, and much too short", 34);
	memset(&e, 0, sizeof(e));
	assert_int_equal(b->load(b, &e, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_null(e.container);
	b->close(b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, up, box_down)
	const struct CMUnitTest tests[] = {
		TEST(test_empty),
		TEST(test_edit),
		TEST(test_at_once),
		TEST(test_again),
		TEST(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
