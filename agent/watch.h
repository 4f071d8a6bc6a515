/* agent/watch.h - a worker that waits for the directory to tell of changes (agent/dir_watch.h): started,
 * listened to, and started again when it ends.  SHELL. */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

struct conf;
struct err;
struct sd_event;
struct watch;

/* Something may have changed: also after a time without a connection.  A few times a second at most. */
typedef void watch_changed(void *cookie);

/* Nothing runs until watch_want.  NULL and *err. */
struct watch *watch_open(struct sd_event *ev, watch_changed *changed, void *cookie, struct err *err);
void watch_close(struct watch *w);	/* NULL: nothing */
/* After each good refresh, with its hints (of which the OUs count) and site ("": none).  Starts one, when conf wants
 * notifications, unless one runs for the same; conf lives until watch_stop or watch_close. */
void watch_want(struct watch *w, const struct conf *c, const char *hints, const char *site);
void watch_stop(struct watch *w);

#endif
