#include "schema/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK	4096

struct chunk {
	struct chunk	*next;
	size_t		 used, size;
	_Alignas(max_align_t) unsigned char data[];
};

struct arena {
	struct chunk	*head;
	size_t		 total, limit;
};

struct arena *arena_new(size_t limit)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (a)
		a->limit = limit;
	return a;
}

void arena_free(struct arena *a)
{
	struct chunk *c, *next;

	if (!a)
		return;
	for (c = a->head; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a);
}

static struct chunk *chunk_add(struct arena *a, size_t len)
{
	/* Chunks grow with the arena, so that a large value takes few of them. */
	size_t size = a->total / 4 > CHUNK ? a->total / 4 : CHUNK;
	struct chunk *c;

	if (size < len)
		size = len;
	c = calloc(1, sizeof(*c) + size);
	if (!c)
		return NULL;
	c->size = size;
	c->next = a->head;
	a->head = c;
	return c;
}

void *arena_zalloc(struct arena *a, size_t n, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	struct chunk *c = a->head;
	size_t len;
	void *p;

	if (__builtin_mul_overflow(n, size, &len) || len > SIZE_MAX / 2)
		return NULL;
	len = (len + align - 1) / align * align;
	if (len == 0)
		len = align;
	if (a->limit && (len > a->limit || a->total > a->limit - len))
		return NULL;
	if (!c || c->size - c->used < len) {
		c = chunk_add(a, len);
		if (!c)
			return NULL;
	}
	p = c->data + c->used;
	c->used += len;
	a->total += len;
	return p;
}

void *arena_memdup(struct arena *a, const void *p, size_t len)
{
	void *q = arena_zalloc(a, len, 1);

	if (q && len)
		memcpy(q, p, len);
	return q;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	size_t n = strnlen(s, len);
	char *q = arena_zalloc(a, n + 1, 1);

	if (q)
		memcpy(q, s, n);
	return q;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *q;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	q = arena_zalloc(a, (size_t)n + 1, 1);
	if (!q)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(q, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return q;
}

void *arena_grow(struct arena *a, void *array, size_t n, size_t size)
{
	void *q;

	/* Full exactly when n is 0 or a power of two of at least 8. */
	if (array && (n < 8 || (n & (n - 1)) != 0))
		return array;
	if (array && n > SIZE_MAX / 2)
		return NULL;
	q = arena_zalloc(a, n < 8 ? 8 : 2 * n, size);
	if (q && n)
		memcpy(q, array, n * size);
	return q;
}
