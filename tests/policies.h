/* tests/policies.h - policies for tests: one written by hand, and ones by chance. */
#ifndef TESTS_POLICIES_H
#define TESTS_POLICIES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/err.h"
#include "schema/policy.h"

struct arena;

extern struct arena *arena;	/* of the running test */
extern struct err err;

int policies_setup(void **state);
int policies_teardown(void **state);
#define POLICY_TEST(f)	cmocka_unit_test_setup_teardown(f, policies_setup, policies_teardown)

void assert_err(int rc, enum err_code code, const char *msg);
char *text_of(const struct ipsec_policy *p, enum policy_form form);
struct ipsec_policy *read_text(const char *text);
char *replaced(const char *text, const char *from, const char *to);	/* the first `from` */

extern const char sealed[];	/* one of everything, in both forms */
extern const char shown[];

uint32_t dice(uint32_t n);	/* below n; the same ones each time */
struct ipsec_policy *any_policy(void);
#define ROUNDS	400

#endif
