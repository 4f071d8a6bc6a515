/* tests/mkspd.h - IPsec policies from their text form (nft/spd.h), for tests. */
#ifndef TESTS_MKSPD_H
#define TESTS_MKSPD_H

#include "nft/spd.h"

/* One line; what the text does not say is not in it.  Ends the program on anything else. */
struct spd_policy mk_spd_policy(const char *line);
/* Lines, sealed; empty lines and '#' comments do not count. */
struct spd *mk_spd(const char *text);
struct spd *mk_spd_raw(const char *text);	/* not sealed */

#endif
