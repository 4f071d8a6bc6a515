/* Bytes from charon, in pieces of any size: packets or an error; their messages are a tree or an error, and what is a
 * tree can be written and is the same then. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vici.h"
#include "agent/vici_parts.h"
#include "nft/ike.h"
#include "schema/arena.h"
#include "schema/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void node_write(struct vici_message *m, const struct vici_node *n)
{
	for (size_t i = 0; i < n->n_children; i++) {
		const struct vici_node *c = &n->children[i];

		if (c->kind == VICI_VALUE) {
			if (strlen(c->value) > c->len)
				abort();
			vici_add_bytes(m, c->name, c->value, c->len);
		} else if (c->kind == VICI_LIST) {
			vici_list(m, c->name, NULL, 0);
		} else {
			vici_section(m, c->name);
			node_write(m, c);
			vici_section_end(m);
		}
	}
}

static size_t node_count(const struct vici_node *n, int lists)
{
	size_t sum = 1;

	if (n->kind != VICI_LIST || lists)
		for (size_t i = 0; i < n->n_children; i++)
			sum += node_count(&n->children[i], lists);
	return sum;
}

static void message_try(const uint8_t *data, size_t size)
{
	static const struct ike_conn conn = { .name = "x", .ca_id = "CN=x", .secret = "", .rule_name = "", .auth = IKE_CERTIFICATE };
	struct arena *a = arena_new(0);
	struct vici_message *m = vici_new();
	struct vici_node *root = NULL, *again = NULL;
	struct err err = { 0 };
	const uint8_t *p;
	size_t len;

	if (vici_parse(&root, a, data, size, &err) < 0) {
		if (err.code == ERR_NONE || root)
			abort();
	} else {
		node_write(m, root);
		p = vici_bytes(m, &len);
		if (!vici_good(m) || vici_parse(&again, a, p, len, &err) < 0 || node_count(root, 0) != node_count(again, 1))
			abort();
		ike_conn_check(&conn, root, &err);
		vici_answer(root, &err);
	}
	vici_free(m);
	arena_free(a);
}

/* The first byte says in what pieces. */
static void packets_try(const uint8_t *data, size_t size)
{
	struct vici_inbox in = { 0 };
	struct vici_packet p;
	struct err err = { 0 };
	size_t once = 1 + data[0] % 64, room;
	uint8_t *to;
	int rc = 0;

	for (data++, size--; size > 0 && rc >= 0;) {
		to = vici_inbox_room(&in, &room, &err);
		if (!to || room == 0)
			abort();
		room = room < once ? room : once;
		room = room < size ? room : size;
		memcpy(to, data, room);
		data += room;
		size -= room;
		rc = vici_inbox_add(&in, room, &err);
		if (rc > 0)
			rc = vici_inbox_take(&in, &p, &err);
		else
			continue;
		if (rc == 0 && (p.type == PACKET_RESPONSE || p.type == PACKET_EVENT))
			message_try(p.message, p.len);
	}
	if (rc < 0 && err.code == ERR_NONE)
		abort();
	vici_inbox_free(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	message_try(data, size);
	packets_try(data, size);
	return 0;
}
