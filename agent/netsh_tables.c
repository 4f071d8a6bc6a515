/* The commands of `netsh ipsec`, their tags in the documented order, and our own ones at their
 * end.  A fallback that is a value of its tag is what executors use (netsh_arg_or_fallback). */
#include "agent/netsh.h"

#define MAX_TEXT	1024
#define MAX_NAME	255
#define MAX_PSK		512
#define MAX_CA		2048
#define MAX_FILE	4095
#define MAX_DOMAIN	253
#define MAX_MINUTES	(UINT32_MAX / 60)

#define TAG(tag_name, tag_type, tag_help, ...) { .name = tag_name, .type = tag_type, .help = tag_help, __VA_ARGS__ }
#define NAME(n, h, ...)		TAG(n, NT_TEXT, h, .min = 1, .max = MAX_NAME, __VA_ARGS__)
#define YESNO(n, fb, h, ...)	TAG(n, NT_YESNO, h, .fallback = fb, __VA_ARGS__)
#define WORD(n, w, fb, h, ...)	TAG(n, NT_WORD, h, .words = w, .fallback = fb, __VA_ARGS__)
#define NUMBER(n, lo, hi, fb, h) TAG(n, NT_NUMBER, h, .min = lo, .max = hi, .fallback = fb)
#define FLAG(n, h)		TAG(n, NT_YESNO, h, .flags = NETSH_OR | NETSH_FLAG)
#define REQUIRED		.required = true

#define NAME_NEW		NAME("name", "name of it", REQUIRED)
#define NAME_OLD(h)		NAME("name", h, REQUIRED)
#define NAME_SHOW		NAME("name", "this one alone", .fallback = "all of them")
#define GUID			TAG("guid", NT_GUID, "its GUID, instead of the name", .flags = NETSH_OR)
#define ID			TAG("id", NT_GUID, "its GUID, or its number in 'show rule', instead of the name", .flags = NETSH_OR | NETSH_NUMBERED)
#define NEWNAME			NAME("newname", "name from now on")
#define DESCRIPTION		TAG("description", NT_TEXT, "what it is for", .max = MAX_TEXT)
#define POLICY			NAME("policy", "the policy that it belongs to", REQUIRED)
#define KERBEROS		TAG("kerberos", NT_YESNO, "authenticate with Kerberos; 'no' is as good as leaving it out", \
				    .flags = NETSH_UNSHOWN)
#define PSK			TAG("psk", NT_TEXT, "authenticate with this pre-shared key; may be repeated", \
				    .min = 1, .max = MAX_PSK, .repeatable = true, .flags = NETSH_SECRET)
#define ROOTCA			TAG("rootca", NT_ROOTCA, "authenticate with certificates of this CA; may be repeated", \
				    .max = MAX_CA, .repeatable = true, .flags = NETSH_UNSHOWN)
#define AUTH			KERBEROS, PSK, ROOTCA
#define MM_OFFERS(fb)		TAG("mmsecmethods", NT_MMOFFERS, "main mode offers, in order of preference", \
				    .fallback = fb, .flags = NETSH_LIST)
#define QM_OFFERS(fb)		TAG("qmsecmethods", NT_QMOFFERS, "quick mode offers, in order of preference", \
				    .fallback = fb, .flags = NETSH_LIST)
