#include "schema/settings.h"

#include <stdlib.h>
#include <string.h>

#include "schema/ascii.h"
#include "schema/err.h"

#define TCP		6
#define UDP		17
#define BLANKS		" \t,"

enum kind { KIND_BOOTMODE, KIND_EXEMPTIONS, KIND_NUMBER };

static const struct property {
	const char	*name, *values;
	enum kind	 kind;
	const char	*otherwise;	/* word for the default beside "default"; NULL: none */
	int64_t		 min, max, initial;
} properties[N_SETTINGS] = {
	[SET_BOOTMODE] = { "bootmode", "stateful|block|permit|auto", KIND_BOOTMODE, NULL, 0, 0, BOOT_AUTO },
	[SET_BOOTEXEMPTIONS] = { "bootexemptions", "none|PROTOCOL:SRCPORT:DSTPORT:inbound|outbound|PROTOCOL:inbound|outbound", KIND_EXEMPTIONS, "none", 0, 0, 0 },
	[SET_IPSECEXEMPT] = { "ipsecexempt", "0..3", KIND_NUMBER, NULL, 0, 3, -1 },
	[SET_DIAGNOSTICS] = { "ipsecdiagnostics", "0..7", KIND_NUMBER, NULL, 0, DIAG_ALL, 0 },
	[SET_DIAGNOSTICS_UNTIL] = { "ipsecdiagnosticsuntil", "none|SECONDS since 1970", KIND_NUMBER, "none", 0, SETTINGS_MAX_TIME, 0 },
	[SET_LOGINTERVAL] = { "ipsecloginterval", "60..86400", KIND_NUMBER, NULL, 60, 86400, SETTINGS_LOG_INTERVAL_DEFAULT },
	[SET_IKELOGGING] = { "ikelogging", "0|1", KIND_NUMBER, NULL, 0, 1, 0 },
	[SET_STRONGCRLCHECK] = { "strongcrlcheck", "0..2", KIND_NUMBER, NULL, 0, 2, 1 },
};

static const char *const mode_names[] = {
	[BOOT_AUTO] = "auto", [BOOT_PERMIT] = "permit", [BOOT_STATEFUL] = "stateful", [BOOT_BLOCK] = "block",
};

#define N_MODES	(sizeof(mode_names) / sizeof(mode_names[0]))

static const struct {
	const char	*name;
	uint8_t		 number;
} protocols[] = { { "icmp", 1 }, { "tcp", TCP }, { "udp", UDP } };

#define N_PROTOCOLS	(sizeof(protocols) / sizeof(protocols[0]))

/* ---- words ------------------------------------------------------------------------ */

static bool word_begins(const char *word, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++)
		if (ascii_lower((uint8_t)word[i]) != (uint8_t)name[i])
			return false;
	return true;
}

static bool word_is(const char *word, size_t len, const char *name)
{
	return word_begins(word, len, name) && name[len] == '\0';
}

/* Digits only; max is far from overflowing. */
static bool number_parse(int64_t *ret, const char *word, size_t len, int64_t max)
{
	int64_t v = 0;

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9')
			return false;
		v = v * 10 + (word[i] - '0');
		if (v > max)
			return false;
	}
	*ret = v;
	return true;
}

const char *setting_name(enum setting k)
{
	return properties[k].name;
}

const char *setting_values(enum setting k)
{
	return properties[k].values;
}

int setting_find(const char *name)
{
	size_t len = strlen(name);
	int found = -1, n = 0;

	for (int k = 0; k < N_SETTINGS; k++) {
		if (word_is(name, len, properties[k].name))
			return k;
		if (word_begins(name, len, properties[k].name)) {
			found = k;
			n++;
		}
	}
	return n == 1 ? found : -1;
}

/* ---- boot exemptions ---------------------------------------------------------------- */

static const char *protocol_name(uint8_t number)
{
	for (size_t i = 0; i < N_PROTOCOLS; i++)
		if (protocols[i].number == number)
			return protocols[i].name;
	return NULL;
}

