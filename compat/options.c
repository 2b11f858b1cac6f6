/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The options of websockify and wsproxy, read by the rules of Python's optparse: options stand
 * before or behind positional arguments, up to "--"; long ones may be abbreviated.
 *
 * It must not know what the options mean.
 */
#include "compat/options.h"

#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum kind {
	KIND_FLAG,
	KIND_TEXT,
	KIND_NUMBER,
	KIND_CHOICE
};

/* Programs that have an option. */
enum {
	IN_WEBSOCKIFY = 1,
	IN_WSPROXY = 2,
	IN_BOTH = IN_WEBSOCKIFY | IN_WSPROXY
};

struct row {
	const char *name;
	const char *metavar; /* NULL: takes no value */
	const char *help;
	const char *choices; /* as the error lists them */
	enum kind kind;
	int programs;
	char letter;
};

/* clang-format off */
static const struct row rows[] = {
	[GIVEN_HELP] = {"help", .letter = 'h', .programs = IN_BOTH,
		.help = "show this help message and exit"},
	[GIVEN_VERBOSE] = {"verbose", .letter = 'v', .programs = IN_BOTH,
		.help = "verbose messages, and --traffic"},
	[GIVEN_TRAFFIC] = {"traffic", .programs = IN_WEBSOCKIFY,
		.help = "per frame traffic, unless in the background"},
	[GIVEN_RECORD] = {"record", "FILE", .kind = KIND_TEXT, .programs = IN_BOTH,
		.help = "record sessions to FILE.[session_number]"},
	[GIVEN_DAEMON] = {"daemon", .letter = 'D', .programs = IN_WEBSOCKIFY,
		.help = "become a daemon (background process)"},
	[GIVEN_FOREGROUND] = {"foreground", .letter = 'f', .programs = IN_WSPROXY,
		.help = "stay in foreground, do not daemonize"},
	[GIVEN_RUN_ONCE] = {"run-once", .programs = IN_WEBSOCKIFY,
		.help = "handle a single WebSocket connection and exit"},
	[GIVEN_TIMEOUT] = {"timeout", "TIMEOUT", .kind = KIND_NUMBER, .programs = IN_WEBSOCKIFY,
		.help = "stop listening after TIMEOUT seconds, exit with the last connection"},
	[GIVEN_IDLE_TIMEOUT] = {"idle-timeout", "IDLE_TIMEOUT", .kind = KIND_NUMBER,
		.programs = IN_WEBSOCKIFY,
		.help = "exit after IDLE_TIMEOUT seconds without a connection"},
	[GIVEN_CERT] = {"cert", "CERT", .kind = KIND_TEXT, .programs = IN_BOTH,
		.help = "SSL certificate file (self.pem)"},
	[GIVEN_KEY] = {"key", "KEY", .kind = KIND_TEXT, .programs = IN_BOTH,
		.help = "SSL key file (if separate from cert)"},
	[GIVEN_KEY_PASSWORD] = {"key-password", "PASSWORD", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY, .help = "SSL key password"},
	[GIVEN_SSL_ONLY] = {"ssl-only", .programs = IN_BOTH,
		.help = "disallow non-encrypted client connections"},
	[GIVEN_SSL_TARGET] = {"ssl-target", .programs = IN_WEBSOCKIFY,
		.help = "connect to SSL target as SSL client"},
	[GIVEN_VERIFY_CLIENT] = {"verify-client", .programs = IN_WEBSOCKIFY,
		.help = "require clients to present a valid certificate (implies --ssl-only)"},
	[GIVEN_CAFILE] = {"cafile", "FILE", .kind = KIND_TEXT, .programs = IN_WEBSOCKIFY,
		.help = "authorities for --verify-client (those of the system)"},
	[GIVEN_SSL_VERSION] = {"ssl-version", "VERSION", .kind = KIND_CHOICE,
		.choices = "'default', 'tlsv1_1', 'tlsv1_2', 'tlsv1_3'",
		.programs = IN_WEBSOCKIFY,
		.help = "minimum TLS version: default, tlsv1_1, tlsv1_2, tlsv1_3"},
	[GIVEN_SSL_CIPHERS] = {"ssl-ciphers", "LIST", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY, .help = "list of ciphers, in the notation of OpenSSL"},
	[GIVEN_UNIX_LISTEN] = {"unix-listen", "FILE", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY, .help = "listen to unix socket"},
	[GIVEN_UNIX_LISTEN_MODE] = {"unix-listen-mode", "MODE", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY, .help = "mode of the unix socket (0600)"},
	[GIVEN_UNIX_TARGET] = {"unix-target", "FILE", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY, .help = "connect to unix socket target"},
	[GIVEN_INETD] = {"inetd", .programs = IN_WEBSOCKIFY,
		.help = "inetd mode, receive listening socket from stdin"},
	[GIVEN_WEB] = {"web", "DIR", .kind = KIND_TEXT, .programs = IN_WEBSOCKIFY,
		.help = "run webserver on same port. Serve files from DIR."},
	[GIVEN_WEB_AUTH] = {"web-auth", .programs = IN_WEBSOCKIFY,
		.help = "require authentication to access webserver."},
	[GIVEN_WRAP_MODE] = {"wrap-mode", "MODE", .kind = KIND_CHOICE,
		.choices = "'exit', 'ignore', 'respawn'", .programs = IN_WEBSOCKIFY,
		.help = "action when the wrapped program exits or daemonizes: exit (default), "
			"ignore, respawn"},
	[GIVEN_PREFER_IPV6] = {"prefer-ipv6", .letter = '6', .programs = IN_WEBSOCKIFY,
		.help = "accepted, without effect: all addresses of source_addr are used"},
	[GIVEN_LIBSERVER] = {"libserver", .programs = IN_WEBSOCKIFY,
		.help = "accepted, without effect"},
	[GIVEN_TARGET_CONFIG] = {"target-config", "FILE", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY,
		.help = "deprecated: --token-plugin TokenFile --token-source FILE"},
	[GIVEN_TOKEN_PLUGIN] = {"token-plugin", "CLASS", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY,
		.help = "class of websockify.token_plugins, such as TokenFile"},
	[GIVEN_TOKEN_SOURCE] = {"token-source", "ARG", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY, .help = "argument of the token plugin"},
	[GIVEN_HOST_TOKEN] = {"host-token", .programs = IN_WEBSOCKIFY,
		.help = "use the host HTTP header as token instead of the token URL query "
			"parameter"},
	[GIVEN_AUTH_PLUGIN] = {"auth-plugin", "CLASS", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY,
		.help = "class of websockify.auth_plugins: BasicHTTPAuth, ExpectOrigin, "
			"ClientCertCNAuth"},
	[GIVEN_AUTH_SOURCE] = {"auth-source", "ARG", .kind = KIND_TEXT,
		.programs = IN_WEBSOCKIFY, .help = "argument of the auth plugin"},
	[GIVEN_HEARTBEAT] = {"heartbeat", "INTERVAL", .kind = KIND_NUMBER,
		.programs = IN_WEBSOCKIFY,
		.help = "send a ping to a client that is silent for INTERVAL seconds (30)"},
	[GIVEN_LOG_FILE] = {"log-file", "FILE", .kind = KIND_TEXT, .programs = IN_WEBSOCKIFY,
		.help = "File where logs will be saved"},
	[GIVEN_SYSLOG] = {"syslog", "SERVER", .kind = KIND_TEXT, .programs = IN_WEBSOCKIFY,
		.help = "Log to syslog server: a local socket, such as /dev/log, or a UDP "
			"host:port pair."},
	[GIVEN_LEGACY_SYSLOG] = {"legacy-syslog", .programs = IN_WEBSOCKIFY,
		.help = "accepted, without effect"},
	[GIVEN_FILE_ONLY] = {"file-only", .programs = IN_WEBSOCKIFY,
		.help = "disable directory listings in web server."},
	[GIVEN_DUMP_CONFIG] = {"dump-config", .programs = IN_BOTH,
		.help = "print the equivalent configuration of websocksy and exit"},
};
/* clang-format on */
static_assert(sizeof(rows) / sizeof(rows[0]) == GIVEN_OPTIONS, "every option has a row");

