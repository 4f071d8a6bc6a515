#include "gpo/sd.h"

#include <stdint.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"
#include "schema/rd.h"
#include "schema/snapshot.h"

#define SD_DACL_PRESENT		0x0004u
#define SD_SELF_RELATIVE	0x8000u
#define ACE_INHERIT_ONLY	0x08u
#define ACE_OBJECT_TYPE		0x1u	/* the object ACE has an ObjectType */
#define ACE_INHERITED_TYPE	0x2u
#define RIGHT_CONTROL_ACCESS	0x00000100u
#define RIGHT_GENERIC_ALL	0x10000000u

enum { ACE_ALLOW = 0, ACE_DENY = 1, ACE_ALLOW_OBJECT = 5, ACE_DENY_OBJECT = 6 };

/* Apply-Group-Policy, edacfd8f-ffb3-11d1-b41d-00a0c968f939, [MS-ADTS] 5.1.3.2.1 */
static const uint8_t apply_group_policy[16] = {
	0x8f, 0xfd, 0xac, 0xed, 0xb3, 0xff, 0xd1, 0x11,
	0xb4, 0x1d, 0x00, 0xa0, 0xc9, 0x68, 0xf9, 0x39,
};

enum decision { UNDECIDED, GRANTED, DENIED };

static bool token_has(const struct sid *token, size_t n_token, const struct sid *sid)
{
	for (size_t i = 0; i < n_token; i++)
		if (sid_equal(&token[i], sid))
			return true;
	return false;
}

/* A SID in front of what may be padding. */
static bool ace_sid(struct sid *ret, struct rd *rd)
{
	size_t n;

	if (rd->bad || rd_left(rd) < 8)
		return false;
	n = 8 + 4 * (size_t)rd->p[1];
	return rd_left(rd) >= n && sid_parse(ret, rd->p, n);
}

/* What an ACE says about the right, to whom; UNDECIDED: nothing, to nobody. */
struct ace {
	enum decision	says;
	struct sid	sid;
};

/* ACEs of other types are not looked into: what they are for ([MS-DTYP] 2.4.4) is not this. */
static int ace_read(struct ace *ret, uint8_t type, uint8_t flags, struct rd *rd, struct err *err)
{
	bool object = type == ACE_ALLOW_OBJECT || type == ACE_DENY_OBJECT;
	const uint8_t *guid = NULL;
	uint32_t mask, object_flags = 0;

	*ret = (struct ace){ .says = UNDECIDED };
	if (!object && type != ACE_ALLOW && type != ACE_DENY)
		return 0;
	mask = rd_u32(rd);
	if (object)
		object_flags = rd_u32(rd);
	if (object_flags & ACE_OBJECT_TYPE)
		guid = rd_bytes(rd, 16);
	if (object_flags & ACE_INHERITED_TYPE)
		rd_bytes(rd, 16);
	if (!ace_sid(&ret->sid, rd))
		return err_set(err, ERR_FORMAT, "its SID is cut short or malformed");
	if ((flags & ACE_INHERIT_ONLY) || !(mask & (RIGHT_CONTROL_ACCESS | RIGHT_GENERIC_ALL)))
		return 0;
	if (guid && memcmp(guid, apply_group_policy, sizeof(apply_group_policy)))
		return 0;
	ret->says = type == ACE_ALLOW || type == ACE_ALLOW_OBJECT ? GRANTED : DENIED;
	return 0;
}

/* What is asked of a DACL: what it says to a token, or (a is set) what to whom. */
struct question {
	const struct sid	*token;
	size_t			 n_token;
	enum decision		 first;
	struct arena		*a;
	struct sd_ace		*aces;
	size_t			 n_aces;
};

