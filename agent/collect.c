#include "agent/collect.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/conf.h"
#include "gpo/assemble.h"
#include "gpo/memory.h"
#include "schema/arena.h"
#include "schema/policy.h"

#define MAX_SERVERS	4	/* asked in one refresh */
#define MAX_SEARCHES	5000	/* and one for each hint: more is no refresh but a loop */
#define EDITOR_PAUSE	2	/* seconds until contradicting objects are read once more */

static size_t count_objects(const struct dir_search *answer)
{
	size_t n = 0;

	for (size_t i = 0; i < answer->n_entries; i++)
		n += gp_is_policy_object(&answer->entries[i]);
	return n;
}

/* One search with the help of r; what is read on the way is recorded for itself, too. */
static int recall(struct gp_recall *r, struct directory *d, const struct dir_query *q, struct dir_snapshot *s,
    struct collect_cost *cost, struct arena *a, struct err *err)
{
	struct dir_search answer;
	struct gp_recalled got;
	struct dir_query next;

	for (unsigned n = 0; gp_recall_next(&next, r); n++) {
		if (directory_ask(d, &next, &answer, a, err) < 0)
			return -1;
		if (n > 0 && next.filter != q->filter &&
		    snapshot_add(s, &next, answer.outcome, answer.entries, answer.n_entries, err) < 0)
			return -1;
		if (gp_recall_add(r, &answer, err) < 0)
			return -1;
	}
	gp_recall_result(&got, r);
	cost->n_read += got.n_read;
	cost->n_kept += got.n_kept;
	if (got.odd)
		cost->odd = got.odd;
	return snapshot_add(s, q, got.answer.outcome, got.answer.entries, got.answer.n_entries, err);
}

static int search(struct directory *d, const struct dir_query *q, struct dir_snapshot *s, const struct gp_subject *who,
    struct collect_cost *cost, struct err *err)
{
	struct arena *a = arena_new(0);
	struct gp_recall *r;
	int rc = -1;

	if (!a)
		return err_nomem(err);
	switch (gp_recall_begin(&r, s, who, q, a, err)) {
	case 1:
		rc = recall(r, d, q, s, cost, a, err);
		break;
	case 0:
		rc = directory_search(d, q, s, err);
		if (rc == 0)
			cost->n_read += count_objects(&s->searches[s->n_searches - 1]);
		break;
	}
	arena_free(a);
	return rc;
}

/* Asks until nothing is left to ask. */
static int read_snapshot(struct dir_snapshot **ret, struct directory *d, const struct gp_subject *who,
    struct collect_cost *cost, struct err *err)
{
	struct dir_snapshot *s = snapshot_new();
	struct arena *a = arena_new(0);
	struct dir_query q;
	size_t n = 0;
	int rc = -1;

	if (!s || !a) {
		err_nomem(err);
		goto out;
	}
	if (snapshot_set_server(s, directory_server(d), directory_address(d), err) < 0)
		goto out;
	while ((rc = gp_next_query(&q, s, who, a, err)) > 0) {
		rc = -1;
		if (++n > MAX_SEARCHES + who->n_hints) {
			err_set(err, ERR_LIMIT, "%s: no end after %zu searches", directory_server(d), n - 1);
			goto out;
		}
		if (search(d, &q, s, who, cost, err) < 0)
			goto out;
	}
	if (rc == 0) {
		*ret = s;
		s = NULL;
	}
out:
	snapshot_free(s);
	arena_free(a);
	return rc;
}

static int join_hints(char **ret, const struct dir_snapshot *s, const struct gp_subject *who, struct err *err)
{
	struct arena *a = arena_new(0);
	const char *const *dns;
	char *text = NULL;
	size_t n, len = 0;
	FILE *out = NULL;
	int rc = -1;

	if (!a) {
		err_nomem(err);
		goto out;
	}
	if (gp_hints(&dns, &n, s, who, a, err) < 0)
		goto out;
	out = open_memstream(&text, &len);
	/* One a line: a name with a line in it is not worth hinting at. */
	for (size_t i = 0; out && i < n; i++)
		if (!strpbrk(dns[i], "\r\n"))
			fprintf(out, "%s\n", dns[i]);
	if (!out || fclose(out) != 0) {
		err_nomem(err);
		goto out;
	}
	*ret = text;
	text = NULL;
	rc = 0;
out:
	free(text);
	arena_free(a);
	return rc;
}

static int copy_controllers(char **ret, struct directory *d, struct err *err)
{
	const char *dcs = directory_controllers(d);

	if (!dcs)
		return 0;
	*ret = strdup(dcs);
	return *ret ? 0 : err_nomem(err);
}

/* One whole evaluation on one server. */
static int collect_once(struct collected *ret, struct directory *d, const struct gp_subject *who,
    const struct gp_options *o, struct err *err)
{
	struct collected c = { 0 };

	if (read_snapshot(&c.snapshot, d, who, &c.cost, err) < 0 || gp_resolve(&c.rsop, c.snapshot, who, o, err) < 0 ||
	    join_hints(&c.hints, c.snapshot, who, err) < 0 || copy_controllers(&c.dcs, d, err) < 0) {
		collected_free(&c);
		return -1;
	}
	if (c.rsop->assignment == GP_ASSIGNED &&
	    policy_assemble(&c.policy, c.snapshot, c.rsop->policy_dn, &c.policy_err) < 0)
		c.policy = NULL;
	*ret = c;
	return 0;
}

