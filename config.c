/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the command line to a configuration, in two passes. The first goes through the command line
 * and, where they are named, the files, and fills the settings. The second loads the files that the
 * settings name: config/build.c.
 *
 * It must not know sockets or connections.
 *
 * Invariants: no state survives a call (a reload reads the same arguments again); every error is
 * one line that names its place; the output of print_config() reads back as the same values.
 */
#include "config.h"

#include "base/number.h"
#include "base/text.h"
#include "config/build.h"
#include "config/cmdline.h"
#include "config/reader.h"
#include "config/service.h"
#include "config/table.h"
#include "config/types.h"
#include "config/wrap.h"
#include "http/passwords.h"
#include "network/tls_credentials.h"
#include "plugin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void set_defaults(struct reader *reader) {
	for(size_t i = 0; i < table.count; i++) {
		const struct option *option = &table.option[i];
		if(option->preset) {
			reader_name(reader, "", text_slice(option->name));
			reader_set(reader, option, option->preset);
		}
	}
}

/* ---- options that contradict each other ---- */

/* The error is reported for the one that was given last. */
static void check_marks(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	char low[NUMBER_TEXT], high[NUMBER_TEXT];
	if(settings->buffer_low < settings->buffer_high) {
		return;
	}
	bool low_is_later = reader_is_later(reader, "buffer-low", "buffer-high");
	reader_blame(reader, low_is_later ? "buffer-low" : "buffer-high");
	number_format(NUMBER_SIZE, settings->buffer_low, low);
	number_format(NUMBER_SIZE, settings->buffer_high, high);
	reader_error(reader, "buffer-low (%s) has to be below buffer-high (%s)", low, high);
}

/* No client would have to send a header, which is not the intention of this option. */
static void check_proxies(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	if(settings->proxy_protocol && settings->trusted.count == 0) {
		reader_blame(reader, "proxy-protocol");
		reader_error(reader, "needs a trusted-proxy: only those may send PROXY headers");
	}
}

static void check_client_certificates(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	bool verifies = settings->client_verify != TLS_VERIFY_OFF;
	if(settings->client_crl.count > 0 && !verifies) {
		reader_blame_text(reader, "client-crl", 0);
		reader_error(reader, "has no effect without client-verify");
	} else if(settings->client_name.count > 0 && !verifies) {
		reader_blame_text(reader, "client-name", 0);
		reader_error(reader, "has no effect without client-verify");
	} else if(verifies && !settings->client_ca) {
		reader_blame(reader, "client-verify");
		reader_error(reader, "needs authorities to verify against (client-ca)");
	} else if(verifies && (settings->tls == SETTINGS_TLS_OFF || settings->cert.count == 0)) {
		reader_blame(reader, "client-verify");
		reader_error(reader, "has no effect without TLS (cert, tls)");
	} else if(settings->client_verify == TLS_VERIFY_REQUIRED &&
		(settings->tls != SETTINGS_TLS_REQUIRED || settings->listen_plain) &&
		!settings->redirect_https) {
		reader_blame(reader, "client-verify");
		reader_error(reader,
			"\"required\" while plain connections get in without any certificate "
			"(use tls = required or redirect-https = yes)");
	}
}

static void check_tls(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	if(settings->key.count > 0 && settings->key.count != settings->cert.count) {
		reader_blame(reader, "key");
		reader_error(reader,
			"there are %zu keys for %zu certificates (give one for each, or none)",
			settings->key.count, settings->cert.count);
	} else if(settings->tls == SETTINGS_TLS_REQUIRED && settings->cert.count == 0) {
		reader_blame(reader, "tls");
		reader_error(reader, "\"required\" needs a certificate (cert)");
	} else if(settings->key_passphrases && settings->cert.count == 0) {
		reader_blame(reader, "key-password-file");
		reader_error(reader, "has no effect without a certificate (cert)");
	} else if(settings->listen_tls &&
		(settings->cert.count == 0 || settings->tls == SETTINGS_TLS_OFF)) {
		reader_blame(reader, "listen");
		reader_error(reader, "\",tls\" needs a certificate (cert, tls)");
	} else {
		check_client_certificates(reader);
	}
}

static void warn_of_redirect(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	if(settings->redirect_https && settings->trusted.count == 0 &&
		(settings->cert.count == 0 || settings->tls == SETTINGS_TLS_OFF)) {
		reader_blame(reader, "redirect-https");
		reader_log(reader, LOG_WARNING,
			"has no effect without TLS (cert, tls) or a trusted-proxy");
	}
}

/* ---- options that a reload does not change ---- */

