/* agent/diag_report.h - drops as an event, as JSON, and the filters that drop most as text. */
#ifndef AGENT_DIAG_REPORT_H
#define AGENT_DIAG_REPORT_H

#include <stddef.h>

#include "agent/diag_packet.h"

struct json_t;

void diag_drop_log(const struct diag_drop *d);
/* "number", "time", "direction", "protocol", "src", "dst", "sport", "dport", "interface", "why"; "filter", "rule", "rule_name",
 * "gpo", "gpo_name", "store" and "policy" are null when no filter decided, or that is not known.  NULL: no memory. */
struct json_t *diag_drop_json(const struct diag_drop *d);
/* "; most: 12 by filter {...} of rule 'x', 3 by filter ..."; "" when none was seen. */
void diag_top_text(const struct diag_tally *t, char *out, size_t size);

#endif
