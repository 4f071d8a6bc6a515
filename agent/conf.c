#include "agent/conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini_configobj.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/conf_keys.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "store/file.h"

#define CONF_MAX_BYTES	65536
#define NETBIOS_MAX	15	/* a longer host name joins a domain cut to this */

/* ---- defaults --------------------------------------------------------------- */

static int host_account(struct conf *c)
{
	char host[256] = "";
	size_t n;

	if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
		strcpy(host, "localhost");
	n = strcspn(host, ".");
	if (n > NETBIOS_MAX)
		n = NETBIOS_MAX;
	for (size_t i = 0; i < n; i++)
		host[i] = (char)toupper((unsigned char)host[i]);
	c->computer = arena_printf(c->arena, "%.*s$", (int)n, host);
	return c->computer ? 0 : -1;
}

static struct conf *conf_new(void)
{
	struct arena *a = arena_new(0);
	struct conf *c = a ? arena_zalloc(a, 1, sizeof(*c)) : NULL;

	if (!c) {
		arena_free(a);
		return NULL;
	}
	c->arena = a;
	c->uri = "ldap:///";
	c->bind = BIND_GSSAPI;
	c->keytab = "/etc/krb5.keytab";
	c->tls = TLS_OFF;
	c->connect_timeout = 5;
	c->timeout = 60;
	c->refresh_timeout = 240;
	c->refresh_interval = 5400;
	c->refresh_offset = 1800;
	c->full_read_interval = 86400;
	c->ipsecexempt = 3;
	c->lifeline = true;
	c->vici = "/run/charon.vici";
	c->ike_version = 1;
	c->state_dir = LOCALSTATEDIR "/lib/ipsecpol";
	c->run_dir = RUNSTATEDIR "/ipsecpol";
	c->worker_user = "ipsecpol";
	c->worker = PKGLIBEXECDIR "/ipsecpol-worker";
	c->facts = facts_new();
	if (!c->facts || host_account(c) < 0) {
		conf_free(c);
		return NULL;
	}
	return c;
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	facts_free(c->facts);
	arena_free(c->arena);
}

/* ---- what fits together ----------------------------------------------------- */

static bool starts(const char *s, const char *with)
{
	return !strncasecmp(s, with, strlen(with));
}

int conf_uri_check(const struct conf *c, const char *uri, struct err *err)
{
	bool ldaps = starts(uri, "ldaps:"), ldapi = starts(uri, "ldapi:");
	bool tls = ldaps || (starts(uri, "ldap:") && c->tls == TLS_START);

	if (starts(uri, "ldif:"))
		return 0;
	if (!ldaps && !ldapi && !starts(uri, "ldap:"))
		return err_set(err, ERR_FORMAT, "'%s' is not an ldap://, ldaps://, ldapi:// or ldif: URI", uri);
	if (c->tls == TLS_START && (ldaps || ldapi))
		return err_set(err, ERR_FORMAT, "tls = start is for ldap:// URIs, not for '%s'", uri);
	if (c->bind == BIND_SIMPLE && !tls && !ldapi)
		return err_set(err, ERR_FORMAT, "bind = simple would send the password in clear to '%s': use ldaps:// or tls = start", uri);
	if (c->bind == BIND_EXTERNAL && !ldapi && (!tls || !c->tls_cert))
		return err_set(err, ERR_FORMAT, "bind = external to '%s' needs TLS and tls-cert, or an ldapi:// URI", uri);
	return 0;
}

static int conf_check(struct conf *c, struct err *err)
{
	if (c->bind == BIND_SIMPLE && (!c->bind_dn || !c->bind_password_file))
		return err_set(err, ERR_FORMAT, "bind = simple needs bind-dn and bind-password-file");
	if (!c->tls_cert != !c->tls_key)
		return err_set(err, ERR_FORMAT, "tls-cert and tls-key need each other");
	if (conf_uri_check(c, c->uri, err) < 0)
		return -1;
	return 0;
}

/* ---- reading ---------------------------------------------------------------- */

struct input {
	struct conf	*c;
	const char	*name;
	char		*text;
	size_t		 len;
	struct ini_cfgobj *ini;
};

/* libini knows no line of a section: look for its heading. */
static unsigned section_line(const struct input *in, const char *section)
{
	const char *p = in->text, *end = in->text + in->len, *eol;
	size_t n = strlen(section);

	for (unsigned line = 1; p < end; line++, p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		if (!eol)
			eol = end;
		while (p < eol && (*p == ' ' || *p == '\t' || *p == '['))
			p++;
		if ((size_t)(eol - p) > n && !memcmp(p, section, n) && (p[n] == ']' || p[n] == ' '))
			return line;
	}
	return 0;
}