#define LEVEL			WORD("level", "normal|verbose", "normal", "how much of it")
#define FORMAT			WORD("format", "list|table", "list", "one line a value, or one line an object")
#define WIDE			YESNO("wide", "no", "do not cut what is wider than its column")
#define RESOLVEDNS		YESNO("resolvedns", "no", "show the names of addresses")
#define ADDR(n, h, ...)		TAG(n, NT_ADDR, h, __VA_ARGS__)
#define SRCADDR(...)		ADDR("srcaddr", "source", __VA_ARGS__)
#define DSTADDR(...)		ADDR("dstaddr", "destination", __VA_ARGS__)
#define MASK(n, h, fb)		TAG(n, NT_MASK, h, .fallback = fb)
#define SRCMASK(fb)		MASK("srcmask", "mask or prefix length of the source", fb)
#define DSTMASK(fb)		MASK("dstmask", "mask or prefix length of the destination", fb)
#define PORT(n, h, fb)		TAG(n, NT_PORT, h, .fallback = fb)
#define SRCPORT(fb)		PORT("srcport", "source port of TCP or UDP, 0 or any: each of them", fb)
#define DSTPORT(fb)		PORT("dstport", "destination port of TCP or UDP, 0 or any: each of them", fb)
#define PROTOCOL(fb)		TAG("protocol", NT_PROTOCOL, "IP protocol", .fallback = fb)
#define MIRRORED(fb)		YESNO("mirrored", fb, "the answers' direction, too")
#define CONNTYPE(fb)		WORD("conntype", "all|lan|dialup", fb, "network connections on which it counts")
#define TUNNEL(n, fb)		ADDR(n, "endpoint of the tunnel, an address or DNS name", .fallback = fb, .flags = NETSH_SINGLE)
#define ACTION_WORDS		"permit|block|negotiate"
#define ANY_ADDR		"any address"
#define MM_DEFAULT		"3DES-SHA1-2 3DES-MD5-2"
#define QM_DEFAULT		"ESP[3DES,SHA1]:100000k/3600s ESP[3DES,MD5]:100000k/3600s"

/* ---- static ---- */

static const struct netsh_tag add_policy[] = {
	NAME_NEW, DESCRIPTION,
	YESNO("mmpfs", "no", "perfect forward secrecy of main mode keys: one quick mode each"),
	NUMBER("qmpermm", 0, INT32_MAX, "0, or 1 with mmpfs", "quick modes per main mode, 0: no limit"),
	NUMBER("mmlifetime", 1, MAX_MINUTES, "480", "minutes until main mode is renegotiated"),
	YESNO("activatedefaultrule", "yes", "the default response rule counts"),
	NUMBER("pollinginterval", 1, MAX_MINUTES, "180", "minutes after which agents look for changes"),
	YESNO("assign", "no", "assign it to this computer"),
	MM_OFFERS(MM_DEFAULT),
};
static const struct netsh_tag set_policy[] = {
	NAME_OLD("the policy"), GUID, NEWNAME, DESCRIPTION,
	YESNO("mmpfs", NULL, "perfect forward secrecy of main mode keys: one quick mode each"),
	NUMBER("qmpermm", 0, INT32_MAX, NULL, "quick modes per main mode, 0: no limit"),
	NUMBER("mmlifetime", 1, MAX_MINUTES, NULL, "minutes until main mode is renegotiated"),
	YESNO("activatedefaultrule", NULL, "the default response rule counts"),
	NUMBER("pollinginterval", 1, MAX_MINUTES, NULL, "minutes after which agents look for changes"),
	YESNO("assign", NULL, "assign it, or no longer, to this computer or to the GPO"),
	NAME("gponame", "display name or GUID of the GPO to which it is assigned; domain store only"),
	MM_OFFERS(NULL),
};
static const struct netsh_tag delete_policy[] = { NAME_OLD("the policy"), FLAG("all", "every policy of the store") };
static const struct netsh_tag show_policy[] = { NAME_SHOW, FLAG("all", "every policy"), LEVEL, FORMAT, WIDE };

static const struct netsh_tag add_filterlist[] = { NAME_NEW, DESCRIPTION };
static const struct netsh_tag set_filterlist[] = { NAME_OLD("the filter list"), GUID, NEWNAME, DESCRIPTION };
static const struct netsh_tag delete_filterlist[] = { NAME_OLD("the filter list"), FLAG("all", "every filter list of the store") };
static const struct netsh_tag show_filterlist[] = {
	NAME_SHOW, NAME("rule", "those that this rule uses", .flags = NETSH_OR), FLAG("all", "every filter list"),
	LEVEL, FORMAT, RESOLVEDNS, WIDE,
};

