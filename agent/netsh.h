/* agent/netsh.h - the grammar of `netsh ipsec`: static|dynamic VERB OBJECT [tag=]value ...
 *
 * Values stand in the order of the command's tags, or behind their tag; verbs, objects and
 * tags may be shortened as long as they stay unambiguous (an exact word is never
 * ambiguous).  A value without a tag after one with a tag is an error.  A tag may be given once
 * unless it is repeatable.  Everything here is pure: no store, no name is looked up. */
#ifndef AGENT_NETSH_H
#define AGENT_NETSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "schema/policy.h"

struct arena;
struct err;

enum netsh_context { NETSH_STATIC, NETSH_DYNAMIC, NETSH_N_CONTEXTS };

enum netsh_type {
	NT_TEXT,	/* .text alone */
	NT_YESNO,	/* .yes */
	NT_NUMBER,	/* .number, within min..max of the tag */
	NT_WORD,	/* .number: index in the tag's words */
	NT_GUID,	/* .guid; `id` of a rule also .number: the one `show rule` prints, from 1 (guid is zero then) */
	NT_ADDR,	/* .addr, or .host: a DNS name to be looked up (then addr is not set).  NETSH_SINGLE: full
			 * length, or all zero for "none" */
	NT_MASK,	/* .number: prefix length (parse has compared it with the address, and drops one that
			 * changes nothing beside me or any) */
	NT_PORT,	/* .number; any: 0 */
	NT_PROTOCOL,	/* .number; any: 0 */
	NT_MMOFFERS,	/* .mm, .n */
	NT_QMOFFERS,	/* .qm, .n */
	NT_ROOTCA,	/* .ca */
	NT_TIME,	/* .number: seconds from now: "30min", "2h", "90s", "3d" */
};

struct netsh_tag {
	const char		*name;
	enum netsh_type		 type;
	const char		*words;		/* WORD: "permit|block|negotiate"; others NULL */
	uint32_t		 min, max;	/* NUMBER */
	bool			 required, repeatable;
	const char		*fallback;	/* what it is when not given, for help; NULL: nothing is */
	const char		*help;		/* half a sentence */
	unsigned		 flags;
};

enum {
	NETSH_OR	= 1,	/* instead of the first tag of the command, only behind its name: `guid=` */
	NETSH_FLAG	= 2,	/* a word of its own without a value: `all`; .yes is set */
	NETSH_LIST	= 4,	/* words without a tag behind it belong to it, too */
	NETSH_SINGLE	= 8,	/* ADDR: one address, a DNS name or "none" */
	NETSH_SECRET	= 16,	/* in no message */
	NETSH_NAMED	= 32,	/* only behind its name */
	NETSH_NUMBERED	= 64,	/* GUID: or a number */
	NETSH_UNSHOWN	= 128,	/* no secret, but a key may stand there by mistake: in no message about a bad value */
};

struct netsh_ca {
	const char	*name;			/* of the root CA, quotes resolved */
	bool		 map_account, exclude_ca;
};

struct netsh_value {
	const struct netsh_tag	*tag;
	const char		*text;		/* as written, quotes resolved */
	bool			 yes;
	uint64_t		 number;
	struct guid		 guid;
	struct ipsec_addr	 addr;
	const char		*host;		/* ADDR: name to be looked up; else NULL */
	struct ipsec_mm_offer	*mm;
	struct ipsec_offer	*qm;
	size_t			 n;
	struct netsh_ca		 ca;
};

/* One per command: CMD_<verb>_<object> of static, CMD_DYN_... of dynamic. */
enum netsh_id {
	CMD_ADD_POLICY, CMD_SET_POLICY, CMD_DELETE_POLICY, CMD_SHOW_POLICY,
	CMD_ADD_FILTERLIST, CMD_SET_FILTERLIST, CMD_DELETE_FILTERLIST, CMD_SHOW_FILTERLIST,
	CMD_ADD_FILTER, CMD_DELETE_FILTER,
	CMD_ADD_FILTERACTION, CMD_SET_FILTERACTION, CMD_DELETE_FILTERACTION, CMD_SHOW_FILTERACTION,
	CMD_ADD_RULE, CMD_SET_RULE, CMD_DELETE_RULE, CMD_SHOW_RULE, CMD_SET_DEFAULTRULE,
	CMD_SET_STORE, CMD_SHOW_STORE, CMD_SET_BATCH, CMD_SHOW_BATCH,
	CMD_EXPORTPOLICY, CMD_IMPORTPOLICY, CMD_RESTOREPOLICYEXAMPLES,
	CMD_DELETE_ALL, CMD_SHOW_ALL, CMD_SHOW_GPOASSIGNEDPOLICY,
	CMD_DYN_ADD_MMPOLICY, CMD_DYN_SET_MMPOLICY, CMD_DYN_DELETE_MMPOLICY, CMD_DYN_SHOW_MMPOLICY,
	CMD_DYN_ADD_QMPOLICY, CMD_DYN_SET_QMPOLICY, CMD_DYN_DELETE_QMPOLICY, CMD_DYN_SHOW_QMPOLICY,
	CMD_DYN_ADD_RULE, CMD_DYN_SET_RULE, CMD_DYN_DELETE_RULE, CMD_DYN_SHOW_RULE,
	CMD_DYN_DELETE_ALL, CMD_DYN_SET_CONFIG, CMD_DYN_SHOW_CONFIG,
	CMD_DYN_SHOW_MMFILTER, CMD_DYN_SHOW_QMFILTER, CMD_DYN_SHOW_MMSAS, CMD_DYN_SHOW_QMSAS,
	CMD_DYN_SHOW_STATS, CMD_DYN_SHOW_DROPS, CMD_DYN_SHOW_ALL,
	N_NETSH_COMMANDS
};

