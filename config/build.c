/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The second pass: reads passwords and certificates, and loads framing plugins and the backend.
 *
 * It must not know how options are written.
 *
 * Framing plugins come before backends, because plugin-path may be the last option and framings
 * have to be known before a backend's options are checked.
 */
#include "config/build.h"

#include "base/text.h"
#include "config/certificates.h"
#include "config/file_mode.h"
#include "http/passwords.h"
#include "network/peer.h"
#include "network/tls_credentials.h"
#include "plugin.h"
#include "plugin/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- passwords and certificates ---- */

static void report_mistake(void *ctx, const char *text) {
	reader_error(ctx, "%s", text);
}

void build_passwords(struct reader *reader) {
	struct config *config = reader->config;
	const struct passwords_errors errors = {report_mistake, reader};
	if(!config->settings.auth_file) {
		return;
	}
	reader_blame(reader, "auth-file");
	if(passwords_read(config->settings.auth_file, &config->users, &errors)) {
		config->users = NULL;
		return;
	}
	if(passwords_count(config->users) == 0) {
		reader_log(reader, LOG_WARNING,
			"there is no user in this file, so all requests are refused");
	}
	file_mode_check(reader, config->settings.auth_file, true);
}

/* The private keys; without `key` they are in the files of `cert`. */
static void check_key_modes(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	bool has_keys = settings->key.count > 0;
	const struct settings_texts *files = has_keys ? &settings->key : &settings->cert;
	for(size_t i = 0; i < files->count; i++) {
		reader_blame_text(reader, has_keys ? "key" : "cert", i);
		file_mode_check(reader, files->at[i], true);
	}
	if(settings->key_passphrases) {
		reader_blame(reader, "key-password-file");
		file_mode_check(reader, settings->key_passphrases, true);
	}
}

static void warn_insecure_auth(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	if(settings->insecure_auth && settings->auth_file && settings->tls == SETTINGS_TLS_AUTO &&
		!settings->redirect_https) {
		reader_blame(reader, "insecure-auth");
		reader_log(reader, LOG_WARNING,
			"passwords are accepted over plain HTTP, where others can read them");
	}
}

void build_tls(struct reader *reader) {
	struct tls_error error;
	if(certificates_open(&reader->config->settings, &reader->config->tls, &error)) {
		reader_blame_text(reader, error.option, error.pair);
		reader_error(reader, "%s", error.text);
	} else if(reader->config->tls) {
		check_key_modes(reader);
		warn_insecure_auth(reader);
	}
}

/* ---- plugins and the backend ---- */

/* Makes the option of an action the one in hand. */
static void show_action(struct reader *reader, const struct reader_action *action) {
	reader->place = action->place;
	if(action->key) {
		reader_name(reader, action->place.file ? "" : "-c ", text_slice(action->key));
	} else {
		reader_name(reader, "", text_slice("backend"));
	}
}

void build_drop_backend(struct config *config) {
	backend_unref(config->backend);
	config->backend = NULL;
	free(config->backend_name);
	config->backend_name = NULL;
	for(size_t i = 0; i < config->backend_options; i++) {
		free(config->backend_option[i]);
	}
	free(config->backend_option);
	config->backend_option = NULL;
	config->backend_options = 0;
}

/* Replaces the backend by `name` ("": the built-in one). */
static void select_backend(struct reader *reader, const char *name) {
	struct config *config = reader->config;
	char error[BACKEND_ERROR_MAX] = "";
	bool builtin = name[0] == '\0';

	build_drop_backend(config);
	if(!builtin) {
		config->backend_name = strdup(name);
		if(!config->backend_name) {
			reader_error_memory(reader);
			return;
		}
	}
	int result = backend_load(
		config->settings.plugin_path, builtin ? NULL : name, &config->backend, error);
	if(result) {
		config->backend = NULL;
		reader_error(reader, "%s", error[0] ? error : strerror(-result));
	}
}

/* Keeps "key=value" for print_config(). 0 or -ENOMEM. */
static int keep_option(struct config *config, const struct reader_action *action) {
	char **grown =
		realloc(config->backend_option, (config->backend_options + 1) * sizeof(*grown));
	if(!grown) {
		return -ENOMEM;
	}
	config->backend_option = grown;
	if(asprintf(&grown[config->backend_options], "%s=%s", action->key, action->value) < 0) {
		return -ENOMEM;
	}
	config->backend_options++;
	return 0;
}

/* The names of the backend's options. */
static const char *list_options(const struct backend *backend, char out[BACKEND_ERROR_MAX]) {
	const char *name, *value;
	size_t len = 0;
	out[0] = '\0';
	for(size_t i = 0; backend_option(backend, i, &name, &value) && len < BACKEND_ERROR_MAX;
		i++) {
		len += (size_t)snprintf(
			out + len, BACKEND_ERROR_MAX - len, "%s%s", i > 0 ? ", " : "", name);
	}
	return out;
}