static const struct netsh_tag add_filter[] = {
	NAME("filterlist", "the filter list; made if there is none", REQUIRED),
	SRCADDR(REQUIRED), DSTADDR(REQUIRED), DESCRIPTION,
	PROTOCOL("ANY"), MIRRORED("yes"), SRCMASK("one address"), DSTMASK("one address"), SRCPORT("0"), DSTPORT("0"),
};
static const struct netsh_tag delete_filter[] = {
	NAME("filterlist", "the filter list", REQUIRED),
	SRCADDR(REQUIRED), DSTADDR(REQUIRED),
	PROTOCOL("whatever it is"), MIRRORED("whatever it is"), SRCMASK("one address"), DSTMASK("one address"),
	SRCPORT("whatever it is"), DSTPORT("whatever it is"),
};

static const struct netsh_tag add_filteraction[] = {
	NAME_NEW, DESCRIPTION,
	YESNO("qmpfs", "no", "perfect forward secrecy of session keys"),
	YESNO("inpass", "no", "accept unsecured packets, but always answer secured"),
	YESNO("soft", "no", "unsecured with computers that do not speak IPsec"),
	WORD("action", ACTION_WORDS, "negotiate", "what becomes of the packets"),
	QM_OFFERS(QM_DEFAULT),
};
static const struct netsh_tag set_filteraction[] = {
	NAME_OLD("the filter action"), GUID, NEWNAME, DESCRIPTION,
	YESNO("qmpfs", NULL, "perfect forward secrecy of session keys"),
	YESNO("inpass", NULL, "accept unsecured packets, but always answer secured"),
	YESNO("soft", NULL, "unsecured with computers that do not speak IPsec"),
	WORD("action", ACTION_WORDS, NULL, "what becomes of the packets"),
	QM_OFFERS(NULL),
};
static const struct netsh_tag delete_filteraction[] = { NAME_OLD("the filter action"), FLAG("all", "every filter action of the store") };
static const struct netsh_tag show_filteraction[] = {
	NAME_SHOW, NAME("rule", "the one that this rule uses", .flags = NETSH_OR), FLAG("all", "every filter action"),
	LEVEL, FORMAT, WIDE,
};

static const struct netsh_tag add_rule[] = {
	NAME_NEW, POLICY,
	NAME("filterlist", "which packets", REQUIRED),
	NAME("filteraction", "what becomes of them", REQUIRED),
	TUNNEL("tunnel", "none"), CONNTYPE("all"),
	YESNO("activate", "yes", "the rule counts"),
	DESCRIPTION, AUTH,
};
static const struct netsh_tag set_rule[] = {
	NAME_OLD("the rule"), ID, POLICY, NEWNAME, DESCRIPTION,
	NAME("filterlist", "which packets"),
	NAME("filteraction", "what becomes of them"),
	TUNNEL("tunnel", NULL), CONNTYPE(NULL),
	YESNO("activate", NULL, "the rule counts"),
	AUTH,
};
static const struct netsh_tag delete_rule[] = { NAME_OLD("the rule"), ID, FLAG("all", "every rule of the policy but the default response"), POLICY };
static const struct netsh_tag show_rule[] = {
	NAME_SHOW, ID, FLAG("all", "every rule"), FLAG("default", "the default response rule"), POLICY,
	WORD("type", "transport|tunnel", "both", "only rules of this type"),
	LEVEL, FORMAT, WIDE,
};
static const struct netsh_tag set_defaultrule[] = {
	NAME("policy", "the policy whose default response rule it is", REQUIRED),
	YESNO("qmpfs", NULL, "perfect forward secrecy of session keys"),
	YESNO("activate", NULL, "the rule counts"),
	QM_OFFERS(NULL), AUTH,
};

