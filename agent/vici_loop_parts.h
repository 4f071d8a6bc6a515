/* agent/vici_loop_parts.h - the state of a connection in an event loop; for agent/vici_loop*.c. */
#ifndef AGENT_VICI_LOOP_PARTS_H
#define AGENT_VICI_LOOP_PARTS_H

#include <systemd/sd-event.h>

#include "agent/vici_parts.h"
#include "schema/err.h"

#define VICI_USEC	UINT64_C(1000000)
#define EVENTS_MAX	16

struct order {
	struct order		*next;
	char			 command[VICI_NAME_MAX + 1];
	struct vici_message	*message;
	int			 stream;	/* index of an event, -1 */
	vici_reply		*each, *done;
	void			*cookie;
	size_t			 bytes;
};

/* Once registered an event stays so: charon sends what a command streams to its asker alone. */
struct event {
	char	name[VICI_NAME_MAX + 1];
	bool	heard;				/* is for `heard` */
	bool	registered, unknown;		/* on this connection */
};

enum awaited { AWAIT_NOTHING, AWAIT_CONFIRM, AWAIT_RESPONSE };

struct vici_loop {
	struct sd_event		*ev;
	char			*path, *folder;
	const char		*file;		/* in path */
	vici_state		*state;
	vici_heard		*heard;
	void			*cookie;

	bool			 wanted;
	unsigned		 limit_ms;
	unsigned		 busy;		/* callbacks that are running */
	bool			 closed;	/* within one of them */
	int			 fd;		/* -1: not connected */
	sd_event_source		*io, *timer, *watch, *work;
	uint64_t		 pause;
	struct err		 why;		/* that was told last; NONE: connected */

	struct event		 events[EVENTS_MAX];
	size_t			 n_events;
	struct order		*first, **last;
	size_t			 bytes;		/* of all orders */
	enum awaited		 awaited;
	size_t			 registering;	/* while AWAIT_CONFIRM */
	struct vici_inbox	 in;
	struct vici_outbox	 out;
};

/* ---- agent/vici_loop.c ---- */

/* Around each callback, which may close the loop.  false: it is gone. */
void loop_enter(struct vici_loop *l);
bool loop_leave(struct vici_loop *l);
void loop_timer(struct vici_loop *l, uint64_t usec);
void loop_timer_stop(struct vici_loop *l);
/* Ends the connection; answers what waits.  Nothing can be asked within the callbacks: it is not connected.  false: l is gone. */
bool loop_lost(struct vici_loop *l, const struct err *why);
struct order *loop_pop(struct vici_loop *l);		/* NULL: none waits */
void loop_order_free(struct order *o);

/* ---- agent/vici_loop_io.c ---- */

/* Says the next thing, if charon has answered all: events first, then what waits.  false: l is gone. */
bool loop_next(struct vici_loop *l);
int loop_io(sd_event_source *s, int fd, uint32_t revents, void *userdata);
size_t loop_event(const struct vici_loop *l, const char *name);	/* its index; n_events: there is none */

#endif
