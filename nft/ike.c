#include "nft/ike.h"

#include <arpa/inet.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "nft/ike_text.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

#define NAME_BYTES	8	/* of the digest that are in a name */
#define TEXT_MAX	128	/* of an address, proposal, selector, name */

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

struct ike_config *ike_new(void)
{
	struct arena *a = arena_new(0);
	struct ike_config *c = a ? arena_zalloc(a, 1, sizeof(*c)) : NULL;

	if (!c) {
		arena_free(a);
		return NULL;
	}
	c->arena = a;
	return c;
}

void ike_free(struct ike_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_secrets; i++)
		if (c->secrets[i].key)
			explicit_bzero((void *)(uintptr_t)c->secrets[i].key, c->secrets[i].key_len);
	arena_free(c->arena);
}

int ike_list_add(struct ike_config *c, struct ike_list *l, const char *text)
{
	const char **texts = arena_grow(c->arena, l->texts, l->n, sizeof(*texts));

	if (!texts)
		return -1;
	l->texts = texts;
	texts[l->n] = arena_strdup(c->arena, text);
	if (!texts[l->n])
		return -1;
	l->n++;
	return 0;
}

struct ike_conn *ike_conn_add(struct ike_config *c)
{
	struct ike_conn *conns = arena_grow(c->arena, c->conns, c->n_conns, sizeof(*conns)), *conn;

	if (!conns)
		return NULL;
	c->conns = conns;
	conn = &conns[c->n_conns++];
	conn->name = conn->ca_id = conn->secret = conn->rule_name = "";
	return conn;
}

struct ike_child *ike_child_add(struct ike_config *c, struct ike_conn *conn)
{
	struct ike_child *children = arena_grow(c->arena, conn->children, conn->n_children, sizeof(*children));

	if (!children)
		return NULL;
	conn->children = children;
	children[conn->n_children].name = children[conn->n_children].rule_name = "";
	return &children[conn->n_children++];
}

struct ike_secret *ike_secret_add(struct ike_config *c, const char *id, const void *key, size_t key_len)
{
	struct ike_secret *secrets = arena_grow(c->arena, c->secrets, c->n_secrets, sizeof(*secrets)), *s;

	if (!secrets)
		return NULL;
	c->secrets = secrets;
	s = &secrets[c->n_secrets];
	s->id = arena_strdup(c->arena, id);
	s->key = arena_strndup(c->arena, "", 0);
	if (!s->id || !s->key)
		return NULL;
	if (key_len > 0)
		s->key = arena_memdup(c->arena, key, key_len);
	if (!s->key)
		return NULL;
	s->key_len = key_len;
	c->n_secrets++;
	return s;
}

const char *ike_auth_name(enum ike_auth auth)
{
	return auth == IKE_PSK ? "psk" : "pubkey";
}

const char *ike_revocation_name(enum ike_revocation r)
{
	static const char *const names[] = { "relaxed", "ifuri", "strict" };

	return names[r];
}

uint64_t ike_renew_at(uint64_t life)
{
	return life < 10 ? life - (life > 1) : life / 10 * 9 + life % 10 * 9 / 10;
}

/* ---- what is sealed is checked ---- */

static bool prefix_good(const char *text, unsigned long max)
{
	char *end;

	return *text >= '0' && *text <= '9' && strtoul(text, &end, 10) <= max && !*end && end - text <= 3;
}

/* "10.0.0.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9", or of IPv6. */
static bool network_good(const char *text, size_t len)
{
	char copy[TEXT_MAX + 1], *more, kind;
	uint8_t bytes[16], last[16];
	int af;

	if (len > TEXT_MAX)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	af = strchr(copy, ':') ? AF_INET6 : AF_INET;
	more = copy + strcspn(copy, "/-");
	kind = *more;
	if (kind)
		*more++ = '\0';
	if (inet_pton(af, copy, bytes) != 1)
		return false;
	if (kind == '/')
		return prefix_good(more, af == AF_INET ? 32 : 128);
	return !kind || (inet_pton(af, more, last) == 1 && memcmp(bytes, last, af == AF_INET ? 4 : 16) <= 0);
}

/* A name would be looked up in the DNS by whoever answers there. */
static bool address_good(const char *text)
{
	return !strcmp(text, "%any") || network_good(text, strlen(text));
}

static bool proposal_good(const char *text)
{
	size_t n = strspn(text, letters);

	return n > 0 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_") == strlen(text) && strlen(text) <= TEXT_MAX;
}

