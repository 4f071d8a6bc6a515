/* tests/store_box.h - a state folder of each test, and what tests of the store do with it. */
#ifndef TESTS_STORE_BOX_H
#define TESTS_STORE_BOX_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/err.h"
#include "store/store.h"

struct arena;

extern char dir[64];
extern struct arena *arena;
extern struct err err;

/* Set-up and tear-down of each test. */
int box_up(void **state);
int box_down(void **state);

const char *at(const char *name);	/* of a file in dir; in the arena */
void fine(int rc);			/* not -1 */
struct store *opened(enum store_mode mode);	/* store.db */
struct reg_value value(const char *name, enum reg_type type, const void *p, size_t len);
void set(struct store *s, const char *key, const char *name, const char *text);
const char *got(struct store *s, const char *key, const char *name);	/* NULL: absent */
const char *multi(struct store *s, const char *key, const char *name);	/* of MULTI_SZ: '|' for each NUL */

char *file_load(const char *path, size_t *len);	/* malloc'd */
void file_save(const char *path, const char *text, size_t len);
bool file_holds(const char *path, const char *text);
/* Past the store, as only a damaged disk would; the first column of the last row. */
size_t sql(const char *file, const char *text);
/* Of a damaged store: not "absent", not "busy". */
bool error_is_clear(void);

#endif
