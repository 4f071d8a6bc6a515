/* store/file.h - files that decide what this host enforces, and that have to be on
 * the disk.  SHELL. */
#ifndef STORE_FILE_H
#define STORE_FILE_H

struct err;
struct stat;

/* ERR_DENIED: others than its owner may write it. */
int file_mode_check(const char *path, const struct stat *st, struct err *err);
/* Brings what was created in, renamed in or removed from the folder to the disk. */
int folder_sync(const char *folder, struct err *err);

#endif