unsigned settings_diagnostics(const struct settings *s, int64_t now)
{
	return s->diagnostics_until && s->diagnostics_until <= now ? 0 : s->diagnostics & DIAG_ALL;
}

void exemption_text(const struct boot_exemption *e, char *out, size_t size)
{
	const char *name = protocol_name(e->protocol), *direction = e->outbound ? "outbound" : "inbound";
	char number[4];

	if (!name) {
		snprintf(number, sizeof(number), "%u", e->protocol);
		name = number;
	}
	if (e->protocol == TCP || e->protocol == UDP)
		snprintf(out, size, "%s:%u:%u:%s", name, e->src_port, e->dst_port, direction);
	else
		snprintf(out, size, "%s:%s", name, direction);
}

int exemption_cmp(const struct boot_exemption *a, const struct boot_exemption *b)
{
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	if (a->src_port != b->src_port)
		return a->src_port < b->src_port ? -1 : 1;
	if (a->dst_port != b->dst_port)
		return a->dst_port < b->dst_port ? -1 : 1;
	return (int)a->outbound - (int)b->outbound;
}

static bool protocol_parse(uint8_t *ret, const char *word, size_t len)
{
	int64_t v;

	for (size_t i = 0; i < N_PROTOCOLS; i++)
		if (word_is(word, len, protocols[i].name)) {
			*ret = protocols[i].number;
			return true;
		}
	if (!number_parse(&v, word, len, 255) || v == 0)
		return false;
	*ret = (uint8_t)v;
	return true;
}

/* PROTOCOL:SRCPORT:DSTPORT:DIRECTION, or PROTOCOL:DIRECTION where there are no ports.  NULL: fine; else
 * what is wrong with it. */
static const char *exemption_parse(struct boot_exemption *ret, const char *text, size_t len)
{
	const char *parts[4], *p = text, *end = text + len, *colon;
	size_t lens[4], n = 0;
	int64_t src = 0, dst = 0;

	for (;; p = colon + 1) {
		colon = memchr(p, ':', (size_t)(end - p));
		if (n == 4)
			return "too many parts";
		parts[n] = p;
		lens[n++] = (size_t)((colon ? colon : end) - p);
		if (!colon)
			break;
	}
	if (n != 2 && n != 4)
		return "not PROTOCOL:SRCPORT:DSTPORT:DIRECTION, nor PROTOCOL:DIRECTION";
	*ret = (struct boot_exemption){ 0 };
	if (!protocol_parse(&ret->protocol, parts[0], lens[0]))
		return "the protocol is not tcp, udp, icmp or a number of 1 to 255";
	ret->outbound = word_is(parts[n - 1], lens[n - 1], "outbound");
	if (!ret->outbound && !word_is(parts[n - 1], lens[n - 1], "inbound"))
		return "the direction is not inbound or outbound";
	if (n == 4 && (!number_parse(&src, parts[1], lens[1], UINT16_MAX) || !number_parse(&dst, parts[2], lens[2], UINT16_MAX)))
		return "a port is not a number of 0 to 65535";
	ret->src_port = (uint16_t)src;
	ret->dst_port = (uint16_t)dst;
	if (ret->protocol == TCP || ret->protocol == UDP)
		return n == 4 ? NULL : "ports are missing, 0 is any";
	return src || dst ? "only tcp and udp have ports" : NULL;
}

static int exemption_add(struct settings *s, const struct boot_exemption *e, struct err *err)
{
	size_t at = 0;

	while (at < s->n_exemptions && exemption_cmp(&s->exemptions[at], e) < 0)
		at++;
	if (at < s->n_exemptions && exemption_cmp(&s->exemptions[at], e) == 0)
		return 0;
	if (s->n_exemptions == SETTINGS_MAX_EXEMPTIONS)
		return err_set(err, ERR_LIMIT, "more than %d bootexemptions", SETTINGS_MAX_EXEMPTIONS);
	memmove(&s->exemptions[at + 1], &s->exemptions[at], (s->n_exemptions - at) * sizeof(*e));
	s->exemptions[at] = *e;
	s->n_exemptions++;
	return 0;
}

