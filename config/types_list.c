/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads and prints lists: options that may be given several times.
 *
 * It must not know which options there are, or where they come from.
 *
 * Invariants: a value that is not valid is one error and is not added; a type reads the lines that
 * it prints back as the same list.
 */
#include "base/address.h"
#include "base/cidr.h"
#include "config/ini.h"
#include "config/paths.h"
#include "config/reader.h"
#include "config/types.h"
#include "http/origin.h"
#include "http/page_fields.h"
#include "network/server_name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

/* A list with room for one more entry of `size` bytes. NULL, after an error: no memory. */
static void *grow(struct reader *reader, void *list, size_t count, size_t size) {
	void *grown = realloc(list, (count + 1) * size);
	if(!grown) {
		reader_error_memory(reader);
	}
	return grown;
}

static void free_texts(char ***list, size_t *count) {
	for(size_t i = 0; i < *count; i++) {
		free((*list)[i]);
	}
	free(*list);
	*list = NULL;
	*count = 0;
}

/* Adds `text` (owned; NULL: no memory) to the end of a list. False, after an error: no memory. */
static bool add_text(struct reader *reader, char ***list, size_t *count, char *text) {
	if(!text) {
		reader_error_memory(reader);
		return false;
	}
	char **grown = grow(reader, *list, *count, sizeof(*grown));
	if(!grown) {
		free(text);
		return false;
	}
	*list = grown;
	grown[(*count)++] = text;
	return true;
}

/* `preset` stands for the empty list. */
static void print_texts(const char *name, char *const *list, size_t count, const char *preset) {
	if(count == 0) {
		ini_print(name, preset);
	}
	for(size_t i = 0; i < count; i++) {
		ini_print(name, list[i]);
	}
}

static void release_texts(const struct option *option, struct config *config) {
	struct settings_texts *texts = option_field(option, config);
	free_texts(&texts->at, &texts->count);
}

static void parse_texts(struct reader *reader, const struct option *option, const char *text) {
	struct settings_texts *texts = option_field(option, reader->config);
	if(text[0] == '\0') {
		release_texts(option, reader->config);
		reader_forget_texts(reader, option);
		return;
	}
	const char *error = option->type->check ? option->type->check(text) : NULL;
	if(error) {
		reader_error(reader, "\"%.200s\" %s", text, error);
		return;
	}
	if(add_text(reader, &texts->at, &texts->count, strdup(text)) &&
		reader_note_text(reader, option)) {
		reader_error_memory(reader);
	}
}

static void print_all_texts(const struct option *option, const struct config *config) {
	const struct settings_texts *texts = option_const_field(option, config);
	print_texts(option->name, texts->at, texts->count, "");
}

const struct option_type type_texts = {
	.parse = parse_texts, .print = print_all_texts, .release = release_texts};
static void parse_paths(struct reader *reader, const struct option *option, const char *text) {
	char *path = text[0] != '\0' ? paths_resolve(reader->config, text) : strdup("");
	if(path) {
		parse_texts(reader, option, path);
		free(path);
	} else {
		reader_error_memory(reader);
	}
}

const struct option_type type_paths = {
	.parse = parse_paths, .print = print_all_texts, .release = release_texts};
const struct option_type type_server_names = {.parse = parse_texts,
	.print = print_all_texts,
	.release = release_texts,
	.check = server_name_check};

/* ---- header fields of pages ---- */

static size_t length_of(const struct settings_texts *texts) {
	size_t len = 0;
	for(size_t i = 0; i < texts->count; i++) {
		len += strlen(texts->at[i]) + strlen("\r\n");
	}
	return len;
}

/* Texts that are checked one by one, and whose sum has a limit. */
static void parse_page_texts(struct reader *reader, const struct option *option, const char *text) {
	const struct settings_texts *texts = option_field(option, reader->config);
	const char *error = text[0] != '\0' ? option->type->check(text) : NULL;
	if(!error && length_of(texts) + strlen(text) + strlen("\r\n") > PAGE_FIELDS_MAX) {
		error = "makes the values of this option too long (1024 bytes together)";
	}
	if(error) {
		reader_error(reader, "\"%.200s\" %s", text, error);
	} else {
		parse_texts(reader, option, text);
	}
}

const struct option_type type_web_header = {.parse = parse_page_texts,
	.print = print_all_texts,
	.release = release_texts,
	.check = page_fields_check_header};

const struct option_type type_frame_ancestors = {.parse = parse_page_texts,
	.print = print_all_texts,
	.release = release_texts,
	.check = page_fields_check_site};

/* ---- addresses to listen on ---- */

static void release_listen(const struct option *option, struct config *config) {
	(void)option;
	free_texts(&config->settings.listen, &config->settings.listens);
	config->settings.listen_tls = false;
	config->settings.listen_plain = false;
}

