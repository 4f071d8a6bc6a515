/* agent/ctl.h - control socket: Varlink wire format (JSON objects, each ended by
 * a NUL byte) on a Unix stream socket, the peer known by SO_PEERCRED.  SHELL.
 *
 * {"method": "org.ipsecpol.Status", "parameters": {}} is answered by
 * {"parameters": {...}} or {"error": "org.ipsecpol.Failed", "parameters": {"message": ...}}.
 *
 * The socket is open to every local user (mode 0666): who may do what is the
 * handler's business.  A peer has one call under way and one answer buffered,
 * what it sends meanwhile stays in the kernel; one that is idle, or does not take
 * its answer, is dropped after a while, and at once when root finds no place else.
 * org.varlink.service is answered here. */
#ifndef AGENT_CTL_H
#define AGENT_CTL_H

#include <jansson.h>
#include <sys/types.h>

struct err;
struct sd_event;

#define CTL_INTERFACE	"org.ipsecpol"

#define CTL_MAX_REQUEST	65536	/* bytes; a longer one is refused */
#define CTL_MAX_PEERS	64
#define CTL_MAX_PEERS_OTHERS 48	/* of all users but root and the daemon's own */
#define CTL_MAX_PEERS_USER 16	/* of one of them */
#define CTL_IDLE_SECONDS 30	/* to send a whole call, and between calls */
#define CTL_TAKE_SECONDS 60	/* to take a whole answer */
#define CTL_MAX_REPLY	(512u << 20)	/* bytes; the client accepts no more */

struct ctl;		/* the listening socket and its peers */
struct ctl_call;	/* one call that waits for its answer */

/* Called for each well-formed call of CTL_INTERFACE; must answer it now or later, once.  A call
 * whose peer hung up stays valid until answered.  method is the full name,
 * "org.ipsecpol.Status"; parameters is an object, never NULL, borrowed for the
 * time of this function (json_incref to keep it).  ctl_close may be called. */
typedef void ctl_handler(struct ctl_call *call, const char *method, json_t *parameters, uid_t peer, void *cookie);

/* ERR_BUSY: another process listens there.  A socket nobody listens on is replaced;
 * the folder is created (0755), its parents are not. */
struct ctl *ctl_listen(struct sd_event *ev, const char *path, ctl_handler *handler, void *cookie, struct err *err);
void ctl_close(struct ctl *c);			/* NULL: nothing; removes the socket */
/* What is answered last before ctl_close is still sent as far as the peer's socket
 * buffer takes it. */
void ctl_reply(struct ctl_call *call, json_t *parameters);	/* steals parameters; NULL: no memory */
/* error: "Failed", "PermissionDenied"... of our interface, or a full name with dots. */
void ctl_error(struct ctl_call *call, const char *error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void ctl_method_unknown(struct ctl_call *call, const char *method);	/* org.varlink.service.MethodNotFound */

/* The client's side: one call, blocking, up to timeout seconds (0: no limit).
 * method: full name, or without dots one of ours.  Steals parameters (NULL: none);
 * json_decref(*ret) when done.
 * -1: ERR_OFFLINE when no daemon listens, or hangs up or does not answer in time,
 * ERR_DENIED for PermissionDenied and sockets out of reach, ERR_BUSY, ERR_UNSUPPORTED for
 * a method the daemon does not know, ERR_SYSTEM for whatever else it answered. */
int ctl_ask(json_t **ret, const char *path, const char *method, json_t *parameters, unsigned timeout, struct err *err);

#endif
