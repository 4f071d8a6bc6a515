#include "tests/blobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/arena.h"

struct arena *arena;
struct err err;

int blob_setup(void **state)
{
	(void)state;
	arena = arena_new(0);
	memset(&err, 0, sizeof(err));
	return arena ? 0 : -1;
}

int blob_teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static int digit(char c)
{
	const char *hex = "0123456789abcdef", *d = c ? strchr(hex, c) : NULL;

	return d ? (int)(d - hex) : -1;
}

struct dir_value blob(const char *hex)
{
	uint8_t *b = arena_zalloc(arena, strlen(hex) / 2 + 1, 1);
	size_t n = 0;

	for (; *hex; hex++)
		if (digit(*hex) >= 0) {
			b[n / 2] = (uint8_t)(b[n / 2] << 4 | digit(*hex));
			n++;
		}
	assert_int_equal(n % 2, 0);
	return (struct dir_value){ b, n / 2 };
}

struct dir_value with_byte(const char *hex, size_t off, uint8_t byte)
{
	struct dir_value v = blob(hex);

	assert_true(off < v.len);
	((uint8_t *)v.p)[off] = byte;
	return v;
}

struct dir_value exact(const uint8_t *p, size_t len)
{
	uint8_t *b = malloc(len ? len : 1);

	assert_non_null(b);
	memcpy(b, p, len);
	return (struct dir_value){ b, len };
}


void assert_err(int rc, enum err_code code, const char *msg)
{
	assert_int_equal(rc, -1);
	assert_string_equal(err.msg, msg);
	assert_int_equal(err.code, code);
}

void assert_bytes(const struct wr *wr, const char *hex)
{
	struct dir_value v = blob(hex);

	assert_int_equal(wr->len, v.len);
	assert_memory_equal(wr->p, v.p, v.len);
}

/* A text for each value, so that values can be compared. */
static char *text_of(const struct ipsec_isakmp *m, const struct ipsec_filter_list *l, const struct ipsec_negpol *n, const struct ipsec_rule *r)
{
	struct ipsec_policy *p = policy_new();
	struct ipsec_negpol no = { .name = "", .description = "" };
	struct ipsec_filter_list list = { 0 };
	struct ipsec_rule rule = { 0 };
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(p);
	assert_non_null(f);
	if (m)
		p->isakmp = *m;
	if (l) {
		list = *l;
		list.name = list.description = "";
		p->filter_lists = &list;
		p->n_filter_lists = 1;
	}
	if (n)
		no = *n;
	no.name = no.description = "";
	p->negpols = &no;
	p->n_negpols = 1;
	if (r) {
		rule = *r;
		rule.name = rule.description = "";
		rule.negpol = &no;
		p->rules = &rule;
		p->n_rules = 1;
	}
	assert_int_equal(policy_write(p, POLICY_SEALED, f), 0);
	fclose(f);
	policy_free(p);
	return text;
}

static void assert_same(char *x, char *y)
{
	assert_string_equal(x, y);
	free(x);
	free(y);
}

void isakmp_again(const struct ipsec_isakmp *m)
{
	struct ipsec_isakmp again = { 0 };
	struct wr wr;
	struct dir_value v;

	assert_int_equal(ipsecdata_isakmp_build(&wr, m, &err), 0);
	v = exact(wr.p, wr.len);
	assert_int_equal(ipsecdata_isakmp_parse(&again, arena, &v, &err), 0);
	again.id = m->id;
	assert_same(text_of(m, NULL, NULL, NULL), text_of(&again, NULL, NULL, NULL));
	free((void *)v.p);
	free(wr.p);
}

void list_again(const struct ipsec_filter_list *l)
{
	struct ipsec_filter_list again = { 0 };
	struct wr wr;
	struct dir_value v;

	assert_int_equal(ipsecdata_filter_build(&wr, l, &err), 0);
	v = exact(wr.p, wr.len);
	assert_int_equal(ipsecdata_filter_parse(&again, arena, &v, &err), 0);
	again.id = l->id;
	assert_same(text_of(NULL, l, NULL, NULL), text_of(NULL, &again, NULL, NULL));
	free((void *)v.p);
	free(wr.p);
}

void negpol_again(const struct ipsec_negpol *n)
{
	struct ipsec_negpol again = *n;
	struct wr wr;
	struct dir_value v;

	again.offers = NULL;
	again.n_offers = 0;
	again.soft = again.pfs = false;
	assert_int_equal(ipsecdata_negpol_build(&wr, n, &err), 0);
	v = exact(wr.p, wr.len);
	assert_int_equal(ipsecdata_negpol_parse(&again, arena, &v, &err), 0);
	assert_same(text_of(NULL, NULL, n, NULL), text_of(NULL, NULL, &again, NULL));
	free((void *)v.p);
	free(wr.p);
}

void rule_again(const struct ipsec_rule *r)
{
	struct ipsec_rule again = { .id = r->id };
	struct wr wr;
	struct dir_value v;

	assert_int_equal(ipsecdata_nfa_build(&wr, r, &err), 0);
	v = exact(wr.p, wr.len);
	assert_int_equal(ipsecdata_nfa_parse(&again, arena, &v, &err), 0);
	assert_same(text_of(NULL, NULL, NULL, r), text_of(NULL, NULL, NULL, &again));
	free((void *)v.p);
	free(wr.p);
}

void assert_side(const struct ipsec_addr *a, const char *text)
{
	char got[IPSEC_ADDR_TEXT];

	ipsec_addr_text(a, got);
	assert_string_equal(got, text);
}
