/* gpo/sd.h - does this security descriptor let this token apply the GPO?
 * [MS-DTYP] 2.4.6, [MS-ADTS] 5.1.3.3.4: the right Apply-Group-Policy.  (A GPO that
 * may not be read comes without its descriptor, so reading is not judged here.) */
#ifndef GPO_SD_H
#define GPO_SD_H

#include <stdbool.h>
#include <stddef.h>

#include "schema/ident.h"

struct arena;
struct dir_value;
struct err;

/* No DACL grants, an empty one denies; the first ACE that decides wins. */
int sd_may_apply(bool *ret, const struct dir_value *sd, const struct sid *token, size_t n_token, struct err *err);

struct sd_ace {
	struct sid	sid;
	bool		grants;
};

/* The same for many tokens: the first ACE whose SID a token has decides.  (Without a DACL there
 * are none, and it is granted.) */
int sd_aces(struct sd_ace **ret, size_t *ret_n, struct arena *a, const struct dir_value *sd, struct err *err);

#endif
