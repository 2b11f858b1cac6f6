/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The option table and everything that follows from it: command line, INI file, --help,
 * --dump-config, and which backend gets which options. It must not know sockets or connections.
 *
 * Reading has two passes. The first goes through the command line and, where they are named, the
 * files, fills the settings and notes down what the backends are to be told. The second loads
 * framing plugins and then backends, in that order, since plugin-path may come last and framings
 * have to be known before a backend's options are checked.
 * Invariants: no state survives a call (a reload reads the same arguments again); every error is
 * one line that names its place; what config_dump() prints reads back as the same values.
 */
#include "config.h"

#include "base/address.h"
#include "base/cidr.h"
#include "base/file.h"
#include "base/number.h"
#include "base/passes.h"
#include "config/ini.h"
#include "http/verifier.h"
#include "network/tls.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The build sets it to the directory that plugins are built in or installed to. */
#ifndef WEBSOCKSY_PLUGINPATH
#define WEBSOCKSY_PLUGINPATH "/usr/local/lib/websocksy"
#endif

#define CONFIG_FILE_MAX ((size_t)1 << 20) /* bytes of one configuration file */
#define CONFIG_TIME_MAX_MS UINT64_C(31536000000) /* a year: sums of times stay far from wrapping */
#define CONFIG_SIZE_MAX ((uint64_t)1 << 30)
#define CONFIG_CLIENTS_MAX 10000000
#define CONFIG_VALUE_MAX (INI_LINE_MAX - 64) /* with its name it still fits on a line */
#define CONFIG_GIVEN_MAX 64 /* an option as the user wrote it, for messages */
#define CONFIG_MESSAGE_MAX 1024
#define CONFIG_HELP_COLUMN 30
#define CONFIG_HELP_WIDTH 80

#define DEFAULT_WORD "*" /* a list as if the option had not been given */
#define PONG_WORD "auto" /* pong-timeout that follows ping */

enum option_type {
	TYPE_PORT,
	TYPE_TIME,
	TYPE_PONG,
	TYPE_SIZE,
	TYPE_COUNT,
	TYPE_LISTEN,
	TYPE_ORIGIN,
	TYPE_DIRECTORY,
	TYPE_WEB,
	TYPE_USERS,
	TYPE_NETWORK,
	TYPE_SWITCH,
	TYPE_PATH,
	TYPE_RESOLVER,
	TYPE_TEXT,
	TYPE_TEXTS,
	TYPE_WORD,
	TYPE_LEVEL,
	TYPE_BACKEND,
	TYPE_BACKEND_OPTION,
	TYPE_FILE,
	TYPE_VERBOSITY,
	TYPE_ACTION,
	TYPES
};

enum option_group {
	GROUP_LISTEN,
	GROUP_TLS,
	GROUP_BACKEND,
	GROUP_TIME,
	GROUP_LIMIT,
	GROUP_RUN,
	GROUPS
};

static const char *const group_titles[] = {
	[GROUP_LISTEN] = "Clients",
	[GROUP_TLS] = "TLS",
	[GROUP_BACKEND] = "Peers",
	[GROUP_TIME] = "Times (seconds, or with ms, s, m, h; 0: never, unless said otherwise)",
	[GROUP_LIMIT] = "Limits (sizes take K, M, G)",
	[GROUP_RUN] = "Running",
};
static_assert(sizeof(group_titles) / sizeof(group_titles[0]) == GROUPS, "one title for each group");

struct option {
	const char *name; /* long option and key in [core]; NULL: only the letter */
	const char *argument; /* what --help calls the value; NULL: takes none */
	const char *help;
	const char *preset; /* the default as it would be written; NULL: none is to be set */
	const char *const
		*words; /* TYPE_WORD: what may be said, NULL at the end; their places are stored */
	size_t offset; /* of the value in struct config, for types that are one field */
	uint64_t min; /* of numbers */
	uint64_t max;
	int amount; /* TYPE_VERBOSITY: steps; TYPE_ACTION: which */
	enum option_type type;
	enum option_group group;
	char letter; /* 0: none */
	bool key; /* may stand in [core] */
};

#define SETTING(member) .offset = offsetof(struct config, settings.member), .key = true
#define TIME_LIMITS(least) .min = (least), .max = CONFIG_TIME_MAX_MS
#define SIZE_LIMITS(least) .min = (least), .max = CONFIG_SIZE_MAX

static const char *const tls_words[] = {[SETTINGS_TLS_AUTO] = "auto",
	[SETTINGS_TLS_REQUIRED] = "required",
	[SETTINGS_TLS_OFF] = "off",
	NULL};
static const char *const verify_words[] = {[TLS_VERIFY_OFF] = "off",
	[TLS_VERIFY_OPTIONAL] = "optional",
	[TLS_VERIFY_REQUIRED] = "required",
	NULL};