/* ---- errors ---- */

static void set_error(struct compat *compat, bool usage, const char *format, va_list arguments) {
	if(compat->error[0] == '\0') {
		vsnprintf(compat->error, sizeof(compat->error), format, arguments);
		compat->usage = usage;
		compat->status = usage ? COMPAT_USAGE_STATUS : EXIT_FAILURE;
	}
}

void compat_fail(struct compat *compat, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	set_error(compat, false, format, arguments);
	va_end(arguments);
}

void compat_fail_usage(struct compat *compat, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	set_error(compat, true, format, arguments);
	va_end(arguments);
}

/* ---- options ---- */

static bool has(const struct given *given, size_t i) {
	return rows[i].programs & (given->wsproxy ? IN_WSPROXY : IN_WEBSOCKIFY);
}

/* The row of a name, which may be abbreviated. GIVEN_OPTIONS: none, which is reported. */
static size_t find_long(const struct given *given, struct compat *compat, struct slice name) {
	size_t found = GIVEN_OPTIONS, matches = 0;
	for(size_t i = 0; i < GIVEN_OPTIONS; i++) {
		if(!has(given, i) || strncmp(rows[i].name, name.at, name.len) != 0) {
			continue;
		}
		if(rows[i].name[name.len] == '\0') {
			return i;
		}
		found = i;
		matches++;
	}
	if(matches == 1) {
		return found;
	}
	compat_fail_usage(compat, "%s: --%.*s", matches > 1 ? "ambiguous option" : "no such option",
		(int)name.len, name.at);
	return GIVEN_OPTIONS;
}

