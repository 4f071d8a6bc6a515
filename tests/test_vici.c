#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "agent/vici.h"
#include "agent/vici_parts.h"
#include "nft/ike.h"
#include "schema/arena.h"
#include "schema/err.h"
#include "tests/folder.h"
#include "tests/ike_world.h"

/* ---- messages ---- */

static struct vici_node *parsed(struct arena *a, const struct vici_message *m)
{
	struct vici_node *root = NULL;
	struct err err;
	size_t len;
	const uint8_t *p = vici_bytes(m, &len);

	assert_true(vici_good(m));
	if (vici_parse(&root, a, p, len, &err) < 0)
		fail_msg("%s", err.msg);
	return root;
}

static void test_round_trip(void **state)
{
	static const char *const items[] = { "one", "", "three" };
	struct arena *a = arena_new(0);
	struct vici_message *m = vici_new();
	const struct vici_node *n;
	struct vici_node *root;

	(void)state;
	vici_add(m, "key", "value");
	vici_section(m, "s");
	vici_add_number(m, "n", UINT64_MAX);
	vici_section(m, "empty");
	vici_section_end(m);
	vici_list(m, "l", items, 3);
	vici_section_end(m);
	vici_list(m, "none", NULL, 0);
	vici_add_bytes(m, "raw", "a\0b", 3);
	root = parsed(a, m);
	assert_int_equal(root->n_children, 4);
	assert_string_equal(vici_value(root, "key"), "value");
	assert_string_equal(vici_value(root, "s"), "");
	n = vici_get(root, "s");
	assert_string_equal(vici_value(n, "n"), "18446744073709551615");
	assert_int_equal(vici_get(n, "empty")->kind, VICI_SECTION);
	assert_int_equal(vici_get(n, "l")->n_children, 3);
	assert_string_equal(vici_get(n, "l")->children[2].value, "three");
	assert_null(vici_get(vici_get(n, "l"), "one"));
	assert_null(vici_get(NULL, "x"));
	assert_int_equal(vici_get(root, "none")->kind, VICI_LIST);
	assert_int_equal(vici_get(root, "raw")->len, 3);
	assert_memory_equal(vici_get(root, "raw")->value, "a\0b", 4);
	vici_free(m);
	m = vici_new();
	assert_int_equal(parsed(a, m)->n_children, 0);
	vici_free(m);
	arena_free(a);
}

static bool good_after(void (*f)(struct vici_message *))
{
	struct vici_message *m = vici_new();
	bool good;

	f(m);
	good = vici_good(m);
	vici_free(m);
	return good;
}

static char *letters(size_t n)
{
	char *s = malloc(n + 1);

	memset(s, 'x', n);
	s[n] = '\0';
	return s;
}

static void m_open(struct vici_message *m) { vici_section(m, "s"); }
static void m_end(struct vici_message *m) { vici_section_end(m); vici_section(m, "s"); }
static void m_name(struct vici_message *m) { char *s = letters(256); vici_add(m, s, ""); free(s); }
static void m_value(struct vici_message *m) { char *s = letters(65536); vici_add(m, "x", s); free(s); }
static void m_long(struct vici_message *m) { char *s = letters(65535); for (int i = 0; i < 9; i++) vici_add(m, "x", s); free(s); }
static void m_deep(struct vici_message *m) { for (int i = 0; i < 17; i++) vici_section(m, "s"); for (int i = 0; i < 17; i++) vici_section_end(m); }
static void m_most(struct vici_message *m)
{
	char *s = letters(65535);

	for (int i = 0; i < 16; i++)
		vici_section(m, "s");
	s[255] = '\0';
	vici_add(m, s, "");
	s[255] = 'x';
	for (int i = 0; i < 7; i++)
		vici_add(m, "x", s);
	free(s);
	for (int i = 0; i < 16; i++)
		vici_section_end(m);
}

static void test_not_good(void **state)
{
	struct err err;
	struct vici_outbox o;

	(void)state;
	assert_true(good_after(m_most));
	assert_false(good_after(m_open));
	assert_false(good_after(m_end));
	assert_false(good_after(m_name));
	assert_false(good_after(m_value));
	assert_false(good_after(m_long));
	assert_false(good_after(m_deep));
	assert_false(vici_good(NULL));
	vici_add(NULL, "x", "y");
	vici_section(NULL, "x");
	vici_section_end(NULL);
	vici_list(NULL, "x", NULL, 0);
	vici_free(NULL);
	struct vici_message *m = vici_new();
	vici_section(m, "open");
	assert_int_equal(vici_outbox_set(&o, PACKET_REQUEST, "x", m, &err), -1);
}

