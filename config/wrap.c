/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The program on the command line.
 *
 * It must not know how a program is started.
 */
#include "config/wrap.h"

#include "network/exec_address.h"
#include "service/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void blame_program(struct reader *reader) {
	reader->place = reader->program;
	reader_name(reader, "", text_slice("--"));
}

/* It is not looked for again at a reload: the daemon may have another directory by then. */
static void find_program(struct reader *reader) {
	struct config *config = reader->config;
	if(reader->running && reader->running->program_path) {
		config->program_path = strdup(reader->running->program_path);
		if(!config->program_path) {
			reader_error_memory(reader);
		}
		return;
	}
	int result = spawn_find(config->program[0], &config->program_path);
	if(result == -ENOMEM) {
		reader_error_memory(reader);
	} else if(result) {
		blame_program(reader);
		reader_error(reader, "\"%.200s\": %s (use -- PROGRAM ARGUMENT...)",
			config->program[0],
			result == -ENOENT ? "there is no such program"
					  : "this is not a program that can be executed");
	}
}

/* Only values other than the default contradict, so that a dump can be read back. */
static void check_options(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	if(settings->pty && settings->wrap != SETTINGS_WRAP_STDIO) {
		reader_blame(reader, "pty");
		reader_error(
			reader, "needs wrap = stdio: other programs have no client of their own");
	}
	if(settings->wrap_mode != PROGRAM_EXIT && settings->wrap == SETTINGS_WRAP_STDIO) {
		reader_blame(reader, "wrap-mode");
		reader_error(reader,
			"has no effect with wrap = stdio, where each client has a process "
			"of its own (use wrap = port or unix)");
	}
	if(settings->wrap_port != 0 && settings->wrap != SETTINGS_WRAP_PORT) {
		reader_blame(reader, "wrap-port");
		reader_error(reader, "needs wrap = port");
	}
	if(settings->wrap == SETTINGS_WRAP_PORT && settings->wrap_port == 0 &&
		settings->port == 0) {
		reader_blame(reader, "port");
		reader_error(reader,
			"is chosen by the kernel, so the port that the program binds has to "
			"be given (wrap-port = PORT)");
	}
	if(settings->wrap == SETTINGS_WRAP_PORT && settings->wrap_library &&
		access(settings->wrap_library, R_OK) < 0) {
		reader_blame(reader, "wrap-library");
		reader_error(reader,
			"cannot read \"%.200s\": %s (use wrap = unix or stdio, or name the "
			"file rebind.so)",
			settings->wrap_library, strerror(errno));
	}
}

static void check_no_program(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	if(settings->wrap_mode != PROGRAM_EXIT || settings->wrap_port != 0) {
		reader_blame(reader, settings->wrap_port ? "wrap-port" : "wrap-mode");
		reader_log(reader, LOG_WARNING, "has no effect without a program (-- PROGRAM)");
	}
}

/* Options that say who else the peer is. */
static void check_backend(struct reader *reader, const char *host) {
	for(size_t i = 0; i < reader->actions; i++) {
		const struct reader_action *action = &reader->action[i];
		bool is_peer = action->key &&
			(strcmp(action->key, "host") == 0 || strcmp(action->key, "port") == 0);
		bool is_same = is_peer && strcmp(action->value, host) == 0;
		bool is_preset = is_peer && strcmp(action->key, "port") == 0 &&
			strcmp(action->value, "5900") == 0;
		if((is_peer && !is_same && !is_preset) ||
			(!action->key && action->value[0] != '\0')) {
			reader->place = action->place;
			reader_name(reader, "", text_slice(action->key ? action->key : "backend"));
			reader_error(reader,
				"contradicts the program behind --, which is the only peer "
				"(leave one of them out)");
		}
	}
}

/* The address of the program; NULL: no memory. */
static char *make_host(const struct config *config) {
	char *text;
	if(config->settings.wrap != SETTINGS_WRAP_STDIO) {
		const char *name = strrchr(config->program_path, '/') + 1;
		return asprintf(&text, "program://%s", name) < 0 ? NULL : text;
	}
	size_t count = 0;
	while(config->program[count]) {
		count++;
	}
	char **argv = calloc(count + 1, sizeof(*argv));
	if(!argv) {
		return NULL;
	}
	memcpy(argv, config->program, count * sizeof(*argv));
	argv[0] = config->program_path;
	char *rest = exec_address_of(argv);
	free(argv);
	int len = rest ? asprintf(&text, "exec://%s", rest) : -1;
	free(rest);
	return len < 0 ? NULL : text;
}

/* A program that runs is not started anew. */
static void keep_running(struct reader *reader) {
	struct settings *settings = &reader->config->settings;
	const struct settings *running = &reader->running->settings;
	const char *changed = settings->wrap != running->wrap ? "wrap"
		: settings->wrap_mode != running->wrap_mode   ? "wrap-mode"
		: settings->wrap_port != running->wrap_port   ? "wrap-port"
							      : NULL;
	if(changed) {
		reader_blame(reader, changed);
		reader_log(reader, LOG_NOTICE, "changes only when the daemon is started again");
	}
	settings->wrap = running->wrap;
	settings->wrap_mode = running->wrap_mode;
	settings->wrap_port = running->wrap_port;
}

void wrap_check(struct reader *reader) {
	struct config *config = reader->config;
	if(reader->running) {
		keep_running(reader);
	}
	if(!config->program) {
		check_no_program(reader);
		return;
	}
	find_program(reader);
	check_options(reader);
	if(!config->program_path) {
		return;
	}
	char *host = make_host(config);
	if(!host) {
		reader_error_memory(reader);
		return;
	}
	check_backend(reader, host);
	blame_program(reader);
	reader_add_backend_option(reader, text_slice("host"), host);
	free(host);
	config->settings.exec |= config->settings.wrap == SETTINGS_WRAP_STDIO;
}

int wrap_start(const struct config *config, struct program *program, struct process_set *processes,
	struct announced *announced) {
	const struct settings *settings = &config->settings;
	uint16_t port = settings->wrap_port ? settings->wrap_port : settings->port;
	struct program_listen listen = {
		.port = settings->wrap == SETTINGS_WRAP_PORT ? port : 0,
		.library = settings->wrap_library ? settings->wrap_library : "",
	};
	if(!config->program || settings->wrap == SETTINGS_WRAP_STDIO) {
		return 0;
	}
	program->mode = (enum program_mode)settings->wrap_mode;
	return program_open(
		program, processes, announced, &listen, config->program_path, config->program);
}
