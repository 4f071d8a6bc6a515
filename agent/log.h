/* agent/log.h - the only place that logs: the journal when it is where stderr
 * goes (then with structured fields), else plain lines on stderr.  Secrets never
 * come here.  Control characters are replaced: messages quote the directory. */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

#define LOG_MAX_FIELDS	16	/* pairs; more are left out */

/* Events: one per change of state.  MESSAGE_ID is derived from the name. */
void log_open(const char *name);	/* kept, not copied */
/* priority: LOG_ERR... of <syslog.h>; event: "policy-applied", "directory-lost"... or NULL.
 * fields: "GPO", value, "GENERATION", value, ..., NULL; become IPSECPOL_GPO=...
 * A field whose value is NULL ends the list. */
void log_event(int priority, const char *event, const char *const *fields, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define log_info(...)	log_event(6, NULL, NULL, __VA_ARGS__)
#define log_warn(...)	log_event(4, NULL, NULL, __VA_ARGS__)

/* MESSAGE_ID of an event: the first 16 bytes of SHA-256("ipsecpol:" EVENT), so that
 * `journalctl MESSAGE_ID=...` and message catalogues can rely on it. */
#define LOG_ID_TEXT	33
void log_message_id(const char *event, char out[static LOG_ID_TEXT]);

#endif
