#include "agent/ctl_peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/utf.h"

#define SERVICE		"org.varlink.service"

static const char service_text[] =
	"interface org.varlink.service\n\n"
	"method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error InvalidParameter (parameter: string)\n";

/* See status_json() in answers.c. */
#define STATUS \
	"  mode: string, reason: string, source: string, enforced: Enforced, refresh: Refreshed,\n" \
	"  next_refresh_seconds: ?int, exemptions: Exemptions, startup_mode: Startup, registry_problem: ?string,\n" \
	"  failures: int, table_restored: int,\n" \
	"  facts: Facts, computer: string, directory: string, version: string\n"

static const char interface_text[] =
	"# The IPsec policy agent of this host\n"
	"interface " CTL_INTERFACE "\n\n"
	"# A policy in force\n"
	"type Store (store: string, policy: string, id: string, rules: int, filters: int)\n\n"
	"# What is in the kernel; all null unless the mode is secure\n"
	"type Enforced (stores: []Store, policy: ?string, gpo: ?string, generation: ?int, taken: ?string, age_seconds: ?int)\n\n"
	"# The last look at the directory.  tried, succeeded: 2026-11-22T10:00:00Z\n"
	"type Refreshed (\n"
	"  result: string, error: ?string, tried: ?string, succeeded: ?string, server: ?string, why: string,\n"
	"  objects_read: int, objects_kept: int\n"
	")\n\n"
	"# Startup mode that is in force now, if one is; of the next boot: permit, stateful or block; as configured;\n"
	"# what it lets through\n"
	"type Startup (current: ?string, next: string, configured: string, exemptions: string)\n\n"
	"type Exemptions (ipsecexempt: int, exempt: string, lifeline: bool)\n\n"
	"# Addresses\n"
	"type Facts (dc: ?[]string, dhcp: ?[]string, dns: ?[]string, gateway: ?[]string, wins: ?[]string)\n\n"
	"# mode: permit, startup, secure or block (reason says why); source: none, domain, cache or local\n"
	"method Status() -> (\n"
	STATUS
	")\n\n"
	"# Refresh now; answers with the status when it is done.  For root, as all that follows\n"
	"method Refresh() -> (\n"
	STATUS
	")\n\n"
	"# A stage as text: snapshot, rsop, policy, ruleset, facts; some also as JSON\n"
	"method Show(what: string) -> (text: string, json: ?object)\n\n"
	"# registry.db was edited: local policy and settings take effect\n"
	"method StoreChanged() -> (\n"
	STATUS
	")\n\n"
	"# Commands of the dynamic context, as netsh writes them: all of them or none\n"
	"method Dynamic(command: ?string, commands: ?[]string) -> (rules: int)\n\n"
	"# what: mmpolicy, qmpolicy or rule\n"
	"method DynamicShow(what: string) -> (mmpolicies: ?[]object, qmpolicies: ?[]object, rules: ?[]object)\n\n"
	"# The settings in force, and ipsecdiagnostics with its end time considered\n"
	"method Config() -> (settings: object, diagnostics_level: int)\n\n"
	"# The filters in effect, in pages.  type: generic or specific; what: qm or mm.  The next page: from and\n"
	"# stamp of the last answer\n"
	"method Filters(type: ?string, what: ?string, from: ?int, stamp: ?int) ->\n"
	"  (filters: []object, from: int, next: ?int, total: int, stamp: int)\n\n"
	"# Dropped packets above a number, or, without one, the number to begin with; waits up to 20 s for one\n"
	"method Drops(since: ?int) -> (level: int, until: ?int, next: int, missed: int, drops: []object)\n\n"
	"# Permit mode: take the table away and end\n"
	"method Stop() -> ()\n\n"
	"error Failed (message: string)\n"
	"error Changed (message: string)\n"
	"error PermissionDenied (message: string)\n"
	"error InvalidParameter (message: string)\n"
	"error Busy (message: string)\n";

/* ---- answers -------------------------------------------------------------------- */

