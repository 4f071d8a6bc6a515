#include "schema/facts.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"

#define MAX_ADDRS	4096	/* of one kind; a host has a handful */
#define MAX_LINE	255

static const char *const names[N_FACTS] = {
	[FACT_ADDRESS] = "address", [FACT_DC] = "dc", [FACT_DHCP] = "dhcp", [FACT_DNS] = "dns",
	[FACT_GATEWAY] = "gateway", [FACT_WINS] = "wins",
};

const char *fact_name(enum fact_kind kind)
{
	return names[kind];
}

/* ---- one address ---- */

bool ip_addr_read(struct ip_addr *ret, const char *text)
{
	struct ip_addr a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(a.family, text, a.b) != 1)
		return false;
	*ret = a;
	return true;
}

void ip_addr_text(const struct ip_addr *a, char out[static IP_ADDR_TEXT])
{
	if (!inet_ntop(a->family, a->b, out, IP_ADDR_TEXT))
		out[0] = '\0';
}

int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b)
{
	int d;

	/* By family name, not by its number: IPv4 first everywhere. */
	if (a->family != b->family)
		return a->family == AF_INET ? -1 : 1;
	d = memcmp(a->b, b->b, sizeof(a->b));
	return d < 0 ? -1 : d > 0;
}

/* ---- the value ---- */

struct host_facts *facts_new(void)
{
	struct arena *a = arena_new(0);
	struct host_facts *f;

	if (!a)
		return NULL;
	f = arena_zalloc(a, 1, sizeof(*f));
	if (!f) {
		arena_free(a);
		return NULL;
	}
	f->arena = a;
	return f;
}

void facts_free(struct host_facts *f)
{
	if (f)
		arena_free(f->arena);
}

/* Where `a` is, or would have to be put. */
static size_t addr_place(const struct host_facts *f, enum fact_kind kind, const struct ip_addr *a)
{
	size_t lo = 0, hi = f->n_addrs[kind], mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (ip_addr_cmp(&f->addrs[kind][mid], a) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int facts_add(struct host_facts *f, enum fact_kind kind, const struct ip_addr *a, struct err *err)
{
	struct ip_addr new = { .family = a->family }, *addrs;
	size_t i, n = f->n_addrs[kind];

	if (a->family != AF_INET && a->family != AF_INET6)
		return err_set(err, ERR_FORMAT, "%s: address family %u is not known", names[kind],
		    a->family);
	memcpy(new.b, a->b, a->family == AF_INET ? 4 : 16);
	i = addr_place(f, kind, &new);
	if (i < n && ip_addr_cmp(&f->addrs[kind][i], &new) == 0)
		return 0;
	if (n == MAX_ADDRS)
		return err_set(err, ERR_LIMIT, "%s: more than %d addresses", names[kind], MAX_ADDRS);
	addrs = arena_grow(f->arena, f->addrs[kind], n, sizeof(*addrs));
	if (!addrs)
		return err_nomem(err);
	memmove(addrs + i + 1, addrs + i, (n - i) * sizeof(*addrs));
	addrs[i] = new;
	f->addrs[kind] = addrs;
	f->n_addrs[kind] = n + 1;
	return 0;
}

bool facts_equal(const struct host_facts *a, const struct host_facts *b)
{
	for (int k = 0; k < N_FACTS; k++) {
		if (a->n_addrs[k] != b->n_addrs[k])
			return false;
		for (size_t i = 0; i < a->n_addrs[k]; i++)
			if (ip_addr_cmp(&a->addrs[k][i], &b->addrs[k][i]) != 0)
				return false;
	}
	return true;
}

int facts_write(const struct host_facts *f, FILE *out)
{
	char text[IP_ADDR_TEXT];

	for (int k = 0; k < N_FACTS; k++)
		for (size_t i = 0; i < f->n_addrs[k]; i++) {
			ip_addr_text(&f->addrs[k][i], text);
			fprintf(out, "%s %s\n", names[k], text);
		}
	return ferror(out) ? -1 : 0;
}

/* Ends the word at *p and moves *p behind it and the blanks that follow. */
static char *word_next(char **p)
{
	char *word = *p;

	*p += strcspn(*p, " \t\r");
	if (**p)
		*(*p)++ = '\0';
	*p += strspn(*p, " \t\r");
	return word;
}

static int line_read(struct host_facts *f, const char *line, size_t len, struct err *err)
{
	char text[MAX_LINE + 1], *p = text, *kind, *word;
	struct ip_addr a;
	int k;

	memcpy(text, line, len);
	text[len] = '\0';
	p += strspn(p, " \t\r");
	if (!*p || *p == '#')
		return 0;
	kind = word_next(&p);
	word = word_next(&p);
	for (k = 0; k < N_FACTS && strcmp(kind, names[k]) != 0; k++)
		;
	if (k == N_FACTS)
		return err_set(err, ERR_FORMAT, "'%s' is none of dc, dhcp, dns, gateway, wins", kind);
	if (!*word)
		return err_set(err, ERR_FORMAT, "no address after '%s'", kind);
	if (*p)
		return err_set(err, ERR_FORMAT, "'%s' after the address", p);
	if (!ip_addr_read(&a, word))
		return err_set(err, ERR_FORMAT, "'%s' is not an address", word);
	return facts_add(f, (enum fact_kind)k, &a, err);
}

static int line_check(const char *line, size_t len, struct err *err)
{
	if (memchr(line, '\0', len))
		return err_set(err, ERR_FORMAT, "NUL byte");
	if (len > MAX_LINE)
		return err_set(err, ERR_LIMIT, "longer than %d bytes", MAX_LINE);
	return 0;
}

int facts_read(struct host_facts **ret, const char *text, size_t len, struct err *err)
{
	struct host_facts *f = facts_new();
	const char *end = text + len, *eol;
	unsigned line = 1;
	int rc = 0;

	if (!f)
		return err_nomem(err);
	for (; rc == 0 && text < end; line++, text = eol + 1) {
		eol = memchr(text, '\n', (size_t)(end - text));
		if (!eol)
			eol = end;
		if (line_check(text, (size_t)(eol - text), err) < 0 ||
		    line_read(f, text, (size_t)(eol - text), err) < 0)
			rc = err_prefix(err, "line %u", line);
		if (eol == end)
			break;
	}
	if (rc < 0)
		facts_free(f);
	else
		*ret = f;
	return rc;
}

struct json_t *facts_json(const struct host_facts *f)
{
	json_t *root = json_object(), *list;
	char text[IP_ADDR_TEXT];

	for (int k = 0; k < N_FACTS; k++) {
		list = json_array();
		if (json_object_set_new(root, names[k], list) < 0)
			goto fail;
		for (size_t i = 0; i < f->n_addrs[k]; i++) {
			ip_addr_text(&f->addrs[k][i], text);
			if (json_array_append_new(list, json_string(text)) < 0)
				goto fail;
		}
	}
	return root;
fail:
	json_decref(root);
	return NULL;
}