static const struct netsh_tag set_store[] = {
	WORD("location", "local|persistent|domain", "local", "where the commands that follow look and write"),
	TAG("domain", NT_TEXT, "DNS name of the domain", .min = 1, .max = MAX_DOMAIN, .fallback = "the computer's own"),
};
static const struct netsh_tag set_batch[] = {
	WORD("mode", "enable|disable", NULL, "write at the end of the session, or after each command", REQUIRED),
};
#define FILE_TAG(h)	TAG("file", NT_TEXT, h, .min = 1, .max = MAX_FILE, REQUIRED)
#define FILE_WORDS	"auto|reg|reg-utf8|ldif"	/* in the order of enum format, exchange.c */
static const struct netsh_tag exportpolicy[] = {
	FILE_TAG("the file to write"),
	WORD("format", FILE_WORDS "|script", "auto", "auto goes by the end of the name: .ldif, .txt and .netsh (script), else reg", .flags = NETSH_NAMED),
	YESNO("assignments", "no", "with the GPOs that assign the policies; domain store", .flags = NETSH_NAMED),
};
static const struct netsh_tag importpolicy[] = {
	FILE_TAG("the file to read"),
	WORD("format", FILE_WORDS, "auto", "auto goes by what is in the file", .flags = NETSH_NAMED),
	YESNO("assignments", NULL, "yes: also to the GPOs of the file; no: not even to this computer", .flags = NETSH_NAMED),
};
static const struct netsh_tag restorepolicyexamples[] = {
	WORD("release", "win2k|win2003", NULL, "the release whose examples they are", REQUIRED),
};
static const struct netsh_tag show_all[] = { FORMAT, WIDE };
static const struct netsh_tag show_gpoassignedpolicy[] = { NAME("name", "display name or GUID of the GPO", .fallback = "this computer, not in the domain store") };

/* ---- dynamic ---- */

#define MM_POLICY(mm_life, soft_life, per, offers) \
	NUMBER("qmpermm", 0, INT32_MAX, per, "quick modes per main mode, 0: no limit"), \
	NUMBER("mmlifetime", 1, MAX_MINUTES, mm_life, "minutes until main mode is renegotiated"), \
	NUMBER("softsaexpirationtime", 1, MAX_MINUTES, soft_life, "minutes until an unsecured association ends"), \
	MM_OFFERS(offers)
#define QM_POLICY(no, nopfs, offers) \
	YESNO("soft", no, "unsecured with computers that do not speak IPsec"), \
	WORD("pfsgroup", "NOPFS|GRP1|GRP2|GRP3|GRPMM", nopfs, "group of perfect forward secrecy of session keys"), \
	QM_OFFERS(offers)

static const struct netsh_tag dyn_add_mmpolicy[] = { NAME_NEW, MM_POLICY("480", "the end of main mode", "0", MM_DEFAULT) };
static const struct netsh_tag dyn_set_mmpolicy[] = { NAME_OLD("the main mode policy"), MM_POLICY(NULL, NULL, NULL, NULL) };
static const struct netsh_tag dyn_delete_mmpolicy[] = { NAME_OLD("the main mode policy"), FLAG("all", "every main mode policy") };
static const struct netsh_tag dyn_add_qmpolicy[] = { NAME_NEW, QM_POLICY("no", "NOPFS", QM_DEFAULT) };
static const struct netsh_tag dyn_set_qmpolicy[] = { NAME_OLD("the quick mode policy"), QM_POLICY(NULL, NULL, NULL) };
static const struct netsh_tag dyn_delete_qmpolicy[] = { NAME_OLD("the quick mode policy"), FLAG("all", "every quick mode policy") };
static const struct netsh_tag dyn_show_policy[] = { NAME_SHOW, FLAG("all", "all of them") };
static const struct netsh_tag dyn_add_rule[] = {
	SRCADDR(REQUIRED), DSTADDR(REQUIRED),
	NAME("mmpolicy", "main mode policy; needed to negotiate"), NAME("qmpolicy", "quick mode policy; needed to negotiate"),
	PROTOCOL("ANY"), SRCPORT("0"), DSTPORT("0"), MIRRORED("yes"), CONNTYPE("all"),
	WORD("actioninbound", ACTION_WORDS, "negotiate", "what becomes of packets that come in"),
	WORD("actionoutbound", ACTION_WORDS, "negotiate", "what becomes of packets that go out"),
	SRCMASK("one address"), DSTMASK("one address"), TUNNEL("tunneldstaddress", "none"), AUTH,
};
#define DYN_IDENTITY \
	SRCADDR(REQUIRED), DSTADDR(REQUIRED), PROTOCOL("ANY"), SRCPORT("0"), DSTPORT("0"), MIRRORED("yes"), CONNTYPE("all"), \
	SRCMASK("one address"), DSTMASK("one address"), TUNNEL("tunneldstaddress", "none")
