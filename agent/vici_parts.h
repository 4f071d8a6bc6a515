/* agent/vici_parts.h - packets of the vici protocol and putting them together; for agent/vici*.c and tests. */
#ifndef AGENT_VICI_PARTS_H
#define AGENT_VICI_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/vici.h"

struct sockaddr_un;

enum vici_packet_type {
	PACKET_REQUEST, PACKET_RESPONSE, PACKET_UNKNOWN,
	PACKET_REGISTER, PACKET_UNREGISTER, PACKET_CONFIRM, PACKET_EVENT_UNKNOWN,
	PACKET_EVENT,
};

struct vici_packet {
	enum vici_packet_type	 type;
	char			 name[VICI_NAME_MAX + 1];	/* of an EVENT; "" */
	const uint8_t		*message;			/* of RESPONSE and EVENT */
	size_t			 len;
};

/* What has come of one packet.  All zero: nothing; free with vici_inbox_free. */
struct vici_inbox {
	uint8_t	 head[4];
	uint8_t	*body;
	size_t	 n_head, len, have, size;
};

/* Where the next bytes go, and how many at most: never beyond the packet's end.  NULL: no memory. */
uint8_t *vici_inbox_room(struct vici_inbox *in, size_t *n, struct err *err);
/* That n bytes were put there.  1: a packet is whole; 0: more is needed; -1: of a length that cannot be. */
int vici_inbox_add(struct vici_inbox *in, size_t n, struct err *err);
/* The packet, which points into in, that begins anew.  ERR_FORMAT: charon would not send it. */
int vici_inbox_take(struct vici_inbox *in, struct vici_packet *ret, struct err *err);
void vici_inbox_free(struct vici_inbox *in);

/* A packet on its way out. */
struct vici_outbox {
	uint8_t			 head[4 + 2 + VICI_NAME_MAX];
	size_t			 n_head, sent;
	struct vici_message	*message;	/* or NULL: freed, and so overwritten, when it is sent */
};

/* Takes m, which is freed on errors too: what it says is not good, too long. */
int vici_outbox_set(struct vici_outbox *o, enum vici_packet_type type, const char *name, struct vici_message *m, struct err *err);
/* As much as the socket takes.  1: all is sent; 0: it takes no more now; -1: errno. */
int vici_outbox_send(struct vici_outbox *o, int fd);
void vici_outbox_clear(struct vici_outbox *o);

/* A socket, not blocking, that is connected.  -1: ERR_OFFLINE, ERR_DENIED, ERR_BUSY (its queue is full). */
int vici_connect(const char *path, struct err *err);

#endif
