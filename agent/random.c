#include "agent/random.h"

#include <sys/random.h>

#include "schema/err.h"
#include "schema/ident.h"

int guid_random(struct guid *ret, struct err *err)
{
	struct guid g;

	if (getrandom(g.b, sizeof(g.b), 0) != sizeof(g.b))
		return err_set(err, ERR_SYSTEM, "no random numbers for a new GUID: %m");
	/* The third field lies little-endian: its version is in byte 7. */
	g.b[7] = (uint8_t)((g.b[7] & 0x0f) | 0x40);
	g.b[8] = (uint8_t)((g.b[8] & 0x3f) | 0x80);
	*ret = g;
	return 0;
}
