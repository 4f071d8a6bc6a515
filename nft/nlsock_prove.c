/* Whether a transaction did what it said: what it changed is read back and compared.  What it did not
 * change is as it was, when the generation is the one that it made: nobody else committed
 * anything before the reading was over.  An element costs the kernel the same wherever it is, while a
 * dump goes through all of a set again for each piece of 32 KB. */
#include "nft/nlsock_parts.h"

#include <stdlib.h>
#include <string.h>

#include "nft/batch.h"
#include "nft/readback.h"
#include "schema/err.h"
#include "schema/rd.h"

#define DUMP_MAX	1024	/* elements of a table that is read back whole */
#define SET_DUMP_MAX	8192	/* elements of a set that is; an answer about a key alone costs a message */

struct proof {
	struct nlsock			*s;
	const struct rs_set		*set;		/* of the keys that wait */
	const struct rs_element		*keys[KEYS_MAX];
	size_t				 n_keys;
	struct wr			 wr;
	bool				 failed;	/* not as it should be */
	struct err			*err;
};

static bool elements_fit(const struct proof *p, const struct rs_set *got)
{
	if (got->n_elements != p->n_keys)
		return false;
	for (size_t i = 0; i < p->n_keys; i++)
		if (memcmp(p->keys[i]->key, got->elements[i].key, p->set->key_len) ||
		    !rs_element_equal(p->keys[i], &got->elements[i]))
			return false;
	return true;
}

/* A non-zero result ends the walk: -1 or, when it is not as it should be, 1. */
static int proof_result(struct proof *p, enum answer a, bool fits)
{
	if (a == ANSWER_ERROR)
		return -1;
	p->failed = !fits;
	return p->failed;
}

static int keys_flush(struct proof *p)
{
	struct ruleset *got = NULL;
	enum answer a;
	bool fits = false;

	if (!p->n_keys)
		return 0;
	p->wr.len = 0;
	a = keys_get(p->s, p->set, p->keys, p->n_keys, &p->wr, p->err);
	if (a == ANSWER_DONE) {
		if (readback_elements(&got, p->set, p->wr.p, p->wr.len, p->err) < 0)
			return -1;
		fits = elements_fit(p, got->sets[0]);
	}
	ruleset_free(got);
	p->n_keys = 0;
	return proof_result(p, a, fits);
}

static int key_wait(struct proof *p, const struct rs_set *set, const struct rs_element *e)
{
	int rc = 0;

	if (p->set != set || p->n_keys == KEYS_MAX)
		rc = keys_flush(p);
	p->set = set;
	p->keys[p->n_keys++] = e;
	return rc;
}

static int gone_check(struct proof *p, const struct rs_difference *d)
{
	enum answer a;

	p->wr.len = 0;
	a = keys_get(p->s, d->have_set, &d->have, 1, &p->wr, p->err);
	return proof_result(p, a, a == ANSWER_ABSENT);
}

static int element_see(const struct rs_difference *d, void *cookie)
{
	struct proof *p = cookie;

	/* Sets that went are not in the head either. */
	if (d->what != RS_DIFF_ELEMENT || !d->want_set)
		return 0;
	if (!d->want)
		return gone_check(p, d);
	return key_wait(p, d->want_set, d->want);
}

/* ---- whole sets ---- */

/* Nothing is there that should not be; what seems to lack is asked for by its key. */
static int dump_check(struct proof *p, const struct rs_set *want, const struct rs_set *got)
{
	size_t k = 0;
	int rc = 0, c;

	for (size_t i = 0; rc == 0 && i < want->n_elements; i++) {
		c = k < got->n_elements ? memcmp(want->elements[i].key, got->elements[k].key, want->key_len) : -1;
		if (c < 0)
			rc = key_wait(p, want, &want->elements[i]);
		else if (c > 0 || !rs_element_equal(&want->elements[i], &got->elements[k++]))
			rc = proof_result(p, ANSWER_DONE, false);
	}
	return rc ? rc : proof_result(p, ANSWER_DONE, k == got->n_elements);
}

static int keys_check(struct proof *p, const struct rs_set *want)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < want->n_elements; i++)
		rc = key_wait(p, want, &want->elements[i]);
	return rc;
}

static int set_check(struct proof *p, const struct rs_set *want)
{
	struct ruleset *got = NULL;
	enum answer a;
	int rc = -1;

	p->wr.len = 0;
	a = elements_get(p->s, want->name, &p->wr, p->err);
	if (a == ANSWER_AGAIN)
		return keys_check(p, want);
	if (a != ANSWER_DONE)
		return proof_result(p, a, false);
	if (readback_elements(&got, want, p->wr.p, p->wr.len, p->err) == 0) {
		ruleset_drop_twins(got);
		rc = dump_check(p, want, got->sets[0]);
	}
	ruleset_free(got);
	return rc;
}

/* Of a table that is new. */
static int sets_check(struct proof *p, const struct ruleset *want)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && want && i < want->n_sets; i++)
		rc = want->sets[i]->n_elements > SET_DUMP_MAX ? keys_check(p, want->sets[i]) : set_check(p, want->sets[i]);
	return rc;
}

static int head_see(const struct rs_difference *d, void *cookie)
{
	(void)cookie;
	return d->what != RS_DIFF_ELEMENT;
}

/* Table, chains, rules and the definitions of sets. */
static int head_check(struct proof *p, const struct ruleset *want)
{
	struct ruleset *got = NULL;
	enum answer a;
	bool fits;

	p->wr.len = 0;
	a = head_get(p->s, &p->wr, p->err);
	if (a != ANSWER_DONE)
		return proof_result(p, a, a == ANSWER_ABSENT && !want);
	if (readback_parse(&got, p->wr.p, p->wr.len, p->err) < 0)
		return -1;
	fits = want && got && !ruleset_walk(want, got, head_see, NULL);
	ruleset_free(got);
	return proof_result(p, a, fits);
}

static bool only_elements(const struct rs_changes *c)
{
	return c->listed && !changes_walk(c, head_see, NULL);
}

static bool is_small(const struct ruleset *want)
{
	size_t n = 0;

	for (size_t i = 0; want && i < want->n_sets; i++)
		n += want->sets[i]->n_elements;
	return n <= DUMP_MAX;
}

int nlsock_prove(struct nlsock *s, const struct rs_changes *c, uint32_t genid, struct err *err)
{
	struct proof p = { .s = s, .err = err };
	uint32_t now;
	int rc = 0;

	/* Then a dump says more, and is as fast. */
	if (is_small(c->want) && !only_elements(c))
		return 0;
	if (!only_elements(c))
		rc = head_check(&p, c->want);
	if (rc == 0)
		rc = !c->have || batch_replaces(c) ? sets_check(&p, c->want) : changes_walk(c, element_see, &p);
	if (rc == 0)
		rc = keys_flush(&p);
	if (rc == 0)
		rc = genid_get(s, &now, err);
	free(p.wr.p);
	return rc < 0 ? -1 : rc == 0 && !p.failed && now == genid;
}
