/* A stop by hand: the event loop is about to end, so this waits for charon. */
#include "agent/negotiate_parts.h"

#include <string.h>

#include "agent/log.h"
#include "agent/vici.h"
#include "schema/arena.h"
#include "schema/err.h"

#define USEC		UINT64_C(1000000)
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

static int unload(struct negotiator *n, struct end *e)
{
	struct vici_node *reply;

	if (each(e, "get-conns", "conns", "unload-conn", "name") < 0 || sas_end(e) < 0 || each(e, "get-shared", "keys", "unload-shared", "id") < 0 ||
	    each(e, "get-authorities", "authorities", "unload-authority", "name") < 0)
		return -1;
	return n->load.key_ours ? ask(e, &reply, "unload-key", name_message("id", n->load.key_id), NULL, NULL) : 0;
}

void negotiate_end(struct negotiator *n)
{
	struct end e = { .deadline = negotiate_now() + END_SECONDS * USEC - COMMAND_MS * 1000 };

	if (!n || !n->load.vici)
		return;
	vici_loop_close(n->load.vici);
	n->load.vici = NULL;
	n->load.connected = n->load.busy = false;
	negotiate_want(n, NULL);
	e.vici = vici_open(n->load.path, COMMAND_MS, &e.err);
	e.arena = e.vici ? arena_new(0) : NULL;
	if (e.arena && unload(n, &e) < 0)
		log_warn("charon may keep connections of this service: %s", e.err.msg);
	arena_free(e.arena);
	vici_close(e.vici);
}