static int ace_answer(struct question *q, const struct ace *ace, struct err *err)
{
	if (ace->says == UNDECIDED)
		return 0;
	if (!q->a) {
		if (q->first == UNDECIDED && token_has(q->token, q->n_token, &ace->sid))
			q->first = ace->says;
		return 0;
	}
	q->aces = arena_grow(q->a, q->aces, q->n_aces, sizeof(*q->aces));
	if (!q->aces)
		return err_nomem(err);
	q->aces[q->n_aces++] = (struct sd_ace){ ace->sid, ace->says == GRANTED };
	return 0;
}

/* Reads every ACE, also those behind the one that decides: a list that is
 * damaged anywhere is not trusted. */
static int acl_walk(struct question *q, struct rd rd, struct err *err)
{
	uint8_t revision = rd_u8(&rd), type, flags;
	uint16_t acl_size, count, size;
	struct rd acl, rest;
	struct ace ace;

	rd_u8(&rd);
	acl_size = rd_u16(&rd);
	if (rd.bad || revision < 2 || revision > 4)
		return err_set(err, ERR_FORMAT, "DACL: cut short, or not of revision 2 to 4");
	if (acl_size < 8 || acl_size - 4u > rd_left(&rd))
		return err_set(err, ERR_FORMAT, "DACL: size %u does not fit", acl_size);
	acl = rd_sub(&rd, acl_size - 4u);
	count = rd_u16(&acl);
	rd_u16(&acl);
	for (unsigned i = 0; i < count; i++) {
		type = rd_u8(&acl);
		flags = rd_u8(&acl);
		size = rd_u16(&acl);
		if (acl.bad || size < 4 || size % 4 || size - 4u > rd_left(&acl))
			return err_set(err, ERR_FORMAT, "DACL: ACE %u of %u: its size does not fit", i + 1, count);
		rest = rd_sub(&acl, size - 4u);
		if (ace_read(&ace, type, flags, &rest, err) < 0)
			return err_prefix(err, "DACL: ACE %u of %u", i + 1, count);
		if (ace_answer(q, &ace, err) < 0)
			return -1;
	}
	return 0;
}

/* *ret_open: there is no DACL, and q is not looked at. */
static int sd_walk(bool *ret_open, struct question *q, const struct dir_value *sd, struct err *err)
{
	struct rd rd = { sd->p, sd->p + sd->len, false };
	uint8_t revision = rd_u8(&rd);
	uint16_t control;
	uint32_t dacl;

	rd_u8(&rd);
	control = rd_u16(&rd);
	rd_bytes(&rd, 12);	/* owner, group, SACL */
	dacl = rd_u32(&rd);
	if (rd.bad)
		return err_set(err, ERR_FORMAT, "security descriptor: %zu bytes are too few", sd->len);
	if (revision != 1 || !(control & SD_SELF_RELATIVE))
		return err_set(err, ERR_FORMAT, "security descriptor: not self-relative of revision 1");
	*ret_open = !(control & SD_DACL_PRESENT) || dacl == 0;
	if (*ret_open)
		return 0;
	if (dacl < 20 || dacl > sd->len)
		return err_set(err, ERR_FORMAT, "security descriptor: DACL at %lu of %zu bytes",
		    (unsigned long)dacl, sd->len);
	rd.p = sd->p + dacl;
	return acl_walk(q, rd, err) < 0 ? err_prefix(err, "security descriptor") : 0;
}

int sd_may_apply(bool *ret, const struct dir_value *sd, const struct sid *token, size_t n_token, struct err *err)
{
	struct question q = { .token = token, .n_token = n_token };
	bool open;

	if (sd_walk(&open, &q, sd, err) < 0)
		return -1;
	*ret = open || q.first == GRANTED;
	return 0;
}

int sd_aces(struct sd_ace **ret, size_t *ret_n, struct arena *a, const struct dir_value *sd, struct err *err)
{
	struct question q = { .a = a };
	bool open;

	if (sd_walk(&open, &q, sd, err) < 0)
		return -1;
	*ret = q.aces;
	*ret_n = q.n_aces;
	return 0;
}
