#include "agent/log.h"

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <nettle/sha2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "schema/ascii.h"
#include "schema/utf.h"

#define MESSAGE_MAX	2048
#define FIELD_MAX	512
#define N_FIXED		5	/* MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, MESSAGE_ID, IPSECPOL_EVENT */

static const char *log_name = "ipsecpol";
static bool log_journal;

/* JOURNAL_STREAM is DEVICE:INODE of the stream that systemd connected; when
 * stderr was redirected since, its reader wants plain lines. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || isatty(STDERR_FILENO) || fstat(STDERR_FILENO, &st) < 0)
		return false;
	if (sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	return dev == (unsigned long long)st.st_dev && ino == (unsigned long long)st.st_ino;
}

void log_open(const char *name)
{
	log_name = name;
	log_journal = stderr_is_journal();
}

void log_message_id(const char *event, char out[static LOG_ID_TEXT])
{
	static const char space[] = "ipsecpol:";
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, sizeof(space) - 1, (const uint8_t *)space);
	sha256_update(&ctx, strlen(event), (const uint8_t *)event);
	sha256_digest(&ctx, sizeof(digest), digest);
	hex_text(out, digest, 16);
}

static bool name_fits(const char *name)
{
	return name[0] && strlen(name) < 48 &&
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(name);
}

static int journal_send(int priority, const char *event, const char *const *fields, const char *message)
{
	char fixed[N_FIXED][64 + FIELD_MAX], text[LOG_MAX_FIELDS][64 + FIELD_MAX];
	char id[LOG_ID_TEXT], whole[MESSAGE_MAX + 16];
	struct iovec iov[N_FIXED + LOG_MAX_FIELDS];
	int n = 0, n_fields = 0;

	snprintf(whole, sizeof(whole), "MESSAGE=%s", message);
	iov[n++] = (struct iovec){ whole, strlen(whole) };
	snprintf(fixed[n], sizeof(fixed[n]), "PRIORITY=%d", priority);
	iov[n] = (struct iovec){ fixed[n], strlen(fixed[n]) };
	n++;
	snprintf(fixed[n], sizeof(fixed[n]), "SYSLOG_IDENTIFIER=%s", log_name);
	iov[n] = (struct iovec){ fixed[n], strlen(fixed[n]) };
	n++;
	if (event) {
		log_message_id(event, id);
		snprintf(fixed[n], sizeof(fixed[n]), "MESSAGE_ID=%s", id);
		iov[n] = (struct iovec){ fixed[n], strlen(fixed[n]) };
		n++;
		snprintf(fixed[n], sizeof(fixed[n]), "IPSECPOL_EVENT=%s", event);
		iov[n] = (struct iovec){ fixed[n], strlen(fixed[n]) };
		n++;
	}
	for (; fields && fields[0] && fields[1] && n_fields < LOG_MAX_FIELDS; fields += 2) {
		if (!name_fits(fields[0]))
			continue;
		snprintf(text[n_fields], sizeof(text[0]), "IPSECPOL_%s=%s", fields[0], fields[1]);
		utf8_clean(text[n_fields], "");
		iov[n++] = (struct iovec){ text[n_fields], strlen(text[n_fields]) };
		n_fields++;
	}
	return sd_journal_sendv(iov, n);
}

void log_event(int priority, const char *event, const char *const *fields, const char *fmt, ...)
{
	char message[MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	utf8_clean(message, "");
	if (log_journal && journal_send(priority, event, fields, message) >= 0)
		return;
	fprintf(stderr, "%s: %s\n", log_name, message);
}
