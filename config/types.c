/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads and prints the values of options, one type after the other.
 *
 * It must not know which options there are, or where they come from.
 *
 * Invariants: a value that is not valid is one error, and takes no effect or leaves an empty value;
 * a type reads the text that it prints back as the same value.
 */
#include "config/types.h"

#include "base/address.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_sink.h"
#include "base/text.h"
#include "config/ini.h"
#include "config/legacy_values.h"
#include "config/logging.h"
#include "config/paths.h"
#include "config/reader.h"
#include "network/tls_credentials.h"
#include "service/program.h"
#include "service/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_BACKEND_NAME_MAX 128 /* it becomes part of a file name */

/* ---- numbers ---- */

static void store_port(void *field, uint64_t number) {
	*(uint16_t *)field = (uint16_t)number;
}

static uint64_t load_port(const void *field) {
	return *(const uint16_t *)field;
}

static void store_time(void *field, uint64_t number) {
	*(uint64_t *)field = number;
}

static uint64_t load_time(const void *field) {
	return *(const uint64_t *)field;
}

static void store_size(void *field, uint64_t number) {
	*(size_t *)field = (size_t)number;
}

static uint64_t load_size(const void *field) {
	return *(const size_t *)field;
}

static void parse_number(struct reader *reader, const struct option *option, const char *text) {
	const struct option_type *type = option->type;
	char min[NUMBER_TEXT], max[NUMBER_TEXT];
	uint64_t number;
	int error = number_parse(type->kind, text, &number);
	if(error == -EINVAL) {
		reader_error(reader, "\"%.80s\" is not a %s", text, type->expected);
	} else if(error || number < option->min || number > option->max) {
		number_format(type->kind, option->min, min);
		number_format(type->kind, option->max, max);
		reader_error(reader, "\"%.80s\" is out of range (%s to %s)", text, min, max);
	} else {
		type->store(option_field(option, reader->config), number);
	}
}

static void print_number(const struct option *option, const struct config *config) {
	char text[NUMBER_TEXT];
	number_format(
		option->type->kind, option->type->load(option_const_field(option, config)), text);
	ini_print(option->name, text);
}

static_assert(SETTINGS_PONG_TWICE_PING == SETTINGS_QUERY_AS_CONNECT, "one value stands for auto");

static void parse_auto(struct reader *reader, const struct option *option, const char *text) {
	if(strcmp(text, TYPE_WORD_AUTO) == 0) {
		*(uint64_t *)option_field(option, reader->config) = SETTINGS_PONG_TWICE_PING;
	} else {
		parse_number(reader, option, text);
	}
}

static void print_query(const struct option *option, const struct config *config) {
	struct config effective = {.settings = config->settings};
	if(config->settings.query_timeout_ms == SETTINGS_QUERY_AS_CONNECT) {
		effective.settings.query_timeout_ms = config->settings.connect_timeout_ms;
	}
	print_number(option, &effective);
}

/* The effective time, not "auto": the reader of a dump should not have to calculate. */
static void print_pong(const struct option *option, const struct config *config) {
	struct config effective = {.settings = config->settings};
	if(config->settings.pong_timeout_ms == SETTINGS_PONG_TWICE_PING) {
		effective.settings.pong_timeout_ms = 2 * config->settings.ping_ms;
	}
	print_number(option, &effective);
}

const struct option_type type_port = {
	.parse = parse_number,
	.print = print_number,
	.kind = NUMBER_COUNT,
	.expected = "port number (use 0 to 65535)",
	.store = store_port,
	.load = load_port,
};
const struct option_type type_time = {
	.parse = parse_number,
	.print = print_number,
	.kind = NUMBER_TIME,
	.expected = "time (use seconds, or a number with ms, s, m or h)",
	.store = store_time,
	.load = load_time,
};
const struct option_type type_pong = {
	.parse = parse_auto,
	.print = print_pong,
	.kind = NUMBER_TIME,
	.expected = "time (use seconds, or a number with ms, s, m or h, or auto)",
	.store = store_time,
	.load = load_time,
};
const struct option_type type_query = {
	.parse = parse_auto,
	.print = print_query,
	.kind = NUMBER_TIME,
	.expected = "time (use seconds, or a number with ms, s, m or h, or auto)",
	.store = store_time,
	.load = load_time,
};
const struct option_type type_size = {
	.parse = parse_number,
	.print = print_number,
	.kind = NUMBER_SIZE,
	.expected = "size (use bytes, or a number with K, M or G)",
	.store = store_size,
	.load = load_size,
};
const struct option_type type_count = {
	.parse = parse_number,
	.print = print_number,
	.kind = NUMBER_COUNT,
	.expected = "number (use digits only)",
	.store = store_size,
	.load = load_size,
};

/* ---- words and switches ---- */