static int parse(const void *p, size_t len)
{
	struct arena *a = arena_new(0);
	struct vici_node *root = NULL;
	struct err err = { 0 };
	int rc = vici_parse(&root, a, p, len, &err);

	assert_true(rc == 0 ? root != NULL : root == NULL && err.code != ERR_NONE);
	arena_free(a);
	return rc == 0 ? 0 : err.code;
}
#define PARSE(s)	parse(s, sizeof(s) - 1)

static void test_damaged(void **state)
{
	static uint8_t many[3 * (VICI_NODES_MAX + 1) + 4], deep[64];

	(void)state;
	assert_int_equal(PARSE(""), 0);
	assert_int_equal(PARSE("\3\1a\0\1b"), 0);
	assert_int_equal(PARSE("\0"), ERR_FORMAT);
	assert_int_equal(PARSE("\7"), ERR_FORMAT);
	assert_int_equal(PARSE("\2"), ERR_FORMAT);			/* an end without a beginning */
	assert_int_equal(PARSE("\6"), ERR_FORMAT);
	assert_int_equal(PARSE("\5\0\1x"), ERR_FORMAT);			/* an item outside of a list */
	assert_int_equal(PARSE("\1\1a"), ERR_FORMAT);
	assert_int_equal(PARSE("\4\1a"), ERR_FORMAT);
	assert_int_equal(PARSE("\4\1a\2"), ERR_FORMAT);
	assert_int_equal(PARSE("\4\1a\3\1b\0\0\6"), ERR_FORMAT);	/* a key in a list */
	assert_int_equal(PARSE("\4\1a\4\1b\6\6"), ERR_FORMAT);		/* a list in a list */
	assert_int_equal(PARSE("\3\2a"), ERR_FORMAT);
	assert_int_equal(PARSE("\3\1a\0"), ERR_FORMAT);
	assert_int_equal(PARSE("\3\1a\0\2b"), ERR_FORMAT);
	assert_int_equal(PARSE("\3\1a\377\377b"), ERR_FORMAT);
	assert_int_equal(PARSE("\3\2a\0\0\0"), ERR_FORMAT);		/* NUL in a name */
	assert_int_equal(parse(many, VICI_PACKET_MAX + 1), ERR_LIMIT);
	for (int i = 0; i < 16; i++)
		memcpy(deep + 2 * i, "\1\0", 2);
	memset(deep + 32, 2, 16);
	assert_int_equal(parse(deep, 48), 0);
	memcpy(deep + 32, "\4\0\6", 3);					/* a list may be one deeper */
	memset(deep + 35, 2, 16);
	assert_int_equal(parse(deep, 51), 0);
	memcpy(deep + 32, "\1\0", 2);
	memset(deep + 34, 2, 17);
	assert_int_equal(parse(deep, 51), ERR_LIMIT);
	memcpy(many, "\4\0", 2);
	for (size_t i = 0; i < VICI_NODES_MAX - 1; i++)
		many[2 + 3 * i] = 5;
	many[2 + 3 * (VICI_NODES_MAX - 1)] = 6;
	assert_int_equal(parse(many, 3 + 3 * (VICI_NODES_MAX - 1)), 0);
	many[2 + 3 * (VICI_NODES_MAX - 1)] = 5;
	many[5 + 3 * (VICI_NODES_MAX - 1)] = 6;
	assert_int_equal(parse(many, 6 + 3 * (VICI_NODES_MAX - 1)), ERR_LIMIT);
}

/* ---- packets ---- */

static int inbox_feed(struct vici_inbox *in, const void *data, size_t len, size_t once, struct vici_packet *ret, struct err *err)
{
	const uint8_t *p = data;
	size_t room;
	uint8_t *to;
	int rc = 0;

	while (rc == 0 && len > 0) {
		to = vici_inbox_room(in, &room, err);
		assert_non_null(to);
		room = room < once ? room : once;
		room = room < len ? room : len;
		assert_true(room > 0);
		memcpy(to, p, room);
		p += room;
		len -= room;
		rc = vici_inbox_add(in, room, err);
	}
	if (rc <= 0)
		return rc;
	assert_int_equal(len, 0);
	return vici_inbox_take(in, ret, err) < 0 ? -1 : 1;
}
#define FEED(s)	inbox_feed(&in, s, sizeof(s) - 1, once, &p, &err)