static const struct netsh_tag dyn_set_rule[] = {
	DYN_IDENTITY,
	NAME("mmpolicy", "main mode policy"), NAME("qmpolicy", "quick mode policy"),
	WORD("actioninbound", ACTION_WORDS, NULL, "what becomes of packets that come in"),
	WORD("actionoutbound", ACTION_WORDS, NULL, "what becomes of packets that go out"),
	AUTH,
};
static const struct netsh_tag dyn_delete_rule[] = { DYN_IDENTITY };
#define WHATEVER	"whatever it is"
static const struct netsh_tag dyn_show_rule[] = {
	WORD("type", "transport|tunnel", "both", "only rules of this type"),
	SRCADDR(.fallback = ANY_ADDR), DSTADDR(.fallback = ANY_ADDR), SRCMASK(NULL), DSTMASK(NULL),
	PROTOCOL(WHATEVER), SRCPORT(WHATEVER), DSTPORT(WHATEVER),
	WORD("actioninbound", ACTION_WORDS, WHATEVER, "only with this action"),
	WORD("actionoutbound", ACTION_WORDS, WHATEVER, "only with this action"), RESOLVEDNS,
};
/* In the order of enum setting. */
#define PROPERTIES	"bootmode|bootexemptions|ipsecexempt|ipsecdiagnostics|ipsecdiagnosticsuntil|ipsecloginterval|ikelogging|strongcrlcheck"
static const struct netsh_tag dyn_set_config[] = {
	WORD("property", PROPERTIES, NULL, "what is set", REQUIRED),
	TAG("value", NT_TEXT, "its value, or 'default'", .min = 1, .max = MAX_FILE, .flags = NETSH_LIST, REQUIRED),
	TAG("until", NT_TIME, "ipsecdiagnostics ends after this time: 90s, 30min, 2h, 3d", .fallback = "no end", .flags = NETSH_NAMED),
};
static const struct netsh_tag dyn_show_filter[] = {
	NAME("name", "only of the policy or rule of this name", .fallback = "all of them"), FLAG("all", "all of them"),
	WORD("type", "generic|specific", "generic", "as written, or with the addresses that keywords stand for"),
	SRCADDR(.fallback = ANY_ADDR), DSTADDR(.fallback = ANY_ADDR), SRCMASK(NULL), DSTMASK(NULL),
	PROTOCOL(WHATEVER), SRCPORT(WHATEVER), DSTPORT(WHATEVER),
	WORD("actioninbound", ACTION_WORDS, WHATEVER, "only with this action"),
	WORD("actionoutbound", ACTION_WORDS, WHATEVER, "only with this action"), RESOLVEDNS,
};
#define ALL_SAS		TAG("all", NT_YESNO, "all of them, as without any tag", .flags = NETSH_FLAG)
static const struct netsh_tag dyn_show_mmsas[] = {
	ALL_SAS, SRCADDR(.fallback = ANY_ADDR), DSTADDR(.fallback = ANY_ADDR), FORMAT, RESOLVEDNS,
};
static const struct netsh_tag dyn_show_qmsas[] = {
	ALL_SAS, SRCADDR(.fallback = ANY_ADDR), DSTADDR(.fallback = ANY_ADDR), PROTOCOL(WHATEVER), FORMAT, RESOLVEDNS,
};
static const struct netsh_tag dyn_show_stats[] = { WORD("type", "all|ike|ipsec", "all", "which of them") };
static const struct netsh_tag dyn_show_all[] = { RESOLVEDNS };

/* ---- all of them ---- */

#define MASK_NOTE \
	"An address is me, any, an address, address/prefix, a range a-b, a DNS name, or WINS, DNS, DHCP or\n" \
	"GATEWAY; with one of these four the other side is me.  A mask goes with single addresses and names,\n" \
	"and beside me and any when it changes nothing; a port needs protocol=TCP or UDP.\n"
