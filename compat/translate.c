/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the options of websockify and wsproxy to those of websocksy.
 *
 * It must not know how options are read, by either program.
 * Invariant: what is checked here is checked by websockify with the same words; everything else is
 * left to the options of websocksy.
 */
#include "compat/translate.h"

#include "base/address.h"
#include "base/text.h"
#include "compat/classes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Subprotocols of noVNC, old and new; clients may also offer none. */
#define PROTOCOLS "binary,base64"
#define DEFAULT_CERT "self.pem"
#define SYSTEM_AUTHORITIES "/etc/ssl/certs/ca-certificates.crt"
#define PONG_TIMEOUT_MIN 60 /* seconds; a short heartbeat is not a demand for fast answers */

/* HOST:PORT; the host without its brackets. */
struct endpoint {
	struct slice host; /* empty: any, or this machine */
	uint16_t port;
};

/* ---- tools ---- */

static const char *value_of(const struct given *given, enum given_option option) {
	return given->value[option];
}

static void add(struct compat *compat, const char *source, const char *option, const char *value) {
	texts_add(&compat->arguments, source, "--%s=%s", option, value);
}

char *translate_path(struct compat *compat, const char *path) {
	char *absolute = NULL;
	if(path[0] == '/') {
		absolute = strdup(path);
	} else {
		char *directory = getcwd(NULL, 0);
		if(directory && asprintf(&absolute, "%s/%s", directory, path) < 0) {
			absolute = NULL;
		}
		free(directory);
	}
	compat->arguments.no_memory |= !absolute;
	return absolute;
}

void translate_file(
	struct compat *compat, const char *source, const char *option, const char *path) {
	char *absolute = translate_path(compat, path);
	if(absolute) {
		add(compat, source, option, absolute);
	}
	free(absolute);
}

static void add_backend(struct compat *compat, const char *key, const char *value) {
	texts_add(&compat->arguments, "-c", "-c");
	texts_add(&compat->arguments, "-c", "%s=%s", key, value);
}

/* Splits at the last colon. False: `text` has no port. */
static bool parse_endpoint(const char *text, struct endpoint *out) {
	const char *colon = strrchr(text, ':');
	struct slice host = {text, colon ? (size_t)(colon - text) : 0};
	while(host.len > 0 && strchr("[]", host.at[0])) {
		host.at++;
		host.len--;
	}
	while(host.len > 0 && strchr("[]", host.at[host.len - 1])) {
		host.len--;
	}
	out->host = host;
	return address_parse_port(text_slice(colon ? colon + 1 : text), &out->port) == 0;
}

/* "HOST:PORT" as in addresses: IPv6 in brackets. The caller frees it; NULL: out of memory. */
static char *format_endpoint(
	struct compat *compat, const struct endpoint *endpoint, const char *any) {
	struct slice host = endpoint->host.len > 0 ? endpoint->host : text_slice(any);
	bool ipv6 = memchr(host.at, ':', host.len);
	char *text;
	if(asprintf(&text, "%s%.*s%s:%u", ipv6 ? "[" : "", (int)host.len, host.at, ipv6 ? "]" : "",
		   endpoint->port) < 0) {
		compat->arguments.no_memory = true;
		return NULL;
	}
	return text;
}

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
			value_of(given, GIVEN_TARGET_CONFIG);
		if(value_of(given, rules[i].option) && !value_of(given, rules[i].needs) &&
			!replaced) {
			compat_fail_usage(compat, "%s", rules[i].text);
		}
	}
}

static void check_count(struct compat *compat, const struct given *given) {
	bool no_source = value_of(given, GIVEN_INETD) || value_of(given, GIVEN_UNIX_LISTEN);
	bool no_target = (given->program && given->program[0]) ||
		value_of(given, GIVEN_UNIX_TARGET) || classes_token_name(given);
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
		{GIVEN_TRAFFIC, "--traffic: not supported; a recording shows each message"},
		{GIVEN_PREFER_IPV6, "--prefer-ipv6: the daemon listens on all addresses of a name"},
		{GIVEN_LEGACY_SYSLOG, "--legacy-syslog: the format depends on the target alone"},
	};
	for(size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
		if(value_of(given, ignored[i].option)) {
			texts_add(&compat->notices, NULL, "%s", ignored[i].text);
		}
	}
}

/* ---- where it listens ---- */

