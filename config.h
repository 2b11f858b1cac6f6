/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From a command line and the files that it names to a complete configuration.
 */
#ifndef WEBSOCKSY_CONFIG_H
#define WEBSOCKSY_CONFIG_H
#include "config/settings.h"
#include "plugin/backend.h"

#include <stdbool.h>

/* The action that the command line asks for. */
enum config_action {
	CONFIG_RUN,
	CONFIG_HELP,
	CONFIG_VERSION,
	CONFIG_TEST,
	CONFIG_DUMP,
	CONFIG_PLUGINS
};

/* A complete configuration. */
struct config {
	enum config_action action;
	struct settings settings;
	struct passwords *users; /* of auth_file; NULL: none is set */
	struct tls_credentials *tls; /* one reference; NULL: no TLS */
	struct backend *backend; /* one reference; NULL for CONFIG_HELP and CONFIG_VERSION */
	char *backend_name; /* NULL: built in */
	size_t backend_options;
	char **backend_option; /* "key=value", in order */
	bool refuses_all; /* with these options the backend refuses every client */
	char *const *program; /* behind `--`, the caller's; NULL: none */
	char *program_path; /* its file */
	struct settings_texts files; /* configuration files that were read, absolute */
	char **content; /* of each of them, of config_peek() alone; NULL: not kept */
	char *directory; /* that relative paths begin in; NULL: unknown */
	char *root; /* the process's root directory, as seen from outside; NULL: unchanged */
	size_t plugins; /* framing plugins that were loaded for it and were not loaded before */
};

/*
 * Reads the command line and the files that it names into `config`; loads framing plugins and the
 * backend and passes it its options. 0, or negative errno after one line for each error in the
 * log, naming file and line (or the command line), key, and the correct form. `config` need not
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
/*
 * config_read() with the contents of configuration files that `kept`, of config_peek(), has read: the
 * files may have changed meanwhile.
 */
int config_read_kept(struct config *config, const struct config *kept, int argc, char **argv);

/*
 * Reads the settings only, before anything that they name is opened. Logs nothing: errors are found
 * again by config_read(). 0, -EINVAL or -ENOMEM; to be freed either way.
 */
int config_peek(struct config *config, int argc, char **argv);

/* The same for a reload; relative paths are those of `running` (NULL: none). */
int config_peek_again(struct config *config, const struct config *running, int argc, char **argv);
void config_free(struct config *config);

/*
 * config_free() for a configuration that is not used: also unloads the plugins that were loaded for
 * it.
 */
void config_discard(struct config *config);
#endif