static void parse_listen(struct reader *reader, const struct option *option, const char *text) {
	struct settings *settings = &reader->config->settings;
	struct address_listen parsed;
	const char *error = NULL;
	if(strcmp(text, TYPE_WORD_ALL) == 0) {
		release_listen(option, reader->config);
		return;
	}
	if(address_parse_listen(text, &parsed, &error)) {
		reader_error(reader, "\"%.200s\" %s", text, error);
		return;
	}
	/* Brackets around an address without a port are dropped. */
	size_t len = strlen(text);
	bool bare = text[0] == '[' && text[len - 1] == ']';
	char *address = bare ? strndup(text + 1, len - 2) : strdup(text);
	if(add_text(reader, &settings->listen, &settings->listens, address)) {
		settings->listen_tls |= parsed.tls == ADDRESS_TLS_ONLY;
		settings->listen_plain |= parsed.tls == ADDRESS_TLS_NEVER;
	}
}

static void print_listen(const struct option *option, const struct config *config) {
	const struct settings *settings = &config->settings;
	print_texts(option->name, settings->listen, settings->listens, TYPE_WORD_ALL);
}

const struct option_type type_listen = {
	.parse = parse_listen, .print = print_listen, .release = release_listen};

/* ---- origins ---- */

static void release_origins(const struct option *option, struct config *config) {
	struct settings *settings = &config->settings;
	(void)option;
	for(size_t i = 0; i < settings->origins; i++) {
		origin_free(&settings->origin[i]);
	}
	free(settings->origin);
	settings->origin = NULL;
	settings->origins = 0;
}

static void parse_origin(struct reader *reader, const struct option *option, const char *text) {
	struct settings *settings = &reader->config->settings;
	const char *why = "";
	if(strcmp(text, TYPE_WORD_ALL) == 0 || strcmp(text, TYPE_WORD_ORIGIN) == 0) {
		release_origins(option, reader->config);
		settings->any_origin = strcmp(text, TYPE_WORD_ALL) == 0;
		return;
	}
	struct origin *grown = grow(reader, settings->origin, settings->origins, sizeof(*grown));
	if(!grown) {
		return;
	}
	settings->origin = grown;
	int error = origin_parse(text, &grown[settings->origins], &why);
	if(error == -ENOMEM) {
		reader_error_memory(reader);
	} else if(error) {
		reader_error(reader, "\"%.200s\": %s", text, why);
	} else {
		settings->origins++;
	}
}

static void print_origin(const char *name, const struct origin *origin) {
	static const char *const words[] = {
		[ORIGIN_SAME] = "same", [ORIGIN_NULL] = "null", [ORIGIN_FILE] = ORIGIN_FILE_TEXT};
	if(origin->kind >= ORIGIN_SAME) {
		ini_print(name, words[origin->kind]);
		return;
	}
	const char *wildcard = origin->kind == ORIGIN_SUBDOMAIN ? "*." : "";
	printf("%s = %s://%s%s", name, origin->scheme, wildcard, origin->host);
	if(origin->port > 0) {
		printf(":%u", origin->port);
	}
	printf("\n");
}

static void print_origins(const struct option *option, const struct config *config) {
	if(config->settings.origins == 0) {
		ini_print(option->name,
			config->settings.any_origin ? TYPE_WORD_ALL : TYPE_WORD_ORIGIN);
	}
	for(size_t i = 0; i < config->settings.origins; i++) {
		print_origin(option->name, &config->settings.origin[i]);
	}
}

const struct option_type type_origin = {
	.parse = parse_origin, .print = print_origins, .release = release_origins};

/* ---- networks ---- */

static void release_networks(const struct option *option, struct config *config) {
	struct cidr_list *networks = option_field(option, config);
	free(networks->network);
	*networks = (struct cidr_list){0};
}

static void parse_network(struct reader *reader, const struct option *option, const char *text) {
	struct cidr_list *networks = option_field(option, reader->config);
	struct cidr network;
	const char *why = "";
	if(text[0] == '\0') {
		release_networks(option, reader->config);
		return;
	}
	if(cidr_parse(text, &network, &why)) {
		reader_error(reader, "\"%.80s\" %s", text, why);
		return;
	}
	struct cidr *grown = grow(reader, networks->network, networks->count, sizeof(*grown));
	if(grown) {
		networks->network = grown;
		grown[networks->count++] = network;
	}
}

static void print_networks(const struct option *option, const struct config *config) {
	const struct cidr_list *networks = option_const_field(option, config);
	if(networks->count == 0) {
		ini_print(option->name, "");
	}
	for(size_t i = 0; i < networks->count; i++) {
		char text[CIDR_TEXT];
		cidr_format(&networks->network[i], text);
		ini_print(option->name, text);
	}
}

const struct option_type type_network = {
	.parse = parse_network, .print = print_networks, .release = release_networks};
