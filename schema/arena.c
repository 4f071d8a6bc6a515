#include "schema/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK	4096
#define OWN_CHUNK	65536	/* an array of that size is not copied when it grows, but gets a chunk that does */

struct chunk {
	struct chunk	*next;
	size_t		 used, size;
	bool		 own;		/* of one array, see arena_extend */
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

static bool over_limit(const struct arena *a, size_t len)
{
	return a->limit && (len > a->limit || a->total > a->limit - len);
}

/* len not 0. */
static void *take(struct arena *a, size_t len, size_t align)
{
	struct chunk *c = a->head;
	size_t skip = c ? (align - c->used % align) % align : 0;
	void *p;

	if (over_limit(a, len + skip))
		return NULL;
	if (!c || c->size - c->used < len + skip) {
		skip = 0;
		c = chunk_add(a, len);
		if (!c)
			return NULL;
	}
	p = c->data + c->used + skip;
	c->used += len + skip;
	a->total += len + skip;
	return p;
}

void *arena_zalloc(struct arena *a, size_t n, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	size_t len;

	if (__builtin_mul_overflow(n, size, &len) || len > SIZE_MAX / 2)
		return NULL;
	len = (len + align - 1) / align * align;
	return take(a, len ? len : align, align);
}

void *arena_bytes(struct arena *a, size_t len)
{
	return len > SIZE_MAX / 2 ? NULL : take(a, len ? len : 1, 1);
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
	char *q = arena_bytes(a, n + 1);

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
	q = arena_bytes(a, (size_t)n + 1);
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

/* The place where the chunk of this array alone is linked; NULL: it has none. */
static struct chunk **own_chunk(struct arena *a, const void *array)
{
	struct chunk **at = &a->head;

	while (*at && !((*at)->own && (*at)->data == array))
		at = &(*at)->next;
	return *at ? at : NULL;
}

/* len bytes, of which those that were there already are kept. */
static void *own_extend(struct arena *a, void *array, size_t used, size_t len)
{
	struct chunk **at = own_chunk(a, array), *c;
	const size_t more = at ? len - (*at)->size : len;

	if (over_limit(a, more))
		return NULL;
	c = realloc(at ? *at : NULL, sizeof(*c) + len);
	if (!c)
		return NULL;
	if (at) {
		*at = c;
	} else {
		memcpy(c->data, array, used);
		/* Behind the first, which goes on being filled. */
		at = a->head ? &a->head->next : &a->head;
		c->next = *at;
		*at = c;
		c->own = true;
	}
	c->used = c->size = len;
	a->total += more;
	return c->data;
}

void *arena_extend(struct arena *a, void *array, size_t n, size_t size)
{
	unsigned char *q = array;
	size_t len;

	if (array && n >= 8 && !(n & (n - 1)) && !__builtin_mul_overflow(2 * n, size, &len) && len >= OWN_CHUNK &&
	    len <= SIZE_MAX / 4)
		q = own_extend(a, array, n * size, len);
	else
		q = arena_grow(a, array, n, size);
	if (q)
		memset(q + n * size, 0, size);
	return q;
}
