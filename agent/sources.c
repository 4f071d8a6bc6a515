#include "agent/sources.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/bootimage.h"
#include "agent/conf.h"
#include "agent/ctl.h"
#include "nft/render.h"
#include "schema/arena.h"
#include "schema/policy.h"
#include "store/active.h"
#include "store/settings.h"

#define ANNOUNCE_SECONDS	60

/* ---- what is stored ---- */

static int from_registry(struct stored *s, const struct conf *c, struct err *err)
{
	struct store *reg = registry_open(c->state_dir, STORE_READ, err);
	int rc = -1;

	if (!reg)
		return -1;
	/* One state of it: a policy that becomes usable in between must not look like none. */
	if (store_begin_reading(reg, err) == 0 && settings_load(&s->settings, reg, err) == 0 &&
	    active_read(&s->persistent, &s->persistent_err, reg, REG_PERSISTENT, err) == 0 &&
	    active_read(&s->local, &s->local_err, reg, REG_LOCAL, err) == 0)
		rc = 0;
	store_close(reg);
	return rc;
}

static int part_copy(char **ret, const struct gen_part *parts, size_t n, const char *name, struct err *err)
{
	const struct gen_part *p = part_find(parts, n, name);

	if (!p)
		return 0;
	*ret = strdup(p->text);
	return *ret ? 0 : err_nomem(err);
}

static int from_image(struct stored *s, const struct conf *c, struct err *err)
{
	struct arena *a = arena_new(0);
	struct gen_part *parts = NULL;
	enum boot_mode mode;
	char path[PATH_MAX];
	size_t n = 0;
	int rc = -1;

	bootimage_path(path, c);
	if (!a)
		err_nomem(err);
	else if (image_read(path, &parts, &n, a, err) == 0 && bootimage_mode(&mode, &s->settings, parts, n, err) == 0 &&
	    part_copy(&s->persistent, parts, n, "persistent", err) == 0 && part_copy(&s->local, parts, n, "local", err) == 0)
		rc = 0;
	arena_free(a);
	return rc;
}

static bool stored_empty(const struct stored *s)
{
	struct settings d;

	settings_default(&d);
	return !s->persistent && !s->local && settings_equal(&s->settings, &d);
}

void stored_free(struct stored *s)
{
	free(s->persistent);
	free(s->local);
	*s = (struct stored){ 0 };
	settings_default(&s->settings);
}

int stored_load(struct stored *ret, const struct conf *c, struct err *err)
{
	struct stored s = { 0 };
	struct err why = { 0 };

	settings_default(&s.settings);
	if (from_registry(&s, c, &why) == 0) {
		*ret = s;
		return 0;
	}
	/* Whatever it is, damage or a lock that somebody holds: the image is what was committed last. */
	stored_free(&s);
	if (from_image(&s, c, err) < 0) {
		stored_free(&s);
		/* A new host has neither. */
		if (why.code == ERR_ABSENT && err->code == ERR_ABSENT) {
			s.absent = true;
			*ret = s;
			return 0;
		}
		if (why.code != ERR_ABSENT)
			*err = why;
		return -1;
	}
	s.absent = why.code == ERR_ABSENT;
	if (why.code != ERR_ABSENT || !stored_empty(&s)) {
		s.lost = why;
		err_prefix(&s.lost, "what the administrator stored is taken from the boot image");
	}
	*ret = s;
	return 0;
}

int stored_create(const struct stored *s, const struct conf *c, struct err *err)
{
	struct store *reg;

	if (!s->absent || s->lost.code != ERR_NONE)
		return 0;
	reg = registry_open(c->state_dir, STORE_WRITE, err);
	store_close(reg);
	return reg ? 0 : -1;
}

int stored_edit_check(const struct conf *c, struct err *err)
{
	struct stored s;
	int rc = 0;

	if (stored_load(&s, c, err) < 0)
		return -1;
	if (s.absent && s.lost.code != ERR_NONE)
		rc = err_set(err, ERR_DAMAGED, "registry.db is gone, and boot.image still holds what was stored: 'ipsecpol reg restore' brings it back");
	stored_free(&s);
	return rc;
}

/* ---- what is in force ---- */

static int text_policy(struct ipsec_policy **ret, const char *text, const struct err *unusable, const char *what, struct err *err)
{
	if (unusable->code != ERR_NONE) {
		*err = *unusable;
		return -1;
	}
	*ret = NULL;
	if (text && policy_read(ret, text, strlen(text), err) < 0)
		return err_prefix(err, "%s policy", what);
	return 0;
}