static bool is_core_key(const struct reader *reader, const char *key) {
	const struct option *option = reader_find(reader, text_slice(key));
	return option && option->key;
}

static void pass_option(struct reader *reader, const struct reader_action *action) {
	struct config *config = reader->config;
	const char *name = config->backend_name ? config->backend_name : "built in";
	int error = backend_configure(config->backend, action->key, action->value);

	if(error && error != -ENOMEM && is_core_key(reader, action->key)) {
		reader_error(
			reader, "the backend (%s) has no such option; it belongs to [core]", name);
	} else if(error == -ENOENT) {
		char known[BACKEND_ERROR_MAX];
		reader_error(reader, "the backend (%s) has no such option (options: %s)", name,
			list_options(config->backend, known));
	} else if(error == -ENOTSUP) {
		reader_error(reader, "the backend (%s) takes no options", name);
	} else if(error && error != -ENOMEM && backend_reason(config->backend)[0]) {
		reader_error(
			reader, "\"%.200s\": %s", action->value, backend_reason(config->backend));
	} else if(error && error != -ENOMEM) {
		reader_error(reader,
			"\"%.200s\" is refused by the backend (%s): no such option or no such "
			"value",
			action->value, name);
	} else if(error || keep_option(config, action)) {
		reader_error_memory(reader);
	}
}

/* A backend that could not be loaded has been reported: its options would only repeat that. */
static void run_actions(struct reader *reader) {
	if(reader->actions == 0 || reader->action[0].key) {
		reader->place = (struct reader_place){0};
		reader_name(reader, "", text_slice("backend"));
		select_backend(reader, "");
	}
	for(size_t i = 0; i < reader->actions; i++) {
		show_action(reader, &reader->action[i]);
		if(!reader->action[i].key) {
			select_backend(reader, reader->action[i].value);
		} else if(reader->config->backend) {
			pass_option(reader, &reader->action[i]);
		}
	}
}

/* Is a backend's message about this option ("key: ...", "key ...")? */
static bool is_about(const char *error, const char *key) {
	size_t len = strlen(key);
	return strncmp(error, key, len) == 0 && (error[len] == ':' || error[len] == ' ');
}

/* The error is reported for the last option that it is about, or else for that of the backend. */
static void check_backend(struct reader *reader) {
	char error[BACKEND_ERROR_MAX] = "";
	const char *text = error;
	int result = backend_check(reader->config->backend, error);

	if(!result) {
		return;
	}
	reader->place = (struct reader_place){0};
	reader_name(reader, "", text_slice("backend"));
	for(size_t i = reader->actions; i > 0; i--) {
		const struct reader_action *action = &reader->action[i - 1];
		if(!action->key || is_about(error, action->key)) {
			show_action(reader, action);
			text += action->key ? strlen(action->key) : 0;
			text += strspn(text, ": ");
			break;
		}
	}
	if(result == BACKEND_REFUSES_ALL) {
		reader_log(reader, LOG_WARNING, "%s", text);
		reader->config->refuses_all = true;
	} else {
		reader_error(reader, "%s", text[0] ? text : strerror(-result));
	}
}

/* Makes the last option `key` of the backend the one in hand. */
static void blame_backend_option(struct reader *reader, const char *key) {
	for(size_t i = reader->actions; i > 0; i--) {
		const struct reader_action *action = &reader->action[i - 1];
		if(action->key && strcmp(action->key, key) == 0) {
			show_action(reader, action);
			return;
		}
	}
}

/* The only peer is a program, and none may be started. */
static void check_exec(struct reader *reader) {
	const char *name, *value;
	struct config *config = reader->config;
	for(size_t i = 0; backend_option(config->backend, i, &name, &value); i++) {
		if(strcmp(name, "host") == 0 && peer_is_program(value) && !config->settings.exec) {
			blame_backend_option(reader, name);
			reader_log(reader, LOG_WARNING,
				"programs are started only with exec = yes; clients will get 502");
			config->refuses_all = true;
		}
	}
}

/* The default directory need not exist: without plugins it is not installed. */
static void check_directory(struct reader *reader, const char *directory) {
	struct stat status;
	reader_blame(reader, "plugin-path");
	if(reader->place.order > 0 && stat(directory, &status) < 0) {
		reader_log(reader, LOG_WARNING, "\"%.200s\": %s; no plugins are loaded", directory,
			strerror(errno));
	}
}

void build_backend(struct reader *reader) {
	const char *directory = reader->config->settings.plugin_path;

	if(!directory) { /* reported */
		return;
	}
	check_directory(reader, directory);
	int error = plugin_load_directory(directory, &reader->config->plugins);
	if(error) {
		reader_blame(reader, "plugin-path");
		reader_error(reader, "cannot load plugins: %s", strerror(-error));
		return;
	}
	run_actions(reader);
	if(reader->config->backend) {
		check_backend(reader);
		check_exec(reader);
	}
}
