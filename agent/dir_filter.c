#include "agent/dir_backend.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "schema/arena.h"
#include "schema/ascii.h"
#include "schema/err.h"
#include "schema/ident.h"

#define RULE_BIT_AND	"1.2.840.113556.1.4.803"

enum op { OP_AND, OP_OR, OP_NOT, OP_PRESENT, OP_EQUAL, OP_DNS, OP_SUBSTRING, OP_BIT_AND };
enum rule { RULE_TEXT, RULE_OCTETS, RULE_DN, RULE_SELF, RULE_CLASS, RULE_CATEGORY, RULE_PING };

struct dir_filter {
	enum op			 op;
	enum rule		 rule;
	struct dir_filter	*kids, *next;	/* AND, OR, NOT */
	const char		*attr;
	/* EQUAL: one.  SUBSTRING: initial, any..., final; first and last may be empty. */
	struct dir_value	*values;
	size_t			 n_values;
	/* DNS: the attribute names one of these; comparable forms, sorted.  The DN
	 * terms of an OR are gathered in one such node, or a search for a
	 * thousand names would try a thousand terms on each entry. */
	const char		**keys;
	size_t			 n_keys;
	uint64_t		 bits;
};

static const struct { const char *name; enum rule rule; } rules[] = {
	{ "distinguishedName", RULE_SELF }, { "entryDN", RULE_SELF },
	{ "member", RULE_DN }, { "memberOf", RULE_DN }, { "siteObject", RULE_DN },
	{ "ipsecOwnersReference", RULE_DN }, { "ipsecISAKMPReference", RULE_DN },
	{ "ipsecNFAReference", RULE_DN }, { "ipsecNegotiationPolicyReference", RULE_DN },
	{ "ipsecFilterReference", RULE_DN }, { "ipsecPolicyReference", RULE_DN },
	{ "objectClass", RULE_CLASS }, { "objectCategory", RULE_CATEGORY },
	{ "objectSid", RULE_OCTETS }, { "objectGUID", RULE_OCTETS },
	{ "tokenGroups", RULE_OCTETS }, { "ipsecData", RULE_OCTETS },
	{ "nTSecurityDescriptor", RULE_OCTETS },
	{ "DnsDomain", RULE_PING }, { "Host", RULE_PING }, { "DnsHostName", RULE_PING },
	{ "User", RULE_PING }, { "AAC", RULE_PING }, { "DomainSid", RULE_PING },
	{ "DomainGuid", RULE_PING }, { "NtVer", RULE_PING },
};

struct parser {
	struct arena	*a;
	const char	*text, *p;
	unsigned	 depth;
	struct err	*err;
};

static int bad(struct parser *ps, enum err_code code, const char *what)
{
	return err_set(ps->err, code, "filter: character %zu: %s", (size_t)(ps->p - ps->text) + 1, what);
}

static enum rule rule_of(const char *attr)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (!strcasecmp(attr, rules[i].name))
			return rules[i].rule;
	return RULE_TEXT;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Up to '*', ')' or the end; escapes resolved. */
static int parse_value(struct parser *ps, struct dir_value *ret)
{
	size_t max = strcspn(ps->p, "*()"), len = 0;
	uint8_t *out = arena_zalloc(ps->a, max + 1, 1);

	if (!out)
		return err_nomem(ps->err);
	for (const char *end = ps->p + max; ps->p < end;) {
		if (*ps->p != '\\') {
			out[len++] = (uint8_t)*ps->p++;
			continue;
		}
		if (hex(ps->p[1]) < 0 || hex(ps->p[2]) < 0)
			return bad(ps, ERR_FORMAT, "'\\' needs two hexadecimal digits");
		out[len++] = (uint8_t)(hex(ps->p[1]) << 4 | hex(ps->p[2]));
		ps->p += 3;
	}
	if (*ps->p == '(')
		return bad(ps, ERR_FORMAT, "'(' in a value");
	ret->p = out;
	ret->len = len;
	return 0;
}

