/* schema/ipsecdata_blob.h - what the five ipsecData forms share; for the
 * ipsecdata_*.c files only.
 *
 *   block: GUID (16 bytes) | Data-Length u32 | body
 *   blob : [block the reader does not know...] block [block...] [1 byte pad]
 *
 * Bodies are read by their own counts.  Data-Length must agree to within one
 * byte, since writers differ on whether the pad counts. */
#ifndef SCHEMA_IPSECDATA_BLOB_H
#define SCHEMA_IPSECDATA_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/ident.h"
#include "schema/rd.h"

struct arena;
struct dir_value;
struct err;

/* Bytes of one ipsecData value: more than a domain controller takes in one write
 * (10 MiB by default), and room for some 100,000 filters. */
#define BLOB_MAX	(16u << 20)

enum blob_block {
	BLOB_POLICY, BLOB_ISAKMP, BLOB_NFA, BLOB_NEGPOL, BLOB_FILTER,
	BLOB_FILTER2,		/* version 2 list, behind BLOB_FILTER */
	N_BLOB_BLOCKS
};
extern const struct guid blob_guids[N_BLOB_BLOCKS];

/* What may follow the body of a rule, in the order in which it is written. */
enum nfa_mark { NFA_ALTERNATE, NFA_FLAGS, NFA_TUNNEL6, N_NFA_MARKS };
extern const struct guid nfa_marks[N_NFA_MARKS];

/* Interface-Type of a rule */
#define NFA_CONN_DIALUP	0xffffffffu
#define NFA_CONN_LAN	0xfffffffeu
#define NFA_CONN_ALL	0xfffffffdu

/* *rd stands at the body of the wanted block and ends with the blob. */
int blob_open(struct rd *ret, uint32_t *ret_len, const struct dir_value *blob, enum blob_block want, struct err *err);
/* Is `mark` next, directly or behind one pad byte?  Then step behind it. */
bool blob_mark(struct rd *rd, const struct guid *mark);
/* Nothing may be left but blocks we do not know and the pad. */
int blob_close(struct rd *rd, struct err *err);
int blob_length_check(uint32_t said, size_t used, struct err *err);

/* A counted string; `what` names it in errors. */
int blob_string(const char **ret, struct arena *a, struct rd *rd, const char *what, struct err *err);
int blob_string_build(struct wr *wr, const char *s, const char *what, struct err *err);

/* Starts a block and returns where its body begins; _end writes Data-Length. */
size_t blob_begin(struct wr *wr, enum blob_block block);
void blob_end(struct wr *wr, size_t body);
/* The pad, and the check that all went well; on error *wr is freed and empty, *ret as it was. */
int blob_finish(struct wr *ret, struct wr *wr, int rc, struct err *err);

#endif