static const char *const switch_words[] = {"no", "yes"};
static const char *const tls_words[] = {[SETTINGS_TLS_AUTO] = "auto",
	[SETTINGS_TLS_REQUIRED] = "required",
	[SETTINGS_TLS_OFF] = "off",
	NULL};
static const char *const verify_words[] = {[TLS_VERIFY_OFF] = "off",
	[TLS_VERIFY_OPTIONAL] = "optional",
	[TLS_VERIFY_REQUIRED] = "required",
	NULL};

static const char *const log_format_words[] = {
	[LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json", NULL};
static const char *const per_key_words[] = {
	[SETTINGS_PER_KEY_REFUSE] = "refuse", [SETTINGS_PER_KEY_EVICT] = "evict", NULL};
static const char *const drain_code_words[] = {
	[SETTINGS_DRAIN_GOING_AWAY] = "1001", [SETTINGS_DRAIN_RESTART] = "1012", NULL};
static const char *const access_log_words[] = {[SETTINGS_ACCESS_OFF] = "off",
	[SETTINGS_ACCESS_CLOSE] = "close",
	[SETTINGS_ACCESS_BOTH] = "both",
	NULL};
static const char *const record_format_words[] = {
	[RECORD_NOVNC] = "novnc", [RECORD_JSONL] = "jsonl", [RECORD_PCAPNG] = "pcapng", NULL};
static const char *const wrap_words[] = {[SETTINGS_WRAP_PORT] = "port",
	[SETTINGS_WRAP_UNIX] = "unix",
	[SETTINGS_WRAP_STDIO] = "stdio",
	NULL};
static const char *const wrap_mode_words[] = {
	[PROGRAM_EXIT] = "exit", [PROGRAM_IGNORE] = "ignore", [PROGRAM_RESPAWN] = "respawn", NULL};

static void parse_switch(struct reader *reader, const struct option *option, const char *text) {
	bool *field = option_field(option, reader->config);
	if(strcmp(text, switch_words[true]) != 0 && strcmp(text, switch_words[false]) != 0) {
		reader_error(reader, "\"%.80s\" is neither yes nor no", text);
		return;
	}
	*field = strcmp(text, switch_words[true]) == 0;
}

static void print_switch(const struct option *option, const struct config *config) {
	const bool *field = option_const_field(option, config);
	ini_print(option->name, switch_words[*field]);
}

static void parse_word(struct reader *reader, const struct option *option, const char *text) {
	const char *const *words = option->type->words;
	int *field = option_field(option, reader->config);
	char known[256] = "";
	for(int i = 0; words[i]; i++) {
		if(strcmp(words[i], text) == 0) {
			*field = i;
			return;
		}
		size_t len = strlen(known);
		snprintf(known + len, sizeof(known) - len, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	reader_error(reader, "\"%.80s\" is none of %s", text, known);
}

static void print_word(const struct option *option, const struct config *config) {
	const int *field = option_const_field(option, config);
	ini_print(option->name, option->type->words[*field]);
}

static void parse_level(struct reader *reader, const struct option *option, const char *text) {
	int level = log_parse_level(text);
	(void)option;
	if(level < 0) {
		reader_error(reader,
			"\"%.80s\" is not a level (use error, warning, notice, info or debug)",
			text);
	} else {
		reader->config->settings.log_level = (enum log_level)level;
	}
}

static void print_level(const struct option *option, const struct config *config) {
	ini_print(option->name, log_level_name(config->settings.log_level));
}

const struct option_type type_switch = {.parse = parse_switch, .print = print_switch};
const struct option_type type_tls = {.parse = parse_word, .print = print_word, .words = tls_words};
const struct option_type type_verify = {
	.parse = parse_word, .print = print_word, .words = verify_words};
const struct option_type type_log_format = {
	.parse = parse_word, .print = print_word, .words = log_format_words};
const struct option_type type_record_format = {
	.parse = parse_word, .print = print_word, .words = record_format_words};
const struct option_type type_per_key = {
	.parse = parse_word, .print = print_word, .words = per_key_words};
const struct option_type type_drain_code = {
	.parse = parse_word, .print = print_word, .words = drain_code_words};
const struct option_type type_access_log = {
	.parse = parse_word, .print = print_word, .words = access_log_words};
const struct option_type type_wrap = {
	.parse = parse_word, .print = print_word, .words = wrap_words};
const struct option_type type_wrap_mode = {
	.parse = parse_word, .print = print_word, .words = wrap_mode_words};
const struct option_type type_level = {.parse = parse_level, .print = print_level};

/* ---- texts ---- */

static void release_text(const struct option *option, struct config *config) {
	char **field = option_field(option, config);
	free(*field);
	*field = NULL;
}

/* Keeps `text` (owned; NULL: no memory) as the value. */
static void keep_text(struct reader *reader, const struct option *option, char *text) {
	char **field = option_field(option, reader->config);
	*field = text;
	if(!text) {
		reader_error_memory(reader);
	}
}

static void parse_text(struct reader *reader, const struct option *option, const char *text) {
	const char *error = option->type->check ? option->type->check(text) : NULL;
	release_text(option, reader->config);
	if(error) {
		reader_error(reader, "\"%.200s\" %s", text, error);
	} else if(text[0] != '\0') {
		keep_text(reader, option, strdup(text));
	}
}

/* Messages show the path as it was given. */
static void parse_path(struct reader *reader, const struct option *option, const char *text) {
	release_text(option, reader->config);
	if(text[0] == '\0') {
		return;
	}
	char *path = paths_resolve(reader->config, text);
	const char *error = path && option->type->check ? option->type->check(path) : NULL;
	if(error) {
		reader_error(reader, "\"%.200s\" %s", text, error);
		free(path);
	} else {
		keep_text(reader, option, path);
	}
}

static void print_text(const struct option *option, const struct config *config) {
	const char *const *field = option_const_field(option, config);
	ini_print(option->name, *field ? *field : "");
}

static const char *check_field_name(const char *text) {
	return text[0] == '\0' || text_is_token(text_slice(text))
		? NULL
		: "must be the name of a header, such as X-Forwarded-For";
}

#define TYPE_OF_PATH(function)                                                                     \
	{ .parse = parse_path, .print = print_text, .release = release_text, .check = (function) }
#define TYPE_OF_TEXT(function)                                                                     \
	{ .parse = parse_text, .print = print_text, .release = release_text, .check = (function) }
const struct option_type type_text = TYPE_OF_TEXT(NULL);
const struct option_type type_directory = TYPE_OF_TEXT(file_check_absolute);
const struct option_type type_path = TYPE_OF_PATH(NULL);
const struct option_type type_web = TYPE_OF_PATH(file_check_readable);
const struct option_type type_url_path = TYPE_OF_TEXT(text_check_url_path);
const struct option_type type_field_name = TYPE_OF_TEXT(check_field_name);
const struct option_type type_flash_domain = TYPE_OF_TEXT(legacy_values_check_domain);
const struct option_type type_flash_ports = TYPE_OF_TEXT(legacy_values_check_ports);
const struct option_type type_record = TYPE_OF_TEXT(record_check_template);
const struct option_type type_resolver = TYPE_OF_TEXT(address_check_servers);

/* The effective target: the reader of a dump should not have to look up the default. */
static void print_log_target(const struct option *option, const struct config *config) {
	ini_print(option->name, logging_target(&config->settings));
}

const struct option_type type_log_target = {.parse = parse_text,
	.print = print_log_target,
	.release = release_text,
	.check = log_sink_check};

/* ---- backends ---- */

static void parse_backend(struct reader *reader, const struct option *option, const char *text) {
	struct slice name = text_slice(text);
	(void)option;
	if(name.len > 0 && (!text_is_name(name) || name.len > TYPE_BACKEND_NAME_MAX)) {
		reader_error(reader,
			"\"%.80s\" is not the name of a backend (use letters, digits, _ and -)",
			text);
		return;
	}
	reader_add_backend(reader, text);
}

static void print_backend(const struct option *option, const struct config *config) {
	ini_print(option->name, config->backend_name ? config->backend_name : "");
}

/* A key has to be one that can be written into a file. */
static bool is_backend_key(struct slice key) {
	static const char blanks[] = " \t\r\v\f";
	return key.len > 0 && !text_is_one_of(key.at[0], "[#;") &&
		!text_is_one_of(key.at[0], blanks) && !text_is_one_of(key.at[key.len - 1], blanks);
}

static void parse_backend_option(
	struct reader *reader, const struct option *option, const char *text) {
	struct slice value = text_slice(text);
	struct slice key;
	if(!text_split(&value, '=', &key) || !is_backend_key(key)) {
		reader_error(reader, "\"%.80s\" is not an option (use %s)", text, option->argument);
	} else {
		reader_add_backend_option(reader, key, value.at);
	}
}

const struct option_type type_backend = {.parse = parse_backend, .print = print_backend};
const struct option_type type_backend_option = {.parse = parse_backend_option};

/* ---- options without a value ---- */

static void parse_verbosity(struct reader *reader, const struct option *option, const char *text) {
	int level = (int)reader->config->settings.log_level + option->amount;
	(void)text;
	if(level >= 0 && level < LOG_LEVELS) {
		reader->config->settings.log_level = (enum log_level)level;
	}
}

static void parse_action(struct reader *reader, const struct option *option, const char *text) {
	(void)text;
	reader->config->action = (enum config_action)option->amount;
	reader->stop = option->amount == CONFIG_HELP || option->amount == CONFIG_VERSION;
}

const struct option_type type_verbosity = {.parse = parse_verbosity};
const struct option_type type_action = {.parse = parse_action};
