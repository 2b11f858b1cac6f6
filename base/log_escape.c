/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Escapes text for the log.
 *
 * Must not know: lines, where they go.
 * Invariants: the results are valid UTF-8 without control characters, line separators, and
 * characters that change how others are shown; what is cut is cut between two characters.
 */
#include "base/log_escape.h"

#include "base/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define REPLACEMENT UINT32_C(0xfffd)

/* The end of a text that was cut. */
static const char cut_mark[] = {'.', '.', '.'};

/*
 * The journal shows lines that are not UTF-8 as binary data only, which hides them from most
 * readers.
 */
static void replace_invalid(char *text, size_t len) {
	for(size_t i = 0; i < len; i++) {
		i += utf8_prefix((const uint8_t *)text + i, len - i, NULL);
		if(i < len) {
			text[i] = '?';
		}
	}
}

/*
 * Text from the network is logged: a control character must not forge a line or control a terminal.
 */
static void replace_controls(char *text, size_t len) {
	for(size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)text[i];
		if(byte < 0x20 || byte == 0x7f) {
			text[i] = '?';
		} else if(byte == 0xc2 && i + 1 < len && (uint8_t)text[i + 1] >= 0x80 &&
			(uint8_t)text[i + 1] <= 0x9f) { /* U+0080 to U+009F */
			text[i++] = '?';
			text[i] = '?';
		}
	}
}

/* ---- characters that change how others are shown ---- */

/*
 * Marks and overrides of direction, line separators of Unicode, and characters that are invisible
 * or look like a space: a line with them is not read as it was written (CVE-2021-42574).
 */
static const struct {
	uint32_t first;
	uint32_t last;
} hidden[] = {
	{0xa0, 0xa0},
	{0xad, 0xad},
	{0x61c, 0x61c},
	{0x115f, 0x1160},
	{0x1680, 0x1680},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x2000, 0x200f},
	{0x2028, 0x202f},
	{0x205f, 0x206f},
	{0x3000, 0x3000},
	{0x3164, 0x3164},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfffb},
	{0xe0000, 0xe0fff},
};

/* Decodes a character of valid UTF-8; returns its length. */
static size_t decode(const char *text, uint32_t *out) {
	const uint8_t *byte = (const uint8_t *)text;
	size_t len = byte[0] < 0x80 ? 1 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
	*out = len == 1 ? byte[0] : byte[0] & (0xffu >> (len + 1));
	for(size_t i = 1; i < len; i++) {
		*out = *out << 6 | (byte[i] & 0x3fu);
	}
	return len;
}

static bool is_hidden(uint32_t character) {
	for(size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		if(character >= hidden[i].first && character <= hidden[i].last) {
			return true;
		}
	}
	return false;
}

/* Writes such characters as "\\u{202e}". Returns the new length; the text is cut at `cap`. */
static size_t escape_hidden(char *text, size_t len, size_t cap) {
	char from[LOG_ESCAPE_MAX];
	size_t out = 0;
	memcpy(from, text, len);
	for(size_t i = 0; i < len;) {
		char piece[16];
		uint32_t character;
		size_t used = decode(from + i, &character);
		size_t size = used;
		if(is_hidden(character)) {
			size = (size_t)snprintf(
				piece, sizeof(piece), "\\u{%" PRIx32 "}", character);
		} else {
			memcpy(piece, from + i, used);
		}
		if(size > cap - out) {
			break;
		}
		memcpy(text + out, piece, size);
		out += size;
		i += used;
	}
	return out;
}

static bool is_ascii(const char *text, size_t len) {
	for(size_t i = 0; i < len; i++) {
		if((uint8_t)text[i] >= 0x80) {
			return false;
		}
	}
	return true;
}

size_t log_escape_line(char *text, size_t len, size_t cap) {
	assert(len <= LOG_ESCAPE_MAX);
	replace_invalid(text, len);
	replace_controls(text, len);
	return is_ascii(text, len) ? len : escape_hidden(text, len, cap);
}

/* ---- JSON ---- */

/* The first character of what need not be UTF-8. Returns the number of bytes that it takes. */
static size_t next_character(const char *text, size_t len, uint32_t *out) {
	size_t size = len < 4 ? len : 4;
	if((uint8_t)text[0] < 0x80) {
		*out = (uint8_t)text[0];
		return 1;
	}
	while(size > 1 && !utf8_valid((const uint8_t *)text, size)) {
		size--;
	}
	if(size == 1) {
		*out = REPLACEMENT;
		return 1;
	}
	return decode(text, out);
}

static bool is_plain(uint32_t character) {
	return character >= 0x20 && character != '"' && character != '\\' && character != 0x7f &&
		!(character >= 0x80 && character <= 0x9f) && character != REPLACEMENT &&
		!is_hidden(character);
}

/* RFC 8259, 7: characters above U+FFFF are two escapes. */
static size_t put_escape(char piece[16], uint32_t character) {
	if(character == '"' || character == '\\') {
		piece[0] = '\\';
		piece[1] = (char)character;
		return 2;
	}
	if(character < 0x10000) {
		return (size_t)snprintf(piece, 16, "\\u%04" PRIx32, character);
	}
	uint32_t rest = character - 0x10000;
	return (size_t)snprintf(piece, 16, "\\u%04" PRIx32 "\\u%04" PRIx32,
		UINT32_C(0xd800) + (rest >> 10), UINT32_C(0xdc00) + (rest & 0x3ff));
}

size_t log_escape_json(const char *text, size_t len, char *out, size_t cap) {
	size_t used = 0;
	size_t mark = 0; /* where the mark has room if the text has to be cut */
	assert(cap >= sizeof(cut_mark));
	for(size_t i = 0; i < len;) {
		char piece[16];
		uint32_t character;
		size_t taken = next_character(text + i, len - i, &character);
		size_t size = taken;
		if(is_plain(character)) {
			memcpy(piece, text + i, taken);
		} else {
			size = put_escape(piece, character);
		}
		if(size > cap - used) {
			memcpy(out + mark, cut_mark, sizeof(cut_mark));
			return mark + sizeof(cut_mark);
		}
		memcpy(out + used, piece, size);
		used += size;
		i += taken;
		if(used <= cap - sizeof(cut_mark)) {
			mark = used;
		}
	}
	return used;
}