/* Messages quote the directory. */
static json_t *error_json(const char *error, const char *key, char *text)
{
	char name[128];

	snprintf(name, sizeof(name), "%s%s", strchr(error, '.') ? "" : CTL_INTERFACE ".", error);
	utf8_clean(text, "\n\t");
	return json_pack("{s:s, s:{s:s}}", "error", name, "parameters", key, text);
}

static void call_answer(struct ctl_call *call, json_t *answer)
{
	struct peer *p = call->peer;

	if (p) {
		p->call = NULL;
		if (!call->oneway)
			peer_answer(p, answer);
		else
			peer_next(p);
	}
	json_decref(answer);
	free(call);
}

void ctl_reply(struct ctl_call *call, json_t *parameters)
{
	if (!parameters) {
		ctl_error(call, "Failed", "out of memory");
		return;
	}
	call_answer(call, json_pack("{s:o}", "parameters", parameters));
}

void ctl_error(struct ctl_call *call, const char *error, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	call_answer(call, error_json(error, "message", text));
}

/* The errors of org.varlink.service have one parameter each. */
static void service_error(struct ctl_call *call, const char *error, const char *key, const char *value)
{
	char text[256];

	snprintf(text, sizeof(text), "%s", value);
	call_answer(call, error_json(error, key, text));
}

void ctl_method_unknown(struct ctl_call *call, const char *method)
{
	service_error(call, SERVICE ".MethodNotFound", "method", method);
}

void peer_refuse(struct peer *p, const char *why)
{
	char text[160];
	json_t *answer;

	snprintf(text, sizeof(text), "not a call: %s", why);
	answer = error_json("Failed", "message", text);
	p->last = true;
	p->n_in = 0;
	peer_answer(p, answer);
	json_decref(answer);
}

/* ---- one call ------------------------------------------------------------------- */

static void service_call(struct ctl_call *call, const char *method, json_t *parameters)
{
	const char *name;

	if (!strcmp(method, SERVICE ".GetInfo")) {
		ctl_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "ipsecpol", "product", "ipsecpol",
		    "version", PACKAGE_VERSION, "url", "", "interfaces", SERVICE, CTL_INTERFACE));
		return;
	}
	if (strcmp(method, SERVICE ".GetInterfaceDescription")) {
		ctl_method_unknown(call, method);
		return;
	}
	name = json_string_value(json_object_get(parameters, "interface"));
	if (!name)
		service_error(call, SERVICE ".InvalidParameter", "parameter", "interface");
	else if (!strcmp(name, SERVICE))
		ctl_reply(call, json_pack("{s:s}", "description", service_text));
	else if (!strcmp(name, CTL_INTERFACE))
		ctl_reply(call, json_pack("{s:s}", "description", interface_text));
	else
		service_error(call, SERVICE ".InterfaceNotFound", "interface", name);
}

/* The interface is what stands before the last dot. */
static bool method_of(const char *method, const char *interface)
{
	const char *dot = strrchr(method, '.');
	size_t n = strlen(interface);

	return dot && (size_t)(dot - method) == n && !memcmp(method, interface, n);
}

void call_run(struct peer *p, json_t *message)
{
	const char *method = json_string_value(json_object_get(message, "method"));
	json_t *parameters = json_object_get(message, "parameters"), *empty = NULL;
	struct ctl *c = p->ctl;
	struct ctl_call *call;

	if (!method || strlen(method) > 200 || (parameters && !json_is_object(parameters))) {
		peer_refuse(p, method ? "its parameters are not an object" : "it names no method");
		return;
	}
	if (!parameters)
		parameters = empty = json_object();
	call = calloc(1, sizeof(*call));
	if (!call || !parameters) {
		free(call);
		peer_free(p);
		return;
	}
	call->peer = p;
	call->oneway = json_is_true(json_object_get(message, "oneway"));
	peer_wait(p, call);
	if (method_of(method, SERVICE))
		service_call(call, method, parameters);
	else if (method_of(method, CTL_INTERFACE))
		c->handler(call, method, parameters, p->uid, c->cookie);
	else
		service_error(call, SERVICE ".InterfaceNotFound", "interface", method);
	json_decref(empty);
}
