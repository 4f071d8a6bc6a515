/* agent/random.h - GUIDs that nobody else has.  SHELL. */
#ifndef AGENT_RANDOM_H
#define AGENT_RANDOM_H

struct err;
struct guid;

int guid_random(struct guid *ret, struct err *err);	/* RFC 9562 version 4 */

#endif
