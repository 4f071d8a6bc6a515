/* agent/ctl_peer.h - what the two halves of the control socket share: ctl.c has the
 * peers and their buffers, ctl_call.c what they ask and what they are answered. */
#ifndef AGENT_CTL_PEER_H
#define AGENT_CTL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "agent/ctl.h"

struct peer {
	struct ctl		*ctl;
	struct peer		*next, **link;
	sd_event_source		*io, *work, *timer;
	int			 fd;
	uid_t			 uid;
	char			*in;		/* what came and was not looked at yet */
	size_t			 n_in, in_size;
	char			*out;		/* the answer that is being taken */
	size_t			 n_out, sent;
	struct ctl_call		*call;		/* not answered yet */
	bool			 eof;		/* sends no more */
	bool			 last;		/* close when the answer is taken */
};

struct ctl {
	sd_event		*ev;
	sd_event_source		*io, *rest;
	int			 fd;
	char			*path;
	dev_t			 dev;		/* of the socket file, to remove only our own */
	ino_t			 ino;
	ctl_handler		*handler;
	void			*cookie;
	struct peer		*peers;
	size_t			 n_peers;
};

struct ctl_call {
	struct peer		*peer;		/* NULL: hung up */
	bool			 oneway;	/* wants no answer */
};

/* ctl.c.  After all but peer_wait the peer may be gone; a call it had under way then
 * has no peer any more. */
void peer_free(struct peer *p);			/* NULL: nothing */
/* Sends it, and goes on with the peer's next call; NULL: no memory.  Not stolen. */
void peer_answer(struct peer *p, json_t *answer);
void peer_next(struct peer *p);			/* goes on without an answer */
void peer_wait(struct peer *p, struct ctl_call *call);	/* no more calls before this one's answer */

/* ctl_call.c: one message of a peer, a JSON object.  Neither the peer nor its ctl need
 * to be there afterwards. */
void call_run(struct peer *p, json_t *message);
/* A peer that does not speak the protocol is told so and dropped. */
void peer_refuse(struct peer *p, const char *why);

#endif