/* clang-format off */
static const struct option options[] = {
	{.group = GROUP_LISTEN, .name = "port", .letter = 'p', .argument = "PORT",
		.type = TYPE_PORT, SETTING(port), .max = UINT16_MAX, .preset = "8001",
		.help = "TCP port to listen on; 0: the kernel chooses, the log tells"},
	{.group = GROUP_LISTEN, .name = "listen", .letter = 'l', .argument = "ADDRESS",
		.type = TYPE_LISTEN, .key = true, .preset = DEFAULT_WORD,
		.help = "address or host name to listen on, or unix:/path[,mode=0660]; repeatable; "
			"*: all addresses, IPv6 and IPv4"},
	{.group = GROUP_LISTEN, .name = "origin", .argument = "ORIGIN", .type = TYPE_ORIGIN,
		.key = true, .preset = DEFAULT_WORD,
		.help = "allowed Origin of requests: scheme://host[:port], *. for subdomains, "
			"same, or null; repeatable; *: any"},
	{.group = GROUP_LISTEN, .name = "web", .argument = "PATH", .type = TYPE_WEB, SETTING(web),
		.preset = "",
		.help = "directory whose files plain HTTP requests get, or one file that is then "
			"/"},
	{.group = GROUP_LISTEN, .name = "web-listing", .argument = "yes|no", .type = TYPE_SWITCH,
		SETTING(web_listing), .preset = "no",
		.help = "list the names in directories that have no index.html"},
	{.group = GROUP_LISTEN, .name = "health", .argument = "PATH", .type = TYPE_PATH,
		SETTING(health), .preset = "",
		.help = "path that answers 200 while clients are taken and 503 otherwise, like "
			"/healthz; empty: none"},
	{.group = GROUP_LISTEN, .name = "auth-file", .argument = "FILE", .type = TYPE_USERS,
		SETTING(auth_file), .preset = "",
		.help = "ask clients for a user and password: lines of name:hash as htpasswd -B "
			"and mkpasswd write them"},
	{.group = GROUP_LISTEN, .name = "web-auth", .argument = "yes|no", .type = TYPE_SWITCH,
		SETTING(web_auth), .preset = "yes",
		.help = "whether auth-file is for the pages of web too"},
	{.group = GROUP_TLS, .name = "cert", .argument = "FILE", .type = TYPE_TEXTS, SETTING(cert),
		.preset = "",
		.help = "certificate chain, PEM; repeatable, the client's server name (SNI) chooses; "
			"empty: none"},
	{.group = GROUP_TLS, .name = "key", .argument = "FILE", .type = TYPE_TEXTS, SETTING(key),
		.preset = "",
		.help = "private key, PEM, one for each cert in the same order; none: the keys are in "
			"the cert files"},
	{.group = GROUP_TLS, .name = "tls", .argument = "MODE", .type = TYPE_WORD, SETTING(tls),
		.words = tls_words, .preset = "auto",
		.help = "auto: with a cert the first byte of a connection tells TLS from plain HTTP; "
			"required; off"},
	{.group = GROUP_TLS, .name = "tls-priority", .argument = "STRING", .type = TYPE_TEXT,
		SETTING(tls_priority), .preset = "",
		.help = "GnuTLS priority string; empty: TLS 1.2 and 1.3"},
	{.group = GROUP_TLS, .name = "client-ca", .argument = "FILE", .type = TYPE_TEXT,
		SETTING(client_ca), .preset = "",
		.help = "authorities that client certificates are verified against, PEM"},
	{.group = GROUP_TLS, .name = "client-verify", .argument = "MODE", .type = TYPE_WORD,
		SETTING(client_verify), .words = verify_words, .preset = "off",
		.help = "certificates of clients: off, optional (one that is sent must be valid), required"},
	{.group = GROUP_TLS, .name = "redirect-https", .argument = "yes|no",
		.type = TYPE_SWITCH, SETTING(redirect_https), .preset = "no",
		.help = "answer plain requests with 308 to https when there is a cert"},
	{.group = GROUP_LISTEN, .name = "trusted-proxy", .argument = "CIDR", .type = TYPE_NETWORK,
		.key = true, .preset = "",
		.help = "network or address of proxies whose Forwarded, X-Forwarded-For or "
			"X-Real-IP headers are believed; unix: those on Unix sockets; repeatable"},
	{.group = GROUP_LISTEN, .name = "proxy-protocol", .argument = "yes|no",
		.type = TYPE_SWITCH, SETTING(proxy_protocol), .preset = "no",
		.help = "connections from trusted proxies begin with a PROXY header, version 1 "
			"or 2"},
	{.group = GROUP_BACKEND, .name = "backend", .letter = 'b', .argument = "NAME",
		.type = TYPE_BACKEND, .key = true,
		.help = "load backend_NAME.so and drop the previous backend with its options; "
			"empty: the built-in one (default)"},
	{.group = GROUP_BACKEND, .letter = 'c', .argument = "KEY=VALUE",
		.type = TYPE_BACKEND_OPTION,
		.help = "option for the backend chosen at that moment; repeatable"},
	{.group = GROUP_BACKEND, .name = "plugin-path", .argument = "DIR", .type = TYPE_DIRECTORY,
		SETTING(plugin_path), .preset = WEBSOCKSY_PLUGINPATH,
		.help = "absolute directory of plugins"},
	{.group = GROUP_BACKEND, .name = "resolver", .argument = "ADDR[:PORT],...",
		.type = TYPE_RESOLVER, SETTING(resolver), .preset = "",
		.help = "name servers to ask instead of those in /etc/resolv.conf"},
	{.group = GROUP_TIME, .name = "ping", .letter = 'k', .argument = "TIME", .type = TYPE_TIME,
		SETTING(ping_ms), .max = CONFIG_TIME_MAX_MS / 2, .preset = "30",
		.help = "ping a client after this time without a byte from it"},
	{.group = GROUP_TIME, .name = "pong-timeout", .argument = "TIME", .type = TYPE_PONG,
		SETTING(pong_timeout_ms), TIME_LIMITS(0), .preset = PONG_WORD,
		.help = "give a client up this long after an unanswered ping; auto: twice ping"},
	{.group = GROUP_TIME, .name = "handshake-timeout", .argument = "TIME", .type = TYPE_TIME,
		SETTING(handshake_timeout_ms), TIME_LIMITS(1), .preset = "10",
		.help = "for TLS and the request head; not 0"},
	{.group = GROUP_TIME, .name = "connect-timeout", .argument = "TIME", .type = TYPE_TIME,
		SETTING(connect_timeout_ms), TIME_LIMITS(1), .preset = "10",
		.help = "for looking up and connecting to the peer, TLS included; not 0"},
	{.group = GROUP_TIME, .name = "close-timeout", .argument = "TIME", .type = TYPE_TIME,
		SETTING(close_timeout_ms), TIME_LIMITS(1), .preset = "5",
		.help = "to wait for the other side's close; not 0"},
	{.group = GROUP_TIME, .name = "idle-timeout", .argument = "TIME", .type = TYPE_TIME,
		SETTING(idle_timeout_ms), TIME_LIMITS(0), .preset = "0",
		.help = "close after this time without data in either direction"},
	{.group = GROUP_TIME, .name = "stall-timeout", .argument = "TIME", .type = TYPE_TIME,
		SETTING(stall_timeout_ms), TIME_LIMITS(0), .preset = "60",
		.help = "close when a backlog has not shrunk for this time"},
	{.group = GROUP_TIME, .name = "grace", .argument = "TIME", .type = TYPE_TIME,
		SETTING(grace_ms), TIME_LIMITS(0), .preset = "10",
		.help = "that running connections get at shutdown; 0: none"},
	{.group = GROUP_LIMIT, .name = "max-message", .argument = "SIZE", .type = TYPE_SIZE,
		SETTING(max_message), SIZE_LIMITS(1), .preset = "16M",
		.help = "largest message that has to be held whole"},
	{.group = GROUP_LIMIT, .name = "max-clients", .argument = "NUMBER", .type = TYPE_COUNT,
		SETTING(max_clients), .max = CONFIG_CLIENTS_MAX, .preset = "0",
		.help = "connections at once; 0: as many as the descriptor limit allows"},
	{.group = GROUP_LIMIT, .name = "max-clients-per-ip", .argument = "NUMBER",
		.type = TYPE_COUNT, SETTING(max_clients_per_ip), .max = CONFIG_CLIENTS_MAX,
		.preset = "0",
		.help = "the same for each client address (IPv6: each /64); 0: no limit"},
	{.group = GROUP_LIMIT, .name = "buffer-high", .argument = "SIZE", .type = TYPE_SIZE,
		SETTING(buffer_high), SIZE_LIMITS(1), .preset = "256K",
		.help = "backlog of one direction above which its source is paused"},
	{.group = GROUP_LIMIT, .name = "buffer-low", .argument = "SIZE", .type = TYPE_SIZE,
		SETTING(buffer_low), SIZE_LIMITS(0), .preset = "64K",
		.help = "backlog at which it is resumed; below buffer-high"},
	{.group = GROUP_RUN, .name = "config", .argument = "FILE", .type = TYPE_FILE,
		.help = "read this configuration file now; later options override it"},
	{.group = GROUP_RUN, .name = "log-level", .argument = "LEVEL", .type = TYPE_LEVEL,
		SETTING(log_level), .preset = "info",
		.help = "error, warning, notice, info, or debug"},
	{.group = GROUP_RUN, .name = "verbose", .letter = 'v', .type = TYPE_VERBOSITY, .amount = 1,
		.help = "log one level more; repeatable"},
	{.group = GROUP_RUN, .name = "quiet", .letter = 'q', .type = TYPE_VERBOSITY, .amount = -1,
		.help = "log one level less; repeatable"},
	{.group = GROUP_RUN, .name = "test-config", .letter = 't', .type = TYPE_ACTION,
		.amount = CONFIG_TEST, .help = "check the configuration and exit"},
	{.group = GROUP_RUN, .name = "dump-config", .type = TYPE_ACTION, .amount = CONFIG_DUMP,
		.help = "print the effective configuration as a file and exit"},
	{.group = GROUP_RUN, .name = "version", .letter = 'V', .type = TYPE_ACTION,
		.amount = CONFIG_VERSION, .help = "print the version and exit"},
	{.group = GROUP_RUN, .name = "help", .letter = 'h', .type = TYPE_ACTION,
		.amount = CONFIG_HELP, .help = "print this and exit"},
};
/* clang-format on */
#define OPTIONS (sizeof(options) / sizeof(options[0]))

