/* What has to fit between the values of one line, without a look into any store. */
#include <arpa/inet.h>
#include <string.h>

#include "agent/netsh.h"
#include "schema/err.h"

/* NULL also when the command has no such tag. */
static const struct netsh_value *value_of(const struct netsh_args *a, const char *tag)
{
	for (size_t i = 0; i < a->n_values; i++)
		if (!strcmp(a->values[i].tag->name, tag))
			return &a->values[i];
	return NULL;
}

static bool has_tag(const struct netsh_args *a, const char *tag)
{
	for (size_t i = 0; i < a->command->n_tags; i++)
		if (!strcmp(a->command->tags[i].name, tag))
			return true;
	return false;
}

static int needs(const struct netsh_args *a, const char *what, struct err *err)
{
	return err_set(err, ERR_FORMAT, "'%s%s%s' needs %s", a->command->verb, *a->command->object ? " " : "", a->command->object, what);
}

/* One of the first tag and those that stand instead of it. */
static int first_check(const struct netsh_args *a, struct err *err)
{
	const struct netsh_command *c = a->command;
	const struct netsh_value *first = NULL, *v;
	char wanted[128] = "";

	for (size_t i = 0; i < c->n_tags; i++) {
		if (i && !(c->tags[i].flags & NETSH_OR))
			continue;
		snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted), "%s'%s'", i ? " or " : "", c->tags[i].name);
		v = value_of(a, c->tags[i].name);
		if (v && first)
			return err_set(err, ERR_FORMAT, "'%s' and '%s' exclude each other", first->tag->name, v->tag->name);
		if (v)
			first = v;
	}
	return !first && c->n_tags && c->tags[0].required ? needs(a, wanted, err) : 0;
}

static int required_check(const struct netsh_args *a, struct err *err)
{
	char wanted[64];

	for (size_t i = 1; i < a->command->n_tags; i++) {
		const struct netsh_tag *t = &a->command->tags[i];

		snprintf(wanted, sizeof(wanted), "'%s'", t->name);
		if (t->required && !value_of(a, t->name))
			return needs(a, wanted, err);
	}
	return 0;
}

/* ---- filters ---- */

static bool is_server(const struct netsh_value *v)
{
	return v && !v->host && v->addr.kind >= IPSEC_ADDR_DNS && v->addr.kind <= IPSEC_ADDR_GATEWAY;
}

static uint8_t family_of(const struct netsh_value *v)
{
	return v && !v->host ? v->addr.family : AF_UNSPEC;
}

/* Does it change nothing beside me or any? */
static bool mask_idle(const struct netsh_value *addr, const struct netsh_value *mask)
{
	if (addr->addr.kind != IPSEC_ADDR_ME && addr->addr.kind != IPSEC_ADDR_ANY)
		return false;
	return !mask->number || mask->number == 128 || (mask->number == 32 && addr->addr.family != AF_INET6);
}

static int mask_check(const struct netsh_args *a, const char *addr_tag, const char *mask_tag, struct err *err)
{
	const struct netsh_value *addr = value_of(a, addr_tag), *mask = value_of(a, mask_tag);
	char text[IPSEC_ADDR_TEXT];

	if (!mask)
		return 0;
	if (!addr)
		return err_set(err, ERR_FORMAT, "'%s' needs '%s'", mask_tag, addr_tag);
	if (!addr->host && addr->addr.kind != IPSEC_ADDR_NET && !mask_idle(addr, mask)) {
		ipsec_addr_text(&addr->addr, text);
		return err_set(err, ERR_FORMAT, "'%s': a mask does not go with '%s'", mask_tag, text);
	}
	if (!addr->host && addr->addr.kind != IPSEC_ADDR_NET)
		return 0;
	if (strchr(addr->text, '/') || (!addr->host && addr->addr.prefix != ipsec_addr_bits(addr->addr.family)))
		return err_set(err, ERR_FORMAT, "'%s': '%s' has a prefix length already", mask_tag, addr_tag);
	if (family_of(addr) == AF_INET && mask->number > 32)
		return err_set(err, ERR_FORMAT, "'%s': %u is not a mask or a prefix length of 0 to 32", mask_tag, (unsigned)mask->number);
	if (family_of(addr) == AF_INET6 && strchr(mask->text, '.'))
		return err_set(err, ERR_FORMAT, "'%s': '%.40s' does not go with an IPv6 address", mask_tag, mask->text);
	return 0;
}

