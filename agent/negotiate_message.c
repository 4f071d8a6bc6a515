#include "agent/negotiate_parts.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vici.h"
#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"

/* ---- names ---- */

void names_add(struct names *l, struct arena *a, const char *text)
{
	const char **texts = arena_grow(a, l->texts, l->n, sizeof(*texts));
	const char *copy = arena_strdup(a, text);

	if (!texts || !copy) {
		l->failed = true;
		return;
	}
	texts[l->n++] = copy;
	l->texts = texts;
}

static int text_cmp(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

void names_sort(struct names *l)
{
	size_t n = 0;

	if (!l->n)
		return;
	qsort(l->texts, l->n, sizeof(*l->texts), text_cmp);
	for (size_t i = 0; i < l->n; i++)
		if (!n || strcmp(l->texts[i], l->texts[n - 1]))
			l->texts[n++] = l->texts[i];
	l->n = n;
}

bool names_have(const struct names *l, const char *text)
{
	return l->n && bsearch(&text, l->texts, l->n, sizeof(*l->texts), text_cmp);
}

bool is_ours(const char *name)
{
	return !strncmp(name, IKE_PREFIX, sizeof(IKE_PREFIX) - 1);
}

/* ---- what charon is sent ---- */

struct vici_message *name_message(const char *key, const char *name)
{
	struct vici_message *m = vici_new();

	vici_add(m, key, name);
	return m;
}

/* The SAs are gone when the answer comes: a peer that is not there any more must not be waited for. */
struct vici_message *terminate_message(const char *name)
{
	struct vici_message *m = name_message("ike", name);

	vici_add(m, "force", "yes");
	vici_add(m, "timeout", "-1");
	return m;
}

void authority_name(char out[static AUTHORITY_TEXT], const struct cert_text *ca)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;
	char hex[17];

	sha256_init(&ctx);
	sha256_update(&ctx, ca->len, ca->p);
	sha256_digest(&ctx, sizeof(digest), digest);
	hex_text(hex, digest, 8);
	snprintf(out, AUTHORITY_TEXT, IKE_PREFIX "ca-%s", hex);
}

struct vici_message *authority_message(const char *name, const struct cert_text *ca)
{
	struct vici_message *m = vici_new();

	vici_section(m, name);
	vici_add_bytes(m, "cacert", ca->p, ca->len);
	vici_section_end(m);
	return m;
}

/* Lists take texts: a certificate in DER is made PEM by host_certs_read. */
static void certs_list(struct vici_message *m, const struct host_certs *h)
{
	char *text = strndup((const char *)h->certs[0].p, h->certs[0].len);
	const char *const one[] = { text };

	if (text)
		vici_list(m, "certs", one, 1);
	free(text);
}

static bool is_local(const struct vici_node *s, unsigned depth)
{
	return depth == 2 && !strncmp(s->name, "local", 5) && (s->name[5] == '\0' || s->name[5] == '-') && !strcmp(vici_value(s, "auth"), "pubkey");
}

static void node_copy(struct vici_message *m, const struct vici_node *s, unsigned depth, const struct host_certs *h);

static void list_copy(struct vici_message *m, const struct vici_node *list)
{
	const char **items = calloc(list->n_children + 1, sizeof(*items));

	/* An open section makes the message a bad one. */
	if (!items) {
		vici_section(m, "");
		return;
	}
	for (size_t i = 0; i < list->n_children; i++)
		items[i] = list->children[i].value;
	vici_list(m, list->name, items, list->n_children);
	free(items);
}

static void child_copy(struct vici_message *m, const struct vici_node *c, unsigned depth, const struct host_certs *h)
{
	if (c->kind == VICI_VALUE) {
		vici_add_bytes(m, c->name, c->value, c->len);
	} else if (c->kind == VICI_LIST) {
		list_copy(m, c);
	} else {
		vici_section(m, c->name);
		node_copy(m, c, depth, h);
		if (is_local(c, depth))
			certs_list(m, h);
		vici_section_end(m);
	}
}

/* As deep as vici_parse lets it be. */
static void node_copy(struct vici_message *m, const struct vici_node *s, unsigned depth, const struct host_certs *h)
{
	for (size_t i = 0; i < s->n_children; i++)
		child_copy(m, &s->children[i], depth + 1, h);
}

