/* agent/dir_refs.h - deleting and referring, by several editors at once.  SHELL.
 *
 * Nothing tells a server to delete an object only while nobody refers to it.  So whoever deletes marks the
 * object first, then looks for references, then deletes; whoever refers to one writes the reference
 * first, then looks for the mark.  At least one of them sees the other, and gives way.
 * The mark is a value of ipsecDataType, which says nothing to readers: a marked object works as before. */
#ifndef AGENT_DIR_REFS_H
#define AGENT_DIR_REFS_H

#include <stddef.h>

struct dir_change;
struct directory;
struct err;
struct ipsec_container;

#define DATA_TYPE_GOING	"255"	/* the mark; others are 256 and 598 */

/* Marks those of the container's deleted objects that others may come to refer to.  -1: no mark is left
 * behind.  ERR_BUSY: one is not what was loaded. */
int dir_refs_mark(struct directory *d, const struct ipsec_container *c, struct err *err);
void dir_refs_unmark(struct directory *d, const struct ipsec_container *c);
/* ERR_BUSY: something refers to an object that is to be deleted, or one of these to something, and
 * when the container was loaded it did not. */
int dir_refs_check(struct directory *d, const struct ipsec_container *c, const struct dir_change *deletes, size_t n, struct err *err);
/* After these changes, none of them a deletion: what they changed and what they refer to is there, and not about
 * to be deleted.  A mark that stays for longer than deleting takes is of an editor that died: it is taken away. */
int dir_refs_verify(struct directory *d, const char *container, const struct dir_change *changes, size_t n, struct err *err);

#endif
