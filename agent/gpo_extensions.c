/* The list of extensions and the version of a GPO, [MS-GPOL] 2.2.4.  Pure. */
#include "agent/gpo_edit.h"

#include <string.h>

#include "schema/arena.h"
#include "schema/err.h"
#include "schema/ident.h"

#define CSE		"{E437BC1C-AA7D-11D2-A382-00C04F991E27}"	/* [MS-GPIPSEC] 1.9 */
#define TOOL		"{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}"
#define GUID_LEN	(GUID_TEXT - 1)

struct extension {
	const char	*start;		/* "[{..}{..}]" */
	size_t		 n_guids;
	struct guid	 cse;
};

static size_t extension_len(const struct extension *x)
{
	return x->n_guids * GUID_LEN + 2;
}

static bool guid_at(struct guid *ret, const char *p)
{
	return strnlen(p, GUID_LEN) == GUID_LEN && p[0] == '{' && guid_parse(ret, p, GUID_LEN);
}

static int extension_parse(struct extension *ret, const char *p, struct err *err)
{
	struct extension x = { .start = p };
	struct guid g;

	if (*p++ != '[')
		return err_set(err, ERR_FORMAT, "'%.40s': an entry begins with '['", x.start);
	for (; *p == '{'; p += GUID_LEN, x.n_guids++) {
		if (!guid_at(&g, p))
			return err_set(err, ERR_FORMAT, "'%.40s': no GUID", p);
		if (!x.n_guids)
			x.cse = g;
	}
	if (*p != ']' || !x.n_guids)
		return err_set(err, ERR_FORMAT, "'%.100s': not \"[{GUID}{GUID}...]\"", x.start);
	*ret = x;
	return 0;
}

static int extensions_parse(struct extension **ret, size_t *ret_n, struct arena *a, const char *text, struct err *err)
{
	struct extension *list = NULL, x;
	size_t n = 0;

	text += strspn(text, " ");
	while (*text) {
		if (extension_parse(&x, text, err) < 0)
			return -1;
		list = arena_grow(a, list, n, sizeof(x));
		if (!list)
			return err_nomem(err);
		list[n++] = x;
		text += extension_len(&x);
		if (text[strspn(text, " ")] == '\0')
			break;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

static void put(char **out, const char *p, size_t len)
{
	memcpy(*out, p, len);
	*out += len;
	**out = '\0';
}

/* Ours, with our tool in its place among the others. */
static void put_with_tool(char **out, const struct extension *x)
{
	const char *p = x->start + 1 + GUID_LEN, *end = x->start + extension_len(x) - 1;
	struct guid tool, g;

	guid_at(&tool, TOOL);
	for (const char *q = p; q < end; q += GUID_LEN)
		if (guid_at(&g, q) && guid_cmp(&g, &tool) == 0) {
			put(out, x->start, extension_len(x));
			return;
		}
	while (p < end && guid_at(&g, p) && guid_cmp(&g, &tool) < 0)
		p += GUID_LEN;
	put(out, x->start, (size_t)(p - x->start));
	put(out, TOOL, GUID_LEN);
	put(out, p, (size_t)(end + 1 - p));
}

static void put_ours(char **out)
{
	static const char pair[] = "[" CSE TOOL "]";

	put(out, pair, sizeof(pair) - 1);
}

/* out: room for text and one pair more. */
static void extensions_write(char *out, const struct extension *list, size_t n, bool with)
{
	bool done = !with;
	struct guid cse;

	*out = '\0';
	guid_at(&cse, CSE);
	/* Ours is there already, perhaps behind a greater one. */
	for (size_t i = 0; i < n; i++)
		done |= guid_cmp(&list[i].cse, &cse) == 0;
	for (size_t i = 0; i < n; i++) {
		int c = guid_cmp(&list[i].cse, &cse);

		if (c > 0 && !done) {
			put_ours(&out);
			done = true;
		}
		if (c == 0 && with)
			put_with_tool(&out, &list[i]);
		else if (c != 0)
			put(&out, list[i].start, extension_len(&list[i]));
	}
	if (!done)
		put_ours(&out);
}

int gpo_extensions_edit(const char **ret, bool *has, struct arena *a, const char *text, bool with, struct err *err)
{
	struct extension *list = NULL;
	struct guid cse;
	size_t n = 0, len;
	char *out;

	text = text ? text : "";
	len = strnlen(text, GPO_EXTENSIONS_MAX + 1);
	if (len > GPO_EXTENSIONS_MAX)
		return err_set(err, ERR_LIMIT, "gPCMachineExtensionNames is longer than %u bytes", GPO_EXTENSIONS_MAX);
	if (extensions_parse(&list, &n, a, text, err) < 0)
		return err_prefix(err, "gPCMachineExtensionNames");
	/* An entry of ours without the tool grows by it; there may be several of them. */
	out = arena_zalloc(a, 2 * len + 2 * GUID_LEN + 3, 1);
	if (!out)
		return err_nomem(err);
	extensions_write(out, list, n, with);
	guid_at(&cse, CSE);
	if (has)
		*has = false;
	for (size_t i = 0; has && i < n; i++)
		*has |= guid_cmp(&list[i].cse, &cse) == 0;
	if (ret)
		*ret = *out ? out : NULL;
	return 0;
}

int32_t gpo_version_next(int32_t version)
{
	uint32_t v = (uint32_t)version, computer = (v + 1) & 0xffff;

	return (int32_t)((v & 0xffff0000) | (computer ? computer : 1));
}