static int exemptions_parse(struct settings *s, const char *value, struct err *err)
{
	const char *p = value + strspn(value, BLANKS), *wrong;
	struct boot_exemption e;
	size_t len;

	s->n_exemptions = 0;
	memset(s->exemptions, 0, sizeof(s->exemptions));
	if (!*p)
		return err_set(err, ERR_FORMAT, "bootexemptions '%.40s' is empty: 'none' is no exemption", value);
	for (; *p; p += len, p += strspn(p, BLANKS)) {
		len = strcspn(p, BLANKS);
		wrong = exemption_parse(&e, p, len);
		if (wrong)
			return err_set(err, ERR_FORMAT, "bootexemptions '%.*s': %s", len > 80 ? 80 : (int)len, p, wrong);
		if (exemption_add(s, &e, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- one property ------------------------------------------------------------------- */

static int64_t number_get(const struct settings *s, enum setting k)
{
	switch (k) {
	case SET_IPSECEXEMPT:
		return s->ipsecexempt;
	case SET_DIAGNOSTICS:
		return s->diagnostics;
	case SET_DIAGNOSTICS_UNTIL:
		return s->diagnostics_until;
	case SET_LOGINTERVAL:
		return s->log_interval;
	case SET_IKELOGGING:
		return s->ike_logging;
	case SET_STRONGCRLCHECK:
		return s->strong_crl_check;
	case SET_BOOTMODE:
		return s->boot_mode;
	case SET_BOOTEXEMPTIONS:
	case N_SETTINGS:
		break;
	}
	return 0;
}

static void number_set(struct settings *s, enum setting k, int64_t v)
{
	switch (k) {
	case SET_IPSECEXEMPT:
		s->ipsecexempt = (int)v;
		break;
	case SET_DIAGNOSTICS:
		s->diagnostics = (unsigned)v;
		break;
	case SET_DIAGNOSTICS_UNTIL:
		s->diagnostics_until = v;
		break;
	case SET_LOGINTERVAL:
		s->log_interval = (unsigned)v;
		break;
	case SET_IKELOGGING:
		s->ike_logging = (unsigned)v;
		break;
	case SET_STRONGCRLCHECK:
		s->strong_crl_check = (unsigned)v;
		break;
	case SET_BOOTMODE:
		s->boot_mode = (enum boot_mode)v;
		break;
	case SET_BOOTEXEMPTIONS:
		s->n_exemptions = 0;
		memset(s->exemptions, 0, sizeof(s->exemptions));
		break;
	case N_SETTINGS:
		break;
	}
}

bool setting_is_default(const struct settings *s, enum setting k)
{
	return k == SET_BOOTEXEMPTIONS ? s->n_exemptions == 0 : number_get(s, k) == properties[k].initial;
}

static int mode_parse(struct settings *s, const char *value, struct err *err)
{
	for (size_t i = 0; i < N_MODES; i++)
		if (word_is(value, strlen(value), mode_names[i])) {
			s->boot_mode = (enum boot_mode)i;
			return 0;
		}
	return err_set(err, ERR_FORMAT, "bootmode '%.80s' is not one of %s", value, properties[SET_BOOTMODE].values);
}

int setting_parse(struct settings *s, enum setting k, const char *value, struct err *err)
{
	const struct property *p = &properties[k];
	struct settings copy = *s;
	size_t len = strlen(value);
	int64_t v = 0;

	if (word_is(value, len, "default") || (p->otherwise && word_is(value, len, p->otherwise))) {
		number_set(s, k, p->initial);
		return 0;
	}
	if (p->kind == KIND_BOOTMODE)
		return mode_parse(s, value, err);
	if (p->kind == KIND_EXEMPTIONS) {
		if (exemptions_parse(&copy, value, err) < 0)
			return -1;
		*s = copy;
		return 0;
	}
	if (!number_parse(&v, value, len, p->max) || v < p->min)
		return err_set(err, ERR_FORMAT, "%s '%.80s' is not a number of %lld to %lld", p->name, value, (long long)p->min, (long long)p->max);
	number_set(s, k, v);
	return 0;
}

_Static_assert(SETTINGS_MAX_EXEMPTIONS * EXEMPTION_TEXT < SETTING_TEXT, "all exemptions fit");

void setting_text(const struct settings *s, enum setting k, char out[static SETTING_TEXT])
{
	size_t len = 0;

	if (k == SET_BOOTMODE) {
		snprintf(out, SETTING_TEXT, "%s", mode_names[s->boot_mode]);
	} else if (setting_is_default(s, k) && (properties[k].otherwise || properties[k].initial < properties[k].min)) {
		snprintf(out, SETTING_TEXT, "%s", properties[k].otherwise ? properties[k].otherwise : "default");
	} else if (k != SET_BOOTEXEMPTIONS) {
		snprintf(out, SETTING_TEXT, "%lld", (long long)number_get(s, k));
	} else {
		for (size_t i = 0; i < s->n_exemptions; i++) {
			if (i)
				out[len++] = ' ';
			exemption_text(&s->exemptions[i], out + len, EXEMPTION_TEXT);
			len += strlen(out + len);
		}
	}
}

/* ---- all of them ----------------------------------------------------------------------- */

void settings_default(struct settings *s)
{
	memset(s, 0, sizeof(*s));
	for (int k = 0; k < N_SETTINGS; k++)
		number_set(s, (enum setting)k, properties[k].initial);
}

bool settings_equal(const struct settings *a, const struct settings *b)
{
	for (int k = 0; k < N_SETTINGS; k++)
		if (number_get(a, (enum setting)k) != number_get(b, (enum setting)k))
			return false;
	if (a->n_exemptions != b->n_exemptions)
		return false;
	for (size_t i = 0; i < a->n_exemptions; i++)
		if (exemption_cmp(&a->exemptions[i], &b->exemptions[i]) != 0)
			return false;
	return true;
}

int settings_write(const struct settings *s, FILE *out)
{
	char text[SETTING_TEXT];

	for (int k = 0; k < N_SETTINGS; k++) {
		if (setting_is_default(s, (enum setting)k))
			continue;
		setting_text(s, (enum setting)k, text);
		if (fprintf(out, "%s %s\n", properties[k].name, text) < 0)
			return -1;
	}
	return 0;
}

/* "property value" as settings_write would have written it; *last: the property before. */
static int line_read(struct settings *s, char *line, int *last, struct err *err)
{
	char *value = strchr(line, ' '), text[SETTING_TEXT];
	int k = 0;

	if (!value)
		return err_set(err, ERR_FORMAT, "'%.80s' is not a property and a value", line);
	*value++ = '\0';
	while (k < N_SETTINGS && strcmp(properties[k].name, line))
		k++;
	if (k == N_SETTINGS)
		return err_set(err, ERR_FORMAT, "'%.80s' is not a property", line);
	if (k <= *last)
		return err_set(err, ERR_FORMAT, "%s stands twice or in the wrong place", line);
	if (setting_parse(s, (enum setting)k, value, err) < 0)
		return -1;
	setting_text(s, (enum setting)k, text);
	if (strcmp(text, value) || setting_is_default(s, (enum setting)k))
		return err_set(err, ERR_FORMAT, "%s '%.80s' is not written as it has to be", line, value);
	*last = k;
	return 0;
}

int settings_read(struct settings *ret, const char *text, size_t len, struct err *err)
{
	const char *p = text, *end = text + len, *eol;
	char line[SETTING_TEXT + 64];
	struct settings s;
	unsigned number = 0;
	int last = -1;

	settings_default(&s);
	for (; p < end; p = eol + 1) {
		number++;
		eol = memchr(p, '\n', (size_t)(end - p));
		if (!eol || (size_t)(eol - p) >= sizeof(line) || memchr(p, '\0', (size_t)(eol - p)))
			return err_set(err, ERR_FORMAT, "settings: line %u is not a line of text", number);
		memcpy(line, p, (size_t)(eol - p));
		line[eol - p] = '\0';
		if (line_read(&s, line, &last, err) < 0)
			return err_prefix(err, "settings: line %u", number);
	}
	*ret = s;
	return 0;
}