static int parse_bits(struct parser *ps, struct dir_filter *f)
{
	const struct dir_value *v = f->values;
	uint64_t n = 0;

	for (size_t i = 0; i < v->len; i++) {
		if (v->p[i] < '0' || v->p[i] > '9' || n > UINT32_MAX)
			return bad(ps, ERR_FORMAT, "not a number of 32 bits");
		n = n * 10 + (v->p[i] - '0');
	}
	if (v->len == 0 || n > UINT32_MAX)
		return bad(ps, ERR_FORMAT, "not a number of 32 bits");
	f->bits = n;
	return 0;
}

static int add_key(struct parser *ps, struct dir_filter *f, const struct dir_value *v)
{
	void *grown = arena_grow(ps->a, f->keys, f->n_keys, sizeof(*f->keys));
	const char *key;

	if (!grown)
		return err_nomem(ps->err);
	f->keys = grown;
	/* A name with a NUL in it is nobody's. */
	if (memchr(v->p, '\0', v->len))
		return bad(ps, ERR_FORMAT, "a name with a zero byte");
	key = dn_key(ps->a, (const char *)v->p);
	if (!key)
		return err_nomem(ps->err);
	f->keys[f->n_keys++] = key;
	return 0;
}

/* What stands behind "attr=" or "attr:rule:=". */
static int parse_assertion(struct parser *ps, struct dir_filter *f)
{
	struct dir_value v;

	for (;;) {
		if (parse_value(ps, &v) < 0)
			return -1;
		f->values = arena_grow(ps->a, f->values, f->n_values, sizeof(v));
		if (!f->values)
			return err_nomem(ps->err);
		f->values[f->n_values++] = v;
		if (*ps->p != '*')
			break;
		ps->p++;
	}
	if (f->op == OP_BIT_AND)
		return f->n_values == 1 ? parse_bits(ps, f) : bad(ps, ERR_FORMAT, "'*' with a matching rule");
	if (f->n_values == 1) {
		if (f->rule != RULE_DN && f->rule != RULE_SELF)
			return 0;
		f->op = OP_DNS;
		return add_key(ps, f, &v);
	}
	if (f->n_values == 2 && !f->values[0].len && !f->values[1].len) {
		f->op = OP_PRESENT;
		return 0;
	}
	f->op = OP_SUBSTRING;
	if (f->rule == RULE_DN || f->rule == RULE_SELF || f->rule == RULE_PING)
		return bad(ps, ERR_UNSUPPORTED, "no substrings of names");
	return 0;
}

static int parse_item(struct parser *ps, struct dir_filter *f)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.;";
	size_t n = strspn(ps->p, name);

	if (n == 0)
		return bad(ps, ERR_FORMAT, "attribute name expected");
	f->attr = arena_strndup(ps->a, ps->p, n);
	if (!f->attr)
		return err_nomem(ps->err);
	f->rule = rule_of(f->attr);
	f->op = OP_EQUAL;
	ps->p += n;
	if (*ps->p == ':') {
		if (strncmp(ps->p + 1, RULE_BIT_AND ":=", strlen(RULE_BIT_AND ":=")))
			return bad(ps, ERR_UNSUPPORTED, "this matching rule is not known here");
		f->op = OP_BIT_AND;
		ps->p += 1 + strlen(RULE_BIT_AND ":=");
	} else if (*ps->p == '=') {
		ps->p++;
	} else if (*ps->p && strchr("<>~", *ps->p)) {
		return bad(ps, ERR_UNSUPPORTED, "only '=' and ':" RULE_BIT_AND ":=' are known here");
	} else {
		return bad(ps, ERR_FORMAT, "'=' expected");
	}
	return parse_assertion(ps, f);
}