/* Objects that contradict each other may be those of an editor in the middle of
 * its work, or of a replication that has not yet brought them all. */
static bool worth_another_look(const struct collected *c)
{
	return c->rsop->assignment == GP_ASSIGNED && !c->policy &&
	    (c->policy_err.code == ERR_ABSENT || c->policy_err.code == ERR_FORMAT);
}

/* Without memory, and instead of what was found so far. */
static int collect_again(struct collected *ret, struct directory *d, const struct gp_subject *who,
    const struct gp_options *o, struct err *err)
{
	struct gp_subject forgetful = *who;
	struct collected again = { 0 };
	int rc;

	forgetful.memory = NULL;
	rc = collect_once(&again, d, &forgetful, o, err);
	again.cost.n_read += ret->cost.n_read;
	again.cost.n_kept = ret->cost.n_kept;
	again.cost.odd = ret->cost.odd;
	collected_free(ret);
	if (rc == 0)
		*ret = again;
	return rc;
}

/* A reference from what is remembered may lead to an object that has got another name since. */
static bool memory_may_mislead(const struct collected *c)
{
	return c->cost.n_kept && (c->rsop->assignment == GP_UNKNOWN || (c->rsop->assignment == GP_ASSIGNED && !c->policy));
}

int collect_from(struct collected *ret, struct directory *d, const struct gp_subject *who,
    const struct gp_options *o, struct err *err)
{
	if (collect_once(ret, d, who, o, err) < 0)
		return -1;
	if (memory_may_mislead(ret) && collect_again(ret, d, who, o, err) < 0)
		return -1;
	/* A file does not change while we wait. */
	if (worth_another_look(ret) && strncmp(directory_server(d), "ldif:", 5)) {
		nanosleep(&(struct timespec){ .tv_sec = EDITOR_PAUSE }, NULL);
		if (collect_again(ret, d, who, o, err) < 0)
			return -1;
	}
	ret->cost.traffic = *directory_traffic(d);
	return 0;
}

int collect(struct collected *ret, const struct directory_conf *c, const struct gp_subject *who,
    const struct gp_options *o, struct err *err)
{
	const char *skip[MAX_SERVERS + 1] = { NULL };
	struct directory_conf conf = *c;
	struct directory *d;
	struct err why;
	int rc = -1;

	conf.skip = skip;
	for (size_t n = 0; n < MAX_SERVERS && rc < 0; n++) {
		d = directory_open(&conf, &why);
		if (!d) {
			/* What broke the conversation matters more than that nobody else is there. */
			if (n == 0)
				*err = why;
			break;
		}
		rc = collect_from(ret, d, who, o, err);
		if (rc < 0 && err->code == ERR_OFFLINE)
			skip[n] = strdup(directory_server(d));
		directory_close(d);
		if (rc < 0 && !skip[n])
			break;
	}
	for (size_t n = 0; skip[n]; n++)
		free((char *)skip[n]);
	return rc;
}

void collected_free(struct collected *c)
{
	snapshot_free(c->snapshot);
	rsop_free(c->rsop);
	policy_free(c->policy);
	free(c->hints);
	free(c->dcs);
	*c = (struct collected){ 0 };
}

/* Only addresses that a subnet of the directory may cover. */
static bool address_copy(struct ip_addr *ret, const struct ifaddrs *ifa)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)ifa->ifa_addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ifa->ifa_addr;

	if (!ifa->ifa_addr || (ifa->ifa_flags & IFF_LOOPBACK) || !(ifa->ifa_flags & IFF_UP))
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->family = (uint8_t)ifa->ifa_addr->sa_family;
	if (ifa->ifa_addr->sa_family == AF_INET) {
		memcpy(ret->b, &in->sin_addr, 4);
		return true;
	}
	if (ifa->ifa_addr->sa_family != AF_INET6 || IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
		return false;
	memcpy(ret->b, &in6->sin6_addr, 16);
	return true;
}

int subject_addresses(struct gp_subject *who, struct arena *a, struct err *err)
{
	struct ifaddrs *list = NULL;
	struct ip_addr *addrs = NULL, addr;
	size_t n = 0;
	int rc = -1;

	if (getifaddrs(&list) < 0)
		return err_set(err, ERR_SYSTEM, "own addresses: %s", strerror(errno));
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!address_copy(&addr, i))
			continue;
		addrs = arena_grow(a, addrs, n, sizeof(*addrs));
		if (!addrs) {
			err_nomem(err);
			goto out;
		}
		addrs[n++] = addr;
	}
	who->addresses = addrs;
	who->n_addresses = n;
	rc = 0;
out:
	freeifaddrs(list);
	return rc;
}
