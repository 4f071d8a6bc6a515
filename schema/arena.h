/* schema/arena.h - memory that is freed all at once.
 *
 * Each pipeline value owns one arena; every pointer inside the value points
 * into that arena, never into another value.  arena_free(NULL) does nothing.
 * Allocations are zeroed and aligned for any type; NULL means that memory or
 * the arena's limit ran out. */
#ifndef SCHEMA_ARENA_H
#define SCHEMA_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(size_t limit);	/* bytes it may ever hold; 0: no limit */
void arena_free(struct arena *a);
void *arena_zalloc(struct arena *a, size_t n, size_t size);	/* n * size, checked */
void *arena_memdup(struct arena *a, const void *p, size_t len);
void *arena_bytes(struct arena *a, size_t len);		/* zeroed, but aligned for bytes alone; so are the texts below */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);	/* stops at len, adds NUL */
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Room for one more element of `size` bytes, zeroed, in a growing array of n elements:
 * NULL with n 0, or what arena_grow gave before.  (Capacities are powers of two, the
 * old copy stays in the arena.)  Returns the array, perhaps moved, or NULL. */
void *arena_grow(struct arena *a, void *array, size_t n, size_t size);
/* The same, but where the array is large and moves the old copy is gone: for arrays of which there are no other pointers. */
void *arena_extend(struct arena *a, void *array, size_t n, size_t size);

#endif
