/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the options of websockify and wsproxy to those of websocksy.
 *
 * It must not know how options are read, by either program.
 * Invariant: what is checked here is checked by websockify with the same words; everything else is
 * left to the options of websocksy.
 */
#include "compat/translate.h"

#include "compat/classes.h"
#include "compat/endpoint.h"
#include "compat/parts.h"
#include "compat/running.h"
#include "compat/secure.h"
#include "compat/target.h"

#include <stdlib.h>
#include <string.h>

/* ---- the rules that websockify checks ---- */

static void check_dependencies(struct compat *compat, const struct given *given) {
	static const struct {
		enum given_option option, needs;
		const char *text;
	} rules[] = {
		{GIVEN_TOKEN_SOURCE, GIVEN_TOKEN_PLUGIN,
			"You must use --token-plugin to use --token-source"},
		{GIVEN_HOST_TOKEN, GIVEN_TOKEN_PLUGIN,
			"You must use --token-plugin to use --host-token"},
		{GIVEN_AUTH_SOURCE, GIVEN_AUTH_PLUGIN,
			"You must use --auth-plugin to use --auth-source"},
		{GIVEN_WEB_AUTH, GIVEN_AUTH_PLUGIN, "You must use --auth-plugin to use --web-auth"},
		{GIVEN_WEB_AUTH, GIVEN_WEB, "You must use --web to use --web-auth"},
		{GIVEN_LEGACY_SYSLOG, GIVEN_SYSLOG, "You must use --syslog to use --legacy-syslog"},
	};
	for(size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		bool replaced = rules[i].needs == GIVEN_TOKEN_PLUGIN &&
			given_value(given, GIVEN_TARGET_CONFIG);
		if(given_value(given, rules[i].option) && !given_value(given, rules[i].needs) &&
			!replaced) {
			compat_fail_usage(compat, "%s", rules[i].text);
		}
	}
}

static void check_count(struct compat *compat, const struct given *given) {
	bool no_source = given_value(given, GIVEN_INETD) || given_value(given, GIVEN_UNIX_LISTEN);
	bool no_target = (given->program && given->program[0]) ||
		given_value(given, GIVEN_UNIX_TARGET) || classes_token_name(given);
	size_t wanted = (size_t)!no_source + (size_t)!no_target;
	if(given->positionals != wanted) {
		compat_fail_usage(
			compat, "Too %s arguments", given->positionals > wanted ? "many" : "few");
	}
}

static void note_ignored(struct compat *compat, const struct given *given) {
	static const struct {
		enum given_option option;
		const char *text;
	} ignored[] = {
		{GIVEN_LIBSERVER, "--libserver: there is one engine only"},
		{GIVEN_PREFER_IPV6, "--prefer-ipv6: the daemon listens on all addresses of a name"},
		{GIVEN_LEGACY_SYSLOG, "--legacy-syslog: the format depends on the target alone"},
	};
	for(size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
		if(given_value(given, ignored[i].option)) {
			texts_add(&compat->notices, NULL, "%s", ignored[i].text);
		}
	}
}

/* ---- where it listens ---- */

static void listen_unix(struct compat *compat, const struct given *given) {
	const char *text = given_value(given, GIVEN_UNIX_LISTEN_MODE);
	char *end;
	unsigned long mode = strtoul(text ? text : "600", &end, 8);
	if((text && !*text) || *end || mode > 0777) {
		compat_fail_usage(compat, "Error parsing listen unix socket mode");
	}
	char *path = parts_path(compat, given_value(given, GIVEN_UNIX_LISTEN));
	if(path) {
		texts_add(&compat->arguments, "--unix-listen", "--listen=unix:%s,mode=%04lo", path,
			mode);
		texts_add(&compat->lines, NULL, "  - Listen on unix socket %s", path);
	}
	free(path);
}

static void listen_port(struct compat *compat, const char *text) {
	struct endpoint source;
	if(!endpoint_parse(text, &source)) {
		compat_fail_usage(compat, "Error parsing listen port");
		return;
	}
	if(source.host.len > 0) {
		char *address = endpoint_format(&source, "");
		texts_add(&compat->arguments, "source_addr", "--listen=%s", address ? address : "");
		free(address);
	}
	texts_add(&compat->arguments, "source_port", "--port=%u", source.port);
	texts_add(&compat->lines, NULL, "  - Listen on %.*s:%u", (int)source.host.len,
		source.host.at, source.port);
}

static void translate_source(struct compat *compat, const struct given *given) {
	if(given_value(given, GIVEN_INETD)) {
		parts_add(compat, "--inetd", "inetd", "yes");
		texts_add(&compat->lines, NULL, "  - Listen for inetd connections");
	} else if(given_value(given, GIVEN_UNIX_LISTEN)) {
		listen_unix(compat, given);
	} else {
		listen_port(compat, given->positional[0]);
	}
}

/* ---- pages ---- */

/* Pages of websockify may be shown in frames of other sites, as panels for virtual machines do. */
static void translate_web(struct compat *compat, const struct given *given) {
	bool listing = !given_value(given, GIVEN_FILE_ONLY);
	if(!given_value(given, GIVEN_WEB)) {
		return;
	}
	char *root = parts_path(compat, given_value(given, GIVEN_WEB));
	if(root) {
		parts_add(compat, "--web", "web", root);
		parts_add(compat, "--web", "web-listing", listing ? "yes" : "no");
		parts_add(compat, "--web", "frame-ancestors", "*");
		texts_add(&compat->lines, NULL, "  - Web server%s. Web root: %s",
			listing ? "" : " (no directory listings)", root);
	}
	free(root);
}

void translate(struct compat *compat, const struct given *given) {
	check_dependencies(compat, given);
	check_count(compat, given);
	if(compat->error[0]) {
		return;
	}
	note_ignored(compat, given);
	texts_add(&compat->lines, NULL, "WebSocket server settings:");
	translate_source(compat, given);
	translate_web(compat, given);
	secure_translate(compat, given);
	running_translate(compat, given);
	classes_translate_auth(compat, given);
	if(!compat->error[0]) {
		target_translate(compat, given);
	}
}