static int value_bad(const struct input *in, unsigned line, const struct conf_key *k, const char *value, const char *what, struct err *err)
{
	char words[80];
	size_t n = 0;

	if (!*what)
		return err_nomem(err);
	if (strchr(what, '|') && !strchr(what, ' ')) {
		for (; *what && n < sizeof(words) - 5; what++) {
			if (*what == '|')
				n += (size_t)sprintf(words + n, " or ");
			else
				words[n++] = *what;
		}
		words[n] = '\0';
		what = words;
	}
	return err_set(err, ERR_FORMAT, "%s:%u: [%s] %s: '%s' is not %s", in->name, line, k->section, k->name, value, what);
}

static int key_read(const struct input *in, const char *section, const char *name, struct err *err)
{
	const struct conf_key *k = conf_key_find(section, name);
	struct value_obj *vo = NULL, *second = NULL;
	const char *value = NULL, *what;
	uint32_t line = 0;

	if (ini_get_config_valueobj(section, name, in->ini, INI_GET_FIRST_VALUE, &vo) || !vo ||
	    value_get_concatenated(vo, &value) || value_get_line(vo, &line))
		return err_set(err, ERR_FORMAT, "%s: [%s] %s cannot be read", in->name, section, name);
	if (!k)
		return err_set(err, ERR_FORMAT, "%s:%u: [%s] %s: '%s' is not a key of this section", in->name, line, section, name, name);
	if (ini_get_config_valueobj(section, name, in->ini, INI_GET_NEXT_VALUE, &second) == 0 && second) {
		value_get_line(second, &line);
		return err_set(err, ERR_FORMAT, "%s:%u: [%s] %s: '%s' is not the only one: given twice", in->name, line, section, name, name);
	}
	what = k->store(in->c, k, value ? value : "", err);
	return what ? value_bad(in, line, k, value ? value : "", what, err) : 0;
}

static int section_read(const struct input *in, const char *section, struct err *err)
{
	int n = 0, bad = 0, rc = 0;
	char **names;

	if (!strcmp(section, INI_DEFAULT_SECTION))
		return err_set(err, ERR_FORMAT, "%s: a key stands before the first section", in->name);
	if (!conf_section_known(section))
		return err_set(err, ERR_FORMAT, "%s:%u: [%s]: '%s' is not a section", in->name, section_line(in, section), section, section);
	names = ini_get_attribute_list(in->ini, section, &n, &bad);
	if (!names)
		return bad ? err_nomem(err) : 0;
	/* A name given twice is listed twice, but looked at only once. */
	for (int i = 0; i < n && rc == 0; i++)
		if (i == 0 || strcmp(names[i], names[i - 1]))
			rc = key_read(in, section, names[i], err);
	ini_free_attribute_list(names);
	return rc;
}

/* libini says "Error (5) on line 3: Equal sign is missing." */
static int syntax_error(const struct input *in, struct err *err)
{
	char **list = NULL;
	const char *text;
	unsigned line;
	int n = 0;

	err_set(err, ERR_FORMAT, "%s: is not a configuration file", in->name);
	if (ini_config_get_errors(in->ini, &list) == 0 && list && list[0]) {
		text = strstr(list[0], " line ");
		if (text && sscanf(text, " line %u: %n", &line, &n) == 1 && n)
			err_set(err, ERR_FORMAT, "%s:%u: %.*s", in->name, line, (int)strcspn(text + n, "."), text + n);
		else
			err_set(err, ERR_FORMAT, "%s: %s", in->name, list[0]);
	}
	ini_config_free_errors(list);
	return -1;
}

static int input_read(struct input *in, struct err *err)
{
	struct ini_cfgfile *file = NULL;
	char **sections = NULL;
	int n = 0, bad = 0, rc = -1;

	if (in->len == 0)
		return 0;
	if (ini_config_create(&in->ini))
		return err_nomem(err);
	if (ini_config_file_from_mem(in->text, (uint32_t)in->len, &file)) {
		err_set(err, ERR_FORMAT, "%s: is not UTF-8 text", in->name);
		goto out;
	}
	if (ini_config_parse(file, INI_STOP_ON_ANY, INI_MV1S_ALLOW | INI_MV2S_ALLOW | INI_MS_MERGE,
	    INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS, in->ini)) {
		syntax_error(in, err);
		goto out;
	}
	sections = ini_get_section_list(in->ini, &n, &bad);
	for (int i = 0; i < n; i++)
		if (section_read(in, sections[i], err) < 0)
			goto out;
	rc = 0;
out:
	if (sections)
		ini_free_section_list(sections);
	ini_config_file_destroy(file);
	ini_config_destroy(in->ini);
	return rc;
}

