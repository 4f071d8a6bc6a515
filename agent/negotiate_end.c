/* A stop by hand, of a service that is about to end or has ended: this waits for charon. */
#include "agent/negotiate_parts.h"

#include <string.h>
#include <time.h>

#include "agent/vici.h"
#include "schema/arena.h"
#include "schema/err.h"

#define END_SECONDS	2
#define COMMAND_MS	500

struct end {
	struct vici	*vici;
	struct arena	*arena;
	uint64_t	 deadline;	/* CLOCK_BOOTTIME usec: when no command is begun any more */
	struct names	 found;
	struct err	 err;
};

static int ask(struct end *e, struct vici_node **ret, const char *command, struct vici_message *m, const char *stream, vici_event *event)
{
	if (negotiate_now() >= e->deadline) {
		vici_free(m);
		return err_set(&e->err, ERR_OFFLINE, "charon takes too long");
	}
	return vici_ask(e->vici, ret, e->arena, command, m, stream, event, e, &e->err);
}

static int on_sa(const struct vici_node *message, void *cookie, struct err *err)
{
	struct end *e = cookie;

	(void)err;
	for (size_t i = 0; i < message->n_children; i++)
		if (message->children[i].kind == VICI_SECTION)
			names_add(&e->found, e->arena, message->children[i].name);
	return 0;
}

/* One command for each of ours in a list of names.  That charon refuses one does not stop the others. */
static int each(struct end *e, const char *list_command, const char *list, const char *command, const char *key)
{
	struct vici_node *reply;

	e->found = (struct names){ 0 };
	if (ask(e, &reply, list_command, NULL, NULL, NULL) < 0)
		return -1;
	names_of_list(&e->found, e->arena, reply, list);
	for (size_t i = 0; i < e->found.n; i++)
		if (is_ours(e->found.texts[i]) && ask(e, &reply, command, name_message(key, e->found.texts[i]), NULL, NULL) < 0)
			return -1;
	return 0;
}

static int sas_end(struct end *e)
{
	struct vici_node *reply;

	e->found = (struct names){ 0 };
	if (ask(e, &reply, "list-sas", NULL, "list-sa", on_sa) < 0)
		return -1;
	names_sort(&e->found);
	for (size_t i = 0; i < e->found.n; i++)
		if (is_ours(e->found.texts[i]) && ask(e, &reply, "terminate", terminate_message(e->found.texts[i]), NULL, NULL) < 0)
			return -1;
	return 0;
}

static int unload(struct end *e, const char *key)
{
	struct vici_node *reply;

	if (each(e, "get-conns", "conns", "unload-conn", "name") < 0 || sas_end(e) < 0 || each(e, "get-shared", "keys", "unload-shared", "id") < 0 ||
	    each(e, "get-authorities", "authorities", "unload-authority", "name") < 0)
		return -1;
	return *key ? ask(e, &reply, "unload-key", name_message("id", key), NULL, NULL) : 0;
}

int negotiate_unload(const char *vici, const char *key, struct err *err)
{
	struct end e = { .deadline = negotiate_now() + END_SECONDS * USEC - COMMAND_MS * 1000 };
	int rc = 0;

	e.vici = vici_open(vici, COMMAND_MS, &e.err);
	/* Without charon nothing is loaded. */
	if (!e.vici)
		return e.err.code == ERR_OFFLINE ? 0 : err_set(err, e.err.code, "%s", e.err.msg);
	e.arena = arena_new(0);
	if (!e.arena)
		rc = err_nomem(err);
	else if (unload(&e, key) < 0)
		rc = err_set(err, e.err.code, "%s", e.err.msg);
	arena_free(e.arena);
	vici_close(e.vici);
	return rc;
}

uint64_t negotiate_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * USEC + (uint64_t)ts.tv_nsec / 1000;
}
