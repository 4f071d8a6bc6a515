/* schema/facts.h - what "my DNS servers", "my gateway" and "the domain controllers
 * in use" are right now: the only things of this host that a ruleset depends on.
 * ("Me" stays symbolic in it down to the kernel; the own addresses are for IPsec policies,
 * nft/protect.h: they cannot say "me".)
 *
 * Text form, one line an address, sorted, e.g.
 *   dc 10.77.0.1
 *   dns 10.77.0.1
 *   gateway fe80::1 */
#ifndef SCHEMA_FACTS_H
#define SCHEMA_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct arena;
struct err;
struct json_t;

struct ip_addr {
	uint8_t	family;		/* AF_INET or AF_INET6 */
	uint8_t	b[16];		/* network order; IPv4 in the first 4, rest zero */
};

enum fact_kind { FACT_ADDRESS, FACT_DC, FACT_DHCP, FACT_DNS, FACT_GATEWAY, FACT_WINS, N_FACTS };

struct host_facts {
	struct arena	*arena;
	struct ip_addr	*addrs[N_FACTS];	/* sorted, each once */
	size_t		 n_addrs[N_FACTS];
};

struct host_facts *facts_new(void);		/* NULL: no memory */
void facts_free(struct host_facts *f);
int facts_add(struct host_facts *f, enum fact_kind kind, const struct ip_addr *a, struct err *err);
bool facts_equal(const struct host_facts *a, const struct host_facts *b);
int facts_write(const struct host_facts *f, FILE *out);
/* Lines in any order, empty lines and '#' comments; errors: "line 3: ...". */
int facts_read(struct host_facts **ret, const char *text, size_t len, struct err *err);
struct json_t *facts_json(const struct host_facts *f);	/* {"dc": ["10.77.0.1"], ...}; NULL: no memory */
const char *fact_name(enum fact_kind kind);

bool ip_addr_read(struct ip_addr *ret, const char *text);
#define IP_ADDR_TEXT	46
void ip_addr_text(const struct ip_addr *a, char out[static IP_ADDR_TEXT]);
int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b);

#endif
