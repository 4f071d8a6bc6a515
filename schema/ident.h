/* schema/ident.h - GUID, SID and DN: parse, print, compare. */
#ifndef SCHEMA_IDENT_H
#define SCHEMA_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

#define GUID_TEXT	39	/* "{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}" and NUL */
#define SID_MAX_SUB	15
#define SID_TEXT	184	/* "S-1-<48 bit>-<15 times 32 bit>" and NUL */

/* As stored in the directory, [MS-DTYP] 2.3.4.2: the first three fields little-endian. */
struct guid {
	uint8_t b[16];
};

struct sid {
	uint8_t	 authority[6];	/* big-endian */
	uint8_t	 n_sub;
	uint32_t sub[SID_MAX_SUB];
};

/* With or without braces, either case; exactly len characters. */
bool guid_parse(struct guid *ret, const char *text, size_t len);
void guid_text(const struct guid *g, char out[static GUID_TEXT]);	/* braces, lower case */
void guid_short(const struct guid *g, char out[static 9]);	/* first 8 digits */
int guid_cmp(const struct guid *a, const struct guid *b);	/* order of the printed text */
bool guid_is_zero(const struct guid *g);

bool sid_parse(struct sid *ret, const uint8_t *p, size_t len);	/* binary, exactly len bytes */
bool sid_read(struct sid *ret, const char *text);		/* "S-1-5-..." */
void sid_text(const struct sid *s, char out[static SID_TEXT]);
bool sid_equal(const struct sid *a, const struct sid *b);
/* Domain of an account SID with another RID; false when the SID has no RID. */
bool sid_with_rid(struct sid *ret, const struct sid *account, uint32_t rid);

/* DNs are compared by RFC 4514 text: attribute types and ASCII letters without
 * case, escapes and spaces around ',' '=' '+' resolved, several spaces in a
 * value as good as one.  (Letters beyond ASCII compare by their bytes.)  A
 * malformed DN equals only its own bytes.  dn_key(dn_key(x)) is dn_key(x). */
char *dn_key(struct arena *a, const char *dn);	/* comparable form; NULL: no memory */
bool dn_equal(const char *x, const char *y);
bool dn_valid(const char *dn);			/* RFC 4514; "" is */
/* Equal DNs have equal hashes; a seed that is not known outside keeps made-up
 * names from falling together. */
uint64_t dn_hash(const char *dn, uint64_t seed);
/* These return pointers into dn; NULL at the top, or when there is no such part. */
const char *dn_parent(const char *dn);
const char *dn_domain(const char *dn);		/* from the first "DC=" on */
bool dn_below(const char *dn, const char *top);	/* equal counts as below */
/* Value of the first RDN, unescaped, when its type is `type` ("CN"); else NULL,
 * also for one that is no text ("#04..." or with a NUL in it). */
char *dn_rdn_value(struct arena *a, const char *dn, const char *type);
/* "DC=corp,DC=example" -> "corp.example" and back; NULL: no memory or no DC.
 * What stands below the domain is left out; anything above it, an empty part or
 * a part with a dot in it is no domain.  (A domain may end in one dot.) */
char *dn_to_domain(struct arena *a, const char *dn);
char *dn_from_domain(struct arena *a, const char *domain);

#endif
