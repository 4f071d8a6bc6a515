/* nft/ike_text.h - the text of one connection; for nft/ike*.c. */
#ifndef NFT_IKE_TEXT_H
#define NFT_IKE_TEXT_H

#include <stdbool.h>
#include <stdio.h>

struct ike_conn;

/* people: with the rules it comes from, as comments.  -1: write error. */
int ike_conn_write(const struct ike_conn *c, const char *name, bool people, FILE *out);

#endif