static void listen_unix(struct compat *compat, const struct given *given) {
	const char *text = value_of(given, GIVEN_UNIX_LISTEN_MODE);
	char *end;
	unsigned long mode = strtoul(text ? text : "600", &end, 8);
	if((text && !*text) || *end || mode > 0777) {
		compat_fail_usage(compat, "Error parsing listen unix socket mode");
	}
	char *path = translate_path(compat, value_of(given, GIVEN_UNIX_LISTEN));
	if(path) {
		texts_add(&compat->arguments, "--unix-listen", "--listen=unix:%s,mode=%04lo", path,
			mode);
		texts_add(&compat->lines, NULL, "  - Listen on unix socket %s", path);
	}
	free(path);
}

static void listen_port(struct compat *compat, const char *text) {
	struct endpoint source;
	if(!parse_endpoint(text, &source)) {
		compat_fail_usage(compat, "Error parsing listen port");
		return;
	}
	if(source.host.len > 0) {
		char *address = format_endpoint(compat, &source, "");
		texts_add(&compat->arguments, "source_addr", "--listen=%s", address ? address : "");
		free(address);
	}
	texts_add(&compat->arguments, "source_port", "--port=%u", source.port);
	texts_add(&compat->lines, NULL, "  - Listen on %.*s:%u", (int)source.host.len,
		source.host.at, source.port);
}

static void translate_source(struct compat *compat, const struct given *given) {
	if(value_of(given, GIVEN_INETD)) {
		add(compat, "--inetd", "inetd", "yes");
		texts_add(&compat->lines, NULL, "  - Listen for inetd connections");
	} else if(value_of(given, GIVEN_UNIX_LISTEN)) {
		listen_unix(compat, given);
	} else {
		listen_port(compat, given->positional[0]);
	}
}

/* ---- pages, TLS ---- */

/* Pages of websockify may be shown in frames of other sites, as panels for virtual machines do. */
static void translate_web(struct compat *compat, const struct given *given) {
	bool listing = !value_of(given, GIVEN_FILE_ONLY);
	if(!value_of(given, GIVEN_WEB)) {
		return;
	}
	char *root = translate_path(compat, value_of(given, GIVEN_WEB));
	if(root) {
		add(compat, "--web", "web", root);
		add(compat, "--web", "web-listing", listing ? "yes" : "no");
		add(compat, "--web", "frame-ancestors", "*");
		texts_add(&compat->lines, NULL, "  - Web server%s. Web root: %s",
			listing ? "" : " (no directory listings)", root);
	}
	free(root);
}

static void verify_clients(struct compat *compat, const struct given *given) {
	const char *authorities = value_of(given, GIVEN_CAFILE);
	translate_file(compat, "--verify-client", "client-ca",
		authorities ? authorities : SYSTEM_AUTHORITIES);
	add(compat, "--verify-client", "client-verify", "required");
}