static void test_inbox(void **state)
{
	struct vici_inbox in = { 0 };
	struct vici_packet p;
	struct err err;
	uint8_t *large = calloc(1, 4 + VICI_PACKET_MAX);

	(void)state;
	for (size_t once = 1; once < 20; once += 3) {
		assert_int_equal(FEED("\0\0\0\1\1"), 1);
		assert_true(p.type == PACKET_RESPONSE && p.len == 0);
		assert_int_equal(FEED("\0\0\0\7\7\2evab\1"), 1);
		assert_true(p.type == PACKET_EVENT && p.len == 3 && !memcmp(p.message, "ab\1", 3));
		assert_string_equal(p.name, "ev");
		assert_int_equal(FEED("\0\0\0\1\5"), 1);
		assert_int_equal(p.type, PACKET_CONFIRM);
		assert_int_equal(FEED("\0\0\0\1"), 0);
		vici_inbox_free(&in);
	}
	static const char *const bad[] = { "\0\0\0\1\0", "\0\0\0\1\10", "\0\0\0\1\7", "\0\0\0\2\7\1", "\0\0\0\3\7\1\0", "\0\0\0\2\5x", "\0\0\0\2\2x" };
	static const size_t lens[] = { 5, 5, 5, 6, 7, 6, 6 };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(inbox_feed(&in, bad[i], lens[i], 99, &p, &err), -1);
		vici_inbox_free(&in);
	}
	size_t once = 5000;
	assert_int_equal(FEED("\0\0\0\0"), -1);
	vici_inbox_free(&in);
	assert_int_equal(FEED("\0\10\0\1"), -1);
	vici_inbox_free(&in);
	memcpy(large, "\0\10\0\0\1", 5);
	assert_int_equal(inbox_feed(&in, large, 4 + VICI_PACKET_MAX, once, &p, &err), 1);
	assert_int_equal(p.len, VICI_PACKET_MAX - 1);
	vici_inbox_free(&in);
	free(large);
}

static void test_outbox(void **state)
{
	struct vici_outbox o;
	struct vici_inbox in = { 0 };
	struct vici_message *m = vici_new();
	uint8_t *got = malloc(VICI_PACKET_MAX + 4);
	size_t n = 0, len;
	int fds[2], rc, small = 4096;
	struct err err;

	(void)state;
	m_most(m);
	vici_bytes(m, &len);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(vici_outbox_set(&o, PACKET_REQUEST, "load-conn", m, &err), 0);
	int n_calls = 0;
	do {
		rc = vici_outbox_send(&o, fds[0]);
		assert_true(rc >= 0);
		n_calls++;
		ssize_t k = recv(fds[1], got + n, 1 + (size_t)n_calls * 7 % 5000, 0);
		if (k > 0)
			n += (size_t)k;
	} while (rc == 0);
	for (ssize_t k; (k = recv(fds[1], got + n, 4096, 0)) > 0;)
		n += (size_t)k;
	assert_true(n_calls > 10);
	assert_int_equal(n, 4 + 2 + 9 + len);
	assert_int_equal((size_t)got[1] << 16 | (size_t)got[2] << 8 | got[3], n - 4);
	assert_memory_equal(got + 4, "\0\11load-conn", 11);
	struct arena *a = arena_new(0);
	struct vici_node *root;
	assert_int_equal(vici_parse(&root, a, got + 15, n - 15, &err), 0);
	arena_free(a);
	close(fds[1]);
	assert_int_equal(vici_outbox_set(&o, PACKET_REQUEST, "x", NULL, &err), 0);
	assert_int_equal(vici_outbox_send(&o, fds[0]), -1);
	vici_outbox_clear(&o);
	vici_inbox_free(&in);
	close(fds[0]);
	free(got);
}

/* ---- what charon lists ---- */

static void put_text(struct vici_message *m, const struct ike_list *l, const char *name)
{
	vici_list(m, name, l->texts, l->n);
}

/* As charon 5.9.8 does. */
static void list_conn(struct vici_message *m, const struct ike_conn *c)
{
	const char *class = c->auth == IKE_PSK ? "pre-shared key" : "public key";

	vici_section(m, c->name);
	put_text(m, &c->local_addrs, "local_addrs");
	put_text(m, &c->remote_addrs, "remote_addrs");
	vici_add(m, "version", c->version == IKE_V1 ? "IKEv1" : c->version == IKE_V2 ? "IKEv2" : "IKEv1/2");
	vici_add_number(m, "reauth_time", c->version == IKE_V1 ? 25920 : 0);
	vici_add_number(m, "rekey_time", c->version == IKE_V1 ? 0 : 25920);
	vici_add(m, "unique", "UNIQUE_NEVER");
	vici_add_number(m, "dpd_delay", 30);
	vici_section(m, "local-1");
	vici_list(m, "groups", NULL, 0);
	vici_add(m, "class", class);
	vici_section_end(m);
	vici_section(m, "remote-1");
	vici_list(m, "cacerts", NULL, 0);
	vici_add(m, "class", class);
	if (*c->ca_id)
		vici_add(m, "ca_id", "DC=example, DC=corp, O=Corp & Sons Ltd., CN=Corp Root CA");
	if (c->auth == IKE_CERTIFICATE && c->revocation)
		vici_add(m, "revocation", c->revocation == IKE_STRICT ? "GOOD" : "SKIPPED");
	vici_section_end(m);
	vici_section(m, "children");
	for (size_t i = 0; i < c->n_children; i++) {
		const struct ike_child *q = &c->children[i];

		vici_section(m, q->name);
		vici_add(m, "mode", q->tunnel ? "TUNNEL" : "TRANSPORT");
		vici_add_number(m, "rekey_time", ike_renew_at(q->life_seconds));
		vici_add_number(m, "rekey_bytes", ike_renew_at(q->life_bytes));
		vici_add(m, "rekey_packets", "0");
		vici_add(m, "dpd_action", q->trap ? "trap" : "none");
		vici_add(m, "close_action", "none");
		put_text(m, &q->local_ts, "local-ts");
		put_text(m, &q->remote_ts, "remote-ts");
		vici_section_end(m);
	}
	vici_section_end(m);
	vici_section_end(m);
}

