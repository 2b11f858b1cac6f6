/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Places of options, messages about them, and notes for the second pass.
 *
 * It must not know types of values, or where options come from.
 *
 * Invariants: every error is one line that names its place and the option; `set` has the place of
 * the value that counts, valid or not.
 */
#include "config/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define READER_MESSAGE_MAX 1024

void reader_free(struct reader *reader) {
	for(size_t i = 0; i < reader->actions; i++) {
		free(reader->action[i].key);
		free(reader->action[i].value);
	}
	free(reader->action);
	free(reader->text);
}

/* ---- messages ---- */

void reader_name(struct reader *reader, const char *dashes, struct slice name) {
	int shown = name.len < READER_GIVEN_MAX ? (int)name.len : READER_GIVEN_MAX;
	snprintf(reader->given, sizeof(reader->given), "%s%.*s", dashes, shown, name.at);
}

static void log_line(
	const struct reader *reader, enum log_level level, const char *format, va_list arguments) {
	const struct reader_place *place = &reader->place;
	char message[READER_MESSAGE_MAX];
	if(reader->quiet) {
		return;
	}
	vsnprintf(message, sizeof(message), format, arguments);
	if(place->file) {
		log_write(
			level, "%s:%zu: %s: %s", place->file, place->line, reader->given, message);
	} else {
		log_write(level, "%s: %s: %s",
			place->order > 0 ? "command line" : "built-in default", reader->given,
			message);
	}
}

void reader_log(const struct reader *reader, enum log_level level, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	log_line(reader, level, format, arguments);
	va_end(arguments);
}

void reader_error(struct reader *reader, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	log_line(reader, LOG_ERROR, format, arguments);
	va_end(arguments);
	reader->errors++;
}

void reader_error_memory(struct reader *reader) {
	reader->no_memory = true;
	reader_error(reader, "out of memory");
}

void reader_blame(struct reader *reader, const char *name) {
	const struct option *option = reader_find(reader, text_slice(name));
	reader->place = reader->set[option - reader->table.option];
	reader_name(reader, reader->place.file ? "" : "--", text_slice(name));
}

void reader_blame_text(struct reader *reader, const char *name, size_t index) {
	const struct option *option = reader_find(reader, text_slice(name));
	size_t seen = 0;
	reader_blame(reader, name);
	for(size_t i = 0; i < reader->texts; i++) {
		const struct reader_text *text = &reader->text[i];
		if(text->option == option && seen++ == index) {
			reader->place = text->place;
			reader_name(reader, text->place.file ? "" : "--", text_slice(name));
		}
	}
}

/* ---- options ---- */

const struct option *reader_find(const struct reader *reader, struct slice name) {
	for(size_t i = 0; i < reader->table.count; i++) {
		const struct option *option = &reader->table.option[i];
		if(option->name && text_is(name, option->name)) {
			return option;
		}
	}
	return NULL;
}

const struct option *reader_find_letter(const struct reader *reader, char letter) {
	for(size_t i = 0; i < reader->table.count; i++) {
		if(reader->table.option[i].letter == letter) {
			return &reader->table.option[i];
		}
	}
	return NULL;
}

bool reader_is_later(const struct reader *reader, const char *name, const char *other) {
	const struct option *one = reader_find(reader, text_slice(name));
	const struct option *two = reader_find(reader, text_slice(other));
	return reader->set[one - reader->table.option].order >
		reader->set[two - reader->table.option].order;
}

/* A line feed cannot be written into a file, and no value needs one. */
void reader_set(struct reader *reader, const struct option *option, const char *text) {
	if(text && (strchr(text, '\n') || strlen(text) > READER_VALUE_MAX)) {
		reader_error(reader,
			"the value contains a line break or is too long for a line of a file");
		return;
	}
	reader->set[option - reader->table.option] = reader->place;
	option->type->parse(reader, option, text);
}

int reader_note_text(struct reader *reader, const struct option *option) {
	struct reader_text *grown =
		realloc(reader->text, (reader->texts + 1) * sizeof(*reader->text));
	if(!grown) {
		return -ENOMEM;
	}
	reader->text = grown;
	grown[reader->texts++] = (struct reader_text){option, reader->place};
	return 0;
}

void reader_forget_texts(struct reader *reader, const struct option *option) {
	size_t kept = 0;
	for(size_t i = 0; i < reader->texts; i++) {
		if(reader->text[i].option != option) {
			reader->text[kept++] = reader->text[i];
		}
	}
	reader->texts = kept;
}

int reader_add_file(struct reader *reader, char *path) {
	struct config *config = reader->config;
	struct settings_texts *files = &config->files;
	char **grown = realloc(files->at, (files->count + 1) * sizeof(*grown));
	if(!grown) {
		return -ENOMEM;
	}
	files->at = grown;
	if(reader->keeps) {
		char **content = realloc(config->content, (files->count + 1) * sizeof(*content));
		if(!content) {
			return -ENOMEM;
		}
		config->content = content;
		content[files->count] = NULL;
	}
	grown[files->count++] = path;
	return 0;
}

bool reader_keep_content(struct reader *reader, char *content) {
	const struct config *config = reader->config;
	if(reader->keeps) {
		config->content[config->files.count - 1] = content;
	}
	return reader->keeps;
}

/* ---- backends ---- */

/* Takes over both texts; a NULL `value` is one for which there was no memory. */
static void add_action(struct reader *reader, char *key, char *value) {
	struct reader_action *grown =
		value ? realloc(reader->action, (reader->actions + 1) * sizeof(*grown)) : NULL;
	if(!grown) {
		free(key);
		free(value);
		reader_error_memory(reader);
		return;
	}
	reader->action = grown;
	grown[reader->actions++] =
		(struct reader_action){.place = reader->place, .key = key, .value = value};
}

void reader_add_backend_option(struct reader *reader, struct slice key, const char *value) {
	if(key.len + strlen(value) > READER_VALUE_MAX) {
		reader_error(reader, "name and value are too long for a line of a file");
		return;
	}
	char *copy = strndup(key.at, key.len);
	add_action(reader, copy, copy ? strdup(value) : NULL);
}

/*
 * Within one file it is easy to put [backend] above [core]; across files and options it is
 * intended.
 */
static void warn_dropped(const struct reader *reader) {
	size_t dropped = 0;
	for(size_t i = reader->actions; i > 0 && reader->action[i - 1].key; i--) {
		dropped += reader->place.file &&
			reader->action[i - 1].place.file == reader->place.file;
	}
	if(dropped > 0) {
		reader_log(reader, LOG_WARNING,
			"drops the %zu backend options above it (put [backend] behind this line)",
			dropped);
	}
}

void reader_add_backend(struct reader *reader, const char *name) {
	warn_dropped(reader);
	add_action(reader, NULL, strdup(name));
}