/* Where an option was given. */
struct place {
	const char *file; /* NULL: the command line */
	size_t line; /* 0: the built-in defaults */
	size_t order; /* counts all options */
};

/* Where a text of a list was given. */
struct text_place {
	const struct option *option;
	struct place place;
};

/* What a backend is to be told in the second pass. */
struct action {
	struct place place;
	char *key; /* NULL: load the backend `value` ("": the built-in one) */
	char *value;
};

/* State of one config_read(). */
struct reader {
	struct config *config;
	struct place place; /* of the option in hand */
	char given[CONFIG_GIVEN_MAX]; /* the option in hand as written: "-p", "--port", "port" */
	struct place set[OPTIONS]; /* where each value comes from */
	struct text_place *text; /* in the order of the texts in their lists */
	size_t texts;
	struct action *action;
	size_t actions;
	size_t errors;
	const char *plugin_path; /* of the running configuration; NULL: this is the first */
	bool no_memory;
	bool stop; /* --help and --version need nothing of what follows them */
	bool has_file; /* there has been an argument that is no option */
};

struct type {
	void (*parse)(struct reader *reader, const struct option *option, const char *text);
	void (*dump)(const struct option *option, const struct config *config); /* NULL: no value */
	/* of plain texts: NULL, or what is wrong with this one ("\"...\" is no ...") */
	const char *(*check)(const char *text);
};

/* Messages */

static void log_place(
	enum log_level level, const struct place *place, const char *given, const char *message) {
	if(place->file) {
		log_write(level, "%s:%zu: %s: %s", place->file, place->line, given, message);
	} else if(place->order > 0) {
		log_write(level, "command line: %s: %s", given, message);
	} else {
		log_write(level, "built-in default: %s: %s", given, message);
	}
}

