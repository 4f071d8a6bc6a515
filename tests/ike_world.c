#include "tests/ike_world.h"

#include <stdio.h>
#include <string.h>

#include "nft/ike.h"

static int child_make(struct ike_config *c, struct ike_conn *conn, size_t i, const char *name, const char *local, const char *remote)
{
	struct ike_child *child = ike_child_add(c, conn);

	if (!child)
		return -1;
	child->name = name;
	child->reqid = 0x69000000u + (uint32_t)i;
	child->ah = i % 5 == 4;
	child->tunnel = i % 7 == 3;
	child->trap = i % 2 == 0;
	child->policies = i % 11 == 10;
	child->life_seconds = 3600 + (uint32_t)i;
	child->life_bytes = i % 3 ? 102400000 + i : 0;
	return ike_list_add(c, &child->local_ts, local) | ike_list_add(c, &child->remote_ts, remote) |
	    ike_list_add(c, &child->proposals, child->ah ? "sha1" : "3des-sha1") |
	    ike_list_add(c, &child->proposals, child->ah ? "md5-modp1024" : "null-sha1-modp2048");
}

static int conn_make(struct ike_config *c, size_t i)
{
	struct ike_conn *conn = ike_conn_add(c);
	char text[64];

	if (!conn)
		return -1;
	conn->version = i % 3;
	conn->auth = i % 4 == 1 ? IKE_CERTIFICATE : IKE_PSK;
	conn->secret = conn->auth == IKE_PSK ? IKE_PREFIX "0011223344556677" : "";
	conn->ca_id = conn->auth == IKE_CERTIFICATE && i % 8 == 1 ? "DC=example, DC=corp, O=Corp & Sons Ltd., CN=Corp Root CA" : "";
	conn->revocation = i / 4 % 3;
	conn->certreq = i % 8 == 1;
	conn->life_seconds = 28800;
	conn->rule_name = "Web } \"and\" # {\n more";
	snprintf(text, sizeof(text), "10.%zu.%zu.%zu", 1 + i / 65536, i / 256 % 256, i % 256);
	if (ike_list_add(c, &conn->local_addrs, "%any") || ike_list_add(c, &conn->remote_addrs, text) ||
	    ike_list_add(c, &conn->remote_addrs, "10.77.0.0/16") || ike_list_add(c, &conn->remote_addrs, "2001:DB8:0:0:1::/80") ||
	    ike_list_add(c, &conn->proposals, "3des-sha1-modp2048") || ike_list_add(c, &conn->proposals, "aes128-sha256-modp1024"))
		return -1;
	return child_make(c, conn, i, "q-b", "dynamic[tcp]", "dynamic[6/80]") |
	    child_make(c, conn, i + 1, "q-a", "10.9.0.0/16[udp/1000-2000]", "10.8.1.1-10.8.1.9[17/53]") |
	    child_make(c, conn, i + 2, "q-c", "10.9.0.5[icmp/2049]", "0.0.0.0/0[1/8]") |
	    child_make(c, conn, i + 3, "q-d", "2001:DB8:0:0:1:0:0:1", "::/0[58/34560]");
}

struct ike_config *ike_world(size_t n)
{
	struct ike_config *c = ike_new();
	struct ike_secret *s;

	if (!c)
		return NULL;
	s = ike_secret_add(c, IKE_PREFIX "0011223344556677", WORLD_KEY, strlen(WORLD_KEY));
	if (!s || ike_list_add(c, &s->owners, "10.0.0.0/8") || ike_list_add(c, &s->owners, "%any"))
		goto bad;
	for (size_t i = 0; i < n; i++)
		if (conn_make(c, i) < 0)
			goto bad;
	return c;
bad:
	ike_free(c);
	return NULL;
}
