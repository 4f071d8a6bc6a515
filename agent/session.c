#include "agent/session.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli_text.h"
#include "agent/conf.h"
#include "agent/exchange.h"
#include "agent/sources.h"
#include "agent/static.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

#define TRIES		5	/* when others write at the same time */

struct session {
	struct session_options	 o;
	struct arena		*arena;		/* of the session's own texts */
	enum store_location	 location;
	const char		*domain;	/* NULL: the computer's */
	bool			 batch;
	struct backend		*backend;
	struct store_edit	 edit;		/* container NULL: not loaded */
	struct arena		*log_arena;	/* what is remembered; NULL: nothing */
	struct netsh_args	*log;
	size_t			 n_log;
};

const char *location_name(enum store_location l)
{
	static const char *const names[] = { "local", "persistent", "domain" };

	return names[l];
}

static struct backend *backend_real(const struct session_options *o, enum store_location location, const char *domain, struct err *err)
{
	if (location == LOCATION_DOMAIN)
		return backend_domain(o->conf, o->directory, domain, err);
	return backend_local(o->conf, location, err);
}

struct session *session_open(const struct session_options *o, struct err *err)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s || !(s->arena = arena_new(0))) {
		free(s);
		err_nomem(err);
		return NULL;
	}
	s->o = *o;
	if (!s->o.open)
		s->o.open = backend_real;
	s->location = o->location;
	s->domain = o->domain;
	return s;
}

/* ---- what is loaded and what is remembered ---- */

static void edit_drop(struct session *s)
{
	container_free(s->edit.container);
	memset(&s->edit, 0, sizeof(s->edit));
}

static void log_drop(struct session *s)
{
	arena_free(s->log_arena);
	s->log_arena = NULL;
	s->log = NULL;
	s->n_log = 0;
}

void session_close(struct session *s)
{
	if (!s)
		return;
	log_drop(s);
	edit_drop(s);
	if (s->backend)
		s->backend->close(s->backend);
	arena_free(s->arena);
	free(s);
}

size_t session_pending(const struct session *s)
{
	return s->n_log;
}

static int text_keep(const char **p, struct arena *a)
{
	if (*p && !(*p = arena_strdup(a, *p)))
		return -1;
	return 0;
}

static int value_keep(struct netsh_value *v, struct arena *a)
{
	if (text_keep(&v->text, a) || text_keep(&v->host, a) || text_keep(&v->ca.name, a))
		return -1;
	if (v->mm && !(v->mm = arena_memdup(a, v->mm, v->n * sizeof(*v->mm))))
		return -1;
	if (v->qm && !(v->qm = arena_memdup(a, v->qm, v->n * sizeof(*v->qm))))
		return -1;
	return 0;
}

/* The caller's args live as long as his line. */
static int remember(struct session *s, const struct netsh_args *args, struct err *err)
{
	struct netsh_args copy = *args, *log;

	if (!s->log_arena && !(s->log_arena = arena_new(0)))
		return err_nomem(err);
	copy.values = arena_memdup(s->log_arena, args->values, args->n_values * sizeof(*args->values));
	log = arena_grow(s->log_arena, s->log, s->n_log, sizeof(*log));
	if (!copy.values || !log)
		return err_nomem(err);
	s->log = log;
	for (size_t i = 0; i < copy.n_values; i++)
		if (value_keep(&copy.values[i], s->log_arena))
			return err_nomem(err);
	log[s->n_log++] = copy;
	return 0;
}

/* "add rule name='Web'": enough to know which one it was, and no key. */
static int command_label(struct err *err, const struct netsh_args *a, size_t number, size_t n)
{
	static const char *const tags[] = { "name", "filterlist", "policy", "guid", "id", "file" };
	const struct netsh_value *v = NULL;

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]) && !v; i++)
		v = netsh_arg(a, tags[i]);
	return err_prefix(err, "command %zu of %zu, %s%s%s%s%s%.60s%s", number, n, a->command->verb,
	    *a->command->object ? " " : "", a->command->object, v ? " " : "", v ? v->tag->name : "",
	    v ? "=" : "", v && v->text ? v->text : "");
}

