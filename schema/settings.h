/* schema/settings.h - VALUE: what `dynamic set config` sets, and what of it the boot unit
 * needs.  Names, values and defaults: ipsecpol(8), "set config".
 *
 * Text form: one "property value" line each, in the order of the enum, only what differs
 * from the default; settings_read(settings_write(x)) is x. */
#ifndef SCHEMA_SETTINGS_H
#define SCHEMA_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;

enum boot_mode {
	BOOT_AUTO,	/* stateful when any policy is assigned, else permit */
	BOOT_PERMIT, BOOT_STATEFUL, BOOT_BLOCK,
};

struct boot_exemption {		/* what the startup modes let through besides DHCP */
	uint8_t		protocol;	/* 1..255 */
	uint16_t	src_port, dst_port;	/* 0: any; only with TCP and UDP */
	bool		outbound;	/* of packets that this host sends; else that it receives */
};

#define SETTINGS_MAX_EXEMPTIONS	64
#define SETTINGS_LOG_INTERVAL_DEFAULT	3600	/* seconds, default */
#define SETTINGS_MAX_TIME	253402300799	/* end of the year 9999 */

/* ipsecdiagnostics is the sum of these; 0: off */
enum { DIAG_ERRORS = 1, DIAG_INBOUND = 2, DIAG_OUTBOUND = 4, DIAG_ALL = 7 };

struct settings {
	enum boot_mode		boot_mode;
	struct boot_exemption	exemptions[SETTINGS_MAX_EXEMPTIONS];	/* sorted (exemption_cmp), each once */
	size_t			n_exemptions;
	int			ipsecexempt;		/* 0..3; -1: as the configuration file says */
	unsigned		diagnostics;		/* 0..7 */
	int64_t			diagnostics_until;	/* CLOCK_REALTIME seconds; 0: no end */
	unsigned		log_interval;		/* 60..86400 seconds */
	unsigned		ike_logging;		/* 0, 1 */
	unsigned		strong_crl_check;	/* 0..2, default 1 */
};

enum setting {
	SET_BOOTMODE, SET_BOOTEXEMPTIONS, SET_IPSECEXEMPT, SET_DIAGNOSTICS, SET_DIAGNOSTICS_UNTIL,
	SET_LOGINTERVAL, SET_IKELOGGING, SET_STRONGCRLCHECK, N_SETTINGS
};

void settings_default(struct settings *s);
bool settings_equal(const struct settings *a, const struct settings *b);
const char *setting_name(enum setting k);	/* "bootmode" "bootexemptions" "ipsecexempt" "ipsecdiagnostics"
						 * "ipsecdiagnosticsuntil" "ipsecloginterval" "ikelogging" "strongcrlcheck" */
/* Any unambiguous beginning, any case; -1: none or several.  An exact name is never ambiguous. */
int setting_find(const char *name);
const char *setting_values(enum setting k);	/* "stateful|block|permit|auto", for help and errors */
/* value as on the command line; "default" is the default of each.
 *   bootexemptions: "none", or "tcp:0:3389:inbound udp:0:53:outbound icmp:inbound" (blanks or commas between, other
 *   protocols by number); ipsecdiagnosticsuntil: "none", or seconds since 1970; the others: a word or number of
 *   setting_values.
 * ERR_FORMAT: "bootmode 'x' is not one of ..."; ERR_LIMIT: too many exemptions.  -1: *s is as it was. */
int setting_parse(struct settings *s, enum setting k, const char *value, struct err *err);
#define SETTING_TEXT	4096
void setting_text(const struct settings *s, enum setting k, char out[static SETTING_TEXT]);	/* as setting_parse reads it */
/* What ipsecdiagnostics is at `now` (CLOCK_REALTIME seconds): 0 when its end time has passed. */
unsigned settings_diagnostics(const struct settings *s, int64_t now);
bool setting_is_default(const struct settings *s, enum setting k);
#define EXEMPTION_TEXT	40	/* "tcp:65535:65535:outbound" and some */
void exemption_text(const struct boot_exemption *e, char *out, size_t size);	/* cut to size: EXEMPTION_TEXT is enough */
int exemption_cmp(const struct boot_exemption *a, const struct boot_exemption *b);	/* protocol, ports, inbound first */

int settings_write(const struct settings *s, FILE *out);	/* -1: write error */
/* Nothing but what settings_write writes; "": all defaults.  ERR_FORMAT: "settings: line 2: ...". */
int settings_read(struct settings *ret, const char *text, size_t len, struct err *err);

#endif
