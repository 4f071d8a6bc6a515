/* tests/folder.h - a folder of this run, for tests that need files. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <sys/types.h>

extern char tmp[64];

/* Set-up and tear-down of a cmocka group. */
int folder_up(void **state);
int folder_down(void **state);
/* TMP/name; good for the next 15 calls. */
const char *at(const char *name);
void file_write(const char *path, const char *text, mode_t mode);

#endif
