#include "agent/vici.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/rd.h"

enum element { SECTION_START = 1, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END };

/* ---- reading ---- */

/* Sections and lists that are open: by value, because the arrays of their parents move as they grow. */
struct parser {
	struct arena		*a;
	struct rd		 rd;
	struct vici_node	 open[VICI_DEPTH_MAX + 2];	/* the root, sections, a list */
	size_t			 depth, n_nodes;
	struct err		*err;
};

static int name_read(struct parser *p, const char **ret)
{
	size_t len = rd_u8(&p->rd);
	const uint8_t *s = rd_bytes(&p->rd, len);

	if (!s || memchr(s, '\0', len))
		return err_set(p->err, ERR_FORMAT, "the name of an element is damaged");
	*ret = arena_strndup(p->a, (const char *)s, len);
	return *ret ? 0 : err_nomem(p->err);
}

static int value_read(struct parser *p, struct vici_node *n)
{
	const uint8_t *head = rd_bytes(&p->rd, 2), *s;
	char *copy;

	n->kind = VICI_VALUE;
	n->len = head ? (size_t)head[0] << 8 | head[1] : 0;
	s = rd_bytes(&p->rd, n->len);
	if (!head || !s)
		return err_set(p->err, ERR_FORMAT, "a value is longer than its message");
	copy = arena_zalloc(p->a, n->len + 1, 1);
	if (!copy)
		return err_nomem(p->err);
	memcpy(copy, s, n->len);
	n->value = copy;
	return 0;
}

static int node_add(struct parser *p, const struct vici_node *n)
{
	struct vici_node *parent = &p->open[p->depth], *array;

	if (++p->n_nodes > VICI_NODES_MAX)
		return err_set(p->err, ERR_LIMIT, "a message has more than %u elements", VICI_NODES_MAX);
	array = arena_grow(p->a, parent->children, parent->n_children, sizeof(*array));
	if (!array)
		return err_nomem(p->err);
	parent->children = array;
	array[parent->n_children++] = *n;
	return 0;
}

static int node_open(struct parser *p, enum vici_kind kind)
{
	struct vici_node *n;

	if (p->depth == VICI_DEPTH_MAX + (kind == VICI_LIST))
		return err_set(p->err, ERR_LIMIT, "sections are nested deeper than %d", VICI_DEPTH_MAX);
	n = &p->open[p->depth + 1];
	*n = (struct vici_node){ .kind = kind, .value = "" };
	if (name_read(p, &n->name) < 0)
		return -1;
	p->depth++;
	return 0;
}

static int node_close(struct parser *p)
{
	p->depth--;
	return node_add(p, &p->open[p->depth + 1]);
}

static int element_read(struct parser *p)
{
	struct vici_node value = { .name = "", .value = "" };
	bool in_list = p->open[p->depth].kind == VICI_LIST;
	uint8_t type = rd_u8(&p->rd);

	if (in_list) {
		if (type == LIST_END)
			return node_close(p);
		if (type == LIST_ITEM)
			return value_read(p, &value) < 0 ? -1 : node_add(p, &value);
	} else if (type == SECTION_START || type == LIST_START) {
		return node_open(p, type == LIST_START ? VICI_LIST : VICI_SECTION);
	} else if (type == SECTION_END && p->depth > 0) {
		return node_close(p);
	} else if (type == KEY_VALUE) {
		if (name_read(p, &value.name) < 0 || value_read(p, &value) < 0)
			return -1;
		return node_add(p, &value);
	}
	return err_set(p->err, ERR_FORMAT, "an element of type %u where there can be none", type);
}

int vici_parse(struct vici_node **ret, struct arena *a, const uint8_t *data, size_t len, struct err *err)
{
	struct parser p = { .a = a, .err = err };
	struct vici_node *root;

	if (len > 0)
		p.rd = (struct rd){ data, data + len, false };
	if (len > VICI_PACKET_MAX)
		return err_set(err, ERR_LIMIT, "a message is longer than %u bytes", VICI_PACKET_MAX);
	p.open[0] = (struct vici_node){ .kind = VICI_SECTION, .name = "", .value = "" };
	while (rd_left(&p.rd) > 0)
		if (element_read(&p) < 0)
			return -1;
	if (p.depth > 0)
		return err_set(err, ERR_FORMAT, "the message ends within '%s'", p.open[p.depth].name);
	root = arena_memdup(a, &p.open[0], sizeof(*root));
	if (!root)
		return err_nomem(err);
	*ret = root;
	return 0;
}

