/* store/store.h - the registry-like tree and the generations of domain policy.
 * SHELL: SQLite below DIR (mode 0700, files 0600: it holds pre-shared keys).
 *
 * Keys are paths below HKLM, '\' between parts, compared without (ASCII) case,
 * written as first created.  Rollback journal, synchronous=EXTRA, no mmap.
 *
 * SQLite does not notice changed bytes, so each value and each generation carries
 * a SHA-256 of its own, and the list of generations one over all of them: "nothing is
 * assigned" is believed only when the list says so.  Within begin..commit the caller
 * rolls back after any -1; generation_put and _drop do it for a transaction of their
 * own.  A damaged file stays as it is for whoever looks into it. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct store;

#define REG_POLICIES	"SOFTWARE\\Policies\\Microsoft\\Windows\\IPSec"
#define REG_SERVICE	"SYSTEM\\CurrentControlSet\\Services\\IPSec"

#define REG_LOCAL	REG_POLICIES "\\Policy\\Local"
#define REG_PERSISTENT	REG_POLICIES "\\Policy\\Persistent"
#define REG_CACHE	REG_POLICIES "\\Policy\\Cache"
#define REG_ASSIGNMENT	REG_POLICIES "\\GPTIPSECPolicy"

#define REG_MAX_DEPTH	64		/* parts of a path */
#define REG_MAX_KEY	255		/* bytes, one part */
#define REG_MAX_NAME	1024		/* bytes, a value's name; "" is the default value */
#define REG_MAX_DATA	(64u << 20)	/* bytes, a value */

enum reg_type { REG_SZ = 1, REG_BINARY = 3, REG_DWORD = 4, REG_MULTI_SZ = 7, REG_QWORD = 11 };

struct reg_value {
	const char	*name;
	enum reg_type	 type;
	/* SZ: UTF-8; MULTI_SZ: UTF-8 strings, each with its NUL; DWORD, QWORD: little-endian. */
	const uint8_t	*p;
	size_t		 len;
};

/* STORE_WRITE opens or creates; ERR_BUSY when another process has it open for writing.  STORE_EDIT is
 * the same, but ERR_ABSENT when there is no store.  STORE_READ takes no lock of its own: ERR_ABSENT when
 * there is no store, ERR_BUSY while a writer commits.  ERR_DAMAGED when SQLite or our own checks refuse
 * it (the file is left as it is); ERR_DENIED when dir belongs to somebody else or others may write to it. */
enum store_mode { STORE_READ, STORE_WRITE, STORE_EDIT };
struct store *store_open(const char *dir, enum store_mode mode, struct err *err);
/* The administrator's part of the tree, a file of its own (registry.db) so that a damaged cache
 * cannot take it along: Policy\Local, Policy\Persistent and the service's settings.  No
 * generations.  Several processes may have it open for writing: store_begin waits for
 * the other one's transaction, up to 10 s (then ERR_BUSY), and so does reading.  A SHA-256
 * over all of it is renewed with each commit and checked when it is opened, and with each
 * store_begin: ERR_DAMAGED names the file, and the key or value when it can be told.
 *
 * STORE_WRITE makes the file when there is none.  Else ERR_ABSENT: nothing was ever written, or somebody removed the file; nothing in the folder
 * tells which.  The boot image does: it has a copy of what was in force. */
struct store *registry_open(const char *dir, enum store_mode mode, struct err *err);
/* A number that changes when another process (or handle) has committed something; the
 * commits of this handle leave it as it is.  To be compared with one of this handle. */
int store_version(struct store *s, uint32_t *ret, struct err *err);
/* Moves a damaged registry.db to registry.db.damaged, so that registry_open makes a new one. */
int registry_set_aside(const char *dir, struct err *err);
/* Moves a damaged store.db to store.db.damaged (replacing an older one), so that
 * store_open makes a new one.  ERR_BUSY while it is open for writing. */
int store_set_aside(const char *dir, struct err *err);
void store_close(struct store *s);		/* NULL: nothing; rolls back */

/* With STORE_READ: until commit or rollback all reads are of one state.  -1: nothing was begun.  Registry:
 * ERR_BUSY also when the file was removed or replaced since it was opened. */