/* Each value in turn is another; then each section and list is missing. */
static size_t spoil(const struct ike_conn *c, struct vici_node *conn, struct vici_node *n)
{
	struct vici_node *child, keep;
	struct err err;
	size_t done = 0;

	for (size_t i = 0; i < n->n_children; i++) {
		child = &n->children[i];
		keep = *child;
		if (keep.kind == VICI_VALUE)
			child->value = strcmp(keep.value, "0") ? "0" : "1";
		else if (keep.n_children > 0)
			child->n_children--;
		else
			continue;
		if (ike_conn_check(c, conn, &err) == 0)
			fail_msg("'%s' in '%s' is not looked at", keep.name, n->name);
		*child = keep;
		done++;
		done += spoil(c, conn, child);
	}
	return done;
}

static void test_conn_check(void **state)
{
	struct ike_config *c = ike_world(24);
	struct err err;

	(void)state;
	assert_int_equal(ike_seal(c, &err), 0);
	for (size_t i = 0; i < c->n_conns; i++) {
		struct arena *a = arena_new(0);
		struct vici_message *m = vici_new();
		struct vici_node *root;

		list_conn(m, &c->conns[i]);
		root = parsed(a, m);
		if (ike_conn_check(&c->conns[i], &root->children[0], &err) < 0)
			fail_msg("%s", err.msg);
		assert_true(spoil(&c->conns[i], &root->children[0], &root->children[0]) > 40);
		vici_free(m);
		m = vici_conn(&c->conns[i]);
		assert_string_equal(parsed(a, m)->children[0].name, c->conns[i].name);
		vici_free(m);
		arena_free(a);
	}
	ike_free(c);
}

static void test_selectors(void **state)
{
	static const char *const same[][2] = {
		{ "dynamic[6]", "dynamic[tcp]" }, { "dynamic[tcp/0-65535]", "dynamic[tcp]" }, { "dynamic[17/53]", "dynamic[udp/domain]" },
		{ "10.1.2.3/8", "10.0.0.0/8" }, { "10.0.0.5", "10.0.0.5/32" }, { "10.0.0.1-10.0.0.9", "10.0.0.1..10.0.0.9" },
		{ "10.0.0.0-10.255.255.255", "10.0.0.0/8" }, { "2001:DB8:0:0::1", "2001:db8::1/128" }, { "10.0.0.0/8[icmp/2049]", "10.0.0.0/8[icmp/8(1)]" },
		{ "dynamic[icmp/8]", "dynamic[icmp/8]" }, { "dynamic[1/2048-2303]", "dynamic[icmp/8-8(255)]" }, { "0.0.0.0/0", "0.0.0.0/0" },
		{ "dynamic[tcp/5-9]", "dynamic[tcp/5-9]" }, { "dynamic[0]", "dynamic" }, { "dynamic[tcp/20]", "dynamic[tcp/ftp-data]" },
	};
	static const char *const other[][2] = {
		{ "dynamic[6]", "dynamic[udp]" }, { "dynamic[tcp/53]", "dynamic[tcp]" }, { "dynamic[udp/53]", "dynamic[udp/http]" },
		{ "10.0.0.0/8", "10.0.0.0/9" }, { "10.0.0.0/8", "dynamic" }, { "dynamic", "0.0.0.0/0" }, { "0.0.0.0/0", "::/0" },
		{ "10.0.0.0/8", "10.0.0.0/33" }, { "10.0.0.0/8", "" }, { "dynamic[tcp/5]", "dynamic[tcp/OPAQUE]" }, { "dynamic[tcp/5]", "dynamic[tcp/5" },
		{ "dynamic[icmp/2049]", "dynamic[icmp/8]" }, { "dynamic[tcp/5]", "dynamic[tcp/nosuchservice]" }, { "dynamic[tcp/5]", "dynamic[tcp/]" },
	};
	struct ike_config *c = ike_world(1);
	struct err err;

	(void)state;
	assert_int_equal(ike_seal(c, &err), 0);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]) + sizeof(other) / sizeof(other[0]); i++) {
		bool equal = i < sizeof(same) / sizeof(same[0]);
		const char *const *pair = equal ? same[i] : other[i - sizeof(same) / sizeof(same[0])];
		struct arena *a = arena_new(0);
		struct vici_message *m = vici_new();
		struct vici_node *root;

		c->conns[0].children[0].local_ts.texts[0] = pair[1];
		list_conn(m, &c->conns[0]);
		root = parsed(a, m);
		c->conns[0].children[0].local_ts.texts[0] = pair[0];
		if ((ike_conn_check(&c->conns[0], &root->children[0], &err) == 0) != equal)
			fail_msg("'%s' and '%s': %s", pair[0], pair[1], err.msg);
		vici_free(m);
		arena_free(a);
	}
	ike_free(c);
}

