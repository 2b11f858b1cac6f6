/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The text formats of recordings.
 *
 * Must not know: files, threads.
 * Invariants: a file of noVNC is ASCII, as Python's unicode_escape writes it.
 * Implements the format of websockify and of the playback page of noVNC; JSON lines.
 */
#include "service/record_format.h"

#include "base/base64.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int put(struct dynbuf *out, const char *text) {
	return dynbuf_append(out, text, strlen(text));
}

/* ---- noVNC ---- */

static int novnc_begin(
	struct record_state *state, const struct record_about *about, struct dynbuf *out) {
	(void)state;
	(void)about;
	return put(out, "var VNC_frame_data = [\n");
}

/* One byte as in a string of JavaScript with single quotes; returns the length, at most 4. */
static size_t escape_byte(char *out, uint8_t byte) {
	static const char digits[] = "0123456789abcdef";
	const char *short_form = byte == '\\' ? "\\\\"
		: byte == '\''                ? "\\'"
		: byte == '\t'                ? "\\t"
		: byte == '\n'                ? "\\n"
		: byte == '\r'                ? "\\r"
					      : NULL;
	if(short_form) {
		memcpy(out, short_form, 2);
		return 2;
	}
	if(byte >= 0x20 && byte < 0x7f) {
		*out = (char)byte;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = digits[byte >> 4];
	out[3] = digits[byte & 15];
	return 4;
}

#define ESCAPE_TABLE_MIN 512 /* from this length on, a table pays */

/*
 * The same for many bytes: each is four bytes from a table, of which those that count are kept. Returns
 * the length. At `out` there is room for four bytes for each.
 */
static size_t escape_many(char *out, const uint8_t *data, size_t len) {
	char text[256][4];
	uint8_t size[256];
	char *at = out;
	for(unsigned byte = 0; byte < 256; byte++) {
		memset(text[byte], 0, sizeof(text[byte]));
		size[byte] = (uint8_t)escape_byte(text[byte], (uint8_t)byte);
	}
	for(size_t i = 0; i < len; i++) {
		memcpy(at, text[data[i]], sizeof(text[0]));
		at += size[data[i]];
	}
	return (size_t)(at - out);
}

static size_t escape(char *out, const uint8_t *data, size_t len) {
	char *at = out;
	if(len >= ESCAPE_TABLE_MIN) {
		return escape_many(out, data, len);
	}
	for(size_t i = 0; i < len; i++) {
		at += escape_byte(at, data[i]);
	}
	return (size_t)(at - out);
}

static int novnc_message(struct record_state *state, const struct record_about *about,
	const struct record_message *message, struct dynbuf *out) {
	(void)state;
	(void)about;
	char head[40];
	char brace = message->from_client ? '}' : '{';
	snprintf(head, sizeof(head), "'%c%" PRIu64 "%c", brace, message->t_ns / 1000000, brace);
	if(put(out, head) || dynbuf_reserve(out, 4 * message->len)) {
		return -ENOMEM;
	}
	out->len += (uint32_t)escape((char *)out->data + out->len, message->data, message->len);
	return put(out, "',\n");
}

static int novnc_end(struct record_state *state, const struct record_about *about, uint64_t t_ns,
	struct dynbuf *out) {
	(void)state;
	(void)about;
	(void)t_ns;
	return put(out, "'EOF'];\n");
}

/* ---- JSON lines ---- */

static int jsonl_begin(
	struct record_state *state, const struct record_about *about, struct dynbuf *out) {
	(void)state;
	(void)about;
	(void)out;
	return 0;
}

static int jsonl_message(struct record_state *state, const struct record_about *about,
	const struct record_message *message, struct dynbuf *out) {
	(void)state;
	(void)about;
	char head[80];
	snprintf(head, sizeof(head), "{\"t\":%" PRIu64 ",\"dir\":\"%s\",\"op\":%u,\"data\":\"",
		message->t_ns, message->from_client ? "rx" : "tx", message->opcode);
	if(put(out, head) || dynbuf_reserve(out, BASE64_ENCODED_LEN(message->len))) {
		return -ENOMEM;
	}
	out->len += (uint32_t)base64_encode(out->data + out->len, message->data, message->len);
	return put(out, "\"}\n");
}

static int jsonl_end(struct record_state *state, const struct record_about *about, uint64_t t_ns,
	struct dynbuf *out) {
	(void)state;
	(void)about;
	(void)t_ns;
	(void)out;
	return 0;
}

const struct record_writer *record_writer_of(enum record_format format) {
	static const struct record_writer novnc = {novnc_begin, novnc_message, novnc_end};
	static const struct record_writer jsonl = {jsonl_begin, jsonl_message, jsonl_end};
	static const struct record_writer *const writers[] = {
		[RECORD_NOVNC] = &novnc, [RECORD_JSONL] = &jsonl, [RECORD_PCAPNG] = &record_pcapng};
	return writers[format];
}