int sources_load(struct sources *ret, const struct stored *s, bool persistent, struct err *err)
{
	struct ipsec_policy *p = NULL, *l = NULL;

	if (persistent && text_policy(&p, s->persistent, &s->persistent_err, "persistent", err) < 0)
		return -1;
	if (text_policy(&l, s->local, &s->local_err, "local", &ret->local_err) == 0)
		ret->local_err = (struct err){ 0 };
	if (persistent) {
		policy_free(ret->persistent);
		ret->persistent = p;
	}
	policy_free(ret->local);
	ret->local = l;
	ret->settings = s->settings;
	return 0;
}

void sources_init(struct sources *s)
{
	*s = (struct sources){ 0 };
	settings_default(&s->settings);
}

void sources_free(struct sources *s)
{
	policy_free(s->persistent);
	policy_free(s->local);
	for (size_t i = 0; i < s->n_dynamic; i++) {
		policy_free(s->dynamic[i]);
		free(s->dynamic_hooks[i]);
	}
	free(s->dynamic);
	free(s->dynamic_hooks);
	sources_init(s);
}

bool sources_any(const struct sources *s, bool domain)
{
	return domain || s->persistent || s->local || s->local_err.code != ERR_NONE || s->n_dynamic;
}

void sources_options(struct render_options *o, const struct sources *s, const struct conf *c)
{
	const struct settings *set = &s->settings;

	*o = (struct render_options){
		.ipsecexempt = set->ipsecexempt >= 0 ? (unsigned)set->ipsecexempt : c->ipsecexempt,
		.lifeline = c->lifeline, .any_is_ipv4 = c->any_is_ipv4,
		.diagnostics = settings_diagnostics(set, time(NULL)),
	};
}

int sources_gather(struct render_source **ret, size_t *ret_n, const struct sources *s, const struct ipsec_policy *domain, const char *gpo, const char *gpo_name, struct err *err)
{
	struct render_source *all = calloc(s->n_dynamic + 2, sizeof(*all));
	size_t n = 0;

	if (!all)
		return err_nomem(err);
	if (s->persistent)
		all[n++] = (struct render_source){ .policy = s->persistent, .store = RENDER_PERSISTENT };
	if (domain) {
		all[n] = (struct render_source){ .policy = domain, .store = RENDER_DOMAIN, .gpo_name = gpo_name };
		if (*gpo && !guid_parse(&all[n++].gpo, gpo, strlen(gpo))) {
			free(all);
			return err_set(err, ERR_FORMAT, "GPO id '%s' is not a GUID", gpo);
		}
		n += !*gpo;
	} else if (s->local) {
		all[n++] = (struct render_source){ .policy = s->local, .store = RENDER_LOCAL };
	}
	for (size_t i = 0; i < s->n_dynamic; i++)
		all[n++] = (struct render_source){ .policy = s->dynamic[i], .store = RENDER_DYNAMIC, .rule_hooks = s->dynamic_hooks[i] };
	*ret = all;
	*ret_n = n;
	return 0;
}

int sources_render(struct ruleset **ret, const struct sources *s, const struct conf *c, const struct ipsec_policy *domain, const char *gpo, const char *gpo_name,
    const struct host_facts *facts, struct err *err)
{
	struct render_source *all = NULL;
	struct render_options o;
	size_t n = 0;
	int rc;

	if (!domain && s->local_err.code != ERR_NONE) {
		*err = s->local_err;
		return -1;
	}
	if (!sources_any(s, domain)) {
		*ret = NULL;
		return 0;
	}
	if (sources_gather(&all, &n, s, domain, gpo, gpo_name, err) < 0)
		return -1;
	sources_options(&o, s, c);
	rc = policy_render(ret, all, n, facts, &o, err);
	free(all);
	return rc;
}

/* ---- telling the service ---- */

int stored_announce(const struct conf *c, bool *running, struct err *err)
{
	struct stored s;
	json_t *r = NULL;
	int rc;

	*running = true;
	if (ctl_ask(&r, c->socket, "org.ipsecpol.StoreChanged", NULL, ANNOUNCE_SECONDS, err) == 0) {
		json_decref(r);
		return 0;
	}
	*running = false;
	if (err->code != ERR_OFFLINE)
		return -1;
	if (stored_load(&s, c, err) < 0)
		return -1;
	rc = bootimage_update(c, &s, NULL, 0, err);
	stored_free(&s);
	return rc;
}