#define AUTH_NOTE \
	"The order of kerberos, psk and rootca on the line is the order of preference.\n" \
	"A CA is \"NAME certmap:yes|no excludecaname:yes|no\", both no by default; a quote in NAME is written \\'.\n"
#define MM_NOTE	"A main mode offer is CIPHER-HASH-GROUP: DES or 3DES, MD5 or SHA1, 1, 2 or 3 (2048 bits).\n"
#define QM_NOTE \
	"A quick mode offer is ESP[CIPHER,HASH], AH[HASH] or AH[HASH]+ESP[CIPHER,HASH], then :KBYTESk/SECONDSs (either may be\n" \
	"missing): CIPHER DES, 3DES or None, HASH MD5, SHA1 or, within ESP, None.\n"
#define TAGS(t)		.tags = t, .n_tags = sizeof(t) / sizeof((t)[0])
#define NO_TAGS		.tags = NULL, .n_tags = 0
#define ONE(command_id, c, v, o, command_tags, h, more) \
	[command_id] = { .id = command_id, .context = c, .verb = v, .object = o, command_tags, .help = h, .notes = more }
#define STATIC(id, v, o, t, h, more)	ONE(id, NETSH_STATIC, v, o, TAGS(t), h, more)
#define DYNAMIC(id, v, o, t, h, more)	ONE(id, NETSH_DYNAMIC, v, o, TAGS(t), h, more)