static bool selector_good(const char *text)
{
	size_t n = strcspn(text, "["), inner;

	if (strlen(text) > TEXT_MAX || !(network_good(text, n) || (n == 7 && !strncmp(text, "dynamic", n))))
		return false;
	if (!text[n])
		return true;
	inner = strspn(text + n + 1, "abcdefghijklmnopqrstuvwxyz0123456789-/");
	return inner > 0 && text[n + 1] != '/' && !strcmp(text + n + 1 + inner, "]");
}

static int list_check(const struct ike_list *l, const char *what, bool (*good)(const char *), struct err *err)
{
	if (l->n == 0)
		return err_set(err, ERR_FORMAT, "%s: there is none", what);
	for (size_t i = 0; i < l->n; i++)
		if (!good(l->texts[i]))
			return err_set(err, ERR_FORMAT, "%s: '%s' is none", what, l->texts[i]);
	return 0;
}

/* What stands between "=" and the next "," is the value: charon knows no escapes. */
static int rdn_check(const char *rdn, size_t len, struct err *err)
{
	static const char *const types[] = { "CN", "C", "DC", "E", "L", "O", "OU", "ST", "UID", "SN", "serialNumber",
		"G", "I", "T", "D", "N", "ID", "STREET", "postalCode" };
	const char *equal = memchr(rdn, '=', len);
	size_t n = equal ? (size_t)(equal - rdn) : 0;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i]) != n || strncmp(types[i], rdn, n))
			continue;
		if (n + 1 == len || rdn[n + 1] == ' ' || rdn[len - 1] == ' ')
			return err_set(err, ERR_UNSUPPORTED, "the attribute '%s' has no value, or blanks around it", types[i]);
		return 0;
	}
	return err_set(err, ERR_UNSUPPORTED, "the attribute '%.*s' is not known to charon", (int)(n ? n : len), rdn);
}

int ike_ca_id_check(const char *dn, struct err *err)
{
	const char *p = dn;

	if (strlen(dn) > 1024)
		return err_set(err, ERR_LIMIT, "the name of a CA is longer than 1024 bytes");
	for (; *p; p++)
		if ((uint8_t)*p < ' ' || *p == 0x7f || strchr("\\\"+*/#<>;", *p))
			return err_set(err, ERR_UNSUPPORTED, "the name of the CA '%s' has a character that charon would not take as itself", dn);
	for (p = dn; *p;) {
		size_t n = strcspn(p, ",");

		if (rdn_check(p, n, err) < 0)
			return err_prefix(err, "the name of the CA '%s'", dn);
		p += n;
		if (!*p)
			break;
		p += 1 + strspn(p + 1, " ");
		if (!*p)
			return err_set(err, ERR_UNSUPPORTED, "the name of the CA '%s' ends with a comma", dn);
	}
	return p == dn ? err_set(err, ERR_UNSUPPORTED, "the name of a CA is empty") : 0;
}

static int child_cmp(const void *a, const void *b)
{
	return strcmp(((const struct ike_child *)a)->name, ((const struct ike_child *)b)->name);
}

static int child_check(const struct ike_child *c, struct err *err)
{
	size_t n = strlen(c->name);

	if (n == 0 || n > TEXT_MAX)
		return err_set(err, ERR_FORMAT, "the name is empty or too long");
	for (size_t i = 0; i < n; i++)
		if (!strchr(letters, c->name[i]) && c->name[i] != '-' && c->name[i] != '_')
			return err_set(err, ERR_FORMAT, "the name has something else than letters and digits");
	if (c->life_seconds == 0)
		return err_set(err, ERR_FORMAT, "the lifetime is 0");
	if (list_check(&c->local_ts, "local traffic selector", selector_good, err) < 0 ||
	    list_check(&c->remote_ts, "remote traffic selector", selector_good, err) < 0)
		return -1;
	return list_check(&c->proposals, "proposal", proposal_good, err);
}

/* charon loads a trap for a tunnel without its other end, and merely logs that it cannot work. */
static bool address_single(const struct ike_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strpbrk(l->texts[i], "%/-"))
			return true;
	return false;
}

static int children_check(struct ike_conn *c, struct err *err)
{
	if (c->n_children > 0)
		qsort(c->children, c->n_children, sizeof(*c->children), child_cmp);
	for (size_t i = 0; i < c->n_children; i++) {
		if (child_check(&c->children[i], err) < 0)
			return err_prefix(err, "child '%s'", c->children[i].name);
		if (c->children[i].tunnel && c->children[i].trap && !address_single(&c->remote_addrs))
			return err_set(err, ERR_FORMAT, "child '%s': a tunnel without the address of its other end", c->children[i].name);
		if (i > 0 && child_cmp(&c->children[i - 1], &c->children[i]) == 0)
			return err_set(err, ERR_FORMAT, "there are two children '%s'", c->children[i].name);
	}
	return 0;
}

