/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The options of websockify and wsproxy, read by the rules of Python's optparse.
 */
#ifndef WEBSOCKSY_COMPAT_OPTIONS_H
#define WEBSOCKSY_COMPAT_OPTIONS_H
#include "compat/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum given_option {
	GIVEN_HELP,
	GIVEN_VERBOSE,
	GIVEN_TRAFFIC,
	GIVEN_RECORD,
	GIVEN_DAEMON,
	GIVEN_FOREGROUND,
	GIVEN_RUN_ONCE,
	GIVEN_TIMEOUT,
	GIVEN_IDLE_TIMEOUT,
	GIVEN_CERT,
	GIVEN_KEY,
	GIVEN_KEY_PASSWORD,
	GIVEN_SSL_ONLY,
	GIVEN_SSL_TARGET,
	GIVEN_VERIFY_CLIENT,
	GIVEN_CAFILE,
	GIVEN_SSL_VERSION,
	GIVEN_SSL_CIPHERS,
	GIVEN_UNIX_LISTEN,
	GIVEN_UNIX_LISTEN_MODE,
	GIVEN_UNIX_TARGET,
	GIVEN_INETD,
	GIVEN_WEB,
	GIVEN_WEB_AUTH,
	GIVEN_WRAP_MODE,
	GIVEN_PREFER_IPV6,
	GIVEN_LIBSERVER,
	GIVEN_TARGET_CONFIG,
	GIVEN_TOKEN_PLUGIN,
	GIVEN_TOKEN_SOURCE,
	GIVEN_HOST_TOKEN,
	GIVEN_AUTH_PLUGIN,
	GIVEN_AUTH_SOURCE,
	GIVEN_HEARTBEAT,
	GIVEN_LOG_FILE,
	GIVEN_SYSLOG,
	GIVEN_LEGACY_SYSLOG,
	GIVEN_FILE_ONLY,
	GIVEN_DUMP_CONFIG,
	GIVEN_OPTIONS
};

#define GIVEN_POSITIONAL_MAX 2

struct given {
	const char *value[GIVEN_OPTIONS]; /* "" for options without a value; NULL: not given */
	const char *positional[GIVEN_POSITIONAL_MAX];
	size_t positionals; /* all of them, also those that are not kept */
	char **program; /* behind "--", NULL at its end; NULL: there is no "--" */
	bool wsproxy; /* the options of wsproxy, not those of websockify */
};

/* NULL: the option was not given. */
static inline const char *given_value(const struct given *given, enum given_option option) {
	return given->value[option];
}

/* Reads the arguments behind the program's name. Errors are reported with compat_fail(). */
void given_read(struct given *given, struct compat *compat, char **argv);

/* Prints the forms of the command line, and the help text. */
void given_print_usage(const struct given *given, const char *name, FILE *out);
void given_print_help(const struct given *given, const char *name, FILE *out);

/* The first error counts. */
void compat_fail(struct compat *compat, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void compat_fail_usage(struct compat *compat, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
#endif
