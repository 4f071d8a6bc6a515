#include "store/settings.h"

#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/rd.h"
#include "schema/settings.h"
#include "store/store.h"
#include "store/store_db.h"

#define OAKLEY	"SYSTEM\\CurrentControlSet\\Services\\PolicyAgent\\Oakley"

/* OperationMode; 2 is the driver's secure mode, which nobody sets. */
static const struct {
	uint32_t	number;
	enum boot_mode	mode;
} modes[] = { { 0, BOOT_PERMIT }, { 1, BOOT_BLOCK }, { 3, BOOT_STATEFUL } };

#define N_MODES	(sizeof(modes) / sizeof(modes[0]))

/* One value each; the numbers have the text of setting_parse. */
static const struct place {
	enum setting	 setting;
	const char	*key, *name;
	enum reg_type	 type;
} places[] = {
	{ SET_BOOTMODE, REG_SERVICE, "OperationMode", REG_DWORD },
	{ SET_BOOTEXEMPTIONS, REG_SERVICE, "BootExemptList", REG_MULTI_SZ },
	{ SET_IPSECEXEMPT, REG_SERVICE, "NoDefaultExempt", REG_DWORD },
	{ SET_DIAGNOSTICS, REG_SERVICE, "EnableDiagnostics", REG_DWORD },
	{ SET_DIAGNOSTICS_UNTIL, REG_SERVICE, "DiagnosticsUntil", REG_QWORD },
	{ SET_LOGINTERVAL, REG_SERVICE, "LogInterval", REG_DWORD },
	{ SET_IKELOGGING, OAKLEY, "EnableLogging", REG_DWORD },
	{ SET_STRONGCRLCHECK, OAKLEY, "StrongCrlCheck", REG_DWORD },
};

#define N_PLACES	(sizeof(places) / sizeof(places[0]))

static uint64_t number_of(const struct reg_value *v)
{
	uint64_t n = 0;

	for (size_t i = v->len; i > 0; i--)
		n = n << 8 | v->p[i - 1];
	return n;
}

static int mode_text(char *out, size_t size, uint64_t number, struct err *err)
{
	struct settings s;
	char text[SETTING_TEXT];

	settings_default(&s);
	for (size_t i = 0; i < N_MODES; i++)
		if (modes[i].number == number) {
			s.boot_mode = modes[i].mode;
			setting_text(&s, SET_BOOTMODE, text);
			snprintf(out, size, "%s", text);
			return 0;
		}
	return err_set(err, ERR_FORMAT, "%llu is none of 0, 1, 3", (unsigned long long)number);
}

/* The strings with blanks between them; one with a blank or comma within would be two. */
static int list_text(char *out, size_t size, const struct reg_value *v, struct err *err)
{
	const char *p = (const char *)v->p, *end = p + v->len;
	size_t len = 0, n;

	strcpy(out, v->len ? "" : "none");
	for (; p < end; p += n + 1) {
		n = strlen(p);
		if (strpbrk(p, " \t,"))
			return err_set(err, ERR_FORMAT, "'%.80s' is not one exemption", p);
		if (len + n + 2 > size)
			return err_set(err, ERR_LIMIT, "too many exemptions");
		len += (size_t)sprintf(out + len, "%s ", p);
	}
	return 0;
}

static int place_parse(struct settings *s, const struct place *p, const struct reg_value *v, struct err *err)
{
	char text[SETTING_TEXT];

	if (v->type != p->type)
		return err_set(err, ERR_FORMAT, "not of type %s", p->type == REG_DWORD ? "REG_DWORD" : p->type == REG_QWORD ? "REG_QWORD" : "REG_MULTI_SZ");
	if (p->setting == SET_BOOTMODE) {
		if (mode_text(text, sizeof(text), number_of(v), err) < 0)
			return -1;
	} else if (p->setting == SET_BOOTEXEMPTIONS) {
		if (list_text(text, sizeof(text), v, err) < 0)
			return -1;
	} else {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)number_of(v));
	}
	return setting_parse(s, p->setting, text, err);
}

static int places_load(struct settings *s, struct store *registry, struct arena *a, struct err *err)
{
	struct reg_value v;
	int r;

	settings_default(s);
	for (size_t i = 0; i < N_PLACES; i++) {
		r = reg_get(registry, places[i].key, places[i].name, &v, a, err);
		if (r < 0)
			return -1;
		if (r > 0 && place_parse(s, &places[i], &v, err) < 0)
			return err_prefix(err, "key '%s': value '%s'", places[i].key, places[i].name);
	}
	return 0;
}

int settings_load(struct settings *ret, struct store *registry, struct err *err)
{
	struct arena *a = arena_new(0);
	struct settings s;
	int rc = -1;
	bool own;

	if (!a)
		return err_nomem(err);
	if (store_read_begin(registry, &own, err) == 0) {
		rc = places_load(&s, registry, a, err);
		store_read_end(registry, own);
	}
	if (rc == 0)
		*ret = s;
	arena_free(a);
	return rc;
}

static int number_save(struct store *registry, const struct place *p, uint64_t n, struct err *err)
{
	struct reg_value v = { p->name, p->type, NULL, p->type == REG_DWORD ? 4 : 8 };
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(n >> 8 * i);
	v.p = b;
	return reg_set(registry, p->key, &v, err);
}

static int list_save(struct store *registry, const struct place *p, const struct settings *s, struct err *err)
{
	struct reg_value v = { p->name, p->type, NULL, 0 };
	struct wr w = { 0 };
	char text[64];
	int rc;

	for (size_t i = 0; i < s->n_exemptions; i++) {
		exemption_text(&s->exemptions[i], text, sizeof(text));
		wr_bytes(&w, text, strlen(text) + 1);
	}
	v.p = w.p;
	v.len = w.len;
	rc = w.bad ? err_nomem(err) : reg_set(registry, p->key, &v, err);
	free(w.p);
	return rc;
}

static int place_save(struct store *registry, const struct place *p, const struct settings *s, struct err *err)
{
	char text[SETTING_TEXT];

	if (p->setting == SET_BOOTEXEMPTIONS)
		return list_save(registry, p, s, err);
	if (p->setting == SET_BOOTMODE) {
		for (size_t i = 0; i < N_MODES; i++)
			if (modes[i].mode == s->boot_mode)
				return number_save(registry, p, modes[i].number, err);
		return err_set(err, ERR_FORMAT, "bootmode %d is none", (int)s->boot_mode);
	}
	setting_text(s, p->setting, text);
	return number_save(registry, p, strtoull(text, NULL, 10), err);
}

int settings_save(struct store *registry, const struct settings *s, struct err *err)
{
	for (size_t i = 0; i < N_PLACES; i++) {
		const struct place *p = &places[i];

		if (setting_is_default(s, p->setting)) {
			if (reg_delete_value(registry, p->key, p->name, err) < 0)
				return -1;
		} else if (place_save(registry, p, s, err) < 0) {
			return -1;
		}
	}
	return 0;
}
