/* What the kernel has: security associations of ours, and those it waits for. */
#include "agent/cli_ike.h"

#include <ifaddrs.h>
#include <inttypes.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/cli.h"
#include "nft/xfrm.h"
#include "nft/xfrmsock.h"
#include "schema/arena.h"
#include "schema/err.h"

static int addr_order(const void *a, const void *b)
{
	return ip_addr_cmp(a, b);
}

static int own_addresses(struct kernel_sas *k, struct cli *c, struct err *err)
{
	struct ifaddrs *all = NULL;
	struct ip_addr *grown;

	if (getifaddrs(&all) < 0)
		return err_set(err, ERR_SYSTEM, "addresses of this host: %m");
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		struct ip_addr a = { 0 };

		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		a.family = (uint8_t)i->ifa_addr->sa_family;
		if (a.family == AF_INET)
			memcpy(a.b, &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr, 4);
		else
			memcpy(a.b, &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr, 16);
		grown = arena_grow(c->arena, k->own, k->n_own, sizeof(*grown));
		if (!grown) {
			freeifaddrs(all);
			return err_nomem(err);
		}
		k->own = grown;
		k->own[k->n_own++] = a;
	}
	freeifaddrs(all);
	if (k->n_own)
		qsort(k->own, k->n_own, sizeof(*k->own), addr_order);
	return 0;
}

int kernel_sas(struct kernel_sas *ret, struct cli *c, struct err *err)
{
	struct kernel_sas k = { .x = xfrmsock_open(err) };

	if (!k.x)
		return err->code == ERR_ABSENT ? err_set(err, ERR_ABSENT, "this kernel has no IPsec (NETLINK_XFRM, module xfrm_user)") : -1;
	if (xfrmsock_sas(k.x, &k.all, &k.n, c->arena, err) < 0 || own_addresses(&k, c, err) < 0) {
		xfrmsock_close(k.x);
		return err_prefix(err, "the kernel's security associations");
	}
	*ret = k;
	return 0;
}

void kernel_sas_close(struct kernel_sas *k)
{
	xfrmsock_close(k->x);
	*k = (struct kernel_sas){ 0 };
}

bool kernel_sa_inbound(const struct kernel_sas *k, const struct xfrm_sa *sa)
{
	return k->n_own && bsearch(&sa->dst, k->own, k->n_own, sizeof(*k->own), addr_order);
}

const struct ip_addr *kernel_sa_peer(const struct kernel_sas *k, const struct xfrm_sa *sa)
{
	return kernel_sa_inbound(k, sa) ? &sa->src : &sa->dst;
}

/* ---- together with charon's ---- */

/* The kernel's key of an association: SPI, protocol, destination. */
#define KEY_SIZE	(32 + IP_ADDR_TEXT)
static void key_text(char out[static KEY_SIZE], const char *protocol, uint32_t spi, const char *dst)
{
	snprintf(out, KEY_SIZE, "%.4s %08x %.45s", protocol, (unsigned)spi, dst);
}

static void index_add(json_t *index, json_t *o, const char *spi, const char *dst)
{
	const char *protocol = json_string_value(json_object_get(o, "protocol")), *text = json_string_value(json_object_get(o, spi));
	const char *addr = json_string_value(json_object_get(o, dst));
	char key[KEY_SIZE];

	if (!protocol || !text || !addr)
		return;
	key_text(key, protocol, (uint32_t)strtoul(text, NULL, 16), addr);
	json_object_set(index, key, o);
}

static json_t *seconds_since(uint64_t then)
{
	const time_t now = time(NULL);

	return then && (uint64_t)now >= then ? json_integer((json_int_t)((uint64_t)now - then)) : json_null();
}

static void number_missing(json_t *o, const char *key, uint64_t value)
{
	if (!json_is_integer(json_object_get(o, key)) && value <= INT64_MAX)
		json_object_set_new(o, key, json_integer((json_int_t)value));
}

