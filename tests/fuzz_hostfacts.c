/* The parsers of resolv.conf and of DHCP leases on any bytes: no crash, no
 * error, bounded results. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/hostfacts.h"
#include "schema/err.h"
#include "schema/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host_facts *f = facts_new();
	struct err err;
	bool stub;

	if (!f)
		abort();
	if (hostfacts_resolv(f, (const char *)data, size, &stub, &err) < 0 ||
	    hostfacts_lease(f, (const char *)data, size, &err) < 0 ||
	    hostfacts_dhclient(f, (const char *)data, size, 1795341600, &err) < 0)
		abort();
	for (int k = 0; k < N_FACTS; k++)
		if (f->n_addrs[k] > 256)
			abort();
	facts_free(f);
	return 0;
}