/* ---- a charon that misbehaves on demand ---- */

static void s_send(int fd, const void *p, size_t len, size_t once)
{
	const uint8_t *b = p;

	while (len > 0) {
		ssize_t n = send(fd, b, len < once ? len : once, MSG_NOSIGNAL);

		if (n <= 0)
			_exit(0);
		b += n;
		len -= (size_t)n;
	}
}

static bool s_recv(int fd, void *p, size_t len)
{
	return len == 0 || recv(fd, p, len, MSG_WAITALL) == (ssize_t)len;
}

static void s_packet(int fd, int type, const char *name, const void *message, size_t len, size_t once)
{
	uint8_t head[300];
	size_t n = name ? strlen(name) : 0, total = 1 + (name ? 1 + n : 0) + len;

	head[0] = (uint8_t)(total >> 24);
	head[1] = (uint8_t)(total >> 16);
	head[2] = (uint8_t)(total >> 8);
	head[3] = (uint8_t)total;
	head[4] = (uint8_t)type;
	head[5] = (uint8_t)n;
	if (n)
		memcpy(head + 6, name, n);
	s_send(fd, head, 5 + (name ? 1 + n : 0), once);
	s_send(fd, message, len, once);
}

/* false: hangs up. */
static bool s_request(int fd, const char *command, const uint8_t *message, size_t len)
{
	if (!strcmp(command, "stream") || !strcmp(command, "raise")) {
		s_packet(fd, PACKET_EVENT, "known", "\3\1n\0\0011", 6, 1);
		s_packet(fd, PACKET_EVENT, "other", "\3\1n\0\001x", 6, 99);
		s_packet(fd, PACKET_EVENT, "known", "\3\1n\0\0012", 6, 2);
	} else if (!strcmp(command, "bad-stream")) {
		s_packet(fd, PACKET_EVENT, "known", "\2", 1, 99);
	} else if (!strcmp(command, "half")) {
		s_send(fd, "\0\0\0\12\1\3\1", 7, 99);
		return false;
	} else if (!strcmp(command, "close")) {
		return false;
	} else if (!strcmp(command, "silent")) {
		return true;
	} else if (!strcmp(command, "garbage")) {
		s_send(fd, "HTTP/1.1 400", 12, 99);
		return true;
	} else if (!strcmp(command, "damaged")) {
		s_packet(fd, PACKET_RESPONSE, NULL, "\2", 1, 99);
		return true;
	} else if (!strcmp(command, "twice")) {
		s_packet(fd, PACKET_RESPONSE, NULL, "", 0, 99);
	} else if (!strcmp(command, "confirm")) {
		s_packet(fd, PACKET_CONFIRM, NULL, "", 0, 99);
		return true;
	} else if (strcmp(command, "echo")) {
		s_packet(fd, PACKET_UNKNOWN, NULL, NULL, 0, 99);
		return true;
	}
	s_packet(fd, PACKET_RESPONSE, NULL, message, len, 5000);
	return true;
}

static void s_serve(int fd)
{
	uint8_t head[4], *body;
	char name[256];
	size_t len;
	bool more = true;

	while (more && s_recv(fd, head, 4)) {
		len = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
		body = malloc(len + 1);
		if (head[0] || len < 2 || !s_recv(fd, body, len) || (size_t)body[1] + 2 > len)
			_exit(1);
		memcpy(name, body + 2, body[1]);
		name[body[1]] = '\0';
		if (body[0] == PACKET_REQUEST)
			more = s_request(fd, name, body + 2 + body[1], len - 2 - body[1]);
		else
			s_packet(fd, strcmp(name, "known") ? PACKET_EVENT_UNKNOWN : PACKET_CONFIRM, NULL, NULL, 0, 99);
		free(body);
	}
	close(fd);
}

static pid_t server_start(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), peer;
	pid_t pid;

	unlink(path);
	strcpy(sa.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while ((peer = accept(fd, NULL, NULL)) >= 0)
			s_serve(peer);
		_exit(0);
	}
	close(fd);
	return pid;
}

static void server_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- the client that waits ---- */