static const struct ike_secret *secret_find(const struct ike_config *c, const char *id)
{
	size_t low = 0, high = c->n_secrets;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int cmp = strcmp(id, c->secrets[mid].id);

		if (cmp == 0)
			return &c->secrets[mid];
		if (cmp < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static int conn_check(const struct ike_config *config, struct ike_conn *c, struct err *err)
{
	if (list_check(&c->local_addrs, "local address", address_good, err) < 0 ||
	    list_check(&c->remote_addrs, "remote address", address_good, err) < 0 ||
	    list_check(&c->proposals, "proposal", proposal_good, err) < 0)
		return -1;
	if (c->life_seconds == 0)
		return err_set(err, ERR_FORMAT, "the lifetime is 0");
	if (c->auth == IKE_PSK && !secret_find(config, c->secret))
		return err_set(err, ERR_FORMAT, "there is no key '%s'", c->secret);
	if (c->auth == IKE_CERTIFICATE && *c->ca_id && ike_ca_id_check(c->ca_id, err) < 0)
		return -1;
	return children_check(c, err);
}

/* ---- names ---- */

/* Its text under no name, without what is for people. */
static int conn_name(struct ike_config *config, struct ike_conn *c, struct err *err)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	char *text = NULL, hex[2 * NAME_BYTES + 1];
	struct sha256_ctx ctx;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int rc;

	if (!out)
		return err_nomem(err);
	rc = ike_conn_write(c, "", false, out);
	if (fclose(out) != 0 || rc < 0) {
		free(text);
		return err_nomem(err);
	}
	sha256_init(&ctx);
	sha256_update(&ctx, len, (const uint8_t *)text);
	sha256_digest(&ctx, sizeof(digest), digest);
	free(text);
	hex_text(hex, digest, NAME_BYTES);
	c->name = arena_printf(config->arena, IKE_PREFIX "%s", hex);
	return c->name ? 0 : err_nomem(err);
}

static int conn_cmp(const void *a, const void *b)
{
	return strcmp(((const struct ike_conn *)a)->name, ((const struct ike_conn *)b)->name);
}

static int secret_cmp(const void *a, const void *b)
{
	return strcmp(((const struct ike_secret *)a)->id, ((const struct ike_secret *)b)->id);
}

static int secrets_seal(struct ike_config *c, struct err *err)
{
	const char *id;

	if (c->n_secrets > 0)
		qsort(c->secrets, c->n_secrets, sizeof(*c->secrets), secret_cmp);
	for (size_t i = 0; i < c->n_secrets; i++) {
		id = c->secrets[i].id;
		if (strncmp(id, IKE_PREFIX, strlen(IKE_PREFIX)) || strlen(id) > TEXT_MAX ||
		    strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(id))
			return err_set(err, ERR_FORMAT, "'%s' is no name of a key", id);
		if (i > 0 && secret_cmp(&c->secrets[i - 1], &c->secrets[i]) == 0)
			return err_set(err, ERR_FORMAT, "there are two keys '%s'", id);
		if (c->secrets[i].key_len == 0)
			return err_set(err, ERR_FORMAT, "the key '%s' is empty", id);
		if (list_check(&c->secrets[i].owners, "owner", address_good, err) < 0)
			return err_prefix(err, "key '%s'", id);
	}
	return 0;
}

int ike_seal(struct ike_config *c, struct err *err)
{
	if (secrets_seal(c, err) < 0)
		return -1;
	for (size_t i = 0; i < c->n_conns; i++) {
		if (conn_check(c, &c->conns[i], err) < 0)
			return err_prefix(err, "connection for rule '%s'", c->conns[i].rule_name);
		if (conn_name(c, &c->conns[i], err) < 0)
			return -1;
	}
	if (c->n_conns > 0)
		qsort(c->conns, c->n_conns, sizeof(*c->conns), conn_cmp);
	for (size_t i = 0; i + 1 < c->n_conns; i++)
		if (conn_cmp(&c->conns[i], &c->conns[i + 1]) == 0)
			return err_set(err, ERR_FORMAT, "the connections for rule '%s' and rule '%s' are the same",
			    c->conns[i].rule_name, c->conns[i + 1].rule_name);
	c->sealed = true;
	return 0;
}

const struct ike_conn *ike_find(const struct ike_config *c, const char *name)
{
	const struct ike_conn key = { .name = name };

	return c && c->n_conns > 0 ? bsearch(&key, c->conns, c->n_conns, sizeof(key), conn_cmp) : NULL;
}

const struct ike_child *ike_child_find(const struct ike_conn *c, const char *name)
{
	const struct ike_child key = { .name = name };

	return c->n_children > 0 ? bsearch(&key, c->children, c->n_children, sizeof(key), child_cmp) : NULL;
}