static int key_cmp(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Moves a kid's keys to its elder sibling of the same attribute; false: there is
 * none.  There are few such siblings: few attributes hold names. */
static int gather(struct parser *ps, struct dir_filter **sets, size_t n_sets, const struct dir_filter *kid, bool *ret)
{
	*ret = false;
	for (size_t i = 0; i < n_sets; i++) {
		void *grown;

		if (strcasecmp(sets[i]->attr, kid->attr))
			continue;
		grown = arena_grow(ps->a, sets[i]->keys, sets[i]->n_keys, sizeof(*kid->keys));
		if (!grown)
			return err_nomem(ps->err);
		sets[i]->keys = grown;
		sets[i]->keys[sets[i]->n_keys++] = kid->keys[0];
		*ret = true;
		return 0;
	}
	return 0;
}

static int parse_filter(struct parser *ps, struct dir_filter **ret);

static int parse_list(struct parser *ps, struct dir_filter *f)
{
	struct dir_filter *sets[sizeof(rules) / sizeof(rules[0])], **tail = &f->kids, *kid;
	size_t n_sets = 0;
	bool gathered;

	while (*ps->p == '(') {
		if (parse_filter(ps, &kid) < 0)
			return -1;
		/* An OR inside this one sorted its keys already: only plain terms. */
		if (f->op == OP_OR && kid->op == OP_DNS && kid->n_keys == 1) {
			if (gather(ps, sets, n_sets, kid, &gathered) < 0)
				return -1;
			if (gathered)
				continue;
			sets[n_sets++] = kid;
		}
		*tail = kid;
		tail = &kid->next;
	}
	for (size_t i = 0; i < n_sets; i++)
		qsort(sets[i]->keys, sets[i]->n_keys, sizeof(*sets[i]->keys), key_cmp);
	return 0;
}

static int parse_inner(struct parser *ps, struct dir_filter *f)
{
	switch (*ps->p) {
	case '&':
		f->op = OP_AND;
		ps->p++;
		return parse_list(ps, f);
	case '|':
		f->op = OP_OR;
		ps->p++;
		return parse_list(ps, f);
	case '!':
		f->op = OP_NOT;
		ps->p++;
		if (*ps->p != '(')
			return bad(ps, ERR_FORMAT, "'(' expected");
		return parse_filter(ps, &f->kids);
	default:
		return parse_item(ps, f);
	}
}

/* *ps->p is '('. */
static int parse_filter(struct parser *ps, struct dir_filter **ret)
{
	struct dir_filter *f;

	if (ps->depth == FILTER_MAX_DEPTH)
		return bad(ps, ERR_LIMIT, "nested too deeply");
	f = arena_zalloc(ps->a, 1, sizeof(*f));
	if (!f)
		return err_nomem(ps->err);
	ps->depth++;
	ps->p++;
	if (parse_inner(ps, f) < 0)
		return -1;
	if (*ps->p != ')')
		return bad(ps, ERR_FORMAT, "')' expected");
	ps->p++;
	ps->depth--;
	*ret = f;
	return 0;
}

int filter_parse(struct dir_filter **ret, struct arena *a, const char *text, struct err *err)
{
	struct parser ps = { .a = a, .text = text, .p = text, .err = err };
	struct dir_filter *f;

	if (strnlen(text, FILTER_MAX_TEXT + 1) > FILTER_MAX_TEXT)
		return err_set(err, ERR_LIMIT, "filter: longer than %u bytes", FILTER_MAX_TEXT);
	if (*ps.p != '(')
		return bad(&ps, ERR_FORMAT, "'(' expected");
	if (parse_filter(&ps, &f) < 0)
		return -1;
	if (*ps.p)
		return bad(&ps, ERR_FORMAT, "text behind the filter");
	*ret = f;
	return 0;
}

/* ---- matching ---- */

static bool equal_text(const struct dir_value *x, const char *y, size_t len)
{
	if (x->len != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (ascii_lower(x->p[i]) != ascii_lower((uint8_t)y[i]))
			return false;
	return true;
}

static bool is_ipsec_class(const struct dir_value *v)
{
	static const char *const classes[] = { "ipsecPolicy", "ipsecISAKMPPolicy", "ipsecNFA",
		"ipsecFilter", "ipsecNegotiationPolicy" };

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (equal_text(v, classes[i], strlen(classes[i])))
			return true;
	return false;
}

/* AD keeps the DN of a class in the schema and is asked for by its name. */
static int category_equal(const struct dir_value *have, const struct dir_value *want, struct arena *scratch)
{
	char *name;

	if (memchr(want->p, '=', want->len))
		return dn_equal((const char *)have->p, (const char *)want->p);
	name = dn_rdn_value(scratch, (const char *)have->p, "CN");
	return name && equal_text(want, name, strlen(name));
}

static int value_equal(const struct dir_filter *f, const struct dir_value *have, struct arena *scratch)
{
	const struct dir_value *want = &f->values[0];

	switch (f->rule) {
	case RULE_OCTETS:
		return have->len == want->len && !memcmp(have->p, want->p, want->len);
	case RULE_CATEGORY:
		return category_equal(have, want, scratch);
	case RULE_CLASS:
		if (equal_text(want, "ipsecBase", strlen("ipsecBase")) && is_ipsec_class(have))
			return 1;
		/* fall through */
	default:
		return equal_text(have, (const char *)want->p, want->len);
	}
}

static int has_key(const struct dir_filter *f, const char *key)
{
	return bsearch(&key, f->keys, f->n_keys, sizeof(*f->keys), key_cmp) != NULL;
}

/* A copy in lower case, unless bytes are meant. */
static const uint8_t *folded(const struct dir_filter *f, const struct dir_value *v, struct arena *scratch)
{
	uint8_t *p;

	if (f->rule == RULE_OCTETS)
		return v->p;
	p = arena_memdup(scratch, v->p, v->len);
	for (size_t i = 0; p && i < v->len; i++)
		p[i] = ascii_lower(p[i]);
	return p;
}

static int value_substring(const struct dir_filter *f, const struct dir_value *have, struct arena *scratch)
{
	const uint8_t *p = folded(f, have, scratch), *end = p + have->len;

	if (!p)
		return -1;
	for (size_t i = 0; i < f->n_values; i++) {
		size_t len = f->values[i].len;
		const uint8_t *want = folded(f, &f->values[i], scratch), *at;

		if (!want)
			return -1;
		if (len > (size_t)(end - p))
			return 0;
		if (i == 0)
			at = memcmp(p, want, len) ? NULL : p;
		else if (i == f->n_values - 1)
			at = memcmp(end - len, want, len) ? NULL : end - len;
		else
			at = memmem(p, (size_t)(end - p), want, len);
		if (!at)
			return 0;
		p = at + len;
	}
	return 1;
}

/* Decimal, perhaps negative: AD's integers are signed, the mask is not. */
static int value_bits(const struct dir_filter *f, const struct dir_value *have)
{
	bool negative = have->len && have->p[0] == '-';
	uint64_t n = 0;

	if (have->len == negative || have->len > 20)
		return 0;
	for (size_t i = negative; i < have->len; i++) {
		if (have->p[i] < '0' || have->p[i] > '9')
			return 0;
		n = n * 10 + (have->p[i] - '0');
	}
	if (negative)
		n = -n;
	return (n & f->bits) == f->bits;
}

static int value_match(const struct dir_filter *f, const struct dir_value *have, struct arena *scratch)
{
	const char *key;

	switch (f->op) {
	case OP_PRESENT:
		return 1;
	case OP_DNS:
		key = dn_key(scratch, (const char *)have->p);
		return key ? has_key(f, key) : -1;
	case OP_SUBSTRING:
		return value_substring(f, have, scratch);
	case OP_BIT_AND:
		return value_bits(f, have);
	default:
		return value_equal(f, have, scratch);
	}
}

static int item_match(const struct dir_filter *f, const struct dir_entry *e, const char *key, struct arena *scratch)
{
	const struct dir_attr *attr;
	int rc;

	if (f->rule == RULE_SELF)
		return f->op == OP_PRESENT || (f->op == OP_DNS && has_key(f, key));
	if (f->rule == RULE_PING && !*e->dn)
		return entry_attr(e, "netlogon") != NULL;
	attr = entry_attr(e, f->attr);
	for (size_t i = 0; attr && i < attr->n_values; i++) {
		rc = value_match(f, &attr->values[i], scratch);
		if (rc)
			return rc;
	}
	return 0;
}

int filter_match(const struct dir_filter *f, const struct dir_entry *e, const char *key, struct arena *scratch)
{
	int rc;

	switch (f->op) {
	case OP_NOT:
		rc = filter_match(f->kids, e, key, scratch);
		return rc < 0 ? rc : !rc;
	case OP_AND:
	case OP_OR:
		for (const struct dir_filter *kid = f->kids; kid; kid = kid->next) {
			rc = filter_match(kid, e, key, scratch);
			if (rc < 0 || rc == (f->op == OP_OR))
				return rc;
		}
		return f->op == OP_AND;
	default:
		return item_match(f, e, key, scratch);
	}
}