static int add_n(const struct vici_node *message, void *cookie, struct err *err)
{
	char *text = cookie;

	(void)err;
	strcat(text, vici_value(message, "n"));
	return 0;
}

static int stop_at_once(const struct vici_node *message, void *cookie, struct err *err)
{
	(void)message;
	(void)cookie;
	return err_set(err, ERR_LIMIT, "enough");
}

static void test_ask(void **state)
{
	pid_t pid = server_start(at("vici"));
	struct arena *a = arena_new(0);
	struct vici_message *m;
	struct vici_node *reply;
	struct err err;
	struct vici *v;
	char seen[16] = "";

	(void)state;
	v = vici_open(at("vici"), 5000, &err);
	assert_non_null(v);
	for (int i = 0; i < 3; i++) {
		m = vici_new();
		m_most(m);
		assert_int_equal(vici_ask(v, &reply, a, "echo", m, NULL, NULL, NULL, &err), 0);
		assert_int_equal(reply->n_children, 1);
		seen[0] = '\0';
		assert_int_equal(vici_ask(v, &reply, a, "stream", NULL, "known", add_n, seen, &err), 0);
		assert_string_equal(seen, "12");
		assert_int_equal(vici_ask(v, &reply, a, "stream", NULL, NULL, NULL, NULL, &err), 0);
		/* What charon does not know does no harm. */
		assert_int_equal(vici_ask(v, &reply, a, "none", NULL, NULL, NULL, NULL, &err), -1);
		assert_int_equal(err.code, ERR_UNSUPPORTED);
		assert_int_equal(vici_ask(v, &reply, a, "echo", NULL, "no-event", add_n, seen, &err), -1);
		assert_int_equal(err.code, ERR_UNSUPPORTED);
	}
	m = vici_new();
	vici_add(m, "success", "no");
	vici_add(m, "errmsg", "invalid value for: proposals");
	assert_int_equal(vici_ask(v, &reply, a, "echo", m, NULL, NULL, NULL, &err), 0);
	assert_int_equal(vici_answer(reply, &err), -1);
	assert_string_equal(err.msg, "charon: invalid value for: proposals");
	m = vici_new();
	vici_add(m, "success", "yes");
	assert_int_equal(vici_ask(v, &reply, a, "echo", m, NULL, NULL, NULL, &err), 0);
	assert_int_equal(vici_answer(reply, &err), 0);
	vici_close(v);
	arena_free(a);
	server_stop(pid);
}

static void test_ask_trouble(void **state)
{
	static const struct {
		const char *command, *stream, *why;
		enum err_code code;
	} cases[] = {
		{ "half", NULL, "hung up", ERR_OFFLINE }, { "close", NULL, "hung up", ERR_OFFLINE }, { "silent", NULL, "in time", ERR_OFFLINE },
		{ "garbage", NULL, "announces a packet of 1213486160 bytes", ERR_FORMAT }, { "damaged", NULL, "an element of type 2", ERR_FORMAT },
		{ "confirm", NULL, "packet of type 5", ERR_FORMAT }, { "bad-stream", "known", "an element of type 2", ERR_FORMAT },
		{ "stream", "known", "enough", ERR_LIMIT },
	};
	pid_t pid = server_start(at("vici"));
	struct arena *a = arena_new(0);
	struct vici_node *reply = NULL;
	struct err err;
	struct vici *v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = vici_open(at("vici"), 300, &err);
		assert_non_null(v);
		assert_int_equal(vici_ask(v, &reply, a, cases[i].command, NULL, cases[i].stream, stop_at_once, NULL, &err), -1);
		assert_int_equal(err.code, cases[i].code);
		if (!strstr(err.msg, cases[i].why))
			fail_msg("%s: '%s'", cases[i].command, err.msg);
		assert_null(reply);
		/* Out of step: nothing is asked any more. */
		assert_int_equal(vici_ask(v, &reply, a, "echo", vici_new(), NULL, NULL, NULL, &err), -1);
		assert_int_equal(err.code, ERR_OFFLINE);
		vici_close(v);
	}
	server_stop(pid);
	assert_null(vici_open(at("vici"), 300, &err));
	assert_int_equal(err.code, ERR_OFFLINE);
	assert_null(vici_open(at("nothing"), 300, &err));
	assert_int_equal(err.code, ERR_OFFLINE);
	char *path = letters(200);
	assert_null(vici_open(path, 300, &err));
	assert_int_equal(err.code, ERR_LIMIT);
	free(path);
	vici_close(NULL);
	arena_free(a);
}

/* ---- the client in a loop ---- */

struct world {
	sd_event		*ev;
	struct vici_loop	*l;
	char			 said[512];	/* what was called, in order */
	bool			 close_in_reply, ask_in_reply;
};

static void say(struct world *w, const char *text)
{
	strncat(w->said, text, sizeof(w->said) - strlen(w->said) - 1);
	strncat(w->said, " ", sizeof(w->said) - strlen(w->said) - 1);
}