/* 1: done, but not all that was asked for, and *err says what. */
static int edit_run(struct session *s, const struct netsh_args *a, FILE *out, struct err *err)
{
	if (a->command->id == CMD_IMPORTPOLICY)
		return exchange_import(&s->edit, s->backend, a, out, err);
	return static_edit(&s->edit, s->backend, a, err);
}

/* What is remembered, on what is there now. */
static int replay(struct session *s, struct err *err)
{
	FILE *out = s->n_log ? fopen("/dev/null", "w") : NULL;	/* it was said the first time */
	int rc = 0;

	if (s->n_log && !out)
		return err_set(err, ERR_SYSTEM, "/dev/null: %s", strerror(errno));
	for (size_t i = 0; i < s->n_log && rc >= 0; i++) {
		rc = edit_run(s, &s->log[i], out, err);
		if (rc < 0)
			command_label(err, &s->log[i], i + 1, s->n_log);
	}
	if (out)
		fclose(out);
	return rc < 0 ? -1 : 0;
}

/* The store as it is, with what is remembered done to it. */
static int session_load(struct session *s, struct err *err)
{
	if (s->edit.container)
		return 0;
	if (!s->backend && !(s->backend = s->o.open(&s->o, s->location, s->domain, err)))
		return -1;
	memset(&s->edit, 0, sizeof(s->edit));
	s->edit.location = s->location;
	if (s->backend->load(s->backend, &s->edit, err)) {
		edit_drop(s);
		return -1;
	}
	s->edit.location = s->location;
	if (replay(s, err)) {
		edit_drop(s);
		return -1;
	}
	return 0;
}

/* ---- writing ---- */

static int daemon_tell(const struct session *s, struct err *err)
{
	bool running;

	if (s->location == LOCATION_DOMAIN || !s->o.conf || !s->o.conf->socket)
		return 0;
	return stored_announce(s->o.conf, &running, err) < 0 ? err_prefix(err, "stored, but not in force") : 0;
}

static bool passes(enum err_code code)
{
	return code == ERR_OFFLINE || code == ERR_BUSY || code == ERR_NOMEM;
}

/* Writes; when somebody was faster, does everything again on what he left. */
static int write_out(struct session *s, struct err *err)
{
	struct err why = { .code = ERR_NONE };

	for (int i = 0; i < TRIES; i++) {
		if (session_load(s, err)) {
			if (i && !passes(err->code))
				err_prefix(err, "the store has changed meanwhile and nothing was written");
			return -1;
		}
		if (!s->backend->save(s->backend, &s->edit, &why))
			return 0;
		/* What is in memory is not what the store holds any more. */
		edit_drop(s);
		if (why.code != ERR_BUSY)
			break;
	}
	*err = why;
	if (why.code == ERR_BUSY)
		err_prefix(err, "tried %d times", TRIES);
	return err_prefix(err, "writing the %s store", location_name(s->location));
}

int session_flush(struct session *s, struct err *err)
{
	if (!s->n_log)
		return 0;
	if (write_out(s, err)) {
		if (!passes(err->code))
			log_drop(s);
		return -1;
	}
	log_drop(s);
	edit_drop(s);
	return daemon_tell(s, err);
}

/* ---- commands ---- */

static bool collects(const struct session *s)
{
	return s->batch || s->o.deferred || s->o.atomic;
}

static void advise(const struct session *s, const struct netsh_args *a, FILE *out)
{
	if (s->o.json)
		return;
	if (s->location == LOCATION_PERSISTENT && s->n_log <= 1)
		fprintf(out, "persistent policy takes effect at the next start of the service\n");
	if (s->location == LOCATION_DOMAIN && a->command->id == CMD_SET_POLICY && !arg_yes(a, "assign", true))
		fprintf(out, "unassigned; before the policy is deleted wait until all members have refreshed (24 hours)\n");
}

static int edit_command_run(struct session *s, const struct netsh_args *a, FILE *out, struct err *err)
{
	struct err missed;
	int rc;

	/* Each command by itself looks at what is there now. */
	if (!s->n_log)
		edit_drop(s);
	if (session_load(s, err))
		return -1;
	rc = edit_run(s, a, out, &missed);
	if (rc < 0) {
		*err = missed;
		/* It was left as it was, unless memory ran out in the middle. */
		if (err->code == ERR_NOMEM)
			edit_drop(s);
		return -1;
	}
	if (remember(s, a, err)) {
		edit_drop(s);
		return -1;
	}
	if (!collects(s) && session_flush(s, err)) {
		log_drop(s);
		edit_drop(s);
		return -1;
	}
	advise(s, a, out);
	if (rc)
		*err = missed;
	return rc ? -1 : 0;
}