static size_t find_letter(const struct given *given, struct compat *compat, char letter) {
	for(size_t i = 0; i < GIVEN_OPTIONS; i++) {
		if(has(given, i) && rows[i].letter == letter) {
			return i;
		}
	}
	compat_fail_usage(compat, "no such option: -%c", letter);
	return GIVEN_OPTIONS;
}

/* Is the value one of "'a', 'b'"? */
static bool is_choice(const char *choices, const char *value) {
	size_t len = strlen(value);
	for(const char *at = choices; (at = strchr(at, '\'')); at++) {
		if(len > 0 && strncmp(at + 1, value, len) == 0 && at[1 + len] == '\'') {
			return true;
		}
	}
	return false;
}

static void set_value(struct given *given, struct compat *compat, size_t i, const char *value) {
	const struct row *row = &rows[i];
	if(row->kind == KIND_NUMBER && (!*value || value[strspn(value, "0123456789")])) {
		compat_fail_usage(
			compat, "option --%s: invalid integer value: '%s'", row->name, value);
	} else if(row->kind == KIND_CHOICE && !is_choice(row->choices, value)) {
		compat_fail_usage(compat, "option --%s: invalid choice: '%s' (choose from %s)",
			row->name, value, row->choices);
	}
	given->value[i] = value;
}

/* "--name", "--name=value", "--name value". Steps over the value. */
static void read_long(struct given *given, struct compat *compat, char ***at) {
	const char *text = **at + 2;
	const char *equals = strchr(text, '=');
	struct slice name = {text, equals ? (size_t)(equals - text) : strlen(text)};
	size_t i = find_long(given, compat, name);
	if(i == GIVEN_OPTIONS) {
		return;
	}
	if(!rows[i].metavar && equals) {
		compat_fail_usage(compat, "--%s option does not take a value", rows[i].name);
	} else if(!rows[i].metavar || equals) {
		set_value(given, compat, i, equals ? equals + 1 : "");
	} else if((*at)[1]) {
		++*at;
		set_value(given, compat, i, **at);
	} else {
		compat_fail_usage(compat, "--%s option requires 1 argument", rows[i].name);
	}
}

/* Letters, none of which takes a value. */
static void read_letters(struct given *given, struct compat *compat, const char *letters) {
	for(; *letters && !compat->error[0]; letters++) {
		size_t i = find_letter(given, compat, *letters);
		if(i < GIVEN_OPTIONS) {
			set_value(given, compat, i, "");
		}
	}
}

static void read_positional(struct given *given, const char *argument) {
	if(given->positionals < GIVEN_POSITIONAL_MAX) {
		given->positional[given->positionals] = argument;
	}
	given->positionals++;
}

/* Behind "--" is a program, or no more options. */
static void read_rest(struct given *given, char **rest) {
	if(!given->wsproxy) {
		given->program = rest;
		return;
	}
	for(; *rest; rest++) {
		read_positional(given, *rest);
	}
}

void given_read(struct given *given, struct compat *compat, char **argv) {
	for(char **at = argv; *at && !compat->error[0] && !given->value[GIVEN_HELP]; at++) {
		if(strcmp(*at, "--") == 0) {
			read_rest(given, at + 1);
			return;
		}
		if(strncmp(*at, "--", 2) == 0) {
			read_long(given, compat, &at);
		} else if((*at)[0] == '-' && (*at)[1] != '\0') {
			read_letters(given, compat, *at + 1);
		} else {
			read_positional(given, *at);
		}
	}
}

/* ---- help ---- */

void given_print_usage(const struct given *given, const char *name, FILE *out) {
	static const char *const forms[] = {
		"[source_addr:]source_port target_addr:target_port",
		"--token-plugin=CLASS [source_addr:]source_port",
		"--unix-target=FILE [source_addr:]source_port",
		"[source_addr:]source_port -- WRAP_COMMAND_LINE",
	};
	fprintf(out, "Usage: \n");
	size_t count = given->wsproxy ? 1 : sizeof(forms) / sizeof(forms[0]);
	for(size_t i = 0; i < count; i++) {
		fprintf(out, "    %s [options] %s\n", name, forms[i]);
	}
	fprintf(out, "\n");
}

void given_print_help(const struct given *given, const char *name, FILE *out) {
	given_print_usage(given, name, out);
	fprintf(out, "Options:\n");
	for(size_t i = 0; i < GIVEN_OPTIONS; i++) {
		char text[64];
		if(!has(given, i)) {
			continue;
		}
		int len = snprintf(text, sizeof(text), "  --%s", rows[i].name);
		if(rows[i].metavar) {
			snprintf(text + len, sizeof(text) - (size_t)len, "=%s", rows[i].metavar);
		} else if(rows[i].letter) {
			snprintf(text + len, sizeof(text) - (size_t)len, ", -%c", rows[i].letter);
		}
		fprintf(out, "%-30s  %s\n", text, rows[i].help);
	}
	fprintf(out, "\n%s is websocksy; see websocksy(8).\n", name);
}
