/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads configuration files: [core] has the keys of the option table, [backend] those of the
 * backend.
 *
 * It must not know which options there are.
 */
#include "config/file.h"

#include "base/file.h"
#include "base/text.h"
#include "config/file_mode.h"
#include "config/ini.h"
#include "config/paths.h"
#include "config/reader.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 20) /* bytes of one configuration file */

static void read_core_option(struct reader *reader, const struct ini_item *item) {
	const struct option *option = reader_find(reader, item->name);

	if(!option || !option->key) {
		reader_error(
			reader, option ? "not possible in a file" : "unknown option in [core]");
		return;
	}
	char *value = strndup(item->value.at, item->value.len);
	if(!value) {
		reader_error_memory(reader);
		return;
	}
	reader_set(reader, option, value);
	free(value);
}

static void read_backend_option(struct reader *reader, const struct ini_item *item) {
	char *value = strndup(item->value.at, item->value.len);

	if(!value) {
		reader_error_memory(reader);
		return;
	}
	reader_add_backend_option(reader, item->name, value);
	free(value);
}

typedef void section_fn(struct reader *reader, const struct ini_item *item);

/* An unknown section is one error, however many options are in it. */
static void skip_option(struct reader *reader, const struct ini_item *item) {
	(void)reader;
	(void)item;
}

static section_fn *find_section(struct reader *reader, const struct ini_item *item) {
	if(text_is(item->name, "core")) {
		return read_core_option;
	}
	if(text_is(item->name, "backend")) {
		return read_backend_option;
	}
	reader_name(reader, "", item->name);
	reader_error(reader, "unknown section (use [core] or [backend])");
	return skip_option;
}

static void read_text(struct reader *reader, const char *file, const char *text, size_t len) {
	section_fn *section = skip_option;
	struct ini_reader ini;
	struct ini_item item;
	enum ini_result result;

	ini_start(&ini, text, len);
	while((result = ini_next(&ini, &item)) != INI_END) {
		reader->place = (struct reader_place){file, item.line, reader->place.order + 1};
		if(result == INI_BAD) {
			reader_name(reader, "", text_slice("syntax"));
			reader_error(reader, "%s", item.error);
			section = item.section ? skip_option : section;
		} else if(result == INI_SECTION) {
			section = find_section(reader, &item);
		} else {
			reader_name(reader, "", item.name);
			section(reader, &item);
		}
	}
}

/* What the file had when the other configuration was read. NULL: it was not, or no memory. */
static char *kept_content(const struct config *kept, const char *path) {
	for(size_t i = 0; kept && kept->content && i < kept->files.count; i++) {
		if(kept->content[i] && strcmp(kept->files.at[i], path) == 0) {
			return strdup(kept->content[i]);
		}
	}
	return NULL;
}

/* 0, or negative errno as of file_read(). */
static int get_content(struct reader *reader, const char *path, char **content, size_t *len) {
	*content = kept_content(reader->kept, path);
	if(*content) {
		*len = strlen(*content);
		return 0;
	}
	return file_read(path, FILE_MAX, content, len);
}

static void parse_file(struct reader *reader, const struct option *option, const char *path) {
	struct reader_place place = reader->place;
	char *content;
	size_t len;
	char *resolved = paths_resolve(reader->config, path);
	(void)option;
	if(!resolved || reader_add_file(reader, resolved)) {
		free(resolved);
		reader_error_memory(reader);
		return;
	}
	int error = get_content(reader, resolved, &content, &len);
	if(error) {
		reader_error(reader, "cannot read \"%.200s\": %s", path, file_error(error));
		return;
	}
	file_mode_check(reader, resolved, false);
	read_text(reader, path, content, len);
	place.order = reader->place.order;
	reader->place = place;
	if(!reader_keep_content(reader, content)) {
		free(content);
	}
}

const struct option_type file_type = {.parse = parse_file};
