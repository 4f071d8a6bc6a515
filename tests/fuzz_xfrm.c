/* Messages of any shape about policies and security associations: what is read as ours can be written, checked, and
 * sent again as the same. */
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nft/xfrm.h"
#include "schema/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void policy_see(const struct nlmsghdr *nlh)
{
	_Alignas(struct nlmsghdr) uint8_t buf[XFRM_MESSAGE_MAX];
	struct spd_policy p, again;
	char *text = NULL;
	size_t len;
	struct err err;
	FILE *out;

	switch (xfrm_policy_parse(&p, nlh)) {
	case XFRM_OURS:
		if (spd_policy_check(&p, &err) < 0 || xfrm_policy_parse(&again, xfrm_policy_build(buf, 1, &p)) != XFRM_OURS ||
		    !spd_policy_equal(&p, &again) || p.expires != again.expires)
			abort();
		break;
	case XFRM_ALTERED:
		xfrm_policy_delete_build(buf, 1, &p);
		break;
	case XFRM_FOREIGN:
		break;
	case XFRM_DAMAGED:
		return;
	}
	out = open_memstream(&text, &len);
	if (out) {
		spd_policy_write(&p, out);
		fclose(out);
	}
	free(text);
}

static void sa_see(const struct nlmsghdr *nlh)
{
	_Alignas(struct nlmsghdr) uint8_t buf[XFRM_MESSAGE_MAX];
	struct xfrm_sa sa;

	if (xfrm_sa_parse(&sa, nlh) != 1)
		return;
	if (strlen(sa.encryption) > 63 || strlen(sa.integrity) > 63 || sa.reqid < SPD_REQID_MIN || sa.reqid > SPD_REQID_MAX)
		abort();
	xfrm_sa_delete_build(buf, 1, &sa);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { XFRM_MSG_NEWPOLICY, XFRM_MSG_DELPOLICY, XFRM_MSG_POLEXPIRE, XFRM_MSG_NEWSA, XFRM_MSG_DELSA,
		XFRM_MSG_EXPIRE };
	struct nlmsghdr *nlh;

	if (size < sizeof(*nlh))
		return 0;
	nlh = malloc(size);
	memcpy(nlh, data, size);
	nlh->nlmsg_len = (uint32_t)size;
	policy_see(nlh);
	sa_see(nlh);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		nlh->nlmsg_type = types[i];
		policy_see(nlh);
		sa_see(nlh);
	}
	free(nlh);
	return 0;
}
