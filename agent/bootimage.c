#include "agent/bootimage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/conf.h"
#include "agent/sources.h"
#include "schema/arena.h"
#include "schema/err.h"

static const char *const stored_parts[] = { "settings", "persistent", "local" };
#define N_STORED	(sizeof(stored_parts) / sizeof(stored_parts[0]))

void bootimage_path(char out[static PATH_MAX], const struct conf *c)
{
	snprintf(out, PATH_MAX, "%s/boot.image", c->state_dir);
}

bool bootimage_is_domain_part(const char *name)
{
	for (size_t i = 0; i < N_STORED; i++)
		if (!strcmp(name, stored_parts[i]))
			return false;
	return true;
}

static bool same_parts(const struct gen_part *x, size_t n_x, const struct gen_part *y, size_t n_y)
{
	const struct gen_part *q;

	if (n_x != n_y)
		return false;
	for (size_t i = 0; i < n_x; i++) {
		q = part_find(y, n_y, x[i].name);
		if (!q || q->len != x[i].len || memcmp(q->text, x[i].text, q->len))
			return false;
	}
	return true;
}

static struct gen_part text_part(const char *name, const char *text)
{
	return (struct gen_part){ name, text, strlen(text) };
}

static int settings_text(char **ret, const struct settings *s, struct err *err)
{
	size_t len = 0;
	FILE *out;

	*ret = NULL;
	out = open_memstream(ret, &len);
	if (out && settings_write(s, out) == 0 && fclose(out) == 0)
		return 0;
	return err_nomem(err);
}

/* Of the domain what is given, else what was there; of this host what it has stored, but
 * of a policy that cannot be used the copy that could. */
static size_t choose(struct gen_part *new, const struct stored *s, const char *settings, const struct gen_part *domain, size_t n_domain,
    const struct gen_part *old, size_t n_old)
{
	const struct gen_part *p;
	size_t n = 0;

	if (!domain) {
		domain = old;
		n_domain = n_old;
	}
	for (size_t i = 0; i < n_domain; i++)
		if (bootimage_is_domain_part(domain[i].name))
			new[n++] = domain[i];
	if (*settings)
		new[n++] = text_part("settings", settings);
	if (s->persistent)
		new[n++] = text_part("persistent", s->persistent);
	else if (s->persistent_err.code != ERR_NONE && (p = part_find(old, n_old, "persistent")))
		new[n++] = *p;
	if (s->local)
		new[n++] = text_part("local", s->local);
	else if (s->local_err.code != ERR_NONE && (p = part_find(old, n_old, "local")))
		new[n++] = *p;
	return n;
}

int bootimage_update(const struct conf *c, const struct stored *s, const struct gen_part *domain, size_t n_domain, struct err *err)
{
	struct gen_part *old = NULL, *new;
	struct arena *a = arena_new(0);
	char path[PATH_MAX], *settings = NULL;
	size_t n_old = 0, n;
	struct err ignored;
	int rc = -1;

	bootimage_path(path, c);
	if (!a) {
		err_nomem(err);
		goto out;
	}
	if (settings_text(&settings, &s->settings, err) < 0)
		goto out;
	/* One that cannot be read is replaced. */
	if (image_read(path, &old, &n_old, a, &ignored) < 0)
		n_old = 0;
	new = arena_zalloc(a, n_old + n_domain + N_STORED, sizeof(*new));
	if (!new) {
		err_nomem(err);
		goto out;
	}
	n = choose(new, s, settings, domain, n_domain, old, n_old);
	rc = old && same_parts(old, n_old, new, n) ? 0 : image_write(path, new, n, err);
out:
	free(settings);
	arena_free(a);
	return rc;
}

int bootimage_mode(enum boot_mode *ret, struct settings *s, const struct gen_part *parts, size_t n, struct err *err)
{
	const struct gen_part *p = part_find(parts, n, "settings");
	bool assigned = part_find(parts, n, "policy") || part_find(parts, n, "persistent") || part_find(parts, n, "local");

	settings_default(s);
	if (p && settings_read(s, p->text, p->len, err) < 0)
		return -1;
	*ret = s->boot_mode != BOOT_AUTO ? s->boot_mode : assigned ? BOOT_STATEFUL : BOOT_PERMIT;
	return 0;
}