int store_begin(struct store *s, struct err *err);
/* The same for reading only, whatever it was opened for; ended by store_rollback. */
int store_begin_reading(struct store *s, struct err *err);
int store_commit(struct store *s, struct err *err);	/* -1: rolled back already */
void store_rollback(struct store *s);		/* nothing begun: nothing */

/* Setting and deleting: within begin..commit only.  Setting a value creates its
 * keys; strings must be UTF-8, sizes as their type demands. */
int reg_set(struct store *s, const char *key, const struct reg_value *v, struct err *err);
int reg_delete_value(struct store *s, const char *key, const char *name, struct err *err);
int reg_delete_key(struct store *s, const char *key, struct err *err);	/* with all below; absent: no error */
/* Reading.  1 found, 0 absent (for the lists: the key), -1 error.  Results in `a`, lists
 * sorted by name without case.  "" is HKLM itself, which has subkeys only. */
int reg_get(struct store *s, const char *key, const char *name, struct reg_value *ret, struct arena *a, struct err *err);
int reg_values(struct store *s, const char *key, struct reg_value **ret, size_t *ret_n, struct arena *a, struct err *err);
int reg_subkeys(struct store *s, const char *key, const char ***ret, size_t *ret_n, struct arena *a, struct err *err);

/* ---- generations: what a refresh enforced, as named texts ----
 * Parts: "policy" (canonical text, POLICY_SEALED; it must be there), and as the caller
 * likes "gpo", "gpo-name", "facts", "hints", "site", "rsop", "rsop.json", "snapshot",
 * "server".  A SHA-256 over all of them is checked on load. */
struct gen_part {
	const char	*name;
	const char	*text;		/* NUL behind it, not counted */
	size_t		 len;
};

struct generation {
	uint64_t	 number;	/* 1, 2, ... never reused */
	int64_t		 taken;		/* CLOCK_REALTIME seconds of the refresh */
	struct gen_part	*parts;
	size_t		 n_parts;
};

const struct gen_part *part_find(const struct gen_part *parts, size_t n, const char *name);	/* NULL: none */
static inline const struct gen_part *generation_part(const struct generation *g, const char *name)
{
	return part_find(g->parts, g->n_parts, name);
}

#define STORE_GENERATIONS	8	/* kept */

#define STORE_MAX_PARTS	32
#define STORE_MAX_PART	(256u << 20)	/* bytes, one text */

/* One transaction (its own unless one was begun) of a generation whose taken and
 * parts the caller has set: number is assigned, it becomes current, and the registry's
 * Policy\Cache key holds the policy's objects as Windows would; nothing, when the
 * policy cannot be said as objects.  ERR_FORMAT: no policy, or not one, or bad names. */
int generation_put(struct store *s, struct generation *g, struct err *err);
/* The newest generation that passes its check.  1 found, 0 none (nothing assigned, or
 * dropped), -1 error: ERR_DAMAGED when there were some and none passes.  *n_damaged, set
 * unless -1, counts newer ones that did not pass (at least 1 when the list of them does
 * not pass its own). */
int generation_load(struct store *s, struct generation *ret, size_t *n_damaged, struct arena *a, struct err *err);
/* Nothing is assigned: no generation is left (nor its keys, nor its pre-shared
 * keys in unused pages) and Policy\Cache is empty.  Writes only when there was something. */
int generation_drop(struct store *s, struct err *err);

/* ---- boot image: a second copy of what is enforced, one flat file under a digest;
 * read when the store is damaged ----
 *
 *   ipsecpol image 1
 *   part NAME LENGTH		then LENGTH bytes and a newline, any number
 *   end SHA256			(hex) of everything before this line
 */

/* Replaces path whole or not at all: PATH.new, fsync, rename, fsync of the folder. */
int image_write(const char *path, const struct gen_part *parts, size_t n_parts, struct err *err);
/* ERR_ABSENT: no file; ERR_DAMAGED: not what was written; ERR_DENIED: somebody else's
 * file, or one that others may write. */
int image_read(const char *path, struct gen_part **ret, size_t *ret_n, struct arena *a, struct err *err);
/* The same from the file's bytes; ERR_DAMAGED. */
int image_parse(struct gen_part **ret, size_t *ret_n, struct arena *a, const char *text, size_t len, struct err *err);

#endif