static void on_state(bool connected, const struct err *why, void *cookie)
{
	assert_true(connected == (why == NULL));
	say(cookie, connected ? "up" : "down");
}

static void on_heard(const char *event, const struct vici_node *message, void *cookie)
{
	say(cookie, event);
	say(cookie, vici_value(message, "n"));
}

static void on_reply(const struct vici_node *reply, const struct err *why, void *cookie)
{
	struct world *w = cookie;
	struct err err;

	assert_true((reply == NULL) == (why != NULL));
	say(w, reply ? "reply" : why->code == ERR_UNSUPPORTED ? "unknown" : "lost");
	if (w->ask_in_reply) {
		w->ask_in_reply = false;
		if (vici_loop_ask(w->l, "echo", NULL, NULL, NULL, on_reply, w, &err) < 0)
			say(w, "refused");
	}
	if (w->close_in_reply) {
		vici_loop_close(w->l);
		w->l = NULL;
	}
}

static void on_each(const struct vici_node *reply, const struct err *why, void *cookie)
{
	assert_true(reply && !why);
	say(cookie, vici_value(reply, "n"));
}

/* Until this was said, or for a while. */
static void run(struct world *w, const char *until)
{
	for (int i = 0; i < 400 && !strstr(w->said, until); i++)
		assert_true(sd_event_run(w->ev, 10000) >= 0);
	if (!strstr(w->said, until))
		fail_msg("'%s' instead of '%s'", w->said, until);
}

static void expect(struct world *w, const char *said)
{
	run(w, said);
	assert_string_equal(w->said, said);
	w->said[0] = '\0';
}

static void ask(struct world *w, const char *command, const char *stream)
{
	struct err err;

	if (vici_loop_ask(w->l, command, NULL, stream, stream ? on_each : NULL, on_reply, w, &err) < 0)
		fail_msg("%s", err.msg);
}

static void world_open(struct world *w, const char *path)
{
	struct err err;

	memset(w, 0, sizeof(*w));
	assert_int_equal(sd_event_new(&w->ev), 0);
	w->l = vici_loop_open(w->ev, path, on_state, on_heard, w, &err);
	assert_non_null(w->l);
	assert_string_equal(w->said, "");
}

static void world_close(struct world *w)
{
	vici_loop_close(w->l);
	sd_event_unref(w->ev);
}

static void quiet(struct world *w)
{
	assert_int_equal(sd_event_run(w->ev, 0), 0);
	assert_int_equal(sd_event_run(w->ev, 200000), 0);
}

static void test_loop(void **state)
{
	pid_t pid = server_start(at("vici"));
	struct vici_message *m;
	struct world w;
	struct err err;

	(void)state;
	world_open(&w, at("vici"));
	assert_int_equal(vici_loop_ask(w.l, "echo", vici_new(), NULL, NULL, on_reply, &w, &err), -1);
	assert_int_equal(err.code, ERR_OFFLINE);
	expect(&w, "up ");
	quiet(&w);
	ask(&w, "echo", NULL);
	ask(&w, "stream", "known");
	ask(&w, "none", NULL);
	ask(&w, "echo", "no-event");
	ask(&w, "stream", "known");
	ask(&w, "stream", NULL);
	assert_string_equal(w.said, "");
	expect(&w, "reply 1 2 reply unknown unknown 1 2 reply reply ");
	m = vici_new();
	m_most(m);
	w.ask_in_reply = true;
	assert_int_equal(vici_loop_ask(w.l, "echo", m, NULL, NULL, on_reply, &w, &err), 0);
	expect(&w, "reply reply ");
	assert_int_equal(vici_loop_register(w.l, "known", &err), 0);
	assert_int_equal(vici_loop_register(w.l, "strange", &err), 0);
	ask(&w, "raise", NULL);
	expect(&w, "known 1 known 2 reply ");
	quiet(&w);
	/* Without anybody to tell. */
	assert_int_equal(vici_loop_ask(w.l, "echo", NULL, NULL, NULL, NULL, NULL, &err), 0);
	ask(&w, "echo", NULL);
	expect(&w, "reply ");
	world_close(&w);
	server_stop(pid);
}

static void test_loop_lost(void **state)
{
	static const char *const commands[] = { "half", "close", "garbage", "damaged", "twice", "confirm", "silent" };
	pid_t pid = server_start(at("vici"));
	struct world w;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		world_open(&w, at("vici"));
		vici_loop_limit(w.l, 300);
		expect(&w, "up ");
		ask(&w, commands[i], NULL);
		ask(&w, "echo", NULL);
		ask(&w, "echo", NULL);
		w.ask_in_reply = true;
		if (!strcmp(commands[i], "twice"))
			run(&w, "down ");
		else
			expect(&w, "lost refused lost lost down ");
		assert_false(vici_loop_connected(w.l));
		/* Not wanted: it does not try again. */
		quiet(&w);
		w.said[0] = '\0';
		w.ask_in_reply = false;
		assert_int_equal(vici_loop_ask(w.l, "echo", vici_new(), NULL, NULL, on_reply, &w, &err), -1);
		vici_loop_want(w.l, true);
		expect(&w, "up ");
		ask(&w, "echo", NULL);
		expect(&w, "reply ");
		world_close(&w);
	}
	server_stop(pid);
}