/* A command that only selects says nothing about what it leaves out. */
static int port_check(const struct netsh_args *a, const char *tag, bool selects, struct err *err)
{
	const struct netsh_value *port = value_of(a, tag), *protocol = value_of(a, "protocol");

	if (!port || !port->number || (selects && !protocol))
		return 0;
	if (!protocol || (protocol->number != IPPROTO_TCP && protocol->number != IPPROTO_UDP))
		return err_set(err, ERR_FORMAT, "'%s': port %u needs protocol=TCP or protocol=UDP", tag, (unsigned)port->number);
	return 0;
}

static int server_check(const struct netsh_value *side, const struct netsh_value *other, struct err *err)
{
	char text[IPSEC_ADDR_TEXT];

	if (!is_server(side) || (other && !other->host && other->addr.kind == IPSEC_ADDR_ME))
		return 0;
	ipsec_addr_text(&side->addr, text);
	return err_set(err, ERR_FORMAT, "'%s': with '%s' the other side has to be me", side->tag->name, text);
}

static int filter_check(const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *src = value_of(a, "srcaddr"), *dst = value_of(a, "dstaddr");
	bool adds = !strcmp(a->command->verb, "add"), exact = adds || a->command->id == CMD_DYN_SET_RULE || a->command->id == CMD_DYN_DELETE_RULE;

	if (mask_check(a, "srcaddr", "srcmask", err) < 0 || mask_check(a, "dstaddr", "dstmask", err) < 0 ||
	    port_check(a, "srcport", !exact, err) < 0 || port_check(a, "dstport", !exact, err) < 0)
		return -1;
	if (family_of(src) && family_of(dst) && family_of(src) != family_of(dst))
		return err_set(err, ERR_FORMAT, "'dstaddr': the source is IPv%d, the destination IPv%d",
		    family_of(src) == AF_INET ? 4 : 6, family_of(dst) == AF_INET ? 4 : 6);
	if (!adds)
		return 0;
	if (!src->host && src->addr.kind == IPSEC_ADDR_ME && !dst->host && dst->addr.kind == IPSEC_ADDR_ME)
		return err_set(err, ERR_FORMAT, "'srcaddr' and 'dstaddr' are both me: nothing would be filtered");
	if (server_check(src, dst, err) < 0)
		return -1;
	return server_check(dst, src, err);
}

/* ---- the rest ---- */

static int action_check(const struct netsh_args *a, struct err *err)
{
	static const char *const tags[] = { "qmpfs", "inpass", "soft" };
	const struct netsh_value *action = value_of(a, "action"), *v;

	if (!action || action->number == IPSEC_NEGOTIATE)
		return 0;
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		v = value_of(a, tags[i]);
		if (v && v->yes)
			return err_set(err, ERR_FORMAT, "'%s': yes needs action=negotiate", tags[i]);
	}
	return 0;
}

static int negotiate_check(const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *in = value_of(a, "actioninbound"), *out = value_of(a, "actionoutbound");
	char wanted[128];

	if (in && in->number != IPSEC_NEGOTIATE && out && out->number != IPSEC_NEGOTIATE)
		return 0;
	if (value_of(a, "mmpolicy") && value_of(a, "qmpolicy"))
		return 0;
	snprintf(wanted, sizeof(wanted), "'%s' to negotiate%s", value_of(a, "mmpolicy") ? "qmpolicy" : "mmpolicy",
	    !out ? ", which actionoutbound is when it is not given" : !in ? ", which actioninbound is when it is not given" : "");
	return needs(a, wanted, err);
}

/* The words stand in the order of their enums: local|persistent|domain. */
static int store_check(const struct netsh_args *a, struct err *err)
{
	const struct netsh_value *location = value_of(a, "location"), *domain = value_of(a, "domain");

	if (domain && (!location || location->number != 2))
		return err_set(err, ERR_FORMAT, "'domain' goes with location=domain");
	return 0;
}

static int config_check(const struct netsh_args *a, struct err *err)
{
	if (value_of(a, "until") && value_of(a, "property")->number != 3)
		return err_set(err, ERR_FORMAT, "'until' goes with property=ipsecdiagnostics");
	return 0;
}

int netsh_check(const struct netsh_args *a, struct err *err)
{
	if (first_check(a, err) < 0 || required_check(a, err) < 0)
		return -1;
	if (has_tag(a, "srcaddr") && filter_check(a, err) < 0)
		return -1;
	switch (a->command->id) {
	case CMD_ADD_FILTERACTION: case CMD_SET_FILTERACTION:
		return action_check(a, err);
	case CMD_DYN_ADD_RULE:
		return negotiate_check(a, err);
	case CMD_SET_STORE:
		return store_check(a, err);
	case CMD_DYN_SET_CONFIG:
		return config_check(a, err);
	default:
		return 0;
	}
}
