/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One table of options for command line, INI file, --help and --dump-config; selecting and
 * configuring the backend.
 */
#ifndef WEBSOCKSY_CONFIG_H
#define WEBSOCKSY_CONFIG_H
#include "config/settings.h"
#include "plugin.h"

#include <stdbool.h>

/* What the command line asks for. */
enum config_action {
	CONFIG_RUN,
	CONFIG_HELP,
	CONFIG_VERSION,
	CONFIG_TEST,
	CONFIG_DUMP
};

/* A complete configuration. */
struct config {
	enum config_action action;
	struct settings settings;
	struct passwords *users; /* of auth_file; NULL: none is set */
	struct tls_context *tls; /* one reference; NULL: no TLS */
	struct backend *backend; /* one reference; NULL for CONFIG_HELP and CONFIG_VERSION */
	char *backend_name; /* NULL: built in */
	size_t backend_options;
	char **backend_option; /* "key=value", in order */
};

struct tls_error;

/*
 * Reads certificates and keys of `settings` into `*out` (NULL: TLS is off): one reference. 0, or negative errno with
 * what is wrong in `error`.
 */
int config_open_tls(
	const struct settings *settings, struct tls_context **out, struct tls_error *error);

/*
 * Reads the command line and the files that it names into `config`; loads framing plugins and the
 * backend and passes it its options. 0, or negative errno after one line for each error in the
 * log, naming file and line (or the command line), key, and what would be right. `config` need not
 * be initialised and is to be freed either way. Reads everything anew on each call, so the same
 * arguments serve for a reload. The log level is left alone: applying it, as all settings, is the
 * caller's.
 */
int config_read(struct config *config, int argc, char **argv);

/*
 * The same for a reload, while `running` (unchanged, not kept; NULL: none) serves. Plugins in use
 * cannot be exchanged: plugin-path stays as it is in `running`, with a notice if it is to be
 * another one.
 */
int config_read_again(struct config *config, const struct config *running, int argc, char **argv);
void config_free(struct config *config);

/* Prints usage, generated from the option table, to standard output. */
void config_print_help(void);

/* Prints the effective values as an INI file that can be read back, to standard output. */
void config_dump(const struct config *config);
#endif