/* Logs an error in the option in hand. */
static void option_error(struct reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void option_error(struct reader *reader, const char *format, ...) {
	char message[CONFIG_MESSAGE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	log_place(LOG_ERROR, &reader->place, reader->given, message);
	reader->errors++;
}

static void option_error_memory(struct reader *reader) {
	reader->no_memory = true;
	option_error(reader, "out of memory");
}

static void set_given(struct reader *reader, const char *dashes, const char *name, size_t len) {
	int shown = len < CONFIG_GIVEN_MAX ? (int)len : CONFIG_GIVEN_MAX;
	snprintf(reader->given, sizeof(reader->given), "%s%.*s", dashes, shown, name);
}

static void *field_of(const struct option *option, struct config *config) {
	return (char *)config + option->offset;
}

static const void *const_field_of(const struct option *option, const struct config *config) {
	return (const char *)config + option->offset;
}

/* Numbers */

/* How the numbers of one type are written. */
struct notation {
	enum number_kind kind;
	const char *right; /* completes "... is no " */
	size_t width; /* of the field that holds the number */
};

static const struct notation notations[] = {
	[TYPE_PORT] = {NUMBER_COUNT, "port number (use 0 to 65535)", sizeof(uint16_t)},
	[TYPE_TIME] = {NUMBER_TIME, "time (use seconds, or a number with ms, s, m or h)",
		sizeof(uint64_t)},
	[TYPE_PONG] = {NUMBER_TIME, "time (use seconds, or a number with ms, s, m or h, or auto)",
		sizeof(uint64_t)},
	[TYPE_SIZE] = {NUMBER_SIZE, "size (use bytes, or a number with K, M or G)", sizeof(size_t)},
	[TYPE_COUNT] = {NUMBER_COUNT, "number (use digits only)", sizeof(size_t)},
};

static void store_number(void *field, size_t width, uint64_t number) {
	if(width == sizeof(uint16_t)) {
		*(uint16_t *)field = (uint16_t)number;
	} else if(width == sizeof(uint32_t)) {
		*(uint32_t *)field = (uint32_t)number;
	} else {
		*(uint64_t *)field = number;
	}
}

static uint64_t load_number(const void *field, size_t width) {
	if(width == sizeof(uint16_t)) {
		return *(const uint16_t *)field;
	}
	return width == sizeof(uint32_t) ? *(const uint32_t *)field : *(const uint64_t *)field;
}

static void parse_number(struct reader *reader, const struct option *option, const char *text) {
	const struct notation *notation = &notations[option->type];
	char min[NUMBER_TEXT], max[NUMBER_TEXT];
	uint64_t number;
	int error = number_parse(notation->kind, text, &number);

	if(error == -EINVAL) {
		option_error(reader, "\"%.80s\" is no %s", text, notation->right);
	} else if(error || number < option->min || number > option->max) {
		number_format(notation->kind, option->min, min);
		number_format(notation->kind, option->max, max);
		option_error(reader, "\"%.80s\" is out of range (%s to %s)", text, min, max);
	} else {
		store_number(field_of(option, reader->config), notation->width, number);
	}
}

static void parse_pong(struct reader *reader, const struct option *option, const char *text) {
	if(strcmp(text, PONG_WORD) == 0) {
		reader->config->settings.pong_timeout_ms = SETTINGS_PONG_TWICE_PING;
	} else {
		parse_number(reader, option, text);
	}
}

static void parse_level(struct reader *reader, const struct option *option, const char *text) {
	int level = log_parse_level(text);

	(void)option;
	if(level < 0) {
		option_error(reader,
			"\"%.80s\" is no level (use error, warning, notice, info or debug)", text);
	} else {
		reader->config->settings.log_level = (enum log_level)level;
	}
}

/* Plain texts */

/* What stands in the file is looked at, not its name. */
static const char *check_any(const char *text) {
	(void)text;
	return NULL;
}

static const struct type types[TYPES];

/* A bad value leaves none behind, so that nothing later goes on with the wrong one. */
static void parse_text(struct reader *reader, const struct option *option, const char *text) {
	const char *(*check)(const char *) = types[option->type].check;
	const char *error = check ? check(text) : NULL;
	char **field = field_of(option, reader->config);

	free(*field);
	*field = NULL;
	if(error) {
		option_error(reader, "\"%.200s\" %s", text, error);
	} else if(text[0] != '\0') {
		*field = strdup(text);
		if(!*field) {
			option_error_memory(reader);
		}
	}
}

static void parse_users(struct reader *reader, const struct option *option, const char *text) {
	struct config *config = reader->config;
	char error[PASSWORDS_ERROR_MAX];

	passwords_free(config->users);
	config->users = NULL;
	parse_text(reader, option, text);
	if(!config->settings.auth_file) {
		return;
	}
	if(passwords_read(text, &config->users, error)) {
		config->users = NULL;
		option_error(reader, "%s", error);
	} else if(passwords_count(config->users) == 0) {
		log_place(LOG_WARNING, &reader->place, reader->given,
			"there is no user in this file, so nobody is let in");
	}
}

static const char *const switch_words[] = {"no", "yes"};

static void parse_switch(struct reader *reader, const struct option *option, const char *text) {
	bool *field = field_of(option, reader->config);

	if(strcmp(text, switch_words[true]) != 0 && strcmp(text, switch_words[false]) != 0) {
		option_error(reader, "\"%.80s\" is neither yes nor no", text);
		return;
	}
	*field = strcmp(text, switch_words[true]) == 0;
}

/* Lists */

/* Puts the string `item` (taken over, NULL: no memory) at the end of a list. 0 or -ENOMEM. */
static int append_text(char ***list, size_t *count, char *item) {
	char **grown = item ? realloc(*list, (*count + 1) * sizeof(**list)) : NULL;

	if(!grown) {
		free(item);
		return -ENOMEM;
	}
	*list = grown;
	grown[(*count)++] = item;
	return 0;
}

static void free_texts(char ***list, size_t *count) {
	for(size_t at = 0; at < *count; at++) {
		free((*list)[at]);
	}
	free(*list);
	*list = NULL;
	*count = 0;
}

/* Remembers where the text in hand was given. 0 or -ENOMEM. */
static int note_text_place(struct reader *reader, const struct option *option) {
	struct text_place *grown =
		realloc(reader->text, (reader->texts + 1) * sizeof(*reader->text));
	if(!grown) {
		return -ENOMEM;
	}
	reader->text = grown;
	grown[reader->texts++] = (struct text_place){option, reader->place};
	return 0;
}

static void forget_text_places(struct reader *reader, const struct option *option) {
	size_t kept = 0;
	for(size_t at = 0; at < reader->texts; at++) {
		if(reader->text[at].option != option) {
			reader->text[kept++] = reader->text[at];
		}
	}
	reader->texts = kept;
}

/* A list: each value is added, an empty one begins anew. */
static void parse_texts(struct reader *reader, const struct option *option, const char *text) {
	struct settings_texts *texts = field_of(option, reader->config);
	if(text[0] == '\0') {
		free_texts(&texts->at, &texts->count);
		forget_text_places(reader, option);
		return;
	}
	if(append_text(&texts->at, &texts->count, strdup(text)) ||
		note_text_place(reader, option)) {
		option_error_memory(reader);
	}
}

static void parse_word(struct reader *reader, const struct option *option, const char *text) {
	int *value = field_of(option, reader->config);
	char known[CONFIG_MESSAGE_MAX] = "";
	for(int i = 0; option->words[i]; i++) {
		if(strcmp(option->words[i], text) == 0) {
			*value = i;
			return;
		}
		size_t len = strlen(known);
		snprintf(known + len, sizeof(known) - len, "%s%s", i > 0 ? ", " : "",
			option->words[i]);
	}
	option_error(reader, "\"%.80s\" is none of %s", text, known);
}

static void free_origins(struct settings *settings) {
	for(size_t at = 0; at < settings->origins; at++) {
		origin_free(&settings->origin[at]);
	}
	free(settings->origin);
	settings->origin = NULL;
	settings->origins = 0;
}

static void parse_listen(struct reader *reader, const struct option *option, const char *text) {
	struct settings *settings = &reader->config->settings;
	size_t len = strlen(text);
	bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	char *address = brackets ? strndup(text + 1, len - 2) : strdup(text);

	(void)option;
	if(!address) {
		option_error_memory(reader);
		return;
	}
	if(strcmp(text, DEFAULT_WORD) == 0) {
		free_texts(&settings->listen, &settings->listens);
		free(address);
		return;
	}
	const char *error = address_check_listen(address);
	if(brackets && !error && !address_is_ip6(address, true)) {
		error = "is no IPv6 address (only those may stand in brackets)";
	}
	if(error) {
		option_error(reader, "\"%.200s\" %s", text, error);
		free(address);
	} else if(append_text(&settings->listen, &settings->listens, address)) {
		option_error_memory(reader);
	}
}

static void parse_origin(struct reader *reader, const struct option *option, const char *text) {
	struct settings *settings = &reader->config->settings;
	const char *right = "";

	(void)option;
	if(strcmp(text, DEFAULT_WORD) == 0) {
		free_origins(settings);
		return;
	}
	struct origin *grown =
		realloc(settings->origin, (settings->origins + 1) * sizeof(*settings->origin));
	if(!grown) {
		option_error_memory(reader);
		return;
	}
	settings->origin = grown;
	int error = origin_parse(text, &grown[settings->origins], &right);
	if(error == -ENOMEM) {
		option_error_memory(reader);
	} else if(error) {
		option_error(reader, "\"%.200s\": %s", text, right);
	} else {
		settings->origins++;
	}
}

static void free_networks(struct cidr_list *networks) {
	free(networks->network);
	*networks = (struct cidr_list){0};
}

static void parse_network(struct reader *reader, const struct option *option, const char *text) {
	struct cidr_list *trusted = &reader->config->settings.trusted;
	struct cidr network;
	const char *right = "";

	(void)option;
	if(text[0] == '\0') {
		free_networks(trusted);
		return;
	}
	if(cidr_parse(text, &network, &right)) {
		option_error(reader, "\"%.80s\" %s", text, right);
		return;
	}
	struct cidr *grown = realloc(trusted->network, (trusted->count + 1) * sizeof(*grown));
	if(!grown) {
		option_error_memory(reader);
		return;
	}
	trusted->network = grown;
	grown[trusted->count++] = network;
}

/* The backend and its options: only noted down here */

static void add_action(struct reader *reader, char *key, char *value) {
	struct action *grown = realloc(reader->action, (reader->actions + 1) * sizeof(*grown));

	if(!grown) {
		free(key);
		free(value);
		option_error_memory(reader);
		return;
	}
	reader->action = grown;
	grown[reader->actions++] =
		(struct action){.place = reader->place, .key = key, .value = value};
}

/*
 * Within one file it is easy to put [backend] above [core]; across files and options it is meant.
 */
static void warn_dropped(const struct reader *reader) {
	size_t dropped = 0;

	for(size_t at = reader->actions; at > 0 && reader->action[at - 1].key; at--) {
		dropped += reader->place.file &&
			reader->action[at - 1].place.file == reader->place.file;
	}
	if(dropped > 0) {
		char message[CONFIG_MESSAGE_MAX];
		snprintf(message, sizeof(message),
			"drops the %zu backend options above it (put [backend] behind this line)",
			dropped);
		log_place(LOG_WARNING, &reader->place, reader->given, message);
	}
}

/* The name becomes part of a file name: nothing that leads elsewhere. */
static bool is_backend_name(const char *text) {
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	return strspn(text, allowed) == strlen(text) && strlen(text) <= 128;
}

static void parse_backend(struct reader *reader, const struct option *option, const char *text) {
	(void)option;
	if(!is_backend_name(text)) {
		option_error(reader,
			"\"%.80s\" is no name of a backend (use letters, digits, _ and -)", text);
		return;
	}
	char *name = strdup(text);
	if(!name) {
		option_error_memory(reader);
		return;
	}
	warn_dropped(reader);
	add_action(reader, NULL, name);
}

static void add_backend_option(
	struct reader *reader, const char *key, size_t key_len, const char *value) {
	if(key_len + strlen(value) > CONFIG_VALUE_MAX) {
		option_error(reader, "name and value are too long for a line of a file");
		return;
	}
	char *key_copy = strndup(key, key_len);
	char *value_copy = strdup(value);

	if(!key_copy || !value_copy) {
		free(key_copy);
		free(value_copy);
		option_error_memory(reader);
		return;
	}
	add_action(reader, key_copy, value_copy);
}

/* A key has to be one that can be written into a file. */
static bool is_backend_key(const char *key, size_t len) {
	return len > 0 && !strchr("[#; \t\r\v\f", key[0]) && !strchr(" \t\r\v\f", key[len - 1]);
}

static void parse_backend_option(
	struct reader *reader, const struct option *option, const char *text) {
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;

	if(!equals || !is_backend_key(text, len)) {
		option_error(reader, "\"%.80s\" is no option (use %s)", text, option->argument);
	} else {
		add_backend_option(reader, text, len, equals + 1);
	}
}

/* Flags */

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

/* Files */

static const struct option *find_name(const char *name, size_t len) {
	for(size_t at = 0; at < OPTIONS; at++) {
		const char *other = options[at].name;
		if(other && strlen(other) == len && memcmp(other, name, len) == 0) {
			return &options[at];
		}
	}
	return NULL;
}

static const struct option *find_letter(char letter) {
	for(size_t at = 0; at < OPTIONS; at++) {
		if(options[at].letter == letter) {
			return &options[at];
		}
	}
	return NULL;
}

/* A line feed cannot be written into a file, and no value needs one. */
static void set_option(struct reader *reader, const struct option *option, const char *text) {
	if(text && (strchr(text, '\n') || strlen(text) > CONFIG_VALUE_MAX)) {
		option_error(
			reader, "the value holds a line break or is too long for a line of a file");
		return;
	}
	reader->set[option - options] = reader->place;
	types[option->type].parse(reader, option, text);
}

static void read_core_option(struct reader *reader, const struct ini_item *item) {
	const struct option *option = find_name(item->name.at, item->name.len);

	if(!option || !option->key) {
		option_error(
			reader, option ? "not possible in a file" : "unknown option in [core]");
		return;
	}
	char *value = strndup(item->value.at, item->value.len);
	if(!value) {
		option_error_memory(reader);
		return;
	}
	set_option(reader, option, value);
	free(value);
}

static void read_backend_option(struct reader *reader, const struct ini_item *item) {
	char *value = strndup(item->value.at, item->value.len);

	if(!value) {
		option_error_memory(reader);
		return;
	}
	add_backend_option(reader, item->name.at, item->name.len, value);
	free(value);
}

typedef void section_fn(struct reader *reader, const struct ini_item *item);

/* An unknown section is one error, however many options are in it. */
static void skip_option(struct reader *reader, const struct ini_item *item) {
	(void)reader;
	(void)item;
}

static bool slice_is(struct ini_slice slice, const char *text) {
	return slice.len == strlen(text) && memcmp(slice.at, text, slice.len) == 0;
}

static section_fn *find_section(struct reader *reader, const struct ini_item *item) {
	if(slice_is(item->name, "core")) {
		return read_core_option;
	}
	if(slice_is(item->name, "backend")) {
		return read_backend_option;
	}
	set_given(reader, "", item->name.at, item->name.len);
	option_error(reader, "unknown section (use [core] or [backend])");
	return skip_option;
}

static void read_text(struct reader *reader, const char *file, const char *text, size_t len) {
	section_fn *section = skip_option;
	struct ini_reader ini;
	struct ini_item item;
	enum ini_result result;

	ini_start(&ini, text, len);
	while((result = ini_next(&ini, &item)) != INI_END) {
		reader->place = (struct place){file, item.line, reader->place.order + 1};
		if(result == INI_BAD) {
			set_given(reader, "", "syntax", strlen("syntax"));
			option_error(reader, "%s", item.error);
			section = item.section ? skip_option : section;
		} else if(result == INI_SECTION) {
			section = find_section(reader, &item);
		} else {
			set_given(reader, "", item.name.at, item.name.len);
			section(reader, &item);
		}
	}
}

/* Never waits: a fifo or a device in place of a file would stop a running daemon at a reload. */
static int open_file(const char *path) {
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if(fd < 0) {
		return -errno;
	}
	int error = fstat(fd, &status) ? -errno : 0;
	if(!error && !S_ISREG(status.st_mode)) {
		error = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	}
	if(!error && status.st_size > (off_t)CONFIG_FILE_MAX) {
		error = -EFBIG;
	}
	if(error) {
		close(fd);
		return error;
	}
	return fd;
}

/* Reads up to `cap` bytes. Result: their number, or negative errno. */
static ssize_t read_whole(int fd, char *out, size_t cap) {
	size_t len = 0;

	while(len < cap) {
		ssize_t got = RETRY_INTERRUPTED(read(fd, out + len, cap - len));
		if(got < 0) {
			return -errno;
		}
		if(got == 0) {
			break;
		}
		len += (size_t)got;
	}
	return (ssize_t)len;
}

static void parse_file(struct reader *reader, const struct option *option, const char *text) {
	struct place place = reader->place;
	int fd = open_file(text);
	char *content = fd < 0 ? NULL : malloc(CONFIG_FILE_MAX);

	(void)option;
	if(fd < 0) {
		option_error(reader, "cannot read \"%.200s\": %s", text,
			fd == -EINVAL ? "It is no regular file" : strerror(-fd));
		return;
	}
	ssize_t len = content ? read_whole(fd, content, CONFIG_FILE_MAX) : -ENOMEM;
	if(len < 0) {
		option_error(reader, "cannot read \"%.200s\": %s", text, strerror((int)-len));
	} else {
		read_text(reader, text, content, (size_t)len);
		place.order = reader->place.order;
		reader->place = place;
	}
	free(content);
	close(fd);
}

/* Dump */

static void dump_value(const char *key, const char *value) {
	const char *quote = ini_needs_quotes(value, strlen(value)) ? "\"" : "";
	printf("%s =%s%s%s%s\n", key, value[0] ? " " : "", quote, value, quote);
}

static void dump_number(const struct option *option, const struct config *config) {
	const struct notation *notation = &notations[option->type];
	char text[NUMBER_TEXT];

	number_format(
		notation->kind, load_number(const_field_of(option, config), notation->width), text);
	dump_value(option->name, text);
}

/* The effective time, not "auto": the reader of a dump should not have to calculate. */
static void dump_pong(const struct option *option, const struct config *config) {
	struct config effective = {.settings = config->settings};

	if(config->settings.pong_timeout_ms == SETTINGS_PONG_TWICE_PING) {
		effective.settings.pong_timeout_ms = 2 * config->settings.ping_ms;
	}
	dump_number(option, &effective);
}

static void dump_level(const struct option *option, const struct config *config) {
	dump_value(option->name, log_level_name(config->settings.log_level));
}

static void dump_text(const struct option *option, const struct config *config) {
	const char *const *field = const_field_of(option, config);
	dump_value(option->name, *field ? *field : "");
}

static void dump_listen(const struct option *option, const struct config *config) {
	const struct settings *settings = &config->settings;

	if(settings->listens == 0) {
		dump_value(option->name, DEFAULT_WORD);
	}
	for(size_t at = 0; at < settings->listens; at++) {
		dump_value(option->name, settings->listen[at]);
	}
}

static void dump_texts(const struct option *option, const struct config *config) {
	const struct settings_texts *texts = const_field_of(option, config);
	if(texts->count == 0) {
		dump_value(option->name, "");
	}
	for(size_t at = 0; at < texts->count; at++) {
		dump_value(option->name, texts->at[at]);
	}
}

static void dump_word(const struct option *option, const struct config *config) {
	const int *value = const_field_of(option, config);
	dump_value(option->name, option->words[*value]);
}

static void dump_one_origin(const struct option *option, const struct origin *origin) {
	static const char *const words[] = {[ORIGIN_SAME] = "same", [ORIGIN_NULL] = "null"};

	if(origin->kind == ORIGIN_SAME || origin->kind == ORIGIN_NULL) {
		dump_value(option->name, words[origin->kind]);
		return;
	}
	const char *wildcard = origin->kind == ORIGIN_SUBDOMAIN ? "*." : "";
	printf("%s = %s://%s%s", option->name, origin->scheme, wildcard, origin->host);
	if(origin->port > 0) {
		printf(":%u", origin->port);
	}
	printf("\n");
}

static void dump_origin(const struct option *option, const struct config *config) {
	if(config->settings.origins == 0) {
		dump_value(option->name, DEFAULT_WORD);
	}
	for(size_t at = 0; at < config->settings.origins; at++) {
		dump_one_origin(option, &config->settings.origin[at]);
	}
}

static void dump_switch(const struct option *option, const struct config *config) {
	const bool *field = const_field_of(option, config);
	dump_value(option->name, switch_words[*field]);
}

static void dump_network(const struct option *option, const struct config *config) {
	struct cidr_list trusted = config->settings.trusted;

	if(trusted.count == 0) {
		dump_value(option->name, "");
	}
	for(size_t at = 0; at < trusted.count; at++) {
		char text[CIDR_TEXT];
		cidr_format(&trusted.network[at], text);
		dump_value(option->name, text);
	}
}

static void dump_backend(const struct option *option, const struct config *config) {
	dump_value(option->name, config->backend_name ? config->backend_name : "");
}

static const struct type types[TYPES] = {
	[TYPE_PORT] = {parse_number, dump_number, NULL},
	[TYPE_TIME] = {parse_number, dump_number, NULL},
	[TYPE_PONG] = {parse_pong, dump_pong, NULL},
	[TYPE_SIZE] = {parse_number, dump_number, NULL},
	[TYPE_COUNT] = {parse_number, dump_number, NULL},
	[TYPE_LISTEN] = {parse_listen, dump_listen, NULL},
	[TYPE_ORIGIN] = {parse_origin, dump_origin, NULL},
	[TYPE_DIRECTORY] = {parse_text, dump_text, file_check_absolute},
	[TYPE_WEB] = {parse_text, dump_text, file_check_readable},
	[TYPE_USERS] = {parse_users, dump_text, check_any},
	[TYPE_NETWORK] = {parse_network, dump_network, NULL},
	[TYPE_SWITCH] = {parse_switch, dump_switch, NULL},
	[TYPE_PATH] = {parse_text, dump_text, text_check_url_path},
	[TYPE_RESOLVER] = {parse_text, dump_text, address_check_servers},
	[TYPE_TEXT] = {parse_text, dump_text, NULL},
	[TYPE_TEXTS] = {parse_texts, dump_texts, NULL},
	[TYPE_WORD] = {parse_word, dump_word, NULL},
	[TYPE_LEVEL] = {parse_level, dump_level, NULL},
	[TYPE_BACKEND] = {parse_backend, dump_backend, NULL},
	[TYPE_BACKEND_OPTION] = {parse_backend_option, NULL, NULL},
	[TYPE_FILE] = {parse_file, NULL, NULL},
	[TYPE_VERBOSITY] = {parse_verbosity, NULL, NULL},
	[TYPE_ACTION] = {parse_action, NULL, NULL},
};

/* First pass: the command line */

static void set_defaults(struct reader *reader) {
	for(size_t at = 0; at < OPTIONS; at++) {
		if(options[at].preset) {
			set_given(reader, "", options[at].name, strlen(options[at].name));
			set_option(reader, &options[at], options[at].preset);
		}
	}
}

/* The arguments that are left; the first is the one in hand. */
struct arguments {
	char **at;
	size_t left;
};

/* Takes an option's value from the next argument. NULL, with an error, if there is none. */
static const char *take_value(
	struct reader *reader, struct arguments *arguments, const struct option *option) {
	if(arguments->left < 2) {
		option_error(reader, "a value is missing (%s)", option->argument);
		return NULL;
	}
	arguments->at++;
	arguments->left--;
	return arguments->at[0];
}

static void read_long(struct reader *reader, struct arguments *arguments) {
	const char *name = arguments->at[0] + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] == '=' ? name + len + 1 : NULL;
	const struct option *option = find_name(name, len);

	set_given(reader, "--", name, len);
	if(!option) {
		option_error(reader, "unknown option (--help lists all)");
	} else if(!option->argument && value) {
		option_error(reader, "takes no value");
	} else if(!option->argument) {
		set_option(reader, option, NULL);
	} else {
		value = value ? value : take_value(reader, arguments, option);
		if(value) {
			set_option(reader, option, value);
		}
	}
}

/* One or more letters: "-vv", "-p8001", "-p 8001", "-tp8001". */
static void read_short(struct reader *reader, struct arguments *arguments) {
	const char *letter = arguments->at[0] + 1;

	for(; *letter != '\0' && !reader->stop; letter++) {
		const struct option *option = find_letter(*letter);
		set_given(reader, "-", letter, 1);
		if(!option) {
			option_error(reader, "unknown option (--help lists all)");
			return;
		}
		if(option->argument) {
			const char *value = letter[1] != '\0'
				? letter + 1
				: take_value(reader, arguments, option);
			if(value) {
				set_option(reader, option, value);
			}
			return;
		}
		set_option(reader, option, NULL);
	}
}

/* One argument may be a configuration file without an option in front of it. */
static void read_file_argument(struct reader *reader, const char *argument) {
	if(reader->has_file) {
		set_given(reader, "", argument, strlen(argument));
		option_error(reader,
			"no option (only one argument may be a configuration file, give others as "
			"--config FILE)");
		return;
	}
	reader->has_file = true;
	set_given(reader, "", "FILE", strlen("FILE"));
	set_option(reader, find_name("config", strlen("config")), argument);
}

static void read_argument(struct reader *reader, struct arguments *arguments) {
	const char *argument = arguments->at[0];

	if(strcmp(argument, "--") == 0) {
		set_given(reader, "", "--", 2);
		option_error(reader, "starting a program is not supported by this version");
		reader->stop = true;
	} else if(strncmp(argument, "--", 2) == 0) {
		read_long(reader, arguments);
	} else if(argument[0] == '-' && argument[1] != '\0') {
		read_short(reader, arguments);
	} else {
		read_file_argument(reader, argument);
	}
}

static void read_command_line(struct reader *reader, int argc, char **argv) {
	struct arguments arguments = {argv + 1, argc > 1 ? (size_t)argc - 1 : 0};

	while(arguments.left > 0 && !reader->stop) {
		reader->place = (struct place){.order = reader->place.order + 1};
		read_argument(reader, &arguments);
		arguments.at++;
		arguments.left--;
	}
}

/* The two marks contradict each other: blamed on the one that came later. */
static void check_marks(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	size_t low = (size_t)(find_name("buffer-low", strlen("buffer-low")) - options);
	size_t high = (size_t)(find_name("buffer-high", strlen("buffer-high")) - options);
	char low_text[NUMBER_TEXT], high_text[NUMBER_TEXT];

	if(settings->buffer_low < settings->buffer_high) {
		return;
	}
	size_t later = reader->set[low].order > reader->set[high].order ? low : high;
	reader->place = reader->set[later];
	set_given(reader, reader->place.file ? "" : "--", options[later].name,
		strlen(options[later].name));
	number_format(NUMBER_SIZE, settings->buffer_low, low_text);
	number_format(NUMBER_SIZE, settings->buffer_high, high_text);
	option_error(
		reader, "buffer-low (%s) has to be below buffer-high (%s)", low_text, high_text);
}

/* Nobody would have to send a header, which is not what was asked for. */
static void check_proxies(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	const struct option *option = find_name("proxy-protocol", strlen("proxy-protocol"));

	if(!settings->proxy_protocol || settings->trusted.count > 0) {
		return;
	}
	reader->place = reader->set[option - options];
	set_given(reader, reader->place.file ? "" : "--", option->name, strlen(option->name));
	option_error(reader, "needs a trusted-proxy: only those may send PROXY headers");
}

/* Second pass: plugins and the backend */

/* Makes the option of an action the one in hand. */
static void show_action(struct reader *reader, const struct action *action) {
	reader->place = action->place;
	if(action->key) {
		set_given(
			reader, action->place.file ? "" : "-c ", action->key, strlen(action->key));
	} else {
		set_given(reader, "", "backend", strlen("backend"));
	}
}

static void drop_backend(struct config *config) {
	backend_unref(config->backend);
	config->backend = NULL;
	free(config->backend_name);
	config->backend_name = NULL;
	free_texts(&config->backend_option, &config->backend_options);
}

/* Replaces the backend by `name` ("": the built-in one). */
static void select_backend(struct reader *reader, const char *name) {
	struct config *config = reader->config;
	char error[PLUGIN_ERROR_MAX] = "";
	bool builtin = name[0] == '\0';

	drop_backend(config);
	if(!builtin) {
		config->backend_name = strdup(name);
		if(!config->backend_name) {
			option_error_memory(reader);
			return;
		}
	}
	int result = backend_load(
		config->settings.plugin_path, builtin ? NULL : name, &config->backend, error);
	if(result) {
		config->backend = NULL;
		option_error(reader, "%s", error[0] ? error : strerror(-result));
	}
}

static void pass_option(struct reader *reader, const struct action *action) {
	struct config *config = reader->config;
	const char *name = config->backend_name ? config->backend_name : "built in";
	char *text = NULL;
	int error = backend_configure(config->backend, action->key, action->value);

	if(error == -ENOTSUP) {
		option_error(reader, "the backend (%s) takes no options", name);
	} else if(error && error != -ENOMEM) {
		option_error(reader,
			"\"%.200s\" is refused by the backend (%s): no such option or no such "
			"value",
			action->value, name);
	} else if(error || asprintf(&text, "%s=%s", action->key, action->value) < 0 ||
		append_text(&config->backend_option, &config->backend_options, text)) {
		option_error_memory(reader);
	}
}

/* A backend that could not be loaded has been reported: its options would only repeat that. */
static void run_actions(struct reader *reader) {
	if(reader->actions == 0 || reader->action[0].key) {
		reader->place = (struct place){0};
		set_given(reader, "", "backend", strlen("backend"));
		select_backend(reader, "");
	}
	for(size_t at = 0; at < reader->actions; at++) {
		show_action(reader, &reader->action[at]);
		if(!reader->action[at].key) {
			select_backend(reader, reader->action[at].value);
		} else if(reader->config->backend) {
			pass_option(reader, &reader->action[at]);
		}
	}
}

/* Does a backend's message speak of this option ("key: ...", "key ...")? */
static bool speaks_of(const char *error, const char *key) {
	size_t len = strlen(key);
	return strncmp(error, key, len) == 0 && (error[len] == ':' || error[len] == ' ');
}

/*
 * The last option that the message speaks of has its place; else the line that chose the backend.
 */
static void check_backend(struct reader *reader) {
	char error[PLUGIN_ERROR_MAX] = "";
	const char *text = error;
	int result = backend_check(reader->config->backend, error);

	if(!result) {
		return;
	}
	reader->place = (struct place){0};
	set_given(reader, "", "backend", strlen("backend"));
	for(size_t at = reader->actions; at > 0; at--) {
		const struct action *action = &reader->action[at - 1];
		if(!action->key || speaks_of(error, action->key)) {
			show_action(reader, action);
			text += action->key ? strlen(action->key) : 0;
			text += strspn(text, ": ");
			break;
		}
	}
	option_error(reader, "%s", text[0] ? text : strerror(-result));
}

/* A reload keeps the directory that the plugins in use come from. */
static void keep_plugin_path(struct reader *reader) {
	char **path = &reader->config->settings.plugin_path;
	const struct option *option = find_name("plugin-path", strlen("plugin-path"));

	if(!reader->plugin_path || !*path || strcmp(*path, reader->plugin_path) == 0) {
		return;
	}
	set_given(reader, "", option->name, strlen(option->name));
	log_place(LOG_NOTICE, &reader->set[option - options], reader->given,
		"changes only when the daemon is started again");
	free(*path);
	*path = strdup(reader->plugin_path);
	if(!*path) {
		option_error_memory(reader);
	}
}

static void load_backend(struct reader *reader) {
	const char *directory = reader->config->settings.plugin_path;

	if(!directory) { /* reported */
		return;
	}
	int error = plugin_load_directory(directory);
	if(error) {
		set_given(reader, "", "plugin-path", strlen("plugin-path"));
		option_error(reader, "cannot load plugins: %s", strerror(-error));
		return;
	}
	run_actions(reader);
	if(reader->config->backend) {
		check_backend(reader);
	}
}

/* The place of an option that was given, for an error that only the whole shows. */
static void blame(struct reader *reader, const char *name) {
	const struct option *option = find_name(name, strlen(name));
	reader->place = reader->set[option - options];
	set_given(reader, reader->place.file ? "" : "--", name, strlen(name));
}

/* The same for one text of a list: each has a place of its own. */
static void blame_text(struct reader *reader, const char *name, size_t number) {
	size_t seen = 0;
	blame(reader, name);
	for(size_t at = 0; at < reader->texts; at++) {
		const struct text_place *text = &reader->text[at];
		if(strcmp(text->option->name, name) == 0 && seen++ == number) {
			reader->place = text->place;
			set_given(reader, text->place.file ? "" : "--", name, strlen(name));
		}
	}
}

static void load_tls(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	struct tls_error wrong;
	if(settings->key.count > 0 && settings->key.count != settings->cert.count) {
		blame(reader, "key");
		option_error(reader,
			"there are %zu keys for %zu certificates (give one for each, or none)",
			settings->key.count, settings->cert.count);
	} else if(settings->tls == SETTINGS_TLS_REQUIRED && settings->cert.count == 0) {
		blame(reader, "tls");
		option_error(reader, "\"required\" needs a certificate (cert)");
	} else if(settings->client_verify != TLS_VERIFY_OFF && !settings->client_ca) {
		blame(reader, "client-verify");
		option_error(reader, "needs authorities to verify against (client-ca)");
	} else if(settings->client_verify != TLS_VERIFY_OFF &&
		(settings->tls == SETTINGS_TLS_OFF || settings->cert.count == 0)) {
		blame(reader, "client-verify");
		option_error(reader, "has no effect without TLS (cert, tls)");
	} else if(settings->client_verify == TLS_VERIFY_REQUIRED &&
		settings->tls != SETTINGS_TLS_REQUIRED && !settings->redirect_https) {
		blame(reader, "client-verify");
		option_error(reader,
			"\"required\" while plain connections get in without any certificate "
			"(use tls = required or redirect-https = yes)");
	} else if(config_open_tls(settings, &reader->config->tls, &wrong)) {
		blame_text(reader, wrong.option, wrong.pair);
		option_error(reader, "%s", wrong.text);
	}
}

int config_open_tls(
	const struct settings *settings, struct tls_context **out, struct tls_error *error) {
	*out = NULL;
	if(settings->tls == SETTINGS_TLS_OFF || settings->cert.count == 0) {
		return 0;
	}
	struct tls_pair *pairs = calloc(settings->cert.count, sizeof(*pairs));
	if(!pairs) {
		*error = (struct tls_error){.option = "cert", .text = "out of memory"};
		return -ENOMEM;
	}
	for(size_t i = 0; i < settings->cert.count; i++) {
		pairs[i].cert = settings->cert.at[i];
		pairs[i].key = settings->key.count > 0 ? settings->key.at[i] : NULL;
	}
	struct tls_server_options server = {
		.pairs = settings->cert.count,
		.pair = pairs,
		.priority = settings->tls_priority,
		.client_ca = settings->client_ca,
		.verify = (enum tls_verify)settings->client_verify,
	};
	int result = tls_server_open(out, &server, error);
	free(pairs);
	return result;
}

static void read_all(struct reader *reader, int argc, char **argv) {
	set_defaults(reader);
	read_command_line(reader, argc, argv);
	if(reader->stop || reader->no_memory) {
		return;
	}
	if(reader->errors == 0) {
		check_marks(reader);
		load_tls(reader);
		check_proxies(reader);
	}
	keep_plugin_path(reader);
	load_backend(reader);
}

int config_read_again(struct config *config, const struct config *running, int argc, char **argv) {
	struct reader reader = {
		.config = config, .plugin_path = running ? running->settings.plugin_path : NULL};

	*config = (struct config){.action = CONFIG_RUN};
	read_all(&reader, argc, argv);
	for(size_t at = 0; at < reader.actions; at++) {
		free(reader.action[at].key);
		free(reader.action[at].value);
	}
	free(reader.action);
	free(reader.text);
	if(reader.no_memory) {
		return -ENOMEM;
	}
	return reader.errors > 0 ? -EINVAL : 0;
}

int config_read(struct config *config, int argc, char **argv) {
	return config_read_again(config, NULL, argc, argv);
}

void config_free(struct config *config) {
	struct settings *settings = &config->settings;

	drop_backend(config);
	free_texts(&settings->listen, &settings->listens);
	free_origins(settings);
	passwords_free(config->users);
	free(settings->auth_file);
	free_texts(&settings->cert.at, &settings->cert.count);
	free_texts(&settings->key.at, &settings->key.count);
	free(settings->tls_priority);
	free(settings->client_ca);
	tls_context_unref(config->tls);
	free_networks(&settings->trusted);
	free(settings->web);
	free(settings->health);
	free(settings->plugin_path);
	free(settings->resolver);
	*config = (struct config){.action = CONFIG_RUN};
}

/* Prints `text` in lines that begin at the help column; the cursor is at `column` now. */
static void print_wrapped(const char *text, size_t column) {
	while(text[0] != '\0') {
		size_t len = strcspn(text, " ");
		bool first = column <= CONFIG_HELP_COLUMN;
		if(!first && column + 1 + len >= CONFIG_HELP_WIDTH) {
			printf("\n");
			column = 0;
			first = true;
		}
		if(first) {
			printf("%*s", (int)(CONFIG_HELP_COLUMN - column), "");
			column = CONFIG_HELP_COLUMN;
		}
		column += (size_t)printf("%s%.*s", first ? "" : " ", (int)len, text);
		text += text[len] == ' ' ? len + 1 : len;
	}
	printf("\n");
}

static void print_option(const struct option *option) {
	char head[CONFIG_HELP_WIDTH], help[CONFIG_MESSAGE_MAX];
	char letter[3] = {'-', option->letter, '\0'};
	bool preset = option->preset && option->preset[0] != '\0';
	int len = snprintf(head, sizeof(head), "  %2s%s%s%s%s%s", option->letter ? letter : "",
		option->letter && option->name ? ", " : "  ", option->name ? "--" : "",
		option->name ? option->name : "", option->argument && option->name ? "=" : "",
		option->argument ? option->argument : "");

	snprintf(help, sizeof(help), "%s%s%s%s", option->help, preset ? " (default: " : "",
		preset ? option->preset : "", preset ? ")" : "");
	printf("%s", head);
	if(len >= CONFIG_HELP_COLUMN) {
		printf("\n");
		len = 0;
	}
	print_wrapped(help, (size_t)len);
}

void config_print_help(void) {
	printf("Usage: websocksy [OPTION]... [FILE]\n\n"
	       "Bridges WebSocket clients to TCP, UDP and Unix sockets.\n"
	       "Long options with a value, but --config, are also keys in FILE's [core] "
	       "section.\n");
	for(int group = 0; group < GROUPS; group++) {
		printf("\n%s:\n", group_titles[group]);
		for(size_t at = 0; at < OPTIONS; at++) {
			if(options[at].group == (enum option_group)group) {
				print_option(&options[at]);
			}
		}
	}
	printf("\nSee websocksy(8) and websocksy.conf(5).\n");
}

static void dump_backend_option(const char *option) {
	size_t len = strcspn(option, "=");
	printf("%.*s", (int)len, option);
	dump_value("", option + len + 1);
}

void config_dump(const struct config *config) {
	printf("[core]\n");
	for(size_t at = 0; at < OPTIONS; at++) {
		if(options[at].key) {
			types[options[at].type].dump(&options[at], config);
		}
	}
	printf("\n[backend]\n");
	for(size_t at = 0; at < config->backend_options; at++) {
		dump_backend_option(config->backend_option[at]);
	}
}
