/* agent/exchange.h - policies of a store to and from files: registry files, LDIF, scripts.  SHELL. */
#ifndef AGENT_EXCHANGE_H
#define AGENT_EXCHANGE_H

#include <stdio.h>

struct backend;
struct err;
struct netsh_args;
struct store_edit;

/* exportpolicy: file, format, assignments.  What the store is to be, written or not yet.  The file is
 * replaced whole or not at all: FILE.new (mode 0600), fsync, rename.  ERR_UNSUPPORTED names what the
 * format cannot say.  Objects that cannot be decoded are left out and named in `out`. */
int exchange_export(struct store_edit *e, struct backend *b, const struct netsh_args *a, FILE *out, struct err *err);

/* importpolicy: file, format, assignments.  Everything is looked at before anything changes: each
 * object of the file can be decoded, and every policy that has a part in it is whole, with what
 * the store has.  Then objects of equal GUID are replaced, new ones added, others stay.
 * The assigned policy (not domain) is taken over unless assignments=no; the GPOs of a domain's
 * backup are assigned again with assignments=yes alone.
 * 0; 1: done, but GPOs of the backup do not exist any more: ERR_ABSENT, "imported, but ...", which names them; -1:
 * nothing changed (ERR_NOMEM: load e again), and the message names line or object. */
int exchange_import(struct store_edit *e, struct backend *b, const struct netsh_args *a, FILE *out, struct err *err);

#endif
