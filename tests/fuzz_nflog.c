/* Logged packets of any shape: seen whole or not at all, and what is seen can be judged. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nft/action.h"
#include "nft/judge.h"
#include "nft/nflog.h"
#include "nft/render.h"
#include "schema/err.h"
#include "schema/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ruleset *ruleset;

static void see(const struct nflog_packet *p, void *cookie)
{
	struct judge_place at = { .hook = RS_HOOK_INPUT, .iif = p->iif };
	struct packet_head head;
	struct judgement j;
	enum act_hook h;
	enum drop_kind k;
	uint8_t *copy = malloc(p->len + 1);

	memcpy(copy, p->payload, p->len);
	*(size_t *)cookie += strlen(p->prefix) + drop_prefix_read(&h, &k, p->prefix);
	if (packet_head_parse(&head, copy, p->len) && !judge_packet(&j, ruleset, &head, &at))
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct nflog_packet bare = { .prefix = "", .payload = data, .len = size };
	uint8_t *aligned = malloc(size + 1);
	struct settings s;
	struct err err;
	size_t n = 0;

	if (!ruleset) {
		settings_default(&s);
		if (boot_render(&ruleset, BOOT_STATEFUL, &s, NULL, NULL, &err) < 0)
			abort();
	}
	memcpy(aligned, data, size);
	nflog_parse(aligned, size, see, &n);
	see(&bare, &n);
	free(aligned);
	return 0;
}
