/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cuts an INI text into sections and options.
 *
 * It must not know option names, files or the log.
 *
 * Invariant: every slice lies within the text given to ini_start(), and nothing outside of it is
 * read.
 */
#include "config/ini.h"

#include <stdio.h>
#include <string.h>

/* Editors on some systems put this in front of UTF-8 text. */
#define INI_BYTE_ORDER_MARK "\xef\xbb\xbf"

static bool is_blank(char byte) {
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\v' || byte == '\f';
}

/* Also takes off a carriage return: lines may end in CRLF. */
static struct slice trim(struct slice text) {
	while(text.len > 0 && is_blank(text.at[0])) {
		text = text_skip(text, 1);
	}
	while(text.len > 0 && is_blank(text.at[text.len - 1])) {
		text.len--;
	}
	return text;
}

static bool is_quoted(struct slice value) {
	return value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"';
}

static enum ini_result bad_line(struct ini_item *item, const char *error) {
	item->error = error;
	return INI_BAD;
}

static enum ini_result parse_section(struct slice line, struct ini_item *item) {
	const char *end = memchr(line.at, ']', line.len);

	item->section = true;
	if(!end) {
		return bad_line(item, "the section name lacks its closing bracket");
	}
	if(end != line.at + line.len - 1) {
		return bad_line(item, "nothing may follow the section name on its line");
	}
	item->name = trim((struct slice){line.at + 1, line.len - 2});
	return INI_SECTION;
}

static enum ini_result parse_option(struct slice line, struct ini_item *item) {
	struct slice name;
	if(!text_split(&line, '=', &name)) {
		return bad_line(item, "no \"=\" in this line (use \"name = value\")");
	}
	item->name = trim(name);
	item->value = trim(line);
	if(item->name.len == 0) {
		return bad_line(item, "no option name in front of \"=\"");
	}
	if(is_quoted(item->value)) {
		item->value.at++;
		item->value.len -= 2;
	}
	return INI_OPTION;
}

/* Takes the next line, without its end, off the text. */
static struct slice next_line(struct ini_reader *reader) {
	const char *end = memchr(reader->at, '\n', reader->left);
	size_t len = end ? (size_t)(end - reader->at) : reader->left;
	struct slice line = {reader->at, len};
	size_t taken = end ? len + 1 : len;

	reader->at += taken;
	reader->left -= taken;
	reader->line++;
	return line;
}

static enum ini_result parse_line(
	struct ini_reader *reader, struct slice line, struct ini_item *item) {
	if(line.at[0] == '[') {
		/* A malformed header is one error; the options below it are not errors as well. */
		reader->in_section = true;
		return parse_section(line, item);
	}
	if(!reader->in_section) {
		return bad_line(
			item, "an option before any section (begin with [core] or [backend])");
	}
	return parse_option(line, item);
}

void ini_start(struct ini_reader *reader, const char *text, size_t len) {
	size_t mark = strlen(INI_BYTE_ORDER_MARK);

	if(len >= mark && memcmp(text, INI_BYTE_ORDER_MARK, mark) == 0) {
		text += mark;
		len -= mark;
	}
	*reader = (struct ini_reader){.at = text, .left = len};
}

enum ini_result ini_next(struct ini_reader *reader, struct ini_item *item) {
	while(reader->left > 0) {
		struct slice whole = next_line(reader);
		struct slice line = trim(whole);

		*item = (struct ini_item){.line = reader->line};
		if(memchr(whole.at, '\0', whole.len)) {
			return bad_line(item, "a NUL byte in this line (the file has to be text)");
		}
		if(line.len > INI_LINE_MAX) {
			return bad_line(item, "the line is longer than 65536 bytes");
		}
		if(line.len > 0 && line.at[0] != '#' && line.at[0] != ';') {
			return parse_line(reader, line, item);
		}
	}
	return INI_END;
}

bool ini_needs_quotes(struct slice value) {
	return trim(value).len != value.len || is_quoted(value);
}

void ini_print(const char *name, const char *value) {
	const char *quote = ini_needs_quotes(text_slice(value)) ? "\"" : "";
	printf("%s =%s%s%s%s\n", name, value[0] ? " " : "", quote, value, quote);
}