static void restrict_versions(struct compat *compat, const char *version) {
	static const struct {
		const char *name, *priority;
	} versions[] = {
		{"tlsv1_1", "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:+VERS-TLS1.1"},
		{"tlsv1_2", "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
		{"tlsv1_3", "NORMAL:-VERS-ALL:+VERS-TLS1.3"},
	};
	for(size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		if(strcmp(version, versions[i].name) == 0) {
			add(compat, "--ssl-version", "tls-priority", versions[i].priority);
		}
	}
}

/* Without the file there is no TLS, as with websockify. */
static void translate_cert(struct compat *compat, const struct given *given) {
	const char *given_cert = value_of(given, GIVEN_CERT);
	const char *cert = given_cert ? given_cert : DEFAULT_CERT;
	const char *version = value_of(given, GIVEN_SSL_VERSION);
	bool only = value_of(given, GIVEN_SSL_ONLY) || value_of(given, GIVEN_VERIFY_CLIENT);
	if(access(cert, F_OK) < 0) {
		if(only) {
			compat_fail_usage(compat, "SSL only and %s not found", cert);
		}
		if(given_cert) {
			texts_add(&compat->notices, NULL, "--cert: \"%s\": %s; there is no TLS",
				cert, strerror(errno));
		}
		texts_add(&compat->lines, NULL, "  - No SSL/TLS support (no cert file)");
		return;
	}
	translate_file(compat, "--cert", "cert", cert);
	if(value_of(given, GIVEN_KEY)) {
		translate_file(compat, "--key", "key", value_of(given, GIVEN_KEY));
	}
	restrict_versions(compat, version ? version : "");
	texts_add(&compat->lines, NULL, "  - SSL/TLS support");
	if(only) {
		add(compat, "--ssl-only", "tls", "required");
		texts_add(&compat->lines, NULL, "  - Deny non-SSL/TLS connections");
	}
	if(value_of(given, GIVEN_VERIFY_CLIENT)) {
		verify_clients(compat, given);
	}
}

static void translate_tls(struct compat *compat, const struct given *given) {
	if(value_of(given, GIVEN_KEY_PASSWORD)) {
		compat_fail(compat,
			"--key-password: encrypted keys are not supported; decrypt the key "
			"(openssl pkey -in KEY -out NEW) and protect the file with mode 0600");
	}
	if(value_of(given, GIVEN_SSL_CIPHERS)) {
		compat_fail(compat,
			"--ssl-ciphers: lists in the format of OpenSSL are not supported; use "
			"websocksy with tls-priority");
	}
	translate_cert(compat, given);
}

/* ---- the target ---- */

static void target_unix(struct compat *compat, const struct given *given, const char *source) {
	char *path = translate_path(compat, value_of(given, GIVEN_UNIX_TARGET));
	if(path) {
		texts_add(&compat->arguments, "--unix-target", "-c");
		texts_add(&compat->arguments, "--unix-target", "host=unix://%s", path);
		texts_add(&compat->lines, NULL, "  - proxying from %s to %s", source, path);
	}
	if(value_of(given, GIVEN_SSL_TARGET)) {
		texts_add(&compat->notices, NULL, "--ssl-target: has no effect with --unix-target");
	}
	free(path);
}

static void target_host(
	struct compat *compat, const struct given *given, const char *source, const char *text) {
	struct endpoint target;
	bool tls = value_of(given, GIVEN_SSL_TARGET);
	if(!strchr(text, ':')) {
		compat_fail_usage(compat, "Error parsing target");
		return;
	}
	if(!parse_endpoint(text, &target)) {
		compat_fail_usage(compat, "Error parsing target port");
		return;
	}
	char *address = format_endpoint(compat, &target, "localhost");
	if(address) {
		texts_add(&compat->arguments, "target_addr", "-c");
		texts_add(&compat->arguments, "target_addr", "host=%s://%s", tls ? "tls" : "tcp",
			address);
		texts_add(&compat->lines, NULL, "  - proxying from %s to %.*s:%u%s", source,
			(int)target.host.len, target.host.at, target.port,
			tls ? " (using SSL)" : "");
	}
	free(address);
}

/* The words with spaces between them. The caller frees it; NULL: out of memory. */
static char *join(char *const *words) {
	size_t len = 1;
	for(char *const *word = words; *word; word++) {
		len += strlen(*word) + 1;
	}
	char *text = calloc(len, 1);
	char *end = text;
	for(char *const *word = words; text && *word; word++) {
		if(word != words) {
			*end++ = ' ';
		}
		end = stpcpy(end, *word);
	}
	return text;
}

/* The program is behind all other arguments. */
static void target_program(struct compat *compat, const struct given *given, const char *source) {
	const char *mode = value_of(given, GIVEN_WRAP_MODE);
	if(value_of(given, GIVEN_UNIX_TARGET)) {
		compat_fail(compat,
			"--unix-target: not supported together with a program; use websocksy with "
			"--wrap=unix and {SOCKET} in the arguments of the program");
	}
	add(compat, "--", "wrap-mode", mode ? mode : "exit");
	texts_add(&compat->arguments, "--", "--");
	for(char **word = given->program; *word; word++) {
		texts_add(&compat->arguments, "--", "%s", *word);
	}
	char *command = join(given->program);
	compat->arguments.no_memory |= !command;
	if(command) {
		texts_add(&compat->lines, NULL, "  - proxying from %s to '%s'", source, command);
	}
	free(command);
}

/* The source as the start-up line has it. The caller frees it; NULL: out of memory. */
static char *describe_source(struct compat *compat, const struct given *given) {
	const char *path = value_of(given, GIVEN_UNIX_LISTEN);
	bool inetd = value_of(given, GIVEN_INETD);
	struct endpoint source;
	char *text = NULL;
	if(inetd || path) {
		text = strdup(inetd ? "inetd" : path);
	} else if(parse_endpoint(given->positional[0], &source) &&
		asprintf(&text, "%.*s:%u", (int)source.host.len, source.host.at, source.port) < 0) {
		text = NULL;
	}
	compat->arguments.no_memory |= !text;
	return text;
}

static void translate_target(struct compat *compat, const struct given *given) {
	char *source = describe_source(compat, given);
	const char *class = classes_token_name(given);
	bool no_source = value_of(given, GIVEN_INETD) || value_of(given, GIVEN_UNIX_LISTEN);
	if(source && class) {
		classes_translate_token(compat, given);
		texts_add(&compat->lines, NULL, "  - proxying from %s to targets generated by %s",
			source, class);
	}
	add_backend(compat, "protocol", PROTOCOLS);
	add_backend(compat, "framing", "binary");
	if(!source || class) {
		free(source);
		return;
	}
	if(given->program && given->program[0]) {
		target_program(compat, given, source);
	} else if(value_of(given, GIVEN_UNIX_TARGET)) {
		target_unix(compat, given, source);
	} else {
		target_host(compat, given, source, given->positional[no_source ? 0 : 1]);
	}
	free(source);
}

/* ---- running ---- */

static void translate_log(struct compat *compat, const struct given *given) {
	const char *file = value_of(given, GIVEN_LOG_FILE);
	const char *syslog = value_of(given, GIVEN_SYSLOG);
	if(value_of(given, GIVEN_VERBOSE)) {
		add(compat, "--verbose", "log-level", "debug");
	}
	if(file && syslog) {
		texts_add(&compat->notices, NULL,
			"--log-file: has no effect with --syslog; there is one log");
	}
	if(syslog) {
		const char *colon = strrchr(syslog, ':');
		uint16_t port;
		if(colon && address_parse_port(text_slice(colon + 1), &port)) {
			compat_fail_usage(compat, "Error parsing syslog port");
		}
		char *server = colon ? strdup(syslog) : translate_path(compat, syslog);
		texts_add(&compat->arguments, "--syslog", "--log-target=syslog:%s",
			server ? server : "");
		compat->arguments.no_memory |= !server;
		free(server);
	} else if(file) {
		char *path = translate_path(compat, file);
		texts_add(
			&compat->arguments, "--log-file", "--log-target=file:%s", path ? path : "");
		free(path);
	}
}

/* FILE.1, FILE.2 and so on. A '%' of the name itself is doubled. */
static void translate_record(struct compat *compat, const struct given *given) {
	const char *file = value_of(given, GIVEN_RECORD);
	char *path = file ? translate_path(compat, file) : NULL;
	char *doubled = path ? malloc(2 * strlen(path) + 1) : NULL;
	if(doubled) {
		char *out = doubled;
		for(const char *in = path; *in; in++) {
			*out++ = *in;
			*out = '%';
			out += *in == '%';
		}
		*out = '\0';
		texts_add(&compat->arguments, "--record", "--record=%s.%%i", doubled);
		add(compat, "--record", "record-format", "novnc");
		texts_add(&compat->lines, NULL, "  - Recording to '%s.*'", path);
	}
	compat->arguments.no_memory |= path && !doubled;
	free(doubled);
	free(path);
}

static void add_time(
	struct compat *compat, const char *source, const char *option, const char *seconds) {
	if(seconds && strtoull(seconds, NULL, 10) > 0) {
		add(compat, source, option, seconds);
	}
}

static void translate_heartbeat(struct compat *compat, const char *seconds) {
	if(seconds) {
		add(compat, "--heartbeat", "ping", seconds);
		if(strtoull(seconds, NULL, 10) < PONG_TIMEOUT_MIN / 2) {
			texts_add(&compat->arguments, "--heartbeat", "--pong-timeout=%d",
				PONG_TIMEOUT_MIN);
		}
	}
}

static void translate_service(struct compat *compat, const struct given *given) {
	bool daemon = given->wsproxy ? !value_of(given, GIVEN_FOREGROUND)
				     : value_of(given, GIVEN_DAEMON) != NULL;
	if(daemon) {
		add(compat, given->wsproxy ? "running without -f" : "--daemon", "daemon", "yes");
		texts_add(&compat->lines, NULL, "  - Backgrounding (daemon)");
	}
	if(value_of(given, GIVEN_RUN_ONCE)) {
		add(compat, "--run-once", "run-once", "yes");
	}
	add_time(compat, "--timeout", "exit-after", value_of(given, GIVEN_TIMEOUT));
	add_time(compat, "--idle-timeout", "exit-idle", value_of(given, GIVEN_IDLE_TIMEOUT));
	translate_heartbeat(compat, value_of(given, GIVEN_HEARTBEAT));
	if(given->wsproxy) {
		/* Its clients are of 2010. */
		add(compat, NULL, "legacy", "hixie,hybi,flash");
	}
	translate_log(compat, given);
	if(value_of(given, GIVEN_DUMP_CONFIG)) {
		texts_add(&compat->arguments, "--dump-config", "--dump-config");
	}
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
	translate_tls(compat, given);
	translate_service(compat, given);
	translate_record(compat, given);
	classes_translate_auth(compat, given);
	if(!compat->error[0]) {
		translate_target(compat, given);
	}
}