struct netsh_command {
	enum netsh_id		 id;
	enum netsh_context	 context;
	const char		*verb, *object;	/* object "": none ("exportpolicy") */
	const struct netsh_tag	*tags;		/* in the order of values without tags */
	size_t			 n_tags;
	const char		*help;		/* one line */
	const char		*notes;		/* more for `?`: rules between tags, an example; "" */
};

struct netsh_args {
	const struct netsh_command	*command;
	struct netsh_value		*values;	/* in the order of the line: that of authentication methods counts */
	size_t				 n_values;
};

/* The first value of this tag (full name); NULL: not given, or the command has no such tag. */
const struct netsh_value *netsh_arg(const struct netsh_args *a, const char *tag);
/* Of that value; `otherwise` when there is none. */
const char *arg_text(const struct netsh_args *a, const char *tag, const char *otherwise);
bool arg_yes(const struct netsh_args *a, const char *tag, bool otherwise);
uint64_t arg_number(const struct netsh_args *a, const char *tag, uint64_t otherwise);
bool arg_word(const struct netsh_args *a, const char *tag, const char *word);	/* given, and it is this one */
bool netsh_word_is(const struct netsh_value *v, const char *word);	/* of a WORD, any case */
/* The same, or else what the tag's fallback means; NULL also for a fallback that is no value. */
const struct netsh_value *netsh_arg_or_fallback(const struct netsh_args *args, struct arena *a, const char *tag);
bool netsh_secret(const struct netsh_args *a);		/* is one of the values? */

/* ---- lines ----
 * Blanks separate; "..." may stand anywhere in a word (name="my list"); within quotes \" is a
 * quote and \' one as netsh writes them in CA names.  A line whose first character is '#', ';' or ':', or
 * whose first word is rem, echo or "echo.", is a comment: no words.  '@' in front of a line is ignored.  ERR_FORMAT: a quote is not closed; ERR_LIMIT: more than
 * NETSH_MAX_WORDS, or a line of more than NETSH_MAX_LINE bytes. */
#define NETSH_MAX_LINE	65536
#define NETSH_MAX_WORDS	512
int netsh_split(char ***ret, size_t *ret_n, struct arena *a, const char *line, size_t len, struct err *err);

/* words: "add", "policy", "name=x"... of one context, as argv or netsh_split give them; nothing in *ret points into
 * them.  -1: ERR_UNSUPPORTED: no such verb or object, or several begin so; ERR_FORMAT: anything else that is wrong with it: one
 * line that names tag and value ("'srcmask': 33 is not a mask or a prefix length of 0 to 32"). */
int netsh_parse(struct netsh_args *ret, struct arena *a, enum netsh_context context, char *const *words, size_t n_words, struct err *err);
/* One line that gives the same arguments, all tags written out, secrets too; without a newline.  -1: write error. */
int netsh_write(const struct netsh_args *args, FILE *out);
/* One word quoted where it has to be. */
void netsh_quote(const char *word, FILE *out);

/* ---- help ----
 * words: what stands before "?" or "help": nothing, a verb, a verb and an object (short forms too).  0, or -1
 * when there is no such thing. */
int netsh_help(enum netsh_context context, char *const *words, size_t n_words, FILE *out, struct err *err);
const struct netsh_command *netsh_command(size_t i);	/* 0.. in table order; NULL: no more */
/* Completions of the last of words (may be ""), each as whole word, sorted; for tags with '='. */
int netsh_complete(const char ***ret, size_t *ret_n, struct arena *a, enum netsh_context context, char *const *words, size_t n_words);
bool netsh_help_asked(const char *word);	/* "?" "/?" "-?" "help" "--help" "-h" */

/* ---- for netsh_*.c ---- */
const char *netsh_context_name(enum netsh_context context);	/* "static" "dynamic" */
/* 1: `word` is a beginning of `name`; 2: all of it; 0: neither (ASCII case does not count).
 * name ends at NUL or '|'. */
int netsh_match(const char *word, size_t len, const char *name);
/* The command that the first *ret_used words are, short forms too.  *ret NULL: there are fewer words than it takes, and
 * *ret_used is how many of them are right.  ERR_UNSUPPORTED. */
int netsh_find(const struct netsh_command **ret, size_t *ret_used, enum netsh_context context, char *const *words, size_t n_words, struct err *err);
const struct netsh_tag *netsh_tag(const struct netsh_command *c, const char *name, size_t len, struct err *err);
/* Sets all of *ret but tag. */
int netsh_value_parse(struct netsh_value *ret, struct arena *a, const struct netsh_tag *tag, const char *text, struct err *err);
void netsh_value_write(const struct netsh_value *v, FILE *out);
int netsh_offers_parse(struct netsh_value *v, struct arena *a, const char *text, struct err *err);	/* MM and QM; v->tag is set */
void netsh_offers_write(const struct netsh_value *v, FILE *out);
bool netsh_number(uint64_t *ret, const char *s, size_t len, uint64_t max);	/* digits alone */
/* What has to fit between the values of one line. */
int netsh_check(const struct netsh_args *args, struct err *err);

#endif
