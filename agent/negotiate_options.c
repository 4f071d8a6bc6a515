#include "agent/negotiate.h"

#include <string.h>

#include "agent/conf.h"
#include "agent/negotiate_file.h"
#include "agent/sources.h"
#include "nft/protect.h"
#include "schema/arena.h"

static int psk_read(struct protect_options *o, struct arena *a, const char *path, struct err *err)
{
	struct secret_file f = { 0 };
	int rc = -1;

	if (secret_file_read(&f, path, KEY_FILE_MAX, true, err) < 0)
		return -1;
	if (f.bytes[f.len - 1] == '\n')
		f.len--;
	if (!f.len)
		err_set(err, ERR_FORMAT, "'%s' holds no key", path);
	else if (memchr(f.bytes, '\0', f.len))
		err_set(err, ERR_FORMAT, "'%s' has a zero byte in the key", path);
	else if (!(o->kerberos_key = arena_strndup(a, (const char *)f.bytes, f.len)))
		err_nomem(err);
	else
		rc = 0;
	o->kerberos_key_len = rc == 0 ? f.len : 0;
	secret_file_free(&f);
	return rc;
}

static int kerberos_read(struct protect_options *o, struct arena *a, const struct conf *c, struct err *err)
{
	if (c->kerberos == CONF_KERBEROS_CERTIFICATE) {
		o->kerberos = KERBEROS_CERTIFICATE;
	} else if (c->kerberos == CONF_KERBEROS_PSK) {
		if (psk_read(o, a, c->kerberos_psk, err) < 0)
			return err_prefix(err, "kerberos = psk");
		o->kerberos = KERBEROS_PSK;
	}
	return 0;
}

static int certificate_read(struct protect_options *o, const struct conf *c, struct err *err)
{
	struct host_certs h = { 0 };

	if (!c->certificate && !c->private_key)
		return 0;
	if (!c->certificate || !c->private_key)
		return err_set(err, ERR_ABSENT, "certificate and private-key are given both or not at all");
	if (host_certs_read(&h, c->certificate, c->private_key, c->ca, err) < 0)
		return -1;
	host_certs_free(&h);
	o->have_certificate = true;
	return 0;
}

int negotiate_options(struct protect_options *ret, struct arena *a, const struct conf *c, const struct sources *s, struct err *err)
{
	static const enum ike_version versions[] = { IKE_ANY, IKE_V1, IKE_V2 };
	struct err second;
	int rc;

	*ret = (struct protect_options){ .weak_offers = c->weak_offers, .ignore_mapping = c->ignore_mapping,
		.strong_crl = s->settings.strong_crl_check,
		.version = c->ike_version >= 0 && c->ike_version <= 2 ? versions[c->ike_version] : IKE_V1 };
	sources_options(&ret->render, s, c);
	rc = kerberos_read(ret, a, c, err);
	if (certificate_read(ret, c, rc < 0 ? &second : err) < 0)
		rc = -1;
	return rc;
}

void negotiate_options_wipe(struct protect_options *o)
{
	if (o->kerberos_key)
		explicit_bzero((char *)o->kerberos_key, o->kerberos_key_len);
	o->kerberos_key = NULL;
	o->kerberos_key_len = 0;
}
