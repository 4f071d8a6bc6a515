/* tests/ike_world.h - connections of every kind, as a renderer might make them. */
#ifndef TESTS_IKE_WORLD_H
#define TESTS_IKE_WORLD_H

#include <stddef.h>

struct ike_config;

#define WORLD_KEY	"Xq7#Sesame-\"1\\2\""	/* has what a configuration file would have to quote */

/* n connections, not sealed, no two of them equal; with one key.  NULL: no memory. */
struct ike_config *ike_world(size_t n);

#endif