const struct vici_node *vici_get(const struct vici_node *section, const char *name)
{
	if (!section || section->kind != VICI_SECTION)
		return NULL;
	for (size_t i = 0; i < section->n_children; i++)
		if (!strcmp(section->children[i].name, name))
			return &section->children[i];
	return NULL;
}

const char *vici_value(const struct vici_node *section, const char *name)
{
	const struct vici_node *n = vici_get(section, name);

	return n && n->kind == VICI_VALUE ? n->value : "";
}

int vici_answer(const struct vici_node *reply, struct err *err)
{
	const char *why = vici_value(reply, "errmsg");

	if (!strcmp(vici_value(reply, "success"), "yes"))
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "charon: %s", *why ? why : "it did not do it, and does not say why");
}

/* ---- writing ---- */

struct vici_message {
	uint8_t	*p;
	size_t	 len, size;
	unsigned depth;
	bool	 bad;
};

struct vici_message *vici_new(void)
{
	return calloc(1, sizeof(struct vici_message));
}

void vici_free(struct vici_message *m)
{
	if (!m)
		return;
	if (m->p)
		explicit_bzero(m->p, m->size);
	free(m->p);
	free(m);
}

/* Not realloc: it would leave a copy of secrets behind. */
static bool room_make(struct vici_message *m, size_t n)
{
	size_t size = m->size ? m->size : 256;
	uint8_t *p;

	if (n <= m->size - m->len)
		return true;
	if (n > VICI_PACKET_MAX - m->len)
		return false;
	while (size < m->len + n)
		size *= 2;
	p = malloc(size);
	if (!p)
		return false;
	if (m->p) {
		memcpy(p, m->p, m->len);
		explicit_bzero(m->p, m->size);
		free(m->p);
	}
	m->p = p;
	m->size = size;
	return true;
}

static void put(struct vici_message *m, const void *p, size_t n)
{
	if (!m || m->bad)
		return;
	if (!room_make(m, n)) {
		m->bad = true;
		return;
	}
	if (n)
		memcpy(m->p + m->len, p, n);
	m->len += n;
}

static void put_element(struct vici_message *m, enum element type, const char *name)
{
	size_t n = name ? strlen(name) : 0;
	uint8_t head[2] = { (uint8_t)type, (uint8_t)n };

	if (m && n > VICI_NAME_MAX)
		m->bad = true;
	put(m, head, name ? 2 : 1);
	put(m, name, n);
}

static void put_value(struct vici_message *m, const void *value, size_t len)
{
	uint8_t head[2] = { (uint8_t)(len >> 8), (uint8_t)len };

	if (m && len > VICI_VALUE_MAX)
		m->bad = true;
	put(m, head, 2);
	put(m, value, len);
}

void vici_section(struct vici_message *m, const char *name)
{
	put_element(m, SECTION_START, name);
	if (m && ++m->depth > VICI_DEPTH_MAX)
		m->bad = true;
}

void vici_section_end(struct vici_message *m)
{
	put_element(m, SECTION_END, NULL);
	if (m && m->depth-- == 0)
		m->bad = true;
}

void vici_add_bytes(struct vici_message *m, const char *name, const void *value, size_t len)
{
	put_element(m, KEY_VALUE, name);
	put_value(m, value, len);
}

void vici_add(struct vici_message *m, const char *name, const char *value)
{
	vici_add_bytes(m, name, value, strlen(value));
}

void vici_add_number(struct vici_message *m, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	vici_add(m, name, text);
}

void vici_list(struct vici_message *m, const char *name, const char *const *items, size_t n)
{
	put_element(m, LIST_START, name);
	for (size_t i = 0; i < n; i++) {
		put_element(m, LIST_ITEM, NULL);
		put_value(m, items[i], strlen(items[i]));
	}
	put_element(m, LIST_END, NULL);
}

bool vici_good(const struct vici_message *m)
{
	return m && !m->bad && m->depth == 0;
}

const uint8_t *vici_bytes(const struct vici_message *m, size_t *len)
{
	*len = m ? m->len : 0;
	return m ? m->p : NULL;
}
