/* agent/vici.h - strongSwan's vici protocol: messages, and a connection to charon.
 *
 * Packets on a stream socket: 32 bit length (network order), type, for some a name, then a message: a tree of
 * sections, key = value and key = [list] (strongSwan, src/libcharon/plugins/vici/README.md).  The codec is pure and bounded;
 * what charon sends is checked like anything else from outside. */
#ifndef AGENT_VICI_H
#define AGENT_VICI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct sd_event;

#define VICI_PACKET_MAX	(512u * 1024)	/* charon's own limit */
#define VICI_DEPTH_MAX	16		/* sections in sections */
#define VICI_NODES_MAX	65536u		/* of one message */
#define VICI_NAME_MAX	255u
#define VICI_VALUE_MAX	65535u

/* ---- messages ---- */

enum vici_kind { VICI_SECTION, VICI_VALUE, VICI_LIST };

struct vici_node {
	enum vici_kind		 kind;
	const char		*name;		/* at most 255 bytes; "" for the root */
	const char		*value;		/* VALUE: any bytes, with a NUL behind them */
	size_t			 len;
	struct vici_node	*children;	/* SECTION: all in order; LIST: its items as VALUEs without a name */
	size_t			 n_children;
};

/* From the elements of a message; *ret is in a.  ERR_FORMAT: damaged; ERR_LIMIT: too deep, too many nodes. */
int vici_parse(struct vici_node **ret, struct arena *a, const uint8_t *data, size_t len, struct err *err);
const struct vici_node *vici_get(const struct vici_node *section, const char *name);	/* first of that name; NULL */
const char *vici_value(const struct vici_node *section, const char *name);	/* "" where there is none */
/* What charon says of a command that can fail ("success", "errmsg"): -1, ERR_UNSUPPORTED and its text unless it did it. */
int vici_answer(const struct vici_node *reply, struct err *err);

/* A message being written; out of memory, too long, a name or value that cannot be and an open section are
 * remembered for vici_good.  Functions take NULL (no memory) for m and do nothing then. */
struct vici_message;
struct vici_message *vici_new(void);		/* NULL: no memory */
void vici_section(struct vici_message *m, const char *name);
void vici_section_end(struct vici_message *m);
void vici_add(struct vici_message *m, const char *name, const char *value);
void vici_add_bytes(struct vici_message *m, const char *name, const void *value, size_t len);
void vici_add_number(struct vici_message *m, const char *name, uint64_t value);
void vici_list(struct vici_message *m, const char *name, const char *const *items, size_t n);
bool vici_good(const struct vici_message *m);
const uint8_t *vici_bytes(const struct vici_message *m, size_t *len);	/* its elements, as vici_parse takes them */
void vici_free(struct vici_message *m);		/* what it held is overwritten: it may be a secret */

/* What a connection and a shared key look like to charon ("load-conn", "load-shared"). */
struct ike_conn;
struct ike_secret;
struct vici_message *vici_conn(const struct ike_conn *c);		/* NULL: no memory */
struct vici_message *vici_secret(const struct ike_secret *s);
/* Whether charon has the connection as it is wanted: listed is its section in an event "list-conn".  -1 names the first
 * difference.  charon lists neither proposals, reqids, life_time nor start_action: those cannot be compared. */
int ike_conn_check(const struct ike_conn *want, const struct vici_node *listed, struct err *err);

/* ---- a connection that waits: for commands of the tool, with a limit of time ---- */

struct vici;
/* timeout_ms: for connecting, and for each command as a whole.  ERR_OFFLINE: nobody listens there; ERR_DENIED: no right to. */
struct vici *vici_open(const char *path, int timeout_ms, struct err *err);
void vici_close(struct vici *v);		/* NULL: nothing */
/* One command (m is freed; NULL: an empty message) and its answer, which may be a refusal (vici_answer); with stream, an event
 * that charon sends meanwhile, each of its messages is handed to the callback, whose node is gone when it returns.  A callback that
 * returns -1 ends it.  ERR_UNSUPPORTED: charon knows no such command or event; after any other error v only can be closed. */
typedef int vici_event(const struct vici_node *message, void *cookie, struct err *err);
int vici_ask(struct vici *v, struct vici_node **ret, struct arena *a, const char *command, struct vici_message *m,
    const char *stream, vici_event *event, void *cookie, struct err *err);

/* ---- a connection in an event loop: for the service ---- */

#define VICI_LOOP_SECONDS	30		/* without a sign of life while a command is under way: the connection is given up */
#define VICI_LOOP_BYTES		(32u << 20)	/* of commands that wait */

struct vici_loop;
/* reply NULL: there is none, why says why: the connection is lost (then it is called for each command that was under way or
 * waited, first asked first, before `state`), or charon knows no such command or event (ERR_UNSUPPORTED).
 * What reply points to lives until the call returns. */
typedef void vici_reply(const struct vici_node *reply, const struct err *why, void *cookie);
/* Connected, or lost, or (why differs from the last time) not to be reached. */
typedef void vici_state(bool connected, const struct err *why, void *cookie);
typedef void vici_heard(const char *event, const struct vici_node *message, void *cookie);

/* Tries once from the loop, never within a call; after that, and after a loss, only while it is wanted (vici_loop_want):
 * as soon as the socket appears (inotify), and else with growing pauses of 1 to 60 seconds.  Connected, and when it is not
 * wanted, nothing wakes up but what charon sends.  No callback is called from within a function of this header. */
struct vici_loop *vici_loop_open(struct sd_event *ev, const char *path, vici_state *state, vici_heard *heard, void *cookie, struct err *err);
void vici_loop_close(struct vici_loop *l);	/* NULL: nothing; no callback any more, from within one too; what waits is dropped */
void vici_loop_want(struct vici_loop *l, bool wanted);	/* at first it is not; wanting it tries at once */
void vici_loop_limit(struct vici_loop *l, unsigned ms);	/* instead of VICI_LOOP_SECONDS */
bool vici_loop_connected(const struct vici_loop *l);
/* Queues a command (frees m, always); charon answers one after the other.  stream: as above, messages go to `each` (its why is
 * NULL); NULL, NULL: none.  ERR_OFFLINE: not connected; ERR_LIMIT: too much waits. */
int vici_loop_ask(struct vici_loop *l, const char *command, struct vici_message *m, const char *stream, vici_reply *each,
    vici_reply *done, void *cookie, struct err *err);
/* Events for `heard`, now and after each connect; what charon does not know is never heard. */
int vici_loop_register(struct vici_loop *l, const char *event, struct err *err);

#endif