static void test_loop_appears(void **state)
{
	struct world w;
	struct err err;
	pid_t pid;

	(void)state;
	unlink(at("vici"));
	world_open(&w, at("vici"));
	assert_int_equal(vici_loop_register(w.l, "known", &err), 0);
	expect(&w, "down ");
	quiet(&w);
	vici_loop_want(w.l, true);
	assert_int_equal(sd_event_run(w.ev, 0), 1);
	pid = server_start(at("vici"));
	expect(&w, "up ");
	ask(&w, "raise", NULL);
	expect(&w, "known 1 known 2 reply ");
	/* A crash: the socket is there, and nobody behind it; the next one makes its own. */
	server_stop(pid);
	expect(&w, "down ");
	run(&w, "down ");		/* its pauses go on: nobody listens */
	pid = server_start(at("vici"));
	run(&w, "up ");
	w.said[0] = '\0';
	ask(&w, "raise", NULL);
	expect(&w, "known 1 known 2 reply ");
	/* Not wanted any more: it stays connected, but does not come back. */
	vici_loop_want(w.l, false);
	quiet(&w);
	server_stop(pid);
	expect(&w, "down ");
	pid = server_start(at("vici"));
	quiet(&w);
	world_close(&w);
	server_stop(pid);
}

/* The folder comes later, and with it the socket. */
static void test_loop_folder(void **state)
{
	struct world w;
	pid_t pid;

	(void)state;
	world_open(&w, at("folder/vici"));
	vici_loop_want(w.l, true);
	expect(&w, "down ");
	assert_int_equal(mkdir(at("folder"), 0755), 0);
	pid = server_start(at("folder/vici"));
	expect(&w, "up ");
	world_close(&w);
	server_stop(pid);
	unlink(at("folder/vici"));
	assert_int_equal(rmdir(at("folder")), 0);
}

static void test_loop_close(void **state)
{
	static const char *const commands[] = { "echo", "none", "stream", "close", "damaged", "no-event" };
	pid_t pid = server_start(at("vici"));
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		world_open(&w, at("vici"));
		expect(&w, "up ");
		ask(&w, commands[i], strcmp(commands[i], "no-event") ? NULL : "no-event");
		ask(&w, "echo", NULL);
		w.close_in_reply = true;
		run(&w, " ");
		assert_null(w.l);
		assert_true(!strcmp(w.said, "reply ") || !strcmp(w.said, "unknown ") || !strcmp(w.said, "lost "));
		quiet(&w);
		world_close(&w);
	}
	vici_loop_close(NULL);
	server_stop(pid);
}

static void test_loop_limits(void **state)
{
	pid_t pid = server_start(at("vici"));
	struct vici_message *m;
	struct world w;
	struct err err;
	size_t n = 0;

	(void)state;
	world_open(&w, at("vici"));
	expect(&w, "up ");
	for (;; n++) {
		m = vici_new();
		m_most(m);
		if (vici_loop_ask(w.l, "echo", m, NULL, NULL, on_reply, &w, &err) < 0)
			break;
	}
	assert_int_equal(err.code, ERR_LIMIT);
	assert_in_range(n, 60, 80);
	m = vici_new();
	vici_section(m, "open");
	assert_int_equal(vici_loop_ask(w.l, "echo", m, NULL, NULL, on_reply, &w, &err), -1);
	for (int i = 0; i < 16; i++) {
		char name[32];

		snprintf(name, sizeof(name), "event%d", i);
		assert_int_equal(vici_loop_register(w.l, name, &err), 0);
	}
	assert_int_equal(vici_loop_register(w.l, "event1", &err), 0);
	assert_int_equal(vici_loop_register(w.l, "one-more", &err), -1);
	world_close(&w);
	server_stop(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_not_good), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_inbox), cmocka_unit_test(test_outbox), cmocka_unit_test(test_conn_check),
		cmocka_unit_test(test_selectors), cmocka_unit_test(test_ask), cmocka_unit_test(test_ask_trouble),
		cmocka_unit_test(test_loop), cmocka_unit_test(test_loop_lost), cmocka_unit_test(test_loop_appears),
		cmocka_unit_test(test_loop_folder), cmocka_unit_test(test_loop_close), cmocka_unit_test(test_loop_limits),
	};

	return cmocka_run_group_tests(tests, folder_up, folder_down);
}