static int text_check(const char *name, const char *text, size_t len, struct err *err)
{
	if (len > CONF_MAX_BYTES)
		return err_set(err, ERR_LIMIT, "%s: is larger than %d bytes", name, CONF_MAX_BYTES);
	if (len && memchr(text, '\0', len))
		return err_set(err, ERR_FORMAT, "%s: holds a NUL byte", name);
	return 0;
}

int conf_parse(struct conf **ret, const char *name, const char *text, size_t len, struct err *err)
{
	struct input in = { .name = name, .len = len };
	struct conf *c = NULL;
	int rc = -1;

	if (text_check(name, text, len, err) < 0)
		return -1;
	c = conf_new();
	in.text = malloc(len + 1);
	if (!c || !in.text) {
		err_nomem(err);
		goto out;
	}
	memcpy(in.text, text, len);
	in.text[len] = '\0';
	in.c = c;
	if (input_read(&in, err) < 0)
		goto out;
	if (!c->socket)
		c->socket = arena_printf(c->arena, "%s/ipsecpol.socket", c->run_dir);
	if (!c->socket) {
		err_nomem(err);
		goto out;
	}
	if (strlen(c->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		err_set(err, ERR_LIMIT, "%s: [daemon] socket: '%s' is too long for a socket", name, c->socket);
		goto out;
	}
	if (conf_check(c, err) < 0) {
		err_prefix(err, "%s: [directory]", name);
		goto out;
	}
	*ret = c;
	c = NULL;
	rc = 0;
out:
	free(in.text);
	conf_free(c);
	return rc;
}

/* Whoever may write these files decides what this host enforces. */
static int regular_check(const char *path, const struct stat *st, struct err *err)
{
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_DENIED, "'%s' is not a regular file", path);
	return file_mode_check(path, st, err);
}

static int file_load(int fd, const char *file, char **ret, size_t *ret_len, struct err *err)
{
	size_t len = 0;
	struct stat st;
	ssize_t n;
	char *text;

	if (fstat(fd, &st) < 0)
		return err_set(err, ERR_SYSTEM, "cannot read '%s': %s", file, strerror(errno));
	if (regular_check(file, &st, err) < 0)
		return -1;
	text = malloc(CONF_MAX_BYTES + 1);
	if (!text)
		return err_nomem(err);
	while ((n = read(fd, text + len, CONF_MAX_BYTES + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0) {
		free(text);
		return err_set(err, ERR_SYSTEM, "cannot read '%s': %s", file, strerror(errno));
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

/* Files that cannot be looked at are left to those who open them: this may be
 * a user without the right to see them. */
static int password_check(const struct conf *c, struct err *err)
{
	struct stat st;

	if (!c->bind_password_file || stat(c->bind_password_file, &st) < 0)
		return 0;
	return regular_check(c->bind_password_file, &st, err);
}

int conf_read(struct conf **ret, const char *file, struct err *err)
{
	const char *path = file ? file : CONF_FILE;
	struct conf *c = NULL;
	char *text = NULL;
	size_t len = 0;
	int fd, rc = -1;

	/* O_NONBLOCK: a FIFO must not hold us up before it is refused. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && !file)
		return conf_parse(ret, path, "", 0, err);
	if (fd < 0)
		return err_set(err, errno == ENOENT ? ERR_ABSENT : ERR_SYSTEM, "cannot open '%s': %s", path, strerror(errno));
	if (file_load(fd, path, &text, &len, err) < 0)
		goto out;
	if (conf_parse(&c, path, text, len, err) < 0)
		goto out;
	c->file = arena_strdup(c->arena, path);
	if (!c->file) {
		err_nomem(err);
		goto out;
	}
	if (password_check(c, err) < 0) {
		err_prefix(err, "%s: [directory] bind-password-file", path);
		goto out;
	}
	*ret = c;
	c = NULL;
	rc = 0;
out:
	free(text);
	conf_free(c);
	close(fd);
	return rc;
}