static const struct netsh_command commands[N_NETSH_COMMANDS] = {
	STATIC(CMD_ADD_POLICY, "add", "policy", add_policy, "make a policy",
	    MM_NOTE "Example: add policy name=\"Lab servers\" mmlifetime=240 mmsecmethods=\"3DES-SHA1-3 3DES-SHA1-2\"\n"),
	STATIC(CMD_SET_POLICY, "set", "policy", set_policy, "change, assign or unassign a policy",
	    "Without gponame in the local and the persistent store; with it in the domain store.\n" MM_NOTE
	    "Example: set policy name=\"Lab servers\" assign=y gponame=\"Lab\"\n"),
	STATIC(CMD_DELETE_POLICY, "delete", "policy", delete_policy, "delete a policy with its rules",
	    "An assigned policy cannot be deleted.  Unassign it in the domain, wait 24 hours, delete it then.\n"),
	STATIC(CMD_SHOW_POLICY, "show", "policy", show_policy, "show policies", ""),
	STATIC(CMD_ADD_FILTERLIST, "add", "filterlist", add_filterlist, "make an empty filter list", ""),
	STATIC(CMD_SET_FILTERLIST, "set", "filterlist", set_filterlist, "rename or describe a filter list", ""),
	STATIC(CMD_DELETE_FILTERLIST, "delete", "filterlist", delete_filterlist, "delete a filter list", "One that a rule uses cannot be deleted.\n"),
	STATIC(CMD_SHOW_FILTERLIST, "show", "filterlist", show_filterlist, "show filter lists; their filters with level=verbose", ""),
	STATIC(CMD_ADD_FILTER, "add", "filter", add_filter, "add a filter to a list",
	    MASK_NOTE "Example: add filter filterlist=web srca=any dsta=me proto=TCP dstport=80\n"),
	STATIC(CMD_DELETE_FILTER, "delete", "filter", delete_filter, "delete all filters of a list that match", MASK_NOTE),
	STATIC(CMD_ADD_FILTERACTION, "add", "filteraction", add_filteraction, "make a filter action",
	    "qmpfs, inpass and soft go with action=negotiate; qmsecmethods is ignored without.\n" QM_NOTE
	    "Example: add filteraction name=secure soft=y qmsec=\"ESP[3DES,SHA1]:100000k/2000s AH[SHA1]\"\n"),
	STATIC(CMD_SET_FILTERACTION, "set", "filteraction", set_filteraction, "change a filter action",
	    "qmpfs, inpass and soft go with action=negotiate; qmsecmethods is ignored without.\n" QM_NOTE),
	STATIC(CMD_DELETE_FILTERACTION, "delete", "filteraction", delete_filteraction, "delete a filter action", "One that a rule uses cannot be deleted.\n"),
	STATIC(CMD_SHOW_FILTERACTION, "show", "filteraction", show_filteraction, "show filter actions", ""),
	STATIC(CMD_ADD_RULE, "add", "rule", add_rule, "make a rule: a filter list and what becomes of its packets",
	    AUTH_NOTE "Without any of them Kerberos is used.\n"
	    "Example: add rule name=web policy=Lab filterlist=web filteraction=secure con=lan kerberos=yes psk=\"a secret\"\n"),
	STATIC(CMD_SET_RULE, "set", "rule", set_rule, "change a rule",
	    AUTH_NOTE "Any of them replaces all methods the rule had.  tunnel=none ends a tunnel.\n"),
	STATIC(CMD_DELETE_RULE, "delete", "rule", delete_rule, "delete a rule of a policy", ""),
	STATIC(CMD_SHOW_RULE, "show", "rule", show_rule, "show rules of a policy", ""),
	STATIC(CMD_SET_DEFAULTRULE, "set", "defaultrule", set_defaultrule, "change the default response rule of a policy",
	    AUTH_NOTE "Any of them replaces all methods the rule had.\n" QM_NOTE),
	STATIC(CMD_SET_STORE, "set", "store", set_store, "choose the store", "What is not written yet is written first.\n"),
	ONE(CMD_SHOW_STORE, NETSH_STATIC, "show", "store", NO_TAGS, "which store the commands work on", ""),
	STATIC(CMD_SET_BATCH, "set", "batch", set_batch, "write edits together, or each at once", "Default: disable; a script is written at its end in either mode.\n"),
	ONE(CMD_SHOW_BATCH, NETSH_STATIC, "show", "batch", NO_TAGS, "the batch mode, and what is not written yet", ""),
	STATIC(CMD_EXPORTPOLICY, "exportpolicy", "", exportpolicy, "write all policies of the store to a file",
	    "The file holds pre-shared keys and belongs to you alone.\n"),
	STATIC(CMD_IMPORTPOLICY, "importpolicy", "", importpolicy, "take policies from a file; objects of equal GUID are replaced",
	    "A script is run with 'ipsecpol exec FILE'.\n"),
	STATIC(CMD_RESTOREPOLICYEXAMPLES, "restorepolicyexamples", "", restorepolicyexamples, "put the example policies back; local store only", ""),
	ONE(CMD_DELETE_ALL, NETSH_STATIC, "delete", "all", NO_TAGS, "delete every policy, filter list and filter action of the store", ""),
	STATIC(CMD_SHOW_ALL, "show", "all", show_all, "show everything in the store", ""),
	STATIC(CMD_SHOW_GPOASSIGNEDPOLICY, "show", "gpoassignedpolicy", show_gpoassignedpolicy, "which policy a GPO assigns", ""),

	DYNAMIC(CMD_DYN_ADD_MMPOLICY, "add", "mmpolicy", dyn_add_mmpolicy, "make a main mode policy", MM_NOTE),
	DYNAMIC(CMD_DYN_SET_MMPOLICY, "set", "mmpolicy", dyn_set_mmpolicy, "change a main mode policy", MM_NOTE),
	DYNAMIC(CMD_DYN_DELETE_MMPOLICY, "delete", "mmpolicy", dyn_delete_mmpolicy, "delete a main mode policy", "One that a rule uses cannot be deleted.\n"),
	DYNAMIC(CMD_DYN_SHOW_MMPOLICY, "show", "mmpolicy", dyn_show_policy, "show main mode policies", ""),
	DYNAMIC(CMD_DYN_ADD_QMPOLICY, "add", "qmpolicy", dyn_add_qmpolicy, "make a quick mode policy", QM_NOTE),
	DYNAMIC(CMD_DYN_SET_QMPOLICY, "set", "qmpolicy", dyn_set_qmpolicy, "change a quick mode policy", QM_NOTE),
	DYNAMIC(CMD_DYN_DELETE_QMPOLICY, "delete", "qmpolicy", dyn_delete_qmpolicy, "delete a quick mode policy", "One that a rule uses cannot be deleted.\n"),
	DYNAMIC(CMD_DYN_SHOW_QMPOLICY, "show", "qmpolicy", dyn_show_policy, "show quick mode policies", ""),
	DYNAMIC(CMD_DYN_ADD_RULE, "add", "rule", dyn_add_rule, "enforce a rule now, until it is deleted or the service ends",
	    MASK_NOTE AUTH_NOTE "Without any of them Kerberos is used.\n"
	    "Example: add rule srca=any dsta=me proto=TCP dstport=23 actionin=block actionout=block\n"),
	DYNAMIC(CMD_DYN_SET_RULE, "set", "rule", dyn_set_rule, "change policies, actions and authentication of a dynamic rule",
	    "Addresses, masks, protocol, ports, mirrored, conntype and tunneldstaddress say which rule it is.\n"
	    AUTH_NOTE "Any of them replaces all methods the rule had.\n"),
	DYNAMIC(CMD_DYN_DELETE_RULE, "delete", "rule", dyn_delete_rule, "delete a dynamic rule", "The tags say which rule it is.\n"),
	DYNAMIC(CMD_DYN_SHOW_RULE, "show", "rule", dyn_show_rule, "show dynamic rules", ""),
	ONE(CMD_DYN_DELETE_ALL, NETSH_DYNAMIC, "delete", "all", NO_TAGS, "delete every dynamic rule and policy", ""),
	DYNAMIC(CMD_DYN_SET_CONFIG, "set", "config", dyn_set_config, "set a property of the service; it stays set",
	    "bootmode               stateful|block|permit|auto       auto: stateful when a policy is assigned\n"
	    "bootexemptions         none, or PROTOCOL:SRCPORT:DSTPORT:inbound|outbound ..., PROTOCOL:inbound|outbound\n"
	    "ipsecexempt            0..3\n"
	    "ipsecdiagnostics       0..7: 1 errors + 2 inbound drops + 4 outbound drops\n"
	    "ipsecdiagnosticsuntil  when it ends; until= with ipsecdiagnostics is the short form\n"
	    "ipsecloginterval       60..86400 seconds\n"
	    "ikelogging             0|1\n"
	    "strongcrlcheck         0..2\n"
	    "Example: set config property=bootexemptions value=tcp:0:3389:inbound udp:0:53:outbound\n"),
	ONE(CMD_DYN_SHOW_CONFIG, NETSH_DYNAMIC, "show", "config", NO_TAGS, "show the properties", ""),
	DYNAMIC(CMD_DYN_SHOW_MMFILTER, "show", "mmfilter", dyn_show_filter, "show main mode filters in effect", ""),
	DYNAMIC(CMD_DYN_SHOW_QMFILTER, "show", "qmfilter", dyn_show_filter, "show filters in effect, most specific first", ""),
	DYNAMIC(CMD_DYN_SHOW_MMSAS, "show", "mmsas", dyn_show_mmsas, "show main mode associations", ""),
	DYNAMIC(CMD_DYN_SHOW_QMSAS, "show", "qmsas", dyn_show_qmsas, "show quick mode associations", ""),
	DYNAMIC(CMD_DYN_SHOW_STATS, "show", "stats", dyn_show_stats, "show statistics", ""),
	ONE(CMD_DYN_SHOW_DROPS, NETSH_DYNAMIC, "show", "drops", NO_TAGS, "follow dropped packets until interrupted",
	    "ipsecdiagnostics has to be on: set config property=ipsecdiagnostics value=7 until=30min\n"),
	DYNAMIC(CMD_DYN_SHOW_ALL, "show", "all", dyn_show_all, "show policies, filters, associations and statistics", ""),
};

const struct netsh_command *netsh_command(size_t i)
{
	return i < N_NETSH_COMMANDS ? &commands[i] : NULL;
}

const char *netsh_context_name(enum netsh_context context)
{
	return context == NETSH_STATIC ? "static" : "dynamic";
}
