/* agent/negotiate_parts.h - the negotiator from inside: charon's half (negotiate_load.c, negotiate_plan.c, negotiate_steps.c,
 * negotiate_message.c) and the kernel's (negotiate_pin.c, negotiate_peers.c); for agent/negotiate*.c and their tests. */
#ifndef AGENT_NEGOTIATE_PARTS_H
#define AGENT_NEGOTIATE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/negotiate.h"
#include "agent/negotiate_file.h"
#include "nft/ike.h"
#include "nft/xfrm.h"
#include "schema/facts.h"

struct arena;
struct sd_event_source;
struct spd;
struct spd_policy;
struct vici_loop;
struct vici_message;
struct vici_node;

#define USEC	UINT64_C(1000000)	/* microseconds in a second */

/* ---- names, in an arena; out of memory is remembered ---- */

struct names {
	const char	**texts;
	size_t		  n;
	bool		  failed;
};
void names_add(struct names *l, struct arena *a, const char *text);
void names_sort(struct names *l);		/* each once */
bool names_have(const struct names *l, const char *text);	/* of a sorted one */

/* ---- what charon is sent and says: no socket, no clock ---- */

bool is_ours(const char *name);			/* begins with IKE_PREFIX */
/* The whole message of load-conn.  h: the certificate of this host goes into connections that authenticate
 * with one, because that is where charon takes the identity from.  NULL: no memory. */
struct vici_message *conn_message(const struct ike_conn *c, const struct host_certs *h);
/* As ike_conn_check, for what conn_message says: charon takes the identity from the certificate. */
int conn_check(const struct ike_conn *want, const struct vici_node *listed, struct arena *a, struct err *err);
struct vici_message *name_message(const char *key, const char *name);
struct vici_message *authority_message(const char *name, const struct cert_text *ca);
struct vici_message *terminate_message(const char *name);
#define AUTHORITY_TEXT	32
void authority_name(char out[static AUTHORITY_TEXT], const struct cert_text *ca);	/* IKE_PREFIX "ca-" and digits of its content */
void secret_digest(uint8_t out[static 32], const struct ike_secret *s);
/* The texts of a list of a reply: "conns", "keys", "authorities". */
void names_of_list(struct names *ret, struct arena *a, const struct vici_node *reply, const char *list);
/* A message "list-sa": the SPIs of its children, host order, appended. */
struct spis {
	uint32_t	*spis;
	size_t		 n;
	bool		 failed;
};
void spis_of_sa(struct spis *ret, struct arena *a, const struct vici_node *message);
void spis_sort(struct spis *s);
bool spis_have(const struct spis *s, uint32_t spi);	/* of a sorted one */

/* ---- charon's half ---- */

enum conn_condition { CONN_MISSING, CONN_LOADED, CONN_FAILED };
struct conn_state {			/* of the connection of the same place in the wanted ones */
	enum conn_condition	 condition;
	bool			 listed;	/* charon lists it as it should be: since the last look */
	uint32_t		 told;		/* of the words that were logged */
	char			 why[160];	/* charon's words, cleaned */
};

struct secret_state {			/* as charon was told last; sorted */
	char		id[64];
	uint8_t		digest[32];
};

struct load {
	struct vici_loop	*vici;
	struct sd_event_source	*timer;
	char			*path, *certificate, *key, *ca;
	bool			 connected;
	bool			 fresh;		/* nothing is known of this charon yet */
	bool			 round, busy;	/* a round is under way; a command is */
	bool			 light;		/* it only looks whether all is as it was left */
	bool			 again;		/* something changed meanwhile: begin anew */
	bool			 done;		/* a round has come to its end with what is wanted now */
	size_t			 step, at;	/* in it */
	size_t			 n_changes;	/* things loaded and unloaded in it */
	uint64_t		 since;		/* CLOCK_BOOTTIME seconds: when this charon was met */
	size_t			 n_orphans;	/* SAs in the kernel that it does not know */
	uint64_t		 tried;		/* CLOCK_BOOTTIME seconds: when failed connections were tried last */
	struct err		 lost, creds;	/* why charon does not answer; why certificates cannot be used */
	char			 daemon[64];
	/* Of a round, in its arena. */
	struct arena		*arena;
	struct names		 listed_conns, listed_sas, listed_secrets, listed_keys, listed_cas;
	struct names		 old_conns, old_sas, old_secrets, old_cas, restart;
	size_t			*todo;		/* places of connections */
	size_t			 n_todo, *todo_secrets, n_todo_secrets;
	bool			 have_certs;	/* `certs` is to be used */
	bool			 load_certs, old_key;	/* ... and to be loaded; the key is to be unloaded */
	struct host_certs	 certs;
	struct xfrm_sa		*sas;
	size_t			 n_sas;
	struct spis		 spis;
	/* Of this charon. */
	struct secret_state	*secrets;
	size_t			 n_secrets;
	char			 key_id[64];	/* charon's name of our key; "" */
	bool			 key_ours;	/* it was not there before */
	uint8_t			 certs_digest[32];
	bool			 certs_loaded;
	char			 cas_loaded[CERTS_MAX][AUTHORITY_TEXT];
	size_t			 n_cas_loaded;
};

/* ---- the kernel's half ---- */

/* The policies in transport mode that ask for SAs, by reqid; they point into the spd they were made of. */
struct pin_index {
	const struct spd_policy	**policies;
	size_t			  n;
};
int pin_index_make(struct pin_index *ret, const struct spd *spd, struct err *err);	/* spd NULL: nothing; free(ret->policies) */
/* Those of one reqid; *n of them. */
const struct spd_policy *const *pin_index_find(const struct pin_index *x, uint32_t reqid, size_t *n);

