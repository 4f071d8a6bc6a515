/* conf_parse on any bytes: no crash, and an error always names the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/conf.h"
#include "schema/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *c = NULL;
	struct err err = { 0 };

	if (conf_parse(&c, "f", (const char *)data, size, &err) == 0)
		conf_free(c);
	else if (strncmp(err.msg, "f:", 2) || err.code == ERR_NONE)
		abort();
	return 0;
}
