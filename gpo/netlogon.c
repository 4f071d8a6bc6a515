#include "gpo/netlogon.h"

#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/rd.h"
#include "schema/snapshot.h"
#include "schema/utf.h"

#define NT_VERSION_5EX		0x04u
#define NT_VERSION_WITH_IP	0x08u
#define NT_VERSION_CLOSEST	0x10u
#define HEADER_SIZE		24	/* opcode, zero, flags, domain GUID */
#define NAME_MAX_TEXT		255
#define MAX_JUMPS		16

struct message {
	const uint8_t	*p;
	size_t		 len;		/* without NtVersion and the tokens behind it */
	size_t		 pos;
};

/* One label into text; its length byte is at *at. */
static int label_copy(char text[static NAME_MAX_TEXT + 1], size_t *n, const struct message *m,
    size_t at, size_t end, struct err *err)
{
	size_t len = m->p[at];

	if (len > end - at - 1)
		return err_set(err, ERR_FORMAT, "label at %zu is cut short", at);
	if (*n + (*n > 0) + len > NAME_MAX_TEXT)
		return err_set(err, ERR_FORMAT, "name is longer than %d bytes", NAME_MAX_TEXT);
	if (*n > 0)
		text[(*n)++] = '.';
	for (size_t i = 0; i < len; i++) {
		uint8_t c = m->p[at + 1 + i];

		if (c < 0x20 || c == 0x7f)
			return err_set(err, ERR_FORMAT, "label at %zu holds a control character", at);
		text[(*n)++] = (char)c;
	}
	return 0;
}

/* RFC 1035 labels, [MS-ADTS] 6.3.7.  Each pointer must lead to a place in front
 * of everything the name was read from so far; that ends every loop. */
static int name_parse(const char **ret, struct arena *a, struct message *m, struct err *err)
{
	size_t at = m->pos, floor = m->pos, end = m->len, n = 0, target;
	char text[NAME_MAX_TEXT + 1];
	bool jumped = false;
	unsigned jumps = 0;

	for (;;) {
		if (at >= end)
			return err_set(err, ERR_FORMAT, "name is cut short");
		if (m->p[at] == 0)
			break;
		if ((m->p[at] & 0xc0) == 0) {
			if (label_copy(text, &n, m, at, end, err) < 0)
				return -1;
			at += 1u + m->p[at];
			continue;
		}
		if ((m->p[at] & 0xc0) != 0xc0)
			return err_set(err, ERR_FORMAT, "label at %zu is of an unknown kind", at);
		if (end - at < 2)
			return err_set(err, ERR_FORMAT, "name is cut short");
		target = (size_t)(m->p[at] & 0x3f) << 8 | m->p[at + 1];
		if (target < HEADER_SIZE || target >= floor)
			return err_set(err, ERR_FORMAT, "pointer at %zu does not lead back to a name", at);
		if (jumps++ == MAX_JUMPS)
			return err_set(err, ERR_FORMAT, "more than %d pointers in one name", MAX_JUMPS);
		if (!jumped)
			m->pos = at + 2;
		jumped = true;
		at = floor = target;
	}
	if (!jumped)
		m->pos = at + 1;
	text[n] = '\0';
	if (!utf8_valid(text))
		return err_set(err, ERR_FORMAT, "name is not UTF-8");
	*ret = arena_strdup(a, text);
	return *ret ? 0 : err_nomem(err);
}

static int tail_parse(struct message *m, uint32_t nt_version, struct arena *a, struct err *err)
{
	const char *closest;

	if (nt_version & NT_VERSION_WITH_IP) {
		if (m->pos >= m->len || m->p[m->pos] > m->len - m->pos - 1)
			return err_set(err, ERR_FORMAT, "address is cut short");
		m->pos += 1u + m->p[m->pos];
	}
	if ((nt_version & NT_VERSION_CLOSEST) && name_parse(&closest, a, m, err) < 0)
		return err_prefix(err, "next closest site");
	if (m->pos != m->len)
		return err_set(err, ERR_FORMAT, "%zu bytes too many", m->len - m->pos);
	return 0;
}

int netlogon_parse(struct netlogon *ret, struct arena *a, const struct dir_value *v, struct err *err)
{
	struct netlogon nl = { 0 };
	const char *netbios_domain, *netbios_host, *user;
	const struct { const char *what, **to; } names[] = {
		{ "forest", &nl.forest }, { "domain", &nl.domain }, { "host", &nl.host },
		{ "NetBIOS domain", &netbios_domain }, { "NetBIOS host", &netbios_host },
		{ "user", &user }, { "site of the DC", &nl.dc_site }, { "client site", &nl.client_site },
	};
	struct rd rd = { v->p, v->p + v->len, false }, end;
	struct message m = { v->p, 0, HEADER_SIZE };
	uint32_t nt_version, tokens;
	const uint8_t *guid;

	if (v->len < HEADER_SIZE + 8)
		return err_set(err, ERR_FORMAT, "%zu bytes are too few", v->len);
	m.len = v->len - 8;
	end = (struct rd){ v->p + m.len, v->p + v->len, false };
	nt_version = rd_u32(&end);
	tokens = rd_u32(&end);
	if (tokens != 0xffffffff || !(nt_version & NT_VERSION_5EX))
		return err_set(err, ERR_FORMAT, "not the extended form (NtVersion 0x%lx)", (unsigned long)nt_version);
	nl.opcode = rd_u16(&rd);
	rd_u16(&rd);
	nl.flags = rd_u32(&rd);
	guid = rd_bytes(&rd, sizeof(nl.domain_guid.b));
	memcpy(nl.domain_guid.b, guid, sizeof(nl.domain_guid.b));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (name_parse(names[i].to, a, &m, err) < 0)
			return err_prefix(err, "%s", names[i].what);
	if (tail_parse(&m, nt_version, a, err) < 0)
		return -1;
	*ret = nl;
	return 0;
}