bool pin_index_soft(const struct pin_index *x, uint32_t reqid);	/* some of them are level use */

/* A peer of soft negotiation with SAs both ways: one half of a pair would be dropped by the other side. */
struct pin_peer {
	struct ip_addr		 peer;
	uint32_t		 reqid;
	uint32_t		 spi;		/* of the newest SA towards it: another one means that it negotiated again */
	uint64_t		 time;		/* when that was added */
};
/* In a, sorted, each once: what the SAs say of the reqids that have policies level use. */
int pin_peers(struct pin_peer **ret, size_t *ret_n, struct arena *a, const struct pin_index *x, const struct xfrm_sa *sas, size_t n_sas,
    struct err *err);
/* One that this charon does not know (known: sorted SPIs of those that it does): may it go? When nobody wants its reqid, or when
 * one that is known has taken its place. */
bool orphan_is_done(const struct xfrm_sa *sas, size_t n_sas, const struct xfrm_sa *orphan, const struct spis *known, const struct spd *spd);
/* The wanted policy whose packets the SA is for, narrowed to its two addresses in transport mode; false: there is none,
 * or it is for inbound ones. */
bool sa_policy(struct spd_policy *ret, const struct spd *spd, const struct xfrm_sa *sa);
/* Of SAs sorted by sa_cmp: has the peer of this larval one got an SA since it was asked for? */
bool larval_is_old(const struct xfrm_sa *sas, size_t n_sas, const struct xfrm_sa *larval);
int sa_cmp(const void *a, const void *b);	/* struct xfrm_sa: both addresses; full ones first, the newest first */
int pin_peer_cmp(const struct pin_peer *a, const struct pin_peer *b);	/* peer and reqid */

struct pinned {				/* and held */
	struct pin_peer	p;
	uint64_t	until;		/* CLOCK_BOOTTIME seconds */
};

struct reqid_life {
	uint32_t	reqid, life_seconds;
};

struct pin {
	struct sd_event_source	*io, *look, *spoiled;
	struct pin_index	 index;		/* of what is wanted */
	struct reqid_life	*lives;		/* likewise, sorted */
	size_t			 n_lives;
	struct pinned		*pinned;	/* sorted */
	size_t			 n_pinned;
	uint64_t		 window;	/* CLOCK_BOOTTIME usec */
	unsigned		 n_in_window;
	uint64_t		 looked;	/* CLOCK_BOOTTIME usec */
	char			 trouble[200];	/* last told */
};

/* ---- both ---- */

struct negotiator {
	struct sd_event		*ev;
	struct xfrmsock		*x;
	negotiate_changed	*changed, *spoiled;
	void			*cookie;
	struct protect		*want;		/* NULL: nothing */
	struct conn_state	*conns;
	size_t			 n_conns;
	bool			 logging;
	enum negotiate_state	 told;		/* last logged */
	char			 told_creds[200];
	uint64_t		 heard_window;	/* of SAs that come and go */
	unsigned		 n_heard;
	struct load		 load;
	struct pin		 pin;
};

uint64_t negotiate_now(void);			/* CLOCK_BOOTTIME usec */
void negotiate_loading(const struct negotiator *n, struct negotiate_status *ret);	/* without pins and the policy's problems */
void negotiate_tell(struct negotiator *n);	/* logs what changed, calls `changed` */
void negotiate_tell_problems(const struct protect *p, const struct protect *before);	/* those that are new; NULL: none */
void negotiate_heard(struct negotiator *n, const char *event, const struct vici_node *message);
bool negotiate_closed(const struct negotiator *n, const struct ike_conn *c);	/* some of its policies demand protection */

int load_open(struct negotiator *n, const struct conf *c, struct err *err);
void load_close(struct negotiator *n);
int load_conf(struct negotiator *n, const struct conf *c, struct err *err);	/* takes the paths; a round */
void load_begin(struct negotiator *n, bool light);	/* a round, or the one under way anew */
void load_next(struct negotiator *n);		/* the next command of the round */

/* negotiate_plan.c: fills what is to be done in the round.  -1: a look finds that not all is as it was left. */
int load_plan(struct negotiator *n);
const struct ike_config *load_wanted(const struct negotiator *n);	/* never NULL */
struct secret_state *load_secret(struct load *l, const char *id);	/* NULL: charon was not told, or went away */

/* negotiate_steps.c: the commands of a round, in their order.  Each is sent for 0..count-1. */
struct step {
	const char		*command, *stream;
	/* NULL: once, an empty message. */
	size_t			(*count)(const struct negotiator *n);
	struct vici_message	*(*ask)(struct negotiator *n, size_t i);
	void			(*heard)(struct negotiator *n, const struct vici_node *message);
	void			(*answered)(struct negotiator *n, size_t i, const struct vici_node *reply);
	bool			 always;	/* `answered` is of use also when the wanted ones have changed meanwhile */
	/* Instead of a command.  -1: the round begins anew, as a whole. */
	int			(*act)(struct negotiator *n);
};
extern const struct step load_steps[];
extern const size_t load_n_steps;

int pin_open(struct negotiator *n, struct err *err);
void pin_close(struct negotiator *n);
void pin_want(struct negotiator *n);		/* what is wanted changed */
size_t pin_count(const struct negotiator *n);	/* peers that are held now */

#endif