struct vici_message *conn_message(const struct ike_conn *c, const struct host_certs *h)
{
	struct vici_message *m = vici_conn(c), *with = NULL;
	struct arena *a = NULL;
	struct vici_node *root;
	struct err err;
	const uint8_t *p;
	size_t len;

	if (!m || c->auth != IKE_CERTIFICATE || !h->n_certs)
		return m;
	p = vici_bytes(m, &len);
	a = arena_new(0);
	if (a && vici_good(m) && vici_parse(&root, a, p, len, &err) == 0) {
		with = vici_new();
		node_copy(with, root, 0, h);
	}
	arena_free(a);
	vici_free(m);
	return with;
}

void secret_digest(uint8_t out[static 32], const struct ike_secret *s)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	for (size_t i = 0; i < s->owners.n; i++)
		sha256_update(&ctx, strlen(s->owners.texts[i]) + 1, (const uint8_t *)s->owners.texts[i]);
	sha256_update(&ctx, 1, (const uint8_t *)"");
	sha256_update(&ctx, s->key_len, (const uint8_t *)s->key);
	sha256_digest(&ctx, 32, out);
}

/* ---- what charon says ---- */

static struct vici_node *shallow(struct vici_node *ret, struct arena *a, const struct vici_node *n)
{
	*ret = *n;
	ret->children = arena_memdup(a, n->children, n->n_children * sizeof(*n->children));
	return ret->children;
}

int conn_check(const struct ike_conn *want, const struct vici_node *listed, struct arena *a, struct err *err)
{
	const struct vici_node *local = vici_get(listed, "local-1"), *id = vici_get(local, "id");
	struct vici_node conn, *to;

	if (want->auth != IKE_CERTIFICATE || !local)
		return ike_conn_check(want, listed, err);
	if (!id)
		return err_set(err, ERR_UNSUPPORTED, "charon has no certificate of this host for it");
	if (!shallow(&conn, a, listed))
		return err_nomem(err);
	to = &conn.children[local - listed->children];
	if (!shallow(to, a, local))
		return err_nomem(err);
	to->children[id - local->children].name = "";
	return ike_conn_check(want, &conn, err);
}

void names_of_list(struct names *ret, struct arena *a, const struct vici_node *reply, const char *list)
{
	const struct vici_node *l = vici_get(reply, list);

	for (size_t i = 0; l && l->kind == VICI_LIST && i < l->n_children; i++)
		if (strlen(l->children[i].value) == l->children[i].len)
			names_add(ret, a, l->children[i].value);
}

static bool spi_read(uint32_t *ret, const char *text)
{
	uint32_t v = 0;
	size_t n;

	for (n = 0; text[n]; n++) {
		if (n == 8 || hex_digit(text[n]) < 0)
			return false;
		v = v << 4 | (uint32_t)hex_digit(text[n]);
	}
	*ret = v;
	return n > 0;
}

static void spi_add(struct spis *ret, struct arena *a, const char *text)
{
	uint32_t spi, *p;

	if (!spi_read(&spi, text))
		return;
	p = arena_grow(a, ret->spis, ret->n, sizeof(*p));
	if (!p) {
		ret->failed = true;
		return;
	}
	p[ret->n++] = spi;
	ret->spis = p;
}

void spis_of_sa(struct spis *ret, struct arena *a, const struct vici_node *message)
{
	const struct vici_node *children;

	for (size_t i = 0; i < message->n_children; i++) {
		if (message->children[i].kind != VICI_SECTION || !(children = vici_get(&message->children[i], "child-sas")))
			continue;
		for (size_t k = 0; children->kind == VICI_SECTION && k < children->n_children; k++) {
			spi_add(ret, a, vici_value(&children->children[k], "spi-in"));
			spi_add(ret, a, vici_value(&children->children[k], "spi-out"));
		}
	}
}

static int spi_cmp(const void *x, const void *y)
{
	const uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return (a > b) - (a < b);
}

void spis_sort(struct spis *s)
{
	if (s->n)
		qsort(s->spis, s->n, sizeof(*s->spis), spi_cmp);
}

bool spis_have(const struct spis *s, uint32_t spi)
{
	return s->n && bsearch(&spi, s->spis, s->n, sizeof(*s->spis), spi_cmp);
}
