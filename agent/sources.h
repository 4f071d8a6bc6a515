/* agent/sources.h - the policies of this host beside the domain's: persistent and local, as
 * registry.db holds them, and the dynamic rules; and the service's settings.  SHELL.
 *
 * In force together: persistent + (domain, else its cached copy, else local) + dynamic. */
#ifndef AGENT_SOURCES_H
#define AGENT_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/err.h"
#include "schema/settings.h"
#include "store/store.h"

struct conf;
struct host_facts;
struct ipsec_policy;
struct ruleset;

/* What the administrator has stored: assigned policies as sealed texts. */
struct stored {
	struct settings	 settings;
	char		*persistent, *local;	/* NULL: none is assigned, or it cannot be used */
	struct err	 persistent_err, local_err;	/* code NONE, or why it cannot */
	bool		 absent;		/* there is no registry.db */
	struct err	 lost;			/* registry.db is damaged or gone, and this is what the boot image
						 * remembers of it; code NONE: it is all right */
};

/* -1: neither registry.db nor, when that is damaged, the boot image can be read: then it is not
 * known what should be in force.  No file, and no trace of one in the image: nothing is stored. */
int stored_load(struct stored *ret, const struct conf *c, struct err *err);
void stored_free(struct stored *s);

/* What is in force. */
struct sources {
	struct settings		  settings;
	struct ipsec_policy	 *persistent;	/* as it was when the service started */
	struct ipsec_policy	 *local;	/* used while the domain assigns nothing */
	struct err		  local_err;	/* it is assigned and cannot be used: then nothing can be rendered without a domain policy */
	struct ipsec_policy	**dynamic;	/* with their rules' hooks, see nft/render.h */
	uint8_t			**dynamic_hooks;
	size_t			  n_dynamic;
};
void sources_init(struct sources *s);	/* default settings, no policy */
void sources_free(struct sources *s);	/* policies and hooks, the dynamic ones too; then as after sources_init */

/* Settings and policies of what is stored; persistent only when asked for: it changes with
 * the service's start alone.  A local policy that cannot be used is no error: why is in local_err.  -1: the persistent
 * one cannot be used; *ret is as it was. */
int sources_load(struct sources *ret, const struct stored *s, bool persistent, struct err *err);
bool sources_any(const struct sources *s, bool domain);	/* is anything in force, with or without a domain policy */

/* The table of all that is in force; domain NULL: none, then the local one.  *ret NULL: nothing is.
 * gpo: GUID text or "". */
int sources_render(struct ruleset **ret, const struct sources *s, const struct conf *c, const struct ipsec_policy *domain, const char *gpo, const char *gpo_name,
    const struct host_facts *facts, struct err *err);
struct render_options;
struct render_source;
/* The same sources as the renderer takes them; they point into s and domain.  free(*ret). */
int sources_gather(struct render_source **ret, size_t *ret_n, const struct sources *s, const struct ipsec_policy *domain, const char *gpo, const char *gpo_name, struct err *err);
void sources_options(struct render_options *o, const struct sources *s, const struct conf *c);

/* Makes an empty registry.db where there never was one: when it is missed later, somebody removed it.  Nothing when it
 * is there, or was lost (s->lost). */
int stored_create(const struct stored *s, const struct conf *c, struct err *err);

/* Before an edit makes a registry.db: ERR_DAMAGED when there was one, and the only copy of what it held would go. */
int stored_edit_check(const struct conf *c, struct err *err);

/* After an edit of registry.db: the running service puts it in force, or, when none runs, the boot image
 * is brought up to date.  *running: whether one did.  -1: what is stored is not in force, or not in the image. */
int stored_announce(const struct conf *c, bool *running, struct err *err);

#endif
