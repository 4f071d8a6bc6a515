#include "schema/change.h"

#include <string.h>

#include "schema/ldif.h"

static void text_write(const char *name, const char *text, FILE *out)
{
	const struct dir_value v = { (const uint8_t *)text, strlen(text) };

	ldif_write_value(name, &v, out);
}

static void attr_write(const struct dir_attr *attr, FILE *out)
{
	for (size_t i = 0; i < attr->n_values; i++)
		ldif_write_value(attr->name, &attr->values[i], out);
}

static void mod_write(const struct dir_mod *mod, FILE *out)
{
	static const char *const words[] = { [MOD_ADD] = "add", [MOD_DELETE] = "delete", [MOD_REPLACE] = "replace" };

	text_write(words[mod->kind], mod->attr.name, out);
	attr_write(&mod->attr, out);
	fputs("-\n", out);
}

int change_write(const struct dir_change *c, FILE *out)
{
	static const char *const words[] = { [CHANGE_ADD] = "add", [CHANGE_MODIFY] = "modify", [CHANGE_DELETE] = "delete" };

	ldif_write_dn(c->dn, out);
	text_write("changetype", words[c->kind], out);
	for (size_t i = 0; c->kind == CHANGE_ADD && i < c->n_attrs; i++)
		attr_write(&c->attrs[i], out);
	for (size_t i = 0; c->kind == CHANGE_MODIFY && i < c->n_mods; i++)
		mod_write(&c->mods[i], out);
	putc('\n', out);
	return ferror(out) ? -1 : 0;
}