static bool same_text(const char *a, const char *b) {
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Sets a text to that of the running configuration. True: it was another one. */
static bool keep_text(struct reader *reader, char **text, const char *running) {
	if(same_text(*text, running)) {
		return false;
	}
	free(*text);
	*text = running ? strdup(running) : NULL;
	if(running && !*text) {
		reader_error_memory(reader);
	}
	return true;
}

static bool keep_switch(bool *value, bool running) {
	bool changed = *value != running;
	*value = running;
	return changed;
}

static bool keep_number(size_t *value, size_t running) {
	bool changed = *value != running;
	*value = running;
	return changed;
}

static bool keep_value(struct reader *reader, const struct option *option) {
	void *field = option_field(option, reader->config);
	const void *running = option_const_field(option, reader->running);
	if(option->type == &type_switch) {
		return keep_switch(field, *(const bool *)running);
	}
	return option->type == &type_count ? keep_number(field, *(const size_t *)running)
					   : keep_text(reader, field, *(char *const *)running);
}

static void keep_fixed(struct reader *reader) {
	for(size_t i = 0; i < table.count; i++) {
		const struct option *option = &table.option[i];
		if(!option->fixed) {
			continue;
		}
		if(keep_value(reader, option)) {
			reader_blame(reader, option->name);
			reader_log(reader, LOG_NOTICE,
				"changes only when the daemon is started again");
		}
	}
}

/* ---- the two passes ---- */

/* The directories that paths refer to. 0 or -ENOMEM. */
static int set_directories(struct reader *reader) {
	struct config *config = reader->config;
	const struct config *running = reader->running;
	if(!running) {
		config->directory = getcwd(NULL, 0); /* without one, paths stay relative */
		return 0;
	}
	config->directory = running->directory ? strdup(running->directory) : NULL;
	config->root = running->root ? strdup(running->root) : NULL;
	bool failed =
		(running->directory && !config->directory) || (running->root && !config->root);
	return failed ? -ENOMEM : 0;
}

static void read_settings(struct reader *reader, int argc, char **argv) {
	if(set_directories(reader)) {
		reader_error_memory(reader);
		return;
	}
	set_defaults(reader);
	cmdline_read(reader, argc, argv);
}

static void read_all(struct reader *reader, int argc, char **argv) {
	read_settings(reader, argc, argv);
	if(reader->stop || reader->no_memory) {
		return;
	}
	build_passwords(reader);
	if(reader->errors == 0) {
		check_marks(reader);
		check_tls(reader);
		warn_of_redirect(reader);
		check_proxies(reader);
		service_check(reader);
	}
	if(reader->errors == 0) {
		build_tls(reader);
	}
	wrap_check(reader);
	if(reader->running) {
		keep_fixed(reader);
	}
	build_backend(reader);
}

static int end_reading(struct reader *reader) {
	reader_free(reader);
	if(reader->no_memory) {
		return -ENOMEM;
	}
	return reader->errors > 0 ? -EINVAL : 0;
}

int config_read_again(struct config *config, const struct config *running, int argc, char **argv) {
	struct reader reader = {
		.config = config,
		.table = table,
		.running = running,
	};
	*config = (struct config){.action = CONFIG_RUN};
	read_all(&reader, argc, argv);
	return end_reading(&reader);
}

int config_peek(struct config *config, int argc, char **argv) {
	return config_peek_again(config, NULL, argc, argv);
}

int config_peek_again(struct config *config, const struct config *running, int argc, char **argv) {
	struct reader reader = {
		.config = config,
		.table = table,
		.running = running,
		.keeps = true,
		.quiet = true,
	};
	*config = (struct config){.action = CONFIG_RUN};
	read_settings(&reader, argc, argv);
	if(running && !reader.no_memory) {
		keep_fixed(&reader);
	}
	return end_reading(&reader);
}

int config_read_kept(struct config *config, const struct config *kept, int argc, char **argv) {
	struct reader reader = {.config = config, .table = table, .kept = kept};
	*config = (struct config){.action = CONFIG_RUN};
	read_all(&reader, argc, argv);
	return end_reading(&reader);
}

int config_read(struct config *config, int argc, char **argv) {
	return config_read_again(config, NULL, argc, argv);
}

void config_free(struct config *config) {
	build_drop_backend(config);
	free(config->program_path);
	passwords_free(config->users);
	tls_credentials_unref(config->tls);
	for(size_t i = 0; i < table.count; i++) {
		const struct option *option = &table.option[i];
		if(option->type->release) {
			option->type->release(option, config);
		}
	}
	for(size_t i = 0; i < config->files.count; i++) {
		free(config->files.at[i]);
		if(config->content) {
			free(config->content[i]);
		}
	}
	free(config->content);
	free(config->files.at);
	free(config->directory);
	free(config->root);
	*config = (struct config){.action = CONFIG_RUN};
}

void config_discard(struct config *config) {
	size_t plugins = config->plugins;
	config_free(config);
	plugin_unload(plugins);
}