static bool domain_same(const char *x, const char *y)
{
	return x && y ? ascii_equal(x, y) : x == y;
}

static int store_set(struct session *s, const struct netsh_args *a, struct err *err)
{
	const char *domain = arg_text(a, "domain", NULL), *kept = NULL;
	enum store_location location = LOCATION_LOCAL;

	for (int i = LOCATION_LOCAL; i <= LOCATION_DOMAIN; i++)
		if (arg_word(a, "location", location_name((enum store_location)i)))
			location = (enum store_location)i;
	if (domain && location != LOCATION_DOMAIN)
		return err_set(err, ERR_FORMAT, "domain= is for location=domain");
	if (location == LOCATION_DOMAIN && !domain)
		domain = s->o.domain;
	if (location == s->location && domain_same(domain, s->domain))
		return 0;
	if (domain && !(kept = arena_strdup(s->arena, domain)))
		return err_nomem(err);
	if (s->n_log && s->o.atomic)
		return err_set(err, ERR_UNSUPPORTED, "%zu commands for the %s store are not written yet: all or nothing is for one store only",
		    s->n_log, location_name(s->location));
	if (session_flush(s, err))
		return -1;
	edit_drop(s);
	if (s->backend)
		s->backend->close(s->backend);
	s->backend = NULL;
	s->location = location;
	s->domain = kept;
	return 0;
}

/* Says where, without going there: only what was used already is connected. */
static int store_show(struct session *s, FILE *out, struct err *err)
{
	const char *where;

	if (!s->backend && !(s->backend = s->o.open(&s->o, s->location, s->domain, err)))
		return -1;
	where = s->backend->where(s->backend);
	if (s->o.json)
		return json_print(json_pack("{s:s, s:s, s:s?}", "store", location_name(s->location), "where", where, "domain", s->domain), out, err);
	list_line(out, "Store", location_name(s->location));
	list_line(out, "Where", where);
	return 0;
}

static int batch_set(struct session *s, const struct netsh_args *a, struct err *err)
{
	bool enable = arg_word(a, "mode", "enable");

	if (!enable && !s->o.deferred && !s->o.atomic && session_flush(s, err))
		return -1;
	s->batch = enable;
	return 0;
}

static int batch_show(const struct session *s, FILE *out, struct err *err)
{
	char text[32];

	if (s->o.json)
		return json_print(json_pack("{s:s, s:I}", "batch", s->batch ? "enable" : "disable", "pending", (json_int_t)s->n_log), out, err);
	list_line(out, "Batch", s->batch ? "enable" : "disable");
	snprintf(text, sizeof(text), "%zu", s->n_log);
	list_line(out, "Not written yet", text);
	return 0;
}

static int look(struct session *s, const struct netsh_args *a, FILE *out, struct err *err)
{
	if (!s->n_log)
		edit_drop(s);
	if (session_load(s, err))
		return -1;
	if (a->command->id == CMD_EXPORTPOLICY)
		return exchange_export(&s->edit, s->backend, a, out, err);
	return static_show(&s->edit, s->backend, a, s->o.json, out, err);
}

int session_run(struct session *s, const struct netsh_args *a, FILE *out, struct err *err)
{
	switch (a->command->id) {
	case CMD_SET_STORE:
		return store_set(s, a, err);
	case CMD_SHOW_STORE:
		return store_show(s, out, err);
	case CMD_SET_BATCH:
		return batch_set(s, a, err);
	case CMD_SHOW_BATCH:
		return batch_show(s, out, err);
	case CMD_SHOW_POLICY: case CMD_SHOW_RULE: case CMD_SHOW_FILTERLIST: case CMD_SHOW_FILTERACTION:
	case CMD_SHOW_ALL: case CMD_SHOW_GPOASSIGNEDPOLICY: case CMD_EXPORTPOLICY:
		return look(s, a, out, err);
	default:
		return edit_command_run(s, a, out, err);
	}
}