/* As charon writes it: "10.9.0.1/32[tcp/7777]"; a selector that says nothing is none. */
static json_t *traffic_json(const struct xfrm_sa *sa, bool source)
{
	const struct spd_selector *s = &sa->sel;
	struct ip_addr a = { .family = s->family };
	const unsigned port = source ? s->sport : s->dport, mask = source ? s->sport_mask : s->dport_mask;
	const unsigned prefix = source ? s->src_prefix : s->dst_prefix;
	char addr[IP_ADDR_TEXT], text[IP_ADDR_TEXT + 24], what[20] = "";

	if ((a.family != AF_INET && a.family != AF_INET6) || (!prefix && !s->protocol))
		return json_array();
	memcpy(a.b, source ? s->src : s->dst, a.family == AF_INET ? 4 : 16);
	ip_addr_text(&a, addr);
	if (s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP)
		snprintf(what, sizeof(what), "[%s", s->protocol == IPPROTO_TCP ? "tcp" : "udp");
	else if (s->protocol)
		snprintf(what, sizeof(what), "[%u", s->protocol);
	if (*what && mask && port)
		snprintf(what + strlen(what), sizeof(what) - strlen(what), "/%u", port);
	snprintf(text, sizeof(text), "%s/%u%s%s", addr, prefix, what, *what ? "]" : "");
	return json_pack("[s]", text);
}

/* Of an association that charon does not know of, or not yet. */
static json_t *kernel_json(const struct kernel_sas *k, const struct xfrm_sa *sa, const struct ike_rules *rules)
{
	const bool in = kernel_sa_inbound(k, sa);
	char src[IP_ADDR_TEXT], dst[IP_ADDR_TEXT], spi[9];
	json_t *o;

	ip_addr_text(in ? &sa->dst : &sa->src, src);
	ip_addr_text(in ? &sa->src : &sa->dst, dst);
	snprintf(spi, sizeof(spi), "%08x", (unsigned)sa->spi);
	o = json_pack("{s:n, s:n, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I}", "connection", "child", "state", sa->larval ? "NEGOTIATING" : "KERNEL-ONLY",
	    "src", src, "dst", dst, "mode", sa->tunnel ? "TUNNEL" : "TRANSPORT", "protocol", sa->protocol == IPPROTO_AH ? "AH" : "ESP",
	    "spi_in", in && sa->spi ? json_string(spi) : json_null(), "spi_out", !in && sa->spi ? json_string(spi) : json_null(),
	    "reqid", (json_int_t)sa->reqid);
	json_object_update_new(o, json_pack("{s:{s:s?, s:n, s:s?, s:n, s:n}, s:o, s:o, s:b, s:o, s:n, s:n, s:n, s:n, s:n, s:n}",
	    "proposal", "encryption", *sa->encryption ? sa->encryption : NULL, "key_bits", "integrity", *sa->integrity ? sa->integrity : NULL, "prf", "group",
	    "src_traffic", traffic_json(sa, !in), "dst_traffic", traffic_json(sa, in), "encapsulated", 0, "age_seconds", seconds_since(sa->add_time), "rekey_seconds", "life_seconds",
	    "bytes_in", "bytes_out", "packets_in", "packets_out"));
	if (!sa->larval) {
		number_missing(o, in ? "bytes_in" : "bytes_out", sa->bytes);
		number_missing(o, in ? "packets_in" : "packets_out", sa->packets);
	}
	json_object_set_new(o, "kernel", json_true());
	json_object_set_new(o, "rules", ike_rules_of(rules, sa->reqid));
	return o;
}

int kernel_sas_join(json_t *quick, const struct kernel_sas *k, const struct ike_rules *rules, struct err *err)
{
	json_t *index = json_object(), *o;
	const size_t n = json_array_size(quick);
	char key[KEY_SIZE], dst[IP_ADDR_TEXT];

	if (!index)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		o = json_array_get(quick, i);
		json_object_set_new(o, "kernel", json_false());
		index_add(index, o, "spi_in", "src");
		index_add(index, o, "spi_out", "dst");
	}
	for (size_t i = 0; i < k->n; i++) {
		const struct xfrm_sa *sa = &k->all[i];
		const bool in = kernel_sa_inbound(k, sa);

		ip_addr_text(&sa->dst, dst);
		key_text(key, sa->protocol == IPPROTO_AH ? "AH" : "ESP", sa->spi, dst);
		o = sa->larval ? NULL : json_object_get(index, key);
		if (!o) {
			json_array_append_new(quick, kernel_json(k, sa, rules));
			continue;
		}
		json_object_set_new(o, "kernel", json_true());
		number_missing(o, in ? "bytes_in" : "bytes_out", sa->bytes);
		number_missing(o, in ? "packets_in" : "packets_out", sa->packets);
	}
	json_decref(index);
	return 0;
}
