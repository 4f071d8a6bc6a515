/* `ipsecpold --boot`: the startup mode into the kernel, before the network is there, from the boot
 * image alone.  Afterwards the daemon replaces the table by the policy's in one transaction. */
#include "agent/daemon.h"

#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "agent/bootimage.h"
#include "agent/conf.h"
#include "agent/log.h"
#include "nft/nlsock.h"
#include "nft/render.h"
#include "nft/ruleset.h"
#include "schema/arena.h"

static bool exists(const struct conf *c, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", c->state_dir, name);
	return access(path, F_OK) == 0;
}

/* No image: nothing was ever assigned here; but beside a store it was lost, or not written yet, and stateful is what
 * automatic would be.  One that cannot be believed: block, until the daemon has found out what should be in force. */
static void choose(enum boot_mode *mode, struct settings *s, const struct conf *c)
{
	struct gen_part *parts = NULL;
	struct arena *a = arena_new(0);
	char path[PATH_MAX];
	struct err err = { 0 };
	size_t n = 0;

	settings_default(s);
	*mode = BOOT_PERMIT;
	bootimage_path(path, c);
	if (!a) {
		err_nomem(&err);
	} else if (image_read(path, &parts, &n, a, &err) == 0) {
		bootimage_mode(mode, s, parts, n, &err);
	} else if (err.code == ERR_ABSENT) {
		err = (struct err){ 0 };
		*mode = exists(c, "registry.db") || exists(c, "store.db") ? BOOT_STATEFUL : BOOT_PERMIT;
	}
	arena_free(a);
	if (err.code == ERR_NONE)
		return;
	log_event(LOG_CRIT, "image-damaged", NULL, "startup mode block, because the boot image cannot be used: %s", err.msg);
	settings_default(s);
	*mode = BOOT_BLOCK;
}

static int enter(enum boot_mode mode, const struct settings *s, const struct conf *c, struct err *err)
{
	struct render_options o = { .ipsecexempt = c->ipsecexempt, .diagnostics = s->diagnostics };
	struct ruleset *want = NULL, *have = NULL;
	struct apply_report rep;
	struct nlsock *nl = nlsock_open(err);
	int rc = -1;

	if (!nl)
		return -1;
	if (nlsock_fetch(nl, &have, err) < 0)
		goto out;
	/* A policy in force is not to be replaced by a startup mode. */
	if (have) {
		log_event(LOG_NOTICE, "startup-mode", NULL, "there is a table already, it stays");
		rc = 0;
		goto out;
	}
	if (boot_render(&want, mode, s, NULL, &o, err) == 0 && nlsock_apply(nl, want, &rep, NULL, err) == 0) {
		log_event(LOG_NOTICE, "startup-mode", NULL, "startup mode %s, with %zu boot exemptions", mode == BOOT_BLOCK ? "block" : "stateful",
		    s->n_exemptions);
		rc = 0;
	}
out:
	ruleset_free(have);
	ruleset_free(want);
	nlsock_close(nl);
	return rc;
}

int boot_main(const char *conf_file)
{
	struct settings s;
	struct conf *c = NULL;
	struct err err = { 0 };
	enum boot_mode mode;
	int rc = 0;

	if (conf_read(&c, conf_file, &err) < 0) {
		log_event(LOG_ERR, "config-refused", NULL, "%s; the built-in configuration is used", err.msg);
		if (conf_parse(&c, "built-in", "", 0, &err) < 0) {
			log_event(LOG_ALERT, "start-failed", NULL, "%s", err.msg);
			return 1;
		}
	}
	choose(&mode, &s, c);
	if (mode == BOOT_PERMIT) {
		log_event(LOG_INFO, "startup-mode", NULL, "startup mode permit: nothing is filtered until the service starts");
	} else if (enter(mode, &s, c, &err) < 0) {
		log_event(LOG_ALERT, "start-failed", NULL, "the startup mode could not be entered, the host is OPEN until the service starts: %s", err.msg);
		rc = 1;
	}
	conf_free(c);
	return rc;
}
